/* SPDX-License-Identifier: GPL-3.0-or-later */
/* zone-status ZONE..., with all that is known, and zone-status --problems. */
#include "cli.h"
#include "output.h"

#include <stdio.h>
#include <string.h>

static bool is_there(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	return value && !json_is_null(value);
}

static void print_number(const json_t *object, const char *key, const char *label)
{
	if (is_there(object, key))
		printf("  %-16s%lld\n", label, output_number(object, key));
}

static void print_time(const json_t *object, const char *key, const char *label)
{
	char text[OUTPUT_TEXT];
	output_time(json_object_get(object, key), text);
	if (is_there(object, key))
		printf("  %-16s%s\n", label, text);
}

/* "IXFR over tcp: messages 3, records 12, 1.1 KiB; connect 1 ms, first octet 2 ms, ..." */
static void print_exchange(const char *label, const json_t *primary)
{
	static const char *const times[][2] = {{"connect_ms", "connect"},   {"first_octet_ms", "first octet"},
	                                       {"transfer_ms", "transfer"}, {"build_ms", "build"},
	                                       {"verify_ms", "verify"},     {"publish_ms", "publish"}};
	const char *before = "; ";
	char size[OUTPUT_TEXT];
	output_size((double)output_number(primary, "octets"), size);
	printf("%s%s over %s: messages %lld, records %lld, %s", label, output_string(primary, "kind"),
	       output_string(primary, "transport"), output_number(primary, "messages"),
	       output_number(primary, "records"), size);
	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
		if (!is_there(primary, times[i][0]))
			continue;
		printf("%s%s %lld ms", before, times[i][1], output_number(primary, times[i][0]));
		before = ", ";
	}
	putchar('\n');
}

static void print_primary(const json_t *primary)
{
	const json_t *ede = json_object_get(primary, "ede");
	char text[OUTPUT_TEXT];
	printf("  %-16s%s (%s), %s%s: %s", "primary", output_string(primary, "name"), output_string(primary, "address"),
	       is_there(primary, "key") ? "key " : "no key",
	       is_there(primary, "key") ? output_string(primary, "key") : "", output_string(primary, "result"));
	if (is_there(primary, "error"))
		printf(", in phase %s", output_string(primary, "phase"));
	putchar('\n');
	if (!is_there(primary, "last_attempt"))
		return;
	output_time(json_object_get(primary, "last_attempt"), text);
	printf("    %-14s%s\n", "last attempt", text);
	output_time(json_object_get(primary, "last_good"), text);
	printf("    %-14s%s\n", "last good", text);
	print_exchange("    asked         ", primary);
	if (is_there(primary, "serial"))
		printf("    %-14s%lld\n", "its serial", output_number(primary, "serial"));
	if (is_there(primary, "error"))
		printf("    %-14s%s\n", "error", output_string(primary, "error"));
	if (json_is_object(ede))
		printf("    %-14sEDE %lld %s\n", "it says", output_number(ede, "code"), output_string(ede, "text"));
	if (is_there(primary, "way_out"))
		printf("    %-14s%s\n", "way out", output_string(primary, "way_out"));
}

static void print_zone(const json_t *zone)
{
	const json_t *refused = json_object_get(zone, "refused"), *primary;
	size_t index;
	printf("%s: %s\n", output_string(zone, "zone"), output_string(zone, "state"));
	print_number(zone, "serial", "serial served");
	print_number(zone, "primary_serial", "at the primary");
	print_number(zone, "notified_serial", "by NOTIFY");
	print_time(zone, "behind_since", "unlike since");
	print_number(zone, "names", "names");
	print_time(zone, "last_transfer", "last transfer");
	if (json_is_object(json_object_get(zone, "transfer"))) {
		printf("  %-16sfrom %s\n", "", output_string(json_object_get(zone, "transfer"), "from"));
		print_exchange("                  ", json_object_get(zone, "transfer"));
	}
	print_time(zone, "last_check", "last confirmed");
	print_time(zone, "next_refresh", "next refresh");
	print_time(zone, "expires_at", "expires");
	if (json_is_object(refused)) {
		printf("  %-16sserial %lld: %s\n", "refused", output_number(refused, "serial"),
		       output_string(refused, "reason"));
		if (is_there(refused, "kept"))
			printf("  %-16s%s\n", "", output_string(refused, "kept"));
	}
	if (is_there(zone, "error"))
		printf("  %-16s%s\n", "error", output_string(zone, "error"));
	json_array_foreach (json_object_get(zone, "primaries"), index, primary)
		print_primary(primary);
}

enum cli_exit print_zone_details(const json_t *zones)
{
	size_t index;
	json_t *zone;
	json_array_foreach (zones, index, zone) {
		if (index)
			putchar('\n');
		print_zone(zone);
	}
	return CLI_OK;
}

enum cli_exit print_problems(const json_t *zones)
{
	size_t index;
	json_t *zone;
	json_array_foreach (zones, index, zone) {
		const json_t *problem = json_object_get(zone, "problem");
		const char *level = output_string(problem, "level");
		printf("%s: zone %s: %s%s; ", output_string(problem, "culprit"), output_string(zone, "zone"),
		       strcmp(level, "warning") == 0 ? "warning: " : "", output_string(problem, "cause"));
		puts(output_string(problem, "way_out"));
	}
	if (json_array_size(zones) == 0)
		puts("no zone has a problem");
	return CLI_OK;
}

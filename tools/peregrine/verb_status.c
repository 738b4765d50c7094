/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli.h"
#include "output.h"

#include <stdio.h>
#include <string.h>

static void print_interfaces(const json_t *interfaces)
{
	size_t index;
	json_t *interface;
	const char *label = "interfaces";
	if (json_array_size(interfaces) == 0)
		printf("%-12snone: all queries are answered by the fallback server\n", label);
	json_array_foreach (interfaces, index, interface) {
		const char *why = output_string(interface, "why");
		printf("%-12s%-16s %s", label, output_string(interface, "name"), output_string(interface, "mode"));
		if (strcmp(why, "-") != 0)
			printf(" (%s)", why);
		putchar('\n');
		label = "";
	}
}

static void print_store(const json_t *store)
{
	const char *state = output_string(store, "state");
	char size[OUTPUT_TEXT];

	output_size(json_number_value(json_object_get(store, "used")), size);
	if (strcmp(state, "ok") == 0)
		printf("%-12s%s", "store", size);
	else
		printf("%-12s%s: %s", "store", state, output_string(store, "error"));
	if (output_number(store, "waiting") > 0)
		printf(", %lld versions not written yet, %.0f s behind", output_number(store, "waiting"),
		       json_number_value(json_object_get(store, "behind")));
	putchar('\n');
}

enum cli_exit verb_status(const struct cli *cli, int count, char **arguments)
{
	json_t *status;
	char text[OUTPUT_TEXT], limit[OUTPUT_TEXT];
	enum cli_exit exit = client_ask(cli, "status", count, arguments, NULL, false, &status);
	if (exit != CLI_OK || cli->json)
		return exit != CLI_OK ? exit : cli_print_json(status);
	output_span(output_number(status, "uptime"), text);
	printf("%-12speregrined %s, process %lld, up %s\n", "agent", output_string(status, "version"),
	       output_number(status, "pid"), text);
	printf("%-12s%s\n", "identity", output_string(status, "identity"));
	print_interfaces(json_object_get(status, "interfaces"));

	const json_t *zones = json_object_get(status, "zones");
	printf("%-12s%lld: %lld serving, %lld loading, %lld failing, %lld expired", "zones",
	       output_number(zones, "total"), output_number(zones, "serving"), output_number(zones, "loading"),
	       output_number(zones, "failing"), output_number(zones, "expired"));
	if (output_number(zones, "problems") > 0)
		printf("; %lld with a problem: `peregrine zone-status --problems`", output_number(zones, "problems"));
	putchar('\n');

	const json_t *fast = json_object_get(status, "fast_path"), *share = json_object_get(fast, "share");
	printf("%-12s%lld answered, %lld passed", "fast path", output_number(fast, "answered"),
	       output_number(fast, "passed"));
	if (json_is_number(share))
		printf(", a share of %.2f %%", json_number_value(share) * 100);
	const json_t *fallback = json_object_get(status, "fallback");
	printf("\n%-12s%lld by UDP, %lld by TCP\n", "fallback", output_number(fallback, "udp"),
	       output_number(fallback, "tcp"));

	const json_t *names = json_object_get(status, "names");
	const json_t *memory = json_object_get(status, "memory");
	output_size(json_number_value(json_object_get(memory, "used")), text);
	output_size(json_number_value(json_object_get(memory, "limit")), limit);
	printf("%-12s%s of %s\n", "memory", text, limit);
	print_store(json_object_get(status, "store"));
	if (output_number(names, "at_driver") < output_number(names, "total"))
		printf("%-12s%lld of %lld at the driver, the others by the fallback\n", "names",
		       output_number(names, "at_driver"), output_number(names, "total"));
	json_decref(status);
	return CLI_OK;
}

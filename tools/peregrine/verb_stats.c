/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli.h"
#include "output.h"
#include "settings_shared.h"

#include <stdio.h>
#include <string.h>

/* What a reason means, from the one list of them. */
static const char *reason_text(const char *name)
{
	static const struct {
		const char *name, *text;
	} reasons[] = {
#define REASON(number, symbol, word, sentence) {#word, sentence},
	    PG_EXITS(REASON)
#undef REASON
	};
	for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++)
		if (strcmp(reasons[i].name, name) == 0)
			return reasons[i].text;
	return "";
}

static void line(const json_t *object, const char *key, const char *label)
{
	if (json_object_get(object, key))
		printf("  %-16s %16lld\n", label, output_number(object, key));
}

/* Counters that are not 0; the agent gives names of its own, so nothing here is from afar. */
static void group(const json_t *object, const char *key, bool reasons)
{
	const char *name;
	json_t *value;
	json_object_foreach (json_object_get(object, key), name, value) {
		if (json_integer_value(value) == 0)
			continue;
		printf("    %-14.64s %16lld", name, (long long)json_integer_value(value));
		const char *text = reasons ? reason_text(name) : "";
		printf(*text ? "  %s\n" : "%s\n", text);
	}
}

enum cli_exit verb_stats(const struct cli *cli, int count, char **arguments)
{
	json_t *stats;
	enum cli_exit exit = client_ask(cli, "stats", count, arguments, NULL, false, &stats);
	if (exit != CLI_OK || cli->json)
		return exit != CLI_OK ? exit : cli_print_json(stats);
	if (count) {
		exit = print_zone_stats(stats);
		json_decref(stats);
		return exit;
	}
	const json_t *fast = json_object_get(stats, "fast_path"), *fallback = json_object_get(stats, "fallback");
	puts("fast path");
	line(fast, "answered", "answered");
	group(fast, "rcodes", false);
	line(fast, "truncated", "truncated");
	line(fast, "slipped", "slipped");
	line(fast, "limited", "limited");
	line(fast, "ipv6", "by IPv6");
	line(fast, "query_octets", "query octets");
	line(fast, "reply_octets", "reply octets");
	line(fast, "passed", "passed");
	group(fast, "reasons", true);
	puts("fallback");
	line(fallback, "udp", "replies by UDP");
	line(fallback, "tcp", "replies by TCP");
	group(fallback, "rcodes", false);
	line(fallback, "slipped", "slipped");
	line(fallback, "limited", "limited");
	line(fallback, "dropped", "dropped");
	line(fallback, "tcp_clients", "TCP clients now");
	line(fallback, "transfers", "transfers to secondaries, whole");
	json_decref(stats);
	return CLI_OK;
}

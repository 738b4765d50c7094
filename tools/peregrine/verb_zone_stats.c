/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stats ZONE */
#include "cli.h"
#include "output.h"

#include <stdio.h>
#include <string.h>

/* A row: what the driver and the fallback server counted; rows of zeros are left out. */
static void row(struct table *table, const char *label, const json_t *driver, const json_t *fallback)
{
	if (!json_integer_value(driver) && !json_integer_value(fallback))
		return;
	table_cell(table, "%s", label);
	table_value(table, driver);
	table_value(table, fallback);
}

static void group(struct table *table, const json_t *driver, const json_t *fallback, const char *key)
{
	const json_t *here = json_object_get(driver, key);
	const char *name;
	json_t *value;
	json_object_foreach (json_object_get(fallback, key), name, value) {
		char label[OUTPUT_TEXT];
		snprintf(label, sizeof(label), "  %.24s%s", name,
		         strcmp(name, "OTHER") != 0   ? ""
		         : strcmp(key, "rcodes") == 0 ? " RCODE"
		                                      : " type");
		row(table, label, json_object_get(here, name), value);
	}
}

enum cli_exit print_zone_stats(const json_t *stats)
{
	static const char *const headings[] = {"ANSWERS", "AT THE DRIVER", "BY THE FALLBACK", NULL};
	static const struct {
		const char *key, *label;
	} lines[] = {{"ipv4", "by IPv4"},
	             {"ipv6", "by IPv6"},
	             {"tcp", "by TCP"},
	             {"truncated", "truncated"},
	             {"query_octets", "query octets"},
	             {"reply_octets", "reply octets"}};
	const json_t *driver = json_object_get(stats, "fast_path"), *fallback = json_object_get(stats, "fallback");
	struct table table;
	table_begin(&table, headings, 1 << 1 | 1 << 2);
	table_cell(&table, "%s", output_string(stats, "zone"));
	table_value(&table, json_object_get(driver, "answers"));
	table_value(&table, json_object_get(fallback, "answers"));
	group(&table, driver, fallback, "rcodes");
	group(&table, driver, fallback, "types");
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		row(&table, lines[i].label, json_object_get(driver, lines[i].key),
		    json_object_get(fallback, lines[i].key));
	table_end(&table);
	if (!json_is_object(driver))
		puts("The driver's answers are not counted for this zone: no counters were made for it when the agent "
		     "was started.");
	return CLI_OK;
}

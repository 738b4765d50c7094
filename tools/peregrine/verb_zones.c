/* SPDX-License-Identifier: GPL-3.0-or-later */
/* zone-status, zone-reload, zone-retransfer. */
#include "cli.h"
#include "output.h"

#include <stdio.h>
#include <string.h>

static void time_cell(struct table *table, const json_t *zone, const char *key)
{
	char text[OUTPUT_TEXT];
	output_time(json_object_get(zone, key), text);
	table_cell(table, "%s", text);
}

/* "IXFR, 12 records, 1.1 KiB" */
static void transfer_cell(struct table *table, const json_t *zone)
{
	char size[OUTPUT_TEXT];
	if (!json_is_string(json_object_get(zone, "transferred_by"))) {
		table_cell(table, "-");
		return;
	}
	output_size(json_number_value(json_object_get(zone, "transferred_octets")), size);
	table_cell(table, "%s, %lld records, %s", output_string(zone, "transferred_by"),
	           (long long)json_integer_value(json_object_get(zone, "transferred_records")), size);
}

/* Secondaries that do not know of the newest version, or did not say so. */
static void print_untold(const json_t *zone)
{
	const json_t *entry;
	size_t index;

	json_array_foreach (json_object_get(zone, "notify"), index, entry) {
		const char *state = output_string(entry, "state");
		const char *rcode = output_string(entry, "rcode");

		if (strcmp(state, "silent") != 0 && strcmp(state, "refused") != 0 && strcmp(state, "unsent") != 0)
			continue;
		printf("%s: secondary %s (%s): NOTIFY of serial %lld: %s%s%s\n", output_string(zone, "zone"),
		       output_string(entry, "secondary"), output_string(entry, "address"),
		       (long long)json_integer_value(json_object_get(entry, "serial")), state,
		       *rcode == '-' ? "" : ", ", *rcode == '-' ? "" : rcode);
	}
}

enum cli_exit verb_zone_status(const struct cli *cli, int count, char **arguments)
{
	static const char *const headings[] = {"ZONE", "STATE",        "SERIAL",  "AT PRIMARY", "LAST TRANSFER",
	                                       "BY",   "NEXT REFRESH", "EXPIRES", "NAMES",      "PRIMARY",
	                                       NULL};
	json_t *zones, *zone;
	size_t index;
	struct table table;
	json_t *options = json_pack("{s:b}", "problems", cli->problems);
	enum cli_exit exit = client_ask(cli, "zone-status", count, arguments, options, false, &zones);
	if (exit == CLI_OK && (cli->json || cli->problems || count > 0)) {
		bool bad = cli->problems && json_array_size(zones) > 0;
		if (!cli->json)
			exit = cli->problems ? print_problems(zones) : print_zone_details(zones);
		else
			exit = cli_print_json(json_incref(zones));
		json_decref(zones);
		return bad ? CLI_FAILED : exit;
	}
	if (exit != CLI_OK)
		return exit;
	if (json_array_size(zones) == 0) {
		puts("no zones; add some to the configuration and run `peregrine reload`");
		json_decref(zones);
		return CLI_OK;
	}
	table_begin(&table, headings, 1 << 2 | 1 << 3 | 1 << 8);
	json_array_foreach (zones, index, zone) {
		const char *error = output_string(zone, "error");
		table_value(&table, json_object_get(zone, "zone"));
		table_value(&table, json_object_get(zone, "state"));
		table_value(&table, json_object_get(zone, "serial"));
		table_value(&table, json_object_get(zone, "primary_serial"));
		time_cell(&table, zone, "last_transfer");
		transfer_cell(&table, zone);
		time_cell(&table, zone, "next_refresh");
		time_cell(&table, zone, "expires_at");
		table_value(&table, json_object_get(zone, "names"));
		if (*error == '-')
			table_value(&table, json_object_get(zone, "primary"));
		else
			table_cell(&table, "%s; %s", output_string(zone, "primary"), error);
	}
	table_end(&table);
	json_array_foreach (zones, index, zone)
		print_untold(zone);
	json_decref(zones);
	return CLI_OK;
}

static enum cli_exit ask_primaries(const struct cli *cli, const char *verb, int count, char **arguments)
{
	static const char *const headings[] = {"ZONE", "SERIAL", "RESULT", NULL};
	json_t *zones, *zone;
	size_t index;
	struct table table;
	bool failed = false;
	json_t *options =
	    json_pack("{s:b, s:i, s:b}", "wait", cli->wait, "timeout", (int)cli->timeout, "force", cli->force);
	enum cli_exit exit = client_ask(cli, verb, count, arguments, options, false, &zones);
	if (exit != CLI_OK)
		return exit;
	json_array_foreach (zones, index, zone)
		if (json_is_string(json_object_get(zone, "error")))
			failed = true;
	if (cli->json) {
		exit = cli_print_json(zones);
		return failed ? CLI_FAILED : exit;
	}
	table_begin(&table, headings, 1 << 1);
	json_array_foreach (zones, index, zone) {
		const json_t *error = json_object_get(zone, "error");
		table_value(&table, json_object_get(zone, "zone"));
		table_value(&table, json_object_get(zone, "serial"));
		if (json_is_string(error))
			table_value(&table, error);
		else
			table_cell(&table, cli->wait ? "served" : "asked");
	}
	table_end(&table);
	json_decref(zones);
	return failed ? CLI_FAILED : CLI_OK;
}

enum cli_exit verb_zone_reload(const struct cli *cli, int count, char **arguments)
{
	return ask_primaries(cli, "zone-reload", count, arguments);
}

enum cli_exit verb_zone_retransfer(const struct cli *cli, int count, char **arguments)
{
	return ask_primaries(cli, "zone-retransfer", count, arguments);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* catalog-status */
#include "cli.h"
#include "output.h"

#include <stdio.h>

enum cli_exit verb_catalog_status(const struct cli *cli, int count, char **arguments)
{
	static const char *const headings[] = {"CATALOG", "ROLE", "SERIAL", "LISTED", "SERVED", "ERROR", NULL};
	json_t *catalogs, *catalog, *zone;
	size_t index, inner;
	struct table table;
	enum cli_exit exit = client_ask(cli, "catalog-status", count, arguments, NULL, false, &catalogs);
	if (exit != CLI_OK || cli->json)
		return exit != CLI_OK ? exit : cli_print_json(catalogs);
	if (json_array_size(catalogs) == 0) {
		puts("no catalogs; add some to the configuration and run `peregrine reload`");
		json_decref(catalogs);
		return CLI_OK;
	}
	table_begin(&table, headings, 1 << 2 | 1 << 3 | 1 << 4);
	json_array_foreach (catalogs, index, catalog) {
		table_value(&table, json_object_get(catalog, "catalog"));
		table_value(&table, json_object_get(catalog, "role"));
		table_value(&table, json_object_get(catalog, "serial"));
		table_value(&table, json_object_get(catalog, "listed"));
		table_value(&table, json_object_get(catalog, "members"));
		table_value(&table, json_object_get(catalog, "error"));
	}
	table_end(&table);
	json_array_foreach (catalogs, index, catalog)
		json_array_foreach (json_object_get(catalog, "left_out"), inner, zone)
			printf("%s: %s is left out: %s\n", output_string(catalog, "catalog"),
			       output_string(zone, "zone"), output_string(zone, "reason"));
	json_decref(catalogs);
	return CLI_OK;
}

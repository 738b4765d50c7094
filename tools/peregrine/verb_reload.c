/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli.h"
#include "output.h"

#include <stdio.h>

enum cli_exit verb_reload(const struct cli *cli, int count, char **arguments)
{
	json_t *result;
	enum cli_exit exit = client_ask(cli, "reload", count, arguments, NULL, false, &result);
	if (exit != CLI_OK || cli->json)
		return exit != CLI_OK ? exit : cli_print_json(result);
	printf("configuration read again: %lld zones added, %lld removed, %lld now\n",
	       output_number(result, "zones_added"), output_number(result, "zones_removed"),
	       output_number(result, "zones"));
	json_decref(result);
	return CLI_OK;
}

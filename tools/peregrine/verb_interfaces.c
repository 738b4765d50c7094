/* SPDX-License-Identifier: GPL-3.0-or-later */
/* attach, detach. */
#include "cli.h"
#include "output.h"
#include "publish/fastpath.h"

#include <stdio.h>
#include <string.h>

static enum cli_exit print_interfaces(const struct cli *cli, json_t *interfaces, bool attached)
{
	static const char *const headings[] = {"INTERFACE", "MODE", "WHY", NULL};
	size_t index;
	json_t *interface;
	struct table table;
	enum cli_exit exit = CLI_OK;
	json_array_foreach (interfaces, index, interface)
		if (attached && strcmp(output_string(interface, "mode"), "none") == 0)
			exit = CLI_FAILED;
	if (cli->json) {
		enum cli_exit printed = cli_print_json(interfaces);
		return exit != CLI_OK ? exit : printed;
	}
	if (json_array_size(interfaces) == 0) {
		puts("no interfaces");
	} else {
		table_begin(&table, headings, 0);
		json_array_foreach (interfaces, index, interface) {
			table_value(&table, json_object_get(interface, "name"));
			table_value(&table, json_object_get(interface, "mode"));
			table_cell(&table, "%s",
			           json_is_string(json_object_get(interface, "why"))
			               ? json_string_value(json_object_get(interface, "why"))
			               : "");
		}
		table_end(&table);
	}
	json_decref(interfaces);
	return exit;
}

enum cli_exit verb_attach(const struct cli *cli, int count, char **arguments)
{
	json_t *result;
	enum cli_exit exit = client_ask(cli, "attach", count, arguments, NULL, false, &result);
	return exit != CLI_OK ? exit : print_interfaces(cli, result, true);
}

/* The fast path outlives its agent, so it must be possible to take it off without one. */
static enum cli_exit remove_pins(const struct cli *cli)
{
	int removed = fastpath_remove(cli->pins);
	if (removed < 0)
		return CLI_FAILED; /* the reason was logged */
	if (cli->json)
		puts("[]");
	else if (removed == 0)
		printf("the agent is not running, and nothing was attached by %s\n", cli->pins);
	else
		printf("the agent is not running; the fast path was taken off %d interface%s\n", removed,
		       removed == 1 ? "" : "s");
	return CLI_OK;
}

enum cli_exit verb_detach(const struct cli *cli, int count, char **arguments)
{
	json_t *result;
	enum cli_exit exit = client_ask(cli, "detach", count, arguments, NULL, true, &result);
	if (exit == CLI_OK)
		return print_interfaces(cli, result, false);
	if (exit != CLI_NOT_RUNNING)
		return exit;
	if (count == 0)
		return remove_pins(cli);
	cli_error("the agent is not running (nobody listens on %s), and without it single interfaces cannot be "
	          "detached; run `peregrine detach` without names to take the fast path off all of them",
	          cli->socket);
	return CLI_NOT_RUNNING;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* peregrined: the command line. */
#include "agent/agent.h"
#include "common/log.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char help[] =
    "Usage: peregrined -c FILE [--check-config] [--detach] [--verbose]\n"
    "\n"
    "The agent of Peregrine, a secondary nameserver that answers UDP queries in the network driver.\n"
    "It transfers the configured zones from their primaries, fills the maps from which the XDP program\n"
    "answers, and serves TCP and what the driver leaves. It stays in the foreground and logs to standard\n"
    "error.\n"
    "\n"
    "  -c, --config FILE   the configuration: see peregrine.conf(5)\n"
    "      --check-config  print every error of the configuration with its line, and exit: 0 none, 1 some\n"
    "      --detach        take the program off its interfaces when the agent ends; without this it stays,\n"
    "                      and goes on answering until the zones expire\n"
    "  -v, --verbose       log what is of use to developers too\n"
    "  -V, --version       print the version\n"
    "  -h, --help          print this\n"
    "\n"
    "While it runs: `peregrine status`, `peregrine zone-status`; see peregrine(1).\n";

int main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"config", required_argument, NULL, 'c'},
	    {"check-config", no_argument, NULL, 'C'},
	    {"detach", no_argument, NULL, 'D'},
	    {"verbose", no_argument, NULL, 'v'},
	    {"version", no_argument, NULL, 'V'},
	    {"help", no_argument, NULL, 'h'},
	    {},
	};
	const char *path = NULL;
	bool check = false, detach = false;
	struct config *config;
	int option;

	while ((option = getopt_long(argc, argv, "c:vVh", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			path = optarg;
			break;
		case 'C':
			check = true;
			break;
		case 'D':
			detach = true;
			break;
		case 'v':
			log_set_level(LOG_LEVEL_DEBUG);
			break;
		case 'V':
			printf("peregrined %s\n", PEREGRINE_VERSION);
			return 0;
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			fputs("Try `peregrined --help`.\n", stderr);
			return 2;
		}
	}
	if (!path || optind < argc) {
		fprintf(stderr, "peregrined: %s; try `peregrined --help`\n",
		        path ? "too many arguments" : "no configuration named: -c FILE");
		return 2;
	}
	config = config_load(path, stderr);
	if (!config)
		return 1;
	if (check) {
		printf("%s: no errors, %zu zones\n", path, config->zone_count);
		config_free(config);
		return 0;
	}
	return agent_run(config, detach);
}

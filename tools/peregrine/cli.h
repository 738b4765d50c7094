/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command line tool: what its verbs share. */
#ifndef PEREGRINE_CLI_H
#define PEREGRINE_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1, /* the agent, or the host, said no */
	CLI_USAGE = 2,
	CLI_NOT_RUNNING = 3,
};

#define DEFAULT_STATE "/var/lib/peregrine"

/* Options that not every verb takes. */
enum cli_option { CLI_WAIT = 1, CLI_TIMEOUT = 2, CLI_PINS = 4, CLI_FORCE = 8, CLI_PROBLEMS = 16 };

struct cli {
	char *socket;
	char *pins;
	char *state; /* the state-directory of -c FILE, or NULL */
	bool json;
	bool wait;
	bool force;
	bool problems;
	unsigned timeout; /* seconds */
	unsigned given;   /* of enum cli_option */
};

struct cli_verb {
	const char *name;
	const char *alias_of; /* the other fields are that verb's then */
	enum cli_exit (*run)(const struct cli *cli, int count, char **arguments);
	const char *arguments;   /* for the usage line */
	const char *description; /* one line */
	const char *help;        /* what it shows, an example */
	unsigned options;        /* of enum cli_option */
	int least, most;         /* number of arguments; most -1: any */
};

enum cli_exit verb_status(const struct cli *cli, int count, char **arguments);
enum cli_exit verb_zone_status(const struct cli *cli, int count, char **arguments);
enum cli_exit verb_catalog_status(const struct cli *cli, int count, char **arguments);
enum cli_exit verb_zone_reload(const struct cli *cli, int count, char **arguments);
enum cli_exit verb_zone_retransfer(const struct cli *cli, int count, char **arguments);
enum cli_exit verb_reload(const struct cli *cli, int count, char **arguments);
enum cli_exit verb_stats(const struct cli *cli, int count, char **arguments);
enum cli_exit verb_attach(const struct cli *cli, int count, char **arguments);
enum cli_exit verb_detach(const struct cli *cli, int count, char **arguments);
enum cli_exit verb_explain(const struct cli *cli, int count, char **arguments);

enum cli_exit verb_zone_export(const struct cli *cli, int count, char **arguments);
enum cli_exit verb_zone_diff(const struct cli *cli, int count, char **arguments);

/* zone-status ZONE..., zone-status --problems: verb_zone_detail.c */
enum cli_exit print_zone_details(const json_t *zones);
enum cli_exit print_problems(const json_t *zones);

/* stats ZONE: verb_zone_stats.c */
enum cli_exit print_zone_stats(const json_t *stats);

/* "peregrine: ..." on standard error. */
void cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Asks the agent. Takes over `options` (NULL for none). On CLI_OK `*result` is the caller's; otherwise the reason was
 * written, except that CLI_NOT_RUNNING is silent when `quiet` is set.
 */
enum cli_exit client_ask(const struct cli *cli, const char *verb, int count, char **arguments, json_t *options,
                         bool quiet, json_t **result);

/* Prints the result as it is, for --json, and releases it. */
enum cli_exit cli_print_json(json_t *result);

#endif

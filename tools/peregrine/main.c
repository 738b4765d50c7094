/* SPDX-License-Identifier: GPL-3.0-or-later */
/* peregrine: the tool that speaks with the agent. */
#include "cli.h"
#include "config/config.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SOCKET "/run/peregrine/control.sock"
#define DEFAULT_PINS "/sys/fs/bpf/peregrine"
#define DEFAULT_TIMEOUT 60
#define MOST_TIMEOUT 86400

#define RELOAD_HELP                                                                                                    \
	"Asks the primaries for their serial now, transfers what is newer, and publishes it. Without names, for\n"     \
	"every zone. One line a zone: the serial that is served, and `asked`, `served`, or what went wrong; the "      \
	"exit\n"                                                                                                       \
	"code is 1 if anything did.\n"                                                                                 \
	"\n"                                                                                                           \
	"  --wait             return when the zones are served as the primaries have them\n"                           \
	"  --timeout SECONDS  wait no longer than this (60)\n"                                                         \
	"  --force            serve what is newer even if verification is against it; zones have to be named\n"        \
	"\n"                                                                                                           \
	"Example: peregrine zone-reload --wait --timeout 10 example.org"

static const struct cli_verb verbs[] = {
    {.name = "status",
     .run = verb_status,
     .arguments = "",
     .description = "the agent, its interfaces, zones and memory",
     .help = "Shows version and uptime, each interface with the XDP mode it got and why, the number of zones by\n"
             "state, how many queries the fast path answered and passed on, and the memory in use. The exit code is\n"
             "3 when the agent is not running.\n"
             "\n"
             "Example: peregrine status"},
    {.name = "zone-status",
     .run = verb_zone_status,
     .arguments = "[--problems] [ZONE...]",
     .description = "one line a zone: state, serials, times; what is wrong",
     .help =
         "Shows for each zone its state, the serial served and the one at the primary, the last transfer, the next\n"
         "refresh, when it expires, the number of names, and the primary with the last error. For zones that are\n"
         "named: all that is known, and of each address of their primaries the last attempt, its result and\n"
         "how long each part of it took.\n"
         "\n"
         "States: serving (all is well), loading (no version yet), failing (served, but not as the primaries\n"
         "have it: they do not answer, or their serial is another one for longer than a transfer takes), expired\n"
         "(answered with SERVFAIL until a primary answers).\n"
         "\n"
         "  --problems         one line for each zone with a problem: who is to blame, what is wrong, and what\n"
         "                     to do; the worst first. The exit code is 1 if there is one\n"
         "\n"
         "Example: peregrine zone-status --problems",
     .options = CLI_PROBLEMS,
     .most = -1},
    {.name = "catalog-status",
     .run = verb_catalog_status,
     .arguments = "[CATALOG]",
     .description = "one line a catalog zone: what it lists, what of it is served",
     .help = "Shows for each catalog zone (RFC 9432), or for the one named: whether it is followed (catalog) or made\n"
             "here (produced), the serial that is in force, how many zones it lists, how many of these are served for\n"
             "it, and why its last version is broken, if it is. Below stand members that are left out, and why.\n"
             "\n"
             "Example: peregrine catalog-status catalog.ns.example.net",
     .most = 1},
    {.name = "zone-reload",
     .run = verb_zone_reload,
     .arguments = "[--wait] [--timeout SECONDS] [--force] [ZONE...]",
     .description = "ask the primaries now, transfer what is newer",
     .help = RELOAD_HELP,
     .options = CLI_WAIT | CLI_TIMEOUT | CLI_FORCE,
     .most = -1},
    {.name = "refresh", .alias_of = "zone-reload"},
    {.name = "transfer", .alias_of = "zone-reload"},
    {.name = "zone-retransfer",
     .run = verb_zone_retransfer,
     .arguments = "[--wait] [--timeout SECONDS] [--force] ZONE...",
     .description = "transfer whole zones whatever their serial",
     .help = "Transfers the zones from a primary by AXFR even if the serial is not newer: the way out after a primary\n"
             "has set its serial back. The old version is served until the new one is there.\n"
             "\n"
             "  --wait             return when the zones are served\n"
             "  --timeout SECONDS  wait no longer than this (60)\n"
             "  --force            serve it even if verification is against it\n"
             "\n"
             "Example: peregrine zone-retransfer --wait example.org",
     .options = CLI_WAIT | CLI_TIMEOUT | CLI_FORCE,
     .least = 1,
     .most = -1},
    {.name = "zone-export",
     .run = verb_zone_export,
     .arguments = "ZONE [FILE]",
     .description = "the zone in master-file form",
     .help = "Prints a zone, or writes it to a file, as other nameservers read it. It is taken from the store, where\n"
             "the agent keeps what it serves; so it works when the agent is not running. What came in the last\n"
             "moments may not be there yet. With -c FILE, or from the agent, the store's place is known; otherwise\n"
             "it is " DEFAULT_STATE "/store.\n"
             "\n"
             "Example: peregrine zone-export example.org example.org.zone",
     .least = 1,
     .most = 2},
    {.name = "zone-diff",
     .run = verb_zone_diff,
     .arguments = "ZONE [SERIAL]",
     .description = "what changed in a zone",
     .help =
         "Prints what led from a serial to the present version of a zone, or the last change: each difference with\n"
         "its serials, the records taken away behind a -, those added behind a +. It is read from the journal in\n"
         "the store, which goes back as far as `journal-size` lets it.\n"
         "\n"
         "Example: peregrine zone-diff example.org 2026010101",
     .least = 1,
     .most = 2},
    {.name = "reload",
     .run = verb_reload,
     .arguments = "",
     .description = "read the configuration again, all or nothing",
     .help =
         "Has the agent read its configuration again. If the file has an error, nothing changes and the errors are\n"
         "told; `peregrined --check-config -c FILE` lists them beforehand. Zones are not transferred again.\n"
         "\n"
         "Example: peregrine reload"},
    {.name = "stats",
     .run = verb_stats,
     .arguments = "[ZONE]",
     .description = "counters of fast path and fallback server",
     .help = "Shows the counters since the fast path was loaded and the agent was started: queries answered at the\n"
             "driver by RCODE, those passed on with the reason, and replies of the fallback server. Reading never\n"
             "resets. Counters that are 0 are left out; --json has them all.\n"
             "\n"
             "With a zone: its answers by RCODE and type, over IPv4, IPv6 and TCP, and their octets. A CNAME's answer\n"
             "counts for the zone of the last name that was searched for.\n"
             "\n"
             "Example: peregrine --json stats | jq .fast_path.reasons",
     .most = 1},
    {.name = "attach",
     .run = verb_attach,
     .arguments = "INTERFACE...",
     .description = "put the fast path on interfaces",
     .help = "Puts the fast path on interfaces until the agent next reads its configuration, and shows the XDP mode\n"
             "that each got, and why it is not native. The exit code is 1 if one got none.\n"
             "\n"
             "Example: peregrine attach eth1",
     .least = 1,
     .most = -1},
    {.name = "detach",
     .run = verb_detach,
     .arguments = "[--pins DIRECTORY] [INTERFACE...]",
     .description = "take the fast path off interfaces",
     .help =
         "Takes the fast path off the interfaces named, or off all: queries then go to the fallback server. If the\n"
         "agent is not running, what it left pinned and attached is removed from the host altogether; nothing\n"
         "answers queries then.\n"
         "\n"
         "  --pins DIRECTORY   where an agent that is not running left its pins (pin-directory of -c FILE, or\n"
         "                     " DEFAULT_PINS ")\n"
         "\n"
         "Example: peregrine detach",
     .options = CLI_PINS,
     .most = -1},
    {.name = "explain",
     .run = verb_explain,
     .arguments = "NAME TYPE [+do] [+tcp] [+bufsize=N]",
     .description = "how a query would be answered, and by whom",
     .help = "Tells how a query would be answered, without asking it: whether at the driver, or why the driver passes\n"
             "it to the fallback server; from which zone, name or wildcard; and the RRsets of the reply. TYPE is a\n"
             "name such as AAAA, or TYPE and its number.\n"
             "\n"
             "  +do          with DO set (EDNS)\n"
             "  +bufsize=N   with EDNS and this size for replies; +do alone says 1232\n"
             "  +tcp         over TCP\n"
             "\n"
             "Example: peregrine explain www.example.org AAAA +do",
     .least = 2,
     .most = 5},
};
#define VERB_COUNT (sizeof(verbs) / sizeof(*verbs))

void cli_error(const char *format, ...)
{
	char text[1024];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	for (char *at = text; *at; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			*at = '?';
	fprintf(stderr, "peregrine: %s\n", text);
}

enum cli_exit cli_print_json(json_t *result)
{
	int error = json_dumpf(result, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
	putchar('\n');
	json_decref(result);
	return error ? CLI_FAILED : CLI_OK;
}

static void print_usage(FILE *out)
{
	fputs("usage: peregrine [-s SOCKET | -c FILE] [--json] VERB [ARGUMENTS]\n\n", out);
	for (size_t i = 0; i < VERB_COUNT; i++)
		if (!verbs[i].alias_of)
			fprintf(out, "  %-16s %s\n", verbs[i].name, verbs[i].description);
	fputs("\n"
	      "  -s, --socket SOCKET  control socket of the agent (" DEFAULT_SOCKET ")\n"
	      "  -c, --config FILE    configuration of the agent, which names its run-directory\n"
	      "      --json           print the result as JSON\n"
	      "  -h, --help           this text; `peregrine VERB --help` tells more about a verb\n"
	      "  -V, --version        the version\n"
	      "\n"
	      "Exit codes: 0 done, 1 the agent said no, 2 usage, 3 the agent is not running.\n",
	      out);
}

static void print_verb_help(const struct cli_verb *verb)
{
	printf("usage: peregrine [-s SOCKET | -c FILE] [--json] %s%s%s\n\n%s\n", verb->name,
	       *verb->arguments ? " " : "", verb->arguments, verb->help);
	const char *before = "\nAliases: ";
	for (size_t i = 0; i < VERB_COUNT; i++) {
		if (!verbs[i].alias_of || strcmp(verbs[i].alias_of, verb->name) != 0)
			continue;
		printf("%s%s", before, verbs[i].name);
		before = ", ";
	}
	if (*before == ',')
		putchar('\n');
}

/* --- verbs --- */

static const struct cli_verb *find_verb(const char *name)
{
	for (size_t i = 0; i < VERB_COUNT; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return verbs[i].alias_of ? find_verb(verbs[i].alias_of) : &verbs[i];
	return NULL;
}

/* Levenshtein distance of two short words. */
static size_t distance(const char *left, const char *right)
{
	size_t row[64], columns = strlen(right);
	if (columns >= 64)
		return 64;
	for (size_t j = 0; j <= columns; j++)
		row[j] = j;
	for (size_t i = 1; left[i - 1]; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= columns; j++) {
			size_t best = diagonal + (left[i - 1] != right[j - 1]);
			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[columns];
}

static enum cli_exit unknown_verb(const char *name)
{
	const char *nearest = NULL;
	size_t least = 4; /* further away is a guess */
	for (size_t i = 0; i < VERB_COUNT; i++) {
		size_t length = strlen(name);
		bool begins = length >= 3 && strncmp(verbs[i].name, name, length) == 0;
		size_t far = begins ? 1 : distance(name, verbs[i].name);
		if (far < least) {
			least = far;
			nearest = verbs[i].name;
		}
	}
	if (nearest)
		cli_error("unknown verb %.64s; did you mean `%s`? `peregrine --help` lists the verbs", name, nearest);
	else
		cli_error("unknown verb %.64s; `peregrine --help` lists the verbs", name);
	return CLI_USAGE;
}

/* --- options --- */

static bool parse_timeout(const char *text, unsigned *out)
{
	char *end;
	errno = 0;
	unsigned long value = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || value < 1 || value > MOST_TIMEOUT)
		return false;
	*out = (unsigned)value;
	return true;
}

/* What was given, before the verb is known. */
struct command {
	const char *socket, *config, *pins;
	bool help, version;
};

static enum cli_exit parse_options(int argc, char **argv, struct cli *cli, struct command *command)
{
	enum { JSON = 256, WAIT, TIMEOUT, PINS, FORCE, PROBLEMS };
	static const struct option options[] = {
	    {"socket", required_argument, NULL, 's'},
	    {"config", required_argument, NULL, 'c'},
	    {"json", no_argument, NULL, JSON},
	    {"wait", no_argument, NULL, WAIT},
	    {"timeout", required_argument, NULL, TIMEOUT},
	    {"pins", required_argument, NULL, PINS},
	    {"force", no_argument, NULL, FORCE},
	    {"problems", no_argument, NULL, PROBLEMS},
	    {"help", no_argument, NULL, 'h'},
	    {"version", no_argument, NULL, 'V'},
	    {NULL, 0, NULL, 0},
	};
	int option;
	while ((option = getopt_long(argc, argv, "s:c:hV", options, NULL)) != -1) {
		switch (option) {
		case 's':
			command->socket = optarg;
			break;
		case 'c':
			command->config = optarg;
			break;
		case JSON:
			cli->json = true;
			break;
		case WAIT:
			cli->wait = true;
			cli->given |= CLI_WAIT;
			break;
		case TIMEOUT:
			cli->given |= CLI_TIMEOUT;
			if (!parse_timeout(optarg, &cli->timeout)) {
				cli_error("--timeout %s: write seconds from 1 to %d", optarg, MOST_TIMEOUT);
				return CLI_USAGE;
			}
			break;
		case FORCE:
			cli->force = true;
			cli->given |= CLI_FORCE;
			break;
		case PROBLEMS:
			cli->problems = true;
			cli->given |= CLI_PROBLEMS;
			break;
		case PINS:
			command->pins = optarg;
			cli->given |= CLI_PINS;
			break;
		case 'h':
			command->help = true;
			break;
		case 'V':
			command->version = true;
			break;
		default:
			fputs("`peregrine --help` lists verbs and options\n", stderr);
			return CLI_USAGE;
		}
	}
	return CLI_OK;
}

static const char *option_name(unsigned options)
{
	static const struct {
		enum cli_option option;
		const char *name;
	} names[] = {{CLI_WAIT, "wait"}, {CLI_TIMEOUT, "timeout"}, {CLI_FORCE, "force"}, {CLI_PROBLEMS, "problems"}};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (options & names[i].option)
			return names[i].name;
	return "pins";
}

static enum cli_exit check_usage(const struct cli_verb *verb, const struct cli *cli, int count)
{
	unsigned foreign = cli->given & ~verb->options;
	if (foreign)
		cli_error("%s does not take --%s; see `peregrine %s --help`", verb->name, option_name(foreign),
		          verb->name);
	else if (cli->given & CLI_TIMEOUT && !cli->wait)
		cli_error("--timeout means something with --wait alone; add --wait or leave it out");
	else if (cli->force && count == 0)
		cli_error("--force goes with the zones that it is meant for; name them");
	else if (count < verb->least || (verb->most >= 0 && count > verb->most))
		cli_error("usage: peregrine %s%s%s; see `peregrine %s --help`", verb->name, *verb->arguments ? " " : "",
		          verb->arguments, verb->name);
	else
		return CLI_OK;
	return CLI_USAGE;
}

/* Socket and pin directory: as given, else from the configuration, else where they are by default. */
static enum cli_exit find_paths(const struct command *command, struct cli *cli)
{
	struct config *config = NULL;
	if (command->config) {
		config = config_load(command->config, stderr);
		if (!config) {
			cli_error("%s cannot be used; mend it, or name the agent's socket with -s", command->config);
			return CLI_USAGE;
		}
	}
	int printed = 0;
	if (command->socket || !config)
		cli->socket = strdup(command->socket ? command->socket : DEFAULT_SOCKET);
	else
		printed = asprintf(&cli->socket, "%s/control.sock", config->run_directory);
	if (printed < 0)
		cli->socket = NULL;
	if (config)
		cli->state = strdup(config->state_directory);
	cli->pins = strdup(command->pins ? command->pins : config ? config->pin_directory : DEFAULT_PINS);
	config_free(config);
	if (cli->socket && cli->pins && (cli->state || !command->config))
		return CLI_OK;
	cli_error("out of memory");
	return CLI_FAILED;
}

static enum cli_exit run(int argc, char **argv)
{
	struct cli cli = {.timeout = DEFAULT_TIMEOUT};
	struct command command = {0};
	enum cli_exit exit = parse_options(argc, argv, &cli, &command);
	if (exit != CLI_OK)
		return exit;
	if (command.version) {
		puts("peregrine " PEREGRINE_VERSION);
		return CLI_OK;
	}
	const char *name = optind < argc ? argv[optind] : NULL;
	if (name && strcmp(name, "help") == 0) { /* `peregrine help VERB`, as many are used to */
		command.help = true;
		name = ++optind < argc ? argv[optind] : NULL;
	}
	if (!name) {
		print_usage(command.help ? stdout : stderr);
		return command.help ? CLI_OK : CLI_USAGE;
	}
	const struct cli_verb *verb = find_verb(name);
	if (!verb)
		return unknown_verb(name);
	if (command.help) {
		print_verb_help(verb);
		return CLI_OK;
	}
	int count = argc - optind - 1;
	exit = check_usage(verb, &cli, count);
	if (exit == CLI_OK)
		exit = find_paths(&command, &cli);
	if (exit == CLI_OK)
		exit = verb->run(&cli, count, argv + optind + 1);
	free(cli.socket);
	free(cli.pins);
	free(cli.state);
	return exit;
}

int main(int argc, char **argv)
{
	enum cli_exit exit = run(argc, argv);
	/* A full disk or a closed pipe is found out here. */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		cli_error("cannot write the output: %s", strerror(errno));
		return exit == CLI_OK ? CLI_FAILED : exit;
	}
	return exit;
}

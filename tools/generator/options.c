/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "options.h"

#include "generator_shared.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RATE_MOST 1e7

static void usage(FILE *out)
{
	fputs(
	    "usage: peregrine-generator --interface NAME --queries FILE [options]\n"
	    "       peregrine-generator --interface NAME --reflect [--beside NAME] [--count]\n"
	    "\n"
	    "  --queries FILE     records as in generator_shared.h, of --slot octets each (128)\n"
	    "  --outstanding N    queries under way (128)\n"
	    "  --rate N           so many queries a second instead, whatever comes back\n"
	    "  --flood            as many queries as can be sent, whatever comes back\n"
	    "  --beside NAME      a flood, beside which those from --beside-from N on are asked by this interface, at\n"
	    "                     --rate\n"
	    "  --room OCTETS      the room for a reply that each frame must have\n"
	    "  --warm S           seconds before the time that counts (0.5)\n"
	    "  --seconds S        the time that counts (2)\n"
	    "  --turns            once for each line on standard input, at rest in between\n"
	    "  --cpu N            the serving CPU, whose time is accounted (1)\n"
	    "  --pids N,N...      processes whose time is the server's\n"
	    "  --samples FILE     writes the sampled replies there\n"
	    "  --reflect          be the other end, and that of --beside: reflect until SIGTERM\n"
	    "  --count            as the other end, add up in one place what all CPUs have reflected\n",
	    out);
}

static int take(struct options *options, int letter, char *value)
{
	switch (letter) {
	case 'i':
		options->interface = value;
		return 0;
	case 'q':
		options->queries = value;
		return 0;
	case 'z':
		options->slot = (unsigned)strtoul(value, NULL, 10);
		return 0;
	case 'o':
		options->outstanding = (unsigned)strtoul(value, NULL, 10);
		return 0;
	case 'a':
		options->open = true;
		options->rate = strtod(value, NULL);
		return options->rate >= 1 && options->rate <= RATE_MOST ? 0 : -1;
	case 'f':
		options->open = true;
		return 0;
	case 'b':
		options->beside = value;
		return 0;
	case 'B':
		options->beside_from = (unsigned)strtoul(value, NULL, 10);
		return 0;
	case 'r':
		options->room = (unsigned)strtoul(value, NULL, 10);
		return 0;
	case 'w':
		options->warm = strtod(value, NULL);
		return 0;
	case 's':
		options->seconds = strtod(value, NULL);
		return 0;
	case 'c':
		options->cpu = (unsigned)strtoul(value, NULL, 10);
		return 0;
	case 'p':
		return account_pids(value, options->pids, &options->pid_count);
	case 'S':
		options->samples = value;
		return 0;
	case 't':
		options->turns = true;
		return 0;
	case 'R':
		options->reflect = true;
		return 0;
	case 'C':
		options->count = true;
		return 0;
	default:
		return -1;
	}
}

int options_read(struct options *options, int argc, char **argv)
{
	static const struct option known[] = {{"interface", required_argument, NULL, 'i'},
	                                      {"queries", required_argument, NULL, 'q'},
	                                      {"slot", required_argument, NULL, 'z'},
	                                      {"outstanding", required_argument, NULL, 'o'},
	                                      {"rate", required_argument, NULL, 'a'},
	                                      {"flood", no_argument, NULL, 'f'},
	                                      {"beside", required_argument, NULL, 'b'},
	                                      {"beside-from", required_argument, NULL, 'B'},
	                                      {"room", required_argument, NULL, 'r'},
	                                      {"warm", required_argument, NULL, 'w'},
	                                      {"seconds", required_argument, NULL, 's'},
	                                      {"cpu", required_argument, NULL, 'c'},
	                                      {"pids", required_argument, NULL, 'p'},
	                                      {"samples", required_argument, NULL, 'S'},
	                                      {"turns", no_argument, NULL, 't'},
	                                      {"reflect", no_argument, NULL, 'R'},
	                                      {"count", no_argument, NULL, 'C'},
	                                      {"help", no_argument, NULL, 'h'},
	                                      {0}};
	bool good = true;
	int letter;

	*options =
	    (struct options){.slot = GENERATOR_SLOT_LEAST, .outstanding = 128, .warm = 0.5, .seconds = 2, .cpu = 1};
	while (good && (letter = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		if (letter == 'h') {
			usage(stdout);
			exit(0);
		}
		good = take(options, letter, optarg) == 0;
	}
	if (good && options->interface && options->slot >= GENERATOR_SLOT_LEAST &&
	    (!options->beside || options->reflect || (options->rate > 0 && options->beside_from > 0)) &&
	    options->slot <= GENERATOR_SLOT_MOST && options->outstanding > 0 && options->outstanding <= 4096)
		return 0;
	usage(stderr);
	return -1;
}

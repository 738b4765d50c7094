/* SPDX-License-Identifier: GPL-3.0-or-later */
/* peregrine-bench: measures, and says what came out. */
#include "bench.h"

#include "common/log.h"

#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <urcu/urcu-memb.h>

#define SPREAD_MAX 0.15
#define KINDS_MAX 16
#define QUIET 1.15
#define TRIES 10
/* Targets are multiples of the reflecting program where that took 34 ns, 30 of them the empty run. What a program costs
 * by itself compares better: what it takes above the empty run. */
#define TARGET_REFLECT 34
#define TARGET_EMPTY 30

struct options {
	uint32_t repeat;
	unsigned rounds, tries;
	bool csv, force, stages;
	int cpu;
	const char *only; /* kinds whose name holds this */
};

/* One row of the table. */
struct row {
	char name[40];
	unsigned target; /* ratio to reflect; 0: none */
	struct series ns;
};

struct results {
	struct row alone[2]; /* return, reflect: on a packet that nobody restores */
	struct row restore;  /* bench_restore with nothing behind it */
	double quiet_before; /* the last time of that */
	struct row reflect;  /* by the way all others are measured, as a check of that way */
	struct row kinds[KINDS_MAX][VARIANTS];
	struct row stages[STAGES]; /* of the first kind measured */
};

static struct bench_query queries[BENCH_QUERIES];

static int ask(const struct kind *kind, enum variant variant)
{
	return kind_queries(kind, variant, queries) || world_set_queries(queries, kind->count) ? -1 : 0;
}

static int check(const struct kind *kind, enum variant variant)
{
	if (world_set_measured(world_program(WORLD_PEREGRINE)) || ask(kind, variant))
		return -1;
	if (kind_is_right(kind, variant, queries))
		return 0;
	log_error("%s%s: the program's reply is not the engine's, or not of this kind; nothing is measured", kind->name,
	          variant_names[variant]);
	return -1;
}

static bool is_wanted(const struct options *options, const struct kind *kind, enum variant variant)
{
	return strstr(kind->name, options->only) && (variant == VARIANT_PLAIN || kind->target);
}

static double time_restored(const struct options *options, unsigned program)
{
	return world_set_measured(world_program(program)) ? -1 : world_time_restored(options->repeat);
}

/* Whether the machine was quiet: a time is about the least of its kind. A neighbour on the same core (hyper-threading)
 * makes all of it slower by half, for a second or an hour. */
static bool quiet(const struct series *series, double time)
{
	return time <= QUIET * series_at(series, 0);
}

/* What a program costs behind bench_restore, without that: the difference to the empty program, in the same place and
 * just before, added to what the empty program costs alone. Tried again while the machine is not quiet before and
 * after. */
static int measure(const struct options *options, unsigned program, struct results *results, struct row *row)
{
	double empty = series_at(&results->alone[0].ns, 0);
	double before = 0, with = 0, after = results->quiet_before;

	for (unsigned try = 0; try < options->tries; try++) {
		before = after > 0 ? after : time_restored(options, WORLD_RETURN);
		with = time_restored(options, program);
		after = time_restored(options, WORLD_RETURN);
		if (before < 0 || with < 0 || after < 0) {
			log_error("%s: a run did not end in XDP_TX", row->name);
			return -1;
		}
		series_add(&results->restore.ns, after);
		if (quiet(&results->restore.ns, before) && quiet(&results->restore.ns, after))
			break;
	}
	results->quiet_before = after;
	series_add(&row->ns, with - (before + after) / 2 + empty);
	return 0;
}

/* The reference: programs alone, on a packet that nobody restores. */
static int measure_alone(const struct options *options, struct results *results)
{
	for (unsigned i = 0; i < 2; i++) {
		struct series *series = &results->alone[i].ns;
		double ns = 0;

		for (unsigned try = 0; try < options->tries; try++) {
			ns = world_time_alone(world_program(WORLD_RETURN + i), &queries[0], options->repeat);
			if (ns <= 0)
				return -1;
			if (!series->count || quiet(series, ns))
				break;
		}
		series_add(series, ns);
	}
	return 0;
}

static int measure_stages(const struct options *options, struct results *results)
{
	for (unsigned i = 0; i < STAGES; i++)
		if (measure(options, WORLD_STAGES + i, results, &results->stages[i]))
			return -1;
	return 0;
}

static int measure_round(const struct options *options, struct results *results)
{
	bool first = true;

	if (ask(&kinds[0], VARIANT_PLAIN) || measure_alone(options, results) ||
	    measure(options, WORLD_REFLECT, results, &results->reflect))
		return -1;
	for (size_t i = 0; i < kind_count * VARIANTS; i++) {
		const struct kind *kind = &kinds[i / VARIANTS];
		enum variant variant = i % VARIANTS;

		if (!is_wanted(options, kind, variant))
			continue;
		if (ask(kind, variant) ||
		    measure(options, WORLD_PEREGRINE, results, &results->kinds[i / VARIANTS][variant]))
			return -1;
		if (first && options->stages && measure_stages(options, results))
			return -1;
		first = false;
	}
	return 0;
}

static bool too_wide(const struct row *row)
{
	return series_spread(&row->ns) > SPREAD_MAX;
}

/* Returns whether the row is worth something. `results`: to what ratios are, NULL: no ratio for this row. */
static bool print_row(const struct options *options, const struct row *row, const struct results *results)
{
	const struct row *reflect = results ? &results->alone[1] : NULL;
	bool wide = too_wide(row), refuse = wide || !reflect || too_wide(reflect);
	double least = series_at(&row->ns, 0), median = series_at(&row->ns, 0.5), most = series_at(&row->ns, 1);
	char ratio[16] = "", above[16] = "", target[16] = "", target_above[16] = "";

	if (!row->ns.count)
		return true;
	if (reflect && (!refuse || options->force))
		snprintf(ratio, sizeof(ratio), "%.2f", median / series_at(&reflect->ns, 0.5));
	if (reflect)
		snprintf(above, sizeof(above), "%.0f", least - series_at(&results->alone[0].ns, 0));
	if (row->target) {
		snprintf(target, sizeof(target), "%u", row->target);
		snprintf(target_above, sizeof(target_above), "%u", row->target * TARGET_REFLECT - TARGET_EMPTY);
	}
	if (options->csv)
		printf("\"%s\",%.0f,%.0f,%.0f,%.3f,%s,%s,%s,%s\n", row->name, least, median, most,
		       series_spread(&row->ns), ratio, target, above, target_above);
	else
		printf("%-36s %7.0f %7.0f %7.0f %6.1f %%  %8s %6s %7s %7s%s\n", row->name, least, median, most,
		       100 * series_spread(&row->ns), ratio, target, above, target_above,
		       wide && reflect ? "  spread too wide" : "");
	return !reflect || !refuse;
}

static int print_results(const struct options *options, const struct results *results)
{
	bool good = true;

	if (options->csv)
		printf("what,min_ns,median_ns,max_ns,spread,ratio,target_ratio,above_ns,target_above_ns\n");
	else
		printf("%-36s %7s %7s %7s %8s  %8s %6s %7s %7s\n", "ns a packet", "min", "median", "max", "spread",
		       "ratio", "target", "above", "target");
	print_row(options, &results->alone[0], NULL);
	good &= print_row(options, &results->alone[1], results);
	print_row(options, &results->restore, NULL);
	print_row(options, &results->reflect, NULL);
	for (size_t i = 0; i < kind_count * VARIANTS; i++)
		good &= print_row(options, &results->kinds[i / VARIANTS][i % VARIANTS], results);
	for (size_t i = 0; i < STAGES; i++)
		good &= print_row(options, &results->stages[i], results);
	fflush(stdout);
	if (good || options->force)
		return 0;
	fprintf(stderr,
	        "peregrine-bench: where the quartiles of the rounds lie more than %.0f %% apart no ratio is given: "
	        "something else is running; --force gives it all the same\n",
	        100 * SPREAD_MAX);
	return 1;
}

static void name_rows(struct results *results)
{
	strcpy(results->alone[0].name, "return XDP_TX");
	strcpy(results->alone[1].name, "reflect");
	strcpy(results->restore.name, "(restoring the query)");
	strcpy(results->reflect.name, "reflect, behind restoring");
	for (size_t i = 0; i < kind_count * VARIANTS; i++) {
		const struct kind *kind = &kinds[i / VARIANTS];
		struct row *row = &results->kinds[i / VARIANTS][i % VARIANTS];

		snprintf(row->name, sizeof(row->name), "%s%s", kind->name, variant_names[i % VARIANTS]);
		row->target = kind->target ? kind->target + variant_targets[i % VARIANTS] : 0;
	}
	for (size_t i = 0; i < STAGES; i++)
		snprintf(results->stages[i].name, sizeof(results->stages[i].name), "  up to stage '%s'",
		         stage_names[i]);
}

static int run(const struct options *options)
{
	static struct results results;

	name_rows(&results);
	for (size_t i = 0; i < kind_count * VARIANTS; i++)
		if (is_wanted(options, &kinds[i / VARIANTS], i % VARIANTS) && check(&kinds[i / VARIANTS], i % VARIANTS))
			return 1;
	for (unsigned round = 0; round < options->rounds; round++)
		if (measure_round(options, &results))
			return 1;
	return print_results(options, &results);
}

static const char usage[] =
    "usage: peregrine-bench [--quick] [--stages] [--csv] [--force] [--repeat N] [--rounds N] [--cpu N]\n"
    "                       [--only KIND]\n"
    "\n"
    "Measures what a reply of the fast path costs in the kernel (BPF_PROG_TEST_RUN), beside a program that only\n"
    "reflects the packet. Needs root. Leaves nothing behind.\n"
    "\n"
    "  --quick     some seconds, for tests\n"
    "  --stages    the first kind of answer stage by stage, too\n"
    "  --csv       comma-separated values instead of a table\n"
    "  --force     give ratios and exit 0 even where rounds differ too much\n"
    "  --repeat N  runs a measurement (500000)\n"
    "  --rounds N  rounds, each of all measurements; up to 64 (11)\n"
    "  --cpu N     the CPU to run on (the last one)\n"
    "  --only KIND only kinds of answers whose name holds KIND\n";

static void parse_options(int argc, char **argv, struct options *options)
{
	static const struct option long_options[] = {
	    {"quick", no_argument, NULL, 'q'},        {"stages", no_argument, NULL, 's'},
	    {"csv", no_argument, NULL, 'c'},          {"force", no_argument, NULL, 'f'},
	    {"repeat", required_argument, NULL, 'n'}, {"rounds", required_argument, NULL, 'r'},
	    {"cpu", required_argument, NULL, 'u'},    {"only", required_argument, NULL, 'o'},
	    {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		if (option == 'q')
			options->repeat = 40000, options->rounds = 3, options->tries = 3, world_batches = 1;
		else if (option == 's')
			options->stages = true;
		else if (option == 'c')
			options->csv = true;
		else if (option == 'f')
			options->force = true;
		else if (option == 'n')
			options->repeat = strtoul(optarg, NULL, 0);
		else if (option == 'r')
			options->rounds = strtoul(optarg, NULL, 0);
		else if (option == 'u')
			options->cpu = atoi(optarg);
		else if (option == 'o')
			options->only = optarg;
		else {
			fputs(usage, option == 'h' ? stdout : stderr);
			exit(option == 'h' ? 0 : 2);
		}
	}
	if (optind < argc || options->repeat < 1000 || options->rounds < 1 || options->rounds > 64) {
		fputs(usage, stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct options options = {
	    .repeat = 500000, .rounds = 11, .tries = TRIES, .only = "", .cpu = sysconf(_SC_NPROCESSORS_ONLN) - 1};
	cpu_set_t cpus;
	int status = 1;

	parse_options(argc, argv, &options);
	log_set_level(LOG_LEVEL_WARNING);
	urcu_memb_register_thread();
	CPU_ZERO(&cpus);
	CPU_SET(options.cpu, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		log_error("CPU %d cannot be used", options.cpu);
	else if (world_open() == 0)
		status = run(&options);
	world_close();
	return status;
}

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

struct options {
	uint32_t repeat;
	unsigned rounds;
	bool csv, force, stages;
	int cpu;
};

/* One row of the table. */
struct row {
	char name[40];
	struct series ns;
	struct series ratio; /* to the reflecting program of the same round */
};

struct results {
	struct row alone[2]; /* return, reflect: on a packet that nobody restores */
	struct row restore;  /* bench_restore with nothing behind it */
	struct row reflect;  /* by the way all others are measured, as a check of that way */
	struct row kinds[KINDS_MAX];
	struct row stages[STAGES];
};

static struct bench_query queries[KINDS_MAX][BENCH_QUERIES];

static int check(const struct kind *kind, const struct bench_query *of_kind)
{
	if (world_set_measured(world_program(WORLD_PEREGRINE)) || world_set_queries(of_kind, kind->count))
		return -1;
	if (kind_is_right(kind, of_kind))
		return 0;
	log_error("%s: the program's reply is not the engine's, or not of this kind; nothing is measured", kind->name);
	return -1;
}

/* What a program costs behind bench_restore, without that: the difference to the empty program, in the same place and just
 * before, added to what the empty program costs alone. */
static int measure(const struct options *options, int program, double empty, struct row *row, double reflect,
                   struct row *restore)
{
	double without, with;

	if (world_set_measured(world_program(WORLD_RETURN)))
		return -1;
	without = world_time_restored(options->repeat);
	if (world_set_measured(program))
		return -1;
	with = world_time_restored(options->repeat);
	if (without < 0 || with < 0) {
		log_error("%s: a run did not end in XDP_TX", row->name);
		return -1;
	}
	series_add(&restore->ns, without);
	series_add(&row->ns, with - without + empty);
	series_add(&row->ratio, (with - without + empty) / reflect);
	return 0;
}

static int measure_round(const struct options *options, struct results *results)
{
	const struct bench_query *query = &queries[0][0];
	double empty = world_time_alone(world_program(WORLD_RETURN), query, options->repeat);
	double reflect = world_time_alone(world_program(WORLD_REFLECT), query, options->repeat);

	if (empty <= 0 || reflect <= 0)
		return -1;
	series_add(&results->alone[0].ns, empty);
	series_add(&results->alone[1].ns, reflect);
	series_add(&results->alone[1].ratio, 1);
	for (size_t i = 0; i < kind_count; i++) {
		if (world_set_queries(queries[i], kinds[i].count))
			return -1;
		if (i == 0 && measure(options, world_program(WORLD_REFLECT), empty, &results->reflect, reflect,
		                      &results->restore))
			return -1;
		if (measure(options, world_program(WORLD_PEREGRINE), empty, &results->kinds[i], reflect,
		            &results->restore))
			return -1;
		for (unsigned j = 0; i == 0 && options->stages && j < STAGES; j++)
			if (measure(options, world_program(WORLD_STAGES + j), empty, &results->stages[j], reflect,
			            &results->restore))
				return -1;
	}
	return 0;
}

static bool too_wide(const struct row *row)
{
	return series_spread(&row->ns) > SPREAD_MAX;
}

/* Returns whether the row is worth something. */
static bool print_row(const struct options *options, const struct row *row, bool reflect_is_wide)
{
	bool wide = too_wide(row), refuse = (wide || reflect_is_wide) && !options->force;
	double median = series_at(&row->ns, 0.5);
	char ratio[48] = "";

	if (!row->ns.count)
		return true;
	if (row->ratio.count && !refuse)
		snprintf(ratio, sizeof(ratio), "%.2f", series_at(&row->ratio, 0.5));
	if (options->csv) {
		printf("\"%s\",%.0f,%.0f,%.0f,%.3f,%s\n", row->name, series_at(&row->ns, 0), median,
		       series_at(&row->ns, 1), series_spread(&row->ns), ratio);
	} else {
		printf("%-36s %7.0f %7.0f %7.0f %6.1f %%  %8s%s\n", row->name, series_at(&row->ns, 0), median,
		       series_at(&row->ns, 1), 100 * series_spread(&row->ns), ratio,
		       wide ? "  spread too wide" : "");
	}
	return !wide;
}

static int print_results(const struct options *options, const struct results *results)
{
	bool wide = too_wide(&results->alone[1]), good = true;

	if (options->csv)
		printf("what,min_ns,median_ns,max_ns,spread,ratio\n");
	else
		printf("%-36s %7s %7s %7s %8s  %8s\n", "ns a packet", "min", "median", "max", "spread", "ratio");
	good &= print_row(options, &results->alone[0], wide);
	good &= print_row(options, &results->alone[1], wide);
	good &= print_row(options, &results->restore, wide);
	good &= print_row(options, &results->reflect, wide);
	for (size_t i = 0; i < kind_count; i++)
		good &= print_row(options, &results->kinds[i], wide);
	for (size_t i = 0; i < STAGES; i++)
		good &= print_row(options, &results->stages[i], wide);
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
	for (size_t i = 0; i < kind_count; i++)
		snprintf(results->kinds[i].name, sizeof(results->kinds[i].name), "%s", kinds[i].name);
	for (size_t i = 0; i < STAGES; i++)
		snprintf(results->stages[i].name, sizeof(results->stages[i].name), "A, up to stage '%s'", stage_names[i]);
}

static int run(const struct options *options)
{
	static struct results results;

	name_rows(&results);
	for (size_t i = 0; i < kind_count; i++) {
		kind_queries(&kinds[i], queries[i]);
		if (check(&kinds[i], queries[i]))
			return 1;
	}
	for (unsigned round = 0; round < options->rounds; round++)
		if (measure_round(options, &results))
			return 1;
	return print_results(options, &results);
}

static const char usage[] =
	"usage: peregrine-bench [--quick] [--stages] [--csv] [--force] [--repeat N] [--rounds N] [--cpu N]\n"
	"\n"
	"Measures what a reply of the fast path costs in the kernel (BPF_PROG_TEST_RUN), beside a program that only\n"
	"reflects the packet. Needs root. Leaves nothing behind.\n"
	"\n"
	"  --quick     some seconds, for tests\n"
	"  --stages    a positive answer stage by stage, too\n"
	"  --csv       comma-separated values instead of a table\n"
	"  --force     give ratios and exit 0 even where rounds differ too much\n"
	"  --repeat N  runs a measurement (1000000)\n"
	"  --rounds N  rounds, each of all measurements; up to 64 (11)\n"
	"  --cpu N     the CPU to run on (the last one)\n";

static void parse_options(int argc, char **argv, struct options *options)
{
	static const struct option long_options[] = {
		{"quick", no_argument, NULL, 'q'},        {"stages", no_argument, NULL, 's'},
		{"csv", no_argument, NULL, 'c'},          {"force", no_argument, NULL, 'f'},
		{"repeat", required_argument, NULL, 'n'}, {"rounds", required_argument, NULL, 'r'},
		{"cpu", required_argument, NULL, 'u'},    {"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		if (option == 'q')
			*options = (struct options){50000, 5, options->csv, options->force, options->stages, options->cpu};
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
	struct options options = {.repeat = 1000000, .rounds = 11, .cpu = sysconf(_SC_NPROCESSORS_ONLN) - 1};
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

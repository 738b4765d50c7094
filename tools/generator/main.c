/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * peregrine-generator: asks a server as fast as it answers, and counts; or stands in for the fastest server there can
 * be.
 *
 * Run in the client's network namespace. The interface's XDP program is put back when it is done.
 */
#include "account.h"
#include "generator_shared.h"

#include "generator.skel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FRAME_FIRST 1514 /* of an injected frame, before its query is laid into it */
#define DRAIN 0.2
#define CHUNK 0.02

struct options {
	const char *interface, *queries, *samples;
	unsigned slot, outstanding, room, cpu;
	double warm, seconds;
	bool reflect;
	int pids[ACCOUNT_TASKS];
	unsigned pid_count;
};

struct run {
	struct generator_bpf *programs;
	int interface;
	int before; /* the program that was on the interface; -1: none */
	uint32_t query_count;
};

static volatile sig_atomic_t ended;

static void end(int number)
{
	ended = 1;
}

static void fail(const char *what)
{
	fprintf(stderr, "peregrine-generator: %s: %s\n", what, strerror(errno));
}

static void rest(double seconds)
{
	const struct timespec time = {.tv_sec = (time_t)seconds,
	                              .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};

	nanosleep(&time, NULL);
}

static uint64_t monotonic(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int read_queries(struct run *run, const struct options *options)
{
	FILE *file = fopen(options->queries, "re");
	size_t size = (size_t)options->slot * run->query_count;
	void *place;
	int failed;

	place = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(run->programs->maps.queries), 0);
	if (!file || place == MAP_FAILED) {
		fail(options->queries);
		return -1;
	}
	failed = fread(place, options->slot, run->query_count, file) != run->query_count;
	fclose(file);
	munmap(place, size);
	if (failed)
		fprintf(stderr, "peregrine-generator: %s: it ends too early\n", options->queries);
	return failed ? -1 : 0;
}

static int count_queries(struct run *run, const struct options *options)
{
	struct stat found;

	run->query_count = 1;
	if (options->reflect)
		return 0;
	if (!options->queries || stat(options->queries, &found)) {
		fail(options->queries ? options->queries : "--queries is missing");
		return -1;
	}
	run->query_count = (uint32_t)(found.st_size / options->slot);
	if (run->query_count == 0 || run->query_count > GENERATOR_QUERIES || found.st_size % options->slot) {
		fprintf(stderr, "peregrine-generator: %s: not a file of 1 to %u records of %u octets\n",
		        options->queries, GENERATOR_QUERIES, options->slot);
		return -1;
	}
	return 0;
}

static int load(struct run *run, const struct options *options)
{
	run->programs = generator_bpf__open();
	if (!run->programs)
		return -1;
	run->programs->rodata->interface = run->interface;
	run->programs->rodata->query_count = run->query_count;
	run->programs->rodata->frame_most = options->slot - GENERATOR_HEAD;
	run->programs->rodata->room = options->room;
	if (bpf_map__set_value_size(run->programs->maps.queries, options->slot) ||
	    bpf_map__set_max_entries(run->programs->maps.queries, run->query_count) ||
	    generator_bpf__load(run->programs)) {
		fail("its programs cannot be loaded");
		return -1;
	}
	return 0;
}

static int attach(struct run *run, const struct bpf_program *program)
{
	uint32_t id = 0;

	bpf_xdp_query_id(run->interface, XDP_FLAGS_DRV_MODE, &id);
	run->before = id ? bpf_prog_get_fd_by_id(id) : -1;
	if (bpf_xdp_attach(run->interface, bpf_program__fd(program), XDP_FLAGS_DRV_MODE, NULL)) {
		fail("its program cannot be attached");
		return -1;
	}
	return 0;
}

static void detach(const struct run *run)
{
	bpf_xdp_attach(run->interface, run->before, XDP_FLAGS_DRV_MODE, NULL);
	if (run->before >= 0)
		close(run->before);
}

static int inject(const struct run *run, unsigned count)
{
	static uint8_t frame[FRAME_FIRST];
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = sizeof(frame), .repeat = (int)count,
	            .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = 64);

	if (count == 0)
		return 0;
	if (bpf_prog_test_run_opts(bpf_program__fd(run->programs->progs.inject), &options)) {
		fail("frames cannot be injected");
		return -1;
	}
	return 0;
}

/* Waits, and puts in anew what the loop has dropped for want of room. */
static int go_on(const struct run *run, double seconds, uint64_t *refilled)
{
	for (double waited = 0; waited < seconds && !ended; waited += CHUNK) {
		uint64_t lost = run->programs->bss->without_room;

		rest(CHUNK);
		if (inject(run, (unsigned)(lost - *refilled)))
			return -1;
		*refilled = lost;
	}
	return 0;
}

static void write_samples(const struct run *run, const char *path)
{
	FILE *file = fopen(path, "we");
	struct generator_sample sample;

	if (!file) {
		fail(path);
		return;
	}
	for (uint32_t i = 0; i <= GENERATOR_SAMPLES; i++)
		if (!bpf_map_lookup_elem(bpf_map__fd(run->programs->maps.samples), &i, &sample))
			fwrite(&sample, sizeof(sample), 1, file);
	fclose(file);
}

static void print(const struct run *run, const struct account *from, const struct account *to,
                  const struct generator_bpf__bss *first, const struct generator_bpf__bss *last)
{
	const struct generator_bpf__bss *all = run->programs->bss;
	json_t *made = json_pack(
	    "{s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f}", "seconds", to->now - from->now, "replies",
	    (json_int_t)(last->replies - first->replies), "octets", (json_int_t)(last->octets - first->octets), "wrong",
	    (json_int_t)all->wrong, "strange", (json_int_t)all->strange, "truncated",
	    (json_int_t)(last->truncated - first->truncated), "lost", (json_int_t)(all->sent - all->replies),
	    "without_room", (json_int_t)all->without_room, "busy", to->busy - from->busy, "idle", to->idle - from->idle,
	    "stolen", to->stolen - from->stolen, "tasks", to->tasks - from->tasks);

	json_dumpf(made, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(made);
}

static int measure(const struct run *run, const struct options *options)
{
	struct generator_bpf__bss *counts = run->programs->bss;
	struct generator_bpf__bss first, last;
	struct account from, to;
	uint64_t refilled = 0;

	/* The loop's own end, some seconds after the latest at which it should be ended from here. */
	counts->deadline = monotonic() + (uint64_t)((options->warm + options->seconds + 10) * 1e9);
	if (inject(run, options->outstanding) || go_on(run, options->warm, &refilled))
		return -1;
	account_take(&from, (int)options->cpu, options->pids, options->pid_count);
	first = *counts;
	if (go_on(run, options->seconds, &refilled))
		return -1;
	last = *counts;
	account_take(&to, (int)options->cpu, options->pids, options->pid_count);
	counts->stop = true;
	rest(DRAIN);
	if (ended)
		return -1;
	print(run, &from, &to, &first, &last);
	if (options->samples)
		write_samples(run, options->samples);
	return 0;
}

static int parse_pids(struct options *options, char *text)
{
	for (char *word = strtok(text, ","); word; word = strtok(NULL, ",")) {
		if (options->pid_count == ACCOUNT_TASKS)
			return -1;
		options->pids[options->pid_count++] = (int)strtol(word, NULL, 10);
	}
	return 0;
}

static void usage(FILE *out)
{
	fputs("usage: peregrine-generator --interface NAME --queries FILE [options]\n"
	      "       peregrine-generator --interface NAME --reflect\n"
	      "\n"
	      "  --queries FILE     records as in generator_shared.h, of --slot octets each (128)\n"
	      "  --outstanding N    queries under way (128)\n"
	      "  --room OCTETS      the room for a reply that each frame must have\n"
	      "  --warm S           seconds before the time that counts (0.5)\n"
	      "  --seconds S        the time that counts (2)\n"
	      "  --cpu N            the serving CPU, whose time is accounted (1)\n"
	      "  --pids N,N...      processes whose time is the server's\n"
	      "  --samples FILE     writes the sampled replies there\n"
	      "  --reflect          be the other end: reflect until SIGTERM\n",
	      out);
}

static int parse(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {{"interface", required_argument, NULL, 'i'},
	                                      {"queries", required_argument, NULL, 'q'},
	                                      {"slot", required_argument, NULL, 'z'},
	                                      {"outstanding", required_argument, NULL, 'o'},
	                                      {"room", required_argument, NULL, 'r'},
	                                      {"warm", required_argument, NULL, 'w'},
	                                      {"seconds", required_argument, NULL, 's'},
	                                      {"cpu", required_argument, NULL, 'c'},
	                                      {"pids", required_argument, NULL, 'p'},
	                                      {"samples", required_argument, NULL, 'S'},
	                                      {"reflect", no_argument, NULL, 'R'},
	                                      {"help", no_argument, NULL, 'h'},
	                                      {0}};
	int letter;

	while ((letter = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		switch (letter) {
		case 'i':
			options->interface = optarg;
			break;
		case 'q':
			options->queries = optarg;
			break;
		case 'z':
			options->slot = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'o':
			options->outstanding = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'r':
			options->room = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'w':
			options->warm = strtod(optarg, NULL);
			break;
		case 's':
			options->seconds = strtod(optarg, NULL);
			break;
		case 'c':
			options->cpu = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'p':
			if (parse_pids(options, optarg))
				return -1;
			break;
		case 'S':
			options->samples = optarg;
			break;
		case 'R':
			options->reflect = true;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			return -1;
		}
	}
	return options->interface && options->slot >= GENERATOR_SLOT_LEAST && options->slot <= GENERATOR_SLOT_MOST &&
	               options->outstanding > 0 && options->outstanding <= 4096
	           ? 0
	           : -1;
}

static int reflect(struct run *run)
{
	sigset_t none;

	if (attach(run, run->programs->progs.reflect))
		return 1;
	sigemptyset(&none);
	while (!ended)
		sigsuspend(&none);
	detach(run);
	return 0;
}

static int generate(struct run *run, const struct options *options)
{
	int failed = 1;

	if (read_queries(run, options))
		return 1;
	if (attach(run, run->programs->progs.turn))
		return 1;
	failed = measure(run, options) != 0;
	run->programs->bss->stop = true;
	detach(run);
	return failed;
}

int main(int argc, char **argv)
{
	struct options options = {
	    .slot = GENERATOR_SLOT_LEAST, .outstanding = 128, .warm = 0.5, .seconds = 2, .cpu = 1};
	struct sigaction action = {.sa_handler = end};
	struct run run = {.before = -1};
	int status = 1;

	if (parse(argc, argv, &options)) {
		usage(stderr);
		return 2;
	}
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	run.interface = (int)if_nametoindex(options.interface);
	if (run.interface == 0) {
		fail(options.interface);
		return 1;
	}
	if (!count_queries(&run, &options) && !load(&run, &options))
		status = options.reflect ? reflect(&run) : generate(&run, &options);
	generator_bpf__destroy(run.programs);
	return status;
}

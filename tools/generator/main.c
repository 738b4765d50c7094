/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * peregrine-generator: asks a server as fast as it answers, or at a rate, and counts; or stands in for the fastest
 * server there can be.
 *
 * Run in the client's network namespace. The interface's XDP program is put back when it is done.
 */
#include "account.h"
#include "generator_shared.h"
#include "latency.h"
#include "options.h"

#include "generator.skel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FRAME_FIRST 1514 /* of an injected frame, before its query is laid into it */
/* Seconds until what is under way has come back: of a closed loop that is little. */
#define DRAIN 0.1
#define DRAIN_CLOSED 0.02
#define CHUNK 0.02
#define BATCH 64
#define RUNS INT_MAX    /* of the program that sends an open loop: until it is told to end */
#define LATE 20000      /* nanoseconds: what else is sent at once would be waiting for itself */
#define LATE_BESIDE 5e6 /* who asks so slowly fills no queue */

struct run {
	struct generator_bpf *programs;
	int interface, beside;     /* 0: there is no second one */
	int before, before_beside; /* the programs that were on the interfaces; -1: none */
	uint32_t query_count;
};

static volatile sig_atomic_t ended;

static void end(int number)
{
	ended = 1;
}

static void wake(int number)
{
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

static bool is_timed(const struct run *run)
{
	return run->programs->rodata->interval && !run->beside;
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
	run->programs->rodata->open_loop = options->open;
	run->programs->rodata->interval = options->rate > 0 ? (uint32_t)(1e9 / options->rate) : 0;
	run->programs->rodata->late = run->beside ? (uint32_t)LATE_BESIDE : LATE;
	run->programs->rodata->beside = run->beside;
	run->programs->rodata->count_all = options->count;
	run->programs->rodata->beside_from = run->beside ? options->beside_from : ~0u;
	if (bpf_map__set_value_size(run->programs->maps.queries, options->slot) ||
	    bpf_map__set_max_entries(run->programs->maps.queries, run->query_count) ||
	    bpf_map__set_max_entries(run->programs->maps.sent_at, run->query_count) ||
	    (is_timed(run) &&
	     bpf_map__set_max_entries(run->programs->maps.steps, GENERATOR_WINDOWS * GENERATOR_STEPS)) ||
	    generator_bpf__load(run->programs)) {
		fail("its programs cannot be loaded");
		return -1;
	}
	return 0;
}

static int attach(int interface, int *before, const struct bpf_program *program)
{
	uint32_t id = 0;

	bpf_xdp_query_id(interface, XDP_FLAGS_DRV_MODE, &id);
	*before = id ? bpf_prog_get_fd_by_id(id) : -1;
	if (bpf_xdp_attach(interface, bpf_program__fd(program), XDP_FLAGS_DRV_MODE, NULL)) {
		fail("its program cannot be attached");
		return -1;
	}
	return 0;
}

static void detach(int interface, int before)
{
	bpf_xdp_attach(interface, before, XDP_FLAGS_DRV_MODE, NULL);
	if (before >= 0)
		close(before);
}

/* Runs a program on so many frames of its own. What is sent leaves with the batch that it belongs to. */
static int run_on_frames(const struct bpf_program *program, unsigned count, unsigned batch)
{
	static uint8_t frame[FRAME_FIRST];
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = sizeof(frame), .repeat = (int)count,
	            .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = batch);

	if (count == 0)
		return 0;
	if (bpf_prog_test_run_opts(bpf_program__fd(program), &options) && errno != EINTR) {
		fail("frames cannot be injected");
		return -1;
	}
	return 0;
}

static int inject(const struct run *run, unsigned count)
{
	return run_on_frames(run->programs->progs.inject, count, BATCH);
}

/* What is seen while the programs run. */
struct seen {
	uint64_t refilled;
	double fastest; /* replies a second, of the fastest chunk */
};

/* Waits, and puts in anew what the loop has dropped for want of room. */
static int go_on(const struct run *run, double seconds, struct seen *seen)
{
	const struct generator_bpf__bss *counts = run->programs->bss;

	for (double waited = 0; waited < seconds && !ended; waited += CHUNK) {
		uint64_t lost = counts->without_room, before = counts->replies, since = monotonic();
		double rate;

		rest(CHUNK);
		rate = (double)(counts->replies - before) * 1e9 / (double)(monotonic() - since);
		if (rate > seen->fastest)
			seen->fastest = rate;
		if (!run->programs->rodata->open_loop && inject(run, (unsigned)(lost - seen->refilled)))
			return -1;
		seen->refilled = lost;
	}
	return 0;
}

/* The thread of an open loop. A second call would leave a gap of tens of milliseconds, so there is one, which ends by a
 * signal. What is timed leaves within some microseconds, most runs of a batch sending nothing. Smaller batches wake the
 * server more often, which takes the busy loop longer than all else: with half of this one the server is not the limit.
 */
static void *send_open(void *argument)
{
	const struct run *run = argument;

	run_on_frames(run->programs->progs.pace, RUNS, BATCH);
	return NULL;
}

static void end_open(pthread_t thread)
{
	/* A signal that comes before the call would be lost. */
	while (pthread_tryjoin_np(thread, NULL) == EBUSY) {
		pthread_kill(thread, SIGUSR1);
		rest(CHUNK);
	}
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
                  const struct generator_bpf__bss *first, const struct generator_bpf__bss *last, double fastest,
                  json_t *times)
{
	const struct generator_bpf__bss *all = run->programs->bss;
	uint64_t lost = all->sent - all->replies;
	json_t *made = json_pack(
	    "{s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f}", "seconds",
	    to->now - from->now, "sent", (json_int_t)(last->sent - first->sent), "replies",
	    (json_int_t)(last->replies - first->replies), "octets", (json_int_t)(last->octets - first->octets), "wrong",
	    (json_int_t)all->wrong, "strange", (json_int_t)all->strange, "truncated",
	    (json_int_t)(last->truncated - first->truncated), "lost", (json_int_t)lost, "without_room",
	    (json_int_t)all->without_room, "skipped", (json_int_t)(last->skipped - first->skipped), "beside_sent",
	    (json_int_t)all->beside_sent, "beside_lost", (json_int_t)(all->beside_sent - all->beside_replies), "busy",
	    to->busy - from->busy, "idle", to->idle - from->idle, "stolen", to->stolen - from->stolen, "tasks",
	    to->tasks - from->tasks, "fastest", fastest);

	if (times)
		json_object_update_new(made, times);
	json_dumpf(made, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(made);
}

static void take_all(const struct run *run, const struct options *options, struct account *account,
                     struct generator_bpf__bss *counts)
{
	account_take(account, (int)options->cpu, options->pids, options->pid_count);
	*counts = *run->programs->bss;
}

/* The warm part and the one that counts, between two accounts; queries are sent meanwhile. */
static int watch(const struct run *run, const struct options *options)
{
	struct generator_bpf__bss first, last;
	struct account from, to;
	struct seen seen = {0};

	if (go_on(run, options->warm, &seen))
		return -1;
	run->programs->bss->begun = monotonic();
	take_all(run, options, &from, &first);
	if (go_on(run, options->seconds, &seen))
		return -1;
	take_all(run, options, &to, &last);
	run->programs->bss->stop = true;
	rest(options->open ? DRAIN : DRAIN_CLOSED);
	if (ended)
		return -1;
	print(run, &from, &to, &first, &last, seen.fastest,
	      is_timed(run) ? latency_of(run->programs, to.now - from.now) : NULL);
	return 0;
}

static int measure(const struct run *run, const struct options *options)
{
	struct generator_bpf__bss *counts = run->programs->bss;
	pthread_t thread;
	int failed;

	/* Another turn goes on with the query that is next. */
	*counts = (struct generator_bpf__bss){.next = counts->next, .beside_next = counts->beside_next};
	/* A closed loop's own end, some seconds after the latest at which it should be ended from here. */
	counts->deadline = monotonic() + (uint64_t)((options->warm + options->seconds + 10) * 1e9);
	counts->due = monotonic();
	if (!options->open && inject(run, options->outstanding))
		return -1;
	if (options->open && pthread_create(&thread, NULL, send_open, (void *)run))
		return -1;
	failed = watch(run, options);
	counts->stop = true;
	if (options->open)
		end_open(thread);
	if (!failed && options->samples)
		write_samples(run, options->samples);
	return failed;
}

static int measure_in_turns(const struct run *run, const struct options *options)
{
	char line[16];

	while (fgets(line, sizeof(line), stdin))
		if (measure(run, options) || fflush(stdout))
			return -1;
	return ended ? -1 : 0;
}

static int reflect(struct run *run)
{
	const struct bpf_program *program = run->programs->progs.reflect;
	int failed;
	sigset_t none;

	if (attach(run->interface, &run->before, program))
		return 1;
	failed = run->beside && attach(run->beside, &run->before_beside, program);
	sigemptyset(&none);
	while (!failed && !ended)
		sigsuspend(&none);
	if (run->beside && !failed)
		detach(run->beside, run->before_beside);
	detach(run->interface, run->before);
	return failed;
}

static int generate(struct run *run, const struct options *options)
{
	const struct bpf_program *turn = run->programs->progs.turn;
	int failed = 1;

	if (read_queries(run, options))
		return 1;
	if (attach(run->interface, &run->before, turn))
		return 1;
	if (!run->beside || !attach(run->beside, &run->before_beside, turn)) {
		failed = (options->turns ? measure_in_turns(run, options) : measure(run, options)) != 0;
		run->programs->bss->stop = true;
		if (run->beside)
			detach(run->beside, run->before_beside);
	}
	detach(run->interface, run->before);
	return failed;
}

int main(int argc, char **argv)
{
	struct options options;
	struct sigaction action = {.sa_handler = end};
	struct run run = {.before = -1};
	int status = 1;

	if (options_read(&options, argc, argv))
		return 2;
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	action.sa_handler = wake;
	sigaction(SIGUSR1, &action, NULL);
	run.interface = (int)if_nametoindex(options.interface);
	run.beside = options.beside ? (int)if_nametoindex(options.beside) : 0;
	if (run.interface == 0 || (options.beside && run.beside == 0)) {
		fail(options.interface);
		return 1;
	}
	if (!count_queries(&run, &options) && !load(&run, &options))
		status = options.reflect ? reflect(&run) : generate(&run, &options);
	generator_bpf__destroy(run.programs);
	return status;
}

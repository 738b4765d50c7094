/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * peregrine-verifier: what the running kernel's verifier does with each program, and whether that is near to its limit.
 *
 *     peregrine-verifier                 prints a line a program, as tests/bpf/verifier.txt has them
 *     peregrine-verifier --check FILE    compares with FILE; exit 1 when a program takes more than it may
 */
#include "ingress.skel.h"
#include "peregrine.skel.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#define LOG_STATS 4 /* BPF_LOG_STATS of the kernel: the figures, without the log that makes them slow */
#define LIMIT 1000000U
#define MARGIN 15U   /* percent beyond what is recorded, where somebody has to look */
#define HEADROOM 30U /* percent of the limit that must stay free: kernels to come may count more */

struct figures {
	char program[32];
	char kernel[32]; /* its series: 6.12 */
	unsigned processed, states, peak;
};

static unsigned headroom(unsigned processed)
{
	return processed < LIMIT ? (LIMIT - processed) / (LIMIT / 100) : 0;
}

static void print(const struct figures *f)
{
	printf("%-18s %-7s %9u %7u %7u %8u%%\n", f->program, f->kernel, f->processed, f->states, f->peak,
	       headroom(f->processed));
}

static void kernel_series(char *series, size_t room)
{
	struct utsname name;
	char *end;

	uname(&name);
	end = strchr(name.release, '.');
	end = end ? strchr(end + 1, '.') : NULL;
	if (end)
		*end = '\0';
	snprintf(series, room, "%.20s", name.release);
}

/* Loads the one program of an object. Returns 0, or -1 after telling why. */
static int measure(struct bpf_object *object, struct figures *f)
{
	static char log[1 << 16];
	struct bpf_program *program = object ? bpf_object__next_program(object, NULL) : NULL;
	const char *line;
	int error;

	if (!program)
		return -1;
	log[0] = '\0';
	snprintf(f->program, sizeof(f->program), "%s", bpf_program__name(program));
	kernel_series(f->kernel, sizeof(f->kernel));
	bpf_program__set_log_level(program, LOG_STATS);
	bpf_program__set_log_buf(program, log, sizeof(log));
	error = bpf_object__load(object);
	line = strstr(log, "processed ");
	if (error || !line ||
	    sscanf(line, "processed %u insns (limit %*u) max_states_per_insn %*u total_states %u peak_states %u",
	           &f->processed, &f->states, &f->peak) != 3) {
		fprintf(stderr, "peregrine-verifier: %s on %s: %s\n%s\n", f->program, f->kernel,
		        error ? strerror(-error) : "the verifier gave no figures", log);
		return -1;
	}
	return 0;
}

static bool find_record(const char *path, const struct figures *f, struct figures *record)
{
	FILE *file = fopen(path, "r");
	char line[256];
	bool found = false;

	if (!file) {
		fprintf(stderr, "peregrine-verifier: %s: %s\n", path, strerror(errno));
		exit(2);
	}
	while (!found && fgets(line, sizeof(line), file))
		found = sscanf(line, "%31s %31s %u %u %u", record->program, record->kernel, &record->processed,
		               &record->states, &record->peak) == 5 &&
		        !strcmp(record->program, f->program) && !strcmp(record->kernel, f->kernel);
	fclose(file);
	return found;
}

/* Returns whether all is well; a kernel of which there is no record is judged by its headroom alone. */
static bool check(const char *path, const struct figures *f)
{
	struct figures record;
	bool fits = headroom(f->processed) >= HEADROOM;

	if (!fits)
		fprintf(stderr,
		        "%s on %s: %u instructions processed, %u%% below the verifier's limit, less than the %u%% that "
		        "are to stay free: cut a stage into two (PG_STAGE), or keep a loop's state in the work area\n",
		        f->program, f->kernel, f->processed, headroom(f->processed), HEADROOM);
	if (!find_record(path, f, &record)) {
		printf("%s on %s: no figures recorded\n", f->program, f->kernel);
		return fits;
	}
	if ((unsigned long)f->processed * 100 > (unsigned long)record.processed * (100 + MARGIN)) {
		fprintf(stderr,
		        "%s on %s: %u instructions processed, more than %u%% beyond the %u of %s: if the program has "
		        "to do that much, `make verifier-record` takes the new figures\n",
		        f->program, f->kernel, f->processed, MARGIN, record.processed, path);
		return false;
	}
	return fits;
}

int main(int argc, char **argv)
{
	const char *path = argc == 3 && !strcmp(argv[1], "--check") ? argv[2] : NULL;
	struct peregrine_bpf *first;
	struct ingress_bpf *second;
	struct figures figures[2];
	bool fits = true;

	if (argc != 1 && !path) {
		fprintf(stderr, "usage: peregrine-verifier [--check FILE]\n");
		return 2;
	}
	libbpf_set_print(NULL); /* what it retries is no concern here; a failure is told by measure() */
	first = peregrine_bpf__open();
	second = ingress_bpf__open();
	if (measure(first ? first->obj : NULL, &figures[0]) || measure(second ? second->obj : NULL, &figures[1]))
		return 1;
	for (size_t i = 0; i < 2; i++) {
		print(&figures[i]);
		if (path)
			fits &= check(path, &figures[i]);
	}
	peregrine_bpf__destroy(first);
	ingress_bpf__destroy(second);
	return fits ? 0 : 1;
}

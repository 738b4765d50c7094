/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "latency.h"

#include "generator_shared.h"

#include "generator.skel.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#define SENT_LEAST 0.95 /* of what is due in a window: else the generator was late */

static const unsigned shares[] = {500, 990, 999}; /* thousandths */
#define SHARES (sizeof(shares) / sizeof(shares[0]))

/* The time within which so many of a thousand queries were answered, in microseconds, of so many windows that follow
 * one another. */
static double within(const uint64_t *steps, const uint64_t *sent, unsigned count, unsigned thousandths)
{
	uint64_t all = 0, seen = 0, step = 0;

	for (unsigned i = 0; i < count; i++)
		all += sent[i];
	for (; step < GENERATOR_STEPS - 1; step++) {
		for (unsigned i = 0; i < count; i++)
			seen += steps[i * GENERATOR_STEPS + step];
		if (seen * 1000 >= all * thousandths)
			break;
	}
	return (double)(step + 1) * GENERATOR_STEP / 1000;
}

static int compare(const void *one, const void *other)
{
	double a = *(const double *)one, b = *(const double *)other;

	return (a > b) - (a < b);
}

static double median(double *values, unsigned count)
{
	qsort(values, count, sizeof(*values), compare);
	return count ? (values[count / 2] + values[(count - 1) / 2]) / 2 : 0;
}

static json_t *judge(const uint64_t *steps, const uint64_t *sent, unsigned count, double due)
{
	double values[SHARES][GENERATOR_WINDOWS];
	unsigned kept = 0;

	for (unsigned i = 0; i < count; i++) {
		if ((double)sent[i] < SENT_LEAST * due)
			continue;
		for (unsigned k = 0; k < SHARES; k++)
			values[k][kept] = within(steps + (size_t)i * GENERATOR_STEPS, &sent[i], 1, shares[k]);
		kept++;
	}
	return json_pack("{s:i, s:i, s:f, s:f, s:f, s:f}", "windows", (int)kept, "late_windows", (int)(count - kept),
	                 "median", median(values[0], kept), "slowest_hundredth", median(values[1], kept),
	                 "slowest_thousandth", median(values[2], kept), "all_slowest_thousandth",
	                 within(steps, sent, count, 999));
}

static void *map_of(const struct bpf_map *map, size_t size)
{
	void *place = mmap(NULL, size, PROT_READ, MAP_SHARED, bpf_map__fd(map), 0);

	return place == MAP_FAILED ? NULL : place;
}

json_t *latency_of(const struct generator_bpf *programs, double seconds)
{
	size_t steps_size = sizeof(uint64_t) * GENERATOR_STEPS * GENERATOR_WINDOWS;
	size_t sent_size = sizeof(uint64_t) * GENERATOR_WINDOWS;
	uint64_t *steps = map_of(programs->maps.steps, steps_size);
	uint64_t *sent = map_of(programs->maps.windows, sent_size);
	unsigned count = (unsigned)(seconds * 1e9 / GENERATOR_WINDOW);
	double due = (double)GENERATOR_WINDOW / programs->rodata->interval;
	json_t *made = NULL;

	if (steps && sent)
		made = judge(steps, sent, count < GENERATOR_WINDOWS ? count : GENERATOR_WINDOWS, due);
	if (steps)
		munmap(steps, steps_size);
	if (sent)
		munmap(sent, sent_size);
	return made;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* peregrine-bench: what a reply costs in the kernel. How it measures, and why so: docs/performance.md. */
#ifndef PEREGRINE_BENCH_H
#define PEREGRINE_BENCH_H

#include "bench_shared.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The image, the product's program on it, and the programs around it. Everything is unpinned by world_close. */
int world_open(void);
void world_close(void);

/* Programs that can be measured behind bench_restore. */
enum world_program {
	WORLD_RETURN,
	WORLD_REFLECT,
	WORLD_PEREGRINE,
	WORLD_STAGES, /* the first of them */
};
#define STAGES 7
extern const char *const stage_names[STAGES];
int world_program(unsigned program); /* its file descriptor */

/* Gives bench_restore its queries, all of which it goes through in order. */
int world_set_queries(const struct bench_query *queries, uint32_t count);

/* Puts a program behind bench_restore. */
int world_set_measured(int program);

/* Nanoseconds a run of bench_restore with what stands behind it, or of a program alone; negative on error. */
extern unsigned world_batches; /* parts of which the fastest counts */
double world_time_restored(uint32_t repeat);
double world_time_alone(int program, const struct bench_query *query, uint32_t repeat);

/* Runs bench_restore once with query `number`: the verdict; the packet in *frame. */
int world_run(uint32_t number, uint8_t *frame, uint32_t *length);

/* What is asked: kinds of answers, each with so many queries of its kind. */
struct kind {
	const char *name;
	const char *format; /* of the query names, with a number */
	uint16_t type;
	bool edns;
	uint8_t rcode;
	uint8_t answers, authorities, additionals; /* that a right reply has */
	uint32_t count;                            /* names */
};
extern const struct kind kinds[];
extern const size_t kind_count;
void kind_queries(const struct kind *kind, struct bench_query *queries);

/* Whether the program answers each query of a kind as the engine does on the host, and with the sections it should
 * have. */
bool kind_is_right(const struct kind *kind, const struct bench_query *queries);

/* Times of all rounds. */
struct series {
	double value[4096];
	size_t count;
};
void series_add(struct series *series, double value);
double series_at(const struct series *series, double part); /* 0: least, 0.5: median, 1: greatest */
/* Distance of the quartiles by the median: a round in which something else took the CPU does not decide. */
double series_spread(const struct series *series);

#endif

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
#define STAGES 8
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

/* Charges every response to its client by a limit that is never met, or does not. */
void world_set_limit(bool limited);

#define BENCH_NAMES 1000

/* Zone `number` as text for zscanner, freed by the caller; NULL: there is none with that number, and *origin is NULL,
 * or memory is short. */
char *zone_text(unsigned number, const char **origin);

/* What is asked: kinds of answers, each with so many queries of its kind. */
struct kind {
	const char *name;
	const char *format; /* of the query names, with a number */
	uint16_t type;
	enum { NO_OPT, WITH_OPT, WITH_DO } opt;
	uint8_t rcode;
	uint8_t answers, authorities, additionals; /* that a right reply has */
	uint8_t denials, signatures;               /* RRs of NSEC and NSEC3, and of RRSIG, among them */
	uint32_t count;                            /* names */
	unsigned target;                           /* times what reflecting costs; 0: there is none */
};
extern const struct kind kinds[];
extern const size_t kind_count;

/* How it is asked. All but the first for the kinds with a target. */
enum variant {
	VARIANT_PLAIN,
	VARIANT_COOKIE,     /* a good server cookie in each query */
	VARIANT_ONE_CLIENT, /* rates are limited; all queries of one client */
	VARIANT_CLIENTS,    /* the same; of as many prefixes as there are queries */
	VARIANTS,
};
extern const char *const variant_names[VARIANTS];
extern const unsigned variant_targets[VARIANTS]; /* what it may add to the kind's */

/* Makes the queries and sets the policy for them. A cookie is good for an hour and renewed after half. Returns -1 when
 * the engine gives none. */
int kind_queries(const struct kind *kind, enum variant variant, struct bench_query *queries);

/* Whether the program answers each query of a kind as the engine does on the host, and with the sections it should
 * have. */
bool kind_is_right(const struct kind *kind, enum variant variant, const struct bench_query *queries);

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

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How long replies took, from what the programs have counted. */
#ifndef PEREGRINE_GENERATOR_LATENCY_H
#define PEREGRINE_GENERATOR_LATENCY_H

#include <jansson.h>

struct generator_bpf;

/* Of the windows that lie within the first so many seconds: how many were kept, how many left out since the generator
 * was late in them, and, in microseconds, the time within which half, 99 % and 99.9 % of the queries were answered:
 * the median of the windows kept; and that of 99.9 % of the queries of all windows together. Lost ones are the
 * slowest. NULL when memory is short.
 */
json_t *latency_of(const struct generator_bpf *programs, double seconds);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the benchmark and its BPF programs share. */
#ifndef PEREGRINE_BENCH_SHARED_H
#define PEREGRINE_BENCH_SHARED_H

#include <linux/types.h>

#define BENCH_QUERIES 1024
#define BENCH_FRAME 128 /* octets that a query's frame may have */

/* A query's frame as the wire brings it. */
struct bench_query {
	__u32 length; /* at least 8 */
	__u32 reserved;
	__u8 octets[BENCH_FRAME];
};

#endif

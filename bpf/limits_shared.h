/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How far the program goes with a query before it leaves it to the fallback (PG_EXIT_LARGE). The host knows these
 * bounds too, so that it can tell what the program would do: engine/program.c. */
#ifndef PEREGRINE_LIMITS_SHARED_H
#define PEREGRINE_LIMITS_SHARED_H

#define PG_PROGRAM_PLACED_MAX 64 /* fragments in a reply */
#define PG_PROGRAM_SCAN_MAX 64   /* RRsets of a node, and relocations of a fragment */
#define PG_PROGRAM_TARGETS_MAX 32
#define PG_PROGRAM_REPLY_MAX 3400U    /* octets */
#define PG_PROGRAM_ITERATIONS_MAX 100 /* of NSEC3, additional ones */
#define PG_PROGRAM_ASCENT_MAX 16      /* names gone up to find one that NSEC3 proves */
#define PG_PROGRAM_SIGNATURES_MASK                                                                                     \
	0x1ff /* octets of an RRset behind which its signatures can be reached alone: 2^n - 1 */

#endif

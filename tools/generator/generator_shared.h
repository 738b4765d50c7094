/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the load generator and its programs share; the file of queries is an array of the same records. */
#ifndef PEREGRINE_GENERATOR_SHARED_H
#define PEREGRINE_GENERATOR_SHARED_H

#include <linux/types.h>

/* Record sizes: `slot` octets each, a power of two. */
#define GENERATOR_SLOT_LEAST 128
#define GENERATOR_SLOT_MOST 512
#define GENERATOR_HEAD 16

#define GENERATOR_ANSWERS 1 /* in `flags`: `answers` must be what the reply says */

/* A query's frame as it goes out, and what its reply has to be. Query N has DNS ID N % 65536 and UDP source port
 * GENERATOR_PORT + N / 65536, so that a reply names its query. */
struct generator_query {
	__u16 length; /* of the frame */
	__u8 rcode;
	__u8 flags;
	__u16 answers; /* ANCOUNT */
	__u16 sample;  /* 1 + the number of the sample that its reply becomes; 0: none */
	__u8 reserved[8];
	__u8 frame[];
};

_Static_assert(sizeof(struct generator_query) == GENERATOR_HEAD, "the records' head");

/* The MAC that queries come from; not the interface's. */
static const __u8 generator_mac[6] __attribute__((aligned(4), unused)) = {0x02, 0x70, 0x67, 0x62, 0x65, 0x6e};

#define GENERATOR_PORT 16384
#define GENERATOR_QUERIES (1u << 21)

#define GENERATOR_SAMPLES 256
#define GENERATOR_SAMPLE_OCTETS 2040

/* How long replies took, in an open loop, by the window of time in which their queries were sent: a count for each
 * step, the last one of all that took longer. */
#define GENERATOR_WINDOW 50000000 /* nanoseconds */
#define GENERATOR_WINDOWS 40
#define GENERATOR_STEP 250 /* nanoseconds */
#define GENERATOR_STEPS 32768

/* The last reply to a query that is sampled: the frame, from its Ethernet header on. */
struct generator_sample {
	__u32 query;
	__u32 length; /* 0: none came */
	__u8 frame[GENERATOR_SAMPLE_OCTETS];
};

#endif

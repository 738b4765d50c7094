/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the engine asks of the side it is compiled for. Each side declares, before it includes the engine:
 *
 *   PG_CONTEXT         the type behind the first argument of a stage: the packet (struct xdp_md), or struct pg_message
 *   PG_STAGE           how a stage is declared. In the program a stage is a global function, which the verifier checks
 *                      once and whose result it knows nothing of, so that loops do not multiply through the stages.
 *   PG_SCAN_MAX, PG_TARGETS_MAX  RRsets and relocations, and targets, gone through before PG_EXIT_LARGE
 *   PG_RECORD_ROOM     octets that may be read behind a record's start
 *   PG_ITERATIONS_MAX, PG_ASCENT_MAX  of NSEC3, and names gone up to find one that has one, before PG_EXIT_LARGE
 *   PG_SIGNATURES_MASK octets of an RRset behind which its signatures can be reached alone: 2^n - 1
 *   PG_MASK, PG_OPAQUE, PG_APART: what the verifier wants to see (quirks.bpf.h); the host needs PG_MASK alone
 *
 *   pg_message()       the DNS message in memory: its start, and the first octet behind what may be touched
 *   pg_settings()      the settings, or NULL
 *   pg_bucket_at()     the bucket of a table (PG_TABLE_INDEX, PG_TABLE_ZONES) that a hash leads to, or NULL
 *   pg_zone_record()   a slot of `zones`, or NULL
 *   pg_record()        PG_RECORD_ROOM octets of the image from a reference on, or NULL, which sets w->beyond; what was
 *                      read while deciding is there for linking too
 *   pg_touch()         has a cache line fetched that will be read soon
 *   pg_expired()       whether the zone found is past its expiry, by a clock that is right
 *   pg_use()           notes that a node was found
 *   pg_copy()          octets from the image into the message; 0, or -1 when they would not fit
 */
#ifndef PEREGRINE_ANSWER_PRIMITIVES_H
#define PEREGRINE_ANSWER_PRIMITIVES_H

#include "work.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the engine loads names and sums by little-endian words"
#endif

#define PG_INLINE static inline __attribute__((always_inline))

/* Words at any address. The kernel's verifier allows unaligned access where the machine does. */
#ifdef __bpf__
PG_INLINE __u64 pg_load64(const void *at)
{
	return *(const __u64 *)at;
}
PG_INLINE __u32 pg_load32(const void *at)
{
	return *(const __u32 *)at;
}
PG_INLINE __u16 pg_load16(const void *at)
{
	return *(const __u16 *)at;
}
PG_INLINE void pg_store64(void *at, __u64 word)
{
	*(__u64 *)at = word;
}
PG_INLINE void pg_store32(void *at, __u32 word)
{
	*(__u32 *)at = word;
}
PG_INLINE void pg_store16(void *at, __u16 word)
{
	*(__u16 *)at = word;
}
#else
PG_INLINE __u64 pg_load64(const void *at)
{
	__u64 word;
	__builtin_memcpy(&word, at, sizeof(word));
	return word;
}
PG_INLINE __u32 pg_load32(const void *at)
{
	__u32 word;
	__builtin_memcpy(&word, at, sizeof(word));
	return word;
}
PG_INLINE __u16 pg_load16(const void *at)
{
	__u16 word;
	__builtin_memcpy(&word, at, sizeof(word));
	return word;
}
PG_INLINE void pg_store64(void *at, __u64 word)
{
	__builtin_memcpy(at, &word, sizeof(word));
}
PG_INLINE void pg_store32(void *at, __u32 word)
{
	__builtin_memcpy(at, &word, sizeof(word));
}
PG_INLINE void pg_store16(void *at, __u16 word)
{
	__builtin_memcpy(at, &word, sizeof(word));
}
#endif

/* What was written to memory is read from there again: clang would keep it in registers, of which there are few, and
 * the verifier would go on knowing it. */
#define PG_BARRIER() asm volatile("" ::: "memory")

/* Network byte order. */
PG_INLINE __u16 pg_be16(__u16 word)
{
	return __builtin_bswap16(word);
}
PG_INLINE __u32 pg_be32(__u32 word)
{
	return __builtin_bswap32(word);
}
PG_INLINE __u64 pg_be64(__u64 word)
{
	return __builtin_bswap64(word);
}

/* A word that the agent may be replacing at this moment is read once. */
PG_INLINE __u64 pg_read_once64(const void *at)
{
	return *(const volatile __u64 *)at;
}

#endif

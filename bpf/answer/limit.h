/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Response-rate limiting: the arithmetic, the same for program and fallback. What is limited is responses of one class
 * to one prefix of clients; each such pair has an entry.
 *
 * It is a leaky bucket, written as the generic cell rate algorithm: of an entry only the time is kept at which its next
 * response would be due, did they come one by one at the rate allowed. Responses may run ahead of that time by a
 * second, so the rate is also how many may come at once.
 */
#ifndef PEREGRINE_ANSWER_LIMIT_H
#define PEREGRINE_ANSWER_LIMIT_H

#include "primitives.h"
#include "wire.h"

#define PG_LIMIT_BURST 1000000000ULL /* nanoseconds */

enum pg_verdict { PG_LIMIT_PASS, PG_LIMIT_SLIP, PG_LIMIT_DROP };

/* What a response is, as the limit has it. */
PG_INLINE __u32 pg_limit_class(__u32 rcode, __u32 answers)
{
	if (rcode == PG_RCODE_NXDOMAIN)
		return PG_CLASS_NXDOMAIN;
	if (rcode)
		return PG_CLASS_ERROR;
	return answers ? PG_CLASS_ANSWER : PG_CLASS_EMPTY;
}

/* The entry of a client and a class: 24 bits of an IPv4 address, 56 of an IPv6 one. */
PG_INLINE struct pg_limit_key pg_limit_key(const struct pg_work *w, __u32 class)
{
	union {
		__u64 word;
		struct pg_limit_key key;
	} made;

	if (w->client_octets == 4)
		made.word = w->client[0] & 0xffffff;
	else
		made.word = (w->client[0] & 0xffffffffffffffULL) | (__u64)PG_CLASS_IPV6 << 56;
	made.word |= (__u64) class << 56;
	return made.key;
}

/* Charges one response to an entry. Others may do the same at this moment: while the rate is not met an update may get
 * lost, but once it is they all add. */
PG_INLINE enum pg_verdict pg_limit_charge(struct pg_limit *entry, const struct pg_policy *policy, __u64 now)
{
	__u64 due = pg_read_once64(&entry->due), refused;
	__u32 slip = policy->slip;

	if (due <= now) {
		entry->due = now + policy->interval;
		return PG_LIMIT_PASS;
	}
	if (due - now + policy->interval <= PG_LIMIT_BURST) {
		__sync_fetch_and_add(&entry->due, policy->interval);
		return PG_LIMIT_PASS;
	}
	refused = __sync_fetch_and_add(&entry->refused, 1) + 1;
	return slip && refused % slip == 0 ? PG_LIMIT_SLIP : PG_LIMIT_DROP;
}

#endif

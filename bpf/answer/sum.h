/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ones'-complement sum of the reply (RFC 1071), kept as it is written. */
#ifndef PEREGRINE_ANSWER_SUM_H
#define PEREGRINE_ANSWER_SUM_H

#include "primitives.h"

/* Folds a ones'-complement sum to 16 bits. */
PG_INLINE __u32 pg_sum_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

/* The same of less than 2^38. */
PG_INLINE __u32 pg_sum_fold_few(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

/* A word's share of a sum, in such a form that many can be added up before the sum is folded. */
PG_INLINE __u64 pg_sum_word(__u64 word)
{
	return (word & 0xffffffff) + (word >> 32);
}

/* The share of a 16-bit sum that stands at message offset `at`: octets change places at an odd one, or, which is the
 * same before it is folded, are worth 256 times as much. */
PG_INLINE __u32 pg_sum_at(__u32 sum, __u32 at)
{
	return sum << ((at & 1) * 8);
}

#endif

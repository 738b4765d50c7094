/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * NSEC: which name comes before one that does not exist, in canonical order (RFC 4034 section 6.1). Names are ordered
 * by their labels from the root down, so that, below the closest encloser, the first label that is not there decides:
 * its place among the labels that are there is searched for in a tree of blocks (struct pg_order).
 */
#ifndef PEREGRINE_ANSWER_ORDER_H
#define PEREGRINE_ANSWER_ORDER_H

#include "find.h"

/* Levels of a tree: 31 to the power of that is more than there can be names. */
#define PG_ORDER_LEVELS 8
#define PG_ORDER_MASK PG_ORDER_ENTRIES /* a power of two less one */
/* Octets of a block, without its labels. */
#define PG_ORDER_ROOM (sizeof(struct pg_order) + PG_ORDER_ENTRIES * sizeof(struct pg_order_entry))
#define PG_CACHE_LINE 64

/* Eight octets of a label from `skip` on as a number, zeros behind its end. `octets` are those of the label, which must
 * be followed by seven more that may be read. */
PG_INLINE __u64 pg_window(const __u8 *octets, __u32 length, __u32 skip)
{
	__u64 word;

	if (skip >= length)
		return 0;
	word = __builtin_bswap64(pg_load64(octets + skip));
	return length - skip < 8 ? word & ~(~0ULL >> (8 * (length - skip))) : word;
}

/*
 * Compares the label searched for with the one of entry `number` in the first `octets` octets, or whole, when that is
 * more than a label has. Less, equal or greater than 1: before, the same, behind.
 */
PG_STAGE int pg_compare_label(struct pg_work *w, pg_ref ref, __u32 number, __u32 octets)
{
	const struct pg_order *order;
	const __u8 *ours, *theirs;
	__u32 at, length;

	if (!w)
		return -1;
	order = pg_record(w, ref);
	if (!order)
		return -1;
	at = sizeof(*order) + PG_MASK(order->count, PG_ORDER_MASK) * (__u32)sizeof(struct pg_order_entry) +
	     PG_MASK(number, PG_ORDER_MASK) * (__u32)sizeof(__u16);
	at = pg_load16((const __u8 *)order + at);
	at = PG_MASK(at, PG_SEGMENT_GUARD - 1);
	if (at > PG_SEGMENT_GUARD - PG_LABEL_ROOM)
		return -1;
	theirs = (const __u8 *)order + at;
	ours = &w->name[PG_MASK(w->order_start, PG_NAME_ROOM - 1)];
	for (__u32 i = 0; i < 8; i++) {
		__u64 a, b;

		if (i * 8 >= octets)
			return 1;
		a = pg_window(ours + 1, ours[0], i * 8);
		b = pg_window(theirs + 1, theirs[0], i * 8);
		length = octets - i * 8;
		if (length < 8) {
			a &= ~(~0ULL >> (8 * length));
			b &= ~(~0ULL >> (8 * length));
		}
		if (a != b)
			return a < b ? 0 : 2;
	}
	return ours[0] < theirs[0] ? 0 : ours[0] == theirs[0] ? 1 : 2;
}

/* 1 if a number is less than another, else 0, both less than 2^63. Without a branch: which way it goes would be guessed
 * wrong every other time. */
PG_INLINE __u64 pg_less(__u64 a, __u64 b)
{
	return (a - b) >> 63;
}

/* How many of a block's entries have a window less than `window`: how many steps, then in the next of them. */
PG_INLINE __u32 pg_rank(const struct pg_order *order, __u64 window)
{
	const struct pg_order_entry *from;
	__u32 rank = 0;
	__u64 left;

	for (__u32 i = 0; i < PG_ORDER_ENTRIES / PG_ORDER_STEP; i++)
		rank += pg_less(order->step[i], window);
	rank = PG_MASK(rank * PG_ORDER_STEP, PG_ORDER_MASK);
	from = &order->entry[rank];
	left = order->count - (__u64)rank;
	for (__u32 i = 0; i < PG_ORDER_STEP - 1; i++)
		rank += pg_less(from[i].window, window) & pg_less(i, left);
	return rank;
}

/* Compares what the block's labels begin with: -1 if all of them come behind the label searched for, which stands at
 * `label`, 1 if before, 0 if it begins so too. */
PG_INLINE int pg_compare_prefix(struct pg_work *w, const struct pg_order *order, const __u8 *label)
{
	__u32 shared = order->skip < 8 ? order->skip : 8;
	__u64 ours;
	int compared;

	if (!shared)
		return 0;
	ours = pg_window(label + 1, label[0], 0) & (~0ULL << (64 - 8 * shared));
	if (ours != order->prefix)
		return ours < order->prefix ? -1 : 1;
	if (order->skip <= 8)
		return 0;
	compared = pg_compare_label(w, w->order, 0, order->skip);
	return compared - 1;
}

/* The number of entries that come before the label searched for; or, negative, that it cannot be. */
PG_INLINE int pg_count_before(struct pg_work *w, const struct pg_order *order)
{
	const __u8 *label = &w->name[PG_MASK(w->order_start, PG_NAME_ROOM - 1)];
	int compared = pg_compare_prefix(w, order, label);
	__u32 rank;

	if (compared)
		return compared < 0 ? 0 : order->count;
	w->window = pg_window(label + 1, label[0], PG_MASK(order->skip, 63)) >> 1;
	rank = pg_rank(order, w->window);
	/* The windows that are the same do not tell. */
	for (__u32 i = 0; i < PG_ORDER_ENTRIES; i++) {
		rank = PG_MASK(rank, PG_ORDER_MASK);
		if (rank >= order->count || order->entry[rank].window != w->window)
			break;
		compared = pg_compare_label(w, w->order, rank, PG_LABEL_ROOM);
		if (compared <= 0)
			return compared < 0 ? -1 : (int)rank;
		rank++;
	}
	return rank;
}

/*
 * One block of the search: sets w->order to the next one, or to 0 when the search is over, with w->last. Returns 0 or
 * -1.
 */
PG_STAGE int pg_order_step(struct pg_work *w)
{
	const struct pg_order *order;
	__u64 leads;
	int rank;

	if (!w)
		return -1;
	order = pg_record(w, w->order);
	if (!order)
		return -1;
	/* What of the block is read depends on its head, for which the rest need not wait. */
	for (__u32 i = PG_CACHE_LINE; i < PG_ORDER_ROOM; i += PG_CACHE_LINE)
		pg_touch((const __u8 *)order + i);
	rank = pg_count_before(w, order);
	if (rank < 0)
		return -1;
	w->found = rank > 0;
	w->last = 0;
	if (!rank) {
		w->order = 0;
		return 0;
	}
	leads = order->entry[PG_MASK(rank - 1, PG_ORDER_MASK)].leads;
	w->last = order->leaf ? leads : 0;
	w->order = order->leaf ? 0 : leads;
	return 0;
}

/*
 * Searches the tree at w->order for the label of sname at octet `start`, which is not in it. Sets w->found, and
 * w->last: the index hash of the name that comes before; nothing is found when the label comes before all. Returns 0 or
 * -1.
 */
PG_INLINE int pg_find_before(struct pg_work *w, __u32 start)
{
	if (!w || start >= PG_NAME_ROOM)
		return -1;
	w->order_start = start;
	w->found = 0;
	for (int i = 0; i < PG_ORDER_LEVELS && w->order; i++)
		if (pg_order_step(w))
			return -1;
	return w->order ? -1 : 0;
}

#endif

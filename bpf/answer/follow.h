/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Going on with another name: that of a CNAME, or that which a DNAME makes of sname (RFC 6672). */
#ifndef PEREGRINE_ANSWER_FOLLOW_H
#define PEREGRINE_ANSWER_FOLLOW_H

#include "place.h"

#define PG_RR_FIXED 10 /* octets of type, class, TTL and length */

/* Octets of the owner in a fragment's RRs: a pointer, or the root. */
PG_INLINE __u32 pg_owner_octets(const struct pg_placed *placed)
{
	return placed->owners || placed->suffixes ? 2 : 1;
}

/* Where the relocations of a fragment stand: octets from its start. */
PG_INLINE __u32 pg_relocations_of(const struct pg_placed *placed)
{
	return (placed->signed_length + 3U) & ~3U;
}

/* Of a DNAME's fragment: octets of its owner name, and of its target. */
PG_INLINE __u32 pg_redirected_octets(const __u8 *fragment, const struct pg_placed *placed)
{
	__u32 at = pg_relocations_of(placed);

	if (!placed->suffixes)
		return 1;
	/* The root's would begin with a record of so many octets that its first relocation is out of reach: cannot be.
	 */
	if (at > PG_RECORD_ROOM - sizeof(struct pg_relocation))
		return 0;
	return -(pg_load32(fragment + at) >> 16) & 0xff;
}

PG_INLINE __u32 pg_target_octets(const __u8 *fragment, const struct pg_placed *placed)
{
	return pg_be16(pg_load16(fragment + pg_owner_octets(placed) + PG_RR_FIXED - 2));
}

/* Remembers sname as one that was searched for; PG_FOUND when it had been before, by which a chain of CNAMEs is a loop.
 */
PG_STAGE int pg_visit(struct pg_work *w)
{
	__u64 hash;
	__u32 chain;

	if (!w)
		return PG_FOUND_BROKEN;
	hash = pg_hash_suffix(w, 0, PG_HASH_FACTOR);
	chain = w->chain;
	if (chain > PG_CHAIN_MAX)
		return PG_FOUND_BROKEN;
	for (__u32 i = 0; i < PG_CHAIN_ROOM && i < chain; i++)
		if (w->visited[i] == hash)
			return PG_FOUND;
	w->visited[PG_MASK(chain, PG_CHAIN_ROOM - 1)] = hash;
	return PG_NOT_FOUND;
}

/* Takes the target of the fragment placed last, a CNAME or what stands for one, as the next sname. It stands there
 * uncompressed, up to message offset w->next_end. */
PG_STAGE int pg_follow(struct pg_work *w)
{
	const __u8 *fragment, *target;
	const struct pg_placed *placed;
	__u32 last, kept = 0;

	if (!w)
		return PG_EXIT_INTERNAL;
	if (!w->chain && pg_visit(w) == PG_FOUND_BROKEN)
		return PG_EXIT_INTERNAL;
	w->chain++;
	last = w->placed - 1;
	if (last >= PG_PLACED_MAX)
		return PG_EXIT_INTERNAL;
	placed = &w->place[PG_MASK(last, PG_PLACED_MAX - 1)];
	fragment = pg_record(w, placed->fragment);
	if (!fragment)
		return PG_EXIT_INTERNAL;
	target = fragment + PG_RR_FIXED + pg_owner_octets(placed);
	if (placed->form == PG_SYNTHESIS)
		kept = w->name_length - pg_redirected_octets(fragment, placed);
	kept = PG_MASK(kept, PG_NAME_ROOM - 1);
	for (__u32 i = 0; i < PG_NAME_WORDS; i++) {
		__u32 at = kept + i * 8;

		if (at >= PG_NAME_ROOM)
			break;
		pg_store64(&w->name[PG_MASK(at, PG_NAME_ROOM - 1)], pg_fold(pg_load64(target + i * 8)));
	}
	if (pg_find_labels(w))
		return PG_EXIT_INTERNAL;
	if (w->next_end > PG_POINTER_MAX || pg_visit(w) != PG_NOT_FOUND)
		return PG_EXIT_ANSWERED;
	w->end = w->next_end;
	return PG_FOLLOW;
}

/* sname is below the DNAME that was found: places it, and a CNAME to the name that it makes of sname. */
PG_STAGE int pg_redirect(struct pg_work *w)
{
	const struct pg_placed *placed;
	const __u8 *fragment;
	struct pg_rrset made;
	__u32 octets, last;
	int result;

	if (!w)
		return PG_EXIT_INTERNAL;
	if (w->has_rrset != PG_FOUND)
		return w->has_rrset == PG_FOUND_BROKEN ? PG_EXIT_LARGE : PG_EXIT_INTERNAL;
	if (w->chain == PG_CHAIN_MAX)
		return PG_EXIT_ANSWERED;
	result = pg_place_due(w, &w->rrset, w->rrset_at, PG_ANSWER);
	if (result || w->flags & PG_WORK_TC)
		return result;
	fragment = pg_record(w, w->rrset_at);
	last = w->placed - 1;
	if (!fragment || last >= PG_PLACED_MAX)
		return PG_EXIT_INTERNAL;
	placed = &w->place[PG_MASK(last, PG_PLACED_MAX - 1)];
	octets = w->name_length - pg_redirected_octets(fragment, placed) + pg_target_octets(fragment, placed);
	if (octets > PG_NAME_MAX) {
		w->rcode = PG_RCODE_YXDOMAIN;
		return PG_EXIT_ANSWERED;
	}
	/* Of the DNAME's fragment it is made. */
	made = w->rrset;
	made.records = 1;
	made.length = 2 + PG_RR_FIXED + octets;
	result = pg_place(w, &made, PG_SYNTHESIS, w->rrset_at, PG_ANSWER, w->end, w->name_length);
	if (result == PG_TOO_LARGE)
		return pg_truncate(w);
	if (result)
		return PG_EXIT_LARGE;
	w->next_end = w->length;
	return w->qtype == PG_TYPE_CNAME || w->qtype == PG_TYPE_ANY ? PG_EXIT_ANSWERED : PG_FOLLOW;
}

#endif

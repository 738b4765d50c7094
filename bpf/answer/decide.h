/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Third stage: which fragments are due (RFC 1034 section 4.3.2, RFC 4592 for wildcards, RFC 2308 for negative answers).
 * Decides only; nothing is written to the message.
 */
#ifndef PEREGRINE_ANSWER_DECIDE_H
#define PEREGRINE_ANSWER_DECIDE_H

#include "find.h"

enum pg_section { PG_ANSWER, PG_AUTHORITY, PG_ADDITIONAL };

/* What a stage of deciding returns besides an exit. */
#define PG_FOLLOW (-1)    /* a CNAME was placed: search for its target */
#define PG_TOO_LARGE (-2) /* the fragment exceeds what the reply may have */
#define PG_FULL (-3)      /* no more places */

/*
 * Puts an RRset's fragment, at `ref`, at the end of the reply. A section's fragments must come after those of the
 * section before. The owner's name ends at message offset `end` and has `octets` octets.
 */
PG_INLINE int pg_place(struct pg_work *w, const struct pg_rrset *rrset, pg_ref ref, enum pg_section section, __u32 end,
                       __u32 octets)
{
	__u32 i = w->placed, pieces = rrset->pieces;

	if (w->length + rrset->length + w->opt_length > w->limit)
		return PG_TOO_LARGE;
	/* What linking could not go through must not be begun. */
	if (i >= PG_PLACED_MAX || pieces > PG_SCAN_MAX ||
	    sizeof(struct pg_fragment) + rrset->length + 8U + pieces * sizeof(struct pg_relocation) > PG_RECORD_ROOM)
		return PG_FULL;
	w->placed = i + 1;
	i = PG_MASK(i, PG_PLACED_MAX - 1);
	w->place[i].fragment = ref;
	w->place[i].end = end;
	w->place[i].sname = octets;
	w->length += rrset->length;
	if (section == PG_ANSWER)
		w->answers += rrset->records;
	else if (section == PG_AUTHORITY)
		w->authorities += rrset->records;
	else
		w->additionals += rrset->records;
	return PG_EXIT_ANSWERED;
}

/* The reply is cut short: header, question and OPT, TC=1. The client asks again over TCP (RFC 2181 section 9). */
PG_INLINE int pg_truncate(struct pg_work *w)
{
	w->flags |= PG_WORK_TC;
	w->placed = 0;
	w->answers = w->authorities = w->additionals = 0;
	w->length = PG_HEADER_SIZE + w->question_length;
	return PG_EXIT_ANSWERED;
}

PG_INLINE int pg_place_due(struct pg_work *w, const struct pg_rrset *rrset, pg_ref ref, enum pg_section section)
{
	int result = pg_place(w, rrset, ref, section, w->end, w->name_length);

	if (result == PG_TOO_LARGE)
		return pg_truncate(w);
	if (result == PG_FULL)
		return PG_EXIT_LARGE;
	return result;
}

/* The place of the target with the given number behind a fragment's relocations, or NULL when it is out of reach. */
PG_INLINE const struct pg_target *pg_target_of(const struct pg_fragment *fragment, __u32 number)
{
	__u32 at = sizeof(*fragment) + ((fragment->length + 7U) & ~7U) +
	           (((fragment->owners + fragment->suffixes) * (__u32)sizeof(struct pg_relocation) + 7U) & ~7U) +
	           number * (__u32)sizeof(struct pg_target);

	if (at > PG_RECORD_ROOM - sizeof(struct pg_target))
		return 0;
	return (const struct pg_target *)((const __u8 *)fragment + at);
}

/* Places the address RRsets of one target, whose name stands at message offset `at`. */
PG_STAGE int pg_place_addresses(struct pg_work *w, __u64 hash, __u32 required, __u32 at)
{
	const struct pg_node *node;
	int result;

	if (!w)
		return PG_EXIT_INTERNAL;
	if (at > PG_POINTER_MAX)
		return PG_EXIT_ANSWERED;
	result = pg_probe_addresses(w, hash);
	if (result == PG_FOUND_BROKEN)
		return PG_EXIT_INTERNAL;
	if (result == PG_NOT_FOUND)
		return PG_EXIT_ANSWERED;
	node = pg_record(w, w->probed);
	if (!node)
		return PG_EXIT_INTERNAL;
	for (__u32 i = 0; i < 2 && i < node->rrsets; i++) {
		const struct pg_rrset *rrset =
		    (const void *)((const __u8 *)(node + 1) + ((node->name_length + 7U) & ~7U));

		result = pg_place(w, &rrset[i], w->probed + rrset[i].fragment, PG_ADDITIONAL, at, 0);
		if (result == PG_FULL)
			return PG_EXIT_LARGE;
		if (result && required)
			return PG_TOO_LARGE;
	}
	return PG_EXIT_ANSWERED;
}

/* The addresses of the targets of the RRset placed last: those that must come, then those that may. */
PG_STAGE int pg_place_additional(struct pg_work *w, pg_ref ref, __u32 count)
{
	const struct pg_fragment *fragment;
	__u32 start;

	if (!w)
		return PG_EXIT_INTERNAL;
	fragment = pg_record(w, ref);
	if (!fragment)
		return PG_EXIT_INTERNAL;
	start = w->length - fragment->length;
	PG_APART(start);
	for (__u32 i = 0; i < PG_TARGETS_MAX && i < count; i++) {
		const struct pg_target *target = pg_target_of(fragment, i);
		int result;

		if (!target)
			return PG_EXIT_LARGE;
		result = pg_place_addresses(w, target->hash, target->required, start + target->position);
		if (result == PG_TOO_LARGE)
			return pg_truncate(w);
		if (result)
			return result;
	}
	return count > PG_TARGETS_MAX ? PG_EXIT_LARGE : PG_EXIT_ANSWERED;
}

/* The RRset that answers qtype at a node other than sname's: the wildcard that stands for it. */
PG_STAGE int pg_find_rrset(struct pg_work *w, pg_ref ref)
{
	const struct pg_node *node;

	if (!w)
		return PG_EXIT_INTERNAL;
	node = pg_record(w, ref);
	if (!node)
		return PG_EXIT_INTERNAL;
	w->has_rrset = pg_scan_rrsets(w, node, ref, w->qtype);
	return PG_EXIT_ANSWERED;
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

/* Takes the target of the CNAME whose fragment was placed last as the next sname. Its name stands uncompressed at the
 * fragment's octet 12, behind owner, type, class, TTL and length. */
PG_STAGE int pg_follow(struct pg_work *w)
{
	const struct pg_fragment *fragment;
	const __u8 *target;
	__u32 last;

	if (!w)
		return PG_EXIT_INTERNAL;
	if (!w->chain && pg_visit(w) == PG_FOUND_BROKEN)
		return PG_EXIT_INTERNAL;
	w->chain++;
	last = w->placed - 1;
	if (last >= PG_PLACED_MAX)
		return PG_EXIT_INTERNAL;
	fragment = pg_record(w, w->place[PG_MASK(last, PG_PLACED_MAX - 1)].fragment);
	if (!fragment)
		return PG_EXIT_INTERNAL;
	target = (const __u8 *)(fragment + 1) + PG_HEADER_SIZE;
	for (__u32 i = 0; i < PG_NAME_WORDS; i++)
		pg_store64(&w->name[i * 8], pg_fold(pg_load64(target + i * 8)));
	if (pg_find_labels(w, PG_NAME_MAX))
		return PG_EXIT_INTERNAL;
	if (w->length > PG_POINTER_MAX || pg_visit(w) != PG_NOT_FOUND)
		return PG_EXIT_ANSWERED;
	/* The target ends the fragment, which ends the reply so far. */
	w->end = w->length;
	return PG_FOLLOW;
}

/* SOA of a negative answer. */
PG_INLINE int pg_negative(struct pg_work *w, __u32 rcode)
{
	const struct pg_head *head = pg_record(w, w->head);

	if (!head)
		return PG_EXIT_INTERNAL;
	w->rcode = rcode;
	return pg_place_due(w, &head->denial, w->head + head->denial.fragment, PG_AUTHORITY);
}

/* Places the RRset found, and the addresses it asks for. */
PG_INLINE int pg_place_rrset(struct pg_work *w, enum pg_section section)
{
	int result = pg_place_due(w, &w->rrset, w->rrset_at, section);

	if (result || w->flags & PG_WORK_TC || !w->rrset.additional)
		return result;
	return pg_place_additional(w, w->rrset_at, w->rrset.additional);
}

/* Places what was found for qtype at sname's node, or at the wildcard that stands for it. */
PG_INLINE int pg_decide_node(struct pg_work *w)
{
	int result;

	if (w->has_rrset == PG_FOUND_BROKEN)
		return PG_EXIT_LARGE;
	if (w->has_rrset == PG_NOT_FOUND)
		return pg_negative(w, PG_RCODE_NOERROR);
	if (w->rrset.type != PG_TYPE_CNAME || w->qtype == PG_TYPE_CNAME || w->qtype == PG_TYPE_ANY)
		return pg_place_rrset(w, PG_ANSWER);
	if (w->chain == PG_CHAIN_MAX)
		return PG_EXIT_ANSWERED;
	result = pg_place_due(w, &w->rrset, w->rrset_at, PG_ANSWER);
	if (result || w->flags & PG_WORK_TC)
		return result;
	return pg_follow(w);
}

/* Decides what is due for the present sname: an exit, or PG_FOLLOW. */
PG_STAGE int pg_decide(struct pg_work *w)
{
	int exact;

	if (!w)
		return PG_EXIT_INTERNAL;
	exact = w->node_labels == w->labels;
	if (w->node_flags & PG_NODE_DELEGATION && !(exact && w->qtype == PG_TYPE_DS)) {
		if (!w->chain)
			w->flags &= ~PG_WORK_AA;
		return w->has_rrset == PG_FOUND ? pg_place_rrset(w, PG_AUTHORITY) : PG_EXIT_INTERNAL;
	}
	if (!exact) {
		if (!w->wildcard)
			return pg_negative(w, PG_RCODE_NXDOMAIN);
		if (pg_find_rrset(w, w->wildcard))
			return PG_EXIT_INTERNAL;
	}
	return pg_decide_node(w);
}

/* From the parsed question to the fragments due. */
PG_STAGE int pg_resolve(struct pg_work *w)
{
	int result = PG_EXIT_INTERNAL;

	if (!w)
		return result;
	w->placed = w->chain = 0;
	w->answers = w->authorities = w->additionals = 0;
	w->length = PG_HEADER_SIZE + w->question_length;
	if (w->rcode)
		return PG_EXIT_ANSWERED;
	for (int i = 0; i <= PG_CHAIN_MAX; i++) {
		result = pg_find_zone(w);
		if (result) {
			/* Outside the zones served: refused, or the end of the chain as far as it is known here. */
			if (w->chain && (result < 0 || result == PG_EXIT_NO_ZONE))
				return PG_EXIT_ANSWERED;
			if (result > 0)
				return result;
			w->rcode = PG_RCODE_REFUSED;
			return PG_EXIT_ANSWERED;
		}
		w->flags |= w->chain ? 0 : PG_WORK_AA;
		result = pg_find_name(w);
		if (result)
			return result;
		result = pg_decide(w);
		if (result != PG_FOLLOW)
			return result;
	}
	return result == PG_FOLLOW ? PG_EXIT_ANSWERED : result;
}

#endif

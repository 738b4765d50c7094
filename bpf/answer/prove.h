/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Denial of existence (RFC 4035 section 3.1.3, RFC 5155 section 7.2): the records which prove what was decided are
 * gathered while sname and its node are at hand, and placed when the answer section is complete.
 *
 * What is to be proved, by enum pg_prove:
 *
 *   OWN        the name has no such data; of a delegation: it has no DS, if it has none
 *   ENCLOSER   the closest encloser exists (NSEC3; with NSEC the other records say so)
 *   COVER      the name one label longer than the closest encloser does not exist
 *   WILDCARD   nor does the wildcard there
 *   EXPANDED   the wildcard that answered has no such data
 */
#ifndef PEREGRINE_ANSWER_PROVE_H
#define PEREGRINE_ANSWER_PROVE_H

#include "order.h"
#include "place.h"
#include "sha1.h"

#define PG_UNPROVED (-4) /* the zone's chain does not prove it */

/* The proofs that a node names for itself, or NULL. */
PG_INLINE const __u64 *pg_node_proofs(const struct pg_node *node)
{
	if (!(node->flags & PG_NODE_PROOFS))
		return 0;
	return (const __u64 *)((const __u8 *)node + pg_behind_name(node) + (node->flags & PG_NODE_BELOW));
}

/* Gathers the NSEC or NSEC3 of the node at `ref`. */
PG_STAGE int pg_gather(struct pg_work *w, pg_ref ref, __u32 covers)
{
	const struct pg_node *node;
	struct pg_proof_due *due;
	__u32 number, type = PG_TYPE_NSEC;
	int found;

	if (!w)
		return PG_EXIT_INTERNAL;
	node = pg_record(w, ref);
	if (!node)
		return PG_EXIT_INTERNAL;
	if (node->role == PG_ROLE_NSEC3)
		type = PG_TYPE_NSEC3;
	else if (node->flags & PG_NODE_WILDCARD)
		type = PG_TYPE_NSEC_AT_WILDCARD;
	if (covers && node->flags & PG_NODE_GAP)
		return PG_UNPROVED;
	found = pg_scan_rrsets(w, node, ref, type);
	if (found == PG_FOUND_BROKEN)
		return PG_EXIT_LARGE;
	if (found != PG_FOUND || w->rrset.type != type || w->rrset.signed_length == w->rrset.length)
		return PG_UNPROVED;
	number = w->proofs;
	for (__u32 i = 0; i < PG_PROOFS_MAX && i < number; i++)
		if (w->proof[i].place.fragment == w->rrset_at)
			return PG_EXIT_ANSWERED;
	if (number >= PG_PROOFS_MAX)
		return PG_EXIT_LARGE;
	w->proofs = number + 1;
	due = &w->proof[PG_MASK(number, PG_PROOFS_MAX - 1)];
	due->rrset = w->rrset;
	due->place.fragment = w->rrset_at;
	due->place.end = w->end;
	due->place.sname = w->name_length;
	return PG_EXIT_ANSWERED;
}

/* Whether the record with that key stands with the SOA. */
PG_INLINE int pg_knows(const struct pg_work *w, __u64 key)
{
	return w->knows && (key == w->known[PG_PROOF_OWN] || key == w->known[PG_PROOF_WILDCARD]);
}

/* Gathers the NSEC of the name with the given index hash. */
PG_INLINE int pg_gather_hash(struct pg_work *w, __u64 hash, __u32 covers)
{
	int result;

	if (!w)
		return PG_EXIT_INTERNAL;
	if (!hash)
		return PG_UNPROVED;
	result = pg_probe_hash(w, hash);
	if (result == PG_FOUND_BROKEN)
		return PG_EXIT_INTERNAL;
	return result == PG_FOUND ? pg_gather(w, w->probed, covers) : PG_UNPROVED;
}

/* NSEC: what the node at `ref` has as proof. */
PG_STAGE int pg_gather_own(struct pg_work *w, pg_ref ref, __u32 which, __u32 covers)
{
	const struct pg_node *node;
	const __u64 *proofs;

	if (!w)
		return PG_EXIT_INTERNAL;
	node = pg_record(w, ref);
	if (!node)
		return PG_EXIT_INTERNAL;
	proofs = pg_node_proofs(node);
	if (!proofs)
		return pg_gather(w, ref, covers);
	return pg_gather_hash(w, which == PG_PROOF_OWN ? proofs[PG_PROOF_OWN] : proofs[PG_PROOF_WILDCARD], 1);
}

/* The first label below the closest encloser: where it stands in sname. */
PG_INLINE __u32 pg_next_closer(const struct pg_work *w)
{
	return w->label[PG_MASK(w->labels - w->node_labels - 1, PG_LABELS_MAX)];
}

/* NSEC: that the name one label below the closest encloser does not exist. */
PG_INLINE int pg_cover_name(struct pg_work *w)
{
	const struct pg_node *node;

	if (!w)
		return PG_EXIT_INTERNAL;
	node = pg_record(w, w->node);
	if (!node)
		return PG_EXIT_INTERNAL;
	w->order = pg_below(node).order;
	if (pg_find_before(w, pg_next_closer(w)))
		return PG_EXIT_INTERNAL;
	if (pg_knows(w, w->found ? w->last : node->hash))
		return PG_EXIT_ANSWERED;
	/* Before all that there is comes the encloser itself, or what comes before that if it is empty. */
	return w->found ? pg_gather_hash(w, w->last, 1) : pg_gather_own(w, w->node, PG_PROOF_OWN, 1);
}

PG_INLINE int pg_prove_nsec(struct pg_work *w)
{
	int result = PG_EXIT_ANSWERED;

	if (!w)
		return PG_EXIT_INTERNAL;
	if (w->prove & PG_PROVE_OWN)
		result = pg_gather_own(w, w->node, PG_PROOF_OWN, 0);
	if (!result && w->prove & PG_PROVE_COVER)
		result = pg_cover_name(w);
	if (!result && w->prove & PG_PROVE_EXPANDED)
		result = pg_gather_own(w, w->wildcard, PG_PROOF_OWN, 0);
	if (!result && w->prove & PG_PROVE_WILDCARD)
		result = pg_gather_own(w, w->node, PG_PROOF_WILDCARD, 1);
	return result;
}

/* Gathers the NSEC3 whose owner is the given hash. */
PG_INLINE int pg_match_hashed(struct pg_work *w, __u64 hash, __u32 covers)
{
	int result;

	if (!w)
		return PG_EXIT_INTERNAL;
	result = pg_probe_number(w, PG_ROLE_NSEC3, hash);
	if (result == PG_FOUND_BROKEN)
		return PG_EXIT_INTERNAL;
	return result == PG_FOUND ? pg_gather(w, w->probed, covers) : PG_UNPROVED;
}

/* Gathers the NSEC3 that covers a hash, which is the last before it. */
PG_STAGE int pg_cover_hashed(struct pg_work *w, __u64 hash)
{
	const struct pg_head *head;
	const struct pg_node *node;
	const struct pg_span *span;
	__u64 before;
	__u32 order;

	if (!w)
		return PG_EXIT_INTERNAL;
	head = pg_record(w, w->head);
	if (!head)
		return PG_EXIT_INTERNAL;
	order = head->span_order & 31;
	if (pg_probe_number(w, PG_ROLE_SPAN, order ? hash >> (64 - order) : 0) != PG_FOUND)
		return PG_UNPROVED;
	node = pg_record(w, w->probed);
	if (!node)
		return PG_EXIT_INTERNAL;
	span = (const void *)(node + 1);
	span = (const void *)((const __u8 *)span + 8);
	before = span->before;
	if (span->count > PG_SPAN_ENTRIES)
		return PG_UNPROVED;
	for (__u32 i = 0; i < PG_SPAN_ENTRIES && i < span->count; i++) {
		if (span->hash[i] > hash)
			break;
		before = span->hash[i];
	}
	/* A name that is not there has the hash of one that is: nothing can be proved (RFC 5155 section 12.2). */
	if (before == hash)
		return PG_UNPROVED;
	return pg_knows(w, before) ? PG_EXIT_ANSWERED : pg_match_hashed(w, before, 1);
}

/*
 * Goes up from a node that no NSEC3 matches, since opt-out left it out, to the closest one that one does: the closest
 * provable encloser (RFC 5155 section 7.2.1). The name one label longer is there; its hash is taken into w->hash.
 */
PG_STAGE int pg_ascend(struct pg_work *w)
{
	for (int i = 0; i < PG_ASCENT_MAX; i++) {
		const struct pg_node *node;
		const __u64 *proofs;

		if (!w)
			return PG_EXIT_INTERNAL;
		node = pg_record(w, w->node);
		if (!node)
			return PG_EXIT_INTERNAL;
		if (node->flags & PG_NODE_HASHED)
			return PG_EXIT_ANSWERED;
		proofs = pg_node_proofs(node);
		if (!proofs || w->node_labels <= w->zone_labels)
			return PG_UNPROVED;
		w->hash = proofs[PG_PROOF_OWN];
		w->node_labels--;
		if (pg_probe_name(w, w->labels - w->node_labels) != PG_FOUND)
			return PG_EXIT_INTERNAL;
	}
	return PG_EXIT_LARGE;
}

/* That the name one label longer than the present node, whose hash is w->hash, does not exist. */
PG_STAGE int pg_prove_hashed(struct pg_work *w, __u32 prove)
{
	const struct pg_node *node;
	const __u64 *proofs;
	__u64 own, wildcard;
	int result = PG_EXIT_ANSWERED;

	if (!w)
		return PG_EXIT_INTERNAL;
	node = pg_record(w, w->node);
	proofs = node ? pg_node_proofs(node) : 0;
	if (!proofs)
		return PG_UNPROVED;
	own = proofs[PG_PROOF_OWN];
	wildcard = proofs[PG_PROOF_WILDCARD];
	if (prove & (PG_PROVE_OWN | PG_PROVE_ENCLOSER))
		result = pg_match_hashed(w, own, 0);
	if (!result && prove & PG_PROVE_COVER)
		result = pg_cover_hashed(w, w->hash);
	/* The wildcard's own hash: it is there, or it is not. */
	if (!result && prove & PG_PROVE_EXPANDED)
		result = pg_match_hashed(w, wildcard, 0);
	if (!result && prove & PG_PROVE_WILDCARD)
		result = pg_cover_hashed(w, wildcard);
	return result;
}

PG_INLINE int pg_prove_nsec3(struct pg_work *w)
{
	const struct pg_head *head;
	__u32 prove, node, labels, flags, wildcard;
	int result;

	if (!w)
		return PG_EXIT_INTERNAL;
	prove = w->prove;
	head = pg_record(w, w->head);
	if (!head)
		return PG_EXIT_INTERNAL;
	if (!(w->node_flags & PG_NODE_HASHED)) {
		node = w->node;
		labels = w->node_labels;
		flags = w->node_flags;
		wildcard = w->wildcard;
		result = pg_ascend(w);
		/* Of the name itself as of one that does not exist. */
		if (prove & PG_PROVE_OWN)
			prove = PG_PROVE_ENCLOSER | PG_PROVE_COVER;
		if (!result)
			result = pg_prove_hashed(w, prove);
		/* What was found stays found. */
		w->node = node;
		w->node_labels = labels;
		w->node_flags = flags;
		w->wildcard = wildcard;
		return result;
	}
	if (prove & PG_PROVE_COVER) {
		if (head->iterations > PG_ITERATIONS_MAX)
			return PG_EXIT_LARGE;
		if (pg_nsec3_hash(w, pg_next_closer(w)))
			return PG_EXIT_INTERNAL;
	}
	return pg_prove_hashed(w, prove);
}

/* The DS of a delegation, which stands in the authority section behind NS: placed if there is one. */
PG_INLINE int pg_place_signer(struct pg_work *w)
{
	const struct pg_node *node = pg_record(w, w->node);

	if (!node)
		return PG_EXIT_INTERNAL;
	if (pg_scan_rrsets(w, node, w->node, PG_TYPE_DS) != PG_FOUND || w->rrset.type != PG_TYPE_DS) {
		w->prove |= PG_PROVE_OWN;
		return PG_EXIT_ANSWERED;
	}
	return pg_place_due(w, &w->rrset, w->rrset_at, PG_AUTHORITY);
}

/* Gathers what proves the decision on the present sname: w->prove. Returns an exit, or PG_UNPROVED. */
PG_STAGE int pg_prove(struct pg_work *w)
{
	const struct pg_head *head;
	__u32 denial;
	int result;

	if (!w)
		return PG_EXIT_INTERNAL;
	head = pg_record(w, w->head);
	if (!head)
		return PG_EXIT_INTERNAL;
	denial = head->denial;
	if (w->prove & PG_PROVE_DELEGATION) {
		result = pg_place_signer(w);
		if (result || !(w->prove & PG_PROVE_OWN))
			return result;
	}
	if (denial == PG_DENIAL_NONE)
		return PG_EXIT_ANSWERED;
	if (denial == PG_DENIAL_NSEC)
		return pg_prove_nsec(w);
	if (denial == PG_DENIAL_NSEC3)
		return pg_prove_nsec3(w);
	return PG_UNPROVED;
}

/* Places what was gathered. */
PG_STAGE int pg_place_proofs(struct pg_work *w)
{
	if (!w)
		return PG_EXIT_INTERNAL;
	for (__u32 i = 0; i < PG_PROOFS_MAX && i < w->proofs; i++) {
		const struct pg_proof_due *due = &w->proof[i];
		int result = pg_place(w, &due->rrset, PG_SIGNED, due->place.fragment, PG_AUTHORITY, due->place.end,
		                      due->place.sname);

		if (result == PG_TOO_LARGE)
			return pg_truncate(w);
		if (result)
			return PG_EXIT_LARGE;
	}
	return PG_EXIT_ANSWERED;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Third stage: which fragments are due (RFC 1034 section 4.3.2, RFC 4592 for wildcards, RFC 2308 for negative answers).
 * Decides only; nothing is written to the message.
 */
#ifndef PEREGRINE_ANSWER_DECIDE_H
#define PEREGRINE_ANSWER_DECIDE_H

#include "follow.h"
#include "prove.h"

/* The target with the given number of a fragment whose targets stand from octet `from` on, or NULL when it is out of
 * reach. */
PG_INLINE const struct pg_target *pg_target_of(const __u8 *fragment, __u32 from, __u32 number)
{
	__u32 at = from + number * (__u32)sizeof(struct pg_target);

	PG_OPAQUE(at);
	if (at > PG_RECORD_ROOM - sizeof(struct pg_target))
		return 0;
	return (const struct pg_target *)(fragment + at);
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
	result = pg_probe_hash(w, hash);
	if (result == PG_FOUND_BROKEN)
		return PG_EXIT_INTERNAL;
	if (result == PG_NOT_FOUND)
		return PG_EXIT_ANSWERED;
	node = pg_record(w, w->probed);
	if (!node)
		return PG_EXIT_INTERNAL;
	for (__u32 i = 0; i < 2 && i < node->rrsets; i++) {
		const struct pg_rrset *rrset = pg_rrsets(node);

		result = pg_place(w, &rrset[i], pg_form_due(w), w->probed + rrset[i].fragment, PG_ADDITIONAL, at, 0);
		if (result == PG_FULL)
			return PG_EXIT_LARGE;
		if (result && required)
			return PG_TOO_LARGE;
	}
	return PG_EXIT_ANSWERED;
}

/* The addresses of the targets of the RRset that wants them: those that must come, then those that may. */
PG_STAGE int pg_place_additional(struct pg_work *w)
{
	const __u8 *fragment;
	__u32 start, from, count;

	if (!w)
		return PG_EXIT_INTERNAL;
	fragment = pg_record(w, w->wanted_at);
	if (!fragment)
		return PG_EXIT_INTERNAL;
	start = w->wanted_start;
	from = w->wanted_from;
	count = w->wanted;
	for (__u32 i = 0; i < PG_TARGETS_MAX && i < count; i++) {
		const struct pg_target *target = pg_target_of(fragment, from, i);
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

/* SOA of a negative answer; right below the apex with what proves all but that the name is not there. */
PG_INLINE int pg_negative(struct pg_work *w, __u32 rcode)
{
	const struct pg_head *head = pg_record(w, w->head);
	const struct pg_rrset *rrset;

	if (!head)
		return PG_EXIT_INTERNAL;
	w->rcode = rcode;
	rrset = &head->soa;
	/* Behind a CNAME there may be proofs that would be given twice. */
	if (w->prove == PG_PROVE_NAME_ERROR && w->node_flags & PG_NODE_APEX && !w->chain && head->denied.records) {
		rrset = &head->denied;
		w->prove = PG_PROVE_COVER;
		w->knows = 1;
		w->known[PG_PROOF_OWN] = head->known[PG_PROOF_OWN];
		w->known[PG_PROOF_WILDCARD] = head->known[PG_PROOF_WILDCARD];
	}
	return pg_place_due(w, rrset, w->head + rrset->fragment, PG_AUTHORITY);
}

/* Places the RRset found, and remembers the addresses that it asks for. */
PG_INLINE int pg_place_rrset(struct pg_work *w, enum pg_section section)
{
	w->wanted_start = w->length;
	w->wanted_at = w->rrset_at;
	w->wanted_from = pg_targets_at(&w->rrset);
	w->wanted = w->rrset.additional;
	return pg_place_due(w, &w->rrset, w->rrset_at, section);
}

/* RRSIG: the signatures of each RRset at the node. */
PG_STAGE int pg_place_signatures(struct pg_work *w, pg_ref ref)
{
	const struct pg_node *node;
	const struct pg_rrset *rrset;
	__u32 count;

	if (!w)
		return PG_EXIT_INTERNAL;
	node = pg_record(w, ref);
	if (!node)
		return PG_EXIT_INTERNAL;
	rrset = pg_rrsets(node);
	count = node->rrsets;
	for (__u32 i = 0; i < PG_SCAN_MAX && i < count; i++) {
		int result;

		if (rrset[i].signed_length == rrset[i].length || rrset[i].type == PG_TYPE_NSEC_AT_WILDCARD)
			continue;
		result =
		    pg_place(w, &rrset[i], PG_SIGNATURES, ref + rrset[i].fragment, PG_ANSWER, w->end, w->name_length);
		if (result == PG_TOO_LARGE)
			return pg_truncate(w);
		if (result)
			return PG_EXIT_LARGE;
	}
	return count > PG_SCAN_MAX ? PG_EXIT_LARGE : PG_EXIT_ANSWERED;
}

/* Places what was found for qtype at sname's node, or at the wildcard that stands for it. */
PG_INLINE int pg_decide_node(struct pg_work *w)
{
	int result;

	if (w->has_rrset == PG_FOUND_BROKEN)
		return PG_EXIT_LARGE;
	if (w->has_rrset == PG_NOT_FOUND)
		return pg_negative(w, PG_RCODE_NOERROR);
	if (w->qtype == PG_TYPE_RRSIG)
		return pg_place_signatures(w, w->node_labels == w->labels ? w->node : w->wildcard);
	if (w->rrset.type != PG_TYPE_CNAME || w->qtype == PG_TYPE_CNAME || w->qtype == PG_TYPE_ANY ||
	    w->qtype == PG_TYPE_NSEC)
		return pg_place_rrset(w, PG_ANSWER);
	if (w->chain == PG_CHAIN_MAX)
		return PG_EXIT_ANSWERED;
	/* The target ends the RR, behind which its signatures come. */
	w->next_end = w->length + w->rrset.length;
	result = pg_place_due(w, &w->rrset, w->rrset_at, PG_ANSWER);
	return result || w->flags & PG_WORK_TC ? result : PG_FOLLOW;
}

/* What of a decision has to be proved to a client that asked for DNSSEC. */
PG_INLINE __u32 pg_to_prove(const struct pg_work *w, int exact, int delegation)
{
	if (!(w->flags & PG_WORK_DO))
		return 0;
	if (delegation)
		return PG_PROVE_DELEGATION;
	if (exact)
		return w->has_rrset == PG_NOT_FOUND ? PG_PROVE_OWN : 0;
	if (!w->wildcard)
		return PG_PROVE_NAME_ERROR;
	return w->has_rrset == PG_NOT_FOUND ? PG_PROVE_EXPANDED_NO_DATA : PG_PROVE_COVER;
}

/* Decides what is due for the present sname: an exit, or PG_FOLLOW. Sets w->prove. */
PG_INLINE int pg_decide(struct pg_work *w)
{
	int exact;

	if (!w)
		return PG_EXIT_INTERNAL;
	exact = w->node_labels == w->labels;
	if (w->node_flags & PG_NODE_DELEGATION && !(exact && w->qtype == PG_TYPE_DS)) {
		if (!w->chain)
			w->flags &= ~PG_WORK_AA;
		w->prove = pg_to_prove(w, exact, 1);
		return w->has_rrset == PG_FOUND ? pg_place_rrset(w, PG_AUTHORITY) : PG_EXIT_INTERNAL;
	}
	if (!exact && w->node_flags & PG_NODE_DNAME) {
		w->prove = 0;
		return pg_redirect(w);
	}
	if (!exact && w->wildcard && pg_find_rrset(w, w->wildcard))
		return PG_EXIT_INTERNAL;
	w->prove = pg_to_prove(w, exact, 0);
	if (!exact && !w->wildcard)
		return pg_negative(w, PG_RCODE_NXDOMAIN);
	return pg_decide_node(w);
}

/* A false or a missing proof would make a name bogus, or seem secure: the client is told that nothing can be said. */
PG_INLINE int pg_fail(struct pg_work *w)
{
	pg_clear(w);
	w->rcode = PG_RCODE_SERVFAIL;
	w->flags &= ~(PG_WORK_AA | PG_WORK_TC);
	return PG_EXIT_ANSWERED;
}

/* sname is outside the zones served: refused, or the end of the chain as far as it is known here. */
PG_INLINE int pg_outside(struct pg_work *w, int result)
{
	if (w->chain && (result < 0 || result == PG_EXIT_NO_ZONE))
		return PG_EXIT_ANSWERED;
	if (result > 0)
		return result;
	w->rcode = PG_RCODE_REFUSED;
	return PG_EXIT_ANSWERED;
}

/* Follows the chain of CNAMEs from the question's name to what ends it. Returns an exit, or PG_UNPROVED. */
PG_STAGE int pg_resolve_chain(struct pg_work *w, const struct pg_settings *settings)
{
	int result = PG_EXIT_INTERNAL;

	if (!w || !settings)
		return result;
	for (int i = 0; i <= PG_CHAIN_MAX; i++) {
		result = pg_find(w, settings);
		if (result)
			return pg_outside(w, result);
		w->flags |= w->chain ? 0 : PG_WORK_AA;
		result = pg_decide(w);
		if (w->prove && !(w->flags & PG_WORK_TC) && (!result || result == PG_FOLLOW)) {
			int proved = pg_prove(w);

			if (proved)
				return proved;
		}
		if (result == PG_FOLLOW)
			result = pg_follow(w);
		if (result != PG_FOLLOW)
			return result;
	}
	return PG_EXIT_ANSWERED;
}

/* From the parsed question to the fragments due. (Not a stage: the kernel allows eight frames, all of which a proof
 * takes.) */
PG_INLINE int pg_resolve(struct pg_work *w, const struct pg_settings *settings)
{
	int result;

	w->chain = 0;
	pg_clear(w);
	if (w->rcode)
		return PG_EXIT_ANSWERED;
	result = pg_resolve_chain(w, settings);
	if (!result && w->proofs)
		result = pg_place_proofs(w);
	if (!result && w->wanted)
		result = pg_place_additional(w);
	return result == PG_UNPROVED ? pg_fail(w) : result;
}

#endif

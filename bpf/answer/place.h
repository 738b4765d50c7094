/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Putting fragments that are due into the reply's plan: w->place. Nothing is written to the message. */
#ifndef PEREGRINE_ANSWER_PLACE_H
#define PEREGRINE_ANSWER_PLACE_H

#include "find.h"
#include "sum.h"

/* What a stage of deciding returns besides an exit. */
#define PG_FOLLOW (-1)    /* a CNAME was placed: search for its target */
#define PG_TOO_LARGE (-2) /* the fragment exceeds what the reply may have */
#define PG_FULL (-3)      /* no more places */

/* Octets of the part of a fragment that a form is. */
PG_INLINE __u32 pg_form_length(const struct pg_rrset *rrset, enum pg_form form)
{
	if (form == PG_SIGNATURES)
		return rrset->signed_length - rrset->length;
	return form == PG_SIGNED ? rrset->signed_length : rrset->length;
}

PG_INLINE __u32 pg_form_records(const struct pg_rrset *rrset, enum pg_form form)
{
	if (form == PG_SIGNATURES)
		return rrset->signed_records - rrset->records;
	return form == PG_SIGNED ? rrset->signed_records : rrset->records;
}

/* The ones'-complement sum of a form's octets, as if it stood at an even place. */
PG_INLINE __u32 pg_form_sum(const struct pg_rrset *rrset, enum pg_form form)
{
	__u32 sum;

	if (form == PG_SIGNED)
		return rrset->signed_sum;
	if (form != PG_SIGNATURES)
		return rrset->sum;
	sum = pg_sum_fold(rrset->signed_sum + (rrset->sum ^ 0xffffU));
	return pg_sum_fold(pg_sum_at(sum, rrset->length));
}

/* RRSIGs come with an RRset if the client asked for them (RFC 4035 section 3.1.1). */
PG_INLINE enum pg_form pg_form_due(const struct pg_work *w)
{
	return w->flags & PG_WORK_DO ? PG_SIGNED : PG_PLAIN;
}

/*
 * Puts an RRset's fragment, at `ref`, at the end of the reply. A section's fragments must come after those of the
 * section before. The owner's name ends at message offset `end` and has `octets` octets.
 */
PG_INLINE int pg_place(struct pg_work *w, const struct pg_rrset *rrset, enum pg_form form, pg_ref ref,
                       enum pg_section section, __u32 end, __u32 octets)
{
	__u32 length = pg_form_length(rrset, form), records = pg_form_records(rrset, form);
	struct pg_placed *placed;
	__u32 i = w->placed;

	if (w->length + length + w->opt_length > w->limit)
		return PG_TOO_LARGE;
	/* What linking could not go through must not be begun. */
	if (i >= PG_PLACED_MAX || rrset->owners + rrset->suffixes > PG_SCAN_MAX ||
	    (form == PG_SIGNATURES && rrset->length > PG_SIGNATURES_MASK) || pg_targets_at(rrset) > PG_RECORD_ROOM)
		return PG_FULL;
	w->placed = i + 1;
	placed = &w->place[PG_MASK(i, PG_PLACED_MAX - 1)];
	placed->fragment = ref;
	placed->end = end;
	placed->sname = octets;
	placed->form = form;
	placed->from = form == PG_SIGNATURES ? rrset->length : 0;
	placed->octets = length;
	placed->sum = pg_form_sum(rrset, form);
	placed->signed_length = rrset->signed_length;
	placed->owners = rrset->owners;
	placed->suffixes = rrset->suffixes;
	w->length += length;
	w->count[section] += records;
	return PG_EXIT_ANSWERED;
}

/* Nothing but header, question and OPT. */
PG_INLINE void pg_clear(struct pg_work *w)
{
	w->wanted = w->knows = w->placed = w->proofs = 0;
	pg_store64(w->count, 1ULL << (16 * PG_QUESTION));
	w->length = PG_HEADER_SIZE + w->question_length;
}

/* The reply is cut short, TC=1. The client asks again over TCP (RFC 2181 section 9). */
PG_INLINE int pg_truncate(struct pg_work *w)
{
	w->flags |= PG_WORK_TC;
	pg_clear(w);
	return PG_EXIT_ANSWERED;
}

/* Places an RRset whose owner is sname, or a suffix of it, with its signatures if they are asked for. */
PG_INLINE int pg_place_due(struct pg_work *w, const struct pg_rrset *rrset, pg_ref ref, enum pg_section section)
{
	int result = pg_place(w, rrset, pg_form_due(w), ref, section, w->end, w->name_length);

	if (result == PG_TOO_LARGE)
		return pg_truncate(w);
	if (result == PG_FULL)
		return PG_EXIT_LARGE;
	return result;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Last stage: the fragments decided on are linked behind the question. Nothing can fail any more, but for what "cannot
 * happen"; the sum of all octets written is kept for the UDP checksum.
 */
#ifndef PEREGRINE_ANSWER_LINK_H
#define PEREGRINE_ANSWER_LINK_H

#include "decide.h"
#include "edns.h"

/* Which octets of a fragment's data a form is made of. */
PG_INLINE __u32 pg_form_start(const struct pg_fragment *fragment, __u32 form)
{
	return form == PG_SIGNATURES ? fragment->length : 0;
}

PG_INLINE __u32 pg_form_end(const struct pg_fragment *fragment, __u32 form)
{
	return form == PG_PLAIN ? fragment->length : fragment->signed_length;
}

/* What the pointers of fragment `number`, whose octet w->from stands at w->written, are counted from. Signatures alone
 * are asked for by their owner's name. */
PG_INLINE void pg_set_bases(struct pg_work *w, __u32 number)
{
	__u32 end = w->place[number].end, sname = end - w->place[number].sname;

	w->base[PG_BASE_SNAME] = sname;
	w->base[PG_BASE_SUFFIX] = end;
	w->base[PG_BASE_OWN] = w->from ? sname : w->written;
}

/*
 * Writes compression pointers of fragment `number`, which has been copied to octet w->written of the message: the
 * suffixes, or, where its sname is not the question's, the owners. A function of its own: in that which copies, the
 * verifier would go through all of this once for each length. Few branches: it follows each, in every round.
 */
PG_STAGE int pg_relocate(PG_CONTEXT *ctx, struct pg_work *w, __u32 number, __u32 owners)
{
	const struct pg_fragment *fragment;
	const __u8 *msg, *end;
	__u32 from, octets, written, relocation, count, stood;
	__u64 sum = 0;

	if (!w)
		return -1;
	number = PG_MASK(number, PG_PLACED_MAX - 1);
	fragment = pg_record(w, w->place[number].fragment);
	if (!fragment || pg_message(ctx, w, &msg, &end))
		return -1;
	pg_set_bases(w, number);
	from = w->from;
	octets = w->octets;
	written = w->written;
	relocation = sizeof(*fragment) + ((fragment->signed_length + 7U) & ~7U) +
	             (owners ? 0 : fragment->owners * (__u32)sizeof(struct pg_relocation));
	count = owners ? fragment->owners : fragment->suffixes;
	/* What stood in a pointer's place, as a share of the sum that goes. */
	stood = (owners ? pg_be16(PG_POINTER | PG_HEADER_SIZE) : 0) ^ 0xffff;
	for (__u32 i = 0; i < PG_SCAN_MAX && i < count; i++) {
		__u32 word, at, pointer;
		__u8 *place;

		if (relocation > PG_RECORD_ROOM - sizeof(struct pg_relocation))
			return -1;
		word = pg_load32((const __u8 *)fragment + relocation);
		relocation += sizeof(struct pg_relocation);
		at = (word & 0xffff) - from;
		/* Of another form; before `from` this is more than can be. */
		if (at >= octets)
			continue;
		word >>= 16;
		/* Beyond what a pointer reaches; sname never stands there. */
		if ((written & PG_REPLY_MASK) > PG_POINTER_MAX && word >> PG_TO_BASE == PG_BASE_OWN)
			return -1;
		pointer = pg_be16((w->base[word >> PG_TO_BASE] + word) | PG_POINTER);
		at += written;
		place = (__u8 *)msg + PG_MASK(at, PG_REPLY_MASK);
		if (place + 2 > end)
			return -1;
		pg_store16(place, pointer);
		sum += pg_sum_at(pointer, at) + pg_sum_at(stood, at);
	}
	w->sum += sum;
	return count > PG_SCAN_MAX ? -1 : 0;
}

/* The ones'-complement sum of a form's octets, as if it stood at an even place. */
PG_INLINE __u32 pg_form_sum(const struct pg_fragment *fragment, __u32 form)
{
	__u32 sum;

	if (form == PG_PLAIN)
		return fragment->sum;
	if (form == PG_SIGNED)
		return fragment->signed_sum;
	sum = fragment->signed_sum + (fragment->sum ^ 0xffff);
	return pg_sum_at(pg_sum_fold(sum), fragment->length);
}

/* The CNAME that DNAME `number` makes of sname, in the work area: its name is the message's own, whose case is kept, up
 * to the DNAME's owner, and the target. Returns its octets or 0. */
PG_STAGE int pg_synthesise(PG_CONTEXT *ctx, struct pg_work *w, __u32 number)
{
	const struct pg_fragment *fragment;
	const __u8 *msg, *end, *data;
	__u32 sname, kept, target, owner;

	if (!w)
		return 0;
	number = PG_MASK(number, PG_PLACED_MAX - 1);
	fragment = pg_record(w, w->place[number].fragment);
	if (!fragment || pg_message(ctx, w, &msg, &end))
		return 0;
	data = (const __u8 *)(fragment + 1);
	owner = pg_owner_octets(fragment);
	target = PG_MASK(pg_target_octets(fragment), PG_NAME_ROOM - 1);
	kept = PG_MASK(w->place[number].sname - pg_redirected_octets(fragment), PG_NAME_ROOM - 1);
	sname = w->place[number].end - w->place[number].sname;
	pg_store16(w->scratch, pg_be16(PG_POINTER | sname));
	pg_store16(w->scratch + 2, pg_be16(PG_TYPE_CNAME));
	pg_store16(w->scratch + 4, pg_be16(PG_CLASS_IN));
	pg_store32(w->scratch + 6, pg_load32(data + owner + 4));
	pg_store16(w->scratch + 10, pg_be16(kept + target));
	msg += PG_MASK(sname, PG_REPLY_MASK);
	PG_OPAQUE(msg);
	for (__u32 i = 0; i < PG_NAME_WORDS && i * 8 < kept; i++) {
		if (msg + i * 8 + 8 > end)
			return 0;
		pg_store64(w->scratch + 12 + i * 8, pg_load64(msg + i * 8));
	}
	data += owner + PG_RR_FIXED;
	for (__u32 i = 0; i < PG_NAME_WORDS && i * 8 < target; i++)
		pg_store64(w->scratch + 12 + kept + i * 8, pg_load64(data + i * 8));
	return 12 + kept + target;
}

/* Puts it at the end of the reply. */
PG_STAGE int pg_link_synthesis(PG_CONTEXT *ctx, struct pg_work *w, __u32 number)
{
	const __u8 *msg, *end;
	__u32 at, length;
	__u64 sum = 0;

	if (!w)
		return -1;
	length = pg_synthesise(ctx, w, number);
	if (!length || length > 12 + PG_NAME_MAX || pg_message(ctx, w, &msg, &end))
		return -1;
	/* The sum takes whole words. */
	w->scratch[PG_MASK(length, 0x1ff)] = 0;
	at = PG_MASK(w->written, PG_REPLY_MASK);
	msg += at;
	for (__u32 i = 0; i < (12 + PG_NAME_MAX) / 2 + 1 && i * 2 < length; i++) {
		__u32 word = pg_load16(w->scratch + i * 2);

		sum += word;
		if (i * 2 + 1 == length) {
			if (msg + i * 2 + 1 > end)
				return -1;
			((__u8 *)msg)[i * 2] = word;
		} else {
			if (msg + i * 2 + 2 > end)
				return -1;
			pg_store16((__u8 *)msg + i * 2, word);
		}
	}
	w->sum += pg_sum_at(pg_sum_fold(sum), at);
	w->written = at + length;
	return 0;
}

/* Copies fragment `number` of those decided on to the end of the reply. */
PG_STAGE int pg_link_fragment(PG_CONTEXT *ctx, struct pg_work *w, __u32 number)
{
	const struct pg_fragment *fragment;
	const __u8 *msg, *end;
	__u32 at, from;

	if (!w)
		return -1;
	number = PG_MASK(number, PG_PLACED_MAX - 1);
	fragment = pg_record(w, w->place[number].fragment);
	if (!fragment || pg_message(ctx, w, &msg, &end))
		return -1;
	at = PG_MASK(w->written, PG_REPLY_MASK);
	/* Through memory: else the verifier follows each form by itself. */
	w->from = pg_form_start(fragment, w->place[number].form);
	w->octets = pg_form_end(fragment, w->place[number].form) - w->from;
	w->sum += pg_sum_at(pg_form_sum(fragment, w->place[number].form), at);
	PG_BARRIER();
	from = PG_MASK(w->from, PG_SIGNATURES_MASK);
	if (pg_copy((__u8 *)msg + at, end, (const __u8 *)(fragment + 1) + from, w->octets))
		return -1;
	if (fragment->suffixes && pg_relocate(ctx, w, number, 0))
		return -1;
	if (fragment->owners && w->place[number].end - w->place[number].sname != PG_HEADER_SIZE &&
	    pg_relocate(ctx, w, number, 1))
		return -1;
	w->written += w->octets;
	return 0;
}

/* The header of the reply, as two words: id, flags, QDCOUNT and ANCOUNT; NSCOUNT and ARCOUNT. Gives their sum. RD is
 * given back (RFC 1035 section 4.1.1); CD and AD are cleared (RFC 4035 section 3.1.6), as are RA and Z. */
PG_INLINE __u64 pg_put_header(const struct pg_work *w, __u8 *header)
{
	__u64 first = pg_load64(header);
	__u32 flags = PG_FLAG_QR | (first >> 16 & PG_FLAG_RD) | (w->flags & PG_WORK_AA ? PG_FLAG_AA : 0) |
	              (w->flags & PG_WORK_TC ? PG_FLAG_TC : 0) | (w->rcode & 0xf) << 8;
	__u32 second = pg_be16(w->authorities) | (__u32)pg_be16(w->additionals + (w->flags & PG_WORK_OPT ? 1 : 0))
	                                             << 16;

	first = (first & 0x0000ffff0000ffffULL) | (__u64)flags << 16 | (__u64)pg_be16(w->answers) << 48;
	pg_store64(header, first);
	pg_store32(header + 8, second);
	return pg_sum_word(first) + second;
}

/* The header of the reply, and the sum of header and question. */
PG_INLINE int pg_link_header(PG_CONTEXT *ctx, struct pg_work *w)
{
	const __u8 *msg, *end;

	if (!w || pg_message(ctx, w, &msg, &end) || msg + PG_HEADER_SIZE > end)
		return -1;
	w->sum = w->question_sum + pg_put_header(w, (__u8 *)msg);
	w->written = PG_HEADER_SIZE + w->question_length;
	return 0;
}

/* The whole reply. The message has room for w->length octets, and OPT. Returns 0, or -1 for what cannot happen. */
PG_STAGE int pg_link(PG_CONTEXT *ctx, struct pg_work *w)
{
	if (!w || pg_link_header(ctx, w))
		return -1;
	for (__u32 i = 0; i < PG_PLACED_MAX && i < w->placed; i++) {
		int result =
		    w->place[i].form == PG_SYNTHESIS ? pg_link_synthesis(ctx, w, i) : pg_link_fragment(ctx, w, i);

		if (result)
			return -1;
	}
	if (w->flags & PG_WORK_OPT && pg_link_opt(ctx, w))
		return -1;
	return 0;
}

#endif

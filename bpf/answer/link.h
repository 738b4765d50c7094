/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Last stage: the fragments decided on are linked behind the question. Nothing can fail any more, but for what "cannot
 * happen"; the sum of all octets written is kept for the UDP checksum.
 */
#ifndef PEREGRINE_ANSWER_LINK_H
#define PEREGRINE_ANSWER_LINK_H

#include "decide.h"
#include "edns.h"

/* What the pointers of fragment `number`, which begins at w->written, are counted from. Signatures alone are asked for
 * by their owner's name. */
PG_INLINE void pg_set_bases(struct pg_work *w, const struct pg_placed *placed)
{
	__u32 end = placed->end, sname = end - placed->sname;

	w->base[PG_BASE_SNAME] = sname;
	w->base[PG_BASE_SUFFIX] = end;
	w->base[PG_BASE_OWN] = placed->from ? sname : w->written;
}

/*
 * Writes compression pointers of fragment `number`, which has been copied to octet w->written of the message: the
 * suffixes, or, where its sname is not the question's, the owners. A function of its own: in that which copies, the
 * verifier would go through all of this once for each length. Few branches: it follows each, in every round.
 */
PG_STAGE int pg_relocate(PG_CONTEXT *ctx, struct pg_work *w, __u32 number, __u32 owners)
{
	const struct pg_placed *placed;
	const __u8 *fragment, *msg, *end;
	__u32 from, octets, written, relocation, first, count, stood;
	__u64 sum = 0;

	if (!w)
		return -1;
	placed = &w->place[PG_MASK(number, PG_PLACED_MAX - 1)];
	fragment = pg_record(w, placed->fragment);
	if (!fragment || pg_message(ctx, w, &msg, &end))
		return -1;
	pg_set_bases(w, placed);
	from = placed->from;
	octets = placed->octets;
	written = w->written;
	/* The first owner, at octet 0, has no relocation, which would be 0: the one before is taken, and cleared. */
	first = placed->owners ? (__u32)sizeof(struct pg_relocation) : 0;
	relocation = ((placed->signed_length + 3U) & ~3U) - first;
	if (!owners)
		relocation += placed->owners * (__u32)sizeof(struct pg_relocation);
	count = owners ? placed->owners : placed->suffixes;
	/* What stood in a pointer's place, as a share of the sum that goes. */
	stood = (owners ? pg_be16(PG_POINTER | PG_HEADER_SIZE) : 0) ^ 0xffff;
	for (__u32 i = 0; i < PG_SCAN_MAX && i < count; i++) {
		__u32 word, at, pointer;
		__u8 *place;

		if (relocation > PG_RECORD_ROOM - sizeof(struct pg_relocation))
			return -1;
		word = i || !owners ? pg_load32(fragment + relocation) : 0;
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

/* The CNAME that DNAME `number` makes of sname, in the work area: its name is the message's own, whose case is kept, up
 * to the DNAME's owner, and the target. Returns its octets or 0. */
PG_STAGE int pg_synthesise(PG_CONTEXT *ctx, struct pg_work *w, __u32 number)
{
	const struct pg_placed *placed;
	const __u8 *msg, *end, *data;
	__u32 sname, kept, target, owner;

	if (!w)
		return 0;
	placed = &w->place[PG_MASK(number, PG_PLACED_MAX - 1)];
	data = pg_record(w, placed->fragment);
	if (!data || pg_message(ctx, w, &msg, &end))
		return 0;
	owner = pg_owner_octets(placed);
	target = PG_MASK(pg_target_octets(data, placed), PG_NAME_ROOM - 1);
	kept = PG_MASK(placed->sname - pg_redirected_octets(data, placed), PG_NAME_ROOM - 1);
	sname = placed->end - placed->sname;
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
	const __u8 *fragment, *msg, *end;
	const struct pg_placed *placed;
	__u32 at;

	if (!w)
		return -1;
	placed = &w->place[PG_MASK(number, PG_PLACED_MAX - 1)];
	fragment = pg_record(w, placed->fragment);
	if (!fragment || pg_message(ctx, w, &msg, &end))
		return -1;
	at = PG_MASK(w->written, PG_REPLY_MASK);
	w->sum += pg_sum_at(placed->sum, at);
	if (pg_copy((__u8 *)msg + at, end, fragment + PG_MASK(placed->from, PG_SIGNATURES_MASK), placed->octets))
		return -1;
	if (placed->suffixes && pg_relocate(ctx, w, number, 0))
		return -1;
	if (placed->owners && placed->end - placed->sname != PG_HEADER_SIZE && pg_relocate(ctx, w, number, 1))
		return -1;
	w->written += placed->octets;
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

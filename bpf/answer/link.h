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
 * Writes compression pointers of a fragment that has been copied to octet w->written of the message: those of `count`
 * relocations, which stand from octet `relocation` of the fragment on. `stood` is in their place. Few branches: the
 * verifier follows each, in every round.
 */
PG_INLINE int pg_point(PG_CONTEXT *ctx, struct pg_work *w, const struct pg_placed *placed, __u32 relocation,
                       __u32 count, __u16 stood)
{
	const __u8 *fragment = pg_record(w, placed->fragment), *msg, *end;
	const __u32 from = placed->from, octets = placed->octets, moved = w->written - from;
	__u64 sum = 0;

	if (!fragment || pg_message(ctx, w, &msg, &end))
		return -1;
	for (__u32 i = 0; i < PG_SCAN_MAX && i < count; i++) {
		__u32 word, at, pointer;
		__u8 *place;

		if (relocation > PG_RECORD_ROOM - sizeof(struct pg_relocation))
			return -1;
		word = pg_load32(fragment + relocation);
		relocation += sizeof(struct pg_relocation);
		at = word & 0xffff;
		/* Of another form; before `from` this is more than can be. */
		if (at - from >= octets)
			continue;
		word >>= 16;
		/* Beyond what a pointer reaches; sname never stands there. */
		if ((w->written & PG_REPLY_MASK) > PG_POINTER_MAX && word >> PG_TO_BASE == PG_BASE_OWN)
			return -1;
		pointer = pg_be16((w->base[word >> PG_TO_BASE] + word) | PG_POINTER);
		at += moved;
		place = (__u8 *)msg + PG_MASK(at, PG_REPLY_MASK);
		if (place + 2 > end)
			return -1;
		pg_store16(place, pointer);
		/* What goes is taken from the sum by its complement. */
		sum += pg_sum_at(pointer + (stood ? stood ^ 0xffff : 0), at);
	}
	w->sum += sum;
	return count > PG_SCAN_MAX ? -1 : 0;
}

/* The pointers to suffixes of fragment `number`. A function of its own, like the next one: in that which copies, the
 * verifier would go through all of this once for each length. */
PG_STAGE int pg_point_suffixes(PG_CONTEXT *ctx, struct pg_work *w, __u32 number)
{
	const struct pg_placed *placed;
	__u32 owners;

	if (!w)
		return -1;
	placed = &w->place[PG_MASK(number, PG_PLACED_MAX - 1)];
	owners = placed->owners ? placed->owners - 1 : 0;
	pg_set_bases(w, placed);
	return pg_point(ctx, w, placed, pg_relocations_of(placed) + owners * (__u32)sizeof(struct pg_relocation),
	                placed->suffixes, 0);
}

/* The owners, where sname is not the question's. The first stands at octet 0 and has no relocation. */
PG_STAGE int pg_point_owners(PG_CONTEXT *ctx, struct pg_work *w, __u32 number)
{
	const __u16 stood = pg_be16(PG_POINTER | PG_HEADER_SIZE);
	const struct pg_placed *placed;
	const __u8 *msg, *end;
	__u32 at, pointer;
	__u8 *first;

	if (!w || pg_message(ctx, w, &msg, &end))
		return -1;
	placed = &w->place[PG_MASK(number, PG_PLACED_MAX - 1)];
	pg_set_bases(w, placed);
	if (!placed->from) {
		at = w->written;
		pointer = pg_be16(w->base[PG_BASE_SNAME] | PG_POINTER);
		first = (__u8 *)msg + PG_MASK(at, PG_REPLY_MASK);
		if (first + 2 > end)
			return -1;
		pg_store16(first, pointer);
		w->sum += pg_sum_at(pointer + (stood ^ 0xffff), at);
	}
	return pg_point(ctx, w, placed, pg_relocations_of(placed), placed->owners - 1, stood);
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
	__u64 at;

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
	if (placed->suffixes && pg_point_suffixes(ctx, w, number))
		return -1;
	if (placed->owners && placed->end - placed->sname != PG_HEADER_SIZE && pg_point_owners(ctx, w, number))
		return -1;
	w->written += placed->octets;
	return 0;
}

/* The header of the reply, as two words: id and flags; the counts. Gives their sum. RD is given back (RFC 1035 section
 * 4.1.1); CD and AD are cleared (RFC 4035 section 3.1.6), as are RA and Z. */
PG_INLINE __u64 pg_put_header(const struct pg_work *w, __u8 *header)
{
	__u64 counts = pg_be64(pg_load64(w->count) + (w->flags & PG_WORK_OPT));
	__u32 first = pg_load32(header), flags = w->flags;

	_Static_assert(PG_WORK_AA == PG_FLAG_AA && PG_WORK_TC == PG_FLAG_TC && PG_WORK_OPT == 1, "as in the header");
	flags = PG_FLAG_QR | (flags & (PG_WORK_AA | PG_WORK_TC)) | (w->rcode & 0xf) << 8;
	first = (first & (0xffff | PG_FLAG_RD << 16)) | flags << 16;
	pg_store32(header, first);
	pg_store64(header + 4, counts);
	return pg_sum_word(counts) + first;
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
PG_INLINE int pg_link(PG_CONTEXT *ctx, struct pg_work *w)
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

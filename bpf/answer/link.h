/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Last stage: the fragments decided on are linked behind the question. Nothing can fail any more, but for what "cannot
 * happen"; the sum of all octets written is kept for the UDP checksum.
 */
#ifndef PEREGRINE_ANSWER_LINK_H
#define PEREGRINE_ANSWER_LINK_H

#include "decide.h"
#include "edns.h"

/* Writes a compression pointer at octet `at` of the message; the sum takes it in instead of `before` (network order).
 */
PG_INLINE int pg_put_pointer(struct pg_work *w, __u8 *msg, const __u8 *end, __u32 at, __u32 target, __u16 before)
{
	__u16 pointer = pg_be16(PG_POINTER | target);
	__u8 *place = msg + PG_MASK(at, PG_REPLY_MASK);

	if (place + 2 > end)
		return -1;
	pg_store16(place, pointer);
	w->sum += pg_sum_at(pointer, at) + pg_sum_at(before ^ 0xffff, at);
	return 0;
}

/* The compression pointers of a fragment that has been copied to octet w->written: owners moved, suffixes filled in. */
PG_STAGE int pg_relocate(PG_CONTEXT *ctx, struct pg_work *w, __u32 number)
{
	const struct pg_fragment *fragment;
	const __u8 *start, *end;
	__u32 relocations, at, sname, first, last;

	if (!w)
		return -1;
	number = PG_MASK(number, PG_PLACED_MAX - 1);
	fragment = pg_record(w, w->place[number].fragment);
	if (!fragment || pg_message(ctx, w, &start, &end))
		return -1;
	sname = w->place[number].end - w->place[number].sname;
	/* Owners stand first; where sname is the question's, they are right as they are. */
	first = sname == PG_HEADER_SIZE ? fragment->owners : 0;
	last = fragment->owners + fragment->suffixes;
	relocations = sizeof(*fragment) + ((fragment->length + 7U) & ~7U);
	for (__u32 i = 0; i < PG_SCAN_MAX; i++) {
		const struct pg_relocation *relocation;
		__u32 entry = first + i, target;

		if (entry >= last)
			return 0;
		at = relocations + entry * (__u32)sizeof(*relocation);
		if (at > PG_RECORD_ROOM - sizeof(*relocation))
			return -1;
		relocation = (const void *)((const __u8 *)fragment + at);
		target = relocation->suffix ? (__u32)w->place[number].end - relocation->suffix : sname;
		at = w->written + relocation->position;
		if (target > PG_POINTER_MAX || at > PG_REPLY_MAX)
			return -1;
		if (pg_put_pointer(w, (__u8 *)start, end, at, target,
		                   entry < fragment->owners ? pg_be16(PG_POINTER | PG_HEADER_SIZE) : 0))
			return -1;
	}
	return -1;
}

/* Copies fragment `number` of those decided on to the end of the reply. */
PG_STAGE int pg_link_fragment(PG_CONTEXT *ctx, struct pg_work *w, __u32 number)
{
	const struct pg_fragment *fragment;
	const __u8 *msg, *end;
	__u32 at;

	if (!w)
		return -1;
	number = PG_MASK(number, PG_PLACED_MAX - 1);
	fragment = pg_record(w, w->place[number].fragment);
	if (!fragment || pg_message(ctx, w, &msg, &end))
		return -1;
	at = PG_MASK(w->written, PG_REPLY_MASK);
	if (pg_copy((__u8 *)msg + at, end, (const __u8 *)(fragment + 1), fragment->length))
		return -1;
	w->sum += pg_sum_at(fragment->sum, at);
	if (fragment->suffixes || w->place[number].end - w->place[number].sname != PG_HEADER_SIZE)
		if (pg_relocate(ctx, w, number))
			return -1;
	w->written = at + fragment->length;
	return 0;
}

/* The header of the reply, and the sum of header and question. */
PG_INLINE int pg_link_header(PG_CONTEXT *ctx, struct pg_work *w)
{
	const __u8 *msg, *end;
	__u8 *header;
	__u32 length, i, rest;
	__u64 sum;

	if (!w)
		return -1;
	if (pg_message(ctx, w, &msg, &end))
		return -1;
	header = (__u8 *)msg;
	if (header + PG_HEADER_SIZE > end)
		return -1;
	/* RD is given back (RFC 1035 section 4.1.1); CD and AD are cleared (RFC 4035 section 3.1.6), as are RA and Z.
	 */
	header[2] = PG_FLAG_QR | (header[2] & PG_FLAG_RD) | (w->flags & PG_WORK_AA ? PG_FLAG_AA : 0) |
	            (w->flags & PG_WORK_TC ? PG_FLAG_TC : 0);
	header[3] = w->rcode & 0xf;
	pg_store16(header + 6, pg_be16(w->answers));
	pg_store16(header + 8, pg_be16(w->authorities));
	pg_store16(header + 10, pg_be16(w->additionals + (w->flags & PG_WORK_OPT ? 1 : 0)));

	length = PG_HEADER_SIZE + w->question_length;
	sum = 0;
	for (i = 0; i < (PG_HEADER_SIZE + PG_NAME_ROOM + 4) / 8; i++) {
		__u64 word;

		if (i * 8 + 8 > length || msg + i * 8 + 8 > end)
			break;
		word = pg_load64(msg + i * 8);
		sum += (word & 0xffffffff) + (word >> 32);
	}
	rest = length - i * 8;
	if (rest && rest < 8) {
		/* The last octets are the upper part of the last whole word. */
		const __u8 *last = msg + PG_MASK(length - 8, 0x1ff);
		__u64 word;

		PG_OPAQUE(last);
		if (last + 8 > end)
			return -1;
		word = pg_load64(last) >> (64 - 8 * rest);
		sum += (word & 0xffffffff) + (word >> 32);
	}
	w->sum = sum;
	w->written = length;
	return 0;
}

/* The whole reply. The message has room for w->length octets, and OPT. Returns 0, or -1 for what cannot happen. */
PG_STAGE int pg_link(PG_CONTEXT *ctx, struct pg_work *w)
{
	if (!w || pg_link_header(ctx, w))
		return -1;
	for (__u32 i = 0; i < PG_PLACED_MAX && i < w->placed; i++)
		if (pg_link_fragment(ctx, w, i))
			return -1;
	if (w->flags & PG_WORK_OPT && pg_link_opt(ctx, w))
		return -1;
	return 0;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * First stage: what is asked. Only the ordinary query is taken: opcode QUERY, one question, class IN, nothing behind it
 * but at most one OPT record. All else is left, unjudged, to the fallback.
 */
#ifndef PEREGRINE_ANSWER_PARSE_H
#define PEREGRINE_ANSWER_PARSE_H

#include "edns.h"
#include "name.h"

/* Which exit a header takes that is not an ordinary query's. */
PG_INLINE int pg_judge_header(__u8 flags)
{
	if (flags & PG_FLAG_QR)
		return PG_EXIT_RESPONSE;
	if (flags & PG_OPCODE_MASK)
		return PG_EXIT_OPCODE;
	/* A query is not truncated. */
	return flags & PG_FLAG_TC ? PG_EXIT_MALFORMED : PG_EXIT_SECTIONS;
}

PG_INLINE int pg_parse_header(struct pg_work *w, const __u8 *msg, const __u8 *end)
{
	__u32 additionals;

	if (w->message_length < PG_HEADER_SIZE + 5 || msg + PG_HEADER_SIZE > end)
		return PG_EXIT_MALFORMED;
	/* QDCOUNT 1, ANCOUNT 0, NSCOUNT 0, ARCOUNT 0 or 1. */
	additionals = pg_load32(msg + 8);
	if (msg[2] & (PG_FLAG_QR | PG_OPCODE_MASK | PG_FLAG_TC) || pg_load32(msg + 4) != pg_be16(1) ||
	    additionals & ~pg_be32(1))
		return pg_judge_header(msg[2]);
	w->flags = (w->flags & PG_WORK_TCP) | (additionals ? PG_WORK_OPT : 0);
	return PG_EXIT_ANSWERED;
}

/* Finds the labels of the name that begins at `name`, up to its root. Sets label, labels and name_length. Returns 0, or
 * -1 when it is no whole name, or a compressed one. */
PG_INLINE int pg_parse_labels(struct pg_work *w, const __u8 *name, const __u8 *end)
{
	__u64 at = 0;

	/* A label takes two octets at least, so there are PG_LABELS_MAX of them at most. */
	for (__u64 i = 0; at < PG_NAME_MAX; i++) {
		const __u8 *label = name + at;

		PG_OPAQUE(label);
		if (label + 1 > end)
			return -1;
		w->label[i] = at;
		if (!*label) {
			w->labels = i;
			w->name_length = at + 1;
			return 0;
		}
		if (*label > PG_LABEL_MAX)
			return -1;
		at += *label + 1;
	}
	return -1;
}

/* Folds the name in the work area, and makes its hash. */
PG_STAGE int pg_fold_name(struct pg_work *w)
{
	const struct pg_settings *settings = w ? pg_settings(w) : 0;
	__u64 hash;

	if (!w || !settings)
		return -1;
	hash = pg_hash_start(settings->hash_seed, PG_ROLE_NAME, 0);
	for (__u32 i = 0; i < PG_NAME_WORDS && i * 8 < w->name_length; i++) {
		__u64 word = pg_fold(pg_load64(&w->name[i * 8]));

		pg_store64(&w->name[i * 8], word);
		hash = pg_hash_word(hash, word);
	}
	w->name_hash = pg_hash_end(hash);
	return 0;
}

/* Takes the name into the work area as it is, padded with zeros, and the sum of what is behind it in the question: type
 * and class. */
PG_INLINE int pg_copy_name(struct pg_work *w, const __u8 *msg, const __u8 *end)
{
	const __u64 length = PG_MASK(w->name_length, PG_NAME_MAX), rest = length % 8;
	const __u8 *at = msg + PG_HEADER_SIZE;
	__u8 *name = w->name;
	__u32 tail;

	for (__s64 left = length; left >= 8; left -= 8) {
		PG_OPAQUE(left);
		at += 8;
		PG_OPAQUE(at);
		if (at > end)
			return -1;
		pg_store64(name, pg_load64(at - 8));
		name += 8;
	}
	/* The last octets are the upper part of the name's last word, or the only one. */
	at = msg + PG_MASK(length + PG_HEADER_SIZE - 8, 0x1ff);
	PG_OPAQUE(at);
	if (at + 8 + 4 > end)
		return -1;
	/* Words are read up to 7 octets behind the name: zeros. */
	name = &w->name[PG_MASK(length, PG_NAME_ROOM - 8)];
	pg_store64(name, rest ? pg_load64(at) >> (64 - 8 * rest) : 0);
	pg_store64(name + 8, 0);
	tail = pg_load32(at + 8);
	w->question_sum = pg_sum_at((tail & 0xffff) + (tail >> 16), length);
	return 0;
}

/*
 * The name's hash as it stands in the index, and its share of the question's sum. Few names have upper case: what an
 * octet of it has, 0x40 without 0x20, is looked for, and the name folded only where it is found.
 */
PG_INLINE int pg_take_name(struct pg_work *w, __u64 hash)
{
	/* The words' sum is that of their halves: the whole, less what the upper halves are too much in it. */
	__u64 whole = 0, upper = 0, cases = 0;
	const __u8 *name = w->name;

	for (__s64 left = PG_MASK(w->name_length, PG_NAME_MAX); left > 0; left -= 8) {
		__u64 word = pg_load64(name);

		PG_OPAQUE(left);
		name += 8;
		cases |= word & ~(word << 1);
		whole += word;
		upper += word >> 32;
		hash = pg_hash_word(hash, word);
	}
	w->name_hash = pg_hash_end(hash);
	w->question_sum += whole - (upper << 32) + upper;
	return cases & 0x4040404040404040ULL ? pg_fold_name(w) : 0;
}

/* The OPT record (RFC 6891 section 6.1.2) must end the message. `at`: its offset. */
PG_INLINE int pg_parse_opt(PG_CONTEXT *ctx, struct pg_work *w, const __u8 *msg, const __u8 *end, __u32 at)
{
	const __u8 *opt = msg + at;
	__u32 length, size;

	if (at + PG_OPT_SIZE > w->message_length || opt + PG_OPT_SIZE > end)
		return PG_EXIT_MALFORMED;
	if (opt[0] || pg_load16(opt + 1) != pg_be16(PG_TYPE_OPT))
		return PG_EXIT_SECTIONS;
	length = pg_be16(pg_load16(opt + 9));
	if (at + PG_OPT_SIZE + length != w->message_length)
		return PG_EXIT_EDNS;
	size = pg_be16(pg_load16(opt + 3));
	if (size > w->limit)
		w->limit = size;
	if (opt[7] & 0x80)
		w->flags |= PG_WORK_DO;
	if (opt[6]) {
		w->rcode = PG_RCODE_BADVERS;
		return PG_EXIT_ANSWERED;
	}
	return length ? pg_parse_options(ctx, w) : PG_EXIT_ANSWERED;
}

/* What follows the name: type, class, OPT. */
PG_INLINE int pg_parse_rest(PG_CONTEXT *ctx, struct pg_work *w, const struct pg_settings *settings, const __u8 *msg,
                            const __u8 *end)
{
	const __u64 length = PG_MASK(w->name_length, 0xff);
	const __u8 *tail = msg + PG_HEADER_SIZE + length;
	__u32 udp_size;

	PG_OPAQUE(tail);
	if (PG_HEADER_SIZE + length + 4 > w->message_length || tail + 4 > end)
		return PG_EXIT_MALFORMED;
	w->qtype = pg_be16(pg_load16(tail));
	w->question_length = length + 4;
	w->limit = PG_UDP_PLAIN_SIZE;
	w->rcode = PG_RCODE_NOERROR;
	w->end = PG_HEADER_SIZE + length;
	w->edns = w->opt_length = 0;
	w->policy = *(const volatile __u8 *)&settings->policy;
	if (pg_load16(tail + 2) != pg_be16(PG_CLASS_IN))
		return PG_EXIT_CLASS;
	/* Transfers. Other query types and meta types but ANY are types of which there is no data. */
	if (w->qtype == PG_TYPE_IXFR || w->qtype == PG_TYPE_AXFR)
		return PG_EXIT_META_TYPE;
	if (w->flags & PG_WORK_OPT) {
		int exit = pg_parse_opt(ctx, w, msg, end, PG_HEADER_SIZE + length + 4);

		if (exit)
			return exit;
	} else if (PG_HEADER_SIZE + length + 4 != w->message_length) {
		return PG_EXIT_MALFORMED;
	}
	udp_size = settings->udp_size;
	if (w->flags & PG_WORK_TCP)
		w->limit = 65535;
	else if (w->limit > udp_size)
		w->limit = udp_size;
	if (w->flags & PG_WORK_OPT)
		pg_reserve_opt(w, settings, w->limit - PG_HEADER_SIZE - w->question_length);
	return w->edns & PG_EDNS_COOKIE ? pg_renew_cookie(w) : PG_EXIT_ANSWERED;
}

/* Parses the query. Returns an exit. */
PG_STAGE int pg_parse(PG_CONTEXT *ctx, struct pg_work *w, const struct pg_settings *settings)
{
	const __u8 *msg, *end;
	int exit;

	if (!w || !settings || pg_message(ctx, w, &msg, &end))
		return PG_EXIT_INTERNAL;
	exit = pg_parse_header(w, msg, end);
	if (exit)
		return exit;
	if (pg_parse_labels(w, msg + PG_HEADER_SIZE, end)) {
		PG_BARRIER();
		return PG_EXIT_MALFORMED;
	}
	/* Else the verifier goes on from each number of labels by itself. */
	PG_BARRIER();
	if (pg_copy_name(w, msg, end) || pg_take_name(w, pg_hash_start(settings->hash_seed, PG_ROLE_NAME, 0))) {
		PG_BARRIER();
		return PG_EXIT_MALFORMED;
	}
	return pg_parse_rest(ctx, w, settings, msg, end);
}

#endif

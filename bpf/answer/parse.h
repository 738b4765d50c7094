/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * First stage: what is asked. Only the ordinary query is taken: opcode QUERY, one question, class IN, nothing behind it
 * but at most one OPT record. All else is left, unjudged, to the fallback.
 */
#ifndef PEREGRINE_ANSWER_PARSE_H
#define PEREGRINE_ANSWER_PARSE_H

#include "edns.h"
#include "name.h"

PG_INLINE int pg_parse_header(struct pg_work *w, const __u8 *msg, const __u8 *end)
{
	if (w->message_length < PG_HEADER_SIZE + 5 || msg + PG_HEADER_SIZE > end)
		return PG_EXIT_MALFORMED;
	if (msg[2] & PG_FLAG_QR)
		return PG_EXIT_RESPONSE;
	if (msg[2] & PG_OPCODE_MASK)
		return PG_EXIT_OPCODE;
	/* A query is not truncated. */
	if (msg[2] & PG_FLAG_TC)
		return PG_EXIT_MALFORMED;
	/* QDCOUNT 1, ANCOUNT 0, NSCOUNT 0, ARCOUNT 0 or 1. */
	if (pg_load32(msg + 4) != pg_be16(1) || pg_load16(msg + 8) || pg_load16(msg + 10) & ~pg_be16(1))
		return PG_EXIT_SECTIONS;
	w->flags = w->flags & PG_WORK_TCP;
	if (pg_load16(msg + 10))
		w->flags |= PG_WORK_OPT;
	return PG_EXIT_ANSWERED;
}

/* Finds the labels of the name that begins at `name`, up to its root. Sets label, labels and name_length. Returns 0, or
 * -1 when it is no whole name, or a compressed one. */
PG_INLINE int pg_parse_labels(struct pg_work *w, const __u8 *name, const __u8 *end)
{
	__u64 at = 0;

	for (__u32 i = 0; i <= PG_LABELS_MAX; i++) {
		const __u8 *label = name + at;

		PG_OPAQUE(label);
		if (at >= PG_NAME_MAX || label + 1 > end)
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

/*
 * Takes the name into the work area, folded, and, in the same pass, its hash as it stands in the index, and the sum of
 * the question as it is: behind the name there are type and class.
 */
PG_INLINE int pg_parse_words(struct pg_work *w, const __u8 *msg, const __u8 *end, __u64 hash)
{
	const __u64 length = w->name_length, rest = length % 8;
	const __u8 *at = msg + PG_HEADER_SIZE;
	__u64 word, sum = 0, i;

	for (i = 0; i < PG_NAME_ROOM - 8; i += 8) {
		const __u8 *next = at + 8;

		PG_OPAQUE(next);
		if (i + 8 > length)
			break;
		if (next > end)
			return -1;
		word = pg_load64(next - 8);
		sum += pg_sum_word(word);
		word = pg_fold(word);
		pg_store64(&w->name[i], word);
		hash = pg_hash_word(hash, word);
		at = next;
	}
	/* The last octets are the upper part of the name's last word, or the only one. */
	at = msg + PG_MASK(length + PG_HEADER_SIZE - 8, 0x1ff);
	PG_OPAQUE(at);
	if (at + 8 + 4 > end)
		return -1;
	word = rest ? pg_load64(at) >> (64 - 8 * rest) : 0;
	sum += pg_sum_word(word);
	word = pg_fold(word);
	/* Words are read up to 7 octets behind the name: zeros. */
	i = PG_MASK(length, PG_NAME_ROOM - 8);
	pg_store64(&w->name[i], word);
	pg_store64(&w->name[i + 8], 0);
	w->name_hash = pg_hash_end(rest ? pg_hash_word(hash, word) : hash);
	word = pg_load32(at + 8);
	w->question_sum = sum + pg_sum_at((word & 0xffff) + (word >> 16), length);
	return 0;
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
	if (pg_parse_labels(w, msg + PG_HEADER_SIZE, end))
		return PG_EXIT_MALFORMED;
	/* Else the verifier goes on from each number of labels by itself. */
	PG_BARRIER();
	if (pg_parse_words(w, msg, end, pg_hash_start(settings->hash_seed, PG_ROLE_NAME, 0)))
		return PG_EXIT_MALFORMED;
	return pg_parse_rest(ctx, w, settings, msg, end);
}

#endif

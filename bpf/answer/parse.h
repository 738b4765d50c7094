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

/*
 * Checks the header and copies the name, folded, into the work area: as many words as there can be. What stands behind
 * the name comes along, until pg_find_labels has found its end.
 */
PG_STAGE int pg_parse_name(PG_CONTEXT *ctx, struct pg_work *w)
{
	const __u8 *msg, *end;
	__u32 length, i;
	int exit;

	if (!w)
		return PG_EXIT_INTERNAL;
	if (pg_message(ctx, w, &msg, &end))
		return PG_EXIT_INTERNAL;
	exit = pg_parse_header(w, msg, end);
	if (exit)
		return exit;
	length = w->message_length;
	for (i = 0; i < PG_NAME_WORDS; i++) {
		const __u8 *at = msg + PG_HEADER_SIZE + i * 8;

		if (PG_HEADER_SIZE + i * 8 + 8 > length || at + 8 > end)
			break;
		pg_store64(&w->name[i * 8], pg_fold(pg_load64(at)));
	}
	if (i < PG_NAME_WORDS) {
		/* The last octets are the upper part of the message's last word. */
		__u32 rest = length - PG_HEADER_SIZE - i * 8;
		const __u8 *last;

		if (rest >= 8 || length > PG_HEADER_SIZE + PG_NAME_ROOM)
			return PG_EXIT_MALFORMED;
		last = msg + PG_MASK(length - 8, 0x1ff);
		PG_OPAQUE(last);
		if (last + 8 > end)
			return PG_EXIT_MALFORMED;
		pg_store64(&w->name[i * 8], rest ? pg_fold(pg_load64(last) >> (64 - 8 * rest)) : 0);
	}
	return PG_EXIT_ANSWERED;
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
PG_STAGE int pg_parse_rest(PG_CONTEXT *ctx, struct pg_work *w)
{
	const struct pg_settings *settings = pg_settings(w);
	const __u8 *msg, *end, *tail;
	__u32 length, udp_size;

	if (!w || !settings)
		return PG_EXIT_INTERNAL;
	if (pg_message(ctx, w, &msg, &end))
		return PG_EXIT_INTERNAL;
	length = PG_MASK(w->name_length, 0xff);
	tail = msg + PG_HEADER_SIZE + length;
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

#endif

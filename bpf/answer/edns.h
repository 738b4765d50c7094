/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The options of EDNS: those of the query, and the OPT record of the reply. Given are NSID (RFC 5001), COOKIE
 * (cookie.h) and, with REFUSED, an extended error (RFC 8914); all others mean nothing to an authoritative server over
 * UDP.
 */
#ifndef PEREGRINE_ANSWER_EDNS_H
#define PEREGRINE_ANSWER_EDNS_H

#include "cookie.h"
#include "sum.h"
#include "wire.h"

#define PG_COOKIE_CLIENT 8 /* octets of a client cookie, and of one with a server cookie of RFC 9018 behind it */
#define PG_COOKIE_BOTH 24
#define PG_COOKIE_LEAST 16 /* with a server cookie of whatever kind */
#define PG_COOKIE_MOST 40
#define PG_COOKIE_SIZE (4 + PG_COOKIE_BOTH) /* of the option in the reply */
#define PG_EDE_SIZE (4 + 2)

/* Notes an option of the query, whose data stands at message offset `at`. The first cookie counts (RFC 7873 section
 * 5.2). Returns an exit: EDNS for what secondaries ask of an SOA, how long the zone has to live (RFC 7314), which the
 * fallback says. */
PG_STAGE int pg_note_option(struct pg_work *w, __u32 code, __u32 length, __u32 at)
{
	if (!w)
		return PG_EXIT_INTERNAL;
	if (code == PG_OPTION_NSID)
		w->edns |= PG_EDNS_NSID;
	if (code == PG_OPTION_COOKIE && !w->cookie_at) {
		w->cookie_at = at;
		w->cookie_length = length;
	}
	if (code == PG_OPTION_EXPIRE && w->qtype == PG_TYPE_SOA)
		return PG_EXIT_EDNS;
	return PG_EXIT_ANSWERED;
}

/* Takes the cookie that stands at `data`. Returns an exit: EDNS when it is of no possible length. */
PG_INLINE int pg_take_cookie(struct pg_work *w, const struct pg_settings *settings, const __u8 *data, __u32 length,
                             const __u8 *end)
{
	if (!pg_policy(w, settings)->secrets)
		return PG_EXIT_ANSWERED;
	if ((length != PG_COOKIE_CLIENT && length < PG_COOKIE_LEAST) || length > PG_COOKIE_MOST ||
	    data + PG_COOKIE_CLIENT > end)
		return PG_EXIT_EDNS;
	w->cookie[0] = pg_load64(data);
	w->edns |= PG_EDNS_COOKIE;
	if (length != PG_COOKIE_BOTH)
		return PG_EXIT_ANSWERED;
	if (data + PG_COOKIE_BOTH > end)
		return PG_EXIT_EDNS;
	w->cookie[1] = pg_load64(data + 8);
	w->cookie[2] = pg_load64(data + 16);
	w->edns |= PG_EDNS_SERVER_COOKIE;
	return PG_EXIT_ANSWERED;
}

/* Reads the options behind the OPT record's fixed part, up to the message's end. Each must be whole. */
PG_STAGE int pg_parse_options(PG_CONTEXT *ctx, struct pg_work *w)
{
	const struct pg_settings *settings = w ? pg_settings(w) : 0;
	const __u8 *msg, *end, *option;
	__u32 at, rest;

	if (!w || !settings || pg_message(ctx, w, &msg, &end))
		return PG_EXIT_INTERNAL;
	at = PG_HEADER_SIZE + w->question_length + PG_OPT_SIZE;
	if (at > w->message_length)
		return PG_EXIT_INTERNAL;
	w->cookie_at = 0;
	rest = w->message_length - at;
	option = msg + PG_MASK(at, 0x1ff);
	for (__u32 i = 0; i < PG_OPT_OPTIONS_MAX && rest; i++) {
		__u32 length, size;
		int exit;

		if (rest < 4 || option + 4 > end)
			return PG_EXIT_EDNS;
		length = pg_be16(pg_load16(option + 2));
		size = 4 + length;
		if (size > rest || size >= PG_OPTION_MAX)
			return PG_EXIT_EDNS;
		exit = pg_note_option(w, pg_be16(pg_load16(option)), length, w->message_length - rest + 4);
		if (exit)
			return exit;
		option += PG_MASK(size, PG_OPTION_MAX - 1);
		rest -= size;
	}
	if (rest)
		return PG_EXIT_EDNS;
	return w->cookie_at
	           ? pg_take_cookie(w, settings, msg + PG_MASK(w->cookie_at, PG_REPLY_MASK), w->cookie_length, end)
	           : PG_EXIT_ANSWERED;
}

/* Sets opt_length: the record, and of the options asked for those for which there are `room` octets. A cookie has
 * always room: header, the longest question, and OPT with it, are less than any limit. */
PG_INLINE void pg_reserve_opt(struct pg_work *w, const struct pg_settings *settings, __u32 room)
{
	__u32 length = PG_OPT_SIZE;

	if (w->edns & PG_EDNS_COOKIE)
		length += PG_COOKIE_SIZE;
	if (w->edns & PG_EDNS_NSID) {
		__u32 nsid = pg_policy(w, settings)->nsid_length;

		if (nsid && length + nsid <= room)
			length += nsid;
		else
			w->edns &= ~PG_EDNS_NSID;
	}
	w->opt_length = length;
}

/* Adds the extended error, where one is due and fits; the reply is decided on. */
PG_INLINE void pg_explain(struct pg_work *w)
{
	if (w->rcode != PG_RCODE_REFUSED || !w->opt_length || w->length + w->opt_length + PG_EDE_SIZE > w->limit)
		return;
	w->edns |= PG_EDNS_EDE;
	w->opt_length += PG_EDE_SIZE;
}

PG_INLINE int pg_link_cookie(struct pg_work *w, __u8 *option, const __u8 *end)
{
	const __u32 head = pg_be16(PG_OPTION_COOKIE) | (__u32)pg_be16(PG_COOKIE_BOTH) << 16;
	__u64 sum = head;

	if (option + PG_COOKIE_SIZE > end)
		return -1;
	pg_store32(option, head);
	for (int i = 0; i < 3; i++) {
		pg_store64(option + 4 + 8 * i, w->cookie[i]);
		sum += pg_sum_word(w->cookie[i]);
	}
	w->sum += pg_sum_at(pg_sum_fold(sum), w->written);
	w->written += PG_COOKIE_SIZE;
	return 0;
}

/* Bounded by constants alone: Linux 6.1 forgets what it knew of a length while it stands on the stack, so that pg_copy
 * would seem to read beyond the settings. */
PG_INLINE int pg_link_nsid(struct pg_work *w, __u8 *option, const __u8 *end, const struct pg_policy *policy)
{
	const __u32 length = policy->nsid_length;
	const __u8 *from = policy->nsid;
	__u32 i;

	for (i = 0; i < PG_NSID_ROOM / 8 - 1; i++) {
		if (i * 8 + 8 > length)
			break;
		if (option + 8 > end)
			return -1;
		pg_store64(option, pg_load64(from));
		option += 8;
		from += 8;
	}
	for (i = 0; i < 7; i++) {
		if (i >= (length & 7))
			break;
		if (option + 1 > end)
			return -1;
		*option++ = *from++;
	}
	w->sum += pg_sum_at(policy->nsid_sum, w->written);
	w->written += length;
	return 0;
}

PG_INLINE int pg_link_ede(struct pg_work *w, __u8 *option, const __u8 *end)
{
	const __u32 head = pg_be16(PG_OPTION_EDE) | (__u32)pg_be16(2) << 16;
	const __u16 code = pg_be16(PG_EDE_NOT_AUTHORITATIVE);

	if (option + PG_EDE_SIZE > end)
		return -1;
	pg_store32(option, head);
	pg_store16(option + 4, code);
	w->sum += pg_sum_at(pg_sum_fold((__u64)head + code), w->written);
	w->written += PG_EDE_SIZE;
	return 0;
}

/* The options of the reply, behind the fixed part of its OPT record. */
PG_STAGE int pg_link_options(PG_CONTEXT *ctx, struct pg_work *w)
{
	const struct pg_settings *settings = w ? pg_settings(w) : 0;
	const __u8 *msg, *end;

	if (!w || !settings || pg_message(ctx, w, &msg, &end))
		return -1;
	if (w->edns & PG_EDNS_COOKIE && pg_link_cookie(w, (__u8 *)msg + PG_MASK(w->written, PG_REPLY_MASK), end))
		return -1;
	if (w->edns & PG_EDNS_NSID &&
	    pg_link_nsid(w, (__u8 *)msg + PG_MASK(w->written, PG_REPLY_MASK), end, pg_policy(w, settings)))
		return -1;
	if (w->edns & PG_EDNS_EDE && pg_link_ede(w, (__u8 *)msg + PG_MASK(w->written, PG_REPLY_MASK), end))
		return -1;
	return 0;
}

/* The OPT record, last of all. */
PG_INLINE int pg_link_opt(PG_CONTEXT *ctx, struct pg_work *w)
{
	const struct pg_settings *settings = w ? pg_settings(w) : 0;
	const __u8 *msg, *end;
	__u16 size, flags, length;
	__u32 at;
	__u8 *opt;

	if (!w || !settings)
		return -1;
	at = PG_MASK(w->written, PG_REPLY_MASK);
	if (pg_message(ctx, w, &msg, &end))
		return -1;
	opt = (__u8 *)msg + at;
	if (opt + PG_OPT_SIZE > end)
		return -1;
	size = pg_be16(settings->udp_size);
	flags = w->flags & PG_WORK_DO ? pg_be16(0x8000) : 0;
	length = pg_be16(w->opt_length - PG_OPT_SIZE);
	opt[0] = 0;
	pg_store16(opt + 1, pg_be16(PG_TYPE_OPT));
	pg_store16(opt + 3, size);
	opt[5] = w->rcode >> 4;
	opt[6] = 0;
	pg_store16(opt + 7, flags);
	pg_store16(opt + 9, length);
	/* The root's octet puts all that follows at the opposite parity; the version is 0. */
	w->sum += pg_sum_at(pg_sum_fold((__u64)pg_be16(PG_TYPE_OPT) + size + (w->rcode >> 4) + flags + length), at + 1);
	w->written = at + PG_OPT_SIZE;
	return w->edns ? pg_link_options(ctx, w) : 0;
}

#endif

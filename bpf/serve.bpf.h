/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What both programs do before and after the frame is made to fit the reply. */
#ifndef PEREGRINE_SERVE_BPF_H
#define PEREGRINE_SERVE_BPF_H

#include "maps.bpf.h"
#include "clock.bpf.h"
#include "answer/answer.h"
#include "packet.bpf.h"
#include "zone_counters.bpf.h"

static __always_inline struct pg_counters *own_counters(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&counters, &zero);
}

static __always_inline void count_answer(struct pg_counters *counter, const struct pg_work *w)
{
	__u32 rcode = w->rcode < PG_RCODES - 1 ? w->rcode : PG_RCODES - 1;

	counter->exits[PG_EXIT_ANSWERED]++;
	counter->rcodes[rcode]++;
	counter->query_octets += w->message_length;
	counter->reply_octets += w->written;
	if (w->flags & PG_WORK_TC)
		counter->truncated++;
	if (w->client_octets != 4)
		counter->ipv6++;
	count_zone(w);
}

/* From the packet to the fragments due; nothing is changed yet. Returns an exit. */
static __always_inline int decide(PG_CONTEXT *ctx, struct pg_work *w, const struct pg_settings *set)
{
	int exit;

	w->now = boottime(w);
	exit = parse_packet(ctx, w, set);
	if (exit)
		return exit;
	w->flags = 0;
	w->zone = PG_ZONE_NONE;
	exit = pg_parse(ctx, w, set);
	if (exit)
		return exit;
	exit = pg_settle(w, set);
	if (exit)
		return exit;
	return pg_reply_length(w) > PG_REPLY_MAX ? PG_EXIT_LARGE : PG_EXIT_ANSWERED;
}

/* Octets of the frame that the reply takes from the query as they are, and octets that it will have. */
static __always_inline __u32 kept_length(const struct pg_work *w)
{
	return w->message + PG_HEADER_SIZE + w->question_length;
}

static __always_inline __u32 frame_length(const struct pg_work *w)
{
	return w->message + pg_reply_length(w);
}

#endif

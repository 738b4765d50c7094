/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What both programs do before and after the frame is made to fit the reply. */
#ifndef PEREGRINE_SERVE_BPF_H
#define PEREGRINE_SERVE_BPF_H

#include "maps.bpf.h"
#include "answer/answer.h"
#include "packet.bpf.h"

/* How long the boot clock may be extrapolated from the cheap one. The coarse clock stands still in a suspend; so for as
 * long after it an expired zone may still be answered. */
#define CLOCK_STEP 1000000000ULL

/* CLOCK_BOOTTIME for some 5 ns instead of 40: read once a second on each CPU, else advanced by the coarse clock. */
struct clock {
	__u64 coarse;
	__u64 boot;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct clock);
} clocks SEC(".maps");

static __always_inline __u64 boottime(void)
{
	__u32 zero = 0;
	struct clock *clock = bpf_map_lookup_elem(&clocks, &zero);
	__u64 coarse = bpf_ktime_get_coarse_ns();

	if (!clock)
		return bpf_ktime_get_boot_ns();
	if (!clock->boot || coarse - clock->coarse > CLOCK_STEP) {
		clock->boot = bpf_ktime_get_boot_ns();
		clock->coarse = coarse;
	}
	return clock->boot + (coarse - clock->coarse);
}

static __always_inline void count_answer(struct pg_counters *counter, const struct pg_work *w, const struct packet *p)
{
	__u32 rcode = w->rcode < PG_RCODES - 1 ? w->rcode : PG_RCODES - 1;

	counter->exits[PG_EXIT_ANSWERED]++;
	counter->rcodes[rcode]++;
	counter->truncated += w->flags & PG_WORK_TC ? 1 : 0;
	counter->query_octets += w->message_length;
	counter->reply_octets += pg_reply_length(w);
	counter->ipv6 += p->is_ipv6;
}

/* From the packet to the fragments due; nothing is changed yet. Returns an exit. */
static __always_inline int decide(PG_CONTEXT *ctx, struct pg_work *w, struct packet *p)
{
	const struct pg_settings *set = pg_settings(w);
	int exit;

	if (!set)
		return PG_EXIT_INTERNAL;
	exit = parse_packet(ctx, p, set->port);
	if (exit)
		return exit;
	w->message = p->udp + sizeof(struct udphdr);
	w->message_length = p->payload;
	w->flags = 0;
	exit = pg_parse(ctx, w);
	if (exit)
		return exit;
	w->now = boottime();
	exit = pg_resolve(w);
	if (exit)
		return exit;
	return pg_reply_length(w) > PG_REPLY_MAX ? PG_EXIT_LARGE : PG_EXIT_ANSWERED;
}

/* Octets of the frame that the reply takes from the query as they are, and octets that it will have. */
static __always_inline __u32 kept_length(const struct pg_work *w, const struct packet *p)
{
	return p->udp + sizeof(struct udphdr) + PG_HEADER_SIZE + w->question_length;
}

static __always_inline __u32 frame_length(const struct pg_work *w, const struct packet *p)
{
	return p->udp + sizeof(struct udphdr) + pg_reply_length(w);
}

#endif

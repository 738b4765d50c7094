// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The product's program, source and all, with more entries beside it that stop after a stage: the difference between
 * two is what a stage costs.
 */
#include "../../bpf/peregrine.bpf.c"

/* The head of each entry: the packet dissected. */
#define BEGIN                                                                                                          \
	__u32 zero = 0;                                                                                                \
	struct packet p = {};                                                                                          \
	struct pg_work *w = bpf_map_lookup_elem(&work, &zero);                                                         \
	const struct pg_settings *set = bpf_map_lookup_elem(&settings, &zero);                                         \
	if (!w || !set || parse_packet(ctx, w, &p, set))                                                               \
		return XDP_ABORTED;                                                                                    \
	w->message = p.udp + sizeof(struct udphdr);                                                                    \
	w->message_length = p.payload;                                                                                 \
	w->flags = 0

SEC("xdp.frags")
int stage_packet(struct xdp_md *ctx)
{
	BEGIN;
	return XDP_TX;
}

SEC("xdp.frags")
int stage_parse(struct xdp_md *ctx)
{
	BEGIN;
	return pg_parse(ctx, w) ? XDP_ABORTED : XDP_TX;
}

SEC("xdp.frags")
int stage_clock(struct xdp_md *ctx)
{
	BEGIN;
	if (pg_parse(ctx, w))
		return XDP_ABORTED;
	w->now = boottime(w);
	return XDP_TX;
}

SEC("xdp.frags")
int stage_zone(struct xdp_md *ctx)
{
	BEGIN;
	if (pg_parse(ctx, w))
		return XDP_ABORTED;
	w->now = boottime(w);
	return pg_find_zone(w) ? XDP_ABORTED : XDP_TX;
}

SEC("xdp.frags")
int stage_name(struct xdp_md *ctx)
{
	BEGIN;
	if (pg_parse(ctx, w))
		return XDP_ABORTED;
	w->now = boottime(w);
	return pg_find_zone(w) || pg_find_name(w) ? XDP_ABORTED : XDP_TX;
}

SEC("xdp.frags")
int stage_decide(struct xdp_md *ctx)
{
	struct packet p = {};
	__u32 zero = 0;
	struct pg_work *w = bpf_map_lookup_elem(&work, &zero);

	return !w || decide(ctx, w, &p) ? XDP_ABORTED : XDP_TX;
}

SEC("xdp.frags")
int stage_grow(struct xdp_md *ctx)
{
	struct packet p = {};
	__u32 zero = 0;
	struct pg_work *w = bpf_map_lookup_elem(&work, &zero);
	int have, want;

	if (!w || decide(ctx, w, &p))
		return XDP_ABORTED;
	have = bpf_xdp_get_buff_len(ctx);
	want = p.udp + sizeof(struct udphdr) + pg_reply_length(w);
	return have != want && bpf_xdp_adjust_tail(ctx, want - have) ? XDP_ABORTED : XDP_TX;
}

SEC("xdp.frags")
int stage_link(struct xdp_md *ctx)
{
	struct packet p = {};
	__u32 zero = 0;
	struct pg_work *w = bpf_map_lookup_elem(&work, &zero);
	int have, want;

	if (!w || decide(ctx, w, &p))
		return XDP_ABORTED;
	have = bpf_xdp_get_buff_len(ctx);
	want = p.udp + sizeof(struct udphdr) + pg_reply_length(w);
	if (have != want && bpf_xdp_adjust_tail(ctx, want - have))
		return XDP_ABORTED;
	return pg_link(ctx, w) ? XDP_ABORTED : XDP_TX;
}

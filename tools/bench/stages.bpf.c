// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The product's program, source and all, with more entries beside it that stop after a stage: the difference between
 * two is what a stage costs.
 */
#include "../../bpf/peregrine.bpf.c"

/* The first stages, as decide() has them. */
static __always_inline int dissect(struct xdp_md *ctx, struct pg_work *w, struct packet *p)
{
	const struct pg_settings *set = pg_settings(w);

	if (!set || parse_packet(ctx, w, p, set))
		return -1;
	w->message = p->udp + sizeof(struct udphdr);
	w->message_length = p->payload;
	w->flags = 0;
	return 0;
}

static __always_inline int parse(struct xdp_md *ctx, struct pg_work *w, struct packet *p)
{
	return dissect(ctx, w, p) || pg_parse(ctx, w, pg_settings(w));
}

static __always_inline int clocked(struct xdp_md *ctx, struct pg_work *w, struct packet *p)
{
	if (parse(ctx, w, p))
		return -1;
	w->now = boottime(w);
	return 0;
}

static __always_inline int limited(struct xdp_md *ctx, struct pg_work *w, struct packet *p)
{
	return decide(ctx, w, p) || limit_response(w) != PG_LIMIT_PASS;
}

/* Of what resize() does, what every frame goes through. */
static __always_inline int grow(struct xdp_md *ctx, struct pg_work *w, struct packet *p)
{
	int have, want;

	if (limited(ctx, w, p))
		return -1;
	have = bpf_xdp_get_buff_len(ctx);
	want = frame_length(w, p);
	return have != want && bpf_xdp_adjust_tail(ctx, want - have);
}

/* An entry that ends after `stage`; ctx, w and p are its names for frame, work area and packet. */
#define STAGE(name, stage)                                                                                             \
	SEC("xdp.frags")                                                                                               \
	int stage_##name(struct xdp_md *ctx)                                                                           \
	{                                                                                                              \
		struct packet p = {};                                                                                  \
		__u32 zero = 0;                                                                                        \
		struct pg_work *w = bpf_map_lookup_elem(&work, &zero);                                                 \
                                                                                                                       \
		return !w || (stage) ? XDP_ABORTED : XDP_TX;                                                           \
	}

STAGE(packet, dissect(ctx, w, &p))
STAGE(parse, parse(ctx, w, &p))
STAGE(clock, clocked(ctx, w, &p))
STAGE(name, clocked(ctx, w, &p) || pg_find(w))
STAGE(decide, decide(ctx, w, &p))
STAGE(limit, limited(ctx, w, &p))
STAGE(grow, grow(ctx, w, &p))
STAGE(link, grow(ctx, w, &p) || pg_link(ctx, w))

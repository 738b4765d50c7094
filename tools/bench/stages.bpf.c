// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The product's program, source and all, with more entries beside it that stop after a stage: the difference between
 * two is what a stage costs.
 */
#include "../../bpf/peregrine.bpf.c"

/* The first stages, as decide() has them. */
static __always_inline int dissect(struct xdp_md *ctx, struct pg_work *w, const struct pg_settings *set)
{
	if (parse_packet(ctx, w, set))
		return -1;
	w->flags = 0;
	return 0;
}

static __always_inline int parse(struct xdp_md *ctx, struct pg_work *w, const struct pg_settings *set)
{
	return dissect(ctx, w, set) || pg_parse(ctx, w, set);
}

static __always_inline int clocked(struct xdp_md *ctx, struct pg_work *w, const struct pg_settings *set)
{
	if (parse(ctx, w, set))
		return -1;
	w->now = boottime(w);
	return 0;
}

static __always_inline int limited(struct xdp_md *ctx, struct pg_work *w, const struct pg_settings *set)
{
	return decide(ctx, w, set) || limit_response(w, set) != PG_LIMIT_PASS;
}

/* Of what resize() does, what every frame goes through. */
static __always_inline int grow(struct xdp_md *ctx, struct pg_work *w, const struct pg_settings *set)
{
	int have, want;

	if (limited(ctx, w, set))
		return -1;
	have = bpf_xdp_get_buff_len(ctx);
	want = frame_length(w);
	return have != want && bpf_xdp_adjust_tail(ctx, want - have);
}

/* An entry that ends after `stage`; ctx, w and set are its names for frame, work area and settings. */
#define STAGE(name, stage)                                                                                             \
	SEC("xdp.frags")                                                                                               \
	int stage_##name(struct xdp_md *ctx)                                                                           \
	{                                                                                                              \
		__u32 zero = 0;                                                                                        \
		struct pg_work *w = bpf_map_lookup_elem(&work, &zero);                                                 \
		const struct pg_settings *set = pg_settings(w);                                                        \
                                                                                                                       \
		return !w || !set || (stage) ? XDP_ABORTED : XDP_TX;                                                   \
	}

STAGE(packet, dissect(ctx, w, set))
STAGE(parse, parse(ctx, w, set))
STAGE(clock, clocked(ctx, w, set))
STAGE(name, clocked(ctx, w, set) || pg_find(w, set))
STAGE(decide, decide(ctx, w, set))
STAGE(limit, limited(ctx, w, set))
STAGE(grow, grow(ctx, w, set))
STAGE(link, grow(ctx, w, set) || pg_link(ctx, w))

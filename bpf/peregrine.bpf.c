// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The program: a DNS query in, the reply out of the same interface, or the packet passed on as it came.
 *
 *   dissect -> is it ours? -> parse -> find -> decide -> limit -> room? -> grow -> link -> turn round -> XDP_TX
 *   any doubt before "grow": XDP_PASS, packet untouched, counted by reason; over the limit: XDP_DROP
 */
#include <linux/bpf.h>

#define PG_CONTEXT struct xdp_md
#include "serve.bpf.h"
#include "limit.bpf.h"
#include "resize.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/* The packet is not answered. */
static __always_inline int leave(struct pg_counters *counter, int exit)
{
	counter->exits[PG_MASK(exit, PG_EXIT_ROOM - 1)]++;
	return exit == PG_EXIT_LIMITED ? XDP_DROP : XDP_PASS;
}

SEC("xdp.frags")
int peregrine_xdp(struct xdp_md *ctx)
{
	__u32 zero = 0;
	struct pg_work *w = bpf_map_lookup_elem(&work, &zero);
	const struct pg_settings *set = pg_settings(w);
	struct pg_counters *counter = own_counters();
	int exit, verdict;

	if (!w || !set || !counter)
		return XDP_PASS;
	exit = decide(ctx, w, set);
	if (exit)
		return leave(counter, exit);
	verdict = limit_response(w, set);
	/* Behind the driver nothing is limited: what is over the limit must not get there, whatever the room. */
	if (verdict == PG_LIMIT_DROP)
		return leave(counter, PG_EXIT_LIMITED);
	if (verdict == PG_LIMIT_SLIP)
		pg_slip(w);
	if (resize(ctx, frame_length(w), kept_length(w)))
		return leave(counter, verdict == PG_LIMIT_PASS ? PG_EXIT_NO_ROOM : PG_EXIT_LIMITED);
	if (pg_link(ctx, w) || turn_packet(ctx, w)) {
		counter->exits[PG_EXIT_INTERNAL]++;
		return XDP_ABORTED;
	}
	count_answer(counter, w);
	if (verdict == PG_LIMIT_SLIP)
		counter->slipped++;
	return XDP_TX;
}

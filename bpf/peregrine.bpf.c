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

SEC("xdp.frags")
int peregrine_xdp(struct xdp_md *ctx)
{
	struct packet p = {};
	__u32 zero = 0;
	struct pg_work *w = bpf_map_lookup_elem(&work, &zero);
	struct pg_counters *counter = bpf_map_lookup_elem(&counters, &zero);
	int exit, verdict = PG_LIMIT_PASS;

	if (!w || !counter)
		return XDP_PASS;
	exit = decide(ctx, w, &p);
	if (!exit)
		verdict = limit_response(w);
	if (verdict == PG_LIMIT_SLIP)
		pg_slip(w);
	/* Behind the driver nothing is limited: what is over the limit must not get there, whatever the room. */
	if (verdict == PG_LIMIT_DROP)
		exit = PG_EXIT_LIMITED;
	else if (!exit && resize(ctx, frame_length(w, &p), kept_length(w, &p)))
		exit = verdict == PG_LIMIT_PASS ? PG_EXIT_NO_ROOM : PG_EXIT_LIMITED;
	if (exit) {
		counter->exits[PG_MASK(exit, PG_EXIT_ROOM - 1)]++;
		return exit == PG_EXIT_LIMITED ? XDP_DROP : XDP_PASS;
	}
	if (pg_link(ctx, w) || turn_packet(ctx, &p, w->written, w->sum)) {
		counter->exits[PG_EXIT_INTERNAL]++;
		return XDP_ABORTED;
	}
	count_answer(counter, w, &p);
	counter->slipped += verdict == PG_LIMIT_SLIP;
	return XDP_TX;
}

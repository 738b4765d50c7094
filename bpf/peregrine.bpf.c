// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The program: a DNS query in, the reply out of the same interface, or the packet passed on as it came.
 *
 *   dissect -> is it ours? -> parse -> find -> decide -> room? -> grow -> link -> turn round -> XDP_TX
 *   any doubt before "grow": XDP_PASS, packet untouched, counted by reason
 */
#include <linux/bpf.h>

#define PG_CONTEXT struct xdp_md
#include "serve.bpf.h"
#include "resize.bpf.h"

char LICENSE[] SEC("license") = "GPL";

SEC("xdp.frags")
int peregrine_xdp(struct xdp_md *ctx)
{
	struct packet p = {};
	__u32 zero = 0;
	struct pg_work *w = bpf_map_lookup_elem(&work, &zero);
	struct pg_counters *counter = bpf_map_lookup_elem(&counters, &zero);
	int exit;

	if (!w || !counter)
		return XDP_PASS;
	exit = decide(ctx, w, &p);
	if (!exit && resize(ctx, frame_length(w, &p), kept_length(w, &p)))
		exit = PG_EXIT_NO_ROOM;
	if (exit) {
		counter->exits[PG_MASK(exit, PG_EXIT_ROOM - 1)]++;
		return XDP_PASS;
	}
	if (pg_link(ctx, w) || turn_packet(ctx, &p, w->written, w->sum)) {
		counter->exits[PG_EXIT_INTERNAL]++;
		return XDP_ABORTED;
	}
	count_answer(counter, w, &p);
	return XDP_TX;
}

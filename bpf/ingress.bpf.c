// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The second chance: queries whose frame had no room for the reply (PG_EXIT_NO_ROOM), as on veth, which packs frames
 * from the stack tightly. Behind the driver, at the ingress of traffic control, the packet is a socket buffer that can
 * take any length; the same engine answers there, still without the agent. It sees whatever the first program
 * passed, and passes on what it does not answer, untouched and uncounted: it has been counted.
 *
 * A packet from a local sender may still owe its checksum (CHECKSUM_PARTIAL). On veth that is never collected; on
 * virtio it would be, and spoil ours: but there frames have room, and the driver answers.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#define PG_CONTEXT struct __sk_buff
#include "serve.bpf.h"

char LICENSE[] SEC("license") = "GPL";

SEC("tc")
int peregrine_ingress(struct __sk_buff *ctx)
{
	__u32 zero = 0, want;
	struct pg_work *w = bpf_map_lookup_elem(&work, &zero);
	const struct pg_settings *set = pg_settings(w);
	struct pg_counters *counter = own_counters();

	if (!w || !set || !counter || decide(ctx, w, set))
		return TC_ACT_OK;
	want = frame_length(w);
	/* Writable and in one piece; neither changes what the packet holds. */
	if (bpf_skb_pull_data(ctx, ctx->len))
		return TC_ACT_OK;
	if (bpf_skb_change_tail(ctx, want, 0))
		return TC_ACT_OK;
	if (bpf_skb_pull_data(ctx, want) || pg_link(ctx, w) || turn_packet(ctx, w)) {
		counter->exits[PG_EXIT_INTERNAL]++;
		return TC_ACT_SHOT;
	}
	count_answer(counter, w);
	counter->regrown++;
	return bpf_redirect(ctx->ifindex, 0);
}

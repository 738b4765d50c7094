// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What surrounds a measured program.
 *
 * BPF_PROG_TEST_RUN repeats a program on the packet that the run before has left. So `bench_restore` lays the next
 * query in the packet's place, gives it its length again, and goes over to the measured program by a tail call. What
 * this costs is measured with `bench_return` behind it, which does nothing.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "bench_shared.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} measured SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BENCH_QUERIES);
	__type(key, __u32);
	__type(value, struct bench_query);
} queries SEC(".maps");

__u32 query_count = 1;
__u32 query_next;

SEC("xdp.frags")
int bench_restore(struct xdp_md *ctx)
{
	__u32 number = query_next, length;
	const struct bench_query *query = bpf_map_lookup_elem(&queries, &number);
	__u8 *to, *end;

	query_next = number + 1 < query_count ? number + 1 : 0;
	if (!query)
		return XDP_ABORTED;
	length = query->length;
	if (length < 8 || length > BENCH_FRAME)
		return XDP_ABORTED;
	/* Called even if the length is right already, as behind `bench_return`: it must cost the same. */
	if (bpf_xdp_adjust_tail(ctx, (int)length - (int)bpf_xdp_get_buff_len(ctx)))
		return XDP_ABORTED;
	to = (__u8 *)(long)ctx->data;
	end = (__u8 *)(long)ctx->data_end;
	for (__u32 i = 0; i < BENCH_FRAME / 8; i++) {
		if (to + i * 8 + 8 > end)
			break;
		*(__u64 *)(to + i * 8) = *(const __u64 *)(query->octets + i * 8);
	}
	/* The last octets, as a word that overlaps the one before. */
	length = (length - 8) & (BENCH_FRAME - 1);
	to += length;
	if (to + 8 > end || length > BENCH_FRAME - 8)
		return XDP_ABORTED;
	*(__u64 *)to = *(const __u64 *)(query->octets + length);
	bpf_tail_call_static(ctx, &measured, 0);
	return XDP_ABORTED;
}

/* The least there can be. */
SEC("xdp.frags")
int bench_return(struct xdp_md *ctx)
{
	return XDP_TX;
}

/* What any reply costs at least: MAC, IPv4 and port change sides, QR is set. The sums stay right but for QR, which
 * nobody looks at here. */
SEC("xdp.frags")
int bench_reflect(struct xdp_md *ctx)
{
	__u8 *data = (__u8 *)(long)ctx->data;
	__u16 *mac = (__u16 *)data, *port = (__u16 *)(data + 34), word;
	__u32 *address = (__u32 *)(data + 26), long_word;

	if (data + 14 + 20 + 8 + 12 > (__u8 *)(long)ctx->data_end || data[12] != 8 || data[13] || data[23] != 17)
		return XDP_PASS;
	for (int i = 0; i < 3; i++) {
		word = mac[i];
		mac[i] = mac[i + 3];
		mac[i + 3] = word;
	}
	long_word = address[0];
	address[0] = address[1];
	address[1] = long_word;
	word = port[0];
	port[0] = port[1];
	port[1] = word;
	data[44] |= 0x80;
	return XDP_TX;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A closed loop of queries. `turn` stands at the client's end of a link and makes each reply into the next query, in
 * the same frame; so there are as many queries under way as were injected, and what answers them sets the pace.
 *
 * The programs run on one CPU: the variables have no locks. The loop ends by itself about `deadline`, whatever has
 * become of the process that started it.
 */
#include <stdbool.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "generator_shared.h"

char LICENSE[] SEC("license") = "GPL";

#define DNS_OCTETS 12
#define IPV4_AT 14
#define IPV4_OCTETS 20
#define IPV6_OCTETS 40
#define UDP_OCTETS 8
#define FLAGS_QR 0x8000
#define FLAGS_TC 0x0200

const volatile __u32 interface;
const volatile __u32 query_count = 1;
const volatile __u32 frame_most = GENERATOR_SLOT_LEAST - GENERATOR_HEAD;
/* The room that a frame must have for its reply, in octets; 0: nobody replies in the same frame. */
const volatile __u32 room;

bool stop;      /* all replies are dropped */
__u64 deadline; /* nanoseconds of CLOCK_MONOTONIC; then, too */
__u32 next;
__u64 sent, replies, wrong, truncated, octets, without_room, strange;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__uint(value_size, GENERATOR_SLOT_LEAST);
} queries SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, GENERATOR_SAMPLES + 1); /* the last one: of the first wrong reply */
	__type(key, __u32);
	__type(value, struct generator_sample);
} samples SEC(".maps");

struct udp {
	__be16 source, destination, length, check;
};

struct dns {
	__be16 id, flags, questions, answers, authorities, additionals;
};

static void keep(struct xdp_md *ctx, __u32 number, __u32 query, __u32 length)
{
	struct generator_sample *sample = bpf_map_lookup_elem(&samples, &number);

	if (!sample)
		return;
	if (length > GENERATOR_SAMPLE_OCTETS)
		length = GENERATOR_SAMPLE_OCTETS;
	if (length == 0 || bpf_xdp_load_bytes(ctx, 0, sample->frame, length))
		return;
	sample->query = query;
	sample->length = length;
}

/* A frame that was a packet of the stack's on its way has but the room behind it that the packet took, and always some
 * in front. One that the driver turns round keeps its page; where it has to have room for a reply, it may have lost that.
 */
static int resize(struct xdp_md *ctx, int length, int wanted)
{
	if (!room)
		return bpf_xdp_adjust_head(ctx, length - wanted);
	if (bpf_xdp_adjust_tail(ctx, (int)room - length))
		return -1;
	return bpf_xdp_adjust_tail(ctx, wanted - (int)room);
}

/* Lays the next query into the frame and sends it out. */
static int send(struct xdp_md *ctx, int length)
{
	__u32 number = next, size;
	const struct generator_query *query = bpf_map_lookup_elem(&queries, &number);

	next = number + 1 < query_count ? number + 1 : 0;
	if (!query)
		return XDP_ABORTED;
	size = query->length;
	if (size < ETH_HLEN || size > frame_most)
		return XDP_ABORTED;
	if (resize(ctx, length, (int)size)) {
		without_room++;
		return XDP_DROP;
	}
	if (bpf_xdp_store_bytes(ctx, 0, (void *)query->frame, size))
		return XDP_ABORTED;
	sent++;
	return bpf_redirect(interface, 0);
}

static bool is_over(void)
{
	if ((replies & 0xffff) == 0 && bpf_ktime_get_ns() > deadline)
		stop = true;
	return stop;
}

SEC("xdp")
int inject(struct xdp_md *ctx)
{
	return send(ctx, (int)bpf_xdp_get_buff_len(ctx));
}

static void judge(struct xdp_md *ctx, __u32 number, const struct dns *dns, __u32 length)
{
	const struct generator_query *query = bpf_map_lookup_elem(&queries, &number);
	__u16 flags = bpf_ntohs(dns->flags), answers = bpf_ntohs(dns->answers);
	__u32 sample;

	replies++;
	octets += length;
	truncated += !!(flags & FLAGS_TC);
	if (!query) {
		strange++;
		return;
	}
	sample = query->sample;
	if (!(flags & FLAGS_QR) || (flags & 15) != query->rcode ||
	    ((query->flags & GENERATOR_ANSWERS) && answers != query->answers)) {
		if (!wrong++)
			keep(ctx, GENERATOR_SAMPLES, number, length);
	}
	if (sample)
		keep(ctx, sample - 1, number, length);
}

SEC("xdp")
int turn(struct xdp_md *ctx)
{
	__u8 *data = (__u8 *)(long)ctx->data, *end = (__u8 *)(long)ctx->data_end;
	struct udp *udp = (struct udp *)(data + IPV4_AT + IPV4_OCTETS);
	__u32 length = end - data;
	struct dns *dns;
	__u16 port;

	if (data + IPV4_AT + IPV4_OCTETS > end)
		return XDP_PASS;
	if (data[12] == 0x86 && data[13] == 0xdd) {
		if (data[IPV4_AT + 6] != IPPROTO_UDP)
			return XDP_PASS;
		udp = (struct udp *)(data + IPV4_AT + IPV6_OCTETS);
	} else if (data[12] != 8 || data[13] || data[IPV4_AT] != 0x45 || data[IPV4_AT + 9] != IPPROTO_UDP) {
		return XDP_PASS;
	}
	dns = (struct dns *)(udp + 1);
	if ((void *)(dns + 1) > (void *)end || udp->source != bpf_htons(53))
		return XDP_PASS;
	port = bpf_ntohs(udp->destination);
	if (port < GENERATOR_PORT || port - GENERATOR_PORT >= GENERATOR_QUERIES >> 16)
		return XDP_PASS;
	judge(ctx, (__u32)(port - GENERATOR_PORT) << 16 | bpf_ntohs(dns->id), dns, length);
	if (is_over())
		return XDP_DROP;
	return send(ctx, (int)length);
}

/* The sides change places, and QR is turned. The sums stay right but for QR, which nobody looks at here. */
static int reflect_frame(struct xdp_md *ctx)
{
	__u8 *data = (__u8 *)(long)ctx->data;
	__u16 *mac = (__u16 *)data, *port = (__u16 *)(data + 34), word;
	__u32 *address = (__u32 *)(data + 26), long_word;

	if (data + 14 + 20 + 8 + 12 > (__u8 *)(long)ctx->data_end || data[12] != 8 || data[13] ||
	    data[23] != IPPROTO_UDP)
		return -1;
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
	data[44] ^= FLAGS_QR >> 8;
	return 0;
}

/* The least that a server could do. */
SEC("xdp.frags")
int reflect(struct xdp_md *ctx)
{
	return reflect_frame(ctx) ? XDP_PASS : XDP_TX;
}

/* The client's end of that: it does the same, so that the one end is not slower than the other, and counts. */
SEC("xdp.frags")
int reflect_back(struct xdp_md *ctx)
{
	if (reflect_frame(ctx))
		return XDP_PASS;
	replies++;
	if (is_over())
		return XDP_DROP;
	sent++;
	return XDP_TX;
}

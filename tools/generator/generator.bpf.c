// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Queries, as a closed or as an open loop. `turn` stands at the client's end of a link. In a closed loop it makes each
 * reply into the next query, in the same frame; so there are as many queries under way as `inject` has put in, and what
 * answers them sets the pace. In an open loop it counts replies, and `pace` sends, whatever comes back.
 *
 * The programs run on one CPU, or write different variables: these have no locks. A closed loop ends by itself about
 * `deadline`, whatever has become of the process that started it.
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

const volatile bool open_loop;
/* Between two queries of an open loop, in nanoseconds; 0: one after another. */
const volatile __u32 interval;
/* An open loop that is so much behind lets go of what it should have sent, rather than send it at once. */
const volatile __u32 late;
/* The interface by which a second client asks, at the interval, while the first one does not wait; 0: there is none. */
const volatile __u32 beside;
/* From here on the queries are the second client's. */
const volatile __u32 beside_from = ~0u;

/* The other end adds up what all CPUs have reflected, as no server should. */
const volatile bool count_all;
__u64 reflected;

bool stop;      /* all replies are dropped */
__u64 deadline; /* nanoseconds of CLOCK_MONOTONIC; then, too */
__u32 next, beside_next;
__u64 beside_sent, beside_replies;
__u64 begun;   /* the first window, nanoseconds of CLOCK_MONOTONIC; 0: nothing is timed yet */
__u64 due;     /* when the open loop's next query is, nanoseconds of CLOCK_MONOTONIC */
__u64 skipped; /* queries that an open loop should have sent, and had no time to */
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

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* as many as there are queries */
	__type(key, __u32);
	__type(value, __u64);
} sent_at SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* GENERATOR_STEPS for each window, where replies are timed */
	__type(key, __u32);
	__type(value, __u64);
} steps SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, GENERATOR_WINDOWS);
	__type(key, __u32);
	__type(value, __u64); /* queries sent */
} windows SEC(".maps");

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
 * in front. One that the driver turned round has kept its page, and is told by the MAC that it comes back to: the stack
 * sends to the interface's own. Whether there is room is not asked of every frame, since growing it clears the page.
 */
static int resize(struct xdp_md *ctx, int length, int wanted, bool turned)
{
	if (!room)
		return bpf_xdp_adjust_head(ctx, length - wanted);
	if (turned)
		return bpf_xdp_adjust_tail(ctx, wanted - length);
	if (bpf_xdp_adjust_tail(ctx, (int)room - length))
		return -1;
	return bpf_xdp_adjust_tail(ctx, wanted - (int)room);
}

static __u32 take_next(void)
{
	__u32 number = next;

	next = number + 1 < query_count && number + 1 < beside_from ? number + 1 : 0;
	return number;
}

/* Lays a query into the frame and sends it out. */
static int send(struct xdp_md *ctx, __u32 number, int length, bool turned)
{
	const struct generator_query *query = bpf_map_lookup_elem(&queries, &number);
	__u32 size;

	if (!query)
		return XDP_ABORTED;
	size = query->length;
	if (size < ETH_HLEN || size > frame_most)
		return XDP_ABORTED;
	if (resize(ctx, length, (int)size, turned)) {
		without_room++;
		return XDP_DROP;
	}
	if (bpf_xdp_store_bytes(ctx, 0, (void *)query->frame, size))
		return XDP_ABORTED;
	sent++;
	return XDP_TX;
}

static bool is_over(void)
{
	if ((replies & 0xffff) == 0 && bpf_ktime_get_ns() > deadline)
		stop = true;
	return stop;
}

static int put_in(struct xdp_md *ctx, __u32 number, __u32 to)
{
	int length = (int)bpf_xdp_get_buff_len(ctx);

	/* A frame of our own has a page. */
	return send(ctx, number, length, true) == XDP_TX ? bpf_redirect(to, 0) : XDP_DROP;
}

SEC("xdp")
int inject(struct xdp_md *ctx)
{
	return put_in(ctx, take_next(), interface);
}

/* The number of the window, or one that no window has. */
static __u32 window_at(__u64 time)
{
	__u64 number = begun && time >= begun ? (time - begun) / GENERATOR_WINDOW : GENERATOR_WINDOWS;

	return number < GENERATOR_WINDOWS ? (__u32)number : GENERATOR_WINDOWS;
}

static bool is_due(__u64 now)
{
	__u32 number = window_at(now);
	__u64 *window;

	if (now < due)
		return false;
	due += interval;
	if (now > due + late) {
		skipped += (now - due) / interval;
		due = now;
	}
	window = bpf_map_lookup_elem(&windows, &number);
	if (window)
		*window += 1;
	return true;
}

static int ask_beside(struct xdp_md *ctx)
{
	__u32 number = beside_from + beside_next;

	beside_next = number + 1 < query_count ? beside_next + 1 : 0;
	beside_sent++;
	return put_in(ctx, number, beside);
}

/* Lets the queries of an open loop go when they are due; a busy loop calls this. */
SEC("xdp")
int pace(struct xdp_md *ctx)
{
	__u64 now, *stamp;
	__u32 number;

	if (stop)
		return XDP_DROP;
	if (interval) {
		now = bpf_ktime_get_ns();
		if (beside && is_due(now))
			return ask_beside(ctx);
		if (!beside && !is_due(now))
			return XDP_DROP;
	}
	number = take_next();
	stamp = interval && !beside ? bpf_map_lookup_elem(&sent_at, &number) : NULL;
	if (stamp)
		*stamp = now;
	return put_in(ctx, number, interface);
}

static void count_step(__u32 query)
{
	const __u64 *stamp = bpf_map_lookup_elem(&sent_at, &query);
	__u64 *count, step;
	__u32 number;

	if (!stamp)
		return;
	step = (bpf_ktime_get_ns() - *stamp) / GENERATOR_STEP;
	number = step < GENERATOR_STEPS ? (__u32)step : GENERATOR_STEPS - 1;
	number += window_at(*stamp) * GENERATOR_STEPS;
	count = bpf_map_lookup_elem(&steps, &number);
	if (count)
		*count += 1;
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
	if (number >= beside_from)
		beside_replies++;
	else if (interval && !beside)
		count_step(number);
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
	bool turned;
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
	turned = *(__u32 *)data == *(const __u32 *)generator_mac;
	dns = (struct dns *)(udp + 1);
	if ((void *)(dns + 1) > (void *)end || udp->source != bpf_htons(53))
		return XDP_PASS;
	port = bpf_ntohs(udp->destination);
	if (port < GENERATOR_PORT || port - GENERATOR_PORT >= GENERATOR_QUERIES >> 16)
		return XDP_PASS;
	judge(ctx, (__u32)(port - GENERATOR_PORT) << 16 | bpf_ntohs(dns->id), dns, length);
	if (open_loop || is_over())
		return XDP_DROP;
	if (send(ctx, take_next(), (int)length, turned) != XDP_TX)
		return XDP_DROP;
	/* Only an end that has a program itself is woken by XDP_TX. */
	return room ? XDP_TX : bpf_redirect(interface, 0);
}

static void swap_words(__u16 *words, int distance)
{
	for (int i = 0; i < distance; i++) {
		__u16 word = words[i];

		words[i] = words[i + distance];
		words[i + distance] = word;
	}
}

/* The least that a server could do: the sides change places, and QR is set. The sums stay right but for QR, which
 * nobody looks at here. */
SEC("xdp.frags")
int reflect(struct xdp_md *ctx)
{
	__u8 *data = (__u8 *)(long)ctx->data, *end = (__u8 *)(long)ctx->data_end;

	if (data + IPV4_AT + IPV4_OCTETS + UDP_OCTETS + DNS_OCTETS > end)
		return XDP_PASS;
	if (data[12] == 8 && data[13] == 0 && data[IPV4_AT + 9] == IPPROTO_UDP) {
		swap_words((__u16 *)(data + IPV4_AT + 12), 2);
		swap_words((__u16 *)(data + IPV4_AT + IPV4_OCTETS), 1);
		data[IPV4_AT + IPV4_OCTETS + UDP_OCTETS + 2] |= FLAGS_QR >> 8;
	} else if (data[12] == 0x86 && data[13] == 0xdd && data[IPV4_AT + 6] == IPPROTO_UDP &&
	           data + IPV4_AT + IPV6_OCTETS + UDP_OCTETS + DNS_OCTETS <= end) {
		swap_words((__u16 *)(data + IPV4_AT + 8), 8);
		swap_words((__u16 *)(data + IPV4_AT + IPV6_OCTETS), 1);
		data[IPV4_AT + IPV6_OCTETS + UDP_OCTETS + 2] |= FLAGS_QR >> 8;
	} else {
		return XDP_PASS;
	}
	swap_words((__u16 *)data, 3);
	if (count_all)
		__sync_fetch_and_add(&reflected, 1);
	return XDP_TX;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The packet around the DNS message: dissecting the query's headers, and turning them round for the reply. */
#ifndef PEREGRINE_PACKET_BPF_H
#define PEREGRINE_PACKET_BPF_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>

#include "maps.bpf.h"

#define HOP_LIMIT 64
#define VLAN_TAGS_MAX 2
#define IP_FRAGMENT_BITS 0x3fff /* more fragments, and the offset */
#define IP_DONT_FRAGMENT 0x4000

struct vlan_tag {
	__be16 control;
	__be16 protocol;
};

/* The frame's type, and the offset of what is behind its Ethernet header and tags. */
static __always_inline int parse_ethernet(const __u8 *data, const __u8 *end, __u64 *ip, __be16 *protocol)
{
	const struct ethhdr *eth = (const void *)data;

	if ((const __u8 *)(eth + 1) > end)
		return PG_EXIT_BAD_PACKET;
	/* A service address is not asked by broadcast. */
	if (eth->h_dest[0] & 1)
		return PG_EXIT_NOT_OURS;
	*protocol = pg_load16(&eth->h_proto);
	*ip = sizeof(*eth);
	for (int i = 0; i < VLAN_TAGS_MAX; i++) {
		const struct vlan_tag *tag = (const void *)(data + *ip);

		if (*protocol != bpf_htons(ETH_P_8021Q) && *protocol != bpf_htons(ETH_P_8021AD))
			break;
		if ((const __u8 *)(tag + 1) > end)
			return PG_EXIT_BAD_PACKET;
		*protocol = tag->protocol;
		*ip += sizeof(*tag);
	}
	return 0;
}

/* Whether packets to an address, as it stands in the map's key, are for us. The last one that was is remembered:
 * looking it up takes longer than most of what follows. */
static __always_inline int is_service_address(struct pg_work *w, const struct pg_settings *set, __u64 upper,
                                              __u64 lower)
{
	__u32 version = *(const volatile __u32 *)&set->addresses_version;
	__u64 key[2];

	if (w->address[1] == lower && w->address[0] == upper && w->addresses_version == version)
		return 1;
	key[0] = upper;
	key[1] = lower;
	if (!bpf_map_lookup_elem(&addresses, key))
		return 0;
	w->address[0] = upper;
	w->address[1] = lower;
	w->addresses_version = version;
	return 1;
}

static __always_inline int parse_ipv4(struct pg_work *w, const struct pg_settings *set, const struct iphdr *ip,
                                      const __u8 *end, __u32 *payload)
{
	const __u8 first = *(const __u8 *)ip; /* version, and words of the header */
	__u32 source;
	__u16 total;

	if (first != 0x45 && (first >> 4 != 4 || (first & 0xf) < 5))
		return PG_EXIT_BAD_PACKET;
	if (ip->protocol != IPPROTO_UDP)
		return PG_EXIT_NOT_UDP;
	if (!is_service_address(w, set, 0, 0xffff0000 | (__u64)ip->daddr << 32))
		return PG_EXIT_NOT_OURS;
	if (first != 0x45)
		return PG_EXIT_IP_OPTIONS;
	if (ip->frag_off & bpf_htons(IP_FRAGMENT_BITS))
		return PG_EXIT_FRAGMENT;
	total = bpf_ntohs(ip->tot_len);
	if (total < sizeof(*ip) + sizeof(struct udphdr))
		return PG_EXIT_BAD_PACKET;
	/* 0/8, 127/8, multicast and beyond. */
	source = bpf_ntohl(ip->saddr);
	if (source >> 24 == 0 || source >> 24 == 127 || source >> 28 >= 14)
		return PG_EXIT_BAD_SOURCE;
	w->client[0] = ip->saddr;
	w->client_octets = 4;
	*payload = total - sizeof(*ip);
	return 0;
}

static __always_inline int parse_ipv6(struct pg_work *w, const struct pg_settings *set, const struct ipv6hdr *ip,
                                      const __u8 *end, __u32 *payload)
{
	__u64 upper = pg_load64(&ip->daddr.s6_addr[0]), lower = pg_load64(&ip->daddr.s6_addr[8]);

	if (ip->version != 6)
		return PG_EXIT_BAD_PACKET;
	/* An IPv4-mapped address has no place on the wire, and would be taken for the IPv4 address in the map. */
	if (!upper || !is_service_address(w, set, upper, lower))
		return ip->nexthdr == IPPROTO_UDP ? PG_EXIT_NOT_OURS : PG_EXIT_NOT_UDP;
	if (ip->nexthdr != IPPROTO_UDP) {
		switch (ip->nexthdr) {
		case IPPROTO_FRAGMENT:
			return PG_EXIT_FRAGMENT;
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
		case IPPROTO_AH:
			return PG_EXIT_IP_OPTIONS;
		}
		return PG_EXIT_NOT_UDP;
	}
	upper = pg_load64(&ip->saddr.s6_addr[0]);
	lower = pg_load64(&ip->saddr.s6_addr[8]);
	/* Multicast, or the unspecified and the loopback address. */
	if ((upper & 0xff) == 0xff || (!upper && !(lower & ~((__u64)1 << 56))))
		return PG_EXIT_BAD_SOURCE;
	w->client[0] = upper;
	w->client[1] = lower;
	w->client_octets = 16;
	*payload = bpf_ntohs(ip->payload_len);
	return 0;
}

/* `length`: octets that the IP header leaves. Sets message_length. */
static __always_inline int parse_udp(struct pg_work *w, const struct pg_settings *set, const struct udphdr *udp,
                                     const __u8 *end, __u32 length)
{
	if ((const __u8 *)(udp + 1) > end)
		return PG_EXIT_BAD_PACKET;
	if (udp->dest != bpf_htons(set->port))
		return PG_EXIT_OTHER_PORT;
	/* What the headers claim must agree, and must be there. (Shorter than the frame: Ethernet padding.) */
	if (length < sizeof(*udp) || length != bpf_ntohs(udp->len))
		return PG_EXIT_BAD_PACKET;
	if (!udp->source)
		return PG_EXIT_BAD_SOURCE;
	length -= sizeof(*udp);
	if (length > PG_REPLY_MAX || (const __u8 *)(udp + 1) + PG_MASK(length, PG_REPLY_MASK) > end)
		return PG_EXIT_BAD_PACKET;
	w->message_length = length;
	return 0;
}

/* Ethernet to UDP: sets where the message is, and who asks; an exit for whatever is not a query to a service address.
 */
static __always_inline int parse_packet(PG_CONTEXT *ctx, struct pg_work *w, const struct pg_settings *set)
{
	const __u8 *data = (const __u8 *)(long)ctx->data, *end = (const __u8 *)(long)ctx->data_end, *ip, *udp;
	__be16 protocol = 0;
	__u32 payload = 0;
	__u64 offset = 0;
	int exit = parse_ethernet(data, end, &offset, &protocol);

	if (exit)
		return exit;
	ip = data + offset;
	if (protocol == bpf_htons(ETH_P_IP)) {
		udp = ip + sizeof(struct iphdr);
		offset += sizeof(struct iphdr);
		exit = udp > end ? PG_EXIT_BAD_PACKET : parse_ipv4(w, set, (const void *)ip, end, &payload);
	} else if (protocol == bpf_htons(ETH_P_IPV6)) {
		udp = ip + sizeof(struct ipv6hdr);
		offset += sizeof(struct ipv6hdr);
		exit = udp > end ? PG_EXIT_BAD_PACKET : parse_ipv6(w, set, (const void *)ip, end, &payload);
	} else {
		return PG_EXIT_NOT_IP;
	}
	w->message = offset + sizeof(struct udphdr);
	return exit ? exit : parse_udp(w, set, (const void *)udp, end, payload);
}

/* Both MAC addresses at once. */
static __always_inline void swap_ethernet(__u8 *eth)
{
	__u64 first = pg_load64(eth), last = pg_load32(eth + 8);

	pg_store64(eth, first >> 48 | last << 16 | first << 48);
	pg_store32(eth + 8, first >> 16);
}

/* The IPv4 header afresh; returns the addresses' share of the pseudo-header's sum. It is summed as it is written: to
 * read it back, in other pieces than were written, would wait until the stores are through. */
static __always_inline __u64 turn_ipv4(struct iphdr *ip, __u16 udp_length)
{
	__u64 addresses = pg_load64(&ip->saddr), sum = pg_sum_word(addresses);
	__u32 length = bpf_htonl(0x45000000 + (__u32)sizeof(*ip) + udp_length);
	/* No identification is needed where it is not to be fragmented: RFC 6864, RFC 9715. */
	const __u32 whole = bpf_htonl(IP_DONT_FRAGMENT), hops = bpf_htonl(HOP_LIMIT << 24 | IPPROTO_UDP << 16);

	pg_store64(ip, length | (__u64)whole << 32);
	pg_store32(&ip->ttl, hops | ~pg_sum_fold_few(sum + length + whole + hops) << 16);
	pg_store64(&ip->saddr, addresses << 32 | addresses >> 32);
	return sum;
}

static __always_inline __u64 turn_ipv6(struct ipv6hdr *ip, __u16 udp_length)
{
	__u64 from[2] = {pg_load64(&ip->saddr.s6_addr[0]), pg_load64(&ip->saddr.s6_addr[8])};
	__u64 to[2] = {pg_load64(&ip->daddr.s6_addr[0]), pg_load64(&ip->daddr.s6_addr[8])};

	pg_store32(ip, bpf_htonl(0x60000000));
	pg_store32(&ip->payload_len, bpf_htons(udp_length) | IPPROTO_UDP << 16 | HOP_LIMIT << 24);
	pg_store64(&ip->saddr.s6_addr[0], to[0]);
	pg_store64(&ip->saddr.s6_addr[8], to[1]);
	pg_store64(&ip->daddr.s6_addr[0], from[0]);
	pg_store64(&ip->daddr.s6_addr[8], from[1]);
	return pg_sum_word(from[0]) + pg_sum_word(from[1]) + pg_sum_word(to[0]) + pg_sum_word(to[1]);
}

/* The UDP header afresh, as one word. `sum`: of all that its checksum covers but the header itself. */
static __always_inline void turn_udp(__u8 *udp, __u16 udp_length, __u64 sum)
{
	__u32 ports = pg_load32(udp), length = bpf_htons(udp_length), check;

	ports = ports >> 16 | ports << 16;
	check = ~pg_sum_fold(sum + bpf_htons(IPPROTO_UDP) + 2 * length + ports) & 0xffff;
	if (!check)
		check = 0xffff;
	pg_store64(udp, ports | (__u64)length << 32 | (__u64)check << 48);
}

/* Turns the headers round for the reply that stands in the frame. The whole checksum is made anew: the query's may have
 * been left half done by its sender's offload. */
static __always_inline int turn_packet(PG_CONTEXT *ctx, const struct pg_work *w)
{
	__u8 *data = (__u8 *)(long)ctx->data, *end = (__u8 *)(long)ctx->data_end, *ip, *udp;
	__u32 at = w->message - sizeof(struct udphdr), udp_length = w->written + sizeof(struct udphdr);
	__u64 sum = w->sum;

	if (data + sizeof(struct ethhdr) > end)
		return -1;
	swap_ethernet(data);
	udp = data + PG_MASK(at, 0x7f);
	if (udp + sizeof(struct udphdr) > end)
		return -1;
	if (w->client_octets == 4) {
		ip = data + PG_MASK(at - sizeof(struct iphdr), 0x1f);
		if (ip + sizeof(struct iphdr) > end)
			return -1;
		sum += turn_ipv4((void *)ip, udp_length);
	} else {
		ip = data + PG_MASK(at - sizeof(struct ipv6hdr), 0x1f);
		if (ip + sizeof(struct ipv6hdr) > end)
			return -1;
		sum += turn_ipv6((void *)ip, udp_length);
	}
	turn_udp(udp, udp_length, sum);
	return 0;
}

#endif

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

/* What was learnt of the headers. */
struct packet {
	__u32 ip;      /* offset of the IP header */
	__u32 udp;     /* of the UDP header */
	__u16 payload; /* octets of the DNS message */
	__u16 is_ipv6;
};

static __always_inline int parse_ethernet(const __u8 *data, const __u8 *end, struct packet *p, __be16 *protocol)
{
	const struct ethhdr *eth = (const void *)data;

	if ((const __u8 *)(eth + 1) > end)
		return PG_EXIT_BAD_PACKET;
	/* A service address is not asked by broadcast. */
	if (eth->h_dest[0] & 1)
		return PG_EXIT_NOT_OURS;
	*protocol = eth->h_proto;
	p->ip = sizeof(*eth);
	for (int i = 0; i < VLAN_TAGS_MAX; i++) {
		const struct vlan_tag *tag = (const void *)(data + p->ip);

		if (*protocol != bpf_htons(ETH_P_8021Q) && *protocol != bpf_htons(ETH_P_8021AD))
			break;
		if ((const __u8 *)(tag + 1) > end)
			return PG_EXIT_BAD_PACKET;
		*protocol = tag->protocol;
		p->ip += sizeof(*tag);
	}
	return 0;
}

/* Whether packets to an address are for us. The last one that was is remembered: looking it up takes longer than most
 * of what follows. */
static __always_inline int is_service_address(struct pg_work *w, const struct pg_settings *set,
                                              const struct pg_address *address)
{
	__u64 upper = *(const __u64 *)&address->octets[0], lower = *(const __u64 *)&address->octets[8];
	__u32 version = *(const volatile __u32 *)&set->addresses_version;

	if (w->address[0] == upper && w->address[1] == lower && w->addresses_version == version)
		return 1;
	if (!bpf_map_lookup_elem(&addresses, address))
		return 0;
	w->address[0] = upper;
	w->address[1] = lower;
	w->addresses_version = version;
	return 1;
}

static __always_inline int parse_ipv4(struct pg_work *w, const struct pg_settings *set, const __u8 *data,
                                      const __u8 *end, struct packet *p)
{
	const struct iphdr *ip = (const void *)(data + p->ip);
	struct pg_address to = {};
	__u32 source;
	__u16 total;

	if ((const __u8 *)(ip + 1) > end || ip->version != 4 || ip->ihl < 5)
		return PG_EXIT_BAD_PACKET;
	if (ip->protocol != IPPROTO_UDP)
		return PG_EXIT_NOT_UDP;
	*(__be32 *)&to.octets[12] = ip->daddr;
	*(__u16 *)&to.octets[10] = 0xffff;
	if (!is_service_address(w, set, &to))
		return PG_EXIT_NOT_OURS;
	if (ip->ihl != 5)
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
	p->udp = p->ip + sizeof(*ip);
	p->payload = total - sizeof(*ip);
	return 0;
}

static __always_inline int parse_ipv6(struct pg_work *w, const struct pg_settings *set, const __u8 *data,
                                      const __u8 *end, struct packet *p)
{
	const struct ipv6hdr *ip = (const void *)(data + p->ip);

	if ((const __u8 *)(ip + 1) > end || ip->version != 6)
		return PG_EXIT_BAD_PACKET;
	/* An IPv4-mapped address has no place on the wire, and would be taken for the IPv4 address in the map. */
	if ((!ip->daddr.s6_addr32[0] && !ip->daddr.s6_addr32[1]) ||
	    !is_service_address(w, set, (const void *)&ip->daddr))
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
	/* Multicast, or the unspecified and the loopback address. */
	if (ip->saddr.s6_addr[0] == 0xff || (!ip->saddr.s6_addr32[0] && !ip->saddr.s6_addr32[1] &&
	                                     !ip->saddr.s6_addr32[2] && !(ip->saddr.s6_addr32[3] & ~bpf_htonl(1))))
		return PG_EXIT_BAD_SOURCE;
	w->client[0] = pg_load64(&ip->saddr.s6_addr[0]);
	w->client[1] = pg_load64(&ip->saddr.s6_addr[8]);
	w->client_octets = 16;
	p->udp = p->ip + sizeof(*ip);
	p->payload = bpf_ntohs(ip->payload_len);
	p->is_ipv6 = 1;
	return 0;
}

static __always_inline int parse_udp(const __u8 *data, const __u8 *end, struct packet *p, __u16 port)
{
	const struct udphdr *udp = (const void *)(data + p->udp);
	__u16 length;

	if ((const __u8 *)(udp + 1) > end)
		return PG_EXIT_BAD_PACKET;
	if (udp->dest != bpf_htons(port))
		return PG_EXIT_OTHER_PORT;
	length = bpf_ntohs(udp->len);
	/* What the headers claim must agree, and must be there. (Shorter than the frame: Ethernet padding.) */
	if (length < sizeof(*udp) || length != p->payload)
		return PG_EXIT_BAD_PACKET;
	if (!udp->source)
		return PG_EXIT_BAD_SOURCE;
	p->payload = length - sizeof(*udp);
	if (p->payload > PG_REPLY_MAX || (const __u8 *)(udp + 1) + p->payload > end)
		return PG_EXIT_BAD_PACKET;
	return 0;
}

/* Ethernet to UDP: fills `p`; an exit for whatever is not a query to a service address. */
static __always_inline int parse_packet(PG_CONTEXT *ctx, struct pg_work *w, struct packet *p,
                                        const struct pg_settings *set)
{
	const __u8 *data = (const __u8 *)(long)ctx->data, *end = (const __u8 *)(long)ctx->data_end;
	__be16 protocol = 0;
	int exit = parse_ethernet(data, end, p, &protocol);

	if (exit)
		return exit;
	if (protocol == bpf_htons(ETH_P_IP))
		exit = parse_ipv4(w, set, data, end, p);
	else if (protocol == bpf_htons(ETH_P_IPV6))
		exit = parse_ipv6(w, set, data, end, p);
	else
		exit = PG_EXIT_NOT_IP;
	return exit ? exit : parse_udp(data, end, p, set->port);
}

static __always_inline void swap_ethernet(struct ethhdr *eth)
{
	__u16 *mac = (__u16 *)eth;

	for (int i = 0; i < 3; i++) {
		__u16 word = mac[i];

		mac[i] = mac[i + 3];
		mac[i + 3] = word;
	}
}

/* The IPv4 header afresh; returns the addresses' share of the pseudo-header's sum. It is summed as it is written: to
 * read it back, in other pieces than were written, would wait until the stores are through. */
static __always_inline __u64 turn_ipv4(struct iphdr *ip, __u16 udp_length)
{
	__be32 *word = (__be32 *)ip, from = ip->saddr, to = ip->daddr;
	__be32 length = bpf_htonl(0x45000000 + (__u32)sizeof(*ip) + udp_length);
	/* No identification is needed where it is not to be fragmented: RFC 6864, RFC 9715. */
	__be32 whole = bpf_htonl(IP_DONT_FRAGMENT), hops = bpf_htonl(HOP_LIMIT << 24 | IPPROTO_UDP << 16);
	__u64 addresses = (__u64)from + to;

	word[0] = length;
	word[1] = whole;
	word[2] = hops;
	ip->check = ~pg_sum_fold(addresses + length + whole + hops);
	ip->saddr = to;
	ip->daddr = from;
	return addresses;
}

static __always_inline __u64 turn_ipv6(struct ipv6hdr *ip, __u16 udp_length)
{
	struct in6_addr address = ip->saddr;
	__u64 sum = 0;

	*(__be32 *)ip = bpf_htonl(0x60000000);
	ip->payload_len = bpf_htons(udp_length);
	ip->hop_limit = HOP_LIMIT;
	ip->saddr = ip->daddr;
	ip->daddr = address;
	for (int i = 0; i < 4; i++)
		sum += (__u64)ip->saddr.s6_addr32[i] + ip->daddr.s6_addr32[i];
	return sum;
}

/* Turns the headers round for a reply of `length` octets of DNS message whose sum is `sum`. The whole checksum is made
 * anew: the query's may have been left half done by its sender's offload. */
static __always_inline int turn_packet(PG_CONTEXT *ctx, const struct packet *p, __u32 length, __u64 sum)
{
	__u8 *data = (__u8 *)(long)ctx->data, *end = (__u8 *)(long)ctx->data_end;
	__u32 udp_length = length + sizeof(struct udphdr);
	struct udphdr *udp = (void *)(data + p->udp);
	__be16 port;

	if ((__u8 *)(udp + 1) > end)
		return -1;
	if (p->is_ipv6) {
		struct ipv6hdr *ip = (void *)(data + p->ip);

		if ((__u8 *)(ip + 1) > end)
			return -1;
		sum += turn_ipv6(ip, udp_length);
	} else {
		struct iphdr *ip = (void *)(data + p->ip);

		if ((__u8 *)(ip + 1) > end)
			return -1;
		sum += turn_ipv4(ip, udp_length);
	}
	swap_ethernet((void *)data);
	port = udp->source;
	udp->source = udp->dest;
	udp->dest = port;
	udp->len = bpf_htons(udp_length);
	sum += (__u64)bpf_htons(IPPROTO_UDP) + 2 * (__u64)udp->len + udp->source + udp->dest;
	udp->check = ~pg_sum_fold(sum);
	if (!udp->check)
		udp->check = 0xffff;
	return 0;
}

#endif

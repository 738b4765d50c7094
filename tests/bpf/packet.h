/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Packets octet by octet, for the tests of the program. Nothing of the program's own headers is used: what is built and
 * checked here is what the RFCs say.
 */
#ifndef PEREGRINE_TESTS_PACKET_H
#define PEREGRINE_TESTS_PACKET_H

#include <libknot/dname.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PACKET_ROOM 16384

/* The service addresses. */
#define SERVER4 0xc0000235U /* 192.0.2.53 */
#define SERVER6 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x53"
#define CLIENT4 0xc6336407U /* 198.51.100.7 */
#define CLIENT6 "\x20\x01\x0d\xb8\0\1\0\0\0\0\0\0\0\0\0\x07"
#define SERVER_MAC "\x02\0\0\0\0\x53"
#define CLIENT_MAC "\x02\0\0\0\0\x07"

/* IPv6 extension headers; hop-by-hop is number 0 on the wire, which here means none. */
enum {
	EXTENSION_HOP_BY_HOP = 256,
	EXTENSION_ROUTING = 43,
	EXTENSION_FRAGMENT = 44,
	EXTENSION_AH = 51,
	EXTENSION_DESTINATION = 60
};

enum checksum { CHECKSUM_RIGHT, CHECKSUM_PARTIAL, CHECKSUM_GARBAGE, CHECKSUM_NONE };

/* The headers around a query. All zero: plain IPv4. */
struct frame {
	bool v6;
	int tags;          /* VLAN tags; with two or more the outer one is 802.1ad's */
	int option_words;  /* of the IPv4 header */
	int extension;     /* IPv6 extension header between IP and UDP */
	int padding;       /* octets behind the IP packet */
	int padding_octet; /* what they are */
	enum checksum checksum;
};

/* What is asked. */
struct query {
	const char *name; /* in presentation format */
	uint16_t type;
	const char *opt; /* an OPT record in wire format, or anything else to stand behind the question */
	size_t opt_length;
	uint16_t flags;  /* second word of the header */
	uint16_t qclass; /* 0: IN */
	const char *raw; /* octets in the name's place */
	size_t raw_length;
};

#define ASK(what, of_type, ...)                                                                                        \
	{                                                                                                              \
		.name = (what), .type = (of_type), ##__VA_ARGS__                                                       \
	}

struct packet {
	size_t length;
	size_t ip, udp, dns; /* offsets */
	uint8_t octets[PACKET_ROOM];
};

static inline uint16_t get16(const uint8_t *at)
{
	return at[0] << 8 | at[1];
}

static inline void put16(uint8_t *at, uint16_t value)
{
	at[0] = value >> 8;
	at[1] = value;
}

static inline void put32(uint8_t *at, uint32_t value)
{
	put16(at, value >> 16);
	put16(at + 2, value);
}

static inline void append(struct packet *p, const void *octets, size_t length)
{
	memcpy(p->octets + p->length, octets, length);
	p->length += length;
}

static inline void append16(struct packet *p, uint16_t value)
{
	put16(p->octets + p->length, value);
	p->length += 2;
}

/* RFC 1071, the slow way: one 16-bit word after the other, in network order, folded at once. */
static inline uint32_t sum_octets(uint32_t sum, const uint8_t *octets, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		sum += i & 1 ? octets[i] : (uint32_t)octets[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

/* The pseudo-header of RFC 768 or RFC 8200 section 8.1. */
static inline uint32_t sum_pseudo(const uint8_t *ip, uint16_t udp_length)
{
	uint8_t rest[4] = {0, 17, udp_length >> 8, udp_length};
	uint32_t sum = sum_octets(0, rest, sizeof(rest));

	return ip[0] >> 4 == 6 ? sum_octets(sum, ip + 8, 32) : sum_octets(sum, ip + 12, 8);
}

/* The checksum that a UDP datagram of `length` octets must carry; its own field is taken as 0. */
static inline uint16_t udp_checksum(const uint8_t *ip, const uint8_t *udp, uint16_t length)
{
	uint32_t sum = sum_octets(sum_pseudo(ip, length), udp, 6);
	uint16_t check;

	sum = sum_octets(sum, udp + 8, length - 8);
	check = ~sum;
	return check ? check : 0xffff;
}

/* Writes a query's DNS message; returns its length. */
static inline size_t build_query(uint8_t *out, const struct query *q)
{
	size_t length = 12;

	memset(out, 0, 12);
	put16(out, 0x1234);
	put16(out + 2, q->flags);
	put16(out + 4, 1);
	if (q->raw) {
		memcpy(out + length, q->raw, q->raw_length);
		length += q->raw_length;
	} else {
		knot_dname_storage_t name;

		if (!knot_dname_from_str(name, q->name, sizeof(name)))
			abort();
		memcpy(out + length, name, knot_dname_size(name));
		length += knot_dname_size(name);
	}
	put16(out + length, q->type);
	put16(out + length + 2, q->qclass ? q->qclass : 1);
	length += 4;
	if (q->opt) {
		put16(out + 10, 1);
		memcpy(out + length, q->opt, q->opt_length);
		length += q->opt_length;
	}
	return length;
}

static inline void build_ipv4(struct packet *p, const struct frame *f, size_t payload)
{
	uint8_t *ip = p->octets + p->length;
	size_t length = 20 + 4 * (size_t)f->option_words;

	memset(ip, 1, length); /* options: 1 is "no operation" */
	ip[0] = 0x40 | length / 4;
	ip[1] = 0x2e; /* DSCP and ECN, which the reply must not copy */
	put16(ip + 2, length + 8 + payload);
	put16(ip + 4, 0xbeef);
	put16(ip + 6, 0);
	ip[8] = 57;
	ip[9] = 17;
	put16(ip + 10, 0);
	put32(ip + 12, CLIENT4);
	put32(ip + 16, SERVER4);
	put16(ip + 10, ~sum_octets(0, ip, length));
	p->length += length;
}

static inline void build_ipv6(struct packet *p, const struct frame *f, size_t payload)
{
	static const uint8_t extension[8] = {17, 0, 1, 4, 0, 0, 0, 0};
	uint8_t *ip = p->octets + p->length;

	put32(ip, 0x6e012345);
	put16(ip + 4, 8 + payload + (f->extension ? 8 : 0));
	ip[6] = f->extension ? f->extension & 0xff : 17;
	ip[7] = 57;
	memcpy(ip + 8, CLIENT6, 16);
	memcpy(ip + 24, SERVER6, 16);
	p->length += 40;
	if (f->extension == EXTENSION_FRAGMENT)
		append(p, "\x11\0\0\1\0\0\0\7", 8);
	else if (f->extension)
		append(p, extension, sizeof(extension));
}

/* Ethernet to UDP around a DNS message of `length` octets. */
static inline void build_packet(struct packet *p, const struct frame *f, const uint8_t *dns, size_t length)
{
	uint8_t *ip, *udp;

	p->length = 0;
	append(p, SERVER_MAC CLIENT_MAC, 12);
	for (int i = f->tags; i > 0; i--) {
		append16(p, i > 1 ? 0x88a8 : 0x8100);
		append16(p, 0x6000 + 100 + i); /* priority 3 */
	}
	append16(p, f->v6 ? 0x86dd : 0x0800);
	p->ip = p->length;
	if (f->v6)
		build_ipv6(p, f, length);
	else
		build_ipv4(p, f, length);
	p->udp = p->length;
	append16(p, 40000);
	append16(p, 53);
	append16(p, 8 + length);
	append16(p, 0);
	p->dns = p->length;
	append(p, dns, length);
	ip = p->octets + p->ip;
	udp = p->octets + p->udp;
	if (f->checksum == CHECKSUM_RIGHT)
		put16(udp + 6, udp_checksum(ip, udp, 8 + length));
	else if (f->checksum == CHECKSUM_PARTIAL) /* what a sender leaves that lets its device finish */
		put16(udp + 6, sum_pseudo(ip, 8 + length));
	else if (f->checksum == CHECKSUM_GARBAGE)
		put16(udp + 6, 0xdead);
	memset(p->octets + p->length, f->padding_octet, f->padding);
	p->length += f->padding;
}

/* The packet that answers `in` with the DNS message given. */
static inline void build_reply(struct packet *p, const struct packet *in, const uint8_t *dns, size_t length)
{
	bool v6 = in->octets[in->ip] >> 4 == 6;
	const uint8_t *asked = in->octets + in->ip;
	uint8_t *ip = p->octets + in->ip, *udp;

	memcpy(p->octets, in->octets + 6, 6);
	memcpy(p->octets + 6, in->octets, 6);
	memcpy(p->octets + 12, in->octets + 12, in->ip - 12);
	memset(ip, 0, 40);
	if (v6) {
		ip[0] = 0x60;
		put16(ip + 4, 8 + length);
		ip[6] = 17;
		ip[7] = 64;
		memcpy(ip + 8, asked + 24, 16);
		memcpy(ip + 24, asked + 8, 16);
	} else {
		ip[0] = 0x45;
		put16(ip + 2, 28 + length);
		put16(ip + 6, 0x4000);
		ip[8] = 64;
		ip[9] = 17;
		memcpy(ip + 12, asked + 16, 4);
		memcpy(ip + 16, asked + 12, 4);
		put16(ip + 10, ~sum_octets(0, ip, 20));
	}
	udp = ip + (v6 ? 40 : 20);
	memcpy(udp, in->octets + in->udp + 2, 2);
	memcpy(udp + 2, in->octets + in->udp, 2);
	put16(udp + 4, 8 + length);
	memcpy(udp + 8, dns, length);
	put16(udp + 6, udp_checksum(ip, udp, 8 + length));
	p->ip = in->ip;
	p->udp = udp - p->octets;
	p->dns = p->udp + 8;
	p->length = p->dns + length;
}

/*
 * What a packet is, by the RFCs and by what Peregrine takes: true for a datagram to a service address and port that may
 * be answered; sets the offsets and *length, the octets of the DNS message.
 */
static inline bool classify_ip(struct packet *p, uint16_t type, size_t *payload)
{
	const uint8_t *ip = p->octets + p->ip;
	size_t have = p->length - p->ip;

	if (type == 0x0800) {
		uint8_t net = have >= 20 ? ip[12] : 0;

		if (have < 20 || ip[0] != 0x45 || ip[9] != 17 || get16(ip + 16) != SERVER4 >> 16 ||
		    get16(ip + 18) != (SERVER4 & 0xffff) || get16(ip + 6) & 0x3fff || get16(ip + 2) < 28)
			return false;
		*payload = get16(ip + 2) - 20;
		p->udp = p->ip + 20;
		return net != 0 && net != 127 && net < 224;
	}
	if (type != 0x86dd || have < 40 || ip[0] >> 4 != 6 || ip[6] != 17 || memcmp(ip + 24, SERVER6, 16) != 0)
		return false;
	*payload = get16(ip + 4);
	p->udp = p->ip + 40;
	if (ip[8] == 0xff)
		return false;
	for (int i = 8; i < 23; i++)
		if (ip[i])
			return true;
	return ip[23] > 1;
}

static inline bool classify(struct packet *p, size_t *length)
{
	size_t at = 12, payload = 0;
	const uint8_t *udp;
	int tags = 0;

	if (p->length < 14 || p->octets[0] & 1)
		return false;
	while (tags < 2 && (get16(p->octets + at) == 0x8100 || get16(p->octets + at) == 0x88a8)) {
		at += 4;
		tags++;
		if (p->length < at + 2)
			return false;
	}
	p->ip = at + 2;
	if (!classify_ip(p, get16(p->octets + at), &payload) || p->length < p->udp + 8)
		return false;
	udp = p->octets + p->udp;
	p->dns = p->udp + 8;
	if (!get16(udp) || get16(udp + 2) != 53 || get16(udp + 4) != payload || payload < 8)
		return false;
	*length = payload - 8;
	return p->dns + *length <= p->length;
}

#endif

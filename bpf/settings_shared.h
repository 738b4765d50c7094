/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ABI of the small maps: settings, service addresses, counters and their names. */
#ifndef PEREGRINE_SETTINGS_SHARED_H
#define PEREGRINE_SETTINGS_SHARED_H

#include <linux/types.h>

#define PG_DEPTHS_MAX 128

/*
 * What may change while the program runs: identity, cookies, limits. Two stand in the settings, of which one counts:
 * the agent writes the other and then says by a single octet that it is the one. A query keeps to the one it began
 * with.
 */
#define PG_SECRETS 2 /* the present one, and the one before */

#define PG_NSID_ROOM 272 /* option code, length, and an identity of 255 octets, padded to whole words, and one more */
struct pg_policy {
	__u64 secret[PG_SECRETS][2]; /* of server cookies, SipHash keys as they stand in memory: the first makes, each
	                                is accepted */
	__u8 secrets;                /* how many there are; 0: no cookies */
	__u8 slip;                   /* every slip-th response over the limit is sent truncated; 0: none */
	__u8 exempt;                 /* map `exempt` is not empty */
	__u8 reserved;
	__u64 interval;          /* nanoseconds from one response to the next, for one prefix and class; 0: no limit */
	__u16 nsid_length;       /* octets of the option NSID; 0: not told */
	__u16 nsid_sum;          /* ones'-complement sum of them, at an even place */
	__u8 nsid[PG_NSID_ROOM]; /* the option as it stands in a reply */
};

/* The single value of map `settings`. `schema` stands first in every schema. */
struct pg_settings {
	__u32 schema;
	__u16 port;      /* UDP port answered, host byte order */
	__u16 udp_size;  /* the largest UDP payload of a reply, and the size given in OPT */
	__u64 hash_seed; /* secret, drawn when the image is made */
	__u32 depth_count;
	__u8 index_order; /* of the tables that count: 2^order buckets */
	__u8 zone_index_order;
	__u8 policy; /* which of `policies` counts */
	__u8 reserved;
	__u32 addresses_version; /* counted up after each change of map `addresses` */
	/* Label counts of the apexes of all zones, descending: the suffixes worth searching. While the agent adds to
	 * the list it may hold a count twice, never lack one; none is taken out. */
	__u8 depths[PG_DEPTHS_MAX];
	__u64 clock_offset; /* CLOCK_REALTIME less CLOCK_BOOTTIME, nanoseconds: the program has only the latter */
	struct pg_policy policies[2];
};

/* Map `addresses`: the service addresses; IPv4 in the form ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2). */
struct pg_address {
	__u8 octets[16];
};
#define PG_ADDRESSES_MAX 1024

/* Key of map `exempt`: a prefix of clients that are not limited, IPv4 in the same form. */
struct pg_prefix {
	__u32 length; /* bits */
	struct pg_address address;
};
#define PG_EXEMPT_MAX 1024

/* Map `limits`: one entry for each prefix of clients (IPv4 /24, IPv6 /56) and class of responses that came lately. */
struct pg_limit_key {
	__u8 prefix[7];
	__u8 class; /* enum pg_response_class */
} __attribute__((aligned(8)));
struct pg_limit {
	__u64 due;     /* CLOCK_BOOTTIME, nanoseconds: when the next response would be, at the rate allowed */
	__u64 refused; /* responses over the limit since the entry was made */
};
#define PG_LIMITS_MAX 65536

enum pg_response_class {
	PG_CLASS_ANSWER = 1, /* NOERROR, and an answer */
	PG_CLASS_EMPTY = 2,  /* NOERROR without: no such type, or a referral */
	PG_CLASS_NXDOMAIN = 3,
	PG_CLASS_ERROR = 4,   /* all else */
	PG_CLASS_IPV6 = 0x80, /* flag: the prefix is one of IPv6 */
};

/* Every way out of the program or of the engine, numbered for ever: a retired number is not used
 * again. The names are what `peregrine stats` and Prometheus show. */
#define PG_EXITS(X)                                                                                                    \
	X(0, ANSWERED, answered, "answered at the driver")                                                             \
	X(1, NOT_IP, not_ip, "neither IPv4 nor IPv6")                                                                  \
	X(2, NOT_UDP, not_udp, "not UDP, TCP among them")                                                              \
	X(3, NOT_OURS, not_ours, "for an address that is not a service address")                                       \
	X(4, OTHER_PORT, other_port, "for another port")                                                               \
	X(5, IP_OPTIONS, ip_options, "IPv4 options or IPv6 extension headers")                                         \
	X(6, FRAGMENT, fragment, "an IP fragment")                                                                     \
	X(7, BAD_PACKET, bad_packet, "packet shorter than its headers say")                                            \
	X(8, BAD_SOURCE, bad_source, "source address or port that cannot be answered")                                 \
	X(9, RESPONSE, response, "a DNS response")                                                                     \
	X(10, OPCODE, opcode, "opcode other than QUERY")                                                               \
	X(11, SECTIONS, sections, "section counts of no ordinary query")                                               \
	X(12, MALFORMED, malformed, "malformed DNS message")                                                           \
	X(13, CLASS, class, "class other than IN")                                                                     \
	X(14, META_TYPE, meta_type, "a zone transfer")                                                                 \
	X(15, EDNS, edns, "EDNS options that the fallback must judge")                                                 \
	X(16, NO_ZONE, no_zone, "a zone that is expired or not loaded")                                                \
	X(17, LARGE, large, "more data than the driver handles")                                                       \
	X(18, NO_ROOM, no_room, "frame cannot grow to the reply's size")                                               \
	X(19, VERSION, version, "data replaced meanwhile")                                                             \
	X(20, INTERNAL, internal, "cannot happen")                                                                     \
	X(21, LIMITED, limited, "over the client's rate limit: dropped")                                               \
	X(22, COLD, cold, "data beyond the driver's memory")

enum pg_exit {
#define PG_EXIT_ENUM(number, symbol, name, text) PG_EXIT_##symbol = (number),
	PG_EXITS(PG_EXIT_ENUM)
#undef PG_EXIT_ENUM
};
#define PG_EXIT_COUNT 23
#define PG_EXIT_ROOM 32 /* a power of two, with room for those to come */

#define PG_RCODES 25 /* up to BADCOOKIE, and one for all others */

/* The single value, one for each CPU, of map `counters`. Only ever counted up. */
struct pg_counters {
	__u64 exits[PG_EXIT_ROOM]; /* packets, by enum pg_exit */
	__u64 rcodes[PG_RCODES];   /* answers given by the program, by extended RCODE; the last: others */
	__u64 truncated;           /* answers with TC=1 */
	__u64 query_octets;        /* DNS payload of queries answered */
	__u64 reply_octets;
	__u64 ipv6;    /* answers over IPv6 */
	__u64 regrown; /* answers given at the ingress of traffic control, after no_room */
	__u64 slipped; /* answers over the client's rate limit: truncated, or BADCOOKIE */
};

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is counted of each zone, for those whose zone it is. */
#ifndef PEREGRINE_ZONE_COUNTERS_SHARED_H
#define PEREGRINE_ZONE_COUNTERS_SHARED_H

#include "answer/primitives.h"
#include "answer/wire.h"

#define PG_ZONE_NONE 0xffffffffU /* no zone was found: such a reply is nobody's */

/* The query types that are counted by name; all others together. */
#define PG_ZONE_TYPES(X)                                                                                               \
	X(1, A)                                                                                                        \
	X(2, NS)                                                                                                       \
	X(5, CNAME)                                                                                                    \
	X(6, SOA)                                                                                                      \
	X(12, PTR)                                                                                                     \
	X(15, MX)                                                                                                      \
	X(16, TXT)                                                                                                     \
	X(28, AAAA)                                                                                                    \
	X(33, SRV)                                                                                                     \
	X(43, DS)                                                                                                      \
	X(65, HTTPS)

enum pg_zone_type {
#define PG_ZONE_TYPE_ENUM(number, name) PG_ZONE_TYPE_##name,
	PG_ZONE_TYPES(PG_ZONE_TYPE_ENUM)
#undef PG_ZONE_TYPE_ENUM
	    PG_ZONE_TYPE_OTHER,
	PG_ZONE_TYPE_COUNT
};

enum pg_zone_rcode { PG_ZONE_NOERROR, PG_ZONE_SERVFAIL, PG_ZONE_NXDOMAIN, PG_ZONE_RCODE_OTHER, PG_ZONE_RCODE_COUNT };

/* One for each CPU. Only ever counted up, until another zone gets the slot. */
struct pg_zone_counters {
	__u64 rcodes[PG_ZONE_RCODE_COUNT]; /* replies; their sum is all of them */
	__u64 types[PG_ZONE_TYPE_COUNT];
	__u64 ipv6;
	__u64 tcp;
	__u64 truncated;
	__u64 query_octets; /* DNS payload */
	__u64 reply_octets;
};

PG_INLINE enum pg_zone_type pg_zone_type(__u16 qtype)
{
	switch (qtype) {
#define PG_ZONE_TYPE_CASE(number, name)                                                                                \
	case number:                                                                                                   \
		return PG_ZONE_TYPE_##name;
		PG_ZONE_TYPES(PG_ZONE_TYPE_CASE)
#undef PG_ZONE_TYPE_CASE
	}
	return PG_ZONE_TYPE_OTHER;
}

PG_INLINE enum pg_zone_rcode pg_zone_rcode(__u32 rcode)
{
	return rcode == PG_RCODE_NOERROR    ? PG_ZONE_NOERROR
	       : rcode == PG_RCODE_NXDOMAIN ? PG_ZONE_NXDOMAIN
	       : rcode == PG_RCODE_SERVFAIL ? PG_ZONE_SERVFAIL
	                                    : PG_ZONE_RCODE_OTHER;
}

/* Adds a reply to a zone's counters. */
PG_INLINE void pg_count_reply(struct pg_zone_counters *zone, const struct pg_work *w, int tcp, int ipv6,
                              __u32 reply_octets)
{
	zone->rcodes[pg_zone_rcode(w->rcode)]++;
	zone->types[pg_zone_type(w->qtype)]++;
	zone->query_octets += w->message_length;
	zone->reply_octets += reply_octets;
	if (ipv6)
		zone->ipv6++;
	if (tcp)
		zone->tcp++;
	if (w->flags & PG_WORK_TC)
		zone->truncated++;
}

_Static_assert(sizeof(struct pg_zone_counters) % sizeof(__u64) == 0, "counters are words");

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The queries that are measured, and whether their replies are right. */
#include "bench.h"

#include "engine/engine.h"
#include "image_of_bench.h"

#include <libknot/libknot.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <urcu/urcu-memb.h>

#define NAMES 1000

const struct kind kinds[] = {
    {"A, 1,000 names", "h%04u.example.test.", 1, false, 0, 1, 0, 0, NAMES},
    {"A, one name", "h0500.example.test.", 1, false, 0, 1, 0, 0, 1},
    {"A with EDNS", "h%04u.example.test.", 1, true, 0, 1, 0, 1, NAMES},
    {"NODATA", "h%04u.example.test.", 28, false, 0, 0, 1, 0, NAMES},
    {"NXDOMAIN", "x%04u.example.test.", 1, false, 3, 0, 1, 0, NAMES},
    {"referral", "n%04u.s.kinds.test.", 1, false, 0, 0, 1, 1, NAMES},
    {"wildcard", "n%04u.w.kinds.test.", 1, false, 0, 1, 0, 0, NAMES},
    {"CNAME", "c%04u.kinds.test.", 1, false, 0, 2, 0, 0, NAMES},
    {"refused", "h%04u.elsewhere.test.", 1, false, 5, 0, 0, 0, NAMES},
};
const size_t kind_count = sizeof(kinds) / sizeof(kinds[0]);

#define HEADERS (14 + 20 + 8)

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = value >> 8;
	at[1] = value;
}

static void make_query(const struct kind *kind, uint32_t number, struct bench_query *query)
{
	static const uint8_t headers[HEADERS + 12] = {
	    2,    0,    0, 0,  0, 0x53, 2, 0, 0,  0,  0, 7, 8,   0,                         /* Ethernet */
	    0x45, 0,    0, 0,  0, 1,    0, 0, 64, 17, 0, 0, 198, 51, 100, 7, 192, 0, 2, 53, /* IPv4 */
	    0x9c, 0x40, 0, 53, 0, 0,    0, 0,                                               /* UDP */
	    0x12, 0x34, 0, 0,  0, 1,    0, 0, 0,  0,  0, 0,                                 /* DNS */
	};
	static const uint8_t opt[11] = {0, 0, 41, 4, 0xd0};
	uint8_t *at = query->octets + sizeof(headers);
	knot_dname_storage_t name;
	char text[128];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(text, sizeof(text), kind->format, number);
#pragma GCC diagnostic pop
	knot_dname_from_str(name, text, sizeof(name));
	memset(query, 0, sizeof(*query));
	memcpy(query->octets, headers, sizeof(headers));
	memcpy(at, name, knot_dname_size(name));
	at += knot_dname_size(name);
	put16(at, kind->type);
	put16(at + 2, 1);
	at += 4;
	if (kind->edns) {
		memcpy(at, opt, sizeof(opt));
		at += sizeof(opt);
		query->octets[HEADERS + 11] = 1;
	}
	query->length = at - query->octets;
	put16(query->octets + 16, query->length - 14);
	put16(query->octets + 38, query->length - 34);
}

/* In an order that is not the names': 617 has no divisor in common with 1,000. */
void kind_queries(const struct kind *kind, struct bench_query *queries)
{
	for (uint32_t i = 0; i < kind->count; i++)
		make_query(kind, i * 617 % kind->count, &queries[i]);
}

static enum pg_exit ask_host(const struct bench_query *query, uint8_t *reply, size_t room, size_t *length)
{
	static struct pg_work work;
	struct timespec now;
	enum pg_exit exit;

	clock_gettime(CLOCK_BOOTTIME, &now);
	urcu_memb_read_lock();
	exit =
	    engine_answer(image_view_get(bench_image()), &work, false, (uint64_t)now.tv_sec * 1000000000U + now.tv_nsec,
	                  query->octets + HEADERS, query->length - HEADERS, reply, room, length);
	urcu_memb_read_unlock();
	return exit;
}

bool kind_is_right(const struct kind *kind, const struct bench_query *queries)
{
	uint8_t frame[4096], reply[4096];

	for (uint32_t i = 0; i < kind->count; i++) {
		const uint8_t *dns = frame + HEADERS;
		uint32_t length = sizeof(frame);
		size_t expected = 0;

		if (world_run(i, frame, &length) != XDP_TX ||
		    ask_host(&queries[i], reply, sizeof(reply), &expected) != PG_EXIT_ANSWERED ||
		    length != HEADERS + expected || memcmp(dns, reply, expected) != 0)
			return false;
		if ((dns[3] & 15) != kind->rcode || dns[7] != kind->answers || dns[9] != kind->authorities ||
		    dns[11] != kind->additionals)
			return false;
	}
	return true;
}

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

#define NAMES BENCH_NAMES

/* With NSEC3, the names asked for are such that three different records prove that they do not exist. */
const struct kind kinds[] = {
    {"A, 1,000 names", "h%04u.example.test.", 1, NO_OPT, 0, 1, 0, 0, 0, 0, NAMES, 5},
    {"A, one name", "h0500.example.test.", 1, NO_OPT, 0, 1, 0, 0, 0, 0, 1, 0},
    {"A with EDNS", "h%04u.example.test.", 1, WITH_OPT, 0, 1, 0, 1, 0, 0, NAMES, 0},
    {"A signed, DO", "h%04u.signed.test.", 1, WITH_DO, 0, 2, 0, 1, 0, 1, NAMES, 7},
    {"NODATA", "h%04u.example.test.", 28, NO_OPT, 0, 0, 1, 0, 0, 0, NAMES, 0},
    {"NXDOMAIN", "x%04u.example.test.", 1, NO_OPT, 3, 0, 1, 0, 0, 0, NAMES, 8},
    {"NXDOMAIN NSEC, DO", "h%04ux.signed.test.", 1, WITH_DO, 3, 0, 6, 1, 2, 3, NAMES, 16},
    {"NXDOMAIN NSEC3, DO", "n%04u.hashed.test.", 1, WITH_DO, 3, 0, 8, 1, 3, 4, NAMES, 24},
    {"referral", "n%04u.s.kinds.test.", 1, NO_OPT, 0, 0, 1, 1, 0, 0, NAMES, 10},
    {"wildcard", "n%04u.w.kinds.test.", 1, NO_OPT, 0, 1, 0, 0, 0, 0, NAMES, 10},
    {"CNAME", "c%04u.kinds.test.", 1, NO_OPT, 0, 2, 0, 0, 0, 0, NAMES, 0},
    {"refused", "h%04u.elsewhere.test.", 1, NO_OPT, 5, 0, 0, 0, 0, 0, NAMES, 0},
};
const size_t kind_count = sizeof(kinds) / sizeof(kinds[0]);

const char *const variant_names[VARIANTS] = {"", ", cookie", ", limit, 1 client", ", limit, 1,000"};
const unsigned variant_targets[VARIANTS] = {0, 2, 3, 3};

#define HEADERS (14 + 20 + 8)
#define CLIENT (14 + 12) /* its address */
#define COOKIE_CLIENT 8  /* octets of a client's cookie, and of one with a server's behind it (RFC 9018) */
#define COOKIE_BOTH 24

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = value >> 8;
	at[1] = value;
}

/* Puts an OPT record at `at`, with a client's cookie, and a server's if there is one. Returns its octets. */
static size_t put_opt(uint8_t *at, bool dnssec_ok, bool cookie, const uint8_t *server)
{
	static const uint8_t opt[11] = {0, 0, 41, 4, 0xd0};
	const uint32_t size = server ? COOKIE_BOTH : COOKIE_CLIENT;

	memcpy(at, opt, sizeof(opt));
	at[7] = dnssec_ok ? 0x80 : 0;
	if (!cookie)
		return sizeof(opt);
	put16(at + 9, 4 + size);
	put16(at + 11, KNOT_EDNS_OPTION_COOKIE);
	put16(at + 13, size);
	memcpy(at + 15, "a client", COOKIE_CLIENT);
	if (server)
		memcpy(at + 15 + COOKIE_CLIENT, server, COOKIE_BOTH - COOKIE_CLIENT);
	return sizeof(opt) + 4 + size;
}

static void make_query(const struct kind *kind, enum variant variant, uint32_t number, const uint8_t *cookie,
                       struct bench_query *query)
{
	static const uint8_t headers[HEADERS + 12] = {
	    2,    0,    0, 0,  0, 0x53, 2, 0, 0,  0,  0, 7, 8,   0,                         /* Ethernet */
	    0x45, 0,    0, 0,  0, 1,    0, 0, 64, 17, 0, 0, 198, 51, 100, 7, 192, 0, 2, 53, /* IPv4 */
	    0x9c, 0x40, 0, 53, 0, 0,    0, 0,                                               /* UDP */
	    0x12, 0x34, 0, 0,  0, 1,    0, 0, 0,  0,  0, 0,                                 /* DNS */
	};
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
	/* 198.18.0.0/15 is for benchmarks (RFC 2544). */
	if (variant == VARIANT_CLIENTS) {
		put16(query->octets + CLIENT, 198 << 8 | (18 + number / 256));
		query->octets[CLIENT + 2] = number;
	}
	memcpy(at, name, knot_dname_size(name));
	at += knot_dname_size(name);
	put16(at, kind->type);
	put16(at + 2, 1);
	at += 4;
	if (kind->opt || variant == VARIANT_COOKIE) {
		at += put_opt(at, kind->opt == WITH_DO, variant == VARIANT_COOKIE, cookie);
		query->octets[HEADERS + 11] = 1;
	}
	query->length = at - query->octets;
	put16(query->octets + 16, query->length - 14);
	put16(query->octets + 38, query->length - 34);
}

static enum pg_exit ask_host(const struct bench_query *query, uint8_t *reply, size_t room, size_t *length)
{
	static struct pg_work work;
	struct sockaddr_storage client = {.ss_family = AF_INET};
	struct timespec now;
	enum pg_exit exit;

	memcpy(&((struct sockaddr_in *)&client)->sin_addr, query->octets + CLIENT, 4);
	engine_set_client(&work, &client);
	clock_gettime(CLOCK_BOOTTIME, &now);
	urcu_memb_read_lock();
	exit =
	    engine_answer(image_view_get(bench_image()), &work, false, (uint64_t)now.tv_sec * 1000000000U + now.tv_nsec,
	                  query->octets + HEADERS, query->length - HEADERS, reply, room, length);
	urcu_memb_read_unlock();
	return exit;
}

/* In an order that is not the names': 617 has no divisor in common with 1,000. */
int kind_queries(const struct kind *kind, enum variant variant, struct bench_query *queries)
{
	static uint8_t reply[4096];
	const uint8_t *cookie = NULL;
	size_t length = 0;

	world_set_limit(variant == VARIANT_ONE_CLIENT || variant == VARIANT_CLIENTS);
	if (variant == VARIANT_COOKIE) {
		/* What stands last in the reply to a client that has no server cookie yet. */
		make_query(kind, variant, 0, NULL, &queries[0]);
		if (ask_host(&queries[0], reply, sizeof(reply), &length) != PG_EXIT_ANSWERED)
			return -1;
		cookie = reply + length - (COOKIE_BOTH - COOKIE_CLIENT);
	}
	for (uint32_t i = 0; i < kind->count; i++)
		make_query(kind, variant, i * 617 % kind->count, cookie, &queries[i]);
	return 0;
}

/* Whether a reply has the sections and records of its kind. */
static bool is_of_kind(const struct kind *kind, enum variant variant, uint8_t *reply, size_t length)
{
	knot_pkt_t *pkt = knot_pkt_new(reply, length, NULL);
	unsigned denials = 0, signatures = 0, additionals = kind->additionals;
	bool right;

	/* The cookie's OPT. */
	if (variant == VARIANT_COOKIE && kind->opt == NO_OPT)
		additionals++;
	right = pkt && knot_pkt_parse(pkt, 0) == KNOT_EOK && knot_wire_get_rcode(reply) == kind->rcode &&
	        knot_wire_get_ancount(reply) == kind->answers && knot_wire_get_nscount(reply) == kind->authorities &&
	        knot_wire_get_arcount(reply) == additionals;
	for (uint16_t i = 0; right && i < pkt->rrset_count; i++) {
		denials += pkt->rr[i].type == KNOT_RRTYPE_NSEC || pkt->rr[i].type == KNOT_RRTYPE_NSEC3;
		signatures += pkt->rr[i].type == KNOT_RRTYPE_RRSIG;
	}
	knot_pkt_free(pkt);
	return right && denials == kind->denials && signatures == kind->signatures;
}

bool kind_is_right(const struct kind *kind, enum variant variant, const struct bench_query *queries)
{
	uint8_t frame[4096], reply[4096];

	for (uint32_t i = 0; i < kind->count; i++) {
		uint32_t length = sizeof(frame);
		size_t expected = 0;

		if (world_run(i, frame, &length) != XDP_TX ||
		    ask_host(&queries[i], reply, sizeof(reply), &expected) != PG_EXIT_ANSWERED ||
		    length != HEADERS + expected || memcmp(frame + HEADERS, reply, expected) != 0 ||
		    !is_of_kind(kind, variant, reply, expected))
			return false;
	}
	return true;
}

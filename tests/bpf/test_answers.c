/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Queries that the program answers, each in every kind of frame: the whole packet out is compared with one built by
 * independent code around the bytes that the engine gives on the host.
 */
#include "check.h"
#include "zones.h"

#define AA 0x0400
#define TC 0x0200
#define RD 0x0100
#define NXDOMAIN 3
#define REFUSED 5
#define SOME 0xffff /* records: as many as there is room for */
#define OPT(octets) .opt = (octets), .opt_length = sizeof(octets) - 1
/* OPT records: owner, type, then size, extended RCODE, version, DO, length. */
#define EDNS_0 OPT("\0\0\x29\0\0\0\0\0\0\0\0")
#define EDNS_511 OPT("\0\0\x29\1\xff\0\0\0\0\0\0")
#define EDNS_1232 OPT("\0\0\x29\x04\xd0\0\0\0\0\0\0")
#define EDNS_65535 OPT("\0\0\x29\xff\xff\0\0\0\0\0\0")
#define EDNS_DO OPT("\0\0\x29\x04\xd0\0\0\x80\0\0\0")
#define EDNS_FLAGS OPT("\0\0\x29\x04\xd0\0\0\x7f\xff\0\0")
#define EDNS_VERSION_1 OPT("\0\0\x29\x04\xd0\0\1\0\0\0\0")
#define EDNS_VERSION_255 OPT("\0\0\x29\x04\xd0\0\xff\x80\0\0\4\0\1\0\0")
#define EDNS_RCODE OPT("\0\0\x29\x04\xd0\x7f\0\0\0\0\0")
#define EDNS_OPTION OPT("\0\0\x29\x04\xd0\0\0\0\0\0\7\xfd\xe9\0\3\1\2\3")
#define EDNS_COOKIE OPT("\0\0\x29\x04\xd0\0\0\0\0\0\x0c\0\x0a\0\x08\1\2\3\4\5\6\7\x08")
#define COOKIE_8 "\0\x0a\0\x08\1\2\3\4\5\6\7\x08"
#define COOKIE_24 "\0\x0a\0\x18\1\2\3\4\5\6\7\x08\1\0\0\0\1\2\3\4\1\2\3\4\5\6\7\x08"
#define NSID "\0\3\0\0"
#define EDNS_NSID OPT("\0\0\x29\x04\xd0\0\0\0\0\0\4" NSID)
#define EDNS_COOKIE_24 OPT("\0\0\x29\x04\xd0\0\0\x80\0\0\x1c" COOKIE_24)
#define EDNS_COOKIE_40 OPT("\0\0\x29\x04\xd0\0\0\0\0\0\x2c\0\x0a\0\x28" L40)
#define L40 "0123456789012345678901234567890123456789"
#define EDNS_ALL OPT("\0\0\x29\x04\xd0\0\0\0\0\0\x20" NSID COOKIE_8 COOKIE_8 NSID)
#define FOUR "\xfd\xe9\0\0"
#define EDNS_16_OPTIONS                                                                                                \
	OPT("\0\0\x29\x04\xd0\0\0\0\0\0\x40" FOUR FOUR FOUR FOUR FOUR FOUR FOUR FOUR FOUR FOUR FOUR FOUR FOUR FOUR     \
	        FOUR FOUR)

/* What the reply's header must hold: flags with RCODE, and the counts. */
static const struct row {
	const char *what;
	struct query query;
	uint16_t flags;
	uint16_t answers, authorities, additionals;
} rows[] = {
    {"A", ASK("www.example.test.", 1), AA, 2, 0, 0},
    {"AAAA", ASK("www.example.test.", 28), AA, 1, 0, 0},
    {"TXT", ASK("www.example.test.", 16), AA, 1, 0, 0},
    {"SOA", ASK("example.test.", 6), AA, 1, 0, 0},
    {"NS with addresses", ASK("example.test.", 2), AA, 2, 0, 2},
    {"MX with addresses", ASK("example.test.", 15), AA, 1, 0, 2},
    {"SRV with addresses", ASK("_dns._udp.example.test.", 33), AA, 1, 0, 2},
    {"unknown type", ASK("x.example.test.", 65400), AA, 1, 0, 0},
    {"ANY gives one RRset", ASK("www.example.test.", 255), AA, 2, 0, 0},
    {"mixed case", ASK("wWw.eXAMPLE.TesT.", 1), AA, 2, 0, 0},
    {"mixed case, negative", ASK("nO.eXAMPLE.TesT.", 1), AA | NXDOMAIN, 0, 1, 0},
    {"type 0", ASK("www.example.test.", 0), AA, 0, 1, 0},
    {"type OPT as question", ASK("www.example.test.", 41), AA, 0, 1, 0},
    {"NXDOMAIN", ASK("nothing.example.test.", 1), AA | NXDOMAIN, 0, 1, 0},
    {"NXDOMAIN, deep", ASK("1.2.3.4.5.6.7.8.9.nothing.example.test.", 1), AA | NXDOMAIN, 0, 1, 0},
    {"NXDOMAIN below a name", ASK("z.a.b.c.example.test.", 1), AA | NXDOMAIN, 0, 1, 0},
    {"NODATA", ASK("www.example.test.", 15), AA, 0, 1, 0},
    {"NODATA at the apex", ASK("example.test.", 1), AA, 0, 1, 0},
    {"empty non-terminal", ASK("b.c.example.test.", 1), AA, 0, 1, 0},
    {"empty non-terminal above it", ASK("c.example.test.", 1), AA, 0, 1, 0},
    {"wildcard", ASK("q.w.example.test.", 1), AA, 1, 0, 0},
    {"wildcard, mixed case", ASK("qUEEN.w.example.test.", 1), AA, 1, 0, 0},
    {"wildcard for two labels", ASK("p.q.w.example.test.", 1), AA, 1, 0, 0},
    {"wildcard NODATA", ASK("q.w.example.test.", 28), AA, 0, 1, 0},
    {"wildcard itself", ASK("*.w.example.test.", 1), AA, 1, 0, 0},
    {"wildcard below an empty non-terminal", ASK("q.w.w2.example.test.", 16), AA, 1, 0, 0},
    {"wildcard blocked by a name", ASK("q.no.w.example.test.", 1), AA | NXDOMAIN, 0, 1, 0},
    {"wildcard CNAME", ASK("q.wc.example.test.", 16), AA, 2, 0, 0},
    {"wildcard CNAME to another zone", ASK("q.wx.example.test.", 1), AA, 2, 0, 0},
    {"CNAME", ASK("alias.example.test.", 1), AA, 3, 0, 0},
    {"CNAME chain", ASK("alias2.example.test.", 28), AA, 3, 0, 0},
    {"CNAME asked for", ASK("alias.example.test.", 5), AA, 1, 0, 0},
    {"CNAME loop", ASK("loop1.example.test.", 1), AA, 2, 0, 0},
    {"CNAME out of all zones", ASK("out.example.test.", 1), AA, 1, 0, 0},
    {"CNAME to nothing", ASK("gone.example.test.", 1), AA | NXDOMAIN, 1, 1, 0},
    {"CNAME to NODATA", ASK("alias.example.test.", 15), AA, 1, 1, 0},
    {"CNAME into an expired zone", ASK("late.example.test.", 1), AA, 1, 0, 0},
    {"CNAME into a delegation", ASK("deep.example.test.", 1), AA, 1, 2, 4},
    {"referral", ASK("sub.example.test.", 1), 0, 0, 2, 4},
    {"referral from below", ASK("www.sub.example.test.", 1), 0, 0, 2, 4},
    {"referral from deep below", ASK("a.b.c.www.sub.example.test.", 255), 0, 0, 2, 4},
    {"referral without glue", ASK("www.lame.example.test.", 1), 0, 0, 1, 0},
    {"DS at a cut", ASK("ds.example.test.", 43), AA, 1, 0, 0},
    {"no DS at a cut", ASK("sub.example.test.", 43), AA, 0, 1, 0},
    {"REFUSED", ASK("www.elsewhere.test.", 1), REFUSED, 0, 0, 0},
    {"REFUSED above the zones", ASK("test.", 1), REFUSED, 0, 0, 0},
    {"REFUSED for the root", ASK(".", 2), REFUSED, 0, 0, 0},
    {"RD set", ASK("www.example.test.", 1, .flags = 0x0100), AA | RD, 2, 0, 0},
    {"AD, CD, Z, RA and RCODE set", ASK("www.example.test.", 1, .flags = 0x00ff), AA, 2, 0, 0},
    {"AA set", ASK("www.elsewhere.test.", 1, .flags = 0x0400), REFUSED, 0, 0, 0},
    {"255 octets", ASK(LONG_NAME, 1), AA, 1, 0, 0},
    {"255 octets, NODATA", ASK(LONG_NAME, 16), AA, 0, 1, 0},
    {"127 labels", ASK(A126 "t.", 1), AA, 1, 0, 0},
    {"22 labels, empty non-terminal", ASK(A7 A7 A7 "t.", 1), AA, 0, 1, 0},
    {"127 labels, the first missing", ASK("b." A125 "t.", 1), AA | NXDOMAIN, 0, 1, 0},
    {"58 labels, the first missing", ASK("b." A7 A7 A7 A7 A7 A7 A7 A7 "t.", 1), AA | NXDOMAIN, 0, 1, 0},
    {"EDNS", ASK("www.example.test.", 1, EDNS_1232), AA, 2, 0, 1},
    {"EDNS, NXDOMAIN", ASK("nothing.example.test.", 1, EDNS_1232), AA | NXDOMAIN, 0, 1, 1},
    {"EDNS, referral", ASK("sub.example.test.", 1, EDNS_1232), 0, 0, 2, 5},
    {"EDNS, REFUSED", ASK("www.elsewhere.test.", 1, EDNS_1232), REFUSED, 0, 0, 1},
    {"EDNS size 0", ASK("www.example.test.", 1, EDNS_0), AA, 2, 0, 1},
    {"EDNS size 511", ASK("e512.exact.test.", 16, EDNS_511), AA | TC, 0, 0, 1},
    {"EDNS size 65535", ASK("eopt.exact.test.", 16, EDNS_65535), AA, 1, 0, 1},
    {"DO", ASK("www.example.test.", 1, EDNS_DO), AA, 2, 0, 1},
    {"EDNS flags but DO", ASK("www.example.test.", 1, EDNS_FLAGS), AA, 2, 0, 1},
    {"EDNS with extended RCODE", ASK("www.example.test.", 1, EDNS_RCODE), AA, 2, 0, 1},
    {"unknown option", ASK("www.example.test.", 1, EDNS_OPTION), AA, 2, 0, 1},
    {"client cookie", ASK("www.example.test.", 1, EDNS_COOKIE), AA, 2, 0, 1},
    {"client and server cookie", ASK("www.example.test.", 1, EDNS_COOKIE_24), AA, 2, 0, 1},
    {"cookie of 40", ASK("www.example.test.", 1, EDNS_COOKIE_40), AA, 2, 0, 1},
    {"NSID", ASK("www.example.test.", 1, EDNS_NSID), AA, 2, 0, 1},
    {"NSID, NXDOMAIN", ASK("no.example.test.", 1, EDNS_NSID), AA | NXDOMAIN, 0, 1, 1},
    {"NSID and cookies", ASK("www.example.test.", 28, EDNS_ALL), AA, 1, 0, 1},
    {"NSID and cookies, REFUSED", ASK("www.elsewhere.test.", 28, EDNS_ALL), REFUSED, 0, 0, 1},
    {"NSID and cookies, REFUSED, odd", ASK("ww.elsewhere.test.", 28, EDNS_ALL), REFUSED, 0, 0, 1},
    {"cookie, referral", ASK("sub.example.test.", 1, EDNS_COOKIE), 0, 0, 2, 5},
    {"cookie, and no room for it: TC", ASK("eopt.exact.test.", 16, EDNS_COOKIE), AA | TC, 0, 0, 1},
    {"16 options", ASK("www.example.test.", 1, EDNS_16_OPTIONS), AA, 2, 0, 1},
    {"BADVERS", ASK("www.example.test.", 1, EDNS_VERSION_1), 0, 0, 0, 1},
    {"BADVERS outside the zones, DO and an option", ASK("www.elsewhere.test.", 1, EDNS_VERSION_255), 0, 0, 0, 1},
    {"512 octets", ASK("e512.exact.test.", 16), AA, 1, 0, 0},
    {"513 octets: TC", ASK("e513.exact.test.", 16), AA | TC, 0, 0, 0},
    {"513 octets with EDNS", ASK("e513.exact.test.", 16, EDNS_1232), AA, 1, 0, 1},
    {"1232 octets", ASK("eopt.exact.test.", 16, EDNS_1232), AA, 1, 0, 1},
    {"1233 octets: TC", ASK("eop1.exact.test.", 16, EDNS_1232), AA | TC, 0, 0, 1},
    {"1233 octets, 65535 allowed: TC", ASK("eop1.exact.test.", 16, EDNS_65535), AA | TC, 0, 0, 1},
    {"40 RRs: TC", ASK("many.exact.test.", 1), AA | TC, 0, 0, 0},
    {"40 RRs", ASK("many.exact.test.", 1, EDNS_1232), AA, 40, 0, 1},
    {"60 KiB of TXT: TC", ASK("big.exact.test.", 16, EDNS_65535), AA | TC, 0, 0, 1},
    {"32 MX, addresses as far as there is room", ASK("mx32.exact.test.", 15, EDNS_1232), AA, 32, 0, SOME},
    {"the 64th type of a name", ASK("types.exact.test.", 65363), AA, 1, 0, 0},
    {"13 NS and glue: TC", ASK("crowd.exact.test.", 1), TC, 0, 0, 0},
    {"13 NS and glue", ASK("crowd.exact.test.", 1, EDNS_1232), 0, 0, 13, 27},
};

static const struct {
	const char *what;
	struct frame frame;
} frames[] = {
    {"IPv4", {0}},
    {"IPv6", {.v6 = true}},
    {"IPv4, VLAN", {.tags = 1}},
    {"IPv6, VLAN", {.v6 = true, .tags = 1}},
    {"IPv4, QinQ", {.tags = 2}},
    {"IPv6, QinQ", {.v6 = true, .tags = 2}},
    {"IPv4, padding of zeros", {.padding = 18}},
    {"IPv4, padding of garbage", {.padding = 7, .padding_octet = 0xff}},
    {"IPv6, padding of letters", {.v6 = true, .padding = 33, .padding_octet = 'A'}},
    {"IPv4, more padding than the reply", {.padding = 2000, .padding_octet = 0xa5}},
    {"IPv4, partial checksum", {.checksum = CHECKSUM_PARTIAL}},
    {"IPv6, partial checksum", {.v6 = true, .checksum = CHECKSUM_PARTIAL}},
    {"IPv4, garbage as checksum", {.checksum = CHECKSUM_GARBAGE}},
    {"IPv4, no checksum", {.checksum = CHECKSUM_NONE}},
};
#define FRAMES (sizeof(frames) / sizeof(frames[0]))

static void answers(void **state)
{
	static uint8_t reply[65535];
	static struct packet in, out;
	const struct row *row = *state;
	uint8_t query[2048];
	size_t length = build_query(query, &row->query), reply_length = 0;

	assert_int_equal(run_engine(query, length, reply, &reply_length), PG_EXIT_ANSWERED);
	assert_int_equal(get16(reply), 0x1234);
	assert_int_equal(get16(reply + 2), 0x8000 | row->flags);
	assert_int_equal(get16(reply + 4), 1);
	assert_int_equal(get16(reply + 6), row->answers);
	assert_int_equal(get16(reply + 8), row->authorities);
	if (row->additionals == SOME)
		assert_true(get16(reply + 10) > 1);
	else
		assert_int_equal(get16(reply + 10), row->additionals);
	for (size_t i = 0; i < FRAMES; i++) {
		char what[256];

		snprintf(what, sizeof(what), "%s: %s", row->what, frames[i].what);
		build_packet(&in, &frames[i].frame, query, length);
		set_client(&in);
		run_engine(query, length, reply, &reply_length);
		must_answer(what, &in, length, reply, reply_length, &out);
	}
}

/* Every length of name, odd and even, with and without OPT: sums and words at every alignment. */
static void name_lengths(void **state)
{
	static const struct frame both[2] = {{0}, {.v6 = true, .tags = 1}};
	static struct packet in, out;
	uint8_t query[600], reply[1500];

	for (size_t i = 1; i <= 238; i++) {
		char name[300] = "", what[64];
		size_t length, reply_length = 0;
		struct query q = {.name = name, .type = i % 3 ? 1 : 28};

		for (size_t j = 0; j < i; j++)
			strcat(name, j % 50 == 49 && j + 1 < i ? "." : j % 2 ? "q" : "Z");
		strcat(name, ".w.example.test.");
		if (i & 4) {
			q.opt = "\0\0\x29\x04\xd0\0\0\x80\0\0\0";
			q.opt_length = 11;
		}
		length = build_query(query, &q);
		assert_int_equal(run_engine(query, length, reply, &reply_length), PG_EXIT_ANSWERED);
		snprintf(what, sizeof(what), "name of %zu", i);
		for (size_t j = 0; j < 2; j++) {
			build_packet(&in, &both[j], query, length);
			must_answer(what, &in, length, reply, reply_length, &out);
		}
	}
}

/* Chains of CNAMEs up to the longest that is followed, and beyond. */
static void chains(void **state)
{
	static struct packet in;
	uint8_t query[600], reply[1500];

	for (int i = 0; i < 40; i++) {
		char name[64];
		size_t length, reply_length = 0;
		struct query q = ASK(name, 1, EDNS_1232);

		snprintf(name, sizeof(name), "n%d.exact.test.", i);
		length = build_query(query, &q);
		assert_int_equal(run_engine(query, length, reply, &reply_length), PG_EXIT_ANSWERED);
		assert_int_equal(get16(reply + 6), i <= PG_CHAIN_MAX ? i + 1 : PG_CHAIN_MAX);
		build_packet(&in, &(struct frame){.v6 = i & 1}, query, length);
		assert_true(must_agree(name, &in));
	}
}

/* Every message identifier: among their checksums is each there can be, 0 (sent as 0xffff) too. */
static void identifiers(void **state)
{
	static const struct query q = ASK("www.example.test.", 28);
	static struct packet in;
	bool seen_ones[2] = {false, false};
	uint8_t query[600];
	size_t length = build_query(query, &q);

	for (uint32_t id = 0; id < 2 * 65536; id++) {
		put16(query, id / 2);
		build_packet(&in, &(struct frame){.v6 = id & 1}, query, length);
		assert_true(must_agree("identifier", &in));
		seen_ones[id & 1] |= get16(agreed.octets + in.udp + 6) == 0xffff;
	}
	assert_true(seen_ones[0] && seen_ones[1]);
}

/* The largest source port, the smallest, and one that is the server's own. */
static void ports(void **state)
{
	static const struct query q = ASK("www.example.test.", 1);
	static const uint16_t numbers[] = {1, 53, 255, 256, 1024, 65535};
	static struct packet in;
	uint8_t query[600];
	size_t length = build_query(query, &q);

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		build_packet(&in, &(struct frame){0}, query, length);
		put16(in.octets + in.udp, numbers[i]);
		assert_true(must_agree("source port", &in));
	}
}

/* A frame in several buffers may be passed on, or answered rightly. */
static void passed_or_answered(const struct packet *in, int verdict, const struct packet *out, const uint8_t *reply,
                               size_t length)
{
	static struct packet expected;

	build_reply(&expected, in, reply, length);
	if (verdict != XDP_PASS && verdict != XDP_TX)
		fail_msg("verdict %d on a frame of %zu octets", verdict, in->length);
	same_packet("frame in buffers", in, verdict == XDP_PASS ? in : &expected, out);
}

/* Replies that fit, but are made of more pieces than the program may care to handle: a whole answer or none. */
static void many_pieces(void **state)
{
	static const struct query crowds[] = {
	    ASK("mx33.exact.test.", 15, EDNS_1232),
	    ASK("ptr.exact.test.", 12, EDNS_1232),
	    ASK("seventy.exact.test.", 1, EDNS_1232),
	    ASK("to-seventy.exact.test.", 1, EDNS_1232),
	};
	static struct packet in, out;
	uint8_t query[600], reply[1500];

	for (size_t i = 0; i < sizeof(crowds) / sizeof(crowds[0]); i++) {
		size_t length = build_query(query, &crowds[i]), reply_length = 0;

		assert_int_equal(run_engine(query, length, reply, &reply_length), PG_EXIT_ANSWERED);
		assert_int_equal(reply[2] & 2, 0);
		build_packet(&in, &(struct frame){.v6 = i & 1}, query, length);
		passed_or_answered(&in, run_program(&in, &out), &out, reply, reply_length);
	}
}

/*
 * Frames in several buffers, the first of which ends where the driver pleases: behind the query, or anywhere before.
 * What of the reply would not stand in the first buffer must not be begun. Before Linux 6.18 or so the first buffer of
 * a test run cannot be chosen.
 */
static void split_frames(void **state)
{
	static struct packet in, out;
	uint8_t query[600], reply[1500];
	size_t length = build_query(query, &(struct query)ASK("www.example.test.", 16, EDNS_1232)), reply_length = 0;

	assert_int_equal(run_engine(query, length, reply, &reply_length), PG_EXIT_ANSWERED);
	for (int padding = 1; padding < 200; padding += 7) {
		build_packet(&in, &(struct frame){.v6 = padding & 1, .padding = padding}, query, length);
		for (size_t first = in.dns; first < in.length; first++) {
			int verdict = run_split(&in, first, &out);

			if (verdict < 0)
				skip();
			passed_or_answered(&in, verdict, &out, reply, reply_length);
		}
	}
}

/* Padding that fills a page, and many pages: the latter makes a frame of several buffers on any kernel. */
static void large_frames(void **state)
{
	static struct packet in, out;
	uint8_t query[600], reply[1500];
	size_t length = build_query(query, &(struct query)ASK("www.example.test.", 16, EDNS_1232)), reply_length = 0;

	assert_int_equal(run_engine(query, length, reply, &reply_length), PG_EXIT_ANSWERED);
	for (int padding = 1000; padding < 12000; padding += 37) {
		build_packet(&in, &(struct frame){.v6 = padding & 1, .padding = padding}, query, length);
		passed_or_answered(&in, run_program(&in, &out), &out, reply, reply_length);
		assert_true(padding > 3300 || out.length < in.length);
	}
}

/* Queries grown by options up to what an Ethernet frame holds, and beyond. */
static void large_queries(void **state)
{
	static const size_t sizes[] = {0, 1, 100, 1000, 1400, 2039, 2040, 2044, 3000};
	static struct packet in;
	static uint8_t query[4000];
	static char opt[4000];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct query q = ASK("www.example.test.", 1, .opt = opt, .opt_length = 15 + sizes[i]);
		uint8_t *at = (uint8_t *)opt;

		memset(opt, 0x5a, sizeof(opt));
		memcpy(opt, "\0\0\x29\x04\xd0\0\0\0\0\0\0\xfd\xe9\0\0", 15);
		put16(at + 9, 4 + sizes[i]);
		put16(at + 13, sizes[i]);
		for (int padding = 0; padding < 300; padding += 111) {
			build_packet(&in, &(struct frame){.padding = padding}, query, build_query(query, &q));
			assert_int_equal(must_agree("option", &in), 4 + sizes[i] < 2048);
		}
	}
}

/* Answered until the very moment, and no longer, whenever the CPU looked at the clock last. */
static void expiry_to_the_moment(void **state)
{
	static const uint8_t apex[] = "\7example\4test";
	static struct packet in, out;
	struct pg_zone *zone = image_zone(image, (uint32_t)image_find_zone(image, apex));
	uint64_t forever = zone->expires_at, expires_at, before;
	uint8_t query[600];
	size_t length = build_query(query, &(struct query)ASK("www.example.test.", 1));

	for (int i = 0; i < 10; i++) {
		expires_at = boottime_now() + 20000000;
		zone->expires_at = expires_at;
		do {
			unsigned verdict;

			build_packet(&in, &(struct frame){.v6 = i & 1}, query, length);
			before = boottime_now();
			verdict = run_program(&in, &out);
			if (before >= expires_at)
				assert_int_equal(verdict, XDP_PASS);
			else if (boottime_now() < expires_at)
				assert_int_equal(verdict, XDP_TX);
		} while (before < expires_at);
	}
	zone->expires_at = forever;
}

int main(void)
{
	enum { ROWS = sizeof(rows) / sizeof(rows[0]) };
	struct CMUnitTest tests[ROWS + 9] = {
	    [ROWS] = cmocka_unit_test(name_lengths),
	    cmocka_unit_test(chains),
	    cmocka_unit_test(expiry_to_the_moment),
	    cmocka_unit_test(identifiers),
	    cmocka_unit_test(ports),
	    cmocka_unit_test(split_frames),
	    cmocka_unit_test(large_frames),
	    cmocka_unit_test(many_pieces),
	    cmocka_unit_test(large_queries),
	};

	for (size_t i = 0; i < ROWS; i++)
		tests[i] =
		    (struct CMUnitTest){.name = rows[i].what, .test_func = answers, .initial_state = (void *)&rows[i]};
	world_begin("test_answers");
	return cmocka_run_group_tests(tests, world_open, world_close);
}

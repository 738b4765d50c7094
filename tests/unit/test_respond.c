/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is answered when the engine answers nothing: a table of messages, then the same messages cut and spoilt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fallback/respond.h"
#include "fallback/scan.h"

#include <stdlib.h>
#include <string.h>

/* The real engine, which a case may set aside by naming an exit: some exits need data that this test does not have. */
#define engine_answer real_engine_answer
#include "engine/engine.c"
#undef engine_answer
enum pg_exit engine_answer(const struct image_view *view, struct pg_work *work, bool tcp, uint64_t boottime,
                           const uint8_t *query, size_t length, uint8_t *reply, size_t room, size_t *reply_length);

#define REAL (-1)
static int exit_wanted = REAL;

enum pg_exit engine_answer(const struct image_view *view, struct pg_work *work, bool tcp, uint64_t boottime,
                           const uint8_t *query, size_t length, uint8_t *reply, size_t room, size_t *reply_length)
{
	if (exit_wanted != REAL)
		return (enum pg_exit)exit_wanted;
	return real_engine_answer(view, work, tcp, boottime, query, length, reply, room, reply_length);
}

static const struct pg_settings settings = {
    .schema = PG_SCHEMA,
    .port = 53,
    .udp_size = 1232,
    .policies[0] = {.secrets = 1, .nsid_length = 14, .nsid = "\0\3\0\x0aid.example"}};
static struct pg_bucket no_buckets[1];
static struct pg_zone no_zones[1];
static const uint8_t no_image[PG_SEGMENT_GUARD];
static const struct image_view view = {
    .base = no_image,
    .index = no_buckets,
    .zone_index = no_buckets,
    .zones = no_zones,
    .index_buckets = 1,
    .zone_buckets = 1,
    .zone_slots = 1,
    .settings = &settings,
};

static size_t notify(void *context, const struct sockaddr_storage *from, const uint8_t *wire, size_t length,
                     uint8_t *reply)
{
	memcpy(reply, wire, MESSAGE_HEADER);
	reply[2] |= 0x80;
	reply[3] = 9;
	memset(reply + 4, 0, 8);
	return MESSAGE_HEADER;
}

static const struct respond_options options = {.version = "Peregrine x", .notify = notify};

/* Messages by their octets. */
#define HEAD(flags, qd, an, ns, ar) "\x12\x34" flags "\0" qd "\0" an "\0" ns "\0" ar
#define QUERY "\1\0"
#define WWW "\3wWw\7example\3org\0"
#define OF_A "\0\1\0\1"
#define OPT(version, flags, length) "\0\0\x29\x04\xd0\0" version flags "\0\0" length
#define PLAIN_OPT OPT("\0", "\0", "\0")
#define COOKIE(length) "\0\x0a\0" length "abcdefgh"
#define RECORD_A "\xc0\x0c\0\1\0\1\0\0\0\0\0\4\x7f\0\0\1"
#define KEY "\3key\0"
#define HMAC "\x0bhmac-sha256\0"
#define TSIG_RDATA HMAC "\0\0\1\2\3\4\1\x2c\0\4MAC!\x12\x34\0\0\0\0"
#define TSIG KEY "\0\xfa\0\xff\0\0\0\0\0\x21" TSIG_RDATA

enum { DROP = 0xFFFF, WITHOUT_QUESTION = 1, WITH_OPT = 2, TCP = 4, AA = 8, ANSWER = 16, WITH_TSIG = 32 };

struct sample {
	const char *what;
	const char *octets;
	size_t length;
	unsigned rcode;
	unsigned flags;
	int exit;
};
#define SAMPLE(what, octets, rcode, flags)                                                                             \
	{                                                                                                              \
		what, octets, sizeof(octets) - 1, rcode, flags, REAL                                                   \
	}
#define SAMPLE_AT(exit, what, octets, rcode, flags)                                                                    \
	{                                                                                                              \
		what, octets, sizeof(octets) - 1, rcode, flags, PG_EXIT_##exit                                         \
	}

static const struct sample samples[] = {
    SAMPLE("nothing", "", DROP, 0),
    SAMPLE("half a header", "\x12\x34\1\0\0\1", DROP, 0),
    SAMPLE("a response", HEAD("\x81\0", "\1", "\0", "\0", "\0") WWW OF_A, DROP, 0),
    SAMPLE("a response to nothing", HEAD("\x80\0", "\0", "\0", "\0", "\0"), DROP, 0),
    SAMPLE("outside the zones", HEAD(QUERY, "\1", "\0", "\0", "\0") WWW OF_A, 5, 0),
    SAMPLE("outside the zones, EDNS", HEAD(QUERY, "\1", "\0", "\0", "\1") WWW OF_A PLAIN_OPT, 5, WITH_OPT),

    SAMPLE("header alone", HEAD(QUERY, "\0", "\0", "\0", "\0"), 1, WITHOUT_QUESTION),
    SAMPLE("question missing", HEAD(QUERY, "\1", "\0", "\0", "\0"), 1, WITHOUT_QUESTION),
    SAMPLE("name cut", HEAD(QUERY, "\1", "\0", "\0", "\0") "\3ww", 1, WITHOUT_QUESTION),
    SAMPLE("class cut", HEAD(QUERY, "\1", "\0", "\0", "\0") WWW "\0\1\0", 1, WITHOUT_QUESTION),
    SAMPLE("question compressed", HEAD(QUERY, "\1", "\0", "\0", "\0") "\xc0\x0c" OF_A, 1, WITHOUT_QUESTION),
    SAMPLE("label type 01", HEAD(QUERY, "\1", "\0", "\0", "\0") "\x43www" OF_A, 1, WITHOUT_QUESTION),
    SAMPLE("two questions", HEAD(QUERY, "\2", "\0", "\0", "\0") WWW OF_A WWW OF_A, 1, WITHOUT_QUESTION),
    SAMPLE("two questions, EDNS", HEAD(QUERY, "\2", "\0", "\0", "\1") WWW OF_A WWW OF_A PLAIN_OPT, 1,
           WITHOUT_QUESTION | WITH_OPT),
    SAMPLE("QDCOUNT 0, EDNS", HEAD(QUERY, "\0", "\0", "\0", "\1") PLAIN_OPT, 1, WITHOUT_QUESTION | WITH_OPT),
    SAMPLE("octets behind the end", HEAD(QUERY, "\1", "\0", "\0", "\0") WWW OF_A "\1", 5, 0),
    SAMPLE("OPT behind the end", HEAD(QUERY, "\1", "\0", "\0", "\0") WWW OF_A PLAIN_OPT, 5, 0),
    SAMPLE("TC set", HEAD("\3\0", "\1", "\0", "\0", "\1") WWW OF_A PLAIN_OPT, 5, WITH_OPT),
    SAMPLE("flags that mean nothing", HEAD("\5\xff", "\1", "\0", "\0", "\0") WWW OF_A, 5, 0),
    SAMPLE("an answer", HEAD(QUERY, "\1", "\1", "\0", "\0") WWW OF_A RECORD_A, 5, 0),
    SAMPLE("an authority", HEAD(QUERY, "\1", "\0", "\1", "\0") WWW OF_A RECORD_A, 5, 0),
    SAMPLE("additional records around OPT", HEAD(QUERY, "\1", "\0", "\0", "\3") WWW OF_A RECORD_A PLAIN_OPT RECORD_A, 5,
           WITH_OPT),
    SAMPLE("record missing", HEAD(QUERY, "\1", "\0", "\0", "\1") WWW OF_A, 1, 0),
    SAMPLE("record cut", HEAD(QUERY, "\1", "\1", "\0", "\0") WWW OF_A "\xc0\x0c\0\1\0\1\0\0\0\0\0\4\x7f", 1, 0),
    SAMPLE("pointer forward", HEAD(QUERY, "\1", "\1", "\0", "\0") WWW OF_A "\xc0\xff\0\1\0\1\0\0\0\0\0\0", 1, 0),

    SAMPLE("two OPT", HEAD(QUERY, "\1", "\0", "\0", "\2") WWW OF_A PLAIN_OPT PLAIN_OPT, 1, 0),
    SAMPLE("OPT with an owner", HEAD(QUERY, "\1", "\0", "\0", "\1") WWW OF_A "\1x" PLAIN_OPT, 1, 0),
    SAMPLE("OPT with a pointer to the root",
           HEAD(QUERY, "\1", "\0", "\0", "\1") WWW OF_A "\xc0\x1c"
                                                        "\0\x29\x04\xd0\0\0\0\0\0\0",
           5, WITH_OPT),
    SAMPLE("OPT as answer", HEAD(QUERY, "\1", "\1", "\0", "\0") WWW OF_A PLAIN_OPT, 1, 0),
    SAMPLE("option cut", HEAD(QUERY, "\1", "\0", "\0", "\1") WWW OF_A OPT("\0", "\0", "\5") "\0\3\0\2x", 1, 0),
    SAMPLE("cookie of 3 octets", HEAD(QUERY, "\1", "\0", "\0", "\1") WWW OF_A OPT("\0", "\0", "\7") "\0\x0a\0\3abc", 1,
           WITH_OPT),
    SAMPLE("cookie of 3 octets, class CH",
           HEAD(QUERY, "\1", "\0", "\0", "\1") WWW "\0\1\0\3" OPT("\0", "\0", "\7") "\0\x0a\0\3abc", 1, WITH_OPT),
    SAMPLE("no question, a cookie", HEAD(QUERY, "\0", "\0", "\0", "\1") OPT("\0", "\0", "\x0c") COOKIE("\x08"), 0,
           WITHOUT_QUESTION | WITH_OPT),
    SAMPLE("no question, a forged cookie",
           HEAD(QUERY, "\0", "\0", "\0", "\1") OPT("\0", "\0", "\x14") COOKIE("\x10") "12345678", 23,
           WITHOUT_QUESTION | WITH_OPT),
    SAMPLE("no question, a cookie of 3 octets",
           HEAD(QUERY, "\0", "\0", "\0", "\1") OPT("\0", "\0", "\7") "\0\x0a\0\3abc", 1, WITHOUT_QUESTION | WITH_OPT),
    SAMPLE("a cookie and octets behind the end",
           HEAD(QUERY, "\1", "\0", "\0", "\1") WWW OF_A OPT("\0", "\0", "\x0c") COOKIE("\x08") "x", 5, WITH_OPT),
    SAMPLE("EDNS version 1", HEAD(QUERY, "\1", "\0", "\0", "\1") WWW OF_A OPT("\1", "\0", "\0"), 16, WITH_OPT),
    SAMPLE("EDNS version 1, class CH", HEAD(QUERY, "\1", "\0", "\0", "\1") WWW "\0\1\0\3" OPT("\1", "\x80", "\0"), 16,
           WITH_OPT),
    SAMPLE("many options",
           HEAD(QUERY, "\1", "\0", "\0", "\1") WWW OF_A OPT("\0", "\0", "\x50") //
           "\xff\1\0\0\xff\1\0\0\xff\1\0\0\xff\1\0\0\xff\1\0\0\xff\1\0\0\xff\1\0\0\xff\1\0\0\xff\1\0\0\xff\1\0\0"
           "\xff\1\0\0\xff\1\0\0\xff\1\0\0\xff\1\0\0\xff\1\0\0\xff\1\0\0\xff\1\0\0\xff\1\0\0\xff\1\0\0\xff\1\0\0",
           5, WITH_OPT),

    SAMPLE("STATUS", HEAD("\x11\0", "\1", "\0", "\0", "\0") WWW OF_A, 4, WITHOUT_QUESTION),
    SAMPLE("STATUS, EDNS version 1", HEAD("\x11\0", "\1", "\0", "\0", "\1") WWW OF_A OPT("\1", "\0", "\0"), 16,
           WITH_OPT),
    SAMPLE("UPDATE, EDNS", HEAD("\x28\0", "\1", "\0", "\0", "\1") WWW "\0\6\0\1" PLAIN_OPT, 4,
           WITHOUT_QUESTION | WITH_OPT),
    SAMPLE("opcode 15, nothing else", HEAD("\x78\0", "\0", "\0", "\0", "\0"), 4, WITHOUT_QUESTION),
    SAMPLE("NOTIFY", HEAD("\x24\0", "\1", "\0", "\0", "\0") WWW "\0\6\0\1", 9, WITHOUT_QUESTION | AA),
    SAMPLE("NOTIFY, signed", HEAD("\x24\0", "\1", "\0", "\0", "\1") WWW "\0\6\0\1" TSIG, 9, WITHOUT_QUESTION | AA),
    SAMPLE("NOTIFY about nothing", HEAD("\x24\0", "\0", "\0", "\0", "\0"), 1, WITHOUT_QUESTION),

    SAMPLE("AXFR", HEAD(QUERY, "\1", "\0", "\0", "\0") WWW "\0\xfc\0\1", 5, TCP),
    SAMPLE("AXFR by UDP", HEAD(QUERY, "\1", "\0", "\0", "\1") WWW "\0\xfc\0\1" PLAIN_OPT, 4, WITH_OPT),
    SAMPLE("type TSIG", HEAD(QUERY, "\1", "\0", "\0", "\1") WWW "\0\xfa\0\1" PLAIN_OPT, 5, WITH_OPT),
    SAMPLE("type 0 in an odd envelope", HEAD(QUERY, "\1", "\1", "\0", "\1") WWW "\0\0\0\1" RECORD_A PLAIN_OPT, 5,
           WITH_OPT),
    SAMPLE("class ANY", HEAD(QUERY, "\1", "\0", "\0", "\0") WWW "\0\1\0\xff", 5, 0),
    SAMPLE("class ANY, type MAILA", HEAD(QUERY, "\1", "\0", "\0", "\0") WWW "\0\xfe\0\xff", 5, 0),
    SAMPLE("IXFR by TCP", HEAD(QUERY, "\1", "\0", "\0", "\0") WWW "\0\xfb\0\1", 5, TCP),
    SAMPLE("IXFR", HEAD(QUERY, "\1", "\0", "\1", "\0") WWW "\0\xfb\0\1\xc0\x0c\0\6\0\1\0\0\0\0\0\0", 5, 0),
    SAMPLE("class HS", HEAD(QUERY, "\1", "\0", "\0", "\0") WWW "\0\1\0\4", 5, 0),
    SAMPLE("class CH, unknown", HEAD(QUERY, "\1", "\0", "\0", "\0") WWW "\0\x10\0\3", 5, 0),
    SAMPLE("id.server.", HEAD(QUERY, "\1", "\0", "\0", "\0") "\2iD\6server\0\0\x10\0\3", 0, ANSWER),
    SAMPLE("hostname.bind., EDNS", HEAD(QUERY, "\1", "\0", "\0", "\1") "\10hostname\4bind\0\0\x10\0\3" PLAIN_OPT, 0,
           ANSWER | WITH_OPT),
    SAMPLE("version.server.", HEAD(QUERY, "\1", "\0", "\0", "\0") "\7version\6server\0\0\x10\0\3", 0, ANSWER),
    SAMPLE("version.bind. of type ANY", HEAD(QUERY, "\1", "\0", "\0", "\0") "\7VERSION\4BIND\0\0\xff\0\3", 0, ANSWER),
    SAMPLE("version.bind. of class IN", HEAD(QUERY, "\1", "\0", "\0", "\0") "\7version\4bind\0\0\x10\0\1", 5, 0),

    SAMPLE("signed by an unknown key", HEAD(QUERY, "\1", "\0", "\0", "\1") WWW OF_A TSIG, 9, WITH_TSIG),
    SAMPLE("signed, EDNS", HEAD(QUERY, "\1", "\0", "\0", "\2") WWW OF_A PLAIN_OPT TSIG, 9, WITH_TSIG | WITH_OPT),
    SAMPLE("signed, key name compressed",
           HEAD(QUERY, "\1", "\0", "\0", "\1") WWW OF_A "\xc0\x18\0\xfa\0\xff\0\0\0\0\0\x21" TSIG_RDATA, 9, WITH_TSIG),
    SAMPLE("signed, key name compressed so that it grows",
           HEAD(QUERY, "\1", "\0", "\0", "\1") WWW OF_A "\xc0\x0c\0\xfa\0\xff\0\0\0\0\0\x21" TSIG_RDATA, 9, 0),
    SAMPLE("AXFR, signed", HEAD(QUERY, "\1", "\0", "\0", "\1") WWW "\0\xfc\0\1" TSIG, 9, WITH_TSIG | TCP),
    SAMPLE("TSIG is not the last", HEAD(QUERY, "\1", "\0", "\0", "\2") WWW OF_A TSIG PLAIN_OPT, 1, 0),
    SAMPLE("TSIG of class IN", HEAD(QUERY, "\1", "\0", "\0", "\1") WWW OF_A KEY "\0\xfa\0\1\0\0\0\0\0\x21" TSIG_RDATA,
           1, 0),
    SAMPLE("TSIG too short", HEAD(QUERY, "\1", "\0", "\0", "\1") WWW OF_A KEY "\0\xfa\0\xff\0\0\0\0\0\xd" HMAC, 1, 0),

    SAMPLE_AT(NO_ZONE, "zone expired", HEAD(QUERY, "\1", "\0", "\0", "\0") WWW OF_A, 2, 0),
    SAMPLE_AT(NO_ZONE, "zone expired, EDNS", HEAD(QUERY, "\1", "\0", "\0", "\1") WWW OF_A PLAIN_OPT, 2, WITH_OPT),
    SAMPLE_AT(INTERNAL, "engine at its end", HEAD(QUERY, "\1", "\0", "\0", "\0") WWW OF_A, 2, 0),
    SAMPLE_AT(LARGE, "engine at its end, TCP", HEAD(QUERY, "\1", "\0", "\0", "\0") WWW OF_A, 2, TCP),
};
#define SAMPLES (sizeof(samples) / sizeof(samples[0]))

static uint8_t reply[65535];
static struct pg_work work;

/* The message in a block of just its size, so that a reader beyond it is caught. */
static size_t ask(const struct sample *sample, const uint8_t *octets, size_t length)
{
	static const struct sockaddr_storage from = {.ss_family = AF_INET};
	uint8_t *query = malloc(length ? length : 1);
	size_t reply_length;

	assert_non_null(query);
	memcpy(query, octets, length);
	exit_wanted = sample->exit;
	work.now = 1;
	reply_length = respond(&view, &work, &options, sample->flags & TCP, &from, query, length, reply, sizeof(reply));
	free(query);
	return reply_length;
}

/* What holds for every reply. */
static void check_any(const uint8_t *query, size_t length, size_t reply_length, bool tcp)
{
	struct message message;

	assert_true(length >= MESSAGE_HEADER && reply_length >= MESSAGE_HEADER);
	assert_memory_equal(reply, query, 2);
	assert_true(reply[2] & 0x80);
	assert_int_equal(message_opcode(reply), message_opcode(query));
	assert_int_equal(reply[2] & 1, query[2] & 1);
	assert_true(tcp || reply_length <= settings.udp_size);
	/* An error is no longer than what it answers, but for what the options asked say, and for the extended error of
	 * REFUSED. */
	if ((reply[3] & 15) != 0)
		assert_true(reply_length <= length + settings.policies[0].nsid_length + 28 + 6);
	message_scan(&message, reply, reply_length);
	assert_false(message.malformed || message.bad_edns);
}

static bool as_expected(const struct sample *sample)
{
	const uint8_t *query = (const uint8_t *)sample->octets;
	size_t length = ask(sample, query, sample->length);
	struct message message;

	if (length == 0 || sample->rcode == DROP)
		return length == 0 && sample->rcode == DROP;
	check_any(query, sample->length, length, sample->flags & TCP);
	message_scan(&message, reply, length);
	return (reply[3] & 15) == (sample->rcode & 15) && work.rcode == sample->rcode &&
	       message.count[MESSAGE_QUESTION] == !(sample->flags & WITHOUT_QUESTION) &&
	       message.count[MESSAGE_ANSWER] == !!(sample->flags & ANSWER) &&
	       message.opt == !!(sample->flags & WITH_OPT) && !(reply[2] & 4) == !(sample->flags & AA) &&
	       (message.tsig.owner != 0) == !!(sample->flags & WITH_TSIG) &&
	       memcmp(reply + MESSAGE_HEADER, query + MESSAGE_HEADER, message.question_end - MESSAGE_HEADER) == 0;
}

static void test_samples(void **state)
{
	unsigned wrong = 0;

	for (size_t i = 0; i < SAMPLES; i++) {
		if (!as_expected(&samples[i])) {
			print_error("%s: rcode %u\n", samples[i].what, (unsigned)work.rcode);
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

static void test_texts(void **state)
{
	const struct sample identity =
	    SAMPLE("id.server.", HEAD(QUERY, "\1", "\0", "\0", "\0") "\2id\6server\0\0\x10\0\3", 0, 0);
	static const uint8_t expected[] = "\xc0\x0c\0\x10\0\3\0\0\0\0\0\xb\xaid.example";
	size_t length = ask(&identity, (const uint8_t *)identity.octets, identity.length);

	assert_int_equal(length, identity.length + sizeof(expected) - 1);
	assert_memory_equal(reply + identity.length, expected, sizeof(expected) - 1);
}

/* RFC 8945 section 5.2.1 and 5.3.2. */
static void test_bad_key(void **state)
{
	const struct sample sample = SAMPLE("", HEAD(QUERY, "\1", "\0", "\0", "\1") WWW OF_A TSIG, 9, 0);
	static const uint8_t expected[] =
	    KEY "\0\xfa\0\xff\0\0\0\0\0\x1d" HMAC "\0\0\1\2\3\4\1\x2c\0\0\x12\x34\0\x11\0\0";
	size_t length = ask(&sample, (const uint8_t *)sample.octets, sample.length);

	assert_int_equal(length, sample.length - 4);
	assert_memory_equal(reply + length - (sizeof(expected) - 1), expected, sizeof(expected) - 1);
}

/* A signed query without EDNS whose names are as long as they may be: the reply would exceed 512 octets. */
static void test_too_long_for_client(void **state)
{
	uint8_t query[2048] = HEAD(QUERY, "\1", "\0", "\0", "\1"), name[255] = {0};
	size_t at = MESSAGE_HEADER;
	struct sample sample = {.exit = PG_EXIT_SECTIONS};

	for (size_t i = 0; i + 2 < sizeof(name); i += 2)
		memcpy(name + i, "\1x", 2);
	memcpy(query + at, name, 255);
	memcpy(query + at + 255, OF_A, 4);
	at += 259;
	memcpy(query + at, name, 255);
	memcpy(query + at + 255, "\0\xfa\0\xff\0\0\0\0\1\x0f", 10);
	at += 265;
	memcpy(query + at, name, 255);
	at += 255 + 16;

	assert_int_equal(ask(&sample, query, at), MESSAGE_HEADER + 259);
	assert_int_equal(reply[2] & 2, 2);
	sample.flags = TCP;
	assert_int_equal(ask(&sample, query, at), at);
	assert_int_equal(reply[2] & 2, 0);
}

static void test_cut_everywhere(void **state)
{
	for (size_t i = 0; i < SAMPLES; i++) {
		const uint8_t *query = (const uint8_t *)samples[i].octets;

		for (size_t length = 0; length < samples[i].length; length++) {
			size_t reply_length = ask(&samples[i], query, length);

			if (reply_length)
				check_any(query, length, reply_length, samples[i].flags & TCP);
			else
				assert_true(length < MESSAGE_HEADER || query[2] & 0x80);
		}
	}
}

static uint32_t random_next(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

static void test_spoilt(void **state)
{
	uint32_t seed = 20220101;
	uint8_t query[512];

	for (unsigned round = 0; round < 200000; round++) {
		const struct sample *sample = &samples[random_next(&seed) % SAMPLES];
		size_t reply_length;

		if (sample->length < MESSAGE_HEADER)
			continue;
		memcpy(query, sample->octets, sample->length);
		for (unsigned i = random_next(&seed) % 4; i < 4; i++)
			query[random_next(&seed) % sample->length] = (uint8_t)random_next(&seed);
		reply_length = ask(sample, query, sample->length);
		if (reply_length)
			check_any(query, sample->length, reply_length, sample->flags & TCP);
		else
			assert_true(query[2] & 0x80);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_samples),        cmocka_unit_test(test_texts),
	    cmocka_unit_test(test_bad_key),        cmocka_unit_test(test_too_long_for_client),
	    cmocka_unit_test(test_cut_everywhere), cmocka_unit_test(test_spoilt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

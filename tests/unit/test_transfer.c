/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a primary is asked and may answer: AXFR and SOA query, against a fake one that misbehaves in every way. */
#include "transfer_world.h"

/* ---- AXFR ---- */

struct failure {
	enum fault fault;
	bool key;
	const char *text;
};

static const struct failure failures[] = {
    {REFUSES, false, "AXFR refused: REFUSED"},
    {REFUSES, true, "AXFR refused: REFUSED"},
    {NOTAUTH_BADKEY, true, "AXFR refused: NOTAUTH, TSIG BADKEY; the primary has no key of that name and algorithm"},
    {NOTAUTH_BADTIME, true, "AXFR refused: NOTAUTH, TSIG BADTIME (the primary's clock is "},
    {CLOSES_AT_ONCE, false, "AXFR failed: the primary closed the connection before the end"},
    {CLOSES_MID_MESSAGE, false, "closed the connection in the middle of a message, after 3 records"},
    {CLOSES_BEFORE_END, false, "closed the connection before the end, after 3 records"},
    {STALLS, false, "AXFR failed: stalled: nothing came for 120 ms, after 3 records"},
    {DRIPS, false, "AXFR failed: too slow"},
    {WRONG_MAC_SECOND, true, "AXFR failed: the reply's signature is wrong (BADSIG)"},
    {UNSIGNED_REPLY, true, "AXFR failed: the reply is not signed"},
    {UNSIGNED_END, true, "AXFR failed: the last message is not signed"},
    {OTHER_KEY, true, "signed with another key or algorithm (BADKEY)"},
    {TIME_OFF, true, "out of time: the primary's clock is 3600 seconds behind (BADTIME)"},
    {TWO_SOAS, false, "AXFR failed: two different SOAs, serials 5 and 99"},
    {OUT_OF_ZONE, false, "AXFR failed: a record outside the zone: www.elsewhere.test. A"},
    {TRAILING_RECORD, false, "AXFR failed: a record after the closing SOA: zone.example. A"},
    {TRAILING_OCTETS, false, "AXFR failed: malformed reply"},
    {OTHER_CLASS, false, "AXFR failed: a record of a class other than IN: host1.zone.example. A"},
    {META_TYPE, false, "AXFR failed: a record of a type that no zone has: host1.zone.example. ANY"},
    {NOT_SOA_FIRST, false, "AXFR failed: the first record is not the zone's SOA: zone.example. NS"},
    {WRONG_ID, false, "AXFR failed: the reply has id "},
    {NOT_A_REPLY, false, "AXFR failed: what came is not a reply"},
    {NO_QUESTION, false, "AXFR failed: the reply is to another question"},
    {OTHER_QUESTION, false, "AXFR failed: the reply is to another question"},
    {TRUNCATED_MESSAGE, false, "AXFR failed: malformed reply"},
    {GARBAGE, false, "AXFR failed: malformed reply"},
    {HUGE_COUNTS, false, "AXFR failed: malformed reply"},
    {COMPRESSION_LOOP, false, "AXFR failed: malformed reply"},
    {NO_RECORDS, false, "AXFR failed: a message without records"},
    {IN_AUTHORITY, false, "AXFR failed: records in the authority section"},
};

static void test_failures(void **state)
{
	struct world *world = *state;

	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		struct follower_status status;

		log_text[0] = '\0';
		world->primary[0].fault = failures[i].fault;
		world->primary[0].key = world->config_primary[0].key = failures[i].key ? &world->key : NULL;
		world->failed = 0;
		start(world, false, 0);
		refresh(world, FOLLOWER_IF_NEWER);
		assert_logged(failures[i].text);
		assert_logged("<4>zone zone.example: primary campus (127.0.0.1@");
		assert_logged("; nothing of the zone is served yet");
		assert_int_equal(world->failed, 1);
		assert_non_null(strstr(world->error, failures[i].text));
		follower_get_status(world->follower, &status);
		assert_true(status.failing);
		assert_false(status.loaded);
		assert_non_null(strstr(status.last_error, failures[i].text));
		stop(world);
	}
	assert_int_equal(world->published, 0);
}

static void test_good(void **state)
{
	static const unsigned messages[] = {1, 2, 5, 90, 101};
	static const unsigned sign_every[] = {1, 2, 0};
	struct world *world = *state;
	struct follower_status status;
	unsigned published = 0;

	for (int key = 0; key < 2; key++) {
		if (key == 1)
			use_key(world);
		for (size_t i = 0; i < 5; i++) {
			for (size_t j = 0; j < (key ? 3 : 1); j++) {
				world->primary[0].messages = messages[i];
				world->primary[0].sign_every = sign_every[j];
				start(world, false, 0);
				refresh(world, FOLLOWER_IF_NEWER);
				assert_int_equal(world->failed, 0);
				assert_int_equal(world->published, ++published);
				follower_get_status(world->follower, &status);
				assert_true(status.loaded && !status.failing && !status.busy);
				assert_int_equal(status.served_serial, 5);
				assert_int_equal(status.primary_serial, 5);
				assert_in_range(status.next_refresh - time(NULL), 3600 - 362, 3601);
				stop(world);
			}
		}
	}
	assert_logged("<6>zone zone.example: primary campus (127.0.0.1@");
	assert_logged("serial 5 transferred and served, 3 records, ");
}

static void test_unsigned_run(void **state)
{
	struct world *world = *state;

	use_key(world);
	world->primary[0].sign_every = 0;
	world->primary[0].messages = 102; /* 100 in a row without signature: one too many */
	start(world, false, 0);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_logged("AXFR failed: 100 messages without a signature");
}

static void test_algorithms(void **state)
{
	static const char *const names[] = {"hmac-sha1", "hmac-sha224", "hmac-sha384", "hmac-sha512"};
	struct world *world = *state;

	use_key(world);
	for (unsigned i = 0; i < 4; i++) {
		knot_tsig_key_deinit(&world->key);
		assert_int_equal(knot_tsig_key_init(&world->key, names[i], "key.example.", "c2VjcmV0"), 0);
		start(world, false, 0);
		refresh(world, FOLLOWER_IF_NEWER);
		assert_int_equal(world->published, i + 1);
		stop(world);
	}
	knot_tsig_key_deinit(&world->key);
	assert_int_equal(knot_tsig_key_init(&world->key, "hmac-md5", "key.example.", "c2VjcmV0"), 0);
	start(world, false, 0);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_logged("the key's algorithm is not accepted");
}

static void test_signed_unasked(void **state)
{
	struct world *world = *state;

	world->primary[0].fault = SIGNED_UNASKED;
	world->primary[0].key = &world->key;
	start(world, false, 0);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_logged("the reply is signed, but no key is configured for this primary");
}

static void test_limits(void **state)
{
	struct world *world = *state;

	world->primary[0].messages = 100;
	transfer_limits.max_records = 50;
	start(world, false, 0);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_logged("AXFR failed: more than 50 records");
	stop(world);
	transfer_limits.max_records = 1000;
	transfer_limits.max_octets = 500;
	start(world, false, 0);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_logged("AXFR failed: more than 500 octets");
	stop(world);
	transfer_limits = quick;
	transfer_limits.total = 100;
	transfer_limits.window_octets = 1;
	world->primary[0].fault = DRIPS;
	start(world, false, 0);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_logged("AXFR failed: it took too long as a whole");
}

/* A primary's own bounds come before those of all. */
static void test_own_limits(void **state)
{
	struct world *world = *state;

	world->primary[0].messages = 100;
	world->config_primary[0].reach.max_records = 20;
	start(world, false, 0);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_logged("AXFR failed: more than 20 records");
	stop(world);
	world->config_primary[0].reach.max_records = 2000;
	world->config_primary[0].reach.max_octets = 600;
	start(world, false, 0);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_logged("AXFR failed: more than 600 octets");
	stop(world);
	/* More than all others may have. */
	world->config_primary[0].reach.max_octets = 0;
	transfer_limits.max_records = 30;
	start(world, false, 0);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->published, 1);
}

static void test_source(void **state)
{
	struct world *world = *state;
	struct sockaddr_in *source = (struct sockaddr_in *)&world->config_primary[0].reach.source[0];

	uv_ip4_addr("192.0.2.77", 0, source);
	start(world, true, 4);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_logged("SOA query failed: cannot send from 192.0.2.77: address not available; give this host that "
	              "address, or mend `source` of the primary; serving serial 4 on");
	stop(world);
	uv_ip4_addr("127.0.0.9", 0, source);
	start(world, true, 4);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->serial, 5);
}

/* One connection carries whatever is asked of a primary over TCP. */
static void test_one_connection(void **state)
{
	struct world *world = *state;

	start(world, false, 0);
	for (unsigned i = 0; i < 4; i++)
		refresh(world, FOLLOWER_FULL);
	assert_int_equal(world->primary[0].axfrs, 4);
	assert_int_equal(world->primary[0].connections, 1);
	/* What was refused leaves it as it was. */
	world->primary[0].fault = REFUSES_IXFR;
	world->primary[0].serial = 6;
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->serial, 6);
	assert_int_equal(world->primary[0].ixfrs, 1);
	assert_int_equal(world->primary[0].connections, 1);
	/* After what was no good another one is made. */
	world->primary[0].fault = OUT_OF_ZONE;
	refresh(world, FOLLOWER_FULL);
	world->primary[0].fault = NO_FAULT;
	refresh(world, FOLLOWER_FULL);
	assert_int_equal(world->primary[0].connections, 2);
}

/* ---- what a reply says besides ---- */

/* A reply with an OPT record of these options, parsed. */
static void parse_options(uint16_t rcode, const char *options, uint16_t length, struct keep_option *keep, char *why)
{
	uint8_t wire[512];
	struct tsig_session tsig = {0};
	knot_dname_t *apex = knot_dname_from_str_alloc(ZONE);
	struct reply_expected expected = {
	    .what = "AXFR", .id = 7, .type = KNOT_RRTYPE_AXFR, .apex = apex, .first = true, .keep = keep};
	size_t used = fake_header(wire, 7, 0x8000 | rcode, ZONE, KNOT_RRTYPE_AXFR, 1);
	struct reply reply;
	int result;

	knot_wire_set_arcount(wire, 1);
	memcpy(wire + used, "\0\0\51\4\320\0\0\0\0", 9);
	knot_wire_write_u16(wire + used + 9, length);
	memcpy(wire + used + 11, options, length);
	result = reply_open(&reply, &expected, wire, used + 11 + length, &tsig, why);
	assert_int_equal(result == 0, rcode == 0);
	if (result == 0)
		reply_close(&reply);
	knot_dname_free(apex, NULL);
}

static void test_extended_error(void **state)
{
	char why[TRANSFER_WHY];

	parse_options(5, "\0\17\0\20\0\22not from\033there", 20, NULL, why);
	assert_string_equal(why, "AXFR refused: REFUSED, extended error 18 (Prohibited): \"not from?there\"");
	parse_options(5, "\0\17\0\2\xff\xfe", 6, NULL, why);
	assert_string_equal(why, "AXFR refused: REFUSED, extended error 65534");
	/* Too short for what it should be. */
	parse_options(5, "\0\17\0\1\0", 5, NULL, why);
	assert_string_equal(why, "AXFR refused: REFUSED");
}

static void test_keepalive(void **state)
{
	static const enum query_edns kinds[] = {QUERY_PLAIN, QUERY_EDNS, QUERY_EDNS_STREAM};
	struct keep_option keep = {0};
	struct tsig_session tsig = {0};
	uint8_t wire[TRANSFER_QUERY];
	char why[TRANSFER_WHY];

	for (int i = 0; i < 3; i++) {
		size_t length = query_make(wire, sizeof(wire), 9, (const uint8_t *)"\4zone\7example", KNOT_RRTYPE_SOA,
		                           0, kinds[i], &tsig);
		knot_pkt_t *query = knot_pkt_new(wire, (uint16_t)length, NULL);

		assert_int_equal(knot_pkt_parse(query, 0), KNOT_EOK);
		assert_int_equal(query->opt_rr != NULL, i > 0);
		assert_int_equal(knot_pkt_edns_option(query, KNOT_EDNS_OPTION_EXPIRE) != NULL, i > 0);
		assert_int_equal(knot_pkt_edns_option(query, KNOT_EDNS_OPTION_TCP_KEEPALIVE) != NULL, i > 1);
		knot_pkt_free(query);
	}
	parse_options(0, "\0\13\0\0", 4, &keep, why);
	assert_false(keep.given);
	parse_options(0, "\0\13\0\2\0\62", 6, &keep, why);
	assert_true(keep.given);
	assert_int_equal(keep.idle, 5000);
}

/* ---- SOA ---- */

static void test_soa_equal(void **state)
{
	struct world *world = *state;

	use_key(world);
	start(world, true, 5);
	run_until(world, &world->confirmed, 1);
	assert_int_equal(world->expire, 864000);
	assert_int_equal(world->primary[0].axfrs, 0);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->confirmed, 2);
	refresh(world, FOLLOWER_FULL);
	assert_int_equal(world->primary[0].axfrs, 1);
	assert_int_equal(world->published, 1);
	assert_int_equal(world->failed, 0);
}

static void test_soa_newer(void **state)
{
	struct world *world = *state;

	start(world, true, 0xfffffff0); /* RFC 1982: 5 is after it */
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->serial, 5);
	assert_int_equal(world->primary[0].soa_udp, 1);
}

static void test_soa_older(void **state)
{
	struct world *world = *state;
	struct follower_status status;

	start(world, true, 6);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->failed, 0);
	assert_int_equal(world->confirmed, 0);
	assert_logged("<5>zone zone.example: primary campus (127.0.0.1@");
	assert_logged("its serial 5 is older than the one served; serving serial 6 on");
	follower_get_status(world->follower, &status);
	assert_false(status.failing);
	assert_non_null(strstr(status.last_error, "older"));
	assert_int_equal(status.primary_serial, 5);
	/* An older primary must not hide a newer one. */
	stop(world);
	world->zone.primary_count = 2;
	world->primary[1].serial = 7;
	start(world, true, 6);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->serial, 7);
}

/* The transfer has another serial than the SOA query was told. */
static void test_soa_changes(void **state)
{
	struct world *world = *state;

	world->primary[0].axfr_serial = 3;
	start(world, true, 4);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_logged("its serial 3 is older than the one served; serving serial 4 on");
	stop(world);
	world->primary[0].axfr_serial = 4;
	start(world, true, 4);
	run_until(world, &world->confirmed, 1);
	assert_int_equal(world->published, 0);
	assert_int_equal(world->primary[0].ixfrs, 2);
}

static void test_soa_faults(void **state)
{
	struct world *world = *state;
	static const struct failure cases[] = {
	    {NOT_AUTHORITATIVE, false, "SOA query failed: the primary is not authoritative for the zone"},
	    {NO_SOA, false, "SOA query failed: no SOA of the zone in the reply"},
	    {REFUSES, false, "SOA query refused: REFUSED; serving serial 5 on"},
	    {TRUNCATES, false, "SOA query failed: truncated reply over TCP"},
	    {CLOSES_AT_ONCE, false, "nothing good over UDP, and over TCP: the primary closed the connection"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		world->primary[0].fault = cases[i].fault;
		start(world, true, 5);
		refresh(world, FOLLOWER_IF_NEWER);
		assert_int_equal(world->failed, i + 1);
		assert_logged(cases[i].text);
		stop(world);
	}
	assert_int_equal(world->confirmed, 0);
}

static void test_soa_over_tcp(void **state)
{
	struct world *world = *state;

	use_key(world);
	world->primary[0].fault = SILENT_UDP;
	start(world, true, 5);
	run_until(world, &world->confirmed, 1);
	assert_int_equal(world->primary[0].soa_udp, 2); /* tries */
	assert_int_equal(world->primary[0].soa_tcp, 1);
	stop(world);
	world->primary[0].fault = NOISE_FIRST;
	start(world, true, 5);
	run_until(world, &world->confirmed, 2);
	assert_int_equal(world->primary[0].soa_tcp, 1);
	assert_int_equal(log_count[LOG_LEVEL_WARNING], 0);
}

static void test_serials(void **state)
{
	assert_true(serial_newer(1, 0));
	assert_false(serial_newer(0, 1));
	assert_false(serial_newer(7, 7));
	assert_true(serial_newer(0, UINT32_MAX));
	assert_true(serial_newer(0x7fffffff, 0));
	assert_false(serial_newer(0x80000000, 0)); /* neither */
	assert_false(serial_newer(0, 0x80000000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WORLD(test_failures),
	    WORLD(test_good),
	    WORLD(test_unsigned_run),
	    WORLD(test_algorithms),
	    WORLD(test_signed_unasked),
	    WORLD(test_limits),
	    WORLD(test_own_limits),
	    WORLD(test_source),
	    WORLD(test_one_connection),
	    cmocka_unit_test(test_extended_error),
	    cmocka_unit_test(test_keepalive),
	    WORLD(test_soa_equal),
	    WORLD(test_soa_newer),
	    WORLD(test_soa_older),
	    WORLD(test_soa_changes),
	    WORLD(test_soa_faults),
	    WORLD(test_soa_over_tcp),
	    cmocka_unit_test(test_serials),
	};

	return cmocka_run_group_tests_name("transfer", tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who may have which zone, and whether a query is signed by who it says; the asking side is the agent's own. */
#include "zone_text.h"

#include "transfer/transfer_internal.h"
#include "transfer_out/outgoing.h"

#include <arpa/inet.h>

#define APEX "zone.example."

/* ---- who may ---- */

static struct config_zone configured;

static const struct config_zone *find_zone(void *context, const uint8_t *apex)
{
	return knot_dname_is_equal(apex, configured.apex) ? &configured : NULL;
}

static void prefix(struct config_prefix *out, const char *text, unsigned length)
{
	memset(out->address, 0, 10);
	memset(out->address + 10, 0xff, 2);
	if (inet_pton(AF_INET6, text, out->address) != 1)
		assert_int_equal(inet_pton(AF_INET, text, out->address + 12), 1);
	out->length = length;
}

static unsigned judge(const char *from, const knot_tsig_key_t *key)
{
	const struct outgoing outgoing = {.zone = find_zone};
	struct sockaddr_storage address = {.ss_family = AF_INET6};

	if (inet_pton(AF_INET6, from, &((struct sockaddr_in6 *)&address)->sin6_addr) != 1) {
		address.ss_family = AF_INET;
		assert_int_equal(inet_pton(AF_INET, from, &((struct sockaddr_in *)&address)->sin_addr), 1);
	}
	return outgoing_judge(&outgoing, configured.apex, KNOT_RRTYPE_AXFR, &address, key);
}

static void test_access(void **state)
{
	struct config_prefix prefixes[2], host[1];
	knot_tsig_key_t key, other, weak;
	struct config_access access[3] = {{.prefixes = prefixes, .prefix_count = 2},
	                                  {.prefixes = host, .prefix_count = 1, .key = &key},
	                                  {.key = &other}};
	const struct outgoing elsewhere = {.zone = find_zone};
	struct sockaddr_storage four = {.ss_family = AF_INET};

	assert_int_equal(knot_tsig_key_init(&key, "hmac-sha256", "one.", "c2VjcmV0"), 0);
	assert_int_equal(knot_tsig_key_init(&other, "hmac-sha256", "two.", "c2VjcmV0"), 0);
	assert_int_equal(knot_tsig_key_init(&weak, "hmac-sha1", "two.", "c2VjcmV0"), 0);
	prefix(&prefixes[0], "192.0.2.128", 96 + 25);
	prefix(&prefixes[1], "2001:db8::", 33);
	prefix(&host[0], "198.51.100.7", 128);
	configured.apex = knot_dname_from_str_alloc(APEX);
	/* Nobody, unless said otherwise. */
	assert_int_equal(judge("192.0.2.128", NULL), KNOT_RCODE_REFUSED);
	configured.outgoing = (struct config_outgoing){.allow = access, .allow_count = 3};
	assert_int_equal(judge("192.0.2.128", NULL), KNOT_RCODE_NOERROR);
	assert_int_equal(judge("192.0.2.255", &key), KNOT_RCODE_NOERROR);
	assert_int_equal(judge("::ffff:192.0.2.200", NULL), KNOT_RCODE_NOERROR);
	assert_int_equal(judge("192.0.2.127", NULL), KNOT_RCODE_REFUSED);
	assert_int_equal(judge("193.0.2.128", NULL), KNOT_RCODE_REFUSED);
	assert_int_equal(judge("2001:db8:7fff::1", NULL), KNOT_RCODE_NOERROR);
	assert_int_equal(judge("2001:db8:8000::1", NULL), KNOT_RCODE_REFUSED);
	assert_int_equal(judge("198.51.100.7", NULL), KNOT_RCODE_REFUSED);
	assert_int_equal(judge("198.51.100.7", &key), KNOT_RCODE_NOERROR);
	assert_int_equal(judge("198.51.100.8", &key), KNOT_RCODE_REFUSED);
	assert_int_equal(judge("203.0.113.9", &other), KNOT_RCODE_NOERROR);
	assert_int_equal(judge("203.0.113.9", &weak), KNOT_RCODE_REFUSED);
	assert_int_equal(outgoing_judge(&elsewhere, (const uint8_t *)"\4else\0", KNOT_RRTYPE_IXFR, &four, NULL),
	                 KNOT_RCODE_NOTAUTH);
	assert_int_equal(outgoing_judge(NULL, configured.apex, KNOT_RRTYPE_AXFR, &four, &key), KNOT_RCODE_REFUSED);
	knot_dname_free(configured.apex, NULL);
	knot_tsig_key_deinit(&key);
	knot_tsig_key_deinit(&other);
	knot_tsig_key_deinit(&weak);
}

/* ---- signatures of queries ---- */

static void test_bad_signatures(void **state)
{
	static const struct {
		int skew;
		const char *secret;
		const char *algorithm;
		int result;
		unsigned error;
		bool on;
	} cases[] = {
	    {0, "c2VjcmV0", "hmac-sha256", 0, 0, true},
	    {0, "b3RoZXI=", "hmac-sha256", 1, KNOT_RCODE_BADSIG, false},
	    {0, "c2VjcmV0", "hmac-sha512", 1, KNOT_RCODE_BADKEY, false},
	};
	struct tsig_server server, moved;
	struct tsig_session session;
	knot_tsig_key_t key, theirs;
	uint8_t wire[1024];
	char why[TRANSFER_WHY];
	size_t length, plain;

	assert_int_equal(knot_tsig_key_init(&key, "hmac-sha256", "Key.", "c2VjcmV0"), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(knot_tsig_key_init(&theirs, cases[i].algorithm, "kEY.", cases[i].secret), 0);
		assert_int_equal(tsig_session_init(&session, &theirs, why), 0);
		length =
		    query_make(wire, sizeof(wire), 1, (const uint8_t *)"\4zone\0", KNOT_RRTYPE_SOA, 0, false, &session);
		assert_int_equal(tsig_server_check(&server, &key, wire, &length), cases[i].result);
		assert_int_equal(server.error, cases[i].error);
		assert_int_equal(server.on, cases[i].on);
		assert_int_equal(length, KNOT_WIRE_HEADER_SIZE + 6 + 4);
		assert_int_equal(knot_wire_get_arcount(wire), 0);
		/* The reply is verified by who asked; once cleared nothing is signed. */
		tsig_server_move(&moved, &server);
		assert_false(server.on);
		plain = length;
		assert_int_equal(tsig_server_sign(&moved, wire, &length, sizeof(wire)), 0);
		assert_int_equal(length > plain, cases[i].on);
		assert_true(length - plain <= tsig_server_room(&moved));
		if (cases[i].on) {
			struct reply reply = {.wire = wire, .length = length};

			knot_wire_set_qr(wire);
			assert_int_equal(reply_take_apart(&reply), 0);
			/* QR was set behind the signing: it is found out. */
			assert_int_equal(tsig_session_check(&session, &reply, why), -1);
			reply_close(&reply);
		}
		tsig_server_clear(&moved);
		tsig_session_clear(&session);
		knot_tsig_key_deinit(&theirs);
	}
	/* Out of time, and unreadable. */
	assert_int_equal(tsig_session_init(&session, &key, why), 0);
	length = query_make(wire, sizeof(wire), 1, (const uint8_t *)"\4zone\0", KNOT_RRTYPE_SOA, 0, false, &session);
	plain = length - 1;
	assert_int_equal(tsig_server_check(&server, &key, wire, &plain), -1);
	plain = 5;
	assert_int_equal(tsig_server_check(&server, &key, wire, &plain), -1);
	knot_wire_set_ancount(wire, 60000);
	assert_int_equal(tsig_server_check(&server, &key, wire, &length), -1);
	tsig_session_clear(&session);
	knot_tsig_key_deinit(&key);
}

/* A signed query with octets changed, in a block of just its size: whatever is made of it, nothing beyond is read, and
 * what is signed was not changed. */
static void test_spoilt_signatures(void **state)
{
	struct tsig_session session;
	struct tsig_server server;
	knot_tsig_key_t key;
	uint8_t wire[1024];
	char why[TRANSFER_WHY];
	uint32_t seed = 8945;
	size_t length;
	unsigned good = 0;

	assert_int_equal(knot_tsig_key_init(&key, "hmac-sha256", "key.", "c2VjcmV0"), 0);
	assert_int_equal(tsig_session_init(&session, &key, why), 0);
	length = query_make(wire, sizeof(wire), 1, (const uint8_t *)"\4zone\0", KNOT_RRTYPE_IXFR, 7, true, &session);
	for (unsigned round = 0; round < 20000; round++) {
		uint8_t *copy = malloc(length);
		size_t left = length, at;

		memcpy(copy, wire, length);
		for (unsigned i = 0; i < 1 + round % 3; i++) {
			seed = seed * 1664525 + 1013904223;
			at = (seed >> 8) % length;
			copy[at] ^= (uint8_t)(1U << (seed >> 29));
		}
		if (tsig_server_check(&server, &key, copy, &left) == 0) {
			good++;
			/* The id is not what is signed, but the one in the record; letters of names have no case. */
			assert_memory_equal(copy + 2, wire + 2, 8);
		}
		tsig_server_clear(&server);
		free(copy);
	}
	assert_in_range(good, 1, 2000);
	tsig_session_clear(&session);
	knot_tsig_key_deinit(&key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_access),
	    cmocka_unit_test(test_bad_signatures),
	    cmocka_unit_test(test_spoilt_signatures),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("transfer access", tests, NULL, NULL);
}

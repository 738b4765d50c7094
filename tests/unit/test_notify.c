/* SPDX-License-Identifier: GPL-3.0-or-later */
/* NOTIFY received. */
#include "transfer_world.h"

/* ---- NOTIFY ---- */

struct notify {
	uint8_t wire[1024];
	size_t length;
	uint8_t mac[64];
	size_t mac_length;
	uint8_t reply[512];
	size_t reply_length;
};

static void make_notify(struct notify *notify, const char *zone, int serial, const knot_tsig_key_t *key)
{
	uint8_t soa[64];

	notify->length = fake_header(notify->wire, 0x1234, 0x2400, zone, KNOT_RRTYPE_SOA, 1);
	if (serial >= 0)
		notify->length = fake_record(notify->wire, notify->length, 6, zone, KNOT_RRTYPE_SOA, 1, soa,
		                             fake_soa(soa, (uint32_t)serial, 1, 1, 1));
	notify->mac_length = sizeof(notify->mac);
	if (key != NULL)
		assert_int_equal(knot_tsig_sign(notify->wire, &notify->length, sizeof(notify->wire), NULL, 0,
		                                notify->mac, &notify->mac_length, key, 0, 0),
		                 0);
}

static bool give(struct world *world, struct notify *notify, const char *from)
{
	struct sockaddr_storage address = {0};

	if (strchr(from, ':') != NULL)
		uv_ip6_addr(from, 40000, (struct sockaddr_in6 *)&address);
	else
		uv_ip4_addr(from, 40000, (struct sockaddr_in *)&address);
	return follower_notify(world->follower, &address, notify->wire, notify->length, notify->reply,
	                       &notify->reply_length);
}

static unsigned reply_rcode(const struct notify *notify)
{
	assert_true(notify->reply_length >= 12);
	assert_int_equal(knot_wire_get_id(notify->reply), 0x1234);
	assert_true(knot_wire_get_qr(notify->reply));
	assert_int_equal(knot_wire_get_opcode(notify->reply), KNOT_OPCODE_NOTIFY);
	return knot_wire_get_rcode(notify->reply);
}

static void test_notify(void **state)
{
	struct world *world = *state;
	struct notify notify;
	unsigned polls;

	start(world, false, 0);
	run_until(world, &world->published, 1);
	polls = world->primary[0].soa_udp;
	make_notify(&notify, "ZONE.example.", 5, NULL);
	assert_true(give(world, &notify, "127.0.0.1")); /* nothing new */
	assert_int_equal(reply_rcode(&notify), 0);
	assert_int_equal(notify.reply_length, 12 + 14 + 4);
	assert_true(knot_wire_get_aa(notify.reply));
	assert_memory_equal(notify.reply + 12, notify.wire + 12, 18);
	run_for(world, 20);
	assert_int_equal(world->primary[0].soa_udp, polls);
	world->primary[0].serial = 6;
	make_notify(&notify, ZONE, 6, NULL);
	assert_true(give(world, &notify, "::ffff:127.0.0.1"));
	run_until(world, &world->published, 2);
	/* During an attempt: one more follows it. */
	world->hold = true;
	world->primary[0].serial = 7;
	make_notify(&notify, ZONE, -1, NULL);
	assert_true(give(world, &notify, "127.0.0.1"));
	run_until(world, &world->published, 3);
	world->primary[0].serial = 8;
	assert_true(give(world, &notify, "127.0.0.1"));
	world->held(world->held_context, NULL);
	run_until(world, &world->published, 4);
	assert_int_equal(world->serial, 8);
	world->held(world->held_context, NULL);
}

static void test_notify_refused(void **state)
{
	struct world *world = *state;
	struct notify notify;

	start(world, false, 0);
	run_until(world, &world->published, 1);
	world->primary[0].serial = 6;
	make_notify(&notify, ZONE, 6, NULL);
	assert_false(give(world, &notify, "127.0.0.2"));
	assert_int_equal(reply_rcode(&notify), KNOT_RCODE_REFUSED);
	make_notify(&notify, "other.example.", 6, NULL);
	assert_false(give(world, &notify, "127.0.0.1"));
	assert_int_equal(reply_rcode(&notify), KNOT_RCODE_NOTAUTH);
	make_notify(&notify, ZONE, 6, &world->key); /* there is no key for this primary */
	assert_false(give(world, &notify, "127.0.0.1"));
	assert_int_equal(reply_rcode(&notify), KNOT_RCODE_NOTAUTH);
	make_notify(&notify, ZONE, 6, NULL);
	for (size_t length = notify.length; length-- > 0;) {
		notify.length = length; /* cut anywhere */
		assert_false(give(world, &notify, "127.0.0.1"));
		assert_true(length < 12 ? notify.reply_length == 0 : reply_rcode(&notify) == KNOT_RCODE_FORMERR);
	}
	make_notify(&notify, ZONE, 6, NULL);
	notify.wire[2] |= 0x80;
	assert_false(give(world, &notify, "127.0.0.1"));
	assert_int_equal(notify.reply_length, 0);
	run_for(world, 20);
	assert_int_equal(world->published, 1);
}

static void check_reply_signature(struct world *world, struct notify *notify, uint16_t error)
{
	knot_pkt_t *reply = knot_pkt_new(notify->reply, (uint16_t)notify->reply_length, NULL);

	assert_int_equal(knot_pkt_parse(reply, 0), 0);
	assert_non_null(reply->tsig_rr);
	assert_int_equal(knot_tsig_rdata_error(reply->tsig_rr), error);
	if (error == 0)
		assert_int_equal(knot_tsig_client_check(reply->tsig_rr, reply->wire, reply->size, notify->mac,
		                                        notify->mac_length, &world->key, 0),
		                 0);
	knot_pkt_free(reply);
}

static void test_notify_signed(void **state)
{
	struct world *world = *state;
	struct notify notify;
	knot_tsig_key_t other;

	use_key(world);
	world->zone.primary_count = 2; /* both have the address */
	world->config_primary[0].key = NULL;
	world->primary[0].key = NULL;
	start(world, true, 5);
	run_until(world, &world->confirmed, 1);
	make_notify(&notify, ZONE, 6, &world->key);
	assert_true(give(world, &notify, "127.0.0.1"));
	assert_int_equal(reply_rcode(&notify), 0);
	check_reply_signature(world, &notify, 0);
	/* The primary with this key sent it, so it is asked, and first. */
	run_until(world, &world->confirmed, 2);
	assert_int_equal(world->primary[1].soa_udp, 1);
	make_notify(&notify, ZONE, 6, &world->key);
	notify.wire[notify.length - 10] ^= 1;
	assert_false(give(world, &notify, "127.0.0.1"));
	assert_int_equal(reply_rcode(&notify), KNOT_RCODE_NOTAUTH);
	check_reply_signature(world, &notify, KNOT_RCODE_BADSIG);
	assert_int_equal(knot_tsig_key_init(&other, "hmac-sha256", "other.example.", "c2VjcmV0"), 0);
	make_notify(&notify, ZONE, 6, &other);
	assert_false(give(world, &notify, "127.0.0.1"));
	check_reply_signature(world, &notify, KNOT_RCODE_BADKEY);
	knot_tsig_key_deinit(&other);
	/* Unsigned from a primary with a key: it is only a hint. */
	make_notify(&notify, ZONE, 6, NULL);
	assert_true(give(world, &notify, "127.0.0.1"));
}

/* Others than primaries, by address, by key, by both; they make us ask the primaries in their order. */
static void test_notify_allowed(void **state)
{
	struct world *world = *state;
	struct notify notify;
	struct config_prefix net = {.length = 96 + 24}, host = {.length = 128};
	knot_tsig_key_t other;
	struct config_access allow[] = {{&net, 1, NULL}, {&host, 1, &other}, {NULL, 0, &world->key}};

	assert_int_equal(knot_tsig_key_init(&other, "hmac-sha256", "other.example.", "c2VjcmV0"), 0);
	memcpy(net.address, "\0\0\0\0\0\0\0\0\0\0\377\377\306\63\144\0", 16); /* 198.51.100.0/24 */
	memcpy(host.address, "\0\0\0\0\0\0\0\0\0\0\377\377\177\0\0\1", 16);   /* 127.0.0.1 */
	world->zone.allow_notify = allow;
	world->zone.allow_notify_count = 3;
	start(world, true, 5);
	run_until(world, &world->confirmed, 1);
	make_notify(&notify, ZONE, 6, NULL);
	assert_true(give(world, &notify, "198.51.100.77"));
	run_until(world, &world->confirmed, 2);
	assert_false(give(world, &notify, "198.51.101.77"));
	assert_int_equal(reply_rcode(&notify), KNOT_RCODE_REFUSED);
	/* With a key, from anywhere. */
	make_notify(&notify, ZONE, 6, &world->key);
	assert_true(give(world, &notify, "2001:db8::1"));
	check_reply_signature(world, &notify, 0);
	run_until(world, &world->confirmed, 3);
	assert_true(give(world, &notify, "198.51.100.77"));
	check_reply_signature(world, &notify, 0);
	notify.wire[notify.length - 10] ^= 1;
	assert_false(give(world, &notify, "2001:db8::1"));
	check_reply_signature(world, &notify, KNOT_RCODE_BADSIG);
	/* The key of another entry, from its address alone; which is a primary's, that has no key itself. */
	make_notify(&notify, ZONE, 6, &other);
	assert_false(give(world, &notify, "198.51.101.77"));
	assert_int_equal(reply_rcode(&notify), KNOT_RCODE_REFUSED);
	run_until(world, &world->confirmed, 4);
	assert_true(give(world, &notify, "127.0.0.1"));
	run_until(world, &world->confirmed, 5);
	/* A primary is believed unsigned as ever. */
	make_notify(&notify, ZONE, 6, NULL);
	assert_true(give(world, &notify, "127.0.0.1"));
	run_until(world, &world->confirmed, 6);
	knot_tsig_key_deinit(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WORLD(test_notify),
	    WORLD(test_notify_refused),
	    WORLD(test_notify_signed),
	    WORLD(test_notify_allowed),
	};

	return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* NOTIFY out, to secondaries on loopback that answer, or do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/log.h"
#include "transfer_out/notify_out.h"
#include "tsig/tsig_server.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define ZONES 100
#define PATIENCE_MS 5000 /* what should happen happens within this time, however slow the machine */

/* ---- a secondary ---- */

struct fake {
	uv_udp_t socket;
	uv_loop_t *loop;
	struct sockaddr_storage address;
	const knot_tsig_key_t *key;
	unsigned messages, unanswered;
	bool mute, unsigned_answer;
	unsigned rcode;
	uint32_t serial; /* of the last message's SOA */
	uint8_t last[1024];
	size_t last_length;
	uint8_t room[4096];
};

static void fake_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	struct fake *fake = handle->data;

	*buffer = uv_buf_init((char *)fake->room, sizeof(fake->room));
}

static void answer(struct fake *fake, uint8_t *wire, size_t length, const struct sockaddr *to)
{
	struct tsig_server session = {0};
	uv_buf_t buffer;

	if (fake->key)
		assert_int_equal(tsig_server_check(&session, fake->key, wire, &length), 0);
	knot_wire_set_qr(wire);
	knot_wire_set_rcode(wire, (short)fake->rcode);
	if (!fake->unsigned_answer)
		assert_int_equal(tsig_server_sign(&session, wire, &length, sizeof(fake->room)), 0);
	tsig_server_clear(&session);
	buffer = uv_buf_init((char *)wire, (unsigned)length);
	assert_true(uv_udp_try_send(&fake->socket, &buffer, 1, to) > 0);
}

static void fake_message(uv_udp_t *socket, ssize_t count, const uv_buf_t *buffer, const struct sockaddr *from,
                         unsigned flags)
{
	struct fake *fake = socket->data;
	uint8_t *wire = fake->room;
	size_t soa;

	if (count <= 0)
		return;
	fake->messages++;
	assert_in_range(count, KNOT_WIRE_HEADER_SIZE, sizeof(fake->last));
	memcpy(fake->last, wire, (size_t)count);
	fake->last_length = (size_t)count;
	assert_int_equal(knot_wire_get_opcode(wire), KNOT_OPCODE_NOTIFY);
	assert_true(knot_wire_get_aa(wire));
	assert_false(knot_wire_get_qr(wire));
	if (knot_wire_get_ancount(wire)) {
		soa = KNOT_WIRE_HEADER_SIZE + knot_dname_size(wire + KNOT_WIRE_HEADER_SIZE) + 4;
		fake->serial = knot_wire_read_u32(wire + soa + 12 + 2);
	}
	if (fake->mute)
		fake->unanswered++;
	else
		answer(fake, wire, (size_t)count, from);
}

static void fake_open(struct fake *fake, uv_loop_t *loop)
{
	struct sockaddr_in *address = (struct sockaddr_in *)&fake->address;
	int length = sizeof(fake->address);

	memset(fake, 0, sizeof(*fake));
	address->sin_family = AF_INET;
	address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	uv_udp_init(loop, &fake->socket);
	fake->socket.data = fake;
	assert_int_equal(uv_udp_bind(&fake->socket, (struct sockaddr *)address, 0), 0);
	assert_int_equal(uv_udp_getsockname(&fake->socket, (struct sockaddr *)address, &length), 0);
	assert_int_equal(uv_udp_recv_start(&fake->socket, fake_room, fake_message), 0);
}

/* ---- the world ---- */

static struct world {
	uv_loop_t loop;
	struct notify_out *out;
	struct fake fakes[2];
	struct config_secondary secondaries[2];
	const struct config_secondary *named[2];
	struct config_zone config[ZONES];
	struct notify_zone *zones[ZONES];
	knot_tsig_key_t key;
} world;

static const uint8_t soa[22] = {0, 0, 0, 0, 0, 42};

static int setup(void **state)
{
	memset(&world, 0, sizeof(world));
	notify_limits = (struct notify_limits){.at_once = 4, .tries = 2, .wait = 150, .pause = 50, .log_pause = 60000};
	log_set_level(LOG_LEVEL_ERROR);
	uv_loop_init(&world.loop);
	assert_int_equal(knot_tsig_key_init(&world.key, "hmac-sha256", "Key.Example.", "c2VjcmV0"), 0);
	for (int i = 0; i < 2; i++) {
		fake_open(&world.fakes[i], &world.loop);
		world.secondaries[i] = (struct config_secondary){
		    .name = i ? "two" : "one", .addresses = &world.fakes[i].address, .address_count = 1};
		world.named[i] = &world.secondaries[i];
	}
	world.out = notify_out_new(&world.loop);
	for (int i = 0; i < ZONES; i++) {
		char name[32];

		snprintf(name, sizeof(name), "z%d.example.", i);
		world.config[i] = (struct config_zone){.name = "zone",
		                                       .apex = knot_dname_from_str_alloc(name),
		                                       .outgoing = {.notify = world.named, .notify_count = 2}};
	}
	return 0;
}

static int teardown(void **state)
{
	for (int i = 0; i < ZONES; i++) {
		notify_zone_free(world.zones[i]);
		knot_dname_free(world.config[i].apex, NULL);
	}
	notify_out_free(world.out);
	for (int i = 0; i < 2; i++)
		uv_close((uv_handle_t *)&world.fakes[i].socket, NULL);
	uv_run(&world.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&world.loop), 0);
	knot_tsig_key_deinit(&world.key);
	return 0;
}

static struct notify_status status_of(int zone, size_t index)
{
	struct notify_status status;

	notify_zone_status(world.zones[zone], index, &status);
	return status;
}

static void run_until(int zone, size_t index, enum notify_state wanted)
{
	uint64_t end = uv_hrtime() + PATIENCE_MS * 1000000ULL;

	while (status_of(zone, index).state != wanted && uv_hrtime() < end)
		uv_run(&world.loop, UV_RUN_NOWAIT);
	assert_string_equal(notify_state_text(status_of(zone, index).state), notify_state_text(wanted));
}

static void use(int zone)
{
	world.zones[zone] = notify_zone_new(world.out, &world.config[zone]);
	assert_non_null(world.zones[zone]);
}

/* ---- tests ---- */

static void test_answered(void **state)
{
	world.secondaries[1].key = world.fakes[1].key = &world.key;
	use(0);
	assert_int_equal(status_of(0, 0).state, NOTIFY_NONE);
	notify_zone_changed(world.zones[0], 42, soa, sizeof(soa));
	assert_int_equal(status_of(0, 0).state, NOTIFY_WAITING);
	for (size_t i = 0; i < 2; i++) {
		run_until(0, i, NOTIFY_ANSWERED);
		assert_int_equal(status_of(0, i).serial, 42);
		assert_int_equal(status_of(0, i).tries, 1);
		assert_string_equal(status_of(0, i).secondary, i ? "two" : "one");
		assert_int_equal(world.fakes[i].messages, 1);
		assert_int_equal(world.fakes[i].serial, 42);
	}
	/* Without the hint. */
	notify_zone_changed(world.zones[0], 43, NULL, 0);
	run_until(0, 0, NOTIFY_ANSWERED);
	assert_int_equal(knot_wire_get_ancount(world.fakes[0].last), 0);
	assert_int_equal(status_of(0, 0).serial, 43);
}

/* Once more when nothing came, then no more; and the other secondary is told in time all the same. */
static void test_silent(void **state)
{
	world.fakes[0].mute = true;
	use(0);
	notify_zone_changed(world.zones[0], 1, soa, sizeof(soa));
	run_until(0, 1, NOTIFY_ANSWERED);
	run_until(0, 0, NOTIFY_SILENT);
	assert_int_equal(world.fakes[0].messages, 2);
	assert_int_equal(world.fakes[1].messages, 1);
	/* It comes back. */
	world.fakes[0].mute = false;
	notify_zone_changed(world.zones[0], 2, soa, sizeof(soa));
	run_until(0, 0, NOTIFY_ANSWERED);
}

static void test_refused(void **state)
{
	world.fakes[0].rcode = KNOT_RCODE_REFUSED;
	world.fakes[1].rcode = KNOT_RCODE_NOTAUTH;
	world.fakes[1].unsigned_answer = true;
	world.secondaries[1].key = world.fakes[1].key = &world.key;
	use(0);
	notify_zone_changed(world.zones[0], 1, soa, sizeof(soa));
	run_until(0, 0, NOTIFY_REFUSED);
	run_until(0, 1, NOTIFY_REFUSED);
	assert_int_equal(status_of(0, 0).rcode, KNOT_RCODE_REFUSED);
	assert_int_equal(status_of(0, 1).rcode, KNOT_RCODE_NOTAUTH);
	assert_int_equal(world.fakes[0].messages, 1);
}

/* An answer that says yes but is not signed is none. */
static void test_forged(void **state)
{
	world.secondaries[0].key = world.fakes[0].key = &world.key;
	world.fakes[0].unsigned_answer = true;
	use(0);
	notify_zone_changed(world.zones[0], 1, soa, sizeof(soa));
	run_until(0, 0, NOTIFY_SILENT);
	assert_int_equal(world.fakes[0].messages, 2);
	world.fakes[0].unsigned_answer = false;
	notify_zone_changed(world.zones[0], 2, soa, sizeof(soa));
	run_until(0, 0, NOTIFY_ANSWERED);
}

/* Changes while a message is under way become one more message. */
static void test_coalesced(void **state)
{
	world.fakes[0].mute = true;
	use(0);
	for (unsigned i = 1; i <= 5; i++)
		notify_zone_changed(world.zones[0], i, soa, sizeof(soa));
	while (world.fakes[0].messages == 0)
		uv_run(&world.loop, UV_RUN_NOWAIT);
	world.fakes[0].mute = false;
	run_until(0, 0, NOTIFY_ANSWERED);
	assert_int_equal(status_of(0, 0).serial, 5);
	assert_in_range(world.fakes[0].messages, 2, 3); /* the first may have been tried twice */
}

/* Who missed the last version is told of the next one soon, however long the wait has become. */
static void test_changed_while_silent(void **state)
{
	notify_limits.wait = 60000;
	world.fakes[0].mute = true;
	use(0);
	notify_zone_changed(world.zones[0], 1, soa, sizeof(soa));
	while (world.fakes[0].messages == 0)
		uv_run(&world.loop, UV_RUN_NOWAIT);
	world.fakes[0].mute = false;
	notify_zone_changed(world.zones[0], 2, soa, sizeof(soa));
	run_until(0, 0, NOTIFY_ANSWERED);
	assert_int_equal(status_of(0, 0).serial, 2);
	assert_int_equal(world.fakes[0].messages, 2);
}

static void test_flood(void **state)
{
	world.fakes[0].mute = true;
	for (int i = 0; i < ZONES; i++)
		use(i);
	for (int i = 0; i < ZONES; i++)
		notify_zone_changed(world.zones[i], 1, soa, sizeof(soa));
	/* All are told to the one that answers, as fast as it does; of the other's, four wait and none follows. */
	for (int i = 0; i < ZONES; i++)
		run_until(i, 1, NOTIFY_ANSWERED);
	assert_int_equal(world.fakes[1].messages, ZONES);
	assert_in_range(world.fakes[0].messages, 4, ZONES / 2);
	world.fakes[0].mute = false;
	for (int i = 0; i < ZONES; i++) {
		if (status_of(i, 0).state != NOTIFY_SILENT)
			run_until(i, 0, NOTIFY_ANSWERED);
	}
}

static void test_unsent(void **state)
{
	struct sockaddr_in *source = (struct sockaddr_in *)&world.secondaries[0].source[0];

	source->sin_family = AF_INET;
	inet_pton(AF_INET, "192.0.2.1", &source->sin_addr);
	use(0);
	notify_zone_changed(world.zones[0], 1, soa, sizeof(soa));
	run_until(0, 0, NOTIFY_UNSENT);
	run_until(0, 1, NOTIFY_ANSWERED);
	notify_zone_changed(world.zones[0], 2, soa, sizeof(soa));
	run_until(0, 0, NOTIFY_UNSENT);
	assert_int_equal(status_of(0, 0).serial, 2);
}

/* Who stays is still told; who is new is told of the next version. */
static void test_reconfigured(void **state)
{
	world.fakes[0].mute = true;
	world.config[0].outgoing.notify_count = 1;
	use(0);
	notify_zone_changed(world.zones[0], 1, soa, sizeof(soa));
	while (world.fakes[0].messages == 0)
		uv_run(&world.loop, UV_RUN_NOWAIT);
	world.fakes[0].mute = false;
	world.config[0].outgoing.notify_count = 2;
	assert_int_equal(notify_zone_reconfigure(world.zones[0], &world.config[0]), 0);
	assert_int_equal(notify_zone_count(world.zones[0]), 2);
	run_until(0, 0, NOTIFY_ANSWERED);
	assert_int_equal(status_of(0, 1).state, NOTIFY_NONE);
	notify_zone_changed(world.zones[0], 2, soa, sizeof(soa));
	run_until(0, 1, NOTIFY_ANSWERED);
	world.config[0].outgoing.notify_count = 0;
	assert_int_equal(notify_zone_reconfigure(world.zones[0], &world.config[0]), 0);
	assert_int_equal(notify_zone_count(world.zones[0]), 0);
	notify_zone_changed(world.zones[0], 3, soa, sizeof(soa));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_answered), TEST(test_silent),    TEST(test_refused),
	    TEST(test_forged),   TEST(test_coalesced), TEST(test_changed_while_silent),
	    TEST(test_flood),    TEST(test_unsent),    TEST(test_reconfigured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

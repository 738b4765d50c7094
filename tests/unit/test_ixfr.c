/* SPDX-License-Identifier: GPL-3.0-or-later */
/* IXFR: what a primary may answer it with, and when all of the zone is asked for instead. */
#include "transfer_world.h"

static struct follower_status status_of(struct world *world)
{
	struct follower_status status;

	follower_get_status(world->follower, &status);
	return status;
}

/* From serial 3 to 5, in one difference or two, signed or not. */
static void test_differences(void **state)
{
	struct world *world = *state;

	for (unsigned i = 0; i < 4; i++) {
		struct follower_status status;

		if (i == 2)
			use_key(world);
		world->primary[0].differences = 1 + i % 2;
		start(world, true, 3);
		refresh(world, FOLLOWER_IF_NEWER);
		assert_int_equal(world->failed, 0);
		assert_int_equal(world->changed, i + 1);
		assert_int_equal(world->from, 3);
		status = status_of(world);
		assert_int_equal(status.served_serial, 5);
		assert_int_equal(status.last_kind, FOLLOWER_IXFR);
		assert_int_equal(status.last_records, 1 + 4 * (1 + i % 2));
		assert_string_equal(status.last_error, "");
		stop(world);
	}
	assert_int_equal(world->published, 0);
	assert_int_equal(world->primary[0].axfrs, 0);
	assert_logged("serial 5 transferred and served, 5 records, ");
	assert_logged(" ms, by IXFR\n");
}

/* Sixty differences, their messages signed now and then, over the end of the numbers. */
static void test_many(void **state)
{
	struct world *world = *state;

	use_key(world);
	world->primary[0].differences = 60;
	world->primary[0].serial = 600;
	start(world, true, 0);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->changed, 1);
	assert_int_equal(status_of(world).served_serial, 600);
}

/* All of the zone instead. */
static void test_full_answer(void **state)
{
	struct world *world = *state;

	start(world, true, 3);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->published, 1);
	assert_int_equal(world->serial, 5);
	assert_int_equal(world->primary[0].ixfrs, 1);
	assert_int_equal(world->primary[0].axfrs, 0);
	assert_int_equal(status_of(world).last_kind, FOLLOWER_IXFR_FULL);
	/* Asked to have all of it transferred, nothing else is asked for. */
	refresh(world, FOLLOWER_FULL);
	assert_int_equal(world->primary[0].ixfrs, 1);
	assert_int_equal(world->primary[0].axfrs, 1);
	assert_int_equal(status_of(world).last_kind, FOLLOWER_AXFR);
}

struct failure {
	enum fault fault;
	bool key;
	const char *text;
};

static const struct failure failures[] = {
    {REFUSES_IXFR, false, "IXFR refused: NOTIMPL; AXFR instead; serving serial 3 on"},
    {CLOSES_IXFR, false, "IXFR failed: the primary closed the connection before the end"},
    {OTHER_START, false, "IXFR failed: a difference starts from serial 4, where 3 was to come"},
    {NOT_LATER, false, "IXFR failed: a difference that does not lead to a later serial"},
    {OTHER_SERIAL, false, "IXFR failed: behind a difference came serial 3, where 4 was to come"},
    {BEYOND, false, "IXFR failed: a difference that leads beyond the newest serial"},
    {TWO_NEWEST, false, "IXFR failed: two different SOAs of the newest serial"},
    {TRAILING_DIFFERENCE, false, "IXFR failed: a record after the closing SOA"},
    {CLOSES_MID_MESSAGE, false, "IXFR failed: the primary closed the connection in the middle of a message"},
    {STALLS, false, "IXFR failed: stalled: nothing came for 120 ms"},
    {WRONG_MAC_SECOND, true, "IXFR failed: the reply's signature is wrong (BADSIG)"},
    {UNSIGNED_END, true, "IXFR failed: the last message is not signed"},
    {OUT_OF_ZONE, false, "IXFR failed: a record outside the zone: www.elsewhere.test. A"},
    {OTHER_CLASS, false, "IXFR failed: a record of a class other than IN"},
    {META_TYPE, false, "IXFR failed: a record of a type that no zone has"},
    {NO_RECORDS, false, "IXFR failed: a message without records"},
    {IN_AUTHORITY, false, "IXFR failed: records in the authority section"},
    {GARBAGE, false, "IXFR failed: malformed reply"},
};

/* Whatever is wrong, AXFR is tried at once. What is wrong with it too, is its own. */
static void test_failures(void **state)
{
	struct world *world = *state;

	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		log_text[0] = '\0';
		world->primary[0].fault = failures[i].fault;
		world->primary[0].key = world->config_primary[0].key = failures[i].key ? &world->key : NULL;
		world->primary[0].differences = 2;
		world->primary[0].axfrs = world->primary[0].ixfrs = 0;
		start(world, true, 3);
		refresh(world, FOLLOWER_IF_NEWER);
		assert_logged(failures[i].text);
		assert_logged("; AXFR instead; serving serial 3 on");
		/* On a connection that was used before, the close may have been for that: it is asked once more. */
		assert_int_equal(world->primary[0].ixfrs, failures[i].fault == CLOSES_IXFR ? 2 : 1);
		assert_int_equal(world->primary[0].axfrs, 1);
		stop(world);
	}
	assert_int_equal(world->changed, 0);
}

/* What does not fit the version that is served. */
static void test_misfit(void **state)
{
	struct world *world = *state;

	world->primary[0].differences = 1;
	world->misfit = "a record is to be removed that is not there: x. A";
	start(world, true, 4);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_logged("IXFR failed: the changes do not fit: a record is to be removed that is not there: x. A; AXFR "
	              "instead; serving serial 4 on");
	assert_int_equal(world->failed, 0);
	assert_int_equal(world->changed, 1);
	assert_int_equal(world->published, 1);
	assert_int_equal(status_of(world).last_kind, FOLLOWER_AXFR);
	assert_string_equal(status_of(world).last_error, "");
	/* It is asked for differences again. */
	world->misfit = NULL;
	world->primary[0].serial = 6;
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->changed, 2);
	/* ... unless they do not fit a second time. */
	world->misfit = "nor do these";
	world->primary[0].serial = 7;
	refresh(world, FOLLOWER_IF_NEWER);
	world->primary[0].serial = 8;
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->changed, 3);
	assert_int_equal(world->published, 3);
}

/* Refused for another reason: nothing else is tried. */
static void test_not_taken(void **state)
{
	struct world *world = *state;

	world->primary[0].differences = 1;
	start(world, true, 4);
	world->refuse = "the image is full";
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->failed, 1);
	assert_int_equal(world->primary[0].axfrs, 0);
	assert_int_equal(status_of(world).served_serial, 4);
}

/* A primary that does not do IXFR is not asked again for some time. */
static void test_remembered(void **state)
{
	struct world *world = *state;

	world->primary[0].fault = REFUSES_IXFR;
	transfer_limits.ixfr_pause = 300;
	start(world, true, 3);
	refresh(world, FOLLOWER_IF_NEWER);
	world->primary[0].serial = 6;
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->primary[0].ixfrs, 1);
	assert_int_equal(world->primary[0].axfrs, 2);
	run_for(world, 310);
	world->primary[0].serial = 7;
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->primary[0].ixfrs, 2);
	assert_int_equal(world->published, 3);
}

/* The primary asked has nothing newer after all. */
static void test_current(void **state)
{
	struct world *world = *state;
	struct tsig_session tsig = {0};
	struct transfer_in in;
	uint32_t have = 5;
	uint8_t wire[512], soa[64];
	size_t length;

	for (uint32_t serial = 4; serial < 7; serial++) {
		assert_int_equal(transfer_in_init(&in, world->zone.apex, 7, &have, &tsig), 0);
		length = fake_header(wire, 7, 0x8400, ZONE, KNOT_RRTYPE_IXFR, 1);
		length = fake_record(wire, length, 6, ZONE, KNOT_RRTYPE_SOA, 1, soa, fake_soa(soa, serial, 1, 1, 1));
		assert_int_equal(transfer_in_message(&in, wire, length), serial > 5 ? TRANSFER_MORE : TRANSFER_DONE);
		assert_int_equal(in.shape, serial > 5 ? SHAPE_UNKNOWN : SHAPE_CURRENT);
		transfer_in_clear(&in);
	}
}

static void test_limits(void **state)
{
	struct world *world = *state;

	world->primary[0].differences = 20;
	world->primary[0].serial = 200;
	transfer_limits.max_records = 50;
	start(world, true, 100);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_logged("IXFR failed: more than 50 records");
	stop(world);
	transfer_limits = quick;
	transfer_limits.max_octets = 2000;
	start(world, true, 100);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_logged("IXFR failed: more than 2000 octets");
	assert_int_equal(world->published, 2);
}

/* Other primaries while changes that do not fit are being published. */
static void free_primaries(void *context, struct zone_changes *changes, uint32_t expire,
                           void (*done)(void *, bool, const char *), void *done_context)
{
	struct world *world = context;
	static struct config_zone none;

	zone_changes_free(changes);
	none = world->zone;
	none.primary_count = 0;
	none.primaries = NULL;
	follower_reconfigure(world->follower, &none);
	done(done_context, false, "they do not");
}

static void test_reconfigured(void **state)
{
	struct world *world = *state;

	world->primary[0].differences = 1;
	start(world, true, 4);
	world->follower->hooks.change = free_primaries;
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->failed, 1);
	assert_string_equal(world->error, "no primary is configured");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WORLD(test_differences), WORLD(test_many),         WORLD(test_full_answer), WORLD(test_failures),
	    WORLD(test_misfit),      WORLD(test_not_taken),    WORLD(test_current),     WORLD(test_remembered),
	    WORLD(test_limits),      WORLD(test_reconfigured),
	};

	return cmocka_run_group_tests_name("ixfr", tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is told of each address, what is made of a version that is refused, and for how long another serial is served.
 */
#include "transfer_world.h"

static const struct history_entry *entry(struct world *world, size_t primary)
{
	const struct history_entry *found = history_find(follower_history(world->follower), primary, 0);

	assert_non_null(found);
	return found;
}

/* ---- each address ---- */

static void test_entries(void **state)
{
	struct world *world = *state;
	const struct history_entry *first, *second, *transferred;

	world->zone.primary_count = 2;
	world->primary[0].fault = REFUSES;
	start(world, false, 0);
	assert_null(history_find(follower_history(world->follower), 0, 0));
	refresh(world, FOLLOWER_IF_NEWER);
	first = entry(world, 0);
	second = entry(world, 1);
	assert_int_equal(first->result, HISTORY_FAILED);
	assert_int_equal(first->phase, HISTORY_TRANSFER);
	assert_true(first->has_rcode);
	assert_int_equal(first->rcode, KNOT_RCODE_REFUSED);
	assert_non_null(strstr(first->error, "REFUSED"));
	assert_int_equal(first->good_at, 0);
	assert_int_equal(second->result, HISTORY_OK);
	assert_int_equal(second->kind, HISTORY_AXFR);
	assert_int_equal(second->transport, HISTORY_TCP);
	assert_null(second->error);
	assert_true(second->has_serial);
	assert_int_equal(second->serial, 5);
	assert_true(second->octets > 0 && second->messages > 0 && second->records > 0);
	assert_true(second->ms[HISTORY_CONNECT] != HISTORY_NEVER && second->first_ms != HISTORY_NEVER &&
	            second->ms[HISTORY_TRANSFER] != HISTORY_NEVER && second->ms[HISTORY_BUILD] != HISTORY_NEVER &&
	            second->ms[HISTORY_PUBLISH] != HISTORY_NEVER);
	assert_true(second->ms[HISTORY_VERIFY] == HISTORY_NEVER);
	/* It is asked for its serial only: the last transfer is told apart. */
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(entry(world, 1)->kind, HISTORY_ASK_SOA);
	assert_int_equal(entry(world, 1)->transport, HISTORY_UDP);
	transferred = follower_history(world->follower)->transferred;
	assert_non_null(transferred);
	assert_int_equal(transferred->primary, 1);
	assert_int_equal(transferred->kind, HISTORY_AXFR);
	/* What failed once is good again. */
	world->primary[0].fault = NO_FAULT;
	world->primary[1].fault = CLOSES_AT_ONCE;
	refresh(world, FOLLOWER_FULL);
	assert_int_equal(entry(world, 0)->result, HISTORY_OK);
	assert_null(entry(world, 0)->error);
	assert_int_equal(entry(world, 1)->result, HISTORY_FAILED);
	assert_true(entry(world, 1)->good_at > 0);
}

static void test_tsig_errors(void **state)
{
	struct world *world = *state;
	static const struct {
		enum fault fault;
		uint16_t error, rcode;
	} cases[] = {{NOTAUTH_BADKEY, KNOT_RCODE_BADKEY, KNOT_RCODE_NOTAUTH},
	             {NOTAUTH_BADTIME, KNOT_RCODE_BADTIME, KNOT_RCODE_NOTAUTH},
	             {OTHER_KEY, KNOT_RCODE_BADKEY, KNOT_RCODE_NOERROR},
	             {TIME_OFF, KNOT_RCODE_BADTIME, KNOT_RCODE_NOERROR},
	             {WRONG_MAC_SECOND, KNOT_RCODE_BADSIG, KNOT_RCODE_NOERROR}};

	use_key(world);
	start(world, false, 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		world->primary[0].fault = cases[i].fault;
		refresh(world, FOLLOWER_FULL);
		assert_int_equal(entry(world, 0)->tsig_error, cases[i].error);
		assert_int_equal(entry(world, 0)->rcode, cases[i].rcode);
		assert_non_null(strstr(entry(world, 0)->error, history_tsig_text(cases[i].error)));
	}
	world->primary[0].fault = NO_FAULT;
	refresh(world, FOLLOWER_FULL);
	assert_int_equal(entry(world, 0)->tsig_error, 0);
}

static void test_phases(void **state)
{
	struct world *world = *state;
	struct sockaddr_storage nobody = {0};

	world->primary[0].fault = CLOSES_BEFORE_END;
	start(world, true, 4);
	refresh(world, FOLLOWER_FULL);
	assert_int_equal(entry(world, 0)->phase, HISTORY_TRANSFER);
	assert_true(entry(world, 0)->messages > 0);
	stop(world);
	uv_ip4_addr("127.0.0.1", 1, (struct sockaddr_in *)&nobody);
	world->config_primary[0].addresses = &nobody;
	start(world, true, 4);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(entry(world, 0)->phase, HISTORY_CONNECT);
	assert_int_equal(entry(world, 0)->kind, HISTORY_ASK_SOA);
	assert_int_equal(entry(world, 0)->messages, 0);
	assert_false(entry(world, 0)->has_rcode);
}

/* ---- refused by verification ---- */

/* The hook's verdict on the version that it holds. */
static void verdict(struct world *world, const char *refused)
{
	follower_verifying(world->follower);
	follower_verified(world->follower, refused, refused != NULL ? "/kept" : NULL);
	world->held(world->held_context, refused);
}

static void test_refused(void **state)
{
	struct world *world = *state;
	const struct history *history;
	struct follower_status status;

	world->hold = true;
	start(world, true, 4);
	follower_refresh(world->follower, FOLLOWER_IF_NEWER, on_refreshed, world);
	run_until(world, &world->published, 1);
	assert_false(follower_unverified(world->follower));
	verdict(world, "too small");
	run_until(world, &world->done, 1);
	assert_int_equal(world->failed, 1);
	assert_logged("<4>zone zone.example: primary campus (127.0.0.1@");
	assert_logged("serial 5 was transferred but not taken: too small; serving serial 4 on");
	history = follower_history(world->follower);
	assert_non_null(history->refusal);
	assert_int_equal(history->refusal->serial, 5);
	assert_string_equal(history->refusal->reason, "too small");
	assert_string_equal(history->refusal->kept, "/kept");
	assert_int_equal(entry(world, 0)->phase, HISTORY_VERIFY);
	follower_get_status(world->follower, &status);
	assert_true(status.failing);
	/* Not again, ... */
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->published, 1);
	assert_non_null(strstr(world->error, "serial 5 is refused: too small"));
	/* ... but by force, ... */
	follower_refresh(world->follower, FOLLOWER_IF_NEWER | FOLLOWER_UNVERIFIED, on_refreshed, world);
	run_until(world, &world->published, 2);
	assert_true(follower_unverified(world->follower));
	verdict(world, "too small");
	run_until(world, &world->done, 3);
	/* ... or when the serial moves. */
	world->primary[0].serial = 6;
	follower_refresh(world->follower, FOLLOWER_IF_NEWER, on_refreshed, world);
	run_until(world, &world->published, 3);
	assert_false(follower_unverified(world->follower));
	verdict(world, NULL);
	assert_null(follower_history(world->follower)->refusal);
	follower_get_status(world->follower, &status);
	assert_false(status.failing);
	assert_int_equal(status.served_serial, 6);
}

/* After a pause a serial that was refused is looked at again: the command may have been wrong. */
static void test_refused_pause(void **state)
{
	struct world *world = *state;

	transfer_limits.refusal_pause = 100;
	world->hold = true;
	start(world, true, 4);
	follower_refresh(world->follower, FOLLOWER_IF_NEWER, on_refreshed, world);
	run_until(world, &world->published, 1);
	verdict(world, "too small");
	run_until(world, &world->done, 1);
	run_for(world, 120);
	follower_refresh(world->follower, FOLLOWER_IF_NEWER, on_refreshed, world);
	run_until(world, &world->published, 2);
	verdict(world, NULL);
	assert_int_equal(world->failed, 1);
}

/* The other primary may have the same serial whole. A first version is no different. */
static void test_refused_other(void **state)
{
	struct world *world = *state;
	struct follower_status status;

	world->zone.primary_count = 2;
	world->hold = true;
	start(world, false, 0);
	follower_refresh(world->follower, FOLLOWER_IF_NEWER, on_refreshed, world);
	run_until(world, &world->published, 1);
	verdict(world, "cut off");
	run_until(world, &world->published, 2);
	verdict(world, NULL);
	assert_int_equal(world->done, 1);
	assert_int_equal(world->failed, 0);
	follower_get_status(world->follower, &status);
	assert_non_null(strstr(status.primary, "backup"));
	assert_int_equal(world->primary[0].axfrs, 1);
	assert_int_equal(world->primary[1].axfrs, 1);
	/* Both have it wrong: neither is asked for it twice. */
	stop(world);
	start(world, false, 0);
	follower_refresh(world->follower, FOLLOWER_IF_NEWER, on_refreshed, world);
	for (unsigned i = 3; i <= 4; i++) {
		run_until(world, &world->published, i);
		verdict(world, "cut off");
	}
	run_until(world, &world->done, 2);
	assert_int_equal(follower_history(world->follower)->refusal->primary, 1);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->failed, 2);
	assert_int_equal(world->published, 4);
}

/* Verdicts that come late mean nothing. */
static void test_late_verdict(void **state)
{
	struct world *world = *state;

	start(world, true, 5);
	refresh(world, FOLLOWER_IF_NEWER);
	follower_verified(world->follower, "too late", NULL);
	assert_null(follower_history(world->follower)->refusal);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->failed, 0);
	stop(world);
	/* A primary that goes back to what is served is refused nothing any more. */
	world->hold = true;
	start(world, true, 4);
	follower_refresh(world->follower, FOLLOWER_IF_NEWER, on_refreshed, world);
	run_until(world, &world->published, 1);
	verdict(world, "too small");
	assert_non_null(follower_history(world->follower)->refusal);
	world->primary[0].serial = 4;
	refresh(world, FOLLOWER_IF_NEWER);
	assert_null(follower_history(world->follower)->refusal);
}

/* ---- another serial ---- */

static uint64_t behind(struct world *world)
{
	struct follower_status status;

	follower_get_status(world->follower, &status);
	return status.behind_ms;
}

static void test_behind(void **state)
{
	struct world *world = *state;

	world->hold = true;
	start(world, true, 4);
	follower_refresh(world->follower, FOLLOWER_IF_NEWER, on_refreshed, world);
	run_until(world, &world->published, 1);
	assert_int_equal(behind(world), 0);
	run_for(world, 250);
	assert_true(behind(world) >= 200);
	world->held(world->held_context, NULL);
	assert_int_equal(behind(world), 0);
	/* An older one is another one too. */
	world->hold = false;
	world->primary[0].serial = 3;
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(entry(world, 0)->result, HISTORY_OLDER);
	assert_int_equal(behind(world), 0);
	run_for(world, 250);
	assert_true(behind(world) >= 200);
	world->primary[0].serial = 5;
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(behind(world), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WORLD(test_entries),       WORLD(test_tsig_errors),   WORLD(test_phases),       WORLD(test_refused),
	    WORLD(test_refused_pause), WORLD(test_refused_other), WORLD(test_late_verdict), WORLD(test_behind),
	};

	return cmocka_run_group_tests_name("history", tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Following primaries: their order, the clocks, those who wait, the end at any time, another configuration. */
#include "transfer_world.h"

/* ---- primaries in order ---- */

static void test_order(void **state)
{
	struct world *world = *state;
	struct follower_status status;

	world->zone.primary_count = 2;
	world->primary[0].fault = REFUSES;
	start(world, false, 0);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->failed, 0);
	assert_int_equal(world->published, 1);
	follower_get_status(world->follower, &status);
	assert_non_null(strstr(status.primary, "backup (127.0.0.1@"));
	assert_string_equal(status.last_error, "");
	/* The one that failed comes last now. */
	refresh(world, FOLLOWER_FULL);
	assert_int_equal(world->primary[0].axfrs, 1);
	assert_int_equal(world->primary[1].axfrs, 2);
	/* ... and is tried again when the other fails. */
	world->primary[0].fault = NO_FAULT;
	world->primary[1].fault = REFUSES;
	refresh(world, FOLLOWER_FULL);
	assert_int_equal(world->primary[0].axfrs, 2);
	world->primary[0].fault = REFUSES;
	refresh(world, FOLLOWER_FULL);
	assert_int_equal(world->failed, 1);
	assert_non_null(strstr(world->error, "every primary failed, the last: primary backup"));
}

/* Of a primary's addresses, the one that was good is first next time. */
static void test_addresses(void **state)
{
	struct world *world = *state;
	struct sockaddr_storage addresses[2] = {world->primary[0].address, world->primary[1].address};

	world->config_primary[0].addresses = addresses;
	world->config_primary[0].address_count = 2;
	world->primary[0].fault = REFUSES;
	start(world, false, 0);
	refresh(world, FOLLOWER_FULL);
	refresh(world, FOLLOWER_FULL);
	assert_int_equal(world->failed, 0);
	assert_int_equal(world->primary[0].axfrs, 1);
	assert_int_equal(world->primary[1].axfrs, 2);
}

static void test_not_listening(void **state)
{
	struct world *world = *state;
	struct sockaddr_storage nobody = {0};

	uv_ip4_addr("127.0.0.1", 1, (struct sockaddr_in *)&nobody);
	world->config_primary[0].addresses = &nobody;
	start(world, true, 5);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_logged("(127.0.0.1@1): SOA query failed: nothing good over UDP, and over TCP: connecting: connection "
	              "refused; serving serial 5 on");
	/* Of a family that the system has not got: an error at once. */
	stop(world);
	nobody.ss_family = AF_INET6;
	start(world, false, 0);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->failed, 2);
}

/* ---- clocks ---- */

static void test_backoff(void **state)
{
	struct world *world = *state;

	world->primary[0].fault = REFUSES;
	start(world, false, 0);
	run_until(world, &world->primary[0].axfrs, 4); /* at 0, 20, 60, 140 ms and up to a tenth less */
	world->primary[0].fault = NO_FAULT;
	run_until(world, &world->published, 1);
	assert_int_equal(world->primary[0].axfrs, 5);
	/* One line at warning level; the repeats are for the curious. */
	assert_int_equal(log_count[LOG_LEVEL_WARNING], 1);
	assert_int_equal(log_count[LOG_LEVEL_DEBUG], 3);
}

static void test_clocks(void **state)
{
	struct world *world = *state;
	struct follower_status status;

	transfer_limits.refresh_min = transfer_limits.retry_min = 50;
	world->primary[0].refresh = 0;
	world->primary[0].retry = 0;
	start(world, false, 0);
	run_until(world, &world->published, 1);
	run_until(world, &world->confirmed, 2); /* by refresh */
	world->primary[0].fault = REFUSES;
	run_until(world, &log_count[LOG_LEVEL_WARNING], 1);
	run_until(world, &log_count[LOG_LEVEL_DEBUG], 2); /* by retry */
	world->primary[0].fault = NO_FAULT;
	world->primary[0].serial = 6;
	run_until(world, &world->published, 2);
	/* A refresh beyond the expiry comes before it. */
	transfer_limits = quick;
	stop(world);
	world->primary[0].refresh = 80000;
	world->primary[0].expire = 1000;
	start(world, false, 0);
	refresh(world, FOLLOWER_IF_NEWER);
	follower_get_status(world->follower, &status);
	assert_in_range(status.next_refresh - time(NULL), 800, 901);
}

static void test_publish_refused(void **state)
{
	struct world *world = *state;
	struct follower_status status;

	world->refuse = "the image is full";
	start(world, true, 4);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_logged(
	    "<4>zone zone.example: serial 5 was transferred but not taken: the image is full; serving serial 4 on");
	assert_int_equal(world->failed, 1);
	follower_get_status(world->follower, &status);
	assert_true(status.failing);
	assert_int_equal(status.served_serial, 4);
}

/* ---- waiters ---- */

static void test_waiters(void **state)
{
	struct world *world = *state;

	world->hold = true;
	start(world, false, 0);
	follower_refresh(world->follower, FOLLOWER_IF_NEWER, on_refreshed, world);
	follower_refresh(world->follower, FOLLOWER_IF_NEWER, on_refreshed, world);
	run_until(world, &world->published, 1);
	/* Too late for this attempt. */
	follower_refresh(world->follower, FOLLOWER_IF_NEWER, on_refreshed, world);
	world->primary[0].serial = 6;
	run_for(world, 30);
	assert_int_equal(world->done, 0);
	world->held(world->held_context, NULL);
	assert_int_equal(world->done, 2);
	run_until(world, &world->published, 2);
	assert_int_equal(world->serial, 6);
	world->held(world->held_context, NULL);
	assert_int_equal(world->done, 3);
	assert_int_equal(world->failed, 0);
}

static void free_from_within(void *context, const char *error)
{
	struct world *world = context;

	stop(world);
	on_refreshed(world, error);
}

static void test_free_from_within(void **state)
{
	struct world *world = *state;

	start(world, false, 0);
	follower_refresh(world->follower, FOLLOWER_IF_NEWER, free_from_within, world);
	follower_refresh(world->follower, FOLLOWER_IF_NEWER, on_refreshed, world);
	run_until(world, &world->done, 2);
	assert_int_equal(world->failed, 0);
}

/* Freed after so many turns of the loop: in every state. */
static void test_free_anywhere(void **state)
{
	struct world *world = *state;
	bool seen[FOLLOWER_PUBLISH + 1] = {false};

	use_key(world);
	world->hold = true;
	for (unsigned turns = 0; turns < 60; turns++) {
		world->held = NULL;
		start(world, turns % 2 == 1, 4);
		follower_refresh(world->follower, FOLLOWER_IF_NEWER, on_refreshed, world);
		for (unsigned i = 0; i < turns; i++) {
			uv_run(&world->loop, UV_RUN_NOWAIT);
			if (i >= 20)
				usleep(300);
		}
		seen[follower_state(world->follower)] = true;
		stop(world);
		assert_int_equal(world->failed, turns + 1);
		assert_string_equal(world->error, "the zone is no longer followed");
		run_for(world, 3);
		if (world->held != NULL)
			world->held(world->held_context, NULL);
	}
	assert_true(seen[FOLLOWER_IDLE] && seen[FOLLOWER_SOA] && seen[FOLLOWER_TRANSFER] && seen[FOLLOWER_PUBLISH]);
}

/* ---- configuration ---- */

static void test_reconfigure(void **state)
{
	struct world *world = *state;
	struct config_zone other = world->zone;
	const struct config_primary *primaries[] = {&world->config_primary[1]};
	struct config_zone same = world->zone;

	world->primary[0].fault = STALLS;
	start(world, false, 0);
	follower_refresh(world->follower, FOLLOWER_IF_NEWER, on_refreshed, world);
	run_until(world, &world->primary[0].axfrs, 1);
	/* The same primaries: the attempt goes on. */
	follower_reconfigure(world->follower, &same);
	run_for(world, 30);
	assert_int_equal(world->primary[0].axfrs, 1);
	other.primaries = primaries;
	follower_reconfigure(world->follower, &other);
	run_until(world, &world->done, 1);
	assert_int_equal(world->failed, 0);
	assert_int_equal(world->primary[1].axfrs, 1);
	/* From one primary to none, while publishing. */
	world->hold = true;
	world->primary[1].serial = 6;
	follower_refresh(world->follower, FOLLOWER_FULL, on_refreshed, world);
	run_until(world, &world->published, 2);
	same.primary_count = 0;
	same.primaries = NULL;
	follower_reconfigure(world->follower, &same);
	world->held(world->held_context, NULL);
	assert_int_equal(world->done, 2);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_string_equal(world->error, "no primary is configured");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WORLD(test_order),       WORLD(test_addresses),        WORLD(test_not_listening),
	    WORLD(test_backoff),     WORLD(test_clocks),           WORLD(test_publish_refused),
	    WORLD(test_waiters),     WORLD(test_free_from_within), WORLD(test_free_anywhere),
	    WORLD(test_reconfigure),
	};

	return cmocka_run_group_tests_name("follower", tests, NULL, NULL);
}

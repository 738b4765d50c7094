/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The clocks: their bounds, EDNS EXPIRE, what an expired zone takes, a machine that slept, a start with clocks kept. */
#include "transfer_world.h"

static struct follower_status status_of(struct world *world)
{
	struct follower_status status;

	follower_get_status(world->follower, &status);
	return status;
}

/* ---- bounds ---- */

/* Asks a primary that answers, and one that refuses: 300 seconds to the next poll, 200 to the next try, 4000 to expiry.
 */
static void asked_within_bounds(struct world *world)
{
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->expire, 4000);
	assert_in_range(status_of(world).next_refresh - time(NULL), 269, 301);
	world->primary[0].fault = REFUSES;
	refresh(world, FOLLOWER_IF_NEWER);
	assert_in_range(status_of(world).next_refresh - time(NULL), 179, 201);
	world->primary[0].fault = NO_FAULT;
}

static void test_bounds(void **state)
{
	struct world *world = *state;

	world->primary[0].refresh = 5;
	world->primary[0].retry = 1;
	world->primary[0].expire = 20;
	world->zone.clocks = (struct config_clocks){.refresh_min = 300, .retry_min = 200, .expire_min = 4000};
	start(world, false, 0);
	asked_within_bounds(world);
	/* From above. */
	world->primary[0].refresh = world->primary[0].retry = world->primary[0].expire = 1000000;
	world->zone.clocks = (struct config_clocks){.refresh_max = 300, .retry_max = 200, .expire_max = 4000};
	asked_within_bounds(world);
	/* One that is configured beats a default. */
	transfer_limits.expire_min = 50000;
	transfer_limits.refresh_max = 1000;
	world->zone.clocks = (struct config_clocks){.refresh_min = 300, .expire_max = 40};
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->expire, 40);
}

/* Bounds that change count at once. */
static void test_other_bounds(void **state)
{
	struct world *world = *state;
	struct config_zone other = world->zone;

	start(world, true, 5);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_in_range(status_of(world).next_refresh - time(NULL), 3200, 3601);
	other.clocks.refresh_max = 100;
	follower_reconfigure(world->follower, &other);
	assert_in_range(status_of(world).next_refresh - time(NULL), 85, 101);
	/* No later than it would have been. */
	follower_reconfigure(world->follower, &world->zone);
	assert_in_range(status_of(world).next_refresh - time(NULL), 85, 101);
}

/* ---- EDNS EXPIRE ---- */

static void give_expire(struct world *world, uint32_t seconds)
{
	world->primary[0].expire_given = true;
	world->primary[0].expire_option = seconds;
}

static void test_expire_transferred(void **state)
{
	struct world *world = *state;

	for (int i = 0; i < 2; i++) {
		if (i == 1)
			use_key(world);
		give_expire(world, 5000);
		start(world, false, 0);
		refresh(world, FOLLOWER_IF_NEWER);
		assert_int_equal(world->expire, 5000);
		/* Before it expires it is asked, though the SOA's refresh is an hour. */
		give_expire(world, 1000);
		refresh(world, FOLLOWER_FULL);
		assert_int_equal(world->expire, 1000);
		assert_in_range(status_of(world).next_refresh - time(NULL), 809, 901);
		/* The SOA's is the most there is. */
		give_expire(world, 4000000000);
		refresh(world, FOLLOWER_FULL);
		assert_int_equal(world->expire, world->primary[0].expire);
		/* Nothing is good for no time at all. */
		give_expire(world, 0);
		refresh(world, FOLLOWER_FULL);
		assert_int_equal(world->expire, transfer_limits.expire_min / 1000);
		stop(world);
	}
	assert_int_equal(world->failed, 0);
	assert_int_equal(world->primary[0].edns, 8);
}

static void test_expire_differences(void **state)
{
	struct world *world = *state;

	world->primary[0].differences = 2;
	give_expire(world, 5000);
	start(world, true, 3);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->changed, 1);
	assert_int_equal(world->expire, 5000);
	/* An IXFR that says that nothing is newer confirms. */
	world->primary[0].serial = 6;
	world->primary[0].axfr_serial = 5;
	world->primary[0].differences = 0;
	give_expire(world, 9000);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->confirmed, 1);
	assert_int_equal(world->expire, 9000);
}

/* The same serial: never less than there is, never more than the SOA has. */
static void test_expire_confirmed(void **state)
{
	struct world *world = *state;

	give_expire(world, 5000);
	start(world, true, 5);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->confirmed, 1);
	assert_int_equal(world->expire, 5000);
	give_expire(world, 20);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_in_range(world->expire, 4980, 5000);
	give_expire(world, 6000);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->expire, 6000);
	world->primary[0].expire = 900;
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->expire, 900);
	/* Without the option it is the SOA's, from now. */
	world->primary[0].expire_given = false;
	world->primary[0].expire = 7000;
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->expire, 7000);
}

/* A secondary that has had the zone for long gives less than our own clock has: ours is kept over a restart too. */
static void test_expire_of_adopted(void **state)
{
	struct world *world = *state;
	struct follower_start begin = {.loaded = true, .serial = 5};
	struct follower_hooks hooks = {hook_publish, hook_change, hook_confirmed, world};

	begin.expires_at = (schedule_clock() + 3000000) * 1000000;
	give_expire(world, 100);
	world->follower = follower_new(world->schedule, &world->zone, &begin, &hooks);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_in_range(world->expire, 2980, 3000);
}

static void test_without_edns(void **state)
{
	struct world *world = *state;

	world->primary[0].fault = REFUSES_EDNS;
	for (int i = 0; i < 2; i++) {
		start(world, i == 1, 4);
		refresh(world, FOLLOWER_IF_NEWER);
		assert_int_equal(world->failed, 0);
		stop(world);
	}
	assert_int_equal(world->published, 2);
	/* It is remembered of the address. */
	assert_int_equal(world->primary[0].edns, 1);
	assert_int_equal(world->primary[0].axfrs, 2);
	assert_int_equal(world->primary[0].soa_udp, 1);
	/* Not for ever. */
	transfer_limits.clock_ahead += transfer_limits.edns_pause;
	start(world, true, 5);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->primary[0].edns, 2);
	assert_int_equal(world->failed, 0);
}

/* ---- expired ---- */

static void test_older(void **state)
{
	struct world *world = *state;

	world->primary[0].expire = 1000;
	start(world, false, 0);
	refresh(world, FOLLOWER_IF_NEWER);
	/* Set back while what is served is alive. */
	world->primary[0].serial = 3;
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->published, 1);
	assert_logged("its serial 3 is older than the one served");
	/* What has expired is not compared with. */
	transfer_limits.clock_ahead += 1001000;
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->published, 2);
	assert_int_equal(world->serial, 3);
	assert_int_equal(status_of(world).served_serial, 3);
	assert_int_equal(world->primary[0].ixfrs, 0);
	/* It lives again. */
	world->primary[0].serial = 2;
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->published, 2);
	/* An operator may have it. */
	refresh(world, FOLLOWER_FULL);
	assert_int_equal(world->serial, 2);
}

/* It was newer in the answer to the SOA query and older in that to IXFR, from another one of the balanced. */
static void test_older_by_ixfr(void **state)
{
	struct world *world = *state;
	struct follower_start begin = {.loaded = true, .serial = 4, .expires_at = 1000000};
	struct follower_hooks hooks = {hook_publish, hook_change, hook_confirmed, world};

	world->primary[0].axfr_serial = 2;
	world->follower = follower_new(world->schedule, &world->zone, &begin, &hooks);
	refresh(world, FOLLOWER_IF_NEWER);
	assert_int_equal(world->serial, 2);
	assert_int_equal(world->primary[0].axfrs, 1);
	assert_logged("what is served has expired, and the primary's serial is older; AXFR instead");
}

/* ---- time that passes otherwise ---- */

static void test_suspended(void **state)
{
	struct world *world = *state;

	transfer_limits.clock_check = 100;
	start(world, true, 5);
	refresh(world, FOLLOWER_IF_NEWER);
	run_for(world, 50);
	assert_int_equal(world->confirmed, 1);
	/* An hour's refresh, slept through. */
	transfer_limits.clock_ahead += 3600000;
	run_until(world, &world->confirmed, 2);
}

static void test_kept(void **state)
{
	struct world *world = *state;
	struct follower_hooks hooks = {hook_publish, hook_change, hook_confirmed, world};
	int64_t now = (int64_t)time(NULL);
	struct follower_start begin = {
	    .loaded = true, .serial = 5, .refresh = 3600, .retry = 600, .expire = 86400, .next_refresh = now + 2000};

	world->follower = follower_new(world->schedule, &world->zone, &begin, &hooks);
	run_for(world, 60);
	assert_int_equal(world->primary[0].soa_udp, 0);
	assert_int_equal(status_of(world).next_refresh, now + 2000);
	assert_int_equal(status_of(world).refresh, 3600);
	transfer_limits.clock_check = 100;
	stop(world);
	world->follower = follower_new(world->schedule, &world->zone, &begin, &hooks);
	transfer_limits.clock_ahead += 2000000;
	run_until(world, &world->confirmed, 1);
	stop(world);
	/* A clock that was wrong when it was kept is bounded by the refresh interval. */
	begin.next_refresh = now + 1000000;
	world->follower = follower_new(world->schedule, &world->zone, &begin, &hooks);
	assert_in_range(status_of(world).next_refresh - now, 3200, 3602);
	stop(world);
	/* It should have been made while nothing ran. */
	begin.next_refresh = now - 5;
	world->follower = follower_new(world->schedule, &world->zone, &begin, &hooks);
	run_until(world, &world->confirmed, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WORLD(test_other_bounds),
	    WORLD(test_bounds),
	    WORLD(test_expire_transferred),
	    WORLD(test_expire_differences),
	    WORLD(test_expire_confirmed),
	    WORLD(test_expire_of_adopted),
	    WORLD(test_without_edns),
	    WORLD(test_older),
	    WORLD(test_older_by_ixfr),
	    WORLD(test_suspended),
	    WORLD(test_kept),
	};

	return cmocka_run_group_tests_name("clocks", tests, NULL, NULL);
}

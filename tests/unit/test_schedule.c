/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Thousands of zones on few primaries: rates, who goes first, bounds, and what a zone costs idle. */
#include "crowd_world.h"

#include <malloc.h>

#define MANY 1500 /* more than the schedule looks at in one turn */

/* ---- rates ---- */

static void test_rate(void **state)
{
	uint64_t begun = uv_hrtime();
	double seconds;

	crowd.config_primary[0].rate = 200;
	follow(300);
	while (crowd.zones_confirmed < 300) {
		turn();
		seconds = (double)(uv_hrtime() - begun) / 1e9;
		/* What may be saved up is 50 ms of it, and one. */
		assert_true(crowd.address[0].packets <= 12 + 200 * seconds);
		assert_true(seconds < 20);
	}
	assert_int_equal(crowd.all, 300);
	assert_true(seconds > 1.4);
}

/* Nothing but answers has the next ones asked. */
static void test_throughput(void **state)
{
	uint64_t begun = uv_hrtime();

	crowd.config_primary[0].rate = 100000;
	follow(ZONES);
	run_crowd_until(&crowd.zones_confirmed, ZONES);
	assert_true(uv_hrtime() - begun < 15000000000ULL);
	assert_int_equal(crowd.all, ZONES);
}

/* Each address has a rate of its own. */
static void test_two_addresses(void **state)
{
	uint64_t begun = uv_hrtime();

	crowd.config_primary[0].rate = 5;
	crowd.config_primary[1].rate = 1000;
	for (unsigned i = 100; i < 300; i++)
		crowd.zones[i].primaries = &crowd.primaries[1];
	follow(300);
	while (crowd.address[1].queries < 200)
		turn();
	assert_true(crowd.address[0].packets <= 2 + 5 * (double)(uv_hrtime() - begun) / 1e9);
}

/* One that waits for its poll, and will for long. */
static unsigned waiting(void)
{
	const struct server *server = crowd.followers[0]->slot.server;

	for (unsigned i = 0; server == NULL; i++)
		server = crowd.followers[i]->slot.server;
	for (unsigned i = 0; i < crowd.count; i++)
		if (&crowd.followers[i]->slot == server->queues[SLOT_POLL].last)
			return i;
	fail();
	return 0;
}

/* With all zones waiting for their polls, one that is notified is asked at once. */
static void test_notified_first(void **state)
{
	unsigned before, number;

	crowd.config_primary[0].rate = 100;
	follow(ZONES);
	run_crowd_until(&crowd.all, 10);
	before = crowd.all;
	number = waiting();
	notify(number, 6);
	run_crowd_until(&crowd.confirmed[number], 1);
	/* Polls that were granted in the same turn of the loop may have been before it. */
	assert_true(crowd.all - before <= 20);
	/* Many are as good as one, and the poll that it waited for is the one that was made. */
	number = waiting();
	for (unsigned i = 0; i < 1000; i++)
		notify(number, 6);
	run_crowd_until(&crowd.confirmed[number], 1);
	run_crowd(200);
	assert_int_equal(crowd.confirmed[number], 1);
}

static void ignore_done(void *context, const char *error)
{
}

/* An operator who asks for all zones holds up no NOTIFY: not even of a zone that waits because of him. */
static void test_notified_before_asked(void **state)
{
	unsigned before, number = 0;

	crowd.config_primary[0].rate = 10;
	follow(ZONES);
	for (unsigned i = 0; i < ZONES; i++)
		follower_refresh(crowd.followers[i], FOLLOWER_IF_NEWER, ignore_done, NULL);
	run_crowd_until(&crowd.all, 10);
	before = crowd.all;
	while (crowd.followers[number]->slot.state != SLOT_QUEUED || crowd.followers[number]->slot.next != NULL)
		number++;
	assert_int_equal(crowd.followers[number]->slot.class, SLOT_ASKED);
	notify(number, 6);
	run_crowd_until(&crowd.confirmed[number], 1);
	assert_true(crowd.all - before <= 20);
}

/* ---- bounds ---- */

static void test_window(void **state)
{
	crowd.address[0].dead = true;
	transfer_limits.udp_wait = 60000;
	follow(100);
	run_crowd(100);
	assert_int_equal(crowd.address[0].packets, quick.window_first);
	/* What an address in doubt says itself is listened to. */
	for (unsigned i = 0; i < 90; i++)
		notify(i, 6);
	run_crowd(100);
	assert_int_equal(crowd.address[0].packets, quick.window_first + quick.window_notified);
}

static unsigned granted;

static void count_granted(struct slot *slot)
{
	granted++;
}

static void not_called(struct slot *slot)
{
	fail();
}

/* An address that answers is asked more at a time, however long what it was asked for takes. */
static void test_window_grows(void **state)
{
	static const struct schedule_hooks hooks = {.due = not_called, .granted = count_granted, .refused = not_called};
	struct schedule *schedule = schedule_open(&crowd.loop, &hooks);
	struct slot *slots[20];

	granted = 0;
	for (unsigned i = 0; i < 20; i++) {
		slots[i] = calloc(1, sizeof(struct slot));
		assert_int_equal(schedule_join(schedule, slots[i]), 0);
		assert_int_equal(schedule_ask(schedule, slots[i], &crowd.address[0].address, 50, SLOT_LOAD), 1);
	}
	run_crowd(10);
	assert_int_equal(granted, quick.window_first);
	schedule_heard(schedule, slots[0]);
	schedule_heard(schedule, slots[1]);
	run_crowd(10);
	assert_int_equal(granted, quick.window_first + 2);
	schedule_release(schedule, slots[0], VERDICT_NONE);
	run_crowd(10);
	assert_int_equal(granted, quick.window_first + 3);
	/* Without an answer, half as many. */
	schedule_release(schedule, slots[1], VERDICT_SILENT);
	schedule_release(schedule, slots[2], VERDICT_NONE);
	run_crowd(10);
	assert_int_equal(granted, quick.window_first + 3);
	for (unsigned i = 0; i < 20; i++)
		schedule_leave(schedule, slots[i]);
	schedule_free(schedule);
}

static unsigned told;

static void count_told(struct slot *slot)
{
	told++;
}

/* An address goes down, and comes up again before all who wait there were told of it: what is under way then is not due
 * besides. */
static void test_down_and_up(void **state)
{
	static const struct schedule_hooks hooks = {.due = not_called, .granted = count_granted, .refused = count_told};
	struct schedule *schedule = schedule_open(&crowd.loop, &hooks);
	struct slot *slots[MANY];

	granted = told = 0;
	transfer_limits.down_after = 1;
	for (unsigned i = 0; i < MANY; i++) {
		slots[i] = calloc(1, sizeof(struct slot));
		assert_int_equal(schedule_join(schedule, slots[i]), 0);
		assert_int_equal(schedule_ask(schedule, slots[i], &crowd.address[0].address, 50, SLOT_LOAD), 1);
	}
	run_crowd(10);
	assert_int_equal(granted, quick.window_first);
	schedule_release(schedule, slots[0], VERDICT_SILENT);
	for (unsigned i = 1; i < quick.window_first; i++)
		schedule_heard(schedule, slots[i]);
	run_crowd(50);
	assert_true(told >= 1000);
	assert_true(granted > quick.window_first);
	for (unsigned i = 0; i < MANY; i++)
		schedule_leave(schedule, slots[i]);
	schedule_free(schedule);
}

static void test_bound_in_all(void **state)
{
	crowd.address[0].dead = crowd.address[1].dead = true;
	transfer_limits.udp_wait = 60000;
	transfer_limits.attempts = 6;
	for (unsigned i = 50; i < 100; i++)
		crowd.zones[i].primaries = &crowd.primaries[1];
	follow(100);
	run_crowd(100);
	/* In turns: neither has all of it. */
	assert_int_equal(crowd.address[0].packets, 3);
	assert_int_equal(crowd.address[1].packets, 3);
}

/* ---- memory ---- */

static void test_memory(void **state)
{
	struct mallinfo2 before, after;

	assert_true(sizeof(struct follower) + 2 * sizeof(struct turn) <= 384);
	run_crowd(1);
	before = mallinfo2();
	follow(ZONES);
	run_crowd_until(&crowd.zones_confirmed, ZONES);
	run_crowd(20);
	after = mallinfo2();
	/* Idle again, after all have been polled. */
	assert_true(after.uordblks < before.uordblks + 640 * ZONES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CROWD(test_window_grows),
	    CROWD(test_down_and_up),
	    CROWD(test_rate),
	    CROWD(test_throughput),
	    CROWD(test_two_addresses),
	    CROWD(test_notified_first),
	    CROWD(test_notified_before_asked),
	    CROWD(test_window),
	    CROWD(test_bound_in_all),
	    CROWD(test_memory),
	};

	return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}

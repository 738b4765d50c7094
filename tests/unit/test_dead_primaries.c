/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Thousands of zones, and an address that is dead: found out once, told to all, and forgotten when it answers. */
#include "crowd_world.h"

static unsigned failing(void)
{
	struct follower_status status;
	unsigned count = 0;

	for (unsigned i = 0; i < crowd.count; i++) {
		if (crowd.followers[i] == NULL)
			continue;
		follower_get_status(crowd.followers[i], &status);
		count += status.failing;
	}
	return count;
}

static unsigned left_alone(void)
{
	struct follower_status status;
	unsigned count = 0;

	for (unsigned i = 0; i < crowd.count; i++) {
		follower_get_status(crowd.followers[i], &status);
		count += strstr(status.last_error, "it is down: it answers nobody") != NULL;
	}
	return count;
}

static void test_dead(void **state)
{
	uint64_t begun = uv_hrtime();
	unsigned found = 2 * (quick.window_first + quick.down_after), probes;

	transfer_limits.probe_min = transfer_limits.probe_max = 400;
	crowd.address[0].dead = true;
	follow(ZONES);
	while (failing() < ZONES)
		turn();
	/* Those that found it out, two tries each, and one at a time from then on. */
	run_crowd(1000);
	probes = 2 * (1 + (unsigned)((uv_hrtime() - begun) / 400000000));
	assert_in_range(crowd.address[0].packets, 2 * quick.down_after + 2, found + probes);
	assert_int_equal(crowd.all, 0);
	assert_true(left_alone() > ZONES - found - probes);
	assert_logged("does not answer; its zones wait");
	/* A line each for those that asked, and one for all others. */
	assert_in_range(log_count[LOG_LEVEL_WARNING], 4, 1 + found + probes);
	/* They all come back when it does. */
	crowd.address[0].dead = false;
	run_crowd_until(&crowd.zones_confirmed, ZONES);
	assert_int_equal(log_count[LOG_LEVEL_NOTICE], 1);
	assert_int_equal(failing(), 0);
	assert_int_equal(crowd.all, ZONES);
}

/* Zones that have another primary go on to that one. */
static void test_other_primary(void **state)
{
	crowd.address[0].dead = true;
	for (unsigned i = 0; i < ZONES; i++)
		crowd.zones[i].primary_count = 2;
	follow(ZONES);
	run_crowd_until(&crowd.zones_confirmed, ZONES);
	assert_true(crowd.address[0].packets <= 30);
	assert_int_equal(failing(), 0);
}

/* Both were dead, and the second one answers again: nobody waits for the first. */
static void test_either(void **state)
{
	crowd.address[0].dead = crowd.address[1].dead = true;
	for (unsigned i = 0; i < 100; i++) {
		crowd.zones[i].primary_count = 2;
	}
	follow(100);
	while (failing() < 100)
		turn();
	crowd.address[1].dead = false;
	run_crowd_until(&crowd.zones_confirmed, 100);
	assert_int_equal(crowd.address[0].queries, 0);
}

/* An operator's request, or a NOTIFY, asks an address that is down at once. */
static void test_urgent(void **state)
{
	unsigned packets;

	transfer_limits.probe_min = transfer_limits.probe_max = 600000;
	crowd.address[0].dead = true;
	follow(100);
	while (failing() < 100)
		turn();
	packets = crowd.address[0].packets;
	run_crowd(100);
	assert_int_equal(crowd.address[0].packets, packets);
	crowd.address[0].dead = false;
	notify(50, 6);
	run_crowd_until(&crowd.zones_confirmed, 100);
}

/* Freed, or given other primaries, while they wait, are asked, or are parked. */
static void test_freed(void **state)
{
	crowd.address[0].dead = true;
	follow(500);
	run_crowd(5);
	for (unsigned i = 0; i < 300; i++) {
		follower_free(crowd.followers[i]);
		crowd.followers[i] = NULL;
	}
	while (failing() < 200)
		turn();
	for (unsigned i = 300; i < 400; i++) {
		follower_free(crowd.followers[i]);
		crowd.followers[i] = NULL;
	}
	for (unsigned i = 400; i < 500; i++) {
		struct config_zone *zone = &crowd.zones[i - 400];

		free(zone->name);
		knot_dname_free(zone->apex, NULL);
		*zone = crowd.zones[i];
		zone->name = strdup(crowd.zones[i].name);
		zone->apex = knot_dname_from_str_alloc(zone->name);
		zone->primaries = &crowd.primaries[1];
		follower_reconfigure(crowd.followers[i], zone);
	}
	run_crowd_until(&crowd.zones_confirmed, 100);
}

/* ---- everything at once ---- */

#define VARIANTS 3

static struct config_zone variants[ZONES][VARIANTS];
static unsigned asked, told;

static void on_told(void *context, const char *error)
{
	told++;
}

static void begin_again(unsigned number)
{
	static const struct follower_start begin = {.loaded = true, .serial = 5};
	struct follower_hooks hooks = {crowd_publish, crowd_change, crowd_confirmed, (void *)(uintptr_t)number};

	follower_free(crowd.followers[number]);
	crowd.followers[number] = follower_new(crowd.schedule, &variants[number][random() % VARIANTS], &begin, &hooks);
}

static void happen(unsigned count)
{
	unsigned number = (unsigned)random() % count;
	struct follower *follower = crowd.followers[number];

	switch (random() % 8) {
	case 0:
		if (follower->zone->primary_count == 2 || follower->zone->primaries == crowd.primaries)
			notify(number, (uint32_t)random() % 8);
		break;
	case 1:
		asked++;
		follower_refresh(follower, FOLLOWER_IF_NEWER, on_told, NULL);
		break;
	case 2:
		asked++;
		follower_refresh(follower, FOLLOWER_AS_DUE, on_told, NULL);
		break;
	case 3:
		crowd.address[random() % 2].dead ^= random() % 4 == 0;
		break;
	case 4:
		follower_reconfigure(follower, &variants[number][random() % VARIANTS]);
		break;
	case 5:
		if (random() % 3 == 0)
			begin_again(number);
		break;
	case 6:
		if (random() % 16 == 0)
			transfer_limits.clock_ahead += (uint64_t)random() % 2000000;
		break;
	default:
		turn();
	}
}

/* Whatever happens in whatever order, who waits is told once, and all zones are polled in the end. */
static void test_random(void **state)
{
	const unsigned count = 60;

	asked = told = 0;
	srandom(7);
	transfer_limits.udp_wait = 5;
	transfer_limits.window_most = 6;
	transfer_limits.attempts = 9;
	transfer_limits.probe_min = transfer_limits.probe_max = 10;
	for (unsigned i = 0; i < count; i++)
		for (unsigned j = 0; j < VARIANTS; j++) {
			variants[i][j] = crowd.zones[i];
			variants[i][j].primaries = &crowd.primaries[j == 1];
			variants[i][j].primary_count = j == 2 ? 2 : 1;
		}
	for (crowd.count = 0; crowd.count < count; crowd.count++)
		begin_again(crowd.count);
	for (unsigned i = 0; i < 20000; i++)
		happen(count);
	crowd.address[0].dead = crowd.address[1].dead = false;
	/* What is lost on the way is a failure, and those under way are still impatient. */
	transfer_limits.udp_wait = 10000;
	run_crowd(300);
	/* Twice, since who came while a round was on waits for the next. */
	for (unsigned i = 0; i < 2; i++) {
		memset(crowd.confirmed, 0, sizeof(crowd.confirmed));
		crowd.zones_confirmed = 0;
		transfer_limits.clock_ahead += 4000000;
		follower_reconfigure(crowd.followers[0], &variants[0][0]);
		notify(0, 6);
		run_crowd_until(&crowd.zones_confirmed, count);
	}
	run_crowd_until(&told, asked);
	run_crowd(100);
	assert_int_equal(told, asked);
	assert_int_equal(failing(), 0);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(crowd.followers[i]->slot.state, SLOT_IDLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CROWD(test_random), CROWD(test_dead),   CROWD(test_other_primary),
	    CROWD(test_either), CROWD(test_urgent), CROWD(test_freed),
	};

	return cmocka_run_group_tests_name("dead primaries", tests, NULL, NULL);
}

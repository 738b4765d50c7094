/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Thousands of zones on few primaries: rates, who goes first, an address that is dead, and what a zone costs idle. */
#include "transfer_world.h"

#include <malloc.h>

#ifndef ZONES
#define ZONES 1000
#endif
#define MANY 1500 /* more than the schedule looks at in one turn */

/* An address that answers SOA queries for any zone, or nothing. Nothing listens there over TCP. */
struct address {
	uv_udp_t udp;
	struct sockaddr_storage address;
	bool dead;
	uint32_t serial;
	unsigned packets, queries; /* queries: answered */
	unsigned last;             /* the number of the zone asked last */
};

struct crowd {
	uv_loop_t loop;
	struct schedule *schedule;
	struct address address[2];
	struct sockaddr_storage both[2];
	struct config_primary config_primary[2];
	const struct config_primary *primaries[2];
	struct config_zone zones[ZONES];
	struct follower *followers[ZONES];
	unsigned count;
	unsigned confirmed[ZONES], all, zones_confirmed;
};

static struct crowd crowd;

static void on_octets(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	static char scratch[4096];

	*buffer = uv_buf_init(scratch, sizeof(scratch));
}

static void on_query(uv_udp_t *udp, ssize_t length, const uv_buf_t *buffer, const struct sockaddr *from, unsigned flags)
{
	struct address *address = udp->data;
	uint8_t wire[512], rdata[64];
	knot_dname_txt_storage_t name;
	size_t used;
	uv_buf_t out;

	if (length < 17 || from == NULL)
		return;
	address->packets++;
	if (address->dead)
		return;
	knot_dname_to_str(name, (const uint8_t *)buffer->base + 12, sizeof(name));
	address->queries++;
	address->last = (unsigned)atoi(name + 1);
	used = fake_header(wire, knot_wire_get_id((const uint8_t *)buffer->base), 0x8400, name, KNOT_RRTYPE_SOA, 1);
	used = fake_record(wire, used, 6, name, KNOT_RRTYPE_SOA, 1, rdata,
	                   fake_soa(rdata, address->serial, 3600, 600, 864000));
	out = uv_buf_init((char *)wire, (unsigned)used);
	uv_udp_try_send(udp, &out, 1, from);
}

static void crowd_publish(void *context, struct zone_version *version, uint32_t expire,
                          void (*done)(void *, const char *), void *done_context)
{
	done(done_context, "not expected");
}

static void crowd_change(void *context, struct zone_changes *changes, uint32_t expire,
                         void (*done)(void *, bool, const char *), void *done_context)
{
	zone_changes_free(changes);
	done(done_context, true, "not expected");
}

static void crowd_confirmed(void *context, uint32_t expire)
{
	unsigned number = (unsigned)(uintptr_t)context;

	crowd.all++;
	crowd.zones_confirmed += crowd.confirmed[number]++ == 0;
}

static int gather(void **state)
{
	static const char *names[] = {"campus", "backup"};

	memset(&crowd, 0, sizeof(crowd));
	transfer_limits = quick;
	log_text[0] = '\0';
	memset(log_count, 0, sizeof(log_count));
	uv_loop_init(&crowd.loop);
	crowd.schedule = schedule_new(&crowd.loop);
	for (int i = 0; i < 2; i++) {
		struct address *address = &crowd.address[i];
		int length = sizeof(address->address);

		address->serial = 5;
		uv_ip4_addr("127.0.0.1", 0, (struct sockaddr_in *)&address->address);
		uv_udp_init(&crowd.loop, &address->udp);
		address->udp.data = address;
		assert_int_equal(uv_udp_bind(&address->udp, (struct sockaddr *)&address->address, 0), 0);
		uv_udp_getsockname(&address->udp, (struct sockaddr *)&address->address, &length);
		uv_udp_recv_start(&address->udp, on_octets, on_query);
		crowd.both[i] = address->address;
		crowd.config_primary[i] = (struct config_primary){
		    .name = (char *)names[i], .addresses = &address->address, .address_count = 1};
		crowd.primaries[i] = &crowd.config_primary[i];
	}
	for (unsigned i = 0; i < ZONES; i++) {
		char name[32];

		snprintf(name, sizeof(name), "z%u.example.", i);
		crowd.zones[i] =
		    (struct config_zone){.name = strdup(name), .primaries = crowd.primaries, .primary_count = 1};
		crowd.zones[i].apex = knot_dname_from_str_alloc(name);
	}
	*state = &crowd;
	return 0;
}

/* Follows so many zones, which are served with serial 5. */
static void follow(unsigned count)
{
	static const struct follower_start begin = {.loaded = true, .serial = 5};

	for (; crowd.count < count; crowd.count++) {
		struct follower_hooks hooks = {crowd_publish, crowd_change, crowd_confirmed,
		                               (void *)(uintptr_t)crowd.count};

		crowd.followers[crowd.count] = follower_new(crowd.schedule, &crowd.zones[crowd.count], &begin, &hooks);
		assert_non_null(crowd.followers[crowd.count]);
	}
}

static int disperse(void **state)
{
	for (unsigned i = 0; i < ZONES; i++) {
		follower_free(crowd.followers[i]);
		free(crowd.zones[i].name);
		knot_dname_free(crowd.zones[i].apex, NULL);
	}
	schedule_free(crowd.schedule);
	for (int i = 0; i < 2; i++)
		uv_close((uv_handle_t *)&crowd.address[i].udp, NULL);
	uv_run(&crowd.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&crowd.loop), 0);
	return 0;
}

static void turn(void)
{
	uv_run(&crowd.loop, UV_RUN_NOWAIT);
	usleep(100);
}

static void run_crowd(unsigned milliseconds)
{
	uint64_t end = uv_hrtime() + milliseconds * 1000000ULL;

	while (uv_hrtime() < end)
		turn();
}

/* Fails after so many seconds, more than any machine needs. */
static void run_crowd_until(const unsigned *counter, unsigned number)
{
	uint64_t end = uv_hrtime() + 20000000000ULL;

	while (*counter < number) {
		if (uv_hrtime() > end)
			fail_msg("stopped at %u of %u; log:\n%.4000s", *counter, number, log_text);
		turn();
	}
}

static void notify(unsigned number, uint32_t serial)
{
	uint8_t wire[512], soa[64], reply[512];
	size_t length, reply_length;

	length = fake_header(wire, 1, 0x2400, crowd.zones[number].name, KNOT_RRTYPE_SOA, 1);
	length = fake_record(wire, length, 6, crowd.zones[number].name, KNOT_RRTYPE_SOA, 1, soa,
	                     fake_soa(soa, serial, 1, 1, 1));
	assert_true(
	    follower_notify(crowd.followers[number], &crowd.address[0].address, wire, length, reply, &reply_length));
}

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

/* ---- an address that is dead ---- */

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

#define CROWD(test) cmocka_unit_test_setup_teardown(test, gather, disperse)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CROWD(test_window_grows),   CROWD(test_down_and_up),
	    CROWD(test_random),         CROWD(test_rate),
	    CROWD(test_throughput),     CROWD(test_two_addresses),
	    CROWD(test_notified_first), CROWD(test_notified_before_asked),
	    CROWD(test_window),         CROWD(test_bound_in_all),
	    CROWD(test_dead),           CROWD(test_other_primary),
	    CROWD(test_either),         CROWD(test_urgent),
	    CROWD(test_freed),          CROWD(test_memory),
	};

	return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}

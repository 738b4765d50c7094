/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For tests of the schedule: thousands of zones, all served with the same serial, of two primaries that can be dead. */
#ifndef PEREGRINE_TESTS_CROWD_WORLD_H
#define PEREGRINE_TESTS_CROWD_WORLD_H

#include "transfer_world.h"

#ifndef ZONES
#define ZONES 1000
#endif

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

static inline void on_octets(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	static char scratch[4096];

	*buffer = uv_buf_init(scratch, sizeof(scratch));
}

static inline void on_query(uv_udp_t *udp, ssize_t length, const uv_buf_t *buffer, const struct sockaddr *from,
                            unsigned flags)
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

static inline void crowd_publish(void *context, struct zone_version *version, uint32_t expire,
                                 void (*done)(void *, const char *), void *done_context)
{
	done(done_context, "not expected");
}

static inline void crowd_change(void *context, struct zone_changes *changes, uint32_t expire,
                                void (*done)(void *, bool, const char *), void *done_context)
{
	zone_changes_free(changes);
	done(done_context, true, "not expected");
}

static inline void crowd_confirmed(void *context, uint32_t expire)
{
	unsigned number = (unsigned)(uintptr_t)context;

	crowd.all++;
	crowd.zones_confirmed += crowd.confirmed[number]++ == 0;
}

static inline int gather(void **state)
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
static inline void follow(unsigned count)
{
	static const struct follower_start begin = {.loaded = true, .serial = 5};

	for (; crowd.count < count; crowd.count++) {
		struct follower_hooks hooks = {crowd_publish, crowd_change, crowd_confirmed,
		                               (void *)(uintptr_t)crowd.count};

		crowd.followers[crowd.count] = follower_new(crowd.schedule, &crowd.zones[crowd.count], &begin, &hooks);
		assert_non_null(crowd.followers[crowd.count]);
	}
}

static inline int disperse(void **state)
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

static inline void turn(void)
{
	uv_run(&crowd.loop, UV_RUN_NOWAIT);
	usleep(100);
}

static inline void run_crowd(unsigned milliseconds)
{
	uint64_t end = uv_hrtime() + milliseconds * 1000000ULL;

	while (uv_hrtime() < end)
		turn();
}

/* Fails after so many seconds, more than any machine needs. */
static inline void run_crowd_until(const unsigned *counter, unsigned number)
{
	uint64_t end = uv_hrtime() + 20000000000ULL;

	while (*counter < number) {
		if (uv_hrtime() > end)
			fail_msg("stopped at %u of %u; log:\n%.4000s", *counter, number, log_text);
		turn();
	}
}

static inline void notify(unsigned number, uint32_t serial)
{
	uint8_t wire[512], soa[64], reply[512];
	size_t length, reply_length;

	length = fake_header(wire, 1, 0x2400, crowd.zones[number].name, KNOT_RRTYPE_SOA, 1);
	length = fake_record(wire, length, 6, crowd.zones[number].name, KNOT_RRTYPE_SOA, 1, soa,
	                     fake_soa(soa, serial, 1, 1, 1));
	assert_true(
	    follower_notify(crowd.followers[number], &crowd.address[0].address, wire, length, reply, &reply_length));
}

#define CROWD(test) cmocka_unit_test_setup_teardown(test, gather, disperse)

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the tests of userspace/transfer share: a loop, two fake primaries, a follower's hooks, and what was logged. */
#ifndef PEREGRINE_TRANSFER_WORLD_H
#define PEREGRINE_TRANSFER_WORLD_H

#include "transfer/transfer_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <unistd.h>

#include "fake_primary.h"

#define ZONE "zone.example."

/* ---- what the follower says ---- */

static char log_text[65536];
static unsigned log_count[8];

void log_set_level(enum log_level level)
{
}

void log_write(enum log_level level, const char *format, ...)
{
	size_t used = strlen(log_text);
	va_list arguments;

	va_start(arguments, format);
	used += (size_t)snprintf(log_text + used, sizeof(log_text) - used, "<%d>", level);
	if (used < sizeof(log_text))
		used += (size_t)vsnprintf(log_text + used, sizeof(log_text) - used, format, arguments);
	if (used + 1 < sizeof(log_text))
		strcpy(log_text + used, "\n");
	va_end(arguments);
	log_count[level]++;
}

static inline void assert_logged(const char *text)
{
	if (strstr(log_text, text) == NULL)
		fail_msg("not logged: %s; but:\n%s", text, log_text);
}

/* ---- the world of a test ---- */

struct world {
	uv_loop_t loop;
	struct fake_primary primary[2];
	struct config_primary config_primary[2];
	const struct config_primary *primaries[2];
	struct config_zone zone;
	knot_tsig_key_t key;
	struct schedule *schedule;
	struct follower *follower;
	/* hooks */
	unsigned published, changed, confirmed;
	uint32_t serial, from, expire;
	const char *refuse, *misfit;
	bool hold; /* `done` of publish is kept back */
	void (*held)(void *context, const char *error);
	void *held_context;
	/* refreshes */
	unsigned done, failed;
	char error[512];
};

static const struct transfer_limits quick = {
    .udp_tries = 2,
    .udp_wait = 40,
    .connect = 500,
    .progress = 120,
    .window_octets = 1024,
    .total = 1000,
    .max_records = 1000,
    .max_octets = 1 << 20,
    .refresh_min = 2000,
    .retry_min = 1000,
    .refresh_max = 86400000,
    .retry_max = 86400000,
    .expire_min = 1000,
    .expire_max = 100000000000,
    .backoff_min = 20,
    .backoff_max = 160,
    .notify_pause = 50,
    .ixfr_pause = 60000,
    .edns_pause = 60000,
    .refusal_pause = 60000,
    .lag_min = 200,
    .log_pause = 60000,
    .attempts = 500,
    .window_first = 4,
    .window_most = 50,
    .window_notified = 8,
    .rate = 1000,
    .notified_factor = 10,
    .down_after = 3,
    .probe_min = 60,
    .probe_max = 240,
    .forget = 60000,
    .clock_check = 600000,
};

static inline void hook_publish(void *context, struct zone_version *version, uint32_t expire,
                                void (*done)(void *, const char *), void *done_context)
{
	struct world *world = context;

	world->published++;
	world->serial = version->serial;
	world->expire = expire;
	if (!world->hold) {
		done(done_context, world->refuse);
		return;
	}
	world->held = done;
	world->held_context = done_context;
}

static inline void hook_change(void *context, struct zone_changes *changes, uint32_t expire,
                               void (*done)(void *, bool, const char *), void *done_context)
{
	struct world *world = context;

	world->changed++;
	world->from = zone_changes_from(changes);
	world->expire = expire;
	zone_changes_free(changes);
	done(done_context, world->misfit == NULL, world->misfit != NULL ? world->misfit : world->refuse);
}

static inline void hook_confirmed(void *context, uint32_t expire)
{
	struct world *world = context;

	world->confirmed++;
	world->expire = expire;
}

static inline void on_refreshed(void *context, const char *error)
{
	struct world *world = context;

	world->done++;
	if (error == NULL)
		return;
	world->failed++;
	snprintf(world->error, sizeof(world->error), "%s", error);
}

static inline int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	static const char *names[] = {"campus", "backup"};

	assert_non_null(world);
	transfer_limits = quick;
	log_text[0] = '\0';
	memset(log_count, 0, sizeof(log_count));
	uv_loop_init(&world->loop);
	world->schedule = schedule_new(&world->loop);
	assert_non_null(world->schedule);
	assert_int_equal(knot_tsig_key_init(&world->key, "hmac-sha256", "Key.Example.", "c2VjcmV0IG9mIHRoZSB0ZXN0"), 0);
	for (int i = 0; i < 2; i++) {
		fake_primary_open(&world->primary[i], &world->loop, ZONE);
		world->config_primary[i] = (struct config_primary){
		    .name = (char *)names[i], .addresses = &world->primary[i].address, .address_count = 1};
		world->primaries[i] = &world->config_primary[i];
	}
	world->zone = (struct config_zone){.name = "zone.example", .primaries = world->primaries, .primary_count = 1};
	world->zone.apex = knot_dname_from_str_alloc(ZONE);
	*state = world;
	return 0;
}

static inline void use_key(struct world *world)
{
	for (int i = 0; i < 2; i++) {
		world->primary[i].key = &world->key;
		world->config_primary[i].key = &world->key;
	}
}

static inline void start(struct world *world, bool loaded, uint32_t serial)
{
	struct follower_start begin = {.loaded = loaded, .serial = serial};
	struct follower_hooks hooks = {hook_publish, hook_change, hook_confirmed, world};

	world->follower = follower_new(world->schedule, &world->zone, &begin, &hooks);
	assert_non_null(world->follower);
}

static inline void stop(struct world *world)
{
	if (world->follower != NULL)
		follower_free(world->follower);
	world->follower = NULL;
}

static inline int teardown(void **state)
{
	struct world *world = *state;

	stop(world);
	schedule_free(world->schedule);
	for (int i = 0; i < 2; i++)
		fake_primary_close(&world->primary[i]);
	uv_run(&world->loop, UV_RUN_DEFAULT);
	/* Every handle of the room is closed by now, or the run would not have ended. */
	assert_int_equal(uv_loop_close(&world->loop), 0);
	knot_tsig_key_deinit(&world->key);
	knot_dname_free(world->zone.apex, NULL);
	free(world);
	return 0;
}

/* Runs the loop until the counter has reached the number; fails after two seconds. */
static inline void run_until(struct world *world, const unsigned *counter, unsigned number)
{
	uint64_t end = uv_hrtime() + 2000000000ULL;

	while (*counter < number) {
		if (uv_hrtime() > end)
			fail_msg("stopped at %u of %u; log:\n%s", *counter, number, log_text);
		uv_run(&world->loop, UV_RUN_NOWAIT);
	}
}

static inline void run_for(struct world *world, unsigned milliseconds)
{
	uint64_t end = uv_hrtime() + milliseconds * 1000000ULL;

	while (uv_hrtime() < end)
		uv_run(&world->loop, UV_RUN_NOWAIT);
}

static inline void refresh(struct world *world, enum follower_force force)
{
	unsigned number = world->done + 1;

	follower_refresh(world->follower, force, on_refreshed, world);
	run_until(world, &world->done, number);
}

#define WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif

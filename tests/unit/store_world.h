/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For tests: a store in a directory of its own, and what was said of what was put. */
#ifndef PEREGRINE_STORE_WORLD_H
#define PEREGRINE_STORE_WORLD_H

#include "store/store.h"
#include "zone/record_text.h"
#include "zone_text.h"

#include <ftw.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

struct store_world {
	char directory[64], path[96];
	uv_loop_t loop;
	struct store *store;
	size_t written, misfits, failed;
	uint32_t serial; /* the last one said */
};

static inline void store_world_written(void *context, const uint8_t *apex, uint32_t serial, enum store_outcome outcome)
{
	struct store_world *world = context;

	world->serial = serial;
	world->written += outcome == STORE_WRITTEN;
	world->misfits += outcome == STORE_MISFIT;
	world->failed += outcome == STORE_FAILED;
}

static inline void store_world_start(struct store_world *world, uint64_t map)
{
	struct store_hooks hooks = {.written = store_world_written, .context = world};

	world->store = store_open(world->path, map, &hooks, &world->loop);
	assert_non_null(world->store);
}

static inline void store_world_open(struct store_world *world)
{
	*world = (struct store_world){};
	strcpy(world->directory, "/tmp/peregrine-store-XXXXXX");
	assert_non_null(mkdtemp(world->directory));
	snprintf(world->path, sizeof(world->path), "%s/store", world->directory);
	assert_int_equal(0, uv_loop_init(&world->loop));
}

static inline void store_world_stop(struct store_world *world)
{
	store_close(world->store);
	world->store = NULL;
	uv_run(&world->loop, UV_RUN_DEFAULT);
}

static inline int store_world_unlink(const char *path, const struct stat *status, int kind, struct FTW *where)
{
	return remove(path);
}

static inline void store_world_close(struct store_world *world)
{
	if (world->store)
		store_world_stop(world);
	assert_int_equal(0, uv_loop_close(&world->loop));
	nftw(world->directory, store_world_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void store_world_tick(uv_timer_t *timer)
{
}

/* Until so much was said of what was put. */
static inline void store_world_wait(struct store_world *world, size_t said)
{
	uv_timer_t tick; /* the store's own handle keeps no loop running */
	uint64_t until = uv_now(&world->loop) + 30000;

	uv_timer_init(&world->loop, &tick);
	uv_timer_start(&tick, store_world_tick, 1, 1);
	while (world->written + world->misfits + world->failed < said && uv_now(&world->loop) < until)
		uv_run(&world->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&tick, NULL);
	uv_run(&world->loop, UV_RUN_NOWAIT);
	assert_int_equal(said, world->written + world->misfits + world->failed);
}

/* A number of the environment. */
static inline uint32_t store_world_number(const char *name, uint32_t otherwise)
{
	const char *value = getenv(name);

	return value ? strtoul(value, NULL, 10) : otherwise;
}

#define STORE_WORLD_SOA 36
static inline void store_world_soa(uint32_t serial, uint8_t *soa)
{
	memcpy(soa, "\1a\4test\0\1b\4test\0\0\0\0\0\0\0\0\6\0\0\0\5\0\0\1\x90\0\0\0\3", STORE_WORLD_SOA);
	knot_wire_write_u32(soa + 16, serial);
}

static const struct store_clocks store_world_clocks = {.expires_at = UINT64_MAX / 4, .refresh_at = 7};

static inline void store_world_put(struct store_world *world, const char *text)
{
	struct zone_version *version = zone_text("test.", text);
	size_t said = world->written + world->misfits + world->failed;

	store_put_version(world->store, version, &store_world_clocks, STORE_JOURNAL_DEFAULT);
	zone_unref(version);
	store_world_wait(world, said + 1);
}

/* Appends the records of an RRset to `text`, one a line behind a mark. */
static inline void store_world_print(const char *mark, const struct store_rrset *rrset, char *text, size_t room)
{
	const uint8_t *at = rrset->rdata;
	struct record_text line = {};

	for (uint32_t i = 0; i < rrset->count; i++) {
		char *out = text + strlen(text);
		uint16_t length;

		assert_true(record_text_put(&line, rrset->owner, rrset->type, rrset->ttl, at) > 0);
		snprintf(out, room - (out - text), "%s%s", mark, line.text);
		/* One space between fields. */
		for (char *c = out, *from = out; (*c = *from == '\t' ? ' ' : *from); from++)
			c += c == out || *c != ' ' || c[-1] != ' ';
		memcpy(&length, at, sizeof(length));
		at += 2 + length;
	}
	record_text_free(&line);
}

/* The zone as it is stored; "" when it is not. */
static inline void store_world_zone(struct store *store, const char *name, char *text, size_t room)
{
	knot_dname_storage_t apex;
	struct store_snapshot *snapshot;
	struct store_rrset rrset;
	int result;

	text[0] = '\0';
	knot_dname_from_str(apex, name, sizeof(apex));
	snapshot = store_snapshot_begin(store, apex);
	if (!snapshot)
		return;
	while ((result = store_snapshot_next(snapshot, &rrset)) > 0)
		store_world_print("", &rrset, text, room);
	assert_int_equal(0, result);
	store_snapshot_end(snapshot);
}

/* The differences from a serial; "gap" when the journal does not reach back. */
static inline void store_world_journal(struct store *store, const char *name, uint32_t from, char *text, size_t room)
{
	static const char *const marks[] = {"< ", "- ", "> ", "+ "};
	knot_dname_storage_t apex;
	struct store_snapshot *snapshot;
	struct store_rrset rrset;
	enum store_part part;
	uint64_t octets;
	int result;

	text[0] = '\0';
	knot_dname_from_str(apex, name, sizeof(apex));
	snapshot = store_snapshot_begin(store, apex);
	assert_non_null(snapshot);
	result = store_snapshot_changes(snapshot, from, &octets);
	assert_true(result >= 0);
	if (!result)
		strcpy(text, "gap");
	while (result && (result = store_snapshot_next_change(snapshot, &part, &rrset)) > 0)
		store_world_print(marks[part], &rrset, text, room);
	assert_int_equal(0, result);
	store_snapshot_end(snapshot);
}

/* For tests that each have a directory of their own. */
static struct store_world world;

static inline int open_world(void **state)
{
	store_world_open(&world);
	return 0;
}

static inline int close_world(void **state)
{
	store_world_close(&world);
	return 0;
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

#endif

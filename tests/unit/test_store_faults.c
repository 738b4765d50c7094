/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The store where things go wrong: killed at any moment, damaged, full. */
#include "store/store_internal.h"
#include "store_world.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>

static const uint8_t *const apex = (const uint8_t *)"\4test";

/* ---- a zone whose every address is its serial ---- */

static void put_address(struct zone_builder *builder, struct zone_changes *changes, bool adds, uint32_t name,
                        uint32_t serial)
{
	uint8_t address[4] = {serial >> 24, serial >> 16, serial >> 8, serial};
	knot_dname_storage_t owner;
	char text[32];

	snprintf(text, sizeof(text), "n%u.test.", name);
	knot_dname_from_str(owner, text, sizeof(owner));
	if (builder)
		assert_int_equal(0, zone_builder_add(builder, owner, KNOT_RRTYPE_A, 60, address, 4));
	else if (adds)
		assert_int_equal(0, zone_changes_add(changes, owner, KNOT_RRTYPE_A, 60, address, 4));
	else
		assert_int_equal(0, zone_changes_remove(changes, owner, KNOT_RRTYPE_A, address, 4));
}

static struct zone_version *serial_version(uint32_t serial, uint32_t names)
{
	struct zone_builder *builder = zone_builder_new(apex, 0);
	char why[256];
	uint8_t soa[36];
	struct zone_version *version;

	store_world_soa(serial, soa);
	assert_int_equal(0, zone_builder_add(builder, apex, KNOT_RRTYPE_SOA, 60, soa, sizeof(soa)));
	assert_int_equal(0, zone_builder_add(builder, apex, KNOT_RRTYPE_NS, 60, soa, 8));
	for (uint32_t i = 0; i < names; i++)
		put_address(builder, NULL, true, i, serial);
	version = zone_builder_finish(builder, why, sizeof(why));
	assert_non_null(version);
	return version;
}

static struct store_edit *serial_edit(uint32_t serial, uint32_t names)
{
	struct zone_changes *changes = zone_changes_new(apex, serial - 1, 0);
	struct store_edit *edit;
	uint8_t soa[36];

	assert_int_equal(0, zone_changes_next(changes));
	for (uint32_t i = 0; i < names; i++)
		put_address(NULL, changes, false, i, serial - 1);
	store_world_soa(serial, soa);
	assert_int_equal(0, zone_changes_soa(changes, 60, soa, sizeof(soa)));
	for (uint32_t i = 0; i < names; i++)
		put_address(NULL, changes, true, i, serial);
	edit = store_edit_new(changes);
	zone_changes_free(changes);
	assert_non_null(edit);
	return edit;
}

/* Puts a version and waits; returns what came of it. */
static enum store_outcome put_version(uint32_t serial, uint32_t names)
{
	struct zone_version *version = serial_version(serial, names);
	size_t written = world.written, failed = world.failed;

	store_put_version(world.store, version, &store_world_clocks, 0);
	zone_unref(version);
	store_world_wait(&world, world.written + world.misfits + world.failed + 1);
	return world.written > written ? STORE_WRITTEN : world.failed > failed ? STORE_FAILED : STORE_MISFIT;
}

/* That what is stored is one whole version. Returns its serial. */
static uint32_t check_whole(uint32_t names)
{
	char why[256] = "";
	struct zone_version *version = store_load(world.store, apex, why, sizeof(why));
	uint32_t serial;

	if (!version)
		fail_msg("%s", why);
	serial = version->serial;
	assert_true(!names || version->name_count == names + 1);
	for (size_t i = 1; i < version->name_count; i++)
		assert_int_equal(serial, get32(version->names[i].rrsets[0].rdata + 2));
	zone_unref(version);
	return serial;
}

/* ---- kills ---- */

static int report_to;

static void tell(void *context, const uint8_t *of, uint32_t serial, enum store_outcome outcome)
{
	if (outcome != STORE_WRITTEN || write(report_to, &serial, sizeof(serial)) != sizeof(serial))
		_exit(9);
}

/* Writes one version after another until it is killed: by edits, by versions that differ little, by versions written
 * anew, in one transaction and in slices. */
static void write_until_killed(const char *path, uint32_t serial, unsigned seed)
{
	struct store_hooks hooks = {.written = tell};
	struct store *store;
	uint32_t names;
	uv_loop_t loop;
	uv_timer_t tick;

	uv_loop_init(&loop);
	uv_timer_init(&loop, &tick);
	uv_timer_start(&tick, store_world_tick, 1, 1);
	store = store_open(path, 0, &hooks, &loop);
	if (!store)
		_exit(8);
	names = 0; /* of the version before, which is not known */
	for (;; serial++) {
		struct zone_version *version;
		unsigned way = rand_r(&seed) % 16;

		if (way < 12 && names && names <= 2000) {
			store_put_edit(store, serial_edit(serial, names), &store_world_clocks, 0);
		} else {
			names = way == 15 ? 120000 : way < 14 ? 100 : 2000;
			version = serial_version(serial, names);
			store_put_version(store, version, &store_world_clocks, 0);
			zone_unref(version);
		}
		uv_run(&loop, rand_r(&seed) % 2 ? UV_RUN_ONCE : UV_RUN_NOWAIT);
	}
}

static uint32_t last_told(int from)
{
	uint32_t serial = 0, read_one;

	while (read(from, &read_one, sizeof(read_one)) == sizeof(read_one))
		serial = read_one;
	return serial;
}

static void killed(void **state)
{
	uint32_t kills = store_world_number("PEREGRINE_STORE_KILLS", 30), least = 0, stored = 0, progress = 0;
	unsigned seed = store_world_number("PG_SEED", 1);

	for (uint32_t i = 0; i < kills; i++) {
		int ends[2], status;
		uint32_t told;
		pid_t child;

		assert_int_equal(0, pipe(ends));
		child = fork();
		if (!child) {
			report_to = ends[1];
			write_until_killed(world.path, stored + 1, seed + i);
		}
		close(ends[1]);
		usleep(5000 + rand_r(&seed) % 150000);
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		told = last_told(ends[0]);
		close(ends[0]);
		if (told > least)
			least = told;
		store_world_start(&world, 0);
		stored = least ? check_whole(0) : 0;
		if (stored < least)
			fail_msg("serial %u was said to be written, %u is stored", least, stored);
		progress += told != 0;
		store_world_stop(&world);
	}
	assert_true(progress > kills / 4);
	{
		DIR *directory = opendir(world.directory);
		size_t entries = 0;

		while (readdir(directory))
			entries++;
		closedir(directory);
		assert_int_equal(3, entries); /* nothing was set aside */
	}
}

/* ---- large versions, and the room they leave ---- */

static void in_slices(void **state)
{
	struct store_status status;
	char path[128];
	uint64_t first;
	int reader;

	store_world_start(&world, 0);
	assert_int_equal(STORE_WRITTEN, put_version(1, 220000));
	assert_int_equal(1, check_whole(220000));
	store_get_status(world.store, &status);
	first = status.used;
	assert_true(first > 4U << 20);
	assert_int_equal(STORE_WRITTEN, put_version(2, 220000));
	assert_int_equal(2, check_whole(220000));
	for (int i = 0; i < 1000 && (store_get_status(world.store, &status), status.used > first + first / 8); i++)
		usleep(10000);
	assert_true(status.used <= first + first / 8);
	assert_true(status.octets < 3 * first);
	assert_int_equal(STORE_WRITTEN, put_version(3, 10));
	for (int i = 0; i < 1000 && (store_get_status(world.store, &status), status.used > first / 8); i++)
		usleep(10000);
	assert_true(status.used < first / 8);
	store_world_stop(&world);
	/* Opened again while another process reads, it stays; else the file is written anew. */
	snprintf(path, sizeof(path), "%s/readers", world.path);
	reader = open(path, O_RDWR | O_CREAT, 0600);
	assert_int_equal(0, flock(reader, LOCK_SH));
	store_world_start(&world, 0);
	store_get_status(world.store, &status);
	assert_true(status.octets > first);
	store_world_stop(&world);
	close(reader);
	store_world_start(&world, 0);
	store_get_status(world.store, &status);
	assert_true(status.octets < first / 8);
	assert_int_equal(3, check_whole(10));
	assert_int_equal(STORE_WRITTEN, put_version(4, 10));
	assert_int_equal(4, check_whole(10));
	store_world_stop(&world);
	store_world_start(&world, 0);
	assert_int_equal(4, check_whole(10));
}

static void map_grows(void **state)
{
	struct store_snapshot *snapshot;

	store_world_start(&world, 256 << 10);
	assert_int_equal(STORE_WRITTEN, put_version(1, 10));
	assert_int_equal(STORE_WRITTEN, put_version(2, 150000));
	assert_int_equal(2, check_whole(150000));
	snapshot = store_snapshot_begin(world.store, apex);
	{
		struct zone_version *version = serial_version(3, 400000);

		store_put_version(world.store, version, &store_world_clocks, 0);
		zone_unref(version);
	}
	/* It waits for who reads. */
	usleep(300000);
	assert_int_equal(2, store_snapshot_zone(snapshot)->serial);
	store_snapshot_end(snapshot);
	store_world_wait(&world, 3);
	assert_int_equal(3, world.written);
	assert_int_equal(3, check_whole(400000));
}

static void disk_is_full(void **state)
{
	struct rlimit before, limit;
	struct store_status status;
	struct stat file;
	char path[128];

	store_world_start(&world, 0);
	assert_int_equal(STORE_WRITTEN, put_version(1, 100));
	snprintf(path, sizeof(path), "%s/data.mdb", world.path);
	assert_int_equal(0, stat(path, &file));
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	limit = before;
	limit.rlim_cur = file.st_size + 4096;
	assert_int_equal(0, setrlimit(RLIMIT_FSIZE, &limit));
	for (uint32_t serial = 2; serial < 5; serial++)
		assert_int_equal(STORE_FAILED, put_version(serial, 5000));
	store_get_status(world.store, &status);
	assert_true(status.failing);
	assert_non_null(strstr(status.error, "full"));
	assert_int_equal(1, check_whole(100));
	assert_int_equal(0, setrlimit(RLIMIT_FSIZE, &before));
	assert_int_equal(STORE_WRITTEN, put_version(5, 5000));
	store_get_status(world.store, &status);
	assert_false(status.failing);
	assert_string_equal("", status.error);
	assert_int_equal(5, check_whole(5000));
}

/* ---- damage ---- */

static size_t aside_count(void)
{
	DIR *directory = opendir(world.directory);
	struct dirent *entry;
	size_t count = 0;

	while ((entry = readdir(directory)))
		count += !strncmp(entry->d_name, "store.corrupt-", 14);
	closedir(directory);
	return count;
}

static void write_at(const char *file, off_t at, const void *data, size_t size)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", world.path, file);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(size, pwrite(fd, data, size, at));
	close(fd);
}

/* Opens what was damaged: it is set aside, and there is an empty store that can be written. */
static void expect_set_aside(void)
{
	struct store_zone zone;

	store_world_start(&world, 0);
	assert_int_equal(1, aside_count());
	assert_false(store_find(world.store, apex, &zone));
	assert_int_equal(STORE_WRITTEN, put_version(1, 2000));
	assert_int_equal(1, check_whole(2000));
	store_world_stop(&world);
}

static void damaged_files(void **state)
{
	uint8_t garbage[65536];
	unsigned seed = 1;
	struct store_format other = {.magic = STORE_MAGIC, .format = STORE_FORMAT + 1, .order = STORE_ORDER};
	MDB_val key = {.mv_data = "format", .mv_size = 6}, value = {.mv_data = &other, .mv_size = sizeof(other)};
	MDB_dbi dbi[DB_COUNT];
	MDB_env *env;
	MDB_txn *txn;
	char path[128];

	for (size_t i = 0; i < sizeof(garbage); i++)
		garbage[i] = rand_r(&seed);
	assert_int_equal(0, mkdir(world.path, 0700));
	/* Nothing was written in it yet, which is no damage. */
	assert_int_equal(0, mdb_env_create(&env));
	assert_int_equal(0, mdb_env_open(env, world.path, 0, 0600));
	mdb_env_close(env);
	write_at("owner", 0, "1", 1);
	store_world_start(&world, 0);
	assert_int_equal(0, aside_count());
	store_world_stop(&world);
	write_at("data.mdb", 0, garbage, sizeof(garbage));
	expect_set_aside();
	/* Another format. */
	assert_int_equal(0, env_open(world.path, 0, 1 << 20, &env, dbi));
	assert_int_equal(0, mdb_txn_begin(env, NULL, 0, &txn));
	assert_int_equal(0, mdb_put(txn, dbi[DB_META], &key, &value, 0));
	assert_int_equal(0, mdb_txn_commit(txn));
	mdb_env_close(env);
	expect_set_aside();
	/* Cut off. */
	snprintf(path, sizeof(path), "%s/data.mdb", world.path);
	assert_int_equal(0, truncate(path, 3 * 4096));
	expect_set_aside();
	/* Pages of nothing, and nobody ended well. */
	write_at("data.mdb", 2L * 4096, garbage, sizeof(garbage));
	write_at("owner", 0, "1", 1);
	expect_set_aside();
}

/* A record that is not what the head says is found too; a zone that cannot be is written anew when it is put. */
static void damaged_zone(void **state)
{
	struct record_key key;
	MDB_val key_value, value;
	MDB_dbi dbi[DB_COUNT];
	struct head head;
	char why[256];
	MDB_env *env;
	MDB_txn *txn;
	size_t end;

	store_world_start(&world, 0);
	assert_int_equal(STORE_WRITTEN, put_version(1, 100));
	store_world_stop(&world);
	assert_int_equal(0, env_open(world.path, 0, 1 << 20, &env, dbi));
	assert_int_equal(0, mdb_txn_begin(env, NULL, 0, &txn));
	key_value = apex_key(apex);
	assert_int_equal(0, mdb_get(txn, dbi[DB_ZONES], &key_value, &value));
	assert_int_equal(0, head_read(&value, &head));
	key_owner(&key, head.id, (const uint8_t *)"\2n7\4test", &end);
	key_type(&key, end, KNOT_RRTYPE_A, 0);
	key_value = (MDB_val){.mv_data = key.octets, .mv_size = key.length};
	value = (MDB_val){.mv_data = "short", .mv_size = 5};
	assert_int_equal(0, mdb_put(txn, dbi[DB_RECORDS], &key_value, &value, 0));
	assert_int_equal(0, mdb_txn_commit(txn));
	mdb_env_close(env);
	store_world_start(&world, 0);
	assert_null(store_load(world.store, apex, why, sizeof(why)));
	assert_int_equal(STORE_WRITTEN, put_version(2, 100));
	assert_int_equal(2, check_whole(100));
	assert_int_equal(0, aside_count());
}

/* Damage that LMDB finds while the store is used: it goes aside, and the store goes on. */
static void damaged_in_use(void **state)
{
	struct zone_version *version;
	char path[128];
	struct stat file;
	uint8_t none[2] = {};
	size_t said;

	store_world_start(&world, 0);
	assert_int_equal(STORE_WRITTEN, put_version(1, 1000));
	snprintf(path, sizeof(path), "%s/data.mdb", world.path);
	assert_int_equal(0, stat(path, &file));
	for (off_t page = 2; page < file.st_size / 4096; page++)
		write_at("data.mdb", page * 4096 + 10, none, sizeof(none)); /* what kind of page it is */
	store_put_edit(world.store, serial_edit(2, 1000), &store_world_clocks, 0);
	store_world_wait(&world, 2);
	assert_int_equal(1, world.misfits);
	assert_int_equal(1, aside_count());
	/* Another zone, of which there was nothing new, is asked for when its clocks are put. */
	said = world.misfits + world.written;
	store_put_clocks(world.store, (const uint8_t *)"\5other", &store_world_clocks);
	store_world_wait(&world, said + 1);
	assert_int_equal(2, world.misfits);
	version = serial_version(2, 1000);
	store_put_version(world.store, version, &store_world_clocks, 0);
	zone_unref(version);
	store_world_wait(&world, said + 2);
	assert_int_equal(2, check_whole(1000));
}

static void one_owner(void **state)
{
	struct store_hooks hooks = {};
	char why[256];
	struct store *reader;

	store_world_start(&world, 0);
	assert_null(store_open(world.path, 0, &hooks, &world.loop));
	assert_int_equal(STORE_WRITTEN, put_version(1, 10));
	reader = store_open_to_read("/nonexistent", why, sizeof(why));
	assert_null(reader);
	assert_non_null(strstr(why, "/nonexistent"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    IN_DIRECTORY(killed),         IN_DIRECTORY(in_slices),     IN_DIRECTORY(map_grows),
	    IN_DIRECTORY(disk_is_full),   IN_DIRECTORY(damaged_files), IN_DIRECTORY(damaged_zone),
	    IN_DIRECTORY(damaged_in_use), IN_DIRECTORY(one_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

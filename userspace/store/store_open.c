/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opening: who may write, what is good, and what is set aside. */
#include "store/store_internal.h"
#include "common/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Address space, not disk: nothing of it is taken before it is written. */
#define MAP_DEFAULT (64ULL << 30)
/* A file that is at least so large and more than half empty is written anew when it is opened. */
#define COMPACT_LEAST (16ULL << 20)

static const char *const database_names[DB_COUNT] = {"meta", "zones", "clocks", "records", "journal", "garbage"};

/* The format of what is there; a new file gets ours. */
static int check_format(MDB_txn *txn, MDB_dbi meta, bool make)
{
	static const struct store_format ours = {.magic = STORE_MAGIC, .format = STORE_FORMAT, .order = STORE_ORDER};
	MDB_val key = {.mv_data = (void *)"format", .mv_size = 6}, value;
	int result = mdb_get(txn, meta, &key, &value);

	if (result == MDB_NOTFOUND && make) {
		value = (MDB_val){.mv_data = (void *)&ours, .mv_size = sizeof(ours)};
		return mdb_put(txn, meta, &key, &value, 0);
	}
	if (result)
		return result == MDB_NOTFOUND ? MDB_VERSION_MISMATCH : result;
	return value.mv_size == sizeof(ours) && !memcmp(value.mv_data, &ours, sizeof(ours)) ? 0 : MDB_VERSION_MISMATCH;
}

/* Whether whoever made the file did not come to make databases in it, which are all made at once. */
static bool is_empty(MDB_env *env)
{
	MDB_stat names;

	return !mdb_env_stat(env, &names) && !names.ms_entries;
}

static int open_databases(MDB_env *env, unsigned flags, MDB_dbi *dbi)
{
	bool reads = flags & MDB_RDONLY;
	MDB_txn *txn;
	int result = mdb_txn_begin(env, NULL, flags & MDB_RDONLY, &txn);

	if (result)
		return result;
	for (int i = 0; !result && i < DB_COUNT; i++) {
		result = mdb_dbi_open(txn, database_names[i], reads ? 0 : MDB_CREATE, &dbi[i]);
		if (result == MDB_NOTFOUND && !i && is_empty(env))
			result = STORE_E_EMPTY;
		if (!result && i == DB_META)
			result = check_format(txn, dbi[i], !reads);
	}
	if (result) {
		mdb_txn_abort(txn);
		return result;
	}
	return mdb_txn_commit(txn);
}

int env_open(const char *directory, unsigned flags, uint64_t map, MDB_env **env, MDB_dbi *dbi)
{
	int dead, result = mdb_env_create(env);

	if (result)
		return result;
	result = mdb_env_set_maxdbs(*env, DB_COUNT);
	if (!result)
		result = mdb_env_set_maxreaders(*env, STORE_SNAPSHOTS + 64);
	if (!result && !(flags & MDB_RDONLY))
		result = mdb_env_set_mapsize(*env, map);
	/* NOTLS: a snapshot moves between threads. NORDAHEAD would slow down loading. */
	if (!result)
		result = mdb_env_open(*env, directory, flags | MDB_NOTLS, 0600);
	if (!result)
		result = mdb_reader_check(*env, &dead);
	if (!result)
		result = open_databases(*env, flags, dbi);
	if (result) {
		mdb_env_close(*env);
		*env = NULL;
	}
	return result;
}

bool is_damage(int error)
{
	return error == MDB_INVALID || error == MDB_VERSION_MISMATCH || error == MDB_CORRUPTED ||
	       error == MDB_PAGE_NOTFOUND || error == MDB_INCOMPATIBLE || error == MDB_NOTFOUND || error == MDB_PANIC;
}

/* ---- setting aside ---- */

static void remove_directory(const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;

	while (directory && (entry = readdir(directory)))
		unlinkat(dirfd(directory), entry->d_name, 0);
	if (directory)
		closedir(directory);
	rmdir(path);
}

/* Of what was set aside before nothing is kept: one is enough to look into, and many would fill the disk. */
static void remove_older(const char *directory)
{
	char parent[PATH_MAX], prefix[NAME_MAX + 1];
	const char *slash = strrchr(directory, '/');
	DIR *entries;
	struct dirent *entry;

	snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - directory) : 1, slash ? directory : ".");
	snprintf(prefix, sizeof(prefix), "%s.corrupt-", slash ? slash + 1 : directory);
	entries = opendir(parent);
	while (entries && (entry = readdir(entries))) {
		char path[2 * PATH_MAX];

		if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", parent, entry->d_name);
		remove_directory(path);
	}
	if (entries)
		closedir(entries);
}

/* Moves data and lock to a directory beside; the one with the owner's lock stays where it is. */
int set_aside(const char *directory, const char *why)
{
	static const char *const files[] = {"data.mdb", "lock.mdb"};
	char beside[PATH_MAX], when[32];
	time_t now = time(NULL);
	struct tm broken;

	strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", gmtime_r(&now, &broken));
	snprintf(beside, sizeof(beside), "%s.corrupt-%s", directory, when);
	remove_older(directory);
	if (mkdir(beside, 0700) && errno != EEXIST) {
		log_error("%s: damaged (%s), and %s cannot be made: %s; zones are not kept on disk", directory, why,
		          beside, strerror(errno));
		return -1;
	}
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char from[PATH_MAX + 16], to[PATH_MAX + 16];

		snprintf(from, sizeof(from), "%s/%s", directory, files[i]);
		snprintf(to, sizeof(to), "%s/%s", beside, files[i]);
		if (rename(from, to) && errno != ENOENT) {
			log_error("%s: damaged (%s), and cannot be set aside: %s; zones are not kept on disk", from,
			          why, strerror(errno));
			return -1;
		}
	}
	log_error("%s: damaged (%s); set aside as %s, and filled anew from what is served and from the primaries",
	          directory, why, beside);
	return 0;
}

/* ---- the owner ---- */

/* Takes the lock of the one who writes. *clean: the one before ended as it should. Returns the file, or -1. */
static int take_ownership(const char *directory, bool *clean)
{
	char path[PATH_MAX];
	struct stat status;
	int file;

	if (mkdir(directory, 0700) && errno != EEXIST) {
		log_error("%s: cannot be made: %s; zones are not kept on disk", directory, strerror(errno));
		return -1;
	}
	snprintf(path, sizeof(path), "%s/owner", directory);
	file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (file < 0 || fstat(file, &status)) {
		log_error("%s: %s; zones are not kept on disk", path, strerror(errno));
	} else if (flock(file, LOCK_EX | LOCK_NB)) {
		log_error("%s: another agent has this store; give each its state-directory; zones are not kept on disk",
		          directory);
	} else {
		*clean = status.st_size == 0;
		/* On a full disk it stays as it is: what is lost is one check after a crash. */
		if (*clean && write(file, "1", 1) < 0)
			log_debug("%s: %s", path, strerror(errno));
		return file;
	}
	if (file >= 0)
		close(file);
	return -1;
}

/* ---- opening ---- */

/* Other processes that read do so with a lock of theirs on a file. Returns it open, with the lock, or -1. */
static int lock_readers(const char *directory, int operation)
{
	char path[PATH_MAX];
	int file;

	snprintf(path, sizeof(path), "%s/readers", directory);
	file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (file >= 0 && flock(file, operation)) {
		close(file);
		file = -1;
	}
	return file;
}

/* Puts what was copied in the file's place. LMDB's lock file goes by the file that it was made for. */
static int exchange(struct store *store, const char *path, const char *new_path)
{
	char lock[PATH_MAX];

	snprintf(lock, sizeof(lock), "%s/lock.mdb", store->directory);
	mdb_env_close(store->env);
	store->env = NULL;
	if (rename(new_path, path))
		log_warning("%s: cannot be renamed: %s", new_path, strerror(errno));
	unlink(lock);
	return env_open(store->directory, 0, store->map, &store->env, store->dbi);
}

/* Writes the file anew without what is free, when that is most of it and no other process reads it. */
static int compact(struct store *store)
{
	char path[PATH_MAX], new_path[PATH_MAX];
	struct stat status;
	int file, readers, result;

	snprintf(path, sizeof(path), "%s/data.mdb", store->directory);
	snprintf(new_path, sizeof(new_path), "%s/data.new", store->directory);
	unlink(new_path); /* of one who did not come to the end */
	if (stat(path, &status) || (uint64_t)status.st_size < COMPACT_LEAST ||
	    store->used > (uint64_t)status.st_size / 2)
		return 0;
	readers = lock_readers(store->directory, LOCK_EX | LOCK_NB);
	if (readers < 0)
		return 0;
	file = open(new_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	result = file < 0 ? errno : mdb_env_copyfd2(store->env, file, MDB_CP_COMPACT);
	if (!result && fsync(file))
		result = errno;
	if (file >= 0)
		close(file);
	if (result) {
		log_warning("%s: cannot be compacted: %s; it is used as it is", path, mdb_strerror(result));
		unlink(new_path);
		result = 0;
	} else {
		result = exchange(store, path, new_path);
		if (!result)
			store_measure(store);
	}
	close(readers);
	return result;
}

/* Whether the file is shorter than its pages would have it. It may be: pages at its end that were given up in the
 * transaction that took them were never written. But reading behind the end would be the end of the process. */
static bool is_short(const char *directory)
{
	char path[PATH_MAX];
	MDB_envinfo info = {};
	MDB_stat pages = {};
	struct stat file;
	MDB_env *env;
	bool is = false;

	snprintf(path, sizeof(path), "%s/data.mdb", directory);
	if (stat(path, &file) || mdb_env_create(&env))
		return false;
	if (!mdb_env_open(env, directory, MDB_RDONLY, 0600) && !mdb_env_info(env, &info) && !mdb_env_stat(env, &pages))
		is = (uint64_t)file.st_size < (info.me_last_pgno + 1) * (uint64_t)pages.ms_psize;
	mdb_env_close(env);
	return is;
}

static int open_env(struct store *store, bool clean)
{
	char why[256];
	bool good = (clean && !is_short(store->directory)) || store_check_apart(store->directory, why, sizeof(why));
	int result = good ? env_open(store->directory, 0, store->map, &store->env, store->dbi) : 0;

	if (good && is_damage(result)) {
		good = false;
		snprintf(why, sizeof(why), "%s", mdb_strerror(result));
	}
	if (!good) {
		if (set_aside(store->directory, why))
			return -1;
		result = env_open(store->directory, 0, store->map, &store->env, store->dbi);
	}
	if (!result) {
		store_measure(store);
		result = compact(store);
	}
	if (result)
		log_error("%s: cannot be opened: %s; zones are not kept on disk", store->directory,
		          mdb_strerror(result));
	return result;
}

void store_measure(struct store *store)
{
	uint64_t pages = 2, octets = 0;
	MDB_stat database = {};
	MDB_envinfo info = {};
	MDB_txn *txn;

	if (mdb_env_info(store->env, &info) || mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn))
		return;
	for (int i = 0; i < DB_COUNT; i++)
		if (!mdb_stat(txn, store->dbi[i], &database))
			pages += database.ms_branch_pages + database.ms_leaf_pages + database.ms_overflow_pages;
	mdb_txn_abort(txn);
	octets = (info.me_last_pgno + 1) * (uint64_t)database.ms_psize;
	pthread_mutex_lock(&store->lock);
	store->octets = octets;
	store->used = pages * database.ms_psize;
	pthread_mutex_unlock(&store->lock);
}

static struct store *make_store(const char *directory)
{
	struct store *store = calloc(1, sizeof(*store));

	if (!store)
		return NULL;
	store->directory = strdup(directory);
	if (!store->directory) {
		free(store);
		return NULL;
	}
	store->owner = store->readers_lock = -1;
	pthread_mutex_init(&store->gate, NULL);
	pthread_mutex_init(&store->lock, NULL);
	pthread_cond_init(&store->wake, NULL);
	return store;
}

void store_free(struct store *store)
{
	if (store->env)
		mdb_env_close(store->env);
	if (store->owner >= 0) {
		/* The next one need not look for damage. */
		if (!store->suspect && ftruncate(store->owner, 0))
			log_debug("%s: %s", store->directory, strerror(errno));
		close(store->owner);
	}
	if (store->readers_lock >= 0)
		close(store->readers_lock);
	pthread_cond_destroy(&store->wake);
	pthread_mutex_destroy(&store->lock);
	pthread_mutex_destroy(&store->gate);
	free(store->directory);
	free(store);
}

struct store *store_open(const char *directory, uint64_t map, const struct store_hooks *hooks, uv_loop_t *loop)
{
	struct store *store = make_store(directory);
	bool clean = true;

	if (!store) {
		log_error("%s: out of memory; zones are not kept on disk", directory);
		return NULL;
	}
	store->hooks = *hooks;
	store->map = map ? map : MAP_DEFAULT;
	store->owner = take_ownership(directory, &clean);
	store->suspect = store->owner >= 0; /* until all is well */
	if (store->owner < 0 || open_env(store, clean) || writer_start(store, loop)) {
		store_free(store);
		return NULL;
	}
	store->suspect = false;
	return store;
}

struct store *store_open_to_read(const char *directory, char *why, size_t why_size)
{
	struct store *store = make_store(directory);
	int result = ENOMEM;

	if (store) {
		/* On a file system that cannot be written nothing is moved either. */
		store->readers_lock = lock_readers(directory, LOCK_SH);
		result = env_open(directory, MDB_RDONLY, 0, &store->env, store->dbi);
	}
	if (!result)
		return store;
	snprintf(why, why_size, "%s: cannot be read: %s", directory,
	         result == STORE_E_EMPTY ? "nothing is stored yet" : mdb_strerror(result));
	if (store)
		store_free(store);
	return NULL;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Jobs in transactions: as many as there are in one, so that each waits for the disk no longer than all of them. */
#include "store/store_internal.h"
#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define READERS_WAIT_MS 100
#define READERS_TRIES 50

static bool is_page_damage(int result)
{
	return result == MDB_CORRUPTED || result == MDB_PAGE_NOTFOUND || result == MDB_BAD_TXN;
}

/* What to do about an error. LMDB says EIO too when only a part could be written. */
static const char *way_out(int result)
{
	if (result == ENOSPC || result == EDQUOT || result == EFBIG)
		return "; its file system is full: make room there";
	return result == EIO ? "; its file system is full or failing: make room there" : "";
}

void note_result(struct store *store, int result)
{
	bool was;

	pthread_mutex_lock(&store->lock);
	was = store->failing;
	store->failing = result;
	if (is_page_damage(result) || result == MDB_PANIC)
		store->suspect = true;
	snprintf(store->error, sizeof(store->error), "%s%s", result ? mdb_strerror(result) : "", way_out(result));
	pthread_mutex_unlock(&store->lock);
	if (result && !was)
		log_error("%s: cannot be written: %s%s; zones are served all the same, and written later",
		          store->directory, mdb_strerror(result), way_out(result));
	else if (!result && was)
		log_notice("%s: can be written again", store->directory);
}

/* Calls `action` when no transaction reads. Returns its result, or MDB_MAP_FULL when readers stay too long. */
static int without_readers(struct store *store, int (*action)(struct store *store))
{
	int result = MDB_MAP_FULL;

	for (int i = 0; i < READERS_TRIES; i++) {
		pthread_mutex_lock(&store->gate);
		if (!store->readers) {
			result = action(store);
			pthread_mutex_unlock(&store->gate);
			return result;
		}
		pthread_mutex_unlock(&store->gate);
		usleep(READERS_WAIT_MS * 1000);
	}
	return result;
}

static int grow(struct store *store)
{
	int result = mdb_env_set_mapsize(store->env, store->map * 2);

	if (!result)
		store->map *= 2;
	return result;
}

static int reopen(struct store *store)
{
	if (store->env)
		mdb_env_close(store->env);
	store->env = NULL;
	return env_open(store->directory, 0, store->map, &store->env, store->dbi);
}

/* What is damaged goes aside; whoever puts something of a zone that is not there is asked for all of it. */
static int begin_anew(struct store *store)
{
	if (store->env)
		mdb_env_close(store->env);
	store->env = NULL;
	if (set_aside(store->directory, "a page is not what it should be"))
		return MDB_PANIC;
	return reopen(store);
}

static int apply_one(struct store *store, MDB_txn *txn, struct job *job)
{
	switch (job->kind) {
	case JOB_VERSION:
		return apply_version(store, txn, job);
	case JOB_EDIT:
		return apply_edit(store, txn, job);
	case JOB_REMOVE:
		return apply_remove(store, txn, job->apex);
	default:
		return apply_clocks(store, txn, job);
	}
}

static int apply(struct store *store, MDB_txn *txn, struct job *job)
{
	int result = apply_one(store, txn, job);

	if (result == MDB_CORRUPTED && is_heavy(job)) {
		knot_dname_txt_storage_t name;

		log_error("%s: zone %s is stored damaged, and is written anew", store->directory,
		          knot_dname_to_str(name, job->apex, sizeof(name)) ? name : "?");
		if (job->kind == JOB_EDIT)
			return STORE_E_MISFIT;
		result = apply_remove(store, txn, job->apex);
		if (!result)
			result = apply_version(store, txn, job);
	}
	return !result && is_heavy(job) ? apply_clocks(store, txn, job) : result;
}

/* Those from `first` on to `*big`, where that is set, to the end otherwise, in one transaction; those that did not fit
 * are left out. On STORE_E_MISFIT one more is to be left out. */
static int try_jobs(struct store *store, struct job *first, struct job **big)
{
	MDB_txn *txn;
	int result = mdb_txn_begin(store->env, NULL, 0, &txn);

	*big = NULL;
	if (result)
		return result;
	for (struct job *job = first; job && !*big; job = job->next) {
		if (job->outcome == STORE_MISFIT)
			continue;
		result = apply(store, txn, job);
		if (result == STORE_E_BIG) {
			*big = job;
		} else if (result == STORE_E_MISFIT && !is_heavy(job)) {
			job->outcome = STORE_MISFIT; /* nothing was written of it */
		} else if (result) {
			if (result == STORE_E_MISFIT)
				job->outcome = STORE_MISFIT;
			mdb_txn_abort(txn);
			return result;
		}
	}
	return mdb_txn_commit(txn);
}

/* Does it until neither what does not fit nor a full map is in the way. */
static int try_hard(struct store *store, struct job *first, struct job **big)
{
	bool anew = false; /* once is enough */
	int result;

	do {
		result = store->env ? try_jobs(store, first, big) : MDB_PANIC;
		if (result == MDB_MAP_FULL)
			result = without_readers(store, grow) ? MDB_MAP_FULL : STORE_E_MISFIT;
		else if (is_page_damage(result) && !anew)
			result = (anew = !without_readers(store, begin_anew)) ? STORE_E_MISFIT : result;
		else if (result == MDB_PANIC)
			result = without_readers(store, reopen) ? MDB_PANIC : STORE_E_MISFIT;
	} while (result == STORE_E_MISFIT);
	return result;
}

static int try_slices(struct store *store, struct job *job)
{
	int result;

	do {
		result = replace_in_slices(store, job);
	} while (result == MDB_MAP_FULL && !without_readers(store, grow));
	return result;
}

void write_jobs(struct store *store, struct job *first)
{
	while (first) {
		struct job *big = NULL;
		int result = try_hard(store, first, &big);

		for (struct job *job = first; job && (job != big || result); job = job->next)
			if (job->outcome != STORE_MISFIT)
				job->outcome = result ? STORE_FAILED : STORE_WRITTEN;
		if (!result && big) {
			result = try_slices(store, big);
			big->outcome = result ? STORE_FAILED : STORE_WRITTEN;
		}
		note_result(store, result);
		first = big ? big->next : NULL;
	}
}

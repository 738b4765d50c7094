/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The writer's thread: what is put, in which order it is written, and what is said of it. */
#include "store/store_internal.h"
#include "common/log.h"

#include <stdlib.h>
#include <string.h>

/* Clocks wait for company. */
#define CLOCKS_WAIT_MS 1000
/* Of one transaction. */
#define BATCH 512
/* Versions and edits that may wait; what is beyond is refused, and given again by the agent in time. */
#define WAITING_MOST 1024
/* Clocks that may; what is beyond is lost, as in a crash. */
#define CLOCKS_MOST 200000
/* After a failure nobody may be waiting whose attempt would tell that it works again. */
#define RETRY_MS 5000

static void jobs_init(struct jobs *jobs)
{
	jobs->first = NULL;
	jobs->last = &jobs->first;
}

static void jobs_add(struct jobs *jobs, struct job *job)
{
	job->next = NULL;
	*jobs->last = job;
	jobs->last = &job->next;
}

/* Of what is written nothing is kept but what the hook says. */
static void release_content(struct job *job)
{
	zone_unref(job->version);
	store_edit_free(job->edit);
	job->version = NULL;
	job->edit = NULL;
}

static void free_jobs(struct job *job)
{
	while (job) {
		struct job *next = job->next;

		release_content(job);
		free(job);
		job = next;
	}
}

/* ---- the thread ---- */

/* Waits until something is to be done. Under the lock. */
static void wait_for_jobs(struct store *store)
{
	while (!store->stopping && !store->heavy) {
		const struct job *first = store->waiting.first;
		uint64_t until = first ? first->put_at + (first->kind == JOB_CLOCKS ? CLOCKS_WAIT_MS : 0) : UINT64_MAX;
		uint64_t now = monotonic_ms();
		struct timespec at;

		if (store->garbage)
			until = store->failing ? now + RETRY_MS : 0;
		if (until <= now)
			return;
		if (until == UINT64_MAX) {
			pthread_cond_wait(&store->wake, &store->lock);
			continue;
		}
		at = (struct timespec){.tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000};
		if (pthread_cond_clockwait(&store->wake, &store->lock, CLOCK_MONOTONIC, &at))
			return;
	}
}

/* FNV-1a; nobody gains by names that collide, since so few wait. */
static struct job **bucket_of(struct store *store, const uint8_t *apex)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (size_t i = 0, size = knot_dname_size(apex); i < size; i++)
		hash = (hash ^ apex[i]) * 0x100000001b3;
	return &store->by_zone[(hash ^ hash >> 32) % WAITING_BUCKETS];
}

/* A job leaves those that wait. Under the lock. */
static void count_out(struct store *store, struct job *job)
{
	struct job **link;

	if (!is_heavy(job)) {
		store->light--;
		return;
	}
	store->heavy--;
	link = bucket_of(store, job->apex);
	while (*link != job)
		link = &(*link)->next_of_bucket;
	*link = job->next_of_bucket;
}

/* Takes what one transaction may have. Under the lock. */
static struct job *take_batch(struct store *store)
{
	struct jobs batch;
	struct job *first;

	jobs_init(&batch);
	for (int taken = 0; taken < BATCH && store->waiting.first;) {
		struct job *job = store->waiting.first;

		store->waiting.first = job->next;
		count_out(store, job);
		if (job->kind == JOB_NEEDLESS) {
			free(job);
			continue;
		}
		jobs_add(&batch, job);
		taken++;
	}
	if (!store->waiting.first)
		store->waiting.last = &store->waiting.first;
	first = batch.first;
	store->oldest = 0;
	for (const struct job *job = first; job && !store->oldest; job = job->next)
		if (is_heavy(job))
			store->oldest = job->put_at;
	return first;
}

static void write_batch(struct store *store, struct job *batch)
{
	int dead;

	/* Of readers that were killed. */
	if (store->env)
		mdb_reader_check(store->env, &dead);
	write_jobs(store, batch);
	for (struct job *job = batch; job; job = job->next)
		release_content(job);
	store_measure(store);
	pthread_mutex_lock(&store->lock);
	store->oldest = 0;
	store->garbage = true;
	while (batch) {
		struct job *next = batch->next;

		/* Of clocks there is something to say only when their zone is not there. */
		if (is_heavy(batch) || batch->outcome == STORE_MISFIT)
			jobs_add(&store->done, batch);
		else
			free(batch);
		batch = next;
	}
	pthread_mutex_unlock(&store->lock);
	uv_async_send(&store->async);
}

static void sweep_some(struct store *store)
{
	bool more = true, swept = true;
	int result = store->env ? sweep_garbage(store, &more, &swept) : MDB_PANIC;

	if (result)
		more = true;
	/* An empty transaction says nothing of the disk. */
	if (result || swept) {
		note_result(store, result);
		store_measure(store);
	}
	pthread_mutex_lock(&store->lock);
	store->garbage = more;
	pthread_mutex_unlock(&store->lock);
}

static void *run(void *context)
{
	struct store *store = context;

	for (;;) {
		struct job *batch;
		bool stop, garbage;

		pthread_mutex_lock(&store->lock);
		wait_for_jobs(store);
		batch = take_batch(store);
		stop = store->stopping && !batch;
		garbage = store->garbage;
		pthread_mutex_unlock(&store->lock);
		if (stop)
			return NULL;
		if (batch)
			write_batch(store, batch);
		else if (garbage)
			sweep_some(store);
	}
}

/* ---- the loop's side ---- */

static void deliver(uv_async_t *async)
{
	struct store *store = async->data;
	struct job *job;

	pthread_mutex_lock(&store->lock);
	job = store->done.first;
	jobs_init(&store->done);
	pthread_mutex_unlock(&store->lock);
	while (job) {
		struct job *next = job->next;

		store->hooks.written(store->hooks.context, job->apex, job->serial, job->outcome);
		free(job);
		job = next;
	}
}

int writer_start(struct store *store, uv_loop_t *loop)
{
	jobs_init(&store->waiting);
	jobs_init(&store->done);
	store->garbage = true; /* of one who did not end well */
	store->async.data = store;
	if (uv_async_init(loop, &store->async, deliver)) {
		log_error("%s: out of memory; zones are not kept on disk", store->directory);
		return -1;
	}
	uv_unref((uv_handle_t *)&store->async);
	if (!pthread_create(&store->thread, NULL, run, store))
		return 0;
	log_error("%s: no thread can be started for it; zones are not kept on disk", store->directory);
	uv_close((uv_handle_t *)&store->async, NULL);
	/* The handle stands in what the caller frees. */
	uv_run(loop, UV_RUN_NOWAIT);
	return -1;
}

static void closed(uv_handle_t *handle)
{
	store_free(handle->data);
}

void store_close(struct store *store)
{
	if (!store)
		return;
	if (store->owner < 0) {
		store_free(store);
		return;
	}
	pthread_mutex_lock(&store->lock);
	store->stopping = true;
	pthread_cond_signal(&store->wake);
	pthread_mutex_unlock(&store->lock);
	pthread_join(store->thread, NULL);
	free_jobs(store->done.first);
	uv_close((uv_handle_t *)&store->async, closed);
}

static struct job *new_job(int kind, const uint8_t *apex)
{
	struct job *job = calloc(1, sizeof(*job));

	if (!job || knot_dname_to_wire(job->apex, apex, sizeof(job->apex)) < 0) {
		free(job);
		return NULL;
	}
	job->kind = kind;
	job->put_at = monotonic_ms();
	return job;
}

/*
 * Takes away what a later version makes needless: an empty job stays in the queue, so that this costs the same however
 * many wait. What they held is freed by the caller without the lock. Under the lock.
 */
static struct job *drop_earlier(struct store *store, const uint8_t *apex)
{
	struct job **link = bucket_of(store, apex), *dropped = NULL;

	while (*link) {
		struct job *job = *link, *held;

		if (!knot_dname_is_equal(job->apex, apex)) {
			link = &job->next_of_bucket;
			continue;
		}
		held = calloc(1, sizeof(*held));
		if (!held)
			break; /* it is written in vain */
		held->version = job->version;
		held->edit = job->edit;
		held->next = dropped;
		dropped = held;
		*link = job->next_of_bucket;
		job->version = NULL;
		job->edit = NULL;
		job->kind = JOB_NEEDLESS;
		store->heavy--;
		store->light++;
	}
	return dropped;
}

/* Under the lock. */
static void count_in(struct store *store, struct job *job)
{
	struct job **bucket;

	if (!is_heavy(job)) {
		store->light++;
		return;
	}
	store->heavy++;
	/* Behind those of its zone that wait is as good as before them. */
	bucket = bucket_of(store, job->apex);
	job->next_of_bucket = *bucket;
	*bucket = job;
}

static void put(struct store *store, struct job *job)
{
	struct job *dropped = NULL;

	pthread_mutex_lock(&store->lock);
	if (job->kind == JOB_VERSION || job->kind == JOB_REMOVE)
		dropped = drop_earlier(store, job->apex);
	if (is_heavy(job) && store->heavy >= WAITING_MOST) {
		job->outcome = STORE_FAILED;
		release_content(job);
		jobs_add(&store->done, job);
		uv_async_send(&store->async);
	} else if (job->kind == JOB_CLOCKS && store->light >= CLOCKS_MOST) {
		free(job);
	} else {
		count_in(store, job);
		jobs_add(&store->waiting, job);
		pthread_cond_signal(&store->wake);
	}
	pthread_mutex_unlock(&store->lock);
	free_jobs(dropped);
}

void store_put_version(struct store *store, struct zone_version *version, const struct store_clocks *clocks,
                       uint64_t journal)
{
	struct job *job = new_job(JOB_VERSION, version->apex);

	if (!job)
		return;
	zone_ref(version);
	job->version = version;
	job->serial = version->serial;
	job->clocks = *clocks;
	job->journal = journal;
	put(store, job);
}

void store_put_edit(struct store *store, struct store_edit *edit, const struct store_clocks *clocks, uint64_t journal)
{
	struct job *job = new_job(JOB_EDIT, edit_apex(edit));

	if (!job) {
		store_edit_free(edit);
		return;
	}
	job->edit = edit;
	job->serial = edit_serial(edit);
	job->clocks = *clocks;
	job->journal = journal;
	put(store, job);
}

void store_put_clocks(struct store *store, const uint8_t *apex, const struct store_clocks *clocks)
{
	struct job *job = new_job(JOB_CLOCKS, apex);

	if (!job)
		return;
	job->clocks = *clocks;
	put(store, job);
}

void store_remove(struct store *store, const uint8_t *apex)
{
	struct job *job = new_job(JOB_REMOVE, apex);

	if (job)
		put(store, job);
}

void store_get_status(struct store *store, struct store_status *out)
{
	uint64_t oldest;

	*out = (struct store_status){};
	pthread_mutex_lock(&store->lock);
	out->failing = store->failing;
	memcpy(out->error, store->error, sizeof(out->error));
	out->octets = store->octets;
	out->used = store->used;
	out->waiting = store->heavy;
	oldest = store->oldest;
	/* What waits in front of a version has to be written before it. */
	if (!oldest && store->heavy)
		oldest = store->waiting.first->put_at;
	pthread_mutex_unlock(&store->lock);
	out->behind_ms = oldest ? monotonic_ms() - oldest : 0;
}

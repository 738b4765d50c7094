/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The publisher thread: jobs in, completions out on the main thread's loop. */
#include "publish/publish.h"
#include "publish/heat.h"
#include "publish/image_internal.h"
#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <urcu/urcu-memb.h>

#define DROPS 1024 /* zones, at a time */
#define WHY 512

/* Thousands may wait at start, so one is small. */

struct job {
	struct job *next;
	enum { JOB_PUBLISH, JOB_CHANGE, JOB_MAKE, JOB_LOAD, JOB_READ, JOB_DROP, JOB_STOP } kind;
	struct publisher *publisher;
	struct zone_version *version;
	struct zone_changes *changes;
	uint64_t expires_at;
	uint32_t slot; /* to drop */
	publisher_done done;
	publisher_changed changed; /* `done` of changes */
	publisher_made made;       /* `done` of what is read back, or made */
	publisher_supply supply;
	bool misfit;
	void *context;
	char *why;      /* NULL: it went well */
	uint8_t apex[]; /* to load, to read */
};

static char no_memory[] = "out of memory";

static void job_failed(struct job *job, const char *why)
{
	job->why = strdup(why);
	if (!job->why)
		job->why = no_memory;
}

static void free_job(struct job *job)
{
	if (job->why != no_memory)
		free(job->why);
	free(job);
}

struct queue {
	struct job *first, **last;
};

struct publisher {
	struct image *image;
	pthread_t thread;
	pthread_mutex_t lock; /* of the queues */
	pthread_cond_t wake;
	struct queue jobs, completions;
	uv_async_t async;
};

static void queue_put(struct publisher *publisher, struct queue *queue, struct job *job)
{
	pthread_mutex_lock(&publisher->lock);
	job->next = NULL;
	*queue->last = job;
	queue->last = &job->next;
	pthread_cond_signal(&publisher->wake);
	pthread_mutex_unlock(&publisher->lock);
}

/* Waits for a job, while names may have to move no longer than to the next tick. Under the lock. */
static void wait_for_job(struct publisher *publisher)
{
	struct timespec until;

	if (!heat_wanted(publisher->image)) {
		pthread_cond_wait(&publisher->wake, &publisher->lock);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += HEAT_TICK_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	if (pthread_cond_clockwait(&publisher->wake, &publisher->lock, CLOCK_MONOTONIC, &until) != ETIMEDOUT)
		return;
	pthread_mutex_unlock(&publisher->lock);
	heat_tick(publisher->image);
	pthread_mutex_lock(&publisher->lock);
}

static struct job *queue_take(struct publisher *publisher, struct queue *queue, bool wait)
{
	struct job *job;

	pthread_mutex_lock(&publisher->lock);
	while (!queue->first && wait)
		wait_for_job(publisher);
	job = queue->first;
	if (job) {
		queue->first = job->next;
		if (!queue->first)
			queue->last = &queue->first;
	}
	pthread_mutex_unlock(&publisher->lock);
	return job;
}

/* From here on the job belongs to the main thread. */
static void complete(void *context)
{
	struct job *job = context;
	struct publisher *publisher = job->publisher;

	/* The main thread may have freed it as soon as it is in the queue. */
	queue_put(publisher, &publisher->completions, job);
	uv_async_send(&publisher->async);
}

static void run_publish(struct publisher *publisher, struct job *job)
{
	struct zone_version *version = job->version;
	char why[WHY] = "";

	if (image_commit(publisher->image, version, job->expires_at, complete, job, why, sizeof(why))) {
		job_failed(job, why);
		complete(job);
	}
	zone_unref(version);
}

static void run_change(struct publisher *publisher, struct job *job)
{
	struct zone_changes *changes = job->changes;
	char why[WHY] = "";
	enum image_change result;

	job->changes = NULL;
	result = image_change(publisher->image, changes, job->expires_at, complete, job, why, sizeof(why));
	/* Once it is served the job is no longer ours. */
	if (result == IMAGE_CHANGED)
		return;
	job->misfit = result == IMAGE_MISFIT;
	job_failed(job, why);
	complete(job);
}

/* The next job, if it is to drop a zone too. */
static struct job *next_drop(struct publisher *publisher)
{
	struct job *job;
	bool drop;

	pthread_mutex_lock(&publisher->lock);
	job = publisher->jobs.first;
	drop = job && job->kind == JOB_DROP;
	pthread_mutex_unlock(&publisher->lock);
	/* No other thread takes jobs. */
	return drop ? queue_take(publisher, &publisher->jobs, false) : NULL;
}

/* Drops all that are to be dropped, so that readers are waited for once: a catalog may lose thousands of members. */
static void run_drops(struct publisher *publisher, struct job *job)
{
	uint32_t slots[DROPS];
	size_t count = 0;

	while (job) {
		slots[count++] = job->slot;
		free(job);
		job = count < DROPS ? next_drop(publisher) : NULL;
	}
	image_drop_zones(publisher->image, slots, count);
}

static void run_load(struct publisher *publisher, struct job *job)
{
	char why[WHY] = "";

	job->version = job->supply(job->context, job->apex, why, sizeof(why));
	if (job->version) {
		run_publish(publisher, job);
		return;
	}
	job_failed(job, why);
	complete(job);
}

/* The records of the version served, and its serial; NULL with the reason. */
static struct zone_builder *read_zone(struct image *image, const uint8_t *apex, uint32_t *serial, char *why,
                                      size_t why_size)
{
	struct zone_builder *builder = NULL;
	struct pg_commit head = {};
	int64_t slot;

	pthread_mutex_lock(&image->zones_lock);
	slot = image_find_zone(image, apex);
	if (slot >= 0)
		head = image_head(image, slot);
	pthread_mutex_unlock(&image->zones_lock);
	/* The image changes in this thread alone. */
	if (head.ref) {
		*serial = ((const struct pg_head *)segments_at(&image->segments, head.ref))->serial;
		builder = image_read_back(image, slot);
	}
	if (!builder)
		snprintf(why, why_size, "%s",
		         head.ref ? "the version served cannot be read back" : "nothing of the zone is served");
	return builder;
}

static void run_read(struct publisher *publisher, struct job *job)
{
	char why[WHY] = "";
	uint32_t serial;
	struct zone_builder *builder = read_zone(publisher->image, job->apex, &serial, why, sizeof(why));

	if (builder)
		job->version = zone_builder_finish(builder, why, sizeof(why));
	if (!job->version)
		job_failed(job, why);
	complete(job);
}

static void run_make(struct publisher *publisher, struct job *job)
{
	struct zone_changes *changes = job->changes;
	char why[WHY] = "";
	uint32_t serial = 0;
	struct zone_builder *base = read_zone(publisher->image, zone_changes_apex(changes), &serial, why, sizeof(why));

	job->changes = NULL;
	if (base && serial == zone_changes_from(changes)) {
		job->version = zone_changes_apply(changes, base, why, sizeof(why));
	} else {
		if (base)
			snprintf(why, sizeof(why), "another serial is served by now");
		zone_builder_free(base);
		zone_changes_free(changes);
	}
	if (!job->version)
		job_failed(job, why);
	complete(job);
}

static void *run(void *context)
{
	struct publisher *publisher = context;
	bool stop = false;

	urcu_memb_register_thread();
	while (!stop) {
		struct job *job = queue_take(publisher, &publisher->jobs, true);

		switch (job->kind) {
		case JOB_PUBLISH:
			run_publish(publisher, job);
			break;
		case JOB_CHANGE:
			run_change(publisher, job);
			break;
		case JOB_MAKE:
			run_make(publisher, job);
			break;
		case JOB_LOAD:
			run_load(publisher, job);
			break;
		case JOB_READ:
			run_read(publisher, job);
			break;
		case JOB_DROP:
			run_drops(publisher, job);
			break;
		case JOB_STOP:
			stop = true;
			free(job);
		}
	}
	urcu_memb_unregister_thread();
	return NULL;
}

static void report(const struct job *job, const char *error)
{
	if (job->made)
		job->made(job->context, job->version, error);
	else if (job->changed)
		job->changed(job->context, !job->misfit, error);
	else if (job->done)
		job->done(job->context, error);
}

static void deliver(uv_async_t *async)
{
	struct publisher *publisher = async->data;
	struct job *job;

	while ((job = queue_take(publisher, &publisher->completions, false))) {
		report(job, job->why);
		free_job(job);
	}
}

static void free_publisher(uv_handle_t *handle)
{
	struct publisher *publisher = handle->data;

	pthread_cond_destroy(&publisher->wake);
	pthread_mutex_destroy(&publisher->lock);
	free(publisher);
}

struct publisher *publisher_open(const struct publisher_options *options, uv_loop_t *loop)
{
	struct publisher *publisher = calloc(1, sizeof(*publisher));

	if (!publisher)
		return NULL;
	publisher->image =
	    image_open_with(options->pin_directory, options->cold, options->memory, options->port, options->udp_size);
	if (!publisher->image) {
		free(publisher);
		return NULL;
	}
	if (image_count_zones(publisher->image, options->zones, options->memory / 8))
		log_warning("memory is short: answers are not counted by zone");
	publisher->jobs.last = &publisher->jobs.first;
	publisher->completions.last = &publisher->completions.first;
	pthread_mutex_init(&publisher->lock, NULL);
	pthread_cond_init(&publisher->wake, NULL);
	publisher->async.data = publisher;
	if (uv_async_init(loop, &publisher->async, deliver)) {
		log_error("the publisher: out of memory");
		image_close(publisher->image);
		free(publisher);
		return NULL;
	}
	if (pthread_create(&publisher->thread, NULL, run, publisher)) {
		log_error("the publisher cannot start a thread");
		image_close(publisher->image);
		/* The loop has the handle until it is closed. */
		uv_close((uv_handle_t *)&publisher->async, free_publisher);
		return NULL;
	}
	uv_unref((uv_handle_t *)&publisher->async);
	return publisher;
}

void publisher_close(struct publisher *publisher)
{
	struct job *job, *stop;

	if (!publisher)
		return;
	/* What has not begun is not begun any more: nothing is lost that the primaries do not have. */
	while ((job = queue_take(publisher, &publisher->jobs, false))) {
		zone_unref(job->version);
		job->version = NULL;
		zone_changes_free(job->changes);
		report(job, "the agent is ending");
		free(job);
	}
	stop = calloc(1, sizeof(*stop));
	if (stop) {
		stop->kind = JOB_STOP;
		queue_put(publisher, &publisher->jobs, stop);
		pthread_join(publisher->thread, NULL);
	}
	deliver(&publisher->async);
	image_close(publisher->image);
	uv_close((uv_handle_t *)&publisher->async, free_publisher);
}

void publisher_remove_zone(struct publisher *publisher, const uint8_t *apex)
{
	struct job *job = calloc(1, sizeof(*job));
	int64_t slot;

	/* It is not answered any more in any case; without a job its memory stays taken until the next start. */
	pthread_mutex_lock(&publisher->image->zones_lock);
	slot = image_hide_zone(publisher->image, apex);
	pthread_mutex_unlock(&publisher->image->zones_lock);
	if (slot < 0 || !job) {
		free(job);
		return;
	}
	job->kind = JOB_DROP;
	job->slot = slot;
	queue_put(publisher, &publisher->jobs, job);
}

/* `apex` may be NULL. */
static struct job *new_job(struct publisher *publisher, const struct job *job, const uint8_t *apex)
{
	size_t size = apex ? knot_dname_size(apex) : 0;
	struct job *made = malloc(sizeof(*made) + size);

	if (!made)
		return NULL;
	*made = *job;
	made->publisher = publisher;
	if (apex)
		memcpy(made->apex, apex, size);
	return made;
}

void publisher_publish(struct publisher *publisher, struct zone_version *version, uint64_t expires_at,
                       publisher_done done, void *context)
{
	struct job *job = new_job(
	    publisher,
	    &(struct job){
	        .kind = JOB_PUBLISH, .version = version, .expires_at = expires_at, .done = done, .context = context},
	    NULL);

	if (!job) {
		done(context, "out of memory");
		return;
	}
	zone_ref(version);
	queue_put(publisher, &publisher->jobs, job);
}

void publisher_load(struct publisher *publisher, const uint8_t *apex, uint64_t expires_at, publisher_supply supply,
                    publisher_done done, void *context)
{
	struct job *job =
	    new_job(publisher,
	            &(struct job){
	                .kind = JOB_LOAD, .expires_at = expires_at, .supply = supply, .done = done, .context = context},
	            apex);

	if (!job) {
		done(context, "out of memory");
		return;
	}
	queue_put(publisher, &publisher->jobs, job);
}

void publisher_read(struct publisher *publisher, const uint8_t *apex, publisher_made made, void *context)
{
	struct job *job = new_job(publisher, &(struct job){.kind = JOB_READ, .made = made, .context = context}, apex);

	if (!job) {
		made(context, NULL, "out of memory");
		return;
	}
	queue_put(publisher, &publisher->jobs, job);
}

void publisher_change(struct publisher *publisher, struct zone_changes *changes, uint64_t expires_at,
                      publisher_changed done, void *context)
{
	struct job *job = new_job(
	    publisher,
	    &(struct job){
	        .kind = JOB_CHANGE, .changes = changes, .expires_at = expires_at, .changed = done, .context = context},
	    NULL);

	if (!job) {
		zone_changes_free(changes);
		done(context, true, "out of memory");
		return;
	}
	queue_put(publisher, &publisher->jobs, job);
}

void publisher_make(struct publisher *publisher, struct zone_changes *changes, publisher_made made, void *context)
{
	struct job *job = new_job(
	    publisher, &(struct job){.kind = JOB_MAKE, .changes = changes, .made = made, .context = context}, NULL);

	if (!job) {
		zone_changes_free(changes);
		made(context, NULL, "out of memory");
		return;
	}
	queue_put(publisher, &publisher->jobs, job);
}

struct image *publisher_image(struct publisher *publisher)
{
	return publisher->image;
}

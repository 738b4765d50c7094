/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The second half of an attempt: BUILD, a finished transfer sorted and checked on a worker thread, and PUBLISH, the
 * hook's turn. Both take their time while the follower may be cancelled; each has its own small record, which then
 * loses its way back.
 */
#include "transfer_internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct build_job {
	uv_work_t work;
	struct follower *follower; /* NULL: cancelled */
	struct zone_builder *builder;
	struct zone_version *version;
	const char *what; /* "AXFR", "IXFR" */
	char why[TRANSFER_WHY];
};

struct publication {
	struct follower *follower; /* NULL: cancelled */
	struct soa_timers soa;
	enum follower_kind kind;
};

void build_forget(struct follower *follower)
{
	if (follower->build != NULL)
		follower->build->follower = NULL;
	if (follower->publication != NULL)
		follower->publication->follower = NULL;
	follower->build = NULL;
	follower->publication = NULL;
}

static void note_records(struct follower *follower, enum follower_kind kind)
{
	struct history_entry *entry = history_now(&follower->history);

	if (entry == NULL)
		return;
	entry->records = follower->incoming.records;
	if (kind == FOLLOWER_IXFR_FULL)
		entry->kind = HISTORY_IXFR_FULL;
}

static void on_changed(void *context, bool fits, const char *error)
{
	struct publication *publication = context;
	struct follower *follower = publication->follower;
	struct soa_timers soa = publication->soa;
	enum follower_kind kind = publication->kind;
	char text[TRANSFER_WHY];

	free(publication);
	if (follower == NULL)
		return;
	follower->publication = NULL;
	note_records(follower, kind);
	if (!fits) {
		snprintf(text, sizeof(text), "IXFR failed: the changes do not fit: %.180s", error);
		attempt_misfit(follower, text);
		return;
	}
	if (error == NULL) {
		follower->loaded = true;
		follower->timers_known = true;
		follower->served = soa;
		follower->status.last_transfer = (int64_t)time(NULL);
		follower->status.last_kind = kind;
		follower->status.last_records = follower->incoming.records;
		follower->status.last_octets = follower->incoming.octets;
		history_lag_served(&follower->status.lag, soa.serial, uv_now(follower->loop));
		history_end(&follower->history, HISTORY_OK, &follower->facts, NULL, uv_now(follower->loop));
		if (history_now(&follower->history) != NULL)
			follower->transferred = *history_now(&follower->history);
		follower_forget_refusal(follower);
		transfer_log_served(follower);
		attempt_end(follower, ATTEMPT_GOOD, NULL);
		return;
	}
	snprintf(text, sizeof(text), "serial %u was transferred but not taken: %.200s", soa.serial, error);
	if (follower->refused && follower->at_turn < follower->turn_count) {
		attempt_refused(follower, soa.serial, text);
		return;
	}
	/* Not the primary's fault as far as we know, so no other is asked: it would be the same zone. */
	history_end(&follower->history, HISTORY_FAILED, &follower->facts, text, uv_now(follower->loop));
	transfer_log_repeated(follower, LOG_LEVEL_WARNING, NULL, text);
	attempt_end(follower, ATTEMPT_FAILED, text);
}

static void on_published(void *context, const char *error)
{
	on_changed(context, true, error);
}

static struct publication *publication_begin(struct follower *follower, const struct soa_timers *soa)
{
	struct publication *publication = calloc(1, sizeof(*publication));

	if (publication == NULL) {
		attempt_address_failed(follower, "out of memory");
		return NULL;
	}
	attempt_address_good(follower);
	publication->follower = follower;
	publication->soa = *soa;
	if (follower->incoming.shape == SHAPE_DIFFERENCES)
		publication->kind = FOLLOWER_IXFR;
	else if (follower->incoming.expected.type == KNOT_RRTYPE_IXFR)
		publication->kind = FOLLOWER_IXFR_FULL;
	follower->publication = publication;
	follower->state = FOLLOWER_PUBLISH;
	follower->refused = false;
	history_enter(&follower->history, HISTORY_PUBLISH, uv_now(follower->loop));
	return publication;
}

void change_begin(struct follower *follower)
{
	struct zone_changes *changes = follower->incoming.changes;
	struct soa_timers soa = follower->incoming.soa;
	struct publication *publication;

	follower->incoming.changes = NULL;
	publication = publication_begin(follower, &soa);
	if (publication == NULL)
		zone_changes_free(changes);
	else
		follower->hooks.change(follower->hooks.context, changes, soa.expire, on_changed, publication);
}

static void publish(struct follower *follower, struct zone_version *version)
{
	struct soa_timers soa = {
	    .serial = version->serial, .refresh = version->refresh, .retry = version->retry, .expire = version->expire};
	struct publication *publication = publication_begin(follower, &soa);

	if (publication == NULL) {
		zone_unref(version);
		return;
	}
	/* `done` may come before this returns, and the follower be gone; the version's reference is ours. */
	follower->hooks.publish(follower->hooks.context, version, on_published, publication);
	zone_unref(version);
}

/* On a worker thread: nothing but the job is touched. */
static void build(uv_work_t *work)
{
	struct build_job *job = work->data;

	job->version = zone_builder_finish(job->builder, job->why, sizeof(job->why));
	job->builder = NULL;
}

static void on_built(uv_work_t *work, int status)
{
	struct build_job *job = work->data;
	struct follower *follower = job->follower;
	struct zone_version *version = job->version;
	char why[TRANSFER_WHY];
	const char *cause = status == 0 ? job->why : uv_strerror(status);

	if (job->builder != NULL)
		zone_builder_free(job->builder);
	snprintf(why, sizeof(why), "%s failed: %.200s", job->what, cause);
	free(job);
	if (follower == NULL) {
		if (version != NULL)
			zone_unref(version);
		return;
	}
	follower->build = NULL;
	if (version == NULL)
		attempt_address_failed(follower, why);
	else
		publish(follower, version);
}

/* Sorting a large zone takes a second or more, which the loop has not got. */
void build_begin(struct follower *follower)
{
	struct build_job *job = calloc(1, sizeof(*job));

	if (job == NULL) {
		attempt_address_failed(follower, "out of memory");
		return;
	}
	job->follower = follower;
	job->work.data = job;
	job->what = follower->incoming.expected.what;
	job->builder = follower->incoming.builder;
	follower->incoming.builder = NULL;
	follower->build = job;
	follower->state = FOLLOWER_BUILD;
	history_enter(&follower->history, HISTORY_BUILD, uv_now(follower->loop));
	if (uv_queue_work(follower->loop, &job->work, build, on_built) == 0)
		return;
	follower->build = NULL;
	zone_builder_free(job->builder);
	free(job);
	attempt_address_failed(follower, "no worker thread");
}

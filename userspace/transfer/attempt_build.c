/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The second half of an attempt: BUILD, a finished transfer sorted and checked on a worker thread, and PUBLISH, the
 * hook's turn. Both take their time while the attempt may be cancelled; each has its own small record, which then
 * loses its way back.
 */
#include "transfer_internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct build_job {
	uv_work_t work;
	struct attempt *attempt; /* NULL: cancelled */
	struct zone_builder *builder;
	struct zone_version *version;
	const char *what; /* "AXFR", "IXFR" */
	char why[TRANSFER_WHY];
};

struct publication {
	struct attempt *attempt; /* NULL: cancelled */
	struct soa_timers soa;
	uint32_t expire;
	enum follower_kind kind;
};

void build_forget(struct attempt *attempt)
{
	if (attempt->build != NULL)
		attempt->build->attempt = NULL;
	if (attempt->publication != NULL)
		attempt->publication->attempt = NULL;
	attempt->build = NULL;
	attempt->publication = NULL;
}

/* It is served. */
static void take_over(struct attempt *attempt, const struct publication *publication)
{
	struct follower *follower = attempt->follower;

	follower->loaded = true;
	follower->timers_known = true;
	follower->served = publication->soa;
	clocks_set_expiry(follower, publication->expire);
	follower->last_transfer = (int64_t)time(NULL);
	follower->last_kind = publication->kind;
	follower->last_records = attempt->incoming.records;
	follower->last_octets = attempt->incoming.octets;
	follower->transfer_ms = (uint32_t)attempt->transfer_ms;
	history_served(follower->history, publication->soa.serial, &attempt->facts, schedule_clock());
	transfer_log_served(follower, attempt->transfer_ms);
}

static void note_records(struct attempt *attempt, enum follower_kind kind)
{
	struct history_entry *entry = history_now(attempt->follower->history);

	if (entry == NULL)
		return;
	entry->records = attempt->incoming.records;
	if (kind == FOLLOWER_IXFR_FULL)
		entry->kind = HISTORY_IXFR_FULL;
}

static void on_changed(void *context, bool fits, const char *error)
{
	struct publication publication = *(struct publication *)context;
	struct attempt *attempt = publication.attempt;
	char text[TRANSFER_WHY];

	free(context);
	if (attempt == NULL)
		return;
	attempt->publication = NULL;
	note_records(attempt, publication.kind);
	if (!fits) {
		snprintf(text, sizeof(text), "IXFR failed: the changes do not fit: %.180s", error);
		attempt_misfit(attempt, text);
		return;
	}
	if (error == NULL) {
		take_over(attempt, &publication);
		attempt_end(attempt, ATTEMPT_GOOD, NULL);
		return;
	}
	snprintf(text, sizeof(text), "serial %u was transferred but not taken: %.200s", publication.soa.serial, error);
	if (attempt->refused && attempt->follower->round.at_turn < attempt->follower->turn_count) {
		attempt_refused(attempt, publication.soa.serial, text);
		return;
	}
	/* Not the primary's fault as far as we know, so no other is asked: it would be the same zone. */
	history_end(attempt->follower->history, HISTORY_FAILED, &attempt->facts, text, schedule_clock());
	transfer_log_repeated(attempt->follower, LOG_LEVEL_WARNING, NULL, text);
	attempt_end(attempt, ATTEMPT_FAILED, text);
}

static void on_published(void *context, const char *error)
{
	on_changed(context, true, error);
}

static struct publication *publication_begin(struct attempt *attempt, const struct soa_timers *soa)
{
	struct publication *publication = calloc(1, sizeof(*publication));

	if (publication == NULL) {
		attempt_failed(attempt, "out of memory");
		return NULL;
	}
	round_address_good(attempt->follower);
	publication->attempt = attempt;
	publication->soa = *soa;
	publication->expire = clocks_expire(attempt->follower, soa, &attempt->expire, false);
	if (attempt->incoming.shape == SHAPE_DIFFERENCES)
		publication->kind = FOLLOWER_IXFR;
	else if (attempt->incoming.expected.type == KNOT_RRTYPE_IXFR)
		publication->kind = FOLLOWER_IXFR_FULL;
	attempt->publication = publication;
	attempt->state = FOLLOWER_PUBLISH;
	history_enter(attempt->follower->history, HISTORY_PUBLISH, schedule_clock());
	return publication;
}

void change_begin(struct attempt *attempt)
{
	const struct follower_hooks *hooks = &attempt->follower->hooks;
	struct zone_changes *changes = attempt->incoming.changes;
	struct soa_timers soa = attempt->incoming.soa;
	struct publication *publication;

	attempt->incoming.changes = NULL;
	publication = publication_begin(attempt, &soa);
	if (publication == NULL)
		zone_changes_free(changes);
	else
		hooks->change(hooks->context, changes, publication->expire, on_changed, publication);
}

static void publish(struct attempt *attempt, struct zone_version *version)
{
	const struct follower_hooks *hooks = &attempt->follower->hooks;
	struct soa_timers soa = {
	    .serial = version->serial, .refresh = version->refresh, .retry = version->retry, .expire = version->expire};
	struct publication *publication = publication_begin(attempt, &soa);

	if (publication == NULL) {
		zone_unref(version);
		return;
	}
	/* `done` may come before this returns, and the follower be gone; the version's reference is ours. */
	hooks->publish(hooks->context, version, publication->expire, on_published, publication);
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
	struct attempt *attempt = job->attempt;
	struct zone_version *version = job->version;
	char why[TRANSFER_WHY];
	const char *cause = status == 0 ? job->why : uv_strerror(status);

	if (job->builder != NULL)
		zone_builder_free(job->builder);
	snprintf(why, sizeof(why), "%s failed: %.200s", job->what, cause);
	free(job);
	if (attempt == NULL) {
		if (version != NULL)
			zone_unref(version);
		return;
	}
	attempt->build = NULL;
	if (version == NULL)
		attempt_failed(attempt, why);
	else
		publish(attempt, version);
}

/* Sorting a large zone takes a second or more, which the loop has not got. */
void build_begin(struct attempt *attempt)
{
	struct build_job *job = calloc(1, sizeof(*job));

	if (job == NULL) {
		attempt_failed(attempt, "out of memory");
		return;
	}
	job->attempt = attempt;
	job->work.data = job;
	job->what = attempt->incoming.expected.what;
	job->builder = attempt->incoming.builder;
	attempt->incoming.builder = NULL;
	attempt->build = job;
	attempt->state = FOLLOWER_BUILD;
	history_enter(attempt->follower->history, HISTORY_BUILD, schedule_clock());
	if (uv_queue_work(schedule_loop(attempt->follower->schedule), &job->work, build, on_built) == 0)
		return;
	attempt->build = NULL;
	zone_builder_free(job->builder);
	free(job);
	attempt_failed(attempt, "no worker thread");
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Following one zone: when a round over its primaries begins, and who is told how it ended. What a round is stands in
 * round.c.
 *
 * Every round begins from the schedule's timer, even one that is asked for now: so no call from outside, and no
 * callback, ever runs into the state machine while it is at work.
 */
#include "tls/tls.h"
#include "transfer_internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECOND 1000ULL
#define DAY (86400 * SECOND)

struct transfer_limits transfer_limits = {
    .udp_tries = 3,
    .udp_wait = 2 * SECOND,
    .connect = 5 * SECOND,
    .progress = 30 * SECOND,
    .window_octets = 1024,
    .total = 7200 * SECOND,
    .max_records = 10000000,
    .max_octets = 4ULL << 30,
    .refresh_min = 2 * SECOND,
    .refresh_max = DAY,
    .retry_min = SECOND,
    .retry_max = DAY,
    .expire_min = 2 * SECOND,
    .expire_max = 168 * DAY,
    .backoff_min = SECOND,
    .backoff_max = 60 * SECOND,
    .notify_pause = 100,
    .ixfr_pause = 3600 * SECOND,
    .edns_pause = 3600 * SECOND,
    .refusal_pause = 3600 * SECOND,
    .lag_min = 10 * SECOND,
    .log_pause = 60 * SECOND,
    .attempts = 500,
    .window_first = 4,
    .window_most = 50,
    .window_notified = 8,
    .rate = 50,
    .notified_factor = 10,
    .down_after = 3,
    .probe_min = SECOND,
    .probe_max = 30 * SECOND,
    .forget = 600 * SECOND,
    .clock_check = 5 * SECOND,
};

/* ---- waiters ---- */

static void append(struct waiter **list, struct waiter *waiter)
{
	while (*list != NULL)
		list = &(*list)->next;
	*list = waiter;
}

/* Calls them all. The list must be the caller's own: a callback may do anything, follower_free included. */
static void call(struct waiter *waiter, const char *error)
{
	while (waiter != NULL) {
		struct waiter *next = waiter->next;

		waiter->done(waiter->context, error);
		free(waiter);
		waiter = next;
	}
}

static bool somebody_waits(const struct follower *follower)
{
	for (const struct waiter *waiter = follower->waiting; waiter != NULL; waiter = waiter->next)
		if (waiter->force != FOLLOWER_AS_DUE)
			return true;
	return false;
}

/* ---- when ---- */

static void on_due(struct slot *slot)
{
	round_begin((struct follower *)slot);
}

/* When the next round may begin; 0: now, before what is only due. */
static uint64_t due_at(const struct follower *follower)
{
	uint64_t earliest = follower->notify_begun != 0 ? follower->notify_begun + transfer_limits.notify_pause : 0;

	if (somebody_waits(follower))
		return 0;
	if (!follower->notified || earliest > follower->planned)
		return follower->planned;
	return earliest > schedule_clock() ? earliest : 0;
}

void follower_plan(struct follower *follower)
{
	uint64_t at = due_at(follower);

	if (follower->gone)
		return;
	if (follower->round.on) {
		enum slot_class class = follower->notified ? SLOT_NOTIFIED : SLOT_ASKED;

		/* Where it only waits for its turn yet, it need not be done first. */
		if (at != 0 || follower->slot.state != SLOT_QUEUED || follower->slot.class <= class)
			return;
		if (follower->round.asked) {
			schedule_urge(follower->schedule, &follower->slot, class);
			return;
		}
		round_give_up(follower);
	}
	schedule_at(follower->schedule, &follower->slot, at);
}

/* What waits for an address that is down is due too when it answers again. */
static void park(struct follower *follower)
{
	for (size_t i = 0; i < follower->turn_count; i++) {
		const struct config_primary *primary = follower->zone->primaries[follower->turns[i].source.primary];

		for (size_t j = 0; j < primary->address_count; j++)
			schedule_park(follower->schedule, &follower->slot, &primary->addresses[j]);
	}
}

void follower_ended(struct follower *follower, enum attempt_outcome outcome, const char *error)
{
	struct waiter *attending = follower->attending;
	uint64_t interval;

	follower->attending = NULL;
	follower->failing = outcome == ATTEMPT_FAILED;
	if (outcome == ATTEMPT_GOOD) {
		free(follower->last_error);
		follower->last_error = NULL;
	}
	follower->failures = outcome == ATTEMPT_FAILED ? follower->failures + 1 : 0;
	/* An older serial confirms nothing: the expiry clock runs, so it is looked at again soon. */
	interval = outcome == ATTEMPT_GOOD ? clocks_refresh(follower) : clocks_retry(follower);
	follower->planned = schedule_clock() + interval;
	follower->next_refresh = (int64_t)time(NULL) + (int64_t)((interval + SECOND / 2) / SECOND);
	follower_plan(follower);
	if (outcome == ATTEMPT_FAILED)
		park(follower);

	/* Last, since the follower may be freed by one of them. */
	call(attending, error);
}

/* ---- life ---- */

static const struct schedule_hooks schedule_hooks = {
    .due = on_due, .granted = round_granted, .refused = round_refused, .concerns = round_concerns};

struct schedule *schedule_new(uv_loop_t *loop)
{
	return schedule_open(loop, &schedule_hooks);
}

static int make_turns(struct follower *follower, const struct config_zone *zone)
{
	size_t count = zone->primary_count < UINT16_MAX ? zone->primary_count : UINT16_MAX - 1;
	struct turn *turns = calloc(count > 0 ? count : 1, sizeof(*turns)); /* never of size 0 */

	if (turns == NULL)
		return -1;
	for (size_t i = 0; i < count; i++)
		turns[i].source.primary = (uint16_t)i;
	free(follower->turns);
	follower->turns = turns;
	follower->turn_count = (uint16_t)count;
	return 0;
}

/* Takes up the clocks as they stood. A poll that was to come long from now comes within the bounds all the same. */
static void resume(struct follower *follower, const struct follower_start *start)
{
	int64_t now = (int64_t)time(NULL), latest;

	follower->loaded = start->loaded;
	follower->served = (struct soa_timers){start->serial, start->refresh, start->retry, start->expire};
	follower->timers_known = start->refresh != 0 || start->retry != 0 || start->expire != 0;
	follower->expires_at = start->expires_at / 1000000;
	follower->planned = schedule_clock();
	follower->next_refresh = now;
	if (!start->loaded || !follower->timers_known || start->next_refresh <= now)
		return;
	latest = now + (int64_t)(clocks_refresh(follower) / SECOND);
	follower->next_refresh = start->next_refresh < latest ? start->next_refresh : latest;
	follower->planned += (uint64_t)(follower->next_refresh - now) * SECOND;
}

struct follower *follower_new(struct schedule *schedule, const struct config_zone *zone,
                              const struct follower_start *start, const struct follower_hooks *hooks)
{
	struct follower *follower = calloc(1, sizeof(*follower));

	if (follower == NULL)
		return NULL;
	if (make_turns(follower, zone) != 0 || schedule_join(schedule, &follower->slot) != 0) {
		free(follower->turns);
		free(follower);
		return NULL;
	}
	follower->schedule = schedule;
	follower->zone = zone;
	follower->hooks = *hooks;
	resume(follower, start);
	follower_plan(follower);
	return follower;
}

static bool same_reach(const struct config_reach *one, const struct config_reach *other)
{
	for (size_t i = 0; i < 2; i++)
		if (!exchange_same_address(&one->source[i], &other->source[i]))
			return false;
	return tls_profile_same(one->tls, other->tls) && one->max_records == other->max_records &&
	       one->max_octets == other->max_octets;
}

static bool same_primary(const struct config_primary *one, const struct config_primary *other)
{
	if (strcmp(one->name, other->name) != 0 || one->address_count != other->address_count ||
	    !tsig_key_same(one->key, other->key))
		return false;
	for (size_t i = 0; i < one->address_count; i++)
		if (!exchange_same_address(&one->addresses[i], &other->addresses[i]))
			return false;
	return same_reach(&one->reach, &other->reach);
}

static bool same_primaries(const struct config_zone *one, const struct config_zone *other)
{
	if (one->primary_count != other->primary_count)
		return false;
	for (size_t i = 0; i < one->primary_count; i++)
		if (!same_primary(one->primaries[i], other->primaries[i]))
			return false;
	return true;
}

/* Other bounds on the clocks: a poll that was planned by the old ones comes within the new. */
static void bound_plan(struct follower *follower)
{
	uint64_t now = schedule_clock(), interval;

	if (follower->round.on || !follower->loaded || !follower->timers_known)
		return;
	interval = follower->failing ? clocks_retry(follower) : clocks_refresh(follower);
	if (follower->planned <= now + interval)
		return;
	follower->planned = now + interval;
	follower->next_refresh = (int64_t)time(NULL) + (int64_t)(interval / SECOND);
	follower_plan(follower);
}

/* Other primaries: what is under way belongs to addresses that may be gone, and begins anew. What the publisher has
 * already is served all the same. */
void follower_reconfigure(struct follower *follower, const struct config_zone *zone)
{
	bool same = same_primaries(follower->zone, zone);
	struct attempt *attempt = follower->attempt;

	follower->zone = zone;
	if (attempt != NULL)
		attempt->expected.apex = attempt->incoming.expected.apex = zone->apex;
	if (same) {
		bound_plan(follower);
		return;
	}
	if (follower->round.on && follower_state(follower) != FOLLOWER_PUBLISH)
		round_give_up(follower);
	history_clear(follower->history);
	if (make_turns(follower, zone) != 0) {
		/* Without memory the array there is has to do; the primaries beyond are left out. */
		if (follower->turn_count > zone->primary_count)
			follower->turn_count = (uint16_t)zone->primary_count;
		for (uint16_t i = 0; i < follower->turn_count; i++)
			follower->turns[i] = (struct turn){.source = {.primary = i}};
	}
	/* What is being published has no primary any more to be asked again. */
	follower->round.hinted = false;
	follower->round.at_turn = follower->turn_count;
	follower->asked = false;
	/* As after a NOTIFY of the first: now, or when what is being published is done. */
	follower->hint_known = true;
	follower->hinted = (struct source){.primary = 0};
	follower->notified = follower->turn_count > 0;
	follower_plan(follower);
}

void follower_free(struct follower *follower)
{
	struct waiter *attending, *waiting;

	if (follower == NULL || follower->gone)
		return;
	follower->gone = true;
	attempt_cancel(follower);
	attending = follower->attending;
	waiting = follower->waiting;
	follower->attending = follower->waiting = NULL;
	free(follower->turns);
	free(follower->last_error);
	free(follower->log_memory);
	history_clear(follower->history);
	free(follower->history);
	follower->history = NULL;
	follower->last_error = NULL;
	/* The rest stays until the loop's next turn: a caller up the stack may still look at `gone`. */
	schedule_leave(follower->schedule, &follower->slot);
	call(attending, "the zone is no longer followed");
	call(waiting, "the zone is no longer followed");
}

/* ---- what others ask ---- */

void follower_refresh(struct follower *follower, enum follower_force force,
                      void (*done)(void *context, const char *error), void *context)
{
	struct waiter *waiter;

	if (follower->gone) {
		done(context, "the zone is no longer followed");
		return;
	}
	waiter = calloc(1, sizeof(*waiter));
	if (waiter == NULL) {
		done(context, "out of memory");
		return;
	}
	*waiter = (struct waiter){.force = force, .done = done, .context = context};
	append(&follower->waiting, waiter);
	follower_plan(follower);
}

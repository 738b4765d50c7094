/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Following one zone: when an attempt begins, and who is told how it ended. What an attempt is stands in attempt.c.
 *
 * Every attempt begins from the follower's one timer, even one that is asked for now: so no call from outside, and no
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
    .retry_min = SECOND,
    .interval_max = DAY,
    .backoff_min = SECOND,
    .backoff_max = 60 * SECOND,
    .notify_pause = 100,
    .ixfr_pause = 3600 * SECOND,
    .log_pause = 60 * SECOND,
};

/* ---- waiters ---- */

static void waiters_init(struct waiters *waiters)
{
	waiters->first = NULL;
	waiters->end = &waiters->first;
}

void waiters_move(struct waiters *to, struct waiters *from)
{
	if (from->first == NULL)
		return;
	*to->end = from->first;
	to->end = from->end;
	waiters_init(from);
}

/* Calls them all. The list must be the caller's own: a callback may do anything, follower_free included. */
static void waiters_call(struct waiters *waiters, const char *error)
{
	struct waiter *waiter = waiters->first;

	while (waiter != NULL) {
		struct waiter *next = waiter->next;

		waiter->done(waiter->context, error);
		free(waiter);
		waiter = next;
	}
}

/* ---- clocks ---- */

static uint64_t bounded(uint64_t value, uint64_t least, uint64_t most)
{
	return value < least ? least : value > most ? most : value;
}

/* Up to a tenth less, so that zones which were loaded together do not poll together for ever; never more, since
 * refresh and retry are the owner's upper bounds. */
static uint64_t jittered(uint64_t interval)
{
	return interval - random_below((uint32_t)(interval / 10) + 1);
}

static uint64_t refresh_interval(const struct follower *follower)
{
	uint64_t refresh = follower->served.refresh * SECOND;
	uint64_t expire = follower->served.expire * SECOND;

	/* A refresh that comes after the expiry would let a zone expire beside a good primary. */
	if (refresh > expire - expire / 10)
		refresh = expire - expire / 10;
	return jittered(bounded(refresh, transfer_limits.refresh_min, transfer_limits.interval_max));
}

static uint64_t retry_interval(const struct follower *follower)
{
	uint64_t interval;

	if (follower->loaded && follower->timers_known)
		return jittered(
		    bounded(follower->served.retry * SECOND, transfer_limits.retry_min, transfer_limits.interval_max));
	/* There is no SOA to say: 1, 2, 4 ... 60 seconds. */
	interval = transfer_limits.backoff_max;
	if (follower->failures >= 1 && follower->failures < 32)
		interval = transfer_limits.backoff_min << (follower->failures - 1);
	return jittered(bounded(interval, transfer_limits.backoff_min, transfer_limits.backoff_max));
}

static void on_timer(uv_timer_t *timer)
{
	struct follower *follower = timer->data;

	if (!follower->gone && follower->state == FOLLOWER_IDLE)
		attempt_begin(follower);
}

void follower_plan(struct follower *follower)
{
	uint64_t now = uv_now(follower->loop);
	uint64_t at = follower->planned;

	if (follower->gone || follower->state != FOLLOWER_IDLE)
		return;
	if (follower->notified) {
		uint64_t earliest =
		    follower->notify_begun_set ? follower->notify_begun + transfer_limits.notify_pause : 0;

		at = earliest < at ? earliest : at;
	}
	if (follower->waiting.first != NULL)
		at = now;
	uv_timer_start(&follower->timer, on_timer, at > now ? at - now : 0, 0);
}

void follower_ended(struct follower *follower, enum attempt_outcome outcome, const char *error)
{
	struct waiters attending;
	uint64_t interval;

	follower->status.failing = outcome == ATTEMPT_FAILED;
	if (outcome == ATTEMPT_GOOD)
		follower->status.last_error[0] = '\0';
	follower->failures = outcome == ATTEMPT_FAILED ? follower->failures + 1 : 0;
	/* An older serial confirms nothing: the expiry clock runs, so it is looked at again soon. */
	interval = outcome == ATTEMPT_GOOD ? refresh_interval(follower) : retry_interval(follower);
	follower->planned = uv_now(follower->loop) + interval;
	follower->status.next_refresh = (int64_t)time(NULL) + (int64_t)((interval + SECOND / 2) / SECOND);
	follower_plan(follower);

	/* Last, since the follower may be freed by one of them. */
	waiters_init(&attending);
	waiters_move(&attending, &follower->attending);
	waiters_call(&attending, error);
}

/* ---- life ---- */

static int make_turns(struct follower *follower, const struct config_zone *zone)
{
	size_t room = zone->primary_count + 1; /* never of size 0 */
	struct turn *turns = calloc(room, sizeof(*turns));
	struct turn *plan = calloc(room, sizeof(*plan));

	if (turns == NULL || plan == NULL) {
		free(turns);
		free(plan);
		return -1;
	}
	for (size_t i = 0; i < zone->primary_count; i++)
		turns[i].primary = i;
	free(follower->turns);
	free(follower->plan);
	follower->turns = turns;
	follower->plan = plan;
	follower->turn_count = zone->primary_count;
	return 0;
}

struct follower *follower_new(uv_loop_t *loop, const struct config_zone *zone, const struct follower_start *start,
                              const struct follower_hooks *hooks, bool spread)
{
	struct follower *follower = calloc(1, sizeof(*follower));
	uint64_t delay = spread ? random_below(1000) : 0;

	if (follower == NULL)
		return NULL;
	follower->pool = pool_open(loop);
	if (follower->pool == NULL || make_turns(follower, zone) != 0) {
		if (follower->pool != NULL)
			pool_close(follower->pool);
		free(follower);
		return NULL;
	}
	follower->loop = loop;
	follower->zone = zone;
	follower->hooks = *hooks;
	follower->loaded = start->loaded;
	follower->served.serial = start->serial;
	waiters_init(&follower->waiting);
	waiters_init(&follower->attending);
	uv_timer_init(loop, &follower->timer);
	follower->timer.data = follower;
	follower->planned = uv_now(loop) + delay;
	follower->status.next_refresh = (int64_t)time(NULL);
	follower_plan(follower);
	return follower;
}

static bool same_key(const knot_tsig_key_t *one, const knot_tsig_key_t *other)
{
	if (one == NULL || other == NULL)
		return one == other;
	return one->algorithm == other->algorithm && knot_dname_is_equal(one->name, other->name) &&
	       one->secret.size == other->secret.size &&
	       memcmp(one->secret.data, other->secret.data, one->secret.size) == 0;
}

static bool same_address(const struct sockaddr_storage *one, const struct sockaddr_storage *other)
{
	char first[CONFIG_ADDRESS_TEXT], second[CONFIG_ADDRESS_TEXT];

	/* By their text: the padding of a sockaddr_storage means nothing. */
	config_address_text(one, first);
	config_address_text(other, second);
	return strcmp(first, second) == 0;
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
	    !same_key(one->key, other->key))
		return false;
	for (size_t i = 0; i < one->address_count; i++)
		if (!same_address(&one->addresses[i], &other->addresses[i]))
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

/* Other primaries: what is under way belongs to addresses that may be gone, and begins anew. What the publisher has
 * already is served all the same. */
void follower_reconfigure(struct follower *follower, const struct config_zone *zone)
{
	bool same = same_primaries(follower->zone, zone);

	if (!same && follower->state != FOLLOWER_IDLE && follower->state != FOLLOWER_PUBLISH) {
		attempt_cancel(follower);
		waiters_move(&follower->attending, &follower->waiting);
		waiters_move(&follower->waiting, &follower->attending);
	}
	follower->zone = zone;
	follower->expected.apex = follower->incoming.expected.apex = zone->apex;
	if (same)
		return;
	if (make_turns(follower, zone) != 0) {
		/* Without memory the arrays there are have to do; the primaries beyond are left out. */
		if (follower->turn_count > zone->primary_count)
			follower->turn_count = zone->primary_count;
		for (size_t i = 0; i < follower->turn_count; i++)
			follower->turns[i] = (struct turn){.primary = i};
	}
	/* What is being published has no primary any more to be asked again. */
	follower->at_turn = follower->turn_count;
	/* As after a NOTIFY of the first: now, or when what is being published is done. */
	follower->hinted = (struct turn){.primary = 0};
	follower->notified = follower->turn_count > 0;
	follower_plan(follower);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct follower *follower = handle->data;

	free(follower->turns);
	free(follower->plan);
	free(follower);
}

void follower_free(struct follower *follower)
{
	struct waiters waiters;

	if (follower == NULL || follower->gone)
		return;
	follower->gone = true;
	attempt_cancel(follower);
	pool_close(follower->pool);
	waiters_init(&waiters);
	waiters_move(&waiters, &follower->attending);
	waiters_move(&waiters, &follower->waiting);
	/* The memory stays until the loop has closed the timer: a caller up the stack may still look at `gone`. */
	uv_close((uv_handle_t *)&follower->timer, on_timer_closed);
	waiters_call(&waiters, "the zone is no longer followed");
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
	*follower->waiting.end = waiter;
	follower->waiting.end = &waiter->next;
	follower_plan(follower);
}

void follower_get_status(const struct follower *follower, struct follower_status *out)
{
	*out = follower->status;
	out->loaded = follower->loaded;
	out->served_serial = follower->loaded ? follower->served.serial : 0;
	out->busy = follower->state != FOLLOWER_IDLE;
}

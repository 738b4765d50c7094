/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The clocks of the SOA, within the bounds that the zone's configuration sets. */
#include "transfer_internal.h"

#define SECOND 1000ULL

static uint64_t bounded(uint64_t value, uint64_t least, uint64_t most)
{
	return value < least ? least : value > most ? most : value;
}

/* Milliseconds, within what is configured (in seconds, 0: not) or the default. */
static uint64_t configured(uint64_t seconds, uint32_t least, uint64_t least_default, uint32_t most,
                           uint64_t most_default)
{
	uint64_t lower = least != 0 ? least * SECOND : least_default;
	uint64_t upper = most != 0 ? most * SECOND : most_default;

	/* One that is configured beats a default that contradicts it. */
	if (lower > upper && most != 0)
		lower = upper;
	return bounded(seconds * SECOND, lower, upper > lower ? upper : lower);
}

/* Up to a tenth less, so that zones which were loaded together do not poll together for ever; never more, since
 * refresh and retry are the owner's upper bounds. */
static uint64_t jittered(uint64_t interval)
{
	return interval - random_below((uint32_t)(interval / 10) + 1);
}

static uint64_t retry_of(const struct follower *follower)
{
	const struct config_clocks *clocks = &follower->zone->clocks;

	return configured(follower->served.retry, clocks->retry_min, transfer_limits.retry_min, clocks->retry_max,
	                  transfer_limits.retry_max);
}

static uint64_t expire_of(const struct follower *follower, uint32_t seconds)
{
	const struct config_clocks *clocks = &follower->zone->clocks;

	return configured(seconds, clocks->expire_min, transfer_limits.expire_min, clocks->expire_max,
	                  transfer_limits.expire_max);
}

static uint64_t left(const struct follower *follower)
{
	uint64_t now = schedule_clock();

	return follower->expires_at > now ? follower->expires_at - now : 0;
}

uint64_t clocks_refresh(const struct follower *follower)
{
	const struct config_clocks *clocks = &follower->zone->clocks;
	uint64_t refresh = configured(follower->served.refresh, clocks->refresh_min, transfer_limits.refresh_min,
	                              clocks->refresh_max, transfer_limits.refresh_max);
	uint64_t expire = expire_of(follower, follower->served.expire), retry = retry_of(follower);
	uint64_t latest = expire - expire / 10, early = left(follower) - left(follower) / 10;

	/* A refresh that comes after the expiry would let a zone expire beside a good primary. The primary may be a
	 * secondary, and have given less than the SOA has; then it is not pressed more often than by retry. */
	if (refresh > latest)
		refresh = latest;
	if (early < retry && retry < latest)
		early = retry;
	if (follower->expires_at != 0 && early < refresh)
		refresh = early;
	return jittered(refresh > transfer_limits.refresh_min ? refresh : transfer_limits.refresh_min);
}

uint64_t clocks_retry(const struct follower *follower)
{
	uint64_t interval;

	if (follower->loaded && follower->timers_known)
		return jittered(retry_of(follower));
	/* There is no SOA to say: 1, 2, 4 ... 60 seconds. */
	interval = transfer_limits.backoff_max;
	if (follower->failures >= 1 && follower->failures < 32)
		interval = transfer_limits.backoff_min << (follower->failures - 1);
	return jittered(bounded(interval, transfer_limits.backoff_min, transfer_limits.backoff_max));
}

uint32_t clocks_expire(const struct follower *follower, const struct soa_timers *soa,
                       const struct expire_option *option, bool confirmed)
{
	uint64_t most = expire_of(follower, soa->expire);
	uint64_t given = option->given && option->seconds < soa->expire ? option->seconds : soa->expire;
	uint64_t expire = expire_of(follower, (uint32_t)given);

	/* The same version may have been had from a source that has it later: never less than there is. */
	if (confirmed && option->given && left(follower) > expire)
		expire = left(follower);
	return (uint32_t)((expire < most ? expire : most) / SECOND);
}

void clocks_set_expiry(struct follower *follower, uint32_t seconds)
{
	follower->expires_at = schedule_clock() + seconds * SECOND;
}

bool clocks_expired(const struct follower *follower)
{
	return follower->loaded && follower->expires_at != 0 && follower->expires_at <= schedule_clock();
}

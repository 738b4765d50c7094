/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a follower tells to those above it, and what these tell it about verification. */
#include "transfer_internal.h"

#include <string.h>

/* A large zone is a while on its way: this many times as long as the last transfer. */
#define LAG_TRANSFERS 3

const struct history *follower_history(const struct follower *follower)
{
	static const struct history none;

	return follower != NULL && follower->history != NULL ? follower->history : &none;
}

/* For how long other serials have been served and heard, where that is longer than it should be. */
static uint64_t behind(const struct follower *follower)
{
	const struct history_lag *lag = &follower_history(follower)->lag;
	uint64_t allowed = (uint64_t)follower->transfer_ms * LAG_TRANSFERS, spent;

	if (!follower->loaded || !lag->behind)
		return 0;
	if (allowed < transfer_limits.lag_min)
		allowed = transfer_limits.lag_min;
	spent = schedule_clock() - lag->since;
	return spent > allowed ? spent : 0;
}

bool follower_is_ill(const struct follower *follower)
{
	return follower != NULL && (follower->failing || behind(follower) != 0);
}

void follower_get_status(const struct follower *follower, struct follower_status *out)
{
	if (follower == NULL) {
		*out = (struct follower_status){0};
		return;
	}
	*out = (struct follower_status){
	    .has_primary_serial = follower->has_primary_serial,
	    .primary_serial = follower->primary_serial,
	    .served_serial = follower->loaded ? follower->served.serial : 0,
	    .loaded = follower->loaded,
	    .busy = follower->attempt != NULL,
	    .failing = follower->failing,
	    .last_transfer = follower->last_transfer,
	    .last_kind = follower->last_kind,
	    .last_records = follower->last_records,
	    .last_octets = follower->last_octets,
	    .last_check = follower->last_check,
	    .next_refresh = follower->next_refresh,
	    .refresh = follower->served.refresh,
	    .retry = follower->served.retry,
	    .expire = follower->served.expire,
	    .behind_ms = behind(follower),
	};
	if (follower->last_error != NULL)
		snprintf(out->last_error, sizeof(out->last_error), "%s", follower->last_error);
	if (follower->asked)
		source_text(follower, follower->source, out->primary, sizeof(out->primary));
}

bool follower_unverified(const struct follower *follower)
{
	return follower != NULL && follower->round.unverified;
}

void follower_verifying(struct follower *follower)
{
	if (follower != NULL)
		history_enter(follower->history, HISTORY_VERIFY, schedule_clock());
}

void follower_verified(struct follower *follower, const char *refused, const char *kept)
{
	struct attempt *attempt = follower != NULL ? follower->attempt : NULL;

	if (follower == NULL)
		return;
	/* Nobody waits for it any more: it was served or refused for another attempt. */
	if (follower->gone || attempt == NULL || attempt->publication == NULL)
		return;
	if (refused == NULL) {
		history_enter(follower->history, HISTORY_PUBLISH, schedule_clock());
		return;
	}
	attempt->refused = true;
	history_refused(follower->history, attempt->incoming.soa.serial, refused, kept);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a follower tells to those above it, and what these tell it about verification. */
#include "transfer_internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A large zone is a while on its way; this many times the last transfer. */
#define LAG_TRANSFERS 3

/* For how long other serials are served and heard, where that is longer than it should be. */
static uint64_t behind(const struct follower *follower)
{
	const struct history_lag *lag = &follower->status.lag;
	uint64_t allowed = transfer_limits.lag_min, taken = follower->transfer_ms * LAG_TRANSFERS, spent;

	if (!follower->loaded || !lag->behind)
		return 0;
	spent = uv_now(follower->loop) - lag->since;
	return spent > (taken > allowed ? taken : allowed) ? spent : 0;
}

void follower_get_status(const struct follower *follower, struct follower_status *out)
{
	*out = follower->status;
	out->loaded = follower->loaded;
	out->served_serial = follower->loaded ? follower->served.serial : 0;
	out->busy = follower->state != FOLLOWER_IDLE;
	out->behind_ms = behind(follower);
}

const struct history *follower_history(const struct follower *follower)
{
	return &follower->history;
}

const struct history_entry *follower_last_transfer(const struct follower *follower)
{
	return follower->transferred.at ? &follower->transferred : NULL;
}

const struct follower_refusal *follower_refusal(const struct follower *follower)
{
	return &follower->refusal;
}

bool follower_unverified(const struct follower *follower)
{
	return follower->unverified;
}

void follower_verifying(struct follower *follower)
{
	history_enter(&follower->history, HISTORY_VERIFY, uv_now(follower->loop));
}

void follower_forget_refusal(struct follower *follower)
{
	free(follower->refusal.reason);
	free(follower->refusal.kept);
	follower->refusal = (struct follower_refusal){0};
}

void follower_verified(struct follower *follower, const char *refused, const char *kept)
{
	if (follower->gone || follower->publication == NULL)
		return;
	if (refused == NULL) {
		history_enter(&follower->history, HISTORY_PUBLISH, uv_now(follower->loop));
		return;
	}
	follower_forget_refusal(follower);
	follower->refused = true;
	follower->refusal = (struct follower_refusal){.set = true,
	                                              .serial = follower->incoming.soa.serial,
	                                              .at = (int64_t)time(NULL),
	                                              .reason = strdup(refused),
	                                              .kept = kept != NULL ? strdup(kept) : NULL};
	if (follower->refusal.reason == NULL)
		follower->refusal.set = false;
}

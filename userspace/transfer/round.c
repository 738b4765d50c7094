/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One round: the zone's primaries in order, and of each its addresses, until one has given what it has. At each the
 * schedule is asked for a turn, and says at once if the address is down.
 */
#include "transfer_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- the present address ---- */

static bool round_over(const struct follower *follower)
{
	return follower->round.at_turn >= follower->turn_count;
}

/* In the order remembered, but the primary that sent a NOTIFY first. */
struct turn *round_turn(const struct follower *follower)
{
	size_t at = follower->round.at_turn, hinted = 0;

	if (!follower->round.hinted)
		return &follower->turns[at];
	while (follower->turns[hinted].source.primary != follower->round.hint.primary)
		hinted++;
	if (at == 0)
		return &follower->turns[hinted];
	return &follower->turns[at <= hinted ? at - 1 : at];
}

const struct config_primary *round_primary(const struct follower *follower)
{
	return follower->zone->primaries[round_turn(follower)->source.primary];
}

struct source round_source(const struct follower *follower)
{
	struct source source = round_turn(follower)->source;

	/* It is asked where the NOTIFY came from. */
	if (follower->round.hinted && follower->round.at_turn == 0)
		source.address = follower->round.hint.address;
	source.address = (uint16_t)((source.address + follower->round.at_address) %
	                            follower->zone->primaries[source.primary]->address_count);
	return source;
}

const struct sockaddr_storage *round_address(const struct follower *follower)
{
	struct source source = round_source(follower);

	return &follower->zone->primaries[source.primary]->addresses[source.address];
}

void source_text(const struct follower *follower, struct source source, char *text, size_t size)
{
	const struct config_primary *primary = follower->zone->primaries[source.primary];
	char address[CONFIG_ADDRESS_TEXT];

	config_address_text(&primary->addresses[source.address], address);
	snprintf(text, size, "%.90s (%s)", primary->name, address);
}

/* ---- from one to the next ---- */

static void next_primary(struct follower *follower)
{
	follower->round.at_turn++;
	follower->round.at_address = 0;
}

/* Notes that the present address was no good. */
static void skip_address(struct follower *follower, enum log_level level, const char *why)
{
	char source[160];

	source_text(follower, round_source(follower), source, sizeof(source));
	transfer_log_repeated(follower, level, source, why);
	if (++follower->round.at_address < round_primary(follower)->address_count)
		return;
	round_turn(follower)->failed = true;
	next_primary(follower);
}

/* Primaries that failed come last next time. */
static void learn(struct follower *follower)
{
	size_t good = 0;

	for (size_t i = 0; i < follower->turn_count; i++) {
		struct turn turn = follower->turns[i];

		if (turn.failed)
			continue;
		memmove(&follower->turns[good + 1], &follower->turns[good], (i - good) * sizeof(turn));
		follower->turns[good++] = turn;
	}
	for (size_t i = good; i < follower->turn_count; i++)
		follower->turns[i].failed = false;
}

void round_end(struct follower *follower, enum attempt_outcome outcome, const char *error)
{
	learn(follower);
	follower->round.on = false;
	follower_ended(follower, outcome, error);
}

static void all_tried(struct follower *follower)
{
	char error[TRANSFER_WHY + 256];

	if (follower->round.older) {
		round_end(follower, ATTEMPT_OLDER, NULL);
		return;
	}
	if (follower->turn_count == 0)
		transfer_log_repeated(follower, LOG_LEVEL_WARNING, NULL, "no primary is configured");
	snprintf(error, sizeof(error), "%s%s", follower->turn_count > 1 ? "every primary failed, the last: " : "",
	         follower->last_error != NULL ? follower->last_error : "out of memory");
	round_end(follower, ATTEMPT_FAILED, error);
}

static bool is_urgent(const struct waiter *waiter)
{
	for (; waiter != NULL; waiter = waiter->next)
		if (waiter->force != FOLLOWER_AS_DUE)
			return true;
	return false;
}

static enum slot_class class_of(const struct follower *follower)
{
	if (follower->round.notified)
		return SLOT_NOTIFIED;
	if (is_urgent(follower->attending))
		return SLOT_ASKED;
	/* The first time it is loaded as fast as may be; a primary that refuses it is not pressed. */
	return follower->loaded || follower->failures > 0 ? SLOT_POLL : SLOT_LOAD;
}

static const char is_down[] = "it is down: it answers nobody, and is asked again at intervals";

/* Queues for the present address, or the first one after it that is not down. */
static void go_on(struct follower *follower)
{
	while (!round_over(follower)) {
		const struct config_primary *primary = round_primary(follower);
		int asked;

		if (primary->address_count == 0) {
			next_primary(follower);
			continue;
		}
		asked = schedule_ask(follower->schedule, &follower->slot, round_address(follower), primary->rate,
		                     class_of(follower));
		if (asked > 0)
			return;
		if (asked == 0)
			history_down(history_open(&follower->history), round_source(follower).primary,
			             round_source(follower).address, is_down);
		skip_address(follower, asked == 0 ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING,
		             asked == 0 ? is_down : "out of memory");
	}
	all_tried(follower);
}

/* ---- what others call ---- */

static bool wants(const struct waiter *waiter, enum follower_force force)
{
	for (; waiter != NULL; waiter = waiter->next)
		if (waiter->force & force)
			return true;
	return false;
}

void round_begin(struct follower *follower)
{
	follower->attending = follower->waiting;
	follower->waiting = NULL;
	follower->round = (struct round){
	    .on = true,
	    .notified = follower->notified,
	    .full = wants(follower->attending, FOLLOWER_FULL),
	    .unverified = wants(follower->attending, FOLLOWER_UNVERIFIED),
	    .hinted = follower->notified && follower->hint_known,
	    .hint = follower->hinted,
	};
	if (follower->notified)
		follower->notify_begun = schedule_clock();
	follower->notified = false;
	go_on(follower);
}

void round_give_up(struct follower *follower)
{
	struct waiter **end = &follower->attending;

	attempt_cancel(follower);
	if (follower->slot.state == SLOT_QUEUED)
		schedule_withdraw(follower->schedule, &follower->slot);
	while (*end != NULL)
		end = &(*end)->next;
	*end = follower->waiting;
	follower->waiting = follower->attending;
	follower->attending = NULL;
	follower->round.on = false;
}

void round_address_failed(struct follower *follower, const char *why)
{
	skip_address(follower, LOG_LEVEL_WARNING, why);
	go_on(follower);
}

/* The primary answered well, with a serial before ours. It is not wrong as such (it may be a secondary that lags), but
 * somebody has to see it: a primary set back to an old serial is never followed. */
void round_address_older(struct follower *follower, const char *why)
{
	char source[160];

	source_text(follower, round_source(follower), source, sizeof(source));
	transfer_log_repeated(follower, LOG_LEVEL_NOTICE, source, why);
	round_address_good(follower);
	follower->round.older = true;
	next_primary(follower);
	go_on(follower);
}

/* Its other addresses have the same. */
void round_primary_refused(struct follower *follower, const char *why)
{
	char source[160];

	source_text(follower, round_source(follower), source, sizeof(source));
	transfer_log_repeated(follower, LOG_LEVEL_WARNING, source, why);
	round_turn(follower)->failed = true;
	next_primary(follower);
	go_on(follower);
}

void round_address_good(struct follower *follower)
{
	round_turn(follower)->source.address = round_source(follower).address;
}

/* ---- hooks of the schedule ---- */

static struct follower *follower_of(const struct slot *slot)
{
	return (struct follower *)((char *)slot - offsetof(struct follower, slot));
}

void round_granted(struct slot *slot)
{
	struct follower *follower = follower_of(slot);

	follower->round.asked = true;
	attempt_begin(follower);
}

void round_refused(struct slot *slot)
{
	go_on(follower_of(slot));
}

bool round_concerns(const struct slot *slot, const struct sockaddr_storage *address)
{
	const struct config_zone *zone = follower_of(slot)->zone;

	for (size_t i = 0; i < zone->primary_count; i++)
		for (size_t j = 0; j < zone->primaries[i]->address_count; j++)
			if (server_compare_addresses(&zone->primaries[i]->addresses[j], address) == 0)
				return true;
	return false;
}

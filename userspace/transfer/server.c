/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One primary's address: who waits to ask it, at which rate, and whether it answers at all. */
#include "transfer_internal.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define MICRO 1000ULL /* in a millisecond */

/* What may be saved up of a rate, so that the timer's coarseness costs nothing of it. */
#define SAVED (50 * MICRO)

struct server *server_new(const struct sockaddr_storage *address)
{
	struct server *server = calloc(1, sizeof(*server));

	if (server == NULL)
		return NULL;
	server->address = *address;
	server->due.kind = DUE_SERVER;
	server->window = transfer_limits.window_first;
	server->probe_pause = transfer_limits.probe_min;
	return server;
}

/* What of a sockaddr means something: its padding does not. */
struct address_key {
	uint8_t address[16];
	uint32_t scope;
	uint16_t family, port;
};

static void make_key(const struct sockaddr_storage *address, struct address_key *key)
{
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
	const struct sockaddr_in *four = (const struct sockaddr_in *)address;

	memset(key, 0, sizeof(*key));
	key->family = address->ss_family;
	if (address->ss_family == AF_INET6) {
		memcpy(key->address, &six->sin6_addr, 16);
		key->port = six->sin6_port;
		key->scope = six->sin6_scope_id;
	} else {
		memcpy(key->address, &four->sin_addr, 4);
		key->port = four->sin_port;
	}
}

int server_compare_addresses(const struct sockaddr_storage *one, const struct sockaddr_storage *other)
{
	struct address_key first, second;

	make_key(one, &first);
	make_key(other, &second);
	return memcmp(&first, &second, sizeof(first));
}

/* ---- queues ---- */

void slots_append(struct slots *slots, struct slot *slot)
{
	slot->next = NULL;
	slot->previous = slots->last;
	if (slots->last != NULL)
		slots->last->next = slot;
	else
		slots->first = slot;
	slots->last = slot;
}

void slots_remove(struct slots *slots, struct slot *slot)
{
	if (slot->previous != NULL)
		slot->previous->next = slot->next;
	else
		slots->first = slot->next;
	if (slot->next != NULL)
		slot->next->previous = slot->previous;
	else
		slots->last = slot->previous;
	slot->next = slot->previous = NULL;
}

bool server_waits(const struct server *server)
{
	for (size_t i = 0; i < SLOT_CLASSES; i++)
		if (server->queues[i].first != NULL)
			return true;
	return false;
}

/* ---- rates ---- */

/* Microseconds from one to the next. What is notified was asked for by the primary itself. */
static uint64_t interval(const struct server *server, enum slot_class class)
{
	uint64_t rate = server->rate != 0 ? server->rate : transfer_limits.rate;

	return 1000 * MICRO / (slot_is_urgent(class) ? rate * transfer_limits.notified_factor : rate);
}

static uint64_t *clock_of(struct server *server, enum slot_class class)
{
	return slot_is_urgent(class) ? &server->notified_due : &server->poll_due;
}

static bool rate_allows(struct server *server, enum slot_class class, uint64_t now)
{
	return *clock_of(server, class) <= now * MICRO + SAVED;
}

static void charge(struct server *server, enum slot_class class, uint64_t now)
{
	uint64_t *due = clock_of(server, class);

	if (*due < now * MICRO)
		*due = now * MICRO;
	*due += interval(server, class);
}

static unsigned window_of(const struct server *server, enum slot_class class)
{
	/* Polls that wait for an address in doubt do not hold up what it says itself. */
	return server->window + (slot_is_urgent(class) ? transfer_limits.window_notified : 0);
}

/* NOTIFYs first. Polls come before loads, which would leave nothing to them: polls are bounded by the rate. */
struct slot *server_next(struct server *server, bool full)
{
	static const enum slot_class order[] = {SLOT_NOTIFIED, SLOT_ASKED, SLOT_POLL, SLOT_LOAD};
	uint64_t now = schedule_clock();

	for (size_t i = 0; i < SLOT_CLASSES; i++) {
		enum slot_class class = order[i];
		struct slot *slot = server->queues[class].first;

		if (slot == NULL || (full && !slot_is_urgent(class)) || server->under_way >= window_of(server, class))
			continue;
		/* What is not a probe is about to be told. */
		if (server->down && !slot->probe)
			continue;
		if (class != SLOT_LOAD) {
			if (!rate_allows(server, class, now))
				continue;
			charge(server, class, now);
		}
		slots_remove(&server->queues[class], slot);
		return slot;
	}
	return NULL;
}

uint64_t server_allowed_at(const struct server *server)
{
	uint64_t at = UINT64_MAX;

	if ((server->queues[SLOT_NOTIFIED].first != NULL || server->queues[SLOT_ASKED].first != NULL) &&
	    server->under_way < window_of(server, SLOT_NOTIFIED))
		at = server->notified_due;
	if (server->queues[SLOT_POLL].first != NULL && server->under_way < window_of(server, SLOT_POLL) &&
	    server->poll_due < at)
		at = server->poll_due;
	if (at == UINT64_MAX)
		return at;
	return at > SAVED ? (at - SAVED + MICRO - 1) / MICRO : 0;
}

/* ---- health ---- */

static bool answered(struct server *server)
{
	bool up = server->down;

	server->silent = 0;
	server->down = false;
	server->probe_pause = transfer_limits.probe_min;
	if (server->window < transfer_limits.window_most)
		server->window++;
	return up;
}

static bool was_silent(struct server *server, uint64_t now)
{
	bool fell = !server->down && server->silent + 1 >= transfer_limits.down_after;

	server->silent++;
	server->window = server->window > 1 ? server->window / 2 : 1;
	if (fell)
		server->down = true;
	else if (server->down)
		server->probe_pause *= 2;
	if (server->probe_pause > transfer_limits.probe_max)
		server->probe_pause = transfer_limits.probe_max;
	if (server->down)
		server->probe_at = now + server->probe_pause;
	return fell;
}

bool server_judge(struct server *server, enum schedule_verdict verdict, bool probe, uint64_t now)
{
	if (verdict == VERDICT_ANSWERED)
		return answered(server);
	/* What was under way when it went down tells nothing new. */
	if (verdict == VERDICT_SILENT && (!server->down || probe))
		return was_silent(server, now);
	return false;
}

bool server_forgettable(const struct server *server, uint64_t now)
{
	return !server_waits(server) && server->parked.first == NULL && server->under_way == 0 &&
	       server->no_edns_until <= now;
}

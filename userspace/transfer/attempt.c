/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One attempt to have what the primaries have.
 *
 *                    clock, NOTIFY, refresh asked for (follower.c)
 *      +--------+ ---------------------------------------------------+
 *      |  IDLE  |                                                    |
 *      +--------+ <--------------------------------------+     attempt_begin
 *        ^    ^ ^                                        |           |
 *        |    | | no address left: ended by the outcome  |           v
 *        |    | +---------------------------------- +----------------------+
 *        |    |                                     |  next address of the | <---+
 *        |    |                                     |  primary, or primary |     |
 *        |    |                                     +----------------------+     |
 *        |    |            a serial is served, and    |                 |        |
 *        |    |            no full transfer forced    v                 |        |
 *        |    |   equal:                         +--------+  failed,    |        |
 *        |    +----------------------------------|  SOA   |  older -----|--------+
 *        |        confirmed                      +--------+             |        |
 *        |                       UDP, then TCP        | newer           |        |
 *        |                                            v                 |        |
 *        |                                       +--------+  otherwise  |        |
 *        |                                       |TRANSFER| <-----------+        |
 *        |                                       +--------+                      |
 *        |                          differences  |    |   | failed (of IXFR: then |
 *        |                            +----------+    |   | AXFR, here again)     |
 *        |                            |         whole v   +----------------------+
 *        |                            |          +--------+                      |
 *        |                            |          | BUILD  |  of no good shape    |
 *        |                            |          +--------+ ---------------------+
 *        |                            |  a worker     |
 *        |                            +-----------+   v
 *        |    served, or refused (failed)        +---------+
 *        +---------------------------------------| PUBLISH |
 *                                                +---------+
 *                                          the hook has the version
 *
 * attempt_cancel leads back from everywhere: what is still at work then (a worker, the hook) has lost its way to the
 * follower and only cleans up after itself.
 */
#include "transfer_internal.h"

#include <string.h>
#include <time.h>

static void try_addresses(struct follower *follower);

static const struct config_primary *primary_now(const struct follower *follower)
{
	return follower->zone->primaries[follower->plan[follower->at_turn].primary];
}

static size_t address_now(const struct follower *follower)
{
	return (follower->plan[follower->at_turn].address + follower->at_address) %
	       primary_now(follower)->address_count;
}

static void source_text(const struct follower *follower, char *text, size_t size)
{
	const struct config_primary *primary = primary_now(follower);
	char address[CONFIG_ADDRESS_TEXT];

	config_address_text(&primary->addresses[address_now(follower)], address);
	snprintf(text, size, "%.90s (%s)", primary->name, address);
}

/* ---- the order of primaries ---- */

/* The attempt's own: the one remembered, but the primary that sent a NOTIFY first, from where it sent it. */
static void make_plan(struct follower *follower)
{
	size_t count = 0;

	follower->at_turn = 0;
	follower->at_address = 0;
	if (follower->notified)
		follower->plan[count++] = follower->hinted;
	for (size_t i = 0; i < follower->turn_count; i++)
		if (!follower->notified || follower->turns[i].primary != follower->hinted.primary)
			follower->plan[count++] = follower->turns[i];
}

/* Primaries that failed come last next time. */
static void learn(struct follower *follower)
{
	struct turn *sorted = follower->plan; /* no longer needed */
	size_t count = 0;

	for (size_t i = 0; i < follower->turn_count; i++)
		if (!follower->turns[i].failed)
			sorted[count++] = follower->turns[i];
	for (size_t i = 0; i < follower->turn_count; i++)
		if (follower->turns[i].failed)
			sorted[count++] = follower->turns[i];
	for (size_t i = 0; i < count; i++) {
		follower->turns[i] = sorted[i];
		follower->turns[i].failed = false;
	}
}

/* What is remembered of the present primary beyond this attempt. */
static struct turn *remembered(struct follower *follower)
{
	size_t i = 0;

	while (follower->turns[i].primary != follower->plan[follower->at_turn].primary)
		i++;
	return &follower->turns[i];
}

/* ---- outcomes ---- */

/* Ends what the present address has begun. */
static void drop_exchange(struct follower *follower)
{
	exchange_end(follower->exchange);
	follower->exchange = NULL;
	transfer_in_clear(&follower->incoming);
	tsig_session_clear(&follower->tsig);
}

void attempt_cancel(struct follower *follower)
{
	drop_exchange(follower);
	build_forget(follower);
	follower->state = FOLLOWER_IDLE;
}

void attempt_end(struct follower *follower, enum attempt_outcome outcome, const char *error)
{
	drop_exchange(follower);
	learn(follower);
	follower->state = FOLLOWER_IDLE;
	follower_ended(follower, outcome, error);
}

/* Notes that the present address was no good, and moves on to the next. */
static void skip_address(struct follower *follower, const char *why)
{
	char source[160];

	source_text(follower, source, sizeof(source));
	drop_exchange(follower);
	transfer_log_repeated(follower, LOG_LEVEL_WARNING, source, why);
	follower->at_address++;
	if (follower->at_address < primary_now(follower)->address_count)
		return;
	remembered(follower)->failed = true;
	follower->at_turn++;
	follower->at_address = 0;
}

void attempt_address_failed(struct follower *follower, const char *why)
{
	skip_address(follower, why);
	try_addresses(follower);
}

/* The primary answered well, with a serial before ours. It is not wrong as such (it may be a secondary that lags), but
 * somebody has to see it: a primary set back to an old serial is never followed. */
static void address_older(struct follower *follower, uint32_t serial)
{
	char source[160], why[TRANSFER_WHY];

	source_text(follower, source, sizeof(source));
	snprintf(why, sizeof(why), "its serial %u is older than the one served", serial);
	transfer_log_repeated(follower, LOG_LEVEL_NOTICE, source, why);
	attempt_address_good(follower);
	drop_exchange(follower);
	follower->any_older = true;
	follower->at_turn++;
	follower->at_address = 0;
	try_addresses(follower);
}

void attempt_address_good(struct follower *follower)
{
	remembered(follower)->address = address_now(follower);
}

static void heard(struct follower *follower, uint32_t serial)
{
	follower->status.has_primary_serial = true;
	follower->status.primary_serial = serial;
	follower->status.last_check = (int64_t)time(NULL);
}

/* The primary has what is served. */
static void confirmed(struct follower *follower, const struct soa_timers *soa)
{
	follower->served = *soa;
	follower->timers_known = true;
	attempt_address_good(follower);
	drop_exchange(follower);
	follower->hooks.confirmed(follower->hooks.context, soa->expire);
	if (!follower->gone)
		attempt_end(follower, ATTEMPT_GOOD, NULL);
}

/* ---- AXFR, IXFR ---- */

/* Balanced primaries may answer the SOA query with one serial and the transfer with another. Returns false when the
 * transfer is over for that. */
static bool wanted(struct follower *follower)
{
	struct soa_timers soa = follower->incoming.soa;

	heard(follower, soa.serial);
	if (!follower->loaded || follower->full || serial_newer(soa.serial, follower->served.serial))
		return true;
	if (soa.serial == follower->served.serial)
		confirmed(follower, &soa);
	else
		address_older(follower, soa.serial);
	return false;
}

static int start_transfer(struct follower *follower, bool incremental, char *why);

/* What the present address sent for IXFR is no good: it is asked for all of the zone. */
static void fall_back(struct follower *follower, const char *why)
{
	char source[160], text[TRANSFER_WHY];

	source_text(follower, source, sizeof(source));
	snprintf(text, sizeof(text), "%.200s; AXFR instead", why);
	transfer_log_repeated(follower, LOG_LEVEL_NOTICE, source, text);
	if (start_transfer(follower, false, text) != 0)
		attempt_address_failed(follower, text);
}

static void pause_ixfr(struct follower *follower)
{
	remembered(follower)->no_ixfr_until = uv_now(follower->loop) + transfer_limits.ixfr_pause;
}

void attempt_misfit(struct follower *follower, const char *why)
{
	/* Other primaries were configured meanwhile: everything begins anew. */
	if (follower->at_turn >= follower->turn_count) {
		waiters_move(&follower->attending, &follower->waiting);
		waiters_move(&follower->waiting, &follower->attending);
		attempt_end(follower, ATTEMPT_FAILED, why);
		return;
	}
	/* Once may be an accident; a primary that is wrong every time costs every transfer twice. */
	if (++remembered(follower)->misfits % 2 == 0)
		pause_ixfr(follower);
	fall_back(follower, why);
}

/* Whatever is wrong with an IXFR, AXFR may be right: a server that does not know IXFR may say anything, and differences
 * that do not fit are of no use. One that refused is not asked again for some time. */
static void transfer_failed(struct follower *follower, const char *why)
{
	const struct transfer_in *in = &follower->incoming;
	bool refused =
	    in->rcode == KNOT_RCODE_NOTIMPL || in->rcode == KNOT_RCODE_FORMERR || in->rcode == KNOT_RCODE_REFUSED;

	if (in->expected.type != KNOT_RRTYPE_IXFR) {
		attempt_address_failed(follower, why);
		return;
	}
	if (refused)
		pause_ixfr(follower);
	fall_back(follower, why);
}

static void on_transfer_message(void *context, uint8_t *wire, size_t length)
{
	struct follower *follower = context;
	bool opened = follower->incoming.opened;
	char why[TRANSFER_WHY];

	switch (transfer_in_message(&follower->incoming, wire, length)) {
	case TRANSFER_FAILED:
		memcpy(why, follower->incoming.why, sizeof(why));
		transfer_failed(follower, why);
		break;
	case TRANSFER_MORE:
		if (!opened)
			wanted(follower);
		break;
	case TRANSFER_DONE:
		if (!opened && !wanted(follower))
			break;
		follower->transfer_ms = uv_now(follower->loop) - follower->transfer_begun;
		exchange_end(follower->exchange);
		follower->exchange = NULL;
		if (follower->incoming.shape == SHAPE_DIFFERENCES)
			change_begin(follower);
		else
			build_begin(follower);
		break;
	}
}

static void on_transfer_failed(void *context, const char *cause)
{
	struct follower *follower = context;
	char why[TRANSFER_WHY];
	size_t used = (size_t)snprintf(why, sizeof(why), "%s failed: %.180s", follower->incoming.expected.what, cause);

	if (follower->incoming.records > 0)
		snprintf(why + used, sizeof(why) - used, ", after %llu records",
		         (unsigned long long)follower->incoming.records);
	/* Where there is no connection, another one is not to be had either. */
	if (exchange_connected(follower->exchange))
		transfer_failed(follower, why);
	else
		attempt_address_failed(follower, why);
}

static const struct exchange_events transfer_events = {on_transfer_message, on_transfer_failed};

/* Prepares the query to the present address. Returns its length, or 0 with the reason. */
static size_t make_query(struct follower *follower, uint8_t *query, uint16_t type, char *why)
{
	const knot_dname_t *apex = follower->zone->apex;
	uint16_t id = (uint16_t)random_below(65536);
	size_t length;

	drop_exchange(follower);
	follower->expected =
	    (struct reply_expected){.what = "SOA query", .id = id, .type = type, .apex = apex, .first = true};
	source_text(follower, follower->status.primary, sizeof(follower->status.primary));
	if (tsig_session_init(&follower->tsig, primary_now(follower)->key, why) != 0)
		return 0;
	length = query_make(query, TRANSFER_QUERY, id, apex, type, follower->served.serial, &follower->tsig);
	if (length == 0)
		snprintf(why, TRANSFER_WHY, "the query cannot be made");
	return length;
}

/* This and start_soa return 0, or -1 with the reason: then nothing was begun. */
static int start_transfer(struct follower *follower, bool incremental, char *why)
{
	uint8_t query[TRANSFER_QUERY];
	char cause[TRANSFER_WHY];
	const uint32_t *have = incremental ? &follower->served.serial : NULL;
	size_t length = make_query(follower, query, incremental ? KNOT_RRTYPE_IXFR : KNOT_RRTYPE_AXFR, cause);

	follower->state = FOLLOWER_TRANSFER;
	follower->transfer_begun = uv_now(follower->loop);
	if (length > 0 && transfer_in_init(&follower->incoming, follower->zone->apex, follower->expected.id, have,
	                                   &follower->tsig) != 0) {
		snprintf(cause, sizeof(cause), "out of memory");
		length = 0;
	}
	if (length > 0)
		follower->exchange =
		    exchange_tcp(follower->loop, &primary_now(follower)->addresses[address_now(follower)], query,
		                 length, &transfer_events, follower, cause);
	if (follower->exchange != NULL)
		return 0;
	snprintf(why, TRANSFER_WHY, "%s failed: %.200s", incremental ? "IXFR" : "AXFR", cause);
	return -1;
}

/* IXFR, where it makes sense. */
static int start_best_transfer(struct follower *follower, char *why)
{
	bool incremental =
	    follower->loaded && !follower->full && uv_now(follower->loop) >= remembered(follower)->no_ixfr_until;

	return start_transfer(follower, incremental, why);
}

/* ---- SOA ---- */

static int start_soa(struct follower *follower, bool over_tcp, char *why);

static void go_on_over_tcp(struct follower *follower)
{
	char why[TRANSFER_WHY];

	if (start_soa(follower, true, why) != 0)
		attempt_address_failed(follower, why);
}

static void compare(struct follower *follower, const struct soa_timers *soa)
{
	char why[TRANSFER_WHY];

	heard(follower, soa->serial);
	if (soa->serial == follower->served.serial)
		confirmed(follower, soa);
	else if (!serial_newer(soa->serial, follower->served.serial))
		address_older(follower, soa->serial);
	else if (start_best_transfer(follower, why) != 0)
		attempt_address_failed(follower, why);
}

static void on_soa_message(void *context, uint8_t *wire, size_t length)
{
	struct follower *follower = context;
	struct soa_timers soa;
	char why[TRANSFER_WHY];
	bool refused = length >= KNOT_WIRE_HEADER_SIZE && knot_wire_get_rcode(wire) == KNOT_RCODE_REFUSED;

	/* Anyone can send us a datagram; what is no reply to us is no reason to stop waiting. What has our id is
	 * judged, and a failure shown rather than waited out: a forger who guessed it only costs this one poll. */
	if (!follower->over_tcp && !reply_matches(&follower->expected, wire, length))
		return;
	switch (soa_reply(&follower->expected, wire, length, &follower->tsig, &soa, why)) {
	case SOA_ANSWERED:
		compare(follower, &soa);
		break;
	case SOA_TRUNCATED:
		if (follower->over_tcp)
			attempt_address_failed(follower, "SOA query failed: truncated reply over TCP");
		else
			go_on_over_tcp(follower);
		break;
	case SOA_FAILED:
		/* Knot DNS tells of a catalog's SOA over TCP alone. */
		if (refused && !follower->over_tcp)
			go_on_over_tcp(follower);
		else
			attempt_address_failed(follower, why);
		break;
	}
}

static void on_soa_failed(void *context, const char *cause)
{
	struct follower *follower = context;
	char why[TRANSFER_WHY];

	if (!follower->over_tcp) {
		go_on_over_tcp(follower);
		return;
	}
	snprintf(why, sizeof(why), "SOA query failed: nothing good over UDP, and over TCP: %.150s", cause);
	attempt_address_failed(follower, why);
}

static const struct exchange_events soa_events = {on_soa_message, on_soa_failed};

static int start_soa(struct follower *follower, bool over_tcp, char *why)
{
	const struct sockaddr_storage *address = &primary_now(follower)->addresses[address_now(follower)];
	uint8_t query[TRANSFER_QUERY];
	char cause[TRANSFER_WHY];
	size_t length = make_query(follower, query, KNOT_RRTYPE_SOA, cause);

	follower->state = FOLLOWER_SOA;
	follower->over_tcp = over_tcp;
	if (length > 0 && over_tcp)
		follower->exchange = exchange_tcp(follower->loop, address, query, length, &soa_events, follower, cause);
	else if (length > 0)
		follower->exchange = exchange_udp(follower->loop, address, query, length, &soa_events, follower, cause);
	if (follower->exchange != NULL)
		return 0;
	snprintf(why, TRANSFER_WHY, "SOA query failed: %.200s", cause);
	return -1;
}

/* ---- one address after another ---- */

static void all_tried(struct follower *follower)
{
	char error[sizeof(follower->status.last_error) + 80];

	if (follower->any_older) {
		attempt_end(follower, ATTEMPT_OLDER, NULL);
		return;
	}
	if (follower->turn_count == 0)
		snprintf(follower->status.last_error, sizeof(follower->status.last_error), "no primary is configured");
	snprintf(error, sizeof(error), "%s%s", follower->turn_count > 1 ? "every primary failed, the last: " : "",
	         follower->status.last_error);
	attempt_end(follower, ATTEMPT_FAILED, error);
}

/* Begins with the present address, or the first one after it with which something can be begun. */
static void try_addresses(struct follower *follower)
{
	bool ask_first = follower->loaded && !follower->full;
	char why[TRANSFER_WHY];

	while (follower->at_turn < follower->turn_count) {
		if (primary_now(follower)->address_count == 0) {
			follower->at_turn++;
			continue;
		}
		if ((ask_first ? start_soa(follower, false, why) : start_transfer(follower, false, why)) == 0)
			return;
		skip_address(follower, why);
	}
	all_tried(follower);
}

void attempt_begin(struct follower *follower)
{
	waiters_move(&follower->attending, &follower->waiting);
	follower->full = false;
	for (const struct waiter *waiter = follower->attending.first; waiter != NULL; waiter = waiter->next)
		follower->full |= waiter->force == FOLLOWER_FULL;
	make_plan(follower);
	if (follower->notified) {
		follower->notify_begun = uv_now(follower->loop);
		follower->notify_begun_set = true;
	}
	follower->notified = false;
	follower->any_older = false;
	try_addresses(follower);
}

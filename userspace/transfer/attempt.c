/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One attempt to have what one address of a primary has. It begins when the schedule grants the round its turn there,
 * and what it comes to is the round's: the next address, or the end.
 *
 *        attempt_begin
 *             |   a serial is served, and           otherwise
 *             |   no full transfer forced    +--------------------------+
 *             v                              |                          |
 *        +--------+  newer                   v                          |
 *        |  SOA   | -------------------> +--------+  IXFR was no good:  |
 *        +--------+                      |TRANSFER| ---- AXFR ----------+
 *         |  |  |                        +--------+ <-- AXFR --+
 *         |  |  | failed                  |  |   |             |
 *         |  |  +-----> attempt_failed <--+  |   | differences |
 *         |  |            ^                  |   |             | they do not fit
 *         |  | older      | of no good shape | whole           |
 *         |  +-------+    |                  v   |             |
 *         |          |   +--------+----------+   |             |
 *         | equal    |   | BUILD  |              v             |
 *         |          |   +--------+ ---------> +---------+ ----+
 *         v          v     a worker            | PUBLISH |
 * attempt_confirmed  attempt_older             +---------+
 *                                      served, or | refused (failed)
 *                                                 v
 *                                            attempt_end
 *
 * attempt_cancel leads out from everywhere: what is still at work then (a worker, the hook) has lost its way to the
 * attempt and only cleans up after itself.
 */
#include "attempt.h"

#include <stdlib.h>
#include <string.h>

enum follower_state follower_state(const struct follower *follower)
{
	return follower->attempt != NULL ? follower->attempt->state : FOLLOWER_IDLE;
}

static uv_loop_t *loop_of(const struct attempt *attempt)
{
	return schedule_loop(attempt->follower->schedule);
}

/* How the present address is reached. */
static struct exchange_peer peer_of(const struct follower *follower)
{
	const struct config_reach *reach = &round_primary(follower)->reach;
	const struct sockaddr_storage *address = round_address(follower);

	return (struct exchange_peer){
	    .address = address, .source = config_reach_source(reach, address), .tls = reach->tls};
}

static struct exchange_pool *pool_of(const struct attempt *attempt)
{
	return schedule_pool(attempt->follower->schedule);
}

/* ---- AXFR, IXFR ---- */

static int start_transfer(struct attempt *attempt, bool incremental, char *why);

/* What came for IXFR is no good: the address is asked for all of the zone. */
static void fall_back(struct attempt *attempt, const char *why)
{
	struct follower *follower = attempt->follower;
	char source[160], text[TRANSFER_WHY];

	source_text(follower, round_source(follower), source, sizeof(source));
	snprintf(text, sizeof(text), "%.200s; AXFR instead", why);
	transfer_log_repeated(follower, LOG_LEVEL_NOTICE, source, text);
	if (start_transfer(attempt, false, text) != 0)
		attempt_failed(attempt, text);
}

/* Whether the version is to be had. Not so, the transfer is over for it: balanced primaries may answer the SOA query
 * with one serial and the transfer with another. What has expired is not compared with. */
static bool wanted(struct attempt *attempt)
{
	struct follower *follower = attempt->follower;
	struct soa_timers soa = attempt->incoming.soa;

	attempt_note_serial(follower, soa.serial);
	if (!follower->loaded || follower->round.full || serial_newer(soa.serial, follower->served.serial))
		return !attempt_still_refused(attempt, soa.serial);
	if (soa.serial == follower->served.serial)
		attempt_confirmed(attempt, &soa);
	else if (!clocks_expired(follower))
		attempt_older(attempt, soa.serial);
	else if (attempt->incoming.expected.type == KNOT_RRTYPE_IXFR)
		fall_back(attempt, "what is served has expired, and the primary's serial is older");
	else
		return !attempt_still_refused(attempt, soa.serial);
	return false;
}

static void pause_ixfr(struct follower *follower)
{
	round_turn(follower)->no_ixfr_until = schedule_clock() + transfer_limits.ixfr_pause;
}

void attempt_misfit(struct attempt *attempt, const char *why)
{
	struct follower *follower = attempt->follower;

	/* Other primaries were configured meanwhile: everything begins anew. */
	if (follower->round.at_turn >= follower->turn_count) {
		round_give_up(follower);
		follower_ended(follower, ATTEMPT_FAILED, why);
		return;
	}
	/* Once may be an accident; a primary that is wrong every time costs every transfer twice. */
	if (++round_turn(follower)->misfits % 2 == 0)
		pause_ixfr(follower);
	fall_back(attempt, why);
}

/* Whatever is wrong with an IXFR, AXFR may be right: a server that does not know IXFR may say anything, and differences
 * that do not fit are of no use. One that refused is not asked again for some time. */
static void transfer_failed(struct attempt *attempt, const char *why)
{
	const struct transfer_in *in = &attempt->incoming;
	bool refused =
	    in->rcode == KNOT_RCODE_NOTIMPL || in->rcode == KNOT_RCODE_FORMERR || in->rcode == KNOT_RCODE_REFUSED;

	if (in->expected.type != KNOT_RRTYPE_IXFR) {
		attempt_failed(attempt, why);
		return;
	}
	if (refused)
		pause_ixfr(attempt->follower);
	fall_back(attempt, why);
}

/* A server that does not do EDNS is asked as before there was any. Returns whether this message says so. */
static bool without_edns(struct attempt *attempt, const uint8_t *wire, size_t length)
{
	if (!attempt->edns || attempt->edns_taken || !reply_refuses_edns(&attempt->expected, wire, length))
		return false;
	attempt->edns = false;
	schedule_set_no_edns(&attempt->follower->slot);
	return true;
}

static void on_transfer_message(void *context, uint8_t *wire, size_t length)
{
	struct attempt *attempt = context;
	bool opened = attempt->incoming.opened;
	enum transfer_result result;
	char why[TRANSFER_WHY];

	attempt_heard(attempt);
	attempt_note_message(attempt, length);
	if (!opened && without_edns(attempt, wire, length)) {
		attempt_answered(attempt);
		if (start_transfer(attempt, attempt->expected.type == KNOT_RRTYPE_IXFR, why) != 0)
			attempt_failed(attempt, why);
		return;
	}
	result = transfer_in_message(&attempt->incoming, wire, length);
	if (attempt->incoming.expire.given)
		attempt->expire = attempt->incoming.expire;
	switch (result) {
	case TRANSFER_FAILED:
		/* A refusal is one message, after which the connection is as good as before. */
		if (attempt->incoming.rcode != KNOT_RCODE_NOERROR)
			attempt_answered(attempt);
		memcpy(why, attempt->incoming.why, sizeof(why));
		transfer_failed(attempt, why);
		break;
	case TRANSFER_MORE:
		if (!opened)
			wanted(attempt);
		break;
	case TRANSFER_DONE:
		attempt_answered(attempt);
		if (!opened && !wanted(attempt))
			break;
		attempt->transfer_ms = schedule_clock() - attempt->transfer_begun;
		exchange_end(attempt->exchange);
		attempt->exchange = NULL;
		if (attempt->incoming.shape == SHAPE_DIFFERENCES)
			change_begin(attempt);
		else
			build_begin(attempt);
		break;
	}
}

static void on_transfer_failed(void *context, const char *cause)
{
	struct attempt *attempt = context;
	bool connected = exchange_connected(attempt->exchange) && exchange_tls(attempt->exchange) == EXCHANGE_TLS_NONE;
	char why[TRANSFER_WHY];
	size_t used = (size_t)snprintf(why, sizeof(why), "%s failed: %.180s", attempt->incoming.expected.what, cause);

	if (attempt->incoming.records > 0)
		snprintf(why + used, sizeof(why) - used, ", after %llu records",
		         (unsigned long long)attempt->incoming.records);
	attempt_note_connected(attempt);
	/* Where there is no connection, another one is not to be had either. */
	if (connected)
		transfer_failed(attempt, why);
	else
		attempt_failed(attempt, why);
}

static const struct exchange_events transfer_events = {on_transfer_message, on_transfer_failed};

/* Prepares the query. Returns its length, or 0 with the reason. */
static size_t make_query(struct attempt *attempt, uint8_t *query, uint16_t type, bool edns, char *why)
{
	struct follower *follower = attempt->follower;
	const knot_dname_t *apex = follower->zone->apex;
	bool stream = type != KNOT_RRTYPE_SOA || attempt->over_tcp;
	enum query_edns options = !edns ? QUERY_PLAIN : stream ? QUERY_EDNS_STREAM : QUERY_EDNS;
	uint16_t id = (uint16_t)random_below(65536);
	size_t length;

	attempt_drop_exchange(attempt);
	attempt->expected = (struct reply_expected){.what = "SOA query",
	                                            .id = id,
	                                            .type = type,
	                                            .apex = apex,
	                                            .first = true,
	                                            .keep = &attempt->keep,
	                                            .facts = &attempt->facts};
	if (tsig_session_init(&attempt->tsig, round_primary(follower)->key, why) != 0)
		return 0;
	length = query_make(query, TRANSFER_QUERY, id, apex, type, follower->served.serial, options, &attempt->tsig);
	if (length == 0)
		snprintf(why, TRANSFER_WHY, "the query cannot be made");
	return length;
}

/* This and start_soa return 0, or -1 with the reason: then nothing was begun. */
static int start_transfer(struct attempt *attempt, bool incremental, char *why)
{
	struct follower *follower = attempt->follower;
	uint8_t query[TRANSFER_QUERY];
	char cause[TRANSFER_WHY];
	const uint32_t *have = incremental ? &follower->served.serial : NULL;
	const struct config_reach *reach = &round_primary(follower)->reach;
	struct exchange_peer peer = peer_of(follower);
	size_t length =
	    make_query(attempt, query, incremental ? KNOT_RRTYPE_IXFR : KNOT_RRTYPE_AXFR, attempt->edns, cause);

	attempt->state = FOLLOWER_TRANSFER;
	attempt_note_begin(attempt, incremental ? HISTORY_IXFR : HISTORY_AXFR,
	                   peer.tls != NULL ? HISTORY_OVER_TLS : HISTORY_TCP);
	attempt->transfer_begun = schedule_clock();
	if (length > 0 && (transfer_in_init(&attempt->incoming, follower->zone->apex, attempt->expected.id, have,
	                                    &attempt->tsig) != 0 ||
	                   transfer_in_bound(&attempt->incoming, reach->max_records, reach->max_octets) != 0)) {
		snprintf(cause, sizeof(cause), "out of memory");
		length = 0;
	}
	attempt->incoming.expected.keep = &attempt->keep;
	attempt->incoming.expected.facts = &attempt->facts;
	if (length > 0)
		attempt->exchange =
		    exchange_stream(pool_of(attempt), &peer, true, query, length, &transfer_events, attempt, cause);
	if (attempt->exchange != NULL)
		return 0;
	snprintf(why, TRANSFER_WHY, "%s failed: %.200s", incremental ? "IXFR" : "AXFR", cause);
	return -1;
}

/* IXFR, where it makes sense: not to a serial before ours. */
static int start_best_transfer(struct attempt *attempt, uint32_t serial, char *why)
{
	const struct follower *follower = attempt->follower;

	return start_transfer(attempt,
	                      serial_newer(serial, follower->served.serial) &&
	                          schedule_clock() >= round_turn(follower)->no_ixfr_until,
	                      why);
}

/* ---- SOA ---- */

static int start_soa(struct attempt *attempt, bool over_tcp, bool edns, char *why);

static void go_on_over_tcp(struct attempt *attempt, bool edns)
{
	char why[TRANSFER_WHY];

	if (start_soa(attempt, true, edns, why) != 0)
		attempt_failed(attempt, why);
}

static void compare(struct attempt *attempt, const struct soa_timers *soa)
{
	struct follower *follower = attempt->follower;
	char why[TRANSFER_WHY];

	attempt_note_serial(follower, soa->serial);
	if (soa->serial == follower->served.serial)
		attempt_confirmed(attempt, soa);
	else if (!serial_newer(soa->serial, follower->served.serial) && !clocks_expired(follower))
		attempt_older(attempt, soa->serial);
	else if (attempt_still_refused(attempt, soa->serial))
		return;
	else if (start_best_transfer(attempt, soa->serial, why) != 0)
		attempt_failed(attempt, why);
}

static void on_soa_message(void *context, uint8_t *wire, size_t length)
{
	struct attempt *attempt = context;
	enum soa_verdict verdict;
	struct soa_timers soa;
	char why[TRANSFER_WHY];
	bool refused = length >= KNOT_WIRE_HEADER_SIZE && knot_wire_get_rcode(wire) == KNOT_RCODE_REFUSED;

	/* Anyone can send us a datagram; what is no reply to us is no reason to stop waiting. What has our id is
	 * judged, and a failure shown rather than waited out: a forger who guessed it only costs this one poll. */
	if (!attempt->over_tcp && !reply_matches(&attempt->expected, wire, length))
		return;
	attempt_heard(attempt);
	attempt_note_message(attempt, length);
	if (without_edns(attempt, wire, length)) {
		attempt_answered(attempt);
		if (start_soa(attempt, attempt->over_tcp, false, why) != 0)
			attempt_failed(attempt, why);
		return;
	}
	verdict = soa_reply(&attempt->expected, wire, length, &attempt->tsig, &soa, &attempt->expire, why);
	attempt_answered(attempt);
	switch (verdict) {
	case SOA_ANSWERED:
		attempt->edns_taken = true;
		compare(attempt, &soa);
		break;
	case SOA_TRUNCATED:
		if (attempt->over_tcp)
			attempt_failed(attempt, "SOA query failed: truncated reply over TCP");
		else
			go_on_over_tcp(attempt, attempt->edns);
		break;
	case SOA_FAILED:
		/* Knot DNS tells of a catalog's SOA over TCP alone. */
		if (refused && !attempt->over_tcp)
			go_on_over_tcp(attempt, attempt->edns);
		else
			attempt_failed(attempt, why);
		break;
	}
}

static void on_soa_failed(void *context, const char *cause)
{
	struct attempt *attempt = context;
	char why[TRANSFER_WHY];

	if (!attempt->over_tcp) {
		/* Something on the way may not like EDNS. */
		go_on_over_tcp(attempt, false);
		return;
	}
	attempt_note_connected(attempt);
	if (round_primary(attempt->follower)->reach.tls != NULL)
		snprintf(why, sizeof(why), "SOA query failed: %.230s", cause);
	else
		snprintf(why, sizeof(why), "SOA query failed: nothing good over UDP, and over TCP: %.150s", cause);
	attempt_failed(attempt, why);
}

static const struct exchange_events soa_events = {on_soa_message, on_soa_failed};

static int start_soa(struct attempt *attempt, bool over_tcp, bool edns, char *why)
{
	struct exchange_peer peer = peer_of(attempt->follower);
	uint8_t query[TRANSFER_QUERY];
	char cause[TRANSFER_WHY];
	size_t length;

	attempt->state = FOLLOWER_SOA;
	/* Over TLS or not at all. */
	over_tcp |= peer.tls != NULL;
	attempt_note_begin(attempt, HISTORY_ASK_SOA,
	                   peer.tls != NULL ? HISTORY_OVER_TLS
	                   : over_tcp       ? HISTORY_TCP
	                                    : HISTORY_UDP);
	attempt->over_tcp = over_tcp;
	length = make_query(attempt, query, KNOT_RRTYPE_SOA, edns, cause);
	if (length > 0 && over_tcp)
		attempt->exchange =
		    exchange_stream(pool_of(attempt), &peer, false, query, length, &soa_events, attempt, cause);
	else if (length > 0)
		attempt->exchange = exchange_udp(loop_of(attempt), &peer, query, length, &soa_events, attempt, cause);
	if (attempt->exchange != NULL)
		return 0;
	snprintf(why, TRANSFER_WHY, "SOA query failed: %.200s", cause);
	return -1;
}

/* ---- the beginning ---- */

void attempt_begin(struct follower *follower)
{
	struct attempt *attempt = calloc(1, sizeof(*attempt));
	char why[TRANSFER_WHY];
	int begun;

	follower->source = round_source(follower);
	follower->asked = true;
	if (attempt == NULL) {
		schedule_release(follower->schedule, &follower->slot, VERDICT_NONE);
		round_address_failed(follower, "out of memory");
		return;
	}
	attempt->follower = follower;
	attempt->edns = !schedule_no_edns(&follower->slot);
	follower->attempt = attempt;
	if (follower->loaded && !follower->round.full)
		begun = start_soa(attempt, false, attempt->edns, why);
	else
		begun = start_transfer(attempt, false, why);
	if (begun != 0)
		attempt_failed(attempt, why);
}

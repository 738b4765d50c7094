/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What an attempt comes to, and what is told of it on the way: to the schedule, that the address lives; to the history,
 * what it said; to the round, how it ended, with which the attempt is gone.
 */
#include "attempt.h"

#include <stdlib.h>
#include <time.h>

/* ---- on the way ---- */

void attempt_note_begin(struct attempt *attempt, enum history_kind kind, enum history_transport transport)
{
	struct source source = round_source(attempt->follower);
	bool again = attempt->begun;

	attempt->begun = true;
	attempt->facts = (struct history_facts){0};
	history_begin(history_open(&attempt->follower->history), source.primary, source.address, kind, transport, again,
	              schedule_clock());
}

void attempt_note_connected(struct attempt *attempt)
{
	struct history *history = attempt->follower->history;
	const struct history_entry *entry = history_now(history);
	bool tls = exchange_tls(attempt->exchange) != EXCHANGE_TLS_NONE;
	uint64_t ago;

	if (entry == NULL || entry->phase != HISTORY_CONNECT || !(tls || exchange_connected(attempt->exchange)))
		return;
	ago = uv_now(schedule_loop(attempt->follower->schedule)) - exchange_connected_at(attempt->exchange);
	history_enter(history,
	              tls                              ? HISTORY_TLS
	              : entry->kind == HISTORY_ASK_SOA ? HISTORY_SOA
	                                               : HISTORY_TRANSFER,
	              schedule_clock() - ago);
}

void attempt_note_message(struct attempt *attempt, size_t octets)
{
	attempt_note_connected(attempt);
	history_message(attempt->follower->history, octets, schedule_clock());
}

void attempt_note_serial(struct follower *follower, uint32_t serial)
{
	follower->has_primary_serial = true;
	follower->primary_serial = serial;
	follower->last_check = (int64_t)time(NULL);
	history_heard(follower->history, serial, follower->loaded ? &follower->served.serial : NULL, schedule_clock());
}

void attempt_heard(struct attempt *attempt)
{
	if (attempt->heard)
		return;
	attempt->heard = true;
	schedule_heard(attempt->follower->schedule, &attempt->follower->slot);
}

void attempt_answered(struct attempt *attempt)
{
	if (attempt->keep.given)
		exchange_keep(attempt->exchange, attempt->keep.idle);
	attempt->keep.given = false;
	exchange_answered(attempt->exchange);
}

void attempt_drop_exchange(struct attempt *attempt)
{
	exchange_end(attempt->exchange);
	attempt->exchange = NULL;
	transfer_in_clear(&attempt->incoming);
	tsig_session_clear(&attempt->tsig);
}

/* ---- the end ---- */

/* Returns the follower, which has no attempt any more. */
static struct follower *drop(struct attempt *attempt, enum schedule_verdict verdict)
{
	struct follower *follower = attempt->follower;

	attempt_drop_exchange(attempt);
	build_forget(attempt);
	follower->attempt = NULL;
	free(attempt);
	schedule_release(follower->schedule, &follower->slot, verdict);
	return follower;
}

void attempt_cancel(struct follower *follower)
{
	if (follower->attempt != NULL)
		drop(follower->attempt, VERDICT_NONE);
}

void attempt_end(struct attempt *attempt, enum attempt_outcome outcome, const char *error)
{
	round_end(drop(attempt, VERDICT_NONE), outcome, error);
}

static void note_end(struct attempt *attempt, enum history_result result, const char *why)
{
	history_end(attempt->follower->history, result, &attempt->facts, why, schedule_clock());
}

void attempt_failed(struct attempt *attempt, const char *why)
{
	/* Without an exchange it was not the address that failed. */
	bool silent =
	    !attempt->heard && attempt->exchange != NULL && exchange_tls(attempt->exchange) != EXCHANGE_TLS_REFUSED;

	note_end(attempt, HISTORY_FAILED, why);
	round_address_failed(drop(attempt, silent ? VERDICT_SILENT : VERDICT_NONE), why);
}

void attempt_refused(struct attempt *attempt, uint32_t serial, const char *why)
{
	struct turn *turn = round_turn(attempt->follower);

	note_end(attempt, HISTORY_FAILED, why);
	if (turn->refused != serial || schedule_clock() >= turn->refused_until)
		turn->refused_until = schedule_clock() + transfer_limits.refusal_pause;
	turn->refused = serial;
	round_primary_refused(drop(attempt, VERDICT_NONE), why);
}

void attempt_confirmed(struct attempt *attempt, const struct soa_timers *soa)
{
	struct follower *follower = attempt->follower;
	uint32_t expire = clocks_expire(follower, soa, &attempt->expire, true);

	follower->served = *soa;
	follower->timers_known = true;
	clocks_set_expiry(follower, expire);
	round_address_good(follower);
	note_end(attempt, HISTORY_OK, NULL);
	follower = drop(attempt, VERDICT_NONE);
	follower->hooks.confirmed(follower->hooks.context, expire);
	if (!follower->gone)
		round_end(follower, ATTEMPT_GOOD, NULL);
}

void attempt_older(struct attempt *attempt, uint32_t serial)
{
	char why[TRANSFER_WHY];

	snprintf(why, sizeof(why), "its serial %u is older than the one served", serial);
	note_end(attempt, HISTORY_OLDER, why);
	round_address_older(drop(attempt, VERDICT_NONE), why);
}

bool attempt_still_refused(struct attempt *attempt, uint32_t serial)
{
	struct follower *follower = attempt->follower;
	const struct history_refusal *refusal = follower->history != NULL ? follower->history->refusal : NULL;
	const struct turn *turn = round_turn(follower);
	char why[TRANSFER_WHY];

	if (schedule_clock() >= turn->refused_until || turn->refused != serial || follower->round.full ||
	    follower->round.unverified)
		return false;
	history_enter(follower->history, HISTORY_VERIFY, schedule_clock());
	snprintf(why, sizeof(why), "serial %u is refused: %.180s", serial,
	         refusal != NULL && refusal->serial == serial ? refusal->reason : "the log told why");
	attempt_refused(attempt, serial, why);
	return true;
}

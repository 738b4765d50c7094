/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "transfer/history.h"

#include <libknot/libknot.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct history *history_open(struct history **history)
{
	if (!*history)
		*history = calloc(1, sizeof(**history));
	return *history;
}

const char *history_phase_text(enum history_phase phase)
{
	static const char *const texts[] = {
	    [HISTORY_CONNECT] = "connect",   [HISTORY_TLS] = "tls",     [HISTORY_SOA] = "soa",
	    [HISTORY_TRANSFER] = "transfer", [HISTORY_BUILD] = "build", [HISTORY_VERIFY] = "verify",
	    [HISTORY_PUBLISH] = "publish"};

	return texts[phase];
}

const char *history_kind_text(enum history_kind kind)
{
	static const char *const texts[] = {[HISTORY_ASK_SOA] = "SOA",
	                                    [HISTORY_AXFR] = "AXFR",
	                                    [HISTORY_IXFR] = "IXFR",
	                                    [HISTORY_IXFR_FULL] = "IXFR (full)",
	                                    [HISTORY_IXFR_THEN_AXFR] = "IXFR, then AXFR"};

	return texts[kind];
}

const char *history_result_text(enum history_result result)
{
	static const char *const texts[] = {
	    [HISTORY_RUNNING] = "running", [HISTORY_OK] = "ok", [HISTORY_OLDER] = "older", [HISTORY_FAILED] = "failed"};

	return texts[result];
}

const char *history_transport_text(enum history_transport transport)
{
	static const char *const texts[] = {[HISTORY_UDP] = "udp", [HISTORY_TCP] = "tcp", [HISTORY_OVER_TLS] = "tls"};

	return texts[transport];
}

const char *history_tsig_text(unsigned error)
{
	switch (error) {
	case KNOT_RCODE_BADSIG:
		return "BADSIG";
	case KNOT_RCODE_BADKEY:
		return "BADKEY";
	case KNOT_RCODE_BADTIME:
		return "BADTIME";
	case KNOT_RCODE_BADTRUNC:
		return "BADTRUNC";
	default:
		return NULL;
	}
}

struct history_entry *history_now(const struct history *history)
{
	return history && history->now < history->count ? &history->entries[history->now] : NULL;
}

static size_t number_of(const struct history *history, size_t primary, size_t address)
{
	size_t i = 0;

	while (history && i < history->count &&
	       (history->entries[i].primary != primary || history->entries[i].address != address))
		i++;
	return i;
}

const struct history_entry *history_find(const struct history *history, size_t primary, size_t address)
{
	size_t number = number_of(history, primary, address);

	return history && number < history->count ? &history->entries[number] : NULL;
}

/* Makes the entry of an address the present one. Without memory there is none, and nothing is noted. */
static struct history_entry *take(struct history *history, size_t primary, size_t address)
{
	struct history_entry *more;

	if (!history)
		return NULL;
	history->now = (uint16_t)number_of(history, primary, address);
	if (history->now < history->count)
		return history_now(history);
	more = realloc(history->entries, (history->count + 1U) * sizeof(*more));
	if (!more)
		return NULL;
	history->entries = more;
	history->entries[history->count++] =
	    (struct history_entry){.primary = (uint16_t)primary, .address = (uint16_t)address};
	return history_now(history);
}

static void free_texts(struct history_entry *entry)
{
	free(entry->ede_text);
	free(entry->error);
	entry->ede_text = entry->error = NULL;
}

void history_begin(struct history *history, size_t primary, size_t address, enum history_kind kind,
                   enum history_transport transport, bool again, uint64_t now)
{
	struct history_entry *entry = take(history, primary, address), before;

	if (!entry)
		return;
	free_texts(entry);
	before = *entry;
	*entry = (struct history_entry){.primary = before.primary,
	                                .address = before.address,
	                                .at = again ? before.at : (int64_t)time(NULL),
	                                .good_at = before.good_at,
	                                .phase = transport != HISTORY_UDP  ? HISTORY_CONNECT
	                                         : kind == HISTORY_ASK_SOA ? HISTORY_SOA
	                                                                   : HISTORY_TRANSFER,
	                                .kind = (uint8_t)kind,
	                                .transport = (uint8_t)transport,
	                                .has_serial = again && before.has_serial,
	                                .serial = before.serial,
	                                .first_ms = HISTORY_NEVER};
	for (size_t i = 0; i < HISTORY_PHASES; i++)
		entry->ms[i] = HISTORY_NEVER;
	if (again && kind == HISTORY_AXFR && before.kind == HISTORY_IXFR)
		entry->kind = HISTORY_IXFR_THEN_AXFR;
	history->begun = history->phase_begun = now;
}

void history_message(struct history *history, size_t octets, uint64_t now)
{
	struct history_entry *entry = history_now(history);

	if (!entry)
		return;
	if (entry->messages++ == 0)
		entry->first_ms = (uint32_t)(now - history->begun);
	entry->octets += octets;
}

void history_enter(struct history *history, enum history_phase phase, uint64_t now)
{
	struct history_entry *entry = history_now(history);

	if (!entry)
		return;
	entry->ms[entry->phase] = (uint32_t)(now - history->phase_begun);
	entry->phase = (uint8_t)phase;
	history->phase_begun = now;
}

static void take_facts(struct history_entry *entry, const struct history_facts *facts)
{
	entry->has_rcode = facts->has_rcode;
	entry->rcode = facts->rcode;
	entry->tsig_error = facts->tsig_error;
	entry->has_ede = facts->has_ede;
	entry->ede = facts->ede;
	entry->ede_text = facts->has_ede ? strdup(facts->ede_text) : NULL;
}

static void forget_refusal(struct history *history)
{
	if (history->refusal) {
		free(history->refusal->reason);
		free(history->refusal->kept);
	}
	free(history->refusal);
	history->refusal = NULL;
}

void history_end(struct history *history, enum history_result result, const struct history_facts *facts,
                 const char *error, uint64_t now)
{
	struct history_entry *entry = history_now(history);

	if (!entry || entry->result != HISTORY_RUNNING)
		return;
	history_enter(history, entry->phase, now);
	entry->result = (uint8_t)result;
	take_facts(entry, facts);
	if (result == HISTORY_OK)
		entry->good_at = (int64_t)time(NULL);
	if (result == HISTORY_OK && history->refusal && history->refusal->primary == entry->primary)
		forget_refusal(history);
	entry->error = error ? strdup(error) : NULL;
}

void history_down(struct history *history, size_t primary, size_t address, const char *error)
{
	const struct history_entry *known = history_find(history, primary, address);

	if (known && known->error)
		return;
	history_begin(history, primary, address, HISTORY_ASK_SOA, HISTORY_UDP, false, 0);
	history_end(history, HISTORY_FAILED, &(struct history_facts){0}, error, 0);
}

void history_refused(struct history *history, uint32_t serial, const char *reason, const char *kept)
{
	const struct history_entry *entry = history_now(history);
	struct history_refusal *refusal = history ? calloc(1, sizeof(*refusal)) : NULL;

	if (!refusal)
		return;
	forget_refusal(history);
	*refusal = (struct history_refusal){.serial = serial,
	                                    .primary = entry ? entry->primary : 0,
	                                    .at = (int64_t)time(NULL),
	                                    .reason = strdup(reason),
	                                    .kept = kept ? strdup(kept) : NULL};
	history->refusal = refusal;
	if (!refusal->reason)
		forget_refusal(history);
}

void history_clear(struct history *history)
{
	if (!history)
		return;
	for (size_t i = 0; i < history->count; i++)
		free_texts(&history->entries[i]);
	free(history->entries);
	free(history->transferred);
	forget_refusal(history);
	*history = (struct history){.lag = history->lag};
}

static void begin_lag(struct history_lag *lag, uint64_t now)
{
	lag->behind = true;
	lag->since = now;
	lag->since_at = (int64_t)time(NULL);
}

void history_heard(struct history *history, uint32_t serial, const uint32_t *served, uint64_t now)
{
	struct history_entry *entry = history_now(history);

	if (entry) {
		entry->has_serial = true;
		entry->serial = serial;
	}
	if (!history)
		return;
	history->lag.known = true;
	history->lag.heard = serial;
	if (served && *served == serial)
		history->lag.behind = false;
	else if (!history->lag.behind)
		begin_lag(&history->lag, now);
}

void history_notified(struct history *history, uint32_t serial)
{
	if (!history)
		return;
	history->notified = true;
	history->notified_serial = serial;
	history->notified_at = (int64_t)time(NULL);
}

void history_served(struct history *history, uint32_t serial, const struct history_facts *facts, uint64_t now)
{
	const struct history_entry *entry = history_now(history);

	history_end(history, HISTORY_OK, facts, NULL, now);
	if (!history)
		return;
	forget_refusal(history);
	/* A primary that is always a moment ahead is followed all the same. */
	history->lag.behind = false;
	if (history->lag.known && history->lag.heard != serial)
		begin_lag(&history->lag, now);
	if (!entry)
		return;
	if (!history->transferred)
		history->transferred = malloc(sizeof(*entry));
	if (!history->transferred)
		return;
	*history->transferred = *entry;
	history->transferred->error = history->transferred->ede_text = NULL;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "transfer/history.h"

#include <libknot/libknot.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

struct history_entry *history_now(struct history *history)
{
	return history->now < history->count ? &history->entries[history->now] : NULL;
}

/* Makes the entry of an address the present one. Without memory there is none, and nothing is noted. */
static struct history_entry *find(struct history *history, size_t primary, size_t address)
{
	struct history_entry *more;

	for (history->now = 0; history->now < history->count; history->now++)
		if (history_now(history)->primary == primary && history_now(history)->address == address)
			return history_now(history);
	more = realloc(history->entries, (history->count + 1) * sizeof(*more));
	if (!more)
		return NULL;
	history->entries = more;
	history->entries[history->count++] = (struct history_entry){.primary = primary, .address = address};
	return history_now(history);
}

void history_begin(struct history *history, size_t primary, size_t address, enum history_kind kind,
                   enum history_transport transport, bool again, uint64_t now)
{
	struct history_entry *entry = find(history, primary, address), before;

	if (!entry)
		return;
	before = *entry;
	free(entry->error);
	*entry = (struct history_entry){.primary = primary,
	                                .address = address,
	                                .at = again ? before.at : (int64_t)time(NULL),
	                                .good_at = before.good_at,
	                                .phase = transport != HISTORY_UDP  ? HISTORY_CONNECT
	                                         : kind == HISTORY_ASK_SOA ? HISTORY_SOA
	                                                                   : HISTORY_TRANSFER,
	                                .kind = kind,
	                                .transport = transport,
	                                .has_serial = again && before.has_serial,
	                                .serial = before.serial,
	                                .connect_ms = HISTORY_NEVER,
	                                .first_ms = HISTORY_NEVER,
	                                .transfer_ms = HISTORY_NEVER,
	                                .build_ms = HISTORY_NEVER,
	                                .verify_ms = HISTORY_NEVER,
	                                .publish_ms = HISTORY_NEVER};
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
	uint32_t spent = (uint32_t)(now - history->phase_begun);

	if (!entry)
		return;
	switch (entry->phase) {
	case HISTORY_CONNECT:
		entry->connect_ms = spent;
		break;
	case HISTORY_TRANSFER:
		entry->transfer_ms = spent;
		break;
	case HISTORY_BUILD:
		entry->build_ms = spent;
		break;
	case HISTORY_VERIFY:
		entry->verify_ms = spent;
		break;
	case HISTORY_PUBLISH:
		entry->publish_ms = spent;
		break;
	default:
		break;
	}
	entry->phase = phase;
	history->phase_begun = now;
}

void history_end(struct history *history, enum history_result result, const struct history_facts *facts,
                 const char *error, uint64_t now)
{
	struct history_entry *entry = history_now(history);

	if (!entry || entry->result != HISTORY_RUNNING)
		return;
	history_enter(history, entry->phase, now);
	entry->result = result;
	if (facts)
		entry->facts = *facts;
	if (result == HISTORY_OK)
		entry->good_at = (int64_t)time(NULL);
	entry->error = error ? strdup(error) : NULL;
}

void history_clear(struct history *history)
{
	for (size_t i = 0; i < history->count; i++)
		free(history->entries[i].error);
	free(history->entries);
	*history = (struct history){0};
}

static void begin_lag(struct history_lag *lag, uint64_t now)
{
	lag->behind = true;
	lag->since = now;
	lag->since_at = (int64_t)time(NULL);
}

void history_lag_heard(struct history_lag *lag, uint32_t serial, const uint32_t *served, uint64_t now)
{
	lag->known = true;
	lag->heard = serial;
	if (served && *served == serial)
		lag->behind = false;
	else if (!lag->behind)
		begin_lag(lag, now);
}

void history_lag_served(struct history_lag *lag, uint32_t serial, uint64_t now)
{
	/* A primary that is always a moment ahead is followed all the same. */
	lag->behind = false;
	if (lag->known && lag->heard != serial)
		begin_lag(lag, now);
}

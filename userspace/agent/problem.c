/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is wrong with a zone, who is to blame for it, and what is to be done: for a line that people read. */
#include "agent/report.h"

#include <stdio.h>
#include <string.h>

/* The primary of an entry; NULL when the configuration has fewer by now. */
static const struct config_primary *primary_of(const struct config_zone *zone, const struct history_entry *entry)
{
	if (entry->primary >= zone->primary_count || entry->address >= zone->primaries[entry->primary]->address_count)
		return NULL;
	return zone->primaries[entry->primary];
}

void problem_culprit(const struct config_zone *zone, const struct history_entry *entry, char *text, size_t size)
{
	const struct config_primary *primary = primary_of(zone, entry);
	char address[CONFIG_ADDRESS_TEXT];

	if (!primary) {
		snprintf(text, size, "a former primary");
		return;
	}
	config_address_text(&primary->addresses[entry->address], address);
	snprintf(text, size, "primary %.90s (%s)", primary->name, address);
}

static void tsig_way_out(const struct config_primary *primary, unsigned error, char *text, size_t size)
{
	char key[128] = "";

	if (primary && primary->key && !knot_dname_to_str(key, primary->key->name, sizeof(key)))
		key[0] = '\0';
	switch (error) {
	case KNOT_RCODE_BADKEY:
		snprintf(text, size,
		         "the primary has no such key: give key %s the same name and algorithm there and here", key);
		break;
	case KNOT_RCODE_BADTIME:
		snprintf(text, size, "set the clocks right, here and at the primary, by NTP");
		break;
	default:
		snprintf(text, size, "the secrets of key %s differ: copy it anew from the primary's configuration",
		         key);
		break;
	}
}

static const char *rcode_way_out(unsigned rcode)
{
	switch (rcode) {
	case KNOT_RCODE_REFUSED:
		return "allow this server to transfer the zone at the primary, by its address or its key";
	case KNOT_RCODE_NOTAUTH:
	case KNOT_RCODE_NXDOMAIN:
		return "the primary does not serve the zone, or not to this server: add it there, or allow the "
		       "transfer";
	case KNOT_RCODE_SERVFAIL:
		return "the zone is not in order at the primary: its log tells why";
	default:
		return "the primary's log should tell why";
	}
}

static void phase_way_out(const struct config_primary *primary, const struct history_entry *entry, char *text,
                          size_t size)
{
	char address[CONFIG_ADDRESS_TEXT] = "its address";

	if (primary)
		config_address_text(&primary->addresses[entry->address], address);
	switch (entry->phase) {
	case HISTORY_CONNECT:
	case HISTORY_SOA:
		if (entry->messages)
			snprintf(text, size, "the primary's log should tell why");
		else
			snprintf(text, size,
			         "see that a nameserver runs at %s, and that UDP and TCP reach it from here", address);
		break;
	case HISTORY_TLS:
		snprintf(text, size, "compare `tls` of this primary with the certificate that %s has", address);
		break;
	case HISTORY_TRANSFER:
		snprintf(text, size, "the primary's log should tell why; if it is the way there, it mends itself");
		break;
	case HISTORY_BUILD:
		snprintf(text, size, "the zone is malformed: mend it at the primary, and raise its serial");
		break;
	default:
		snprintf(text, size, "the log tells more; memory or disk may be short: see `peregrine status`");
		break;
	}
}

void problem_way_out(const struct agent_zone *zone, const struct history_entry *entry, char *text, size_t size)
{
	const struct config_primary *primary = primary_of(zone->config, entry);
	const struct history_refusal *refusal = follower_history(zone->follower)->refusal;

	if (entry->result == HISTORY_OLDER)
		snprintf(text, size,
		         "raise the serial at the primary, or take what it has by `peregrine zone-retransfer %.200s`",
		         zone->config->name);
	else if (entry->phase == HISTORY_VERIFY && refusal)
		snprintf(text, size, "%s%.120s%s`peregrine zone-reload --force %.150s` serves it all the same",
		         refusal->kept ? "it is kept as " : "", refusal->kept ? refusal->kept : "",
		         refusal->kept ? "; " : "", zone->config->name);
	else if (entry->tsig_error)
		tsig_way_out(primary, entry->tsig_error, text, size);
	else if (entry->has_rcode && entry->rcode)
		snprintf(text, size, "%s", rcode_way_out(entry->rcode));
	else
		phase_way_out(primary, entry, text, size);
}

/* The failure to be told: a version that was refused, or the last one. */
static const struct history_entry *last_failure(const struct agent_zone *zone)
{
	const struct history *history = follower_history(zone->follower);
	const struct history_entry *found = NULL;

	for (size_t i = 0; i < history->count; i++) {
		const struct history_entry *entry = &history->entries[i];

		if (entry->result != HISTORY_FAILED && entry->result != HISTORY_OLDER)
			continue;
		if (history->refusal && history->refusal->primary == entry->primary && entry->phase == HISTORY_VERIFY)
			return entry;
		if (!found || entry->at >= found->at)
			found = entry;
	}
	return found;
}

static void tell_entry(const struct agent_zone *zone, const struct history_entry *entry, struct problem *problem)
{
	size_t used = strlen(problem->cause);

	problem_culprit(zone->config, entry, problem->culprit, sizeof(problem->culprit));
	snprintf(problem->cause + used, sizeof(problem->cause) - used, "%.256s",
	         entry->error ? entry->error : "it failed");
	used = strlen(problem->cause);
	if (entry->has_ede)
		snprintf(problem->cause + used, sizeof(problem->cause) - used, " (EDE %u%s%.64s)", entry->ede,
		         entry->ede_text && entry->ede_text[0] ? ": " : "", entry->ede_text ? entry->ede_text : "");
	problem_way_out(zone, entry, problem->way_out, sizeof(problem->way_out));
}

/* Whether a failure has nothing to do with what is not served yet. */
static bool is_before(const struct history_entry *entry, const struct history_lag *lag)
{
	return entry->result != HISTORY_OLDER && entry->at + 1 < lag->since_at;
}

static void tell_lag(const struct agent_zone *zone, const struct follower_status *status, struct problem *problem)
{
	const struct history_lag *lag = &follower_history(zone->follower)->lag;
	size_t used = strlen(problem->cause);

	snprintf(problem->culprit, sizeof(problem->culprit), "primary %.190s", status->primary);
	snprintf(problem->cause + used, sizeof(problem->cause) - used,
	         "it told serial %u %llu seconds ago, and serial %u is served still", lag->heard,
	         (unsigned long long)(status->behind_ms / 1000), status->served_serial);
	snprintf(problem->way_out, sizeof(problem->way_out), "see `peregrine zone-status %.200s` for how far it is",
	         zone->config->name);
}

/* A failure while all is well belongs to a primary that would not do when it is needed. */
static bool find_warning(const struct agent_zone *zone, struct problem *problem)
{
	const struct history_entry *entry = last_failure(zone);

	if (!entry || zone->config->primary_count + entry->address < 2)
		return false;
	problem->level = PROBLEM_WARNING;
	tell_entry(zone, entry, problem);
	return true;
}

bool problem_find(const struct agent_zone *zone, enum report_state state, struct problem *problem)
{
	const struct history_lag *lag = &follower_history(zone->follower)->lag;
	const struct history_entry *entry = last_failure(zone);
	struct follower_status status;

	*problem = (struct problem){.level = PROBLEM_ERROR};
	if (state == REPORT_SERVING || (state == REPORT_LOADING && !entry))
		return state == REPORT_SERVING && find_warning(zone, problem);
	follower_get_status(zone->follower, &status);
	if (state == REPORT_EXPIRED)
		snprintf(problem->cause, sizeof(problem->cause), "the zone has expired, and is answered SERVFAIL: ");
	if (status.behind_ms && !status.failing && (!entry || is_before(entry, lag))) {
		tell_lag(zone, &status, problem);
	} else if (entry) {
		tell_entry(zone, entry, problem);
	} else {
		snprintf(problem->culprit, sizeof(problem->culprit), "zone");
		snprintf(problem->cause + strlen(problem->cause), sizeof(problem->cause) - strlen(problem->cause),
		         "%.250s", status.last_error[0] ? status.last_error : "no primary has been asked yet");
		snprintf(problem->way_out, sizeof(problem->way_out), "`peregrine zone-reload --wait %.200s` asks now",
		         zone->config->name);
	}
	return true;
}

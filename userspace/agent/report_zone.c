/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is told of a zone, and of each address of its primaries. */
#include "agent/catalogs.h"
#include "agent/report.h"

#include <string.h>

static const char *const role_names[] = {"configured", "catalog", "member", "produced"};

static const char *const state_names[] = {"serving", "loading", "failing", "expired"};

const char *report_state_text(enum report_state state)
{
	return state_names[state];
}

enum report_state report_zone_state(const struct agent_zone *zone, struct publisher_zone *served)
{
	*served = (struct publisher_zone){};
	publisher_zone(zone->agent->publisher, zone->config->apex, served);
	if (served->loaded && agent_boottime() >= served->expires_at)
		return REPORT_EXPIRED;
	if (follower_is_ill(zone->follower) || follower_history(zone->follower)->refusal)
		return REPORT_FAILING;
	return served->loaded ? REPORT_SERVING : REPORT_LOADING;
}

static json_t *time_or_null(int64_t seconds)
{
	return seconds ? json_integer(seconds) : json_null();
}

static json_t *text_or_null(const char *text)
{
	return text && text[0] ? json_string(text) : json_null();
}

static json_t *number_if(bool known, uint64_t number)
{
	return known ? json_integer((json_int_t)number) : json_null();
}

static json_t *ms_or_null(uint32_t ms)
{
	return number_if(ms != HISTORY_NEVER, ms);
}

/* A moment of CLOCK_BOOTTIME on the wall's clock. */
static int64_t wall_time(uint64_t boottime)
{
	int64_t left = (int64_t)(boottime - agent_boottime()) / 1000000000;

	return time(NULL) + left;
}

/* ---- primaries ---- */

/* A code by its name, or by its number. */
static json_t *code_or_null(bool known, const char *name, unsigned code)
{
	char number[16];

	snprintf(number, sizeof(number), "%u", code);
	return known ? json_string(name ? name : number) : json_null();
}

static const char *rcode_name(unsigned rcode)
{
	const knot_lookup_t *found = knot_lookup_by_id(knot_rcode_names, (int)rcode);

	return found ? found->name : NULL;
}

static json_t *report_ede(const struct history_entry *entry)
{
	if (!entry->has_ede)
		return json_null();
	return json_pack("{s:i, s:s}", "code", (int)entry->ede, "text", entry->ede_text ? entry->ede_text : "");
}

static void add_facts(json_t *report, const struct history_entry *entry)
{
	json_object_set_new(report, "rcode", code_or_null(entry->has_rcode, rcode_name(entry->rcode), entry->rcode));
	json_object_set_new(report, "tsig_error",
	                    code_or_null(entry->tsig_error, history_tsig_text(entry->tsig_error), entry->tsig_error));
	json_object_set_new(report, "ede", report_ede(entry));
	json_object_set_new(report, "serial", number_if(entry->has_serial, entry->serial));
}

static void add_exchange(json_t *report, const struct history_entry *entry)
{
	json_object_set_new(report, "kind", json_string(history_kind_text(entry->kind)));
	json_object_set_new(report, "transport", json_string(history_transport_text(entry->transport)));
	json_object_set_new(report, "octets", json_integer((json_int_t)entry->octets));
	json_object_set_new(report, "messages", json_integer((json_int_t)entry->messages));
	json_object_set_new(report, "records", json_integer((json_int_t)entry->records));
	json_object_set_new(report, "connect_ms", ms_or_null(entry->ms[HISTORY_CONNECT]));
	json_object_set_new(report, "first_octet_ms", ms_or_null(entry->first_ms));
	json_object_set_new(report, "transfer_ms", ms_or_null(entry->ms[HISTORY_TRANSFER]));
	json_object_set_new(report, "build_ms", ms_or_null(entry->ms[HISTORY_BUILD]));
	json_object_set_new(report, "verify_ms", ms_or_null(entry->ms[HISTORY_VERIFY]));
	json_object_set_new(report, "publish_ms", ms_or_null(entry->ms[HISTORY_PUBLISH]));
}

static json_t *report_address(const struct agent_zone *zone, size_t primary, size_t address)
{
	const struct config_primary *config = zone->config->primaries[primary];
	const struct history_entry *entry = history_find(follower_history(zone->follower), primary, address);
	knot_dname_txt_storage_t key = "";
	char text[CONFIG_ADDRESS_TEXT], way_out[320] = "";
	json_t *report = json_object();

	config_address_text(&config->addresses[address], text);
	if (config->key && !knot_dname_to_str(key, config->key->name, sizeof(key)))
		key[0] = '\0';
	json_object_set_new(report, "name", json_string(config->name));
	json_object_set_new(report, "address", json_string(text));
	json_object_set_new(report, "key", text_or_null(key));
	json_object_set_new(report, "result", json_string(entry ? history_result_text(entry->result) : "not asked"));
	if (!entry)
		return report;
	if (entry->error)
		problem_way_out(zone, entry, way_out, sizeof(way_out));
	json_object_set_new(report, "last_attempt", time_or_null(entry->at));
	json_object_set_new(report, "last_good", time_or_null(entry->good_at));
	json_object_set_new(report, "phase", json_string(history_phase_text(entry->phase)));
	json_object_set_new(report, "error", text_or_null(entry->error));
	json_object_set_new(report, "way_out", text_or_null(way_out));
	add_facts(report, entry);
	add_exchange(report, entry);
	return report;
}

static json_t *report_primaries(const struct agent_zone *zone)
{
	json_t *list = json_array();

	for (size_t i = 0; i < zone->config->primary_count; i++)
		for (size_t j = 0; j < zone->config->primaries[i]->address_count; j++)
			json_array_append_new(list, report_address(zone, i, j));
	return list;
}

/* ---- zones ---- */

static json_t *report_refusal(const struct history_refusal *refusal)
{
	if (!refusal)
		return json_null();
	return json_pack("{s:I, s:I, s:s, s:o}", "serial", (json_int_t)refusal->serial, "at", (json_int_t)refusal->at,
	                 "reason", refusal->reason, "kept", text_or_null(refusal->kept));
}

static json_t *report_problem(const struct agent_zone *zone, enum report_state state)
{
	struct problem problem;

	if (!problem_find(zone, state, &problem))
		return json_null();
	return json_pack("{s:s, s:s, s:s, s:s}", "level", problem.level == PROBLEM_ERROR ? "error" : "warning",
	                 "culprit", problem.culprit, "cause", problem.cause, "way_out", problem.way_out);
}

/* The last transfer, which the primaries' own entries tell of until they are asked the next time. */
static json_t *report_transfer(const struct agent_zone *zone)
{
	const struct history_entry *entry = follower_history(zone->follower)->transferred;
	char culprit[200];
	json_t *report;

	if (!entry)
		return json_null();
	report = json_object();
	problem_culprit(zone->config, entry, culprit, sizeof(culprit));
	json_object_set_new(report, "from", json_string(culprit));
	json_object_set_new(report, "at", json_integer(entry->at));
	json_object_set_new(report, "serial", number_if(entry->has_serial, entry->serial));
	add_exchange(report, entry);
	return report;
}

static void add_transfer(json_t *report, const struct follower_status *status)
{
	bool any = status->last_transfer;

	json_object_set_new(report, "last_transfer", time_or_null(status->last_transfer));
	json_object_set_new(report, "transferred_by",
	                    any ? json_string(follower_kind_text(status->last_kind)) : json_null());
	json_object_set_new(report, "transferred_records", number_if(any, status->last_records));
	json_object_set_new(report, "transferred_octets", number_if(any, status->last_octets));
	json_object_set_new(report, "last_check", time_or_null(status->last_check));
	json_object_set_new(report, "next_refresh", time_or_null(status->next_refresh));
}

static json_t *report_state(struct agent_zone *zone, enum report_state state, const struct publisher_zone *served)
{
	struct follower_status status;
	const struct history *history = follower_history(zone->follower);
	json_t *report = json_object();

	follower_get_status(zone->follower, &status);
	json_object_set_new(report, "zone", json_string(zone->config->name));
	json_object_set_new(report, "role", json_string(role_names[zone->role]));
	json_object_set_new(report, "catalog",
	                    zone->role == AGENT_MEMBER && zone->catalog ? json_string(zone->catalog->config->zone.name)
	                                                                : json_null());
	json_object_set_new(report, "state", json_string(state_names[state]));
	json_object_set_new(report, "serial", number_if(served->loaded, served->serial));
	json_object_set_new(report, "primary_serial", number_if(status.has_primary_serial, status.primary_serial));
	json_object_set_new(report, "notified_serial", number_if(history->notified, history->notified_serial));
	json_object_set_new(report, "behind_since", time_or_null(history->lag.behind ? history->lag.since_at : 0));
	json_object_set_new(report, "primary", text_or_null(status.primary));
	add_transfer(report, &status);
	json_object_set_new(report, "expires_at",
	                    served->loaded ? json_integer(wall_time(served->expires_at)) : json_null());
	json_object_set_new(report, "names", json_integer(served->names));
	json_object_set_new(report, "error", text_or_null(status.last_error));
	json_object_set_new(report, "notify", report_notify(zone));
	json_object_set_new(report, "problem", report_problem(zone, state));
	json_object_set_new(report, "refused", report_refusal(history->refusal));
	return report;
}

json_t *report_zone(struct agent_zone *zone, bool brief)
{
	struct publisher_zone served;
	enum report_state state = report_zone_state(zone, &served);
	json_t *report = report_state(zone, state, &served);

	if (brief && state == REPORT_SERVING)
		return report;
	json_object_set_new(report, "transfer", report_transfer(zone));
	json_object_set_new(report, "primaries", report_primaries(zone));
	return report;
}

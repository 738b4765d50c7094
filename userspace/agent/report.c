/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the agent tells about itself, as JSON. */
#include "agent/agent.h"
#include "agent/catalogs.h"
#include "agent/report.h"
#include "answer/wire.h"

#include <libknot/libknot.h>
#include <string.h>
#include <unistd.h>

#define INTERFACES_MAX 64

static uint64_t count_passed(const struct pg_counters *counters)
{
	uint64_t passed = 0;

	/* What was never a query to us is not the fast path's business. */
	for (int i = PG_EXIT_BAD_SOURCE; i < PG_EXIT_COUNT; i++)
		passed += i == PG_EXIT_LIMITED ? 0 : counters->exits[i];
	/* Passed by the driver for want of room, and then answered behind it. */
	return passed - counters->regrown;
}

static json_t *report_interfaces(struct agent *agent)
{
	struct fastpath_interface interfaces[INTERFACES_MAX];
	size_t count = agent->fastpath ? fastpath_interfaces(agent->fastpath, interfaces, INTERFACES_MAX) : 0;
	json_t *list = json_array();

	for (size_t i = 0; i < count && i < INTERFACES_MAX; i++) {
		json_t *entry = json_object();

		json_object_set_new(entry, "name", json_string(interfaces[i].name));
		json_object_set_new(entry, "mode", json_string(interfaces[i].mode));
		json_object_set_new(entry, "why", json_string(interfaces[i].why));
		json_array_append_new(list, entry);
	}
	return list;
}

static json_t *report_zones(const struct census *census)
{
	json_t *zones = json_object();

	json_object_set_new(zones, "total", json_integer(census->total));
	for (int i = 0; i < REPORT_STATES; i++)
		json_object_set_new(zones, report_state_text(i), json_integer(census->states[i]));
	json_object_set_new(zones, "problems", json_integer(census->problems));
	return zones;
}

json_t *report_status(struct agent *agent, const struct census *census)
{
	struct pg_counters counters = {};
	struct fallback_counters fallback;
	uint64_t passed;
	json_t *status = json_object(), *part;

	if (agent->fastpath)
		fastpath_counters(agent->fastpath, &counters);
	fallback_get_counters(agent->fallback, &fallback);
	passed = count_passed(&counters);
	json_object_set_new(status, "version", json_string(PEREGRINE_VERSION));
	json_object_set_new(status, "pid", json_integer(getpid()));
	json_object_set_new(status, "uptime", json_integer(time(NULL) - agent->started));
	json_object_set_new(status, "identity", json_string(agent->config->identity));
	json_object_set_new(status, "interfaces", report_interfaces(agent));
	json_object_set_new(status, "zones", report_zones(census));
	part = json_object();
	json_object_set_new(part, "answered", json_integer(counters.exits[PG_EXIT_ANSWERED]));
	json_object_set_new(part, "passed", json_integer(passed));
	json_object_set_new(
	    part, "share",
	    counters.exits[PG_EXIT_ANSWERED] + passed
	        ? json_real((double)counters.exits[PG_EXIT_ANSWERED] / (counters.exits[PG_EXIT_ANSWERED] + passed))
	        : json_null());
	json_object_set_new(status, "fast_path", part);
	part = json_object();
	json_object_set_new(part, "udp", json_integer(fallback.udp));
	json_object_set_new(part, "tcp", json_integer(fallback.tcp));
	json_object_set_new(status, "fallback", part);
	part = json_object();
	json_object_set_new(part, "used", json_integer(publisher_memory(agent->publisher)));
	json_object_set_new(part, "limit", json_integer(agent->config->memory));
	json_object_set_new(status, "memory", part);
	json_object_set_new(status, "store", report_store(agent));
	json_object_set_new(status, "names",
	                    json_pack("{s:I, s:I}", "total", (json_int_t)census->names, "at_driver",
	                              (json_int_t)(census->names - census->cold)));
	return status;
}

/* Replies by RCODE; the last counter takes all that have no name here. */
static json_t *report_rcodes(const uint64_t *counts, size_t size)
{
	json_t *rcodes = json_object();

	for (size_t i = 0; i < size; i++) {
		const knot_lookup_t *name = i == size - 1 ? NULL : knot_lookup_by_id(knot_rcode_names, i);
		char number[32];

		if (!counts[i])
			continue;
		snprintf(number, sizeof(number), "RCODE%zu", i);
		json_object_set_new(rcodes,
		                    i == size - 1 ? "OTHER"
		                    : name        ? name->name
		                                  : number,
		                    json_integer(counts[i]));
	}
	return rcodes;
}

static json_t *report_fast_path(const struct pg_counters *counters)
{
	static const struct {
		enum pg_exit exit;
		const char *name;
	} exits[] = {
#define EXIT_NAME(number, symbol, name, text) {PG_EXIT_##symbol, #name},
	    PG_EXITS(EXIT_NAME)
#undef EXIT_NAME
	};
	json_t *report = json_object(), *reasons = json_object();

	for (size_t i = 0; i < sizeof(exits) / sizeof(exits[0]); i++)
		if (exits[i].exit != PG_EXIT_ANSWERED && exits[i].exit != PG_EXIT_LIMITED)
			json_object_set_new(reasons, exits[i].name, json_integer(counters->exits[exits[i].exit]));
	json_object_set_new(report, "answered", json_integer(counters->exits[PG_EXIT_ANSWERED]));
	json_object_set_new(report, "passed", json_integer(count_passed(counters)));
	json_object_set_new(report, "reasons", reasons);
	json_object_set_new(report, "rcodes", report_rcodes((const uint64_t *)counters->rcodes, PG_RCODES));
	json_object_set_new(report, "truncated", json_integer(counters->truncated));
	json_object_set_new(report, "query_octets", json_integer(counters->query_octets));
	json_object_set_new(report, "reply_octets", json_integer(counters->reply_octets));
	json_object_set_new(report, "ipv6", json_integer(counters->ipv6));
	json_object_set_new(report, "regrown", json_integer(counters->regrown));
	json_object_set_new(report, "limited", json_integer(counters->exits[PG_EXIT_LIMITED]));
	json_object_set_new(report, "slipped", json_integer(counters->slipped));
	json_object_set_new(report, "badcookie", json_integer(counters->rcodes[PG_RCODE_BADCOOKIE]));
	return report;
}

json_t *report_stats(struct agent *agent)
{
	struct pg_counters counters = {};
	struct fallback_counters fallback;
	json_t *stats = json_object(), *part = json_object();

	if (agent->fastpath)
		fastpath_counters(agent->fastpath, &counters);
	fallback_get_counters(agent->fallback, &fallback);
	json_object_set_new(stats, "fast_path", report_fast_path(&counters));
	json_object_set_new(part, "udp", json_integer(fallback.udp));
	json_object_set_new(part, "tcp", json_integer(fallback.tcp));
	json_object_set_new(part, "dropped", json_integer(fallback.dropped));
	json_object_set_new(part, "limited", json_integer(fallback.limited));
	json_object_set_new(part, "slipped", json_integer(fallback.slipped));
	json_object_set_new(part, "badcookie", json_integer(fallback.rcodes[PG_RCODE_BADCOOKIE]));
	json_object_set_new(part, "rcodes", report_rcodes(fallback.rcodes, PG_RCODES));
	json_object_set_new(part, "tcp_clients", json_integer(fallback.tcp_clients));
	json_object_set_new(part, "transfers", json_integer(fallback.transfers));
	json_object_set_new(stats, "fallback", part);
	return stats;
}

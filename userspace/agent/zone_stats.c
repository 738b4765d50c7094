/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `stats ZONE`: what was counted of a zone, for those whose zone it is. */
#include "agent/agent.h"
#include "publish/zone_counters.h"

static json_t *tell(const struct pg_zone_counters *counters)
{
	static const char *const types[PG_ZONE_TYPE_COUNT] = {
#define TYPE_NAME(number, name) [PG_ZONE_TYPE_##name] = #name,
	    PG_ZONE_TYPES(TYPE_NAME)
#undef TYPE_NAME
	        [PG_ZONE_TYPE_OTHER] = "OTHER",
	};
	static const char *const rcodes[PG_ZONE_RCODE_COUNT] = {"NOERROR", "SERVFAIL", "NXDOMAIN", "OTHER"};
	json_t *told = json_object(), *by_rcode = json_object(), *by_type = json_object();
	json_int_t answers = 0;

	for (size_t i = 0; i < PG_ZONE_RCODE_COUNT; i++) {
		answers += (json_int_t)counters->rcodes[i];
		json_object_set_new(by_rcode, rcodes[i], json_integer(counters->rcodes[i]));
	}
	for (size_t i = 0; i < PG_ZONE_TYPE_COUNT; i++)
		json_object_set_new(by_type, types[i], json_integer(counters->types[i]));
	json_object_set_new(told, "answers", json_integer(answers));
	json_object_set_new(told, "rcodes", by_rcode);
	json_object_set_new(told, "types", by_type);
	json_object_set_new(told, "ipv4", json_integer(answers - (json_int_t)counters->ipv6));
	json_object_set_new(told, "ipv6", json_integer(counters->ipv6));
	json_object_set_new(told, "tcp", json_integer(counters->tcp));
	json_object_set_new(told, "truncated", json_integer(counters->truncated));
	json_object_set_new(told, "query_octets", json_integer(counters->query_octets));
	json_object_set_new(told, "reply_octets", json_integer(counters->reply_octets));
	return told;
}

json_t *report_zone_stats(struct agent_zone *zone)
{
	struct pg_zone_counters program = {}, fallback = {};
	bool counted = false;

	if (!publisher_zone_counters(zone->agent->publisher, zone->config->apex, &counted, &program, &fallback))
		return NULL;
	return json_pack("{s:s, s:o, s:o}", "zone", zone->config->name, "fast_path",
	                 counted ? tell(&program) : json_null(), "fallback", tell(&fallback));
}

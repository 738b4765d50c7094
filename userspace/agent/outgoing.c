/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Secondaries of ours: what the fallback's threads may know of keys and zones, and whom NOTIFY goes to. */
#include "agent/agent.h"
#include "common/log.h"
#include "transfer_out/store_source.h"

#include <string.h>
#include <urcu/urcu-memb.h>

/* Both are called inside an RCU read-side section. */
static const struct config_zone *find_zone(void *context, const uint8_t *apex)
{
	return agent_find_config(context, apex);
}

static const knot_tsig_key_t *find_key(void *context, const uint8_t *name)
{
	struct agent *agent = context;

	return config_find_key(rcu_dereference(agent->config), name);
}

int agent_outgoing_open(struct agent *agent, struct store *store)
{
	if (store)
		store_source(&agent->source, store);
	agent->outgoing = (struct outgoing){
	    .zone = find_zone, .key = find_key, .source = store ? &agent->source : NULL, .context = agent};
	agent->notify_out = notify_out_new(agent->loop);
	if (!agent->notify_out)
		log_error("no memory for NOTIFY to secondaries");
	return agent->notify_out ? 0 : -1;
}

void agent_zone_stored(struct agent *agent, const uint8_t *apex, uint32_t serial)
{
	struct agent_zone *zone = agent_find_zone(agent, apex);
	const struct out_source *source = agent->outgoing.source;
	struct out_rrset soa;
	uint64_t octets;
	void *snapshot;
	uint16_t length;

	if (!zone || !zone->notify || notify_zone_count(zone->notify) == 0)
		return;
	/* The SOA goes along, as a hint which version it is. */
	snapshot = source ? source->begin(source->context, apex, &octets) : NULL;
	if (snapshot && source->soa(snapshot, &soa) == 0) {
		memcpy(&length, soa.rdata, sizeof(length));
		notify_zone_changed(zone->notify, serial, soa.rdata + sizeof(length), length);
	} else {
		notify_zone_changed(zone->notify, serial, NULL, 0);
	}
	if (snapshot)
		source->end(snapshot);
}

json_t *report_notify(const struct agent_zone *zone)
{
	json_t *list = json_array();
	size_t count = zone->notify ? notify_zone_count(zone->notify) : 0;

	for (size_t i = 0; i < count; i++) {
		struct notify_status status;
		const knot_lookup_t *rcode;
		json_t *entry = json_object();

		notify_zone_status(zone->notify, i, &status);
		rcode = status.state == NOTIFY_REFUSED ? knot_lookup_by_id(knot_rcode_names, (int)status.rcode) : NULL;
		json_object_set_new(entry, "secondary", json_string(status.secondary));
		json_object_set_new(entry, "address", json_string(status.address));
		json_object_set_new(entry, "state", json_string(notify_state_text(status.state)));
		json_object_set_new(entry, "serial",
		                    status.state == NOTIFY_NONE ? json_null() : json_integer(status.serial));
		json_object_set_new(entry, "tries", json_integer(status.tries));
		json_object_set_new(entry, "rcode", rcode ? json_string(rcode->name) : json_null());
		json_object_set_new(entry, "time", status.time ? json_integer(status.time) : json_null());
		json_array_append_new(list, entry);
	}
	return list;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The zones of the configuration, each with its follower and its place in the image. */
#include "agent/agent.h"
#include "common/log.h"

#include <stdlib.h>
#include <urcu/urcu-memb.h>

static void settle(struct agent_zone *zone)
{
	if (zone->settled)
		return;
	zone->settled = true;
	agent_zone_settled(zone->agent);
}

uint64_t agent_expiry(uint32_t seconds)
{
	return agent_boottime() + (uint64_t)seconds * 1000000000ULL;
}

static void confirmed(void *context, uint32_t expire)
{
	struct agent_zone *zone = context;

	publisher_set_expiry(zone->agent->publisher, zone->config->apex, agent_expiry(expire));
	agent_keep_clocks(zone);
}

static void first_attempt_done(void *context, const char *error)
{
	settle(context);
}

static struct agent_zone *add_zone(struct agent *agent, const struct config_zone *config)
{
	struct agent_zone *zone = calloc(1, sizeof(*zone));
	struct publisher_zone served = {};
	struct follower_start start = {};
	struct follower_hooks hooks = {
	    .publish = agent_keep_version, .change = agent_keep_changes, .confirmed = confirmed, .context = zone};

	if (!zone || publisher_add_zone(agent->publisher, config->apex)) {
		free(zone);
		return NULL;
	}
	zone->agent = agent;
	zone->config = config;
	if (publisher_zone(agent->publisher, config->apex, &served)) {
		start.loaded = served.loaded;
		start.serial = served.serial;
		start.expires_at = served.expires_at;
		agent_begin_from_store(zone, &start);
		zone->settled = start.loaded;
	}
	zone->follower = follower_new(agent->schedule, config, &start, &hooks);
	if (!zone->follower) {
		free(zone);
		return NULL;
	}
	zone->notify = notify_zone_new(agent->notify_out, config);
	if (!zone->notify)
		log_error("zone %s: no memory for its secondaries: they are not notified", config->name);
	if (!zone->settled)
		follower_refresh(zone->follower, FOLLOWER_AS_DUE, first_attempt_done, zone);
	return zone;
}

static void drop_zone(struct agent_zone *zone)
{
	/* What its follower still reports does not count. */
	zone->settled = true;
	agent_forget_verifications(zone);
	follower_free(zone->follower);
	notify_zone_free(zone->notify);
	free(zone);
}

/* It is configured no more. */
static void remove_zone(struct agent_zone *zone)
{
	agent_forget_stored(zone->agent, zone->config->apex);
	drop_zone(zone);
}

/* The image may hold zones that no configuration names any more. */
struct stray {
	const struct config *config;
	uint8_t (*apexes)[KNOT_DNAME_MAXLEN];
	size_t count;
};

static void find_stray(const uint8_t *apex, const struct publisher_zone *zone, void *context)
{
	struct stray *stray = context;
	void *apexes;

	if (config_find_zone(stray->config, apex))
		return;
	apexes = realloc(stray->apexes, (stray->count + 1) * sizeof(*stray->apexes));
	if (!apexes)
		return;
	stray->apexes = apexes;
	knot_dname_to_wire(stray->apexes[stray->count++], apex, KNOT_DNAME_MAXLEN);
}

static size_t remove_strays(struct agent *agent, const struct config *config)
{
	struct stray stray = {.config = config};

	publisher_each_zone(agent->publisher, find_stray, &stray);
	for (size_t i = 0; i < stray.count; i++)
		publisher_remove_zone(agent->publisher, stray.apexes[i]);
	free(stray.apexes);
	return stray.count;
}

int agent_apply_zones(struct agent *agent, struct config *config, size_t *added, size_t *removed)
{
	struct agent_zone **zones = calloc(config->zone_count + 1, sizeof(*zones));
	struct config *old = agent->config;
	size_t at = 0, missing = 0;

	*added = *removed = 0;
	if (!zones)
		return -1;
	rcu_assign_pointer(agent->config, config);
	/* Both lists are sorted by apex. */
	for (size_t i = 0; i < config->zone_count; i++) {
		const struct config_zone *wanted = &config->zones[i];

		/* A zone that could not be added is not there. */
		while (at < agent->zone_count &&
		       (!agent->zones[at] || knot_dname_cmp(agent->zones[at]->config->apex, wanted->apex) < 0)) {
			if (agent->zones[at])
				remove_zone(agent->zones[at]);
			at++;
			++*removed;
		}
		if (at < agent->zone_count && knot_dname_is_equal(agent->zones[at]->config->apex, wanted->apex)) {
			zones[i] = agent->zones[at++];
			zones[i]->config = wanted;
			follower_reconfigure(zones[i]->follower, wanted);
			if (zones[i]->notify && notify_zone_reconfigure(zones[i]->notify, wanted))
				log_error("zone %s: no memory for other secondaries: the old ones are notified",
				          wanted->name);
			continue;
		}
		zones[i] = add_zone(agent, wanted);
		if (!zones[i]) {
			log_error("zone %s: cannot be added: out of memory", wanted->name);
			missing++;
		}
		++*added;
	}
	for (; at < agent->zone_count; at++) {
		if (agent->zones[at])
			remove_zone(agent->zones[at]);
		++*removed;
	}
	remove_strays(agent, config);
	free(agent->zones);
	agent->zones = zones;
	agent->zone_count = config->zone_count;
	if (old != config) {
		urcu_memb_synchronize_rcu();
		config_free(old);
	}
	return missing ? -1 : 0;
}

void agent_drop_zones(struct agent *agent)
{
	for (size_t i = 0; i < agent->zone_count; i++)
		if (agent->zones[i])
			drop_zone(agent->zones[i]);
	free(agent->zones);
	agent->zones = NULL;
	agent->zone_count = 0;
}

struct agent_zone *agent_find_zone(struct agent *agent, const uint8_t *apex)
{
	const struct config *config = agent->config;
	const struct config_zone *found = config_find_zone(config, apex);

	return found ? agent->zones[found - config->zones] : NULL;
}

void agent_watch_expiry(uv_timer_t *timer)
{
	struct agent *agent = timer->data;
	uint64_t now = agent_boottime();

	publisher_set_clock(agent->publisher);
	for (size_t i = 0; i < agent->zone_count; i++) {
		struct agent_zone *zone = agent->zones[i];
		struct publisher_zone served;
		bool expired;

		if (!zone || !publisher_zone(agent->publisher, zone->config->apex, &served) || !served.loaded)
			continue;
		expired = now >= served.expires_at;
		if (expired && !zone->expired)
			log_error("zone %s: expired with serial %u, since no primary has confirmed it; answering "
			          "SERVFAIL; see "
			          "`peregrine zone-status %s`",
			          zone->config->name, served.serial, zone->config->name);
		else if (!expired && zone->expired)
			log_notice("zone %s: served again with serial %u", zone->config->name, served.serial);
		zone->expired = expired;
	}
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Putting a configuration in force: first its zones, then all that its catalogs list, then what neither has any more
 * is removed; some zones each time the loop comes round, so that a hundred thousand keep nothing waiting. The
 * configuration before is there until all is done, since what was not looked at yet refers to it.
 */
#include "agent/agent.h"
#include "agent/catalogs.h"
#include "common/log.h"

#include <stdlib.h>

#define LOOK_AT_CLOCK 16 /* zones */

struct applying {
	enum { APPLY_ZONES, APPLY_MEMBERS, APPLY_REMOVALS } stage;
	struct config *old;      /* NULL: there was none */
	size_t at;               /* the configured zone that is next */
	struct agent_zone *zone; /* the zone next looked at for its removal */
	struct applied applied;
};

/* A zone of the configuration: one more, or one that is there gets its settings anew. */
static int want_zone(struct agent *agent, enum agent_role role, const struct config_zone *config)
{
	struct agent_zone *zone = agent_find_zone(agent, config->apex);

	/* Catalogs are followed in another way, or not at all. */
	if (zone && zone->role != role && (agent_is_catalog(zone->role) || agent_is_catalog(role))) {
		agent_remove_zone(zone);
		zone = NULL;
	}
	if (zone) {
		agent_change_zone(zone, config, NULL);
	} else {
		zone = agent_add_zone(agent, role, config, NULL);
		agent->applying->applied.added++;
	}
	if (!zone) {
		log_error("zone %s: cannot be added: out of memory", config->name);
		return -1;
	}
	zone->role = role;
	zone->catalog = NULL;
	zone->generation = agent->generation;
	return 0;
}

static int want_catalogs(struct agent *agent)
{
	int result = 0;

	for (struct agent_catalog *catalog = agent->catalogs; catalog; catalog = catalog->next) {
		if (want_zone(agent, AGENT_CATALOG, &catalog->config->zone))
			result = -1;
		else
			agent_find_zone(agent, catalog->config->zone.apex)->catalog = catalog;
	}
	for (size_t i = 0; i < agent->config->catalog_count; i++)
		if (agent->config->catalogs[i].produce &&
		    want_zone(agent, AGENT_PRODUCED, &agent->config->catalogs[i].zone))
			result = -1;
	return result;
}

/* Each of the three returns whether that is done. */
static bool want_zones(struct agent *agent, uint64_t until)
{
	struct applying *applying = agent->applying;
	const struct config *config = agent->config;

	while (applying->at < config->zone_count) {
		if (applying->at % LOOK_AT_CLOCK == LOOK_AT_CLOCK - 1 && uv_hrtime() >= until)
			return false;
		if (want_zone(agent, AGENT_CONFIGURED, &config->zones[applying->at++]))
			applying->applied.result = -1;
	}
	if (want_catalogs(agent))
		applying->applied.result = -1;
	catalogs_begin(agent);
	return true;
}

static bool placed_members(struct agent *agent)
{
	struct applying *applying = agent->applying;

	if (catalogs_at_work(agent))
		return false;
	for (const struct agent_catalog *catalog = agent->catalogs; catalog; catalog = catalog->next) {
		applying->applied.added += catalog->added;
		if (catalog->short_of_memory)
			applying->applied.result = -1;
	}
	applying->zone = agent->zones;
	return true;
}

static bool remove_unwanted(struct agent *agent, uint64_t until)
{
	struct applying *applying = agent->applying;

	for (size_t looks = 1; applying->zone; looks++) {
		struct agent_zone *zone = applying->zone;

		applying->zone = zone->next;
		if (zone->generation != agent->generation) {
			agent_remove_zone(zone);
			applying->applied.removed++;
		}
		if (looks % LOOK_AT_CLOCK == 0 && uv_hrtime() >= until) {
			zone_set_bury(agent);
			return false;
		}
	}
	return true;
}

static void finish(struct agent *agent)
{
	struct config *old = agent->applying->old;

	agent_remove_strays(agent);
	zone_set_bury(agent);
	free(agent->applying);
	agent->applying = NULL;
	if (old) {
		urcu_memb_synchronize_rcu();
		config_free(old);
	}
	catalogs_take_parked(agent);
}

int agent_apply_begin(struct agent *agent, struct config *config)
{
	struct applying *applying = calloc(1, sizeof(*applying));

	if (!applying) {
		log_error("%s: out of memory", config->path);
		return -1;
	}
	applying->old = agent->config == config ? NULL : agent->config;
	agent->applying = applying;
	rcu_assign_pointer(agent->config, config);
	applying->applied.result = catalogs_configure(agent, config) | produce_configure(agent, config);
	if (!agent->generation++)
		catalogs_read_last(agent);
	catalogs_expect_zones(agent);
	return 0;
}

bool agent_apply_some(struct agent *agent, uint64_t until, struct applied *applied)
{
	struct applying *applying = agent->applying;

	if (applying->stage == APPLY_ZONES && want_zones(agent, until))
		applying->stage = APPLY_MEMBERS;
	if (applying->stage == APPLY_MEMBERS && placed_members(agent))
		applying->stage = APPLY_REMOVALS;
	if (applying->stage != APPLY_REMOVALS || !remove_unwanted(agent, until))
		return false;
	*applied = applying->applied;
	finish(agent);
	return true;
}

void agent_apply_close(struct agent *agent)
{
	if (agent->applying && agent->applying->old)
		config_free(agent->applying->old);
	free(agent->applying);
	agent->applying = NULL;
}

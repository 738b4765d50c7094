/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The zones of the configuration, and those that catalogs list, each with its follower and its place in the image. */
#include "agent/agent.h"
#include "agent/catalogs.h"
#include "common/log.h"

#include <stdlib.h>

#define WATCHED_AT_ONCE 5000 /* zones */

static void settle(struct agent_zone *zone)
{
	if (zone->settled)
		return;
	zone->settled = true;
	zone->agent->unsettled--;
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

/* Most zones have none, and nothing is kept for them. */
static void set_secondaries(struct agent_zone *zone, const struct config_zone *config)
{
	bool failed = false;

	if (!config->outgoing.notify_count) {
		notify_zone_free(zone->notify);
		zone->notify = NULL;
	} else if (zone->notify) {
		failed = notify_zone_reconfigure(zone->notify, config);
	} else {
		zone->notify = notify_zone_new(zone->agent->notify_out, config);
		failed = !zone->notify;
	}
	if (failed)
		log_error("zone %s: no memory for its secondaries: those that there were are notified", config->name);
}

/* Its follower, beginning with what is served of it already. */
static int follow(struct agent_zone *zone)
{
	struct agent *agent = zone->agent;
	struct publisher_zone served = {};
	struct follower_start start = {};
	bool catalog = zone->role == AGENT_CATALOG;
	struct follower_hooks hooks = {.publish = catalog ? catalog_publish : agent_keep_version,
	                               .change = catalog ? catalog_change : agent_keep_changes,
	                               .confirmed = confirmed,
	                               .context = zone};

	if (publisher_zone(agent->publisher, zone->config->apex, &served)) {
		start.loaded = served.loaded;
		start.serial = served.serial;
		start.expires_at = served.expires_at;
		agent_begin_from_store(zone, &start);
		zone->settled = start.loaded;
	}
	if (zone->role == AGENT_PRODUCED)
		zone->settled = true;
	else
		zone->follower = follower_new(agent->schedule, zone->config, &start, &hooks);
	if (!zone->follower && zone->role != AGENT_PRODUCED)
		return -1;
	set_secondaries(zone, zone->config);
	if (zone->settled)
		return 0;
	agent->unsettled++;
	follower_refresh(zone->follower, FOLLOWER_AS_DUE, first_attempt_done, zone);
	return 0;
}

struct agent_zone *agent_add_zone(struct agent *agent, enum agent_role role, const struct config_zone *config,
                                  struct member *member)
{
	struct agent_zone *zone = calloc(1, sizeof(*zone));

	if (zone)
		*zone = (struct agent_zone){.agent = agent, .role = role, .config = config, .member = member};
	if (!zone || publisher_add_zone(agent->publisher, config->apex)) {
		member_free(member);
		free(zone);
		return NULL;
	}
	publisher_set_private(agent->publisher, config->apex, agent_is_catalog(role));
	if (follow(zone)) {
		publisher_remove_zone(agent->publisher, config->apex);
		member_free(member);
		free(zone);
		return NULL;
	}
	zone_set_add(agent, zone);
	produce_later(agent);
	return zone;
}

/* Ends following it; what is served stays. */
static void drop_zone(struct agent_zone *zone)
{
	struct agent *agent = zone->agent;
	bool last = !zone->settled && !--agent->unsettled;

	/* What its follower still reports does not count. */
	zone->settled = true;
	agent_forget_verifications(zone);
	if (zone->follower)
		follower_free(zone->follower);
	zone->follower = NULL;
	notify_zone_free(zone->notify);
	zone->notify = NULL;
	zone_set_remove(agent, zone);
	if (last)
		agent_zone_settled(agent);
}

void agent_remove_zone(struct agent_zone *zone)
{
	publisher_remove_zone(zone->agent->publisher, zone->config->apex);
	agent_forget_stored(zone->agent, zone->config->apex);
	produce_later(zone->agent);
	drop_zone(zone);
}

void agent_change_zone(struct agent_zone *zone, const struct config_zone *config, struct member *member)
{
	if (zone->follower)
		follower_reconfigure(zone->follower, config);
	set_secondaries(zone, config);
	zone_set_config(zone, config, member);
	produce_later(zone->agent);
}

void agent_drop_zones(struct agent *agent)
{
	while (agent->zones)
		drop_zone(agent->zones);
	catalogs_close(agent);
	produce_close(agent);
}

static void watch_zone(struct agent_zone *zone, uint64_t now)
{
	struct publisher_zone served;
	bool expired;

	if (!publisher_zone(zone->agent->publisher, zone->config->apex, &served) || !served.loaded)
		return;
	expired = now >= served.expires_at;
	if (expired && !zone->expired)
		log_error("zone %s: expired with serial %u, since no primary has confirmed it; answering SERVFAIL; see "
		          "`peregrine zone-status %s`",
		          zone->config->name, served.serial, zone->config->name);
	else if (!expired && zone->expired)
		log_notice("zone %s: served again with serial %u", zone->config->name, served.serial);
	zone->expired = expired;
}

/* What expires is not answered from that moment on, whether it is said at once or not: of many zones, some each time.
 */
void agent_watch_expiry(uv_timer_t *timer)
{
	struct agent *agent = timer->data;
	struct agent_zone *zone = agent->watched ? agent->watched : agent->zones;
	size_t looks = agent->zone_count < WATCHED_AT_ONCE ? agent->zone_count : WATCHED_AT_ONCE;
	uint64_t now = agent_boottime();

	publisher_set_clock(agent->publisher);
	for (; looks; looks--) {
		watch_zone(zone, now);
		zone = zone->next ? zone->next : agent->zones;
	}
	agent->watched = zone;
}

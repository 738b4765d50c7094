/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The set of zones, configured ones and members of catalogs alike. To add or to remove one costs the same however many
 * there are; the memory of those removed is given back many at a time, since that takes waiting for the readers.
 */
#include "agent/agent.h"
#include "agent/catalogs.h"
#include "agent/report.h"
#include "engine/engine.h"

#include <stdlib.h>
#include <sys/random.h>

/* The table is grown here: by itself it would go by the longest chain it meets, and take a hundred times the buckets
 * that there are zones. */
#define FIRST_BUCKETS 1024

static unsigned long hash_of(const struct agent *agent, const uint8_t *apex)
{
	const struct pg_settings *settings = image_view_get(publisher_image(agent->publisher))->settings;

	return engine_hash(settings, PG_ROLE_ZONE, 0, apex, knot_dname_size(apex));
}

static const struct config_zone *config_of(struct cds_lfht_node *node)
{
	return rcu_dereference(caa_container_of(node, struct agent_zone, node)->config);
}

static int matches(struct cds_lfht_node *node, const void *apex)
{
	return knot_dname_is_equal(config_of(node)->apex, apex);
}

static struct cds_lfht_node *look_up(struct agent *agent, const uint8_t *apex)
{
	struct cds_lfht_iter at;

	cds_lfht_lookup(agent->zone_table, hash_of(agent, apex), matches, apex, &at);
	return cds_lfht_iter_get_node(&at);
}

int zone_set_open(struct agent *agent)
{
	agent->zone_table = cds_lfht_new_flavor(FIRST_BUCKETS, FIRST_BUCKETS, 0, 0, &urcu_memb_flavor, NULL);
	agent->zone_buckets = FIRST_BUCKETS;
	return agent->zone_table ? 0 : -1;
}

void zone_set_close(struct agent *agent)
{
	zone_set_bury(agent);
	if (agent->zone_table)
		cds_lfht_destroy(agent->zone_table, NULL);
	agent->zone_table = NULL;
}

void zone_set_add(struct agent *agent, struct agent_zone *zone)
{
	zone->next = agent->zones;
	zone->previous = NULL;
	if (zone->next)
		zone->next->previous = zone;
	agent->zones = zone;
	agent->zone_count++;
	if (agent->zone_count > agent->zone_buckets) {
		agent->zone_buckets *= 2;
		cds_lfht_resize(agent->zone_table, agent->zone_buckets);
	}
	cds_lfht_node_init(&zone->node);
	urcu_memb_read_lock();
	cds_lfht_add(agent->zone_table, hash_of(agent, zone->config->apex), &zone->node);
	urcu_memb_read_unlock();
}

void zone_set_remove(struct agent *agent, struct agent_zone *zone)
{
	if (zone->previous)
		zone->previous->next = zone->next;
	else
		agent->zones = zone->next;
	if (zone->next)
		zone->next->previous = zone->previous;
	census_skip(agent, zone);
	if (agent->watched == zone)
		agent->watched = zone->next;
	agent->zone_count--;
	urcu_memb_read_lock();
	cds_lfht_del(agent->zone_table, &zone->node);
	urcu_memb_read_unlock();
	zone->next = agent->removed;
	agent->removed = zone;
}

void zone_set_config(struct agent_zone *zone, const struct config_zone *config, struct member *member)
{
	member_bury(zone->agent, zone->member);
	zone->member = member;
	__atomic_store_n(&zone->config, config, __ATOMIC_RELEASE); /* the macro of liburcu takes no const */
}

void zone_set_bury(struct agent *agent)
{
	if (!agent->removed && !agent->removed_members)
		return;
	urcu_memb_synchronize_rcu();
	while (agent->removed) {
		struct agent_zone *next = agent->removed->next;

		member_free(agent->removed->member);
		free(agent->removed);
		agent->removed = next;
	}
	members_free_buried(agent);
}

struct agent_zone *agent_find_zone(struct agent *agent, const uint8_t *apex)
{
	struct cds_lfht_node *node;

	urcu_memb_read_lock();
	node = look_up(agent, apex);
	urcu_memb_read_unlock();
	return node ? caa_container_of(node, struct agent_zone, node) : NULL;
}

const struct config_zone *agent_find_config(struct agent *agent, const uint8_t *apex)
{
	struct cds_lfht_node *node = look_up(agent, apex);

	return node ? config_of(node) : NULL;
}

struct agent_zone **agent_list_zones(const struct agent *agent, size_t *count)
{
	struct agent_zone **list = calloc(agent->zone_count + 1, sizeof(struct agent_zone *));

	*count = 0;
	if (!list)
		return NULL;
	for (struct agent_zone *zone = agent->zones; zone; zone = zone->next)
		list[(*count)++] = zone;
	return list;
}

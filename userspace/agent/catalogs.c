/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Catalogs that are followed. Once a version is served (catalog_version.c), what it says differently from the one
 * before is looked at zone by zone, some each time the loop comes round: whose the zone is (`choose`), and what that
 * takes (`place`). So is all that a catalog lists, at start and when the configuration is read again.
 */
#include "agent/catalogs.h"
#include "common/log.h"

#include <stdlib.h>
#include <string.h>

#define SLICE_NS 4000000 /* of the loop's time, before it goes on with other things */
#define LOOK_AT_CLOCK 16 /* zones */
#define SAID_MOST 5      /* clashes told of one version */

static struct agent_catalog *find_catalog(struct agent *agent, const uint8_t *apex)
{
	struct agent_catalog *catalog = agent->catalogs;

	while (catalog && !knot_dname_is_equal(catalog->config->zone.apex, apex))
		catalog = catalog->next;
	return catalog;
}

/* Where a member of `catalog` changes over to, if that lists it too (section 4.4.1). */
static struct agent_catalog *new_owner(struct agent_catalog *catalog, const struct catalog_member *member)
{
	struct agent_catalog *other = member->coo ? find_catalog(catalog->agent, member->coo) : NULL;

	return other && other != catalog && catalog_find(other->catalog, member->zone) ? other : NULL;
}

/*
 * The catalog that a zone is a member of; NULL: of none. It stays with the one that it has, unless that lets it go:
 * by listing it no more, or, when a version of the new owner has come (`updated`), by changing it over. A zone that is
 * new goes to the first that lists it, and to where that one changes it over.
 */
static struct agent_catalog *choose(struct agent *agent, const struct agent_zone *zone, const uint8_t *apex,
                                    const struct agent_catalog *updated)
{
	struct agent_catalog *present = zone && zone->role == AGENT_MEMBER ? zone->catalog : NULL, *other;
	const struct catalog_member *member = present ? catalog_find(present->catalog, apex) : NULL;

	if (member) {
		other = new_owner(present, member);
		return other && other == updated ? other : present;
	}
	for (struct agent_catalog *catalog = agent->catalogs; catalog; catalog = catalog->next) {
		member = catalog_find(catalog->catalog, apex);
		if (!member)
			continue;
		other = new_owner(catalog, member);
		return other ? other : catalog;
	}
	return NULL;
}

/* Notes for all that list a zone in vain that they do. */
static void note_clashes(struct agent *agent, const uint8_t *apex, const struct agent_catalog *owner,
                         const struct agent_catalog *updated)
{
	knot_dname_txt_storage_t text;

	for (struct agent_catalog *catalog = agent->catalogs; catalog; catalog = catalog->next) {
		if (catalog == owner || !catalog_find(catalog->catalog, apex))
			continue;
		catalog->clashed = true;
		if (catalog != updated || catalog->quiet || ++catalog->said > SAID_MOST ||
		    !knot_dname_to_str(text, apex, sizeof(text)))
			continue;
		if (owner)
			log_warning("catalog %s: its member %s is left to catalog %s, which had it first",
			            catalog->config->zone.name, text, owner->config->zone.name);
		else
			log_warning("catalog %s: its member %s is left out, since a zone of that name is configured",
			            catalog->config->zone.name, text);
	}
}

/* Lets a zone be what the catalogs and the configuration together make of it. -1: memory is short. */
static int place(struct agent *agent, const uint8_t *apex, struct agent_catalog *updated, size_t *added)
{
	struct agent_zone *zone = agent_find_zone(agent, apex);
	bool configured = zone && zone->role != AGENT_MEMBER && zone->generation == agent->generation;
	struct agent_catalog *owner = configured ? NULL : choose(agent, zone, apex, updated);
	struct member *member;

	note_clashes(agent, apex, owner, updated);
	if (!owner) {
		if (zone && zone->role == AGENT_MEMBER)
			agent_remove_zone(zone);
		return 0;
	}
	member = member_new(owner, catalog_find(owner->catalog, apex));
	if (!member)
		return -1;
	/* Another id is another zone of the same name (section 5.4). */
	if (zone && (zone->role == AGENT_CATALOG || zone->role == AGENT_PRODUCED ||
	             (zone->member && memcmp(zone->member->id, member->id, member->id[0] + 1U) != 0))) {
		agent_remove_zone(zone);
		zone = NULL;
	}
	if (zone) {
		agent_change_zone(zone, &member->config, member);
	} else {
		zone = agent_add_zone(agent, AGENT_MEMBER, &member->config, member);
		if (!zone)
			return -1;
		++*added;
	}
	zone->role = AGENT_MEMBER;
	zone->catalog = owner;
	zone->generation = agent->generation;
	return 0;
}

/* ---- passes ---- */

static void end_pass(struct agent_catalog *catalog)
{
	catalog->at_work = false;
	free(catalog->touched);
	catalog->touched = NULL;
	catalog_free(catalog->before);
	catalog->before = NULL;
	uv_idle_stop(&catalog->idle);
	if (catalog->said > SAID_MOST)
		log_warning("catalog %s: %u more members are left out likewise", catalog->config->zone.name,
		            catalog->said - SAID_MOST);
	if (catalog->short_of_memory)
		log_error("catalog %s: out of memory; not all of its members could be added; they are with its next "
		          "version",
		          catalog->config->zone.name);
	zone_set_bury(catalog->agent);
	agent_remove_strays(catalog->agent);
	log_info("catalog %s: serial %u, %zu members, %zu of them added", catalog->config->zone.name,
	         catalog->catalog->serial, catalog->catalog->count, catalog->added);
	catalogs_take_parked(catalog->agent);
}

/* The next few zones. */
static void on_idle(uv_idle_t *idle)
{
	struct agent_catalog *catalog = idle->data;
	uint64_t begun = uv_hrtime();

	for (; catalog->at < catalog->touched_count; catalog->at++) {
		const uint8_t *zone =
		    catalog->touched ? catalog->touched[catalog->at] : catalog->catalog->members[catalog->at].zone;

		if (catalog->at % LOOK_AT_CLOCK == LOOK_AT_CLOCK - 1 && uv_hrtime() - begun > SLICE_NS) {
			zone_set_bury(catalog->agent);
			return;
		}
		catalog->quiet = catalog->at >= catalog->different;
		if (place(catalog->agent, zone, catalog->touched ? catalog : NULL, &catalog->added))
			catalog->short_of_memory = catalog->clashed = true;
	}
	end_pass(catalog);
}

static void begin_pass(struct agent_catalog *catalog)
{
	catalog->at_work = true;
	catalog->at = catalog->added = 0;
	catalog->said = 0;
	catalog->short_of_memory = false;
	uv_idle_start(&catalog->idle, on_idle);
}

void catalogs_expect_zones(struct agent *agent)
{
	uint64_t zones = agent->config->zone_count + agent->config->catalog_count;

	for (const struct agent_catalog *catalog = agent->catalogs; catalog; catalog = catalog->next)
		zones += catalog->catalog ? catalog->catalog->count : 0;
	publisher_expect_zones(agent->publisher, zones);
}

void catalogs_begin(struct agent *agent)
{
	for (struct agent_catalog *catalog = agent->catalogs; catalog; catalog = catalog->next) {
		catalog->clashed = catalog->short_of_memory = false;
		catalog->added = 0;
		if (!catalog->catalog)
			continue;
		catalog->touched_count = catalog->catalog->count;
		begin_pass(catalog);
	}
}

bool catalogs_at_work(const struct agent *agent)
{
	for (const struct agent_catalog *catalog = agent->catalogs; catalog; catalog = catalog->next)
		if (catalog->at_work)
			return true;
	return false;
}

/* ---- a version that has come ---- */

/* What differs; and all that the catalog lists, when some of it could not be had before: it may be free now. */
static const uint8_t **touched_by(struct agent_catalog *catalog, size_t *count)
{
	const struct catalog *now = catalog->catalog;
	const uint8_t **zones = catalog_differences(catalog->before, now, count), **all;

	catalog->different = *count;
	if (!zones || !catalog->clashed)
		return zones;
	all = realloc(zones, (*count + now->count + 1) * sizeof(*all));
	if (!all)
		return zones;
	for (size_t i = 0; i < now->count; i++)
		all[(*count)++] = now->members[i].zone;
	return all;
}

void catalogs_take(struct agent_catalog *catalog, struct catalog *next)
{
	member_forget_primaries(catalog);
	catalog->before = catalog->catalog;
	catalog->catalog = next;
	catalog->error[0] = 0;
	catalog->touched_count = 0;
	catalog->touched = touched_by(catalog, &catalog->touched_count);
	catalog->clashed = false;
	if (next->warnings)
		log_warning("catalog %s: serial %u: %s%s", catalog->config->zone.name, next->serial, next->warning,
		            next->warnings > 1 ? ", and more like it" : "");
	if (catalog->touched) {
		catalogs_expect_zones(catalog->agent);
		begin_pass(catalog);
		return;
	}
	log_error("catalog %s: out of memory; its members are as they were", catalog->config->zone.name);
	catalog->clashed = true;
	catalog_free(catalog->before);
	catalog->before = NULL;
}

/* ---- life ---- */

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void close_catalog(struct agent_catalog *catalog)
{
	catalog_drop_parked(catalog);
	free(catalog->touched);
	catalog_free(catalog->before);
	catalog_free(catalog->catalog);
	member_forget_primaries(catalog);
	uv_close((uv_handle_t *)&catalog->idle, on_closed);
}

static struct agent_catalog *new_catalog(struct agent *agent)
{
	struct agent_catalog *catalog = calloc(1, sizeof(*catalog));

	if (!catalog)
		return NULL;
	catalog->agent = agent;
	uv_idle_init(agent->loop, &catalog->idle);
	catalog->idle.data = catalog;
	return catalog;
}

/* Takes the catalog of that name from the list. */
static struct agent_catalog *take_old(struct agent_catalog **list, const uint8_t *apex)
{
	for (; *list; list = &(*list)->next)
		if (knot_dname_is_equal((*list)->config->zone.apex, apex)) {
			struct agent_catalog *found = *list;

			*list = found->next;
			found->next = NULL;
			return found;
		}
	return NULL;
}

static void forget(struct agent *agent, struct agent_catalog *catalog)
{
	for (struct agent_zone *zone = agent->zones; zone; zone = zone->next)
		if (zone->catalog == catalog)
			zone->catalog = NULL;
	close_catalog(catalog);
}

int catalogs_configure(struct agent *agent, const struct config *config)
{
	struct agent_catalog *old = agent->catalogs, **end = &agent->catalogs;
	int result = 0;

	*end = NULL;
	for (size_t i = 0; i < config->catalog_count; i++) {
		struct agent_catalog *catalog;

		if (config->catalogs[i].produce)
			continue;
		catalog = take_old(&old, config->catalogs[i].zone.apex);
		if (!catalog)
			catalog = new_catalog(agent);
		if (!catalog) {
			result = -1;
			continue;
		}
		/* Their keys are the old configuration's. */
		member_forget_primaries(catalog);
		catalog->config = &config->catalogs[i];
		*end = catalog;
		end = &catalog->next;
	}
	while (old) {
		struct agent_catalog *next = old->next;

		forget(agent, old);
		old = next;
	}
	return result;
}

/* From the store rather than from the image, where that has the same: there the records stand side by side. */
struct zone_version *catalogs_last_version(struct agent *agent, const uint8_t *apex)
{
	struct publisher_zone served = {};
	struct zone_version *kept = NULL;
	struct store_zone stored;
	char why[256];

	publisher_zone(agent->publisher, apex, &served);
	if (agent->store && store_find(agent->store, apex, &stored) &&
	    (!served.loaded || (int32_t)(stored.serial - served.serial) >= 0))
		kept = store_load(agent->store, apex, why, sizeof(why));
	return kept ? kept : publisher_read_adopted(agent->publisher, apex);
}

void catalogs_read_last(struct agent *agent)
{
	for (struct agent_catalog *catalog = agent->catalogs; catalog; catalog = catalog->next) {
		struct zone_version *version = catalogs_last_version(agent, catalog->config->zone.apex);

		if (!version)
			continue;
		catalog->catalog = catalog_read(version, catalog->error, sizeof(catalog->error));
		if (!catalog->catalog)
			log_error("catalog %s: what was kept of it is broken: %s; its members are served as they are "
			          "until it comes anew",
			          catalog->config->zone.name, catalog->error);
		zone_unref(version);
	}
}

bool catalogs_unread(const struct agent *agent)
{
	for (const struct agent_catalog *catalog = agent->catalogs; catalog; catalog = catalog->next)
		if (!catalog->catalog)
			return true;
	return false;
}

void catalogs_close(struct agent *agent)
{
	while (agent->catalogs) {
		struct agent_catalog *next = agent->catalogs->next;

		close_catalog(agent->catalogs);
		agent->catalogs = next;
	}
}

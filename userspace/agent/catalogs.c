/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Catalogs that are followed. A version comes as any zone's does; it is read on a worker thread, and goes on to the
 * publisher if it is not broken, so that the image always has the last good one, by which the members are known after a
 * start. Once it is served, what it says differently from the one before is looked at zone by zone, some each time the
 * loop comes round: whose the zone is (`choose`), and what that takes (`place`).
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

int catalogs_place_all(struct agent *agent, size_t *added)
{
	int result = 0;

	for (struct agent_catalog *catalog = agent->catalogs; catalog; catalog = catalog->next)
		catalog->clashed = false;
	for (struct agent_catalog *catalog = agent->catalogs; catalog; catalog = catalog->next)
		for (size_t i = 0; catalog->catalog && i < catalog->catalog->count; i++)
			if (place(agent, catalog->catalog->members[i].zone, NULL, added))
				result = -1;
	return result;
}

/* ---- passes ---- */

static void end_pass(struct agent_catalog *catalog)
{
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
}

/* The next few zones, or all of them. */
static void go_on(struct agent_catalog *catalog, bool sliced)
{
	uint64_t begun = uv_hrtime();

	for (; catalog->at < catalog->touched_count; catalog->at++) {
		if (catalog->at % LOOK_AT_CLOCK == LOOK_AT_CLOCK - 1 && uv_hrtime() - begun > SLICE_NS && sliced)
			return;
		catalog->quiet = catalog->at >= catalog->different;
		if (place(catalog->agent, catalog->touched[catalog->at], catalog, &catalog->added))
			catalog->short_of_memory = catalog->clashed = true;
	}
	end_pass(catalog);
}

static void on_idle(uv_idle_t *idle)
{
	go_on(idle->data, true);
}

static void finish_pass(struct agent_catalog *catalog)
{
	if (catalog->touched)
		go_on(catalog, false);
}

static void begin_pass(struct agent_catalog *catalog)
{
	catalog->at = catalog->added = 0;
	catalog->said = 0;
	catalog->short_of_memory = false;
	uv_idle_start(&catalog->idle, on_idle);
}

int catalogs_begin(struct agent *agent)
{
	int result = 0;

	for (struct agent_catalog *catalog = agent->catalogs; catalog; catalog = catalog->next) {
		const struct catalog *listed = catalog->catalog;

		catalog->touched = listed ? calloc(listed->count + 1, sizeof(*catalog->touched)) : NULL;
		if (listed && !catalog->touched)
			result = -1;
		if (!catalog->touched)
			continue;
		for (size_t i = 0; i < listed->count; i++)
			catalog->touched[i] = listed->members[i].zone;
		catalog->touched_count = listed->count;
		catalog->different = 0;
		begin_pass(catalog);
	}
	return result;
}

bool catalogs_at_work(const struct agent *agent)
{
	for (const struct agent_catalog *catalog = agent->catalogs; catalog; catalog = catalog->next)
		if (catalog->touched)
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

/* Takes the catalog. */
static void take(struct agent_catalog *catalog, struct catalog *next)
{
	finish_pass(catalog);
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
		begin_pass(catalog);
		return;
	}
	log_error("catalog %s: out of memory; its members are as they were", catalog->config->zone.name);
	catalog->clashed = true;
	catalog_free(catalog->before);
	catalog->before = NULL;
}

/* ---- a version on its way ---- */

struct incoming {
	uv_work_t work;
	struct agent *agent;
	knot_dname_storage_t apex;
	struct zone_version *version;
	uint32_t expire;
	struct catalog *catalog;
	void (*published)(void *context, const char *error);
	void (*changed)(void *context, bool fits, const char *error); /* in place of the other */
	void *context;
	char why[256];
	char error[320];
};

static void end_incoming(struct incoming *incoming, bool fits, const char *error)
{
	if (incoming->changed)
		incoming->changed(incoming->context, fits, error);
	else
		incoming->published(incoming->context, error);
	zone_unref(incoming->version);
	catalog_free(incoming->catalog);
	free(incoming);
}

/* The catalog's zone, if it is still there. */
static struct agent_zone *zone_of(const struct incoming *incoming)
{
	struct agent_zone *zone = incoming->agent->stopping ? NULL : agent_find_zone(incoming->agent, incoming->apex);

	return zone && zone->role == AGENT_CATALOG ? zone : NULL;
}

static void on_served(void *context, const char *error)
{
	struct incoming *incoming = context;
	struct agent_zone *zone = zone_of(incoming);

	if (!error && zone) {
		take(zone->catalog, incoming->catalog);
		incoming->catalog = NULL;
	}
	end_incoming(incoming, true, error);
}

static void read_version(uv_work_t *work)
{
	struct incoming *incoming = work->data;

	incoming->catalog = catalog_read(incoming->version, incoming->why, sizeof(incoming->why));
}

static void on_read(uv_work_t *work, int status)
{
	struct incoming *incoming = work->data;
	struct agent_zone *zone = zone_of(incoming);

	if (!zone) {
		end_incoming(incoming, true, "the catalog is no longer followed");
		return;
	}
	if (incoming->catalog) {
		agent_keep_version(zone, incoming->version, incoming->expire, on_served, incoming);
		return;
	}
	snprintf(incoming->error, sizeof(incoming->error), "a broken catalog: %s", incoming->why);
	snprintf(zone->catalog->error, sizeof(zone->catalog->error), "serial %u: %.200s", incoming->version->serial,
	         incoming->why);
	end_incoming(incoming, true, incoming->error);
}

static void begin_reading(struct incoming *incoming)
{
	incoming->work.data = incoming;
	if (uv_queue_work(incoming->agent->loop, &incoming->work, read_version, on_read))
		end_incoming(incoming, true, "no worker thread to read the catalog");
}

static struct incoming *incoming_new(const struct agent_zone *zone, uint32_t expire, void *context)
{
	struct incoming *incoming = calloc(1, sizeof(*incoming));

	if (!incoming)
		return NULL;
	incoming->agent = zone->agent;
	incoming->context = context;
	incoming->expire = expire;
	knot_dname_to_wire(incoming->apex, zone->config->apex, sizeof(incoming->apex));
	return incoming;
}

void catalog_publish(void *context, struct zone_version *version, uint32_t expire,
                     void (*done)(void *context, const char *error), void *done_context)
{
	struct incoming *incoming = incoming_new(context, expire, done_context);

	if (!incoming) {
		done(done_context, "out of memory");
		return;
	}
	incoming->published = done;
	incoming->version = version;
	zone_ref(version);
	begin_reading(incoming);
}

static void on_made(void *context, struct zone_version *version, const char *error)
{
	struct incoming *incoming = context;

	incoming->version = version;
	if (version)
		begin_reading(incoming);
	else
		end_incoming(incoming, false, error ? error : "the changes lead to no version");
}

void catalog_change(void *context, struct zone_changes *changes, uint32_t expire,
                    void (*done)(void *context, bool fits, const char *error), void *done_context)
{
	struct agent_zone *zone = context;
	struct incoming *incoming = incoming_new(zone, expire, done_context);

	if (!incoming) {
		zone_changes_free(changes);
		done(done_context, true, "out of memory");
		return;
	}
	incoming->changed = done;
	publisher_make(zone->agent->publisher, changes, on_made, incoming);
}

/* ---- life ---- */

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void close_catalog(struct agent_catalog *catalog)
{
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

	for (struct agent_catalog *catalog = old; catalog; catalog = catalog->next)
		finish_pass(catalog);
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

struct zone_version *catalogs_last_version(struct agent *agent, const uint8_t *apex)
{
	struct zone_version *version = publisher_read_adopted(agent->publisher, apex), *kept;
	struct store_zone stored;
	char why[256];

	if (!agent->store || !store_find(agent->store, apex, &stored) ||
	    (version && (int32_t)(stored.serial - version->serial) <= 0))
		return version;
	kept = store_load(agent->store, apex, why, sizeof(why));
	if (!kept)
		return version;
	zone_unref(version);
	return kept;
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

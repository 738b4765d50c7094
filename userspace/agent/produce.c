/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Catalogs that are made here (RFC 9432), of the zones whose settings name them. One is made anew a moment after its
 * zones have changed, on a worker thread and of a copy of what it needs of them, and served, kept and told to
 * secondaries like any other version, if it says something else than the one before. The commit and the store write
 * what differs alone, so secondaries get it by IXFR.
 */
#include "agent/catalogs.h"
#include "common/log.h"
#include "engine/engine.h"

#include <libknot/libknot.h>
#include <stdlib.h>
#include <string.h>

#define PAUSE_MS 200 /* zones mostly change many at a time */
#define REFRESH 3600
#define RETRY 600
#define EXPIRE 2147483647 /* it is as good as this server is */

struct produced {
	struct produced *next;
	struct agent *agent;
	const struct config_catalog *config;
	struct catalog *catalog; /* what was made last, or NULL */
	uint32_t serial;         /* of that */
	bool busy;               /* it is being made, or on its way to the publisher */
	bool again;              /* zones have changed meanwhile */
	bool gone;               /* freed when it is no longer busy */
};

/* ---- records ---- */

struct writer {
	struct zone_builder *builder;
	const uint8_t *apex;
	int result;
};

/* Adds a record at the name with these labels, in wire format without the root, in front of the catalog's. */
static void put(struct writer *writer, const char *labels, uint16_t type, const uint8_t *rdata, size_t length)
{
	knot_dname_storage_t owner;
	size_t used = 0, size = knot_dname_size(writer->apex);

	for (const char *label = labels; *label; label += strcspn(label, "."), label += *label == '.') {
		size_t octets = strcspn(label, ".");

		if (used + 1 + octets + size > sizeof(owner)) {
			writer->result = -1;
			return;
		}
		owner[used++] = (uint8_t)octets;
		memcpy(owner + used, label, octets);
		used += octets;
	}
	if (used + size > KNOT_DNAME_MAXLEN) {
		writer->result = -1;
		return;
	}
	memcpy(owner + used, writer->apex, size);
	if (zone_builder_add(writer->builder, owner, type, 0, rdata, (uint16_t)length))
		writer->result = -1;
}

static void put_text(struct writer *writer, const char *labels, const char *text)
{
	uint8_t rdata[256];
	size_t length = strlen(text) < 255 ? strlen(text) : 255;

	rdata[0] = (uint8_t)length;
	memcpy(rdata + 1, text, length);
	put(writer, labels, KNOT_RRTYPE_TXT, rdata, length + 1);
}

/* The label of a member: the same for a name at all times, and nobody finds two names that share it. */
static void member_id(const uint8_t *apex, char id[33])
{
	static const struct pg_settings fixed; /* no seed: it has to be the same on every host */
	size_t size = knot_dname_size(apex);

	snprintf(id, 33, "%016llx%016llx", (unsigned long long)engine_hash(&fixed, PG_ROLE_ZONE, 0, apex, size),
	         (unsigned long long)engine_hash(&fixed, PG_ROLE_ZONE, 1, apex, size));
}

/* `group` may be "": none. */
static void put_member(struct writer *writer, const uint8_t *apex, const char *group)
{
	char id[33], labels[64];

	member_id(apex, id);
	snprintf(labels, sizeof(labels), "%s.zones", id);
	put(writer, labels, KNOT_RRTYPE_PTR, apex, knot_dname_size(apex));
	snprintf(labels, sizeof(labels), "group.%s.zones", id);
	if (group[0])
		put_text(writer, labels, group);
}

static void put_head(struct writer *writer, uint32_t serial)
{
	static const uint8_t invalid[] = "\7invalid";
	const uint32_t numbers[] = {serial, REFRESH, RETRY, EXPIRE, 0};
	uint8_t soa[2 * sizeof(invalid) + sizeof(numbers)];

	memcpy(soa, invalid, sizeof(invalid));
	memcpy(soa + sizeof(invalid), invalid, sizeof(invalid));
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		knot_wire_write_u32(soa + 2 * sizeof(invalid) + i * sizeof(uint32_t), numbers[i]);
	put(writer, "", KNOT_RRTYPE_SOA, soa, sizeof(soa));
	put(writer, "", KNOT_RRTYPE_NS, invalid, sizeof(invalid));
	put_text(writer, "version", "2");
}

/* ---- making a version ---- */

/* What a worker thread makes it of, and what comes of that. */
struct making {
	uv_work_t work;
	struct produced *produced;
	uint8_t apex[KNOT_DNAME_MAXLEN];
	uint32_t serial;
	const struct catalog *before; /* the produced one's, which stays while that is busy; or NULL */
	uint8_t *members;             /* of each the apex, and the text of its group; `size` octets */
	size_t size;
	struct zone_version *version;
	struct catalog *catalog;
	size_t differences;
	char why[256];
};

static void free_making(struct making *making)
{
	free(making->members);
	zone_unref(making->version);
	catalog_free(making->catalog);
	free(making);
}

/* The next zone that it lists, or NULL. */
static const struct agent_zone *next_member(const struct produced *produced, const struct agent_zone *zone)
{
	while (zone && (zone->config->catalog != produced->config ||
	                (zone->role != AGENT_CONFIGURED && zone->role != AGENT_MEMBER)))
		zone = zone->next;
	return zone;
}

static int copy_members(struct making *making)
{
	const struct produced *produced = making->produced;
	const struct agent_zone *first = next_member(produced, produced->agent->zones), *zone;
	uint8_t *at;

	for (zone = first; zone; zone = next_member(produced, zone->next))
		making->size +=
		    knot_dname_size(zone->config->apex) + (zone->config->group ? strlen(zone->config->group) : 0) + 1;
	at = making->members = malloc(making->size + 1);
	if (!at)
		return -1;
	for (zone = first; zone; zone = next_member(produced, zone->next)) {
		at = mempcpy(at, zone->config->apex, knot_dname_size(zone->config->apex));
		at = (uint8_t *)stpcpy((char *)at, zone->config->group ? zone->config->group : "") + 1;
	}
	return 0;
}

static void make_version(uv_work_t *work)
{
	struct making *making = work->data;
	struct writer writer = {.builder = zone_builder_new(making->apex, 0), .apex = making->apex};
	const uint8_t *at = making->members;

	snprintf(making->why, sizeof(making->why), "out of memory, or its name is too long");
	if (!writer.builder)
		return;
	put_head(&writer, making->serial);
	while (at < making->members + making->size) {
		const uint8_t *apex = at;
		const char *group = (const char *)apex + knot_dname_size(apex);

		put_member(&writer, apex, group);
		at = (const uint8_t *)group + strlen(group) + 1;
	}
	if (writer.result) {
		zone_builder_free(writer.builder);
		return;
	}
	making->version = zone_builder_finish(writer.builder, making->why, sizeof(making->why));
	if (making->version)
		making->catalog = catalog_read(making->version, making->why, sizeof(making->why));
	making->differences = 1;
	if (making->catalog && making->before)
		free(catalog_differences(making->before, making->catalog, &making->differences));
}

/* ---- serving it ---- */

static void free_produced(struct produced *produced)
{
	catalog_free(produced->catalog);
	free(produced);
}

/* Returns whether it is still wanted. */
static bool end_busy(struct produced *produced)
{
	bool gone = produced->gone;

	produced->busy = false;
	if (gone)
		free_produced(produced);
	else if (produced->again)
		produce_later(produced->agent);
	return !gone;
}

static void on_served(void *context, const char *error)
{
	struct produced *produced = context;

	if (!end_busy(produced))
		return;
	if (error) {
		log_error("catalog %s: serial %u was made, but is not served: %s", produced->config->zone.name,
		          produced->serial, error);
		/* It is made again when its zones change. */
		catalog_free(produced->catalog);
		produced->catalog = NULL;
	}
}

static uint32_t next_serial(const struct produced *produced)
{
	uint32_t now = (uint32_t)time(NULL);

	return (int32_t)(now - produced->serial) > 0 ? now : produced->serial + 1;
}

/* Whether zones of a catalog that is followed stand in it. */
static bool takes_from(const struct produced *produced, const struct config_catalog *config)
{
	bool takes = config->members.catalog == produced->config;

	for (size_t i = 0; i < config->group_count; i++)
		takes |= config->groups[i].settings->catalog == produced->config;
	return takes;
}

/* At start it is not known yet which these are: secondaries would drop what is not listed for a moment. */
static bool is_too_early(const struct produced *produced)
{
	const struct agent *agent = produced->agent;

	if (agent->swept || !produced->catalog)
		return false;
	for (const struct agent_catalog *catalog = agent->catalogs; catalog; catalog = catalog->next)
		if ((!catalog->catalog || catalog->at_work) && takes_from(produced, catalog->config))
			return true;
	return false;
}

static void on_made(uv_work_t *work, int status)
{
	struct making *making = work->data;
	struct produced *produced = making->produced;
	struct agent_zone *zone = produced->gone ? NULL : agent_find_zone(produced->agent, produced->config->zone.apex);

	if (zone && !making->catalog)
		log_error("catalog %s: cannot be made: %s", produced->config->zone.name, making->why);
	if (zone && making->catalog && making->differences) {
		catalog_free(produced->catalog);
		produced->catalog = making->catalog;
		produced->serial = making->serial;
		making->catalog = NULL;
		log_info("catalog %s: serial %u is made, of %zu members", produced->config->zone.name, making->serial,
		         produced->catalog->count);
		agent_keep_version(zone, making->version, EXPIRE, on_served, produced);
	} else {
		end_busy(produced);
	}
	free_making(making);
}

static void make(struct produced *produced)
{
	struct making *making;

	produced->again = produced->busy;
	if (produced->busy || !agent_find_zone(produced->agent, produced->config->zone.apex))
		return;
	if (is_too_early(produced)) {
		produce_later(produced->agent);
		return;
	}
	making = calloc(1, sizeof(*making));
	if (making) {
		making->work.data = making;
		making->produced = produced;
		making->serial = next_serial(produced);
		making->before = produced->catalog;
		knot_dname_to_wire(making->apex, produced->config->zone.apex, sizeof(making->apex));
	}
	produced->busy = true;
	if (making && !copy_members(making) &&
	    !uv_queue_work(produced->agent->loop, &making->work, make_version, on_made))
		return;
	/* It is made when its zones change the next time. */
	log_error("catalog %s: cannot be made: out of memory", produced->config->zone.name);
	produced->busy = false;
	if (making)
		free_making(making);
}

static void make_all(uv_timer_t *timer)
{
	struct agent *agent = timer->data;

	/* While a configuration is put in force, zones refer to that or to the one before. */
	if (agent->applying) {
		produce_later(agent);
		return;
	}
	for (struct produced *produced = agent->produced; produced; produced = produced->next)
		make(produced);
}

void produce_later(struct agent *agent)
{
	if (agent->produced && !agent->stopping && !uv_is_active((uv_handle_t *)&agent->produce_timer))
		uv_timer_start(&agent->produce_timer, make_all, PAUSE_MS, 0);
}

/* ---- life ---- */

static void drop(struct produced *produced)
{
	if (produced->busy)
		produced->gone = true;
	else
		free_produced(produced);
}

static struct produced *take_old(struct produced **list, const uint8_t *apex)
{
	for (; *list; list = &(*list)->next)
		if (knot_dname_is_equal((*list)->config->zone.apex, apex)) {
			struct produced *found = *list;

			*list = found->next;
			return found;
		}
	return NULL;
}

/* One more, going on from what was served of it last. */
static struct produced *new_produced(struct agent *agent, const struct config_catalog *config, bool starting)
{
	struct produced *produced = calloc(1, sizeof(*produced));
	struct zone_version *version = starting && produced ? catalogs_last_version(agent, config->zone.apex) : NULL;
	char why[256];

	if (!produced)
		return NULL;
	produced->agent = agent;
	if (version) {
		produced->serial = version->serial;
		produced->catalog = catalog_read(version, why, sizeof(why));
	}
	zone_unref(version);
	return produced;
}

int produce_configure(struct agent *agent, const struct config *config)
{
	struct produced *old = agent->produced, **end = &agent->produced;
	int result = 0;

	*end = NULL;
	for (size_t i = 0; i < config->catalog_count; i++) {
		struct produced *produced;

		if (!config->catalogs[i].produce)
			continue;
		produced = take_old(&old, config->catalogs[i].zone.apex);
		if (!produced)
			produced = new_produced(agent, &config->catalogs[i], !agent->generation);
		if (!produced) {
			result = -1;
			continue;
		}
		produced->config = &config->catalogs[i];
		produced->next = NULL;
		*end = produced;
		end = &produced->next;
	}
	while (old) {
		struct produced *next = old->next;

		drop(old);
		old = next;
	}
	return result;
}

void produce_close(struct agent *agent)
{
	while (agent->produced) {
		struct produced *next = agent->produced->next;

		drop(agent->produced);
		agent->produced = next;
	}
}

json_t *produce_report(struct agent *agent, const uint8_t *apex)
{
	const struct produced *produced = agent->produced;
	json_t *report;

	while (produced && !knot_dname_is_equal(produced->config->zone.apex, apex))
		produced = produced->next;
	if (!produced)
		return NULL;
	report = json_object();
	json_object_set_new(report, "catalog", json_string(produced->config->zone.name));
	json_object_set_new(report, "role", json_string("produced"));
	json_object_set_new(report, "serial", produced->catalog ? json_integer(produced->serial) : json_null());
	json_object_set_new(report, "listed",
	                    json_integer(produced->catalog ? (json_int_t)produced->catalog->count : 0));
	json_object_set_new(report, "members",
	                    json_integer(produced->catalog ? (json_int_t)produced->catalog->count : 0));
	json_object_set_new(report, "left_out", json_array());
	json_object_set_new(report, "error", json_null());
	return report;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A catalog's version on its way. It comes as any zone's does; it is read on a worker thread, and goes on to the
 * publisher if it is not broken, so that the image always has the last good one, by which the members are known after a
 * start. While what the one before says is still gone through, one that is served already is parked.
 */
#include "agent/catalogs.h"

#include <stdio.h>
#include <stdlib.h>

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

	return zone && zone->role == AGENT_CATALOG && zone->catalog ? zone : NULL;
}

static void on_served(void *context, const char *error)
{
	struct incoming *incoming = context;
	struct agent_zone *zone = zone_of(incoming);

	if (!error && zone && (zone->catalog->at_work || zone->agent->applying)) {
		catalog_drop_parked(zone->catalog);
		zone->catalog->parked = incoming;
		return;
	}
	if (!error && zone) {
		catalogs_take(zone->catalog, incoming->catalog);
		incoming->catalog = NULL;
	}
	end_incoming(incoming, true, error);
}

void catalog_drop_parked(struct agent_catalog *catalog)
{
	struct incoming *parked = catalog->parked;

	catalog->parked = NULL;
	if (parked)
		end_incoming(parked, true, "the catalog is no longer followed");
}

void catalogs_take_parked(struct agent *agent)
{
	for (struct agent_catalog *catalog = agent->catalogs; catalog; catalog = catalog->next) {
		struct incoming *parked = catalog->parked;

		if (!parked || catalog->at_work || agent->applying)
			continue;
		catalog->parked = NULL;
		on_served(parked, NULL);
	}
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

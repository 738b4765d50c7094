/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is served is kept on disk, and served from there at start.
 *
 *   a version or changes were served    -> store_put_version, store_put_edit
 *   the store says that they do not fit,
 *   or could not be written             -> the zone is read back from the image, and put whole, some time later
 *   at start                            -> what the image does not have, or has older, is loaded from the store;
 *                                          what the store does not have, or has older, is read back for it
 *
 * Without a store (it cannot be opened) all of this does nothing.
 */
#include "agent/agent.h"
#include "common/log.h"

#include <stdlib.h>
#include <string.h>

/* Zones that are read back at a time; each is a whole version in memory. */
#define READS_AT_ONCE 2
/* Versions in the store's queue with which no more are read back. */
#define WAITING_ENOUGH 8
#define PAUSE_FIRST_MS 1000
#define PAUSE_MOST_MS 60000
/* How long the addresses are not taken yet, at start, while zones are loaded. */
#define LOAD_WAIT_MS 60000

/* A zone that is to be given whole. */
struct whole {
	struct whole *next;
	uint8_t apex[KNOT_DNAME_MAXLEN];
};

struct keeper {
	struct agent *agent;
	struct whole *first, **last;
	size_t reads;
	uint64_t pause; /* after a failure, milliseconds; doubled with each */
	uv_timer_t timer;
	char directory[512];
};

static struct store_clocks clocks_of(struct agent *agent, const uint8_t *apex)
{
	struct store_clocks clocks = {.checked_at = time(NULL)};
	struct publisher_zone served;

	if (publisher_zone(agent->publisher, apex, &served))
		clocks.expires_at = served.expires_at;
	return clocks;
}

/* ---- giving whole zones ---- */

static void give_more(struct keeper *keeper);

/* What is read back on its way. */
struct reading {
	struct keeper *keeper;
	uint8_t apex[KNOT_DNAME_MAXLEN];
};

static void read_back(void *context, struct zone_version *version, const char *error)
{
	struct reading *reading = context;
	struct keeper *keeper = reading->keeper;
	struct agent *agent = keeper->agent;
	const struct agent_zone *zone = agent->stopping ? NULL : agent_find_zone(agent, reading->apex);

	keeper->reads--;
	if (version && zone) {
		struct store_clocks clocks = clocks_of(agent, reading->apex);

		clocks.checked_at = 0;
		store_put_version(agent->store, version, &clocks, zone->config->journal_size);
	}
	zone_unref(version);
	free(reading);
	if (!agent->stopping)
		give_more(keeper);
}

static void give_more(struct keeper *keeper)
{
	struct store_status status;

	store_get_status(keeper->agent->store, &status);
	if (uv_is_active((uv_handle_t *)&keeper->timer) && keeper->pause)
		return;
	while (keeper->first && keeper->reads < READS_AT_ONCE && status.waiting < WAITING_ENOUGH) {
		struct whole *whole = keeper->first;
		struct agent_zone *zone = agent_find_zone(keeper->agent, whole->apex);
		struct reading *reading = malloc(sizeof(*reading));

		if (!reading)
			return;
		keeper->first = whole->next;
		if (!keeper->first)
			keeper->last = &keeper->first;
		if (zone)
			zone->to_be_stored = false;
		reading->keeper = keeper;
		memcpy(reading->apex, whole->apex, sizeof(reading->apex));
		free(whole);
		keeper->reads++;
		publisher_read(keeper->agent->publisher, reading->apex, read_back, reading);
	}
}

static void pause_is_over(uv_timer_t *timer)
{
	give_more(timer->data);
}

static void want_whole(struct agent_zone *zone)
{
	struct keeper *keeper = zone->agent->keeper;
	struct whole *whole = zone->to_be_stored ? NULL : calloc(1, sizeof(*whole));

	if (!whole)
		return;
	zone->to_be_stored = true;
	knot_dname_to_wire(whole->apex, zone->config->apex, sizeof(whole->apex));
	*keeper->last = whole;
	keeper->last = &whole->next;
}

static void written(void *context, const uint8_t *apex, uint32_t serial, enum store_outcome outcome)
{
	struct keeper *keeper = context;
	struct agent_zone *zone = keeper->agent->stopping ? NULL : agent_find_zone(keeper->agent, apex);

	if (keeper->agent->stopping)
		return;
	if (outcome == STORE_WRITTEN) {
		keeper->pause = 0;
		agent_zone_stored(keeper->agent, apex, serial);
	} else if (zone) {
		want_whole(zone);
	}
	if (outcome == STORE_FAILED && !uv_is_active((uv_handle_t *)&keeper->timer)) {
		keeper->pause = keeper->pause ? 2 * keeper->pause : PAUSE_FIRST_MS;
		if (keeper->pause > PAUSE_MOST_MS)
			keeper->pause = PAUSE_MOST_MS;
		uv_timer_start(&keeper->timer, pause_is_over, keeper->pause, 0);
	}
	give_more(keeper);
}

/* ---- what was served is put ---- */

/* A version or changes on their way to the publisher, and where their follower waits. */
struct handing {
	struct agent *agent;
	struct zone_version *version;
	struct store_edit *edit;
	void (*done)(void *context, const char *error);
	void (*changed)(void *context, bool fits, const char *error);
	void *context;
	uint8_t apex[];
};

static struct handing *handing_new(struct agent_zone *zone, void *context)
{
	size_t size = knot_dname_size(zone->config->apex);
	struct handing *handing = calloc(1, sizeof(*handing) + size);

	if (!handing)
		return NULL;
	handing->agent = zone->agent;
	handing->context = context;
	memcpy(handing->apex, zone->config->apex, size);
	return handing;
}

/* It is served: the store gets it. The zone may have gone meanwhile. */
static void keep(struct handing *handing)
{
	struct agent *agent = handing->agent;
	struct agent_zone *zone = agent->stopping ? NULL : agent_find_zone(agent, handing->apex);
	struct store_clocks clocks;

	if (!zone || !agent->store)
		return;
	clocks = clocks_of(agent, handing->apex);
	if (handing->version) {
		store_put_version(agent->store, handing->version, &clocks, zone->config->journal_size);
	} else if (handing->edit) {
		store_put_edit(agent->store, handing->edit, &clocks, zone->config->journal_size);
		handing->edit = NULL;
	} else {
		want_whole(zone);
		give_more(agent->keeper);
	}
}

static void handing_free(struct handing *handing)
{
	zone_unref(handing->version);
	store_edit_free(handing->edit);
	free(handing);
}

static void on_published(void *context, const char *error)
{
	struct handing *handing = context;

	if (!error)
		keep(handing);
	handing->done(handing->context, error);
	handing_free(handing);
}

static void on_changed(void *context, bool fits, const char *error)
{
	struct handing *handing = context;

	if (!error)
		keep(handing);
	handing->changed(handing->context, fits, error);
	handing_free(handing);
}

void agent_keep_version(void *context, struct zone_version *version, uint32_t expire,
                        void (*done)(void *context, const char *error), void *done_context)
{
	struct agent_zone *zone = context;
	struct handing *handing = handing_new(zone, done_context);

	if (!handing) {
		done(done_context, "out of memory");
		return;
	}
	handing->done = done;
	handing->version = version;
	zone_ref(version);
	agent_publish(zone, version, expire, on_published, handing);
}

void agent_keep_changes(void *context, struct zone_changes *changes, uint32_t expire,
                        void (*done)(void *context, bool fits, const char *error), void *done_context)
{
	struct agent_zone *zone = context;
	struct handing *handing = handing_new(zone, done_context);

	if (!handing) {
		zone_changes_free(changes);
		done(done_context, true, "out of memory");
		return;
	}
	handing->changed = done;
	if (zone->agent->store)
		handing->edit = store_edit_new(changes);
	agent_change(zone, changes, expire, on_changed, handing);
}

void agent_keep_clocks(struct agent_zone *zone)
{
	struct store_clocks clocks;

	if (!zone->agent->store)
		return;
	clocks = clocks_of(zone->agent, zone->config->apex);
	store_put_clocks(zone->agent->store, zone->config->apex, &clocks);
}

/* ---- at start ---- */

static struct zone_version *supply(void *context, const uint8_t *apex, char *why, size_t why_size)
{
	struct agent *agent = ((struct handing *)context)->agent;

	return store_load(agent->store, apex, why, why_size);
}

static void loaded(void *context, const char *error)
{
	struct handing *handing = context;
	struct agent *agent = handing->agent;
	struct agent_zone *zone = agent->stopping ? NULL : agent_find_zone(agent, handing->apex);

	agent->loading--;
	if (error && zone) {
		log_error("zone %s: cannot be served from the store: %s; it is transferred anew", zone->config->name,
		          error);
		store_remove(agent->store, handing->apex);
		if (zone->follower)
			follower_refresh(zone->follower, FOLLOWER_FULL, agent_ignore_done, NULL);
	}
	handing_free(handing);
}

/* Whether a serial is later than another (RFC 1982). */
static bool is_later(uint32_t serial, uint32_t than)
{
	return (int32_t)(serial - than) > 0;
}

/* The clocks as they stood: the next poll comes when it would have come. */
static void take_clocks(const struct store_zone *stored, struct follower_start *start)
{
	start->refresh = stored->refresh;
	start->retry = stored->retry;
	start->expire = stored->expire;
	if (stored->clocks.refresh_at)
		start->next_refresh = stored->clocks.refresh_at;
	else if (stored->clocks.checked_at)
		start->next_refresh = stored->clocks.checked_at + stored->refresh;
}

void agent_begin_from_store(struct agent_zone *zone, struct follower_start *start)
{
	struct agent *agent = zone->agent;
	struct store_zone stored;
	struct handing *handing;
	bool has;

	if (!agent->store)
		return;
	/* Once what nothing wants was swept out, what there may be of a new zone is on its way out too. */
	has = !agent->swept && store_find(agent->store, zone->config->apex, &stored);
	if (start->loaded && (!has || is_later(start->serial, stored.serial)))
		want_whole(zone);
	if (has && start->loaded && stored.serial == start->serial)
		take_clocks(&stored, start);
	if (!has || (start->loaded && !is_later(stored.serial, start->serial)))
		return;
	handing = handing_new(zone, NULL);
	if (!handing)
		return;
	agent->loading++;
	publisher_load(agent->publisher, zone->config->apex, stored.clocks.expires_at, supply, loaded, handing);
	start->loaded = true;
	start->serial = stored.serial;
	start->expires_at = stored.clocks.expires_at;
	take_clocks(&stored, start);
}

static void stop_waiting(uv_timer_t *timer)
{
	*(bool *)timer->data = true;
}

bool agent_wait_for_store(struct agent *agent)
{
	bool late = false;
	uv_timer_t timer;

	if (!agent->store)
		return false;
	give_more(agent->keeper);
	if (!agent->loading)
		return false;
	log_notice("%zu zones are loaded from the store", agent->loading);
	uv_timer_init(agent->loop, &timer);
	timer.data = &late;
	uv_timer_start(&timer, stop_waiting, LOAD_WAIT_MS, 0);
	while (agent->loading && !late && !agent->ending)
		uv_run(agent->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(agent->loop, UV_RUN_NOWAIT);
	if (late)
		log_warning("%zu zones are still being loaded; until then they are answered with SERVFAIL",
		            agent->loading);
	return true;
}

void agent_forget_stored(struct agent *agent, const uint8_t *apex)
{
	if (agent->store)
		store_remove(agent->store, apex);
}

/* ---- life ---- */

void agent_open_store(struct agent *agent)
{
	struct store_hooks hooks = {.written = written};

	agent->keeper = calloc(1, sizeof(*agent->keeper));
	if (!agent->keeper)
		return;
	agent->keeper->agent = agent;
	agent->keeper->last = &agent->keeper->first;
	uv_timer_init(agent->loop, &agent->keeper->timer);
	agent->keeper->timer.data = agent->keeper;
	uv_unref((uv_handle_t *)&agent->keeper->timer);
	hooks.context = agent->keeper;
	snprintf(agent->keeper->directory, sizeof(agent->keeper->directory), "%s/store",
	         agent->config->state_directory);
	agent->store = store_open(agent->keeper->directory, 0, &hooks, agent->loop);
}

static void timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void agent_close_store(struct agent *agent)
{
	struct keeper *keeper = agent->keeper;

	store_close(agent->store);
	agent->store = NULL;
	agent->keeper = NULL;
	if (!keeper)
		return;
	while (keeper->first) {
		struct whole *next = keeper->first->next;

		free(keeper->first);
		keeper->first = next;
	}
	uv_close((uv_handle_t *)&keeper->timer, timer_closed);
}

json_t *report_store(struct agent *agent)
{
	struct store_status status = {};
	const char *state = "off";

	if (agent->store) {
		store_get_status(agent->store, &status);
		state = status.failing ? "failing" : "ok";
	}
	return json_pack("{s:s, s:o, s:I, s:I, s:I, s:f, s:o}", "state", state, "directory",
	                 json_string(agent->keeper ? agent->keeper->directory : ""), "bytes", (json_int_t)status.octets,
	                 "used", (json_int_t)status.used, "waiting", (json_int_t)status.waiting, "behind",
	                 (double)status.behind_ms / 1000, "error",
	                 !agent->store     ? json_string("it could not be opened; the log says why")
	                 : status.error[0] ? json_string(status.error)
	                                   : json_null());
}

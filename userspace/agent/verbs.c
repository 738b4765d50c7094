/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verbs of the control socket. */
#include "agent/agent.h"
#include "agent/catalogs.h"
#include "agent/report.h"
#include "common/log.h"

#include <libknot/libknot.h>
#include <stdlib.h>
#include <string.h>

/* The zone that an argument names; on failure the request is answered. */
static struct agent_zone *zone_argument(struct agent *agent, struct control_request *request, const char *name)
{
	knot_dname_storage_t apex;
	struct agent_zone *zone = NULL;

	if (knot_dname_from_str(apex, name, sizeof(apex))) {
		knot_dname_to_lower(apex);
		zone = agent_find_zone(agent, apex);
	}
	if (!zone)
		control_fail(request, "%s: no such zone is configured; `peregrine zone-status` lists them", name);
	return zone;
}

/* The zones named, or all of them in no order. NULL after answering the request. */
static struct agent_zone **zone_arguments(struct agent *agent, struct control_request *request, const json_t *arguments,
                                          size_t *count)
{
	size_t named = json_array_size(arguments);
	struct agent_zone **zones = named ? calloc(named, sizeof(*zones)) : agent_list_zones(agent, count);

	if (!zones) {
		control_fail(request, "out of memory");
		return NULL;
	}
	if (named)
		*count = 0;
	for (size_t i = 0; i < named; i++) {
		zones[*count] = zone_argument(agent, request, json_string_value(json_array_get(arguments, i)));
		if (!zones[(*count)++]) {
			free(zones);
			return NULL;
		}
	}
	return zones;
}

static void run_status(void *context, struct control_request *request, const json_t *arguments, const json_t *options)
{
	census_begin(context, request);
}

static json_t *tell_zone(struct agent_zone *zone, unsigned brief)
{
	return report_zone(zone, brief);
}

static void run_zone_status(void *context, struct control_request *request, const json_t *arguments,
                            const json_t *options)
{
	size_t count;
	struct agent_zone **list = zone_arguments(context, request, arguments, &count);
	struct listing_zones zones = {.list = list, .named = json_array_size(arguments) > 0};

	if (!list)
		return;
	zones.count = count;
	zones.problems = json_is_true(json_object_get(options, "problems"));
	listing_begin(context, request, &zones, tell_zone, !zones.problems && count > REPORT_WHOLE);
	free(list);
}

/* A request that waits for zones; gone when it is answered and no follower remembers it. */
struct waiting {
	struct control_request *request; /* NULL: answered */
	json_t *result;
	size_t left;
	bool timer_open;
	uv_timer_t timer;
};

struct waiting_zone {
	struct waiting *waiting;
	json_t *entry; /* in result */
	struct agent *agent;
	knot_dname_storage_t apex;
};

static void release_waiting(struct waiting *waiting)
{
	if (waiting->left || waiting->timer_open)
		return;
	json_decref(waiting->result);
	free(waiting);
}

static void timer_closed(uv_handle_t *handle)
{
	struct waiting *waiting = handle->data;

	waiting->timer_open = false;
	release_waiting(waiting);
}

static void answer_waiting(struct waiting *waiting)
{
	if (!waiting->request)
		return;
	control_reply(waiting->request, json_incref(waiting->result));
	waiting->request = NULL;
	if (waiting->timer_open)
		uv_close((uv_handle_t *)&waiting->timer, timer_closed);
}

static void waited_too_long(uv_timer_t *timer)
{
	answer_waiting(timer->data);
}

static void zone_done(void *context, const char *error)
{
	struct waiting_zone *zone = context;
	struct waiting *waiting = zone->waiting;
	struct publisher_zone served;

	if (publisher_zone(zone->agent->publisher, zone->apex, &served) && served.loaded)
		json_object_set_new(zone->entry, "serial", json_integer(served.serial));
	json_object_set_new(zone->entry, "error", error ? json_string(error) : json_null());
	free(zone);
	if (!--waiting->left)
		answer_waiting(waiting);
	release_waiting(waiting);
}

static json_t *reload_entry(struct agent_zone *zone, bool wait)
{
	struct publisher_zone served = {};
	json_t *entry = json_object();

	publisher_zone(zone->agent->publisher, zone->config->apex, &served);
	json_object_set_new(entry, "zone", json_string(zone->config->name));
	json_object_set_new(entry, "serial", served.loaded ? json_integer(served.serial) : json_null());
	json_object_set_new(entry, "error", wait ? json_string("not done within the time given") : json_null());
	return entry;
}

void agent_ignore_done(void *context, const char *error)
{
}

static void refresh_and_wait(struct agent_zone *zone, enum follower_force force, struct waiting *waiting, json_t *entry)
{
	struct waiting_zone *part = calloc(1, sizeof(*part));

	if (!part) {
		json_object_set_new(entry, "error", json_string("out of memory"));
		return;
	}
	part->waiting = waiting;
	part->entry = entry;
	part->agent = zone->agent;
	knot_dname_to_wire(part->apex, zone->config->apex, sizeof(part->apex));
	waiting->left++;
	follower_refresh(zone->follower, force, zone_done, part);
}

/* Bits beside those of enum follower_force. */
#define REFRESH_ALONE 256U /* no other zone was named */

static json_t *tell_refreshed(struct agent_zone *zone, unsigned how)
{
	json_t *entry = reload_entry(zone, false);

	if (zone->follower)
		follower_refresh(zone->follower, how & ~REFRESH_ALONE, agent_ignore_done, NULL);
	else if (how & REFRESH_ALONE)
		json_object_set_new(entry, "error", json_string("it is made here"));
	return entry;
}

static int compare_zones(const void *left, const void *right)
{
	const struct agent_zone *const *a = left, *const *b = right;

	return zone_compare_names((*a)->config->apex, (*b)->config->apex);
}

static void refresh_and_tell(struct agent *agent, struct control_request *request, struct agent_zone **zones,
                             size_t count, enum follower_force force, int64_t timeout)
{
	struct waiting *waiting = calloc(1, sizeof(*waiting));

	if (!waiting) {
		control_fail(request, "out of memory");
		return;
	}
	waiting->request = request;
	waiting->result = json_array();
	waiting->timer.data = waiting;
	waiting->left = 1; /* this function */
	for (size_t i = 0; i < count; i++) {
		json_t *entry = reload_entry(zones[i], true);

		json_array_append_new(waiting->result, entry);
		if (zones[i]->follower)
			refresh_and_wait(zones[i], force, waiting, entry);
		else
			json_object_set_new(entry, "error", count == 1 ? json_string("it is made here") : json_null());
	}
	if (--waiting->left) {
		waiting->timer_open = !uv_timer_init(agent->loop, &waiting->timer);
		uv_timer_start(&waiting->timer, waited_too_long, (timeout > 0 ? timeout : 60) * 1000, 0);
		return;
	}
	answer_waiting(waiting);
	release_waiting(waiting);
}

static void run_refresh(struct agent *agent, struct control_request *request, const json_t *arguments,
                        const json_t *options, enum follower_force force)
{
	bool unverified = json_is_true(json_object_get(options, "force"));
	size_t named = json_array_size(arguments), count;
	struct listing_zones listed = {.named = named > 0};
	struct agent_zone **zones;

	if (unverified && !named) {
		control_fail(request, "name the zones to which --force applies");
		return;
	}
	zones = zone_arguments(agent, request, arguments, &count);
	if (!zones)
		return;
	force |= unverified ? FOLLOWER_UNVERIFIED : 0;
	listed.list = zones;
	listed.count = count;
	if (json_is_true(json_object_get(options, "wait"))) {
		if (!named)
			qsort(zones, count, sizeof(*zones), compare_zones);
		refresh_and_tell(agent, request, zones, count, force,
		                 json_integer_value(json_object_get(options, "timeout")));
	} else {
		listing_begin(agent, request, &listed, tell_refreshed, force | (count == 1 ? REFRESH_ALONE : 0));
	}
	free(zones);
}

static void run_zone_reload(void *context, struct control_request *request, const json_t *arguments,
                            const json_t *options)
{
	run_refresh(context, request, arguments, options, FOLLOWER_IF_NEWER);
}

static void run_zone_retransfer(void *context, struct control_request *request, const json_t *arguments,
                                const json_t *options)
{
	if (!json_array_size(arguments))
		control_fail(request, "name the zones to transfer whole");
	else
		run_refresh(context, request, arguments, options, FOLLOWER_FULL);
}

static void run_reload(void *context, struct control_request *request, const json_t *arguments, const json_t *options)
{
	agent_reload(context, request);
}

static void run_stats(void *context, struct control_request *request, const json_t *arguments, const json_t *options)
{
	const char *name = json_string_value(json_array_get(arguments, 0));
	struct agent_zone *zone;
	json_t *stats;

	if (!name) {
		control_reply(request, report_stats(context));
		return;
	}
	zone = zone_argument(context, request, name);
	if (!zone)
		return;
	stats = report_zone_stats(zone);
	if (stats)
		control_reply(request, stats);
	else
		control_fail(request, "%s: nothing is counted by zone; the log says why", name);
}

static void run_interfaces(struct agent *agent, struct control_request *request, const json_t *arguments, bool attach)
{
	json_t *list;

	if (!agent->fastpath) {
		control_fail(request, agent->program_loading
		                          ? "the program is not loaded yet; ask again in some seconds"
		                          : "fast-path.mode is off; set it to auto and start peregrined again");
		return;
	}
	list = json_array();
	for (size_t i = 0; i < json_array_size(arguments); i++) {
		const char *name = json_string_value(json_array_get(arguments, i));
		struct fastpath_interface got = {.mode = "none"};
		json_t *entry = json_object();

		agent_keep_off(agent, name, !attach);
		if (attach)
			fastpath_attach(agent->fastpath, name, agent->config->mode, &got);
		else if (fastpath_detach(agent->fastpath, name))
			snprintf(got.why, sizeof(got.why), "the fast path was not on it");
		json_object_set_new(entry, "name", json_string(name));
		json_object_set_new(entry, "mode", json_string(got.mode));
		json_object_set_new(entry, "why", json_string(got.why));
		json_array_append_new(list, entry);
	}
	control_reply(request, list);
}

static void run_attach(void *context, struct control_request *request, const json_t *arguments, const json_t *options)
{
	run_interfaces(context, request, arguments, true);
}

static void run_detach(void *context, struct control_request *request, const json_t *arguments, const json_t *options)
{
	struct agent *agent = context;
	json_t *all;

	if (json_array_size(arguments)) {
		run_interfaces(agent, request, arguments, false);
		return;
	}
	all = json_array();
	if (agent->fastpath) {
		struct fastpath_interface interfaces[64];
		size_t count = fastpath_interfaces(agent->fastpath, interfaces, 64);

		for (size_t i = 0; i < count && i < 64; i++)
			if (interfaces[i].ifindex)
				json_array_append_new(all, json_string(interfaces[i].name));
	}
	run_interfaces(agent, request, all, false);
	json_decref(all);
}

const struct control_verb agent_verbs[] = {
    {"status", run_status},
    {"zone-status", run_zone_status},
    {"zone-reload", run_zone_reload},
    {"zone-retransfer", run_zone_retransfer},
    {"reload", run_reload},
    {"stats", run_stats},
    {"attach", run_attach},
    {"detach", run_detach},
    {"catalog-status", agent_catalog_status},
    {"explain", agent_explain},
    {},
};

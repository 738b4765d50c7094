/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Verbs that tell something of each zone, however many there are: their names are copied, put in order on a worker
 * thread, and what is to be told of each is made when the client takes it (control_reply_list). A zone that goes
 * meanwhile is left out; one that comes is not told of.
 */
#include "agent/report.h"

#include <stdlib.h>
#include <string.h>

#define SLICE_NS 2000000   /* of the loop's time */
#define LOOK_AT_CLOCK 32   /* zones */
#define SORTED_AT_ONCE 256 /* zones that are not worth a worker thread */

struct listed {
	const uint8_t *apex;
	enum problem_level level; /* of its problem, where those alone are told */
	char *culprit;            /* likewise, or NULL */
};

struct listing {
	struct agent *agent;
	struct control_request *request;
	listing_tell *tell;
	unsigned how;
	bool problems; /* zones with a problem alone */
	uint8_t *names;
	struct listed *zones;
	size_t count, at, kept;
	uv_idle_t idle;
	uv_work_t sorting;
};

static void free_listing(void *context)
{
	struct listing *listing = context;

	for (size_t i = 0; listing->zones && i < listing->count; i++)
		free(listing->zones[i].culprit);
	free(listing->zones);
	free(listing->names);
	free(listing);
}

/* ---- telling ---- */

/* Whether it is to be told of, as it is now. */
static bool is_wanted(const struct listing *listing, const struct agent_zone *zone)
{
	struct publisher_zone served;
	struct problem problem;

	return zone && (!listing->problems || problem_find(zone, report_zone_state(zone, &served), &problem));
}

static json_t *tell_next(void *context)
{
	struct listing *listing = context;

	while (listing->at < listing->count) {
		struct agent_zone *zone = agent_find_zone(listing->agent, listing->zones[listing->at++].apex);

		if (is_wanted(listing, zone))
			return listing->tell(zone, listing->how);
	}
	return NULL;
}

static void tell(struct listing *listing)
{
	static const struct control_list list = {.next = tell_next, .end = free_listing};

	if (listing->agent->stopping) {
		control_fail(listing->request, "the agent is ending");
		free_listing(listing);
		return;
	}
	control_reply_list(listing->request, &list, listing);
}

/* ---- order ---- */

static int compare_listed(const void *left, const void *right)
{
	const struct listed *a = left, *b = right;
	int order = (a->level < b->level) - (a->level > b->level);

	if (!order && a->culprit && b->culprit)
		order = strcmp(a->culprit, b->culprit);
	return order ? order : zone_compare_names(a->apex, b->apex);
}

static void sort(uv_work_t *work)
{
	struct listing *listing = work->data;

	qsort(listing->zones, listing->count, sizeof(*listing->zones), compare_listed);
}

static void on_sorted(uv_work_t *work, int status)
{
	tell(work->data);
}

static void put_in_order(struct listing *listing)
{
	listing->sorting.data = listing;
	if (listing->count > SORTED_AT_ONCE && !uv_queue_work(listing->agent->loop, &listing->sorting, sort, on_sorted))
		return;
	sort(&listing->sorting);
	tell(listing);
}

/* ---- problems ---- */

static void on_judged(uv_handle_t *handle)
{
	put_in_order(handle->data);
}

/* Keeps the zone if something is wrong with it. */
static void judge(struct listing *listing, struct listed *listed)
{
	const struct agent_zone *zone = agent_find_zone(listing->agent, listed->apex);
	struct publisher_zone served;
	struct problem problem;

	if (!zone || !problem_find(zone, report_zone_state(zone, &served), &problem))
		return;
	listing->zones[listing->kept++] =
	    (struct listed){.apex = listed->apex, .level = problem.level, .culprit = strdup(problem.culprit)};
}

static void on_idle(uv_idle_t *idle)
{
	struct listing *listing = idle->data;
	uint64_t begun = uv_hrtime();

	while (listing->at < listing->count && !listing->agent->stopping) {
		judge(listing, &listing->zones[listing->at++]);
		if (listing->at % LOOK_AT_CLOCK == 0 && uv_hrtime() - begun > SLICE_NS)
			return;
	}
	listing->count = listing->kept;
	listing->at = 0;
	uv_close((uv_handle_t *)idle, on_judged);
}

/* ---- the names ---- */

static int copy_names(struct listing *listing, struct agent_zone *const *zones, size_t count)
{
	size_t size = 0;
	uint8_t *name;

	for (size_t i = 0; i < count; i++)
		size += knot_dname_size(zones[i]->config->apex);
	name = listing->names = malloc(size + 1);
	listing->zones = calloc(count + 1, sizeof(*listing->zones));
	if (!listing->names || !listing->zones)
		return -1;
	for (size_t i = 0; i < count; i++) {
		size = knot_dname_size(zones[i]->config->apex);
		listing->zones[i].apex = memcpy(name, zones[i]->config->apex, size);
		name += size;
	}
	listing->count = count;
	return 0;
}

void listing_begin(struct agent *agent, struct control_request *request, const struct listing_zones *zones,
                   listing_tell *how_to_tell, unsigned how)
{
	struct listing *listing = calloc(1, sizeof(*listing));

	if (!listing || copy_names(listing, zones->list, zones->count)) {
		control_fail(request, "out of memory");
		if (listing)
			free_listing(listing);
		return;
	}
	listing->agent = agent;
	listing->request = request;
	listing->tell = how_to_tell;
	listing->how = how;
	listing->problems = zones->problems;
	if (zones->problems) {
		uv_idle_init(agent->loop, &listing->idle);
		listing->idle.data = listing;
		uv_idle_start(&listing->idle, on_idle);
	} else if (zones->named) {
		tell(listing);
	} else {
		put_in_order(listing);
	}
}

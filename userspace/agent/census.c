/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Counting all zones by their state, for `status`: some each time the loop comes round, so that a hundred thousand of
 * them keep neither NOTIFY nor other verbs waiting. Zones that come meanwhile are not counted.
 */
#include "agent/report.h"

#include <stdlib.h>

#define SLICE_NS 2000000 /* of the loop's time */
#define LOOK_AT_CLOCK 32 /* zones */

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

/* Takes it from the list, and frees it. */
static void end_census(struct census *census)
{
	struct census **link = &census->agent->censuses;

	while (*link != census)
		link = &(*link)->next;
	*link = census->next;
	uv_close((uv_handle_t *)&census->idle, on_closed);
}

static void count_zone(struct census *census, const struct agent_zone *zone)
{
	struct publisher_zone served = {};
	enum report_state state = report_zone_state(zone, &served);
	struct problem problem;

	census->total++;
	census->states[state]++;
	census->problems += problem_find(zone, state, &problem);
	census->names += served.names;
	census->cold += served.cold;
}

static void on_idle(uv_idle_t *idle)
{
	struct census *census = idle->data;
	uint64_t begun = uv_hrtime();

	while (census->at) {
		const struct agent_zone *zone = census->at;

		census->at = zone->next;
		count_zone(census, zone);
		if (census->total % LOOK_AT_CLOCK == 0 && uv_hrtime() - begun > SLICE_NS)
			return;
	}
	control_reply(census->request, report_status(census->agent, census));
	end_census(census);
}

void census_begin(struct agent *agent, struct control_request *request)
{
	struct census *census = calloc(1, sizeof(*census));

	if (!census) {
		control_fail(request, "out of memory");
		return;
	}
	census->agent = agent;
	census->request = request;
	census->at = agent->zones;
	census->next = agent->censuses;
	agent->censuses = census;
	uv_idle_init(agent->loop, &census->idle);
	census->idle.data = census;
	uv_idle_start(&census->idle, on_idle);
}

void census_skip(struct agent *agent, const struct agent_zone *zone)
{
	for (struct census *census = agent->censuses; census; census = census->next)
		if (census->at == zone)
			census->at = zone->next;
}

void census_close(struct agent *agent)
{
	while (agent->censuses) {
		control_fail(agent->censuses->request, "the agent is ending");
		end_census(agent->censuses);
	}
}

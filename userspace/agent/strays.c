/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What an adopted image, or the store, has of zones that nothing wants any more, is removed, once it is known what the
 * catalogs want. It is looked for on a worker thread, since there may be a hundred thousand zones to be asked about.
 */
#include "agent/agent.h"
#include "agent/catalogs.h"

#include <stdlib.h>
#include <string.h>

struct stray {
	struct stray *next;
	uint8_t apex[];
};

struct sweep {
	uv_work_t work;
	struct agent *agent;
	struct stray *in_image, *in_store;
};

static void note(struct agent *agent, struct stray **list, const uint8_t *apex)
{
	size_t size = knot_dname_size(apex);
	struct stray *stray = agent_find_zone(agent, apex) ? NULL : malloc(sizeof(*stray) + size);

	if (!stray)
		return;
	memcpy(stray->apex, apex, size);
	stray->next = *list;
	*list = stray;
}

static void found_in_image(const uint8_t *apex, const struct publisher_zone *zone, void *context)
{
	struct sweep *sweep = context;

	note(sweep->agent, &sweep->in_image, apex);
}

static void found_in_store(void *context, const uint8_t *apex, const struct store_zone *zone)
{
	struct sweep *sweep = context;

	note(sweep->agent, &sweep->in_store, apex);
}

static void look(uv_work_t *work)
{
	struct sweep *sweep = work->data;
	struct agent *agent = sweep->agent;

	urcu_memb_register_thread();
	publisher_each_zone(agent->publisher, found_in_image, sweep);
	if (agent->store)
		store_each_zone(agent->store, found_in_store, sweep);
	urcu_memb_unregister_thread();
}

/* Those that did not come meanwhile. */
static void remove_all(struct agent *agent, struct stray *stray, void (*remove)(struct agent *, const uint8_t *apex))
{
	while (stray) {
		struct stray *next = stray->next;

		if (!agent->stopping && !agent_find_zone(agent, stray->apex))
			remove(agent, stray->apex);
		free(stray);
		stray = next;
	}
}

static void remove_from_image(struct agent *agent, const uint8_t *apex)
{
	publisher_remove_zone(agent->publisher, apex);
}

static void on_looked(uv_work_t *work, int status)
{
	struct sweep *sweep = work->data;

	sweep->agent->sweeping = false;
	remove_all(sweep->agent, sweep->in_image, remove_from_image);
	remove_all(sweep->agent, sweep->in_store, agent_forget_stored);
	free(sweep);
}

void agent_remove_strays(struct agent *agent)
{
	struct sweep *sweep;

	if (agent->swept || catalogs_unread(agent) || catalogs_at_work(agent))
		return;
	sweep = calloc(1, sizeof(*sweep));
	if (!sweep)
		return;
	sweep->agent = agent;
	sweep->work.data = sweep;
	if (uv_queue_work(agent->loop, &sweep->work, look, on_looked))
		free(sweep);
	else
		agent->swept = agent->sweeping = true;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The schedule: one timer for all zones and addresses, and the turns of the addresses. */
#include "transfer_internal.h"

#include <search.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* So many are looked at before the loop goes on with other things. */
#define BATCH 1000

struct schedule {
	uv_timer_t timer;
	struct exchange_pool *pool;
	const struct schedule_hooks *hooks;
	struct due_heap heap;
	void *servers; /* tsearch(3), by address */
	size_t server_count;
	struct server *turn, **turn_end; /* addresses that have something queued, as far as is known */
	unsigned under_way;
	struct slot *buried; /* memory to be freed */
	bool soon;           /* there is something to be done at the loop's next turn */
	bool running, closing;
};

uint64_t schedule_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 + transfer_limits.clock_ahead;
}

uv_loop_t *schedule_loop(const struct schedule *schedule)
{
	return schedule->timer.loop;
}

struct exchange_pool *schedule_pool(const struct schedule *schedule)
{
	return schedule->pool;
}

/* ---- the timer ---- */

static void run(uv_timer_t *timer);

/* libuv's clock stands still while the machine sleeps, so it is never trusted for long. */
static uint64_t next_delay(const struct schedule *schedule)
{
	const struct due *first = due_first(&schedule->heap);
	uint64_t now = schedule_clock();

	if (schedule->soon || schedule->buried != NULL)
		return 0;
	if (first == NULL)
		return UINT64_MAX;
	if (first->at >= now + transfer_limits.clock_check)
		return transfer_limits.clock_check;
	return first->at > now ? first->at - now : 0;
}

static void start_timer(struct schedule *schedule, uint64_t delay)
{
	if (schedule->closing)
		return;
	/* The loop's time is that of its turn's beginning. */
	if (delay > 0)
		uv_update_time(schedule->timer.loop);
	if (delay == UINT64_MAX)
		uv_timer_stop(&schedule->timer);
	else
		uv_timer_start(&schedule->timer, run, delay, 0);
}

/* Has the timer fire when something is to be done; `soon`: there is. */
static void rearm(struct schedule *schedule, bool soon)
{
	schedule->soon |= soon;
	if (!schedule->running)
		start_timer(schedule, next_delay(schedule));
}

static void bury(struct schedule *schedule)
{
	while (schedule->buried != NULL) {
		struct slot *memory = schedule->buried;

		schedule->buried = memory->next;
		free(memory);
	}
}

/* ---- addresses ---- */

_Static_assert(offsetof(struct server, address) == 0, "an address stands for its server in searches");

static int compare_servers(const void *one, const void *other)
{
	return server_compare_addresses(one, other);
}

static struct server *find_server(const struct schedule *schedule, const struct sockaddr_storage *address)
{
	/* Of the key nothing but the address, which comes first, is looked at. */
	void *found = tfind(address, &schedule->servers, compare_servers);

	return found != NULL ? *(struct server **)found : NULL;
}

static struct server *need_server(struct schedule *schedule, const struct sockaddr_storage *address)
{
	struct server *server = find_server(schedule, address);

	if (server != NULL)
		return server;
	server = server_new(address);
	if (server == NULL)
		return NULL;
	if (due_join(&schedule->heap) != 0) {
		free(server);
		return NULL;
	}
	if (tsearch(server, &schedule->servers, compare_servers) == NULL) {
		due_leave(&schedule->heap, &server->due);
		free(server);
		return NULL;
	}
	schedule->server_count++;
	return server;
}

static void take_turn(struct schedule *schedule, struct server *server)
{
	if (server->in_turn)
		return;
	server->in_turn = true;
	server->next = NULL;
	*schedule->turn_end = server;
	schedule->turn_end = &server->next;
}

static struct server *next_in_turn(struct schedule *schedule)
{
	struct server *server = schedule->turn;

	if (server == NULL)
		return NULL;
	schedule->turn = server->next;
	if (schedule->turn == NULL)
		schedule->turn_end = &schedule->turn;
	server->in_turn = false;
	return server;
}

/* The next time at which something is to be done about an address of which nothing is in turn. */
static void plan_server(struct schedule *schedule, struct server *server)
{
	uint64_t at = server_waits(server) ? server_allowed_at(server) : UINT64_MAX;

	if (server->down && server->parked.first != NULL && !server->probing)
		at = server->probe_at;
	if (at == UINT64_MAX && !server_waits(server))
		at = schedule_clock() + transfer_limits.forget;
	if (at == UINT64_MAX)
		due_take(&schedule->heap, &server->due);
	else
		due_put(&schedule->heap, &server->due, at);
}

static void forget(struct schedule *schedule, struct server *server)
{
	tdelete(server, &schedule->servers, compare_servers);
	due_leave(&schedule->heap, &server->due);
	schedule->server_count--;
	free(server);
}

/* ---- states of a slot ---- */

static void unlink_slot(struct schedule *schedule, struct slot *slot)
{
	struct server *server = slot->server;

	if (slot->probe)
		server->probing = false;
	slot->probe = false;
	if (slot->state == SLOT_QUEUED)
		slots_remove(&server->queues[slot->class], slot);
	else if (slot->state == SLOT_PARKED)
		slots_remove(&server->parked, slot);
	if (slot->state != SLOT_IDLE && slot->state != SLOT_UNDER_WAY && !server->in_turn)
		plan_server(schedule, server);
	slot->state = SLOT_IDLE;
	slot->server = NULL;
}

struct waking {
	struct schedule *schedule;
	struct server *up;
};

static void wake_parked(const void *node, VISIT visit, void *closure)
{
	struct server *server = *(struct server *const *)node;
	struct waking *waking = closure;
	struct slot *next;

	if (visit != postorder && visit != leaf)
		return;
	for (struct slot *slot = server->parked.first; slot != NULL; slot = next) {
		next = slot->next;
		if (server != waking->up && !waking->schedule->hooks->concerns(slot, &waking->up->address))
			continue;
		slots_remove(&server->parked, slot);
		slot->state = SLOT_IDLE;
		slot->server = NULL;
		due_put(&waking->schedule->heap, &slot->due, schedule_clock());
	}
}

/* All that are parked, and might be had from this address, which answers again. */
static void wake_all(struct schedule *schedule, struct server *server)
{
	struct waking waking = {schedule, server};

	twalk_r(schedule->servers, wake_parked, &waking);
}

/* All that wait there have to look elsewhere. */
static void refuse_all(struct schedule *schedule, struct server *server)
{
	for (size_t i = 0; i < SLOT_CLASSES; i++) {
		struct slot *slot = server->queues[i].first;

		/* They are told from the loop, one after another. */
		for (; slot != NULL; slot = slot->next)
			due_put(&schedule->heap, &slot->due, 0);
	}
}

static void judged(struct schedule *schedule, struct server *server, enum schedule_verdict verdict, bool probe)
{
	char text[CONFIG_ADDRESS_TEXT];

	if (!server_judge(server, verdict, probe, schedule_clock()))
		return;
	config_address_text(&server->address, text);
	if (server->down) {
		log_warning("primary at %s does not answer; its zones wait, one asks every %llu to %llu seconds", text,
		            (unsigned long long)transfer_limits.probe_min / 1000,
		            (unsigned long long)transfer_limits.probe_max / 1000);
		refuse_all(schedule, server);
	} else {
		log_notice("primary at %s answers again", text);
		wake_all(schedule, server);
	}
}

/* ---- the loop's turn ---- */

static void slot_due(struct schedule *schedule, struct slot *slot)
{
	if (slot->state == SLOT_QUEUED) {
		unlink_slot(schedule, slot);
		schedule->hooks->refused(slot);
		return;
	}
	if (slot->state == SLOT_PARKED)
		unlink_slot(schedule, slot);
	schedule->hooks->due(slot);
}

static void server_due(struct schedule *schedule, struct server *server)
{
	struct slot *slot = server->parked.first;

	if (server_waits(server)) {
		take_turn(schedule, server);
	} else if (server->down && slot != NULL) {
		unlink_slot(schedule, slot);
		schedule->hooks->due(slot);
		/* If it asks elsewhere instead, the next one may do it. */
		if (!server->probing && server->probe_at <= schedule_clock())
			server->probe_at = schedule_clock() + transfer_limits.probe_min;
		plan_server(schedule, server);
	} else if (!server->in_turn && server_forgettable(server, schedule_clock())) {
		forget(schedule, server);
	} else {
		plan_server(schedule, server);
	}
}

static bool run_due(struct schedule *schedule)
{
	uint64_t now = schedule_clock();

	for (unsigned i = 0; i < BATCH; i++) {
		struct due *due = due_first(&schedule->heap);

		if (due == NULL || due->at > now)
			return false;
		due_take(&schedule->heap, due);
		if (due->kind == DUE_SERVER)
			server_due(schedule, (void *)((char *)due - offsetof(struct server, due)));
		else
			slot_due(schedule, (void *)((char *)due - offsetof(struct slot, due)));
	}
	return true;
}

static void grant(struct schedule *schedule, struct server *server, struct slot *slot)
{
	/* The address may have gone down, and come up again, before all that wait there were told. */
	due_take(&schedule->heap, &slot->due);
	slot->state = SLOT_UNDER_WAY;
	server->under_way++;
	schedule->under_way++;
	schedule->hooks->granted(slot);
}

/* One slot of each address in turn, until none may begin. */
static void run_turns(struct schedule *schedule)
{
	unsigned idle = 0, most = transfer_limits.attempts;

	for (unsigned i = 0; i < BATCH && schedule->turn != NULL && idle <= schedule->server_count; i++) {
		struct server *server = next_in_turn(schedule);
		bool full = schedule->under_way >= most;
		struct slot *slot = NULL;

		if (schedule->under_way < most + most / 4)
			slot = server_next(server, full);
		if (slot != NULL) {
			idle = 0;
			take_turn(schedule, server);
			grant(schedule, server, slot);
		} else if (full && server_waits(server)) {
			idle++;
			take_turn(schedule, server);
		} else {
			plan_server(schedule, server);
		}
	}
}

static void run(uv_timer_t *timer)
{
	struct schedule *schedule = timer->data;
	uint64_t delay;

	bury(schedule);
	schedule->running = true;
	schedule->soon = run_due(schedule);
	run_turns(schedule);
	schedule->running = false;
	schedule->soon |= schedule->turn != NULL && schedule->under_way < transfer_limits.attempts;
	delay = next_delay(schedule);
	/* A timer of no delay would run again before the loop has looked at anything else. */
	start_timer(schedule, delay > 0 ? delay : 1);
}

/* ---- life ---- */

struct schedule *schedule_open(uv_loop_t *loop, const struct schedule_hooks *hooks)
{
	struct schedule *schedule = calloc(1, sizeof(*schedule));

	if (schedule == NULL)
		return NULL;
	schedule->pool = pool_open(loop);
	if (schedule->pool == NULL) {
		free(schedule);
		return NULL;
	}
	schedule->hooks = hooks;
	schedule->turn_end = &schedule->turn;
	uv_timer_init(loop, &schedule->timer);
	schedule->timer.data = schedule;
	return schedule;
}

static void free_server(void *node)
{
	free(node);
}

static void on_closed(uv_handle_t *handle)
{
	struct schedule *schedule = handle->data;

	bury(schedule);
	tdestroy(schedule->servers, free_server);
	free(schedule->heap.entries);
	free(schedule);
}

void schedule_free(struct schedule *schedule)
{
	if (schedule == NULL)
		return;
	schedule->closing = true;
	pool_close(schedule->pool);
	uv_close((uv_handle_t *)&schedule->timer, on_closed);
}

int schedule_join(struct schedule *schedule, struct slot *slot)
{
	*slot = (struct slot){.due = {.kind = DUE_SLOT}};
	return due_join(&schedule->heap);
}

void schedule_leave(struct schedule *schedule, struct slot *slot)
{
	if (slot->state == SLOT_UNDER_WAY)
		schedule_release(schedule, slot, VERDICT_NONE);
	unlink_slot(schedule, slot);
	due_leave(&schedule->heap, &slot->due);
	slot->next = schedule->buried;
	schedule->buried = slot;
	rearm(schedule, true);
}

/* ---- what slots ask for ---- */

void schedule_at(struct schedule *schedule, struct slot *slot, uint64_t at)
{
	due_put(&schedule->heap, &slot->due, at);
	rearm(schedule, false);
}

int schedule_ask(struct schedule *schedule, struct slot *slot, const struct sockaddr_storage *address, unsigned rate,
                 enum slot_class class)
{
	struct server *server = need_server(schedule, address);

	if (server == NULL)
		return -1;
	if (server->down && (server->probing || (!slot_is_urgent(class) && server->probe_at > schedule_clock())))
		return 0;
	unlink_slot(schedule, slot);
	due_take(&schedule->heap, &slot->due);
	slot->probe = server->down;
	server->probing |= server->down;
	server->rate = rate;
	slot->server = server;
	slot->state = SLOT_QUEUED;
	slot->class = class;
	slots_append(&server->queues[class], slot);
	take_turn(schedule, server);
	rearm(schedule, true);
	return 1;
}

void schedule_withdraw(struct schedule *schedule, struct slot *slot)
{
	due_take(&schedule->heap, &slot->due);
	unlink_slot(schedule, slot);
}

void schedule_urge(struct schedule *schedule, struct slot *slot, enum slot_class class)
{
	struct server *server = slot->server;

	slots_remove(&server->queues[slot->class], slot);
	slot->class = class;
	slots_append(&server->queues[class], slot);
	take_turn(schedule, server);
	rearm(schedule, true);
}

void schedule_heard(struct schedule *schedule, struct slot *slot)
{
	struct server *server = slot->server;

	judged(schedule, server, VERDICT_ANSWERED, slot->probe);
	server->probing &= !slot->probe;
	slot->probe = false;
	/* The window has grown. */
	if (server_waits(server))
		take_turn(schedule, server);
	rearm(schedule, schedule->turn != NULL);
}

void schedule_release(struct schedule *schedule, struct slot *slot, enum schedule_verdict verdict)
{
	struct server *server = slot->server;
	bool probe = slot->probe;

	server->under_way--;
	schedule->under_way--;
	if (probe)
		server->probing = false;
	slot->probe = false;
	slot->state = SLOT_IDLE;
	slot->server = NULL;
	judged(schedule, server, verdict, probe);
	if (server_waits(server))
		take_turn(schedule, server);
	else if (!server->in_turn)
		plan_server(schedule, server);
	rearm(schedule, schedule->turn != NULL);
}

void schedule_park(struct schedule *schedule, struct slot *slot, const struct sockaddr_storage *address)
{
	struct server *server = find_server(schedule, address);

	if (server == NULL || !server->down || slot->state != SLOT_IDLE)
		return;
	slot->server = server;
	slot->state = SLOT_PARKED;
	slots_append(&server->parked, slot);
	if (!server->in_turn)
		plan_server(schedule, server);
	rearm(schedule, false);
}

/* ---- what is known of an address ---- */

bool schedule_no_edns(const struct slot *slot)
{
	return slot->server->no_edns_until > schedule_clock();
}

void schedule_set_no_edns(struct slot *slot)
{
	slot->server->no_edns_until = schedule_clock() + transfer_limits.edns_pause;
}

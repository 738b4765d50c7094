/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Between what the primaries sent and the publisher: every version is verified first, on a worker thread.
 *
 *   a whole version                                     -> worker -> publisher_publish
 *   changes, where all of the zone has to be looked at  -> publisher_make -> worker -> publisher_publish
 *   other changes                                       -> publisher_change
 *
 * A verification outlives its zone: it then has no way back, and only cleans up after itself.
 */
#include "agent/agent.h"
#include "common/log.h"
#include "compile/compile.h"
#include "engine/engine.h"
#include "verify/verify.h"

#include <stdlib.h>
#include <string.h>
#include <urcu/urcu-memb.h>

/* What takes minutes may not keep others from libuv's worker threads, of which there are four. */
#define SLOW_AT_ONCE 2

struct verification {
	struct verification *next;      /* of the same zone */
	struct verification *next_slow; /* that wait for a worker */
	struct agent_zone *zone;        /* NULL: gone */
	uv_loop_t *loop;
	uv_work_t work;
	struct config_verify rules; /* with a copy of the command: another configuration may take the place of this */
	char *name, *state_directory;
	struct zone_version *version; /* NULL: it has not been made yet, or is not to be */
	struct verify_size before, size;
	uint64_t expires_at;
	atomic_bool cancelled;
	bool forced;
	char why[VERIFY_WHY]; /* "": nothing is against it */
	char *kept;
	/* One of the two is called. */
	void (*done)(void *context, const char *error);
	void (*changed)(void *context, bool fits, const char *error);
	void *context;
};

/* Those that are slow, of all zones. Main thread. */
static unsigned slow_running;
static struct verification *slow_first, **slow_last = &slow_first;

/* ---- life ---- */

static void verification_free(struct verification *v)
{
	for (struct verification **at = v->zone ? &v->zone->verifying : NULL; at && *at; at = &(*at)->next) {
		if (*at != v)
			continue;
		*at = v->next;
		break;
	}
	zone_unref(v->version);
	free(v->rules.command);
	free(v->name);
	free(v->state_directory);
	free(v->kept);
	free(v);
}

void agent_forget_verifications(struct agent_zone *zone)
{
	for (struct verification *v = zone->verifying; v; v = v->next) {
		v->zone = NULL;
		v->cancelled = true;
	}
	zone->verifying = NULL;
}

static struct verification *verification_new(struct agent_zone *zone, uint32_t expire)
{
	struct verification *v = calloc(1, sizeof(*v));
	const struct config_verify *rules = &zone->config->verify;
	struct publisher_zone served = {};

	if (!v)
		return NULL;
	publisher_zone(zone->agent->publisher, zone->config->apex, &served);
	v->loop = zone->agent->loop;
	v->rules = *rules;
	v->rules.command = rules->command ? strdup(rules->command) : NULL;
	v->name = strdup(zone->config->name);
	v->state_directory = strdup(zone->agent->config->state_directory);
	v->before.names = served.loaded ? served.names : 0;
	v->before.records = served.loaded ? zone->records : 0;
	v->expires_at = agent_expiry(expire);
	v->forced = follower_unverified(zone->follower);
	v->zone = zone;
	v->next = zone->verifying;
	zone->verifying = v;
	if (v->name && v->state_directory && (v->rules.command || !rules->command))
		return v;
	verification_free(v);
	return NULL;
}

/* The end: the follower is told, and the memory goes. */
static void finish(struct verification *v, bool fits, const char *error)
{
	/* Everything that it still needs is its own: the callback may end the zone. */
	if (v->changed)
		v->changed(v->context, fits, error);
	else
		v->done(v->context, error);
	verification_free(v);
}

/* ---- serving ---- */

static void on_published(void *context, const char *error)
{
	struct verification *v = context;

	if (!error && v->zone)
		v->zone->records = v->size.records;
	finish(v, true, error);
}

static void on_changed(void *context, bool fits, const char *error)
{
	struct verification *v = context;

	if (fits && !error && v->zone)
		v->zone->records = v->size.records;
	finish(v, fits, error);
}

static void serve(struct verification *v)
{
	if (!v->zone)
		finish(v, true, "the zone is no longer followed");
	else
		publisher_publish(v->zone->agent->publisher, v->version, v->expires_at, on_published, v);
}

/* ---- verifying ---- */

static void start(struct verification *v);

/* The compiler knows what is wrong with the zone's denial of existence, and says so. */
static int check_denial(struct verification *v)
{
	struct plan *plan = v->rules.dnssec ? plan_new(v->version) : NULL;

	if (plan)
		snprintf(v->why, sizeof(v->why), "%s", plan->fault);
	plan_free(plan);
	return v->why[0] ? -1 : 0;
}

static void work_on(uv_work_t *work)
{
	struct verification *v = work->data;
	const struct verify_request request = {.rules = &v->rules,
	                                       .version = v->version,
	                                       .zone = v->name,
	                                       .state_directory = v->state_directory,
	                                       .before = v->before,
	                                       .cancelled = &v->cancelled};
	char problem[VERIFY_WHY];

	if (v->cancelled || (!verify_version(&request, &v->size, v->why) && !check_denial(v)) || v->cancelled ||
	    v->forced)
		return;
	v->kept = verify_keep(v->state_directory, v->version, v->why, problem);
	if (!v->kept)
		log_warning("zone %s: the version that was refused cannot be kept to be looked at: %s", v->name,
		            problem);
}

static void judge(struct verification *v)
{
	if (v->why[0] && v->forced) {
		log_warning("zone %s: serial %u is served as it was asked for by force, although %s", v->name,
		            v->version->serial, v->why);
		v->why[0] = '\0';
	}
	if (v->zone)
		follower_verified(v->zone->follower, v->why[0] ? v->why : NULL, v->kept);
	if (v->why[0])
		finish(v, true, v->why);
	else
		serve(v);
}

static void worked(uv_work_t *work, int status)
{
	struct verification *v = work->data, *next;

	if (verify_is_slow(&v->rules)) {
		slow_running--;
		next = slow_first;
		if (next) {
			slow_first = next->next_slow;
			if (!slow_first)
				slow_last = &slow_first;
			start(next);
		}
	}
	judge(v);
}

static void start(struct verification *v)
{
	bool slow = verify_is_slow(&v->rules);

	v->work.data = v;
	if (slow && slow_running == SLOW_AT_ONCE) {
		v->next_slow = NULL;
		*slow_last = v;
		slow_last = &v->next_slow;
		return;
	}
	slow_running += slow;
	uv_queue_work(v->loop, &v->work, work_on, worked); /* fails without a function alone */
}

/* ---- the hooks ---- */

void agent_publish(void *context, struct zone_version *version, uint32_t expire,
                   void (*done)(void *context, const char *error), void *done_context)
{
	struct agent_zone *zone = context;
	struct verification *v = verification_new(zone, expire);

	if (!v) {
		done(done_context, "out of memory");
		return;
	}
	zone_ref(version);
	v->version = version;
	v->done = done;
	v->context = done_context;
	follower_verifying(zone->follower);
	start(v);
}

static void on_made(void *context, struct zone_version *version, const char *error)
{
	struct verification *v = context;

	v->version = version;
	if (version)
		start(v);
	else
		finish(v, false, error);
}

/* How many records changes take away and add, what signing makes of a zone not counted; and whether there is a ZONEMD
 * among them. */
struct look {
	uint64_t removed, added;
	bool zonemd;
};

static int look_at(void *context, const struct zone_change *change)
{
	struct look *look = context;

	look->zonemd |= change->type == KNOT_RRTYPE_ZONEMD;
	if (change->type == KNOT_RRTYPE_SOA || verify_is_of_signing(change->type))
		return 0;
	if (change->adds)
		look->added++;
	else
		look->removed++;
	return 0;
}

/* Whether the version served has a ZONEMD, which every change has to keep in step; true where that is not known. */
static bool has_zonemd(struct agent_zone *zone)
{
	struct pg_work *work = calloc(1, sizeof(*work));
	uint8_t query[KNOT_WIRE_HEADER_SIZE + KNOT_DNAME_MAXLEN + 4] = {[5] = 1}, reply[4096];
	size_t name = knot_dname_size(zone->config->apex), length = KNOT_WIRE_HEADER_SIZE + name + 4;
	size_t reply_length = 0;
	enum pg_exit exit;

	if (!work)
		return true;
	memcpy(query + KNOT_WIRE_HEADER_SIZE, zone->config->apex, name);
	knot_wire_write_u16(query + KNOT_WIRE_HEADER_SIZE + name, KNOT_RRTYPE_ZONEMD);
	knot_wire_write_u16(query + KNOT_WIRE_HEADER_SIZE + name + 2, KNOT_CLASS_IN);
	urcu_memb_read_lock();
	exit = engine_answer(image_view_get(publisher_image(zone->agent->publisher)), work, true, agent_boottime(),
	                     query, length, reply, sizeof(reply), &reply_length);
	urcu_memb_read_unlock();
	free(work);
	return exit != PG_EXIT_ANSWERED || knot_wire_get_ancount(reply) || knot_wire_get_tc(reply);
}

/* Whether changes can be judged only by what they lead to. */
static bool needs_whole(struct agent_zone *zone, const struct verification *v, const struct look *look)
{
	const struct config_verify *rules = &v->rules;

	if (verify_is_slow(rules) || rules->zonemd == CONFIG_ZONEMD_REQUIRED ||
	    (rules->zonemd == CONFIG_ZONEMD_IF_PRESENT && (look->zonemd || has_zonemd(zone))))
		return true;
	/* There are as many records as names at least: less than that cannot be too many of either. */
	return rules->max_shrink && v->before.names >= VERIFY_SHRINK_NAMES &&
	       look->removed * 100 > v->before.names * rules->max_shrink;
}

void agent_change(void *context, struct zone_changes *changes, uint32_t expire,
                  void (*done)(void *context, bool fits, const char *error), void *done_context)
{
	struct agent_zone *zone = context;
	struct look look = {};
	struct verification *v = verification_new(zone, expire);
	struct publisher *publisher = zone->agent->publisher;

	if (!v) {
		zone_changes_free(changes);
		done(done_context, true, "out of memory");
		return;
	}
	v->changed = done;
	v->context = done_context;
	zone_changes_each(changes, look_at, &look);
	if (needs_whole(zone, v, &look)) {
		follower_verifying(zone->follower);
		publisher_make(publisher, changes, on_made, v);
		return;
	}
	if (zone->records && zone->records + look.added >= look.removed)
		v->size.records = zone->records + look.added - look.removed;
	publisher_change(publisher, changes, v->expires_at, on_changed, v);
}

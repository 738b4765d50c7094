/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Catalogs that are followed: from what they list to zones that are served. Main thread. */
#ifndef PEREGRINE_AGENT_CATALOGS_H
#define PEREGRINE_AGENT_CATALOGS_H

#include "agent/agent.h"
#include "catalog/catalog.h"

/* ---- agent/members.c: the configuration of one member ---- */

struct member_primaries;

/* Its record stands in one piece of memory with its name. */
struct member {
	struct member *next; /* of those to be freed */
	struct config_zone config;
	struct member_primaries *primaries; /* that the catalog names, or NULL */
	uint8_t *id;                        /* as in struct catalog_member */
};

/* Makes it by the templates of the present configuration. NULL: memory is short. */
struct member *member_new(struct agent_catalog *catalog, const struct catalog_member *listed);
void member_free(struct member *member);
/* Has it freed by zone_set_bury. NULL is allowed in both. */
void member_bury(struct agent *agent, struct member *member);
void members_free_buried(struct agent *agent);
/* Forgets what was kept for the next member of a catalog: always when that, or the configuration, is replaced. */
void member_forget_primaries(struct agent_catalog *catalog);

/* ---- agent/catalogs.c ---- */

struct incoming;

struct agent_catalog {
	struct agent_catalog *next;
	struct agent *agent;
	const struct config_catalog *config;
	struct catalog *catalog; /* the last one that was no broken one; NULL: none has come yet */
	bool clashed;            /* some that it lists are not its members, since there are other zones of their name */
	char error[256];         /* why the version that came last is broken; "" */
	struct member_primaries *made; /* those last made, mostly wanted again */
	struct incoming *parked;       /* the version that is taken when this pass is over, or NULL */
	/* The pass over the zones that a version touches, or that it lists. */
	bool at_work; /* it is under way */
	uv_idle_t idle;
	struct catalog *before;  /* they may have their names from it */
	const uint8_t **touched; /* NULL: all that it lists, and no version has come */
	size_t touched_count, at, added;
	size_t different; /* of those touched, in front: what the catalog says differently; for the others, `quiet` */
	unsigned said;    /* clashes */
	bool quiet;
	bool short_of_memory;
};

/* Lets the catalogs be what the configuration has; before their zones are added. */
int catalogs_configure(struct agent *agent, const struct config *config);
/* Reads the versions that were served last, at start. */
void catalogs_read_last(struct agent *agent);
/* Has room made for all zones that the configuration has and the catalogs list. */
void catalogs_expect_zones(struct agent *agent);
/* Begins to let every zone listed be what it has to be, from the loop, some of them each time it comes round. */
void catalogs_begin(struct agent *agent);
/* Whether there are zones still to be looked at. */
bool catalogs_at_work(const struct agent *agent);
void catalogs_close(struct agent *agent);
/* Whether a catalog has not been read yet, so that it is not known what it lists. */
bool catalogs_unread(const struct agent *agent);

/* Lets the members be what that version of the catalog says, which it takes; when no pass is under way. */
void catalogs_take(struct agent_catalog *catalog, struct catalog *next);

/* ---- agent/catalog_version.c ---- */

/* Goes on with versions that had to wait, if they need not any more. */
void catalogs_take_parked(struct agent *agent);
void catalog_drop_parked(struct agent_catalog *catalog);

/* The hooks of a catalog's follower, as in struct follower_hooks: a broken version goes no further. */
void catalog_publish(void *context, struct zone_version *version, uint32_t expire,
                     void (*done)(void *context, const char *error), void *done_context);
void catalog_change(void *context, struct zone_changes *changes, uint32_t expire,
                    void (*done)(void *context, bool fits, const char *error), void *done_context);

/* The last version that was served of a catalog, be it in the image or in the store, or NULL. At start alone. */
struct zone_version *catalogs_last_version(struct agent *agent, const uint8_t *apex);

/* ---- agent/produce.c: catalogs that are made here ---- */

/* Lets them be what the configuration has; before their zones are added. -1: memory is short. */
int produce_configure(struct agent *agent, const struct config *config);
/* Zones have changed: the catalogs are made anew, soon. */
void produce_later(struct agent *agent);
void produce_close(struct agent *agent);
json_t *produce_report(struct agent *agent, const uint8_t *apex);

/* agent/catalog_report.c */
void agent_catalog_status(void *context, struct control_request *request, const json_t *arguments,
                          const json_t *options);

#endif

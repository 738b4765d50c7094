/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The agent: wires the rooms together and lives until it is told to stop. All of it runs on the main thread's loop. */
#ifndef PEREGRINE_AGENT_H
#define PEREGRINE_AGENT_H

#include "agent/netlink.h"
#include "config/config.h"
#include "control/control.h"
#include "fallback/fallback.h"
#include "publish/fastpath.h"
#include "publish/publish.h"
#include "store/store.h"
#include "transfer/transfer.h"
#include "transfer_out/notify_out.h"
#include "transfer_out/outgoing.h"

#include <time.h>
#include <urcu/urcu-memb.h>

#include <urcu/rculfhash.h>

struct agent;

/* Why there is a zone. */
enum agent_role {
	AGENT_CONFIGURED,
	AGENT_CATALOG,  /* configured, and lists members; not for clients */
	AGENT_MEMBER,   /* of a catalog */
	AGENT_PRODUCED, /* a catalog that is made here: nobody is followed; not for clients */
};

/*
 * A zone and who follows it. All stand in a table, in which any thread may look for their configuration (RCU), and in a
 * list for the main thread, which alone changes both. One that was taken out is freed when no reader has it any more.
 */
struct agent_zone {
	struct cds_lfht_node node;
	struct agent_zone *next, *previous;
	struct agent *agent;
	enum agent_role role;
	const struct config_zone *config; /* RCU */
	struct member *member;            /* whose `config` it is, of a member; else NULL */
	struct agent_catalog *catalog;    /* that it is, or is a member of; else NULL */
	unsigned generation;              /* of the configuration that wants it */
	struct follower *follower;        /* NULL: of a zone that is made here */
	struct notify_zone *notify;       /* its secondaries; NULL: it has none */
	struct verification *verifying;   /* agent/verify.c: versions that are being verified */
	uint64_t records;                 /* of the version served, without what signing adds; 0: not known */
	bool to_be_stored;                /* agent/store.c: it is going to be given to the store whole */
	bool expired;                     /* it was said */
	bool settled;                     /* since start, it was served or an attempt has failed */
};

struct agent {
	uv_loop_t *loop;
	struct config *config; /* RCU: the fallback's threads look up NOTIFY senders in it */
	struct cds_lfht *zone_table;
	size_t zone_buckets;
	struct agent_zone *zones; /* all of them, in no order */
	size_t zone_count;
	struct agent_zone *removed;     /* not freed yet */
	struct member *removed_members; /* likewise */
	struct agent_zone *watched;     /* where the next look for expired zones begins; NULL: at the first */
	struct census *censuses;        /* that are being taken */
	size_t unsettled;               /* zones */
	unsigned generation;            /* of the configuration */
	bool swept;                     /* zones that nothing wants were removed, or are looked for */
	bool sweeping;                  /* they are looked for */
	struct applying *applying;      /* agent/apply.c: a configuration that is being put in force; NULL: none */
	struct reload *reload;          /* agent/reload.c: under way; NULL: none */
	struct agent_catalog *catalogs; /* as the configuration's, in a list */
	struct produced *produced;      /* likewise, those made here */
	uv_timer_t produce_timer;
	struct schedule *schedule; /* of all followers */
	struct publisher *publisher;
	struct store *store;       /* NULL: there is none, nothing is kept */
	struct keeper *keeper;     /* agent/store.c */
	size_t loading;            /* zones on their way from the store to the publisher */
	struct fastpath *fastpath; /* NULL under mode off, and until the program is loaded */
	uv_work_t program;         /* loading it, while the zones are read */
	struct fastpath *program_loaded;
	bool program_loading;
	struct fallback *fallback;
	struct control *control;
	struct netlink *netlink;
	struct notify_queue *notify;
	struct outgoing outgoing;      /* what the fallback's threads need to serve secondaries of ours */
	struct out_source source;      /* for it: the store */
	struct notify_out *notify_out; /* to these */
	uv_signal_t signals[3];
	uv_timer_t expiry_timer;
	uv_timer_t attach_timer; /* bounds the wait for zones before another schema's program is replaced */
	bool attach_waits;
	char **detached; /* interfaces that `peregrine detach` took the program off: left alone until `attach` or
	                    `reload` */
	size_t detached_count;
	bool open;       /* the addresses may be taken */
	bool started_up; /* the interfaces, too */
	bool ending;     /* a signal said so */
	bool stopping;
	bool detach_at_end;
	time_t started;
};

/* Runs until SIGTERM, SIGINT. Takes over the configuration. Returns the exit status. */
int agent_run(struct config *config, bool detach_at_end);

/* agent/zone_set.c: the table and the list. */
int zone_set_open(struct agent *agent);
void zone_set_close(struct agent *agent);
void zone_set_add(struct agent *agent, struct agent_zone *zone);
/* Takes a zone out; zone_set_bury frees it, and all others, after waiting for the readers. */
void zone_set_remove(struct agent *agent, struct agent_zone *zone);
/* Gives a zone another configuration; that of `member` (or NULL), which the zone owns then. */
void zone_set_config(struct agent_zone *zone, const struct config_zone *config, struct member *member);
void zone_set_bury(struct agent *agent);
/* The zone of that name, or NULL. Main thread. */
struct agent_zone *agent_find_zone(struct agent *agent, const uint8_t *apex);
/* Its configuration, for any thread, within an RCU read-side section. */
const struct config_zone *agent_find_config(struct agent *agent, const uint8_t *apex);
/* All zones in no order, to be freed; NULL when memory is short. */
struct agent_zone **agent_list_zones(const struct agent *agent, size_t *count);

/* agent/apply.c: makes the set of zones what a configuration says, which the agent has from the first call on; what
 * catalogs list may not be at work. Returns 0, or -1 when memory is short: nothing has changed then. */
int agent_apply_begin(struct agent *agent, struct config *config);
struct applied {
	int result; /* -1: not all of it could be done; the log says what */
	size_t added, removed;
};
/* Goes on with it until that time (uv_hrtime). Returns whether it is done. */
bool agent_apply_some(struct agent *agent, uint64_t until, struct applied *applied);
void agent_apply_close(struct agent *agent);

static inline bool agent_is_catalog(enum agent_role role)
{
	return role == AGENT_CATALOG || role == AGENT_PRODUCED;
}

/* agent/zones.c */
void agent_drop_zones(struct agent *agent);
/* One zone more; `member` as in zone_set_config. Returns NULL when memory is short, and keeps nothing then. */
struct agent_zone *agent_add_zone(struct agent *agent, enum agent_role role, const struct config_zone *config,
                                  struct member *member);
/* Ends following a zone, and serving it. */
void agent_remove_zone(struct agent_zone *zone);
/* Another configuration for a zone that stays. */
void agent_change_zone(struct agent_zone *zone, const struct config_zone *config, struct member *member);
/* agent/strays.c: removes what an adopted image and the store have and nothing wants, once it is known what the
 * catalogs want. */
void agent_remove_strays(struct agent *agent);
/* Says once of each zone that it has expired, and that it is served again. */
void agent_watch_expiry(uv_timer_t *timer);
/* For those who do not wait. */
void agent_ignore_done(void *context, const char *error);

/* agent/store.c: what is served is kept, and served from what was kept. The first two are hooks of the follower around
 * the two above. */
void agent_keep_version(void *context, struct zone_version *version, uint32_t expire,
                        void (*done)(void *context, const char *error), void *done_context);
void agent_keep_changes(void *context, struct zone_changes *changes, uint32_t expire,
                        void (*done)(void *context, bool fits, const char *error), void *done_context);
void agent_keep_clocks(struct agent_zone *zone);
/* Makes the served version of a zone and the stored one the later of the two, and fills in what following begins with.
 * Where the stored one is the later, it is on its way to being served, and counts as loaded. */
void agent_begin_from_store(struct agent_zone *zone, struct follower_start *start);
/* Waits until what is on its way is served. Whether there was anything. */
bool agent_wait_for_store(struct agent *agent);
void agent_forget_stored(struct agent *agent, const uint8_t *apex);
/* To be opened before there are threads. A store that cannot be opened is done without, and reported. */
void agent_open_store(struct agent *agent);
void agent_close_store(struct agent *agent);
json_t *report_store(struct agent *agent);

/* agent/verify.c: what comes from the primaries, on its way to the publisher. Hooks of the follower. */
void agent_publish(void *context, struct zone_version *version, uint32_t expire,
                   void (*done)(void *context, const char *error), void *done_context);
void agent_change(void *context, struct zone_changes *changes, uint32_t expire,
                  void (*done)(void *context, bool fits, const char *error), void *done_context);
/* The zone goes away: nothing that is being verified for it is served any more. */
void agent_forget_verifications(struct agent_zone *zone);
uint64_t agent_expiry(uint32_t seconds);

/* agent/host.c: service addresses and interfaces as the host has them now. */
void agent_follow_host(struct agent *agent);
/* Keeps the program off an interface, or no longer; `name` NULL: off none. */
void agent_keep_off(struct agent *agent, const char *name, bool off);
/* Puts off attaching where a program of another schema answers, until the zones are there. */
void agent_attach_at_start(struct agent *agent);
void agent_zone_settled(struct agent *agent);

/* agent/policy.c: identity, cookies and limits, as the configuration has them, are put in force. Returns 0, or -1 after
 * logging. */
int agent_apply_policy(struct agent *agent);
/* What of it the program has in a map of its own, and agent_apply_policy could not give it before it was loaded. */
int agent_apply_exempt(struct agent *agent);

/* agent/notify.c: NOTIFY messages on their way from the fallback's threads to the followers. */
struct notify_queue *notify_open(struct agent *agent);
void notify_close(struct notify_queue *queue);
size_t notify_receive(void *context, const struct sockaddr_storage *from, const uint8_t *wire, size_t length,
                      uint8_t *reply);

/* agent/outgoing.c: secondaries of ours. To be opened before the fallback server; what is transferred is read from the
 * store (NULL: there is none), which has to outlive that. Returns 0, or -1 after logging. */
struct store;
int agent_outgoing_open(struct agent *agent, struct store *store);
/* A version can be transferred from now on: the zone's secondaries are told. */
void agent_zone_stored(struct agent *agent, const uint8_t *apex, uint32_t serial);
json_t *report_notify(const struct agent_zone *zone);

/* agent/reload.c: the configuration is read again, and put in force. Replies to the request; NULL: a signal asked. */
void agent_reload(struct agent *agent, struct control_request *request);
/* The agent has started: what was asked for before is done. */
void agent_reload_started(struct agent *agent);
void agent_reload_close(struct agent *agent);

/* agent/verbs.c, agent/report.c: what the CLI may ask. */
extern const struct control_verb agent_verbs[];
json_t *report_stats(struct agent *agent);
json_t *report_zone_stats(struct agent_zone *zone); /* agent/zone_stats.c; NULL: nothing is counted */
/* agent/explain.c */
void agent_explain(void *context, struct control_request *request, const json_t *arguments, const json_t *options);

/* Nanoseconds of CLOCK_BOOTTIME, the clock that expiry goes by: it counts while the machine sleeps. */
static inline uint64_t agent_boottime(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

#endif

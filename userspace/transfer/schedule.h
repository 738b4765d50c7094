/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who may ask a primary when. Between "a zone is due" and "its primary is asked" stands the primary's address: so many
 * at a time, SOA polls at a rate, NOTIFYs first, the addresses in turn, and an address that does not answer is asked by
 * one zone at intervals instead of by all.
 *
 *   IDLE -- schedule_at --> (its time comes: hooks.due) -- schedule_ask --> QUEUED -- hooks.granted --> UNDER WAY
 *     ^                                                                       |                           |
 *     |<------------------- hooks.refused: the address went down -------------+       schedule_release -->|
 *     +-- schedule_park: due too when the address answers again
 *
 * Knows neither zones nor messages. No hook is called from within a call of these functions, but all from the loop.
 */
#ifndef PEREGRINE_SCHEDULE_H
#define PEREGRINE_SCHEDULE_H

#include "transfer/due.h"

#include <sys/socket.h>
#include <uv.h>

struct exchange_pool;
struct schedule;
struct server;

/* What goes before what, at one address. */
enum slot_class {
	SLOT_NOTIFIED, /* a NOTIFY came: at a rate of its own */
	SLOT_ASKED,    /* an operator waits: by the same rate, but behind them, since it may be for all zones */
	SLOT_POLL,     /* a serial is asked for by the clock: at the primary's rate */
	SLOT_LOAD,     /* nothing is served yet: as many as go at a time, since no poll is made */
};
#define SLOT_CLASSES 4

static inline bool slot_is_urgent(enum slot_class class)
{
	return class == SLOT_NOTIFIED || class == SLOT_ASKED;
}

enum slot_state { SLOT_IDLE, SLOT_QUEUED, SLOT_UNDER_WAY, SLOT_PARKED };

/* One zone's place in the schedule. */
struct slot {
	struct due due;        /* while IDLE or PARKED, if it has a time */
	struct server *server; /* but in IDLE */
	struct slot *next, *previous;
	uint8_t state;
	uint8_t class;
	bool probe; /* UNDER_WAY: on behalf of all that are parked there */
};

struct slots {
	struct slot *first, *last;
};

struct schedule_hooks {
	void (*due)(struct slot *slot);
	void (*granted)(struct slot *slot);
	void (*refused)(struct slot *slot);
	/* Whether the slot's zone might be had from this address too. */
	bool (*concerns)(const struct slot *slot, const struct sockaddr_storage *address);
};

/* What asking an address came to, for its health. */
enum schedule_verdict {
	VERDICT_ANSWERED,
	VERDICT_SILENT, /* not a message, over UDP or TCP */
	VERDICT_NONE,   /* it ended for reasons of our own */
};

/* Milliseconds since boot, suspended time included (CLOCK_BOOTTIME). */
uint64_t schedule_clock(void);

/* NULL when memory is short. `hooks` must outlive it. */
struct schedule *schedule_open(uv_loop_t *loop, const struct schedule_hooks *hooks);
uv_loop_t *schedule_loop(const struct schedule *schedule);
/* The connections to those addresses. */
struct exchange_pool *schedule_pool(const struct schedule *schedule);

/* Returns 0, or -1 when memory is short. */
int schedule_join(struct schedule *schedule, struct slot *slot);
/* From any state. What the slot is at the beginning of is freed from the loop, when no caller up the stack can still
 * look at it. */
void schedule_leave(struct schedule *schedule, struct slot *slot);

/* hooks.due is called at that time (0: before all others); replaces the time there was. For IDLE and PARKED. */
void schedule_at(struct schedule *schedule, struct slot *slot, uint64_t at);

/* Queues an idle or parked slot at an address, with the rate of SOA queries that the primary is given (a second).
 * Returns 1; 0 when the address is down; -1 when memory is short: nothing has changed then. */
int schedule_ask(struct schedule *schedule, struct slot *slot, const struct sockaddr_storage *address, unsigned rate,
                 enum slot_class class);
/* Gives up waiting: QUEUED becomes IDLE. */
void schedule_withdraw(struct schedule *schedule, struct slot *slot);
/* A queued slot goes with those of a class that comes before its own. */
void schedule_urge(struct schedule *schedule, struct slot *slot, enum slot_class class);
/* The address asked has answered: what was in doubt is not any more. UNDER_WAY. */
void schedule_heard(struct schedule *schedule, struct slot *slot);
/* UNDER_WAY becomes IDLE. */
void schedule_release(struct schedule *schedule, struct slot *slot, enum schedule_verdict verdict);
/* An idle slot, all of whose addresses are down, is due too when this one, or another that concerns it, answers. */
void schedule_park(struct schedule *schedule, struct slot *slot, const struct sockaddr_storage *address);

/* Whether the address asked is to be asked without EDNS for now. UNDER_WAY. */
bool schedule_no_edns(const struct slot *slot);
void schedule_set_no_edns(struct slot *slot);

/* ---- server.c: one address, as schedule.c keeps it ---- */

enum { DUE_SLOT, DUE_SERVER };

struct server {
	struct sockaddr_storage address;
	struct due due; /* when a poll is allowed again, a probe is to be made, or it may be forgotten */
	struct slots queues[SLOT_CLASSES];
	struct slots parked;
	struct server *next; /* that have something queued, in turn */
	bool in_turn;
	bool down, probing;
	unsigned rate;
	unsigned under_way;
	unsigned window; /* how many polls and loads at a time: grows with answers, shrinks with silence */
	unsigned silent; /* in a row */
	uint64_t probe_at, probe_pause;
	uint64_t poll_due, notified_due; /* microseconds: when the next would be due at an even rate */
	uint64_t no_edns_until;
};

struct server *server_new(const struct sockaddr_storage *address);
/* Orders addresses with their ports. */
int server_compare_addresses(const struct sockaddr_storage *one, const struct sockaddr_storage *other);
void slots_append(struct slots *slots, struct slot *slot);
void slots_remove(struct slots *slots, struct slot *slot);
bool server_waits(const struct server *server);
/* Takes the next slot that may be asked now off its queue, or NULL. `full`: only what goes beyond the bound. */
struct slot *server_next(struct server *server, bool full);
/* When server_next may have one that it has not now, for the rate alone; UINT64_MAX: when another has ended. */
uint64_t server_allowed_at(const struct server *server);
/* Notes a verdict. Returns whether it has gone down or come up. */
bool server_judge(struct server *server, enum schedule_verdict verdict, bool probe, uint64_t now);
/* Whether nothing worth remembering would be lost with it. */
bool server_forgettable(const struct server *server, uint64_t now);

#endif

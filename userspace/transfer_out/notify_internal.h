/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An *entry* is one zone and one address; a *target* is an address with its socket, which all entries of that address
 * share, in a queue or, up to a bound, under way.
 *
 *   idle ──changed──▶ queued ──its turn──▶ under way ──answer, or tries used up──▶ idle
 *                                              └── changed meanwhile: begun again when it ends, or after a pause
 */
#ifndef PEREGRINE_NOTIFY_INTERNAL_H
#define PEREGRINE_NOTIFY_INTERNAL_H

#include "transfer_out/notify_message.h"
#include "transfer_out/notify_out.h"

struct entry {
	struct notify_zone *zone;
	struct target *target;
	char *secondary;
	struct entry *next; /* in the target's queue, or among those under way */
	bool queued, under_way, again;
	struct notify_message message;
	uint64_t sent, due; /* loop time: of the last message, and the end of the wait for its answer */
	struct notify_status status;
};

struct notify_zone {
	struct notify_out *out;
	knot_dname_t *apex;
	char *name;
	struct entry *entries;
	size_t count;
	uint32_t serial;
	uint8_t soa[NOTIFY_SOA_ROOM];
	size_t soa_length;
};

struct target {
	struct notify_out *out;
	struct target *next;
	struct sockaddr_storage address, source;
	knot_tsig_key_t key; /* a copy, its name in lower case */
	bool signs;
	size_t users;     /* entries */
	uv_udp_t *socket; /* NULL: not open */
	struct entry *queue, **queue_last;
	struct entry *under_way;
	unsigned count; /* of these */
	uint64_t logged;
	bool has_logged;
};

struct notify_out {
	uv_loop_t *loop;
	uv_timer_t timer;
	struct target *targets;
	unsigned under_way;
	uint8_t input[4096];
};

/* ---- notify_target.c ---- */

/* The address with this way of sending there, one user more; NULL: no memory. */
struct target *target_get(struct notify_out *out, const struct config_secondary *secondary, size_t index);
/* One user less: without any it is gone. */
void target_put(struct target *target);
/* Begins with as many as may be under way. */
void target_go_on(struct target *target);

/* Puts it at the end of its target's queue. */
void entry_enqueue(struct entry *entry);
/* Takes it from wherever it stands. */
void entry_withdraw(struct entry *entry);

/* The timer of `out`, while anything is under way. */
void notify_tick(uv_timer_t *timer);

#endif

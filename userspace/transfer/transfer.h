/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Following primaries. A follower keeps one zone as fresh as its primaries: SOA polls by the zone's clocks, NOTIFY,
 * IXFR and AXFR over TCP, TSIG on all. Everything runs on the main thread's loop. What was received goes out through
 * `publish`; what happened can be read by follower_status. All followers share a schedule, which sees to it that no
 * primary is pressed: so many at a time, polls at a rate, NOTIFYs first, one that does not answer left alone.
 */
#ifndef PEREGRINE_TRANSFER_H
#define PEREGRINE_TRANSFER_H

#include "config/config.h"
#include "transfer/history.h"
#include "zone/change.h"
#include "zone/zone.h"

#include <stdbool.h>
#include <uv.h>

struct follower;
struct schedule;

/* NULL when memory is short. */
struct schedule *schedule_new(uv_loop_t *loop);
/* When no follower is left. The loop has to run once more. NULL is allowed. */
void schedule_free(struct schedule *schedule);

struct follower_hooks {
	/* A checked version is to be served for `expire` seconds. The callee takes its own reference and calls `done`
	 * exactly once, on the main thread, now or later (error NULL: it is served), even when the follower has been
	 * freed meanwhile. */
	void (*publish)(void *context, struct zone_version *version, uint32_t expire,
	                void (*done)(void *done_context, const char *error), void *done_context);
	/* What leads from the version served to a newer one, good for `expire`, is to be applied and served. Takes the
	 * changes; calls `done` like publish. `fits` false: they do not lead on from what is served, or to no good
	 * zone, and all of the zone has to be transferred. */
	void (*change)(void *context, struct zone_changes *changes, uint32_t expire,
	               void (*done)(void *done_context, bool fits, const char *error), void *done_context);
	/* The primary confirmed the serial that is served: the expiry clock starts afresh. `expire` in seconds. */
	void (*confirmed)(void *context, uint32_t expire);
	void *context;
};

/* What is served when following begins, and what is known of its clocks from before. */
struct follower_start {
	bool loaded;
	uint32_t serial;
	uint64_t expires_at; /* CLOCK_BOOTTIME, nanoseconds; 0: not known */
	/* What follower_status said once. */
	int64_t next_refresh;            /* unix seconds; 0: not known, the first poll is made at once */
	uint32_t refresh, retry, expire; /* the SOA's; all 0: not known */
};

/* Begins to follow; the first round begins as `start` says, and the schedule allows. The configuration must outlive the
 * follower or its replacement by follower_reconfigure. Returns NULL when memory is short. */
struct follower *follower_new(struct schedule *schedule, const struct config_zone *zone,
                              const struct follower_start *start, const struct follower_hooks *hooks);
void follower_reconfigure(struct follower *follower, const struct config_zone *zone);
/* Ends attempts under way; callbacks of refreshes waited for are called with an error. The memory goes when libuv has
 * closed its handles. */
void follower_free(struct follower *follower);

enum follower_force {
	FOLLOWER_AS_DUE = 0, /* when its time has come */
	FOLLOWER_IF_NEWER = 1,
	FOLLOWER_FULL = 2,       /* whatever the serial, by AXFR */
	FOLLOWER_UNVERIFIED = 4, /* with one of these two: it is served even if verification is against it */
};

/* Asks the primaries, now but with AS_DUE. `done` is called once, on the main thread, when what they have is served, or
 * there is nothing newer (error NULL), or every primary failed (one line). */
void follower_refresh(struct follower *follower, enum follower_force force,
                      void (*done)(void *context, const char *error), void *context);

/* A NOTIFY for the zone (RFC 1996) that came from `from`. Returns whether it was taken: not when that is not an address
 * of one of the zone's primaries, or TSIG does not fit. Unsigned is taken even from a primary with a key, since all it
 * can do is to have a primary asked sooner. `wire` is the whole message; the reply, also one that refuses, is written
 * to `reply` (room 512) and *reply_length set; 0: no reply. */
bool follower_notify(struct follower *follower, const struct sockaddr_storage *from, const uint8_t *wire, size_t length,
                     uint8_t *reply, size_t *reply_length);

/* The first half of the same, for any thread: who sent it, whether it is believed, and the reply. Looks at the
 * configuration alone; `zone` is NULL when none of that name is configured. */
bool transfer_notify_check(const struct config_zone *zone, const struct sockaddr_storage *from, const uint8_t *wire,
                           size_t length, uint8_t *reply, size_t *reply_length);

enum follower_kind {
	FOLLOWER_AXFR,
	FOLLOWER_IXFR,
	FOLLOWER_IXFR_FULL, /* asked for what changed, the primary sent all */
};
/* As people read it. */
const char *follower_kind_text(enum follower_kind kind);

/* What the hooks may ask and tell about the version in their hands. */

/* Whether it is to be served whatever verification says. */
bool follower_unverified(const struct follower *follower);
/* It is being verified; then, that it was. `refused` (NULL: it was not) is a line, and `kept` the path where the
 * version is to be seen, or NULL. A primary's serial that was refused is transferred again when it moves, when somebody
 * asks for it (FOLLOWER_FULL or FOLLOWER_UNVERIFIED), or after a pause. To be called before `done`. */
void follower_verifying(struct follower *follower);
void follower_verified(struct follower *follower, const char *refused, const char *kept);

struct follower_status {
	bool has_primary_serial;
	uint32_t primary_serial; /* last one seen */
	uint32_t served_serial;
	bool loaded;
	bool busy;             /* an attempt is under way */
	bool failing;          /* the last round failed with every primary */
	int64_t last_transfer; /* unix seconds, 0: none since start; how it came: */
	enum follower_kind last_kind;
	uint64_t last_records, last_octets;
	int64_t last_check;              /* unix seconds of the last good answer of a primary */
	int64_t next_refresh;            /* unix seconds */
	uint32_t refresh, retry, expire; /* the SOA's, unbounded; all 0: not known */
	char last_error[256];            /* "" when the last round went well */
	char primary[96];                /* name and address of the primary last used */
	uint64_t behind_ms;              /* for how long another serial is served than the primaries have; 0: it is not,
	                                    or not yet for longer than that may take */
};
void follower_get_status(const struct follower *follower, struct follower_status *out);
/* Whether its status would have `failing` or `behind_ms` set; cheap, to be asked of all zones. Of NULL: false. */
bool follower_is_ill(const struct follower *follower);
/* What became of each address; belongs to the follower, and is good until the loop turns. */
/* Of no follower (NULL), and so of a zone that is made here, there is nothing to be told. */
const struct history *follower_history(const struct follower *follower);

#endif

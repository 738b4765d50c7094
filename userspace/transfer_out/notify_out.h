/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * NOTIFY to secondaries of ours (RFC 1996), over UDP, on the main thread's loop. Each zone tells each address of its
 * secondaries of its newest version until that answers, five times at the most. However many zones change at once, only
 * so many messages are under way to one address; the others wait for their turn, and an address that does not answer
 * holds up no other.
 */
#ifndef PEREGRINE_NOTIFY_OUT_H
#define PEREGRINE_NOTIFY_OUT_H

#include "config/config.h"

#include <uv.h>

/* Bounds; one set for the process, at its defaults but in tests. */
struct notify_limits {
	unsigned at_once;   /* under way to one address */
	unsigned tries;     /* of one NOTIFY */
	uint64_t wait;      /* milliseconds for the answer to the first try, doubled with each that follows */
	uint64_t pause;     /* milliseconds at least between two messages of one zone that were not answered */
	uint64_t log_pause; /* milliseconds between two lines about one address */
};
extern struct notify_limits notify_limits;

struct notify_out;
/* Returns NULL when memory is short. */
struct notify_out *notify_out_new(uv_loop_t *loop);
/* All zones must be gone. The memory goes when the loop has closed the handles. NULL is allowed. */
void notify_out_free(struct notify_out *out);

/* A zone's secondaries, and what each knows. */
struct notify_zone;
/* Returns NULL when memory is short. The configuration is looked at here alone. */
struct notify_zone *notify_zone_new(struct notify_out *out, const struct config_zone *config);
/* Takes up another configuration of the same zone; who stays is still told what was to be told. Returns 0, or -1 when
 * memory is short, and the old secondaries stay. */
int notify_zone_reconfigure(struct notify_zone *zone, const struct config_zone *config);
/* Nothing more is sent. NULL is allowed. */
void notify_zone_free(struct notify_zone *zone);

/* A new version of the zone can be had: every secondary is told. `soa` is its rdata, with names uncompressed, or NULL:
 * then none is sent. */
void notify_zone_changed(struct notify_zone *zone, uint32_t serial, const uint8_t *soa, size_t soa_length);

enum notify_state {
	NOTIFY_NONE,     /* nothing was to be told since start */
	NOTIFY_WAITING,  /* for its turn, or for the answer */
	NOTIFY_ANSWERED, /* it knows */
	NOTIFY_REFUSED,  /* it answered with an error */
	NOTIFY_SILENT,   /* it did not answer */
	NOTIFY_UNSENT,   /* no message could be sent there */
};
struct notify_status {
	const char *secondary; /* stands as long as the zone is not changed */
	char address[CONFIG_ADDRESS_TEXT];
	enum notify_state state;
	uint32_t serial; /* that it was told of last */
	unsigned tries;
	unsigned rcode; /* REFUSED */
	int64_t time;   /* unix seconds, of the last change of state */
};
/* As people read it. */
const char *notify_state_text(enum notify_state state);
size_t notify_zone_count(const struct notify_zone *zone);
void notify_zone_status(const struct notify_zone *zone, size_t index, struct notify_status *status);

#endif

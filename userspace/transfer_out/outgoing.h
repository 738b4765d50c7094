/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the fallback server needs to serve secondaries of ours: who they are, what they may have, and where it is. */
#ifndef PEREGRINE_OUTGOING_H
#define PEREGRINE_OUTGOING_H

#include "config/config.h"
#include "transfer_out/transfer_out.h"

/* Called on any thread, inside an RCU read-side section; what they return stands as long as that. */
struct outgoing {
	/* The zone of that name (wire format, lower case); NULL: none is configured. */
	const struct config_zone *(*zone)(void *context, const uint8_t *apex);
	/* The key of that name (likewise). */
	const knot_tsig_key_t *(*key)(void *context, const uint8_t *name);
	/* What is transferred; NULL: there is no store, and nothing can be. */
	const struct out_source *source;
	void *context;
};

/* Judges who asks for a transfer: `key` is the one that the query was signed with and verified by, or NULL. Returns
 * NOERROR; REFUSED, or NOTAUTH when the zone is not there, after a line in the log, which is not repeated within a
 * minute. `outgoing` NULL: everybody is refused. */
unsigned outgoing_judge(const struct outgoing *outgoing, const uint8_t *apex, uint16_t type,
                        const struct sockaddr_storage *from, const knot_tsig_key_t *key);

/* Logs that a query was refused for its signature, likewise. */
void outgoing_bad_signature(const struct sockaddr_storage *from, const uint8_t *key, unsigned error);

#endif

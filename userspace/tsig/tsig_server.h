/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * TSIG as a server sees it (RFC 8945 section 5): a query is verified once, and every message of its answer signed, each
 * over the MAC of the one before. Nothing here knows the configuration: the caller finds the key.
 */
#ifndef PEREGRINE_TSIG_SERVER_H
#define PEREGRINE_TSIG_SERVER_H

#include "tsig/tsig_key.h"

#include <stddef.h>
#include <stdint.h>

/* The TSIG record of one query, and the chain of digests of its answer. */
struct tsig_server {
	bool on;                    /* verified, or out of time: replies are signed */
	uint16_t error;             /* TSIG error of the query: 0, BADSIG, BADKEY, BADTIME */
	bool begun;                 /* the first message of the answer has been signed */
	knot_tsig_key_t key;        /* a copy: the configuration may be replaced while an answer goes out */
	uint64_t time_signed;       /* of the query */
	uint8_t mac[TSIG_MAC_ROOM]; /* of the query, then of the last signed message */
	size_t mac_length;
};

/*
 * Verifies a query by `key`, whose name it was signed with. `wire` has the whole message, TSIG included, and is
 * changed: without the record, *length is what remains. Returns 0 when it is good; 1 with session->error when it is
 * not; -1 when the message cannot be read or memory is short. The session is to be cleared in any case.
 */
int tsig_server_check(struct tsig_server *session, const knot_tsig_key_t *key, uint8_t *wire, size_t *length);

/* The same for a query that is parsed, and has a TSIG record. */
int tsig_server_verify(struct tsig_server *session, const knot_tsig_key_t *key, knot_pkt_t *query);

/* Signs the next message of the answer, in place: `room` octets are there, of which `length` are used. Does nothing
 * when the query was not signed. Returns 0, or -1 when it does not fit. */
int tsig_server_sign(struct tsig_server *session, uint8_t *wire, size_t *length, size_t room);

/* Octets that a signature takes at most; 0 for a session without a key. */
size_t tsig_server_room(const struct tsig_server *session);

/* Hands the session to another owner; `from` is empty afterwards. */
void tsig_server_move(struct tsig_server *to, struct tsig_server *from);

/* Forgets the key. Zeroed memory is an empty session. */
void tsig_server_clear(struct tsig_server *session);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside this room: one NOTIFY, and the answer to it. */
#ifndef PEREGRINE_NOTIFY_MESSAGE_H
#define PEREGRINE_NOTIFY_MESSAGE_H

#include "tsig/tsig_key.h"

#define NOTIFY_SOA_ROOM (2 * KNOT_DNAME_MAXLEN + 20)
#define NOTIFY_MESSAGE_ROOM 1024U

struct notify_message {
	uint16_t id;
	const knot_dname_t *apex;
	const uint8_t *soa; /* rdata; NULL: none */
	size_t soa_length;
	const knot_tsig_key_t *key; /* its name in lower case; NULL: not signed */
	uint8_t mac[TSIG_MAC_ROOM];
	size_t mac_length;
};

/* Writes the message, and notes its MAC. Returns its length, 0 when it cannot be made. */
size_t notify_message_make(struct notify_message *message, uint8_t wire[NOTIFY_MESSAGE_ROOM]);
/* Whether what came is the answer to the message, signed as that was; it is changed. Sets its RCODE. An error that the
 * other side could not sign for want of a key is believed. */
bool notify_message_answered(const struct notify_message *message, uint8_t *wire, size_t length, unsigned *rcode);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The fallback server: UDP and TCP sockets on the service addresses, answering with the same engine from the same
 * image. It takes what the program passes, and everything when there is no program.
 */
#ifndef PEREGRINE_FALLBACK_H
#define PEREGRINE_FALLBACK_H

#include "config/config.h"
#include "publish/image.h"

#include <sys/socket.h>

struct fallback;
struct outgoing;
struct tls_identity; /* tls/tls_server.h */

struct fallback_options {
	unsigned udp_workers;
	unsigned tcp_clients;
	/* A NOTIFY message (opcode 4). Called on the thread that received it; must be thread-safe. Writes the reply
	 * (room: 512) and returns its length, 0 for none. */
	size_t (*notify)(void *context, const struct sockaddr_storage *from, const uint8_t *wire, size_t length,
	                 uint8_t *reply);
	void *notify_context;
	unsigned transfers_out;          /* at a time; more wait for a while */
	const struct outgoing *outgoing; /* transfer_out/outgoing.h; NULL: no transfers, no keys */
};

/* Counters since start, summed. */
struct fallback_counters {
	uint64_t udp;               /* replies by UDP */
	uint64_t tcp;               /* replies by TCP */
	uint64_t dropped;           /* messages not worth a reply */
	uint64_t limited;           /* replies not sent: over the client's rate limit */
	uint64_t slipped;           /* of the replies by UDP, those that came in the place of others over the limit */
	uint64_t rcodes[PG_RCODES]; /* by RCODE; the last: others */
	uint64_t tcp_clients;       /* open now */
	uint64_t transfers;         /* sent whole */
};

struct fallback *fallback_open(struct image *image, const struct fallback_options *options);
/* Opens sockets on addresses that are new, closes those on addresses that are gone. An address that cannot be bound is
 * logged and tried again at the next call; returns the number that failed. */
int fallback_set_addresses(struct fallback *fallback, const struct sockaddr_storage *addresses, size_t count);
/* The same for addresses where transfers are given over TLS (RFC 9103); with another identity those that are open are
 * opened anew. `identity` is referred to as long as it is used. */
int fallback_set_tls(struct fallback *fallback, struct tls_identity *identity, const struct sockaddr_storage *addresses,
                     size_t count);
/* Replaces the clients whose rate is not limited; the rates are in the image's settings. Returns 0, or -1 after
 * logging.
 */
int fallback_set_exempt(struct fallback *fallback, const struct config_prefix *prefixes, size_t count);
void fallback_get_counters(struct fallback *fallback, struct fallback_counters *out);
void fallback_close(struct fallback *fallback);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One message in, one reply out: the engine first, and what it leaves is judged here as the established servers do. */
#ifndef PEREGRINE_FALLBACK_RESPOND_H
#define PEREGRINE_FALLBACK_RESPOND_H

#include "answer/work.h"
#include "publish/image.h"

#include <stdbool.h>
#include <sys/socket.h>

struct outgoing;     /* transfer_out/outgoing.h */
struct transfer_out; /* transfer_out/transfer_out.h */

struct respond_options {
	const char *version; /* version.server. and version.bind.; NULL: not told */
	/* A NOTIFY message; see fallback.h. Called inside an RCU read-side section. */
	size_t (*notify)(void *context, const struct sockaddr_storage *from, const uint8_t *wire, size_t length,
	                 uint8_t *reply);
	void *notify_context;
	const struct outgoing *outgoing; /* transfers out, and keys; NULL: refused, and none is known */
};

/* Room that a reply buffer must have at least, whatever the client takes: more than header, question, OPT, and the
 * longest other record that we write ourselves. */
#define RESPOND_ROOM_MIN 4096U

/*
 * Answers one message. The caller is inside an RCU read-side section, and has set work->now to CLOCK_BOOTTIME in
 * nanoseconds, once a batch. `room` is what the reply buffer has, at least RESPOND_ROOM_MIN. Returns the octets of the
 * reply, whose extended RCODE then stands in work->rcode; 0: no reply.
 */
size_t respond(const struct image_view *view, struct pg_work *work, const struct respond_options *options, bool tcp,
               const struct sockaddr_storage *from, const uint8_t *query, size_t length, uint8_t *reply, size_t room);

/*
 * The same over TCP, for a caller that can send a transfer: when one was asked and is allowed, 0 is returned with
 * *transfer set, which the caller owns. work->rcode is 0 then, and the zone found is noted as for a reply.
 * `transfers_only`: all but transfers and SOA is refused (RFC 9103 section 7.2).
 */
size_t respond_tcp(const struct image_view *view, struct pg_work *work, const struct respond_options *options,
                   bool transfers_only, const struct sockaddr_storage *from, const uint8_t *query, size_t length,
                   uint8_t *reply, size_t room, struct transfer_out **transfer);

/*
 * Makes of a reply that is over its client's limit what is sent in its place: to a query with a cookie BADCOOKIE and a
 * fresh one, to any other the reply cut short, TC=1. `work` is as respond() left it. Returns the octets, which are few.
 */
size_t respond_slip(const struct image_view *view, struct pg_work *work, const uint8_t *query, size_t length,
                    uint8_t *reply);

#endif

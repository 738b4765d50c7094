/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The answer engine on the host: the same lines as in the program, on the image in this process's memory. */
#ifndef PEREGRINE_ENGINE_H
#define PEREGRINE_ENGINE_H

#include "publish/image.h"

#include "answer/work.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* Notes in the work area who asks, by whose address cookies are made and judged. */
static inline void engine_set_client(struct pg_work *work, const struct sockaddr_storage *from)
{
	if (from->ss_family == AF_INET6) {
		memcpy(work->client, &((const struct sockaddr_in6 *)from)->sin6_addr, 16);
		work->client_octets = 16;
	} else {
		memcpy(work->client, &((const struct sockaddr_in *)from)->sin_addr, 4);
		work->client_octets = 4;
	}
}

/*
 * Answers a query. `view` must stay valid meanwhile (RCU read-side section); `boottime` is CLOCK_BOOTTIME in
 * nanoseconds; `reply` has `room` octets, at least 512, and does not overlap the query. On PG_EXIT_ANSWERED the reply
 * stands there with its length in *reply_length; any other exit leaves `reply` undefined and says why the query is none
 * that the engine answers. Over TCP a reply that does not fit is truncated like over UDP.
 */
enum pg_exit engine_answer(const struct image_view *view, struct pg_work *work, bool tcp, uint64_t boottime,
                           const uint8_t *query, size_t length, uint8_t *reply, size_t room, size_t *reply_length);

/* The same with the program's bounds, beyond which it exits with PG_EXIT_LARGE: what the driver would do. */
enum pg_exit engine_answer_as_program(const struct image_view *view, struct pg_work *work, bool tcp, uint64_t boottime,
                                      const uint8_t *query, size_t length, uint8_t *reply, size_t room,
                                      size_t *reply_length);

/* What a query that the engine did not answer asks for by EDNS. */
struct engine_opt {
	bool dnssec_ok;
	bool nsid;
	const uint8_t *cookie; /* the first option COOKIE; NULL: none */
	size_t cookie_length;
};

/* Writes the OPT record of a reply that the caller makes itself, with work->rcode in it; options as far as there is
 * room. Returns its octets, at least PG_OPT_SIZE, for which there must be room. What was decided of an answer is lost
 * from the work area. */
size_t engine_opt(const struct image_view *view, struct pg_work *work, const struct engine_opt *asked, uint8_t *at,
                  size_t room);

/* Whether a query's cookie is of no possible length (RFC 7873 section 5.2.2), and cookies are looked at. */
bool engine_bad_cookie(const struct image_view *view, const uint8_t *cookie, size_t length);

/* The hash of a key, as the program computes it: `name` in lower case, wire format. That of PG_ROLE_NAME does not
 * depend on the zone. */
uint64_t engine_hash(const struct pg_settings *settings, enum pg_role role, uint32_t zone, const uint8_t *name,
                     size_t length);

/* The same for a key that is a number. */
uint64_t engine_hash_number(const struct pg_settings *settings, enum pg_role role, uint32_t zone, uint64_t number);

/* The first 64 bits of a name's NSEC3 hash by SHA-1 (RFC 5155 section 5). `salt_length` is at most 255. */
uint64_t engine_nsec3_hash(uint16_t iterations, const uint8_t *salt, size_t salt_length, const uint8_t *name,
                           size_t length);

#endif

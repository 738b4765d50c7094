/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The answer engine on the host: the same lines as in the program, on the image in this process's memory. */
#ifndef PEREGRINE_ENGINE_H
#define PEREGRINE_ENGINE_H

#include "publish/image.h"

#include "answer/work.h"

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

/* The hash of a key, as the program computes it: `name` in lower case, wire format. */
uint64_t engine_hash(const struct pg_settings *settings, enum pg_role role, uint32_t zone, const uint8_t *name,
                     size_t length);

/* The same for a key that is a number. */
uint64_t engine_hash_number(const struct pg_settings *settings, enum pg_role role, uint32_t zone, uint64_t number);

/* The first 64 bits of a name's NSEC3 hash by SHA-1 (RFC 5155 section 5). `salt_length` is at most 255. */
uint64_t engine_nsec3_hash(uint16_t iterations, const uint8_t *salt, size_t salt_length, const uint8_t *name,
                           size_t length);

#endif

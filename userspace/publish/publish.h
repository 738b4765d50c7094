/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The publisher: the only writer of maps. It owns the image and the publisher thread. Every call here is made by the
 * main thread; what takes time is done by the publisher thread, one job at a time, and reported back on the main
 * thread's loop.
 */
#ifndef PEREGRINE_PUBLISH_H
#define PEREGRINE_PUBLISH_H

#include "zone/change.h"
#include "zone/zone.h"

#include <stdbool.h>
#include <uv.h>

struct pg_policy; /* settings_shared.h */
struct publisher;
struct image_view; /* publish/image.h: what readers on the host need */

struct publisher_options {
	const char *pin_directory; /* NULL: the image stands in plain memory, without BPF (mode off without privileges,
	                              unit tests) */
	uint64_t memory;           /* octets of the fast path */
	const char *cold;          /* path of the file for what goes beyond; NULL: plain memory */
	uint32_t zones;            /* how many to count by zone; slots, so rather more than there are zones */
	uint16_t port;
	uint16_t udp_size;
};

/* Opens the pinned image and adopts it, or makes a new one. Returns NULL after logging why. */
struct publisher *publisher_open(const struct publisher_options *options, uv_loop_t *loop);

/* Whether what is served was taken up from the pins, rather than made anew. */
bool publisher_adopted(struct publisher *publisher);

/* Waits for running jobs, ends the thread, leaves the pins. */
void publisher_close(struct publisher *publisher);

/* What is served of one zone now. */
struct publisher_zone {
	bool loaded;
	uint32_t serial;
	uint64_t expires_at; /* CLOCK_BOOTTIME, nanoseconds */
	uint32_t names;
	uint32_t cold; /* of them, those that the program does not have */
};

/* The zones found in an adopted image, by apex: calls `found` for each. For any thread. */
void publisher_each_zone(struct publisher *publisher,
                         void (*found)(const uint8_t *apex, const struct publisher_zone *zone, void *context),
                         void *context);

/* There will be about so many zones in all: room is made for them at once. To add them one by one without is slow. */
void publisher_expect_zones(struct publisher *publisher, uint64_t zones);
/* Makes the server responsible for a zone: until its first version is published it is answered with SERVFAIL. No error
 * if it is there already (adopted). Returns 0, or -1 after logging. */
int publisher_add_zone(struct publisher *publisher, const uint8_t *apex);
/* Whether clients are not answered from it: of a private zone they get nothing but the SOA. */
void publisher_set_private(struct publisher *publisher, const uint8_t *apex, bool private);
/* The version that an adopted image has of a zone, with one reference, or NULL. At start alone, before anything was
 * given to be published: the image stands still. */
struct zone_version *publisher_read_adopted(struct publisher *publisher, const uint8_t *apex);
void publisher_remove_zone(struct publisher *publisher, const uint8_t *apex);
bool publisher_zone(struct publisher *publisher, const uint8_t *apex, struct publisher_zone *out);

/* Called on the main thread when a version is served (error NULL) or was refused (error: one line). */
typedef void (*publisher_done)(void *context, const char *error);

/* Publishes a version; takes a reference of its own. `expires_at` as in publisher_zone. */
void publisher_publish(struct publisher *publisher, struct zone_version *version, uint64_t expires_at,
                       publisher_done done, void *context);

/* Makes a version, checked like one that was transferred, on the publisher thread: returns it with one reference, or
 * NULL with the reason in `why`. */
typedef struct zone_version *(*publisher_supply)(void *context, const uint8_t *apex, char *why, size_t why_size);
/* Publishes a version of a zone that is made when its turn comes, so that of many that are waiting none takes memory.
 * `context` is that of both calls. */
void publisher_load(struct publisher *publisher, const uint8_t *apex, uint64_t expires_at, publisher_supply supply,
                    publisher_done done, void *context);

/* Hands over the version served as it is read back from the image, with one reference; NULL with one line when there is
 * none. `made` is called on the main thread. */
typedef void (*publisher_made)(void *context, struct zone_version *version, const char *error);
void publisher_read(struct publisher *publisher, const uint8_t *apex, publisher_made made, void *context);

/* As publisher_done; `fits` false: the changes do not lead on from what is served, or not to a good zone; nothing has
 * changed.
 */
typedef void (*publisher_changed)(void *context, bool fits, const char *error);

/* Applies changes to the version served, and publishes what comes out. Takes them. */
void publisher_change(struct publisher *publisher, struct zone_changes *changes, uint64_t expires_at,
                      publisher_changed done, void *context);

/* Applies changes to the version served, and hands over what comes out, with one reference, without serving it: NULL
 * with one line where they do not lead on. Takes the changes. `made` is called on the main thread. */
void publisher_make(struct publisher *publisher, struct zone_changes *changes, publisher_made made, void *context);

/* Moves the expiry deadline of a loaded zone, at once. */
void publisher_set_expiry(struct publisher *publisher, const uint8_t *apex, uint64_t expires_at);

/* Puts another policy in force, at once. */
void publisher_set_policy(struct publisher *publisher, const struct pg_policy *policy);
/* Lets the program know the real clock; to be called every second or so. */
void publisher_set_clock(struct publisher *publisher);

/* Octets that the image takes of the memory of the fast path. */
uint64_t publisher_memory(struct publisher *publisher);

struct pg_zone_counters; /* zone_counters_shared.h */
/* What was counted of a zone: by the program, and by the fallback. `counted`: whether the program counts it. False: no
 * such zone. */
bool publisher_zone_counters(struct publisher *publisher, const uint8_t *apex, bool *counted,
                             struct pg_zone_counters *program, struct pg_zone_counters *fallback);

/* The engine's view for the fallback server, to be used inside an RCU read-side section: image_view_get in
 * publish/image.h. */
struct image *publisher_image(struct publisher *publisher);

#endif

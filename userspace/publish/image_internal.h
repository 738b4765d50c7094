/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside the publisher's room: the image as its writer sees it. */
#ifndef PEREGRINE_IMAGE_INTERNAL_H
#define PEREGRINE_IMAGE_INTERNAL_H

#include "publish/image.h"
#include "publish/roll.h"
#include "publish/segments.h"
#include "publish/table.h"
#include "publish/targets.h"
#include "publish/zone_counters.h"
#include "zone/zone.h"

#include <pthread.h>

#define IMAGE_ZONES_MAX (1U << 20)

/* What the writer knows of a zone besides its record: derived from the image, never stored. */
struct image_zone {
	struct roll roll; /* every node of the committed version */
	size_t cold;      /* names (PG_ROLE_NAME) that the program does not have */
	/* What the short way to the next version goes by; meaningless unless `known`: not in an image that was adopted,
	 * nor of a zone that is signed badly. */
	bool known;
	struct targets targets;
	uint64_t records;   /* of the zone */
	uint64_t proofs;    /* nodes of NSEC3 records */
	uint64_t addresses; /* nodes of targets */
	uint64_t wildcards; /* nodes of wildcards */
	uint64_t kept;      /* nodes of what is not served */
};
void image_zone_free(struct image_zone *data);

struct image {
	struct image_maps maps;
	char *pins;      /* or NULL: plain memory */
	uint64_t memory; /* octets that the program's part may take */
	struct segments segments;
	struct buckets index;
	uint32_t old_index; /* slots of indexes that were replaced, and may still be read */
	struct buckets zone_index;
	struct table zones;
	struct zone_counters *zone_counters; /* or NULL */
	struct heat *heat;
	struct pg_settings *settings;
	struct image_view *view;      /* RCU */
	struct image_zone *zone_data; /* by slot, IMAGE_ZONES_MAX of them: address space, not memory */
	void *ancestors;              /* tsearch: names above the apexes of zones that are or were served */
	uint32_t zone_cursor;         /* where the search for a free slot begins */
	bool adopted;
	/* Held to change, or, in another thread than the publisher's, to read, zone records and their index. Never held
	 * for long. */
	pthread_mutex_t zones_lock;
};

/* Opens what is pinned, or makes an image anew. Returns NULL after logging. */
struct image *image_open(const char *pin_directory, uint64_t memory, uint16_t port, uint16_t udp_size);
/* The same with a file for what `memory` has no room for; without it that is kept in plain memory. */
struct image *image_open_with(const char *pin_directory, const char *cold, uint64_t memory, uint16_t port,
                              uint16_t udp_size);
void image_close(struct image *image);
/* Has replies counted by zone, for as many zones, or as many as there is `memory` for. Before the program is loaded. */
int image_count_zones(struct image *image, uint32_t zones, uint64_t memory);

/* Marks what the committed versions use and sweeps the rest. -1: this is no image. */
int image_adopt(struct image *image);

/* Slot of the zone with this apex, or -1. Under zones_lock. */
int64_t image_find_zone(const struct image *image, const uint8_t *apex);
/* Makes room for so many zones in all, where there is less: once, since each time waits for the program's readers.
 * Under zones_lock. */
void image_expect_zones(struct image *image, uint64_t zones);
/* Makes a zone record without data. Under zones_lock. Returns the slot or -1. */
int64_t image_add_zone(struct image *image, const uint8_t *apex);
/* Puts a policy in force: the identity, cookies and limits that program and fallback go by. */
void image_set_policy(struct image *image, const struct pg_policy *policy);
/* Tells the program what time it is; to be called again and again, since the real clock may be set. */
void image_set_clock(struct image *image);

/* Marks the zones that have others below. -1: memory is short. */
int image_mark_parents(struct image *image, struct pg_zone *zone);
void image_free_ancestors(struct image *image);
/* Sees to it that suffixes of that many labels are searched. */
void image_add_depth(struct image *image, uint8_t depth);
/* First half of a removal: the zone is no longer found. Under zones_lock. Returns the slot or -1. */
int64_t image_hide_zone(struct image *image, const uint8_t *apex);
/* Second half, by the publisher thread: nodes and slots are given back. */
void image_drop_zones(struct image *image, const uint32_t *slots, size_t count);
static inline void image_drop_zone(struct image *image, uint32_t slot)
{
	image_drop_zones(image, &slot, 1);
}

static inline struct pg_zone *image_zone(const struct image *image, uint32_t slot)
{
	return (struct pg_zone *)image->zones.memory + slot;
}

static inline struct pg_commit image_head(const struct image *image, uint32_t slot)
{
	return image_zone(image, slot)->head;
}

/* The cell that leads to the node with this hash, role and name, or NULL; `name` in lower case. */
struct pg_cell *image_find_name(const struct image *image, uint32_t slot, enum pg_role role, uint64_t hash,
                                const uint8_t *name, uint8_t length);
/* The same of a node with the same key. */
struct pg_cell *image_find_cell(const struct image *image, const struct pg_node *key);
/* The node of a name in a role whose key is the name, or 0. `name` in lower case. */
pg_ref image_find_node(const struct image *image, uint32_t slot, enum pg_role role, const uint8_t *name);
/* The node of a zone with the hash of its key, or 0. */
pg_ref image_find_hash(const struct image *image, uint32_t slot, uint64_t hash);

/* Replaces a table of buckets, which becomes `next` or stays. The program may still read what was there, if that was in
 * another slot, which is to be emptied when its readers are through. Under zones_lock. */
int image_replace_buckets(struct image *image, struct buckets *present, struct buckets *next, uint8_t *order);

/* Makes the index large enough for `more` keys, or `larger` than it is in any case; publisher thread. -1: it cannot be.
 */
int image_grow_index(struct image *image, uint64_t more, bool larger);
/* Lets go of the indexes before, which no reader uses any more; publisher thread. */
void image_drop_old_index(struct image *image);

/* Lets all readers see the tables as they are now. Under zones_lock. */
int image_renew_view(struct image *image);

/* Returns when no reader, in the kernel or in this process, still uses what was visible before the call. */
void image_wait_readers(struct image *image);

/*
 * Publishes a zone version (docs/architecture.md, "Versions"). `visible` is called as soon as it is served; cleaning up
 * goes on after that. Returns 0, or -1 with one line in `why`; then what was served is served on.
 */
int image_commit(struct image *image, struct zone_version *version, uint64_t expires_at, void (*visible)(void *context),
                 void *context, char *why, size_t why_size);

/* The same for changes of the version served, which it takes: by what they concern alone if that can be, else by all
 * records of the zone. */
struct zone_changes;
enum image_change {
	IMAGE_CHANGED,
	IMAGE_REFUSED, /* as by image_commit, with the reason */
	IMAGE_MISFIT,  /* the changes do not lead on from what is served, or not to a good zone; the reason is given */
	IMAGE_TOO_FAR,
};
enum image_change image_change(struct image *image, struct zone_changes *changes, uint64_t expires_at,
                               void (*visible)(void *context), void *context, char *why, size_t why_size);
/* By what they concern alone; the changes stay the caller's. IMAGE_TOO_FAR: nothing was done, since they concern too
 * much. */
enum image_change image_change_part(struct image *image, struct zone_changes *changes, uint64_t expires_at,
                                    void (*visible)(void *context), void *context, char *why, size_t why_size);

/* The records of the version that is committed. Publisher thread. Returns NULL when there is none, or memory is short.
 */
struct zone_builder *image_read_back(const struct image *image, uint32_t slot);

/* Lets segments have what the tables leave of the memory; publisher thread. */
void image_bound_segments(struct image *image);

/* Octets that the image takes of the memory of the fast path. */
uint64_t image_memory_used(const struct image *image);

#endif

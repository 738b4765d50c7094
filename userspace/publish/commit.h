/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Inside the publisher's room: one publication in the making. Both ways to a new version use it: the whole way
 * (whole.c), which compiles a version from all its records, and the short way (change.c), which compiles what a change
 * concerns.
 */
#ifndef PEREGRINE_COMMIT_H
#define PEREGRINE_COMMIT_H

#include "compile/compile.h"
#include "publish/image_internal.h"

struct ref_list {
	pg_ref *refs;
	size_t count, room;
};

struct commit {
	struct image *image;
	struct compile_context context;
	struct compile_buffer buffer;
	bool part;                  /* the roll is edited, not made anew */
	pg_ref *nodes;              /* of the plan's entries */
	pg_ref *before;             /* by entry, the node of the version before, or 0 */
	pg_ref *trees;              /* of the plan's names: their ordered trees */
	struct ref_list written;    /* nodes of this version */
	struct ref_list replaced;   /* nodes that only the version before has */
	struct ref_list chilled;    /* cold ones that replace warm ones */
	struct ref_list absent;     /* nodes that say that a name is gone */
	struct ref_list orders;     /* blocks of ordered trees of this version, ... */
	struct ref_list old_orders; /* ... trees that only the version before has, ... */
	struct ref_list old_blocks; /* ... and single blocks */
	struct pg_commit old;       /* the version before */
	pg_ref head;
	char *why;
	size_t why_size;
};

/* Finds the zone and its version. Returns 0, or -1 with the reason, as all that can fail. */
int commit_begin(struct commit *commit, struct image *image, const uint8_t *apex, char *why, size_t why_size);
int commit_refuse(struct commit *commit, const char *format, ...) __attribute__((format(printf, 2, 3)));
int commit_append(struct commit *commit, struct ref_list *list, pg_ref ref);

/* Makes room for the references of the plan. */
int commit_plan(struct commit *commit, const struct plan *plan);
int commit_head(struct commit *commit);
/* Writes a record that many answers need: a head, a block of a tree. Returns 0 when there is no room. */
pg_ref commit_shared(struct commit *commit, const struct compile_buffer *buffer);
/* Whether two nodes of a name say the same, whatever their versions. */
bool commit_is_same(const struct pg_node *a, const struct pg_node *b);
/* Writes a node, complete but for `previous`, in front of the one that `cell` leads to. Returns where it stands, or 0
 * with the reason. */
pg_ref commit_replace(struct commit *commit, struct pg_node *node, struct pg_cell *cell);
/* Compiles an entry; keeps the node there is, if it says the same. */
int commit_entry(struct commit *commit, size_t number);
/* All entries of the plan that are to be compiled: first what many answers need, while there is room for it. */
int commit_entries(struct commit *commit);
/* Says that a node of the version before is gone. */
int commit_absence(struct commit *commit, pg_ref ref);

/* Shows the version and gives back what it replaced, or takes back what is written of it; and frees what the
 * publication took, but for its plan. */
void commit_end(struct commit *commit, uint64_t expires_at, void (*visible)(void *context), void *context);
void commit_fail(struct commit *commit);

static inline struct pg_node *commit_node(const struct commit *commit, pg_ref ref)
{
	return segments_at(&commit->image->segments, ref);
}

static inline struct image_zone *commit_zone(const struct commit *commit)
{
	return &commit->image->zone_data[commit->context.slot];
}

#endif

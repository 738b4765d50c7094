/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Steady names: those of which a change touches nothing but the data of RRsets that they had before and keep, and on
 * which nothing else in the zone depends. Of these it takes no more than to compile their node anew, whatever the rest
 * of the change concerns (publish/scope.h). What tells is the node: names that are a cut, the apex, a wildcard or above
 * one, that records of are kept apart of, or whose addresses are wanted as additional data, are not steady, nor is any
 * whose types change, or a type that other names go by.
 */
#ifndef PEREGRINE_STEADY_H
#define PEREGRINE_STEADY_H

#include "publish/commit.h"
#include "publish/scope.h"

struct steady_name {
	const uint8_t *name;   /* lower case */
	uint64_t hash;         /* of its key in the role NAME */
	uint32_t first, count; /* of its changes, in order */
	uint8_t length;
	bool is_steady, is_same; /* `is_same`: its node stays as it is */
	size_t start;            /* of the node that it is to have */
};

/* Names one after another that one thread looked at. */
struct steady_piece {
	size_t first, count;
	uint8_t *octets; /* the nodes of those that are steady */
	size_t length, room;
	size_t found; /* those that are steady */
	int64_t more; /* records that they have more than before */
};

#define STEADY_PIECES 4

struct steady {
	struct steady_name *names; /* all that there are changes of, in order */
	size_t count;
	struct steady_piece pieces[STEADY_PIECES]; /* all of the names, in order */
	size_t piece_count;
	size_t found; /* in all pieces */
	int64_t more;
	struct zone_changes *others; /* the changes of all other names */
};

/* Finds and compiles the steady names of a change in a zone of which all is known; `steady` is all zeros. Returns 0, or
 * -1 when memory is short; steady_free has to follow. */
int steady_find(struct steady *steady, const struct commit *commit, struct zone_changes *changes);
void steady_free(struct steady *steady);

/* Whether the other changes have nothing to do with any of them. */
bool steady_stands_apart(const struct steady *steady, const struct scope *scope);

/* Writes their nodes, last names first; behind all others, since these may make room by moving nodes. Returns 0, or -1
 * with the reason. */
int steady_write(struct commit *commit, const struct steady *steady);

#endif

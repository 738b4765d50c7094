/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Inside the publisher's room: nodes compiled by other threads while the publisher places those before. The compiler
 * reads a plan, which nobody changes meanwhile, and each thread writes into buffers of its own.
 */
#ifndef PEREGRINE_AHEAD_H
#define PEREGRINE_AHEAD_H

#include "compile/compile.h"

struct ahead;

/* How many processors the program may run on, at most `most`: of that many threads all can be at work. */
size_t ahead_processors(size_t most);

/* Begins to compile those entries of the context's plan that `wanted` says, from the last to the first; what they refer
 * to must be in the image. Returns NULL where it is not worth a thread, or there is none to be had. All that is given
 * must outlive it. */
struct ahead *ahead_begin(const struct compile_context *context, bool (*wanted)(const struct plan_entry *entry));
/* The next node, the caller's until the call after this one, in `*node`; it may be changed. Returns 1, 0 behind the
 * last, -1 with the reason in `why`. */
int ahead_next(struct ahead *ahead, size_t *number, struct pg_node **node, char *why, size_t why_size);
/* The node that comes so many behind the present one, or NULL where it is not known yet. */
const struct pg_node *ahead_coming(struct ahead *ahead, size_t distance);
void ahead_end(struct ahead *ahead);

#endif

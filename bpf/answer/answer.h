/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The answer engine: parse, find, decide, link. Included once by each side, after its primitives (primitives.h).
 *
 *     pg_parse   what is asked                        the message is only read up to here
 *     pg_settle  which fragments and options are due  (exits other than ANSWERED leave it untouched)
 *     pg_link    the reply, in place of the query
 */
#ifndef PEREGRINE_ANSWER_H
#define PEREGRINE_ANSWER_H

#include "parse.h"
#include "find.h"
#include "decide.h"
#include "link.h"

/* Parses the query. Returns an exit. */
PG_INLINE int pg_parse(PG_CONTEXT *ctx, struct pg_work *w)
{
	int exit = pg_parse_name(ctx, w);

	if (exit)
		return exit;
	if (pg_find_labels(w, w->message_length - PG_HEADER_SIZE))
		return PG_EXIT_MALFORMED;
	return pg_parse_rest(ctx, w);
}

/* Decides on the reply, its OPT record included. Returns an exit. */
PG_INLINE int pg_settle(struct pg_work *w)
{
	int exit = pg_resolve(w);

	if (!exit)
		pg_explain(w);
	return exit;
}

/* Octets of the reply decided on. */
PG_INLINE __u32 pg_reply_length(const struct pg_work *w)
{
	return w->length + w->opt_length;
}

#endif

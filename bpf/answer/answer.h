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

/* Decides on the reply, its OPT record included. Returns an exit. */
PG_INLINE int pg_settle(struct pg_work *w, const struct pg_settings *settings)
{
	int exit;

	w->beyond = 0;
	exit = pg_resolve(w, settings);
	/* What could not be read was taken for something else, or for nothing: no decision. */
	if (w->beyond)
		return PG_EXIT_COLD;
	if (!exit)
		pg_explain(w);
	return exit;
}

/*
 * Puts in the reply's place what a client over the limit may get, which is hardly longer than the query: header and
 * question, TC=1, by which an honest client comes back over TCP; or, to one that knows cookies, BADCOOKIE and a good
 * one.
 */
PG_INLINE void pg_slip(struct pg_work *w)
{
	pg_truncate(w);
	w->edns &= PG_EDNS_COOKIE;
	if (w->opt_length)
		w->opt_length = PG_OPT_SIZE + (w->edns ? PG_COOKIE_SIZE : 0);
	if (!w->edns)
		return;
	w->flags &= ~(PG_WORK_TC | PG_WORK_AA);
	w->rcode = PG_RCODE_BADCOOKIE;
}

/* Octets of the reply decided on. */
PG_INLINE __u32 pg_reply_length(const struct pg_work *w)
{
	return w->length + w->opt_length;
}

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How a query would be answered, without asking it: the engine's own findings, told. */
#ifndef PEREGRINE_EXPLAIN_H
#define PEREGRINE_EXPLAIN_H

#include "publish/image.h"

#include <jansson.h>
#include <libknot/libknot.h>

struct explain_question {
	knot_dname_storage_t name;
	uint16_t type;
	bool tcp;
	bool edns;
	bool dnssec_ok;    /* with edns */
	uint16_t udp_size; /* with edns: as the client would say it */
};

/* Reads the text of a name and a type. Returns NULL, or what is wrong, one line in `why`. */
const char *explain_read(struct explain_question *question, const char *name, const char *type, char *why, size_t room);

/*
 * Runs the engine, with the program's bounds, and for what it leaves the fallback's ways. The caller is inside an RCU
 * read-side section. Returns a new object, or NULL when memory is short.
 */
json_t *explain(const struct image_view *view, uint64_t boottime, const struct explain_question *question);

#endif

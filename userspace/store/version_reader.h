/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside this room: a zone version as the RRsets in which it is stored. */
#ifndef PEREGRINE_STORE_VERSION_READER_H
#define PEREGRINE_STORE_VERSION_READER_H

#include "store/store_internal.h"

struct version_reader {
	const struct zone_version *version;
	uint32_t id;
	size_t name;                         /* the next one */
	size_t rrset;                        /* of the name, the next that is no RRSIG */
	const struct zone_rrset *signatures; /* of the name, or NULL */
	const uint8_t *signature;            /* the next one */
	size_t owner_end;
	struct record_key key; /* of what was given last */
};

void version_reader_begin(struct version_reader *reader, const struct zone_version *version, uint32_t id);
/* The next RRset in the order of its keys. False at the end. */
bool version_reader_next(struct version_reader *reader, struct store_rrset *out);

#endif

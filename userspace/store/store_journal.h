/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Inside this room: the journal's form. A difference is a head and parts, RRset by RRset; the phase in the key puts
 * them into the order of an IXFR, in whichever order they were written.
 *
 *   id, sequence number, 0                           -> struct journal_head
 *   id, sequence number, phase (octet), number (24)  -> struct journal_part, owner, rdata
 */
#ifndef PEREGRINE_STORE_JOURNAL_H
#define PEREGRINE_STORE_JOURNAL_H

#include "store/store_internal.h"

struct journal_head {
	uint32_t from, to;
	uint64_t octets; /* of all its keys and values */
};

struct journal_part {
	uint32_t ttl, count;
	uint16_t type, covered;
	uint8_t owner_length, reserved[3];
};

#define JOURNAL_DIFFERENCE 8 /* octets of a key that are the same in a difference */
struct journal_key {
	uint8_t octets[12];
};
void journal_key(struct journal_key *key, uint32_t id, uint32_t difference, uint32_t part);
/* Reads a part; `out` points into the value. Returns 0, or MDB_CORRUPTED. */
int journal_read(const MDB_val *key, const MDB_val *value, enum store_part *part, struct store_rrset *out);

#endif

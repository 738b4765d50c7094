/* SPDX-License-Identifier: GPL-3.0-or-later */
/* RRs as they stand in a message (RFC 1035 section 4.1.3), with names compressed or not. */
#ifndef PEREGRINE_RR_READER_H
#define PEREGRINE_RR_READER_H

#include "zone/rdata.h"

#include <libknot/dname.h>

struct rr {
	const uint8_t *owner; /* lower case; the reader's, until the next is read, like `rdata` */
	const uint8_t *rdata; /* names in it uncompressed, with the case that they have */
	uint32_t ttl;
	uint16_t type, rclass, rdata_length;
	uint8_t owner_length;
	bool same_owner; /* that of the RR before, for sure */
};

struct rr_reader {
	const uint8_t *wire;
	size_t length, at;
	size_t owner_at; /* where the last owner stands */
	uint8_t owner_length;
	uint8_t owner[KNOT_DNAME_MAXLEN];
	uint8_t rdata[UINT16_MAX + ZONE_RDATA_BLOCKS * KNOT_DNAME_MAXLEN];
};

/* To read from `at` on; the message must outlive it. */
void rr_reader_init(struct rr_reader *reader, const uint8_t *wire, size_t length, size_t at);
/* Reads the next. Returns 0, or -1 when it is malformed: then there is no going on. Whether rdata is what its type
 * needs is not looked at further than it takes to spell names out (zone_rdata_ok). */
int rr_read(struct rr_reader *reader, struct rr *rr);

/* Where what follows the RR at `at` begins, and its type; 0 when it does not end within the message. */
size_t rr_skip(const uint8_t *wire, size_t length, size_t at, uint16_t *type);

#endif

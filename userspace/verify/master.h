/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A version in master-file form (RFC 1035 section 5): what people and other programs read. */
#ifndef PEREGRINE_VERIFY_MASTER_H
#define PEREGRINE_VERIFY_MASTER_H

#include "zone/zone.h"

#include <stdatomic.h>
#include <stdio.h>

/* Writes the records, one a line, until `limit` octets are written (then "; ..." stands in place of the rest) or
 * `*cancelled` is set (NULL: never). Returns 0, or -1 when it could not be written or was cancelled. */
int master_write(FILE *out, const struct zone_version *version, uint64_t limit, const atomic_bool *cancelled);

#endif

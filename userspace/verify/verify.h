/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a zone version has to stand before it is served, beyond the shape that the builder checks: the digest in its
 * ZONEMD record, not to have lost most of the zone, its signatures, and a command's judgement. All of it takes its
 * time, and is called on a worker thread; a version is only read, and nothing here knows of transfers or of what is
 * served.
 */
#ifndef PEREGRINE_VERIFY_H
#define PEREGRINE_VERIFY_H

#include "config/config.h"
#include "zone/zone.h"

#include <stdatomic.h>
#include <stdbool.h>

#define VERIFY_WHY 256 /* room for a reason, one line */

/* How large a zone is to its users: what signing adds to it does not count. 0: not known. */
struct verify_size {
	uint64_t names;   /* as the image counts them: with empty non-terminals, without what is occluded */
	uint64_t records; /* without RRSIG, NSEC and NSEC3 */
};

struct verify_request {
	const struct config_verify *rules;
	const struct zone_version *version;
	const char *zone;             /* its name, for messages and the command */
	const char *state_directory;  /* where the command's copy is written, for a moment */
	struct verify_size before;    /* of the version served; {}: there is none */
	const atomic_bool *cancelled; /* nobody waits any more; or NULL */
};

/* Whether the version may be served; *size becomes its size. Returns 0, or -1 with the first reason against it, one
 * line of at most VERIFY_WHY. */
int verify_version(const struct verify_request *request, struct verify_size *size, char *why);

/* Whether the signatures or a command are to be looked at: that may take minutes. */
bool verify_is_slow(const struct config_verify *rules);

/* The parts, which verify_version calls in this order. Each returns like it. */
int verify_shrink(const struct verify_size *before, const struct verify_size *now, unsigned max_shrink, char *why);
int verify_zonemd(const struct zone_version *version, enum config_zonemd rule, char *why);
int verify_dnssec(const struct verify_request *request, uint64_t now, char *why);
int verify_command(const struct verify_request *request, unsigned timeout_ms, char *why);

/* Fewer names than this may shrink as they like: half of nearly nothing is nothing. */
#define VERIFY_SHRINK_NAMES 20

/* Whether a type is made by signing a zone, and does not count. */
bool verify_is_of_signing(uint16_t type);
struct verify_size verify_measure(const struct zone_version *version);

/* verify/keep.c: writes a version that was refused to STATE/refused/, in master-file form under a comment with the
 * reason, and removes the older ones of the zone but for one. Returns its path, to be freed, or NULL with one line in
 * `why` (room VERIFY_WHY). */
char *verify_keep(const char *state_directory, const struct zone_version *version, const char *reason, char *why);

#endif

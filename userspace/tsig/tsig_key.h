/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keys of TSIG, as either side of a conversation needs them. */
#ifndef PEREGRINE_TSIG_KEY_H
#define PEREGRINE_TSIG_KEY_H

#include <libknot/libknot.h>
#include <stdbool.h>

#define TSIG_MAC_ROOM 64 /* HMAC-SHA512, the longest */

/* Copies a key: the configuration may be replaced while it is in use. The name is in lower case, as digests have it
 * (RFC 8945 section 4.3.3). Returns 0, or -1 when memory is short; the copy is given back by knot_tsig_key_deinit. */
int tsig_key_copy(knot_tsig_key_t *to, const knot_tsig_key_t *from);
/* Whether both, either of which may be NULL, are the same, secret included. */
bool tsig_key_same(const knot_tsig_key_t *one, const knot_tsig_key_t *other);
/* Whether a TSIG record is by such a copy. Its owner is in lower case then, as the digest wants it. To be asked before
 * libknot looks at the digest, which it sizes by the record's algorithm. */
bool tsig_key_fits(const knot_tsig_key_t *key, knot_rrset_t *record);

#endif

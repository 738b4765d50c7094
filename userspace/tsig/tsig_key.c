/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tsig/tsig_key.h"

#include <string.h>

int tsig_key_copy(knot_tsig_key_t *to, const knot_tsig_key_t *from)
{
	if (knot_tsig_key_copy(to, from) != KNOT_EOK)
		return -1;
	knot_dname_to_lower(to->name);
	return 0;
}

bool tsig_key_same(const knot_tsig_key_t *one, const knot_tsig_key_t *other)
{
	if (!one || !other)
		return one == other;
	return one->algorithm == other->algorithm && knot_dname_is_case_equal(one->name, other->name) &&
	       one->secret.size == other->secret.size &&
	       memcmp(one->secret.data, other->secret.data, one->secret.size) == 0;
}

bool tsig_key_fits(const knot_tsig_key_t *key, knot_rrset_t *record)
{
	/* Names are compared without regard to case, but libknot compares octets. */
	knot_dname_to_lower(record->owner);
	return knot_dname_is_equal(record->owner, key->name) && knot_tsig_rdata_alg(record) == key->algorithm;
}

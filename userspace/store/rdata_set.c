/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sets of rdata in canonical order. */
#include "store/store_internal.h"
#include "zone/rdata.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int octets_add(struct octets *octets, const void *more, size_t size)
{
	if (octets->room - octets->size < size) {
		size_t room = 2 * octets->room + size + 256;
		uint8_t *at = realloc(octets->at, room);

		if (!at)
			return ENOMEM;
		octets->at = at;
		octets->room = room;
	}
	if (size)
		memcpy(octets->at + octets->size, more, size);
	octets->size += size;
	return 0;
}

/* Goes through both in order; what is taken: 1 of the left alone, 2 of the right alone, 4 of both. */
static int merge(const struct store_rrset *left, const struct store_rrset *right, unsigned take, struct octets *octets,
                 struct store_rrset *out)
{
	const uint8_t *l = left->rdata, *l_end = l + left->size, *r = right->rdata, *r_end = r + right->size;
	uint32_t count = 0;

	octets->size = 0;
	while (l < l_end || r < r_end) {
		int order = l == l_end ? 1 : r == r_end ? -1 : zone_compare_rdata(l, r);
		const uint8_t *rdata = order <= 0 ? l : r;
		unsigned where = order < 0 ? 1 : order > 0 ? 2 : 4;

		if (take & where) {
			count++;
			if (octets_add(octets, rdata, 2U + zone_rdata_length(rdata)))
				return ENOMEM;
		}
		l += order <= 0 ? 2 + zone_rdata_length(l) : 0;
		r += order >= 0 ? 2 + zone_rdata_length(r) : 0;
	}
	*out = *left;
	out->rdata = octets->at;
	out->size = octets->size;
	out->count = count;
	return 0;
}

int set_minus(const struct store_rrset *left, const struct store_rrset *right, struct octets *octets,
              struct store_rrset *out)
{
	return merge(left, right, 1, octets, out);
}

int set_plus(const struct store_rrset *left, const struct store_rrset *right, struct octets *octets,
             struct store_rrset *out)
{
	return merge(left, right, 1 | 2 | 4, octets, out);
}

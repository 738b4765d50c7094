/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names as sort keys for others than this room: record_put_key without the length, and its inverse. */
#include "zone/record.h"
#include "zone/zone.h"

#include <string.h>

_Static_assert(ZONE_NAME_KEY_ROOM >= RECORD_KEY_ROOM - 2 - 2, "room for every name");

size_t zone_name_to_key(const uint8_t *name, uint8_t *key)
{
	uint8_t stored[RECORD_KEY_ROOM];
	size_t length = record_put_key(name, stored) - 2;

	memcpy(key, stored + 2, length);
	return length;
}

/* One label from its escaped form, up to the 0 that ends it. Returns the octets read, or 0. */
static size_t read_label(const uint8_t *key, size_t length, uint8_t *label)
{
	size_t at = 0;

	label[0] = 0;
	while (at < length && key[at]) {
		uint8_t octet = key[at++];

		if (octet == 1) {
			if (at == length || key[at] < 1 || key[at] > 2)
				return 0;
			octet = key[at++] - 1;
		}
		if (label[0] == KNOT_DNAME_MAXLABELLEN)
			return 0;
		label[++label[0]] = octet;
	}
	return at < length && label[0] ? at + 1 : 0;
}

size_t zone_key_to_name(const uint8_t *key, size_t length, uint8_t *name)
{
	uint8_t reversed[KNOT_DNAME_MAXLEN];
	size_t start = sizeof(reversed);

	/* Labels come from the root down; the name is put together from its end. */
	reversed[--start] = 0;
	while (length) {
		uint8_t label[KNOT_DNAME_MAXLABELLEN + 1];
		size_t taken = read_label(key, length, label);

		if (!taken || start < label[0] + 1U)
			return 0;
		start -= label[0] + 1U;
		memcpy(reversed + start, label, label[0] + 1U);
		key += taken;
		length -= taken;
	}
	memcpy(name, reversed + start, sizeof(reversed) - start);
	return sizeof(reversed) - start;
}

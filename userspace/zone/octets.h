/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Octets of labels, eight at a time: a transfer of millions of names goes through them all. */
#ifndef PEREGRINE_ZONE_OCTETS_H
#define PEREGRINE_ZONE_OCTETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define OCTETS_EACH 0x0101010101010101U /* times an octet: that octet everywhere */

/* Upper case to lower case in each octet: the first bit of one that is at least 'A' and not beyond 'Z' becomes 0x20. */
static inline uint64_t octets_lower_word(uint64_t word)
{
	uint64_t low = word & OCTETS_EACH * 0x7f;
	uint64_t upper = (low + OCTETS_EACH * (0x80 - 'A')) ^ (low + OCTETS_EACH * (0x7f - 'Z'));

	return word | (upper & ~word & OCTETS_EACH * 0x80) >> 2;
}

/* Makes octets lower case. A whole name may be given: the length of a label is no letter. */
static inline void octets_lower(uint8_t *octets, size_t length)
{
	uint64_t word;

	for (; length >= sizeof(word); length -= sizeof(word), octets += sizeof(word)) {
		memcpy(&word, octets, sizeof(word));
		word = octets_lower_word(word);
		memcpy(octets, &word, sizeof(word));
	}
	for (; length; length--, octets++)
		*octets = (uint8_t)(*octets - 'A') < 26 ? *octets | 0x20 : *octets;
}

/* Whether one of the octets is 0 or 1. */
static inline bool octets_has_least(const uint8_t *octets, size_t length)
{
	uint64_t word;

	for (; length >= sizeof(word); length -= sizeof(word), octets += sizeof(word)) {
		memcpy(&word, octets, sizeof(word));
		if ((word - OCTETS_EACH * 2) & ~word & OCTETS_EACH * 0x80)
			return true;
	}
	while (length--)
		if (octets[length] <= 1)
			return true;
	return false;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names as words: folding to lower case, hashing, comparing. A name in the work area is padded with zeros. */
#ifndef PEREGRINE_ANSWER_NAME_H
#define PEREGRINE_ANSWER_NAME_H

#include "primitives.h"
#include "wire.h"

#define PG_NAME_WORDS (PG_NAME_ROOM / 8)

/*
 * Eight octets of a name in lower case at once. Length octets are at most 63, less than 'A', so that a whole name in
 * wire format can be folded without looking at its labels; octets from 128 on stay as they are (RFC 4343).
 */
PG_INLINE __u64 pg_fold(__u64 word)
{
	const __u64 ones = 0x0101010101010101ULL;
	__u64 seven = word & (0x7f * ones);
	__u64 from_a = seven + (0x80 - 'A') * ones; /* bit 7 of each octet: at least 'A' */
	__u64 past_z = seven + (0x7f - 'Z') * ones; /* bit 7: beyond 'Z' */
	__u64 upper = (from_a ^ past_z) & ~word & (0x80 * ones);

	return word | (upper >> 2);
}

/*
 * The hash of a key: a keyed multiply-and-shift over the name's words. Two products, of the whole state and of its
 * upper half, so that the difference that a change of the top bits makes depends on the seed, and names cannot be
 * chosen to collide under every seed. The seed is secret, the table bounds how far a search goes, and every hit is
 * compared: a collision costs time, never correctness. The first factor is MurmurHash2's, the second 2^64 over the
 * golden ratio.
 */
#define PG_HASH_FACTOR 0xc6a4a7935bd1e995ULL
#define PG_HASH_UPPER_FACTOR 0x9e3779b97f4a7c15ULL

PG_INLINE __u64 pg_hash_start(__u64 seed, __u32 role, __u32 zone)
{
	return (seed ^ ((__u64)zone << 8 | role)) * PG_HASH_FACTOR;
}

PG_INLINE __u64 pg_hash_word(__u64 hash, __u64 word)
{
	hash ^= word;
	return (hash * PG_HASH_FACTOR) ^ ((hash >> 32) * PG_HASH_UPPER_FACTOR);
}

PG_INLINE __u64 pg_hash_end(__u64 hash)
{
	hash ^= hash >> 47;
	hash *= PG_HASH_FACTOR;
	return hash ^ (hash >> 47);
}

/* The hash of a key that is a number. */
PG_INLINE __u64 pg_hash_number(__u64 hash, __u64 number)
{
	return pg_hash_end(pg_hash_word(hash, number));
}

/* The upper half of a hash as a tag, which is never 0: that is an empty cell's. */
PG_INLINE __u32 pg_hash_tag(__u64 hash)
{
	__u32 tag = hash >> 32;

	return tag ? tag : 1;
}

/* The hash of the suffix of sname that starts at octet `start`. */
PG_INLINE __u64 pg_hash_suffix(const struct pg_work *w, __u32 start, __u64 hash)
{
	const __u8 *suffix = &w->name[PG_MASK(start, PG_NAME_ROOM - 1)];

	for (__s64 left = PG_MASK(w->name_length - start, PG_NAME_MAX); left > 0; left -= 8) {
		PG_OPAQUE(left);
		hash = pg_hash_word(hash, pg_load64(suffix));
		suffix += 8;
	}
	return pg_hash_end(hash);
}

/* Whether the `length` octets of a padded name in the image are the suffix of sname that starts at `start`. */
PG_INLINE int pg_same_suffix(const struct pg_work *w, __u32 start, const __u8 *name, __u32 length)
{
	const __u8 *suffix = &w->name[PG_MASK(start, PG_NAME_ROOM - 1)];

	if (start + length != w->name_length)
		return 0;
	for (__s64 left = PG_MASK(length, PG_NAME_MAX); left > 0; left -= 8) {
		PG_OPAQUE(left);
		if (pg_load64(suffix) != pg_load64(name))
			return 0;
		suffix += 8;
		name += 8;
	}
	return 1;
}

/*
 * Finds the labels of the folded name in the work area, one that did not come with the query. Sets label, labels,
 * name_length and name_hash. Returns 0, or -1 when it is no whole name, or a compressed one.
 */
PG_STAGE int pg_find_labels(struct pg_work *w)
{
	const struct pg_settings *settings = w ? pg_settings(w) : 0;
	__u32 at = 0;

	if (!w || !settings)
		return -1;
	for (__u32 i = 0; i <= PG_LABELS_MAX; i++) {
		__u32 length;

		if (at >= PG_NAME_MAX)
			return -1;
		at = PG_MASK(at, PG_NAME_ROOM - 1);
		w->label[i] = at;
		length = w->name[at];
		if (!length) {
			w->labels = i;
			w->name_length = at + 1;
			/* Words are read up to 7 octets behind the name: zeros, whatever came along with it. */
			pg_store64(&w->name[at + 1], 0);
			w->name_hash = pg_hash_suffix(w, 0, pg_hash_start(settings->hash_seed, PG_ROLE_NAME, 0));
			return 0;
		}
		if (length > PG_LABEL_MAX)
			return -1;
		at += length + 1;
	}
	return -1;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hash of NSEC3 (RFC 5155 section 5), by SHA-1 (RFC 3174). The stages' state stands in the work area.
 */
#ifndef PEREGRINE_ANSWER_SHA1_H
#define PEREGRINE_ANSWER_SHA1_H

#include "primitives.h"

#define PG_SHA1_BLOCK 64
#define PG_SHA1_BLOCKS (PG_SHA1_ROOM / PG_SHA1_BLOCK)

/*
 * Of rotations BPF has none. Working variables stand twice in a word of 64 bits, so that a shift rotates the lower
 * half; the words of the schedule are made two at a time, the first one in the upper half.
 */
#define PG_SHA1_TWICE 0x100000001ULL

/* One round: the working variables change their roles instead of their places. `f` of section 5, `k` its constant. What
 * the round before made comes last. What stands in memory is left there, and rounds come one after the other, or clang
 * keeps more than there are registers. */
#define PG_SHA1_ROUND(a, b, c, d, e, f, k, word)                                                                       \
	do {                                                                                                           \
		(e) = (__u32)((__u32)(e) + f((__u32)(b), (__u32)(c), (__u32)(d)) + (k) + (word));                      \
		asm volatile("" : "+r"(e));                                                                            \
		(e) = (__u32)((__u32)(e) + (__u32)((a) >> 27));                                                        \
		(e) *= twice;                                                                                          \
		(b) >>= 2;                                                                                             \
		asm volatile("" : "+r"(twice), "+r"(e), "+r"(b)::"memory");                                            \
	} while (0)
#define PG_SHA1_CHOOSE(b, c, d) ((d) ^ ((b) & ((c) ^ (d))))
#define PG_SHA1_PARITY(b, c, d) ((b) ^ (c) ^ (d))
#define PG_SHA1_MAJORITY(b, c, d) (((b) & (c)) | ((d) & ((b) | (c))))

/* Makes words 2p and 2p + 1 of the message schedule, of which the last 16 are kept. */
PG_INLINE void pg_sha1_pair(__u64 *pair, int p, __u64 twice)
{
	__u64 made = pair[(p + 6) & 7] << 32 | pair[(p + 7) & 7] >> 32;

	made ^= pair[p & 7] ^ pair[(p + 1) & 7] ^ pair[(p + 4) & 7];
	pair[p & 7] = (made << 1 & ~PG_SHA1_TWICE) | (made >> 31 & twice);
}

#define PG_SHA1_TWO(a, b, c, d, e, f, k, p)                                                                            \
	do {                                                                                                           \
		if ((p) >= 8)                                                                                          \
			pg_sha1_pair(pair, p, twice);                                                                  \
		PG_BARRIER();                                                                                          \
		PG_SHA1_ROUND(a, b, c, d, e, f, k, ((const __u32 *)pair)[((p)&7) * 2 + 1]);                            \
		PG_SHA1_ROUND(e, a, b, c, d, f, k, ((const __u32 *)pair)[((p)&7) * 2]);                                \
	} while (0)
#define PG_SHA1_TEN(f, k, p)                                                                                           \
	PG_SHA1_TWO(a, b, c, d, e, f, k, p);                                                                           \
	PG_SHA1_TWO(d, e, a, b, c, f, k, (p) + 1);                                                                     \
	PG_SHA1_TWO(b, c, d, e, a, f, k, (p) + 2);                                                                     \
	PG_SHA1_TWO(e, a, b, c, d, f, k, (p) + 3);                                                                     \
	PG_SHA1_TWO(c, d, e, a, b, f, k, (p) + 4)
#define PG_SHA1_TWENTY(f, k, p)                                                                                        \
	PG_SHA1_TEN(f, k, p);                                                                                          \
	PG_SHA1_TEN(f, k, (p) + 5)

/* Takes block `number` of the input into the digest. */
PG_STAGE int pg_sha1_block(struct pg_work *w, __u32 number)
{
	__u64 a, b, c, d, e, twice = PG_SHA1_TWICE, *pair;
	const __u8 *input;

	if (!w || number >= PG_SHA1_BLOCKS)
		return -1;
	pair = w->schedule;
	input = w->sha1_input + number * PG_SHA1_BLOCK;
	for (int p = 0; p < 8; p++)
		pair[p] = __builtin_bswap64(pg_load64(input + p * 8));
	a = w->sha1[0] * PG_SHA1_TWICE;
	b = w->sha1[1] * PG_SHA1_TWICE;
	c = w->sha1[2];
	d = w->sha1[3];
	e = w->sha1[4];
	PG_SHA1_TWENTY(PG_SHA1_CHOOSE, 0x5a827999, 0);
	PG_SHA1_TWENTY(PG_SHA1_PARITY, 0x6ed9eba1, 10);
	PG_SHA1_TWENTY(PG_SHA1_MAJORITY, 0x8f1bbcdc, 20);
	PG_SHA1_TWENTY(PG_SHA1_PARITY, 0xca62c1d6, 30);
	w->sha1[0] += a;
	w->sha1[1] += b;
	w->sha1[2] += c;
	w->sha1[3] += d;
	w->sha1[4] += e;
	return 0;
}

/* The digest of the first `length` octets of the input, which has been padded. */
PG_STAGE int pg_sha1(struct pg_work *w, __u32 length)
{
	__u32 blocks = (length + 9 + PG_SHA1_BLOCK - 1) / PG_SHA1_BLOCK;

	if (!w)
		return -1;
	w->sha1[0] = 0x67452301;
	w->sha1[1] = 0xefcdab89;
	w->sha1[2] = 0x98badcfe;
	w->sha1[3] = 0x10325476;
	w->sha1[4] = 0xc3d2e1f0;
	for (__u32 i = 0; i < PG_SHA1_BLOCKS && i < blocks; i++)
		if (pg_sha1_block(w, i))
			return -1;
	return 0;
}

/* Puts the salt behind `length` octets of input, and the padding behind that. Returns the octets of both, or -1. */
PG_INLINE int pg_sha1_finish(struct pg_work *w, const struct pg_head *head, __u32 length)
{
	__u32 total = length + head->salt_length, at = 0, end;
	__u64 last = 1ULL << (8 * (total & 7)); /* the first octet behind, in the word that it stands in */

	for (__u32 i = 0; i < PG_SALT_ROOM / 8; i++) {
		if (i * 8 >= head->salt_length)
			break;
		at = PG_MASK(length + i * 8, 1023);
		if (at > PG_SHA1_ROOM - 8)
			return -1;
		pg_store64(&w->sha1_input[at], pg_load64(head->salt + i * 8));
	}
	at = PG_MASK(total & ~7U, 1023);
	end = PG_MASK((total + 9 + PG_SHA1_BLOCK - 1) & ~(PG_SHA1_BLOCK - 1U), 1023);
	if (at > PG_SHA1_ROOM - 8 || end > PG_SHA1_ROOM || end < PG_SHA1_BLOCK)
		return -1;
	/* In whole words, as it is read: words of several stores would wait until these are through. */
	pg_store64(&w->sha1_input[at], (pg_load64(&w->sha1_input[at]) & (last - 1)) | last << 7);
	for (__u32 i = 0; i < PG_SHA1_BLOCK / 8; i++) {
		__u32 zero = PG_MASK(at + 8 + i * 8, 1023);

		if (zero >= end || zero > PG_SHA1_ROOM - 8)
			break;
		pg_store64(&w->sha1_input[zero], 0);
	}
	pg_store64(&w->sha1_input[end - 8], __builtin_bswap64(total * 8));
	return total;
}

/* Hashes the suffix of sname that starts at octet `start` as the zone's NSEC3 records do: w->hash, the first 64 bits.
 * Returns 0 or -1. */
PG_STAGE int pg_nsec3_hash(struct pg_work *w, __u32 start)
{
	const struct pg_head *head;
	__u32 length, iterations;
	int total;

	if (!w)
		return -1;
	head = pg_record(w, w->head);
	if (!head || start >= w->name_length)
		return -1;
	length = w->name_length - start;
	for (__u32 i = 0; i < PG_NAME_ROOM / 8; i++) {
		if (i * 8 >= length)
			break;
		pg_store64(&w->sha1_input[i * 8], pg_load64(&w->name[PG_MASK(start + i * 8, PG_NAME_ROOM - 1)]));
	}
	total = pg_sha1_finish(w, head, length);
	if (total < 0 || pg_sha1(w, total))
		return -1;
	iterations = head->iterations;
	if (iterations) {
		total = pg_sha1_finish(w, head, sizeof(w->sha1));
		if (total < 0)
			return -1;
	}
	for (__u32 i = 0; i < PG_ITERATIONS_MAX && i < iterations; i++) {
		for (int j = 0; j < 5; j++)
			pg_store32(&w->sha1_input[j * 4], __builtin_bswap32(w->sha1[j]));
		if (pg_sha1(w, total))
			return -1;
	}
	w->hash = (__u64)w->sha1[0] << 32 | w->sha1[1];
	return 0;
}

#endif

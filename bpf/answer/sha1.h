/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hash of NSEC3 (RFC 5155 section 5), by SHA-1 (RFC 3174). The stages' state stands in the work area.
 */
#ifndef PEREGRINE_ANSWER_SHA1_H
#define PEREGRINE_ANSWER_SHA1_H

#include "primitives.h"

#define PG_SHA1_BLOCK 64
#define PG_SHA1_BLOCKS (PG_SHA1_ROOM / PG_SHA1_BLOCK)

PG_INLINE __u32 pg_sha1_rotate(__u32 word, int by)
{
	return word << by | word >> (32 - by);
}

/* One round: the working variables change their roles instead of their places. `f` of section 5, `k` its constant. The
 * barrier: the schedule is left in memory, or clang keeps all of it on a stack that has no room. */
#define PG_SHA1_ROUND(a, b, c, d, e, f, k, word)                                                                       \
	do {                                                                                                           \
		PG_BARRIER();                                                                                          \
		(e) += pg_sha1_rotate(a, 5) + (f) + (k) + (word);                                                      \
		(b) = pg_sha1_rotate(b, 30);                                                                           \
	} while (0)
#define PG_SHA1_CHOOSE(b, c, d) ((d) ^ ((b) & ((c) ^ (d))))
#define PG_SHA1_PARITY(b, c, d) ((b) ^ (c) ^ (d))
#define PG_SHA1_MAJORITY(b, c, d) (((b) & (c)) | ((d) & ((b) | (c))))

/* Word t of the message schedule: 16 of them are kept. */
PG_INLINE __u32 pg_sha1_word(__u32 *w, int t)
{
	if (t >= 16)
		w[t & 15] = pg_sha1_rotate(w[(t + 13) & 15] ^ w[(t + 8) & 15] ^ w[(t + 2) & 15] ^ w[t & 15], 1);
	return w[t & 15];
}

#define PG_SHA1_FIVE(f, k, t)                                                                                          \
	PG_SHA1_ROUND(a, b, c, d, e, f(b, c, d), k, pg_sha1_word(word, t));                                            \
	PG_SHA1_ROUND(e, a, b, c, d, f(a, b, c), k, pg_sha1_word(word, (t) + 1));                                      \
	PG_SHA1_ROUND(d, e, a, b, c, f(e, a, b), k, pg_sha1_word(word, (t) + 2));                                      \
	PG_SHA1_ROUND(c, d, e, a, b, f(d, e, a), k, pg_sha1_word(word, (t) + 3));                                      \
	PG_SHA1_ROUND(b, c, d, e, a, f(c, d, e), k, pg_sha1_word(word, (t) + 4))
#define PG_SHA1_TWENTY(f, k, t)                                                                                        \
	PG_SHA1_FIVE(f, k, t);                                                                                         \
	PG_SHA1_FIVE(f, k, (t) + 5);                                                                                   \
	PG_SHA1_FIVE(f, k, (t) + 10);                                                                                  \
	PG_SHA1_FIVE(f, k, (t) + 15)

/* Takes block `number` of the input into the digest. */
PG_STAGE int pg_sha1_block(struct pg_work *w, __u32 number)
{
	__u32 a, b, c, d, e, *word;
	const __u8 *input;

	if (!w || number >= PG_SHA1_BLOCKS)
		return -1;
	word = w->schedule;
	input = w->sha1_input + number * PG_SHA1_BLOCK;
	for (int t = 0; t < 16; t++)
		word[t] = __builtin_bswap32(pg_load32(input + t * 4));
	a = w->sha1[0];
	b = w->sha1[1];
	c = w->sha1[2];
	d = w->sha1[3];
	e = w->sha1[4];
	PG_SHA1_TWENTY(PG_SHA1_CHOOSE, 0x5a827999, 0);
	PG_SHA1_TWENTY(PG_SHA1_PARITY, 0x6ed9eba1, 20);
	PG_SHA1_TWENTY(PG_SHA1_MAJORITY, 0x8f1bbcdc, 40);
	PG_SHA1_TWENTY(PG_SHA1_PARITY, 0xca62c1d6, 60);
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
	__u32 total = length + head->salt_length, at = 0, bits = total * 8, end;

	for (__u32 i = 0; i < PG_SALT_ROOM / 8; i++) {
		if (i * 8 >= head->salt_length)
			break;
		at = PG_MASK(length + i * 8, 1023);
		if (at > PG_SHA1_ROOM - 8)
			return -1;
		pg_store64(&w->sha1_input[at], pg_load64(head->salt + i * 8));
	}
	at = PG_MASK(total, 1023);
	end = PG_MASK((total + 9 + PG_SHA1_BLOCK - 1) & ~(PG_SHA1_BLOCK - 1U), 1023);
	if (at > PG_SHA1_ROOM - 8 || end > PG_SHA1_ROOM || end < PG_SHA1_BLOCK)
		return -1;
	/* Nine octets at least follow. */
	pg_store64(&w->sha1_input[at], 0x80);
	for (__u32 i = 0; i < PG_SHA1_BLOCK / 8; i++) {
		__u32 zero = PG_MASK(at + 8 + i * 8, 1023);

		if (zero >= end || zero > PG_SHA1_ROOM - 8)
			break;
		pg_store64(&w->sha1_input[zero], 0);
	}
	pg_store32(&w->sha1_input[end - 4], __builtin_bswap32(bits));
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

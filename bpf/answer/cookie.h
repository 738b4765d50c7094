/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * DNS cookies (RFC 7873) in the form that all servers understand alike (RFC 9018). A server cookie:
 *
 *   version 1 | 3 octets reserved | seconds of the real clock, 32 bits | SipHash-2-4, 64 bits
 *
 * The hash is over client cookie, the first half of the server cookie, and the client's address. Nothing is remembered
 * of a client: a cookie that comes back proves by itself that its sender receives what is sent to its address.
 */
#ifndef PEREGRINE_ANSWER_COOKIE_H
#define PEREGRINE_ANSWER_COOKIE_H

#include "primitives.h"

#define PG_COOKIE_VERSION 1
/* RFC 9018 section 4.3, in seconds. */
#define PG_COOKIE_PAST 3600
#define PG_COOKIE_FUTURE 300
#define PG_COOKIE_RENEWED 1800

struct pg_sip {
	__u64 v0, v1, v2, v3;
};

PG_INLINE __u64 pg_rotate(__u64 word, int bits)
{
	return word << bits | word >> (64 - bits);
}

PG_INLINE void pg_sip_round(struct pg_sip *sip)
{
	sip->v0 += sip->v1;
	sip->v2 += sip->v3;
	sip->v1 = pg_rotate(sip->v1, 13) ^ sip->v0;
	sip->v3 = pg_rotate(sip->v3, 16) ^ sip->v2;
	sip->v0 = pg_rotate(sip->v0, 32);
	sip->v2 += sip->v1;
	sip->v0 += sip->v3;
	sip->v1 = pg_rotate(sip->v1, 17) ^ sip->v2;
	sip->v3 = pg_rotate(sip->v3, 21) ^ sip->v0;
	sip->v2 = pg_rotate(sip->v2, 32);
}

PG_INLINE void pg_sip_start(struct pg_sip *sip, const __u64 key[2])
{
	sip->v0 = key[0] ^ 0x736f6d6570736575ULL;
	sip->v1 = key[1] ^ 0x646f72616e646f6dULL;
	sip->v2 = key[0] ^ 0x6c7967656e657261ULL;
	sip->v3 = key[1] ^ 0x7465646279746573ULL;
}

PG_INLINE void pg_sip_word(struct pg_sip *sip, __u64 word)
{
	sip->v3 ^= word;
	pg_sip_round(sip);
	pg_sip_round(sip);
	sip->v0 ^= word;
}

/* `last`: the octets that fill no word, and in its top octet how many octets there were in all. */
PG_INLINE __u64 pg_sip_end(struct pg_sip *sip, __u64 last)
{
	pg_sip_word(sip, last);
	sip->v2 ^= 0xff;
	for (int i = 0; i < 4; i++)
		pg_sip_round(sip);
	return sip->v0 ^ sip->v1 ^ sip->v2 ^ sip->v3;
}

PG_INLINE const struct pg_policy *pg_policy(const struct pg_work *w, const struct pg_settings *settings)
{
	return &settings->policies[PG_MASK(w->policy, 1)];
}

/* The hash of the cookie whose first half of the server's part is `stamp`, by the secret with that number. */
PG_STAGE __u64 pg_cookie_hash(const struct pg_work *w, __u64 stamp, __u32 number)
{
	const struct pg_settings *settings = w ? pg_settings(w) : 0;
	struct pg_sip sip;

	if (!w || !settings)
		return 0;
	pg_sip_start(&sip, pg_policy(w, settings)->secret[PG_MASK(number, PG_SECRETS - 1)]);
	pg_sip_word(&sip, w->cookie[0]);
	pg_sip_word(&sip, stamp);
	if (w->client_octets == 4)
		return pg_sip_end(&sip, (__u32)w->client[0] | (8 + 8 + 4ULL) << 56);
	pg_sip_word(&sip, w->client[0]);
	pg_sip_word(&sip, w->client[1]);
	return pg_sip_end(&sip, (8 + 8 + 16ULL) << 56);
}

/* Judges the server cookie received, and makes the one to give: a fresh one, unless that received is good and young. An
 * exit. */
PG_STAGE int pg_renew_cookie(struct pg_work *w)
{
	const struct pg_settings *settings = w ? pg_settings(w) : 0;
	__u32 now, secrets;
	__u64 stamp;
	__s32 age;

	if (!w || !settings)
		return PG_EXIT_INTERNAL;
	now = (w->now + settings->clock_offset) / 1000000000;
	stamp = w->cookie[1];
	/* Serial arithmetic, as RFC 9018 section 4.3 wants it. */
	age = (__s32)(now - pg_be32(stamp >> 32));
	secrets = pg_policy(w, settings)->secrets;
	if (w->edns & PG_EDNS_SERVER_COOKIE && (stamp & 0xff) == PG_COOKIE_VERSION && age <= PG_COOKIE_PAST &&
	    age >= -PG_COOKIE_FUTURE) {
		if (pg_cookie_hash(w, stamp, 0) == w->cookie[2]) {
			w->edns |= PG_EDNS_GOOD_COOKIE;
			if (age <= PG_COOKIE_RENEWED)
				return PG_EXIT_ANSWERED;
		} else if (secrets > 1 && pg_cookie_hash(w, stamp, 1) == w->cookie[2]) {
			w->edns |= PG_EDNS_GOOD_COOKIE;
		}
	}
	stamp = PG_COOKIE_VERSION | (__u64)pg_be32(now) << 32;
	w->cookie[2] = pg_cookie_hash(w, stamp, 0);
	w->cookie[1] = stamp;
	return PG_EXIT_ANSWERED;
}

#endif

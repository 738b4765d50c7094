/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Response-rate limiting at the driver: its maps, and the judgement of one response (answer/limit.h). Only the program
 * at the driver has this: what it passes on for want of room has been charged. */
#ifndef PEREGRINE_LIMIT_BPF_H
#define PEREGRINE_LIMIT_BPF_H

#include "maps.bpf.h"
#include "answer/answer.h"
#include "answer/limit.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, PG_LIMITS_MAX);
	__type(key, struct pg_limit_key);
	__type(value, struct pg_limit);
} limits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, PG_EXEMPT_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct pg_prefix);
	__type(value, __u8);
} exempt SEC(".maps");

static __always_inline int is_exempt(const struct pg_work *w)
{
	struct pg_prefix client = {.length = 128};

	if (w->client_octets == 4) {
		*(__u16 *)&client.address.octets[10] = 0xffff;
		*(__u32 *)&client.address.octets[12] = w->client[0];
	} else {
		__builtin_memcpy(client.address.octets, w->client, 16);
	}
	return bpf_map_lookup_elem(&exempt, &client) != 0;
}

/* Charges the response decided on to its client. A verdict. */
PG_STAGE int charge_response(struct pg_work *w)
{
	const struct pg_settings *set = w ? pg_settings(w) : 0;
	const struct pg_policy *policy;
	struct pg_limit_key key;
	struct pg_limit *entry;
	int verdict;

	if (!w || !set)
		return PG_LIMIT_PASS;
	policy = pg_policy(w, set);
	/* An address that is proved to be the client's own is no victim's. */
	if (w->edns & PG_EDNS_GOOD_COOKIE)
		return PG_LIMIT_PASS;
	key = pg_limit_key(w, pg_limit_class(w->rcode, w->count[PG_ANSWER]));
	entry = bpf_map_lookup_elem(&limits, &key);
	if (!entry) {
		struct pg_limit first = {.due = w->now + policy->interval};

		bpf_map_update_elem(&limits, &key, &first, BPF_ANY);
		return PG_LIMIT_PASS;
	}
	verdict = pg_limit_charge(entry, policy, w->now);
	if (verdict != PG_LIMIT_PASS && policy->exempt && is_exempt(w))
		return PG_LIMIT_PASS;
	return verdict;
}

/* The same, where there is a limit. */
static __always_inline int limit_response(struct pg_work *w, const struct pg_settings *set)
{
	return pg_policy(w, set)->interval ? charge_response(w) : PG_LIMIT_PASS;
}

#endif

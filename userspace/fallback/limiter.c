/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fallback/limiter.h"

#include "answer/limit.h"
#include "engine/engine.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SETS 4096U /* a power of two */
#define WAYS 4U

struct slot {
	uint64_t key; /* struct pg_limit_key; 0: free */
	struct pg_limit limit;
};

struct limiter {
	/* Held for a look-up: what comes here costs a system call besides. */
	pthread_mutex_t lock;
	struct config_prefix *exempt;
	size_t exempt_count;
	struct slot slots[SETS][WAYS];
};

struct limiter *limiter_open(void)
{
	struct limiter *limiter = calloc(1, sizeof(*limiter));

	if (limiter)
		pthread_mutex_init(&limiter->lock, NULL);
	return limiter;
}

void limiter_close(struct limiter *limiter)
{
	if (!limiter)
		return;
	pthread_mutex_destroy(&limiter->lock);
	free(limiter->exempt);
	free(limiter);
}

int limiter_set_exempt(struct limiter *limiter, const struct config_prefix *prefixes, size_t count)
{
	struct config_prefix *copy = calloc(count + 1, sizeof(*copy)), *old;

	if (!copy)
		return -1;
	if (count)
		memcpy(copy, prefixes, count * sizeof(*copy));
	pthread_mutex_lock(&limiter->lock);
	old = limiter->exempt;
	limiter->exempt = copy;
	limiter->exempt_count = count;
	pthread_mutex_unlock(&limiter->lock);
	free(old);
	return 0;
}

static bool is_exempt(const struct limiter *limiter, const struct pg_work *work)
{
	uint8_t address[16] = {[10] = 0xff, [11] = 0xff};

	if (work->client_octets == 4)
		memcpy(address + 12, work->client, 4);
	else
		memcpy(address, work->client, 16);
	for (size_t i = 0; i < limiter->exempt_count; i++) {
		if (config_prefix_has(&limiter->exempt[i], address))
			return true;
	}
	return false;
}

/* The slot of a key; when it has none, that in its set whose bucket is the emptiest is taken. The set depends on a
 * secret, so that none can be filled at will. */
static struct pg_limit *find(struct limiter *limiter, const struct pg_settings *settings, uint64_t key)
{
	struct slot *set = limiter->slots[engine_hash_number(settings, 0, 0, key) & (SETS - 1)], *oldest = set;

	for (unsigned i = 0; i < WAYS; i++) {
		if (set[i].key == key)
			return &set[i].limit;
		if (set[i].limit.due < oldest->limit.due)
			oldest = &set[i];
	}
	*oldest = (struct slot){.key = key};
	return &oldest->limit;
}

int limiter_judge(struct limiter *limiter, const struct pg_settings *settings, const struct pg_work *work,
                  unsigned answers)
{
	const struct pg_policy *policy = &settings->policies[__atomic_load_n(&settings->policy, __ATOMIC_ACQUIRE) & 1];
	struct pg_limit_key key = pg_limit_key(work, pg_limit_class(work->rcode, answers));
	enum pg_verdict verdict;
	uint64_t word;

	if (!policy->interval || work->edns & PG_EDNS_GOOD_COOKIE)
		return PG_LIMIT_PASS;
	memcpy(&word, &key, sizeof(word));
	pthread_mutex_lock(&limiter->lock);
	verdict = pg_limit_charge(find(limiter, settings, word), policy, work->now);
	if (verdict != PG_LIMIT_PASS && is_exempt(limiter, work))
		verdict = PG_LIMIT_PASS;
	pthread_mutex_unlock(&limiter->lock);
	return verdict;
}

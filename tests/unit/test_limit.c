/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Response-rate limiting: the arithmetic of one entry, then the fallback's table of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "answer/limit.h"
#include "engine/engine.h"
#include "fallback/limiter.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>

#define SECOND 1000000000ULL
#define START (1000 * SECOND)

static struct pg_settings settings;
static struct pg_policy *const policy = &settings.policies[0];

static void set_rate(uint64_t rate, uint8_t slip)
{
	policy->interval = rate ? SECOND / rate : 0;
	policy->slip = slip;
}

/* Charges `count` responses between two times; returns how many pass. */
static unsigned charge(struct pg_limit *entry, uint64_t from, uint64_t to, unsigned count)
{
	unsigned passed = 0;

	for (unsigned i = 0; i < count; i++)
		passed += pg_limit_charge(entry, policy, from + (to - from) * i / count) == PG_LIMIT_PASS;
	return passed;
}

/* As many at once as a second allows, and as many in every second that follows, whatever is asked. */
static void rates(void **state)
{
	static const unsigned rates[] = {1, 2, 7, 200, 1000, 100000, 1000000};

	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		struct pg_limit entry = {0};
		unsigned rate = rates[i], more = 3 * rate + 10;

		set_rate(rate, 0);
		assert_in_range(charge(&entry, START, START, more), rate, rate);
		assert_int_equal(charge(&entry, START, START, more), 0);
		assert_in_range(charge(&entry, START, START + SECOND, more), rate - 1, rate + 1);
		assert_in_range(charge(&entry, START + SECOND, START + 11 * SECOND, 10 * more), 10 * rate - 1,
		                10 * rate + 1);
		/* Who has been silent for a second may ask at once again, and no more than that. */
		assert_in_range(charge(&entry, START + 100 * SECOND, START + 100 * SECOND, more), rate, rate);
		/* What keeps below the rate is never refused, also by a clock that stands still for 0.64 s at a time.
		 */
		entry = (struct pg_limit){0};
		for (uint64_t k = 0; k < 1000; k++) {
			uint64_t now = START + k * (SECOND / rate + 1);

			assert_int_equal(pg_limit_charge(&entry, policy, rate < 3 ? now : now - now % 640000000),
			                 PG_LIMIT_PASS);
		}
	}
}

static void slips(void **state)
{
	for (unsigned slip = 0; slip <= 100; slip++) {
		struct pg_limit entry = {0};
		unsigned slipped = 0;

		set_rate(5, slip);
		assert_int_equal(charge(&entry, START, START, 5), 5);
		for (unsigned i = 1; i <= 1000; i++) {
			enum pg_verdict verdict = pg_limit_charge(&entry, policy, START);

			assert_int_equal(verdict, slip && i % slip == 0 ? PG_LIMIT_SLIP : PG_LIMIT_DROP);
			slipped += verdict == PG_LIMIT_SLIP;
		}
		assert_int_equal(slipped, slip ? 1000 / slip : 0);
		assert_int_equal(entry.refused, 1000);
	}
}

static void classes(void **state)
{
	assert_int_equal(pg_limit_class(0, 1), PG_CLASS_ANSWER);
	assert_int_equal(pg_limit_class(0, 0), PG_CLASS_EMPTY);
	assert_int_equal(pg_limit_class(3, 0), PG_CLASS_NXDOMAIN);
	assert_int_equal(pg_limit_class(3, 1), PG_CLASS_NXDOMAIN);
	assert_int_equal(pg_limit_class(5, 0), PG_CLASS_ERROR);
	assert_int_equal(pg_limit_class(16, 0), PG_CLASS_ERROR);
}

static struct pg_work work_of(const char *text, unsigned rcode)
{
	struct sockaddr_storage from = {.ss_family = AF_INET};
	struct pg_work work = {.now = START, .rcode = rcode};

	/* What stood there before must not matter. */
	memset(work.client, 0xa5, sizeof(work.client));
	if (inet_pton(AF_INET, text, &((struct sockaddr_in *)&from)->sin_addr) != 1) {
		from.ss_family = AF_INET6;
		assert_int_equal(1, inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&from)->sin6_addr));
	}
	engine_set_client(&work, &from);
	return work;
}

static unsigned judge(struct limiter *limiter, const char *client, unsigned rcode, unsigned count)
{
	struct pg_work work = work_of(client, rcode);
	unsigned passed = 0;

	for (unsigned i = 0; i < count; i++)
		passed += limiter_judge(limiter, &settings, &work, 1) == PG_LIMIT_PASS;
	return passed;
}

/* A prefix and a class share a rate, others do not. */
static void prefixes(void **state)
{
	struct limiter *limiter = limiter_open();

	set_rate(10, 0);
	assert_int_equal(judge(limiter, "192.0.2.1", 0, 20), 10);
	assert_int_equal(judge(limiter, "192.0.2.255", 0, 20), 0);
	assert_int_equal(judge(limiter, "192.0.3.1", 0, 20), 10);
	assert_int_equal(judge(limiter, "192.0.2.1", 3, 20), 10);
	assert_int_equal(judge(limiter, "2001:db8:0:100::1", 0, 20), 10);
	assert_int_equal(judge(limiter, "2001:db8:0:1ff:ffff::2", 0, 20), 0);
	assert_int_equal(judge(limiter, "2001:db8:0:200::1", 0, 20), 10);
	/* The same octets in front. */
	assert_int_equal(judge(limiter, "c000:200::", 0, 20), 10);
	set_rate(0, 0);
	assert_int_equal(judge(limiter, "192.0.2.1", 0, 20), 20);
	limiter_close(limiter);
}

static void exemptions(void **state)
{
	struct config_prefix listed[] = {
	    {.address = {[10] = 0xff, 0xff, 192, 0, 2}, .length = 96 + 25},
	    {.address = {0x20, 1, 0xd, 0xb8}, .length = 33},
	};
	struct limiter *limiter = limiter_open();
	struct pg_work good = work_of("198.51.100.1", 0);

	set_rate(10, 0);
	assert_int_equal(limiter_set_exempt(limiter, listed, 2), 0);
	assert_int_equal(judge(limiter, "192.0.2.127", 0, 20), 20);
	assert_int_equal(judge(limiter, "192.0.2.128", 0, 20), 0); /* the prefix has had its share */
	assert_int_equal(judge(limiter, "2001:db8:7fff::", 0, 20), 20);
	assert_int_equal(judge(limiter, "2001:db8:8000::", 0, 20), 10);
	assert_int_equal(limiter_set_exempt(limiter, NULL, 0), 0);
	assert_int_equal(judge(limiter, "192.0.2.127", 0, 20), 0);
	/* Whose cookie is good is no victim. */
	good.edns = PG_EDNS_COOKIE | PG_EDNS_GOOD_COOKIE;
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(limiter_judge(limiter, &settings, &good, 1), PG_LIMIT_PASS);
	limiter_close(limiter);
}

/* Many clients do not make the table forget one that is over its rate. */
static void crowd(void **state)
{
	struct limiter *limiter = limiter_open();
	unsigned passed = 0;

	set_rate(10, 0);
	settings.hash_seed = 0x123456789abcdef;
	for (unsigned i = 0; i < 100000; i++) {
		char text[32];

		snprintf(text, sizeof(text), "10.%u.%u.1", i >> 8 & 255, i & 255);
		judge(limiter, text, 0, 1);
		passed += judge(limiter, "192.0.2.1", 0, 1);
	}
	assert_in_range(passed, 10, 200);
	limiter_close(limiter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rates),    cmocka_unit_test(slips),      cmocka_unit_test(classes),
	    cmocka_unit_test(prefixes), cmocka_unit_test(exemptions), cmocka_unit_test(crowd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

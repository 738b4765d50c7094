/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The limit at the driver: what is dropped, what is sent in an answer's place, and who is exempt. The reply that is
 * sent is compared with the fallback's to the same query, made by other code.
 */
#include "check.h"
#include "fallback/respond.h"
#include "zones.h"

#define RATE 10
#define OPT(octets) .opt = (octets), .opt_length = sizeof(octets) - 1
#define COOKIE_8 "\0\x0a\0\x08\1\2\3\4\5\6\7\x08"

static const struct query plain = ASK("www.example.test.", 1);
static const struct query edns = ASK("nothing.example.test.", 1, OPT("\0\0\x29\x04\xd0\0\0\x80\0\0\4\0\3\0\0"));
static const struct query refused = ASK("www.elsewhere.test.", 1, OPT("\0\0\x29\x04\xd0\0\0\0\0\0\0"));
static const struct query cookie = ASK("www.example.test.", 16, OPT("\0\0\x29\x04\xd0\0\0\0\0\0\x0c" COOKIE_8));

static void set_rate(unsigned rate, unsigned slip, bool exempt)
{
	struct pg_policy policy = image->settings->policies[image->settings->policy & 1];

	policy.interval = rate ? 1000000000U / rate : 0;
	policy.slip = slip;
	policy.exempt = exempt;
	image_set_policy(image, &policy);
}

/* Nobody has been answered yet. */
static int forget(void **state)
{
	struct pg_limit_key key;

	while (bpf_map_get_next_key(fastpath->limits, NULL, &key) == 0)
		bpf_map_delete_elem(fastpath->limits, &key);
	fastpath_set_exempt(fastpath, NULL, 0);
	return 0;
}

static struct packet in, out;

/* Runs a query `count` times; counts the verdicts. What is dropped or sent is looked at by `slipped`. */
static void run(const struct query *query, bool v6, unsigned count, unsigned verdicts[5])
{
	uint8_t dns[600];

	memset(verdicts, 0, 5 * sizeof(verdicts[0]));
	build_packet(&in, &(struct frame){.v6 = v6}, dns, build_query(dns, query));
	for (unsigned i = 0; i < count; i++)
		verdicts[run_program(&in, &out)]++;
}

static void dropped(void **state)
{
	struct pg_counters before, after;
	unsigned verdicts[5];

	set_rate(RATE, 0, false);
	fastpath_counters(fastpath, &before);
	for (int v6 = 0; v6 < 2; v6++) {
		run(&plain, v6, 200, verdicts);
		/* One more for each tenth of a second that this takes. */
		assert_in_range(verdicts[XDP_TX], RATE, RATE + 3);
		assert_int_equal(verdicts[XDP_DROP], 200 - verdicts[XDP_TX]);
		/* Another class. */
		run(&edns, v6, 1, verdicts);
		assert_int_equal(verdicts[XDP_TX], 1);
	}
	fastpath_counters(fastpath, &after);
	assert_in_range(after.exits[PG_EXIT_LIMITED] - before.exits[PG_EXIT_LIMITED], 2 * (200 - RATE - 3),
	                2 * (200 - RATE));
	assert_int_equal(after.slipped, before.slipped);
	set_rate(0, 0, false);
	run(&plain, false, 200, verdicts);
	assert_int_equal(verdicts[XDP_TX], 200);
}

/* What the fallback makes of the same query. */
static size_t fallback_slip(const uint8_t *query, size_t length, uint8_t *reply)
{
	static struct pg_work work;
	const struct respond_options options = {0};
	const struct image_view *view;
	size_t made;

	set_client(&in);
	hold_clock();
	work.now = boottime_now();
	urcu_memb_read_lock();
	view = image_view_get(image);
	respond(view, &work, &options, false, &client, query, length, reply, 65535);
	made = respond_slip(view, &work, query, length, reply);
	urcu_memb_read_unlock();
	return made;
}

static void slipped(void **state)
{
	static const struct {
		const struct query *query;
		unsigned flags, rcode;
	} cases[] = {{&plain, 0x86, 0}, {&edns, 0x86, 3}, {&refused, 0x82, 5}, {&cookie, 0x80, 7}};
	static struct packet expected;
	static uint8_t reply[65535];

	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		const struct query *query = cases[i / 2].query;
		struct pg_counters before, after;
		unsigned verdicts[5];
		uint8_t dns[600];
		size_t length = build_query(dns, query), reply_length;

		forget(NULL);
		set_rate(RATE, 1, false);
		fastpath_counters(fastpath, &before);
		run(query, i & 1, 100, verdicts);
		assert_int_equal(verdicts[XDP_TX], 100);
		fastpath_counters(fastpath, &after);
		assert_in_range(after.slipped - before.slipped, 100 - RATE - 3, 100 - RATE);
		assert_int_equal(after.exits[PG_EXIT_LIMITED], before.exits[PG_EXIT_LIMITED]);
		reply_length = fallback_slip(dns, length, reply);
		assert_int_equal(reply[2], cases[i / 2].flags);
		assert_int_equal(reply[3], cases[i / 2].rcode);
		assert_true(reply_length <= length + 16);
		build_reply(&expected, &in, reply, reply_length);
		same_packet(query->name, &in, &expected, &out);
		sums_are_right(query->name, &expected);
		if (query == &cookie)
			assert_int_equal(after.rcodes[23] - before.rcodes[23], after.slipped - before.slipped);
		set_rate(RATE, 2, false);
		run(query, i & 1, 100, verdicts);
		assert_in_range(verdicts[XDP_TX], 50, 53);
	}
}

/* With the cookie that BADCOOKIE brought the same client is not limited. */
static void good_cookie(void **state)
{
	static const char head[] = "\0\0\x29\x04\xd0\0\0\0\0\0\x1c\0\x0a\0\x18";
	struct query again = ASK("www.example.test.", 16);
	unsigned verdicts[5];
	char opt[64];

	set_rate(RATE, 1, false);
	run(&cookie, true, 100, verdicts);
	memcpy(opt, head, sizeof(head) - 1);
	memcpy(opt + sizeof(head) - 1, out.octets + out.length - 24, 24);
	again.opt = opt;
	again.opt_length = sizeof(head) - 1 + 24;
	set_rate(RATE, 0, false);
	run(&again, true, 100, verdicts);
	assert_int_equal(verdicts[XDP_TX], 100);
	opt[sizeof(head) + 20] ^= 1;
	run(&again, true, 100, verdicts);
	assert_in_range(verdicts[XDP_DROP], 97, 100);
}

static void exempt(void **state)
{
	struct config_prefix prefixes[] = {
	    {.address = {[10] = 0xff, 0xff, 198, 51, 100}, .length = 96 + 24},
	    {.address = {0x20, 1, 0xd, 0xb8, 0, 2}, .length = 48},
	};
	unsigned verdicts[5];

	set_rate(RATE, 0, true);
	assert_int_equal(fastpath_set_exempt(fastpath, prefixes, 2), 0);
	run(&plain, false, 100, verdicts);
	assert_int_equal(verdicts[XDP_TX], 100);
	run(&plain, true, 100, verdicts);
	assert_in_range(verdicts[XDP_TX], RATE, RATE + 3);
	prefixes[1].address[5] = 1;
	assert_int_equal(fastpath_set_exempt(fastpath, prefixes + 1, 1), 0);
	run(&plain, true, 100, verdicts);
	assert_int_equal(verdicts[XDP_TX], 100);
	run(&plain, false, 100, verdicts);
	assert_in_range(verdicts[XDP_DROP], 97, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(dropped, forget),
	    cmocka_unit_test_setup(slipped, forget),
	    cmocka_unit_test_setup(good_cookie, forget),
	    cmocka_unit_test_setup(exempt, forget),
	};

	world_begin("test_limits");
	return cmocka_run_group_tests(tests, world_open, world_close);
}

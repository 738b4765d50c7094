/* SPDX-License-Identifier: GPL-3.0-or-later */
/* EDNS options through the engine on the host: cookies as RFC 9018 has them, NSID, extended errors, and their sizes. */
#include "zone_text.h"

#include <arpa/inet.h>

static struct image *image;
static struct pg_work work;
static uint8_t reply[65535];
static size_t reply_length;
static knot_pkt_t *pkt; /* the reply that option() looked into last */

static void from_hex(const char *text, uint8_t *out)
{
	for (size_t i = 0; text[2 * i]; i++)
		sscanf(text + 2 * i, "%2hhx", &out[i]);
}

/* A policy with secrets by their hexadecimal digits, "" for none, and an identity. */
static void set_policy(const char *secret, const char *previous, const char *identity)
{
	struct pg_policy policy = {.secrets = (*secret != 0) + (*previous != 0)};
	size_t length = strlen(identity);

	from_hex(secret, (uint8_t *)policy.secret[0]);
	from_hex(previous, (uint8_t *)policy.secret[1]);
	if (length) {
		policy.nsid[1] = 3;
		policy.nsid[3] = length;
		memcpy(policy.nsid + 4, identity, length);
		policy.nsid_length = 4 + length;
		for (size_t i = 0; i < policy.nsid_length; i++) {
			uint32_t sum = policy.nsid_sum + (i & 1 ? policy.nsid[i] << 8 : policy.nsid[i]);

			policy.nsid_sum = (sum & 0xffff) + (sum >> 16);
		}
	}
	image_set_policy(image, &policy);
}

static void set_time(uint32_t seconds)
{
	/* zone_text_ask says that CLOCK_BOOTTIME is 1. */
	image->settings->clock_offset = (uint64_t)seconds * 1000000000U;
}

static void set_client(const char *text)
{
	struct sockaddr_storage from = {.ss_family = AF_INET};

	if (inet_pton(AF_INET, text, &((struct sockaddr_in *)&from)->sin_addr) != 1) {
		from.ss_family = AF_INET6;
		assert_int_equal(1, inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&from)->sin6_addr));
	}
	engine_set_client(&work, &from);
}

/* Asks with options; checks the sum that the engine kept. Returns its exit. */
static enum pg_exit ask(const char *name, uint16_t type, uint16_t size, const uint8_t *options, size_t length)
{
	static uint8_t query[2048];
	size_t query_length = zone_text_query(query, name, type, size);
	enum pg_exit exit;

	knot_wire_write_u16(query + query_length - 2, length);
	if (length)
		memcpy(query + query_length, options, length);
	exit = zone_text_ask(image, &work, query, query_length + length, reply, &reply_length);
	if (exit == PG_EXIT_ANSWERED) {
		uint64_t sum = 0, kept = work.sum;

		for (size_t i = 0; i < reply_length; i++)
			sum += i & 1 ? (uint64_t)reply[i] << 8 : reply[i];
		assert_int_equal(sum % 0xffff, kept % 0xffff);
		assert_true(reply_length <= work.limit);
	}
	return exit;
}

/* The option of that code in the reply's OPT record, or NULL. */
static const uint8_t *option(uint16_t code, size_t *length)
{
	const uint8_t *found;

	knot_pkt_free(pkt);
	pkt = knot_pkt_new(reply, reply_length, NULL);
	assert_int_equal(KNOT_EOK, knot_pkt_parse(pkt, 0));
	assert_non_null(pkt->opt_rr);
	found = knot_edns_get_option(pkt->opt_rr, code, NULL);
	*length = found ? knot_edns_opt_get_length(found) : 0;
	return found ? found + 4 : NULL;
}

/* Sends a cookie in hexadecimal; the reply's must be the one given. Returns whether it was taken for good. */
static bool cookie(const char *sent, const char *expected)
{
	uint8_t options[64] = {0, 10, 0, strlen(sent) / 2}, wanted[24];
	const uint8_t *got;
	size_t length;

	from_hex(sent, options + 4);
	from_hex(expected, wanted);
	assert_int_equal(PG_EXIT_ANSWERED, ask("www.example.test.", 1, 1232, options, 4U + options[3]));
	got = option(10, &length);
	assert_int_equal(24, length);
	assert_memory_equal(wanted, got, 24);
	return work.edns & PG_EDNS_GOOD_COOKIE;
}

/* RFC 9018 appendix A. */
static void vectors(void **state)
{
	set_policy("e5e973e5a6b2a43f48e7dc849e37bfcf", "", "");
	set_client("198.51.100.100");
	set_time(1559731985);
	assert_false(cookie("2464c4abcf10c957", "2464c4abcf10c957010000005cf79f111f8130c3eee29480"));
	set_time(1559734385);
	assert_true(cookie("2464c4abcf10c957010000005cf79f111f8130c3eee29480",
	                   "2464c4abcf10c957010000005cf7a871d4a564a1442aca77"));
	/* A.3: the reserved octets are hashed as they came. The reply there is of a time when the cookie has expired.
	 */
	set_client("203.0.113.203");
	set_time(1559727985);
	assert_true(cookie("fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5",
	                   "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5"));
	set_time(1559734700);
	assert_false(cookie("fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5",
	                    "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e"));
	/* A.4: made with the secret before, answered with the present one. */
	set_policy("445536bcd2513298075a5d379663c962", "dd3bdf9344b678b185a6f5cb60fca715", "");
	set_client("2001:db8:220:1:59de:d0f4:8769:82b8");
	set_time(1559741961);
	assert_true(cookie("22681ab97d52c298010000005cf7c57926556bd0934c72f8",
	                   "22681ab97d52c298010000005cf7c609a6bb79d16625507a"));
	/* The secret before is none any more. */
	set_policy("445536bcd2513298075a5d379663c962", "", "");
	assert_false(cookie("22681ab97d52c298010000005cf7c57926556bd0934c72f8",
	                    "22681ab97d52c298010000005cf7c609a6bb79d16625507a"));
}

/* RFC 9018 section 4.3: good for an hour, 5 minutes ahead, renewed after half an hour; across the wrap of 32 bits. */
static void ages(void **state)
{
	static const struct {
		int32_t age;
		bool good, same;
	} cases[] = {{0, true, true},      {1800, true, true}, {1801, true, false},  {3600, true, false},
	             {3601, false, false}, {-300, true, true}, {-301, false, false}, {0x7fffffff, false, false}};
	static const uint32_t made[] = {1559731985, 0xffffff00, 100};

	set_policy("e5e973e5a6b2a43f48e7dc849e37bfcf", "", "");
	set_client("198.51.100.100");
	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++)
		for (size_t j = 0; j < sizeof(cases) / sizeof(cases[0]); j++) {
			uint8_t options[28] = {0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8};
			size_t length;

			set_time(made[i]);
			assert_int_equal(PG_EXIT_ANSWERED, ask("www.example.test.", 1, 1232, options, 12));
			memcpy(options + 4, option(10, &length), 24);
			options[3] = 24;
			set_time(made[i] + (uint32_t)cases[j].age);
			assert_int_equal(PG_EXIT_ANSWERED, ask("www.example.test.", 1, 1232, options, 28));
			assert_int_equal(cases[j].good, !!(work.edns & PG_EDNS_GOOD_COOKIE));
			assert_int_equal(cases[j].same, !memcmp(options + 4, option(10, &length), 24));
		}
}

/* Any octet of it, another client, another version: no good, and a fresh one is given. */
static void forgeries(void **state)
{
	static const char good[] = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";
	uint8_t options[28] = {0, 10, 0, 24};

	set_policy("e5e973e5a6b2a43f48e7dc849e37bfcf", "", "");
	set_client("198.51.100.100");
	set_time(1559731985);
	from_hex(good, options + 4);
	for (size_t i = 4; i < 28; i++) {
		options[i] ^= 1;
		assert_int_equal(PG_EXIT_ANSWERED, ask("www.example.test.", 1, 1232, options, 28));
		assert_false(work.edns & PG_EDNS_GOOD_COOKIE);
		options[i] ^= 1;
	}
	assert_true(cookie(good, good));
	set_client("198.51.100.101");
	assert_int_equal(PG_EXIT_ANSWERED, ask("www.example.test.", 1, 1232, options, 28));
	assert_false(work.edns & PG_EDNS_GOOD_COOKIE);
}

/* RFC 7873 section 5.2.2: 8, or 16 to 40 octets. Only the first counts. */
static void lengths(void **state)
{
	uint8_t options[128] = {0, 10};
	size_t length;

	set_client("198.51.100.100");
	for (unsigned i = 0; i < 60; i++) {
		bool possible = i == 8 || (i >= 16 && i <= 40);

		options[3] = i;
		set_policy("e5e973e5a6b2a43f48e7dc849e37bfcf", "", "");
		assert_int_equal(possible ? PG_EXIT_ANSWERED : PG_EXIT_EDNS,
		                 ask("www.example.test.", 1, 1232, options, 4 + i));
		if (possible)
			assert_non_null(option(10, &length));
		/* Where cookies are off they mean nothing. */
		set_policy("", "", "");
		assert_int_equal(PG_EXIT_ANSWERED, ask("www.example.test.", 1, 1232, options, 4 + i));
		assert_null(option(10, &length));
	}
	set_policy("e5e973e5a6b2a43f48e7dc849e37bfcf", "", "");
	memcpy(options,
	       "\0\x0a\0\x08"
	       "12345678"
	       "\0\x0a\0\x03"
	       "abc",
	       19);
	assert_int_equal(PG_EXIT_ANSWERED, ask("www.example.test.", 1, 1232, options, 19));
	assert_memory_equal(option(10, &length), "12345678", 8);
}

static void nsid(void **state)
{
	char identity[256] = "";
	size_t length;

	for (size_t i = 0; i < 256; i++) {
		const uint8_t *got;

		set_policy("", "", identity);
		assert_int_equal(PG_EXIT_ANSWERED, ask("www.example.test.", 1, 1232, (const uint8_t *)"\0\3\0\1x", 5));
		got = option(3, &length);
		assert_int_equal(length, i);
		if (i)
			assert_memory_equal(got, identity, i);
		assert_int_equal(PG_EXIT_ANSWERED, ask("www.example.test.", 1, 1232, NULL, 0));
		assert_null(option(3, &length));
		if (i < 255)
			identity[i] = 'a' + i % 26;
	}
}

/* The options' octets are reserved while deciding: an answer that would fit without them is truncated. What is asked
 * besides must leave room for the question at least. */
static void sizes(void **state)
{
	static const uint8_t both[] = "\0\x0a\0\x08"
	                              "12345678"
	                              "\0\3\0";
	char identity[256], text[400];
	const char *longest = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
	                      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
	                      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
	                      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example.test.";
	size_t length;

	memset(identity, 'i', 255);
	identity[255] = 0;
	for (size_t room = 512; room < 900; room++) {
		bool fits = (12 + 16 + 4) + (12 + 457) + (11 + 28 + 14) <= room;

		set_policy("e5e973e5a6b2a43f48e7dc849e37bfcf", "", "0123456789");
		assert_int_equal(PG_EXIT_ANSWERED, ask("t.example.test.", 16, room, both, 16));
		snprintf(text, sizeof(text), "%zu octets give %zu", room, reply_length);
		if (fits != !(reply[2] & 2))
			fail_msg("%s", text);
		assert_non_null(option(10, &length));
		assert_non_null(option(3, &length));
	}
	set_policy("e5e973e5a6b2a43f48e7dc849e37bfcf", "", identity);
	assert_int_equal(PG_EXIT_ANSWERED, ask(longest, 16, 512, both, 16));
	assert_non_null(option(10, &length));
	assert_null(option(3, &length));
}

/* RFC 8914: REFUSED says why, to whom asks by EDNS. */
static void extended_errors(void **state)
{
	const uint8_t *got;
	size_t length;

	set_policy("", "", "");
	assert_int_equal(PG_EXIT_ANSWERED, ask("www.elsewhere.test.", 1, 1232, NULL, 0));
	got = option(15, &length);
	assert_int_equal(length, 2);
	assert_memory_equal(got, "\0\x14", 2);
	assert_int_equal(PG_EXIT_ANSWERED, ask("nothing.example.test.", 1, 1232, NULL, 0));
	assert_null(option(15, &length));
}

static int open_image(void **state)
{
	char text[1024] = "@ 3600 SOA ns1 host 7 600 300 86400 60\n@ NS ns1\nwww A 192.0.2.2\nt TXT \"";
	size_t length = strlen(text);

	image = image_open(NULL, 64 << 20, 53, 1232);
	/* Rdata of 457 octets: two strings, each behind its length. */
	memset(text + length, 'x', 255);
	strcpy(text + length + 255, "\" \"");
	length += 258;
	memset(text + length, 'y', 200);
	strcpy(text + length + 200, "\"\n");
	zone_text_publish(image, "example.test.", text);
	return 0;
}

static int close_image(void **state)
{
	knot_pkt_free(pkt);
	image_close(image);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(vectors),         cmocka_unit_test(ages), cmocka_unit_test(forgeries),
	    cmocka_unit_test(lengths),         cmocka_unit_test(nsid), cmocka_unit_test(sizes),
	    cmocka_unit_test(extended_errors),
	};

	urcu_memb_register_thread();
	return cmocka_run_group_tests(tests, open_image, close_image);
}

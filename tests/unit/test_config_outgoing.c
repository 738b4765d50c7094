/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The configuration of transfers out: what is read, and that every error is told with its line. */
#include "config_text.h"

#define HEAD                                                                                                           \
	"server: { listen: [ any ] }\nfast-path: { mode: off }\nfallback: { transfers-out: 3 }\n"                      \
	"keys: [ { name: One.Key., algorithm: hmac-sha256, secret: c2VjcmV0 } ]\n"                                     \
	"primaries: [ { name: p, addresses: [ 192.0.2.1 ] } ]\n"

static void test_read(void **state)
{
	struct config *config = load(
	    HEAD "secondaries:\n"
	         "  - { name: s, addresses: [ 192.0.2.7, \"2001:db8::7@5353\" ], key: one.key }\n"
	         "  - { name: t, addresses: [ 192.0.2.8 ], source: [ 192.0.2.53, \"2001:db8::53\" ] }\n"
	         "zones:\n"
	         "  - name: a.example\n"
	         "    primaries: [ p ]\n"
	         "    allow-transfer: [ 192.0.2.0/24, \"2001:db8::1\", { addresses: [ 10.0.0.0/8, 11.1.1.1 ], key: "
	         "one.key }, { key: one.key. }, { addresses: [ 10.1.1.1 ] } ]\n"
	         "    notify: [ t, s ]\n"
	         "  - { name: b.example, primaries: [ p ] }\n"
	         "  - { name: c.example, primaries: [ p ], allow-transfer: [], notify: [] }\n");
	const struct config_outgoing *outgoing;
	char text[CONFIG_ADDRESS_TEXT];

	if (!config)
		fail_msg("%s", errors);
	assert_int_equal(config->transfers_out, 3);
	assert_int_equal(config->secondary_count, 2);
	assert_int_equal(config->secondaries[0].address_count, 2);
	config_address_text(&config->secondaries[0].addresses[1], text);
	assert_string_equal(text, "2001:db8::7@5353");
	assert_ptr_equal(config->secondaries[0].key, &config->keys[0]);
	assert_int_equal(config->secondaries[0].source[0].ss_family, AF_UNSPEC);
	assert_null(config->secondaries[1].key);
	config_address_text(&config->secondaries[1].source[0], text);
	assert_string_equal(text, "192.0.2.53@0");
	assert_int_equal(config->secondaries[1].source[1].ss_family, AF_INET6);
	outgoing = &config->zones[0].outgoing;
	assert_int_equal(outgoing->allow_count, 5);
	assert_int_equal(outgoing->allow[0].prefixes[0].length, 96 + 24);
	assert_null(outgoing->allow[0].key);
	assert_int_equal(outgoing->allow[1].prefixes[0].length, 128);
	assert_int_equal(outgoing->allow[2].prefix_count, 2);
	assert_ptr_equal(outgoing->allow[2].key, &config->keys[0]);
	assert_int_equal(outgoing->allow[3].prefix_count, 0);
	assert_ptr_equal(outgoing->allow[3].key, &config->keys[0]);
	assert_int_equal(outgoing->allow[4].prefix_count, 1);
	assert_int_equal(outgoing->notify_count, 2);
	assert_ptr_equal(outgoing->notify[0], &config->secondaries[1]);
	assert_int_equal(config->zones[1].outgoing.allow_count + config->zones[1].outgoing.notify_count, 0);
	assert_int_equal(config->zones[2].outgoing.allow_count + config->zones[2].outgoing.notify_count, 0);
	config_free(config);
}

#define ZONE(rest) HEAD "zones: [ { name: a.example, primaries: [ p ], " rest " } ]\n", ":6: "
#define SECONDARY(rest) HEAD "secondaries: [ { " rest " } ]\n", ":6: "

static void test_errors(void **state)
{
	static const struct {
		const char *text, *line, *error;
	} wrong[] = {
	    {ZONE("allow-transfer: 192.0.2.1"), "allow-transfer must be a list"},
	    {ZONE("allow-transfer: { key: one.key }"), "allow-transfer must be a list"},
	    {ZONE("allow-transfer: [ 192.0.2.0/33 ]"), "allow-transfer `192.0.2.0/33`: not a prefix"},
	    {ZONE("allow-transfer: [ any ]"), "allow-transfer `any`: not a prefix"},
	    {ZONE("allow-transfer: [ { key: two.key } ]"), "key `two.key`: no such key"},
	    {ZONE("allow-transfer: [ { key: \"\" } ]"), "key ``: "},
	    {ZONE("allow-transfer: [ { key: [ one.key ] } ]"), "key must be the name of one of `keys`"},
	    {ZONE("allow-transfer: [ {} ]"), "an entry of allow-transfer has `addresses`, `key`, or both"},
	    {ZONE("allow-transfer: [ { adresses: [ 192.0.2.1 ] } ]"), "an entry of allow-transfer has `addresses`"},
	    {ZONE("allow-transfer: [ { key: one.key, key: one.key } ]"), "an entry of allow-transfer has `addresses`"},
	    {ZONE("allow-transfer: [ { addresses: [], key: one.key } ]"), "addresses must be a list, like"},
	    {ZONE("allow-transfer: [ { addresses: 192.0.2.1 } ]"), "addresses must be a list, like"},
	    {ZONE("allow-transfer: [ { addresses: [ {} ] } ]"), "an entry of addresses must be an address"},
	    {ZONE("allow-transfer: [ [ 192.0.2.1 ] ]"), "an entry of addresses must be an address"},
	    {ZONE("notify: s"), "notify must be a list"},
	    {ZONE("notify: [ s ]"), "secondary `s`: no such secondary"},
	    {ZONE("notify: [ {} ]"), "an entry of notify must be the name of a secondary"},
	    {SECONDARY("addresses: [ 192.0.2.1 ]"), "no name here"},
	    {SECONDARY("name: s"), "no addresses here"},
	    {SECONDARY("name: s, addresses: [ 192.0.2.1 ], key: two.key"), "key `two.key`: no such key"},
	    {SECONDARY("name: s, addresses: [ nowhere ]"), "address `nowhere`"},
	    {SECONDARY("name: s, addresses: []"), "addresses is empty"},
	    {SECONDARY("name: s, addresses: [ 192.0.2.1, 192.0.2.1@53 ]"), "address `192.0.2.1@53` stands twice"},
	    {SECONDARY("name: s, addresses: [ 192.0.2.1 ], source: [ 192.0.2.2@54 ]"),
	     "source `192.0.2.2@54`: a port is not taken"},
	    {SECONDARY("name: s, addresses: [ 192.0.2.1 ], source: [ 0.0.0.0 ]"),
	     "source `0.0.0.0`: stands for no address"},
	    {SECONDARY("name: s, addresses: [ 192.0.2.1 ], source: [ 224.0.0.1 ]"), "source `224.0.0.1`: a multicast"},
	    {SECONDARY("name: s, addresses: [ 192.0.2.1 ], source: [ 192.0.2.2, 192.0.2.3 ]"), "a second IPv4 source"},
	    {HEAD "fallback: { transfers-out: 0 }\n", ":6: ", "`fallback` stands twice"},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char wanted[256];

		assert_null(load(wrong[i].text));
		snprintf(wanted, sizeof(wanted), "%s%s%s", path, wrong[i].line, wrong[i].error);
		if (strncmp(errors, wanted, strlen(wanted)) != 0 || strchr(errors, '\n')[1] != '\0')
			fail_msg("wanted %s, got %s", wanted, errors);
	}
}

/* The identity is read when the configuration is, so that what is wrong with it is told with its line. */
static void test_tls(void **state)
{
	static const struct {
		const char *server, *error;
	} wrong[] = {
	    {"tls-listen: [ 192.0.2.53 ]", "tls-listen without certificate;"},
	    {"tls-listen: [ 192.0.2.53 ], certificate: /c", "tls-listen without private-key;"},
	    {"tls-listen: [ 192.0.2.53 ], certificate: c, private-key: /k", "certificate `c`: "},
	    {"tls-listen: [ 192.0.2.53 ], certificate: /nowhere/c, private-key: /nowhere/k",
	     "certificate `/nowhere/c` with private-key `/nowhere/k` cannot be used: "},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char text[512], wanted[512];

		snprintf(text, sizeof(text), "server: { listen: [ any ], %s }\nfast-path: { mode: off }\n",
		         wrong[i].server);
		assert_null(load(text));
		snprintf(wanted, sizeof(wanted), "%s:1: %s", path, wrong[i].error);
		if (strncmp(errors, wanted, strlen(wanted)) != 0 || strchr(errors, '\n')[1] != '\0')
			fail_msg("wanted %s, got %s", wanted, errors);
	}
	assert_null(load("server: { listen: [ any ], tls-listen: [ nowhere ] }\nfast-path: { mode: off }\n"));
	assert_non_null(strstr(errors, ":1: tls-listen `nowhere`: "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_read),
	    cmocka_unit_test(test_errors),
	    cmocka_unit_test(test_tls),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

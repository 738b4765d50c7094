/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Primaries, zones, templates and catalogs in the configuration: what is read, and that every error is told with its
 * line. */
#include "config_text.h"

#include <sys/stat.h>
#include <time.h>

#define PIN "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static const char *address_text(const struct sockaddr_storage *address)
{
	static char text[CONFIG_ADDRESS_TEXT];
	config_address_text(address, text);
	return text;
}

static void test_reach(void **state)
{
	struct config *config =
	    load(SMALL "tls: [ { name: open }, { name: pinned, pins: [ \"" PIN "\" ], alpn: optional } ]\n"
	               "primaries:\n"
	               "  - { name: one, addresses: [ 192.0.2.1, 192.0.2.2@8853, \"2001:db8::1\" ], tls: pinned,\n"
	               "      source: [ \"2001:db8::7\", 192.0.2.7 ], max-records: 1000000, max-size: 64MiB }\n"
	               "  - { name: two, addresses: [ 192.0.2.1 ] }\n"
	               "zones: [ { name: a.example, primaries: [ one ] } ]\n");
	assert_non_null(config);
	const struct config_primary *one = &config->primaries[0], *two = &config->primaries[1];
	assert_int_equal(config->tls_count, 2);
	assert_ptr_equal(one->reach.tls, config->tls[1]);
	assert_string_equal(address_text(&one->addresses[0]), "192.0.2.1@853");
	assert_string_equal(address_text(&one->addresses[1]), "192.0.2.2@8853");
	assert_string_equal(address_text(&one->addresses[2]), "2001:db8::1@853");
	assert_string_equal(address_text(config_reach_source(&one->reach, &one->addresses[0])), "192.0.2.7@0");
	assert_string_equal(address_text(config_reach_source(&one->reach, &one->addresses[2])), "2001:db8::7@0");
	assert_int_equal(one->reach.max_records, 1000000);
	assert_int_equal(one->reach.max_octets, 64 << 20);
	assert_null(two->reach.tls);
	assert_null(config_reach_source(&two->reach, &two->addresses[0]));
	assert_string_equal(address_text(&two->addresses[0]), "192.0.2.1@53");
	config_free(config);
}

static void test_reach_errors(void **state)
{
	static const char text[] = "-----BEGIN CERTIFICATE-----\nnot base64\n-----END CERTIFICATE-----\n";
	char file[80], whole[2048], wanted[200];
	snprintf(file, sizeof(file), "%s/malformed.pem", directory);
	write_file(file, text, strlen(text));
	assert_int_equal(chmod(file, 0600), 0);
	snprintf(whole, sizeof(whole),
	         SMALL "tls:\n"
	               "  - { name: a, pins: [ short, \"" PIN "\" ] }\n"
	               "  - { name: a, ca-file: /nonexistent/ca.pem }\n"
	               "  - { name: b, certificate: %s, private-key: %s }\n"
	               "  - { name: c, certificate: %s }\n"
	               "  - { name: d, server-name: a..b, alpn: maybe, ca-file: ca.pem }\n"
	               "  - { pins: [ \"" PIN "\" ] }\n"
	               "primaries:\n"
	               "  - { name: one, addresses: [ 192.0.2.1 ], tls: none }\n"
	               "  - { name: two, addresses: [ 192.0.2.1 ], tls: b, max-records: 0, max-size: many,\n"
	               "      source: [ 192.0.2.7, 192.0.2.8, 192.0.2.9@53, 0.0.0.0, \"::\", host ] }\n"
	               "zones: [ { name: a.example, primaries: [ one ] } ]\n",
	         file, file, file);
	snprintf(wanted, sizeof(wanted), "6: tls b: %s: no certificate in it", file);
	expect(whole, "4: pin `short`: not a SHA-256", "5: tls a: /nonexistent/ca.pem: cannot open: No such file",
	       "5: tls `a` stands twice, first in line 4", wanted,
	       "7: certificate and private-key belong together; write private-key too",
	       "8: ca-file `ca.pem`: not an absolute path", "8: server-name `a..b`: not a domain name",
	       "8: alpn `maybe`: neither required nor optional", "9: no name here", "11: tls `none`: no such entry",
	       "12: max-records `0`: not a number", "12: max-size `many`: not a size", "13: a second IPv4 source",
	       "13: source `192.0.2.9@53`: a port is not taken", "13: source `0.0.0.0`: stands for no address",
	       "13: source `::`: stands for no address", "13: source `host`: not an IPv4", NULL);
	remove(file);
}

static void test_zones(void **state)
{
	expect(SMALL "primaries:\n"
	             "  - { name: one, addresses: [ 192.0.2.1, 192.0.2.1@53, 192.0.2.2@0, host.example ] }\n"
	             "  - { name: one, addresses: [] }\n"
	             "  - { name: two, key: nokey }\n"
	             "zones:\n"
	             "  - { name: example.org, primaries: [ one, three, one ] }\n"
	             "  - { name: EXAMPLE.org., primaries: [ two ] }\n"
	             "  - { name: a..b, primaries: [] }\n"
	             "  - { name: \"b\xc3\xbc"
	             "cher.example\", primaries: [ two ] }\n"
	             "  - { name: \"two words\", primaries: [ two ] }\n"
	             "  -\n"
	             "catalogs:\n"
	             "  - { name: example.ORG, primaries: [ four ] }\n",
	       "4: address `192.0.2.2@0`: the port", "4: address `host.example`: not an IPv4",
	       "4: address `192.0.2.1@53` stands twice", "5: addresses is empty",
	       "5: primary `one` stands twice, first in line 4", "6: no addresses here", "6: key `nokey`: no such key",
	       "8: primary `three`: no such primary", "8: primary `one` stands twice",
	       "9: zone `EXAMPLE.org.` stands twice, first in line 8", "10: zone `a..b`: not a domain name",
	       "10: primaries is empty", "11: zone", "12: zone `two words`", "13: no name here",
	       "13: no primaries here", "15: primary `four`: no such primary",
	       "15: zone `example.ORG` stands twice, first in line 8", NULL);
}

static void test_clocks(void **state)
{
	struct config *config =
	    load(SMALL "primaries: [ { name: one, addresses: [ 192.0.2.1 ], rate: 20 } ]\n"
	               "zones:\n"
	               "  - { name: a.example, primaries: [ one ] }\n"
	               "  - { name: b.example, primaries: [ one ], refresh-min: 60, refresh-max: 3600, retry-min: 30,\n"
	               "      retry-max: 900, expire-min: 86400, expire-max: 1209600 }\n");
	static const struct config_clocks none = {0}, all = {60, 3600, 30, 900, 86400, 1209600};
	assert_non_null(config);
	assert_int_equal(config->primaries[0].rate, 20);
	assert_memory_equal(&config->zones[0].clocks, &none, sizeof(none));
	assert_memory_equal(&config->zones[1].clocks, &all, sizeof(all));
	config_free(config);
	expect(SMALL "primaries: [ { name: one, addresses: [ 192.0.2.1 ], rate: 0 } ]\n"
	             "zones:\n"
	             "  - { name: a.example, primaries: [ one ], refresh-min: 0, expire-max: never }\n"
	             "  - { name: b.example, primaries: [ one ],\n"
	             "      retry-min: 61,\n"
	             "      retry-max: 60 }\n",
	       "3: rate `0`", "5: refresh-min `0`", "5: expire-max `never`",
	       "8: retry-min is 61, which is more than retry-max, 60; raise the one or lower the other", NULL);
}

static void test_verify(void **state)
{
	struct config *config =
	    load(SMALL "primaries: [ { name: one, addresses: [ 192.0.2.1 ] } ]\n"
	               "zones:\n"
	               "  - { name: a.example, primaries: [ one ] }\n"
	               "  - { name: b.example, primaries: [ one ], zonemd: required, max-shrink: 0,\n"
	               "      dnssec: check, verify-command: /bin/true }\n");
	const struct config_verify *verify;
	assert_non_null(config);
	verify = &config->zones[0].verify;
	assert_int_equal(verify->zonemd, CONFIG_ZONEMD_IF_PRESENT);
	assert_int_equal(verify->max_shrink, 50);
	assert_false(verify->dnssec);
	assert_null(verify->command);
	verify = &config->zones[1].verify;
	assert_int_equal(verify->zonemd, CONFIG_ZONEMD_REQUIRED);
	assert_int_equal(verify->max_shrink, 0);
	assert_true(verify->dnssec);
	assert_string_equal(verify->command, "/bin/true");
	config_free(config);
	expect(SMALL "primaries: [ { name: one, addresses: [ 192.0.2.1 ] } ]\n"
	             "zones:\n"
	             "  - { name: a.example, primaries: [ one ], max-shrink: 101, zonemd: yes, dnssec: on }\n"
	             "  - { name: b.example, primaries: [ one ], verify-command: true }\n"
	             "  - { name: c.example, primaries: [ one ], verify-command: /etc/passwd }\n"
	             "  - { name: d.example, primaries: [ one ], verify-command: /tmp }\n",
	       "5: max-shrink `101`", "5: zonemd `yes`", "5: dnssec `on`", "6: verify-command `true`: not an absolute",
	       "7: verify-command `/etc/passwd`: cannot be run", "8: verify-command `/tmp`: cannot be run", NULL);
}

static void test_journal_size(void **state)
{
	struct config *config = load(SMALL "primaries: [ { name: one, addresses: [ 192.0.2.1 ] } ]\n"
	                                   "zones:\n"
	                                   "  - { name: a.example, primaries: [ one ] }\n"
	                                   "  - { name: b.example, primaries: [ one ], journal-size: 2MiB }\n");
	assert_non_null(config);
	assert_int_equal(config->zones[0].journal_size, 0);
	assert_int_equal(config->zones[1].journal_size, 2 << 20);
	config_free(config);
	expect(SMALL "primaries: [ { name: one, addresses: [ 192.0.2.1 ] } ]\n"
	             "zones:\n"
	             "  - { name: a.example, primaries: [ one ], journal-size: 1KiB }\n"
	             "  - { name: b.example, primaries: [ one ], journal-size: much }\n",
	       "5: journal-size `1KiB`", "6: journal-size `much`", NULL);
}

static void test_allow_notify(void **state)
{
	struct config *config =
	    load(SMALL "keys: [ { name: k.example, algorithm: hmac-sha256, secret: " SECRET " } ]\n"
	               "primaries: [ { name: one, addresses: [ 192.0.2.1 ] } ]\n"
	               "zones:\n"
	               "  - { name: a.example, primaries: [ one ],\n"
	               "      allow-notify: [ 198.51.100.0/24, { addresses: [ 2001:db8::1 ], key: k.example } ] }\n");
	const struct config_zone *zone;
	assert_non_null(config);
	zone = &config->zones[0];
	assert_int_equal(zone->allow_notify_count, 2);
	assert_int_equal(zone->allow_notify[0].prefixes[0].length, 96 + 24);
	assert_null(zone->allow_notify[0].key);
	assert_int_equal(zone->allow_notify[1].prefix_count, 1);
	assert_ptr_equal(zone->allow_notify[1].key, &config->keys[0]);
	config_free(config);
	expect(SMALL "primaries: [ { name: one, addresses: [ 192.0.2.1 ] } ]\n"
	             "zones:\n"
	             "  - { name: a.example, primaries: [ one ], allow-notify: [ 192.0.2.0/33 ] }\n"
	             "  - { name: b.example, primaries: [ one ], allow-notify: [ { who: 192.0.2.1 } ] }\n",
	       "5: allow-notify `192.0.2.0/33`", "6: an entry of allow-notify has", NULL);
}

static const char templates[] =
    "server: { listen: [ any ] }\n"
    "fast-path: { mode: off }\n"
    "primaries:\n"
    "  - { name: hub, addresses: [ 198.51.100.2 ] }\n"
    "  - { name: campus, addresses: [ 198.51.100.1 ] }\n"
    "templates:\n"
    "  - { name: shown, catalog: made.example, group: blue }\n"
    "  - { name: campus, primaries: [ campus ] }\n"
    "  - { name: default, primaries: [ hub ] }\n"
    "catalogs:\n"
    "  - { name: Made.Example, produce: true }\n"
    "  - { name: catalog.example, template: shown, groups: [ { group: c, template: campus } ] }\n"
    "zones:\n"
    "  - { name: a.example }\n"
    "  - { name: b.example, template: shown }\n"
    "  - { name: c.example, template: shown, primaries: [ campus, hub ], group: red }\n";

/* Settings come from the zone, else its template, else the template `default`. */
static void test_templates(void **state)
{
	struct config *config = load(templates);
	const struct config_catalog *made, *catalog;
	const struct config_zone *members;

	assert_non_null(config);
	assert_int_equal(config->zone_count, 3);
	assert_int_equal(config->catalog_count, 2);
	made = &config->catalogs[0];
	catalog = &config->catalogs[1];
	assert_true(made->produce);
	assert_int_equal(made->zone.primary_count, 0);
	assert_string_equal(made->zone.name, "Made.Example");
	assert_false(catalog->produce);
	assert_string_equal(catalog->zone.primaries[0]->name, "hub");
	assert_null(catalog->zone.catalog);
	assert_string_equal(config->zones[0].primaries[0]->name, "hub");
	assert_null(config->zones[0].catalog);
	assert_string_equal(config->zones[1].primaries[0]->name, "hub");
	assert_ptr_equal(config->zones[1].catalog, made);
	assert_string_equal(config->zones[1].group, "blue");
	assert_int_equal(config->zones[2].primary_count, 2);
	assert_string_equal(config->zones[2].primaries[0]->name, "campus");
	assert_ptr_equal(config->zones[2].catalog, made);
	assert_string_equal(config->zones[2].group, "red");
	assert_ptr_equal(catalog->members.catalog, made);
	members = config_member_settings(catalog, "c", 1);
	assert_non_null(members);
	assert_string_equal(members->primaries[0]->name, "campus");
	assert_null(members->catalog);
	assert_null(config_member_settings(catalog, "d", 1));
	assert_null(config_member_settings(catalog, "cc", 2));
	config_free(config);
}

static void test_template_errors(void **state)
{
	expect(
	    "server: { listen: [ any ] }\n"
	    "fast-path: { mode: off }\n"
	    "primaries: [ { name: hub, addresses: [ 198.51.100.2 ] } ]\n"
	    "templates:\n"
	    "  - { primaries: [ hub ] }\n"
	    "  - { name: one }\n"
	    "  - { name: one, primaries: [ hbu ] }\n"
	    "  - { name: two, template: one }\n"
	    "zones:\n"
	    "  - { name: a.example }\n"
	    "  - { name: b.example, template: tow, primaries: [ hub ] }\n"
	    "  - { name: c.example, catalog: catalog.example, primaries: [ hub ] }\n"
	    "catalogs:\n"
	    "  - { name: catalog.example, primaries: [ hub ], groups: [ { group: a, template: x }, { group: a } ] }\n"
	    "  - { name: made.example, produce: yea, primaries: [ hub ] }\n"
	    "  - { name: other.example, produce: true, primaries: [ hub ], template: one }\n"
	    "  - { name: other.example, produce: true }\n",
	    "5: no name here", "7: template `one` stands twice", "7: primary `hbu`: no such primary", "8: unknown key",
	    "10: no primaries here", "11: template `tow`: no such template",
	    "12: catalog `catalog.example`: no such catalog is made here", "14: template `x`: no such template",
	    "14: no template here", "14: group `a` stands twice", "15: produce `yea`",
	    "16: primaries stands in a catalog that is made here", "16: template stands in a catalog",
	    "17: zone `other.example` stands twice", NULL);
}

static void test_many_zones(void **state)
{
	enum { COUNT = 100000 };
	char *text;
	size_t size;
	struct timespec start, end;
	FILE *out = open_memstream(&text, &size);
	fputs(SMALL "primaries:\n  - { name: hub, addresses: [ 192.0.2.1 ] }\nzones:\n", out);
	for (unsigned i = 0; i < COUNT; i++)
		fprintf(out, "  - { name: z%u.example, primaries: [ hub ] }\n", i);
	fclose(out);
	clock_gettime(CLOCK_MONOTONIC, &start);
	struct config *config = load_octets(text, size);
	clock_gettime(CLOCK_MONOTONIC, &end);
	free(text);
	assert_non_null(config);
	assert_int_equal(config->zone_count, COUNT);
	for (size_t i = 1; i < COUNT; i++)
		assert_true(knot_dname_cmp(config->zones[i - 1].apex, config->zones[i].apex) < 0);
	config_free(config);
	double seconds = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
	print_message("%d zones in %.2f s\n", COUNT, seconds);
	assert_true(seconds < 20); /* far above what it takes, even under a sanitizer: it is loops of loops that fail */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reach),           cmocka_unit_test(test_reach_errors),
	    cmocka_unit_test(test_zones),           cmocka_unit_test(test_clocks),
	    cmocka_unit_test(test_verify),          cmocka_unit_test(test_journal_size),
	    cmocka_unit_test(test_allow_notify),    cmocka_unit_test(test_templates),
	    cmocka_unit_test(test_template_errors), cmocka_unit_test(test_many_zones),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}

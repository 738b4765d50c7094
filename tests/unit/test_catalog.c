/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Catalog zones, read: what they list, and which are broken. */
#include "catalog/catalog.h"
#include "zone_text.h"

#include <arpa/inet.h>
#include <time.h>

#define HEAD "@ 0 SOA invalid. invalid. 7 3600 600 86400 0\n@ 0 NS invalid.\nversion 0 TXT \"2\"\n"

static char why[256];

static struct catalog *read_text(const char *text)
{
	struct zone_version *version = zone_text("catalog.example.", text);
	struct catalog *catalog = catalog_read(version, why, sizeof(why));

	zone_unref(version);
	return catalog;
}

static const struct catalog_member *find(const struct catalog *catalog, const char *name)
{
	knot_dname_storage_t zone;

	assert_non_null(knot_dname_from_str(zone, name, sizeof(zone)));
	return catalog_find(catalog, zone);
}

static void expect_broken(const char *text, const char *reason)
{
	struct catalog *catalog = read_text(text);

	if (catalog)
		fail_msg("taken, though: %s", reason);
	if (!strstr(why, reason))
		fail_msg("wanted `%s`, got `%s`", reason, why);
}

static void expect_name(const uint8_t *name, const char *text)
{
	knot_dname_storage_t wanted;

	assert_non_null(name);
	assert_non_null(knot_dname_from_str(wanted, text, sizeof(wanted)));
	assert_true(knot_dname_is_equal(name, wanted));
}

static void expect_primary(const struct catalog_primary *primary, const char *address, const char *key)
{
	char text[INET6_ADDRSTRLEN];
	const void *octets = primary->address.ss_family == AF_INET
	                         ? (const void *)&((const struct sockaddr_in *)&primary->address)->sin_addr
	                         : &((const struct sockaddr_in6 *)&primary->address)->sin6_addr;

	assert_string_equal(address, inet_ntop(primary->address.ss_family, octets, text, sizeof(text)));
	if (key)
		expect_name(primary->key, key);
	else
		assert_null(primary->key);
}

static void test_members(void **state)
{
	struct catalog *catalog = read_text(HEAD "One.zones 0 PTR B.Example.\n"
	                                         "two.zones 0 PTR a.example.\n"
	                                         "three.zones 0 PTR .\n"
	                                         "coo.one.zones 0 PTR Other.Example.\n"
	                                         "group.two.zones 0 TXT a b\n"
	                                         "group.two.zones 0 TXT second\n"
	                                         "unknown.two.zones 0 TXT x\n"
	                                         "zones 0 TXT x\n"
	                                         "x.y 0 PTR no.member.\n"
	                                         "group.none.zones 0 TXT lost\n"
	                                         "a.b.c.d.e.f.g 0 PTR no.member.\n");
	const struct catalog_member *member;

	assert_non_null(catalog);
	assert_int_equal(catalog->serial, 7);
	assert_int_equal(catalog->count, 3);
	assert_int_equal(catalog->warnings, 0);
	expect_name(catalog->members[0].zone, ".");
	expect_name(catalog->members[1].zone, "a.example.");
	member = find(catalog, "b.example.");
	assert_non_null(member);
	assert_memory_equal(member->id, "\3one", 4);
	expect_name(member->coo, "other.example.");
	assert_null(member->groups);
	member = find(catalog, "a.example.");
	assert_null(member->coo);
	assert_int_equal(member->groups->length, 2);
	assert_memory_equal(member->groups->text, "ab", 2);
	assert_int_equal(member->groups->next->length, 6);
	assert_null(member->groups->next->next);
	assert_null(find(catalog, "no.member."));
	catalog_free(catalog);
}

static void test_broken(void **state)
{
	static const char start[] = "@ 0 SOA invalid. invalid. 7 3600 600 86400 0\n@ 0 NS invalid.\n";
	char text[1024];

	expect_broken(start, "no schema version");
	snprintf(text, sizeof(text), "%sversion 0 TXT \"1\"\n", start);
	expect_broken(text, "schema version is `1`");
	snprintf(text, sizeof(text), "%sversion 0 TXT \"2\\027[31m\"\n", start);
	expect_broken(text, "schema version is `2?[31m`");
	snprintf(text, sizeof(text), "%sversion 0 TXT \"2\"\nversion 0 TXT \"3\"\n", start);
	expect_broken(text, "2 versions");
	snprintf(text, sizeof(text), "%sversion 0 A 192.0.2.2\n", start);
	expect_broken(text, "no schema version");
	expect_broken(HEAD "a.zones 0 PTR one.example.\na.zones 0 PTR two.example.\n",
	              "a.zones.catalog.example. has 2 PTR records");
	expect_broken(HEAD "a.zones 0 PTR one.example.\nb.zones 0 PTR ONE.example.\n",
	              "zone one.example. is its member twice, as ");
	expect_broken(HEAD "a.zones 0 PTR one.example.\ncoo.a.zones 0 PTR x.\ncoo.a.zones 0 PTR y.\n",
	              "coo.a.zones.catalog.example. has 2 PTR records");
}

static void test_primaries(void **state)
{
	struct catalog *catalog = read_text(HEAD "primaries.ext 0 A 192.0.2.1\n"
	                                         "primaries.ext 0 AAAA 2001:db8::1\n"
	                                         "k.primaries.ext 0 A 192.0.2.2\n"
	                                         "k.primaries.ext 0 TXT Key.Example\n"
	                                         "a.zones 0 PTR a.example.\n"
	                                         "b.zones 0 PTR b.example.\n"
	                                         "x.masters.ext.b.zones 0 A 192.0.2.9\n"
	                                         "x.masters.ext.b.zones 0 TXT other.\n"
	                                         "c.zones 0 PTR c.example.\n"
	                                         "x.primaries.ext.c.zones 0 A 192.0.2.10\n"
	                                         "x.primaries.ext.c.zones 0 TXT \"bad..name\"\n"
	                                         "primaries.d.zones 0 A 192.0.2.11\n"
	                                         "d.zones 0 PTR d.example.\n");
	const struct catalog_member *member;

	assert_non_null(catalog);
	member = find(catalog, "a.example.");
	assert_int_equal(member->primaries->count, 3);
	expect_primary(&member->primaries->list[0], "192.0.2.1", NULL);
	expect_primary(&member->primaries->list[1], "2001:db8::1", NULL);
	expect_primary(&member->primaries->list[2], "192.0.2.2", "key.example.");
	assert_ptr_equal(find(catalog, "d.example.")->primaries, member->primaries);
	member = find(catalog, "b.example.");
	assert_int_equal(member->primaries->count, 1);
	expect_primary(&member->primaries->list[0], "192.0.2.9", "other.");
	/* A key that is none: never asked without. */
	member = find(catalog, "c.example.");
	assert_non_null(member->primaries);
	assert_int_equal(member->primaries->count, 0);
	assert_int_equal(catalog->warnings, 1);
	assert_non_null(strstr(catalog->warning, "x.primaries.ext.c.zones"));
	catalog_free(catalog);
}

static void expect_differences(const struct catalog *one, const struct catalog *other, const char *wanted)
{
	char got[512] = "";
	size_t count, used = 0;
	const uint8_t **zones = catalog_differences(one, other, &count);

	assert_non_null(zones);
	for (size_t i = 0; i < count; i++) {
		knot_dname_txt_storage_t text;

		knot_dname_to_str(text, zones[i], sizeof(text));
		used += (size_t)snprintf(got + used, sizeof(got) - used, "%s ", text);
	}
	free(zones);
	assert_string_equal(got, wanted);
}

static void test_differences(void **state)
{
	struct catalog *one = read_text(HEAD "a.zones 0 PTR a.\nb.zones 0 PTR b.\nc.zones 0 PTR c.\nd.zones 0 PTR d.\n"
	                                     "e.zones 0 PTR e.\ngroup.e.zones 0 TXT g\nf.zones 0 PTR f.\n");
	struct catalog *other = read_text(HEAD "a.zones 0 PTR a.\nx.zones 0 PTR b.\nc.zones 0 PTR c.\n"
	                                       "coo.c.zones 0 PTR n.\ne.zones 0 PTR e.\ngroup.e.zones 0 TXT h\n"
	                                       "f.zones 0 PTR f.\nprimaries.ext.f.zones 0 A 192.0.2.1\n"
	                                       "g.zones 0 PTR g.\n");

	expect_differences(one, other, "b. c. d. e. f. g. ");
	expect_differences(other, one, "b. c. d. e. f. g. ");
	expect_differences(one, one, "");
	expect_differences(NULL, one, "a. b. c. d. e. f. ");
	expect_differences(one, NULL, "a. b. c. d. e. f. ");
	catalog_free(one);
	catalog_free(other);
}

/* Reading and comparing go by the number of members, not its square. */
static void test_many(void **state)
{
	enum { COUNT = 10000 };
	char *text = malloc(COUNT * 64 + sizeof(HEAD)), *at = text;
	struct catalog *catalog, *more;
	size_t count;
	const uint8_t **zones;
	clock_t begun;

	assert_non_null(text);
	at += sprintf(at, HEAD);
	for (int i = 0; i < COUNT; i++)
		at += sprintf(at, "id%d.zones 0 PTR z%d.example.\n", (i * 7919) % COUNT, i);
	begun = clock();
	catalog = read_text(text);
	sprintf(at, "more.zones 0 PTR more.example.\n");
	more = read_text(text);
	assert_non_null(catalog);
	assert_int_equal(catalog->count, COUNT);
	for (int i = 0; i < COUNT; i++) {
		char name[32];

		snprintf(name, sizeof(name), "z%d.example.", i);
		assert_non_null(find(catalog, name));
	}
	zones = catalog_differences(catalog, more, &count);
	assert_int_equal(count, 1);
	expect_name(zones[0], "more.example.");
	assert_true((clock() - begun) / CLOCKS_PER_SEC < 20);
	free(zones);
	catalog_free(catalog);
	catalog_free(more);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_members),     cmocka_unit_test(test_broken), cmocka_unit_test(test_primaries),
	    cmocka_unit_test(test_differences), cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

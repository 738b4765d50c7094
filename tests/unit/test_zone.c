/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What makes a zone, and what is refused as none. */
#include "zone_text.h"

static void is_sorted_and_whole(void **state)
{
	static const char *const order[] = {"\1a\4test", "\1b\1a\4test", "\1*\1z\4test"};
	struct zone_version *zone =
	    zone_text("test.", "b.A A 192.0.2.2\n*.z A 192.0.2.1\na TXT x\na 60 A 192.0.2.2\na 30 A 192.0.2.1\n"
	                       "a A 192.0.2.1\n@ SOA a b 9 8 7 6 5\n@ NS a\n");

	assert_int_equal(4, zone->name_count);
	assert_int_equal(9, zone->serial);
	assert_int_equal(8, zone->refresh);
	assert_int_equal(7, zone->retry);
	assert_int_equal(6, zone->expire);
	assert_int_equal(5, zone->minimum);
	assert_string_equal("\4test", (const char *)zone->names[0].owner);
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(order[i], (const char *)zone->names[i + 1].owner);
	/* Duplicates go, the smallest TTL stays, types are sorted. */
	assert_int_equal(2, zone->names[1].rrset_count);
	assert_int_equal(KNOT_RRTYPE_A, zone->names[1].rrsets[0].type);
	assert_int_equal(2, zone->names[1].rrsets[0].count);
	assert_int_equal(30, zone->names[1].rrsets[0].ttl);
	zone_unref(zone);
}

/* The names of RFC 4034 section 6.1, and labels that hold an octet 0. */
static void canonical_order(void **state)
{
	static const uint8_t names[][24] = {
	    "\7example",          "\1a\7example",        "\10yljkjljk\1a\7example", "\1\0\1z\7example",
	    "\2\0a\1z\7example",  "\3\0a\0\1z\7example", "\1\1\1z\7example",        "\1*\1z\7example",
	    "\1\xc8\1z\7example", "\2za\7example",
	};
	const size_t count = sizeof(names) / sizeof(names[0]);

	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < count; j++) {
			int order = zone_compare_names(names[i], names[j]);

			assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
		}
}

static void refused_at_the_end(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
	    {"@ NS a\na A 192.0.2.1\n", "no SOA record"},
	    {"@ SOA a b 1 1 1 1 1\n", "no NS record at the apex"},
	    {"@ SOA a b 1 1 1 1 1\n@ NS a\nc CNAME a\nc A 192.0.2.1\n", "c.test. CNAME stands beside other data"},
	    {"@ SOA a b 1 1 1 1 1\n@ NS a\nc CNAME a\nc CNAME b\n", "c.test. CNAME has more than one record"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char why[512] = "";

		assert_null(zone_builder_finish(zone_text_read("test.", rows[i].text), why, sizeof(why)));
		assert_string_equal(rows[i].why, why);
	}
}

static void refused_at_once(void **state)
{
	static const uint8_t soa1[] = "\0\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1";
	static const uint8_t soa2[] = "\0\0\0\0\0\2\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1";
	static const uint8_t pointer[] = "\0\12\300\14";
	static const struct {
		const char *owner;
		uint16_t type;
		const uint8_t *rdata;
		uint16_t length;
		const char *why;
	} rows[] = {
	    {"\1a\5other", KNOT_RRTYPE_A, soa1, 4, "a.other. A is outside the zone"},
	    {"\0", KNOT_RRTYPE_A, soa1, 4, ". A is outside the zone"},
	    {"\1a\4test", KNOT_RRTYPE_A, soa1, 5, "a.test. A has malformed data"},
	    {"\1a\4test", KNOT_RRTYPE_AAAA, soa1, 4, "a.test. AAAA has malformed data"},
	    {"\1a\4test", KNOT_RRTYPE_MX, pointer, 4, "a.test. MX has malformed data"},
	    {"\1a\4test", KNOT_RRTYPE_OPT, soa1, 0, "a.test. OPT has malformed data"},
	    {"\1a\4test", KNOT_RRTYPE_SOA, soa1, 22, "a.test. SOA is not at the apex"},
	    {"\4test", KNOT_RRTYPE_SOA, soa2, 22, "two different SOA records"},
	    {"\1b\4test", KNOT_RRTYPE_A, soa1, 4, "more than 2 records"},
	};
	struct zone_builder *builder = zone_builder_new((const uint8_t *)"\4test", 2);

	assert_int_equal(0, zone_builder_add(builder, (const uint8_t *)"\4TEST", KNOT_RRTYPE_SOA, 1, soa1, 22));
	assert_int_equal(0, zone_builder_add(builder, (const uint8_t *)"\4test", KNOT_RRTYPE_SOA, 1, soa1, 22));
	assert_int_equal(0, zone_builder_add(builder, (const uint8_t *)"\1a\4test", KNOT_RRTYPE_A, 1, soa1, 4));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(-1, zone_builder_add(builder, (const uint8_t *)rows[i].owner, rows[i].type, 1,
		                                      rows[i].rdata, rows[i].length));
		assert_string_equal(rows[i].why, zone_builder_error(builder));
	}
	zone_builder_free(builder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(is_sorted_and_whole),
	    cmocka_unit_test(canonical_order),
	    cmocka_unit_test(refused_at_the_end),
	    cmocka_unit_test(refused_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

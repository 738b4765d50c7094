/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changes of a zone version: what they lead to, and those that do not fit. */
#include "change_text.h"

static const char *const base_text = "@ 300 SOA a b 7 6 5 4 3\n@ 300 NS a\na 300 A 192.0.2.1\na 300 A 192.0.2.2\n"
                                     "a 300 TXT x\nw 300 CNAME a\n";

/* Returns what comes out, or NULL with the reason in `why`. */
static struct zone_version *apply(const char *lines, uint64_t max, char *why, size_t why_size)
{
	return zone_changes_apply(change_text(lines, 7, max), zone_text_read("test.", base_text), why, why_size);
}

static void fits(const char *lines, size_t names, uint32_t serial)
{
	char why[512] = "";
	struct zone_version *version = apply(lines, 0, why, sizeof(why));

	if (!version)
		fail_msg("%s: %s", lines, why);
	assert_int_equal(names, version->name_count);
	assert_int_equal(serial, version->serial);
	zone_unref(version);
}

static void lead_on(void **state)
{
	char why[512];
	struct zone_version *version;

	fits("= 8\n", 3, 8);
	fits("+ b A 1\n= 8\n", 4, 8);
	fits("- a A 1\n- a A 2\n= 8\n", 3, 8);
	/* The same record again and again. */
	fits("- a A 1\n= 8\n+ a A 1\n= 9\n- a A 1\n+ a A 1\n= 10\n- A A 1\n= 11\n", 3, 11);
	fits("+ b A 1\n= 8\n- b A 1\n= 9\n", 3, 9);
	version = apply("- a A 1\n- a A 2\n+ A A 7\n+ A A 9\n+ 0 A 1\n+ z A 1\n= 8\n", 0, why, sizeof(why));
	assert_int_equal(5, version->name_count);
	assert_string_equal("\1a\4test", (const char *)version->names[2].owner);
	assert_int_equal(2, version->names[2].rrsets[0].count);
	assert_int_equal(7, version->names[2].rrsets[0].rdata[5]);
	assert_int_equal(9, version->names[2].rrsets[0].rdata[11]);
	assert_int_equal(60, version->names[2].rrsets[0].ttl);
	zone_unref(version);
}

static void refused(void **state)
{
	static const struct {
		const char *lines;
		uint64_t max;
		const char *why;
	} rows[] = {
	    {"- a A 3\n= 8\n", 0, "a record is to be removed that is not there: a.test. A"},
	    {"- zz A 3\n= 8\n", 0, "a record is to be removed that is not there: zz.test. A"},
	    {"- 0 A 3\n= 8\n", 0, "a record is to be removed that is not there: 0.test. A"},
	    {"+ a A 1\n= 8\n", 0, "a record is to be added that is there: a.test. A"},
	    {"- a A 1\n- a A 1\n= 8\n", 0, "a record is to be removed that is not there: a.test. A"},
	    {"+ b A 1\n+ b A 1\n= 8\n", 0, "a record is to be added that is there: b.test. A"},
	    {"- a A 1\n= 8\n- a A 1\n+ a A 1\n= 9\n", 0, "a record is to be removed that is not there: a.test. A"},
	    {"+ a A 3\n= 8\n", 0, "an RRset would have two TTLs: a.test. A"},
	    {"+ w A 1\n= 8\n", 0, "w.test. CNAME stands beside other data"},
	    {"+ b A 1\n", 0, "no SOA to lead to"},
	    {"+ b A 1\n= 8\n", 6, "more than 6 records"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char why[512] = "";

		assert_null(apply(rows[i].lines, rows[i].max, why, sizeof(why)));
		assert_string_equal(rows[i].why, why);
	}
}

/* Random histories against sets of bits: a record is there or not. */
#define NAMES 40
#define ADDRESSES 6

static struct zone_version *version_of(const bool *there, uint32_t serial)
{
	static char text[NAMES * ADDRESSES * 32];
	size_t at = snprintf(text, sizeof(text), "@ 300 SOA a b %u 6 5 4 3\n@ 300 NS a\n", serial);

	for (unsigned i = 0; i < NAMES * ADDRESSES; i++)
		if (there[i])
			at += snprintf(text + at, sizeof(text) - at, "n%u 300 A 192.0.2.%u\n", i / ADDRESSES,
			               i % ADDRESSES);
	return zone_text("test.", text);
}

static struct zone_builder *builder_of(const struct zone_version *version)
{
	struct zone_builder *builder = zone_builder_new(version->apex, 0);

	for (size_t i = 0; i < version->name_count; i++)
		for (size_t j = 0; j < version->names[i].rrset_count; j++) {
			const struct zone_rrset *rrset = &version->names[i].rrsets[j];
			const uint8_t *at = rrset->rdata;

			for (uint32_t k = 0; k < rrset->count; k++, at += 2 + *(const uint16_t *)at)
				assert_int_equal(0, zone_builder_add(builder, version->names[i].owner, rrset->type,
				                                     rrset->ttl, at + 2, *(const uint16_t *)at));
		}
	return builder;
}

/* One difference: every bit is turned over with some chance. */
static void differ(struct zone_changes *changes, bool *there, unsigned serial, unsigned chance)
{
	bool next[NAMES * ADDRESSES];
	uint8_t soa[] = "\1a\4test\0\1b\4test\0\0\0\0\0\0\0\0\6\0\0\0\5\0\0\0\4\0\0\0\3";

	assert_int_equal(0, zone_changes_next(changes));
	for (unsigned i = 0; i < NAMES * ADDRESSES; i++)
		next[i] = there[i] ^ !((unsigned)random() % chance);
	for (int adds = 0; adds < 2; adds++)
		for (unsigned i = 0; i < NAMES * ADDRESSES; i++) {
			uint8_t address[] = {192, 0, 2, i % ADDRESSES};
			char text[32];
			knot_dname_storage_t owner;

			snprintf(text, sizeof(text), "n%u.test.", i / ADDRESSES);
			assert_non_null(knot_dname_from_str(owner, text, sizeof(owner)));
			if (adds && next[i] && !there[i])
				zone_changes_add(changes, owner, KNOT_RRTYPE_A, 300, address, 4);
			if (!adds && !next[i] && there[i])
				zone_changes_remove(changes, owner, KNOT_RRTYPE_A, address, 4);
		}
	memcpy(there, next, sizeof(next));
	knot_wire_write_u32(soa + 16, serial);
	assert_int_equal(0, zone_changes_soa(changes, 300, soa, sizeof(soa) - 1));
}

static void assert_same(const struct zone_version *a, const struct zone_version *b)
{
	assert_int_equal(a->serial, b->serial);
	assert_int_equal(a->name_count, b->name_count);
	for (size_t i = 0; i < a->name_count; i++) {
		assert_true(knot_dname_is_equal(a->names[i].owner, b->names[i].owner));
		assert_int_equal(a->names[i].rrset_count, b->names[i].rrset_count);
		for (size_t j = 0; j < a->names[i].rrset_count; j++) {
			const struct zone_rrset *one = &a->names[i].rrsets[j], *other = &b->names[i].rrsets[j];

			assert_int_equal(one->ttl, other->ttl);
			assert_int_equal(one->size, other->size);
			assert_memory_equal(one->rdata, other->rdata, one->size);
		}
	}
}

static void random_histories(void **state)
{
	bool there[NAMES * ADDRESSES] = {false};
	struct zone_version *version = version_of(there, 1);
	uint32_t serial = 1;

	srandom(1995);
	for (int round = 0; round < 300; round++) {
		struct zone_changes *changes = zone_changes_new(version->apex, serial, 0);
		unsigned chance = 2 + (unsigned)random() % 100;
		struct zone_version *fresh, *next;
		char why[512] = "";

		for (unsigned i = (unsigned)random() % 6 + 1; i > 0; i--)
			differ(changes, there, ++serial, chance);
		next = zone_changes_apply(changes, builder_of(version), why, sizeof(why));
		if (!next)
			fail_msg("%s", why);
		fresh = version_of(there, serial);
		assert_same(fresh, next);
		zone_unref(fresh);
		zone_unref(version);
		version = next;
	}
	zone_unref(version);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lead_on),
	    cmocka_unit_test(refused),
	    cmocka_unit_test(random_histories),
	};

	return cmocka_run_group_tests_name("change", tests, NULL, NULL);
}

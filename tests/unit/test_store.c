/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The store alone: what is put comes out, whatever came before it. */
#include "change_text.h"
#include "store_world.h"

#define SOA(serial) "@ 300 SOA a b " #serial " 6 5 400 3\n"
#define BASE "@ 300 NS a\na 60 A 192.0.2.1\na 60 A 192.0.2.2\n"

static char text[16384];

static int open_store(void **state)
{
	open_world(state);
	store_world_start(&world, 0);
	return 0;
}

static void expect_zone(const char *expected)
{
	store_world_zone(world.store, "test.", text, sizeof(text));
	assert_string_equal(expected, text);
}

static void expect_journal(uint32_t from, const char *expected)
{
	store_world_journal(world.store, "test.", from, text, sizeof(text));
	assert_string_equal(expected, text);
}

static void expect_loaded(uint32_t serial, size_t names)
{
	char why[256] = "";
	struct zone_version *version = store_load(world.store, (const uint8_t *)"\4test", why, sizeof(why));

	if (!version)
		fail_msg("%s", why);
	assert_int_equal(serial, version->serial);
	assert_int_equal(names, version->name_count);
	zone_unref(version);
}

static struct store_edit *make_edit(uint32_t from, const char *lines)
{
	struct zone_changes *changes = change_text(lines, from, 0);
	struct store_edit *edit = store_edit_new(changes);

	assert_non_null(edit);
	zone_changes_free(changes);
	return edit;
}

static void change(uint32_t from, const char *lines, uint64_t journal)
{
	size_t said = world.written + world.misfits + world.failed;

	store_put_edit(world.store, make_edit(from, lines), &store_world_clocks, journal);
	store_world_wait(&world, said + 1);
}

static void comes_out(void **state)
{
	static const char *const zone = "test. 300 NS a.test.\n"
	                                "test. 300 SOA a.test. b.test. 7 6 5 400 3\n"
	                                "a.test. 60 A 192.0.2.1\na.test. 60 A 192.0.2.2\n"
	                                "\\000.a.test. 60 A 192.0.2.9\n\\001\\002.a.test. 60 A 192.0.2.8\n"
	                                "*.a.test. 60 TXT \"x\"\n";
	struct store_zone found;

	expect_zone("");
	assert_false(store_find(world.store, (const uint8_t *)"\4test", &found));
	store_world_put(&world, SOA(7) BASE "\\000.a 60 A 192.0.2.9\n*.a 60 TXT x\n\\001\\002.a 60 A 192.0.2.8\n");
	assert_int_equal(1, world.written);
	assert_int_equal(7, world.serial);
	expect_zone(zone);
	expect_loaded(7, 5);
	assert_true(store_find(world.store, (const uint8_t *)"\4test", &found));
	assert_int_equal(7, found.serial);
	assert_int_equal(6, found.rrsets);
	assert_int_equal(7, found.journal_from);
	assert_int_equal(UINT64_MAX / 4, found.clocks.expires_at);
	assert_int_equal(7, found.clocks.refresh_at);
	store_world_stop(&world);
	store_world_start(&world, 0);
	expect_zone(zone);
	expect_journal(7, "");
	expect_journal(6, "gap");
}

static void signatures_follow(void **state)
{
	store_world_put(&world, SOA(7) BASE "a 60 RRSIG NSEC 8 2 10 20300101000000 20200101000000 1 test. AAAA\n"
	                                    "a 60 RRSIG A 8 2 60 20300101000000 20200101000000 1 test. AAAA\n"
	                                    "a 60 RRSIG A 8 2 60 20300101000000 20200101000000 2 test. AAAA\n"
	                                    "a 10 NSEC test. A RRSIG NSEC\n");
	expect_zone("test. 300 NS a.test.\n"
	            "test. 300 SOA a.test. b.test. 7 6 5 400 3\n"
	            "a.test. 60 A 192.0.2.1\na.test. 60 A 192.0.2.2\n"
	            "a.test. 60 RRSIG A 8 2 60 20300101000000 20200101000000 1 test. AAAA\n"
	            "a.test. 60 RRSIG A 8 2 60 20300101000000 20200101000000 2 test. AAAA\n"
	            "a.test. 10 NSEC test. A RRSIG NSEC\n"
	            "a.test. 10 RRSIG NSEC 8 2 10 20300101000000 20200101000000 1 test. AAAA\n");
}

/* Types with octets as large as those of labels, and like the escaped ones of labels: a name's come before the names
 * below it, when a version is written anew and when it is compared with what is there. */
static void types_are_of_any_number(void **state)
{
	static const char *const below = "b.a 60 A 192.0.2.4\n\\000.a 60 A 192.0.2.5\n\\001\\002.a 60 A 192.0.2.6\n";
	char zone[1024];

	for (unsigned serial = 7; serial < 9; serial++) {
		snprintf(zone, sizeof(zone),
		         "@ 300 SOA a b %u 6 5 400 3\n" BASE "%sa 60 TYPE65280 \\# 1 0%u\na 60 TYPE261 \\# 1 01\n"
		         "a 60 TYPE24832 \\# 1 61\na 60 RRSIG TYPE65280 8 2 60 20300101000000 20200101000000 1 test. "
		         "AAAA\n@ 60 TYPE65280 \\# 1 03\n",
		         serial, below, serial);
		store_world_put(&world, zone);
		assert_int_equal(serial - 6, world.written);
		snprintf(zone, sizeof(zone),
		         "test. 300 NS a.test.\ntest. 300 SOA a.test. b.test. %u 6 5 400 3\n"
		         "test. 60 TYPE65280 \\# 1 03\na.test. 60 A 192.0.2.1\na.test. 60 A 192.0.2.2\n"
		         "a.test. 60 TYPE261 \\# 1 01\na.test. 60 TYPE24832 \\# 1 61\n"
		         "a.test. 60 TYPE65280 \\# 1 0%u\n"
		         "a.test. 60 RRSIG TYPE65280 8 2 60 20300101000000 20200101000000 1 test. AAAA\n"
		         "\\000.a.test. 60 A 192.0.2.5\n\\001\\002.a.test. 60 A 192.0.2.6\nb.a.test. 60 A 192.0.2.4\n",
		         serial, serial);
		expect_zone(zone);
		expect_loaded(serial, 5);
	}
	expect_journal(8, "");
}

/* A whole version after another: what differs is journalled. */
static void versions_differ(void **state)
{
	store_world_put(&world, SOA(7) BASE "b 60 A 192.0.2.7\nz 60 TXT x\n");
	store_world_put(&world, SOA(8) "@ 300 NS a\na 60 A 192.0.2.1\na 60 A 192.0.2.3\nb 30 A 192.0.2.7\n"
	                               "c 60 A 192.0.2.5\n");
	expect_zone("test. 300 NS a.test.\n"
	            "test. 300 SOA a.test. b.test. 8 6 5 400 3\n"
	            "a.test. 60 A 192.0.2.1\na.test. 60 A 192.0.2.3\n"
	            "b.test. 30 A 192.0.2.7\n"
	            "c.test. 60 A 192.0.2.5\n");
	expect_journal(7, "< test. 300 SOA a.test. b.test. 7 6 5 400 3\n"
	                  "- a.test. 60 A 192.0.2.2\n"
	                  "- b.test. 60 A 192.0.2.7\n"
	                  "- z.test. 60 TXT \"x\"\n"
	                  "> test. 300 SOA a.test. b.test. 8 6 5 400 3\n"
	                  "+ a.test. 60 A 192.0.2.3\n"
	                  "+ b.test. 30 A 192.0.2.7\n"
	                  "+ c.test. 60 A 192.0.2.5\n");
	/* The same again changes nothing; an earlier serial makes a gap. */
	store_world_put(&world, SOA(8) "@ 300 NS a\na 60 A 192.0.2.1\na 60 A 192.0.2.3\nb 30 A 192.0.2.7\n"
	                               "c 60 A 192.0.2.5\n");
	expect_journal(8, "");
	store_world_journal(world.store, "test.", 7, text, sizeof(text));
	assert_true(strlen(text) > 100);
	store_world_put(&world, SOA(5) BASE);
	expect_journal(8, "gap");
	expect_journal(7, "gap");
	expect_loaded(5, 2);
	assert_int_equal(4, world.written);
}

static void edits_apply(void **state)
{
	store_world_put(&world, SOA(7) BASE);
	change(7, "- a A 1\n+ a A 3\n+ b A 1\n= 8\n- b A 1\n= 9\n", STORE_JOURNAL_DEFAULT);
	change(9, "- a A 2\n- a A 3\n+ c A 1\n+ c A 2\n= 10\n", STORE_JOURNAL_DEFAULT);
	assert_int_equal(3, world.written);
	expect_zone("test. 300 NS a.test.\n"
	            "test. 300 SOA a.test. b.test. 10 6 5 400 3\n"
	            "c.test. 60 A 192.0.2.1\nc.test. 60 A 192.0.2.2\n");
	expect_loaded(10, 2);
	expect_journal(7, "< test. 300 SOA a.test. b.test. 7 6 5 400 3\n"
	                  "- a.test. 60 A 192.0.2.1\n"
	                  "> test. 300 SOA a.test. b.test. 8 6 5 400 3\n"
	                  "+ a.test. 60 A 192.0.2.3\n"
	                  "+ b.test. 60 A 192.0.2.1\n"
	                  "< test. 300 SOA a.test. b.test. 8 6 5 400 3\n"
	                  "- b.test. 60 A 192.0.2.1\n"
	                  "> test. 300 SOA a.test. b.test. 9 6 5 400 3\n"
	                  "< test. 300 SOA a.test. b.test. 9 6 5 400 3\n"
	                  "- a.test. 60 A 192.0.2.2\n"
	                  "- a.test. 60 A 192.0.2.3\n"
	                  "> test. 300 SOA a.test. b.test. 10 6 5 400 3\n"
	                  "+ c.test. 60 A 192.0.2.1\n"
	                  "+ c.test. 60 A 192.0.2.2\n");
	expect_journal(9, "< test. 300 SOA a.test. b.test. 9 6 5 400 3\n"
	                  "- a.test. 60 A 192.0.2.2\n"
	                  "- a.test. 60 A 192.0.2.3\n"
	                  "> test. 300 SOA a.test. b.test. 10 6 5 400 3\n"
	                  "+ c.test. 60 A 192.0.2.1\n"
	                  "+ c.test. 60 A 192.0.2.2\n");
	expect_journal(6, "gap");
	expect_journal(11, "gap");
}

static void misfits(void **state)
{
	static const char *const wrong[] = {"- a A 7\n= 8\n", "+ a A 1\n= 8\n", "- q A 1\n= 8\n",
	                                    "- a A 1\n- a A 1\n= 8\n"};
	size_t many = sizeof(wrong) / sizeof(wrong[0]);
	char before[1024];

	change(7, "+ b A 1\n= 8\n", STORE_JOURNAL_DEFAULT);
	assert_int_equal(1, world.misfits);
	store_world_put(&world, SOA(7) BASE);
	store_world_zone(world.store, "test.", before, sizeof(before));
	for (size_t i = 0; i < many; i++)
		change(7, wrong[i], STORE_JOURNAL_DEFAULT);
	change(6, "+ b A 1\n= 8\n", STORE_JOURNAL_DEFAULT);
	assert_int_equal(2 + many, world.misfits);
	assert_int_equal(1, world.written);
	expect_zone(before);
	expect_journal(7, "");
	/* What stands beside it in the queue is written. */
	store_put_edit(world.store, make_edit(7, "- a A 7\n= 9\n"), &store_world_clocks, 0);
	store_put_edit(world.store, make_edit(7, "- a A 1\n= 8\n"), &store_world_clocks, 0);
	store_world_wait(&world, 5 + many);
	assert_int_equal(2, world.written);
	expect_loaded(8, 2);
}

static void journal_is_bounded(void **state)
{
	struct store_zone zone;

	store_world_put(&world, SOA(1) BASE);
	for (uint32_t serial = 1; serial < 200; serial++) {
		char lines[64];

		snprintf(lines, sizeof(lines), "%c c A 1\n= %u\n", serial & 1 ? '+' : '-', serial + 1);
		change(serial, lines, 4096);
	}
	assert_true(store_find(world.store, (const uint8_t *)"\4test", &zone));
	assert_int_equal(200, zone.serial);
	assert_true(zone.journal_octets <= 4096 && zone.journal_octets > 3500);
	assert_true(zone.journal_from > 150 && zone.journal_from < 199);
	store_world_journal(world.store, "test.", zone.journal_from - 1, text, sizeof(text));
	assert_string_equal("gap", text);
	store_world_journal(world.store, "test.", zone.journal_from, text, sizeof(text));
	assert_true(strlen(text) > 1000);
	/* One that is larger than all the room there is leaves none. */
	change(200, "+ d A 1\n+ e A 1\n= 201\n", 100);
	assert_true(store_find(world.store, (const uint8_t *)"\4test", &zone));
	assert_int_equal(201, zone.journal_from);
	assert_int_equal(0, zone.journal_octets);
	store_world_stop(&world);
	/* It is looked at as after an unclean end. */
	{
		char path[128];

		snprintf(path, sizeof(path), "%s/owner", world.path);
		assert_int_equal(0, truncate(path, 1));
	}
	store_world_start(&world, 0);
	expect_loaded(201, 5);
}

/* What a reader sees stays as it was when it began. */
static void snapshot_stands(void **state)
{
	struct store_snapshot *snapshot;
	struct store_rrset rrset;
	size_t count = 0;

	store_world_put(&world, SOA(7) BASE);
	snapshot = store_snapshot_begin(world.store, (const uint8_t *)"\4test");
	assert_int_equal(1, store_snapshot_next(snapshot, &rrset));
	change(7, "- a A 1\n- a A 2\n= 8\n", STORE_JOURNAL_DEFAULT);
	store_remove(world.store, (const uint8_t *)"\4test");
	store_world_put(&world, SOA(9) BASE "c 1 A 192.0.2.1\n");
	assert_int_equal(7, store_snapshot_zone(snapshot)->serial);
	while (store_snapshot_next(snapshot, &rrset) > 0)
		count++;
	assert_int_equal(2, count);
	assert_int_equal(0, store_snapshot_soa(snapshot, &rrset));
	store_snapshot_end(snapshot);
	expect_loaded(9, 3);
}

static void note_zone(void *context, const uint8_t *apex, const struct store_zone *zone)
{
	unsigned *serials = context;

	serials[apex[1] - 'a'] = zone->serial;
}

static void zones_are_listed(void **state)
{
	unsigned serials[26] = {};

	for (char name = 'a'; name < 'e'; name++) {
		char origin[8] = {name, '.', 0}, lines[128];
		struct zone_version *version;

		snprintf(lines, sizeof(lines), "@ 3 SOA a b %d 1 1 1 1\n@ 3 NS a\n", name);
		version = zone_text(origin, lines);
		store_put_version(world.store, version, &store_world_clocks, 0);
		zone_unref(version);
	}
	store_world_wait(&world, 4);
	store_remove(world.store, (const uint8_t *)"\1b");
	store_world_stop(&world);
	store_world_start(&world, 0);
	assert_int_equal(0, store_each_zone(world.store, note_zone, serials));
	assert_int_equal('a', serials[0]);
	assert_int_equal(0, serials[1]);
	assert_int_equal('c', serials[2]);
	assert_int_equal('d', serials[3]);
}

int main(void)
{
#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, open_store, close_world)
	const struct CMUnitTest tests[] = {
	    WITH_STORE(comes_out),          WITH_STORE(types_are_of_any_number),
	    WITH_STORE(signatures_follow),  WITH_STORE(versions_differ),
	    WITH_STORE(edits_apply),        WITH_STORE(misfits),
	    WITH_STORE(journal_is_bounded), WITH_STORE(snapshot_stands),
	    WITH_STORE(zones_are_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

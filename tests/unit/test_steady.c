/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which names of a change are steady, so that they are compiled by themselves, and which are not. Whatever is thought
 * of them, what stands in the image afterwards is what a fresh one has.
 */
#include "same_images.h"
#include "signed_zone.h"

#include "publish/steady.h"

#define ORIGIN "h.test."
#define HEAD(serial) "$TTL 300\n@ 3600 SOA ns host " #serial " 600 300 86400 60\n@ NS ns\nns A 192.0.2.1\n"
#define SIGNATURE(octets) "RRSIG A 13 3 300 20400101000000 20200101000000 7 @ " octets "\n"

/* A change, and the names that are steady in it, each followed by a space. */
struct expected {
	const char *before, *after, *steady;
};

static const struct signing nsec, nsec3 = {.nsec3 = true, .iterations = 1};

static void list_steady(struct image *image, struct zone_changes *changes, char *out)
{
	struct steady steady = {};
	struct commit commit;
	char why[512];

	assert_int_equal(0, commit_begin(&commit, image, zone_changes_apex(changes), why, sizeof(why)));
	assert_int_equal(0, steady_find(&steady, &commit, changes));
	for (size_t i = 0; i < steady.count; i++) {
		knot_dname_txt_storage_t text;

		if (!steady.names[i].is_steady)
			continue;
		assert_non_null(knot_dname_to_str(text, steady.names[i].name, sizeof(text)));
		out += sprintf(out, "%.*s ", (int)(strlen(text) - strlen("." ORIGIN)), text);
	}
	*out = '\0';
	steady_free(&steady);
}

static void count_visible(void *context)
{
	++*(unsigned *)context;
}

static struct zone_version *version_of(const char *head, const char *text, const struct signing *how)
{
	char all[4096];

	snprintf(all, sizeof(all), "%s%s", head, text);
	return how ? signed_text(ORIGIN, all, how) : zone_text(ORIGIN, all);
}

static void expect(const struct expected *expected, const struct signing *how)
{
	struct zone_version *before = version_of(HEAD(1), expected->before, how);
	struct zone_version *after = version_of(HEAD(2), expected->after, how);
	struct image *image = fresh_image(7), *fresh = fresh_image(7);
	struct zone_changes *changes = difference_between(before, after);
	char found[512], why[512] = "";
	unsigned visible = 0;

	commit(image, before);
	commit(fresh, after);
	list_steady(image, changes, found);
	if (strcmp(found, expected->steady) != 0)
		fail_msg("from\n%sto\n%s'%s' are steady, not '%s'", expected->before, expected->after, found,
		         expected->steady);
	if (image_change_part(image, changes, UINT64_MAX, count_visible, &visible, why, sizeof(why)) != IMAGE_CHANGED)
		fail_msg("from\n%sto\n%s%s", expected->before, expected->after, why);
	assert_int_equal(1, visible);
	same_images(image, fresh);
	/* Of what was written and taken back nothing is left. */
	image_drop_zone(image, image_hide_zone(image, before->apex));
	assert_int_equal(1, image->segments.warm.used);
	zone_changes_free(changes);
	image_close(image);
	image_close(fresh);
	zone_unref(before);
	zone_unref(after);
}

static void expect_all(const struct expected *expected, size_t count, const struct signing *how)
{
	for (size_t i = 0; i < count; i++)
		expect(&expected[i], how);
}
#define EXPECT_ALL(cases, how) expect_all(cases, sizeof(cases) / sizeof((cases)[0]), how)

/* Data changes, types do not. */
static void steady(void **unused)
{
	static const struct expected cases[] = {
	    {"www A 192.0.2.2\n", "www A 192.0.2.3\n", "www "},
	    {"www A 192.0.2.2\n", "www A 192.0.2.2\nwww A 192.0.2.3\n", "www "},
	    {"www A 192.0.2.2\nwww A 192.0.2.3\n", "www A 192.0.2.3\n", "www "},
	    {"www A 192.0.2.2\n", "www 60 A 192.0.2.2\n", "www "},
	    {"www A 192.0.2.2\nwww AAAA 2001:db8::1\nwww TXT a\nwww TYPE65400 \\# 1 01\nwww CAA 0 issue b\n",
	     "www A 192.0.2.3\nwww AAAA 2001:db8::2\nwww TXT b c\nwww TYPE65400 \\# 1 02\nwww CAA 0 issue b\n", "www "},
	    /* What it names stays as it is. */
	    {"www A 192.0.2.2\nwww MX 1 www\nwww SRV 0 0 1 ns\n", "www A 192.0.2.2\nwww MX 1 www\nwww SRV 0 0 1 ns\n",
	     ""},
	    {"www TXT a\nwww MX 1 mail\nmail TXT a\n", "www TXT b\nwww MX 1 mail\nmail TXT b\n", "mail www "},
	    {"a TXT a\nb A 192.0.2.2\nc TXT a\n", "a TXT b\nb A 192.0.2.3\nc TXT b\nnew A 192.0.2.4\n", "a b c "},
	    {"x A 192.0.2.2\ny.x A 192.0.2.2\n", "x A 192.0.2.3\ny.x A 192.0.2.3\n", "x y.x "},
	    {"s A 192.0.2.2\ns " SIGNATURE("AAAA"), "s A 192.0.2.3\ns " SIGNATURE("BBBB"), "s "},
	    {"s A 192.0.2.2\n", "s A 192.0.2.2\ns " SIGNATURE("BBBB"), "s "},
	    {"s A 192.0.2.2\ns " SIGNATURE("AAAA"), "s A 192.0.2.3\n", "s "},
	};

	EXPECT_ALL(cases, NULL);
}

/* Names come, go, or change what they are. */
static void not_steady(void **unused)
{
	static const struct expected cases[] = {
	    {"www A 192.0.2.2\n", "www A 192.0.2.2\nwww AAAA 2001:db8::1\n", ""},
	    {"www A 192.0.2.2\nwww AAAA 2001:db8::1\n", "www A 192.0.2.3\n", ""},
	    {"www A 192.0.2.2\n", "www TXT a\n", ""},
	    {"a A 192.0.2.2\n", "b A 192.0.2.2\n", ""},
	    {"x.y A 192.0.2.2\n", "x.y A 192.0.2.2\ny A 192.0.2.3\n", ""},
	    {"@ TXT a\n", "@ TXT b\n", ""},
	    {"* A 192.0.2.2\n", "* A 192.0.2.3\n", ""},
	    {"*.w A 192.0.2.2\nw A 192.0.2.2\n", "*.w A 192.0.2.2\nw A 192.0.2.3\n", ""},
	    {"c CNAME a\n", "c CNAME b\n", ""},
	    {"d DNAME a\n", "d DNAME b\n", ""},
	    {"d DNAME a\nd TXT a\n", "d DNAME a\nd TXT b\n", ""},
	    {"m MX 1 a\n", "m MX 1 b\n", ""},
	    {"m SRV 0 0 1 a\n", "m SRV 0 0 2 a\n", ""},
	    {"m HTTPS 1 a\n", "m HTTPS 2 a\n", ""},
	    {"cut NS ns\n", "cut NS ns.cut\n", ""},
	    {"cut NS ns\ncut DS 1 13 2 00\n", "cut NS ns\ncut DS 2 13 2 00\n", ""},
	    /* At a cut, below it, and below a DNAME. */
	    {"cut NS ns\ncut TXT a\n", "cut NS ns\ncut TXT b\n", ""},
	    {"cut NS ns.cut\nns.cut A 192.0.2.2\n", "cut NS ns.cut\nns.cut A 192.0.2.3\n", ""},
	    {"d DNAME a\nx.d A 192.0.2.2\n", "d DNAME a\nx.d A 192.0.2.3\n", ""},
	    /* Their addresses are additional data elsewhere. */
	    {"@ MX 1 mail\nmail A 192.0.2.2\n", "@ MX 1 mail\nmail A 192.0.2.3\n", ""},
	    {"@ MX 1 mail\nmail A 192.0.2.2\nmail TXT a\n", "@ MX 1 mail\nmail A 192.0.2.2\nmail TXT b\n", "mail "},
	    /* Signatures of what is not there are kept apart. */
	    {"k TXT a\nk " SIGNATURE("AAAA"), "k TXT b\nk " SIGNATURE("AAAA"), ""},
	    {"k TXT a\nk " SIGNATURE("AAAA"), "k TXT a\nk " SIGNATURE("BBBB"), ""},
	};

	EXPECT_ALL(cases, NULL);
}

/* They would be, but for what else changes. */
static void concerned_by_others(void **unused)
{
	static const struct expected cases[] = {
	    /* They become targets of additional data. */
	    {"mail A 192.0.2.2\n", "mail A 192.0.2.3\n@ MX 1 mail\n", "mail "},
	    {"a A 192.0.2.2\nb A 192.0.2.2\n", "a A 192.0.2.3\nb A 192.0.2.3\nz MX 1 b\n", "a b "},
	    /* A wildcard comes below. */
	    {"w A 192.0.2.2\nx A 192.0.2.2\n", "w A 192.0.2.3\nx A 192.0.2.3\n*.w A 192.0.2.4\n", "w x "},
	    /* A cut, or a DNAME, comes above, or at the name. */
	    {"x.y A 192.0.2.2\n", "x.y A 192.0.2.3\ny NS ns.else.\n", "x.y "},
	    {"x.y A 192.0.2.2\n", "x.y A 192.0.2.3\ny DNAME else.\n", "x.y "},
	    {"y A 192.0.2.2\n", "y A 192.0.2.3\ny NS ns.else.\n", ""},
	};

	EXPECT_ALL(cases, NULL);
}

static void in_signed_zones(void **unused)
{
	static const struct expected cases[] = {
	    {"a A 192.0.2.2\nm A 192.0.2.2\nz TXT a\n", "a A 192.0.2.3\nm A 192.0.2.2\nz TXT b\n", "a z "},
	    {"a A 192.0.2.2\nx.y.z TXT a\n", "a A 192.0.2.3\nx.y.z TXT b\n", "a x.y.z "},
	    {"* A 192.0.2.2\na A 192.0.2.2\n", "* A 192.0.2.2\na A 192.0.2.3\n", "a "},
	    /* One that has names below it. */
	    {"x TXT a\na.x A 192.0.2.2\nb.x A 192.0.2.2\n", "x TXT b\na.x A 192.0.2.2\nb.x A 192.0.2.3\n", "x b.x "},
	};
	/* A name comes between others: the one before it has another NSEC. */
	static const struct expected name_comes = {"a A 192.0.2.2\nc A 192.0.2.2\nd TXT a\n",
	                                           "a A 192.0.2.3\nb A 192.0.2.2\nc A 192.0.2.3\nd TXT b\n", "c d "};

	EXPECT_ALL(cases, &nsec);
	EXPECT_ALL(cases, &nsec3);
	expect(&name_comes, &nsec);
}

/* Changes that do not lead on from what is served are refused with the reason, and leave it as it is. */
static void misfits(void **unused)
{
	static const struct {
		const char *base, *before, *after, *why;
	} cases[] = {
	    {"a A 192.0.2.1\nw A 192.0.2.2\n", "a A 192.0.2.1\nw A 192.0.2.9\n", "a A 192.0.2.2\nw A 192.0.2.3\n",
	     "a record is to be removed that is not there: w.h.test. A"},
	    {"w A 192.0.2.2\nw A 192.0.2.3\n", "w A 192.0.2.2\n", "w A 192.0.2.2\nw A 192.0.2.3\n",
	     "a record is to be added that is there: w.h.test. A"},
	    {"w A 192.0.2.2\n", "", "w 60 A 192.0.2.3\n", "an RRset would have two TTLs: w.h.test. A"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct zone_version *base = version_of(HEAD(1), cases[i].base, NULL);
		struct zone_version *before = version_of(HEAD(1), cases[i].before, NULL);
		struct zone_version *after = version_of(HEAD(2), cases[i].after, NULL);
		struct image *image = fresh_image(7), *fresh = fresh_image(7);
		struct zone_changes *changes = difference_between(before, after);
		char why[512] = "", found[512];
		uint64_t used;

		commit(image, base);
		commit(fresh, base);
		used = image->segments.warm.used;
		list_steady(image, changes, found);
		assert_null(strstr(found, "w "));
		assert_int_equal(IMAGE_MISFIT, image_change_part(image, changes, UINT64_MAX, zone_text_visible, NULL,
		                                                 why, sizeof(why)));
		assert_string_equal(cases[i].why, why);
		same_images(image, fresh);
		assert_int_equal(used, image->segments.warm.used);
		zone_changes_free(changes);
		image_close(image);
		image_close(fresh);
		zone_unref(base);
		zone_unref(before);
		zone_unref(after);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(steady),          cmocka_unit_test(not_steady), cmocka_unit_test(concerned_by_others),
	    cmocka_unit_test(in_signed_zones), cmocka_unit_test(misfits),
	};

	urcu_memb_register_thread();
	return cmocka_run_group_tests_name("steady", tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the image gives back is the zone that was put into it, record for record. */
#include "difference.h"

#define SIGNATURE(type) "RRSIG " type " 13 2 300 20400101000000 20200101000000 7 @ AAAA"

static const char head[] = "$TTL 300\n@ 3600 SOA ns1 host 7 600 300 86400 60\n@ 3600 NS ns1\n@ NS ns.elsewhere.test.\n";

/* All that an unsigned zone may have, served or not. */
static const char plain[] =
    "@ MX 10 mail\n@ MX 20 *.w\n@ A 192.0.2.1\nns1 A 192.0.2.1\nns1 AAAA 2001:db8::1\nmail 60 A 192.0.2.8\n"
    "cAsE MX 10 MaIl\ncase MX 5 mail.OUT.test.\ncase2 CNAME WWW\nwww 0 A 192.0.2.2\nwww TXT \"hello\" \"\" \"\\000\"\n"
    "a.b.c A 192.0.2.4\n*.w A 192.0.2.5\n*.w MX 1 a.b.c\n_dns._udp SRV 0 5 53 ns1\nx TYPE65400 \\# 3 010203\n"
    "naptr NAPTR 1 1 \"u\" \"x\" \"!a!b!\" www\nsoa-like RP host.www www\nh HTTPS 1 www alpn=h2\np PTR .\n"
    /* Cuts: glue, its other types, sibling glue, what is below unseen, another cut below. */
    "sub NS ns.sub\nsub NS SUB\nsub A 192.0.2.60\nsub TXT \"the child's\"\nsub DS 1 13 2 "
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"
    "ns.sub A 192.0.2.6\nns.sub AAAA 2001:db8::6\nns.sub TXT \"glue's\"\nunseen.sub A 192.0.2.7\nunseen.sub MX 1 sub\n"
    "cut.sub NS ns.cut.sub\nns.cut.sub A 192.0.2.61\nlame NS ns.unseen.lame\nsub2 NS ns.sub\n"
    "dn DNAME www\nbelow.dn A 192.0.2.9\n*.dn MX 1 below.dn\n*.cut NS ns1\n"
    /* Ordinary names with odd ones about them. */
    "\\000 A 192.0.2.10\n\\001.a A 192.0.2.11\n\\000.a A 192.0.2.11\n\\.\\@ TXT \"x\"\n";

/* Signed, and badly: RRSIGs of what is not there, chains of nobody's. */
static const char signed_parts[] = "@ " SIGNATURE("NS") "\n@ " SIGNATURE("SOA") "\n@ " SIGNATURE("MX") "\n@ " SIGNATURE(
    "TXT") "\n"
           "@ " SIGNATURE("SOA") "BBBB\n@ DNSKEY 257 3 13 AAAA\n@ " SIGNATURE(
               "DNSKEY") "\n"
                         "sub " SIGNATURE("DS") "\nsub " SIGNATURE("A") "\nsub " SIGNATURE("NS") "\nns.sub " SIGNATURE(
                             "A") "\n"
                                  "ns.sub " SIGNATURE("TXT") "\nunseen.sub " SIGNATURE("A") "\n*.w " SIGNATURE(
                                      "A") "\n*.w " SIGNATURE("NSEC") "\n"
                                                                      "only " SIGNATURE("A") "\nwww " SIGNATURE(
                                                                          "RRSIG") "\n@ NSEC3PARAM 1 0 3 ABCD\n@ "
                                                                                   "NSEC3PARAM 1 0 4 -\n"
                                                                                   "0000000000000000000000000000000g "
                                                                                   "NSEC3 1 0 4 - "
                                                                                   "0000000000000000000000000000000g "
                                                                                   "A\n"
                                                                                   "0000000000000000000000000000000g"
                                                                                   " " SIGNATURE(
                                                                                       "NSEC3") "\n"
                                                                                                "0000000000000000000000"
                                                                                                "000000000h NSEC3 1 0 "
                                                                                                "9 - "
                                                                                                "0000000000000000000000"
                                                                                                "0000000010 A\n"
                                                                                                "odd NSEC3 1 1 3 ABCD "
                                                                                                "0000000000000000000000"
                                                                                                "0000000010 A\nodd A "
                                                                                                "192.0.2."
                                                                                                "1\nodd " SIGNATURE(
                                                                                                    "NSEC3") "\n";

static const char with_nsec[] =
    "@ NSEC a NS SOA RRSIG NSEC\n@ " SIGNATURE("NSEC") "\n*.w NSEC @ A\nsub NSEC www NS\n"
                                                       "sub " SIGNATURE("NSEC") "\nunseen.sub NSEC www A\n";

static void same_rrsets(const struct zone_name *a, const struct zone_name *b)
{
	knot_dname_txt_storage_t owner;

	assert_true(knot_dname_is_equal(a->owner, b->owner));
	assert_non_null(knot_dname_to_str(owner, a->owner, sizeof(owner)));
	if (a->rrset_count != b->rrset_count)
		fail_msg("%s has %u RRsets instead of %u", owner, b->rrset_count, a->rrset_count);
	for (size_t i = 0; i < a->rrset_count; i++) {
		const struct zone_rrset *one = &a->rrsets[i], *other = &b->rrsets[i];

		if (one->type != other->type || one->count != other->count || one->size != other->size ||
		    memcmp(one->rdata, other->rdata, one->size))
			fail_msg("%s type %u differs", owner, one->type);
		/* Those of RRSIGs go by what they sign. */
		if (one->ttl != other->ttl && one->type != KNOT_RRTYPE_RRSIG)
			fail_msg("%s type %u has TTL %u instead of %u", owner, one->type, other->ttl, one->ttl);
	}
}

static void same_versions(const struct zone_version *a, const struct zone_version *b)
{
	assert_true(knot_dname_is_equal(a->apex, b->apex));
	assert_int_equal(a->serial, b->serial);
	for (size_t i = 0; i < a->name_count && i < b->name_count; i++)
		same_rrsets(&a->names[i], &b->names[i]);
	assert_int_equal(a->name_count, b->name_count);
}

/* Publishes a text and reads it back. */
static void check(struct image *image, const char *origin, const char *text)
{
	struct zone_version *version = zone_text(origin, text), *back;
	struct zone_builder *builder;
	char why[512] = "";

	zone_text_publish(image, origin, text);
	builder = image_read_back(image, image_find_zone(image, version->apex));
	assert_non_null(builder);
	back = zone_builder_finish(builder, why, sizeof(why));
	if (!back)
		fail_msg("%s", why);
	same_versions(version, back);
	/* What is read back makes the same image. */
	if (image_commit(image, back, UINT64_MAX, zone_text_visible, NULL, why, sizeof(why)))
		fail_msg("%s", why);
	zone_unref(version);
	zone_unref(back);
}

/* The nodes in a role of the only zone. */
static unsigned count(const struct image *image, enum pg_role role)
{
	unsigned found = 0;

	const struct roll *roll = &image->zone_data[0].roll;
	pg_ref ref;

	for (struct roll_place at = {}; (ref = roll_get(roll, at)); at = roll_next(roll, at))
		found += ((const struct pg_node *)segments_at(&image->segments, ref))->role == role;
	return found;
}

static char text[1 << 16];

static void rich_zones(void **state)
{
	struct image *image = image_open(NULL, 64 << 20, 53, 1232);

	check(image, "read.test.", head);
	snprintf(text, sizeof(text), "%s%s", head, plain);
	check(image, "read.test.", text);
	snprintf(text, sizeof(text), "%s%s%s", head, plain, signed_parts);
	check(image, "read.test.", text);
	snprintf(text, sizeof(text), "%s%s%s%s", head, plain, signed_parts, with_nsec);
	check(image, "read.test.", text);
	/* Back to less, and at the root. */
	check(image, "read.test.", head);
	check(image, ".", text);
	/* All is occluded. */
	snprintf(text, sizeof(text), "%s@ DNAME elsewhere.test.\n%s", head, plain);
	check(image, "read.test.", text);
	image_close(image);
}

/* An NSEC3 chain that is used, for which the apex has to have its record. */
static void nsec3_zone(void **state)
{
	struct image *image = image_open(NULL, 64 << 20, 53, 1232);
	static const char digits[] = "0123456789abcdefghijklmnopqrstuv";
	const uint8_t apex[] = "\4read\4test";
	uint64_t hash = engine_nsec3_hash(3, (const uint8_t *)"\xab\xcd", 2, apex, sizeof(apex));
	char label[33] = "0000000000000000000000000000000";
	uint64_t used;

	for (int i = 0; i < 12; i++)
		label[i] = digits[hash >> (59 - 5 * i) & 31];
	label[12] = digits[(hash & 15) << 1];
	label[31] = '0';
	snprintf(text, sizeof(text), "%s%s%s%s%s NSEC3 1 0 3 ABCD %s A NS\n%s " SIGNATURE("NSEC3") "\n", head, plain,
	         signed_parts, with_nsec, label, label, label);
	check(image, "read.test.", text);
	assert_int_equal(1, count(image, PG_ROLE_NSEC3));
	used = image->segments.warm.used;
	check(image, "read.test.", text);
	assert_int_equal(used, image->segments.warm.used);
	image_close(image);
}

/* Glue is kept once. */
static void glue_is_not_kept_twice(void **state)
{
	struct image *image = image_open(NULL, 64 << 20, 53, 1232);

	snprintf(text, sizeof(text), "%ssub NS ns.sub\nns.sub A 192.0.2.1\nns.sub AAAA 2001:db8::1\nns1 A 192.0.2.1\n",
	         head);
	check(image, "glue.test.", text);
	assert_int_equal(2, count(image, PG_ROLE_ADDRESSES));
	assert_int_equal(0, count(image, PG_ROLE_KEPT));
	image_close(image);
}

/* ---- histories ---- */

/* A text with each of the lines behind the head left out by chance; one of each name and type keeps the CNAME rule. */
static void draw_text(char *out, size_t size, unsigned serial, unsigned chance)
{
	static char lines[sizeof(plain) + sizeof(signed_parts) + sizeof(with_nsec)];
	char *line, *rest = lines;
	size_t at;

	snprintf(lines, sizeof(lines), "%s%s%s", plain, signed_parts, with_nsec);
	at = snprintf(out, size,
	              "$TTL 300\n@ 3600 SOA ns1 host %u 600 300 86400 60\n@ 3600 NS ns1\n@ NS ns.elsewhere.test.\n",
	              serial);
	while ((line = strsep(&rest, "\n")))
		if (line[0] && (unsigned)random() % 100 < chance)
			at += snprintf(out + at, size - at, "%s\n", line);
}

/* A zone changes at random, what is kept and what is served alike; each version is made of the one before, as the image
 * has it. */
static void histories(void **state)
{
	struct image *image = image_open(NULL, 64 << 20, 53, 1232);
	struct zone_version *before;
	char why[512] = "";

	srandom(1996);
	draw_text(text, sizeof(text), 1, 50);
	before = zone_text("read.test.", text);
	zone_text_publish(image, "read.test.", text);
	for (unsigned serial = 2; serial < 1000; serial++) {
		struct zone_version *fresh, *made;
		uint64_t used;

		draw_text(text, sizeof(text), serial, (unsigned)random() % 101);
		fresh = zone_text("read.test.", text);
		made =
		    zone_changes_apply(difference_between(before, fresh), image_read_back(image, 0), why, sizeof(why));
		if (!made)
			fail_msg("serial %u: %s", serial, why);
		same_versions(fresh, made);
		assert_int_equal(0, image_commit(image, made, UINT64_MAX, zone_text_visible, NULL, why, sizeof(why)));
		/* What would have come by AXFR makes the same image. */
		used = image->segments.warm.used;
		assert_int_equal(0, image_commit(image, fresh, UINT64_MAX, zone_text_visible, NULL, why, sizeof(why)));
		assert_int_equal(used, image->segments.warm.used);
		zone_unref(made);
		zone_unref(before);
		before = fresh;
	}
	zone_unref(before);
	image_close(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rich_zones),
	    cmocka_unit_test(nsec3_zone),
	    cmocka_unit_test(glue_is_not_kept_twice),
	    cmocka_unit_test(histories),
	};

	urcu_memb_register_thread();
	return cmocka_run_group_tests_name("readback", tests, NULL, NULL);
}

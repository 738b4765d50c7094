/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Changes that do to a chain of NSEC or NSEC3 records what no signer does, or few do: names depend on them that nothing
 * else in the change touches. Such a change goes the whole way, and what then stands in the image is what a fresh one
 * has. (What signers do is in test_histories.c.)
 */
#include "same_images.h"
#include "signed_zone.h"

#define ORIGIN "h.test."
#define HEAD(serial) "$TTL 300\n@ 3600 SOA ns host " #serial " 600 300 86400 60\n@ NS ns\nns A 192.0.2.1\n"

static const struct signing nsec, nsec3 = {.nsec3 = true, .opt_out = true};

/* Takes both versions. */
static void expect_whole_way(struct zone_version *before, struct zone_version *after)
{
	struct image *image = fresh_image(7), *fresh = fresh_image(7);

	commit(image, before);
	commit(fresh, after);
	assert_true(image->zone_data[0].known);
	assert_false(difference_apply(image, before, after));
	same_images(image, fresh);
	image_close(image);
	image_close(fresh);
	zone_unref(before);
	zone_unref(after);
}

/* ---- NSEC ---- */

static bool is_of_a(const uint8_t *owner, uint16_t type, uint16_t covered)
{
	return type == KNOT_RRTYPE_NSEC && knot_dname_is_equal(owner, (const uint8_t *)"\1a\1h\4test");
}

static const struct signing nsec_of_a = {.leave_out = is_of_a};

/* A name comes, and the NSEC before it leads past it all the same. */
static void passed_over(void **unused)
{
	expect_whole_way(signed_text(ORIGIN, HEAD(1) "a A 192.0.2.2\nc A 192.0.2.3\n", &nsec),
	                 signed_text_with(ORIGIN, HEAD(2) "a A 192.0.2.2\nb A 192.0.2.4\nc A 192.0.2.3\n",
	                                  "a 60 NSEC c A RRSIG NSEC\n", &nsec_of_a));
}

/* A name goes, and the NSEC before it leads to it all the same. */
static void led_to_nothing(void **unused)
{
	expect_whole_way(signed_text(ORIGIN, HEAD(1) "a A 192.0.2.2\nb A 192.0.2.4\nc A 192.0.2.3\n", &nsec),
	                 signed_text_with(ORIGIN, HEAD(2) "a A 192.0.2.2\nc A 192.0.2.3\n",
	                                  "a 60 NSEC b A RRSIG NSEC\n", &nsec_of_a));
}

/* ---- NSEC3 ---- */

#define DELEGATIONS "a A 192.0.2.2\ncut NS ns.else.test.\nother NS ns.else.test.\nz A 192.0.2.3\n"

static const struct signing cut_in = {.nsec3 = true, .opt_out = true, .opted_in = (const uint8_t *)"\3cut\1h\4test"};

/* An unsigned delegation that stays as it is gets its record. */
static void opted_in(void **unused)
{
	expect_whole_way(signed_text(ORIGIN, HEAD(1) DELEGATIONS, &nsec3),
	                 signed_text(ORIGIN, HEAD(2) DELEGATIONS, &cut_in));
}

/* ... and loses it. */
static void opted_out(void **unused)
{
	expect_whole_way(signed_text(ORIGIN, HEAD(1) DELEGATIONS, &cut_in),
	                 signed_text(ORIGIN, HEAD(2) DELEGATIONS, &nsec3));
}

/* The records say no longer that delegations are left out, which they still are. */
static void other_flags(void **unused)
{
	static const struct signing silent = {.nsec3 = true, .opt_out = true, .silent = true};

	expect_whole_way(signed_text(ORIGIN, HEAD(1) DELEGATIONS, &nsec3),
	                 signed_text(ORIGIN, HEAD(2) DELEGATIONS, &silent));
}

/* Two records whose owners begin with the same 64 bits, "twin" one that no name has: its owner's last digit is another.
 */
#define TWINS "a A 192.0.2.2\nz A 192.0.2.3\n"

static const struct signing hashed = {.nsec3 = true};

static const uint8_t *owner_of_a(void)
{
	static uint8_t owner[256];
	const struct signed_zone zone = {.apex = (const uint8_t *)"\1h\4test"};
	uint8_t hash[SIGNED_HASH];

	signed_hash(&hashed, (const uint8_t *)"\1a\1h\4test", hash);
	signed_hash_owner(&zone, hash, owner);
	return owner;
}

static bool is_record_of_a(const uint8_t *owner, uint16_t type, uint16_t covered)
{
	return knot_dname_is_equal(owner, owner_of_a());
}

static struct zone_version *with_twin(const char *text, const struct signing *how)
{
	const uint8_t *owner = owner_of_a();
	char more[512], label[33];

	snprintf(label, sizeof(label), "%.31s%c", (const char *)owner + 1, owner[32] == '1' ? '2' : '1');
	snprintf(
	    more, sizeof(more),
	    "%s 60 NSEC3 1 0 0 - %s A RRSIG\n%s 60 RRSIG NSEC3 13 3 60 20370101000000 20200101000000 1 h.test. AAAA\n",
	    label, label, label);
	return signed_text_with(ORIGIN, text, more, how);
}

static void twin_comes(void **unused)
{
	expect_whole_way(signed_text(ORIGIN, HEAD(1) TWINS, &hashed), with_twin(HEAD(2) TWINS, &hashed));
}

/* Whichever of them has the node: both are records of the zone, and the one that stays takes it. */
static void twin_stays(void **unused)
{
	static const struct signing without = {.nsec3 = true, .leave_out = is_record_of_a};
	struct zone_version *both = with_twin(HEAD(1) TWINS, &hashed), *one = with_twin(HEAD(2) TWINS, &without);
	struct image *image = fresh_image(7), *fresh = fresh_image(7);
	struct zone_builder *builder;
	uint64_t records;

	commit(image, both);
	assert_false(image->zone_data[0].known);
	assert_int_equal(image->zone_data[0].proofs, 4);
	builder = image_read_back(image, 0);
	records = zone_builder_count(builder);
	zone_builder_free(builder);
	assert_int_equal(records, image->zone_data[0].records);
	commit(image, one);
	commit(fresh, one);
	assert_int_equal(image->zone_data[0].proofs, 4);
	same_images(image, fresh);
	builder = image_read_back(image, 0);
	assert_int_equal(zone_builder_count(builder), records - 2);
	zone_builder_free(builder);
	image_close(image);
	image_close(fresh);
	zone_unref(both);
	zone_unref(one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(passed_over), cmocka_unit_test(led_to_nothing), cmocka_unit_test(opted_in),
	    cmocka_unit_test(opted_out),   cmocka_unit_test(other_flags),    cmocka_unit_test(twin_comes),
	    cmocka_unit_test(twin_stays),
	};

	urcu_memb_register_thread();
	return cmocka_run_group_tests_name("bent chains", tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Chains of NSEC and NSEC3: what is wrong with them is found, said, and proves nothing; and what becomes of them from
 * version to version of a zone.
 */
#include "signed_zone.h"
#include "zone_text.h"

#include "compile/compile.h"
#include "compile/node.h"

#define NXDOMAIN KNOT_RCODE_NXDOMAIN
#define SERVFAIL KNOT_RCODE_SERVFAIL
#define NODATA 0x100 /* no error, no answer */
#define POSITIVE 0

static const struct signing nsec = {}, nsec3 = {.nsec3 = true, .iterations = 1, .salt_length = 2, .salt = {1, 2}},
                            opt_out = {.nsec3 = true, .opt_out = true};

static struct pg_work work;

static const char text[] = "@ 3600 SOA ns host 7 600 300 86400 60\n@ NS ns\nns A 192.0.2.1\n"
                           "b A 192.0.2.2\nd A 192.0.2.3\nx.ent A 192.0.2.4\n*.w A 192.0.2.5\n*.wc CNAME b\n"
                           "cut NS ns.cut\nns.cut A 192.0.2.6\nins.deep NS ns.other.\nsec NS ns.other.\n"
                           "sec DS 1 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n";

static void commit(struct image *image, struct zone_version *version)
{
	char why[512] = "";

	assert_true(image_add_zone(image, version->apex) >= 0);
	if (image_commit(image, version, UINT64_MAX, zone_text_visible, NULL, why, sizeof(why)))
		fail_msg("%s", why);
	zone_unref(version);
}

/* Asks with DO. Returns RCODE, or NODATA; in *proofs the NSEC and NSEC3 records of the authority section. */
static int ask(struct image *image, const char *name, uint16_t type, unsigned *proofs)
{
	static uint8_t query[600], reply[65535];
	size_t length = zone_text_query(query, name, type, 4096), reply_length = 0;
	const knot_pktsection_t *section;
	knot_pkt_t *pkt;
	int result;

	query[length - 4] |= 0x80;
	assert_int_equal(PG_EXIT_ANSWERED, zone_text_ask(image, &work, query, length, reply, &reply_length));
	pkt = knot_pkt_new(reply, reply_length, NULL);
	assert_int_equal(KNOT_EOK, knot_pkt_parse(pkt, 0));
	section = knot_pkt_section(pkt, KNOT_AUTHORITY);
	result = knot_wire_get_rcode(reply);
	if (!result && !knot_wire_get_ancount(reply) && knot_wire_get_aa(reply))
		result = NODATA;
	*proofs = 0;
	for (uint16_t i = 0; i < section->count; i++)
		*proofs += knot_pkt_rr(section, i)->type == KNOT_RRTYPE_NSEC ||
		           knot_pkt_rr(section, i)->type == KNOT_RRTYPE_NSEC3;
	if (result == SERVFAIL && (knot_wire_get_ancount(reply) || section->count || knot_wire_get_aa(reply)))
		fail_msg("%s: SERVFAIL with something in it", name);
	knot_pkt_free(pkt);
	return result;
}

static void expect(struct image *image, const char *name, uint16_t type, int result, unsigned proofs)
{
	unsigned found;
	int got = ask(image, name, type, &found);

	if (got != result || found != proofs)
		fail_msg("%s type %u gives %x with %u proofs, and not %x with %u", name, type, got, found, result,
		         proofs);
}

static bool is(const uint8_t *owner, const char *name)
{
	knot_dname_storage_t other;

	return knot_dname_from_str(other, name, sizeof(other)) && knot_dname_is_equal(owner, other);
}

/* What is left out. */
static bool without_b(const uint8_t *owner, uint16_t type, uint16_t covered)
{
	return is(owner, "b.z.") && (type == KNOT_RRTYPE_NSEC || covered == KNOT_RRTYPE_NSEC);
}

static bool unsigned_b(const uint8_t *owner, uint16_t type, uint16_t covered)
{
	return is(owner, "b.z.") && covered == KNOT_RRTYPE_NSEC;
}

static bool unsigned_address(const uint8_t *owner, uint16_t type, uint16_t covered)
{
	return is(owner, "b.z.") && covered == KNOT_RRTYPE_A;
}

/* The record of b.z.: there is no other way to know it. */
static bool hashed_b(const uint8_t *owner, const struct signing *how)
{
	struct signed_zone zone = {.apex = (const uint8_t *)"\1z"};
	uint8_t hash[SIGNED_HASH], name[256];

	signed_hash(how, (const uint8_t *)"\1b\1z", hash);
	signed_hash_owner(&zone, hash, name);
	return knot_dname_is_equal(owner, name);
}

static bool without_hashed_b(const uint8_t *owner, uint16_t type, uint16_t covered)
{
	return hashed_b(owner, &nsec3);
}

static bool without_opted_b(const uint8_t *owner, uint16_t type, uint16_t covered)
{
	return hashed_b(owner, &opt_out);
}

static bool unsigned_hashed(const uint8_t *owner, uint16_t type, uint16_t covered)
{
	return covered == KNOT_RRTYPE_NSEC3;
}

static bool no_parameters(const uint8_t *owner, uint16_t type, uint16_t covered)
{
	return type == KNOT_RRTYPE_NSEC3PARAM;
}

static bool no_records(const uint8_t *owner, uint16_t type, uint16_t covered)
{
	return type == KNOT_RRTYPE_NSEC3;
}

static bool no_signatures(const uint8_t *owner, uint16_t type, uint16_t covered)
{
	return type == KNOT_RRTYPE_RRSIG && covered == KNOT_RRTYPE_SOA;
}

struct question {
	const char *name;
	uint16_t type;
	int result;
	unsigned proofs;
};

static const struct chain {
	const char *what;
	struct signing how;
	bool (*leave_out)(const uint8_t *owner, uint16_t type, uint16_t covered);
	const char *more;  /* text of the zone, besides */
	const char *fault; /* words of the warning; NULL: none */
	struct question asked[12];
} chains[] = {
    {"NSEC",
     {},
     NULL,
     "",
     NULL,
     {{"a.z.", 1, NXDOMAIN, 1},
      {"c.z.", 1, NXDOMAIN, 2},
      {"b.z.", 28, NODATA, 1},
      {"ent.z.", 1, NODATA, 1},
      {"q.w.z.", 1, POSITIVE, 1},
      {"q.w.z.", 28, NODATA, 1},
      {"q.wc.z.", 1, POSITIVE, 1},
      {"cut.z.", 43, NODATA, 1},
      {"a.cut.z.", 1, POSITIVE, 1},
      {"zz.z.", 1, NXDOMAIN, 2},
      {"sec.z.", 1, POSITIVE, 0}}},
    {"NSEC3",
     {.nsec3 = true, .iterations = 1, .salt_length = 2, .salt = {1, 2}},
     NULL,
     "",
     NULL,
     {{"b.z.", 28, NODATA, 1},
      {"ent.z.", 1, NODATA, 1},
      {"q.w.z.", 1, POSITIVE, 1},
      {"cut.z.", 43, NODATA, 1},
      {"a.cut.z.", 1, POSITIVE, 1},
      {"deep.z.", 1, NODATA, 1},
      {"ins.deep.z.", 43, NODATA, 1}}},
    {"opt-out",
     {.nsec3 = true, .opt_out = true},
     NULL,
     "",
     NULL,
     {{"b.z.", 28, NODATA, 1},
      {"cut.z.", 43, NODATA, 2},
      {"a.cut.z.", 1, POSITIVE, 2},
      {"deep.z.", 1, NODATA, 1},
      {"sec.z.", 1, POSITIVE, 0},
      {"ins.deep.z.", 43, NODATA, 1}}},
    {"an NSEC is missing",
     {},
     without_b,
     "",
     "b.z. has no NSEC",
     {{"a.z.", 1, SERVFAIL, 0},
      {"c.z.", 1, SERVFAIL, 0},
      {"b.z.", 28, SERVFAIL, 0},
      {"b.z.", 1, POSITIVE, 0},
      {"x.b.z.", 1, SERVFAIL, 0},
      {"zz.z.", 28, SERVFAIL, 0},
      {"d.z.", 28, NODATA, 1},
      {"q.w.z.", 1, POSITIVE, 1}}},
    {"an NSEC is not signed",
     {},
     unsigned_b,
     "",
     "b.z. NSEC has no RRSIG",
     {{"c.z.", 1, SERVFAIL, 0}, {"b.z.", 28, SERVFAIL, 0}, {"d.z.", 28, NODATA, 1}}},
    {"an NSEC leads over a name",
     {},
     without_b,
     "b 60 NSEC d.z. A RRSIG NSEC\nb 60 RRSIG NSEC 13 2 60 20370101000000 "
     "20200101000000 1 z. AAAA\n",
     "the NSEC of b.z. does not lead",
     {{"c.z.", 1, SERVFAIL, 0}, {"d.z.", 28, NODATA, 1}}},
    {"two NSECs at a name",
     {},
     NULL,
     "b 60 NSEC c.z. A RRSIG NSEC\n",
     "the NSEC of b.z. does not lead",
     {{"c.z.", 1, SERVFAIL, 0}, {"d.z.", 28, NODATA, 1}, {"zz.z.", 28, NXDOMAIN, 2}}},
    {"chain in a loop",
     {},
     without_b,
     "b 60 NSEC b.z. A RRSIG NSEC\nb 60 RRSIG NSEC 13 2 60 20370101000000 "
     "20200101000000 1 z. AAAA\n",
     "the NSEC of b.z. does not lead",
     {{"c.z.", 1, SERVFAIL, 0}, {"b.z.", 28, NODATA, 1}}},
    {"an RRSIG is missing",
     {},
     unsigned_address,
     "",
     "b.z. A has no RRSIG",
     {{"b.z.", 1, POSITIVE, 0}, {"c.z.", 1, NXDOMAIN, 2}}},
    {"an NSEC3 is missing",
     {.nsec3 = true, .iterations = 1, .salt_length = 2, .salt = {1, 2}},
     without_hashed_b,
     "",
     "NSEC3 record",
     {{"b.z.", 28, SERVFAIL, 0}, {"x.b.z.", 1, SERVFAIL, 0}, {"b.z.", 1, POSITIVE, 0}}},
    {"an NSEC3 is missing in an opt-out chain",
     {.nsec3 = true, .opt_out = true},
     without_opted_b,
     "",
     "NSEC3 record",
     {{"b.z.", 28, SERVFAIL, 0}, {"x.b.z.", 1, SERVFAIL, 0}, {"b.z.", 1, POSITIVE, 0}}},
    {"a name that the chain passes over",
     {.nsec3 = true},
     NULL,
     "q A 192.0.2.9\n",
     "q.z. A has no RRSIG",
     {{"q.z.", 28, SERVFAIL, 0}, {"x.q.z.", 1, SERVFAIL, 0}, {"q.z.", 1, POSITIVE, 0}}},
    {"a delegation that the chain passes over",
     {.nsec3 = true},
     NULL,
     "q NS ns.other.\n",
     "q.z. has no NSEC3 record",
     {{"q.z.", 43, SERVFAIL, 0}, {"x.q.z.", 1, SERVFAIL, 0}, {"b.z.", 28, NODATA, 1}}},
    {"NSEC3s are not signed",
     {.nsec3 = true},
     unsigned_hashed,
     "",
     "is not signed",
     {{"b.z.", 28, SERVFAIL, 0}, {"c.z.", 1, SERVFAIL, 0}, {"b.z.", 1, POSITIVE, 0}, {"cut.z.", 1, SERVFAIL, 0}}},
    {"no NSEC3PARAM",
     {.nsec3 = true},
     no_parameters,
     "",
     "no chain of NSEC or NSEC3",
     {{"b.z.", 28, SERVFAIL, 0}, {"c.z.", 1, SERVFAIL, 0}, {"q.w.z.", 1, SERVFAIL, 0}, {"b.z.", 1, POSITIVE, 0}}},
    {"no NSEC3", {.nsec3 = true}, no_records, "", "no chain of NSEC or NSEC3", {{"b.z.", 28, SERVFAIL, 0}}},
    {"unknown hash",
     {.nsec3 = true},
     no_parameters,
     "@ NSEC3PARAM 7 0 0 -\n",
     "hash algorithm 7",
     {{"b.z.", 28, SERVFAIL, 0}}},
    {"many iterations", {.nsec3 = true, .iterations = 2501}, NULL, "", "2501 iterations", {{"b.z.", 28, SERVFAIL, 0}}},
    {"two chains, the first not there",
     {.nsec3 = true, .iterations = 7},
     NULL,
     "@ NSEC3PARAM 1 0 3 -\n",
     NULL,
     {{"b.z.", 28, NODATA, 1}, {"q.w.z.", 1, POSITIVE, 1}}},
    {"not signed", {}, no_signatures, "", NULL, {{"b.z.", 28, NODATA, 0}, {"c.z.", 1, NXDOMAIN, 0}}},
};

static void chain(void **state)
{
	const struct chain *row = *state;
	struct image *image = image_open(NULL, 64 << 20, 53, 4096);
	struct signing how = row->how;
	struct zone_version *version;
	struct plan *plan;

	how.leave_out = row->leave_out;
	version = signed_text_with("z.", text, row->more, &how);
	plan = plan_new(version);
	assert_non_null(plan);
	if (row->fault ? !strstr(plan->fault, row->fault) : plan->fault[0])
		fail_msg("the fault is said to be: %s", plan->fault);
	plan_free(plan);
	commit(image, version);
	for (const struct question *q = row->asked; q->name; q++)
		expect(image, q->name, q->type, q->result, q->proofs);
	image_close(image);
}

/* A zone of which names come and go with its serial, and that is cut and wild in places. */
#define NAMES 400
static struct zone_version *version_of(unsigned serial, const struct signing *how, unsigned change)
{
	static char zone[64 * NAMES];
	size_t at = snprintf(zone, sizeof(zone), "@ SOA ns host %u 1 1 1 60\n@ NS ns\n*.w A 192.0.2.1\n", serial);

	for (unsigned i = 0; i < NAMES; i++)
		if ((i + change) % 7)
			at += snprintf(zone + at, sizeof(zone) - at, "n%u%s A 192.0.2.%u\n", i, i % 5 ? "" : ".sub",
			               (i % 11 ? i : i + change) % 256);
	at += snprintf(zone + at, sizeof(zone) - at, "c%u NS ns.other.\n", change % 4);
	return signed_text("z.", zone, how);
}

/* Each name is denied, or not, and what denies it is there. */
static void check_names(struct image *image, unsigned change, unsigned step)
{
	for (unsigned i = 0; i < NAMES; i += step) {
		char name[64];
		unsigned proofs;

		snprintf(name, sizeof(name), "n%u%s.z.", i, i % 5 ? "" : ".sub");
		assert_int_equal((i + change) % 7 ? POSITIVE : NXDOMAIN, ask(image, name, 1, &proofs));
		assert_true((i + change) % 7 ? !proofs : proofs);
		snprintf(name, sizeof(name), "n%u-.z.", i);
		assert_int_equal(NXDOMAIN, ask(image, name, 1, &proofs));
		assert_true(proofs);
	}
}

/* The tree of the names below the apex. */
static pg_ref order_of(struct image *image)
{
	const uint8_t *apex = (const uint8_t *)"\1z";
	int64_t slot = image_find_zone(image, apex);
	struct {
		struct pg_node node;
		uint8_t name[8];
	} key = {.node = {.zone = slot, .role = PG_ROLE_NAME, .name_length = 3}};

	memcpy(key.name, apex, 3);
	key.node.hash = engine_hash(image->settings, PG_ROLE_NAME, slot, apex, 3);
	return node_below(segments_at(&image->segments, image_find_cell(image, &key.node)->ref)).order;
}

static void versions(void **state)
{
	const struct signing *how = *state;
	struct image *image = image_open(NULL, 64 << 20, 53, 4096);
	uint64_t used = 0, start = image->segments.warm.used;

	for (unsigned round = 0; round < 60; round++) {
		commit(image, version_of(round + 1, how, round % 28));
		check_names(image, round % 28, round % 28 ? 37 : 1);
		if (round == 20)
			used = image->segments.warm.used;
		/* What was replaced is given back. */
		if (round == 20 + 28)
			assert_int_equal(used, image->segments.warm.used);
	}
	/* Other chains, and none, in their turn. */
	for (unsigned round = 0; round < 6; round++) {
		static const struct signing others[] = {
		    {}, {.nsec3 = true, .iterations = 3}, {.leave_out = no_signatures}};

		commit(image, version_of(100 + round, &others[round % 3], 0));
		if (round % 3 < 2)
			check_names(image, 0, 5);
	}
	commit(image, version_of(200, how, 20));
	check_names(image, 20, 5);
	assert_int_equal(used, image->segments.warm.used);
	image_drop_zone(image, image_hide_zone(image, (const uint8_t *)"\1z"));
	assert_int_equal(start ? start : image->segments.warm.used, image->segments.warm.used);
	image_close(image);
}

static void orders_are_kept(void **state)
{
	struct image *image = image_open(NULL, 64 << 20, 53, 4096);
	pg_ref order;
	uint64_t used;

	commit(image, version_of(1, &nsec, 1));
	order = order_of(image);
	used = image->segments.warm.used;
	commit(image, version_of(2, &nsec, 1));
	assert_int_equal(order, order_of(image));
	assert_int_equal(used, image->segments.warm.used);
	commit(image, version_of(3, &nsec, 2));
	assert_int_not_equal(order, order_of(image));
	check_names(image, 2, 1);
	image_close(image);
}

/* A version that is refused leaves nothing behind, and what was there proves as before. */
static void rolled_back(void **state)
{
	struct image *image = image_open(NULL, 64 << 20, 53, 4096);
	struct signing how = {.nsec3 = *state != NULL};
	static char zone[3 << 20];
	struct zone_version *version;
	char why[512] = "";
	uint64_t used;
	size_t at;

	commit(image, version_of(1, &how, 3));
	used = image->segments.warm.used;
	at = snprintf(zone, sizeof(zone), "@ SOA ns host 6 1 1 1 60\n@ NS ns\n");
	/* The RRset that is too large comes last of all that is written: the names are written from the last to the
	 * first.
	 */
	for (int i = 0; i < 2000; i++)
		at += snprintf(zone + at, sizeof(zone) - at, "n%d TXT \"%0100d\"\n", i, i);
	for (int i = 0; i < 400; i++)
		at += snprintf(zone + at, sizeof(zone) - at, "a TXT \"%0200d\"\n", i);
	version = signed_text("z.", zone, &how);
	assert_int_equal(-1, image_commit(image, version, UINT64_MAX, zone_text_visible, NULL, why, sizeof(why)));
	zone_unref(version);
	assert_int_equal(used, image->segments.warm.used);
	check_names(image, 3, 1);
	image_close(image);
}

int main(void)
{
	enum { ROWS = sizeof(chains) / sizeof(chains[0]) };
	struct CMUnitTest tests[ROWS + 6] = {
	    [ROWS] = {.name = "versions, NSEC", .test_func = versions, .initial_state = (void *)&nsec},
	    {.name = "versions, NSEC3", .test_func = versions, .initial_state = (void *)&nsec3},
	    {.name = "versions, opt-out", .test_func = versions, .initial_state = (void *)&opt_out},
	    cmocka_unit_test(orders_are_kept),
	    {.name = "rolled_back, NSEC", .test_func = rolled_back},
	    {.name = "rolled_back, NSEC3", .test_func = rolled_back, .initial_state = (void *)&nsec3},
	};

	for (size_t i = 0; i < ROWS; i++)
		tests[i] = (struct CMUnitTest){
		    .name = chains[i].what, .test_func = chain, .initial_state = (void *)&chains[i]};
	urcu_memb_register_thread();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

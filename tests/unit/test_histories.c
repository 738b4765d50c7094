/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Zones that change at random. Each change is applied to the version before as an IXFR would bring it, by what it
 * concerns alone; what then stands in the image is what a fresh image has that is made of the same records: nodes,
 * trees, what is known of the zone, and answers. PG_SEED in the environment chooses others, PG_STEPS how many.
 */
#include "draw.h"
#include "same_images.h"
#include "signed_zone.h"

#include "publish/steady.h"

#include <time.h>

#define ORIGIN "h.test."
#define NUMBERED 160
#define OPTIONS 5

/* Each is one of these, or nothing. */
static const char *const slots[][OPTIONS] = {
    {"www A 192.0.2.2\n", "www A 192.0.2.3\nwww A 192.0.2.4\n", "www CNAME a.b.c\n", "www AAAA 2001:db8::1\n"},
    {"www.x A 192.0.2.2\n", "www.x TXT \"a\" \"b\"\n", "www.x CNAME nothing\n"},
    {"a.b.c A 192.0.2.5\n", "a.b.c MX 5 mail\n", "*.b.c A 192.0.2.6\n", "*.b.c MX 1 q.b.c\n"},
    {"b.c TXT \"not empty\"\n", "d.c A 192.0.2.7\n"},
    {"c SRV 0 0 1 srv.c\n", "srv.c A 192.0.2.8\n", "c SRV 0 0 1 srv.c\nsrv.c AAAA 2001:db8::8\n"},
    {"mail A 192.0.2.9\n", "mail 60 A 192.0.2.9\nmail AAAA 2001:db8::9\n", "mail TXT \"no address\"\n"},
    {"@ MX 10 mail\n", "@ MX 10 mail\n@ MX 20 other.wild\n", "@ MX 10 www.x\n", "@ MX 10 deep.er.wild\n"},
    {"*.wild A 192.0.2.10\n", "*.wild AAAA 2001:db8::a\n", "*.wild CNAME www\n", "under.*.wild A 192.0.2.1\n"},
    {"er.wild TXT \"an encloser\"\n", "x.er.wild A 192.0.2.11\n", "*.er.wild TXT \"another wildcard\"\n"},
    {"wild TXT \"x\"\n", "other.wild AAAA 2001:db8::b\n", "other.wild NS ns1\n"},
    {"* A 192.0.2.12\n", "* TXT \"all\"\n", "* MX 3 mail\n"},
    {"cut NS ns.cut\nns.cut A 192.0.2.13\n", "cut NS ns1\n", "cut NS ns.cut\n", "cut A 192.0.2.14\n"},
    {"other.cut A 192.0.2.15\n", "ns.cut AAAA 2001:db8::d\n", "x.y.cut TXT \"occluded or not\"\n",
     "sub.cut NS ns.sub.cut\n"},
    {"sec NS ns1\nsec DS 1 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n", "sec NS ns1\n",
     "sec NS ns.cut\n", "a.sec A 192.0.2.17\n"},
    {"far.away.cut2 NS ns.far.away.cut2\n", "ns.far.away.cut2 A 192.0.2.16\n",
     "far.away.cut2 NS ns.far.away.cut2\nns.far.away.cut2 A 192.0.2.16\n"},
    {"ns1 AAAA 2001:db8::1\n", "ns1 A 192.0.2.1\n", "NS1 TXT \"case\"\n"},
    {"\\000 A 192.0.2.18\n", "\\000.a TXT \"0\"\n", "\\001.a TXT \"1\"\n", "\\033.a A 192.0.2.19\n"},
    {"\\043.a A 192.0.2.18\n", "z.a A 192.0.2.18\n", "*.a A 192.0.2.18\n", "a A 192.0.2.1\n"},
    {"e.n.t.s A 192.0.2.20\n", "n.t.s A 192.0.2.20\n", "x.t.s A 192.0.2.20\n", "t.s A 192.0.2.20\n"},
    {"a.e.n.t.s MX 1 n.t.s\n", "b.n.t.s MX 1 a.e.n.t.s\n", "*.t.s A 192.0.2.21\n", "zz.s A 192.0.2.22\n"},
    /* What comes before an asterisk. */
    {"\\002 A 192.0.2.23\n", "\\036.q A 192.0.2.23\n", "\\041 TXT \"x\"\n", "x.\\033.a A 192.0.2.23\n"},
    {"\\040 A 192.0.2.24\n", "\\041.a MX 1 \\002\n", "\\038.e.n.t.s A 192.0.2.24\n", "\\041.q A 192.0.2.24\n"},
};
#define SLOTS (sizeof(slots) / sizeof(slots[0]))

/* What the zone has where nothing is signed: what is beside the point of a chain, or breaks it. */
static const char *const odd_slots[][OPTIONS] = {
    {"@ DNAME elsewhere.test.\n", "dn DNAME www\n", "dn.t.s DNAME n5\n", "s DNAME www\n"},
    {"below.dn A 192.0.2.30\n", "*.dn MX 1 below.dn\n", "dn A 192.0.2.31\n"},
    {"*.cut3 NS ns1\n", "cut NS ns1\ncut MX 1 ns.cut\n",
     "only RRSIG A 13 2 300 20400101000000 20200101000000 7 @ AAAA\n"},
    {"odd TYPE65400 \\# 3 010203\n",
     "0000000000000000000000000000000g NSEC3 1 0 4 - 0000000000000000000000000000000g A\n", "x NSEC y A\n",
     "@ RRSIG MX 13 2 300 20400101000000 20200101000000 7 @ AAAA\n"},
};
#define ODD (sizeof(odd_slots) / sizeof(odd_slots[0]))

struct state {
	uint8_t option[SLOTS], odd[ODD], numbered[NUMBERED];
	unsigned serial;
};

static char text[1 << 17];
static struct pg_work work;

static const char *text_of(const struct state *state, bool odd)
{
	size_t at =
	    snprintf(text, sizeof(text), "$TTL 300\n@ 3600 SOA ns host %u 600 300 86400 60\n@ NS ns\nns A 192.0.2.1\n",
	             state->serial);

	for (size_t i = 0; i < SLOTS; i++)
		if (state->option[i] < OPTIONS && slots[i][state->option[i]])
			at += snprintf(text + at, sizeof(text) - at, "%s", slots[i][state->option[i]]);
	for (size_t i = 0; i < ODD && odd; i++)
		if (state->odd[i] < OPTIONS && odd_slots[i][state->odd[i]])
			at += snprintf(text + at, sizeof(text) - at, "%s", odd_slots[i][state->odd[i]]);
	for (unsigned i = 0; i < NUMBERED; i++)
		if (state->numbered[i])
			at += snprintf(text + at, sizeof(text) - at, "n%u%s A 10.0.%u.%u\n", i,
			               i % 5 == 4   ? ".x.y"
			               : i % 7 == 3 ? ".longlabelsthatbeginalike"
			                            : "",
			               i, state->numbered[i]);
	return text;
}

static void step(struct state *state)
{
	unsigned count = draw(10) ? 1 + draw(4) : draw(60);

	state->serial++;
	for (unsigned i = 0; i < count; i++) {
		unsigned at = draw(SLOTS + ODD + SLOTS);

		if (at < SLOTS)
			state->option[at] = draw(OPTIONS + 1);
		else if (at < SLOTS + ODD)
			state->odd[at - SLOTS] = draw(OPTIONS + 3);
		else
			state->numbered[draw(NUMBERED)] = draw(6);
	}
}

/* ---- comparing answers ---- */

static void same_answer(struct image *a, struct image *b, const char *name, uint16_t type, unsigned dnssec)
{
	static uint8_t query[400], replies[2][65535];
	size_t length = zone_text_query(query, name, type, 4096), lengths[2] = {};
	enum pg_exit exits[2];

	query[length - 4] |= dnssec << 7;
	exits[0] = zone_text_ask(a, &work, query, length, replies[0], &lengths[0]);
	exits[1] = zone_text_ask(b, &work, query, length, replies[1], &lengths[1]);
	if (exits[0] != exits[1] || lengths[0] != lengths[1] || memcmp(replies[0], replies[1], lengths[0]) != 0)
		fail_msg("%s type %u: another answer", name, type);
}

static void same_answers(struct image *a, struct image *b)
{
	static const char *const names[] = {
	    "",           "www.",   "www.x.",   "x.",       "a.b.c.",  "q.b.c.",    "b.c.",
	    "c.",         "srv.c.", "mail.",    "wild.",    "a.wild.", "x.y.wild.", "er.wild.",
	    "q.er.wild.", "cut.",   "ns.cut.",  "x.y.cut.", "sec.",    "q.sec.",    "away.cut2.",
	    "q.cut2.",    "ns1.",   "\\000.",   "a.",       "b.a.",    "-.a.",      "s.",
	    "t.s.",       "n.t.s.", "q.n.t.s.", "e.n.t.s.", "zzzz.",   "\\033.",    "dn.",
	    "q.dn.",      "y.",     "x.y.",     "a.x.y.",   "m.",      "n.",        "o.longlabelsthatbeginalike.",
	};
	static const uint16_t types[] = {KNOT_RRTYPE_A,  KNOT_RRTYPE_MX,   KNOT_RRTYPE_NS,
	                                 KNOT_RRTYPE_DS, KNOT_RRTYPE_AAAA, KNOT_RRTYPE_ANY};
	char name[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		for (size_t j = 0; j < sizeof(types) / sizeof(types[0]); j++) {
			snprintf(name, sizeof(name), "%s%s", names[i], ORIGIN);
			same_answer(a, b, name, types[j], j != 4);
		}
	for (unsigned i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "n%u%s%s", (unsigned)draw(2 * NUMBERED), draw(2) ? "" : ".x.y",
		         "." ORIGIN);
		same_answer(a, b, name, KNOT_RRTYPE_A, 1);
	}
}

/* The records that the image has are the version's. */
static void same_records(struct image *image, const struct zone_version *version)
{
	char why[512] = "";
	struct zone_version *back = zone_builder_finish(image_read_back(image, 0), why, sizeof(why));
	struct zone_changes *changes;

	if (!back)
		fail_msg("%s", why);
	changes = difference_between(version, back);
	/* The SOA is always among them. */
	assert_int_equal(1, zone_changes_count(changes));
	zone_changes_free(changes);
	zone_unref(back);
}

/* ---- histories ---- */

static struct zone_version *version_of(const struct state *state, const struct signing *how)
{
	const char *records = text_of(state, !how);

	return how ? signed_text(ORIGIN, records, how) : zone_text(ORIGIN, records);
}

static unsigned steps(void)
{
	const char *asked = getenv("PG_STEPS");

	return asked ? strtoul(asked, NULL, 0) : 200;
}

/* How many names of a change of the version served are compiled by themselves. */
static size_t count_steady(struct image *image, const struct zone_version *before, const struct zone_version *after)
{
	struct zone_changes *changes = difference_between(before, after);
	struct steady steady = {};
	struct commit commit;
	char why[512];
	size_t found;

	assert_int_equal(0, commit_begin(&commit, image, before->apex, why, sizeof(why)));
	assert_int_equal(0, steady_find(&steady, &commit, changes));
	found = steady.found;
	steady_free(&steady);
	zone_changes_free(changes);
	return found;
}

static void history(const struct signing *how, unsigned least)
{
	struct state state = {.serial = 1};
	struct image *image = fresh_image(7);
	struct zone_version *before;
	unsigned short_ways = 0, count = steps();
	size_t found, steady = 0;
	uint64_t seed = getenv("PG_SEED") ? strtoull(getenv("PG_SEED"), NULL, 0) : 1;

	random_state = seed;
	memset(state.option, OPTIONS, sizeof(state.option));
	memset(state.odd, OPTIONS, sizeof(state.odd));
	for (unsigned i = 0; i < 100; i++)
		step(&state);
	before = version_of(&state, how);
	commit(image, before);
	for (unsigned i = 0; i < count; i++) {
		struct image *fresh = fresh_image(7);
		struct zone_version *after;

		step(&state);
		after = version_of(&state, how);
		if (getenv("PG_VERBOSE"))
			fprintf(stderr, "step %u\n%s\n", i, text);
		found = image->zone_data[0].known ? count_steady(image, before, after) : 0;
		if (difference_apply(image, before, after)) {
			short_ways++;
			steady += found;
		}
		commit(fresh, after);
		same_images(image, fresh);
		if (!(i % 5))
			same_answers(image, fresh);
		if (!(i % 10))
			same_records(image, after);
		image_close(fresh);
		zone_unref(before);
		before = after;
	}
	/* Nothing of the versions before is left. */
	image_drop_zone(image, image_hide_zone(image, before->apex));
	assert_int_equal(1, image->segments.warm.used);
	print_message("%u of %u changes took the short way, with %zu steady names\n", short_ways, count, steady);
	assert_true(steady * 3 >= short_ways);
	assert_true(short_ways * 100 >= count * least);
	zone_unref(before);
	image_close(image);
}

static void plain(void **unused)
{
	history(NULL, 40);
}

static void with_nsec(void **unused)
{
	static const struct signing how = {};

	history(&how, 40);
}

static void with_nsec3(void **unused)
{
	static const struct signing how = {.nsec3 = true, .iterations = 1, .salt_length = 2, .salt = {1, 2}};

	history(&how, 40);
}

static void with_opt_out(void **unused)
{
	static const struct signing how = {.nsec3 = true, .opt_out = true};

	history(&how, 40);
}

/* ---- what a change costs ---- */

static double clock_ms(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* Of all threads. */
static double cpu_ms(void)
{
	return clock_ms(CLOCK_PROCESS_CPUTIME_ID);
}

/* A field of /proc/self/status, in KiB. */
static unsigned long memory(const char *field)
{
	FILE *status = fopen("/proc/self/status", "r");
	unsigned long value = 0;
	char line[256];

	assert_non_null(status);
	while (fgets(line, sizeof(line), status))
		if (!strncmp(line, field, strlen(field)))
			value = strtoul(line + strlen(field) + 1, NULL, 10);
	fclose(status);
	return value;
}

static size_t soa_rdata(uint8_t *rdata, uint32_t serial)
{
	static const uint8_t names[] = "\2ns\1h\4test\0\4host\1h\4test";

	memcpy(rdata, names, sizeof(names));
	memset(rdata + sizeof(names), 0, 20);
	knot_wire_write_u32(rdata + sizeof(names), serial);
	knot_wire_write_u32(rdata + sizeof(names) + 16, 60);
	return sizeof(names) + 20;
}

static void put_number(uint8_t *owner, unsigned number)
{
	memcpy(owner, "\10n0000000\1h\4test", 17);
	for (int i = 8; i > 1; i--, number /= 10)
		owner[i] = '0' + number % 10;
}

/* Names with A and AAAA. */
static struct zone_version *large_version(unsigned names)
{
	static const uint8_t apex[] = "\1h\4test", ns[] = "\2ns\1h\4test";
	struct zone_builder *builder = zone_builder_new(apex, 0);
	uint8_t rdata[64], owner[32], address[16] = {0x20, 1, 0xd, 0xb8};
	struct zone_version *version;
	char why[512] = "";
	size_t length = soa_rdata(rdata, 1);

	assert_int_equal(0, zone_builder_add(builder, apex, KNOT_RRTYPE_SOA, 300, rdata, length));
	assert_int_equal(0, zone_builder_add(builder, apex, KNOT_RRTYPE_NS, 300, ns, sizeof(ns)));
	for (unsigned i = 0; i < names; i++) {
		put_number(owner, i);
		knot_wire_write_u32(address + 12, i);
		assert_int_equal(0, zone_builder_add(builder, owner, KNOT_RRTYPE_A, 300, address + 12, 4));
		assert_int_equal(0, zone_builder_add(builder, owner, KNOT_RRTYPE_AAAA, 300, address, 16));
	}
	version = zone_builder_finish(builder, why, sizeof(why));
	assert_non_null(version);
	return version;
}

static void note_time(void *context)
{
	*(double *)context = clock_ms(CLOCK_MONOTONIC);
}

/* Gives so many names, evenly spread, another address. */
static void change_some(struct image *image, unsigned names, unsigned count, uint32_t serial)
{
	struct zone_changes *changes = zone_changes_new((const uint8_t *)"\1h\4test", serial, 0);
	const struct roll *roll = &image->zone_data[0].roll;
	uint8_t owner[32], address[4], rdata[64];
	unsigned written = 0;
	double start, begun, seen = 0;
	char why[512] = "";
	pg_ref ref;

	assert_int_equal(0, zone_changes_next(changes));
	for (unsigned i = 0; i < count; i++) {
		unsigned number = (uint64_t)i * names / count + serial;

		put_number(owner, number);
		knot_wire_write_u32(address, number);
		assert_int_equal(0, zone_changes_remove(changes, owner, KNOT_RRTYPE_A, address, 4));
		knot_wire_write_u32(address, ~number);
		assert_int_equal(0, zone_changes_add(changes, owner, KNOT_RRTYPE_A, 300, address, 4));
	}
	assert_int_equal(0, zone_changes_soa(changes, 300, rdata, soa_rdata(rdata, serial + 1)));
	start = cpu_ms();
	begun = clock_ms(CLOCK_MONOTONIC);
	assert_int_equal(IMAGE_CHANGED,
	                 image_change_part(image, changes, UINT64_MAX, note_time, &seen, why, sizeof(why)));
	print_message("%u of %u names changed: visible after %.3f ms, done after %.3f, %.3f of processor time\n", count,
	              names, seen - begun, clock_ms(CLOCK_MONOTONIC) - begun, cpu_ms() - start);
	zone_changes_free(changes);
	for (struct roll_place at = {}; (ref = roll_get(roll, at)); at = roll_next(roll, at))
		written += ((const struct pg_node *)segments_at(&image->segments, ref))->since == serial + 1;
	/* The apex has another SOA. */
	assert_int_equal(count + 1, written);
}

/* What is written follows the change; so does memory. PG_NAMES in the environment makes the zone as large as that. */
static void large(void **unused)
{
	unsigned names = getenv("PG_NAMES") ? strtoul(getenv("PG_NAMES"), NULL, 0) : 20000;
	struct image *image = image_open(NULL, 8ULL << 30, 53, 1232);
	struct zone_version *version = large_version(names);
	double start = cpu_ms();
	unsigned long before;
	FILE *clear;

	assert_true(names >= 20000 && names < 10000000);
	commit(image, version);
	print_message("%u names: compiled and published in %.0f ms of processor time\n", names, cpu_ms() - start);
	zone_unref(version);
	clear = fopen("/proc/self/clear_refs", "w");
	assert_non_null(clear);
	fputs("5", clear); /* the peak begins anew */
	fclose(clear);
	before = memory("VmRSS:");
	change_some(image, names, 1, 1);
	change_some(image, names, 1, 2);
	change_some(image, names, names < 40000 ? names / 4 : 10000, 3);
	print_message("memory: %lu MiB, at most %lu while it changed\n", before / 1024, memory("VmHWM:") / 1024);
	if (getenv("PG_NAMES"))
		assert_true(memory("VmHWM:") * 10 <= before * 13);
	image_close(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(plain),        cmocka_unit_test(with_nsec), cmocka_unit_test(with_nsec3),
	    cmocka_unit_test(with_opt_out), cmocka_unit_test(large),
	};

	urcu_memb_register_thread();
	return cmocka_run_group_tests_name("histories", tests, NULL, NULL);
}

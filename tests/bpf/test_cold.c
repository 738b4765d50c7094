/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Zones that the program has only in part: whatever is cold, it answers as the host does, or leaves the packet as it
 * came, counted as cold. Which of the two, the engine on the host says with the program's eyes.
 */
#include "check.h"
#include "publish/heat.h"
#include "zones.h"

#define ROUNDS 60
#define OPT(octets) .opt = (octets), .opt_length = sizeof(octets) - 1
#define EDNS_DO OPT("\0\0\x29\x04\xd0\0\0\x80\0\0\0")

/* A signature's form is all that counts here. */
/* clang-format off */
#define SIGNED(owner, type, labels, data)                                                                              \
	owner " " type " " data "\n" owner " RRSIG " type " 13 " labels " 3600 20370101000000 20200101000000 1 test. AAAA\n"
#define HEAD                                                                                                           \
	SIGNED("@", "SOA", "2", "ns1 host 7 600 300 86400 60") SIGNED("@", "NS", "2", "a")                             \
	SIGNED("@", "DNSKEY", "2", "256 3 13 AAAA") SIGNED("a", "A", "3", "192.0.2.1") SIGNED("z", "A", "3", "192.0.2.2") \
	SIGNED("*.w", "TXT", "3", "x")
#define HASHED(owner, data) SIGNED(owner, "NSEC3", "3", "1 0 0 - " data)

static const char nsec_zone[] =
	HEAD
	SIGNED("@", "NSEC", "2", "a NS SOA RRSIG NSEC DNSKEY")
	SIGNED("a", "NSEC", "3", "*.w A RRSIG NSEC")
	SIGNED("*.w", "NSEC", "3", "z TXT RRSIG NSEC")
	SIGNED("z", "NSEC", "3", "@ A RRSIG NSEC");

static const char nsec3_zone[] =
	HEAD
	SIGNED("@", "NSEC3PARAM", "2", "1 0 0 -")
	HASHED("0madr2c2o78cqsoquiejtbeh6gfgb0ff", "6mpoiqg4qp5ip9m5254hon6ni8ofmr84 NS SOA RRSIG DNSKEY NSEC3PARAM")
	HASHED("6mpoiqg4qp5ip9m5254hon6ni8ofmr84", "ktulk2efn2r2ltmdl13um38velr6im92 A RRSIG")
	HASHED("ktulk2efn2r2ltmdl13um38velr6im92", "m9d5fl0vu6o5412s8p1q6qta5mi3qdss")
	HASHED("m9d5fl0vu6o5412s8p1q6qta5mi3qdss", "p40p5oo6tabr0gn8fr5eni1qfptc3lhf A RRSIG")
	HASHED("p40p5oo6tabr0gn8fr5eni1qfptc3lhf", "0madr2c2o78cqsoquiejtbeh6gfgb0ff TXT RRSIG");
/* clang-format on */

static const struct query asked[] = {
    ASK("www.example.test.", 1),
    ASK("www.example.test.", 15),
    ASK("example.test.", 15),
    ASK("example.test.", 2),
    ASK("nothing.example.test.", 1),
    ASK("c.example.test.", 1),
    ASK("x.a.b.c.example.test.", 1),
    ASK("ada.w.example.test.", 1),
    ASK("x.no.w.example.test.", 16),
    ASK("alias2.example.test.", 1),
    ASK("deep.example.test.", 1),
    ASK("gone.example.test.", 1),
    ASK("q.wc.example.test.", 1),
    ASK("h.sub.example.test.", 1),
    ASK("sub.example.test.", 1),
    ASK("ds.example.test.", 43),
    ASK("_dns._udp.example.test.", 33),
    ASK("many.exact.test.", 1),
    ASK("a.nsec.test.", 1, EDNS_DO),
    ASK("a.nsec.test.", 16, EDNS_DO),
    ASK("b.nsec.test.", 1, EDNS_DO),
    ASK("zz.nsec.test.", 1, EDNS_DO),
    ASK("y.w.nsec.test.", 16, EDNS_DO),
    ASK("y.w.nsec.test.", 1, EDNS_DO),
    ASK("w.nsec.test.", 1, EDNS_DO),
    ASK("a.nsec3.test.", 1, EDNS_DO),
    ASK("a.nsec3.test.", 16, EDNS_DO),
    ASK("b.nsec3.test.", 1, EDNS_DO),
    ASK("zz.z.nsec3.test.", 1, EDNS_DO),
    ASK("y.w.nsec3.test.", 16, EDNS_DO),
    ASK("y.w.nsec3.test.", 1, EDNS_DO),
    ASK("w.nsec3.test.", 1, EDNS_DO),
    ASK("nsec3.test.", 15, EDNS_DO),
};
#define ASKED (sizeof(asked) / sizeof(asked[0]))

static enum pg_exit as_program(const uint8_t *query, size_t length)
{
	static struct pg_work work;
	static uint8_t reply[65535];
	size_t reply_length;
	enum pg_exit exit;

	engine_set_client(&work, &client);
	urcu_memb_read_lock();
	exit = engine_answer_as_program(image_view_get(image), &work, false, boottime_now(), query, length, reply,
	                                sizeof(reply), &reply_length);
	urcu_memb_read_unlock();
	return exit;
}

/* Returns how many are answered. */
static unsigned ask_all(void)
{
	static struct packet in, out;
	static uint8_t dns[600], reply[65535];
	unsigned answered = 0;

	for (size_t i = 0; i < ASKED; i++) {
		size_t length = build_query(dns, &asked[i]), reply_length = 0;
		enum pg_exit exit;

		build_packet(&in, &(struct frame){.v6 = i & 1}, dns, length);
		set_client(&in);
		exit = as_program(dns, length);
		if (exit != PG_EXIT_ANSWERED) {
			assert_int_equal(PG_EXIT_COLD, exit);
			must_pass(asked[i].name, &in, PG_EXIT_COLD);
			continue;
		}
		assert_int_equal(PG_EXIT_ANSWERED, run_engine(dns, length, reply, &reply_length));
		assert_int_not_equal(2, reply[3] & 15);
		must_answer(asked[i].name, &in, length, reply, reply_length, &out);
		answered++;
	}
	return answered;
}

/* Makes every name cold that can be. */
static void chill_all(void)
{
	while (heat_make_room(image, 1U << 20))
		;
}

static bool answers(const char *name, uint16_t type)
{
	uint8_t dns[600];
	struct query query = ASK(name, type);

	return as_program(dns, build_query(dns, &query)) == PG_EXIT_ANSWERED;
}

static void all_cold(void **state)
{
	unsigned all = ask_all();

	assert_int_equal(ASKED, all);
	chill_all();
	assert_in_range(ask_all(), 1, ASKED / 2);
	/* What needs apex and wildcards alone is answered still. */
	assert_true(answers("nothing.example.test.", 1));
	assert_true(answers("ada.w.example.test.", 1));
	assert_true(answers("example.test.", 6));
	assert_false(answers("www.example.test.", 1));
	/* The name is not there, but the one above would have to say so. */
	assert_false(answers("x.a.b.c.example.test.", 1));
}

/* Any part of the names may be warm. */
static void some_cold(void **state)
{
	srandom(3);
	for (int round = 0; round < ROUNDS; round++) {
		chill_all();
		for (uint32_t slot = 0; slot < image->zones.entries; slot++) {
			const struct image_zone *data = &image->zone_data[slot];
			static pg_ref chosen[10000];
			size_t count = 0;

			for (struct roll_place at = {}; roll_get(&data->roll, at) && count < 10000;
			     at = roll_next(&data->roll, at))
				if (random() % ROUNDS < round)
					chosen[count++] = roll_get(&data->roll, at);
			heat_warm(image, chosen, count);
		}
		ask_all();
	}
}

/* The program tells which nodes it found. */
static void uses_are_seen(void **state)
{
	static struct packet in, out;
	static uint8_t dns[600];
	struct query query = ASK("www.example.test.", 1);
	pg_ref ref = 0;

	build_packet(&in, &(struct frame){}, dns, build_query(dns, &query));
	assert_int_equal(XDP_TX, run_program(&in, &out));
	heat_tick(image);
	for (pg_ref at = 1; (at = segments_next(&image->segments, at)); at++) {
		const struct pg_node *node = segments_at(&image->segments, at);

		if (node->name_length == 18 && !memcmp(node + 1, "\3www\7example\4test", 18))
			ref = at;
		segments_was_used(&image->segments, at);
	}
	assert_true(ref);
	assert_false(segments_was_used(&image->segments, ref));
	assert_int_equal(XDP_TX, run_program(&in, &out));
	heat_tick(image);
	assert_true(segments_was_used(&image->segments, ref));
	heat_tick(image);
	assert_false(segments_was_used(&image->segments, ref));
}

static int open_world(void **state)
{
	if (world_open(state))
		return -1;
	publish("nsec.test.", nsec_zone, FOREVER);
	publish("nsec3.test.", nsec3_zone, FOREVER);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(uses_are_seen),
	    cmocka_unit_test(all_cold),
	    cmocka_unit_test(some_cold),
	};

	world_begin("test_cold");
	return cmocka_run_group_tests(tests, open_world, world_close);
}

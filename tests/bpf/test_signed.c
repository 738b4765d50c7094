/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Signed zones: what the program proves with DO is, octet for octet, what the engine proves on the host, in each kind
 * of frame; a few numbers say of each answer that it is the one that is due.
 */
#include "check.h"
#include "zones.h"

#define NXDOMAIN 3
#define EDNS_DO .opt = "\0\0\x29\x04\xd0\0\0\x80\0\0\0", .opt_length = 11

static const char *const zones[] = {"nsec.test.", "nsec3.test.", "optout.test."};
#define ZONES 3

/* Records of answer and authority section by zone, RRSIGs among them. */
static const struct row {
	const char *name;
	uint16_t type, rcode;
	uint8_t answers[ZONES], authorities[ZONES];
} rows[] = {
    {"www.", 1, 0, {2, 2, 2}, {0, 0, 0}},
    {"www.", 28, 0, {0, 0, 0}, {4, 4, 4}},
    {"nothing.", 1, NXDOMAIN, {0, 0, 0}, {6, 8, 8}},
    {"a.nothing.", 1, NXDOMAIN, {0, 0, 0}, {6, 8, 8}},
    {"b.c.", 1, 0, {0, 0, 0}, {4, 4, 4}},
    {"q.w.", 1, 0, {2, 2, 2}, {2, 2, 2}},
    {"q.w.", 28, 0, {0, 0, 0}, {4, 8, 8}},
    {"p.q.wc.", 16, 0, {4, 4, 4}, {2, 2, 2}},
    {"gone.", 1, NXDOMAIN, {2, 2, 2}, {6, 8, 8}},
    {"loop.", 1, 0, {2, 2, 2}, {0, 0, 0}},
    {"sub.", 1, 0, {0, 0, 0}, {3, 3, 5}},
    {"a.sub.", 1, 0, {0, 0, 0}, {3, 3, 5}},
    {"sub.", 43, 0, {0, 0, 0}, {4, 4, 6}},
    {"sec.", 1, 0, {0, 0, 0}, {3, 3, 3}},
    {"sec.", 43, 0, {2, 2, 2}, {0, 0, 0}},
    {"x.sec.", 1, 0, {0, 0, 0}, {3, 3, 3}},
    {"deep.", 1, 0, {0, 0, 0}, {4, 4, 6}},
    {"x.deep.", 1, NXDOMAIN, {0, 0, 0}, {6, 8, 8}},
    {"ins.deep.", 43, 0, {0, 0, 0}, {4, 4, 6}},
    {"a.b.d.", 1, NXDOMAIN, {3, 3, 3}, {6, 8, 8}},
    {"X.d-www.", 1, 0, {5, 5, 5}, {2, 2, 2}},
    {"d.", 39, 0, {2, 2, 2}, {0, 0, 0}},
    {"www.", 46, 0, {3, 2, 2}, {0, 0, 0}},
    {"", 46, 0, {3, 3, 3}, {0, 0, 0}},
    {"", 6, 0, {2, 2, 2}, {0, 0, 0}},
    {"alias.", 1, 0, {4, 4, 4}, {0, 0, 0}},
    {"alias.", 28, 0, {2, 2, 2}, {4, 4, 4}},
    {"www.", 47, 0, {2, 0, 0}, {0, 4, 4}},
    {"www.", 255, 0, {2, 2, 2}, {0, 0, 0}},
    {"pppppppppp.", 1, NXDOMAIN, {0, 0, 0}, {6, 8, 8}},
    {"pppppppppp00.", 28, 0, {0, 0, 0}, {4, 4, 4}},
    {"n1990.", 1, NXDOMAIN, {0, 0, 0}, {6, 8, 8}},
    {"\\000.", 1, NXDOMAIN, {0, 0, 0}, {4, 8, 8}},
    {"", 51, 0, {0, 2, 2}, {4, 0, 0}},
};

static void ask(const char *what, const struct query *asked, uint8_t *reply, size_t *length)
{
	static const struct frame frames[] = {{0}, {.v6 = true}, {.tags = 1}, {.v6 = true, .tags = 2}};
	static struct packet in, out;
	uint8_t query[2048];
	size_t query_length = build_query(query, asked);

	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		build_packet(&in, &frames[i], query, query_length);
		set_client(&in);
		assert_int_equal(run_engine(query, query_length, reply, length), PG_EXIT_ANSWERED);
		must_answer(what, &in, query_length, reply, *length, &out);
	}
}

static void proved(void **state)
{
	static uint8_t reply[65535];
	const struct row *row = *state;

	for (int zone = 0; zone < ZONES; zone++) {
		struct query asked = ASK(NULL, row->type, EDNS_DO);
		char name[300];
		size_t length;

		snprintf(name, sizeof(name), "%s%s", row->name, zones[zone]);
		asked.name = name;
		ask(name, &asked, reply, &length);
		if (get16(reply + 6) != row->answers[zone] || get16(reply + 8) != row->authorities[zone] ||
		    (get16(reply + 2) & 15) != row->rcode)
			fail_msg("%s type %u: rcode %u, %u answers, %u in authority", name, row->type,
			         get16(reply + 2) & 15, get16(reply + 6), get16(reply + 8));
	}
}

/* As many iterations as the program makes, with the longest salt; and more than it makes. */
static void iterations(void **state)
{
	static uint8_t query[600], reply[65535];
	static struct packet in;
	size_t length;

	ask("100 iterations", &(struct query)ASK("no.such.name.slow.test.", 1, EDNS_DO), reply, &length);
	assert_int_equal(get16(reply + 2) & 15, NXDOMAIN);
	build_packet(&in, &(struct frame){0}, query,
	             build_query(query, &(struct query)ASK("no.such.name.slower.test.", 1, EDNS_DO)));
	must_pass("101 iterations", &in, PG_EXIT_LARGE);
}

static void passed_or_same(const char *what, struct packet *in)
{
	static struct packet expected, out;
	static uint8_t reply[65535];
	size_t length = 0;
	unsigned verdict;

	set_client(in);
	assert_int_equal(run_engine(in->octets + in->dns, in->length - in->dns, reply, &length), PG_EXIT_ANSWERED);
	verdict = run_program(in, &out);
	build_reply(&expected, in, reply, length);
	same_packet(what, in, verdict == XDP_PASS ? in : &expected, &out);
}

/* A name with more types than the program goes through: a whole answer as on the host, or none. */
static void many_types(void **state)
{
	static const uint16_t types[] = {1, 46, 47, 65300, 65369, 255, 5};
	static struct packet in;
	uint8_t query[600];

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		for (int zone = 0; zone < 2; zone++)
			for (int below = 0; below < 4; below++) {
				static const char *const names[] = {"q.many.", "*.many.", "many.", "m-."};
				struct query asked = ASK(NULL, types[i], EDNS_DO);
				char name[64];

				snprintf(name, sizeof(name), "%s%s", names[below],
				         zone ? "types3.test." : "types.test.");
				asked.name = name;
				build_packet(&in, &(struct frame){0}, query, build_query(query, &asked));
				passed_or_same(name, &in);
			}
}

int main(void)
{
	enum { ROWS = sizeof(rows) / sizeof(rows[0]) };
	struct CMUnitTest tests[ROWS + 2] = {[ROWS] = cmocka_unit_test(iterations), cmocka_unit_test(many_types)};

	for (size_t i = 0; i < ROWS; i++)
		tests[i] =
		    (struct CMUnitTest){.name = rows[i].name, .test_func = proved, .initial_state = (void *)&rows[i]};
	world_begin("test_signed");
	return cmocka_run_group_tests(tests, world_open, world_close);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is told of a query is what the engine found, and what the reply then holds. */
#include "zone_text.h"

#include "agent/explain.h"

static const char example[] =
    "@ 3600 SOA ns1 host 7 600 300 86400 60\n@ NS ns1\nns1 A 192.0.2.1\n"
    "www A 192.0.2.2\nwww A 192.0.2.3\nwww MX 10 ns1\n"
    "*.w A 192.0.2.5\n*.l CNAME a.l\n"
    "c1 CNAME c2\nc2 CNAME www\nloop CNAME pool\npool CNAME loop\n"
    "out CNAME www.elsewhere.test.\n"
    "d1 CNAME d2\nd2 CNAME d3\nd3 CNAME d4\nd4 CNAME d5\nd5 CNAME d6\nd6 CNAME d7\nd7 A 192.0.2.9\n"
    "sub NS ns.sub\nns.sub A 192.0.2.6\n";

static struct image *make_image(void)
{
	static char text[40000];
	struct image *image = image_open(NULL, 64 << 20, 53, 1232);
	knot_dname_storage_t apex;
	size_t at = snprintf(text, sizeof(text), "%s", example);

	assert_non_null(image);
	for (int i = 0; i < 300; i++)
		at += snprintf(text + at, sizeof(text) - at, "big A 10.0.%d.%d\n", i / 256, i % 256);
	for (int i = 0; i < 100; i++)
		at += snprintf(text + at, sizeof(text) - at, "types TYPE%d \\# 1 00\n", 65300 + i);
	zone_text_publish(image, "example.test.", text);
	knot_dname_from_str(apex, "empty.test.", sizeof(apex));
	assert_true(image_add_zone(image, apex) >= 0);
	return image;
}

static json_t *ask(struct image *image, const char *name, const char *type, struct explain_question question)
{
	char why[512];
	json_t *told;

	assert_null(explain_read(&question, name, type, why, sizeof(why)));
	urcu_memb_read_lock();
	told = explain(image_view_get(image), 1, &question);
	urcu_memb_read_unlock();
	assert_non_null(told);
	return told;
}

/* One line: who answers, exit, zone, what was found, the chain, and the reply. */
static void summary(const json_t *told, char *text, size_t room)
{
	const json_t *search = json_object_get(told, "search"), *reply = json_object_get(told, "reply"), *rrset;
	const json_t *zone = json_object_get(told, "zone"), *cname = json_object_get(told, "cname");
	const char *wildcard = json_string_value(json_object_get(search, "wildcard"));
	const char *node = json_string_value(json_object_get(search, "node"));
	const char *encloser = json_string_value(json_object_get(search, "closest_encloser"));
	const char *end = json_string_value(json_object_get(cname, "end"));
	size_t index, at = 0;

#define SAY(...) at += (size_t)snprintf(text + at, room - at, __VA_ARGS__)
	SAY("%s %s", json_string_value(json_object_get(told, "answered_by")),
	    json_string_value(json_object_get(json_object_get(told, "exit"), "name")));
	SAY("; %s", json_is_object(zone) ? json_string_value(json_object_get(zone, "name")) : "-");
	if (node || encloser)
		SAY("; %s%s%s", json_is_true(json_object_get(search, "delegation")) ? "cut " : "", node ? "" : "below ",
		    node ? node : encloser);
	if (wildcard)
		SAY(" by %s", wildcard);
	if (json_integer_value(json_object_get(cname, "followed")))
		SAY("; %d to %s%s%s", (int)json_integer_value(json_object_get(cname, "followed")),
		    json_string_value(json_object_get(cname, "to")), end ? " " : "", end ? end : "");
	SAY("; %s%s%s", json_string_value(json_object_get(reply, "rcode")),
	    json_is_true(json_object_get(reply, "aa")) ? " aa" : "",
	    json_is_true(json_object_get(reply, "tc")) ? " tc" : "");
	json_array_foreach (json_object_get(reply, "rrsets"), index, rrset)
		SAY("; %.2s %s %d", json_string_value(json_object_get(rrset, "section")),
		    json_string_value(json_object_get(rrset, "type")),
		    (int)json_integer_value(json_object_get(rrset, "records")));
#undef SAY
}

static void expect(struct image *image, const char *name, const char *type, struct explain_question question,
                   const char *expected)
{
	char text[2048];
	json_t *told = ask(image, name, type, question);

	summary(told, text, sizeof(text));
	json_decref(told);
	if (strcmp(text, expected))
		fail_msg("%s %s gives\n%s\ninstead of\n%s", name, type, text, expected);
}

#define EXAMPLE "; example.test.; "
#define UDP ((struct explain_question){})
#define EDNS(size) ((struct explain_question){.edns = true, .udp_size = (size)})
#define TCP ((struct explain_question){.tcp = true})

static void found(void **state)
{
	struct image *image = make_image();

	expect(image, "WWW.example.test", "A", UDP, "driver answered" EXAMPLE "www.example.test.; NOERROR aa; an A 2");
	expect(image, "www.example.test", "MX", EDNS(1232),
	       "driver answered" EXAMPLE "www.example.test.; NOERROR aa; an MX 1; ad A 1; ad OPT 1");
	expect(image, "www.example.test", "TXT", UDP,
	       "driver answered" EXAMPLE "www.example.test.; NOERROR aa; au SOA 1");
	expect(image, "a.b.example.test", "A", UDP,
	       "driver answered" EXAMPLE "below example.test.; NXDOMAIN aa; au SOA 1");
	expect(image, "x.w.example.test", "A", UDP,
	       "driver answered" EXAMPLE "below w.example.test. by *.w.example.test.; NOERROR aa; an A 1");
	expect(image, "a.sub.example.test", "A", UDP,
	       "driver answered" EXAMPLE "cut below sub.example.test.; NOERROR; au NS 1; ad A 1");
	expect(image, "sub.example.test", "DS", UDP,
	       "driver answered" EXAMPLE "sub.example.test.; NOERROR aa; au SOA 1");
	expect(image, "example.com", "TYPE65300", UDP, "driver answered; -; REFUSED");
	image_close(image);
}

static void chains(void **state)
{
	struct image *image = make_image();

	expect(image, "c1.example.test", "A", UDP,
	       "driver answered" EXAMPLE
	       "www.example.test.; 2 to www.example.test.; NOERROR aa; an CNAME 1; an CNAME 1; an A 2");
	expect(image, "loop.example.test", "A", UDP,
	       "driver answered" EXAMPLE "2 to loop.example.test. loop; NOERROR aa; an CNAME 1; an CNAME 1");
	expect(image, "b.l.example.test", "A", UDP,
	       "driver answered" EXAMPLE
	       "below l.example.test. by *.l.example.test.; 2 to a.l.example.test. loop; NOERROR aa; "
	       "an CNAME 1; an CNAME 1");
	expect(image, "out.example.test", "A", UDP,
	       "driver answered" EXAMPLE "1 to www.elsewhere.test. outside; NOERROR aa; an CNAME 1");
	expect(image, "d1.example.test", "A", UDP,
	       "driver answered" EXAMPLE
	       "d6.example.test.; 5 to d6.example.test. limit; NOERROR aa; an CNAME 1; an CNAME 1; "
	       "an CNAME 1; an CNAME 1; an CNAME 1");
	image_close(image);
}

/* What the driver leaves, and what it cuts short. */
static void passed(void **state)
{
	struct image *image = make_image();

	expect(image, "example.test", "AXFR", UDP, "fallback meta_type; -; NOTIMPL");
	expect(image, "example.test", "AXFR", TCP, "fallback not_udp; -; REFUSED");
	expect(image, "www.example.test", "A", TCP, "fallback not_udp" EXAMPLE "www.example.test.; NOERROR aa; an A 2");
	expect(image, "www.empty.test", "A", UDP, "fallback no_zone; empty.test.; SERVFAIL");
	expect(image, "big.example.test", "A", EDNS(1232),
	       "driver answered" EXAMPLE "big.example.test.; NOERROR aa tc; ad OPT 1");
	expect(image, "big.example.test", "A", TCP,
	       "fallback not_udp" EXAMPLE "big.example.test.; NOERROR aa; an A 300");
	/* More types than the program goes through: the host's own bounds would not have said so. */
	expect(image, "types.example.test", "TYPE65399", UDP,
	       "fallback large" EXAMPLE "types.example.test.; NOERROR aa; an TYPE65399 1");
	image_close(image);
}

/* Header, question and RRsets make up the whole reply. */
static void octets(void **state)
{
	struct image *image = make_image();
	json_t *told = ask(image, "c1.example.test", "A", EDNS(4096)), *reply = json_object_get(told, "reply"), *rrset;
	json_int_t sum = KNOT_WIRE_HEADER_SIZE + 17 + 4;
	size_t index;

	json_array_foreach (json_object_get(reply, "rrsets"), index, rrset)
		sum += json_integer_value(json_object_get(rrset, "octets"));
	assert_int_equal(sum, json_integer_value(json_object_get(reply, "octets")));
	assert_int_equal(1232, json_integer_value(json_object_get(reply, "limit")));
	json_decref(told);
	image_close(image);
}

static void what_cannot_be_asked(void **state)
{
	struct explain_question question;
	char why[512];

	assert_non_null(explain_read(&question, "a..example", "A", why, sizeof(why)));
	assert_non_null(strstr(why, "no domain name"));
	assert_non_null(explain_read(&question, "example.test", "NONSENSE", why, sizeof(why)));
	assert_non_null(strstr(why, "no type known"));
	assert_null(explain_read(&question, "example.test", "TYPE65535", why, sizeof(why)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(found),
	    cmocka_unit_test(chains),
	    cmocka_unit_test(passed),
	    cmocka_unit_test(octets),
	    cmocka_unit_test(what_cannot_be_asked),
	};

	urcu_memb_register_thread();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Compiler, image and engine together, in plain memory: a zone in, answers out. */
#include "zone_text.h"

static struct pg_work work;

/* Asks, checks the sum the engine kept, and gives the reply parsed by libknot. */
static knot_pkt_t *ask(struct image *image, const char *name, uint16_t type, uint16_t size)
{
	static uint8_t query[600], reply[65535];
	uint8_t exact[600];
	size_t length = zone_text_query(query, name, type, size), reply_length = 0;
	knot_pkt_t *pkt;
	enum pg_exit exit;

	memcpy(exact, query, length);
	exit = zone_text_ask(image, &work, query, length, reply, &reply_length);
	assert_int_equal(PG_EXIT_ANSWERED, exit);
	assert_memory_equal(exact, query, length);
	pkt = knot_pkt_new(reply, reply_length, NULL);
	assert_non_null(pkt);
	assert_int_equal(KNOT_EOK, knot_pkt_parse(pkt, 0));
	{
		uint64_t sum = 0, kept = work.sum;

		for (size_t i = 0; i < reply_length; i++)
			sum += i & 1 ? (uint64_t)reply[i] << 8 : reply[i];
		while (sum >> 16)
			sum = (sum & 0xffff) + (sum >> 16);
		while (kept >> 16)
			kept = (kept & 0xffff) + (kept >> 16);
		/* 0 and 0xffff are the same in ones' complement. */
		assert_int_equal(sum % 0xffff, kept % 0xffff);
	}
	return pkt;
}

/* Runs of blanks as one. */
static char *squeeze(char *text)
{
	char *to = text;

	for (char *from = text; *from; from++)
		if (*from != ' ' && *from != '\t')
			*to++ = *from;
		else if (to > text && to[-1] != ' ')
			*to++ = ' ';
	*to = 0;
	return text;
}

static void dump(knot_pkt_t *pkt, char *text, size_t size)
{
	size_t at = 0;
	char buffer[70000];

	at += snprintf(text + at, size - at, "rcode %u%s%s\n", knot_pkt_ext_rcode(pkt),
	               knot_wire_get_aa(pkt->wire) ? " aa" : "", knot_wire_get_tc(pkt->wire) ? " tc" : "");
	for (int section = KNOT_ANSWER; section <= KNOT_ADDITIONAL; section++) {
		const knot_pktsection_t *part = knot_pkt_section(pkt, section);

		for (uint16_t i = 0; i < part->count; i++) {
			const knot_rrset_t *rrset = knot_pkt_rr(part, i);
			char *out = buffer;
			size_t room = sizeof(buffer);

			if (rrset->type == KNOT_RRTYPE_OPT) {
				at += snprintf(text + at, size - at, "%d OPT %u\n", section,
				               knot_edns_get_payload(rrset));
				continue;
			}
			knot_rrset_txt_dump(rrset, &out, &room, &KNOT_DUMP_STYLE_DEFAULT);
			at += snprintf(text + at, size - at, "%d %s", section, squeeze(out));
		}
	}
}

static void expect(struct image *image, const char *name, const char *type, uint16_t size, const char *expected)
{
	static char text[200000];
	uint16_t number;
	knot_pkt_t *pkt;

	assert_int_equal(0, knot_rrtype_from_string(type, &number));
	pkt = ask(image, name, number, size);
	dump(pkt, text, sizeof(text));
	knot_pkt_free(pkt);
	if (strcmp(text, expected))
		fail_msg("%s %s gives\n%s\ninstead of\n%s", name, type, text, expected);
}

static const char example[] = "@ 3600 SOA ns1 host 7 600 300 86400 60\n"
                              "@ 3600 NS ns1\n@ NS ns.other.test.\n@ MX 10 mail.sub2\n"
                              "ns1 A 192.0.2.1\nns1 AAAA 2001:db8::1\n"
                              "www A 192.0.2.2\nwww A 192.0.2.3\nwww TXT \"hello\"\n"
                              "a.b.c A 192.0.2.4\n"
                              "*.w A 192.0.2.5\nno.w TXT \"block\"\n"
                              "*.wc CNAME www\n"
                              "alias CNAME www\nalias2 CNAME alias\nloop1 CNAME loop2\nloop2 CNAME loop1\n"
                              "out CNAME www.elsewhere.test.\ngone CNAME nothing\n"
                              "sub NS ns.sub\nsub NS ns1\nns.sub A 192.0.2.6\nwww.sub A 192.0.2.7\n"
                              "mail.sub2 A 192.0.2.8\n"
                              "x TYPE65400 \\# 3 010203\n";

static struct image *make_image(void)
{
	struct image *image = image_open(NULL, 64 << 20, 53, 1232);

	assert_non_null(image);
	zone_text_publish(image, "example.test.", example);
	return image;
}

static void answers(void **state)
{
	struct image *image = make_image();

	expect(image, "WWW.example.TEST.", "A", 0,
	       "rcode 0 aa\n0 www.example.test. 3600 A 192.0.2.2\n0 www.example.test. 3600 A 192.0.2.3\n");
	expect(image, "www.example.test.", "TXT", 1232,
	       "rcode 0 aa\n0 www.example.test. 3600 TXT \"hello\"\n2 OPT 1232\n");
	expect(image, "x.example.test.", "TYPE65400", 0, "rcode 0 aa\n0 x.example.test. 3600 TYPE65400 \\# 3 010203\n");
	expect(image, "example.test.", "NS", 0,
	       "rcode 0 aa\n0 example.test. 3600 NS ns.other.test.\n0 example.test. 3600 NS ns1.example.test.\n"
	       "2 ns1.example.test. 3600 A 192.0.2.1\n2 ns1.example.test. 3600 AAAA 2001:db8::1\n");
	expect(image, "example.test.", "MX", 0,
	       "rcode 0 aa\n0 example.test. 3600 MX 10 mail.sub2.example.test.\n"
	       "2 mail.sub2.example.test. 3600 A 192.0.2.8\n");
	expect(image, "www.other.test.", "A", 0, "rcode 5\n");
	image_close(image);
}

#define SOA60 "1 example.test. 60 SOA ns1.example.test. host.example.test. 7 600 300 86400 60\n"

static void denials(void **state)
{
	struct image *image = make_image();

	expect(image, "nothing.example.test.", "A", 0, "rcode 3 aa\n" SOA60);
	expect(image, "1.2.3.4.5.6.7.8.9.10.nothing.example.test.", "A", 0, "rcode 3 aa\n" SOA60);
	expect(image, "z.a.b.c.example.test.", "A", 0, "rcode 3 aa\n" SOA60);
	expect(image, "www.example.test.", "MX", 0, "rcode 0 aa\n" SOA60);
	expect(image, "b.c.example.test.", "A", 0, "rcode 0 aa\n" SOA60);
	expect(image, "c.example.test.", "A", 1232, "rcode 0 aa\n" SOA60 "2 OPT 1232\n");
	expect(image, "q.no.w.example.test.", "A", 0, "rcode 3 aa\n" SOA60);
	image_close(image);
}

static void wildcards_and_chains(void **state)
{
	struct image *image = make_image();

	expect(image, "q.w.example.test.", "A", 0, "rcode 0 aa\n0 q.w.example.test. 3600 A 192.0.2.5\n");
	expect(image, "p.q.w.example.test.", "A", 0, "rcode 0 aa\n0 p.q.w.example.test. 3600 A 192.0.2.5\n");
	expect(image, "q.w.example.test.", "MX", 0, "rcode 0 aa\n" SOA60);
	expect(
	    image, "q.wc.example.test.", "TXT", 0,
	    "rcode 0 aa\n0 q.wc.example.test. 3600 CNAME www.example.test.\n0 www.example.test. 3600 TXT \"hello\"\n");
	expect(image, "alias2.example.test.", "TXT", 0,
	       "rcode 0 aa\n0 alias2.example.test. 3600 CNAME alias.example.test.\n"
	       "0 alias.example.test. 3600 CNAME www.example.test.\n0 www.example.test. 3600 TXT \"hello\"\n");
	expect(image, "alias.example.test.", "CNAME", 0,
	       "rcode 0 aa\n0 alias.example.test. 3600 CNAME www.example.test.\n");
	expect(image, "loop1.example.test.", "A", 0,
	       "rcode 0 aa\n0 loop1.example.test. 3600 CNAME loop2.example.test.\n"
	       "0 loop2.example.test. 3600 CNAME loop1.example.test.\n");
	expect(image, "gone.example.test.", "A", 0,
	       "rcode 3 aa\n0 gone.example.test. 3600 CNAME nothing.example.test.\n" SOA60);
	expect(image, "out.example.test.", "A", 0, "rcode 0 aa\n0 out.example.test. 3600 CNAME www.elsewhere.test.\n");
	image_close(image);
}

static void referrals(void **state)
{
	static const char referral[] =
	    "1 sub.example.test. 3600 NS ns.sub.example.test.\n"
	    "1 sub.example.test. 3600 NS ns1.example.test.\n"
	    "2 ns.sub.example.test. 3600 A 192.0.2.6\n"
	    "2 ns1.example.test. 3600 A 192.0.2.1\n2 ns1.example.test. 3600 AAAA 2001:db8::1\n";
	char text[2048];
	struct image *image = make_image();

	snprintf(text, sizeof(text), "rcode 0\n%s", referral);
	expect(image, "sub.example.test.", "A", 0, text);
	expect(image, "www.sub.example.test.", "A", 0, text);
	expect(image, "a.b.c.www.sub.example.test.", "ANY", 0, text);
	expect(image, "sub.example.test.", "DS", 0, "rcode 0 aa\n" SOA60);
	/* The child is served too: it answers, and the parent for DS. */
	zone_text_publish(image, "sub.example.test.",
	                  "@ SOA ns host 1 1 1 1 1\n@ NS ns\nns A 192.0.2.6\nwww A 192.0.2.9\n");
	expect(image, "www.sub.example.test.", "A", 0, "rcode 0 aa\n0 www.sub.example.test. 3600 A 192.0.2.9\n");
	expect(image, "sub.example.test.", "DS", 0, "rcode 0 aa\n" SOA60);
	image_close(image);
}

/* A thousand edits: after each, every name is answered as in an image that saw the last version alone, and memory does
 * not leak. */
static void versions(void **state)
{
	struct image *image = make_image();
	uint64_t used = 0;

	for (int round = 0; round < 200; round++) {
		char zone[20000];
		size_t at = snprintf(zone, sizeof(zone), "@ SOA ns host %d 1 1 1 60\n@ NS ns\n", round + 10);

		for (int i = 0; i < 200; i++)
			if ((i * 7 + round) % 3)
				at += snprintf(zone + at, sizeof(zone) - at, "n%d A 192.0.2.%d\n", i,
				               (i + (i % 5 ? 0 : round)) % 256);
		zone_text_publish(image, "edit.test.", zone);
		for (int i = 0; i < 200; i++) {
			char name[64], expected[256];

			snprintf(name, sizeof(name), "n%d.edit.test.", i);
			if ((i * 7 + round) % 3)
				snprintf(expected, sizeof(expected), "rcode 0 aa\n0 %s 3600 A 192.0.2.%d\n", name,
				         (i + (i % 5 ? 0 : round)) % 256);
			else
				snprintf(expected, sizeof(expected),
				         "rcode 3 aa\n1 edit.test. 60 SOA ns.edit.test. host.edit.test. %d 1 1 1 60\n",
				         round + 10);
			expect(image, name, "A", 0, expected);
		}
		if (round == 5)
			used = image->segments.warm.used;
		/* Versions repeat in size every third round. */
		if (round > 5 && round % 3 == 2)
			assert_int_equal(used, image->segments.warm.used);
	}
	image_hide_zone(image, (const uint8_t *)"\4edit\4test");
	image_close(image);
}

/* A zone below one that is served: what the zone above says of names there is nobody's to hear, from the moment on when
 * it is served till it is gone. */
static void zone_below(void **state)
{
	static const char above[] =
	    "@ SOA ns host 1 1 1 1 60\n@ NS ns\nns A 192.0.2.1\nsub A 192.0.2.2\nwww.sub A 192.0.2.3\n";
	static const char below[] = "@ SOA ns host 2 1 1 1 60\n@ NS ns\nns A 192.0.2.4\nwww A 192.0.2.5\n";
	struct image *image = image_open(NULL, 64 << 20, 53, 1232);
	int64_t slot;

	assert_non_null(image);
	zone_text_publish(image, "up.test.", above);
	expect(image, "www.sub.up.test.", "A", 0, "rcode 0 aa\n0 www.sub.up.test. 3600 A 192.0.2.3\n");
	zone_text_publish(image, "sub.up.test.", below);
	expect(image, "www.sub.up.test.", "A", 0, "rcode 0 aa\n0 www.sub.up.test. 3600 A 192.0.2.5\n");
	expect(image, "sub.up.test.", "A", 0,
	       "rcode 0 aa\n1 sub.up.test. 60 SOA ns.sub.up.test. host.sub.up.test. 2 1 1 1 60\n");
	expect(image, "sub.up.test.", "DS", 0, "rcode 0 aa\n1 up.test. 60 SOA ns.up.test. host.up.test. 1 1 1 1 60\n");
	expect(image, "ns.up.test.", "A", 0, "rcode 0 aa\n0 ns.up.test. 3600 A 192.0.2.1\n");
	/* Hidden, it is not found any more, though its names are still there. */
	slot = image_hide_zone(image, (const uint8_t *)"\3sub\2up\4test");
	expect(image, "www.sub.up.test.", "A", 0, "rcode 0 aa\n0 www.sub.up.test. 3600 A 192.0.2.3\n");
	image_drop_zone(image, slot);
	expect(image, "www.sub.up.test.", "A", 0, "rcode 0 aa\n0 www.sub.up.test. 3600 A 192.0.2.3\n");
	image_close(image);

	/* The other way round: the zone above comes last. */
	image = image_open(NULL, 64 << 20, 53, 1232);
	zone_text_publish(image, "sub.up.test.", below);
	zone_text_publish(image, "up.test.", above);
	expect(image, "www.sub.up.test.", "A", 0, "rcode 0 aa\n0 www.sub.up.test. 3600 A 192.0.2.5\n");
	image_close(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(answers),   cmocka_unit_test(denials),  cmocka_unit_test(wildcards_and_chains),
	    cmocka_unit_test(referrals), cmocka_unit_test(versions), cmocka_unit_test(zone_below),
	};

	urcu_memb_register_thread();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The reader of RRs beside libknot's parser: whole messages, and messages with octets changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "transfer/rr_reader.h"
#include "transfer/transfer_internal.h"
#include "zone_text.h"

#include <stdlib.h>
#include <string.h>

static const char text[] = "@ SOA ns.sub host 1 2 3 4 5\n"
                           "@ NS ns.sub\n@ NS Ns2.Other.\n@ MX 10 Mail\n@ TXT \"some\" \"text\"\n"
                           "a A 192.0.2.1\na AAAA 2001:db8::1\nA.B A 192.0.2.2\n"
                           "c CNAME a.b\nd DNAME x.\n_s._tcp SRV 1 2 3 srv.a\n"
                           "n NAPTR 1 2 \"u\" \"E2U+sip\" \"!^.*$!sip:x!\" rep.a\n"
                           "p PTR a\nr RP m.a t.a\nk KX 1 kx.a\naf AFSDB 1 af.a\n"
                           "h HTTPS 1 svc.a alpn=h2\nds DS 1 13 2 " /* 32 octets */
                           "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"
                           "a NSEC c.test. A AAAA RRSIG NSEC\n"
                           "a RRSIG A 13 2 60 20300101000000 20200101000000 1 test. AAAA\n"
                           "u TYPE65280 \\# 4 01020304\n";

/* The zone as one reply, compressed. Returns its length. */
static size_t make_message(uint8_t *wire, size_t room)
{
	char why[256];
	struct zone_version *version = zone_builder_finish(zone_text_read("test.", text), why, sizeof(why));
	knot_pkt_t *pkt = knot_pkt_new(wire, room, NULL);
	size_t length;

	assert_non_null(version);
	assert_int_equal(0, knot_pkt_put_question(pkt, version->apex, KNOT_CLASS_IN, KNOT_RRTYPE_AXFR));
	knot_wire_set_qr(wire);
	assert_int_equal(0, knot_pkt_begin(pkt, KNOT_ANSWER));
	for (size_t i = 0; i < version->name_count; i++)
		for (size_t j = 0; j < version->names[i].rrset_count; j++) {
			const struct zone_rrset *rrset = &version->names[i].rrsets[j];
			const uint8_t *at = rrset->rdata;

			for (uint32_t k = 0; k < rrset->count; k++) {
				knot_rrset_t rr;
				uint16_t octets;

				memcpy(&octets, at, sizeof(octets));
				knot_rrset_init(&rr, (knot_dname_t *)version->names[i].owner, rrset->type,
				                KNOT_CLASS_IN, rrset->ttl);
				assert_int_equal(0, knot_rrset_add_rdata(&rr, at + 2, octets, NULL));
				assert_int_equal(0, knot_pkt_put(pkt, KNOT_COMPR_HINT_NONE, &rr, 0));
				knot_rdataset_clear(&rr.rrs, NULL);
				at += 2 + octets;
			}
		}
	length = pkt->size;
	knot_pkt_free(pkt);
	zone_unref(version);
	return length;
}

/* Reads all answers by both. Returns how many records were compared, or -1 when one of the two refuses. */
static int compare(uint8_t *wire, size_t length, bool changed)
{
	knot_pkt_t *pkt = knot_pkt_new(wire, length, NULL);
	struct reply reply = {.wire = wire, .length = length};
	bool theirs = !knot_pkt_parse(pkt, KNOT_PF_NOCANON);
	/* Without what libknot looks at besides. */
	bool ours = theirs && !reply_take_apart(&reply);
	const knot_pktsection_t *answer = knot_pkt_section(pkt, KNOT_ANSWER);
	struct rr_reader reader;
	struct rr rr;
	int count = -1;

	/* Changed, a message may have what we do not take in a primary's reply: two questions, say. */
	if (!changed)
		assert_true(theirs && ours);
	if (ours) {
		rr_reader_init(&reader, wire, reply.length, reply.answer_at);
		for (count = 0; count < answer->count; count++) {
			knot_rrset_t *other = (knot_rrset_t *)knot_pkt_rr(answer, (uint16_t)count);

			int result = rr_read(&reader, &rr);

			/* libknot follows pointers in circles for some time, and pointers where there may be none. */
			if (changed && (result || !zone_rdata_ok(rr.type, rr.rdata, rr.rdata_length)))
				break;
			assert_int_equal(0, result);
			knot_dname_to_lower(other->owner);
			assert_int_equal(knot_dname_size(other->owner), rr.owner_length);
			assert_memory_equal(other->owner, rr.owner, rr.owner_length);
			assert_int_equal(other->type, rr.type);
			assert_int_equal(other->rclass, rr.rclass);
			/* Theirs is 0 for RRSIGs of another TTL and the like: not looked at where octets were changed.
			 */
			if (!changed)
				assert_int_equal(other->ttl, rr.ttl);
			assert_int_equal(other->rrs.rdata->len, rr.rdata_length);
			assert_memory_equal(other->rrs.rdata->data, rr.rdata, rr.rdata_length);
		}
		reply_close(&reply);
	}
	knot_pkt_free(pkt);
	return count;
}

/* Whatever it is, reading it ends within it; ASan looks on. */
static void read_alone(uint8_t *wire, size_t length)
{
	struct reply reply = {.wire = wire, .length = length};
	struct rr_reader reader;
	struct rr rr;

	if (reply_take_apart(&reply))
		return;
	rr_reader_init(&reader, wire, reply.length, reply.answer_at);
	for (unsigned i = knot_wire_get_ancount(wire); i > 0 && !rr_read(&reader, &rr); i--)
		assert_in_range(reader.at, reply.answer_at, reply.length);
	reply_close(&reply);
}

static void test_as_libknot(void **state)
{
	uint8_t wire[4096] = {};
	size_t length = make_message(wire, sizeof(wire));

	assert_int_equal(21, compare(wire, length, false));
}

static void test_changed(void **state)
{
	uint8_t whole[4096] = {}, *wire;
	size_t length = make_message(whole, sizeof(whole));
	unsigned compared = 0;

	srandom(1);
	for (int i = 0; i < 20000; i++) {
		size_t cut = i % 4 ? length : (size_t)random() % length;

		if (cut < KNOT_WIRE_HEADER_SIZE)
			continue;
		/* To the octet, for ASan. */
		wire = malloc(cut);
		memcpy(wire, whole, cut);
		for (int j = random() % 4; j >= 0; j--) {
			size_t at = (size_t)random() % cut;

			wire[at] = random() % 3 ? (uint8_t)random() : 0xc0;
		}
		read_alone(wire, cut);
		compared += compare(wire, cut, true) > 0;
		free(wire);
	}
	/* Most changes are of a few octets in a name, an address or a TTL. */
	assert_in_range(compared, 2000, 20000);
}

/* Pointers lead back, each further than the one before; to itself, or forward, is no name. */
static void test_pointers(void **state)
{
	static const struct {
		uint8_t name[4];
		bool good;
	} rows[] = {
	    {"\300\014", false}, {"\300\015", false}, {"\300\020", false}, {"\001a\300\014", false}, {"\100\0", false}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t wire[64] = {[7] = 1};
		struct rr_reader reader;
		struct rr rr;

		memcpy(wire + 12, rows[i].name, 4);
		rr_reader_init(&reader, wire, sizeof(wire), 12);
		assert_int_equal(rows[i].good ? 0 : -1, rr_read(&reader, &rr));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_as_libknot),
	    cmocka_unit_test(test_changed),
	    cmocka_unit_test(test_pointers),
	};

	return cmocka_run_group_tests_name("rr_reader", tests, NULL, NULL);
}

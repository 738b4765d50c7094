/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A whole zone on its way from messages to the image, without a socket: every stage in turn, and how much processor
 * time each took. PG_NAMES in the environment makes it as large as that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "publish/image_internal.h"
#include "transfer/transfer_internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <urcu/urcu-memb.h>

#define ID 7
#define MESSAGE 16384 /* as Knot DNS and NSD send them */

static const uint8_t apex[] = "\1h\4test";

/* The messages of an AXFR, each behind its length. */
struct stream {
	uint8_t *octets;
	size_t length, room;
	uint8_t message[MESSAGE];
	size_t used;
	uint16_t records;
	size_t apex_at; /* in the message; 0: it does not stand there yet */
};

static void begin_message(struct stream *stream)
{
	memset(stream->message, 0, KNOT_WIRE_HEADER_SIZE);
	knot_wire_set_id(stream->message, ID);
	knot_wire_set_qr(stream->message);
	stream->used = KNOT_WIRE_HEADER_SIZE;
	stream->records = 0;
	stream->apex_at = 0;
}

static void end_message(struct stream *stream)
{
	knot_wire_set_ancount(stream->message, stream->records);
	if (stream->length + 2 + stream->used > stream->room) {
		stream->room = 2 * (stream->length + 2 + stream->used);
		stream->octets = realloc(stream->octets, stream->room);
		assert_non_null(stream->octets);
	}
	knot_wire_write_u16(stream->octets + stream->length, stream->used);
	memcpy(stream->octets + stream->length + 2, stream->message, stream->used);
	stream->length += 2 + stream->used;
	begin_message(stream);
}

static void put(struct stream *stream, const void *octets, size_t length)
{
	memcpy(stream->message + stream->used, octets, length);
	stream->used += length;
}

static void put_pointer(struct stream *stream, size_t to)
{
	knot_wire_write_u16(stream->message + stream->used, 0xc000 | to);
	stream->used += 2;
}

/* `label` NULL: the apex. `owner_at`: where the owner stands in this message, or 0. */
static void put_record(struct stream *stream, const uint8_t *label, size_t *owner_at, uint16_t type,
                       const uint8_t *rdata, uint16_t length)
{
	uint8_t fixed[10] = {};

	if (stream->used + 64 + length > sizeof(stream->message)) {
		end_message(stream);
		*owner_at = 0;
	}
	if (*owner_at) {
		put_pointer(stream, *owner_at);
	} else {
		*owner_at = stream->used;
		if (label)
			put(stream, label, label[0] + 1U);
		if (stream->apex_at) {
			put_pointer(stream, stream->apex_at);
		} else {
			stream->apex_at = stream->used;
			put(stream, apex, sizeof(apex));
		}
	}
	knot_wire_write_u16(fixed, type);
	knot_wire_write_u16(fixed + 2, KNOT_CLASS_IN);
	knot_wire_write_u32(fixed + 4, 300);
	knot_wire_write_u16(fixed + 8, length);
	put(stream, fixed, sizeof(fixed));
	put(stream, rdata, length);
	stream->records++;
}

static void put_number(uint8_t *label, unsigned number)
{
	memcpy(label, "\10n0000000", 9);
	for (int i = 8; i > 1; i--, number /= 10)
		label[i] = '0' + number % 10;
}

/* So many names with A and AAAA each. */
static void make_stream(struct stream *stream, unsigned names)
{
	static const uint8_t soa[] = "\2ns\1h\4test\0\4host\1h\4test\0"
	                             "\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\5";
	uint8_t label[16], address[16] = {0x20, 1, 0xd, 0xb8};
	size_t at = 0;

	begin_message(stream);
	/* The first message repeats the question. */
	knot_wire_set_qdcount(stream->message, 1);
	stream->apex_at = stream->used;
	put(stream, apex, sizeof(apex));
	put(stream, "\0\374\0\1", 4);
	put_record(stream, NULL, &at, KNOT_RRTYPE_SOA, soa, sizeof(soa) - 1);
	put_record(stream, NULL, &at, KNOT_RRTYPE_NS, soa, 11);
	for (unsigned i = 0; i < names; i++) {
		put_number(label, i);
		knot_wire_write_u32(address + 12, i);
		at = 0;
		put_record(stream, label, &at, KNOT_RRTYPE_A, address + 12, 4);
		put_record(stream, label, &at, KNOT_RRTYPE_AAAA, address, 16);
	}
	at = 0;
	put_record(stream, NULL, &at, KNOT_RRTYPE_SOA, soa, sizeof(soa) - 1);
	end_message(stream);
}

/* Of all threads: nodes are compiled by several. */
static double cpu_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void nothing(void *context)
{
}

/* Each of some names all over the zone has so many RRsets. */
static void check_names(const struct image *image, unsigned names, unsigned rrsets)
{
	for (unsigned i = 0; i < names; i += names / 1000) {
		uint8_t owner[32];
		const struct pg_node *node;
		pg_ref ref;

		put_number(owner, i);
		memcpy(owner + 9, apex, sizeof(apex));
		ref = image_find_node(image, 0, PG_ROLE_NAME, owner);
		assert_int_not_equal(0, ref);
		node = segments_at(&image->segments, ref);
		assert_int_equal(rrsets, node->rrsets);
	}
}

static void test_large(void **state)
{
	unsigned names = getenv("PG_NAMES") ? strtoul(getenv("PG_NAMES"), NULL, 0) : 50000;
	struct stream *stream = calloc(1, sizeof(*stream));
	struct image *image = image_open(NULL, 8ULL << 30, 53, 1232);
	enum transfer_result result = TRANSFER_MORE;
	struct tsig_session unsigned_session = {};
	struct zone_version *version;
	struct transfer_in in;
	char why[512] = "";
	double begun, read, sorted;

	assert_true(names >= 1000 && names < 10000000);
	make_stream(stream, names);
	begun = cpu_ms();
	assert_int_equal(0, transfer_in_init(&in, apex, ID, NULL, &unsigned_session));
	for (size_t at = 0; at < stream->length;) {
		size_t length = knot_wire_read_u16(stream->octets + at);

		assert_int_equal(TRANSFER_MORE, result);
		result = transfer_in_message(&in, stream->octets + at + 2, length);
		at += 2 + length;
	}
	assert_int_equal(TRANSFER_DONE, result);
	assert_int_equal(2 * names + 2, in.records);
	read = cpu_ms();
	version = zone_builder_finish(in.builder, why, sizeof(why));
	in.builder = NULL;
	assert_non_null(version);
	assert_int_equal(names + 1, version->name_count);
	sorted = cpu_ms();
	assert_int_equal(0, image_add_zone(image, apex));
	if (image_commit(image, version, UINT64_MAX, nothing, NULL, why, sizeof(why)))
		fail_msg("%s", why);
	print_message("%u names: read in %.0f ms of processor time, sorted in %.0f, compiled and published in %.0f\n",
	              names, read - begun, sorted - read, cpu_ms() - sorted);
	check_names(image, names, 2);
	zone_unref(version);
	transfer_in_clear(&in);
	image_close(image);
	free(stream->octets);
	free(stream);
}

/* A version of which one name, wherever it stands, cannot be compiled is refused, whichever thread finds that out; what
 * was served is served on. */
static void test_refused(void **state)
{
	static const unsigned names = 30000, bad[] = {0, 12345, 29999};
	static const uint8_t soa[] = "\2ns\1h\4test\0\4host\1h\4test\0"
	                             "\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\5";
	struct image *image = image_open(NULL, 1ULL << 30, 53, 1232);
	uint8_t owner[32], text[256] = {255}, address[4];
	uint64_t used = 0;

	assert_int_equal(0, image_add_zone(image, apex));
	for (size_t round = 0; round <= sizeof(bad) / sizeof(bad[0]); round++) {
		struct zone_builder *builder = zone_builder_new(apex, 0);
		struct zone_version *version;
		char why[512] = "", name[64];

		assert_int_equal(0, zone_builder_add(builder, apex, KNOT_RRTYPE_SOA, 300, soa, sizeof(soa) - 1));
		assert_int_equal(0, zone_builder_add(builder, apex, KNOT_RRTYPE_NS, 300, soa, 11));
		for (unsigned i = 0; i < names; i++) {
			put_number(owner, i);
			memcpy(owner + 9, apex, sizeof(apex));
			knot_wire_write_u32(address, i + round);
			assert_int_equal(0, zone_builder_add(builder, owner, KNOT_RRTYPE_A, 300, address, 4));
			for (unsigned j = 0; round && i == bad[round - 1] && j < 300; j++) {
				knot_wire_write_u16(text + 1, j);
				assert_int_equal(0, zone_builder_add(builder, owner, KNOT_RRTYPE_TXT, 300, text, 256));
			}
		}
		version = zone_builder_finish(builder, why, sizeof(why));
		assert_non_null(version);
		assert_int_equal(round ? -1 : 0,
		                 image_commit(image, version, UINT64_MAX, nothing, NULL, why, sizeof(why)));
		zone_unref(version);
		if (round) {
			snprintf(name, sizeof(name), "n%07u.h.test.", bad[round - 1]);
			assert_non_null(strstr(why, name));
			assert_int_equal(used, image->segments.warm.used);
		}
		used = image->segments.warm.used;
		assert_int_equal(1, image_head(image, 0).version);
		check_names(image, names, 1);
	}
	image_close(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_large),
	    cmocka_unit_test(test_refused),
	};

	urcu_memb_register_thread();
	return cmocka_run_group_tests_name("axfr_large", tests, NULL, NULL);
}

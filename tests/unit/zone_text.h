/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For tests: zones from master-file text into an image, and queries. */
#ifndef PEREGRINE_ZONE_TEXT_H
#define PEREGRINE_ZONE_TEXT_H

#include "engine/engine.h"
#include "publish/image_internal.h"
#include "zone/zone.h"

#include <libknot/libknot.h>
#include <libzscanner/scanner.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <urcu/urcu-memb.h>

static inline void zone_text_record(zs_scanner_t *scanner)
{
	struct zone_builder *builder = scanner->process.data;

	if (zone_builder_add(builder, scanner->r_owner, scanner->r_type, scanner->r_ttl, scanner->r_data,
	                     scanner->r_data_length))
		fail_msg("%s", zone_builder_error(builder));
}

/* The records of a text in a builder. */
static inline struct zone_builder *zone_text_read(const char *origin, const char *text)
{
	knot_dname_storage_t apex;
	zs_scanner_t scanner;
	struct zone_builder *builder;

	assert_non_null(knot_dname_from_str(apex, origin, sizeof(apex)));
	builder = zone_builder_new(apex, 0);
	assert_non_null(builder);
	assert_int_equal(0, zs_init(&scanner, origin, KNOT_CLASS_IN, 3600));
	assert_int_equal(0, zs_set_processing(&scanner, zone_text_record, NULL, builder));
	assert_int_equal(0, zs_set_input_string(&scanner, text, strlen(text)));
	if (zs_parse_all(&scanner))
		fail_msg("line %llu: %s", (unsigned long long)scanner.line_counter, zs_strerror(scanner.error.code));
	zs_deinit(&scanner);
	return builder;
}

static inline struct zone_version *zone_text(const char *origin, const char *text)
{
	char why[512] = "";
	struct zone_version *version = zone_builder_finish(zone_text_read(origin, text), why, sizeof(why));

	if (!version)
		fail_msg("%s", why);
	return version;
}

static inline void zone_text_visible(void *context)
{
}

static inline void zone_text_publish(struct image *image, const char *origin, const char *text)
{
	struct zone_version *version = zone_text(origin, text);
	char why[512] = "";

	assert_true(image_add_zone(image, version->apex) >= 0);
	if (image_commit(image, version, UINT64_MAX, zone_text_visible, NULL, why, sizeof(why)))
		fail_msg("%s", why);
	zone_unref(version);
}

/* A query's wire: `size` of EDNS, 0 without. Returns its length. */
static inline size_t zone_text_query(uint8_t *wire, const char *name, uint16_t type, uint16_t size)
{
	knot_dname_storage_t qname;
	size_t length = KNOT_WIRE_HEADER_SIZE;

	memset(wire, 0, length);
	wire[0] = 0x12;
	wire[1] = 0x34;
	wire[5] = 1;
	assert_non_null(knot_dname_from_str(qname, name, sizeof(qname)));
	memcpy(wire + length, qname, knot_dname_size(qname));
	length += knot_dname_size(qname);
	knot_wire_write_u16(wire + length, type);
	knot_wire_write_u16(wire + length + 2, KNOT_CLASS_IN);
	length += 4;
	if (size) {
		wire[11] = 1;
		memset(wire + length, 0, KNOT_EDNS_MIN_SIZE);
		wire[length + 2] = KNOT_RRTYPE_OPT;
		knot_wire_write_u16(wire + length + 3, size);
		length += KNOT_EDNS_MIN_SIZE;
	}
	return length;
}

/* Asks the engine. Returns its exit; the reply has room for a whole message. */
static inline enum pg_exit zone_text_ask(struct image *image, struct pg_work *work, const uint8_t *query, size_t length,
                                         uint8_t *reply, size_t *reply_length)
{
	enum pg_exit exit;

	urcu_memb_read_lock();
	exit = engine_answer(image_view_get(image), work, false, 1, query, length, reply, 65535, reply_length);
	urcu_memb_read_unlock();
	return exit;
}

#endif

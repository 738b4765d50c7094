/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a primary may send for an IXFR, and what applying it makes of a small zone. The input is the TCP stream, as in
 * fuzz_axfr_in.c; the serial asked with stands before it, in one octet, and is that of the zone.
 */
#include "stream.h"

#define APEX ((const uint8_t *)"\4zone\7example")

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct zone_builder *make_base(uint32_t serial)
{
	struct zone_builder *builder = zone_builder_new(APEX, 0);
	uint8_t soa[] = "\0\0\0\0\0\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1";

	knot_wire_write_u32(soa + 2, serial);
	zone_builder_add(builder, APEX, KNOT_RRTYPE_SOA, 60, soa, 22);
	zone_builder_add(builder, APEX, KNOT_RRTYPE_NS, 60, APEX, 14);
	zone_builder_add(builder, (const uint8_t *)"\1a\4zone\7example", KNOT_RRTYPE_A, 60,
	                 (const uint8_t *)"\300\0\2\1", 4);
	return builder;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tsig_session tsig = {0};
	struct transfer_in in;
	uint32_t have = size > 0 ? data[0] : 0;
	char why[TRANSFER_WHY];

	if (size < 5 || transfer_in_init(&in, APEX, knot_wire_read_u16(data + 3), &have, &tsig) != 0)
		return 0;
	if (feed_stream(&in, data + 1, size - 1) == TRANSFER_DONE && in.shape == SHAPE_DIFFERENCES) {
		struct zone_version *version = zone_changes_apply(in.changes, make_base(have), why, sizeof(why));

		in.changes = NULL;
		if (version != NULL && version->serial != in.soa.serial)
			abort();
		if (version != NULL)
			zone_unref(version);
	}
	transfer_in_clear(&in);
	tsig_session_clear(&tsig);
	return 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a primary may send for an AXFR: the input is the TCP stream, messages with their length before each. The id of
 * the first is taken as the one that was asked with, so that the fuzzer gets past it. No TSIG: it would keep all out.
 */
#include "stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tsig_session tsig = {0};
	struct transfer_in in;
	char why[TRANSFER_WHY];

	if (size < 4 ||
	    transfer_in_init(&in, (const uint8_t *)"\4zone\7example", knot_wire_read_u16(data + 2), NULL, &tsig) != 0)
		return 0;
	if (feed_stream(&in, data, size) == TRANSFER_DONE) {
		struct zone_version *version = zone_builder_finish(in.builder, why, sizeof(why));

		in.builder = NULL;
		if (version != NULL)
			zone_unref(version);
	}
	transfer_in_clear(&in);
	tsig_session_clear(&tsig);
	return 0;
}

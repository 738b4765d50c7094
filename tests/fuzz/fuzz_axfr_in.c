/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a primary may send for an AXFR: the input is the TCP stream, messages with their length before each. The id of
 * the first is taken as the one that was asked with, so that the fuzzer gets past it. No TSIG: it would keep all out.
 */
#include "transfer/transfer_internal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tsig_session tsig = {0};
	enum transfer_result result = TRANSFER_MORE;
	struct transfer_in in;
	char why[TRANSFER_WHY];

	if (size < 4 ||
	    transfer_in_init(&in, (const uint8_t *)"\4zone\7example", knot_wire_read_u16(data + 2), NULL, &tsig) != 0)
		return 0;
	while (result == TRANSFER_MORE && size >= 2 && size - 2 >= knot_wire_read_u16(data)) {
		uint16_t length = knot_wire_read_u16(data);
		/* A copy of exactly this size, for AddressSanitizer. */
		uint8_t *message = malloc(length > 0 ? length : 1);

		memcpy(message, data + 2, length);
		result = transfer_in_message(&in, message, length);
		free(message);
		data += 2 + length;
		size -= 2 + (size_t)length;
	}
	if (result == TRANSFER_DONE) {
		struct zone_version *version = zone_builder_finish(in.builder, why, sizeof(why));

		in.builder = NULL;
		if (version != NULL)
			zone_unref(version);
	}
	transfer_in_clear(&in);
	tsig_session_clear(&tsig);
	return 0;
}

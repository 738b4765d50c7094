/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef PEREGRINE_FUZZ_STREAM_H
#define PEREGRINE_FUZZ_STREAM_H

#include "transfer/transfer_internal.h"

#include <stdlib.h>
#include <string.h>

/* Feeds a transfer with a TCP stream, messages with their length before each, as far as it wants them. */
static inline enum transfer_result feed_stream(struct transfer_in *in, const uint8_t *data, size_t size)
{
	enum transfer_result result = TRANSFER_MORE;

	while (result == TRANSFER_MORE && size >= 2 && size - 2 >= knot_wire_read_u16(data)) {
		uint16_t length = knot_wire_read_u16(data);
		/* A copy of exactly this size, for AddressSanitizer. */
		uint8_t *message = malloc(length > 0 ? length : 1);

		memcpy(message, data + 2, length);
		result = transfer_in_message(in, message, length);
		free(message);
		data += 2 + length;
		size -= 2 + (size_t)length;
	}
	return result;
}

#endif

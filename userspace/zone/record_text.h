/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One record in master-file form (RFC 1035 section 5), as other programs read it. */
#ifndef PEREGRINE_ZONE_RECORD_TEXT_H
#define PEREGRINE_ZONE_RECORD_TEXT_H

#include <stddef.h>
#include <stdint.h>

struct record_text {
	char *text; /* one line with its end, behind record_text_put */
	size_t room;
};

/* `rdata`: a 16-bit length in host byte order, not aligned, and so many octets. Returns the number of characters, or -1
 * when memory is short or the record cannot be written. */
int record_text_put(struct record_text *line, const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata);
void record_text_free(struct record_text *line);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "zone/record_text.h"

#include <libknot/libknot.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_FIRST 4096

int record_text_put(struct record_text *line, const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata)
{
	/* As libknot wants it: aligned, and padded to an even length. */
	_Alignas(knot_rdata_t) uint8_t aligned[sizeof(knot_rdata_t) + UINT16_MAX + 1];
	knot_rrset_t rrset;
	uint16_t length;
	int written;

	if (!line->text) {
		line->text = malloc(ROOM_FIRST);
		if (!line->text)
			return -1;
		line->room = ROOM_FIRST;
	}
	memcpy(&length, rdata, sizeof(length));
	memcpy(aligned, rdata, sizeof(length) + length);
	knot_rrset_init(&rrset, (knot_dname_t *)owner, type, KNOT_CLASS_IN, ttl);
	rrset.rrs = (knot_rdataset_t){.count = 1, .size = knot_rdata_size(length), .rdata = (knot_rdata_t *)aligned};
	written = knot_rrset_txt_dump(&rrset, &line->text, &line->room, &KNOT_DUMP_STYLE_DEFAULT);
	return written < 0 ? -1 : written;
}

void record_text_free(struct record_text *line)
{
	free(line->text);
	*line = (struct record_text){};
}

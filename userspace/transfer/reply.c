/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A primary's message taken apart: where its sections are, and its OPT and TSIG records, which libknot reads. */
#include "rr_reader.h"
#include "transfer_internal.h"

#include <stdlib.h>

/* Behind the question, of which there is one at most, spelt out. Returns 0 or -1. */
static int skip_question(struct reply *reply)
{
	const uint8_t *name = reply->wire + KNOT_WIRE_HEADER_SIZE, *end = reply->wire + reply->length;
	int length;

	reply->answer_at = KNOT_WIRE_HEADER_SIZE;
	if (knot_wire_get_qdcount(reply->wire) == 0)
		return 0;
	length = knot_dname_wire_check(name, end, NULL);
	if (knot_wire_get_qdcount(reply->wire) > 1 || length <= 0 || end - name < length + 4)
		return -1;
	reply->answer_at += (size_t)length + 4;
	return 0;
}

/* Skips `count` records. Returns where the next begins, or 0. */
static size_t skip(const struct reply *reply, size_t at, unsigned count)
{
	uint16_t type;

	while (count > 0 && at > 0) {
		at = rr_skip(reply->wire, reply->length, at, &type);
		count--;
	}
	return at;
}

static int parse_one(const struct reply *reply, size_t at, knot_rrset_t **out)
{
	knot_rrset_t *rrset = calloc(1, sizeof(*rrset));
	int result =
	    rrset != NULL ? knot_rrset_rr_from_wire(reply->wire, &at, reply->length, rrset, NULL, false) : KNOT_ENOMEM;

	if (result == KNOT_EOK && rrset->type == KNOT_RRTYPE_TSIG && !knot_tsig_rdata_is_ok(rrset))
		result = KNOT_EMALF;
	if (result != KNOT_EOK) {
		if (rrset != NULL)
			knot_rrset_clear(rrset, NULL);
		free(rrset);
		return result;
	}
	*out = rrset;
	return KNOT_EOK;
}

/* Of a TSIG record that came last: what it signs is the message without it, and with the id that it had there. */
static void strip_tsig(struct reply *reply, size_t at)
{
	knot_wire_set_id(reply->wire, knot_tsig_rdata_orig_id(reply->tsig));
	knot_wire_set_arcount(reply->wire, knot_wire_get_arcount(reply->wire) - 1);
	reply->length = at;
}

/* Takes one record of the additional section; `last`: it ends the message. */
static int take_additional(struct reply *reply, size_t at, uint16_t type, bool last)
{
	switch (type) {
	case KNOT_RRTYPE_OPT:
		/* RFC 6891 section 6.1.1: one, and its owner is the root. */
		return reply->opt != NULL || reply->wire[at] != 0 ? KNOT_EMALF : parse_one(reply, at, &reply->opt);
	case KNOT_RRTYPE_TSIG:
		return last ? parse_one(reply, at, &reply->tsig) : KNOT_EMALF;
	default:
		return KNOT_EOK;
	}
}

int reply_take_apart(struct reply *reply)
{
	unsigned count = knot_wire_get_arcount(reply->wire);
	size_t at = 0, next;
	int result = KNOT_EOK;
	uint16_t type;

	if (skip_question(reply) == 0) {
		at = skip(reply, reply->answer_at, knot_wire_get_ancount(reply->wire));
		at = at > 0 ? skip(reply, at, knot_wire_get_nscount(reply->wire)) : 0;
	}
	for (; count > 0 && at > 0 && result == KNOT_EOK; count--, at = next) {
		next = rr_skip(reply->wire, reply->length, at, &type);
		result = next > 0 ? take_additional(reply, at, type, count == 1) : KNOT_EMALF;
		if (result == KNOT_EOK && reply->tsig != NULL && next == reply->length) {
			strip_tsig(reply, at);
			return KNOT_EOK;
		}
	}
	if (result == KNOT_EOK && at != reply->length)
		result = KNOT_EMALF;
	if (result != KNOT_EOK)
		reply_close(reply);
	return result;
}

void reply_close(struct reply *reply)
{
	knot_rrset_free(reply->opt, NULL);
	knot_rrset_free(reply->tsig, NULL);
	reply->opt = reply->tsig = NULL;
}

const uint8_t *reply_option(const struct reply *reply, uint16_t code, size_t *length)
{
	uint8_t *option = reply->opt != NULL ? knot_edns_get_option(reply->opt, code, NULL) : NULL;

	if (option == NULL)
		return NULL;
	*length = knot_edns_opt_get_length(option);
	return knot_edns_opt_get_data(option);
}

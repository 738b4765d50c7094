/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One transfer: the order of its records, and the messages that they are put into.
 *
 *   ALONE      the SOA, and no more: the client has this version, or a later one, or asks by UDP
 *   OPENING    the SOA
 *   BODY       AXFR and AXFR-style IXFR: all records but the SOA; IXFR: the differences, SOAs among them
 *   CLOSING    the SOA again
 */
#include "transfer_out/transfer_out.h"

#include "common/log.h"
#include "config/config.h"
#include "zone/rdata.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUESTION_ROOM (KNOT_DNAME_MAXLEN + 4)
#define RECORD_ROOM (UINT16_MAX + sizeof(knot_rdata_t) + 1)
#define SOA_NUMBERS 20U /* octets behind the SOA's two names */

enum phase { OUT_BEGIN, OUT_ALONE, OUT_OPENING, OUT_BODY, OUT_CLOSING, OUT_END };

struct transfer_out {
	const struct out_source *source;
	void *snapshot;
	struct tsig_server tsig;
	struct sockaddr_storage from;
	knot_dname_storage_t apex;
	uint8_t question[QUESTION_ROOM];
	size_t question_length;
	uint8_t opt[OUT_OPT_ROOM];
	size_t opt_length;
	uint16_t id;
	bool recursion_desired, incremental;
	uint32_t have; /* IXFR: the client's serial */

	enum phase phase;
	bool differences; /* the body is that of an IXFR */
	uint32_t serial;  /* the snapshot's */
	/* The SOA: it opens and closes, and what the source gave does not stand for so long. */
	uint8_t soa[sizeof(uint16_t) + 2 * KNOT_DNAME_MAXLEN + SOA_NUMBERS];
	struct out_rrset soa_rrset;
	/* The RRset that is being written: the next of its RRs, and how many are left. */
	struct out_rrset rrset;
	const uint8_t *rr;
	uint32_t left;

	uint64_t messages, records, octets;
	char why[256];
	_Alignas(knot_rdata_t) uint8_t record[RECORD_ROOM];
};

struct transfer_out *transfer_out_new(const struct out_source *source, const struct out_request *request,
                                      struct tsig_server *tsig)
{
	struct transfer_out *transfer = malloc(sizeof(*transfer));

	if (!transfer || request->question_length > QUESTION_ROOM || request->opt_length > OUT_OPT_ROOM) {
		free(transfer);
		tsig_server_clear(tsig);
		return NULL;
	}
	/* All but the room for a record. */
	memset(transfer, 0, offsetof(struct transfer_out, record));
	transfer->source = source;
	transfer->from = request->from;
	transfer->id = request->id;
	transfer->recursion_desired = request->recursion_desired;
	transfer->incremental = request->incremental;
	transfer->have = request->serial;
	knot_dname_to_wire(transfer->apex, request->apex, sizeof(transfer->apex));
	memcpy(transfer->question, request->question, request->question_length);
	transfer->question_length = request->question_length;
	if (request->opt)
		memcpy(transfer->opt, request->opt, request->opt_length);
	transfer->opt_length = request->opt ? request->opt_length : 0;
	tsig_server_move(&transfer->tsig, tsig);
	return transfer;
}

void transfer_out_free(struct transfer_out *transfer)
{
	if (!transfer)
		return;
	if (transfer->snapshot)
		transfer->source->end(transfer->snapshot);
	tsig_server_clear(&transfer->tsig);
	free(transfer);
}

static int fail(struct transfer_out *transfer, const char *why)
{
	snprintf(transfer->why, sizeof(transfer->why), "%s", why);
	return -1;
}

/* --- the order of the records --- */

static void take_rrset(struct transfer_out *transfer, const struct out_rrset *rrset)
{
	transfer->rrset = *rrset;
	transfer->rr = rrset->rdata;
	transfer->left = rrset->count;
}

/* Keeps the SOA, and its serial. */
static int take_soa(struct transfer_out *transfer)
{
	struct out_rrset soa;
	size_t length;

	if (transfer->source->soa(transfer->snapshot, &soa) != 0 || soa.count != 1)
		return fail(transfer, "the zone's SOA cannot be read from the store");
	length = zone_rdata_length(soa.rdata);
	if (length < 2 + SOA_NUMBERS || length > sizeof(transfer->soa) - sizeof(uint16_t))
		return fail(transfer, "the zone's SOA in the store is malformed");
	memcpy(transfer->soa, soa.rdata, sizeof(uint16_t) + length);
	transfer->serial = knot_wire_read_u32(transfer->soa + sizeof(uint16_t) + length - SOA_NUMBERS);
	transfer->soa_rrset = soa;
	transfer->soa_rrset.owner = transfer->apex;
	transfer->soa_rrset.rdata = transfer->soa;
	return 0;
}

/* RFC 1982 section 3.2: whether the client's serial is the snapshot's or newer. Where neither is newer, it is not. */
static bool client_is_current(const struct transfer_out *transfer)
{
	return transfer->have - transfer->serial < 0x80000000U;
}

/* Begins the snapshot, and decides what the answer is (RFC 1995 sections 2 and 4). */
static int settle(struct transfer_out *transfer)
{
	const struct out_source *source = transfer->source;
	uint64_t whole = 0, octets = 0;
	int there;

	transfer->snapshot = source->begin(source->context, transfer->apex, &whole);
	if (!transfer->snapshot)
		return fail(transfer, "the zone is not in the store yet, or the store cannot be read");
	if (take_soa(transfer))
		return -1;
	transfer->phase = OUT_OPENING;
	if (!transfer->incremental)
		return 0;
	if (client_is_current(transfer)) {
		transfer->phase = OUT_ALONE;
		return 0;
	}
	there = source->changes(transfer->snapshot, transfer->have, &octets);
	/* Differences that cannot be read are no loss: the zone itself does. */
	transfer->differences = there == 1 && octets < whole;
	return 0;
}

static int next_of_body(struct transfer_out *transfer)
{
	struct out_rrset rrset;
	int got;

	do {
		got = transfer->differences ? transfer->source->next_change(transfer->snapshot, &rrset)
		                            : transfer->source->next(transfer->snapshot, &rrset);
	} while (got == 1 && !transfer->differences && rrset.type == KNOT_RRTYPE_SOA);
	if (got == 1)
		take_rrset(transfer, &rrset);
	return got;
}

/* Sees to it that there is a record to be written. Returns 1; 0 when all are; -1 with the reason. */
static int advance(struct transfer_out *transfer)
{
	int got;

	if (transfer->left)
		return 1;
	switch (transfer->phase) {
	case OUT_ALONE:
	case OUT_CLOSING:
		take_rrset(transfer, &transfer->soa_rrset);
		transfer->phase = OUT_END;
		return 1;
	case OUT_OPENING:
		take_rrset(transfer, &transfer->soa_rrset);
		transfer->phase = OUT_BODY;
		return 1;
	case OUT_BODY:
		got = next_of_body(transfer);
		if (got < 0)
			return fail(transfer, "the zone cannot be read from the store to its end");
		if (got == 1)
			return 1;
		transfer->phase = OUT_CLOSING;
		return advance(transfer);
	default:
		return 0;
	}
}

/* --- messages --- */

struct message_out {
	uint8_t *wire;
	size_t length, limit; /* what may be used, signature and OPT left out */
	uint16_t answers;
	knot_compr_t compression;
};

static void message_begin(struct transfer_out *transfer, struct message_out *message, uint8_t *wire, unsigned rcode)
{
	*message = (struct message_out){.wire = wire, .length = KNOT_WIRE_HEADER_SIZE + transfer->question_length};
	memset(wire, 0, KNOT_WIRE_HEADER_SIZE);
	memcpy(wire + KNOT_WIRE_HEADER_SIZE, transfer->question, transfer->question_length);
	knot_wire_set_id(wire, transfer->id);
	knot_wire_set_qr(wire);
	if (rcode == KNOT_RCODE_NOERROR)
		knot_wire_set_aa(wire);
	if (transfer->recursion_desired)
		knot_wire_set_rd(wire);
	knot_wire_set_rcode(wire, (short)rcode);
	knot_wire_set_qdcount(wire, 1);
	message->compression = (knot_compr_t){
	    .wire = wire,
	    .suffix = {.pos = KNOT_WIRE_HEADER_SIZE,
	               .labels = (uint8_t)knot_dname_labels(wire + KNOT_WIRE_HEADER_SIZE, NULL)},
	};
	message->limit = UINT16_MAX - tsig_server_room(&transfer->tsig);
	if (transfer->messages == 0)
		message->limit -= transfer->opt_length;
}

/* Writes the record at hand behind the others. Returns 1; 0 when it has no room. */
static int message_put(struct transfer_out *transfer, struct message_out *message)
{
	uint16_t length = zone_rdata_length(transfer->rr);
	/* The first record takes what it needs, those that follow what makes pointers useful. */
	size_t limit = message->answers == 0 ? message->limit : OUT_MESSAGE_FILL;
	knot_rrinfo_t hints = {0};
	knot_rrset_t one;
	int written;

	if (limit > message->limit)
		limit = message->limit;
	if (message->length >= limit || message->answers == UINT16_MAX)
		return 0;
	memcpy(transfer->record, transfer->rr, sizeof(uint16_t) + length);
	knot_rrset_init(&one, (knot_dname_t *)transfer->rrset.owner, transfer->rrset.type, KNOT_CLASS_IN,
	                transfer->rrset.ttl);
	one.rrs.count = 1;
	one.rrs.size = (uint32_t)(sizeof(uint16_t) + length);
	one.rrs.rdata = (knot_rdata_t *)transfer->record;
	message->compression.rrinfo = &hints;
	written = knot_rrset_to_wire(&one, message->wire + message->length, (uint16_t)(limit - message->length),
	                             &message->compression);
	if (written <= 0)
		return 0;
	message->length += (size_t)written;
	message->answers++;
	transfer->rr += sizeof(uint16_t) + length;
	transfer->left--;
	transfer->records++;
	return 1;
}

/* OPT, counts, signature. */
static int message_end(struct transfer_out *transfer, struct message_out *message)
{
	knot_wire_set_ancount(message->wire, message->answers);
	if (transfer->messages == 0 && transfer->opt_length) {
		memcpy(message->wire + message->length, transfer->opt, transfer->opt_length);
		message->length += transfer->opt_length;
		knot_wire_set_arcount(message->wire, 1);
	}
	if (tsig_server_sign(&transfer->tsig, message->wire, &message->length, UINT16_MAX))
		return fail(transfer, "a message cannot be signed");
	transfer->messages++;
	transfer->octets += message->length;
	return 0;
}

/* One message. Returns 1; 0 when it was the last; -1 with the reason. */
static int next_message(struct transfer_out *transfer, uint8_t *wire, size_t *length)
{
	struct message_out message;
	int more;

	message_begin(transfer, &message, wire, KNOT_RCODE_NOERROR);
	while ((more = advance(transfer)) == 1 && message_put(transfer, &message) == 1)
		;
	if (more < 0)
		return -1;
	if (message.answers == 0)
		return fail(transfer, "a record does not fit into a message");
	if (message_end(transfer, &message))
		return -1;
	*length = message.length;
	return more;
}

/* The answer when there is nothing to begin with: SERVFAIL, and that was all. */
static size_t refuse(struct transfer_out *transfer, uint8_t *buffer)
{
	struct message_out message;

	message_begin(transfer, &message, buffer + 2, KNOT_RCODE_SERVFAIL);
	if (message_end(transfer, &message))
		return 0;
	knot_wire_write_u16(buffer, (uint16_t)message.length);
	return 2 + message.length;
}

size_t transfer_out_next(struct transfer_out *transfer, uint8_t *buffer, size_t room, enum out_result *result)
{
	size_t used = 0, length = 0;
	int more = 1;

	if (transfer->phase == OUT_BEGIN && settle(transfer)) {
		transfer->phase = OUT_END;
		*result = OUT_DONE;
		return refuse(transfer, buffer);
	}
	/* A single RR may need a message of the largest size. */
	while (more == 1 && room - used >= OUT_MESSAGE_ROOM) {
		more = next_message(transfer, buffer + used + 2, &length);
		if (more < 0)
			break;
		knot_wire_write_u16(buffer + used, (uint16_t)length);
		used += 2 + length;
	}
	*result = more < 0 ? OUT_FAILED : more ? OUT_MORE : OUT_DONE;
	return used;
}

const char *transfer_out_error(const struct transfer_out *transfer)
{
	return transfer->why;
}

void transfer_out_log(const struct transfer_out *transfer, uint64_t milliseconds, const char *why)
{
	const char *kind = !transfer->incremental                                 ? "AXFR"
	                   : !transfer->snapshot                                  ? "IXFR"
	                   : transfer->phase == OUT_END && transfer->records == 1 ? "IXFR (current)"
	                   : transfer->differences                                ? "IXFR"
	                                                                          : "IXFR (full)";
	char zone[KNOT_DNAME_TXT_MAXLEN + 1] = "?", client[CONFIG_ADDRESS_TEXT], key[KNOT_DNAME_TXT_MAXLEN + 1] = "";

	knot_dname_to_str(zone, transfer->apex, sizeof(zone));
	config_address_text(&transfer->from, client);
	if (transfer->tsig.on)
		knot_dname_to_str(key, transfer->tsig.key.name, sizeof(key));
	if (!why && transfer->why[0])
		why = transfer->why;
	if (why)
		log_warning("zone %s: %s to %s%s%s: ended after %llu records, %llu octets, %llu ms: %s", zone, kind,
		            client, key[0] ? " key " : "", key, (unsigned long long)transfer->records,
		            (unsigned long long)transfer->octets, (unsigned long long)milliseconds, why);
	else
		log_info("zone %s: %s to %s%s%s: serial %u sent, %llu records, %llu octets, %llu ms", zone, kind,
		         client, key[0] ? " key " : "", key, transfer->serial, (unsigned long long)transfer->records,
		         (unsigned long long)transfer->octets, (unsigned long long)milliseconds);
}

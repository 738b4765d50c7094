/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What secondaries of ours ask: transfers, signed queries, and how long a zone has to live. A transfer is only judged
 * here, and begun; its messages are sent by who has the connection.
 */
#include "engine/engine.h"
#include "fallback/odd.h"
#include "transfer_out/outgoing.h"

#include <stdlib.h>
#include <string.h>

#define NANOSECONDS 1000000000U
#define OPTION_EXPIRE_SIZE (4U + 4U)

/* --- EXPIRE --- */

/* Seconds that the zone found last has to live; false where it is not the apex that was asked for. */
static bool zone_life(const struct odd *odd, uint32_t *seconds)
{
	const struct pg_zone *zone;
	uint64_t expires_at, left;

	if (odd->work->zone >= odd->view->zone_slots)
		return false;
	zone = &odd->view->zones[odd->work->zone];
	if (zone->name_length != odd->message.name_length)
		return false;
	expires_at = __atomic_load_n(&zone->expires_at, __ATOMIC_RELAXED);
	left = expires_at > odd->work->now ? (expires_at - odd->work->now) / NANOSECONDS : 0;
	*seconds = left < UINT32_MAX ? (uint32_t)left : UINT32_MAX;
	return true;
}

size_t odd_add_expire(struct odd *odd, size_t length)
{
	const struct message *message = &odd->message;
	size_t opt = odd->work->opt_length;
	uint8_t *option = odd->reply + length, *size;
	uint32_t seconds;

	if (!message->expire || !message->opt || opt < MESSAGE_OPT || length < opt ||
	    length + OPTION_EXPIRE_SIZE > odd_limit(odd) || !(odd->reply[2] & FLAGS_AA) || !zone_life(odd, &seconds))
		return length;
	size = option - opt + 9;
	message_put16(size, message_get16(size) + OPTION_EXPIRE_SIZE);
	message_put16(option, OPTION_EXPIRE);
	message_put16(option + 2, 4);
	message_put16(option + 4, seconds >> 16);
	message_put16(option + 6, seconds & 0xffff);
	odd->work->opt_length += OPTION_EXPIRE_SIZE;
	return length + OPTION_EXPIRE_SIZE;
}

/* --- transfers --- */

/* Leaves the transfer to be sent. `length` octets of odd->reply are the answer to the SOA query, whose OPT the first
 * message gets. */
static size_t begin_transfer(struct odd *odd, const uint8_t *apex, size_t length)
{
	const struct message *message = &odd->message;
	struct tsig_server none = {0};
	struct out_request request = {
	    .apex = apex,
	    .question = message->wire + MESSAGE_HEADER,
	    .question_length = message->question_end - MESSAGE_HEADER,
	    .id = message_get16(message->wire),
	    .recursion_desired = message->wire[2] & FLAGS_RD,
	    .incremental = message->qtype == TYPE_IXFR,
	    .serial = message->serial,
	    .from = *odd->from,
	};

	if (message->opt && odd->work->opt_length <= OUT_OPT_ROOM) {
		request.opt = odd->reply + length - odd->work->opt_length;
		request.opt_length = odd->work->opt_length;
	}
	*odd->transfer = transfer_out_new(odd->options->outgoing->source, &request, odd->tsig ? odd->tsig : &none);
	return *odd->transfer ? 0 : odd_error(odd, RCODE_SERVFAIL);
}

/* RFC 5936, RFC 1995. Whether the zone is there and alive is asked of the engine: what the SOA query gets. Over UDP
 * its answer is the answer to IXFR, too: to a client with an older serial it says that TCP has the differences (section
 * 2). */
size_t odd_transfer(struct odd *odd)
{
	const struct message *message = &odd->message;
	const struct outgoing *outgoing = odd->options->outgoing;
	uint8_t apex[PG_NAME_MAX + 1];
	size_t length;
	unsigned rcode;

	if (message->qclass != CLASS_IN || message_name(message, MESSAGE_HEADER, apex) == 0)
		return odd_error(odd, RCODE_REFUSED);
	knot_dname_to_lower(apex);
	rcode = outgoing_judge(outgoing, apex, message->qtype, odd->from, odd->key);
	if (rcode != RCODE_NOERROR)
		return odd_error(odd, rcode);
	if (message->qtype == TYPE_IXFR && !message->has_serial)
		return odd_error(odd, RCODE_FORMERR);
	if (odd_ask(odd, TYPE_SOA, &length) != PG_EXIT_ANSWERED || !(odd->reply[2] & FLAGS_AA) ||
	    message_get16(odd->reply + 6) == 0)
		return odd_error(odd, RCODE_SERVFAIL); /* not loaded, or expired */
	length = odd_add_expire(odd, length);
	if (!odd->tcp) {
		message_put16(odd->reply + message->question_end - 4, TYPE_IXFR);
		return length;
	}
	if (!odd->transfer)
		return odd_error(odd, RCODE_REFUSED);
	return outgoing->source ? begin_transfer(odd, apex, length) : odd_error(odd, RCODE_SERVFAIL);
}

/* --- signatures --- */

/*
 * RFC 8945 section 5.2 wants NOTAUTH for a signature that cannot be verified, and a TSIG record that says why and is
 * not signed (section 5.3.2: without MAC).
 */
static size_t reply_unsigned(struct odd *odd, unsigned error)
{
	const struct message_tsig *tsig = &odd->message.tsig;
	uint8_t record[2 * PG_NAME_MAX + 32] = {0};
	size_t at = message_name(&odd->message, tsig->owner, record), rdata;

	if (at == 0)
		return odd_error(odd, RCODE_FORMERR);
	message_put16(record + at, TYPE_TSIG);
	message_put16(record + at + 2, CLASS_ANY);
	rdata = at + 10;
	at = rdata + tsig->algorithm_length;
	memcpy(record + rdata, odd->message.wire + tsig->rdata, tsig->algorithm_length + 8); /* time, fudge */
	at += 8 + 2;                                                                         /* MAC size 0 */
	memcpy(record + at, odd->message.wire, 2);                                           /* original ID */
	message_put16(record + at + 2, error);
	at += 6; /* other length 0 */
	message_put16(record + rdata - 2, (unsigned)(at - rdata));

	odd_begin(odd, RCODE_NOTAUTH, true);
	odd_append_opt(odd);
	/* The key's name may have come compressed: then the reply, which needs no key to ask for, could be longer than
	 * the query, and does without the record. */
	if (odd->length + at <= odd->message.length)
		odd_append(odd, record, at, MESSAGE_ADDITIONAL);
	return odd_finish(odd);
}

/* Signs a reply of `length` octets. What does not fit with its signature goes without its records (section 5.3). */
static size_t sign(struct odd *odd, struct tsig_server *session, size_t length)
{
	size_t room = odd->room + tsig_server_room(session);

	if (length == 0)
		return 0;
	if (!odd->tcp && length + tsig_server_room(session) > odd_limit(odd)) {
		odd_begin(odd, odd->work->rcode, true);
		odd_append_opt(odd);
		odd->reply[2] |= FLAGS_TC;
		length = odd->length;
	}
	return tsig_server_sign(session, odd->reply, &length, room) == 0 ? length : 0;
}

/* The answer to what is in the signed envelope, `copy`, of which `length` octets are left. */
static size_t answer_inside(struct odd *odd, struct tsig_server *session, const uint8_t *copy, size_t length)
{
	size_t reply_length = 0;

	message_scan(&odd->message, copy, length);
	odd->tsig = session;
	odd->room -= tsig_server_room(session);
	if (session->error) {
		odd_begin(odd, RCODE_NOTAUTH, true);
		odd_append_opt(odd);
		return sign(odd, session, odd->length);
	}
	odd->exit = engine_answer(odd->view, odd->work, odd->tcp, odd->work->now, copy, length, odd->reply, odd->room,
	                          &reply_length);
	if (odd->exit != PG_EXIT_ANSWERED)
		reply_length = odd_judge(odd);
	return sign(odd, session, reply_length);
}

size_t odd_signed(struct odd *odd)
{
	const struct outgoing *outgoing = odd->options->outgoing;
	size_t length = odd->message.length, reply_length;
	struct tsig_server session;
	uint8_t name[PG_NAME_MAX + 1];
	uint8_t *copy;
	int result;

	if (message_name(&odd->message, odd->message.tsig.owner, name) == 0)
		return odd_error(odd, RCODE_FORMERR);
	knot_dname_to_lower(name);
	odd->key = outgoing ? outgoing->key(outgoing->context, name) : NULL;
	if (!odd->key) {
		outgoing_bad_signature(odd->from, name, KNOT_RCODE_BADKEY);
		return reply_unsigned(odd, KNOT_RCODE_BADKEY);
	}
	copy = malloc(length);
	if (!copy)
		return odd_error(odd, RCODE_SERVFAIL);
	memcpy(copy, odd->message.wire, length);
	result = tsig_server_check(&session, odd->key, copy, &length);
	if (result > 0)
		outgoing_bad_signature(odd->from, name, session.error);
	if (result < 0)
		reply_length = odd_error(odd, RCODE_FORMERR);
	else if (result > 0 && !session.on)
		reply_length = reply_unsigned(odd, session.error);
	else
		reply_length = answer_inside(odd, &session, copy, length);
	tsig_server_clear(&session);
	free(copy);
	return reply_length;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * NOTIFY (RFC 1996). All it can do is to have a primary asked sooner, so it is believed on little: the right address,
 * of a primary or one that the zone's `allow-notify` names. A primary that has a key may send it unsigned, as many do;
 * but what is signed must be signed with that key. Whoever forges the address gains one SOA query, and the next not
 * within transfer_limits.notify_pause.
 */
#include "common/packet.h"
#include "transfer_internal.h"
#include "tsig/tsig_server.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define REPLY_ROOM 512

/* Who sent it. */
struct sender {
	bool primary; /* of the zone, from this address: */
	struct source source;
	const knot_tsig_key_t *key; /* what is signed must be signed with; NULL: none */
};

static bool same_host(const struct sockaddr_storage *one, const uint8_t other[16])
{
	uint8_t plain[16];

	config_plain_address(one, plain);
	return memcmp(plain, other, 16) == 0;
}

static bool key_named(const knot_tsig_key_t *key, const knot_rrset_t *tsig)
{
	return key != NULL && tsig != NULL && knot_dname_is_case_equal(key->name, tsig->owner);
}

/* The primary that has the address: with the key it is signed with, if there are several. */
static bool find_primary(const struct config_zone *zone, const uint8_t from[16], const knot_rrset_t *tsig,
                         struct sender *out)
{
	bool found = false;

	for (size_t i = 0; i < zone->primary_count; i++) {
		const struct config_primary *primary = zone->primaries[i];

		for (size_t j = 0; j < primary->address_count; j++) {
			if (!same_host(&primary->addresses[j], from) || (found && !key_named(primary->key, tsig)))
				continue;
			*out = (struct sender){true, {(uint16_t)i, (uint16_t)j}, primary->key};
			if (key_named(primary->key, tsig))
				return true;
			found = true;
		}
	}
	return found;
}

/* Others that are allowed to: an entry with a key wants it signed with that. */
static bool find_allowed(const struct config_zone *zone, const uint8_t from[16], const knot_rrset_t *tsig,
                         struct sender *out)
{
	bool found = false;

	for (size_t i = 0; i < zone->allow_notify_count; i++) {
		const struct config_access *access = &zone->allow_notify[i];

		if (!config_access_from(access, from) || (access->key != NULL && !key_named(access->key, tsig)))
			continue;
		*out = (struct sender){.key = access->key};
		if (access->key != NULL || tsig == NULL)
			return true;
		found = true;
	}
	return found;
}

static bool find_sender(const struct config_zone *zone, const struct sockaddr_storage *from, const knot_rrset_t *tsig,
                        struct sender *out)
{
	struct sender allowed;
	uint8_t plain[16];
	bool primary;

	config_plain_address(from, plain);
	primary = find_primary(zone, plain, tsig, out);
	/* A primary's address may have another key for this. */
	if (primary && (tsig == NULL || key_named(out->key, tsig)))
		return true;
	if (!find_allowed(zone, plain, tsig, &allowed) || (primary && !key_named(allowed.key, tsig)))
		return primary;
	*out = allowed;
	return true;
}

/* Header and question of the message, turned into its reply. Returns the length. */
static size_t make_reply(const knot_pkt_t *message, unsigned rcode, uint8_t *reply)
{
	size_t length = KNOT_WIRE_HEADER_SIZE + knot_pkt_question_size(message);

	memset(reply, 0, KNOT_WIRE_HEADER_SIZE);
	memcpy(reply, message->wire, 2);
	memcpy(reply + KNOT_WIRE_HEADER_SIZE, message->wire + KNOT_WIRE_HEADER_SIZE, length - KNOT_WIRE_HEADER_SIZE);
	knot_wire_set_qr(reply);
	knot_wire_set_opcode(reply, KNOT_OPCODE_NOTIFY);
	if (rcode == KNOT_RCODE_NOERROR)
		knot_wire_set_aa(reply);
	knot_wire_set_rcode(reply, (short)rcode);
	knot_wire_set_qdcount(reply, knot_pkt_question_size(message) > 0);
	return length;
}

/* Verifies the signature, if there is one, against the sender's key, if it has one. Returns whether it is good. */
static bool check_signature(const struct sender *sender, knot_pkt_t *message, struct tsig_server *session)
{
	const knot_tsig_key_t *key = sender->key;

	if (message->tsig_rr == NULL)
		return true;
	if (key != NULL)
		return tsig_server_verify(session, key, message) == 0;
	session->error = KNOT_RCODE_BADKEY;
	return false;
}

/* Signs the reply, or says in it what was wrong with the signature (RFC 8945 section 5.2). Returns the new length. */
static size_t finish_reply(struct tsig_server *session, const knot_pkt_t *message, uint8_t *reply, size_t length)
{
	size_t plain = length;

	if (message->tsig_rr == NULL)
		return length;
	/* Names of full length do not fit beside a signature: the reply then goes out without. */
	if (session->on)
		return tsig_server_sign(session, reply, &length, REPLY_ROOM) == 0 ? length : plain;
	return knot_tsig_add(reply, &length, REPLY_ROOM, session->error, message->tsig_rr) == KNOT_EOK ? length : plain;
}

/* The SOA it carries, a hint that nobody vouches for (section 3.7). Returns 0, or -1. */
static int hinted_soa(const struct follower *follower, const knot_pkt_t *message, struct soa_timers *soa)
{
	const knot_pktsection_t *answer = knot_pkt_section(message, KNOT_ANSWER);
	const knot_rrset_t *rr = answer->count > 0 ? knot_pkt_rr(answer, 0) : NULL;

	if (rr == NULL || rr->type != KNOT_RRTYPE_SOA || rr->rclass != KNOT_CLASS_IN || rr->rrs.count != 1 ||
	    !knot_dname_is_case_equal(rr->owner, follower->zone->apex))
		return -1;
	return soa_read(rr->rrs.rdata->data, rr->rrs.rdata->len, soa);
}

/* Whether that is one that we have. */
static bool nothing_new(struct follower *follower, const knot_pkt_t *message)
{
	struct soa_timers soa;

	if (hinted_soa(follower, message, &soa) != 0)
		return false;
	history_notified(history_open(&follower->history), soa.serial);
	/* With a failure behind us, the serial we have is still to be confirmed. */
	return follower->loaded && !follower->failing && !clocks_expired(follower) &&
	       !serial_newer(soa.serial, follower->served.serial);
}

/* Who sent it, and whether it is believed. Writes the reply in any case. `zone` is NULL when none is configured by that
 * name. */
static bool judge(const struct config_zone *zone, const struct sockaddr_storage *from, knot_pkt_t *message,
                  struct sender *sender, uint8_t *reply, size_t *reply_length)
{
	struct tsig_server session = {0};
	unsigned rcode = KNOT_RCODE_NOERROR;

	if (packet_parse(message) != KNOT_EOK || knot_pkt_qname(message) == NULL) {
		message->qname_size = 0; /* it may not be whole */
		*reply_length = make_reply(message, KNOT_RCODE_FORMERR, reply);
		return false;
	}
	if (zone == NULL || !find_sender(zone, from, message->tsig_rr, sender)) {
		*reply_length = make_reply(message, zone ? KNOT_RCODE_REFUSED : KNOT_RCODE_NOTAUTH, reply);
		return false;
	}
	if (!check_signature(sender, message, &session) ||
	    !knot_dname_is_case_equal(knot_pkt_qname(message), zone->apex) || knot_pkt_qclass(message) != KNOT_CLASS_IN)
		rcode = KNOT_RCODE_NOTAUTH;
	else if (knot_pkt_qtype(message) != KNOT_RRTYPE_SOA)
		rcode = KNOT_RCODE_NOTIMPL;
	*reply_length = make_reply(message, rcode, reply);
	*reply_length = finish_reply(&session, message, reply, *reply_length);
	tsig_server_clear(&session);
	return rcode == KNOT_RCODE_NOERROR;
}

/* A copy of the message as a packet, since parsing takes the TSIG record off it. NULL: none that is replied to. */
static knot_pkt_t *take(const uint8_t *wire, size_t length)
{
	knot_pkt_t *message;
	uint8_t *copy;

	if (length < KNOT_WIRE_HEADER_SIZE || length > TRANSFER_MESSAGE || knot_wire_get_qr(wire) ||
	    knot_wire_get_opcode(wire) != KNOT_OPCODE_NOTIFY)
		return NULL;
	copy = malloc(length);
	if (copy == NULL)
		return NULL;
	memcpy(copy, wire, length);
	message = knot_pkt_new(copy, (uint16_t)length, NULL);
	if (message == NULL)
		free(copy);
	return message;
}

static void give_back(knot_pkt_t *message)
{
	uint8_t *copy = message->wire;

	knot_pkt_free(message);
	free(copy);
}

bool transfer_notify_check(const struct config_zone *zone, const struct sockaddr_storage *from, const uint8_t *wire,
                           size_t length, uint8_t *reply, size_t *reply_length)
{
	knot_pkt_t *message = take(wire, length);
	struct sender sender = {0};
	bool believed;

	*reply_length = 0;
	if (message == NULL)
		return false;
	believed = judge(zone, from, message, &sender, reply, reply_length);
	give_back(message);
	return believed;
}

bool follower_notify(struct follower *follower, const struct sockaddr_storage *from, const uint8_t *wire, size_t length,
                     uint8_t *reply, size_t *reply_length)
{
	knot_pkt_t *message = follower->gone ? NULL : take(wire, length);
	struct sender sender = {0};
	bool believed;

	*reply_length = 0;
	if (message == NULL)
		return false;
	believed = judge(follower->zone, from, message, &sender, reply, reply_length);
	if (believed && !nothing_new(follower, message)) {
		/* During an attempt too: what it was told may be older than this. */
		follower->notified = true;
		follower->hint_known = sender.primary;
		follower->hinted = sender.source;
		follower_plan(follower);
	}
	give_back(message);
	return believed;
}

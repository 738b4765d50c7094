/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * NOTIFY (RFC 1996). All it can do is to have a primary asked sooner, so it is believed on little: the right address.
 * A primary that has a key may send it unsigned, as many do; but what is signed must be signed with that key. Whoever
 * forges the address gains one SOA query, and the next not within transfer_limits.notify_pause.
 */
#include "transfer_internal.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define REPLY_ROOM 512

/* The address as IPv6, IPv4 being mapped as on a dual-stack socket; the port left out. */
static bool plain_address(const struct sockaddr_storage *address, uint8_t out[16])
{
	if (address->ss_family == AF_INET6) {
		memcpy(out, &((const struct sockaddr_in6 *)address)->sin6_addr, 16);
		return true;
	}
	if (address->ss_family != AF_INET)
		return false;
	memset(out, 0, 10);
	memset(out + 10, 0xff, 2);
	memcpy(out + 12, &((const struct sockaddr_in *)address)->sin_addr, 4);
	return true;
}

static bool same_host(const struct sockaddr_storage *one, const struct sockaddr_storage *other)
{
	uint8_t first[16], second[16];

	return plain_address(one, first) && plain_address(other, second) && memcmp(first, second, 16) == 0;
}

static bool key_named(const knot_tsig_key_t *key, const knot_rrset_t *tsig)
{
	return key != NULL && tsig != NULL && knot_dname_is_case_equal(key->name, tsig->owner);
}

/* Finds the primary that has the address: with the key it is signed with, if there are several. */
static bool find_sender(const struct config_zone *zone, const struct sockaddr_storage *from, const knot_rrset_t *tsig,
                        struct source *out)
{
	bool found = false;

	for (size_t i = 0; i < zone->primary_count; i++) {
		const struct config_primary *primary = zone->primaries[i];

		for (size_t j = 0; j < primary->address_count; j++) {
			if (!same_host(&primary->addresses[j], from) || (found && !key_named(primary->key, tsig)))
				continue;
			*out = (struct source){.primary = (uint16_t)i, .address = (uint16_t)j};
			if (key_named(primary->key, tsig))
				return true;
			found = true;
		}
	}
	return found;
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

/* Verifies the signature, if there is one, against the sender's key, if it has one. Returns KNOT_EOK or the failure. */
static int check_signature(const struct config_zone *zone, const struct source *sender, const knot_pkt_t *message)
{
	const knot_tsig_key_t *key = zone->primaries[sender->primary]->key;
	knot_dname_storage_t name;
	knot_tsig_key_t canonical;
	int result;

	if (message->tsig_rr == NULL)
		return KNOT_EOK;
	if (key == NULL)
		return KNOT_TSIG_EBADKEY;
	canonical = tsig_key_canonical(key, name);
	result = tsig_key_fits(message->tsig_rr, &canonical);
	return result != KNOT_EOK ? result
	                          : knot_tsig_server_check(message->tsig_rr, message->wire, message->size, &canonical);
}

/* Signs the reply, or says in it what was wrong with the signature (RFC 8945 section 5.2). Returns the new length. */
static size_t finish_reply(const struct config_zone *zone, const struct source *sender, const knot_pkt_t *message,
                           int result, uint8_t *reply, size_t length)
{
	uint16_t error = result == KNOT_EOK             ? 0
	                 : result == KNOT_TSIG_EBADTIME ? KNOT_RCODE_BADTIME
	                 : result == KNOT_TSIG_EBADKEY  ? KNOT_RCODE_BADKEY
	                                                : KNOT_RCODE_BADSIG;
	uint8_t mac[TSIG_MAC_ROOM];
	size_t mac_length = sizeof(mac), plain = length;
	knot_dname_storage_t name;
	knot_tsig_key_t canonical;
	int made;

	if (message->tsig_rr == NULL)
		return length;
	if (knot_tsig_can_sign(error)) {
		canonical = tsig_key_canonical(zone->primaries[sender->primary]->key, name);
		made = knot_tsig_sign(reply, &length, REPLY_ROOM, knot_tsig_rdata_mac(message->tsig_rr),
		                      knot_tsig_rdata_mac_length(message->tsig_rr), mac, &mac_length, &canonical, error,
		                      knot_tsig_rdata_time_signed(message->tsig_rr));
	} else {
		made = knot_tsig_add(reply, &length, REPLY_ROOM, error, message->tsig_rr);
	}
	/* Names of full length do not fit beside a signature: the reply then goes out without. */
	return made == KNOT_EOK ? length : plain;
}

/* Whether the SOA it carries, a hint that nobody vouches for, is one that we have (section 3.7). */
static bool nothing_new(const struct follower *follower, const knot_pkt_t *message)
{
	const knot_pktsection_t *answer = knot_pkt_section(message, KNOT_ANSWER);
	const knot_rrset_t *rr = answer->count > 0 ? knot_pkt_rr(answer, 0) : NULL;
	struct soa_timers soa;

	/* With a failure behind us, the serial we have is still to be confirmed. */
	return follower->loaded && !follower->failing && !clocks_expired(follower) && rr != NULL &&
	       rr->type == KNOT_RRTYPE_SOA && rr->rclass == KNOT_CLASS_IN && rr->rrs.count == 1 &&
	       knot_dname_is_case_equal(rr->owner, follower->zone->apex) &&
	       soa_read(rr->rrs.rdata->data, rr->rrs.rdata->len, &soa) == 0 &&
	       !serial_newer(soa.serial, follower->served.serial);
}

/* Who sent it, and whether it is believed. Writes the reply in any case. `zone` is NULL when none is configured by that
 * name. */
static bool judge(const struct config_zone *zone, const struct sockaddr_storage *from, knot_pkt_t *message,
                  struct source *sender, uint8_t *reply, size_t *reply_length)
{
	unsigned rcode = KNOT_RCODE_NOERROR;
	int result;

	/* libknot allocates by the counts, so they have to be possible: a root owner's RR takes 11 octets. */
	if (11U * knot_wire_get_ancount(message->wire) > message->size ||
	    11U * knot_wire_get_nscount(message->wire) > message->size ||
	    11U * knot_wire_get_arcount(message->wire) > message->size ||
	    knot_pkt_parse(message, KNOT_PF_NOCANON) != KNOT_EOK || knot_pkt_qname(message) == NULL) {
		message->qname_size = 0; /* it may not be whole */
		*reply_length = make_reply(message, KNOT_RCODE_FORMERR, reply);
		return false;
	}
	if (zone == NULL || !find_sender(zone, from, message->tsig_rr, sender)) {
		*reply_length = make_reply(message, zone ? KNOT_RCODE_REFUSED : KNOT_RCODE_NOTAUTH, reply);
		return false;
	}
	result = check_signature(zone, sender, message);
	if (result != KNOT_EOK || !knot_dname_is_case_equal(knot_pkt_qname(message), zone->apex) ||
	    knot_pkt_qclass(message) != KNOT_CLASS_IN)
		rcode = KNOT_RCODE_NOTAUTH;
	else if (knot_pkt_qtype(message) != KNOT_RRTYPE_SOA)
		rcode = KNOT_RCODE_NOTIMPL;
	*reply_length = make_reply(message, rcode, reply);
	*reply_length = finish_reply(zone, sender, message, result, reply, *reply_length);
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
	struct source sender = {0};
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
	struct source sender = {0};
	bool believed;

	*reply_length = 0;
	if (message == NULL)
		return false;
	believed = judge(follower->zone, from, message, &sender, reply, reply_length);
	if (believed && !nothing_new(follower, message)) {
		/* During an attempt too: what it was told may be older than this. */
		follower->notified = true;
		follower->hinted = sender;
		follower_plan(follower);
	}
	give_back(message);
	return believed;
}

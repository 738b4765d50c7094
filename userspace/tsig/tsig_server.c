/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tsig/tsig_server.h"
#include "common/packet.h"

#include <stdlib.h>
#include <string.h>

/* Takes what the answer's digests begin with from the record. Returns the TSIG error. */
static unsigned verify(struct tsig_server *session, knot_pkt_t *query)
{
	knot_rrset_t *record = query->tsig_rr;
	int result;

	if (!tsig_key_fits(&session->key, record))
		return KNOT_RCODE_BADKEY;
	session->time_signed = knot_tsig_rdata_time_signed(record);
	session->mac_length = knot_tsig_rdata_mac_length(record);
	if (session->mac_length > sizeof(session->mac))
		return KNOT_RCODE_BADSIG;
	memcpy(session->mac, knot_tsig_rdata_mac(record), session->mac_length);
	result = knot_tsig_server_check(record, query->wire, query->size, &session->key);
	if (result == KNOT_EOK)
		return KNOT_RCODE_NOERROR;
	return result == KNOT_TSIG_EBADTIME ? KNOT_RCODE_BADTIME : KNOT_RCODE_BADSIG;
}

int tsig_server_verify(struct tsig_server *session, const knot_tsig_key_t *key, knot_pkt_t *query)
{
	memset(session, 0, sizeof(*session));
	if (tsig_key_copy(&session->key, key) != 0)
		return -1;
	session->error = (uint16_t)verify(session, query);
	session->on = knot_tsig_can_sign(session->error);
	if (!session->on)
		knot_tsig_key_deinit(&session->key);
	return session->error ? 1 : 0;
}

int tsig_server_check(struct tsig_server *session, const knot_tsig_key_t *key, uint8_t *wire, size_t *length)
{
	int result = -1;
	knot_pkt_t *query;

	memset(session, 0, sizeof(*session));
	if (*length < KNOT_WIRE_HEADER_SIZE || *length > UINT16_MAX)
		return -1;
	query = knot_pkt_new(wire, (uint16_t)*length, NULL);
	if (query && packet_parse(query) == KNOT_EOK && query->tsig_rr) {
		result = tsig_server_verify(session, key, query);
		/* Parsing took the record off the message. */
		*length = query->size;
	}
	knot_pkt_free(query);
	return result;
}

int tsig_server_sign(struct tsig_server *session, uint8_t *wire, size_t *length, size_t room)
{
	uint8_t mac[TSIG_MAC_ROOM];
	size_t mac_length = sizeof(mac);
	int result;

	if (!session->on)
		return 0;
	if (session->begun)
		result = knot_tsig_sign_next(wire, length, room, session->mac, session->mac_length, mac, &mac_length,
		                             &session->key, wire, *length);
	else
		result = knot_tsig_sign(wire, length, room, session->mac, session->mac_length, mac, &mac_length,
		                        &session->key, session->error, session->time_signed);
	if (result != KNOT_EOK)
		return -1;
	memcpy(session->mac, mac, mac_length);
	session->mac_length = mac_length;
	session->begun = true;
	return 0;
}

size_t tsig_server_room(const struct tsig_server *session)
{
	return session->on ? knot_tsig_wire_maxsize(&session->key) : 0;
}

void tsig_server_move(struct tsig_server *to, struct tsig_server *from)
{
	*to = *from;
	memset(from, 0, sizeof(*from));
}

void tsig_server_clear(struct tsig_server *session)
{
	if (session->on)
		knot_tsig_key_deinit(&session->key);
	memset(session, 0, sizeof(*session));
}

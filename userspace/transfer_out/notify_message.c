/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "transfer_out/notify_message.h"
#include "common/packet.h"

#include <string.h>

size_t notify_message_make(struct notify_message *message, uint8_t wire[NOTIFY_MESSAGE_ROOM])
{
	size_t length = KNOT_WIRE_HEADER_SIZE;

	memset(wire, 0, KNOT_WIRE_HEADER_SIZE);
	knot_wire_set_id(wire, message->id);
	knot_wire_set_opcode(wire, KNOT_OPCODE_NOTIFY);
	knot_wire_set_aa(wire);
	knot_wire_set_qdcount(wire, 1);
	length += (size_t)knot_dname_to_wire(wire + length, message->apex, KNOT_DNAME_MAXLEN);
	knot_wire_write_u16(wire + length, KNOT_RRTYPE_SOA);
	knot_wire_write_u16(wire + length + 2, KNOT_CLASS_IN);
	length += 4;
	/* What is longer than a datagram of the plain size is told without the hint (RFC 1996 section 3.7). */
	if (message->soa && length + 12 + message->soa_length + 200 <= 512) {
		knot_wire_set_ancount(wire, 1);
		knot_wire_write_u16(wire + length, 0xc000 | KNOT_WIRE_HEADER_SIZE);
		knot_wire_write_u16(wire + length + 2, KNOT_RRTYPE_SOA);
		knot_wire_write_u16(wire + length + 4, KNOT_CLASS_IN);
		knot_wire_write_u32(wire + length + 6, 0);
		knot_wire_write_u16(wire + length + 10, (uint16_t)message->soa_length);
		memcpy(wire + length + 12, message->soa, message->soa_length);
		length += 12 + message->soa_length;
	}
	if (!message->key)
		return length;
	message->mac_length = sizeof(message->mac);
	return knot_tsig_sign(wire, &length, NOTIFY_MESSAGE_ROOM, NULL, 0, message->mac, &message->mac_length,
	                      message->key, 0, 0) == KNOT_EOK
	           ? length
	           : 0;
}

static bool well_signed(const struct notify_message *message, knot_pkt_t *answer)
{
	if (!message->key)
		return true;
	if (!answer->tsig_rr)
		return false;
	if (!tsig_key_fits(message->key, answer->tsig_rr))
		return false;
	if (knot_wire_get_rcode(answer->wire) == KNOT_RCODE_NOTAUTH && knot_tsig_rdata_mac_length(answer->tsig_rr) == 0)
		return true;
	return knot_tsig_client_check(answer->tsig_rr, answer->wire, answer->size, message->mac, message->mac_length,
	                              message->key, 0) == KNOT_EOK;
}

bool notify_message_answered(const struct notify_message *message, uint8_t *wire, size_t length, unsigned *rcode)
{
	knot_pkt_t *answer;
	bool good;

	if (length < KNOT_WIRE_HEADER_SIZE || length > UINT16_MAX || knot_wire_get_id(wire) != message->id ||
	    !knot_wire_get_qr(wire) || knot_wire_get_opcode(wire) != KNOT_OPCODE_NOTIFY)
		return false;
	answer = knot_pkt_new(wire, (uint16_t)length, NULL);
	if (!answer)
		return false;
	*rcode = knot_wire_get_rcode(wire);
	good = packet_parse(answer) == KNOT_EOK;
	/* Who does not know the opcode may leave the question away, and be unable to sign. */
	if (good && knot_pkt_qname(answer))
		good = knot_dname_is_equal(knot_pkt_qname(answer), message->apex);
	else
		good = good && *rcode != KNOT_RCODE_NOERROR;
	good = good && (well_signed(message, answer) ||
	                (!answer->tsig_rr && (*rcode == KNOT_RCODE_NOTIMPL || *rcode == KNOT_RCODE_REFUSED ||
	                                      *rcode == KNOT_RCODE_FORMERR || *rcode == KNOT_RCODE_NOTAUTH)));
	knot_pkt_free(answer);
	return good;
}

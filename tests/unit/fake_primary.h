/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A primary on a loopback port, TCP and UDP, on the test's own loop, which does as it is told. Included by one test. */
#ifndef PEREGRINE_FAKE_PRIMARY_H
#define PEREGRINE_FAKE_PRIMARY_H

#include <assert.h>
#include <libknot/libknot.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

enum fault {
	NO_FAULT,
	REFUSES,
	NOTAUTH_BADKEY,
	NOTAUTH_BADTIME,
	CLOSES_AT_ONCE,
	CLOSES_MID_MESSAGE,
	CLOSES_BEFORE_END,
	STALLS,
	DRIPS,
	WRONG_MAC_SECOND,
	UNSIGNED_REPLY,
	UNSIGNED_END,
	OTHER_KEY,
	TIME_OFF,
	SIGNED_UNASKED,
	TWO_SOAS,
	OUT_OF_ZONE,
	TRAILING_RECORD,
	TRAILING_OCTETS,
	OTHER_CLASS,
	META_TYPE,
	NOT_SOA_FIRST,
	WRONG_ID,
	NOT_A_REPLY,
	NO_QUESTION,
	OTHER_QUESTION,
	TRUNCATED_MESSAGE,
	GARBAGE,
	HUGE_COUNTS,
	NO_RECORDS,
	IN_AUTHORITY,
	COMPRESSION_LOOP,
	/* of IXFR */
	REFUSES_IXFR,
	CLOSES_IXFR,
	OTHER_START,
	NOT_LATER,
	OTHER_SERIAL,
	BEYOND,
	TWO_NEWEST,
	TRAILING_DIFFERENCE,
	/* of SOA queries */
	SILENT_UDP,
	NOISE_FIRST,
	TRUNCATES,
	NOT_AUTHORITATIVE,
	NO_SOA,
	REFUSES_EDNS,
};

struct fake_primary {
	uv_loop_t *loop;
	uv_tcp_t listener;
	uv_udp_t udp;
	struct sockaddr_storage address;
	const char *zone;
	const knot_tsig_key_t *key;
	enum fault fault;
	uint32_t serial, axfr_serial; /* axfr_serial 0: the same */
	uint32_t refresh, retry, expire;
	unsigned messages;    /* of a transfer, at least 2 to have records in between */
	unsigned sign_every;  /* 1: each; the first and last always */
	unsigned differences; /* in an IXFR's answer; 0: all of the zone instead */
	bool expire_given;    /* EDNS EXPIRE is answered, where it was asked for, with */
	uint32_t expire_option;
	unsigned soa_udp, soa_tcp, axfrs, ixfrs, edns;
};

#define FAKE_ROOM 65536

/* What is sent in answer to one query: messages, each with its length, and what happens then. */
struct answer {
	uint8_t *octets;
	size_t length;
	bool hang_up, drip;
	bool expire; /* its option was asked for */
	/* the TSIG chain */
	uint8_t mac[64];
	size_t mac_length;
	uint8_t *unsigned_octets;
	size_t unsigned_length;
	bool begun;
};

struct client {
	uv_tcp_t tcp;
	uv_timer_t timer;
	struct fake_primary *primary;
	uint8_t query[2048];
	size_t fill;
	struct answer answer;
	size_t sent;
	unsigned handles;
	bool closing;
};

/* Writes a message: header and question, if there is a name. Returns the length. */
static size_t fake_header(uint8_t *wire, uint16_t id, uint16_t flags, const char *qname, uint16_t type, uint16_t class)
{
	size_t length = KNOT_WIRE_HEADER_SIZE;

	memset(wire, 0, length);
	knot_wire_write_u16(wire, id);
	knot_wire_write_u16(wire + 2, flags);
	if (qname == NULL)
		return length;
	knot_wire_set_qdcount(wire, 1);
	knot_dname_from_str(wire + length, qname, 255);
	length += knot_dname_size(wire + length);
	knot_wire_write_u16(wire + length, type);
	knot_wire_write_u16(wire + length + 2, class);
	return length + 4;
}

/* Appends an RR and counts it in the counter at that offset of the header (6, 8, 10). Returns the new length. */
static size_t fake_record(uint8_t *wire, size_t length, int counter, const char *owner, uint16_t type, uint16_t class,
                          const uint8_t *rdata, uint16_t rdata_length)
{
	knot_dname_from_str(wire + length, owner, 255);
	length += knot_dname_size(wire + length);
	knot_wire_write_u16(wire + length, type);
	knot_wire_write_u16(wire + length + 2, class);
	knot_wire_write_u32(wire + length + 4, 300);
	knot_wire_write_u16(wire + length + 8, rdata_length);
	if (rdata_length > 0)
		memcpy(wire + length + 10, rdata, rdata_length);
	knot_wire_write_u16(wire + counter, (uint16_t)(knot_wire_read_u16(wire + counter) + 1));
	return length + 10 + rdata_length;
}

static uint16_t fake_soa(uint8_t *rdata, uint32_t serial, uint32_t refresh, uint32_t retry, uint32_t expire)
{
	static const uint8_t names[] = "\3NS1\0\4host\0";
	uint32_t numbers[] = {serial, refresh, retry, expire, 300};
	uint16_t length = sizeof(names) - 1;

	memcpy(rdata, names, length);
	for (int i = 0; i < 5; i++, length += 4)
		knot_wire_write_u32(rdata + length, numbers[i]);
	return length;
}

/* ---- messages ---- */

/* An OPT record with EXPIRE, if there is to be one. */
static size_t add_expire(const struct fake_primary *primary, const struct answer *answer, uint8_t *wire, size_t length)
{
	uint8_t *opt = wire + length;

	if (!primary->expire_given || !answer->expire)
		return length;
	knot_wire_set_arcount(wire, 1);
	memcpy(opt, "\0\0\51\4\320\0\0\0\0\0\10\0\11\0\4", 15);
	knot_wire_write_u32(opt + 15, primary->expire_option);
	return length + 19;
}

static void sign(struct fake_primary *primary, struct answer *answer, uint8_t *wire, size_t *length, bool signing)
{
	uint8_t mac[64];
	size_t mac_length = sizeof(mac);
	knot_tsig_key_t other = primary->key != NULL ? *primary->key : (knot_tsig_key_t){0};

	if (primary->key == NULL)
		return;
	if (primary->fault == OTHER_KEY)
		other.name = (knot_dname_t *)"\5other";
	if (answer->begun) {
		memcpy(answer->unsigned_octets + answer->unsigned_length, wire, *length);
		answer->unsigned_length += *length;
	}
	if (!signing)
		return;
	if (!answer->begun)
		knot_tsig_sign(wire, length, FAKE_ROOM, answer->mac, answer->mac_length, mac, &mac_length, &other, 0,
		               0);
	else
		knot_tsig_sign_next(wire, length, FAKE_ROOM, answer->mac, answer->mac_length, mac, &mac_length, &other,
		                    answer->unsigned_octets, answer->unsigned_length);
	memcpy(answer->mac, mac, mac_length);
	answer->mac_length = mac_length;
	answer->unsigned_length = 0;
	if (answer->begun && primary->fault == WRONG_MAC_SECOND)
		wire[*length - 10] ^= 1; /* in the MAC: original id, error and other length come after it */
	answer->begun = true;
}

static void append(struct answer *answer, const uint8_t *wire, size_t length)
{
	knot_wire_write_u16(answer->octets + answer->length, (uint16_t)length);
	memcpy(answer->octets + answer->length + 2, wire, length);
	answer->length += 2 + length;
}

static uint16_t put_soa(struct fake_primary *primary, uint8_t *soa, bool axfr)
{
	return fake_soa(soa, axfr && primary->axfr_serial != 0 ? primary->axfr_serial : primary->serial,
	                primary->refresh, primary->retry, primary->expire);
}

static size_t add_start(struct fake_primary *primary, uint8_t *wire, size_t length)
{
	uint8_t soa[64];
	uint16_t soa_length = put_soa(primary, soa, true);

	if (primary->fault != NOT_SOA_FIRST)
		length = fake_record(wire, length, 6, primary->zone, KNOT_RRTYPE_SOA, 1, soa, soa_length);
	return fake_record(wire, length, 6, primary->zone, KNOT_RRTYPE_NS, 1, (const uint8_t *)"\3ns1\7example", 13);
}

static size_t add_middle(struct fake_primary *primary, unsigned number, uint8_t *wire, size_t length)
{
	char owner[300];
	const char *last = primary->fault == OUT_OF_ZONE ? "www.elsewhere.test." : owner;
	uint16_t class = primary->fault == OTHER_CLASS ? 3 : 1;
	uint16_t type = primary->fault == META_TYPE ? KNOT_RRTYPE_ANY : KNOT_RRTYPE_A;
	uint8_t soa[64];

	snprintf(owner, sizeof(owner), "Host%u.%s", number, primary->zone);
	length = fake_record(wire, length, 6, last, type, class, (const uint8_t *)"\300\0\2\1", 4);
	if (primary->fault == TWO_SOAS)
		length =
		    fake_record(wire, length, 6, primary->zone, KNOT_RRTYPE_SOA, 1, soa, fake_soa(soa, 99, 1, 1, 1));
	if (primary->fault == COMPRESSION_LOOP) {
		wire[length] = 0xc0 | (uint8_t)(length >> 8); /* a name that points to itself */
		wire[length + 1] = (uint8_t)length;
		memcpy(wire + length + 2, "\0\1\0\1\0\0\0\1\0\4\1\2\3\4", 14);
		knot_wire_set_ancount(wire, (uint16_t)(knot_wire_get_ancount(wire) + 1));
		length += 16;
	}
	return length;
}

static size_t add_end(struct fake_primary *primary, uint8_t *wire, size_t length)
{
	uint8_t soa[64];
	uint16_t soa_length = put_soa(primary, soa, true);

	memcpy(soa, "\3ns1", 4); /* another spelling of the same */
	length = fake_record(wire, length, 6, primary->zone, KNOT_RRTYPE_SOA, 1, soa, soa_length);
	if (primary->fault == TRAILING_RECORD)
		length = fake_record(wire, length, 6, primary->zone, KNOT_RRTYPE_A, 1, (const uint8_t *)"\1\2\3\4", 4);
	return length;
}

/* Faults that any message can have: they come in the second. */
static size_t spoil(struct fake_primary *primary, uint8_t *wire, size_t length)
{
	switch (primary->fault) {
	case WRONG_ID:
		wire[0] ^= 0x55;
		break;
	case NOT_A_REPLY:
		wire[2] &= 0x7f;
		break;
	case GARBAGE:
		memset(wire + 12, 0xa5, length - 12);
		break;
	case HUGE_COUNTS:
		memset(wire + 6, 0xff, 6);
		break;
	case TRUNCATED_MESSAGE:
		return length - 3;
	case TRAILING_OCTETS:
		memset(wire + length, 0, 5);
		return length + 5;
	case NO_RECORDS:
		return fake_header(wire, knot_wire_get_id(wire), 0x8400, NULL, 0, 0);
	case IN_AUTHORITY:
		return fake_record(wire, length, 8, primary->zone, KNOT_RRTYPE_A, 1, (const uint8_t *)"\1\2\3\4", 4);
	default:
		break;
	}
	return length;
}

static void answer_axfr(struct fake_primary *primary, struct answer *answer, uint16_t id, uint16_t type)
{
	static uint8_t wire[2 * FAKE_ROOM];
	const char *qname = primary->fault == OTHER_QUESTION ? "other.test." : primary->zone;
	size_t length;

	for (unsigned i = 0; i < primary->messages; i++) {
		bool first = i == 0, last = i == primary->messages - 1;
		bool signing = (first && primary->fault != UNSIGNED_REPLY) ||
		               (last && primary->fault != UNSIGNED_END) ||
		               (!first && !last && primary->sign_every > 0 && i % primary->sign_every == 0);

		length = fake_header(wire, id, 0x8400, first && primary->fault != NO_QUESTION ? qname : NULL, type, 1);
		if (first)
			length = add_start(primary, wire, length);
		if (!first || last)
			length = add_middle(primary, i, wire, length);
		if (last)
			length = add_end(primary, wire, length);
		if (i == 1)
			length = spoil(primary, wire, length);
		if (first)
			length = add_expire(primary, answer, wire, length);
		sign(primary, answer, wire, &length, signing);
		append(answer, wire, length);
		if (primary->fault == CLOSES_BEFORE_END && i + 2 == primary->messages)
			answer->hang_up = true;
		if (answer->hang_up)
			break;
	}
	if (primary->fault == CLOSES_MID_MESSAGE || primary->fault == STALLS)
		answer->length -= 7;
	answer->hang_up |= primary->fault == CLOSES_MID_MESSAGE;
	answer->drip = primary->fault == DRIPS;
}

static size_t add_serial(struct fake_primary *primary, uint8_t *wire, size_t length, uint32_t serial, uint32_t expire)
{
	uint8_t soa[64];

	return fake_record(wire, length, 6, primary->zone, KNOT_RRTYPE_SOA, 1, soa,
	                   fake_soa(soa, serial, primary->refresh, primary->retry, expire));
}

/* One difference, from a serial to the next. */
static size_t add_difference(struct fake_primary *primary, uint8_t *wire, size_t length, uint32_t from, uint32_t to)
{
	char owner[300];

	snprintf(owner, sizeof(owner), "n%u.%s", from, primary->zone);
	length = add_serial(primary, wire, length, from + (primary->fault == OTHER_START), primary->expire);
	length = fake_record(wire, length, 6, primary->fault == OUT_OF_ZONE ? "www.elsewhere.test." : owner,
	                     primary->fault == META_TYPE ? KNOT_RRTYPE_ANY : KNOT_RRTYPE_A,
	                     primary->fault == OTHER_CLASS ? 3 : 1, (const uint8_t *)"\300\0\2\1", 4);
	if (primary->fault == NOT_LATER)
		to = from;
	if (primary->fault == BEYOND)
		to = primary->serial + 1;
	length = add_serial(primary, wire, length, to, primary->expire + (primary->fault == TWO_NEWEST));
	snprintf(owner, sizeof(owner), "n%u.%s", to, primary->zone);
	length = fake_record(wire, length, 6, owner, KNOT_RRTYPE_A, 1, (const uint8_t *)"\300\0\2\1", 4);
	if (primary->fault == OTHER_SERIAL)
		length = add_serial(primary, wire, length, from, primary->expire);
	return length;
}

/* Each difference is a message of its own. */
static void answer_ixfr(struct fake_primary *primary, struct answer *answer, uint16_t id, uint32_t from)
{
	static uint8_t wire[2 * FAKE_ROOM];
	bool current = primary->serial <= from;
	unsigned count = current ? 1 : primary->differences;
	uint32_t step = (primary->serial - from) / count;

	for (unsigned i = 0; i < count; i++, from += step) {
		bool first = i == 0, last = i == count - 1;
		size_t length = fake_header(wire, id, 0x8400, first ? primary->zone : NULL, KNOT_RRTYPE_IXFR, 1);

		if (first)
			length = add_serial(primary, wire, length, primary->serial, primary->expire);
		if (!current)
			length = add_difference(primary, wire, length, from, last ? primary->serial : from + step);
		if (last && !current)
			length = add_serial(primary, wire, length, primary->serial, primary->expire);
		if (last && primary->fault == TRAILING_DIFFERENCE)
			length = add_serial(primary, wire, length, primary->serial, primary->expire);
		if (i == 1)
			length = spoil(primary, wire, length);
		if (first)
			length = add_expire(primary, answer, wire, length);
		sign(primary, answer, wire, &length, first || (last && primary->fault != UNSIGNED_END) || i % 2 == 0);
		append(answer, wire, length);
	}
	if (primary->fault == CLOSES_MID_MESSAGE || primary->fault == STALLS)
		answer->length -= 7;
	answer->hang_up = primary->fault == CLOSES_MID_MESSAGE;
}

/* The serial that an IXFR is asked with. */
static uint32_t serial_asked(const knot_pkt_t *packet)
{
	const knot_pktsection_t *authority = knot_pkt_section(packet, KNOT_AUTHORITY);

	assert(authority->count == 1 && knot_pkt_rr(authority, 0)->type == KNOT_RRTYPE_SOA);
	return knot_soa_serial(knot_pkt_rr(authority, 0)->rrs.rdata);
}

static void answer_soa(struct fake_primary *primary, struct answer *answer, uint16_t id)
{
	uint8_t wire[1024], soa[64];
	uint16_t flags = primary->fault == NOT_AUTHORITATIVE ? 0x8000 : primary->fault == TRUNCATES ? 0x8600 : 0x8400;
	size_t length = fake_header(wire, id, flags, primary->zone, KNOT_RRTYPE_SOA, 1);

	if (primary->fault != NO_SOA && primary->fault != TRUNCATES)
		length =
		    fake_record(wire, length, 6, primary->zone, KNOT_RRTYPE_SOA, 1, soa, put_soa(primary, soa, false));
	length = add_expire(primary, answer, wire, length);
	if (primary->fault != TRUNCATES)
		sign(primary, answer, wire, &length, true);
	append(answer, wire, length);
}

static void answer_refusal(struct fake_primary *primary, struct answer *answer, const uint8_t *query, uint16_t type)
{
	uint8_t wire[1024];
	uint16_t rcode = primary->fault == REFUSES        ? KNOT_RCODE_REFUSED
	                 : primary->fault == REFUSES_IXFR ? KNOT_RCODE_NOTIMPL
	                 : primary->fault == REFUSES_EDNS ? KNOT_RCODE_FORMERR
	                                                  : KNOT_RCODE_NOTAUTH;
	size_t length = fake_header(wire, knot_wire_get_id(query), 0x8000 | rcode, primary->zone, type, 1);
	knot_rrset_t *tsig;
	uint8_t theirs[6];

	if (rcode == KNOT_RCODE_NOTAUTH) {
		tsig = knot_rrset_new(primary->key->name, KNOT_RRTYPE_TSIG, KNOT_CLASS_ANY, 0, NULL);
		knot_tsig_create_rdata(tsig, (const uint8_t *)"\13hmac-sha256", 0,
		                       primary->fault == NOTAUTH_BADKEY ? 17 : 18);
		knot_tsig_rdata_set_time_signed(tsig, (uint64_t)time(NULL));
		knot_tsig_rdata_set_fudge(tsig, 300);
		knot_wire_write_u48(theirs, (uint64_t)time(NULL) + 4000);
		if (primary->fault == NOTAUTH_BADTIME)
			knot_tsig_rdata_set_other_data(tsig, 6, theirs);
		knot_tsig_append(wire, &length, sizeof(wire), tsig);
		knot_rrset_free(tsig, NULL);
	}
	append(answer, wire, length);
}

/* The reply is signed out of time: by the client's own rule, an hour is too much. */
static void answer_out_of_time(struct fake_primary *primary, struct answer *answer, uint16_t id)
{
	uint8_t wire[1024], mac[64];
	size_t mac_length = sizeof(mac), length = fake_header(wire, id, 0x8400, primary->zone, KNOT_RRTYPE_AXFR, 1);

	length = add_start(primary, wire, length);
	length = add_end(primary, wire, length);
	/* With BADTIME libknot signs with the time that it is given. */
	knot_tsig_sign(wire, &length, sizeof(wire), answer->mac, answer->mac_length, mac, &mac_length, primary->key, 18,
	               (uint64_t)time(NULL) - 3600);
	append(answer, wire, length);
}

static void make_answer(struct fake_primary *primary, struct answer *answer, uint8_t *query, size_t length, bool udp)
{
	knot_pkt_t *packet = knot_pkt_new(query, (uint16_t)length, NULL);
	size_t most = (size_t)(primary->messages + primary->differences + 4) * 1024;
	uint16_t type;

	memset(answer, 0, sizeof(*answer));
	answer->octets = malloc(most);
	answer->unsigned_octets = malloc(most);
	assert(answer->octets != NULL && answer->unsigned_octets != NULL);
	assert(knot_pkt_parse(packet, 0) == KNOT_EOK);
	type = knot_pkt_qtype(packet);
	primary->edns += packet->opt_rr != NULL;
	answer->expire = knot_pkt_edns_option(packet, KNOT_EDNS_OPTION_EXPIRE) != NULL;
	assert((packet->tsig_rr != NULL) == (primary->key != NULL && primary->fault != SIGNED_UNASKED));
	if (packet->tsig_rr != NULL) {
		assert(knot_tsig_server_check(packet->tsig_rr, packet->wire, packet->size, primary->key) == KNOT_EOK ||
		       primary->fault == NOTAUTH_BADKEY);
		answer->mac_length = knot_tsig_rdata_mac_length(packet->tsig_rr);
		memcpy(answer->mac, knot_tsig_rdata_mac(packet->tsig_rr), answer->mac_length);
	}
	if (type == KNOT_RRTYPE_AXFR)
		primary->axfrs++;
	else if (type == KNOT_RRTYPE_IXFR)
		primary->ixfrs++;
	else if (udp)
		primary->soa_udp++;
	else
		primary->soa_tcp++;
	if (primary->fault == REFUSES || (primary->fault == REFUSES_IXFR && type == KNOT_RRTYPE_IXFR) ||
	    primary->fault == NOTAUTH_BADKEY || primary->fault == NOTAUTH_BADTIME ||
	    (primary->fault == REFUSES_EDNS && packet->opt_rr != NULL))
		answer_refusal(primary, answer, query, type);
	else if (primary->fault == TIME_OFF)
		answer_out_of_time(primary, answer, knot_wire_get_id(query));
	else if (primary->fault == CLOSES_AT_ONCE || (primary->fault == CLOSES_IXFR && type == KNOT_RRTYPE_IXFR))
		answer->hang_up = true;
	else if (type == KNOT_RRTYPE_AXFR)
		answer_axfr(primary, answer, knot_wire_get_id(query), type);
	else if (type == KNOT_RRTYPE_IXFR && primary->differences == 0)
		answer_axfr(primary, answer, knot_wire_get_id(query), type);
	else if (type == KNOT_RRTYPE_IXFR)
		answer_ixfr(primary, answer, knot_wire_get_id(query), serial_asked(packet));
	else
		answer_soa(primary, answer, knot_wire_get_id(query));
	knot_pkt_free(packet);
}

static void free_answer(struct answer *answer)
{
	free(answer->octets);
	free(answer->unsigned_octets);
}

/* ---- sockets ---- */

static void on_client_closed(uv_handle_t *handle)
{
	struct client *client = handle->data;

	if (--client->handles > 0)
		return;
	free_answer(&client->answer);
	free(client);
}

static void close_client(struct client *client)
{
	if (client->closing)
		return;
	client->closing = true;
	uv_close((uv_handle_t *)&client->tcp, on_client_closed);
	uv_close((uv_handle_t *)&client->timer, on_client_closed);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	static char scratch[4096];

	*buffer = uv_buf_init(scratch, sizeof(scratch));
}

/* Sends on as the kernel takes it; one octet at a time when it drips. */
static void on_client_timer(uv_timer_t *timer)
{
	struct client *client = timer->data;
	struct answer *answer = &client->answer;
	size_t left = answer->length - client->sent;
	uv_buf_t buffer = uv_buf_init((char *)answer->octets + client->sent, (unsigned)(answer->drip ? 1 : left));
	int sent = left > 0 ? uv_try_write((uv_stream_t *)&client->tcp, &buffer, 1) : 0;

	if (sent > 0)
		client->sent += (size_t)sent;
	if (client->sent < answer->length && (sent >= 0 || sent == UV_EAGAIN))
		return;
	uv_timer_stop(timer);
	if (answer->hang_up)
		close_client(client);
}

static void on_client_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
	struct client *client = stream->data;

	if (length < 0) {
		close_client(client);
		return;
	}
	assert(client->fill + (size_t)length <= sizeof(client->query));
	memcpy(client->query + client->fill, buffer->base, (size_t)length);
	client->fill += (size_t)length;
	if (client->fill < 2 || client->fill < 2U + knot_wire_read_u16(client->query) || client->answer.octets != NULL)
		return;
	make_answer(client->primary, &client->answer, client->query + 2, client->fill - 2, false);
	uv_timer_start(&client->timer, on_client_timer, 0, client->answer.drip ? 10 : 1);
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct fake_primary *primary = listener->data;
	struct client *client = calloc(1, sizeof(*client));

	assert(status == 0 && client != NULL);
	client->primary = primary;
	client->handles = 2;
	uv_tcp_init(primary->loop, &client->tcp);
	uv_timer_init(primary->loop, &client->timer);
	client->tcp.data = client->timer.data = client;
	assert(uv_accept(listener, (uv_stream_t *)&client->tcp) == 0);
	uv_read_start((uv_stream_t *)&client->tcp, on_alloc, on_client_read);
}

static void on_datagram(uv_udp_t *udp, ssize_t length, const uv_buf_t *buffer, const struct sockaddr *from,
                        unsigned flags)
{
	struct fake_primary *primary = udp->data;
	struct answer answer;
	uv_buf_t out;

	if (length <= 0 || from == NULL)
		return;
	make_answer(primary, &answer, (uint8_t *)buffer->base, (size_t)length, true);
	out = uv_buf_init((char *)answer.octets + 2, answer.length > 2 ? (unsigned)(answer.length - 2) : 0);
	if (primary->fault == NOISE_FIRST) {
		answer.octets[2] ^= 0x55;
		uv_udp_try_send(udp, &out, 1, from);
		answer.octets[2] ^= 0x55;
		out.len = 5;
		uv_udp_try_send(udp, &out, 1, from);
		out.len = answer.length - 2;
	}
	if (primary->fault != SILENT_UDP && out.len > 0)
		uv_udp_try_send(udp, &out, 1, from);
	free_answer(&answer);
}

static void fake_primary_open(struct fake_primary *primary, uv_loop_t *loop, const char *zone)
{
	struct sockaddr_in *address = (struct sockaddr_in *)&primary->address;
	int length;

	memset(primary, 0, sizeof(*primary));
	primary->loop = loop;
	primary->zone = zone;
	primary->serial = 5;
	primary->refresh = 3600;
	primary->retry = 600;
	primary->expire = 864000;
	primary->messages = 3;
	primary->sign_every = 1;
	/* The kernel picks the TCP port; the UDP port of that number may be taken, then another is tried. */
	for (int try = 0; try < 20; try++) {
		uv_ip4_addr("127.0.0.1", 0, address);
		uv_tcp_init(loop, &primary->listener);
		assert(uv_tcp_bind(&primary->listener, (struct sockaddr *)address, 0) == 0);
		length = sizeof(primary->address);
		uv_tcp_getsockname(&primary->listener, (struct sockaddr *)address, &length);
		uv_udp_init(loop, &primary->udp);
		if (uv_udp_bind(&primary->udp, (struct sockaddr *)address, 0) == 0)
			break;
		uv_close((uv_handle_t *)&primary->listener, NULL);
		uv_close((uv_handle_t *)&primary->udp, NULL);
		uv_run(loop, UV_RUN_NOWAIT);
	}
	primary->listener.data = primary->udp.data = primary;
	assert(uv_listen((uv_stream_t *)&primary->listener, 16, on_connection) == 0);
	uv_udp_recv_start(&primary->udp, on_alloc, on_datagram);
}

static void fake_primary_close(struct fake_primary *primary)
{
	uv_close((uv_handle_t *)&primary->listener, NULL);
	uv_close((uv_handle_t *)&primary->udp, NULL);
}

#endif

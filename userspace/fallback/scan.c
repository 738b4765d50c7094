/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fallback/scan.h"

#include <string.h>

enum {
	TYPE_SOA = 6,
	TYPE_OPT = 41,
	TYPE_TSIG = 250,
	CLASS_ANY = 255,
	NAME_MAX_OCTETS = 255,
	OPTION_NSID = 3,
	OPTION_EXPIRE = 9,
	OPTION_COOKIE = 10,
	SOA_NUMBERS = 20,  /* octets behind the two names */
	RECORD_FIXED = 10, /* type, class, TTL, rdata length */
};

/* Returns the offset behind the name at `at`, or 0. A pointer ends a name; it must lead backwards (RFC 1035 section
 * 4.1.4 says "prior occurrence"), and is not followed here. */
static size_t skip_name(const struct message *message, size_t at, bool compressed)
{
	size_t start = at;

	while (at < message->length) {
		uint8_t length = message->wire[at];

		if (length >= 0xC0) {
			if (!compressed || message->length - at < 2)
				return 0;
			return (message_get16(message->wire + at) & 0x3FFFU) < at ? at + 2 : 0;
		}
		if (length > 63 || at + 1 + length - start > NAME_MAX_OCTETS)
			return 0;
		at += 1U + length;
		if (length == 0)
			return at;
	}
	return 0;
}

size_t message_name(const struct message *message, size_t at, uint8_t *name)
{
	size_t used = 0;

	while (at < message->length) {
		uint8_t length = message->wire[at];

		if (length >= 0xC0) {
			size_t target;

			if (message->length - at < 2)
				return 0;
			target = message_get16(message->wire + at) & 0x3FFFU;
			/* Every pointer leads further back, so the walk ends. */
			if (target >= at)
				return 0;
			at = target;
			continue;
		}
		if (length > 63 || used + 1 + length > NAME_MAX_OCTETS || message->length - at < 1U + length)
			return 0;
		memcpy(name + used, message->wire + at, 1U + length);
		used += 1U + length;
		at += 1U + length;
		if (length == 0)
			return used;
	}
	return 0;
}

static void scan_opt(struct message *message, size_t owner, size_t fixed, size_t rdata, size_t rdata_length)
{
	const uint8_t *wire = message->wire;
	size_t at = rdata, end = rdata + rdata_length;
	uint8_t name[NAME_MAX_OCTETS];

	/* The owner is the root; as a pointer to a root label, too. */
	if (message->opt || message->bad_edns || message_name(message, owner, name) != 1) {
		message->bad_edns = true;
		return;
	}
	while (at < end) {
		if (end - at < 4 || end - at - 4 < message_get16(wire + at + 2)) {
			message->bad_edns = true;
			return;
		}
		if (message_get16(wire + at) == OPTION_NSID)
			message->nsid = true;
		if (message_get16(wire + at) == OPTION_EXPIRE)
			message->expire = true;
		if (message_get16(wire + at) == OPTION_COOKIE && !message->cookie) {
			message->cookie = wire + at + 4;
			message->cookie_length = message_get16(wire + at + 2);
		}
		at += 4U + message_get16(wire + at + 2);
	}
	message->opt = true;
	message->udp_size = message_get16(wire + fixed + 2);
	message->version = wire[fixed + 5];
	message->dnssec_ok = wire[fixed + 6] & 0x80;
}

/* RFC 8945 section 5.2: one TSIG, the last record of all, class ANY, TTL 0. Its rdata: algorithm, time signed (6),
 * fudge (2), MAC size (2), MAC, original ID (2), error (2), other length (2), other. */
static bool scan_tsig(struct message *message, size_t owner, size_t fixed, size_t rdata, size_t rdata_length, bool last)
{
	const uint8_t *wire = message->wire;
	struct message inside = {.wire = wire, .length = rdata + rdata_length};
	size_t at = skip_name(&inside, rdata, false);
	static const uint8_t zero[4];

	if (!last || at == 0 || message_get16(wire + fixed + 2) != CLASS_ANY || memcmp(wire + fixed + 4, zero, 4) != 0)
		return false;
	message->tsig.algorithm_length = at - rdata;
	if (inside.length - at < 10)
		return false;
	at += 8;
	if (inside.length - at - 2 < message_get16(wire + at))
		return false;
	at += 2U + message_get16(wire + at);
	if (inside.length - at < 6 || inside.length - at - 6 != message_get16(wire + at + 4))
		return false;
	message->tsig.owner = owner;
	message->tsig.rdata = rdata;
	message->tsig.rdata_length = rdata_length;
	return true;
}

/* The serial is the first of the numbers at the end, whatever the names. */
static void scan_soa(struct message *message, size_t rdata, size_t rdata_length)
{
	const uint8_t *serial;

	if (message->count[MESSAGE_AUTHORITY] != 1 || rdata_length < 2 + SOA_NUMBERS)
		return;
	serial = message->wire + rdata + rdata_length - SOA_NUMBERS;
	message->has_serial = true;
	message->serial = (uint32_t)message_get16(serial) << 16 | message_get16(serial + 2);
}

/* Reads one record at `at`; returns the offset behind it, or 0. */
static size_t scan_record(struct message *message, size_t at, enum message_section section, bool last)
{
	size_t owner = at, rdata, rdata_length;
	uint16_t type;

	at = skip_name(message, at, true);
	if (at == 0 || message->length - at < RECORD_FIXED)
		return 0;
	rdata = at + RECORD_FIXED;
	rdata_length = message_get16(message->wire + at + 8);
	if (message->length - rdata < rdata_length)
		return 0;
	type = message_get16(message->wire + at);
	if (type == TYPE_OPT) {
		if (section != MESSAGE_ADDITIONAL)
			return 0;
		scan_opt(message, owner, at, rdata, rdata_length);
	}
	if (type == TYPE_SOA && section == MESSAGE_AUTHORITY)
		scan_soa(message, rdata, rdata_length);
	if (type == TYPE_TSIG && !scan_tsig(message, owner, at, rdata, rdata_length, last))
		return 0;
	return rdata + rdata_length;
}

/* Returns the offset behind the questions, or 0. */
static size_t scan_questions(struct message *message)
{
	size_t at = MESSAGE_HEADER;

	for (unsigned i = 0; i < message->count[MESSAGE_QUESTION]; i++) {
		size_t start = at;

		at = skip_name(message, at, i > 0);
		if (at == 0 || message->length - at < 4)
			return 0;
		if (i == 0) {
			message->name_length = at - start;
			message->qtype = message_get16(message->wire + at);
			message->qclass = message_get16(message->wire + at + 2);
			message->question_end = at + 4;
		}
		at += 4;
	}
	message->question = message->count[MESSAGE_QUESTION] == 1;
	return at;
}

void message_scan(struct message *message, const uint8_t *wire, size_t length)
{
	size_t at;

	memset(message, 0, sizeof(*message));
	message->wire = wire;
	message->length = length;
	message->question_end = MESSAGE_HEADER;
	for (unsigned i = 0; i < 4; i++)
		message->count[i] = message_get16(wire + 4 + 2 * i);

	at = scan_questions(message);
	/* Every record has at least 11 octets, so the counts cannot keep us longer than the message is. */
	for (unsigned section = MESSAGE_ANSWER; at != 0 && section <= MESSAGE_ADDITIONAL; section++) {
		unsigned count = message->count[section];

		for (unsigned i = 0; at != 0 && i < count; i++)
			at = scan_record(message, at, section, section == MESSAGE_ADDITIONAL && i + 1 == count);
	}
	message->malformed = at == 0;
	/* What stands in a message that is broken is not believed. */
	if (message->malformed || message->bad_edns)
		message->opt = false;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading a DNS message whose shape the engine left to us: where its parts are, and what is wrong with it. */
#ifndef PEREGRINE_FALLBACK_SCAN_H
#define PEREGRINE_FALLBACK_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MESSAGE_HEADER 12U
#define MESSAGE_OPT 11U /* octets of an OPT record without options */

enum message_section { MESSAGE_QUESTION, MESSAGE_ANSWER, MESSAGE_AUTHORITY, MESSAGE_ADDITIONAL };

struct message_tsig {
	size_t owner; /* offset of the key's name; 0: there is no TSIG */
	size_t rdata;
	size_t rdata_length;
	size_t algorithm_length; /* octets of the algorithm's name, which stands at rdata */
};

struct message {
	const uint8_t *wire;
	size_t length;
	uint16_t count[4]; /* by enum message_section */

	bool question; /* there is exactly one question and it can be read */
	size_t name_length;
	size_t question_end;
	uint16_t qtype, qclass;

	bool malformed; /* cannot be read to its end, or a record stands where it must not; octets behind the end are no
	                   fault */
	bool bad_edns;  /* two OPT records, or one that is not as RFC 6891 section 6.1.2 wants it */

	bool opt; /* one OPT record, well-formed, in a message that is so too */
	uint8_t version;
	bool dnssec_ok;
	bool nsid;             /* option NSID, RFC 5001 */
	bool expire;           /* option EXPIRE, RFC 7314 */
	const uint8_t *cookie; /* the first option COOKIE, RFC 7873; NULL: none */
	uint16_t cookie_length;
	uint16_t udp_size; /* as the client says it */

	bool has_serial; /* one SOA in the authority section, as IXFR has it (RFC 1995 section 3); its serial: */
	uint32_t serial;

	struct message_tsig tsig;
};

/* Reads a message of at least MESSAGE_HEADER octets. Never reads beyond `length`, and looks at each octet once. */
void message_scan(struct message *message, const uint8_t *wire, size_t length);

/* Copies the name at `at`, following its compression, to `name` (room 255). Returns its length, or 0. */
size_t message_name(const struct message *message, size_t at, uint8_t *name);

static inline unsigned message_opcode(const uint8_t *wire)
{
	return (wire[2] >> 3) & 15;
}

static inline uint16_t message_get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static inline void message_put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the two halves of answering odd messages share: respond.c, and respond_peer.c for what secondaries ask. */
#ifndef PEREGRINE_FALLBACK_ODD_H
#define PEREGRINE_FALLBACK_ODD_H

#include "fallback/respond.h"
#include "fallback/scan.h"
#include "tsig/tsig_server.h"

enum {
	OPCODE_QUERY = 0,
	OPCODE_NOTIFY = 4,
	RCODE_NOERROR = 0,
	RCODE_FORMERR = 1,
	RCODE_SERVFAIL = 2,
	RCODE_NOTIMP = 4,
	RCODE_REFUSED = 5,
	RCODE_NOTAUTH = 9,
	RCODE_BADVERS = 16,
	RCODE_BADCOOKIE = 23,
	TYPE_SOA = 6,
	TYPE_TXT = 16,
	TYPE_OPT = 41,
	TYPE_TSIG = 250,
	TYPE_IXFR = 251,
	TYPE_AXFR = 252,
	TYPE_ANY = 255,
	TYPE_NEVER = 65535, /* reserved: no zone has it */
	CLASS_IN = 1,
	CLASS_CH = 3,
	CLASS_ANY = 255,
	OPTION_NSID = 3,
	OPTION_EXPIRE = 9,
	OPTION_COOKIE = 10,
	COOKIE_CLIENT = 8, /* octets of a client cookie */
	COOKIE_MOST = 40,  /* with the longest server cookie */
	FLAGS_QR = 0x80,   /* in octet 2 of the header */
	FLAGS_AA = 0x04,
	FLAGS_TC = 0x02,
	FLAGS_RD = 0x01,
	UDP_PLAIN = 512, /* RFC 1035 section 4.2.1 */
	TEXT_MAX = 255,
};

/* An odd message and the reply that is being written to it. */
struct odd {
	const struct image_view *view;
	struct pg_work *work;
	const struct respond_options *options;
	const struct sockaddr_storage *from;
	bool tcp;
	bool slip;                      /* the reply is to be short */
	const knot_tsig_key_t *key;     /* the query was signed with it, and verified; NULL: was not signed */
	struct tsig_server *tsig;       /* of that query: the replies' signatures */
	struct transfer_out **transfer; /* where a transfer is left to be sent; NULL: none can be */
	enum pg_exit exit;
	struct message message;
	uint8_t *reply;
	size_t room;
	size_t length;
};

/* ---- respond.c ---- */

/* Header and, where it is wanted, the question, as they came. */
void odd_begin(struct odd *odd, unsigned rcode, bool question);
/* The OPT record, when one was asked. */
void odd_append_opt(struct odd *odd);
/* A record; there is room: see RESPOND_ROOM_MIN. */
void odd_append(struct odd *odd, const void *octets, size_t length, unsigned section);
/* Cuts what the client cannot take. Returns the reply's octets, as those that follow. */
size_t odd_finish(struct odd *odd);
size_t odd_error(struct odd *odd, unsigned rcode);
/* What the client takes of a reply. */
size_t odd_limit(const struct odd *odd);
/* Asks the engine the question of the message in its usual form, with type `type`. The reply stands in odd->reply. */
enum pg_exit odd_ask(struct odd *odd, uint16_t type, size_t *reply_length);
/* The answer to odd->message. */
size_t odd_judge(struct odd *odd);

/* ---- respond_peer.c ---- */

/* AXFR and IXFR. */
size_t odd_transfer(struct odd *odd);
/* A message with a TSIG record. */
size_t odd_signed(struct odd *odd);
/* Adds what is left of the zone's life (RFC 7314) to a reply of `length` octets whose last record is the OPT that the
 * engine wrote, if that was asked and the zone has one. Returns the new length. */
size_t odd_add_expire(struct odd *odd, size_t length);

#endif

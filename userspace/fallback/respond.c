/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the engine leaves to us is either broken, or rare: it is judged here, off the hot path. Where the standards
 * leave room, we do what most of NSD, Knot DNS and BIND do (docs/peers.md).
 */
#include "fallback/respond.h"
#include "engine/engine.h"
#include "fallback/scan.h"

#include "common/log.h"

#include <string.h>
#include <strings.h>

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
	TSIG_BADKEY = 17,
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
	bool slip; /* the reply is to be short */
	enum pg_exit exit;
	struct message message;
	uint8_t *reply;
	size_t room;
	size_t length;
};

/* What the client takes, and we want to send: RFC 6891 section 6.2.3. */
static size_t reply_limit(const struct odd *odd)
{
	size_t limit = 65535;

	if (!odd->tcp) {
		limit = odd->message.opt ? odd->message.udp_size : 0;
		if (limit > odd->view->settings->udp_size)
			limit = odd->view->settings->udp_size;
		if (limit < UDP_PLAIN)
			limit = UDP_PLAIN;
	}
	return limit < odd->room ? limit : odd->room;
}

static const struct pg_policy *policy_of(const struct odd *odd)
{
	const struct pg_settings *settings = odd->view->settings;

	return &settings->policies[__atomic_load_n(&settings->policy, __ATOMIC_ACQUIRE) & 1];
}

static bool bad_cookie(const struct odd *odd)
{
	const struct message *message = &odd->message;

	return message->cookie && engine_bad_cookie(odd->view, message->cookie, message->cookie_length);
}

/* Header and, where it is wanted, the question, as they came: they fit, for the query was at least as long. RD is
 * echoed, CD is not (RFC 4035 section 3.1.6). */
static void begin(struct odd *odd, unsigned rcode, bool question)
{
	const uint8_t *query = odd->message.wire;
	uint8_t *reply = odd->reply;

	odd->length = question ? odd->message.question_end : MESSAGE_HEADER;
	memcpy(reply, query, odd->length);
	memset(reply + 4, 0, 8);
	reply[2] = FLAGS_QR | (query[2] & (0x78 | FLAGS_RD));
	reply[3] = rcode & 15;
	reply[5] = question;
	odd->work->rcode = rcode;
}

/* There is room: see RESPOND_ROOM_MIN. */
static void append(struct odd *odd, const void *octets, size_t length, unsigned section)
{
	memcpy(odd->reply + odd->length, octets, length);
	odd->length += length;
	message_put16(odd->reply + 4 + 2 * section, message_get16(odd->reply + 4 + 2 * section) + 1U);
}

/* The OPT record stands in the reply exactly when one was asked; its options are of version 0. */
static void append_opt(struct odd *odd)
{
	const struct message *message = &odd->message;
	struct engine_opt asked = {.dnssec_ok = message->dnssec_ok};
	size_t limit = reply_limit(odd), room = limit > odd->length ? limit - odd->length : 0;

	if (!message->opt)
		return;
	if (!message->version && !bad_cookie(odd)) {
		asked.nsid = message->nsid && !odd->slip;
		asked.cookie = message->cookie;
		asked.cookie_length = message->cookie_length;
	}
	odd->length +=
	    engine_opt(odd->view, odd->work, &asked, odd->reply + odd->length, room > MESSAGE_OPT ? room : MESSAGE_OPT);
	odd->reply[11]++;
}

/* What the client cannot take is cut to header and question, which always fit: 12 + 259 octets. */
static size_t finish(struct odd *odd)
{
	if (odd->length > reply_limit(odd)) {
		begin(odd, odd->work->rcode, odd->message.question);
		append_opt(odd);
		odd->reply[2] |= FLAGS_TC;
	}
	return odd->length;
}

static size_t reply_error(struct odd *odd, unsigned rcode)
{
	begin(odd, rcode, odd->message.question);
	append_opt(odd);
	return finish(odd);
}

/* An opcode that we do not know may have meant something else by its first section: nothing of it is repeated. */
static size_t reply_opcode(struct odd *odd)
{
	begin(odd, RCODE_NOTIMP, false);
	append_opt(odd);
	return finish(odd);
}

/*
 * A signature by a key that we do not have: RFC 8945 section 5.2.1 wants NOTAUTH, and a TSIG record with error BADKEY
 * that is not signed (section 5.3.2: without MAC).
 */
static size_t reply_bad_key(struct odd *odd)
{
	const struct message_tsig *tsig = &odd->message.tsig;
	uint8_t record[2 * PG_NAME_MAX + 32] = {0};
	size_t at = message_name(&odd->message, tsig->owner, record), rdata;

	if (at == 0)
		return reply_error(odd, RCODE_FORMERR);
	message_put16(record + at, TYPE_TSIG);
	message_put16(record + at + 2, CLASS_ANY);
	rdata = at + 10;
	at = rdata + tsig->algorithm_length;
	memcpy(record + rdata, odd->message.wire + tsig->rdata, tsig->algorithm_length + 8); /* time, fudge */
	at += 8 + 2;                                                                         /* MAC size 0 */
	memcpy(record + at, odd->message.wire, 2);                                           /* original ID */
	message_put16(record + at + 2, TSIG_BADKEY);
	at += 6; /* other length 0 */
	message_put16(record + rdata - 2, (unsigned)(at - rdata));

	begin(odd, RCODE_NOTAUTH, true);
	append_opt(odd);
	/* The key's name may have come compressed: then the reply, which needs no key to ask for, could be longer than
	 * the query, and does without the record. */
	if (odd->length + at <= odd->message.length)
		append(odd, record, at, MESSAGE_ADDITIONAL);
	return finish(odd);
}

/* What the server calls itself, as NSID has it; returns its length. */
static size_t identity_of(const struct odd *odd, const char **text)
{
	const struct pg_policy *policy = policy_of(odd);

	*text = (const char *)policy->nsid + 4;
	return policy->nsid_length > 4 ? policy->nsid_length - 4U : 0;
}

/* RFC 4892, and the names that BIND gave to the same thing. Returns the length of *text. */
static size_t chaos_text(const struct odd *odd, const char **text)
{
	static const struct {
		const char *name;
		bool identity;
	} known[] = {
	    {"\2id\6server", true},
	    {"\10hostname\4bind", true},
	    {"\7version\6server", false},
	    {"\7version\4bind", false},
	};
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		/* The root's octet ends both. Label lengths are no letters, so folding case does not touch them. */
		if (odd->message.name_length == strlen(known[i].name) + 1 &&
		    strncasecmp((const char *)odd->message.wire + MESSAGE_HEADER, known[i].name,
		                odd->message.name_length) == 0)
			break;
	}
	if (i == sizeof(known) / sizeof(known[0]))
		return 0;
	if (known[i].identity)
		return identity_of(odd, text);
	*text = odd->options->version;
	return *text ? strnlen(*text, TEXT_MAX) : 0;
}

static size_t reply_chaos(struct odd *odd)
{
	const char *text = NULL;
	size_t length = chaos_text(odd, &text);
	uint8_t record[12 + 1 + TEXT_MAX] = {0xC0, MESSAGE_HEADER, 0, TYPE_TXT, 0, CLASS_CH};

	if (!length || (odd->message.qtype != TYPE_TXT && odd->message.qtype != TYPE_ANY))
		return reply_error(odd, RCODE_REFUSED);
	message_put16(record + 10, (unsigned)length + 1);
	record[12] = (uint8_t)length;
	memcpy(record + 13, text, length);

	begin(odd, RCODE_NOERROR, true);
	append(odd, record, 13 + length, MESSAGE_ANSWER);
	append_opt(odd);
	return finish(odd);
}

/* RFC 1996. The reply is made by whoever follows the primaries. */
static size_t reply_notify(struct odd *odd)
{
	const struct respond_options *options = odd->options;

	if (!options->notify)
		return reply_opcode(odd);
	odd->length =
	    options->notify(options->notify_context, odd->from, odd->message.wire, odd->message.length, odd->reply);
	odd->work->rcode = odd->length >= MESSAGE_HEADER ? odd->reply[3] & 15 : 0;
	return odd->length;
}

/* Adds an option to a query's OPT record, whose octets 9 and 10 are its length. */
static size_t add_option(uint8_t *opt, unsigned code, const uint8_t *data, size_t size)
{
	size_t length = message_get16(opt + 9);
	uint8_t *option = opt + MESSAGE_OPT + length;

	message_put16(option, code);
	message_put16(option + 2, (unsigned)size);
	if (size)
		memcpy(option + 4, data, size);
	message_put16(opt + 9, (unsigned)(length + 4 + size));
	return 4 + size;
}

/* Room for it: header, question, OPT with NSID and the longest cookie. */
#define USUAL_ROOM (MESSAGE_HEADER + PG_NAME_MAX + 4 + MESSAGE_OPT + 4 + 4 + COOKIE_MOST)

/* Writes the query in its usual form to `query`; returns its length. A cookie of impossible length was refused before,
 * or means nothing. */
static size_t usual_form(const struct message *message, bool no_such_type, uint8_t *query)
{
	size_t length = message->question_end;
	uint8_t *opt = query + length;

	memcpy(query, message->wire, length);
	query[2] &= (uint8_t)~FLAGS_TC;
	memset(query + 6, 0, 6);
	if (no_such_type)
		message_put16(query + length - 4, TYPE_NEVER);
	message_put16(query + length - 2, CLASS_IN);
	if (message->opt) {
		memset(query + length, 0, MESSAGE_OPT);
		query[11] = 1;
		query[length + 2] = TYPE_OPT;
		message_put16(query + length + 3, message->udp_size);
		query[length + 7] = message->dnssec_ok ? 0x80 : 0;
		length += MESSAGE_OPT;
		if (message->nsid)
			length += add_option(opt, OPTION_NSID, NULL, 0);
		if (message->cookie && message->cookie_length <= COOKIE_MOST)
			length += add_option(opt, OPTION_COOKIE, message->cookie, message->cookie_length);
	}
	return length;
}

/*
 * A query that has an answer, in an unusual envelope: octets behind its end, records that mean nothing, TC set, more
 * options than the engine reads, class ANY, or a type that no zone can have. What matters of it is asked once more in
 * the usual form, and the question put back as it came.
 */
static size_t reply_ordinary(struct odd *odd)
{
	const struct message *message = &odd->message;
	uint8_t query[USUAL_ROOM];
	size_t type_at = message->question_end - 4, reply_length = 0;
	size_t length = usual_form(message, odd->exit == PG_EXIT_META_TYPE, query);
	enum pg_exit exit = engine_answer(odd->view, odd->work, odd->tcp, odd->work->now, query, length, odd->reply,
	                                  odd->room, &reply_length);

	if (exit == PG_EXIT_META_TYPE) {
		/* Seen only now, behind what kept the engine from looking at the type. */
		length = usual_form(message, true, query);
		exit = engine_answer(odd->view, odd->work, odd->tcp, odd->work->now, query, length, odd->reply,
		                     odd->room, &reply_length);
	}
	if (exit != PG_EXIT_ANSWERED) {
		if (exit != PG_EXIT_NO_ZONE)
			log_debug("fallback: the engine left an ordinary query (exit %d): SERVFAIL", (int)exit);
		return reply_error(odd, RCODE_SERVFAIL);
	}
	memcpy(odd->reply + type_at, message->wire + type_at, 4);
	if (message->qclass != CLASS_IN)
		odd->reply[2] &= (uint8_t)~FLAGS_AA; /* no one is an authority for all classes */
	return reply_length;
}

/* A query of class IN or ANY. Transfers out are none of ours yet; AXFR is not defined over UDP (RFC 5936 section 4.2).
 */
static size_t judge_query(struct odd *odd)
{
	const struct message *message = &odd->message;

	if (message->qtype == TYPE_AXFR && !odd->tcp)
		return reply_error(odd, RCODE_NOTIMP);
	if (message->qtype == TYPE_AXFR || message->qtype == TYPE_IXFR)
		return reply_error(odd, RCODE_REFUSED);
	if (odd->exit == PG_EXIT_NO_ZONE)
		return reply_error(odd, RCODE_SERVFAIL);
	return reply_ordinary(odd);
}

static bool is_cookie_query(const struct odd *odd)
{
	const struct message *message = &odd->message;

	return message->opt && message->cookie && !message->count[MESSAGE_QUESTION] &&
	       !message->count[MESSAGE_ANSWER] && !message->count[MESSAGE_AUTHORITY] && policy_of(odd)->secrets;
}

/* RFC 7873 section 5.4: an empty question section asks for a cookie alone. */
static size_t reply_cookie(struct odd *odd)
{
	begin(odd, RCODE_NOERROR, false);
	append_opt(odd);
	if (odd->message.cookie_length > COOKIE_CLIENT && !(odd->work->edns & PG_EDNS_GOOD_COOKIE)) {
		begin(odd, RCODE_BADCOOKIE, false);
		append_opt(odd);
	}
	return finish(odd);
}

static size_t judge(struct odd *odd)
{
	const struct message *message = &odd->message;
	unsigned opcode = message_opcode(message->wire);

	if (message->opt && message->version > 0)
		return reply_error(odd, RCODE_BADVERS);
	if (opcode != OPCODE_QUERY && opcode != OPCODE_NOTIFY)
		return reply_opcode(odd);
	if (message->malformed || message->bad_edns || (message->opt && bad_cookie(odd)))
		return reply_error(odd, RCODE_FORMERR);
	if (opcode == OPCODE_QUERY && is_cookie_query(odd))
		return reply_cookie(odd);
	if (!message->question)
		return reply_error(odd, RCODE_FORMERR);
	if (opcode == OPCODE_NOTIFY)
		return reply_notify(odd);
	if (message->tsig.owner)
		return reply_bad_key(odd);
	if (message->qclass == CLASS_CH)
		return reply_chaos(odd);
	if (message->qclass != CLASS_IN && message->qclass != CLASS_ANY)
		return reply_error(odd, RCODE_REFUSED);
	return judge_query(odd);
}

size_t respond_slip(const struct image_view *view, struct pg_work *work, const uint8_t *query, size_t length,
                    uint8_t *reply)
{
	struct odd odd = {.view = view, .work = work, .slip = true, .reply = reply, .room = RESPOND_ROOM_MIN};
	uint8_t flags = reply[2] & FLAGS_AA;
	unsigned rcode = work->rcode;

	message_scan(&odd.message, query, length);
	if (odd.message.opt && !odd.message.version && odd.message.cookie && policy_of(&odd)->secrets &&
	    !bad_cookie(&odd)) {
		rcode = RCODE_BADCOOKIE;
		flags = 0;
	} else {
		flags |= FLAGS_TC;
	}
	begin(&odd, rcode, odd.message.question);
	append_opt(&odd);
	reply[2] |= flags;
	return odd.length;
}

size_t respond(const struct image_view *view, struct pg_work *work, const struct respond_options *options, bool tcp,
               const struct sockaddr_storage *from, const uint8_t *query, size_t length, uint8_t *reply, size_t room)
{
	size_t reply_length = 0;
	enum pg_exit exit;
	struct odd odd;

	/* A response must not be answered, or two servers could be set to talk to each other for ever. */
	if (length < MESSAGE_HEADER || query[2] & FLAGS_QR || room < RESPOND_ROOM_MIN)
		return 0;
	engine_set_client(work, from);
	work->edns = 0; /* of this query nothing is known */
	exit = engine_answer(view, work, tcp, work->now, query, length, reply, room, &reply_length);
	if (exit == PG_EXIT_ANSWERED)
		return reply_length;
	odd = (struct odd){.view = view,
	                   .work = work,
	                   .options = options,
	                   .from = from,
	                   .tcp = tcp,
	                   .exit = exit,
	                   .reply = reply,
	                   .room = room};
	message_scan(&odd.message, query, length);
	return judge(&odd);
}

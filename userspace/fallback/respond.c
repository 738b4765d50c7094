/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the engine leaves to us is either broken, or rare: it is judged here, off the hot path. Where the standards
 * leave room, we do what most of NSD, Knot DNS and BIND do (docs/peers.md).
 */
#include "fallback/odd.h"
#include "engine/engine.h"

#include "common/log.h"

#include <string.h>
#include <strings.h>

/* What the client takes, and we want to send: RFC 6891 section 6.2.3. */
size_t odd_limit(const struct odd *odd)
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
void odd_begin(struct odd *odd, unsigned rcode, bool question)
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
void odd_append(struct odd *odd, const void *octets, size_t length, unsigned section)
{
	memcpy(odd->reply + odd->length, octets, length);
	odd->length += length;
	message_put16(odd->reply + 4 + 2 * section, message_get16(odd->reply + 4 + 2 * section) + 1U);
}

/* The OPT record stands in the reply exactly when one was asked; its options are of version 0. */
void odd_append_opt(struct odd *odd)
{
	const struct message *message = &odd->message;
	struct engine_opt asked = {.dnssec_ok = message->dnssec_ok};
	size_t limit = odd_limit(odd), room = limit > odd->length ? limit - odd->length : 0;

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
size_t odd_finish(struct odd *odd)
{
	if (odd->length > odd_limit(odd)) {
		odd_begin(odd, odd->work->rcode, odd->message.question);
		odd_append_opt(odd);
		odd->reply[2] |= FLAGS_TC;
	}
	return odd->length;
}

size_t odd_error(struct odd *odd, unsigned rcode)
{
	odd_begin(odd, rcode, odd->message.question);
	odd_append_opt(odd);
	return odd_finish(odd);
}

/* An opcode that we do not know may have meant something else by its first section: nothing of it is repeated. */
static size_t reply_opcode(struct odd *odd)
{
	odd_begin(odd, RCODE_NOTIMP, false);
	odd_append_opt(odd);
	return odd_finish(odd);
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
		return odd_error(odd, RCODE_REFUSED);
	message_put16(record + 10, (unsigned)length + 1);
	record[12] = (uint8_t)length;
	memcpy(record + 13, text, length);

	odd_begin(odd, RCODE_NOERROR, true);
	odd_append(odd, record, 13 + length, MESSAGE_ANSWER);
	odd_append_opt(odd);
	return odd_finish(odd);
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

/* Writes the query in its usual form, asking for `type`, to `query`; returns its length. A cookie of impossible length
 * was refused before, or means nothing. */
static size_t usual_form(const struct message *message, uint16_t type, uint8_t *query)
{
	size_t length = message->question_end;
	uint8_t *opt = query + length;

	memcpy(query, message->wire, length);
	query[2] &= (uint8_t)~FLAGS_TC;
	memset(query + 6, 0, 6);
	message_put16(query + length - 4, type);
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

enum pg_exit odd_ask(struct odd *odd, uint16_t type, size_t *reply_length)
{
	uint8_t query[USUAL_ROOM];
	size_t length = usual_form(&odd->message, type, query);

	*reply_length = 0;
	return engine_answer(odd->view, odd->work, odd->tcp, odd->work->now, query, length, odd->reply, odd->room,
	                     reply_length);
}

/*
 * A query that has an answer, in an unusual envelope: octets behind its end, records that mean nothing, TC set, more
 * options than the engine reads, or some that it leaves to us, class ANY, or a type that no zone can have. What matters
 * of it is asked once more in the usual form, and the question put back as it came.
 */
static size_t reply_ordinary(struct odd *odd)
{
	const struct message *message = &odd->message;
	size_t type_at = message->question_end - 4, reply_length;
	enum pg_exit exit = odd_ask(odd, odd->exit == PG_EXIT_META_TYPE ? TYPE_NEVER : message->qtype, &reply_length);

	/* Seen only now, behind what kept the engine from looking at the type. */
	if (exit == PG_EXIT_META_TYPE)
		exit = odd_ask(odd, TYPE_NEVER, &reply_length);
	if (exit != PG_EXIT_ANSWERED) {
		if (exit != PG_EXIT_NO_ZONE)
			log_debug("fallback: the engine left an ordinary query (exit %d): SERVFAIL", (int)exit);
		return odd_error(odd, RCODE_SERVFAIL);
	}
	memcpy(odd->reply + type_at, message->wire + type_at, 4);
	if (message->qclass != CLASS_IN)
		odd->reply[2] &= (uint8_t)~FLAGS_AA; /* no one is an authority for all classes */
	return message->qtype == TYPE_SOA ? odd_add_expire(odd, reply_length) : reply_length;
}

/* A query of class IN or ANY. AXFR is not defined over UDP (RFC 5936 section 4.2). */
static size_t judge_query(struct odd *odd)
{
	const struct message *message = &odd->message;

	if (message->qtype == TYPE_AXFR && !odd->tcp)
		return odd_error(odd, RCODE_NOTIMP);
	if (message->qtype == TYPE_AXFR || message->qtype == TYPE_IXFR)
		return odd_transfer(odd);
	if (odd->exit == PG_EXIT_NO_ZONE)
		return odd_error(odd, RCODE_SERVFAIL);
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
	odd_begin(odd, RCODE_NOERROR, false);
	odd_append_opt(odd);
	if (odd->message.cookie_length > COOKIE_CLIENT && !(odd->work->edns & PG_EDNS_GOOD_COOKIE)) {
		odd_begin(odd, RCODE_BADCOOKIE, false);
		odd_append_opt(odd);
	}
	return odd_finish(odd);
}

size_t odd_judge(struct odd *odd)
{
	const struct message *message = &odd->message;
	unsigned opcode = message_opcode(message->wire);

	if (message->opt && message->version > 0)
		return odd_error(odd, RCODE_BADVERS);
	if (opcode != OPCODE_QUERY && opcode != OPCODE_NOTIFY)
		return reply_opcode(odd);
	if (message->malformed || message->bad_edns || (message->opt && bad_cookie(odd)))
		return odd_error(odd, RCODE_FORMERR);
	if (opcode == OPCODE_QUERY && is_cookie_query(odd))
		return reply_cookie(odd);
	if (!message->question)
		return odd_error(odd, RCODE_FORMERR);
	if (opcode == OPCODE_NOTIFY)
		return reply_notify(odd);
	if (message->tsig.owner)
		return odd_signed(odd);
	if (message->qclass == CLASS_CH)
		return reply_chaos(odd);
	if (message->qclass != CLASS_IN && message->qclass != CLASS_ANY)
		return odd_error(odd, RCODE_REFUSED);
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
	odd_begin(&odd, rcode, odd.message.question);
	odd_append_opt(&odd);
	reply[2] |= flags;
	return odd.length;
}

/* A query that may be asked where transfers alone are given: SOA goes with them. */
static bool of_transfers(const struct message *message)
{
	return !message->question || message_opcode(message->wire) != OPCODE_QUERY || message->qtype == TYPE_SOA ||
	       message->qtype == TYPE_AXFR || message->qtype == TYPE_IXFR;
}

/* What `odd` has to begin with is there: view, work, options, from, tcp, transfer, reply, room. */
static size_t respond_any(struct odd *odd, bool transfers_only, const uint8_t *query, size_t length)
{
	size_t reply_length = 0;

	/* A response must not be answered, or two servers could be set to talk to each other for ever. */
	if (length < MESSAGE_HEADER || query[2] & FLAGS_QR || odd->room < RESPOND_ROOM_MIN)
		return 0;
	engine_set_client(odd->work, odd->from);
	odd->work->edns = 0; /* of this query nothing is known */
	if (transfers_only) {
		message_scan(&odd->message, query, length);
		if (!of_transfers(&odd->message))
			return odd_error(odd, RCODE_REFUSED);
	}
	odd->exit = engine_answer(odd->view, odd->work, odd->tcp, odd->work->now, query, length, odd->reply, odd->room,
	                          &reply_length);
	if (odd->exit == PG_EXIT_ANSWERED)
		return reply_length;
	message_scan(&odd->message, query, length);
	return odd_judge(odd);
}

size_t respond(const struct image_view *view, struct pg_work *work, const struct respond_options *options, bool tcp,
               const struct sockaddr_storage *from, const uint8_t *query, size_t length, uint8_t *reply, size_t room)
{
	struct odd odd = {
	    .view = view, .work = work, .options = options, .from = from, .tcp = tcp, .reply = reply, .room = room};

	return respond_any(&odd, false, query, length);
}

size_t respond_tcp(const struct image_view *view, struct pg_work *work, const struct respond_options *options,
                   bool transfers_only, const struct sockaddr_storage *from, const uint8_t *query, size_t length,
                   uint8_t *reply, size_t room, struct transfer_out **transfer)
{
	struct odd odd = {.view = view,
	                  .work = work,
	                  .options = options,
	                  .from = from,
	                  .tcp = true,
	                  .transfer = transfer,
	                  .reply = reply,
	                  .room = room};

	*transfer = NULL;
	return respond_any(&odd, transfers_only, query, length);
}

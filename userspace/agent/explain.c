/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Nothing is decided here. The query is put to the engine as the driver would put it; what is told is what then stands
 * in the work area and in the reply.
 */
#include "agent/explain.h"
#include "agent/agent.h"

#include "engine/engine.h"
#include "fallback/respond.h"
#include "zone_counters_shared.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <urcu/urcu-memb.h>

#define QUERY_MAX 512
#define REPLY_MAX 65535

struct explanation {
	const struct image_view *view;
	struct pg_work work;       /* of the engine as the program runs it */
	struct pg_work other_work; /* of the fallback */
	enum pg_exit exit;
	size_t length;
	uint8_t reply[REPLY_MAX];
};

const char *explain_read(struct explain_question *question, const char *name, const char *type, char *why, size_t room)
{
	if (!knot_dname_from_str(question->name, name, sizeof(question->name)))
		snprintf(why, room, "%s: no domain name; write it as in a zone file, such as www.example.org", name);
	else if (knot_rrtype_from_string(type, &question->type))
		snprintf(why, room, "%s: no type known; write its name, such as AAAA, or TYPE and its number", type);
	else
		return NULL;
	return why;
}

/* Writes the query; returns its length, 0 when memory is short. */
static size_t make_query(const struct explain_question *question, uint8_t *query)
{
	knot_pkt_t *pkt = knot_pkt_new(NULL, QUERY_MAX, NULL);
	knot_rrset_t opt = {};
	size_t length = 0;
	int error;

	if (!pkt)
		return 0;
	error = knot_pkt_put_question(pkt, question->name, KNOT_CLASS_IN, question->type);
	if (!error && question->edns) {
		error = knot_edns_init(&opt, question->udp_size, 0, 0, NULL);
		if (!error && question->dnssec_ok)
			knot_edns_set_do(&opt);
		if (!error)
			error = knot_pkt_begin(pkt, KNOT_ADDITIONAL);
		if (!error)
			error = knot_pkt_put(pkt, KNOT_COMPR_HINT_NONE, &opt, KNOT_PF_NULL);
	}
	if (!error) {
		length = pkt->size;
		memcpy(query, pkt->wire, length);
	}
	knot_pkt_free(pkt);
	knot_rrset_clear(&opt, NULL);
	return length;
}

/* Puts the query to the engine, and where it leaves it, to the fallback. */
static void run(struct explanation *e, const struct explain_question *question, uint64_t now, const uint8_t *query,
                size_t length)
{
	const struct respond_options options = {.version = "Peregrine " PEREGRINE_VERSION};
	const struct sockaddr_storage from = {.ss_family = AF_INET6};

	engine_set_client(&e->work, &from);
	if (question->tcp) {
		/* The driver does not look into TCP; the zone and the name are told as the fallback finds them. */
		engine_answer(e->view, &e->work, true, now, query, length, e->reply, REPLY_MAX, &e->length);
		e->exit = PG_EXIT_NOT_UDP;
	} else {
		e->exit = engine_answer_as_program(e->view, &e->work, false, now, query, length, e->reply, REPLY_MAX,
		                                   &e->length);
	}
	if (e->exit == PG_EXIT_ANSWERED)
		return;
	e->other_work.now = now;
	e->length =
	    respond(e->view, &e->other_work, &options, question->tcp, &from, query, length, e->reply, REPLY_MAX);
}

static json_t *name_text(const uint8_t *name)
{
	knot_dname_txt_storage_t text;

	return json_string(knot_dname_to_str(text, name, sizeof(text)) ? text : "?");
}

static json_t *type_text(uint16_t type)
{
	char text[32] = "?";

	knot_rrtype_to_string(type, text, sizeof(text));
	return json_string(text);
}

static json_t *tell_question(const struct explain_question *question)
{
	return json_pack("{s:o, s:o, s:s, s:o, s:b}", "name", name_text(question->name), "type",
	                 type_text(question->type), "transport", question->tcp ? "TCP" : "UDP", "edns",
	                 question->edns ? json_integer(question->udp_size) : json_null(), "do", question->dnssec_ok);
}

static json_t *tell_exit(enum pg_exit number)
{
	static const struct {
		const char *name, *text;
	} exits[PG_EXIT_ROOM] = {
#define EXIT(number, symbol, name, text) [number] = {#name, text},
	    PG_EXITS(EXIT)
#undef EXIT
	};

	return json_pack("{s:i, s:s, s:s}", "number", number, "name", exits[number].name, "text", exits[number].text);
}

static json_t *tell_zone(const struct explanation *e)
{
	const struct pg_zone *zone = e->view->zones + e->work.zone;

	if (e->work.zone == PG_ZONE_NONE)
		return json_null();
	return json_pack("{s:o, s:o, s:i}", "name", name_text(zone->name), "serial",
	                 e->work.head ? json_integer(zone->serial) : json_null(), "version", (int)e->work.version);
}

/* The node that the search for sname ended at; NULL when sname was not searched for. */
static const struct pg_node *found_node(const struct explanation *e)
{
	const struct pg_work *w = &e->work;
	const struct pg_node *node = (const void *)(e->view->base + (size_t)w->node * PG_UNIT);
	size_t start;

	if (!w->node || w->node_labels > w->labels)
		return NULL;
	start = w->label[w->labels - w->node_labels];
	if (node->name_length + start != w->name_length || memcmp(node + 1, w->name + start, node->name_length))
		return NULL; /* it is the one of the name before, and the CNAME there leads out of what is served */
	return node;
}

static json_t *tell_search(const struct explanation *e)
{
	const struct pg_work *w = &e->work;
	const struct pg_node *node = found_node(e), *wildcard = NULL;
	bool exact = w->node_labels == w->labels, cut;

	if (!node)
		return json_null();
	cut = w->node_flags & PG_NODE_DELEGATION && !(exact && w->qtype == KNOT_RRTYPE_DS);
	if (!exact && !cut && w->wildcard)
		wildcard = (const void *)(e->view->base + (size_t)w->wildcard * PG_UNIT);
	return json_pack("{s:o, s:b, s:o, s:b, s:o}", "sname", name_text(w->name), "exists", exact && !cut,
	                 exact ? "node" : "closest_encloser", name_text((const uint8_t *)(node + 1)), "delegation", cut,
	                 "wildcard", wildcard ? name_text((const uint8_t *)(wildcard + 1)) : json_null());
}

/* Why a chain of CNAMEs ends at its last target, where that is not an ordinary end; NULL: it is. */
static const char *chain_end(const struct explanation *e, const knot_pkt_t *pkt)
{
	const knot_pktsection_t *answer = knot_pkt_section(pkt, KNOT_ANSWER);
	const struct pg_work *w = &e->work;

	for (uint16_t i = 0; i < answer->count; i++) {
		const knot_rrset_t *rr = knot_pkt_rr(answer, i);

		if (rr->type == KNOT_RRTYPE_CNAME && knot_dname_is_case_equal(rr->owner, w->name))
			return "loop";
	}
	if (!found_node(e))
		return "outside";
	if (w->chain == PG_CHAIN_MAX && w->has_rrset && w->rrset.type == KNOT_RRTYPE_CNAME)
		return "limit";
	return NULL;
}

static json_t *tell_chain(const struct explanation *e, const knot_pkt_t *pkt)
{
	const char *end = e->work.chain ? chain_end(e, pkt) : NULL;

	return json_pack("{s:i, s:o, s:o}", "followed", (int)e->work.chain, "to",
	                 e->work.chain ? name_text(e->work.name) : json_null(), "end",
	                 end ? json_string(end) : json_null());
}

/* The RRsets of a section, as they stand there: each is a fragment, or what the fallback wrote. */
static void tell_section(json_t *list, const knot_pkt_t *pkt, knot_section_t id, const char *name)
{
	const knot_pktsection_t *section = knot_pkt_section(pkt, id);

	for (uint16_t first = 0, next; first < section->count; first = next) {
		const knot_rrset_t *rrset = knot_pkt_rr(section, first);
		size_t at = section->pos + first, end;

		for (next = first + 1; next < section->count; next++) {
			const knot_rrset_t *other = knot_pkt_rr(section, next);

			if (other->type != rrset->type || !knot_dname_is_case_equal(other->owner, rrset->owner))
				break;
		}
		end = section->pos + next < pkt->rrset_count ? pkt->rr_info[section->pos + next].pos : pkt->parsed;
		json_array_append_new(list,
		                      json_pack("{s:s, s:o, s:o, s:i, s:i}", "section", name, "owner",
		                                name_text(rrset->owner), "type", type_text(rrset->type), "records",
		                                next - first, "octets", (int)(end - pkt->rr_info[at].pos)));
	}
}

/* The bound is the engine's; what the fallback writes itself is short. */
static json_t *tell_reply(const struct explanation *e, const knot_pkt_t *pkt)
{
	const knot_lookup_t *rcode = knot_lookup_by_id(knot_rcode_names, knot_pkt_ext_rcode(pkt));
	json_t *list = json_array();

	tell_section(list, pkt, KNOT_ANSWER, "answer");
	tell_section(list, pkt, KNOT_AUTHORITY, "authority");
	tell_section(list, pkt, KNOT_ADDITIONAL, "additional");
	return json_pack("{s:s, s:b, s:b, s:i, s:o, s:o}", "rcode", rcode ? rcode->name : "?", "aa",
	                 knot_wire_get_aa(pkt->wire) != 0, "tc", knot_wire_get_tc(pkt->wire) != 0, "octets",
	                 (int)pkt->size, "limit",
	                 e->exit == PG_EXIT_ANSWERED ? json_integer(e->work.limit) : json_null(), "rrsets", list);
}

static json_t *tell(struct explanation *e, const struct explain_question *question)
{
	knot_pkt_t *pkt = knot_pkt_new(e->reply, e->length, NULL);
	json_t *told = NULL;

	if (pkt && !knot_pkt_parse(pkt, 0))
		told = json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o}", "question", tell_question(question),
		                 "answered_by", e->exit == PG_EXIT_ANSWERED ? "driver" : "fallback", "exit",
		                 tell_exit(e->exit), "zone", tell_zone(e), "search", tell_search(e), "cname",
		                 tell_chain(e, pkt), "reply", tell_reply(e, pkt));
	knot_pkt_free(pkt);
	return told;
}

json_t *explain(const struct image_view *view, uint64_t boottime, const struct explain_question *question)
{
	struct explanation *e = calloc(1, sizeof(*e));
	uint8_t query[QUERY_MAX];
	size_t length = make_query(question, query);
	json_t *told = NULL;

	if (e && length) {
		e->view = view;
		run(e, question, boottime, query, length);
		told = tell(e, question);
	}
	free(e);
	return told;
}

static bool attached(struct agent *agent)
{
	struct fastpath_interface interfaces[64];
	size_t count = agent->fastpath ? fastpath_interfaces(agent->fastpath, interfaces, 64) : 0;

	for (size_t i = 0; i < count && i < 64; i++)
		if (strcmp(interfaces[i].mode, "none") != 0)
			return true;
	return false;
}

void agent_explain(void *context, struct control_request *request, const json_t *arguments, const json_t *options)
{
	const char *name = json_string_value(json_array_get(arguments, 0));
	const char *type = json_string_value(json_array_get(arguments, 1));
	const json_t *size = json_object_get(options, "bufsize");
	struct explain_question question = {
	    .tcp = json_is_true(json_object_get(options, "tcp")),
	    .dnssec_ok = json_is_true(json_object_get(options, "do")),
	    .udp_size = size ? (uint16_t)json_integer_value(size) : 1232,
	};
	struct agent *agent = context;
	char why[1024];
	json_t *told;

	question.edns = question.dnssec_ok || size;
	if (!name || !type) {
		control_fail(request, "explain takes a name and a type");
		return;
	}
	if (explain_read(&question, name, type, why, sizeof(why))) {
		control_fail(request, "%s", why);
		return;
	}
	urcu_memb_read_lock();
	told = explain(image_view_get(publisher_image(agent->publisher)), agent_boottime(), &question);
	urcu_memb_read_unlock();
	if (!told) {
		control_fail(request, "out of memory");
		return;
	}
	json_object_set_new(told, "attached", json_boolean(attached(agent)));
	control_reply(request, told);
}

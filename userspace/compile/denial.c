/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How a zone version proves what does not exist. NSEC: every name has the NSEC that proves something of it, its own or
 * the last before it. NSEC3: one chain is taken, the first of the apex's NSEC3PARAM whose records are there. What the
 * chain lacks is noted in the nodes, so that no proof is given that would be false.
 */
#include "compile/compile.h"
#include "engine/engine.h"

#include <libknot/libknot.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_SIZE 20                   /* of SHA-1 */
#define HASH_LABEL (HASH_SIZE * 8 / 5) /* in base32hex */
#define ALGORITHM_SHA1 1
#define FLAG_OPT_OUT 1
/* RFC 5155 section 10.3: no validator believes a chain of more. */
#define ITERATIONS_MAX 2500
/* Records to a span: four to eight. */
#define SPAN_FILL 8

static void fault(struct plan *plan, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void fault(struct plan *plan, const char *format, ...)
{
	va_list arguments;

	if (plan->fault[0])
		return;
	va_start(arguments, format);
	vsnprintf(plan->fault, sizeof(plan->fault), format, arguments);
	va_end(arguments);
}

static const char *text_of(const uint8_t *name, char *text)
{
	return knot_dname_to_str(text, name, KNOT_DNAME_TXT_MAXLEN + 1) ? text : "?";
}

bool denial_is_nsec3_owner(const struct zone_name *name)
{
	bool nsec3 = false;

	for (size_t i = 0; i < name->rrset_count; i++) {
		nsec3 |= name->rrsets[i].type == KNOT_RRTYPE_NSEC3;
		if (name->rrsets[i].type != KNOT_RRTYPE_NSEC3 && name->rrsets[i].type != KNOT_RRTYPE_RRSIG)
			return false;
	}
	return nsec3;
}

bool plan_is_signed(const struct zone_name *name, uint16_t type)
{
	const struct zone_rrset *signatures = zone_find_rrset(name, KNOT_RRTYPE_RRSIG);
	const uint8_t *at = signatures ? signatures->rdata : NULL;

	for (uint32_t i = 0; at && i < signatures->count; i++) {
		uint16_t length;

		memcpy(&length, at, sizeof(length));
		if (at[2] << 8 == (type & 0xff00) && at[3] == (type & 0xff))
			return true;
		at += 2U + length;
	}
	return false;
}

/* What ought to be signed and is not: said once. */
static void check_signatures(struct plan *plan)
{
	char text[KNOT_DNAME_TXT_MAXLEN + 1], type_text[32];

	for (size_t i = 0; i < plan->names; i++) {
		const struct plan_entry *entry = &plan->entries[i];

		for (size_t j = 0; entry->again && entry->data && j < entry->data->rrset_count; j++) {
			uint16_t type = entry->data->rrsets[j].type;

			if (type == KNOT_RRTYPE_RRSIG || plan_is_signed(entry->data, type) ||
			    (entry->flags & PG_NODE_DELEGATION && type != KNOT_RRTYPE_DS && type != KNOT_RRTYPE_NSEC))
				continue;
			if (knot_rrtype_to_string(type, type_text, sizeof(type_text)) < 0)
				snprintf(type_text, sizeof(type_text), "TYPE%u", type);
			fault(plan, "%s %s has no RRSIG", text_of(entry->name, text), type_text);
			return;
		}
	}
}

/* Notes for every entry the last one up to it with a signed NSEC. */
static int find_owners(struct plan *plan)
{
	char text[KNOT_DNAME_TXT_MAXLEN + 1];
	uint32_t last = 0;

	plan->denial.owners = calloc(plan->names, sizeof(*plan->denial.owners));
	if (!plan->denial.owners)
		return -1;
	for (size_t i = 0; i < plan->names; i++) {
		const struct zone_name *data = plan->entries[i].data;

		if (zone_find_rrset(data, KNOT_RRTYPE_NSEC) && plan_is_signed(data, KNOT_RRTYPE_NSEC))
			last = i + 1;
		else if (data && plan->entries[i].again)
			fault(plan, "%s has no NSEC, or none that is signed", text_of(plan->entries[i].name, text));
		plan->denial.owners[i] = last;
	}
	return 0;
}

/* Whether each NSEC leads to the next one. */
static void check_chain(struct plan *plan)
{
	const uint32_t *owners = plan->denial.owners;
	const uint8_t *next = plan->entries[0].name;
	char text[KNOT_DNAME_TXT_MAXLEN + 1];

	for (size_t i = plan->names; i-- > 0;) {
		struct plan_entry *entry = &plan->entries[i];
		knot_dname_storage_t said;
		const struct zone_rrset *rrset;
		const uint8_t *rdata;

		if (owners[i] != i + 1)
			continue;
		rrset = zone_find_rrset(entry->data, KNOT_RRTYPE_NSEC);
		rdata = rrset->rdata + 2;
		memcpy(said, rdata, knot_dname_size(rdata));
		knot_dname_to_lower(said);
		if (!knot_dname_is_equal(said, next) || rrset->count != 1) {
			entry->flags |= PG_NODE_GAP;
			if (entry->again)
				fault(plan, "the NSEC of %s does not lead to the next name, or is not alone",
				      text_of(entry->name, text));
		}
		next = entry->name;
	}
}

/* The entry whose NSEC covers the wildcard that is not below a name, plus 1: the last one below the children that come
 * before an asterisk, or what proves the name itself. */
static uint64_t find_wildcard_proof(const struct plan *plan, size_t number, uint64_t own)
{
	const struct plan_entry *entry = &plan->entries[number];
	size_t child = number + 1;
	uint64_t found = own;

	for (uint32_t i = 0; i < entry->children; i++) {
		const uint8_t *label = plan->entries[child].name;
		size_t last = plan->entries[child].last;

		if (label[1] > '*' || (label[1] == '*' && label[0] >= 1))
			break;
		found = plan->denial.owners[last] > child ? plan->denial.owners[last] : 0;
		child = last + 1;
	}
	return found;
}

static int plan_nsec(struct plan *plan)
{
	if (find_owners(plan))
		return -1;
	check_chain(plan);
	plan->denial.kind = PG_DENIAL_NSEC;
	for (size_t i = 0; i < plan->names; i++) {
		struct plan_entry *entry = &plan->entries[i];
		bool has = plan->denial.owners[i] == i + 1;
		uint64_t own = has || !entry->data ? plan->denial.owners[i] : 0;
		uint64_t wildcard = find_wildcard_proof(plan, i, own);

		entry->proof[PG_PROOF_OWN] = own;
		entry->proof[PG_PROOF_WILDCARD] = wildcard;
		if (!has || wildcard != own)
			entry->flags |= PG_NODE_PROOFS;
	}
	return 0;
}

bool denial_hash_of_owner(const uint8_t *owner, uint64_t *hash)
{
	uint64_t bits = 0;

	if (owner[0] != HASH_LABEL)
		return false;
	for (int i = 0; i < 13; i++) {
		uint8_t octet = owner[1 + i];
		uint64_t digit = octet >= 'a' ? octet - 'a' + 10U : octet - 0U - '0';

		if (octet < '0' || (octet > '9' && octet < 'a') || octet > 'v')
			return false;
		/* Twelve digits are 60 bits; of the last, the upper four. */
		bits = i < 12 ? bits << 5 | digit : bits << 4 | digit >> 1;
	}
	*hash = bits;
	return true;
}

static uint64_t hash_of_octets(const uint8_t *octets)
{
	uint64_t hash = 0;

	for (int i = 0; i < 8; i++)
		hash = hash << 8 | octets[i];
	return hash;
}

/* Whether a record, NSEC3 or NSEC3PARAM, belongs to the chain. */
static bool in_chain(const struct plan_denial *denial, const uint8_t *rdata)
{
	return rdata[0] == ALGORITHM_SHA1 && rdata[2] << 8 == (denial->iterations & 0xff00) &&
	       rdata[3] == (denial->iterations & 0xff) && rdata[4] == denial->salt_length &&
	       !memcmp(rdata + 5, denial->salt, denial->salt_length);
}

const uint8_t *denial_find_record(const struct plan_denial *denial, const struct zone_name *name)
{
	const struct zone_rrset *rrset = zone_find_rrset(name, KNOT_RRTYPE_NSEC3);
	const uint8_t *at = rrset ? rrset->rdata : NULL;

	for (uint32_t i = 0; at && i < rrset->count; i++) {
		uint16_t length;

		memcpy(&length, at, sizeof(length));
		if (in_chain(denial, at + 2))
			return at;
		at += 2U + length;
	}
	return NULL;
}

static int compare_entries(const void *left, const void *right)
{
	const struct plan_entry *a = left, *b = right;

	if (a->hash != b->hash)
		return a->hash < b->hash ? -1 : 1;
	return zone_compare_names(a->name, b->name);
}

static uint64_t hash_name(const struct plan_denial *denial, const uint8_t *name, size_t length)
{
	return engine_nsec3_hash(denial->iterations, denial->salt, denial->salt_length, name, length);
}

size_t denial_rank(const struct plan_denial *denial, uint64_t hash)
{
	size_t low = 0, high = denial->hash_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (denial->hashes[middle] < hash)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool has_hash(const struct plan_denial *denial, uint64_t hash)
{
	size_t rank = denial_rank(denial, hash);

	return rank < denial->hash_count && denial->hashes[rank] == hash;
}

/* Whether the record that covers a hash says that unsigned delegations may be there, and what leads to them. `records`
 * are the chain's, as `hashes`. */
static bool opts_out(const struct plan_denial *denial, const struct plan_entry *records, uint64_t hash)
{
	size_t rank = denial_rank(denial, hash);
	const uint8_t *record = denial_find_record(denial, records[(rank ? rank : denial->hash_count) - 1].data);

	return record[2 + 1] & FLAG_OPT_OUT;
}

/* Lets go of the records, in order of hash, that share theirs with the one before: a record is found by its hash. They
 * are kept without being served. */
static void leave_out_twins(struct plan *plan, size_t first)
{
	size_t kept = first;
	char text[KNOT_DNAME_TXT_MAXLEN + 1];

	for (size_t i = first; i < plan->count; i++) {
		if (kept > first && plan->entries[kept - 1].hash == plan->entries[i].hash)
			fault(plan, "the NSEC3 record %s has the same first 64 bits as another",
			      text_of(plan->entries[i].name, text));
		else
			plan->entries[kept++] = plan->entries[i];
	}
	plan->count = kept;
}

/* Adds the chain's records, in order of hash. -1: memory is short. */
static int add_records(struct plan *plan)
{
	const struct zone_version *zone = plan->zone;
	struct plan_denial *denial = &plan->denial;
	size_t first = plan->count;

	for (size_t i = 0; i < zone->name_count; i++) {
		const struct zone_name *name = &zone->names[i];
		struct plan_entry *entry;
		uint64_t hash;

		if (!denial_find_record(denial, name) || name->labels != zone->names[0].labels + 1 ||
		    !denial_hash_of_owner(name->owner, &hash))
			continue;
		entry = plan_add(plan, PG_ROLE_NSEC3, name->owner, name->owner_length, name);
		if (!entry)
			return -1;
		entry->hash = hash;
	}
	if (plan->count > first)
		qsort(&plan->entries[first], plan->count - first, sizeof(*plan->entries), compare_entries);
	leave_out_twins(plan, first);
	return 0;
}

/* Checks that each of the chain's records, from entry `first` on, leads to the next. */
static void check_records(struct plan *plan, size_t first)
{
	size_t count = plan->count - first;
	char text[KNOT_DNAME_TXT_MAXLEN + 1];

	for (size_t i = 0; i < count; i++) {
		struct plan_entry *entry = &plan->entries[first + i];
		const struct plan_entry *next = &plan->entries[first + (i + 1) % count];
		const uint8_t *rdata = denial_find_record(&plan->denial, entry->data) + 2;
		const uint8_t *said = rdata + 5 + rdata[4];

		if (said[0] == HASH_SIZE && hash_of_octets(said + 1) == next->hash &&
		    plan_is_signed(entry->data, KNOT_RRTYPE_NSEC3))
			continue;
		entry->flags |= PG_NODE_GAP;
		if (entry->again)
			fault(plan, "the NSEC3 record %s does not lead to the next one, or is not signed",
			      text_of(entry->name, text));
	}
}

/* Takes the parameters of an NSEC3PARAM record; false: they are none that we can use. */
static bool take_parameters(struct plan *plan, const uint8_t *rdata, size_t length)
{
	struct plan_denial *denial = &plan->denial;

	if (rdata[0] != ALGORITHM_SHA1) {
		fault(plan, "the hash algorithm %u of its NSEC3 chain is not known", rdata[0]);
		return false;
	}
	/* RFC 5155 section 4.1.2: with flags that are not known, it is not to be used. */
	if (rdata[1] || length < 5U + rdata[4])
		return false;
	denial->iterations = (uint16_t)(rdata[2] << 8 | rdata[3]);
	if (denial->iterations > ITERATIONS_MAX) {
		fault(plan, "its NSEC3 chain has %u iterations, more than the %d that RFC 5155 allows",
		      denial->iterations, ITERATIONS_MAX);
		return false;
	}
	denial->salt_length = rdata[4];
	memcpy(denial->salt, rdata + 5, rdata[4]);
	return true;
}

/* The names' hashes, and whether a record matches. A name that has none, and is not opted out either, proves nothing:
 * the record that covers its hash would say that it is not there. */
static void hash_names(struct plan *plan, const struct plan_entry *records)
{
	struct plan_denial *denial = &plan->denial;
	char text[KNOT_DNAME_TXT_MAXLEN + 1];

	for (size_t i = 0; i < plan->names; i++) {
		struct plan_entry *entry = &plan->entries[i];
		uint8_t wildcard[PG_NAME_ROOM + 2] = {1, '*'};

		if (!entry->again)
			continue;
		entry->proof[PG_PROOF_OWN] = hash_name(denial, entry->name, entry->name_length);
		/* A name with no room for an asterisk below has no names below at all. */
		if (entry->name_length <= PG_NAME_MAX - 2) {
			memcpy(wildcard + 2, entry->name, entry->name_length);
			entry->proof[PG_PROOF_WILDCARD] = hash_name(denial, wildcard, entry->name_length + 2U);
		}
		if (has_hash(denial, entry->proof[PG_PROOF_OWN]))
			entry->flags |= PG_NODE_PROOFS | PG_NODE_HASHED;
		else if ((!entry->data || entry->flags & PG_NODE_DELEGATION) &&
		         opts_out(denial, records, entry->proof[PG_PROOF_OWN]))
			entry->flags |= PG_NODE_PROOFS;
		else
			fault(plan, "%s has no NSEC3 record", text_of(entry->name, text));
	}
}

uint8_t denial_span_order(size_t records)
{
	uint8_t order = 0;

	while ((records >> order) >= SPAN_FILL)
		order++;
	return order;
}

static int add_spans(struct plan *plan)
{
	struct plan_denial *denial = &plan->denial;
	const struct plan_part *part = plan->part;
	size_t spans, at = 0;

	denial->span_order = part ? part->span_order : denial_span_order(denial->hash_count);
	spans = part ? part->span_count : (size_t)1 << denial->span_order;
	denial->spans = calloc(spans + 1, sizeof(*denial->spans));
	if (!denial->spans)
		return -1;
	for (size_t i = 0; i < spans; i++) {
		struct plan_span *span = &denial->spans[i];

		*span = (struct plan_span){.number = part ? part->spans[i] : i};
		while (at < denial->hash_count && denial_span(denial->span_order, denial->hashes[at]) < span->number)
			at++;
		span->first = at;
		while (at < denial->hash_count && denial_span(denial->span_order, denial->hashes[at]) == span->number) {
			span->count++;
			at++;
		}
		if (span->count > PG_SPAN_ENTRIES)
			fault(plan, "its NSEC3 records are too close to each other for hashes");
		if (!plan_add(plan, PG_ROLE_SPAN, (const uint8_t *)&span->number, sizeof(span->number), NULL))
			return -1;
		plan->entries[plan->count - 1].hash = span->number;
		plan->entries[plan->count - 1].span = span;
	}
	return 0;
}

/* Tries the chain of one NSEC3PARAM. Returns 1 when it is there, 0 when it is not, -1 when memory is short. */
static int try_chain(struct plan *plan)
{
	struct plan_denial *denial = &plan->denial;
	size_t first = plan->count, count;

	if (add_records(plan))
		return -1;
	check_records(plan, first);
	count = plan->count - first;
	free(denial->hashes);
	denial->hashes = calloc(count + 1, sizeof(*denial->hashes));
	if (!denial->hashes)
		return -1;
	denial->hash_count = count;
	denial->first = first;
	for (size_t i = 0; i < count; i++)
		denial->hashes[i] = plan->entries[first + i].hash;
	if (!has_hash(denial, hash_name(denial, plan->entries[0].name, plan->entries[0].name_length))) {
		plan->count = first;
		return 0;
	}
	denial->kind = PG_DENIAL_NSEC3;
	hash_names(plan, &plan->entries[first]);
	return add_spans(plan) ? -1 : 1;
}

static int plan_nsec3(struct plan *plan, const struct zone_rrset *parameters)
{
	const uint8_t *at = parameters->rdata;

	for (uint32_t i = 0; i < parameters->count; i++) {
		uint16_t length;
		int result = 0;

		memcpy(&length, at, sizeof(length));
		if (take_parameters(plan, at + 2, length))
			result = try_chain(plan);
		if (result)
			return result < 0 ? -1 : 0;
		at += 2U + length;
	}
	return 0;
}

int denial_plan(struct plan *plan)
{
	const struct zone_name *apex = plan->entries[0].data;
	const struct zone_rrset *parameters = zone_find_rrset(apex, KNOT_RRTYPE_NSEC3PARAM);

	plan->denial.kind = PG_DENIAL_NONE;
	if (!plan_is_signed(apex, KNOT_RRTYPE_SOA))
		return 0;
	check_signatures(plan);
	if (parameters && plan_nsec3(plan, parameters))
		return -1;
	if (plan->denial.kind == PG_DENIAL_NONE && zone_find_rrset(apex, KNOT_RRTYPE_NSEC))
		return plan_nsec(plan);
	if (plan->denial.kind == PG_DENIAL_NONE) {
		plan->denial.kind = PG_DENIAL_BROKEN;
		fault(plan, "it is signed, but has no chain of NSEC or NSEC3 records at its apex");
	}
	return 0;
}

void denial_free(struct plan_denial *denial)
{
	free(denial->hashes);
	free(denial->spans);
	free(denial->owners);
}

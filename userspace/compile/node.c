/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "compile/compile.h"
#include "compile/fragment.h"
#include "engine/engine.h"

#include <libknot/libknot.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODE_SIZE_MAX (PG_SEGMENT_SIZE - PG_SEGMENT_GUARD - PG_UNIT)

size_t compile_target_offset(uint16_t type)
{
	switch (type) {
	case KNOT_RRTYPE_NS:
		return 1;
	case KNOT_RRTYPE_MX:
	case KNOT_RRTYPE_SVCB:
	case KNOT_RRTYPE_HTTPS:
		return 1 + 2;
	case KNOT_RRTYPE_SRV:
		return 1 + 6;
	default:
		return 0;
	}
}

/* The targets of an RRset within the zone; those at or below the delegation's own name, without which it cannot be
 * followed, first. */
static size_t find_targets(const struct compile_context *context, const struct plan_entry *entry,
                           const struct zone_rrset *rrset, struct pg_target *targets)
{
	size_t offset = compile_target_offset(rrset->type), count = 0;

	for (int required = 1; offset && required >= 0; required--) {
		const uint8_t *at = rrset->rdata;

		for (uint32_t i = 0; i < rrset->count; i++) {
			knot_dname_storage_t target;
			uint16_t length;
			int is_required;

			memcpy(&length, at, sizeof(length));
			memcpy(target, at + 2 + offset - 1, knot_dname_size(at + 2 + offset - 1));
			at += 2U + length;
			knot_dname_to_lower(target);
			if (knot_dname_in_bailiwick(target, context->plan->zone->apex) < 0)
				continue;
			is_required =
			    entry->flags & PG_NODE_DELEGATION && knot_dname_in_bailiwick(target, entry->name) >= 0;
			if (is_required != required)
				continue;
			targets[count++] = (struct pg_target){
			    .hash = engine_hash(context->settings, PG_ROLE_ADDRESSES, context->slot, target,
			                        knot_dname_size(target)),
			    .required = required,
			    .position = i,
			};
		}
	}
	return count;
}

static int refuse(const struct plan_entry *entry, const char *what, char *why, size_t why_size)
{
	knot_dname_txt_storage_t name;

	if (!knot_dname_to_str(name, entry->name, sizeof(name)))
		strcpy(name, "?");
	snprintf(why, why_size, "%.200s: %s", name, what);
	return -1;
}

/* Starts a node: header and name. `hash`: of its key. */
static int start_node(const struct compile_context *context, const uint8_t *name, size_t length, enum pg_role role,
                      uint64_t hash, struct compile_buffer *out)
{
	struct pg_node *node;
	uint8_t *at;

	out->length = 0;
	node = (struct pg_node *)buffer_extend(out, sizeof(*node));
	if (!node)
		return -1;
	*node = (struct pg_node){
	    .hash = hash,
	    .since = context->version,
	    .zone = context->slot,
	    .name_length = length,
	    .role = role,
	};
	at = buffer_extend(out, length);
	if (!at)
		return -1;
	memcpy(at, name, length);
	return buffer_align(out, PG_UNIT);
}

static int finish_node(struct compile_buffer *out)
{
	if (out->length > NODE_SIZE_MAX)
		return -1;
	((struct pg_node *)out->octets)->units = out->length / PG_UNIT;
	return 0;
}

/* Appends the fragment of an RRset and fills in its entry in the node's table. */
static int add_rrset(struct compile_buffer *out, size_t table, const struct fragment_request *request)
{
	struct pg_rrset described;
	struct pg_node *node;

	if (fragment_compile(request, out, &described))
		return -1;
	node = (struct pg_node *)out->octets;
	((struct pg_rrset *)(out->octets + table))[node->rrsets++] = described;
	return 0;
}

/* A node in the role of additional data. */
static int add_addresses(const struct plan_entry *entry, struct compile_buffer *out, size_t table)
{
	for (int i = 0; i < 2; i++) {
		const struct zone_rrset *rrset = entry->addresses[i];
		struct fragment_request request = {
		    .rrset = rrset,
		    .signatures = zone_find_rrset(entry->data, KNOT_RRTYPE_RRSIG),
		    .form = OWNER_SNAME,
		    .owner = entry->name,
		    .context = entry->name,
		};

		if (!rrset)
			continue;
		request.type = rrset->type;
		request.ttl = rrset->ttl;
		if (add_rrset(out, table, &request))
			return -1;
	}
	return 0;
}

/* A record that proves something, its owner spelt out; `type` as the node's table has it. */
static int add_proof(const struct compile_context *context, const struct plan_entry *entry,
                     const struct zone_rrset *rrset, uint16_t type, struct compile_buffer *out, size_t table)
{
	const uint8_t *apex = context->plan->zone->apex;
	struct fragment_request request = {
	    .rrset = rrset,
	    .signatures = zone_find_rrset(entry->data, KNOT_RRTYPE_RRSIG),
	    .type = type,
	    .ttl = rrset->ttl,
	    .form = OWNER_SPELT,
	    .owner = entry->name,
	    .apex = apex,
	    .context = apex,
	};

	return add_rrset(out, table, &request);
}

/* At a delegation, NS makes the referral, DS is answered, NSEC proves that there is no DS; all else is the child's.
 * NSEC3 is not found by name, and RRSIGs go with what they sign. */
bool plan_is_served(uint16_t flags, uint16_t type)
{
	if (type == KNOT_RRTYPE_RRSIG || type == KNOT_RRTYPE_NSEC3)
		return false;
	return !(flags & PG_NODE_DELEGATION) || type == KNOT_RRTYPE_NS || type == KNOT_RRTYPE_DS ||
	       type == KNOT_RRTYPE_NSEC;
}

/* How the owner of an RRset stands in its fragment. */
static enum owner_form form_of(const struct plan_entry *entry, uint16_t type)
{
	bool proof = type == KNOT_RRTYPE_NSEC;

	/* As proof it has to do with names that are not below its owner, unless that is the apex. */
	if (proof && !(entry->flags & (PG_NODE_WILDCARD | PG_NODE_APEX)))
		return OWNER_SPELT;
	/* These are given below their owner as well as at it. */
	if (proof ? entry->flags & PG_NODE_APEX : type == KNOT_RRTYPE_DNAME || entry->flags & PG_NODE_DELEGATION)
		return OWNER_SUFFIX;
	return OWNER_SNAME;
}

static int add_one(const struct compile_context *context, const struct plan_entry *entry,
                   const struct zone_rrset *rrset, struct compile_buffer *out, size_t table)
{
	const uint8_t *apex = context->plan->zone->apex;
	struct fragment_request request = {
	    .rrset = rrset,
	    .signatures = zone_find_rrset(entry->data, KNOT_RRTYPE_RRSIG),
	    .type = rrset->type,
	    .ttl = rrset->ttl,
	    .form = form_of(entry, rrset->type),
	    .owner = entry->name,
	    .apex = apex,
	    /* A wildcard's own label is not part of sname. */
	    .context = entry->flags & PG_NODE_WILDCARD ? entry->name + 2 : entry->name,
	};
	int result;

	if (compile_target_offset(rrset->type)) {
		request.targets = calloc(rrset->count, sizeof(*request.targets));
		if (!request.targets)
			return -1;
		request.target_count = find_targets(context, entry, rrset, request.targets);
	}
	result = add_rrset(out, table, &request);
	free(request.targets);
	return result;
}

static int add_rrsets(const struct compile_context *context, const struct plan_entry *entry, struct compile_buffer *out,
                      size_t table)
{
	const struct zone_rrset *nsec = zone_find_rrset(entry->data, KNOT_RRTYPE_NSEC);

	for (size_t i = 0; entry->data && i < entry->data->rrset_count; i++)
		if (plan_is_served(entry->flags, entry->data->rrsets[i].type) &&
		    add_one(context, entry, &entry->data->rrsets[i], out, table))
			return -1;
	return nsec && entry->flags & PG_NODE_WILDCARD
	           ? add_proof(context, entry, nsec, PG_TYPE_NSEC_AT_WILDCARD, out, table)
	           : 0;
}

/* What is kept of a name without being served. */
static int add_kept(const struct plan_entry *entry, struct compile_buffer *out, size_t table)
{
	for (size_t i = 0; i < entry->data->rrset_count; i++) {
		const struct zone_rrset *rrset = &entry->data->rrsets[i];
		struct fragment_request request = {
		    .rrset = rrset,
		    .type = rrset->type,
		    .ttl = rrset->ttl,
		    .form = OWNER_SNAME,
		    .owner = entry->name,
		    .context = entry->name,
		};

		if (add_rrset(out, table, &request))
			return -1;
	}
	return 0;
}

/* What there is below a name, behind the name. */
static int put_below(const struct compile_context *context, size_t number, struct compile_buffer *out)
{
	const struct plan *plan = context->plan;
	uint32_t wildcard = plan->entries[number].wildcard;
	struct pg_below below = {.wildcard = wildcard ? context->nodes[wildcard] : 0,
	                         .order = number < plan->names ? context->trees[number] : 0};
	uint8_t *at;

	if (!below.wildcard && !below.order)
		return 0;
	at = buffer_extend(out, sizeof(below));
	if (!at)
		return -1;
	memcpy(at, &below, sizeof(below));
	((struct pg_node *)out->octets)->flags |= PG_NODE_BELOW;
	return 0;
}

/* What proves something of a name, behind that. */
static int put_proofs(const struct compile_context *context, const struct plan_entry *entry, struct compile_buffer *out)
{
	const struct plan *plan = context->plan;
	uint64_t proofs[PG_PROOFS] = {};
	uint8_t *at;

	if (!(entry->flags & PG_NODE_PROOFS))
		return 0;
	for (int i = 0; i < PG_PROOFS; i++) {
		const struct plan_entry *proof;

		proofs[i] = entry->proof[i];
		if (plan->denial.kind != PG_DENIAL_NSEC || !proofs[i])
			continue;
		proof = &plan->entries[proofs[i] - 1];
		proofs[i] =
		    engine_hash(context->settings, PG_ROLE_NAME, context->slot, proof->name, proof->name_length);
	}
	at = buffer_extend(out, sizeof(proofs));
	if (!at)
		return -1;
	memcpy(at, proofs, sizeof(proofs));
	return 0;
}

static int put_span(const struct compile_context *context, const struct plan_entry *entry, struct compile_buffer *out)
{
	const struct plan_denial *denial = &context->plan->denial;
	const struct plan_span *span = entry->span;
	size_t first = span->first, kept = span->count < PG_SPAN_ENTRIES ? span->count : PG_SPAN_ENTRIES;
	struct pg_span *made;

	made = (struct pg_span *)buffer_extend(out, sizeof(*made) + kept * sizeof(made->hash[0]));
	if (!made)
		return -1;
	made->count = span->count;
	made->before = denial->hashes[(first ? first : denial->hash_count) - 1];
	memcpy(made->hash, denial->hashes + first, kept * sizeof(made->hash[0]));
	return 0;
}

static uint64_t key_hash(const struct compile_context *context, const struct plan_entry *entry)
{
	if (entry->role == PG_ROLE_NSEC3 || entry->role == PG_ROLE_SPAN)
		return engine_hash_number(context->settings, entry->role, context->slot, entry->hash);
	return engine_hash(context->settings, entry->role, context->slot, entry->name, entry->name_length);
}

/* How many RRsets the node's table will have. */
static size_t count_rrsets(const struct plan_entry *entry)
{
	size_t count = 0;

	switch (entry->role) {
	case PG_ROLE_ADDRESSES:
		return (entry->addresses[0] != NULL) + (entry->addresses[1] != NULL);
	case PG_ROLE_NSEC3:
		return 1;
	case PG_ROLE_KEPT:
		return entry->data->rrset_count;
	default:
		for (size_t i = 0; i < entry->data->rrset_count; i++)
			count += plan_is_served(entry->flags, entry->data->rrsets[i].type);
		/* The NSEC of a wildcard comes in two forms. */
		return count + (entry->flags & PG_NODE_WILDCARD && zone_find_rrset(entry->data, KNOT_RRTYPE_NSEC));
	}
}

/* What follows the node's name. */
static int put_body(const struct compile_context *context, size_t number, struct compile_buffer *out)
{
	const struct plan_entry *entry = &context->plan->entries[number];
	size_t table;

	if (entry->role == PG_ROLE_SPAN)
		return put_span(context, entry, out);
	if (put_below(context, number, out) || put_proofs(context, entry, out))
		return -1;
	if (!entry->data)
		return 0;
	table = out->length;
	if (!buffer_extend(out, count_rrsets(entry) * sizeof(struct pg_rrset)))
		return -1;
	if (entry->role == PG_ROLE_ADDRESSES)
		return add_addresses(entry, out, table);
	if (entry->role == PG_ROLE_NSEC3)
		return add_proof(context, entry, zone_find_rrset(entry->data, KNOT_RRTYPE_NSEC3), KNOT_RRTYPE_NSEC3,
		                 out, table);
	if (entry->role == PG_ROLE_KEPT)
		return add_kept(entry, out, table);
	return add_rrsets(context, entry, out, table);
}

int compile_node(const struct compile_context *context, size_t number, struct compile_buffer *out, char *why,
                 size_t why_size)
{
	const struct plan_entry *entry = &context->plan->entries[number];
	/* An NSEC3 record is found by its hash, and its owner stands in its fragment. */
	size_t length = entry->role == PG_ROLE_NSEC3 ? 0 : entry->name_length;

	if (start_node(context, entry->name, length, entry->role, key_hash(context, entry), out))
		return refuse(entry, "out of memory", why, why_size);
	((struct pg_node *)out->octets)->flags = entry->flags & ~PG_NODE_BELOW;
	if (put_body(context, number, out))
		return refuse(entry, "an RRset larger than a DNS message (64 KiB)", why, why_size);
	if (finish_node(out))
		return refuse(entry, "more than 1020 KiB of records at one name", why, why_size);
	return 0;
}

int compile_absence(const struct compile_context *context, const struct pg_node *gone, struct compile_buffer *out)
{
	if (start_node(context, (const uint8_t *)(gone + 1), gone->name_length, gone->role, gone->hash, out))
		return -1;
	((struct pg_node *)out->octets)->flags = PG_NODE_ABSENT;
	return finish_node(out);
}

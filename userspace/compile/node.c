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

/* Starts a node: header and name. */
static int start_node(const struct compile_context *context, const uint8_t *name, size_t length, enum pg_role role,
                      struct compile_buffer *out)
{
	struct pg_node *node;
	uint8_t *at;

	out->length = 0;
	node = (struct pg_node *)buffer_extend(out, sizeof(*node));
	if (!node)
		return -1;
	*node = (struct pg_node){
	    .hash = engine_hash(context->settings, role, context->slot, name, length),
	    .since = context->version,
	    .zone = context->slot,
	    .name_length = length,
	    .flags = role == PG_ROLE_ADDRESSES ? PG_NODE_ADDRESSES : 0,
	};
	at = buffer_extend(out, length);
	if (!at)
		return -1;
	memcpy(at, name, length);
	return buffer_align(out);
}

static int finish_node(struct compile_buffer *out)
{
	if (out->length > NODE_SIZE_MAX)
		return -1;
	((struct pg_node *)out->octets)->units = out->length / PG_UNIT;
	return 0;
}

/* What the engine needs to know of the fragment at octet `start`, in one place. */
static void describe(const struct compile_buffer *out, size_t start, const struct fragment_request *request,
                     struct pg_rrset *rrset)
{
	const struct pg_fragment *fragment = (const struct pg_fragment *)(out->octets + start);
	uint32_t pieces = (uint32_t)fragment->owners + fragment->suffixes;

	*rrset = (struct pg_rrset){
	    .type = request->rrset->type,
	    .additional = request->target_count,
	    .fragment = start / PG_UNIT,
	    .length = fragment->length,
	    .records = fragment->records,
	    .pieces = pieces > UINT16_MAX ? UINT16_MAX : pieces,
	};
}

/* Appends the fragment of an RRset and fills in its entry in the node's table. */
static int add_rrset(struct compile_buffer *out, size_t table, size_t number, const struct fragment_request *request)
{
	struct pg_rrset *rrset;
	size_t start = out->length;

	if (fragment_compile(request, out))
		return -1;
	rrset = (struct pg_rrset *)(out->octets + table) + number;
	describe(out, start, request, rrset);
	((struct pg_node *)out->octets)->rrsets = number + 1;
	return 0;
}

/* A node in the role of additional data. */
static int add_addresses(const struct plan_entry *entry, struct compile_buffer *out, size_t table)
{
	size_t number = 0;

	for (int i = 0; i < 2; i++) {
		struct fragment_request request = {
		    .rrset = entry->addresses[i],
		    .form = OWNER_SNAME,
		    .owner = entry->name,
		    .context = entry->name,
		};

		if (!entry->addresses[i])
			continue;
		request.ttl = entry->addresses[i]->ttl;
		if (add_rrset(out, table, number++, &request))
			return -1;
	}
	return 0;
}

static int add_rrsets(const struct compile_context *context, const struct plan_entry *entry, struct compile_buffer *out,
                      size_t table)
{
	size_t number = 0;

	/* At a delegation, NS makes the referral, and DS is answered; all else is the child's. NS (2) is the first of
	 * the two, on which the engine relies. */
	for (size_t i = 0; entry->data && i < entry->data->rrset_count; i++) {
		const struct zone_rrset *rrset = &entry->data->rrsets[i];
		bool refers = entry->flags & PG_NODE_DELEGATION && rrset->type == KNOT_RRTYPE_NS;
		struct fragment_request request = {
		    .rrset = rrset,
		    .ttl = rrset->ttl,
		    .form = refers ? OWNER_SUFFIX : OWNER_SNAME,
		    .owner = entry->name,
		    /* A wildcard's own label is not part of sname. */
		    .context = entry->name[0] == 1 && entry->name[1] == '*' ? entry->name + 2 : entry->name,
		};
		int result;

		if (entry->flags & PG_NODE_DELEGATION && !refers && rrset->type != KNOT_RRTYPE_DS)
			continue;
		if (compile_target_offset(rrset->type)) {
			request.targets = calloc(rrset->count, sizeof(*request.targets));
			if (!request.targets)
				return -1;
			request.target_count = find_targets(context, entry, rrset, request.targets);
		}
		result = add_rrset(out, table, number++, &request);
		free(request.targets);
		if (result)
			return result;
	}
	return 0;
}

int compile_node(const struct compile_context *context, size_t number, pg_ref wildcard, struct compile_buffer *out,
                 char *why, size_t why_size)
{
	const struct plan_entry *entry = &context->plan->entries[number];
	bool is_target = entry->flags & PG_NODE_ADDRESSES;
	size_t table, rrsets = is_target ? 2 : entry->data ? entry->data->rrset_count : 0;
	struct pg_node *node;

	if (start_node(context, entry->name, entry->name_length, is_target ? PG_ROLE_ADDRESSES : PG_ROLE_NAME, out))
		return refuse(entry, "out of memory", why, why_size);
	table = out->length;
	if (!buffer_extend(out, rrsets * sizeof(struct pg_rrset)))
		return refuse(entry, "out of memory", why, why_size);
	if (is_target ? add_addresses(entry, out, table) : add_rrsets(context, entry, out, table))
		return refuse(entry, "an RRset larger than a DNS message (64 KiB)", why, why_size);
	if (finish_node(out))
		return refuse(entry, "more than 1020 KiB of records at one name", why, why_size);
	node = (struct pg_node *)out->octets;
	node->flags |= entry->flags;
	node->wildcard = wildcard;
	return 0;
}

int compile_absence(const struct compile_context *context, const struct pg_node *gone, struct compile_buffer *out)
{
	enum pg_role role = gone->flags & PG_NODE_ADDRESSES ? PG_ROLE_ADDRESSES : PG_ROLE_NAME;

	if (start_node(context, (const uint8_t *)(gone + 1), gone->name_length, role, out))
		return -1;
	((struct pg_node *)out->octets)->flags |= PG_NODE_ABSENT;
	return finish_node(out);
}

int compile_head(const struct compile_context *context, struct compile_buffer *out, char *why, size_t why_size)
{
	const struct plan *plan = context->plan;
	const struct zone_name *apex = &plan->zone->names[0];
	struct pg_rrset denial = {};
	struct pg_head *head;

	out->length = 0;
	if (!buffer_extend(out, sizeof(*head)))
		return refuse(&plan->entries[0], "out of memory", why, why_size);
	for (size_t i = 0; i < apex->rrset_count; i++) {
		const struct zone_rrset *rrset = &apex->rrsets[i];
		struct fragment_request request = {
		    .rrset = rrset,
		    /* RFC 2308 section 3. */
		    .ttl = rrset->ttl < plan->zone->minimum ? rrset->ttl : plan->zone->minimum,
		    .form = OWNER_SUFFIX,
		    .owner = apex->owner,
		    .context = apex->owner,
		};

		if (rrset->type != KNOT_RRTYPE_SOA)
			continue;
		if (fragment_compile(&request, out))
			return refuse(&plan->entries[0], "the SOA record cannot be compiled", why, why_size);
		describe(out, sizeof(*head), &request, &denial);
	}
	head = (struct pg_head *)out->octets;
	*head = (struct pg_head){
	    .units = out->length / PG_UNIT,
	    .zone = context->slot,
	    .version = context->version,
	    .serial = plan->zone->serial,
	    .names = plan->names,
	    .denial = denial,
	};
	return 0;
}

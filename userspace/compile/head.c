/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The zone head: what all answers of a version share. Most names that are asked for and do not exist would be right
 * below the apex. What is said of all of these stands in the head as one fragment: the SOA, and the records that prove
 * what hangs on the apex alone. What is left is to prove that the one name is not there.
 */
#include "compile/compile.h"
#include "compile/fragment.h"
#include "engine/engine.h"

#include <libknot/libknot.h>
#include <stdio.h>
#include <string.h>

/* What denies a name below the apex: the SOA, and its proofs. */
struct denied {
	struct fragment_request requests[1 + PG_PROOFS];
	size_t count;
	uint64_t known[PG_PROOFS];
};

/* Adds an NSEC or NSEC3 that matches a name, or covers one. False: it proves nothing. */
static bool add_proof(const struct compile_context *context, const struct plan_entry *entry, uint16_t type, bool covers,
                      struct denied *denied)
{
	const struct zone_rrset *rrset = zone_find_rrset(entry->data, type);
	const uint8_t *apex = context->plan->zone->apex;

	/* A part of a zone does not tell where those lead that are not compiled again: they were found to be right. */
	if (!rrset || !plan_is_signed(entry->data, type) || (covers && entry->again && entry->flags & PG_NODE_GAP))
		return false;
	denied->requests[denied->count++] = (struct fragment_request){
	    .rrset = rrset,
	    .signatures = zone_find_rrset(entry->data, KNOT_RRTYPE_RRSIG),
	    .type = type,
	    .ttl = rrset->ttl,
	    .form = entry->flags & PG_NODE_APEX ? OWNER_SUFFIX : OWNER_SPELT,
	    .owner = entry->name,
	    .apex = apex,
	    .context = apex,
	};
	return true;
}

/* That there is no wildcard below the apex. */
static bool add_nsec(const struct compile_context *context, struct denied *denied)
{
	const struct plan *plan = context->plan;
	uint64_t number = plan->entries[0].proof[PG_PROOF_WILDCARD];
	const struct plan_entry *entry = &plan->entries[number ? number - 1 : 0];

	if (!number || !add_proof(context, entry, KNOT_RRTYPE_NSEC, true, denied))
		return false;
	denied->known[PG_PROOF_OWN] = denied->known[PG_PROOF_WILDCARD] =
	    engine_hash(context->settings, PG_ROLE_NAME, context->slot, entry->name, entry->name_length);
	return true;
}

/* The record with the last hash up to this one, around the end of all. */
static const struct plan_entry *find_record(const struct plan *plan, uint64_t hash)
{
	const struct plan_denial *denial = &plan->denial;
	size_t rank = denial_rank(denial, hash), count = denial->hash_count;

	if (rank == count || denial->hashes[rank] != hash)
		rank = (rank ? rank : count) - 1;
	return &plan->entries[denial->first + rank];
}

/* That the apex is there, and no wildcard below it. */
static bool add_nsec3(const struct compile_context *context, struct denied *denied)
{
	const struct plan_entry *apex = &context->plan->entries[0];
	const struct plan_entry *own = find_record(context->plan, apex->proof[PG_PROOF_OWN]);
	const struct plan_entry *cover = find_record(context->plan, apex->proof[PG_PROOF_WILDCARD]);

	if (own->hash != apex->proof[PG_PROOF_OWN] || cover->hash == apex->proof[PG_PROOF_WILDCARD] ||
	    apex->name_length > PG_NAME_MAX - 2)
		return false;
	denied->known[PG_PROOF_OWN] = own->hash;
	denied->known[PG_PROOF_WILDCARD] = cover->hash;
	return add_proof(context, own, KNOT_RRTYPE_NSEC3, own == cover, denied) &&
	       (own == cover || add_proof(context, cover, KNOT_RRTYPE_NSEC3, true, denied));
}

/* False: the zone has no such proofs, or names below the apex are answered by a wildcard. */
static bool add_proofs(const struct compile_context *context, struct denied *denied)
{
	if (context->plan->entries[0].wildcard)
		return false;
	switch (context->plan->denial.kind) {
	case PG_DENIAL_NSEC:
		return add_nsec(context, denied);
	case PG_DENIAL_NSEC3:
		return add_nsec3(context, denied);
	default:
		return false;
	}
}

/* The SOA of negative answers. */
static struct fragment_request request_soa(const struct plan *plan)
{
	const struct zone_name *apex = &plan->zone->names[0];
	const struct zone_rrset *soa = zone_find_rrset(apex, KNOT_RRTYPE_SOA);

	return (struct fragment_request){
	    .rrset = soa,
	    .signatures = zone_find_rrset(apex, KNOT_RRTYPE_RRSIG),
	    .type = soa->type,
	    /* RFC 2308 section 3. */
	    .ttl = soa->ttl < plan->zone->minimum ? soa->ttl : plan->zone->minimum,
	    .form = OWNER_SUFFIX,
	    .owner = apex->owner,
	    .context = apex->owner,
	};
}

int compile_head(const struct compile_context *context, struct compile_buffer *out, char *why, size_t why_size)
{
	const struct plan *plan = context->plan;
	const struct plan_denial *denial = &plan->denial;
	struct denied denied = {.requests = {request_soa(plan)}, .count = 1};
	struct pg_rrset soa, proved = {};
	struct pg_head *head;

	out->length = 0;
	if (!buffer_extend(out, sizeof(*head) + ((denial->salt_length + 7U) & ~7U)) ||
	    fragment_compile(denied.requests, out, &soa) ||
	    (add_proofs(context, &denied) && fragment_compile_all(denied.requests, denied.count, out, &proved))) {
		snprintf(why, why_size, "the SOA record cannot be compiled, or memory is short");
		return -1;
	}
	head = (struct pg_head *)out->octets;
	*head = (struct pg_head){
	    .units = out->length / PG_UNIT,
	    .zone = context->slot,
	    .version = context->version,
	    .serial = plan->zone->serial,
	    .names = plan->all_names,
	    .denial = denial->kind,
	    .soa = soa,
	    .denied = proved,
	    .iterations = denial->iterations,
	    .salt_length = denial->salt_length,
	    .span_order = denial->span_order,
	};
	if (proved.records)
		memcpy(head->known, denied.known, sizeof(head->known));
	memcpy(head->salt, denial->salt, denial->salt_length);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Second stage: the zone that sname belongs to, its committed version, and sname's node in it, or its closest
 * encloser's. See docs/architecture.md, "Look-up" and "Versions".
 */
#ifndef PEREGRINE_ANSWER_FIND_H
#define PEREGRINE_ANSWER_FIND_H

#include "name.h"
#include "wire.h"

enum pg_found { PG_NOT_FOUND = 0, PG_FOUND = 1, PG_FOUND_BROKEN = 2 };

/*
 * The version of a node that readers at version V see: steps back over what is not committed yet. Two steps are all
 * there can be, since one publication waits for the readers of the one before. NULL: the name is not there.
 */
PG_INLINE const struct pg_node *pg_visible(struct pg_work *w, pg_ref *ref, const struct pg_node *node)
{
	if (node->since > w->version) {
		*ref = node->previous;
		node = *ref ? pg_record(w, *ref) : 0;
		if (node && node->since > w->version) {
			*ref = node->previous;
			node = *ref ? pg_record(w, *ref) : 0;
		}
	}
	return node && node->since <= w->version && !(node->flags & PG_NODE_ABSENT) ? node : 0;
}

/* Octets from a node's start to what stands behind its name. */
PG_INLINE __u32 pg_behind_name(const struct pg_node *node)
{
	return sizeof(*node) + ((node->name_length + 7U) & ~7U);
}

PG_INLINE const struct pg_rrset *pg_rrsets(const struct pg_node *node)
{
	return (const void *)((const __u8 *)node + pg_behind_name(node) + (node->flags & PG_NODE_PARTS));
}

/* What there is below the node's name. */
PG_INLINE struct pg_below pg_below(const struct pg_node *node)
{
	const struct pg_below none = {};

	return node->flags & PG_NODE_BELOW ? *(const struct pg_below *)((const __u8 *)node + pg_behind_name(node))
	                                   : none;
}

/* 1 if two numbers are the same, else 0, without a branch: the verifier would follow both ways for each RRset of a
 * node. */
PG_INLINE __u64 pg_same(__u32 a, __u32 b)
{
	return ((__u64)(a ^ b) - 1) >> 63;
}

/*
 * Finds the RRset of a node that answers `type`. RFC 8482 section 4.1: one RRset answers ANY. A CNAME answers all but
 * what may stand beside it (RFC 4034 sections 3 and 4); RRSIG is what any signed RRset has. Sets w->rrset and what goes
 * with it. PG_FOUND, or PG_NOT_FOUND; PG_FOUND_BROKEN when there are too many to go through.
 */
PG_INLINE int pg_scan_rrsets(struct pg_work *w, const struct pg_node *node, pg_ref ref, __u32 type)
{
	const struct pg_rrset *rrset = pg_rrsets(node);
	__u64 any, alias, signature;

	/* Of its own type, which most are. */
	for (__u32 i = 0; i < PG_SCAN_MAX && i < node->rrsets; i++) {
		w->entry = i;
		if (rrset[i].type == type)
			goto found;
	}
	any = pg_same(type, PG_TYPE_ANY);
	signature = pg_same(type, PG_TYPE_RRSIG);
	/* The number of RRsets is read anew: else the verifier knows another limit of it for each end of the loop
	 * above. */
	PG_BARRIER();
	alias = 1 & ~(pg_same(type, PG_TYPE_NSEC) | pg_same(type, PG_TYPE_NSEC_AT_WILDCARD) | signature);
	for (__u32 i = 0; i < PG_SCAN_MAX; i++) {
		if (i >= node->rrsets)
			return PG_NOT_FOUND;
		w->entry = i;
		if (any | (pg_same(rrset[i].type, PG_TYPE_CNAME) & alias) |
		    (signature & ~pg_same(rrset[i].length, rrset[i].signed_length)))
			goto found;
	}
	return PG_FOUND_BROKEN;
found:
	/* By way of memory: else the verifier goes on from each entry by itself. */
	rrset += PG_MASK(w->entry, PG_SCAN_MASK);
	w->rrset = *rrset;
	w->rrset_at = ref + rrset->fragment;
	return PG_FOUND;
}

/* Takes a node, the suffix of sname from octet `start` on, as the best match so far. While it is at hand, the RRset
 * that is due is looked for: at a delegation NS, above sname DNAME, or the wildcard there, at sname itself qtype. */
PG_INLINE int pg_take_node(struct pg_work *w, const struct pg_node *node, pg_ref ref, __u32 start)
{
	int has = PG_NOT_FOUND;

	node = pg_visible(w, &ref, node);
	if (!node)
		return PG_NOT_FOUND;
	w->node = ref;
	w->node_flags = node->flags;
	w->wildcard = 0;
	if (node->flags & PG_NODE_DELEGATION && (start || w->qtype != PG_TYPE_DS))
		has = pg_scan_rrsets(w, node, ref, PG_TYPE_NS);
	else if (!start)
		has = pg_scan_rrsets(w, node, ref, w->qtype);
	else {
		w->wildcard = pg_below(node).wildcard;
		if (node->flags & PG_NODE_DNAME)
			has = pg_scan_rrsets(w, node, ref, PG_TYPE_DNAME);
	}
	w->has_rrset = has;
	return PG_FOUND;
}

/* Whether the node at `ref` is the suffix of sname from octet `start` on, in sname's zone. */
PG_STAGE int pg_match_node(struct pg_work *w, pg_ref ref, __u32 start)
{
	const struct pg_node *node;

	if (!w || start > PG_NAME_MAX)
		return PG_FOUND_BROKEN;
	node = pg_record(w, ref);
	if (!node)
		return PG_FOUND_BROKEN;
	if (node->zone != w->zone || node->role != PG_ROLE_NAME ||
	    !pg_same_suffix(w, start, (const __u8 *)(node + 1), node->name_length))
		return PG_NOT_FOUND;
	return pg_take_node(w, node, ref, start);
}

/* Takes a zone's committed version: from here on every node is judged by that. */
PG_INLINE void pg_take_zone(struct pg_work *w, const struct pg_zone *zone, __u32 slot)
{
	__u64 head = pg_read_once64(&zone->head);

	w->zone = slot;
	w->version = head;
	w->head = head >> 32;
	w->expires_at = pg_read_once64(&zone->expires_at);
	w->zone_labels = zone->labels;
}

/* Whether the zone in `slot` has the suffix of sname from octet `start` on as its apex. */
PG_STAGE int pg_match_zone(struct pg_work *w, __u32 slot, __u32 start)
{
	const struct pg_zone *zone;

	if (!w || start > PG_NAME_MAX)
		return PG_FOUND_BROKEN;
	zone = pg_zone_record(w, slot);
	if (!zone)
		return PG_FOUND_BROKEN;
	if (!(zone->flags & PG_ZONE_IN_USE) || !pg_same_suffix(w, start, zone->name, zone->name_length))
		return PG_NOT_FOUND;
	/* Secondaries ask for the SOA before they transfer; there is nothing in it to be kept from others. */
	if (zone->flags & PG_ZONE_PRIVATE && (start || w->qtype != PG_TYPE_SOA))
		return PG_NOT_FOUND;
	pg_take_zone(w, zone, slot);
	return PG_FOUND;
}

/* Whether the node at `ref` is the one that `hash` stands for. The hash is all there is to compare: of two names of a
 * zone that share all 64 bits one would get what is the other's. */
PG_INLINE int pg_match_hash(struct pg_work *w, pg_ref ref, __u64 hash)
{
	const struct pg_node *node;

	if (!w)
		return PG_FOUND_BROKEN;
	node = pg_record(w, ref);
	if (!node)
		return PG_FOUND_BROKEN;
	if (node->zone != w->zone || node->hash != hash)
		return PG_NOT_FOUND;
	if (!pg_visible(w, &ref, node))
		return PG_NOT_FOUND;
	w->probed = ref;
	return PG_FOUND;
}

PG_INLINE int pg_match(struct pg_work *w, enum pg_role role, pg_ref ref, __u64 hash, __u32 start)
{
	if (role == PG_ROLE_ZONE)
		return pg_match_zone(w, ref - 1, start);
	if (role == PG_ROLE_NAME)
		return pg_match_node(w, ref, start);
	return pg_match_hash(w, ref, hash);
}

/* Goes through the buckets of a hash. */
PG_INLINE int pg_search(struct pg_work *w, const struct pg_settings *set, enum pg_role role, __u64 hash, __u32 start)
{
	enum pg_table_id id = role == PG_ROLE_ZONE ? PG_TABLE_ZONES : PG_TABLE_INDEX;
	__u32 tag = pg_hash_tag(hash);

	for (__u32 i = 0; i < PG_BUCKETS_PROBED; i++) {
		const struct pg_bucket *bucket = pg_bucket_at(w, set, id, (__u32)hash + i);

		if (!bucket)
			return PG_FOUND_BROKEN;
		for (__u32 j = 0; j < PG_BUCKET_CELLS; j++) {
			__u64 cell = pg_read_once64(&bucket->cell[j]);
			int found;

			if (!cell)
				return PG_NOT_FOUND;
			if ((__u32)cell != tag || !(cell >> 32))
				continue;
			found = pg_match(w, role, cell >> 32, hash, start);
			if (found != PG_NOT_FOUND)
				return found;
		}
	}
	return PG_NOT_FOUND;
}

/* The zone whose apex is the suffix of sname that starts with label `first`. */
PG_STAGE int pg_probe_zone(struct pg_work *w, __u32 first)
{
	const struct pg_settings *settings = pg_settings(w);
	__u32 start;

	if (!w || !settings)
		return PG_FOUND_BROKEN;
	start = w->label[PG_MASK(first, PG_LABELS_MAX)];
	return pg_search(w, settings, PG_ROLE_ZONE,
	                 pg_hash_suffix(w, start, pg_hash_start(settings->hash_seed, PG_ROLE_ZONE, 0)), start);
}

/* The node of the suffix of sname that starts with label `first`. */
PG_STAGE int pg_probe_name(struct pg_work *w, __u32 first)
{
	const struct pg_settings *settings = pg_settings(w);
	__u32 start;
	int found;

	if (!w || !settings)
		return PG_FOUND_BROKEN;
	start = w->label[PG_MASK(first, PG_LABELS_MAX)];
	found = pg_search(w, settings, PG_ROLE_NAME,
	                  pg_hash_suffix(w, start, pg_hash_start(settings->hash_seed, PG_ROLE_NAME, 0)), start);
	if (found == PG_FOUND)
		pg_use(w, w->node);
	return found;
}

/* Whether the node at `ref` is the suffix of sname from octet `start` on, in a zone that is without doubt its own: no
 * zone is served below that one's apex. */
PG_INLINE int pg_match_exact(struct pg_work *w, pg_ref ref, __u32 start)
{
	const struct pg_node *node = pg_record(w, ref);
	const struct pg_zone *zone;

	if (!node)
		return PG_FOUND_BROKEN;
	if (node->role != PG_ROLE_NAME || !pg_same_suffix(w, start, (const __u8 *)(node + 1), node->name_length))
		return PG_NOT_FOUND;
	zone = pg_zone_record(w, node->zone);
	if (!zone || zone->flags != PG_ZONE_IN_USE)
		return PG_FOUND_BROKEN;
	pg_take_zone(w, zone, node->zone);
	if (!w->head || pg_expired(w))
		return PG_FOUND_BROKEN;
	return pg_take_node(w, node, ref, start) == PG_FOUND ? PG_FOUND : PG_FOUND_BROKEN;
}

/*
 * The suffix of sname that starts with label `first`, and its zone, by one look-up: a name's key does not contain its
 * zone, so that the node says which zone it is. PG_FOUND_BROKEN: the zone has to be found first. PG_NOT_FOUND: no zone
 * has the name.
 */
PG_STAGE int pg_find_exact(struct pg_work *w, const struct pg_settings *settings, __u32 first)
{
	const struct pg_bucket *bucket;
	__u64 hash, cell = 0;
	__u32 start, tag;
	int found;

	if (!w || !settings)
		return PG_FOUND_BROKEN;
	/* At an apex DS is the business of the zone above. */
	if (w->qtype == PG_TYPE_DS)
		return PG_FOUND_BROKEN;
	start = w->label[PG_MASK(first, PG_LABELS_MAX)];
	hash = first ? pg_hash_suffix(w, start, pg_hash_start(settings->hash_seed, PG_ROLE_NAME, 0)) : w->name_hash;
	tag = pg_hash_tag(hash);
	bucket = pg_bucket_at(w, settings, PG_TABLE_INDEX, hash);
	if (!bucket)
		return PG_FOUND_BROKEN;
	/* The first cell with the tag, of the first bucket; where it is not that, the search takes its ordinary course.
	 */
	for (__u32 i = 0; i < PG_BUCKET_CELLS; i++) {
		w->position = i;
		cell = pg_read_once64(&bucket->cell[i]);
		if (!cell)
			return PG_NOT_FOUND;
		if ((__u32)cell == tag)
			break;
		cell = 0;
	}
	if (!(cell >> 32))
		return PG_FOUND_BROKEN;
	found = pg_match_exact(w, cell >> 32, start);
	/* The node was read before the version: of a version committed meanwhile the cell says so. (The position stands
	 * in memory so that the verifier does not follow each one by itself.) */
	if (found != PG_FOUND || pg_read_once64(&bucket->cell[PG_MASK(w->position, PG_BUCKET_CELLS - 1)]) != cell)
		return PG_FOUND_BROKEN;
	pg_use(w, w->node);
	return PG_FOUND;
}

/* The node of the present zone that has this index hash: a target's addresses, or what is part of a proof. Sets
 * w->probed. */
PG_STAGE int pg_probe_hash(struct pg_work *w, __u64 hash)
{
	const struct pg_settings *settings = pg_settings(w);
	int found;

	if (!w || !settings)
		return PG_FOUND_BROKEN;
	found = pg_search(w, settings, PG_ROLE_ADDRESSES, hash, 0);
	if (found == PG_FOUND)
		pg_use(w, w->probed);
	return found;
}

/* The same for a key that is a number. */
PG_INLINE int pg_probe_number(struct pg_work *w, enum pg_role role, __u64 number)
{
	const struct pg_settings *settings = pg_settings(w);

	if (!settings)
		return PG_FOUND_BROKEN;
	return pg_probe_hash(w, pg_hash_number(pg_hash_start(settings->hash_seed, role, w->zone), number));
}

/*
 * Finds the zone of sname: the one with the longest apex, but for a DS query at an apex the one above, if it is served
 * (RFC 4035 section 3.1.4.1). Takes the zone's committed version. Returns an exit, NO_ZONE for a zone without data, or
 * -1 when no zone is served for sname.
 */
PG_STAGE int pg_find_zone(struct pg_work *w)
{
	const struct pg_settings *settings = pg_settings(w);
	__u32 depth = 0, found = 0;

	if (!w || !settings)
		return PG_EXIT_INTERNAL;
	for (__u32 i = 0; i < PG_DEPTHS_MAX; i++) {
		int result;

		if (i >= settings->depth_count)
			break;
		depth = settings->depths[i];
		if (depth > w->labels)
			continue;
		result = pg_probe_zone(w, w->labels - depth);
		if (result == PG_FOUND_BROKEN)
			return PG_EXIT_INTERNAL;
		if (result == PG_NOT_FOUND)
			continue;
		found = 1;
		if (w->qtype != PG_TYPE_DS || depth != w->labels)
			break;
	}
	if (!found)
		return -1;
	if (!w->head || pg_expired(w))
		return PG_EXIT_NO_ZONE;
	return PG_EXIT_ANSWERED;
}

/*
 * One step of the search below. The search's state stands in the work area, not in variables: the verifier would follow
 * each course that it can take.
 *
 * In terms of the first label of a suffix: suffixes from `exists` on exist, those before `missing` do not.
 */
PG_STAGE int pg_find_step(struct pg_work *w)
{
	__u32 first, apex;
	int result;

	if (!w)
		return PG_FOUND_BROKEN;
	first = w->first;
	apex = w->labels - w->zone_labels;
	result = pg_probe_name(w, first);
	if (result == PG_FOUND_BROKEN)
		return result;
	if (result == PG_FOUND) {
		w->exists = first;
	} else {
		w->missing = first + 1;
	}
	if (w->missing >= w->exists)
		return PG_FOUND;
	if (w->exists > apex) {
		first += w->step;
		w->step *= 2;
		w->first = first > apex ? apex : first;
	} else {
		w->first = (w->missing + w->exists) / 2;
	}
	return PG_NOT_FOUND;
}

/*
 * Finds sname's node, unless it is known to be missing, or that of its closest encloser. Names exist from the apex down
 * to the closest encloser and not below: the search goes up from sname by 1, 3, 7 … labels until a name exists, then
 * halves.
 */
PG_STAGE int pg_find_name(struct pg_work *w, int missing)
{
	__u32 apex;
	int result;

	if (!w || w->zone_labels > w->labels)
		return PG_EXIT_INTERNAL;
	result = missing ? PG_NOT_FOUND : pg_probe_name(w, 0);
	w->node_labels = w->labels;
	if (result == PG_FOUND)
		return PG_EXIT_ANSWERED;
	if (result == PG_FOUND_BROKEN)
		return PG_EXIT_INTERNAL;
	apex = w->labels - w->zone_labels;
	/* The apex of a zone with data exists, unless the writer has overtaken this reader. */
	if (!apex)
		return PG_EXIT_VERSION;
	w->exists = apex + 1;
	w->missing = w->first = 1;
	w->step = 2;
	for (__u32 i = 0; i < 2 * 8; i++) {
		result = pg_find_step(w);
		if (result == PG_FOUND_BROKEN)
			return PG_EXIT_INTERNAL;
		if (result == PG_FOUND)
			break;
	}
	if (w->exists > apex)
		return PG_EXIT_VERSION;
	w->node_labels = w->labels - w->exists;
	return PG_EXIT_ANSWERED;
}

/*
 * Finds sname's zone, and its node or that of its closest encloser. Most names are there, or else the one above is:
 * that takes a look-up for each, and none for the zone. Returns as pg_find_zone does.
 */
PG_INLINE int pg_find(struct pg_work *w, const struct pg_settings *settings)
{
	int exact = pg_find_exact(w, settings, 0), result;

	w->node_labels = w->labels;
	if (exact == PG_FOUND)
		return PG_EXIT_ANSWERED;
	if (exact == PG_NOT_FOUND && w->labels && pg_find_exact(w, settings, 1) == PG_FOUND) {
		w->node_labels--;
		return PG_EXIT_ANSWERED;
	}
	result = pg_find_zone(w);
	return result ? result : pg_find_name(w, exact == PG_NOT_FOUND);
}

#endif

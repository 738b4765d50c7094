/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Publishing one zone version (docs/architecture.md, "Versions"): nodes that are new or changed are written beside
 * those that readers see, one store of the zone's head shows them all, and what they replace is given back when nobody
 * reads it any more.
 */
#include "publish/commit.h"
#include "publish/ahead.h"
#include "common/log.h"
#include "compile/node.h"
#include "publish/heat.h"
#include "publish/order.h"

#include <libknot/dname.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFETCH 8   /* nodes ahead */
#define SAMPLE 1024U /* nodes, by which it is told what all will take */

int commit_refuse(struct commit *commit, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(commit->why, commit->why_size, format, arguments);
	va_end(arguments);
	return -1;
}

int commit_append(struct commit *commit, struct ref_list *list, pg_ref ref)
{
	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 64;
		pg_ref *refs = realloc(list->refs, room * sizeof(*refs));

		if (!refs)
			return commit_refuse(commit, "out of memory");
		list->refs = refs;
		list->room = room;
	}
	list->refs[list->count++] = ref;
	return 0;
}

int commit_begin(struct commit *commit, struct image *image, const uint8_t *apex, char *why, size_t why_size)
{
	int64_t slot;

	*commit = (struct commit){.image = image, .why = why, .why_size = why_size};
	image_bound_segments(image);
	pthread_mutex_lock(&image->zones_lock);
	slot = image_find_zone(image, apex);
	if (slot >= 0)
		commit->old = image_head(image, slot);
	pthread_mutex_unlock(&image->zones_lock);
	if (slot < 0)
		return commit_refuse(commit, "the zone is not configured any more");
	commit->context =
	    (struct compile_context){.settings = image->settings, .slot = slot, .version = commit->old.version + 1};
	return 0;
}

static pg_ref put(struct commit *commit, const void *octets, size_t length, pg_ref ref)
{
	if (!ref)
		commit_refuse(commit,
		              "no room: neither in the %llu MiB of fast-path.memory nor beside them; raise it, or "
		              "give the state directory more room",
		              (unsigned long long)commit->image->memory >> 20);
	else
		memcpy(segments_at(&commit->image->segments, ref), octets, length);
	return ref;
}

static pg_ref put_shared(struct commit *commit, const void *octets, size_t length)
{
	struct segments *segments = &commit->image->segments;
	uint32_t units = length / PG_UNIT;
	pg_ref ref = segments_take(segments, units, false);

	if (!ref && heat_make_room(commit->image, units))
		ref = segments_take(segments, units, false);
	return put(commit, octets, length, ref ? ref : segments_take(segments, units, true));
}

/* What many answers need is warm if that can be: other names make room for it. */
pg_ref commit_shared(struct commit *commit, const struct compile_buffer *buffer)
{
	return put_shared(commit, buffer->octets, buffer->length);
}

/* A name stays as warm as it was; a new one is warm while there is room. */
static pg_ref take(struct commit *commit, const struct pg_node *node, const struct pg_cell *cell)
{
	struct segments *segments = &commit->image->segments;
	uint32_t units = node->units;
	bool warm = cell ? cell->ref < PG_COLD : segments_warm_free(segments) >= units + heat_reserve(commit->image);
	pg_ref ref = warm ? segments_take(segments, units, false) : 0;

	if (ref)
		return put(commit, node, units * PG_UNIT, ref);
	ref = put(commit, node, units * PG_UNIT, segments_take(segments, units, true));
	return ref && warm && cell && commit_append(commit, &commit->chilled, ref) ? 0 : ref;
}

/* Writes a node, in front of the one that `cell` leads to. */
static pg_ref write_node(struct commit *commit, struct pg_node *node, struct pg_cell *cell)
{
	pg_ref ref;

	node->previous = cell ? cell->ref : 0;
	/* For what is gone nothing makes room: the nodes of this version stand, and must not move. */
	ref = heat_is_shared(node->role, node->flags, node_below(node).wildcard) && !(node->flags & PG_NODE_ABSENT)
	          ? put_shared(commit, node, node->units * PG_UNIT)
	          : take(commit, node, cell);
	if (!ref || commit_append(commit, &commit->written, ref))
		return 0;
	if (cell) {
		cell_store(cell, cell->tag, ref);
		return ref;
	}
	while (!buckets_insert(&commit->image->index, node->hash, ref))
		if (image_grow_index(commit->image, 1, true)) {
			commit_refuse(
			    commit, "the index cannot take it: memory is short, or too many names have the same hash");
			return 0;
		}
	if (commit->part && roll_insert(&commit->image->segments, &commit_zone(commit)->roll, ref)) {
		commit_refuse(commit, "out of memory");
		return 0;
	}
	return ref;
}

int commit_plan(struct commit *commit, const struct plan *plan)
{
	struct image *image = commit->image;

	commit->context.plan = plan;
	commit->nodes = calloc(plan->count, sizeof(*commit->nodes));
	commit->before = calloc(plan->count, sizeof(*commit->before));
	commit->trees = calloc(plan->names, sizeof(*commit->trees));
	if (!commit->nodes || !commit->before || !commit->trees)
		return commit_refuse(commit, "out of memory");
	commit->context.nodes = commit->nodes;
	commit->context.trees = commit->trees;
	if (buckets_crowded(&image->index, plan->count) && image_grow_index(image, plan->count, false))
		return commit_refuse(commit, "the index cannot grow");
	return 0;
}

int commit_head(struct commit *commit)
{
	if (compile_head(&commit->context, &commit->buffer, commit->why, commit->why_size))
		return -1;
	commit->head = commit_shared(commit, &commit->buffer);
	return commit->head ? 0 : -1;
}

bool commit_is_same(const struct pg_node *a, const struct pg_node *b)
{
	return a->units == b->units && a->rrsets == b->rrsets && a->flags == b->flags &&
	       !memcmp(a + 1, b + 1, a->units * PG_UNIT - sizeof(*a));
}

pg_ref commit_replace(struct commit *commit, struct pg_node *node, struct pg_cell *cell)
{
	return commit_append(commit, &commit->replaced, cell->ref) ? 0 : write_node(commit, node, cell);
}

/* Places what an entry was compiled to. */
static int place(struct commit *commit, size_t number, struct pg_node *node)
{
	/* Of a zone without nodes none is looked for. */
	struct pg_cell *cell = commit_zone(commit)->roll.count ? image_find_cell(commit->image, node) : NULL;
	const struct pg_node *old = cell ? commit_node(commit, cell->ref) : NULL;
	pg_ref order;

	commit->before[number] = cell ? cell->ref : 0;
	if (old && commit_is_same(old, node)) {
		commit->nodes[number] = cell->ref;
		return 0;
	}
	/* The short way says itself which blocks of a tree it replaced. */
	order = old && !commit->part ? node_below(old).order : 0;
	if (order && order != node_below(node).order && commit_append(commit, &commit->old_orders, order))
		return -1;
	commit->nodes[number] = cell ? commit_replace(commit, node, cell) : write_node(commit, node, NULL);
	return commit->nodes[number] ? 0 : -1;
}

int commit_entry(struct commit *commit, size_t number)
{
	if (compile_node(&commit->context, number, &commit->buffer, commit->why, commit->why_size))
		return -1;
	return place(commit, number, (struct pg_node *)commit->buffer.octets);
}

static bool is_shared(const struct plan_entry *entry)
{
	return entry->again && heat_is_shared(entry->role, entry->flags, entry->wildcard);
}

static bool is_own(const struct plan_entry *entry)
{
	return entry->again && !heat_is_shared(entry->role, entry->flags, entry->wildcard);
}

/* Those entries that `wanted` says. Wildcards come behind the names they belong to, which need their references. */
static int commit_those(struct commit *commit, bool (*wanted)(const struct plan_entry *entry))
{
	const struct plan *plan = commit->context.plan;

	for (size_t i = plan->count; i-- > 0;)
		if (wanted(&plan->entries[i]) && commit_entry(commit, i))
			return -1;
	return 0;
}

/* About how many octets all nodes take, by some from all over the plan: names, NSEC3 records and spans have sizes of
 * their own. 0: it cannot be told, or is not worth it. */
static uint64_t estimate(struct commit *commit)
{
	size_t count = commit->context.plan->count, made = 0;
	uint64_t octets = 0;

	if (count < 8 * SAMPLE)
		return 0;
	/* By an odd step: in many zones every second name is of a kind. */
	for (size_t i = 0; i < count; i += count / SAMPLE | 1, made++) {
		if (compile_node(&commit->context, i, &commit->buffer, commit->why, commit->why_size))
			return 0;
		octets += commit->buffer.length;
	}
	return made ? octets * count / made : 0;
}

static int write_entries(struct commit *commit)
{
	struct ahead *ahead;
	struct pg_node *node;
	size_t number;
	int result;

	if (commit_those(commit, is_shared))
		return -1;
	/* All that others refer to is there. */
	ahead = ahead_begin(&commit->context, is_own);
	if (!ahead)
		return commit_those(commit, is_own);
	while ((result = ahead_next(ahead, &number, &node, commit->why, commit->why_size)) > 0) {
		const struct pg_node *coming = ahead_coming(ahead, PREFETCH);

		/* A large index is in no cache. */
		if (coming)
			buckets_prefetch(&commit->image->index, coming->hash);
		if (place(commit, number, node)) {
			result = -1;
			break;
		}
	}
	ahead_end(ahead);
	return result;
}

int commit_entries(struct commit *commit)
{
	int result;

	/* Of a zone that nothing is served of, all will be written. */
	if (!commit_zone(commit)->roll.count)
		segments_expect(&commit->image->segments, estimate(commit));
	result = write_entries(commit);
	segments_expect(&commit->image->segments, 0);
	return result;
}

int commit_absence(struct commit *commit, pg_ref ref)
{
	const struct pg_node *node = commit_node(commit, ref);
	pg_ref absent, order = node_below(node).order;

	if (compile_absence(&commit->context, node, &commit->buffer))
		return commit_refuse(commit, "out of memory");
	absent = write_node(commit, (struct pg_node *)commit->buffer.octets, image_find_cell(commit->image, node));
	if (!absent || commit_append(commit, &commit->replaced, ref) ||
	    (order && commit_append(commit, &commit->old_orders, order)) ||
	    commit_append(commit, &commit->absent, absent))
		return -1;
	return 0;
}

/* The one store that shows the version. */
static void show(struct commit *commit, uint64_t expires_at)
{
	struct pg_commit head = {.version = commit->context.version, .ref = commit->head};
	struct pg_zone *zone;
	uint64_t word;

	memcpy(&word, &head, sizeof(word));
	pthread_mutex_lock(&commit->image->zones_lock);
	zone = image_zone(commit->image, commit->context.slot);
	zone->serial = commit->context.plan->zone->serial;
	__atomic_store_n(&zone->expires_at, expires_at, __ATOMIC_RELEASE);
	__atomic_store_n((uint64_t *)&zone->head, word, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&commit->image->zones_lock);
}

static void give_back(struct commit *commit, const struct ref_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		segments_free(&commit->image->segments, list->refs[i], commit_node(commit, list->refs[i])->units);
}

static void give_back_blocks(struct commit *commit, const struct ref_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		order_free_block(commit->image, list->refs[i]);
}

static void give_back_head(struct commit *commit, pg_ref head)
{
	struct segments *segments = &commit->image->segments;

	if (head)
		segments_free(segments, head, ((const struct pg_head *)segments_at(segments, head))->units);
}

static void remove_cell(struct commit *commit, pg_ref ref)
{
	struct pg_cell *cell = image_find_cell(commit->image, commit_node(commit, ref));

	if (cell && cell->ref == ref)
		buckets_remove(&commit->image->index, cell);
}

/* Gives back what the new version replaced. */
static void clean_up(struct commit *commit)
{
	struct image *image = commit->image;

	if (commit->old.ref || image->old_index)
		image_wait_readers(image);
	image_drop_old_index(image);
	if (!commit->old.ref)
		return;
	give_back(commit, &commit->replaced);
	for (size_t i = 0; i < commit->old_orders.count; i++)
		order_free(image, commit->old_orders.refs[i]);
	give_back_blocks(commit, &commit->old_blocks);
	give_back_head(commit, commit->old.ref);
	if (!commit->absent.count)
		return;
	for (size_t i = 0; i < commit->absent.count; i++)
		remove_cell(commit, commit->absent.refs[i]);
	image_wait_readers(image);
	give_back(commit, &commit->absent);
}

/* Takes back a version that could not be finished; nobody has seen it. */
static void roll_back(struct commit *commit)
{
	struct image *image = commit->image;

	for (size_t i = 0; i < commit->written.count; i++) {
		const struct pg_node *node = commit_node(commit, commit->written.refs[i]);
		struct pg_cell *cell = image_find_cell(image, node);

		if (commit->part && !node->previous)
			roll_replace(&image->segments, &commit_zone(commit)->roll, commit->written.refs[i], 0, NULL);
		if (!cell || cell->ref != commit->written.refs[i])
			continue;
		if (node->previous)
			cell_store(cell, cell->tag, node->previous);
		else
			buckets_remove(&image->index, cell);
	}
	image_wait_readers(image);
	image_drop_old_index(image);
	give_back(commit, &commit->written);
	give_back_blocks(commit, &commit->orders);
	give_back_head(commit, commit->head);
}

static void free_commit(struct commit *commit)
{
	free(commit->nodes);
	free(commit->before);
	free(commit->trees);
	free(commit->written.refs);
	free(commit->replaced.refs);
	free(commit->absent.refs);
	free(commit->chilled.refs);
	free(commit->orders.refs);
	free(commit->old_orders.refs);
	free(commit->old_blocks.refs);
	free(commit->buffer.octets);
}

/* The zone's fault is its primary's, not ours, but we are the one who may be asked. */
static void warn(const struct plan *plan)
{
	knot_dname_txt_storage_t name;

	if (!knot_dname_to_str(name, plan->zone->apex, sizeof(name)))
		strcpy(name, "?");
	log_warning("zone %s serial %u: signed badly: %s; what cannot be proved is answered with SERVFAIL", name,
	            plan->zone->serial, plan->fault);
}

static int add_target(void *targets, uint64_t hash)
{
	return targets_add(targets, hash);
}

static int remove_target(void *targets, uint64_t hash)
{
	targets_remove(targets, hash);
	return 0;
}

/* Lets what is known of the zone follow a node that was written. */
static void follow(struct commit *commit, pg_ref ref, struct roll_place *near)
{
	struct image_zone *data = commit_zone(commit);
	const struct pg_node *node = commit_node(commit, ref), *before = NULL;
	bool absent = node->flags & PG_NODE_ABSENT;
	size_t cold = data->cold;

	if (node->previous)
		before = commit_node(commit, node->previous);
	if (node->role == PG_ROLE_ADDRESSES)
		data->addresses += !before - absent;
	if (node->role == PG_ROLE_KEPT)
		data->kept += !before - absent;
	if (node->role == PG_ROLE_NAME) {
		cold += !absent && ref >= PG_COLD;
		cold -= before && node->previous >= PG_COLD;
		data->wildcards += !absent && node->flags & PG_NODE_WILDCARD;
		data->wildcards -= before && before->flags & PG_NODE_WILDCARD;
		__atomic_store_n(&data->cold, cold, __ATOMIC_RELAXED);
		if (before)
			targets_each(before, remove_target, &data->targets);
		/* What is not known any more, the next publication finds out. */
		if (!absent && targets_each(node, add_target, &data->targets))
			data->known = false;
	}
	if (before)
		roll_replace(&commit->image->segments, &data->roll, node->previous, absent ? 0 : ref, near);
}

void commit_end(struct commit *commit, uint64_t expires_at, void (*visible)(void *context), void *context)
{
	struct roll_place near = {};

	show(commit, expires_at);
	visible(context);
	if (commit->context.plan->fault[0])
		warn(commit->context.plan);
	/* Names were written in reverse order. */
	for (size_t i = commit->written.count; commit->part && i-- > 0;)
		follow(commit, commit->written.refs[i], &near);
	clean_up(commit);
	heat_warm(commit->image, commit->chilled.refs, commit->chilled.count);
	segments_spare(&commit->image->segments);
	free_commit(commit);
}

void commit_fail(struct commit *commit)
{
	if (commit->context.plan)
		roll_back(commit);
	free_commit(commit);
}

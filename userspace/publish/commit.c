/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Publishing one zone version (docs/architecture.md, "Versions"): nodes that are new or changed are written beside
 * those that readers see, one store of the zone's head shows them all, and what they replace is given back when nobody
 * reads it any more.
 */
#include "publish/image_internal.h"
#include "common/log.h"
#include "compile/compile.h"
#include "engine/engine.h"
#include "publish/heat.h"
#include "publish/order.h"

#include <libknot/dname.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ref_list {
	pg_ref *refs;
	size_t count, room;
};

struct commit {
	struct image *image;
	struct compile_context context;
	struct compile_buffer buffer;
	pg_ref *nodes;              /* of the plan's entries */
	pg_ref *trees;              /* of the plan's names: their ordered trees */
	struct ref_list written;    /* nodes of this version */
	struct ref_list found;      /* nodes of the version before that were kept or replaced */
	struct ref_list replaced;   /* of these, the replaced ones */
	struct ref_list chilled;    /* cold ones that replace warm ones */
	struct ref_list absent;     /* nodes that say that a name is gone */
	struct ref_list orders;     /* ordered trees of this version, and ... */
	struct ref_list old_orders; /* ... those that only the version before has */
	pg_ref head;
	char *why;
	size_t why_size;
};

static int refuse(struct commit *commit, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int refuse(struct commit *commit, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(commit->why, commit->why_size, format, arguments);
	va_end(arguments);
	return -1;
}

static int append(struct commit *commit, struct ref_list *list, pg_ref ref)
{
	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 64;
		pg_ref *refs = realloc(list->refs, room * sizeof(*refs));

		if (!refs)
			return refuse(commit, "out of memory");
		list->refs = refs;
		list->room = room;
	}
	list->refs[list->count++] = ref;
	return 0;
}

static struct pg_node *node_at(const struct image *image, pg_ref ref)
{
	return segments_at(&image->segments, ref);
}

static pg_ref put(struct commit *commit, const struct compile_buffer *buffer, pg_ref ref)
{
	if (!ref)
		refuse(commit,
		       "no room: neither in the %llu MiB of fast-path.memory nor beside them; raise it, or "
		       "give the state directory more room",
		       (unsigned long long)commit->image->memory >> 20);
	else
		memcpy(segments_at(&commit->image->segments, ref), buffer->octets, buffer->length);
	return ref;
}

/* What many answers need is warm if that can be: other names make room for it. */
static pg_ref take_shared(struct commit *commit, const struct compile_buffer *buffer)
{
	struct segments *segments = &commit->image->segments;
	uint32_t units = buffer->length / PG_UNIT;
	pg_ref ref = segments_take(segments, units, false);

	if (!ref && heat_make_room(commit->image, units))
		ref = segments_take(segments, units, false);
	return put(commit, buffer, ref ? ref : segments_take(segments, units, true));
}

/* A name stays as warm as it was; a new one is warm while there is room. */
static pg_ref take(struct commit *commit, const struct compile_buffer *buffer, const struct pg_cell *cell)
{
	struct segments *segments = &commit->image->segments;
	uint32_t units = buffer->length / PG_UNIT;
	bool warm = cell ? cell->ref < PG_COLD : segments_warm_free(segments) >= units + heat_reserve(commit->image);
	pg_ref ref = warm ? segments_take(segments, units, false) : 0;

	if (ref)
		return put(commit, buffer, ref);
	ref = put(commit, buffer, segments_take(segments, units, true));
	return ref && warm && cell && append(commit, &commit->chilled, ref) ? 0 : ref;
}

/* Writes the node in the buffer, in front of the one that `cell` leads to. */
static pg_ref write_node(struct commit *commit, struct pg_cell *cell)
{
	struct pg_node *node = (struct pg_node *)commit->buffer.octets;
	pg_ref ref;

	node->previous = cell ? cell->ref : 0;
	/* For what is gone nothing makes room: the nodes of this version stand, and must not move. */
	ref = heat_is_shared(node->role, node->flags, node->wildcard) && !(node->flags & PG_NODE_ABSENT)
	          ? take_shared(commit, &commit->buffer)
	          : take(commit, &commit->buffer, cell);
	if (!ref || append(commit, &commit->written, ref))
		return 0;
	if (cell) {
		cell_store(cell, cell->tag, ref);
		return ref;
	}
	while (!buckets_insert(&commit->image->index, node->hash, ref))
		if (image_grow_index(commit->image, 1, true)) {
			refuse(commit,
			       "the index cannot take it: memory is short, or too many names have the same hash");
			return 0;
		}
	return ref;
}

/* Whether two nodes say the same, whatever their versions. */
static bool same_node(const struct pg_node *a, const struct pg_node *b)
{
	return a->units == b->units && a->wildcard == b->wildcard && a->order == b->order && a->rrsets == b->rrsets &&
	       a->flags == b->flags && !memcmp(a + 1, b + 1, a->units * PG_UNIT - sizeof(*a));
}

/* Writes the ordered tree over `count` labels, block by block, and gives its root; the labels are used up. */
static int write_tree(struct commit *commit, struct order_label *labels, size_t count, struct compile_buffer *buffer,
                      pg_ref *root)
{
	for (bool leaf = true; leaf || count > 1; leaf = false) {
		size_t blocks = (count + PG_ORDER_ENTRIES - 1) / PG_ORDER_ENTRIES;

		for (size_t i = 0; i < blocks; i++) {
			size_t from = count * i / blocks, to = count * (i + 1) / blocks;

			if (compile_order_block(labels + from, to - from, leaf, buffer))
				return refuse(commit, "out of memory");
			*root = take_shared(commit, buffer);
			if (!*root || append(commit, &commit->orders, *root))
				return -1;
			labels[i] = (struct order_label){.label = labels[from].label, .below = *root};
		}
		count = blocks;
	}
	return 0;
}

/* The tree of the names below entry `number`, of which there are some: what `before` has, if it is the same. */
static int write_order(struct commit *commit, size_t number, pg_ref before, struct compile_buffer *buffer)
{
	size_t count = commit->context.plan->entries[number].children;
	struct order_label *labels = compile_order_labels(&commit->context, number);
	int result = 0;

	if (!labels)
		return refuse(commit, "out of memory");
	if (before && order_same(commit->image, before, labels, count))
		commit->trees[number] = before;
	else
		result = write_tree(commit, labels, count, buffer, &commit->trees[number]);
	free(labels);
	return result;
}

static bool is_shared(const struct plan_entry *entry)
{
	return heat_is_shared(entry->role, entry->flags, entry->wildcard);
}

static int write_entry(struct commit *commit, size_t number)
{
	const struct plan_entry *entry = &commit->context.plan->entries[number];
	const struct pg_node *old = NULL;
	struct pg_node *node;
	struct pg_cell *cell;
	pg_ref before;

	if (compile_node(&commit->context, number, entry->wildcard ? commit->nodes[entry->wildcard] : 0,
	                 &commit->buffer, commit->why, commit->why_size))
		return -1;
	node = (struct pg_node *)commit->buffer.octets;
	cell = image_find_cell(commit->image, node);
	before = cell ? cell->ref : 0;
	if (before) {
		old = node_at(commit->image, before);
		if (append(commit, &commit->found, before))
			return -1;
	}
	node->order = number < commit->context.plan->names ? commit->trees[number] : 0;
	if (before && same_node(old, node)) {
		commit->nodes[number] = before;
		return 0;
	}
	if (before && (append(commit, &commit->replaced, before) ||
	               (old->order && old->order != node->order && append(commit, &commit->old_orders, old->order))))
		return -1;
	commit->nodes[number] = write_node(commit, cell);
	return commit->nodes[number] ? 0 : -1;
}

static int compare_refs(const void *left, const void *right)
{
	pg_ref a = *(const pg_ref *)left, b = *(const pg_ref *)right;

	return (a > b) - (a < b);
}

/* Names of the version before that the new one does not have. */
static int write_absences(struct commit *commit)
{
	const struct image_zone *data = &commit->image->zone_data[commit->context.slot];
	size_t at = 0;

	if (data->count)
		qsort(data->nodes, data->count, sizeof(*data->nodes), compare_refs);
	if (commit->found.count)
		qsort(commit->found.refs, commit->found.count, sizeof(*commit->found.refs), compare_refs);
	for (size_t i = 0; i < data->count; i++) {
		const struct pg_node *node = node_at(commit->image, data->nodes[i]);
		pg_ref absent;

		while (at < commit->found.count && commit->found.refs[at] < data->nodes[i])
			at++;
		if (at < commit->found.count && commit->found.refs[at] == data->nodes[i])
			continue;
		if (compile_absence(&commit->context, node, &commit->buffer))
			return refuse(commit, "out of memory");
		absent = write_node(commit, image_find_cell(commit->image, node));
		if (!absent || append(commit, &commit->replaced, data->nodes[i]) ||
		    (node->order && append(commit, &commit->old_orders, node->order)) ||
		    append(commit, &commit->absent, absent))
			return -1;
	}
	return 0;
}

/* What there is of a name. */
static const struct pg_node *find_name(const struct commit *commit, const struct plan_entry *entry)
{
	union {
		struct pg_node node;
		uint8_t octets[sizeof(struct pg_node) + PG_NAME_ROOM];
	} key = {.node = {.zone = commit->context.slot, .role = entry->role, .name_length = entry->name_length}};
	const struct pg_cell *cell;

	memcpy(key.octets + sizeof(key.node), entry->name, entry->name_length);
	key.node.hash =
	    engine_hash(commit->context.settings, entry->role, commit->context.slot, entry->name, entry->name_length);
	cell = image_find_cell(commit->image, &key.node);
	return cell ? node_at(commit->image, cell->ref) : NULL;
}

/* The trees of the names below each name, those of the version before as far as they are the same. */
static int write_trees(struct commit *commit)
{
	const struct plan *plan = commit->context.plan;
	struct compile_buffer block = {};
	int result = 0;

	for (size_t i = plan->denial.kind == PG_DENIAL_NSEC ? plan->names : 0; i-- > 0 && !result;) {
		const struct pg_node *old;

		if (!plan->entries[i].children)
			continue;
		old = find_name(commit, &plan->entries[i]);
		result = write_order(commit, i, old ? old->order : 0, &block);
	}
	free(block.octets);
	return result;
}

/* First what many answers need, while there is room in the program's memory. */
static int write_version(struct commit *commit)
{
	const struct plan *plan = commit->context.plan;
	struct image *image = commit->image;

	commit->nodes = calloc(plan->count, sizeof(*commit->nodes));
	commit->trees = calloc(plan->names, sizeof(*commit->trees));
	if (!commit->nodes || !commit->trees)
		return refuse(commit, "out of memory");
	if (buckets_crowded(&image->index, plan->count) && image_grow_index(image, plan->count, false))
		return refuse(commit, "the index cannot grow");
	if (compile_head(&commit->context, &commit->buffer, commit->why, commit->why_size))
		return -1;
	commit->head = take_shared(commit, &commit->buffer);
	if (!commit->head || write_trees(commit))
		return -1;
	/* Wildcards come behind the names they belong to, which need their references. */
	for (int shared = 1; shared >= 0; shared--)
		for (size_t i = plan->count; i-- > 0;)
			if (is_shared(&plan->entries[i]) == shared && write_entry(commit, i))
				return -1;
	return write_absences(commit);
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

static void give_back(struct image *image, const struct ref_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		segments_free(&image->segments, list->refs[i], node_at(image, list->refs[i])->units);
}

static void remove_cell(struct image *image, pg_ref ref)
{
	struct pg_cell *cell = image_find_cell(image, node_at(image, ref));

	if (cell && cell->ref == ref)
		buckets_remove(&image->index, cell);
}

/* Gives back what the new version replaced. */
static void clean_up(struct commit *commit, pg_ref old_head)
{
	struct image *image = commit->image;

	if (!old_head)
		return;
	image_wait_readers(image);
	give_back(image, &commit->replaced);
	for (size_t i = 0; i < commit->old_orders.count; i++)
		order_free(image, commit->old_orders.refs[i]);
	segments_free(&image->segments, old_head,
	              ((const struct pg_head *)segments_at(&image->segments, old_head))->units);
	if (!commit->absent.count)
		return;
	for (size_t i = 0; i < commit->absent.count; i++)
		remove_cell(image, commit->absent.refs[i]);
	image_wait_readers(image);
	give_back(image, &commit->absent);
}

/* Takes back a version that could not be finished; nobody has seen it. */
static void roll_back(struct commit *commit)
{
	struct image *image = commit->image;

	for (size_t i = 0; i < commit->written.count; i++) {
		const struct pg_node *node = node_at(image, commit->written.refs[i]);
		struct pg_cell *cell = image_find_cell(image, node);

		if (!cell || cell->ref != commit->written.refs[i])
			continue;
		if (node->previous)
			cell_store(cell, cell->tag, node->previous);
		else
			buckets_remove(&image->index, cell);
	}
	image_wait_readers(image);
	give_back(image, &commit->written);
	for (size_t i = 0; i < commit->orders.count; i++)
		order_free_block(image, commit->orders.refs[i]);
	if (commit->head)
		segments_free(&image->segments, commit->head,
		              ((const struct pg_head *)segments_at(&image->segments, commit->head))->units);
}

/* The nodes of the version as the zone's own. */
static void keep_nodes(struct commit *commit)
{
	struct image_zone *data = &commit->image->zone_data[commit->context.slot];
	size_t cold = 0;

	for (size_t i = 0; i < commit->context.plan->names; i++)
		cold += commit->nodes[i] >= PG_COLD;
	__atomic_store_n(&data->cold, cold, __ATOMIC_RELAXED);
	free(data->nodes);
	data->nodes = commit->nodes;
	data->count = commit->context.plan->count;
	commit->nodes = NULL;
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

int image_commit(struct image *image, struct zone_version *version, uint64_t expires_at, void (*visible)(void *context),
                 void *context, char *why, size_t why_size)
{
	struct commit commit = {.image = image, .why = why, .why_size = why_size};
	struct plan *plan = plan_new(version);
	struct pg_commit before = {};
	int64_t slot;
	int result;

	image_bound_segments(image);
	pthread_mutex_lock(&image->zones_lock);
	slot = image_find_zone(image, version->apex);
	if (slot >= 0)
		before = image_head(image, slot);
	pthread_mutex_unlock(&image->zones_lock);
	if (slot < 0 || !plan) {
		plan_free(plan);
		return refuse(&commit, slot < 0 ? "the zone is not configured any more" : "out of memory");
	}
	commit.context = (struct compile_context){
	    .plan = plan, .settings = image->settings, .slot = slot, .version = before.version + 1};
	result = write_version(&commit);
	if (result) {
		roll_back(&commit);
	} else {
		show(&commit, expires_at);
		if (plan->fault[0])
			warn(plan);
		keep_nodes(&commit);
		visible(context);
		clean_up(&commit, before.ref);
		heat_warm(image, commit.chilled.refs, commit.chilled.count);
	}
	free(commit.nodes);
	free(commit.trees);
	free(commit.written.refs);
	free(commit.found.refs);
	free(commit.replaced.refs);
	free(commit.absent.refs);
	free(commit.chilled.refs);
	free(commit.orders.refs);
	free(commit.old_orders.refs);
	free(commit.buffer.octets);
	plan_free(plan);
	return result;
}

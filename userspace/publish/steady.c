/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "publish/steady.h"
#include "compile/node.h"
#include "compile/readback.h"
#include "engine/engine.h"
#include "publish/ahead.h"

#include <libknot/libknot.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define TYPES 4 /* of one name, that are counted; more are seldom */
/* How far ahead buckets of the index and nodes, which are in no cache, are fetched; and how many lines of a node. */
#define PREFETCH_BUCKET 16
#define PREFETCH_NODE 8
#define PREFETCH_LINES 4
#define LINE 64
/* Names that are worth a thread: to start one takes as long as some hundred of them. */
#define WORTH_IT 2048

/* How the names of a piece are looked at, one after another. Of the image all is read and nothing written. */
struct search {
	struct steady *steady;
	struct steady_piece *piece;
	const struct commit *commit;
	const struct image_zone *data;
	const struct zone_changes *changes;
	struct zone_patch *patch;
	/* A plan of one name, made anew for each. */
	struct zone_version zone;
	struct plan plan;
	struct plan_entry entry;
	pg_ref tree; /* of the names below it */
	struct zone_name name;
	struct compile_context context;
	struct compile_buffer buffer;
	int result;
};

/* Whether no other name goes by the data of that type. */
static bool is_own_business(uint16_t type)
{
	switch (type) {
	case KNOT_RRTYPE_SOA:
	case KNOT_RRTYPE_NS:
	case KNOT_RRTYPE_DS:
	case KNOT_RRTYPE_CNAME:
	case KNOT_RRTYPE_DNAME:
	case KNOT_RRTYPE_RRSIG:
	case KNOT_RRTYPE_DNSKEY:
	case KNOT_RRTYPE_NSEC:
	case KNOT_RRTYPE_NSEC3:
	case KNOT_RRTYPE_NSEC3PARAM:
		return false;
	default:
		return !compile_target_offset(type);
	}
}

/* The type that a change is about: a signature goes with what it signs. */
static uint16_t type_of(const struct zone_change *change)
{
	return change->type == KNOT_RRTYPE_RRSIG ? knot_wire_read_u16(change->rdata + 2) : change->type;
}

static bool is_target(const struct search *search, const struct steady_name *name)
{
	const struct compile_context *context = &search->context;

	return search->data->targets.named &&
	       targets_count(&search->data->targets, engine_hash(context->settings, PG_ROLE_ADDRESSES, context->slot,
	                                                         name->name, name->length));
}

static bool is_kept(const struct search *search, const struct steady_name *name)
{
	return search->data->kept &&
	       image_find_node(search->commit->image, search->context.slot, PG_ROLE_KEPT, name->name);
}

/* Whether its changes and its node allow that a name is steady. */
static bool may_be_steady(const struct search *search, const struct steady_name *name, const struct pg_node *node)
{
	bool addresses = false;

	if (node_below(node).wildcard || node->flags & ~(PG_NODE_PARTS | PG_NODE_HASHED | PG_NODE_GAP))
		return false;
	for (uint32_t i = name->first; i < name->first + name->count; i++) {
		const struct zone_change change = zone_changes_at(search->changes, i);
		uint16_t type = type_of(&change);

		if (!is_own_business(type))
			return false;
		addresses |= type == KNOT_RRTYPE_A || type == KNOT_RRTYPE_AAAA;
	}
	return !(addresses && is_target(search, name)) && !is_kept(search, name);
}

/* Whether all that is signed anew is there. */
static bool are_there(const struct search *search, const struct steady_name *name)
{
	for (uint32_t i = name->first; i < name->first + name->count; i++) {
		const struct zone_change change = zone_changes_at(search->changes, i);

		if (!zone_find_rrset(&search->name, type_of(&change)))
			return false;
	}
	return true;
}

/* Compiles what the new version has of a name. Its place in the zone is as it was. */
static int compile(struct search *search, const struct steady_name *name, const struct pg_node *node)
{
	char why[256]; /* told by the other way */

	search->entry = (struct plan_entry){.name = name->name,
	                                    .name_length = name->length,
	                                    .role = PG_ROLE_NAME,
	                                    .flags = node->flags,
	                                    .again = true,
	                                    .data = &search->name};
	if (node->flags & PG_NODE_PROOFS)
		memcpy(search->entry.proof, node_proofs(node), sizeof(search->entry.proof));
	search->tree = node_below(node).order;
	return compile_node(&search->context, 0, &search->buffer, why, sizeof(why));
}

/* Keeps what was compiled. */
static int keep(struct steady_piece *piece, const struct compile_buffer *made, struct steady_name *name)
{
	size_t room = piece->room ? piece->room * 2 : 4096;
	uint8_t *octets;

	if (piece->room - piece->length < made->length) {
		if (room < piece->length + made->length)
			room = piece->length + made->length;
		octets = realloc(piece->octets, room);
		if (!octets)
			return -1;
		piece->octets = octets;
		piece->room = room;
	}
	memcpy(piece->octets + piece->length, made->octets, made->length);
	name->start = piece->length;
	piece->length += made->length;
	return 0;
}

/* Looks whether a name is steady, and compiles it. -1: memory is short. */
static int look_at(struct search *search, struct steady_name *name)
{
	const struct image *image = search->commit->image;
	const struct pg_cell *cell =
	    image_find_name(image, search->context.slot, PG_ROLE_NAME, name->hash, name->name, name->length);
	const struct pg_node *node = cell ? segments_at(&image->segments, cell->ref) : NULL;
	bool same_types = false;
	int more;

	/* Whatever is wrong with it, the other way tells. */
	if (!node || !may_be_steady(search, name, node) ||
	    readback_node(node, zone_patch_begin(search->patch, name->first)) ||
	    zone_patch_apply(search->patch, name->count, &search->name, &same_types, &more) || !same_types ||
	    !are_there(search, name) || compile(search, name, node))
		return 0;
	name->is_steady = true;
	name->is_same = commit_is_same(node, (const struct pg_node *)search->buffer.octets);
	search->piece->found++;
	search->piece->more += more;
	return name->is_same ? 0 : keep(search->piece, &search->buffer, name);
}

/* Fetches what is soon to be read: the bucket of one name; of another, whose bucket has come by then, owner and node.
 * Either may be NULL. */
static void prefetch(const struct image *image, const struct steady_name *bucket, const struct steady_name *node)
{
	const struct pg_cell *cell;
	const uint8_t *record;
	uint32_t position = 0;

	if (bucket)
		buckets_prefetch(&image->index, bucket->hash);
	cell = node ? buckets_next(&image->index, node->hash, &position) : NULL;
	if (!cell)
		return;
	record = segments_at(&image->segments, cell->ref);
	for (int i = 0; i < PREFETCH_LINES; i++)
		__builtin_prefetch(record + (size_t)i * LINE);
	__builtin_prefetch(node->name);
}

/* Lists the names that there are changes of. */
static int list_names(struct steady *steady, const struct commit *commit, const struct zone_changes *changes)
{
	size_t count = zone_changes_sorted(changes);

	steady->names = calloc(count + 1, sizeof(*steady->names));
	if (!steady->names)
		return -1;
	for (size_t i = 0; i < count; i++) {
		const uint8_t *owner = zone_changes_at(changes, i).owner;
		struct steady_name *name = steady->count ? &steady->names[steady->count - 1] : NULL;

		if (!name || (name->name != owner && !knot_dname_is_equal(name->name, owner))) {
			name = &steady->names[steady->count++];
			name->name = owner;
			name->first = i;
			name->length = knot_dname_size(owner);
			name->hash = engine_hash(commit->image->settings, PG_ROLE_NAME, commit->context.slot, owner,
			                         name->length);
		}
		name->count++;
	}
	return 0;
}

/* Looks at all names of a piece. */
static void *look(void *context)
{
	struct search *search = context;
	struct steady_name *name = search->steady->names + search->piece->first, *end = name + search->piece->count;

	search->zone.apex = (uint8_t *)(uintptr_t)zone_changes_apex(search->changes);
	search->plan = (struct plan){.zone = &search->zone,
	                             .apex_length = knot_dname_size(search->zone.apex),
	                             .entries = &search->entry,
	                             .count = 1,
	                             .names = 1};
	search->context = search->commit->context;
	search->context.plan = &search->plan;
	search->context.trees = &search->tree;
	search->patch = zone_patch_new(search->changes);
	search->result = search->patch ? 0 : -1;
	for (; name < end && !search->result; name++) {
		prefetch(search->commit->image, end - name > PREFETCH_BUCKET ? name + PREFETCH_BUCKET : NULL,
		         end - name > PREFETCH_NODE ? name + PREFETCH_NODE : NULL);
		search->result = look_at(search, name);
	}
	free(search->buffer.octets);
	zone_patch_free(search->patch);
	return NULL;
}

/* Cuts the names in pieces, as many as there are processors for. */
static void cut(struct steady *steady)
{
	size_t first = 0;

	steady->piece_count = steady->count < WORTH_IT ? 1 : ahead_processors(STEADY_PIECES);
	for (size_t i = 0; i < steady->piece_count; i++) {
		size_t end = steady->count * (i + 1) / steady->piece_count;

		steady->pieces[i] = (struct steady_piece){.first = first, .count = end - first};
		first = end;
	}
}

/* Has each piece looked at by a thread, the first by this one; where there is none to be had, this one does it. */
static int look_at_all(struct steady *steady, const struct commit *commit, const struct zone_changes *changes)
{
	struct search searches[STEADY_PIECES];
	pthread_t threads[STEADY_PIECES];
	bool begun[STEADY_PIECES] = {};
	int result = 0;

	for (size_t i = 0; i < steady->piece_count; i++) {
		searches[i] = (struct search){.steady = steady,
		                              .piece = &steady->pieces[i],
		                              .commit = commit,
		                              .data = &commit->image->zone_data[commit->context.slot],
		                              .changes = changes};
		begun[i] = i && !pthread_create(&threads[i], NULL, look, &searches[i]);
	}
	for (size_t i = 0; i < steady->piece_count; i++) {
		if (begun[i])
			pthread_join(threads[i], NULL);
		else
			look(&searches[i]);
		result |= searches[i].result;
		steady->found += steady->pieces[i].found;
		steady->more += steady->pieces[i].more;
	}
	return result;
}

/* Which change belongs to which name, as they are gone through in order. */
struct sieve {
	const struct steady *steady;
	size_t at;
};

static bool is_other(void *context, size_t number)
{
	struct sieve *sieve = context;
	const struct steady_name *names = sieve->steady->names;

	while (number >= (size_t)names[sieve->at].first + names[sieve->at].count)
		sieve->at++;
	return !names[sieve->at].is_steady;
}

int steady_find(struct steady *steady, const struct commit *commit, struct zone_changes *changes)
{
	if (zone_changes_sort(changes) || list_names(steady, commit, changes))
		return -1;
	cut(steady);
	if (look_at_all(steady, commit, changes))
		return -1;
	steady->others = zone_changes_some(changes, is_other, &(struct sieve){.steady = steady});
	return steady->others ? 0 : -1;
}

void steady_free(struct steady *steady)
{
	free(steady->names);
	for (size_t i = 0; i < steady->piece_count; i++)
		free(steady->pieces[i].octets);
	zone_changes_free(steady->others);
}

/* ---- beside the others ---- */

static int compare_names(const void *left, const void *right)
{
	return zone_compare_names(((const struct steady_name *)left)->name, ((const struct steady_name *)right)->name);
}

bool steady_stands_apart(const struct steady *steady, const struct scope *scope)
{
	for (size_t i = 0; steady->found && i < scope->count; i++) {
		const struct steady_name key = {.name = scope->names[i].name}, *found;

		if (!scope->names[i].again)
			continue;
		found = bsearch(&key, steady->names, steady->count, sizeof(key), compare_names);
		if (found && found->is_steady)
			return false;
	}
	return true;
}

static int write_piece(struct commit *commit, const struct steady *steady, const struct steady_piece *piece)
{
	for (size_t i = piece->count; i-- > 0;) {
		const struct steady_name *name = &steady->names[piece->first + i];
		struct pg_cell *cell;

		if (i >= PREFETCH_BUCKET)
			prefetch(commit->image, name - PREFETCH_BUCKET, name - PREFETCH_NODE);
		if (!name->is_steady || name->is_same)
			continue;
		/* What was written before may have moved it. */
		cell = image_find_name(commit->image, commit->context.slot, PG_ROLE_NAME, name->hash, name->name,
		                       name->length);
		if (!cell || !commit_replace(commit, (struct pg_node *)(piece->octets + name->start), cell))
			return -1;
	}
	return 0;
}

int steady_write(struct commit *commit, const struct steady *steady)
{
	for (size_t i = steady->piece_count; i-- > 0;)
		if (write_piece(commit, steady, &steady->pieces[i]))
			return -1;
	return 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "publish/steady.h"
#include "compile/readback.h"
#include "engine/engine.h"
#include "publish/node.h"

#include <libknot/libknot.h>
#include <stdlib.h>
#include <string.h>

#define TYPES 4 /* of one name, that are counted; more are seldom */
/* How far ahead buckets of the index and nodes, which are in no cache, are fetched; and how many lines of a node. */
#define PREFETCH_BUCKET 16
#define PREFETCH_NODE 8
#define PREFETCH_LINES 4
#define LINE 64

/* Where the names of a change are looked for. */
struct search {
	const struct image *image;
	const struct image_zone *data;
	const struct zone_changes *changes;
	uint32_t slot;
};

/* ---- which names ---- */

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

/* The RRset of a type that a node has, or NULL. */
static const struct pg_rrset *find_rrset(const struct pg_node *node, uint16_t type)
{
	const struct pg_rrset *rrsets = node_rrsets(node);

	for (uint16_t i = 0; i < node->rrsets; i++)
		if (rrsets[i].type == type)
			return &rrsets[i];
	return NULL;
}

/* The records of a name by type, as the changes leave them. */
struct tally {
	struct {
		uint16_t type;
		int64_t records;
	} of[TYPES];
	size_t count;
	int64_t more;
	bool addresses; /* are touched */
};

/* Takes one change of a name into account. False: the name is not steady. */
static bool count_change(struct tally *tally, const struct pg_node *node, const struct zone_change *change)
{
	/* A signature goes with what it signs. */
	bool signs = change->type == KNOT_RRTYPE_RRSIG;
	uint16_t type = signs ? knot_wire_read_u16(change->rdata + 2) : change->type;
	const struct pg_rrset *rrset = is_own_business(type) ? find_rrset(node, type) : NULL;
	int more = change->adds ? 1 : -1;
	size_t i = 0;

	if (!rrset)
		return false;
	tally->addresses |= type == KNOT_RRTYPE_A || type == KNOT_RRTYPE_AAAA;
	tally->more += more;
	if (signs)
		return true;
	while (i < tally->count && tally->of[i].type != type)
		i++;
	if (i == TYPES)
		return false;
	if (i == tally->count) {
		tally->of[i].type = type;
		tally->of[i].records = rrset->records;
		tally->count++;
	}
	tally->of[i].records += more;
	return true;
}

static bool is_target(const struct search *search, const struct steady_name *name)
{
	return search->data->targets.named &&
	       targets_count(&search->data->targets, engine_hash(search->image->settings, PG_ROLE_ADDRESSES,
	                                                         search->slot, name->name, name->length));
}

static bool is_kept(const struct search *search, const struct steady_name *name)
{
	return search->data->kept && image_find_node(search->image, search->slot, PG_ROLE_KEPT, name->name);
}

/* Whether a name is steady; `*more` becomes by how many records it grows. */
static bool is_steady(const struct search *search, const struct steady_name *name, int64_t *more)
{
	const struct pg_cell *cell =
	    image_find_name(search->image, search->slot, PG_ROLE_NAME, name->hash, name->name, name->length);
	const struct pg_node *node = cell ? segments_at(&search->image->segments, cell->ref) : NULL;
	struct tally tally = {};

	if (!node || node->wildcard || node->flags & ~(PG_NODE_PROOFS | PG_NODE_HASHED | PG_NODE_GAP))
		return false;
	for (uint32_t i = name->first; i < name->first + name->count; i++) {
		const struct zone_change change = zone_changes_at(search->changes, i);

		if (!count_change(&tally, node, &change))
			return false;
	}
	for (size_t i = 0; i < tally.count; i++)
		if (tally.of[i].records <= 0)
			return false;
	*more = tally.more;
	return !(tally.addresses && is_target(search, name)) && !is_kept(search, name);
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
static int list_names(struct steady *steady, const struct search *search)
{
	size_t changes = zone_changes_sorted(search->changes);

	steady->names = calloc(changes + 1, sizeof(*steady->names));
	if (!steady->names)
		return -1;
	for (size_t i = 0; i < changes; i++) {
		const uint8_t *owner = zone_changes_at(search->changes, i).owner;
		struct steady_name *name = steady->count ? &steady->names[steady->count - 1] : NULL;

		if (!name || (name->name != owner && !knot_dname_is_equal(name->name, owner))) {
			name = &steady->names[steady->count++];
			name->name = owner;
			name->first = i;
			name->length = knot_dname_size(owner);
			name->hash =
			    engine_hash(search->image->settings, PG_ROLE_NAME, search->slot, owner, name->length);
		}
		name->count++;
	}
	return 0;
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

int steady_find(struct steady *steady, const struct image *image, uint32_t slot, struct zone_changes *changes)
{
	const struct search search = {
	    .image = image, .data = &image->zone_data[slot], .changes = changes, .slot = slot};

	*steady = (struct steady){};
	if (zone_changes_sort(changes) || list_names(steady, &search))
		return -1;
	for (size_t i = 0; i < steady->count; i++) {
		struct steady_name *name = &steady->names[i];
		int64_t more = 0;

		prefetch(image, i + PREFETCH_BUCKET < steady->count ? name + PREFETCH_BUCKET : NULL,
		         i + PREFETCH_NODE < steady->count ? name + PREFETCH_NODE : NULL);
		name->is_steady = is_steady(&search, name, &more);
		if (!name->is_steady)
			continue;
		steady->found++;
		steady->more += more;
	}
	steady->others = zone_changes_some(changes, is_other, &(struct sieve){.steady = steady});
	return steady->others ? 0 : -1;
}

void steady_free(struct steady *steady)
{
	free(steady->names);
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

/* ---- their nodes ---- */

/* A plan of one name, made anew for each. */
struct single {
	struct zone_version zone;
	struct plan plan;
	struct plan_entry entry;
	struct compile_context context;
	struct zone_name data;
};

/* What the new version has of a name. Its place in the zone is as it was. */
static int plan_name(struct single *single, struct zone_patch *patch, const struct steady_name *name,
                     const struct pg_node *node)
{
	if (readback_node(node, zone_patch_begin(patch, name->first)) ||
	    zone_patch_apply(patch, name->count, &single->data))
		return -1;
	single->entry = (struct plan_entry){.name = name->name,
	                                    .name_length = name->length,
	                                    .role = PG_ROLE_NAME,
	                                    .flags = node->flags,
	                                    .again = true,
	                                    .data = &single->data};
	if (node->flags & PG_NODE_PROOFS)
		memcpy(single->entry.proof, node_proofs(node), sizeof(single->entry.proof));
	return 0;
}

static int write_name(struct commit *commit, struct single *single, struct zone_patch *patch,
                      const struct steady_name *name, bool *stray)
{
	struct pg_cell *cell =
	    image_find_name(commit->image, commit->context.slot, PG_ROLE_NAME, name->hash, name->name, name->length);
	struct pg_node *made;
	const struct pg_node *node;

	*stray = !cell;
	if (!cell)
		return -1;
	node = commit_node(commit, cell->ref);
	*stray = plan_name(single, patch, name, node) != 0;
	if (*stray || compile_node(&single->context, 0, 0, &commit->buffer, commit->why, commit->why_size))
		return -1;
	made = (struct pg_node *)commit->buffer.octets;
	made->order = node->order;
	return commit_place(commit, made, cell) ? 0 : -1;
}

int steady_write(struct commit *commit, struct steady *steady, const struct zone_changes *changes)
{
	struct single single = {.zone = {.apex = commit->context.plan->zone->apex},
	                        .plan = {.count = 1, .names = 1, .apex_length = commit->context.plan->apex_length},
	                        .context = commit->context};
	struct zone_patch *patch = steady->found ? zone_patch_new(changes) : NULL;
	int result = 0;

	if (steady->found && !patch)
		return commit_refuse(commit, "out of memory");
	single.plan.zone = &single.zone;
	single.plan.entries = &single.entry;
	single.context.plan = &single.plan;
	for (size_t i = steady->count; i-- > 0 && !result;) {
		const struct steady_name *name = &steady->names[i];

		prefetch(commit->image, i >= PREFETCH_BUCKET ? name - PREFETCH_BUCKET : NULL,
		         i >= PREFETCH_NODE ? name - PREFETCH_NODE : NULL);
		if (name->is_steady)
			result = write_name(commit, &single, patch, name, &steady->stray);
	}
	zone_patch_free(patch);
	return result;
}

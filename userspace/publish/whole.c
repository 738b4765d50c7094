/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The whole way: a version is compiled from all its records, and what comes out as it was is kept. */
#include "compile/node.h"
#include "engine/engine.h"
#include "publish/commit.h"
#include "publish/order.h"
#include "publish/tree.h"

#include <stdlib.h>
#include <string.h>

/* The tree of the names below entry `number`, of which there are some: what `before` has, if it is the same. */
static int write_order(struct commit *commit, size_t number, pg_ref before)
{
	size_t count = commit->context.plan->entries[number].children;
	struct order_label *labels = compile_order_labels(&commit->context, number);
	int result = 0;

	if (!labels)
		return commit_refuse(commit, "out of memory");
	if (before && order_same(commit->image, before, labels, count))
		commit->trees[number] = before;
	else
		result = tree_write(commit, labels, count, &commit->trees[number]);
	free(labels);
	return result;
}

/* The trees of the names below each name, those of the version before as far as they are the same. */
static int write_trees(struct commit *commit)
{
	const struct plan *plan = commit->context.plan;
	int result = 0;

	for (size_t i = plan->denial.kind == PG_DENIAL_NSEC ? plan->names : 0; i-- > 0 && !result;) {
		const struct plan_entry *entry = &plan->entries[i];
		pg_ref old;

		if (!entry->children)
			continue;
		old = image_find_node(commit->image, commit->context.slot, entry->role, entry->name);
		result = write_order(commit, i, old ? node_below(commit_node(commit, old)).order : 0);
	}
	return result;
}

/* Names of the version before that the new one does not have: both are in the same order. */
static int write_absences(struct commit *commit)
{
	const struct roll *roll = &commit_zone(commit)->roll;
	size_t at = 0;
	pg_ref ref;

	for (struct roll_place place = {}; (ref = roll_get(roll, place)); place = roll_next(roll, place)) {
		while (at < commit->context.plan->count && !commit->before[at])
			at++;
		if (at < commit->context.plan->count && commit->before[at] == ref)
			at++;
		else if (commit_absence(commit, ref))
			return -1;
	}
	return 0;
}

static int add_target(void *targets, uint64_t hash)
{
	return targets_add(targets, hash);
}

/* The roll of the new version, and what else is known of it. */
static int gather(struct commit *commit, struct image_zone *made)
{
	const struct plan *plan = commit->context.plan;

	for (size_t i = 0; i < plan->count; i++) {
		const struct plan_entry *entry = &plan->entries[i];

		made->cold += entry->role == PG_ROLE_NAME && commit->nodes[i] >= PG_COLD;
		made->proofs += entry->role == PG_ROLE_NSEC3;
		made->addresses += entry->role == PG_ROLE_ADDRESSES;
		made->wildcards += entry->role == PG_ROLE_NAME && entry->flags & PG_NODE_WILDCARD;
		made->kept += entry->role == PG_ROLE_KEPT;
		if (roll_put(&made->roll, commit->nodes[i]) ||
		    (entry->names_targets &&
		     targets_each(commit_node(commit, commit->nodes[i]), add_target, &made->targets)))
			return commit_refuse(commit, "out of memory");
	}
	for (size_t i = 0; i < plan->zone->name_count; i++)
		for (size_t j = 0; j < plan->zone->names[i].rrset_count; j++)
			made->records += plan->zone->names[i].rrsets[j].count;
	made->known = !plan->fault[0];
	return 0;
}

static int write_version(struct commit *commit, const struct plan *plan, struct image_zone *made)
{
	if (roll_sort(&commit->image->segments, &commit_zone(commit)->roll))
		return commit_refuse(commit, "out of memory");
	return commit_plan(commit, plan) || commit_head(commit) || write_trees(commit) || commit_entries(commit) ||
	               write_absences(commit) || gather(commit, made)
	           ? -1
	           : 0;
}

void image_zone_free(struct image_zone *data)
{
	roll_free(&data->roll);
	targets_free(&data->targets);
	*data = (struct image_zone){};
}

int image_commit(struct image *image, struct zone_version *version, uint64_t expires_at, void (*visible)(void *context),
                 void *context, char *why, size_t why_size)
{
	struct image_zone made = {}, *data;
	struct commit commit;
	struct plan *plan;
	int result;

	if (commit_begin(&commit, image, version->apex, why, why_size))
		return -1;
	plan = plan_new(version);
	result = plan ? write_version(&commit, plan, &made) : commit_refuse(&commit, "out of memory");
	if (result) {
		image_zone_free(&made);
		commit_fail(&commit);
	} else {
		data = commit_zone(&commit);
		image_zone_free(data);
		*data = made;
		commit_end(&commit, expires_at, visible, context);
	}
	plan_free(plan);
	return result;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The short way: a change is made into the next version by compiling what it concerns (publish/scope.h). */
#include "compile/node.h"
#include "publish/commit.h"
#include "publish/scope.h"
#include "publish/steady.h"
#include "publish/tree.h"

#include <libknot/dname.h>
#include <stdio.h>
#include <string.h>

static const enum pg_role roles[] = {PG_ROLE_NAME, PG_ROLE_ADDRESSES, PG_ROLE_NSEC3, PG_ROLE_KEPT};
#define ROLES (sizeof(roles) / sizeof(roles[0]))

static bool is_again(const void *context, const uint8_t *name)
{
	const struct scope_name *there = scope_find(context, name);

	return there && there->again;
}

/* Whether the part is planned as the version before was, and nothing in it is wrong. */
static bool is_alike(const struct plan *plan, const struct pg_head *head)
{
	const struct plan_denial *denial = &plan->denial;

	if (plan->fault[0] || denial->kind != head->denial)
		return false;
	return denial->kind != PG_DENIAL_NSEC3 ||
	       (denial->iterations == head->iterations && denial->salt_length == head->salt_length &&
	        !memcmp(denial->salt, head->salt, denial->salt_length));
}

/* Notes which nodes the names have in the new version, and how many names that makes. */
static void find_roles(struct scope *scope, struct plan *plan)
{
	plan->all_names = scope->head->names;
	for (size_t i = 0; i < plan->count; i++) {
		const struct plan_entry *entry = &plan->entries[i];

		if (entry->again && entry->role != PG_ROLE_SPAN)
			scope_find(scope, entry->name)->roles |= 1U << entry->role;
	}
	for (size_t i = 0; i < scope->count; i++) {
		const struct scope_name *name = &scope->names[i];

		if (name->again)
			plan->all_names += (name->roles >> PG_ROLE_NAME & 1) - (name->before != NULL);
	}
}

/* The trees of the names below those that are compiled again. */
static int write_trees(struct commit *commit, const struct scope *scope)
{
	const struct plan *plan = commit->context.plan;

	for (size_t i = 0; i < plan->names; i++) {
		const struct plan_entry *entry = &plan->entries[i];
		pg_ref ref = entry->again && plan->denial.kind == PG_DENIAL_NSEC
		                 ? scope_node(scope, PG_ROLE_NAME, entry->name)
		                 : 0;

		if (ref)
			commit->trees[i] = node_below(commit_node(commit, ref)).order;
	}
	for (size_t from = 0, to; from < scope->edit_count; from = to) {
		const uint8_t *name = scope->edits[from].name, *parent = name + name[0] + 1;
		size_t number = 0;

		for (to = from + 1; to < scope->edit_count; to++)
			if (!knot_dname_is_equal(scope->edits[to].name + scope->edits[to].name[0] + 1, parent))
				break;
		/* A name that is gone has no tree. */
		if (plan_find_entry(plan, parent, &number) &&
		    tree_edit(commit, &commit->trees[number], scope->edits + from, to - from))
			return -1;
	}
	return 0;
}

/* Nodes that the names have no longer. They are looked for last of all: what was written may have moved them. */
static int write_absences(struct commit *commit, const struct scope *scope)
{
	for (size_t i = 0; i < scope->count; i++)
		for (size_t j = 0; j < ROLES; j++) {
			const struct scope_name *name = &scope->names[i];
			pg_ref ref = 0;

			if (name->again && !(name->roles >> roles[j] & 1))
				ref = scope_node(scope, roles[j], name->name);
			if (ref && commit_absence(commit, ref))
				return -1;
		}
	return 0;
}

/* One change of a zone on the short way. */
struct part {
	struct zone_changes *changes;
	bool apart; /* steady names go by themselves, all others, and the apex, by their scope */
	struct steady steady;
	struct scope scope;
};

static int write_part(struct commit *commit, struct part *part, struct plan *plan)
{
	struct scope *scope = &part->scope;

	find_roles(scope, plan);
	if (commit_plan(commit, plan))
		return -1;
	/* Wildcards that stay as they are: the names that they belong to refer to them. */
	for (size_t i = 0; i < plan->names; i++)
		if (!plan->entries[i].again && plan->entries[i].flags & PG_NODE_WILDCARD)
			commit->nodes[i] = scope_node(scope, PG_ROLE_NAME, plan->entries[i].name);
	return commit_head(commit) || write_trees(commit, scope) || commit_entries(commit) ||
	               steady_write(commit, &part->steady) || write_absences(commit, scope)
	           ? -1
	           : 0;
}

static enum image_change publish(struct commit *commit, struct part *all, uint64_t expires_at,
                                 void (*visible)(void *context), void *context)
{
	const struct scope *scope = &all->scope;
	const struct plan_part part = {
	    .again = is_again,
	    .context = scope,
	    .targets = scope->targets,
	    .target_count = scope->target_count,
	    .span_order = scope->head->span_order,
	    .spans = scope->spans,
	    .span_count = scope->span_count,
	};
	struct plan *plan = plan_new_part(scope->version, &part);
	enum image_change result = IMAGE_TOO_FAR;

	if (!plan || !is_alike(plan, scope->head)) {
		commit_fail(commit);
	} else if (write_part(commit, all, plan)) {
		commit_fail(commit);
		result = IMAGE_REFUSED;
	} else {
		struct image_zone *data = commit_zone(commit);

		data->records = scope->records;
		data->proofs = scope->proofs;
		commit_end(commit, expires_at, visible, context);
		result = IMAGE_CHANGED;
	}
	plan_free(plan);
	return result;
}

/* Whether the changes lead on from the version served. */
static int check_base(struct commit *commit, const struct zone_changes *changes)
{
	const struct pg_head *head = segments_at(&commit->image->segments, commit->old.ref);

	if (!commit->old.ref)
		return commit_refuse(commit, "nothing of the zone is served");
	if (head->serial != zone_changes_from(changes))
		return commit_refuse(commit, "another serial is served by now");
	return 0;
}

/* `part->apart` becomes false if it cannot be. */
static enum image_change change_part(struct image *image, struct part *part, uint64_t expires_at,
                                     void (*visible)(void *context), void *context, char *why, size_t why_size)
{
	enum image_change result = IMAGE_TOO_FAR;
	struct commit commit;

	if (commit_begin(&commit, image, zone_changes_apex(part->changes), why, why_size))
		return IMAGE_REFUSED;
	if (check_base(&commit, part->changes))
		return IMAGE_MISFIT;
	commit.part = true;
	if (!commit_zone(&commit)->known)
		return IMAGE_TOO_FAR;
	if (part->apart && steady_find(&part->steady, &commit, part->changes))
		return IMAGE_TOO_FAR;
	switch (scope_make(&part->scope, image, commit.context.slot, commit.old.ref,
	                   part->apart ? part->steady.others : part->changes, part->steady.more, why, why_size)) {
	case SCOPE_MADE:
		part->apart = steady_stands_apart(&part->steady, &part->scope);
		if (part->apart)
			result = publish(&commit, part, expires_at, visible, context);
		break;
	case SCOPE_MISFIT:
		result = IMAGE_MISFIT;
		break;
	case SCOPE_TOO_FAR:
		break;
	}
	return result;
}

enum image_change image_change_part(struct image *image, struct zone_changes *changes, uint64_t expires_at,
                                    void (*visible)(void *context), void *context, char *why, size_t why_size)
{
	enum image_change result;
	bool apart = true, again;

	do {
		struct part part = {.changes = changes, .apart = apart};

		result = change_part(image, &part, expires_at, visible, context, why, why_size);
		again = apart && !part.apart;
		apart = part.apart;
		scope_free(&part.scope);
		steady_free(&part.steady);
	} while (again);
	return result;
}

enum image_change image_change(struct image *image, struct zone_changes *changes, uint64_t expires_at,
                               void (*visible)(void *context), void *context, char *why, size_t why_size)
{
	enum image_change result = image_change_part(image, changes, expires_at, visible, context, why, why_size);
	struct zone_version *version = NULL;
	struct zone_builder *base;
	int64_t slot;

	if (result != IMAGE_TOO_FAR) {
		zone_changes_free(changes);
		return result;
	}
	pthread_mutex_lock(&image->zones_lock);
	slot = image_find_zone(image, zone_changes_apex(changes));
	pthread_mutex_unlock(&image->zones_lock);
	base = slot < 0 ? NULL : image_read_back(image, slot);
	if (base) {
		version = zone_changes_apply(changes, base, why, why_size);
	} else {
		snprintf(why, why_size, "the version served cannot be read back");
		zone_changes_free(changes);
	}
	if (!version)
		return IMAGE_MISFIT;
	result =
	    image_commit(image, version, expires_at, visible, context, why, why_size) ? IMAGE_REFUSED : IMAGE_CHANGED;
	zone_unref(version);
	return result;
}

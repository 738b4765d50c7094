/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "publish/tree.h"
#include "publish/order.h"

#include <stdlib.h>
#include <string.h>

/* Labels that go into blocks of one level. */
struct label_list {
	struct order_label *labels;
	size_t count, room;
};

static int put_label(struct commit *commit, struct label_list *list, const struct order_label *label)
{
	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 2 * PG_ORDER_ENTRIES;
		struct order_label *labels = realloc(list->labels, room * sizeof(*labels));

		if (!labels)
			return commit_refuse(commit, "out of memory");
		list->labels = labels;
		list->room = room;
	}
	list->labels[list->count++] = *label;
	return 0;
}

/* Writes `count` labels as blocks of about the same size; in their places come the blocks. Returns how many, or -1. */
static int64_t write_level(struct commit *commit, struct order_label *labels, size_t count, bool leaf)
{
	size_t blocks = (count + PG_ORDER_ENTRIES - 1) / PG_ORDER_ENTRIES;

	for (size_t i = 0; i < blocks; i++) {
		size_t from = count * i / blocks, to = count * (i + 1) / blocks;
		pg_ref ref;

		if (compile_order_block(labels + from, to - from, leaf, &commit->buffer))
			return commit_refuse(commit, "out of memory");
		ref = commit_shared(commit, &commit->buffer);
		if (!ref || commit_append(commit, &commit->orders, ref))
			return -1;
		labels[i] = (struct order_label){.label = labels[from].label, .below = ref};
	}
	return blocks;
}

/* Writes levels until one block is left. */
static int write_levels(struct commit *commit, struct order_label *labels, size_t count, bool leaf, pg_ref *root)
{
	int64_t blocks = count;

	for (; leaf || blocks > 1; leaf = false) {
		blocks = write_level(commit, labels, blocks, leaf);
		if (blocks < 0)
			return -1;
	}
	*root = labels[0].below;
	return 0;
}

int tree_write(struct commit *commit, struct order_label *labels, size_t count, pg_ref *root)
{
	return write_levels(commit, labels, count, true, root);
}

static const struct pg_order *order_at(const struct commit *commit, pg_ref ref)
{
	return segments_at(&commit->image->segments, ref);
}

static int compare_labels(const uint8_t *a, const uint8_t *b)
{
	int order = memcmp(a + 1, b + 1, a[0] < b[0] ? a[0] : b[0]);

	return order ? order : a[0] - b[0];
}

/* The labels of a leaf after the changes. Returns whether they are others, or -1. */
static int edit_leaf(struct commit *commit, const struct pg_order *order, const struct scope_edit *edits, size_t count,
                     struct label_list *list)
{
	size_t i = 0, j = 0;
	int changed = 0;

	while (i < order->count || j < count) {
		int compared = j == count          ? -1
		               : i == order->count ? 1
		                                   : compare_labels(order_label(order, i), edits[j].name);
		struct order_label label = {};

		if (compared <= 0)
			label = (struct order_label){.label = order_label(order, i), .last = order->entry[i].leads};
		if (compared >= 0) {
			changed |= compared || edits[j].gone || edits[j].last != label.last;
			label = (struct order_label){.label = edits[j].name, .last = edits[j].last};
		}
		if (!(compared >= 0 && edits[j].gone) && put_label(commit, list, &label))
			return -1;
		i += compared <= 0;
		j += compared >= 0;
	}
	return changed;
}

static int edit_block(struct commit *commit, pg_ref ref, const struct scope_edit *edits, size_t count, bool root,
                      struct label_list *out);

/* The same of a block above others: the changes go to those, in whose place come as many as it takes. */
static int edit_inner(struct commit *commit, const struct pg_order *order, const struct scope_edit *edits, size_t count,
                      struct label_list *list)
{
	int changed = 0;

	for (size_t i = 0, from = 0; i < order->count; i++) {
		const struct order_label label = {.label = order_label(order, i), .below = order->entry[i].leads};
		size_t to = from, before = list->count;

		while (to < count &&
		       (i + 1 == order->count || compare_labels(edits[to].name, order_label(order, i + 1)) < 0))
			to++;
		if (from == to ? put_label(commit, list, &label)
		               : edit_block(commit, label.below, edits + from, to - from, false, list))
			return -1;
		changed |= list->count != before + 1 || list->labels[before].below != label.below;
		from = to;
	}
	return changed;
}

/* Adds to `out` what comes in the block's place: itself, if nothing is another. */
static int edit_block(struct commit *commit, pg_ref ref, const struct scope_edit *edits, size_t count, bool root,
                      struct label_list *out)
{
	const struct pg_order *order = order_at(commit, ref);
	struct label_list list = {};
	int64_t blocks = 0;
	int changed = order->leaf ? edit_leaf(commit, order, edits, count, &list)
	                          : edit_inner(commit, order, edits, count, &list);

	if (!changed) {
		const struct order_label same = {.label = order_label(order, 0), .below = ref};

		free(list.labels);
		return put_label(commit, out, &same);
	}
	if (changed < 0 || commit_append(commit, &commit->old_blocks, ref))
		blocks = -1;
	else if (root && !order->leaf && list.count == 1)
		blocks = 1; /* what is below is the tree */
	else if (list.count)
		blocks = write_level(commit, list.labels, list.count, order->leaf);
	for (int64_t i = 0; i < blocks; i++)
		if (put_label(commit, out, &list.labels[i]))
			blocks = -1;
	free(list.labels);
	return blocks < 0 ? -1 : 0;
}

int tree_edit(struct commit *commit, pg_ref *root, const struct scope_edit *edits, size_t count)
{
	static const struct pg_order none = {.leaf = 1};
	struct label_list list = {};
	bool leaf = !*root;
	int result =
	    leaf ? edit_leaf(commit, &none, edits, count, &list) : edit_block(commit, *root, edits, count, true, &list);

	if (result >= 0) {
		result = 0;
		*root = 0;
		if (list.count)
			result = write_levels(commit, list.labels, list.count, leaf, root);
	}
	free(list.labels);
	return result;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing the ordered trees of a version (struct pg_order): anew, or as the one before but for some labels. */
#ifndef PEREGRINE_TREE_H
#define PEREGRINE_TREE_H

#include "publish/commit.h"
#include "publish/scope.h"

/* Writes a tree over `count` labels, at least one, and gives its root; the labels are used up. Returns 0, or -1 with
 * the reason. */
int tree_write(struct commit *commit, struct order_label *labels, size_t count, pg_ref *root);

/* Writes the blocks of the tree at `root`, 0 for none, that these changes of labels alter, in order of labels; the
 * others are shared with the version before. `root` becomes that of the new version. */
int tree_edit(struct commit *commit, pg_ref *root, const struct scope_edit *edits, size_t count);

#endif

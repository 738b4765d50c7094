/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ordered trees in the image (struct pg_order): comparing, keeping, giving back. */
#ifndef PEREGRINE_ORDER_H
#define PEREGRINE_ORDER_H

#include "compile/compile.h"
#include "publish/image_internal.h"

/* Whether the tree at `ref` holds exactly these labels. */
bool order_same(const struct image *image, pg_ref ref, const struct order_label *labels, size_t count);

/* Gives back a tree, or one block of it. */
void order_free(struct image *image, pg_ref ref);
void order_free_block(struct image *image, pg_ref ref);

/* Marks the blocks of a tree as used, of an image that is adopted. Returns -1 when it is none. */
int order_mark(struct image *image, pg_ref ref);

#endif

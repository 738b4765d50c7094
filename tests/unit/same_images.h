/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For tests: whether what stands in an image after changes is what a fresh image has that is made of the same records.
 */
#ifndef PEREGRINE_TESTS_SAME_IMAGES_H
#define PEREGRINE_TESTS_SAME_IMAGES_H

#include "difference.h"
#include "zone_text.h"

#include "compile/node.h"
#include "publish/order.h"
#include "publish/scope.h"

#define SAME_LABELS 1000 /* below one name, at most */

static inline const char *name_text(const struct pg_node *node)
{
	static knot_dname_txt_storage_t name;

	if (node->role == PG_ROLE_NSEC3)
		snprintf(name, sizeof(name), "%.*s", node_label(node)[0], (const char *)node_label(node) + 1);
	else if (node->role == PG_ROLE_SPAN || !knot_dname_to_str(name, (const uint8_t *)(node + 1), sizeof(name)))
		snprintf(name, sizeof(name), "span %u", *(const uint32_t *)(node + 1));
	return name;
}

static inline size_t labels_of(const struct image *image, pg_ref ref, struct order_label *labels, size_t count)
{
	const struct pg_order *order = segments_at(&image->segments, ref);

	assert_in_range(order->count, 1, PG_ORDER_ENTRIES);
	for (uint16_t i = 0; i < order->count; i++) {
		const uint8_t *label = order_label(order, i);

		if (order->leaf) {
			labels[count++] = (struct order_label){.label = label, .last = order->entry[i].leads};
			continue;
		}
		/* A block is found by its first label. */
		size_t first = count;

		count = labels_of(image, order->entry[i].leads, labels, count);
		assert_memory_equal(label, labels[first].label, label[0] + 1);
	}
	return count;
}

static inline void same_trees(const struct image *a, pg_ref left, const struct image *b, pg_ref right, const char *name)
{
	static struct order_label labels[SAME_LABELS];
	size_t count;

	if (!left != !right)
		fail_msg("%s: one has a tree", name);
	if (!left)
		return;
	count = labels_of(b, right, labels, 0);
	if (!order_same(a, left, labels, count))
		fail_msg("%s: other labels, or other names before", name);
}

static inline void same_nodes(const struct image *a, const struct pg_node *left, const struct image *b,
                              const struct pg_node *right)
{
	const __u64 *content;
	struct pg_below below;
	size_t before;
	char name[1100];

	snprintf(name, sizeof(name), "%s role %u", name_text(left), left->role);
	if (left->role != right->role || left->name_length != right->name_length ||
	    memcmp(left + 1, right + 1, left->name_length) != 0)
		fail_msg("%s in the place of %s role %u", name, name_text(right), right->role);
	if (left->hash != right->hash || left->flags != right->flags || left->rrsets != right->rrsets)
		fail_msg("%s: flags %x with %u RRsets, and not %x with %u", name, left->flags, left->rrsets,
		         right->flags, right->rrsets);
	/* All but the references. */
	content = node_proofs(left);
	before = (const uint8_t *)content - (const uint8_t *)left;
	if (left->units != right->units || memcmp(content, node_proofs(right), left->units * PG_UNIT - before) != 0)
		fail_msg("%s: another content", name);
	below = node_below(left);
	if (!below.wildcard != !node_below(right).wildcard)
		fail_msg("%s: one has a wildcard", name);
	if (below.wildcard) {
		const struct pg_node *wildcard = segments_at(&a->segments, below.wildcard);
		uint8_t expected[PG_NAME_ROOM] = {1, '*'};

		memcpy(expected + 2, left + 1, left->name_length);
		assert_memory_equal(expected, wildcard + 1, left->name_length + 2);
		assert_int_equal(below.wildcard,
		                 image_find_node(a, left->zone, PG_ROLE_NAME, (const uint8_t *)(wildcard + 1)));
	}
	same_trees(a, below.order, b, node_below(right).order, name);
}

static inline void same_targets(const struct targets *a, const struct targets *b)
{
	assert_int_equal(a->named, b->named);
	for (size_t i = 0; i < a->room; i++)
		if (a->slots[i].count)
			assert_int_equal(a->slots[i].count, targets_count(b, a->slots[i].hash));
}

static inline void same_heads(const struct image *a, const struct image *b)
{
	const struct pg_head *left = segments_at(&a->segments, image_head(a, 0).ref);
	const struct pg_head *right = segments_at(&b->segments, image_head(b, 0).ref);
	struct pg_head copy = *left;

	assert_int_equal(left->units, right->units);
	copy.version = right->version;
	assert_memory_equal(&copy, right, sizeof(copy));
	assert_memory_equal(left + 1, right + 1, left->units * PG_UNIT - sizeof(*left));
}

static inline void same_images(const struct image *a, const struct image *b)
{
	const struct image_zone *left = &a->zone_data[0], *right = &b->zone_data[0];
	struct roll_place i = {}, j = {};

	same_heads(a, b);
	for (; roll_get(&left->roll, i) && roll_get(&right->roll, j);
	     i = roll_next(&left->roll, i), j = roll_next(&right->roll, j)) {
		pg_ref ref = roll_get(&left->roll, i);
		const struct pg_node *node = segments_at(&a->segments, ref);

		same_nodes(a, node, b, segments_at(&b->segments, roll_get(&right->roll, j)));
		assert_int_equal(ref, image_find_cell(a, node)->ref);
	}
	assert_int_equal(left->roll.count, right->roll.count);
	if (!left->known)
		return;
	assert_int_equal(left->records, right->records);
	assert_int_equal(left->proofs, right->proofs);
	assert_int_equal(left->addresses, right->addresses);
	assert_int_equal(left->wildcards, right->wildcards);
	assert_int_equal(left->kept, right->kept);
	assert_int_equal(left->cold, right->cold);
	same_targets(&left->targets, &right->targets);
}

/* An image whose hashes are those of others with the same seed. */
static inline struct image *fresh_image(uint64_t seed)
{
	struct image *image = image_open(NULL, 64 << 20, 53, 1232);

	assert_non_null(image);
	image->settings->hash_seed = seed;
	return image;
}

static inline void commit(struct image *image, struct zone_version *version)
{
	char why[512] = "";

	assert_int_equal(0, image_add_zone(image, version->apex));
	if (image_commit(image, version, UINT64_MAX, zone_text_visible, NULL, why, sizeof(why)))
		fail_msg("%s", why);
}

#endif

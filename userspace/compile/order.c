/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The names below another in canonical order, as the blocks by which the engine finds the one before (struct pg_order).
 */
#include "compile/fragment.h"
#include "engine/engine.h"

#include <stdlib.h>
#include <string.h>

struct order_label *compile_order_labels(const struct compile_context *context, size_t number)
{
	const struct plan *plan = context->plan;
	const struct plan_entry *entry = &plan->entries[number];
	struct order_label *labels = calloc(entry->children + 1U, sizeof(*labels));
	size_t child = number + 1;

	for (uint32_t i = 0; labels && i < entry->children; i++) {
		size_t last = plan->entries[child].last;
		uint32_t owner = plan->denial.owners[last];

		labels[i].label = plan->entries[child].name;
		/* None at or below the child: what comes before it does not lead over it. */
		if (owner > child) {
			const struct plan_entry *proof = &plan->entries[owner - 1];

			labels[i].last = engine_hash(context->settings, PG_ROLE_NAME, context->slot, proof->name,
			                             proof->name_length);
		}
		child = last + 1;
	}
	return labels;
}

/* Octets that all labels begin with. */
static size_t common_octets(const struct order_label *labels, size_t count)
{
	const uint8_t *first = labels[0].label;
	size_t common = first[0];

	for (size_t i = 1; i < count; i++) {
		const uint8_t *label = labels[i].label;
		size_t same = 0;

		while (same < common && same < label[0] && label[1 + same] == first[1 + same])
			same++;
		common = same;
	}
	return common;
}

/* Octets from `from` to `to` of a label, eight at the most, as a number. */
static uint64_t octets_of(const uint8_t *label, size_t from, size_t to)
{
	uint64_t octets = 0;

	for (size_t i = from; i < from + 8; i++)
		octets = octets << 8 | (i < label[0] && i < to ? label[1 + i] : 0);
	return octets;
}

int compile_order_block(const struct order_label *labels, size_t count, bool leaf, struct compile_buffer *out)
{
	struct pg_order *order;
	size_t skip = common_octets(labels, count);

	out->length = 0;
	if (!buffer_extend(out, sizeof(*order) + count * (sizeof(order->entry[0]) + sizeof(uint16_t))) ||
	    buffer_align(out, PG_UNIT))
		return -1;
	((struct pg_order *)out->octets)->count = count;
	for (size_t i = 0; i < count; i++) {
		const uint8_t *label = labels[i].label;
		size_t at = out->length;
		uint8_t *octets = buffer_extend(out, 1U + label[0]);

		if (!octets)
			return -1;
		memcpy(octets, label, 1U + label[0]);
		order = (struct pg_order *)out->octets;
		order->entry[i].window = octets_of(label, skip, skip + 8) >> 1;
		order->entry[i].leads = leaf ? labels[i].last : labels[i].below;
		((uint16_t *)order_labels(order))[i] = at;
	}
	/* Words are read up to seven octets behind a label. */
	if (!buffer_extend(out, PG_UNIT) || buffer_align(out, PG_UNIT))
		return -1;
	order = (struct pg_order *)out->octets;
	order->units = out->length / PG_UNIT;
	order->skip = skip;
	order->prefix = octets_of(labels[0].label, 0, skip);
	for (size_t i = 0; i < PG_ORDER_ENTRIES / PG_ORDER_STEP; i++) {
		size_t number = (i + 1) * PG_ORDER_STEP - 1;

		order->step[i] = number < count ? order->entry[number].window : PG_ORDER_LAST;
	}
	order->leaf = leaf;
	return 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "publish/order.h"

#include <string.h>

#define LEVELS_MAX 8

static const struct pg_order *order_at(const struct image *image, pg_ref ref)
{
	return segments_at(&image->segments, ref);
}

/* Compares from label `*at` on, and moves it. */
static bool same_from(const struct image *image, pg_ref ref, const struct order_label *labels, size_t count, size_t *at)
{
	const struct pg_order *order = order_at(image, ref);

	for (uint16_t i = 0; i < order->count; i++) {
		const uint8_t *label = order_label(order, i);
		uint64_t leads = order->entry[i].leads;

		if (!order->leaf) {
			if (!same_from(image, leads, labels, count, at))
				return false;
			continue;
		}
		if (*at == count || leads != labels[*at].last || memcmp(label, labels[*at].label, 1U + label[0]))
			return false;
		++*at;
	}
	return true;
}

bool order_same(const struct image *image, pg_ref ref, const struct order_label *labels, size_t count)
{
	size_t at = 0;

	return same_from(image, ref, labels, count, &at) && at == count;
}

void order_free_block(struct image *image, pg_ref ref)
{
	segments_free(&image->segments, ref, order_at(image, ref)->units);
}

void order_free(struct image *image, pg_ref ref)
{
	const struct pg_order *order = order_at(image, ref);

	for (uint16_t i = 0; !order->leaf && i < order->count; i++)
		order_free(image, order->entry[i].leads);
	order_free_block(image, ref);
}

static int mark(struct image *image, pg_ref ref, int levels)
{
	const struct pg_order *order;

	if (!levels || !ref || !segments_has(&image->segments, ref, sizeof(*order)))
		return -1;
	order = order_at(image, ref);
	if (order->count > PG_ORDER_ENTRIES || segments_mark(&image->segments, ref, order->units))
		return -1;
	for (uint16_t i = 0; !order->leaf && i < order->count; i++)
		if (mark(image, order->entry[i].leads, levels - 1))
			return -1;
	return 0;
}

int order_mark(struct image *image, pg_ref ref)
{
	return mark(image, ref, LEVELS_MAX);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the publisher does at once, in the caller's thread: words of a zone record, under the lock that the publisher's
 * thread takes too, and what can be told of zones. */
#include "publish/image_internal.h"
#include "publish/publish.h"

static void fill(const struct image *image, uint32_t slot, struct publisher_zone *out)
{
	const struct pg_zone *zone = image_zone(image, slot);
	const struct pg_head *head = segments_at(&image->segments, zone->head.ref);

	*out = (struct publisher_zone){.loaded = zone->head.ref, .expires_at = zone->expires_at};
	if (!out->loaded)
		return;
	out->serial = head->serial;
	out->names = head->names;
	out->cold = __atomic_load_n(&image->zone_data[slot].cold, __ATOMIC_RELAXED);
}

void publisher_each_zone(struct publisher *publisher,
                         void (*found)(const uint8_t *apex, const struct publisher_zone *zone, void *context),
                         void *context)
{
	struct image *image = publisher_image(publisher);
	bool there = true;

	for (uint32_t slot = 0; there; slot++) {
		struct publisher_zone out;
		struct pg_zone zone = {};

		/* They may become more meanwhile. */
		pthread_mutex_lock(&image->zones_lock);
		there = slot < image->zones.entries;
		if (there)
			zone = *image_zone(image, slot);
		if (zone.flags & PG_ZONE_IN_USE)
			fill(image, slot, &out);
		pthread_mutex_unlock(&image->zones_lock);
		if (zone.flags & PG_ZONE_IN_USE)
			found(zone.name, &out, context);
	}
}

void publisher_expect_zones(struct publisher *publisher, uint64_t zones)
{
	pthread_mutex_lock(&publisher_image(publisher)->zones_lock);
	image_expect_zones(publisher_image(publisher), zones);
	pthread_mutex_unlock(&publisher_image(publisher)->zones_lock);
}

int publisher_add_zone(struct publisher *publisher, const uint8_t *apex)
{
	int64_t slot;

	pthread_mutex_lock(&publisher_image(publisher)->zones_lock);
	slot = image_add_zone(publisher_image(publisher), apex);
	pthread_mutex_unlock(&publisher_image(publisher)->zones_lock);
	return slot < 0 ? -1 : 0;
}

void publisher_set_private(struct publisher *publisher, const uint8_t *apex, bool private)
{
	struct image *image = publisher_image(publisher);
	int64_t slot;

	pthread_mutex_lock(&image->zones_lock);
	slot = image_find_zone(image, apex);
	if (slot >= 0 && private)
		image_zone(image, slot)->flags |= PG_ZONE_PRIVATE;
	else if (slot >= 0)
		image_zone(image, slot)->flags &= (uint16_t)~PG_ZONE_PRIVATE;
	pthread_mutex_unlock(&image->zones_lock);
}

struct zone_version *publisher_read_adopted(struct publisher *publisher, const uint8_t *apex)
{
	struct image *image = publisher_image(publisher);
	int64_t slot = image_find_zone(image, apex);
	struct zone_builder *builder = slot >= 0 && image_head(image, slot).ref ? image_read_back(image, slot) : NULL;
	char why[256];

	return builder ? zone_builder_finish(builder, why, sizeof(why)) : NULL;
}

bool publisher_zone_counters(struct publisher *publisher, const uint8_t *apex, bool *counted,
                             struct pg_zone_counters *program, struct pg_zone_counters *fallback)
{
	struct image *image = publisher_image(publisher);
	int64_t slot;

	pthread_mutex_lock(&image->zones_lock);
	slot = image->zone_counters ? image_find_zone(image, apex) : -1;
	if (slot >= 0)
		*counted = zone_counters_read(image->zone_counters, slot, program, fallback);
	pthread_mutex_unlock(&image->zones_lock);
	return slot >= 0;
}

bool publisher_zone(struct publisher *publisher, const uint8_t *apex, struct publisher_zone *out)
{
	struct image *image = publisher_image(publisher);
	int64_t slot;

	pthread_mutex_lock(&image->zones_lock);
	slot = image_find_zone(image, apex);
	if (slot >= 0)
		fill(image, slot, out);
	pthread_mutex_unlock(&image->zones_lock);
	return slot >= 0;
}

void publisher_set_expiry(struct publisher *publisher, const uint8_t *apex, uint64_t expires_at)
{
	struct image *image = publisher_image(publisher);
	int64_t slot;

	pthread_mutex_lock(&image->zones_lock);
	slot = image_find_zone(image, apex);
	if (slot >= 0)
		__atomic_store_n(&image_zone(image, slot)->expires_at, expires_at, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&image->zones_lock);
}

void publisher_set_policy(struct publisher *publisher, const struct pg_policy *policy)
{
	image_set_policy(publisher_image(publisher), policy);
}

void publisher_set_clock(struct publisher *publisher)
{
	image_set_clock(publisher_image(publisher));
}

bool publisher_adopted(struct publisher *publisher)
{
	return publisher_image(publisher)->adopted;
}

uint64_t publisher_memory(struct publisher *publisher)
{
	return image_memory_used(publisher_image(publisher));
}

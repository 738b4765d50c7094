/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Zones, and what each of their secondaries is to be told. */
#include "transfer_out/notify_internal.h"

#include <stdlib.h>
#include <string.h>

const char *notify_state_text(enum notify_state state)
{
	static const char *const texts[] = {
	    [NOTIFY_NONE] = "none",       [NOTIFY_WAITING] = "waiting", [NOTIFY_ANSWERED] = "answered",
	    [NOTIFY_REFUSED] = "refused", [NOTIFY_SILENT] = "silent",   [NOTIFY_UNSENT] = "unsent"};

	return texts[state];
}

/* --- zones --- */

static void entries_free(struct entry *entries, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct target *target = entries[i].target;

		entry_withdraw(&entries[i]);
		free(entries[i].secondary);
		target_put(target);
	}
	free(entries);
}

static size_t count_addresses(const struct config_zone *config)
{
	size_t count = 0;

	for (size_t i = 0; i < config->outgoing.notify_count; i++)
		count += config->outgoing.notify[i]->address_count;
	return count;
}

/* Makes the entries that the configuration asks for. Returns their number, or -1 when memory is short. */
static ssize_t entries_new(struct notify_zone *zone, const struct config_zone *config, struct entry **out)
{
	size_t count = count_addresses(config), made = 0;
	struct entry *entries = calloc(count ? count : 1, sizeof(*entries));

	for (size_t i = 0; entries && i < config->outgoing.notify_count; i++) {
		const struct config_secondary *secondary = config->outgoing.notify[i];

		for (size_t j = 0; j < secondary->address_count; j++) {
			struct entry *entry = &entries[made];

			entry->zone = zone;
			entry->secondary = strdup(secondary->name);
			entry->target = entry->secondary ? target_get(zone->out, secondary, j) : NULL;
			if (!entry->target) {
				free(entry->secondary);
				entries_free(entries, made);
				return -1;
			}
			made++;
		}
	}
	*out = entries;
	return entries ? (ssize_t)made : -1;
}

struct notify_zone *notify_zone_new(struct notify_out *out, const struct config_zone *config)
{
	struct notify_zone *zone = calloc(1, sizeof(*zone));

	if (!zone)
		return NULL;
	zone->out = out;
	zone->apex = knot_dname_copy(config->apex, NULL);
	zone->name = strdup(config->name);
	if (!zone->apex || !zone->name || notify_zone_reconfigure(zone, config)) {
		notify_zone_free(zone);
		return NULL;
	}
	return zone;
}

int notify_zone_reconfigure(struct notify_zone *zone, const struct config_zone *config)
{
	struct entry *entries;
	ssize_t count = entries_new(zone, config, &entries);

	if (count < 0)
		return -1;
	for (size_t i = 0; i < (size_t)count; i++) {
		for (size_t j = 0; j < zone->count; j++) {
			struct entry *old = &zone->entries[j];

			if (old->target != entries[i].target)
				continue;
			entries[i].status = old->status;
			if (old->queued || old->under_way)
				entry_enqueue(&entries[i]);
			break;
		}
	}
	entries_free(zone->entries, zone->count);
	zone->entries = entries;
	zone->count = (size_t)count;
	for (size_t i = 0; i < zone->count; i++)
		target_go_on(entries[i].target);
	return 0;
}

void notify_zone_free(struct notify_zone *zone)
{
	if (!zone)
		return;
	entries_free(zone->entries, zone->count);
	knot_dname_free(zone->apex, NULL);
	free(zone->name);
	free(zone);
}

void notify_zone_changed(struct notify_zone *zone, uint32_t serial, const uint8_t *soa, size_t soa_length)
{
	zone->serial = serial;
	zone->soa_length = soa && soa_length <= sizeof(zone->soa) ? soa_length : 0;
	if (zone->soa_length)
		memcpy(zone->soa, soa, soa_length);
	for (size_t i = 0; i < zone->count; i++) {
		struct entry *entry = &zone->entries[i];

		if (entry->under_way) {
			entry->again = true;
			if (entry->due > entry->sent + notify_limits.pause)
				entry->due = entry->sent + notify_limits.pause;
		} else if (!entry->queued) {
			entry_enqueue(entry);
		}
		target_go_on(entry->target);
	}
}

size_t notify_zone_count(const struct notify_zone *zone)
{
	return zone->count;
}

void notify_zone_status(const struct notify_zone *zone, size_t index, struct notify_status *status)
{
	const struct entry *entry = &zone->entries[index];

	*status = entry->status;
	status->secondary = entry->secondary;
	config_address_text(&entry->target->address, status->address);
}

/* --- life --- */

struct notify_out *notify_out_new(uv_loop_t *loop)
{
	struct notify_out *out = calloc(1, sizeof(*out));

	if (!out)
		return NULL;
	out->loop = loop;
	uv_timer_init(loop, &out->timer);
	out->timer.data = out;
	return out;
}

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void notify_out_free(struct notify_out *out)
{
	if (out)
		uv_close((uv_handle_t *)&out->timer, on_timer_closed);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "publish/image_internal.h"
#include "common/log.h"
#include "engine/engine.h"
#include "publish/heat.h"
#include "publish/types.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <libknot/dname.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <urcu/urcu-memb.h>

#define FIRST_BUCKETS 64
/* Where there is that much memory the index begins with room for some ten thousand names: to make it larger is to wait
 * for the program's readers. */
#define AMPLE_MEMORY (256ULL << 20)
#define AMPLE_BUCKETS 4096
#define FIRST_ZONE_BUCKETS 4
#define FIRST_ZONES 16

static const struct table_kind index_kind = {"index", "pg_bucket", sizeof(struct pg_bucket)};
static const struct table_kind zone_index_kind = {"zone_index", "pg_bucket", sizeof(struct pg_bucket)};
static const struct table_kind zones_kind = {"zones", "pg_zone", sizeof(struct pg_zone)};

/* The pins that make an image, besides its segments. */
static const char *const image_pins[] = {"settings",         "image", "index_table", "zones_table",
                                         "zone_index_table", "index", "zone_index",  "zones"};

const struct image_view *image_view_get(const struct image *image)
{
	return rcu_dereference(image->view);
}

struct zone_counters *image_zone_counters(const struct image *image)
{
	return image->zone_counters;
}

void image_get_maps(const struct image *image, struct image_maps *out)
{
	*out = image->maps;
}

/* What the program needs besides segments. */
static uint64_t tables_memory(const struct image *image)
{
	return (uint64_t)image->index.table.entries * sizeof(struct pg_bucket) +
	       (uint64_t)image->zone_index.table.entries * sizeof(struct pg_bucket) +
	       (uint64_t)image->zones.entries * sizeof(struct pg_zone) + zone_counters_memory(image->zone_counters);
}

void image_bound_segments(struct image *image)
{
	uint64_t tables;

	pthread_mutex_lock(&image->zones_lock);
	tables = tables_memory(image);
	pthread_mutex_unlock(&image->zones_lock);
	segments_bound(&image->segments, image->memory > tables ? image->memory - tables : 0);
}

uint64_t image_memory_used(const struct image *image)
{
	return (uint64_t)image->segments.warm.count * PG_SEGMENT_SIZE + tables_memory(image);
}

void image_wait_readers(struct image *image)
{
	uint32_t zero = 0;

	urcu_memb_synchronize_rcu();
	if (image->maps.image < 0)
		return;
	/* Where the processor runs without ticks (nohz_full) the barrier is refused; putting a map of maps' slot waits
	 * for the program's readers too. */
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		bpf_map_update_elem(image->maps.index, &zero, &image->index.table.inner, BPF_ANY);
}

int image_renew_view(struct image *image)
{
	struct image_view *view = malloc(sizeof(*view)), *old = image->view;

	if (!view)
		return -1;
	*view = (struct image_view){
	    .base = image->segments.base,
	    .index = buckets_entries(&image->index),
	    .zone_index = buckets_entries(&image->zone_index),
	    .zones = (const struct pg_zone *)image->zones.memory,
	    .index_buckets = image->index.mask + 1,
	    .zone_buckets = image->zone_index.mask + 1,
	    .zone_slots = image->zones.entries,
	    .settings = image->settings,
	};
	rcu_assign_pointer(image->view, view);
	if (old) {
		urcu_memb_synchronize_rcu();
		free(old);
	}
	return 0;
}

/* A map of maps whose inner maps are like `inner`, pinned under its name. */
static int make_outer(struct image *image, const char *name, int inner, uint32_t entries)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .inner_map_fd = inner);
	char path[512];
	int fd;

	if (inner < 0)
		return -1;
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, name, sizeof(uint32_t), sizeof(uint32_t), entries, &options);
	close(inner);
	snprintf(path, sizeof(path), "%s/%s", image->pins, name);
	if (fd >= 0 && bpf_obj_pin(fd, path)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static int make_segment_template(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);

	return bpf_map_create(BPF_MAP_TYPE_ARRAY, "pg_segment", sizeof(uint32_t), PG_SEGMENT_SIZE, 1, &options);
}

static int make_settings(struct image *image)
{
	char path[512];

	if (!image->pins) {
		image->settings = calloc(1, sizeof(*image->settings));
		return image->settings ? 0 : -1;
	}
	image->maps.settings =
	    types_create_array("settings", "pg_settings", sizeof(struct pg_settings), 1, BPF_F_MMAPABLE);
	snprintf(path, sizeof(path), "%s/settings", image->pins);
	return image->maps.settings < 0 ? -1 : bpf_obj_pin(image->maps.settings, path);
}

static int map_settings(struct image *image)
{
	if (!image->pins)
		return 0;
	image->settings =
	    mmap(NULL, sizeof(*image->settings), PROT_READ | PROT_WRITE, MAP_SHARED, image->maps.settings, 0);
	if (image->settings != MAP_FAILED)
		return 0;
	image->settings = NULL;
	return -1;
}

static int make_maps(struct image *image)
{
	const uint32_t flags = BPF_F_MMAPABLE | BPF_F_INNER_MAP;
	struct image_maps *maps = &image->maps;

	maps->image = make_outer(image, "image", make_segment_template(), PG_SEGMENTS_MAX);
	maps->index =
	    make_outer(image, "index_table",
	               types_create_array("index", "pg_bucket", sizeof(struct pg_bucket), 1, flags), PG_ORDERS);
	maps->zone_index =
	    make_outer(image, "zone_index_table",
	               types_create_array("zone_index", "pg_bucket", sizeof(struct pg_bucket), 1, flags), PG_ORDERS);
	maps->zones = make_outer(image, "zones_table",
	                         types_create_array("zones", "pg_zone", sizeof(struct pg_zone), 1, flags), 1);
	if (maps->image >= 0 && maps->index >= 0 && maps->zone_index >= 0 && maps->zones >= 0)
		return 0;
	log_error("image: the kernel refuses to make maps: %s; peregrined needs CAP_BPF, or root", strerror(errno));
	return -1;
}

static int show_tables(struct image *image)
{
	return table_show(&image->index.table, &image->settings->index_order) ||
	               table_show(&image->zone_index.table, &image->settings->zone_index_order) ||
	               table_show(&image->zones, NULL)
	           ? -1
	           : 0;
}

int image_replace_buckets(struct image *image, struct buckets *present, struct buckets *next, uint8_t *order)
{
	struct buckets old = *present;

	*present = *next;
	if (table_show(&next->table, order) || image_renew_view(image)) {
		*present = old;
		table_show(&old.table, order);
		table_close(&next->table);
		return -1;
	}
	table_close(&old.table);
	return 0;
}

void image_drop_old_index(struct image *image)
{
	for (uint32_t slot = 0; image->old_index; slot++, image->old_index >>= 1)
		if (image->old_index & 1)
			table_drop(&image->index.table, slot);
}

/* The file is known by what no other image has, and what does not give the seed away. */
static int open_segments(struct image *image, const char *cold)
{
	return segments_open(&image->segments, image->maps.image, image->pins, cold,
	                     engine_hash_number(image->settings, 0, 0, 0));
}

static int make_image(struct image *image, const char *cold)
{
	uint32_t buckets = image->pins && image->memory >= AMPLE_MEMORY ? AMPLE_BUCKETS : FIRST_BUCKETS;
	struct image_maps *maps = &image->maps;

	if (make_settings(image) || map_settings(image)) {
		log_error("image: cannot make the settings map: %s", strerror(errno));
		return -1;
	}
	if (getrandom(&image->settings->hash_seed, sizeof(image->settings->hash_seed), 0) < 0)
		return -1;
	if (image->pins && make_maps(image))
		return -1;
	if (open_segments(image, cold) || buckets_make(&image->index, &index_kind, maps->index, image->pins, buckets) ||
	    buckets_make(&image->zone_index, &zone_index_kind, maps->zone_index, image->pins, FIRST_ZONE_BUCKETS) ||
	    table_make(&image->zones, &zones_kind, maps->zones, image->pins, FIRST_ZONES))
		return -1;
	segments_clear(&image->segments);
	if (show_tables(image))
		return -1;
	image->zone_data = calloc(IMAGE_ZONES_MAX, sizeof(*image->zone_data));
	/* Last of all: an image without its schema is none. */
	image->settings->schema = PG_SCHEMA;
	return image->zone_data ? 0 : -1;
}

static int open_pin(const struct image *image, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", image->pins, name);
	return bpf_obj_get(path);
}

/* Whether an image of this schema is pinned. Opens its settings. */
static bool find_pinned(struct image *image)
{
	struct bpf_map_info info = {};
	uint32_t size = sizeof(info), zero = 0, schema = 0;
	uint8_t *value;

	image->maps.settings = open_pin(image, "settings");
	if (image->maps.settings < 0)
		return false;
	if (!bpf_obj_get_info_by_fd(image->maps.settings, &info, &size)) {
		value = calloc(1, info.value_size + 8U);
		if (value && !bpf_map_lookup_elem(image->maps.settings, &zero, value))
			memcpy(&schema, value, sizeof(schema));
		free(value);
	}
	if (schema == PG_SCHEMA && info.value_size == sizeof(struct pg_settings))
		return true;
	if (schema == PG_SCHEMA || !schema)
		log_warning("%s: holds a broken image; replaced by a new one", image->pins);
	else
		log_warning("%s: holds an image of schema %u, this version has %u; replaced by a new one", image->pins,
		            schema, PG_SCHEMA);
	close(image->maps.settings);
	image->maps.settings = -1;
	return false;
}

static int adopt_maps(struct image *image, const char *cold)
{
	struct image_maps *maps = &image->maps;

	maps->image = open_pin(image, "image");
	maps->index = open_pin(image, "index_table");
	maps->zones = open_pin(image, "zones_table");
	maps->zone_index = open_pin(image, "zone_index_table");
	if (maps->image < 0 || maps->index < 0 || maps->zones < 0 || maps->zone_index < 0 || map_settings(image) ||
	    open_segments(image, cold) || segments_adopt(&image->segments) ||
	    buckets_adopt(&image->index, &index_kind, maps->index, image->pins) ||
	    buckets_adopt(&image->zone_index, &zone_index_kind, maps->zone_index, image->pins) ||
	    table_adopt(&image->zones, &zones_kind, maps->zones, image->pins))
		return -1;
	image->zone_data = calloc(IMAGE_ZONES_MAX, sizeof(*image->zone_data));
	/* An agent that was killed while it replaced a table left the old one pinned. Everything in it is still right:
	 * at that moment the two held the same. */
	if (!image->zone_data || show_tables(image))
		return -1;
	/* Or the one before it in its slot. */
	image->old_index = table_others(&image->index.table, PG_ORDERS);
	return image_adopt(image);
}

/* Lets go of everything mapped and opened, but not of pins. */
static void release(struct image *image)
{
	int *fds[] = {&image->maps.image, &image->maps.index, &image->maps.zones, &image->maps.zone_index,
	              &image->maps.settings};

	for (uint32_t i = 0; image->zone_data && i < image->zones.entries; i++)
		image_zone_free(&image->zone_data[i]);
	free(image->zone_data);
	image->zone_data = NULL;
	segments_close(&image->segments);
	if (image->index.table.kind)
		table_close(&image->index.table);
	if (image->zone_index.table.kind)
		table_close(&image->zone_index.table);
	if (image->zones.kind)
		table_close(&image->zones);
	if (image->pins && image->settings)
		munmap(image->settings, sizeof(*image->settings));
	else
		free(image->settings);
	image->settings = NULL;
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

/* Unpins an image that cannot be used. A program that is attached goes on answering from it until it is replaced. */
static void unpin(struct image *image)
{
	char path[512];

	for (size_t i = 0; i < sizeof(image_pins) / sizeof(image_pins[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", image->pins, image_pins[i]);
		unlink(path);
	}
	for (uint32_t i = 0; i < PG_SEGMENTS_MAX; i++) {
		snprintf(path, sizeof(path), "%s/segments/%u", image->pins, i);
		if (unlink(path))
			break;
	}
}

struct image *image_open(const char *pin_directory, uint64_t memory, uint16_t port, uint16_t udp_size)
{
	return image_open_with(pin_directory, NULL, memory, port, udp_size);
}

struct image *image_open_with(const char *pin_directory, const char *cold, uint64_t memory, uint16_t port,
                              uint16_t udp_size)
{
	struct image *image = calloc(1, sizeof(*image));

	if (!image)
		return NULL;
	image->maps = (struct image_maps){-1, -1, -1, -1, -1, -1};
	image->memory = memory;
	pthread_mutex_init(&image->zones_lock, NULL);
	if (pin_directory) {
		image->pins = strdup(pin_directory);
		if (image->pins && find_pinned(image)) {
			image->adopted = !adopt_maps(image, cold);
			if (!image->adopted)
				log_warning("%s: the pinned image is broken; replaced by a new one", image->pins);
		}
		if (!image->adopted) {
			release(image);
			unpin(image);
		}
	}
	image->heat = heat_new();
	if (!image->heat || (pin_directory && !image->pins) || (!image->adopted && make_image(image, cold)) ||
	    image_renew_view(image)) {
		image_close(image);
		return NULL;
	}
	image_bound_segments(image);
	segments_spare(&image->segments);
	image->settings->port = port;
	image->settings->udp_size = udp_size;
	return image;
}

void image_close(struct image *image)
{
	if (!image)
		return;
	release(image);
	zone_counters_close(image->zone_counters);
	image_free_ancestors(image);
	heat_free(image->heat);
	free(image->view);
	free(image->pins);
	pthread_mutex_destroy(&image->zones_lock);
	free(image);
}

int image_count_zones(struct image *image, uint32_t zones, uint64_t memory)
{
	if (zones < image->zones.entries)
		zones = image->zones.entries;
	image->zone_counters = zone_counters_open(image->pins, zones, memory);
	image->maps.zone_counters = zone_counters_map(image->zone_counters);
	return image->zone_counters ? 0 : -1;
}

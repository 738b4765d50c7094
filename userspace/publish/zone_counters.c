/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "publish/zone_counters.h"

#include "common/log.h"
#include "publish/image_internal.h"
#include "publish/pins.h"
#include "publish/types.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NAME "zone_counters" /* of map and pin */
#define WORDS (sizeof(struct pg_zone_counters) / sizeof(uint64_t))
#define FALLBACK_SIZE ((size_t)IMAGE_ZONES_MAX * sizeof(struct pg_zone_counters))

struct zone_counters {
	int map; /* -1: the program counts no zones */
	uint32_t entries;
	int cpus;
	struct pg_zone_counters *fallback; /* for every slot there can be: address space, not memory */
};

static int make_map(uint32_t entries)
{
	return types_create_map(BPF_MAP_TYPE_PERCPU_ARRAY, NAME, "pg_zone_counters", sizeof(struct pg_zone_counters),
	                        entries, 0);
}

/* Entries of a map that has the present layout; 0: it is none. */
static uint32_t usable_entries(int map)
{
	struct bpf_map_info info = {};
	uint32_t size = sizeof(info);

	if (map < 0 || bpf_obj_get_info_by_fd(map, &info, &size) || info.type != BPF_MAP_TYPE_PERCPU_ARRAY ||
	    info.value_size != sizeof(struct pg_zone_counters))
		return 0;
	return info.max_entries;
}

/* What the program counts meanwhile in the old map is lost. */
static void copy(const struct zone_counters *counters, int from, uint32_t entries)
{
	struct pg_zone_counters *each = calloc(counters->cpus, sizeof(*each));

	for (uint32_t slot = 0; each && slot < entries && slot < counters->entries; slot++)
		if (!bpf_map_lookup_elem(from, &slot, each))
			bpf_map_update_elem(counters->map, &slot, each, BPF_ANY);
	free(each);
}

static void open_map(struct zone_counters *counters, const char *pins, uint32_t wanted)
{
	char path[PATH_MAX];
	int old = pins_path(path, pins, NAME) ? -1 : bpf_obj_get(path), error;
	uint32_t entries = usable_entries(old);

	if (entries >= wanted) {
		counters->map = old;
		counters->entries = entries;
		return;
	}
	counters->entries = wanted;
	counters->map = make_map(wanted);
	error = counters->map < 0 ? counters->map : pins_replace(counters->map, pins, NAME);
	if (error) {
		log_warning("%s: cannot be made: %s; answers of the driver are not counted by zone", path,
		            strerror(-error));
		if (counters->map >= 0)
			close(counters->map);
		counters->map = -1;
	} else {
		copy(counters, old, entries);
	}
	if (old >= 0)
		close(old);
}

struct zone_counters *zone_counters_open(const char *pins, uint32_t zones, uint64_t memory)
{
	struct zone_counters *counters = calloc(1, sizeof(*counters));
	uint64_t most;

	if (!counters)
		return NULL;
	counters->map = -1;
	counters->cpus = libbpf_num_possible_cpus() > 0 ? libbpf_num_possible_cpus() : 1;
	counters->fallback =
	    mmap(NULL, FALLBACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (counters->fallback == MAP_FAILED) {
		free(counters);
		return NULL;
	}
	most = memory / (counters->cpus * sizeof(struct pg_zone_counters));
	if (zones > most) {
		log_notice("at the driver the answers of %llu of %u zones are counted by zone: their counters take an "
		           "eighth of fast-path.memory",
		           (unsigned long long)most, zones);
		zones = most;
	}
	if (pins && zones)
		open_map(counters, pins, zones);
	return counters;
}

void zone_counters_close(struct zone_counters *counters)
{
	if (!counters)
		return;
	if (counters->map >= 0)
		close(counters->map);
	munmap(counters->fallback, FALLBACK_SIZE);
	free(counters);
}

int zone_counters_map(const struct zone_counters *counters)
{
	return counters ? counters->map : -1;
}

uint64_t zone_counters_memory(const struct zone_counters *counters)
{
	if (!counters || counters->map < 0)
		return 0;
	return (uint64_t)counters->entries * counters->cpus * sizeof(struct pg_zone_counters);
}

void zone_counters_clear(struct zone_counters *counters, uint32_t slot)
{
	struct pg_zone_counters *zeros = counters ? calloc(counters->cpus, sizeof(*zeros)) : NULL;

	if (!zeros)
		return;
	/* What was never written takes no memory, and is not to. */
	if (memcmp(&counters->fallback[slot], zeros, sizeof(*zeros)) != 0)
		memset(&counters->fallback[slot], 0, sizeof(counters->fallback[slot]));
	if (slot < counters->entries && counters->map >= 0)
		bpf_map_update_elem(counters->map, &slot, zeros, BPF_ANY);
	free(zeros);
}

void zone_counters_reply(struct zone_counters *counters, const struct pg_work *work, bool ipv6, size_t octets)
{
	struct pg_zone_counters one = {};
	const uint64_t *from = (const uint64_t *)&one;
	uint64_t *to;

	if (!counters || work->zone >= IMAGE_ZONES_MAX)
		return;
	pg_count_reply(&one, work, work->flags & PG_WORK_TCP, ipv6, (uint32_t)octets);
	to = (uint64_t *)&counters->fallback[work->zone];
	for (size_t i = 0; i < WORDS; i++)
		if (from[i])
			__atomic_fetch_add(&to[i], from[i], __ATOMIC_RELAXED);
}

bool zone_counters_read(struct zone_counters *counters, uint32_t slot, struct pg_zone_counters *program,
                        struct pg_zone_counters *fallback)
{
	struct pg_zone_counters *each = calloc(counters->cpus, sizeof(*each));
	bool found = each && counters->map >= 0 && !bpf_map_lookup_elem(counters->map, &slot, each);

	*program = *fallback = (struct pg_zone_counters){};
	for (size_t i = 0; i < WORDS; i++) {
		const uint64_t *from = (const uint64_t *)&counters->fallback[slot];

		((uint64_t *)fallback)[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
		for (int cpu = 0; cpu < counters->cpus && found; cpu++)
			((uint64_t *)program)[i] += ((const uint64_t *)&each[cpu])[i];
	}
	free(each);
	return found;
}

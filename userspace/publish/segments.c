/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "publish/segments.h"
#include "common/log.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ADDRESS_RANGE ((size_t)PG_SEGMENTS_MAX * PG_SEGMENT_SIZE)
/* Records end before the guard. */
#define USABLE_UNITS (PG_UNITS_PER_SEGMENT - PG_SEGMENT_GUARD / PG_UNIT)
#define WORD_BITS 64

int segments_open(struct segments *segments, int map, const char *pin_directory, uint64_t memory)
{
	uint64_t limit = memory / PG_SEGMENT_SIZE;

	*segments = (struct segments){.map = map};
	segments->limit = limit > PG_SEGMENTS_MAX ? PG_SEGMENTS_MAX : limit ? limit : 1;
	segments->base = mmap(NULL, ADDRESS_RANGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	segments->taken = calloc(PG_SEGMENTS_MAX, sizeof(*segments->taken));
	segments->free_units = calloc(PG_SEGMENTS_MAX, sizeof(*segments->free_units));
	if (segments->base == MAP_FAILED || !segments->taken || !segments->free_units) {
		log_error("image: cannot reserve memory: %s", strerror(errno));
		return -1;
	}
	if (pin_directory && asprintf(&segments->pins, "%s/segments", pin_directory) < 0)
		return -1;
	if (segments->pins && mkdir(segments->pins, 0700) && errno != EEXIST) {
		log_error("%s: cannot be made: %s", segments->pins, strerror(errno));
		return -1;
	}
	return 0;
}

void segments_close(struct segments *segments)
{
	for (uint32_t i = 0; segments->taken && i < segments->count; i++)
		free(segments->taken[i]);
	free(segments->taken);
	free(segments->free_units);
	free(segments->pins);
	if (segments->base && segments->base != MAP_FAILED)
		munmap(segments->base, ADDRESS_RANGE);
	*segments = (struct segments){.map = -1};
}

/* Puts a segment's memory in its place in the range of addresses, and makes its bitmap. */
static int place_segment(struct segments *segments, int fd)
{
	uint8_t *at = segments->base + (size_t)segments->count * PG_SEGMENT_SIZE;
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	uint64_t *taken = calloc(PG_UNITS_PER_SEGMENT / WORD_BITS, sizeof(*taken));

	if (!taken || mmap(at, PG_SEGMENT_SIZE, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0) == MAP_FAILED) {
		free(taken);
		return -1;
	}
	segments->taken[segments->count] = taken;
	segments->free_units[segments->count] = USABLE_UNITS;
	segments->count++;
	/* Reference 0 means none. */
	if (segments->count == 1)
		segments_mark(segments, 0, 1);
	return 0;
}

static int make_segment_map(struct segments *segments)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
	uint32_t number = segments->count;
	char *path;
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "pg_segment", sizeof(uint32_t), PG_SEGMENT_SIZE, 1, &options);

	if (fd < 0)
		return -1;
	if (asprintf(&path, "%s/%u", segments->pins, number) < 0) {
		close(fd);
		return -1;
	}
	/* Pinned before it can be referred to: the next agent finds every segment that a reader could see. */
	if (bpf_obj_pin(fd, path) || bpf_map_update_elem(segments->map, &number, &fd, BPF_ANY)) {
		int error = errno;

		unlink(path);
		close(fd);
		fd = -1;
		errno = error;
	}
	free(path);
	return fd;
}

static int add_segment(struct segments *segments)
{
	int fd = -1, result;

	if (segments->count >= segments->limit)
		return -1;
	if (segments->map >= 0) {
		fd = make_segment_map(segments);
		if (fd < 0) {
			log_error("image: the kernel gives no more memory for maps: %s", strerror(errno));
			return -1;
		}
	}
	result = place_segment(segments, fd);
	if (fd >= 0)
		close(fd);
	return result;
}

int segments_adopt(struct segments *segments)
{
	for (uint32_t number = 0; number < PG_SEGMENTS_MAX; number++) {
		char *path;
		int fd, result;

		if (asprintf(&path, "%s/%u", segments->pins, number) < 0)
			return -1;
		fd = bpf_obj_get(path);
		free(path);
		if (fd < 0)
			return errno == ENOENT ? 0 : -1;
		/* A segment that was pinned, but not yet put in its slot. */
		result = bpf_map_update_elem(segments->map, &number, &fd, BPF_ANY);
		if (!result)
			result = place_segment(segments, fd);
		close(fd);
		if (result)
			return -1;
	}
	return 0;
}

static bool is_taken(const struct segments *segments, uint32_t segment, uint32_t unit)
{
	return segments->taken[segment][unit / WORD_BITS] >> (unit % WORD_BITS) & 1;
}

static void set_taken(struct segments *segments, pg_ref ref, uint32_t units, bool taken)
{
	uint32_t segment = ref / PG_UNITS_PER_SEGMENT, unit = ref % PG_UNITS_PER_SEGMENT;

	for (uint32_t i = unit; i < unit + units; i++) {
		uint64_t bit = 1ULL << (i % WORD_BITS);

		if (taken)
			segments->taken[segment][i / WORD_BITS] |= bit;
		else
			segments->taken[segment][i / WORD_BITS] &= ~bit;
	}
	segments->free_units[segment] += taken ? -units : units;
	segments->used += taken ? units : -(uint64_t)units;
}

/* First run of free units of a segment at or behind `from`; PG_UNITS_PER_SEGMENT when there is none. */
static uint32_t find_run(const struct segments *segments, uint32_t segment, uint32_t from, uint32_t units)
{
	uint32_t start = from;

	for (uint32_t i = from; i < USABLE_UNITS;) {
		if (!(i % WORD_BITS) && segments->taken[segment][i / WORD_BITS] == UINT64_MAX) {
			i += WORD_BITS;
			start = i;
			continue;
		}
		if (is_taken(segments, segment, i))
			start = i + 1;
		else if (i + 1 - start == units)
			return start;
		i++;
	}
	return PG_UNITS_PER_SEGMENT;
}

/* Looks for room in segment `number`, from unit `from` on, and takes it. */
static pg_ref take_from(struct segments *segments, uint32_t number, uint32_t from, uint32_t units)
{
	uint32_t unit;
	pg_ref ref;

	if (segments->free_units[number] < units)
		return 0;
	unit = find_run(segments, number, from, units);
	if (unit == PG_UNITS_PER_SEGMENT)
		return 0;
	ref = number * PG_UNITS_PER_SEGMENT + unit;
	set_taken(segments, ref, units, true);
	segments->cursor = ref + units;
	return ref;
}

pg_ref segments_take(struct segments *segments, uint32_t units)
{
	uint32_t present = segments->cursor / PG_UNITS_PER_SEGMENT;
	pg_ref ref = 0;

	if (!units || units > USABLE_UNITS)
		return 0;
	/* Behind the last allocation, in the other segments, before the last allocation, in a new one. */
	if (present < segments->count)
		ref = take_from(segments, present, segments->cursor % PG_UNITS_PER_SEGMENT, units);
	for (uint32_t i = 1; !ref && i <= segments->count; i++)
		ref = take_from(segments, (present + i) % segments->count, 0, units);
	if (!ref && !add_segment(segments))
		ref = take_from(segments, segments->count - 1, 0, units);
	return ref;
}

int segments_mark(struct segments *segments, pg_ref ref, uint32_t units)
{
	uint32_t segment = ref / PG_UNITS_PER_SEGMENT, unit = ref % PG_UNITS_PER_SEGMENT;

	if (segment >= segments->count || !units || units > USABLE_UNITS || unit + units > USABLE_UNITS)
		return -1;
	for (uint32_t i = unit; i < unit + units; i++)
		if (is_taken(segments, segment, i))
			return -1;
	set_taken(segments, ref, units, true);
	return 0;
}

void segments_free(struct segments *segments, pg_ref ref, uint32_t units)
{
	set_taken(segments, ref, units, false);
}

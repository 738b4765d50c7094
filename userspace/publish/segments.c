/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "publish/segments.h"
#include "common/log.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEGMENTS_ALL (2 * PG_SEGMENTS_MAX)
#define ADDRESS_RANGE ((size_t)SEGMENTS_ALL * PG_SEGMENT_SIZE)
/* Records end before the guard. */
#define USABLE_UNITS (PG_UNITS_PER_SEGMENT - PG_SEGMENT_GUARD / PG_UNIT)
#define WORD_BITS 64
#define BITMAP_WORDS (PG_UNITS_PER_SEGMENT / WORD_BITS)
/* No record has fewer units, so that no two begin in the same of these. */
#define USE_UNITS 4
#define USE_WORDS (BITMAP_WORDS / USE_UNITS)
/* Putting a map into the map of maps waits for the program's readers, 10 ms, whether one or many are put. So as memory
 * grows more is made at a time: what is expected to be needed, else a 16th of what there is; and no more than so many.
 */
#define AHEAD_PART 16
/* What was expected is mostly right to a hundredth. */
#define EXPECTED_PART 128
#define AHEAD_MOST 128
/* One is free at least before it is asked for. At first, and later, so many are made for that, but of a small memory
 * no more than such a part. */
#define SPARE_FIRST 4
#define SPARE 2
#define SPARE_PART 16

void segments_bound(struct segments *segments, uint64_t memory)
{
	uint64_t limit = memory / PG_SEGMENT_SIZE;

	segments->warm.limit = limit > PG_SEGMENTS_MAX ? PG_SEGMENTS_MAX : limit ? limit : 1;
	segments->warm.no_room = 0;
}

/* Where the file cannot be had the cold segments are none. */
static int open_file(struct segments *segments, const char *path)
{
	segments->file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (segments->file >= 0)
		return 0;
	log_warning("%s cannot be opened: %s; zones may not be larger than fast-path.memory", path, strerror(errno));
	segments->cold.limit = 0;
	return -1;
}

int segments_open(struct segments *segments, int map, const char *pin_directory, const char *file, uint64_t mark)
{
	*segments = (struct segments){.map = map, .file = -1, .mark = mark};
	segments->warm = (struct segments_part){.limit = 1};
	segments->cold = (struct segments_part){.first = PG_SEGMENTS_MAX, .limit = PG_SEGMENTS_MAX, .cursor = PG_COLD};
	segments->base = mmap(NULL, ADDRESS_RANGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	segments->taken = calloc(SEGMENTS_ALL, sizeof(*segments->taken));
	segments->free_units = calloc(SEGMENTS_ALL, sizeof(*segments->free_units));
	if (segments->base == MAP_FAILED || !segments->taken || !segments->free_units) {
		log_error("image: cannot reserve memory: %s", strerror(errno));
		return -1;
	}
	if (file)
		open_file(segments, file);
	if (pin_directory && asprintf(&segments->pins, "%s/segments", pin_directory) < 0)
		return -1;
	if (segments->pins && mkdir(segments->pins, 0700) && errno != EEXIST) {
		log_error("%s: cannot be made: %s", segments->pins, strerror(errno));
		return -1;
	}
	return 0;
}

void segments_clear(struct segments *segments)
{
	if (segments->file >= 0 && ftruncate(segments->file, 0))
		log_warning("image: the file of cold names cannot be emptied: %s", strerror(errno));
}

void segments_close(struct segments *segments)
{
	for (uint32_t i = 0; segments->taken && i < SEGMENTS_ALL; i++)
		free(segments->taken[i]);
	free(segments->taken);
	free(segments->free_units);
	free(segments->pins);
	if (segments->base && segments->base != MAP_FAILED)
		munmap(segments->base, ADDRESS_RANGE);
	/* One that was never opened is all zeros. */
	if (segments->base && segments->file >= 0)
		close(segments->file);
	*segments = (struct segments){.map = -1, .file = -1};
}

/* Puts a segment's memory in its place in the range of addresses, and makes its bitmap. */
static int place_segment(struct segments *segments, struct segments_part *part, int fd, off_t from)
{
	uint32_t number = part->first + part->count;
	uint8_t *at = segments->base + (size_t)number * PG_SEGMENT_SIZE;
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	/* Of a cold one, what is taken is all there is to know. */
	uint64_t *taken = calloc(part == &segments->warm ? 2 * BITMAP_WORDS + USE_WORDS : BITMAP_WORDS, sizeof(*taken));

	if (!taken || mmap(at, PG_SEGMENT_SIZE, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, from) == MAP_FAILED) {
		free(taken);
		return -1;
	}
	segments->taken[number] = taken;
	segments->free_units[number] = USABLE_UNITS;
	part->count++;
	part->no_room = 0;
	/* Reference 0 means none. Of the cold ones the first unit says whose they are. */
	if (part->count == 1)
		segments_mark(segments, number * PG_UNITS_PER_SEGMENT, 1);
	return 0;
}

/* Units that are free in the warm segments that there are. */
static uint64_t free_units(const struct segments *segments)
{
	return (uint64_t)segments->warm.count * USABLE_UNITS - segments->warm.used;
}

static void unpin_segment(const struct segments *segments, uint32_t number)
{
	char *path;

	if (asprintf(&path, "%s/%u", segments->pins, number) < 0)
		return;
	unlink(path);
	free(path);
}

/* Makes the map of a segment, and pins it: before it can be referred to, so that the next agent finds every segment
 * that a reader could see. */
static int make_segment_map(const struct segments *segments, uint32_t number)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
	char *path;
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "pg_segment", sizeof(uint32_t), PG_SEGMENT_SIZE, 1, &options);

	if (fd < 0)
		return -1;
	if (asprintf(&path, "%s/%u", segments->pins, number) < 0) {
		close(fd);
		return -1;
	}
	if (bpf_obj_pin(fd, path)) {
		close(fd);
		fd = -1;
	}
	free(path);
	return fd;
}

/* Puts segments in their slots, from `first` on. */
static int show_segments(const struct segments *segments, uint32_t first, const int *fds, uint32_t count)
{
	uint32_t numbers[AHEAD_MOST], done = count;

	for (uint32_t i = 0; i < count; i++)
		numbers[i] = first + i;
	if (!bpf_map_update_batch(segments->map, numbers, fds, &done, NULL))
		return 0;
	/* Kernels before 5.19 have no batches of maps. */
	for (uint32_t i = 0; i < count; i++)
		if (bpf_map_update_elem(segments->map, &numbers[i], &fds[i], BPF_ANY))
			return -1;
	return 0;
}

/* Makes and places up to `count` segments. Returns how many. */
static uint32_t make_segments(struct segments *segments, uint32_t count)
{
	uint32_t first = segments->warm.count, made = 0, placed = 0;
	int fds[AHEAD_MOST];

	while (made < count && (fds[made] = make_segment_map(segments, first + made)) >= 0)
		made++;
	if (made && !show_segments(segments, first, fds, made))
		while (placed < made && !place_segment(segments, &segments->warm, fds[placed], 0))
			placed++;
	if (!placed)
		log_error("image: the kernel gives no more memory for maps: %s", strerror(errno));
	for (uint32_t i = 0; i < made; i++) {
		close(fds[i]);
		if (i >= placed)
			unpin_segment(segments, first + i);
	}
	return placed;
}

void segments_expect(struct segments *segments, uint64_t octets)
{
	/* Each ends with some units that nothing fits in. */
	uint64_t units = (octets + octets / 256) / PG_UNIT, there = free_units(segments);

	segments->expecting = octets > 0;
	segments->expected = units > there ? (units - there) / USABLE_UNITS : 0;
}

static int add_warm(struct segments *segments)
{
	const struct segments_part *warm = &segments->warm;
	uint32_t part = segments->expecting ? EXPECTED_PART : AHEAD_PART;
	uint32_t count = segments->expected ? segments->expected : 1 + warm->count / part;

	if (segments->map < 0)
		return place_segment(segments, &segments->warm, -1, 0);
	if (count > AHEAD_MOST)
		count = AHEAD_MOST;
	if (count > warm->limit - warm->count)
		count = warm->limit - warm->count;
	segments->expected -= segments->expected < count ? segments->expected : count;
	return make_segments(segments, count) ? 0 : -1;
}

void segments_spare(struct segments *segments)
{
	struct segments_part *warm = &segments->warm;
	uint32_t spare = warm->count ? SPARE : SPARE_FIRST;

	if (spare > warm->limit / SPARE_PART)
		spare = warm->limit / SPARE_PART;
	if (segments->map >= 0 && spare && warm->count + spare <= warm->limit && free_units(segments) < USABLE_UNITS)
		make_segments(segments, spare);
}

static int add_cold(struct segments *segments)
{
	off_t from = (off_t)segments->cold.count * PG_SEGMENT_SIZE;
	/* Taken from the disk now: a store to what it has no room for would be the end of the agent. */
	int error = segments->file < 0 ? 0 : posix_fallocate(segments->file, from, PG_SEGMENT_SIZE);

	if (error) {
		log_error("image: the state directory has no room for cold names: %s", strerror(error));
		return -1;
	}
	if (place_segment(segments, &segments->cold, segments->file, from))
		return -1;
	if (!from)
		memcpy(segments_at(segments, PG_COLD), &segments->mark, sizeof(segments->mark));
	return 0;
}

static int add_segment(struct segments *segments, struct segments_part *part)
{
	if (part->count >= part->limit)
		return -1;
	return part == &segments->warm ? add_warm(segments) : add_cold(segments);
}

static int adopt_cold(struct segments *segments)
{
	off_t size = segments->file < 0 ? 0 : lseek(segments->file, 0, SEEK_END);

	for (off_t from = 0; from + PG_SEGMENT_SIZE <= size && segments->cold.count < PG_SEGMENTS_MAX;
	     from += PG_SEGMENT_SIZE)
		if (place_segment(segments, &segments->cold, segments->file, from))
			return -1;
	/* Where there is none, none is needed, or what needs it is found to be broken. */
	return segments->cold.count &&
	               memcmp(segments_at(segments, PG_COLD), &segments->mark, sizeof(segments->mark)) != 0
	           ? -1
	           : 0;
}

int segments_adopt(struct segments *segments)
{
	for (uint32_t number = 0; number < PG_SEGMENTS_MAX; number++) {
		uint32_t id;
		char *path;
		int fd, result;

		if (asprintf(&path, "%s/%u", segments->pins, number) < 0)
			return -1;
		fd = bpf_obj_get(path);
		free(path);
		if (fd < 0)
			return errno == ENOENT ? adopt_cold(segments) : -1;
		/* A segment that was pinned, but not yet put in its slot. Which would wait for the readers, so not all
		 * are put there again. */
		result = bpf_map_lookup_elem(segments->map, &number, &id)
		             ? bpf_map_update_elem(segments->map, &number, &fd, BPF_ANY)
		             : 0;
		if (!result)
			result = place_segment(segments, &segments->warm, fd, 0);
		close(fd);
		if (result)
			return -1;
	}
	return adopt_cold(segments);
}

static struct segments_part *part_of(struct segments *segments, pg_ref ref)
{
	return ref >= PG_COLD ? &segments->cold : &segments->warm;
}

/* Behind the bitmap of what is taken of a warm segment: where records start, and which of them were used. */
static uint64_t *starts_of(const struct segments *segments, uint32_t segment)
{
	return segments->taken[segment] + BITMAP_WORDS;
}

/* The word that says whether a warm record was used, and its bit of it. */
static uint64_t *use_of(const struct segments *segments, pg_ref ref, uint64_t *bit)
{
	uint32_t number = ref % PG_UNITS_PER_SEGMENT / USE_UNITS;

	*bit = 1ULL << (number % WORD_BITS);
	return starts_of(segments, ref / PG_UNITS_PER_SEGMENT) + BITMAP_WORDS + number / WORD_BITS;
}

/* The bits of word `number` that stand for the units from `from` up to `to`. */
static uint64_t bits_of(uint32_t number, uint32_t from, uint32_t to)
{
	uint32_t start = number * WORD_BITS;
	uint64_t bits = UINT64_MAX;

	if (from > start)
		bits &= UINT64_MAX << (from - start);
	if (to < start + WORD_BITS)
		bits &= UINT64_MAX >> (start + WORD_BITS - to);
	return bits;
}

/* Whether the units from `from` up to `to`, of which there is one at least, are all free. */
static bool are_free(const struct segments *segments, uint32_t segment, uint32_t from, uint32_t to)
{
	for (uint32_t i = from / WORD_BITS; i <= (to - 1) / WORD_BITS; i++)
		if (segments->taken[segment][i] & bits_of(i, from, to))
			return false;
	return true;
}

static bool is_taken(const struct segments *segments, uint32_t segment, uint32_t unit)
{
	return segments->taken[segment][unit / WORD_BITS] >> (unit % WORD_BITS) & 1;
}

static void set_taken(struct segments *segments, pg_ref ref, uint32_t units, bool taken)
{
	uint32_t segment = ref / PG_UNITS_PER_SEGMENT, unit = ref % PG_UNITS_PER_SEGMENT;

	for (uint32_t i = unit / WORD_BITS; i <= (unit + units - 1) / WORD_BITS; i++) {
		uint64_t bits = bits_of(i, unit, unit + units);

		if (taken)
			segments->taken[segment][i] |= bits;
		else
			segments->taken[segment][i] &= ~bits;
	}
	if (ref < PG_COLD) {
		uint64_t bit = 1ULL << (unit % WORD_BITS), *word;

		starts_of(segments, segment)[unit / WORD_BITS] &= ~bit;
		starts_of(segments, segment)[unit / WORD_BITS] |= taken ? bit : 0;
		word = use_of(segments, ref, &bit);
		*word |= bit;
	}
	segments->free_units[segment] += taken ? -units : units;
	part_of(segments, ref)->used += taken ? units : -(uint64_t)units;
}

/* First run of free units of a segment at or behind `from`; PG_UNITS_PER_SEGMENT when there is none. */
static uint32_t find_run(const struct segments *segments, uint32_t segment, uint32_t from, uint32_t units)
{
	uint32_t start = from;

	/* As it mostly is behind the last allocation. */
	if (from + units <= USABLE_UNITS && are_free(segments, segment, from, from + units))
		return from;
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
static pg_ref take_from(struct segments *segments, struct segments_part *part, uint32_t number, uint32_t from,
                        uint32_t units)
{
	uint32_t unit;
	pg_ref ref;

	number += part->first;
	if (segments->free_units[number] < units)
		return 0;
	unit = find_run(segments, number, from, units);
	if (unit == PG_UNITS_PER_SEGMENT)
		return 0;
	ref = number * PG_UNITS_PER_SEGMENT + unit;
	set_taken(segments, ref, units, true);
	part->cursor = ref + units;
	return ref;
}

pg_ref segments_take(struct segments *segments, uint32_t units, bool cold)
{
	struct segments_part *part = cold ? &segments->cold : &segments->warm;
	uint32_t present = part->cursor / PG_UNITS_PER_SEGMENT - part->first, count = part->count;
	pg_ref ref = 0;

	if (!units || units > USABLE_UNITS || (part->no_room && units >= part->no_room))
		return 0;
	/* Behind the last allocation, in the other segments, before the last allocation, in a new one. */
	if (present < part->count)
		ref = take_from(segments, part, present, part->cursor % PG_UNITS_PER_SEGMENT, units);
	for (uint32_t i = 1; !ref && i <= part->count; i++)
		ref = take_from(segments, part, (present + i) % part->count, 0, units);
	if (!ref && !add_segment(segments, part))
		ref = take_from(segments, part, count, 0, units);
	/* Full memory is not searched again and again. */
	if (!ref)
		part->no_room = units;
	return ref;
}

int segments_mark(struct segments *segments, pg_ref ref, uint32_t units)
{
	if (!units || units > USABLE_UNITS || !segments_has(segments, ref, (size_t)units * PG_UNIT))
		return -1;
	for (uint32_t i = 0; i < units; i++)
		if (is_taken(segments, ref / PG_UNITS_PER_SEGMENT, ref % PG_UNITS_PER_SEGMENT + i))
			return -1;
	set_taken(segments, ref, units, true);
	return 0;
}

void segments_free(struct segments *segments, pg_ref ref, uint32_t units)
{
	set_taken(segments, ref, units, false);
	part_of(segments, ref)->no_room = 0;
}

uint64_t segments_warm_units(const struct segments *segments)
{
	const struct segments_part *warm = &segments->warm;

	return (uint64_t)(warm->count > warm->limit ? warm->count : warm->limit) * USABLE_UNITS;
}

uint64_t segments_warm_free(const struct segments *segments)
{
	return segments_warm_units(segments) - segments->warm.used;
}

bool segments_has(const struct segments *segments, pg_ref ref, size_t size)
{
	const struct segments_part *part = ref >= PG_COLD ? &segments->cold : &segments->warm;

	return ref / PG_UNITS_PER_SEGMENT - part->first < part->count &&
	       ref % PG_UNITS_PER_SEGMENT + size / PG_UNIT <= USABLE_UNITS;
}

void segments_use(struct segments *segments, pg_ref ref)
{
	uint64_t bit, *word;

	if (ref >= PG_COLD || !segments_has(segments, ref, PG_UNIT))
		return;
	word = use_of(segments, ref, &bit);
	*word |= bit;
}

bool segments_was_used(struct segments *segments, pg_ref ref)
{
	uint64_t bit, *word = use_of(segments, ref, &bit);
	bool used = *word & bit;

	*word &= ~bit;
	return used;
}

pg_ref segments_next(const struct segments *segments, pg_ref ref)
{
	while (ref / PG_UNITS_PER_SEGMENT < segments->warm.count) {
		uint32_t unit = ref % PG_UNITS_PER_SEGMENT;
		uint64_t word = starts_of(segments, ref / PG_UNITS_PER_SEGMENT)[unit / WORD_BITS] >> (unit % WORD_BITS);

		if (word)
			return ref + __builtin_ctzll(word);
		ref += WORD_BITS - unit % WORD_BITS;
	}
	return 0;
}

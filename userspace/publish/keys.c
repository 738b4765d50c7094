/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "publish/keys.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX 64

struct keys {
	int map;
	const uint8_t *first;
	size_t size, count, room;
};

static int compare(const void *a, const void *b, void *size)
{
	return memcmp(a, b, *(const size_t *)size);
}

static bool is_among(const struct keys *keys, const uint8_t *key)
{
	size_t from = 0, to = keys->count;

	while (from < to) {
		size_t middle = from + (to - from) / 2;
		int order = memcmp(key, keys->first + middle * keys->size, keys->size);

		if (order == 0)
			return true;
		if (order < 0)
			to = middle;
		else
			from = middle + 1;
	}
	return false;
}

/* Takes out of the map what is not among the keys. The stale ones are collected first: walking a hash map while
 * deleting from it may start over. */
static int delete_others(const struct keys *keys)
{
	uint8_t *stale = calloc(keys->room, keys->size), key[KEY_MAX], *at = NULL;
	size_t stale_count = 0;
	int error = 0;

	if (!stale)
		return -ENOMEM;
	while (stale_count < keys->room && bpf_map_get_next_key(keys->map, at, key) == 0) {
		if (!is_among(keys, key))
			memcpy(stale + stale_count++ * keys->size, key, keys->size);
		at = key;
	}
	for (size_t i = 0; i < stale_count && !error; i++) {
		error = bpf_map_delete_elem(keys->map, stale + i * keys->size);
		if (error == -ENOENT)
			error = 0;
	}
	free(stale);
	return error;
}

static int add_all(const struct keys *keys)
{
	const __u8 value = 1;
	int error = 0;

	for (size_t i = 0; i < keys->count && !error; i++)
		error = bpf_map_update_elem(keys->map, keys->first + i * keys->size, &value, BPF_ANY);
	return error;
}

int keys_make_exactly(int map, void *keys, size_t size, size_t count, size_t room)
{
	struct keys set = {.map = map, .first = keys, .size = size, .room = room};
	uint8_t *first = keys;
	int error;

	if (size > KEY_MAX)
		return -EINVAL;
	if (count)
		qsort_r(keys, count, size, compare, &size);
	for (size_t i = 0; i < count; i++) {
		if (i == 0 || memcmp(first + i * size, first + (set.count - 1) * size, size) != 0)
			memmove(first + set.count++ * size, first + i * size, size);
	}
	if (set.count > room)
		return -E2BIG;
	error = add_all(&set);
	/* A full hash map says E2BIG, a full trie ENOSPC. */
	if (error && error != -E2BIG && error != -ENOSPC)
		return error;
	if (!error)
		return delete_others(&set);
	error = delete_others(&set);
	return error ? error : add_all(&set);
}

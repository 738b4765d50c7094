/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The programs' maps, and the engine's primitives on them (answer/primitives.h). The including program has defined
 * PG_CONTEXT: struct xdp_md, or struct __sk_buff; both have `data` and `data_end`. */
#ifndef PEREGRINE_MAPS_BPF_H
#define PEREGRINE_MAPS_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "answer/work.h"
#include "quirks.bpf.h"

/* clang emits a type that is only pointed to as a mere declaration. The maps' BTF, by which bpftool prints them, needs
 * these whole; libbpf makes no map of a section of this name. */
const struct {
	struct pg_bucket bucket;
	struct pg_zone zone;
	struct pg_settings settings;
} pg_types SEC(".types") = {};

/* Inner maps. The agent makes the real ones; these give the verifier their shape. Tables differ in size, which
 * BPF_F_INNER_MAP allows (Linux 5.10). The program never writes to the image. */
struct inner_segment {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__uint(value_size, PG_SEGMENT_SIZE);
};

struct inner_buckets {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	__type(key, __u32);
	__type(value, struct pg_bucket);
};

struct inner_zones {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	__type(key, __u32);
	__type(value, struct pg_zone);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, PG_SEGMENTS_MAX);
	__type(key, __u32);
	__array(values, struct inner_segment);
} image SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, PG_ORDERS);
	__type(key, __u32);
	__array(values, struct inner_buckets);
} index_table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, PG_ORDERS);
	__type(key, __u32);
	__array(values, struct inner_buckets);
} zone_index_table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct inner_zones);
} zones_table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct pg_settings);
} settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PG_ADDRESSES_MAX);
	__type(key, struct pg_address);
	__type(value, __u8);
} addresses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pg_counters);
} counters SEC(".maps");

/* One work area for each CPU: a program run is not preempted by another one on its CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pg_work);
} work SEC(".maps");

#define PG_STAGE __attribute__((noinline))
#define PG_SCAN_MAX PG_PROGRAM_SCAN_MAX
#define PG_SCAN_MASK (PG_PROGRAM_SCAN_MAX - 1)
#define PG_TARGETS_MAX PG_PROGRAM_TARGETS_MAX
#define PG_RECORD_ROOM PG_SEGMENT_GUARD
#define PG_ITERATIONS_MAX PG_PROGRAM_ITERATIONS_MAX
#define PG_ASCENT_MAX PG_PROGRAM_ASCENT_MAX
#define PG_SIGNATURES_MASK PG_PROGRAM_SIGNATURES_MASK
/* The most octets that a reply may have here, and the largest offset of the message in the frame: Ethernet, two tags,
 * IPv6, UDP. */
#define PG_REPLY_MAX PG_PROGRAM_REPLY_MAX
#define PG_REPLY_MASK 0xfff
#define PG_MESSAGE_OFFSET_MAX (14 + 2 * 4 + 40 + 8)

static __always_inline int pg_message(PG_CONTEXT *ctx, const struct pg_work *w, const __u8 **msg, const __u8 **end)
{
	const __u64 offset = PG_MASK(w->message, 0x7f);

	*msg = (const __u8 *)(long)ctx->data + offset;
	*end = (const __u8 *)(long)ctx->data_end;
	return 0;
}

static __always_inline const struct pg_settings *pg_settings(const struct pg_work *w)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&settings, &zero);
}

static __always_inline const struct pg_bucket *pg_bucket_at(const struct pg_work *w, const struct pg_settings *set,
                                                            int id, __u32 hash)
{
	__u32 order = id == PG_TABLE_ZONES ? *(const volatile __u8 *)&set->zone_index_order
	                                   : *(const volatile __u8 *)&set->index_order;
	void *table = id == PG_TABLE_ZONES ? bpf_map_lookup_elem(&zone_index_table, &order)
	                                   : bpf_map_lookup_elem(&index_table, &order);

	hash &= (1U << (order & 31)) - 1;
	return table ? bpf_map_lookup_elem(table, &hash) : 0;
}

static __always_inline const struct pg_zone *pg_zone_record(const struct pg_work *w, __u32 slot)
{
	__u32 zero = 0;
	void *zones = bpf_map_lookup_elem(&zones_table, &zero);

	return zones ? bpf_map_lookup_elem(zones, &slot) : 0;
}

static __always_inline const void *pg_record(struct pg_work *w, pg_ref ref)
{
	__u32 zero = 0, number = ref / PG_UNITS_PER_SEGMENT;
	__u32 offset = (ref % PG_UNITS_PER_SEGMENT) * PG_UNIT;
	const __u8 *start;
	void *segment = bpf_map_lookup_elem(&image, &number);

	if (!segment) {
		w->beyond = 1;
		return 0;
	}
	start = bpf_map_lookup_elem(segment, &zero);
	if (!start || offset > PG_SEGMENT_SIZE - PG_SEGMENT_GUARD)
		return 0;
	return start + offset;
}

/* BPF has no prefetch: a load whose result nobody waits for. */
static __always_inline void pg_touch(const void *at)
{
	(void)*(const volatile __u8 *)at;
}

static __always_inline void pg_use(struct pg_work *w, pg_ref ref)
{
	w->uses.ref[PG_MASK(w->uses.count, PG_USES - 1)] = ref;
	w->uses.count++;
}

/* Copies `length` octets, `size` to `most` of them, by blocks of `size`. The last block is copied whole, some octets of
 * it twice. */
static __always_inline int copy_blocks(__u8 *to, const __u8 *end, const __u8 *from, __u32 length, const __u32 size,
                                       const __u32 most)
{
	__u64 last;

	if (length < size || length > most)
		return -1;
	last = PG_MASK(length - size, PG_REPLY_MASK);
	if (last > most - size)
		return -1;
	/* No further: Linux 6.1 would follow what cannot be, the end of the loop with `last` beyond its limit. */
	for (__u32 i = 0; i < (most - size) / size; i++) {
		if (i * size >= last)
			break;
		if (to + i * size + size > end)
			return -1;
		for (__u32 j = 0; j < size; j += 8)
			*(__u64 *)(to + i * size + j) = *(const __u64 *)(from + i * size + j);
	}
	to += last;
	PG_OPAQUE(to);
	if (to + size > end)
		return -1;
	for (__u32 j = 0; j < size; j += 8)
		*(__u64 *)(to + j) = *(const __u64 *)(from + last + j);
	return 0;
}

/* At least eight octets. Those of a signed RRset by larger blocks: comparing with the end takes longer than copying. */
static __always_inline int pg_copy(__u8 *to, const __u8 *end, const __u8 *from, __u32 length)
{
	return length < 64 ? copy_blocks(to, end, from, length, 8, 64)
	                   : copy_blocks(to, end, from, length, 64, PG_REPLY_MAX);
}

#endif

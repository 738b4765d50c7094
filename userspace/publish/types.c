/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "publish/types.h"
#include "peregrine.skel.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>

/* The BTF, loaded once for the life of the process. NULL where the kernel takes none: maps are then without field
 * names, and everything else works. */
static const struct btf *types_btf(void)
{
	static struct btf *btf;
	static int tried;
	struct peregrine_bpf *skeleton;

	if (tried)
		return btf;
	tried = 1;
	skeleton = peregrine_bpf__open();
	if (!skeleton)
		return NULL;
	if (bpf_object__btf(skeleton->obj)) {
		uint32_t size;
		const void *raw = btf__raw_data(bpf_object__btf(skeleton->obj), &size);

		btf = raw ? btf__new(raw, size) : NULL;
		if (btf && btf__load_into_kernel(btf)) {
			btf__free(btf);
			btf = NULL;
		}
	}
	peregrine_bpf__destroy(skeleton);
	return btf;
}

int types_create_map(enum bpf_map_type type, const char *name, const char *value_type, uint32_t value_size,
                     uint32_t entries, uint32_t flags)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = flags);
	const struct btf *btf = types_btf();

	if (btf) {
		int value = btf__find_by_name_kind(btf, value_type, BTF_KIND_STRUCT);
		int key = btf__find_by_name_kind(btf, "unsigned int", BTF_KIND_INT);

		if (value > 0 && key > 0) {
			options.btf_fd = btf__fd(btf);
			options.btf_key_type_id = key;
			options.btf_value_type_id = value;
		}
	}
	return bpf_map_create(type, name, sizeof(uint32_t), value_size, entries, &options);
}

int types_create_array(const char *name, const char *value_type, uint32_t value_size, uint32_t entries, uint32_t flags)
{
	return types_create_map(BPF_MAP_TYPE_ARRAY, name, value_type, value_size, entries, flags);
}

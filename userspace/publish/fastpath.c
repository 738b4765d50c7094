/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Loading and pinning the program, and its small maps. Interfaces: attach.c. The pin directory: pins.c. */
#include "publish/fastpath.h"

#include "common/log.h"
#include "publish/bpflog.h"
#include "publish/fastpath_internal.h"
#include "publish/image.h"
#include "publish/keys.h"
#include "publish/pins.h"

#include "peregrine.skel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define OWN_MAPS 4

static int use_image_maps(struct peregrine_bpf *skeleton, const struct image_maps *maps)
{
	const struct {
		struct bpf_map *map;
		int fd;
	} pairs[] = {
	    {skeleton->maps.image, maps->image},       {skeleton->maps.index_table, maps->index},
	    {skeleton->maps.zones_table, maps->zones}, {skeleton->maps.zone_index_table, maps->zone_index},
	    {skeleton->maps.settings, maps->settings},
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		int error = pairs[i].fd < 0 ? -EBADF : bpf_map__reuse_fd(pairs[i].map, pairs[i].fd);

		if (error)
			return error;
	}
	/* The program does without it: then it counts in a map of its own, which is empty. */
	return maps->zone_counters < 0 ? 0 : bpf_map__reuse_fd(skeleton->maps.zone_counters, maps->zone_counters);
}

/* Gives the program the map that an earlier run pinned, if it still has the form that the program expects. Returns
 * whether it did; else loading makes a new one. */
static bool take_up(struct bpf_map *map, const char *directory, const char *name)
{
	struct bpf_map_info info = {0};
	__u32 size = sizeof(info);
	char path[PATH_MAX];
	bool fits;
	int fd;

	if (pins_path(path, directory, name))
		return false;
	fd = bpf_obj_get(path);
	if (fd < 0) {
		if (fd != -ENOENT)
			log_warning("%s cannot be opened: %s; it is made anew", path, strerror(-fd));
		return false;
	}
	fits = bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && info.type == bpf_map__type(map) &&
	       info.key_size == bpf_map__key_size(map) && info.value_size == bpf_map__value_size(map) &&
	       info.max_entries == bpf_map__max_entries(map);
	if (!fits)
		log_notice("%s has another layout, from another version: it is made anew and starts empty", path);
	else
		fits = bpf_map__reuse_fd(map, fd) == 0;
	close(fd);
	return fits;
}

static void say_load_error(int error)
{
	const char *hint = "the log at level debug has the verifier's words";

	if (error == -EPERM)
		hint = "it needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, or root";
	else if (error == -ENOMEM)
		hint = "memory is short, or RLIMIT_MEMLOCK is (kernels before 5.11)";
	log_error("the kernel does not take the fast-path program: %s; %s",
	          bpflog_first_warning()[0] ? bpflog_first_warning() : bpflog_error_text(error), hint);
}

/* The program's own maps, which are pinned beside it and taken up again. */
struct own_map {
	struct bpf_map *map;
	const char *name;
	int *fd;
	bool pinned;
};

static int load_skeleton(struct fastpath *fastpath, struct peregrine_bpf *skeleton, const struct image_maps *maps,
                         struct own_map own[OWN_MAPS])
{
	struct bpf_prog_info info = {0};
	__u32 size = sizeof(info);
	int error = use_image_maps(skeleton, maps);

	if (error) {
		log_error("the fast path cannot use the image's maps: %s", strerror(-error));
		return -1;
	}
	own[0] = (struct own_map){skeleton->maps.addresses, PINS_ADDRESSES, &fastpath->addresses, false};
	own[1] = (struct own_map){skeleton->maps.counters, PINS_COUNTERS, &fastpath->counters, false};
	own[2] = (struct own_map){skeleton->maps.limits, PINS_LIMITS, &fastpath->limits, false};
	own[3] = (struct own_map){skeleton->maps.exempt, PINS_EXEMPT, &fastpath->exempt, false};
	for (int i = 0; i < OWN_MAPS; i++)
		own[i].pinned = take_up(own[i].map, fastpath->directory, own[i].name);
	/* libbpf raises RLIMIT_MEMLOCK by itself where the kernel still counts against it. */
	error = peregrine_bpf__load(skeleton);
	if (error) {
		say_load_error(error);
		return -1;
	}
	fastpath->program = fastpath_keep(bpf_program__fd(skeleton->progs.peregrine_xdp));
	fastpath->work = fastpath_keep(bpf_map__fd(skeleton->maps.work));
	for (int i = 0; i < OWN_MAPS; i++)
		*own[i].fd = fastpath_keep(bpf_map__fd(own[i].map));
	error = bpf_obj_get_info_by_fd(fastpath->program, &info, &size);
	if (error) {
		say_load_error(error);
		return -1;
	}
	fastpath->program_id = info.id;
	return 0;
}

/* What libbpf made of the object, a megabyte, is not kept: file descriptors are all that is needed of it. */
static int load(struct fastpath *fastpath, const struct image_maps *maps, struct own_map own[OWN_MAPS])
{
	struct peregrine_bpf *skeleton = peregrine_bpf__open();
	int result;

	if (!skeleton) {
		say_load_error(-errno);
		return -1;
	}
	result = load_skeleton(fastpath, skeleton, maps, own);
	peregrine_bpf__destroy(skeleton);
	return result;
}

/* The program last: whoever finds it finds its maps. */
static int pin(struct fastpath *fastpath, const struct own_map own[OWN_MAPS])
{
	const char *name = PINS_PROGRAM;
	int error = 0;

	for (int i = 0; i < OWN_MAPS && !error; i++) {
		error = own[i].pinned ? 0 : pins_replace(*own[i].fd, fastpath->directory, own[i].name);
		name = error ? own[i].name : PINS_PROGRAM;
	}
	if (!error)
		error = pins_replace(fastpath->program, fastpath->directory, name);
	if (error)
		log_error("%s/%s cannot be pinned: %s; is it on a bpffs that may be written?", fastpath->directory,
		          name, strerror(-error));
	return error ? -1 : 0;
}

struct fastpath *fastpath_open_maps(const char *pin_directory, const struct image_maps *maps)
{
	struct fastpath *fastpath = calloc(1, sizeof(*fastpath));
	struct own_map own[OWN_MAPS];
	int error;

	if (!fastpath) {
		log_error("the fast path cannot be opened: memory is short");
		return NULL;
	}
	for (size_t i = 0; i < FASTPATH_FDS; i++)
		fastpath->fds[i] = -1;
	bpflog_install();
	bpflog_clear();
	error = strlen(pin_directory) < sizeof(fastpath->directory) ? pins_lock(pin_directory) : -ENAMETOOLONG;
	if (error) {
		log_error("pin-directory %s cannot be used: %s", pin_directory,
		          error == -EWOULDBLOCK ? "another agent is running on it; stop that, or name another directory"
		                                : strerror(-error));
		free(fastpath);
		return NULL;
	}
	fastpath->locked = true;
	strcpy(fastpath->directory, pin_directory);
	fastpath->settings =
	    mmap(NULL, sizeof(*fastpath->settings), PROT_READ | PROT_WRITE, MAP_SHARED, maps->settings, 0);
	if (fastpath->settings == MAP_FAILED) {
		log_error("the fast path cannot map its settings: %s", strerror(errno));
		fastpath->settings = NULL;
		fastpath_close(fastpath);
		return NULL;
	}
	if (load(fastpath, maps, own) || pin(fastpath, own)) {
		fastpath_close(fastpath);
		return NULL;
	}
	ingress_open(fastpath, maps);
	return fastpath;
}

struct fastpath *fastpath_open(const char *pin_directory, struct image *image)
{
	struct fastpath *fastpath;
	struct image_maps maps;

	image_get_maps(image, &maps);
	fastpath = fastpath_open_maps(pin_directory, &maps);
	if (fastpath)
		image_watch_uses(image, fastpath->work);
	return fastpath;
}

void fastpath_close(struct fastpath *fastpath)
{
	if (!fastpath)
		return;
	if (fastpath->settings)
		munmap(fastpath->settings, sizeof(*fastpath->settings));
	for (size_t i = 0; i < FASTPATH_FDS; i++)
		if (fastpath->fds[i] >= 0)
			close(fastpath->fds[i]);
	if (fastpath->locked)
		pins_unlock();
	free(fastpath->known);
	free(fastpath);
}

static int to_key(const struct sockaddr_storage *address, struct pg_address *key)
{
	static const __u8 mapped[12] = {[10] = 0xff, [11] = 0xff};

	memset(key, 0, sizeof(*key));
	if (address->ss_family == AF_INET) {
		memcpy(key->octets, mapped, sizeof(mapped));
		memcpy(key->octets + sizeof(mapped), &((const struct sockaddr_in *)address)->sin_addr, 4);
	} else if (address->ss_family == AF_INET6) {
		memcpy(key->octets, &((const struct sockaddr_in6 *)address)->sin6_addr, 16);
	} else {
		return -EAFNOSUPPORT;
	}
	return 0;
}

int fastpath_set_addresses(struct fastpath *fastpath, const struct sockaddr_storage *addresses, size_t count)
{
	struct pg_address *keys = calloc(count + 1, sizeof(*keys));
	int error = keys ? 0 : -ENOMEM;

	for (size_t i = 0; i < count && !error; i++)
		error = to_key(&addresses[i], &keys[i]);
	if (!error)
		error = keys_make_exactly(fastpath->addresses, keys, sizeof(*keys), count, PG_ADDRESSES_MAX);
	/* What the program remembers of the map holds no longer. */
	__atomic_add_fetch(&fastpath->settings->addresses_version, 1, __ATOMIC_RELEASE);
	free(keys);
	if (error == -E2BIG)
		log_error("%zu service addresses: the fast path takes %u; name fewer in server.listen", count,
		          PG_ADDRESSES_MAX);
	else if (error)
		log_error("the service addresses cannot be given to the fast path: %s", strerror(-error));
	return error ? -1 : 0;
}

int fastpath_set_exempt(struct fastpath *fastpath, const struct config_prefix *prefixes, size_t count)
{
	struct pg_prefix *keys = calloc(count + 1, sizeof(*keys));
	int error = keys ? 0 : -ENOMEM;

	for (size_t i = 0; i < count && !error; i++) {
		keys[i].length = prefixes[i].length;
		memcpy(keys[i].address.octets, prefixes[i].address, sizeof(keys[i].address.octets));
	}
	if (!error)
		error = keys_make_exactly(fastpath->exempt, keys, sizeof(*keys), count, PG_EXEMPT_MAX);
	free(keys);
	if (error)
		log_error("the exempt prefixes cannot be given to the fast path: %s", strerror(-error));
	return error ? -1 : 0;
}

int fastpath_counters(struct fastpath *fastpath, struct pg_counters *out)
{
	_Static_assert(sizeof(*out) % sizeof(__u64) == 0, "counters are words, and a CPU's value needs no padding");
	int error, cpus = libbpf_num_possible_cpus();
	struct pg_counters *each = cpus > 0 ? calloc(cpus, sizeof(*each)) : NULL;
	const __u32 key = 0;

	if (!each)
		return -1;
	error = bpf_map_lookup_elem(fastpath->counters, &key, each);
	memset(out, 0, sizeof(*out));
	for (int cpu = 0; cpu < cpus && !error; cpu++) {
		const __u64 *from = (const __u64 *)&each[cpu];
		__u64 *to = (__u64 *)out;

		for (size_t i = 0; i < sizeof(*out) / sizeof(__u64); i++)
			to[i] += from[i];
	}
	free(each);
	return error ? -1 : 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The world of the fast path's tests: veth pairs in a network namespace of the test's own, pins on a bpffs mounted in a
 * mount namespace of its own, so that whatever happens to the test nothing stays on the host. Needs root, and fails
 * without it.
 */
#ifndef PEREGRINE_FASTPATH_WORLD_H
#define PEREGRINE_FASTPATH_WORLD_H

#include "common/log.h"
#include "publish/bpflog.h"
#include "publish/fastpath.h"
#include "publish/fastpath_internal.h"
#include "publish/image.h"
#include "publish/pins.h"

#include "peregrine.skel.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/magic.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define BPFFS "/sys/fs/bpf"

static char pins[64];
static struct peregrine_bpf *image; /* stands in for the image: lends its maps, its program is not loaded */
static struct image_maps maps;

static inline void run(const char *format, ...) __attribute__((format(printf, 1, 2)));

static inline void run(const char *format, ...)
{
	char command[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

static inline void make_maps(void)
{
	image = peregrine_bpf__open();
	assert_non_null(image);
	bpf_program__set_autoload(image->progs.peregrine_xdp, false);
	assert_int_equal(peregrine_bpf__load(image), 0);
	maps = (struct image_maps){
	    .image = bpf_map__fd(image->maps.image),
	    .index = bpf_map__fd(image->maps.index_table),
	    .zones = bpf_map__fd(image->maps.zones_table),
	    .zone_index = bpf_map__fd(image->maps.zone_index_table),
	    .settings = bpf_map__fd(image->maps.settings),
	    .zone_counters = -1,
	};
}

static inline struct fastpath *open_fastpath(void)
{
	struct fastpath *fastpath = fastpath_open_maps(pins, &maps);

	assert_non_null(fastpath);
	return fastpath;
}

/* Each test begins with the pair v0, v1 and an empty pin directory. */
static inline int set_up(void **state)
{
	run("ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up");
	return fastpath_mount_bpffs(pins);
}

static inline int tear_down(void **state)
{
	int removed;

	pins_unlock(); /* held still when the test failed */
	removed = fastpath_remove(pins);
	if (if_nametoindex("v1"))
		run("ip link del v1");
	return removed < 0 || access(pins, F_OK) == 0 ? -1 : 0;
}

static inline bool is_pinned(const char *name)
{
	char path[PATH_MAX];

	pins_path(path, pins, name);
	return access(path, F_OK) == 0;
}

static inline uint32_t pinned_program_id(void)
{
	struct bpf_prog_info info = {0};
	__u32 size = sizeof(info);
	char path[PATH_MAX];
	int fd;

	pins_path(path, pins, PINS_PROGRAM);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &size), 0);
	close(fd);
	return info.id;
}

static inline struct attached on_device(const char *interface)
{
	struct attached attached;

	attached_query(if_nametoindex(interface), &attached);
	return attached;
}

static inline void attaches(struct fastpath *fastpath, const char *interface, enum config_mode mode,
                            const char *expected)
{
	struct fastpath_interface got;

	if (fastpath_attach(fastpath, interface, mode, &got))
		fail_msg("%s: %s", interface, got.why);
	assert_string_equal(got.name, interface);
	assert_string_equal(got.mode, expected);
	assert_int_equal(got.ifindex, if_nametoindex(interface));
}

/* Everything happens in namespaces that end with this process. */
static inline void seclude(void)
{
	if (geteuid() != 0) {
		fprintf(stderr, "%s: needs root: it makes namespaces and loads BPF programs\n",
		        program_invocation_short_name);
		exit(1);
	}
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
		perror("namespaces");
		exit(1);
	}
	umount2(BPFFS, MNT_DETACH);
	run("ip link set lo up");
}

/* The errors that the tests provoke are not worth reading, unless one looks for a fault. */
static inline void set_log(void)
{
	log_set_level(getenv("VERBOSE") ? LOG_LEVEL_DEBUG : 0);
	bpflog_install();
}

/* To be called before all else in main. */
static inline void world_begin(void)
{
	set_log();
	seclude();
	snprintf(pins, sizeof(pins), BPFFS "/peregrine-test-%d", getpid());
	make_maps();
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif

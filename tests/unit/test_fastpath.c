/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The fast path on real interfaces: veth pairs in a network namespace of the test's own, pins on a bpffs mounted in a
 * mount namespace of its own, so that whatever happens to the test nothing stays on the host. Needs root, and fails
 * without it.
 */
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

static void run(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void run(const char *format, ...)
{
	char command[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

static void make_maps(void)
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
	};
}

static struct fastpath *open_fastpath(void)
{
	struct fastpath *fastpath = fastpath_open_maps(pins, &maps);

	assert_non_null(fastpath);
	return fastpath;
}

/* Does something to the pin directory as another process, which has no part in the lock of this one: exit status. */
static int other_process(const char *what)
{
	char command[256];
	int status;

	snprintf(command, sizeof(command), "/proc/%d/exe %s %s", getpid(), what, pins);
	status = system(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int be_other_process(const char *what, const char *directory)
{
	snprintf(pins, sizeof(pins), "%s", directory);
	if (strcmp(what, "remove") == 0)
		return fastpath_remove(pins) < 0;
	make_maps();
	return fastpath_open_maps(pins, &maps) ? 0 : 1;
}

/* Each test begins with the pair v0, v1 and an empty pin directory. */
static int set_up(void **state)
{
	run("ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up");
	return fastpath_mount_bpffs(pins);
}

static int tear_down(void **state)
{
	int removed;

	pins_unlock(); /* held still when the test failed */
	removed = fastpath_remove(pins);
	if (if_nametoindex("v1"))
		run("ip link del v1");
	return removed < 0 || access(pins, F_OK) == 0 ? -1 : 0;
}

static bool is_pinned(const char *name)
{
	char path[PATH_MAX];

	pins_path(path, pins, name);
	return access(path, F_OK) == 0;
}

static struct bpf_link_info pinned_link(const char *name)
{
	struct bpf_link_info info = {0};
	__u32 size = sizeof(info);
	char path[PATH_MAX];
	int fd;

	pins_path(path, pins, name);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &size), 0);
	close(fd);
	return info;
}

static uint32_t pinned_program_id(void)
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

static struct attached on_device(const char *interface)
{
	struct attached attached;

	attached_query(if_nametoindex(interface), &attached);
	return attached;
}

static void attaches(struct fastpath *fastpath, const char *interface, enum config_mode mode, const char *expected)
{
	struct fastpath_interface got;

	if (fastpath_attach(fastpath, interface, mode, &got))
		fail_msg("%s: %s", interface, got.why);
	assert_string_equal(got.name, interface);
	assert_string_equal(got.mode, expected);
	assert_int_equal(got.ifindex, if_nametoindex(interface));
}

/* Attaching fails, and says something with these words in it. */
static void refused(struct fastpath *fastpath, const char *interface, enum config_mode mode, const char *words)
{
	struct fastpath_interface got;

	assert_int_equal(fastpath_attach(fastpath, interface, mode, &got), -1);
	if (!strstr(got.why, words))
		fail_msg("'%s' is not in '%s'", words, got.why);
}

/* An XDP program of somebody else: r0 = XDP_PASS; exit. */
static int foreign_program(void)
{
	const struct bpf_insn code[] = {
	    {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
	    {.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "somebody", "GPL", code, 2, NULL);

	assert_true(fd >= 0);
	return fd;
}

static void test_mount(void **state)
{
	struct statfs found;
	struct stat status;

	fastpath_remove(pins);
	umount2(BPFFS, MNT_DETACH);
	assert_int_equal(fastpath_mount_bpffs(pins), 0);
	assert_int_equal(statfs(BPFFS, &found), 0);
	assert_int_equal(found.f_type, BPF_FS_MAGIC);
	assert_int_equal(stat(pins, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0700);
	assert_int_equal(fastpath_mount_bpffs(pins), 0);
	assert_int_equal(fastpath_mount_bpffs(BPFFS "/peregrine-deep/er/"), 0);
	assert_int_equal(access(BPFFS "/peregrine-deep/er", F_OK), 0);
	assert_int_equal(fastpath_remove(BPFFS "/peregrine-deep"), 0);

	assert_int_equal(fastpath_mount_bpffs(BPFFS), -1);
	assert_int_equal(fastpath_mount_bpffs(BPFFS "/with.dot"), -1);
	assert_int_equal(fastpath_mount_bpffs("/nowhere/at/all"), -1);
	assert_int_equal(access("/nowhere", F_OK), -1);
	assert_int_equal(fastpath_mount_bpffs("relative"), -1);
}

static void test_attach_native(void **state)
{
	struct fastpath *fastpath = open_fastpath();
	struct fastpath_interface list[4];

	attaches(fastpath, "v0", CONFIG_MODE_AUTO, "native");
	assert_int_equal(on_device("v0").native, pinned_program_id());
	assert_int_equal(fastpath_interfaces(fastpath, list, 4), 1);
	assert_string_equal(list[0].name, "v0");
	assert_string_equal(list[0].mode, "native");
	assert_string_equal(list[0].why, "");
	assert_int_equal(list[0].ifindex, if_nametoindex("v0"));
	assert_int_equal(fastpath_interfaces(fastpath, list, 0), 0);

	/* The agent goes, the program stays. */
	fastpath_close(fastpath);
	assert_int_equal(on_device("v0").native, pinned_program_id());
}

static void test_attach_again(void **state)
{
	struct fastpath *fastpath = open_fastpath();
	struct bpf_link_info first, second;

	attaches(fastpath, "v0", CONFIG_MODE_AUTO, "native");
	first = pinned_link("link-v0");
	attaches(fastpath, "v0", CONFIG_MODE_NATIVE, "native");
	assert_int_equal(pinned_link("link-v0").id, first.id);
	fastpath_close(fastpath);

	fastpath = open_fastpath();
	assert_int_not_equal(pinned_program_id(), first.prog_id);
	assert_int_equal(pinned_link("link-v0").prog_id, first.prog_id);
	attaches(fastpath, "v0", CONFIG_MODE_AUTO, "native");
	second = pinned_link("link-v0");
	assert_int_equal(second.id, first.id);
	assert_int_equal(second.prog_id, pinned_program_id());
	assert_int_equal(on_device("v0").native, pinned_program_id());
	fastpath_close(fastpath);
}

/* An agent that dies leaves its links and no lock. */
static void test_killed_agent(void **state)
{
	struct fastpath *fastpath;
	struct bpf_link_info link;
	int status;
	pid_t child = fork();

	if (child == 0) {
		struct fastpath_interface got;

		fastpath = fastpath_open_maps(pins, &maps);
		_exit(!fastpath || fastpath_attach(fastpath, "v0", CONFIG_MODE_NATIVE, &got));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	link = pinned_link("link-v0");
	assert_int_equal(on_device("v0").native, link.prog_id);
	fastpath = open_fastpath();
	attaches(fastpath, "v0", CONFIG_MODE_NATIVE, "native");
	assert_int_equal(pinned_link("link-v0").id, link.id);
	fastpath_close(fastpath);
}

static void test_interface_recreated(void **state)
{
	struct fastpath *fastpath = open_fastpath();
	struct fastpath_interface list[2];
	uint32_t old;

	attaches(fastpath, "v0", CONFIG_MODE_AUTO, "native");
	old = pinned_link("link-v0").id;
	run("ip link del v0");
	assert_int_equal(pinned_link("link-v0").xdp.ifindex, 0);
	assert_int_equal(fastpath_interfaces(fastpath, list, 2), 1);
	assert_int_equal(list[0].ifindex, 0);
	assert_string_equal(list[0].mode, "none");
	refused(fastpath, "v0", CONFIG_MODE_AUTO, "no such interface");
	assert_false(is_pinned("link-v0"));
	assert_int_equal(fastpath_interfaces(fastpath, list, 2), 1);
	assert_string_equal(list[0].name, "v0");

	run("ip link add v0 type veth peer name v1");
	attaches(fastpath, "v0", CONFIG_MODE_AUTO, "native");
	assert_int_not_equal(pinned_link("link-v0").id, old);

	/* Gone and back between two looks. */
	run("ip link del v0 && ip link add v0 type veth peer name v1");
	assert_int_equal(fastpath_interfaces(fastpath, list, 2), 1);
	assert_string_equal(list[0].mode, "none");
	assert_string_not_equal(list[0].why, "");
	attaches(fastpath, "v0", CONFIG_MODE_AUTO, "native");
	assert_int_equal(fastpath_interfaces(fastpath, list, 2), 1);
	assert_string_equal(list[0].mode, "native");
	fastpath_close(fastpath);
}

/* A link found pinned may be alive on an interface of the same number in another network namespace. */
static void test_other_namespace(void **state)
{
	struct fastpath *fastpath = open_fastpath();
	int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	unsigned index = if_nametoindex("v0");
	uint32_t old;

	attaches(fastpath, "v0", CONFIG_MODE_NATIVE, "native");
	old = pinned_link("link-v0").id;
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	run("ip link add v0 index %u type veth peer name v1", index);
	assert_int_equal(if_nametoindex("v0"), index);
	attaches(fastpath, "v0", CONFIG_MODE_NATIVE, "native");
	assert_int_not_equal(pinned_link("link-v0").id, old);
	assert_int_equal(on_device("v0").native, pinned_program_id());
	assert_int_equal(setns(here, CLONE_NEWNET), 0);
	assert_int_equal(on_device("v0").native, 0);
	close(here);
	fastpath_close(fastpath);
}

static void test_detach(void **state)
{
	struct fastpath *fastpath = open_fastpath();
	struct fastpath_interface list[2];

	attaches(fastpath, "v0", CONFIG_MODE_NATIVE, "native");
	assert_int_equal(fastpath_detach(fastpath, "v0"), 0);
	assert_false(is_pinned("link-v0"));
	assert_int_equal(on_device("v0").native, 0);
	assert_int_equal(fastpath_interfaces(fastpath, list, 2), 0);
	assert_int_equal(fastpath_detach(fastpath, "v0"), 0);
	attaches(fastpath, "v0", CONFIG_MODE_NATIVE, "native");
	fastpath_close(fastpath);
}

static void test_remove(void **state)
{
	struct fastpath *fastpath = open_fastpath();
	char path[PATH_MAX];

	attaches(fastpath, "v0", CONFIG_MODE_NATIVE, "native");
	attaches(fastpath, "v1", CONFIG_MODE_NATIVE, "native");
	pins_path(path, pins, "segments");
	assert_int_equal(mkdir(path, 0700), 0);
	pins_path(path, pins, "segments/0");
	assert_int_equal(bpf_obj_pin(maps.settings, path), 0);

	/* Not from under an agent. */
	assert_int_equal(other_process("remove"), 1);
	assert_int_equal(other_process("open"), 1);
	assert_int_equal(on_device("v0").native, pinned_program_id());

	fastpath_close(fastpath);
	assert_int_equal(fastpath_remove(pins), 2);
	assert_int_equal(access(pins, F_OK), -1);
	assert_int_equal(on_device("v0").native, 0);
	assert_int_equal(on_device("v1").native, 0);
	assert_int_equal(fastpath_remove(pins), 0);

	assert_int_equal(fastpath_remove("/tmp"), -1);
	assert_int_equal(fastpath_remove(BPFFS), -1);
}

/* Loopback has no driver that knows XDP. */
static void test_modes(void **state)
{
	struct fastpath *fastpath = open_fastpath();
	struct fastpath_interface got;

	attaches(fastpath, "v0", CONFIG_MODE_GENERIC, "generic");
	assert_int_equal(on_device("v0").generic, pinned_program_id());
	attaches(fastpath, "v0", CONFIG_MODE_AUTO, "generic");
	attaches(fastpath, "v0", CONFIG_MODE_NATIVE, "native");
	assert_int_equal(on_device("v0").generic, 0);
	attaches(fastpath, "v0", CONFIG_MODE_GENERIC, "generic");
	assert_int_equal(on_device("v0").native, 0);

	refused(fastpath, "lo", CONFIG_MODE_NATIVE, "has no native XDP");
	assert_int_equal(on_device("lo").generic, 0);
	attaches(fastpath, "lo", CONFIG_MODE_AUTO, "generic");
	for (int i = 0; i < 2; i++) { /* and the reason is not forgotten when attached once more */
		assert_int_equal(fastpath_attach(fastpath, "lo", CONFIG_MODE_AUTO, &got), 0);
		assert_non_null(strstr(got.why, "has no native XDP"));
	}
	/* What cannot be changed stays as it was. */
	refused(fastpath, "lo", CONFIG_MODE_NATIVE, "has no native XDP");
	assert_int_equal(on_device("lo").generic, pinned_program_id());
	fastpath_close(fastpath);

	fastpath = open_fastpath();
	assert_int_equal(fastpath_attach(fastpath, "lo", CONFIG_MODE_AUTO, &got), 0);
	assert_string_equal(got.mode, "generic");
	assert_non_null(strstr(got.why, "detach and attach"));
	assert_int_equal(on_device("lo").generic, pinned_program_id());
	fastpath_close(fastpath);
}

/* The driver's own words reach the operator, with what helps: veth takes no large MTU with a program without frags,
 * which ours is not. */
static void test_kernel_words(void **state)
{
	struct fastpath_interface interface = {.name = "v0"};
	int foreign = foreign_program();
	char why[256];

	run("ip link set v0 mtu 9000 && ip link set v1 mtu 9000");
	interface.ifindex = if_nametoindex("v0");
	assert_false(reason_refused(why, sizeof(why), &interface, foreign, XDP_FLAGS_DRV_MODE, -EOPNOTSUPP));
	assert_non_null(strstr(why, "native mode refused: "));
	assert_non_null(strstr(why, "MTU is too large to set XDP"));
	assert_non_null(strstr(why, "; lower it: ip link set dev v0 mtu 1500"));
	assert_int_equal(on_device("v0").native, 0);

	/* Should the kernel find nothing wrong when asked, then nothing is left attached. */
	run("ip link set v0 mtu 1500 && ip link set v1 mtu 1500");
	assert_false(reason_refused(why, sizeof(why), &interface, foreign, XDP_FLAGS_DRV_MODE, -ENOSPC));
	assert_non_null(strstr(why, "veth"));
	assert_non_null(strstr(why, strerror(ENOSPC)));
	assert_int_equal(on_device("v0").native, 0);
	close(foreign);
}

/* A name with a dot, which bpffs does not take, and names that no interface can have. */
static void test_names(void **state)
{
	struct fastpath *fastpath = open_fastpath();
	struct fastpath_interface list[2];

	run("ip link set v0 down && ip link set v0 name v0.100"); /* Linux 6.1 renames none that is up */
	attaches(fastpath, "v0.100", CONFIG_MODE_NATIVE, "native");
	assert_true(is_pinned("link-v0:100"));
	assert_int_equal(fastpath_interfaces(fastpath, list, 2), 1);
	assert_string_equal(list[0].name, "v0.100");
	assert_string_equal(list[0].mode, "native");
	assert_int_equal(fastpath_detach(fastpath, "v0.100"), 0);
	assert_false(is_pinned("link-v0:100"));

	refused(fastpath, "", CONFIG_MODE_AUTO, "cannot be the name");
	refused(fastpath, "../program", CONFIG_MODE_AUTO, "cannot be the name");
	refused(fastpath, "a-name-much-too-long-for-an-interface", CONFIG_MODE_AUTO, "cannot be the name");
	refused(fastpath, "nosuch0", CONFIG_MODE_AUTO, "no such interface");
	fastpath_close(fastpath);
}

static void test_foreign_program(void **state)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = XDP_FLAGS_DRV_MODE);
	struct fastpath *fastpath = open_fastpath();
	struct fastpath_interface list[2];
	int link, foreign = foreign_program();
	char words[64];

	assert_int_equal(bpf_xdp_attach(if_nametoindex("v0"), foreign, XDP_FLAGS_DRV_MODE, NULL), 0);
	snprintf(words, sizeof(words), "another XDP program, id %u (somebody)", on_device("v0").native);
	refused(fastpath, "v0", CONFIG_MODE_AUTO, words);
	refused(fastpath, "v0", CONFIG_MODE_AUTO, "`ip link set dev v0 xdpdrv off`");
	refused(fastpath, "v0", CONFIG_MODE_GENERIC, words);
	assert_int_equal(fastpath_interfaces(fastpath, list, 2), 1);
	assert_string_equal(list[0].mode, "none");
	assert_non_null(strstr(list[0].why, words));
	assert_false(is_pinned("link-v0"));
	run("ip link set dev v0 xdpdrv off"); /* as we said */

	assert_int_equal(bpf_xdp_attach(if_nametoindex("v0"), foreign, XDP_FLAGS_SKB_MODE, NULL), 0);
	refused(fastpath, "v0", CONFIG_MODE_AUTO, "`ip link set dev v0 xdpgeneric off`");
	run("ip link set dev v0 xdpgeneric off");

	link = bpf_link_create(foreign, if_nametoindex("v0"), BPF_XDP, &options);
	assert_true(link >= 0);
	refused(fastpath, "v0", CONFIG_MODE_AUTO, "`bpftool link detach id ");
	close(link);
	close(foreign);
	for (int i = 0; i < 100 && on_device("v0").native; i++)
		usleep(10000);
	attaches(fastpath, "v0", CONFIG_MODE_AUTO, "native");
	fastpath_close(fastpath);
}

static struct sockaddr_storage address(const char *text)
{
	struct sockaddr_storage out = {0};

	if (inet_pton(AF_INET, text, &((struct sockaddr_in *)&out)->sin_addr) == 1)
		out.ss_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&out)->sin6_addr) == 1)
		out.ss_family = AF_INET6;
	else
		fail_msg("no address: %s", text);
	return out;
}

static bool has_key(struct fastpath *fastpath, const char *text)
{
	struct pg_address key;
	__u8 value;

	assert_int_equal(inet_pton(AF_INET6, text, key.octets), 1);
	return bpf_map_lookup_elem(fastpath->addresses, &key, &value) == 0;
}

static unsigned key_count(struct fastpath *fastpath)
{
	struct pg_address key, *at = NULL;
	unsigned count = 0;

	for (; bpf_map_get_next_key(fastpath->addresses, at, &key) == 0; at = &key)
		count++;
	return count;
}

static void test_addresses(void **state)
{
	struct fastpath *fastpath = open_fastpath();
	struct sockaddr_storage first[] = {address("192.0.2.53"), address("2001:db8::53"), address("192.0.2.53")};
	struct sockaddr_storage second[] = {address("2001:db8::54"), address("192.0.2.53")};
	struct sockaddr_storage local = {.ss_family = AF_UNIX};

	assert_int_equal(fastpath_set_addresses(fastpath, first, 3), 0);
	assert_int_equal(key_count(fastpath), 2);
	assert_true(has_key(fastpath, "::ffff:192.0.2.53"));
	assert_true(has_key(fastpath, "2001:db8::53"));
	fastpath_close(fastpath);

	fastpath = open_fastpath(); /* the next agent finds them */
	assert_int_equal(key_count(fastpath), 2);
	assert_int_equal(fastpath_set_addresses(fastpath, second, 2), 0);
	assert_int_equal(key_count(fastpath), 2);
	assert_true(has_key(fastpath, "::ffff:192.0.2.53"));
	assert_true(has_key(fastpath, "2001:db8::54"));
	assert_int_equal(fastpath_set_addresses(fastpath, &local, 1), -1);
	assert_int_equal(key_count(fastpath), 2);
	assert_int_equal(fastpath_set_addresses(fastpath, NULL, 0), 0);
	assert_int_equal(key_count(fastpath), 0);
	fastpath_close(fastpath);
}

/* As many as there may be, and then as many others. */
static void test_addresses_full(void **state)
{
	struct fastpath *fastpath = open_fastpath();
	struct sockaddr_storage *all = calloc(2 * PG_ADDRESSES_MAX, sizeof(*all));
	char text[32];

	assert_non_null(all);
	for (unsigned i = 0; i < 2 * PG_ADDRESSES_MAX; i++) {
		snprintf(text, sizeof(text), "10.0.%u.%u", i / 256, i % 256);
		all[i] = address(text);
	}
	assert_int_equal(fastpath_set_addresses(fastpath, all, PG_ADDRESSES_MAX), 0);
	assert_int_equal(key_count(fastpath), PG_ADDRESSES_MAX);
	assert_int_equal(fastpath_set_addresses(fastpath, all + PG_ADDRESSES_MAX, PG_ADDRESSES_MAX), 0);
	assert_int_equal(key_count(fastpath), PG_ADDRESSES_MAX);
	assert_false(has_key(fastpath, "::ffff:10.0.0.0"));
	assert_true(has_key(fastpath, "::ffff:10.0.7.255"));
	assert_int_equal(fastpath_set_addresses(fastpath, all, PG_ADDRESSES_MAX + 1), -1);
	assert_int_equal(key_count(fastpath), PG_ADDRESSES_MAX);
	assert_true(has_key(fastpath, "::ffff:10.0.7.255"));
	free(all);
	fastpath_close(fastpath);
}

static void test_counters(void **state)
{
	struct fastpath *fastpath = open_fastpath();
	int cpus = libbpf_num_possible_cpus();
	struct pg_counters *each = calloc(cpus, sizeof(*each)), sum;
	const __u32 key = 0;

	assert_non_null(each);
	for (int cpu = 0; cpu < cpus; cpu++) {
		each[cpu].exits[PG_EXIT_ANSWERED] = 1000 + cpu;
		each[cpu].ipv6 = 7;
	}
	assert_int_equal(bpf_map_update_elem(fastpath->counters, &key, each, BPF_ANY), 0);
	fastpath_close(fastpath);

	fastpath = open_fastpath(); /* they live on */
	memset(&sum, 0xff, sizeof(sum));
	assert_int_equal(fastpath_counters(fastpath, &sum), 0);
	assert_int_equal(sum.exits[PG_EXIT_ANSWERED], 1000 * cpus + cpus * (cpus - 1) / 2);
	assert_int_equal(sum.ipv6, 7 * cpus);
	assert_int_equal(sum.rcodes[0], 0);
	free(each);
	fastpath_close(fastpath);
}

/* Pinned maps of another version do not fit: they are replaced, never written to. */
static void test_other_layout(void **state)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "counters", 4, 24, 1, NULL);
	struct fastpath *fastpath;
	struct pg_counters sum;
	char path[PATH_MAX];

	assert_true(fd >= 0);
	pins_path(path, pins, PINS_COUNTERS);
	assert_int_equal(bpf_obj_pin(fd, path), 0);
	pins_path(path, pins, "new-counters"); /* and of one that was killed while replacing */
	assert_int_equal(bpf_obj_pin(fd, path), 0);
	close(fd);
	fastpath = open_fastpath();
	assert_int_equal(fastpath_counters(fastpath, &sum), 0);
	assert_int_equal(sum.exits[PG_EXIT_ANSWERED], 0);
	assert_false(is_pinned("new-counters"));
	fastpath_close(fastpath);
}

/* Packets go through the program whichever run of the agent loaded it, and none is missed by a replacement. */
static void test_no_gap(void **state)
{
	struct fastpath *fastpath = open_fastpath();
	struct pg_counters sum;
	uint64_t counted = 0;

	/* No IPv6, and so no packet but ours. */
	run("ip link del v0 && ip link add v0 type veth peer name v1");
	run("ip link set v0 addrgenmode none && ip link set v1 addrgenmode none");
	run("ip link set v0 up && ip link set v1 up");
	attaches(fastpath, "v1", CONFIG_MODE_NATIVE, "native");
	run("ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:01 dev v0 && ip addr add 192.0.2.1/24 dev v0");
	for (int i = 0; i < 10; i++) {
		struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
		int sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

		assert_true(sender >= 0);
		inet_pton(AF_INET, "192.0.2.2", &to.sin_addr);
		for (int j = 0; j < 20; j++)
			assert_int_equal(sendto(sender, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
		close(sender);
		fastpath_close(fastpath);
		fastpath = open_fastpath();
		attaches(fastpath, "v1", CONFIG_MODE_NATIVE, "native");
	}
	usleep(100000);
	assert_int_equal(fastpath_counters(fastpath, &sum), 0);
	for (unsigned i = 0; i < PG_EXIT_COUNT; i++)
		counted += sum.exits[i];
	assert_int_equal(counted, 200);
	fastpath_close(fastpath);
}

/* Everything happens in namespaces that end with this process. */
static void seclude(void)
{
	if (geteuid() != 0) {
		fprintf(stderr, "test_fastpath: needs root: it makes namespaces and loads BPF programs\n");
		exit(1);
	}
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
		perror("test_fastpath: namespaces");
		exit(1);
	}
	umount2(BPFFS, MNT_DETACH);
	run("ip link set lo up");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	    TEST(test_mount),
	    TEST(test_attach_native),
	    TEST(test_attach_again),
	    TEST(test_killed_agent),
	    TEST(test_interface_recreated),
	    TEST(test_other_namespace),
	    TEST(test_detach),
	    TEST(test_remove),
	    TEST(test_modes),
	    TEST(test_kernel_words),
	    TEST(test_names),
	    TEST(test_foreign_program),
	    TEST(test_addresses),
	    TEST(test_addresses_full),
	    TEST(test_counters),
	    TEST(test_other_layout),
	    TEST(test_no_gap),
	};

	/* The errors that the tests provoke are not worth reading, unless one looks for a fault. */
	log_set_level(getenv("VERBOSE") ? LOG_LEVEL_DEBUG : 0);
	bpflog_install();
	if (argc == 3)
		return be_other_process(argv[1], argv[2]);
	seclude();
	snprintf(pins, sizeof(pins), BPFFS "/peregrine-test-%d", getpid());
	make_maps();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

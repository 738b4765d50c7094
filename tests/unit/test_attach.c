/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Attaching the fast path to real interfaces: what they get, what is in the way, and that no packet sees a gap. */
#include "fastpath_world.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WORLD_TEST(test_attach_native),   WORLD_TEST(test_attach_again),
	    WORLD_TEST(test_killed_agent),    WORLD_TEST(test_interface_recreated),
	    WORLD_TEST(test_other_namespace), WORLD_TEST(test_detach),
	    WORLD_TEST(test_modes),           WORLD_TEST(test_kernel_words),
	    WORLD_TEST(test_names),           WORLD_TEST(test_foreign_program),
	    WORLD_TEST(test_no_gap),
	};

	world_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

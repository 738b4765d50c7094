/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the fast path keeps on bpffs: the pin directory, and what its maps hold from one run to the next. */
#include "fastpath_world.h"

#include "publish/zone_counters.h"

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
	set_log();
	snprintf(pins, sizeof(pins), "%s", directory);
	if (strcmp(what, "remove") == 0)
		return fastpath_remove(pins) < 0;
	make_maps();
	return fastpath_open_maps(pins, &maps) ? 0 : 1;
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

/* Counters of zones live on, also in a larger map, until another zone gets the slot; and they take no more than they
 * may. */
static void test_zone_counters(void **state)
{
	int cpus = libbpf_num_possible_cpus();
	struct zone_counters *counters = zone_counters_open(pins, 64, 1 << 20);
	struct pg_zone_counters *each = calloc(cpus, sizeof(*each)), program, fallback;
	struct pg_work work = {.zone = 70, .rcode = 3, .qtype = 28, .flags = PG_WORK_TCP};
	const __u32 slot = 63, size = cpus * sizeof(*each);

	assert_non_null(counters);
	assert_non_null(each);
	assert_int_equal(zone_counters_memory(counters), 64 * size);
	for (int cpu = 0; cpu < cpus; cpu++)
		each[cpu].types[PG_ZONE_TYPE_MX] = cpu + 1;
	assert_int_equal(bpf_map_update_elem(zone_counters_map(counters), &slot, each, BPF_ANY), 0);
	assert_false(zone_counters_read(counters, 64, &program, &fallback));
	zone_counters_close(counters);

	counters = zone_counters_open(pins, 128, 1 << 20);
	assert_int_equal(zone_counters_memory(counters), 128 * size);
	zone_counters_reply(counters, &work, true, 100);
	assert_true(zone_counters_read(counters, 70, &program, &fallback));
	assert_int_equal(program.rcodes[PG_ZONE_NXDOMAIN], 0);
	assert_int_equal(fallback.rcodes[PG_ZONE_NXDOMAIN] + fallback.types[PG_ZONE_TYPE_AAAA], 2);
	assert_int_equal(fallback.ipv6 + fallback.tcp + fallback.reply_octets, 102);
	work.zone = PG_ZONE_NONE;
	zone_counters_reply(counters, &work, true, 100);
	assert_true(zone_counters_read(counters, slot, &program, &fallback));
	assert_int_equal(program.types[PG_ZONE_TYPE_MX], cpus * (cpus + 1) / 2);
	zone_counters_clear(counters, slot);
	zone_counters_clear(counters, 70);
	assert_true(zone_counters_read(counters, slot, &program, &fallback));
	assert_int_equal(program.types[PG_ZONE_TYPE_MX], 0);
	zone_counters_read(counters, 70, &program, &fallback);
	assert_int_equal(fallback.tcp, 0);
	zone_counters_close(counters);

	counters = zone_counters_open(pins, 64, 1 << 20); /* never made smaller */
	assert_int_equal(zone_counters_memory(counters), 128 * size);
	zone_counters_close(counters);
	counters = zone_counters_open(pins, 1024, 200 * (__u64)size);
	assert_int_equal(zone_counters_memory(counters), 200 * size);
	zone_counters_close(counters);
	free(each);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    WORLD_TEST(test_mount),          WORLD_TEST(test_remove),   WORLD_TEST(test_addresses),
	    WORLD_TEST(test_addresses_full), WORLD_TEST(test_counters), WORLD_TEST(test_other_layout),
	    WORLD_TEST(test_zone_counters),
	};

	if (argc == 3)
		return be_other_process(argv[1], argv[2]);
	world_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

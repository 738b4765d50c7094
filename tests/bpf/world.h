/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The world of the program's tests: an image with zones in it, the program loaded on that image, and both ways to ask:
 * the program by BPF_PROG_TEST_RUN, the engine on the host. Needs root, and fails without.
 *
 * bpffs is mounted afresh in a mount namespace of the test's own, so that no pin outlives the process, however it ends.
 */
#ifndef PEREGRINE_TESTS_WORLD_H
#define PEREGRINE_TESTS_WORLD_H

#include "packet.h"

#include "common/log.h"
#include "engine/engine.h"
#include "publish/fastpath.h"
#include "publish/fastpath_internal.h"
#include "publish/image_internal.h"
#include "zone/zone.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <libzscanner/scanner.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>
#include <urcu/urcu-memb.h>

#include <cmocka.h>

#define FOREVER UINT64_MAX
#define UDP_SIZE 1232

static struct image *image;
static struct fastpath *fastpath;
static char pins[64];

static inline uint64_t boottime_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000U + now.tv_nsec;
}

static inline void ignore(void *context)
{
}

static inline void add_record(zs_scanner_t *scanner)
{
	struct zone_builder *builder = scanner->process.data;

	if (zone_builder_add(builder, scanner->r_owner, scanner->r_type, scanner->r_ttl, scanner->r_data,
	                     scanner->r_data_length))
		fail_msg("%s", zone_builder_error(builder));
}

static inline void publish(const char *origin, const char *text, uint64_t expires_at)
{
	knot_dname_storage_t apex;
	zs_scanner_t scanner;
	struct zone_builder *builder;
	struct zone_version *version;
	char why[512] = "";

	assert_non_null(knot_dname_from_str(apex, origin, sizeof(apex)));
	builder = zone_builder_new(apex, 0);
	assert_int_equal(0, zs_init(&scanner, origin, KNOT_CLASS_IN, 3600));
	assert_int_equal(0, zs_set_processing(&scanner, add_record, NULL, builder));
	assert_int_equal(0, zs_set_input_string(&scanner, text, strlen(text)));
	if (zs_parse_all(&scanner))
		fail_msg("%s: %s", origin, zs_strerror(scanner.error.code));
	zs_deinit(&scanner);
	version = zone_builder_finish(builder, why, sizeof(why));
	if (!version)
		fail_msg("%s: %s", origin, why);
	assert_true(image_add_zone(image, version->apex) >= 0);
	if (image_commit(image, version, expires_at, ignore, NULL, why, sizeof(why)))
		fail_msg("%s: %s", origin, why);
	zone_unref(version);
}

/* Cookies and an identity, no limit. */
static inline void make_policy(void)
{
	struct pg_policy policy = {.secret = {{1, 2}, {3, 4}},
	                           .secrets = 2,
	                           .nsid_length = 13,
	                           .nsid = "\0\3\0\x09"
	                                   "test-node"};

	for (size_t i = 0; i < policy.nsid_length; i++) {
		uint32_t sum = policy.nsid_sum + (i & 1 ? policy.nsid[i] << 8 : policy.nsid[i]);

		policy.nsid_sum = (sum & 0xffff) + (sum >> 16);
	}
	image_set_policy(image, &policy);
}

/* Publishes the zones; called with the image open. */
static void make_zones(void);

static inline int world_open(void **state)
{
	struct sockaddr_storage addresses[2] = {{.ss_family = AF_INET}, {.ss_family = AF_INET6}};

	snprintf(pins, sizeof(pins), "/sys/fs/bpf/peregrine-packets-%d", getpid());
	if (fastpath_mount_bpffs(pins))
		return -1;
	image = image_open(pins, 64 << 20, 53, UDP_SIZE);
	if (!image)
		return -1;
	make_zones();
	make_policy();
	fastpath = fastpath_open(pins, image);
	if (!fastpath)
		return -1;
	put32((uint8_t *)&((struct sockaddr_in *)&addresses[0])->sin_addr, SERVER4);
	memcpy(&((struct sockaddr_in6 *)&addresses[1])->sin6_addr, SERVER6, 16);
	return fastpath_set_addresses(fastpath, addresses, 2);
}

static inline int world_close(void **state)
{
	fastpath_close(fastpath);
	image_close(image);
	fastpath_remove(pins);
	return access(pins, F_OK) == 0 ? -1 : 0;
}

/* To be called before all else in main. */
static inline void world_begin(const char *test)
{
	if (geteuid() != 0) {
		fprintf(stderr, "%s: needs root: it loads BPF programs\n", test);
		exit(1);
	}
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
		perror(test);
		exit(1);
	}
	umount2("/sys/fs/bpf", MNT_DETACH);
	log_set_level(getenv("VERBOSE") ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING);
	urcu_memb_register_thread();
}

/* Cookies carry seconds, and the program's clock is some ticks behind: both sides are shown the same moment, in the
 * later part of a second. */
static inline void hold_clock(void)
{
	image->settings->clock_offset = 1700000000U * 1000000000ULL + 800000000U - boottime_now();
}

/* Runs the program on a packet; returns its verdict. */
static inline unsigned run_program(const struct packet *in, struct packet *out)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = in->octets, .data_size_in = in->length,
	            .data_out = out->octets, .data_size_out = sizeof(out->octets), .repeat = 1);
	int error;

	hold_clock();
	error = bpf_prog_test_run_opts(fastpath->program, &options);
	if (error)
		fail_msg("BPF_PROG_TEST_RUN on %zu octets: %s", in->length, strerror(-error));
	out->length = options.data_size_out;
	return options.retval;
}

/* The same with only `first` octets in the frame's first buffer; -1 where the kernel cannot do that. */
static inline int run_split(const struct packet *in, size_t first, struct packet *out)
{
	struct xdp_md context = {.data_end = first};
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = in->octets, .data_size_in = in->length,
	            .data_out = out->octets, .data_size_out = sizeof(out->octets), .repeat = 1, .ctx_in = &context,
	            .ctx_size_in = sizeof(context));
	int error = bpf_prog_test_run_opts(fastpath->program, &options);

	if (error == -EINVAL)
		return -1;
	if (error)
		fail_msg("BPF_PROG_TEST_RUN on %zu of %zu octets: %s", first, in->length, strerror(-error));
	out->length = options.data_size_out;
	return options.retval;
}

/* What the engine on the host takes for the client: that of the packets, or another. */
static struct sockaddr_storage client = {.ss_family = AF_INET};

static inline void set_client(const struct packet *in)
{
	const uint8_t *ip = in->octets + in->ip;

	client.ss_family = ip[0] >> 4 == 6 ? AF_INET6 : AF_INET;
	if (client.ss_family == AF_INET6)
		memcpy(&((struct sockaddr_in6 *)&client)->sin6_addr, ip + 8, 16);
	else
		memcpy(&((struct sockaddr_in *)&client)->sin_addr, ip + 12, 4);
}

/* Asks the engine on the host. */
static inline enum pg_exit run_engine(const uint8_t *query, size_t length, uint8_t *reply, size_t *reply_length)
{
	static struct pg_work work;
	enum pg_exit exit;

	engine_set_client(&work, &client);
	hold_clock();
	urcu_memb_read_lock();
	exit = engine_answer(image_view_get(image), &work, false, boottime_now(), query, length, reply, 65535,
	                     reply_length);
	urcu_memb_read_unlock();
	return exit;
}

static inline const char *exit_name(unsigned exit)
{
	static const char *const names[] = {
#define EXIT_NAME(number, symbol, name, text) [number] = #name,
	    PG_EXITS(EXIT_NAME)
#undef EXIT_NAME
	};

	return exit < sizeof(names) / sizeof(names[0]) && names[exit] ? names[exit] : "?";
}

#endif

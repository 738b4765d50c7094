/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Zones, image and programs of the benchmark. */
#include "bench.h"
#include "image_of_bench.h"

#include "common/log.h"
#include "publish/fastpath_internal.h"
#include "publish/image_internal.h"
#include "zone/zone.h"

#include "bench_bench.skel.h"
#include "bench_stages.skel.h"

#include <bpf/bpf.h>
#include <libzscanner/scanner.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

static struct image *image;
static struct fastpath *fastpath;
static struct bench_bench_bpf *around;
static struct bench_stages_bpf *stages;
static char pins[64];
unsigned world_batches = 5;

const char *const stage_names[STAGES] = {"packet", "parse", "clock", "name", "decide", "limit", "grow", "link"};

struct image *bench_image(void)
{
	return image;
}

static void add_record(zs_scanner_t *scanner)
{
	if (zone_builder_add(scanner->process.data, scanner->r_owner, scanner->r_type, scanner->r_ttl, scanner->r_data,
	                     scanner->r_data_length))
		scanner->state = ZS_STATE_STOP;
}

static void visible(void *context)
{
}

static int publish(const char *origin, const char *text)
{
	knot_dname_storage_t apex;
	zs_scanner_t scanner;
	struct zone_builder *builder;
	struct zone_version *version;
	char why[512] = "memory is short";
	int failed = 1;

	knot_dname_from_str(apex, origin, sizeof(apex));
	builder = zone_builder_new(apex, 0);
	if (!builder || zs_init(&scanner, origin, KNOT_CLASS_IN, 3600))
		return -1;
	if (!zs_set_processing(&scanner, add_record, NULL, builder) &&
	    !zs_set_input_string(&scanner, text, strlen(text)))
		failed = zs_parse_all(&scanner);
	zs_deinit(&scanner);
	version = zone_builder_finish(builder, why, sizeof(why));
	if (version && !failed)
		failed = image_add_zone(image, version->apex) < 0 ||
		         image_commit(image, version, UINT64_MAX, visible, NULL, why, sizeof(why));
	if (version)
		zone_unref(version);
	if (failed)
		log_error("zone %s: %s", origin, why);
	return failed ? -1 : 0;
}

static int make_zones(void)
{
	const char *origin;
	int failed = 0;
	char *text;

	for (unsigned i = 0; (text = zone_text(i, &origin)) != NULL; i++) {
		failed |= publish(origin, text);
		free(text);
	}
	return origin ? -1 : failed;
}

void world_set_limit(bool limited)
{
	/* Any secret, so that cookies are judged; a response each nanosecond, which is never met. */
	const struct pg_policy policy = {.secret = {{1, 2}}, .secrets = 1, .interval = limited ? 1 : 0};

	image_set_policy(image, &policy);
}

/* The stages run on the product's maps. */
static int open_stages(void)
{
	struct image_maps maps;

	stages = bench_stages_bpf__open();
	if (!stages)
		return -1;
	image_get_maps(image, &maps);
	bpf_program__set_autoload(stages->progs.peregrine_xdp, false);
	if (bpf_map__reuse_fd(stages->maps.image, maps.image) ||
	    bpf_map__reuse_fd(stages->maps.index_table, maps.index) ||
	    bpf_map__reuse_fd(stages->maps.zones_table, maps.zones) ||
	    bpf_map__reuse_fd(stages->maps.zone_index_table, maps.zone_index) ||
	    bpf_map__reuse_fd(stages->maps.settings, maps.settings) ||
	    bpf_map__reuse_fd(stages->maps.zone_counters, maps.zone_counters) ||
	    bpf_map__reuse_fd(stages->maps.limits, fastpath->limits) ||
	    bpf_map__reuse_fd(stages->maps.exempt, fastpath->exempt) ||
	    bpf_map__reuse_fd(stages->maps.addresses, fastpath->addresses))
		return -1;
	return bench_stages_bpf__load(stages);
}

int world_open(void)
{
	struct sockaddr_storage address = {.ss_family = AF_INET};

	/* Pins stand on a bpffs that ends with this process, however it ends. */
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
		log_error("peregrine-bench needs root: it loads BPF programs");
		return -1;
	}
	umount2("/sys/fs/bpf", MNT_DETACH);
	snprintf(pins, sizeof(pins), "/sys/fs/bpf/peregrine-bench-%d", getpid());
	memcpy(&((struct sockaddr_in *)&address)->sin_addr, "\xc0\0\2\x35", 4);
	if (fastpath_mount_bpffs(pins))
		return -1;
	image = image_open(pins, 64 << 20, 53, 1232);
	if (!image || image_count_zones(image, 64, 64 << 20) || make_zones())
		return -1;
	image_set_clock(image);
	world_set_limit(false);
	fastpath = fastpath_open(pins, image);
	if (!fastpath || fastpath_set_addresses(fastpath, &address, 1))
		return -1;
	around = bench_bench_bpf__open_and_load();
	if (!around || open_stages()) {
		log_error("the benchmark's own programs cannot be loaded");
		return -1;
	}
	return 0;
}

void world_close(void)
{
	bench_stages_bpf__destroy(stages);
	bench_bench_bpf__destroy(around);
	fastpath_close(fastpath);
	image_close(image);
	if (pins[0])
		fastpath_remove(pins);
}

int world_program(unsigned program)
{
	if (program == WORLD_RETURN)
		return bpf_program__fd(around->progs.bench_return);
	if (program == WORLD_REFLECT)
		return bpf_program__fd(around->progs.bench_reflect);
	if (program == WORLD_PEREGRINE)
		return fastpath->program;
	return bpf_program__fd((struct bpf_program *[STAGES]){
	    stages->progs.stage_packet, stages->progs.stage_parse, stages->progs.stage_clock, stages->progs.stage_name,
	    stages->progs.stage_decide, stages->progs.stage_limit, stages->progs.stage_grow,
	    stages->progs.stage_link}[program - WORLD_STAGES]);
}

int world_set_queries(const struct bench_query *queries, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (bpf_map_update_elem(bpf_map__fd(around->maps.queries), &i, &queries[i], BPF_ANY))
			return -1;
	around->bss->query_next = 0;
	around->data->query_count = count;
	return 0;
}

int world_set_measured(int program)
{
	const uint32_t zero = 0;

	return bpf_map_update_elem(bpf_map__fd(around->maps.measured), &zero, &program, BPF_ANY);
}

/* The least of some batches: whatever else runs on this machine makes a batch slower, never faster. */
static double run(int program, const void *frame, uint32_t length, uint32_t repeat)
{
	double least = -1;

	for (unsigned i = 0; i < world_batches; i++) {
		LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = length,
		            .repeat = repeat / world_batches);

		if (bpf_prog_test_run_opts(program, &options) || options.retval != XDP_TX)
			return -1;
		if (least < 0 || options.duration < least)
			least = options.duration;
	}
	return least;
}

double world_time_restored(uint32_t repeat)
{
	static const uint8_t frame[BENCH_FRAME];

	return run(bpf_program__fd(around->progs.bench_restore), frame, sizeof(frame), repeat);
}

double world_time_alone(int program, const struct bench_query *query, uint32_t repeat)
{
	return run(program, query->octets, query->length, repeat);
}

int world_run(uint32_t number, uint8_t *frame, uint32_t *length)
{
	static const uint8_t before[BENCH_FRAME];
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = before, .data_size_in = sizeof(before), .data_out = frame,
	            .data_size_out = *length, .repeat = 1);

	around->bss->query_next = number;
	if (bpf_prog_test_run_opts(bpf_program__fd(around->progs.bench_restore), &options))
		return -1;
	*length = options.data_size_out;
	return options.retval;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Zones larger than the fast path's memory: what the program has of them, that names move in and out, and what is left
 * when their mover dies at any moment. The latter needs BPF maps, and so root.
 */
#include "difference.h"
#include "own_bpffs.h"
#include "zone_text.h"

#include "publish/heat.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAMES 4000
#define KILLS 40
#define BUDGET (1 << 20)

static struct pg_work work;
static char pins[128], state[128], cold[160], text[1200 * NAMES];

/* Some 500 octets a name, so that it takes about two segments; every name tells a number, and whether it is there the
 * serial. */
static const char *big_zone_with(unsigned serial, unsigned told)
{
	size_t at = snprintf(
	    text, sizeof(text),
	    "@ SOA ns host %u 1 1 1 60\n@ NS ns\n@ MX 1 n1\n*.w A 10.9.9.9\nd NS ns.d\nns.d A 10.8.8.8\n", serial);

	for (unsigned i = 0; i < NAMES; i++)
		if ((i + serial) % 7)
			at += snprintf(text + at, sizeof(text) - at, "n%u A 10.0.%u.%u\n TXT %0230u %0230u\n", i,
			               told >> 8, told & 255, i, i);
	return text;
}

static const char *big_zone(unsigned serial)
{
	return big_zone_with(serial, serial);
}

struct answer {
	enum pg_exit exit;
	size_t length;
	uint8_t octets[65535];
};

static void ask(struct image *image, bool as_program, const char *name, struct answer *out)
{
	uint8_t query[300];
	size_t length = zone_text_query(query, name, KNOT_RRTYPE_A, 0);

	urcu_memb_read_lock();
	out->exit = (as_program ? engine_answer_as_program : engine_answer)(
	    image_view_get(image), &work, false, 1, query, length, out->octets, sizeof(out->octets), &out->length);
	urcu_memb_read_unlock();
}

/* Asks both: the host answers, the program the same or nothing. Returns whether it did. */
static bool same(struct image *image, const char *name, unsigned rcode)
{
	static struct answer host, program;

	ask(image, true, name, &program);
	ask(image, false, name, &host);
	assert_int_equal(PG_EXIT_ANSWERED, host.exit);
	assert_int_equal(rcode, knot_wire_get_rcode(host.octets));
	if (program.exit == PG_EXIT_COLD)
		return false;
	assert_int_equal(PG_EXIT_ANSWERED, program.exit);
	assert_int_equal(host.length, program.length);
	assert_memory_equal(host.octets, program.octets, host.length);
	return true;
}

static const char *number_name(unsigned number)
{
	static char name[64];

	snprintf(name, sizeof(name), "n%u.big.test.", number);
	return name;
}

static unsigned serial_of(struct image *image)
{
	int64_t slot = image_find_zone(image, (const uint8_t *)"\3big\4test");

	return slot < 0 || !image_head(image, slot).ref ? 0 : image_zone(image, slot)->serial;
}

/* Every name is as the version has it. Returns how many the program has. */
static unsigned check_whole(struct image *image)
{
	const struct image_zone *data = &image->zone_data[image_find_zone(image, (const uint8_t *)"\3big\4test")];
	unsigned serial = serial_of(image), warm = 0, there = 0;

	for (unsigned i = 0; i < NAMES; i++) {
		bool exists = (i + serial) % 7 != 0, answered;

		answered = same(image, number_name(i), exists ? KNOT_RCODE_NOERROR : KNOT_RCODE_NXDOMAIN);
		/* That a name is not there needs the apex alone. */
		assert_true(exists || answered);
		warm += exists && answered;
		there += exists;
	}
	/* Apex, w, *.w and d are names too. */
	assert_in_range(data->cold, there - warm, there - warm + 4);
	assert_true(same(image, "x.y.w.big.test.", KNOT_RCODE_NOERROR));
	return warm;
}

/* Has a name asked for until it is warm. */
static bool warms(struct image *image, unsigned number)
{
	static struct answer reply;

	for (int i = 0; i < 40; i++) {
		for (int j = 0; j < 3; j++) {
			ask(image, false, number_name(number), &reply);
			image_note_uses(image, &work);
		}
		heat_tick(image);
		if (same(image, number_name(number), KNOT_RCODE_NOERROR))
			return true;
	}
	return false;
}

static void larger_than_memory(void **unused)
{
	struct image *image = image_open(NULL, BUDGET, 53, 1232);
	unsigned warm;

	zone_text_publish(image, "big.test.", big_zone(1));
	assert_int_equal(1, image->segments.warm.count);
	assert_true(heat_wanted(image));
	warm = check_whole(image);
	assert_in_range(warm, NAMES / 5, NAMES * 2 / 3);
	/* Another version, in which all are new. */
	zone_text_publish(image, "big.test.", big_zone(2));
	assert_in_range(check_whole(image), warm * 3 / 4, warm * 5 / 4);
	image_close(image);
}

static void moves(void **unused)
{
	struct image *image = image_open(NULL, BUDGET, 53, 1232);
	unsigned warm, moved = 0;
	uint64_t used;

	zone_text_publish(image, "big.test.", big_zone(1));
	used = image->segments.warm.used + image->segments.cold.used;
	warm = check_whole(image);
	for (unsigned i = 0; i < NAMES; i += 40)
		if ((i + 1) % 7 && !same(image, number_name(i), KNOT_RCODE_NOERROR)) {
			assert_true(warms(image, i));
			moved++;
		}
	assert_true(moved > 20);
	assert_in_range(check_whole(image), warm * 3 / 4, warm * 5 / 4);
	assert_int_equal(used, image->segments.warm.used + image->segments.cold.used);
	assert_true(segments_warm_free(&image->segments) >= heat_reserve(image) / 2);
	/* What moved is given back with its zone: but for the units that mean none. */
	image_drop_zone(image, image_hide_zone(image, (const uint8_t *)"\3big\4test"));
	assert_int_equal(2, image->segments.warm.used + image->segments.cold.used);
	assert_false(heat_wanted(image));
	image_close(image);
}

/* A name that is used stays, when those around it make room. */
static void used_stays(void **unused)
{
	struct image *image = image_open(NULL, BUDGET, 53, 1232);
	unsigned kept[8], count = 0;

	zone_text_publish(image, "big.test.", big_zone(1));
	for (unsigned i = 0; i < NAMES && count < 8; i += 10)
		if ((i + 1) % 7 && same(image, number_name(i), KNOT_RCODE_NOERROR))
			kept[count++] = i;
	assert_int_equal(8, count);
	for (unsigned i = 1; i < NAMES; i += 9) {
		if (!((i + 1) % 7) || same(image, number_name(i), KNOT_RCODE_NOERROR))
			continue;
		/* As the program would note. */
		for (unsigned j = 0; j < count; j++) {
			assert_true(same(image, number_name(kept[j]), KNOT_RCODE_NOERROR));
			segments_use(&image->segments, work.node);
		}
		warms(image, i);
	}
	for (unsigned j = 0; j < count; j++)
		assert_true(same(image, number_name(kept[j]), KNOT_RCODE_NOERROR));
	image_close(image);
}

/* What many answers need is warm even when it comes last. */
static void shared_gets_room(void **unused)
{
	struct image *image = image_open(NULL, BUDGET, 53, 1232);
	static char small[256 * 400];
	size_t at = snprintf(small, sizeof(small), "@ SOA ns host 1 1 1 1 60\n@ NS ns\n");

	zone_text_publish(image, "big.test.", big_zone(1));
	for (unsigned i = 0; i < 400; i++)
		at += snprintf(small + at, sizeof(small) - at, "*.w%u TXT %0150u\n", i, i);
	zone_text_publish(image, "wild.test.", small);
	for (unsigned i = 0; i < 400; i++) {
		static struct answer reply;
		char name[64];

		snprintf(name, sizeof(name), "*.w%u.wild.test.", i);
		ask(image, true, name, &reply);
		assert_int_equal(PG_EXIT_ANSWERED, reply.exit);
	}
	assert_int_equal(1, image->segments.warm.count);
	check_whole(image);
	image_close(image);
}

/* Where the file has no room either, the version is refused and the old one stays. */
static void file_bound(void **unused)
{
	struct image *image;
	struct zone_version *version;
	char why[512] = "", path[256], small[256];

	assert_int_equal(0, mount("tmpfs", state, "tmpfs", 0, "size=1m"));
	snprintf(path, sizeof(path), "%s/cold-names", state);
	image = image_open_with(NULL, path, BUDGET, 53, 1232);
	snprintf(small, sizeof(small), "@ SOA ns host 5 1 1 1 60\n@ NS ns\nn1 A 10.0.0.1\n");
	zone_text_publish(image, "big.test.", small);
	version = zone_text("big.test.", big_zone(6));
	assert_int_equal(-1, image_commit(image, version, UINT64_MAX, zone_text_visible, NULL, why, sizeof(why)));
	assert_non_null(strstr(why, "fast-path.memory"));
	zone_unref(version);
	assert_int_equal(5, serial_of(image));
	assert_true(same(image, number_name(1), KNOT_RCODE_NOERROR));
	assert_int_equal(0, image->segments.cold.used > 1);
	image_close(image);
	umount(state);
}

/* From all records, or as changes of the version before. */
static struct zone_version *publish_next(struct image *image, unsigned serial, struct zone_version *before)
{
	struct zone_version *version = zone_text("big.test.", big_zone(serial));

	if (before)
		difference_apply(image, before, version);
	else
		zone_text_publish(image, "big.test.", text);
	zone_unref(before);
	return version;
}

/* Changes of a zone that is partly cold, by what they concern alone: what is warm stays so, as far as there is room. */
static void changes(void **unused)
{
	struct image *image = image_open(NULL, BUDGET, 53, 1232);
	struct zone_version *before = publish_next(image, 1, NULL), *after;
	unsigned warm = check_whole(image);

	for (unsigned serial = 2; serial < 12; serial++) {
		after = zone_text("big.test.", big_zone_with(serial, 1));
		assert_true(difference_apply(image, before, after));
		zone_unref(before);
		before = after;
		assert_in_range(check_whole(image), warm * 3 / 4, warm * 5 / 4);
		heat_tick(image);
	}
	zone_unref(before);
	image_drop_zone(image, image_hide_zone(image, (const uint8_t *)"\3big\4test"));
	assert_int_equal(2, image->segments.warm.used + image->segments.cold.used);
	image_close(image);
}

static void publish_and_move(unsigned serial)
{
	struct image *image = image_open_with(pins, cold, BUDGET, 53, 1232);
	static struct answer reply;
	struct zone_version *before = NULL;

	srandom(getpid());
	while (image) {
		before = publish_next(image, ++serial, before);
		for (int i = 0; i < 20; i++) {
			for (int j = 0; j < 200; j++) {
				ask(image, false, number_name(random() % NAMES), &reply);
				image_note_uses(image, &work);
				image_note_uses(image, &work);
			}
			heat_tick(image);
		}
	}
	_exit(1);
}

static void killed_at_any_moment(void **unused)
{
	unsigned serial = 0;

	srandom(2);
	/* A busy machine gets further in more tries. */
	for (int i = 0; i < KILLS || (serial <= KILLS / 8 && i < 8 * KILLS); i++) {
		struct image *image;
		pid_t child = fork();
		unsigned found;

		assert_true(child >= 0);
		if (!child)
			publish_and_move(serial);
		usleep(i ? random() % 500000 : 1000000);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		image = image_open_with(pins, cold, BUDGET, 53, 1232);
		assert_non_null(image);
		assert_true(image->adopted || !serial);
		found = serial_of(image);
		assert_true(found >= serial);
		serial = found;
		if (serial)
			check_whole(image);
		image_close(image);
	}
	assert_true(serial > KILLS / 8);
}

/* The file is another image's, or gone: what is pinned is not whole, and is replaced. */
static void lost_file(void **unused)
{
	struct image *image;
	int fd = open(cold, O_RDWR);

	assert_int_equal(8, pwrite(fd, "anything", 8, 0));
	close(fd);
	image = image_open_with(pins, cold, BUDGET, 53, 1232);
	assert_non_null(image);
	assert_false(image->adopted);
	zone_text_publish(image, "big.test.", big_zone(1));
	check_whole(image);
	image_close(image);
	image = image_open_with(pins, cold, BUDGET, 53, 1232);
	assert_true(image->adopted);
	check_whole(image);
	image_close(image);
	unlink(cold);
	image = image_open_with(pins, cold, BUDGET, 53, 1232);
	assert_false(image->adopted);
	image_close(image);
	unlink(cold);
	rmdir(state);
}

static int make_places(void **unused)
{
	if (own_bpffs())
		return -1;
	snprintf(pins, sizeof(pins), "/sys/fs/bpf/peregrine-budget-%d", getpid());
	snprintf(state, sizeof(state), "/tmp/peregrine-budget-XXXXXX");
	if (!mkdtemp(state))
		return -1;
	snprintf(cold, sizeof(cold), "%s/cold-names", state);
	return mkdir(pins, 0700);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(larger_than_memory), cmocka_unit_test(moves),      cmocka_unit_test(used_stays),
	    cmocka_unit_test(shared_gets_room),   cmocka_unit_test(file_bound), cmocka_unit_test(killed_at_any_moment),
	    cmocka_unit_test(lost_file),          cmocka_unit_test(changes),
	};

	urcu_memb_register_thread();
	return cmocka_run_group_tests(tests, make_places, NULL);
}

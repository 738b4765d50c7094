/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The image as memory: leaks, and what is left when its writer dies at any moment. The latter needs BPF maps,
 * and so root.
 */
#include "difference.h"
#include "signed_zone.h"
#include "own_bpffs.h"
#include "zone_text.h"

#include <bpf/bpf.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAMES 300
#define KILLS 60

static struct pg_work work;
static char pins[128];

/* A zone every address of which tells its serial. Names come and go with it. */
static void serial_text(char *text, size_t size, unsigned serial)
{
	size_t at = snprintf(text, size, "@ SOA ns host %u 1 1 1 60\n@ NS ns\n@ MX 1 n1\n", serial);

	for (unsigned i = 0; i < NAMES; i++)
		if ((i + serial) % 7)
			at += snprintf(text + at, size - at, "n%u A 10.%u.%u.%u\n", i, serial >> 16 & 255,
			               serial >> 8 & 255, serial & 255);
}

/* The serial that an answer tells: the last four octets of an A record, or the SOA's. */
static unsigned serial_of(const uint8_t *reply, size_t length, bool proved)
{
	knot_pkt_t *pkt = knot_pkt_new((uint8_t *)reply, length, NULL);
	const knot_pktsection_t *section;
	unsigned serial;

	assert_int_equal(KNOT_EOK, knot_pkt_parse(pkt, 0));
	section = knot_pkt_section(pkt, KNOT_ANSWER);
	if (section->count) {
		const uint8_t *data = knot_pkt_rr(section, 0)->rrs.rdata->data;

		assert_int_equal(KNOT_RRTYPE_A, knot_pkt_rr(section, 0)->type);
		serial = (unsigned)data[1] << 16 | data[2] << 8 | data[3];
	} else {
		section = knot_pkt_section(pkt, KNOT_AUTHORITY);
		/* A signed one has the SOA first, and a proof at least, each with its signature. */
		assert_true(proved ? section->count >= 4 : section->count == 1);
		assert_int_equal(KNOT_RCODE_NXDOMAIN, knot_wire_get_rcode(reply));
		serial = knot_soa_serial(knot_pkt_rr(section, 0)->rrs.rdata);
	}
	knot_pkt_free(pkt);
	return serial;
}

/* Every name tells the same serial, and is there exactly when that version has it. Returns the serial. */
static unsigned check_whole(struct image *image, const char *origin)
{
	static uint8_t reply[65535];
	unsigned serial = 0;

	for (unsigned i = 0; i < NAMES; i++) {
		uint8_t query[300];
		char name[64];
		size_t length, reply_length = 0;
		unsigned told;

		snprintf(name, sizeof(name), "n%u.%s", i, origin);
		length = zone_text_query(query, name, KNOT_RRTYPE_A, 4096);
		query[length - 4] |= 0x80; /* DO */
		assert_int_equal(PG_EXIT_ANSWERED, zone_text_ask(image, &work, query, length, reply, &reply_length));
		told = serial_of(reply, reply_length, strcmp(origin, "kill.test."));
		if (!i)
			serial = told;
		assert_int_equal(serial, told);
		assert_int_equal((i + serial) % 7 ? KNOT_RCODE_NOERROR : KNOT_RCODE_NXDOMAIN,
		                 knot_wire_get_rcode(reply));
	}
	return serial;
}

/* One that is not signed, and one for each kind of chain. */
static const char *const origins[] = {"kill.test.", "nsec.test.", "nsec3.test."};
#define ZONES 3

/* The version of a zone that a text makes. */
static struct zone_version *version_of(int zone, const char *text)
{
	return zone ? signed_text(origins[zone], text, &(struct signing){.nsec3 = zone == 2})
	            : zone_text(origins[zone], text);
}

/* Publishes the next version: from all its records, or as changes of the one before. */
static struct zone_version *publish_next(struct image *image, int zone, const char *text, struct zone_version *before)
{
	struct zone_version *version = version_of(zone, text);
	char why[512] = "";

	assert_true(image_add_zone(image, version->apex) >= 0);
	if (before)
		difference_apply(image, before, version);
	else if (image_commit(image, version, UINT64_MAX, zone_text_visible, NULL, why, sizeof(why)))
		fail_msg("%s", why);
	zone_unref(before);
	return version;
}

/* The child: publishes version after version until it is killed. */
static void publish_for_ever(unsigned serial, int told)
{
	static char text[64 * NAMES];
	struct image *image = image_open(pins, 64 << 20, 53, 1232);
	struct zone_version *versions[ZONES] = {};

	while (image) {
		serial_text(text, sizeof(text), ++serial);
		for (int zone = 0; zone < ZONES; zone++)
			versions[zone] = publish_next(image, zone, text, versions[zone]);
		if (write(told, "", 1) != 1)
			break;
	}
	_exit(1);
}

static void killed_at_any_moment(void **state)
{
	unsigned serial[ZONES] = {}, advanced = 0;
	uint64_t used = 0;
	int told[2];
	char octet;

	srandom(1);
	assert_int_equal(0, pipe(told));
	for (int i = 0; i < KILLS; i++) {
		struct image *image;
		pid_t child = fork();

		assert_true(child >= 0);
		if (!child)
			publish_for_ever(serial[0], told[1]);
		/* The first must get as far as publishing something, and so must some of the others. */
		if (i % 8 == 0)
			assert_int_equal(1, read(told[0], &octet, 1));
		usleep(random() % 150000);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		image = image_open(pins, 64 << 20, 53, 1232);
		assert_non_null(image);
		assert_true(image->adopted);
		for (int zone = 0; zone < ZONES; zone++) {
			unsigned found = check_whole(image, origins[zone]);

			assert_true(found >= serial[zone]);
			advanced += !zone && found > serial[zone];
			serial[zone] = found;
		}
		/* What was half done is swept: memory does not grow with the number of deaths. */
		if (i == 10)
			used = image->segments.warm.used;
		if (i > 10)
			assert_in_range(image->segments.warm.used, used * 9 / 10, used * 11 / 10);
		image_close(image);
	}
	assert_true(advanced >= KILLS / 20);
	close(told[0]);
	close(told[1]);
}

/* An index that was replaced stays in its slot until its readers are through: also if that is another agent's business
 * by then. */
static void old_indexes_are_dropped(void **state)
{
	struct image *image = image_open(pins, 64 << 20, 53, 1232);
	uint32_t slot = PG_ORDERS - 1, present, id;
	char text[64 * NAMES];

	assert_non_null(image);
	present = image->index.table.slot;
	assert_int_equal(0, bpf_map_update_elem(image->maps.index, &slot, &image->index.table.inner, BPF_ANY));
	image_close(image);
	image = image_open(pins, 64 << 20, 53, 1232);
	assert_non_null(image);
	assert_true(image->adopted);
	assert_int_equal(1U << slot, image->old_index);
	serial_text(text, sizeof(text), 1);
	zone_unref(publish_next(image, 0, text, NULL));
	assert_int_equal(0, image->old_index);
	assert_int_not_equal(0, bpf_map_lookup_elem(image->maps.index, &slot, &id));
	/* So is one that is too small. */
	assert_int_equal(0, image_grow_index(image, 0, true));
	assert_int_equal(1U << present, image->old_index);
	zone_unref(publish_next(image, 0, text, NULL));
	assert_int_equal(0, image->old_index);
	assert_int_not_equal(0, bpf_map_lookup_elem(image->maps.index, &present, &id));
	image_close(image);
}

static void another_schema_is_replaced(void **state)
{
	struct image *image = image_open(pins, 64 << 20, 53, 1232);

	assert_non_null(image);
	assert_true(image->adopted);
	image->settings->schema = PG_SCHEMA + 1;
	image_close(image);
	image = image_open(pins, 64 << 20, 53, 1232);
	assert_non_null(image);
	assert_false(image->adopted);
	assert_int_equal(PG_SCHEMA, image->settings->schema);
	assert_int_equal(-1, image_find_zone(image, (const uint8_t *)"\4kill\4test"));
	image_close(image);
}

/* Zones come and go; nothing of them stays. */
static void zones_come_and_go(void **state)
{
	struct image *image = image_open(NULL, 64 << 20, 53, 1232);
	uint64_t used;

	/* The first segment has its first unit taken. */
	zone_text_publish(image, "test.", "@ SOA a b 1 1 1 1 1\n@ NS a\na A 192.0.2.1\n");
	used = image->segments.warm.used;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 200; i++) {
			char origin[64];

			snprintf(origin, sizeof(origin), "%sz%d.test.", i % 3 ? "deep.er." : "", i);
			zone_text_publish(image, origin, "@ SOA a b 1 1 1 1 1\n@ NS a\na A 192.0.2.1\n");
		}
		assert_int_equal(3, image->settings->depth_count);
		for (int i = 0; i < 200; i++) {
			char origin[64];
			knot_dname_storage_t apex;

			snprintf(origin, sizeof(origin), "%sz%d.test.", i % 3 ? "deep.er." : "", i);
			assert_non_null(knot_dname_from_str(apex, origin, sizeof(apex)));
			image_drop_zone(image, image_hide_zone(image, apex));
		}
		/* The list of depths never shrinks under its readers. */
		assert_int_equal(3, image->settings->depth_count);
		assert_int_equal(used, image->segments.warm.used);
	}
	image_close(image);
}

/* Room for all that are expected is made once; more are added all the same, and all are found. */
static void zones_are_expected(void **state)
{
	struct image *image = image_open(NULL, 64 << 20, 53, 1232);
	const uint8_t *memory;
	uint32_t buckets;
	int64_t slots[3000];

	assert_true(image_add_zone(image, (const uint8_t *)"\1a") >= 0);
	image_expect_zones(image, 1000);
	memory = image->zones.memory;
	buckets = image->zone_index.mask + 1;
	assert_in_range(image->zones.entries, 1000, 1200);
	for (int i = 0; i < 3000; i++) {
		uint8_t apex[] = {3, 'a' + i / 676, 'a' + i / 26 % 26, 'a' + i % 26, 0};

		slots[i] = image_add_zone(image, apex);
		assert_true(slots[i] >= 0);
		if (i < 999) {
			assert_ptr_equal(memory, image->zones.memory);
			assert_int_equal(buckets, image->zone_index.mask + 1);
		}
	}
	for (int i = 0; i < 3000; i++) {
		uint8_t apex[] = {3, 'a' + i / 676, 'a' + i / 26 % 26, 'a' + i % 26, 0};

		assert_int_equal(slots[i], image_find_zone(image, apex));
	}
	/* Fewer than there are: nothing changes. */
	memory = image->zones.memory;
	image_expect_zones(image, 10);
	assert_ptr_equal(memory, image->zones.memory);
	image_close(image);
}

/* A zone that was hidden, and waits to be dropped, stays hidden when the table of zones grows. */
static void hidden_stays_hidden(void **state)
{
	struct image *image = image_open(NULL, 64 << 20, 53, 1232);
	int64_t hidden, again;

	hidden = image_add_zone(image, (const uint8_t *)"\1a");
	assert_int_equal(hidden, image_hide_zone(image, (const uint8_t *)"\1a"));
	again = image_add_zone(image, (const uint8_t *)"\1a");
	assert_int_not_equal(hidden, again);
	for (int i = 0; i < 200; i++) {
		uint8_t apex[] = {3, 'a' + i / 26, 'a' + i % 26, 'z', 0};

		assert_true(image_add_zone(image, apex) >= 0);
	}
	assert_int_equal(again, image_find_zone(image, (const uint8_t *)"\1a"));
	image_close(image);
}

/* More names of one hash than the index can hold: the version is refused, and the publisher goes on. */
static void like_hashes_are_refused(void **state)
{
	struct image *image = image_open(NULL, 64 << 20, 53, 1232);
	struct zone_version *version = zone_text("kill.test.", "@ SOA ns host 1 1 1 1 60\n@ NS ns\n");
	char why[512] = "";
	struct pg_node node = {.zone = 77, .units = sizeof(node) / PG_UNIT};
	uint8_t key[] = "\4kill\4test";
	pg_ref ref;

	zone_text_publish(image, "other.test.", "@ SOA a b 1 1 1 1 1\n@ NS a\n");
	assert_true(image_add_zone(image, version->apex) >= 0);
	/* Nodes of another zone that bear the hash of the apex to come. */
	node.hash = engine_hash(image->settings, PG_ROLE_NAME, image_find_zone(image, version->apex), key, sizeof(key));
	ref = segments_take(&image->segments, node.units, false);
	memcpy(segments_at(&image->segments, ref), &node, sizeof(node));
	/* Until there is no room for one more, however large the index becomes. */
	while (buckets_insert(&image->index, node.hash, ref) || !image_grow_index(image, 1, true))
		;
	assert_int_equal(-1, image_commit(image, version, UINT64_MAX, zone_text_visible, NULL, why, sizeof(why)));
	assert_non_null(strstr(why, "hash"));
	zone_unref(version);
	zone_text_publish(image, "third.test.", "@ SOA a b 1 1 1 1 1\n@ NS a\n");
	image_close(image);
}

static int make_pins(void **state)
{
	if (own_bpffs())
		return -1;
	snprintf(pins, sizeof(pins), "/sys/fs/bpf/peregrine-image-%d", getpid());
	return mkdir(pins, 0700);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(zones_come_and_go),          cmocka_unit_test(zones_are_expected),
	    cmocka_unit_test(hidden_stays_hidden),        cmocka_unit_test(like_hashes_are_refused),
	    cmocka_unit_test(killed_at_any_moment),       cmocka_unit_test(old_indexes_are_dropped),
	    cmocka_unit_test(another_schema_is_replaced),
	};

	urcu_memb_register_thread();
	return cmocka_run_group_tests(tests, make_pins, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The store over time: clocks, and what a history of changes leads to. */
#include "store/store_internal.h"
#include "store_world.h"

static const uint8_t *const apex = (const uint8_t *)"\4test";

/* ---- clocks ---- */

static uint64_t boottime(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static uint64_t unpacked(const struct stored_clocks *stored)
{
	MDB_val value = {.mv_data = (void *)stored, .mv_size = sizeof(*stored)};
	struct store_clocks clocks;

	assert_int_equal(0, clocks_unpack(&value, &clocks));
	assert_int_equal(11, clocks.refresh_at);
	assert_int_equal(12, clocks.checked_at);
	return clocks.expires_at;
}

static void assert_near(uint64_t wanted, uint64_t got)
{
	if (got + 2000000000 < wanted || got > wanted + 2000000000)
		fail_msg("%llu is not near %llu", (unsigned long long)got, (unsigned long long)wanted);
}

static void clocks_survive(void **state)
{
	const int64_t second = 1000000000;
	uint64_t now = boottime();
	struct store_clocks clocks = {.expires_at = now + 100 * second, .refresh_at = 11, .checked_at = 12};
	struct stored_clocks stored;

	clocks_pack(&clocks, &stored);
	/* The same boot, wherever the clock on the wall went. */
	stored.expires_at += 1000 * second;
	assert_int_equal(clocks.expires_at, unpacked(&stored));
	stored.expires_at -= 1000 * second;
	/* Another boot: what is left goes by the wall. */
	stored.boot[3] ^= 1;
	stored.expires_boot = 5;
	assert_near(now + 100 * second, unpacked(&stored));
	stored.expires_at -= 60 * second;
	stored.saved_at -= 60 * second;
	assert_near(now + 40 * second, unpacked(&stored));
	stored.expires_at -= 60 * second;
	stored.saved_at -= 60 * second;
	assert_int_equal(1000000, unpacked(&stored));
	/* The clock went back since: no more is left than there was. */
	stored.expires_at += 10000 * second;
	stored.saved_at = stored.expires_at - 30 * second;
	assert_near(now + 30 * second, unpacked(&stored));
}

static void clocks_are_put(void **state)
{
	struct store_clocks later = {.expires_at = 77, .refresh_at = 78, .checked_at = 79};
	struct store_zone zone;

	store_world_start(&world, 0);
	store_world_put(&world, "@ 300 SOA a b 1 6 5 400 3\n@ 300 NS a\n");
	store_put_clocks(world.store, apex, &later);
	store_put_clocks(world.store, (const uint8_t *)"\5other", &later);
	store_world_stop(&world);
	store_world_start(&world, 0);
	assert_true(store_find(world.store, apex, &zone));
	assert_int_equal(77, zone.clocks.expires_at);
	assert_int_equal(78, zone.clocks.refresh_at);
	assert_int_equal(79, zone.clocks.checked_at);
	assert_int_equal(6, zone.refresh);
	assert_int_equal(5, zone.retry);
	assert_int_equal(400, zone.expire);
	assert_false(store_find(world.store, (const uint8_t *)"\5other", &zone));
}

/* ---- histories ---- */

#define NAMES 12
#define STEPS 400
/* Bit k of a name: the address 192.0.2.k. The TTL of a name changes with all of its addresses. */
struct model {
	uint8_t addresses[NAMES];
	uint8_t ttls[NAMES];
};

static void draw_model(const struct model *from, struct model *to, unsigned *seed)
{
	*to = *from;
	for (int i = rand_r(seed) % 5; i >= 0; i--) {
		int name = rand_r(seed) % NAMES;

		if (rand_r(seed) % 4 == 0)
			to->ttls[name] = rand_r(seed) % 3;
		else
			to->addresses[name] ^= rand_r(seed);
	}
}

static void make_owner(int name, knot_dname_storage_t owner)
{
	char text[32];

	snprintf(text, sizeof(text), "%s%d.test.", name % 2 ? "*.\\000." : "n", name);
	knot_dname_from_str(owner, text, sizeof(knot_dname_storage_t));
}

static struct zone_version *model_version(const struct model *model, uint32_t serial)
{
	struct zone_builder *builder = zone_builder_new(apex, 0);
	struct zone_version *version;
	uint8_t soa[36];
	char why[256];

	store_world_soa(serial, soa);
	zone_builder_add(builder, apex, KNOT_RRTYPE_SOA, 60, soa, sizeof(soa));
	zone_builder_add(builder, apex, KNOT_RRTYPE_NS, 60, soa, 8);
	for (int name = 0; name < NAMES; name++)
		for (int k = 0; k < 8; k++) {
			uint8_t address[4] = {192, 0, 2, k};
			knot_dname_storage_t owner;

			make_owner(name, owner);
			if (model->addresses[name] >> k & 1)
				zone_builder_add(builder, owner, KNOT_RRTYPE_A, model->ttls[name], address, 4);
		}
	version = zone_builder_finish(builder, why, sizeof(why));
	assert_non_null(version);
	return version;
}

static void model_difference(const struct model *from, const struct model *to, uint32_t serial,
                             struct zone_changes *changes)
{
	uint8_t soa[36];

	store_world_soa(serial, soa);
	assert_int_equal(0, zone_changes_next(changes));
	for (int adds = 0; adds < 2; adds++) {
		for (int name = NAMES - 1; name >= 0; name--) {
			bool ttl = from->ttls[name] != to->ttls[name];
			uint8_t gone = from->addresses[name] & (ttl ? 0xff : ~to->addresses[name]);
			uint8_t come = to->addresses[name] & (ttl ? 0xff : ~from->addresses[name]);

			for (int k = 0; k < 8; k++) {
				uint8_t address[4] = {192, 0, 2, k};
				knot_dname_storage_t owner;

				make_owner(name, owner);
				if (!((adds ? come : gone) >> k & 1))
					continue;
				if (adds)
					zone_changes_add(changes, owner, KNOT_RRTYPE_A, to->ttls[name], address, 4);
				else
					zone_changes_remove(changes, owner, KNOT_RRTYPE_A, address, 4);
			}
		}
		if (!adds)
			assert_int_equal(0, zone_changes_soa(changes, 60, soa, sizeof(soa)));
	}
}

static void expect_version(const struct model *model, uint32_t serial)
{
	char why[256] = "";
	struct zone_version *wanted = model_version(model, serial),
	                    *got = store_load(world.store, apex, why, sizeof(why));

	if (!got)
		fail_msg("%s", why);
	assert_int_equal(wanted->name_count, got->name_count);
	for (size_t i = 0; i < got->name_count; i++) {
		assert_true(knot_dname_is_equal(wanted->names[i].owner, got->names[i].owner));
		assert_int_equal(wanted->names[i].rrset_count, got->names[i].rrset_count);
		for (size_t j = 0; j < got->names[i].rrset_count; j++) {
			const struct zone_rrset *w = &wanted->names[i].rrsets[j], *g = &got->names[i].rrsets[j];

			assert_int_equal(w->ttl, g->ttl);
			assert_int_equal(w->size, g->size);
			assert_memory_equal(w->rdata, g->rdata, w->size);
		}
	}
	zone_unref(wanted);
	zone_unref(got);
}

/* What the journal leads to from an earlier version, step by step. */
static void expect_journal(const struct model *models, uint32_t from, uint32_t to)
{
	struct store_snapshot *snapshot = store_snapshot_begin(world.store, apex);
	struct model model = models[from];
	struct store_rrset rrset;
	enum store_part part;
	uint64_t octets;
	uint32_t at = from;

	assert_int_equal(1, store_snapshot_changes(snapshot, from, &octets));
	while (store_snapshot_next_change(snapshot, &part, &rrset) > 0) {
		int name = -1;

		if (rrset.type == KNOT_RRTYPE_SOA) {
			uint32_t serial = get32(rrset.rdata + 2 + 16);

			if (part == STORE_OLD_SOA) {
				assert_int_equal(at, serial);
				for (int i = 0; i < NAMES; i++)
					assert_int_equal(models[at].addresses[i], model.addresses[i]);
			}
			at = serial;
			continue;
		}
		for (int i = 0; i < NAMES; i++) {
			knot_dname_storage_t owner;

			make_owner(i, owner);
			if (knot_dname_is_equal(owner, rrset.owner))
				name = i;
		}
		assert_true(name >= 0);
		for (uint32_t i = 0; i < rrset.count; i++) {
			uint8_t bit = 1U << rrset.rdata[6 * i + 5];

			assert_int_equal(part == STORE_REMOVED, (model.addresses[name] & bit) != 0);
			model.addresses[name] ^= bit;
		}
		if (part == STORE_ADDED)
			model.ttls[name] = rrset.ttl;
	}
	assert_int_equal(to, at);
	for (int i = 0; i < NAMES; i++) {
		assert_int_equal(models[to].addresses[i], model.addresses[i]);
		if (model.addresses[i])
			assert_int_equal(models[to].ttls[i], model.ttls[i]);
	}
	store_snapshot_end(snapshot);
}

/* Versions and edits of one or more differences, in any order; from each serial in the journal it leads to the last. */
static void histories(void **state)
{
	static struct model models[STEPS + 8];
	unsigned seed = store_world_number("PG_SEED", 1);
	struct store_zone zone;
	uint32_t serial = 1;

	store_world_start(&world, 0);
	{
		struct zone_version *version = model_version(&models[1], 1);

		store_put_version(world.store, version, &store_world_clocks, 0);
		zone_unref(version);
	}
	store_world_wait(&world, 1);
	while (serial < STEPS) {
		uint32_t before = serial;

		if (rand_r(&seed) % 3) {
			struct zone_changes *changes = zone_changes_new(apex, serial, 0);
			struct store_edit *edit;

			for (int i = rand_r(&seed) % 3; i >= 0; i--) {
				draw_model(&models[serial], &models[serial + 1], &seed);
				serial++;
				model_difference(&models[serial - 1], &models[serial], serial, changes);
			}
			edit = store_edit_new(changes);
			zone_changes_free(changes);
			store_put_edit(world.store, edit, &store_world_clocks, 0);
		} else {
			struct zone_version *version;

			draw_model(&models[serial], &models[serial + 1], &seed);
			serial++;
			version = model_version(&models[serial], serial);
			store_put_version(world.store, version, &store_world_clocks, 0);
			zone_unref(version);
		}
		store_world_wait(&world, world.written + 1);
		assert_int_equal(0, world.misfits);
		expect_version(&models[serial], serial);
		assert_true(store_find(world.store, apex, &zone));
		assert_true(zone.journal_from <= before);
		expect_journal(models, before, serial);
		expect_journal(models, zone.journal_from, serial);
	}
	assert_true(zone.journal_from > 1);
	store_world_stop(&world);
	{
		/* It is looked at as after an unclean end; were it set aside there would be nothing. */
		char path[128];

		snprintf(path, sizeof(path), "%s/owner", world.path);
		assert_int_equal(0, truncate(path, 1));
	}
	store_world_start(&world, 0);
	expect_version(&models[serial], serial);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    IN_DIRECTORY(clocks_survive),
	    IN_DIRECTORY(clocks_are_put),
	    IN_DIRECTORY(histories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

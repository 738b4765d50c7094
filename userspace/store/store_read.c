/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is known of zones, and whole versions. */
#include "store/store_internal.h"

#include <stdio.h>
#include <string.h>

int reader_begin(struct store *store, MDB_txn **txn)
{
	int result;

	pthread_mutex_lock(&store->gate);
	result = store->env && store->readers < STORE_SNAPSHOTS ? mdb_txn_begin(store->env, NULL, MDB_RDONLY, txn)
	                                                        : MDB_READERS_FULL;
	/* Another process, which writes, has made the map larger. */
	if (result == MDB_MAP_RESIZED && !store->readers) {
		result = mdb_env_set_mapsize(store->env, 0);
		if (!result)
			result = mdb_txn_begin(store->env, NULL, MDB_RDONLY, txn);
	}
	if (!result)
		store->readers++;
	pthread_mutex_unlock(&store->gate);
	return result;
}

void reader_end(struct store *store, MDB_txn *txn)
{
	pthread_mutex_lock(&store->gate);
	mdb_txn_abort(txn);
	store->readers--;
	pthread_mutex_unlock(&store->gate);
}

MDB_val apex_key(const uint8_t *apex)
{
	return (MDB_val){.mv_data = (void *)apex, .mv_size = knot_dname_size(apex)};
}

bool key_has_id(const MDB_val *key, uint32_t id)
{
	return key->mv_size >= KEY_ID && get32(key->mv_data) == id;
}

int find_head(const struct store *store, MDB_txn *txn, const uint8_t *apex, struct head *out)
{
	MDB_val key = apex_key(apex), value;
	struct head head;
	int result = mdb_get(txn, store->dbi[DB_ZONES], &key, &value);

	if (!result)
		result = head_read(&value, &head);
	if (!result)
		*out = head;
	return result;
}

void describe_zone(const struct store *store, MDB_txn *txn, const uint8_t *apex, const struct head *head,
                   struct store_zone *out)
{
	MDB_val key = apex_key(apex), value;

	*out = (struct store_zone){
	    .serial = head->serial,
	    .refresh = head->refresh,
	    .retry = head->retry,
	    .expire = head->expire,
	    .rrsets = head->rrsets,
	    .octets = head->octets,
	    .journal_octets = head->journal_octets,
	    .journal_from = head->first < head->next ? head->journal_from : head->serial,
	    .previous = head->first < head->next ? head->last_from : head->serial,
	};
	if (!mdb_get(txn, store->dbi[DB_CLOCKS], &key, &value) && clocks_unpack(&value, &out->clocks))
		out->clocks = (struct store_clocks){};
}

bool store_find(struct store *store, const uint8_t *apex, struct store_zone *out)
{
	struct head head;
	MDB_txn *txn;
	bool found;

	if (reader_begin(store, &txn))
		return false;
	found = !find_head(store, txn, apex, &head);
	if (found)
		describe_zone(store, txn, apex, &head, out);
	reader_end(store, txn);
	return found;
}

int store_each_zone(struct store *store,
                    void (*found)(void *context, const uint8_t *apex, const struct store_zone *zone), void *context)
{
	MDB_cursor *cursor = NULL;
	MDB_val key, value;
	MDB_txn *txn;
	int result;

	if (reader_begin(store, &txn))
		return -1;
	result = mdb_cursor_open(txn, store->dbi[DB_ZONES], &cursor);
	for (; !result && !(result = mdb_cursor_get(cursor, &key, &value, MDB_NEXT));) {
		struct store_zone zone;
		struct head head;

		if (knot_dname_wire_check(key.mv_data, (uint8_t *)key.mv_data + key.mv_size, NULL) !=
		        (int)key.mv_size ||
		    head_read(&value, &head))
			continue;
		describe_zone(store, txn, key.mv_data, &head, &zone);
		found(context, key.mv_data, &zone);
	}
	if (cursor)
		mdb_cursor_close(cursor);
	reader_end(store, txn);
	return result == MDB_NOTFOUND ? 0 : -1;
}

static int add_rrset(struct zone_builder *builder, const struct store_rrset *rrset)
{
	const uint8_t *at = rrset->rdata;

	for (uint32_t i = 0; i < rrset->count; i++) {
		uint16_t length;

		memcpy(&length, at, sizeof(length));
		if (zone_builder_add(builder, rrset->owner, rrset->type, rrset->ttl, at + 2, length))
			return -1;
		at += 2 + length;
	}
	return 0;
}

static struct zone_version *load(struct store_snapshot *snapshot, struct zone_builder *builder, char *why,
                                 size_t why_size)
{
	uint32_t serial = store_snapshot_zone(snapshot)->serial;
	struct zone_version *version;
	struct store_rrset rrset;
	int result;

	while ((result = store_snapshot_next(snapshot, &rrset)) > 0)
		if (add_rrset(builder, &rrset)) {
			snprintf(why, why_size, "%s", zone_builder_error(builder));
			zone_builder_free(builder);
			return NULL;
		}
	if (result < 0) {
		snprintf(why, why_size, "a record cannot be read");
		zone_builder_free(builder);
		return NULL;
	}
	version = zone_builder_finish(builder, why, why_size);
	if (version && version->serial != serial) {
		snprintf(why, why_size, "serial %u is noted, %u is in its SOA", serial, version->serial);
		zone_unref(version);
		version = NULL;
	}
	return version;
}

struct zone_version *store_load(struct store *store, const uint8_t *apex, char *why, size_t why_size)
{
	struct store_snapshot *snapshot = store_snapshot_begin(store, apex);
	struct zone_builder *builder = snapshot ? zone_builder_new(apex, 0) : NULL;
	struct zone_version *version = NULL;

	if (builder)
		version = load(snapshot, builder, why, why_size);
	else
		snprintf(why, why_size, "%s", snapshot ? "out of memory" : "not in the store");
	store_snapshot_end(snapshot);
	return version;
}

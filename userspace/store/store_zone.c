/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One zone being written: its head, its records, ids, and what belongs to nobody any more. */
#include "store/store_internal.h"

#include <string.h>

/* Keys deleted in one transaction, so that it stays small. */
#define SWEEP 20000

int draw_id(struct store *store, MDB_txn *txn, uint32_t *id)
{
	MDB_val key = {.mv_data = (void *)"next", .mv_size = 4}, value;
	uint32_t next = 1;
	int result = mdb_get(txn, store->dbi[DB_META], &key, &value);

	if (!result && value.mv_size != sizeof(next))
		return damaged();
	if (!result)
		memcpy(&next, value.mv_data, sizeof(next));
	else if (result != MDB_NOTFOUND)
		return result;
	*id = next++;
	value = (MDB_val){.mv_data = &next, .mv_size = sizeof(next)};
	return mdb_put(txn, store->dbi[DB_META], &key, &value, 0);
}

int make_garbage(struct store *store, MDB_txn *txn, uint32_t id)
{
	uint8_t octets[KEY_ID];
	MDB_val key = {.mv_data = octets, .mv_size = sizeof(octets)}, value = {};

	put32(octets, id);
	return mdb_put(txn, store->dbi[DB_GARBAGE], &key, &value, 0);
}

/* Deletes keys that begin with an id, as long as *left allows it. */
static int sweep_id(struct store *store, MDB_txn *txn, enum database database, uint32_t id, size_t *left)
{
	uint8_t octets[KEY_ID];
	MDB_val key = {.mv_data = octets, .mv_size = sizeof(octets)}, value;
	MDB_cursor *cursor;
	int result = mdb_cursor_open(txn, store->dbi[database], &cursor);

	if (result)
		return result;
	put32(octets, id);
	result = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
	while (!result && *left && key_has_id(&key, id)) {
		--*left;
		result = mdb_cursor_del(cursor, 0);
		if (!result)
			result = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	return result == MDB_NOTFOUND ? 0 : result;
}

static int sweep(struct store *store, MDB_txn *txn, size_t *left)
{
	MDB_val key, value;
	MDB_cursor *cursor;
	int result = mdb_cursor_open(txn, store->dbi[DB_GARBAGE], &cursor);

	if (result)
		return result;
	while (*left && !(result = mdb_cursor_get(cursor, &key, &value, MDB_FIRST))) {
		uint32_t id;

		if (key.mv_size != KEY_ID) {
			result = damaged();
			break;
		}
		id = get32(key.mv_data);
		result = sweep_id(store, txn, DB_RECORDS, id, left);
		if (!result)
			result = sweep_id(store, txn, DB_JOURNAL, id, left);
		if (!result && *left)
			result = mdb_cursor_del(cursor, 0);
		if (result)
			break;
	}
	mdb_cursor_close(cursor);
	return result == MDB_NOTFOUND ? 0 : result;
}

int sweep_garbage(struct store *store, bool *more, bool *swept)
{
	size_t left = SWEEP;
	MDB_stat garbage;
	MDB_txn *txn;
	int result = mdb_txn_begin(store->env, NULL, 0, &txn);

	*more = *swept = false;
	if (result)
		return result;
	result = mdb_stat(txn, store->dbi[DB_GARBAGE], &garbage);
	if (result || !garbage.ms_entries) {
		mdb_txn_abort(txn);
		return result;
	}
	result = sweep(store, txn, &left);
	if (result) {
		mdb_txn_abort(txn);
		return result;
	}
	*more = !left;
	*swept = true;
	return mdb_txn_commit(txn);
}

/* ---- a zone ---- */

int edit_begin(struct store *store, MDB_txn *txn, const uint8_t *apex, struct zone_edit *edit)
{
	int result;

	*edit = (struct zone_edit){.store = store, .txn = txn, .apex = apex};
	result = find_head(store, txn, apex, &edit->head);
	return result ? result : mdb_cursor_open(txn, store->dbi[DB_RECORDS], &edit->records);
}

int edit_put(struct zone_edit *edit, const struct record_key *key, const struct store_rrset *rrset, size_t old_size,
             unsigned flags)
{
	MDB_val key_value = {.mv_data = (void *)key->octets, .mv_size = key->length};
	struct stored_value head = {.ttl = rrset->ttl, .count = rrset->count};
	size_t size = sizeof(head) + rrset->size;
	MDB_val value = {.mv_size = size};
	/* Against the cursor's own place nothing may be compared that is about to move. */
	int result = mdb_put(edit->txn, edit->store->dbi[DB_RECORDS], &key_value, &value, MDB_RESERVE | flags);

	if (result)
		return result;
	memcpy(value.mv_data, &head, sizeof(head));
	memcpy((uint8_t *)value.mv_data + sizeof(head), rrset->rdata, rrset->size);
	edit->head.octets += size;
	if (old_size) {
		edit->head.octets -= old_size;
	} else {
		edit->head.octets += key->length;
		edit->head.rrsets++;
	}
	return 0;
}

int edit_delete(struct zone_edit *edit, const struct record_key *key, size_t old_size)
{
	MDB_val key_value = {.mv_data = (void *)key->octets, .mv_size = key->length};
	int result = mdb_del(edit->txn, edit->store->dbi[DB_RECORDS], &key_value, NULL);

	if (result)
		return result;
	edit->head.octets -= old_size + key->length;
	edit->head.rrsets--;
	return 0;
}

static int put_head(struct zone_edit *edit)
{
	MDB_val key = apex_key(edit->apex), value = {.mv_data = &edit->head, .mv_size = sizeof(edit->head)};

	return mdb_put(edit->txn, edit->store->dbi[DB_ZONES], &key, &value, 0);
}

int edit_end(struct zone_edit *edit, uint64_t bound)
{
	int result = edit->journalled ? journal_trim(edit, bound) : journal_empty(edit);

	return result ? result : put_head(edit);
}

int apply_remove(struct store *store, MDB_txn *txn, const uint8_t *apex)
{
	MDB_val key = apex_key(apex);
	struct head head = {};
	int result = find_head(store, txn, apex, &head);

	if (result == MDB_NOTFOUND)
		return 0;
	/* Of a head that is damaged nobody knows what it led to. */
	if (result == MDB_CORRUPTED)
		result = 0;
	else if (!result)
		result = make_garbage(store, txn, head.id);
	if (!result && head.journal)
		result = make_garbage(store, txn, head.journal);
	if (!result)
		result = mdb_del(txn, store->dbi[DB_ZONES], &key, NULL);
	if (!result)
		result = mdb_del(txn, store->dbi[DB_CLOCKS], &key, NULL);
	return result == MDB_NOTFOUND ? 0 : result;
}

int apply_clocks(struct store *store, MDB_txn *txn, const struct job *job)
{
	MDB_val key = apex_key(job->apex), value;
	struct stored_clocks stored;
	struct head head;
	int result = find_head(store, txn, job->apex, &head);

	if (result)
		return result == MDB_NOTFOUND ? STORE_E_MISFIT : result;
	clocks_pack(&job->clocks, &stored);
	value = (MDB_val){.mv_data = &stored, .mv_size = sizeof(stored)};
	return mdb_put(txn, store->dbi[DB_CLOCKS], &key, &value, 0);
}

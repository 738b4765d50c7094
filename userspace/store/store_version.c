/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A whole version: compared with the one stored, and the difference written when it is little; otherwise written anew
 * under another id, in slices when it is large, and put in the old one's place by its head.
 */
#include "store/version_reader.h"

#include <errno.h>
#include <libknot/libknot.h>
#include <stdlib.h>
#include <string.h>

/* What is written in one transaction. A transaction keeps its pages in memory. */
#define SLICE (4U << 20)
/* A difference of so many RRsets may touch as many pages. */
#define DIFFERENCE_RRSETS 4096

/* The walk through version and store. */
struct comparison {
	struct zone_edit *edit;
	struct version_reader reader;
	struct store_rrset fresh, stored; /* their next ones */
	bool has_fresh, has_stored;
	MDB_val key, value; /* of `stored` */
	uint8_t owner[KNOT_DNAME_MAXLEN];
	bool writes;
	uint64_t rrsets, octets; /* that differ */
	struct octets old, part;
};

/* Reads what the cursor is at. */
static int take_stored(struct comparison *comparison, int result)
{
	comparison->has_stored = !result && key_has_id(&comparison->key, comparison->edit->head.id);
	if (!comparison->has_stored)
		return result == MDB_NOTFOUND ? 0 : result;
	comparison->stored = (struct store_rrset){.owner = comparison->owner};
	result = key_read(&comparison->key, comparison->owner, &comparison->stored.type, &comparison->stored.covered);
	return result ? result : stored_value_read(&comparison->value, &comparison->stored);
}

static int next_stored(struct comparison *comparison)
{
	return take_stored(comparison,
	                   mdb_cursor_get(comparison->edit->records, &comparison->key, &comparison->value, MDB_NEXT));
}

static int first_stored(struct comparison *comparison)
{
	uint8_t id[KEY_ID];

	put32(id, comparison->edit->head.id);
	comparison->key = (MDB_val){.mv_data = id, .mv_size = sizeof(id)};
	return take_stored(
	    comparison, mdb_cursor_get(comparison->edit->records, &comparison->key, &comparison->value, MDB_SET_RANGE));
}

/* Writing has moved what the cursor was at: on to what stands behind this key. */
static int stored_behind(struct comparison *comparison, const struct record_key *key)
{
	int result;

	comparison->key = (MDB_val){.mv_data = (void *)key->octets, .mv_size = key->length};
	result = mdb_cursor_get(comparison->edit->records, &comparison->key, &comparison->value, MDB_SET_RANGE);
	if (!result && comparison->key.mv_size == key->length &&
	    !memcmp(comparison->key.mv_data, key->octets, key->length))
		return next_stored(comparison);
	return take_stored(comparison, result);
}

static bool same_rrset(const struct store_rrset *a, const struct store_rrset *b)
{
	return a->ttl == b->ttl && a->size == b->size && !memcmp(a->rdata, b->rdata, a->size);
}

/* Notes in the journal what of an RRset goes and comes. */
static int write_journal(struct comparison *comparison, const struct store_rrset *old, const struct store_rrset *fresh)
{
	struct zone_edit *edit = comparison->edit;
	bool soa = (old ? old : fresh)->type == KNOT_RRTYPE_SOA;
	struct store_rrset part;
	int result = 0;

	if (!old || !fresh || soa || old->ttl != fresh->ttl) {
		if (old)
			result = journal_part(edit, soa ? STORE_OLD_SOA : STORE_REMOVED, old);
		if (fresh && !result)
			result = journal_part(edit, soa ? STORE_NEW_SOA : STORE_ADDED, fresh);
		return result;
	}
	if (set_minus(old, fresh, &comparison->part, &part))
		return ENOMEM;
	if (part.count)
		result = journal_part(edit, STORE_REMOVED, &part);
	if (!result && set_minus(fresh, old, &comparison->part, &part))
		return ENOMEM;
	return result || !part.count ? result : journal_part(edit, STORE_ADDED, &part);
}

/* One RRset that differs; one of the two may be missing. */
static int differ(struct comparison *comparison, const struct record_key *key, const struct store_rrset *stored,
                  const struct store_rrset *fresh)
{
	size_t old_size = stored ? comparison->value.mv_size : 0;
	struct store_rrset old = {};
	int result;

	comparison->rrsets++;
	comparison->octets += key->length + (stored ? stored->size : 0) + (fresh ? fresh->size : 0);
	if (!comparison->writes)
		return 0;
	if (stored) {
		/* Where it points to may change under the first thing that is written. */
		old = *stored;
		comparison->old.size = 0;
		if (octets_add(&comparison->old, stored->rdata, stored->size))
			return ENOMEM;
		old.rdata = comparison->old.at;
	}
	result = write_journal(comparison, stored ? &old : NULL, fresh);
	if (result)
		return result;
	return fresh ? edit_put(comparison->edit, key, fresh, old_size, 0)
	             : edit_delete(comparison->edit, key, old_size);
}

static int compare_keys(const MDB_val *left, const struct record_key *right)
{
	size_t least = left->mv_size < right->length ? left->mv_size : right->length;
	int order = memcmp(left->mv_data, right->octets, least);

	return order ? order : (left->mv_size > right->length) - (left->mv_size < right->length);
}

/* One step: whichever of the two is first. */
static int step(struct comparison *comparison)
{
	int order = !comparison->has_fresh    ? -1
	            : !comparison->has_stored ? 1
	                                      : compare_keys(&comparison->key, &comparison->reader.key);
	bool differs = order || !same_rrset(&comparison->stored, &comparison->fresh);
	struct record_key key = comparison->reader.key;
	int result = 0;

	if (order < 0) {
		memcpy(key.octets, comparison->key.mv_data, comparison->key.mv_size);
		key.length = comparison->key.mv_size;
	}
	if (differs)
		result = differ(comparison, &key, order <= 0 ? &comparison->stored : NULL,
		                order >= 0 ? &comparison->fresh : NULL);
	if (order >= 0)
		comparison->has_fresh = version_reader_next(&comparison->reader, &comparison->fresh);
	if (result)
		return result;
	if (differs && comparison->writes)
		return stored_behind(comparison, &key);
	return order <= 0 ? next_stored(comparison) : 0;
}

/* Goes through both. Stops early once more differs than is worth writing so. */
static int compare(struct zone_edit *edit, const struct zone_version *version, bool writes, uint64_t *differing)
{
	struct comparison comparison = {.edit = edit, .writes = writes};
	uint64_t most = edit->head.octets / 4 > STORE_JOURNAL_LEAST ? edit->head.octets / 4 : STORE_JOURNAL_LEAST;
	int result = first_stored(&comparison);

	if (most > SLICE)
		most = SLICE;
	version_reader_begin(&comparison.reader, version, edit->head.id);
	comparison.has_fresh = version_reader_next(&comparison.reader, &comparison.fresh);
	while (!result && (comparison.has_fresh || comparison.has_stored)) {
		result = step(&comparison);
		if (!writes && (comparison.rrsets > DIFFERENCE_RRSETS || comparison.octets > most))
			result = STORE_E_BIG;
	}
	*differing = comparison.rrsets;
	free(comparison.old.at);
	free(comparison.part.at);
	return result;
}

/* ---- writing anew ---- */

static size_t version_octets(const struct zone_version *version)
{
	size_t octets = 0;

	for (size_t i = 0; i < version->name_count; i++)
		for (size_t j = 0; j < version->names[i].rrset_count; j++)
			octets += version->names[i].owner_length + version->names[i].rrsets[j].size + 16U;
	return octets;
}

/* Writes RRsets until there are no more (*done), or this transaction has enough. */
static int fill(struct zone_edit *edit, struct version_reader *reader, size_t most, bool *done)
{
	uint64_t before = edit->head.octets;
	struct store_rrset rrset;

	while (edit->head.octets - before < most) {
		int result;

		*done = !version_reader_next(reader, &rrset);
		if (*done)
			return 0;
		/* The id is the highest there is, and the reader goes by the order of keys. */
		result = edit_put(edit, &reader->key, &rrset, 0, MDB_APPEND);
		if (result)
			return result;
	}
	return 0;
}

static void take_timers(struct head *head, const struct zone_version *version)
{
	head->serial = version->serial;
	head->refresh = version->refresh;
	head->retry = version->retry;
	head->expire = version->expire;
}

/* Puts the head of what was written in the place of the one there is. */
static int take_over(struct zone_edit *edit, const struct zone_version *version)
{
	struct head old;
	int result = find_head(edit->store, edit->txn, edit->apex, &old);

	if (!result) {
		result = make_garbage(edit->store, edit->txn, old.id);
		if (!result)
			result = make_garbage(edit->store, edit->txn, old.journal);
	} else if (result == MDB_NOTFOUND) {
		result = 0;
	}
	take_timers(&edit->head, version);
	return result ? result : edit_end(edit, 0);
}

static int begin_anew(struct store *store, MDB_txn *txn, const struct job *job, struct zone_edit *edit,
                      struct version_reader *reader)
{
	int result;

	*edit = (struct zone_edit){.store = store, .txn = txn, .apex = job->apex};
	result = draw_id(store, txn, &edit->head.id);
	version_reader_begin(reader, job->version, edit->head.id);
	return result;
}

static int replace(struct store *store, MDB_txn *txn, const struct job *job)
{
	struct version_reader reader;
	struct zone_edit edit;
	bool done = false;
	int result;

	if (version_octets(job->version) > SLICE)
		return STORE_E_BIG;
	result = begin_anew(store, txn, job, &edit, &reader);
	if (!result)
		result = fill(&edit, &reader, SIZE_MAX, &done);
	return result ? result : take_over(&edit, job->version);
}

int apply_version(struct store *store, MDB_txn *txn, const struct job *job)
{
	struct zone_edit edit;
	uint64_t differing;
	uint32_t from;
	int result = edit_begin(store, txn, job->apex, &edit);

	if (result)
		return result == MDB_NOTFOUND ? replace(store, txn, job) : result;
	result = compare(&edit, job->version, false, &differing);
	if (result == STORE_E_BIG)
		return replace(store, txn, job);
	if (result || !differing)
		return result;
	from = edit.head.serial;
	/* Differences lead to later serials alone (RFC 1982). */
	edit.journalled = (int32_t)(job->version->serial - from) > 0;
	result = compare(&edit, job->version, true, &differing);
	take_timers(&edit.head, job->version);
	if (!result)
		result = journal_close(&edit, from, job->version->serial);
	return result ? result : edit_end(&edit, job->journal);
}

int replace_in_slices(struct store *store, const struct job *job)
{
	struct version_reader reader;
	struct zone_edit edit;
	bool done = false;
	MDB_txn *txn;
	int result = mdb_txn_begin(store->env, NULL, 0, &txn);

	if (result)
		return result;
	result = begin_anew(store, txn, job, &edit, &reader);
	/* What is written belongs to nobody, and would be swept after a crash, until the head leads to it. */
	if (!result)
		result = make_garbage(store, txn, edit.head.id);
	while (!result && !(result = fill(&edit, &reader, SLICE, &done)) && !done) {
		result = mdb_txn_commit(txn);
		txn = NULL;
		if (!result)
			result = mdb_txn_begin(store->env, NULL, 0, &txn);
		edit.txn = txn;
	}
	if (!result) {
		uint8_t id[KEY_ID];
		MDB_val key = {.mv_data = id, .mv_size = sizeof(id)};

		put32(id, edit.head.id);
		result = mdb_del(txn, store->dbi[DB_GARBAGE], &key, NULL);
	}
	if (!result)
		result = take_over(&edit, job->version);
	if (!result)
		result = apply_clocks(store, txn, job);
	if (result) {
		if (txn)
			mdb_txn_abort(txn);
		return result;
	}
	return mdb_txn_commit(txn);
}

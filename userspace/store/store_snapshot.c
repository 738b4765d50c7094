/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One zone at one moment: a transaction that reads, and a cursor in it. */
#include "store/store_internal.h"
#include "store/store_journal.h"

#include <libknot/libknot.h>
#include <stdlib.h>
#include <string.h>

struct store_snapshot {
	struct store *store;
	MDB_txn *txn;
	MDB_cursor *records, *journal;
	bool records_begun;
	uint8_t apex[KNOT_DNAME_MAXLEN];
	uint8_t owner[KNOT_DNAME_MAXLEN]; /* of the last RRset given out */
	struct head head;
	struct store_zone zone;
	uint32_t difference, behind; /* the journal is at the first of these, and ends before the second */
	uint32_t part;               /* number of the next part in it, 0: behind its head */
};

struct store_snapshot *store_snapshot_begin(struct store *store, const uint8_t *apex)
{
	struct store_snapshot *snapshot = calloc(1, sizeof(*snapshot));

	if (!snapshot)
		return NULL;
	snapshot->store = store;
	if (knot_dname_to_wire(snapshot->apex, apex, sizeof(snapshot->apex)) < 0 ||
	    reader_begin(store, &snapshot->txn)) {
		free(snapshot);
		return NULL;
	}
	if (find_head(store, snapshot->txn, apex, &snapshot->head) ||
	    mdb_cursor_open(snapshot->txn, store->dbi[DB_RECORDS], &snapshot->records) ||
	    mdb_cursor_open(snapshot->txn, store->dbi[DB_JOURNAL], &snapshot->journal)) {
		store_snapshot_end(snapshot);
		return NULL;
	}
	describe_zone(store, snapshot->txn, apex, &snapshot->head, &snapshot->zone);
	return snapshot;
}

void store_snapshot_end(struct store_snapshot *snapshot)
{
	if (!snapshot)
		return;
	/* Cursors of a transaction that reads are the caller's to close. */
	if (snapshot->records)
		mdb_cursor_close(snapshot->records);
	if (snapshot->journal)
		mdb_cursor_close(snapshot->journal);
	reader_end(snapshot->store, snapshot->txn);
	free(snapshot);
}

const struct store_zone *store_snapshot_zone(const struct store_snapshot *snapshot)
{
	return &snapshot->zone;
}

int store_snapshot_soa(struct store_snapshot *snapshot, struct store_rrset *out)
{
	struct record_key key;
	MDB_val key_value, value;
	size_t end;

	key_owner(&key, snapshot->head.id, snapshot->apex, &end);
	key_type(&key, end, KNOT_RRTYPE_SOA, 0);
	key_value = (MDB_val){.mv_data = key.octets, .mv_size = key.length};
	*out = (struct store_rrset){.owner = snapshot->apex, .type = KNOT_RRTYPE_SOA};
	if (mdb_get(snapshot->txn, snapshot->store->dbi[DB_RECORDS], &key_value, &value))
		return -1;
	return stored_value_read(&value, out) ? -1 : 0;
}

int store_snapshot_next(struct store_snapshot *snapshot, struct store_rrset *out)
{
	uint8_t first[KEY_ID];
	MDB_val key = {.mv_data = first, .mv_size = sizeof(first)}, value;
	int result;

	put32(first, snapshot->head.id);
	result = mdb_cursor_get(snapshot->records, &key, &value, snapshot->records_begun ? MDB_NEXT : MDB_SET_RANGE);
	snapshot->records_begun = !result && key_has_id(&key, snapshot->head.id);
	if (!snapshot->records_begun)
		return result && result != MDB_NOTFOUND ? -1 : 0;
	*out = (struct store_rrset){.owner = snapshot->owner};
	if (key_read(&key, snapshot->owner, &out->type, &out->covered) || stored_value_read(&value, out))
		return -1;
	return 1;
}

/* ---- the journal ---- */

/* Puts the journal's cursor on the head of a difference. Returns 0, or -1. */
static int read_difference(struct store_snapshot *snapshot, uint32_t difference, struct journal_head *head)
{
	struct journal_key key;
	MDB_val key_value, value;

	journal_key(&key, snapshot->head.journal, difference, 0);
	key_value = (MDB_val){.mv_data = key.octets, .mv_size = sizeof(key.octets)};
	if (mdb_cursor_get(snapshot->journal, &key_value, &value, MDB_SET_KEY) || value.mv_size != sizeof(*head))
		return -1;
	memcpy(head, value.mv_data, sizeof(*head));
	return 0;
}

int store_snapshot_changes(struct store_snapshot *snapshot, uint32_t from, uint64_t *octets)
{
	uint32_t wanted = snapshot->head.serial, at = snapshot->head.next;
	struct journal_head head;

	*octets = 0;
	/* Backwards from the newest, each leading to where the one behind it starts. */
	while (wanted != from && at > snapshot->head.first) {
		if (read_difference(snapshot, --at, &head) || head.to != wanted)
			return -1;
		*octets += head.octets;
		wanted = head.from;
	}
	snapshot->difference = at;
	snapshot->behind = snapshot->head.next;
	snapshot->part = 0;
	return wanted == from;
}

int store_snapshot_next_change(struct store_snapshot *snapshot, enum store_part *part, struct store_rrset *out)
{
	for (; snapshot->difference < snapshot->behind; snapshot->difference++, snapshot->part = 0) {
		struct journal_head head;
		struct journal_key wanted;
		MDB_val key, value;
		int result;

		if (!snapshot->part && read_difference(snapshot, snapshot->difference, &head))
			return -1;
		journal_key(&wanted, snapshot->head.journal, snapshot->difference, 0);
		result = mdb_cursor_get(snapshot->journal, &key, &value, MDB_NEXT);
		snapshot->part = 1;
		if (result && result != MDB_NOTFOUND)
			return -1;
		/* The next difference, or another journal. */
		if (result || key.mv_size != sizeof(wanted.octets) ||
		    memcmp(key.mv_data, wanted.octets, JOURNAL_DIFFERENCE) != 0)
			continue;
		return journal_read(&key, &value, part, out) ? -1 : 1;
	}
	return 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The journal of one zone, as it is written. */
#include "store/store_journal.h"

#include <libknot/libknot.h>
#include <string.h>

#define PHASE_SHIFT 24
#define NUMBERS (1U << PHASE_SHIFT) /* of a phase in one difference */
/* As many differences are kept at the most: looking for one goes through them. */
#define DIFFERENCES 10000

void journal_key(struct journal_key *key, uint32_t id, uint32_t difference, uint32_t part)
{
	put32(key->octets, id);
	put32(key->octets + 4, difference);
	put32(key->octets + 8, part);
}

int journal_read(const MDB_val *key, const MDB_val *value, enum store_part *part, struct store_rrset *out)
{
	const uint8_t *owner = (const uint8_t *)value->mv_data + sizeof(struct journal_part);
	struct journal_part head;
	uint32_t phase = get32((const uint8_t *)key->mv_data + JOURNAL_DIFFERENCE) >> PHASE_SHIFT;

	if (value->mv_size < sizeof(head) || phase < 1 || phase > 4)
		return damaged();
	memcpy(&head, value->mv_data, sizeof(head));
	if (value->mv_size - sizeof(head) < head.owner_length ||
	    knot_dname_wire_check(owner, owner + head.owner_length, NULL) != head.owner_length)
		return damaged();
	*part = (enum store_part)(phase - 1);
	*out = (struct store_rrset){.owner = owner, .type = head.type, .covered = head.covered};
	return value_read(owner + head.owner_length, value->mv_size - sizeof(head) - head.owner_length, head.ttl,
	                  head.count, out);
}

static int put(struct zone_edit *edit, uint32_t part, MDB_val *value, unsigned flags)
{
	struct journal_key key;
	MDB_val key_value = {.mv_data = key.octets, .mv_size = sizeof(key.octets)};
	int result;

	journal_key(&key, edit->head.journal, edit->head.next, part);
	result = mdb_put(edit->txn, edit->store->dbi[DB_JOURNAL], &key_value, value, flags);
	if (!result)
		edit->difference += key_value.mv_size + value->mv_size;
	return result;
}

int journal_part(struct zone_edit *edit, enum store_part part, const struct store_rrset *rrset)
{
	struct journal_part head = {
	    .ttl = rrset->ttl,
	    .count = rrset->count,
	    .type = rrset->type,
	    .covered = rrset->covered,
	    .owner_length = knot_dname_size(rrset->owner),
	};
	MDB_val value = {.mv_size = sizeof(head) + head.owner_length + rrset->size};
	uint32_t number = edit->numbers[part]++;
	uint8_t *at;
	int result;

	if (!edit->journalled)
		return 0;
	if (number >= NUMBERS)
		return STORE_E_MISFIT;
	result = put(edit, ((uint32_t)part + 1) << PHASE_SHIFT | number, &value, MDB_RESERVE);
	if (result)
		return result;
	at = value.mv_data;
	memcpy(at, &head, sizeof(head));
	memcpy(at + sizeof(head), rrset->owner, head.owner_length);
	memcpy(at + sizeof(head) + head.owner_length, rrset->rdata, rrset->size);
	return 0;
}

int journal_close(struct zone_edit *edit, uint32_t from, uint32_t to)
{
	struct journal_head head = {.from = from, .to = to};
	MDB_val value = {.mv_data = &head, .mv_size = sizeof(head)};
	int result;

	if (!edit->journalled)
		return 0;
	head.octets = edit->difference + sizeof(struct journal_key) + sizeof(head);
	result = put(edit, 0, &value, 0);
	if (result)
		return result;
	if (edit->head.first == edit->head.next)
		edit->head.journal_from = from;
	edit->head.last_from = from;
	edit->head.next++;
	edit->head.journal_octets += head.octets;
	edit->difference = 0;
	memset(edit->numbers, 0, sizeof(edit->numbers));
	return 0;
}

/* Deletes the oldest difference. */
static int drop_oldest(struct zone_edit *edit, MDB_cursor *cursor)
{
	struct journal_key first;
	struct journal_head head;
	MDB_val key = {.mv_data = first.octets, .mv_size = sizeof(first.octets)}, value;
	int result;

	journal_key(&first, edit->head.journal, edit->head.first, 0);
	result = mdb_cursor_get(cursor, &key, &value, MDB_SET_KEY);
	if (result || value.mv_size != sizeof(head))
		return result ? result : damaged();
	memcpy(&head, value.mv_data, sizeof(head));
	do {
		result = mdb_cursor_del(cursor, 0);
		if (!result)
			result = mdb_cursor_get(cursor, &key, &value, MDB_NEXT); /* what is now where it was */
	} while (!result && key.mv_size == sizeof(first.octets) &&
	         !memcmp(key.mv_data, first.octets, JOURNAL_DIFFERENCE));
	if (result && result != MDB_NOTFOUND)
		return result;
	edit->head.first++;
	edit->head.journal_from = head.to;
	edit->head.journal_octets -= head.octets < edit->head.journal_octets ? head.octets : edit->head.journal_octets;
	return 0;
}

int journal_trim(struct zone_edit *edit, uint64_t bound)
{
	MDB_cursor *cursor;
	int result = mdb_cursor_open(edit->txn, edit->store->dbi[DB_JOURNAL], &cursor);

	if (result)
		return result;
	if (bound == STORE_JOURNAL_DEFAULT)
		bound = edit->head.octets > STORE_JOURNAL_LEAST ? edit->head.octets : STORE_JOURNAL_LEAST;
	while (!result && edit->head.first < edit->head.next &&
	       (edit->head.journal_octets > bound || edit->head.next - edit->head.first > DIFFERENCES))
		result = drop_oldest(edit, cursor);
	mdb_cursor_close(cursor);
	return result;
}

int journal_empty(struct zone_edit *edit)
{
	uint32_t old = edit->head.journal;
	int result = draw_id(edit->store, edit->txn, &edit->head.journal);

	if (!result && edit->head.first < edit->head.next)
		result = make_garbage(edit->store, edit->txn, old);
	edit->head.first = edit->head.next = 0;
	edit->head.journal_octets = 0;
	return result;
}

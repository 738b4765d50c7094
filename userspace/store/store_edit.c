/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changes that were transferred, applied to the records stored. */
#include "store/store_internal.h"
#include "zone/rdata.h"

#include <errno.h>
#include <libknot/libknot.h>
#include <stdlib.h>
#include <string.h>

/* One record of an edit. All of them in one block, what they point to behind them. */
struct change {
	const uint8_t *owner;
	const uint8_t *rdata;
	uint32_t ttl;
	uint16_t type, covered;
	uint16_t difference;
	bool adds;
};

struct store_edit {
	uint8_t apex[KNOT_DNAME_MAXLEN];
	uint32_t from, to;
	uint32_t differences;
	size_t count, room;
	struct change *changes;
	struct octets octets; /* while they are copied the pointers are offsets into it */
};

static uint16_t covered_type(uint16_t type, const uint8_t *rdata)
{
	/* The rdata was checked when the changes were made. */
	return type == KNOT_RRTYPE_RRSIG ? (uint16_t)(rdata[2] << 8 | rdata[3]) : 0;
}

static uint32_t soa_serial(const uint8_t *rdata)
{
	size_t at = 2 + knot_dname_size(rdata + 2);

	return get32(rdata + at + knot_dname_size(rdata + at));
}

static int copy(void *context, const struct zone_change *change)
{
	struct store_edit *edit = context;
	struct change *to = &edit->changes[edit->count];
	size_t owner = edit->octets.size;
	uint16_t length;

	/* An owner stands there once for the records that follow one another. */
	if (edit->count && knot_dname_is_equal(edit->octets.at + (uintptr_t)to[-1].owner, change->owner))
		owner = (uintptr_t)to[-1].owner;
	else if (octets_add(&edit->octets, change->owner, knot_dname_size(change->owner)))
		return -1;
	memcpy(&length, change->rdata, sizeof(length));
	*to = (struct change){
	    .owner = (const uint8_t *)(uintptr_t)owner,
	    .rdata = (const uint8_t *)(uintptr_t)edit->octets.size,
	    .ttl = change->ttl,
	    .type = change->type,
	    .covered = covered_type(change->type, change->rdata),
	    .difference = change->difference,
	    .adds = change->adds,
	};
	if (octets_add(&edit->octets, change->rdata, 2U + length))
		return -1;
	edit->count++;
	if (change->type == KNOT_RRTYPE_SOA) {
		edit->to = soa_serial(change->rdata);
		edit->differences = change->difference + 1U;
	}
	return 0;
}

struct store_edit *store_edit_new(const struct zone_changes *changes)
{
	struct store_edit *edit = calloc(1, sizeof(*edit));

	if (!edit)
		return NULL;
	edit->from = edit->to = zone_changes_from(changes);
	edit->changes = calloc(zone_changes_count(changes) + 1, sizeof(*edit->changes));
	if (!edit->changes || zone_changes_each(changes, copy, edit) || !edit->differences ||
	    knot_dname_to_wire(edit->apex, zone_changes_apex(changes), sizeof(edit->apex)) < 0) {
		store_edit_free(edit);
		return NULL;
	}
	for (size_t i = 0; i < edit->count; i++) {
		edit->changes[i].owner = edit->octets.at + (uintptr_t)edit->changes[i].owner;
		edit->changes[i].rdata = edit->octets.at + (uintptr_t)edit->changes[i].rdata;
	}
	return edit;
}

void store_edit_free(struct store_edit *edit)
{
	if (!edit)
		return;
	free(edit->octets.at);
	free(edit->changes);
	free(edit);
}

const uint8_t *edit_apex(const struct store_edit *edit)
{
	return edit->apex;
}

uint32_t edit_serial(const struct store_edit *edit)
{
	return edit->to;
}

/* By difference, what is taken away first, then as the records are stored. */
static int compare(const void *left, const void *right)
{
	const struct change *a = left, *b = right;
	uint16_t a_type = a->covered ? a->covered : a->type, b_type = b->covered ? b->covered : b->type;
	int order;

	if (a->difference != b->difference)
		return a->difference < b->difference ? -1 : 1;
	if (a->adds != b->adds)
		return a->adds ? 1 : -1;
	order = a->owner == b->owner ? 0 : zone_compare_names(a->owner, b->owner);
	if (order)
		return order;
	if (a_type != b_type)
		return a_type < b_type ? -1 : 1;
	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	return zone_compare_rdata(a->rdata, b->rdata);
}

/* What the records of an edit are applied with. */
struct application {
	struct zone_edit zone;
	struct octets given, present, made; /* rdata of the change, of what is stored, of what comes out */
};

static bool same_rrset(const struct change *a, const struct change *b)
{
	return a->difference == b->difference && a->adds == b->adds && a->type == b->type && a->covered == b->covered &&
	       knot_dname_is_equal(a->owner, b->owner);
}

/* The records from `first` on that are of one RRset, as one. Returns 0, ENOMEM, or STORE_E_MISFIT. */
static int gather(struct octets *octets, const struct change *first, size_t count, struct store_rrset *out)
{
	octets->size = 0;
	for (size_t i = 0; i < count; i++) {
		uint16_t length;

		if (i && !zone_compare_rdata(first[i].rdata, first[i - 1].rdata))
			return STORE_E_MISFIT;
		/* Which TTL would the RRset have? */
		if (first[i].ttl != first->ttl)
			return STORE_E_MISFIT;
		memcpy(&length, first[i].rdata, sizeof(length));
		if (octets_add(octets, first[i].rdata, 2U + length))
			return ENOMEM;
	}
	*out = (struct store_rrset){
	    .owner = first->owner,
	    .type = first->type,
	    .covered = first->covered,
	    .ttl = first->ttl,
	    .count = count,
	    .size = octets->size,
	    .rdata = octets->at,
	};
	return 0;
}

/* What is stored of the RRset, copied; of no records when there is none. *size: octets of its value. */
static int read_present(struct application *application, const struct record_key *key, struct store_rrset *out,
                        size_t *size)
{
	MDB_val key_value = {.mv_data = (void *)key->octets, .mv_size = key->length}, value;
	const struct zone_edit *zone = &application->zone;
	int result = mdb_get(zone->txn, zone->store->dbi[DB_RECORDS], &key_value, &value);

	*size = 0;
	out->count = out->size = 0;
	if (result)
		return result == MDB_NOTFOUND ? 0 : result;
	*size = value.mv_size;
	application->present.size = 0;
	if (octets_add(&application->present, value.mv_data, value.mv_size))
		return ENOMEM;
	value.mv_data = application->present.at;
	return stored_value_read(&value, out);
}

static int remove_rrset(struct application *application, const struct record_key *key, struct store_rrset *given)
{
	struct store_rrset present = *given, left;
	size_t size;
	int result = read_present(application, key, &present, &size);

	if (result)
		return result;
	if (set_minus(&present, given, &application->made, &left))
		return ENOMEM;
	if (left.count + given->count != present.count)
		return STORE_E_MISFIT;
	given->ttl = present.ttl;
	result = journal_part(&application->zone, STORE_REMOVED, given);
	if (result)
		return result;
	return left.count ? edit_put(&application->zone, key, &left, size, 0)
	                  : edit_delete(&application->zone, key, size);
}

static int add_rrset(struct application *application, const struct record_key *key, const struct store_rrset *given)
{
	struct store_rrset present = *given, all;
	size_t size;
	int result = read_present(application, key, &present, &size);

	if (result)
		return result;
	if (set_plus(&present, given, &application->made, &all))
		return ENOMEM;
	if (all.count != present.count + given->count || present.ttl != given->ttl)
		return STORE_E_MISFIT;
	result = journal_part(&application->zone, STORE_ADDED, given);
	return result ? result : edit_put(&application->zone, key, &all, size, 0);
}

/* The new SOA in the place of the one that is there. */
static int change_soa(struct application *application, const struct record_key *key, const struct store_rrset *given)
{
	struct store_rrset present = *given;
	size_t size;
	int result = read_present(application, key, &present, &size);

	if (result)
		return result;
	if (present.count != 1 || soa_serial(present.rdata) != application->zone.head.serial)
		return damaged();
	result = journal_part(&application->zone, STORE_OLD_SOA, &present);
	if (!result)
		result = journal_part(&application->zone, STORE_NEW_SOA, given);
	return result ? result : edit_put(&application->zone, key, given, size, 0);
}

static int apply_rrset(struct application *application, const struct change *first, size_t count)
{
	struct record_key key;
	struct store_rrset given;
	size_t end;
	int result = gather(&application->given, first, count, &given);

	if (result)
		return result;
	key_owner(&key, application->zone.head.id, first->owner, &end);
	key_type(&key, end, first->type, first->covered);
	if (first->type == KNOT_RRTYPE_SOA)
		return change_soa(application, &key, &given);
	return first->adds ? add_rrset(application, &key, &given) : remove_rrset(application, &key, &given);
}

static int apply_differences(struct application *application, const struct store_edit *edit)
{
	size_t at = 0;
	int result = 0;

	for (uint32_t difference = 0; !result && difference < edit->differences; difference++) {
		uint32_t from = application->zone.head.serial;
		const uint8_t *soa = NULL;

		while (!result && at < edit->count && edit->changes[at].difference == difference) {
			const struct change *first = &edit->changes[at];
			size_t count = 1;

			while (at + count < edit->count && same_rrset(first, first + count))
				count++;
			if (first->type == KNOT_RRTYPE_SOA)
				soa = first->rdata;
			result = apply_rrset(application, first, count);
			at += count;
		}
		if (soa)
			head_take_soa(&application->zone.head, soa);
		if (!result)
			result = journal_close(&application->zone, from, application->zone.head.serial);
	}
	/* Behind the last SOA nothing may come. */
	return !result && at < edit->count ? STORE_E_MISFIT : result;
}

int apply_edit(struct store *store, MDB_txn *txn, const struct job *job)
{
	struct application application = {};
	int result = edit_begin(store, txn, job->apex, &application.zone);

	if (result)
		return result == MDB_NOTFOUND ? STORE_E_MISFIT : result;
	if (application.zone.head.serial != job->edit->from)
		return STORE_E_MISFIT;
	qsort(job->edit->changes, job->edit->count, sizeof(*job->edit->changes), compare);
	application.zone.journalled = true;
	result = apply_differences(&application, job->edit);
	if (!result)
		result = edit_end(&application.zone, job->journal);
	free(application.given.at);
	free(application.present.at);
	free(application.made.at);
	return result;
}

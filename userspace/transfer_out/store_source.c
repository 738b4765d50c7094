/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "transfer_out/store_source.h"

static void *begin(void *store, const uint8_t *apex, uint64_t *octets)
{
	struct store_snapshot *snapshot = store_snapshot_begin(store, apex);

	if (snapshot)
		*octets = store_snapshot_zone(snapshot)->octets;
	return snapshot;
}

static void take(const struct store_rrset *from, struct out_rrset *out)
{
	*out = (struct out_rrset){
	    .owner = from->owner, .type = from->type, .ttl = from->ttl, .count = from->count, .rdata = from->rdata};
}

static int soa(void *snapshot, struct out_rrset *out)
{
	struct store_rrset rrset;

	if (store_snapshot_soa(snapshot, &rrset))
		return -1;
	take(&rrset, out);
	return 0;
}

static int next(void *snapshot, struct out_rrset *out)
{
	struct store_rrset rrset;
	int got = store_snapshot_next(snapshot, &rrset);

	if (got == 1)
		take(&rrset, out);
	return got;
}

static int changes(void *snapshot, uint32_t from, uint64_t *octets)
{
	return store_snapshot_changes(snapshot, from, octets);
}

static int next_change(void *snapshot, struct out_rrset *out)
{
	struct store_rrset rrset;
	enum store_part part;
	int got = store_snapshot_next_change(snapshot, &part, &rrset);

	if (got == 1)
		take(&rrset, out);
	return got;
}

static void end(void *snapshot)
{
	store_snapshot_end(snapshot);
}

void store_source(struct out_source *source, struct store *store)
{
	*source = (struct out_source){.begin = begin,
	                              .soa = soa,
	                              .next = next,
	                              .changes = changes,
	                              .next_change = next_change,
	                              .end = end,
	                              .context = store};
}

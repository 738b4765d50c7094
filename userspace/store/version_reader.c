/* SPDX-License-Identifier: GPL-3.0-or-later */
/* In a version the RRSIGs of a name are one RRset; stored, each type's stand behind it. */
#include "store/version_reader.h"

#include <libknot/libknot.h>
#include <string.h>

static const struct zone_name *current(const struct version_reader *reader)
{
	return &reader->version->names[reader->name];
}

/* Passes over the RRSIGs, which are found once a name. */
static void skip_signatures(struct version_reader *reader)
{
	const struct zone_name *name = current(reader);

	if (reader->rrset < name->rrset_count && name->rrsets[reader->rrset].type == KNOT_RRTYPE_RRSIG)
		reader->rrset++;
}

static void enter_name(struct version_reader *reader)
{
	const struct zone_name *name;

	if (reader->name >= reader->version->name_count)
		return;
	name = current(reader);
	reader->rrset = 0;
	reader->signatures = NULL;
	for (size_t i = 0; i < name->rrset_count; i++)
		if (name->rrsets[i].type == KNOT_RRTYPE_RRSIG)
			reader->signatures = &name->rrsets[i];
	reader->signature = reader->signatures ? reader->signatures->rdata : NULL;
	key_owner(&reader->key, reader->id, name->owner, &reader->owner_end);
	skip_signatures(reader);
}

void version_reader_begin(struct version_reader *reader, const struct zone_version *version, uint32_t id)
{
	*reader = (struct version_reader){.version = version, .id = id};
	enter_name(reader);
}

static uint16_t covered_by(const uint8_t *rdata)
{
	return rdata[2] << 8 | rdata[3];
}

/* The RRSIGs that cover one type: they follow one another, since the type is what their rdata begins with. */
static void take_signatures(struct version_reader *reader, struct store_rrset *out)
{
	const uint8_t *end = reader->signatures->rdata + reader->signatures->size;
	const struct zone_name *name = current(reader);

	*out = (struct store_rrset){
	    .type = KNOT_RRTYPE_RRSIG,
	    .covered = covered_by(reader->signature),
	    .ttl = reader->signatures->ttl,
	    .rdata = reader->signature,
	};
	/* RFC 4034 section 3: the TTL of what they cover. */
	for (size_t i = 0; i < name->rrset_count; i++)
		if (name->rrsets[i].type == out->covered)
			out->ttl = name->rrsets[i].ttl;
	while (reader->signature < end && covered_by(reader->signature) == out->covered) {
		uint16_t length;

		memcpy(&length, reader->signature, sizeof(length));
		reader->signature += 2 + length;
		out->count++;
	}
	out->size = reader->signature - out->rdata;
	if (reader->signature == end)
		reader->signature = NULL;
}

static void take_rrset(struct version_reader *reader, struct store_rrset *out)
{
	const struct zone_rrset *rrset = &current(reader)->rrsets[reader->rrset++];

	*out = (struct store_rrset){
	    .type = rrset->type, .ttl = rrset->ttl, .count = rrset->count, .size = rrset->size, .rdata = rrset->rdata};
	skip_signatures(reader);
}

bool version_reader_next(struct version_reader *reader, struct store_rrset *out)
{
	const struct zone_name *name;
	bool data;

	while (reader->name < reader->version->name_count && reader->rrset >= current(reader)->rrset_count &&
	       !reader->signature) {
		reader->name++;
		enter_name(reader);
	}
	if (reader->name >= reader->version->name_count)
		return false;
	name = current(reader);
	data = reader->rrset < name->rrset_count;
	if (reader->signature && (!data || covered_by(reader->signature) < name->rrsets[reader->rrset].type))
		take_signatures(reader, out);
	else
		take_rrset(reader, out);
	out->owner = name->owner;
	key_type(&reader->key, reader->owner_end, out->type, out->covered);
	return true;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading a catalog. A version's names come in canonical order, so that a member's node comes before its properties,
 * and those before the next member. What the catalog may say, by the labels in front of its name:
 *
 *     version                                        TXT "2"
 *     [LABEL.]primaries.ext                          A, AAAA, with LABEL also TXT: the key's name
 *     ID.zones                                       PTR member
 *     coo.ID.zones                                   PTR catalog
 *     group.ID.zones                                 TXT
 *     [LABEL.]primaries.ext.ID.zones                 as above, for this member
 *
 * `masters` is the old word for `primaries`. All else is ignored.
 */
#include "catalog/catalog_internal.h"
#include "zone/rdata.h"

#include <libknot/libknot.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION "2"
#define LABELS_MOST 6     /* in front of the catalog's name, of what has a meaning */
#define PRIMARIES_MOST 16 /* of one set */

struct reader {
	struct catalog *catalog;
	const struct zone_version *version;
	size_t apex_labels;
	size_t room; /* of members */
	bool versioned;
	struct catalog_member *member; /* whose properties come */
	struct catalog_primaries *own; /* its primaries, or NULL */
	struct catalog_primaries *all; /* those of the whole catalog, or NULL */
	char *why;
	size_t why_size;
};

static int broken(struct reader *reader, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int broken(struct reader *reader, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reader->why, reader->why_size, format, arguments);
	va_end(arguments);
	return -1;
}

static int no_memory(struct reader *reader)
{
	return broken(reader, "out of memory");
}

static const char *text_of(const uint8_t *name, knot_dname_txt_storage_t text)
{
	return knot_dname_to_str(text, name, sizeof(knot_dname_txt_storage_t)) ? text : "?";
}

static void warn(struct reader *reader, const struct zone_name *name, const char *what)
{
	knot_dname_txt_storage_t text;

	if (!reader->catalog->warnings++)
		snprintf(reader->catalog->warning, sizeof(reader->catalog->warning), "%.150s: %s",
		         text_of(name->owner, text), what);
}

/* The strings of a TXT record as one. Returns its length. */
static size_t join_strings(const uint8_t *rdata, char *out)
{
	size_t length = zone_rdata_length(rdata), made = 0;

	rdata += sizeof(uint16_t);
	for (size_t at = 0; at < length && at + 1 + rdata[at] <= length; at += 1U + rdata[at]) {
		memcpy(out + made, rdata + at + 1, rdata[at]);
		made += rdata[at];
	}
	return made;
}

/* Octets from elsewhere, fit to be shown. */
static const char *shown(const void *octets, size_t length, char text[64])
{
	size_t count = length < 63 ? length : 63;

	for (size_t i = 0; i < count; i++) {
		uint8_t octet = ((const uint8_t *)octets)[i];

		text[i] = octet > 0x20 && octet < 0x7f ? (char)octet : '?';
	}
	text[count] = 0;
	return text;
}

/* The name that is the only record of the RRset, in lower case. */
static int single_name(struct reader *reader, const struct zone_name *name, const struct zone_rrset *rrset,
                       const uint8_t **out)
{
	knot_dname_txt_storage_t text;
	uint8_t *copy;

	if (rrset->count != 1)
		return broken(reader, "%.200s has %u PTR records, and may have one", text_of(name->owner, text),
		              rrset->count);
	copy = catalog_take(reader->catalog, zone_rdata_length(rrset->rdata));
	if (!copy)
		return no_memory(reader);
	memcpy(copy, rrset->rdata + sizeof(uint16_t), zone_rdata_length(rrset->rdata));
	knot_dname_to_lower(copy);
	*out = copy;
	return 0;
}

static int read_version(struct reader *reader, const struct zone_name *name)
{
	const struct zone_rrset *rrset = zone_find_rrset(name, KNOT_RRTYPE_TXT);
	char text[UINT16_MAX], known[64];
	size_t length;

	if (!rrset)
		return 0;
	if (rrset->count != 1)
		return broken(reader, "it has %u versions, and may have one", rrset->count);
	length = join_strings(rrset->rdata, text);
	if (length != strlen(VERSION) || memcmp(text, VERSION, length) != 0)
		return broken(reader, "its schema version is `%s`, and only " VERSION " is known",
		              shown(text, length, known));
	reader->versioned = true;
	return 0;
}

static int read_group(struct reader *reader, const struct zone_name *name)
{
	const struct zone_rrset *rrset = zone_find_rrset(name, KNOT_RRTYPE_TXT);
	const struct catalog_group **end = &reader->member->groups;
	const uint8_t *rdata = rrset ? rrset->rdata : NULL;
	char text[UINT16_MAX];

	for (uint32_t i = 0; rrset && i < rrset->count; i++) {
		size_t length = join_strings(rdata, text);
		struct catalog_group *group = catalog_take(reader->catalog, sizeof(*group) + length);

		if (!group)
			return no_memory(reader);
		memcpy(group + 1, text, length);
		*group = (struct catalog_group){.length = length, .text = (char *)(group + 1)};
		*end = group;
		end = &group->next;
		rdata += sizeof(uint16_t) + zone_rdata_length(rdata);
	}
	return 0;
}

/* The key of a labelled primary. -1: what stands there is none. */
static int read_key(struct reader *reader, const struct zone_name *name, const uint8_t **key)
{
	const struct zone_rrset *rrset = zone_find_rrset(name, KNOT_RRTYPE_TXT);
	char text[UINT16_MAX + 1];
	knot_dname_storage_t wire;
	uint8_t *copy;

	*key = NULL;
	if (!rrset)
		return 0;
	text[join_strings(rrset->rdata, text)] = 0;
	if (rrset->count != 1 || !text[0] || !knot_dname_from_str(wire, text, sizeof(wire))) {
		warn(reader, name, "not the name of one key; these primaries are not used");
		return -1;
	}
	knot_dname_to_lower(wire);
	copy = catalog_take(reader->catalog, knot_dname_size(wire));
	if (!copy)
		return -1;
	memcpy(copy, wire, knot_dname_size(wire));
	*key = copy;
	return 0;
}

static int add_primary(struct reader *reader, struct catalog_primaries *set, uint16_t type, const uint8_t *rdata,
                       const uint8_t *key)
{
	size_t length = type == KNOT_RRTYPE_A ? 4 : 16;
	struct catalog_primary *made;

	if (zone_rdata_length(rdata) != length || set->count == PRIMARIES_MOST)
		return 0;
	if (!set->list)
		set->list = catalog_take(reader->catalog, PRIMARIES_MOST * sizeof(*set->list));
	if (!set->list)
		return no_memory(reader);
	made = &set->list[set->count++];
	memset(made, 0, sizeof(*made));
	made->key = key;
	if (type == KNOT_RRTYPE_A) {
		struct sockaddr_in *four = (struct sockaddr_in *)&made->address;

		four->sin_family = AF_INET;
		four->sin_port = htons(53);
		memcpy(&four->sin_addr, rdata + sizeof(uint16_t), length);
	} else {
		struct sockaddr_in6 *six = (struct sockaddr_in6 *)&made->address;

		six->sin6_family = AF_INET6;
		six->sin6_port = htons(53);
		memcpy(&six->sin6_addr, rdata + sizeof(uint16_t), length);
	}
	return 0;
}

static int read_primaries(struct reader *reader, const struct zone_name *name, bool labelled,
                          struct catalog_primaries **set)
{
	static const uint16_t types[] = {KNOT_RRTYPE_A, KNOT_RRTYPE_AAAA};
	const uint8_t *key = NULL;

	if (!*set) {
		*set = catalog_take(reader->catalog, sizeof(**set));
		if (!*set)
			return no_memory(reader);
		**set = (struct catalog_primaries){};
	}
	/* A key that cannot be read is no reason to do without. */
	if (labelled && read_key(reader, name, &key))
		return 0;
	for (int i = 0; i < 2; i++) {
		const struct zone_rrset *rrset = zone_find_rrset(name, types[i]);
		const uint8_t *rdata = rrset ? rrset->rdata : NULL;

		for (uint32_t j = 0; rrset && j < rrset->count; j++) {
			if (add_primary(reader, *set, types[i], rdata, key))
				return -1;
			rdata += sizeof(uint16_t) + zone_rdata_length(rdata);
		}
	}
	return 0;
}

static int read_member(struct reader *reader, const struct zone_name *name, const uint8_t *id)
{
	const struct zone_rrset *rrset = zone_find_rrset(name, KNOT_RRTYPE_PTR);
	struct catalog *catalog = reader->catalog;
	struct catalog_member *member;
	uint8_t *copy;

	reader->member = NULL;
	reader->own = NULL;
	if (!rrset)
		return 0;
	if (catalog->count == reader->room) {
		size_t room = reader->room ? reader->room * 2 : 64;
		struct catalog_member *members = realloc(catalog->members, room * sizeof(*members));

		if (!members)
			return no_memory(reader);
		catalog->members = members;
		reader->room = room;
	}
	member = &catalog->members[catalog->count];
	*member = (struct catalog_member){};
	copy = catalog_take(catalog, id[0] + 1U);
	if (!copy)
		return no_memory(reader);
	member->id = memcpy(copy, id, id[0] + 1U);
	if (single_name(reader, name, rrset, &member->zone))
		return -1;
	catalog->count++;
	reader->member = member;
	return 0;
}

static bool is_label(const uint8_t *label, const char *text)
{
	return label[0] == strlen(text) && !memcmp(label + 1, text, label[0]);
}

static bool is_primaries(const uint8_t *const *labels, size_t count)
{
	return (count == 2 || count == 3) && is_label(labels[0], "ext") &&
	       (is_label(labels[1], "primaries") || is_label(labels[1], "masters"));
}

/* A name below a member's; `labels` are those in front of the member's name, the last one first. */
static int read_property(struct reader *reader, const struct zone_name *name, const uint8_t *const *labels,
                         size_t count)
{
	const struct zone_rrset *rrset = zone_find_rrset(name, KNOT_RRTYPE_PTR);
	int result;

	if (count == 1 && is_label(labels[0], "coo") && rrset)
		return single_name(reader, name, rrset, &reader->member->coo);
	if (count == 1 && is_label(labels[0], "group"))
		return read_group(reader, name);
	if (!is_primaries(labels, count))
		return 0;
	result = read_primaries(reader, name, count == 3, &reader->own);
	reader->member->primaries = reader->own;
	return result;
}

static int read_name(struct reader *reader, const struct zone_name *name)
{
	size_t count = name->labels - reader->apex_labels;
	const uint8_t *labels[LABELS_MOST], *at = name->owner;

	if (!count || count > LABELS_MOST)
		return 0;
	for (size_t i = count; i-- > 0; at += at[0] + 1)
		labels[i] = at;
	if (count == 1 && is_label(labels[0], "version"))
		return read_version(reader, name);
	if (is_primaries(labels, count))
		return read_primaries(reader, name, count == 3, &reader->all);
	if (count < 2 || !is_label(labels[0], "zones"))
		return 0;
	if (count == 2)
		return read_member(reader, name, labels[1]);
	/* Properties of what is no member mean nothing. */
	if (!reader->member || reader->member->id[0] != labels[1][0] ||
	    memcmp(reader->member->id + 1, labels[1] + 1, labels[1][0]) != 0)
		return 0;
	return read_property(reader, name, labels + 2, count - 2);
}

static int compare_members(const void *left, const void *right)
{
	const struct catalog_member *a = left, *b = right;

	return zone_compare_names(a->zone, b->zone);
}

/* What holds for all of it. */
static int finish(struct reader *reader)
{
	struct catalog *catalog = reader->catalog;
	knot_dname_txt_storage_t text;
	char one[64], other[64];

	if (!reader->versioned)
		return broken(reader, "it has no schema version: no TXT record at `version`");
	if (catalog->count)
		qsort(catalog->members, catalog->count, sizeof(*catalog->members), compare_members);
	for (size_t i = 0; i < catalog->count; i++) {
		struct catalog_member *member = &catalog->members[i];

		if (!member->primaries)
			member->primaries = reader->all;
		if (i && knot_dname_is_equal(member[-1].zone, member->zone))
			return broken(reader, "zone %.150s is its member twice, as %s and %s",
			              text_of(member->zone, text), shown(member[-1].id + 1, member[-1].id[0], one),
			              shown(member->id + 1, member->id[0], other));
	}
	return 0;
}

struct catalog *catalog_read(const struct zone_version *version, char *why, size_t why_size)
{
	struct reader reader = {.catalog = calloc(1, sizeof(struct catalog)),
	                        .version = version,
	                        .apex_labels = knot_dname_labels(version->apex, NULL),
	                        .why = why,
	                        .why_size = why_size};
	int result = reader.catalog ? 0 : no_memory(&reader);

	for (size_t i = 0; !result && i < version->name_count; i++)
		result = read_name(&reader, &version->names[i]);
	if (!result)
		result = finish(&reader);
	if (!result) {
		reader.catalog->serial = version->serial;
		return reader.catalog;
	}
	catalog_free(reader.catalog);
	return NULL;
}

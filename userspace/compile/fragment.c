/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "compile/fragment.h"
#include "zone/rdata.h"

#include <libknot/libknot.h>
#include <stdlib.h>
#include <string.h>

#define SNAME_POINTER 0xc00c /* to octet 12, where the question's name stands */
#define RR_FIXED 10          /* type, class, TTL, length */

int buffer_grow(struct compile_buffer *buffer, size_t length)
{
	size_t room = (buffer->length + length) * 2;
	uint8_t *octets = realloc(buffer->octets, room);

	if (!octets)
		return -1;
	buffer->octets = octets;
	buffer->room = room;
	return 0;
}

uint8_t *buffer_extend(struct compile_buffer *buffer, size_t length)
{
	uint8_t *at = buffer_take(buffer, length);

	return at ? memset(at, 0, length) : NULL;
}

int buffer_align(struct compile_buffer *buffer, size_t unit)
{
	static const uint8_t zeros[PG_UNIT];
	size_t length = -buffer->length & (unit - 1);
	uint8_t *at = buffer_take(buffer, PG_UNIT);

	if (!at)
		return -1;
	memcpy(at, zeros, PG_UNIT);
	buffer->length -= PG_UNIT - length;
	return 0;
}

uint16_t fragment_sum(const uint8_t *octets, size_t length)
{
	uint64_t sum = 0;
	uint32_t words;
	uint16_t word;

	/* Two words at a time: what the upper one adds is folded in below. */
	for (; length >= 4; length -= 4, octets += 4) {
		memcpy(&words, octets, 4);
		sum += words;
	}
	if (length >= 2) {
		memcpy(&word, octets, 2);
		sum += word;
		length -= 2;
		octets += 2;
	}
	if (length)
		sum += octets[0]; /* the first octet of a word is its lower one: little-endian, as the engine demands */
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* A fragment in the making. */
struct link {
	struct compile_buffer *out;
	size_t data; /* where its data starts in `out` */
	struct pg_relocation *relocations;
	size_t count, room;
	uint32_t *rdata; /* positions of the RRs' rdata */
	/* Of most RRsets these are enough. */
	struct pg_relocation few_relocations[16];
	uint32_t few_rdata[8];
	int owner_at; /* where the owner was spelt; -1: not yet */
	uint32_t signatures;
};

static int put(struct link *link, const void *octets, size_t length)
{
	uint8_t *at = buffer_take(link->out, length);

	if (!at)
		return -1;
	memcpy(at, octets, length);
	return 0;
}

static int put16(struct link *link, uint16_t word)
{
	uint8_t octets[2] = {word >> 8, word & 0xff};

	return put(link, octets, sizeof(octets));
}

/* Puts a pointer, to so many octets behind a base, and its relocation. */
static int put_pointer(struct link *link, enum pg_base base, int octets)
{
	size_t position = link->out->length - link->data;

	if (position > UINT16_MAX)
		return -1;
	if (link->count == link->room) {
		size_t room = link->room * 2;
		bool few = link->relocations == link->few_relocations;
		struct pg_relocation *relocations =
		    realloc(few ? NULL : link->relocations, room * sizeof(*link->relocations));

		if (!relocations)
			return -1;
		if (few)
			memcpy(relocations, link->few_relocations, sizeof(link->few_relocations));
		link->relocations = relocations;
		link->room = room;
	}
	link->relocations[link->count++] = (struct pg_relocation){.position = position, .to = PG_TO(base, octets)};
	return put16(link, base == PG_BASE_SNAME ? SNAME_POINTER : 0);
}

/* Puts a name, the longest suffix that it shares with the context being a pointer. */
static int put_compressed(struct link *link, const uint8_t *name, const uint8_t *context)
{
	size_t labels = knot_dname_labels(name, NULL), shared = knot_dname_matched_labels(name, context);
	const uint8_t *suffix = name;

	if (!shared)
		return put(link, name, knot_dname_size(name));
	for (; labels > shared; labels--)
		suffix += suffix[0] + 1;
	if (put(link, name, suffix - name))
		return -1;
	return put_pointer(link, PG_BASE_SUFFIX, -(int)knot_dname_size(suffix));
}

static int put_owner(struct link *link, const struct fragment_request *request)
{
	if (request->form == OWNER_SNAME)
		return put_pointer(link, PG_BASE_SNAME, 0);
	/* Spelt once, it can be pointed to. */
	if (request->form == OWNER_SPELT) {
		if (link->owner_at >= 0)
			return put_pointer(link, PG_BASE_OWN, link->owner_at);
		link->owner_at = link->out->length - link->data;
		return link->owner_at > (int)PG_TO_OCTETS ? -1 : put_compressed(link, request->owner, request->apex);
	}
	/* The root is shorter than a pointer to it. */
	if (!request->owner[0])
		return put(link, request->owner, 1);
	return put_pointer(link, PG_BASE_SUFFIX, -(int)knot_dname_size(request->owner));
}

/* Type, class and TTL, behind the owner. */
static int put_fixed(struct link *link, uint16_t type, uint32_t ttl)
{
	uint8_t octets[8];

	knot_wire_write_u16(octets, type);
	knot_wire_write_u16(octets + 2, KNOT_CLASS_IN);
	knot_wire_write_u32(octets + 4, ttl);
	return put(link, octets, sizeof(octets));
}

static int put_rdata(struct link *link, uint16_t type, const uint8_t *rdata, size_t length, const uint8_t *context,
                     uint32_t *position)
{
	struct zone_rdata_block blocks[ZONE_RDATA_BLOCKS];
	size_t length_at = link->out->length;
	int count;
	uint8_t *at;

	*position = length_at + 2 - link->data;
	/* What most records are has no name in it. */
	if (type == KNOT_RRTYPE_A || type == KNOT_RRTYPE_AAAA)
		return put16(link, length) || put(link, rdata, length) ? -1 : 0;
	count = zone_rdata_blocks(type, rdata, length, blocks);
	if (count < 0 || put16(link, 0))
		return -1;
	for (int i = 0; i < count; i++) {
		/* The target of a CNAME may become sname, which stands uncompressed. */
		bool compress = blocks[i].is_name && blocks[i].compressible && type != KNOT_RRTYPE_CNAME;

		if (compress ? put_compressed(link, blocks[i].start, context)
		             : put(link, blocks[i].start, blocks[i].length))
			return -1;
	}
	length = link->out->length - length_at - 2;
	at = link->out->octets + length_at;
	at[0] = length >> 8;
	at[1] = length & 0xff;
	return 0;
}

static int put_record(struct link *link, const struct fragment_request *request, uint16_t type, const uint8_t *item,
                      uint32_t *position)
{
	uint16_t length;

	memcpy(&length, item, sizeof(length));
	if (put_owner(link, request) || put_fixed(link, type, request->ttl) ||
	    put_rdata(link, type, item + 2, length, request->context, position))
		return -1;
	return link->out->length - link->data > UINT16_MAX ? -1 : 0;
}

static int put_records(struct link *link, const struct fragment_request *request)
{
	const uint8_t *at = request->rrset->rdata;

	for (uint32_t i = 0; i < request->rrset->count; i++) {
		uint16_t length;

		memcpy(&length, at, sizeof(length));
		if (put_record(link, request, request->rrset->type, at, &link->rdata[i]))
			return -1;
		at += 2U + length;
	}
	return 0;
}

static int put_signatures(struct link *link, const struct fragment_request *request)
{
	const uint8_t *at = request->signatures ? request->signatures->rdata : NULL;

	for (uint32_t i = 0; at && i < request->signatures->count; i++) {
		uint32_t position;
		uint16_t length;

		memcpy(&length, at, sizeof(length));
		if ((at[2] << 8 | at[3]) == request->rrset->type) {
			if (put_record(link, request, KNOT_RRTYPE_RRSIG, at, &position))
				return -1;
			link->signatures++;
		}
		at += 2U + length;
	}
	return 0;
}

/* Owners first, but the one at the start, then suffixes, each in order of position. */
static int put_relocations(struct link *link, struct pg_rrset *described)
{
	if (buffer_align(link->out, sizeof(struct pg_relocation)))
		return -1;
	for (int suffixes = 0; suffixes < 2; suffixes++)
		for (size_t i = 0; i < link->count; i++) {
			if ((link->relocations[i].to >> PG_TO_BASE != PG_BASE_SNAME) != suffixes)
				continue;
			if (suffixes)
				described->suffixes++;
			else if (!described->owners++)
				continue;
			if (put(link, &link->relocations[i], sizeof(link->relocations[i])))
				return -1;
		}
	return buffer_align(link->out, PG_UNIT);
}

/* Puts what is asked for, and counts it in `described`. */
static int put_all(struct link *link, const struct fragment_request *requests, size_t count, struct pg_rrset *described)
{
	for (size_t i = 0; i < count; i++) {
		link->owner_at = -1;
		if (put_records(link, &requests[i]))
			return -1;
		if (!i) {
			described->length = link->out->length - link->data;
			described->records = requests[i].rrset->count;
		}
		if (put_signatures(link, &requests[i]) || link->out->length - link->data > UINT16_MAX)
			return -1;
		described->signed_length = link->out->length - link->data;
		described->signed_records += requests[i].rrset->count;
	}
	described->signed_records += link->signatures;
	return 0;
}

/* The numbers of the RRs in targets' positions become places of names. */
static int put_targets(struct link *link, const struct fragment_request *request)
{
	for (size_t i = 0; i < request->target_count; i++)
		request->targets[i].position =
		    link->rdata[request->targets[i].position] + compile_target_offset(request->rrset->type) - 1;
	return put(link, request->targets, request->target_count * sizeof(*request->targets));
}

static int put_fragment(struct link *link, const struct fragment_request *requests, size_t count,
                        struct pg_rrset *described)
{
	*described = (struct pg_rrset){
	    .type = requests->type, .additional = requests->target_count, .fragment = link->data / PG_UNIT};
	if (put_all(link, requests, count, described))
		return -1;
	described->sum = fragment_sum(link->out->octets + link->data, described->length);
	described->signed_sum = described->signed_length == described->length
	                            ? described->sum
	                            : fragment_sum(link->out->octets + link->data, described->signed_length);
	return put_relocations(link, described) || (requests->target_count && put_targets(link, requests)) ? -1 : 0;
}

int fragment_compile_all(const struct fragment_request *requests, size_t count, struct compile_buffer *out,
                         struct pg_rrset *described)
{
	struct link link; /* its arrays are not cleared */
	size_t most = 0;
	int result;

	for (size_t i = 0; i < count; i++)
		most = requests[i].rrset->count > most ? requests[i].rrset->count : most;
	link.out = out;
	link.data = out->length;
	link.relocations = link.few_relocations;
	link.room = sizeof(link.few_relocations) / sizeof(link.few_relocations[0]);
	link.count = link.signatures = 0;
	link.rdata = most <= sizeof(link.few_rdata) / sizeof(link.few_rdata[0]) ? link.few_rdata
	                                                                        : calloc(most, sizeof(*link.rdata));
	result = link.rdata ? put_fragment(&link, requests, count, described) : -1;
	if (link.relocations != link.few_relocations)
		free(link.relocations);
	if (link.rdata != link.few_rdata)
		free(link.rdata);
	return result;
}

int fragment_compile(const struct fragment_request *request, struct compile_buffer *out, struct pg_rrset *described)
{
	return fragment_compile_all(request, 1, out, described);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "verify/master.h"
#include "verify/canonical.h"

#include <libknot/libknot.h>
#include <stdlib.h>
#include <string.h>

struct writer {
	FILE *out;
	uint64_t left;
	const atomic_bool *cancelled;
	char *text; /* of one record; grown by libknot */
	size_t text_room;
	knot_rdata_t *rdata; /* one, aligned as libknot wants it */
};

static int write_record(struct writer *writer, const struct zone_name *name, const struct zone_rrset *rrset,
                        const uint8_t *item)
{
	size_t size = 2U + canonical_length(item);
	knot_rrset_t one;
	int length;

	knot_rrset_init(&one, (knot_dname_t *)name->owner, rrset->type, KNOT_CLASS_IN,
	                canonical_ttl(name, rrset, item));
	memcpy(writer->rdata, item, size);
	one.rrs =
	    (knot_rdataset_t){.count = 1, .size = knot_rdata_size(canonical_length(item)), .rdata = writer->rdata};
	length = knot_rrset_txt_dump(&one, &writer->text, &writer->text_room, &KNOT_DUMP_STYLE_DEFAULT);
	if (length < 0)
		return -1;
	if ((uint64_t)length > writer->left) {
		writer->left = 0;
		return fputs("; ... the rest is left out\n", writer->out) < 0 ? -1 : 0;
	}
	writer->left -= (uint64_t)length;
	return fwrite(writer->text, 1, (size_t)length, writer->out) == (size_t)length ? 0 : -1;
}

static int write_name(struct writer *writer, const struct zone_name *name)
{
	for (size_t i = 0; i < name->rrset_count; i++) {
		const struct zone_rrset *rrset = &name->rrsets[i];
		const uint8_t *item = rrset->rdata;

		for (uint32_t j = 0; j < rrset->count && writer->left; j++, item += 2 + canonical_length(item))
			if (write_record(writer, name, rrset, item))
				return -1;
	}
	return 0;
}

/* Programs that read master files want the SOA first. */
static int write_soa(struct writer *writer, const struct zone_name *apex)
{
	const struct zone_rrset *soa = canonical_find(apex, KNOT_RRTYPE_SOA);

	return write_record(writer, apex, soa, soa->rdata);
}

static int write_apex(struct writer *writer, const struct zone_name *apex)
{
	struct zone_name rest = *apex;
	size_t soa = canonical_find(apex, KNOT_RRTYPE_SOA) - apex->rrsets;

	if (write_soa(writer, apex))
		return -1;
	rest.rrset_count = soa;
	if (write_name(writer, &rest))
		return -1;
	rest.rrsets = apex->rrsets + soa + 1;
	rest.rrset_count = apex->rrset_count - soa - 1;
	return write_name(writer, &rest);
}

int master_write(FILE *out, const struct zone_version *version, uint64_t limit, const atomic_bool *cancelled)
{
	struct writer writer = {.out = out, .left = limit, .cancelled = cancelled, .text_room = 65536};
	int result = -1;

	writer.text = malloc(writer.text_room);
	writer.rdata = malloc(knot_rdata_size(UINT16_MAX));
	if (writer.text && writer.rdata)
		result = write_apex(&writer, &version->names[0]);
	for (size_t i = 1; i < version->name_count && !result && writer.left; i++)
		result = cancelled && *cancelled ? -1 : write_name(&writer, &version->names[i]);
	free(writer.text);
	free(writer.rdata);
	return result || fflush(out) ? -1 : 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "verify/master.h"
#include "verify/canonical.h"
#include "zone/record_text.h"

#include <libknot/libknot.h>

struct writer {
	FILE *out;
	uint64_t left;
	struct record_text line;
};

static int write_record(struct writer *writer, const struct zone_name *name, const struct zone_rrset *rrset,
                        const uint8_t *item)
{
	int length = record_text_put(&writer->line, name->owner, rrset->type, canonical_ttl(name, rrset, item), item);

	if (length < 0)
		return -1;
	if ((uint64_t)length > writer->left) {
		writer->left = 0;
		return fputs("; ... the rest is left out\n", writer->out) < 0 ? -1 : 0;
	}
	writer->left -= (uint64_t)length;
	return fwrite(writer->line.text, 1, (size_t)length, writer->out) == (size_t)length ? 0 : -1;
}

static int write_name(struct writer *writer, const struct zone_name *name)
{
	for (size_t i = 0; i < name->rrset_count; i++) {
		const struct zone_rrset *rrset = &name->rrsets[i];
		const uint8_t *item = rrset->rdata;

		for (uint32_t j = 0; j < rrset->count && writer->left; j++, item += 2 + zone_rdata_length(item))
			if (write_record(writer, name, rrset, item))
				return -1;
	}
	return 0;
}

/* Programs that read master files want the SOA first. */
static int write_soa(struct writer *writer, const struct zone_name *apex)
{
	const struct zone_rrset *soa = zone_find_rrset(apex, KNOT_RRTYPE_SOA);

	return write_record(writer, apex, soa, soa->rdata);
}

static int write_apex(struct writer *writer, const struct zone_name *apex)
{
	struct zone_name rest = *apex;
	size_t soa = zone_find_rrset(apex, KNOT_RRTYPE_SOA) - apex->rrsets;

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
	struct writer writer = {.out = out, .left = limit};
	int result = write_apex(&writer, &version->names[0]);

	for (size_t i = 1; i < version->name_count && !result && writer.left; i++)
		result = cancelled && *cancelled ? -1 : write_name(&writer, &version->names[i]);
	record_text_free(&writer.line);
	return result || fflush(out) ? -1 : 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A version that lost most of the zone is an accident at the primary more often than it is meant. */
#include "verify/canonical.h"
#include "verify/verify.h"

#include <libknot/libknot.h>
#include <stdio.h>

bool verify_is_of_signing(uint16_t type)
{
	return type == KNOT_RRTYPE_RRSIG || type == KNOT_RRTYPE_NSEC || type == KNOT_RRTYPE_NSEC3;
}

/* Whether names below it are another's business. NS at a wildcard makes no cut (RFC 4592 section 4.2). */
static bool redirects(const struct zone_name *name, bool apex)
{
	return zone_find_rrset(name, KNOT_RRTYPE_DNAME) ||
	       (!apex && !knot_dname_is_wildcard(name->owner) && zone_find_rrset(name, KNOT_RRTYPE_NS));
}

struct verify_size verify_measure(const struct zone_version *version)
{
	struct verify_size size = {};
	const uint8_t *last = version->names[0].owner, *cut = NULL;

	for (size_t i = 0; i < version->name_count; i++) {
		const struct zone_name *name = &version->names[i];
		uint64_t records = 0;

		for (size_t j = 0; j < name->rrset_count; j++)
			records += verify_is_of_signing(name->rrsets[j].type) ? 0 : name->rrsets[j].count;
		size.records += records;
		/* The owner of an NSEC3 record is no name of the zone; what is below a cut or DNAME is not served. */
		if ((!records && !zone_find_rrset(name, KNOT_RRTYPE_NSEC)) ||
		    (cut && knot_dname_in_bailiwick(name->owner, cut) > 0))
			continue;
		/* Itself, and the empty non-terminals between it and the name before. */
		if (name->labels <= version->names[0].labels + 1)
			size.names++;
		else
			size.names += name->labels - knot_dname_matched_labels(last, name->owner);
		last = name->owner;
		cut = redirects(name, !i) ? last : NULL;
	}
	return size;
}

static int judge(const char *what, uint64_t before, uint64_t now, unsigned max_shrink, char *why)
{
	if (now >= before || (before - now) * 100 <= before * max_shrink)
		return 0;
	snprintf(why, VERIFY_WHY, "it lost %llu of %llu %s, more than the %u %% that max-shrink allows",
	         (unsigned long long)(before - now), (unsigned long long)before, what, max_shrink);
	return -1;
}

int verify_shrink(const struct verify_size *before, const struct verify_size *now, unsigned max_shrink, char *why)
{
	if (!max_shrink || before->names < VERIFY_SHRINK_NAMES)
		return 0;
	if (judge("names", before->names, now->names, max_shrink, why))
		return -1;
	return judge("records", before->records, now->records, max_shrink, why);
}

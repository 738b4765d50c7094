/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For tests: what leads from one version of a zone to another, as an IXFR would bring it. */
#ifndef PEREGRINE_TESTS_DIFFERENCE_H
#define PEREGRINE_TESTS_DIFFERENCE_H

#include "zone_text.h"

#include "compile/compile.h"
#include "zone/change.h"

static inline void difference_put(struct zone_changes *changes, bool adds, const uint8_t *owner,
                                  const struct zone_rrset *rrset, const uint8_t *at)
{
	uint16_t length;
	int result;

	memcpy(&length, at, sizeof(length));
	if (rrset->type == KNOT_RRTYPE_SOA)
		result = adds ? zone_changes_soa(changes, rrset->ttl, at + 2, length) : 0;
	else if (adds)
		result = zone_changes_add(changes, owner, rrset->type, rrset->ttl, at + 2, length);
	else
		result = zone_changes_remove(changes, owner, rrset->type, at + 2, length);
	if (result)
		fail_msg("%s", zone_changes_error(changes));
}

static inline bool difference_has(const struct zone_rrset *rrset, const uint8_t *record)
{
	const uint8_t *at = rrset->rdata;
	uint16_t length, other;

	memcpy(&length, record, sizeof(length));
	for (uint32_t i = 0; i < rrset->count; i++) {
		memcpy(&other, at, sizeof(other));
		if (other == length && !memcmp(at, record, 2U + length))
			return true;
		at += 2 + other;
	}
	return false;
}

/* The records of one RRset that another has not; all of them, if the TTL is another. */
static inline void difference_rrset(struct zone_changes *changes, bool adds, const uint8_t *owner,
                                    const struct zone_rrset *rrset, const struct zone_rrset *other)
{
	const uint8_t *at = rrset->rdata;
	bool all = other->count && other->ttl != rrset->ttl && rrset->type != KNOT_RRTYPE_RRSIG;

	for (uint32_t i = 0; i < rrset->count; i++) {
		uint16_t length;

		memcpy(&length, at, sizeof(length));
		if (all || !difference_has(other, at) || rrset->type == KNOT_RRTYPE_SOA)
			difference_put(changes, adds, owner, rrset, at);
		at += 2 + length;
	}
}

static inline void difference_name(struct zone_changes *changes, bool adds, const struct zone_name *name,
                                   const struct zone_name *other)
{
	for (size_t i = 0; i < name->rrset_count; i++) {
		const struct zone_rrset *there = other ? zone_find_rrset(other, name->rrsets[i].type) : NULL;

		difference_rrset(changes, adds, name->owner, &name->rrsets[i], there ? there : &(struct zone_rrset){});
	}
}

/* What one version has and the other has not. */
static inline void difference_versions(struct zone_changes *changes, bool adds, const struct zone_version *version,
                                       const struct zone_version *other)
{
	size_t at = 0;

	for (size_t i = 0; i < version->name_count; i++) {
		const struct zone_name *name = &version->names[i];

		while (at < other->name_count && zone_compare_names(other->names[at].owner, name->owner) < 0)
			at++;
		difference_name(changes, adds, name,
		                at < other->name_count && knot_dname_is_equal(other->names[at].owner, name->owner)
		                    ? &other->names[at]
		                    : NULL);
	}
}

static inline struct zone_changes *difference_between(const struct zone_version *before,
                                                      const struct zone_version *after)
{
	struct zone_changes *changes = zone_changes_new(before->apex, before->serial, 0);

	assert_non_null(changes);
	assert_int_equal(0, zone_changes_next(changes));
	difference_versions(changes, false, before, after);
	difference_versions(changes, true, after, before);
	return changes;
}

/* Makes a version that stands in the image into the next one; by what the change concerns alone, if that can be.
 * Returns whether it was. */
static inline bool difference_apply(struct image *image, const struct zone_version *before, struct zone_version *after)
{
	struct zone_changes *changes = difference_between(before, after);
	char why[512] = "";
	enum image_change result =
	    image_change_part(image, changes, UINT64_MAX, zone_text_visible, NULL, why, sizeof(why));

	zone_changes_free(changes);
	if (result == IMAGE_CHANGED)
		return true;
	if (result != IMAGE_TOO_FAR ||
	    image_commit(image, after, UINT64_MAX, zone_text_visible, NULL, why, sizeof(why)))
		fail_msg("%s", why);
	return false;
}

#endif

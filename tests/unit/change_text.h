/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For tests: changes of the zone `test` as text. */
#ifndef PEREGRINE_TESTS_CHANGE_TEXT_H
#define PEREGRINE_TESTS_CHANGE_TEXT_H

#include "zone_text.h"

#include "zone/change.h"

/* Lines "- a A 1" (take away), "+ a A 1" (add), "= 8" (the SOA that ends a difference: a b 8 6 5 400 3); the number of
 * an A record is its address's last octet. */
static inline struct zone_changes *change_text(const char *lines, uint32_t from, uint64_t max)
{
	struct zone_changes *changes = zone_changes_new((const uint8_t *)"\4TEST", from, max);
	char copy[1024], *line, *rest = copy;

	snprintf(copy, sizeof(copy), "%s", lines);
	assert_int_equal(0, zone_changes_next(changes));
	while ((line = strsep(&rest, "\n")) && line[0]) {
		char name[64], owner_text[80];
		uint8_t soa[] = "\1a\4test\0\1b\4test\0\0\0\0\0\0\0\0\6\0\0\0\5\0\0\1\x90\0\0\0\3";
		uint8_t address[] = {192, 0, 2, 0};
		knot_dname_storage_t owner;
		unsigned number;

		if (sscanf(line, "= %u", &number) == 1) {
			soa[19] = number;
			assert_int_equal(0, zone_changes_soa(changes, 300, soa, sizeof(soa) - 1));
			assert_int_equal(0, zone_changes_next(changes));
			continue;
		}
		assert_int_equal(2, sscanf(line + 2, "%63s A %u", name, &number));
		snprintf(owner_text, sizeof(owner_text), "%s.test.", name);
		assert_non_null(knot_dname_from_str(owner, owner_text, sizeof(owner)));
		address[3] = number;
		if (line[0] == '-')
			assert_int_equal(0, zone_changes_remove(changes, owner, KNOT_RRTYPE_A, address, 4));
		else
			assert_int_equal(0, zone_changes_add(changes, owner, KNOT_RRTYPE_A, 60, address, 4));
	}
	return changes;
}

#endif

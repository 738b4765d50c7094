/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What members of a catalog are configured to be, by the present configuration. */
#include "agent/catalogs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KEY ((uint8_t *)"\3key")
#define OTHER ((uint8_t *)"\5other")

/* A member's primaries have a key of the configuration that is in force, though the next one stands where the one
 * before stood, and nothing was asked of the catalog in between. */
static void keys_of_the_present(void **unused)
{
	knot_tsig_key_t before[] = {{.name = KEY}, {.name = OTHER}}, after[] = {{.name = OTHER}, {.name = KEY}};
	struct config_catalog catalogs[] = {{.zone = {.name = "catalog", .apex = (uint8_t *)"\7catalog"}}};
	struct config config = {.keys = before, .key_count = 2, .catalogs = catalogs, .catalog_count = 1};
	struct catalog_primary primary = {.address = {.ss_family = AF_INET}, .key = KEY};
	const struct catalog_primaries primaries = {.list = &primary, .count = 1};
	const struct catalog_member listed = {
	    .zone = (uint8_t *)"\4zone", .id = (uint8_t *)"\2id", .primaries = &primaries};
	uv_loop_t loop;
	struct agent agent = {.loop = &loop, .config = &config};
	struct member *members[3];

	assert_int_equal(0, uv_loop_init(&loop));
	assert_int_equal(0, catalogs_configure(&agent, &config));
	for (int i = 0; i < 2; i++) {
		members[i] = member_new(agent.catalogs, &listed);
		assert_non_null(members[i]);
		assert_ptr_equal(members[i]->config.primaries[0]->key, &before[0]);
	}
	/* They share them. */
	assert_ptr_equal(members[0]->primaries, members[1]->primaries);
	config.keys = after;
	assert_int_equal(0, catalogs_configure(&agent, &config));
	members[2] = member_new(agent.catalogs, &listed);
	assert_non_null(members[2]);
	assert_ptr_equal(members[2]->config.primaries[0]->key, &after[1]);
	for (int i = 0; i < 3; i++)
		member_free(members[i]);
	catalogs_close(&agent);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(0, uv_loop_close(&loop));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(keys_of_the_present)};

	return cmocka_run_group_tests_name("members", tests, NULL, NULL);
}

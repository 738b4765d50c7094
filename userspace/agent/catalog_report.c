/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `catalog-status`: what each catalog lists, and what of that is not served for it, and why. */
#include "agent/catalogs.h"

#include <libknot/libknot.h>

#define LEFT_OUT_MOST 100 /* zones told of one catalog */

static void tell_left_out(json_t *list, const uint8_t *name, const struct agent_zone *zone)
{
	knot_dname_txt_storage_t text;
	json_t *reason;

	if (json_array_size(list) == LEFT_OUT_MOST || !knot_dname_to_str(text, name, sizeof(text)))
		return;
	if (!zone)
		reason = json_string("not added yet");
	else if (zone->role == AGENT_MEMBER && zone->catalog)
		reason = json_sprintf("it is a member of catalog %s", zone->catalog->config->zone.name);
	else
		reason = json_string("a zone of that name is configured");
	json_array_append_new(list, json_pack("{s:s, s:o}", "zone", text, "reason", reason));
}

static json_t *report(const struct agent_catalog *catalog)
{
	const struct catalog *listed = catalog->catalog;
	json_t *report = json_object(), *left_out = json_array();
	json_int_t members = 0;

	for (size_t i = 0; listed && i < listed->count; i++) {
		const struct agent_zone *zone = agent_find_zone(catalog->agent, listed->members[i].zone);

		if (zone && zone->role == AGENT_MEMBER && zone->catalog == catalog)
			members++;
		else
			tell_left_out(left_out, listed->members[i].zone, zone);
	}
	json_object_set_new(report, "catalog", json_string(catalog->config->zone.name));
	json_object_set_new(report, "role", json_string("catalog"));
	json_object_set_new(report, "serial", listed ? json_integer(listed->serial) : json_null());
	json_object_set_new(report, "listed", json_integer(listed ? (json_int_t)listed->count : 0));
	json_object_set_new(report, "members", json_integer(members));
	json_object_set_new(report, "left_out", left_out);
	json_object_set_new(report, "error",
	                    catalog->error[0]                 ? json_string(catalog->error)
	                    : listed && listed->warnings != 0 ? json_string(listed->warning)
	                                                      : json_null());
	return report;
}

void agent_catalog_status(void *context, struct control_request *request, const json_t *arguments,
                          const json_t *options)
{
	struct agent *agent = context;
	const char *wanted = json_string_value(json_array_get(arguments, 0));
	knot_dname_storage_t apex;
	json_t *list, *made;

	if (wanted && !knot_dname_from_str(apex, wanted, sizeof(apex))) {
		control_fail(request, "%s: not a domain name", wanted);
		return;
	}
	if (wanted)
		knot_dname_to_lower(apex);
	list = json_array();
	for (const struct agent_catalog *catalog = agent->catalogs; catalog; catalog = catalog->next)
		if (!wanted || knot_dname_is_equal(catalog->config->zone.apex, apex))
			json_array_append_new(list, report(catalog));
	for (size_t i = 0; i < agent->config->catalog_count; i++) {
		const struct config_catalog *config = &agent->config->catalogs[i];

		if (!config->produce || (wanted && !knot_dname_is_equal(config->zone.apex, apex)))
			continue;
		made = produce_report(agent, config->zone.apex);
		if (made)
			json_array_append_new(list, made);
	}
	if (!wanted || json_array_size(list) > 0) {
		control_reply(request, list);
		return;
	}
	json_decref(list);
	control_fail(request, "%s: no such catalog is configured; `peregrine catalog-status` lists them", wanted);
}

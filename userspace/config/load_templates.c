/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Templates, and what zones and catalogs say of each other. */
#include "config/load.h"
#include "config/values.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_TEMPLATE "default"
#define MOST_GROUP 255 /* octets: one string of a TXT record */

/* All at their defaults. */
static const struct config_zone *no_settings(void)
{
	static struct config_zone settings;

	settings.verify = load_verify_default;
	return &settings;
}

static const struct config_template *find_template(const struct load *load, const char *name)
{
	return load_find(load->templates, load->template_count, name, strlen(name));
}

static const struct config_zone *default_settings(const struct load *load)
{
	const struct config_template *found = find_template(load, DEFAULT_TEMPLATE);

	return found ? &found->settings : no_settings();
}

const struct config_zone *load_template(struct load *load, const char *name, const yaml_node_t *mapping)
{
	const struct config_template *found;

	if (!load_given(name))
		return default_settings(load);
	found = find_template(load, name);
	if (!found)
		load_judge(load, document_field(&load->document, mapping, "template"), "template", name,
		           "no such template; add it to `templates`, or mend the name");
	return found ? &found->settings : default_settings(load);
}

/* Names first, so that `default`, which the others begin with, may stand anywhere. */
static void load_names(struct load *load, const yaml_node_t *list)
{
	const struct raw_config *raw = load->raw;
	struct config *config = load->config;

	for (size_t i = 0; i < raw->templates_count; i++) {
		const yaml_node_t *mapping = document_entry(&load->document, list, i);
		struct config_template *made = &config->templates[config->template_count++];

		if (!load_given(raw->templates[i].name)) {
			load_need(load, mapping, "name", "write the name by which zones refer to this template");
			continue;
		}
		made->name = load_text(load, raw->templates[i].name);
		load->templates[load->template_count++] =
		    (struct load_item){raw->templates[i].name, strlen(raw->templates[i].name), raw->templates[i].name,
		                       document_field(&load->document, mapping, "name"), made};
	}
	load_sort(load, load->templates, load->template_count, "template");
}

void load_templates(struct load *load)
{
	const struct raw_config *raw = load->raw;
	const yaml_node_t *list = load_list(load, "templates");
	struct config *config = load->config;

	config->templates = load_array(load, raw->templates_count, sizeof(*config->templates));
	load->templates = load_array(load, raw->templates_count, sizeof(*load->templates));
	if (!config->templates || !load->templates)
		return;
	load_names(load, list);
	for (int others = 0; others < 2; others++)
		for (size_t i = 0; i < raw->templates_count; i++) {
			bool other = !load_given(raw->templates[i].name) ||
			             strcmp(raw->templates[i].name, DEFAULT_TEMPLATE) != 0;

			if (other != others)
				continue;
			config->templates[i].settings = other ? *default_settings(load) : *no_settings();
			load_zone_settings(load, &raw->templates[i], document_entry(&load->document, list, i),
			                   &config->templates[i].settings);
		}
}

/* --- catalogs --- */

static const char *judge_group(const char *text)
{
	return strlen(text) > MOST_GROUP ? "longer than 255 octets, which is the most that a TXT string holds" : NULL;
}

static const char *load_group(struct load *load, const char *text, const yaml_node_t *mapping)
{
	char *copy;

	if (!load_given(text) ||
	    !load_judge(load, document_field(&load->document, mapping, "group"), "group", text, judge_group(text)))
		return NULL;
	copy = load_setting(load, strlen(text) + 1);
	return copy ? strcpy(copy, text) : NULL;
}

/* The catalog that a zone is to stand in may come later in the file: it is looked for when all are known. */
void load_membership(struct load *load, const struct raw_zone *raw, const yaml_node_t *mapping,
                     struct config_zone *zone)
{
	const yaml_node_t *node = document_field(&load->document, mapping, "catalog");
	knot_dname_t *name = NULL;

	if (document_field(&load->document, mapping, "group"))
		zone->group = load_group(load, raw->group, mapping);
	if (!load_given(raw->catalog) ||
	    !load_judge(load, node, "catalog", raw->catalog, value_name(raw->catalog, &name)))
		return;
	zone->catalog = load_find(load->catalogs, load->catalog_count, name, knot_dname_size(name));
	if (!zone->catalog)
		load_judge(load, node, "catalog", raw->catalog,
		           "no such catalog is made here; add it to `catalogs` with `produce: true`");
	knot_dname_free(name, NULL);
}

/* Catalogs that are made here, by name, before any zone or template refers to them. */
void load_produced(struct load *load)
{
	const struct raw_config *raw = load->raw;
	const yaml_node_t *list = load_list(load, "catalogs");

	load->config->catalogs = load_array(load, raw->catalogs_count, sizeof(*load->config->catalogs));
	load->catalogs = load_array(load, raw->catalogs_count, sizeof(*load->catalogs));
	if (load->config->catalogs)
		load->config->catalog_count = raw->catalogs_count;
	for (size_t i = 0; load->catalogs && load->config->catalogs && i < raw->catalogs_count; i++) {
		struct config_catalog *catalog = &load->config->catalogs[i];
		const yaml_node_t *mapping = document_entry(&load->document, list, i);
		const yaml_node_t *node = document_field(&load->document, mapping, "produce");
		const char *text = raw->catalogs[i].produce;

		if (load_given(text))
			load_judge(load, node, "produce", text, value_truth(text, &catalog->produce));
		if (!catalog->produce || !load_given(raw->catalogs[i].name) ||
		    value_name(raw->catalogs[i].name, &catalog->zone.apex))
			continue;
		load->catalogs[load->catalog_count++] =
		    (struct load_item){catalog->zone.apex, knot_dname_size(catalog->zone.apex), raw->catalogs[i].name,
		                       document_field(&load->document, mapping, "name"), catalog};
	}
	load_sort_quietly(load->catalogs, load->catalog_count);
}

static void load_groups(struct load *load, const struct raw_zone *raw, const yaml_node_t *mapping,
                        struct config_catalog *catalog)
{
	const yaml_node_t *list = document_field(&load->document, mapping, "groups");
	struct load_item *items = load_array(load, raw->groups_count, sizeof(*items));

	catalog->groups = load_setting(load, raw->groups_count * sizeof(*catalog->groups));
	for (size_t i = 0; items && catalog->groups && i < raw->groups_count; i++) {
		const yaml_node_t *entry = document_entry(&load->document, list, i);
		const struct raw_group *group = &raw->groups[i];
		struct config_group *made = &catalog->groups[catalog->group_count];

		if (!load_given(group->group))
			load_need(load, entry, "group", "write the group's name as the catalog has it");
		if (!load_given(group->template))
			load_need(load, entry, "template", "name the template that members of this group get");
		made->settings = load_template(load, group->template, entry);
		made->group = load_group(load, group->group, entry);
		if (!made->group)
			continue;
		items[catalog->group_count++] =
		    (struct load_item){made->group, strlen(made->group), made->group,
		                       document_field(&load->document, entry, "group"), made};
	}
	load_sort(load, items, catalog->group_count, "group");
	free(items);
}

void load_catalog(struct load *load, const struct raw_zone *raw, const yaml_node_t *mapping,
                  struct config_catalog *catalog)
{
	static const char *const consumed[] = {"primaries", "template", "groups"};

	for (size_t i = 0; catalog->produce && i < sizeof(consumed) / sizeof(consumed[0]); i++) {
		const yaml_node_t *node = document_field(&load->document, mapping, consumed[i]);

		if (node)
			document_error(&load->document, node,
			               "%s stands in a catalog that is made here; leave it out, or leave out produce",
			               consumed[i]);
	}
	catalog->members = *load_template(load, raw->template, mapping);
	load_groups(load, raw, mapping, catalog);
}

const struct config_zone *config_member_settings(const struct config_catalog *catalog, const char *group, size_t length)
{
	for (size_t i = 0; i < catalog->group_count; i++)
		if (strlen(catalog->groups[i].group) == length && !memcmp(catalog->groups[i].group, group, length))
			return catalog->groups[i].settings;
	return NULL;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a catalog's member is configured to be: a template's settings under its own name, and the primaries that the
 * catalog may name. */
#include "agent/catalogs.h"
#include "common/log.h"

#include <stdlib.h>
#include <string.h>

/* Primaries made of a catalog's, shared by all members that have the same. */
struct member_primaries {
	size_t references;
	const struct catalog_primaries *from; /* to be compared alone: the catalog may be gone */
	size_t count;
	struct config_primary *list;
	const struct config_primary **pointers;
};

static void primaries_unref(struct member_primaries *primaries)
{
	if (!primaries || --primaries->references)
		return;
	for (size_t i = 0; i < primaries->count; i++) {
		free(primaries->list[i].name);
		free(primaries->list[i].addresses);
	}
	free(primaries->list);
	free(primaries->pointers);
	free(primaries);
}

static bool usable(const struct agent_catalog *catalog, const struct catalog_member *member,
                   const struct catalog_primary *primary)
{
	knot_dname_txt_storage_t key, zone;

	if (!primary->key || config_find_key(catalog->agent->config, primary->key))
		return true;
	if (!knot_dname_to_str(key, primary->key, sizeof(key)) || !knot_dname_to_str(zone, member->zone, sizeof(zone)))
		return false;
	log_warning("catalog %s: it names key %.100s for primaries, as of %.100s, and no such key is configured; they "
	            "are not asked; add it to `keys`",
	            catalog->config->zone.name, key, zone);
	return false;
}

static struct member_primaries *make_primaries(const struct agent_catalog *catalog, const struct catalog_member *member)
{
	const struct catalog_primaries *from = member->primaries;
	struct member_primaries *made = calloc(1, sizeof(*made));

	if (!made)
		return NULL;
	*made = (struct member_primaries){.references = 1, .from = from};
	made->list = calloc(from->count + 1, sizeof(*made->list));
	made->pointers = calloc(from->count + 1, sizeof(*made->pointers));
	for (size_t i = 0; made->list && made->pointers && i < from->count; i++) {
		struct config_primary *primary = &made->list[made->count];

		if (!usable(catalog, member, &from->list[i]))
			continue;
		primary->name = strdup(catalog->config->zone.name);
		primary->addresses = malloc(sizeof(*primary->addresses));
		made->pointers[made->count++] = primary;
		if (!primary->name || !primary->addresses)
			break;
		primary->addresses[0] = from->list[i].address;
		primary->address_count = 1;
		primary->key = from->list[i].key ? config_find_key(catalog->agent->config, from->list[i].key) : NULL;
	}
	if (made->list && made->pointers && (!made->count || made->list[made->count - 1].address_count))
		return made;
	primaries_unref(made);
	return NULL;
}

/* Those of the member before, if they are the same: members mostly come with what is said of all of them. */
static struct member_primaries *find_primaries(struct agent_catalog *catalog, const struct catalog_member *member)
{
	struct member_primaries *made = catalog->made;

	if (!made || made->from != member->primaries) {
		made = make_primaries(catalog, member);
		if (!made)
			return NULL;
		primaries_unref(catalog->made);
		catalog->made = made;
	}
	made->references++;
	return made;
}

/* Of several groups the first that means something here. */
static const struct config_zone *settings_of(const struct config_catalog *config, const struct catalog_member *member)
{
	for (const struct catalog_group *group = member->groups; group; group = group->next) {
		const struct config_zone *settings = config_member_settings(config, group->text, group->length);

		if (settings)
			return settings;
	}
	return &config->members;
}

struct member *member_new(struct agent_catalog *catalog, const struct catalog_member *listed)
{
	size_t apex = knot_dname_size(listed->zone), id = listed->id[0] + 1U;
	knot_dname_txt_storage_t text;
	struct member *member;
	uint8_t *room;

	if (!knot_dname_to_str(text, listed->zone, sizeof(text)))
		return NULL;
	if (text[1])
		text[strlen(text) - 1] = 0; /* the dot at the end, as in the configuration */
	member = malloc(sizeof(*member) + apex + id + strlen(text) + 1);
	if (!member)
		return NULL;
	room = (uint8_t *)(member + 1);
	*member = (struct member){.config = *settings_of(catalog->config, listed), .id = room + apex};
	member->config.apex = memcpy(room, listed->zone, apex);
	memcpy(member->id, listed->id, id);
	member->config.name = strcpy((char *)room + apex + id, text);
	if (listed->primaries) {
		member->primaries = find_primaries(catalog, listed);
		if (!member->primaries) {
			free(member);
			return NULL;
		}
		member->config.primaries = member->primaries->pointers;
		member->config.primary_count = member->primaries->count;
	} else if (!member->config.primary_count) {
		member->config.primaries = catalog->config->zone.primaries;
		member->config.primary_count = catalog->config->zone.primary_count;
	}
	return member;
}

void member_free(struct member *member)
{
	if (!member)
		return;
	primaries_unref(member->primaries);
	free(member);
}

void member_bury(struct agent *agent, struct member *member)
{
	if (!member)
		return;
	member->next = agent->removed_members;
	agent->removed_members = member;
}

void members_free_buried(struct agent *agent)
{
	while (agent->removed_members) {
		struct member *next = agent->removed_members->next;

		member_free(agent->removed_members);
		agent->removed_members = next;
	}
}

void member_forget_primaries(struct agent_catalog *catalog)
{
	primaries_unref(catalog->made);
	catalog->made = NULL;
}

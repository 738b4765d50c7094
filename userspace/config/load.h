/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parts of config_load share. */
#ifndef PEREGRINE_CONFIG_LOAD_H
#define PEREGRINE_CONFIG_LOAD_H

#include "config/config.h"
#include "config/document.h"
#include "config/schema.h"

/* Something that must be unlike its neighbours, and may be looked up. */
struct load_item {
	const void *id;
	size_t id_length;
	const char *text; /* for messages */
	const yaml_node_t *node;
	void *object;
};

struct load {
	struct document document;
	const struct raw_config *raw;
	struct config *config;
	bool no_memory;
	struct load_item *keys; /* sorted: load_find */
	size_t key_count;
	struct load_item *tls;
	size_t tls_count;
	struct load_item *primaries;
	size_t primary_count;
	struct load_item *templates;
	size_t template_count;
	struct load_item *catalogs; /* those that are produced here */
	size_t catalog_count;
	struct load_item *secondaries;
	size_t secondary_count;
};

/* Sections, in load_sections.c: server, fast-path, fallback, metrics; in load_limits.c: rate-limit, cookies. */
void load_server(struct load *load);
void load_fast_path(struct load *load);
void load_fallback(struct load *load);
void load_metrics(struct load *load);
void load_rate_limit(struct load *load);
void load_cookies(struct load *load);

/* Lists: keys, primaries, templates, catalogs and zones; each refers to those before it. In
 * load_templates.c and load_zones.c. */
void load_keys(struct load *load);
void load_primaries(struct load *load);
void load_templates(struct load *load);
void load_zones(struct load *load);

/* In load_reach.c: tls, after which primaries refer to its entries; and how a server is reached. */
void load_tls(struct load *load);
void load_reach(struct load *load, const struct raw_reach *raw, const yaml_node_t *mapping, struct config_reach *reach);
/* max-records and max-size. */
void load_reach_limits(struct load *load, const char *records, const char *size, const yaml_node_t *mapping,
                       struct config_reach *reach);
#define LOAD_PORT 53
#define LOAD_TLS_PORT 853
/* A list of addresses, no two alike, each with `port` unless it has one of its own; `what` is one of them in messages.
 */
struct load_address_list {
	const yaml_node_t *mapping;
	const char *key, *what;
	char *const *texts;
	size_t count;
	uint16_t port;
};
void load_addresses(struct load *load, const struct load_address_list *list, struct sockaddr_storage **addresses,
                    size_t *address_count);
/* Addresses to send from: one of each family at most. */
void load_source(struct load *load, char *const *texts, size_t count, const yaml_node_t *mapping,
                 struct sockaddr_storage source[2]);
/* The key that a setting names, or NULL after noting that there is none. */
const knot_tsig_key_t *load_key_named(struct load *load, const char *text, const yaml_node_t *node);

/* Notes that a list or value is missing or empty; an empty value was reported before. */
void load_need(struct load *load, const yaml_node_t *mapping, const char *key, const char *way_out);

/* The settings of one zone, template or catalog, where they are given: `zone` holds already what it has otherwise. */
void load_zone_settings(struct load *load, const struct raw_zone *raw, const yaml_node_t *mapping,
                        struct config_zone *zone);
/* The catalogs that are made here, so that zones and templates may refer to them. */
void load_produced(struct load *load);
/* `catalog` and `group` of a zone; what a catalog says of its members. */
void load_membership(struct load *load, const struct raw_zone *raw, const yaml_node_t *mapping,
                     struct config_zone *zone);
void load_catalog(struct load *load, const struct raw_zone *raw, const yaml_node_t *mapping,
                  struct config_catalog *catalog);
/* The settings that a `template` gives; without that setting, or one of that name, those of the template `default`, or
 * all at their defaults. */
const struct config_zone *load_template(struct load *load, const char *name, const yaml_node_t *mapping);

yaml_node_t *load_list(struct load *load, const char *name);
/* What of a zone's verification stands in a mapping, in load_verify.c. What does not stands as it is in `verify`, which
 * begins with load_verify_default. */
extern const struct config_verify load_verify_default;
void load_verify(struct load *load, const struct raw_verify *raw, const yaml_node_t *mapping,
                 struct config_verify *verify);
/* Transfers out, in load_outgoing.c: secondaries; and of a zone's mapping `allow-transfer` and `notify`, which refer to
 * keys and secondaries: what is not given stays as it is in `outgoing`. */
void load_secondaries(struct load *load);
/* Where transfers are given over TLS: settings of the section server. */
void load_tls_listen(struct load *load);
void load_outgoing(struct load *load, const yaml_node_t *mapping, struct config_outgoing *outgoing);
/* A list of who may do something, by address, key, or both; what is not given stays as it is. */
void load_access_list(struct load *load, const yaml_node_t *mapping, const char *key, struct config_access **allow,
                      size_t *allow_count);
/* What the store keeps of a zone, in load_store.c. */
void load_journal_size(struct load *load, const char *text, const yaml_node_t *mapping, uint64_t *size);

/* Bounds on a zone's clocks, in load_clocks.c: what is not given stays as it is in `clocks`. */
void load_clocks(struct load *load, const struct raw_clocks *raw, const yaml_node_t *mapping,
                 struct config_clocks *clocks);

/* A value that is there and was not reported by the check of the shape. */
static inline bool load_given(const char *value)
{
	return value && *value;
}

/* calloc and strdup that note shortage; a count of 0 gives NULL. */
void *load_array(struct load *load, size_t count, size_t size);
char *load_text(struct load *load, const char *text);
/* Memory for what the settings of zones point to, given back with the configuration. */
void *load_setting(struct load *load, size_t size);

/* A section by its name, or NULL; a number in a section, or `otherwise` where none is given. */
yaml_node_t *load_section(struct load *load, const char *name);
uint64_t load_number(struct load *load, const yaml_node_t *mapping, const char *key, const char *text, uint64_t least,
                     uint64_t most, uint64_t otherwise);

/* Reads a secret from a file into `secret`, which is a string then. Returns NULL, or what is wrong. */
#define LOAD_SECRET_ROOM 4096
const char *load_secret_file(const char *file, char *secret, size_t room);

/* Notes "WHAT `VALUE`: WRONG" at a node when `wrong` is not NULL; returns whether all is well. */
bool load_judge(struct load *load, const yaml_node_t *node, const char *what, const char *value, const char *wrong);

/* Sorts items by id, and notes an error for each that is there twice. */
void load_sort(struct load *load, struct load_item *items, size_t count, const char *what);
/* The same where duplicates are told of elsewhere. */
void load_sort_quietly(struct load_item *items, size_t count);
void *load_find(const struct load_item *items, size_t count, const void *id, size_t length);

#endif

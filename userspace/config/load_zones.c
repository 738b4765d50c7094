/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The lists that refer to each other: keys, primaries, zones and catalogs. */
#include "config/load.h"
#include "config/values.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

yaml_node_t *load_list(struct load *load, const char *name)
{
	return document_field(&load->document, document_root(&load->document), name);
}

void load_need(struct load *load, const yaml_node_t *mapping, const char *key, const char *way_out)
{
	const yaml_node_t *node = document_field(&load->document, mapping, key);
	if (node)
		document_error(&load->document, node, "%s is empty; %s", key, way_out);
	else
		document_missing(&load->document, mapping, "no %s here; %s", key, way_out);
}

/* --- keys --- */

static const char *judge_algorithm(const char *text)
{
	static const char *const known[] = {"hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"};
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strcasecmp(text, known[i]) == 0)
			return NULL;
	if (strcasecmp(text, "hmac-md5") == 0 || strcasecmp(text, "hmac-md5.sig-alg.reg.int") == 0)
		return "MD5 is broken, and RFC 8945 forbids to use it; make a hmac-sha256 key with the primary's "
		       "operator";
	return "no such algorithm; write hmac-sha256, or hmac-sha1, -sha224, -sha384, -sha512";
}

const char *load_secret_file(const char *file, char *secret, size_t room)
{
	static _Thread_local char message[160];
	struct stat status;
	const char *wrong = value_path(file, 4095);
	if (wrong)
		return wrong;
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold up the start */
	if (fd < 0) {
		snprintf(message, sizeof(message), "cannot open: %s; write the secret there with mode 600",
		         strerror(errno));
		return message;
	}
	ssize_t got = -1;
	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
		wrong = "not a regular file; name a file that holds the secret alone";
	} else if (status.st_mode & S_IROTH) {
		wrong = "can be read by every user of this host; run chmod 600 on it, and consider a new secret";
	} else if ((got = read(fd, secret, room - 1)) < 0) {
		snprintf(message, sizeof(message), "cannot read: %s", strerror(errno));
		wrong = message;
	} else if ((size_t)got == room - 1) {
		wrong = "too large for a secret; name a file that holds the secret and nothing else";
	}
	close(fd);
	if (wrong)
		return wrong;
	secret[got] = 0;
	secret[strcspn(secret, " \t\r\n")] = 0; /* the line's end, mostly */
	return *secret ? NULL : "is empty; write the secret there";
}

/* Returns the secret in base64, or NULL after noting why there is none. */
static const char *find_secret(struct load *load, const struct raw_key *raw, const yaml_node_t *mapping, char *buffer)
{
	const yaml_node_t *inline_node = document_field(&load->document, mapping, "secret");
	const yaml_node_t *file_node = document_field(&load->document, mapping, "secret-file");
	if (inline_node && file_node) {
		document_error(&load->document, file_node, "both secret and secret-file; keep one");
		return NULL;
	}
	if (!inline_node && !file_node) {
		document_missing(&load->document, mapping,
		                 "key %.255s has no secret; write secret, or secret-file with a path",
		                 load_given(raw->name) ? raw->name : "without a name");
		return NULL;
	}
	if (load_given(raw->secret))
		return raw->secret;
	if (!load_given(raw->secret_file) || !load_judge(load, file_node, "secret-file", raw->secret_file,
	                                                 load_secret_file(raw->secret_file, buffer, LOAD_SECRET_ROOM)))
		return NULL;
	return buffer;
}

static void load_key(struct load *load, const struct raw_key *raw, const yaml_node_t *mapping, knot_tsig_key_t *key)
{
	char buffer[LOAD_SECRET_ROOM];
	knot_dname_t *name = NULL;
	struct document *document = &load->document;
	const char *algorithm = NULL;
	if (!load_given(raw->name))
		load_need(load, mapping, "name", "write the name that the key has at the primary");
	else
		load_judge(load, document_field(document, mapping, "name"), "key", raw->name,
		           value_name(raw->name, &name));
	if (!load_given(raw->algorithm))
		load_need(load, mapping, "algorithm", "write the key's algorithm, like hmac-sha256");
	else if (load_judge(load, document_field(document, mapping, "algorithm"), "algorithm", raw->algorithm,
	                    judge_algorithm(raw->algorithm)))
		algorithm = raw->algorithm;
	const char *secret = find_secret(load, raw, mapping, buffer);
	if (secret) {
		/* Tried with a good name and algorithm, so that a failure is the secret's. */
		const yaml_node_t *node = document_field(document, mapping, "secret");
		int result = knot_tsig_key_init(key, algorithm ? algorithm : "hmac-sha256", ".", secret);
		if (result == KNOT_ENOMEM)
			load->no_memory = true;
		else if (result != KNOT_EOK || key->secret.size == 0)
			document_error(document, node ? node : document_field(document, mapping, "secret-file"),
			               "the secret of key %.255s is not base64; copy it from the primary's "
			               "configuration as it stands there",
			               load_given(raw->name) ? raw->name : "without a name");
	}
	explicit_bzero(buffer, sizeof(buffer));
	knot_dname_free(key->name, NULL);
	key->name = name;
}

void load_keys(struct load *load)
{
	const struct raw_config *raw = load->raw;
	const yaml_node_t *list = load_list(load, "keys");
	struct config *config = load->config;
	config->keys = load_array(load, raw->keys_count, sizeof(*config->keys));
	load->keys = load_array(load, raw->keys_count, sizeof(*load->keys));
	for (size_t i = 0; config->keys && load->keys && i < raw->keys_count; i++) {
		const yaml_node_t *mapping = document_entry(&load->document, list, i);
		knot_tsig_key_t *key = &config->keys[config->key_count++];
		load_key(load, &raw->keys[i], mapping, key);
		if (key->name)
			load->keys[load->key_count++] =
			    (struct load_item){key->name, knot_dname_size(key->name), raw->keys[i].name,
			                       document_field(&load->document, mapping, "name"), key};
	}
	load_sort(load, load->keys, load->key_count, "key");
}

const knot_tsig_key_t *load_key_named(struct load *load, const char *text, const yaml_node_t *node)
{
	knot_dname_t *name = NULL;
	if (!load_judge(load, node, "key", text, value_name(text, &name)))
		return NULL;
	const knot_tsig_key_t *key = load_find(load->keys, load->key_count, name, knot_dname_size(name));
	if (!key)
		load_judge(load, node, "key", text, "no such key; add it to `keys`, or mend the name");
	knot_dname_free(name, NULL);
	return key;
}

/* --- primaries --- */

static void load_primary(struct load *load, const struct raw_primary *raw, const yaml_node_t *mapping,
                         struct config_primary *primary)
{
	if (!load_given(raw->name))
		load_need(load, mapping, "name", "write the name by which zones refer to this primary");
	else
		primary->name = load_text(load, raw->name);
	load_reach(load, &raw->reach, mapping, &primary->reach);
	load_reach_limits(load, raw->max_records, raw->max_size, mapping, &primary->reach);
	if (raw->addresses_count == 0)
		load_need(load, mapping, "addresses", "write the primary's addresses, like [ 198.51.100.1 ]");
	load_addresses(load,
	               &(struct load_address_list){mapping, "addresses", "address", raw->addresses,
	                                           raw->addresses_count,
	                                           primary->reach.tls ? LOAD_TLS_PORT : LOAD_PORT},
	               &primary->addresses, &primary->address_count);
	primary->rate = (unsigned)load_number(load, mapping, "rate", raw->rate, 1, 100000, 0);
	if (load_given(raw->key))
		primary->key = load_key_named(load, raw->key, document_field(&load->document, mapping, "key"));
}

void load_primaries(struct load *load)
{
	const struct raw_config *raw = load->raw;
	const yaml_node_t *list = load_list(load, "primaries");
	struct config *config = load->config;
	config->primaries = load_array(load, raw->primaries_count, sizeof(*config->primaries));
	load->primaries = load_array(load, raw->primaries_count, sizeof(*load->primaries));
	for (size_t i = 0; config->primaries && load->primaries && i < raw->primaries_count; i++) {
		const yaml_node_t *mapping = document_entry(&load->document, list, i);
		struct config_primary *primary = &config->primaries[config->primary_count++];
		load_primary(load, &raw->primaries[i], mapping, primary);
		if (primary->name)
			load->primaries[load->primary_count++] =
			    (struct load_item){primary->name, strlen(primary->name), primary->name,
			                       document_field(&load->document, mapping, "name"), primary};
	}
	load_sort(load, load->primaries, load->primary_count, "primary");
}

/* --- zones and catalogs --- */

static void load_references(struct load *load, const struct raw_zone *raw, const yaml_node_t *mapping,
                            struct config_zone *zone)
{
	const yaml_node_t *list = document_field(&load->document, mapping, "primaries");
	if (!list)
		return;
	if (raw->primaries_count == 0)
		load_need(load, mapping, "primaries", "name at least one of the top-level `primaries`");
	zone->primary_count = 0;
	zone->primaries = load_setting(load, raw->primaries_count * sizeof(*zone->primaries));
	struct load_item *items = load_array(load, raw->primaries_count, sizeof(*items));
	for (size_t i = 0; zone->primaries && items && i < raw->primaries_count; i++) {
		const yaml_node_t *node = document_entry(&load->document, list, i);
		const char *text = raw->primaries[i];
		if (!load_given(text))
			continue;
		struct config_primary *primary = load_find(load->primaries, load->primary_count, text, strlen(text));
		if (!load_judge(load, node, "primary", text,
		                primary ? NULL : "no such primary; add it to `primaries`, or mend the name"))
			continue;
		items[zone->primary_count] = (struct load_item){text, strlen(text), text, node, NULL};
		zone->primaries[zone->primary_count++] = primary;
	}
	load_sort(load, items, zone->primary_count, "primary");
	free(items);
}

void load_zone_settings(struct load *load, const struct raw_zone *raw, const yaml_node_t *mapping,
                        struct config_zone *zone)
{
	load_references(load, raw, mapping, zone);
	load_verify(load, &raw->verify, mapping, &zone->verify);
	load_outgoing(load, mapping, &zone->outgoing);
	load_clocks(load, &raw->clocks, mapping, &zone->clocks);
	load_access_list(load, mapping, "allow-notify", &zone->allow_notify, &zone->allow_notify_count);
	load_journal_size(load, raw->journal_size, mapping, &zone->journal_size);
	load_membership(load, raw, mapping, zone);
}

/* A zone or catalog, its name and its settings. */
static void load_zone(struct load *load, const struct raw_zone *raw, const yaml_node_t *mapping,
                      const struct config_zone *base, struct config_zone *zone)
{
	knot_dname_t *known = zone->apex; /* of a catalog that is made here */
	*zone = *base;
	zone->apex = known;
	if (!load_given(raw->name)) {
		load_need(load, mapping, "name", "write the zone's name, like example.org");
	} else {
		if (!known)
			load_judge(load, document_field(&load->document, mapping, "name"), "zone", raw->name,
			           value_name(raw->name, &zone->apex));
		zone->name = load_text(load, raw->name);
	}
	load_zone_settings(load, raw, mapping, zone);
}

static void need_primaries(struct load *load, const yaml_node_t *mapping, const struct config_zone *zone)
{
	if (!zone->primary_count && !document_field(&load->document, mapping, "primaries"))
		load_need(load, mapping, "primaries", "name at least one of the top-level `primaries`");
}

static void note_apex(struct load *load, const struct config_zone *zone, const yaml_node_t *mapping,
                      struct load_item *items, size_t *count)
{
	if (zone->apex)
		items[(*count)++] = (struct load_item){zone->apex, knot_dname_size(zone->apex), zone->name,
		                                       document_field(&load->document, mapping, "name"), NULL};
}

static int compare_apex(const void *a, const void *b)
{
	const struct config_zone *left = a, *right = b;
	return knot_dname_cmp(left->apex, right->apex);
}

static void load_catalog_list(struct load *load, struct load_item *items, size_t *item_count)
{
	const struct raw_config *raw = load->raw;
	const yaml_node_t *list = load_list(load, "catalogs");
	for (size_t i = 0; i < raw->catalogs_count; i++) {
		const yaml_node_t *mapping = document_entry(&load->document, list, i);
		struct config_catalog *catalog = &load->config->catalogs[i];
		load_catalog(load, &raw->catalogs[i], mapping, catalog);
		load_zone(load, &raw->catalogs[i], mapping, load_template(load, NULL, mapping), &catalog->zone);
		catalog->zone.catalog = NULL;
		if (catalog->produce) {
			catalog->zone.primary_count = 0;
			/* Nobody else has made it. */
			catalog->zone.verify = (struct config_verify){.zonemd = CONFIG_ZONEMD_OFF};
		} else {
			need_primaries(load, mapping, &catalog->zone);
		}
		note_apex(load, &catalog->zone, mapping, items, item_count);
	}
}

static void load_zone_list(struct load *load, struct load_item *items, size_t *item_count)
{
	const struct raw_config *raw = load->raw;
	const yaml_node_t *list = load_list(load, "zones");
	for (size_t i = 0; i < raw->zones_count; i++) {
		const yaml_node_t *mapping = document_entry(&load->document, list, i);
		struct config_zone *zone = &load->config->zones[i];
		load_zone(load, &raw->zones[i], mapping, load_template(load, raw->zones[i].template, mapping), zone);
		load->config->zone_count++;
		need_primaries(load, mapping, zone);
		note_apex(load, zone, mapping, items, item_count);
	}
}

void load_zones(struct load *load)
{
	const struct raw_config *raw = load->raw;
	struct config *config = load->config;
	size_t total = (size_t)raw->zones_count + raw->catalogs_count, item_count = 0;
	struct load_item *items = load_array(load, total, sizeof(*items));
	config->zones = load_array(load, raw->zones_count, sizeof(*config->zones));
	if (!load->no_memory) {
		load_catalog_list(load, items, &item_count);
		load_zone_list(load, items, &item_count);
		load_sort(load, items, item_count, "zone");
	}
	free(items);
	if (item_count == total && config->zone_count)
		qsort(config->zones, config->zone_count, sizeof(*config->zones), compare_apex);
}

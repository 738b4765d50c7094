/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Transfers out: the secondaries that are notified, and who may have a zone. */
#include "config/load.h"
#include "config/values.h"
#include "tls/tls_server.h"

#include <stdlib.h>
#include <string.h>

/* --- secondaries --- */

void load_secondaries(struct load *load)
{
	const struct raw_config *raw = load->raw;
	struct document *document = &load->document;
	const yaml_node_t *list = document_field(document, document_root(document), "secondaries");
	struct config *config = load->config;

	config->secondaries = load_array(load, raw->secondaries_count, sizeof(*config->secondaries));
	load->secondaries = load_array(load, raw->secondaries_count, sizeof(*load->secondaries));
	for (size_t i = 0; config->secondaries && load->secondaries && i < raw->secondaries_count; i++) {
		const struct raw_secondary *from = &raw->secondaries[i];
		const yaml_node_t *mapping = document_entry(document, list, i);
		struct config_secondary *secondary = &config->secondaries[config->secondary_count++];

		if (from->addresses_count == 0)
			load_need(load, mapping, "addresses", "write the secondary's addresses, like [ 198.51.100.7 ]");
		load_addresses(load,
		               &(struct load_address_list){mapping, "addresses", "address", from->addresses,
		                                           from->addresses_count, LOAD_PORT},
		               &secondary->addresses, &secondary->address_count);
		load_source(load, from->source, from->source_count, mapping, secondary->source);
		if (load_given(from->key))
			secondary->key = load_key_named(load, from->key, document_field(document, mapping, "key"));
		if (!load_given(from->name)) {
			load_need(load, mapping, "name", "write the name by which zones refer to this secondary");
			continue;
		}
		secondary->name = load_text(load, from->name);
		if (secondary->name)
			load->secondaries[load->secondary_count++] =
			    (struct load_item){secondary->name, strlen(secondary->name), secondary->name,
			                       document_field(document, mapping, "name"), secondary};
	}
	load_sort(load, load->secondaries, load->secondary_count, "secondary");
}

/* --- TLS --- */

static void load_identity(struct load *load, const yaml_node_t *mapping)
{
	const struct raw_server *raw = &load->raw->server;
	struct document *document = &load->document;
	const yaml_node_t *certificate = document_field(document, mapping, "certificate");
	const yaml_node_t *key = document_field(document, mapping, "private-key");
	char why[256];

	if (!certificate || !key) {
		document_missing(document, mapping,
		                 "tls-listen without %s; write the paths of certificate and private-key (PEM)",
		                 certificate ? "private-key" : "certificate");
		return;
	}
	if (!load_given(raw->certificate) || !load_given(raw->private_key) ||
	    !load_judge(load, certificate, "certificate", raw->certificate, value_path(raw->certificate, 4095)) ||
	    !load_judge(load, key, "private-key", raw->private_key, value_path(raw->private_key, 4095)))
		return;
	load->config->tls_identity = tls_identity_new(raw->certificate, raw->private_key, why, sizeof(why));
	if (!load->config->tls_identity)
		document_error(
		    document, certificate,
		    "certificate `%.100s` with private-key `%.100s` cannot be used: %s; both have to be PEM, "
		    "readable for this user, and belong together",
		    raw->certificate, raw->private_key, why);
}

void load_tls_listen(struct load *load)
{
	const struct raw_server *raw = &load->raw->server;
	const yaml_node_t *mapping = load_section(load, "server");
	struct config *config = load->config;

	if (!raw->tls_listen_count)
		return;
	load_addresses(load,
	               &(struct load_address_list){mapping, "tls-listen", "tls-listen", raw->tls_listen,
	                                           raw->tls_listen_count, LOAD_TLS_PORT},
	               &config->tls_listen, &config->tls_listen_count);
	load_identity(load, mapping);
}

/* --- of a zone --- */

static bool add_prefix(struct load *load, const char *key, const yaml_node_t *node, struct config_access *access)
{
	const char *text = document_scalar(node);

	if (!text) {
		document_error(&load->document, node, "an entry of addresses must be an address or a prefix");
		return false;
	}
	return load_judge(load, node, key, text, value_prefix(text, &access->prefixes[access->prefix_count])) &&
	       ++access->prefix_count;
}

/* One that has addresses, a key, or both. */
static void load_pair(struct load *load, const char *name, const yaml_node_t *mapping, struct config_access *access)
{
	struct document *document = &load->document;
	const yaml_node_t *addresses = document_field(document, mapping, "addresses");
	const yaml_node_t *key = document_field(document, mapping, "key"), *node;
	size_t known = (addresses != NULL) + (key != NULL);

	if ((size_t)(mapping->data.mapping.pairs.top - mapping->data.mapping.pairs.start) != known || !known) {
		document_error(document, mapping,
		               "an entry of %s has `addresses`, `key`, or both, each once, and nothing else", name);
		return;
	}
	if (key && !document_scalar(key))
		document_error(document, key, "key must be the name of one of `keys`");
	else if (key)
		access->key = load_key_named(load, document_scalar(key), key);
	if (!addresses)
		return;
	if (addresses->type != YAML_SEQUENCE_NODE || !document_entry(document, addresses, 0)) {
		document_error(document, addresses, "addresses must be a list, like [ 192.0.2.7, 198.51.100.0/24 ]");
		return;
	}
	access->prefixes =
	    load_setting(load, (size_t)(addresses->data.sequence.items.top - addresses->data.sequence.items.start) *
	                           sizeof(*access->prefixes));
	for (size_t i = 0; access->prefixes && (node = document_entry(document, addresses, i)); i++)
		add_prefix(load, name, node, access);
}

static void load_access(struct load *load, const char *key, const yaml_node_t *node, struct config_access *access)
{
	if (node->type == YAML_MAPPING_NODE) {
		load_pair(load, key, node, access);
		return;
	}
	access->prefixes = load_setting(load, sizeof(*access->prefixes));
	if (access->prefixes)
		add_prefix(load, key, node, access);
}

/* The list behind a key and how long it is; a single value is none. */
static const yaml_node_t *list_at(struct load *load, const yaml_node_t *mapping, const char *key, size_t *count)
{
	const yaml_node_t *list = document_field(&load->document, mapping, key);

	*count = 0;
	if (!list)
		return NULL;
	if (list->type != YAML_SEQUENCE_NODE) {
		document_error(&load->document, list, "%s must be a list, like [ one, two ]", key);
		return NULL;
	}
	*count = (size_t)(list->data.sequence.items.top - list->data.sequence.items.start);
	return list;
}

static void load_notify(struct load *load, const yaml_node_t *mapping, struct config_outgoing *outgoing)
{
	size_t count;
	const yaml_node_t *list = list_at(load, mapping, "notify", &count);

	if (!list)
		return;
	outgoing->notify_count = 0;
	outgoing->notify = load_setting(load, count * sizeof(const struct config_secondary *));
	for (size_t i = 0; outgoing->notify && i < count; i++) {
		const yaml_node_t *node = document_entry(&load->document, list, i);
		const char *text = document_scalar(node);
		const struct config_secondary *secondary =
		    text ? load_find(load->secondaries, load->secondary_count, text, strlen(text)) : NULL;

		if (!text)
			document_error(&load->document, node, "an entry of notify must be the name of a secondary");
		else if (load_judge(load, node, "secondary", text,
		                    secondary ? NULL : "no such secondary; add it to `secondaries`, or mend the name"))
			outgoing->notify[outgoing->notify_count++] = secondary;
	}
}

void load_access_list(struct load *load, const yaml_node_t *mapping, const char *key, struct config_access **allow,
                      size_t *allow_count)
{
	size_t count;
	const yaml_node_t *list = list_at(load, mapping, key, &count);

	if (!list)
		return;
	*allow_count = 0;
	*allow = load_setting(load, count * sizeof(**allow));
	for (size_t i = 0; *allow && i < count; i++)
		load_access(load, key, document_entry(&load->document, list, i), &(*allow)[(*allow_count)++]);
}

void load_outgoing(struct load *load, const yaml_node_t *mapping, struct config_outgoing *outgoing)
{
	load_access_list(load, mapping, "allow-transfer", &outgoing->allow, &outgoing->allow_count);
	load_notify(load, mapping, outgoing);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How servers are reached: addresses, the list tls, and of a primary source, tls and the limits of its transfers. */
#include "config/load.h"
#include "config/values.h"
#include "tls/tls.h"

#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define PINS_MOST 16
/* What the transfer's own bounds allow at most. */
#define RECORDS_MOST 1000000000
#define SIZE_LEAST ((uint64_t)1 << 20)
#define SIZE_MOST ((uint64_t)1 << 40)

/* ---- tls ---- */

/* A path, or NULL when none is given or it is no good. */
static const char *path_of(struct load *load, const yaml_node_t *mapping, const char *key, const char *text)
{
	if (!load_given(text) ||
	    !load_judge(load, document_field(&load->document, mapping, key), key, text, value_path(text, 4095)))
		return NULL;
	return text;
}

static const char *judge_pin(const char *text, uint8_t pin[TLS_PIN_SIZE])
{
	const gnutls_datum_t encoded = {.data = (unsigned char *)text, .size = (unsigned)strlen(text)};
	gnutls_datum_t decoded;
	bool good = false;
	if (gnutls_base64_decode2(&encoded, &decoded) >= 0) {
		good = decoded.size == TLS_PIN_SIZE;
		if (good)
			memcpy(pin, decoded.data, TLS_PIN_SIZE);
		gnutls_free(decoded.data);
	}
	return good ? NULL
	            : "not a SHA-256 of a public key in base64, which is 44 characters; a pin that does not match is "
	              "answered by the log with the one that does";
}

/* Reads the pins; returns how many there are. */
static size_t load_pins(struct load *load, const struct raw_tls *raw, const yaml_node_t *mapping,
                        uint8_t pins[][TLS_PIN_SIZE])
{
	const yaml_node_t *list = document_field(&load->document, mapping, "pins");
	size_t count = 0;
	if (raw->pins_count > PINS_MOST) {
		document_error(&load->document, list, "more than %d pins; keep those that are in use", PINS_MOST);
		return 0;
	}
	for (size_t i = 0; i < raw->pins_count; i++)
		if (load_given(raw->pins[i]) && load_judge(load, document_entry(&load->document, list, i), "pin",
		                                           raw->pins[i], judge_pin(raw->pins[i], pins[count])))
			count++;
	return count;
}

static const char *judge_server_name(const char *text)
{
	knot_dname_t *name = NULL;
	const char *wrong = value_name(text, &name);
	knot_dname_free(name, NULL);
	return wrong;
}

static const char *judge_alpn(const char *text, bool *optional)
{
	*optional = strcmp(text, "optional") == 0;
	return *optional || strcmp(text, "required") == 0
	           ? NULL
	           : "neither required nor optional; write optional for a server that chooses no ALPN, as NSD";
}

/* Where the setting to blame stands. */
static const yaml_node_t *blamed(struct load *load, const yaml_node_t *mapping, enum tls_part part)
{
	static const char *const keys[] = {[TLS_PART_NONE] = "name",
	                                   [TLS_PART_CA_FILE] = "ca-file",
	                                   [TLS_PART_CERTIFICATE] = "certificate",
	                                   [TLS_PART_PRIVATE_KEY] = "private-key"};
	return document_field(&load->document, mapping, keys[part]);
}

static struct tls_profile *load_profile(struct load *load, const struct raw_tls *raw, const yaml_node_t *mapping)
{
	struct document *document = &load->document;
	uint8_t pins[PINS_MOST][TLS_PIN_SIZE];
	char why[TLS_WHY];
	enum tls_part part;
	struct tls_settings settings = {.name = raw->name, .pins = pins};
	size_t errors = document->error_count;
	settings.pin_count = load_pins(load, raw, mapping, pins);
	settings.ca_file = path_of(load, mapping, "ca-file", raw->ca_file);
	settings.certificate = path_of(load, mapping, "certificate", raw->certificate);
	settings.private_key = path_of(load, mapping, "private-key", raw->private_key);
	if (load_given(raw->server_name) &&
	    load_judge(load, document_field(document, mapping, "server-name"), "server-name", raw->server_name,
	               judge_server_name(raw->server_name)))
		settings.server_name = raw->server_name;
	if (load_given(raw->alpn))
		load_judge(load, document_field(document, mapping, "alpn"), "alpn", raw->alpn,
		           judge_alpn(raw->alpn, &settings.alpn_optional));
	if (!raw->certificate != !raw->private_key)
		document_error(document,
		               document_field(document, mapping, raw->certificate ? "certificate" : "private-key"),
		               "certificate and private-key belong together; write %s too",
		               raw->certificate ? "private-key" : "certificate");
	if (document->error_count > errors || !load_given(raw->name))
		return NULL;
	struct tls_profile *profile = tls_profile_new(&settings, &part, why);
	if (!profile)
		document_error(document, blamed(load, mapping, part), "tls %.60s: %s%s%s", raw->name,
		               part == TLS_PART_CA_FILE       ? raw->ca_file
		               : part == TLS_PART_CERTIFICATE ? raw->certificate
		               : part == TLS_PART_PRIVATE_KEY ? raw->private_key
		                                              : "",
		               part == TLS_PART_NONE ? "" : ": ", why);
	return profile;
}

void load_tls(struct load *load)
{
	const struct raw_config *raw = load->raw;
	struct config *config = load->config;
	const yaml_node_t *list = load_section(load, "tls");
	config->tls = load_array(load, raw->tls_count, sizeof(*config->tls));
	load->tls = load_array(load, raw->tls_count, sizeof(*load->tls));
	for (size_t i = 0; config->tls && load->tls && i < raw->tls_count; i++) {
		const yaml_node_t *mapping = document_entry(&load->document, list, i);
		const char *name = raw->tls[i].name;
		struct tls_profile *profile = load_profile(load, &raw->tls[i], mapping);
		if (!load_given(name))
			load_need(load, mapping, "name", "write the name by which primaries refer to it");
		if (profile)
			config->tls[config->tls_count++] = profile;
		/* One with an error too, so that nobody is told that it is not there. */
		if (load_given(name))
			load->tls[load->tls_count++] = (struct load_item){
			    name, strlen(name), name, document_field(&load->document, mapping, "name"), profile};
	}
	load_sort(load, load->tls, load->tls_count, "tls");
}

/* ---- addresses ---- */

void load_addresses(struct load *load, const struct load_address_list *list, struct sockaddr_storage **addresses,
                    size_t *address_count)
{
	const yaml_node_t *node = document_field(&load->document, list->mapping, list->key);
	struct load_item *items = load_array(load, list->count, sizeof(*items));

	*addresses = load_array(load, list->count, sizeof(**addresses));
	for (size_t i = 0; *addresses && items && i < list->count; i++) {
		struct sockaddr_storage *address = &(*addresses)[*address_count];
		const yaml_node_t *entry = document_entry(&load->document, node, i);
		const char *text = list->texts[i];

		if (load_given(text) &&
		    load_judge(load, entry, list->what, text, value_address_port(text, list->port, address)))
			items[(*address_count)++] = (struct load_item){address, sizeof(*address), text, entry, NULL};
	}
	load_sort(load, items, *address_count, list->what);
	free(items);
}

static const char *judge_source(const char *text, struct sockaddr_storage *address)
{
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
	const struct sockaddr_in *four = (const struct sockaddr_in *)address;

	if (strchr(text, '@'))
		return "a port is not taken here; write the address alone";
	const char *wrong = value_address(text, 0, address);
	if (wrong)
		return wrong;
	if ((address->ss_family == AF_INET && four->sin_addr.s_addr == 0) ||
	    (address->ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr)))
		return "stands for no address of this host; leave source out to have the kernel choose";
	return value_service_address(text, 0, address);
}

void load_source(struct load *load, char *const *texts, size_t count, const yaml_node_t *mapping,
                 struct sockaddr_storage source[2])
{
	const yaml_node_t *list = document_field(&load->document, mapping, "source");

	for (size_t i = 0; i < count; i++) {
		const yaml_node_t *node = document_entry(&load->document, list, i);
		struct sockaddr_storage address = {0}, *place;

		if (!load_given(texts[i]) ||
		    !load_judge(load, node, "source", texts[i], judge_source(texts[i], &address)))
			continue;
		place = &source[address.ss_family == AF_INET6];
		if (place->ss_family != AF_UNSPEC)
			document_error(&load->document, node, "a second %s source; keep one",
			               address.ss_family == AF_INET6 ? "IPv6" : "IPv4");
		*place = address;
	}
}

/* ---- of a primary ---- */

static bool is_listed(const struct load *load, const char *name)
{
	for (size_t i = 0; i < load->tls_count; i++)
		if (strcmp(load->tls[i].id, name) == 0)
			return true;
	return false;
}

void load_reach(struct load *load, const struct raw_reach *raw, const yaml_node_t *mapping, struct config_reach *reach)
{
	load_source(load, raw->source, raw->source_count, mapping, reach->source);
	if (!load_given(raw->tls))
		return;
	load_judge(load, document_field(&load->document, mapping, "tls"), "tls", raw->tls,
	           is_listed(load, raw->tls) ? NULL : "no such entry; add it to `tls`, or mend the name");
	reach->tls = load_find(load->tls, load->tls_count, raw->tls, strlen(raw->tls));
}

void load_reach_limits(struct load *load, const char *records, const char *size, const yaml_node_t *mapping,
                       struct config_reach *reach)
{
	reach->max_records = load_number(load, mapping, "max-records", records, 1, RECORDS_MOST, 0);
	if (load_given(size))
		load_judge(load, document_field(&load->document, mapping, "max-size"), "max-size", size,
		           value_size(size, SIZE_LEAST, SIZE_MOST, &reach->max_octets));
}

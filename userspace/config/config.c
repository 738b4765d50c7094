/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/config.h"
#include "config/load.h"
#include "tls/tls.h"
#include "tls/tls_server.h"

#include <arpa/inet.h>
#include <malloc.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* --- help for the parts --- */

void *load_array(struct load *load, size_t count, size_t size)
{
	if (count == 0)
		return NULL;
	void *array = calloc(count, size);
	if (!array)
		load->no_memory = true;
	return array;
}

char *load_text(struct load *load, const char *text)
{
	char *copy = strdup(text);
	if (!copy)
		load->no_memory = true;
	return copy;
}

/* One piece of it, in a list. */
struct config_memory {
	struct config_memory *next;
	max_align_t octets[];
};

void *load_setting(struct load *load, size_t size)
{
	struct config_memory *memory = calloc(1, sizeof(*memory) + size);

	if (!memory) {
		load->no_memory = true;
		return NULL;
	}
	memory->next = load->config->settings;
	load->config->settings = memory;
	return memory->octets;
}

bool load_judge(struct load *load, const yaml_node_t *node, const char *what, const char *value, const char *wrong)
{
	if (!wrong)
		return true;
	document_error(&load->document, node, "%s `%.100s`: %s", what, value, wrong);
	return false;
}

static int compare_id(const struct load_item *left, const struct load_item *right)
{
	size_t common = left->id_length < right->id_length ? left->id_length : right->id_length;
	int order = memcmp(left->id, right->id, common);
	if (order != 0 || left->id_length == right->id_length)
		return order;
	return left->id_length < right->id_length ? -1 : 1;
}

/* Equal ids in order of their lines, so that it is the later one that is complained of. Nodes stand in file order. */
static int compare_item(const void *a, const void *b)
{
	const struct load_item *left = a, *right = b;
	int order = compare_id(left, right);
	if (order != 0)
		return order;
	return left->node < right->node ? -1 : left->node > right->node;
}

static int compare_found(const void *a, const void *b)
{
	return compare_id(a, b);
}

void load_sort_quietly(struct load_item *items, size_t count)
{
	if (count)
		qsort(items, count, sizeof(*items), compare_item);
}

void load_sort(struct load *load, struct load_item *items, size_t count, const char *what)
{
	load_sort_quietly(items, count);
	for (size_t i = 1, first = 0; i < count; i++) {
		if (compare_id(&items[first], &items[i]) != 0)
			first = i;
		else
			document_error(&load->document, items[i].node,
			               "%s `%.255s` stands twice, first in line %zu; keep one", what, items[i].text,
			               document_line(items[first].node));
	}
}

void *load_find(const struct load_item *items, size_t count, const void *id, size_t length)
{
	struct load_item wanted = {.id = id, .id_length = length};
	struct load_item *found = count ? bsearch(&wanted, items, count, sizeof(*items), compare_found) : NULL;
	return found ? found->object : NULL;
}

/* --- loading --- */

/*
 * libcyaml makes a list longer by one entry at a time, which copies it each time where realloc cannot move pages. Large
 * blocks therefore grow by doubling.
 */
static void *cyaml_memory(void *context, void *block, size_t size)
{
	if (size == 0) {
		free(block);
		return NULL;
	}
	if (size <= 4096)
		return realloc(block, size);
	if (block && malloc_usable_size(block) >= size)
		return block;
	size_t room = 8192;
	while (room < size)
		room *= 2;
	return realloc(block, room);
}

struct cyaml_complaint {
	char text[256];
};

/* The shape was checked before, so libcyaml has nothing to complain of; if it does all the same, its words are told. */
static __attribute__((format(printf, 3, 0))) void note_complaint(cyaml_log_t level, void *context, const char *format,
                                                                 va_list arguments)
{
	struct cyaml_complaint *complaint = context;
	if (!complaint->text[0])
		vsnprintf(complaint->text, sizeof(complaint->text), format, arguments);
	complaint->text[strcspn(complaint->text, "\n")] = 0;
}

static struct raw_config *load_raw(struct load *load, const cyaml_config_t *settings)
{
	struct document *document = &load->document;
	struct cyaml_complaint *complaint = settings->log_ctx;
	char *mended = NULL;
	const char *text = document->text;
	size_t length = document->length;
	cyaml_data_t *raw = NULL;
	if (document->mended) {
		mended = document_text(document, &length);
		text = mended;
	}
	cyaml_err_t error = CYAML_ERR_OOM;
	if (text)
		error = cyaml_load_data((const uint8_t *)text, length, settings, &config_schema, &raw, NULL);
	free(mended);
	if (error == CYAML_OK && raw)
		return raw;
	document_error(document, NULL, "cannot be loaded: %s: %s", cyaml_strerror(error), complaint->text);
	return NULL;
}

static void load_all(struct load *load)
{
	load_server(load);
	load_fast_path(load);
	load_fallback(load);
	load_metrics(load);
	load_rate_limit(load);
	load_cookies(load);
	load_keys(load);
	load_tls(load);
	load_primaries(load);
	load_secondaries(load);
	load_tls_listen(load);
	load_produced(load);
	load_templates(load);
	load_zones(load);
	if (load->no_memory)
		document_error(&load->document, NULL, "out of memory; free some memory and try again");
	free(load->keys);
	free(load->tls);
	free(load->primaries);
	free(load->templates);
	free(load->catalogs);
	free(load->secondaries);
}

struct config *config_load(const char *path, FILE *errors)
{
	struct cyaml_complaint complaint = {""};
	const cyaml_config_t settings = {
	    .log_fn = note_complaint,
	    .log_ctx = &complaint,
	    .mem_fn = cyaml_memory,
	    .log_level = CYAML_LOG_ERROR,
	    .flags = CYAML_CFG_NO_ALIAS,
	};
	struct load load = {.config = calloc(1, sizeof(struct config))};
	if (!load.config) {
		fprintf(errors, "%s:1: out of memory; free some memory and try again\n", path);
		return NULL;
	}
	load.config->path = load_text(&load, path);
	if (document_read(&load.document, path) == 0) {
		document_check(&load.document, &config_schema);
		struct raw_config *raw = load_raw(&load, &settings);
		load.raw = raw;
		if (raw)
			load_all(&load);
		cyaml_free(&settings, &config_schema, raw, 0);
	}
	if (load.document.error_count) {
		document_write_errors(&load.document, errors);
		config_free(load.config);
		load.config = NULL;
	}
	document_free(&load.document);
	return load.config;
}

static void free_zone(struct config_zone *zone)
{
	free(zone->name);
	knot_dname_free(zone->apex, NULL);
}

static void free_settings(struct config *config)
{
	for (size_t i = 0; i < config->template_count; i++)
		free(config->templates[i].name);
	for (size_t i = 0; i < config->catalog_count; i++)
		free_zone(&config->catalogs[i].zone);
	for (size_t i = 0; i < config->zone_count; i++)
		free_zone(&config->zones[i]);
	free(config->templates);
	free(config->catalogs);
	free(config->zones);
	while (config->settings) {
		struct config_memory *next = config->settings->next;

		free(config->settings);
		config->settings = next;
	}
}

void config_free(struct config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->interface_count; i++)
		free(config->interfaces[i]);
	for (size_t i = 0; i < config->key_count; i++)
		knot_tsig_key_deinit(&config->keys[i]);
	for (size_t i = 0; i < config->primary_count; i++) {
		free(config->primaries[i].name);
		free(config->primaries[i].addresses);
	}
	for (size_t i = 0; i < config->tls_count; i++)
		tls_profile_unref(config->tls[i]);
	free_settings(config);
	for (size_t i = 0; i < config->secondary_count; i++) {
		free(config->secondaries[i].name);
		free(config->secondaries[i].addresses);
	}
	free(config->secondaries);
	free(config->tls_listen);
	tls_identity_unref(config->tls_identity);
	free(config->path);
	free(config->identity);
	free(config->listen);
	free(config->state_directory);
	free(config->run_directory);
	free(config->interfaces);
	free(config->pin_directory);
	free(config->keys);
	free(config->tls);
	free(config->primaries);
	free(config->metrics_listen);
	free(config->exempt);
	explicit_bzero(config->cookie_secret, sizeof(config->cookie_secret));
	free(config);
}

const knot_tsig_key_t *config_find_key(const struct config *config, const uint8_t *name)
{
	for (size_t i = 0; i < config->key_count; i++)
		if (knot_dname_is_equal(config->keys[i].name, name))
			return &config->keys[i];
	return NULL;
}

const struct sockaddr_storage *config_reach_source(const struct config_reach *reach,
                                                   const struct sockaddr_storage *address)
{
	const struct sockaddr_storage *source = &reach->source[address->ss_family == AF_INET6];

	return source->ss_family == AF_UNSPEC ? NULL : source;
}

void config_address_text(const struct sockaddr_storage *address, char *text)
{
	char host[INET6_ADDRSTRLEN] = "?";
	char scope[16] = "";
	uint16_t port;
	if (address->ss_family == AF_INET6) {
		const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
		inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof(host));
		if (six->sin6_scope_id)
			snprintf(scope, sizeof(scope), "%%%u", six->sin6_scope_id);
		port = ntohs(six->sin6_port);
	} else {
		const struct sockaddr_in *four = (const struct sockaddr_in *)address;
		inet_ntop(AF_INET, &four->sin_addr, host, sizeof(host));
		port = ntohs(four->sin_port);
	}
	snprintf(text, CONFIG_ADDRESS_TEXT, "%s%s@%u", host, scope, port);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sections that keep forged queries in bounds: rate-limit, cookies. */
#include "config/load.h"
#include "config/values.h"
#include "settings_shared.h"

#include <string.h>

#define DEFAULT_RATE 200
#define DEFAULT_SLIP 2

_Static_assert(CONFIG_COOKIE_SECRETS == PG_SECRETS, "the program takes as many secrets as can be configured");

void load_rate_limit(struct load *load)
{
	const struct raw_rate_limit *raw = &load->raw->rate_limit;
	const yaml_node_t *mapping = load_section(load, "rate-limit");
	const yaml_node_t *list = document_field(&load->document, mapping, "exempt");
	struct config *config = load->config;
	config->rate_limit = (unsigned)load_number(load, mapping, "responses-per-second", raw->responses_per_second, 0,
	                                           1000000, DEFAULT_RATE);
	config->rate_slip = (unsigned)load_number(load, mapping, "slip", raw->slip, 0, 100, DEFAULT_SLIP);
	if (raw->exempt_count > PG_EXEMPT_MAX) {
		document_error(&load->document, list, "exempt has more than %d prefixes; write fewer, shorter ones",
		               PG_EXEMPT_MAX);
		return;
	}
	config->exempt = load_array(load, raw->exempt_count, sizeof(*config->exempt));
	for (size_t i = 0; config->exempt && i < raw->exempt_count; i++)
		if (load_given(raw->exempt[i]) &&
		    load_judge(load, document_entry(&load->document, list, i), "exempt", raw->exempt[i],
		               value_prefix(raw->exempt[i], &config->exempt[config->exempt_count])))
			config->exempt_count++;
}

/* Takes up one secret, from the file itself or from another. Returns whether there is one. Its text is not repeated in
 * messages. */
static bool load_secret(struct load *load, const yaml_node_t *mapping, const char *key, const char *text,
                        const char *file_key, const char *file, uint8_t *out)
{
	struct document *document = &load->document;
	const yaml_node_t *node = document_field(document, mapping, key);
	const yaml_node_t *file_node = document_field(document, mapping, file_key);
	char buffer[LOAD_SECRET_ROOM];
	const char *wrong;
	if (node && file_node)
		document_error(document, file_node, "both %s and %s; keep one", key, file_key);
	if (!load_given(text)) {
		if (!load_given(file) ||
		    !load_judge(load, file_node, file_key, file, load_secret_file(file, buffer, sizeof(buffer))))
			return false;
		text = buffer;
		node = file_node;
	}
	wrong = value_secret(text, out, CONFIG_COOKIE_SECRET_SIZE);
	if (wrong)
		document_error(document, node, "%s: %s", key, wrong);
	explicit_bzero(buffer, sizeof(buffer));
	return !wrong;
}

void load_cookies(struct load *load)
{
	const struct raw_cookies *raw = &load->raw->cookies;
	const yaml_node_t *mapping = load_section(load, "cookies");
	const yaml_node_t *previous = document_field(&load->document, mapping, "previous");
	struct config *config = load->config;
	config->cookies = true;
	if (load_given(raw->enabled))
		load_judge(load, document_field(&load->document, mapping, "enabled"), "enabled", raw->enabled,
		           value_truth(raw->enabled, &config->cookies));
	if (load_secret(load, mapping, "secret", raw->secret, "secret-file", raw->secret_file,
	                config->cookie_secret[0]))
		config->cookie_secrets = 1;
	if (!load_secret(load, mapping, "previous", raw->previous, "previous-file", raw->previous_file,
	                 config->cookie_secret[1]))
		return;
	if (!raw->secret && !raw->secret_file)
		document_error(&load->document,
		               previous ? previous : document_field(&load->document, mapping, "previous-file"),
		               "a previous secret without a present one; write secret, or secret-file with a path");
	if (config->cookie_secrets)
		config->cookie_secrets = 2;
}

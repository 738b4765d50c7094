/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sections of single settings: server, fast-path, fallback, metrics. */
#include "config/load.h"
#include "config/values.h"
#include "image_shared.h"
#include "settings_shared.h"

#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define DEFAULT_STATE "/var/lib/peregrine"
#define DEFAULT_RUN "/run/peregrine"
#define DEFAULT_PINS "/sys/fs/bpf/peregrine"
#define DEFAULT_PORT 53
#define DEFAULT_MEMORY ((uint64_t)1 << 30)
#define LEAST_MEMORY ((uint64_t)4 << 20)
#define MOST_MEMORY ((uint64_t)PG_SEGMENTS_MAX * PG_SEGMENT_SIZE) /* what the image can address */
/* Pinned objects have names of their own behind the directory. */
#define MOST_PATH 3072

yaml_node_t *load_section(struct load *load, const char *name)
{
	return document_field(&load->document, document_root(&load->document), name);
}

uint64_t load_number(struct load *load, const yaml_node_t *mapping, const char *key, const char *text, uint64_t least,
                     uint64_t most, uint64_t otherwise)
{
	uint64_t value = otherwise;
	if (load_given(text))
		load_judge(load, document_field(&load->document, mapping, key), key, text,
		           value_number(text, least, most, &value));
	return value;
}

static char *path(struct load *load, const yaml_node_t *mapping, const char *key, const char *text, size_t most,
                  const char *otherwise)
{
	if (!load_given(text))
		return load_text(load, otherwise);
	load_judge(load, document_field(&load->document, mapping, key), key, text, value_path(text, most));
	return load_text(load, text);
}

/* The identity is sent as one TXT string. */
static void load_identity(struct load *load, const yaml_node_t *mapping)
{
	char host[256] = "";
	const char *text = load->raw->server.identity;
	if (!load_given(text)) {
		if (gethostname(host, sizeof(host) - 1) != 0 || !*host)
			strcpy(host, "peregrine");
		text = host;
	} else if (strlen(text) > 255) {
		document_error(&load->document, document_field(&load->document, mapping, "identity"),
		               "identity is longer than 255 octets; choose a short name, like lon1.ns.example.net");
	}
	load->config->identity = load_text(load, text);
}

static void load_listen(struct load *load, const yaml_node_t *mapping)
{
	struct document *document = &load->document;
	struct config *config = load->config;
	const struct raw_server *raw = &load->raw->server;
	const yaml_node_t *list = document_field(document, mapping, "listen");
	static const char missing[] = "no service address; write server.listen with addresses of this host, or [ any ]";
	if (!list)
		document_missing(document, mapping ? mapping : document_root(document), missing);
	else if (raw->listen_count == 0)
		document_error(document, list, missing);
	config->listen = load_array(load, raw->listen_count, sizeof(*config->listen));
	struct load_item *items = load_array(load, raw->listen_count, sizeof(*items));
	for (size_t i = 0; config->listen && items && i < raw->listen_count; i++) {
		const yaml_node_t *node = document_entry(document, list, i);
		const char *text = raw->listen[i];
		struct sockaddr_storage *address = &config->listen[config->listen_count];
		if (strcmp(text, "any") == 0) {
			config->listen_any = true;
			if (raw->listen_count > 1)
				document_error(
				    document, node,
				    "listen: `any` stands with others; write it alone, or the addresses alone");
		} else if (load_given(text) &&
		           load_judge(load, node, "listen", text, value_service_address(text, config->port, address))) {
			items[config->listen_count++] =
			    (struct load_item){address, sizeof(*address), text, node, address};
		}
	}
	if (config->listen_count > PG_ADDRESSES_MAX)
		document_error(document, list, "listen has more than %d addresses; write [ any ] instead",
		               PG_ADDRESSES_MAX);
	load_sort(load, items, config->listen_count, "listen");
	free(items);
}

void load_server(struct load *load)
{
	const struct raw_server *raw = &load->raw->server;
	const yaml_node_t *mapping = load_section(load, "server");
	struct sockaddr_un address;
	load->config->port = (uint16_t)load_number(load, mapping, "port", raw->port, 1, 65535, DEFAULT_PORT);
	load_identity(load, mapping);
	load_listen(load, mapping);
	load->config->state_directory =
	    path(load, mapping, "state-directory", raw->state_directory, MOST_PATH, DEFAULT_STATE);
	/* The control socket stands in the run directory, and the kernel bounds a socket's path. */
	load->config->run_directory = path(load, mapping, "run-directory", raw->run_directory,
	                                   sizeof(address.sun_path) - sizeof("/control.sock"), DEFAULT_RUN);
}

static void load_interfaces(struct load *load, const yaml_node_t *mapping)
{
	struct document *document = &load->document;
	struct config *config = load->config;
	const struct raw_fast_path *raw = &load->raw->fast_path;
	const yaml_node_t *list = document_field(document, mapping, "interfaces");
	static const char missing[] = "no interface for the fast path; write fast-path.interfaces, like [ eth0 ], or "
	                              "fast-path.mode: off";
	if (config->mode != CONFIG_MODE_OFF && !list)
		document_missing(document, mapping ? mapping : document_root(document), missing);
	else if (config->mode != CONFIG_MODE_OFF && raw->interfaces_count == 0)
		document_error(document, list, missing);
	config->interfaces = load_array(load, raw->interfaces_count, sizeof(*config->interfaces));
	struct load_item *items = load_array(load, raw->interfaces_count, sizeof(*items));
	for (size_t i = 0; config->interfaces && items && i < raw->interfaces_count; i++) {
		const yaml_node_t *node = document_entry(document, list, i);
		const char *text = raw->interfaces[i];
		if (!load_given(text) || !load_judge(load, node, "interfaces", text, value_interface(text)))
			continue;
		items[config->interface_count] = (struct load_item){text, strlen(text), text, node, NULL};
		config->interfaces[config->interface_count++] = load_text(load, text);
	}
	load_sort(load, items, config->interface_count, "interfaces");
	free(items);
}

void load_fast_path(struct load *load)
{
	static const char *const modes[] = {"auto", "native", "generic", "off"}; /* in the order of enum config_mode */
	const struct raw_fast_path *raw = &load->raw->fast_path;
	const yaml_node_t *mapping = load_section(load, "fast-path");
	struct config *config = load->config;
	const char *mode = load_given(raw->mode) ? raw->mode : "auto";
	size_t found = 0;
	while (found < 4 && strcmp(modes[found], mode) != 0)
		found++;
	config->mode = (enum config_mode)(found & 3);
	load_judge(load, document_field(&load->document, mapping, "mode"), "mode", mode,
	           found < 4 ? NULL : "no such mode; write auto, native, generic or off");
	load_interfaces(load, mapping);
	config->pin_directory = path(load, mapping, "pin-directory", raw->pin_directory, MOST_PATH, DEFAULT_PINS);
	config->memory = DEFAULT_MEMORY;
	if (load_given(raw->memory))
		load_judge(load, document_field(&load->document, mapping, "memory"), "memory", raw->memory,
		           value_size(raw->memory, LEAST_MEMORY, MOST_MEMORY, &config->memory));
}

void load_fallback(struct load *load)
{
	const struct raw_fallback *raw = &load->raw->fallback;
	const yaml_node_t *mapping = load_section(load, "fallback");
	load->config->udp_workers = (unsigned)load_number(load, mapping, "udp-workers", raw->udp_workers, 1, 64, 2);
	load->config->tcp_clients =
	    (unsigned)load_number(load, mapping, "tcp-clients", raw->tcp_clients, 1, 1000000, 1000);
	load->config->transfers_out =
	    (unsigned)load_number(load, mapping, "transfers-out", raw->transfers_out, 1, 400, 10);
}

void load_metrics(struct load *load)
{
	const char *text = load->raw->metrics.listen;
	if (!load_given(text))
		return;
	load_judge(load, document_field(&load->document, load_section(load, "metrics"), "listen"), "listen", text,
	           value_endpoint(text));
	load->config->metrics_listen = load_text(load, text);
}

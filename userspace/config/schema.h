/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The declared schema of the configuration file, and what libcyaml loads by it: the file as written, every value still
 * text (or NULL when it is not there). What a value means is judged afterwards, so that every error can be told.
 */
#ifndef PEREGRINE_CONFIG_SCHEMA_H
#define PEREGRINE_CONFIG_SCHEMA_H

#include <cyaml/cyaml.h>

struct raw_server {
	char *identity;
	char **listen;
	unsigned listen_count;
	char *port;
	char **tls_listen;
	unsigned tls_listen_count;
	char *certificate;
	char *private_key;
	char *state_directory;
	char *run_directory;
};

struct raw_fast_path {
	char **interfaces;
	unsigned interfaces_count;
	char *mode;
	char *pin_directory;
	char *memory;
};

struct raw_rate_limit {
	char *responses_per_second;
	char *slip;
	char **exempt;
	unsigned exempt_count;
};

struct raw_cookies {
	char *enabled;
	char *secret;
	char *secret_file;
	char *previous;
	char *previous_file;
};

struct raw_fallback {
	char *udp_workers;
	char *tcp_clients;
	char *transfers_out;
};

struct raw_metrics {
	char *listen;
};

struct raw_key {
	char *name;
	char *algorithm;
	char *secret;
	char *secret_file;
};

struct raw_tls {
	char *name;
	char *server_name;
	char **pins;
	unsigned pins_count;
	char *ca_file;
	char *certificate;
	char *private_key;
	char *alpn;
};

/* How a server is reached. */
struct raw_reach {
	char **source;
	unsigned source_count;
	char *tls;
};

struct raw_primary {
	char *name;
	char **addresses;
	unsigned addresses_count;
	char *key;
	struct raw_reach reach;
	char *max_records;
	char *max_size;
	char *rate;
};

struct raw_clocks {
	char *refresh_min, *refresh_max;
	char *retry_min, *retry_max;
	char *expire_min, *expire_max;
};

struct raw_verify {
	char *max_shrink;
	char *zonemd;
	char *dnssec;
	char *command;
};

struct raw_secondary {
	char *name;
	char **addresses;
	unsigned addresses_count;
	char *key;
	char **source;
	unsigned source_count;
};

struct raw_group {
	char *group;
	char *template;
};

/* Zones, templates and catalogs have their settings in common; `groups` and `produce` are a catalog's. */
struct raw_zone {
	char *name;
	char *template;
	char **primaries;
	unsigned primaries_count;
	struct raw_verify verify;
	struct raw_clocks clocks;
	char *journal_size;
	char *catalog;
	char *group;
	struct raw_group *groups;
	unsigned groups_count;
	char *produce;
};

struct raw_config {
	struct raw_server server;
	struct raw_fast_path fast_path;
	struct raw_rate_limit rate_limit;
	struct raw_cookies cookies;
	struct raw_fallback fallback;
	struct raw_metrics metrics;
	struct raw_key *keys;
	unsigned keys_count;
	struct raw_tls *tls;
	unsigned tls_count;
	struct raw_primary *primaries;
	unsigned primaries_count;
	struct raw_secondary *secondaries;
	unsigned secondaries_count;
	struct raw_zone *templates;
	unsigned templates_count;
	struct raw_zone *zones;
	unsigned zones_count;
	struct raw_zone *catalogs;
	unsigned catalogs_count;
};

extern const cyaml_schema_value_t config_schema;

#endif

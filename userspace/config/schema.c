/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/schema.h"

/*
 * Everything is optional text here. libcyaml stops at the first thing it does not like, so it is asked for the shape
 * alone, and gets a document whose shape was checked before (document.c, against this same schema).
 */
#define TEXT(key, structure, member)                                                                                   \
	CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, structure, member, 0, CYAML_UNLIMITED)
#define LIST(key, structure, member, entry)                                                                            \
	CYAML_FIELD_SEQUENCE(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, structure, member, entry, 0,               \
	                     CYAML_UNLIMITED)
/* Of more than one shape, so libcyaml does not look at it: its part of the loader reads the nodes. */
#define NODES(key) CYAML_FIELD_IGNORE(key, CYAML_FLAG_OPTIONAL)
#define SECTION(key, member, fields) CYAML_FIELD_MAPPING(key, CYAML_FLAG_OPTIONAL, struct raw_config, member, fields)

static const cyaml_schema_value_t text_entry = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 0, CYAML_UNLIMITED),
};

static const cyaml_schema_field_t server_fields[] = {
    TEXT("identity", struct raw_server, identity),
    LIST("listen", struct raw_server, listen, &text_entry),
    TEXT("port", struct raw_server, port),
    LIST("tls-listen", struct raw_server, tls_listen, &text_entry),
    TEXT("certificate", struct raw_server, certificate),
    TEXT("private-key", struct raw_server, private_key),
    TEXT("state-directory", struct raw_server, state_directory),
    TEXT("run-directory", struct raw_server, run_directory),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t fast_path_fields[] = {
    LIST("interfaces", struct raw_fast_path, interfaces, &text_entry),
    TEXT("mode", struct raw_fast_path, mode),
    TEXT("pin-directory", struct raw_fast_path, pin_directory),
    TEXT("memory", struct raw_fast_path, memory),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t rate_limit_fields[] = {
    TEXT("responses-per-second", struct raw_rate_limit, responses_per_second),
    TEXT("slip", struct raw_rate_limit, slip),
    LIST("exempt", struct raw_rate_limit, exempt, &text_entry),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t cookies_fields[] = {
    TEXT("enabled", struct raw_cookies, enabled),
    TEXT("secret", struct raw_cookies, secret),
    TEXT("secret-file", struct raw_cookies, secret_file),
    TEXT("previous", struct raw_cookies, previous),
    TEXT("previous-file", struct raw_cookies, previous_file),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t fallback_fields[] = {
    TEXT("udp-workers", struct raw_fallback, udp_workers),
    TEXT("tcp-clients", struct raw_fallback, tcp_clients),
    TEXT("transfers-out", struct raw_fallback, transfers_out),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t metrics_fields[] = {
    TEXT("listen", struct raw_metrics, listen),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t key_fields[] = {
    TEXT("name", struct raw_key, name),
    TEXT("algorithm", struct raw_key, algorithm),
    TEXT("secret", struct raw_key, secret),
    TEXT("secret-file", struct raw_key, secret_file),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t tls_fields[] = {
    TEXT("name", struct raw_tls, name),
    TEXT("server-name", struct raw_tls, server_name),
    LIST("pins", struct raw_tls, pins, &text_entry),
    TEXT("ca-file", struct raw_tls, ca_file),
    TEXT("certificate", struct raw_tls, certificate),
    TEXT("private-key", struct raw_tls, private_key),
    TEXT("alpn", struct raw_tls, alpn),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t primary_fields[] = {
    TEXT("name", struct raw_primary, name),
    LIST("addresses", struct raw_primary, addresses, &text_entry),
    TEXT("key", struct raw_primary, key),
    TEXT("rate", struct raw_primary, rate),
    TEXT("max-records", struct raw_primary, max_records),
    TEXT("max-size", struct raw_primary, max_size),
    LIST("source", struct raw_primary, reach.source, &text_entry),
    TEXT("tls", struct raw_primary, reach.tls),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t secondary_fields[] = {
    TEXT("name", struct raw_secondary, name),
    LIST("addresses", struct raw_secondary, addresses, &text_entry),
    TEXT("key", struct raw_secondary, key),
    LIST("source", struct raw_secondary, source, &text_entry),
    CYAML_FIELD_END,
};

/* What may be said of a zone, in a template, and of a catalog, which is transferred as a zone is. */
#define ZONE_SETTINGS                                                                                                  \
	LIST("primaries", struct raw_zone, primaries, &text_entry), NODES("allow-transfer"), NODES("allow-notify"),    \
	    NODES("notify"), TEXT("refresh-min", struct raw_zone, clocks.refresh_min),                                 \
	    TEXT("refresh-max", struct raw_zone, clocks.refresh_max),                                                  \
	    TEXT("retry-min", struct raw_zone, clocks.retry_min),                                                      \
	    TEXT("retry-max", struct raw_zone, clocks.retry_max),                                                      \
	    TEXT("expire-min", struct raw_zone, clocks.expire_min),                                                    \
	    TEXT("expire-max", struct raw_zone, clocks.expire_max), TEXT("catalog", struct raw_zone, catalog),         \
	    TEXT("group", struct raw_zone, group), TEXT("max-shrink", struct raw_zone, verify.max_shrink),             \
	    TEXT("zonemd", struct raw_zone, verify.zonemd), TEXT("dnssec", struct raw_zone, verify.dnssec),            \
	    TEXT("verify-command", struct raw_zone, verify.command),                                                   \
	    TEXT("journal-size", struct raw_zone, journal_size)

static const cyaml_schema_field_t group_fields[] = {
    TEXT("group", struct raw_group, group),
    TEXT("template", struct raw_group, template),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t group_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_group, group_fields),
};

static const cyaml_schema_field_t template_fields[] = {
    TEXT("name", struct raw_zone, name),
    ZONE_SETTINGS,
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t zone_fields[] = {
    TEXT("name", struct raw_zone, name),
    TEXT("template", struct raw_zone, template),
    ZONE_SETTINGS,
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t catalog_fields[] = {
    TEXT("name", struct raw_zone, name),
    TEXT("template", struct raw_zone, template),
    LIST("groups", struct raw_zone, groups, &group_entry),
    TEXT("produce", struct raw_zone, produce),
    ZONE_SETTINGS,
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t key_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_key, key_fields),
};

static const cyaml_schema_value_t tls_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_tls, tls_fields),
};

static const cyaml_schema_value_t primary_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_primary, primary_fields),
};

static const cyaml_schema_value_t secondary_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_secondary, secondary_fields),
};

static const cyaml_schema_value_t template_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_zone, template_fields),
};

static const cyaml_schema_value_t zone_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_zone, zone_fields),
};

static const cyaml_schema_value_t catalog_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_zone, catalog_fields),
};

static const cyaml_schema_field_t config_fields[] = {
    SECTION("server", server, server_fields),
    SECTION("fast-path", fast_path, fast_path_fields),
    SECTION("rate-limit", rate_limit, rate_limit_fields),
    SECTION("cookies", cookies, cookies_fields),
    SECTION("fallback", fallback, fallback_fields),
    SECTION("metrics", metrics, metrics_fields),
    LIST("keys", struct raw_config, keys, &key_entry),
    LIST("tls", struct raw_config, tls, &tls_entry),
    LIST("primaries", struct raw_config, primaries, &primary_entry),
    LIST("secondaries", struct raw_config, secondaries, &secondary_entry),
    LIST("templates", struct raw_config, templates, &template_entry),
    LIST("zones", struct raw_config, zones, &zone_entry),
    LIST("catalogs", struct raw_config, catalogs, &catalog_entry),
    CYAML_FIELD_END,
};

const cyaml_schema_value_t config_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw_config, config_fields),
};

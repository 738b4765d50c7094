/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The configuration file, read and checked. A configuration is immutable after loading; the agent replaces the
 * whole of it on `peregrine reload`, or keeps the old one when the new one has an error.
 */
#ifndef PEREGRINE_CONFIG_H
#define PEREGRINE_CONFIG_H

#include <libknot/libknot.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

struct tls_identity; /* tls/tls_server.h */

enum config_mode { CONFIG_MODE_AUTO, CONFIG_MODE_NATIVE, CONFIG_MODE_GENERIC, CONFIG_MODE_OFF };

struct tls_profile; /* tls/tls.h */

/* How a server is reached, besides where. */
struct config_reach {
	struct sockaddr_storage source[2]; /* to send from, by family; AF_UNSPEC: as the kernel chooses */
	struct tls_profile *tls;           /* or NULL: in the clear; belongs to the configuration */
	uint64_t max_records, max_octets;  /* of a transfer from there; 0: no other bound than that of all */
};

/* Bounds on a zone's clocks, in seconds; 0: the default. */
struct config_clocks {
	uint32_t refresh_min, refresh_max;
	uint32_t retry_min, retry_max;
	uint32_t expire_min, expire_max;
};

struct config_primary {
	char *name;
	struct sockaddr_storage *addresses; /* with port, 53 unless given by @port */
	size_t address_count;
	const knot_tsig_key_t *key; /* or NULL; belongs to the configuration */
	struct config_reach reach;
	unsigned rate; /* SOA queries a second, to each address; 0: the default */
};

/* A prefix of addresses; an IPv4 one in its IPv4-mapped form, so that `length` is at least 96 then. */
struct config_prefix {
	uint8_t address[16];
	unsigned length;
};

#define CONFIG_COOKIE_SECRETS 2
#define CONFIG_COOKIE_SECRET_SIZE 16

/* What a version of a zone has to stand before it is served: docs/man/peregrine.conf.5. */
enum config_zonemd { CONFIG_ZONEMD_IF_PRESENT, CONFIG_ZONEMD_REQUIRED, CONFIG_ZONEMD_OFF };
struct config_verify {
	enum config_zonemd zonemd;
	unsigned max_shrink; /* percent of names or records that a version may have fewer; 0: not looked at */
	bool dnssec;         /* signatures are checked */
	char *command;       /* path of a program that judges; NULL: none */
};

/* Who may have a zone, or notify us of it: from one of the prefixes (none: any address), signed by the key (NULL:
 * signed or not). */
struct config_access {
	struct config_prefix *prefixes;
	size_t prefix_count;
	const knot_tsig_key_t *key;
};

/* Whom NOTIFY goes to. */
struct config_secondary {
	char *name;
	struct sockaddr_storage *addresses; /* with port, 53 unless given by @port */
	size_t address_count;
	const knot_tsig_key_t *key;        /* or NULL */
	struct sockaddr_storage source[2]; /* sent from: IPv4, IPv6; AF_UNSPEC: as the host likes */
};

/* A zone's transfers out. */
struct config_outgoing {
	struct config_access *allow;
	size_t allow_count; /* 0: nobody */
	const struct config_secondary **notify;
	size_t notify_count;
};

struct config_catalog;

/* A zone's settings. Those behind `apex` may be shared: what they point to belongs to the configuration, and a copy of
 * the record under another name is as good (templates, and members of catalogs, are made so). */
struct config_zone {
	char *name;                              /* as written, for messages */
	knot_dname_t *apex;                      /* wire format, lower case */
	const struct config_primary **primaries; /* in the order given */
	size_t primary_count;
	struct config_verify verify;
	struct config_outgoing outgoing;
	struct config_clocks clocks;
	struct config_access *allow_notify; /* besides its primaries */
	size_t allow_notify_count;
	uint64_t journal_size;                /* octets; 0: as large as the zone */
	const struct config_catalog *catalog; /* that tells secondaries of it, or NULL */
	const char *group;                    /* its group there, or NULL */
};

/* Settings for zones that name it. `settings` has neither name nor apex. */
struct config_template {
	char *name;
	struct config_zone settings;
};

/* Which template the members of a group get. */
struct config_group {
	const char *group;
	const struct config_zone *settings;
};

/* A catalog zone (RFC 9432): followed like a zone, and its members served; or, with `produce`, made here. */
struct config_catalog {
	struct config_zone zone;
	bool produce;
	struct config_zone members; /* without name and apex: settings of members without a known group */
	struct config_group *groups;
	size_t group_count;
};

struct config {
	char *path;
	char *identity;
	struct sockaddr_storage *listen; /* service addresses, port filled in; empty when listen_any */
	size_t listen_count;
	bool listen_any; /* the word `any` stands in `listen` */
	uint16_t port;
	struct sockaddr_storage *tls_listen; /* where transfers are given over TLS, port 853 unless given by @port */
	size_t tls_listen_count;
	struct tls_identity *tls_identity; /* tls/tls_server.h; there when one of these is */
	char *state_directory;
	char *run_directory;
	char **interfaces;
	size_t interface_count;
	enum config_mode mode;
	char *pin_directory;
	uint64_t memory; /* octets */
	unsigned udp_workers;
	unsigned tcp_clients;
	knot_tsig_key_t *keys; /* name, algorithm, secret: libknot/tsig.h */
	size_t key_count;
	struct tls_profile **tls;
	size_t tls_count;
	struct config_primary *primaries;
	size_t primary_count;
	struct config_template *templates;
	size_t template_count;
	struct config_secondary *secondaries;
	size_t secondary_count;
	unsigned transfers_out;    /* at a time */
	struct config_zone *zones; /* sorted by apex (knot_dname_cmp), no two alike */
	size_t zone_count;
	struct config_catalog *catalogs; /* in the order given */
	size_t catalog_count;
	unsigned rate_limit;          /* responses per second; 0: not limited */
	unsigned rate_slip;           /* every slip-th response over the limit is sent truncated; 0: none */
	struct config_prefix *exempt; /* clients that are not limited */
	size_t exempt_count;
	bool cookies;
	unsigned cookie_secrets; /* given: the present one, and the one before; 0: the agent draws one */
	uint8_t cookie_secret[CONFIG_COOKIE_SECRETS][CONFIG_COOKIE_SECRET_SIZE];
	char *metrics_listen;
	struct config_memory *settings; /* what the settings of zones point to */
};

/*
 * Reads and checks a file. Every error is written to `errors` as one line "PATH:LINE: what is wrong and what to write
 * instead" (all of them, not the first alone). Returns the configuration, owned by the caller, or NULL after at least
 * one error.
 */
struct config *config_load(const char *path, FILE *errors);
void config_free(struct config *config);

/* The settings of a catalog's members of a group, or NULL where no such group is configured. */
const struct config_zone *config_member_settings(const struct config_catalog *catalog, const char *group,
                                                 size_t length);

/* The key of that name, in lower case; or NULL. */
const knot_tsig_key_t *config_find_key(const struct config *config, const uint8_t *name);
/* The address to send from to that one, or NULL: as the kernel chooses. */
const struct sockaddr_storage *config_reach_source(const struct config_reach *reach,
                                                   const struct sockaddr_storage *address);
/* The address as IPv6, IPv4 being mapped, as prefixes are; without its port. */
void config_plain_address(const struct sockaddr_storage *address, uint8_t out[16]);
bool config_prefix_has(const struct config_prefix *prefix, const uint8_t address[16]);
/* Whether the prefixes allow the address; who signed is not looked at. */
bool config_access_from(const struct config_access *access, const uint8_t address[16]);

/* "192.0.2.1@5353"-style text of an address, IPv6 without brackets, as in the configuration; `text` has room for
 * CONFIG_ADDRESS_TEXT. */
#define CONFIG_ADDRESS_TEXT 64
void config_address_text(const struct sockaddr_storage *address, char *text);

#endif

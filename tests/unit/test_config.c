/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The configuration: what is read, and that every error is told with its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "config/config.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PIN "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define SECRET "Wdr7gnmzHVWhG6A5BVcDSLfLn8MdBOEL7Nq7cBHWbXU="

static char directory[] = "/tmp/peregrine-config-XXXXXX";
static char path[64];
static char *errors;

static void write_file(const char *file, const char *text, size_t length)
{
	FILE *out = fopen(file, "w");
	assert_non_null(out);
	assert_int_equal(fwrite(text, 1, length, out), length);
	assert_int_equal(fclose(out), 0);
}

/* Loads a configuration from text; the errors stand in `errors` afterwards. */
static struct config *load_octets(const char *text, size_t length)
{
	size_t size;
	write_file(path, text, length);
	free(errors);
	FILE *out = open_memstream(&errors, &size);
	struct config *config = config_load(path, out);
	fclose(out);
	assert_int_equal(config == NULL, size > 0);
	return config;
}

static struct config *load(const char *text)
{
	return load_octets(text, strlen(text));
}

/* Checks that loading fails with exactly these errors: "LINE: beginning" each, ended by NULL. */
static void expect(const char *text, ...)
{
	assert_null(load(text));
	char *rest = errors;
	const char *wanted;
	va_list arguments;
	va_start(arguments, text);
	while ((wanted = va_arg(arguments, const char *)) != NULL) {
		char *line = strsep(&rest, "\n");
		if (!line || strncmp(line, path, strlen(path)) != 0 || line[strlen(path)] != ':' ||
		    strncmp(line + strlen(path) + 1, wanted, strlen(wanted)) != 0)
			fail_msg("wanted `%s`, got `%s`, then:\n%s", wanted, line ? line : "no more", rest ? rest : "");
	}
	va_end(arguments);
	if (rest && *rest)
		fail_msg("more errors than wanted:\n%s", rest);
}

static const char full[] =
    "server:\n"
    "  identity: lon1.ns.example.net        # NSID\n"
    "  listen: [ 192.0.2.53, \"2001:db8::53\" ]\n"
    "  port: 5300\n"
    "  state-directory: /tmp/state\n"
    "  run-directory: /tmp/run\n"
    "fast-path:\n"
    "  interfaces: [ eth0, eth1 ]\n"
    "  mode: native\n"
    "  pin-directory: /sys/fs/bpf/other\n"
    "  memory: 512MiB\n"
    "rate-limit: { responses-per-second: 100, slip: 3, exempt: [ 192.0.2.0/24, \"2001:db8::/32\" ] }\n"
    "cookies: { secret: 000102030405060708090a0b0c0d0e0f, previous: FFEEDDCCBBAA99887766554433221100 }\n"
    "fallback: { udp-workers: 4, tcp-clients: 50 }\n"
    "metrics: { listen: \"127.0.0.1:9353\" }\n"
    "keys:\n"
    "  - { name: XFR.example.net., algorithm: hmac-sha256, secret: \"" SECRET "\" }\n"
    "primaries:\n"
    "  - { name: campus, addresses: [ 198.51.100.1, \"2001:db8:1::1@5353\" ], key: xfr.example.net }\n"
    "  - { name: hub, addresses: [ 198.51.100.2 ] }\n"
    "zones:\n"
    "  - { name: example.org, primaries: [ hub, campus ] }\n"
    "  - { name: Sub.Example.ORG., primaries: [ campus ] }\n"
    "  - { name: ., primaries: [ campus ] }\n"
    "catalogs:\n"
    "  - { name: catalog.ns.example.net, primaries: [ hub ] }\n";

static void test_full(void **state)
{
	char text[CONFIG_ADDRESS_TEXT];
	struct config *config = load(full);
	assert_non_null(config);
	assert_string_equal(config->path, path);
	assert_string_equal(config->identity, "lon1.ns.example.net");
	assert_int_equal(config->listen_count, 2);
	assert_false(config->listen_any);
	config_address_text(&config->listen[0], text);
	assert_string_equal(text, "192.0.2.53@5300");
	config_address_text(&config->listen[1], text);
	assert_string_equal(text, "2001:db8::53@5300");
	assert_int_equal(config->port, 5300);
	assert_string_equal(config->state_directory, "/tmp/state");
	assert_string_equal(config->run_directory, "/tmp/run");
	assert_int_equal(config->interface_count, 2);
	assert_string_equal(config->interfaces[1], "eth1");
	assert_int_equal(config->mode, CONFIG_MODE_NATIVE);
	assert_string_equal(config->pin_directory, "/sys/fs/bpf/other");
	assert_int_equal(config->memory, 512 << 20);
	assert_int_equal(config->rate_limit, 100);
	assert_int_equal(config->rate_slip, 3);
	assert_int_equal(config->exempt_count, 2);
	assert_int_equal(config->exempt[0].length, 96 + 24);
	assert_memory_equal(config->exempt[0].address, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\0", 16);
	assert_int_equal(config->exempt[1].length, 32);
	assert_true(config->cookies);
	assert_int_equal(config->cookie_secrets, 2);
	assert_memory_equal(config->cookie_secret[0], "\0\1\2\3\4\5\6\7\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f", 16);
	assert_memory_equal(config->cookie_secret[1], "\xff\xee\xdd\xcc", 4);
	assert_int_equal(config->udp_workers, 4);
	assert_int_equal(config->tcp_clients, 50);
	assert_string_equal(config->metrics_listen, "127.0.0.1:9353");
	assert_int_equal(config->key_count, 1);
	assert_int_equal(config->keys[0].algorithm, DNSSEC_TSIG_HMAC_SHA256);
	assert_int_equal(config->keys[0].secret.size, 32);
	assert_memory_equal(config->keys[0].name, "\3xfr\7example\3net", 17);
	assert_int_equal(config->primary_count, 2);
	assert_ptr_equal(config->primaries[0].key, &config->keys[0]);
	assert_null(config->primaries[1].key);
	config_address_text(&config->primaries[0].addresses[0], text);
	assert_string_equal(text, "198.51.100.1@53");
	config_address_text(&config->primaries[0].addresses[1], text);
	assert_string_equal(text, "2001:db8:1::1@5353");
	assert_int_equal(config->zone_count, 3);
	assert_string_equal(config->zones[0].name, ".");
	assert_string_equal(config->zones[1].name, "example.org");
	assert_string_equal(config->zones[2].name, "Sub.Example.ORG.");
	assert_memory_equal(config->zones[2].apex, "\3sub\7example\3org", 17);
	assert_int_equal(config->zones[1].primary_count, 2);
	assert_string_equal(config->zones[1].primaries[0]->name, "hub");
	assert_string_equal(config->zones[1].primaries[1]->name, "campus");
	assert_int_equal(config->catalog_count, 1);
	config_free(config);
}

static void test_defaults(void **state)
{
	char host[256] = "";
	gethostname(host, sizeof(host) - 1);
	struct config *config = load("server: { listen: [ any ] }\nfast-path: { mode: off }\nzones:\n");
	assert_non_null(config);
	assert_string_equal(config->identity, host);
	assert_true(config->listen_any);
	assert_int_equal(config->listen_count, 0);
	assert_int_equal(config->port, 53);
	assert_string_equal(config->state_directory, "/var/lib/peregrine");
	assert_string_equal(config->run_directory, "/run/peregrine");
	assert_string_equal(config->pin_directory, "/sys/fs/bpf/peregrine");
	assert_int_equal(config->memory, 1 << 30);
	assert_int_equal(config->udp_workers, 2);
	assert_int_equal(config->tcp_clients, 1000);
	assert_int_equal(config->transfers_out, 10);
	assert_int_equal(config->rate_limit, 200);
	assert_int_equal(config->rate_slip, 2);
	assert_int_equal(config->exempt_count, 0);
	assert_true(config->cookies);
	assert_int_equal(config->cookie_secrets, 0);
	assert_null(config->metrics_listen);
	assert_int_equal(config->zone_count, 0);
	config_free(config);
	config = load("server: { listen: [ any ] }\nfast-path: { interfaces: [ eth0 ] }\n");
	assert_non_null(config);
	assert_int_equal(config->mode, CONFIG_MODE_AUTO);
	config_free(config);
}

static void test_not_yaml(void **state)
{
	expect("", "1: is empty", NULL);
	expect("# nothing\n", "1: is empty", NULL);
	expect("server:\n  listen: [ any\nzones:\n", "3: not YAML", NULL);
	expect("server: { listen: [ any ] }\n---\nzones: []\n", "2: a second YAML document", NULL);
	expect("zones: &a\n  - *a\n  - *a\n", "2: alias `*a`", "3: alias `*a`", NULL);
	expect("\n\n\xff\n", "3: not text in UTF-8", NULL);
	assert_null(config_load("/nonexistent/peregrine.conf", stderr));
}

/* Errors of shape and of value in one file: all are told, in order of lines. */
static void test_shape(void **state)
{
	expect("server:\n"
	       "  listen: 192.0.2.1\n"                            /* 2: not a list */
	       "  ports: 53\n"                                    /* 3: unknown */
	       "  port: 70000\n"                                  /* 4: out of bounds */
	       "  identity:\n"                                    /* 5: empty */
	       "fast-path:\n"                                     /* */
	       "  interfaces: [ eth0 ]\n"                         /* */
	       "  mode: fast\n"                                   /* 8: no such mode */
	       "  mode: auto\n"                                   /* 9: twice */
	       "fallback: 3\n"                                    /* 10: no mapping */
	       "metrics: { listen: [ a ] }\n"                     /* 11: no scalar */
	       "primaries:\n"                                     /* */
	       "  - { name: campus, addresses: [ 192.0.2.1 ] }\n" /* */
	       "zones:\n"                                         /* */
	       "  - example.org\n"                                /* 15: no mapping */
	       "  - { name: example.net, primaries: campus }\n"   /* 16: no list */
	       "  - { name: \"a\\0b\", primaries: [ campus ] }\n" /* 17: control character */
	       "  - { primaries: [ campus ] }\n"                  /* 18: no name */
	       "  - { name: x.example, masters: [ campus ] }\n"   /* 19: unknown, and no primaries */
	       "zone: []\n",                                      /* 20: unknown */
	       "2: listen must be a list", "3: unknown key `ports`", "4: port `70000`", "5: identity has no value",
	       "8: mode `fast`", "9: `mode` stands twice in fast-path, first in line 8",
	       "10: fallback must be a mapping", "11: listen must be a single value",
	       "15: an entry of zones must be a mapping", "16: primaries must be a list",
	       "17: name has a control character", "18: no name here", "19: unknown key `masters`",
	       "19: no primaries here", "20: unknown key `zone` in the configuration", NULL);
	expect("just text\n", "1: the configuration must be a mapping", NULL);
	expect("{}\n", "1: no service address", "1: no interface", NULL);
}

static void test_server(void **state)
{
	expect("server:\n"
	       "  listen:\n"
	       "    - ns.example.org\n"
	       "    - 192.0.2.1@53\n"
	       "    - \"::\"\n"
	       "    - 0.0.0.0\n"
	       "    - 224.0.0.1\n"
	       "    - ff02::1\n"
	       "    - ::ffff:192.0.2.1\n"
	       "    - 192.0.2.1\n"
	       "    - 192.0.2.1\n"
	       "    - any\n"
	       "  state-directory: state\n"
	       "  run-directory: /run/0123456789012345678901234567890123456789012345678901234567890123456789"
	       "01234567890123456789\n"
	       "fast-path: { mode: off }\n",
	       "3: listen `ns.example.org`: not an IPv4", "4: listen `192.0.2.1@53`: a port", "5: listen `::`",
	       "6: listen `0.0.0.0`", "7: listen `224.0.0.1`", "8: listen `ff02::1`", "9: listen `::ffff:192.0.2.1`",
	       "11: listen `192.0.2.1` stands twice, first in line 10", "12: listen: `any` stands with others",
	       "13: state-directory `state`", "14: run-directory", NULL);
	expect("server: { listen: [] }\nfast-path: { mode: off }\n", "1: no service address", NULL);
	expect("server: { port: 53 }\nfast-path: { mode: off }\n", "1: no service address", NULL);
}

static void test_fast_path(void **state)
{
#define SERVER "server: { listen: [ any ] }\n"
	expect(SERVER "fast-path:\n"
	              "  interfaces: [ eth0, sixteen_letters_, a/b, eth0 ]\n"
	              "  pin-directory: pins\n"
	              "  memory: 1MiB\n",
	       "3: interfaces `sixteen_letters_`", "3: interfaces `a/b`", "3: interfaces `eth0` stands twice",
	       "4: pin-directory `pins`", "5: memory `1MiB`: out of bounds; write a size from 4MiB", NULL);
	expect(SERVER "fast-path: { interfaces: [] }\n", "2: no interface", NULL);
	expect(SERVER "fast-path: { memory: 512MB, interfaces: [ e ] }\n", "2: memory `512MB`: not a size", NULL);
	expect(SERVER "fast-path: { memory: lots, interfaces: [ e ] }\n", "2: memory `lots`: not a size", NULL);
	expect(SERVER "fast-path: { memory: 18446744073709551615GiB, interfaces: [ e ] }\n", "2: memory", NULL);
	struct config *config = load(SERVER "fast-path: { memory: 8192 KiB, mode: off }\n");
	assert_non_null(config);
	assert_int_equal(config->memory, 8 << 20);
	config_free(config);
#define SMALL SERVER "fast-path: { mode: off }\n"
	expect(SMALL "fallback:\n  udp-workers: 0\n  tcp-clients: many\n", "4: udp-workers `0`",
	       "5: tcp-clients `many`", NULL);
	expect(SMALL
	       "rate-limit:\n  responses-per-second: -1\n  slip: 1000\n  exempt:\n    - 192.0.2.0/33\n    - ::/128\n"
	       "    - x\n",
	       "4: responses-per-second `-1`", "5: slip `1000`", "7: exempt `192.0.2.0/33`", "9: exempt `x`", NULL);
	expect(SMALL "metrics: { listen: \"::1:9353\" }\n", "3: listen `::1:9353`: not ADDRESS:PORT", NULL);
	expect(SMALL "metrics: { listen: 9353 }\n", "3: listen `9353`: not ADDRESS:PORT", NULL);
	expect(SMALL "metrics: { listen: \"[\" }\n", "3: listen `[`: not ADDRESS:PORT", NULL);
	config = load(SMALL "metrics: { listen: \"[::1]:9353\" }\n");
	assert_non_null(config);
	config_free(config);
}

static void test_cookies(void **state)
{
	char file[64], text[512];

	expect(SMALL "cookies:\n  enabled: yes\n  secret: 0123\n  previous: xyz\n", "4: enabled `yes`: neither",
	       "5: secret: not a secret of 32", "6: previous: not a secret of 32", NULL);
	expect(SMALL "cookies: { previous: 000102030405060708090a0b0c0d0e0f }\n", "3: a previous secret without", NULL);
	expect(SMALL "cookies: { secret: 000102030405060708090a0b0c0d0e0f0, secret-file: /x }\n",
	       "3: both secret and secret-file", "3: secret: not a secret of 32", NULL);
	expect(SMALL "cookies: { secret-file: /nonexistent }\n", "3: secret-file `/nonexistent`: cannot open", NULL);
	struct config *config = load(SMALL "cookies: { enabled: false }\n");
	assert_non_null(config);
	assert_false(config->cookies);
	config_free(config);
	snprintf(file, sizeof(file), "%s/cookie", directory);
	write_file(file, "000102030405060708090a0b0c0d0e0f\n", 33);
	chmod(file, 0600);
	snprintf(text, sizeof(text), SMALL "cookies: { secret-file: %s, previous-file: %s }\n", file, file);
	config = load(text);
	assert_non_null(config);
	assert_int_equal(config->cookie_secrets, 2);
	assert_int_equal(config->cookie_secret[1][15], 15);
	config_free(config);
	chmod(file, 0644);
	expect(text, "3: secret-file `", "3: previous-file `", NULL);
}

static void test_keys(void **state)
{
	expect(SMALL "keys:\n"
	             "  - { name: a, algorithm: hmac-md5, secret: " SECRET " }\n"
	             "  - { name: b, algorithm: rsa, secret: " SECRET " }\n"
	             "  - { name: c, algorithm: hmac-sha1, secret: 'not base64!' }\n"
	             "  - { name: d, algorithm: hmac-sha512 }\n"
	             "  - { name: e, secret: " SECRET ", secret-file: /x }\n"
	             "  - { name: d., algorithm: hmac-sha384, secret: " SECRET " }\n"
	             "  - { algorithm: hmac-sha224, secret-file: relative }\n"
	             "  - { name: f, algorithm: hmac-sha224, secret-file: /nonexistent }\n"
	             "  - { name: g..h, algorithm: hmac-sha224, secret: " SECRET " }\n",
	       "4: algorithm `hmac-md5`: MD5 is broken", "5: algorithm `rsa`", "6: the secret of key c is not base64",
	       "7: key d has no secret", "8: no algorithm here", "8: both secret and secret-file",
	       "9: key `d.` stands twice, first in line 7", "10: no name here", "10: secret-file `relative`",
	       "11: secret-file `/nonexistent`: cannot open", "12: key `g..h`", NULL);
}

static void test_secret_file(void **state)
{
	char file[64], text[512];
	snprintf(file, sizeof(file), "%s/secret", directory);
	snprintf(text, sizeof(text), SMALL "keys:\n  - { name: a, algorithm: hmac-sha256, secret-file: %s }\n", file);
	write_file(file, SECRET "\n", sizeof(SECRET));
	chmod(file, 0640);
	struct config *config = load(text);
	assert_non_null(config);
	assert_int_equal(config->keys[0].secret.size, 32);
	config_free(config);
	chmod(file, 0644);
	assert_null(load(text));
	assert_non_null(strstr(errors, ":4: secret-file"));
	assert_non_null(strstr(errors, "chmod 600"));
	chmod(file, 0600);
	write_file(file, "\n", 1);
	assert_null(load(text));
	assert_non_null(strstr(errors, "is empty"));
	unlink(file);
	mkdir(file, 0700);
	assert_null(load(text));
	assert_non_null(strstr(errors, "not a regular file"));
	rmdir(file);
}

static void test_zones(void **state)
{
	expect(SMALL "primaries:\n"
	             "  - { name: one, addresses: [ 192.0.2.1, 192.0.2.1@53, 192.0.2.2@0, host.example ] }\n"
	             "  - { name: one, addresses: [] }\n"
	             "  - { name: two, key: nokey }\n"
	             "zones:\n"
	             "  - { name: example.org, primaries: [ one, three, one ] }\n"
	             "  - { name: EXAMPLE.org., primaries: [ two ] }\n"
	             "  - { name: a..b, primaries: [] }\n"
	             "  - { name: \"b\xc3\xbc"
	             "cher.example\", primaries: [ two ] }\n"
	             "  - { name: \"two words\", primaries: [ two ] }\n"
	             "  -\n"
	             "catalogs:\n"
	             "  - { name: example.ORG, primaries: [ four ] }\n",
	       "4: address `192.0.2.2@0`: the port", "4: address `host.example`: not an IPv4",
	       "4: address `192.0.2.1@53` stands twice", "5: addresses is empty",
	       "5: primary `one` stands twice, first in line 4", "6: no addresses here", "6: key `nokey`: no such key",
	       "8: primary `three`: no such primary", "8: primary `one` stands twice",
	       "9: zone `EXAMPLE.org.` stands twice, first in line 8", "10: zone `a..b`: not a domain name",
	       "10: primaries is empty", "11: zone", "12: zone `two words`", "13: no name here",
	       "13: no primaries here", "15: primary `four`: no such primary",
	       "15: zone `example.ORG` stands twice, first in line 8", NULL);
}

static const char *address_text(const struct sockaddr_storage *address)
{
	static char text[CONFIG_ADDRESS_TEXT];
	config_address_text(address, text);
	return text;
}

static void test_reach(void **state)
{
	struct config *config =
	    load(SMALL "tls: [ { name: open }, { name: pinned, pins: [ \"" PIN "\" ], alpn: optional } ]\n"
	               "primaries:\n"
	               "  - { name: one, addresses: [ 192.0.2.1, 192.0.2.2@8853, \"2001:db8::1\" ], tls: pinned,\n"
	               "      source: [ \"2001:db8::7\", 192.0.2.7 ], max-records: 1000000, max-size: 64MiB }\n"
	               "  - { name: two, addresses: [ 192.0.2.1 ] }\n"
	               "zones: [ { name: a.example, primaries: [ one ] } ]\n");
	assert_non_null(config);
	const struct config_primary *one = &config->primaries[0], *two = &config->primaries[1];
	assert_int_equal(config->tls_count, 2);
	assert_ptr_equal(one->reach.tls, config->tls[1]);
	assert_string_equal(address_text(&one->addresses[0]), "192.0.2.1@853");
	assert_string_equal(address_text(&one->addresses[1]), "192.0.2.2@8853");
	assert_string_equal(address_text(&one->addresses[2]), "2001:db8::1@853");
	assert_string_equal(address_text(config_reach_source(&one->reach, &one->addresses[0])), "192.0.2.7@0");
	assert_string_equal(address_text(config_reach_source(&one->reach, &one->addresses[2])), "2001:db8::7@0");
	assert_int_equal(one->reach.max_records, 1000000);
	assert_int_equal(one->reach.max_octets, 64 << 20);
	assert_null(two->reach.tls);
	assert_null(config_reach_source(&two->reach, &two->addresses[0]));
	assert_string_equal(address_text(&two->addresses[0]), "192.0.2.1@53");
	config_free(config);
}

static void test_reach_errors(void **state)
{
	static const char text[] = "-----BEGIN CERTIFICATE-----\nnot base64\n-----END CERTIFICATE-----\n";
	char file[80], whole[2048], wanted[200];
	snprintf(file, sizeof(file), "%s/malformed.pem", directory);
	write_file(file, text, strlen(text));
	assert_int_equal(chmod(file, 0600), 0);
	snprintf(whole, sizeof(whole),
	         SMALL "tls:\n"
	               "  - { name: a, pins: [ short, \"" PIN "\" ] }\n"
	               "  - { name: a, ca-file: /nonexistent/ca.pem }\n"
	               "  - { name: b, certificate: %s, private-key: %s }\n"
	               "  - { name: c, certificate: %s }\n"
	               "  - { name: d, server-name: a..b, alpn: maybe, ca-file: ca.pem }\n"
	               "  - { pins: [ \"" PIN "\" ] }\n"
	               "primaries:\n"
	               "  - { name: one, addresses: [ 192.0.2.1 ], tls: none }\n"
	               "  - { name: two, addresses: [ 192.0.2.1 ], tls: b, max-records: 0, max-size: many,\n"
	               "      source: [ 192.0.2.7, 192.0.2.8, 192.0.2.9@53, 0.0.0.0, \"::\", host ] }\n"
	               "zones: [ { name: a.example, primaries: [ one ] } ]\n",
	         file, file, file);
	snprintf(wanted, sizeof(wanted), "6: tls b: %s: no certificate in it", file);
	expect(whole, "4: pin `short`: not a SHA-256", "5: tls a: /nonexistent/ca.pem: cannot open: No such file",
	       "5: tls `a` stands twice, first in line 4", wanted,
	       "7: certificate and private-key belong together; write private-key too",
	       "8: ca-file `ca.pem`: not an absolute path", "8: server-name `a..b`: not a domain name",
	       "8: alpn `maybe`: neither required nor optional", "9: no name here", "11: tls `none`: no such entry",
	       "12: max-records `0`: not a number", "12: max-size `many`: not a size", "13: a second IPv4 source",
	       "13: source `192.0.2.9@53`: a port is not taken", "13: source `0.0.0.0`: stands for no address",
	       "13: source `::`: stands for no address", "13: source `host`: not an IPv4", NULL);
	remove(file);
}

static void test_clocks(void **state)
{
	struct config *config =
	    load(SMALL "primaries: [ { name: one, addresses: [ 192.0.2.1 ], rate: 20 } ]\n"
	               "zones:\n"
	               "  - { name: a.example, primaries: [ one ] }\n"
	               "  - { name: b.example, primaries: [ one ], refresh-min: 60, refresh-max: 3600, retry-min: 30,\n"
	               "      retry-max: 900, expire-min: 86400, expire-max: 1209600 }\n");
	static const struct config_clocks none = {0}, all = {60, 3600, 30, 900, 86400, 1209600};
	assert_non_null(config);
	assert_int_equal(config->primaries[0].rate, 20);
	assert_memory_equal(&config->zones[0].clocks, &none, sizeof(none));
	assert_memory_equal(&config->zones[1].clocks, &all, sizeof(all));
	config_free(config);
	expect(SMALL "primaries: [ { name: one, addresses: [ 192.0.2.1 ], rate: 0 } ]\n"
	             "zones:\n"
	             "  - { name: a.example, primaries: [ one ], refresh-min: 0, expire-max: never }\n"
	             "  - { name: b.example, primaries: [ one ],\n"
	             "      retry-min: 61,\n"
	             "      retry-max: 60 }\n",
	       "3: rate `0`", "5: refresh-min `0`", "5: expire-max `never`",
	       "8: retry-min is 61, which is more than retry-max, 60; raise the one or lower the other", NULL);
}

static void test_verify(void **state)
{
	struct config *config =
	    load(SMALL "primaries: [ { name: one, addresses: [ 192.0.2.1 ] } ]\n"
	               "zones:\n"
	               "  - { name: a.example, primaries: [ one ] }\n"
	               "  - { name: b.example, primaries: [ one ], zonemd: required, max-shrink: 0,\n"
	               "      dnssec: check, verify-command: /bin/true }\n");
	const struct config_verify *verify;
	assert_non_null(config);
	verify = &config->zones[0].verify;
	assert_int_equal(verify->zonemd, CONFIG_ZONEMD_IF_PRESENT);
	assert_int_equal(verify->max_shrink, 50);
	assert_false(verify->dnssec);
	assert_null(verify->command);
	verify = &config->zones[1].verify;
	assert_int_equal(verify->zonemd, CONFIG_ZONEMD_REQUIRED);
	assert_int_equal(verify->max_shrink, 0);
	assert_true(verify->dnssec);
	assert_string_equal(verify->command, "/bin/true");
	config_free(config);
	expect(SMALL "primaries: [ { name: one, addresses: [ 192.0.2.1 ] } ]\n"
	             "zones:\n"
	             "  - { name: a.example, primaries: [ one ], max-shrink: 101, zonemd: yes, dnssec: on }\n"
	             "  - { name: b.example, primaries: [ one ], verify-command: true }\n"
	             "  - { name: c.example, primaries: [ one ], verify-command: /etc/passwd }\n"
	             "  - { name: d.example, primaries: [ one ], verify-command: /tmp }\n",
	       "5: max-shrink `101`", "5: zonemd `yes`", "5: dnssec `on`", "6: verify-command `true`: not an absolute",
	       "7: verify-command `/etc/passwd`: cannot be run", "8: verify-command `/tmp`: cannot be run", NULL);
}

static void test_journal_size(void **state)
{
	struct config *config = load(SMALL "primaries: [ { name: one, addresses: [ 192.0.2.1 ] } ]\n"
	                                   "zones:\n"
	                                   "  - { name: a.example, primaries: [ one ] }\n"
	                                   "  - { name: b.example, primaries: [ one ], journal-size: 2MiB }\n");
	assert_non_null(config);
	assert_int_equal(config->zones[0].journal_size, 0);
	assert_int_equal(config->zones[1].journal_size, 2 << 20);
	config_free(config);
	expect(SMALL "primaries: [ { name: one, addresses: [ 192.0.2.1 ] } ]\n"
	             "zones:\n"
	             "  - { name: a.example, primaries: [ one ], journal-size: 1KiB }\n"
	             "  - { name: b.example, primaries: [ one ], journal-size: much }\n",
	       "5: journal-size `1KiB`", "6: journal-size `much`", NULL);
}

static void test_allow_notify(void **state)
{
	struct config *config =
	    load(SMALL "keys: [ { name: k.example, algorithm: hmac-sha256, secret: " SECRET " } ]\n"
	               "primaries: [ { name: one, addresses: [ 192.0.2.1 ] } ]\n"
	               "zones:\n"
	               "  - { name: a.example, primaries: [ one ],\n"
	               "      allow-notify: [ 198.51.100.0/24, { addresses: [ 2001:db8::1 ], key: k.example } ] }\n");
	const struct config_zone *zone;
	assert_non_null(config);
	zone = &config->zones[0];
	assert_int_equal(zone->allow_notify_count, 2);
	assert_int_equal(zone->allow_notify[0].prefixes[0].length, 96 + 24);
	assert_null(zone->allow_notify[0].key);
	assert_int_equal(zone->allow_notify[1].prefix_count, 1);
	assert_ptr_equal(zone->allow_notify[1].key, &config->keys[0]);
	config_free(config);
	expect(SMALL "primaries: [ { name: one, addresses: [ 192.0.2.1 ] } ]\n"
	             "zones:\n"
	             "  - { name: a.example, primaries: [ one ], allow-notify: [ 192.0.2.0/33 ] }\n"
	             "  - { name: b.example, primaries: [ one ], allow-notify: [ { who: 192.0.2.1 } ] }\n",
	       "5: allow-notify `192.0.2.0/33`", "6: an entry of allow-notify has", NULL);
}

static void test_many_zones(void **state)
{
	enum { COUNT = 100000 };
	char *text;
	size_t size;
	struct timespec start, end;
	FILE *out = open_memstream(&text, &size);
	fputs(SMALL "primaries:\n  - { name: hub, addresses: [ 192.0.2.1 ] }\nzones:\n", out);
	for (unsigned i = 0; i < COUNT; i++)
		fprintf(out, "  - { name: z%u.example, primaries: [ hub ] }\n", i);
	fclose(out);
	clock_gettime(CLOCK_MONOTONIC, &start);
	struct config *config = load_octets(text, size);
	clock_gettime(CLOCK_MONOTONIC, &end);
	free(text);
	assert_non_null(config);
	assert_int_equal(config->zone_count, COUNT);
	for (size_t i = 1; i < COUNT; i++)
		assert_true(knot_dname_cmp(config->zones[i - 1].apex, config->zones[i].apex) < 0);
	config_free(config);
	double seconds = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
	print_message("%d zones in %.2f s\n", COUNT, seconds);
	assert_true(seconds < 20); /* far above what it takes, even under a sanitizer: it is loops of loops that fail */
}

/* Whatever stands in the file, loading returns: octets of a good file are changed, cut and doubled. */
static void test_mutated(void **state)
{
	static const char special[] = "[]{}:,-&*!|>'\"%@`#?~\n\t\0 \xff\xc3"
	                              "0a";
	unsigned seed = 1;
	for (unsigned round = 0; round < 3000; round++) {
		char text[2 * sizeof(full)];
		size_t length = sizeof(full) - 1;
		memcpy(text, full, length);
		for (unsigned change = rand_r(&seed) % 4; change < 5; change++) {
			size_t at = (size_t)rand_r(&seed) % length, span = (size_t)rand_r(&seed) % 40;
			if (span > length - at)
				span = length - at;
			switch (rand_r(&seed) % 3) {
			case 0:
				text[at] = special[(size_t)rand_r(&seed) % (sizeof(special) - 1)];
				break;
			case 1:
				memmove(text + at, text + at + span, length - at - span);
				length -= span < length ? span : 0;
				break;
			default:
				if (length + span <= sizeof(text)) {
					memmove(text + at + span, text + at, length - at);
					length += span;
				}
			}
		}
		config_free(load_octets(text, length));
	}
}

static int set_up(void **state)
{
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/peregrine.conf", directory);
	return 0;
}

static int tear_down(void **state)
{
	unlink(path);
	rmdir(directory);
	free(errors);
	return 0;
}

static const char templates[] =
    "server: { listen: [ any ] }\n"
    "fast-path: { mode: off }\n"
    "primaries:\n"
    "  - { name: hub, addresses: [ 198.51.100.2 ] }\n"
    "  - { name: campus, addresses: [ 198.51.100.1 ] }\n"
    "templates:\n"
    "  - { name: shown, catalog: made.example, group: blue }\n"
    "  - { name: campus, primaries: [ campus ] }\n"
    "  - { name: default, primaries: [ hub ] }\n"
    "catalogs:\n"
    "  - { name: Made.Example, produce: true }\n"
    "  - { name: catalog.example, template: shown, groups: [ { group: c, template: campus } ] }\n"
    "zones:\n"
    "  - { name: a.example }\n"
    "  - { name: b.example, template: shown }\n"
    "  - { name: c.example, template: shown, primaries: [ campus, hub ], group: red }\n";

/* Settings come from the zone, else its template, else the template `default`. */
static void test_templates(void **state)
{
	struct config *config = load(templates);
	const struct config_catalog *made, *catalog;
	const struct config_zone *members;

	assert_non_null(config);
	assert_int_equal(config->zone_count, 3);
	assert_int_equal(config->catalog_count, 2);
	made = &config->catalogs[0];
	catalog = &config->catalogs[1];
	assert_true(made->produce);
	assert_int_equal(made->zone.primary_count, 0);
	assert_string_equal(made->zone.name, "Made.Example");
	assert_false(catalog->produce);
	assert_string_equal(catalog->zone.primaries[0]->name, "hub");
	assert_null(catalog->zone.catalog);
	assert_string_equal(config->zones[0].primaries[0]->name, "hub");
	assert_null(config->zones[0].catalog);
	assert_string_equal(config->zones[1].primaries[0]->name, "hub");
	assert_ptr_equal(config->zones[1].catalog, made);
	assert_string_equal(config->zones[1].group, "blue");
	assert_int_equal(config->zones[2].primary_count, 2);
	assert_string_equal(config->zones[2].primaries[0]->name, "campus");
	assert_ptr_equal(config->zones[2].catalog, made);
	assert_string_equal(config->zones[2].group, "red");
	assert_ptr_equal(catalog->members.catalog, made);
	members = config_member_settings(catalog, "c", 1);
	assert_non_null(members);
	assert_string_equal(members->primaries[0]->name, "campus");
	assert_null(members->catalog);
	assert_null(config_member_settings(catalog, "d", 1));
	assert_null(config_member_settings(catalog, "cc", 2));
	config_free(config);
}

static void test_template_errors(void **state)
{
	expect(
	    "server: { listen: [ any ] }\n"
	    "fast-path: { mode: off }\n"
	    "primaries: [ { name: hub, addresses: [ 198.51.100.2 ] } ]\n"
	    "templates:\n"
	    "  - { primaries: [ hub ] }\n"
	    "  - { name: one }\n"
	    "  - { name: one, primaries: [ hbu ] }\n"
	    "  - { name: two, template: one }\n"
	    "zones:\n"
	    "  - { name: a.example }\n"
	    "  - { name: b.example, template: tow, primaries: [ hub ] }\n"
	    "  - { name: c.example, catalog: catalog.example, primaries: [ hub ] }\n"
	    "catalogs:\n"
	    "  - { name: catalog.example, primaries: [ hub ], groups: [ { group: a, template: x }, { group: a } ] }\n"
	    "  - { name: made.example, produce: yea, primaries: [ hub ] }\n"
	    "  - { name: other.example, produce: true, primaries: [ hub ], template: one }\n"
	    "  - { name: other.example, produce: true }\n",
	    "5: no name here", "7: template `one` stands twice", "7: primary `hbu`: no such primary", "8: unknown key",
	    "10: no primaries here", "11: template `tow`: no such template",
	    "12: catalog `catalog.example`: no such catalog is made here", "14: template `x`: no such template",
	    "14: no template here", "14: group `a` stands twice", "15: produce `yea`",
	    "16: primaries stands in a catalog that is made here", "16: template stands in a catalog",
	    "17: zone `other.example` stands twice", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_full),
	    cmocka_unit_test(test_templates),
	    cmocka_unit_test(test_template_errors),
	    cmocka_unit_test(test_defaults),
	    cmocka_unit_test(test_not_yaml),
	    cmocka_unit_test(test_shape),
	    cmocka_unit_test(test_server),
	    cmocka_unit_test(test_fast_path),
	    cmocka_unit_test(test_cookies),
	    cmocka_unit_test(test_keys),
	    cmocka_unit_test(test_secret_file),
	    cmocka_unit_test(test_zones),
	    cmocka_unit_test(test_clocks),
	    cmocka_unit_test(test_allow_notify),
	    cmocka_unit_test(test_verify),
	    cmocka_unit_test(test_reach),
	    cmocka_unit_test(test_reach_errors),
	    cmocka_unit_test(test_journal_size),
	    cmocka_unit_test(test_many_zones),
	    cmocka_unit_test(test_mutated),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The configuration as a file, the server's own settings, and keys: what is read, and that every error is told with its
 * line. */
#include "config_text.h"

#include <sys/stat.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_full),    cmocka_unit_test(test_defaults), cmocka_unit_test(test_not_yaml),
	    cmocka_unit_test(test_shape),   cmocka_unit_test(test_server),   cmocka_unit_test(test_fast_path),
	    cmocka_unit_test(test_cookies), cmocka_unit_test(test_keys),     cmocka_unit_test(test_secret_file),
	    cmocka_unit_test(test_mutated),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}

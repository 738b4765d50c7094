/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Queries over TLS: who is taken for the primary and who is not, and that the line says why. */
#include "exchange_world.h"
#include "tls_certificates.h"

#include <signal.h>
#include <sys/stat.h>

#define CA_FILE "authority.pem"
#define NAME "ns1.example"

struct certificates {
	char directory[32];
	struct certificate authority, other_authority, good, expired, early, foreign, address, client;
};

static struct certificates *made;

static void path_of(char *path, const char *name)
{
	snprintf(path, 100, "%s/%s", made->directory, name);
}

static int make_certificates(void **state)
{
	char path[100], key[100];

	signal(SIGPIPE, SIG_IGN);
	made = calloc(1, sizeof(*made));
	strcpy(made->directory, "/tmp/peregrine-tls-XXXXXX");
	assert_non_null(mkdtemp(made->directory));
	certificate_make(&made->authority, "authority", NULL, -10, 10);
	certificate_make(&made->other_authority, "another", NULL, -10, 10);
	certificate_make(&made->good, NAME, &made->authority, -1, 5);
	certificate_make(&made->expired, NAME, &made->authority, -9, -3);
	certificate_make(&made->early, NAME, &made->authority, 3, 5);
	certificate_make(&made->foreign, NAME, &made->other_authority, -1, 5);
	certificate_make(&made->address, "by-address.example", &made->authority, -1, 5);
	certificate_make(&made->client, "us.example", &made->authority, -1, 5);
	umask(077);
	path_of(path, CA_FILE);
	certificate_write(&made->authority, path, NULL);
	path_of(path, "client.pem");
	path_of(key, "client.key");
	certificate_write(&made->client, path, key);
	path_of(path, "good.pem");
	path_of(key, "good.key");
	certificate_write(&made->good, path, key);
	return 0;
}

static int drop_certificates(void **state)
{
	static const char *const files[] = {CA_FILE, "client.pem", "client.key", "good.pem", "good.key", "empty", ""};
	char path[100];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		path_of(path, files[i]);
		remove(path);
	}
	certificate_drop(&made->authority);
	certificate_drop(&made->other_authority);
	certificate_drop(&made->good);
	certificate_drop(&made->expired);
	certificate_drop(&made->early);
	certificate_drop(&made->foreign);
	certificate_drop(&made->address);
	certificate_drop(&made->client);
	free(made);
	return 0;
}

static void echo(struct stream *stream)
{
	uint8_t wire[STREAM_ROOM];
	size_t length;

	while (stream_query(stream, wire, &length))
		stream_answer(stream, wire, length);
}

/* Each query is answered by a hundred messages of all sizes. */
static void many(struct stream *stream)
{
	static uint8_t wire[STREAM_ROOM];
	size_t length;

	while (stream_query(stream, wire, &length))
		for (size_t i = 0; i < 100; i++)
			if (!stream_answer(stream, wire, i % 2 ? STREAM_ROOM : 12 + i * i))
				return;
}

static struct exchange_world *world_of(const struct certificate *server, void (*serve)(struct stream *stream))
{
	struct exchange_world *world = exchange_world_open(serve);

	world->server.credentials = certificate_credentials(server, &made->authority);
	world->server.protocol = "dot";
	return world;
}

static void close_world(struct exchange_world *world)
{
	gnutls_certificate_credentials_t credentials = world->server.credentials;
	struct tls_profile *profile = world->peer.tls;

	exchange_world_close(world);
	tls_profile_unref(profile);
	if (credentials != NULL)
		gnutls_certificate_free_credentials(credentials);
}

static struct tls_profile *profile_of(struct tls_settings settings)
{
	char why[TLS_WHY] = "";
	enum tls_part part;
	struct tls_profile *profile;

	settings.name = "test";
	profile = tls_profile_new(&settings, &part, why);
	if (profile == NULL)
		fail_msg("no profile: %s", why);
	return profile;
}

static struct tls_profile *verifying(const char *name)
{
	char path[100];

	path_of(path, CA_FILE);
	return profile_of((struct tls_settings){.server_name = name, .ca_file = path});
}

/* One query; asserts how it ends. `why` NULL: well. The beginning is compared, behind "TLS: ". */
static void expect(struct exchange_world *world, const char *why)
{
	struct asked *asked = ask(world, 77, 1);

	finish(world, world->count);
	if (why == NULL && asked->failed)
		fail_msg("failed: %s", asked->why);
	if (why == NULL)
		return;
	assert_true(asked->failed);
	if (strncmp(asked->why, "TLS: ", 5) != 0 || strncmp(asked->why + 5, why, strlen(why)) != 0)
		fail_msg("wanted `TLS: %s`, got `%s`", why, asked->why);
	assert_int_equal(asked->messages, 0);
	assert_int_equal(world->server.queries, 0);
	/* Who answers, if only by refusing, is not silent. */
	assert_int_equal(asked->tls, strstr(why, "took too long") != NULL ? EXCHANGE_TLS_SILENT : EXCHANGE_TLS_REFUSED);
}

/* ---- who is taken ---- */

static void test_opportunistic(void **state)
{
	const struct certificate *servers[] = {&made->good, &made->expired, &made->foreign};

	for (int i = 0; i < 3; i++) {
		struct exchange_world *world = world_of(servers[i], echo);

		world->peer.tls = profile_of((struct tls_settings){.name = ""});
		expect(world, NULL);
		close_world(world);
	}
}

static void day_of(int days, char *text)
{
	time_t when = time(NULL) + days * 86400L;

	strftime(text, 32, "%Y-%m-%d", gmtime(&when));
}

static void test_verified(void **state)
{
	char expired[64] = "the server's certificate expired on ", early[64] = "the server's certificate is not valid "
	                                                                       "before ";
	char foreign[200];
	const struct {
		const struct certificate *server;
		const char *name, *why;
	} cases[] = {
	    {&made->good, NAME, NULL},
	    {&made->good, "ns2.example", "the server's certificate is not for ns2.example but for ns1.example"},
	    {&made->expired, NAME, expired},
	    {&made->early, NAME, early},
	    {&made->foreign, NAME, foreign},
	    {&made->address, NULL, NULL}, /* for the address that is asked */
	    {&made->good, NULL, "the server's certificate is not for 127.0.0.1 but for ns1.example"},
	};

	day_of(-3, expired + strlen(expired));
	day_of(3, early + strlen(early));
	snprintf(foreign, sizeof(foreign), "the server's certificate is not signed by an authority of %s/" CA_FILE,
	         made->directory);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct exchange_world *world = world_of(cases[i].server, echo);

		world->peer.tls = verifying(cases[i].name);
		expect(world, cases[i].why);
		close_world(world);
	}
}

static void test_pins(void **state)
{
	uint8_t pins[2][TLS_PIN_SIZE] = {{1, 2, 3}};
	gnutls_datum_t raw = {.data = pins[1], .size = TLS_PIN_SIZE}, text;
	struct exchange_world *world = world_of(&made->expired, echo);
	char why[256];

	certificate_pin(&made->expired, pins[1]);
	world->peer.tls = profile_of((struct tls_settings){.pins = pins, .pin_count = 2});
	expect(world, NULL);
	close_world(world);
	world = world_of(&made->expired, echo);
	world->peer.tls = profile_of((struct tls_settings){.pins = pins, .pin_count = 1});
	assert_int_equal(gnutls_base64_encode2(&raw, &text), 0);
	snprintf(why, sizeof(why),
	         "no pin matches: the server's key is %.*s; if that is right, add it to the pins of "
	         "tls test",
	         (int)text.size, text.data);
	gnutls_free(text.data);
	expect(world, why);
	close_world(world);
	/* The right key does not make up for the wrong name. */
	world = world_of(&made->good, echo);
	certificate_pin(&made->good, pins[0]);
	char path[100];
	path_of(path, CA_FILE);
	world->peer.tls = profile_of(
	    (struct tls_settings){.pins = pins, .pin_count = 1, .ca_file = path, .server_name = "x.example"});
	expect(world, "the server's certificate is not for x.example");
	close_world(world);
}

static void test_mutual(void **state)
{
	char certificate[100], key[100];
	struct exchange_world *world = world_of(&made->good, echo);

	path_of(certificate, "client.pem");
	path_of(key, "client.key");
	world->server.wants_client = true;
	world->peer.tls = profile_of((struct tls_settings){.certificate = certificate, .private_key = key});
	expect(world, NULL);
	close_world(world);
	/* The server says so after the handshake as we see it. */
	world = world_of(&made->good, echo);
	world->server.wants_client = true;
	world->peer.tls = profile_of((struct tls_settings){.name = ""});
	expect(world, "the server asks for a client certificate; give tls test certificate and private-key");
	close_world(world);
}

/* ---- who does not speak it ---- */

static void silent(struct stream *stream)
{
	stream_waits(stream, 300);
	stream_read(stream, (uint8_t[1]){0}, 1);
	usleep(300000);
}

static void babbles(struct stream *stream)
{
	stream_write(stream, (const uint8_t *)"220 mail.example ESMTP\r\n", 24);
	usleep(100000);
}

static void hangs_up(struct stream *stream)
{
	stream_read(stream, (uint8_t[1]){0}, 1);
}

static void test_protocols(void **state)
{
	static const struct {
		const char *priority, *protocol;
		void (*plain)(struct stream *stream);
		const char *why;
	} cases[] = {
	    {NULL, NULL, NULL,
	     "the server chose no ALPN dot, which RFC 9103 asks for; if it cannot (NSD), write alpn: "
	     "optional in tls test"},
	    {NULL, "h2", NULL, "the server chose no ALPN dot"},
	    {"NORMAL:-VERS-ALL:+VERS-TLS1.2", "dot", NULL, "the server finds nothing in common with us"},
	    {NULL, NULL, babbles, "what the server speaks is not TLS"},
	    {NULL, NULL, hangs_up, ""},
	    {NULL, NULL, silent, "the handshake took too long"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct exchange_world *world = exchange_world_open(cases[i].plain != NULL ? cases[i].plain : echo);

		pool_limits.handshake = 150;
		if (cases[i].plain == NULL) {
			pool_limits.handshake = 5000;
			world->server.credentials = certificate_credentials(&made->good, NULL);
		}
		world->server.priority = cases[i].priority;
		world->server.protocol = cases[i].protocol;
		world->peer.tls = profile_of((struct tls_settings){.name = ""});
		if (cases[i].why[0] != '\0') {
			expect(world, cases[i].why);
		} else {
			struct asked *asked = ask(world, 1, 1);

			/* With octets of ours unread the end is a reset. */
			finish(world, 1);
			assert_true(asked->failed);
			assert_false(asked->messages);
			assert_int_equal(asked->tls, EXCHANGE_TLS_REFUSED);
		}
		close_world(world);
	}
}

static void test_alpn_optional(void **state)
{
	struct exchange_world *world = world_of(&made->good, echo);

	world->server.protocol = NULL;
	world->peer.tls = profile_of((struct tls_settings){.alpn_optional = true});
	expect(world, NULL);
	close_world(world);
}

/* ---- octets ---- */

static void test_many(void **state)
{
	struct exchange_world *world = world_of(&made->good, many);
	size_t octets = 0;

	for (size_t i = 0; i < 100; i++)
		octets += i % 2 ? STREAM_ROOM : 12 + i * i;
	world->peer.tls = verifying(NAME);
	for (uint16_t i = 0; i < 6; i++)
		ask(world, i, 100);
	finish(world, 6);
	for (unsigned i = 0; i < 6; i++) {
		assert_false(world->asked[i].failed);
		assert_int_equal(world->asked[i].octets, octets);
	}
	assert_int_equal(world->server.accepted, 1);
	close_world(world);
}

/* In the clear and over TLS are two connections; so are two profiles, unless they say the same. */
static void test_profiles_apart(void **state)
{
	struct exchange_world *world = world_of(&made->good, echo);
	struct tls_profile *first = verifying(NAME), *same = verifying(NAME), *other = verifying(NULL);

	assert_true(tls_profile_same(first, same));
	assert_false(tls_profile_same(first, other));
	assert_false(tls_profile_same(first, NULL));
	assert_true(tls_profile_same(NULL, NULL));
	world->peer.tls = first;
	expect(world, NULL);
	world->peer.tls = same;
	expect(world, NULL);
	assert_int_equal(world->server.accepted, 1);
	world->peer.tls = other;
	assert_true(ask(world, 3, 1) != NULL);
	finish(world, 3);
	assert_int_equal(world->server.accepted, 2);
	assert_true(world->asked[2].failed);
	/* A connection goes on with its profile when the configuration has let go of it. */
	world->peer.tls = first;
	tls_profile_unref(same);
	tls_profile_unref(other);
	expect(world, NULL);
	close_world(world);
}

/* ---- files ---- */

static void expect_no_profile(struct tls_settings settings, enum tls_part blamed, const char *cause)
{
	char why[TLS_WHY] = "";
	enum tls_part part;

	settings.name = "test";
	assert_null(tls_profile_new(&settings, &part, why));
	assert_int_equal(part, blamed);
	if (strstr(why, cause) == NULL)
		fail_msg("wanted `%s`, got `%s`", cause, why);
}

static void test_files(void **state)
{
	char certificate[100], key[100], other[100], nothing[100], empty[100];
	const gnutls_datum_t none = {.data = (unsigned char *)"nothing\n", .size = 8};

	path_of(certificate, "client.pem");
	path_of(key, "client.key");
	path_of(other, "good.key");
	path_of(nothing, "nothing");
	path_of(empty, "empty");
	certificate_write_file(empty, &none);
	expect_no_profile((struct tls_settings){.ca_file = nothing}, TLS_PART_CA_FILE, "cannot open: No such file");
	expect_no_profile((struct tls_settings){.ca_file = empty}, TLS_PART_CA_FILE, "no certificate in it");
	expect_no_profile((struct tls_settings){.ca_file = made->directory}, TLS_PART_CA_FILE, "not a regular file");
	expect_no_profile((struct tls_settings){.certificate = empty, .private_key = key}, TLS_PART_CERTIFICATE,
	                  "no certificate in it");
	expect_no_profile((struct tls_settings){.certificate = certificate, .private_key = empty}, TLS_PART_PRIVATE_KEY,
	                  "no private key in it");
	expect_no_profile((struct tls_settings){.certificate = certificate, .private_key = other}, TLS_PART_PRIVATE_KEY,
	                  "not the key of the certificate");
	assert_int_equal(chmod(key, 0644), 0);
	expect_no_profile((struct tls_settings){.certificate = certificate, .private_key = key}, TLS_PART_PRIVATE_KEY,
	                  "can be read by every user");
	assert_int_equal(chmod(key, 0600), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_opportunistic), cmocka_unit_test(test_verified),
	    cmocka_unit_test(test_pins),          cmocka_unit_test(test_mutual),
	    cmocka_unit_test(test_protocols),     cmocka_unit_test(test_alpn_optional),
	    cmocka_unit_test(test_many),          cmocka_unit_test(test_profiles_apart),
	    cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests_name("tls", tests, make_certificates, drop_certificates);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a version has to stand before it is served: ZONEMD with the examples of RFC 8976, the size, a command's word. */
#include "verify/verify.h"
#include "zone_text.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD                                                                                                           \
	"example. 86400 IN SOA ns1 admin 2018031900 1800 900 604800 86400\n"                                           \
	"example. 86400 IN NS ns1\n"                                                                                   \
	"example. 86400 IN NS ns2\n"
#define SIMPLE "c68090d90a7aed716bc459f9340e3d7c1370d4d24b7e2fc3a1ddc0b9a87153b9a9713b3c9ae5cc27777f98b8e730044c"
#define HOSTS                                                                                                          \
	"ns1 3600 IN A 203.0.113.63\n"                                                                                 \
	"ns2 3600 IN AAAA 2001:db8::63\n"

static char why[VERIFY_WHY];

static int check(const char *origin, const char *text, enum config_zonemd rule)
{
	struct zone_version *version = zone_text(origin, text);
	int result = verify_zonemd(version, rule, why);

	zone_unref(version);
	return result;
}

/* ---- ZONEMD ---- */

/* RFC 8976 appendix A.1 to A.3. */
static const char complex_zone[] =
    HEAD "example. 86400 IN ZONEMD 2018031900 1 1 "
         "a3b69bad980a3504e1cffcb0fd6397f93848071c93151f552ae2f6b1711d4bd2d8b39808226d7b9db71e34b72077f8fe\n"
         "ns1 3600 IN A 203.0.113.63\n"
         "NS2 3600 IN AAAA 2001:db8::63\n"
         "occluded.sub 7200 IN TXT \"I'm occluded but must be digested\"\n"
         "sub 7200 IN NS ns1\n"
         "duplicate 300 IN TXT \"I must be digested just once\"\n"
         "duplicate 300 IN TXT \"I must be digested just once\"\n"
         "UPPERCASE 3600 IN TXT \"canonicalize uppercase owner names\"\n"
         "* 777 IN PTR dont-forget-about-wildcards\n"
         "mail 3600 IN MX 20 MAIL1\n"
         "mail 3600 IN MX 10 Mail2.Example.\n"
         "sortme 3600 IN AAAA 2001:db8::5:61\n"
         "sortme 3600 IN AAAA 2001:db8::3:62\n"
         "sortme 3600 IN AAAA 2001:db8::4:63\n"
         "sortme 3600 IN AAAA 2001:db8::1:65\n"
         "sortme 3600 IN AAAA 2001:db8::2:64\n"
         "non-apex 900 IN ZONEMD 2018031900 1 1 "
         "616c6c6f776564206275742069676e6f7265642e20616c6c6f776564206275742069676e6f7265642e20616c6c6f7765\n";

static const char several[] = HEAD
    "example. 86400 IN ZONEMD 2018031900 1 1 "
    "62e6cf51b02e54b9b5f967d547ce43136792901f9f88e637493daaf401c92c279dd10f0edb1c56f8080211f8480ee306\n"
    "example. 86400 IN ZONEMD 2018031900 1 2 "
    "08cfa1115c7b948c4163a901270395ea226a930cd2cbcf2fa9a5e6eb85f37c8a4e114d884e66f176eab121cb02db7d652e0cc4827e7a3204"
    "f166b47e5613fd27\n"
    "example. 86400 IN ZONEMD 2018031900 1 240 e2d523f654b9422a96c5a8f44607bbee\n"
    "example. 86400 IN ZONEMD 2018031900 241 1 "
    "e1846540e33a9e4189792d18d5d131f605fc283eaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
    "ns1 3600 IN A 203.0.113.63\n"
    "ns2 86400 IN TXT \"This example has multiple digests\"\n"
    "NS2 3600 IN AAAA 2001:db8::63\n";

static void test_rfc_examples(void **state)
{
	static const char simple[] = HEAD "example. 86400 IN ZONEMD 2018031900 1 1 " SIMPLE "\n" HOSTS;
	char other[sizeof(several)];
	char *at;

	assert_int_equal(0, check("example.", simple, CONFIG_ZONEMD_REQUIRED));
	assert_int_equal(0, check("example.", complex_zone, CONFIG_ZONEMD_REQUIRED));
	assert_int_equal(0, check("example.", several, CONFIG_ZONEMD_REQUIRED));
	/* One that fits is enough, be it SHA-512 or SHA-384. */
	for (int i = 0; i < 2; i++) {
		strcpy(other, several);
		at = strstr(other, i ? "62e6cf" : "08cfa1");
		*at = 'f';
		assert_int_equal(0, check("example.", other, CONFIG_ZONEMD_IF_PRESENT));
	}
	at = strstr(other, "08cfa1");
	*at = 'f';
	assert_int_equal(-1, check("example.", other, CONFIG_ZONEMD_IF_PRESENT));
}

static void test_zonemd_wrong(void **state)
{
	static const char simple[] = HEAD "example. 86400 IN ZONEMD 2018031900 1 1 " SIMPLE "\n" HOSTS;
	char text[sizeof(simple) + 200];

	/* Every octet of a record counts: an address, a TTL, a name. */
	static const struct {
		const char *was, *becomes;
	} changes[] = {{"203.0.113.63", "203.0.113.64"}, {"ns1 3600", "ns1 3601"}, {"ns2 3600 IN", "ns3 3600 IN"}};

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		strcpy(text, simple);
		memcpy(strstr(text, changes[i].was), changes[i].becomes, strlen(changes[i].was));
		assert_int_equal(-1, check("example.", text, CONFIG_ZONEMD_IF_PRESENT));
		assert_non_null(strstr(why, "does not fit the records"));
		assert_int_equal(0, check("example.", text, CONFIG_ZONEMD_OFF));
	}
	snprintf(text, sizeof(text), "%swww 60 IN A 192.0.2.1\n", simple);
	assert_int_equal(-1, check("example.", text, CONFIG_ZONEMD_IF_PRESENT));
	strcpy(text, simple);
	memcpy(strstr(text, "ZONEMD 2018031900"), "ZONEMD 2018031901", 17);
	assert_int_equal(-1, check("example.", text, CONFIG_ZONEMD_IF_PRESENT));
	assert_non_null(strstr(why, "of serial 2018031901, and the zone of serial 2018031900"));
	/* Two of a kind are none. */
	snprintf(text, sizeof(text), "%sexample. 86400 IN ZONEMD 2018031900 1 1 %.94s00\n", simple, SIMPLE);
	assert_int_equal(-1, check("example.", text, CONFIG_ZONEMD_IF_PRESENT));
}

static void test_zonemd_absent(void **state)
{
	static const char unknown[] = HEAD "example. 86400 IN ZONEMD 1 240 1 e2d523f654b9422a96c5a8f44607bbee\n" HOSTS;

	assert_int_equal(0, check("example.", HEAD HOSTS, CONFIG_ZONEMD_IF_PRESENT));
	assert_int_equal(-1, check("example.", HEAD HOSTS, CONFIG_ZONEMD_REQUIRED));
	assert_non_null(strstr(why, "no ZONEMD"));
	assert_int_equal(0, check("example.", unknown, CONFIG_ZONEMD_IF_PRESENT));
	assert_int_equal(-1, check("example.", unknown, CONFIG_ZONEMD_REQUIRED));
}

/* ---- size ---- */

static struct zone_version *hosts(unsigned names, unsigned records)
{
	char *text = malloc(512 + (size_t)names * records * 64), *at = text;
	struct zone_version *version;

	at += sprintf(at, "%s", HEAD);
	for (unsigned i = 0; i < names; i++)
		for (unsigned j = 0; j < records; j++)
			at += sprintf(at, "h%u.below 60 IN A 192.0.2.%u\n", i, j);
	version = zone_text("example.", text);
	free(text);
	return version;
}

static struct verify_size size_of(unsigned names, unsigned records)
{
	struct zone_version *version = hosts(names, records);
	struct verify_size size = verify_measure(version);

	zone_unref(version);
	return size;
}

static void test_shrink(void **state)
{
	struct verify_size before = size_of(98, 2), now = size_of(48, 2);

	/* The apex and an empty non-terminal are names too; SOA and NS are records. */
	assert_int_equal(100, before.names);
	assert_int_equal(98 * 2 + 3, before.records);
	before.records = 0;
	assert_int_equal(0, verify_shrink(&before, &now, 50, why));
	assert_int_equal(-1, verify_shrink(&before, &now, 49, why));
	now = size_of(47, 2);
	assert_int_equal(-1, verify_shrink(&before, &now, 50, why));
	assert_non_null(strstr(why, "lost 51 of 100 names"));
	assert_int_equal(0, verify_shrink(&before, &now, 0, why));
	now = size_of(0, 0);
	assert_int_equal(0, verify_shrink(&before, &now, 99, why));
	assert_int_equal(-1, verify_shrink(&before, &now, 98, why));
	/* As many names with half of the records. */
	before = size_of(98, 4);
	now = size_of(98, 1);
	assert_int_equal(-1, verify_shrink(&before, &now, 50, why));
	assert_non_null(strstr(why, "records"));
	/* Their number before is not known, after a restart. */
	before.records = 0;
	assert_int_equal(0, verify_shrink(&before, &now, 50, why));
	/* Small zones may. */
	before = size_of(VERIFY_SHRINK_NAMES - 3, 1);
	now = size_of(0, 0);
	assert_int_equal(0, verify_shrink(&before, &now, 50, why));
}

/* The names that the image counts, and those of signing not. */
static void test_measure_as_image(void **state)
{
	static const char text[] =
	    HEAD HOSTS "a.b.c 60 IN A 192.0.2.1\n"
	               "cut 60 IN NS ns.cut\n"
	               "ns.cut 60 IN A 192.0.2.1\n"
	               "* 60 IN NS elsewhere.test.\n"
	               "below.* 60 IN A 192.0.2.1\n"
	               "d 60 IN DNAME elsewhere.test.\n"
	               "x.d 60 IN A 192.0.2.1\n"
	               "2vptu5timamqttgl4luu9kg21e0aor3s 60 IN NSEC3 1 0 0 - 2vptu5timamqttgl4luu9kg21e0aor3t A\n";
	struct image *image = image_open_with(NULL, NULL, 64 << 20, 53, 1232);
	struct zone_version *version = zone_text("example.", text);
	struct verify_size size = verify_measure(version);
	int64_t slot;

	zone_text_publish(image, "example.", text);
	slot = image_find_zone(image, version->apex);
	assert_true(slot >= 0);
	assert_int_equal(((const struct pg_head *)segments_at(&image->segments, image_head(image, slot).ref))->names,
	                 size.names);
	assert_int_equal(12, size.records);
	zone_unref(version);
	image_close(image);
}

/* ---- the command ---- */

struct place {
	char directory[64];
	char command[128];
};

static int make_place(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	strcpy(place->directory, "/tmp/peregrine-verify-XXXXXX");
	assert_non_null(mkdtemp(place->directory));
	snprintf(place->command, sizeof(place->command), "%s/judge", place->directory);
	*state = place;
	return 0;
}

static int remove_place(void **state)
{
	struct place *place = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", place->directory);
	assert_int_equal(0, system(command));
	free(place);
	return 0;
}

/* Has a shell script judge a zone. */
static int ask(struct place *place, const char *script, unsigned timeout_ms, const atomic_bool *cancelled)
{
	struct zone_version *version = hosts(3, 1);
	struct config_verify rules = {.command = place->command};
	struct verify_request request = {.rules = &rules,
	                                 .version = version,
	                                 .zone = "example",
	                                 .state_directory = place->directory,
	                                 .cancelled = cancelled};
	FILE *file = fopen(place->command, "w");
	int result;

	assert_non_null(file);
	fprintf(file, "#!/bin/sh\n%s\n", script);
	fclose(file);
	chmod(place->command, 0700);
	why[0] = '\0';
	result = verify_command(&request, timeout_ms, why);
	zone_unref(version);
	return result;
}

static void test_command(void **state)
{
	struct place *place = *state;

	assert_int_equal(0, ask(place, "exit 0", 5000, NULL));
	assert_int_equal(
	    0, ask(place, "test $PEREGRINE_ZONE = example && test $PEREGRINE_SERIAL = 2018031900", 5000, NULL));
	/* The SOA first, and every record. */
	assert_int_equal(0,
	                 ask(place, "read owner ttl type rest && test $type = SOA && test $(wc -l) = 5", 5000, NULL));
	assert_int_equal(-1, ask(place, "echo no such delegation >&2; echo more >&2; exit 3", 5000, NULL));
	assert_non_null(strstr(why, "/judge: no such delegation"));
	assert_null(strstr(why, "more"));
	assert_int_equal(-1, ask(place, "exit 3", 5000, NULL));
	assert_non_null(strstr(why, "exit status 3"));
	assert_int_equal(-1, ask(place, "kill -9 $$", 5000, NULL));
	assert_non_null(strstr(why, "signal 9"));
	/* It gets no file but the three, and what it says is no more than a line of text. */
	assert_int_equal(40, dup2(1, 40));
	assert_int_equal(0, ask(place, "test ! -e /proc/$$/fd/40", 5000, NULL));
	close(40);
	assert_int_equal(-1, ask(place, "printf 'a\\033[31mb' >&2; head -c 1000000 /dev/zero >&2; exit 1", 5000, NULL));
	assert_non_null(strstr(why, "a?[31mb"));
	/* It may leave its input unread. */
	assert_int_equal(0, ask(place, "exec <&-; exit 0", 5000, NULL));
}

static void test_command_time(void **state)
{
	struct place *place = *state;
	atomic_bool cancelled = true;

	assert_int_equal(-1, ask(place, "sleep 60 & sleep 60", 200, NULL));
	assert_non_null(strstr(why, "took longer than 200 ms"));
	assert_int_equal(-1, ask(place, "exec 2>&-; sleep 60", 200, NULL));
	assert_int_equal(-1, ask(place, "sleep 60", 60000, &cancelled));
	unlink(place->command);
	struct config_verify rules = {.command = place->command};
	struct zone_version *version = hosts(1, 1);
	struct verify_request request = {
	    .rules = &rules, .version = version, .zone = "example", .state_directory = place->directory};

	assert_int_equal(-1, verify_command(&request, 1000, why));
	assert_non_null(strstr(why, "cannot be run: No such file"));
	zone_unref(version);
}

/* ---- what is kept ---- */

static unsigned count_kept(const char *directory, const char *name)
{
	char path[128];
	unsigned count = 0;
	DIR *stream;

	snprintf(path, sizeof(path), "%s/refused", directory);
	stream = opendir(path);
	assert_non_null(stream);
	for (struct dirent *entry; (entry = readdir(stream));)
		count += !strncmp(entry->d_name, name, strlen(name));
	closedir(stream);
	return count;
}

static void test_kept(void **state)
{
	struct place *place = *state;
	char text[1024];
	char *path;
	struct stat status;

	for (unsigned serial = 1; serial <= 4; serial++) {
		struct zone_version *version;

		snprintf(text, sizeof(text), "example. 60 IN SOA ns1 admin %u 1 1 1 1\nexample. 60 IN NS ns1\n",
		         serial);
		version = zone_text("example.", text);
		path = verify_keep(place->directory, version, "it is wrong", why);
		assert_non_null(path);
		assert_int_equal(0, stat(path, &status));
		assert_int_equal(0600, status.st_mode & 0777);
		if (serial < 4)
			free(path);
		zone_unref(version);
		usleep(20000); /* the order is told by the time */
	}
	assert_int_equal(2, count_kept(place->directory, "example."));
	assert_non_null(strstr(path, "/refused/example.4.zone"));
	FILE *file = fopen(path, "r");

	assert_non_null(fgets(text, sizeof(text), file));
	assert_string_equal("; refused: it is wrong\n", text);
	assert_non_null(fgets(text, sizeof(text), file));
	assert_non_null(strstr(text, "SOA\tns1.example. admin.example. 4 1 1 1 1"));
	fclose(file);
	free(path);
	/* A name is a file's name, whatever it is. */
	struct zone_version *version = zone_text("0/25.example.", "@ 60 IN SOA a b 7 1 1 1 1\n@ 60 IN NS a\n");

	path = verify_keep(place->directory, version, "x", why);
	assert_non_null(path);
	assert_non_null(strstr(path, "/refused/0%2F25.example.7.zone"));
	free(path);
	path = verify_keep("/proc/nowhere", version, "x", why);
	assert_null(path);
	assert_non_null(strstr(why, "/proc/nowhere/refused: "));
	zone_unref(version);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rfc_examples),
	    cmocka_unit_test(test_zonemd_wrong),
	    cmocka_unit_test(test_zonemd_absent),
	    cmocka_unit_test(test_shrink),
	    cmocka_unit_test(test_measure_as_image),
	    cmocka_unit_test_setup_teardown(test_command, make_place, remove_place),
	    cmocka_unit_test_setup_teardown(test_command_time, make_place, remove_place),
	    cmocka_unit_test_setup_teardown(test_kept, make_place, remove_place),
	};

	return cmocka_run_group_tests_name("verify", tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The signatures of a zone that a signer in use made, and every way to spoil them. */
#include "really_signed.h"
#include "verify/verify.h"
#include "zone_text.h"

#define IN_TIME 1800000000U /* 2027 */

static char why[VERIFY_WHY];

static int check(const char *text, uint64_t now)
{
	struct zone_version *version = zone_text("small.example.", text);
	struct verify_request request = {.version = version};
	int result;

	why[0] = '\0';
	result = verify_dnssec(&request, now, why);
	zone_unref(version);
	return result;
}

static void expect(const char *text, uint64_t now, const char *cause)
{
	assert_int_equal(-1, check(text, now));
	if (!strstr(why, cause))
		fail_msg("\"%s\" is not in: %s", cause, why);
}

/* The zone without the lines that have `what` in them. */
static const char *without(const char *what)
{
	static char text[sizeof(really_signed)];
	char *out = text;

	for (const char *line = really_signed, *end; *line; line = end + 1) {
		end = strchr(line, '\n');
		const char *found = strstr(line, what);

		if (found && found < end)
			continue;
		memcpy(out, line, end + 1 - line);
		out += end + 1 - line;
	}
	*out = '\0';
	assert_true(strlen(text) < strlen(really_signed));
	return text;
}

static const char *with(const char *was, const char *becomes)
{
	static char text[sizeof(really_signed)];

	assert_int_equal(strlen(was), strlen(becomes));
	strcpy(text, really_signed);
	assert_non_null(strstr(text, was));
	memcpy(strstr(text, was), becomes, strlen(was));
	return text;
}

static void test_good(void **state)
{
	char glue[sizeof(really_signed) + 100];

	if (check(really_signed, IN_TIME))
		fail_msg("%s", why);
	/* What is below a cut or a DNAME, and NS at a cut, is not the zone's to sign. */
	snprintf(glue, sizeof(glue), "%sx.cut.small.example. 60 IN A 192.0.2.9\nx.d.small.example. 60 IN A 192.0.2.9\n",
	         really_signed);
	assert_int_equal(0, check(glue, IN_TIME));
}

static void test_time(void **state)
{
	expect(really_signed, 1500000000, "not valid yet");
	expect(really_signed, 2200000000, "an RRSIG has expired");
}

static void test_spoilt(void **state)
{
	expect(with("192.0.2.1", "192.0.2.7"), IN_TIME, "does not verify: ns1.small.example. A");
	expect(with("MX 10 Mail", "MX 11 Mail"), IN_TIME, "does not verify: small.example. MX");
	/* Case makes no difference where it is folded, and does in a TXT. */
	assert_int_equal(0, check(with("MX 10 Mail", "MX 10 mAIL"), IN_TIME));
	expect(with("\"wild\"", "\"Wild\""), IN_TIME, "*.small.example. TXT");
	expect(with("DS 12345", "DS 12346"), IN_TIME, "cut.small.example. DS");
	expect(without("RRSIG MX"), IN_TIME, "no RRSIG where one is due: small.example. MX");
	expect(without("RRSIG NSEC 13 3"), IN_TIME, "no RRSIG where one is due");
	expect(without("DNSKEY 256"), IN_TIME, "DNSKEY");
	expect(without("DNSKEY"), IN_TIME, "it is not signed");
}

static void test_added(void **state)
{
	char text[sizeof(really_signed) + 100];

	snprintf(text, sizeof(text), "%snew.small.example. 60 IN A 192.0.2.9\n", really_signed);
	expect(text, IN_TIME, "no RRSIG where one is due: new.small.example. A");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good),
	    cmocka_unit_test(test_time),
	    cmocka_unit_test(test_spoilt),
	    cmocka_unit_test(test_added),
	};

	return cmocka_run_group_tests_name("verify_dnssec", tests, NULL, NULL);
}

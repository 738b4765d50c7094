/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The zones that the program's tests ask for. */
#ifndef PEREGRINE_TESTS_ZONES_H
#define PEREGRINE_TESTS_ZONES_H

#include "world.h"

#include "../unit/signed_zone.h"

#define L16 "abcdefghijklmnop"
#define L48 L16 L16 L16
#define L63 L48 "abcdefghijklmno"

/* 255 octets, and 127 labels. */
#define LONG_NAME L63 "." L63 "." L63 "." L48 ".example.test."
#define A7 "a.a.a.a.a.a.a."
#define A125 "a.a.a.a.a.a." A7 A7 A7 A7 A7 A7 A7 A7 A7 A7 A7 A7 A7 A7 A7 A7 A7
#define A126 "a." A125

static const char example_zone[] =
    "@ 3600 SOA ns1 host 7 600 300 86400 60\n"
    "@ 3600 NS ns1\n@ NS ns.other.test.\n@ MX 10 mail\n"
    "ns1 A 192.0.2.1\nns1 AAAA 2001:db8::1\nmail A 192.0.2.8\nmail AAAA 2001:db8::8\n"
    "www A 192.0.2.2\nwww A 192.0.2.3\nwww AAAA 2001:db8::2\nwww TXT \"hello\" \"world\"\n"
    "a.b.c A 192.0.2.4\n"
    "*.w A 192.0.2.5\nno.w TXT \"block\"\n*.w.w2 TXT \"odd\"\n"
    "*.wc CNAME www\n*.wx CNAME www.other.test.\n"
    "alias CNAME www\nalias2 CNAME alias\nloop1 CNAME loop2\nloop2 CNAME loop1\n"
    "out CNAME www.elsewhere.test.\ngone CNAME nothing\nlate CNAME www.expired.test.\n"
    "deep CNAME www.sub\n"
    "sub NS ns.sub\nsub NS ns1\nns.sub A 192.0.2.6\nns.sub AAAA 2001:db8::6\nwww.sub A 192.0.2.7\n"
    "lame NS ns.elsewhere.test.\n"
    "ds NS ns1\nds DS 1 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"
    "x TYPE65400 \\# 3 010203\n_dns._udp SRV 0 5 53 ns1\n" LONG_NAME " A 192.0.2.9\n";

static inline void add_text(char *zone, size_t room, const char *format, ...) __attribute__((format(printf, 3, 4)));

static inline void add_text(char *zone, size_t room, const char *format, ...)
{
	size_t at = strlen(zone);
	va_list arguments;

	va_start(arguments, format);
	if (vsnprintf(zone + at, room - at, format, arguments) >= (int)(room - at))
		abort();
	va_end(arguments);
}

/* A TXT record of so many octets of rdata. */
static inline void add_octets(char *zone, size_t room, const char *owner, size_t octets)
{
	add_text(zone, room, "%s TXT", owner);
	while (octets) {
		/* Never one octet left over: a string takes a length octet and, here, at least one more. */
		size_t piece = octets > 256 ? octets == 257 ? 200 : 256 : octets;

		add_text(zone, room, " \"%.*s\"", (int)piece - 1, L63 L63 L63 L63 "xyz");
		octets -= piece;
	}
	add_text(zone, room, "\n");
}

/* Replies of an exact size: "e512" with a question of 12 + 17 + 4 octets and one RR of 12 + rdata. */
#define SIZED_RDATA(size) ((size) - (12 + 17 + 4) - 12)

static inline void make_sized_zone(char *zone, size_t room)
{
	strcpy(zone, "@ SOA ns host 1 1 1 1 60\n@ NS ns\nns A 192.0.2.1\n");
	add_octets(zone, room, "e512", SIZED_RDATA(512));
	add_octets(zone, room, "e513", SIZED_RDATA(513));
	add_octets(zone, room, "eopt", SIZED_RDATA(1232 - 11));
	add_octets(zone, room, "eop1", SIZED_RDATA(1232 - 10));
	for (int i = 0; i < 40; i++)
		add_text(zone, room, "many A 10.0.0.%d\n", i);
	for (int i = 0; i < 13; i++) {
		add_text(zone, room, "crowd NS ns%d.crowd\nns%d.crowd A 192.0.2.%d\n", i, i, 100 + i);
		add_text(zone, room, "ns%d.crowd AAAA 2001:db8::%d\n", i, i);
	}
	for (int i = 1; i < 40; i++)
		add_text(zone, room, "n%d CNAME n%d\n", i, i - 1);
	add_text(zone, room, "n0 A 192.0.2.40\n");
	for (int i = 0; i < 70; i++)
		add_text(zone, room, "types TYPE65%d \\# 1 00\n", 300 + i);
	/* More targets and relocations than the program goes through, in replies that fit. */
	for (int i = 0; i < 33; i++)
		add_text(zone, room, "mx33 MX %d mx%d\nmx%d A 192.0.2.%d\n", i, i, i, i);
	for (int i = 0; i < 32; i++)
		add_text(zone, room, "mx32 MX %d mx%d\n", i, i);
	for (int i = 0; i < 66; i++)
		add_text(zone, room, "ptr PTR %c%c\nseventy A 10.0.1.%d\n", 'a' + i / 10, 'a' + i % 10, i);
	add_text(zone, room, "to-seventy CNAME seventy\n");
	for (int i = 0; i < 60; i++)
		add_octets(zone, room, "big", 1000 - i);
}

/* The same names in a zone for each kind of chain. */
static const char signed_names[] =
    "@ 3600 SOA ns1 host 7 600 300 86400 60\n@ 3600 NS ns1\nns1 A 192.0.2.1\n"
    "www A 192.0.2.2\nwww TXT \"hello\"\na.b.c A 192.0.2.3\n*.w A 192.0.2.4\n*.wc CNAME www\nalias CNAME www\n"
    "gone CNAME nothing\nd DNAME www.c\nd-www DNAME w\nsub NS ns.sub\nns.sub A 192.0.2.6\nins.deep NS ns.sub\n"
    "sec NS ns.elsewhere.test.\n"
    "sec DS 1 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"
    "*.t TXT \"t\"\np0 A 192.0.2.7\npppppppppp0 A 192.0.2.8\npppppppppp00 A 192.0.2.9\nloop CNAME loop\n";

/* With a wildcard of so many types: of more than 64 the program goes through none. */
static void publish_signed(const char *origin, int types, const struct signing *how)
{
	static char zone[20000];
	struct zone_version *version;
	char why[512] = "";

	strcpy(zone, signed_names);
	/* More names than one block has entries. */
	for (int i = 0; i < 200; i++)
		add_text(zone, sizeof(zone), "n%d A 192.0.2.%d\n", i, i);
	for (int i = 0; i < types; i++)
		add_text(zone, sizeof(zone), "*.many TYPE65%d \\# 1 00\n", 300 + i);
	version = signed_text(origin, zone, how);
	assert_true(image_add_zone(image, version->apex) >= 0);
	if (image_commit(image, version, FOREVER, ignore, NULL, why, sizeof(why)))
		fail_msg("%s: %s", origin, why);
	zone_unref(version);
}

static void make_zones(void)
{
	static char zone[200000];

	publish("example.test.", example_zone, FOREVER);
	publish("other.test.", "@ SOA ns host 1 1 1 1 60\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.33\n", FOREVER);
	publish("t.", "@ SOA ns host 1 1 1 1 60\n@ NS ns\nns A 192.0.2.1\n" A126 "t. A 192.0.2.127\n", FOREVER);
	publish("expired.test.", "@ SOA ns host 1 1 1 1 60\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.33\n", 1);
	publish_signed("nsec.test.", 1, &(struct signing){});
	publish_signed("nsec3.test.", 1,
	               &(struct signing){.nsec3 = true, .iterations = 3, .salt_length = 2, .salt = {1, 2}});
	publish_signed("optout.test.", 1, &(struct signing){.nsec3 = true, .opt_out = true});
	publish_signed("types.test.", 70, &(struct signing){});
	publish_signed("types3.test.", 70, &(struct signing){.nsec3 = true});
	publish_signed("slow.test.", 1, &(struct signing){.nsec3 = true, .iterations = 100, .salt_length = 255});
	publish_signed("slower.test.", 1, &(struct signing){.nsec3 = true, .iterations = 101});
	make_sized_zone(zone, sizeof(zone));
	publish("exact.test.", zone, FOREVER);
	assert_true(image_add_zone(image, (const uint8_t *)"\7loading\4test") >= 0);
}

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The zones that are measured on, as text: one of 1,000 names with an address each, the same signed with NSEC and with
 * NSEC3, and one with what the other kinds of answers need.
 *
 * Nobody checks a signature here, so that any 64 octets do for one of ECDSA P-256. The chains are right, since the
 * compiler gives no proof from one that is not.
 */
#include "bench.h"

#include "engine/engine.h"

#include <libknot/dname.h>
#include <stdio.h>
#include <stdlib.h>

#define START "@ SOA ns1 host 1 600 300 86400 60\n@ NS ns1\nns1 A 192.0.2.1\n"
#define NAMES_SIGNED (BENCH_NAMES + 2)

static void address(FILE *out, int number)
{
	fprintf(out, "h%04d A 10.0.%d.%d\n", number, number / 250, number % 250);
}

/* The signatures of an owner's RRsets, whose types stand there with spaces between. `labels`: of the owner. */
static void sign(FILE *out, const char *owner, int labels, const char *origin, const char *types)
{
	char type[16];
	int read;

	for (; sscanf(types, "%15s%n", type, &read) == 1; types += read)
		fprintf(out, "%s RRSIG %s 13 %d 3600 20380101000000 20240101000000 4711 %s %.86s==\n", owner, type,
		        labels, origin,
		        "PeregrinePeregrinePeregrinePeregrinePeregrinePeregrinePeregrinePeregrinePeregrinePeregrine");
}

/* Name `number` of a signed zone, in canonical order, and its types. */
static const char *owner_of(int number, char *text, size_t room)
{
	if (number == 0)
		return "@";
	if (number > BENCH_NAMES)
		return "ns1";
	snprintf(text, room, "h%04d", number - 1);
	return text;
}

static void zone_plain(FILE *out)
{
	fputs(START, out);
	for (int i = 0; i < BENCH_NAMES; i++)
		address(out, i);
}

static void zone_kinds(FILE *out)
{
	fputs(START "www A 192.0.2.2\ns NS ns.s\nns.s A 192.0.2.3\n*.w A 192.0.2.4\n", out);
	for (int i = 0; i < BENCH_NAMES; i++)
		fprintf(out, "c%04d CNAME www\n", i);
}

static void zone_nsec(FILE *out, const char *origin)
{
	fputs(START, out);
	for (int i = 0; i < NAMES_SIGNED; i++) {
		char room[2][16];
		const char *owner = owner_of(i, room[0], sizeof(room[0]));
		const char *next = owner_of((i + 1) % NAMES_SIGNED, room[1], sizeof(room[1]));
		const char *types = i ? "A NSEC" : "NS SOA NSEC";

		if (i && i <= BENCH_NAMES)
			address(out, i - 1);
		fprintf(out, "%s NSEC %s %s RRSIG\n", owner, next, types);
		sign(out, owner, i ? 3 : 2, origin, types);
	}
}

/* An NSEC3 record to be. */
struct hashed {
	uint64_t hash; /* its first 64 bits; all others are 0 */
	bool apex;
};

static int compare_hashed(const void *left, const void *right)
{
	const struct hashed *a = left, *b = right;

	return (a->hash > b->hash) - (a->hash < b->hash);
}

/* 20 octets in base32hex: 64 bits, of which the last of 13 digits holds four, and zeros. */
static const char *base32hex(uint64_t hash, char *text)
{
	for (int i = 0; i < 32; i++)
		text[i] = "0123456789abcdefghijklmnopqrstuv"[i < 12   ? hash >> (59 - 5 * i) & 31
		                                             : i > 12 ? 0
		                                                      : (hash & 15) << 1];
	text[32] = '\0';
	return text;
}

static void zone_nsec3(FILE *out, const char *origin)
{
	static struct hashed hashed[NAMES_SIGNED];
	knot_dname_storage_t name;
	char label[16], text[2][64];

	fputs(START "@ NSEC3PARAM 1 0 0 -\n", out);
	for (int i = 0; i < NAMES_SIGNED; i++) {
		const char *owner = owner_of(i, label, sizeof(label));

		if (i && i <= BENCH_NAMES)
			address(out, i - 1);
		sign(out, owner, i ? 3 : 2, origin, i ? "A" : "NS SOA NSEC3PARAM");
		snprintf(text[0], sizeof(text[0]), "%s%s%s", i ? owner : "", i ? "." : "", origin);
		knot_dname_from_str(name, text[0], sizeof(name));
		hashed[i] = (struct hashed){engine_nsec3_hash(0, NULL, 0, name, knot_dname_size(name)), i == 0};
	}
	qsort(hashed, NAMES_SIGNED, sizeof(hashed[0]), compare_hashed);
	for (int i = 0; i < NAMES_SIGNED; i++) {
		base32hex(hashed[i].hash, text[0]);
		fprintf(out, "%s NSEC3 1 0 0 - %s %s RRSIG\n", text[0],
		        base32hex(hashed[(i + 1) % NAMES_SIGNED].hash, text[1]),
		        hashed[i].apex ? "NS SOA NSEC3PARAM" : "A");
		sign(out, text[0], 3, origin, "NSEC3");
	}
}

char *zone_text(unsigned number, const char **origin)
{
	static const char *const origins[] = {"example.test.", "kinds.test.", "signed.test.", "hashed.test."};
	char *text = NULL;
	size_t length;
	FILE *out;

	*origin = number < sizeof(origins) / sizeof(origins[0]) ? origins[number] : NULL;
	out = *origin ? open_memstream(&text, &length) : NULL;
	if (!out)
		return NULL;
	if (number == 0)
		zone_plain(out);
	else if (number == 1)
		zone_kinds(out);
	else if (number == 2)
		zone_nsec(out, *origin);
	else
		zone_nsec3(out, *origin);
	fclose(out);
	return text;
}

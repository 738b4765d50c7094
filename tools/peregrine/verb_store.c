/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the store has: read there and not asked of the agent, so that it is to be had without one. */
#include "cli.h"
#include "output.h"
#include "store/store.h"
#include "zone/record_text.h"

#include <errno.h>
#include <libknot/libknot.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A zone of the store, open. */
struct stored {
	struct store *store;
	struct store_snapshot *snapshot;
	const char *zone; /* as written */
	bool json;
	struct record_text line;
};

/* Where the store is: of the configuration, else as the agent says, else where it is by default. */
static char *find_directory(const struct cli *cli)
{
	char *directory = NULL;
	json_t *status = NULL;

	if (!cli->state && client_ask(cli, "status", 0, NULL, NULL, true, &status) == CLI_OK) {
		const char *said = json_string_value(json_object_get(json_object_get(status, "store"), "directory"));

		if (said)
			directory = strdup(said);
		json_decref(status);
	}
	if (!directory && asprintf(&directory, "%s/store", cli->state ? cli->state : DEFAULT_STATE) < 0)
		directory = NULL;
	return directory;
}

static void close_stored(struct stored *stored)
{
	store_snapshot_end(stored->snapshot);
	if (stored->store)
		store_close(stored->store);
	record_text_free(&stored->line);
}

static enum cli_exit open_stored(const struct cli *cli, const char *zone, struct stored *stored)
{
	char why[512], *directory = find_directory(cli);
	knot_dname_storage_t apex;

	*stored = (struct stored){.zone = zone, .json = cli->json};
	if (!knot_dname_from_str(apex, zone, sizeof(apex))) {
		cli_error("%.255s is no name; write the name of a zone", zone);
		free(directory);
		return CLI_USAGE;
	}
	knot_dname_to_lower(apex);
	if (directory)
		stored->store = store_open_to_read(directory, why, sizeof(why));
	if (!stored->store)
		cli_error("%s; name the agent's configuration with -c FILE", directory ? why : "out of memory");
	else if (!(stored->snapshot = store_snapshot_begin(stored->store, apex)))
		cli_error("%.255s is not in %s; `peregrine zone-status` lists the zones", zone, directory);
	free(directory);
	if (stored->snapshot)
		return CLI_OK;
	close_stored(stored);
	return CLI_FAILED;
}

static enum cli_exit damaged(const struct stored *stored)
{
	cli_error("%.255s cannot be read whole from the store; `peregrine zone-retransfer %.255s` writes it anew",
	          stored->zone, stored->zone);
	return CLI_FAILED;
}

/* ---- records ---- */

/* A record as a JSON string, streamed: a zone may be larger than memory. */
static void put_json(FILE *out, const char *text, const char *before)
{
	json_t *string = json_stringn(text, strlen(text) - 1);

	fputs(before, out);
	if (string)
		json_dumpf(string, out, JSON_ENCODE_ANY);
	json_decref(string);
}

/* The records of an RRset, each behind `mark`. */
static int put_rrset(struct stored *stored, FILE *out, const char *mark, const struct store_rrset *rrset,
                     const char **comma)
{
	const uint8_t *at = rrset->rdata;

	for (uint32_t i = 0; i < rrset->count; i++) {
		uint16_t length;

		if (record_text_put(&stored->line, rrset->owner, rrset->type, rrset->ttl, at) < 0)
			return -1;
		if (stored->json) {
			put_json(out, stored->line.text, *comma);
			*comma = ",\n    ";
		} else {
			fputs(mark, out);
			fputs(stored->line.text, out);
		}
		memcpy(&length, at, sizeof(length));
		at += 2 + length;
	}
	return 0;
}

/* ---- zone-export ---- */

static enum cli_exit export_to(struct stored *stored, FILE *out)
{
	const char *comma = "\n    ";
	struct store_rrset rrset;
	int result;

	/* Programs that read master files want the SOA first. */
	if (store_snapshot_soa(stored->snapshot, &rrset))
		return damaged(stored);
	if (stored->json)
		fprintf(out, "{\n  \"serial\": %u,\n  \"records\": [", store_snapshot_zone(stored->snapshot)->serial);
	if (put_rrset(stored, out, "", &rrset, &comma))
		return damaged(stored);
	while ((result = store_snapshot_next(stored->snapshot, &rrset)) > 0)
		if (rrset.type != KNOT_RRTYPE_SOA && put_rrset(stored, out, "", &rrset, &comma))
			return damaged(stored);
	if (result < 0)
		return damaged(stored);
	if (stored->json)
		fputs("\n  ]\n}\n", out);
	return CLI_OK;
}

/* Beside the file, and then in its place: nobody finds half a zone there. */
static enum cli_exit export_to_file(struct stored *stored, const char *path)
{
	enum cli_exit exit = CLI_FAILED;
	char *beside = NULL;
	mode_t mask = umask(0);
	FILE *out = NULL;
	int file;

	umask(mask);
	if (asprintf(&beside, "%s.XXXXXX", path) < 0) {
		cli_error("out of memory");
		return CLI_FAILED;
	}
	file = mkstemp(beside);
	if (file >= 0 && !fchmod(file, 0666 & ~mask))
		out = fdopen(file, "w");
	if (out) {
		exit = export_to(stored, out);
		if (fclose(out) || (exit == CLI_OK && rename(beside, path))) {
			cli_error("%s: cannot be written: %s", path, strerror(errno));
			exit = CLI_FAILED;
		}
	} else {
		cli_error("%s: cannot be made: %s", beside, strerror(errno));
		if (file >= 0)
			close(file);
	}
	if (exit != CLI_OK && file >= 0)
		unlink(beside);
	free(beside);
	return exit;
}

/* What is no file is written to, and not replaced. */
static enum cli_exit export_to_device(struct stored *stored, const char *path)
{
	FILE *out = fopen(path, "we");
	enum cli_exit exit;

	if (!out) {
		cli_error("%s: cannot be opened: %s", path, strerror(errno));
		return CLI_FAILED;
	}
	exit = export_to(stored, out);
	if (fclose(out)) {
		cli_error("%s: cannot be written: %s", path, strerror(errno));
		exit = CLI_FAILED;
	}
	return exit;
}

enum cli_exit verb_zone_export(const struct cli *cli, int count, char **arguments)
{
	struct stored stored;
	struct stat status;
	enum cli_exit exit = open_stored(cli, arguments[0], &stored);

	if (exit != CLI_OK)
		return exit;
	if (count < 2 || strcmp(arguments[1], "-") == 0)
		exit = export_to(&stored, stdout);
	else if (stat(arguments[1], &status) == 0 && !S_ISREG(status.st_mode))
		exit = export_to_device(&stored, arguments[1]);
	else
		exit = export_to_file(&stored, arguments[1]);
	close_stored(&stored);
	return exit;
}

/* ---- zone-diff ---- */

static uint32_t serial_of(const struct store_rrset *soa)
{
	size_t at = 2 + knot_dname_size(soa->rdata + 2);

	return knot_wire_read_u32(soa->rdata + at + knot_dname_size(soa->rdata + at));
}

static enum cli_exit print_differences(struct stored *stored)
{
	static const char *const marks[] = {
	    [STORE_OLD_SOA] = "- ", [STORE_REMOVED] = "- ", [STORE_NEW_SOA] = "+ ", [STORE_ADDED] = "+ "};
	const char *comma = "", *next = "\n";
	struct store_rrset rrset;
	enum store_part part;
	int result;

	if (stored->json)
		putchar('[');
	while ((result = store_snapshot_next_change(stored->snapshot, &part, &rrset)) > 0) {
		if (part == STORE_OLD_SOA && stored->json) {
			printf("%s  {\n  \"from\": %u,\n  \"removed\": [", next, serial_of(&rrset));
			next = "\n  ]},\n";
			comma = "\n    ";
		} else if (part == STORE_OLD_SOA) {
			printf("; from serial %u\n", serial_of(&rrset));
		} else if (part == STORE_NEW_SOA && stored->json) {
			printf("\n  ],\n  \"to\": %u,\n  \"added\": [", serial_of(&rrset));
			comma = "\n    ";
		}
		if (put_rrset(stored, stdout, marks[part], &rrset, &comma))
			return damaged(stored);
	}
	if (result < 0)
		return damaged(stored);
	if (stored->json)
		puts(*comma ? "\n  ]}\n]" : "]");
	return CLI_OK;
}

static bool parse_serial(const char *text, uint32_t *out)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 10);

	*out = (uint32_t)value;
	return *text >= '0' && *text <= '9' && !*end && value <= UINT32_MAX;
}

enum cli_exit verb_zone_diff(const struct cli *cli, int count, char **arguments)
{
	struct stored stored;
	enum cli_exit exit;
	uint64_t octets;
	uint32_t from = 0;
	int there;

	if (count > 1 && !parse_serial(arguments[1], &from)) {
		cli_error("%.64s is no serial; write a number from 0 to %u", arguments[1], UINT32_MAX);
		return CLI_USAGE;
	}
	exit = open_stored(cli, arguments[0], &stored);
	if (exit != CLI_OK)
		return exit;
	if (count < 2)
		from = store_snapshot_zone(stored.snapshot)->previous;
	there = store_snapshot_changes(stored.snapshot, from, &octets);
	if (there < 0) {
		exit = damaged(&stored);
	} else if (!there) {
		cli_error("%.255s: nothing is known from serial %u on; the journal goes back to %u", arguments[0], from,
		          store_snapshot_zone(stored.snapshot)->journal_from);
		exit = CLI_FAILED;
	} else {
		exit = print_differences(&stored);
	}
	close_stored(&stored);
	return exit;
}

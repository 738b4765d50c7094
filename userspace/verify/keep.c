/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Versions that were refused, for people to look at: the last two of a zone. */
#include "verify/master.h"
#include "verify/verify.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libknot/libknot.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEPT 2
#define KEPT_OCTETS (64ULL << 20)
#define KEPT_TOTAL (1ULL << 30) /* of all zones, before another one is written */
#define STEM_ROOM 256
#define STEM_MOST 180 /* with serial and suffix a file name, 255 octets at most */

/* The zone's name as the beginning of a file name: what is no letter, digit, hyphen, underscore or inner dot stands as
 * %HH, and what would be too long ends in a hash. */
static void file_stem(const knot_dname_t *apex, char *stem)
{
	knot_dname_txt_storage_t name;
	uint64_t hash = 0xcbf29ce484222325ULL;
	size_t used = 0, length;

	if (!knot_dname_to_str(name, apex, sizeof(name)))
		name[0] = '\0';
	length = strlen(name);
	if (length > 1 && name[length - 1] == '.')
		name[--length] = '\0';
	for (const char *at = name; *at; at++) {
		bool plain = isalnum((unsigned char)*at) || *at == '-' || *at == '_' || (*at == '.' && length > 1);

		hash = (hash ^ (uint8_t)*at) * 0x100000001b3ULL;
		if (used < STEM_MOST)
			used += (size_t)snprintf(stem + used, STEM_ROOM - used, plain ? "%c" : "%%%02X",
			                         (unsigned char)*at);
	}
	if (used >= STEM_MOST)
		snprintf(stem + STEM_MOST, STEM_ROOM - STEM_MOST, "~%016llx", (unsigned long long)hash);
}

static bool is_of_zone(const char *file, const char *stem)
{
	size_t length = strlen(stem);

	if (strncmp(file, stem, length) || file[length] != '.' || !isdigit((unsigned char)file[length + 1]))
		return false;
	file += length + 1;
	file += strspn(file, "0123456789");
	return !strcmp(file, ".zone");
}

/* What stands in the directory. */
struct kept {
	unsigned count;            /* of this zone */
	char oldest[NAME_MAX + 1]; /* of these */
	struct timespec when;
	uint64_t octets; /* of all */
};

static bool is_older(const struct timespec *one, const struct timespec *other)
{
	return one->tv_sec != other->tv_sec ? one->tv_sec < other->tv_sec : one->tv_nsec < other->tv_nsec;
}

static int look(int directory, const char *stem, struct kept *kept)
{
	int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	*kept = (struct kept){};
	if (!stream) {
		if (copy >= 0)
			close(copy);
		return -1;
	}
	while ((entry = readdir(stream))) {
		struct stat status;

		if (fstatat(directory, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) || !S_ISREG(status.st_mode))
			continue;
		kept->octets += (uint64_t)status.st_size;
		if (!is_of_zone(entry->d_name, stem) || (kept->count++ && !is_older(&status.st_mtim, &kept->when)))
			continue;
		kept->when = status.st_mtim;
		memcpy(kept->oldest, entry->d_name, strlen(entry->d_name) + 1);
	}
	closedir(stream);
	return 0;
}

/* Makes room for one more of this zone. Returns whether there is. */
static bool make_room(int directory, const char *stem)
{
	struct kept kept;

	while (!look(directory, stem, &kept)) {
		if (kept.count < KEPT)
			return kept.octets < KEPT_TOTAL;
		if (unlinkat(directory, kept.oldest, 0))
			break;
	}
	return false;
}

/* Writes the file beside its place and moves it there, so that it is there whole or not at all. */
static int write_file(int directory, const char *name, const struct zone_version *version, const char *reason)
{
	char beside[NAME_MAX + 1];
	FILE *out;
	int file;

	snprintf(beside, sizeof(beside), ".%.250s", name);
	unlinkat(directory, beside, 0);
	file = openat(directory, beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	out = file < 0 ? NULL : fdopen(file, "w");
	if (!out) {
		if (file >= 0)
			close(file);
		return -1;
	}
	fprintf(out, "; refused: %s\n", reason);
	if ((master_write(out, version, KEPT_OCTETS, NULL) | fclose(out)) ||
	    renameat(directory, beside, directory, name)) {
		unlinkat(directory, beside, 0);
		return -1;
	}
	return 0;
}

char *verify_keep(const char *state_directory, const struct zone_version *version, const char *reason, char *why)
{
	char stem[STEM_ROOM] = "", name[NAME_MAX + 1], *path = NULL;
	int directory, result;

	if (asprintf(&path, "%s/refused", state_directory) < 0) {
		snprintf(why, VERIFY_WHY, "out of memory");
		return NULL;
	}
	mkdir(path, 0700);
	directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	free(path);
	if (directory < 0) {
		snprintf(why, VERIFY_WHY, "%.150s/refused: %s", state_directory, strerror(errno));
		return NULL;
	}
	file_stem(version->apex, stem);
	snprintf(name, sizeof(name), "%s.%u.zone", stem, version->serial);
	unlinkat(directory, name, 0); /* the same serial, refused once more */
	if (!make_room(directory, stem)) {
		snprintf(why, VERIFY_WHY, "%.150s/refused holds 1 GiB; remove what is not needed", state_directory);
		result = -1;
	} else {
		result = write_file(directory, name, version, reason);
		if (result)
			snprintf(why, VERIFY_WHY, "%.150s/refused: %s", state_directory, strerror(errno));
	}
	close(directory);
	if (result || asprintf(&path, "%s/refused/%s", state_directory, name) < 0)
		return NULL;
	return path;
}

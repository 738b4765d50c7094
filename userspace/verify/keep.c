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

/* Removes the oldest until the number of those of this zone is right. */
static void remove_old(int directory, const char *stem)
{
	for (;;) {
		char oldest[NAME_MAX + 1] = "";
		struct timespec when = {};
		unsigned count = 0;
		struct dirent *entry;
		int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		DIR *stream = copy < 0 ? NULL : fdopendir(copy);

		if (!stream) {
			if (copy >= 0)
				close(copy);
			return;
		}
		while ((entry = readdir(stream))) {
			struct stat status;

			if (!is_of_zone(entry->d_name, stem) ||
			    fstatat(directory, entry->d_name, &status, AT_SYMLINK_NOFOLLOW))
				continue;
			if (count++ && (status.st_mtim.tv_sec > when.tv_sec || (status.st_mtim.tv_sec == when.tv_sec &&
			                                                        status.st_mtim.tv_nsec > when.tv_nsec)))
				continue;
			when = status.st_mtim;
			snprintf(oldest, sizeof(oldest), "%s", entry->d_name);
		}
		closedir(stream);
		if (count <= KEPT || unlinkat(directory, oldest, 0))
			return;
	}
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
	result = write_file(directory, name, version, reason);
	if (result)
		snprintf(why, VERIFY_WHY, "%.150s/refused: %s", state_directory, strerror(errno));
	else
		remove_old(directory, stem);
	close(directory);
	if (result || asprintf(&path, "%s/refused/%s", state_directory, name) < 0)
		return NULL;
	return path;
}

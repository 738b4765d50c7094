/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "publish/pins.h"
#include "publish/fastpath_internal.h"

#include "common/log.h"
#include "publish/bpflog.h"
#include "publish/fastpath.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define BPFFS "/sys/fs/bpf"

int pins_path(char *out, const char *directory, const char *name)
{
	int length = snprintf(out, PATH_MAX, "%s/%s", directory, name);

	return length > 0 && length < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static void exchange(char *text, char from, char to)
{
	for (; *text; text++) {
		if (*text == from)
			*text = to;
	}
}

void pins_link_name(char *out, const char *interface)
{
	snprintf(out, PINS_NAME_ROOM, PINS_LINK "%s", interface);
	exchange(out, '.', ':');
}

void pins_ingress_name(char *out, const char *interface)
{
	snprintf(out, PINS_NAME_ROOM, PINS_INGRESS "%s", interface);
	exchange(out, '.', ':');
}

bool pins_link_interface(const char *name, char *interface)
{
	if (strncmp(name, PINS_LINK, strlen(PINS_LINK)) != 0)
		return false;
	name += strlen(PINS_LINK);
	if (!*name || strlen(name) >= IF_NAMESIZE)
		return false;
	strcpy(interface, name);
	exchange(interface, ':', '.');
	return true;
}

int pins_replace(int fd, const char *directory, const char *name)
{
	char path[PATH_MAX], aside[PATH_MAX], aside_name[PINS_NAME_ROOM];
	int error;

	snprintf(aside_name, sizeof(aside_name), "new-%s", name);
	error = pins_path(path, directory, name);
	if (!error)
		error = pins_path(aside, directory, aside_name);
	if (error)
		return error;
	unlink(aside); /* left by an agent that was killed just here */
	error = bpf_obj_pin(fd, aside);
	if (error)
		return error;
	if (rename(aside, path) == 0)
		return 0;
	error = -errno;
	unlink(aside);
	return error;
}

static struct {
	int fd;
	unsigned holders;
	struct stat directory;
} lock = {.fd = -1};

int pins_lock(const char *directory)
{
	struct stat found;
	int error, fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (fstat(fd, &found) < 0) {
		error = -errno;
	} else if (lock.holders) {
		bool same = found.st_dev == lock.directory.st_dev && found.st_ino == lock.directory.st_ino;

		error = same ? 0 : -EBUSY;
		lock.holders += same;
	} else if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		error = -errno;
	} else {
		lock.fd = fd;
		lock.holders = 1;
		lock.directory = found;
		return 0;
	}
	close(fd);
	return error;
}

void pins_unlock(void)
{
	if (lock.holders && --lock.holders == 0) {
		close(lock.fd);
		lock.fd = -1;
	}
}

static bool on_bpffs(const char *path)
{
	struct statfs found;

	return statfs(path, &found) == 0 && found.f_type == BPF_FS_MAGIC;
}

/* The top of a bpffs is shared with every other user of BPF on the host: it is no place for a lock, and emptying it
 * would take their pins as well. */
static bool is_mount_root(const char *path)
{
	char parent[PATH_MAX];
	struct stat here, above;

	if (pins_path(parent, path, "..") || stat(path, &here) || stat(parent, &above))
		return false;
	return here.st_dev != above.st_dev;
}

/* Two agents may start at once, and a second mount would hide the pins of the first: a lock on the directory below the
 * mount makes the check and the mount one step. */
static int mount_bpffs(void)
{
	int error = 0, fd = open(BPFFS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	flock(fd, LOCK_EX);
	if (!on_bpffs(BPFFS)) {
		if (mount("bpf", BPFFS, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") < 0)
			error = -errno;
		else
			log_notice("mounted bpffs at %s", BPFFS);
	}
	close(fd);
	return error;
}

/* Makes the directory and those above it; `path` is written to and put back. */
static int make_directories(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		int result;

		*slash = '\0';
		result = mkdir(path, 0700);
		*slash = '/';
		if (result < 0 && errno != EEXIST)
			return -errno;
	}
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* Shortens `path` to its nearest ancestor that exists. */
static void nearest_existing(char *path)
{
	for (char *slash; access(path, F_OK) < 0 && (slash = strrchr(path, '/')); *slash = '\0') {
		if (slash == path) {
			path[1] = '\0';
			return;
		}
	}
}

/* Checks the path, without the slashes at its end, into `path` (room PATH_MAX). */
static int take_path(const char *pin_directory, char *path)
{
	size_t length = strlen(pin_directory);

	while (length > 1 && pin_directory[length - 1] == '/')
		length--;
	if (pin_directory[0] != '/' || length >= PATH_MAX) {
		log_error("pin-directory %s is not an absolute path: name a directory below " BPFFS, pin_directory);
		return -1;
	}
	memcpy(path, pin_directory, length);
	path[length] = '\0';
	return 0;
}

int fastpath_mount_bpffs(const char *pin_directory)
{
	char path[PATH_MAX], above[PATH_MAX];
	int error;

	bpflog_install();
	if (take_path(pin_directory, path))
		return -1;
	if (strncmp(path, BPFFS "/", strlen(BPFFS "/")) == 0 && !on_bpffs(BPFFS)) {
		error = mount_bpffs();
		if (error) {
			log_error("bpffs cannot be mounted: %s; mount it with `mount -t bpf bpf " BPFFS "`",
			          strerror(-error));
			return -1;
		}
	}
	strcpy(above, path);
	nearest_existing(above);
	if (!on_bpffs(above)) {
		log_error("pin-directory %s is not on a bpffs: name a directory below " BPFFS ", or mount one with "
		          "`mount -t bpf bpf %s`",
		          path, above);
		return -1;
	}
	error = make_directories(path);
	if (error) {
		log_error("pin-directory %s cannot be made: %s%s", path, strerror(-error),
		          error == -EPERM && strchr(path, '.') ? "; a name on bpffs may not have a dot in it" : "");
		return -1;
	}
	if (is_mount_root(path)) {
		log_error(
		    "pin-directory %s is the top of the bpffs, which others use as well: name a directory below it",
		    path);
		return -1;
	}
	return 0;
}

/* Frees the interface of a link: the kernel detaches in the background when a pin goes, and at once when asked to. */
static bool free_interface(const char *path)
{
	struct bpf_link_info info = {0};
	__u32 size = sizeof(info);
	bool attached;
	int fd = bpf_obj_get(path);

	if (fd < 0)
		return false;
	attached = bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && info.type == BPF_LINK_TYPE_XDP && info.xdp.ifindex;
	if (attached)
		bpf_link_detach(fd);
	close(fd);
	return attached;
}

static int unpin_links(const char *directory)
{
	char path[PATH_MAX], interface[IF_NAMESIZE];
	struct dirent *entry;
	int freed = 0;
	DIR *dir = opendir(directory);

	while (dir && (entry = readdir(dir))) {
		if (pins_path(path, directory, entry->d_name))
			continue;
		if (!strncmp(entry->d_name, PINS_INGRESS, strlen(PINS_INGRESS)))
			ingress_remove(path);
		if (!pins_link_interface(entry->d_name, interface))
			continue;
		if (free_interface(path)) {
			freed++;
			log_info("%s: fast path taken off", interface);
		}
		unlink(path);
	}
	if (dir)
		closedir(dir);
	return freed;
}

/* Removes everything in a directory of bpffs, which holds nothing but pins and directories. */
static int remove_tree(const char *directory)
{
	char path[PATH_MAX];
	struct dirent *entry;
	int error = 0;
	DIR *dir = opendir(directory);

	if (!dir)
		return -errno;
	while (!error && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		error = pins_path(path, directory, entry->d_name);
		if (!error && entry->d_type == DT_DIR)
			error = remove_tree(path);
		else if (!error && unlink(path) < 0)
			error = -errno;
	}
	closedir(dir);
	if (!error && rmdir(directory) < 0)
		error = -errno;
	return error;
}

int fastpath_remove(const char *pin_directory)
{
	char path[PATH_MAX];
	int error, freed;

	bpflog_install();
	if (take_path(pin_directory, path))
		return -1;
	if (access(path, F_OK) < 0 && errno == ENOENT)
		return 0;
	if (!on_bpffs(path) || is_mount_root(path)) {
		log_error("%s is not a pin directory on bpffs: nothing was removed", path);
		return -1;
	}
	error = pins_lock(path);
	if (error) {
		log_error("%s is not removed: %s", path,
		          error == -EWOULDBLOCK ? "an agent is running on it; stop it first" : strerror(-error));
		return -1;
	}
	freed = unpin_links(path);
	error = remove_tree(path);
	pins_unlock();
	if (error) {
		log_error("%s cannot be removed: %s; remove it with `rm -r`", path, strerror(-error));
		return -1;
	}
	return freed;
}

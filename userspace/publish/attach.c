/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Putting the program on interfaces. The truth stands in the kernel: a link is what is pinned as PIN/link-INTERFACE,
 * and every call looks at it afresh, so that an agent that starts again, or an interface that comes and goes, is no
 * special case.
 */
#include "publish/fastpath.h"

#include "common/log.h"
#include "publish/bpflog.h"
#include "publish/fastpath_internal.h"
#include "publish/pins.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A pinned link, opened. */
struct link {
	char path[PATH_MAX];
	int fd; /* -1: none is pinned */
	uint32_t ifindex;
	uint32_t program_id;
};

void attached_query(int ifindex, struct attached *out)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	memset(out, 0, sizeof(*out));
	if (bpf_xdp_query(ifindex, 0, &query))
		return;
	out->native = query.drv_prog_id;
	out->generic = query.skb_prog_id;
	out->other = query.hw_prog_id;
}

static int link_open(struct fastpath *fastpath, const char *interface, struct link *link)
{
	struct bpf_link_info info = {0};
	__u32 size = sizeof(info);
	char name[PINS_NAME_ROOM];
	int error;

	memset(link, 0, sizeof(*link));
	link->fd = -1;
	pins_link_name(name, interface);
	error = pins_path(link->path, fastpath->directory, name);
	if (error)
		return error;
	link->fd = bpf_obj_get(link->path);
	if (link->fd < 0)
		return link->fd == -ENOENT ? 0 : link->fd;
	/* A pin of something that is no XDP link counts as a dead link. */
	if (bpf_obj_get_info_by_fd(link->fd, &info, &size) == 0 && info.type == BPF_LINK_TYPE_XDP) {
		link->ifindex = info.xdp.ifindex;
		link->program_id = info.prog_id;
	}
	return 0;
}

static void link_close(struct link *link)
{
	if (link->fd >= 0)
		close(link->fd);
	link->fd = -1;
}

/* Detaches and unpins. Detaching by hand, since the kernel does it only some time after the pin went. */
static void link_destroy(struct link *link)
{
	if (link->ifindex)
		bpf_link_detach(link->fd);
	unlink(link->path);
	link_close(link);
}

/* The mode in which a link sits on the device `ifindex` of this network namespace; CONFIG_MODE_OFF: it does not. The
 * index alone would not do: the link may be on the device of that number in another namespace. */
static enum config_mode link_mode(const struct link *link, int ifindex)
{
	struct attached attached;

	if (link->fd < 0 || !ifindex || link->ifindex != (uint32_t)ifindex)
		return CONFIG_MODE_OFF;
	attached_query(ifindex, &attached);
	if (attached.native == link->program_id)
		return CONFIG_MODE_NATIVE;
	if (attached.generic == link->program_id)
		return CONFIG_MODE_GENERIC;
	return CONFIG_MODE_OFF;
}

static const char *mode_text(enum config_mode mode)
{
	return mode == CONFIG_MODE_NATIVE ? "native" : mode == CONFIG_MODE_GENERIC ? "generic" : "none";
}

static struct fastpath_interface *known_find(struct fastpath *fastpath, const char *name)
{
	for (size_t i = 0; i < fastpath->known_count; i++) {
		if (strcmp(fastpath->known[i].name, name) == 0)
			return &fastpath->known[i];
	}
	return NULL;
}

static void known_keep(struct fastpath *fastpath, const struct fastpath_interface *interface)
{
	struct fastpath_interface *known = known_find(fastpath, interface->name);

	if (!known) {
		known = reallocarray(fastpath->known, fastpath->known_count + 1, sizeof(*known));
		if (!known)
			return; /* only words are lost */
		fastpath->known = known;
		known += fastpath->known_count++;
	}
	*known = *interface;
}

static void known_forget(struct fastpath *fastpath, const char *name)
{
	struct fastpath_interface *known = known_find(fastpath, name);

	if (known)
		*known = fastpath->known[--fastpath->known_count];
}

static uint32_t xdp_flags(enum config_mode mode)
{
	return mode == CONFIG_MODE_GENERIC ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
}

/* Attaches in one mode and pins the link. Returns 0, or a negative errno; of what is not the interface's fault the
 * reason stands in out->why already. */
static int create(struct fastpath *fastpath, struct link *link, struct fastpath_interface *out, enum config_mode mode)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = xdp_flags(mode));
	int error, fd = bpf_link_create(fastpath->program, out->ifindex, BPF_XDP, &options);

	if (fd < 0)
		return fd;
	error = bpf_obj_pin(fd, link->path);
	if (error) {
		snprintf(out->why, sizeof(out->why), "its link cannot be pinned: %s", strerror(-error));
		close(fd);
		return error;
	}
	link->fd = fd;
	link->ifindex = out->ifindex;
	link->program_id = fastpath->program_id;
	out->mode = mode_text(mode);
	return 0;
}

/* A new link in the mode asked for, or the best there is. */
static int create_best(struct fastpath *fastpath, struct link *link, struct fastpath_interface *out,
                       enum config_mode mode)
{
	enum config_mode first = mode == CONFIG_MODE_AUTO ? CONFIG_MODE_NATIVE : mode;
	char why[sizeof(out->why)];
	bool occupied;
	int error = create(fastpath, link, out, first);

	if (!error)
		return 0;
	if (out->why[0])
		return -1;
	occupied = reason_refused(out->why, sizeof(out->why), out, fastpath->program, xdp_flags(first), error);
	if (mode != CONFIG_MODE_AUTO || occupied)
		return -1;
	memcpy(why, out->why, sizeof(why));
	out->why[0] = '\0';
	error = create(fastpath, link, out, CONFIG_MODE_GENERIC);
	if (!error) {
		memcpy(out->why, why, sizeof(why));
		return 0;
	}
	/* The reason against generic mode is the one that stands in the way now. */
	if (!out->why[0])
		reason_refused(out->why, sizeof(out->why), out, fastpath->program, XDP_FLAGS_SKB_MODE, error);
	return -1;
}

/* Puts this program in the place of the one that the link carries. */
static int update(struct fastpath *fastpath, struct link *link, struct fastpath_interface *out)
{
	int error = 0;

	if (link->program_id != fastpath->program_id)
		error = bpf_link_update(link->fd, fastpath->program, NULL);
	if (error) {
		snprintf(out->why, sizeof(out->why),
		         "the program of an earlier run stays, as the new one is refused: %s; detach and attach again",
		         bpflog_error_text(error));
		return -1;
	}
	link->program_id = fastpath->program_id;
	return 0;
}

/* The kernel forbids both modes at once, so that trying for another one means a gap, and it may end with nothing: then
 * the mode there was is restored. */
static int change_mode(struct fastpath *fastpath, struct link *link, struct fastpath_interface *out,
                       enum config_mode from, enum config_mode to)
{
	struct fastpath_interface again = *out;

	link_destroy(link);
	if (create_best(fastpath, link, out, to) == 0)
		return 0;
	if (create(fastpath, link, &again, from) == 0)
		out->mode = again.mode;
	return -1;
}

static int attach(struct fastpath *fastpath, struct link *link, struct fastpath_interface *out, enum config_mode mode)
{
	const struct fastpath_interface *known = known_find(fastpath, out->name);
	enum config_mode present = link_mode(link, out->ifindex);
	bool ours = link->program_id == fastpath->program_id;

	if (present != CONFIG_MODE_OFF && mode != CONFIG_MODE_AUTO && mode != present)
		return change_mode(fastpath, link, out, present, mode);
	if (present != CONFIG_MODE_OFF) {
		out->mode = mode_text(present);
		if (update(fastpath, link, out))
			return -1;
		if (known && ours && strcmp(known->mode, out->mode) == 0)
			strcpy(out->why, known->why);
		else if (mode == CONFIG_MODE_AUTO && present == CONFIG_MODE_GENERIC)
			strcpy(out->why,
			       "taken up in generic mode from an earlier run; detach and attach to try native");
		return 0;
	}
	if (link->fd >= 0) {
		log_info("%s: the link of an interface that is gone is removed", out->name);
		link_destroy(link);
	}
	if (!out->ifindex) {
		strcpy(out->why, "there is no such interface at present");
		return -1;
	}
	return create_best(fastpath, link, out, mode);
}

int fastpath_attach(struct fastpath *fastpath, const char *interface, enum config_mode mode,
                    struct fastpath_interface *out)
{
	struct link link;
	int error;

	memset(out, 0, sizeof(*out));
	snprintf(out->name, sizeof(out->name), "%s", interface);
	out->mode = mode_text(CONFIG_MODE_OFF);
	if (!*interface || strlen(interface) >= sizeof(out->name) || strpbrk(interface, "/:")) {
		strcpy(out->why, "this cannot be the name of an interface");
		return -1;
	}
	out->ifindex = if_nametoindex(interface);
	error = link_open(fastpath, interface, &link);
	if (error)
		snprintf(out->why, sizeof(out->why), "its pinned link cannot be opened: %s", strerror(-error));
	else
		error = attach(fastpath, &link, out, mode);
	if (!error)
		ingress_attach(fastpath, interface, out->ifindex);
	link_close(&link);
	known_keep(fastpath, out);
	return error ? -1 : 0;
}

int fastpath_detach(struct fastpath *fastpath, const char *interface)
{
	struct link link;
	int error;

	known_forget(fastpath, interface);
	ingress_detach(fastpath, interface);
	error = link_open(fastpath, interface, &link);
	if (error) {
		log_error("%s cannot be opened: %s", link.path, strerror(-error));
		return -1;
	}
	if (link.fd >= 0)
		link_destroy(&link);
	return 0;
}

/* How a pinned interface stands now. */
static void describe(struct fastpath *fastpath, struct fastpath_interface *out)
{
	const struct fastpath_interface *known = known_find(fastpath, out->name);
	struct link link;

	out->ifindex = if_nametoindex(out->name);
	if (link_open(fastpath, out->name, &link))
		link.fd = -1;
	out->mode = mode_text(link_mode(&link, out->ifindex));
	link_close(&link);
	if (known && strcmp(known->mode, out->mode) == 0)
		strcpy(out->why, known->why);
	else if (!out->ifindex)
		strcpy(out->why, "there is no such interface at present");
	else if (strcmp(out->mode, "none") == 0)
		strcpy(out->why, "taken off from outside, or the interface was made anew; attach it again");
}

size_t fastpath_interfaces(struct fastpath *fastpath, struct fastpath_interface *out, size_t room)
{
	char interface[IF_NAMESIZE];
	struct dirent *entry;
	size_t count = 0;
	DIR *directory = opendir(fastpath->directory);

	while (directory && count < room && (entry = readdir(directory))) {
		if (!pins_link_interface(entry->d_name, interface))
			continue;
		memset(&out[count], 0, sizeof(out[count]));
		strcpy(out[count].name, interface);
		describe(fastpath, &out[count++]);
	}
	if (directory)
		closedir(directory);
	/* And those that were asked for in vain. */
	for (size_t i = 0, pinned = count; i < fastpath->known_count && count < room; i++) {
		bool there = false;

		for (size_t j = 0; j < pinned && !there; j++)
			there = strcmp(out[j].name, fastpath->known[i].name) == 0;
		if (there)
			continue;
		out[count] = fastpath->known[i];
		out[count].ifindex = if_nametoindex(out[count].name);
		out[count++].mode = mode_text(CONFIG_MODE_OFF);
	}
	return count;
}

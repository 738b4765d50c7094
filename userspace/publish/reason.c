/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Why an interface does not take the program, in words for people. */
#include "publish/fastpath_internal.h"

#include "publish/bpflog.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* What drivers say, by a word that is in it, and what helps. `%` stands for the interface. */
static const struct {
	const char *words;
	const char *help;
} helps[] = {
    /* virtio-net without ctrl_guest_offloads: the guest cannot turn them off; the host must allow it or do so. */
    {"GRO_HW/CSUM", "in QEMU give the device ctrl_guest_offloads=on, or "
                    "guest_csum=off,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off"},
    {"MTU", "lower it: ip link set dev % mtu 1500"},
    {"LRO", "turn it off: ethtool -K % lro off"},
    {"GRO_HW", "turn it off: ethtool -K % rx-gro-hw off"},
    {"queue", "see ethtool -l % for its queues, ethtool -L % combined N to change them"},
    {"channel", "see ethtool -l % for its queues, ethtool -L % combined N to change them"},
    {"ring size", "see ethtool -g % for its rings, ethtool -G % to change them"},
    {"upper device", "attach to the device that % is a port of"},
};

static void append(char *text, size_t room, const char *more)
{
	size_t used = strlen(text);

	snprintf(text + used, room - used, "%s", more);
}

static const char *driver_name(const char *interface, struct ethtool_drvinfo *info)
{
	struct ifreq request = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool known;

	memset(info, 0, sizeof(*info));
	info->cmd = ETHTOOL_GDRVINFO;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
	request.ifr_data = (void *)info;
	known = fd >= 0 && ioctl(fd, SIOCETHTOOL, &request) == 0 && info->driver[0];
	if (fd >= 0)
		close(fd);
	return known ? info->driver : NULL;
}

/* Finds the link that holds a program on a device: 0 when there is none, or when we may not look. */
static uint32_t find_link(int ifindex, uint32_t program_id)
{
	uint32_t id = 0;

	while (bpf_link_get_next_id(id, &id) == 0) {
		struct bpf_link_info info = {0};
		__u32 size = sizeof(info);
		int fd = bpf_link_get_fd_by_id(id);
		bool found;

		if (fd < 0)
			continue;
		found = bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && info.type == BPF_LINK_TYPE_XDP &&
		        info.xdp.ifindex == (uint32_t)ifindex && info.prog_id == program_id;
		close(fd);
		if (found)
			return id;
	}
	return 0;
}

/* Writes " (name)", or nothing. */
static void program_name(uint32_t id, char *out, size_t room)
{
	struct bpf_prog_info info = {0};
	__u32 size = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(id);

	out[0] = '\0';
	if (fd < 0)
		return;
	if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && info.name[0])
		snprintf(out, room, " (%s)", info.name);
	close(fd);
}

/* Another program is on the interface. */
static bool reason_occupied(char *why, size_t room, const struct fastpath_interface *interface)
{
	struct attached attached;
	uint32_t id, link;
	char name[32];

	attached_query(interface->ifindex, &attached);
	id = attached.native ? attached.native : attached.generic ? attached.generic : attached.other;
	if (!id)
		return false;
	program_name(id, name, sizeof(name));
	link = find_link(interface->ifindex, id);
	if (link)
		snprintf(
		    why, room,
		    "another XDP program, id %u%s, is attached by BPF link %u; take it off with its own tool, or with "
		    "`bpftool link detach id %u`",
		    id, name, link, link);
	else
		snprintf(why, room,
		         "another XDP program, id %u%s, is attached; take it off with its own tool, or with "
		         "`ip link set dev %s %s off`",
		         id, name, interface->name,
		         attached.native    ? "xdpdrv"
		         : attached.generic ? "xdpgeneric"
		                            : "xdpoffload");
	return true;
}

/* A link's creation is refused without a word, but the same request by netlink is answered with the kernel's or the
 * driver's own. Nobody expects that one to succeed; if it does, it is undone, as the program shall hang on its link. */
static const char *ask_kernel(int ifindex, int program, uint32_t flags)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, mine, .old_prog_fd = program);

	bpflog_clear();
	if (bpf_xdp_attach(ifindex, program, flags | XDP_FLAGS_UPDATE_IF_NOEXIST, NULL) == 0)
		bpf_xdp_detach(ifindex, flags, &mine);
	return bpflog_kernel_words();
}

static void append_help(char *why, size_t room, const char *words, const char *interface)
{
	for (size_t i = 0; i < sizeof(helps) / sizeof(helps[0]); i++) {
		if (!strcasestr(words, helps[i].words))
			continue;
		append(why, room, "; ");
		for (const char *at = helps[i].help; *at; at++) {
			const char letter[2] = {*at, '\0'};

			append(why, room, *at == '%' ? interface : letter);
		}
		return;
	}
}

bool reason_refused(char *why, size_t room, const struct fastpath_interface *interface, int program, uint32_t flags,
                    int error)
{
	const char *mode = flags & XDP_FLAGS_SKB_MODE ? "generic" : "native";
	struct ethtool_drvinfo info;
	const char *driver, *words;

	if (reason_occupied(why, room, interface))
		return true;
	if (error == -EPERM) {
		snprintf(why, room, "not permitted; attaching needs CAP_NET_ADMIN and CAP_BPF, or root");
		return false;
	}
	if (error == -ENODEV) {
		snprintf(why, room, "the interface has just gone");
		return false;
	}
	driver = driver_name(interface->name, &info);
	words = ask_kernel(interface->ifindex, program, flags);
	if (strstr(words, "does not support XDP in native mode") || (error == -EOPNOTSUPP && !words[0])) {
		snprintf(why, room, "its driver%s%s has no %s XDP", driver ? " " : "", driver ? driver : "", mode);
	} else if (words[0]) {
		snprintf(why, room, "%s mode refused: %s", mode, words);
		append_help(why, room, words, interface->name);
	} else {
		snprintf(why, room, "%s mode refused by driver %s: %s; the kernel's log (dmesg) may say more", mode,
		         driver ? driver : "(unknown)", bpflog_error_text(error));
	}
	return false;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The program behind the driver (bpf/ingress.bpf.c), for replies that the frame has no room for. It is attached by tcx
 * links (Linux 6.6), which can be pinned and updated like the XDP link; a kernel without them leaves such queries to
 * the fallback. Nothing depends on it: where it cannot be had, the log says so once.
 */
#include "publish/fastpath_internal.h"
#include "common/log.h"
#include "ingress.skel.h"
#include "publish/image.h"
#include "publish/pins.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Of enum bpf_attach_type since Linux 6.6; headers of Debian 12 are older. */
#define TCX_INGRESS 46
#define TCX_LINK_TYPE 11

void ingress_open(struct fastpath *fastpath, const struct image_maps *maps)
{
	struct ingress_bpf *skeleton = ingress_bpf__open();
	int error;

	if (!skeleton)
		return;
	error = bpf_map__reuse_fd(skeleton->maps.image, maps->image) ||
	        bpf_map__reuse_fd(skeleton->maps.index_table, maps->index) ||
	        bpf_map__reuse_fd(skeleton->maps.zones_table, maps->zones) ||
	        bpf_map__reuse_fd(skeleton->maps.zone_index_table, maps->zone_index) ||
	        bpf_map__reuse_fd(skeleton->maps.settings, maps->settings) ||
	        (maps->zone_counters >= 0 && bpf_map__reuse_fd(skeleton->maps.zone_counters, maps->zone_counters)) ||
	        bpf_map__reuse_fd(skeleton->maps.addresses, fastpath->addresses) ||
	        bpf_map__reuse_fd(skeleton->maps.counters, fastpath->counters);
	if (error || ingress_bpf__load(skeleton))
		log_warning(
		    "the kernel does not take the program behind the driver; replies without room in their frame "
		    "are left to the fallback");
	else
		fastpath->ingress = fastpath_keep(bpf_program__fd(skeleton->progs.peregrine_ingress));
	ingress_bpf__destroy(skeleton);
}

static int pin_path(const struct fastpath *fastpath, const char *interface, char *path)
{
	char name[PINS_NAME_ROOM];

	pins_ingress_name(name, interface);
	return pins_path(path, fastpath->directory, name);
}

/* Puts this program into the pinned link, if that is alive on the interface. */
static bool update(const char *path, int ifindex, int program)
{
	struct bpf_link_info info = {0};
	uint32_t size = sizeof(info);
	int link = bpf_obj_get(path);
	bool updated = false;

	if (link < 0)
		return false;
	if (!bpf_obj_get_info_by_fd(link, &info, &size) && info.type == TCX_LINK_TYPE) {
		/* A tcx link's index stands where an XDP link's does; the header is older than tcx. */
		updated = (int)info.xdp.ifindex == ifindex && !bpf_link_update(link, program, NULL);
	}
	close(link);
	return updated;
}

void ingress_attach(struct fastpath *fastpath, const char *interface, int ifindex)
{
	char path[PATH_MAX];
	int link;

	if (fastpath->ingress < 0 || !ifindex || pin_path(fastpath, interface, path) ||
	    update(path, ifindex, fastpath->ingress))
		return;
	unlink(path);
	link = bpf_link_create(fastpath->ingress, ifindex, TCX_INGRESS, NULL);
	if (link < 0) {
		log_debug("interface %s: no program behind the driver: %s", interface, strerror(-link));
		return;
	}
	if (bpf_obj_pin(link, path))
		log_warning("%s cannot be pinned: %s", path, strerror(errno));
	close(link);
}

void ingress_detach(struct fastpath *fastpath, const char *interface)
{
	char path[PATH_MAX];

	if (!pin_path(fastpath, interface, path))
		ingress_remove(path);
}

void ingress_remove(const char *path)
{
	int link = bpf_obj_get(path);

	if (link >= 0) {
		/* At once: the kernel would do it some time after the pin went. */
		bpf_link_detach(link);
		close(link);
	}
	unlink(path);
}

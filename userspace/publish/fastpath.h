/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The kernel half: loading the program, pinning it, attaching it to interfaces, its small maps. The maps of the image
 * are given to it by the publisher (image_maps in publish/image.h). All calls by the main thread.
 */
#ifndef PEREGRINE_FASTPATH_H
#define PEREGRINE_FASTPATH_H

#include "config/config.h"
#include "settings_shared.h"

#include <stdbool.h>

struct fastpath;
struct image;

/* Loads the program with the image's maps, or, when `pin_directory` holds what another run left, takes up the maps
 * pinned there. Pins program and maps. Returns NULL after logging why. */
struct fastpath *fastpath_open(const char *pin_directory, struct image *image);
void fastpath_close(struct fastpath *fastpath); /* leaves everything pinned and attached */

/* What an interface got. */
struct fastpath_interface {
	char name[16];
	int ifindex;      /* 0: not there at present */
	const char *mode; /* "native", "generic" or "none" */
	char why[256];    /* why not native, or why nothing; else empty */
};

/*
 * Puts the program on an interface, by updating the pinned link if one is there (no packet sees a gap), else by a new
 * link in native mode, then, under CONFIG_MODE_AUTO, generic mode. Returns 0, or -1 with the reason in out->why.
 * Idempotent.
 */
int fastpath_attach(struct fastpath *fastpath, const char *interface, enum config_mode mode,
                    struct fastpath_interface *out);
int fastpath_detach(struct fastpath *fastpath, const char *interface);
size_t fastpath_interfaces(struct fastpath *fastpath, struct fastpath_interface *out, size_t room);

/* Replaces the set of service addresses (map `addresses`). Returns 0, or -1 after logging. */
int fastpath_set_addresses(struct fastpath *fastpath, const struct sockaddr_storage *addresses, size_t count);

/* Replaces the set of clients that are not limited (map `exempt`). Returns 0, or -1 after logging. */
int fastpath_set_exempt(struct fastpath *fastpath, const struct config_prefix *prefixes, size_t count);

/* The counters, summed over all CPUs. */
int fastpath_counters(struct fastpath *fastpath, struct pg_counters *out);

/* Takes a pinned fast path off the host without an agent: unpins links (which detaches them), program and maps. Used by
 * `peregrine detach` and `peregrined --detach`. Returns the number of interfaces freed, or -1 after logging. */
int fastpath_remove(const char *pin_directory);

/* Mounts bpffs where `pin_directory` wants it, if it is not there. Returns 0, or -1 after logging how to mount it by
 * hand. */
int fastpath_mount_bpffs(const char *pin_directory);

#endif

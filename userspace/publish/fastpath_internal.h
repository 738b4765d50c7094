/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What fastpath.c, attach.c and reason.c share, and the door for the unit test, which has maps but no image. */
#ifndef PEREGRINE_FASTPATH_INTERNAL_H
#define PEREGRINE_FASTPATH_INTERNAL_H

#include "publish/fastpath.h"

#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#define FASTPATH_FDS 7

struct image_maps;

struct fastpath {
	char directory[PATH_MAX];
	union { /* file descriptors; -1: there is none */
		struct {
			int program;
			int ingress; /* the program behind the driver; -1: the kernel does not take it */
			int work, addresses, counters, limits, exempt;
		};
		int fds[FASTPATH_FDS];
	};
	uint32_t program_id;
	struct pg_settings *settings; /* mapped */
	bool locked;
	/* What the last attach said of each interface; what is attached stands in the pins alone. */
	struct fastpath_interface *known;
	size_t known_count;
};

_Static_assert(offsetof(struct fastpath, program_id) == offsetof(struct fastpath, fds) + FASTPATH_FDS * sizeof(int),
               "FASTPATH_FDS are all that there are");

/* fastpath_open with the maps themselves. */
struct fastpath *fastpath_open_maps(const char *pin_directory, const struct image_maps *maps);

/* A copy of a file descriptor that outlives the object which libbpf loaded. */
static inline int fastpath_keep(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

/* ingress.c: the program behind the driver. All of these do what can be done; the fast path does not fail for them. */
void ingress_open(struct fastpath *fastpath, const struct image_maps *maps);
void ingress_attach(struct fastpath *fastpath, const char *interface, int ifindex);
void ingress_detach(struct fastpath *fastpath, const char *interface);
void ingress_remove(const char *path); /* by its pin */

/* What is attached to a device, by mode; 0: nothing. */
struct attached {
	uint32_t native;
	uint32_t generic;
	uint32_t other; /* offloaded to the hardware */
};
void attached_query(int ifindex, struct attached *out);

/*
 * Says for people why a link with XDP flags `flags` was refused with `error` (negative errno): the cause, in the
 * kernel's words where there are some, and the way out. Returns true when something else already sits on the interface,
 * so that another mode would not help either.
 */
bool reason_refused(char *why, size_t room, const struct fastpath_interface *interface, int program, uint32_t flags,
                    int error);

#endif

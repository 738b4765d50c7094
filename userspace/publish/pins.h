/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The pin directory: where the kernel half stands on bpffs, and the rules by which it is written.
 *
 *   PIN/program          the program, replaced by rename(2): there is always one
 *   PIN/link-INTERFACE   one link each; its pin is what keeps it attached
 *   PIN/addresses        service addresses
 *   PIN/counters         counters; they outlive the agent
 *   PIN/limits, exempt   response rates of clients, and clients that are not limited
 *   the rest             the image's, publish/image.h
 *
 * bpffs allows no dot in a name, and the kernel no colon in the name of an interface: `eth0.100` is pinned as
 * `link-eth0:100`.
 *
 * One process at a time writes there: it holds the directory's flock(2).
 */
#ifndef PEREGRINE_PINS_H
#define PEREGRINE_PINS_H

#include <stdbool.h>
#include <stddef.h>

#define PINS_PROGRAM "program"
#define PINS_ADDRESSES "addresses"
#define PINS_COUNTERS "counters"
#define PINS_LIMITS "limits"
#define PINS_EXEMPT "exempt"
#define PINS_LINK "link-"
#define PINS_INGRESS "ingress-" /* of the program behind the driver, where there is one */
#define PINS_NAME_ROOM 32       /* of the name of a link's pin */

/* Writes "DIRECTORY/NAME", room PATH_MAX. Returns 0, or -ENAMETOOLONG. */
int pins_path(char *out, const char *directory, const char *name);

/* The name of an interface's pin, and the interface (room IF_NAMESIZE) of a pin's name; the latter returns false for
 * the pin of something else. */
void pins_link_name(char *out, const char *interface);
void pins_ingress_name(char *out, const char *interface);
bool pins_link_interface(const char *name, char *interface);

/* Pins `fd`, in one step in place of what stood there. Returns 0 or a negative errno. */
int pins_replace(int fd, const char *directory, const char *name);

/*
 * Takes the directory's lock for this process, or counts one more holder in it: the agent may hold it from before the
 * image is opened until after it is closed, and fastpath_open holds it besides. Returns 0; -EWOULDBLOCK when another
 * process has it; -EBUSY when this process holds another directory; or another negative errno.
 */
int pins_lock(const char *directory);
void pins_unlock(void);

#endif

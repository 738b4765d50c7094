/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The host's interfaces and addresses, followed by netlink on the main thread's loop: interfaces that come, go or come
 * back with another index, and addresses that are added or withdrawn (an anycast address, say).
 */
#ifndef PEREGRINE_NETLINK_H
#define PEREGRINE_NETLINK_H

#include <stddef.h>
#include <sys/socket.h>
#include <uv.h>

struct netlink;

/*
 * Begins to follow. `changed` is called on the loop when something that matters has changed since the last call: an
 * interface appeared, vanished, was renamed or went up, or an address that netlink_addresses gives came or went. A
 * burst is told once, 50 ms after it began. What is there already is not told. Statistics, lifetimes and an interface
 * going down are not told either. Returns NULL after logging why.
 */
struct netlink *netlink_open(uv_loop_t *loop, void (*changed)(void *context), void *context);

/* `changed` is not called any more. The memory goes when the loop has closed the handles: let it run once more. */
void netlink_close(struct netlink *netlink);

/*
 * The addresses that `listen: any` means: unicast addresses of global scope on any interface, loopback's included (a
 * service address often stands there), but no loopback, link-local, tentative or duplicate address. Port 0, sorted,
 * each once. `*out` is for the caller to free; it is NULL when `*count` is 0. Returns 0, or -1 after logging.
 */
int netlink_addresses(struct netlink *netlink, struct sockaddr_storage **out, size_t *count);

#endif

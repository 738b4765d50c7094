/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libnl keeps two caches, links and addresses, up to date from one subscribed socket. When the kernel drops
 * notifications because we read too slowly (ENOBUFS), the caches are compared with a full dump on a second socket; what
 * differs goes the same way as a notification.
 */
#include "agent/netlink.h"

#include "common/log.h"

#include <linux/if_addr.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netlink/cache.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/socket.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define COALESCE_MS 50
#define RECEIVE_BUFFER (1 << 20) /* hundreds of addresses at once, as a routing daemon sets them */
#define HANDLES 2

struct netlink {
	struct nl_sock *events; /* subscribed; the cache manager's */
	struct nl_sock *dumps;  /* for catching up after lost notifications */
	struct nl_cache_mngr *manager;
	struct nl_cache *links;
	struct nl_cache *addresses;
	uv_poll_t poll;
	uv_timer_t timer;
	unsigned handles_open;
	void (*changed)(void *context);
	void *context;
};

static void tell(uv_timer_t *timer)
{
	struct netlink *netlink = timer->data;

	netlink->changed(netlink->context);
}

/* The timer is not set back by what follows: an interface that flaps without end is told about all the same. */
static void note_change(struct netlink *netlink)
{
	if (!uv_is_active((uv_handle_t *)&netlink->timer))
		uv_timer_start(&netlink->timer, tell, COALESCE_MS, 0);
}

static bool is_global(const struct sockaddr_storage *address)
{
	if (address->ss_family == AF_INET) {
		uint32_t host = ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr);

		return host >> 24 != 0 && host >> 24 != 127 && host >> 16 != 0xa9fe && host >> 28 < 0xe;
	}
	if (address->ss_family == AF_INET6) {
		const struct in6_addr *host = &((const struct sockaddr_in6 *)address)->sin6_addr;

		return !IN6_IS_ADDR_UNSPECIFIED(host) && !IN6_IS_ADDR_LOOPBACK(host) && !IN6_IS_ADDR_LINKLOCAL(host) &&
		       !IN6_IS_ADDR_MULTICAST(host);
	}
	return false;
}

/* Whether this is an address that may be served on; if so it is written to `out`. */
static bool usable(struct nl_object *object, struct sockaddr_storage *out)
{
	struct rtnl_addr *address = (struct rtnl_addr *)object;
	struct nl_addr *local = rtnl_addr_get_local(address);
	socklen_t size = sizeof(*out);

	memset(out, 0, sizeof(*out));
	if (!local || rtnl_addr_get_scope(address) != RT_SCOPE_UNIVERSE ||
	    rtnl_addr_get_flags(address) & (IFA_F_TENTATIVE | IFA_F_DADFAILED))
		return false;
	return nl_addr_fill_sockaddr(local, (struct sockaddr *)out, &size) == 0 && is_global(out);
}

/* A notification about an address. Lifetimes renewed by router advertisements are no change; the end of duplicate
 * address detection is one. */
static void address_event(struct nl_cache *cache, struct nl_object *old, struct nl_object *new, uint64_t difference,
                          int action, void *context)
{
	struct sockaddr_storage address;
	bool before = old && action != NL_ACT_NEW && usable(old, &address);
	bool after = new &&action != NL_ACT_DEL &&usable(new, &address);

	if (before != after)
		note_change(context);
}

/* A notification about a link: most of them are about its state of operation and are nothing to us, our own attaching
 * among them. */
static void link_event(struct nl_cache *cache, struct nl_object *old, struct nl_object *new, uint64_t difference,
                       int action, void *context)
{
	struct rtnl_link *before = (struct rtnl_link *)old, *after = (struct rtnl_link *)new;
	struct rtnl_link *any = after ? after : before;
	bool went_up, renamed;

	if (!any || rtnl_link_get_family(any) == AF_BRIDGE)
		return; /* a bridge's ports are told of a second time, as such */
	if (action != NL_ACT_CHANGE || !before || !after) {
		note_change(context);
		return;
	}
	went_up = rtnl_link_get_flags(after) & ~rtnl_link_get_flags(before) & (IFF_UP | IFF_RUNNING);
	renamed = strcmp(rtnl_link_get_name(before), rtnl_link_get_name(after)) != 0;
	if (went_up || renamed)
		note_change(context);
}

/* nl_cache_resync knows the older form of callback only, which has no old object: what a resync finds changed is told
 * without looking closer. */
static void resync_event(struct nl_cache *cache, struct nl_object *object, int action, void *context)
{
	note_change(context);
}

static int catch_up(struct netlink *netlink)
{
	int error = nl_cache_resync(netlink->dumps, netlink->links, resync_event, netlink);

	if (!error)
		error = nl_cache_resync(netlink->dumps, netlink->addresses, resync_event, netlink);
	if (error)
		log_warning("interfaces and addresses cannot be read: %s; `peregrine reload` looks again",
		            nl_geterror(error));
	return error;
}

/* Reads all there is. What was still queued when notifications were lost is older than a dump and must not be applied
 * after it: hence the socket is emptied first. */
static void take_events(struct netlink *netlink)
{
	bool lost = false;
	int result = 0;

	for (int i = 0; i < 1000; i++) {
		result = nl_cache_mngr_data_ready(netlink->manager);
		if (result >= 0)
			break;
		lost = true;
	}
	if (lost) {
		log_info("notifications of the kernel about interfaces were lost: reading all of them again");
		catch_up(netlink);
	}
}

static void readable(uv_poll_t *poll, int status, int events)
{
	struct netlink *netlink = poll->data;

	take_events(netlink);
	/* libuv stops polling at an error on the socket, and lost notifications are one. */
	if (status < 0 && !uv_is_closing((uv_handle_t *)poll))
		uv_poll_start(poll, UV_READABLE, readable);
}

static void release(struct netlink *netlink)
{
	if (netlink->manager)
		nl_cache_mngr_free(netlink->manager); /* and the caches */
	if (netlink->events)
		nl_socket_free(netlink->events);
	if (netlink->dumps)
		nl_socket_free(netlink->dumps);
	free(netlink);
}

static void handle_closed(uv_handle_t *handle)
{
	struct netlink *netlink = handle->data;

	if (--netlink->handles_open == 0)
		release(netlink);
}

void netlink_close(struct netlink *netlink)
{
	if (!netlink)
		return;
	uv_close((uv_handle_t *)&netlink->poll, handle_closed);
	uv_close((uv_handle_t *)&netlink->timer, handle_closed);
}

static int add_cache(struct netlink *netlink, int (*allocate)(struct netlink *), struct nl_cache **cache,
                     change_func_v2_t event)
{
	int error = allocate(netlink);

	if (error)
		return error;
	error = nl_cache_mngr_add_cache_v2(netlink->manager, *cache, event, netlink);
	if (error) {
		nl_cache_free(*cache); /* the manager has not taken it */
		*cache = NULL;
	}
	return error;
}

static int allocate_links(struct netlink *netlink)
{
	return rtnl_link_alloc_cache(netlink->dumps, AF_UNSPEC, &netlink->links);
}

static int allocate_addresses(struct netlink *netlink)
{
	return rtnl_addr_alloc_cache(netlink->dumps, &netlink->addresses);
}

static int connect_sockets(struct netlink *netlink)
{
	int error;

	netlink->events = nl_socket_alloc();
	netlink->dumps = nl_socket_alloc();
	if (!netlink->events || !netlink->dumps)
		return -NLE_NOMEM;
	error = nl_connect(netlink->dumps, NETLINK_ROUTE);
	if (error)
		return error;
	/* Connects `events`. */
	error = nl_cache_mngr_alloc(netlink->events, NETLINK_ROUTE, 0, &netlink->manager);
	if (error)
		return error;
	/* As much as the limit of the host allows is good enough. */
	nl_socket_set_buffer_size(netlink->events, RECEIVE_BUFFER, 0);
	error = add_cache(netlink, allocate_links, &netlink->links, link_event);
	return error ? error : add_cache(netlink, allocate_addresses, &netlink->addresses, address_event);
}

static int start_polling(struct netlink *netlink, uv_loop_t *loop)
{
	int error = uv_poll_init(loop, &netlink->poll, nl_cache_mngr_get_fd(netlink->manager));

	if (error)
		return error;
	netlink->handles_open = HANDLES;
	netlink->poll.data = netlink;
	netlink->timer.data = netlink;
	uv_timer_init(loop, &netlink->timer);
	error = uv_poll_start(&netlink->poll, UV_READABLE, readable);
	if (error)
		netlink_close(netlink);
	return error;
}

struct netlink *netlink_open(uv_loop_t *loop, void (*changed)(void *context), void *context)
{
	struct netlink *netlink = calloc(1, sizeof(*netlink));
	int error;

	if (!netlink) {
		log_error("interfaces cannot be followed: memory is short");
		return NULL;
	}
	netlink->changed = changed;
	netlink->context = context;
	error = connect_sockets(netlink);
	if (error) {
		log_error("interfaces cannot be followed by netlink: %s", nl_geterror(error));
		release(netlink);
		return NULL;
	}
	error = start_polling(netlink, loop);
	if (error) {
		log_error("interfaces cannot be followed by netlink: %s", uv_strerror(error));
		if (!netlink->handles_open)
			release(netlink);
		return NULL;
	}
	return netlink;
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct sockaddr_storage));
}

int netlink_addresses(struct netlink *netlink, struct sockaddr_storage **out, size_t *count)
{
	int room = nl_cache_nitems(netlink->addresses);
	struct sockaddr_storage *list = calloc(room > 0 ? room : 1, sizeof(*list));
	size_t found = 0, distinct = 0;

	*out = NULL;
	*count = 0;
	if (!list) {
		log_error("the host's addresses cannot be listed: memory is short");
		return -1;
	}
	for (struct nl_object *object = nl_cache_get_first(netlink->addresses); object;
	     object = nl_cache_get_next(object)) {
		if (found < (size_t)room && usable(object, &list[found]))
			found++;
	}
	qsort(list, found, sizeof(*list), compare);
	for (size_t i = 0; i < found; i++) {
		if (i == 0 || compare(&list[i], &list[distinct - 1]) != 0)
			list[distinct++] = list[i];
	}
	*count = distinct;
	if (distinct)
		*out = list;
	else
		free(list);
	return 0;
}

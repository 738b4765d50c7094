/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fallback/internal.h"

#include "common/log.h"
#include "config/config.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum {
	UDP_BUFFER = 4 << 20, /* octets: a burst of some ten thousand queries */
	TCP_BACKLOG = 511,
	TCP_FAST_OPEN_QUEUE = 256,
	IPV6_SMALLEST_MTU = 1280, /* RFC 8200 section 5 */
};

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value));
}

/* Beyond the host's limit when we may, else as far as it goes. */
static void set_buffer(int fd, int forced, int plain)
{
	if (set(fd, SOL_SOCKET, forced, UDP_BUFFER) != 0)
		set(fd, SOL_SOCKET, plain, UDP_BUFFER);
}

/* A forged "packet too big" must not make us fragment (draft-ietf-dnsop-avoid-fragmentation), and where the route is
 * narrower than our replies the routers (IPv4), or we (IPv6, at the smallest MTU there is), cut them. */
static void set_udp_options(int fd, int family)
{
	set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF);
	set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF);
	if (family == AF_INET6) {
		set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_OMIT);
		set(fd, IPPROTO_IPV6, IPV6_MTU, IPV6_SMALLEST_MTU);
	} else {
		set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT);
	}
}

static void set_tcp_options(int fd)
{
	set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	/* Inherited by accepted sockets. A batch of replies goes out in one write, so there is nothing to wait for. */
	set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	/* RFC 7413; the host decides by net.ipv4.tcp_fastopen whether it counts. */
	set(fd, IPPROTO_TCP, TCP_FASTOPEN, TCP_FAST_OPEN_QUEUE);
}

int fallback_socket(const struct sockaddr_storage *address, int type)
{
	const char *transport = type == SOCK_DGRAM ? "UDP" : "TCP";
	socklen_t length = address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	int fd = socket(address->ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	char text[CONFIG_ADDRESS_TEXT];

	config_address_text(address, text);
	if (fd < 0) {
		log_error("fallback: no %s socket for %s: %s", transport, text, strerror(errno));
		return -1;
	}
	if (address->ss_family == AF_INET6)
		set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	/* An address may come to the host after us. On Linux the option of IP holds for IPv6 too. */
	set(fd, IPPROTO_IP, IP_FREEBIND, 1);
	if (type == SOCK_DGRAM)
		set_udp_options(fd, address->ss_family);
	else
		set_tcp_options(fd);
	if (bind(fd, (const struct sockaddr *)address, length) != 0 ||
	    (type == SOCK_STREAM && listen(fd, TCP_BACKLOG) != 0)) {
		log_error("fallback: cannot bind %s %s: %s; is another server running there?", transport, text,
		          strerror(errno));
		close(fd);
		return -1;
	}
	return fd;
}

int fallback_thread(pthread_t *thread, void *(*run)(void *), void *context, const char *name)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(thread, NULL, run, context);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error) {
		log_error("fallback: cannot start thread %s: %s", name, strerror(error));
		return -1;
	}
	pthread_setname_np(*thread, name);
	return 0;
}

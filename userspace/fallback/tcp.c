/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The TCP thread: listening, taking connections, keeping their number in bounds. */
#include "fallback/tcp.h"

#include "common/log.h"
#include "tls/tls_server.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <urcu/urcu-memb.h>

enum {
	ACCEPTS_AT_ONCE = 64, /* then the clients have their turn */
	COMPLAINT_MS = 10000, /* between two log lines of the same trouble */
	PAUSE_MS = 100,       /* before trying again when the host has no descriptors or memory left */
};

struct tcp_listener {
	uv_poll_t poll;
	struct tcp_server *server;
	int fd;
	struct tls_identity *identity;      /* NULL: no TLS */
	bool deaf;                          /* `poll` could not be set up */
	struct tcp_listener *next;          /* in server->listeners */
	struct tcp_listener *adding_next;   /* in server->adding */
	struct tcp_listener *removing_next; /* in server->removing */
};

static void on_connections(uv_poll_t *handle, int status, int events);

static void listeners_start(struct tcp_server *server)
{
	for (struct tcp_listener *listener = server->listeners; listener; listener = listener->next) {
		if (!listener->deaf)
			uv_poll_start(&listener->poll, UV_READABLE, on_connections);
	}
}

static void on_pause_over(uv_timer_t *timer)
{
	listeners_start(timer->data);
}

/* The waiting connection would wake us at once again: look away for a moment. */
static void listeners_pause(struct tcp_server *server, int error)
{
	uint64_t now = uv_now(&server->loop);

	if (!server->complained || now - server->complained >= COMPLAINT_MS) {
		server->complained = now;
		log_warning("fallback: cannot take TCP connections: %s; trying again every %d ms", strerror(error),
		            PAUSE_MS);
	}
	for (struct tcp_listener *listener = server->listeners; listener; listener = listener->next) {
		if (!listener->deaf)
			uv_poll_stop(&listener->poll);
	}
	uv_timer_start(&server->pause, on_pause_over, PAUSE_MS, 0);
}

/* Whether the error is of one connection alone (accept(2): errors pending on the new socket are handed over). */
static bool passing(int error)
{
	switch (error) {
	case EINTR:
	case ECONNABORTED:
	case EPROTO:
	case EPERM:
	case ENETDOWN:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case EOPNOTSUPP:
	case ENETUNREACH:
		return true;
	}
	return false;
}

static bool connection_waits(const struct tcp_listener *listener)
{
	struct pollfd wait = {.fd = listener->fd, .events = POLLIN};

	return poll(&wait, 1, 0) > 0;
}

static void on_connections(uv_poll_t *handle, int status, int events)
{
	struct tcp_listener *listener = handle->data;
	struct tcp_server *server = listener->server;
	bool evicted = false;

	for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
		struct sockaddr_storage from = {0};
		socklen_t length = sizeof(from);
		int fd = accept4(listener->fd, (struct sockaddr *)&from, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			while (server->client_count >= server->shared->tcp_clients && tcp_client_evict(server))
				;
			tcp_client_open(server, fd, &from, listener->identity);
			evicted = false;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			return;
		} else if (!passing(errno)) {
			int error = errno;

			/* The kernel takes a descriptor before it looks for a connection. */
			if (!connection_waits(listener))
				return;
			/* Out of descriptors: the client that is longest idle makes place, once for each try. */
			if (evicted || !tcp_client_evict(server)) {
				listeners_pause(server, error);
				return;
			}
			evicted = true;
		}
	}
}

static void listener_free(struct tcp_listener *listener)
{
	tls_identity_unref(listener->identity);
	free(listener);
}

static void on_listener_closed(uv_handle_t *handle)
{
	listener_free(handle->data);
}

/* The address is free when this returns; the memory, when libuv is done. */
static void listener_close(struct tcp_listener *listener)
{
	struct tcp_listener **at = &listener->server->listeners;

	while (*at != listener)
		at = &(*at)->next;
	*at = listener->next;
	if (!listener->deaf)
		uv_close((uv_handle_t *)&listener->poll, on_listener_closed);
	close(listener->fd);
	if (listener->deaf)
		listener_free(listener);
}

static void listener_start(struct tcp_listener *listener)
{
	struct tcp_server *server = listener->server;

	listener->next = server->listeners;
	server->listeners = listener;
	listener->deaf = uv_poll_init(&server->loop, &listener->poll, listener->fd) != 0;
	listener->poll.data = listener;
	if (listener->deaf)
		log_error("fallback: cannot wait for TCP connections on an address; it is served by UDP alone");
	else if (!uv_is_active((uv_handle_t *)&server->pause))
		uv_poll_start(&listener->poll, UV_READABLE, on_connections);
}

static void stop(struct tcp_server *server)
{
	while (server->listeners)
		listener_close(server->listeners);
	while (server->clients.next != &server->clients)
		tcp_client_close(server->clients.next);
	uv_close((uv_handle_t *)&server->sweep, NULL);
	uv_close((uv_handle_t *)&server->pause, NULL);
	uv_close((uv_handle_t *)&server->wake, NULL);
}

static void on_wake(uv_async_t *async)
{
	struct tcp_server *server = async->data;
	struct tcp_listener *adding, *removing;
	unsigned removed = 0;
	bool stopping;

	pthread_mutex_lock(&server->lock);
	adding = server->adding;
	removing = server->removing;
	stopping = server->stop;
	server->adding = server->removing = NULL;
	pthread_mutex_unlock(&server->lock);
	for (; adding; adding = adding->adding_next)
		listener_start(adding);
	while (removing) {
		struct tcp_listener *next = removing->removing_next;

		listener_close(removing);
		removing = next;
		removed++;
	}
	if (removed) {
		pthread_mutex_lock(&server->lock);
		server->removed += removed;
		pthread_cond_signal(&server->removed_some);
		pthread_mutex_unlock(&server->lock);
	}
	if (stopping)
		stop(server);
}

static void on_sweep(uv_timer_t *timer)
{
	tcp_client_sweep(timer->data);
}

static void *server_run(void *context)
{
	struct tcp_server *server = context;

	urcu_memb_register_thread();
	uv_run(&server->loop, UV_RUN_DEFAULT);
	urcu_memb_unregister_thread();
	return NULL;
}

static void server_free(struct tcp_server *server)
{
	pthread_cond_destroy(&server->removed_some);
	pthread_mutex_destroy(&server->lock);
	free(server->input);
	free(server->clear);
	free(server->output);
	free(server);
}

/* Everything that can fail without a trace in the loop. */
static struct tcp_server *server_new(const struct fallback_shared *shared)
{
	struct tcp_server *server = aligned_alloc(64, (sizeof(*server) + 63) / 64 * 64);

	if (!server)
		return NULL;
	memset(server, 0, sizeof(*server));
	server->shared = shared;
	server->clients.next = server->clients.previous = &server->clients;
	server->waiting_last = &server->waiting;
	pthread_mutex_init(&server->lock, NULL);
	pthread_cond_init(&server->removed_some, NULL);
	/* The last message of a batch may begin just below the bound. */
	server->output_room = shared->tuning.queue_max + 2 + TCP_MESSAGE_MAX;
	server->input = malloc(TCP_READ);
	server->clear = malloc(TCP_READ);
	server->output = malloc(server->output_room);
	if (!server->input || !server->clear || !server->output) {
		server_free(server);
		return NULL;
	}
	return server;
}

static int server_prepare_loop(struct tcp_server *server)
{
	const struct fallback_tuning *tuning = &server->shared->tuning;
	unsigned shorter = tuning->idle_ms < tuning->write_ms ? tuning->idle_ms : tuning->write_ms;
	unsigned period = shorter / 10 < 10 ? 10 : shorter / 10;

	if (uv_loop_init(&server->loop) != 0)
		return -1;
	if (uv_async_init(&server->loop, &server->wake, on_wake) != 0) {
		uv_loop_close(&server->loop);
		return -1;
	}
	server->wake.data = server;
	uv_timer_init(&server->loop, &server->sweep);
	server->sweep.data = server;
	uv_timer_start(&server->sweep, on_sweep, period, period);
	uv_timer_init(&server->loop, &server->pause);
	server->pause.data = server;
	return 0;
}

struct tcp_server *tcp_server_open(const struct fallback_shared *shared)
{
	struct tcp_server *server = server_new(shared);

	if (!server || server_prepare_loop(server) != 0) {
		log_error("fallback: cannot set up the TCP server: no memory or no descriptors");
		if (server)
			server_free(server);
		return NULL;
	}
	if (fallback_thread(&server->thread, server_run, server, "tcp") != 0) {
		stop(server);
		uv_run(&server->loop, UV_RUN_DEFAULT);
		uv_loop_close(&server->loop);
		server_free(server);
		return NULL;
	}
	return server;
}

struct tcp_listener *tcp_server_add(struct tcp_server *server, int fd, struct tls_identity *identity)
{
	struct tcp_listener *listener = calloc(1, sizeof(*listener));

	if (!listener) {
		close(fd);
		return NULL;
	}
	listener->server = server;
	listener->fd = fd;
	listener->identity = identity ? tls_identity_ref(identity) : NULL;
	pthread_mutex_lock(&server->lock);
	listener->adding_next = server->adding;
	server->adding = listener;
	pthread_mutex_unlock(&server->lock);
	uv_async_send(&server->wake);
	return listener;
}

void tcp_server_remove(struct tcp_server *server, struct tcp_listener *listener)
{
	uint64_t before;

	pthread_mutex_lock(&server->lock);
	before = server->removed;
	listener->removing_next = server->removing;
	server->removing = listener;
	uv_async_send(&server->wake);
	/* Else a bind of the same address by the next caller could fail. */
	while (server->removed == before)
		pthread_cond_wait(&server->removed_some, &server->lock);
	pthread_mutex_unlock(&server->lock);
}

const struct fallback_tally *tcp_server_tally(const struct tcp_server *server)
{
	return &server->tally;
}

void tcp_server_close(struct tcp_server *server)
{
	pthread_mutex_lock(&server->lock);
	server->stop = true;
	pthread_mutex_unlock(&server->lock);
	uv_async_send(&server->wake);
	pthread_join(server->thread, NULL);
	uv_loop_close(&server->loop);
	server_free(server);
}

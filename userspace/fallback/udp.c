/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * UDP workers. Each has a socket of its own on every service address (SO_REUSEPORT), bound to that address, so that a
 * reply leaves from the address asked; queries come and replies go in batches.
 */
#include "answer/limit.h"
#include "fallback/internal.h"
#include "fallback/scan.h"

#include "common/log.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <urcu/urcu-memb.h>

#define BATCH 32U
#define EVENTS 16
#define OPCODE_NOTIFY 4
#define DATAGRAM_MAX 65535U
/* Buffers are not a power of two apart, else the starts of all would compete for the same lines of the cache. Only the
 * pages that are touched cost memory. */
#define STRIDE (65536U + 3 * 64)

struct udp_socket {
	int fd;
	struct udp_socket *next; /* in `retired` */
};

struct udp_worker {
	struct fallback_tally tally;
	const struct fallback_shared *shared;
	pthread_t thread;
	int epoll, wake;
	bool stop; /* atomic */

	pthread_mutex_t lock;
	struct udp_socket *retired; /* under `lock`; closed by the worker, who alone knows when it is done with them */

	struct pg_work work;
	uint8_t *queries, *replies;
	struct sockaddr_storage from[BATCH];
	struct iovec in_vector[BATCH], out_vector[BATCH];
	struct mmsghdr in[BATCH], out[BATCH];
};

static bool source_answerable(const struct sockaddr_storage *from)
{
	/* Port 0 is no place to answer to. The two families have the port at the same place. */
	return ((const struct sockaddr_in *)from)->sin_port != 0;
}

/* Charges a reply to its client. Returns its length, that of what is sent in its place, or 0 for nothing. */
static size_t limit_reply(struct udp_worker *worker, const struct image_view *view, unsigned number, uint8_t *reply,
                          size_t length)
{
	struct fallback_counters *counters = &worker->tally.counters;

	/* What a primary gets to its NOTIFY is no response that a victim could be sent. */
	if (message_opcode(reply) == OPCODE_NOTIFY && worker->work.rcode == 0)
		return length;
	switch (limiter_judge(worker->shared->limiter, view->settings, &worker->work, message_get16(reply + 6))) {
	case PG_LIMIT_PASS:
		return length;
	case PG_LIMIT_SLIP:
		tally_add(&counters->slipped, 1);
		return respond_slip(view, &worker->work, worker->in[number].msg_hdr.msg_iov->iov_base,
		                    worker->in[number].msg_len, reply);
	}
	tally_add(&counters->limited, 1);
	return 0;
}

/* Answers `count` queries; returns the number of replies that stand in `out`. */
static unsigned answer_batch(struct udp_worker *worker, unsigned count)
{
	struct fallback_tally *tally = &worker->tally;
	unsigned replies = 0, dropped = 0;
	const struct image_view *view;

	worker->work.now = boottime_ns();
	urcu_memb_read_lock();
	view = image_view_get(worker->shared->image);
	for (unsigned i = 0; i < count; i++) {
		struct msghdr *query = &worker->in[i].msg_hdr, *reply = &worker->out[replies].msg_hdr;
		uint8_t *buffer = worker->replies + (size_t)replies * STRIDE;
		size_t length = 0;

		if (source_answerable(&worker->from[i]) && !(query->msg_flags & MSG_TRUNC))
			length = respond(view, &worker->work, &worker->shared->respond, false, &worker->from[i],
			                 query->msg_iov->iov_base, worker->in[i].msg_len, buffer, DATAGRAM_MAX);
		if (length == 0) {
			dropped++;
			continue;
		}
		if (worker->work.uses.count)
			image_note_uses(worker->shared->image, &worker->work);
		length = limit_reply(worker, view, i, buffer, length);
		if (length == 0)
			continue;
		tally_rcode(tally, worker->work.rcode);
		zone_counters_reply(image_zone_counters(worker->shared->image), &worker->work,
		                    worker->from[i].ss_family == AF_INET6, length);
		reply->msg_name = query->msg_name;
		reply->msg_namelen = query->msg_namelen;
		reply->msg_iov->iov_base = buffer;
		reply->msg_iov->iov_len = length;
		replies++;
	}
	urcu_memb_read_unlock();
	if (dropped)
		tally_add(&tally->counters.dropped, dropped);
	return replies;
}

/* Never waits: when the socket is full the rest is lost, as it would be in the network. */
static void send_batch(struct udp_worker *worker, int fd, unsigned count)
{
	unsigned at = 0, sent = 0;

	while (at < count) {
		int n = sendmmsg(fd, worker->out + at, count - at, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0) {
			at += (unsigned)n;
			sent += (unsigned)n;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) {
			break;
		} else if (errno != EINTR) {
			at++; /* this one cannot be sent (no route, a filter); the next may */
		}
	}
	tally_add(&worker->tally.counters.udp, sent);
	if (sent < count)
		tally_add(&worker->tally.counters.dropped, count - sent);
}

/* Takes one batch off a socket. Returns the number of messages. */
static unsigned serve(struct udp_worker *worker, const struct udp_socket *socket)
{
	int count = recvmmsg(socket->fd, worker->in, BATCH, MSG_DONTWAIT, NULL);
	unsigned replies;

	if (count <= 0)
		return 0;
	replies = answer_batch(worker, (unsigned)count);
	if (replies)
		send_batch(worker, socket->fd, replies);
	for (int i = 0; i < count; i++)
		worker->in[i].msg_hdr.msg_namelen = sizeof(worker->from[i]);
	return (unsigned)count;
}

static void close_retired(struct udp_worker *worker)
{
	struct udp_socket *socket, *next;
	uint64_t wakes;

	if (read(worker->wake, &wakes, sizeof(wakes)) < 0 && errno != EAGAIN)
		log_debug("fallback: eventfd: %s", strerror(errno));
	pthread_mutex_lock(&worker->lock);
	socket = worker->retired;
	worker->retired = NULL;
	pthread_mutex_unlock(&worker->lock);
	for (; socket; socket = next) {
		next = socket->next;
		/* What has arrived is answered, but a flood does not keep the socket open. */
		for (unsigned i = 0; i < 64 && serve(worker, socket) == BATCH; i++)
			;
		close(socket->fd); /* leaves the epoll set by that */
		free(socket);
	}
}

static void *worker_run(void *context)
{
	struct udp_worker *worker = context;
	struct epoll_event events[EVENTS];

	urcu_memb_register_thread();
	while (!__atomic_load_n(&worker->stop, __ATOMIC_ACQUIRE)) {
		int count = epoll_wait(worker->epoll, events, EVENTS, -1);
		bool woken = false;

		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr)
				serve(worker, events[i].data.ptr);
			else
				woken = true;
		}
		/* After the sockets: none of this round's events refers to a socket that is closed. */
		if (woken)
			close_retired(worker);
	}
	close_retired(worker);
	urcu_memb_unregister_thread();
	return NULL;
}

static void prepare_vectors(struct udp_worker *worker)
{
	for (unsigned i = 0; i < BATCH; i++) {
		worker->in_vector[i].iov_base = worker->queries + (size_t)i * STRIDE;
		worker->in_vector[i].iov_len = DATAGRAM_MAX;
		worker->in[i].msg_hdr.msg_iov = &worker->in_vector[i];
		worker->in[i].msg_hdr.msg_iovlen = 1;
		worker->in[i].msg_hdr.msg_name = &worker->from[i];
		worker->in[i].msg_hdr.msg_namelen = sizeof(worker->from[i]);
		worker->out[i].msg_hdr.msg_iov = &worker->out_vector[i];
		worker->out[i].msg_hdr.msg_iovlen = 1;
	}
}

static void worker_free(struct udp_worker *worker)
{
	if (worker->epoll >= 0)
		close(worker->epoll);
	if (worker->wake >= 0)
		close(worker->wake);
	pthread_mutex_destroy(&worker->lock);
	free(worker->queries);
	free(worker->replies);
	free(worker);
}

struct udp_worker *udp_worker_open(const struct fallback_shared *shared)
{
	struct udp_worker *worker = aligned_alloc(64, (sizeof(*worker) + 63) / 64 * 64);
	struct epoll_event event = {.events = EPOLLIN};

	if (!worker) {
		log_error("fallback: no memory for a UDP worker");
		return NULL;
	}
	memset(worker, 0, sizeof(*worker));
	worker->shared = shared;
	pthread_mutex_init(&worker->lock, NULL);
	worker->epoll = epoll_create1(EPOLL_CLOEXEC);
	worker->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	worker->queries = malloc((size_t)BATCH * STRIDE);
	worker->replies = malloc((size_t)BATCH * STRIDE);
	if (worker->epoll < 0 || worker->wake < 0 || !worker->queries || !worker->replies ||
	    epoll_ctl(worker->epoll, EPOLL_CTL_ADD, worker->wake, &event) != 0) {
		log_error("fallback: cannot set up a UDP worker: %s", strerror(errno));
		worker_free(worker);
		return NULL;
	}
	prepare_vectors(worker);
	if (fallback_thread(&worker->thread, worker_run, worker, "udp") != 0) {
		worker_free(worker);
		return NULL;
	}
	return worker;
}

struct udp_socket *udp_worker_add(struct udp_worker *worker, int fd)
{
	struct udp_socket *socket = calloc(1, sizeof(*socket));
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = socket};

	if (!socket) {
		close(fd);
		return NULL;
	}
	socket->fd = fd;
	if (epoll_ctl(worker->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
		log_error("fallback: epoll: %s", strerror(errno));
		close(fd);
		free(socket);
		return NULL;
	}
	return socket;
}

static void wake(struct udp_worker *worker)
{
	uint64_t one = 1;

	/* Fails only when the counter is full, and then the worker wakes all the same. */
	if (write(worker->wake, &one, sizeof(one)) < 0)
		log_debug("fallback: eventfd: %s", strerror(errno));
}

void udp_worker_remove(struct udp_worker *worker, struct udp_socket *socket)
{
	pthread_mutex_lock(&worker->lock);
	socket->next = worker->retired;
	worker->retired = socket;
	pthread_mutex_unlock(&worker->lock);
	wake(worker);
}

const struct fallback_tally *udp_worker_tally(const struct udp_worker *worker)
{
	return &worker->tally;
}

void udp_worker_close(struct udp_worker *worker)
{
	__atomic_store_n(&worker->stop, true, __ATOMIC_RELEASE);
	wake(worker);
	pthread_join(worker->thread, NULL);
	worker_free(worker);
}

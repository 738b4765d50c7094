/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parts of the fallback server share. */
#ifndef PEREGRINE_FALLBACK_INTERNAL_H
#define PEREGRINE_FALLBACK_INTERNAL_H

#include "fallback/fallback.h"
#include "fallback/limiter.h"
#include "fallback/respond.h"
#include "publish/zone_counters.h"

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

/* Limits of the TCP side, RFC 7766 section 6.2; other than the defaults in tests. */
struct fallback_tuning {
	unsigned idle_ms;  /* a client that has asked nothing for so long is closed */
	unsigned write_ms; /* a reply must have left us within this time */
	size_t queue_max;  /* octets queued to a client beyond which it is not read */
	/* Of transfers: how long one waits for others to end; until a piece of some 100 KiB must have left us; and in
	 * all, since its snapshot keeps the store from using room again. */
	unsigned transfer_wait_ms, transfer_piece_ms, transfer_total_ms;
};
extern const struct fallback_tuning fallback_tuning_default;

struct fallback *fallback_open_tuned(struct image *image, const struct fallback_options *options,
                                     const struct fallback_tuning *tuning);

/* What every thread reads. */
struct fallback_shared {
	struct image *image;
	struct respond_options respond;
	struct limiter *limiter;
	struct fallback_tuning tuning;
	unsigned tcp_clients;
	unsigned transfers_out;
};

/* Each thread counts on cache lines of its own; only the sum is read by others. */
struct fallback_tally {
	struct fallback_counters counters;
} __attribute__((aligned(64)));

static inline void tally_add(uint64_t *counter, uint64_t more)
{
	/* One writer: no locked instruction is needed. */
	__atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + more, __ATOMIC_RELAXED);
}

static inline void tally_rcode(struct fallback_tally *tally, uint32_t rcode)
{
	const uint32_t others = sizeof(tally->counters.rcodes) / sizeof(tally->counters.rcodes[0]) - 1;

	tally_add(&tally->counters.rcodes[rcode < others ? rcode : others], 1);
}

static inline uint64_t boottime_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* Makes a socket bound to a service address, as its type needs it, close-on-exec and non-blocking; a stream socket also
 * listens. Returns it, or -1 after logging why. */
int fallback_socket(const struct sockaddr_storage *address, int type);

/* One UDP thread. Sockets are added and removed by the main thread. */
struct udp_worker;
struct udp_socket;
struct udp_worker *udp_worker_open(const struct fallback_shared *shared);
struct udp_socket *udp_worker_add(struct udp_worker *worker, int fd);         /* takes the fd over; NULL: failed */
void udp_worker_remove(struct udp_worker *worker, struct udp_socket *socket); /* what has arrived is answered still */
const struct fallback_tally *udp_worker_tally(const struct udp_worker *worker);
void udp_worker_close(struct udp_worker *worker);

/* The TCP thread. */
struct tcp_server;
struct tcp_listener;
struct tcp_server *tcp_server_open(const struct fallback_shared *shared);
/* Takes the fd over; NULL: failed. With an identity, what is spoken there is TLS. */
struct tcp_listener *tcp_server_add(struct tcp_server *server, int fd, struct tls_identity *identity);
void tcp_server_remove(struct tcp_server *server, struct tcp_listener *listener); /* its port is free afterwards */
const struct fallback_tally *tcp_server_tally(const struct tcp_server *server);
void tcp_server_close(struct tcp_server *server);

/* Starts a thread that takes no signals: they are for the main thread. Returns 0, or -1 after logging. */
int fallback_thread(pthread_t *thread, void *(*run)(void *), void *context, const char *name);

#endif

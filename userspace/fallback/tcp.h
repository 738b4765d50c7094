/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The TCP thread's inside: the server (tcp.c) and its clients (tcp_client.c). Everything here runs on its loop. */
#ifndef PEREGRINE_FALLBACK_TCP_H
#define PEREGRINE_FALLBACK_TCP_H

#include "fallback/internal.h"
#include "tls/tls_server.h"

#include <netinet/in.h>
#include <pthread.h>
#include <uv.h>

#define TCP_MESSAGE_MAX 65535U
/* Octets read at once; also how much a client that may not go on can leave with us. */
#define TCP_READ 16384U

/* Of thousands of clients that say nothing most is what this takes, so it is kept small. */
struct tcp_client {
	uv_tcp_t stream;
	struct tcp_server *server;
	struct tcp_client *previous, *next; /* the one longest idle first */
	uint64_t active;                    /* when it last asked or took a reply, milliseconds of the loop */
	union {                             /* a fifth of a sockaddr_storage */
		struct sockaddr any;
		struct sockaddr_in four;
		struct sockaddr_in6 six;
	} from;
	struct tls_stream *tls; /* NULL: in clear text */
	/* What came and is not answered yet: a part of a message, or, behind a full queue, several. Nothing while idle.
	 */
	uint8_t *held;
	size_t held_length;
	struct tcp_output *first, *last; /* what could not be sent at once, in order */
	struct tcp_transfer *transfer;   /* that is being sent: nothing else is meanwhile */
	bool stalled;                    /* the queue is full, or a transfer goes out: not read until that is over */
	bool ending;                     /* to be closed when the queue is empty */
	bool closing;
};

struct tcp_server {
	struct fallback_tally tally;
	const struct fallback_shared *shared;
	pthread_t thread;
	uv_loop_t loop;
	uv_async_t wake;
	uv_timer_t sweep, pause;
	uint64_t complained; /* loop time of the last warning */

	pthread_mutex_t lock; /* what the main thread wants, carried out on `wake` */
	struct tcp_listener *adding, *removing;
	uint64_t removed; /* listeners closed so far */
	pthread_cond_t removed_some;
	bool stop;

	struct tcp_listener *listeners;
	struct tcp_client clients; /* ends of the list; its `next` is the client that is longest idle */
	size_t client_count;

	unsigned transfers;                           /* that have begun */
	struct tcp_transfer *waiting, **waiting_last; /* for one of these to end; the first come is the first */

	struct pg_work work;
	uint8_t *input;  /* TCP_READ */
	uint8_t *clear;  /* likewise, of what came over TLS */
	uint8_t *output; /* one batch of replies */
	size_t output_room;
};

/* Takes a connection over; closes it when that fails. With an identity TLS is spoken, and transfers are all that can be
 * had, and SOA. */
void tcp_client_open(struct tcp_server *server, int fd, const struct sockaddr_storage *from,
                     struct tls_identity *identity);
/* At once: the descriptor is free when this returns, the memory when libuv is done. */
void tcp_client_close(struct tcp_client *client);
/* Closes the client that has been idle for longest, if there is one. */
bool tcp_client_evict(struct tcp_server *server);
/* Closes those whose time is over. */
void tcp_client_sweep(struct tcp_server *server);
/* Goes on with a client whose transfer has ended. */
void tcp_client_resume(struct tcp_client *client);

/* ---- tcp_transfer.c ---- */

/* Sends a transfer, which it takes over, to a client that is stalled until then; as soon as fewer than the allowed
 * number are being sent. */
void tcp_transfer_begin(struct tcp_client *client, struct transfer_out *out);
/* The client is closed: nothing more of its transfer is sent. */
void tcp_transfer_abandon(struct tcp_transfer *transfer);
/* Whether the transfer's time is over: the client is to be closed then. */
bool tcp_transfer_overdue(struct tcp_transfer *transfer);

#endif

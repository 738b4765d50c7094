/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Connections over TCP on which many queries are under way at a time, and what came back on them. */
#ifndef PEREGRINE_GENERATOR_TCP_CONNECTION_H
#define PEREGRINE_GENERATOR_TCP_CONNECTION_H

#include "generator_shared.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TCP_QUERIES 65536u /* a reply names its query by DNS ID alone */
#define TCP_MESSAGE 65537u /* the longest one, with its length in front */

/* The queries, one behind the other as they go out, and what their replies have to be. */
struct tcp_load {
	uint8_t *octets;
	size_t size;
	size_t *place; /* of each query in `octets`; one more: the end */
	struct generator_query *queries;
	uint32_t count;
	struct generator_sample *samples; /* GENERATOR_SAMPLES; the last one more: of the first wrong reply */
};

/* What came back on all connections. */
struct tcp_counts {
	uint64_t asked, replies, octets;
	uint64_t wrong;   /* another QR, RCODE or ANCOUNT */
	uint64_t strange; /* no message, or the reply to a query that is not under way */
	uint64_t closed;  /* connections, before their time */
};

struct tcp_connection {
	int socket; /* -1: closed */
	uint32_t next;
	uint32_t under_way;
	size_t start, pending; /* octets of the load that are to be sent yet */
	bool *waiting;         /* by query: it is under way */
	uint8_t *rest;         /* of a message that has not come whole */
	size_t rest_size;
};

/* Reads the generator's records, of `slot` octets each; -1 with a message to stderr. */
int tcp_load_read(struct tcp_load *load, const char *path, unsigned slot);
void tcp_load_free(struct tcp_load *load);

/* Connects to port 53 of an address, as text, and begins with query `first`; -1 with errno. */
int tcp_connection_open(struct tcp_connection *connection, const struct tcp_load *load, const char *address,
                        uint32_t first);
void tcp_connection_close(struct tcp_connection *connection);

/* So many queries more. */
void tcp_connection_ask(struct tcp_connection *connection, const struct tcp_load *load, struct tcp_counts *counts,
                        uint32_t count);

/* Sends what the socket takes; -1 when the connection is broken. */
int tcp_connection_send(struct tcp_connection *connection, const struct tcp_load *load);

/* Takes what has come and looks at each reply; how many, or -1 when the connection is closed. */
int tcp_connection_receive(struct tcp_connection *connection, struct tcp_load *load, struct tcp_counts *counts);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Zones given to secondaries of ours: AXFR (RFC 5936) and IXFR (RFC 1995), message by message. No sockets here: who has
 * the connection asks for the next octets when it can send them, on a thread that may wait for a disk. The records come
 * from a snapshot, one zone at one moment, which no update changes.
 */
#ifndef PEREGRINE_TRANSFER_OUT_H
#define PEREGRINE_TRANSFER_OUT_H

#include "tsig/tsig_server.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* RRs of one owner and type. What is pointed to stands until the next call on the same snapshot. */
struct out_rrset {
	const uint8_t *owner; /* wire format */
	uint16_t type;
	uint32_t ttl;
	uint32_t count;
	const uint8_t *rdata; /* each a 16-bit length in host byte order (not aligned), and so many octets */
};

/* Where zones are read. All calls but `begin` are about one snapshot, used by one thread at a time; -1 says that it
 * cannot be read on. */
struct out_source {
	/* The zone as it is now, and about how many octets it has; NULL: there is none to be had. */
	void *(*begin)(void *context, const uint8_t *apex, uint64_t *octets);
	int (*soa)(void *snapshot, struct out_rrset *out);
	/* Every RRset, the SOA among them. 1; 0 at the end. */
	int (*next)(void *snapshot, struct out_rrset *out);
	/* Whether differences lead from serial `from` to the snapshot's (1, or 0), and about how many octets they have.
	 */
	int (*changes)(void *snapshot, uint32_t from, uint64_t *octets);
	/* What an IXFR has between its two outer SOAs, in that order. 1; 0 at the end. */
	int (*next_change)(void *snapshot, struct out_rrset *out);
	void (*end)(void *snapshot);
	void *context;
};

#define OUT_OPT_ROOM 512
/* A transfer that was asked for, and allowed. */
struct out_request {
	const uint8_t *apex;     /* wire format, lower case */
	const uint8_t *question; /* as asked: name, type, class */
	size_t question_length;
	uint16_t id;
	bool recursion_desired; /* echoed */
	bool incremental;       /* IXFR, from ... */
	uint32_t serial;
	const uint8_t *opt; /* the OPT record of the first message; NULL: none */
	size_t opt_length;  /* at most OUT_OPT_ROOM */
	struct sockaddr_storage from;
};

/* Octets of a buffer in which any message has place behind its length. */
#define OUT_MESSAGE_ROOM (2U + 65535U)
/* Messages are filled so far: pointers reach no further (RFC 1035 section 4.1.4). Only an RR that is larger makes its
 * message larger. */
#define OUT_MESSAGE_FILL 16383U

struct transfer_out;

/* Copies the request and takes the session over, whatever comes out. `source` must outlive it. Returns NULL when memory
 * is short. */
struct transfer_out *transfer_out_new(const struct out_source *source, const struct out_request *request,
                                      struct tsig_server *tsig);
/* Ends its snapshot. */
void transfer_out_free(struct transfer_out *transfer);

enum out_result {
	OUT_MORE,
	OUT_DONE,
	OUT_FAILED /* the connection has to be closed: nothing that could be sent would make it whole */
};
/*
 * Writes the next messages of the answer, each behind its length in two octets, as many as fit; `room` is at least
 * OUT_MESSAGE_ROOM. May wait for a disk. Returns the octets written.
 */
size_t transfer_out_next(struct transfer_out *transfer, uint8_t *buffer, size_t room, enum out_result *result);

/* Writes the one line that says what became of it: `why` NULL, it was sent whole. `milliseconds` it took. */
void transfer_out_log(const struct transfer_out *transfer, uint64_t milliseconds, const char *why);

/* What transfer_out_next gave OUT_FAILED for. */
const char *transfer_out_error(const struct transfer_out *transfer);

#endif

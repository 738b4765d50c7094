/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For the tests of the fallback server's sockets: loopback, and an engine that answers anything. Included by exactly
 * one file of a test, whose functions take the place of those in the library. */
#ifndef PEREGRINE_TESTS_LOOPBACK_H
#define PEREGRINE_TESTS_LOOPBACK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/engine.h"
#include "fallback/internal.h"
#include "fallback/scan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define LIMIT_MS 5000 /* what should happen happens within this time, however slow the machine */

static const struct pg_settings settings = {.udp_size = 1232};
static const struct image_view view = {.settings = &settings};

const struct image_view *image_view_get(const struct image *image)
{
	return &view;
}

void image_note_uses(struct image *used, const struct pg_work *work)
{
}

struct zone_counters *image_zone_counters(const struct image *image)
{
	return NULL;
}

/* Sends the query back; over TCP, one that says so by CD is answered with a very long reply. An SOA is told with
 * authority, as far as its header goes; transfers are left to the fallback. */
#define LONG 60000U
enum pg_exit engine_answer(const struct image_view *seen, struct pg_work *work, bool tcp, uint64_t boottime,
                           const uint8_t *query, size_t length, uint8_t *reply, size_t room, size_t *reply_length)
{
	if (seen != &view || boottime == 0 || room < length)
		abort(); /* cmocka's assertions are for the thread of the test */
	if (message_opcode(query) != 0)
		return PG_EXIT_OPCODE;
	if (query[length - 3] >= 251)
		return PG_EXIT_META_TYPE;
	memcpy(reply, query, length);
	reply[2] |= 0x80;
	work->rcode = 0;
	work->zone = PG_ZONE_NONE;
	*reply_length = length;
	if (query[length - 3] == 6) {
		reply[2] |= 4;
		reply[7] = 1;
	}
	if (tcp && query[3] & 0x10) {
		memset(reply + length, 0, LONG - length);
		*reply_length = LONG;
	}
	return PG_EXIT_ANSWERED;
}

/* Of no use to replies like these. */
size_t engine_opt(const struct image_view *seen, struct pg_work *work, const struct engine_opt *asked, uint8_t *at,
                  size_t room)
{
	return 0;
}

uint64_t engine_hash_number(const struct pg_settings *seen, enum pg_role role, uint32_t zone, uint64_t number)
{
	return number;
}

bool engine_bad_cookie(const struct image_view *seen, const uint8_t *cookie, size_t length)
{
	return false;
}

static inline size_t notify(void *context, const struct sockaddr_storage *from, const uint8_t *wire, size_t length,
                            uint8_t *reply)
{
	memcpy(reply, wire, length);
	reply[2] |= 0x80;
	return length;
}

/* The least that is a query: header and the root's name, type A, class IN. */
#define QUERY_LENGTH 17U
static inline void make_query(uint8_t *query, unsigned id, bool large)
{
	static const uint8_t rest[] = {1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1};

	message_put16(query, id);
	memcpy(query + 2, rest, sizeof(rest));
	query[3] = large ? 0x10 : 0;
}

static inline struct sockaddr_storage address_of(const char *text, unsigned port)
{
	struct sockaddr_storage address = {0};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;

	v4->sin_port = htons((uint16_t)port);
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1)
		address.ss_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1)
		address.ss_family = AF_INET6;
	return address;
}

static inline socklen_t size_of(const struct sockaddr_storage *address)
{
	return address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

/* A port that nobody has at this moment. */
static inline unsigned free_port(void)
{
	struct sockaddr_storage address = address_of("127.0.0.1", 0);
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, size_of(&address)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	close(fd);
	return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

static inline int dial(const struct sockaddr_storage *address, int type)
{
	int fd = socket(address->ss_family, type, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)address, size_of(address)), 0);
	return fd;
}

static inline struct fallback *start(const struct sockaddr_storage *addresses, size_t count, unsigned clients,
                                     const struct fallback_tuning *tuning)
{
	const struct fallback_options options = {.udp_workers = 2, .tcp_clients = clients, .notify = notify};
	struct fallback *fallback = fallback_open_tuned(NULL, &options, tuning ? tuning : &fallback_tuning_default);

	assert_non_null(fallback);
	assert_int_equal(fallback_set_addresses(fallback, addresses, count), 0);
	return fallback;
}

static inline bool readable(int fd, int ms)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};

	return poll(&wait, 1, ms) == 1;
}

/* Reads exactly so much; false at the end of the stream. */
static inline bool read_all(int fd, uint8_t *data, size_t length)
{
	for (size_t at = 0; at < length;) {
		ssize_t n;

		assert_true(readable(fd, LIMIT_MS));
		n = recv(fd, data + at, length - at, 0);
		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

/* Reads one reply; returns its length, 0 at the end of the stream. */
static inline size_t read_reply(int fd, unsigned *id)
{
	static uint8_t data[65535];
	uint8_t prefix[2];
	size_t length;

	*id = 0;
	if (!read_all(fd, prefix, 2))
		return 0;
	length = message_get16(prefix);
	assert_true(length >= MESSAGE_HEADER && read_all(fd, data, length));
	*id = message_get16(data);
	return length;
}

static inline bool at_end(int fd)
{
	uint8_t octet;

	return !read_all(fd, &octet, 1);
}

static inline void write_all(int fd, const void *data, size_t length)
{
	assert_int_equal(send(fd, data, length, MSG_NOSIGNAL), length);
}

static inline void write_query(int fd, unsigned id, bool large)
{
	uint8_t frame[2 + QUERY_LENGTH] = {0, QUERY_LENGTH};

	make_query(frame + 2, id, large);
	write_all(fd, frame, sizeof(frame));
}

static inline void exchange(int fd, unsigned id)
{
	unsigned got;

	write_query(fd, id, false);
	assert_int_equal(read_reply(fd, &got), QUERY_LENGTH);
	assert_int_equal(got, id);
}

/* Waits until the server has so many clients. */
static inline void await_clients(struct fallback *fallback, uint64_t count)
{
	struct fallback_counters counters;

	for (unsigned ms = 0; ms < LIMIT_MS; ms += 5) {
		fallback_get_counters(fallback, &counters);
		if (counters.tcp_clients == count)
			return;
		usleep(5000);
	}
	assert_int_equal(counters.tcp_clients, count);
}

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The fallback server's TCP side: RFC 7766, and clients that mean no good. */
#include "loopback.h"

static void test_tcp_pipeline(void **state)
{
	enum { QUERIES = 1000, FRAME = 2 + QUERY_LENGTH };
	const struct sockaddr_storage address = address_of("::1", free_port());
	struct fallback *fallback = start(&address, 1, 10, NULL);
	int fd = dial(&address, SOCK_STREAM);
	static uint8_t frames[QUERIES * FRAME];
	unsigned id;

	for (unsigned i = 0; i < QUERIES; i++) {
		message_put16(frames + i * FRAME, QUERY_LENGTH);
		make_query(frames + i * FRAME + 2, i, false);
	}
	/* All at once, then one in single octets, then two in parts that do not end where a message does. */
	write_all(fd, frames, sizeof(frames));
	for (unsigned i = 0; i < QUERIES; i++)
		assert_true(read_reply(fd, &id) == QUERY_LENGTH && id == i);
	for (unsigned i = 0; i < FRAME; i++) {
		write_all(fd, frames + i, 1);
		usleep(500);
	}
	assert_true(read_reply(fd, &id) == QUERY_LENGTH && id == 0);
	write_all(fd, frames, FRAME + 5);
	assert_true(read_reply(fd, &id) == QUERY_LENGTH && id == 0);
	write_all(fd, frames + FRAME + 5, FRAME - 5);
	assert_true(read_reply(fd, &id) == QUERY_LENGTH && id == 1);

	/* Half closed behind the last query: all replies, then the end. */
	write_all(fd, frames, 3 * FRAME);
	shutdown(fd, SHUT_WR);
	for (unsigned i = 0; i < 3; i++)
		assert_true(read_reply(fd, &id) == QUERY_LENGTH && id == i);
	assert_true(at_end(fd));
	close(fd);
	await_clients(fallback, 0);
	fallback_close(fallback);
}

static void test_tcp_garbage(void **state)
{
	static const char *const garbage[] = {"\0\0", "\0\1x",
	                                      "\0\x11"
	                                      "12\x80",
	                                      "\0\xc"
	                                      "12\x80\0\0\0\0\0\0\0\0"};
	static const size_t lengths[] = {2, 3, 2 + QUERY_LENGTH, 2 + MESSAGE_HEADER};
	const struct sockaddr_storage address = address_of("127.0.0.1", free_port());
	struct fallback *fallback = start(&address, 1, 10, NULL);

	for (unsigned i = 0; i < 4; i++) {
		uint8_t data[64] = {0};
		int fd = dial(&address, SOCK_STREAM);
		unsigned id;

		memcpy(data, garbage[i], i == 2 ? 5 : lengths[i]);
		write_query(fd, i, false);
		assert_true(read_reply(fd, &id) == QUERY_LENGTH && id == i);
		write_all(fd, data, lengths[i]);
		assert_true(at_end(fd));
		close(fd);
	}
	/* A message of the greatest length is taken, not held against the client. */
	int fd = dial(&address, SOCK_STREAM);
	static uint8_t large[2 + 65535] = {0xFF, 0xFF};
	unsigned id;

	make_query(large + 2, 77, false);
	write_all(fd, large, sizeof(large));
	assert_true(read_reply(fd, &id) == 65535 && id == 77);
	close(fd);
	fallback_close(fallback);
}

static void test_tcp_idle(void **state)
{
	const struct fallback_tuning tuning = {.idle_ms = 250, .write_ms = 250, .queue_max = 1 << 17};
	const struct sockaddr_storage address = address_of("127.0.0.1", free_port());
	struct fallback *fallback = start(&address, 1, 10, &tuning);
	int silent = dial(&address, SOCK_STREAM), dripping = dial(&address, SOCK_STREAM), busy;

	write_all(dripping, "\0\x11", 2);
	busy = dial(&address, SOCK_STREAM);
	for (unsigned i = 0; i < 8; i++) {
		exchange(busy, i);
		send(dripping, "x", 1, MSG_NOSIGNAL); /* never a whole message: that is not to be alive */
		usleep(50000);
	}
	assert_true(at_end(silent));
	assert_true(at_end(dripping));
	exchange(busy, 9);
	assert_true(at_end(busy));
	close(silent);
	close(dripping);
	close(busy);
	await_clients(fallback, 0);
	fallback_close(fallback);
}

static int dial_narrow(const struct sockaddr_storage *address)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), small = 4096;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	assert_int_equal(connect(fd, (const struct sockaddr *)address, size_of(address)), 0);
	return fd;
}

/* 20 MB of replies are asked for; the client reads late, but reads all, in order. */
static void test_tcp_slow_reader(void **state)
{
	enum { QUERIES = 350 };
	const struct sockaddr_storage address = address_of("127.0.0.1", free_port());
	struct fallback *fallback = start(&address, 1, 10, NULL);
	int fd = dial(&address, SOCK_STREAM);
	struct fallback_counters counters;
	unsigned id;

	for (unsigned i = 0; i < QUERIES; i++)
		write_query(fd, i, true);
	shutdown(fd, SHUT_WR);
	usleep(200000);
	fallback_get_counters(fallback, &counters);
	assert_true(counters.tcp > 0 && counters.tcp < QUERIES); /* not all stand in the server's memory */
	for (unsigned i = 0; i < QUERIES; i++)
		assert_true(read_reply(fd, &id) == LONG && id == i);
	assert_true(at_end(fd));
	close(fd);
	fallback_close(fallback);
}

/* A client that does not read at all is closed when its time for it is over. */
static void test_tcp_no_reader(void **state)
{
	const struct fallback_tuning tuning = {.idle_ms = 60000, .write_ms = 200, .queue_max = 1 << 17};
	const struct sockaddr_storage address = address_of("127.0.0.1", free_port());
	struct fallback *fallback = start(&address, 1, 10, &tuning);
	int fd = dial_narrow(&address);

	for (unsigned i = 0; i < 300; i++)
		write_query(fd, i, true);
	await_clients(fallback, 1);
	await_clients(fallback, 0);
	close(fd);
	fallback_close(fallback);
}

static void test_tcp_many_clients(void **state)
{
	enum { CLIENTS = 100, LIMIT = 50 };
	const struct sockaddr_storage address = address_of("127.0.0.1", free_port());
	struct fallback *fallback = start(&address, 1, LIMIT, NULL);
	int fd[CLIENTS];

	for (unsigned i = 0; i < CLIENTS; i++) {
		fd[i] = dial(&address, SOCK_STREAM);
		exchange(fd[i], i);
		if (i >= 1)
			exchange(fd[0], i); /* the first is never idle for long */
	}
	await_clients(fallback, LIMIT);
	exchange(fd[0], 0);
	for (unsigned i = 1; i < CLIENTS; i++) {
		if (i <= CLIENTS - LIMIT)
			assert_true(at_end(fd[i]));
		else
			exchange(fd[i], i);
	}
	for (unsigned i = 0; i < CLIENTS; i++)
		close(fd[i]);
	await_clients(fallback, 0);
	fallback_close(fallback);
}

static uint64_t cpu_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Without descriptors: the idle client makes place; with nobody to make place the server waits, and does not spin. */
static void test_tcp_no_descriptors(void **state)
{
	const struct sockaddr_storage address = address_of("127.0.0.1", free_port());
	struct fallback *fallback = start(&address, 1, 10, NULL);
	struct rlimit before, low;
	int fd[3], first;
	uint64_t cpu;

	for (unsigned i = 0; i < 3; i++)
		fd[i] = socket(AF_INET, SOCK_STREAM, 0);
	/* Taken and left, so that what libuv opens once for itself is open. */
	first = dial(&address, SOCK_STREAM);
	exchange(first, 1);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = before;
	low.rlim_cur = (rlim_t)dup(0); /* the lowest number that is free is the first that is forbidden */
	close((int)low.rlim_cur);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_int_equal(connect(fd[0], (const struct sockaddr *)&address, size_of(&address)), 0);
	exchange(fd[0], 2);
	assert_true(at_end(first));

	/* Below every descriptor of the server: now the last client goes, and the next one waits. */
	low.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_int_equal(connect(fd[1], (const struct sockaddr *)&address, size_of(&address)), 0);
	assert_true(at_end(fd[0]));
	write_query(fd[1], 3, false);
	cpu = cpu_ms();
	assert_false(readable(fd[1], 300));
	assert_true(cpu_ms() - cpu < 150);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	unsigned id;
	assert_true(read_reply(fd[1], &id) == QUERY_LENGTH && id == 3);
	for (unsigned i = 0; i < 3; i++)
		close(fd[i]);
	close(first);
	fallback_close(fallback);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_tcp_pipeline),       cmocka_unit_test(test_tcp_garbage),
	    cmocka_unit_test(test_tcp_idle),           cmocka_unit_test(test_tcp_slow_reader),
	    cmocka_unit_test(test_tcp_no_reader),      cmocka_unit_test(test_tcp_many_clients),
	    cmocka_unit_test(test_tcp_no_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

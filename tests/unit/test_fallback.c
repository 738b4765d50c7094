/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The fallback server's UDP side, and service addresses that come and go. */
#include "loopback.h"

static void udp_round(const struct sockaddr_storage *address)
{
	enum { QUERIES = 200 };
	bool seen[QUERIES] = {false};
	int fd = dial(address, SOCK_DGRAM); /* connected: a reply from another address would not arrive */
	uint8_t data[512];

	for (unsigned i = 0; i < QUERIES; i++) {
		make_query(data, i, false);
		write_all(fd, data, QUERY_LENGTH);
	}
	for (unsigned i = 0; i < QUERIES; i++) {
		assert_true(readable(fd, LIMIT_MS));
		assert_int_equal(recv(fd, data, sizeof(data), 0), QUERY_LENGTH);
		assert_true(data[2] & 0x80 && message_get16(data) < QUERIES && !seen[message_get16(data)]);
		seen[message_get16(data)] = true;
	}
	close(fd);
}

static void test_udp(void **state)
{
	unsigned port = free_port();
	const struct sockaddr_storage addresses[] = {address_of("127.0.0.1", port), address_of("127.0.0.2", port),
	                                             address_of("::1", port), address_of("127.0.0.1", port)};
	struct fallback *fallback = start(addresses, 4, 10, NULL);
	struct fallback_counters counters;

	for (unsigned i = 0; i < 3; i++)
		udp_round(&addresses[i]);
	fallback_close(fallback);

	fallback = start(addresses, 3, 10, NULL);
	udp_round(&addresses[0]);
	for (unsigned ms = 0; ms < LIMIT_MS; ms += 5) {
		fallback_get_counters(fallback, &counters); /* a reply is counted just after it has left */
		if (counters.udp == 200)
			break;
		usleep(5000);
	}
	assert_int_equal(counters.udp, 200);
	assert_int_equal(counters.rcodes[0], 200);
	fallback_close(fallback);
}

static void test_udp_garbage(void **state)
{
	const struct sockaddr_storage address = address_of("127.0.0.1", free_port());
	struct fallback *fallback = start(&address, 1, 10, NULL);
	int fd = dial(&address, SOCK_DGRAM);
	struct fallback_counters counters;
	uint8_t data[512];

	make_query(data, 1, false);
	write_all(fd, data, 0);
	write_all(fd, data, 11);
	data[2] |= 0x80;
	write_all(fd, data, QUERY_LENGTH);
	make_query(data, 2, false);
	data[2] = 0x24; /* NOTIFY */
	write_all(fd, data, QUERY_LENGTH);
	assert_true(readable(fd, LIMIT_MS));
	assert_int_equal(recv(fd, data, sizeof(data), 0), QUERY_LENGTH);
	assert_int_equal(message_get16(data), 2);
	assert_int_equal(data[2], 0xA4);
	assert_false(readable(fd, 20));
	close(fd);
	fallback_get_counters(fallback, &counters);
	assert_int_equal(counters.dropped, 3);
	fallback_close(fallback);
}

/* A query from port 0 has nowhere to be answered to. Only a raw socket can send one. */
static void test_source_port_0(void **state)
{
	const struct sockaddr_storage address = address_of("127.0.0.1", free_port());
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP);
	struct fallback_counters counters = {0};
	uint8_t data[8 + QUERY_LENGTH] = {0};
	struct fallback *fallback;

	if (fd < 0)
		skip();
	fallback = start(&address, 1, 10, NULL);
	memcpy(data + 2, &((const struct sockaddr_in *)&address)->sin_port, 2);
	message_put16(data + 4, sizeof(data));
	make_query(data + 8, 1, false);
	assert_int_equal(sendto(fd, data, sizeof(data), 0, (const struct sockaddr *)&address, size_of(&address)),
	                 sizeof(data));
	close(fd);
	for (unsigned ms = 0; ms < LIMIT_MS && counters.dropped == 0; ms += 5) {
		usleep(5000);
		fallback_get_counters(fallback, &counters);
	}
	assert_int_equal(counters.dropped, 1);
	assert_int_equal(counters.udp, 0);
	fallback_close(fallback);
}

static void test_addresses_change(void **state)
{
	unsigned port = free_port();
	const struct sockaddr_storage addresses[] = {address_of("127.0.0.1", port), address_of("127.0.0.2", port)};
	struct fallback *fallback = start(addresses, 1, 10, NULL);
	int fd, other;

	udp_round(&addresses[0]);
	assert_int_equal(fallback_set_addresses(fallback, addresses + 1, 1), 0);
	udp_round(&addresses[1]);
	fd = dial(&addresses[1], SOCK_STREAM);
	exchange(fd, 7);

	/* Held by another server, the first address cannot be had; the second is served all the while. */
	other = socket(AF_INET, SOCK_STREAM, 0);
	for (unsigned ms = 0; bind(other, (const struct sockaddr *)&addresses[0], size_of(&addresses[0])) != 0; ms++) {
		assert_true(ms < LIMIT_MS); /* the server closes its sockets on threads of their own */
		usleep(1000);
	}
	assert_int_equal(listen(other, 1), 0);
	assert_int_equal(fallback_set_addresses(fallback, addresses, 2), 1);
	exchange(fd, 8);
	close(other);
	assert_int_equal(fallback_set_addresses(fallback, addresses, 2), 0);
	udp_round(&addresses[0]);
	for (unsigned i = 0; i < 50; i++)
		fallback_set_addresses(fallback, addresses + i % 2, 1);
	exchange(fd, 9);
	close(fd);
	fallback_close(fallback);
}

/* An address that the host does not have yet (IP_FREEBIND). */
static void test_address_to_come(void **state)
{
	const struct sockaddr_storage addresses[] = {address_of("192.0.2.53", free_port()),
	                                             address_of("2001:db8::53", free_port())};

	fallback_close(start(addresses, 2, 10, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_udp),
	    cmocka_unit_test(test_udp_garbage),
	    cmocka_unit_test(test_source_port_0),
	    cmocka_unit_test(test_addresses_change),
	    cmocka_unit_test(test_address_to_come),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

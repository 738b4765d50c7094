/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Following interfaces and addresses, in a network namespace of the test's own. Needs root, and fails without it. */
#include "agent/netlink.h"
#include "common/log.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Longer than a burst is collected for, so that a call that is due has been made. */
#define LONG_ENOUGH_MS 150

static uv_loop_t loop;
static uv_timer_t timer;
static struct netlink *netlink;
static unsigned calls;

static void run(const char *command)
{
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

static void changed(void *context)
{
	assert_ptr_equal(context, &calls);
	calls++;
}

static void stop(uv_timer_t *unused)
{
	uv_stop(&loop);
}

/* Lets the loop run; returns how often it was told of changes meanwhile. */
static unsigned calls_within(unsigned milliseconds)
{
	calls = 0;
	uv_timer_start(&timer, stop, milliseconds, 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	return calls;
}

static unsigned calls_after(const char *command)
{
	run(command);
	return calls_within(LONG_ENOUGH_MS);
}

static int set_up(void **state)
{
	run("ip link add v0 type veth peer name v1 && ip link set v0 addrgenmode none &&"
	    " ip link set v1 addrgenmode none");
	if (uv_loop_init(&loop) || uv_timer_init(&loop, &timer))
		return -1;
	netlink = netlink_open(&loop, changed, &calls);
	return netlink ? 0 : -1;
}

static int tear_down(void **state)
{
	netlink_close(netlink);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	run("ip link del v1");
	return uv_loop_close(&loop);
}

static size_t address_count(void)
{
	struct sockaddr_storage *list;
	size_t count;

	assert_int_equal(netlink_addresses(netlink, &list, &count), 0);
	assert_true((list != NULL) == (count != 0));
	free(list);
	return count;
}

static bool is_listed(const char *text)
{
	struct sockaddr_storage *list;
	char each[INET6_ADDRSTRLEN];
	bool found = false;
	size_t count;

	assert_int_equal(netlink_addresses(netlink, &list, &count), 0);
	for (size_t i = 0; i < count; i++) {
		const void *octets = list[i].ss_family == AF_INET
		                         ? (void *)&((struct sockaddr_in *)&list[i])->sin_addr
		                         : (void *)&((struct sockaddr_in6 *)&list[i])->sin6_addr;

		assert_non_null(inet_ntop(list[i].ss_family, octets, each, sizeof(each)));
		found = found || strcmp(each, text) == 0;
	}
	free(list);
	return found;
}

static void test_links(void **state)
{
	assert_int_equal(calls_within(LONG_ENOUGH_MS), 0);
	assert_int_equal(calls_after("ip link add v2 type veth peer name v3"), 1);
	assert_int_equal(calls_after("ip link set v2 up"), 1);
	assert_true(calls_after("ip link set v3 up") >= 1); /* both run now */
	assert_int_equal(calls_after("ip link set v2 alias something"), 0);
	assert_int_equal(calls_after("ip link set v2 mtu 1400"), 0);
	assert_int_equal(calls_after("ip link set v2 down"), 0);
	assert_int_equal(calls_after("ip link set v2 name w2"), 1);
	assert_int_equal(calls_after("ip link del w2"), 1);
	/* Gone and back within one burst: told, since its index is another. */
	assert_int_equal(calls_after("ip link del v0 && ip link add v0 type veth peer name v1"), 1);
}

static void test_addresses(void **state)
{
	assert_int_equal(address_count(), 0);
	assert_int_equal(calls_after("ip addr add 192.0.2.53/24 dev v0"), 1);
	assert_true(is_listed("192.0.2.53"));
	assert_int_equal(calls_after("ip addr add 2001:db8::53/64 dev v0 nodad"), 1);
	assert_true(is_listed("2001:db8::53"));
	assert_int_equal(calls_after("ip addr add 198.51.100.53/32 dev lo"), 1);
	assert_true(is_listed("198.51.100.53"));
	assert_int_equal(address_count(), 3);

	/* The same on another interface: no other address. */
	run("ip addr add 192.0.2.53/24 dev v1");
	calls_within(LONG_ENOUGH_MS);
	assert_int_equal(address_count(), 3);

	/* What nobody is served on. */
	assert_int_equal(calls_after("ip addr add 127.0.0.2/8 dev lo"), 0);
	assert_int_equal(calls_after("ip addr add fe80::53/64 dev v0 nodad"), 0);
	assert_int_equal(calls_after("ip addr add 169.254.1.1/16 scope link dev v0"), 0);
	assert_int_equal(address_count(), 3);

	/* A lifetime renewed is no change; a deprecated address still serves. */
	assert_int_equal(calls_after("ip addr change 192.0.2.53/24 dev v0 valid_lft 9999 preferred_lft 9999"), 0);
	assert_int_equal(calls_after("ip addr change 192.0.2.53/24 dev v0 valid_lft 9999 preferred_lft 0"), 0);
	assert_true(is_listed("192.0.2.53"));

	assert_int_equal(calls_after("ip addr del 2001:db8::53/64 dev v0"), 1);
	assert_false(is_listed("2001:db8::53"));
	run("ip addr del 198.51.100.53/32 dev lo && ip addr del 127.0.0.2/8 dev lo");
}

/* An IPv6 address counts once duplicate address detection has let it pass. */
static void test_tentative(void **state)
{
	unsigned told = 0;

	run("ip link set v0 up && ip link set v1 up");
	calls_within(LONG_ENOUGH_MS);
	assert_int_equal(calls_after("ip addr add 2001:db8::54/64 dev v0"), 0);
	assert_false(is_listed("2001:db8::54"));
	for (int i = 0; i < 40 && !told; i++)
		told = calls_within(LONG_ENOUGH_MS);
	assert_int_equal(told, 1);
	assert_true(is_listed("2001:db8::54"));
}

static void test_burst(void **state)
{
	assert_int_equal(calls_after("for i in 1 2 3 4 5 6 7 8; do echo addr add 192.0.2.$i/24 dev v0;"
	                             " done | ip -batch -"),
	                 1);
	assert_int_equal(address_count(), 8);
}

/* More notifications than the socket holds: nothing may be missed for long, and following goes on. */
static void test_lost_notifications(void **state)
{
	unsigned told = 0;

	run("{ for i in $(seq 1 3000); do echo addr add 10.0.0.1/32 dev v0; echo addr del 10.0.0.1/32 dev v0; done;"
	    " echo addr add 10.0.0.2/32 dev v0; } | ip -batch -");
	for (int i = 0; i < 40 && !told; i++)
		told = calls_within(LONG_ENOUGH_MS);
	assert_int_equal(told, 1);
	assert_int_equal(address_count(), 1);
	assert_true(is_listed("10.0.0.2"));
	assert_int_equal(calls_after("ip addr add 192.0.2.53/24 dev v0"), 1);
	assert_true(is_listed("192.0.2.53"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_links, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_addresses, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_tentative, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_burst, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_lost_notifications, set_up, tear_down),
	};

	if (unshare(CLONE_NEWNET)) {
		perror("test_netlink: needs root, to make a network namespace");
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

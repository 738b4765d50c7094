/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Connections that many queries share: which goes where, in whichever order answers come, and what a close costs. */
#include "exchange_world.h"

/* ---- manners of servers ---- */

static void echo(struct stream *stream)
{
	uint8_t wire[STREAM_ROOM];
	size_t length;

	while (stream_query(stream, wire, &length))
		stream_answer(stream, wire, length);
}

/* Four queries, before any is answered; the last first. */
static void reversed(struct stream *stream)
{
	uint8_t wire[4][512];
	size_t length[4];

	for (;;) {
		for (int i = 0; i < 4; i++)
			if (!stream_query(stream, wire[i], &length[i]))
				return;
		for (int i = 3; i >= 0; i--)
			stream_answer(stream, wire[i], length[i]);
	}
}

/* Messages of two answers, by turns. */
static void interleaved(struct stream *stream)
{
	uint8_t wire[2][512];
	size_t length[2];

	if (!stream_query(stream, wire[0], &length[0]) || !stream_query(stream, wire[1], &length[1]))
		return;
	for (int i = 0; i < 10; i++)
		stream_answer(stream, wire[i % 2], length[i % 2]);
	stream_waits(stream, 10000);
}

/* Answers one query, and hangs up. */
static void once(struct stream *stream)
{
	uint8_t wire[512];
	size_t length;

	if (stream_query(stream, wire, &length))
		stream_answer(stream, wire, length);
	/* What lies unread would have the kernel break off the answer too. */
	while (stream_waits(stream, 20) && stream_query(stream, wire, &length))
		;
}

static void close_at_once(struct stream *stream)
{
	uint8_t wire[512];
	size_t length;

	stream_query(stream, wire, &length);
}

/* Answers whatever but the first query of the first connection. */
static void forgets_first(struct stream *stream)
{
	uint8_t wire[512];
	size_t length;

	if (stream->number == 0)
		stream_query(stream, wire, &length);
	echo(stream);
}

/* The first query is answered without end, slowly; others between. */
static void endless(struct stream *stream)
{
	uint8_t first[512], wire[512];
	size_t first_length, length;

	if (!stream_query(stream, first, &first_length))
		return;
	while (!stream->server->stop) {
		if (!stream_answer(stream, first, first_length))
			return;
		if (stream_waits(stream, 5) &&
		    (!stream_query(stream, wire, &length) || !stream_answer(stream, wire, length)))
			return;
	}
}

/* Half a message. */
static void breaks_off(struct stream *stream)
{
	uint8_t wire[512];
	size_t length;

	if (stream_query(stream, wire, &length))
		stream_write(stream, (const uint8_t *)"\0\100abc", 5);
}

static void other_id(struct stream *stream)
{
	uint8_t wire[512];
	size_t length;

	while (stream_query(stream, wire, &length)) {
		wire[0] ^= 0xff;
		stream_answer(stream, wire, length);
	}
}

/* ---- tests ---- */

static void assert_all_good(struct exchange_world *world)
{
	for (unsigned i = 0; i < world->count; i++) {
		if (world->asked[i].failed)
			fail_msg("query %u failed: %s", i, world->asked[i].why);
		assert_int_equal(world->asked[i].messages, world->asked[i].wanted);
	}
}

static void test_any_order(void **state)
{
	struct exchange_world *world = exchange_world_open(reversed);

	for (uint16_t i = 0; i < 8; i++)
		ask(world, (uint16_t)(100 + i), 1);
	finish(world, 8);
	assert_all_good(world);
	assert_int_equal(world->server.accepted, 1);
	exchange_world_close(world);
	world = exchange_world_open(interleaved);
	ask(world, 1, 5);
	ask(world, 2, 5);
	finish(world, 2);
	assert_all_good(world);
	assert_int_equal(world->server.accepted, 1);
	exchange_world_close(world);
}

/* One connection after another, as long as it is not idle for too long. */
static void test_reuse(void **state)
{
	struct exchange_world *world = exchange_world_open(echo);

	for (uint16_t i = 0; i < 5; i++) {
		ask(world, i, 1);
		finish(world, i + 1U);
	}
	assert_int_equal(world->server.accepted, 1);
	pool_limits.idle = 30;
	ask(world, 7, 1);
	finish(world, 6);
	/* That connection was opened when idle connections were kept for longer. */
	turn(world, 60);
	assert_int_equal(world->server.open, 1);
	exchange_keep(ask(world, 8, 1)->exchange, 30);
	finish(world, 7);
	turn_until(world, &world->server.open, 0);
	ask(world, 9, 1);
	finish(world, 8);
	assert_int_equal(world->server.accepted, 2);
	turn_until(world, &world->server.open, 0);
	/* Zero: not at all; and no more than the bound. */
	pool_limits.idle = 10000;
	pool_limits.idle_most = 30;
	ask(world, 10, 1);
	finish(world, 9);
	exchange_keep(ask(world, 11, 1)->exchange, 0);
	finish(world, 10);
	turn_until(world, &world->server.open, 0);
	ask(world, 12, 1);
	finish(world, 11);
	exchange_keep(ask(world, 13, 1)->exchange, 3600000);
	finish(world, 12);
	turn_until(world, &world->server.open, 0);
	assert_all_good(world);
	exchange_world_close(world);
}

/* No more than so many connections, and so many queries on each; what waits comes in order. */
static void test_bounds(void **state)
{
	struct exchange_world *world = exchange_world_open(echo);

	pool_limits.in_flight = 2;
	for (uint16_t i = 0; i < 40; i++)
		ask(world, i, 1);
	finish(world, 40);
	assert_all_good(world);
	assert_int_equal(world->server.most_open, 3);
	assert_int_equal(world->server.queries, 40);
	exchange_world_close(world);
}

/* Answers when four are there, or no more come. */
static void hesitates(struct stream *stream)
{
	uint8_t wire[4][512];
	size_t length[4];

	for (;;) {
		unsigned count = 0;

		if (!stream_query(stream, wire[0], &length[0]))
			return;
		for (count = 1; count < 4 && stream_waits(stream, 30); count++)
			if (!stream_query(stream, wire[count], &length[count]))
				return;
		for (unsigned i = 0; i < count; i++)
			stream_answer(stream, wire[i], length[i]);
	}
}

/* Few transfers at a time, whichever connections they are on; others do not wait for them. */
static void test_transfers(void **state)
{
	struct exchange_world *world = exchange_world_open(hesitates);
	struct asked *last;

	for (uint16_t i = 0; i < 6; i++)
		ask_for(world, i, 1, true);
	last = ask(world, 77, 1);
	turn_until(world, &world->server.queries, 3);
	finish(world, 3);
	assert_true(last->done);
	finish(world, 7);
	assert_all_good(world);
	/* Two transfers and the other; then two and two. */
	assert_int_equal(world->server.accepted, 1);
	exchange_world_close(world);
}

/* An idle connection elsewhere makes room where all the connections are in use. */
static void test_bound_of_all(void **state)
{
	struct exchange_world *world = exchange_world_open(echo);
	struct stream_server other;
	struct exchange_peer peer = world->peer;

	pool_limits.connections_all = 1;
	stream_server_open(&other, echo);
	for (uint16_t i = 0; i < 6; i++) {
		world->peer.address = i % 2 ? &other.address : peer.address;
		ask(world, i, 1);
	}
	finish(world, 6);
	assert_all_good(world);
	assert_true(world->server.accepted >= 1 && other.accepted >= 1);
	exchange_world_close(world);
	stream_server_close(&other);
}

/* Answers are told apart by their ids, so that two of one id are not on one connection. */
static void test_same_id(void **state)
{
	struct exchange_world *world = exchange_world_open(echo);

	ask(world, 5, 1);
	ask(world, 5, 1);
	finish(world, 2);
	assert_all_good(world);
	assert_int_equal(world->server.accepted, 2);
	exchange_world_close(world);
}

/* What a primary that does not pipeline leaves unanswered is asked again; then it is asked one at a time. */
static void test_no_pipelining(void **state)
{
	struct exchange_world *world = exchange_world_open(once);

	for (uint16_t i = 0; i < 5; i++)
		ask(world, i, 1);
	finish(world, 5);
	assert_all_good(world);
	assert_int_equal(world->server.queries, 5 + 4);
	for (uint16_t i = 5; i < 10; i++)
		ask(world, i, 1);
	finish(world, 10);
	assert_all_good(world);
	assert_int_equal(world->server.queries, 5 + 4 + 5);
	exchange_world_close(world);
}

/* A connection that was closed while idle, as the query was on its way, is not held against it. */
static void test_closed_while_idle(void **state)
{
	struct exchange_world *world = exchange_world_open(once);

	for (uint16_t i = 0; i < 6; i++) {
		ask(world, i, 1);
		finish(world, i + 1U);
		turn(world, i * 8);
	}
	assert_all_good(world);
	exchange_world_close(world);
}

struct refusal {
	void (*serve)(struct stream *stream);
	const char *why;
};

static void test_failures(void **state)
{
	static const struct refusal refusals[] = {
	    {close_at_once, "the primary closed the connection before the end"},
	    {breaks_off, "the primary closed the connection in the middle of a message"},
	};

	for (size_t i = 0; i < 2; i++) {
		struct exchange_world *world = exchange_world_open(refusals[i].serve);
		struct asked *asked = ask(world, 1, 1);

		finish(world, 1);
		assert_true(asked->failed);
		assert_string_equal(asked->why, refusals[i].why);
		assert_int_equal(world->server.queries, 1);
		exchange_world_close(world);
	}
}

/* The second time too: then it is said. */
static void test_failing_again(void **state)
{
	struct exchange_world *world = exchange_world_open(close_at_once);

	ask(world, 1, 1);
	ask(world, 2, 1);
	ask(world, 3, 1);
	finish(world, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_string_equal(world->asked[i].why, "the primary closed the connection before the end");
	assert_true(world->server.accepted >= 3 && world->server.accepted <= 4);
	exchange_world_close(world);
}

/* An id that nobody asked with: whoever is alone judges by itself, several fail and are asked again. */
static void test_unknown_id(void **state)
{
	struct exchange_world *world = exchange_world_open(other_id);
	struct asked *asked = ask(world, 1, 1);

	finish(world, 1);
	assert_true(asked->failed);
	assert_int_equal(asked->messages, 1);
	ask(world, 2, 1);
	ask(world, 3, 1);
	finish(world, 3);
	assert_true(world->asked[1].failed && world->asked[2].failed);
	exchange_world_close(world);
}

/* One that gets no answer while others do is asked again, elsewhere and alone. */
static void test_patience(void **state)
{
	struct exchange_world *world = exchange_world_open(endless);

	pool_limits.patience = 150;
	world->server.serve = forgets_first;
	ask(world, 1, 1);
	ask(world, 2, 1);
	finish(world, 1);
	assert_int_equal(world->asked[1].messages, 1);
	/* Alone there now, it has all the time that silence is given. */
	turn(world, 200);
	assert_false(world->asked[0].done);
	/* With another beside it, it is asked again on a connection of its own. */
	world->server.serve = echo;
	ask(world, 3, 1);
	ask(world, 4, 1);
	finish(world, 4);
	assert_all_good(world);
	assert_int_equal(world->server.accepted, 2);
	exchange_world_close(world);
}

/* Silence ends by the deadline, and the query is asked once more where others shared the connection. */
static void test_stalled(void **state)
{
	struct exchange_world *world = exchange_world_open(forgets_first);

	transfer_limits.progress = 150;
	ask(world, 1, 1);
	finish(world, 1);
	assert_string_equal(world->asked[0].why, "stalled: nothing came for 150 ms");
	exchange_world_close(world);
}

/* A transfer without end: it is over when it has taken too long; those who share the connection go on. */
static void test_endless(void **state)
{
	struct exchange_world *world = exchange_world_open(endless);

	transfer_limits.total = 300;
	ask(world, 1, 1000000);
	turn(world, 30);
	for (uint16_t i = 2; i < 6; i++)
		ask(world, i, 1);
	finish(world, 4);
	assert_false(world->asked[0].done);
	finish(world, 5);
	assert_string_equal(world->asked[0].why, "it took too long as a whole");
	for (unsigned i = 1; i < 5; i++)
		assert_false(world->asked[i].failed);
	/* Nothing is asked over that connection any more. */
	turn_until(world, &world->server.open, 0);
	exchange_world_close(world);
}

/* Whoever gives up in the middle of an answer leaves its connection to those who are on it, and to none else. */
static void test_abandoned(void **state)
{
	struct exchange_world *world = exchange_world_open(endless);
	struct asked *asked = ask(world, 1, 1000000);

	turn(world, 30);
	assert_true(asked->messages > 0);
	ask(world, 2, 1);
	exchange_end(asked->exchange);
	asked->exchange = NULL;
	finish(world, 1);
	assert_false(world->asked[1].failed);
	world->server.serve = echo;
	ask(world, 3, 1);
	finish(world, 2);
	assert_int_equal(world->server.accepted, 2);
	assert_false(world->asked[2].failed);
	exchange_world_close(world);
}

/* Nobody listens: those who wait for a connection are told too, and it is not tried for each. */
static void test_no_connection(void **state)
{
	struct exchange_world *world = exchange_world_open(echo);
	struct sockaddr_storage nobody = {0};

	uv_ip4_addr("127.0.0.1", 1, (struct sockaddr_in *)&nobody);
	world->peer.address = &nobody;
	for (uint16_t i = 0; i < 50; i++)
		ask(world, i, 1);
	finish(world, 50);
	for (unsigned i = 0; i < 50; i++) {
		assert_string_equal(world->asked[i].why, "connecting: connection refused");
		assert_int_equal(world->asked[i].messages, 0);
	}
	exchange_world_close(world);
}

static void test_source(void **state)
{
	struct exchange_world *world = exchange_world_open(echo);
	struct sockaddr_storage source = {0};

	world->peer.source = &source;
	uv_ip4_addr("127.0.0.42", 0, (struct sockaddr_in *)&source);
	ask(world, 1, 1);
	finish(world, 1);
	assert_all_good(world);
	assert_int_equal(((struct sockaddr_in *)&world->server.from)->sin_addr.s_addr, htonl(0x7f00002a));
	/* From elsewhere is another connection. */
	world->peer.source = NULL;
	ask(world, 2, 1);
	finish(world, 2);
	assert_int_equal(world->server.accepted, 2);
	assert_int_equal(((struct sockaddr_in *)&world->server.from)->sin_addr.s_addr, htonl(0x7f000001));
	world->peer.source = &source;
	uv_ip4_addr("192.0.2.77", 0, (struct sockaddr_in *)&source);
	ask(world, 3, 1);
	finish(world, 3);
	assert_string_equal(world->asked[2].why, "cannot send from 192.0.2.77: address not available; give this host "
	                                         "that address, or mend `source` of the primary");
	exchange_world_close(world);
}

/* At any moment, in any state. */
static void test_end_anywhere(void **state)
{
	for (unsigned turns = 0; turns < 40; turns++) {
		struct exchange_world *world = exchange_world_open(turns % 2 ? once : endless);

		for (uint16_t i = 0; i < 20; i++)
			ask(world, i, 1 + i % 3);
		for (unsigned i = 0; i < turns; i++) {
			uv_run(&world->loop, UV_RUN_NOWAIT);
			usleep(300);
		}
		exchange_world_close(world);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_any_order),
	    cmocka_unit_test(test_reuse),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_bound_of_all),
	    cmocka_unit_test(test_transfers),
	    cmocka_unit_test(test_same_id),
	    cmocka_unit_test(test_no_pipelining),
	    cmocka_unit_test(test_failures),
	    cmocka_unit_test(test_closed_while_idle),
	    cmocka_unit_test(test_failing_again),
	    cmocka_unit_test(test_unknown_id),
	    cmocka_unit_test(test_patience),
	    cmocka_unit_test(test_stalled),
	    cmocka_unit_test(test_endless),
	    cmocka_unit_test(test_abandoned),
	    cmocka_unit_test(test_no_connection),
	    cmocka_unit_test(test_source),
	    cmocka_unit_test(test_end_anywhere),
	};

	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The control socket: requests and replies, and clients that do not behave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "control/control.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static char directory[] = "/tmp/peregrine-control-XXXXXX";
static char path[64];

/* --- the server: a loop on a thread of its own --- */

struct server {
	uv_loop_t loop;
	uv_async_t stop;
	uv_timer_t later;
	struct control *control;
	pthread_t thread;
	struct control_request *waiting;
	/* The list being told. */
	int length, pause; /* elements, and microseconds for each */
	atomic_int told, ended;
	uint64_t turn; /* of the loop, by its time */
	int in_turn, most_in_turn;
};

static void echo(void *context, struct control_request *request, const json_t *arguments, const json_t *options)
{
	control_reply(request, json_pack("{s:O, s:O}", "arguments", arguments, "options", options));
}

static void broken(void *context, struct control_request *request, const json_t *arguments, const json_t *options)
{
	control_fail(request, "zone %s: \xff\n no such zone", "example.org");
}

static void large(void *context, struct control_request *request, const json_t *arguments, const json_t *options)
{
	json_t *array = json_array();
	for (int i = 0; i < 200000; i++)
		json_array_append_new(array, json_sprintf("zone%d.example", i));
	control_reply(request, array);
}

static void answer_later(uv_timer_t *timer)
{
	struct server *server = timer->data;
	struct control_request *request = server->waiting;
	server->waiting = NULL;
	control_reply(request, json_string("at last"));
}

static void later(void *context, struct control_request *request, const json_t *arguments, const json_t *options)
{
	struct server *server = context;
	server->waiting = request;
	uv_timer_start(&server->later, answer_later, 200, 0);
}

/* Never replied to while the server is open. */
static void keep(void *context, struct control_request *request, const json_t *arguments, const json_t *options)
{
	struct server *server = context;
	server->waiting = request;
}

static json_t *next_element(void *context)
{
	struct server *server = context;
	uint64_t now = uv_now(&server->loop);
	if (server->told == server->length)
		return NULL;
	server->in_turn = now == server->turn ? server->in_turn + 1 : 1;
	server->turn = now;
	if (server->in_turn > server->most_in_turn)
		server->most_in_turn = server->in_turn;
	usleep((useconds_t)server->pause);
	return json_sprintf("zone%d.example", server->told++);
}

static void end_of_list(void *context)
{
	struct server *server = context;
	server->ended++;
}

static const struct control_list elements = {.next = next_element, .end = end_of_list};

static void list(void *context, struct control_request *request, const json_t *arguments, const json_t *options)
{
	struct server *server = context;
	server->length = (int)json_integer_value(json_object_get(options, "length"));
	server->pause = (int)json_integer_value(json_object_get(options, "pause"));
	server->told = server->most_in_turn = 0;
	control_reply_list(request, &elements, server);
}

static void list_later(uv_timer_t *timer)
{
	struct server *server = timer->data;
	control_reply_list(server->waiting, &elements, server);
	server->waiting = NULL;
}

static void late_list(void *context, struct control_request *request, const json_t *arguments, const json_t *options)
{
	struct server *server = context;
	server->waiting = request;
	uv_timer_start(&server->later, list_later, 200, 0);
}

static const struct control_verb verbs[] = {
    {"echo", echo}, {"broken", broken}, {"large", large},         {"later", later},
    {"keep", keep}, {"list", list},     {"late-list", late_list}, {NULL, NULL},
};

static void stop(uv_async_t *async)
{
	struct server *server = async->data;
	control_close(server->control);
	if (server->waiting) /* a late reply, after the end, is harmless */
		control_reply(server->waiting, json_null());
	uv_close((uv_handle_t *)&server->later, NULL);
	uv_close((uv_handle_t *)&server->stop, NULL);
}

static void *serve(void *context)
{
	struct server *server = context;
	uv_run(&server->loop, UV_RUN_DEFAULT);
	return NULL;
}

static int start_server(void **state)
{
	struct server *server = calloc(1, sizeof(*server));
	uv_loop_init(&server->loop);
	uv_async_init(&server->loop, &server->stop, stop);
	uv_timer_init(&server->loop, &server->later);
	server->stop.data = server->later.data = server;
	server->control = control_open(&server->loop, path, verbs, server);
	*state = server;
	return server->control ? pthread_create(&server->thread, NULL, serve, server) : -1;
}

static int stop_server(void **state)
{
	struct server *server = *state;
	uv_async_send(&server->stop);
	pthread_join(server->thread, NULL);
	int busy = uv_loop_close(&server->loop);
	free(server);
	return busy == 0 && access(path, F_OK) != 0 ? 0 : -1;
}

/* --- the client --- */

static int dial(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = 30};
	strcpy(address.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void say(int fd, const char *text, size_t length)
{
	while (length) {
		ssize_t sent = send(fd, text, length, MSG_NOSIGNAL);
		if (sent <= 0)
			return; /* the server may have heard enough */
		text += sent;
		length -= (size_t)sent;
	}
}

/* Reads to the end and closes. The reply is one line of JSON, or NULL for none. */
static json_t *hear(int fd)
{
	char *text = malloc((size_t)16 << 20);
	size_t length = 0;
	ssize_t got;
	while ((got = recv(fd, text + length, ((size_t)16 << 20) - length, 0)) > 0)
		length += (size_t)got;
	assert_true(got == 0 || length > 0);
	close(fd);
	json_t *reply = NULL;
	if (length) {
		assert_int_equal(text[length - 1], '\n');
		assert_ptr_equal(memchr(text, '\n', length), text + length - 1);
		reply = json_loadb(text, length, 0, NULL);
		assert_non_null(reply);
	}
	free(text);
	return reply;
}

static json_t *ask(const char *request)
{
	int fd = dial();
	say(fd, request, strlen(request));
	return hear(fd);
}

static void expect_error(json_t *reply, int code, const char *part)
{
	assert_true(json_is_false(json_object_get(reply, "ok")));
	assert_int_equal(json_integer_value(json_object_get(reply, "code")), code);
	const char *error = json_string_value(json_object_get(reply, "error"));
	assert_non_null(error);
	if (!strstr(error, part))
		fail_msg("`%s` does not contain `%s`", error, part);
	json_decref(reply);
}

/* --- tests --- */

static void test_round_trip(void **state)
{
	json_t *reply = ask("{\"verb\":\"echo\",\"arguments\":[\"a\",\"b\"],\"options\":{\"wait\":true}}\n");
	json_t *wanted =
	    json_pack("{s:b, s:{s:[s,s], s:{s:b}}}", "ok", 1, "result", "arguments", "a", "b", "options", "wait", 1);
	assert_true(json_equal(reply, wanted));
	json_decref(reply);
	json_decref(wanted);
	reply = ask("{\"verb\":\"echo\"}\nwhat follows is ignored\n");
	wanted = json_pack("{s:b, s:{s:[], s:{}}}", "ok", 1, "result", "arguments", "options");
	assert_true(json_equal(reply, wanted));
	json_decref(reply);
	json_decref(wanted);
}

static void test_pieces(void **state)
{
	static const char request[] = "{\"verb\":\"later\"}\n";
	int fd = dial();
	for (size_t i = 0; i < sizeof(request) - 1; i++) {
		say(fd, request + i, 1);
		usleep(2000);
	}
	shutdown(fd, SHUT_WR); /* the reply still comes */
	json_t *reply = hear(fd);
	assert_string_equal(json_string_value(json_object_get(reply, "result")), "at last");
	json_decref(reply);
}

static void test_large_reply(void **state)
{
	json_t *reply = ask("{\"verb\":\"large\"}\n");
	assert_int_equal(json_array_size(json_object_get(reply, "result")), 200000);
	json_decref(reply);
}

static void wait_for_end(struct server *server, int ended)
{
	for (int i = 0; i < 2000 && server->ended != ended; i++)
		usleep(5000);
	assert_int_equal(server->ended, ended);
}

static void test_list(void **state)
{
	struct server *server = *state;
	json_t *reply = ask("{\"verb\":\"list\",\"options\":{\"length\":200000}}\n"), *result;
	assert_true(json_is_true(json_object_get(reply, "ok")));
	result = json_object_get(reply, "result");
	assert_int_equal(json_array_size(result), 200000);
	assert_string_equal(json_string_value(json_array_get(result, 0)), "zone0.example");
	assert_string_equal(json_string_value(json_array_get(result, 199999)), "zone199999.example");
	json_decref(reply);
	assert_int_equal(server->ended, 1);
	reply = ask("{\"verb\":\"list\"}\n");
	result = json_pack("{s:b, s:[]}", "ok", 1, "result");
	assert_true(json_equal(reply, result));
	json_decref(reply);
	json_decref(result);
	assert_int_equal(server->ended, 2);
}

/* Elements that take their time keep no other request waiting: the loop comes round after some of them. */
static void test_slow_list(void **state)
{
	struct server *server = *state;
	json_t *reply = ask("{\"verb\":\"list\",\"options\":{\"length\":100,\"pause\":1000}}\n");
	assert_int_equal(json_array_size(json_object_get(reply, "result")), 100);
	json_decref(reply);
	assert_in_range(server->most_in_turn, 1, 20);
}

/* What the client does not take is not made; others are answered meanwhile. */
static void test_list_not_taken(void **state)
{
	static const char request[] = "{\"verb\":\"list\",\"options\":{\"length\":1000000}}\n";
	struct server *server = *state;
	int fd = dial(), told = -1;
	say(fd, request, sizeof(request) - 1);
	while (told != server->told) {
		told = server->told;
		usleep(100000);
		json_decref(ask("{\"verb\":\"echo\"}\n"));
	}
	assert_in_range(told, 1, 200000);
	assert_int_equal(server->ended, 0);
	close(fd);
	wait_for_end(server, 1);
	/* One whose client has gone before it begins. */
	fd = dial();
	say(fd, "{\"verb\":\"late-list\"}\n", 21);
	usleep(50000);
	close(fd);
	wait_for_end(server, 2);
	/* And one that is under way when the server closes: stop_server. */
	fd = dial();
	say(fd, request, sizeof(request) - 1);
	json_decref(ask("{\"verb\":\"echo\"}\n"));
	close(fd);
}

static void test_errors(void **state)
{
	expect_error(ask("{\"verb\":\"broken\"}\n"), 1, "zone example.org: ?? no such zone");
	expect_error(ask("{\"verb\":\"nothing\"}\n"), 2, "unknown verb nothing");
	expect_error(ask("{}\n"), 2, "no verb");
	expect_error(ask("[]\n"), 2, "not a JSON object");
	expect_error(ask("\n"), 2, "not a JSON object");
	expect_error(ask("{\"verb\":\"echo\",\"arguments\":[1]}\n"), 2, "array of strings");
	expect_error(ask("{\"verb\":\"echo\",\"options\":[]}\n"), 2, "not an object");
	expect_error(ask("{\"verb\":\"echo\",\"verb\":\"echo\"}\n"), 2, "not a JSON object");
}

static void test_too_large(void **state)
{
	size_t size = ((size_t)1 << 20) + 4096;
	char *text = malloc(size);
	memset(text, ' ', size);
	int fd = dial();
	say(fd, text, size);
	expect_error(hear(fd), 2, "larger than 1 MiB");
	free(text);
}

static void test_gone(void **state)
{
	for (int i = 0; i < 20; i++) {
		int fd = dial();
		const char *request = i % 2 ? "{\"verb\":\"large\"}\n" : "{\"verb\":\"la";
		say(fd, request, strlen(request));
		close(fd);
	}
	int fd = dial();
	say(fd, "{\"verb\":\"later\"}\n", 17);
	close(fd);
	usleep(400000); /* its reply finds nobody */
	json_decref(ask("{\"verb\":\"echo\"}\n"));
	fd = dial();
	say(fd, "{\"verb\":\"keep\"}\n", 16); /* waits while the server closes: stop_server */
	usleep(50000);
	close(fd);
}

static void test_silent(void **state)
{
	struct timespec start, end;
	clock_gettime(CLOCK_MONOTONIC, &start);
	assert_null(hear(dial()));
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_in_range(end.tv_sec - start.tv_sec, 9, 15);
}

static void test_socket(void **state)
{
	struct stat status;
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	uv_loop_t loop;
	uv_loop_init(&loop);
	assert_null(control_open(&loop, path, verbs, NULL)); /* a live one is an error */
	json_decref(ask("{\"verb\":\"echo\"}\n"));           /* and stays as it is */
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void test_path(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char name[300];
	uv_loop_t loop;
	uv_loop_init(&loop);
	strcpy(address.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd); /* a stale socket, as a killed agent leaves it */
	struct control *control = control_open(&loop, path, verbs, NULL);
	assert_non_null(control);
	control_close(control);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_not_equal(access(path, F_OK), 0);

	close(open(path, O_CREAT | O_WRONLY, 0600)); /* a file is not replaced */
	assert_null(control_open(&loop, path, verbs, NULL));
	assert_int_equal(unlink(path), 0);
	snprintf(name, sizeof(name), "%s/none/control.sock", directory);
	assert_null(control_open(&loop, name, verbs, NULL));
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	assert_null(control_open(&loop, name, verbs, NULL));
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static int set_up(void **state)
{
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/control.sock", directory);
	return 0;
}

static int tear_down(void **state)
{
	unlink(path);
	return rmdir(directory);
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, start_server, stop_server)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    SERVED(test_round_trip),     SERVED(test_pieces), SERVED(test_large_reply), SERVED(test_errors),
	    SERVED(test_too_large),      SERVED(test_gone),   SERVED(test_silent),      SERVED(test_socket),
	    cmocka_unit_test(test_path), SERVED(test_list),   SERVED(test_slow_list),   SERVED(test_list_not_taken),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}

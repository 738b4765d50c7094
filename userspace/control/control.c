/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "control/control.h"
#include "common/log.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define REQUEST_LIMIT ((size_t)1 << 20)
#define REQUEST_SECONDS 10 /* for a whole request to arrive, and for a reply to be taken */
#define PART_OCTETS 65536  /* of a long reply, about: what a socket takes at a time */
#define SLICE_NS 500000    /* of the loop's time, for a part of it; libuv may go on to the next nine times a turn */
#define CODE_FAILED 1      /* the verb could not be done */
#define CODE_REQUEST 2     /* the request makes no sense */

struct control {
	uv_pipe_t listener;
	const struct control_verb *verbs;
	void *context;
	struct control_request *open; /* connections, linked */
};

/* Lives until its handles are closed and, if a verb was started, until that has replied. */
struct control_request {
	uv_pipe_t pipe;
	uv_timer_t timer;
	uv_write_t write;
	struct control *control; /* NULL once closed */
	struct control_request *next, *previous;
	char *text; /* the request, later the reply, or a part of it */
	size_t length, room;
	const struct control_list *list; /* of which there is more to be told; NULL: none */
	void *list_context;
	unsigned handles; /* not yet closed */
	bool running;     /* a verb has it, and will reply */
	bool started;     /* a whole line came: what follows is ignored */
	bool told;        /* an element of the list */
	bool closing;
};

static void free_when_done(struct control_request *request)
{
	if (request->handles || request->running)
		return;
	free(request->text);
	free(request);
}

static void handle_closed(uv_handle_t *handle)
{
	struct control_request *request = handle->data;
	request->handles--;
	free_when_done(request);
}

static void end_list(struct control_request *request)
{
	const struct control_list *list = request->list;

	request->list = NULL;
	if (list)
		list->end(request->list_context);
}

static void close_request(struct control_request *request)
{
	if (request->closing)
		return;
	request->closing = true;
	end_list(request);
	if (request->previous)
		request->previous->next = request->next;
	else
		request->control->open = request->next;
	if (request->next)
		request->next->previous = request->previous;
	request->control = NULL;
	uv_close((uv_handle_t *)&request->timer, handle_closed);
	uv_close((uv_handle_t *)&request->pipe, handle_closed);
}

/* --- reply --- */

static void tell_more(struct control_request *request);

static void written(uv_write_t *write, int status)
{
	struct control_request *request = write->data;

	/* An error is the client being gone, which is its own affair. */
	if (status == 0 && request->list && !request->closing)
		tell_more(request);
	else
		close_request(request);
}

static void timed_out(uv_timer_t *timer)
{
	close_request(timer->data);
}

/* Sends the first `length` octets of the text. The request may be gone when this returns. */
static void send_text(struct control_request *request, size_t length)
{
	uv_buf_t buffer = uv_buf_init(request->text, (unsigned)length);

	request->write.data = request;
	/* A client that does not read must not stay for ever. */
	uv_timer_start(&request->timer, timed_out, REQUEST_SECONDS * 1000, 0);
	if (uv_write(&request->write, (uv_stream_t *)&request->pipe, &buffer, 1, written) != 0)
		close_request(request);
}

/* Takes over `reply`. The request may be gone when this returns. */
static void send_reply(struct control_request *request, json_t *reply)
{
	request->running = false;
	if (request->closing) {
		json_decref(reply);
		free_when_done(request);
		return;
	}
	char *text = reply ? json_dumps(reply, JSON_COMPACT) : NULL;
	json_decref(reply);
	if (!text)
		text = strdup("{\"ok\":false,\"error\":\"the reply could not be put together: out of memory, or text "
		              "that is not UTF-8\",\"code\":1}");
	if (!text) {
		close_request(request);
		return;
	}
	free(request->text);
	request->text = text;
	size_t length = strlen(text);
	text[length] = '\n'; /* over the final NUL: the length is given */
	uv_read_stop((uv_stream_t *)&request->pipe);
	send_text(request, length + 1);
}

void control_reply(struct control_request *request, json_t *result)
{
	send_reply(request, json_pack("{s:b, s:o}", "ok", 1, "result", result ? result : json_null()));
}

/* Puts text behind what there is. Returns 0, or -1 when memory is short. */
static int add_text(const char *text, size_t size, void *context)
{
	struct control_request *request = context;
	size_t room = request->room ? request->room : 4096;

	while (room - request->length < size)
		room *= 2;
	if (room != request->room) {
		char *grown = realloc(request->text, room);

		if (!grown)
			return -1;
		request->text = grown;
		request->room = room;
	}
	memcpy(request->text + request->length, text, size);
	request->length += size;
	return 0;
}

/* One element, behind what was told before. */
static int add_element(struct control_request *request, json_t *element)
{
	int result = request->told && add_text(",", 1, request) ? -1 : 0;

	if (!result)
		result = json_dump_callback(element, add_text, request, JSON_COMPACT | JSON_ENCODE_ANY);
	request->told = true;
	json_decref(element);
	return result;
}

/* The next part of a list. The request may be gone when this returns. */
static void tell_more(struct control_request *request)
{
	uint64_t begun = uv_hrtime();
	int result = 0;

	while (!result && request->list && request->length < PART_OCTETS && uv_hrtime() - begun < SLICE_NS) {
		json_t *element = request->list->next(request->list_context);

		if (element) {
			result = add_element(request, element);
			continue;
		}
		end_list(request);
		result = add_text("]}\n", 3, request);
	}
	if (result) {
		/* Half a reply is none, as the client sees by its end. */
		close_request(request);
		return;
	}
	send_text(request, request->length);
	request->length = 0;
}

void control_reply_list(struct control_request *request, const struct control_list *list, void *context)
{
	static const char head[] = "{\"ok\":true,\"result\":[";

	request->running = false;
	if (request->closing) {
		list->end(context);
		free_when_done(request);
		return;
	}
	request->list = list;
	request->list_context = context;
	request->length = 0;
	uv_read_stop((uv_stream_t *)&request->pipe);
	if (add_text(head, sizeof(head) - 1, request))
		close_request(request);
	else
		tell_more(request);
}

static void fail(struct control_request *request, int code, const char *format, va_list arguments)
{
	char *text;
	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	/* A message may quote what a peer sent; JSON wants UTF-8, and one line. */
	for (char *at = text; at && *at; at++)
		if ((unsigned char)*at < 0x20 || (unsigned char)*at >= 0x7f)
			*at = '?';
	json_t *reply = json_pack("{s:b, s:s, s:i}", "ok", 0, "error", text ? text : "out of memory", "code", code);
	free(text);
	send_reply(request, reply);
}

void control_fail(struct control_request *request, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fail(request, CODE_FAILED, format, arguments);
	va_end(arguments);
}

static __attribute__((format(printf, 2, 3))) void refuse(struct control_request *request, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fail(request, CODE_REQUEST, format, arguments);
	va_end(arguments);
}

/* --- request --- */

static bool all_strings(const json_t *array)
{
	for (size_t i = 0; i < json_array_size(array); i++)
		if (!json_is_string(json_array_get(array, i)))
			return false;
	return true;
}

/* Checks the form and calls the verb. `root` stays the caller's. */
static void run(struct control_request *request, json_t *root)
{
	const char *name = json_string_value(json_object_get(root, "verb"));
	json_t *arguments = json_object_get(root, "arguments");
	json_t *options = json_object_get(root, "options");
	const struct control_verb *verb = request->control->verbs;
	if (!name) {
		refuse(request, "the request has no verb; send {\"verb\": \"status\"} and a line feed");
		return;
	}
	if (arguments && (!json_is_array(arguments) || !all_strings(arguments))) {
		refuse(request, "%s: `arguments` is not an array of strings", name);
		return;
	}
	if (options && !json_is_object(options)) {
		refuse(request, "%s: `options` is not an object", name);
		return;
	}
	while (verb->name && strcmp(verb->name, name) != 0)
		verb++;
	if (!verb->name) {
		refuse(request, "unknown verb %.64s; is the agent older than the tool?", name);
		return;
	}
	/* What was left out is there for the verb, empty. */
	arguments = arguments ? json_incref(arguments) : json_array();
	options = options ? json_incref(options) : json_object();
	request->running = true;
	if (arguments && options)
		verb->run(request->control->context, request, arguments, options);
	else
		control_fail(request, "out of memory");
	json_decref(arguments);
	json_decref(options);
}

static void handle_line(struct control_request *request, size_t length)
{
	json_error_t error;
	request->started = true;
	uv_timer_stop(&request->timer);
	json_t *root = json_loadb(request->text, length, JSON_REJECT_DUPLICATES, &error);
	if (json_is_object(root))
		run(request, root);
	else
		refuse(request, "the request is not a JSON object: %s", root ? "another value" : error.text);
	json_decref(root);
}

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	struct control_request *request = handle->data;
	static char ignored[4096];
	if (request->started) { /* nothing more is expected, but the client's end must be seen */
		*buffer = uv_buf_init(ignored, sizeof(ignored));
		return;
	}
	if (request->room - request->length < 2048) {
		size_t room = request->room ? request->room * 2 : 4096;
		char *grown = realloc(request->text, room);
		if (!grown) {
			*buffer = uv_buf_init(NULL, 0); /* becomes UV_ENOBUFS */
			return;
		}
		request->text = grown;
		request->room = room;
	}
	*buffer = uv_buf_init(request->text + request->length, (unsigned)(request->room - request->length));
}

static void received(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
	struct control_request *request = stream->data;
	if (got < 0) {
		/* A client may close its sending side and still wait for the reply; if it is gone, writing will tell.
		 */
		if (got == UV_EOF && request->started)
			uv_read_stop(stream);
		else
			close_request(request);
		return;
	}
	if (got == 0 || request->started)
		return;
	char *end = memchr(request->text + request->length, '\n', (size_t)got);
	request->length += (size_t)got;
	size_t length = end ? (size_t)(end - request->text) : request->length;
	if (length > REQUEST_LIMIT) {
		request->started = true;
		refuse(request, "the request is larger than 1 MiB; name fewer zones at a time");
	} else if (end) {
		handle_line(request, length);
	}
}

/* --- connections --- */

static void connected(uv_stream_t *listener, int status)
{
	struct control *control = listener->data;
	struct control_request *request = status == 0 ? calloc(1, sizeof(*request)) : NULL;
	if (!request) {
		log_warning("control socket: cannot accept: %s", status ? uv_strerror(status) : "out of memory");
		return;
	}
	request->control = control;
	request->handles = 2;
	uv_pipe_init(listener->loop, &request->pipe, 0);
	uv_timer_init(listener->loop, &request->timer);
	request->pipe.data = request;
	request->timer.data = request;
	request->next = control->open;
	if (request->next)
		request->next->previous = request;
	control->open = request;
	if (uv_accept(listener, (uv_stream_t *)&request->pipe) != 0 ||
	    uv_timer_start(&request->timer, timed_out, REQUEST_SECONDS * 1000, 0) != 0 ||
	    uv_read_start((uv_stream_t *)&request->pipe, allocate, received) != 0)
		close_request(request);
}

/* Takes away a socket that nobody listens on. Returns 0, or -1 after logging. */
static int clear_path(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat status;
	if (strlen(path) >= sizeof(address.sun_path)) {
		log_error("control socket %s: path longer than %zu octets; choose a shorter run-directory", path,
		          sizeof(address.sun_path) - 1);
		return -1;
	}
	if (lstat(path, &status) != 0)
		return 0; /* binding tells what else is wrong */
	if (!S_ISSOCK(status.st_mode)) {
		log_error("control socket %s: something else stands there; move it away, or choose another "
		          "run-directory",
		          path);
		return -1;
	}
	strcpy(address.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int result = fd < 0 ? -1 : connect(fd, (struct sockaddr *)&address, sizeof(address));
	int error = errno;
	if (fd >= 0)
		close(fd);
	if (result == 0 || error == EAGAIN) { /* EAGAIN: it listens, and its queue is full */
		log_error("control socket %s: another agent listens there; stop it, or choose another run-directory",
		          path);
		return -1;
	}
	if (error != ECONNREFUSED || unlink(path) != 0) {
		log_error("control socket %s: cannot replace the old one: %s; remove it", path,
		          strerror(error != ECONNREFUSED ? error : errno));
		return -1;
	}
	return 0;
}

static void listener_closed(uv_handle_t *handle)
{
	free(handle->data);
}

struct control *control_open(uv_loop_t *loop, const char *path, const struct control_verb *verbs, void *context)
{
	if (clear_path(path) < 0)
		return NULL;
	struct control *control = calloc(1, sizeof(*control));
	if (!control) {
		log_error("control socket %s: out of memory", path);
		return NULL;
	}
	control->verbs = verbs;
	control->context = context;
	/* libuv writes without MSG_NOSIGNAL, and a client that has gone must not end the agent. */
	signal(SIGPIPE, SIG_IGN);
	int error = uv_pipe_init(loop, &control->listener, 0);
	if (error) {
		log_error("control socket %s: %s", path, uv_strerror(error));
		free(control);
		return NULL;
	}
	control->listener.data = control;
	/* The mode must be right from the first moment, so not by chmod afterwards. */
	mode_t mask = umask(0177);
	error = uv_pipe_bind(&control->listener, path);
	umask(mask);
	if (!error)
		error = uv_listen((uv_stream_t *)&control->listener, 64, connected);
	if (error) {
		log_error("control socket %s: %s; is the run-directory there, and may it be written to?", path,
		          uv_strerror(error));
		uv_close((uv_handle_t *)&control->listener, listener_closed);
		return NULL;
	}
	return control;
}

void control_close(struct control *control)
{
	if (!control)
		return;
	while (control->open)
		close_request(control->open);
	/* Closing a bound pipe takes its path away too. */
	uv_close((uv_handle_t *)&control->listener, listener_closed);
}

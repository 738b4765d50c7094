/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tool's side of the control socket: one request, one reply. */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_SECONDS 15 /* beyond what the agent was told to wait */
#define REPLY_LIMIT ((size_t)1 << 30)

/* Returns a socket, or -1 with *exit set. */
static int dial(const struct cli *cli, bool quiet, enum cli_exit *exit)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(cli->socket) >= sizeof(address.sun_path)) {
		cli_error("socket path %s is longer than %zu octets; give another with -s", cli->socket,
		          sizeof(address.sun_path) - 1);
		*exit = CLI_USAGE;
		return -1;
	}
	strcpy(address.sun_path, cli->socket);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	int error = errno;
	if (fd >= 0)
		close(fd);
	*exit = CLI_FAILED;
	if (error == ENOENT || error == ECONNREFUSED || error == ENOTDIR) {
		*exit = CLI_NOT_RUNNING;
		if (!quiet)
			cli_error("the agent is not running: nobody listens on %s; start it with `systemctl start "
			          "peregrined` or `peregrined -c FILE`, or name its socket with -s",
			          cli->socket);
	} else if (error == EACCES || error == EPERM) {
		cli_error("%s: permission denied; run this as root", cli->socket);
	} else {
		cli_error("%s: %s; is this the agent's control socket?", cli->socket, strerror(error));
	}
	return -1;
}

static int send_line(int fd, json_t *request)
{
	char *text = json_dumps(request, JSON_COMPACT);
	if (!text)
		return -1;
	size_t length = strlen(text), sent = 0;
	text[length++] = '\n'; /* over the final NUL: the length is known */
	while (sent < length) {
		ssize_t part = send(fd, text + sent, length - sent, MSG_NOSIGNAL);
		if (part < 0 && errno == EINTR)
			continue;
		if (part < 0)
			break;
		sent += (size_t)part;
	}
	free(text);
	/* The agent may have refused what it has seen so far: then its reply is there, and says so. */
	return 0;
}

/* Reads to the line's end. Returns the parsed reply, or NULL after telling why. */
static json_t *receive_line(int fd, unsigned patience)
{
	size_t length = 0, room = 0;
	char *text = NULL;
	ssize_t got = 1;
	while (length == 0 || text[length - 1] != '\n') {
		if (room - length < 4096) {
			room = room ? room * 2 : 16384;
			char *grown = room <= REPLY_LIMIT ? realloc(text, room) : NULL;
			if (!grown) {
				cli_error("the agent's reply is too large; name fewer zones");
				free(text);
				return NULL;
			}
			text = grown;
		}
		got = recv(fd, text + length, room - length, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		length += (size_t)got;
	}
	json_t *reply = length ? json_loadb(text, length, 0, NULL) : NULL;
	if (!reply && got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		cli_error("the agent took the request and did not reply within %u s; its log may tell why", patience);
	else if (!reply)
		cli_error("the agent closed the connection without a reply; its log may tell why");
	free(text);
	return reply;
}

static json_t *make_request(const char *verb, int count, char **arguments, json_t *options)
{
	json_t *array = json_array();
	for (int i = 0; i < count; i++) {
		json_t *text = json_string(arguments[i]);
		if (!text || json_array_append_new(array, text) != 0) {
			cli_error("argument %d is not text in UTF-8; write names in ASCII", i + 1);
			json_decref(array);
			json_decref(options);
			return NULL;
		}
	}
	return json_pack("{s:s, s:o, s:o}", "verb", verb, "arguments", array, "options",
	                 options ? options : json_object());
}

enum cli_exit client_ask(const struct cli *cli, const char *verb, int count, char **arguments, json_t *options,
                         bool quiet, json_t **result)
{
	enum cli_exit exit = CLI_FAILED;
	json_t *request = make_request(verb, count, arguments, options);
	if (!request)
		return CLI_USAGE;
	int fd = dial(cli, quiet, &exit);
	if (fd < 0) {
		json_decref(request);
		return exit;
	}
	unsigned patience = PATIENCE_SECONDS + (cli->wait ? cli->timeout : 0);
	struct timeval limit = {.tv_sec = patience};
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	json_t *reply = send_line(fd, request) == 0 ? receive_line(fd, patience) : NULL;
	close(fd);
	json_decref(request);
	if (!reply)
		return CLI_FAILED;
	if (json_is_true(json_object_get(reply, "ok"))) {
		*result = json_incref(json_object_get(reply, "result"));
		if (!*result)
			*result = json_null();
		json_decref(reply);
		return CLI_OK;
	}
	const char *error = json_string_value(json_object_get(reply, "error"));
	cli_error("%s", error ? error : "the agent refused without saying why");
	json_decref(reply);
	return CLI_FAILED;
}

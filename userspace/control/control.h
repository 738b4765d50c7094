/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The control socket: a Unix stream socket in the run directory, mode 0600. One request a connection: a line of JSON
 * {"verb": "...", "arguments": [...], "options": {...}}; the reply is one line of JSON {"ok": true, "result": ...} or
 * {"ok": false, "error": "one line", "code": N}, then the server closes. Runs on the main thread's loop.
 */
#ifndef PEREGRINE_CONTROL_H
#define PEREGRINE_CONTROL_H

#include <jansson.h>
#include <uv.h>

struct control;
struct control_request; /* one connection waiting for its reply */

/* Answers a request: takes over `result` (control_reply) or copies the message (control_fail). To be called exactly
 * once for each request, at once or later, on the main thread; the client having gone meanwhile is no error. */
void control_reply(struct control_request *request, json_t *result);
void control_fail(struct control_request *request, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * A reply of many parts: an array, whose elements are asked for one after another, some each time the loop comes round
 * and the client has taken those before. So however long it is, it keeps nothing waiting, and is never in memory as a
 * whole. `next` gives an element, or NULL when there are no more; `end` is called once, when no more are asked for.
 */
struct control_list {
	json_t *(*next)(void *context);
	void (*end)(void *context);
};
/* Answers a request by a list; `end` may be called before this returns. */
void control_reply_list(struct control_request *request, const struct control_list *list, void *context);

struct control_verb {
	const char *name;
	void (*run)(void *context, struct control_request *request, const json_t *arguments,
	            const json_t *options); /* arguments: array of strings; options: object */
};

/* Opens PATH (an old socket that nobody listens on is replaced; a live one is an error). `verbs` ends with a NULL name.
 * Returns NULL after logging why. */
struct control *control_open(uv_loop_t *loop, const char *path, const struct control_verb *verbs, void *context);
void control_close(struct control *control);

#endif

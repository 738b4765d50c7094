/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One TCP client, RFC 7766: messages behind a length of two octets, any number in flight, answered in order. A client
 * costs memory only while a message is incomplete or a reply cannot leave.
 */
#include "fallback/tcp.h"
#include "fallback/scan.h"
#include "transfer_out/transfer_out.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <urcu/urcu-memb.h>

/* Replies that the socket did not take. */
struct tcp_output {
	uv_write_t request;
	struct tcp_client *client;
	struct tcp_output *next;
	uint64_t since; /* loop time */
	uint8_t data[];
};

static void list_append(struct tcp_client *client)
{
	struct tcp_client *ends = &client->server->clients;

	client->previous = ends->previous;
	client->next = ends;
	ends->previous->next = client;
	ends->previous = client;
}

static void list_remove(struct tcp_client *client)
{
	client->previous->next = client->next;
	client->next->previous = client->previous;
}

static void touch(struct tcp_client *client)
{
	client->active = uv_now(&client->server->loop);
	list_remove(client);
	list_append(client);
}

static void count_clients(struct tcp_server *server)
{
	__atomic_store_n(&server->tally.counters.tcp_clients, server->client_count, __ATOMIC_RELAXED);
}

static void on_closed(uv_handle_t *handle)
{
	struct tcp_client *client = handle->data;

	tls_stream_free(client->tls);
	free(client);
}

void tcp_client_close(struct tcp_client *client)
{
	struct tcp_server *server = client->server;

	if (client->closing)
		return;
	client->closing = true;
	list_remove(client);
	server->client_count--;
	count_clients(server);
	free(client->held);
	client->held = NULL;
	if (client->transfer)
		tcp_transfer_abandon(client->transfer);
	uv_close((uv_handle_t *)&client->stream, on_closed);
}

static void send_octets(struct tcp_client *client, const uint8_t *data, size_t length);

/* What TLS has to say goes out. */
static void flush_tls(struct tcp_client *client)
{
	size_t length;
	uint8_t *octets = tls_stream_take(client->tls, &length);

	if (octets && !client->closing)
		send_octets(client, octets, length);
	free(octets);
}

/* No more is read; what is queued still goes out. */
static void finish(struct tcp_client *client)
{
	if (client->closing)
		return;
	client->ending = true;
	uv_read_stop((uv_stream_t *)&client->stream);
	if (client->tls) {
		tls_stream_bye(client->tls);
		flush_tls(client);
	}
	if (!client->closing && !client->first)
		tcp_client_close(client);
}

static void on_written(uv_write_t *request, int status)
{
	struct tcp_output *output = request->data;
	struct tcp_client *client = output->client;

	client->first = output->next;
	if (!client->first)
		client->last = NULL;
	free(output);
	if (client->closing)
		return;
	if (status != 0) {
		tcp_client_close(client);
		return;
	}
	touch(client);
	if (client->ending) {
		if (!client->first)
			tcp_client_close(client);
		return;
	}
	if (client->stalled && !client->transfer &&
	    uv_stream_get_write_queue_size((uv_stream_t *)&client->stream) <=
	        client->server->shared->tuning.queue_max / 2)
		tcp_client_resume(client);
}

static int queue(struct tcp_client *client, const uint8_t *data, size_t length)
{
	struct tcp_output *output = malloc(sizeof(*output) + length);
	uv_buf_t buffer;

	if (!output)
		return UV_ENOMEM;
	output->request.data = output;
	output->client = client;
	output->next = NULL;
	output->since = uv_now(&client->server->loop);
	memcpy(output->data, data, length);
	buffer = uv_buf_init((char *)output->data, (unsigned)length);
	if (uv_write(&output->request, (uv_stream_t *)&client->stream, &buffer, 1, on_written) != 0) {
		free(output);
		return UV_EIO;
	}
	if (client->last)
		client->last->next = output;
	else
		client->first = output;
	client->last = output;
	return 0;
}

static void send_octets(struct tcp_client *client, const uint8_t *data, size_t length)
{
	size_t sent = 0;

	if (!client->first) {
		uv_buf_t buffer = uv_buf_init((char *)data, (unsigned)length);
		int n = uv_try_write((uv_stream_t *)&client->stream, &buffer, 1);

		if (n < 0 && n != UV_EAGAIN) {
			tcp_client_close(client);
			return;
		}
		sent = n > 0 ? (size_t)n : 0;
	}
	if (sent < length && queue(client, data + sent, length - sent) != 0)
		tcp_client_close(client);
}

static void send_replies(struct tcp_client *client, const uint8_t *data, size_t length)
{
	if (!client->tls)
		send_octets(client, data, length);
	else if (tls_stream_write(client->tls, data, length))
		tcp_client_close(client);
	else
		flush_tls(client);
}

/* What came of one look at the octets at hand. */
struct batch {
	size_t used;  /* octets of complete messages */
	size_t reply; /* octets of replies in server->output */
	unsigned replies, dropped;
	bool broken;                   /* there is no sense in reading on */
	bool full;                     /* the queue is: there may be more to answer */
	struct transfer_out *transfer; /* to be sent behind the replies, before anything else is answered */
};

static void answer_message(struct tcp_client *client, const struct image_view *view,
                           const struct sockaddr_storage *from, const uint8_t *query, size_t length,
                           struct batch *batch)
{
	struct tcp_server *server = client->server;
	uint8_t *reply = server->output + batch->reply;
	size_t reply_length = respond_tcp(view, &server->work, &server->shared->respond, client->tls, from, query,
	                                  length, reply + 2, TCP_MESSAGE_MAX, &batch->transfer);

	if (batch->transfer) {
		tally_rcode(&server->tally, 0);
		return;
	}
	if (reply_length == 0) {
		/* Who sends responses, or what is no message, has lost its place in the stream. A NOTIFY that is to be
		 * ignored ends here too. */
		batch->dropped++;
		batch->broken = true;
		return;
	}
	message_put16(reply, (unsigned)reply_length);
	batch->reply += 2 + reply_length;
	batch->replies++;
	tally_rcode(&server->tally, server->work.rcode);
	zone_counters_reply(image_zone_counters(server->shared->image), &server->work, from->ss_family == AF_INET6,
	                    reply_length);
}

static void answer_messages(struct tcp_client *client, const uint8_t *data, size_t length, struct batch *batch)
{
	struct tcp_server *server = client->server;
	size_t queued = uv_stream_get_write_queue_size((uv_stream_t *)&client->stream);
	struct sockaddr_storage from = {0};
	const struct image_view *view;

	memcpy(&from, &client->from, sizeof(client->from));
	memset(batch, 0, sizeof(*batch));
	server->work.now = boottime_ns();
	urcu_memb_read_lock();
	view = image_view_get(server->shared->image);
	while (length - batch->used >= 2 && !batch->broken && !batch->transfer) {
		size_t size = message_get16(data + batch->used);

		if (size == 0) {
			batch->broken = true;
			break;
		}
		if (length - batch->used - 2 < size)
			break;
		batch->full = queued + batch->reply > server->shared->tuning.queue_max;
		if (batch->full)
			break;
		answer_message(client, view, &from, data + batch->used + 2, size, batch);
		batch->used += 2 + size;
	}
	urcu_memb_read_unlock();
	tally_add(&server->tally.counters.tcp, batch->replies);
	tally_add(&server->tally.counters.dropped, batch->dropped);
}

/* Answers what is complete in the octets at hand; returns how many of them are done with. */
static size_t answer(struct tcp_client *client, const uint8_t *data, size_t length)
{
	struct batch batch;
	size_t used = 0;

	/* Again, while the socket takes a full queue at once; each round answers at least one message. */
	do {
		answer_messages(client, data + used, length - used, &batch);
		used += batch.used;
		if (batch.reply)
			send_replies(client, client->server->output, batch.reply);
	} while (batch.full && !client->closing && !client->first);
	if (client->closing) {
		transfer_out_free(batch.transfer);
		return used;
	}
	if (used)
		touch(client);
	if (batch.transfer) {
		client->stalled = true;
		uv_read_stop((uv_stream_t *)&client->stream);
		tcp_transfer_begin(client, batch.transfer);
	} else if (batch.broken) {
		finish(client);
	} else if (batch.full) {
		client->stalled = true;
		uv_read_stop((uv_stream_t *)&client->stream);
	}
	return used;
}

/* Keeps what is not answered, in just the room that it needs. */
static void hold(struct tcp_client *client, const uint8_t *data, size_t length)
{
	uint8_t *room = realloc(client->held, client->held_length + length);

	if (!room) {
		tcp_client_close(client);
		return;
	}
	memcpy(room + client->held_length, data, length);
	client->held = room;
	client->held_length += length;
}

/* Answers what is held. */
static void consume(struct tcp_client *client)
{
	size_t used = answer(client, client->held, client->held_length);

	if (client->closing)
		return;
	client->held_length -= used;
	if (client->held_length == 0) {
		free(client->held);
		client->held = NULL;
	} else if (used) {
		memmove(client->held, client->held + used, client->held_length);
	}
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	const struct tcp_client *client = handle->data;

	*buffer = uv_buf_init((char *)client->server->input, TCP_READ);
}

/* Octets in clear text. */
static void take(struct tcp_client *client, const uint8_t *data, size_t count)
{
	size_t used;

	if (client->held || client->stalled) {
		hold(client, data, count);
		if (!client->closing && !client->stalled)
			consume(client);
		return;
	}
	used = answer(client, data, count);
	if (!client->closing && !client->ending && used < count)
		hold(client, data + used, count - used);
}

/* Octets of TLS. All that is in them is taken: what may not be answered yet is held, and is no more than they are. */
static void take_tls(struct tcp_client *client, const uint8_t *data, size_t count)
{
	ssize_t got;

	tls_stream_feed(client->tls, data, count);
	while ((got = tls_stream_read(client->tls, client->server->clear, TCP_READ)) > 0) {
		take(client, client->server->clear, (size_t)got);
		if (client->closing || client->ending)
			return;
	}
	flush_tls(client);
	/* Who has said all gets what it asked for, as over TCP; if it is more than that, the next write fails. */
	if (got < 0 && !client->closing && !client->transfer)
		finish(client);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
	struct tcp_client *client = stream->data;
	const uint8_t *data = client->server->input;

	if (count == 0)
		return;
	if (count == UV_EOF) {
		/* Half closed: it has asked all, and may still read the replies. */
		finish(client);
	} else if (count < 0) {
		tcp_client_close(client);
	} else if (client->tls) {
		take_tls(client, data, (size_t)count);
	} else {
		take(client, data, (size_t)count);
	}
}

void tcp_client_resume(struct tcp_client *client)
{
	client->stalled = false;
	if (client->held)
		consume(client);
	if (!client->closing && !client->ending && !client->stalled &&
	    uv_read_start((uv_stream_t *)&client->stream, on_room, on_read) != 0)
		tcp_client_close(client);
}

void tcp_client_open(struct tcp_server *server, int fd, const struct sockaddr_storage *from,
                     struct tls_identity *identity)
{
	struct tcp_client *client = calloc(1, sizeof(*client));

	if (client && identity)
		client->tls = tls_stream_new(identity);
	if (!client || (identity && !client->tls) || uv_tcp_init(&server->loop, &client->stream) != 0) {
		close(fd);
		if (client)
			tls_stream_free(client->tls);
		free(client);
		return;
	}
	client->stream.data = client;
	client->server = server;
	memcpy(&client->from, from, sizeof(client->from));
	client->active = uv_now(&server->loop);
	list_append(client);
	server->client_count++;
	count_clients(server);
	if (uv_tcp_open(&client->stream, fd) != 0) {
		close(fd);
		tcp_client_close(client);
		return;
	}
	if (uv_read_start((uv_stream_t *)&client->stream, on_room, on_read) != 0)
		tcp_client_close(client);
}

bool tcp_client_evict(struct tcp_server *server)
{
	struct tcp_client *client = server->clients.next;

	/* Who still waits for a reply is not idle, and goes only when all do. */
	while (client != &server->clients && (client->first || client->transfer))
		client = client->next;
	if (client == &server->clients)
		client = server->clients.next;
	if (client == &server->clients)
		return false;
	tcp_client_close(client);
	return true;
}

void tcp_client_sweep(struct tcp_server *server)
{
	const struct fallback_tuning *tuning = &server->shared->tuning;
	uint64_t now = uv_now(&server->loop);

	for (struct tcp_client *client = server->clients.next, *next; client != &server->clients; client = next) {
		next = client->next;
		if (client->transfer) {
			if (tcp_transfer_overdue(client->transfer))
				tcp_client_close(client);
		} else if (client->first ? now - client->first->since >= tuning->write_ms
		                         : now - client->active >= tuning->idle_ms)
			tcp_client_close(client);
	}
}

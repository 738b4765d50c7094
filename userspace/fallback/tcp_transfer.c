/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sending a transfer to a TCP client. Messages are composed on a worker thread, a piece of some 100 KiB at a time into
 * one of two buffers, while the socket takes the other: so the loop waits neither for the disk nor for the client, and
 * a transfer has memory for two pieces, whatever the zone.
 *
 *                       ┌── composed, and the other piece has left us ──┐
 *   waiting ──▶ composing ─────────────▶ ready ─────────────▶ writing ──┴──▶ end
 */
#include "fallback/tcp.h"
#include "transfer_out/transfer_out.h"

#include <stdlib.h>

/* One message of the largest size, and as many of the usual one as make a write worth its while. */
#define PIECE_ROOM (OUT_MESSAGE_ROOM + 3 * (2 + OUT_MESSAGE_FILL))

struct tcp_transfer {
	struct tcp_server *server;
	struct tcp_client *client; /* NULL: it is closed */
	struct tcp_transfer *next; /* in server->waiting */
	struct transfer_out *out;
	uv_work_t work;
	uv_write_t write;
	bool begun, composing, writing;
	uint8_t *pieces[2];
	uint8_t *sealed; /* what is written over TLS */
	unsigned at;     /* the piece that is composed next, or now, or is ready */
	size_t ready;    /* octets that stand there; 0: none */
	size_t composed;
	enum out_result result;
	uint64_t asked, started, piece_began; /* loop time */
	const char *why;                      /* it ended early; NULL: the client closed the connection */
	bool sent;
};

static void step(struct tcp_transfer *transfer);

static void release(struct tcp_transfer *transfer)
{
	transfer_out_free(transfer->out);
	free(transfer->pieces[0]);
	free(transfer->pieces[1]);
	free(transfer->sealed);
	free(transfer);
}

static void start_waiting(struct tcp_server *server)
{
	while (server->waiting && server->transfers < server->shared->transfers_out) {
		struct tcp_transfer *transfer = server->waiting;

		server->waiting = transfer->next;
		if (!server->waiting)
			server->waiting_last = &server->waiting;
		server->transfers++;
		transfer->begun = true;
		transfer->started = uv_now(&server->loop);
		step(transfer);
	}
}

/* No thread and no write has it any more. */
static void end(struct tcp_transfer *transfer)
{
	struct tcp_server *server = transfer->server;
	const char *why = transfer->why ? transfer->why : "the client closed the connection";

	transfer_out_log(transfer->out, uv_now(&server->loop) - transfer->asked, transfer->sent ? NULL : why);
	if (transfer->begun)
		server->transfers--;
	release(transfer);
	start_waiting(server);
}

/* Closes the client's connection, which is all that a broken transfer can be told by. It may be gone afterwards. */
static void give_up(struct tcp_transfer *transfer, const char *why)
{
	transfer->why = why;
	tcp_client_close(transfer->client);
}

static void compose(uv_work_t *work)
{
	struct tcp_transfer *transfer = work->data;

	transfer->composed =
	    transfer_out_next(transfer->out, transfer->pieces[transfer->at], PIECE_ROOM, &transfer->result);
}

static void on_composed(uv_work_t *work, int status)
{
	struct tcp_transfer *transfer = work->data;

	transfer->composing = false;
	transfer->ready = transfer->composed;
	step(transfer);
}

static void on_written(uv_write_t *request, int status)
{
	struct tcp_transfer *transfer = request->data;

	transfer->writing = false;
	free(transfer->sealed);
	transfer->sealed = NULL;
	if (transfer->client && status != 0)
		give_up(transfer, NULL);
	else
		step(transfer);
}

/* What goes out for the piece that is ready; empty: TLS does not take it. */
static uv_buf_t sealed_piece(struct tcp_transfer *transfer)
{
	uint8_t *piece = transfer->pieces[transfer->at];
	struct tls_stream *tls = transfer->client->tls;
	size_t length = transfer->ready;

	if (tls) {
		if (tls_stream_write(tls, piece, length))
			return uv_buf_init(NULL, 0);
		piece = transfer->sealed = tls_stream_take(tls, &length);
	}
	return uv_buf_init((char *)piece, (unsigned)length);
}

/* Returns whether it is still there. */
static bool write_piece(struct tcp_transfer *transfer)
{
	uv_buf_t buffer = sealed_piece(transfer);

	transfer->writing = true;
	transfer->ready = 0;
	transfer->at ^= 1;
	transfer->piece_began = uv_now(&transfer->server->loop);
	if (!buffer.len ||
	    uv_write(&transfer->write, (uv_stream_t *)&transfer->client->stream, &buffer, 1, on_written) != 0) {
		transfer->writing = false;
		give_up(transfer, "the connection failed");
		return false;
	}
	return true;
}

static void finish(struct tcp_transfer *transfer)
{
	struct tcp_client *client = transfer->client;
	struct fallback_counters *counters = &transfer->server->tally.counters;

	if (transfer->result == OUT_FAILED) {
		give_up(transfer, transfer_out_error(transfer->out));
		return;
	}
	transfer->sent = true;
	tally_add(&counters->tcp, 1);
	tally_add(&counters->transfers, 1);
	client->transfer = NULL;
	client->active = uv_now(&transfer->server->loop);
	end(transfer);
	tcp_client_resume(client);
}

/* Whatever is possible now. */
static void step(struct tcp_transfer *transfer)
{
	if (transfer->client && transfer->ready && !transfer->writing && !write_piece(transfer))
		return;
	if (!transfer->client) {
		if (!transfer->composing && !transfer->writing)
			end(transfer);
		return;
	}
	if (transfer->composing || transfer->ready)
		return;
	if (transfer->result == OUT_MORE) {
		transfer->composing = true;
		if (uv_queue_work(&transfer->server->loop, &transfer->work, compose, on_composed) != 0) {
			transfer->composing = false;
			give_up(transfer, "no thread to compose it");
		}
	} else if (!transfer->writing) {
		finish(transfer);
	}
}

void tcp_transfer_begin(struct tcp_client *client, struct transfer_out *out)
{
	struct tcp_server *server = client->server;
	struct tcp_transfer *transfer = calloc(1, sizeof(*transfer));

	if (transfer) {
		transfer->pieces[0] = malloc(PIECE_ROOM);
		transfer->pieces[1] = malloc(PIECE_ROOM);
	}
	if (!transfer || !transfer->pieces[0] || !transfer->pieces[1]) {
		transfer_out_log(out, 0, "out of memory");
		transfer_out_free(out);
		if (transfer) {
			transfer->out = NULL;
			release(transfer);
		}
		tcp_client_close(client);
		return;
	}
	transfer->server = server;
	transfer->client = client;
	transfer->out = out;
	transfer->work.data = transfer->write.data = transfer;
	transfer->result = OUT_MORE;
	transfer->asked = uv_now(&server->loop);
	client->transfer = transfer;
	*server->waiting_last = transfer;
	server->waiting_last = &transfer->next;
	start_waiting(server);
}

void tcp_transfer_abandon(struct tcp_transfer *transfer)
{
	struct tcp_server *server = transfer->server;

	transfer->client->transfer = NULL;
	transfer->client = NULL;
	if (!transfer->begun) {
		struct tcp_transfer **at = &server->waiting;

		while (*at != transfer)
			at = &(*at)->next;
		*at = transfer->next;
		if (!*at)
			server->waiting_last = at;
		end(transfer);
	} else if (!transfer->composing && !transfer->writing) {
		end(transfer);
	}
}

bool tcp_transfer_overdue(struct tcp_transfer *transfer)
{
	const struct fallback_tuning *tuning = &transfer->server->shared->tuning;
	uint64_t now = uv_now(&transfer->server->loop);
	const char *why = NULL;

	if (!transfer->begun && now - transfer->asked >= tuning->transfer_wait_ms)
		why = "too many transfers at a time; `fallback.transfers-out` bounds them";
	else if (transfer->begun && now - transfer->started >= tuning->transfer_total_ms)
		why = "it took too long in all";
	else if (transfer->writing && now - transfer->piece_began >= tuning->transfer_piece_ms)
		why = "the client reads too slowly";
	transfer->why = why;
	return why != NULL;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Addresses, and the messages to them. */
#include "transfer_out/notify_internal.h"

#include "common/log.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define TICK 100 /* milliseconds between two looks at what is due; answers are taken as they come */

struct notify_limits notify_limits = {.at_once = 32, .tries = 5, .wait = 2000, .pause = 1000, .log_pause = 60000};

static __attribute__((format(printf, 2, 3))) void complain(struct entry *entry, const char *format, ...)
{
	struct target *target = entry->target;
	uint64_t now = uv_now(target->out->loop);
	char text[256], address[CONFIG_ADDRESS_TEXT];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	config_address_text(&target->address, address);
	log_write(target->has_logged && now - target->logged < notify_limits.log_pause ? LOG_LEVEL_DEBUG
	                                                                               : LOG_LEVEL_WARNING,
	          "zone %s: NOTIFY of serial %u to secondary %s (%s): %s", entry->zone->name, entry->status.serial,
	          entry->secondary, address, text);
	if (!target->has_logged || now - target->logged >= notify_limits.log_pause)
		target->logged = now;
	target->has_logged = true;
}

/* --- entries --- */

void entry_enqueue(struct entry *entry)
{
	struct target *target = entry->target;

	entry->queued = true;
	entry->next = NULL;
	*target->queue_last = entry;
	target->queue_last = &entry->next;
	entry->status.state = NOTIFY_WAITING;
	entry->status.time = time(NULL);
}

/* Returns where it was referred to from. */
static struct entry **unlink_entry(struct entry **list, struct entry *entry)
{
	while (*list != entry)
		list = &(*list)->next;
	*list = entry->next;
	entry->next = NULL;
	return list;
}

void entry_withdraw(struct entry *entry)
{
	struct target *target = entry->target;

	if (entry->queued) {
		struct entry **at = unlink_entry(&target->queue, entry);

		if (!*at)
			target->queue_last = at;
	}
	if (entry->under_way) {
		unlink_entry(&target->under_way, entry);
		target->count--;
		if (--target->out->under_way == 0)
			uv_timer_stop(&target->out->timer);
	}
	entry->queued = entry->under_way = false;
}

static void ended(struct entry *entry, enum notify_state state)
{
	entry_withdraw(entry);
	entry->status.state = state;
	entry->status.time = time(NULL);
	if (entry->again) {
		entry->again = false;
		entry_enqueue(entry);
	}
}

static void try_once(struct entry *entry)
{
	struct target *target = entry->target;
	uint8_t wire[NOTIFY_MESSAGE_ROOM];
	size_t length = notify_message_make(&entry->message, wire);
	uv_buf_t buffer = uv_buf_init((char *)wire, (unsigned)length);

	entry->sent = uv_now(target->out->loop);
	entry->due = entry->sent + (notify_limits.wait << entry->status.tries);
	entry->status.tries++;
	/* What the host could not send is as lost as what the network lost. */
	if (length)
		uv_udp_try_send(target->socket, &buffer, 1, NULL);
}

static const knot_tsig_key_t *key_of(const struct target *target)
{
	return target->signs ? &target->key : NULL;
}

static void begin(struct entry *entry)
{
	struct target *target = entry->target;
	struct notify_zone *zone = entry->zone;

	if (getrandom(&entry->message.id, sizeof(entry->message.id), GRND_NONBLOCK) < 0)
		entry->message.id = (uint16_t)uv_hrtime();
	entry->message.apex = zone->apex;
	entry->message.soa = zone->soa_length ? zone->soa : NULL;
	entry->message.soa_length = zone->soa_length;
	entry->message.key = key_of(target);
	entry->status.serial = zone->serial;
	entry->status.tries = 0;
	entry->under_way = true;
	entry->next = target->under_way;
	target->under_way = entry;
	target->count++;
	target->out->under_way++;
	try_once(entry);
}

/* --- targets --- */

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	const struct target *target = handle->data;

	*buffer = uv_buf_init((char *)target->out->input, sizeof(target->out->input));
}

static void on_answer(uv_udp_t *handle, ssize_t count, const uv_buf_t *buffer, const struct sockaddr *from,
                      unsigned flags)
{
	struct target *target = handle->data;
	unsigned rcode = 0;

	/* An error is that a message did not get there: the next try may. */
	if (count <= 0 || flags & UV_UDP_PARTIAL)
		return;
	for (struct entry *entry = target->under_way; entry; entry = entry->next) {
		uint8_t copy[sizeof(target->out->input)];

		if (count < 2 || knot_wire_read_u16((const uint8_t *)buffer->base) != entry->message.id)
			continue;
		memcpy(copy, buffer->base, (size_t)count);
		if (!notify_message_answered(&entry->message, copy, (size_t)count, &rcode))
			continue;
		entry->status.rcode = rcode;
		if (rcode != KNOT_RCODE_NOERROR) {
			const knot_lookup_t *name = knot_lookup_by_id(knot_rcode_names, (int)rcode);

			complain(entry, "refused: %s; allow it there, with the key that it has in `secondaries`",
			         name ? name->name : "unknown RCODE");
		}
		ended(entry, rcode == KNOT_RCODE_NOERROR ? NOTIFY_ANSWERED : NOTIFY_REFUSED);
		break;
	}
	target_go_on(target);
}

static void on_closed(uv_handle_t *handle)
{
	free(handle);
}

static void target_shut(struct target *target)
{
	if (target->socket)
		uv_close((uv_handle_t *)target->socket, on_closed);
	target->socket = NULL;
}

/* Opens the socket, bound and connected. Returns 0, or libuv's error. */
static int target_open(struct target *target)
{
	uv_udp_t *socket = malloc(sizeof(*socket));
	int result = socket ? uv_udp_init(target->out->loop, socket) : UV_ENOMEM;

	if (result) {
		free(socket);
		return result;
	}
	target->socket = socket;
	socket->data = target;
	if (target->source.ss_family != AF_UNSPEC)
		result = uv_udp_bind(socket, (const struct sockaddr *)&target->source, 0);
	if (!result)
		result = uv_udp_connect(socket, (const struct sockaddr *)&target->address);
	if (!result)
		result = uv_udp_recv_start(socket, on_room, on_answer);
	if (result)
		target_shut(target);
	return result;
}

void target_go_on(struct target *target)
{
	struct notify_out *out = target->out;
	int result = target->queue && !target->socket ? target_open(target) : 0;

	while (target->queue && target->count < notify_limits.at_once) {
		struct entry *entry = target->queue;

		target->queue = entry->next;
		if (!target->queue)
			target->queue_last = &target->queue;
		entry->queued = false;
		if (result) {
			entry->status.serial = entry->zone->serial;
			complain(entry, "cannot be sent: %s", uv_strerror(result));
			ended(entry, NOTIFY_UNSENT);
			continue;
		}
		begin(entry);
	}
	if (out->under_way && !uv_is_active((uv_handle_t *)&out->timer))
		uv_timer_start(&out->timer, notify_tick, TICK, TICK);
}

static void target_look(struct target *target, uint64_t now)
{
	for (struct entry *entry = target->under_way, *next; entry; entry = next) {
		next = entry->next;
		if (entry->due > now)
			continue;
		if (entry->again) {
			/* It ends unanswered, to be begun for the newer version. */
			ended(entry, NOTIFY_WAITING);
			continue;
		}
		if (entry->status.tries < notify_limits.tries) {
			try_once(entry);
			continue;
		}
		complain(entry, "no answer to %u messages; its next refresh will find the version",
		         entry->status.tries);
		ended(entry, NOTIFY_SILENT);
	}
	target_go_on(target);
}

void notify_tick(uv_timer_t *timer)
{
	struct notify_out *out = timer->data;

	for (struct target *target = out->targets; target; target = target->next)
		target_look(target, uv_now(out->loop));
}

struct target *target_get(struct notify_out *out, const struct config_secondary *secondary, size_t index)
{
	const struct sockaddr_storage *address = &secondary->addresses[index];
	const struct sockaddr_storage *source = &secondary->source[address->ss_family == AF_INET6];
	struct target *target = out->targets;

	while (target && (memcmp(&target->address, address, sizeof(*address)) != 0 ||
	                  memcmp(&target->source, source, sizeof(*source)) != 0 ||
	                  !tsig_key_same(key_of(target), secondary->key)))
		target = target->next;
	if (target) {
		target->users++;
		return target;
	}
	target = calloc(1, sizeof(*target));
	if (!target || (secondary->key && tsig_key_copy(&target->key, secondary->key) != 0)) {
		free(target);
		return NULL;
	}
	target->signs = secondary->key;
	target->out = out;
	target->address = *address;
	target->source = *source;
	target->users = 1;
	target->queue_last = &target->queue;
	target->next = out->targets;
	out->targets = target;
	return target;
}

void target_put(struct target *target)
{
	struct target **at = &target->out->targets;

	if (--target->users)
		return;
	while (*at != target)
		at = &(*at)->next;
	*at = target->next;
	target_shut(target);
	if (target->signs)
		knot_tsig_key_deinit(&target->key);
	free(target);
}

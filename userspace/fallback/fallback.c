/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fallback/internal.h"

#include "common/log.h"
#include "tls/tls_server.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

const struct fallback_tuning fallback_tuning_default = {
    .idle_ms = 10000,
    .write_ms = 10000,
    .queue_max = 128 << 10,
    .transfer_wait_ms = 60000,
    .transfer_piece_ms = 30000,
    .transfer_total_ms = 3600000,
};

/* A service address and the sockets on it: one a UDP worker, one TCP listener; for TLS the listener alone. */
struct place {
	struct sockaddr_storage address;
	struct udp_socket **udp;
	struct tcp_listener *tcp;
};

struct places {
	struct place *list;
	size_t count;
	struct tls_identity *identity; /* NULL: no TLS */
};

struct fallback {
	struct fallback_shared shared;
	struct udp_worker **workers;
	unsigned worker_count;
	struct tcp_server *tcp;
	struct places plain, tls;
};

static bool same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family == AF_INET6) {
		const struct sockaddr_in6 *x = (const void *)a, *y = (const void *)b;

		return x->sin6_port == y->sin6_port && x->sin6_scope_id == y->sin6_scope_id &&
		       memcmp(&x->sin6_addr, &y->sin6_addr, sizeof(x->sin6_addr)) == 0;
	}
	const struct sockaddr_in *x = (const void *)a, *y = (const void *)b;
	return x->sin_port == y->sin_port && x->sin_addr.s_addr == y->sin_addr.s_addr;
}

static bool place_close(struct fallback *fallback, struct place *place)
{
	for (unsigned i = 0; i < fallback->worker_count; i++) {
		if (place->udp && place->udp[i])
			udp_worker_remove(fallback->workers[i], place->udp[i]);
	}
	if (place->tcp)
		tcp_server_remove(fallback->tcp, place->tcp);
	free(place->udp);
	return false;
}

/* All the sockets of an address, or none. */
static bool place_open(struct fallback *fallback, const struct sockaddr_storage *address, struct tls_identity *identity,
                       struct place *place)
{
	int fd;

	memset(place, 0, sizeof(*place));
	place->address = *address;
	/* TCP first: its bind fails when another server has the address, where UDP sockets can share it. */
	fd = fallback_socket(address, SOCK_STREAM);
	if (fd < 0)
		return place_close(fallback, place);
	place->tcp = tcp_server_add(fallback->tcp, fd, identity);
	if (!place->tcp)
		return place_close(fallback, place);
	if (identity)
		return true;
	place->udp = calloc(fallback->worker_count, sizeof(struct udp_socket *));
	if (!place->udp)
		return place_close(fallback, place);
	for (unsigned i = 0; i < fallback->worker_count; i++) {
		fd = fallback_socket(address, SOCK_DGRAM);
		if (fd < 0)
			return place_close(fallback, place);
		place->udp[i] = udp_worker_add(fallback->workers[i], fd);
		if (!place->udp[i])
			return place_close(fallback, place);
	}
	return true;
}

static bool listed(const struct sockaddr_storage *address, const struct sockaddr_storage *addresses, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (same_address(address, &addresses[i]))
			return true;
	}
	return false;
}

static bool placed(const struct places *places, const struct sockaddr_storage *address)
{
	for (size_t i = 0; i < places->count; i++) {
		if (same_address(address, &places->list[i].address))
			return true;
	}
	return false;
}

static int set_places(struct fallback *fallback, struct places *places, const struct sockaddr_storage *addresses,
                      size_t count)
{
	size_t kept = 0;
	int failed = 0;
	struct place *list;

	for (size_t i = 0; i < places->count; i++) {
		if (listed(&places->list[i].address, addresses, count))
			places->list[kept++] = places->list[i];
		else
			place_close(fallback, &places->list[i]);
	}
	places->count = kept;
	if (count == 0)
		return 0;
	list = realloc(places->list, (kept + count) * sizeof(*list));
	if (!list) {
		log_error("fallback: no memory for the service addresses");
		return (int)count;
	}
	places->list = list;
	for (size_t i = 0; i < count; i++) {
		if (placed(places, &addresses[i]))
			continue;
		if (place_open(fallback, &addresses[i], places->identity, &list[places->count]))
			places->count++;
		else
			failed++;
	}
	return failed;
}

int fallback_set_addresses(struct fallback *fallback, const struct sockaddr_storage *addresses, size_t count)
{
	return set_places(fallback, &fallback->plain, addresses, count);
}

int fallback_set_tls(struct fallback *fallback, struct tls_identity *identity, const struct sockaddr_storage *addresses,
                     size_t count)
{
	struct places *places = &fallback->tls;

	if (identity != places->identity) {
		set_places(fallback, places, NULL, 0);
		tls_identity_unref(places->identity);
		places->identity = identity ? tls_identity_ref(identity) : NULL;
	}
	return identity ? set_places(fallback, places, addresses, count) : 0;
}

int fallback_set_exempt(struct fallback *fallback, const struct config_prefix *prefixes, size_t count)
{
	if (!limiter_set_exempt(fallback->shared.limiter, prefixes, count))
		return 0;
	log_error("fallback: no memory for the exempt prefixes");
	return -1;
}

static void add_tally(const struct fallback_tally *tally, struct fallback_counters *out)
{
	/* The counters are all 64 bits wide. */
	const uint64_t *from = (const uint64_t *)&tally->counters;
	uint64_t *to = (uint64_t *)out;

	_Static_assert(sizeof(*out) % sizeof(uint64_t) == 0, "counters are words");
	for (size_t i = 0; i < sizeof(*out) / sizeof(uint64_t); i++)
		to[i] += __atomic_load_n(from + i, __ATOMIC_RELAXED);
}

void fallback_get_counters(struct fallback *fallback, struct fallback_counters *out)
{
	memset(out, 0, sizeof(*out));
	for (unsigned i = 0; i < fallback->worker_count; i++)
		add_tally(udp_worker_tally(fallback->workers[i]), out);
	add_tally(tcp_server_tally(fallback->tcp), out);
}

void fallback_close(struct fallback *fallback)
{
	if (!fallback)
		return;
	set_places(fallback, &fallback->plain, NULL, 0);
	fallback_set_tls(fallback, NULL, NULL, 0);
	for (unsigned i = 0; i < fallback->worker_count; i++)
		udp_worker_close(fallback->workers[i]);
	if (fallback->tcp)
		tcp_server_close(fallback->tcp);
	limiter_close(fallback->shared.limiter);
	free(fallback->workers);
	free(fallback->plain.list);
	free(fallback->tls.list);
	free(fallback);
}

static bool start_threads(struct fallback *fallback, unsigned workers)
{
	fallback->workers = calloc(workers, sizeof(struct udp_worker *));
	if (!fallback->workers)
		return false;
	for (unsigned i = 0; i < workers; i++) {
		fallback->workers[i] = udp_worker_open(&fallback->shared);
		if (!fallback->workers[i])
			return false;
		fallback->worker_count++;
	}
	fallback->tcp = tcp_server_open(&fallback->shared);
	return fallback->tcp != NULL;
}

struct fallback *fallback_open_tuned(struct image *image, const struct fallback_options *options,
                                     const struct fallback_tuning *tuning)
{
	struct fallback *fallback = calloc(1, sizeof(*fallback));

	if (!fallback)
		return NULL;
	fallback->shared = (struct fallback_shared){
	    .image = image,
	    .respond = {.version = "Peregrine " PEREGRINE_VERSION,
	                .notify = options->notify,
	                .notify_context = options->notify_context,
	                .outgoing = options->outgoing},
	    .tuning = *tuning,
	    .tcp_clients = options->tcp_clients ? options->tcp_clients : 1,
	    .transfers_out = options->transfers_out ? options->transfers_out : 1,
	};
	fallback->shared.limiter = limiter_open();
	if (!fallback->shared.limiter || !start_threads(fallback, options->udp_workers ? options->udp_workers : 1)) {
		fallback_close(fallback);
		return NULL;
	}
	return fallback;
}

struct fallback *fallback_open(struct image *image, const struct fallback_options *options)
{
	return fallback_open_tuned(image, options, &fallback_tuning_default);
}

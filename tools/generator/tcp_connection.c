/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tcp_connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TAKEN (256 * 1024) /* octets at a time */
#define DNS_OCTETS 12
#define UDP_OCTETS 8
#define IPV4_OCTETS 20
#define IPV6_OCTETS 40
#define CONNECT_SECONDS 10

/* Where the message begins in a record's frame. */
static size_t message_at(const uint8_t *frame)
{
	bool ipv6 = frame[12] == 0x86 && frame[13] == 0xdd;

	return ETH_HLEN + (ipv6 ? IPV6_OCTETS : IPV4_OCTETS) + UDP_OCTETS;
}

static uint16_t word(const uint8_t *octets)
{
	return (uint16_t)(octets[0] << 8 | octets[1]);
}

/* One record: its message goes behind the ones before. */
static int add_query(struct tcp_load *load, const uint8_t *record, unsigned slot, uint32_t number)
{
	struct generator_query *query = &load->queries[number];
	const uint8_t *frame = record + sizeof(*query);
	size_t at = message_at(frame), length;

	memcpy(query, record, sizeof(*query));
	if (query->length > slot - sizeof(*query) || query->length < at + DNS_OCTETS ||
	    query->sample > GENERATOR_SAMPLES || word(frame + at) != number)
		return -1;
	length = query->length - at;
	load->place[number] = load->size;
	load->octets[load->size++] = (uint8_t)(length >> 8);
	load->octets[load->size++] = (uint8_t)length;
	memcpy(load->octets + load->size, frame + at, length);
	load->size += length;
	load->place[number + 1] = load->size;
	return 0;
}

static int fill(struct tcp_load *load, FILE *file, unsigned slot)
{
	uint8_t record[GENERATOR_SLOT_MOST];

	load->octets = malloc((size_t)TCP_QUERIES * slot);
	load->place = calloc(TCP_QUERIES + 1, sizeof(*load->place));
	load->queries = calloc(TCP_QUERIES, sizeof(*load->queries));
	load->samples = calloc(GENERATOR_SAMPLES + 1, sizeof(*load->samples));
	if (!load->octets || !load->place || !load->queries || !load->samples)
		return -1;
	while (fread(record, slot, 1, file) == 1)
		if (load->count == TCP_QUERIES || add_query(load, record, slot, load->count++))
			return -1;
	return load->count ? 0 : -1;
}

int tcp_load_read(struct tcp_load *load, const char *path, unsigned slot)
{
	FILE *file = fopen(path, "re");
	int failed;

	*load = (struct tcp_load){0};
	if (!file) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	failed = fill(load, file, slot);
	fclose(file);
	if (failed) {
		fprintf(stderr, "%s: not a file of 1 to %u queries in records of %u octets\n", path, TCP_QUERIES, slot);
		tcp_load_free(load);
	}
	return failed;
}

void tcp_load_free(struct tcp_load *load)
{
	free(load->octets);
	free(load->place);
	free(load->queries);
	free(load->samples);
	*load = (struct tcp_load){0};
}

/* A socket that is connected; blocking no more. */
static int connected(const char *address)
{
	const struct addrinfo wanted = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
	const struct timeval patience = {.tv_sec = CONNECT_SECONDS};
	/* Closed by a reset: so many ports would have to rest for a minute otherwise. */
	const struct linger linger = {.l_onoff = 1};
	struct addrinfo *found;
	int made, one = 1;

	if (getaddrinfo(address, "53", &wanted, &found)) {
		errno = EINVAL;
		return -1;
	}
	made = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (made >= 0 && (setsockopt(made, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) ||
	                  setsockopt(made, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) ||
	                  setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) ||
	                  connect(made, found->ai_addr, found->ai_addrlen))) {
		close(made);
		made = -1;
	}
	freeaddrinfo(found);
	return made;
}

int tcp_connection_open(struct tcp_connection *connection, const struct tcp_load *load, const char *address,
                        uint32_t first)
{
	*connection = (struct tcp_connection){.socket = connected(address), .next = first % load->count};
	connection->start = load->place[connection->next];
	connection->waiting = calloc(load->count, sizeof(*connection->waiting));
	connection->rest = malloc(TCP_MESSAGE);
	if (connection->socket >= 0 && connection->waiting && connection->rest)
		return 0;
	tcp_connection_close(connection);
	return -1;
}

void tcp_connection_close(struct tcp_connection *connection)
{
	if (connection->socket >= 0)
		close(connection->socket);
	free(connection->waiting);
	free(connection->rest);
	*connection = (struct tcp_connection){.socket = -1};
}

void tcp_connection_ask(struct tcp_connection *connection, const struct tcp_load *load, struct tcp_counts *counts,
                        uint32_t count)
{
	uint32_t number = connection->next;

	for (uint32_t i = 0; i < count; i++) {
		connection->waiting[number] = true;
		connection->pending += load->place[number + 1] - load->place[number];
		number = number + 1 < load->count ? number + 1 : 0;
	}
	connection->next = number;
	connection->under_way += count;
	counts->asked += count;
}

int tcp_connection_send(struct tcp_connection *connection, const struct tcp_load *load)
{
	while (connection->pending) {
		size_t most = load->size - connection->start;
		size_t size = connection->pending < most ? connection->pending : most;
		ssize_t done =
		    send(connection->socket, load->octets + connection->start, size, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (done < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -1;
		connection->pending -= (size_t)done;
		connection->start += (size_t)done;
		if (connection->start == load->size)
			connection->start = 0;
	}
	return 0;
}

/* Keeps a reply as the generator's programs do: as a frame, of which only the message counts. */
static void keep(struct generator_sample *sample, uint32_t number, const uint8_t *message, size_t length)
{
	size_t head = ETH_HLEN + IPV4_OCTETS + UDP_OCTETS;

	if (length > GENERATOR_SAMPLE_OCTETS - head)
		length = GENERATOR_SAMPLE_OCTETS - head;
	memset(sample->frame, 0, head);
	memcpy(sample->frame + head, message, length);
	sample->query = number;
	sample->length = (uint32_t)(head + length);
}

static void judge(struct tcp_connection *connection, struct tcp_load *load, struct tcp_counts *counts,
                  const uint8_t *message, size_t length)
{
	uint32_t number = length < DNS_OCTETS ? load->count : word(message);
	const struct generator_query *query = &load->queries[number];

	counts->replies++;
	counts->octets += length;
	if (connection->under_way)
		connection->under_way--;
	if (number >= load->count || !connection->waiting[number]) {
		counts->strange++;
		return;
	}
	connection->waiting[number] = false;
	if (!(message[2] & 0x80) || (message[3] & 15) != query->rcode ||
	    ((query->flags & GENERATOR_ANSWERS) && word(message + 6) != query->answers)) {
		if (!counts->wrong++)
			keep(&load->samples[GENERATOR_SAMPLES], number, message, length);
	}
	if (query->sample)
		keep(&load->samples[query->sample - 1], number, message, length);
}

int tcp_connection_receive(struct tcp_connection *connection, struct tcp_load *load, struct tcp_counts *counts)
{
	static uint8_t taken[TCP_MESSAGE + TAKEN];
	const uint8_t *place = taken, *end;
	int messages = 0;
	ssize_t got;

	memcpy(taken, connection->rest, connection->rest_size);
	got = recv(connection->socket, taken + connection->rest_size, TAKEN, MSG_DONTWAIT);
	if (got <= 0)
		return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
	end = taken + connection->rest_size + got;
	while (end - place >= 2 && end - place >= 2 + word(place)) {
		judge(connection, load, counts, place + 2, word(place));
		place += 2 + word(place);
		messages++;
	}
	connection->rest_size = (size_t)(end - place);
	memcpy(connection->rest, place, connection->rest_size);
	return messages;
}

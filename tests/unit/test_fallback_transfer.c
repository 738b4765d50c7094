/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Transfers out over the fallback server's connections: their place among other replies, and clients that read late, or
 * not at all, or leave. */
#include "loopback.h"

#include "common/log.h"
#include "transfer_out/outgoing.h"

#include <stdatomic.h>

#define RECORDS 40000U /* some 640 KiB */
#define TYPE_AXFR 252
#define TYPE_A 1

/* ---- a zone that is made up as it is read ---- */

static struct {
	_Atomic unsigned open, begun;
	_Atomic unsigned records; /* a snapshot has so many */
	_Atomic bool held;        /* reading waits */
	_Atomic unsigned fail_at; /* 0: never */
} source;

struct snapshot {
	unsigned at;
	uint8_t owner[8];
	_Alignas(2) uint8_t rdata[64];
};

static void *begin(void *context, const uint8_t *apex, uint64_t *octets)
{
	source.open++;
	source.begun++;
	*octets = RECORDS * 16ULL;
	return calloc(1, sizeof(struct snapshot));
}

static void give(struct snapshot *snapshot, uint16_t type, uint16_t length, struct out_rrset *out)
{
	memset(snapshot->rdata, 0, sizeof(snapshot->rdata));
	memcpy(snapshot->rdata, &length, 2);
	*out = (struct out_rrset){
	    .owner = (const uint8_t *)"", .type = type, .ttl = 1, .count = 1, .rdata = snapshot->rdata};
}

static int soa(void *snapshot, struct out_rrset *out)
{
	give(snapshot, 6, 22, out);
	return 0;
}

static int next(void *context, struct out_rrset *out)
{
	struct snapshot *snapshot = context;

	while (source.held)
		usleep(1000);
	if (source.fail_at && snapshot->at == source.fail_at)
		return -1;
	if (snapshot->at == source.records)
		return 0;
	give(snapshot, TYPE_A, 4, out);
	/* Four letters, then the root. */
	memcpy(snapshot->owner, "\4aaaa", 6);
	for (unsigned i = 0, number = snapshot->at; i < 4; i++, number /= 26)
		snapshot->owner[1 + i] = (uint8_t)('a' + number % 26);
	out->owner = snapshot->owner;
	snapshot->at++;
	return 1;
}

static int changes(void *snapshot, uint32_t from, uint64_t *octets)
{
	return 0;
}

static void end(void *snapshot)
{
	free(snapshot);
	source.open--;
}

static const struct out_source records = {.begin = begin, .soa = soa, .next = next, .changes = changes, .end = end};

static struct config_access anybody;
static const struct config_zone zone = {.outgoing = {.allow = &anybody, .allow_count = 1}};

static const struct config_zone *find_zone(void *context, const uint8_t *apex)
{
	return &zone;
}

static const struct outgoing outgoing = {.zone = find_zone, .source = &records};

/* ---- server and clients ---- */

static const struct fallback_tuning patient = {
    .idle_ms = 10000,
    .write_ms = 10000,
    .queue_max = 128 << 10,
    .transfer_wait_ms = 10000,
    .transfer_piece_ms = 10000,
    .transfer_total_ms = 10000,
};

static struct fallback *serve(const struct sockaddr_storage *address, unsigned at_once,
                              const struct fallback_tuning *tuning)
{
	const struct fallback_options options = {
	    .udp_workers = 1, .tcp_clients = 20, .transfers_out = at_once, .outgoing = &outgoing};
	struct fallback *fallback = fallback_open_tuned(NULL, &options, tuning);

	assert_non_null(fallback);
	assert_int_equal(fallback_set_addresses(fallback, address, 1), 0);
	return fallback;
}

static void query(int fd, unsigned id, unsigned type)
{
	uint8_t frame[2 + QUERY_LENGTH] = {0, QUERY_LENGTH};

	make_query(frame + 2, id, false);
	frame[2 + QUERY_LENGTH - 3] = (uint8_t)type;
	write_all(fd, frame, sizeof(frame));
}

/* Reads a transfer's messages to its last SOA; returns its records without the SOAs, or -1 when it broke off. */
static int read_transfer(int fd, unsigned id)
{
	static uint8_t data[65535];
	unsigned soas = 0;
	int count = 0;

	while (soas < 2) {
		size_t length;
		knot_pkt_t *message;
		const knot_pktsection_t *answer;

		if (!read_all(fd, data, 2))
			return -1;
		length = message_get16(data);
		if (!read_all(fd, data, length))
			return -1;
		assert_int_equal(message_get16(data), id);
		message = knot_pkt_new(data, (uint16_t)length, NULL);
		assert_int_equal(knot_pkt_parse(message, 0), 0);
		assert_int_equal(knot_wire_get_rcode(data), 0);
		answer = knot_pkt_section(message, KNOT_ANSWER);
		for (unsigned i = 0; i < answer->count; i++) {
			assert_true(soas < 2);
			if (knot_pkt_rr(answer, (uint16_t)i)->type == KNOT_RRTYPE_SOA)
				soas++;
			else
				count++;
		}
		knot_pkt_free(message);
	}
	return count;
}

static void await_open(unsigned count)
{
	for (unsigned ms = 0; ms < LIMIT_MS && source.open != count; ms += 5)
		usleep(5000);
	assert_int_equal(source.open, count);
}

static int setup(void **state)
{
	log_set_level(LOG_LEVEL_ERROR);
	source.begun = 0;
	source.records = RECORDS;
	source.held = false;
	source.fail_at = 0;
	return 0;
}

/* ---- tests ---- */

/* Queries before and behind a transfer, and two transfers, all sent at once, are answered in order. */
static void test_in_order(void **state)
{
	const struct sockaddr_storage address = address_of("127.0.0.1", free_port());
	struct fallback *fallback = serve(&address, 4, &patient);
	struct fallback_counters counters;
	int fd = dial(&address, SOCK_STREAM);
	unsigned id;

	query(fd, 1, TYPE_A);
	query(fd, 2, TYPE_AXFR);
	query(fd, 3, TYPE_A);
	query(fd, 4, TYPE_AXFR);
	query(fd, 5, TYPE_A);
	assert_true(read_reply(fd, &id) == QUERY_LENGTH && id == 1);
	assert_int_equal(read_transfer(fd, 2), RECORDS);
	assert_true(read_reply(fd, &id) == QUERY_LENGTH && id == 3);
	assert_int_equal(read_transfer(fd, 4), RECORDS);
	assert_true(read_reply(fd, &id) == QUERY_LENGTH && id == 5);
	exchange(fd, 6);
	/* Half closed behind the last query. */
	query(fd, 7, TYPE_AXFR);
	shutdown(fd, SHUT_WR);
	assert_int_equal(read_transfer(fd, 7), RECORDS);
	assert_true(at_end(fd));
	await_open(0);
	fallback_get_counters(fallback, &counters);
	assert_int_equal(counters.transfers, 3);
	close(fd);
	fallback_close(fallback);
}

/* More than may be sent at a time wait; others are answered meanwhile. */
static void test_bounded(void **state)
{
	const struct sockaddr_storage address = address_of("127.0.0.1", free_port());
	struct fallback *fallback = serve(&address, 2, &patient);
	int fds[5], other = dial(&address, SOCK_STREAM);

	source.held = true;
	for (unsigned i = 0; i < 5; i++) {
		fds[i] = dial(&address, SOCK_STREAM);
		query(fds[i], i, TYPE_AXFR);
	}
	await_open(2);
	exchange(other, 9);
	usleep(50000);
	assert_int_equal(source.begun, 2);
	source.held = false;
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(read_transfer(fds[i], i), RECORDS);
	await_open(0);
	for (unsigned i = 0; i < 5; i++)
		close(fds[i]);
	close(other);
	fallback_close(fallback);
}

static void test_waits_too_long(void **state)
{
	struct fallback_tuning tuning = patient;
	const struct sockaddr_storage address = address_of("127.0.0.1", free_port());
	struct fallback *fallback;
	int first, second;

	tuning.transfer_wait_ms = 200;
	tuning.idle_ms = 1000; /* so that it is looked at often enough */
	fallback = serve(&address, 1, &tuning);
	source.held = true;
	first = dial(&address, SOCK_STREAM);
	query(first, 1, TYPE_AXFR);
	await_open(1);
	second = dial(&address, SOCK_STREAM);
	query(second, 2, TYPE_AXFR);
	assert_true(at_end(second));
	source.held = false;
	assert_int_equal(read_transfer(first, 1), RECORDS);
	assert_int_equal(source.begun, 1);
	close(first);
	close(second);
	fallback_close(fallback);
}

/* Who does not read keeps its snapshot for the time of a piece, and no longer. */
static void test_reads_nothing(void **state)
{
	struct fallback_tuning tuning = patient;
	const struct sockaddr_storage address = address_of("127.0.0.1", free_port());
	struct fallback *fallback;
	int fd = -1;

	tuning.transfer_piece_ms = 300;
	tuning.idle_ms = 1000;
	fallback = serve(&address, 1, &tuning);
	source.records = 1000 * RECORDS; /* more than the sockets take */
	fd = dial(&address, SOCK_STREAM);
	query(fd, 1, TYPE_AXFR);
	await_open(1);
	await_open(0);
	await_clients(fallback, 0);
	close(fd);
	fallback_close(fallback);
}

/* Who reads, but without end, keeps it for the whole bound. */
static void test_takes_too_long(void **state)
{
	struct fallback_tuning tuning = patient;
	const struct sockaddr_storage address = address_of("127.0.0.1", free_port());
	struct fallback *fallback;
	int fd;

	tuning.transfer_total_ms = 300;
	tuning.idle_ms = 1000;
	fallback = serve(&address, 1, &tuning);
	source.records = UINT32_MAX;
	fd = dial(&address, SOCK_STREAM);
	query(fd, 1, TYPE_AXFR);
	assert_int_equal(read_transfer(fd, 1), -1);
	await_open(0);
	close(fd);
	fallback_close(fallback);
}

/* A transfer that breaks off, by the client, by the source, by the server's end. */
static void test_broken_off(void **state)
{
	const struct sockaddr_storage address = address_of("127.0.0.1", free_port());
	struct fallback *fallback = serve(&address, 1, &patient);
	uint8_t some[10000];
	int fd = dial(&address, SOCK_STREAM);

	source.records = 1000 * RECORDS;
	query(fd, 1, TYPE_AXFR);
	assert_true(read_all(fd, some, sizeof(some)));
	close(fd);
	await_open(0);
	await_clients(fallback, 0);

	source.fail_at = 20000;
	fd = dial(&address, SOCK_STREAM);
	query(fd, 2, TYPE_AXFR);
	assert_int_equal(read_transfer(fd, 2), -1);
	await_open(0);
	close(fd);

	source.fail_at = 0;
	fd = dial(&address, SOCK_STREAM);
	query(fd, 3, TYPE_AXFR);
	assert_true(read_all(fd, some, sizeof(some)));
	await_open(1);
	fallback_close(fallback);
	assert_int_equal(source.open, 0);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_in_order),      TEST(test_bounded),        TEST(test_waits_too_long),
	    TEST(test_reads_nothing), TEST(test_takes_too_long), TEST(test_broken_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

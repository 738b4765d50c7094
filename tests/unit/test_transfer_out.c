/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Transfers out, from a source in memory to the agent's own secondary side, which judges every message. */
#include "zone_text.h"

#include "transfer/transfer_internal.h"
#include "transfer_out/transfer_out.h"

#define APEX "zone.example."
#define HEAD "@ 300 SOA ns.zone.example. hostmaster.zone.example. 7 3600 600 864000 300\n@ 300 NS ns\n"

/* ---- a source ---- */

struct change {
	const char *owner; /* "" : the apex */
	uint16_t type;
	uint32_t serial; /* SOA */
	uint8_t address; /* A: 192.0.2.x */
};

static struct {
	struct zone_version *version; /* NULL: no zone */
	size_t name, rrset;
	const struct change *changes; /* from serial `from` to the version's */
	size_t change_count, change;
	uint32_t from;
	uint64_t whole, differences;
	unsigned fail_after; /* records; 0: never */
	unsigned given, open;
	uint8_t rdata[64];
	knot_dname_storage_t owner;
} fake;

static void *source_begin(void *context, const uint8_t *apex, uint64_t *octets)
{
	if (!fake.version || !knot_dname_is_equal(apex, fake.version->apex))
		return NULL;
	fake.name = fake.rrset = fake.change = fake.given = 0;
	fake.open++;
	*octets = fake.whole;
	return &fake;
}

static void take(const struct zone_name *name, const struct zone_rrset *rrset, struct out_rrset *out)
{
	*out = (struct out_rrset){
	    .owner = name->owner, .type = rrset->type, .ttl = rrset->ttl, .count = rrset->count, .rdata = rrset->rdata};
}

static int source_soa(void *snapshot, struct out_rrset *out)
{
	const struct zone_name *apex = &fake.version->names[0];

	for (size_t i = 0; i < apex->rrset_count; i++) {
		if (apex->rrsets[i].type == KNOT_RRTYPE_SOA)
			take(apex, &apex->rrsets[i], out);
	}
	return 0;
}

static int source_next(void *snapshot, struct out_rrset *out)
{
	if (fake.fail_after && ++fake.given > fake.fail_after)
		return -1;
	while (fake.name < fake.version->name_count) {
		const struct zone_name *name = &fake.version->names[fake.name];

		if (fake.rrset < name->rrset_count) {
			take(name, &name->rrsets[fake.rrset++], out);
			return 1;
		}
		fake.name++;
		fake.rrset = 0;
	}
	return 0;
}

static int source_changes(void *snapshot, uint32_t from, uint64_t *octets)
{
	*octets = fake.differences;
	return fake.changes && from == fake.from;
}

static int source_next_change(void *snapshot, struct out_rrset *out)
{
	const struct change *change = &fake.changes[fake.change];
	uint8_t *rdata = fake.rdata + sizeof(uint16_t);
	uint16_t length = 4;
	char text[80];

	if (fake.change == fake.change_count)
		return 0;
	fake.change++;
	snprintf(text, sizeof(text), "%s%s", change->owner, APEX);
	knot_dname_from_str(fake.owner, text, sizeof(fake.owner));
	memset(rdata, 0, sizeof(fake.rdata) - sizeof(uint16_t));
	if (change->type == KNOT_RRTYPE_SOA) {
		length = 22;
		knot_wire_write_u32(rdata + 2, change->serial);
	} else {
		memcpy(rdata, "\xc0\x00\x02", 3);
		rdata[3] = change->address;
	}
	memcpy(fake.rdata, &length, sizeof(length));
	*out =
	    (struct out_rrset){.owner = fake.owner, .type = change->type, .ttl = 300, .count = 1, .rdata = fake.rdata};
	return 1;
}

static void source_end(void *snapshot)
{
	fake.open--;
}

static const struct out_source source = {
    .begin = source_begin,
    .soa = source_soa,
    .next = source_next,
    .changes = source_changes,
    .next_change = source_next_change,
    .end = source_end,
};

/* ---- a client ---- */

struct client {
	knot_dname_storage_t apex;
	knot_tsig_key_t key;
	bool has_key;
	struct tsig_session tsig;
	struct transfer_in in;
	struct tsig_server server;
	uint8_t query[TRANSFER_QUERY];
	size_t query_length;
	unsigned messages;
	size_t largest;
};

static uint8_t buffer[2 * OUT_MESSAGE_ROOM];

static struct transfer_out *ask(struct client *client, const uint32_t *have, const char *algorithm, const uint8_t *opt,
                                size_t opt_length)
{
	char why[TRANSFER_WHY];
	size_t name;
	struct out_request request = {.id = 4711,
	                              .recursion_desired = true,
	                              .incremental = have,
	                              .serial = have ? *have : 0,
	                              .opt = opt,
	                              .opt_length = opt_length,
	                              .from = {.ss_family = AF_INET}};

	memset(client, 0, sizeof(*client));
	knot_dname_from_str(client->apex, APEX, sizeof(client->apex));
	client->has_key = algorithm;
	if (algorithm)
		assert_int_equal(
		    knot_tsig_key_init(&client->key, algorithm, "Key.Example.", "c2VjcmV0IG9mIHRoZSB0ZXN0"), 0);
	assert_int_equal(tsig_session_init(&client->tsig, algorithm ? &client->key : NULL, why), 0);
	client->query_length =
	    query_make(client->query, sizeof(client->query), 4711, client->apex,
	               have ? KNOT_RRTYPE_IXFR : KNOT_RRTYPE_AXFR, request.serial, false, &client->tsig);
	assert_true(client->query_length > 0);
	if (algorithm)
		assert_int_equal(tsig_server_check(&client->server, &client->key, client->query, &client->query_length),
		                 0);
	assert_int_equal(transfer_in_init(&client->in, client->apex, 4711, have, &client->tsig), 0);
	name = knot_dname_size(client->apex);
	request.apex = client->apex;
	request.question = client->query + KNOT_WIRE_HEADER_SIZE;
	request.question_length = name + 4;
	return transfer_out_new(&source, &request, &client->server);
}

static void done(struct client *client)
{
	transfer_in_clear(&client->in);
	tsig_session_clear(&client->tsig);
	if (client->has_key)
		knot_tsig_key_deinit(&client->key);
	assert_int_equal(fake.open, 0);
}

/* Reads the transfer to its end. Returns what the client makes of it; MORE where it ended without an end. */
static enum transfer_result read_all(struct client *client, struct transfer_out *transfer, size_t room,
                                     enum out_result *end)
{
	enum transfer_result result = TRANSFER_MORE;

	do {
		size_t length = transfer_out_next(transfer, buffer, room, end), at = 0;

		while (at < length && result == TRANSFER_MORE) {
			size_t size = knot_wire_read_u16(buffer + at);
			uint8_t *message = malloc(size);

			memcpy(message, buffer + at + 2, size);
			assert_true(knot_wire_get_rd(message));
			result = transfer_in_message(&client->in, message, size);
			free(message);
			at += 2 + size;
			client->messages++;
			if (size > client->largest)
				client->largest = size;
		}
		assert_true(result == TRANSFER_FAILED || at == length);
	} while (*end == OUT_MORE && result == TRANSFER_MORE);
	transfer_out_free(transfer);
	return result;
}

static void same_zone(struct client *client, const struct zone_version *wanted)
{
	char why[256];
	struct zone_version *got = zone_builder_finish(client->in.builder, why, sizeof(why));

	client->in.builder = NULL;
	assert_non_null(got);
	assert_int_equal(got->serial, wanted->serial);
	assert_int_equal(got->name_count, wanted->name_count);
	for (size_t i = 0; i < got->name_count; i++) {
		const struct zone_name *one = &got->names[i], *other = &wanted->names[i];

		assert_memory_equal(one->owner, other->owner, other->owner_length);
		assert_int_equal(one->rrset_count, other->rrset_count);
		for (size_t j = 0; j < one->rrset_count; j++) {
			assert_int_equal(one->rrsets[j].ttl, other->rrsets[j].ttl);
			assert_int_equal(one->rrsets[j].count, other->rrsets[j].count);
			assert_int_equal(one->rrsets[j].size, other->rrsets[j].size);
			assert_memory_equal(one->rrsets[j].rdata, other->rrsets[j].rdata, other->rrsets[j].size);
		}
	}
	zone_unref(got);
}

/* A zone of so many names, and some odd records. */
static void make_zone(unsigned names)
{
	char *text = malloc(names * 64 + 65536 * 4 + 4096);
	size_t used = (size_t)sprintf(text, HEAD "txt 60 TXT \"\\000\\255\"\n*.wild 60 MX 10 Mail.Zone.Example.\n"
	                                         "srv 60 SRV 1 2 3 target.elsewhere.test.\n");

	for (unsigned i = 0; i < names; i++)
		used += (size_t)sprintf(text + used, "h%u 3600 A 192.0.2.%u\n", i, i & 255);
	/* One that needs a message of nearly the largest size, and an RRset of more than one message. */
	used += (size_t)sprintf(text + used, "large 60 TYPE65400 \\# 65000 ");
	for (unsigned i = 0; i < 65000; i++)
		used += (size_t)sprintf(text + used, "%02x", i & 255);
	used += (size_t)sprintf(text + used, "\n");
	for (unsigned i = 0; i < 2000; i++)
		used += (size_t)sprintf(text + used, "many 60 AAAA 2001:db8::%x\n", i);
	memset(&fake, 0, sizeof(fake));
	fake.version = zone_text(APEX, text);
	fake.whole = 1 << 20;
	free(text);
}

static void drop_zone(void)
{
	if (fake.version)
		zone_unref(fake.version);
	memset(&fake, 0, sizeof(fake));
}

/* ---- tests ---- */

static void test_axfr(void **state)
{
	static const char *const algorithms[] = {NULL,          "hmac-sha1",   "hmac-sha224",
	                                         "hmac-sha256", "hmac-sha384", "hmac-sha512"};
	enum out_result end;
	struct client client;

	make_zone(20000);
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++) {
		struct transfer_out *transfer = ask(&client, NULL, algorithms[i], NULL, 0);

		assert_int_equal(read_all(&client, transfer, i ? OUT_MESSAGE_ROOM : sizeof(buffer), &end),
		                 TRANSFER_DONE);
		assert_int_equal(end, OUT_DONE);
		assert_true(tsig_session_covered(&client.tsig));
		assert_int_equal(client.in.shape, SHAPE_FULL);
		same_zone(&client, fake.version);
		/* Many records a message, their names compressed: an A record below the apex takes some 24 octets. */
		assert_in_range(client.messages, 20000 * 20 / 16384, 20000 * 28 / 16384 + 10);
		assert_in_range(client.largest, 65000, 65535);
		done(&client);
	}
	drop_zone();
}

static const struct change changes[] = {
    {"", KNOT_RRTYPE_SOA, .serial = 5},  {"a.", KNOT_RRTYPE_A, .address = 1}, {"", KNOT_RRTYPE_SOA, .serial = 6},
    {"b.", KNOT_RRTYPE_A, .address = 2}, {"", KNOT_RRTYPE_SOA, .serial = 6},  {"b.", KNOT_RRTYPE_A, .address = 2},
    {"", KNOT_RRTYPE_SOA, .serial = 7},
};

/* The fake's SOAs within the differences have other names than the zone's: the last of them is to be the zone's. */
static void take_changes(void)
{
	fake.changes = changes;
	fake.change_count = sizeof(changes) / sizeof(changes[0]);
	fake.from = 5;
	fake.differences = 200;
}

static void test_ixfr(void **state)
{
	static const struct {
		uint32_t have;
		uint64_t differences;
		enum transfer_shape shape;
		uint64_t records;
	} cases[] = {
	    {5, 200, SHAPE_DIFFERENCES, 8},   {5, 1 << 20, SHAPE_FULL, 0}, {4, 200, SHAPE_FULL, 0},
	    {7, 200, SHAPE_CURRENT, 1},       {8, 200, SHAPE_CURRENT, 1},  {0x80000000, 200, SHAPE_CURRENT, 1},
	    {0x90000000, 200, SHAPE_FULL, 0},
	};
	enum out_result end;
	struct client client;

	drop_zone();
	fake.version = zone_text(APEX, "@ 300 SOA . . 7 0 0 0 0\n@ 300 NS ns\nc 300 A 192.0.2.3\n");
	fake.whole = 1000;
	take_changes();
	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		const uint32_t have = cases[i / 2].have;
		struct transfer_out *transfer = ask(&client, &have, i & 1 ? "hmac-sha256" : NULL, NULL, 0);
		enum transfer_result result;

		fake.differences = cases[i / 2].differences;
		result = read_all(&client, transfer, sizeof(buffer), &end);
		assert_int_equal(end, OUT_DONE);
		/* Of a client that is ahead, ours says that the primary's serial is older: also the single SOA. */
		if (have > 7 && cases[i / 2].shape == SHAPE_CURRENT)
			assert_int_equal(client.in.records, 1);
		else if (cases[i / 2].shape == SHAPE_CURRENT)
			assert_int_equal(client.in.shape, SHAPE_CURRENT);
		else
			assert_int_equal(result, TRANSFER_DONE);
		if (result == TRANSFER_DONE)
			assert_int_equal(client.in.shape, cases[i / 2].shape);
		if (cases[i / 2].shape == SHAPE_FULL)
			same_zone(&client, fake.version);
		else
			assert_int_equal(client.in.records, cases[i / 2].records);
		assert_true(tsig_session_covered(&client.tsig));
		done(&client);
	}
	drop_zone();
}

/* What cannot be had, or not to its end. */
static void test_failures(void **state)
{
	enum out_result end;
	struct transfer_out *transfer;
	struct client client;
	char why[256];

	drop_zone();
	transfer = ask(&client, NULL, "hmac-sha256", NULL, 0);
	assert_int_equal(read_all(&client, transfer, sizeof(buffer), &end), TRANSFER_FAILED);
	assert_int_equal(end, OUT_DONE);
	assert_non_null(strstr(client.in.why, "SERVFAIL"));
	done(&client);

	make_zone(5000);
	fake.fail_after = 3000;
	transfer = ask(&client, NULL, NULL, NULL, 0);
	assert_int_equal(read_all(&client, transfer, OUT_MESSAGE_ROOM, &end), TRANSFER_MORE);
	assert_int_equal(end, OUT_FAILED);
	done(&client);

	/* Given up by the client in the middle. */
	fake.fail_after = 0;
	transfer = ask(&client, NULL, NULL, NULL, 0);
	assert_true(transfer_out_next(transfer, buffer, OUT_MESSAGE_ROOM, &end) > 16000);
	assert_int_equal(end, OUT_MORE);
	assert_int_equal(fake.open, 1);
	transfer_out_free(transfer);
	done(&client);
	drop_zone();

	/* A record that fits into no message beside the signature. */
	drop_zone();
	{
		char *text = malloc(2 * 65535 + 200);
		size_t used = (size_t)sprintf(text, HEAD "x 60 TYPE65400 \\# 65480 ");

		for (unsigned i = 0; i < 65480; i++)
			used += (size_t)sprintf(text + used, "00");
		sprintf(text + used, "\n");
		fake.version = zone_text(APEX, text);
		free(text);
	}
	transfer = ask(&client, NULL, NULL, NULL, 0);
	assert_int_equal(read_all(&client, transfer, sizeof(buffer), &end), TRANSFER_DONE);
	done(&client);
	transfer = ask(&client, NULL, "hmac-sha512", NULL, 0);
	while (transfer_out_next(transfer, buffer, sizeof(buffer), &end) && end == OUT_MORE)
		;
	assert_int_equal(end, OUT_FAILED);
	snprintf(why, sizeof(why), "%s", transfer_out_error(transfer));
	assert_string_equal(why, "a record does not fit into a message");
	transfer_out_free(transfer);
	done(&client);
	drop_zone();
}

/* The OPT record goes with the first message, and is counted. */
static void test_opt(void **state)
{
	static const uint8_t opt[] = {0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 8, 0, 9, 0, 4, 0, 0, 14, 16};
	struct client client;
	enum out_result end;
	struct transfer_out *transfer;
	unsigned messages = 0;
	size_t length;

	make_zone(5000);
	transfer = ask(&client, NULL, NULL, opt, sizeof(opt));
	do {
		length = transfer_out_next(transfer, buffer, OUT_MESSAGE_ROOM, &end);
		for (size_t at = 0; at < length; at += 2U + knot_wire_read_u16(buffer + at)) {
			size_t size = knot_wire_read_u16(buffer + at);

			assert_int_equal(knot_wire_get_arcount(buffer + at + 2), messages == 0);
			if (messages++ == 0)
				assert_memory_equal(buffer + at + 2 + size - sizeof(opt), opt, sizeof(opt));
		}
	} while (end == OUT_MORE);
	assert_int_equal(end, OUT_DONE);
	assert_true(messages > 3);
	transfer_out_free(transfer);
	done(&client);
	drop_zone();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_axfr),
	    cmocka_unit_test(test_ixfr),
	    cmocka_unit_test(test_failures),
	    cmocka_unit_test(test_opt),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a client may send: the whole way of a message through the fallback server, which is the engine's own code,
 * against a zone with every kind of answer in it. The first octet chooses UDP or TCP and whether the rest is a whole
 * message, or a name, type and EDNS size for one that is in order, so that the fuzzer gets to the answers soon. A reply
 * must be a DNS message.
 */
#include "fallback/respond.h"
#include "publish/image_internal.h"
#include "zone/zone.h"

#include <libknot/libknot.h>
#include <libzscanner/scanner.h>
#include <stdlib.h>
#include <string.h>
#include <urcu/urcu-memb.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char zone_text[] =
    "@ 60 SOA ns host 1 2 3 4 5\n@ NS ns\n@ NS ns.other.\n@ MX 1 mail\n@ MX 2 mail.sub\nns A 192.0.2.1\nns AAAA ::1\n"
    "mail A 192.0.2.2\na CNAME b\nb CNAME c\nc CNAME d\nd CNAME e\ne CNAME f\nf CNAME g\ng A 192.0.2.3\nl1 CNAME l2\n"
    "l2 CNAME l1\nout CNAME x.other.\n*.w A 192.0.2.4\n*.wc CNAME wc\nno.w TXT x\nx.y.z SRV 1 2 3 mail\nsub NS "
    "mail.sub\n"
    "sub NS ns\nmail.sub A 192.0.2.5\nbig TXT \"0123456789012345678901234567890123456789\"\n";

static struct image *image;

static void add(zs_scanner_t *scanner)
{
	if (zone_builder_add(scanner->process.data, scanner->r_owner, scanner->r_type, scanner->r_ttl, scanner->r_data,
	                     scanner->r_data_length))
		abort();
}

static void visible(void *context)
{
}

static void make_image(void)
{
	struct zone_builder *builder = zone_builder_new((const uint8_t *)"\1z", 0);
	struct zone_version *version;
	zs_scanner_t scanner;
	char why[512];

	urcu_memb_register_thread();
	image = image_open(NULL, 16 << 20, 53, 1232);
	if (zs_init(&scanner, "z.", KNOT_CLASS_IN, 60) || zs_set_processing(&scanner, add, NULL, builder) ||
	    zs_set_input_string(&scanner, zone_text, sizeof(zone_text) - 1) || zs_parse_all(&scanner))
		abort();
	zs_deinit(&scanner);
	version = zone_builder_finish(builder, why, sizeof(why));
	if (!version || image_add_zone(image, version->apex) < 0 ||
	    image_commit(image, version, UINT64_MAX, visible, NULL, why, sizeof(why)))
		abort();
	zone_unref(version);
}

/* A query in order: name from the data, type, EDNS size. Returns its length. */
static size_t make_query(uint8_t *query, const uint8_t *data, size_t size)
{
	static const uint8_t header[12] = {0, 1, 0, 0, 0, 1};
	size_t at = sizeof(header);

	memcpy(query, header, at);
	if (size < 4)
		return at;
	memcpy(query + at, data + 4, size - 4 < 300 ? size - 4 : 300);
	at += size - 4 < 300 ? size - 4 : 300;
	memcpy(query + at, "\1z\0", 3);
	at += 3;
	query[at++] = data[0] & 1;
	query[at++] = data[1];
	query[at++] = 0;
	query[at++] = 1;
	if (data[0] & 2) {
		query[11] = 1;
		memset(query + at, 0, 11);
		query[at + 2] = KNOT_RRTYPE_OPT;
		query[at + 3] = data[2];
		query[at + 4] = data[3];
		at += 11;
	}
	return at;
}

static void check_reply(const uint8_t *reply, size_t length)
{
	knot_pkt_t *pkt = knot_pkt_new((uint8_t *)reply, length, NULL);

	if (!pkt || knot_pkt_parse(pkt, 0) != KNOT_EOK || !knot_wire_get_qr(reply))
		abort();
	knot_pkt_free(pkt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct pg_work work;
	static uint8_t reply[65535];
	const struct respond_options options = {.version = "fuzz"};
	const struct sockaddr_storage from = {.ss_family = AF_INET};
	uint8_t made[512], *query;
	size_t length;

	if (!image)
		make_image();
	if (!size || size > 4096)
		return 0;
	length = data[0] & 2 ? make_query(made, data + 1, size - 1) : size - 1;
	/* A copy of exactly this size, for AddressSanitizer. */
	query = malloc(length ? length : 1);
	memcpy(query, data[0] & 2 ? made : data + 1, length);
	work.now = 1;
	urcu_memb_read_lock();
	length =
	    respond(image_view_get(image), &work, &options, data[0] & 1, &from, query, length, reply, sizeof(reply));
	urcu_memb_read_unlock();
	free(query);
	if (length)
		check_reply(reply, length);
	return 0;
}

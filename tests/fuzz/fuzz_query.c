/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a client may send: the whole way of a message through the fallback server, which is the engine's own code,
 * against a zone with every kind of answer in it. The first octet chooses UDP or TCP and whether the rest is a whole
 * message, or a name, type and EDNS record for one that is in order, so that the fuzzer gets to the answers soon. The
 * zone is there four times: unsigned, and with each kind of chain. A reply must be a DNS message.
 */
#include "../unit/signed_zone.h"
#include "fallback/respond.h"
#include "publish/image_internal.h"

#include <urcu/urcu-memb.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char zone_text[] =
    "@ 60 SOA ns host 1 2 3 4 5\n@ NS ns\n@ NS ns.other.\n@ MX 1 mail\n@ MX 2 mail.sub\nns A 192.0.2.1\nns AAAA ::1\n"
    "mail A 192.0.2.2\na CNAME b\nb CNAME c\nc CNAME d\nd CNAME e\ne CNAME f\nf CNAME g\ng A 192.0.2.3\nl1 CNAME l2\n"
    "l2 CNAME l1\nout CNAME x.other.\n*.w A 192.0.2.4\n*.wc CNAME wc\nno.w TXT x\nx.y.z SRV 1 2 3 mail\nsub NS "
    "mail.sub\n"
    "sub NS ns\nmail.sub A 192.0.2.5\ndn DNAME a\nd2.x2 DNAME *.w\nins.deep NS ns.other.\np\\000 A 192.0.2.6\n"
    "ppppppppp0 A 192.0.2.7\nppppppppp1 A 192.0.2.8\nbig TXT \"0123456789012345678901234567890123456789\"\n";

static struct image *image;

static void visible(void *context)
{
}

static const struct chain {
	const char *origin;
	struct signing how;
} chains[] = {
    {"z.", {}},
    {"n.", {}},
    {"h.", {.nsec3 = true, .iterations = 2, .salt_length = 3, .salt = {1, 2, 3}}},
    {"o.", {.nsec3 = true, .opt_out = true}},
};

static bool no_signing(const uint8_t *owner, uint16_t type, uint16_t covered)
{
	return type == KNOT_RRTYPE_RRSIG || type == KNOT_RRTYPE_NSEC;
}

static void make_image(void)
{
	static const struct pg_policy policy = {.secret = {{1, 2}}, .secrets = 1};
	char why[512];

	urcu_memb_register_thread();
	image = image_open(NULL, 16 << 20, 53, 1232);
	for (size_t i = 0; i < sizeof(chains) / sizeof(*chains); i++) {
		struct signing how = chains[i].how;
		struct zone_version *version;

		how.leave_out = i ? NULL : no_signing;
		version = signed_text(chains[i].origin, zone_text, &how);
		if (image_add_zone(image, version->apex) < 0 ||
		    image_commit(image, version, UINT64_MAX, visible, NULL, why, sizeof(why)))
			abort();
		zone_unref(version);
	}
	image_set_policy(image, &policy);
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
	query[at + 1] = chains[data[0] >> 6].origin[0];
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
		query[at + 7] = data[0] & 4 ? 0x80 : 0; /* DO */
		at += 11;
		if (data[0] & 8) { /* a cookie, of the client and perhaps of a server */
			size_t cookie = data[0] & 16 ? 24 : 8;

			query[at - 1] = 4 + cookie;
			memcpy(query + at, "\0\12\0", 3);
			query[at + 3] = cookie;
			memset(query + at + 4, 1, cookie);
			at += 4 + cookie;
		}
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

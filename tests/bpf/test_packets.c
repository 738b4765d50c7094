/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Packets that the program leaves to the host: for each the reason counted, and the packet out, bit for bit what came
 * in. */
#include "check.h"
#include "zones.h"

enum base { AT_NONE, AT_ETHERNET, AT_IP, AT_UDP, AT_DNS, AT_QUESTION };

/* A fixture: an ordinary query, and what is wrong with it: octets put over it at places counted from a header. */
struct row {
	const char *what;
	unsigned exit;
	struct frame frame;
	struct query query; /* without a name: www.example.test. A */
	struct {
		enum base base;
		size_t offset, size;
		const char *octets;
	} patch[2];
	int cut; /* octets taken off the end */
};

#define NAME "\3www\7example\4test"
#define OPT(octets) .opt = (octets), .opt_length = sizeof(octets) - 1
#define RAW(octets) .raw = (octets), .raw_length = sizeof(octets) - 1
#define ROW(text, reason, ...)                                                                                         \
	{                                                                                                              \
		.what = text, .exit = PG_EXIT_##reason, ##__VA_ARGS__                                                  \
	}
#define PATCH(at, where, with) .patch[0] = {AT_##at, where, sizeof(with) - 1, with}
#define AND(at, where, with) .patch[1] = {AT_##at, where, sizeof(with) - 1, with}
#define V6 .frame.v6 = true
#define FOUR "\xfd\xe9\0\0"

static const struct row rows[] = {
    /* Ethernet */
    ROW("ARP", NOT_IP, PATCH(ETHERNET, 12, "\x08\x06")),
    ROW("PPPoE", NOT_IP, PATCH(ETHERNET, 12, "\x88\x64")),
    ROW("length in place of a type", NOT_IP, PATCH(ETHERNET, 12, "\x00\x2e")),
    ROW("broadcast", NOT_OURS, PATCH(ETHERNET, 0, "\xff\xff\xff\xff\xff\xff")),
    ROW("IPv4 multicast", NOT_OURS, PATCH(ETHERNET, 0, "\x01\x00\x5e\x00\x00\x01")),
    ROW("IPv6 multicast", NOT_OURS, V6, PATCH(ETHERNET, 0, "\x33\x33\x00\x00\x00\x01")),
    ROW("three tags", NOT_IP, .frame.tags = 3),
    ROW("three tags, IPv6", NOT_IP, V6, .frame.tags = 3),
    ROW("VLAN of something else", NOT_IP, .frame.tags = 1, PATCH(ETHERNET, 16, "\x08\x06")),
    ROW("nothing behind Ethernet", BAD_PACKET, .cut = 20 + 8 + 34),
    ROW("nothing behind a tag", BAD_PACKET, .frame.tags = 1, .cut = 20 + 8 + 34),
    ROW("half a tag", BAD_PACKET, .frame.tags = 1, .cut = 20 + 8 + 34 + 1),

    /* IPv4 */
    ROW("TCP", NOT_UDP, PATCH(IP, 9, "\x06")),
    ROW("ICMP", NOT_UDP, PATCH(IP, 9, "\x01")),
    ROW("UDP-Lite", NOT_UDP, PATCH(IP, 9, "\x88")),
    ROW("another address", NOT_OURS, PATCH(IP, 16, "\xc0\x00\x02\x36")),
    ROW("broadcast address", NOT_OURS, PATCH(IP, 16, "\xff\xff\xff\xff")),
    ROW("another address, another port", NOT_OURS, PATCH(IP, 16, "\xc0\x00\x02\x36"), AND(UDP, 2, "\x14\xe9")),
    ROW("IP version 5", BAD_PACKET, PATCH(IP, 0, "\x55")),
    ROW("IP version 6 under IPv4's type", BAD_PACKET, PATCH(IP, 0, "\x65")),
    ROW("header length 0", BAD_PACKET, PATCH(IP, 0, "\x40")),
    ROW("header length 16", BAD_PACKET, PATCH(IP, 0, "\x44")),
    ROW("one word of options", IP_OPTIONS, .frame.option_words = 1),
    ROW("ten words of options", IP_OPTIONS, .frame.option_words = 10),
    ROW("header length 60 of a short packet", IP_OPTIONS, PATCH(IP, 0, "\x4f"), .cut = 30),
    ROW("first fragment", FRAGMENT, PATCH(IP, 6, "\x20\x00")),
    ROW("later fragment", FRAGMENT, PATCH(IP, 6, "\x00\x01")),
    ROW("last fragment, with DF", FRAGMENT, PATCH(IP, 6, "\x5f\xff")),
    ROW("total length 0", BAD_PACKET, PATCH(IP, 2, "\x00\x00")),
    ROW("total length of the header", BAD_PACKET, PATCH(IP, 2, "\x00\x14")),
    ROW("total length short of the UDP header", BAD_PACKET, PATCH(IP, 2, "\x00\x1b")),
    ROW("total length of an empty datagram", BAD_PACKET, PATCH(IP, 2, "\x00\x1c")),
    ROW("total length one short", BAD_PACKET, PATCH(IP, 2, "\x00\x3d")),
    ROW("total length one long", BAD_PACKET, PATCH(IP, 2, "\x00\x3f")),
    ROW("total length 65535", BAD_PACKET, PATCH(IP, 2, "\xff\xff")),
    ROW("source 0.0.0.0", BAD_SOURCE, PATCH(IP, 12, "\0\0\0\0")),
    ROW("source 0.1.2.3", BAD_SOURCE, PATCH(IP, 12, "\0\1\2\3")),
    ROW("source 127.0.0.1", BAD_SOURCE, PATCH(IP, 12, "\x7f\0\0\1")),
    ROW("source 224.0.0.251", BAD_SOURCE, PATCH(IP, 12, "\xe0\0\0\xfb")),
    ROW("source 239.255.255.255", BAD_SOURCE, PATCH(IP, 12, "\xef\xff\xff\xff")),
    ROW("source 240.0.0.1", BAD_SOURCE, PATCH(IP, 12, "\xf0\0\0\1")),
    ROW("source 255.255.255.255", BAD_SOURCE, PATCH(IP, 12, "\xff\xff\xff\xff")),

    /* IPv6 */
    ROW("TCP, IPv6", NOT_UDP, V6, PATCH(IP, 6, "\x06")),
    ROW("ICMPv6", NOT_UDP, V6, PATCH(IP, 6, "\x3a")),
    ROW("no next header", NOT_UDP, V6, PATCH(IP, 6, "\x3b")),
    ROW("ICMPv6 to another address", NOT_UDP, V6, PATCH(IP, 6, "\x3a"), AND(IP, 39, "\x54")),
    ROW("another address, IPv6", NOT_OURS, V6, PATCH(IP, 39, "\x54")),
    ROW("IPv4-mapped form of a service address", NOT_OURS, V6,
        PATCH(IP, 24, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\x35")),
    ROW("IP version 4 under IPv6's type", BAD_PACKET, V6, PATCH(IP, 0, "\x45")),
    ROW("hop-by-hop options", IP_OPTIONS, V6, .frame.extension = EXTENSION_HOP_BY_HOP),
    ROW("routing header", IP_OPTIONS, V6, .frame.extension = EXTENSION_ROUTING),
    ROW("destination options", IP_OPTIONS, V6, .frame.extension = EXTENSION_DESTINATION),
    ROW("authentication header", IP_OPTIONS, V6, .frame.extension = EXTENSION_AH),
    ROW("fragment header", FRAGMENT, V6, .frame.extension = EXTENSION_FRAGMENT),
    ROW("payload length 0", BAD_PACKET, V6, PATCH(IP, 4, "\0\0")),
    ROW("payload length one short", BAD_PACKET, V6, PATCH(IP, 4, "\0\x29")),
    ROW("payload length one long", BAD_PACKET, V6, PATCH(IP, 4, "\0\x2b")),
    ROW("payload length 65535", BAD_PACKET, V6, PATCH(IP, 4, "\xff\xff")),
    ROW("source ::", BAD_SOURCE, V6, PATCH(IP, 8, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")),
    ROW("source ::1", BAD_SOURCE, V6, PATCH(IP, 8, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1")),
    ROW("source ff02::1", BAD_SOURCE, V6, PATCH(IP, 8, "\xff\2\0\0\0\0\0\0\0\0\0\0\0\0\0\1")),

    /* UDP */
    ROW("another port", OTHER_PORT, PATCH(UDP, 2, "\x14\xe9")),
    ROW("another port, IPv6", OTHER_PORT, V6, PATCH(UDP, 2, "\x14\xe9")),
    ROW("port 53 in the other byte order", OTHER_PORT, PATCH(UDP, 2, "\x35\x00")),
    ROW("source port 0", BAD_SOURCE, PATCH(UDP, 0, "\0\0")),
    ROW("source port 0, IPv6", BAD_SOURCE, V6, PATCH(UDP, 0, "\0\0")),
    ROW("UDP length 0", BAD_PACKET, PATCH(UDP, 4, "\0\0")),
    ROW("UDP length 0, IPv6", BAD_PACKET, V6, PATCH(UDP, 4, "\0\0")),
    ROW("UDP length 7", BAD_PACKET, PATCH(UDP, 4, "\0\7")),
    ROW("UDP and total length 7 and 27", BAD_PACKET, PATCH(UDP, 4, "\0\7"), AND(IP, 2, "\0\x1b")),
    ROW("UDP length one short", BAD_PACKET, PATCH(UDP, 4, "\0\x29")),
    ROW("UDP length one long", BAD_PACKET, PATCH(UDP, 4, "\0\x2b")),
    ROW("UDP length one long, over padding", BAD_PACKET, .frame.padding = 9, PATCH(UDP, 4, "\0\x2b")),
    ROW("UDP and total length one long", BAD_PACKET, PATCH(UDP, 4, "\0\x2b"), AND(IP, 2, "\0\x3f")),
    ROW("UDP and payload length one long", BAD_PACKET, V6, PATCH(UDP, 4, "\0\x2b"), AND(IP, 4, "\0\x2b")),
    ROW("UDP and total length 65535", BAD_PACKET, PATCH(UDP, 4, "\xff\xeb"), AND(IP, 2, "\xff\xff")),
    ROW("empty datagram", MALFORMED, PATCH(UDP, 4, "\0\x08"), AND(IP, 2, "\0\x1c")),
    ROW("empty datagram, IPv6", MALFORMED, V6, PATCH(UDP, 4, "\0\x08"), AND(IP, 4, "\0\x08")),
    ROW("eleven octets", MALFORMED, PATCH(UDP, 4, "\0\x13"), AND(IP, 2, "\0\x27")),
    ROW("a header alone", MALFORMED, PATCH(UDP, 4, "\0\x14"), AND(IP, 2, "\0\x28")),

    /* DNS header */
    ROW("a response", RESPONSE, .query.flags = 0x8000),
    ROW("a response, IPv6", RESPONSE, V6, .query.flags = 0x8583),
    ROW("NOTIFY", OPCODE, .query.flags = 0x2400),
    ROW("UPDATE", OPCODE, .query.flags = 0x2800),
    ROW("TC in a query", MALFORMED, .query.flags = 0x0200),
    ROW("QDCOUNT 0", SECTIONS, PATCH(DNS, 4, "\0\0")),
    ROW("QDCOUNT 2", SECTIONS, PATCH(DNS, 4, "\0\2")),
    ROW("QDCOUNT 256", SECTIONS, PATCH(DNS, 4, "\1\0")),
    ROW("QDCOUNT 65535", SECTIONS, PATCH(DNS, 4, "\xff\xff")),
    ROW("ANCOUNT 1", SECTIONS, PATCH(DNS, 6, "\0\1")),
    ROW("ANCOUNT 256", SECTIONS, PATCH(DNS, 6, "\1\0")),
    ROW("NSCOUNT 1", SECTIONS, PATCH(DNS, 8, "\0\1")),
    ROW("NSCOUNT 65535", SECTIONS, PATCH(DNS, 8, "\xff\xff")),
    ROW("ARCOUNT 2", SECTIONS, PATCH(DNS, 10, "\0\2")),
    ROW("ARCOUNT 256", SECTIONS, PATCH(DNS, 10, "\1\0")),
    ROW("ARCOUNT 257", SECTIONS, PATCH(DNS, 10, "\1\1")),
    ROW("ARCOUNT 1 and nothing there", MALFORMED, PATCH(DNS, 10, "\0\1")),
    ROW("ARCOUNT 1 and padding there", MALFORMED, .frame.padding = 11, PATCH(DNS, 10, "\0\1")),

    /* Question */
    ROW("compression pointer", MALFORMED, .query = {RAW("\3www\xc0\x0c")}),
    ROW("compression pointer first", MALFORMED, .query = {RAW("\xc0\x0c")}),
    ROW("compression pointer to the question's end", MALFORMED, .query = {RAW("\3www\xc0\x12")}),
    ROW("label of 64", MALFORMED, .query = {RAW("\x40" L63 "x\0")}),
    ROW("label type 10", MALFORMED, .query = {RAW("\x80" L63 L63 "\0")}),
    ROW("name without an end", MALFORMED, .query = {RAW("\3www\7example")}),
    ROW("label beyond the message", MALFORMED,
        .query = {RAW("\3www\x3f"
                      "example")}),
    ROW("label beyond the message, over padding", MALFORMED, .frame.padding = 100,
        .query = {RAW("\3www\x3f"
                      "exa")}),
    ROW("name of 256", MALFORMED, .query = {RAW("\x3f" L63 "\x3f" L63 "\x3f" L63 "\x3e" L48 "abcdefghijklmn\0")}),
    ROW("name of 319", MALFORMED,
        .query = {RAW("\x3f" L63 "\x3f" L63 "\x3f" L63 "\x3f" L63 "\x3d" L48 "abcdefghijklm\0")}),
    ROW("class CHAOS", CLASS, .query = {.qclass = 3}),
    ROW("class NONE", CLASS, .query = {.qclass = 254}),
    ROW("class ANY", CLASS, .query = {.qclass = 255}),
    ROW("class 256", CLASS, .query = {.qclass = 256}),
    ROW("AXFR", META_TYPE, .query = {.type = 252}),
    ROW("IXFR", META_TYPE, .query = {.type = 251}),
    ROW("AXFR outside the zones", META_TYPE, .query = {.name = "elsewhere.test.", .type = 252}),
    ROW("no class", MALFORMED, PATCH(UDP, 4, "\0\x28"), AND(IP, 2, "\0\x3c"), .cut = 2),
    ROW("garbage behind the question", MALFORMED, .query = {OPT("x")}, PATCH(DNS, 10, "\0\0")),
    ROW("OPT not counted", MALFORMED, .query = {OPT("\0\0\x29\x04\xd0\0\0\0\0\0\0")}, PATCH(DNS, 10, "\0\0")),

    /* EDNS */
    ROW("OPT cut short", MALFORMED, .query = {OPT("\0\0\x29\x04\xd0\0\0\0\0\0")}),
    ROW("OPT not at the root", SECTIONS, .query = {OPT("\1x\0\0\x29\x04\xd0\0\0\0\0\0\0")}),
    ROW("OPT at a pointer to the root", SECTIONS, .query = {OPT("\xc0\x1d\0\x29\x04\xd0\0\0\0\0\0\0")}),
    ROW("TSIG in OPT's place", SECTIONS, .query = {OPT("\0\0\xfa\0\xff\0\0\0\0\0\0")}),
    ROW("A in OPT's place", SECTIONS, .query = {OPT("\0\0\1\0\1\0\0\0\0\0\4\1\2\3\4")}),
    ROW("octets behind OPT", EDNS, .query = {OPT("\0\0\x29\x04\xd0\0\0\0\0\0\0x")}),
    ROW("OPT longer than the message", EDNS, .query = {OPT("\0\0\x29\x04\xd0\0\0\0\0\0\1")}),
    ROW("OPT of 65535", EDNS, .query = {OPT("\0\0\x29\x04\xd0\0\0\0\0\xff\xff")}),
    ROW("OPT longer, over padding", EDNS, .frame.padding = 4, .query = {OPT("\0\0\x29\x04\xd0\0\0\0\0\0\4")}),
    ROW("option cut in its head", EDNS, .query = {OPT("\0\0\x29\x04\xd0\0\0\0\0\0\3\xfd\xe9\0")}),
    ROW("option cut in its data", EDNS, .query = {OPT("\0\0\x29\x04\xd0\0\0\0\0\0\5\xfd\xe9\0\2x")}),
    ROW("option of 65535", EDNS, .query = {OPT("\0\0\x29\x04\xd0\0\0\0\0\0\4\xfd\xe9\xff\xff")}),
    ROW("second option cut", EDNS, .query = {OPT("\0\0\x29\x04\xd0\0\0\0\0\0\x08" FOUR "\xfd\xe9\0\1")}),
    ROW("cookie of 7", EDNS,
        .query = {OPT("\0\0\x29\x04\xd0\0\0\0\0\0\x0b\0\x0a\0\7"
                      "1234567")}),
    ROW("cookie of 15", EDNS,
        .query = {OPT("\0\0\x29\x04\xd0\0\0\0\0\0\x13\0\x0a\0\x0f"
                      "123456789012345")}),
    ROW("cookie of 41", EDNS,
        .query = {OPT("\0\0\x29\x04\xd0\0\0\0\0\0\x2d\0\x0a\0\x29"
                      "12345678901234567890123456789012345678901")}),
    ROW("empty cookie", EDNS, .query = {OPT("\0\0\x29\x04\xd0\0\0\0\0\0\4\0\x0a\0\0")}),
    ROW("EXPIRE of a SOA", EDNS, .query = {.type = 6, OPT("\0\0\x29\x04\xd0\0\0\0\0\0\4\0\x09\0\0")}),
    ROW("17 options", EDNS,
        .query = {OPT("\0\0\x29\x04\xd0\0\0\0\0\0\x44" FOUR FOUR FOUR FOUR FOUR FOUR FOUR FOUR FOUR FOUR FOUR FOUR FOUR
                          FOUR FOUR FOUR FOUR)}),

    /* Zones */
    ROW("expired zone", NO_ZONE, .query = {.name = "www.expired.test."}),
    ROW("expired zone, no such name", NO_ZONE, .query = {.name = "nothing.expired.test."}),
    ROW("zone without data", NO_ZONE, .query = {.name = "www.loading.test."}),
    ROW("the 65th type of a name", LARGE, .query = {.name = "types.exact.test.", .type = 65364}),
    ROW("zone without data, apex", NO_ZONE, V6, .query = {.name = "loading.test.", .type = 6}),
};

static void patch(struct packet *p, enum base base, size_t offset, const char *octets, size_t size)
{
	const size_t bases[] = {0, 0, p->ip, p->udp, p->dns, p->dns + 12};

	memcpy(p->octets + bases[base] + offset, octets, size);
}

static void passes(void **state)
{
	static struct packet in;
	const struct row *row = *state;
	struct query query = row->query;
	uint8_t dns[2048];

	if (!query.name)
		query.name = "www.example.test.";
	if (!query.type)
		query.type = 1;
	build_packet(&in, &row->frame, dns, build_query(dns, &query));
	for (size_t i = 0; i < 2; i++)
		if (row->patch[i].base)
			patch(&in, row->patch[i].base, row->patch[i].offset, row->patch[i].octets, row->patch[i].size);
	in.length -= row->cut;
	must_pass(row->what, &in, row->exit);
}

static void every_opcode(void **state)
{
	static struct packet in;
	uint8_t dns[600];

	for (unsigned opcode = 1; opcode < 16; opcode++) {
		struct query query = ASK("www.example.test.", 1, .flags = opcode << 11);
		char what[32];

		snprintf(what, sizeof(what), "opcode %u", opcode);
		build_packet(&in, &(struct frame){.v6 = opcode & 1}, dns, build_query(dns, &query));
		must_pass(what, &in, PG_EXIT_OPCODE);
	}
}

static const struct frame kinds[] = {{0}, {.v6 = true}, {.tags = 1}, {.v6 = true, .tags = 2}};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static const struct query good = ASK("www.example.test.", 1, OPT("\0\0\x29\x04\xd0\0\0\0\0\0\7\xfd\xe9\0\3\1\2\3"));

/* A good query's frame cut at every octet: never anything but the frame as it came. */
static void cut_frames(void **state)
{
	static struct packet in;
	uint8_t dns[600];
	size_t length = build_query(dns, &good);

	for (size_t kind = 0; kind < KINDS; kind++) {
		build_packet(&in, &kinds[kind], dns, length);
		assert_true(must_agree("whole", &in));
		/* Linux takes no frame without an Ethernet header. */
		for (size_t whole = in.length, cut = 14; cut < whole; cut++) {
			in.length = cut;
			must_pass("cut", &in, PG_EXIT_BAD_PACKET);
			build_packet(&in, &kinds[kind], dns, length);
		}
	}
}

/* A good query's message cut at every octet, the headers saying so. Padding must not be taken for the rest of it. */
static void cut_messages(void **state)
{
	static struct packet in;
	uint8_t dns[600];
	size_t length = build_query(dns, &good);

	for (size_t kind = 0; kind < KINDS; kind++)
		for (size_t cut = 0; cut < length; cut++)
			for (int padding = 0; padding < 3; padding++) {
				struct frame frame = kinds[kind];

				frame.padding = padding ? length - cut : 0;
				frame.padding_octet = padding == 2 ? 'x' : 0;
				build_packet(&in, &frame, dns, cut);
				if (padding)
					memcpy(in.octets + in.dns, dns, padding == 1 ? length : cut);
				assert_false(must_agree("cut", &in));
			}
}

/* No service address: nothing is answered. */
static void no_addresses(void **state)
{
	static struct packet in;
	struct sockaddr_storage address = {.ss_family = AF_INET};
	uint8_t dns[600];
	size_t length = build_query(dns, &good);

	memset(&((struct sockaddr_in *)&address)->sin_addr, 1, 4);
	assert_int_equal(fastpath_set_addresses(fastpath, &address, 1), 0);
	for (size_t kind = 0; kind < KINDS; kind++) {
		build_packet(&in, &kinds[kind], dns, length);
		must_pass("no address", &in, PG_EXIT_NOT_OURS);
	}
}

int main(void)
{
	enum { ROWS = sizeof(rows) / sizeof(rows[0]) };
	struct CMUnitTest tests[ROWS + 4] = {
	    [ROWS] = cmocka_unit_test(every_opcode),
	    cmocka_unit_test(cut_frames),
	    cmocka_unit_test(cut_messages),
	    cmocka_unit_test(no_addresses),
	};

	for (size_t i = 0; i < ROWS; i++)
		tests[i] =
		    (struct CMUnitTest){.name = rows[i].what, .test_func = passes, .initial_state = (void *)&rows[i]};
	world_begin("test_packets");
	return cmocka_run_group_tests(tests, world_open, world_close);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Good queries, mutated at random, from a fixed seed: each is passed on as it came or answered with the engine's bytes,
 * as an independent dissection of the packet says. PG_MUTATIONS and PG_SEED in the environment choose others.
 */
#include "check.h"
#include "../unit/draw.h"
#include "zones.h"

static const char *const names[] = {
    "www.example.test.",
    "example.test.",
    "nothing.example.test.",
    "b.c.example.test.",
    "q.w.example.test.",
    "q.wc.example.test.",
    "alias2.example.test.",
    "www.sub.example.test.",
    "loop1.example.test.",
    LONG_NAME,
    A126 "t.",
    "many.exact.test.",
    "crowd.exact.test.",
    "e513.exact.test.",
    "n30.exact.test.",
    "www.elsewhere.test.",
    "www.expired.test.",
    ".",
    "ds.example.test.",
    "deep.example.test.",
    "nothing.nsec.test.",
    "q.w.nsec.test.",
    "a.b.d.nsec.test.",
    "n99.nsec.test.",
    "nothing.nsec3.test.",
    "p.q.wc.nsec3.test.",
    "x.deep.optout.test.",
    "www.sub.optout.test.",
    "gone.slow.test.",
};
static const uint16_t types[] = {1, 1, 1, 28, 16, 2, 6, 5, 15, 43, 255, 252, 0, 65400, 46, 47, 39};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static void make_query(struct packet *p)
{
	static const char opt[] =
	    "\0\0\x29\x04\xd0\0\0\x80\0\0\x17\0\x0a\0\x08\1\2\3\4\5\6\7\x08\0\3\0\0\xfd\xe9\0\3\1\2\3";
	struct query query = ASK(names[draw(COUNT(names))], types[draw(COUNT(types))]);
	struct frame frame = {
	    .v6 = draw(2), .tags = draw(3), .padding = draw(3) ? 0 : draw(40), .padding_octet = draw(256)};
	uint8_t dns[2048];

	if (draw(3)) {
		query.opt = opt;
		query.opt_length = sizeof(opt) - 1;
	}
	build_packet(p, &frame, dns, build_query(dns, &query));
}

/* Another length of the message, in both headers, so that what follows is reached. */
static void change_length(struct packet *p)
{
	uint8_t *ip = p->octets + p->ip, *udp = p->octets + p->udp;
	int length = get16(udp + 4) + (int)draw(21) - 10;

	put16(udp + 4, length);
	if (ip[0] >> 4 == 4)
		put16(ip + 2, 20 + length);
	else
		put16(ip + 4, length);
	if (draw(2) && length > 8 && length < 2000)
		p->length = p->udp + length;
}

static void mutate(struct packet *p)
{
	static const uint8_t telling[] = {0, 1, 0x0c, 0x29, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xff};
	/* Most mutations fall on the message: the headers are few. */
	size_t from = draw(4) ? p->dns : 0, at = from + draw(p->length - from);

	switch (draw(7)) {
	case 0:
		p->octets[at] ^= 1 << draw(8);
		break;
	case 1:
		p->octets[at] = draw(256);
		break;
	case 2:
		p->octets[at] = telling[draw(sizeof(telling))];
		break;
	case 3:
		p->length = at < 14 ? 14 : at;
		break;
	case 4:
		change_length(p);
		break;
	case 5: /* an octet more */
		memmove(p->octets + at + 1, p->octets + at, p->length - at);
		p->length++;
		break;
	case 6: /* an octet less */
		memmove(p->octets + at, p->octets + at + 1, p->length - at - 1);
		p->length--;
		break;
	}
	if (p->length < 14)
		p->length = 14;
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

static void mutations(void **state)
{
	static struct packet in;
	uint64_t count = setting("PG_MUTATIONS", 200000), seed = setting("PG_SEED", 2), answered = 0;

	for (uint64_t i = 0; i < count; i++) {
		char what[64];

		snprintf(what, sizeof(what), "PG_SEED=%llu, packet %llu", (unsigned long long)seed,
		         (unsigned long long)i);
		random_state = seed << 32 ^ i;
		make_query(&in);
		for (uint64_t more = 1 + draw(3); more && in.length > in.dns; more--)
			mutate(&in);
		answered += must_agree(what, &in);
	}
	/* Else the mutations are too coarse to prove anything. */
	assert_in_range(answered, count / 10, count - count / 10);
	printf("%llu of %llu mutated queries answered\n", (unsigned long long)answered, (unsigned long long)count);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(mutations)};

	world_begin("test_mutations");
	return cmocka_run_group_tests(tests, world_open, world_close);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Running one fixture through the program, and all that must hold of what comes out. */
#ifndef PEREGRINE_TESTS_CHECK_H
#define PEREGRINE_TESTS_CHECK_H

#include "world.h"

static inline void show(const char *what, const struct packet *p)
{
	fprintf(stderr, "%s, %zu octets:", what, p->length);
	for (size_t i = 0; i < p->length && i < 1600; i++)
		fprintf(stderr, "%s%02x", i % 32 ? i % 4 ? "" : " " : "\n  ", p->octets[i]);
	fprintf(stderr, "\n");
}

static inline void same_packet(const char *what, const struct packet *in, const struct packet *expected,
                               const struct packet *out)
{
	size_t at = 0;

	if (expected->length == out->length && memcmp(expected->octets, out->octets, out->length) == 0)
		return;
	while (at < expected->length && at < out->length && expected->octets[at] == out->octets[at])
		at++;
	show("in", in);
	show("expected", expected);
	show("out", out);
	fail_msg("%s: packet out differs from octet %zu on", what, at);
}

/* Each sum over a packet and its checksum gives all ones: true of any right checksum, however it was made. */
static inline void sums_are_right(const char *what, const struct packet *out)
{
	const uint8_t *ip = out->octets + out->ip, *udp = out->octets + out->udp;
	uint16_t length = get16(udp + 4);

	if (ip[0] >> 4 == 4 && sum_octets(0, ip, 20) != 0xffff)
		fail_msg("%s: IPv4 header checksum", what);
	if (!get16(udp + 6) || sum_octets(sum_pseudo(ip, length), udp, length) != 0xffff)
		fail_msg("%s: UDP checksum", what);
}

/* The exit that was counted last. */
static inline const char *counted_since(const struct pg_counters *before)
{
	struct pg_counters after;

	assert_int_equal(fastpath_counters(fastpath, &after), 0);
	for (unsigned i = 0; i < PG_EXIT_ROOM; i++)
		if (after.exits[i] != before->exits[i])
			return exit_name(i);
	return "nothing counted";
}

/* Exactly one exit is counted, the one given; for an answer, what is counted of answers. */
static inline void counted_once(const char *what, const struct pg_counters *before, unsigned exit, size_t query,
                                const struct packet *out)
{
	struct pg_counters after;
	const uint8_t *dns = out->octets + out->dns;
	bool answered = exit == PG_EXIT_ANSWERED;
	uint64_t rcodes = 0;

	assert_int_equal(fastpath_counters(fastpath, &after), 0);
	for (unsigned i = 0; i < PG_EXIT_ROOM; i++) {
		if (after.exits[i] - before->exits[i] != (i == exit))
			fail_msg("%s: exit %s counted %llu times, expected once %s", what, exit_name(i),
			         after.exits[i] - before->exits[i], exit_name(exit));
	}
	for (unsigned i = 0; i < PG_RCODES; i++)
		rcodes += after.rcodes[i] - before->rcodes[i];
	assert_int_equal(rcodes, answered);
	assert_int_equal(after.query_octets - before->query_octets, answered ? query : 0);
	assert_int_equal(after.reply_octets - before->reply_octets, answered ? out->length - out->dns : 0);
	assert_int_equal(after.truncated - before->truncated, answered && dns[2] & 2);
	assert_int_equal(after.ipv6 - before->ipv6, answered && out->octets[out->ip] >> 4 == 6);
}

/* The packet must be passed on for this reason, as it came. */
static inline void must_pass(const char *what, const struct packet *in, unsigned exit)
{
	static struct packet out;
	struct pg_counters before;
	unsigned verdict;

	assert_int_equal(fastpath_counters(fastpath, &before), 0);
	verdict = run_program(in, &out);
	if (verdict != XDP_PASS)
		fail_msg("%s: verdict %u instead of XDP_PASS, %s", what, verdict, exit_name(exit));
	same_packet(what, in, in, &out);
	counted_once(what, &before, exit, 0, &out);
}

/* The packet must be answered, with the DNS message given. Leaves the reply in *out. */
static inline void must_answer(const char *what, const struct packet *in, size_t query, const uint8_t *dns,
                               size_t length, struct packet *out)
{
	static struct packet expected;
	struct pg_counters before;
	unsigned verdict;

	assert_int_equal(fastpath_counters(fastpath, &before), 0);
	verdict = run_program(in, out);
	if (verdict != XDP_TX)
		fail_msg("%s: verdict %u instead of XDP_TX: %s", what, verdict, counted_since(&before));
	build_reply(&expected, in, dns, length);
	same_packet(what, in, &expected, out);
	out->ip = expected.ip;
	out->udp = expected.udp;
	out->dns = expected.dns;
	sums_are_right(what, out);
	counted_once(what, &before, PG_EXIT_ANSWERED, query, out);
}

/*
 * Any packet whatever: the program does with it what an independent dissection and the host's engine say. Returns
 * whether it was answered. Counters are not looked at: many packets go through here.
 */
static struct packet agreed; /* the last packet out of must_agree */

static inline bool must_agree(const char *what, struct packet *in)
{
	static struct packet expected;
	static uint8_t reply[65535];
	size_t length = 0, reply_length = 0;
	bool due = classify(in, &length) && length <= 3400;
	unsigned verdict;

	if (due) {
		set_client(in);
		due = run_engine(in->octets + in->dns, length, reply, &reply_length) == PG_EXIT_ANSWERED;
	}
	verdict = run_program(in, &agreed);

	if (verdict != (due ? XDP_TX : XDP_PASS)) {
		show("in", in);
		fail_msg("%s: verdict %u, expected %u", what, verdict, due ? XDP_TX : XDP_PASS);
	}
	if (!due) {
		same_packet(what, in, in, &agreed);
		return false;
	}
	build_reply(&expected, in, reply, reply_length);
	same_packet(what, in, &expected, &agreed);
	sums_are_right(what, &expected);
	return true;
}

#endif

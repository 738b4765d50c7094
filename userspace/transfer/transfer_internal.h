/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of this room share. From the bottom to the top:
 *
 *   tsig.c          signing a query, verifying its replies
 *   refusal.c       what a primary says that refuses
 *   message.c       making a query, judging a reply's header, question and rcode; the SOA reply
 *   transfer_in.c   the messages of one AXFR or IXFR, in order, into a zone builder; no sockets
 *   ixfr_in.c       ... the differences of an IXFR, into changes
 *   exchange.c      one query to one address over UDP or a connection, with its deadlines; exchange.h: what is below
 *   due.c           a heap of times
 *   server.c        one primary's address: who waits to ask it, its rate, its health
 *   schedule.c      the timer, and the turns of the addresses
 *   history.c       what became of each attempt with each address
 *   told.c          what is told to those above, and what they tell of verification
 *   transfer_log.c  what operators read
 *   clocks.c        refresh, retry and expire within their bounds
 *   attempt.c       the state machine: one attempt to have the zone from one address
 *   attempt_build.c its second half: sorting and publishing what came
 *   attempt_end.c   what it comes to, and what is told of it
 *   round.c         one address after another, of one primary after another
 *   notify_in.c     NOTIFY received
 *   follower.c      life cycle, when the next round begins, waiters
 */
#ifndef PEREGRINE_TRANSFER_INTERNAL_H
#define PEREGRINE_TRANSFER_INTERNAL_H

#include "common/log.h"
#include "transfer/schedule.h"
#include "transfer/transfer.h"
#include "tsig/tsig_key.h"

#include <libknot/libknot.h>

/* Bounds and deadlines. One set for the process, at its defaults but in tests. Times in milliseconds. */
struct transfer_limits {
	unsigned udp_tries;
	uint64_t udp_wait;    /* for the reply to each try */
	uint64_t connect;     /* until the TCP connection stands */
	uint64_t progress;    /* without any octet; and the window in which ... */
	size_t window_octets; /* ... so many octets or one whole message must come */
	uint64_t total;       /* for one exchange over TCP, from the connection to the last message */
	uint64_t max_records; /* of one transfer */
	uint64_t max_octets;  /* of one transfer, names decompressed: what the builder has to hold */
	/* Bounds on what the SOA asks for, where the zone's configuration has none. */
	uint64_t refresh_min, refresh_max;
	uint64_t retry_min, retry_max;
	uint64_t expire_min, expire_max;
	uint64_t backoff_min; /* between rounds while there is no SOA to give a retry interval: doubled each time */
	uint64_t backoff_max;
	uint64_t
	    notify_pause;    /* between two rounds that begin for a NOTIFY: it may be forged, so it may not press us */
	uint64_t ixfr_pause; /* before a primary that does not do IXFR is asked for it again */
	uint64_t edns_pause; /* the same of an address that does not do EDNS */
	uint64_t refusal_pause; /* before a serial that verification refused is transferred again */
	uint64_t lag_min;       /* for so long another serial may be served than the primary has, without a word */
	uint64_t log_pause;     /* between two lines that say the same */
	/* The schedule. */
	unsigned attempts;        /* under way in all; a quarter more for NOTIFYs */
	unsigned window_first;    /* polls and loads under way at one address, to begin with */
	unsigned window_most;     /* ... and when it answers well */
	unsigned window_notified; /* so many more for NOTIFYs */
	unsigned rate;            /* SOA queries a second to one address, where the primary's configuration has none */
	unsigned notified_factor; /* so many times that rate for NOTIFYs */
	unsigned down_after;      /* attempts in a row without an answer */
	uint64_t probe_min, probe_max; /* between probes of an address that is down: doubled each time */
	uint64_t forget;               /* an address that nobody asked for so long */
	uint64_t clock_check;          /* the longest sleep: libuv's clock does not count a suspended machine's */
	uint64_t clock_ahead;          /* of CLOCK_BOOTTIME: for tests, which cannot suspend the machine */
};
extern struct transfer_limits transfer_limits;

#define TRANSFER_WHY 256 /* room for a reason, one line */
#define TRANSFER_QUERY 1024
#define TRANSFER_MESSAGE 65535

/* ---- reply.c ---- */

/* A message of a primary, its records unread but for OPT and TSIG. */
struct reply {
	uint8_t *wire;
	size_t length;            /* without TSIG */
	size_t answer_at;         /* where the records of the answer section begin */
	knot_rrset_t *opt, *tsig; /* or NULL */
};

/* Finds out what is where; `wire` and `length` are given, a header at least. Strips the TSIG record, to be checked.
 * Returns KNOT_EOK, or what is wrong: then there is nothing to close. */
int reply_take_apart(struct reply *reply);
void reply_close(struct reply *reply);
/* The data of an EDNS option, or NULL. */
const uint8_t *reply_option(const struct reply *reply, uint16_t code, size_t *length);

/* ---- tsig.c: RFC 8945 ---- */

/* One signed query and the messages that answer it. */
struct tsig_session {
	bool on;                    /* there is a key */
	bool begun;                 /* the first message has been verified */
	knot_tsig_key_t key;        /* a copy: the configuration may be replaced while we wait */
	uint8_t mac[TSIG_MAC_ROOM]; /* of the query, then of the last signed message */
	size_t mac_length;
	uint8_t *unsigned_octets; /* messages since then, one after another (section 5.3.1) */
	size_t unsigned_length, unsigned_room;
	unsigned unsigned_count;
	uint16_t error; /* what was found wrong, as TSIG numbers it; 0: nothing */
};

/* `key` may be NULL. Returns 0, or -1 with the reason. */
int tsig_session_init(struct tsig_session *session, const knot_tsig_key_t *key, char *why);
void tsig_session_clear(struct tsig_session *session);
/* Appends the signature to the query. Returns 0 or -1. */
int tsig_session_sign(struct tsig_session *session, uint8_t *wire, size_t *length, size_t room);
/* Verifies one more message, parsed and so stripped of its TSIG. Returns 0, or -1 with the reason. */
int tsig_session_check(struct tsig_session *session, const struct reply *message, char *why);
/* Whether all messages so far are covered by a signature. */
bool tsig_session_covered(const struct tsig_session *session);
/* "the primary's clock is 400 seconds ahead" */
void tsig_skew_text(uint64_t theirs, char *text, size_t size);

/* ---- refusal.c ---- */

/* What a reply tells besides its records; `reply` NULL: it is malformed. It is what an unsigned one claims, good enough
 * for a reason. */
void refusal_note(unsigned rcode, const struct reply *reply, struct history_facts *facts);
/* "AXFR refused: NOTAUTH, TSIG BADKEY; ..." of a reply with another RCODE than NOERROR. */
void refusal_text(const char *what, const struct history_facts *facts, const struct reply *reply, char *why);

/* ---- message.c ---- */

/* Without EDNS; with it and its EXPIRE option; and with keepalive besides, which only a connection has. */
enum query_edns { QUERY_PLAIN, QUERY_EDNS, QUERY_EDNS_STREAM };

/* Writes a query for the zone's SOA, AXFR, or IXFR from serial `have`, and signs it. Returns its length, 0 when it
 * cannot be made. */
size_t query_make(uint8_t *wire, size_t room, uint16_t id, const knot_dname_t *apex, uint16_t type, uint32_t have,
                  enum query_edns edns, struct tsig_session *tsig);

/* EDNS keepalive: how long a connection may be idle, in milliseconds. */
struct keep_option {
	bool given;
	uint64_t idle;
};

struct reply_expected {
	const char *what; /* "SOA query", "AXFR" or "IXFR", for reasons */
	uint16_t id;
	uint16_t type;
	const knot_dname_t *apex;
	bool first;                  /* of its answer: it must repeat the question (RFC 5936 section 2.2.1) */
	struct history_facts *facts; /* what the reply tells is noted there; or NULL */
	struct keep_option *keep;    /* where keepalive goes if there is one; or NULL */
};

/* Whether this is a reply to this query at all: what a forger who sees nothing cannot know. */
bool reply_matches(const struct reply_expected *expected, const uint8_t *wire, size_t length);
/* Takes a reply apart and judges header, question, rcode and TSIG; changes `wire`, which must outlive it. Returns 0, or
 * -1 with the reason: then there is nothing to close. */
int reply_open(struct reply *reply, const struct reply_expected *expected, uint8_t *wire, size_t length,
               struct tsig_session *tsig, char *why);

struct soa_timers {
	uint32_t serial, refresh, retry, expire;
};
/* The SOA's numbers, at the end of its rdata whatever the names. Returns 0 or -1. */
int soa_read(const uint8_t *rdata, size_t length, struct soa_timers *out);

/* EDNS EXPIRE (RFC 7314): how long the version that the primary has is good for. */
struct expire_option {
	bool given;
	uint32_t seconds;
};
/* Takes it from a reply that has it; else leaves what there is. */
void expire_read(const struct reply *reply, struct expire_option *out);

enum soa_verdict { SOA_ANSWERED, SOA_TRUNCATED, SOA_FAILED };
enum soa_verdict soa_reply(const struct reply_expected *expected, uint8_t *wire, size_t length,
                           struct tsig_session *tsig, struct soa_timers *out, struct expire_option *expire, char *why);
/* Whether a reply says that the server does not do EDNS, or not as we do. */
bool reply_refuses_edns(const struct reply_expected *expected, const uint8_t *wire, size_t length);

/* RFC 1982 section 3.2; neither is newer when they are 2^31 apart. */
bool serial_newer(uint32_t serial, uint32_t than);
uint32_t random_below(uint32_t bound);

/* ---- transfer_in.c, ixfr_in.c ---- */

#define TRANSFER_SOA_ROOM (2 * KNOT_DNAME_MAXLEN + 20)

/* What an IXFR is answered with (RFC 1995 section 4); an AXFR is always FULL. */
enum transfer_shape {
	SHAPE_UNKNOWN, /* one SOA came */
	SHAPE_FULL,
	SHAPE_DIFFERENCES,
	SHAPE_CURRENT, /* nothing newer: the SOA was all */
};

struct transfer_in {
	struct reply_expected expected;
	struct tsig_session *tsig;
	enum transfer_shape shape;
	struct zone_builder *builder; /* FULL: its owner takes it when the transfer is done */
	struct zone_changes *changes; /* DIFFERENCES: likewise */
	uint32_t have;                /* IXFR: the serial that the differences start from */
	uint32_t reached;             /* that which the present difference starts from, or, while it adds, leads to */
	bool adding;
	struct soa_timers soa; /* valid once `opened` */
	bool opened, closed;
	uint8_t first_soa[TRANSFER_SOA_ROOM];
	size_t first_soa_length;
	struct expire_option expire;
	unsigned rcode;
	uint64_t max_records, max_octets;
	uint64_t records;  /* the closing SOA not counted */
	uint64_t octets;   /* on the wire */
	uint64_t expanded; /* as the builder gets them */
	char why[TRANSFER_WHY];
};

enum transfer_result { TRANSFER_MORE, TRANSFER_DONE, TRANSFER_FAILED };

/* `have`: the serial served, which IXFR was asked with; NULL: AXFR. Returns 0, or -1 when memory is short. `apex` and
 * `tsig` must outlive it. */
int transfer_in_init(struct transfer_in *in, const knot_dname_t *apex, uint16_t id, const uint32_t *have,
                     struct tsig_session *tsig);
/* Other bounds than those of all transfers, before the first message; 0: as it is. Returns 0, or -1 when memory is
 * short. */
int transfer_in_bound(struct transfer_in *in, uint64_t max_records, uint64_t max_octets);
void transfer_in_clear(struct transfer_in *in);
/* Takes the next message; changes it. */
enum transfer_result transfer_in_message(struct transfer_in *in, uint8_t *wire, size_t length);

/* Between the two files. Both return -1 with the reason. */
struct rr;
int transfer_in_fail(struct transfer_in *in, const struct rr *rr, const char *cause);
bool transfer_in_same_soa(const struct transfer_in *in, const uint8_t *rdata, size_t length);
/* The first SOA of the first difference. */
int ixfr_in_begin(struct transfer_in *in, const struct rr *rr, uint32_t serial);
/* What follows it. */
int ixfr_in_record(struct transfer_in *in, const struct rr *rr);

/* ---- exchange.c, and below it pool.c, lane.c, channel.c: exchange.h ---- */

struct exchange;
struct exchange_pool;

/* Whom a query goes to, and how. All of it is copied. */
struct exchange_peer {
	const struct sockaddr_storage *address;
	const struct sockaddr_storage *source; /* to send from; NULL: as the kernel chooses */
	struct tls_profile *tls;               /* NULL: in the clear */
};

struct exchange_events {
	/* A whole message, to be changed at will. Over a connection more may follow, until exchange_end. */
	void (*message)(void *context, uint8_t *wire, size_t length);
	/* Nothing more will come; exchange_end is still to be called. */
	void (*failed)(void *context, const char *why);
};

/* Connections that queries share. NULL when memory is short. */
struct exchange_pool *pool_open(uv_loop_t *loop);
/* When no query is under way any more: closes the connections. */
void pool_close(struct exchange_pool *pool);

/* Both return NULL with the reason when nothing could be begun; no event comes before they return. */
struct exchange *exchange_udp(uv_loop_t *loop, const struct exchange_peer *peer, const uint8_t *query, size_t length,
                              const struct exchange_events *events, void *context, char *why);
/* Over a connection, TLS where the peer has it, that other queries may go over too. It may have to wait its turn:
 * `transfer` says that the answer may be large, of which there are few at a time. */
struct exchange *exchange_stream(struct exchange_pool *pool, const struct exchange_peer *peer, bool transfer,
                                 const uint8_t *query, size_t length, const struct exchange_events *events,
                                 void *context, char *why);
/* Whether it has been sent over a connection: what fails from then on is not the network's way there. */
bool exchange_connected(const struct exchange *exchange);
/* What TLS was in it that the exchange failed. */
enum exchange_tls {
	EXCHANGE_TLS_NONE,    /* nothing: it is not spoken, TCP did not stand, or what failed came behind it */
	EXCHANGE_TLS_SILENT,  /* nothing of the handshake came in time */
	EXCHANGE_TLS_REFUSED, /* the other side answered: neither of the two may take the other */
};
enum exchange_tls exchange_tls(const struct exchange *exchange);
/* When it was sent, in the loop's time; the wait for a connection lies before it. Where TLS failed: when TCP stood. */
uint64_t exchange_connected_at(const struct exchange *exchange);
/* The answer is whole, so that the connection can be used on; without this exchange_end gives the connection up. */
void exchange_answered(struct exchange *exchange);
/* How long the primary wants the connection to be kept with nothing to do (RFC 7828). */
void exchange_keep(struct exchange *exchange, uint64_t idle);
/* No event comes after this. NULL is allowed. */
void exchange_end(struct exchange *exchange);

/* Why nothing can be sent from there. */
void exchange_source_text(const struct sockaddr_storage *source, int error, char *why);
bool exchange_same_address(const struct sockaddr_storage *one, const struct sockaddr_storage *other);

/* ---- the follower: follower.c, round.c, attempt.c, attempt_build.c, attempt_end.c, notify_in.c ---- */

struct waiter {
	struct waiter *next;
	enum follower_force force;
	void (*done)(void *context, const char *error);
	void *context;
};

/* One of a zone's primaries, and of its addresses. */
struct source {
	uint16_t primary, address;
};

/* What is remembered of a primary beyond a round. */
struct turn {
	struct source source;   /* the address to begin with */
	bool failed;            /* in the round under way, with all its addresses */
	uint8_t misfits;        /* IXFRs whose changes did not fit what was served */
	uint64_t no_ixfr_until; /* schedule_clock */
	uint64_t refused_until; /* likewise; 0: nothing of it was refused */
	uint32_t refused;       /* the serial that verification refused */
};

/* One round over the primaries, until one of them has given what it has. */
struct round {
	bool on;
	bool asked;      /* an attempt has begun */
	bool notified;   /* for a NOTIFY */
	bool full;       /* all of the zone, whatever its serial */
	bool unverified; /* and it is served even if verification is against it */
	bool older;      /* a primary answered, with an older serial */
	bool hinted;     /* it begins with the primary that sent a NOTIFY, from where it sent it */
	struct source hint;
	uint16_t at_turn;    /* turn_count: none */
	uint16_t at_address; /* counted from the turn's first */
};

struct log_memory {
	uint64_t hash;
	uint64_t time;
	bool used;
};
#define LOG_MEMORY 16

struct attempt;

/* A zone and its clocks: all that there is of it while nothing is under way, so it is kept small. Times are those of
 * schedule_clock. */
struct follower {
	struct slot slot; /* first: its memory is given back by it */
	struct schedule *schedule;
	const struct config_zone *zone;
	struct follower_hooks hooks;
	struct turn *turns; /* primaries in the order to be tried, those that failed last at the end */
	uint16_t turn_count;
	bool gone; /* follower_free was called: memory is there until the loop's next turn, nothing else */

	/* What is served. */
	bool loaded;
	bool timers_known; /* `served` has more than the serial */
	struct soa_timers served;
	uint64_t expires_at; /* 0: not known */

	/* Why and when the next round begins. */
	uint64_t planned;       /* by the clocks */
	unsigned failures;      /* rounds in a row, for the backoff */
	bool notified;          /* a NOTIFY has not been followed yet */
	bool hint_known;        /* by a primary, ... */
	struct source hinted;   /* from where */
	uint64_t notify_begun;  /* the last round for a NOTIFY; 0: none */
	struct waiter *waiting; /* for a round that has not begun */

	struct round round;
	struct waiter *attending;
	struct attempt *attempt; /* NULL: none is under way */

	/* What operators are told. */
	bool failing;
	bool has_primary_serial;
	bool asked; /* `source` is the one last asked */
	uint8_t last_kind;
	struct source source;
	uint32_t primary_serial;
	int64_t last_transfer, last_check, next_refresh; /* unix seconds */
	uint64_t last_records, last_octets;
	char *last_error;        /* NULL: the last round went well */
	uint32_t transfer_ms;    /* of the last transfer served */
	struct history *history; /* NULL: nothing was asked yet */
	struct log_memory *log_memory;
	unsigned log_next;
};

/* SOA: a primary is asked for its serial. TRANSFER: a zone, or what changed of it, comes in. BUILD: it is sorted and
 * checked on a worker thread. PUBLISH: the hook has it. IDLE is the follower without an attempt. */
enum follower_state { FOLLOWER_IDLE, FOLLOWER_SOA, FOLLOWER_TRANSFER, FOLLOWER_BUILD, FOLLOWER_PUBLISH };

struct build_job;   /* attempt_build.c: a builder on its way through a worker thread */
struct publication; /* attempt_build.c: what the publish hook gives back */

/* What is under way with the round's present address. */
struct attempt {
	struct follower *follower;
	enum follower_state state;
	bool edns;
	bool edns_taken; /* it has answered such a query: what it says to another is about that */
	bool over_tcp;
	bool heard;   /* the address answered, whatever it said */
	bool begun;   /* something was asked */
	bool refused; /* what came was, by those above */
	struct history_facts facts;
	struct keep_option keep;
	struct expire_option expire;
	uint64_t transfer_begun;
	uint64_t transfer_ms;
	struct exchange *exchange;
	struct reply_expected expected;
	struct tsig_session tsig;
	struct transfer_in incoming;
	struct build_job *build;
	struct publication *publication;
};

enum follower_state follower_state(const struct follower *follower);

/* attempt.c, attempt_end.c: begins with the round's present address, which the schedule has granted. */
void attempt_begin(struct follower *follower);
/* Drops what is under way, if anything is, whatever the state, without any callback. */
void attempt_cancel(struct follower *follower);
/* The address was no good: the attempt is gone, and the round goes on. */
void attempt_failed(struct attempt *attempt, const char *why);
/* The changes that it sent do not fit: says so, and asks it for all of the zone. */
void attempt_misfit(struct attempt *attempt, const char *why);
/* The version was refused: the attempt is gone, and the round goes on with the next primary. */
void attempt_refused(struct attempt *attempt, uint32_t serial, const char *why);
/* The attempt is gone, and the round at its end. */
enum attempt_outcome { ATTEMPT_GOOD, ATTEMPT_OLDER, ATTEMPT_FAILED };
void attempt_end(struct attempt *attempt, enum attempt_outcome outcome, const char *error);

/* attempt_build.c */
void build_begin(struct attempt *attempt);
/* The same for changes, which are sorted and checked where they are applied. */
void change_begin(struct attempt *attempt);
void build_forget(struct attempt *attempt);

/* round.c */
const struct config_primary *round_primary(const struct follower *follower);
const struct sockaddr_storage *round_address(const struct follower *follower);
struct turn *round_turn(const struct follower *follower);
/* "campus (192.0.2.1@53)" */
void source_text(const struct follower *follower, struct source source, char *text, size_t size);
struct source round_source(const struct follower *follower);
void round_begin(struct follower *follower);
/* No longer: those who wait wait for the next one. */
void round_give_up(struct follower *follower);
/* What the present address came to; the first three go on to the next. */
void round_address_failed(struct follower *follower, const char *why);
void round_address_older(struct follower *follower, const char *why);
void round_primary_refused(struct follower *follower, const char *why);
void round_address_good(struct follower *follower);
void round_end(struct follower *follower, enum attempt_outcome outcome, const char *error);
/* hooks of the schedule */
void round_granted(struct slot *slot);
void round_refused(struct slot *slot);
bool round_concerns(const struct slot *slot, const struct sockaddr_storage *address);

/* clocks.c: milliseconds, jittered */
uint64_t clocks_refresh(const struct follower *follower);
uint64_t clocks_retry(const struct follower *follower);
/* How many seconds a version is good for that has just come, or, `confirmed`, is what is served already (RFC 7314
 * section 4). */
uint32_t clocks_expire(const struct follower *follower, const struct soa_timers *soa,
                       const struct expire_option *option, bool confirmed);
/* Notes that the version served is good for so long from now. */
void clocks_set_expiry(struct follower *follower, uint32_t seconds);
bool clocks_expired(const struct follower *follower);

/* follower.c */
/* The round is over: sets the clocks and calls those who waited. The follower may be gone afterwards. */
void follower_ended(struct follower *follower, enum attempt_outcome outcome, const char *error);
/* Has the next round begin when it is due. */
void follower_plan(struct follower *follower);

/* transfer_log.c */
/* Writes "zone Z: [primary SOURCE: ]CAUSE; serving serial N on", at `level` the first time and at debug while it
 * repeats within a minute; other numbers in the cause do not make it another line. Keeps it as the last error. */
void transfer_log_repeated(struct follower *follower, enum log_level level, const char *source, const char *cause);
void transfer_log_served(const struct follower *follower, uint64_t milliseconds);

#endif

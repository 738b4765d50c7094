/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What became of the last attempt with each address of a zone's primaries: what people are told of it, and nothing that
 * anything is decided by. */
#ifndef PEREGRINE_TRANSFER_HISTORY_H
#define PEREGRINE_TRANSFER_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum history_result { HISTORY_RUNNING, HISTORY_OK, HISTORY_OLDER, HISTORY_FAILED };

/* How far it came: what fails, fails in the phase that it is in. */
enum history_phase {
	HISTORY_CONNECT, /* over TCP or TLS */
	HISTORY_TLS,     /* the handshake */
	HISTORY_SOA,     /* the serial was asked for */
	HISTORY_TRANSFER,
	HISTORY_BUILD, /* sorted, and its shape checked */
	HISTORY_VERIFY,
	HISTORY_PUBLISH,
	HISTORY_PHASES
};

enum history_kind { HISTORY_ASK_SOA, HISTORY_AXFR, HISTORY_IXFR, HISTORY_IXFR_FULL, HISTORY_IXFR_THEN_AXFR };
enum history_transport { HISTORY_UDP, HISTORY_TCP, HISTORY_OVER_TLS };

#define HISTORY_NEVER UINT32_MAX /* of a time in milliseconds: it did not come to that */

/* What a reply told besides its records. */
struct history_facts {
	bool has_rcode, has_ede;
	uint16_t rcode;
	uint16_t tsig_error; /* as the primary says or as we find; 0: none */
	uint16_t ede;        /* RFC 8914 */
	char ede_text[100];  /* printable */
};

struct history_entry {
	uint16_t primary, address; /* numbers in the configured zone */
	uint8_t result;            /* enum history_result */
	uint8_t phase;             /* enum history_phase */
	uint8_t kind;              /* enum history_kind */
	uint8_t transport;         /* enum history_transport */
	bool has_rcode, has_ede, has_serial;
	uint16_t rcode, tsig_error, ede;
	uint32_t serial; /* that the primary told */
	int64_t at;      /* unix seconds: when it began */
	int64_t good_at; /* when one last went well; 0: none since start */
	uint64_t octets, records;
	uint32_t messages;
	uint32_t ms[HISTORY_PHASES]; /* that each phase took */
	uint32_t first_ms;           /* until the first octet */
	char *ede_text;              /* these two NULL: none */
	char *error;
};

/* A serial that a primary told and that is not served yet. */
struct history_lag {
	bool known;       /* `heard` is */
	bool behind;      /* another one is served, ... */
	uint32_t heard;   /* the last one that a primary told */
	uint64_t since;   /* ... since then, in schedule_clock */
	int64_t since_at; /* and on the wall's clock */
};

/* A version that was refused. */
struct history_refusal {
	uint32_t serial;
	uint16_t primary; /* that sent it */
	int64_t at;
	char *reason;
	char *kept; /* where it is to be seen; NULL: nowhere */
};

struct history {
	struct history_entry *entries;
	uint16_t count, now;
	struct history_lag lag;
	struct history_entry *transferred; /* the last transfer that was served; NULL: none since start */
	struct history_refusal *refusal;   /* the last one, until another version is served, or its primary has what is
	                                      served; NULL: none */
	bool notified;                     /* a NOTIFY told a serial: */
	uint32_t notified_serial;          /* nobody vouches for it */
	int64_t notified_at;
	uint64_t begun, phase_begun; /* schedule_clock */
};

/* Makes one where there is none. The other functions take NULL, for memory may be short, and do nothing then. */
struct history *history_open(struct history **history);

const char *history_phase_text(enum history_phase phase);
const char *history_kind_text(enum history_kind kind);
const char *history_result_text(enum history_result result);
const char *history_transport_text(enum history_transport transport);

/* BADSIG and the like, or NULL: libknot's table has not all of them in every version. */
const char *history_tsig_text(unsigned error);

/* The entry of the attempt under way, or of the last one; NULL before the first. */
struct history_entry *history_now(const struct history *history);
const struct history_entry *history_find(const struct history *history, size_t primary, size_t address);

/* `now` is schedule_clock throughout. An address is asked: for its serial, then perhaps for the zone; what was noted of
 * it in this attempt is kept where that goes on (`again`). */
void history_begin(struct history *history, size_t primary, size_t address, enum history_kind kind,
                   enum history_transport transport, bool again, uint64_t now);
/* A message came in. */
void history_message(struct history *history, size_t octets, uint64_t now);
/* The next phase begins: the time of the one before is noted. */
void history_enter(struct history *history, enum history_phase phase, uint64_t now);
/* `facts` of the last reply; `error` as one line, or NULL. */
void history_end(struct history *history, enum history_result result, const struct history_facts *facts,
                 const char *error, uint64_t now);
/* It is not asked, as it does not answer anybody: what it said itself last is worth more. */
void history_down(struct history *history, size_t primary, size_t address, const char *error);
/* The primary told its serial; `served` NULL: nothing is. */
void history_heard(struct history *history, uint32_t serial, const uint32_t *served, uint64_t now);
void history_notified(struct history *history, uint32_t serial);
/* What came is served. */
void history_served(struct history *history, uint32_t serial, const struct history_facts *facts, uint64_t now);
/* What came is refused. */
void history_refused(struct history *history, uint32_t serial, const char *reason, const char *kept);
/* Other primaries are configured: the numbers mean others. What else there is is forgotten too. */
void history_clear(struct history *history);

#endif

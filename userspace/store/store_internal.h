/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside this room: what stands in the databases, and what the parts of the store ask of each other. */
#ifndef PEREGRINE_STORE_INTERNAL_H
#define PEREGRINE_STORE_INTERNAL_H

#include "store/store.h"

#include <libknot/dname.h>
#include <lmdb.h>
#include <pthread.h>
#include <time.h>

/*
 * The databases. `id`s are drawn from one counter and used once: the records of a zone version that is written anew
 * stand under a new one, so that the old ones are whole until the head leads to the new. What an id in `garbage` still
 * has in `records` and `journal` belongs to no zone, and is deleted by and by.
 *
 *   meta      "format" -> struct store_format, "next" -> the next id
 *   zones     apex -> struct head
 *   clocks    apex -> struct stored_clocks
 *   records   id, name key, 0, type (covered type of an RRSIG), 1 for an RRSIG -> struct stored_value, rdata
 *   journal   id, sequence number, part and number in it -> see journal.c
 *   garbage   id -> nothing
 *
 * Numbers in keys are big-endian, so that they sort; the rest is in host order.
 */
enum database { DB_META, DB_ZONES, DB_CLOCKS, DB_RECORDS, DB_JOURNAL, DB_GARBAGE, DB_COUNT };

#define STORE_MAGIC "peregrine store"
#define STORE_FORMAT 2
struct store_format {
	char magic[16];
	uint32_t format;
	uint32_t order; /* STORE_ORDER, as this host writes it */
};
#define STORE_ORDER 0x01020304

struct head {
	uint32_t id;      /* of the records */
	uint32_t journal; /* id of the journal */
	uint32_t serial;
	uint32_t journal_from;           /* the serial that the first difference starts from */
	uint32_t last_from;              /* and the last one */
	uint32_t refresh, retry, expire; /* of the SOA */
	uint32_t first, next; /* sequence numbers of the differences there are: from `first`, before `next` */
	uint64_t rrsets, octets, journal_octets;
};

struct stored_clocks {
	uint64_t expires_boot;          /* CLOCK_BOOTTIME, nanoseconds, of the boot below */
	int64_t expires_at, saved_at;   /* the same moment, and that of writing, in unix nanoseconds */
	int64_t refresh_at, checked_at; /* unix seconds */
	uint8_t boot[16];
};

struct stored_value {
	uint32_t ttl, count;
};

/* What calls into LMDB return, and ours beside. */
#define STORE_E_MISFIT (-1)
#define STORE_E_BIG (-2)   /* not to be done along with others */
#define STORE_E_EMPTY (-3) /* a file in which nothing was ever written */
static inline int damaged(void)
{
	return MDB_CORRUPTED;
}

/* ---- format.c ---- */

/* An id, the longest name key, a type, and that it is an RRSIG's: with this octet, of a name of 250 octets all of which
 * are 0 or 1, one more than the 511 that LMDB takes. */
#define KEY_ROOM 512
#define KEY_TYPE 3
#define NAME_KEY_ROOM 504
struct record_key {
	size_t length;
	uint8_t octets[KEY_ROOM];
};
#define KEY_ID 4 /* octets */
void put32(uint8_t *at, uint32_t number);
uint32_t get32(const uint8_t *at);
/* The owner's part of a key; types are put behind it, as often as one likes. */
void key_owner(struct record_key *key, uint32_t id, const uint8_t *owner, size_t *owner_end);
void key_type(struct record_key *key, size_t owner_end, uint16_t type, uint16_t covered);
/* The other way. `owner` has room for KNOT_DNAME_MAXLEN. Returns 0, or MDB_CORRUPTED. */
int key_read(const MDB_val *key, uint8_t *owner, uint16_t *type, uint16_t *covered);
/* Reads a value into the fields behind `covered`. Returns 0, or MDB_CORRUPTED. */
int value_read(const void *data, size_t size, uint32_t ttl, uint32_t count, struct store_rrset *out);
int stored_value_read(const MDB_val *value, struct store_rrset *out);
int head_read(const MDB_val *value, struct head *out);

void clocks_pack(const struct store_clocks *clocks, struct stored_clocks *out);
int clocks_unpack(const MDB_val *value, struct store_clocks *out);

/* ---- open.c ---- */

#define WAITING_BUCKETS 512
struct jobs {
	struct job *first, **last;
};

struct store {
	char *directory;
	uint64_t map; /* octets of address space */
	MDB_env *env;
	MDB_dbi dbi[DB_COUNT];
	int readers_lock; /* shared while another process than the owner reads: nothing is moved then; -1 */
	int owner; /* file whose lock says who writes, and whose octet that it did not end; -1 when reading alone */

	/* Transactions that read; while it is held none begins. The map grows when there are none. */
	pthread_mutex_t gate;
	size_t readers;

	/* The writer: store_writer.c */
	struct store_hooks hooks;
	uv_async_t async;
	pthread_t thread;
	pthread_mutex_t lock; /* of all that follows */
	pthread_cond_t wake;
	struct jobs waiting, done;
	struct job *by_zone[WAITING_BUCKETS]; /* those that wait and are heavy, by the hash of their apex */
	size_t heavy, light;                  /* of those waiting: versions and edits, and others */
	bool stopping;
	bool failing;
	bool garbage; /* there may be some */
	bool suspect; /* LMDB found something that cannot be: looked at when it is opened again */
	char error[256];
	uint64_t oldest; /* when what is being written was put; 0: nothing */
	uint64_t octets, used;
};

static inline uint64_t monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void store_free(struct store *store);
/* Notes how large the file is, and how much of it is used. No transaction may be open in this thread. */
void store_measure(struct store *store);
/* One environment with its databases. `flags` of mdb_env_open. Returns 0 or an error. */
int env_open(const char *directory, unsigned flags, uint64_t map, MDB_env **env, MDB_dbi *dbi);
/* Whether an error says that the file is no good, rather than that it cannot be got at. */
bool is_damage(int error);
/* Moves a file that is damaged, and closed, out of the way. Returns 0, or -1 after logging. */
int set_aside(const char *directory, const char *why);
/* store_check.c: walks all there is, in a child process, which a damaged file may kill. Returns false when it is
 * damaged, with the reason. */
bool store_check_apart(const char *directory, char *why, size_t why_size);

/* ---- store_read.c ---- */

int reader_begin(struct store *store, MDB_txn **txn);
void reader_end(struct store *store, MDB_txn *txn);
/* Whether a walk by a cursor is still at keys of this id. */
bool key_has_id(const MDB_val *key, uint32_t id);
int find_head(const struct store *store, MDB_txn *txn, const uint8_t *apex, struct head *out);
void describe_zone(const struct store *store, MDB_txn *txn, const uint8_t *apex, const struct head *head,
                   struct store_zone *out);
MDB_val apex_key(const uint8_t *apex);

/* ---- store_writer.c, and what its jobs do ---- */

/* Returns 0, or -1. */
int writer_start(struct store *store, uv_loop_t *loop);

struct job {
	struct job *next;
	struct job *next_of_bucket;
	enum { JOB_VERSION, JOB_EDIT, JOB_CLOCKS, JOB_REMOVE, JOB_NEEDLESS } kind;
	enum store_outcome outcome;
	uint8_t apex[KNOT_DNAME_MAXLEN];
	uint32_t serial;
	struct zone_version *version;
	struct store_edit *edit;
	struct store_clocks clocks;
	uint64_t journal;
	uint64_t put_at; /* CLOCK_MONOTONIC, milliseconds */
};

/* Those that the agent is told of. */
static inline bool is_heavy(const struct job *job)
{
	return job->kind == JOB_VERSION || job->kind == JOB_EDIT;
}

/* One zone being changed in a transaction: edit_begin, any number of differences, edit_end. */
struct zone_edit {
	struct store *store;
	MDB_txn *txn;
	MDB_cursor *records;
	const uint8_t *apex;
	struct head head;
	bool journalled;     /* differences go to the journal */
	uint32_t numbers[4]; /* journal.c: of the parts of the difference that is open */
	uint64_t difference; /* its octets */
};
int edit_begin(struct store *store, MDB_txn *txn, const uint8_t *apex, struct zone_edit *edit);
/* `old_size`: octets of the value that is there, 0: none. `flags` of mdb_put. */
int edit_put(struct zone_edit *edit, const struct record_key *key, const struct store_rrset *rrset, size_t old_size,
             unsigned flags);
int edit_delete(struct zone_edit *edit, const struct record_key *key, size_t old_size);
/* Writes the head. `bound` of the journal. */
int edit_end(struct zone_edit *edit, uint64_t bound);

/* rdata_set.c: sets of rdata as in struct store_rrset, in canonical order without duplicates. */
struct octets {
	uint8_t *at;
	size_t size, room;
};
int octets_add(struct octets *octets, const void *more, size_t size);
/* `out` gets what is in `left` and not in `right` (minus), in either of them (plus), with the fields of `left`. It
 * points into `octets`, which are used again. Returns 0 or ENOMEM. */
int set_minus(const struct store_rrset *left, const struct store_rrset *right, struct octets *octets,
              struct store_rrset *out);
int set_plus(const struct store_rrset *left, const struct store_rrset *right, struct octets *octets,
             struct store_rrset *out);
/* Takes serial and timers from the SOA's rdata (checked before) into the head. */
void head_take_soa(struct head *head, const uint8_t *rdata);

/* journal.c */
int journal_part(struct zone_edit *edit, enum store_part part, const struct store_rrset *rrset);
/* The difference is whole: it leads from `from` to `to`. */
int journal_close(struct zone_edit *edit, uint32_t from, uint32_t to);
int journal_trim(struct zone_edit *edit, uint64_t bound);
int journal_empty(struct zone_edit *edit);

/* store_edit.c: what an edit is of, and where it leads. */
const uint8_t *edit_apex(const struct store_edit *edit);
uint32_t edit_serial(const struct store_edit *edit);

/* store_write.c: writes jobs in their order, and notes in each what came of it. */
void write_jobs(struct store *store, struct job *first);
/* Notes what became of the last attempt to write: 0 or an error. */
void note_result(struct store *store, int result);

/* Each job in its transaction. Return 0, STORE_E_*, or an error of LMDB. */
int apply_version(struct store *store, MDB_txn *txn, const struct job *job);
int apply_edit(struct store *store, MDB_txn *txn, const struct job *job);
int apply_remove(struct store *store, MDB_txn *txn, const uint8_t *apex);
int apply_clocks(struct store *store, MDB_txn *txn, const struct job *job);
/* A version that is too large for one transaction, in as many as it takes. */
int replace_in_slices(struct store *store, const struct job *job);
int draw_id(struct store *store, MDB_txn *txn, uint32_t *id);
int make_garbage(struct store *store, MDB_txn *txn, uint32_t id);
/* Deletes some of it. Sets *more when there is more, *swept when there was any. */
int sweep_garbage(struct store *store, bool *more, bool *swept);

#endif

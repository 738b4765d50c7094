/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The store: zone versions on disk, the differences between them, and the clocks of the zones, in one LMDB environment.
 *
 * It is written behind serving: what was published is handed to `store_put_*`, which return at once; one thread of the
 * store writes it, each zone's version together with its journal and clocks in one transaction, so that whatever
 * instant a process or machine dies at, the store has the version before or the version after, whole. What could not be
 * written is not kept waiting in memory: the hook says so, and the agent gives the zone anew, as it is served then.
 *
 * It is read by snapshots: what one zone was at the moment the snapshot was begun, whatever is written meanwhile.
 *
 * Names are in wire format; an apex is given in lower case. `put` calls are for any thread, reading too; the hooks are
 * called on the loop's thread.
 */
#ifndef PEREGRINE_STORE_H
#define PEREGRINE_STORE_H

#include "zone/change.h"
#include "zone/zone.h"

#include <stdbool.h>
#include <uv.h>

struct store;

/* What came of something that was put. */
enum store_outcome {
	STORE_WRITTEN, /* it is on the disk */
	STORE_MISFIT,  /* the changes do not lead on from what is stored: the zone is to be given whole, by
	                  store_put_version */
	STORE_FAILED,  /* it could not be written (store_get_status says why) and was let go; to be given again later,
	                  whole */
};

struct store_hooks {
	/* After each version and each edit that was put, once, in the order in which they were put for that zone. When
	 * several versions were waiting the later one takes the place of the earlier, of which nothing is said. */
	void (*written)(void *context, const uint8_t *apex, uint32_t serial, enum store_outcome outcome);
	void *context;
};

/* The clocks of a zone in terms of this boot and of the clock on the wall. */
struct store_clocks {
	uint64_t expires_at; /* CLOCK_BOOTTIME, nanoseconds, as in publisher_zone. Read after a reboot it is made from
	                        the time on the wall; what expired before this boot did
	                        so a millisecond after it */
	int64_t refresh_at;  /* unix seconds: when the primaries are to be asked next; 0: not known */
	int64_t checked_at;  /* unix seconds: when a primary last confirmed the serial; 0: not known */
};

#define STORE_JOURNAL_DEFAULT 0    /* as large as the zone itself, at least STORE_JOURNAL_LEAST */
#define STORE_JOURNAL_LEAST 65536U /* octets */

/* ---- opening ---- */

/*
 * Opens the store in `directory`, which is made (mode 0700) if it is not there, and starts its thread. What cannot be
 * used, since it is damaged or of another format, is set aside as DIRECTORY.corrupt-TIME with one line, and an empty
 * store takes its place; so is what a process died of while reading it, which is tried in a child process after an
 * unclean end. To be called while the process has but one thread. `map`: octets of address space to begin with, 0 for
 * the default; it is doubled when it is full. Returns NULL after logging why there is no store: the agent serves
 * without one.
 */
struct store *store_open(const char *directory, uint64_t map, const struct store_hooks *hooks, uv_loop_t *loop);

/* Opens it to be read alone, also while an agent writes it; `put` calls are not allowed then. Returns NULL with the
 * reason, one line, in `why`. */
struct store *store_open_to_read(const char *directory, char *why, size_t why_size);

/* Writes what was put, ends the thread, closes. Snapshots must have ended. */
void store_close(struct store *store);

/* ---- writing ---- */

/* A version that is served now; takes a reference of its own. What differs from the version stored is written; when
 * that is little, it goes to the journal too, which is emptied otherwise. `journal`: bound of the zone's journal in
 * octets, or STORE_JOURNAL_DEFAULT. */
void store_put_version(struct store *store, struct zone_version *version, const struct store_clocks *clocks,
                       uint64_t journal);

/* Changes in the form in which they are stored. To be made before the changes are given to the publisher, which uses
 * them up, and put when they are served. Its size follows the changes'. Returns NULL when memory is short: the zone is
 * then to be given whole. */
struct store_edit;
struct store_edit *store_edit_new(const struct zone_changes *changes);
void store_edit_free(struct store_edit *edit);
/* Takes the edit. */
void store_put_edit(struct store *store, struct store_edit *edit, const struct store_clocks *clocks, uint64_t journal);

/* New clocks of a zone that is stored, or is about to be. The hook is called only when it is not stored: STORE_MISFIT,
 * serial 0. A few seconds' worth may be lost in a crash: the ones before count then, which are the shorter ones. */
void store_put_clocks(struct store *store, const uint8_t *apex, const struct store_clocks *clocks);

/* Forgets a zone: records, journal, clocks. */
void store_remove(struct store *store, const uint8_t *apex);

/* ---- status ---- */

struct store_status {
	bool failing;       /* the last attempt to write failed */
	char error[256];    /* why, one line; "" */
	uint64_t octets;    /* of the file */
	uint64_t used;      /* of these, in use; the rest is used again */
	uint64_t waiting;   /* versions and edits not written yet */
	uint64_t behind_ms; /* for how long the oldest of these has been waiting */
};
void store_get_status(struct store *store, struct store_status *out);

/* ---- reading ---- */

/* A zone as it is stored. */
struct store_zone {
	uint32_t serial, refresh, retry, expire; /* of the SOA */
	uint64_t rrsets;                         /* RRSIGs count by the type that they cover */
	uint64_t octets;                         /* of the records as stored: keys and data */
	uint64_t journal_octets;                 /* likewise */
	uint32_t journal_from;      /* the earliest serial from which differences lead to `serial`; `serial`: none */
	uint32_t previous;          /* the serial that the last difference leads from; `serial`: none */
	struct store_clocks clocks; /* all 0 where none were stored */
};

/* What is known of a zone. Returns false when it is not stored. */
bool store_find(struct store *store, const uint8_t *apex, struct store_zone *out);

/* Calls `found` for each zone stored, in no particular order; `found` must not write to the store's zones. Returns 0,
 * or -1 when the store cannot be read. */
int store_each_zone(struct store *store,
                    void (*found)(void *context, const uint8_t *apex, const struct store_zone *zone), void *context);

/* Makes the version that is stored, checked like one that was transferred. Returns it with one reference, or NULL with
 * the reason, one line, in `why`. */
struct zone_version *store_load(struct store *store, const uint8_t *apex, char *why, size_t why_size);

/* The RRs of one owner and type; of RRSIG those that cover one type. What is pointed to stands until the next call on
 * the same snapshot. */
struct store_rrset {
	const uint8_t *owner; /* lower case */
	uint16_t type;
	uint16_t covered; /* by RRSIGs; else 0 */
	uint32_t ttl;
	uint32_t count;
	uint32_t size;        /* of rdata, octets */
	const uint8_t *rdata; /* as in struct zone_rrset: each a 16-bit length in host byte order (not aligned), and so
	                         many octets */
};

/*
 * One zone at one moment. It may move from thread to thread, but is used by one at a time. While it is there the pages
 * that it sees are not used again, so it should end within minutes; the store's file grows meanwhile.
 */
struct store_snapshot;

/* Returns NULL when the zone is not stored, the store cannot be read, or too many snapshots (STORE_SNAPSHOTS) are there
 * already. */
#define STORE_SNAPSHOTS 500
struct store_snapshot *store_snapshot_begin(struct store *store, const uint8_t *apex);
void store_snapshot_end(struct store_snapshot *snapshot);
const struct store_zone *store_snapshot_zone(const struct store_snapshot *snapshot);

/* The SOA RRset. Returns 0, or -1 when the store is damaged. */
int store_snapshot_soa(struct store_snapshot *snapshot, struct store_rrset *out);

/* The next RRset of the zone, in canonical order of owners (RFC 4034 section 6.1), the SOA among those of the apex;
 * each followed by its RRSIGs. Returns 1; 0 at the end, after which it begins anew; -1 when the store is damaged. */
int store_snapshot_next(struct store_snapshot *snapshot, struct store_rrset *out);

/* Whether the journal has what leads from serial `from` to that of the snapshot, and how large that is (octets as
 * stored: somewhat more than in a transfer). To be called before store_snapshot_next_change. Returns 1, 0 when the
 * journal does not reach back to it, or -1 when the store is damaged. `from` being the snapshot's serial gives 1 and no
 * differences. */
int store_snapshot_changes(struct store_snapshot *snapshot, uint32_t from, uint64_t *octets);

/* The differences in the order of an IXFR (RFC 1995 section 4): of each the old SOA, RRsets taken away, the new SOA,
 * RRsets added. */
enum store_part { STORE_OLD_SOA, STORE_REMOVED, STORE_NEW_SOA, STORE_ADDED };
/* The next of them. Returns 1, 0 at the end, or -1 when the store is damaged. */
int store_snapshot_next_change(struct store_snapshot *snapshot, enum store_part *part, struct store_rrset *out);

#endif

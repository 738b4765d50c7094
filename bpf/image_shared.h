/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ABI between the agent and the kernel program: what stands in the maps.
 *
 * The image is the zones' data in compiled form. It stands in memory once: in mmapable BPF arrays
 * that the agent writes with plain stores, and that the program and the fallback server read.
 *
 *   zone_index   hash of an apex name        -> slot in `zones`
 *   zones        one record a zone: committed version, expiry deadline
 *   index        hash of (role, zone or 0, name) -> node
 *   segments     the nodes and zone heads themselves
 *
 * All integers are in host byte order, except inside fragment data, which is DNS wire format.
 * Change anything here and PG_SCHEMA must grow: a pinned image of another schema is replaced.
 */
#ifndef PEREGRINE_IMAGE_SHARED_H
#define PEREGRINE_IMAGE_SHARED_H

#include <linux/types.h>

#define PG_SCHEMA 7

/* A segment is the unit in which the image grows. Records never reach into its last PG_SEGMENT_GUARD
 * bytes, so that the verifier can allow PG_SEGMENT_GUARD bytes behind every valid reference. */
#define PG_SEGMENT_SIZE (1U << 20)
#define PG_SEGMENT_GUARD 4096U
#define PG_SEGMENTS_MAX 16384U

/* A reference is the position of a record in the image in units of 8 bytes; 0 means none (the first
 * unit of the first segment is never allocated). */
#define PG_UNIT 8U
#define PG_UNITS_PER_SEGMENT (PG_SEGMENT_SIZE / PG_UNIT)
typedef __u32 pg_ref;

/* Segments from this reference on are memory of the agent's alone: the program has no map of them, and leaves what
 * leads there to the fallback. */
#define PG_COLD (PG_SEGMENTS_MAX * PG_UNITS_PER_SEGMENT)

#define PG_NAME_MAX 255   /* octets of a name in wire format, RFC 1035 section 2.3.4 */
#define PG_NAME_ROOM 256  /* the same, padded to whole words */
#define PG_LABELS_MAX 127 /* labels of a name, without the root */
#define PG_LABEL_ROOM 72  /* length and octets of a label, and what may be read behind it */
#define PG_SALT_ROOM 256  /* of an NSEC3 salt, padded to whole words */

/* What a key stands for. The role is mixed into the hash, so that the roles do not see each other. */
enum pg_role {
	PG_ROLE_ZONE = 1,      /* apex -> slot in `zones` (in zone_index only) */
	PG_ROLE_NAME = 2,      /* authoritative name, empty non-terminal or delegation -> node; with zone 0, for the
	                          look-up comes before the zone is known */
	PG_ROLE_ADDRESSES = 3, /* A and AAAA as additional data or glue -> node */
	PG_ROLE_NSEC3 = 4,     /* first 64 bits of an NSEC3 owner's hash -> node of that record */
	PG_ROLE_SPAN = 5,      /* number of a share of all hashes -> the NSEC3 records in it, struct pg_span */
	PG_ROLE_KEPT = 6, /* never searched: what a zone holds of a name beyond the other roles, so that its records can
	                     be read back whole */
};

/* One cell of a hash index: written and read as one aligned 64-bit word, so that it changes at once. */
struct pg_cell {
	__u32 tag; /* upper half of the key's hash */
	__u32 ref; /* 0 with tag 0: empty for ever; 0 with another tag: removed, search on */
} __attribute__((aligned(8)));

/* A bucket is one cache line. Only a bucket without an empty cell lets the search go on to the next. */
#define PG_BUCKET_CELLS 8
#define PG_BUCKETS_PROBED 16
struct pg_bucket {
	struct pg_cell cell[PG_BUCKET_CELLS];
};

/* A table of 2^order buckets stands in slot `order` of its map of maps, and the settings say which slot counts: so
 * table and size always belong together. A key's search begins at bucket hash mod 2^order. */
#define PG_ORDERS 32

/* A zone. `head` is the one word by which a new version becomes visible. */
struct pg_zone {
	struct pg_commit {
		__u32 version; /* committed version of the data; a node of a later one is not yet visible */
		pg_ref ref;    /* struct pg_head; 0: no data, the zone is not served */
	} head __attribute__((aligned(8)));
	__u64 expires_at;        /* CLOCK_BOOTTIME in nanoseconds; from then on the zone is not answered */
	__u32 serial;            /* for people: SOA serial of the committed version */
	__u16 flags;             /* enum pg_zone_flag */
	__u8 labels;             /* of the apex */
	__u8 name_length;        /* of the apex, octets in wire format; 0: the slot is free */
	__u8 name[PG_NAME_ROOM]; /* the apex in wire format, lower case, padded with zeros */
	char text[104];          /* for people: the apex in presentation format, cut to fit */
};

enum pg_zone_flag {
	PG_ZONE_IN_USE = 1,
	PG_ZONE_PARENT = 2,  /* another zone is served below its apex, or was */
	PG_ZONE_HIDDEN = 4,  /* no longer served; to be dropped */
	PG_ZONE_PRIVATE = 8, /* not for clients (a catalog): for them there is its SOA alone */
};

/*
 * One RRset of a node, with all that there is to know of its fragment: the RRs in wire format, their RRSIGs behind
 * them, ready to be linked into a reply. A reply takes the plain form, the signed one, which is all of it, or the
 * signatures alone. The fragment itself:
 *
 *   data, padded to 4 | struct pg_relocation [all but the first owner, then suffixes], padded to 8 |
 *   struct pg_target [additional]
 *
 * Every owner name that is the searched name (sname) is a compression pointer to octet 12, where the question's name
 * stands: `owners` of them, which must be moved when sname stands elsewhere (behind a CNAME). If there are any, the
 * first stands at octet 0, and has no relocation. The `suffixes` relocations, of other bases, always have to be filled
 * in. Each kind is in order of position.
 */
struct pg_rrset {
	__u16 type;
	__u16 additional;     /* number of targets behind the relocations */
	__u32 fragment;       /* offset in units from the record's start */
	__u16 length;         /* octets of the RRs */
	__u16 signed_length;  /* octets with RRSIGs; the same as length: there are none */
	__u16 records;        /* RRs without RRSIGs */
	__u16 signed_records; /* RRs with RRSIGs */
	__u16 sum;            /* ones'-complement sum of the RRs, at an even place, suffix pointers being 0 */
	__u16 signed_sum;     /* the same of all */
	__u16 owners;
	__u16 suffixes;
};

/* The NSEC of a wildcard with its owner spelt out, as it is needed for proofs: an RRset of a type that no query which
 * gets so far can ask for (AXFR). */
#define PG_TYPE_NSEC_AT_WILDCARD 252

/* How a zone proves that something does not exist. */
enum pg_denial {
	PG_DENIAL_NONE = 0, /* it is not signed, or has no chain that we could use */
	PG_DENIAL_NSEC = 1,
	PG_DENIAL_NSEC3 = 2,
	PG_DENIAL_BROKEN = 3, /* it is signed, but nothing can be proved */
};

/*
 * What proves that the name itself (PG_PROOF_OWN) has not a type, and that there is no wildcard below it
 * (PG_PROOF_WILDCARD). With NSEC3, the first 64 bits of the hashes of these names, to look the matching or covering
 * record up by. With NSEC, the index hash (PG_ROLE_NAME) of the name whose NSEC does it, 0 for none; a node without
 * these does both by its own.
 */
enum pg_proof { PG_PROOF_OWN, PG_PROOF_WILDCARD, PG_PROOFS };

/* What answers of one zone version share. Immutable once referred to. */
struct pg_head {
	__u32 units; /* size of this record in units of PG_UNIT */
	__u32 zone;  /* slot */
	__u32 version;
	__u32 serial;
	__u32 names;  /* number of nodes with PG_ROLE_NAME, for people */
	__u32 denial; /* enum pg_denial */
	/* What denies a name below the apex, where no wildcard answers it: the SOA, and, signed, also the NSEC or NSEC3
	 * records that prove all but that the name itself is not there. They match or cover the apex and the wildcard,
	 * by enum pg_proof, and have these keys: of NSEC the index hash of its name, of NSEC3 the first 64 bits of its
	 * own. Without records: there are no such proofs. */
	__u64 known[PG_PROOFS];
	struct pg_rrset soa; /* of negative answers (RFC 2308) */
	struct pg_rrset denied;
	__u16 iterations; /* of NSEC3, additional ones */
	__u8 salt_length; /* octets */
	__u8 span_order; /* there are 2^span_order spans: a hash belongs to the one with the number of its first bits */
	__u32 reserved;
	__u8 salt[]; /* padded with zeros to whole words */
};

/*
 * A node: everything known of one owner name in one role, in one immutable record:
 *
 *   struct pg_node | name, padded to 8 | struct pg_below if PG_NODE_BELOW | __u64 [PG_PROOFS] if PG_NODE_PROOFS |
 *   struct pg_rrset [rrsets], by type | fragments, each aligned to 8
 *
 * A new version of the node refers to the one before by `previous`; a reader takes the first whose
 * `since` is not later than the zone's committed version.
 */
struct pg_node {
	__u64 hash;      /* of its key; the upper half is the tag of its cell */
	__u32 since;     /* zone version from which on this node is visible */
	pg_ref previous; /* older version of the same node; dangling once every reader has `since` */
	__u32 zone;      /* slot */
	__u32 units;     /* size of the whole record in units of PG_UNIT */
	__u16 rrsets;
	__u16 flags;      /* enum pg_node_flag */
	__u8 name_length; /* octets in wire format; of a span, whose name is its number, 4; of an NSEC3 record, whose
	                     owner its fragment begins with, 0 */
	__u8 role;        /* enum pg_role */
	__u16 reserved;
};

enum pg_node_flag {
	PG_NODE_ABSENT = 1,     /* the name is gone since this version */
	PG_NODE_DELEGATION = 2, /* a zone cut below the apex */
	PG_NODE_APEX = 4,
	PG_NODE_BELOW = 8,   /* has a struct pg_below: nearly all names have nothing of the kind below them */
	PG_NODE_PROOFS = 16, /* says itself what proves something of its name, below */
	PG_NODE_HASHED = 32, /* an NSEC3 record matches the name: not below an opt-out delegation alone */
	PG_NODE_GAP = 64, /* its NSEC or NSEC3 does not lead to the next one there is: it proves nothing but itself */
	PG_NODE_WILDCARD = 128, /* its first label is an asterisk */
	PG_NODE_SOURCE = 256,   /* of additional data: what it holds stands nowhere else in the image */
	PG_NODE_DNAME = 512,    /* names below are redirected */
};

/* The flags of the parts that stand between name and RRsets only where they are needed; as numbers, their octets. */
#define PG_NODE_PARTS (PG_NODE_BELOW | PG_NODE_PROOFS)

/* What else there is below a name; 0: there is none. */
struct pg_below {
	pg_ref wildcard; /* node of the wildcard */
	pg_ref order;    /* of a zone with NSEC: struct pg_order of the names one label below */
};

/*
 * NSEC: the names one label below another, in canonical order (RFC 4034 section 6.1), as a tree of blocks:
 *
 *   struct pg_order | struct pg_order_entry [count] | __u16 label [count], padded to 8 | labels
 *
 * A block's labels begin with the same `skip` octets; what follows, as a number, tells most of them apart. What a label
 * leads to is, of a leaf, the index hash of the last name at or below it that has an NSEC, or 0 for none; else, in the
 * lower half, the block that begins with it. `label` is where the label stands, length and octets, from the record's
 * start.
 *
 * A search reads the head, then PG_ORDER_STEP entries: blocks of a large zone are in no cache.
 */
#define PG_ORDER_ENTRIES 31
#define PG_ORDER_STEP 8
struct pg_order_entry {
	__u64 window; /* octets skip … skip + 7 of the label, zeros behind its end, big-endian, less the last bit */
	__u64 leads;
};
struct pg_order {
	__u32 units; /* size of this record in units of PG_UNIT */
	__u16 count;
	__u8 skip;
	__u8 leaf;
	__u64 prefix; /* of the octets skipped the first eight, zeros behind them, big-endian */
	/* The windows of every PG_ORDER_STEP-th entry: that of entries 7, 15 … A window that is greater than all where
	 * there is no such entry. */
	__u64 step[PG_ORDER_ENTRIES / PG_ORDER_STEP];
	struct pg_order_entry entry[];
};
#define PG_ORDER_LAST (~0ULL >> 1)

/* NSEC3: the records whose hashes begin with the same `span_order` bits: the node with PG_ROLE_SPAN holds it behind its
 * name. All numbers are the first 64 bits of hashes. */
#define PG_SPAN_ENTRIES 64
struct pg_span {
	__u64 count;  /* of more than PG_SPAN_ENTRIES, not all are there: nothing is to be proved by it */
	__u64 before; /* the last record before this span, around the end of all */
	__u64 hash[]; /* ascending */
};

struct pg_relocation {
	__u16 position; /* of the pointer, from the start of the fragment */
	__u16 to;       /* PG_TO */
};

/* What a compression pointer is counted from. */
enum pg_base {
	PG_BASE_SNAME,  /* the start of sname: an owner name */
	PG_BASE_SUFFIX, /* the end of sname: less the octets of a suffix */
	PG_BASE_OWN,    /* the start of the fragment itself: where an owner is spelt out */
	PG_BASES = 4,
};

/* What a pointer is to: a base, and octets that are added to it, or, as two's complement, taken from it. With the base
 * itself, and both upper bits set, this makes the pointer. */
#define PG_TO_BASE 14
#define PG_TO_OCTETS ((1U << PG_TO_BASE) - 1)
#define PG_TO(base, octets) ((__u16)((__u32)(base) << PG_TO_BASE | ((__u32)(octets)&PG_TO_OCTETS)))

/* Where a fragment's relocations, and its targets, stand: octets from its start. */
static inline __attribute__((always_inline)) __u32 pg_relocations_at(const struct pg_rrset *rrset)
{
	return (rrset->signed_length + 3U) & ~3U;
}

static inline __attribute__((always_inline)) __u32 pg_targets_at(const struct pg_rrset *rrset)
{
	__u32 relocations = rrset->owners + rrset->suffixes - (rrset->owners ? 1U : 0U);

	return (pg_relocations_at(rrset) + relocations * (__u32)sizeof(struct pg_relocation) + 7U) & ~7U;
}

/* A name whose addresses belong in the additional section. The required ones come first. */
struct pg_target {
	__u64 hash;     /* of (zone, PG_ROLE_ADDRESSES, name) */
	__u32 required; /* glue that a referral must carry, RFC 9471 */
	__u32 position; /* where the name stands in the fragment: what the owners of its addresses point to */
};

_Static_assert(PG_COLD == 0x80000000U, "a reference tells by its first bit whether the program can follow it");
_Static_assert(sizeof(struct pg_cell) == 8, "a cell is one word");
_Static_assert(sizeof(struct pg_bucket) == 64, "a bucket is one cache line");
_Static_assert(sizeof(struct pg_zone) == 384, "zone record");
_Static_assert(sizeof(struct pg_head) == 96, "zone head");
_Static_assert(sizeof(struct pg_node) == 32, "node header");
_Static_assert(sizeof(struct pg_below) == PG_NODE_BELOW, "a part's flag is its size");
_Static_assert(sizeof(__u64) * PG_PROOFS == PG_NODE_PROOFS, "a part's flag is its size");
_Static_assert(sizeof(struct pg_rrset) == 24, "RRset entry");
_Static_assert(sizeof(struct pg_order) == 40, "ordered block");
_Static_assert(sizeof(struct pg_order_entry) == 16, "entry of an ordered block");
_Static_assert(sizeof(struct pg_relocation) == 4, "relocation");
_Static_assert(sizeof(struct pg_target) == 16, "additional target");

#endif

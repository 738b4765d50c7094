/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ABI between the agent and the kernel program: what stands in the maps.
 *
 * The image is the zones' data in compiled form. It stands in memory once: in mmapable BPF arrays
 * that the agent writes with plain stores, and that the program and the fallback server read.
 *
 *   zone_index   hash of an apex name        -> slot in `zones`
 *   zones        one record a zone: committed version, expiry deadline
 *   index        hash of (zone, role, name)  -> node
 *   segments     the nodes and zone heads themselves
 *
 * All integers are in host byte order, except inside fragment data, which is DNS wire format.
 * Change anything here and PG_SCHEMA must grow: a pinned image of another schema is replaced.
 */
#ifndef PEREGRINE_IMAGE_SHARED_H
#define PEREGRINE_IMAGE_SHARED_H

#include <linux/types.h>

#define PG_SCHEMA 2

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

#define PG_NAME_MAX 255   /* octets of a name in wire format, RFC 1035 section 2.3.4 */
#define PG_NAME_ROOM 256  /* the same, padded to whole words */
#define PG_LABELS_MAX 127 /* labels of a name, without the root */

/* What a key stands for. The role is mixed into the hash, so that the roles do not see each other. */
enum pg_role {
	PG_ROLE_ZONE = 1,      /* apex -> slot in `zones` (in zone_index only) */
	PG_ROLE_NAME = 2,      /* authoritative name, empty non-terminal or delegation -> node */
	PG_ROLE_ADDRESSES = 3, /* A and AAAA as additional data or glue -> node */
};

/* One cell of a hash index: written and read as one aligned 64-bit word, so that it changes at once. */
struct pg_cell {
	__u32 tag; /* upper half of the key's hash */
	__u32 ref; /* 0 with tag 0: empty for ever; 0 with another tag: removed, search on */
} __attribute__((aligned(8)));

/* A bucket is one cache line. Only a bucket without an empty cell lets the search go on to the next. */
#define PG_BUCKET_CELLS 8
#define PG_BUCKETS_PROBED 4
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
};

/* One RRset of a node, with all that deciding needs to know of its fragment. */
struct pg_rrset {
	__u16 type;
	__u16 additional; /* number of targets behind the fragment's relocations */
	__u32 fragment;   /* offset in units from the record's start */
	__u16 length;     /* octets of the fragment's data */
	__u16 records;    /* RRs in it */
	__u16 pieces;     /* relocations in it, of both kinds; 65535: that many or more */
	__u16 reserved;
};

/* What answers of one zone version share. Immutable once referred to. */
struct pg_head {
	__u32 units; /* size of this record in units of PG_UNIT */
	__u32 zone;  /* slot */
	__u32 version;
	__u32 serial;
	__u32 names; /* number of nodes with PG_ROLE_NAME, for people */
	__u32 reserved;
	struct pg_rrset denial; /* the SOA of negative answers (RFC 2308) */
};

/*
 * A node: everything known of one owner name in one role, in one immutable record:
 *
 *   struct pg_node | name, padded to 8 | struct pg_rrset [rrsets], by type | fragments, each aligned to 8
 *
 * A new version of the node refers to the one before by `previous`; a reader takes the first whose
 * `since` is not later than the zone's committed version.
 */
struct pg_node {
	__u64 hash;      /* of (zone, role, name); the upper half is the tag of its cell */
	__u32 since;     /* zone version from which on this node is visible */
	pg_ref previous; /* older version of the same node; dangling once every reader has `since` */
	__u32 zone;      /* slot */
	__u32 units;     /* size of the whole record in units of PG_UNIT */
	pg_ref wildcard; /* node of the wildcard below this name, or 0 */
	__u16 rrsets;
	__u8 flags;       /* enum pg_node_flag */
	__u8 name_length; /* octets in wire format */
};

enum pg_node_flag {
	PG_NODE_ABSENT = 1,     /* the name is gone since this version */
	PG_NODE_DELEGATION = 2, /* a zone cut below the apex */
	PG_NODE_APEX = 4,
	PG_NODE_ADDRESSES = 8, /* role PG_ROLE_ADDRESSES */
};

/*
 * A fragment: the RRs of an RRset in wire format, ready to be linked into a reply:
 *
 *   struct pg_fragment | data, padded to 8 | struct pg_relocation [owners + suffixes] | padded to 8 |
 *   struct pg_target [additional]
 *
 * Every owner name that is the searched name (sname) is a compression pointer to octet 12, where the
 * question's name stands; the first `owners` relocations are the places of these pointers, which
 * must be moved when sname stands elsewhere (behind a CNAME). The next `suffixes` relocations are
 * pointers to a suffix of sname of the given length, which always have to be filled in.
 */
struct pg_fragment {
	__u16 length;  /* octets of data */
	__u16 records; /* RRs */
	__u16 sum;     /* ones'-complement sum of data, at an even place, suffix pointers being 0 */
	__u16 owners;
	__u16 suffixes;
	__u16 reserved[3];
};

struct pg_relocation {
	__u16 position; /* of the pointer, from the start of data */
	__u16 suffix;   /* octets of the suffix of sname pointed to; 0: the whole of sname */
};

/* A name whose addresses belong in the additional section. The required ones come first. */
struct pg_target {
	__u64 hash;     /* of (zone, PG_ROLE_ADDRESSES, name) */
	__u32 required; /* glue that a referral must carry, RFC 9471 */
	__u32 position; /* where the name stands in the fragment's data: what the owners of its addresses point to */
};

_Static_assert(sizeof(struct pg_cell) == 8, "a cell is one word");
_Static_assert(sizeof(struct pg_bucket) == 64, "a bucket is one cache line");
_Static_assert(sizeof(struct pg_zone) == 384, "zone record");
_Static_assert(sizeof(struct pg_head) == 40, "zone head");
_Static_assert(sizeof(struct pg_node) == 32, "node header");
_Static_assert(sizeof(struct pg_rrset) == 16, "RRset entry");
_Static_assert(sizeof(struct pg_fragment) == 16, "fragment header");
_Static_assert(sizeof(struct pg_relocation) == 4, "relocation");
_Static_assert(sizeof(struct pg_target) == 16, "additional target");

#endif

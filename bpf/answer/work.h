/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The work area of one query: what the stages of the engine hand to each other. One for each CPU in the kernel, one for
 * each thread on the host. What a query leaves in it means nothing to the next.
 */
#ifndef PEREGRINE_ANSWER_WORK_H
#define PEREGRINE_ANSWER_WORK_H

#include "image_shared.h"
#include "limits_shared.h"
#include "settings_shared.h"

/* Fragments in one reply, all sections together. What does not fit in the kernel's work area is passed. */
#ifdef __bpf__
#define PG_PLACED_MAX PG_PROGRAM_PLACED_MAX
#else
#define PG_PLACED_MAX 8192
#endif
/* CNAMEs in one reply, the same on both paths, and as Knot DNS has it. A longer chain is answered as far as that, which
 * leaves the rest to the resolver, as with any target outside the zones served. */
#define PG_CHAIN_MAX 5
#define PG_CHAIN_ROOM 8
/* Name, salt and padding: nine blocks of SHA-1. */
#define PG_SHA1_ROOM 576

/* Proofs of one reply: three for each name of a chain at the worst, of which few are left to be different. */
#define PG_PROOFS_MAX 16

/* Sections by their counts, as a word that is turned round for the header has them. */
enum pg_section { PG_ADDITIONAL, PG_AUTHORITY, PG_ANSWER, PG_QUESTION, PG_SECTIONS };

#define PG_WORDS __attribute__((aligned(8)))

/* Which part of a fragment is due; or, of a DNAME's, the CNAME that is made of it. */
enum pg_form { PG_PLAIN, PG_SIGNED, PG_SIGNATURES, PG_SYNTHESIS };

/* A fragment that is due, all that linking needs to know of it, and the sname that its pointers refer to. */
struct pg_placed {
	pg_ref fragment;
	__u16 end;              /* message offset just behind sname: suffix pointers are 0xC000 | (end - k) */
	__u8 sname;             /* octets of that sname */
	__u8 form;              /* enum pg_form */
	__u16 from, octets;     /* where in the fragment that begins which is due, and its length */
	__u16 sum;              /* of these octets, as if they stood at an even place */
	__u16 signed_length;    /* of the whole fragment, as ... */
	__u16 owners, suffixes; /* ... its RRset has them */
};

/* A record that proves what does not exist: due in the authority section, once the answer is complete. */
struct pg_proof_due {
	struct pg_placed place;
	struct pg_rrset rrset;
};

/* Nodes that queries found: the program notes each, in a ring, for the agent to look at now and then; the host those of
 * one query that are cold. */
#define PG_USES 256
struct pg_uses {
	__u64 count;
	pg_ref ref[PG_USES];
};

struct pg_work {
	struct pg_uses uses; /* first, where the agent looks for it */

	/* The searched name, from the question or a CNAME's target. */
	__u8 name[PG_NAME_ROOM + 16];  /* lower case, followed by at least 8 zeros */
	__u8 label[PG_LABELS_MAX + 1]; /* where label i starts in name; label[labels] is the root */
	__u32 name_length;             /* octets */
	__u32 labels;                  /* without the root */
	__u64 name_hash;               /* of PG_ROLE_NAME */

	/* The query. */
	__u32 message;         /* program only: offset of the DNS message in the frame */
	__u32 message_length;  /* octets */
	__u32 question_length; /* octets of the question section */
	__u64 question_sum;    /* ones'-complement sum of them, not folded */
	__u16 qtype;
	__u16 flags; /* enum pg_work_flag */
	__u32 limit; /* octets that the reply may have, OPT included */
	__u64 now;   /* CLOCK_BOOTTIME, nanoseconds */

	/* Who asks, as on the wire; an IPv4 address is 4 octets, the rest then means nothing. */
	__u64 client[2];
	__u32 client_octets;

	/* The OPT record of the reply. */
	__u16 edns;       /* enum pg_edns_flag */
	__u16 opt_length; /* octets; 0: there is none */
	__u32 policy;     /* which of the settings' two this query goes by */
	__u16 cookie_at;  /* message offset of the query's cookie; 0: none */
	__u16 cookie_length;
	__u64 cookie[3]; /* client cookie and server cookie: as received, then as they are to be given */

	/* What was found. */
	__u32 zone;        /* slot */
	__u32 zone_labels; /* of its apex */
	__u32 version;     /* V: the committed version when the zone was found */
	pg_ref head;
	__u64 expires_at;
	pg_ref node; /* exact match, or the closest encloser */
	__u32 node_labels;
	pg_ref wildcard;                    /* of that node, above sname */
	__u32 node_flags;                   /* of that node */
	__u32 position;                     /* in a bucket */
	__u32 entry;                        /* in a node's table of RRsets */
	pg_ref probed;                      /* result of the last look-up in the index */
	__u32 beyond;                       /* a record was looked for in memory that this side does not have */
	__u32 first, exists, missing, step; /* of the search for the closest encloser */

	/* The RRset found at a node. */
	pg_ref rrset_at; /* its fragment */
	__u32 has_rrset;
	struct pg_rrset rrset;

	/* Denial of existence. */
	__u32 prove;       /* enum pg_prove, of the present sname; 0: nothing */
	pg_ref order;      /* block to go on with; 0: the search is over */
	__u32 order_start; /* where the label searched for stands in name */
	__u64 window;      /* eight octets of it */
	__u64 last;        /* index hash of the name before, if any is ... */
	__u32 found;       /* ... found */
	__u64 hash;        /* first 64 bits of a name's NSEC3 hash */
	__u64 schedule[8]; /* of one block */
	__u8 sha1_input[PG_SHA1_ROOM];
	__u32 sha1[5];          /* digest */
	__u64 known[PG_PROOFS]; /* as the head has them */
	struct pg_proof_due proof[PG_PROOFS_MAX];

	/* What was decided. */
	__u32 rcode;                  /* extended RCODE */
	__u32 end;                    /* message offset just behind sname */
	__u32 next_end;               /* the same for the name that a CNAME leads to */
	__u32 chain;                  /* CNAMEs followed */
	__u64 visited[PG_CHAIN_ROOM]; /* hashes of the names searched for, if there was a CNAME */
	__u32 length;                 /* octets of the reply as decided so far, without OPT */
	pg_ref wanted_at;             /* targets whose addresses are due in the additional section: of this fragment, */
	__u32 wanted_from;            /* ... from this octet on, ... */
	__u32 wanted_start;           /* ... which stands at this octet of the reply, ... */
	/* What pg_clear sets anew stands together. */
	__u32 wanted PG_WORDS; /* ... so many */
	__u32 knows;           /* the records with the keys `known` have been placed with the SOA */
	__u32 placed, proofs;
	__u16 count[PG_SECTIONS] PG_WORDS; /* records, by enum pg_section, and the question */
	struct pg_placed place[PG_PLACED_MAX];

	/* Linking. */
	__u16 base[PG_BASES];                     /* by enum pg_base: message offsets */
	__u8 scratch[12 + 2 * PG_NAME_ROOM + 16]; /* a record that is made */
	__u32 written;                            /* octets of the reply that stand in the message */
	__u64 sum;                                /* ones'-complement sum of them, not folded */

#ifdef __bpf__
	/* What stays from query to query on this CPU. */
	__u64 clock;             /* CLOCK_BOOTTIME, nanoseconds, as of ... */
	__u64 clock_ticks;       /* ... this tick */
	__u64 address[2];        /* a service address, looked up in ... */
	__u32 addresses_version; /* ... this version of their map */
#else
	const struct image_view *view; /* what the host's primitives read */
#endif
};

/* What is to be proved of a name (prove.h). */
enum pg_prove {
	PG_PROVE_OWN = 1,
	PG_PROVE_ENCLOSER = 2,
	PG_PROVE_COVER = 4,
	PG_PROVE_WILDCARD = 8,
	PG_PROVE_EXPANDED = 16,
	PG_PROVE_DELEGATION = 32, /* places the DS, or asks for OWN */
	PG_PROVE_NAME_ERROR = PG_PROVE_ENCLOSER | PG_PROVE_COVER | PG_PROVE_WILDCARD,
	PG_PROVE_EXPANDED_NO_DATA = PG_PROVE_ENCLOSER | PG_PROVE_COVER | PG_PROVE_EXPANDED,
};

enum pg_table_id { PG_TABLE_INDEX, PG_TABLE_ZONES };

enum pg_work_flag {
	PG_WORK_OPT = 1, /* the query has an OPT record, so the reply gets one */
	PG_WORK_TC = 2,  /* this and AA as in the header */
	PG_WORK_AA = 4,
	PG_WORK_DO = 8,
	PG_WORK_TCP = 16,
};

enum pg_edns_flag {
	PG_EDNS_NSID = 1,          /* asked, and due */
	PG_EDNS_COOKIE = 2,        /* the client sent a cookie, so it is given one */
	PG_EDNS_SERVER_COOKIE = 4, /* and it has the length of one of ours */
	PG_EDNS_GOOD_COOKIE = 8,   /* and it is one of ours: the client's address is no forgery */
	PG_EDNS_EDE = 16,          /* "not authoritative" is due */
};

#endif

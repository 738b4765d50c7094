/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What stands behind a node's name (struct pg_node), as compiler and publisher read it. */
#ifndef PEREGRINE_COMPILE_NODE_H
#define PEREGRINE_COMPILE_NODE_H

#include "image_shared.h"

static inline const __u8 *node_behind_name(const struct pg_node *node)
{
	return (const __u8 *)(node + 1) + ((node->name_length + 7U) & ~7U);
}

/* What there is below the name. */
static inline struct pg_below node_below(const struct pg_node *node)
{
	return node->flags & PG_NODE_BELOW ? *(const struct pg_below *)node_behind_name(node) : (struct pg_below){};
}

/* The words that say what proves something of the name, if the node has any. */
static inline const __u64 *node_proofs(const struct pg_node *node)
{
	return (const __u64 *)(node_behind_name(node) + (node->flags & PG_NODE_BELOW));
}

/* The table of its RRsets. */
static inline const struct pg_rrset *node_rrsets(const struct pg_node *node)
{
	return (const struct pg_rrset *)(node_behind_name(node) + (node->flags & PG_NODE_PARTS));
}

/* The owner of an NSEC3 record's node: its first label, length and octets, with which the record's fragment begins. All
 * others of it are the apex. */
static inline const __u8 *node_label(const struct pg_node *node)
{
	return (const __u8 *)node + (__u64)node_rrsets(node)->fragment * PG_UNIT;
}

/* What tells a node from others of its zone and role: a name, or a span's number; of an NSEC3 record its label. */
static inline const __u8 *node_name(const struct pg_node *node)
{
	return node->role == PG_ROLE_NSEC3 ? node_label(node) : (const __u8 *)(node + 1);
}

#endif

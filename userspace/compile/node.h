/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What stands behind a node's name (struct pg_node), as compiler and publisher read it. */
#ifndef PEREGRINE_COMPILE_NODE_H
#define PEREGRINE_COMPILE_NODE_H

#include "image_shared.h"

/* The words that say what proves something of the name, if the node has any. */
static inline const __u64 *node_proofs(const struct pg_node *node)
{
	return (const __u64 *)((const __u8 *)(node + 1) + ((node->name_length + 7U) & ~7U));
}

/* The table of its RRsets. */
static inline const struct pg_rrset *node_rrsets(const struct pg_node *node)
{
	return (const struct pg_rrset *)(node_proofs(node) + (node->flags & PG_NODE_PROOFS ? PG_PROOFS : 0));
}

#endif

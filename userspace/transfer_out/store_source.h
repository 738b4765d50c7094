/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Zones to be transferred, read from the store: its snapshots are one zone at one moment. */
#ifndef PEREGRINE_STORE_SOURCE_H
#define PEREGRINE_STORE_SOURCE_H

#include "store/store.h"
#include "transfer_out/transfer_out.h"

/* Fills in `source`, which reads from `store` as long as that is open. Its snapshots are for any thread. */
void store_source(struct out_source *source, struct store *store);

#endif

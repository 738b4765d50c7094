/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What attempt.c has of attempt_end.c. Those that say so leave no attempt behind. */
#ifndef PEREGRINE_ATTEMPT_H
#define PEREGRINE_ATTEMPT_H

#include "transfer_internal.h"

/* ---- on the way ---- */

/* The address is asked, perhaps once more in this attempt. */
void attempt_note_begin(struct attempt *attempt, enum history_kind kind, enum history_transport transport);
/* Something came, or will not come any more: of TCP, the connection stood before that. What failed may be TLS. */
void attempt_note_connected(struct attempt *attempt);
void attempt_note_message(struct attempt *attempt, size_t octets);
/* The primary told its serial. */
void attempt_note_serial(struct follower *follower, uint32_t serial);
/* A sign of life. */
void attempt_heard(struct attempt *attempt);
/* All that was asked has come: the connection, if there is one, is free for others. */
void attempt_answered(struct attempt *attempt);
/* Ends what has been begun with the address. */
void attempt_drop_exchange(struct attempt *attempt);

/* ---- the end ---- */

/* The primary has what is served: over. */
void attempt_confirmed(struct attempt *attempt, const struct soa_timers *soa);
/* The primary has an older serial: over. */
void attempt_older(struct attempt *attempt, uint32_t serial);
/* Whether this serial of the primary was refused lately, and nobody asks for it all the same: over, then. */
bool attempt_still_refused(struct attempt *attempt, uint32_t serial);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Response-rate limiting of the fallback's UDP side: the program's arithmetic (bpf/answer/limit.h) on a table of its
 * own. For any thread. */
#ifndef PEREGRINE_LIMITER_H
#define PEREGRINE_LIMITER_H

#include "answer/work.h"
#include "config/config.h"

#include <stddef.h>

struct limiter;

struct limiter *limiter_open(void); /* NULL: no memory */
void limiter_close(struct limiter *limiter);

/* Replaces the prefixes of clients that are not limited. Returns 0, or -1 when memory is short. */
int limiter_set_exempt(struct limiter *limiter, const struct config_prefix *prefixes, size_t count);

/* Charges a response to work->client, and judges it: an enum pg_verdict. `answers`: records of its answer section. */
int limiter_judge(struct limiter *limiter, const struct pg_settings *settings, const struct pg_work *work,
                  unsigned answers);

#endif

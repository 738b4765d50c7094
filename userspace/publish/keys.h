/* SPDX-License-Identifier: GPL-3.0-or-later */
/* BPF maps that are sets: of service addresses, of exempt prefixes. */
#ifndef PEREGRINE_KEYS_H
#define PEREGRINE_KEYS_H

#include <stddef.h>

/* Makes the map hold just these keys, of `size` octets each, which are sorted, and of which doubles are dropped; `room`
 * is what the map takes. New keys are in it before old ones are taken out, unless both do not fit in together. Returns
 * 0 or a negative errno; -E2BIG: too many. */
int keys_make_exactly(int map, void *keys, size_t size, size_t count, size_t room);

#endif

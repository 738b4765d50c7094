/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The types of map values for the kernel, so that `bpftool map dump` prints named fields: the BTF of the program's
 * object. */
#ifndef PEREGRINE_TYPES_H
#define PEREGRINE_TYPES_H

#include <linux/bpf.h>
#include <stdint.h>

/* Makes a map whose value is the named struct, its key a number. Returns its file descriptor, or -1 with errno. */
int types_create_map(enum bpf_map_type type, const char *name, const char *value_type, uint32_t value_size,
                     uint32_t entries, uint32_t flags);

/* Makes an array map whose value is the named struct. Returns its file descriptor, or -1 with errno. */
int types_create_array(const char *name, const char *value_type, uint32_t value_size, uint32_t entries, uint32_t flags);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What libbpf prints. It goes to the debug log, and the kernel's own words on a refused request (netlink's extended
 * acknowledgement, which libbpf gives to its print callback and to nobody else) are kept for the message to people.
 */
#ifndef PEREGRINE_BPFLOG_H
#define PEREGRINE_BPFLOG_H

/* Takes over libbpf's printing, for the whole process. Idempotent. */
void bpflog_install(void);

/* Forgets what was kept for this thread. */
void bpflog_clear(void);

/* Since bpflog_clear, on this thread: the kernel's words, and the first warning of libbpf. "" when there was none. */
const char *bpflog_kernel_words(void);
const char *bpflog_first_warning(void);

/* strerror, and the error numbers that only the kernel knows; takes either sign. */
const char *bpflog_error_text(int error);

#endif

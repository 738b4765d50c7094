/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef PEREGRINE_TESTS_OWN_BPFFS_H
#define PEREGRINE_TESTS_OWN_BPFFS_H

#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

/* Gives this process a bpffs of its own, which goes with it. Returns 0, or -1 after saying why. */
static inline int own_bpffs(void)
{
	if (geteuid()) {
		fputs("this test needs root\n", stderr);
		return -1;
	}
	if (!unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	    !mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL))
		return 0;
	fputs("no bpffs can be mounted\n", stderr);
	return -1;
}

#endif

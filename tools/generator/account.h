/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What became of the CPUs' time between two moments. */
#ifndef PEREGRINE_GENERATOR_ACCOUNT_H
#define PEREGRINE_GENERATOR_ACCOUNT_H

#include <stdint.h>

#define ACCOUNT_TASKS 64

/* Times in seconds, since the machine was started but for `now`. */
struct account {
	double now;
	double busy, idle, stolen; /* of one CPU; busy is user, system, interrupts and softirqs */
	double tasks;              /* CPU time of the named processes, all their threads */
};

/* What `now` is taken from: CLOCK_MONOTONIC in seconds. */
double account_clock(void);

/* The account of `cpu` and of `count` processes now. What cannot be read counts as 0. */
void account_take(struct account *account, int cpu, const int *pids, unsigned count);

/* Puts the process numbers of a list, by commas, behind the `count` that `pids` has; -1 when they are too many. */
int account_pids(char *text, int *pids, unsigned *count);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef PEREGRINE_GENERATOR_OPTIONS_H
#define PEREGRINE_GENERATOR_OPTIONS_H

#include "account.h"

#include <stdbool.h>

struct options {
	const char *interface, *queries, *samples;
	unsigned slot, outstanding, room, cpu;
	double warm, seconds;
	bool turns;           /* so often as there are lines on standard input */
	bool open;            /* an open loop: */
	double rate;          /* so many queries a second; 0: as many as can be sent */
	const char *beside;   /* or as many as can be sent, and so many a second by this interface: */
	unsigned beside_from; /* those from this one on */
	bool reflect, count;  /* `beside` reflects too, by the same program; `count`: in one cache line for all CPUs */
	int pids[ACCOUNT_TASKS];
	unsigned pid_count;
};

/* What the command line says; where it says nothing good, usage is printed and -1 returned. */
int options_read(struct options *options, int argc, char **argv);

#endif

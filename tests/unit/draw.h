/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef PEREGRINE_TESTS_DRAW_H
#define PEREGRINE_TESTS_DRAW_H

#include <stdint.h>

static uint64_t random_state;

/* A number below a bound by splitmix64, from random_state: the same everywhere. */
static inline uint64_t draw(uint64_t below)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15U;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
	z = (z ^ z >> 27) * 0x94d049bb133111ebU;
	return (z ^ z >> 31) % below;
}

#endif

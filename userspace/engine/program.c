/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The answer engine on the host once more, with the bounds that it has in the program. */
#include "engine/engine.h"

#define ENGINE_AS_PROGRAM
#define engine_answer engine_answer_as_program

/* The work area keeps the host's room; what is used of it is bounded. */
#undef PG_PLACED_MAX
#define PG_PLACED_MAX PG_PROGRAM_PLACED_MAX
#define PG_SCAN_MAX PG_PROGRAM_SCAN_MAX
#define PG_TARGETS_MAX PG_PROGRAM_TARGETS_MAX
#define PG_REPLY_MAX PG_PROGRAM_REPLY_MAX
#define PG_ITERATIONS_MAX PG_PROGRAM_ITERATIONS_MAX
#define PG_ASCENT_MAX PG_PROGRAM_ASCENT_MAX
#define PG_SIGNATURES_MASK PG_PROGRAM_SIGNATURES_MASK
#define PG_RECORD_ROOM PG_SEGMENT_GUARD

#include "engine/engine.c" /* NOLINT(bugprone-suspicious-include) */

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The part of the settings that changes while the program runs. */
#include "publish/image_internal.h"

#include <time.h>

/* A difference that is none: reading two clocks takes its time. */
#define CLOCK_TOLERANCE 10000000

void image_set_policy(struct image *image, const struct pg_policy *policy)
{
	struct pg_settings *settings = image->settings;
	uint8_t next = !(settings->policy & 1);

	settings->policies[next] = *policy;
	__atomic_store_n(&settings->policy, next, __ATOMIC_RELEASE);
	/* The other one is written next time; by then nobody goes by it. */
	image_wait_readers(image);
}

void image_set_clock(struct image *image)
{
	struct timespec real, boot;
	uint64_t offset;
	int64_t moved;

	clock_gettime(CLOCK_BOOTTIME, &boot);
	clock_gettime(CLOCK_REALTIME, &real);
	offset = (uint64_t)(real.tv_sec - boot.tv_sec) * 1000000000U + (uint64_t)real.tv_nsec - (uint64_t)boot.tv_nsec;
	moved = (int64_t)(offset - image->settings->clock_offset);
	if (moved > CLOCK_TOLERANCE || moved < -CLOCK_TOLERANCE)
		__atomic_store_n(&image->settings->clock_offset, offset, __ATOMIC_RELAXED);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What time it is, for next to nothing: reading CLOCK_BOOTTIME costs some 40 ns, the count of ticks one load. */
#ifndef PEREGRINE_CLOCK_BPF_H
#define PEREGRINE_CLOCK_BPF_H

#include "maps.bpf.h"

/* How many ticks a CPU goes on with what it read: 0.64 s at the most (HZ 100), for cookies and limits. */
#define CLOCK_TICKS 64
#define CLOCK_LAG (1U << 30) /* nanoseconds; longer than that */

static __always_inline __u64 boottime(struct pg_work *w)
{
	__u64 ticks = bpf_jiffies64();

	if (ticks - w->clock_ticks >= CLOCK_TICKS) {
		w->clock = bpf_ktime_get_boot_ns();
		w->clock_ticks = ticks;
	}
	return w->clock;
}

/* Not a moment longer than its expiry, on any CPU: in the last second the clock is read for every query. */
static __always_inline int pg_expired(const struct pg_work *w)
{
	return w->now + CLOCK_LAG >= w->expires_at && bpf_ktime_get_boot_ns() >= w->expires_at;
}

#endif

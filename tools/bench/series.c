/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

void series_add(struct series *series, double value)
{
	if (series->count < sizeof(series->value) / sizeof(series->value[0]))
		series->value[series->count++] = value;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double series_at(const struct series *series, double part)
{
	static struct series sorted;
	double place = part * (series->count - 1);
	size_t below = place;

	if (!series->count)
		return 0;
	sorted = *series;
	qsort(sorted.value, sorted.count, sizeof(sorted.value[0]), compare);
	if (below + 1 >= sorted.count)
		return sorted.value[sorted.count - 1];
	return sorted.value[below] + (place - below) * (sorted.value[below + 1] - sorted.value[below]);
}

double series_spread(const struct series *series)
{
	double median = series_at(series, 0.5);

	return median > 0 ? (series_at(series, 0.75) - series_at(series, 0.25)) / median : 1;
}

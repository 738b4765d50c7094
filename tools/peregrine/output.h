/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Output for people: tables, times, sizes. What comes from the agent is printed without control characters. */
#ifndef PEREGRINE_OUTPUT_H
#define PEREGRINE_OUTPUT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define OUTPUT_COLUMNS 10

struct table {
	size_t columns;
	unsigned right; /* bit for each column that is aligned to the right */
	char **cells;   /* row by row */
	size_t count, room;
};

/* Headings end with NULL. */
void table_begin(struct table *table, const char *const *headings, unsigned right);
void table_cell(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Text or number of a JSON value; "-" for null or nothing. */
void table_value(struct table *table, const json_t *value);
/* Prints, aligned, and frees. */
void table_end(struct table *table);

#define OUTPUT_TEXT 64
/* "3d 4h", "12m 5s": the two largest units. */
void output_span(int64_t seconds, char *text);
/* "2026-02-03 04:05:06 (in 3h 12m)" or "(... ago)"; "-" for null. */
void output_time(const json_t *value, char *text);
/* "12.5 MiB" */
void output_size(double octets, char *text);
/* A string with its control characters replaced; "-" for none. */
const char *output_string(const json_t *object, const char *key);
long long output_number(const json_t *object, const char *key);

#endif

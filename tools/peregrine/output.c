/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "output.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A name or message may come from far away; it must not drive the terminal. */
static void make_harmless(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

static void add_cell(struct table *table, char *text)
{
	if (table->count == table->room) {
		table->room = table->room ? table->room * 2 : 64;
		table->cells = reallocarray(table->cells, table->room, sizeof(*table->cells));
	}
	if (!table->cells || !text) {
		fputs("peregrine: out of memory\n", stderr);
		exit(1);
	}
	make_harmless(text);
	table->cells[table->count++] = text;
}

void table_begin(struct table *table, const char *const *headings, unsigned right)
{
	*table = (struct table){.right = right};
	for (; headings[table->columns]; table->columns++)
		add_cell(table, strdup(headings[table->columns]));
}

void table_cell(struct table *table, const char *format, ...)
{
	char *text = NULL;
	va_list arguments;
	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	va_end(arguments);
	add_cell(table, text);
}

void table_value(struct table *table, const json_t *value)
{
	if (json_is_integer(value))
		table_cell(table, "%lld", (long long)json_integer_value(value));
	else if (json_is_string(value) && *json_string_value(value))
		table_cell(table, "%s", json_string_value(value));
	else
		table_cell(table, "-");
}

void table_end(struct table *table)
{
	size_t widths[OUTPUT_COLUMNS] = {0};
	for (size_t i = 0; i < table->count; i++) {
		size_t length = strlen(table->cells[i]), *width = &widths[i % table->columns];
		if (length > *width)
			*width = length;
	}
	for (size_t i = 0; i < table->count; i++) {
		size_t column = i % table->columns;
		int width = (int)widths[column];
		if (table->right >> column & 1)
			printf("%*s", width, table->cells[i]);
		else if (column + 1 < table->columns)
			printf("%-*s", width, table->cells[i]);
		else
			fputs(table->cells[i], stdout); /* the last column: no blanks behind it */
		fputs(column + 1 < table->columns ? "  " : "\n", stdout);
		free(table->cells[i]);
	}
	free(table->cells);
}

void output_span(int64_t seconds, char *text)
{
	static const struct {
		int64_t length;
		char letter;
	} units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
	size_t unit = 0;
	while (unit < 3 && seconds < units[unit].length)
		unit++;
	long long whole = (long long)(seconds / units[unit].length);
	long long rest = unit < 3 ? (long long)(seconds % units[unit].length / units[unit + 1].length) : 0;
	if (rest)
		snprintf(text, OUTPUT_TEXT, "%lld%c %lld%c", whole, units[unit].letter, rest, units[unit + 1].letter);
	else
		snprintf(text, OUTPUT_TEXT, "%lld%c", whole, units[unit].letter);
}

void output_time(const json_t *value, char *text)
{
	char span[OUTPUT_TEXT], absolute[32];
	struct tm parts;
	time_t then = (time_t)json_integer_value(value), now = time(NULL);
	if (!json_is_integer(value) || !localtime_r(&then, &parts) ||
	    !strftime(absolute, sizeof(absolute), "%Y-%m-%d %H:%M:%S", &parts)) {
		strcpy(text, "-");
		return;
	}
	output_span(then > now ? then - now : now - then, span);
	snprintf(text, OUTPUT_TEXT, then > now ? "%s (in %.24s)" : "%s (%.24s ago)", absolute, span);
}

void output_size(double octets, char *text)
{
	static const char *const units[] = {"octets", "KiB", "MiB", "GiB", "TiB"};
	size_t unit = 0;
	while (octets >= 1024 && unit < 4) {
		octets /= 1024;
		unit++;
	}
	snprintf(text, OUTPUT_TEXT, octets == (double)(long long)octets ? "%.0f %s" : "%.1f %s", octets, units[unit]);
}

const char *output_string(const json_t *object, const char *key)
{
	static char buffers[4][512]; /* for a few in one printf */
	static unsigned next;
	const char *value = json_string_value(json_object_get(object, key));
	char *text = buffers[next++ % 4];
	snprintf(text, sizeof(buffers[0]), "%s", value && *value ? value : "-");
	make_harmless(text);
	return text;
}

long long output_number(const json_t *object, const char *key)
{
	return (long long)json_integer_value(json_object_get(object, key));
}

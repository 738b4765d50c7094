/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Long enough for a zone name, an address and a sentence; what is longer is cut, so that a line stays one write. */
#define LINE_ROOM 2048

static atomic_int least_urgent = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&least_urgent, (int)level, memory_order_relaxed);
}

static const char *level_name(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return "error: ";
	case LOG_LEVEL_WARNING:
		return "warning: ";
	case LOG_LEVEL_DEBUG:
		return "debug: ";
	default:
		return "";
	}
}

/* A name or a message that came from a peer must not forge a second line or drive a terminal. */
static void make_harmless(char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		unsigned char octet = (unsigned char)text[i];
		if (octet < 0x20 || octet == 0x7f)
			text[i] = octet == '\t' ? ' ' : '?';
	}
}

void log_write(enum log_level level, const char *format, ...)
{
	if ((int)level > atomic_load_explicit(&least_urgent, memory_order_relaxed))
		return;
	int saved = errno;
	char line[LINE_ROOM];
	int used;
	/* systemd sets JOURNAL_STREAM when standard error is the journal, which takes its priority from <N>. */
	if (getenv("JOURNAL_STREAM"))
		used = snprintf(line, sizeof(line), "<%d>", (int)level);
	else
		used = snprintf(line, sizeof(line), "%s: %s", program_invocation_short_name, level_name(level));
	size_t start = used < 0 ? 0 : (size_t)used;
	if (start > sizeof(line) / 2)
		start = sizeof(line) / 2;

	va_list arguments;
	va_start(arguments, format);
	errno = saved; /* for %m */
	int wanted = vsnprintf(line + start, sizeof(line) - start, format, arguments);
	va_end(arguments);
	size_t length = wanted < 0 ? 0 : (size_t)wanted;
	if (length > sizeof(line) - start - 1) {
		length = sizeof(line) - start - 1;
		memcpy(line + start + length - 3, "...", 3);
	}
	make_harmless(line + start, length);
	line[start + length] = '\n'; /* over the final NUL: write takes a length */
	ssize_t written;
	do {
		written = write(STDERR_FILENO, line, start + length + 1);
	} while (written < 0 && errno == EINTR);
	errno = saved;
}

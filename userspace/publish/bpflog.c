/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "publish/bpflog.h"

#include "common/log.h"

#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KERNEL_ENOTSUPP 524 /* include/linux/errno.h of the kernel; some drivers let it out */

/* The publisher's thread calls libbpf as well: what it prints is none of the main thread's. */
static _Thread_local char kernel_words[160];
static _Thread_local char first_warning[256];

static const char *without(const char *line, const char *prefix)
{
	size_t length = strlen(prefix);

	return strncmp(line, prefix, length) == 0 ? line + length : line;
}

static void keep(const char *line)
{
	const char *text = without(line, "libbpf: ");
	const char *words = without(text, "Kernel error message: ");

	if (words != text)
		snprintf(kernel_words, sizeof(kernel_words), "%s", words);
	/* The first one is the cause; the others say what followed from it. */
	if (!first_warning[0])
		snprintf(first_warning, sizeof(first_warning), "%s", text);
}

static int print(enum libbpf_print_level level, const char *format, va_list arguments)
{
	char *text = NULL, *rest = NULL;

	if (level == LIBBPF_DEBUG)
		return 0;
	if (vasprintf(&text, format, arguments) < 0)
		return 0;
	/* The verifier's log comes as one text of many lines. */
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (level == LIBBPF_WARN)
			keep(line);
		log_debug("%s", line);
	}
	free(text);
	return 0;
}

void bpflog_install(void)
{
	libbpf_set_print(print);
}

void bpflog_clear(void)
{
	kernel_words[0] = '\0';
	first_warning[0] = '\0';
}

const char *bpflog_kernel_words(void)
{
	return kernel_words;
}

const char *bpflog_first_warning(void)
{
	return first_warning;
}

const char *bpflog_error_text(int error)
{
	error = abs(error);
	return error == KERNEL_ENOTSUPP ? "Operation not supported" : strerror(error);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For tests: configurations written as text, and the errors that are told of them. */
#ifndef PEREGRINE_CONFIG_TEXT_H
#define PEREGRINE_CONFIG_TEXT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECRET "Wdr7gnmzHVWhG6A5BVcDSLfLn8MdBOEL7Nq7cBHWbXU="
#define SERVER "server: { listen: [ any ] }\n"
#define SMALL SERVER "fast-path: { mode: off }\n"

static char directory[] = "/tmp/peregrine-config-XXXXXX";
static char path[64];
static char *errors;

static inline void write_file(const char *file, const char *text, size_t length)
{
	FILE *out = fopen(file, "w");
	assert_non_null(out);
	assert_int_equal(fwrite(text, 1, length, out), length);
	assert_int_equal(fclose(out), 0);
}

/* Loads a configuration from text; the errors stand in `errors` afterwards. */
static inline struct config *load_octets(const char *text, size_t length)
{
	size_t size;
	write_file(path, text, length);
	free(errors);
	FILE *out = open_memstream(&errors, &size);
	struct config *config = config_load(path, out);
	fclose(out);
	assert_int_equal(config == NULL, size > 0);
	return config;
}

static inline struct config *load(const char *text)
{
	return load_octets(text, strlen(text));
}

/* Checks that loading fails with exactly these errors: "LINE: beginning" each, ended by NULL. */
static inline void expect(const char *text, ...)
{
	assert_null(load(text));
	char *rest = errors;
	const char *wanted;
	va_list arguments;
	va_start(arguments, text);
	while ((wanted = va_arg(arguments, const char *)) != NULL) {
		char *line = strsep(&rest, "\n");
		if (!line || strncmp(line, path, strlen(path)) != 0 || line[strlen(path)] != ':' ||
		    strncmp(line + strlen(path) + 1, wanted, strlen(wanted)) != 0)
			fail_msg("wanted `%s`, got `%s`, then:\n%s", wanted, line ? line : "no more", rest ? rest : "");
	}
	va_end(arguments);
	if (rest && *rest)
		fail_msg("more errors than wanted:\n%s", rest);
}

static inline int set_up(void **state)
{
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/peregrine.conf", directory);
	return 0;
}

static inline int tear_down(void **state)
{
	unlink(path);
	rmdir(directory);
	free(errors);
	return 0;
}

#endif

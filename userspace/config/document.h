/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A YAML file as nodes that know their lines, and the errors found in it. libcyaml stops at its first error and forgets
 * lines; so the shape is checked here first, against libcyaml's own schema. What does not fit is reported and mended
 * (cut out, or made empty), and libcyaml loads the rest, whose values can then be judged in the same run.
 */
#ifndef PEREGRINE_CONFIG_DOCUMENT_H
#define PEREGRINE_CONFIG_DOCUMENT_H

#include <cyaml/cyaml.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <yaml.h>

struct document_error {
	size_t line;
	size_t order; /* of being found: keeps sorting stable */
	char *text;
};

struct document {
	const char *path;
	char *text;
	size_t length;
	yaml_document_t yaml;
	bool parsed;
	bool mended;             /* the nodes are no longer what `text` says */
	unsigned char *reported; /* for each node: an error was told, more about it would be noise */
	struct document_error *errors;
	size_t error_count; /* may be more than stand in `errors` */
	size_t error_room;
};

/* Reads and parses PATH, which must outlive the document. Returns 0, or -1 with an error noted. */
int document_read(struct document *document, const char *path);

/* Checks the nodes against a schema of mappings, sequences and strings, and mends them to fit it. */
void document_check(struct document *document, const cyaml_schema_value_t *schema);

/* YAML text of the nodes as they are now, to be freed; NULL when memory is short. */
char *document_text(struct document *document, size_t *length);

void document_free(struct document *document);

/* Nodes: the root, the value of a key, an entry of a sequence; NULL when it is not there. */
yaml_node_t *document_root(struct document *document);
yaml_node_t *document_field(struct document *document, const yaml_node_t *mapping, const char *key);
yaml_node_t *document_entry(struct document *document, const yaml_node_t *sequence, size_t index);

/* The text of a single value; NULL for what is none. */
const char *document_scalar(const yaml_node_t *node);

/* Lines count from 1; 1 for NULL. */
size_t document_line(const yaml_node_t *node);

/* Notes an error at a line. */
void document_error_at(struct document *document, size_t line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Notes an error at a node, unless one was told of it before. */
void document_error(struct document *document, const yaml_node_t *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Notes that something is missing in a mapping (NULL: in the file), unless that mapping was cut away as a whole. */
void document_missing(struct document *document, const yaml_node_t *mapping, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Writes "PATH:LINE: text" for each error, in order of lines. */
void document_write_errors(struct document *document, FILE *out);

#endif

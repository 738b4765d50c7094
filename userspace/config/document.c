/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/document.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Nobody reads further; a hostile file must not fill the journal. */
#define ERRORS_LIMIT 10000

/* --- errors --- */

static void add_error(struct document *document, size_t line, const char *format, va_list arguments)
{
	if (document->error_count++ >= ERRORS_LIMIT)
		return;
	size_t index = document->error_count - 1;
	if (index == document->error_room) {
		size_t room = document->error_room ? document->error_room * 2 : 16;
		struct document_error *grown = reallocarray(document->errors, room, sizeof(*grown));
		if (!grown) {
			document->error_count = index; /* tried again with the next; config_load fails without memory */
			return;
		}
		document->errors = grown;
		document->error_room = room;
	}
	char *text;
	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	document->errors[index] = (struct document_error){line, index, text};
}

void document_error_at(struct document *document, size_t line, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	add_error(document, line, format, arguments);
	va_end(arguments);
}

static size_t node_number(const struct document *document, const yaml_node_t *node)
{
	return (size_t)(node - document->yaml.nodes.start);
}

size_t document_line(const yaml_node_t *node)
{
	return node ? node->start_mark.line + 1 : 1;
}

void document_error(struct document *document, const yaml_node_t *node, const char *format, ...)
{
	if (node) {
		unsigned char *reported = &document->reported[node_number(document, node)];
		if (*reported)
			return;
		*reported = 1;
	}
	va_list arguments;
	va_start(arguments, format);
	add_error(document, document_line(node), format, arguments);
	va_end(arguments);
}

void document_missing(struct document *document, const yaml_node_t *mapping, const char *format, ...)
{
	if (mapping && document->reported[node_number(document, mapping)])
		return;
	va_list arguments;
	va_start(arguments, format);
	add_error(document, document_line(mapping), format, arguments);
	va_end(arguments);
}

static int by_line(const void *a, const void *b)
{
	const struct document_error *left = a, *right = b;
	if (left->line != right->line)
		return left->line < right->line ? -1 : 1;
	return left->order < right->order ? -1 : left->order > right->order;
}

/* An error may quote the file: whatever stands there, it is told in one line. */
static void put_line(FILE *out, const char *text)
{
	for (; *text; text++)
		putc((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text, out);
	putc('\n', out);
}

void document_write_errors(struct document *document, FILE *out)
{
	size_t count = document->error_count < ERRORS_LIMIT ? document->error_count : ERRORS_LIMIT;
	if (count)
		qsort(document->errors, count, sizeof(*document->errors), by_line);
	for (size_t i = 0; i < count; i++) {
		fprintf(out, "%s:%zu: ", document->path, document->errors[i].line);
		put_line(out, document->errors[i].text ? document->errors[i].text : "out of memory");
	}
	if (document->error_count > count)
		fprintf(out, "%s:%zu: %zu more errors; mend these first\n", document->path,
		        count ? document->errors[count - 1].line : 1, document->error_count - count);
}

void document_free(struct document *document)
{
	if (document->parsed)
		yaml_document_delete(&document->yaml);
	size_t count = document->error_count < ERRORS_LIMIT ? document->error_count : ERRORS_LIMIT;
	for (size_t i = 0; i < count; i++)
		free(document->errors[i].text);
	free(document->errors);
	free(document->text);
	free(document->reported);
}

/* --- nodes --- */

yaml_node_t *document_root(struct document *document)
{
	return yaml_document_get_root_node(&document->yaml);
}

static const char *node_text(const yaml_node_t *node)
{
	return (const char *)node->data.scalar.value;
}

yaml_node_t *document_field(struct document *document, const yaml_node_t *mapping, const char *key)
{
	if (!mapping || mapping->type != YAML_MAPPING_NODE)
		return NULL;
	for (yaml_node_pair_t *pair = mapping->data.mapping.pairs.start; pair < mapping->data.mapping.pairs.top;
	     pair++) {
		yaml_node_t *name = yaml_document_get_node(&document->yaml, pair->key);
		if (name && name->type == YAML_SCALAR_NODE && strcmp(node_text(name), key) == 0)
			return yaml_document_get_node(&document->yaml, pair->value);
	}
	return NULL;
}

yaml_node_t *document_entry(struct document *document, const yaml_node_t *sequence, size_t index)
{
	if (!sequence || sequence->type != YAML_SEQUENCE_NODE)
		return NULL;
	size_t count = (size_t)(sequence->data.sequence.items.top - sequence->data.sequence.items.start);
	if (index >= count)
		return NULL;
	return yaml_document_get_node(&document->yaml, sequence->data.sequence.items.start[index]);
}

const char *document_scalar(const yaml_node_t *node)
{
	return node && node->type == YAML_SCALAR_NODE ? node_text(node) : NULL;
}

/* --- shape --- */

static const char *type_text(yaml_node_type_t type)
{
	switch (type) {
	case YAML_MAPPING_NODE:
		return "a mapping (`key: value` or `{ key: value }`)";
	case YAML_SEQUENCE_NODE:
		return "a list (`[ one, two ]` or lines that begin with `- `)";
	default:
		return "a single value";
	}
}

static yaml_node_type_t type_wanted(const cyaml_schema_value_t *schema)
{
	switch (schema->type) {
	case CYAML_MAPPING:
		return YAML_MAPPING_NODE;
	case CYAML_SEQUENCE:
		return YAML_SEQUENCE_NODE;
	default:
		return YAML_SCALAR_NODE;
	}
}

/* Makes a node an empty one of another type; libyaml frees it by its type, so the old content goes here. */
static void make_empty(struct document *document, yaml_node_t *node, yaml_node_type_t type)
{
	if (node->type == YAML_SCALAR_NODE)
		free(node->data.scalar.value);
	else if (node->type == YAML_SEQUENCE_NODE)
		free(node->data.sequence.items.start);
	else if (node->type == YAML_MAPPING_NODE)
		free(node->data.mapping.pairs.start);
	memset(&node->data, 0, sizeof(node->data));
	node->type = type;
	if (type == YAML_SCALAR_NODE)
		node->data.scalar.value = (yaml_char_t *)strdup("");
	document->mended = true;
}

/* `key:` with nothing behind it, or a null. */
static bool is_null(const yaml_node_t *node)
{
	if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	const char *text = node_text(node);
	return !*text || strcmp(text, "~") == 0 || strcasecmp(text, "null") == 0;
}

static void check_scalar(struct document *document, yaml_node_t *node, const char *name)
{
	const char *text = node_text(node);
	size_t length = node->data.scalar.length;
	if (is_null(node) || length == 0) {
		document_error(document, node, "%s has no value; write one, or take it out for the default", name);
		make_empty(document, node, YAML_SCALAR_NODE);
		return;
	}
	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)text[i] >= 0x20 && text[i] != 0x7f)
			continue;
		document_error(document, node, "%s has a control character or line break; write it as one line of text",
		               name);
		make_empty(document, node, YAML_SCALAR_NODE);
		return;
	}
}

static void check_node(struct document *document, yaml_node_t *node, const cyaml_schema_value_t *schema,
                       const char *name);

static void describe_fields(const cyaml_schema_field_t *fields, char *out, size_t room)
{
	size_t used = 0;
	for (; fields->key && used < room; fields++)
		used += (size_t)snprintf(out + used, room - used, "%s%s", used ? ", " : "", fields->key);
}

static void check_mapping(struct document *document, yaml_node_t *node, const cyaml_schema_field_t *fields,
                          const char *name)
{
	size_t lines[32] = {0}; /* where each field was met first, 0: not yet */
	yaml_node_pair_t *kept = node->data.mapping.pairs.start;
	for (yaml_node_pair_t *pair = kept; pair < node->data.mapping.pairs.top; pair++) {
		yaml_node_t *key = yaml_document_get_node(&document->yaml, pair->key);
		size_t field = 0;
		const char *text = key->type == YAML_SCALAR_NODE ? node_text(key) : "?";
		while (fields[field].key && strcmp(fields[field].key, text) != 0)
			field++;
		if (!fields[field].key) {
			char known[256];
			describe_fields(fields, known, sizeof(known));
			document_error_at(document, document_line(key), "unknown key `%.64s` in %s; known there: %s",
			                  text, name, known);
		} else if (lines[field]) {
			document_error_at(document, document_line(key),
			                  "`%s` stands twice in %s, first in line %zu; keep one", text, name,
			                  lines[field]);
		} else {
			lines[field] = document_line(key);
			check_node(document, yaml_document_get_node(&document->yaml, pair->value), &fields[field].value,
			           fields[field].key);
			*kept++ = *pair;
		}
	}
	if (kept != node->data.mapping.pairs.top)
		document->mended = true;
	node->data.mapping.pairs.top = kept;
}

static void check_node(struct document *document, yaml_node_t *node, const cyaml_schema_value_t *schema,
                       const char *name)
{
	yaml_node_type_t wanted = type_wanted(schema);
	if (schema->type == CYAML_IGNORE)
		return; /* judged by the part of the loader that reads it */
	if (wanted != YAML_SCALAR_NODE && is_null(node)) {
		make_empty(document, node, wanted);
	} else if (node->type != wanted) {
		document_error(document, node, "%s must be %s, not %s", name, type_text(wanted), type_text(node->type));
		make_empty(document, node, wanted);
	} else if (wanted == YAML_SCALAR_NODE) {
		check_scalar(document, node, name);
	} else if (wanted == YAML_MAPPING_NODE) {
		check_mapping(document, node, schema->mapping.fields, name);
	} else {
		char entry[80];
		snprintf(entry, sizeof(entry), "an entry of %.60s", name);
		for (yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top;
		     item++)
			check_node(document, yaml_document_get_node(&document->yaml, *item), schema->sequence.entry,
			           entry);
	}
}

void document_check(struct document *document, const cyaml_schema_value_t *schema)
{
	check_node(document, document_root(document), schema, "the configuration");
}

/* --- text again --- */

static int emit_node(struct document *document, yaml_emitter_t *emitter, const yaml_node_t *node)
{
	yaml_event_t event;
	if (!node)
		return 0;
	if (node->type == YAML_SCALAR_NODE) {
		const yaml_char_t *text = node->data.scalar.value;
		return yaml_scalar_event_initialize(&event, NULL, NULL, text, (int)strlen((const char *)text), 1, 1,
		                                    YAML_DOUBLE_QUOTED_SCALAR_STYLE) &&
		       yaml_emitter_emit(emitter, &event);
	}
	if (node->type == YAML_SEQUENCE_NODE) {
		if (!yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE) ||
		    !yaml_emitter_emit(emitter, &event))
			return 0;
		for (yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top;
		     item++)
			if (!emit_node(document, emitter, yaml_document_get_node(&document->yaml, *item)))
				return 0;
		return yaml_sequence_end_event_initialize(&event) && yaml_emitter_emit(emitter, &event);
	}
	if (!yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE) ||
	    !yaml_emitter_emit(emitter, &event))
		return 0;
	for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++)
		if (!emit_node(document, emitter, yaml_document_get_node(&document->yaml, pair->key)) ||
		    !emit_node(document, emitter, yaml_document_get_node(&document->yaml, pair->value)))
			return 0;
	return yaml_mapping_end_event_initialize(&event) && yaml_emitter_emit(emitter, &event);
}

static int emit_all(struct document *document, yaml_emitter_t *emitter)
{
	yaml_event_t event;
	return yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING) && yaml_emitter_emit(emitter, &event) &&
	       yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1) &&
	       yaml_emitter_emit(emitter, &event) && emit_node(document, emitter, document_root(document)) &&
	       yaml_document_end_event_initialize(&event, 1) && yaml_emitter_emit(emitter, &event) &&
	       yaml_stream_end_event_initialize(&event) && yaml_emitter_emit(emitter, &event);
}

char *document_text(struct document *document, size_t *length)
{
	char *text = NULL;
	yaml_emitter_t emitter;
	FILE *out = open_memstream(&text, length);
	if (!out)
		return NULL;
	int good = yaml_emitter_initialize(&emitter);
	if (good) {
		yaml_emitter_set_output_file(&emitter, out);
		yaml_emitter_set_width(&emitter, -1);
		good = emit_all(document, &emitter);
		yaml_emitter_delete(&emitter);
	}
	if (fclose(out) != 0 || !good) {
		free(text);
		return NULL;
	}
	return text;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From a file to nodes. */
#include "config/document.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Far more than any real configuration (a hundred thousand zones are about 6 MiB and 600,000 nodes), and little enough
 * to parse. libyaml's own loader knows no such bounds, and resolves aliases without a trace; so nodes are made here. */
#define SIZE_LIMIT ((size_t)64 << 20)
#define NODE_LIMIT 8000000
#define DEPTH_LIMIT 32

static int read_whole(struct document *document)
{
	int fd = open(document->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		document_error_at(document, 1, "cannot open: %s; give the configuration file with -c FILE",
		                  strerror(errno));
		return -1;
	}
	size_t room = 1 << 16;
	ssize_t got = 0;
	document->text = malloc(room);
	while (document->text && document->length <= SIZE_LIMIT) {
		if (document->length == room) {
			char *grown = realloc(document->text, room *= 2);
			if (!grown)
				break;
			document->text = grown;
		}
		got = read(fd, document->text + document->length, room - document->length);
		if (got > 0)
			document->length += (size_t)got;
		else if (got == 0 || errno != EINTR)
			break;
	}
	if (got < 0)
		document_error_at(document, 1, "cannot read: %s; a configuration is a file of text", strerror(errno));
	else if (document->length > SIZE_LIMIT)
		document_error_at(document, 1, "larger than %zu MiB; a configuration is a file of text",
		                  SIZE_LIMIT >> 20);
	else if (got > 0 || !document->text)
		document_error_at(document, 1, "out of memory while reading; free some memory and try again");
	close(fd);
	return document->error_count ? -1 : 0;
}

static void parser_error(struct document *document, const yaml_parser_t *parser)
{
	if (parser->error == YAML_MEMORY_ERROR) {
		document_error_at(document, 1, "out of memory while parsing; free some memory and try again");
	} else if (parser->error == YAML_READER_ERROR) {
		size_t line = 1;
		for (size_t i = 0; i < parser->problem_offset && i < document->length; i++)
			line += document->text[i] == '\n';
		document_error_at(document, line, "not text in UTF-8: %s; save the file as UTF-8", parser->problem);
	} else if (parser->context) {
		document_error_at(document, parser->problem_mark.line + 1,
		                  "not YAML: %s (%s that begins in line %zu); mend indentation, quotes or brackets",
		                  parser->problem, parser->context, parser->context_mark.line + 1);
	} else {
		document_error_at(document, parser->problem_mark.line + 1,
		                  "not YAML: %s; mend indentation, quotes or brackets", parser->problem);
	}
}

/* --- nodes from events --- */

struct composer {
	struct document *document;
	unsigned depth;
	struct {
		int node;
		int key; /* of a mapping: the key that waits for its value, or 0 */
	} open[DEPTH_LIMIT];
};

/* Puts a new node (0: none, memory was short) into the collection that is open. */
static bool attach_node(struct composer *composer, int number, yaml_mark_t mark)
{
	yaml_document_t *yaml = &composer->document->yaml;
	if (!number) {
		document_error_at(composer->document, mark.line + 1, "out of memory; free some memory and try again");
		return false;
	}
	yaml_document_get_node(yaml, number)->start_mark = mark;
	if (composer->depth == 0)
		return true;
	int parent = composer->open[composer->depth - 1].node, *key = &composer->open[composer->depth - 1].key;
	int good = 1;
	if (yaml_document_get_node(yaml, parent)->type == YAML_SEQUENCE_NODE) {
		good = yaml_document_append_sequence_item(yaml, parent, number);
	} else if (*key) {
		good = yaml_document_append_mapping_pair(yaml, parent, *key, number);
		*key = 0;
	} else {
		*key = number;
	}
	if (!good)
		document_error_at(composer->document, mark.line + 1, "out of memory; free some memory and try again");
	return good;
}

static bool open_node(struct composer *composer, int number, yaml_mark_t mark)
{
	if (!attach_node(composer, number, mark))
		return false;
	if (composer->depth == DEPTH_LIMIT) {
		document_error_at(composer->document, mark.line + 1,
		                  "brackets or lists nested deeper than %d; nothing here is nested deeper than 4",
		                  DEPTH_LIMIT);
		return false;
	}
	composer->open[composer->depth].node = number;
	composer->open[composer->depth++].key = 0;
	return true;
}

/* An alias could make a node contain itself, or a small file stand for more than memory holds. A node that takes its
 * place keeps the pairs of a mapping together. */
static bool refuse_alias(struct composer *composer, const yaml_event_t *event)
{
	struct document *document = composer->document;
	document_error_at(document, event->start_mark.line + 1,
	                  "alias `*%.64s`: aliases are not taken; write the value out, or in quotes if it is meant so",
	                  (const char *)event->data.alias.anchor);
	return attach_node(
	    composer,
	    yaml_document_add_scalar(&document->yaml, NULL, (const yaml_char_t *)"", 0, YAML_PLAIN_SCALAR_STYLE),
	    event->start_mark);
}

/* Takes one event in. Returns false after noting an error that leaves no sense in going on. */
static bool compose(struct composer *composer, const yaml_event_t *event, unsigned *documents)
{
	struct document *document = composer->document;
	yaml_document_t *yaml = &document->yaml;
	if (yaml->nodes.top - yaml->nodes.start >= NODE_LIMIT) {
		document_error_at(document, event->start_mark.line + 1,
		                  "more than %d values; split the zones among servers", NODE_LIMIT);
		return false;
	}
	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (++*documents == 1)
			return true;
		document_error_at(document, event->start_mark.line + 1,
		                  "a second YAML document begins; take out the line `---`");
		return false;
	case YAML_ALIAS_EVENT:
		return refuse_alias(composer, event);
	case YAML_SCALAR_EVENT:
		return attach_node(composer,
		                   yaml_document_add_scalar(yaml, NULL, event->data.scalar.value,
		                                            (int)event->data.scalar.length, event->data.scalar.style),
		                   event->start_mark);
	case YAML_SEQUENCE_START_EVENT:
		return open_node(composer, yaml_document_add_sequence(yaml, NULL, event->data.sequence_start.style),
		                 event->start_mark);
	case YAML_MAPPING_START_EVENT:
		return open_node(composer, yaml_document_add_mapping(yaml, NULL, event->data.mapping_start.style),
		                 event->start_mark);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		composer->depth--;
		return true;
	default:
		return true;
	}
}

static int parse(struct document *document, yaml_parser_t *parser)
{
	struct composer composer = {.document = document};
	unsigned documents = 0;
	bool more = true;
	while (more) {
		yaml_event_t event;
		if (!yaml_parser_parse(parser, &event)) {
			parser_error(document, parser);
			return -1;
		}
		bool good = compose(&composer, &event, &documents);
		more = event.type != YAML_STREAM_END_EVENT;
		yaml_event_delete(&event);
		if (!good)
			return -1;
	}
	if (!document_root(document)) {
		document_error_at(document, 1, "is empty; peregrine.conf(5) has an example to begin with");
		return -1;
	}
	document->reported = calloc((size_t)(document->yaml.nodes.top - document->yaml.nodes.start), 1);
	if (!document->reported)
		document_error_at(document, 1, "out of memory while parsing; free some memory and try again");
	return document->error_count ? -1 : 0;
}

int document_read(struct document *document, const char *path)
{
	*document = (struct document){.path = path};
	yaml_parser_t parser;
	if (read_whole(document) < 0)
		return -1;
	document->parsed = yaml_document_initialize(&document->yaml, NULL, NULL, NULL, 1, 1);
	if (!document->parsed || !yaml_parser_initialize(&parser)) {
		document_error_at(document, 1, "out of memory while parsing; free some memory and try again");
		return -1;
	}
	yaml_parser_set_input_string(&parser, (const unsigned char *)document->text, document->length);
	int result = parse(document, &parser);
	yaml_parser_delete(&parser);
	return result;
}

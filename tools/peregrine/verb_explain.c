/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli.h"
#include "output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* +do, +tcp, +bufsize=N, as dig has them. Returns the options for the agent, or NULL after telling what is wrong. */
static json_t *read_options(int count, char **words)
{
	static const char bufsize[] = "+bufsize=";
	json_t *options = json_object();
	for (int i = 0; i < count; i++) {
		const char *word = words[i];
		if (strcmp(word, "+do") == 0 || strcmp(word, "+tcp") == 0) {
			json_object_set_new(options, word + 1, json_true());
			continue;
		}
		const char *digits = word + strlen(bufsize);
		char *end = NULL;
		unsigned long size = 0;
		errno = 0;
		if (strncmp(word, bufsize, strlen(bufsize)) == 0 && *digits >= '0' && *digits <= '9')
			size = strtoul(digits, &end, 10);
		if (!end || *end || errno || size > 65535) {
			cli_error("%.64s: explain takes +do, +tcp and +bufsize=N, N being 0 to 65535", word);
			json_decref(options);
			return NULL;
		}
		json_object_set_new(options, "bufsize", json_integer((json_int_t)size));
	}
	return options;
}

static void print_path(const json_t *told)
{
	const json_t *question = json_object_get(told, "question"), *exit = json_object_get(told, "exit");
	const json_t *edns = json_object_get(question, "edns");
	bool attached = json_is_true(json_object_get(told, "attached"));
	printf("question  %s %s by %s", output_string(question, "name"), output_string(question, "type"),
	       output_string(question, "transport"));
	if (json_is_integer(edns))
		printf(", EDNS %lld%s", (long long)json_integer_value(edns),
		       json_is_true(json_object_get(question, "do")) ? ", DO" : "");
	if (strcmp(output_string(told, "answered_by"), "driver") == 0)
		printf("\ndriver    %s\n",
		       attached ? "answers"
		                : "would answer, but the program is on no interface: the fallback server does");
	else
		printf("\ndriver    passes it to the fallback server, reason %lld, %s: %s\n",
		       output_number(exit, "number"), output_string(exit, "name"), output_string(exit, "text"));
}

static void print_search(const json_t *told)
{
	const json_t *zone = json_object_get(told, "zone"), *search = json_object_get(told, "search");
	const json_t *cname = json_object_get(told, "cname");
	const char *end = json_string_value(json_object_get(cname, "end"));
	if (!json_is_object(zone))
		puts("zone      none that is served");
	else if (json_is_null(json_object_get(zone, "serial")))
		printf("zone      %s, not loaded\n", output_string(zone, "name"));
	else
		printf("zone      %s, serial %lld, version %lld\n", output_string(zone, "name"),
		       output_number(zone, "serial"), output_number(zone, "version"));
	if (output_number(cname, "followed"))
		printf("CNAME     %lld followed, to %s%s\n", output_number(cname, "followed"),
		       output_string(cname, "to"),
		       !end                        ? ""
		       : strcmp(end, "loop") == 0  ? ", which was searched for before: a loop"
		       : strcmp(end, "limit") == 0 ? ", a CNAME too: the rest of the chain is left to the resolver"
		                                   : ", which is in no zone served");
	if (!json_is_object(search))
		return;
	printf("name      %s ", output_string(search, "sname"));
	if (json_is_true(json_object_get(search, "delegation")))
		printf("is delegated, at %s\n",
		       output_string(search, json_object_get(search, "node") ? "node" : "closest_encloser"));
	else if (json_is_true(json_object_get(search, "exists")))
		puts("exists");
	else
		printf("does not exist; its closest encloser is %s%s%s\n", output_string(search, "closest_encloser"),
		       json_is_string(json_object_get(search, "wildcard")) ? ", and it is made from the wildcard " : "",
		       json_is_string(json_object_get(search, "wildcard")) ? output_string(search, "wildcard") : "");
}

static void print_reply(const json_t *reply)
{
	static const char *const headings[] = {"SECTION", "RECORDS", "OCTETS", "TYPE", "OWNER", NULL};
	struct table table;
	json_t *rrset;
	size_t index;
	printf("reply     %s%s%s, %lld octets", output_string(reply, "rcode"),
	       json_is_true(json_object_get(reply, "aa")) ? ", AA" : "",
	       json_is_true(json_object_get(reply, "tc")) ? ", TC: it does not fit" : "",
	       output_number(reply, "octets"));
	if (output_number(reply, "limit"))
		printf(" of %lld at the most", output_number(reply, "limit"));
	putchar('\n');
	if (!json_array_size(json_object_get(reply, "rrsets")))
		return;
	putchar('\n');
	table_begin(&table, headings, 1 << 1 | 1 << 2);
	json_array_foreach (json_object_get(reply, "rrsets"), index, rrset)
		for (const char *const *key =
		         (const char *const[]){"section", "records", "octets", "type", "owner", NULL};
		     *key; key++)
			table_value(&table, json_object_get(rrset, *key));
	table_end(&table);
}

enum cli_exit verb_explain(const struct cli *cli, int count, char **arguments)
{
	json_t *options = read_options(count - 2, arguments + 2), *told;
	if (!options)
		return CLI_USAGE;
	enum cli_exit exit = client_ask(cli, "explain", 2, arguments, options, false, &told);
	if (exit != CLI_OK || cli->json)
		return exit != CLI_OK ? exit : cli_print_json(told);
	print_path(told);
	print_search(told);
	print_reply(json_object_get(told, "reply"));
	json_decref(told);
	return CLI_OK;
}

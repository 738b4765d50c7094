/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the store keeps of a zone. */
#include "config/load.h"
#include "config/values.h"

#define LEAST (4ULL << 10)
#define MOST (1ULL << 40)

void load_journal_size(struct load *load, const char *text, const yaml_node_t *mapping, uint64_t *size)
{
	if (load_given(text))
		load_judge(load, document_field(&load->document, mapping, "journal-size"), "journal-size", text,
		           value_size(text, LEAST, MOST, size));
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a primary says that refuses: RCODE, TSIG error, extended error; and what is to be done about it. */
#include "transfer_internal.h"

#include <stdarg.h>
#include <string.h>

/* Grows a text as far as there is room. */
static void add(char *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(char *why, const char *format, ...)
{
	size_t used = strlen(why);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why + used, TRANSFER_WHY - used, format, arguments);
	va_end(arguments);
}

/* Section 5.2 of RFC 8945. */
static void tsig_text(const knot_rrset_t *tsig, char *why)
{
	uint16_t error = knot_tsig_rdata_error(tsig);
	char skew[80];

	switch (error) {
	case KNOT_RCODE_NOERROR:
		break;
	case KNOT_RCODE_BADSIG:
		add(why, ", TSIG BADSIG; the key's secret is another one there");
		break;
	case KNOT_RCODE_BADKEY:
		add(why, ", TSIG BADKEY; the primary has no key of that name and algorithm");
		break;
	case KNOT_RCODE_BADTRUNC:
		add(why, ", TSIG BADTRUNC; the primary wants other lengths of signatures");
		break;
	case KNOT_RCODE_BADTIME:
		add(why, ", TSIG BADTIME");
		/* The server's time stands in Other Data. */
		if (knot_tsig_rdata_other_data_length(tsig) != 6)
			break;
		tsig_skew_text(knot_wire_read_u48(knot_tsig_rdata_other_data(tsig)), skew, sizeof(skew));
		add(why, " (%s); set the clocks right", skew);
		break;
	default:
		add(why, ", TSIG error %u", error);
		break;
	}
}

/* RFC 8914: why, in the primary's own words. Anyone may have written them, and they go into our log. */
static void note_extended(const struct reply *reply, struct history_facts *facts)
{
	size_t length, used = 0;
	const uint8_t *data;

	data = reply_option(reply, KNOT_EDNS_OPTION_EDE, &length);
	if (data == NULL || length < 2)
		return;
	facts->has_ede = true;
	facts->ede = knot_wire_read_u16(data);
	for (size_t i = 2; i < length && used < sizeof(facts->ede_text) - 1; i++)
		facts->ede_text[used++] = data[i] < ' ' || data[i] > '~' ? '?' : (char)data[i];
	facts->ede_text[used] = '\0';
}

void refusal_note(unsigned rcode, const struct reply *reply, struct history_facts *facts)
{
	*facts = (struct history_facts){.has_rcode = true, .rcode = (uint16_t)rcode};
	if (reply == NULL)
		return;
	if (reply->tsig != NULL)
		facts->tsig_error = knot_tsig_rdata_error(reply->tsig);
	note_extended(reply, facts);
}

static void extended_text(const struct history_facts *facts, char *why)
{
	const knot_lookup_t *name = knot_lookup_by_id(knot_edns_ede_names, facts->ede);

	add(why, ", extended error %u", facts->ede);
	if (name != NULL)
		add(why, " (%s)", name->name);
	if (facts->ede_text[0] != '\0')
		add(why, ": \"%s\"", facts->ede_text);
}

void refusal_text(const char *what, const struct history_facts *facts, const struct reply *reply, char *why)
{
	const knot_lookup_t *name = knot_lookup_by_id(knot_rcode_names, facts->rcode);

	why[0] = '\0';
	if (name != NULL)
		add(why, "%s refused: %s", what, name->name);
	else
		add(why, "%s refused: RCODE %u", what, facts->rcode);
	if (facts->has_ede)
		extended_text(facts, why);
	if (reply != NULL && reply->tsig != NULL)
		tsig_text(reply->tsig, why);
}

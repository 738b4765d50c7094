/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "verify/verify.h"

#include <time.h>

#define COMMAND_TIMEOUT 60000

bool verify_is_slow(const struct config_verify *rules)
{
	return rules->dnssec || rules->command;
}

int verify_version(const struct verify_request *request, struct verify_size *size, char *why)
{
	const struct config_verify *rules = request->rules;

	*size = verify_measure(request->version);
	/* What costs least first. */
	if (verify_shrink(&request->before, size, rules->max_shrink, why) ||
	    verify_zonemd(request->version, rules->zonemd, why))
		return -1;
	if (rules->dnssec && verify_dnssec(request, (uint64_t)time(NULL), why))
		return -1;
	return rules->command ? verify_command(request, COMMAND_TIMEOUT, why) : 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "verify/verify.h"

int verify_dnssec(const struct verify_request *request, uint64_t now, char *why)
{
	return 0;
}

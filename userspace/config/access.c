/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether an address is in what the configuration names. For any thread. */
#include "config/config.h"

#include <netinet/in.h>
#include <string.h>

void config_plain_address(const struct sockaddr_storage *address, uint8_t out[16])
{
	if (address->ss_family == AF_INET6) {
		memcpy(out, &((const struct sockaddr_in6 *)address)->sin6_addr, 16);
		return;
	}
	memset(out, 0, 10);
	memset(out + 10, 0xff, 2);
	memcpy(out + 12, &((const struct sockaddr_in *)address)->sin_addr, 4);
}

bool config_prefix_has(const struct config_prefix *prefix, const uint8_t address[16])
{
	unsigned whole = prefix->length / 8, rest = prefix->length % 8;

	if (memcmp(prefix->address, address, whole) != 0)
		return false;
	return rest == 0 || ((prefix->address[whole] ^ address[whole]) & (0xff00 >> rest) & 0xff) == 0;
}

bool config_access_from(const struct config_access *access, const uint8_t address[16])
{
	for (size_t i = 0; i < access->prefix_count; i++)
		if (config_prefix_has(&access->prefixes[i], address))
			return true;
	return access->prefix_count == 0;
}

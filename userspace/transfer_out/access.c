/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who may have which zone. */
#include "transfer_out/outgoing.h"

#include "common/log.h"

#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#define MEMORY 64
#define PAUSE 60 /* seconds between two lines that say the same */

/* --- lines that are not repeated --- */

static struct {
	pthread_mutex_t lock;
	time_t written[MEMORY]; /* by what is said; 0: never */
} said = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* FNV-1a. */
static uint64_t hash_octets(uint64_t hash, const void *octets, size_t length)
{
	const uint8_t *at = octets;

	while (length--)
		hash = (hash ^ *at++) * 0x100000001b3ULL;
	return hash;
}

/* Whether the line is due; it is then noted as written. What falls into the same place is not told apart, so that a
 * flood of forged addresses, each another line, is MEMORY lines a minute. */
static bool due(uint64_t hash)
{
	struct timespec now;
	time_t *written = &said.written[hash % MEMORY];
	bool result;

	clock_gettime(CLOCK_MONOTONIC, &now);
	pthread_mutex_lock(&said.lock);
	result = !*written || now.tv_sec - *written >= PAUSE;
	if (result)
		*written = now.tv_sec;
	pthread_mutex_unlock(&said.lock);
	return result;
}

static void complain(const struct sockaddr_storage *from, const uint8_t *name, const char *what, const char *why)
{
	char text[KNOT_DNAME_TXT_MAXLEN + 1] = "?", client[CONFIG_ADDRESS_TEXT];
	uint8_t address[16];
	uint64_t hash;

	config_plain_address(from, address);
	hash = hash_octets(0xcbf29ce484222325ULL, address, sizeof(address));
	hash = hash_octets(hash, name, knot_dname_size(name));
	hash = hash_octets(hash, why, strlen(why));
	if (!due(hash ^ hash >> 32))
		return;
	knot_dname_to_str(text, name, sizeof(text));
	config_address_text(from, client);
	log_notice("%s %s from %s: %s", what, text, client, why);
}

void outgoing_bad_signature(const struct sockaddr_storage *from, const uint8_t *key, unsigned error)
{
	complain(from, key, "query signed with key",
	         error == KNOT_RCODE_BADTIME  ? "refused with BADTIME: its clock and ours differ by more than the fudge"
	         : error == KNOT_RCODE_BADKEY ? "refused with BADKEY: no such key with that algorithm in `keys`"
	                                      : "refused with BADSIG: the secret is another one than in `keys`");
}

/* --- access --- */

unsigned outgoing_judge(const struct outgoing *outgoing, const uint8_t *apex, uint16_t type,
                        const struct sockaddr_storage *from, const knot_tsig_key_t *key)
{
	const struct config_zone *zone = outgoing ? outgoing->zone(outgoing->context, apex) : NULL;
	const char *what = type == KNOT_RRTYPE_AXFR ? "AXFR of" : "IXFR of";
	bool placed = false;
	uint8_t address[16];

	if (!outgoing)
		return KNOT_RCODE_REFUSED;
	if (!zone) {
		complain(from, apex, what, "refused: no such zone is served");
		return KNOT_RCODE_NOTAUTH;
	}
	config_plain_address(from, address);
	for (size_t i = 0; i < zone->outgoing.allow_count; i++) {
		const struct config_access *access = &zone->outgoing.allow[i];

		if (!config_access_from(access, address))
			continue;
		placed = true;
		if (!access->key || tsig_key_same(access->key, key))
			return KNOT_RCODE_NOERROR;
	}
	complain(from, apex, what,
	         !placed ? "refused: the address is not in the zone's allow-transfer"
	         : key   ? "refused: signed with another key than the zone's allow-transfer has for the address"
	                 : "refused: not signed, and the zone's allow-transfer has a key for the address");
	return KNOT_RCODE_REFUSED;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keys and values: written, and read with the care that a file deserves. */
#include "store/store_internal.h"

#include <libknot/libknot.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

_Static_assert(KEY_ID + NAME_KEY_ROOM + KEY_TYPE == 511, "the longest key but of an RRSIG is what LMDB takes");

#define SECOND 1000000000LL
#define EXPIRED_BEFORE 1000000 /* a millisecond after the boot: 0 would mean that it is not known */

void put32(uint8_t *at, uint32_t number)
{
	for (int i = 0; i < 4; i++)
		at[i] = number >> (24 - 8 * i);
}

uint32_t get32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

void key_owner(struct record_key *key, uint32_t id, const uint8_t *owner, size_t *owner_end)
{
	uint8_t name[ZONE_NAME_KEY_ROOM];
	/* Labels and their octets come to 254 at the most, of which at most 250 can be octets: 504 when all of them
	 * are escaped. */
	size_t length = zone_name_to_key(owner, name);

	put32(key->octets, id);
	memcpy(key->octets + KEY_ID, name, length);
	*owner_end = KEY_ID + length;
}

void key_type(struct record_key *key, size_t owner_end, uint16_t type, uint16_t covered)
{
	uint8_t *at = key->octets + owner_end;
	uint16_t sorted = type == KNOT_RRTYPE_RRSIG ? covered : type;

	/* Less than what any label begins with: whatever its type, a name's record comes before the names below. */
	*at++ = 0;
	*at++ = sorted >> 8;
	*at++ = sorted & 0xff;
	if (type == KNOT_RRTYPE_RRSIG)
		*at++ = 1;
	key->length = at - key->octets;
}

/* Behind the last label, each of which ends with the only 0 in it. NULL: there is none. */
static const uint8_t *behind_labels(const uint8_t *at, const uint8_t *end)
{
	while (at && at < end && *at) {
		at = memchr(at, 0, end - at);
		if (at)
			at++;
	}
	return at;
}

int key_read(const MDB_val *key, uint8_t *owner, uint16_t *type, uint16_t *covered)
{
	const uint8_t *octets = key->mv_data, *end = octets + key->mv_size, *at;
	bool signature;
	uint16_t sorted;

	if (key->mv_size < KEY_ID || key->mv_size > KEY_ROOM)
		return damaged();
	at = behind_labels(octets + KEY_ID, end);
	if (!at || (end - at != KEY_TYPE && (end - at != KEY_TYPE + 1 || at[KEY_TYPE] != 1)))
		return damaged();
	sorted = at[1] << 8 | at[2];
	signature = end - at != KEY_TYPE;
	*type = signature ? KNOT_RRTYPE_RRSIG : sorted;
	*covered = signature ? sorted : 0;
	return zone_key_to_name(octets + KEY_ID, at - octets - KEY_ID, owner) ? 0 : damaged();
}

int value_read(const void *data, size_t size, uint32_t ttl, uint32_t count, struct store_rrset *out)
{
	const uint8_t *at = data, *end = at + size;
	uint32_t found = 0;

	for (; end - at >= 2; found++) {
		uint16_t length;

		memcpy(&length, at, sizeof(length));
		if (end - at - 2 < length)
			return damaged();
		at += 2 + length;
	}
	if (at != end || !found || found != count || size > UINT32_MAX)
		return damaged();
	out->ttl = ttl;
	out->count = count;
	out->size = size;
	out->rdata = data;
	return 0;
}

int stored_value_read(const MDB_val *value, struct store_rrset *out)
{
	struct stored_value head;

	if (value->mv_size < sizeof(head))
		return damaged();
	memcpy(&head, value->mv_data, sizeof(head));
	return value_read((const uint8_t *)value->mv_data + sizeof(head), value->mv_size - sizeof(head), head.ttl,
	                  head.count, out);
}

int head_read(const MDB_val *value, struct head *out)
{
	if (value->mv_size != sizeof(*out))
		return damaged();
	memcpy(out, value->mv_data, sizeof(*out));
	return out->first > out->next ? damaged() : 0;
}

void head_take_soa(struct head *head, const uint8_t *rdata)
{
	const uint8_t *at = rdata + 2;

	at += knot_dname_size(at);
	at += knot_dname_size(at);
	head->serial = get32(at);
	head->refresh = get32(at + 4);
	head->retry = get32(at + 8);
	head->expire = get32(at + 12);
}

static int64_t now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * SECOND + time.tv_nsec;
}

#define BOOT 16
/* Which boot this is; all 0 where the kernel does not tell: then no boot is known again. */
static uint8_t this_boot[BOOT];
static pthread_once_t boot_is_read = PTHREAD_ONCE_INIT;

static void read_boot(void)
{
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
	size_t count = 0;
	int octet;

	while (file && count < 2UL * BOOT && (octet = fgetc(file)) != EOF) {
		int digit = octet >= '0' && octet <= '9'   ? octet - '0'
		            : octet >= 'a' && octet <= 'f' ? octet - 'a' + 10
		                                           : -1;

		if (digit < 0)
			continue;
		this_boot[count / 2] |= digit << (count % 2 ? 0 : 4);
		count++;
	}
	if (file)
		fclose(file);
}

void clocks_pack(const struct store_clocks *clocks, struct stored_clocks *out)
{
	*out = (struct stored_clocks){
	    .expires_boot = clocks->expires_at,
	    .saved_at = now(CLOCK_REALTIME),
	    .refresh_at = clocks->refresh_at,
	    .checked_at = clocks->checked_at,
	};
	out->expires_at = out->saved_at + ((int64_t)clocks->expires_at - now(CLOCK_BOOTTIME));
	pthread_once(&boot_is_read, read_boot);
	memcpy(out->boot, this_boot, BOOT);
}

/* In the same boot the deadline is what it was, wherever the clock on the wall went. After another boot what is left
 * goes by that clock; when it went back meanwhile, no time has passed as far as one can tell: nothing is ever left that
 * was not left when the clocks were saved. */
int clocks_unpack(const MDB_val *value, struct store_clocks *out)
{
	struct stored_clocks stored;
	static const uint8_t none[BOOT];
	int64_t wall = now(CLOCK_REALTIME), left;

	if (value->mv_size != sizeof(stored))
		return damaged();
	memcpy(&stored, value->mv_data, sizeof(stored));
	*out = (struct store_clocks){.refresh_at = stored.refresh_at, .checked_at = stored.checked_at};
	pthread_once(&boot_is_read, read_boot);
	if (!memcmp(this_boot, stored.boot, BOOT) && memcmp(this_boot, none, BOOT) != 0) {
		out->expires_at = stored.expires_boot;
		return 0;
	}
	left = stored.expires_at - (wall > stored.saved_at ? wall : stored.saved_at);
	out->expires_at = left > 0 ? (uint64_t)(now(CLOCK_BOOTTIME) + left) : EXPIRED_BEFORE;
	return 0;
}

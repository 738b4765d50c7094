/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What operators read of transfers. A primary that is down for a night is a line a minute, not one an attempt. */
#include "transfer_internal.h"

#include <ctype.h>

/* FNV-1a; of the cause without its digits, as a clock skew or a count differs each time. */
static uint64_t hash_text(uint64_t hash, const char *text, bool digits)
{
	for (; *text != '\0'; text++)
		if (digits || !isdigit((unsigned char)*text))
			hash = (hash ^ (uint8_t)*text) * 0x100000001b3ULL;
	return hash;
}

/* Whether this was written within the last minute; else it is noted as written now. */
static bool written_lately(struct follower *follower, const char *source, const char *cause)
{
	uint64_t hash = hash_text(hash_text(0xcbf29ce484222325ULL, source, true), cause, false);
	uint64_t now = uv_now(follower->loop);
	struct log_memory *memory;

	for (size_t i = 0; i < LOG_MEMORY; i++) {
		memory = &follower->log_memory[i];
		if (!memory->used || memory->hash != hash)
			continue;
		if (now - memory->time < transfer_limits.log_pause)
			return true;
		memory->time = now;
		return false;
	}
	memory = &follower->log_memory[follower->log_next++ % LOG_MEMORY];
	*memory = (struct log_memory){.hash = hash, .time = now, .used = true};
	return false;
}

void transfer_log_repeated(struct follower *follower, enum log_level level, const char *source, const char *cause)
{
	char *text = follower->status.last_error;
	size_t size = sizeof(follower->status.last_error);

	if (source != NULL)
		snprintf(text, size, "primary %s: %s", source, cause);
	else
		snprintf(text, size, "%s", cause);
	if (written_lately(follower, source != NULL ? source : "", cause))
		level = LOG_LEVEL_DEBUG;
	if (follower->loaded)
		log_write(level, "zone %s: %s; serving serial %u on", follower->zone->name, text,
		          follower->served.serial);
	else
		log_write(level, "zone %s: %s; nothing of the zone is served yet", follower->zone->name, text);
}

const char *follower_kind_text(enum follower_kind kind)
{
	static const char *const texts[] = {
	    [FOLLOWER_AXFR] = "AXFR", [FOLLOWER_IXFR] = "IXFR", [FOLLOWER_IXFR_FULL] = "IXFR (full)"};

	return texts[kind];
}

void transfer_log_served(const struct follower *follower)
{
	log_info("zone %s: primary %s: serial %u transferred and served, %llu records, %llu octets, %llu ms, by %s",
	         follower->zone->name, follower->status.primary, follower->served.serial,
	         (unsigned long long)follower->status.last_records, (unsigned long long)follower->status.last_octets,
	         (unsigned long long)follower->transfer_ms, follower_kind_text(follower->status.last_kind));
}

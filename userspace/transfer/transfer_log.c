/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What operators read of transfers. A primary that is down for a night is a line a minute, not one an attempt. */
#include "transfer_internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

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
	uint64_t now = schedule_clock();
	struct log_memory *memory;

	/* Most zones have never anything to say. */
	if (follower->log_memory == NULL)
		follower->log_memory = calloc(LOG_MEMORY, sizeof(*follower->log_memory));
	if (follower->log_memory == NULL)
		return false;
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
	char text[TRANSFER_WHY + 180];

	if (source != NULL)
		snprintf(text, sizeof(text), "primary %s: %s", source, cause);
	else
		snprintf(text, sizeof(text), "%s", cause);
	free(follower->last_error);
	follower->last_error = strdup(text);
	/* What is for the curious alone needs no memory. */
	if (level != LOG_LEVEL_DEBUG && written_lately(follower, source != NULL ? source : "", cause))
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

void transfer_log_served(const struct follower *follower, uint64_t milliseconds)
{
	char source[160] = "that is configured no more";

	if (follower->asked)
		source_text(follower, follower->source, source, sizeof(source));
	log_info("zone %s: primary %s: serial %u transferred and served, %llu records, %llu octets, %llu ms, by %s",
	         follower->zone->name, source, follower->served.serial, (unsigned long long)follower->last_records,
	         (unsigned long long)follower->last_octets, (unsigned long long)milliseconds,
	         follower_kind_text(follower->last_kind));
}

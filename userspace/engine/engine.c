/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/engine.h"

struct pg_message {
	const uint8_t *start;
	const uint8_t *end;
};

#define PG_CONTEXT struct pg_message
#define PG_STAGE static inline
#ifndef ENGINE_AS_PROGRAM
/* Records are as long as they say they are: the image is the agent's own. */
#define PG_SCAN_MAX 0x7fffffffU
#define PG_TARGETS_MAX 0x7fffffffU
#define PG_RECORD_ROOM PG_SEGMENT_SIZE
#define PG_ITERATIONS_MAX 65534
#define PG_ASCENT_MAX PG_LABELS_MAX
#define PG_SIGNATURES_MASK 0x7fff
#define PG_REPLY_MAX 65535U
#endif
#define PG_REPLY_MASK 0x1ffff
#define PG_SCAN_MASK 0x7fffffffU
#define PG_OPAQUE(pointer)
#define PG_APART(value)
#define PG_MASK(value, mask) ((value) & (mask))

#include "answer/primitives.h"

PG_INLINE int pg_message(struct pg_message *message, const struct pg_work *w, const __u8 **start, const __u8 **end)
{
	*start = message->start;
	*end = message->end;
	return 0;
}

PG_INLINE const struct pg_settings *pg_settings(const struct pg_work *w)
{
	return w->view->settings;
}

PG_INLINE const struct pg_bucket *pg_bucket_at(const struct pg_work *w, const struct pg_settings *set, int id,
                                               __u32 hash)
{
	if (id == PG_TABLE_ZONES)
		return w->view->zone_index + (hash & (w->view->zone_buckets - 1));
	return w->view->index + (hash & (w->view->index_buckets - 1));
}

PG_INLINE const struct pg_zone *pg_zone_record(const struct pg_work *w, __u32 slot)
{
	return slot < w->view->zone_slots ? w->view->zones + slot : NULL;
}

PG_INLINE const void *pg_record(struct pg_work *w, pg_ref ref)
{
#ifdef ENGINE_AS_PROGRAM
	if (ref >= PG_COLD) {
		w->beyond = 1;
		return NULL;
	}
#endif
	return w->view->base + (size_t)ref * PG_UNIT;
}

PG_INLINE void pg_touch(const void *at)
{
	__builtin_prefetch(at);
}

PG_INLINE bool pg_expired(const struct pg_work *w)
{
	return w->now >= w->expires_at;
}

PG_INLINE void pg_use(struct pg_work *w, pg_ref ref)
{
	if (ref >= PG_COLD && w->uses.count < PG_USES)
		w->uses.ref[w->uses.count++] = ref;
}

PG_INLINE int pg_copy(__u8 *to, const __u8 *end, const __u8 *from, __u32 length)
{
	if (length > (size_t)(end - to))
		return -1;
	memcpy(to, from, length);
	return 0;
}

#include "answer/answer.h"
#include "zone_counters_shared.h"

enum pg_exit engine_answer(const struct image_view *view, struct pg_work *work, bool tcp, uint64_t boottime,
                           const uint8_t *query, size_t length, uint8_t *reply, size_t room, size_t *reply_length)
{
	struct pg_message message = {query, query + length};
	int exit;

	work->view = view;
	work->uses.count = 0;
	work->flags = tcp ? PG_WORK_TCP : 0;
	work->zone = PG_ZONE_NONE;
	work->message_length = length;
	work->now = boottime;
	exit = pg_parse(&message, work, view->settings);
	if (exit)
		return exit;
	if (work->limit > room)
		work->limit = room;
	exit = pg_settle(work, view->settings);
	if (exit)
		return exit;
	if (pg_reply_length(work) > PG_REPLY_MAX)
		return PG_EXIT_LARGE;
	message.start = reply;
	message.end = reply + room;
	memcpy(reply, query, PG_HEADER_SIZE + work->question_length);
	if (pg_link(&message, work))
		return PG_EXIT_INTERNAL;
	*reply_length = work->written;
	return PG_EXIT_ANSWERED;
}

#ifndef ENGINE_AS_PROGRAM
size_t engine_opt(const struct image_view *view, struct pg_work *work, const struct engine_opt *asked, uint8_t *at,
                  size_t room)
{
	const struct pg_settings *settings = view->settings;
	struct pg_message message = {at, at + room};

	work->view = view;
	work->flags = asked->dnssec_ok ? PG_WORK_DO : 0;
	work->edns = asked->nsid ? PG_EDNS_NSID : 0;
	work->policy = __atomic_load_n(&settings->policy, __ATOMIC_ACQUIRE);
	if (asked->cookie)
		pg_take_cookie(work, settings, asked->cookie, asked->cookie_length,
		               asked->cookie + asked->cookie_length);
	if (work->edns & PG_EDNS_COOKIE)
		pg_renew_cookie(work);
	pg_reserve_opt(work, settings, room);
	work->written = 0;
	work->sum = 0;
	return pg_link_opt(&message, work) ? 0 : work->written;
}

bool engine_bad_cookie(const struct image_view *view, const uint8_t *cookie, size_t length)
{
	struct pg_work work = {.view = view, .policy = __atomic_load_n(&view->settings->policy, __ATOMIC_ACQUIRE)};

	return pg_take_cookie(&work, view->settings, cookie, length, cookie + length) != 0;
}

uint64_t engine_hash(const struct pg_settings *settings, enum pg_role role, uint32_t zone, const uint8_t *name,
                     size_t length)
{
	/* Not all of it is cleared: that would take ten times as long as the rest. */
	struct pg_work work;

	work.name_length = length;
	memcpy(work.name, name, length);
	memset(work.name + length, 0, sizeof(__u64));
	return pg_hash_suffix(&work, 0, pg_hash_start(settings->hash_seed, role, role == PG_ROLE_NAME ? 0 : zone));
}

uint64_t engine_hash_number(const struct pg_settings *settings, enum pg_role role, uint32_t zone, uint64_t number)
{
	return pg_hash_number(pg_hash_start(settings->hash_seed, role, zone), number);
}

uint64_t engine_nsec3_hash(uint16_t iterations, const uint8_t *salt, size_t salt_length, const uint8_t *name,
                           size_t length)
{
	union {
		struct pg_head head;
		uint8_t octets[sizeof(struct pg_head) + PG_SALT_ROOM];
	} record = {.head = {.iterations = iterations, .salt_length = (uint8_t)salt_length}};
	struct image_view view = {.base = record.octets};
	struct pg_work work;

	memcpy(record.head.salt, salt, salt_length);
	work.view = &view;
	work.head = 0;
	work.name_length = length;
	memset(work.name, 0, sizeof(work.name));
	memcpy(work.name, name, length);
	return pg_nsec3_hash(&work, 0) ? 0 : work.hash;
}
#endif

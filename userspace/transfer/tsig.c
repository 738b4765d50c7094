/* SPDX-License-Identifier: GPL-3.0-or-later */
/* TSIG of the querying side (RFC 8945): one query, and the messages of its answer as one chain of digests. */
#include "transfer_internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Section 5.3.1: a client must take 99 messages without TSIG between two with it, and the hundredth must have one. */
#define UNSIGNED_MAX 99

int tsig_session_init(struct tsig_session *session, const knot_tsig_key_t *key, char *why)
{
	memset(session, 0, sizeof(*session));
	if (key == NULL)
		return 0;
	if (key->algorithm == DNSSEC_TSIG_HMAC_MD5 || key->algorithm == DNSSEC_TSIG_UNKNOWN) {
		snprintf(why, TRANSFER_WHY, "the key's algorithm is not accepted; use hmac-sha256");
		return -1;
	}
	if (tsig_key_copy(&session->key, key) != 0) {
		snprintf(why, TRANSFER_WHY, "out of memory");
		return -1;
	}
	session->on = true;
	return 0;
}

void tsig_session_clear(struct tsig_session *session)
{
	if (session->on)
		knot_tsig_key_deinit(&session->key);
	free(session->unsigned_octets);
	memset(session, 0, sizeof(*session));
}

int tsig_session_sign(struct tsig_session *session, uint8_t *wire, size_t *length, size_t room)
{
	if (!session->on)
		return 0;
	session->mac_length = sizeof(session->mac);
	return knot_tsig_sign(wire, length, room, NULL, 0, session->mac, &session->mac_length, &session->key, 0, 0) ==
	               KNOT_EOK
	           ? 0
	           : -1;
}

void tsig_skew_text(uint64_t theirs, char *text, size_t size)
{
	int64_t skew = (int64_t)(theirs - (uint64_t)time(NULL));

	snprintf(text, size, "the primary's clock is %lld seconds %s", (long long)(skew < 0 ? -skew : skew),
	         skew < 0 ? "behind" : "ahead");
}

static uint16_t check_error(int result)
{
	switch (result) {
	case KNOT_TSIG_EBADKEY:
		return KNOT_RCODE_BADKEY;
	case KNOT_TSIG_EBADTIME:
		return KNOT_RCODE_BADTIME;
	default:
		return KNOT_RCODE_BADSIG;
	}
}

static void check_text(int result, const knot_rrset_t *tsig, char *why)
{
	char skew[80];

	switch (result) {
	case KNOT_TSIG_EBADKEY:
		snprintf(why, TRANSFER_WHY, "the reply is signed with another key or algorithm (BADKEY)");
		break;
	case KNOT_TSIG_EBADTIME:
		tsig_skew_text(knot_tsig_rdata_time_signed(tsig), skew, sizeof(skew));
		snprintf(why, TRANSFER_WHY, "the reply's signature is out of time: %s (BADTIME)", skew);
		break;
	case KNOT_TSIG_EBADTRUNC:
		snprintf(why, TRANSFER_WHY, "the reply's signature is cut short, to %zu octets (BADTRUNC)",
		         knot_tsig_rdata_mac_length(tsig));
		break;
	case KNOT_TSIG_EBADSIG:
		snprintf(why, TRANSFER_WHY, "the reply's signature is wrong (BADSIG)");
		break;
	default:
		snprintf(why, TRANSFER_WHY, "the reply's signature cannot be checked: %s", knot_strerror(result));
		break;
	}
}

/* Keeps an unsigned message for the digest of the next signed one. */
static int keep(struct tsig_session *session, const struct reply *message, char *why)
{
	size_t need = session->unsigned_length + message->length;

	if (need > session->unsigned_room) {
		size_t room = session->unsigned_room == 0 ? 2 * TRANSFER_MESSAGE : 2 * session->unsigned_room;
		uint8_t *more = realloc(session->unsigned_octets, room);

		if (more == NULL) {
			snprintf(why, TRANSFER_WHY, "out of memory");
			return -1;
		}
		session->unsigned_octets = more;
		session->unsigned_room = room;
	}
	memcpy(session->unsigned_octets + session->unsigned_length, message->wire, message->length);
	session->unsigned_length = need;
	return 0;
}

static int check_signed(struct tsig_session *session, const struct reply *message)
{
	if (!tsig_key_fits(&session->key, message->tsig))
		return KNOT_TSIG_EBADKEY;
	/* Ours is whole: nobody asked for less than that. */
	if (knot_tsig_rdata_mac_length(message->tsig) < session->mac_length)
		return KNOT_TSIG_EBADTRUNC;
	/* The time of the query is not given: a primary whose clock is a second behind is within the fudge. */
	if (!session->begun)
		return knot_tsig_client_check(message->tsig, message->wire, message->length, session->mac,
		                              session->mac_length, &session->key, 0);
	return knot_tsig_client_check_next(message->tsig, session->unsigned_octets, session->unsigned_length,
	                                   session->mac, session->mac_length, &session->key, 0);
}

int tsig_session_check(struct tsig_session *session, const struct reply *message, char *why)
{
	int result;

	if (!session->on) {
		if (message->tsig == NULL)
			return 0;
		snprintf(why, TRANSFER_WHY, "the reply is signed, but no key is configured for this primary");
		return -1;
	}
	if (message->tsig == NULL && !session->begun) {
		snprintf(why, TRANSFER_WHY, "the reply is not signed");
		return -1;
	}
	if (message->tsig == NULL && session->unsigned_count == UNSIGNED_MAX) {
		snprintf(why, TRANSFER_WHY, "%u messages without a signature", UNSIGNED_MAX + 1);
		return -1;
	}
	if (session->begun && keep(session, message, why) != 0)
		return -1;
	if (message->tsig == NULL) {
		session->unsigned_count++;
		return 0;
	}
	result = check_signed(session, message);
	if (result != KNOT_EOK) {
		session->error = check_error(result);
		check_text(result, message->tsig, why);
		return -1;
	}
	/* The check has made sure that the MAC has its algorithm's length, which fits. */
	session->mac_length = knot_tsig_rdata_mac_length(message->tsig);
	if (session->mac_length > sizeof(session->mac))
		session->mac_length = sizeof(session->mac);
	memcpy(session->mac, knot_tsig_rdata_mac(message->tsig), session->mac_length);
	session->unsigned_length = 0;
	session->unsigned_count = 0;
	session->begun = true;
	return 0;
}

bool tsig_session_covered(const struct tsig_session *session)
{
	return !session->on || (session->begun && session->unsigned_count == 0);
}

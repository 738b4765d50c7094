/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The differences of an IXFR (RFC 1995 section 4), behind the newest SOA: each an old SOA, what is taken away, a new
 * SOA, what is added; each from the serial that the one before led to; at the end the newest SOA again.
 */
#include "rr_reader.h"
#include "transfer_internal.h"

static int fail_changes(struct transfer_in *in)
{
	snprintf(in->why, sizeof(in->why), "IXFR failed: %s", zone_changes_error(in->changes));
	return -1;
}

/* The differences are not what they have to be, by their serials. */
static int fail_serial(struct transfer_in *in, const char *what, uint32_t serial, uint32_t wanted)
{
	snprintf(in->why, sizeof(in->why), "IXFR failed: %s serial %u, where %u was to come", what, serial, wanted);
	return -1;
}

int ixfr_in_begin(struct transfer_in *in, const struct rr *rr, uint32_t serial)
{
	if (serial != in->have)
		return fail_serial(in, "a difference starts from", serial, in->have);
	in->changes = zone_changes_new(in->expected.apex, in->have, in->max_records);
	if (in->changes == NULL)
		return transfer_in_fail(in, rr, "out of memory");
	in->reached = serial;
	return zone_changes_next(in->changes) != 0 ? fail_changes(in) : 0;
}

/* The SOA between what is taken away and what is added. */
static int take_new_soa(struct transfer_in *in, const struct rr *rr, uint32_t serial)
{
	if (!serial_newer(serial, in->reached))
		return transfer_in_fail(in, rr, "a difference that does not lead to a later serial");
	if (serial != in->soa.serial && !serial_newer(in->soa.serial, serial))
		return transfer_in_fail(in, rr, "a difference that leads beyond the newest serial");
	if (serial == in->soa.serial && !transfer_in_same_soa(in, rr->rdata, rr->rdata_length))
		return transfer_in_fail(in, rr, "two different SOAs of the newest serial");
	in->reached = serial;
	in->adding = true;
	return zone_changes_soa(in->changes, rr->ttl, rr->rdata, rr->rdata_length) != 0 ? fail_changes(in) : 0;
}

/* The SOA behind what is added: the next difference starts, or it is all. */
static int take_old_soa(struct transfer_in *in, const struct rr *rr, uint32_t serial)
{
	if (serial != in->reached)
		return fail_serial(in, "behind a difference came", serial, in->reached);
	in->adding = false;
	if (serial != in->soa.serial)
		return zone_changes_next(in->changes) != 0 ? fail_changes(in) : 0;
	if (!transfer_in_same_soa(in, rr->rdata, rr->rdata_length))
		return transfer_in_fail(in, rr, "two different SOAs of the newest serial");
	in->closed = true;
	return 0;
}

int ixfr_in_record(struct transfer_in *in, const struct rr *rr)
{
	struct soa_timers soa;
	int result;

	if (rr->type == KNOT_RRTYPE_SOA) {
		if (soa_read(rr->rdata, rr->rdata_length, &soa) != 0)
			return transfer_in_fail(in, rr, "malformed record");
		return in->adding ? take_old_soa(in, rr, soa.serial) : take_new_soa(in, rr, soa.serial);
	}
	if (in->adding)
		result = zone_changes_add(in->changes, rr->owner, rr->type, rr->ttl, rr->rdata, rr->rdata_length);
	else
		result = zone_changes_remove(in->changes, rr->owner, rr->type, rr->rdata, rr->rdata_length);
	return result != 0 ? fail_changes(in) : 0;
}

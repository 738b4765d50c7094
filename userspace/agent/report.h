/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the agent tells of its zones: their state, and what is wrong with whom. */
#ifndef PEREGRINE_AGENT_REPORT_H
#define PEREGRINE_AGENT_REPORT_H

#include "agent/agent.h"

/*
 * FAILING: every primary failed when last asked, or a version was refused, or the serial served has been another than
 * the primary's for longer than that may take; whatever is still served.
 */
enum report_state { REPORT_SERVING, REPORT_LOADING, REPORT_FAILING, REPORT_EXPIRED, REPORT_STATES };
/* `served` gets what is served of it, all 0 when there is nothing. */
enum report_state report_zone_state(const struct agent_zone *zone, struct publisher_zone *served);
const char *report_state_text(enum report_state state);

/* ERROR: the zone is not as fresh as it should be. WARNING: it is, but a primary would not do when it is needed. */
enum problem_level { PROBLEM_NONE, PROBLEM_WARNING, PROBLEM_ERROR };

struct problem {
	enum problem_level level;
	char culprit[200]; /* "primary NAME (ADDRESS)", or "zone" */
	char cause[400];
	char way_out[320];
};

/* What is wrong with a zone in that state, the worst of it. Returns whether there is anything. */
bool problem_find(const struct agent_zone *zone, enum report_state state, struct problem *problem);
/* What an operator may do about an attempt that failed. */
void problem_way_out(const struct agent_zone *zone, const struct history_entry *entry, char *text, size_t size);
/* "primary NAME (ADDRESS)" */
void problem_culprit(const struct config_zone *zone, const struct history_entry *entry, char *text, size_t size);

/* All that there is to be told of a zone. `brief`: what each primary did only if the zone is not well; of a hundred
 * thousand it would be a hundred megabytes of good news. */
json_t *report_zone(struct agent_zone *zone, bool brief);
/* Zones of which a brief report will do when that many are asked for. */
#define REPORT_WHOLE 1000

/* agent/listing.c: something is told of each of many zones, without holding up the loop. */
struct listing_zones {
	struct agent_zone *const *list;
	size_t count;
	bool named;    /* they are told in the order of the list; else in canonical order */
	bool problems; /* those with a problem alone: errors first, then by the culprit */
};
/* What is told of one; `how` as it was given. */
typedef json_t *listing_tell(struct agent_zone *zone, unsigned how);
/* Replies to the request. */
void listing_begin(struct agent *agent, struct control_request *request, const struct listing_zones *zones,
                   listing_tell *tell, unsigned how);

/* agent/census.c: all zones counted. */
struct census {
	struct census *next;
	struct agent *agent;
	struct control_request *request;
	struct agent_zone *at; /* the next one; NULL: that was the last */
	uv_idle_t idle;
	size_t total, states[REPORT_STATES], problems;
	uint64_t names, cold;
};

/* Replies to the request with report_status, when all zones are counted. */
void census_begin(struct agent *agent, struct control_request *request);
/* A zone is about to be taken out. */
void census_skip(struct agent *agent, const struct agent_zone *zone);
/* Fails the requests that still wait. */
void census_close(struct agent *agent);
json_t *report_status(struct agent *agent, const struct census *census);

#endif

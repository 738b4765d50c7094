/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the operator may change while the program runs: the configuration's words in the program's form. */
#include "agent/agent.h"
#include "answer/wire.h"
#include "common/log.h"
#include "compile/fragment.h"
#include "config/values.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_FILE "cookie-secret"
#define SECRET_SIZE CONFIG_COOKIE_SECRET_SIZE
#define NANOSECONDS 1000000000U

static void put_identity(struct pg_policy *policy, const char *identity)
{
	size_t length = strnlen(identity, 255);

	policy->nsid[1] = PG_OPTION_NSID;
	policy->nsid[3] = (uint8_t)length;
	memcpy(policy->nsid + 4, identity, length);
	policy->nsid_length = (uint16_t)(4 + length);
	policy->nsid_sum = fragment_sum(policy->nsid, policy->nsid_length);
}

/* Reads the secret that an earlier run drew. */
static bool read_drawn(const char *path, uint8_t *secret)
{
	char text[2 * SECRET_SIZE + 2] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool good = false;

	if (fd < 0)
		return false;
	if (read(fd, text, sizeof(text) - 1) >= 2 * SECRET_SIZE) {
		text[2 * SECRET_SIZE] = 0;
		good = !value_secret(text, secret, SECRET_SIZE);
	}
	close(fd);
	explicit_bzero(text, sizeof(text));
	return good;
}

/* Keeps a secret; whole or not at all. */
static int keep_drawn(const char *path, const uint8_t *secret)
{
	char text[2 * SECRET_SIZE + 2], aside[4200];
	ssize_t length = 0, written;
	int fd;

	for (size_t i = 0; i < SECRET_SIZE; i++)
		length += sprintf(text + length, "%02x", secret[i]);
	text[length++] = '\n';
	snprintf(aside, sizeof(aside), "%s.new", path);
	unlink(aside);
	fd = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	written = write(fd, text, (size_t)length);
	if (fsync(fd))
		written = -1;
	close(fd);
	explicit_bzero(text, sizeof(text));
	return written == length && !rename(aside, path) ? 0 : -1;
}

/* Where no secret is configured, one is drawn and kept, so that cookies outlive the agent. */
static int draw_secret(const struct config *config, uint8_t *secret)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/" SECRET_FILE, config->state_directory);
	if (read_drawn(path, secret))
		return 0;
	if (getrandom(secret, SECRET_SIZE, 0) != SECRET_SIZE) {
		log_error("no random numbers for a cookie secret: %s", strerror(errno));
		return -1;
	}
	if (keep_drawn(path, secret))
		log_warning("%s: the cookie secret cannot be kept: %s; another is drawn at the next start", path,
		            strerror(errno));
	return 0;
}

static int put_cookies(struct pg_policy *policy, const struct config *config)
{
	uint8_t drawn[SECRET_SIZE];

	_Static_assert(sizeof(policy->secret) == sizeof(config->cookie_secret), "secrets of the same size");
	if (!config->cookies)
		return 0;
	if (config->cookie_secrets) {
		memcpy(policy->secret, config->cookie_secret, sizeof(policy->secret));
		policy->secrets = (uint8_t)config->cookie_secrets;
		return 0;
	}
	if (draw_secret(config, drawn))
		return -1;
	memcpy(policy->secret, drawn, sizeof(drawn));
	policy->secrets = 1;
	explicit_bzero(drawn, sizeof(drawn));
	return 0;
}

int agent_apply_exempt(struct agent *agent)
{
	const struct config *config = agent->config;

	return agent->fastpath ? fastpath_set_exempt(agent->fastpath, config->exempt, config->exempt_count) : 0;
}

int agent_apply_policy(struct agent *agent)
{
	const struct config *config = agent->config;
	struct pg_policy policy = {.slip = (uint8_t)config->rate_slip};
	int result = put_cookies(&policy, config);

	put_identity(&policy, config->identity);
	if (config->rate_limit)
		policy.interval = NANOSECONDS / config->rate_limit;
	policy.exempt = config->exempt_count != 0;
	if (agent_apply_exempt(agent))
		result = -1;
	if (fallback_set_exempt(agent->fallback, config->exempt, config->exempt_count))
		result = -1;
	publisher_set_clock(agent->publisher);
	publisher_set_policy(agent->publisher, &policy);
	explicit_bzero(&policy, sizeof(policy));
	return result;
}

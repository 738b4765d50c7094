/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The host's side: which addresses are served, on which interfaces the program is. Called at start and whenever either
 * changes. */
#include "agent/agent.h"
#include "common/log.h"
#include "publish/pins.h"

#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ATTACH_WAIT_MS 30000

static void set_port(struct sockaddr_storage *address, uint16_t port)
{
	if (address->ss_family == AF_INET)
		((struct sockaddr_in *)address)->sin_port = htons(port);
	else
		((struct sockaddr_in6 *)address)->sin6_port = htons(port);
}

/* The service addresses: those listed, and with `any` those of the host. */
static struct sockaddr_storage *service_addresses(struct agent *agent, size_t *count)
{
	const struct config *config = agent->config;
	struct sockaddr_storage *host = NULL, *all;
	size_t host_count = 0;

	if (config->listen_any && netlink_addresses(agent->netlink, &host, &host_count))
		log_warning("the host's addresses cannot be read; serving those listed");
	all = calloc(config->listen_count + host_count + 1, sizeof(*all));
	if (all) {
		memcpy(all, config->listen, config->listen_count * sizeof(*all));
		*count = config->listen_count;
		for (size_t i = 0; i < host_count; i++) {
			all[*count] = host[i];
			set_port(&all[(*count)++], config->port);
		}
	}
	free(host);
	return all;
}

static bool is_kept_off(const struct agent *agent, const char *name)
{
	for (size_t i = 0; i < agent->detached_count; i++)
		if (!strcmp(agent->detached[i], name))
			return true;
	return false;
}

void agent_keep_off(struct agent *agent, const char *name, bool off)
{
	char **detached;

	for (size_t i = agent->detached_count; i-- > 0;)
		if (!name || !strcmp(agent->detached[i], name)) {
			free(agent->detached[i]);
			agent->detached[i] = agent->detached[--agent->detached_count];
		}
	if (!off || !name)
		return;
	detached = realloc(agent->detached, (agent->detached_count + 1) * sizeof(*detached));
	if (!detached)
		return;
	agent->detached = detached;
	agent->detached[agent->detached_count] = strdup(name);
	if (agent->detached[agent->detached_count])
		agent->detached_count++;
}

static void attach(struct agent *agent)
{
	const struct config *config = agent->config;

	for (size_t i = 0; agent->fastpath && i < config->interface_count; i++) {
		struct fastpath_interface got = {};

		if (is_kept_off(agent, config->interfaces[i]))
			continue;
		if (fastpath_attach(agent->fastpath, config->interfaces[i], config->mode, &got))
			log_warning("interface %s: no fast path: %s", config->interfaces[i], got.why);
		else if (!strcmp(got.mode, "generic"))
			log_warning("interface %s: fast path in generic mode, which is slow%s%s", config->interfaces[i],
			            got.why[0] ? ": " : "", got.why);
		else
			log_info("interface %s: fast path in %s mode", config->interfaces[i], got.mode);
	}
}

void agent_follow_host(struct agent *agent)
{
	struct sockaddr_storage *addresses;
	size_t count = 0;

	/* What changes while zones are still read at start is seen when that is done. */
	if (agent->stopping || !agent->open)
		return;
	addresses = service_addresses(agent, &count);
	if (!addresses)
		return;
	fallback_set_addresses(agent->fallback, addresses, count);
	fallback_set_tls(agent->fallback, agent->config->tls_identity, agent->config->tls_listen,
	                 agent->config->tls_listen_count);
	if (agent->fastpath) {
		fastpath_set_addresses(agent->fastpath, addresses, count);
		if (!agent->attach_waits)
			attach(agent);
	}
	free(addresses);
}

static void attach_now(struct agent *agent)
{
	agent->attach_waits = false;
	uv_timer_stop(&agent->attach_timer);
	attach(agent);
}

static void waited_long_enough(uv_timer_t *timer)
{
	attach_now(timer->data);
}

static bool has_link(const struct agent *agent)
{
	for (size_t i = 0; i < agent->config->interface_count; i++) {
		char name[PINS_NAME_ROOM], path[PATH_MAX];

		pins_link_name(name, agent->config->interfaces[i]);
		if (!pins_path(path, agent->config->pin_directory, name) && !access(path, F_OK))
			return true;
	}
	return false;
}

void agent_attach_at_start(struct agent *agent)
{
	/* A program that is attached answers from the image it was loaded with. When that could not be taken up, the
	 * new one is empty: the old program stays until the zones are there. */
	if (!agent->fastpath || publisher_adopted(agent->publisher) || !has_link(agent))
		return;
	agent->attach_waits = true;
	log_notice("the program attached goes on with the old image until the zones are transferred");
	uv_timer_start(&agent->attach_timer, waited_long_enough, ATTACH_WAIT_MS, 0);
	agent_zone_settled(agent);
}

void agent_zone_settled(struct agent *agent)
{
	if (agent->attach_waits && !agent->stopping && !agent->unsettled)
		attach_now(agent);
}

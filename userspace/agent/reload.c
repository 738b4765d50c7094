/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * `reload`: the file is read on a worker thread, and put in force from the loop, some zones each time it comes round
 * (agent/apply.c). Who asks while that is under way is answered by another one behind it, since the file may have
 * changed since it was read.
 */
#include "agent/agent.h"
#include "agent/catalogs.h"
#include "common/log.h"

#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#define SLICE_NS 4000000 /* of the loop's time */

/* Who asked; `request` NULL: a signal. */
struct asked {
	struct asked *next;
	struct control_request *request;
};

struct reload {
	struct agent *agent;
	struct asked *asked; /* that are answered by this one */
	struct asked *later; /* by the next one */
	uv_work_t work;
	uv_idle_t idle;
	bool reading, closing;
	char *path;
	struct config *config; /* that was read, until it is the agent's */
	char *errors;          /* of the file */
};

/* ---- replies ---- */

static void reply(struct agent *agent, struct asked *asked, const struct applied *applied, const char *errors)
{
	while (asked) {
		struct asked *next = asked->next;

		if (!asked->request)
			sd_notify(0, "READY=1");
		else if (errors)
			control_fail(asked->request, "the old configuration stays: %s", errors);
		else if (applied->result)
			control_fail(asked->request,
			             "the new configuration is in force, but not all of it could be done: see the log");
		else
			control_reply(asked->request,
			              json_pack("{s:I, s:I, s:I}", "zones", (json_int_t)agent->zone_count,
			                        "zones_added", (json_int_t)applied->added, "zones_removed",
			                        (json_int_t)applied->removed));
		free(asked);
		asked = next;
	}
}

static void put(struct asked **list, struct asked *asked)
{
	while (*list)
		list = &(*list)->next;
	*list = asked;
}

/* Settings that are taken at start only. */
static void warn_of_restart(const struct config *old, const struct config *config)
{
	static const char later[] = "takes effect when peregrined is started again";

	if (strcmp(old->pin_directory, config->pin_directory) || old->mode != config->mode ||
	    old->memory != config->memory)
		log_warning("%s: a change of fast-path mode, pin-directory or memory %s", config->path, later);
	if (old->port != config->port || strcmp(old->run_directory, config->run_directory) ||
	    strcmp(old->state_directory, config->state_directory))
		log_warning("%s: a change of server port, run-directory or state-directory %s", config->path, later);
	if (old->udp_workers != config->udp_workers || old->tcp_clients != config->tcp_clients ||
	    old->transfers_out != config->transfers_out)
		log_warning("%s: a change of fallback %s", config->path, later);
}

/* Takes the program off interfaces that are not named any more. */
static void detach_unnamed(struct agent *agent)
{
	struct fastpath_interface interfaces[64];
	size_t count = agent->fastpath ? fastpath_interfaces(agent->fastpath, interfaces, 64) : 0;

	for (size_t i = 0; i < count && i < 64; i++) {
		bool named = false;

		for (size_t j = 0; j < agent->config->interface_count; j++)
			named |= !strcmp(agent->config->interfaces[j], interfaces[i].name);
		if (!named)
			fastpath_detach(agent->fastpath, interfaces[i].name);
	}
}

/* ---- reading, and putting in force ---- */

static void begin(struct agent *agent, struct asked *asked);

static void on_closed(uv_handle_t *handle)
{
	struct reload *reload = handle->data;
	struct agent *agent = reload->agent;
	struct asked *later = reload->later;

	if (agent->reload == reload)
		agent->reload = NULL;
	config_free(reload->config);
	free(reload->path);
	free(reload->errors);
	free(reload);
	if (later)
		begin(agent, later);
}

/* It is over; `errors` NULL: the configuration is in force. */
static void end(struct reload *reload, const struct applied *applied, const char *errors)
{
	if (errors)
		log_error("configuration not read again; the old one stays: %s", errors);
	else
		log_notice("configuration read again: %zu zones, %zu added, %zu removed%s", reload->agent->zone_count,
		           applied->added, applied->removed, applied->result ? "; not all of it could be done" : "");
	reply(reload->agent, reload->asked, applied, errors);
	reload->asked = NULL;
	uv_close((uv_handle_t *)&reload->idle, on_closed);
}

static void on_idle(uv_idle_t *idle)
{
	struct reload *reload = idle->data;
	struct agent *agent = reload->agent;
	struct config *config = reload->config;
	struct applied applied;

	if (config) {
		if (catalogs_at_work(agent))
			return;
		warn_of_restart(agent->config, config);
		if (agent_apply_begin(agent, config)) {
			end(reload, NULL, "out of memory");
			return;
		}
		reload->config = NULL;
		agent_keep_off(agent, NULL, false);
	}
	if (!agent_apply_some(agent, uv_hrtime() + SLICE_NS, &applied))
		return;
	if (agent_apply_policy(agent))
		applied.result = -1;
	detach_unnamed(agent);
	agent_follow_host(agent);
	end(reload, &applied, NULL);
}

static void on_read(uv_work_t *work, int status)
{
	struct reload *reload = work->data;

	reload->reading = false;
	if (reload->closing)
		uv_close((uv_handle_t *)&reload->idle, on_closed);
	else if (reload->config)
		uv_idle_start(&reload->idle, on_idle);
	else
		end(reload, NULL, reload->errors && reload->errors[0] ? reload->errors : "out of memory");
}

static void read_file(uv_work_t *work)
{
	struct reload *reload = work->data;
	size_t size;
	FILE *stream = open_memstream(&reload->errors, &size);

	if (!stream)
		return;
	reload->config = config_load(reload->path, stream);
	fclose(stream);
	for (char *c = reload->errors; c && *c; c++)
		if (*c == '\n')
			*c = c[1] ? ';' : 0;
}

/* While the agent starts it only waits. */
static void begin(struct agent *agent, struct asked *asked)
{
	struct reload *reload = calloc(1, sizeof(*reload));

	if (reload)
		reload->path = strdup(agent->config->path);
	if (!reload || !reload->path) {
		reply(agent, asked, NULL, "out of memory");
		free(reload);
		return;
	}
	reload->agent = agent;
	reload->asked = asked;
	agent->reload = reload;
	uv_idle_init(agent->loop, &reload->idle);
	reload->idle.data = reload->work.data = reload;
	agent_reload_started(agent);
}

void agent_reload_started(struct agent *agent)
{
	struct reload *reload = agent->reload;

	if (!reload || !agent->started_up)
		return;
	reload->reading = true;
	if (!uv_queue_work(agent->loop, &reload->work, read_file, on_read))
		return;
	read_file(&reload->work);
	on_read(&reload->work, 0);
}

void agent_reload(struct agent *agent, struct control_request *request)
{
	struct asked *asked = calloc(1, sizeof(*asked));

	if (!asked) {
		if (request)
			control_fail(request, "the old configuration stays: out of memory");
		return;
	}
	asked->request = request;
	if (!request)
		sd_notify(0, "RELOADING=1");
	if (agent->reload)
		put(&agent->reload->later, asked);
	else
		begin(agent, asked);
}

void agent_reload_close(struct agent *agent)
{
	struct reload *reload = agent->reload;

	if (!reload)
		return;
	agent->reload = NULL;
	reply(agent, reload->asked, NULL, "the agent is ending");
	reply(agent, reload->later, NULL, "the agent is ending");
	reload->asked = reload->later = NULL;
	reload->closing = true;
	/* While the file is read, that has to come to its end. */
	if (!reload->reading && !uv_is_closing((uv_handle_t *)&reload->idle))
		uv_close((uv_handle_t *)&reload->idle, on_closed);
}

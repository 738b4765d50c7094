/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Life cycle. Start goes from the bottom up: image, zones, program, sockets, control; the end goes the other way and
 * leaves image and program pinned.
 */
#include "agent/agent.h"
#include "agent/catalogs.h"
#include "agent/report.h"
#include "common/log.h"
#include "publish/pins.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>
#include <urcu/urcu-memb.h>

#define EXPIRY_WATCH_MS 1000
#define COUNTED_ZONES 64
#define UDP_SIZE 1232 /* the largest reply by UDP: no fragments on any path of IPv6's least MTU (DNS flag day 2020) */

static int make_directory(const char *path, mode_t mode)
{
	if (!mkdir(path, mode) || errno == EEXIST)
		return 0;
	log_error("%s: cannot be made: %s", path, strerror(errno));
	return -1;
}

static void warn_of_what_is_not_applied(const struct config *config)
{
	if (config->metrics_listen)
		log_warning("%s: metrics are not served by this version; `peregrine stats --json` has the counters",
		            config->path);
}

static int open_publisher(struct agent *agent)
{
	const struct config *config = agent->config;
	struct publisher_options options = {
	    .memory = config->memory, .zones = COUNTED_ZONES, .port = config->port, .udp_size = UDP_SIZE};

	char cold[512];

	/* Slots are a power of two, and a configuration grows. */
	while (options.zones < 2 * config->zone_count)
		options.zones *= 2;
	if (config->mode != CONFIG_MODE_OFF) {
		int error;

		if (fastpath_mount_bpffs(config->pin_directory))
			return -1;
		error = pins_lock(config->pin_directory);
		if (error) {
			log_error("%s: %s", config->pin_directory,
			          error == -EWOULDBLOCK ? "another agent uses this pin directory; stop it first"
			                                : strerror(-error));
			return -1;
		}
		options.pin_directory = config->pin_directory;
	}
	snprintf(cold, sizeof(cold), "%s/cold-names", config->state_directory);
	options.cold = cold;
	agent->publisher = publisher_open(&options, agent->loop);
	return agent->publisher ? 0 : -1;
}

static int open_servers(struct agent *agent)
{
	const struct config *config = agent->config;
	struct fallback_options options = {
	    .udp_workers = config->udp_workers,
	    .tcp_clients = config->tcp_clients,
	    .notify = notify_receive,
	    .notify_context = agent,
	    .transfers_out = config->transfers_out,
	    .outgoing = &agent->outgoing,
	};

	if (agent_outgoing_open(agent, agent->store))
		return -1;
	agent->notify = notify_open(agent);
	agent->fallback = agent->notify ? fallback_open(publisher_image(agent->publisher), &options) : NULL;
	return agent->fallback ? 0 : -1;
}

static int open_control(struct agent *agent)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/control.sock", agent->config->run_directory);
	agent->control = control_open(agent->loop, path, agent_verbs, agent);
	return agent->control ? 0 : -1;
}

static void host_changed(void *context)
{
	agent_follow_host(context);
}

/* The zones of the configuration, and what the catalogs listed last, are there before the addresses are taken; control
 * and NOTIFY are answered meanwhile. */
static int start_zones(struct agent *agent)
{
	struct applied applied = {};
	bool done;

	if (agent_apply_begin(agent, agent->config))
		return -1;
	done = agent_apply_some(agent, UINT64_MAX, &applied);
	/* Nobody may ask before the loop can answer. */
	if (open_control(agent))
		return -1;
	while (!done && !agent->ending) {
		uv_run(agent->loop, UV_RUN_ONCE);
		done = agent_apply_some(agent, UINT64_MAX, &applied);
	}
	return applied.result;
}

/* The verifier takes seconds for the program: meanwhile zones are read. */
static void load_program(uv_work_t *work)
{
	struct agent *agent = work->data;

	agent->program_loaded = fastpath_open(agent->config->pin_directory, publisher_image(agent->publisher));
}

static void on_program(uv_work_t *work, int status)
{
	struct agent *agent = work->data;

	agent->program_loading = false;
}

static void begin_program(struct agent *agent)
{
	if (agent->config->mode == CONFIG_MODE_OFF)
		return;
	agent->program.data = agent;
	agent->program_loading = true;
	if (!uv_queue_work(agent->loop, &agent->program, load_program, on_program))
		return;
	load_program(&agent->program);
	on_program(&agent->program, 0);
}

/* Returns 0, or -1 where there is to be a program and is none. */
static int wait_for_program(struct agent *agent)
{
	while (agent->program_loading)
		uv_run(agent->loop, UV_RUN_ONCE);
	agent->fastpath = agent->program_loaded;
	return agent->fastpath || agent->config->mode == CONFIG_MODE_OFF ? 0 : -1;
}

/* Everything up to where the loop takes over. */
static int start(struct agent *agent)
{
	struct config *config = agent->config;
	bool stored;

	if (make_directory(config->run_directory, 0755) || make_directory(config->state_directory, 0700))
		return -1;
	warn_of_what_is_not_applied(config);
	agent_open_store(agent);
	if (open_publisher(agent))
		return -1;
	begin_program(agent);
	agent->netlink = netlink_open(agent->loop, host_changed, agent);
	if (!agent->netlink || zone_set_open(agent) || open_servers(agent))
		return -1;
	agent->schedule = schedule_new(agent->loop);
	if (!agent->schedule || start_zones(agent))
		return -1;
	stored = agent_wait_for_store(agent);
	if (agent_apply_policy(agent))
		return -1;
	/* Zones that were served before are answered by the sockets, as long as the verifier still takes. */
	agent->open = stored;
	agent_follow_host(agent);
	if (wait_for_program(agent) || agent_apply_exempt(agent))
		return -1;
	agent_attach_at_start(agent);
	agent->open = agent->started_up = true;
	agent_follow_host(agent);
	if (config->mode == CONFIG_MODE_NATIVE && agent->fastpath && !agent->attach_waits) {
		struct fastpath_interface got;

		for (size_t i = 0; i < config->interface_count; i++)
			if (fastpath_attach(agent->fastpath, config->interfaces[i], config->mode, &got) &&
			    got.ifindex) {
				log_error("interface %s: no native XDP: %s; `mode: auto` would take generic mode",
				          config->interfaces[i], got.why);
				return -1;
			}
	}
	agent_reload_started(agent);
	return 0;
}

static void close_handle(uv_handle_t *handle, void *context)
{
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

/* Releases in the opposite order; every part may be missing. */
static void stop(struct agent *agent)
{
	agent->stopping = true;
	/* They look at what is closed here, and the loop runs before they are. */
	uv_timer_stop(&agent->expiry_timer);
	uv_timer_stop(&agent->attach_timer);
	uv_timer_stop(&agent->produce_timer);
	/* Worker threads have the image, and the store. */
	wait_for_program(agent);
	while (agent->sweeping)
		uv_run(agent->loop, UV_RUN_ONCE);
	if (agent->control)
		control_close(agent->control);
	census_close(agent);
	agent_reload_close(agent);
	agent_keep_off(agent, NULL, false);
	free(agent->detached);
	agent_drop_zones(agent);
	schedule_free(agent->schedule);
	if (agent->fallback)
		fallback_close(agent->fallback);
	zone_set_close(agent);
	agent_apply_close(agent);
	if (agent->notify)
		notify_close(agent->notify);
	notify_out_free(agent->notify_out);
	if (agent->netlink)
		netlink_close(agent->netlink);
	if (agent->fastpath)
		fastpath_close(agent->fastpath);
	publisher_close(agent->publisher);
	agent_close_store(agent);
	uv_run(agent->loop, UV_RUN_NOWAIT);
	for (size_t i = 0; i < sizeof(agent->signals) / sizeof(agent->signals[0]); i++)
		close_handle((uv_handle_t *)&agent->signals[i], NULL);
	close_handle((uv_handle_t *)&agent->attach_timer, NULL);
	close_handle((uv_handle_t *)&agent->produce_timer, NULL);
	close_handle((uv_handle_t *)&agent->expiry_timer, NULL);
	uv_run(agent->loop, UV_RUN_DEFAULT);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct agent *agent = handle->data;

	/* One that came while the parts were closed, or while a start failed. */
	if (agent->stopping)
		return;
	if (number == SIGHUP) {
		agent_reload(agent, NULL);
		return;
	}
	log_notice("ending on signal %d; %s", number,
	           !agent->fastpath       ? "nothing stays behind"
	           : agent->detach_at_end ? "the fast path is taken off"
	                                  : "the fast path stays and answers until the zones expire");
	agent->ending = true;
	uv_stop(agent->loop);
}

static void watch_signals(struct agent *agent)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		uv_signal_init(agent->loop, &agent->signals[i]);
		agent->signals[i].data = agent;
		uv_signal_start(&agent->signals[i], on_signal, numbers[i]);
	}
	uv_timer_init(agent->loop, &agent->attach_timer);
	agent->attach_timer.data = agent;
	uv_timer_init(agent->loop, &agent->produce_timer);
	agent->produce_timer.data = agent;
	uv_timer_init(agent->loop, &agent->expiry_timer);
	agent->expiry_timer.data = agent;
	uv_timer_start(&agent->expiry_timer, agent_watch_expiry, EXPIRY_WATCH_MS, EXPIRY_WATCH_MS);
}

int agent_run(struct config *config, bool detach_at_end)
{
	struct agent agent = {
	    .loop = uv_default_loop(), .config = config, .detach_at_end = detach_at_end, .started = time(NULL)};
	char *pins = strdup(config->pin_directory);
	bool uses_pins = config->mode != CONFIG_MODE_OFF;
	int result;

	urcu_memb_register_thread();
	watch_signals(&agent);
	result = start(&agent);
	if (!result && !agent.ending) {
		log_notice("peregrined %s serves %zu zones as %s", PEREGRINE_VERSION, agent.zone_count,
		           agent.config->identity);
		sd_notify(0, "READY=1");
		uv_run(agent.loop, UV_RUN_DEFAULT);
		sd_notify(0, "STOPPING=1");
	}
	stop(&agent);
	if (!result && detach_at_end && uses_pins && pins)
		result = fastpath_remove(pins) < 0 ? -1 : 0;
	if (uses_pins)
		pins_unlock();
	config_free(agent.config);
	urcu_memb_unregister_thread();
	free(pins);
	return result ? 1 : 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * peregrine-tcp-client: asks over TCP, with so many queries under way on each of some connections; looks at every
 * reply, and counts. Run in the client's network namespace.
 */
#include "account.h"
#include "tcp_connection.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define CONNECTIONS_MOST 1024
#define EVENTS 64
#define WAIT 100     /* milliseconds */
#define PATIENCE 5.0 /* seconds for what is under way at the end */

struct options {
	const char *address, *queries, *samples;
	unsigned slot, connections, at_once;
	int cpu, client_cpu;
	double warm, seconds;
	int pids[ACCOUNT_TASKS];
	unsigned pid_count;
};

struct run {
	const struct options *options;
	struct tcp_load load;
	struct tcp_counts counts;
	struct tcp_connection *connections;
	int epoll;
};

/* At one moment: the serving CPU's account, the client's, and what had been counted. */
struct mark {
	struct account server, client;
	struct tcp_counts counts;
};

static void take_mark(const struct run *run, struct mark *mark)
{
	const struct options *options = run->options;

	account_take(&mark->server, options->cpu, options->pids, options->pid_count);
	account_take(&mark->client, options->client_cpu, NULL, 0);
	mark->counts = run->counts;
}

static int watch(const struct run *run, struct tcp_connection *connection, int how)
{
	struct epoll_event event = {.events = EPOLLIN | (connection->pending ? EPOLLOUT : 0),
	                            .data = {.ptr = connection}};

	return epoll_ctl(run->epoll, how, connection->socket, &event);
}

static void drop(struct run *run, struct tcp_connection *connection)
{
	run->counts.closed++;
	tcp_connection_close(connection);
}

/* One connection that has something, or takes something; as many queries more as replies came, unless it is over. */
static void serve(struct run *run, struct tcp_connection *connection, uint32_t events, bool more)
{
	bool behind = connection->pending != 0;
	int came = 0;

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		came = tcp_connection_receive(connection, &run->load, &run->counts);
	if (came > 0 && more)
		tcp_connection_ask(connection, &run->load, &run->counts, (uint32_t)came);
	if (came < 0 || tcp_connection_send(connection, &run->load)) {
		drop(run, connection);
		return;
	}
	if (behind != (connection->pending != 0))
		watch(run, connection, EPOLL_CTL_MOD);
}

static uint64_t under_way(const struct run *run)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < run->options->connections; i++)
		sum += run->connections[i].under_way;
	return sum;
}

/* Until that moment; with `drain` nothing more is asked, and it ends when all has come. */
static void go_on(struct run *run, double end, bool drain)
{
	struct epoll_event events[EVENTS];

	while (account_clock() < end && !(drain && !under_way(run))) {
		int count = epoll_wait(run->epoll, events, EVENTS, WAIT);

		for (int i = 0; i < count; i++)
			serve(run, events[i].data.ptr, events[i].events, !drain);
	}
}

static int open_all(struct run *run)
{
	const struct options *options = run->options;

	for (unsigned i = 0; i < options->connections; i++) {
		uint32_t first = (uint32_t)((uint64_t)i * run->load.count / options->connections);

		if (tcp_connection_open(&run->connections[i], &run->load, options->address, first) ||
		    watch(run, &run->connections[i], EPOLL_CTL_ADD)) {
			fprintf(stderr, "peregrine-tcp-client: %s: %s\n", options->address, strerror(errno));
			return -1;
		}
	}
	return 0;
}

static void print(const struct run *run, const struct mark *from, const struct mark *to)
{
	const struct tcp_counts *all = &run->counts;
	json_t *made = json_pack(
	    "{s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f}", "seconds",
	    to->server.now - from->server.now, "replies", (json_int_t)(to->counts.replies - from->counts.replies),
	    "octets", (json_int_t)(to->counts.octets - from->counts.octets), "wrong", (json_int_t)all->wrong, "strange",
	    (json_int_t)all->strange, "lost", (json_int_t)(all->asked - all->replies), "closed",
	    (json_int_t)all->closed, "busy", to->server.busy - from->server.busy, "idle",
	    to->server.idle - from->server.idle, "stolen", to->server.stolen - from->server.stolen, "tasks",
	    to->server.tasks - from->server.tasks, "client_idle", to->client.idle - from->client.idle);

	json_dumpf(made, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(made);
}

static int write_samples(const struct run *run)
{
	FILE *file = run->options->samples ? fopen(run->options->samples, "we") : NULL;

	if (!file)
		return run->options->samples ? -1 : 0;
	fwrite(run->load.samples, sizeof(*run->load.samples), GENERATOR_SAMPLES + 1, file);
	return fclose(file);
}

static int measure(struct run *run)
{
	const struct options *options = run->options;
	struct mark from, to;
	double begun;

	if (open_all(run))
		return -1;
	for (unsigned i = 0; i < options->connections; i++) {
		tcp_connection_ask(&run->connections[i], &run->load, &run->counts, options->at_once);
		serve(run, &run->connections[i], 0, true);
	}
	begun = account_clock();
	go_on(run, begun + options->warm, false);
	take_mark(run, &from);
	go_on(run, begun + options->warm + options->seconds, false);
	take_mark(run, &to);
	go_on(run, account_clock() + PATIENCE, true);
	print(run, &from, &to);
	return write_samples(run);
}

static void usage(FILE *out)
{
	fputs("usage: peregrine-tcp-client --address ADDRESS --queries FILE [options]\n"
	      "\n"
	      "  --queries FILE     records as in generator_shared.h, of --slot octets each (128)\n"
	      "  --connections N    that ask (16)\n"
	      "  --at-once N        queries under way on each (400)\n"
	      "  --warm S           seconds before the time that counts (0.1)\n"
	      "  --seconds S        the time that counts (1)\n"
	      "  --cpu N            the serving CPU, whose time is accounted (1)\n"
	      "  --client-cpu N     the client's (0)\n"
	      "  --pids N,N...      processes whose time is the server's\n"
	      "  --samples FILE     writes the sampled replies there\n",
	      out);
}

static int take(struct options *options, int letter, char *value)
{
	switch (letter) {
	case 'a':
		options->address = value;
		break;
	case 'q':
		options->queries = value;
		break;
	case 'S':
		options->samples = value;
		break;
	case 'z':
		options->slot = (unsigned)strtoul(value, NULL, 10);
		break;
	case 'n':
		options->connections = (unsigned)strtoul(value, NULL, 10);
		break;
	case 'o':
		options->at_once = (unsigned)strtoul(value, NULL, 10);
		break;
	case 'w':
		options->warm = strtod(value, NULL);
		break;
	case 's':
		options->seconds = strtod(value, NULL);
		break;
	case 'c':
		options->cpu = (int)strtol(value, NULL, 10);
		break;
	case 'C':
		options->client_cpu = (int)strtol(value, NULL, 10);
		break;
	case 'p':
		return account_pids(value, options->pids, &options->pid_count);
	default:
		return -1;
	}
	return 0;
}

static int read_options(struct options *options, int argc, char **argv)
{
	static const struct option known[] = {{"address", required_argument, NULL, 'a'},
	                                      {"queries", required_argument, NULL, 'q'},
	                                      {"slot", required_argument, NULL, 'z'},
	                                      {"connections", required_argument, NULL, 'n'},
	                                      {"at-once", required_argument, NULL, 'o'},
	                                      {"warm", required_argument, NULL, 'w'},
	                                      {"seconds", required_argument, NULL, 's'},
	                                      {"cpu", required_argument, NULL, 'c'},
	                                      {"client-cpu", required_argument, NULL, 'C'},
	                                      {"pids", required_argument, NULL, 'p'},
	                                      {"samples", required_argument, NULL, 'S'},
	                                      {"help", no_argument, NULL, 'h'},
	                                      {0}};
	bool good = true;
	int letter;

	*options = (struct options){
	    .slot = GENERATOR_SLOT_LEAST, .connections = 16, .at_once = 400, .warm = 0.1, .seconds = 1, .cpu = 1};
	while (good && (letter = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		if (letter == 'h') {
			usage(stdout);
			exit(0);
		}
		good = take(options, letter, optarg) == 0;
	}
	if (good && options->address && options->queries && options->slot >= GENERATOR_SLOT_LEAST &&
	    options->slot <= GENERATOR_SLOT_MOST && options->connections && options->connections <= CONNECTIONS_MOST &&
	    options->at_once && options->at_once <= TCP_QUERIES)
		return 0;
	usage(stderr);
	return -1;
}

int main(int argc, char **argv)
{
	struct options options;
	struct run run = {.options = &options};
	int failed = 1;

	if (read_options(&options, argc, argv))
		return 2;
	if (tcp_load_read(&run.load, options.queries, options.slot))
		return 1;
	run.connections = calloc(options.connections, sizeof(*run.connections));
	for (unsigned i = 0; run.connections && i < options.connections; i++)
		run.connections[i].socket = -1;
	run.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (run.load.count < options.at_once)
		fprintf(stderr, "peregrine-tcp-client: %s: fewer queries than are to be under way\n", options.queries);
	else if (run.connections && run.epoll >= 0)
		failed = measure(&run) != 0;
	for (unsigned i = 0; run.connections && i < options.connections; i++)
		tcp_connection_close(&run.connections[i]);
	free(run.connections);
	tcp_load_free(&run.load);
	return failed;
}

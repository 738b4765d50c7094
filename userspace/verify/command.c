/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A program of the operator's judges: the zone in master-file form is its standard input, PEREGRINE_ZONE and
 * PEREGRINE_SERIAL its environment; exit status 0 accepts, and the first line of its standard error is the reason. It
 * is run without a shell, with no other file open and no ambient capability, in a process group of its own that is
 * killed when it takes too long.
 */
#include "verify/master.h"
#include "verify/verify.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SAID 160      /* room for what the command says */
#define PIPE_READS 64 /* what a pipe holds; a process that left the group may write for ever */
#define TICK_MS 50    /* how often is looked whether it has ended, or nobody waits for it */

struct run {
	const struct verify_request *request;
	uint64_t deadline; /* milliseconds of CLOCK_MONOTONIC */
	int zone;          /* the file it reads */
	int said[2];       /* the pipe it writes to */
	pid_t process;
	char text[SAID];
	size_t text_length;
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* A file without a name, on disk where that is possible. Returns it, read from its beginning, or -1. */
static int write_zone(const struct verify_request *request)
{
	int file = open(request->state_directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), copy;
	FILE *out;

	if (file < 0)
		file = memfd_create("zone", MFD_CLOEXEC);
	copy = file < 0 ? -1 : fcntl(file, F_DUPFD_CLOEXEC, 3);
	out = copy < 0 ? NULL : fdopen(copy, "w");
	if (out && !(master_write(out, request->version, UINT64_MAX, request->cancelled) | fclose(out)) &&
	    !lseek(file, 0, SEEK_SET))
		return file;
	if (!out && copy >= 0)
		close(copy);
	if (file >= 0)
		close(file);
	return -1;
}

static int prepare(const struct run *run, posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes)
{
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	/* Ambient capabilities would be its own: nothing of it needs them. They are this thread's, and of no use here.
	 */
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return posix_spawn_file_actions_adddup2(actions, run->zone, 0) ||
	               posix_spawn_file_actions_addopen(actions, 1, "/dev/null", O_WRONLY, 0) ||
	               posix_spawn_file_actions_adddup2(actions, run->said[1], 2) ||
	               posix_spawn_file_actions_addclosefrom_np(actions, 3) ||
	               posix_spawn_file_actions_addchdir_np(actions, "/") ||
	               posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
	                                                        POSIX_SPAWN_SETSIGDEF) ||
	               posix_spawnattr_setpgroup(attributes, 0) || posix_spawnattr_setsigmask(attributes, &none) ||
	               posix_spawnattr_setsigdefault(attributes, &all)
	           ? -1
	           : 0;
}

/* Returns 0, or an errno. */
static int start(struct run *run)
{
	const char *path = run->request->rules->command;
	char zone[16 + 1100], serial[64],
	    search[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	char *arguments[] = {(char *)path, NULL}, *environment[] = {zone, serial, search, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int error = ENOMEM;

	snprintf(zone, sizeof(zone), "PEREGRINE_ZONE=%s", run->request->zone);
	snprintf(serial, sizeof(serial), "PEREGRINE_SERIAL=%u", run->request->version->serial);
	if (posix_spawn_file_actions_init(&actions))
		return ENOMEM;
	if (!posix_spawnattr_init(&attributes)) {
		if (!prepare(run, &actions, &attributes))
			error = posix_spawn(&run->process, path, &actions, &attributes, arguments, environment);
		posix_spawnattr_destroy(&attributes);
	}
	posix_spawn_file_actions_destroy(&actions);
	return error;
}

/* Keeps the first line; the rest is read and forgotten, so that the command can go on. Returns false at its end. */
static bool listen_once(struct run *run)
{
	struct pollfd pipe_end = {.fd = run->said[0], .events = POLLIN};
	char octets[1024];
	ssize_t got;

	if (poll(&pipe_end, 1, TICK_MS) <= 0)
		return true;
	got = read(run->said[0], octets, sizeof(octets));
	for (ssize_t i = 0; i < got && run->text_length < SAID - 1; i++) {
		if (octets[i] == '\n') {
			if (run->text_length)
				run->text_length = SAID;
			continue;
		}
		run->text[run->text_length++] = isprint((unsigned char)octets[i]) ? octets[i] : '?';
	}
	return got > 0 || (got < 0 && errno == EINTR);
}

static bool is_cancelled(const struct run *run)
{
	return run->request->cancelled && *run->request->cancelled;
}

/* Whether it has ended; it is not waited for before its group is killed, since its number would be free then. */
static bool has_ended(const struct run *run, bool wait)
{
	siginfo_t info = {.si_pid = 0};
	int result = waitid(P_PID, (id_t)run->process, &info, WEXITED | WNOWAIT | (wait ? 0 : WNOHANG));

	return result ? errno != EINTR : info.si_pid != 0;
}

/* Waits for its end. Returns its status, or -1 when it was killed. */
static int await(struct run *run)
{
	bool listening = true, killed = false;
	int status = -1;

	while (!has_ended(run, false)) {
		if (now_ms() >= run->deadline || is_cancelled(run)) {
			kill(-run->process, SIGKILL);
			killed = true;
			while (!has_ended(run, true))
				;
			break;
		}
		if (listening)
			listening = listen_once(run);
		else
			poll(NULL, 0, TICK_MS);
	}
	/* What it left running has nothing to do any more; what it said last may still be in the pipe. */
	kill(-run->process, SIGKILL);
	while (waitpid(run->process, &status, 0) < 0 && errno == EINTR)
		;
	for (int i = 0;
	     i < PIPE_READS && listening && poll(&(struct pollfd){.fd = run->said[0], .events = POLLIN}, 1, 0) > 0; i++)
		listening = listen_once(run);
	return killed ? -1 : status;
}

static int judge(const struct run *run, int status, unsigned timeout_ms, char *why)
{
	const char *path = run->request->rules->command;

	if (status == 0)
		return 0;
	if (is_cancelled(run))
		snprintf(why, VERIFY_WHY, "nobody waits for it any more");
	else if (status < 0)
		snprintf(why, VERIFY_WHY, "%.150s took longer than %u ms", path, timeout_ms);
	else if (!WIFEXITED(status))
		snprintf(why, VERIFY_WHY, "%.150s was ended by signal %d", path, WTERMSIG(status));
	else if (run->text[0])
		snprintf(why, VERIFY_WHY, "%.80s: %.150s", path, run->text);
	else
		snprintf(why, VERIFY_WHY, "%.150s says no, by exit status %d", path, WEXITSTATUS(status));
	return -1;
}

int verify_command(const struct verify_request *request, unsigned timeout_ms, char *why)
{
	struct run run = {.request = request, .deadline = now_ms() + timeout_ms};
	int error, result = -1;

	run.zone = write_zone(request);
	if (run.zone < 0 || pipe2(run.said, O_CLOEXEC)) {
		snprintf(why, VERIFY_WHY, "%.100s cannot be given the zone: %s", request->rules->command,
		         strerror(errno));
		if (run.zone >= 0)
			close(run.zone);
		return -1;
	}
	error = start(&run);
	close(run.said[1]);
	if (error)
		snprintf(why, VERIFY_WHY, "%.150s cannot be run: %s", request->rules->command, strerror(error));
	else
		result = judge(&run, await(&run), timeout_ms, why);
	close(run.said[0]);
	close(run.zone);
	return result;
}

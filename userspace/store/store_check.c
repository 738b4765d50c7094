/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Looking at all there is. A damaged file can kill the process that reads it (LMDB trusts its pages), so this is done
 * by a child.
 */
#include "store/store_journal.h"
#include "common/log.h"

#include <errno.h>
#include <signal.h>
#include <libknot/libknot.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Seconds; what is so large that it takes longer is believed. */
#define CHECK_MOST 60

static int check_records(const struct store *store, MDB_txn *txn, const struct head *head)
{
	uint8_t owner[KNOT_DNAME_MAXLEN], id[KEY_ID];
	MDB_val key = {.mv_data = id, .mv_size = sizeof(id)}, value;
	uint64_t rrsets = 0, octets = 0;
	MDB_cursor *cursor;
	int result = mdb_cursor_open(txn, store->dbi[DB_RECORDS], &cursor);

	if (result)
		return result;
	put32(id, head->id);
	result = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
	for (; !result && key_has_id(&key, head->id); result = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
		struct store_rrset rrset;

		if (key_read(&key, owner, &rrset.type, &rrset.covered) || stored_value_read(&value, &rrset)) {
			result = damaged();
			break;
		}
		rrsets++;
		octets += key.mv_size + value.mv_size;
	}
	mdb_cursor_close(cursor);
	if (result && result != MDB_NOTFOUND)
		return result;
	return rrsets == head->rrsets && octets == head->octets ? 0 : damaged();
}

static int check_journal(const struct store *store, MDB_txn *txn, const struct head *head)
{
	MDB_cursor *cursor;
	uint64_t octets = 0;
	uint32_t serial = head->journal_from;
	int result = mdb_cursor_open(txn, store->dbi[DB_JOURNAL], &cursor);

	for (uint32_t at = head->first; !result && at < head->next; at++) {
		struct journal_key first;
		struct journal_head difference;
		MDB_val key = {.mv_data = first.octets, .mv_size = sizeof(first.octets)}, value;

		journal_key(&first, head->journal, at, 0);
		result = mdb_cursor_get(cursor, &key, &value, MDB_SET_KEY);
		if (!result && value.mv_size != sizeof(difference))
			result = damaged();
		if (result)
			break;
		memcpy(&difference, value.mv_data, sizeof(difference));
		if (difference.from != serial)
			result = damaged();
		serial = difference.to;
		octets += difference.octets;
	}
	if (cursor)
		mdb_cursor_close(cursor);
	if (result)
		return result;
	return (head->first == head->next || serial == head->serial) && octets == head->journal_octets ? 0 : damaged();
}

static int check_zones(const struct store *store, MDB_txn *txn, char *why, size_t why_size)
{
	MDB_val key, value;
	MDB_cursor *cursor;
	int result = mdb_cursor_open(txn, store->dbi[DB_ZONES], &cursor);

	if (result)
		return result;
	while (!(result = mdb_cursor_get(cursor, &key, &value, MDB_NEXT))) {
		knot_dname_txt_storage_t name;
		struct head head;

		if (knot_dname_wire_check(key.mv_data, (uint8_t *)key.mv_data + key.mv_size, NULL) !=
		    (int)key.mv_size) {
			result = damaged();
			break;
		}
		if (!knot_dname_to_str(name, key.mv_data, sizeof(name)))
			strcpy(name, "?");
		snprintf(why, why_size, "zone %.200s: ", name);
		result = head_read(&value, &head);
		if (!result)
			result = check_records(store, txn, &head);
		if (!result)
			result = check_journal(store, txn, &head);
		if (result)
			break;
	}
	mdb_cursor_close(cursor);
	if (result == MDB_NOTFOUND)
		why[0] = '\0';
	return result == MDB_NOTFOUND ? 0 : result;
}

/* Returns 0, or an error with what is wrong in `why`. */
static int check(const char *directory, char *why, size_t why_size)
{
	struct store store = {};
	MDB_txn *txn;
	size_t length;
	int result = env_open(directory, MDB_RDONLY, 0, &store.env, store.dbi);

	why[0] = '\0';
	if (!result) {
		result = mdb_txn_begin(store.env, NULL, MDB_RDONLY, &txn);
		if (!result) {
			result = check_zones(&store, txn, why, why_size);
			mdb_txn_abort(txn);
		}
		mdb_env_close(store.env);
	}
	length = strlen(why);
	if (result)
		snprintf(why + length, why_size - length, "%s", mdb_strerror(result));
	return result;
}

/* What reading a damaged file comes to, and what else may end the child. */
static const int faults[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE};
static const int ends[] = {SIGALRM, SIGTERM, SIGINT, SIGHUP, SIGPIPE};

static bool is_fault(int number)
{
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		if (faults[i] == number)
			return true;
	return false;
}

/* The child: tells by its status, and by a line in the pipe. */
static void check_and_exit(const char *directory, int pipe_end)
{
	char why[256];
	int result;

	setrlimit(RLIMIT_CORE, &(struct rlimit){});
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		signal(faults[i], SIG_DFL);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		signal(ends[i], SIG_DFL);
	alarm(CHECK_MOST);
	result = check(directory, why, sizeof(why));
	if (is_damage(result) && write(pipe_end, why, strlen(why)) < 0)
		_exit(1);
	_exit(is_damage(result));
}

bool store_check_apart(const char *directory, char *why, size_t why_size)
{
	int channel[2], status = 0;
	char path[4096];
	ssize_t got;
	pid_t child;

	snprintf(path, sizeof(path), "%s/data.mdb", directory);
	if (access(path, F_OK))
		return true;
	if (pipe(channel)) /* then it is not looked at */
		return true;
	child = fork();
	if (!child)
		check_and_exit(directory, channel[1]);
	close(channel[1]);
	got = child > 0 ? read(channel[0], why, why_size - 1) : -1;
	close(channel[0]);
	if (child < 0)
		return true;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	why[got > 0 ? got : 0] = '\0';
	if (WIFSIGNALED(status) && !is_fault(WTERMSIG(status))) {
		log_warning("%s: could not be looked at after an unclean end (signal %d); it is taken as it is",
		            directory, WTERMSIG(status));
		return true;
	}
	if (WIFSIGNALED(status))
		snprintf(why, why_size, "reading it ends a process by signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status) && got <= 0)
		snprintf(why, why_size, "it cannot be read");
	return !WIFSIGNALED(status) && !WEXITSTATUS(status);
}

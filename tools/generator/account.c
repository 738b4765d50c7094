/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "account.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* /proc/stat's columns. */
enum { USER, NICE, SYSTEM, IDLE, IOWAIT, IRQ, SOFTIRQ, STEAL, COLUMNS };

static void take_cpu(struct account *account, int cpu)
{
	double ticks[COLUMNS] = {0}, hertz = (double)sysconf(_SC_CLK_TCK);
	FILE *file = fopen("/proc/stat", "re");
	char line[512], name[16];

	if (!file)
		return;
	snprintf(name, sizeof(name), "cpu%d ", cpu);
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, name, strlen(name)) != 0)
			continue;
		sscanf(line + strlen(name), "%lf %lf %lf %lf %lf %lf %lf %lf", &ticks[USER], &ticks[NICE],
		       &ticks[SYSTEM], &ticks[IDLE], &ticks[IOWAIT], &ticks[IRQ], &ticks[SOFTIRQ], &ticks[STEAL]);
	}
	fclose(file);
	account->busy = (ticks[USER] + ticks[NICE] + ticks[SYSTEM] + ticks[IRQ] + ticks[SOFTIRQ]) / hertz;
	account->idle = (ticks[IDLE] + ticks[IOWAIT]) / hertz;
	account->stolen = ticks[STEAL] / hertz;
}

/* The scheduler's own figure, in nanoseconds. */
static double task_time(int pid, const char *task)
{
	unsigned long long ran = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%.16s/schedstat", pid, task);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%llu", &ran) != 1)
		ran = 0;
	fclose(file);
	return (double)ran / 1e9;
}

static double process_time(int pid)
{
	const struct dirent *entry;
	char path[64];
	double sum = 0;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	if (!tasks)
		return 0;
	while ((entry = readdir(tasks)) != NULL)
		if (entry->d_name[0] != '.')
			sum += task_time(pid, entry->d_name);
	closedir(tasks);
	return sum;
}

double account_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void account_take(struct account *account, int cpu, const int *pids, unsigned count)
{
	memset(account, 0, sizeof(*account));
	account->now = account_clock();
	take_cpu(account, cpu);
	for (unsigned i = 0; i < count; i++)
		account->tasks += process_time(pids[i]);
}

int account_pids(char *text, int *pids, unsigned *count)
{
	for (char *word = strtok(text, ","); word; word = strtok(NULL, ",")) {
		if (*count == ACCOUNT_TASKS)
			return -1;
		pids[(*count)++] = (int)strtol(word, NULL, 10);
	}
	return 0;
}

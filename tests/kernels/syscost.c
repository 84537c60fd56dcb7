// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * syscost: what system calls cost a process that nobody traces. Prints ns a call, the best of many
 * short batches, so that what else the machine does falls out:
 *     getppid 95
 *     pread 310
 *     pipe 1450          a byte written to a pipe and read from it
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define BATCHES 200
#define CALLS 500

static int file, pipes[2];

static void one_getppid(void)
{
	(void)getppid();
}

static void one_pread(void)
{
	char buf[256];

	if (pread(file, buf, sizeof(buf), 0) < 0)
		exit(1);
}

static void one_pipe(void)
{
	char byte = 0;

	if (write(pipes[1], &byte, 1) != 1 || read(pipes[0], &byte, 1) != 1)
		exit(1);
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void measure(const char *name, void (*call)(void))
{
	uint64_t best = UINT64_MAX;

	for (int b = 0; b < BATCHES; b++) {
		uint64_t begin = now();

		for (int i = 0; i < CALLS; i++)
			call();
		uint64_t took = now() - begin;

		best = took < best ? took : best;
	}
	printf("%s %llu\n", name, (unsigned long long)(best / CALLS));
}

int main(void)
{
	file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (file < 0 || pipe2(pipes, O_CLOEXEC) < 0) {
		perror("syscost");
		return 1;
	}
	measure("getppid", one_getppid);
	measure("pread", one_pread);
	measure("pipe", one_pipe);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-or-later
#include "clock.h"

#include <time.h>

static uint64_t read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

uint64_t clock__boottime(void)
{
	return read_clock(CLOCK_BOOTTIME);
}

uint64_t clock__thread_cpu(void)
{
	return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

int64_t clock__realtime_minus_boottime(void)
{
	uint64_t best = UINT64_MAX;
	int64_t offset = 0;

	/*
	 * The reading of the real time lies between two of the boot time; the closest pair of
	 * several tries counts.
	 */
	for (int i = 0; i < 5; i++) {
		uint64_t before = read_clock(CLOCK_BOOTTIME);
		uint64_t real = read_clock(CLOCK_REALTIME);
		uint64_t after = read_clock(CLOCK_BOOTTIME);

		if (after - before < best) {
			best = after - before;
			offset = (int64_t)(real - (before + best / 2));
		}
	}
	return offset;
}

void clock__sleep_ms(unsigned ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	nanosleep(&ts, NULL);
}

int64_t clock__monotonic(void)
{
	return (int64_t)read_clock(CLOCK_MONOTONIC);
}

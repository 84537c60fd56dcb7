// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * xoshiro256** (Blackman and Vigna, 2018): a few instructions an id, no lock, no system call. The
 * state is per thread and made from getrandom(2) at its first use.
 */
#include "ids.h"

#include <stdbool.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static _Thread_local struct {
	uint64_t s[4];
	bool seeded;
} rng;

void ids__seed(uint64_t seed)
{
	/* splitmix64: spreads a small seed over the state, which must not be all zero. */
	for (int i = 0; i < 4; i++) {
		uint64_t z = (seed += 0x9e3779b97f4a7c15);

		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
		z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
		rng.s[i] = z ^ (z >> 31);
	}
	rng.seeded = true;
}

static void seed_from_kernel(void)
{
	struct timespec ts;

	if (getrandom(rng.s, sizeof(rng.s), 0) == sizeof(rng.s) &&
	    (rng.s[0] | rng.s[1] | rng.s[2] | rng.s[3])) {
		rng.seeded = true;
		return;
	}
	/*
	 * No getrandom (a sandbox): time and the place of this thread's memory still tell two wefts
	 * apart.
	 */
	clock_gettime(CLOCK_REALTIME, &ts);
	ids__seed((uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec +
		  ((uint64_t)(uintptr_t)&rng << 20));
}

static uint64_t rotl(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

uint64_t ids__random(void)
{
	uint64_t *s = rng.s;

	if (!rng.seeded)
		seed_from_kernel();
	uint64_t result = rotl(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return result;
}

void ids__trace(uint8_t id[16])
{
	uint64_t v[2];

	do {
		v[0] = ids__random();
		v[1] = ids__random();
	} while (!v[0] && !v[1]);
	memcpy(id, v, sizeof(v));
}

void ids__span(uint8_t id[8])
{
	uint64_t v;

	do {
		v = ids__random();
	} while (!v);
	memcpy(id, &v, sizeof(v));
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* What a receiver's zlib makes of compressed bodies. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "exporter/gzip.h"

#define MOST (1u << 20)

static struct gzip *g;
static uint8_t body[MOST];

static void set_up(void)
{
	char why[256];

	g = gzip__new(why, sizeof(why));
	cr_assert_not_null(g, "%s", why);
}

static void tear_down(void)
{
	gzip__free(g);
}

TestSuite(gzip, .init = set_up, .fini = tear_down, .timeout = 60);

/* How many bytes it became; what zlib reads of them is the body again, and nothing is behind it. */
static size_t there_and_back(size_t n)
{
	size_t bound = gzip__bound(n), packed_n = 0;
	uint8_t *packed = malloc(bound), *back = malloc(n + 1);
	z_stream z = { .next_in = packed, .next_out = back, .avail_out = (unsigned)n + 1 };

	cr_assert_eq(gzip__pack(g, body, n, packed, bound, &packed_n), 0);
	cr_assert_leq(packed_n, bound);
	z.avail_in = (unsigned)packed_n;
	cr_assert_eq(inflateInit2(&z, 16 + MAX_WBITS), Z_OK);
	cr_assert_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
	cr_assert_eq(z.avail_in, 0);
	cr_assert_eq(z.total_out, n);
	cr_assert_eq(memcmp(back, body, n), 0);
	inflateEnd(&z);
	free(packed);
	free(back);
	return packed_n;
}

static void fill_with_noise(size_t n)
{
	uint64_t x = 88172645463325252u; /* xorshift64 */

	for (size_t i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		body[i] = (uint8_t)(x >> 32);
	}
}

Test(gzip, what_repeats)
{
	static const char key[] = "http.request.method\x12\x05GET /one";

	for (size_t i = 0; i < MOST; i++)
		body[i] = (uint8_t)(i / 4096 + (uint8_t)key[i % sizeof(key)]);
	for (size_t n = 1; n <= MOST; n *= 2)
		there_and_back(n);
	cr_assert_lt(there_and_back(MOST), MOST / 5);
}

Test(gzip, nothing)
{
	there_and_back(0);
}

Test(gzip, what_cannot_be_compressed)
{
	fill_with_noise(MOST);
	for (size_t n = 1; n <= MOST; n *= 2) {
		there_and_back(n - 1);
		there_and_back(n);
	}
}

/* One body leaves nothing for the next. */
Test(gzip, one_after_the_other)
{
	fill_with_noise(MOST);
	size_t first = there_and_back(10000);

	memset(body, 'x', MOST);
	there_and_back(MOST);
	fill_with_noise(MOST);
	cr_assert_eq(there_and_back(10000), first);
}

Test(gzip, no_room)
{
	uint8_t packed[100];
	size_t packed_n;

	fill_with_noise(1000);
	cr_assert_lt(gzip__pack(g, body, 1000, packed, sizeof(packed), &packed_n), 0);
}

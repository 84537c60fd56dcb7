// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory: blocks that one thread gets and another gives back, as spans are; connections at rest. */
#include <criterion/criterion.h>
#include <malloc.h>
#include <pthread.h>
#include <string.h>

#include "../lib/feed.h"
#include "user/lib/block.h"

#define SIZE 1000
#define PEAK 10000
#define NEED 4000 /* at a time, afterwards */

static void *blocks[PEAK];

static void get(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		blocks[i] = block__get(SIZE);
		cr_assert_not_null(blocks[i]);
		memset(blocks[i], (int)i, SIZE);
	}
}

static void *put(void *n)
{
	for (size_t i = 0; i < *(size_t *)n; i++)
		block__put(blocks[i], SIZE);
	return NULL;
}

static void put_elsewhere(size_t n)
{
	pthread_t thread;

	cr_assert_eq(pthread_create(&thread, NULL, put, &n), 0);
	pthread_join(thread, NULL);
}

/* 0: a sanitizer's malloc does not say. */
static size_t in_use(void)
{
	return mallinfo2().uordblks;
}

Test(block, memory_of_a_peak_is_given_back)
{
	get(PEAK);
	size_t peak = in_use();

	put_elsewhere(PEAK);
	blocks__trim();
	/* what is in use goes round among all that there is */
	for (int round = 0; round < 2 * PEAK / NEED; round++) {
		get(NEED);
		put_elsewhere(NEED);
	}
	blocks__trim();
	size_t after = in_use();

	if (peak)
		cr_expect_leq(after + (PEAK - NEED) * SIZE, peak, "%zu at the peak, %zu after it",
			      peak, after);
	get(NEED);
	cr_expect_leq(in_use(), after + NEED * SIZE / 10, "what is needed was kept");
	put_elsewhere(NEED);
	blocks__trim();
	blocks__trim();
	blocks__trim();
	if (peak)
		cr_expect_leq(in_use() + PEAK * SIZE, peak, "what is not needed at all goes");
}

Test(block, kept_and_handed_out_again)
{
	void *one = block__get(100), *other = block__get(100);

	cr_assert(one && other && one != other);
	memset(one, 1, 100);
	memset(other, 2, 100);
	cr_expect_eq(((char *)one)[99], 1);
	block__put(one, 100);
	block__put(NULL, 100);
	void *large = block__get(100000);

	cr_assert_not_null(large);
	memset(large, 3, 100000);
	block__put(large, 100000);
	block__put(other, 100);
	blocks__trim();
	blocks__trim();
}

#define CONNS 500
#define OK200 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define CONN_MAX 2600 /* bytes; a span that waits for nothing is not among them */

/* Many connections are open and one asks at a time: what is empty is nobody's. */
Test(block, connections_at_rest_hold_little)
{
	struct feed *f = feed__new();

	feed__process(f, 1, "web");
	blocks__trim();
	size_t before = in_use();

	for (unsigned i = 1; i <= CONNS; i++) {
		feed__accept(f, i, 1, 1, (uint16_t)(20000 + i), 80);
		feed__read(f, i, 1, 1, "GET / HTTP/1.1\r\nHost: web\r\n\r\n");
		feed__write(f, i, 1, 1, OK200);
	}
	feed__wait(f, 1000);
	blocks__trim();
	blocks__trim();
	cr_expect_eq(f->n_spans, CONNS);
	size_t spans = f->n_spans * (sizeof(struct span) + 200);
	size_t after = in_use();

	cr_log_info("%ld bytes a connection", ((long)after - (long)before - (long)spans) / CONNS);
	if (before)
		cr_expect_lt(after, before + spans + CONNS * CONN_MAX, "%zu bytes a connection",
			     (after - before - spans) / CONNS);
	feed__finish(f);
	feed__free(f);
}

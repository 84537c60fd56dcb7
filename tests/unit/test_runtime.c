// SPDX-License-Identifier: GPL-2.0-or-later
/* Parents by the runtime's own units of work, on made-up schedules that mislead every other rule. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "../lib/shop_feed.h"

#define OK200 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define SHOP 100
#define LOOP 11

/* A call on connection `id`, made in the unit of work of the request on `unit`. */
static void call(struct feed *f, unsigned id, unsigned unit, uint32_t tid, const char *path)
{
	feed__unit(f, SHOP, tid, unit);
	feed__write(f, id, SHOP, tid, get(path));
}

/* Two requests on an event loop, whose calls are made in the order that misleads. */
static void saturated_loop(struct feed *f)
{
	feed__accept(f, 1, SHOP, LOOP, 40001, 80);
	feed__accept(f, 2, SHOP, LOOP, 40002, 80);
	feed__connect(f, 3, SHOP, LOOP, 50001, 8080);
	feed__connect(f, 4, SHOP, LOOP, 50002, 8080);
	feed__read(f, 1, SHOP, LOOP, get("/a"));
	feed__read(f, 2, SHOP, LOOP, get("/b"));
}

Test(runtime, event_loop)
{
	struct feed *f = feed__new();

	saturated_loop(f);
	call(f, 3, 1, LOOP, "/call-a");
	call(f, 4, 2, LOOP, "/call-b");
	feed__read(f, 3, SHOP, LOOP, OK200);
	feed__read(f, 4, SHOP, LOOP, OK200);
	feed__write(f, 1, SHOP, LOOP, OK200);
	feed__write(f, 2, SHOP, LOOP, OK200);
	feed__finish(f);
	cr_expect(feed__is_child(client(f, "/call-a"), server(f, "/a"), "runtime"));
	cr_expect(feed__is_child(client(f, "/call-b"), server(f, "/b"), "runtime"));
	feed__free(f);
}

/* What it does not know, nobody guesses. */
Test(runtime, no_unit_is_no_parent)
{
	struct feed *f = feed__new();

	saturated_loop(f);
	call(f, 3, 1, LOOP, "/call-a");
	call(f, 4, 0, LOOP, "/background");
	feed__read(f, 4, SHOP, LOOP, OK200);
	feed__read(f, 3, SHOP, LOOP, OK200);
	feed__write(f, 1, SHOP, LOOP, OK200);
	feed__write(f, 2, SHOP, LOOP, OK200);
	feed__finish(f);
	cr_expect(feed__is_root(client(f, "/background")));
	cr_expect(feed__is_child(client(f, "/call-a"), server(f, "/a"), "runtime"));
	feed__free(f);
}

/* Keep-alive: a task that outlives its request is not the next request's. */
Test(runtime, background_task_outlives_its_request)
{
	struct feed *f = feed__new();

	feed__accept(f, 1, SHOP, LOOP, 40001, 80);
	feed__connect(f, 3, SHOP, LOOP, 50001, 8080);
	feed__read(f, 1, SHOP, LOOP, get("/first"));
	feed__unit(f, SHOP, LOOP, 1);
	/* the label of the first request, on another thread, before the second is read */
	feed__unit(f, SHOP, 12, 1);
	feed__write(f, 1, SHOP, LOOP, OK200);
	feed__read(f, 1, SHOP, LOOP, get("/second"));
	feed__write(f, 3, SHOP, 12, get("/late"));
	feed__write(f, 1, SHOP, LOOP, OK200);
	feed__read(f, 3, SHOP, 12, OK200);
	feed__finish(f);
	cr_expect(feed__is_child(client(f, "/late"), server(f, "/first"), "runtime"));
	feed__free(f);
}

/*
 * Another thread reads the answer before the one that wrote has told what it wrote and for whom: the
 * unit that it works in then counts, not the one before.
 */
Test(runtime, call_told_after_its_answer)
{
	struct feed *f = feed__new();

	saturated_loop(f);
	call(f, 3, 1, LOOP, "/call-a");
	feed__read(f, 3, SHOP, LOOP, OK200);
	feed__written(f, 4, SHOP, LOOP + 1, get("/call-b"));
	feed__read(f, 4, SHOP, LOOP + 1, OK200);
	call(f, 4, 2, LOOP, "/call-b");
	feed__write(f, 1, SHOP, LOOP, OK200);
	feed__write(f, 2, SHOP, LOOP, OK200);
	feed__finish(f);
	cr_expect(feed__is_child(client(f, "/call-a"), server(f, "/a"), "runtime"));
	cr_expect(feed__is_child(client(f, "/call-b"), server(f, "/b"), "runtime"));
	feed__free(f);
}

/* Two requests in the bytes of one read: which one the label means is not known. */
Test(runtime, pipelined_requests_are_ambiguous)
{
	struct feed *f = feed__new();
	char two[512];

	feed__accept(f, 1, SHOP, LOOP, 40001, 80);
	feed__connect(f, 3, SHOP, LOOP, 50001, 8080);
	snprintf(two, sizeof(two), "%s%s", get("/one"), get("/two"));
	feed__read(f, 1, SHOP, LOOP, two);
	call(f, 3, 1, LOOP, "/call");
	feed__read(f, 3, SHOP, LOOP, OK200);
	feed__write(f, 1, SHOP, LOOP, OK200 OK200);
	feed__finish(f);
	const struct span *c = client(f, "/call");

	cr_expect_not(feed__is_child(c, server(f, "/one"), "runtime"));
	cr_expect_not(feed__is_child(c, server(f, "/two"), "runtime"));
	feed__free(f);
}

/* One task serves the connection, and another callback reads for it: further than the task is. */
Test(runtime, read_ahead)
{
	struct feed *f = feed__new();

	feed__accept(f, 1, SHOP, LOOP, 40001, 80);
	feed__connect(f, 3, SHOP, LOOP, 50001, 8080);
	feed__connect(f, 4, SHOP, LOOP, 50002, 8080);
	feed__read(f, 1, SHOP, LOOP, get("/one"));
	feed__unit_ahead(f, SHOP, LOOP, 1);
	feed__write(f, 3, SHOP, LOOP, get("/call-one"));
	feed__read(f, 1, SHOP, LOOP, get("/two"));
	feed__unit_ahead(f, SHOP, LOOP, 1);
	feed__write(f, 4, SHOP, LOOP, get("/call"));
	feed__read(f, 3, SHOP, LOOP, OK200);
	feed__read(f, 4, SHOP, LOOP, OK200);
	feed__write(f, 1, SHOP, LOOP, OK200);
	feed__write(f, 1, SHOP, LOOP, OK200);
	feed__finish(f);
	cr_expect(feed__is_child(client(f, "/call-one"), server(f, "/one"), "runtime"));
	cr_expect(feed__is_root(client(f, "/call")));
	feed__free(f);
}

/* Read ahead of nothing: the next request comes when this one is answered. */
Test(runtime, read_ahead_one_by_one)
{
	struct feed *f = feed__new();

	feed__accept(f, 1, SHOP, LOOP, 40001, 80);
	feed__connect(f, 3, SHOP, LOOP, 50001, 8080);
	for (int i = 0; i < 2; i++) {
		feed__read(f, 1, SHOP, LOOP, get(i ? "/two" : "/one"));
		feed__unit_ahead(f, SHOP, LOOP, 1);
		feed__write(f, 3, SHOP, LOOP, get(i ? "/call-two" : "/call-one"));
		feed__read(f, 3, SHOP, LOOP, OK200);
		feed__write(f, 1, SHOP, LOOP, OK200);
	}
	feed__finish(f);
	cr_expect(feed__is_child(client(f, "/call-one"), server(f, "/one"), "runtime"));
	cr_expect(feed__is_child(client(f, "/call-two"), server(f, "/two"), "runtime"));
	feed__free(f);
}

/* What a request left behind calls long after its trace has gone out: it still is its child. */
Test(runtime, left_behind)
{
	struct feed *f = feed__new();

	feed__accept(f, 1, SHOP, LOOP, 40001, 80);
	feed__connect(f, 3, SHOP, LOOP, 50001, 8080);
	feed__read(f, 1, SHOP, LOOP, get("/first"));
	feed__unit(f, SHOP, LOOP, 1);
	feed__write(f, 1, SHOP, LOOP, OK200);
	feed__wait(f, 5000);
	feed__write(f, 3, SHOP, LOOP, get("/late"));
	feed__read(f, 3, SHOP, LOOP, OK200);
	feed__finish(f);
	cr_expect(feed__is_child(client(f, "/late"), server(f, "/first"), "runtime"));
	cr_expect_arr_eq(client(f, "/late")->trace_id, server(f, "/first")->trace_id, 16);
	feed__free(f);
}

/* A request is served, and leaves something behind that calls `n` times, `ms` after one another. */
static void leaves_a_loop(struct feed *f, unsigned n, unsigned ms)
{
	feed__accept(f, 1, SHOP, LOOP, 40001, 80);
	feed__connect(f, 3, SHOP, LOOP, 50001, 8080);
	feed__read(f, 1, SHOP, LOOP, get("/first"));
	feed__unit(f, SHOP, LOOP, 1);
	feed__write(f, 1, SHOP, LOOP, OK200);
	for (unsigned i = 0; i < n; i++) {
		feed__write(f, 3, SHOP, LOOP, get("/loop"));
		feed__read(f, 3, SHOP, LOOP, OK200);
		if (ms)
			feed__wait(f, ms);
	}
}

/* Each call is below `first`, or begins a trace and names it. How many are below? */
static unsigned below(struct feed *f, const struct span *first)
{
	unsigned n = 0;

	for (unsigned i = 0; i < f->n_spans; i++) {
		const struct span *s = f->spans[i];

		if (s->kind != SPAN_CLIENT)
			continue;
		if (feed__is_child(s, first, "runtime")) {
			cr_assert_eq(s->n_links, 0);
			n++;
			continue;
		}
		cr_assert(feed__is_root(s));
		cr_assert_arr_neq(s->trace_id, first->trace_id, 16);
		cr_assert_eq(s->n_links, 1);
		cr_assert_arr_eq(s->links[0].trace_id, first->trace_id, 16);
		cr_assert_arr_eq(s->links[0].span_id, first->span_id, 8);
	}
	return n;
}

/* A loop that lives for an hour: its calls are not all of the trace in which it was begun. */
Test(runtime, loop_for_an_hour)
{
	struct feed *f = feed__new();

	leaves_a_loop(f, 3600, 1000);
	cr_expect_gt(f->n_spans, 3500, "they come out meanwhile, not at the end");
	feed__finish(f);
	cr_expect_eq(f->n_spans, 3601);
	unsigned n = below(f, server(f, "/first"));

	cr_expect(n > 20 && n < 40, "%u below it", n);
	for (unsigned i = 0; i < f->n_traces; i++)
		cr_expect_lt(f->traces[i]->n, 8);
	feed__free(f);
}

/* A loop without a pause neither keeps its trace waiting nor makes it long. */
Test(runtime, busy_loop)
{
	struct feed *f = feed__new();

	leaves_a_loop(f, 4000, 0);
	cr_expect_gt(f->n_spans, 3000, "they come out meanwhile");
	feed__finish(f);
	cr_expect_eq(f->n_spans, 4001);
	unsigned n = below(f, server(f, "/first"));

	cr_expect_eq(n, 128, "%u", n);
	feed__free(f);
}

/* A request that never ends, and calls all the time: its trace ends for all that. */
Test(runtime, open_stream)
{
	struct feed *f = feed__new();

	feed__accept(f, 1, SHOP, LOOP, 40001, 80);
	feed__connect(f, 3, SHOP, LOOP, 50001, 8080);
	feed__read(f, 1, SHOP, LOOP, get("/first"));
	feed__unit(f, SHOP, LOOP, 1);
	for (int i = 0; i < 6000; i++) {
		feed__write(f, 3, SHOP, LOOP, get("/loop"));
		feed__read(f, 3, SHOP, LOOP, OK200);
		feed__wait(f, 600);
	}
	cr_expect_gt(f->n_spans, 5900);
	feed__write(f, 1, SHOP, LOOP, OK200);
	feed__finish(f);
	cr_expect_eq(f->n_spans, 6001);
	unsigned n = below(f, server(f, "/first"));

	cr_expect_eq(n, 5000, "%u", n);
	feed__free(f);
}

/* Answered right behind the answer to a call that is nobody's: the runtime knows better. */
Test(runtime, nobodys_answer_misleads_no_one)
{
	struct feed *f = feed__new();

	feed__accept(f, 1, SHOP, LOOP, 40001, 80);
	feed__accept(f, 2, SHOP, LOOP, 40002, 80);
	feed__connect(f, 3, SHOP, LOOP, 50001, 8080);
	feed__read(f, 2, SHOP, LOOP, get("/b"));
	feed__read(f, 1, SHOP, LOOP, get("/a"));
	call(f, 3, 0, LOOP, "/nobody");
	feed__read(f, 3, SHOP, LOOP, OK200);
	feed__write(f, 1, SHOP, LOOP, OK200);
	feed__read(f, 1, SHOP, LOOP, get("/c"));
	feed__write(f, 2, SHOP, LOOP, OK200);
	feed__write(f, 1, SHOP, LOOP, OK200);
	feed__finish(f);
	cr_expect(feed__is_root(client(f, "/nobody")));
	feed__free(f);
}

/* The call's bytes are handed on late, behind a hole; what holds is what was said when it was made. */
Test(runtime, what_was_said_then)
{
	struct feed *f = feed__new();

	saturated_loop(f);
	feed__unit(f, SHOP, LOOP, 1);
	feed__lose(f, 3, WEFT_OUT, "GET /lost HTTP/1.1\r\n\r\n");
	feed__write(f, 3, SHOP, LOOP, get("/call-a"));
	call(f, 4, 2, LOOP, "/call-b");
	feed__unit(f, SHOP, LOOP, 0);
	feed__wait(f, 200);
	feed__read(f, 4, SHOP, LOOP, OK200);
	feed__write(f, 2, SHOP, LOOP, OK200);
	feed__finish(f);
	cr_expect(feed__is_child(client(f, "/call-b"), server(f, "/b"), "runtime"));
	feed__free(f);
}

/* Threads and connections come and go by the hundred thousand; ends are noticed. */
Test(runtime, bounded)
{
	struct feed *f = feed__new();

	for (uint32_t tid = 1; tid < 100000; tid++)
		feed__unit(f, SHOP, tid, tid % 200);
	feed__finish(f);
	feed__free(f);
}

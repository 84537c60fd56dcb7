// SPDX-License-Identifier: GPL-2.0-or-later
/* Whose parent is whom: the evidence layers on made-up schedules whose truth is known. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "../lib/shop_feed.h"

#define OK200 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define SHOP 100
#define WEB 200
#define BACK 300

Test(trace, thread_per_request)
{
	struct feed *f = feed__new();

	feed__accept(f, 1, SHOP, 11, 40001, 80);
	feed__accept(f, 2, SHOP, 12, 40002, 80);
	feed__read(f, 1, SHOP, 11, get("/a"));
	feed__read(f, 2, SHOP, 12, get("/b"));
	feed__connect(f, 3, SHOP, 12, 50001, 8080);
	feed__connect(f, 4, SHOP, 11, 50002, 8080);
	feed__write(f, 3, SHOP, 12, get("/call-b"));
	feed__write(f, 4, SHOP, 11, get("/call-a"));
	feed__read(f, 4, SHOP, 11, OK200);
	feed__read(f, 3, SHOP, 12, OK200);
	feed__write(f, 4, SHOP, 11, get("/call-a2"));
	feed__read(f, 4, SHOP, 11, OK200);
	feed__write(f, 2, SHOP, 12, OK200);
	feed__write(f, 1, SHOP, 11, OK200);
	feed__finish(f);
	cr_expect(feed__is_root(server(f, "/a")));
	cr_expect(feed__is_root(server(f, "/b")));
	/* The last call of each is confirmed by the answer written right after it. */
	cr_expect(feed__is_child(client(f, "/call-a"), server(f, "/a"), "thread"));
	cr_expect(feed__is_child(client(f, "/call-a2"), server(f, "/a"), "backward"));
	cr_expect(feed__is_child(client(f, "/call-b"), server(f, "/b"), "backward"));
	cr_expect_eq(f->n_traces, 2);
	feed__free(f);
}

Test(trace, call_after_the_answer_is_an_orphan)
{
	struct feed *f = feed__new();

	feed__accept(f, 1, SHOP, 11, 40001, 80);
	feed__connect(f, 2, SHOP, 11, 50001, 8080);
	feed__read(f, 1, SHOP, 11, get("/a"));
	feed__write(f, 1, SHOP, 11, OK200);
	feed__write(f, 2, SHOP, 11, get("/later"));
	feed__read(f, 2, SHOP, 11, OK200);
	feed__finish(f);
	cr_expect(feed__is_root(client(f, "/later")));
	cr_expect_eq(f->n_traces, 2);
	feed__free(f);
}

Test(trace, both_ends_of_a_socket_and_down_the_chain)
{
	struct feed *f = feed__new();

	feed__accept(f, 1, WEB, 21, 40001, 80);
	feed__read(f, 1, WEB, 21, get("/in"));
	feed__connect(f, 2, WEB, 21, 50001, 8080);
	feed__accept(f, 3, SHOP, 11, 50001, 8080);
	feed__write(f, 2, WEB, 21, get("/up"));
	feed__read(f, 3, SHOP, 11, get("/up"));
	feed__write(f, 3, SHOP, 11, OK200);
	feed__read(f, 2, WEB, 21, OK200);
	feed__write(f, 1, WEB, 21, OK200);
	feed__finish(f);
	cr_expect(feed__is_child(client(f, "/up"), server(f, "/in"), "backward"));
	cr_expect(feed__is_child(server(f, "/up"), client(f, "/up"), "socket"));
	cr_expect_eq(f->n_traces, 1);
	feed__free(f);
}

/*
 * The reader's call returns before the writer's: events come the other way round, and the child is
 * fitted into its parent.
 */
Test(trace, reader_seen_before_writer)
{
	struct feed *f = feed__new();

	feed__connect(f, 2, WEB, 21, 50001, 8080);
	feed__accept(f, 3, SHOP, 11, 50001, 8080);
	feed__read(f, 3, SHOP, 11, get("/up"));
	feed__write(f, 2, WEB, 21, get("/up"));
	feed__read(f, 2, WEB, 21, OK200);
	feed__write(f, 3, SHOP, 11, OK200);
	feed__finish(f);
	struct span *c = client(f, "/up"), *s = server(f, "/up");

	cr_expect(feed__is_child(s, c, "socket"));
	cr_expect(s->start_ns >= c->start_ns && s->end_ns <= c->end_ns);
	feed__free(f);
}

/*
 * Keep-alive and pipelining: each request finds its own call by position, on a connection that was
 * open before.
 */
Test(trace, pipelined_on_a_connection_that_was_open)
{
	struct feed *f = feed__new();
	char two[512];

	feed__preopen(f, 2, WEB, 50001, 8080);
	feed__preopen(f, 3, SHOP, 8080, 50001);
	snprintf(two, sizeof(two), "%s%s", get("/one"), get("/two"));
	feed__write(f, 2, WEB, 21, two);
	feed__read(f, 3, SHOP, 11, two);
	feed__write(f, 3, SHOP, 11, OK200 OK200);
	feed__read(f, 2, WEB, 21, OK200 OK200);
	feed__write(f, 2, WEB, 21, get("/three"));
	feed__read(f, 3, SHOP, 11, get("/three"));
	feed__write(f, 3, SHOP, 11, OK200);
	feed__read(f, 2, WEB, 21, OK200);
	feed__finish(f);
	cr_expect(feed__is_child(server(f, "/one"), client(f, "/one"), "socket"));
	cr_expect(feed__is_child(server(f, "/two"), client(f, "/two"), "socket"));
	cr_expect(feed__is_child(server(f, "/three"), client(f, "/three"), "socket"));
	feed__free(f);
}

/*
 * A proxy: requests are read in turn, upstream connections are made then and there, and used when
 * they are ready.
 */
Test(trace, proxy_connects_first_and_writes_later)
{
	struct feed *f = feed__new();

	feed__accept(f, 1, WEB, 21, 40001, 80);
	feed__accept(f, 2, WEB, 21, 40002, 80);
	feed__read(f, 1, WEB, 21, get("/a"));
	feed__connect(f, 3, WEB, 21, 50001, 8080);
	feed__read(f, 2, WEB, 21, get("/b"));
	feed__connect(f, 4, WEB, 21, 50002, 8080);
	feed__write(f, 3, WEB, 21, get("/up-a"));
	feed__write(f, 4, WEB, 21, get("/up-b"));
	feed__read(f, 4, WEB, 21, OK200);
	feed__write(f, 2, WEB, 21, OK200);
	feed__read(f, 3, WEB, 21, OK200);
	feed__write(f, 1, WEB, 21, OK200);
	feed__finish(f);
	cr_expect(feed__is_child(client(f, "/up-a"), server(f, "/a"), "backward"));
	cr_expect(feed__is_child(client(f, "/up-b"), server(f, "/b"), "backward"));
	feed__free(f);
}

/*
 * An event loop with a pool: the waiting call is started inside another request's callback. Last
 * read would be wrong; it is vetoed.
 */
Test(trace, guess_that_outlives_its_request_is_refused)
{
	struct feed *f = feed__new();

	feed__preopen(f, 3, SHOP, 50001, 8080);
	feed__accept(f, 1, SHOP, 11, 40001, 80);
	feed__accept(f, 2, SHOP, 11, 40002, 80);
	feed__read(f, 1, SHOP, 11, get("/a"));
	feed__read(f, 2, SHOP, 11, get("/b"));
	feed__read(f, 1, SHOP, 11, "");
	feed__write(f, 3, SHOP, 11, get("/for-a"));
	feed__read(f, 3, SHOP, 11, OK200);
	feed__write(f, 3, SHOP, 11, get("/for-b")); /* in the callback of a's answer */
	feed__write(f, 1, SHOP, 11, OK200);
	feed__read(f, 3, SHOP, 11, OK200);
	feed__wait(f, 5);
	feed__read(f, 2, SHOP, 11, "");
	feed__write(f, 2, SHOP, 11, OK200);
	feed__finish(f);
	struct span *call = client(f, "/for-b");

	cr_expect(!feed__is_child(call, server(f, "/a"), "last-read"), "the wrong parent");
	cr_expect(!feed__is_child(call, server(f, "/a"), "backward"), "the wrong parent");
	feed__free(f);
}

/*
 * A timer answers a request that made no call, right after the answer to another's call was read on
 * the same thread.
 */
Test(trace, timer_between_two_others)
{
	struct feed *f = feed__new();

	feed__preopen(f, 3, SHOP, 50001, 8080);
	feed__accept(f, 1, SHOP, 11, 40001, 80);
	feed__accept(f, 2, SHOP, 11, 40002, 80);
	feed__read(f, 2, SHOP, 11, get("/sleep"));
	feed__read(f, 1, SHOP, 11, get("/a"));
	feed__write(f, 3, SHOP, 11, get("/for-a"));
	feed__read(f, 3, SHOP, 11, OK200);
	feed__write(f, 2, SHOP, 11, OK200);
	feed__wait(f, 5);
	feed__write(f, 1, SHOP, 11, OK200);
	feed__finish(f);
	cr_expect(feed__is_root(client(f, "/for-a")), "one says /a, the other /sleep");
	feed__free(f);
}

/* A loop that reads all that has come before it works for any of it. */
Test(trace, answers_read_in_a_batch)
{
	struct feed *f = feed__new();

	feed__preopen(f, 3, SHOP, 50001, 8080);
	feed__preopen(f, 4, SHOP, 50002, 8080);
	feed__accept(f, 1, SHOP, 11, 40001, 80);
	feed__accept(f, 2, SHOP, 11, 40002, 80);
	feed__read(f, 1, SHOP, 11, get("/a"));
	feed__write(f, 3, SHOP, 11, get("/for-a"));
	feed__read(f, 2, SHOP, 11, get("/b"));
	feed__write(f, 4, SHOP, 11, get("/for-b"));
	feed__read(f, 4, SHOP, 11, OK200);
	feed__read(f, 3, SHOP, 11, OK200);
	feed__write(f, 1, SHOP, 11, OK200);
	feed__write(f, 2, SHOP, 11, OK200);
	feed__finish(f);
	cr_expect(feed__is_root(client(f, "/for-a")), "two answers were written after it");
	cr_expect(feed__is_root(client(f, "/for-b")));
	feed__free(f);
}

/* One read brings the answers to the calls of two requests, on a connection that both share. */
Test(trace, two_answers_in_one_read)
{
	struct feed *f = feed__new();

	feed__preopen(f, 3, SHOP, 50001, 8080);
	feed__accept(f, 1, SHOP, 11, 40001, 80);
	feed__accept(f, 2, SHOP, 11, 40002, 80);
	feed__read(f, 1, SHOP, 11, get("/a"));
	feed__write(f, 3, SHOP, 11, get("/for-a"));
	feed__read(f, 2, SHOP, 11, get("/b"));
	feed__write(f, 3, SHOP, 11, get("/for-b"));
	feed__read(f, 3, SHOP, 11, OK200 OK200);
	feed__write(f, 2, SHOP, 11, OK200);
	feed__read(f, 1, SHOP, 11, "");
	feed__write(f, 1, SHOP, 11, OK200);
	feed__finish(f);
	cr_expect(feed__is_root(client(f, "/for-a")));
	cr_expect(feed__is_root(client(f, "/for-b")));
	feed__free(f);
}

/*
 * The thread served one request at a time, as far as was known then; a moment later it is seen to
 * be an event loop.
 */
Test(trace, thread_that_proves_shared_in_the_grace)
{
	struct feed *f = feed__new();

	feed__preopen(f, 3, SHOP, 50001, 8080);
	feed__accept(f, 1, SHOP, 11, 40001, 80);
	feed__accept(f, 2, SHOP, 11, 40002, 80);
	feed__read(f, 1, SHOP, 11, get("/sleep"));
	feed__write(f, 3, SHOP, 11, get("/by-a-timer"));
	feed__read(f, 3, SHOP, 11, OK200);
	feed__read(f, 1, SHOP, 11, "");
	feed__write(f, 3, SHOP, 11, get("/by-another-timer"));
	feed__read(f, 3, SHOP, 11, OK200);
	feed__read(f, 2, SHOP, 11, get("/b"));
	feed__write(f, 1, SHOP, 11, OK200);
	feed__write(f, 2, SHOP, 11, OK200);
	feed__wait(f, 300);
	feed__finish(f);
	cr_expect(feed__is_root(client(f, "/by-a-timer")));
	cr_expect(feed__is_root(client(f, "/by-another-timer")));
	feed__free(f);
}

/*
 * One request's goroutine parks, and its thread goes on with another goroutine, whose request
 * another thread had read.
 */
Test(trace, goroutines_change_threads)
{
	struct feed *f = feed__new();

	feed__written_in(f, SHOP, "shop", "go");
	feed__preopen(f, 3, SHOP, 50001, 8080);
	feed__preopen(f, 4, SHOP, 50002, 8080);
	feed__accept(f, 1, SHOP, 11, 40001, 80);
	feed__accept(f, 2, SHOP, 12, 40002, 80);
	feed__read(f, 2, SHOP, 12, get("/b"));
	feed__read(f, 1, SHOP, 11, get("/a"));
	feed__write(f, 3, SHOP, 11, get("/for-b"));
	feed__read(f, 3, SHOP, 13, OK200);
	feed__write(f, 4, SHOP, 14, get("/for-b2"));
	feed__read(f, 4, SHOP, 14, OK200);
	feed__write(f, 1, SHOP, 14, OK200);
	feed__write(f, 2, SHOP, 12, OK200);
	feed__finish(f);
	cr_expect(feed__is_root(client(f, "/for-b")));
	cr_expect(feed__is_root(client(f, "/for-b2")));
	feed__free(f);
}

/*
 * Calls that are answered on other threads than they were made on: the runtime is not known, but
 * moves work about.
 */
Test(trace, calls_that_hop)
{
	struct feed *f = feed__new();

	feed__preopen(f, 3, SHOP, 50001, 8080);
	feed__accept(f, 1, SHOP, 11, 40001, 80);
	feed__read(f, 1, SHOP, 11, get("/sleep"));
	feed__write(f, 3, SHOP, 11, get("/of-another"));
	feed__read(f, 3, SHOP, 12, OK200);
	feed__write(f, 1, SHOP, 11, OK200);
	feed__finish(f);
	cr_expect(feed__is_root(client(f, "/of-another")));
	feed__free(f);
}

/*
 * What last-read says counts alone only where it was confirmed often: here by a proxy's calls, all
 * but the last given up.
 */
Test(trace, last_read_is_believed_where_it_was_right)
{
	struct feed *f = feed__new();

	feed__accept(f, 1, WEB, 21, 40001, 80);
	feed__accept(f, 2, WEB, 21, 40002, 80);
	feed__connect(f, 3, WEB, 21, 50001, 8080);
	feed__connect(f, 4, WEB, 21, 50002, 8080);
	for (int i = 0; i < 12; i++) {
		feed__read(f, 1, WEB, 21, get("/a"));
		feed__write(f, 3, WEB, 21, get("/up-a"));
		feed__read(f, 2, WEB, 21, get("/b"));
		feed__write(f, 4, WEB, 21, get("/up-b"));
		feed__read(f, 4, WEB, 21, OK200);
		feed__write(f, 2, WEB, 21, OK200);
		feed__read(f, 3, WEB, 21, OK200);
		feed__write(f, 1, WEB, 21, OK200);
		feed__wait(f, 300);
	}
	feed__read(f, 1, WEB, 21, get("/retried"));
	feed__write(f, 3, WEB, 21, get("/first-try"));
	feed__read(f, 3, WEB, 21, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
	feed__write(f, 4, WEB, 21, get("/second-try"));
	feed__read(f, 4, WEB, 21, OK200);
	feed__write(f, 1, WEB, 21, OK200);
	feed__finish(f);
	cr_expect(feed__is_child(client(f, "/first-try"), server(f, "/retried"), "last-read"));
	cr_expect(feed__is_child(client(f, "/second-try"), server(f, "/retried"), "backward"));
	feed__free(f);
}

/* A worker thread makes the calls and writes the answer; another thread read the request. */
Test(trace, worker_behind_a_queue)
{
	struct feed *f = feed__new();

	feed__preopen(f, 3, SHOP, 50001, 8080);
	feed__accept(f, 1, SHOP, 11, 40001, 80);
	feed__read(f, 1, SHOP, 11, get("/a"));
	feed__write(f, 3, SHOP, 15, get("/call-1"));
	feed__read(f, 3, SHOP, 15, OK200);
	feed__write(f, 3, SHOP, 15, get("/call-2"));
	feed__read(f, 3, SHOP, 15, OK200);
	feed__write(f, 1, SHOP, 15, OK200);
	feed__finish(f);
	cr_expect(feed__is_child(client(f, "/call-1"), server(f, "/a"), "backward"));
	cr_expect(feed__is_child(client(f, "/call-2"), server(f, "/a"), "backward"));
	feed__free(f);
}

#define TP "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

Test(trace, trace_context_in_the_request)
{
	struct feed *f = feed__new();

	feed__accept(f, 1, SHOP, 11, 40001, 80);
	feed__read(f, 1, SHOP, 11,
		   "GET /a HTTP/1.1\r\nHost: shop\r\ntraceparent: " TP
		   "\r\ntracestate: x=y\r\n\r\n");
	feed__write(f, 1, SHOP, 11, OK200);
	feed__finish(f);
	struct span *s = server(f, "/a");

	cr_expect_eq(s->trace_id[0], 0x0a);
	cr_expect_eq(s->trace_id[15], 0x9c);
	cr_expect_eq(s->parent_id[7], 0x31);
	cr_expect(s->flags & 0x200, "the parent is remote");
	cr_expect(slice__eq(s->trace_state, SLICE("x=y")));
	feed__free(f);
}

/* A proxy that passes the header on stays between the two in the tree. */
Test(trace, trace_context_passed_on_by_a_proxy)
{
	struct feed *f = feed__new();
	const char *req = "GET /a HTTP/1.1\r\nHost: shop\r\ntraceparent: " TP "\r\n\r\n";

	feed__accept(f, 1, WEB, 21, 40001, 80);
	feed__read(f, 1, WEB, 21, req);
	feed__connect(f, 2, WEB, 21, 50001, 8080);
	feed__accept(f, 3, SHOP, 11, 50001, 8080);
	feed__write(f, 2, WEB, 21, req);
	feed__read(f, 3, SHOP, 11, req);
	feed__write(f, 3, SHOP, 11, OK200);
	feed__read(f, 2, WEB, 21, OK200);
	feed__write(f, 1, WEB, 21, OK200);
	feed__finish(f);
	cr_assert_eq(f->n_traces, 1);
	cr_assert_eq(f->n_spans, 3);
	cr_expect(feed__is_child(f->spans[1], f->spans[0], "backward"));
	cr_expect(feed__is_child(f->spans[2], f->spans[1], "socket"));
	cr_expect_eq(f->spans[2]->trace_id[0], 0x0a);
	feed__free(f);
}

/*
 * A long request does not keep what is below it for ever, and gets the ids that its children were
 * sent with.
 */
Test(trace, long_request_lets_its_children_go)
{
	struct feed *f = feed__new();

	feed__accept(f, 1, SHOP, 11, 40001, 80);
	feed__connect(f, 2, SHOP, 11, 50001, 8080);
	feed__read(f, 1, SHOP, 11,
		   "GET /long HTTP/1.1\r\nHost: shop\r\ntraceparent: " TP "\r\n\r\n");
	feed__write(f, 2, SHOP, 11, get("/call"));
	feed__read(f, 2, SHOP, 11, OK200);
	cr_expect_eq(f->n_spans, 0);
	feed__wait(f, 31000);
	cr_expect_eq(f->n_spans, 1, "the child is sent");
	feed__write(f, 1, SHOP, 11, OK200);
	feed__finish(f);
	cr_expect(feed__is_child(client(f, "/call"), server(f, "/long"), "thread"));
	cr_expect_eq(server(f, "/long")->trace_id[0], 0x0a);
	feed__free(f);
}

/* An event loop that went to sleep in between: what it does next is a timer's, not the sleeping request's. */
Test(trace, what_follows_a_sleep_is_nobodys)
{
	struct feed *f = feed__new();

	feed__accept(f, 1, SHOP, 11, 40001, 80);
	feed__accept(f, 2, SHOP, 11, 40002, 80);
	feed__preopen(f, 3, SHOP, 50001, 8080);
	feed__read(f, 1, SHOP, 11, get("/seen-to-be-shared"));
	feed__read(f, 2, SHOP, 11, get("/sleeps"));
	feed__write(f, 1, SHOP, 11, OK200);
	feed__sleep(f, 11);
	feed__write(f, 3, SHOP, 11, get("/timer"));
	feed__read(f, 3, SHOP, 11, OK200);
	feed__sleep(f, 11);
	feed__write(f, 2, SHOP, 11, OK200);
	feed__finish(f);
	cr_expect(feed__is_root(client(f, "/timer")));
	feed__free(f);
}

/*
 * The thread that wrote one answer has not told yet when another reads the connection's next request,
 * calls and answers: what it calls is that request's, also where it works for another as well.
 */
Test(trace, answer_told_after_the_next_request)
{
	struct feed *f = feed__new();

	feed__accept(f, 1, SHOP, 11, 40001, 80);
	feed__accept(f, 2, SHOP, 12, 40002, 80);
	feed__read(f, 1, SHOP, 11, get("/one"));
	feed__read(f, 2, SHOP, 12, get("/two"));
	feed__write(f, 2, SHOP, 12, OK200);
	feed__written(f, 1, SHOP, 12, OK200);
	feed__read(f, 1, SHOP, 12, get("/three"));
	feed__connect(f, 3, SHOP, 12, 50001, 8080);
	feed__write(f, 3, SHOP, 12, get("/call"));
	feed__read(f, 3, SHOP, 12, OK200);
	feed__write(f, 1, SHOP, 11, OK200);
	feed__write(f, 1, SHOP, 12, OK200);
	feed__finish(f);
	cr_expect(feed__is_child(client(f, "/call"), server(f, "/three"), "backward"));
	feed__free(f);
}

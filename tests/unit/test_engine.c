// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Connections and exchanges: order, loss, cuts, joins in the middle, and the books that must add up
 * after each.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "../lib/feed.h"

#define REQ(path) "GET " path " HTTP/1.1\r\nHost: shop\r\n\r\n"
#define OK200 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define PID 100
#define TID 101

static struct span *server(struct feed *f, const char *path)
{
	return feed__span(f, SPAN_SERVER, "url.path", path);
}

static bool has(const struct span *s, const char *key)
{
	return span__attr(s, key);
}

static long status(const struct span *s)
{
	const struct attr *a = span__attr(s, "http.response.status_code");

	return a ? (long)a->i : -1;
}

Test(engine, one_exchange)
{
	struct feed *f = feed__new();

	feed__accept(f, 1, PID, TID, 40001, 80);
	feed__read(f, 1, PID, TID, REQ("/a"));
	feed__write(f, 1, PID, TID, OK200);
	feed__finish(f);
	struct span *s = server(f, "/a");

	cr_expect_eq(status(s), 200);
	cr_expect_eq(s->end_ns - s->start_ns, 1000000,
		     "from the first byte read to the last byte written");
	cr_expect_eq(f->books.in_spans, 2);
	feed__free(f);
}

/* One byte a call gives the same span as one call. */
Test(engine, byte_by_byte)
{
	struct feed *f = feed__new();
	const char *req = REQ("/a"), *resp = OK200;
	char one[2] = "";

	feed__accept(f, 1, PID, TID, 40001, 80);
	for (; *req; req++) {
		one[0] = *req;
		feed__read(f, 1, PID, TID, one);
	}
	for (; *resp; resp++) {
		one[0] = *resp;
		feed__write(f, 1, PID, TID, one);
	}
	feed__finish(f);
	cr_expect_eq(status(server(f, "/a")), 200);
	cr_expect_eq(f->books.in_spans, strlen(REQ("/a")) + strlen(OK200));
	feed__free(f);
}

/* A download: only the first bytes are copied, the length says the rest. */
Test(engine, body_that_was_not_copied)
{
	struct feed *f = feed__new();
	const char *head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";

	feed__accept(f, 1, PID, TID, 40001, 80);
	feed__read(f, 1, PID, TID, REQ("/big"));
	feed__cut(f, 1, PID, TID, WEFT_OUT, head, "", (uint32_t)strlen(head) + 400000);
	feed__cut(f, 1, PID, TID, WEFT_OUT, "", "", 600000);
	feed__read(f, 1, PID, TID, REQ("/next"));
	feed__write(f, 1, PID, TID, OK200);
	feed__finish(f);
	struct span *s = server(f, "/big");

	cr_expect_eq(status(s), 200);
	cr_expect_eq(s->end_ns - s->start_ns, 2000000, "to the last byte, copied or not");
	cr_expect(!has(s, "weft.incomplete"));
	cr_expect_eq(status(server(f, "/next")), 200);
	feed__free(f);
}

/* A chunked body that was not copied ends with the call whose tail is the last chunk. */
Test(engine, chunked_body_that_was_not_copied)
{
	struct feed *f = feed__new();

	feed__accept(f, 1, PID, TID, 40001, 80);
	feed__read(f, 1, PID, TID, REQ("/big"));
	feed__cut(f, 1, PID, TID, WEFT_OUT,
		  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\nxx", "yy\r\n",
		  30000);
	feed__cut(f, 1, PID, TID, WEFT_OUT, "", "some text\r\n", 20000);
	feed__cut(f, 1, PID, TID, WEFT_OUT, "", "some text\r\n0\r\n\r\n", 20000);
	feed__wait(f, 100);
	feed__read(f, 1, PID, TID, REQ("/next"));
	feed__write(f, 1, PID, TID, OK200);
	feed__finish(f);
	struct span *s = server(f, "/big");

	cr_expect_eq(status(s), 200);
	cr_expect_eq(s->end_ns - s->start_ns, 3000000);
	cr_expect_eq(status(server(f, "/next")), 200);
	feed__free(f);
}

/* The connection was open, in the middle of a body: the next request is found. */
Test(engine, joined_in_the_middle)
{
	struct feed *f = feed__new();

	feed__preopen(f, 1, PID, 80, 40001);
	feed__write(f, 1, PID, TID, "the end of some body that began long ago");
	feed__read(f, 1, PID, TID, REQ("/a"));
	feed__write(f, 1, PID, TID, OK200);
	feed__finish(f);
	cr_expect_eq(status(server(f, "/a")), 200);
	cr_expect_eq(f->n_spans, 1);
	cr_expect_eq(f->books.in_spans, 2);
	feed__free(f);
}

/* Joined between a request and its answer: no span is made of half an exchange. */
Test(engine, joined_before_an_answer)
{
	struct feed *f = feed__new();

	feed__preopen(f, 1, PID, 80, 40001);
	feed__write(f, 1, PID, TID, OK200);
	feed__read(f, 1, PID, TID, REQ("/a"));
	feed__write(f, 1, PID, TID, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
	feed__finish(f);
	cr_expect_eq(f->n_spans, 1);
	cr_expect_eq(status(server(f, "/a")), 404);
	feed__free(f);
}

/* A lost request: its answer must not be given to the next one. */
Test(engine, lost_request)
{
	struct feed *f = feed__new();

	feed__accept(f, 1, PID, TID, 40001, 80);
	feed__read(f, 1, PID, TID, REQ("/a"));
	feed__write(f, 1, PID, TID, OK200);
	feed__lose(f, 1, WEFT_IN, REQ("/lost"));
	feed__write(f, 1, PID, TID, "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
	feed__read(f, 1, PID, TID, REQ("/b"));
	feed__wait(f, 200);
	feed__write(f, 1, PID, TID, OK200);
	feed__read(f, 1, PID, TID, REQ("/c"));
	feed__write(f, 1, PID, TID, OK200);
	feed__finish(f);
	for (unsigned i = 0; i < f->n_spans; i++)
		cr_expect_neq(status(f->spans[i]), 500, "the lost request's answer is nobody's");
	cr_expect_eq(status(server(f, "/a")), 200);
	cr_expect_eq(status(server(f, "/c")), 200);
	feed__free(f);
}

/* A lost answer: the next answer belongs to the next request. */
Test(engine, lost_answer)
{
	struct feed *f = feed__new();

	feed__accept(f, 1, PID, TID, 40001, 80);
	feed__read(f, 1, PID, TID, REQ("/a"));
	feed__lose(f, 1, WEFT_OUT, "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
	feed__read(f, 1, PID, TID, REQ("/b"));
	feed__write(f, 1, PID, TID, OK200);
	feed__wait(f, 200);
	feed__read(f, 1, PID, TID, REQ("/c"));
	feed__write(f, 1, PID, TID, OK200);
	feed__finish(f);
	for (unsigned i = 0; i < f->n_spans; i++) {
		const struct attr *path = span__attr(f->spans[i], "url.path");

		if (slice__eq(attr__text(path), SLICE("/a")))
			cr_expect_neq(status(f->spans[i]), 200, "/b's answer is not /a's");
	}
	cr_expect_eq(status(server(f, "/c")), 200);
	feed__free(f);
}

/* Events of one direction that change places are put in order again. */
Test(engine, out_of_order)
{
	struct feed *f = feed__new();
	const char *first = "GET /a HTTP/1.1\r\n", *second = "Host: shop\r\n\r\n";
	struct feed_conn *c;

	feed__accept(f, 1, PID, TID, 40001, 80);
	feed__read(f, 1, PID, TID, REQ("/before"));
	feed__write(f, 1, PID, TID, OK200);
	c = &f->conns[1];
	c->pos[WEFT_IN] += (uint32_t)strlen(first);
	feed__read(f, 1, PID, TID, second);
	c->pos[WEFT_IN] -= (uint32_t)(strlen(first) + strlen(second));
	feed__read(f, 1, PID, TID, first);
	c->pos[WEFT_IN] += (uint32_t)strlen(second);
	feed__write(f, 1, PID, TID, OK200);
	feed__finish(f);
	cr_expect_eq(status(server(f, "/a")), 200);
	feed__free(f);
}

/* Bytes that come twice count once. */
Test(engine, retransmission)
{
	struct feed *f = feed__new();

	feed__accept(f, 1, PID, TID, 40001, 80);
	feed__read(f, 1, PID, TID, REQ("/a"));
	f->conns[1].pos[WEFT_IN] -= (uint32_t)strlen(REQ("/a"));
	feed__read(f, 1, PID, TID, REQ("/a"));
	feed__write(f, 1, PID, TID, OK200);
	feed__finish(f);
	cr_expect_eq(f->n_spans, 1);
	cr_expect_eq(f->books.dropped[DROP_DUPLICATE], 1);
	feed__free(f);
}

/* The connection ends instead of an answer. */
Test(engine, closed_before_the_answer)
{
	struct feed *f = feed__new();

	feed__connect(f, 1, PID, TID, 40001, 80);
	feed__write(f, 1, PID, TID, REQ("/a"));
	feed__eof(f, 1, PID, TID);
	feed__close(f, 1);
	feed__finish(f);
	cr_assert_eq(f->n_spans, 1);
	cr_expect_eq(f->spans[0]->status, SPAN_ERROR);
	cr_expect(has(f->spans[0], "error.type"));
	feed__free(f);
}

/* A body that ends with the connection. */
Test(engine, close_delimited_body)
{
	struct feed *f = feed__new();

	feed__connect(f, 1, PID, TID, 40001, 80);
	feed__write(f, 1, PID, TID, "GET /a HTTP/1.0\r\nHost: shop\r\n\r\n");
	feed__read(f, 1, PID, TID, "HTTP/1.0 200 OK\r\n\r\npart one, ");
	feed__read(f, 1, PID, TID, "part two");
	feed__wait(f, 50);
	feed__eof(f, 1, PID, TID);
	feed__finish(f);
	cr_assert_eq(f->n_spans, 1);
	cr_expect_eq(f->spans[0]->status, SPAN_UNSET);
	cr_expect_eq(status(f->spans[0]), 200);
	cr_expect(!has(f->spans[0], "weft.incomplete"));
	feed__free(f);
}

/* weft ends first: the span says so, and it is nobody's error. */
Test(engine, weft_ends_first)
{
	struct feed *f = feed__new();

	feed__accept(f, 1, PID, TID, 40001, 80);
	feed__read(f, 1, PID, TID, REQ("/a"));
	feed__finish(f);
	cr_expect_eq(server(f, "/a")->status, SPAN_UNSET);
	cr_expect(has(server(f, "/a"), "weft.incomplete"));
	feed__free(f);
}

/* What is no protocol of ours is let go, and every event of it is in the books. */
Test(engine, unknown_protocol)
{
	struct feed *f = feed__new();

	feed__accept(f, 1, PID, TID, 40001, 80);
	for (int i = 0; i < 50; i++) {
		feed__read(f, 1, PID, TID, "\x01\x02some binary thing");
		feed__write(f, 1, PID, TID, "\x03\x04more of it");
	}
	feed__finish(f);
	cr_expect_eq(f->n_spans, 0);
	cr_expect_eq(f->books.dropped[DROP_UNKNOWN_PROTOCOL], 100);
	feed__free(f);
}

/* A pipeline of commands in one call is one span; one by one they are a span each. */
Test(engine, redis_pipeline)
{
	struct feed *f = feed__new();
	const char *set = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n";
	char three[256];

	snprintf(three, sizeof(three), "%s%s%s", set, set, set);
	feed__connect(f, 1, PID, TID, 40001, 6379);
	feed__write(f, 1, PID, TID, three);
	feed__read(f, 1, PID, TID, "+OK\r\n+OK\r\n");
	feed__read(f, 1, PID, TID, "+OK\r\n");
	feed__write(f, 1, PID, TID, set);
	feed__read(f, 1, PID, TID, "+OK\r\n");
	feed__finish(f);
	cr_assert_eq(f->n_spans, 2);
	const struct attr *a = span__attr(f->spans[0], "db.operation.batch.size");

	cr_assert(a);
	cr_expect_eq(a->i, 3);
	cr_expect_eq(f->spans[0]->end_ns - f->spans[0]->start_ns, 3000000,
		     "from its connect to the last answer");
	cr_expect_eq(f->spans[1]->end_ns - f->spans[1]->start_ns, 1000000);
	feed__free(f);
}

/*
 * Joined between a command and its answer: the answer, weak evidence by itself, is not the next
 * command's.
 */
Test(engine, joined_before_a_weak_answer)
{
	struct feed *f = feed__new();

	feed__preopen(f, 1, PID, 40001, 7777);
	feed__read(f, 1, PID, TID, "-ERR of the command before\r\n");
	feed__wait(f, 10);
	feed__write(f, 1, PID, TID, "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
	feed__read(f, 1, PID, TID, "$2\r\nok\r\n");
	feed__finish(f);
	cr_assert_eq(f->n_spans, 1);
	cr_expect_eq(f->spans[0]->status, SPAN_UNSET);
	cr_expect_eq(f->spans[0]->end_ns - f->spans[0]->start_ns, 1000000);
	feed__free(f);
}

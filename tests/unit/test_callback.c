// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Event loops: what was written between two reads of one turn follows from the first of them. The
 * schedules are those of Node with pools of connections, where the request that was read last says
 * nothing.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "../lib/shop_feed.h"

#define OK200 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define SHOP 100
#define LOOP 11
/* connections: requests come on 1 to 9 and UPLOAD, calls are made on CALL(1) to CALL(9) and REDIS */
#define CALL(i) (10 + (i))
#define UPLOAD 20
#define REDIS 30
#define GET "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
#define NIL "$-1\r\n"

static void in(struct feed *f, unsigned conn, const char *bytes)
{
	feed__read(f, conn, SHOP, LOOP, bytes);
}

static void out(struct feed *f, unsigned conn, const char *bytes)
{
	feed__write(f, conn, SHOP, LOOP, bytes);
}

/* A read that says nothing, in the same turn: what came before it was a callback. */
static void next_callback(struct feed *f)
{
	in(f, UPLOAD, "x");
}

/*
 * A process whose calls made in a callback of their request, and answered in one, agreed; all
 * connections are open, and a call was made on each. `whole`: it is known when it does what was put
 * off.
 */
static struct feed *agreed(bool whole)
{
	struct feed *f = feed__new();
	char path[32];

	f->turns[LOOP] = whole ? WEFT_TURN_WHOLE : 0;
	feed__turn(f, LOOP);
	for (unsigned i = 1; i < 10; i++) {
		feed__accept(f, i, SHOP, LOOP, (uint16_t)(40000 + i), 80);
		feed__connect(f, CALL(i), SHOP, LOOP, (uint16_t)(50000 + i), 8080);
	}
	feed__accept(f, UPLOAD, SHOP, LOOP, 40020, 80);
	in(f, UPLOAD, "PUT /upload HTTP/1.1\r\nHost: shop\r\nContent-Length: 100000\r\n\r\n");
	feed__connect(f, REDIS, SHOP, LOOP, 50030, 6379);
	out(f, REDIS, GET);
	in(f, REDIS, NIL);
	for (unsigned i = 0; i < 27; i++) {
		snprintf(path, sizeof(path), "/warm-up-%u", i);
		feed__turn(f, LOOP);
		in(f, 1 + i % 9, get(path));
		snprintf(path, sizeof(path), "/warm-up-call-%u", i);
		out(f, CALL(1 + i % 9), get(path));
		next_callback(f);
		feed__turn(f, LOOP);
		in(f, CALL(1 + i % 9), OK200);
		out(f, 1 + i % 9, OK200);
		next_callback(f);
	}
	feed__turn(f, LOOP);
	return f;
}

/* Timers and the like, where it is known when they begin. */
static void put_off(struct feed *f, unsigned conn, const char *bytes)
{
	uint8_t turn = f->turns[LOOP];

	f->turns[LOOP] = turn & WEFT_TURN_WHOLE ? 0 : turn;
	out(f, conn, bytes);
	f->turns[LOOP] = turn;
}

static bool in_callback_of(struct feed *f, const char *call, const char *request)
{
	return feed__is_child(client(f, call), server(f, request), "callback");
}

/* Three calls in a row, of two requests at once: none is made where its request was read last. */
Test(callback, calls_in_a_row)
{
	struct feed *f = agreed(false);

	in(f, 1, get("/a"));
	out(f, CALL(1), get("/a1"));
	in(f, 2, get("/b"));
	out(f, CALL(2), get("/b1"));
	next_callback(f);
	feed__turn(f, LOOP);
	in(f, CALL(2), OK200);
	out(f, CALL(3), get("/b2"));
	in(f, CALL(1), OK200);
	out(f, CALL(4), get("/a2"));
	next_callback(f);
	feed__turn(f, LOOP);
	in(f, CALL(4), OK200);
	out(f, 1, OK200);
	in(f, CALL(3), OK200);
	out(f, 2, OK200);
	next_callback(f);
	feed__finish(f);
	cr_expect(in_callback_of(f, "/a1", "/a"));
	cr_expect(in_callback_of(f, "/a2", "/a"));
	cr_expect(in_callback_of(f, "/b1", "/b"));
	cr_expect(in_callback_of(f, "/b2", "/b"));
	feed__free(f);
}

/*
 * One saturated pool: every call is begun where a connection became free, so none is named when it
 * is made. Its answer names it, where all of a callback is known.
 */
static void only_answers_tell(bool whole)
{
	struct feed *f = feed__new();

	f->turns[LOOP] = whole ? WEFT_TURN_WHOLE : 0;
	feed__turn(f, LOOP);
	feed__connect(f, CALL(1), SHOP, LOOP, 50001, 8080);
	out(f, CALL(1), get("/warm-up"));
	in(f, CALL(1), OK200);
	feed__turn(f, LOOP);
	feed__accept(f, 1, SHOP, LOOP, 40001, 80);
	feed__accept(f, 2, SHOP, LOOP, 40002, 80);
	in(f, 1, get("/a"));
	in(f, 2, get("/b"));
	put_off(f, CALL(1), get("/a1"));
	feed__turn(f, LOOP);
	in(f, CALL(1), OK200);
	out(f, CALL(1), get("/b1"));
	out(f, 1, OK200);
	feed__turn(f, LOOP);
	in(f, CALL(1), OK200);
	out(f, 2, OK200);
	feed__finish(f);
	cr_expect_eq(in_callback_of(f, "/a1", "/a"), whole);
	cr_expect_eq(in_callback_of(f, "/b1", "/b"), whole);
	feed__free(f);
}

Test(callback, only_answers_tell)
{
	only_answers_tell(true);
	only_answers_tell(false);
}

/*
 * A saturated pool: in the callback of /a's answer, its connection goes to /b, which waits. What /b
 * does with the answers shows whose both of its calls were.
 */
Test(callback, who_waited_for_a_connection)
{
	struct feed *f = agreed(false);

	in(f, 1, get("/a"));
	out(f, CALL(1), get("/a1"));
	in(f, 2, get("/b"));
	next_callback(f);
	feed__turn(f, LOOP);
	in(f, CALL(1), OK200);
	out(f, CALL(1), get("/b1"));
	out(f, 1, OK200);
	next_callback(f);
	feed__turn(f, LOOP);
	in(f, CALL(1), OK200);
	out(f, CALL(2), get("/b2"));
	next_callback(f);
	/* Longer than a span waits for what may still be learnt of it. */
	feed__wait(f, 2000);
	feed__turn(f, LOOP);
	in(f, CALL(2), OK200);
	out(f, 2, OK200);
	next_callback(f);
	feed__finish(f);
	cr_expect(in_callback_of(f, "/a1", "/a"));
	cr_expect(in_callback_of(f, "/b1", "/b"));
	cr_expect(in_callback_of(f, "/b2", "/b"));
	feed__free(f);
}

/* Behind the last read of a turn come timers. */
Test(callback, the_last_of_a_turn)
{
	struct feed *f = agreed(false);

	in(f, 1, get("/a"));
	in(f, 2, get("/b"));
	out(f, CALL(1), get("/timer"));
	feed__turn(f, LOOP);
	in(f, CALL(1), OK200);
	out(f, 1, OK200);
	feed__turn(f, LOOP);
	next_callback(f);
	out(f, 2, OK200);
	feed__finish(f);
	cr_expect(feed__is_root(client(f, "/timer")));
	feed__free(f);
}

/* The same where it is known when they begin: what came before that is a callback's. */
Test(callback, the_end_of_a_turn_is_known)
{
	struct feed *f = agreed(true);

	in(f, 1, get("/a"));
	in(f, 2, get("/b"));
	out(f, CALL(2), get("/b1"));
	put_off(f, CALL(1), get("/timer"));
	feed__turn(f, LOOP);
	in(f, CALL(1), OK200);
	put_off(f, 1, OK200);
	feed__turn(f, LOOP);
	in(f, CALL(2), OK200);
	out(f, 2, OK200);
	feed__wait(f, 1000);
	feed__finish(f);
	cr_expect(in_callback_of(f, "/b1", "/b"));
	cr_expect(feed__is_root(client(f, "/timer")));
	feed__free(f);
}

/* A connection's first call is written when it is connected: somebody else's callback goes before. */
Test(callback, first_call_of_a_connection)
{
	struct feed *f = agreed(true);

	in(f, 1, get("/a"));
	feed__connect(f, 40, SHOP, LOOP, 50040, 8080);
	in(f, 2, get("/b"));
	out(f, 40, get("/a1"));
	feed__turn(f, LOOP);
	in(f, 40, OK200);
	feed__connect(f, 41, SHOP, LOOP, 50041, 8080);
	in(f, UPLOAD, "x");
	out(f, 41, get("/a2"));
	feed__turn(f, LOOP);
	in(f, 41, OK200);
	in(f, UPLOAD, "x");
	out(f, 1, OK200);
	out(f, 2, OK200);
	feed__finish(f);
	cr_expect(in_callback_of(f, "/a1", "/a"));
	cr_expect(in_callback_of(f, "/a2", "/a"));
	feed__free(f);
}

/* Something that is not told was read, or a thread's result came: nobody knows what followed from it. */
Test(callback, what_nobody_saw)
{
	struct feed *f = agreed(true);

	in(f, 1, get("/a"));
	in(f, 2, get("/b"));
	feed__turn(f, LOOP);
	out(f, CALL(1), get("/a1"));
	next_callback(f);
	feed__turn(f, LOOP);
	in(f, CALL(1), OK200);
	next_callback(f);
	feed__turn(f, LOOP);
	put_off(f, 2, OK200);
	put_off(f, 1, OK200);
	feed__finish(f);
	cr_expect(feed__is_root(client(f, "/a1")));
	feed__free(f);
}

static struct span *command(struct feed *f, const char *name)
{
	return feed__span(f, SPAN_CLIENT, "db.operation.name", name);
}

/* One read brings several answers: the one whose request is not known is of whom no other one is. */
Test(callback, pipelined_answers)
{
	struct feed *f = agreed(true);

	in(f, 1, get("/a"));
	out(f, REDIS, "*2\r\n$3\r\nTTL\r\n$1\r\na\r\n");
	in(f, 2, get("/b"));
	put_off(f, REDIS, "*2\r\n$4\r\nTYPE\r\n$1\r\nb\r\n");
	feed__turn(f, LOOP);
	in(f, REDIS, ":1\r\n+none\r\n");
	out(f, 1, OK200);
	out(f, 2, OK200);
	feed__finish(f);
	cr_expect(feed__is_child(command(f, "TTL"), server(f, "/a"), "callback"));
	cr_expect(feed__is_child(command(f, "TYPE"), server(f, "/b"), "callback"));
	feed__free(f);
}

/* Of two that are not known, either may be of the one that is answered. */
Test(callback, pipelined_answers_of_nobody)
{
	struct feed *f = agreed(true);

	in(f, 2, get("/b"));
	put_off(f, REDIS, "*2\r\n$3\r\nTTL\r\n$1\r\na\r\n");
	put_off(f, REDIS, "*2\r\n$4\r\nTYPE\r\n$1\r\nb\r\n");
	feed__turn(f, LOOP);
	in(f, REDIS, ":1\r\n+none\r\n");
	out(f, 2, OK200);
	feed__finish(f);
	cr_expect(feed__is_root(command(f, "TTL")));
	cr_expect(feed__is_root(command(f, "TYPE")));
	feed__free(f);
}

/* Made in a callback of one request, and answered in one of another: it has no parent. */
Test(callback, two_requests_claim_a_call)
{
	struct feed *f = agreed(true);

	in(f, 1, get("/a"));
	in(f, 2, get("/b"));
	out(f, CALL(1), get("/call"));
	feed__turn(f, LOOP);
	in(f, CALL(1), OK200);
	out(f, 1, OK200);
	out(f, 2, OK200);
	feed__finish(f);
	cr_expect(feed__is_root(client(f, "/call")));
	feed__free(f);
}

/* A thread that reads for all before it works for any: nothing of it is believed. */
Test(callback, a_thread_that_does_not_work_like_that)
{
	struct feed *f = agreed(true);
	char path[32];

	for (unsigned i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "/mixed-%u", i);
		feed__turn(f, LOOP);
		in(f, 1, get(path));
		in(f, 2, get("/other"));
		snprintf(path, sizeof(path), "/call-%u", i);
		out(f, CALL(1), get(path));
		feed__turn(f, LOOP);
		in(f, CALL(1), OK200);
		out(f, 1, OK200);
		out(f, 2, OK200);
	}
	feed__turn(f, LOOP);
	in(f, 3, get("/late"));
	out(f, CALL(3), get("/late-call"));
	feed__turn(f, LOOP);
	in(f, CALL(3), OK200);
	out(f, 3, OK200);
	feed__finish(f);
	cr_expect(feed__is_root(client(f, "/late-call")));
	cr_expect(feed__is_root(client(f, "/call-1")));
	feed__free(f);
}

/*
 * Greenlets: one of them calls a library that blocks the loop; when it lets go, another one answers
 * its request, the one that was read last when the call was made. Nothing follows from that.
 */
Test(callback, greenlet_that_blocks_the_loop)
{
	struct feed *f = feed__new();

	feed__turn(f, LOOP);
	feed__accept(f, 1, SHOP, LOOP, 40001, 80);
	feed__accept(f, 2, SHOP, LOOP, 40002, 80);
	feed__connect(f, CALL(1), SHOP, LOOP, 50001, 8080);
	feed__accept(f, UPLOAD, SHOP, LOOP, 40020, 80);
	in(f, UPLOAD, "PUT /upload HTTP/1.1\r\nHost: shop\r\nContent-Length: 100000\r\n\r\n");
	in(f, 1, get("/first"));
	feed__turn(f, LOOP);
	in(f, 2, get("/second"));
	/* timers */
	feed__turn(f, LOOP);
	out(f, CALL(1), get("/for-first"));
	in(f, CALL(1), OK200);
	out(f, 2, OK200);
	feed__turn(f, LOOP);
	next_callback(f);
	out(f, 1, OK200);
	feed__finish(f);
	cr_expect(feed__is_root(client(f, "/for-first")));
	feed__free(f);
}

/* Where most claims are denied, those that agree with the other witness do so by chance. */
Test(callback, agreement_by_chance)
{
	struct feed *f = feed__new();
	char path[32];

	feed__turn(f, LOOP);
	for (unsigned i = 1; i < 3; i++)
		feed__accept(f, i, SHOP, LOOP, (uint16_t)(40000 + i), 80);
	feed__connect(f, CALL(1), SHOP, LOOP, 50001, 8080);
	feed__accept(f, UPLOAD, SHOP, LOOP, 40020, 80);
	in(f, UPLOAD, "PUT /upload HTTP/1.1\r\nHost: shop\r\nContent-Length: 100000\r\n\r\n");
	for (unsigned i = 0; i < 40; i++) {
		/* the call is always the first request's; most often the second one is read last */
		bool agrees = i % 3 == 2;

		f->turns[LOOP] = 0; /* something else was ready, too */
		in(f, agrees ? 2 : 1, get("/a"));
		in(f, agrees ? 1 : 2, get("/b"));
		snprintf(path, sizeof(path), "/call-%u", i);
		out(f, CALL(1), get(path));
		in(f, CALL(1), OK200);
		out(f, 1, OK200);
		next_callback(f);
		out(f, 2, OK200);
		feed__wait(f, 10);
	}
	feed__finish(f);
	for (unsigned i = 0; i < 40; i++) {
		snprintf(path, sizeof(path), "/call-%u", i);
		cr_expect(feed__is_root(client(f, path)), "%s", path);
	}
	feed__free(f);
}

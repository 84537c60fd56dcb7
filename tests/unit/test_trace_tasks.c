// SPDX-License-Identifier: GPL-2.0-or-later
/* Threads that go from one task to another: what happened last on them need not be why the next thing happens. */
#include <criterion/criterion.h>

#include "../lib/shop_feed.h"

#define OK200 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define SHOP 100

/* A request that waits, and a call that another task makes on its thread meanwhile. */
static struct feed *call_beside_a_request(const char *language)
{
	struct feed *f = feed__new();

	feed__written_in(f, SHOP, "shop", language);
	feed__preopen(f, 3, SHOP, 50001, 8080);
	feed__accept(f, 1, SHOP, 11, 40001, 80);
	feed__read(f, 1, SHOP, 11, get("/waits"));
	feed__write(f, 3, SHOP, 11, get("/call"));
	feed__read(f, 3, SHOP, 11, OK200);
	feed__sleep(f, 11);
	feed__write(f, 1, SHOP, 11, OK200);
	feed__finish(f);
	return f;
}

Test(trace_tasks, known_by_the_language)
{
	struct feed *f = call_beside_a_request("rust");

	cr_expect(feed__is_root(client(f, "/call")));
	feed__free(f);
	f = call_beside_a_request("c");
	cr_expect(feed__is_child(client(f, "/call"), server(f, "/waits"), "backward"));
	feed__free(f);
}

/* An executor reads two answers, and then works: for the one whose answer came first. */
static struct feed *two_answers(bool work_between)
{
	struct feed *f = feed__new();

	feed__written_in(f, SHOP, "shop", "rust");
	feed__preopen(f, 3, SHOP, 50001, 8080);
	feed__preopen(f, 4, SHOP, 50002, 8080);
	feed__accept(f, 1, SHOP, 11, 40001, 80);
	feed__accept(f, 2, SHOP, 11, 40002, 80);
	feed__read(f, 2, SHOP, 11, get("/seen-to-be-shared"));
	feed__read(f, 1, SHOP, 11, get("/a"));
	feed__write(f, 3, SHOP, 11, get("/for-a"));
	feed__write(f, 4, SHOP, 11, get("/timer"));
	feed__sleep(f, 11);
	feed__read(f, 3, SHOP, 11, OK200);
	if (work_between)
		feed__write(f, 3, SHOP, 11, get("/for-a-again"));
	feed__read(f, 4, SHOP, 11, OK200);
	feed__write(f, 1, SHOP, 11, OK200);
	feed__finish(f);
	return f;
}

Test(trace_tasks, answers_read_together)
{
	struct feed *f = two_answers(false);

	cr_expect(feed__is_root(client(f, "/timer")));
	cr_expect(feed__is_root(client(f, "/for-a")));
	feed__free(f);
	/* one after the other, each worked for at once */
	f = two_answers(true);
	cr_expect(feed__is_child(client(f, "/timer"), server(f, "/a"), "backward"));
	feed__free(f);
}

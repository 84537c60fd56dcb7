// SPDX-License-Identifier: GPL-2.0-or-later
/* Threads that are begun by those that serve requests: for that request, or for whoever comes next. */
#include <criterion/criterion.h>

#include "../lib/shop_feed.h"

#define OK200 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define SHOP 100
#define SERVER 11 /* a thread that serves one request at a time */
#define WORK 20   /* one that it begins */

static struct feed *shop(void)
{
	struct feed *f = feed__new();

	feed__process(f, SHOP, "shop");
	feed__accept(f, 1, SHOP, SERVER, 40001, 80);
	feed__connect(f, 3, SHOP, WORK, 50001, 8080);
	feed__connect(f, 4, SHOP, WORK, 50002, 8080);
	feed__read(f, 1, SHOP, SERVER, get("/first"));
	return f;
}

static void call(struct feed *f, unsigned id, uint32_t tid, const char *path)
{
	feed__write(f, id, SHOP, tid, get(path));
	feed__read(f, id, SHOP, tid, OK200);
}

Test(handover, thread_for_each_call)
{
	struct feed *f = shop();

	feed__thread(f, SHOP, SERVER, WORK);
	feed__thread(f, SHOP, SERVER, WORK + 1);
	feed__write(f, 3, SHOP, WORK, get("/a"));
	feed__write(f, 4, SHOP, WORK + 1, get("/b"));
	feed__read(f, 3, SHOP, WORK, OK200);
	feed__read(f, 4, SHOP, WORK + 1, OK200);
	feed__thread(f, SHOP, WORK, 0);
	feed__thread(f, SHOP, WORK + 1, 0);
	feed__write(f, 1, SHOP, SERVER, OK200);
	feed__finish(f);
	cr_expect(feed__is_child(client(f, "/a"), server(f, "/first"), "hand-over"));
	cr_expect(feed__is_child(client(f, "/b"), server(f, "/first"), "hand-over"));
	feed__free(f);
}

/* One that begins others: they work for the same. */
Test(handover, begun_by_one_that_was_begun)
{
	struct feed *f = shop();

	feed__thread(f, SHOP, SERVER, WORK);
	feed__thread(f, SHOP, WORK, WORK + 1);
	call(f, 3, WORK + 1, "/a");
	feed__thread(f, SHOP, WORK + 1, 0);
	feed__thread(f, SHOP, WORK, 0);
	feed__write(f, 1, SHOP, SERVER, OK200);
	feed__finish(f);
	cr_expect(feed__is_child(client(f, "/a"), server(f, "/first"), "hand-over"));
	feed__free(f);
}

/* Processors are scarce: the thread has done its work, and ends when it comes to that. */
Test(handover, ends_late)
{
	struct feed *f = shop();

	feed__thread(f, SHOP, SERVER, WORK);
	call(f, 3, WORK, "/a");
	feed__write(f, 1, SHOP, SERVER, OK200);
	feed__wait(f, 900);
	cr_expect_eq(f->n_spans, 0, "its request waits for that");
	feed__thread(f, SHOP, WORK, 0);
	feed__wait(f, 1);
	feed__finish(f);
	cr_expect(feed__is_child(client(f, "/a"), server(f, "/first"), "hand-over"));
	feed__free(f);
}

/* A pool begins a worker for the first request, and the worker takes what is next in the queue. */
Test(handover, worker_of_a_pool)
{
	struct feed *f = shop();

	feed__accept(f, 2, SHOP, SERVER + 1, 40002, 80);
	feed__read(f, 2, SHOP, SERVER + 1, get("/second"));
	feed__thread(f, SHOP, SERVER, WORK);
	call(f, 3, WORK, "/for-second");
	feed__write(f, 2, SHOP, SERVER + 1, OK200);
	call(f, 4, WORK, "/for-first");
	feed__write(f, 1, SHOP, SERVER, OK200);
	feed__wait(f, 1500);
	cr_expect_eq(f->n_spans, 4, "they do not wait for a thread that is kept");
	feed__wait(f, 3500);
	feed__thread(f, SHOP, WORK, 0);
	feed__finish(f);
	cr_expect(feed__is_root(client(f, "/for-second")));
	cr_expect(feed__is_root(client(f, "/for-first")));
	feed__free(f);
}

/* The same while its first request goes on and on; the worker ends, as nothing more is to be done. */
Test(handover, worker_that_is_kept_for_a_while)
{
	struct feed *f = shop();

	feed__accept(f, 2, SHOP, SERVER + 1, 40002, 80);
	feed__thread(f, SHOP, SERVER, WORK);
	call(f, 3, WORK, "/for-first");
	feed__read(f, 2, SHOP, SERVER + 1, get("/second"));
	call(f, 4, WORK, "/for-second");
	feed__write(f, 2, SHOP, SERVER + 1, OK200);
	feed__wait(f, 3000);
	feed__thread(f, SHOP, WORK, 0);
	feed__write(f, 1, SHOP, SERVER, OK200);
	feed__finish(f);
	cr_expect(feed__is_root(client(f, "/for-second")));
	feed__free(f);
}

/* What goes on behind the request's answer is not known to be its own. */
Test(handover, outlives_its_request)
{
	struct feed *f = shop();

	feed__thread(f, SHOP, SERVER, WORK);
	feed__write(f, 3, SHOP, WORK, get("/across"));
	feed__write(f, 1, SHOP, SERVER, OK200);
	feed__read(f, 3, SHOP, WORK, OK200);
	call(f, 3, WORK, "/after");
	feed__read(f, 1, SHOP, SERVER, get("/next"));
	call(f, 3, WORK, "/meanwhile");
	feed__thread(f, SHOP, WORK, 0);
	feed__write(f, 1, SHOP, SERVER, OK200);
	feed__finish(f);
	cr_expect(feed__is_root(client(f, "/across")));
	cr_expect(feed__is_root(client(f, "/after")));
	cr_expect(feed__is_root(client(f, "/meanwhile")));
	feed__free(f);
}

/* It serves requests itself: a thread for a connection that was accepted meanwhile. */
Test(handover, serves_requests_itself)
{
	struct feed *f = shop();

	feed__accept(f, 2, SHOP, SERVER, 40002, 80);
	feed__thread(f, SHOP, SERVER, WORK);
	feed__read(f, 2, SHOP, WORK, get("/second"));
	call(f, 3, WORK, "/for-second");
	feed__write(f, 2, SHOP, WORK, OK200);
	feed__thread(f, SHOP, WORK, 0);
	feed__write(f, 1, SHOP, SERVER, OK200);
	feed__finish(f);
	cr_expect(feed__is_child(client(f, "/for-second"), server(f, "/second"), "backward"));
	feed__free(f);
}

/* A thread that serves several at once says nothing of whom it begins. */
Test(handover, begun_by_an_event_loop)
{
	struct feed *f = shop();

	feed__accept(f, 2, SHOP, SERVER, 40002, 80);
	feed__read(f, 2, SHOP, SERVER, get("/second"));
	feed__thread(f, SHOP, SERVER, WORK);
	call(f, 3, WORK, "/for-first");
	feed__thread(f, SHOP, WORK, 0);
	feed__write(f, 2, SHOP, SERVER, OK200);
	feed__write(f, 1, SHOP, SERVER, OK200);
	feed__finish(f);
	cr_expect(feed__is_root(client(f, "/for-first")));
	feed__free(f);
}

/* A thread's number comes again. */
Test(handover, numbers_are_used_again)
{
	struct feed *f = shop();

	feed__thread(f, SHOP, SERVER, WORK);
	feed__thread(f, SHOP, WORK, 0);
	feed__thread(f, SHOP, 99, WORK);
	call(f, 3, WORK, "/another");
	feed__thread(f, SHOP, WORK, 0);
	feed__write(f, 1, SHOP, SERVER, OK200);
	feed__finish(f);
	cr_expect(feed__is_root(client(f, "/another")));
	feed__free(f);
}

/* Threads by the hundred thousand, whose ends nobody tells; and the process ends. */
Test(handover, bounded)
{
	struct feed *f = shop();

	for (uint32_t tid = 1000; tid < 100000; tid++)
		feed__thread(f, SHOP, SERVER, tid);
	feed__exit(f, SHOP);
	feed__write(f, 1, SHOP, SERVER, OK200);
	feed__free(f);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* Requests that nobody saw, since they were asked before weft came: what is done for them is no other's. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "../lib/shop_feed.h"

#define OK200 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define SHOP 100
#define WEB 200

/*
 * A worker calls for a request that was read before weft came. Meanwhile another thread reads the
 * next one, which waits in the queue, so that the call began after it was read.
 */
Test(unseen, calls_of_a_worker)
{
	struct feed *f = feed__new();

	feed__preopen(f, 1, SHOP, 80, 40001);
	feed__preopen(f, 3, SHOP, 50001, 8080);
	feed__accept(f, 2, SHOP, 11, 40002, 80);
	feed__read(f, 2, SHOP, 11, get("/next"));
	feed__write(f, 3, SHOP, 15, get("/of-the-unseen"));
	feed__read(f, 3, SHOP, 15, OK200);
	feed__write(f, 1, SHOP, 15, OK200);
	feed__write(f, 3, SHOP, 15, get("/of-the-next"));
	feed__read(f, 3, SHOP, 15, OK200);
	feed__write(f, 2, SHOP, 15, OK200);
	feed__finish(f);
	cr_expect(feed__is_root(client(f, "/of-the-unseen")));
	cr_expect(feed__is_child(client(f, "/of-the-next"), server(f, "/next"), "backward"));
	feed__free(f);
}

/* A worker that calls for a request, answers it, and then another for which it need not call. */
Test(unseen, worker_that_answers_twice)
{
	struct feed *f = feed__new();

	feed__preopen(f, 3, SHOP, 50001, 8080);
	feed__accept(f, 1, SHOP, 11, 40001, 80);
	feed__accept(f, 2, SHOP, 11, 40002, 80);
	feed__read(f, 1, SHOP, 11, get("/a"));
	feed__read(f, 2, SHOP, 11, get("/callless"));
	feed__write(f, 3, SHOP, 15, get("/call"));
	feed__read(f, 3, SHOP, 15, OK200);
	feed__write(f, 1, SHOP, 15, OK200);
	feed__write(f, 2, SHOP, 15, OK200);
	feed__finish(f);
	cr_expect(feed__is_child(client(f, "/call"), server(f, "/a"), "backward"));
	feed__free(f);
}

/*
 * A proxy connects upstream for a request that it read before weft came, and writes when the connection
 * stands; it has read another one by then. That last-read was right so far does not help.
 */
Test(unseen, connection_made_for_nobody_known)
{
	struct feed *f = feed__new();

	feed__preopen(f, 1, WEB, 80, 40009);
	feed__connect(f, 5, WEB, 21, 50005, 8080);
	feed__accept(f, 2, WEB, 21, 40002, 80);
	feed__accept(f, 6, WEB, 21, 40006, 80);
	feed__connect(f, 3, WEB, 21, 50001, 8080);
	feed__connect(f, 4, WEB, 21, 50002, 8080);
	for (int i = 0; i < 12; i++) {
		feed__read(f, 2, WEB, 21, get("/a"));
		feed__write(f, 3, WEB, 21, get("/up-a"));
		feed__read(f, 6, WEB, 21, get("/b"));
		feed__write(f, 4, WEB, 21, get("/up-b"));
		feed__read(f, 4, WEB, 21, OK200);
		feed__write(f, 6, WEB, 21, OK200);
		feed__read(f, 3, WEB, 21, OK200);
		feed__write(f, 2, WEB, 21, OK200);
		feed__wait(f, 300);
	}
	feed__read(f, 2, WEB, 21, get("/other"));
	feed__write(f, 3, WEB, 21, get("/up-other"));
	feed__write(f, 5, WEB, 21, get("/up-unseen"));
	feed__read(f, 5, WEB, 21, OK200);
	feed__write(f, 1, WEB, 21, OK200);
	feed__read(f, 3, WEB, 21, OK200);
	feed__write(f, 2, WEB, 21, OK200);
	feed__finish(f);
	cr_expect(feed__is_root(client(f, "/up-unseen")));
	cr_expect(feed__is_child(client(f, "/up-other"), server(f, "/other"), "backward"));
	feed__free(f);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* Trace context that travels beside the bytes: whose span it is, and which trace gets which id. */
#include <criterion/criterion.h>
#include <string.h>

#include "../lib/shop_feed.h"

#define OK200 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define TP "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
#define SHOP 100
#define T 11

static bool all(const uint8_t *id, size_t n, uint8_t is)
{
	for (size_t i = 0; i < n; i++)
		if (id[i] != is)
			return false;
	return true;
}

static bool in_trace(const struct span *s, uint8_t trace)
{
	return all(s->trace_id, 16, trace);
}

static void call(struct feed *f, unsigned id, const char *path)
{
	feed__write(f, id, SHOP, T, get(path));
	feed__read(f, id, SHOP, T, OK200);
}

/* The receiving end: the parent is on another host. */
Test(propagate, received)
{
	struct feed *f = feed__new();

	feed__accept(f, 1, SHOP, T, 40001, 80);
	feed__context(f, 1, T, WEFT_IN, 0xaa, 0xbb, 0, 0);
	feed__read(f, 1, SHOP, T, get("/a"));
	feed__write(f, 1, SHOP, T, OK200);
	feed__read(f, 1, SHOP, T, get("/b"));
	feed__write(f, 1, SHOP, T, OK200);
	feed__finish(f);
	struct span *a = server(f, "/a");

	cr_expect(in_trace(a, 0xaa));
	cr_expect(all(a->parent_id, 8, 0xbb));
	cr_expect(a->flags & 0x200, "the parent is remote");
	cr_expect(slice__eq(attr__text(span__attr(a, "weft.parent.source")), SLICE("remote")));
	cr_expect(feed__is_root(server(f, "/b")), "the next request had none");
	feed__free(f);
}

/* What the request itself says is what its sender meant. */
Test(propagate, a_header_goes_before_it)
{
	struct feed *f = feed__new();

	feed__accept(f, 1, SHOP, T, 40001, 80);
	feed__context(f, 1, T, WEFT_IN, 0xaa, 0xbb, 0, 0);
	feed__read(f, 1, SHOP, T, "GET /a HTTP/1.1\r\nHost: shop\r\ntraceparent: " TP "\r\n\r\n");
	feed__write(f, 1, SHOP, T, OK200);
	feed__finish(f);
	cr_expect_eq(server(f, "/a")->trace_id[0], 0x0a);
	cr_expect_eq(server(f, "/a")->parent_id[7], 0x31);
	feed__free(f);
}

/* What lies within the request, or is the answer's, is not the request's. */
Test(propagate, another_position_is_another_thing)
{
	struct feed *f = feed__new();

	feed__accept(f, 1, SHOP, T, 40001, 80);
	feed__read(f, 1, SHOP, T, "GET /a HTTP/1.1\r\n");
	feed__context(f, 1, T, WEFT_IN, 0xaa, 0xbb, 0, 0);
	feed__context(f, 1, T, WEFT_OUT, 0xaa, 0xbb, 0, 0);
	feed__read(f, 1, SHOP, T, "Host: shop\r\n\r\n");
	feed__write(f, 1, SHOP, T, OK200);
	feed__finish(f);
	cr_expect(feed__is_root(server(f, "/a")));
	cr_expect_not(in_trace(server(f, "/a"), 0xaa));
	feed__free(f);
}

/* The sending end: calls with the trace id of their request make it the trace's. */
Test(propagate, sent_for_the_request)
{
	struct feed *f = feed__new();
	uint32_t at;

	feed__accept(f, 1, SHOP, T, 40001, 80);
	feed__connect(f, 2, SHOP, T, 50001, 8080);
	at = f->conns[1].pos[WEFT_IN];
	feed__read(f, 1, SHOP, T, get("/a"));
	feed__context(f, 2, T, WEFT_OUT, 0xaa, 0xb1, 1, at);
	call(f, 2, "/call-1");
	feed__context(f, 2, T, WEFT_OUT, 0xaa, 0xb2, 1, at);
	call(f, 2, "/call-2");
	feed__write(f, 1, SHOP, T, OK200);
	feed__finish(f);
	cr_expect(in_trace(server(f, "/a"), 0xaa));
	cr_expect(in_trace(client(f, "/call-1"), 0xaa));
	cr_expect(all(client(f, "/call-1")->span_id, 8, 0xb1));
	cr_expect(all(client(f, "/call-2")->span_id, 8, 0xb2));
	cr_expect(feed__is_child(client(f, "/call-2"), server(f, "/a"), "backward") ||
		  feed__is_child(client(f, "/call-2"), server(f, "/a"), "thread"));
	cr_expect_eq(client(f, "/call-2")->n_links, 0);
	feed__free(f);
}

/* Trace ids of their own: the trace takes the first, the others stay where their parent is. */
Test(propagate, sent_with_ids_of_their_own)
{
	struct feed *f = feed__new();

	feed__accept(f, 1, SHOP, T, 40001, 80);
	feed__connect(f, 2, SHOP, T, 50001, 8080);
	feed__read(f, 1, SHOP, T, get("/a"));
	feed__context(f, 2, T, WEFT_OUT, 0xa1, 0xb1, 0, 0);
	call(f, 2, "/call-1");
	feed__context(f, 2, T, WEFT_OUT, 0xa2, 0xb2, 0, 0);
	call(f, 2, "/call-2");
	feed__write(f, 1, SHOP, T, OK200);
	feed__finish(f);
	struct span *second = client(f, "/call-2");

	cr_expect(in_trace(server(f, "/a"), 0xa1));
	cr_expect_eq(client(f, "/call-1")->n_links, 0);
	cr_expect(in_trace(second, 0xa1));
	cr_expect_eq(memcmp(second->parent_id, server(f, "/a")->span_id, 8), 0);
	cr_assert_eq(second->n_links, 1);
	cr_expect(all(second->links[0].trace_id, 16, 0xa2));
	cr_expect(all(second->links[0].span_id, 8, 0xb2));
	feed__free(f);
}

/* The kernel took it for another request's: that one's trace id is not this one's. */
Test(propagate, sent_for_another_request)
{
	struct feed *f = feed__new();

	feed__accept(f, 1, SHOP, T, 40001, 80);
	feed__connect(f, 2, SHOP, T, 50001, 8080);
	feed__read(f, 1, SHOP, T, get("/a"));
	feed__context(f, 2, T, WEFT_OUT, 0xaa, 0xbb, 7, 1);
	call(f, 2, "/call");
	feed__write(f, 1, SHOP, T, OK200);
	feed__finish(f);
	cr_expect_not(in_trace(server(f, "/a"), 0xaa));
	cr_expect_eq(memcmp(client(f, "/call")->parent_id, server(f, "/a")->span_id, 8), 0);
	cr_assert_eq(client(f, "/call")->n_links, 1);
	cr_expect(all(client(f, "/call")->links[0].trace_id, 16, 0xaa));
	feed__free(f);
}

/* From one host to the next and on. */
Test(propagate, received_and_sent_on)
{
	struct feed *f = feed__new();
	uint32_t at;

	feed__accept(f, 1, SHOP, T, 40001, 80);
	feed__connect(f, 2, SHOP, T, 50001, 8080);
	at = f->conns[1].pos[WEFT_IN];
	feed__context(f, 1, T, WEFT_IN, 0xaa, 0xb1, 0, 0);
	feed__read(f, 1, SHOP, T, get("/a"));
	feed__context(f, 2, T, WEFT_OUT, 0xaa, 0xb2, 1, at);
	call(f, 2, "/call");
	feed__write(f, 1, SHOP, T, OK200);
	feed__finish(f);
	cr_expect(in_trace(server(f, "/a"), 0xaa));
	cr_expect(in_trace(client(f, "/call"), 0xaa));
	cr_expect(all(client(f, "/call")->span_id, 8, 0xb2));
	cr_expect_eq(client(f, "/call")->n_links, 0);
	feed__free(f);
}

/* A client alone: its call begins the trace. */
Test(propagate, sent_by_a_root)
{
	struct feed *f = feed__new();

	feed__connect(f, 2, SHOP, T, 50001, 8080);
	feed__context(f, 2, T, WEFT_OUT, 0xaa, 0xbb, 0, 0);
	call(f, 2, "/call");
	feed__finish(f);
	cr_expect(in_trace(client(f, "/call"), 0xaa));
	cr_expect(all(client(f, "/call")->span_id, 8, 0xbb));
	cr_expect(feed__is_root(client(f, "/call")));
	feed__free(f);
}

/* Contexts whose requests never come are not kept for ever. */
Test(propagate, many_for_nothing)
{
	struct feed *f = feed__new();

	feed__accept(f, 1, SHOP, T, 40001, 80);
	for (unsigned i = 0; i < 40000; i++) {
		f->conns[2].pos[WEFT_OUT] = i;
		feed__context(f, 2, T, WEFT_OUT, 0xaa, 0xbb, 0, 0);
	}
	feed__context(f, 1, T, WEFT_IN, 0xa1, 0xb1, 0, 0);
	feed__read(f, 1, SHOP, T, get("/a"));
	feed__write(f, 1, SHOP, T, OK200);
	feed__finish(f);
	cr_expect(in_trace(server(f, "/a"), 0xa1));
	feed__free(f);
}

/* The answer was read before the call was told of: what belongs to it comes with it. */
Test(propagate, told_behind_the_answer)
{
	struct feed *f = feed__new();

	feed__connect(f, 2, SHOP, T, 50001, 8080);
	call(f, 2, "/first");
	feed__written(f, 2, SHOP, 12, get("/call"));
	feed__read(f, 2, SHOP, 12, OK200);
	feed__context(f, 2, T, WEFT_OUT, 0xaa, 0xbb, 0, 0);
	feed__write(f, 2, SHOP, T, get("/call"));
	feed__finish(f);
	cr_expect(in_trace(client(f, "/call"), 0xaa));
	cr_expect(all(client(f, "/call")->span_id, 8, 0xbb));
	feed__free(f);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* Proxies that read many requests before they work for any: a call belongs to the request like it. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "../lib/shop_feed.h"

#define OK200 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define PROXY 100
#define T 11
#define PAIRS 3

static void write_request(char *buf, size_t size, const char *path, const char *headers)
{
	snprintf(buf, size, "GET %s HTTP/1.1\r\nHost: shop\r\n%s\r\n", path, headers);
}

/* Connections 1, 2, 3 come in; 11, 12, 13 go out. */
static struct feed *proxy(void)
{
	struct feed *f = feed__new();

	for (unsigned i = 1; i <= PAIRS; i++) {
		feed__accept(f, i, PROXY, T, (uint16_t)(40000 + i), 80);
		feed__connect(f, 10 + i, PROXY, T, (uint16_t)(50000 + i), 8080);
	}
	return f;
}

static void request(struct feed *f, unsigned id, const char *path, const char *headers)
{
	char buf[512];

	write_request(buf, sizeof(buf), path, headers);
	feed__read(f, id, PROXY, T, buf);
}

static void call(struct feed *f, unsigned id, const char *path, const char *headers)
{
	char buf[512];

	write_request(buf, sizeof(buf), path, headers);
	feed__write(f, id, PROXY, T, buf);
}

/* Reads `a` and `b`, calls for them in the other order, and answers in that of the calls. */
static void batch(struct feed *f, const char *a, const char *b, const char *ha, const char *hb)
{
	request(f, 1, a, ha);
	request(f, 2, b, hb);
	call(f, 12, b, hb);
	call(f, 11, a, ha);
	feed__read(f, 11, PROXY, T, OK200);
	feed__read(f, 12, PROXY, T, OK200);
	feed__write(f, 2, PROXY, T, OK200);
	feed__write(f, 1, PROXY, T, OK200);
	feed__wait(f, 300);
}

static void warm_up(struct feed *f)
{
	char a[32], b[32];

	for (int i = 0; i < 4; i++) {
		snprintf(a, sizeof(a), "/warm/a%d", i);
		snprintf(b, sizeof(b), "/warm/b%d", i);
		batch(f, a, b, "", "");
	}
}

Test(content, calls_in_another_order)
{
	struct feed *f = proxy();

	warm_up(f);
	batch(f, "/a", "/b", "", "");
	feed__finish(f);
	cr_expect(feed__is_child(client(f, "/a"), server(f, "/a"), "content"));
	cr_expect(feed__is_child(client(f, "/b"), server(f, "/b"), "content"));
	feed__free(f);
}

/* Spans of one kind and path in the order of their start; how many have a parent by content. */
static unsigned by_content(struct feed *f, const char *path)
{
	unsigned n = 0;

	for (unsigned i = 0; i < f->n_spans; i++) {
		const struct attr *url = span__attr(f->spans[i], "url.full"),
				  *source = span__attr(f->spans[i], "weft.parent.source");

		n += url && url->text_n > strlen(path) && source &&
		     slice__eq(attr__text(source), SLICE("content")) &&
		     !memcmp(url->text + url->text_n - strlen(path), path, strlen(path));
	}
	return n;
}

Test(content, two_alike_are_nobodys)
{
	struct feed *f = proxy();

	warm_up(f);
	batch(f, "/same", "/same", "", "");
	feed__finish(f);
	cr_expect_eq(by_content(f, "/same"), 0);
	feed__free(f);
}

Test(content, ids_tell_them_apart)
{
	struct feed *f = proxy();

	warm_up(f);
	batch(f, "/same", "/same", "X-Request-ID: one\r\n", "X-Request-ID: two\r\n");
	feed__finish(f);
	cr_expect_eq(by_content(f, "/same"), 2);
	feed__free(f);
}

/* The proxy adds an id of its own. */
Test(content, added_id)
{
	struct feed *f = proxy();

	warm_up(f);
	request(f, 1, "/a", "");
	request(f, 2, "/b", "");
	call(f, 12, "/b", "X-Request-ID: b\r\n");
	call(f, 11, "/a", "X-Request-ID: a\r\n");
	feed__read(f, 11, PROXY, T, OK200);
	feed__read(f, 12, PROXY, T, OK200);
	feed__write(f, 2, PROXY, T, OK200);
	feed__write(f, 1, PROXY, T, OK200);
	feed__finish(f);
	cr_expect(feed__is_child(client(f, "/a"), server(f, "/a"), "content"));
	cr_expect(feed__is_child(client(f, "/b"), server(f, "/b"), "content"));
	feed__free(f);
}

/* A service whose calls mostly go to other paths is no proxy: one that is alike means nothing. */
Test(content, a_service_is_no_proxy)
{
	struct feed *f = proxy();
	char a[32], b[32];

	for (int i = 0; i < 10; i++) {
		snprintf(a, sizeof(a), "/in/%d", i);
		snprintf(b, sizeof(b), "/out/%d", i);
		request(f, 1, a, "");
		request(f, 2, "/other", "");
		call(f, 11, b, "");
		feed__read(f, 11, PROXY, T, OK200);
		feed__write(f, 2, PROXY, T, OK200);
		feed__write(f, 1, PROXY, T, OK200);
		feed__wait(f, 300);
	}
	batch(f, "/health", "/x", "", "");
	feed__finish(f);
	cr_expect_eq(by_content(f, "/health"), 0);
	feed__free(f);
}

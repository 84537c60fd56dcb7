// SPDX-License-Identifier: GPL-2.0-or-later
/* Header blocks that come again: what is copied is what reading them would say. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "user/proto/http1.h"

extern const struct protocol protocol_http1;

#define same(a, b)                                                                                 \
	cr_assert(slice__eq(a, b), SLICE_FMT " not " SLICE_FMT, SLICE_ARG(a), SLICE_ARG(b))

static void same_message(const struct http1_message *a, const struct http1_message *b)
{
	same(a->method, b->method);
	same(a->target, b->target);
	same(a->host, b->host);
	same(a->version, b->version);
	same(a->user_agent, b->user_agent);
	same(a->x_forwarded_for, b->x_forwarded_for);
	same(a->x_forwarded_proto, b->x_forwarded_proto);
	same(a->x_forwarded_host, b->x_forwarded_host);
	same(a->forwarded, b->forwarded);
	same(a->context.traceparent, b->context.traceparent);
	same(a->context.request_id, b->context.request_id);
	cr_assert_eq(a->status, b->status);
	cr_assert_eq(a->body, b->body);
}

static void same_framing(const struct http1_framing *a, const struct http1_framing *b)
{
	cr_assert_eq(a->has_length, b->has_length);
	cr_assert_eq(a->coded, b->coded);
	cr_assert_eq(a->chunked, b->chunked);
	cr_assert_eq(a->bad, b->bad);
	cr_assert_eq(a->expect, b->expect);
	cr_assert_eq(a->h2c, b->h2c);
	cr_assert_eq(a->length, b->length);
}

static bool read_block(enum proto_dir dir, struct message *m, const char *text,
		       struct http1_framing *f)
{
	const uint8_t *p = (const uint8_t *)text;

	return dir == PROTO_REQ ? http1__read_request(m, p, strlen(text), false, f)
				: http1__read_response(m, p, strlen(text), false, f);
}

/*
 * A block, with more behind it. True: it was known, and what was copied is what it says, and no more
 * than the block was taken; else it was read, and is known from now on.
 */
static bool again(struct http1_last *last, enum proto_dir dir, const char *text)
{
	struct message *m = message__new(&protocol_http1), *read = message__new(&protocol_http1);
	struct http1_framing f, read_f;
	char more[4096];

	snprintf(more, sizeof(more), "%sHTTP/1.1 GET", text);
	size_t n = http1__again(last, dir, m, (const uint8_t *)more, strlen(more), &f);
	bool is = read_block(dir, read, text, &read_f);

	cr_assert(!n || n == strlen(text));
	if (n) {
		cr_assert(is);
		same_message(m->data, read->data);
		same_framing(&f, &read_f);
		cr_assert_eq(m->truncated, read->truncated);
	} else {
		cr_assert_eq(m->keep.used, 0, "nothing was said yet");
		if (is)
			http1__remember(last, dir, read, (const uint8_t *)text, strlen(text),
					&read_f);
	}
	message__free(m, &protocol_http1);
	message__free(read, &protocol_http1);
	return n;
}

#define LINES "Host: a.example\r\nUser-Agent: x/1\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n"

Test(http1_known, requests_but_for_their_line)
{
	struct http1_last last = { 0 };

	cr_assert_not(again(&last, PROTO_REQ, "GET /1 HTTP/1.1\r\n" LINES));
	cr_assert(again(&last, PROTO_REQ, "GET /1 HTTP/1.1\r\n" LINES));
	cr_assert(again(&last, PROTO_REQ, "DELETE /other?x=1 HTTP/1.0\r\n" LINES));
	cr_assert(again(&last, PROTO_REQ, "OPTIONS * HTTP/1.1\n" LINES), "however the line ends");
	cr_assert_not(again(&last, PROTO_REQ, "GET /1 FTP/1.1\r\n" LINES), "no request line");
	cr_assert_not(again(&last, PROTO_REQ, "GET /1\r\n" LINES));
}

Test(http1_known, a_byte_more_or_another)
{
	struct http1_last last = { 0 };

	cr_assert_not(again(&last, PROTO_REQ, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
	cr_assert_not(again(&last, PROTO_REQ, "GET / HTTP/1.1\r\nHost: b\r\n\r\n"));
	cr_assert_not(again(&last, PROTO_REQ, "GET / HTTP/1.1\r\nHost: ab\r\n\r\n"));
	cr_assert_not(again(&last, PROTO_REQ, "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n"));
	cr_assert_not(again(&last, PROTO_REQ, "GET / HTTP/1.1\r\n\r\n"));
	cr_assert(again(&last, PROTO_REQ, "GET /2 HTTP/1.1\r\n\r\n"));
}

Test(http1_known, not_yet_whole)
{
	struct http1_last last = { 0 };
	const char *text = "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
	struct message *m = message__new(&protocol_http1);
	struct http1_framing f;

	again(&last, PROTO_REQ, text);
	for (size_t n = 0; n < strlen(text); n++)
		cr_assert_eq(http1__again(&last, PROTO_REQ, m, (const uint8_t *)text, n, &f), 0);
	cr_assert_eq(m->keep.used, 0);
	cr_assert(http1__again(&last, PROTO_REQ, m, (const uint8_t *)text, strlen(text), &f));
	cr_assert_eq(f.length, 5);
	cr_assert_eq(http1__again(&last, PROTO_REQ, m, (const uint8_t *)text, strlen(text), &f), 0,
		     "what a message has been told stays");
	message__free(m, &protocol_http1);
}

Test(http1_known, whatever_the_lines_say)
{
	static const char *const lines[] = {
		"Host:\r\n",
		"Host: a\r\nHost: b\r\n",
		"User-Agent: one\r\n\ttwo\r\n",
		"x-forwarded-proto: https\r\nX-Forwarded-Host: h\r\nForwarded: for=1;by=2\r\n",
		"Transfer-Encoding: gzip, chunked\r\n",
		"Content-Length: 17\r\nExpect: 100-continue\r\n",
		"no header\r\n",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		struct http1_last last = { 0 };
		char text[256];

		snprintf(text, sizeof(text), "PUT /x HTTP/1.1\r\n%s\r\n", lines[i]);
		again(&last, PROTO_REQ, text);
		cr_assert(again(&last, PROTO_REQ, text), "%s", lines[i]);
	}
}

Test(http1_known, context_is_read)
{
	struct http1_last last = { 0 };
	const char *text = "GET / HTTP/1.1\r\nHost: a\r\ntraceparent: "
			   "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n";

	cr_assert_not(again(&last, PROTO_REQ, text));
	cr_assert_not(again(&last, PROTO_REQ, text));
}

Test(http1_known, a_bad_block_stays_bad)
{
	struct http1_last last = { 0 };

	cr_assert_not(again(&last, PROTO_REQ, "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n"));
	cr_assert_not(again(&last, PROTO_REQ, "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n"));
}

Test(http1_known, responses_whole)
{
	struct http1_last last = { 0 };
	const char *ok = "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 3\r\n\r\n";

	cr_assert_not(again(&last, PROTO_RESP, ok));
	cr_assert(again(&last, PROTO_RESP, ok));
	cr_assert_not(again(&last, PROTO_RESP,
			    "HTTP/1.1 500 OK\r\nDate: now\r\nContent-Length: 3\r\n\r\n"));
	cr_assert_not(again(&last, PROTO_RESP,
			    "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 4\r\n\r\n"));
	cr_assert_not(
		again(&last, PROTO_RESP, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
	cr_assert(
		again(&last, PROTO_RESP, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
}

Test(http1_known, versions_that_need_memory)
{
	struct http1_last last = { 0 };

	again(&last, PROTO_RESP, "HTTP/1.7 200 OK\r\n\r\n");
	cr_assert_not(again(&last, PROTO_RESP, "HTTP/1.7 200 OK\r\n\r\n"));
}

/* More blocks than are kept, longer ones than are kept, of many connections at once. */
Test(http1_known, many)
{
	struct http1_last last[8] = { 0 };
	uint32_t x = 1;
	unsigned hits = 0;

	for (int i = 0; i < 50000; i++) {
		char text[2048];

		x = x * 1664525 + 1013904223;
		unsigned who = x >> 29, block = (x >> 20) % (i < 25000 ? 3 : 90), dir = x >> 12 & 1;
		int fill = (int)((x >> 8) % 4 ? 10 : 600);

		if (dir == PROTO_REQ)
			snprintf(text, sizeof(text),
				 "GET /%d HTTP/1.1\r\nHost: h%u\r\nUser-Agent: %0*u\r\n\r\n", i,
				 block, fill, block);
		else
			snprintf(text, sizeof(text),
				 "HTTP/1.1 20%u OK\r\nX: %0*u\r\nContent-Length: %u\r\n\r\n",
				 block % 4, fill, block, block);
		hits += again(&last[who], dir, text);
	}
	cr_assert_gt(hits, 5000, "%u", hits);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * HTTP/2 joined in the middle: what a program says in words of its header blocks (WEFT_EV_FIELDS)
 * teaches what the numbers on the wire mean, and nothing else does. Blocks are made by nghttp2's
 * encoder, which had sent others before weft came.
 */
#include <criterion/criterion.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <string.h>

#include "../../user/source/source.h"
#include "../lib/feed.h"

#define PID 100
#define TID 101
#define CONN 1

static void setup_process(struct feed *f)
{
	feed__process(f, PID, "shop");
}

/* One direction's encoder. */
static nghttp2_hd_deflater *encoder(void)
{
	nghttp2_hd_deflater *d;

	cr_assert_eq(nghttp2_hd_deflate_new(&d, 4096), 0);
	return d;
}

/* A HEADERS frame of "name=value\n" fields; returns its size. */
static size_t frame(nghttp2_hd_deflater *d, uint32_t stream, const char *fields, bool end,
		    uint8_t *out, size_t room)
{
	nghttp2_nv nv[16];
	size_t n = 0;
	char text[1024];

	snprintf(text, sizeof(text), "%s", fields);
	for (char *at = text; *at; n++) {
		char *is = strchr(at, '='), *stop = strchr(at, '\n');

		nv[n] = (nghttp2_nv){ .name = (uint8_t *)at,
				      .namelen = (size_t)(is - at),
				      .value = (uint8_t *)is + 1,
				      .valuelen = (size_t)(stop - is - 1) };
		at = stop + 1;
	}
	ssize_t len = nghttp2_hd_deflate_hd(d, out + 9, room - 9, nv, n);

	cr_assert(len > 0 && len < 256);
	memcpy(out,
	       (uint8_t[]){ 0, 0, (uint8_t)len, 1, end ? 5 : 4, 0, 0, (uint8_t)(stream >> 8),
			    (uint8_t)stream },
	       9);
	return (size_t)len + 9;
}

static void block(struct feed *f, nghttp2_hd_deflater *d, enum weft_dir dir, uint32_t stream,
		  const char *fields, bool end)
{
	uint8_t bytes[512];
	size_t n = frame(d, stream, fields, end, bytes, sizeof(bytes));

	feed__bytes(f, CONN, PID, TID, dir, bytes, (uint32_t)n, (uint32_t)n);
}

#define CALL(method)                                                                               \
	":method=POST\n:scheme=http\n:path=/shop.Stock/" method                                    \
	"\n:authority=stock:50051\ncontent-type=application/grpc\nte=trailers\n"
#define HEAD ":status=200\ncontent-type=application/grpc\n"
#define OK_END "grpc-status=0\ngrpc-message=\n"
#define NO_END "grpc-status=5\ngrpc-message=no such thing\n"

struct peer {
	struct feed *f;
	nghttp2_hd_deflater *asks, *answers;
};

/* A server's connection, on which this was said before weft came. */
static struct peer joined(void)
{
	static const char *const asked[] = { CALL("Get"), CALL("Put") };
	static const char *const answered[] = { HEAD, OK_END, NO_END };
	struct peer p = { feed__new(), encoder(), encoder() };
	uint8_t unseen[512];

	setup_process(p.f);
	for (unsigned i = 0; i < 2; i++)
		frame(p.asks, 2 * i + 1, asked[i], true, unseen, sizeof(unseen));
	for (unsigned i = 0; i < 3; i++)
		frame(p.answers, 1, answered[i], false, unseen, sizeof(unseen));
	feed__preopen(p.f, CONN, PID, 50051, 40000);
	return p;
}

static void ask(struct peer *p, uint32_t stream, const char *fields)
{
	block(p->f, p->asks, WEFT_IN, stream, fields, true);
}

static void answer(struct peer *p, uint32_t stream, const char *trailers)
{
	block(p->f, p->answers, WEFT_OUT, stream, HEAD, false);
	block(p->f, p->answers, WEFT_OUT, stream, trailers, true);
}

static void words(struct peer *p, enum weft_dir dir, uint32_t stream, const char *fields,
		  uint16_t all)
{
	feed__fields(p->f, CONN, PID, TID, dir, stream, fields, all);
}

static void end(struct peer *p)
{
	nghttp2_hd_deflate_del(p->asks);
	nghttp2_hd_deflate_del(p->answers);
	feed__free(p->f);
}

static const char *text(const struct span *s, const char *key)
{
	static char out[256];
	const struct attr *a = span__attr(s, key);

	snprintf(out, sizeof(out), SLICE_FMT, SLICE_ARG(a ? attr__text(a) : SLICE("(none)")));
	return out;
}

static struct span *nth(struct peer *p, unsigned i)
{
	cr_assert_gt(p->f->n_spans, i, "%u spans", p->f->n_spans);
	return p->f->spans[i];
}

/* Without words a call is no more than what the wire says. */
Test(http2_fields, nothing_is_guessed)
{
	struct peer p = joined();

	ask(&p, 5, CALL("Get"));
	answer(&p, 5, OK_END);
	feed__finish(p.f);
	cr_expect_str_eq(text(nth(&p, 0), "rpc.method"), "(none)");
	end(&p);
}

/* A decoder's words come behind the bytes; from then on the wire is enough. */
Test(http2_fields, words_behind_the_bytes)
{
	struct peer p = joined();

	ask(&p, 5, CALL("Get"));
	words(&p, WEFT_IN, 5, CALL("Get"), 6);
	answer(&p, 5, NO_END);
	ask(&p, 7, CALL("Put"));
	words(&p, WEFT_IN, 7, CALL("Put"), 6);
	answer(&p, 7, OK_END);
	ask(&p, 9, CALL("Get"));
	answer(&p, 9, OK_END);
	ask(&p, 11, CALL("Put"));
	answer(&p, 11, OK_END);
	feed__finish(p.f);
	for (unsigned i = 0; i < 4; i++) {
		cr_expect_str_eq(text(nth(&p, i), "rpc.method"),
				 i % 2 ? "shop.Stock/Put" : "shop.Stock/Get", "call %u", i);
		cr_expect_str_eq(text(nth(&p, i), "server.address"), "stock");
	}
	end(&p);
}

/* An encoder's words come before the bytes; both blocks of an answer, and they are not confused. */
Test(http2_fields, words_before_the_bytes)
{
	struct peer p = joined();

	ask(&p, 5, CALL("Get"));
	words(&p, WEFT_IN, 5, CALL("Get"), 6);
	words(&p, WEFT_OUT, 5, HEAD, 2);
	words(&p, WEFT_OUT, 5, NO_END, 2);
	answer(&p, 5, NO_END);
	ask(&p, 7, CALL("Get"));
	answer(&p, 7, NO_END);
	feed__finish(p.f);
	for (unsigned i = 0; i < 2; i++)
		cr_expect_str_eq(text(nth(&p, i), "rpc.response.status_code"), "NOT_FOUND");
	end(&p);
}

/* What is said before the protocol is known counts. */
Test(http2_fields, words_before_detection)
{
	struct peer p = joined();

	words(&p, WEFT_IN, 5, CALL("Put"), 6);
	ask(&p, 5, CALL("Put"));
	answer(&p, 5, OK_END);
	feed__finish(p.f);
	cr_expect_str_eq(text(nth(&p, 0), "rpc.method"), "shop.Stock/Put");
	end(&p);
}

/* Words that are not this block's teach nothing. */
Test(http2_fields, words_of_another_block)
{
	static const struct {
		uint32_t stream;
		const char *fields;
		uint16_t all;
		const char *what;
	} cases[] = {
		{ 7, CALL("Get"), 6, "another stream" },
		{ 5, CALL("Get") "x=y\n", 7, "more fields" },
		{ 5, CALL("Get"), 9, "not all of its fields are here" },
		{ 5, CALL("Put"), 6, "another path" },
		{ 5, ":method=GET\n:scheme=http\n:path=/a\n:authority=b\nc=d\ne=f\n", 6,
		  "another method" },
		{ 5, "a=POST\n:scheme=http\n:path=/a\n:authority=b\nc=d\ne=f\n", 6,
		  "another name, no pseudo field first" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct peer p = joined();

		ask(&p, 5, CALL("Get"));
		words(&p, WEFT_IN, cases[i].stream, cases[i].fields, cases[i].all);
		answer(&p, 5, OK_END);
		feed__finish(p.f);
		cr_expect_str_eq(text(nth(&p, 0), "rpc.method"), "(none)", "%s", cases[i].what);
		end(&p);
	}
}

/* A value that was cut is not taken; the others of the block are. */
Test(http2_fields, a_cut_value)
{
	char fields[512];
	struct peer p = joined();

	memset(fields, 0, sizeof(fields));
	snprintf(fields, sizeof(fields),
		 ":method=POST\n:scheme=http\n:path=/shop.Stock/Get\n:authority=%0200d\n"
		 "content-type=application/grpc\nte=trailers\n",
		 7);
	ask(&p, 5, CALL("Get"));
	words(&p, WEFT_IN, 5, fields, 6);
	answer(&p, 5, OK_END);
	feed__finish(p.f);
	cr_expect_str_eq(text(nth(&p, 0), "rpc.method"), "shop.Stock/Get");
	cr_expect_str_eq(text(nth(&p, 0), "server.address"), "(none)");
	end(&p);
}

/* They are asked for as long as they teach something, and never where all was seen. */
Test(http2_fields, asked_for_while_it_helps)
{
	struct peer p = joined();
	const struct weft_policy *policy = &p.f->conns[CONN].policy;

	ask(&p, 5, CALL("Get"));
	words(&p, WEFT_IN, 5, CALL("Get"), 6);
	answer(&p, 5, OK_END);
	cr_expect_eq(policy->fields, 3);
	uint32_t stream = 7;

	for (; stream < 1000; stream += 2) {
		ask(&p, stream, CALL("Get"));
		answer(&p, stream, OK_END);
	}
	/* of the answers nothing was told yet: who tells of them may not be attached */
	cr_expect_eq(policy->fields, 1 << WEFT_OUT);
	for (; stream < 5000; stream += 2)
		answer(&p, stream, OK_END);
	cr_expect_eq(policy->fields, 0);
	end(&p);
	p = (struct peer){ feed__new(), encoder(), encoder() };
	policy = &p.f->conns[CONN].policy;
	feed__accept(p.f, CONN, PID, TID, 40000, 50051);
	feed__read(p.f, CONN, PID, TID, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	ask(&p, 1, CALL("Get"));
	answer(&p, 1, OK_END);
	cr_expect_eq(policy->frames, WEFT_FRAMES);
	cr_expect_eq(policy->fields, 0);
	end(&p);
}

Test(http2_fields, what_is_valid)
{
	union {
		struct weft_fields e;
		uint8_t bytes[sizeof(struct weft_fields) + 25 * sizeof(struct weft_field)];
	} r = { .e = { .h = { .kind = WEFT_EV_FIELDS }, .n = 2, .all = 2 } };
	const uint32_t two = sizeof(r.e) + 2 * sizeof(struct weft_field);

	r.e.h.size = two;
	cr_expect(event__valid(&r.e.h, sizeof(r)));
	cr_expect(!event__valid(&r.e.h, two - 8), "cut");
	r.e.h.size = two + 8;
	cr_expect(!event__valid(&r.e.h, sizeof(r)), "another size than its fields");
	r.e.h.size = two;
	r.e.all = 1;
	cr_expect(!event__valid(&r.e.h, sizeof(r)), "more than all");
	r.e.all = 0;
	r.e.dir = 2;
	cr_expect(!event__valid(&r.e.h, sizeof(r)), "no such direction");
	r.e.dir = 0;
	r.e.n = 0;
	r.e.h.size = sizeof(r.e);
	cr_expect(!event__valid(&r.e.h, sizeof(r)), "none");
	r.e.n = 25;
	r.e.h.size = sizeof(r);
	cr_expect(!event__valid(&r.e.h, sizeof(r)), "too many");
}

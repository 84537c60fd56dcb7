// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * HTTP/2 joined in the middle: a program's own header table (WEFT_EV_TABLE) says at once what all
 * numbers on the wire mean, if it is laid at the right place; and what can't be right is not taken.
 * Blocks and tables are those of nghttp2's encoder, which had sent others before weft came.
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
#define HEADER 9

#define ASK(method, path) ":method=" method "\n:scheme=http\n:path=" path "\n:authority=shop.test\n"
#define GET(path) ASK("REPORT", path)
#define WITH(path, more) GET(path) more
#define SAID(status) ":status=" status "\ncontent-type=text/html\n"

struct peer {
	struct feed *f;
	nghttp2_hd_deflater *asks, *answers;
	uint8_t bytes[512]; /* the last frame */
	size_t n;
	char table[4096]; /* of the encoder that made it, before that, and its size */
	uint32_t size;
};

static nghttp2_hd_deflater *encoder(void)
{
	nghttp2_hd_deflater *d;

	cr_assert_eq(nghttp2_hd_deflate_new(&d, 4096), 0);
	return d;
}

static void look(struct peer *p, nghttp2_hd_deflater *d)
{
	size_t at = 0, n = nghttp2_hd_deflate_get_num_table_entries(d);

	p->table[0] = '\0';
	p->size = (uint32_t)nghttp2_hd_deflate_get_dynamic_table_size(d);
	for (size_t i = 62; i <= n; i++) {
		const nghttp2_nv *nv = nghttp2_hd_deflate_get_table_entry(d, i);

		at += (size_t)snprintf(p->table + at, sizeof(p->table) - at, "%.*s=%.*s\n",
				       (int)nv->namelen, nv->name, (int)nv->valuelen, nv->value);
	}
	cr_assert_lt(at, sizeof(p->table) - 1);
}

static void encode(struct peer *p, nghttp2_hd_deflater *d, uint32_t stream, const char *fields,
		   bool end)
{
	nghttp2_nv nv[16];
	size_t n = 0;
	char text[1024];

	look(p, d);
	snprintf(text, sizeof(text), "%s", fields);
	for (char *at = text; *at; n++) {
		char *is = strchr(at + 1, '='), *stop = strchr(at, '\n');

		nv[n] = (nghttp2_nv){ .name = (uint8_t *)at,
				      .namelen = (size_t)(is - at),
				      .value = (uint8_t *)is + 1,
				      .valuelen = (size_t)(stop - is - 1) };
		at = stop + 1;
	}
	ssize_t len = nghttp2_hd_deflate_hd(d, p->bytes + HEADER, sizeof(p->bytes) - HEADER, nv, n);

	cr_assert(len > 0 && len < 256);
	memcpy(p->bytes,
	       (uint8_t[]){ 0, 0, (uint8_t)len, 1, end ? 5 : 4, 0, 0, (uint8_t)(stream >> 8),
			    (uint8_t)stream },
	       HEADER);
	p->n = (size_t)len + HEADER;
}

/* `who` is the server's side (WEFT_IN: it reads requests) or the client's. */
static struct peer joined(enum weft_dir asks)
{
	static const char *const asked[] = { WITH("/a", "user-agent=x\n"),
					     WITH("/b", "user-agent=y\n"), ASK("SEARCH", "/c") };
	static const char *const answered[] = { SAID("201"), SAID("418"), SAID("200") };
	struct peer p = { .f = feed__new(), .asks = encoder(), .answers = encoder() };

	feed__process(p.f, PID, "shop");
	for (unsigned i = 0; i < 3; i++) {
		encode(&p, p.asks, 2 * i + 1, asked[i], true);
		encode(&p, p.answers, 2 * i + 1, answered[i], true);
	}
	if (asks == WEFT_IN)
		feed__preopen(p.f, CONN, PID, 8080, 40000);
	else
		feed__preopen(p.f, CONN, PID, 40000, 8080);
	return p;
}

static void send(struct peer *p, enum weft_dir dir)
{
	feed__bytes(p->f, CONN, PID, TID, dir, p->bytes, (uint32_t)p->n, (uint32_t)p->n);
}

static void exchange(struct peer *p, enum weft_dir asks, uint32_t stream, const char *fields,
		     const char *answer)
{
	encode(p, p->asks, stream, fields, true);
	send(p, asks);
	encode(p, p->answers, stream, answer, true);
	send(p, !asks);
}

static void end(struct peer *p)
{
	nghttp2_hd_deflate_del(p->asks);
	nghttp2_hd_deflate_del(p->answers);
	feed__free(p->f);
}

static const char *text(struct peer *p, unsigned i, const char *key)
{
	static char out[256];

	cr_assert_gt(p->f->n_spans, i, "%u spans", p->f->n_spans);
	const struct attr *a = span__attr(p->f->spans[i], key);

	snprintf(out, sizeof(out), SLICE_FMT, SLICE_ARG(a ? attr__text(a) : SLICE("(none)")));
	return out;
}

static int64_t status(struct peer *p, unsigned i)
{
	cr_assert_gt(p->f->n_spans, i, "%u spans", p->f->n_spans);
	const struct attr *a = span__attr(p->f->spans[i], "http.response.status_code");

	return a ? a->i : -1;
}

/* The table that the last block found or left, of a direction. */
static struct feed_table table_of(struct peer *p, enum weft_dir dir, uint32_t stream)
{
	return (struct feed_table){ .dir = dir,
				    .entries = p->table,
				    .stream = stream,
				    .block = p->bytes + HEADER,
				    .len = (uint32_t)p->n - HEADER };
}

static void tell(struct peer *p, const struct feed_table *t)
{
	feed__table(p->f, CONN, PID, TID, t);
}

/* A decoder's table comes behind the bytes of the block, and names that request too. */
Test(http2_table, of_a_block_that_was_read)
{
	struct peer p = joined(WEFT_IN);

	encode(&p, p.asks, 5, WITH("/a", "user-agent=y\n"), true);
	send(&p, WEFT_IN);
	cr_expect_eq(p.f->conns[CONN].policy.fields, 3);
	tell(&p, &(struct feed_table){ table_of(&p, WEFT_IN, 5).dir, p.table, 0, 5, false,
				       p.bytes + HEADER, (uint32_t)p.n - HEADER, NULL, 0 });
	encode(&p, p.answers, 5, SAID("200"), true);
	send(&p, WEFT_OUT);
	cr_expect_eq(p.f->conns[CONN].policy.fields, 1 << WEFT_OUT, "all is known of the requests");
	exchange(&p, WEFT_IN, 7, WITH("/b", "user-agent=x\n"), SAID("200"));
	exchange(&p, WEFT_IN, 9, WITH("/c", "user-agent=z\n"), SAID("200"));
	exchange(&p, WEFT_IN, 11, WITH("/c", "user-agent=z\n"), SAID("200"));
	feed__finish(p.f);
	for (unsigned i = 0; i < 4; i++) {
		cr_expect_str_eq(text(&p, i, "http.request.method_original"), "REPORT", "%u", i);
		cr_expect_str_eq(text(&p, i, "server.address"), "shop.test");
		cr_expect_str_eq(text(&p, i, "user_agent.original"), i == 0   ? "y"
								     : i == 1 ? "x"
									      : "z");
	}
	end(&p);
}

/* An encoder's, as the block leaves it, comes before the bytes (Go). */
Test(http2_table, behind_a_block_that_comes)
{
	struct peer p = joined(WEFT_OUT);

	exchange(&p, WEFT_OUT, 7, WITH("/a", "user-agent=z\n"), SAID("200"));
	encode(&p, p.asks, 9, ASK("SEARCH", "/b") "user-agent=v\n", true);
	look(&p, p.asks);
	struct feed_table t = table_of(&p, WEFT_OUT, 9);

	t.behind = true;
	tell(&p, &t);
	send(&p, WEFT_OUT);
	encode(&p, p.answers, 9, SAID("200"), true);
	send(&p, WEFT_IN);
	exchange(&p, WEFT_OUT, 11, GET("/b"), SAID("200"));
	feed__finish(p.f);
	cr_expect_str_eq(text(&p, 0, "http.request.method_original"), "(none)");
	cr_expect_str_eq(text(&p, 1, "http.request.method_original"), "SEARCH");
	cr_expect_str_eq(text(&p, 2, "http.request.method_original"), "REPORT");
	end(&p);
}

/* An encoder's, before a block that is known by its fields alone (nghttp2). */
Test(http2_table, before_a_block_that_comes)
{
	struct peer p = joined(WEFT_IN);
	struct feed_table t = {
		.dir = WEFT_OUT, .entries = p.table, .fields = SAID("418"), .all = 2
	};

	/* the table is older than what was sent last */
	exchange(&p, WEFT_IN, 5, GET("/a"), SAID("200"));
	encode(&p, p.answers, 3, ":status=204\nx=1\n", true);
	tell(&p, &t);
	send(&p, WEFT_OUT);
	exchange(&p, WEFT_IN, 7, GET("/a"), SAID("418"));
	feed__finish(p.f);
	cr_expect_eq(status(&p, 1), -1);
	end(&p);

	p = joined(WEFT_IN);
	exchange(&p, WEFT_IN, 5, GET("/a"), ":status=204\nx=1\n");
	encode(&p, p.asks, 7, GET("/a"), true);
	send(&p, WEFT_IN);
	encode(&p, p.answers, 7, SAID("418"), true);
	tell(&p, &t);
	send(&p, WEFT_OUT);
	exchange(&p, WEFT_IN, 9, GET("/a"), SAID("201"));
	feed__finish(p.f);
	cr_expect_eq(status(&p, 1), 418);
	cr_expect_eq(status(&p, 2), 201);
	end(&p);
}

/* Another program's table, a damaged one, one of another moment. */
Test(http2_table, what_does_not_fit)
{
	static const struct {
		const char *what;
		const char *entries; /* NULL: the right ones */
		uint32_t size, stream;
		uint8_t wrong; /* in the block's first byte */
	} cases[] = {
		{ "its size is another", NULL, 500, 5, 0 },
		{ "another stream", NULL, 0, 7, 0 },
		{ "other bytes", NULL, 0, 5, 1 },
		{ "fewer than the block refers to", "user-agent=y\n", 0, 5, 0 },
		{ "none", "", 0, 5, 0 },
		{ "a name with capitals",
		  "user-agent=y\nUser-Agent=x\n:authority=shop.test\n:method=REPORT\n", 0, 5, 0 },
		{ "a name of control characters",
		  "user-agent=y\n\001=x\n:authority=shop.test\n:method=REPORT\n", 0, 5, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct peer p = joined(WEFT_IN);

		encode(&p, p.asks, 5, WITH("/a", "user-agent=y\n"), true);
		send(&p, WEFT_IN);
		struct feed_table t = table_of(&p, WEFT_IN, cases[i].stream);

		if (cases[i].entries)
			t.entries = cases[i].entries;
		t.size = cases[i].size;
		p.bytes[HEADER] ^= cases[i].wrong;
		tell(&p, &t);
		encode(&p, p.answers, 5, SAID("200"), true);
		send(&p, WEFT_OUT);
		feed__finish(p.f);
		cr_expect_str_eq(text(&p, 0, "http.request.method_original"), "(none)", "%s",
				 cases[i].what);
		end(&p);
	}
}

/* What the wire has added is in the table, at its place; else it is another's. */
Test(http2_table, contradicted_by_the_wire)
{
	for (int lies = 0; lies < 2; lies++) {
		struct peer p = joined(WEFT_IN);

		exchange(&p, WEFT_IN, 5, WITH("/a", "user-agent=seen\n"), SAID("200"));
		encode(&p, p.asks, 7, WITH("/a", "user-agent=seen\n"), true);
		send(&p, WEFT_IN);
		struct feed_table t = table_of(&p, WEFT_IN, 7);
		char *seen = strstr(p.table, "=seen\n");

		cr_assert(seen);
		if (lies)
			memcpy(seen, "=meen\n", 6);
		tell(&p, &t);
		encode(&p, p.answers, 7, SAID("200"), true);
		send(&p, WEFT_OUT);
		feed__finish(p.f);
		cr_expect_str_eq(text(&p, 1, "http.request.method_original"),
				 lies ? "(none)" : "REPORT");
		end(&p);
	}
}

/* Before the protocol is known, and of a connection that is none of HTTP/2. */
Test(http2_table, early_and_astray)
{
	struct peer p = joined(WEFT_OUT);

	encode(&p, p.asks, 5, WITH("/a", "user-agent=y\n"), true);
	struct feed_table t = table_of(&p, WEFT_OUT, 5);

	tell(&p, &t);
	send(&p, WEFT_OUT);
	encode(&p, p.answers, 5, SAID("200"), true);
	send(&p, WEFT_IN);
	feed__finish(p.f);
	cr_expect_str_eq(text(&p, 0, "http.request.method_original"), "REPORT");
	end(&p);
	p = joined(WEFT_IN);
	feed__read(p.f, CONN, PID, TID, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	tell(&p, &t);
	feed__write(p.f, CONN, PID, TID, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	feed__finish(p.f);
	cr_expect_eq(p.f->n_spans, 1);
	end(&p);
}

Test(http2_table, what_is_valid)
{
	static union {
		struct weft_table e;
		uint8_t bytes[sizeof(struct weft_table) + 200 * sizeof(struct weft_field)];
	} r = { .e = { .h = { .kind = WEFT_EV_TABLE }, .n = 2, .fields = 1, .all = 3 } };
	const uint32_t three = sizeof(r.e) + 3 * sizeof(struct weft_field);

	r.e.h.size = three;
	cr_expect(event__valid(&r.e.h, sizeof(r)));
	cr_expect(!event__valid(&r.e.h, three - 8), "cut");
	r.e.h.size = three + 8;
	cr_expect(!event__valid(&r.e.h, sizeof(r)), "another size than its fields");
	r.e.h.size = three;
	r.e.all = 0;
	cr_expect(!event__valid(&r.e.h, sizeof(r)), "more than all");
	r.e.all = 3;
	r.e.dir = 2;
	cr_expect(!event__valid(&r.e.h, sizeof(r)), "no such direction");
	r.e.dir = 0;
	r.e.behind = 2;
	cr_expect(!event__valid(&r.e.h, sizeof(r)), "no such place");
	r.e.behind = 0;
	r.e.n = WEFT_TABLE_MAX + 1;
	r.e.h.size = (uint32_t)(sizeof(r.e) + (r.e.n + 1u) * sizeof(struct weft_field));
	cr_expect(!event__valid(&r.e.h, sizeof(r)), "too many entries");
	r.e.n = 0;
	r.e.fields = WEFT_FIELDS_MAX + 1;
	r.e.all = 100;
	r.e.h.size = (uint32_t)(sizeof(r.e) + r.e.fields * sizeof(struct weft_field));
	cr_expect(!event__valid(&r.e.h, sizeof(r)), "too many fields");
}

/*
 * A server that reads a frame's header and its payload by calls of their own (Go, from TLS), and is
 * seen to answer first: its requests are never whole at the end of a call.
 */
Test(http2_table, header_and_payload_apart)
{
	static const uint8_t before[] = { 0, 0, 1, 1, 5, 0, 0, 0, 5, 0x88 };
	static const uint8_t ask[] = { 0, 0, 11, 1, 5, 0, 0, 0, 7,
				       /* GET /7, http, h:80, something from before */
				       0x82, 0x44, 0x82, 0x61, 0xdf, 0x86, 0x41, 0x83, 0x9e, 0xe3,
				       0xc0 };
	static const uint8_t answer[] = { 0, 0, 1, 1, 5, 0, 0, 0, 7, 0x89 };
	struct feed *f = feed__new();

	feed__process(f, PID, "shop");
	feed__preopen(f, CONN, PID, 8080, 40000);
	feed__bytes(f, CONN, PID, TID, WEFT_OUT, before, sizeof(before), sizeof(before));
	feed__bytes(f, CONN, PID, TID, WEFT_IN, ask, HEADER, HEADER);
	feed__bytes(f, CONN, PID, TID, WEFT_IN, ask + HEADER, sizeof(ask) - HEADER,
		    sizeof(ask) - HEADER);
	feed__bytes(f, CONN, PID, TID, WEFT_OUT, answer, sizeof(answer), sizeof(answer));
	feed__finish(f);
	const struct span *s = feed__span(f, SPAN_SERVER, "url.path", "/7");

	cr_expect_eq(span__attr(s, "http.response.status_code")->i, 204);
	feed__free(f);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Calls of which the kernel side followed the frames: records with parts, from the gate
 * (event__valid()) through the streams (conn/) to the spans of HTTP/2.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "../../user/conn/conn.h"
#include "../../user/source/source.h"
#include "../lib/feed.h"

#define PID 100
#define TID 101
#define CONN 1

/* ---- the gate ---- */

/* A record with parts of a call of 1000 bytes, of which the first `head` lead it. */
static struct weft_data *record(uint16_t head, const struct weft_part *parts, size_t n)
{
	static union {
		struct weft_data d;
		uint8_t bytes[65536];
	} r;
	uint32_t at = head;

	memset(&r, 0, sizeof(r));
	r.d = (struct weft_data){ .h = { .kind = WEFT_EV_DATA, .flags = WEFT_F_PARTS, .conn = 7 },
				  .len = 1000,
				  .head = head };
	for (uint32_t i = 0; i < head; i++)
		r.d.bytes[i] = (uint8_t)i;
	for (size_t i = 0; i < n; i++) {
		memcpy(r.d.bytes + at, &parts[i], sizeof(parts[i]));
		at += sizeof(parts[i]);
		for (uint32_t b = 0; b < parts[i].len && b < 1000; b++)
			r.d.bytes[at++] = (uint8_t)(parts[i].off + b);
	}
	r.d.h.size = (uint32_t)sizeof(r.d) + ((at + 7) & ~7u);
	return &r.d;
}

static bool valid(const struct weft_data *d)
{
	return event__valid(&d->h, d->h.size);
}

Test(parts, what_is_valid)
{
	static const struct {
		uint16_t head;
		struct weft_part parts[3];
		size_t n;
		bool valid;
		const char *what;
	} cases[] = {
		{ 0, { { 0 } }, 0, true, "nothing" },
		{ 10, { { 0 } }, 0, true, "a head alone" },
		{ 0, { { 0, 9 } }, 1, true, "a part at the beginning" },
		{ 10, { { 10, 9 }, { 19, 1 }, { 990, 10 } }, 3, true, "one behind the other" },
		{ 10, { { 20, 9 }, { 200, 13 } }, 2, true, "with room between" },
		{ 10, { { 9, 9 } }, 1, false, "it begins in the head" },
		{ 0, { { 200, 9 }, { 20, 9 } }, 2, false, "they descend" },
		{ 0, { { 20, 9 }, { 28, 9 } }, 2, false, "they overlap" },
		{ 0, { { 20, 0 } }, 1, false, "an empty one" },
		{ 0, { { 995, 6 } }, 1, false, "it ends behind the call" },
		{ 0, { { 1000, 1 } }, 1, false, "it begins behind the call" },
		{ 0, { { UINT32_MAX, 9 } }, 1, false, "far behind" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_eq(valid(record(cases[i].head, cases[i].parts, cases[i].n)),
			     cases[i].valid, "%s", cases[i].what);
}

Test(parts, what_is_not_valid)
{
	static const struct weft_part two[] = { { 20, 9 }, { 100, 20 } };
	struct weft_data *d = record(10, two, 2);
	uint32_t size = d->h.size, huge = UINT32_MAX;

	cr_assert(valid(d));
	for (uint32_t less = 8; less <= size - sizeof(*d); less += 8) {
		uint32_t left = size - less - (uint32_t)sizeof(*d);

		d->h.size = size - less;
		/* With the head, or the head and the first part, it is a whole record again. */
		cr_expect_eq(valid(d), left == 16 || left == 32, "%u bytes less", less);
	}
	d->h.size = size + 8;
	cr_expect_not(valid(d), "bytes behind the last part");
	d = record(10, two, 2);
	d->tail = 1;
	cr_expect_not(valid(d), "a tail");
	d = record(10, two, 2);
	d->h.flags = 0;
	cr_expect_not(valid(d), "without the flag");
	d = record(10, two, 2);
	d->h.kind = WEFT_EV_SHUT;
	cr_expect_not(valid(d), "another kind");
	d = record(10, two, 2);
	d->dir = 2;
	cr_expect_not(valid(d), "a third direction");
	d = record(10, two, 2);
	d->len = 9;
	cr_expect_not(valid(d), "a head longer than the call");
	d = record(10, two, 2);
	memcpy(d->bytes + 14, &huge, sizeof(huge));
	cr_expect_not(valid(d), "a part longer than the record");
	d = record(0, NULL, 0);
	d->len = 1 << 20;
	d->head = WEFT_PARTS_MAX;
	d->h.size = sizeof(*d) + WEFT_PARTS_MAX;
	cr_expect(valid(d), "the longest head");
	d->head = WEFT_PARTS_MAX + 1;
	d->h.size = sizeof(*d) + WEFT_PARTS_MAX + 8;
	cr_expect_not(valid(d), "a longer one");
}

/* ---- the stream ---- */

struct seen {
	struct piece p[32];
	uint8_t first[32];
	unsigned n, events;
};

static void opened(void *ctx, struct conn *c)
{
	(void)ctx;
	(void)c;
}

static void piece(void *ctx, struct conn *c, enum weft_dir dir, const struct piece *p)
{
	struct seen *s = ctx;

	(void)c;
	(void)dir;
	cr_assert_lt(s->n, 32);
	s->p[s->n] = *p;
	s->first[s->n++] = p->data ? p->data[0] : 0;
	s->events += p->event_end;
}

static void ended(void *ctx, struct conn *c, enum weft_dir dir, uint64_t ts)
{
	(void)ctx;
	(void)c;
	(void)dir;
	(void)ts;
}

static void closed(void *ctx, struct conn *c, uint64_t ts)
{
	(void)ctx;
	(void)c;
	(void)ts;
}

struct streams {
	struct seen seen;
	struct balance books;
	struct conns *all;
};

static void begin(struct streams *s)
{
	struct conn_sink sink = {
		.ctx = &s->seen, .open = opened, .piece = piece, .eof = ended, .close = closed
	};
	struct weft_open o = { .h = { .size = sizeof(o), .kind = WEFT_EV_OPEN, .conn = 7 } };

	memset(s, 0, sizeof(*s));
	o.h.flags = WEFT_F_POS;
	s->all = conns__new(8, &sink, &s->books);
	cr_assert(s->all);
	balance__receive(&s->books, true);
	conns__event(s->all, &o.h);
}

static void send_record(struct streams *s, struct weft_data *d, uint32_t off)
{
	d->off = off;
	d->h.ts = 1000;
	cr_assert(valid(d));
	balance__receive(&s->books, false);
	conns__event(s->all, &d->h);
}

static void end(struct streams *s)
{
	conns__free(s->all, 2000);
}

static const struct weft_part two_parts[] = { { 20, 9 }, { 100, 20 } };

static void expect_call(const struct seen *s, unsigned from, uint64_t pos)
{
	static const struct {
		uint32_t at, len;
		bool shown, framed;
	} wanted[] = {
		{ 0, 10, true, false },   { 10, 10, false, false }, { 20, 9, true, true },
		{ 29, 71, false, false }, { 100, 20, true, true },  { 120, 880, false, false },
	};

	for (unsigned i = 0; i < 6; i++) {
		const struct piece *p = &s->p[from + i];

		cr_expect_eq((uint32_t)p->pos, (uint32_t)pos + wanted[i].at, "piece %u", i);
		cr_expect_eq(p->len, wanted[i].len, "piece %u", i);
		cr_expect_eq(p->data != NULL, wanted[i].shown, "piece %u", i);
		cr_expect_eq(p->framed, wanted[i].framed, "piece %u", i);
		cr_expect_eq(p->call_begin, i == 0, "piece %u", i);
		cr_expect_eq(p->call_end, i == 5, "piece %u", i);
		cr_expect_eq(p->event_end, i == 5, "piece %u", i);
		cr_expect_not(p->lost, "piece %u", i);
		if (wanted[i].shown)
			cr_expect_eq(s->first[from + i], wanted[i].at, "piece %u", i);
	}
}

Test(parts, in_order)
{
	struct streams s;

	begin(&s);
	send_record(&s, record(10, two_parts, 2), 0);
	cr_assert_eq(s.seen.n, 6);
	expect_call(&s.seen, 0, 0);
	/* nothing shown at all: in the middle of a body */
	send_record(&s, record(0, NULL, 0), 1000);
	cr_assert_eq(s.seen.n, 7);
	cr_expect(!s.seen.p[6].data && s.seen.p[6].len == 1000 && s.seen.p[6].call_begin &&
		  s.seen.p[6].call_end);
	end(&s);
}

/* Another thread's call is told of first: the record waits, with its parts. */
Test(parts, out_of_order)
{
	struct streams s;

	begin(&s);
	send_record(&s, record(10, two_parts, 2), 1000);
	cr_assert_eq(s.seen.n, 0);
	send_record(&s, record(10, two_parts, 2), 0);
	cr_assert_eq(s.seen.n, 12);
	cr_expect_eq(s.seen.events, 2);
	expect_call(&s.seen, 0, 0);
	expect_call(&s.seen, 6, 1000);
	end(&s);
}

/* Its first bytes were delivered before: in the head, between parts, in a part. */
Test(parts, partly_known)
{
	for (uint32_t known = 1; known < 1000; known++) {
		struct streams s;
		uint32_t at = known;

		begin(&s);
		send_record(&s, record(0, NULL, 0), known - 1000);
		s.seen.n = 0;
		send_record(&s, record(10, two_parts, 2), 0);
		cr_assert(s.seen.n > 0);
		for (unsigned i = 0; i < s.seen.n; i++) {
			const struct piece *p = &s.seen.p[i];

			cr_assert_eq((uint32_t)p->pos, at, "known %u", known);
			if (p->data)
				cr_assert_eq(s.seen.first[i], at, "known %u", known);
			cr_assert_eq(p->framed, at == 20 || at == 100, "known %u", known);
			cr_assert_not(p->call_begin, "known %u", known);
			at += p->len;
		}
		cr_assert_eq(at, 1000, "known %u", known);
		end(&s);
	}
}

/* ---- HTTP/2 ---- */

/* Bytes of one direction, and what of them the kernel side would show. */
struct talk {
	uint8_t b[1 << 20];
	uint32_t n;
	struct weft_part parts[512];
	size_t n_parts;
};

static struct talk asked, said;

static void show(struct talk *t, uint32_t off, uint32_t len)
{
	struct weft_part *last = t->n_parts ? &t->parts[t->n_parts - 1] : NULL;

	if (last && last->off + last->len == off)
		last->len += len;
	else
		t->parts[t->n_parts++] = (struct weft_part){ off, len };
}

static void frame(struct talk *t, uint8_t type, uint8_t flags, uint32_t stream, const void *payload,
		  uint32_t len, uint32_t shown)
{
	uint8_t *p = t->b + t->n;

	cr_assert(t->n + 9 + len <= sizeof(t->b) && t->n_parts < 511);
	memcpy(p,
	       (uint8_t[]){ (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len, type, flags, 0,
			    0, (uint8_t)(stream >> 8), (uint8_t)stream },
	       9);
	if (payload)
		memcpy(p + 9, payload, len);
	else
		memset(p + 9, 0xee, len);
	show(t, t->n, 9 + shown);
	t->n += 9 + len;
}

static void ask(struct talk *t, uint32_t stream)
{
	/* GET http, :authority h, :path without an entry */
	uint8_t block[] = { 0x82, 0x86, 0x41, 1, 'h', 0x04, 4, '/', 0, 0, 0 };

	block[8] = (uint8_t)('0' + stream / 100 % 10);
	block[9] = (uint8_t)('0' + stream / 10 % 10);
	block[10] = (uint8_t)('0' + stream % 10);
	frame(t, 1, 5, stream, block, sizeof(block), sizeof(block));
}

/* 200, and a body in frames of at most 16384 bytes, of which nothing is shown. */
static void answer(struct talk *t, uint32_t stream, uint32_t body)
{
	frame(t, 1, 4, stream, (uint8_t[]){ 0x88 }, 1, 1);
	while (body > 16384) {
		frame(t, 0, 0, stream, NULL, 16384, 0);
		body -= 16384;
	}
	frame(t, 0, 1, stream, NULL, body, 0);
}

static void start(struct feed *f, unsigned streams)
{
	asked.n = said.n = 0;
	asked.n_parts = said.n_parts = 0;
	memcpy(asked.b, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
	show(&asked, 0, 24);
	asked.n = 24;
	frame(&asked, 4, 0, 0, "", 0, 0);
	for (unsigned i = 0; i < streams; i++)
		ask(&asked, 2 * i + 1);
	feed__accept(f, CONN, PID, TID, 40001, 80);
	feed__parts(f, CONN, PID, TID, WEFT_IN, asked.b, asked.n, asked.parts, asked.n_parts);
	frame(&said, 4, 0, 0, "\0\3\0\0\0\144", 6, 6);
}

static void tell(struct feed *f)
{
	feed__parts(f, CONN, PID, TID, WEFT_OUT, said.b, said.n, said.parts, said.n_parts);
	said.n = 0;
	said.n_parts = 0;
}

/* Each stream one span, with its path and status 200; `from` and on, where others were lost. */
static void expect_streams(struct feed *f, unsigned from, unsigned streams)
{
	feed__finish(f);
	cr_expect_eq(f->n_spans, streams);
	for (unsigned i = from; i < streams; i++) {
		char path[8];

		snprintf(path, sizeof(path), "/%03u", 2 * i + 1);
		struct span *s = feed__span(f, SPAN_SERVER, "url.path", path);
		const struct attr *status = s ? span__attr(s, "http.response.status_code") : NULL;

		cr_expect(status && status->i == 200, "stream %u", 2 * i + 1);
	}
}

Test(parts, policy_asks_for_frames)
{
	struct feed *f = feed__new();

	start(f, 1);
	cr_expect_eq(f->conns[CONN].policy.frames, WEFT_FRAMES);
	cr_expect_eq(conns__initial_policy.frames, WEFT_FRAMES_IF_BEGUN);
	feed__connect(f, CONN + 1, PID, TID, 40002, 80);
	feed__write(f, CONN + 1, PID, TID, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	cr_expect(f->conns[CONN + 1].policy.call_cap[0] &&
			  f->conns[CONN + 1].policy.frames == WEFT_FRAMES_NOT,
		  "other protocols have none");
	feed__free(f);
}

Test(parts, answers_behind_large_bodies)
{
	struct feed *f = feed__new();

	start(f, 60);
	for (unsigned i = 0; i < 60; i++)
		answer(&said, 2 * i + 1, 8192);
	tell(f);
	expect_streams(f, 0, 60);
	cr_expect_eq(f->books.dropped[DROP_LOST_BYTES], 0);
	feed__free(f);
}

/* A body goes on over calls of which nothing is shown, and the next frame lies in the last. */
Test(parts, body_over_several_calls)
{
	struct feed *f = feed__new();
	uint32_t at, size;

	start(f, 2);
	answer(&said, 1, 16384);
	size = said.n;
	at = said.parts[0].len + 100;
	answer(&said, 3, 300);
	feed__parts(f, CONN, PID, TID, WEFT_OUT, said.b, at, said.parts, 1);
	for (; at + 1000 < size; at += 1000)
		feed__parts(f, CONN, PID, TID, WEFT_OUT, said.b + at, 1000, NULL, 0);
	struct weft_part last = { said.parts[1].off - at, said.parts[1].len };

	feed__parts(f, CONN, PID, TID, WEFT_OUT, said.b + at, said.n - at, &last, 1);
	expect_streams(f, 0, 2);
	cr_expect_eq(f->books.dropped[DROP_LOST_BYTES], 0);
	feed__free(f);
}

/* Behind lost events, the first part that is shown is a frame: nothing need be looked for. */
Test(parts, begin_again_behind_a_loss)
{
	struct feed *f = feed__new();

	start(f, 20);
	for (unsigned i = 0; i < 10; i++)
		answer(&said, 2 * i + 1, 8192);
	feed__skip(f, CONN, WEFT_OUT, said.n); /* not even SETTINGS was seen */
	said.n = 0;
	said.n_parts = 0;
	/*
	 * The rest of a body, then answers, each followed by a frame of a type that is not known:
	 * by themselves they prove too little.
	 */
	said.n = 500;
	memset(said.b, 0xee, said.n);
	for (unsigned i = 10; i < 20; i++) {
		frame(&said, 1, 5, 2 * i + 1, (uint8_t[]){ 0x88 }, 1, 1);
		frame(&said, 0x20, 0, 0, NULL, 5000, 0);
	}
	tell(f);
	expect_streams(f, 10, 20);
	feed__free(f);
}

/* A responder that greets first allows frames of 20000 bytes, and the first request has one. */
Test(parts, large_frames_from_the_first_call_on)
{
	struct feed *f = feed__new();

	feed__accept(f, CONN, PID, TID, 40001, 80);
	said.n = 0;
	said.n_parts = 0;
	frame(&said, 4, 0, 0, "\0\5\0\0\x4e\x20", 6, 6);
	tell(f);
	asked.n = 24;
	asked.n_parts = 0;
	memcpy(asked.b, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
	show(&asked, 0, 24);
	frame(&asked, 4, 0, 0, "", 0, 0);
	ask(&asked, 1);
	frame(&asked, 0, 1, 1, NULL, 20000, 0);
	ask(&asked, 3);
	feed__parts(f, CONN, PID, TID, WEFT_IN, asked.b, asked.n, asked.parts, asked.n_parts);
	answer(&said, 1, 10);
	answer(&said, 3, 10);
	tell(f);
	expect_streams(f, 0, 2);
	cr_expect_eq(f->books.dropped[DROP_LOST_BYTES], 0);
	feed__free(f);
}

/* A part that is no frame, though it should be one: looked for as behind any gap. */
Test(parts, that_begin_with_no_frame)
{
	struct feed *f = feed__new();

	start(f, 3);
	feed__skip(f, CONN, WEFT_OUT, 1000);
	memset(said.b, 0xff, 2000);
	said.n = 2000;
	said.n_parts = 1;
	said.parts[0] = (struct weft_part){ 100, 50 };
	tell(f);
	feed__finish(f);
	for (unsigned i = 0; i < f->n_spans; i++)
		cr_expect_null(span__attr(f->spans[i], "http.response.status_code"));
	feed__free(f);
}

// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>

#include "flow.h"

#define DETECT_BYTES_MAX (16 * 1024) /* of one direction, while the protocol is unknown */

struct engine *engine__new(uint64_t wanted, const struct exchange_sink *sink, const struct policy_sink *policy,
			   struct balance *books)
{
	struct engine *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->wanted = wanted;
	e->sink = *sink;
	e->policy = *policy;
	e->books = books;
	return e;
}

void engine__stop(struct engine *e)
{
	e->stopping = true;
}

void engine__free(struct engine *e)
{
	free(e);
}

/* What is buffered or half done and in no begun exchange will never be in a span. */
static void let_go(struct flow *f, enum drop_reason why)
{
	for (int dir = 0; dir < 2; dir++) {
		struct half *h = &f->half[dir];

		balance__drop(f->engine->books, why, half__consume(h, h->len));
		if (f->proto)
			exchange__ignore(f, h, why);
		h->skip = 0;
		h->searching = false;
		free(h->buf);
		h->buf = NULL;
		h->cap = 0;
	}
}

void flow__set_policy(struct flow *f, const struct weft_policy *policy)
{
	const struct policy_sink *s = &f->engine->policy;

	if (s->fn)
		s->fn(s->ctx, f->conn, policy);
}

void flow__off(struct flow *f, enum drop_reason why)
{
	if (f->phase == FLOW_OFF)
		return;
	if (f->proto)
		exchange__give_up(f, UINT64_MAX, 0, f->now);
	let_go(f, why);
	f->phase = FLOW_OFF;
	f->off_reason = why;
	flow__set_policy(f, &(struct weft_policy){ .off = 1 });
}

static void on_open(void *ctx, struct conn *c)
{
	struct engine *e = ctx;
	struct flow *f = calloc(1, sizeof(*f));

	c->flow = f;
	if (f) {
		f->engine = e;
		f->conn = c;
		f->last_dir = -1;
		list__init(&f->pending);
	}
}

/*
 * A call in one direction after calls in the other: a new turn. Where bytes were lost, this is where order returns: what was
 * asked before the turn that lost them can no longer be answered for certain.
 */
static void new_turn(struct flow *f, enum weft_dir dir)
{
	struct half *h = &f->half[dir];

	if (f->phase == FLOW_ON) {
		half__end_rest(f, !dir);
		half__end_rest(f, dir);
	}
	f->turn++;
	h->wait_fresh = false;
	if (f->phase == FLOW_DETECT) {
		/* Undecided bytes of an earlier turn are not the beginning of what comes now. */
		balance__drop(f->engine->books, DROP_MID_STREAM, half__consume(h, h->len));
		return;
	}
	if (h->searching) /* looking for a boundary starts anew */
		balance__drop(f->engine->books, DROP_LOST_BYTES, half__consume(h, h->len));
	if (f->proto->keyed) {
		f->unsure = false; /* an answer says itself what it answers */
		return;
	}
	if (dir == f->req_dir) {
		if (f->unsure && f->unsure_turn < f->turn) {
			exchange__give_up(f, f->turn, EXCHANGE_LOST_BYTES, f->now);
			f->unsure = false;
		}
		return;
	}
	if (f->unsure && f->unsure_turn + 1 >= f->turn) {
		exchange__give_up(f, UINT64_MAX, EXCHANGE_LOST_BYTES, f->now);
		return;
	}
	if (f->unsure || h->searching) {
		exchange__give_up(f, f->turn - 1, EXCHANGE_LOST_BYTES, f->now);
		f->unsure = false;
		if (h->searching && h->m && !h->x)
			exchange__ignore(f, h, DROP_LOST_BYTES);
	}
}

static void feed(struct flow *f, enum weft_dir dir, const struct piece *p, bool fresh)
{
	struct half *h = &f->half[dir];
	struct piece rest = *p;

	while (rest.len && f->phase == FLOW_ON && (h->rest || (h->skip && !h->len))) {
		uint32_t n = half__pass(f, dir, &rest);

		rest.data += n;
		rest.pos += n;
		rest.len -= n;
		rest.call_begin = false;
	}
	if (!rest.len)
		return;
	if (f->phase == FLOW_OFF || !half__append(h, &rest, f->calls, fresh)) {
		if (p->event_end)
			balance__drop(f->engine->books, f->phase == FLOW_OFF ? f->off_reason : DROP_NO_MEMORY, 1);
		if (f->phase == FLOW_ON)
			flow__off(f, DROP_NO_MEMORY);
		return;
	}
	if (f->phase == FLOW_ON)
		half__run(f, dir, false);
}

/* The protocol is not known yet. */
static void feed_unknown(struct flow *f, enum weft_dir dir, const struct piece *p, bool fresh)
{
	struct half *h = &f->half[dir];

	if (!p->data || h->wait_fresh || h->len + p->len > DETECT_BYTES_MAX || !half__append(h, p, f->calls, fresh)) {
		balance__drop(f->engine->books, DROP_UNKNOWN_PROTOCOL, half__consume(h, h->len) + p->event_end);
		h->wait_fresh = true;
		return;
	}
	flow__detect(f, dir);
}

static void on_piece(void *ctx, struct conn *c, enum weft_dir dir, const struct piece *p)
{
	struct engine *e = ctx;
	struct flow *f = c->flow;
	bool fresh = false;

	if (!f || f->phase == FLOW_OFF) {
		if (p->event_end)
			balance__drop(e->books, f ? f->off_reason : DROP_NO_MEMORY, 1);
		return;
	}
	f->now = p->ts;
	if (p->call_begin) {
		f->calls++;
		fresh = f->last_dir != (int)dir;
		f->last_dir = dir;
		if (fresh)
			new_turn(f, dir);
	}
	if (f->phase == FLOW_DETECT)
		feed_unknown(f, dir, p, fresh);
	else if (p->data)
		feed(f, dir, p, fresh);
	else
		half__missing(f, dir, p);
}

static void on_eof(void *ctx, struct conn *c, enum weft_dir dir, uint64_t ts)
{
	struct flow *f = c->flow;

	(void)ctx;
	(void)ts;
	if (f && f->phase == FLOW_ON)
		half__eof(f, dir);
}

static void on_close(void *ctx, struct conn *c, uint64_t ts)
{
	struct flow *f = c->flow;

	(void)ctx;
	if (!f)
		return;
	if (f->phase == FLOW_ON) {
		/* A responder that closes has said all it wanted to say. */
		if (f->req_dir == WEFT_IN && !conn__third_party(c) && !f->engine->stopping)
			half__eof(f, WEFT_OUT);
		unsigned why = f->engine->stopping ? EXCHANGE_STOPPED : EXCHANGE_RESET;

		/* An answer that may have passed unseen is not missing. */
		if (f->unsure || f->half[!f->req_dir].searching)
			why |= EXCHANGE_LOST_BYTES;
		exchange__give_up(f, UINT64_MAX, why, ts);
	}
	let_go(f, f->phase == FLOW_DETECT ? DROP_UNKNOWN_PROTOCOL : f->proto ? DROP_MID_STREAM : f->off_reason);
	for (int dir = 0; dir < 2; dir++)
		half__free(&f->half[dir], f->proto);
	if (f->proto && f->proto->fini)
		f->proto->fini(f->state);
	free(f->state);
	free(f);
	c->flow = NULL;
}

struct conn_sink engine__conn_sink(struct engine *e)
{
	return (struct conn_sink){ .ctx = e, .open = on_open, .piece = on_piece, .eof = on_eof, .close = on_close };
}

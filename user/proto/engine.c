// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>

#include "flow.h"
#include "tls.h"

#define DETECT_BYTES_MAX (16 * 1024) /* of one direction, while the protocol is unknown */
/* With nothing outstanding that is known, and this long without a byte: nothing is outstanding. */
#define QUIET_NS (1000ull * 1000 * 1000)
#define STEADY_TURNS 3

struct engine *engine__new(uint64_t wanted, const struct exchange_sink *sink,
			   const struct policy_sink *policy, struct balance *books)
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
		h->searching = h->rest = false;
	}
}

static void on_fields(void *ctx, struct conn *c, const struct weft_event *ev)
{
	(void)ctx;
	if (c->flow)
		flow__told(c->flow, ev);
}

void flow__set_policy(struct flow *f, const struct weft_policy *policy)
{
	const struct policy_sink *s = &f->engine->policy;

	f->policy = *policy;
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
	flow__early_fields(f);
	f->off_reason = why;
	flow__set_policy(f, &(struct weft_policy){ .off = 1 });
}

/* The protocol goes; what is buffered stays. */
static void end_protocol(struct flow *f)
{
	exchange__give_up(f, UINT64_MAX, 0, f->now);
	for (int dir = 0; dir < 2; dir++) {
		struct half *h = &f->half[dir];

		exchange__ignore(f, h, DROP_CONTROL);
		h->skip = 0;
		h->searching = h->wait_fresh = h->rest = false;
	}
	if (f->proto->fini)
		f->proto->fini(f->state);
	free(f->state);
	f->state = NULL;
	f->proto = NULL;
	f->phase = FLOW_DETECT;
	f->unsure = f->overlaps = f->one_ways = false;
}

static void detect_buffered(struct flow *f)
{
	for (int dir = 0; dir < 2 && f->phase == FLOW_DETECT; dir++)
		if (f->half[dir].len)
			flow__detect(f, dir);
}

void flow__leave(struct flow *f)
{
	end_protocol(f);
	f->left = true;
	detect_buffered(f);
}

void flow__switch(struct flow *f)
{
	end_protocol(f);
	detect_buffered(f);
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
		f->whole = !conn__preopen(c);
		list__init(&f->pending);
	}
}

/*
 * Are requests and answers in step again, as far as can be seen while nothing is paired? Where a
 * request can be reported after its answer, several turns must have gone by in which as many
 * answers came as requests.
 */
static bool in_step(struct flow *f)
{
	const struct half *resp = &f->half[!f->req_dir];
	bool drained = list__empty(&f->pending) && f->now - f->before >= QUIET_NS;

	f->steady = f->ahead == f->ahead_before ? f->steady + 1 : 0;
	f->ahead_before = f->ahead;
	if (f->unsure_turn >= f->turn || (f->overlaps && !drained))
		return false;
	return !flow__reported_late(f) ||
	       (f->steady >= STEADY_TURNS && !resp->len && !resp->searching);
}

/*
 * The requester begins a turn: does first in, first out hold again? What is still open then will
 * not be answered for certain.
 */
static void order_again(struct flow *f)
{
	struct half *resp = &f->half[!f->req_dir];

	if (!f->unsure || !in_step(f))
		return;
	exchange__give_up(f, f->turn, EXCHANGE_LOST_BYTES, f->now);
	f->unsure = false;
	/* What the responder has begun to say answers something older. */
	resp->nobody |= resp->len || resp->partial || resp->skip || resp->searching;
}

/* Bytes in one direction after bytes in the other: a new turn. */
static void new_turn(struct flow *f, enum weft_dir dir)
{
	struct half *h = &f->half[dir];

	f->turn++;
	f->last_dir = dir;
	if (f->phase == FLOW_DETECT) {
		/* Undecided bytes of an earlier turn are not the beginning of what comes now. */
		if (h->len || h->wait_fresh)
			f->whole = false;
		balance__drop(f->engine->books, DROP_MID_STREAM, half__consume(h, h->len));
		h->wait_fresh = false;
		return;
	}
	half__end_rest(f, !dir);
	if (dir == f->req_dir)
		order_again(f);
}

static void feed(struct flow *f, enum weft_dir dir, const struct piece *p, bool fresh)
{
	struct half *h = &f->half[dir];
	struct piece rest = *p;

	if (half__absorb(f, dir, p))
		return;
	while (rest.len && f->phase == FLOW_ON && h->skip && !h->len) {
		uint32_t n = half__pass(f, dir, &rest);

		rest.data += n;
		rest.pos += n;
		rest.len -= n;
		rest.call_begin = rest.framed = false;
	}
	if (!rest.len)
		return;
	if (f->phase == FLOW_OFF || !half__append(h, &rest, f->calls, fresh)) {
		if (p->event_end)
			balance__drop(f->engine->books,
				      f->phase == FLOW_OFF ? f->off_reason : DROP_NO_MEMORY, 1);
		if (f->phase == FLOW_ON)
			flow__off(f, DROP_NO_MEMORY);
		return;
	}
	if (f->phase == FLOW_ON)
		half__run(f, dir, false);
	/* An answer may have waited for this request. */
	if (f->phase == FLOW_ON && dir == f->req_dir && f->half[!dir].len &&
	    !list__empty(&f->pending))
		half__run(f, !dir, false);
}

/* The protocol is not known yet. */
static void feed_unknown(struct flow *f, enum weft_dir dir, const struct piece *p, bool fresh)
{
	struct half *h = &f->half[dir];

	if (f->left && !p->data) {
		flow__off(f, DROP_CONTROL);
		balance__drop(f->engine->books, DROP_CONTROL, p->event_end);
		return;
	}
	/* The next turn need not be waited for. */
	if (h->wait_fresh && p->call_begin && p->data && tls__detect(p->data, p->len) == DETECT_REQ)
		h->wait_fresh = false;
	if (!p->data || h->wait_fresh || h->len + p->len > DETECT_BYTES_MAX ||
	    !half__append(h, p, f->calls, fresh)) {
		balance__drop(f->engine->books, DROP_UNKNOWN_PROTOCOL,
			      half__consume(h, h->len) + p->event_end);
		h->wait_fresh = true;
		f->whole = false;
		return;
	}
	flow__detect(f, dir);
}

/* Do header fields have to be asked for, or not any more? */
static void ask_for_fields(struct flow *f)
{
	struct weft_policy policy = f->policy;

	if (f->phase != FLOW_ON || !f->proto->wants_fields)
		return;
	policy.fields = 0;
	for (int dir = 0; dir < 2; dir++)
		if (f->proto->wants_fields(f->state, flow__role(f, dir)))
			policy.fields |= (uint8_t)(1u << dir);
	if (policy.fields != f->policy.fields)
		flow__set_policy(f, &policy);
}

static void on_piece(void *ctx, struct conn *c, enum weft_dir dir, const struct piece *p)
{
	struct engine *e = ctx;
	struct flow *f = c->flow;

	if (!f || (f->phase == FLOW_OFF && !flow__tls_in_clear(f, p))) {
		if (p->event_end)
			balance__drop(e->books, f ? f->off_reason : DROP_NO_MEMORY, 1);
		return;
	}
	f->before = f->now;
	f->now = p->ts;
	bool turn = f->last_dir != (int)dir, fresh = turn && p->call_begin;

	if (turn || p->call_begin || p->lost)
		f->calls++;
	if (f->phase == FLOW_TLS) {
		flow__tls_piece(f, dir, p);
		return;
	}
	if (turn)
		new_turn(f, dir);
	if (f->phase == FLOW_ON && dir == f->req_dir)
		f->asked_call = f->calls;
	if (f->phase == FLOW_ON && fresh)
		half__fresh(f, dir);
	if (f->phase == FLOW_DETECT)
		feed_unknown(f, dir, p, fresh);
	else if (p->data)
		feed(f, dir, p, fresh);
	else
		half__missing(f, dir, p);
	ask_for_fields(f);
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
	let_go(f, f->phase == FLOW_DETECT ? DROP_UNKNOWN_PROTOCOL
		  : f->proto              ? DROP_MID_STREAM
					  : f->off_reason);
	for (int dir = 0; dir < 2; dir++)
		half__free(&f->half[dir], f->proto);
	if (f->proto && f->proto->fini)
		f->proto->fini(f->state);
	free(f->state);
	f->phase = FLOW_OFF;
	flow__early_fields(f);
	free(f);
	c->flow = NULL;
}

struct conn_sink engine__conn_sink(struct engine *e)
{
	return (struct conn_sink){
		.ctx = e,
		.open = on_open,
		.piece = on_piece,
		.fields = on_fields,
		.eof = on_eof,
		.close = on_close,
	};
}

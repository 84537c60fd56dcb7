// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One direction of a flow: the bytes that wait, the bytes that are skipped, the bytes that are
 * missing, and the loop that shows them to the parser.
 */
#include <string.h>

#include "../lib/block.h"
#include "flow.h"

#define BUFFER_MIN 512
#define MARKS_MIN 4
/* messages that end without bytes, in a row: more is a parser that does not end */
#define ZERO_STEPS_MAX 8192
#define STRIKES_MAX 8 /* parse errors in a row until the flow is let go */
/*
 * How long, and how much of, an answer waits for its request, which another thread's call may
 * report later.
 */
#define PARK_NS (100ull * 1000 * 1000)
#define PARK_BYTES (16 * 1024)

/*
 * Most of the time a connection has nothing waiting, and many are open: what is empty is given back,
 * to be the next one's.
 */
static void give_back(struct half *h)
{
	if (!h->len) {
		block__put(h->buf, h->cap);
		h->buf = NULL;
		h->off = h->cap = 0;
	}
	if (!h->n_marks) {
		block__put(h->marks, h->cap_marks * sizeof(*h->marks));
		h->marks = NULL;
		h->cap_marks = 0;
	}
}

static bool reserve(struct half *h, size_t n)
{
	if (h->off + h->len + n <= h->cap)
		return true;
	if (h->off) {
		memmove(h->buf, h->buf + h->off, h->len);
		h->off = 0;
	}
	if (h->len + n <= h->cap)
		return true;
	size_t cap = h->cap ? h->cap : BUFFER_MIN;

	while (cap < h->len + n)
		cap *= 2;
	uint8_t *buf = block__get(cap);

	if (!buf)
		return false;
	if (h->len)
		memcpy(buf, h->buf, h->len);
	block__put(h->buf, h->cap);
	h->buf = buf;
	h->cap = cap;
	return true;
}

static bool reserve_mark(struct half *h)
{
	if (h->n_marks < h->cap_marks)
		return true;
	size_t cap = h->cap_marks ? h->cap_marks * 2 : MARKS_MIN;
	struct mark *marks = block__get(cap * sizeof(*marks));

	if (!marks)
		return false;
	if (h->n_marks)
		memcpy(marks, h->marks, h->n_marks * sizeof(*marks));
	block__put(h->marks, h->cap_marks * sizeof(*marks));
	h->marks = marks;
	h->cap_marks = cap;
	return true;
}

bool half__append(struct half *h, const struct piece *p, uint64_t call, bool fresh)
{
	if (!reserve_mark(h) || !reserve(h, p->len)) {
		give_back(h);
		return false;
	}
	if (!h->len)
		h->pos = p->pos;
	memcpy(h->buf + h->off + h->len, p->data, p->len);
	h->len += p->len;
	h->marks[h->n_marks++] = (struct mark){
		.start = p->pos,
		.end = p->pos + p->len,
		.ts = p->ts,
		.pid = p->pid,
		.tid = p->tid,
		.call = call,
		.fresh = fresh && p->call_begin,
		.ends_call = p->call_end,
		.framed = p->framed,
		.events = p->event_end,
	};
	return true;
}

uint64_t half__consume(struct half *h, size_t n)
{
	uint64_t events = 0;
	size_t gone = 0;

	if (!n)
		return 0;
	h->off += n;
	h->len -= n;
	h->pos += n;
	while (gone < h->n_marks && h->marks[gone].start < h->pos) {
		h->last = h->marks[gone];
		if (h->marks[gone].end > h->pos)
			break;
		events += h->marks[gone++].events;
	}
	h->n_marks -= gone;
	if (h->n_marks)
		memmove(h->marks, h->marks + gone, h->n_marks * sizeof(*h->marks));
	if (!h->len)
		give_back(h);
	return events;
}

/* Events of bytes that belong to the message under way. */
static void book(struct half *h, enum proto_dir role, uint64_t events)
{
	if (role == PROTO_REQ && h->x)
		h->x->events += events;
	else
		h->m_events += events;
}

static void moved(struct flow *f, struct half *h, enum proto_dir role)
{
	if (h->x && h->x->begun)
		f->engine->sink.moved(f->engine->sink.ctx, h->x, role, h->last.tid, h->last.ts);
}

static void finish(struct flow *f, struct half *h, enum proto_dir role, enum message_state what)
{
	switch (what) {
	case MESSAGE_PARTIAL: break;
	case MESSAGE_HEAD:
		if (role == PROTO_REQ)
			exchange__begin(f, h);
		break;
	case MESSAGE_DONE:
		if (role == PROTO_REQ)
			exchange__request_done(f, h);
		else
			exchange__response_done(f, h);
		break;
	case MESSAGE_IGNORE: exchange__ignore(f, h, DROP_CONTROL); break;
	case MESSAGE_PART: exchange__part(f, h, role); break;
	case MESSAGE_ANSWER: exchange__response_done(f, h); break;
	}
}

/* Does it begin, or go on with, a request? */
static bool asks(enum message_state what)
{
	return what == MESSAGE_PARTIAL || what == MESSAGE_HEAD || what == MESSAGE_DONE;
}

static void discard(struct flow *f, struct half *h, size_t n, enum drop_reason why)
{
	balance__drop(f->engine->books, why, half__consume(h, n));
}

/* What a gap in the requester's bytes means for what is asked behind it. */
static void lose_requests(struct flow *f, struct half *h, bool certain)
{
	struct exchange *last = list__empty(&f->pending)
					? NULL
					: LIST_OF(f->pending.prev, struct exchange, link);

	/* Commands of the same call may be among them: the batch is not whole. */
	if (f->proto->batches && last && last->call == f->calls)
		last->flags |= EXCHANGE_LOST_BYTES;
	if (h->rest)
		return;
	h->made_unsure = !certain && !f->unsure;
	flow__doubt(f, f->turn);
}

/*
 * Bytes of unknown meaning are missing: from here on no message boundary is known. `certain`:
 * events were lost, how many messages with them and of which turns nobody knows; else it is a place
 * in one call that was not captured.
 */
static void lose(struct flow *f, struct half *h, enum proto_dir role, bool certain)
{
	f->whole = false;
	if (h->x && certain)
		h->x->flags |= EXCHANGE_LOST_BYTES;
	h->rest = h->m && h->m->fills_turn && !h->searching && !certain;
	h->searching = !h->rest;
	if (!flow__ordered(f))
		return;
	if (role == PROTO_REQ) {
		lose_requests(f, h, certain);
	} else if (certain) {
		exchange__give_up(f, UINT64_MAX, EXCHANGE_LOST_BYTES, f->now);
		flow__doubt(f, f->turn);
	} else {
		exchange__risk(f);
	}
}

static void strike(struct flow *f, struct half *h, enum proto_dir role)
{
	if (++f->strikes > STRIKES_MAX) {
		flow__off(f, DROP_BROKEN);
		return;
	}
	discard(f, h, h->len, DROP_BROKEN);
	lose(f, h, role, true);
	h->wait_fresh = true;
}

void half__end_rest(struct flow *f, enum weft_dir dir)
{
	struct half *h = &f->half[dir];

	if (f->phase != FLOW_ON || !h->rest)
		return;
	h->rest = false;
	if (h->x)
		h->x->flags |= EXCHANGE_LOST_BYTES;
	if (dir != f->req_dir) {
		if (h->x)
			h->x->at_risk = false;
		finish(f, h, PROTO_RESP, MESSAGE_DONE);
		if (flow__ordered(f))
			exchange__settle_risk(f, false);
		return;
	}
	finish(f, h, PROTO_REQ, MESSAGE_DONE);
	/* What was asked further in this turn is not known; its answers are nobody's. */
	if (flow__ordered(f))
		flow__doubt(f, f->turn);
}

bool half__absorb(struct flow *f, enum weft_dir dir, const struct piece *p)
{
	struct half *h = &f->half[dir];

	if (f->phase != FLOW_ON || !h->rest)
		return false;
	h->pos = p->pos + p->len;
	h->last = (struct mark){ .start = p->pos,
				 .end = h->pos,
				 .ts = p->ts,
				 .pid = p->pid,
				 .tid = p->tid,
				 .call = f->calls };
	book(h, flow__role(f, dir), p->event_end);
	moved(f, h, flow__role(f, dir));
	return true;
}

void half__fresh(struct flow *f, enum weft_dir dir)
{
	struct half *h = &f->half[dir];

	h->wait_fresh = false;
	if (h->searching)
		discard(f, h, h->len, f->seen_request ? DROP_LOST_BYTES : DROP_MID_STREAM);
}

static bool ensure_message(struct flow *f, struct half *h)
{
	if (!h->m)
		h->m = message__new(f->proto);
	return h->m;
}

static struct proto_in view(const struct half *h, bool gap_follows)
{
	return (struct proto_in){
		.data = h->buf + h->off,
		.len = h->len,
		.fresh = h->marks[0].fresh && h->marks[0].start == h->pos,
		.framed = h->marks[0].framed && h->marks[0].start == h->pos,
		.gap_follows = gap_follows,
		.call_end = h->marks[h->n_marks - 1].ends_call,
	};
}

/* Bytes in which no boundary was found: part of the message under way, if that has an exchange. */
static void pass_searched(struct flow *f, struct half *h, enum proto_dir role, size_t n)
{
	uint64_t events = half__consume(h, n);

	if (h->x && h->x->begun) {
		book(h, role, events);
		moved(f, h, role);
	} else {
		balance__drop(f->engine->books, f->seen_request ? DROP_LOST_BYTES : DROP_MID_STREAM,
			      events);
	}
}

/* A boundary was found: does the message under way go on, and what was lost? */
static void settle(struct flow *f, struct half *h, enum proto_dir role)
{
	bool resumed = h->m->resumed;

	h->searching = false;
	if (role == PROTO_REQ && resumed && h->made_unsure)
		f->unsure = false;
	h->made_unsure = false;
	if (!resumed)
		exchange__abandon_message(f, h, role);
	if (role == PROTO_RESP && flow__ordered(f))
		exchange__settle_risk(f, resumed);
}

/* Look for the next message boundary. True: found, the parser can go on. */
static bool search(struct flow *f, struct half *h, enum proto_dir role, bool gap_follows)
{
	struct proto_in in = view(h, gap_follows);

	h->m->resumed = false;
	ssize_t at = h->wait_fresh ? -1 : f->proto->resync(f->state, role, &in, h->m);

	if (at < 0 || (size_t)at > h->len) {
		/*
		 * The boundary may lie across the end of what is here: it is asked again, with what
		 * comes next.
		 */
		if (h->wait_fresh || gap_follows || h->len >= f->proto->buffer_cap)
			pass_searched(f, h, role, h->len);
		return false;
	}
	pass_searched(f, h, role, (size_t)at);
	settle(f, h, role);
	return true;
}

/* Take `n` bytes, all of which are buffered, into the message under way. */
static void take(struct flow *f, struct half *h, enum proto_dir role, size_t n,
		 enum message_state what)
{
	if (what != MESSAGE_IGNORE) {
		if (role == PROTO_REQ && asks(what) && !h->x && !h->nobody &&
		    !exchange__start(f, h)) {
			flow__off(f, DROP_NO_MEMORY);
			return;
		}
		if (role == PROTO_RESP)
			exchange__answer(f, h);
	}
	book(h, role, half__consume(h, n));
	h->partial = what == MESSAGE_PARTIAL || what == MESSAGE_HEAD;
	if (what != MESSAGE_IGNORE)
		moved(f, h, role);
}

/* One step of the parser. False: wait for more. */
static bool step(struct flow *f, struct half *h, enum proto_dir role, bool gap_follows,
		 unsigned *zero_steps)
{
	struct proto_in in = view(h, gap_follows);
	enum message_state what = MESSAGE_PARTIAL;
	ssize_t r = f->proto->parse(f->state, role, &in, h->m, &what);

	if (r == PARSE_SWITCH) {
		flow__switch(f);
		return false;
	}
	if (r == PARSE_LEAVE) {
		flow__leave(f);
		return false;
	}
	if (r < 0) {
		strike(f, h, role);
		return false;
	}
	if (r == 0) {
		if (what == MESSAGE_PARTIAL || ++*zero_steps > ZERO_STEPS_MAX) {
			if (h->len >= f->proto->buffer_cap || *zero_steps > ZERO_STEPS_MAX)
				strike(f, h, role);
			return false;
		}
		if (role == PROTO_RESP && what != MESSAGE_IGNORE)
			exchange__answer(f, h);
		finish(f, h, role, what);
		return true;
	}
	size_t n = (size_t)r < h->len ? (size_t)r : h->len;

	take(f, h, role, n, what);
	if (f->phase != FLOW_ON)
		return false;
	h->skip = (uint64_t)r - n;
	if (!h->skip)
		finish(f, h, role, what);
	else
		h->skip_what = what;
	return true;
}

/*
 * An answer to nothing that was asked, on a connection of which every byte was seen: the call that
 * wrote the request returned after the call, of another thread, that read the answer. It waits for
 * its request.
 */
static bool parked(const struct flow *f, const struct half *h, enum weft_dir dir, bool gap_follows)
{
	const struct mark *first = &h->marks[0], *last = &h->marks[h->n_marks - 1];

	return f->whole && dir != f->req_dir && flow__reported_late(f) && !f->proto->keyed &&
	       !f->proto->server_first && list__empty(&f->pending) && !gap_follows && !h->skip &&
	       !h->searching && !h->nobody && !h->partial && h->len <= PARK_BYTES &&
	       last->ts - first->ts <= PARK_NS;
}

void half__run(struct flow *f, enum weft_dir dir, bool gap_follows)
{
	struct half *h = &f->half[dir];
	unsigned zero_steps = 0;

	while (f->phase == FLOW_ON && h->len && !h->rest) {
		enum proto_dir role = flow__role(f, dir);

		if (parked(f, h, dir, gap_follows))
			return;
		if (!ensure_message(f, h)) {
			flow__off(f, DROP_NO_MEMORY);
			return;
		}
		if (h->skip) {
			size_t n = h->skip < h->len ? (size_t)h->skip : h->len;

			h->skip -= n;
			take(f, h, role, n, h->skip_what);
			if (!h->skip && f->phase == FLOW_ON)
				finish(f, h, role, h->skip_what);
			continue;
		}
		if (h->searching) {
			if (!search(f, h, role, gap_follows))
				return;
			continue;
		}
		if (!step(f, h, role, gap_follows, &zero_steps))
			break;
	}
	if (f->phase == FLOW_ON && dir == f->req_dir && !h->len)
		exchange__end_one_way(f);
}

uint32_t half__pass(struct flow *f, enum weft_dir dir, const struct piece *p)
{
	struct half *h = &f->half[dir];
	enum proto_dir role = flow__role(f, dir);
	uint32_t n = h->skip < p->len ? (uint32_t)h->skip : p->len;

	if (!n || h->len)
		return 0;
	h->skip -= n;
	h->pos = p->pos + n;
	h->last = (struct mark){ .start = p->pos,
				 .end = p->pos + n,
				 .ts = p->ts,
				 .pid = p->pid,
				 .tid = p->tid,
				 .call = f->calls };
	if (role == PROTO_RESP && h->skip_what != MESSAGE_IGNORE)
		exchange__answer(f, h);
	book(h, role, n == p->len && p->event_end);
	if (h->skip_what != MESSAGE_IGNORE)
		moved(f, h, role);
	if (!h->skip)
		finish(f, h, role, h->skip_what);
	return n;
}

/*
 * Events of the requester were lost, now or long ago: it was missed only when the next one came. A
 * request that began before may have been answered in between, so what is not yet known of it is
 * not made up, nor is it given an answer if its end is certain.
 */
static void lose_begun(struct flow *f, struct half *h)
{
	if (f->phase != FLOW_ON)
		return;
	if (flow__ordered(f))
		flow__doubt(f, f->turn);
	pass_searched(f, h, PROTO_REQ, h->len);
}

void half__missing(struct flow *f, enum weft_dir dir, const struct piece *p)
{
	struct half *h = &f->half[dir];
	struct piece rest = *p;

	if (half__absorb(f, dir, p))
		return;
	if (p->lost && dir == f->req_dir)
		lose_begun(f, h);
	else
		half__run(f, dir, true);
	for (;;) {
		uint32_t n = f->phase == FLOW_ON ? half__pass(f, dir, &rest) : 0;

		rest.pos += n;
		rest.len -= n;
		if (!rest.len)
			return;
		if (!n)
			break;
	}
	if (f->phase == FLOW_ON) {
		discard(f, h, h->len, DROP_LOST_BYTES);
		lose(f, h, flow__role(f, dir), p->lost);
		h->pos = rest.pos + rest.len;
		if (half__absorb(f, dir, &rest))
			return;
	}
	if (p->event_end) {
		if (h->x && h->x->begun)
			book(h, flow__role(f, dir), 1);
		else
			balance__drop(f->engine->books, DROP_LOST_BYTES, 1);
	}
}

void half__eof(struct flow *f, enum weft_dir dir)
{
	struct half *h = &f->half[dir];

	if (h->ended || f->phase != FLOW_ON)
		return;
	h->ended = true;
	half__run(f, dir, true);
	half__end_rest(f, dir);
	if (f->phase == FLOW_ON && h->m && !h->skip && !h->nobody && f->proto->eof) {
		enum message_state what = f->proto->eof(f->state, flow__role(f, dir), h->m);

		if (what == MESSAGE_DONE) {
			if (dir != f->req_dir)
				exchange__answer(f, h);
			finish(f, h, flow__role(f, dir), what);
		}
	}
	if (f->phase == FLOW_ON)
		discard(f, h, h->len, DROP_LOST_BYTES);
}

void half__free(struct half *h, const struct protocol *proto)
{
	h->len = h->n_marks = 0;
	give_back(h);
	if (h->m && !h->m_in_exchange)
		message__free(h->m, proto);
	*h = (struct half){ 0 };
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* Requests and responses paired into exchanges. */
#include <stdlib.h>

#include "flow.h"

/* Requests in flight on one connection, and requests in one batch; beyond, the oldest is given up. */
#define PENDING_MAX 4096
#define BATCH_MAX 1024

struct message *message__new(const struct protocol *proto)
{
	struct message *m = calloc(1, sizeof(*m) + proto->message_size);

	if (!m)
		return NULL;
	arena__init(&m->keep, MESSAGE_KEEP_MAX);
	m->ops = 1;
	m->data = m + 1;
	return m;
}

void message__free(struct message *m, const struct protocol *proto)
{
	if (!m)
		return;
	if (proto->message_fini)
		proto->message_fini(m->data);
	arena__reset(&m->keep);
	free(m);
}

void exchange__free(struct exchange *x)
{
	if (!x)
		return;
	for (size_t i = 0; i < x->n; i++) {
		message__free(x->reqs[i], x->proto);
		message__free(x->resps[i], x->proto);
	}
	free(x->reqs);
	free(x->resps);
	free(x);
}

bool exchange__start(struct flow *f, struct half *h)
{
	struct exchange *x = calloc(1, sizeof(*x));
	const struct mark *at = &h->marks[0];

	if (!x)
		return false;
	x->conn = f->conn;
	x->proto = f->proto;
	x->state = f->state;
	x->server = f->req_dir == WEFT_IN && !conn__third_party(f->conn);
	x->local_asks = f->req_dir == WEFT_OUT;
	x->req_start = at->ts;
	x->req_pos = (uint32_t)h->pos;
	x->first = (f->conn->open.h.flags & WEFT_F_POS) && f->conn->open.pos[f->req_dir] == x->req_pos;
	x->pid = at->pid;
	x->req_tid = at->tid;
	x->call = at->call;
	list__init(&x->link);
	h->x = x;
	h->m_in_exchange = false;
	return true;
}

/* Room for one more request and its answer: the arrays' size is the next power of two. */
static bool grow(struct exchange *x)
{
	if (x->n & (x->n - 1))
		return true;
	size_t cap = x->n ? x->n * 2 : 1;
	struct message **reqs = realloc(x->reqs, cap * sizeof(*reqs));

	if (!reqs)
		return false;
	x->reqs = reqs;
	struct message **resps = realloc(x->resps, cap * sizeof(*resps));

	if (!resps)
		return false;
	x->resps = resps;
	return true;
}

static bool add_request(struct exchange *x, struct message *m)
{
	if (!grow(x))
		return false;
	x->reqs[x->n] = m;
	x->resps[x->n] = NULL;
	x->n++;
	return true;
}

/* The exchange that this request joins because both came in one call, or NULL. */
static struct exchange *batch_of(struct flow *f, const struct exchange *x)
{
	if (!f->proto->batches || list__empty(&f->pending))
		return NULL;
	struct exchange *last = LIST_OF(f->pending.prev, struct exchange, link);

	return last->call == x->call && last->n_answered == 0 && last->n < BATCH_MAX ? last : NULL;
}

/* Let go of what the halves hold of x. A response under way goes with it: what was seen of it may be described. */
static void detach(struct flow *f, struct exchange *x)
{
	struct half *req = &f->half[f->req_dir], *resp = &f->half[!f->req_dir];

	if (req->x == x) {
		/* Answered before it was asked in full: the rest of the request goes into a message of its own. */
		req->x = NULL;
		req->m = NULL;
		req->m_in_exchange = false;
		req->done_early = true;
		x->req_end = req->last.ts;
	}
	if (resp->x == x) {
		resp->x = NULL;
		if (x->n_answered < x->n && resp->m) {
			x->resps[x->n_answered] = resp->m;
			x->events += resp->m_events;
			resp->m = NULL;
			resp->m_events = 0;
		}
	}
}

static void end(struct flow *f, struct exchange *x)
{
	list__remove(&x->link);
	f->n_pending--;
	detach(f, x);
	f->engine->sink.end(f->engine->sink.ctx, x);
}

void exchange__begin(struct flow *f, struct half *h)
{
	struct exchange *x = h->x;

	if (!x || x->begun || h->done_early)
		return;
	if (!add_request(x, h->m))
		return;
	h->m_in_exchange = true;
	if (f->n_pending >= PENDING_MAX) {
		struct exchange *oldest = LIST_OF(f->pending.next, struct exchange, link);

		oldest->flags |= EXCHANGE_NO_RESPONSE;
		end(f, oldest);
		f->unsure = true;
		f->unsure_turn = f->turn;
	}
	x->begun = true;
	x->turn = f->turn;
	f->seen_request = true;
	list__append(&f->pending, &x->link);
	f->n_pending++;
	f->engine->sink.begin(f->engine->sink.ctx, x, x->req_pos);
}

void exchange__request_done(struct flow *f, struct half *h)
{
	f->strikes = 0;
	if (h->done_early || !h->x) {
		exchange__ignore(f, h, DROP_CONTROL);
		return;
	}
	struct exchange *x = h->x, *batch = x->begun ? NULL : batch_of(f, x);

	if (batch && add_request(batch, h->m)) {
		batch->events += x->events;
		batch->req_end = h->last.ts;
		f->engine->sink.begin(f->engine->sink.ctx, batch, x->req_pos);
		free(x->reqs);
		free(x->resps);
		free(x);
	} else {
		exchange__begin(f, h);
		if (!x->begun) { /* out of memory */
			exchange__ignore(f, h, DROP_NO_MEMORY);
			return;
		}
		x->req_end = h->last.ts;
		x->turn = f->turn;
	}
	h->x = NULL;
	h->m = NULL;
	h->m_in_exchange = false;
}

void exchange__batch_lost(struct flow *f, struct half *h)
{
	if (!f->proto->batches || h != &f->half[f->req_dir] || list__empty(&f->pending))
		return;
	struct exchange *last = LIST_OF(f->pending.prev, struct exchange, link);

	if (last->call == f->calls)
		last->flags |= EXCHANGE_LOST_BYTES;
}

/* Requests that get no answer count as answered as soon as it is their turn. */
static void pass_one_way(struct exchange *x)
{
	while (x->n_answered < x->n && x->reqs[x->n_answered]->one_way)
		x->n_answered++;
}

void exchange__end_one_way(struct flow *f)
{
	LIST_EACH (it, tmp, &f->pending) {
		struct exchange *x = LIST_OF(it, struct exchange, link);

		if (f->half[f->req_dir].x == x)
			continue; /* still being asked */
		pass_one_way(x);
		if (x->n_answered < x->n)
			continue;
		if (!x->resp_end)
			x->resp_end = x->req_end;
		end(f, x);
	}
}

void exchange__abandon_message(struct flow *f, struct half *h, enum proto_dir role)
{
	if (role == PROTO_RESP && h->x) {
		h->x->flags |= EXCHANGE_CUT | EXCHANGE_LOST_BYTES;
		h->x->resp_end = h->last.ts;
		end(f, h->x); /* takes the message along */
	}
	if (h->m_in_exchange) { /* a request whose rest was lost, and that still waits for its answer */
		h->x->req_end = h->last.ts;
		h->x->flags |= EXCHANGE_LOST_BYTES;
		h->x = NULL;
		h->m = NULL;
		h->m_in_exchange = false;
	} else {
		exchange__ignore(f, h, DROP_LOST_BYTES);
	}
}

static struct exchange *by_key(struct flow *f, uint64_t key)
{
	LIST_EACH (it, tmp, &f->pending) {
		struct exchange *x = LIST_OF(it, struct exchange, link);

		if (x->reqs[0]->key == key)
			return x;
	}
	return NULL;
}

void exchange__answer(struct flow *f, struct half *h)
{
	if (h->x || (f->unsure && !f->proto->keyed))
		return;
	if (f->proto->keyed) {
		h->x = h->m->key ? by_key(f, h->m->key) : NULL;
	} else {
		exchange__end_one_way(f);
		h->x = list__empty(&f->pending) ? NULL : LIST_OF(f->pending.next, struct exchange, link);
	}
	if (h->x && !h->x->resp_start)
		h->x->resp_start = h->n_marks ? h->marks[0].ts : h->last.ts;
}

void exchange__response_done(struct flow *f, struct half *h)
{
	struct exchange *x = f->proto->keyed ? by_key(f, h->m->key) : h->x;

	f->strikes = 0;
	if (!x || x->n_answered >= x->n) {
		exchange__ignore(f, h, f->seen_request ? DROP_LOST_BYTES : DROP_MID_STREAM);
		return;
	}
	x->resps[x->n_answered++] = h->m;
	x->events += h->m_events;
	x->resp_end = h->last.ts;
	x->resp_tid = h->last.tid;
	if (!x->resp_start)
		x->resp_start = h->last.ts;
	h->m = NULL;
	h->m_events = 0;
	h->x = NULL;
	pass_one_way(x);
	if (x->n_answered < x->n)
		return;
	end(f, x);
	if (f->hidden_requests && !f->n_pending) {
		f->hidden_requests = false;
		f->unsure = true;
		f->unsure_turn = f->turn;
	}
}

void exchange__ignore(struct flow *f, struct half *h, enum drop_reason why)
{
	struct exchange *x = h->x;

	balance__drop(f->engine->books, why, h->m_events);
	h->m_events = 0;
	h->done_early = false;
	if (h->m_in_exchange) {
		/* Known as a request before and now withdrawn: only a broken parser does this; stay safe. */
		x->flags |= EXCHANGE_CUT;
		h->m = NULL;
		h->m_in_exchange = false;
		h->x = NULL;
		return;
	}
	message__free(h->m, f->proto);
	h->m = NULL;
	if (x && !x->begun) {
		balance__drop(f->engine->books, why, x->events);
		exchange__free(x);
	}
	h->x = NULL;
}

void exchange__give_up(struct flow *f, uint64_t before, unsigned flags, uint64_t ts)
{
	LIST_EACH (it, tmp, &f->pending) {
		struct exchange *x = LIST_OF(it, struct exchange, link);

		if (x->turn >= before)
			continue;
		x->flags |= flags | (x->resp_start ? EXCHANGE_CUT : EXCHANGE_NO_RESPONSE);
		/* It lasted until its end was clear; an answer that began lasted to its last byte, unless it still goes on. */
		if (!x->resp_start || (flags & EXCHANGE_STOPPED))
			x->resp_end = ts;
		else if (f->half[!f->req_dir].last.ts > x->resp_end)
			x->resp_end = f->half[!f->req_dir].last.ts;
		end(f, x);
	}
}

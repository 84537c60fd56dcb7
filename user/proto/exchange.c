// SPDX-License-Identifier: GPL-2.0-or-later
/* Requests and responses paired into exchanges. */
#include <stdlib.h>

#include "../lib/block.h"
#include "flow.h"

/*
 * Requests in flight on one connection, and requests in one batch; beyond, the oldest is given up.
 */
#define PENDING_MAX 4096
#define BATCH_MAX 1024

/* What most messages keep, behind each of them. */
#define KEEP_FIRST 320

static size_t message_size(const struct protocol *proto)
{
	return (sizeof(struct message) + proto->message_size + 7) & ~(size_t)7;
}

struct message *message__new(const struct protocol *proto)
{
	size_t size = message_size(proto);
	struct message *m = block__get(size + KEEP_FIRST);

	if (!m)
		return NULL;
	memset(m, 0, size);
	arena__init_in(&m->keep, MESSAGE_KEEP_MAX, (char *)m + size, KEEP_FIRST);
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
	block__put(m, message_size(proto) + KEEP_FIRST);
}

struct exchange *exchange__new(void)
{
	struct exchange *x = block__get(sizeof(*x));

	if (!x)
		return NULL;
	memset(x, 0, sizeof(*x));
	x->reqs = &x->one[0];
	x->resps = &x->one[1];
	list__init(&x->link);
	return x;
}

/* Without its messages. */
static void free_shell(struct exchange *x)
{
	if (x->reqs != &x->one[0])
		free(x->reqs);
	if (x->resps != &x->one[1])
		free(x->resps);
	block__put(x, sizeof(*x));
}

void exchange__free(struct exchange *x)
{
	if (!x)
		return;
	for (size_t i = 0; i < x->n; i++) {
		message__free(x->reqs[i], x->proto);
		message__free(x->resps[i], x->proto);
	}
	free_shell(x);
}

bool exchange__start(struct flow *f, struct half *h)
{
	struct exchange *x = exchange__new();
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
	x->first = (f->conn->open.h.flags & WEFT_F_POS) &&
		   f->conn->open.pos[f->req_dir] == x->req_pos;
	x->pid = at->pid;
	x->req_tid = at->tid;
	x->call = at->call;
	h->x = x;
	h->m_in_exchange = false;
	return true;
}

/* The array of n becomes twice as large; it begins as the one place at `first`. */
static bool enlarge(struct message ***array, struct message **first, size_t n)
{
	struct message **old = *array == first ? NULL : *array;
	struct message **larger = realloc(old, 2 * n * sizeof(*larger));

	if (!larger)
		return false;
	if (!old)
		*larger = *first;
	*array = larger;
	return true;
}

/* Room for one more request and its answer: the arrays' size is the next power of two. */
static bool grow(struct exchange *x)
{
	if (x->n == 0 || x->n & (x->n - 1))
		return true;
	return enlarge(&x->reqs, &x->one[0], x->n) && enlarge(&x->resps, &x->one[1], x->n);
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
	if (!f->proto->batches || f->unsure || list__empty(&f->pending))
		return NULL;
	struct exchange *last = LIST_OF(f->pending.prev, struct exchange, link);

	return last->call == x->call && last->n_answered == 0 && last->n < BATCH_MAX ? last : NULL;
}

/*
 * Let go of what the halves hold of x. A response under way goes with it: what was seen of it may
 * be described.
 */
static void detach(struct flow *f, struct exchange *x)
{
	struct half *req = &f->half[f->req_dir], *resp = &f->half[!f->req_dir];

	if (req->x == x) {
		/*
		 * Answered before it was asked in full: the rest of the request goes into a message
		 * of its own.
		 */
		req->x = NULL;
		req->m = NULL;
		req->m_in_exchange = false;
		req->nobody = true;
		req->rest = false;
		x->req_end = req->last.ts;
	}
	if (resp->x == x) {
		resp->x = NULL;
		resp->nobody = true;
		resp->rest = false;
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

/*
 * Too much is outstanding: nobody can be given an answer any more that comes from here on, but by
 * its key.
 */
static void too_many(struct flow *f)
{
	struct exchange *oldest = LIST_OF(f->pending.next, struct exchange, link);

	if (f->proto->keyed) {
		oldest->flags |= EXCHANGE_NO_RESPONSE;
		end(f, oldest);
		return;
	}
	exchange__give_up(f, UINT64_MAX, EXCHANGE_LOST_BYTES, f->now);
	flow__doubt(f, f->turn);
	f->overlaps = true;
	f->whole = false;
}

void exchange__begin(struct flow *f, struct half *h)
{
	struct exchange *x = h->x;

	if (!x || x->begun || h->nobody)
		return;
	if (!add_request(x, h->m))
		return;
	h->m_in_exchange = true;
	if (f->n_pending >= PENDING_MAX)
		too_many(f);
	x->begun = true;
	x->doubtful = f->unsure && flow__ordered(f);
	x->turn = f->turn;
	f->seen_request = true;
	list__append(&f->pending, &x->link);
	f->n_pending++;
	f->engine->sink.begin(f->engine->sink.ctx, x, x->req_pos);
}

/* The request has ended, in full or not. */
static void asked(struct flow *f, struct half *h, struct exchange *x)
{
	x->req_end = h->last.ts;
	x->turn = f->turn;
	x->done_call = h->last.call;
	h->x = NULL;
	h->m = NULL;
	h->m_in_exchange = false;
	if (!x->doubtful)
		return;
	x->flags |= EXCHANGE_NO_RESPONSE | EXCHANGE_LOST_BYTES;
	f->ahead++;
	end(f, x);
}

void exchange__request_done(struct flow *f, struct half *h)
{
	f->strikes = 0;
	if (h->nobody || !h->x) {
		exchange__ignore(f, h, DROP_CONTROL);
		return;
	}
	struct exchange *x = h->x, *batch = x->begun ? NULL : batch_of(f, x);

	f->one_ways |= h->m->one_way;
	if (batch && add_request(batch, h->m)) {
		batch->events += x->events;
		f->engine->sink.begin(f->engine->sink.ctx, batch, x->req_pos);
		free_shell(x);
		asked(f, h, batch);
		return;
	}
	exchange__begin(f, h);
	if (!x->begun) {
		/* Out of memory; its answer will come and must not be another's. */
		exchange__ignore(f, h, DROP_NO_MEMORY);
		flow__off(f, DROP_NO_MEMORY);
		return;
	}
	asked(f, h, x);
}

/* Requests that get no answer count as answered as soon as it is their turn. */
static bool complete(struct exchange *x)
{
	while (x->n_answered < x->n && x->reqs[x->n_answered]->one_way)
		x->n_answered++;
	return x->n_answered == x->n;
}

void exchange__end_one_way(struct flow *f)
{
	if (!f->one_ways)
		return;
	f->one_ways = false;
	LIST_EACH (it, tmp, &f->pending) {
		struct exchange *x = LIST_OF(it, struct exchange, link);
		bool asking = f->half[f->req_dir].x == x;

		if (asking || !complete(x)) {
			for (size_t i = x->n_answered; i < x->n; i++)
				f->one_ways |= x->reqs[i]->one_way;
			continue;
		}
		if (!x->resp_end)
			x->resp_end = x->req_end;
		end(f, x);
	}
}

struct exchange *exchange__by_key(const struct flow *f, uint64_t key)
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
	struct exchange *x = NULL;

	if (h->x || h->nobody)
		return;
	if (f->proto->keyed) {
		x = h->m->key ? exchange__by_key(f, h->m->key) : NULL;
	} else {
		exchange__end_one_way(f);
		/* Doubtful ones stand behind all others. */
		if (!list__empty(&f->pending))
			x = LIST_OF(f->pending.next, struct exchange, link);
	}
	if (!x || x->doubtful)
		return;
	h->x = x;
	if (!x->resp_start)
		x->resp_start = h->n_marks ? h->marks[0].ts : h->last.ts;
}

/*
 * An answer to nothing that is known. At the beginning of a connection that was open before, its
 * request was asked before weft came. Later its request was overlooked, or is still to come (two
 * threads, one socket): the next one is not asked for certain behind all others. A server that was
 * watched from the start may have spoken unasked.
 */
static void stray(struct flow *f, struct half *h)
{
	bool unasked = f->whole && f->req_dir == WEFT_IN;

	if (f->seen_request && !f->unsure && !unasked && flow__ordered(f) && !h->nobody)
		flow__doubt(f, f->turn + 1);
	if (!h->nobody)
		f->ahead--;
	if (f->req_dir == WEFT_IN && !unasked && f->engine->sink.strange_answer)
		f->engine->sink.strange_answer(f->engine->sink.ctx, h->last.pid, h->last.tid);
	exchange__ignore(f, h, f->seen_request ? DROP_LOST_BYTES : DROP_MID_STREAM);
}

void exchange__response_done(struct flow *f, struct half *h)
{
	struct exchange *x = f->proto->keyed && !h->nobody ? exchange__by_key(f, h->m->key) : h->x;

	f->strikes = 0;
	if (!x || complete(x)) {
		stray(f, h);
		return;
	}
	x->resps[x->n_answered++] = h->m;
	x->events += h->m_events;
	if (h->m->lost)
		x->flags |= EXCHANGE_LOST_BYTES;
	if (h->m->end_unseen) {
		x->flags |= EXCHANGE_CUT | EXCHANGE_LOST_BYTES;
		x->resp_end = x->resp_end ? x->resp_end : x->req_end;
	} else {
		x->resp_end = h->last.ts;
		x->resp_tid = h->last.tid;
	}
	if (!x->resp_start)
		x->resp_start = x->resp_end;
	h->m = NULL;
	h->m_events = 0;
	h->x = NULL;
	if (!complete(x))
		return;
	if (x->done_call && f->asked_call > x->done_call)
		f->overlaps = true;
	end(f, x);
}

void exchange__part(struct flow *f, struct half *h, enum proto_dir role)
{
	struct exchange *x = h->nobody ? NULL : exchange__by_key(f, h->m->key);

	f->strikes = 0;
	if (!x) {
		exchange__ignore(f, h, DROP_CONTROL);
		return;
	}
	x->events += h->m_events;
	h->m_events = 0;
	h->x = NULL;
	message__free(h->m, f->proto);
	h->m = NULL;
	if (role == PROTO_RESP) {
		x->resp_end = h->last.ts;
		return;
	}
	x->req_end = h->last.ts;
	f->engine->sink.moved(f->engine->sink.ctx, x, role, h->last.tid, h->last.ts);
}

void exchange__ignore(struct flow *f, struct half *h, enum drop_reason why)
{
	struct exchange *x = h->x;

	balance__drop(f->engine->books, why, h->m_events);
	h->m_events = 0;
	h->nobody = h->rest = false;
	if (h->m_in_exchange && x) {
		/*
		 * Known as a request before and now withdrawn: only a broken parser does this; stay
		 * safe.
		 */
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

static void give_up(struct flow *f, struct exchange *x, unsigned flags, uint64_t ts)
{
	x->flags |= flags | (x->resp_start ? EXCHANGE_CUT : EXCHANGE_NO_RESPONSE);
	/*
	 * It lasted until its end was clear; an answer that began lasted to its last byte, unless
	 * it still goes on.
	 */
	if (!x->resp_start || (flags & EXCHANGE_STOPPED))
		x->resp_end = ts;
	else if (f->half[!f->req_dir].last.ts > x->resp_end)
		x->resp_end = f->half[!f->req_dir].last.ts;
	end(f, x);
}

void exchange__abandon_message(struct flow *f, struct half *h, enum proto_dir role)
{
	if (role == PROTO_RESP && h->x)
		give_up(f, h->x, EXCHANGE_LOST_BYTES, h->last.ts); /* takes the message along */
	if (!h->m_in_exchange || !h->x) {
		exchange__ignore(f, h, f->seen_request ? DROP_LOST_BYTES : DROP_MID_STREAM);
		return;
	}
	/* A request whose rest was lost, and that still waits for its answer. */
	h->x->flags |= EXCHANGE_LOST_BYTES;
	asked(f, h, h->x);
}

void exchange__give_up(struct flow *f, uint64_t before, unsigned flags, uint64_t ts)
{
	LIST_EACH (it, tmp, &f->pending) {
		struct exchange *x = LIST_OF(it, struct exchange, link);

		if (x->turn < before)
			give_up(f, x, flags, ts);
	}
}

void exchange__risk(struct flow *f)
{
	/* Who asks twice without waiting may do it again. */
	if (f->n_pending > 1)
		f->overlaps = true;
	LIST_EACH (it, tmp, &f->pending)
		LIST_OF(it, struct exchange, link)->at_risk = true;
}

void exchange__settle_risk(struct flow *f, bool kept)
{
	bool all = !kept && f->overlaps;

	LIST_EACH (it, tmp, &f->pending) {
		struct exchange *x = LIST_OF(it, struct exchange, link);

		if (!kept && (x->at_risk || all))
			give_up(f, x, EXCHANGE_LOST_BYTES, f->now);
		else
			x->at_risk = false;
	}
	if (all)
		flow__doubt(f, f->turn);
}

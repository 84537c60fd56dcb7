// SPDX-License-Identifier: GPL-2.0-or-later
#include "mini_engine.h"

#include <stdlib.h>

#include "render.h"

#define SCRATCH_MAX (64 * 1024)

struct slot {
	struct message *m;
	bool done;      /* ended; for a request: there will be no more of it */
	bool headed;    /* MESSAGE_HEAD was said */
	bool consumed;  /* some of its bytes were taken */
	bool lost;      /* a gap lies in it */
	size_t call;    /* of its first byte */
	struct xchg *x; /* NULL: not paired yet */
	size_t index;   /* in x */
};

struct xchg {
	struct slot **req, **resp; /* n each; resp[i] NULL: not begun */
	size_t n;
	size_t paired;  /* responses before this one have begun, or will not come */
	bool batchable; /* all in one call */
	size_t call;
	bool closed;   /* described */
	bool begun;    /* keyed: a part of its response was seen */
	bool doubtful; /* outstanding when bytes of the responder were lost */
	unsigned flags;
	char *line; /* pseudo entries (leave, bad) have it from the start */
	struct xchg *next;
};

struct half {
	uint8_t *buf;
	size_t len, cap;
	bool buf_fresh; /* buf[0] began a turn */
	bool call_end;
	bool resync, wait_turn, ended;
	bool lost;     /* resync because bytes were lost, and not found again */
	bool rest;     /* message.fills_turn: what comes of this turn belongs to `now`, unseen */
	uint64_t skip; /* bytes to pass before `skip_what` takes effect */
	enum message_state skip_what;
	size_t call;      /* number of the call that is being fed */
	struct slot *now; /* message under way */
	/* Where calls begin in buf: a message's first byte says in which call it began. */
	struct {
		size_t pos, call;
	} * marks;
	size_t nmarks;
};

struct mini {
	const struct protocol *p;
	struct mini_shelf shelf;
	void *state;
	struct half half[2];
	struct xchg *first, **last;
	struct slot **slots;
	size_t nslots, count;
	int spoke; /* direction of the last call, -1 none */
	bool left;
	bool deaf; /* requests were lost: until the next turn responses may be theirs */
	const char *breach;
};

static void *need(void *p)
{
	if (!p)
		abort();
	return p;
}

static void breach(struct mini *e, const char *what)
{
	if (!e->breach)
		e->breach = what;
}

struct mini *mini__new(const struct protocol *p, bool mid, enum mini_place place)
{
	struct mini *e = need(calloc(1, sizeof(*e)));

	*e = (struct mini){ .p = p, .shelf = { .place = place }, .spoke = -1 };
	e->last = &e->first;
	e->state = need(calloc(1, p->state_size ? p->state_size : 1));
	if (p->init)
		p->init(e->state, mid);
	return e;
}

void mini__unsynced(struct mini *e, enum proto_dir dir)
{
	e->half[dir].resync = true;
}

/* ---- the bytes that wait ---- */

static void half__drop(struct half *h, size_t n)
{
	size_t keep = 0;

	if (!n)
		return;
	memmove(h->buf, h->buf + n, h->len - n);
	h->len -= n;
	h->buf_fresh = false;
	/* The mark that the first byte left lies behind stays, at position 0. */
	while (keep + 1 < h->nmarks && h->marks[keep + 1].pos <= n)
		keep++;
	if (h->nmarks) {
		memmove(h->marks, h->marks + keep, (h->nmarks - keep) * sizeof(*h->marks));
		h->nmarks -= keep;
		for (size_t i = 0; i < h->nmarks; i++)
			h->marks[i].pos = h->marks[i].pos > n ? h->marks[i].pos - n : 0;
	}
	if (!h->len)
		h->nmarks = 0;
}

static void half__append(struct half *h, const uint8_t *data, size_t n, bool fresh)
{
	if (h->len + n > h->cap) {
		h->cap = (h->len + n) * 2;
		h->buf = need(realloc(h->buf, h->cap));
	}
	if (!h->nmarks || h->marks[h->nmarks - 1].call != h->call) {
		h->marks = need(realloc(h->marks, (h->nmarks + 1) * sizeof(*h->marks)));
		h->marks[h->nmarks].pos = h->len;
		h->marks[h->nmarks++].call = h->call;
	}
	if (!h->len)
		h->buf_fresh = fresh;
	memcpy(h->buf + h->len, data, n);
	h->len += n;
}

/* The call in which byte `pos` of buf lies. */
static size_t half__call_at(const struct half *h, size_t pos)
{
	size_t call = h->call;

	for (size_t i = 0; i < h->nmarks && h->marks[i].pos <= pos; i++)
		call = h->marks[i].call;
	return call;
}

/* ---- messages and exchanges ---- */

static struct slot *slot__new(struct mini *e, size_t call)
{
	struct slot *s = need(calloc(1, sizeof(*s)));

	s->m = need(calloc(1, sizeof(*s->m)));
	s->m->data = need(calloc(1, e->p->message_size ? e->p->message_size : 1));
	s->m->ops = 1;
	s->call = call;
	arena__init(&s->m->keep, MESSAGE_KEEP_MAX);
	e->slots = need(realloc(e->slots, (e->nslots + 1) * sizeof(struct slot *)));
	e->slots[e->nslots++] = s;
	return s;
}

static struct xchg *xchg__new(struct mini *e)
{
	struct xchg *x = need(calloc(1, sizeof(*x)));

	*e->last = x;
	e->last = &x->next;
	return x;
}

static void note(struct mini *e, const char *text)
{
	struct xchg *x = xchg__new(e);

	x->closed = true;
	x->line = need(strdup(text));
}

static void xchg__add(struct xchg *x, struct slot *req)
{
	x->req = need(realloc(x->req, (x->n + 1) * sizeof(struct slot *)));
	x->resp = need(realloc(x->resp, (x->n + 1) * sizeof(struct slot *)));
	x->req[x->n] = req;
	x->resp[x->n] = NULL;
	if (req) {
		req->x = x;
		req->index = x->n;
	}
	x->n++;
}

static void xchg__close(struct mini *e, struct xchg *x, unsigned flags)
{
	struct message **reqs, **resps;
	struct arena scratch;
	struct facts f = { 0 };

	if (x->closed)
		return;
	x->closed = true;
	x->flags |= flags;
	if (x->flags & EXCHANGE_NO_REQUEST) {
		x->line = need(strdup("no-request"));
		return;
	}
	reqs = need(calloc(x->n, sizeof(*reqs)));
	resps = need(calloc(x->n, sizeof(*resps)));
	for (size_t i = 0; i < x->n; i++) {
		reqs[i] = x->req[i]->m;
		resps[i] = x->resp[i] ? x->resp[i]->m : NULL;
		if (x->req[i]->lost || (x->resp[i] && x->resp[i]->lost))
			x->flags |= EXCHANGE_LOST_BYTES;
	}
	arena__init(&scratch, SCRATCH_MAX);
	bool span = e->p->describe(e->state, reqs, resps, x->n, x->flags, &scratch, &f);

	x->line = render__exchange(span, &f, x->flags);
	arena__reset(&scratch);
	free(reqs);
	free(resps);
}

static void xchg__maybe_close(struct mini *e, struct xchg *x)
{
	for (size_t i = 0; i < x->n; i++) {
		if (!x->req[i]->done)
			return;
		if (!x->req[i]->m->one_way && (!x->resp[i] || !x->resp[i]->done))
			return;
	}
	xchg__close(e, x, 0);
}

static struct xchg *xchg__last(struct mini *e)
{
	struct xchg *x = e->first;

	while (x && x->next)
		x = x->next;
	return x;
}

/*
 * A request is known to exist: it gets an exchange, or joins the batch of its call. `end_call`:
 * of its last byte.
 */
static void request__pair(struct mini *e, struct slot *s, bool done, size_t end_call)
{
	struct xchg *x = xchg__last(e);
	bool whole = done && s->call == end_call;

	if (e->p->batches && whole && x && !x->closed && x->batchable && x->call == end_call) {
		xchg__add(x, s);
		return;
	}
	x = xchg__new(e);
	x->batchable = e->p->batches && whole;
	x->call = end_call;
	xchg__add(x, s);
	if (e->deaf && !e->p->keyed) {
		/* Whose response is whose is not known in this turn. */
		xchg__close(e, x, EXCHANGE_NO_RESPONSE | EXCHANGE_LOST_BYTES);
		x->batchable = false;
	}
}

static bool response__pair(struct mini *e, struct slot *s)
{
	for (struct xchg *x = e->first; x; x = x->next) {
		if (x->closed)
			continue;
		while (x->paired < x->n && (x->resp[x->paired] || x->req[x->paired]->m->one_way))
			x->paired++;
		for (size_t i = x->paired; i < x->n; i++) {
			if (x->resp[i] || x->req[i]->m->one_way ||
			    (e->p->keyed && x->req[i]->m->key != s->m->key))
				continue;
			x->resp[i] = s;
			s->x = x;
			s->index = i;
			return true;
		}
	}
	return false;
}

static void slot__head(struct mini *e, enum proto_dir dir, struct slot *s, bool done,
		       size_t end_call)
{
	if (s->x || (s->headed && dir == PROTO_RESP))
		return;
	if (dir == PROTO_REQ) {
		request__pair(e, s, done, end_call);
	} else if (!response__pair(e, s)) {
		struct xchg *x = xchg__new(e);

		x->flags = EXCHANGE_NO_REQUEST;
		xchg__close(e, x, 0);
	}
}

/* A part of a keyed answer: what ends without its end is then cut, not without a response. */
static void mark_begun(struct mini *e, const struct slot *s)
{
	for (struct xchg *x = e->first; x; x = x->next)
		if (!x->closed && x->req[0]->m->key == s->m->key)
			x->begun = true;
}

static void answered(struct mini *e, struct slot *s)
{
	if (s->m->lost)
		s->x->flags |= EXCHANGE_LOST_BYTES;
	if (s->m->end_unseen)
		s->x->flags |= EXCHANGE_CUT | EXCHANGE_LOST_BYTES;
	xchg__maybe_close(e, s->x);
}

/* What a parse() call made of the message under way takes effect. */
static void apply(struct mini *e, enum proto_dir dir, enum message_state what, size_t end_call)
{
	struct half *h = &e->half[dir];
	struct slot *s = h->now;

	if (what == MESSAGE_PARTIAL || !s)
		return;
	if (what == MESSAGE_ANSWER && dir != PROTO_REQ)
		breach(e, "MESSAGE_ANSWER of the responder");
	if ((what == MESSAGE_PART || what == MESSAGE_ANSWER) && (!e->p->keyed || s->headed))
		breach(e, "a part, or a request's answer, where none can be");
	if (what == MESSAGE_PART && dir == PROTO_RESP)
		mark_begun(e, s);
	if (what == MESSAGE_ANSWER) {
		h->now = NULL;
		s->done = s->headed = true;
		if (response__pair(e, s))
			answered(e, s);
		return;
	}
	if (what == MESSAGE_IGNORE || what == MESSAGE_PART) {
		if (s->headed)
			breach(e, "MESSAGE_IGNORE after MESSAGE_HEAD");
		h->now = NULL;
		return;
	}
	slot__head(e, dir, s, what == MESSAGE_DONE, end_call);
	s->headed = true;
	if (what != MESSAGE_DONE)
		return;
	s->done = true;
	h->now = NULL;
	if (s->x && dir == PROTO_RESP)
		answered(e, s);
	else if (s->x)
		xchg__maybe_close(e, s->x);
}

/* The exchange ends without its response's end. */
static void xchg__finish(struct mini *e, struct xchg *x, unsigned flags)
{
	bool begun = x->begun;

	for (size_t i = 0; i < x->n; i++)
		begun |= x->resp[i] != NULL;
	xchg__close(e, x, flags | (begun ? EXCHANGE_CUT : EXCHANGE_NO_RESPONSE));
}

static void finish_outstanding(struct mini *e, unsigned flags)
{
	if (e->p->keyed && e->half[PROTO_RESP].lost)
		flags |= EXCHANGE_LOST_BYTES;
	for (struct xchg *x = e->first; x; x = x->next)
		if (!x->closed)
			xchg__finish(e, x, flags);
}

/* The turn of a message that was said to fill it is over. */
static void end_rest(struct mini *e, enum proto_dir dir)
{
	struct half *h = &e->half[dir];

	if (!h->rest)
		return;
	h->rest = false;
	h->now->lost = true;
	apply(e, dir, MESSAGE_DONE, h->call);
	if (dir == PROTO_REQ)
		e->deaf = true;
	for (struct xchg *x = e->first; x && dir == PROTO_RESP; x = x->next) {
		if (x->doubtful && !x->closed)
			xchg__finish(e, x, EXCHANGE_LOST_BYTES);
		x->doubtful = false;
	}
}

/* ---- lost bytes ---- */

/*
 * The moment of the loss: what came before it may have lost its response, what comes after is not
 * touched.
 */
static void lose(struct mini *e, enum proto_dir dir)
{
	struct half *h = &e->half[dir];

	struct xchg *x = xchg__last(e);

	half__drop(h, h->len);
	/* Commands of the same call may have been lost with it: the batch is not whole. */
	if (dir == PROTO_REQ && x && !x->closed && x->batchable && x->call == h->call)
		x->flags |= EXCHANGE_LOST_BYTES;
	if (h->now && h->now->m->fills_turn && !h->resync)
		h->rest = true;
	else
		h->resync = h->lost = true;
	if (dir == PROTO_REQ && h->rest)
		return;
	if (dir == PROTO_REQ) {
		e->deaf = true;
		return;
	}
	for (x = e->first; x; x = x->next)
		x->doubtful = !x->closed && (!e->p->keyed || (h->now && h->now->x == x));
}

/* resync() said that the message under way goes on (`resumed`), or that it does not. */
static void settle(struct mini *e, enum proto_dir dir, bool resumed)
{
	struct half *h = &e->half[dir];

	if (resumed) {
		h->now->lost = true;
		if (dir == PROTO_REQ)
			e->deaf = false;
	} else {
		h->now->lost = h->now->done = true;
		h->now = NULL;
	}
	if (dir == PROTO_REQ)
		return;
	for (struct xchg *x = e->first; x; x = x->next) {
		if (x->doubtful && !resumed)
			xchg__finish(e, x, EXCHANGE_LOST_BYTES);
		x->doubtful = false;
	}
}

static void try_resync(struct mini *e, enum proto_dir dir, bool gap_follows)
{
	struct half *h = &e->half[dir];
	struct proto_in in = { .len = h->len,
			       .fresh = h->buf_fresh,
			       .gap_follows = gap_follows,
			       .call_end = h->call_end };
	size_t at_call;
	uint8_t *shown;
	ssize_t r;

	if (!h->len || h->wait_turn)
		return;
	if (!h->now)
		h->now = slot__new(e, half__call_at(h, 0));
	h->now->m->resumed = false;
	shown = mini_shelf__show(&e->shelf, h->buf, h->len);
	in.data = shown;
	r = e->p->resync(e->state, dir, &in, h->now->m);
	mini_shelf__hide(&e->shelf, shown, in.len);
	if (r < 0) {
		if (h->len > e->p->buffer_cap)
			half__drop(h, h->len);
		return;
	}
	if ((size_t)r > h->len) {
		breach(e, "resync() beyond the bytes it was shown");
		return;
	}
	at_call = half__call_at(h, (size_t)r);
	h->resync = h->lost = false;
	settle(e, dir, h->now->m->resumed);
	half__drop(h, (size_t)r);
	if (h->now)
		h->now->call = at_call;
}

static void mini__bad(struct mini *e, enum proto_dir dir)
{
	struct half *h = &e->half[dir];

	note(e, dir == PROTO_REQ ? "bad >" : "bad <");
	if (h->now) {
		h->now->m->fills_turn = false;
		h->now->consumed = true; /* whatever it was, it had begun */
	}
	lose(e, dir);
	h->wait_turn = true;
}

/* False: there is nothing more to do with what is there. */
static bool step(struct mini *e, enum proto_dir dir, bool gap_follows)
{
	struct half *h = &e->half[dir];
	struct proto_in in = { .len = h->len,
			       .fresh = h->buf_fresh,
			       .gap_follows = gap_follows,
			       .call_end = h->call_end };
	enum message_state what = MESSAGE_PARTIAL;
	size_t end_call;
	uint8_t *shown;
	ssize_t r;

	if (!h->now)
		h->now = slot__new(e, half__call_at(h, 0));
	shown = mini_shelf__show(&e->shelf, h->buf, h->len);
	in.data = shown;
	r = e->p->parse(e->state, dir, &in, h->now->m, &what);
	mini_shelf__hide(&e->shelf, shown, in.len);
	if (r == PARSE_LEAVE || r == PARSE_SWITCH) {
		e->left = true;
		note(e, "leave");
		return false;
	}
	if (r < 0) {
		mini__bad(e, dir);
		return false;
	}
	if (r == 0 && what == MESSAGE_PARTIAL) {
		if (h->len > e->p->buffer_cap)
			mini__bad(e, dir);
		return false;
	}
	if (r > 0)
		h->now->consumed = true;
	if ((size_t)r > h->len) {
		h->skip = (uint64_t)r - h->len;
		h->skip_what = what;
		half__drop(h, h->len);
		return false;
	}
	end_call = half__call_at(h, r ? (size_t)r - 1 : 0);
	half__drop(h, (size_t)r);
	apply(e, dir, what, end_call);
	return h->len > 0;
}

static void work(struct mini *e, enum proto_dir dir, bool gap_follows)
{
	struct half *h = &e->half[dir];
	size_t idle = 0, before;

	while (!e->left && h->len && !h->skip && !h->rest) {
		before = h->len;
		if (h->resync) {
			try_resync(e, dir, gap_follows);
			if (h->resync)
				return;
			continue;
		}
		if (!step(e, dir, gap_follows))
			return;
		idle = h->len == before ? idle + 1 : 0;
		if (idle > 2048) {
			breach(e, "parse() goes on and on without consuming");
			e->left = true;
		}
	}
}

/* A call begins; true if it is fresh. */
static bool turn(struct mini *e, enum proto_dir dir, unsigned flags)
{
	struct half *h = &e->half[dir];
	bool fresh = (flags & MINI_CALL_START) && e->spoke != (int)dir;

	if (fresh)
		end_rest(e, !dir);
	if (flags & MINI_CALL_START) {
		e->spoke = dir;
		h->call++;
	}
	if (fresh && dir == PROTO_REQ)
		e->deaf = false;
	if (fresh && h->resync) {
		h->wait_turn = false;
		half__drop(h, h->len);
	}
	return fresh;
}

static uint64_t pass(struct mini *e, enum proto_dir dir, uint64_t n)
{
	struct half *h = &e->half[dir];
	uint64_t took = n < h->skip ? n : h->skip;

	if (!took)
		return 0;
	h->skip -= took;
	if (!h->skip)
		apply(e, dir, h->skip_what, h->call);
	return took;
}

void mini__bytes(struct mini *e, enum proto_dir dir, const uint8_t *data, size_t n, unsigned flags)
{
	struct half *h = &e->half[dir];
	bool fresh = turn(e, dir, flags);
	size_t took;

	if (e->left || h->ended)
		return;
	took = h->rest ? n : (size_t)pass(e, dir, n);
	if (took == n)
		return;
	half__append(h, data + took, n - took, fresh && !took);
	h->call_end = flags & MINI_CALL_END;
	work(e, dir, flags & MINI_GAP_FOLLOWS);
}

void mini__gap(struct mini *e, enum proto_dir dir, uint64_t n, unsigned flags)
{
	struct half *h = &e->half[dir];

	turn(e, dir, flags);
	if (e->left || h->ended || h->rest)
		return;
	n -= pass(e, dir, n);
	if (n && h->len) {
		h->call_end = false;
		work(e, dir, true);
		n -= pass(e, dir, n);
	}
	if (n && !e->left && !h->rest)
		lose(e, dir);
}

void mini__eof(struct mini *e, enum proto_dir dir)
{
	struct half *h = &e->half[dir];
	enum message_state what;

	if (e->left || h->ended)
		return;
	h->ended = true;
	end_rest(e, dir);
	if (h->now && !h->resync && !h->len && !h->skip && e->p->eof) {
		what = e->p->eof(e->state, dir, h->now->m);
		apply(e, dir, what, h->call);
	}
	if (dir == PROTO_RESP) {
		if (h->now && !h->now->x && (h->now->consumed || h->skip))
			response__pair(e, h->now);
		finish_outstanding(e, EXCHANGE_RESET);
	}
}

void mini__finish(struct mini *e)
{
	struct half *h = &e->half[PROTO_RESP];

	if (h->now && !h->now->x && !h->now->headed && (h->now->consumed || h->skip))
		response__pair(e, h->now);
	end_rest(e, PROTO_REQ);
	end_rest(e, PROTO_RESP);
	finish_outstanding(e, EXCHANGE_STOPPED);
}

/* ---- results ---- */

static const struct xchg *at(const struct mini *e, size_t i)
{
	for (const struct xchg *x = e->first; x; x = x->next)
		if (x->line && i-- == 0)
			return x;
	return NULL;
}

size_t mini__count(const struct mini *e)
{
	size_t n = 0;

	for (const struct xchg *x = e->first; x; x = x->next)
		n += x->line != NULL;
	return n;
}

const char *mini__line(const struct mini *e, size_t i)
{
	const struct xchg *x = at(e, i);

	return x ? x->line : NULL;
}

unsigned mini__line_flags(const struct mini *e, size_t i)
{
	const struct xchg *x = at(e, i);

	return x ? x->flags : 0;
}

const char *mini__breach(const struct mini *e)
{
	return e->breach;
}

void mini__free(struct mini *e)
{
	if (e->p->fini)
		e->p->fini(e->state);
	for (size_t i = 0; i < e->nslots; i++) {
		if (e->p->message_fini)
			e->p->message_fini(e->slots[i]->m->data);
		arena__reset(&e->slots[i]->m->keep);
		free(e->slots[i]->m->data);
		free(e->slots[i]->m);
		free(e->slots[i]);
	}
	while (e->first) {
		struct xchg *x = e->first;

		e->first = x->next;
		free(x->req);
		free(x->resp);
		free(x->line);
		free(x);
	}
	for (int d = 0; d < 2; d++) {
		free(e->half[d].buf);
		free(e->half[d].marks);
	}
	mini_shelf__free(&e->shelf);
	free(e->slots);
	free(e->state);
	free(e);
}

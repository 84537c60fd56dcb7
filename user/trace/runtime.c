// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The runtime's own word (struct weft_unit): in which unit of work a thread makes its calls, named
 * by the request bytes that were read in it. It holds across callbacks, threads and timers, and
 * where a task outlives its request; so no veto applies to it.
 *
 * What a request leaves behind may be a task that ends soon, or a loop that lives as long as the
 * process: one that looks after a pool, a consumer that was started when first needed. Both look
 * alike, so the first calls, for a while, are the request's, as they are with an SDK that hands its
 * context on; each later one begins a trace of its own, with a link to the request. No trace grows
 * for ever.
 *
 * Events are handed on in the order of each connection's bytes, which can be later than they came.
 * So what was said of a thread is kept for a while, and a call asks what held when it was made.
 */
#include <stdlib.h>
#include <string.h>

#include "layers.h"

#define THREADS_MAX 16384
#define CONNS_MAX 16384
#define SAID_MAX 32      /* of one thread */
#define REQUESTS_MAX 128 /* of one connection ... */
/* ... and of one whose process has told of no unit so far, while those that fall out have ended */
#define REQUESTS_MIN 2
#define PIDS_MAX 4096
/* What begins after the request's end is its child for so long, and so many calls. */
#define AFTER_NS (30ull * 1000 * 1000 * 1000)
#define AFTER_MAX 128

struct said {
	uint64_t ts, conn;
	uint32_t pos, stream;
	bool ahead;
};

/* What a thread's units were, in a ring, the oldest overwritten. */
struct unit_thread {
	struct list by_use;
	uint64_t key;
	uint32_t pid;
	struct said said[SAID_MAX];
	unsigned n;
};

/* Requests that were read from one connection, in a ring. */
struct unit_conn {
	struct list by_use;
	uint64_t id;
	uint32_t pid;
	struct unit_request {
		uint64_t node, start;
		uint32_t pos;
		uint64_t key; /* message.key: its stream */
		/* read before the one before it was answered; the next one was, before this one was */
		bool early, overtaken;
		unsigned after; /* children that were made when it had ended */
		bool released;  /* and these were its ids: what it left behind may call later */
		uint64_t end;
		uint8_t trace_id[16], span_id[8];
		uint8_t flags;
	} * requests;
	unsigned n, cap;
	uint64_t moved;   /* nodes up to this number may have their places no more */
	uint64_t carrier; /* of a TLS session whose beginning was seen; 0 none is known */
	uint64_t first;   /* node of its first request */
};

static void forget_thread(struct tracer *t, struct unit_thread *th)
{
	table__take(&t->units.threads, th->key);
	list__remove(&th->by_use);
	free(th);
}

static void forget_conn(struct tracer *t, struct unit_conn *c)
{
	table__take(&t->units.conns, c->id);
	if (c->carrier && table__get(&t->units.carriers, c->carrier) == c)
		table__take(&t->units.carriers, c->carrier);
	list__remove(&c->by_use);
	free(c->requests);
	free(c);
}

static void used(struct list *all, struct list *by_use)
{
	list__remove(by_use);
	list__append(all, by_use);
}

static void unit(struct tracer *t, const struct weft_unit *u)
{
	uint64_t key = node__thread_key(u->h.pid, u->h.tid);
	struct unit_thread *th = table__get(&t->units.threads, key);

	if (t->units.pids.used < PIDS_MAX || table__get(&t->units.pids, u->h.pid))
		(void)table__put(&t->units.pids, u->h.pid, t);
	if (!th) {
		if (t->units.threads.used >= THREADS_MAX)
			forget_thread(t, LIST_OF(t->units.threads_by_use.next, struct unit_thread,
						 by_use));
		th = calloc(1, sizeof(*th));
		if (!th || !table__put(&t->units.threads, key, th)) {
			free(th);
			return;
		}
		th->key = key;
		th->pid = u->h.pid;
		list__init(&th->by_use);
	}
	used(&t->units.threads_by_use, &th->by_use);
	th->said[th->n++ % SAID_MAX] = (struct said){ u->h.ts, u->h.conn, u->pos, u->stream,
						      u->h.flags & WEFT_F_AHEAD };
}

/* One that is not answered yet: its end, where it has one, is the present. */
static bool under_way(const struct tracer *t, const struct unit_request *r)
{
	const struct node *n = node__by_id(t, r->node);

	return n && !n->ended;
}

/* Is there no more room, and what falls out for the next one worth keeping? */
static bool too_small(struct tracer *t, const struct unit_conn *c)
{
	if (c->n < c->cap || c->cap == REQUESTS_MAX)
		return false;
	return c->cap < REQUESTS_MIN || table__get(&t->units.pids, c->pid) ||
	       under_way(t, &c->requests[c->n % c->cap]);
}

/* Room for another. Those that are there move to the front. */
static bool enlarge(struct tracer *t, struct unit_conn *c)
{
	unsigned cap = c->cap ? c->cap * 2 : REQUESTS_MIN;
	unsigned have = c->n < c->cap ? c->n : c->cap;

	if (!too_small(t, c))
		return true;
	struct unit_request *requests = calloc(cap, sizeof(*requests));

	if (!requests)
		return c->cap;
	for (unsigned i = 0; i < have; i++)
		requests[i] = c->requests[(c->n - have + i) % c->cap];
	free(c->requests);
	c->requests = requests;
	c->n = have;
	c->cap = cap;
	c->moved = t->last_id;
	return true;
}

/* The first request of a connection. */
static void begins(struct tracer *t, struct unit_conn *c, const struct node *n,
		   const struct conn *conn)
{
	if (!conn->carrier || conn__preopen(conn) ||
	    !table__put(&t->units.carriers, conn->carrier->id, c))
		return;
	c->carrier = conn->carrier->id;
	c->first = n->id;
}

/* A request was read: its bytes are its name. */
static void request_read(struct tracer *t, struct node *n, const struct exchange *x,
			 uint32_t req_pos)
{
	struct unit_conn *c = table__get(&t->units.conns, x->conn->id);

	if (!c) {
		if (t->units.conns.used >= CONNS_MAX)
			forget_conn(t,
				    LIST_OF(t->units.conns_by_use.next, struct unit_conn, by_use));
		c = calloc(1, sizeof(*c));
		if (!c || !table__put(&t->units.conns, x->conn->id, c)) {
			free(c);
			return;
		}
		c->id = x->conn->id;
		c->pid = n->pid;
		list__init(&c->by_use);
		begins(t, c, n, x->conn);
	}
	used(&t->units.conns_by_use, &c->by_use);
	if (!enlarge(t, c))
		return;
	struct unit_request *r = &c->requests[c->n % c->cap];
	struct unit_request *before = &c->requests[(c->n - 1) % c->cap];
	bool early = c->n && under_way(t, before);

	if (early)
		before->overtaken = true;
	n->unit_pos = c->n++ % c->cap;
	*r = (struct unit_request){ .node = n->id,
				    .start = n->start,
				    .pos = req_pos,
				    .key = x->n && x->reqs[0] ? x->reqs[0]->key : 0,
				    .early = early };
	n->unit_conn = c->id;
}

/* The request of a stream; its number is not used again on the connection. */
static struct unit_request *request_of(struct unit_conn *c, uint32_t stream)
{
	for (unsigned i = 0; i < c->n && i < c->cap; i++)
		if (c->requests[i].key == stream)
			return &c->requests[i];
	return NULL;
}

/*
 * The request that begins last before `pos`. Which one is meant is not known where several began in
 * the bytes of one call, or where the connection was read ahead of the unit and one is not answered
 * yet. (What is done for the next one may look like what the one before has left behind, too.)
 */
static struct unit_request *request_before(struct tracer *t, const struct node *call)
{
	uint64_t conn = call->unit_conn;
	uint32_t pos = call->unit_pos;
	struct unit_conn *c = table__get(&t->units.conns, conn);
	unsigned n = !c ? 0 : c->n < c->cap ? c->n : c->cap, best = n;

	if (call->unit_stream)
		return c ? request_of(c, call->unit_stream) : NULL;
	for (unsigned i = 0; i < n; i++) {
		if ((int32_t)(pos - c->requests[i].pos) <= 0)
			continue;
		if (best == n || (int32_t)(c->requests[i].pos - c->requests[best].pos) > 0)
			best = i;
	}
	for (unsigned i = 0; i < n; i++)
		if (best < n && i != best && c->requests[i].start == c->requests[best].start)
			return NULL;
	if (best == n || (call->unit_ahead && c->requests[best].early) ||
	    (c->requests[best].overtaken && !under_way(t, &c->requests[best])))
		return NULL;
	return &c->requests[best];
}

/* How long before the call its request ended; 0: it had not. */
static uint64_t over_since(const struct unit_request *r, const struct node *request,
			   const struct node *call)
{
	uint64_t end = request ? request->end : r->end;

	return (!request || request->ended) && end < call->start ? call->start - end : 0;
}

static void take_left(struct node *call, const struct unit_request *r)
{
	if (!r->released)
		return;
	call->left = true;
	memcpy(call->left_trace, r->trace_id, 16);
	memcpy(call->left_span, r->span_id, 8);
	call->left_flags = r->flags;
}

/*
 * A task of Python's is begotten for a socket that was accepted, before there is a TLS session. The
 * kernel side learns which one goes over it, but too late for the first request: that is the one
 * which is meant if it was not answered yet.
 */
static struct node *first_request(const struct tracer *t, const struct node *call)
{
	const struct unit_conn *c = call->unit_conn
					    ? table__get(&t->units.carriers, call->unit_conn)
					    : NULL;
	struct node *n = c ? node__by_id(t, c->first) : NULL;

	return n && n->start <= call->start && (!n->ended || call->start <= n->end) ? n : NULL;
}

/*
 * What the runtime told of a call that was made: its request, or what is left of it. Returns the
 * former, if it is known.
 */
static struct unit_request *believe(struct tracer *t, struct node *call)
{
	struct unit_request *r = call->unit_conn ? request_before(t, call) : NULL;
	struct node *request = r ? node__by_id(t, r->node) : first_request(t, call);

	if (!r && request && request->pid == call->pid)
		node__propose(call, request, EVIDENCE_RUNTIME);
	if (!r || r->start > call->start)
		return NULL;
	uint64_t over = over_since(r, request, call);

	call->apart = over > AFTER_NS || (over && r->after >= AFTER_MAX);
	if (request && request->pid == call->pid && !call->apart)
		node__propose(call, request, EVIDENCE_RUNTIME);
	if (!request)
		take_left(call, r);
	return r;
}

bool runtime__waits(struct tracer *t, struct node *call)
{
	const struct unit_request *r = call->apart && !call->left ? request_before(t, call) : NULL;

	if (r)
		take_left(call, r);
	return r && !call->left && node__by_id(t, r->node);
}

/* Its ids are kept, for what it left behind. */
static void released(struct tracer *t, struct node *n)
{
	struct unit_conn *c = n->server && n->pinned ? table__get(&t->units.conns, n->unit_conn)
						     : NULL;

	struct unit_request *r = c && n->unit_pos < c->cap ? &c->requests[n->unit_pos] : NULL;

	for (unsigned i = 0; c && n->id <= c->moved && i < c->n && i < c->cap; i++)
		if (c->requests[i].node == n->id)
			r = &c->requests[i];
	if (!r || r->node != n->id)
		return; /* a later one has its place */
	r->released = true;
	r->end = n->end;
	memcpy(r->trace_id, n->trace_id, 16);
	memcpy(r->span_id, n->span_id, 8);
	r->flags = n->flags & 0xff;
}

/* What held on the thread at `ts`; NULL: nothing was ever said of it before. */
static const struct said *said_at(const struct tracer *t, uint32_t pid, uint32_t tid, uint64_t ts)
{
	const struct unit_thread *th = table__get(&t->units.threads, node__thread_key(pid, tid));
	unsigned n = !th ? 0 : th->n < SAID_MAX ? th->n : SAID_MAX;
	const struct said *best = NULL;

	for (unsigned i = 0; i < n; i++) {
		const struct said *s = &th->said[(th->n - 1 - i) % SAID_MAX];

		if (s->ts <= ts && (!best || s->ts > best->ts))
			best = s;
	}
	return best;
}

static void call_made(struct tracer *t, struct node *n, uint32_t tid, uint64_t ts)
{
	const struct said *s = said_at(t, n->pid, tid, ts);

	if (!s)
		return;
	n->unit_told = true;
	n->unit_ahead = s->ahead;
	n->unit_conn = s->conn;
	n->unit_pos = s->pos;
	n->unit_stream = s->stream;
	believe(t, n);
}

static void begin(struct tracer *t, struct node *n, struct exchange *x, uint32_t req_pos)
{
	if (n->third_party)
		return;
	if (n->server)
		request_read(t, n, x, req_pos);
	else if (req_pos == x->req_pos)
		call_made(t, n, x->req_tid, x->req_start);
}

/* The request may have been handed on after the call that was made for it. */
static void ended(struct tracer *t, struct node *n, const struct facts *f)
{
	(void)f;
	if (n->server || n->pinned || !n->unit_conn || n->evidence > EVIDENCE_RUNTIME)
		return;
	/* then it looked as if the one before was meant */
	if (n->evidence == EVIDENCE_RUNTIME)
		node__orphan(n);
	n->left = n->apart = false;
	struct unit_request *r = believe(t, n);

	if (r && !n->apart && over_since(r, node__by_id(t, r->node), n))
		r->after++;
}

static void process_exit(struct tracer *t, uint32_t pid)
{
	table__take(&t->units.pids, pid);
	LIST_EACH (it, tmp, &t->units.threads_by_use) {
		struct unit_thread *th = LIST_OF(it, struct unit_thread, by_use);

		if (th->pid == pid)
			forget_thread(t, th);
	}
	LIST_EACH (it, tmp, &t->units.conns_by_use) {
		struct unit_conn *c = LIST_OF(it, struct unit_conn, by_use);

		if (c->pid == pid)
			forget_conn(t, c);
	}
}

static void free_all(struct tracer *t)
{
	while (!list__empty(&t->units.threads_by_use))
		forget_thread(t, LIST_OF(t->units.threads_by_use.next, struct unit_thread, by_use));
	while (!list__empty(&t->units.conns_by_use))
		forget_conn(t, LIST_OF(t->units.conns_by_use.next, struct unit_conn, by_use));
	table__free(&t->units.threads);
	table__free(&t->units.conns);
	table__free(&t->units.carriers);
	table__free(&t->units.pids);
}

const struct layer layer_runtime = {
	.name = "runtime",
	.unit = unit,
	.begin = begin,
	.ended = ended,
	.released = released,
	.process_exit = process_exit,
	.free = free_all,
};

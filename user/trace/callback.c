// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What an event loop does in one callback, it does for one request.
 *
 * An event loop (Node, libuv, Netty) asks the kernel which connections have something to read, and
 * then serves one after the other: reads from it, and does what follows from that. So what the
 * thread writes between two reads of one turn, it writes because of the first of them:
 *
 *   a request was read            the calls written then are for that request;
 *   the answer to a call was read the calls written then are for the same request as that call,
 *                                 and so is an answer to a request that is written.
 *
 * Calls known to be for the same request stand in one ring (struct node.chain). As soon as the
 * request of one is known it is that of all, also of those that were made long before.
 *
 * Three things would spoil it. Behind the last read of a turn come timers and whatever else was put
 * off: nothing follows from what is written there, so where it is not known when that begins
 * (WEFT_TURN_WHOLE) a callback counts only when another read of the same turn follows it. Callbacks
 * that nobody sees (threads' results, pipes) have turns of their own or make the turn unknown
 * (bpf/turn.bpf.h). And a call on the connection on which the callback's answer was read may be
 * another request's that waited for it in a pool; so it says nothing.
 *
 * A connection's first call is written when it is connected, in a callback of its own: it belongs
 * to the callback that began to connect.
 *
 * Whether a thread works like that is measured: many calls are named twice, when they are made and
 * when they are answered. Where the two do not agree, nothing of the thread's is believed.
 */
#include <stdlib.h>

#include "layers.h"

#define LOOPS_MAX 4096
#define READ_MAX 64 /* answers that may have come in one read */
#define WROTE_MAX 64
#define MADE_MAX 64  /* connections under way */
#define RING_MAX 256 /* calls of one request */
#define SAMPLES_MAX 2000
#define AGREED_MIN 10      /* before anything is believed, unless the loop is known (libuv) */
#define CLASHES_PERMILLE 5 /* of the calls named twice */
#define CLASHES_FORGIVEN 2 /* what was under way when weft came */

struct loop {
	uint64_t key;
	struct list by_use;
	uint32_t pid;
	/* the callback that is under way */
	uint8_t turn;
	uint16_t sleeps;
	uint64_t conn, ts;       /* what it read, and when */
	uint64_t read[READ_MAX]; /* nodes: a request, or calls that were answered */
	unsigned n_read;
	bool spoilt;               /* what it read is not known, or too much was written */
	uint64_t wrote[WROTE_MAX]; /* nodes: calls, or requests that were answered */
	unsigned n_wrote;
	/* connections that it began, the newest over the oldest: for what the callback had read */
	struct made {
		uint64_t sock, ts, read;
	} made[MADE_MAX];
	unsigned n_made;
	bool whole;               /* it is known when it does what was put off */
	unsigned agreed, clashes; /* calls named twice: the same, not the same */
};

static void forget(struct tracer *t, struct loop *l)
{
	table__take(&t->loops, l->key);
	list__remove(&l->by_use);
	free(l);
}

static struct loop *loop_of(struct tracer *t, uint32_t pid, uint32_t tid, bool make)
{
	uint64_t key = node__thread_key(pid, tid);
	struct loop *l = table__get(&t->loops, key);

	if (!l && make) {
		if (t->loops.used >= LOOPS_MAX)
			forget(t, LIST_OF(t->loops_by_use.next, struct loop, by_use));
		l = calloc(1, sizeof(*l));
		if (!l || !table__put(&t->loops, key, l)) {
			free(l);
			return NULL;
		}
		l->key = key;
		l->pid = pid;
		list__init(&l->by_use);
	}
	if (l) {
		list__remove(&l->by_use);
		list__append(&t->loops_by_use, &l->by_use);
	}
	return l;
}

static bool trusted(const struct loop *l)
{
	return l->clashes <= CLASHES_FORGIVEN ||
	       (uint64_t)l->clashes * 1000 <= (uint64_t)l->agreed * CLASHES_PERMILLE;
}

static void count(struct loop *l, bool agreed)
{
	if (l->agreed + l->clashes >= SAMPLES_MAX) {
		l->agreed /= 2;
		l->clashes /= 2;
	}
	if (agreed)
		l->agreed++;
	else
		l->clashes++;
}

static void clash(struct loop *l, struct node *call)
{
	count(l, false);
	call->chain_clash = true;
	for (struct list *it = call->chain.next; it != &call->chain; it = it->next)
		LIST_OF(it, struct node, chain)->chain_clash = true;
}

static void set_cause(const struct loop *l, struct node *call, struct node *request)
{
	call->cause = request->id;
	if (trusted(l))
		node__propose(call, request, EVIDENCE_CALLBACK);
}

/* The request of the whole ring becomes known. */
static void set_causes(const struct loop *l, struct node *call, struct node *request)
{
	set_cause(l, call, request);
	for (struct list *it = call->chain.next; it != &call->chain; it = it->next)
		set_cause(l, LIST_OF(it, struct node, chain), request);
}

static void made_for(struct loop *l, struct node *call, struct node *request)
{
	if (call->start < request->start || (call->cause && call->cause != request->id))
		clash(l, call);
	else if (call->cause)
		count(l, true);
	else
		set_causes(l, call, request);
}

/* How many there are in the ring; UINT_MAX: `other` is one of them. */
static unsigned ring_size(const struct node *call, const struct node *other)
{
	unsigned n = 1;

	for (const struct list *it = call->chain.next; it != &call->chain; it = it->next, n++)
		if (it == &other->chain)
			return UINT32_MAX;
	return n;
}

static void join(struct list *a, struct list *b)
{
	struct list *a_next = a->next, *b_next = b->next;

	a->next = b_next;
	b_next->prev = a;
	b->next = a_next;
	a_next->prev = b;
}

/* Both calls are for the same request. */
static void made_alike(struct tracer *t, struct loop *l, struct node *a, struct node *b)
{
	struct node *request = node__by_id(t, a->cause ? a->cause : b->cause);
	unsigned n = ring_size(a, b);

	if (n == UINT32_MAX || n + ring_size(b, a) > RING_MAX)
		return;
	if (a->cause && b->cause && a->cause != b->cause) {
		clash(l, a);
		clash(l, b);
		return;
	}
	if (request && a->cause && !b->cause)
		set_causes(l, b, request);
	else if (request && b->cause && !a->cause)
		set_causes(l, a, request);
	join(&a->chain, &b->chain);
	if (a->chain_clash != b->chain_clash)
		clash(l, a);
}

/*
 * Several calls were answered at once (a pipeline), and then a request: it was one of them that it
 * waited for. Known if that is the only one of which it is not known for which request it was.
 */
static void follows_one_of(struct tracer *t, struct loop *l, struct node *request)
{
	struct node *only = NULL;

	for (unsigned i = 0; i < l->n_read; i++) {
		struct node *call = node__by_id(t, l->read[i]);

		if (!call || call->server || call->cause == request->id)
			return;
		if (call->cause || call->start < request->start)
			continue;
		if (only)
			return;
		only = call;
	}
	if (only)
		made_for(l, only, request);
}

/* This was written because that one had been read. */
static void follows_from(struct tracer *t, struct loop *l, struct node *read, struct node *wrote)
{
	if (!read || read->pid != wrote->pid)
		return;
	if (!wrote->server && read->server)
		made_for(l, wrote, read);
	else if (!wrote->server)
		made_alike(t, l, wrote, read);
	else if (!read->server)
		made_for(l, read, wrote);
}

/* This was written because of what the callback had read. */
static void follows(struct tracer *t, struct loop *l, struct node *wrote)
{
	if (wrote && l->n_read == 1)
		follows_from(t, l, node__by_id(t, l->read[0]), wrote);
	else if (wrote && wrote->server && l->n_read)
		follows_one_of(t, l, wrote);
}

/* The next callback of the turn begins: the one before it is as it seemed. */
static void callback_done(struct tracer *t, struct loop *l)
{
	for (unsigned i = 0; i < l->n_wrote && !l->spoilt; i++)
		follows(t, l, node__by_id(t, l->wrote[i]));
}

static void awake(struct tracer *t, const struct weft_data *d)
{
	struct loop *l = d->h.pid ? loop_of(t, d->h.pid, d->h.tid, d->loop_turn) : NULL;

	if (!l)
		return;
	bool same = d->loop_turn && d->loop_turn == l->turn && d->sleeps == l->sleeps;

	if (same && d->dir == WEFT_OUT)
		return;
	if (same)
		callback_done(t, l);
	l->turn = d->loop_turn;
	l->whole |= d->loop_turn & WEFT_TURN_WHOLE;
	l->sleeps = d->sleeps;
	l->conn = d->h.conn;
	l->ts = d->h.ts;
	l->n_read = l->n_wrote = 0;
	/* What is written before anything was read in this turn comes of what was put off. */
	l->spoilt = !d->loop_turn || d->dir == WEFT_OUT;
}

static void was_read(struct loop *l, const struct node *n, uint64_t ts)
{
	if (l->n_read && l->read[l->n_read - 1] == n->id)
		return;
	if (ts != l->ts || l->n_read == READ_MAX)
		l->spoilt = true;
	else
		l->read[l->n_read++] = n->id;
}

static void was_written(struct tracer *t, struct loop *l, struct node *n)
{
	if (l->turn & WEFT_TURN_WHOLE && !l->spoilt)
		follows(t, l, n);
	else if (l->n_wrote < WROTE_MAX)
		l->wrote[l->n_wrote++] = n->id;
	else
		l->spoilt = true;
}

/* Only what certainly is a part of its callback: what follows will not show it. */
static void connecting(struct tracer *t, const struct weft_connect *c)
{
	struct loop *l = c->h.flags & WEFT_TURN_WHOLE ? loop_of(t, c->h.pid, c->h.tid, false)
						      : NULL;

	if (l && l->turn == c->h.flags && !l->spoilt && l->n_read == 1)
		l->made[l->n_made++ % MADE_MAX] = (struct made){ c->sock, c->h.ts, l->read[0] };
}

/* The first call on a connection. */
static void first_written(struct tracer *t, struct loop *l, struct node *n, struct conn *c)
{
	const struct weft_open *wire = &conn__wire(c)->open;

	for (size_t i = 0; i < MADE_MAX; i++)
		if (l->made[i].read && l->made[i].sock == wire->sock &&
		    l->made[i].ts == wire->start_ts)
			follows_from(t, l, node__by_id(t, l->made[i].read), n);
}

static void begin(struct tracer *t, struct node *n, struct exchange *x, uint32_t req_pos)
{
	struct loop *l = n->third_party || req_pos != x->req_pos
				 ? NULL
				 : loop_of(t, n->pid, n->tid, false);

	if (!l)
		return;
	if (!n->server) {
		t->n_loop_calls += !n->loop;
		n->loop = l->key;
		n->loop_whole = l->whole;
	}
	if (x->conn->late)
		l->spoilt = true;
	else if (n->server)
		was_read(l, n, n->start);
	else if (!x->conn->called)
		first_written(t, l, n, x->conn);
	else if (x->conn->id != l->conn)
		was_written(t, l, n);
}

static void moved(struct tracer *t, struct node *n, enum proto_dir dir, uint32_t tid, uint64_t ts)
{
	struct loop *l = n->third_party ? NULL : loop_of(t, n->pid, tid, false);

	if (!l)
		return;
	if (n->x && n->x->conn->late)
		l->spoilt = true;
	else if (n->server == (dir == PROTO_REQ))
		was_read(l, n, ts);
	else if (n->server && !n->answering)
		was_written(t, l, n);
	n->answering |= n->server && dir == PROTO_RESP;
}

bool callback__holds(const struct tracer *t, const struct node *call)
{
	const struct loop *l;

	if (call->evidence != EVIDENCE_CALLBACK)
		return true;
	l = table__get(&t->loops, call->loop);
	return l && trusted(l) && (l->whole || l->agreed >= AGREED_MIN) && !call->chain_clash &&
	       !call->unit_told;
}

static void process_exit(struct tracer *t, uint32_t pid)
{
	LIST_EACH (it, tmp, &t->loops_by_use) {
		struct loop *l = LIST_OF(it, struct loop, by_use);

		if (l->pid == pid)
			forget(t, l);
	}
}

static void free_all(struct tracer *t)
{
	LIST_EACH (it, tmp, &t->loops_by_use)
		forget(t, LIST_OF(it, struct loop, by_use));
	table__free(&t->loops);
}

const struct layer layer_callback = {
	.name = "callback",
	.awake = awake,
	.connecting = connecting,
	.begin = begin,
	.moved = moved,
	.process_exit = process_exit,
	.free = free_all,
};

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The runtime's own word (struct weft_unit): in which unit of work a thread makes its calls, named
 * by the request bytes that were read in it. It holds across callbacks, threads and timers, and
 * where a task outlives its request; so no veto applies to it.
 *
 * Events are handed on in the order of each connection's bytes, which can be later than they came.
 * So what was said of a thread is kept for a while, and a call asks what held when it was made.
 */
#include <stdlib.h>

#include "layers.h"

#define THREADS_MAX 16384
#define CONNS_MAX 16384
#define SAID_MAX 32     /* of one thread */
#define REQUESTS_MAX 64 /* of one connection */

struct said {
	uint64_t ts, conn;
	uint32_t pos;
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
	struct {
		uint64_t node, start;
		uint32_t pos;
	} requests[REQUESTS_MAX];
	unsigned n;
};

static uint64_t thread_key(uint32_t pid, uint32_t tid)
{
	return (uint64_t)pid << 32 | tid;
}

static void forget_thread(struct tracer *t, struct unit_thread *th)
{
	table__take(&t->units.threads, th->key);
	list__remove(&th->by_use);
	free(th);
}

static void forget_conn(struct tracer *t, struct unit_conn *c)
{
	table__take(&t->units.conns, c->id);
	list__remove(&c->by_use);
	free(c);
}

static void used(struct list *all, struct list *by_use)
{
	list__remove(by_use);
	list__append(all, by_use);
}

static void unit(struct tracer *t, const struct weft_unit *u)
{
	uint64_t key = thread_key(u->h.pid, u->h.tid);
	struct unit_thread *th = table__get(&t->units.threads, key);

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
	th->said[th->n++ % SAID_MAX] = (struct said){ u->h.ts, u->h.conn, u->pos };
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
	}
	used(&t->units.conns_by_use, &c->by_use);
	unsigned i = c->n++ % REQUESTS_MAX;

	c->requests[i].node = n->id;
	c->requests[i].start = n->start;
	c->requests[i].pos = req_pos;
}

/*
 * The request that begins last before `pos`. Where several began in the bytes of one call, which of
 * them was meant is not known.
 */
static struct node *request_before(struct tracer *t, uint64_t conn, uint32_t pos)
{
	const struct unit_conn *c = table__get(&t->units.conns, conn);
	unsigned n = !c ? 0 : c->n < REQUESTS_MAX ? c->n : REQUESTS_MAX, best = n;

	for (unsigned i = 0; i < n; i++) {
		if ((int32_t)(pos - c->requests[i].pos) <= 0)
			continue;
		if (best == n || (int32_t)(c->requests[i].pos - c->requests[best].pos) > 0)
			best = i;
	}
	for (unsigned i = 0; i < n; i++)
		if (best < n && i != best && c->requests[i].start == c->requests[best].start)
			return NULL;
	return best < n ? node__by_id(t, c->requests[best].node) : NULL;
}

/* What held on the thread at `ts`; NULL: nothing was ever said of it before. */
static const struct said *said_at(const struct tracer *t, uint32_t pid, uint32_t tid, uint64_t ts)
{
	const struct unit_thread *th = table__get(&t->units.threads, thread_key(pid, tid));
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
	struct node *request;

	if (!s)
		return;
	n->unit_told = true;
	n->unit_conn = s->conn;
	n->unit_pos = s->pos;
	request = s->conn ? request_before(t, s->conn, s->pos) : NULL;
	if (request && request->pid == n->pid && request->start <= n->start)
		node__propose(n, request, EVIDENCE_RUNTIME);
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
	if (n->server || !n->unit_conn || n->evidence >= EVIDENCE_RUNTIME)
		return;
	struct node *request = request_before(t, n->unit_conn, n->unit_pos);

	if (request && request->pid == n->pid && request->start <= n->start)
		node__propose(n, request, EVIDENCE_RUNTIME);
}

static void process_exit(struct tracer *t, uint32_t pid)
{
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
}

const struct layer layer_runtime = {
	.name = "runtime",
	.unit = unit,
	.begin = begin,
	.ended = ended,
	.process_exit = process_exit,
	.free = free_all,
};

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Hand-over by clone: a thread that is begun for one piece of work, by a thread that serves a
 * request, works for that request.
 *
 * Nothing tells such a thread from a pool's worker, which a request may begin, too, and which then
 * takes from a queue what any request has put there, at once and for ever. But a thread that was
 * begun for one piece of work ends when that is done. So its calls are the request's only if it
 * ended soon after the last of them, before the request was judged; if it read no request itself;
 * and if each of them lies within the request. A pool's worker ends long after its last work.
 */
#include <stdlib.h>

#include "layers.h"

#define THREADS_MAX 16384
#define CALLS_MAX 32
/*
 * A thread takes a while to end where processors are scarce; one that is kept for the next work
 * (Ruby's, pools that shrink) waits longer.
 */
#define IDLE_NS (1000ull * 1000 * 1000)

/* A thread that was begun by one that served a request. */
struct begotten {
	struct list by_use;
	uint64_t key;
	uint32_t pid;
	uint64_t request; /* server node */
	uint64_t last;    /* when it was last seen to do something */
	uint64_t calls[CALLS_MAX];
	unsigned n;
};

static struct begotten *begotten_of(const struct tracer *t, uint32_t pid, uint32_t tid)
{
	return table__get(&t->begotten, node__thread_key(pid, tid));
}

static void forget(struct tracer *t, struct begotten *b)
{
	table__take(&t->begotten, b->key);
	list__remove(&b->by_use);
	free(b);
}

/* The request that a thread works for, if it works for nothing else. */
static struct node *request_of(struct tracer *t, uint32_t pid, uint32_t tid)
{
	const struct begotten *b = begotten_of(t, pid, tid);
	struct node *n = b ? node__by_id(t, b->request) : thread__serves(t, pid, tid);

	return n && !n->ended ? n : NULL;
}

static void begun(struct tracer *t, const struct weft_thread *e)
{
	struct node *request = request_of(t, e->h.pid, e->h.tid);
	struct begotten *b = begotten_of(t, e->h.pid, e->child);

	/* the number is another thread's now */
	if (b)
		forget(t, b);
	if (!request)
		return;
	if (t->begotten.used >= THREADS_MAX)
		forget(t, LIST_OF(t->begotten_by_use.next, struct begotten, by_use));
	b = calloc(1, sizeof(*b));
	if (!b || !table__put(&t->begotten, node__thread_key(e->h.pid, e->child), b)) {
		free(b);
		return;
	}
	b->key = node__thread_key(e->h.pid, e->child);
	b->pid = e->h.pid;
	b->request = request->id;
	b->last = e->h.ts;
	list__append(&t->begotten_by_use, &b->by_use);
}

/* It has done what it was begun for: its calls were that. */
static void over(struct tracer *t, const struct weft_thread *e)
{
	struct begotten *b = begotten_of(t, e->h.pid, e->h.tid);

	if (!b)
		return;
	for (unsigned i = 0; i < b->n && e->h.ts < b->last + IDLE_NS; i++) {
		struct node *call = node__by_id(t, b->calls[i]);

		if (call)
			call->handed_over = true;
	}
	forget(t, b);
}

static void thread(struct tracer *t, const struct weft_thread *e)
{
	if (e->child)
		begun(t, e);
	else
		over(t, e);
}

static void begin(struct tracer *t, struct node *n, struct exchange *x, uint32_t req_pos)
{
	struct begotten *b = begotten_of(t, n->pid, n->tid);

	if (!b || n->third_party || req_pos != x->req_pos)
		return;
	if (n->server) {
		forget(t, b);
		return;
	}
	struct node *request = request_of(t, n->pid, n->tid);

	b->last = n->start;
	if (!request || b->n == CALLS_MAX)
		return;
	b->calls[b->n++] = n->id;
	node__propose(n, request, EVIDENCE_HANDOVER);
}

static void moved(struct tracer *t, struct node *n, enum proto_dir dir, uint32_t tid, uint64_t ts)
{
	struct begotten *b = n->third_party ? NULL : begotten_of(t, n->pid, tid);

	(void)dir;
	if (b && ts > b->last)
		b->last = ts;
}

bool handover__waits(const struct tracer *t, const struct node *call)
{
	if (call->evidence != EVIDENCE_HANDOVER || call->handed_over)
		return false;
	return t->now < call->parent->end + IDLE_NS && begotten_of(t, call->pid, call->tid);
}

bool handover__holds(const struct node *call)
{
	return call->evidence != EVIDENCE_HANDOVER || call->handed_over;
}

static void process_exit(struct tracer *t, uint32_t pid)
{
	LIST_EACH (it, tmp, &t->begotten_by_use) {
		struct begotten *b = LIST_OF(it, struct begotten, by_use);

		if (b->pid == pid)
			forget(t, b);
	}
}

static void free_all(struct tracer *t)
{
	while (!list__empty(&t->begotten_by_use))
		forget(t, LIST_OF(t->begotten_by_use.next, struct begotten, by_use));
	table__free(&t->begotten);
}

const struct layer layer_handover = {
	.name = "hand-over",
	.thread = thread,
	.begin = begin,
	.moved = moved,
	.process_exit = process_exit,
	.free = free_all,
};

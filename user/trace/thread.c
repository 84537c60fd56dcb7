// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which request a call was made for, from what the threads of a process read and write. Three rules, best first:
 *
 * backward   A thread that reads the answer to a call and then, before it reads anything else, writes the answer to a request, made
 *            that call for that request. On a thread that does not serve requests itself but works for another (a worker behind a queue),
 *            this holds for all calls since its previous answer. Known only afterwards, and never seen to be wrong.
 * thread     A thread that serves one request at a time made the call between reading the request and answering it.
 * last-read  A thread that serves several at once (an event loop, a proxy): the request that it read last; reading the answer to a
 *            call of R makes R the one read last; a connection's first call belongs to whoever connected it. This is a guess:
 *            release.c refuses it when the call outlives the request, and altogether for a pool of connections where that happens often.
 */
#include <stdlib.h>

#include "layers.h"

#define SEGMENT_MAX 64         /* unowned calls of a worker between two answers */
#define THREADS_MAX 65536
#define OWNERS_MAX 65536
#define POOLS_MAX 16384
#define POOL_SAMPLES_MIN 20
#define POOL_SAMPLES_MAX 2000  /* then halve, so that the rate follows the present */
#define POOL_VETOED_PERCENT 5

enum last_read { READ_NOTHING, READ_REQUEST, READ_ANSWER };

struct thread {
	uint64_t key, id;        /* `id` is never used again */
	struct list by_use, by_user;
	uint32_t pid;
	uint64_t current;        /* server node that it works for; 0 nobody */
	enum last_read read;     /* what it read last, not yet followed by an answer written */
	uint64_t read_call;      /* client node whose answer that was */
	unsigned serving;        /* server nodes under way that it read */
	unsigned calling;        /* client nodes under way that it wrote */
	bool multiplexed;        /* it was seen to do several things at once */
	uint64_t segment[SEGMENT_MAX]; /* calls without an owner since it last wrote an answer */
	unsigned n_segment;
	bool segment_spoilt;     /* more calls than fit */
};

/* A connection that is being made. Many are made and never asked anything. */
struct owner {
	uint64_t sock;
	struct list by_use;
	uint64_t ts;      /* of its connect() */
	uint64_t request; /* server node */
};

struct pool {
	uint64_t key;
	struct list by_use, by_user;
	uint32_t pid;
	unsigned guesses, vetoes;
};

/* A process, as long as something of it is remembered. */
struct user {
	struct list threads, pools;
};

static uint64_t thread_key(uint32_t pid, uint32_t tid)
{
	return (uint64_t)pid << 32 | tid;
}

static struct user *user_of(struct tracer *t, uint32_t pid)
{
	struct user *u = table__get(&t->users, pid);

	if (u)
		return u;
	u = malloc(sizeof(*u));
	if (u && !table__put(&t->users, pid, u)) {
		free(u);
		u = NULL;
	}
	if (u) {
		list__init(&u->threads);
		list__init(&u->pools);
	}
	return u;
}

static void leave_user(struct tracer *t, uint32_t pid, struct list *by_user)
{
	struct user *u = table__get(&t->users, pid);

	list__remove(by_user);
	if (u && list__empty(&u->threads) && list__empty(&u->pools))
		free(table__take(&t->users, pid));
}

static void forget_thread(struct tracer *t, struct thread *th)
{
	table__take(&t->threads, th->key);
	list__remove(&th->by_use);
	leave_user(t, th->pid, &th->by_user);
	free(th);
}

static void forget_pool(struct tracer *t, struct pool *p)
{
	table__take(&t->pools, p->key);
	list__remove(&p->by_use);
	leave_user(t, p->pid, &p->by_user);
	free(p);
}

static void forget_owner(struct tracer *t, struct owner *o)
{
	if (!o)
		return;
	table__take(&t->owners, o->sock);
	list__remove(&o->by_use);
	free(o);
}

static struct thread *thread__new(struct tracer *t, uint64_t key, uint32_t pid)
{
	if (t->threads.used >= THREADS_MAX)
		forget_thread(t, LIST_OF(t->threads_by_use.next, struct thread, by_use));
	struct thread *th = calloc(1, sizeof(*th));
	struct user *u = th ? user_of(t, pid) : NULL;

	if (!u || !table__put(&t->threads, key, th)) {
		free(th);
		return NULL;
	}
	th->key = key;
	th->id = ++t->last_id;
	th->pid = pid;
	list__init(&th->by_use);
	list__append(&u->threads, &th->by_user);
	return th;
}

static struct thread *thread_of(struct tracer *t, uint32_t pid, uint32_t tid)
{
	uint64_t key = thread_key(pid, tid);
	struct thread *th = table__get(&t->threads, key);

	if (!th)
		th = thread__new(t, key, pid);
	if (th) {
		list__remove(&th->by_use);
		list__append(&t->threads_by_use, &th->by_use);
	}
	return th;
}

/* The server node that the thread works for and that is still under way. */
static struct node *current(struct tracer *t, const struct thread *th)
{
	struct node *n = node__by_id(t, th->current);

	return n && !n->ended ? n : NULL;
}

/* Only the first call of a connection belongs to whoever connected it: most wait here for an instant. */
static void connecting(struct tracer *t, const struct weft_connect *c)
{
	struct thread *th = thread_of(t, c->h.pid, c->h.tid);
	struct node *request = th ? current(t, th) : NULL;

	forget_owner(t, table__get(&t->owners, c->sock));
	if (!request)
		return;
	if (t->owners.used >= OWNERS_MAX)
		forget_owner(t, LIST_OF(t->owners_by_use.next, struct owner, by_use));
	struct owner *o = calloc(1, sizeof(*o));

	if (!o || !table__put(&t->owners, c->sock, o)) {
		free(o);
		return;
	}
	o->sock = c->sock;
	o->ts = c->h.ts;
	o->request = request->id;
	list__append(&t->owners_by_use, &o->by_use);
}

/* The request for which this connection was made, if this is its first call. */
static struct node *connected_for(struct tracer *t, struct conn *c)
{
	struct owner *o = c->called ? NULL : table__get(&t->owners, c->open.sock);
	struct node *request = o && o->ts == c->open.start_ts ? node__by_id(t, o->request) : NULL;

	c->called = true;
	forget_owner(t, o);
	return request;
}

static void request_read(struct tracer *t, struct node *n, struct thread *th)
{
	(void)t;
	n->thread = th->key;
	n->thread_id = th->id;
	th->read = READ_REQUEST;
	th->current = n->id;
	if (th->serving++ || th->calling)
		th->multiplexed = true;
}

static void call_written(struct tracer *t, struct node *n, struct exchange *x, struct thread *th)
{
	const struct weft_addr *peer = &x->conn->open.remote;
	struct node *owner = connected_for(t, x->conn);
	uint64_t ip;

	memcpy(&ip, peer->ip, 8);
	n->thread = th->key;
	n->thread_id = th->id;
	n->pool = table__mix(table__mix(n->pid, ip), peer->port | 1ull << 32);
	bool made_for_it = owner && !owner->ended;

	if (!made_for_it)
		owner = current(t, th);
	if (made_for_it || !owner)
		node__start_with_connect(n, x);
	if (th->calling++)
		th->multiplexed = true;
	if (owner && owner->pid == n->pid) {
		bool alone = th->serving == 1 && !th->multiplexed && owner->thread == n->thread;

		node__propose(n, owner, alone ? EVIDENCE_THREAD : EVIDENCE_LAST_READ);
	} else if (th->n_segment < SEGMENT_MAX) {
		th->segment[th->n_segment++] = n->id;
	} else {
		th->segment_spoilt = true;
	}
}

static void begin(struct tracer *t, struct node *n, struct exchange *x, uint32_t req_pos)
{
	if (n->third_party || req_pos != x->req_pos)
		return;
	struct thread *th = thread_of(t, n->pid, n->tid);

	if (!th)
		return;
	if (n->server)
		request_read(t, n, th);
	else
		call_written(t, n, x, th);
}

/* This call was made for this request, says what was written after its answer was read. */
static void claim(struct node *call, struct node *request)
{
	if (!call || call->server || call->pid != request->pid || call->start < request->start ||
	    call->evidence == EVIDENCE_SOCKET)
		return;
	if (call->evidence == EVIDENCE_BACKWARD) {
		if (call->parent != request)
			call->backward_clash = true;
		return;
	}
	node__propose(call, request, EVIDENCE_BACKWARD);
}

static void answer_written(struct tracer *t, struct node *request, struct thread *th, uint64_t key)
{
	if (th->read == READ_ANSWER)
		claim(node__by_id(t, th->read_call), request);
	/* A worker that answers for the thread that read the request: all it called since its last answer. */
	if (key != request->thread && !th->multiplexed && !th->segment_spoilt)
		for (unsigned i = 0; i < th->n_segment; i++)
			claim(node__by_id(t, th->segment[i]), request);
	th->read = READ_NOTHING;
	th->n_segment = 0;
	th->segment_spoilt = false;
}

static void moved(struct tracer *t, struct node *n, enum proto_dir dir, uint32_t tid, uint64_t ts)
{
	struct thread *th = n->third_party ? NULL : thread_of(t, n->pid, tid);

	(void)ts;
	if (!th)
		return;
	if (n->server && dir == PROTO_REQ) {
		th->read = READ_REQUEST;
		th->current = n->id;
	} else if (n->server) {
		answer_written(t, n, th, thread_key(n->pid, tid));
	} else if (dir == PROTO_RESP) {
		th->read = READ_ANSWER;
		th->read_call = n->id;
		th->current = n->parent && n->parent->server ? n->parent->id : 0;
	}
}

static void ended(struct tracer *t, struct node *n, const struct facts *f)
{
	(void)f;
	struct thread *th = n->thread ? table__get(&t->threads, n->thread) : NULL;

	if (!th || th->id != n->thread_id)
		return;
	if (n->server && th->serving)
		th->serving--;
	else if (!n->server && th->calling)
		th->calling--;
}

static struct pool *pool__new(struct tracer *t, uint64_t key, uint32_t pid)
{
	if (t->pools.used >= POOLS_MAX)
		forget_pool(t, LIST_OF(t->pools_by_use.next, struct pool, by_use));
	struct pool *p = calloc(1, sizeof(*p));
	struct user *u = p ? user_of(t, pid) : NULL;

	if (!u || !table__put(&t->pools, key, p)) {
		free(p);
		return NULL;
	}
	p->key = key;
	p->pid = pid;
	list__init(&p->by_use);
	list__append(&u->pools, &p->by_user);
	return p;
}

static struct pool *pool_of(struct tracer *t, uint64_t key, uint32_t pid)
{
	struct pool *p = table__get(&t->pools, key);

	if (!p)
		p = pool__new(t, key, pid);
	if (p) {
		list__remove(&p->by_use);
		list__append(&t->pools_by_use, &p->by_use);
	}
	return p;
}

bool pool__trusted(const struct tracer *t, const struct node *call)
{
	const struct pool *p = table__get(&t->pools, call->pool);

	return !p || p->guesses < POOL_SAMPLES_MIN || p->vetoes * 100 <= p->guesses * POOL_VETOED_PERCENT;
}

void pool__book(struct tracer *t, const struct node *call, bool vetoed)
{
	struct pool *p = pool_of(t, call->pool, call->pid);

	if (!p)
		return;
	if (p->guesses >= POOL_SAMPLES_MAX) {
		p->guesses /= 2;
		p->vetoes /= 2;
	}
	p->guesses++;
	p->vetoes += vetoed;
}

static void process_exit(struct tracer *t, uint32_t pid)
{
	struct user *u;

	/* The last one takes the list with it. */
	while ((u = table__get(&t->users, pid))) {
		if (!list__empty(&u->threads))
			forget_thread(t, LIST_OF(u->threads.next, struct thread, by_user));
		else if (!list__empty(&u->pools))
			forget_pool(t, LIST_OF(u->pools.next, struct pool, by_user));
		else
			free(table__take(&t->users, pid));
	}
}

static void free_all(struct tracer *t)
{
	LIST_EACH (th, tmp, &t->threads_by_use)
		forget_thread(t, LIST_OF(th, struct thread, by_use));
	LIST_EACH (p, tmp, &t->pools_by_use)
		forget_pool(t, LIST_OF(p, struct pool, by_use));
	LIST_EACH (o, tmp, &t->owners_by_use)
		forget_owner(t, LIST_OF(o, struct owner, by_use));
	table__free(&t->threads);
	table__free(&t->pools);
	table__free(&t->owners);
	table__free(&t->users);
}

const struct layer layer_thread = {
	.name = "thread",
	.connecting = connecting,
	.begin = begin,
	.moved = moved,
	.ended = ended,
	.process_exit = process_exit,
	.free = free_all,
};

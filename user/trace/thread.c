// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which request a call was made for, from what the threads of a process read and write. Three
 * rules, best first:
 *
 * backward   A thread that reads the answer to a call and then, before it reads anything else,
 *            writes the answer to a request, made that call for that request. On a thread that does
 *            not serve requests itself but works for another (a worker behind a queue), this holds
 *            for all calls since its previous answer. Known only afterwards.
 * thread     A thread that serves one request at a time made the call between reading the request
 *            and answering it.
 * last-read  A thread that serves several at once (an event loop, a proxy): the request that it
 *            read last; reading the answer to a call of R makes R the one read last; a connection's
 *            first call belongs to whoever connected it.
 *
 * What a thread does next need not come of what it did last. That holds for a thread that does one
 * thing at a time, and fails where threads are shared: an event loop runs timers, reads for many
 * before it works for any, frees a pooled connection for who waits next; a goroutine goes on on
 * another thread. So where a thread is shared (it was seen to do several things at once; all
 * threads of a Go or Rust program), backward needs a second witness: last-read, when the call was made,
 * must have named the same request. That they do so by chance takes two coincidences. Where they
 * differ, the call gets no parent. And last-read alone is believed only in processes and pools of
 * connections where backward has nearly always agreed with it, and where calls do not outlive
 * "their" requests.
 *
 * Threads show what they are by and by. So the verdict is given when the request has ended and the
 * grace is over (release.c), by what is known then.
 *
 * A shared thread that slept between reading and doing (struct weft_data.sleeps) does not do it
 * because of what it read: it had nothing left to do then, and a timer or something unseen woke it.
 * Nor does what an event loop does after a call for which it waited, within a turn, follow from
 * that call's answer (greenlets that call a library which blocks).
 */
#include <stdlib.h>

#include "layers.h"

#define SEGMENT_MAX 64 /* unowned calls of a worker between two answers */
#define THREADS_MAX 65536
#define OWNERS_MAX 65536
#define POOLS_MAX 16384
#define POOL_SAMPLES_MIN 20
#define POOL_SAMPLES_MAX 2000 /* then halve, so that the rate follows the present */
#define POOL_VETOED_PERCENT 5
#define POOL_DENIED_PERCENT 5
#define POOL_CHANCE_PERCENT 50 /* where so many claims were denied, the rest may be chance */
#define POOL_CLAIMS_MIN 10
/* a process's guesses that were confirmed, before one that was not is believed */
#define POOL_AGREED_MIN 10
#define POOL_HOPS_PERCENT 5

enum last_read { READ_NOTHING, READ_REQUEST, READ_ANSWER };

struct thread {
	uint64_t key, id; /* `id` is never used again */
	struct list by_use, by_user;
	uint32_t pid;
	uint64_t current;     /* server node that it works for; 0 nobody */
	enum last_read read;  /* what it read last, not yet followed by an answer written */
	uint64_t read_call;   /* client node whose answer that was; 0: several came at once */
	bool answer_idle;     /* nothing was written since it read an answer */
	bool tasks;           /* it runs tasks, which go on when all was read that had come */
	uint64_t read_ts;     /* of what it read last */
	uint64_t awake_since; /* its first event since it last slept */
	uint16_t sleeps;
	uint8_t turn;         /* the event loop's; 0: none, or not known */
	uint64_t inside;      /* client node made within a call since it last read; 0 none */
	uint64_t wrote;       /* server node that it answered since it last read; 0 none */
	uint64_t claimed;     /* client node that this answer claimed */
	unsigned serving;     /* server nodes under way that it read */
	unsigned calling;     /* client nodes under way that it wrote */
	uint64_t calling_for; /* server node of the last of them */
	bool shared;          /* it does several things at once */
	uint64_t segment[SEGMENT_MAX]; /* calls without an owner since it last wrote an answer */
	unsigned n_segment;
	bool segment_spoilt; /* more calls than fit */
};

/* A connection that is being made. Many are made and never asked anything. */
struct owner {
	uint64_t sock;
	struct list by_use;
	uint64_t ts;      /* of its connect() */
	uint64_t request; /* server node */
};

/*
 * What was learnt of the calls of a process to one peer; and, under process_key(), of all its
 * calls.
 */
struct pool {
	uint64_t key;
	struct list by_use, by_user;
	uint32_t pid;
	/* calls with nothing but last-read; those that outlived their request */
	unsigned guesses, vetoes;
	unsigned claims, denied; /* of shared threads; those that last-read had not foreseen */
	/* calls answered; those on another thread than they were made on */
	unsigned calls, hops;
};

/* A process, as long as something of it is remembered. */
struct user {
	struct list threads, pools;
};

static uint64_t process_key(uint32_t pid)
{
	return table__mix(pid, 1);
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
	if (t->last_thread == th)
		t->last_thread = NULL;
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

/*
 * Goroutines change threads while they wait, and threads goroutines; so do the tasks of Rust's
 * executors. Such a program is known before its threads are seen to do several things at once.
 */
static bool runs_tasks(const struct tracer *t, uint32_t pid)
{
	const char *in = t->cfg.processes ? processes__language(t->cfg.processes, pid) : NULL;

	return in && (strcmp(in, "go") == 0 || strcmp(in, "rust") == 0);
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
	th->shared = th->tasks = runs_tasks(t, pid);
	list__init(&th->by_use);
	list__append(&u->threads, &th->by_user);
	return th;
}

static struct thread *thread_of(struct tracer *t, uint32_t pid, uint32_t tid)
{
	uint64_t key = node__thread_key(pid, tid);
	struct thread *th = t->last_thread;

	/* What a thread does comes in one piece, mostly. */
	if (th && th->key == key)
		return th;
	th = table__get(&t->threads, key);
	if (!th)
		th = thread__new(t, key, pid);
	t->last_thread = th;
	if (th) {
		list__remove(&th->by_use);
		list__append(&t->threads_by_use, &th->by_use);
	}
	return th;
}

static struct pool *pool__new(struct tracer *t, uint64_t key, uint32_t pid)
{
	/* Judged after its process ended: nobody will ask, and nothing would take it away. */
	struct user *u = table__get(&t->users, pid);

	if (!u)
		return NULL;
	if (t->pools.used >= POOLS_MAX && !list__empty(&t->pools_by_use))
		forget_pool(t, LIST_OF(t->pools_by_use.next, struct pool, by_use));
	struct pool *p = calloc(1, sizeof(*p));

	/* Making room may have taken the last of this process. */
	u = user_of(t, pid);
	if (!p || !u || !table__put(&t->pools, key, p)) {
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

/*
 * One more of `of`, and of `what` if so. Both are halved now and then, so that their ratio follows
 * the present.
 */
static void book(unsigned *of, unsigned *what, bool so)
{
	if (*of >= POOL_SAMPLES_MAX) {
		*of /= 2;
		*what /= 2;
	}
	++*of;
	*what += so;
}

static void book_claim(struct tracer *t, const struct node *call, bool foreseen)
{
	const uint64_t keys[] = { call->pool, process_key(call->pid) };

	for (size_t i = 0; i < 2; i++) {
		struct pool *p = pool_of(t, keys[i], call->pid);

		if (p)
			book(&p->claims, &p->denied, !foreseen);
	}
}

static bool often(unsigned what, unsigned of, unsigned percent)
{
	return (uint64_t)what * 100 > (uint64_t)of * percent;
}

/*
 * Calls to this peer are answered on whatever thread: what a thread does next says little about
 * them.
 */
static bool hops(const struct tracer *t, const struct node *call)
{
	const struct pool *p = table__get(&t->pools, call->pool);

	return (call->answerer && call->answerer != call->thread) ||
	       (p && often(p->hops, p->calls, POOL_HOPS_PERCENT));
}

/*
 * Is a thread that had to do with this call shared, as far as is known now? What was known once
 * stays known.
 */
static bool on_shared(const struct tracer *t, struct node *call)
{
	const uint64_t keys[] = { call->thread, call->claimer };

	for (size_t i = 0; i < 2 && !call->shared; i++) {
		const struct thread *th = keys[i] ? table__get(&t->threads, keys[i]) : NULL;

		call->shared = th && th->shared;
	}
	return call->shared || hops(t, call);
}

/* The server node that the thread works for and that is still under way. */
static struct node *current(struct tracer *t, const struct thread *th)
{
	struct node *n = node__by_id(t, th->current);

	return n && !n->ended ? n : NULL;
}

struct node *thread__serves(struct tracer *t, uint32_t pid, uint32_t tid)
{
	const struct thread *th = table__get(&t->threads, node__thread_key(pid, tid));
	struct node *n = th && !th->shared && th->serving == 1 ? current(t, th) : NULL;

	return n && n->thread == th->key ? n : NULL;
}

/* An event loop that slept did so because it had nothing more to do for what it had read. */
static void awake(struct tracer *t, const struct weft_data *d)
{
	/* A packet capture has no threads. */
	struct thread *th = d->h.pid ? thread_of(t, d->h.pid, d->h.tid) : NULL;

	if (th)
		th->turn = d->loop_turn & (WEFT_TURN_WHOLE - 1);
	if (th && (th->sleeps != d->sleeps || !th->awake_since)) {
		th->sleeps = d->sleeps;
		th->awake_since = d->h.ts;
	}
}

/* Connections that were made and never used, for requests that are over: a few are looked at each time one is made. */
static void forget_unused(struct tracer *t)
{
	for (int i = 0; i < 4 && !list__empty(&t->owners_by_use); i++) {
		struct owner *o = LIST_OF(t->owners_by_use.next, struct owner, by_use);

		list__remove(&o->by_use);
		list__append(&t->owners_by_use, &o->by_use);
		if (!node__by_id(t, o->request))
			forget_owner(t, o);
	}
}

/* Only a connection's first call belongs to whoever connected it: most wait here for an instant. */
static void connecting(struct tracer *t, const struct weft_connect *c)
{
	struct thread *th = thread_of(t, c->h.pid, c->h.tid);
	struct node *request = th ? current(t, th) : NULL;

	forget_owner(t, table__get(&t->owners, c->sock));
	forget_unused(t);
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
	const struct weft_open *wire = &conn__wire(c)->open;
	struct owner *o = c->called ? NULL : table__get(&t->owners, wire->sock);
	struct node *request = o && o->ts == wire->start_ts ? node__by_id(t, o->request) : NULL;

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
	th->inside = 0;
	th->read_ts = n->start;
	th->current = n->id;
	th->wrote = 0;
	if (th->serving++ || th->calling)
		th->shared = true;
}

static void call_written(struct tracer *t, struct node *n, struct exchange *x, struct thread *th)
{
	const struct weft_addr *peer = &x->conn->open.remote;
	bool first = !x->conn->called;
	struct node *owner = connected_for(t, x->conn);
	uint64_t ip;

	memcpy(&ip, peer->ip, 8);
	th->answer_idle = false;
	n->thread = th->key;
	n->thread_id = th->id;
	n->turn = th->turn;
	n->pool = table__mix(table__mix(n->pid, ip), peer->port | 1ull << 32);
	bool made_for_it = owner && !owner->ended;

	n->maker_unseen = first && !made_for_it;
	if (!made_for_it) {
		owner = current(t, th);
		n->slept = th->awake_since > th->read_ts;
	}
	if (made_for_it || !owner)
		node__start_with_connect(n, x);
	n->guess = owner ? owner->id : 0;
	if (th->calling++ && (!owner || th->calling_for != owner->id))
		th->shared = true;
	th->calling_for = n->guess;
	if (n->inside) {
		n->inside_before = th->inside;
		th->inside = n->id;
	}
	if (owner && owner->pid == n->pid) {
		bool alone = th->serving == 1 && !th->shared && owner->thread == n->thread;

		node__propose(n, owner, alone ? EVIDENCE_THREAD : EVIDENCE_LAST_READ);
	} else if (n->inside) {
		/* found through th->inside */
	} else if (th->n_segment < SEGMENT_MAX) {
		th->segment[th->n_segment++] = n->id;
	} else {
		th->segment_spoilt = true;
	}
}

/* Something happened on this thread, nobody knows when: nothing follows from its order. */
static void unsettle(struct thread *th)
{
	th->read = READ_NOTHING;
	th->current = th->wrote = 0;
	th->segment_spoilt = true;
}

static void begin(struct tracer *t, struct node *n, struct exchange *x, uint32_t req_pos)
{
	if (n->third_party || req_pos != x->req_pos)
		return;
	struct thread *th = thread_of(t, n->pid, n->tid);

	if (!th)
		return;
	if (x->conn->late)
		unsettle(th);
	else if (n->server)
		request_read(t, n, th);
	else
		call_written(t, n, x, th);
}

/*
 * This call was made for this request, says what was written after its answer was read on thread
 * `key`.
 */
static void claim(struct tracer *t, struct node *call, struct node *request, uint64_t key)
{
	if (!call || call->server || call->pid != request->pid || call->evidence == EVIDENCE_SOCKET)
		return;
	if (call->claimer && call->parent != request)
		call->backward_clash = true;
	call->claimer = key;
	if (on_shared(t, call))
		book_claim(t, call, call->guess == request->id && !call->slept);
	if (call->start < request->start)
		return;
	node__propose(call, request, EVIDENCE_BACKWARD);
}

/*
 * A call that was made and answered within a function of the thread's is no reading: it belongs to
 * what the thread did before and after. The request that it answers next made all of them. When a
 * shared thread answers two without reading anything, nobody knows which; any other thread does one
 * thing after the other.
 */
static void claim_inside(struct tracer *t, struct node *request, struct thread *th, uint64_t key)
{
	struct node *call;

	for (uint64_t id = th->inside; (call = node__by_id(t, id)); id = call->inside_before) {
		if (call->claimer == key && call->parent == request)
			continue;
		if (th->awake_since > th->read_ts)
			call->slept = true;
		claim(t, call, request, key);
	}
	if (!th->shared)
		th->inside = 0;
}

static void answer_written(struct tracer *t, struct node *request, struct thread *th, uint64_t key)
{
	struct node *call = NULL;

	claim_inside(t, request, th, key);
	if (th->read == READ_ANSWER && th->read_call) {
		call = node__by_id(t, th->read_call);
		if (call && th->awake_since > th->read_ts)
			call->slept = true;
		claim(t, call, request, key);
	} else if (th->read == READ_NOTHING && th->wrote && th->wrote != request->id)
		call = node__by_id(t, th->claimed);
	/*
	 * Two answers written after one read: where a thread does several things at once, whose it
	 * was is anybody's guess. A worker does one thing after the other.
	 */
	if (call && th->read == READ_NOTHING)
		call->claimer_answered_twice = true;
	/*
	 * A worker that answers for the thread that read the request: all it called since its last
	 * answer.
	 */
	if (key != request->thread && !th->shared && !th->segment_spoilt)
		for (unsigned i = 0; i < th->n_segment; i++)
			claim(t, node__by_id(t, th->segment[i]), request, key);
	th->answer_idle = false;
	if (th->read != READ_NOTHING) {
		th->wrote = request->id;
		th->claimed = call ? call->id : 0;
	}
	th->read = READ_NOTHING;
	th->n_segment = 0;
	th->segment_spoilt = false;
}

/* What the thread did until now may have been for a request that nobody saw. */
static void strange_answer(struct tracer *t, uint32_t pid, uint32_t tid)
{
	struct thread *th = table__get(&t->threads, node__thread_key(pid, tid));

	if (!th)
		return;
	th->read = READ_NOTHING;
	th->inside = th->wrote = th->claimed = 0;
	th->n_segment = 0;
	th->segment_spoilt = false;
}

/* A part of the answer to a call was read. */
static void answer_read(struct tracer *t, struct node *call, struct thread *th, uint64_t key,
			uint64_t ts)
{
	/* What the thread does then follows from the last answer no more than from the others. */
	bool together = th->read_ts == ts ||
			(th->tasks && th->answer_idle && th->read_ts >= th->awake_since);
	bool several = th->read == READ_ANSWER && together && th->read_call != call->id;
	struct pool *p = call->answerer ? NULL : pool_of(t, call->pool, call->pid);

	if (p)
		book(&p->calls, &p->hops, key != call->thread);
	if (!call->answerer) {
		call->answerer = key;
		call->waited = th->turn && th->turn == call->turn && key == call->thread;
	}
	th->read = READ_ANSWER;
	th->inside = 0;
	th->read_ts = ts;
	th->read_call = several ? 0 : call->id;
	th->answer_idle = true;
	th->wrote = 0;
	th->current = call->parent && call->parent->server ? call->parent->id : 0;
}

static void moved(struct tracer *t, struct node *n, enum proto_dir dir, uint32_t tid, uint64_t ts)
{
	struct thread *th = n->third_party ? NULL : thread_of(t, n->pid, tid);

	if (!th)
		return;
	if (n->x && n->x->conn->late) {
		unsettle(th);
	} else if (n->server && dir == PROTO_REQ) {
		if (th->current != n->id)
			th->inside = 0;
		th->read = READ_REQUEST;
		th->read_ts = ts;
		th->current = n->id;
		th->wrote = 0;
	} else if (n->server) {
		answer_written(t, n, th, th->key);
	} else if (dir == PROTO_RESP) {
		answer_read(t, n, th, th->key, ts);
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

/* Was last-read right so far, as far as can be known, in this process and for this peer? */
static bool guesses_hold(const struct tracer *t, const struct node *call)
{
	const struct pool *all = table__get(&t->pools, process_key(call->pid)),
			  *p = table__get(&t->pools, call->pool);

	if (!all || !p || all->claims - all->denied < POOL_AGREED_MIN)
		return false;
	if (often(all->denied, all->claims, POOL_DENIED_PERCENT) ||
	    often(p->denied, p->claims, POOL_DENIED_PERCENT))
		return false;
	return p->guesses < POOL_SAMPLES_MIN || !often(p->vetoes, p->guesses, POOL_VETOED_PERCENT);
}

static bool mostly_denied(const struct pool *p)
{
	return p && p->claims >= POOL_CLAIMS_MIN &&
	       often(p->denied, p->claims, POOL_CHANCE_PERCENT);
}

/* Where most claims were denied, to this peer or at all, the others may agree by chance. */
static bool by_chance(const struct tracer *t, const struct node *call)
{
	return mostly_denied(table__get(&t->pools, call->pool)) ||
	       mostly_denied(table__get(&t->pools, process_key(call->pid)));
}

bool thread__holds(struct tracer *t, struct node *call, bool outside)
{
	bool shared = on_shared(t, call);
	struct pool *p;

	/* The callback layer knows what followed from what: the rules here would only guess. */
	if (call->loop_whole && call->evidence <= EVIDENCE_BACKWARD)
		return false;

	if (call->evidence == EVIDENCE_THREAD && shared)
		call->evidence = EVIDENCE_LAST_READ;
	switch (call->evidence) {
	case EVIDENCE_BACKWARD:
		/* Where its runtime tells units of work, and told none: two witnesses may be wrong. */
		if (call->backward_clash ||
		    (shared && (call->waited || call->unit_told || call->claimer_answered_twice)))
			return false;
		return !shared ||
		       (call->guess == call->parent->id && !call->slept && !by_chance(t, call));
	case EVIDENCE_LAST_READ:
		p = pool_of(t, call->pool, call->pid);
		if (p)
			book(&p->guesses, &p->vetoes, outside);
		/* A runtime that tells its units knows better than a guess, also when it knows none. */
		return !call->unit_told && !call->claimer && !call->slept && !call->maker_unseen &&
		       guesses_hold(t, call);
	default: return true;
	}
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
	.awake = awake,
	.connecting = connecting,
	.begin = begin,
	.moved = moved,
	.strange_answer = strange_answer,
	.ended = ended,
	.process_exit = process_exit,
	.free = free_all,
};

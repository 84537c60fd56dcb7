/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Units of work, where a runtime carries one from callback to callback and from thread to thread: a
 * context of Python's, a goroutine. Which one runs is read out of the process at a socket call; of
 * which request it is, is kept here, as a label:
 *
 *   - What reads from a connection that the process serves works for that connection's request.
 *   - What a unit begets inherits its label, as it is at that moment. Of that the function tells
 *     that begets (PROBE_SPAWN): pointers are used again, so whoever inherits nothing loses what
 *     was there before.
 *   - What is begotten right behind an accept works for the new connection, whose requests come
 *     later (Python: one task serves a connection, and another callback reads for it).
 *   - What answers a second time on a connection, for which something else reads, serves it; so does
 *     what has begotten two that answered there, if nothing else was known of it (Python: a task of a
 *     connection that is older than weft, with a task for each request).
 *
 * In Node.js nothing of that can be seen from outside; where weft's helper is put in (by consent), it
 * numbers the requests and says at each write for which of them it is made. Only what it says counts.
 *
 * Where this does not hold, there is no label rather than a wrong one: a unit that reads for a
 * second connection while it owes the first one an answer is an event loop, and nobody's. Python
 * code outside of Context.run() is in its thread's own context, which never was entered: that is no
 * unit at all.
 */
#ifndef WEFT_UNIT_BPF_H
#define WEFT_UNIT_BPF_H

#include "conn.bpf.h"

/* Does the process have a runtime that is known, and is this still the program that it was? */
static __always_inline int unit__known(struct filter *f, struct task_struct *task)
{
	struct mm_struct *mm;

	if (!(f->bits & FILTER_RUNTIME))
		return 0;
	mm = (void *)CAST_POINTER(task, mm);
	return mm && CAST_READ(mm, start_stack) == f->runtime.space;
}

/* What runs, as the runtime sees it. */
struct unit {
	__u64 id;   /* its address */
	__u64 vars; /* Python: its variables, which a copy shares at first; Go: UNIT_GOROUTINE */
};

#define UNIT_GOROUTINE 1 /* no address */
#define UNIT_NODE 2      /* the same; id: address of the cell */
#define UNIT_UVLOOP 3    /* none runs, in a process that has uvloop: this may be its loop */

/* The beginning of Python's PyContext, the same in 3.7 to 3.13. */
struct python_context {
	__u64 refs, type, prev, vars, weak;
	__s32 entered;
	__u32 pad;
};

static __always_inline int unit__python_context(struct runtime *rt, __u64 at,
						struct python_context *c)
{
	return bpf_probe_read_user(c, sizeof(*c), (void *)at) || c->type != rt->type ? -1 : 0;
}

static __always_inline int unit__python(struct runtime *rt, __u64 fs, struct unit *u)
{
	struct python_context c;
	__u64 state, at;

	if (bpf_probe_read_user(&state, sizeof(state), (void *)(fs + rt->key)) || !state)
		return -1;
	if (bpf_probe_read_user(&at, sizeof(at), (void *)(state + rt->context)) || !at ||
	    unit__python_context(rt, at, &c) || !c.entered)
		return -1;
	u->id = at;
	u->vars = c.vars;
	return 0;
}

/*
 * The goroutine that runs is where thread-local storage has it, unless the program was linked with C
 * that has thread-local variables: it is one if the thread is on its stack. (The first words of
 * runtime.g are the stack's bounds.)
 */
static __always_inline __u64 unit__goroutine(struct task_struct *task, __u64 fs)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	__u64 g, stack[2], sp = PT_REGS_SP_CORE(regs);

	if (bpf_probe_read_user(&g, sizeof(g), (void *)(fs - 8)) || !g ||
	    bpf_probe_read_user(stack, sizeof(stack), (void *)g))
		return 0;
	return stack[0] <= sp && sp < stack[1] ? g : 0;
}

/* Which unit this thread is in; -1, and id 0: in none, or none that can be told. */
__global int unit__current(struct filter *f, struct unit *u)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 fs;

	if (!u)
		return -1;
	*u = (struct unit){};
	if (!f || !unit__known(f, task))
		return -1;
	fs = CAST_READ(task, thread.fsbase);
	if (f->runtime.kind == RUNTIME_PYTHON) {
		if (f->runtime.uvloop)
			u->vars = UNIT_UVLOOP;
		return unit__python(&f->runtime, fs, u);
	}
	if (f->runtime.kind == RUNTIME_GO) {
		u->id = unit__goroutine(task, fs);
		u->vars = UNIT_GOROUTINE;
	}
	if (f->runtime.kind == RUNTIME_NODE && task->pid == task->tgid) {
		u->id = f->runtime.key;
		u->vars = UNIT_NODE;
	}
	return u->id ? 0 : -1;
}

static __always_inline void unit__key(struct label_key *k, __u64 id)
{
	k->unit = id;
	k->tgid = bpf_get_current_pid_tgid() >> 32;
	k->pad = 0;
}

/* A TLS session's key has no top bit, a socket's address has. */
static __always_inline int unit__is_session(__u64 sock)
{
	return !(sock >> 63);
}

static __always_inline struct conn_state *unit__conn(__u64 sock, __u64 ino)
{
	struct conn_state *st = bpf_map_lookup_elem(&conns, &sock);

	return st && st->ino == ino ? st : NULL;
}

/*
 * What was accepted is a socket; if that carries TLS, requests are read from the session. (While
 * it is not known which, user space finds out what is meant.)
 */
static __always_inline struct conn_state *unit__plaintext(struct conn_state *st)
{
	__u64 key = st->policy.other;
	struct conn_state *session;

	if (!key || unit__is_session(st->sock))
		return st;
	session = bpf_map_lookup_elem(&conns, &key);
	return session && session->policy.other == st->sock ? session : st;
}

/*
 * What a label says at this moment, if anything: a connection and how far it has been read. Where
 * the unit did not read that far itself, it may be ahead of what the unit is at.
 */
static __always_inline int unit__resolve(struct label *l, struct label *out)
{
	struct conn_state *st;

	*out = *l;
	if (l->how == LABEL_AT)
		return 0;
	if (l->how != LABEL_SERVES)
		return -1;
	st = unit__conn(l->sock, l->ino);
	if (!st || (l->by_child && st->bits & CONN_MIXED))
		return -1;
	st = unit__plaintext(st);
	if (!st->conn || st->turn_dir > WEFT_IN)
		return -1;
	out->how = LABEL_AT;
	out->conn = st->conn;
	out->pos = st->next[WEFT_IN];
	out->ahead = l->conn != out->conn || l->pos != out->pos;
	return 0;
}

static __always_inline struct unit_thread *unit__thread(void)
{
	return bpf_task_storage_get(&unit_threads, bpf_get_current_task_btf(), 0, 0);
}

/* Does the unit run as a callback of uvloop's? Then its context says nothing, but the callback. */
static __always_inline int unit__is_callback(const struct unit_thread *t, __u64 unit)
{
	return t && t->uv && unit && t->uv_context == unit;
}

/* The callback works for what has just been read, if that is known. */
static __always_inline int unit__of_callback(const struct unit_thread *t, struct label *out)
{
	struct conn_state *st = t->uv == CALLBACK_SERVED ? unit__conn(t->uv_sock, t->uv_ino) : NULL;

	if (!st || !st->conn)
		return -1;
	*out = (struct label){ .sock = st->sock,
			       .ino = st->ino,
			       .conn = st->conn,
			       .pos = st->next[WEFT_IN],
			       .how = LABEL_AT };
	return 0;
}

static __always_inline void unit__put(struct label_key *k, struct label *l)
{
	if (bpf_map_update_elem(&labels, k, l, BPF_ANY)) {
		/* an old label would be a wrong one */
		bpf_map_delete_elem(&labels, k);
		emit__drop(WEFT_DROP_NO_STATE);
	}
}

/* The unit works for this connection from now on. */
static __always_inline void unit__serves(struct label_key *k, struct conn_state *st, __u8 how,
					 __u64 conn, __u8 by_child)
{
	struct label l = { .sock = st->sock,
			   .ino = st->ino,
			   .conn = conn,
			   .pos = st->next[WEFT_IN],
			   .how = how,
			   .by_child = by_child };

	unit__put(k, &l);
}

/* One unit, several connections at once: an event loop. */
static __always_inline void unit__nobody(struct label_key *k)
{
	struct label l = { .how = LABEL_NOBODY };

	unit__put(k, &l);
}

#define UNIT_IS_LOOP 1

/* For whom the unit works at this moment, as unit__resolve() says it; or that it is uvloop's loop. */
static __always_inline int unit__works_for(__u64 unit, struct label *out)
{
	struct unit_thread *t = unit__thread();
	struct label_key k;
	struct label *l;

	if (unit__is_callback(t, unit))
		return unit__of_callback(t, out);
	unit__key(&k, unit);
	l = bpf_map_lookup_elem(&labels, &k);
	if (!l)
		return -1;
	return l->how == LABEL_LOOP ? UNIT_IS_LOOP : unit__resolve(l, out);
}

/* Has the unit itself read what its label names? */
static __always_inline int unit__has_read(const struct unit *u, const struct label *l)
{
	return u->vars == UNIT_GOROUTINE ? l->how == LABEL_AT && !l->inherited
					 : l->how == LABEL_SERVES;
}

/*
 * Something was read on a connection that the process serves. A goroutine that reads a request goes
 * on to serve it; what others read there since, ahead of it, is not its business.
 */
__global int unit__received(struct unit *u, struct conn_state *st)
{
	struct unit_thread *t = unit__thread();
	struct conn_state *other;
	struct label_key k;
	struct label *l;

	/* uvloop's loop has read, not the unit, if its loop runs in one */
	if (!u || !st || (t && t->uv && t->uv_sock == st->sock))
		return 0;
	/* what it calls back reads TLS plaintext */
	if (unit__is_callback(t, u->id)) {
		if (t->uv == CALLBACK_SERVED && unit__is_session(st->sock)) {
			t->uv_sock = st->sock;
			t->uv_ino = st->ino;
		}
		return 0;
	}
	unit__key(&k, u->id);
	l = bpf_map_lookup_elem(&labels, &k);
	if (l && l->how >= LABEL_NOBODY)
		return 0;
	if (l && unit__has_read(u, l) && l->sock != st->sock) {
		/* its ciphertext, which is no request */
		if (unit__is_session(l->sock) && !unit__is_session(st->sock))
			return 0;
		other = unit__conn(l->sock, l->ino);
		if (unit__is_session(l->sock) == unit__is_session(st->sock) && other &&
		    other->turn_dir == WEFT_IN) {
			unit__nobody(&k);
			return 0;
		}
	}
	unit__serves(&k, st, u->vars == UNIT_GOROUTINE ? LABEL_AT : LABEL_SERVES, st->conn, 0);
	return 0;
}

/* Who begot what answers there has answered there itself, as far as nothing better is known. */
static __always_inline void unit__child_answers(__u64 parent, struct conn_state *st)
{
	struct label_key k;
	struct label *l;

	unit__key(&k, parent);
	l = bpf_map_lookup_elem(&labels, &k);
	if (!l)
		unit__serves(&k, st, LABEL_ANSWERED, 0, 0);
	else if (l->how == LABEL_ANSWERED && (l->sock != st->sock || l->ino != st->ino))
		unit__nobody(&k);
	else if (l->how == LABEL_ANSWERED && l->pos != st->next[WEFT_IN])
		unit__serves(&k, st, LABEL_SERVES, 0, 1);
}

/* It was begotten by something that does not serve one connection alone, after all. */
static __always_inline void unit__mixed(struct label *l)
{
	struct conn_state *st = unit__conn(l->sock, l->ino);

	if (st)
		st->bits |= CONN_MIXED;
}

/* An answer begins. */
__global int unit__answers(struct unit *u, struct conn_state *st)
{
	struct label_key k;
	struct label *l;

	if (!u || !st || unit__is_callback(unit__thread(), u->id))
		return 0;
	unit__key(&k, u->id);
	l = bpf_map_lookup_elem(&labels, &k);
	if (l && l->how == LABEL_BORN) {
		unit__child_answers(l->sock, st);
		l = NULL;
	}
	if (!l) {
		unit__serves(&k, st, LABEL_ANSWERED, 0, 0);
		return 0;
	}
	if (l->how >= LABEL_NOBODY)
		return 0;
	if (unit__is_session(l->sock) != unit__is_session(st->sock)) {
		if (unit__is_session(st->sock) &&
		    (st->policy.other != l->sock || (l->how == LABEL_AT && l->conn != st->conn)))
			unit__serves(&k, st, LABEL_ANSWERED, 0, 0);
		return 0;
	}
	if (l->how == LABEL_AT) {
		if (l->by_child && l->sock != st->sock)
			unit__mixed(l);
		return 0;
	}
	if (l->sock != st->sock || l->ino != st->ino)
		unit__nobody(&k);
	else if (l->how == LABEL_ANSWERED && l->pos != st->next[WEFT_IN])
		unit__serves(&k, st, LABEL_SERVES, 0, 0);
	return 0;
}

/*
 * Node: the request that the helper names is the one that was read last when so much had been read
 * of its connection, as JavaScript counts it: from the connection's beginning, so what came
 * before weft counts too.
 */
static __always_inline int unit__of_cell(struct node_work *w, struct label *out)
{
	struct conn_state *st;
	struct sock *sk;

	if (w->fd < 0)
		return -1;
	sk = (void *)sock__of_fd(w->fd);
	st = sk ? unit__conn((__u64)sk, sock__inode(sk)) : NULL;
	if (st && w->flags & NODE_OWNER_TLS) {
		/* its bytes are counted from where weft first saw it */
		st = unit__plaintext(st);
		if (!unit__is_session(st->sock) || !(st->bits & CONN_BORN))
			return -1;
	}
	if (!st || !st->conn)
		return -1;
	out->sock = st->sock;
	out->ino = st->ino;
	out->conn = st->conn;
	out->stream = w->stream;
	out->how = LABEL_AT;
	if (unit__is_session(st->sock)) {
		out->pos = w->pos;
	} else if (sock__counts(sk, st->family)) {
		out->pos = sock__first_in(sk) + w->pos;
	} else {
		out->pos = st->next[WEFT_IN];
		out->ahead = 1;
	}
	return 0;
}

/*
 * Node: for whom does the main thread write? What was found out of a request is kept, as its
 * connection may be closed, or read further, when the next call is made for it. The answer is in
 * unit_thread.node, which is empty for nobody that is known; not on the stack, which is short.
 */
__global int unit__of_node(__u64 at)
{
	struct filter *f = filter__current(bpf_get_current_task_btf());
	struct unit_thread *t = bpf_task_storage_get(&unit_threads, bpf_get_current_task_btf(), 0,
						     BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct label_key k;
	struct label *l;
	__u64 key;

	if (!t || !f)
		return 0;
	__builtin_memset(&t->node, 0, sizeof(t->node));
	if (bpf_probe_read_user(&key, sizeof(key), (void *)at) || key != f->runtime.type ||
	    bpf_probe_read_user(&t->work, sizeof(t->work),
				(void *)(at + NODE_KEY_LEN + sizeof(__s32))) ||
	    t->work.state != NODE_AT_WORK || !t->work.writing || t->work.serial <= 0)
		return 0;
	unit__key(&k, t->work.serial);
	l = bpf_map_lookup_elem(&labels, &k);
	if (l)
		t->node = *l;
	else if (!unit__of_cell(&t->work, &t->node))
		unit__put(&k, &t->node);
	return 0;
}

/* Go: what was said of what is written next on the connection. */
static __always_inline int unit__of_owner(struct conn_state *st, struct label *out)
{
	struct owner *o;
	__u64 key = st->sock;

	o = bpf_map_lookup_elem(&owners, &key);
	if (!o || o->ino != st->ino)
		return 0;
	out->conn = o->conn;
	out->pos = o->pos;
	out->stream = o->stream;
	out->ahead = o->ahead;
	out->sock = o->label_sock;
	out->ino = o->label_ino;
	return 1;
}

/*
 * uvloop: what was said of what is written now, and is not true any more of what is written next.
 * Where a unit writes, not the loop, *now is for whom; with what others had queued there it is
 * nobody's.
 */
static __always_inline void unit__of_queue(struct conn_state *st, struct label *now, int loop)
{
	struct label queued = {};
	__u64 key = st->sock;

	if (!unit__of_owner(st, &queued))
		return;
	if (loop)
		*now = queued;
	else if (queued.conn != now->conn || queued.pos != now->pos)
		*now = (struct label){};
	bpf_map_delete_elem(&owners, &key);
}

/*
 * Before something is told that this thread does as a client: for whom it does that, if that is
 * another than when it was last told. `u` is what unit__current() said; `st`, that it writes there
 * (NULL: it does something else). Returns -1 where that should have been told and could not be; then
 * what follows may not be told either.
 */
__global int unit__tell(struct unit *u, struct conn_state *st, __u32 pid, __u32 tid)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct label now = {};
	struct unit_thread *t;
	struct weft_unit *e;
	int in, loop;

	if (!u)
		return 0;
	in = st && u->vars == UNIT_GOROUTINE && unit__of_owner(st, &now);
	loop = u->vars == UNIT_UVLOOP;
	if (u->vars == UNIT_NODE) {
		/* that it knows nobody is said, too: guesses are worse than that */
		in = 1;
	} else if (!in && u->id) {
		in = unit__works_for(u->id, &now);
		if (in)
			now = (struct label){};
		loop = in == UNIT_IS_LOOP;
		in = 1;
	}
	if (st && u->vars != UNIT_GOROUTINE && u->vars != UNIT_NODE) {
		in |= loop;
		unit__of_queue(st, &now, loop);
	}
	t = bpf_task_storage_get(&unit_threads, task, 0, in ? BPF_LOCAL_STORAGE_GET_F_CREATE : 0);
	if (!t) {
		if (in)
			emit__drop(WEFT_DROP_NO_STATE);
		return in ? -1 : 0;
	}
	if (!t->told && !in)
		return 0;
	if (st && u->vars == UNIT_NODE)
		now = t->node;
	if (t->told && t->conn == now.conn && t->pos == now.pos && t->stream == now.stream &&
	    t->ahead == now.ahead)
		return 0;
	e = emit__reserve(sizeof(*e));
	if (!e)
		return -1;
	emit__header(&e->h, WEFT_EV_UNIT, sizeof(*e), pid, tid, now.conn);
	if (now.ahead)
		e->h.flags = WEFT_F_AHEAD;
	e->pos = now.pos;
	e->stream = now.stream;
	emit__submit(e, WEFT_EV_UNIT);
	t->told = 1;
	t->conn = now.conn;
	t->pos = now.pos;
	t->stream = now.stream;
	t->ahead = now.ahead;
	return 0;
}

/* Of a TLS session whose beginning was not seen, user space says so by its socket's connection. */
static __always_inline int unit__is_served(const struct conn_state *st)
{
	return st->bits & CONN_SERVER || st->policy.role == WEFT_ROLE_SERVER;
}

/*
 * Bytes have passed, in a process whose runtime is known; to be called before they are told of.
 * Returns -1 if they may not be told of.
 */
__global int unit__moved(struct conn_state *st, __u8 dir, __u32 pid, __u32 tid)
{
	struct filter *f = filter__current(bpf_get_current_task_btf());
	struct unit u;

	if (!f || !st)
		return 0;
	if (!unit__is_served(st)) {
		if (dir != WEFT_OUT)
			return 0;
		unit__current(f, &u);
		if (u.vars == UNIT_NODE)
			unit__of_node(u.id);
		return unit__tell(&u, st, pid, tid);
	}
	if (dir == WEFT_OUT && st->turn_dir != WEFT_IN)
		return 0;
	if (unit__current(f, &u))
		return 0;
	/* Node: a request's answer begins, and its connection is not read further yet */
	if (u.vars == UNIT_NODE)
		return dir == WEFT_OUT ? unit__of_node(u.id) : 0;
	if (dir == WEFT_IN)
		return unit__received(&u, st);
	/* who answers in Go may be anybody: a hub that tells all its clients something */
	return u.vars == UNIT_GOROUTINE ? 0 : unit__answers(&u, st);
}

/* A connection was accepted: what is begotten next, in the same unit, serves it. */
__global int unit__accepted(struct filter *f, __u64 sock)
{
	struct unit_thread *t;
	struct unit u;

	if (!f || !sock || f->runtime.kind != RUNTIME_PYTHON)
		return 0;
	t = unit__thread();
	if (t)
		t->uv = CALLBACK_NONE;
	if (unit__current(f, &u))
		return 0;
	t = bpf_task_storage_get(&unit_threads, bpf_get_current_task_btf(), 0,
				 BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!t)
		return 0;
	t->accepted = sock;
	t->accepted_ino = sock__inode((void *)sock);
	t->accepted_in = u.id;
	return 0;
}

/* The label of a new unit whose parent is the one that runs. */
static __always_inline int unit__inherited(struct unit *u, struct label *out)
{
	struct unit_thread *t = unit__thread();
	struct label_key k;
	struct label *l;

	if (unit__is_callback(t, u->id)) {
		if (t->uv != CALLBACK_MADE)
			return unit__of_callback(t, out);
		*out = (struct label){ .sock = t->uv_sock, .ino = t->uv_ino, .how = LABEL_SERVES };
		return 0;
	}
	if (t && t->accepted && t->accepted_in == u->id) {
		*out = (struct label){ .sock = t->accepted,
				       .ino = t->accepted_ino,
				       .how = LABEL_SERVES };
		t->accepted = 0;
		return 0;
	}
	unit__key(&k, u->id);
	l = bpf_map_lookup_elem(&labels, &k);
	if ((!l || l->how == LABEL_ANSWERED) && u->vars != UNIT_GOROUTINE) {
		*out = (struct label){ .sock = u->id, .how = LABEL_BORN };
		return 0;
	}
	if (!l || l->how >= LABEL_ANSWERED)
		return -1;
	/* nothing read so far: whoever serves the connection may be a descendant */
	if (unit__resolve(l, out))
		*out = *l;
	return 0;
}

#define UNIT_ANY_VARS (~0ULL)

/*
 * Python: a context was made as a copy, of the one that runs if it has that one's variables: those
 * are `vars`, or (0) it has them by now. One without any (UNIT_ANY_VARS) is for what the one that
 * runs wants to be done with none.
 */
__global int unit__spawned(struct filter *f, __u64 child, __u64 vars)
{
	struct python_context c;
	struct label_key k;
	struct label l = {};
	struct unit u;
	int known;

	if (!f || !child)
		return 0;
	known = !unit__current(f, &u);
	if (known && !vars) {
		if (unit__python_context(&f->runtime, child, &c))
			known = 0;
		else
			vars = c.vars;
	}
	known = known && (vars == UNIT_ANY_VARS || vars == u.vars);
	unit__key(&k, child);
	if (known && !unit__inherited(&u, &l))
		unit__put(&k, &l);
	else if (bpf_map_lookup_elem(&labels, &k)) /* to look is half of what deleting takes */
		bpf_map_delete_elem(&labels, &k);
	return 0;
}

#endif /* WEFT_UNIT_BPF_H */

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trace context that travels beside the bytes (propagate.bpf.c sends and receives it): what user
 * space is told of it, and for which request a thread works.
 *
 * A request that is read without a context gets a trace id here when the first call is made for it,
 * so that all calls made for it have the same. For which request a call is made must be known at the
 * moment of the write: the runtime's unit of work says it, elsewhere the thread does, if just one of
 * those that it has read is not answered yet. Otherwise the call gets a trace id of its own.
 */
#ifndef WEFT_CONTEXT_BPF_H
#define WEFT_CONTEXT_BPF_H

#include "unit.bpf.h"

static __always_inline int context__wanted(void)
{
	struct settings *s = filter__settings();

	return s && s->propagate;
}

static __always_inline struct trace_context *context__find(__u64 sock, __u32 pos, __u32 what)
{
	struct context_key k = { .sock = sock, .pos = pos, .what = what };

	return bpf_map_lookup_elem(&contexts, &k);
}

static __always_inline int context__put(__u64 sock, __u32 pos, __u32 what, struct trace_context *c)
{
	struct context_key k = { .sock = sock, .pos = pos, .what = what };

	return bpf_map_update_elem(&contexts, &k, c, BPF_ANY);
}

static __always_inline void context__random(__u8 *id, int words)
{
	__u32 w;

	for (int i = 0; i < words; i++) {
		w = bpf_get_prandom_u32();
		__builtin_memcpy(id + 4 * i, &w, 4);
	}
}

/* Bytes of `st` from `off` are about to be told of: before them, the context that is theirs. */
__global int context__tell(struct conn_state *st, __u32 off, __u8 dir, __u32 pid, __u32 tid)
{
	struct weft_context *e;
	struct trace_context *c;

	if (!st)
		return 0;
	c = context__find(st->sock, off, dir);
	if (!c || c->at == CONTEXT_TOLD || c->at == CONTEXT_LATE)
		return 0;
	if (c->at == CONTEXT_READY) {
		c->at = CONTEXT_LATE;
		return 0;
	}
	e = emit__reserve(sizeof(*e));
	if (!e)
		return 0;
	c->at = CONTEXT_TOLD;
	emit__header(&e->h, WEFT_EV_CONTEXT, sizeof(*e), pid, tid, st->conn);
	e->pos = off;
	e->dir = dir;
	e->pad[0] = e->pad[1] = e->pad[2] = 0;
	e->cause = c->cause;
	e->cause_pos = c->cause_pos;
	e->pad2 = 0;
	__builtin_memcpy(e->trace_id, c->trace_id, 16);
	__builtin_memcpy(e->span_id, c->span_id, 8);
	emit__submit(e, WEFT_EV_CONTEXT);
	return 0;
}

/* Is it one that was read and is not answered yet? */
static __always_inline int context__open(struct serving_one *of)
{
	struct conn_state *st = of->sock ? unit__conn(of->sock, of->ino) : NULL;

	return st && st->turn_dir == WEFT_IN && st->asked == of->asked;
}

/* The thread has begun to read a request. */
__global int context__serves(struct conn_state *st)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 key = compat__number(task);
	struct serving fresh = {}, *s;
	__u32 i;

	if (!st)
		return 0;
	s = bpf_map_lookup_elem(&serving, &key);
	if (!s || s->tid != (__u32)task->pid) {
		fresh.tid = task->pid;
		bpf_map_update_elem(&serving, &key, &fresh, BPF_ANY);
		s = bpf_map_lookup_elem(&serving, &key);
		if (!s)
			return 0;
	}
	i = s->n++ % SERVING_MAX;
	if (s->of[i].sock != st->sock && context__open(&s->of[i]))
		s->crowded = 1;
	s->of[i].sock = st->sock;
	s->of[i].ino = st->ino;
	s->of[i].asked = st->asked;
	return 0;
}

/* Bytes were read from `off` on, and are about to be told of. */
static __always_inline void context__read(struct conn_state *st, __u32 off)
{
	if (st->turn_dir == WEFT_IN)
		return;
	st->asked = off;
	if (st->bits & CONN_SERVER && context__wanted())
		context__serves(st);
}

/* The one request that the thread has read and not answered; NULL: none, or several. */
static __always_inline struct conn_state *context__by_thread(struct task_struct *task)
{
	__u64 key = compat__number(task);
	struct serving *s = bpf_map_lookup_elem(&serving, &key);
	struct serving_one *one = NULL;

	if (!s || s->tid != (__u32)task->pid || s->crowded)
		return NULL;
	for (int i = 0; i < SERVING_MAX; i++) {
		if (!context__open(&s->of[i]))
			continue;
		/* a connection stands there as often as it was read from */
		if (one && one->sock != s->of[i].sock)
			return NULL;
		one = &s->of[i];
	}
	return one ? unit__conn(one->sock, one->ino) : NULL;
}

/* The request that the unit of work is for; of it nothing may have been read since. */
static __always_inline struct conn_state *context__by_unit(struct unit *unit,
							   struct conn_state *out)
{
	struct label now = {}, *l;
	struct conn_state *st;
	struct label_key k;
	struct unit u = *unit;

	if (u.vars != UNIT_GOROUTINE || !unit__of_owner(out, &now)) {
		if (!u.id)
			return NULL;
		unit__key(&k, u.id);
		l = bpf_map_lookup_elem(&labels, &k);
		if (!l || unit__resolve(l, &now))
			return NULL;
	}
	if (now.stream || !now.conn)
		return NULL;
	st = unit__conn(now.sock, now.ino);
	return st && st->conn == now.conn && st->next[WEFT_IN] == now.pos ? st : NULL;
}

#endif /* WEFT_CONTEXT_BPF_H */

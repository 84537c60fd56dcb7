/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Turns of an event loop: what user space needs to know that two events of a thread lie in one
 * turn, and that nothing which is not told came between them (user/trace/callback.c). The thread
 * asks epoll for what is ready, and then serves one after the other.
 *
 * What was put off, timers above all, is done behind them, in the same turn; where libuv's functions
 * have names (user/probe/libuv.c) it is known when that begins, and it has the number 0.
 *
 * A turn in which something else than stream sockets was ready (a wake-up by another thread, a
 * signal) has the number 0: what the thread did for that can't be told apart. So has one whose
 * descriptors are not to be had, where the program gave epoll something else for its data.
 */
#ifndef WEFT_TURN_BPF_H
#define WEFT_TURN_BPF_H

#include "filter.bpf.h"
#include "sock.bpf.h"

#define TURN_READY_MAX 128    /* a turn in which more was ready has the number 0 */
#define TURN_NO_FD (1U << 22) /* no process has so many descriptors: this is a pointer */
/*
 * A thread whose turns tell of no descriptors goes on like that (nginx has pointers there): after so
 * many only one in 256 is looked at, and all have the number 0.
 */
#define TURN_ALIEN 32

struct turn_ready {
	struct turn *t;
	__u64 events; /* struct epoll_event in user memory */
	__u32 n;
	int other;
};

/* To read user memory costs about the same for one and for eight. */
static __always_inline int turn__read(struct turn_ready *r, __u32 i)
{
	const struct epoll_event *e = (void *)r->events;
	__u64 n = r->n - i;

	barrier_var(n);
	if (n > TURN_AT_ONCE)
		n = TURN_AT_ONCE;
	return bpf_probe_read_user(r->t->ready, n * sizeof(*e), &e[i]);
}

static long turn__look(__u32 i, struct turn_ready *r)
{
	const struct epoll_event *e = (void *)r->t->ready;
	__u32 at = i % TURN_AT_ONCE, fd;

	r->other = 1;
	if (!at && turn__read(r, i))
		return 1;
	fd = e[at].data;
	if (!i && fd < TURN_NO_FD)
		r->t->alien = 0;
	else if (!i && r->t->alien < TURN_ALIEN)
		r->t->alien++;
	r->other = !sock__of_fd(fd);
	return r->other;
}

static __always_inline void turn__advance(struct turn *t)
{
	t->number = t->number == WEFT_TURN_WHOLE - 1 ? 1 : t->number + 1;
}

static __always_inline __u8 turn__as_told(const struct turn *t)
{
	return t && !t->other ? t->number | (t->whole ? WEFT_TURN_WHOLE : 0) : 0;
}

/* The leader's is kept with its filter too, which who tells of bytes has at hand. */
static __always_inline void turn__keep(struct filter *f, struct task_struct *task,
				       const struct turn *t)
{
	if (f && task->pid == task->tgid)
		f->turn = turn__as_told(t);
}

/* epoll_wait() has returned `n` events. */
__subprog int turn__begin(struct filter *f, struct task_struct *task, __u64 events, __s64 n)
{
	struct turn *t = bpf_task_storage_get(&turns, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct turn_ready r = { .t = t, .events = events, .n = n, .other = n > TURN_READY_MAX };

	if (!t)
		return 0;
	turn__advance(t);
	if (n && t->alien == TURN_ALIEN && ++t->unseen)
		r.other = 1;
	if (!r.other)
		bpf_loop(n, turn__look, &r, 0);
	t->other = r.other;
	turn__keep(f, task, t);
	return 0;
}

/* The thread has read something that is not told. */
static __always_inline void turn__break(struct task_struct *task)
{
	struct turn *t = bpf_task_storage_get(&turns, task, 0, 0);

	if (!t)
		return;
	turn__advance(t);
	turn__keep(filter__current(task), task, t);
}

/* All that was ready has been served: timers and the like, until the next turn begins. */
static __always_inline int turn__served(struct task_struct *task)
{
	struct turn *t = bpf_task_storage_get(&turns, task, 0, 0);

	if (!t)
		return 0;
	t->whole = t->other = 1;
	turn__keep(filter__current(task), task, t);
	return 0;
}

/* For weft_data.loop_turn; `f`: the current process's. */
static __always_inline __u8 turn__number(const struct filter *f, struct task_struct *task)
{
	if (task->pid == task->tgid)
		return f ? f->turn : 0;
	return turn__as_told(bpf_task_storage_get(&turns, task, 0, 0));
}

/* The same, for who has no filter at hand. */
__global int turn__now(void)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return turn__number(filter__current(task), task);
}

#endif /* WEFT_TURN_BPF_H */

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Socket functions of the kernel (inet_sendmsg and the like), for the fentry and the kprobe back
 * end: what to do at exit, and what kprobes keep at entry, because they see no arguments at exit.
 * Hooking above TCP means that kTLS gives plaintext, and io_uring is seen as well.
 *
 * sendfile() and splice() come through here in pieces that differ from kernel to kernel (sendpage
 * up to 6.4, kernel iterators after). They are watched as system calls instead, so only user memory
 * counts here.
 */
#ifndef WEFT_MSG_BPF_H
#define WEFT_MSG_BPF_H

#include "io.bpf.h"
#include "sysno.bpf.h"

/* Is the thread inside a system call that is watched as such? */
static __always_inline int msg__is_splice(struct task_struct *task)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	__u64 nr = SYSNO(regs);

	return nr == SYS_sendfile || nr == SYS_splice;
}

/* A call that has returned has moved its iterator on: back over its bytes, segment by segment. */
struct msg_back {
	__u64 at;   /* struct iovec, one of the kernel's */
	__u64 left; /* bytes that lie before it */
	__u32 n;
};

static long msg__back(__u32 i, struct msg_back *b)
{
	__u64 len = cast__number_at(b->at - sizeof(struct iovec) +
				    __builtin_offsetof(struct iovec, iov_len));

	b->at -= sizeof(struct iovec);
	b->n++;
	if (len >= b->left) {
		/* it begins in this one */
		b->left = len - b->left;
		return 1;
	}
	b->left -= len;
	return 0;
}

#define MSG_IOVECS_MAX 1025 /* UIO_MAXIOV, and to see that they were enough */

static __always_inline int msg__back_to_first(struct call *c, struct iov_iter *it, __u64 offset,
					      __u32 ret)
{
	struct msg_back b = { .at = compat__iter_iov(it) };

	/* in one that is not used up: it begins there, or that many bytes before it */
	b.n = offset != 0;
	if (offset >= ret) {
		b.left = offset - ret;
	} else {
		b.left = ret - offset;
		if (bpf_loop(MSG_IOVECS_MAX, msg__back, &b, 0) == MSG_IOVECS_MAX)
			return -1;
	}
	c->base = b.at;
	c->n_iov = b.n;
	c->skip = b.left;
	return b.left > ~0U ? -1 : 0;
}

/*
 * Where the `ret` bytes are of a call that was asked for `size`, when it has returned. Where they are
 * not all that the iterator was moved by, it can't be told: -1.
 */
static __always_inline int msg__iter_after(struct call *c, struct msghdr *msg, __u64 size,
					   __u32 ret)
{
	struct iov_iter *it = (void *)msg + bpf_core_field_offset(struct msghdr, msg_iter);
	__u8 type = CAST_READ(it, iter_type);
	__u64 offset = CAST_READ(it, iov_offset);

	c->base = 0;
	c->skip = c->n_iov = 0;
	if (!compat__iter_is_ubuf(type) && !compat__iter_is_iovec(type)) {
		c->flags = WEFT_F_UNREADABLE; /* io_uring's registered buffers */
		return compat__iter_is_bvec(type) && !msg__is_splice(bpf_get_current_task_btf())
			       ? 0
			       : -1;
	}
	if (!ret)
		return 0;
	if (CAST_READ(it, count) + ret != size || (compat__iter_is_ubuf(type) && offset < ret)) {
		c->flags = WEFT_F_UNREADABLE;
		return 0;
	}
	if (compat__iter_is_ubuf(type))
		c->base = (__u64)CAST_READ(it, ubuf) + offset - ret;
	else if (msg__back_to_first(c, it, offset, ret))
		c->flags = WEFT_F_UNREADABLE;
	return 0;
}

/* Where the bytes are, before the call moves the iterator on. */
static __always_inline int msg__iter(struct call *c, struct msghdr *msg, struct task_struct *task)
{
	struct iov_iter *it = (void *)msg + bpf_core_field_offset(struct msghdr, msg_iter);
	__u8 type = CAST_READ(it, iter_type);
	__u64 offset = CAST_READ(it, iov_offset);

	c->skip = 0;
	c->wants = CAST_READ(it, count) != 0;
	c->n_iov = 0;
	c->flags = 0;
	if (compat__iter_is_ubuf(type)) {
		c->base = (__u64)CAST_READ(it, ubuf) + offset;
	} else if (compat__iter_is_iovec(type)) {
		c->base = compat__iter_iov(it);
		c->n_iov = CAST_READ(it, nr_segs);
		c->skip = offset;
		if (offset > ~0U)
			c->flags = WEFT_F_UNREADABLE;
	} else if (compat__iter_is_bvec(type) && !msg__is_splice(task)) {
		c->flags = WEFT_F_UNREADABLE; /* io_uring's registered buffers */
	} else {
		return -1;
	}
	return 0;
}

static __always_inline int msg__enter(struct socket *sock, struct msghdr *msg, int dir, int flags)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct filter *f = filter__current(task);
	struct sock *sk;
	struct call *c;

	if (!f)
		return 0;
	sk = sock__usable(sock);
	if (!sk)
		return 0;
	if (dir == WEFT_OUT)
		flags = CAST_READ(msg, msg_flags);
	if (flags & (MSG_OOB | (dir == WEFT_IN ? MSG_PEEK | MSG_ERRQUEUE : 0)))
		return 0;
	c = bpf_task_storage_get(&calls, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!c) {
		emit__drop(WEFT_DROP_NO_STATE);
		return 0;
	}
	if (c->active) /* its exit was never seen */
		emit__drop(WEFT_DROP_NO_STATE);
	c->active = 0;
	if (msg__iter(c, msg, task))
		return 0;
	if (dir == WEFT_IN && (flags & MSG_TRUNC))
		c->flags |= WEFT_F_UNREADABLE; /* TCP: bytes are thrown away, not copied */
	c->sk = (__u64)sk;
	c->dir = dir;
	c->pid = f->pid;
	c->tid = filter__tid(task, f->pid);
	c->fd = CALL_FD_LATER;
	c->after = 0;
	c->iov_user = 0;
	c->runtime = !!(f->bits & FILTER_RUNTIME);
	c->turn = turn__number(f, task);
	c->active = 1;
	return 0;
}

static __always_inline int msg__exit(__s64 ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct call *c, now;

	if (!CAST_POINTER(task, bpf_storage))
		return 0;
	c = bpf_task_storage_get(&calls, task, 0, 0);
	if (!c || !c->active)
		return 0;
	c->active = 0;
	now = *c;
	io__done(&now, ret);
	return 0; /* said here, because the verifier wants to know it of fexit programs */
}

/* Threads that were in a call when weft came are seen by syscall_late, which leaves alone the others. */
static __always_inline void msg__passed(struct task_struct *task)
{
	struct settings *s = filter__settings();

	if (s && s->late)
		bpf_task_storage_get(&calls, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
}

/* A call has returned, and nothing was seen of it before. */
static __always_inline int msg__moved(struct socket *sock, struct msghdr *msg, __u64 size, int dir,
				      int flags, int ret)
{
	struct task_struct *task;
	struct conn_state *st;
	struct filter *f;
	struct file *file;
	struct sock *sk;
	struct call c;

	if (ret < 0)
		return 0;
	task = bpf_get_current_task_btf();
	f = filter__current(task);
	if (!f)
		return 0;
	msg__passed(task);
	file = (void *)CAST_POINTER(sock, file);
	sk = CAST_READ(sock, sk); /* a number */
	if (dir == WEFT_OUT)
		flags = msg->msg_flags;
	if (!file || !sk || flags & (MSG_OOB | (dir == WEFT_IN ? MSG_PEEK | MSG_ERRQUEUE : 0)))
		return 0;
	c.flags = 0;
	if (msg__iter_after(&c, msg, size, ret))
		return 0;
	if (dir == WEFT_IN && (flags & MSG_TRUNC))
		c.flags |= WEFT_F_UNREADABLE; /* TCP: bytes are thrown away, not copied */
	c.sk = (__u64)sk;
	c.dir = dir;
	c.pid = f->pid;
	c.tid = filter__tid(task, f->pid);
	c.fd = CALL_FD_LATER;
	c.after = 0;
	c.iov_user = c.active = c.counts = 0;
	c.wants = size != 0;
	c.runtime = !!(f->bits & FILTER_RUNTIME);
	c.turn = turn__number(f, task);
	st = conn__of(sock, (__u64)sk, CAST_READ(CAST_READ(file, f_inode), i_ino));
	if (st)
		io__moved(&c, st, ret);
	return 0;
}

static __always_inline int msg__shutdown(struct socket *sock, int how, int ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct filter *f = filter__current(task);
	struct sock *sk;

	if (!f || ret)
		return 0;
	sk = sock__usable(sock);
	if (sk)
		conn__shutdown(sk, how, f->pid, filter__tid(task, f->pid));
	return 0;
}

/* Unix sockets: born by connect, accept or socketpair. */
static __always_inline int msg__born(struct socket *sock, __u8 bits, int ret)
{
	struct sock *sk;

	if (ret < 0 || !filter__current(bpf_get_current_task_btf()))
		return 0;
	sk = BPF_CORE_READ(sock, sk);
	if (sk && BPF_CORE_READ(sock, type) == SOCK_STREAM)
		conn__born(sk, bits);
	return 0;
}

/* A unit of work that accepts a connection begets another for it. */
static __always_inline int msg__accepted(struct socket *sock, int ret)
{
	struct filter *f;
	struct sock *sk;

	if (ret < 0)
		return 0;
	f = filter__current(bpf_get_current_task_btf());
	if (!f || !(f->bits & FILTER_RUNTIME))
		return 0;
	sk = BPF_CORE_READ(sock, sk);
	unit__accepted(f, compat__number(sk));
	return 0;
}

static __always_inline int msg__release(struct socket *sock)
{
	__u64 key = (__u64)CAST_READ(sock, sk);
	struct conn_state *st = bpf_map_lookup_elem(&conns, &key);

	if (st)
		conn__gone(st);
	return 0;
}

#endif /* WEFT_MSG_BPF_H */

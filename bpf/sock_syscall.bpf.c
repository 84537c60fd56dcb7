// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Back ends 3 and 4: system calls, seen at their exit only, where the saved registers still hold
 * the arguments. tp_btf/sys_exit is the cheapest of all back ends for a selected process and needs
 * no tracefs; its price is a few instructions in every system call of the machine. The classic
 * tracepoint stands behind it.
 *
 * The rare calls (shutdown, connect, accept, socketpair, sendfile, splice) are watched here for
 * every back end that has not a better place for them.
 */
#include "io.bpf.h"
#include "sysno.bpf.h"
#include "task.bpf.h"

/* One finished system call. */
struct sys {
	struct task_struct *task;
	struct pt_regs *regs;
	struct filter *f;
	__s64 ret;
};

static __always_inline void sys__call(struct sys *s, struct call *c, struct sock *sk, __u32 fd,
				      int dir)
{
	c->sk = (__u64)sk;
	c->pid = s->f->pid;
	c->tid = filter__tid(s->task, s->f->pid);
	c->fd = fd;
	c->dir = dir;
	c->wants = 1;
	c->runtime = !!(s->f->bits & FILTER_RUNTIME);
	c->turn = turn__number(s->f, s->task);
}

static __always_inline int sys__skipped(int dir, __u64 flags)
{
	return flags & (MSG_OOB | (dir == WEFT_IN ? MSG_PEEK | MSG_ERRQUEUE : 0));
}

/*
 * Was there room for a byte? Asked only when a read returned nothing. Nobody gives more than a few
 * empty segments.
 */
__global int sys__has_room(struct call *c)
{
	struct iovec v;
	__u32 i;

	if (!c)
		return 0;
	for (i = 0; i < 4 && i < c->n_iov; i++)
		if (!io__segment(c, i, &v) && v.iov_len)
			return 1;
	return c->n_iov > 4;
}

/* A call and, for sendmmsg and recvmmsg, what its messages share. */
struct many {
	struct call c;
	struct conn_state *st;
	__u64 at;    /* struct mmsghdr in user memory */
	__u32 total; /* bytes of the messages not yet handled */
	__u32 flags;
};

/* What is needed of a struct mmsghdr: msg_iov, msg_iovlen; msg_len. */
static __always_inline int sys__header(struct many *m, __u32 i, __u64 iov[2], __u32 *len)
{
	const void *at = (void *)(m->at + i * sizeof(struct mmsghdr));

	if (iov &&
	    bpf_probe_read_user(iov, 16, at + __builtin_offsetof(struct mmsghdr, msg_hdr.msg_iov)))
		return -1;
	return bpf_probe_read_user(len, sizeof(*len),
				   at + __builtin_offsetof(struct mmsghdr, msg_len));
}

static long sys__sum(__u32 i, struct many *m)
{
	__u32 len;

	if (sys__header(m, i, NULL, &len))
		return 1;
	m->total += len;
	return 0;
}

static long sys__one_of_many(__u32 i, struct many *m)
{
	__u64 iov[2];
	__u32 len;

	if (sys__header(m, i, iov, &len))
		return 1;
	m->total -= len;
	m->c.after = m->total;
	m->c.base = iov[0];
	m->c.n_iov = iov[1];
	m->c.flags = m->flags;
	if (!len)
		m->c.wants = sys__has_room(&m->c);
	io__moved(&m->c, m->st, len);
	return 0;
}

/* One event a message; ret is how many. */
static __always_inline void sys__messages(struct many *m, __s64 ret)
{
	m->c.iov_user = 1;
	m->flags = m->c.flags;
	m->total = 0;
	bpf_loop(ret, sys__sum, m, 0);
	bpf_loop(ret, sys__one_of_many, m, 0);
}

static __always_inline int sys__spliced(struct sys *s, struct call *c, __u32 fd, int dir)
{
	struct sock *sk = (void *)sock__of_fd(fd);

	if (!sk || s->ret <= 0)
		return 0;
	*c = (struct call){};
	sys__call(s, c, sk, fd, dir);
	c->flags = WEFT_F_SPLICE | WEFT_F_UNREADABLE;
	io__done(c, s->ret);
	return 0;
}

/* sendfile, splice: for every back end. `c` is room that the caller has: the stack is short. */
__subprog int sys__splice(struct sys *s, struct call *c, int what)
{
	if (what == SYSNO_SENDFILE)
		return sys__spliced(s, c, SYSARG1(s->regs), WEFT_OUT);
	sys__spliced(s, c, SYSARG1(s->regs), WEFT_IN);
	return sys__spliced(s, c, SYSARG3(s->regs), WEFT_OUT);
}

/* 32-bit calls are not decoded; those that moved bytes of a stream socket are counted as lost. */
__subprog int sys__compat(struct sys *s)
{
	__u32 arg = SYSARG1_COMPAT(s->regs);

	if (s->ret <= 0)
		return 0;
	if (SYSNO(s->regs) == SYS_socketcall_compat ? SOCKETCALL_MOVES(arg) : sock__of_fd(arg) != 0)
		emit__drop(WEFT_DROP_COMPAT);
	return 0;
}

/* A Unix socket that this call made or connected. */
static __always_inline void sys__born(struct sys *s, __u32 fd, __u8 bits)
{
	struct sock *sk = (void *)sock__of_fd(fd);

	if (sk && sock__family(sk) == AF_UNIX)
		conn__born(sk, bits);
}

__subprog int sys__socketpair(struct sys *s)
{
	__u32 fds[2];

	if (bpf_probe_read_user(fds, sizeof(fds), (void *)SYSARG4(s->regs)))
		return 0;
	sys__born(s, fds[0], 0);
	sys__born(s, fds[1], 0);
	return 0;
}

__subprog int sys__shutdown(struct sys *s)
{
	struct sock *sk = (void *)sock__of_fd(SYSARG1(s->regs));

	if (sk)
		conn__shutdown(sk, SYSARG2(s->regs), s->f->pid, filter__tid(s->task, s->f->pid));
	return 0;
}

static __always_inline void sys__accepted(struct sys *s)
{
	sys__born(s, s->ret, CONN_SERVER);
	if (s->f->bits & FILTER_RUNTIME)
		unit__accepted(s->f, sock__of_fd(s->ret));
}

/* Code of another file, a library: there may be something to probe in it. */
static __always_inline int sys__mmap(struct sys *s)
{
	if (SYSARG3(s->regs) & PROT_EXEC && (__s32)SYSARG5(s->regs) >= 0)
		task__emit(WEFT_EV_MAP, s->task, s->f->pid, filter__tid(s->task, s->f->pid),
			   task__ppid(s->task));
	return 0;
}

/*
 * Calls of which no bytes are told. (sendfile and splice are not among them: one function more on
 * their way, and the stack would not do.)
 */
__subprog int sys__other(struct sys *s, int what)
{
	switch (what) {
	case SYSNO_CONNECT: sys__born(s, SYSARG1(s->regs), CONN_CLIENT); return 0;
	case SYSNO_ACCEPT: sys__accepted(s); return 0;
	case SYSNO_SHUTDOWN: return sys__shutdown(s);
	case SYSNO_SOCKETPAIR: return sys__socketpair(s);
	case SYSNO_MMAP: return sys__mmap(s);
	case SYSNO_EPOLL_WAIT: return turn__begin(s->f, s->task, SYSARG2(s->regs), s->ret);
	case SYSNO_IO_URING:
		if (!(__sync_fetch_and_or(&s->f->bits, FILTER_IO_URING) & FILTER_IO_URING))
			task__emit(WEFT_EV_IOURING, s->task, s->f->pid,
				   filter__tid(s->task, s->f->pid), task__ppid(s->task));
		return 0;
	default: return 0;
	}
}

static __always_inline int sys__dir(int what)
{
	switch (what) {
	case SYSNO_READ:
	case SYSNO_READV:
	case SYSNO_RECVFROM:
	case SYSNO_RECVMSG:
	case SYSNO_RECVMMSG: return WEFT_IN;
	default: return WEFT_OUT;
	}
}

/* The MSG_ flags, which are a different argument for each. */
static __always_inline __u64 sys__flags(struct sys *s, int what)
{
	switch (what) {
	case SYSNO_RECVMSG:
	case SYSNO_SENDMSG: return SYSARG3(s->regs);
	case SYSNO_RECVFROM:
	case SYSNO_SENDTO:
	case SYSNO_RECVMMSG:
	case SYSNO_SENDMMSG: return SYSARG4(s->regs);
	default: return 0;
	}
}

/* Where the bytes are. */
static __always_inline int sys__where(struct sys *s, struct call *c, int what)
{
	__u64 iov[2], n; /* user_msghdr's msg_iov and msg_iovlen, which are neighbours */

	c->base = SYSARG2(s->regs);
	switch (what) {
	case SYSNO_READV:
	case SYSNO_WRITEV: c->n_iov = SYSARG3(s->regs); break;
	case SYSNO_RECVMSG:
	case SYSNO_SENDMSG:
		if (bpf_probe_read_user(iov, sizeof(iov),
					(void *)c->base +
						__builtin_offsetof(struct user_msghdr, msg_iov)))
			return -1;
		n = iov[1];
		barrier_var(
			n); /* or clang loads it and the register above by the same instruction */
		c->base = iov[0];
		c->n_iov = n;
		break;
	default: c->wants = SYSARG3(s->regs) != 0; return 0;
	}
	c->iov_user = 1;
	if (!s->ret)
		c->wants = sys__has_room(c);
	return 0;
}

static __always_inline int sys__bytes(struct sys *s, struct many *m, int what)
{
	__u64 flags = sys__flags(s, what), ino;
	int dir = sys__dir(what);
	struct socket *sock;
	struct sock *sk;

	if (sys__skipped(dir, flags))
		return 0;
	sock = sock__behind(SYSARG1(s->regs), &ino);
	sk = sock ? CAST_READ(sock, sk) : NULL;
	m->st = sk ? conn__of(sock, (__u64)sk, ino) : NULL;
	if (!m->st)
		return 0;
	sys__call(s, &m->c, sk, SYSARG1(s->regs), dir);
	m->c.skip = m->c.n_iov = m->c.after = 0;
	m->c.iov_user = m->c.active = m->c.counts = 0;
	/* TCP: bytes are thrown away, not copied */
	m->c.flags = dir == WEFT_IN && (flags & MSG_TRUNC) ? WEFT_F_UNREADABLE : 0;
	if (what == SYSNO_RECVMMSG || what == SYSNO_SENDMMSG) {
		m->at = SYSARG2(s->regs);
		sys__messages(m, s->ret);
	} else if (!sys__where(s, &m->c, what)) {
		io__moved(&m->c, m->st, s->ret);
	}
	return 0;
}

static __always_inline __u8 sys__what(__u64 nr)
{
	return nr < SYSNO_MAX ? sysno_what[nr & (SYSNO_MAX - 1)] : SYSNO_NONE;
}

/* `regs` may be NULL: they are looked for then. */
static __always_inline int sys__exit(struct pt_regs *regs, __u8 what, __s64 ret)
{
	struct sys s = { .task = bpf_get_current_task_btf(), .ret = ret };
	struct many m;

	s.f = filter__current(s.task);
	if (!s.f)
		return 0;
	if (!regs)
		regs = (struct pt_regs *)bpf_task_pt_regs(s.task);
	s.regs = regs;
	if (compat__is_32bit(s.task))
		return sys__compat(&s);
	if (what == SYSNO_COMPAT)
		return 0;
	if (what == SYSNO_SENDFILE || what == SYSNO_SPLICE)
		return sys__splice(&s, &m.c, what);
	if (what > SYSNO_SPLICE)
		return sys__other(&s, what);
	return sys__bytes(&s, &m, what);
}

static __always_inline int sys__one(struct pt_regs *regs, int what, long ret)
{
	struct sys s = { .task = bpf_get_current_task_btf(), .regs = regs, .ret = ret };
	struct call c;

	if (ret < 0)
		return 0;
	s.f = filter__current(s.task);
	if (!s.f)
		return 0;
	return what <= SYSNO_SPLICE ? sys__splice(&s, &c, what) : sys__other(&s, what);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(syscall_exit, struct pt_regs *regs, long ret)
{
	__u8 what = sys__what(SYSNO(regs));

	/* of all that the machine's processes ask of the kernel, most ends here */
	return what && ret >= 0 ? sys__exit(regs, what, ret) : 0;
}

/*
 * Beside fentry and kprobe, for a while: calls that began before weft came (user/kernel/late.c). A
 * thread that has passed one of the other programs has its `calls` entry and is theirs.
 */
SEC("tp_btf/sys_exit")
int BPF_PROG(syscall_late, struct pt_regs *regs, long ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u8 what = sys__what(SYSNO(regs));

	if (!what || ret < 0 || (what >= SYSNO_SENDFILE && what != SYSNO_ACCEPT))
		return 0;
	if (bpf_task_storage_get(&calls, task, 0, 0))
		return 0;
	return sys__exit(regs, what, ret);
}

SEC("tracepoint/raw_syscalls/sys_exit")
int tracepoint_exit(struct trace_event_raw_sys_exit *ctx)
{
	__u8 what = sys__what(ctx->id);

	return what && ctx->ret >= 0 ? sys__exit(NULL, what, ctx->ret) : 0;
}

/*
 * sendfile, splice, mmap and epoll_wait for the fentry back end, from the system call itself: one event a
 * call
 * on every kernel.
 */
SEC("fexit/" SYS_FN(sendfile64))
int BPF_PROG(fexit_sendfile, struct pt_regs *regs, long ret)
{
	return sys__one(regs, SYSNO_SENDFILE, ret);
}

SEC("fexit/" SYS_FN(splice))
int BPF_PROG(fexit_splice, struct pt_regs *regs, long ret)
{
	return sys__one(regs, SYSNO_SPLICE, ret);
}

SEC("fexit/" SYS_FN(mmap))
int BPF_PROG(fexit_mmap, struct pt_regs *regs, long ret)
{
	return sys__one(regs, SYSNO_MMAP, ret);
}

SEC("fexit/" SYS_FN(epoll_wait))
int BPF_PROG(fexit_epoll_wait, struct pt_regs *regs, long ret)
{
	return sys__one(regs, SYSNO_EPOLL_WAIT, ret);
}

SEC("fexit/" SYS_FN(epoll_pwait))
int BPF_PROG(fexit_epoll_pwait, struct pt_regs *regs, long ret)
{
	return sys__one(regs, SYSNO_EPOLL_WAIT, ret);
}

SEC("kretprobe/" SYS_FN(sendfile64))
int BPF_KRETPROBE(kretprobe_sendfile, long ret)
{
	return sys__one((struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf()),
			SYSNO_SENDFILE, ret);
}

SEC("kretprobe/" SYS_FN(splice))
int BPF_KRETPROBE(kretprobe_splice, long ret)
{
	return sys__one((struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf()),
			SYSNO_SPLICE, ret);
}

SEC("kretprobe/" SYS_FN(mmap))
int BPF_KRETPROBE(kretprobe_mmap, long ret)
{
	return sys__one((struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf()), SYSNO_MMAP,
			ret);
}

SEC("kretprobe/" SYS_FN(accept))
int BPF_KRETPROBE(kretprobe_accept, long ret)
{
	return sys__one((struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf()),
			SYSNO_ACCEPT, ret);
}

SEC("kretprobe/" SYS_FN(accept4))
int BPF_KRETPROBE(kretprobe_accept4, long ret)
{
	return sys__one((struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf()),
			SYSNO_ACCEPT, ret);
}

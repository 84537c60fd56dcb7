/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TLS sessions: connections whose bytes a program hands to its TLS library. They live in the same
 * table as sockets, under a key that is made of the library's pointer and the process. The top bit
 * of the key is 0, so it is never a socket's, and what the key can't hold of the two is in `ino`:
 * another session is never taken for this one.
 */
#ifndef WEFT_TLS_BPF_H
#define WEFT_TLS_BPF_H

#include "frame.bpf.h"
#include "io.bpf.h"

/* Who made a call. */
struct who {
	__u32 pid; /* in weft's PID namespace */
	__u32 tid;
	__u32 tgid;  /* in the machine's */
	__u32 flags; /* probe_desc.flags, WHO_RUNTIME */
};

#define WHO_RUNTIME (1 << 8) /* the process has a known runtime */

static __always_inline __u64 tls__key(__u64 session, __u32 tgid)
{
	return (session >> 4 ^ (__u64)tgid << 43) & ~(1ULL << 63);
}

/* User pointers have 47 bits, process ids 22. */
static __always_inline __u64 tls__ino(__u64 session, __u32 tgid)
{
	return session ^ (__u64)(tgid >> 6) << 48;
}

static __always_inline struct conn_state *tls__find(__u64 session, __u32 tgid)
{
	__u64 key = tls__key(session, tgid);
	struct conn_state *st = bpf_map_lookup_elem(&conns, &key);

	return st && st->ino == tls__ino(session, tgid) ? st : NULL;
}

/*
 * Which side is the program? The function says so, or it was seen before; of a Go tls.Conn, its
 * second field: struct { conn net.Conn; isClient bool; ...
 */
static __always_inline __u8 tls__role(__u64 session, const struct who *w)
{
	__u8 is_client;

	if (w->flags & PROBE_CLIENT)
		return CONN_CLIENT;
	if (w->flags & PROBE_SERVER)
		return CONN_SERVER;
	if (!(w->flags & PROBE_GO_CONN) ||
	    bpf_probe_read_user(&is_client, sizeof(is_client), (void *)(session + 16)))
		return 0;
	return is_client ? CONN_CLIENT : CONN_SERVER;
}

static __always_inline struct conn_state *tls__make(__u64 session, const struct who *w)
{
	__u64 key = tls__key(session, w->tgid);
	struct conn_state *st = bpf_map_lookup_elem(&conns, &key);

	if (st) /* another session's */
		conn__gone(st);
	conn__make(key, tls__ino(session, w->tgid), 0, w->flags & PROBE_BEGINS ? CONN_BORN : 0);
	st = tls__find(session, w->tgid);
	if (st)
		st->start_ts = bpf_ktime_get_boot_ns();
	return st;
}

/* As conn__open() does for sockets. */
__global int tls__open(struct conn_state *st, struct who *w)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct weft_open *o;
	__u64 id;

	if (!st || !w)
		return -1;
	o = emit__reserve(sizeof(*o));
	if (!o)
		return -1;
	id = conn__number();
	if (!id || __sync_val_compare_and_swap(&st->conn, 0, id)) {
		emit__discard(o);
		return 0;
	}
	__builtin_memset(o, 0, sizeof(*o));
	emit__header(&o->h, WEFT_EV_OPEN, sizeof(*o), w->pid, w->tid, id);
	o->h.flags = WEFT_F_TLS | WEFT_F_POS;
	if (!(st->bits & CONN_BORN)) {
		o->h.flags |= WEFT_F_PREOPEN;
		o->unaligned = 1;
	}
	o->sock = st->sock;
	o->netns = BPF_CORE_READ(task, nsproxy, net_ns, ns.inum);
	o->fd = ~0U;
	o->pos[WEFT_OUT] = st->next[WEFT_OUT];
	o->pos[WEFT_IN] = st->next[WEFT_IN];
	if (st->bits & CONN_CLIENT)
		o->role = WEFT_ROLE_CLIENT;
	else if (st->bits & CONN_SERVER)
		o->role = WEFT_ROLE_SERVER;
	emit__submit(o, WEFT_EV_OPEN);
	return 0;
}

/* A function begins to work on a session: from now on it is known. `what`: enum probe_what. */
__global int tls__begin(__u64 session, struct who *w, __u8 what)
{
	struct conn_state *st;

	if (!w || !session)
		return 0;
	st = tls__find(session, w->tgid);
	if (!st)
		st = tls__make(session, w);
	if (!st)
		return 0;
	if (!(st->bits & (CONN_CLIENT | CONN_SERVER)))
		st->bits |= tls__role(session, w);
	/* in C a session is one thread's at a time, so nobody reads while another writes */
	if (what == PROBE_TLS_WRITE && w->flags & PROBE_GO_CONN)
		st->writing = 1;
	st->pid = w->pid;
	st->tid = w->tid;
	return 0;
}

/*
 * The session is over; with PROBE_BEGINS the next one begins in its place. OpenSSL clears a session
 * also at its birth and when its handshake begins: of one that nothing was told of, nothing is told.
 */
__global int tls__end(__u64 session, struct who *w)
{
	struct conn_state *st;
	__u8 role = 0;

	if (!w || !session)
		return 0;
	st = tls__find(session, w->tgid);
	if (st) {
		role = st->bits & (CONN_CLIENT | CONN_SERVER);
		conn__gone(st);
	}
	if (!(w->flags & PROBE_BEGINS))
		return 0;
	st = tls__make(session, w);
	if (st)
		st->bits |= tls__role(session, w) ?: role;
	return 0;
}

__global int tls__shutdown(__u64 session, struct who *w)
{
	struct conn_state *st;

	if (!w || !session)
		return 0;
	st = tls__find(session, w->tgid);
	if (st && st->conn)
		conn__shut(st, WEFT_OUT, w->pid, w->tid);
	return 0;
}

static __always_inline struct weft_session *tls__record(struct conn_state *st, struct who *w,
							__u8 what)
{
	struct weft_session *s = emit__reserve(sizeof(*s));

	if (!s)
		return NULL;
	emit__header(&s->h, WEFT_EV_SESSION, sizeof(*s), w->pid, w->tid, st->conn);
	s->begin = s->sock = 0;
	s->len = 0;
	s->what = what;
	s->n = 0;
	s->pad = 0;
	__builtin_memset(s->bytes, 0, sizeof(s->bytes));
	return s;
}

/*
 * The first 80 bytes of Go's net.netFD, the same in 1.19 to 1.26:
 *   { pfd poll.FD { fdmu (16 bytes), Sysfd int, two words, csema, isBlocking uint32,
 *                   IsStream, ZeroReadIsEOF, isFile bool }, family, sotype int, ... }
 */
struct go_net_fd {
	__u64 fdmu[2];
	__s64 sysfd;
	__u64 words[2];
	__u32 csema, is_blocking;
	__u8 is_stream, zero_read_is_eof, is_file, pad[5];
	__s64 family, sotype;
};

/*
 * The TCP socket below a Go tls.Conn, 0 if it is not plain to see. Its net.Conn may be any type; a
 * *net.TCPConn points to a struct whose only field is the *netFD, and that one is recognised by all
 * of its fields that can't be otherwise.
 */
__global __u64 tls__go_sock(__u64 session)
{
	__u64 conn, fd, sk;
	struct go_net_fd n;

	if (bpf_probe_read_user(&conn, sizeof(conn), (void *)(session + 8)) ||
	    bpf_probe_read_user(&fd, sizeof(fd), (void *)conn) ||
	    bpf_probe_read_user(&n, sizeof(n), (void *)fd))
		return 0;
	if ((n.family != AF_INET && n.family != AF_INET6) || n.sotype != SOCK_STREAM ||
	    n.is_stream != 1 || n.zero_read_is_eof != 1 || n.is_file || n.sysfd < 0 ||
	    n.sysfd > 0x7fffffff)
		return 0;
	sk = sock__of_fd(n.sysfd);
	return sk && sock__family((void *)sk) != AF_UNIX ? sk : 0;
}

static __always_inline void tls__op(struct conn_state *st, struct frame *f, struct who *w)
{
	__u64 sock = w->flags & PROBE_GO_CONN ? tls__go_sock(f->object) : 0;
	struct weft_session *s = tls__record(st, w, WEFT_SESSION_OP);

	if (!s)
		return;
	/*
	 * What else this thread did since says nothing in Go: it ran other goroutines, and this one
	 * ran on other threads. The ciphertext has to tell, where the socket is not known: an op
	 * that took no time asks for it.
	 */
	if (!(w->flags & PROBE_GO_CONN))
		s->begin = f->begin;
	else if (!sock)
		s->begin = s->h.ts;
	s->sock = sock;
	emit__submit(s, WEFT_EV_SESSION);
}

/* `n` bytes of plaintext. Apart from what follows: the stack is short. */
__global int tls__bytes(struct conn_state *st, struct frame *f, struct who *w, __u32 off, __u32 n)
{
	struct call c = {};

	if (!st || !f || !w)
		return 0;
	c.turn = turn__now();
	c.dir = f->what == PROBE_TLS_READ ? WEFT_IN : WEFT_OUT;
	c.base = f->buf;
	c.flags = f->buf ? 0 : WEFT_F_UNREADABLE;
	c.pid = w->pid;
	c.tid = w->tid;
	if (st->policy.frames && walk__call(&c, st, off, n))
		return 0;
	return io__data_one(&c, st, off, n);
}

/* `n` bytes from `off`, or that they are lost. */
static __always_inline void tls__tell(struct conn_state *st, struct frame *f, struct who *w,
				      __u32 off, __u32 n)
{
	if (w->flags & WHO_RUNTIME &&
	    unit__moved(st, f->what == PROBE_TLS_READ ? WEFT_IN : WEFT_OUT, w->pid, w->tid))
		emit__drop(WEFT_DROP_RING_FULL);
	else
		tls__bytes(st, f, w, off, n);
}

/*
 * Whoever writes counts when it has told, whoever reads looks at the count before it looks who
 * writes: so if bytes are told of too late, the count is still the one without them.
 */
static __always_inline void tls__read(struct conn_state *st, struct frame *f, struct who *w,
				      __u32 n)
{
	__u32 off = st->next[WEFT_IN], written = st->next[WEFT_OUT];

	st->next[WEFT_IN] = off + n;
	if (st->policy.off)
		return;
	context__read(st, off);
	conn__read_into(st, f->buf, n);
	barrier();
	if (st->writing)
		conn__written(st, written + 1, w->pid, w->tid);
	tls__tell(st, f, w, off, n);
}

static __always_inline void tls__written(struct conn_state *st, struct frame *f, struct who *w,
					 __u32 n)
{
	if (!st->policy.off)
		tls__tell(st, f, w, st->next[WEFT_OUT], n);
	barrier();
	st->next[WEFT_OUT] += n;
}

/* A function has worked on its session, and moved `n` bytes of plaintext if n > 0. */
__global int tls__done(struct frame *f, struct who *w, __s64 n)
{
	struct conn_state *st;

	if (!f || !w)
		return 0;
	st = tls__find(f->object, w->tgid);
	if (!st)
		return 0;
	if (!st->conn && tls__open(st, w)) {
		if (n > 0)
			emit__drop(WEFT_DROP_RING_FULL);
		st->writing = 0;
		return 0;
	}
	if (!st->policy.linked && !st->policy.off)
		tls__op(st, f, w);
	if (f->what == PROBE_TLS_READ && n > 0 && n <= 0x7fffffff)
		tls__read(st, f, w, n);
	else if (f->what == PROBE_TLS_WRITE && n > 0 && n <= 0x7fffffff)
		tls__written(st, f, w, n);
	if (f->what == PROBE_TLS_WRITE)
		st->writing = 0;
	return 0;
}

/* Ciphertext that passed between a session and its buffers. `what`: SESSION_OUT or _IN. */
__global int tls__cipher(struct frame *f, struct who *w, __s64 len, __u8 what)
{
	struct weft_session *s;
	struct conn_state *st;
	__u64 n = len;

	if (!f || !w || len <= 0 || len > 0x7fffffff)
		return 0;
	st = tls__find(f->object, w->tgid);
	if (!st || st->policy.linked || st->policy.off || (!st->conn && tls__open(st, w)))
		return 0;
	s = tls__record(st, w, what);
	if (!s)
		return 0;
	s->len = len;
	barrier_var(n);
	if (n > WEFT_SESSION_BYTES)
		n = WEFT_SESSION_BYTES;
	if (!bpf_probe_read_user(s->bytes, n, (void *)f->buf))
		s->n = n;
	emit__submit(s, WEFT_EV_SESSION);
	return 0;
}

#endif /* WEFT_TLS_BPF_H */

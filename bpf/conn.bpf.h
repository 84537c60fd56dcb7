/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connections: from the first use of a socket to its end. The table's key is the socket's address;
 * its inode number tells when the kernel has given the same address to another socket. A connection
 * gets its number, and user space its OPEN, at the first byte, end of stream or so, not before:
 * whoever only connects and closes costs no event.
 */
#ifndef WEFT_CONN_BPF_H
#define WEFT_CONN_BPF_H

#include "emit.bpf.h"
#include "filter.bpf.h"
#include "sock.bpf.h"
#include "sysno.bpf.h"
#include "turn.bpf.h"

/* Never given twice: CPU + 1 in the upper 16 bits, that CPU's own count below. */
static __always_inline __u64 conn__number(void)
{
	__u32 zero = 0;
	__u64 *n = bpf_map_lookup_elem(&serial, &zero);

	if (!n)
		return 0;
	return (__u64)(bpf_get_smp_processor_id() + 1) << 48 | (__sync_fetch_and_add(n, 1) + 1);
}

/* A call in this direction: does it begin a turn? */
static __always_inline void conn__turn(struct conn_state *st, __u32 dir)
{
	if (st->turn_dir == dir)
		return;
	st->turn_dir = dir;
	st->turn_bytes = 0;
}

/* WRITTEN, EOF, SHUT and CLOSE: no bytes, only where. */
static __always_inline int conn__mark_at(struct conn_state *st, __u8 kind, __u8 dir, __u32 off,
					 __u32 pid, __u32 tid)
{
	struct weft_data *d = emit__reserve(sizeof(*d));

	if (!d)
		return -1;
	emit__header(&d->h, kind, sizeof(*d), pid, tid, st->conn);
	d->off = off;
	d->len = 0;
	d->head = d->tail = 0;
	d->dir = dir;
	d->loop_turn = 0;
	d->sleeps = 0;
	emit__submit(d, kind);
	return 0;
}

static __always_inline int conn__mark(struct conn_state *st, __u8 kind, __u8 dir, __u32 pid,
				      __u32 tid)
{
	return conn__mark_at(st, kind, dir, st->next[dir & 1], pid, tid);
}

/*
 * Bytes were written before others that are about to be told of, and are told of later: by the CPU
 * on which they were written. If this can't be said, the order is lost, and no byte is.
 */
__global int conn__written(struct conn_state *st, __u32 off, __u32 pid, __u32 tid)
{
	return st ? conn__mark_at(st, WEFT_EV_WRITTEN, WEFT_OUT, off, pid, tid) : 0;
}

/* A read returned end of stream; told once. */
__global int conn__eof(struct conn_state *st, __u32 pid, __u32 tid)
{
	if (st && !st->policy.off && !(st->bits & CONN_EOF) &&
	    !conn__mark(st, WEFT_EV_EOF, WEFT_IN, pid, tid))
		st->bits |= CONN_EOF;
	return 0;
}

/* It has another policy now. */
static __always_inline void conn__count_fields(__u8 before, __u8 now)
{
	__u32 zero = 0, *n = !before == !now ? NULL : bpf_map_lookup_elem(&fields_wanted, &zero);

	if (n)
		__sync_fetch_and_add(n, now ? 1 : -1);
}

/*
 * The thread has read `len` bytes into memory at `at`: kept where a header table of the connection
 * is wanted, and else what was kept of another one says nothing any more.
 */
__global int conn__keep_read(struct conn_state *st, __u64 at, __u32 len)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct last_read *r;

	if (!st)
		return 0;
	if (!st->policy.fields || st->policy.frames != WEFT_FRAMES) {
		r = bpf_task_storage_get(&last_reads, task, 0, 0);
		if (r)
			r->len = 0;
		return 0;
	}
	r = bpf_task_storage_get(&last_reads, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!r)
		return 0;
	r->sock = st->sock;
	r->ino = st->ino;
	r->at = at;
	r->len = len;
	r->object = 0;
	__builtin_memset(r->bytes, 0, sizeof(r->bytes));
	if (len > LAST_READ_BYTES)
		len = LAST_READ_BYTES;
	barrier_var(len);
	if (!len || len > LAST_READ_BYTES || bpf_probe_read_user(r->bytes, len, (void *)at))
		r->len = 0;
	return 0;
}

static __always_inline void conn__read_into(struct conn_state *st, __u64 at, __u32 len)
{
	__u32 zero = 0, *wanted = bpf_map_lookup_elem(&fields_wanted, &zero);

	if (wanted && *wanted)
		conn__keep_read(st, at, len);
}

/*
 * The socket is gone. Whoever runs now may have nothing to do with it, so its last user is named.
 */
__global int conn__gone(struct conn_state *st)
{
	__u64 key;

	if (!st)
		return 0;
	key = st->sock;
	conn__count_fields(st->policy.fields, 0);
	if (st->conn)
		conn__mark(st, WEFT_EV_CLOSE, WEFT_OUT, st->pid, st->tid);
	bpf_map_delete_elem(&conns, &key);
	return 0;
}

static __always_inline void conn__shut(struct conn_state *st, __u8 dir, __u32 pid, __u32 tid)
{
	__u8 bit = dir == WEFT_OUT ? CONN_SHUT_OUT : CONN_SHUT_IN;

	if (!st->conn || (st->bits & bit))
		return;
	st->bits |= bit;
	if (!st->policy.off)
		conn__mark(st, WEFT_EV_SHUT, dir, pid, tid);
}

/* shutdown(): `how` is 0 read, 1 write, 2 both. */
static __always_inline void conn__shutdown(struct sock *sk, int how, __u32 pid, __u32 tid)
{
	__u64 key = (__u64)sk;
	struct conn_state *st = bpf_map_lookup_elem(&conns, &key);

	if (!st || st->ino != sock__inode(sk))
		return;
	if (how != 0)
		conn__shut(st, WEFT_OUT, pid, tid);
	if (how != 1)
		conn__shut(st, WEFT_IN, pid, tid);
}

/* Make a state for a socket or TLS session (family 0) that has none. */
__global int conn__make(__u64 key, __u64 ino, __u16 family, __u8 bits)
{
	struct settings *s = filter__settings();
	struct conn_state fresh = {};
	long err;

	if (!s)
		return -1;
	fresh.sock = key;
	fresh.ino = ino;
	fresh.family = family;
	fresh.bits = bits;
	fresh.turn_dir = 0xff;
	fresh.policy = s->initial;
	if (bits & CONN_BORN) /* all is on the wire */
		fresh.policy.fields = 0;
	err = bpf_map_update_elem(&conns, &key, &fresh, BPF_NOEXIST);
	if (err == -E2BIG)
		emit__drop(WEFT_DROP_CONN_FULL);
	else if (!err)
		conn__count_fields(0, fresh.policy.fields);
	return 0;
}

/*
 * The state of a socket that has none, or whose address another one's has. Not here: most of what
 * is read of the socket.
 */
__global int conn__anew(__u64 key, __u64 ino, __u8 bits)
{
	struct conn_state *st = bpf_map_lookup_elem(&conns, &key);

	if (st)
		conn__gone(st);
	if (CAST_READ((struct sock *)key, sk_protocol) == IPPROTO_TCP)
		bits |= CONN_TCP;
	return conn__make(key, ino, sock__family((void *)key), bits);
}

/* The state of a socket, made if there is none or if it is another socket's at the same address. */
static __always_inline struct conn_state *conn__state(__u64 key, __u8 bits)
{
	__u64 ino = sock__inode((void *)key);
	struct conn_state *st = bpf_map_lookup_elem(&conns, &key);

	if (st && st->ino == ino)
		return st;
	conn__anew(key, ino, bits);
	/*
	 * If it could not be made because another thread was faster, then its state is the right
	 * one.
	 */
	return bpf_map_lookup_elem(&conns, &key);
}

/* The same of a socket that may be none of ours, and is, if it has a state. */
static __always_inline struct conn_state *conn__of(struct socket *sock, __u64 key, __u64 ino)
{
	struct conn_state *st = bpf_map_lookup_elem(&conns, &key);

	if (st && st->ino == ino)
		return st;
	if (!sock__usable(sock))
		return NULL;
	conn__anew(key, ino, 0);
	return bpf_map_lookup_elem(&conns, &key);
}

/* Do TCP's sequence numbers count its bytes? As sock__counts(). */
static __always_inline int conn__counts(const struct conn_state *st)
{
	struct inet_connection_sock *sk = (void *)st->sock;

	return st->bits & CONN_TCP && !CAST_READ(sk, icsk_ulp_ops);
}

static __always_inline void conn__fill_unix(struct conn_state *st, struct sock *sk,
					    struct weft_open *o)
{
	struct sock *peer = sock__unix_peer(sk);
	struct unix_address *mine = sock__unix_name(sk), *theirs = sock__unix_name(peer);

	o->peer_sock = (__u64)peer;
	o->local.family = o->remote.family = AF_UNIX;
	o->unaligned = !(st->bits & CONN_BORN);
	if (!o->unaligned)
		o->h.flags = 0;
	if (!o->role && !mine != !theirs)
		o->role = mine ? WEFT_ROLE_SERVER : WEFT_ROLE_CLIENT;
	if (mine && (o->role == WEFT_ROLE_SERVER || !theirs))
		sock__unix_path(mine, o);
	else if (theirs)
		sock__unix_path(theirs, o);
}

static __always_inline void conn__fill_inet(struct conn_state *st, struct sock *sk,
					    struct weft_open *o, int dir, __u32 ret)
{
	int counts = conn__counts(st), accepted = sock__was_accepted(sk);

	sock__inet_addrs(sk, st->family, o);
	if (!o->role)
		o->role = accepted ? WEFT_ROLE_SERVER : WEFT_ROLE_CLIENT;
	if (st->bits & CONN_BORN || (counts && sock__is_fresh(sk, accepted, dir, ret)))
		o->h.flags = 0;
	o->unaligned = !counts && o->h.flags;
	if (counts) {
		/* a request that was written, but is not told of yet, comes behind its answer */
		if (st->bits & CONN_BORN && dir == WEFT_IN)
			o->pos[WEFT_OUT] = sock__first_out(sk, accepted);
		else
			o->pos[WEFT_OUT] = sock__written(sk) - (dir == WEFT_OUT ? ret : 0);
		o->pos[WEFT_IN] = sock__read(sk) - (dir == WEFT_IN ? ret : 0);
		st->next[WEFT_OUT] = o->pos[WEFT_OUT];
	}
}

/* Is it weft itself that talks with a process, to put its helper in? */
__global int conn__is_ours(struct conn_state *st, struct call *c)
{
	__u32 zero = 0;
	struct announced *a = bpf_map_lookup_elem(&announced, &zero);
	struct sock *sk;

	if (!a || !a->pid || !st || !c || a->pid != c->pid || st->family == AF_UNIX)
		return 0;
	sk = (void *)c->sk;
	return BPF_CORE_READ(sk, __sk_common.skc_num) == a->port && sock__was_accepted(sk);
}

/* The descriptor, where it is the first argument of the system call; people only read it. */
static __always_inline __u32 conn__fd(void)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());

	return SYSNO(regs) < SYSNO_MAX && sysno_what[SYSNO(regs) & (SYSNO_MAX - 1)] ? SYSARG1(regs)
										    : ~0U;
}

/*
 * Give the connection its number and tell user space. The record is reserved before the number
 * becomes visible, so that no other thread's DATA can stand before the OPEN in the ring. `ret`:
 * bytes that the current call moved.
 */
__global int conn__open(struct conn_state *st, struct call *c, __u32 ret)
{
	struct weft_open *o;
	struct sock *sk;
	__u64 id;

	if (!st || !c)
		return -1;
	sk = (void *)c->sk;
	o = emit__reserve(sizeof(*o));
	if (!o)
		return -1;
	id = conn__number();
	if (!id || __sync_val_compare_and_swap(&st->conn, 0, id)) {
		emit__discard(o);
		return 0;
	}
	__builtin_memset(o, 0, sizeof(*o));
	emit__header(&o->h, WEFT_EV_OPEN, sizeof(*o), c->pid, c->tid, id);
	o->h.flags = WEFT_F_PREOPEN;
	o->sock = c->sk;
	o->start_ts = st->start_ts;
	o->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	o->fd = c->fd == CALL_FD_LATER ? conn__fd() : c->fd;
	if (st->bits & CONN_CLIENT)
		o->role = WEFT_ROLE_CLIENT;
	else if (st->bits & CONN_SERVER)
		o->role = WEFT_ROLE_SERVER;
	if (st->family == AF_UNIX)
		conn__fill_unix(st, sk, o);
	else
		conn__fill_inet(st, sk, o, c->dir, ret);
	if (o->role)
		st->bits |= o->role == WEFT_ROLE_SERVER ? CONN_SERVER : CONN_CLIENT;
	/* what has no sequence numbers is counted from here, so from zero */
	o->h.flags |= WEFT_F_POS;
	emit__submit(o, WEFT_EV_OPEN);
	return 0;
}

/* connect() began: the thread and the moment, which tell user space for whom. */
static __always_inline void conn__connecting(struct conn_state *st, __u32 pid, __u32 tid, __u8 turn)
{
	struct weft_connect *e = emit__reserve(sizeof(*e));

	if (!e)
		return;
	emit__header(&e->h, WEFT_EV_CONNECT, sizeof(*e), pid, tid, 0);
	e->h.flags = turn;
	st->start_ts = e->h.ts;
	e->sock = st->sock;
	emit__submit(e, WEFT_EV_CONNECT);
}

/* A Unix socket that has just come into being: its bytes can be counted from the first. */
static __always_inline void conn__born(struct sock *sk, __u8 bits)
{
	struct conn_state *st = conn__state(compat__number(sk), CONN_BORN | bits);

	if (st && !st->conn)
		st->bits |= CONN_BORN | bits;
}

#endif /* WEFT_CONN_BPF_H */

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A finished read or write becomes events. Every back end ends here with the same struct call,
 * which is why they give the same events: they differ only in how they found out about the call.
 *
 * How many bytes are copied is the connection's policy; how they fit into the ring is decided here:
 * a record has one of a few sizes, because the verifier wants a constant, and event.h's `size` says
 * how much of it is used. Bytes that lie in several segments need a record of twice the size: the
 * verifier can bound "where" and "how much", not their sum.
 */
#ifndef WEFT_IO_BPF_H
#define WEFT_IO_BPF_H

#include "context.bpf.h"
#include "uvloop.bpf.h"
#include "walk.bpf.h"

#define IO_SEGMENTS 64 /* iovecs that are looked at; bytes behind them count, but are not copied */

/* What will be copied. */
struct share {
	__u32 head;
	__u32 tail;
	__u8 flags;
	__u8 pad[3];
};

/* Head in the lower half, tail above it: a number is all that a function of its own can give. */
__global __u64 io__bytes(struct conn_state *st, __u8 way, __u32 len)
{
	__u32 dir = way & 1, head = len, left, cap;
	__u64 tail = 0;

	if (!st)
		return 0;
	cap = st->policy.call_cap[dir];
	left = st->policy.turn_cap[dir];
	left = left > st->turn_bytes ? left - st->turn_bytes : 0;
	if (cap > left)
		cap = left;
	if (cap > WEFT_HEAD_MAX)
		cap = WEFT_HEAD_MAX;
	if (head > cap)
		head = cap;
	st->turn_bytes += head;
	if (head < len) {
		tail = st->policy.tail[dir];
		if (tail > WEFT_TAIL_MAX)
			tail = WEFT_TAIL_MAX;
		if (tail > len - head)
			tail = len - head;
	}
	return tail << 32 | head;
}

static __always_inline void io__share(struct conn_state *st, struct call *c, __u32 len,
				      struct share *s)
{
	__u64 bytes;

	s->flags = c->flags;
	conn__turn(st, c->dir & 1);
	bytes = s->flags & WEFT_F_UNREADABLE ? 0 : io__bytes(st, c->dir, len);
	s->head = bytes;
	s->tail = bytes >> 32;
	if (s->head + s->tail < len && !(s->flags & WEFT_F_UNREADABLE))
		s->flags |= WEFT_F_POLICY;
}

/*
 * To read user memory costs about the same for one byte and for hundreds, so the first iovecs are
 * read at once: into the record itself, whose upper half is only there for the verifier.
 */
#define IO_AT_ONCE 8

/* Copying the bytes [from, from + want) of a call, segment by segment. */
struct gather {
	struct call *c;
	struct iovec *first; /* IO_AT_ONCE of them, or as many as there are */
	char *bytes;         /* has room for twice `max` */
	__u64 max;
	__u64 to; /* where in `bytes` the next piece goes */
	__u64 from;
	__u64 want;
	__u64 pos; /* where the segment begins */
	__s64 err;
};

/*
 * For bpf_loop(): up to 6.1 a loop in the program itself, with a call or two in it, is more than
 * the verifier can do.
 */
static long io__piece(__u32 i, struct gather *g)
{
	__u64 skip = i ? 0 : g->c->skip, in, n, to, base, left;
	struct iovec v;

	if (!g->want)
		return 1;
	g->err = -1;
	if (i < IO_AT_ONCE) {
		base = (__u64)g->first[i].iov_base;
		left = g->first[i].iov_len;
	} else {
		if (io__segment(g->c, i, &v))
			return 1;
		base = (__u64)v.iov_base;
		left = v.iov_len;
	}
	/* or clang takes the two places for one that moves, and 6.18's verifier gives up */
	barrier_var(base);
	barrier_var(left);
	if (left < skip)
		return 1;
	left -= skip;
	in = g->from - g->pos;
	g->pos += left;
	g->err = 0;
	if (in >= left)
		return 0;
	n = left - in;
	if (n > g->want)
		n = g->want;
	to = g->to;
	g->to += n;
	g->from += n;
	g->want -= n;
	barrier_var(n);
	barrier_var(to);
	if (n > g->max || to > g->max ||
	    bpf_probe_read_user(g->bytes + to, n, (void *)(base + skip + in))) {
		g->err = -1;
		return 1;
	}
	return 0;
}

/* Copies a call's range to bytes[at...]. Returns how many were copied, or -1. */
static __always_inline int io__gather(struct call *c, struct iovec *first, char *bytes, __u64 at,
				      __u64 max, __u64 from, __u32 want)
{
	struct gather g = { .c = c,
			    .first = first,
			    .bytes = bytes,
			    .max = max,
			    .to = at + unknown_zero,
			    .from = from + unknown_zero,
			    .want = want + unknown_zero,
			    .pos = unknown_zero,
			    .err = unknown_zero };

	bpf_loop(c->n_iov < IO_SEGMENTS ? c->n_iov : IO_SEGMENTS, io__piece, &g, 0);
	return g.err ? -1 : g.to - at;
}

static __always_inline int io__copy_one(struct call *c, struct weft_data *d, __u64 max, __u32 len,
					struct share *s)
{
	__u64 head = s->head, tail = s->tail, base = c->base + c->skip;

	barrier_var(head);
	if (head > max)
		return -1;
	if (head && bpf_probe_read_user(d->bytes, head, (void *)base))
		return -1;
	barrier_var(tail);
	if (tail > WEFT_TAIL_MAX)
		return -1;
	if (tail && bpf_probe_read_user(d->bytes + head, tail, (void *)(base + len - s->tail)))
		return -1;
	return 0;
}

static __always_inline int io__first_segments(const struct call *c, struct iovec *first)
{
	__u64 n = c->n_iov;

	barrier_var(n);
	if (n > IO_AT_ONCE)
		n = IO_AT_ONCE;
	n *= sizeof(*first);
	if (c->iov_user)
		return bpf_probe_read_user(first, n, (void *)c->base);
	return bpf_probe_read_kernel(first, n, (void *)c->base);
}

static __always_inline int io__copy_many(struct call *c, struct weft_data *d, __u64 max, __u32 len,
					 struct share *s)
{
	struct iovec *first = (struct iovec *)(d->bytes + max + 8);
	int n = 0;

	if (io__first_segments(c, first))
		return -1;
	if (s->head) {
		n = io__gather(c, first, (char *)d->bytes, 0, max, 0, s->head);
		if (n < 0)
			return -1;
		if (n < s->head) {
			s->head = n;
			s->tail = 0;
			return 0;
		}
	}
	if (s->tail) {
		n = io__gather(c, first, (char *)d->bytes, s->head, max, len - s->tail, s->tail);
		if (n < 0)
			return -1;
		/* behind the segments looked at: no bytes rather than wrong ones */
		if (n < s->tail)
			s->tail = 0;
	}
	return 0;
}

/*
 * The last 8 bytes in use, before anything is copied, so that padding is zero. `room` is what the
 * record can hold.
 */
static __always_inline void io__pad(struct weft_data *d, __u64 need, __u64 room)
{
	__u64 last = need & ~7ULL;

	barrier_var(last);
	barrier_var(room);
	if (last <= room - 8)
		*(__u64 *)(d->bytes + last) = 0;
}

/* A record's room for bytes: what is needed at most (head), plus a tail, plus padding. */
#define IO_ROOM(max) ((max) + WEFT_TAIL_MAX + 8)
#define IO_ROOM_MANY(max) (2 * (max) + 8)

static __always_inline void io__submit(struct weft_data *d, struct share *s, int err)
{
	if (err) {
		s->head = s->tail = 0;
		s->flags = (s->flags | WEFT_F_UNREADABLE) & ~WEFT_F_POLICY;
	}
	d->head = s->head;
	d->tail = s->tail;
	d->h.flags = s->flags;
	d->h.size = sizeof(*d) + ((s->head + s->tail + 7) & ~7U);
	emit__submit(d, WEFT_EV_DATA);
}

/* `max` and `room` are constants on each way to their use, for the verifier. */
#define IO_TRY(limit, bytes)                                                                       \
	(max = (limit), room = (bytes), emit__reserve(sizeof(struct weft_data) + (bytes)))

/* The bytes are in one buffer. */
__global int io__data_one(struct call *c, struct conn_state *st, __u32 off, __u32 len)
{
	struct weft_data *d;
	struct share s;
	__u64 max, room;
	int err = 0;

	if (!c || !st)
		return -1;
	io__share(st, c, len, &s);
	if (!(s.head + s.tail))
		d = IO_TRY(0, 0);
	else if (s.head <= 136)
		d = IO_TRY(136, IO_ROOM(136));
	else if (s.head <= 392)
		d = IO_TRY(392, IO_ROOM(392));
	else if (s.head <= 904)
		d = IO_TRY(904, IO_ROOM(904));
	else if (s.head <= 1928)
		d = IO_TRY(1928, IO_ROOM(1928));
	else
		d = IO_TRY(WEFT_HEAD_MAX, IO_ROOM(WEFT_HEAD_MAX));
	if (!d)
		return -1;
	io__fill(d, c, st, off, len);
	if (room) {
		io__pad(d, s.head + s.tail, room);
		err = io__copy_one(c, d, max, len, &s);
	}
	io__submit(d, &s, err);
	return 0;
}

/* The bytes are in several. */
__global int io__data_many(struct call *c, struct conn_state *st, __u32 off, __u32 len)
{
	struct weft_data *d;
	struct share s;
	__u64 max, room;
	__u32 need;
	int err = 0;

	if (!c || !st)
		return -1;
	io__share(st, c, len, &s);
	need = s.head + s.tail;
	if (!need)
		d = IO_TRY(0, 0);
	else if (need <= 128)
		d = IO_TRY(128, IO_ROOM_MANY(128));
	else if (need <= 256)
		d = IO_TRY(256, IO_ROOM_MANY(256));
	else if (need <= 512)
		d = IO_TRY(512, IO_ROOM_MANY(512));
	else if (need <= 1024)
		d = IO_TRY(1024, IO_ROOM_MANY(1024));
	else
		d = IO_TRY(WEFT_HEAD_MAX + WEFT_TAIL_MAX,
			   IO_ROOM_MANY(WEFT_HEAD_MAX + WEFT_TAIL_MAX));
	if (!d)
		return -1;
	io__fill(d, c, st, off, len);
	if (room) {
		io__pad(d, need, room);
		err = io__copy_many(c, d, max, len, &s);
	}
	io__submit(d, &s, err);
	return 0;
}
#undef IO_TRY

/*
 * Position of the first of `len` bytes that were just moved. The state's own count is kept up with
 * it, where they were written by io__moved(), when it has told of them: till then, whoever reads the
 * answer on another CPU sees by it that they are not told of (io__in_order).
 */
static __always_inline __u32 io__position(struct call *c, struct conn_state *st, __u32 len)
{
	struct sock *sk = (void *)c->sk;
	__u32 off;

	if (!c->counts)
		return __sync_fetch_and_add(&st->next[c->dir & 1], len);
	if (c->dir == WEFT_OUT)
		return sock__written(sk) - c->after - len;
	off = sock__took(sk) - c->after - len;
	/* it goes on where it was: then that is right, and no end was stepped over */
	if (off != st->next[WEFT_IN])
		off = sock__read(sk) - c->after - len;
	st->next[WEFT_IN] = off + len;
	return off;
}

/* Bytes were read: those that were written before them are told of before them, or it is said. */
static __always_inline void io__in_order(struct call *c, struct conn_state *st)
{
	struct sock *sk = (void *)c->sk;
	__u32 written;

	if (c->dir != WEFT_IN || !c->counts)
		return;
	written = sock__written(sk);
	if (written != st->next[WEFT_OUT] && !sock__wrote_all(sk))
		conn__written(st, written, c->pid, c->tid);
}

/* Tell user space of `len` bytes from `off`. */
static __always_inline void io__tell(struct call *c, struct conn_state *st, __u32 off, __u32 len)
{
	io__in_order(c, st);
	if (c->runtime && unit__moved(st, c->dir, c->pid, c->tid))
		emit__drop(WEFT_DROP_RING_FULL);
	else if (st->policy.frames && walk__call(c, st, off, len))
		return;
	else if (c->n_iov > 1)
		io__data_many(c, st, off, len);
	else
		io__data_one(c, st, off, len);
}

/*
 * The call returned `ret` > 0 bytes, or 0 where c->wants said that it should have been more. `st` is
 * the state of its socket.
 */
__global int io__moved(struct call *c, struct conn_state *st, __s64 ret)
{
	__u32 off, len = ret;

	if (!c || !st || ret < 0 || ret > 0x7fffffff || (!ret && (c->dir != WEFT_IN || !c->wants)))
		return 0;
	/* A single segment is just a buffer. */
	if (c->n_iov == 1) {
		struct iovec v;

		if (io__segment(c, 0, &v))
			c->flags |= WEFT_F_UNREADABLE;
		else
			c->base = (__u64)v.iov_base;
		c->n_iov = 0;
	}
	st->pid = c->pid;
	st->tid = c->tid;
	if (!st->conn && (st->policy.off || conn__is_ours(st, c))) {
		st->policy.off = 1;
		return 0;
	}
	if (!st->conn && conn__open(st, c, len + c->after)) {
		emit__drop(WEFT_DROP_RING_FULL);
		return 0;
	}
	c->counts = conn__counts(st);
	off = io__position(c, st, len);
	if (c->runtime && c->dir == WEFT_IN)
		uv__received(st, len);
	if (len && c->dir == WEFT_IN) {
		context__read(st, off);
		conn__read_into(st, c->base + c->skip, c->n_iov ? 0 : len);
	}
	if (len && !st->policy.off) {
		if (context__wanted())
			context__tell(st, off, c->dir, c->pid, c->tid);
		io__tell(c, st, off, len);
	}
	if (!len)
		conn__eof(st, c->pid, c->tid);
	if (c->dir == WEFT_IN && (!len || st->policy.off))
		turn__break(bpf_get_current_task_btf());
	if (c->dir == WEFT_OUT && c->counts)
		st->next[WEFT_OUT] = off + len;
	return 0;
}

static __always_inline void io__done(struct call *c, __s64 ret)
{
	struct conn_state *st = conn__state(c->sk, 0);

	if (st)
		io__moved(c, st, ret);
}

#endif /* WEFT_IO_BPF_H */

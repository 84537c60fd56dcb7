/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Go's units of work are its goroutines (unit.bpf.h): who begets whom, and who has something written
 * by another. What is read of the runtime's structs is believed where they bear each other out, so
 * no versions are needed: a goroutine names its thread's struct and that one names it back.
 */
#ifndef WEFT_GO_BPF_H
#define WEFT_GO_BPF_H

#include "tls.bpf.h"

/*
 * The beginning of runtime.g, the same in 1.17 to 1.26:
 *   { stack { lo, hi }, stackguard0, stackguard1, _panic, _defer, m, sched { sp, pc, g, ... } ... }
 */
struct go_g {
	__u64 lo, hi, guards[2], panic, defer;
	__u64 m;
	__u64 sched_sp, sched_pc, sched_g;
};

/* serverConn.conn in golang.org/x/net/http2, of all years: { srv, hs; conn net.Conn; ... } */
#define GO_SERVER_CONN 16

/* runtime.m.curg: up to 1.24, and from 1.25 on */
#define GO_CURG_OLD 192
#define GO_CURG 184

static __always_inline __u64 go__curg_at(__u64 m, __u64 g0, __u32 offset)
{
	__u64 g, of;

	if (bpf_probe_read_user(&g, sizeof(g), (void *)(m + offset)) || !g || g == g0 ||
	    bpf_probe_read_user(&of, sizeof(of), (void *)(g + offsetof(struct go_g, m))) || of != m)
		return 0;
	return g;
}

/* The goroutine for which the thread works on its system stack; 0: none, or not plain to see. */
static __always_inline __u64 go__curg(__u64 g0)
{
	__u64 m;

	if (bpf_probe_read_user(&m, sizeof(m), (void *)(g0 + offsetof(struct go_g, m))))
		return 0;
	return go__curg_at(m, g0, GO_CURG) ?: go__curg_at(m, g0, GO_CURG_OLD);
}

/* What a goroutine begets works for the same, if that is still what was read last. */
static __always_inline int go__inherited(__u64 parent, struct label *out)
{
	struct conn_state *st;
	struct label_key k;
	struct label *l;

	unit__key(&k, parent);
	l = bpf_map_lookup_elem(&labels, &k);
	if (!l || l->how != LABEL_AT)
		return -1;
	*out = *l;
	out->inherited = 1;
	if (l->inherited || l->stream)
		return 0;
	st = unit__conn(l->sock, l->ino);
	return st && st->next[WEFT_IN] != l->pos ? -1 : 0;
}

/* The beginning of what the child's scheduler knows, and with which function it begins. */
static __always_inline int go__is_heir(__u64 child, __u32 file, __u64 ip)
{
	struct go_start_key start = { .file = file };
	__u64 sched[3]; /* sp, pc, g */

	if (bpf_probe_read_user(sched, sizeof(sched),
				(void *)(child + offsetof(struct go_g, sched_sp))) ||
	    sched[2] != child)
		return 0;
	start.distance = sched[1] - ip;
	return !bpf_map_lookup_elem(&go_starts, &start);
}

/* A goroutine has been made, on the system stack g0, by the code at `ip` of the file. */
__global int go__spawned(struct filter *f, __u64 child, __u64 g0, __u32 file, __u64 ip)
{
	struct label_key k;
	struct label l = {};
	__u64 parent;

	if (!f || f->runtime.kind != RUNTIME_GO)
		return 0;
	parent = go__curg(g0);
	unit__key(&k, child);
	if (parent && !go__inherited(parent, &l) && go__is_heir(child, file, ip))
		unit__put(&k, &l);
	else /* there may be a label of a goroutine that had the same address */
		bpf_map_delete_elem(&labels, &k);
	return 0;
}

/* From now on, what is written on the connection is written for this one. */
static __always_inline void go__put(struct owner *o, __u64 key, __u64 ino)
{
	o->ino = ino;
	if (bpf_map_update_elem(&owners, &key, o, BPF_ANY)) {
		bpf_map_delete_elem(&owners, &key);
		emit__drop(WEFT_DROP_NO_STATE);
	}
}

static __always_inline int go__put_socket(struct owner *o, __u64 net_conn)
{
	__u64 sk = tls__go_sock(net_conn);

	if (!sk)
		return -1;
	go__put(o, sk, sock__inode((void *)sk));
	return 0;
}

/*
 * The goroutine `g` hands on what it wants written, on the net.Conn at `at`: a socket, a TLS session
 * (maybe one that was not seen before), or a struct that begins with a net.Conn which is a socket.
 */
__global int go__hands_on(struct filter *f, struct who *w, __u64 g, __u64 at)
{
	struct owner o = {};
	struct label_key k;
	struct label *l;
	__u64 data;

	if (!f || !w || f->runtime.kind != RUNTIME_GO)
		return 0;
	unit__key(&k, g);
	l = bpf_map_lookup_elem(&labels, &k);
	if (l && l->how == LABEL_AT) {
		o.conn = l->conn;
		o.pos = l->pos;
		o.stream = l->stream;
		o.ahead = l->ahead;
		o.label_sock = l->sock;
		o.label_ino = l->ino;
	}
	if (!go__put_socket(&o, at) || bpf_probe_read_user(&data, sizeof(data), (void *)(at + 8)) ||
	    !data)
		return 0;
	go__put(&o, tls__key(data, w->tgid), tls__ino(data, w->tgid));
	if (!tls__find(data, w->tgid))
		go__put_socket(&o, data);
	return 0;
}

/* The connection below a net.Conn, if bytes of it were seen; as in go__hands_on(). */
static __always_inline struct conn_state *go__conn(__u64 at, __u32 tgid)
{
	__u64 sk = tls__go_sock(at), data;
	struct conn_state *st;

	if (!sk) {
		if (bpf_probe_read_user(&data, sizeof(data), (void *)(at + 8)))
			return NULL;
		st = tls__find(data, tgid);
		if (st)
			return st;
		sk = tls__go_sock(data);
	}
	st = sk ? bpf_map_lookup_elem(&conns, &sk) : NULL;
	return st && st->ino == sock__inode((void *)sk) ? st : NULL;
}

/* Streams that clients open have odd numbers. */
static __always_inline int go__is_stream(__u32 stream)
{
	return stream & 1 && !(stream >> 31);
}

/*
 * The goroutine `g` runs a handler of the serverConn `sc`. What it answers with begins with a
 * pointer to its state, that one with a pointer to the stream, { sc *serverConn; id uint32; ... }.
 */
__global int go__serves_stream(struct filter *f, struct who *w, __u64 g, __u64 writer,
			       __u64 net_conn)
{
	struct label l = { .how = LABEL_AT, .inherited = 1 };
	struct conn_state *st;
	struct label_key k;
	__u64 state, at, stream[2];

	if (!f || !w || f->runtime.kind != RUNTIME_GO)
		return 0;
	unit__key(&k, g);
	st = go__conn(net_conn, w->tgid);
	if (!st || !st->conn || bpf_probe_read_user(&state, sizeof(state), (void *)writer) ||
	    bpf_probe_read_user(&at, sizeof(at), (void *)state) ||
	    bpf_probe_read_user(stream, sizeof(stream), (void *)at) ||
	    stream[0] != net_conn - GO_SERVER_CONN || !go__is_stream(stream[1])) {
		bpf_map_delete_elem(&labels, &k);
		return 0;
	}
	l.sock = st->sock;
	l.ino = st->ino;
	l.conn = st->conn;
	l.stream = stream[1];
	unit__put(&k, &l);
	return 0;
}

/* http2.FrameHeader { valid bool; Type, Flags uint8; Length, StreamID uint32 }; its number, or 0 */
static __always_inline __u32 go__stream_of(__u64 frame)
{
	__u32 head[3];
	__u64 at;

	if (bpf_probe_read_user(&at, sizeof(at), (void *)frame) ||
	    bpf_probe_read_user(head, sizeof(head), (void *)at))
		return 0;
	/* HEADERS, as RFC 9113 numbers it; its fields have been read, so it is not valid any more */
	return (head[0] & 0xfffe) == 0x0100 && head[1] < 1 << 24 && go__is_stream(head[2]) ? head[2]
											   : 0;
}

/* The goroutine `g` has read a request's head, and will beget whoever serves it. */
__global int go__next_stream(struct filter *f, __u64 g, __u64 frame, __u64 or_frame)
{
	struct label_key k;
	struct label *l, next;
	__u32 stream;

	if (!f || f->runtime.kind != RUNTIME_GO)
		return 0;
	unit__key(&k, g);
	l = bpf_map_lookup_elem(&labels, &k);
	if (!l || l->how != LABEL_AT)
		return 0;
	stream = go__stream_of(frame) ?: go__stream_of(or_frame);
	if (!stream) {
		bpf_map_delete_elem(&labels, &k);
		return 0;
	}
	next = *l;
	next.stream = stream;
	unit__put(&k, &next);
	return 0;
}

#endif /* WEFT_GO_BPF_H */

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Header blocks of HTTP/2 as Go programs have them in words: golang.org/x/net/http2, the copy of it
 * in net/http, and google.golang.org/grpc. They are asked for where a connection was joined in its
 * middle, until user space has learnt what the numbers on the wire mean (weft_policy.fields). While
 * no connection is such a one, a hit costs one look-up more.
 *
 * No table of versions is needed. A connection is taken for one where the object leads to a socket
 * or a TLS session whose bytes were seen; where it lies differs from version to version in grpc, so
 * the object's first words are tried one after another.
 */
#ifndef WEFT_GO_FIELDS_BPF_H
#define WEFT_GO_FIELDS_BPF_H

#include "go.bpf.h"

/* words of an object of grpc's that are looked at for a net.Conn; in 2018 to 2025 it is one of 2..16 */
#define GO_SCAN_WORDS 24

/* hpack.HeaderField */
struct go_field {
	__u64 name, name_len;
	__u64 value, value_len;
	__u64 sensitive;
};

/* A string of a field. A length that can't be is a struct that is another than was thought. */
static __always_inline int go__string(char *to, const __u64 room, __u64 from, __u64 len)
{
	if (len >> 24)
		return -1;
	barrier_var(len);
	if (len > room)
		len = room;
	return bpf_probe_read_user(to, len, (void *)from);
}

/* Returns -1 if it can't be read. */
static __always_inline int go__field(struct weft_field *to, __u64 from)
{
	struct go_field f;

	if (bpf_probe_read_user(&f, sizeof(f), (void *)from) || !f.name_len)
		return -1;
	to->name_len = f.name_len;
	to->value_len = f.value_len;
	return go__string(to->name, WEFT_FIELD_NAME, f.name, f.name_len) ||
			       go__string(to->value, WEFT_FIELD_VALUE, f.value, f.value_len)
		       ? -1
		       : 0;
}

/* Where a list of fields is. */
struct go_list {
	__u64 from, n;
	__u64 conn;
	__u32 stream;
	__u32 status; /* instead of a list: this alone */
	__u32 pid, tid;
	__u32 dir;
	__u32 pad;
};

__global int go__tell_fields(struct go_list *l)
{
	struct weft_fields *e;
	__u32 i;

	if (!l)
		return 0;
	e = emit__reserve(sizeof(*e) + WEFT_FIELDS_MAX * sizeof(struct weft_field));
	if (!e)
		return 0;
	emit__header(&e->h, WEFT_EV_FIELDS, sizeof(*e), l->pid, l->tid, l->conn);
	e->stream = l->stream;
	e->dir = l->dir & 1;
	e->all = l->n;
	for (i = 0; i < WEFT_FIELDS_MAX; i++) {
		if (i >= l->n || go__field(&e->f[i], l->from + i * sizeof(struct go_field)))
			break;
	}
	e->n = i;
	e->h.size = sizeof(*e) + i * sizeof(struct weft_field);
	if (i)
		emit__submit(e, WEFT_EV_FIELDS);
	else
		emit__discard(e);
	return 0;
}

__global int go__tell_status(struct go_list *l)
{
	struct weft_fields *e;

	if (!l || l->status < 100 || l->status > 999)
		return 0;
	e = emit__reserve(sizeof(*e) + sizeof(struct weft_field));
	if (!e)
		return 0;
	__builtin_memset(e, 0, sizeof(*e) + sizeof(struct weft_field));
	emit__header(&e->h, WEFT_EV_FIELDS, sizeof(*e) + sizeof(struct weft_field), l->pid, l->tid,
		     l->conn);
	e->stream = l->stream;
	e->dir = l->dir & 1;
	e->n = 1;
	e->f[0].name_len = 7;
	e->f[0].value_len = 3;
	__builtin_memcpy(e->f[0].name, ":status", 7);
	e->f[0].value[0] = '0' + l->status / 100;
	e->f[0].value[1] = '0' + l->status / 10 % 10;
	e->f[0].value[2] = '0' + l->status % 10;
	emit__submit(e, WEFT_EV_FIELDS);
	return 0;
}

/* Key of the connection below the net.Conn at `at`, if bytes of it were seen; 0: none. */
__global __u64 go__conn_key(__u64 at, __u32 tgid)
{
	__u64 sk = tls__go_sock(at), data;
	struct conn_state *st;

	if (!sk) {
		if (bpf_probe_read_user(&data, sizeof(data), (void *)(at + 8)) || !data)
			return 0;
		if (tls__find(data, tgid))
			return tls__key(data, tgid);
		sk = tls__go_sock(data);
		/* a struct that begins with a net.Conn, as grpc puts one around TLS */
		if (!sk) {
			if (bpf_probe_read_user(&data, sizeof(data), (void *)(data + 8)) || !data)
				return 0;
			return tls__find(data, tgid) ? tls__key(data, tgid) : 0;
		}
	}
	st = bpf_map_lookup_elem(&conns, &sk);
	return st && st->ino == sock__inode((void *)sk) ? sk : 0;
}

__global __u64 go__scan(__u64 object, __u32 tgid)
{
	for (__u32 i = 1; i < GO_SCAN_WORDS; i++) {
		__u64 key = go__conn_key(object + i * 8, tgid);

		if (key)
			return key;
	}
	return 0;
}

/* The frame's fields: { *HeadersFrame; Fields []hpack.HeaderField; Truncated bool } */
static __always_inline int go__frame_fields(struct go_list *l, __u64 frame)
{
	__u64 at[3]; /* frame, array, length */

	l->stream = go__stream_of(frame);
	if (!l->stream || bpf_probe_read_user(at, sizeof(at), (void *)frame))
		return -1;
	l->from = at[1];
	l->n = at[2];
	return at[2] && at[2] < 4096 ? 0 : -1;
}

/* As one argument of a function that is verified once: the stack of who calls it is short. */
struct go_block {
	__u64 key; /* of its connection */
	__u64 buf, text, text_len;
	struct who w;
	__u32 what;
	__u32 pad;
};

__global int go__block(struct go_block *b)
{
	struct go_list l = {};
	struct conn_state *st;
	__u64 status[2], key;

	if (!b)
		return 0;
	l.pid = b->w.pid;
	l.tid = b->w.tid;
	l.dir = b->what == PROBE_GO_FIELDS_IN ? WEFT_IN : WEFT_OUT;
	if (b->what == PROBE_GO_FIELDS_IN) {
		if (go__frame_fields(&l, b->buf) && go__frame_fields(&l, b->text))
			return 0;
	} else if (b->what == PROBE_GO_FIELDS_OUT) {
		l.stream = b->buf;
		l.from = b->text;
		l.n = b->text_len;
		if (!go__is_stream(l.stream) || !l.n || l.n >= 4096)
			return 0;
	} else {
		/* { streamID uint32; httpResCode int; ... } */
		if (bpf_probe_read_user(status, sizeof(status), (void *)b->buf))
			return 0;
		l.stream = status[0];
		l.status = status[1];
		if (!go__is_stream(l.stream))
			return 0;
	}
	key = b->key; /* 6.1's verifier wants it here */
	st = bpf_map_lookup_elem(&conns, &key);
	if (!st || !st->conn || !(st->policy.fields >> (l.dir & 1) & 1))
		return 0;
	l.conn = st->conn;
	return l.status ? go__tell_status(&l) : go__tell_fields(&l);
}

#endif /* WEFT_GO_FIELDS_BPF_H */

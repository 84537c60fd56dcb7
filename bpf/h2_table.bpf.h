/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HTTP/2: the whole of a header table (RFC 7541), as the library that uses it has it in memory: told
 * for connections that were joined in their middle, until user space knows what their tables hold
 * (weft_policy.fields). Once is enough, as from there on the wire says all that changes; so the
 * functions are watched only while somebody wants to know.
 *
 * Layouts are recognised, not known by version. nghttp2: a table is a ring of entries that are
 * numbered one after another, and both ways into it begin with it. Go's net/http: an encoder that
 * writes into the very buffer that lies before it in its connection. User space checks that the
 * entries make up the table's size, and that they stand where the wire has put some.
 *
 * Whose a table of nghttp2's is: of the connection from which the thread has read last, where the
 * block lies in the memory that was read into, or in a copy of it (Node) that begins with the block's
 * frame. What was read is one session's, and a session one connection's.
 */
#ifndef WEFT_H2_TABLE_BPF_H
#define WEFT_H2_TABLE_BPF_H

#include "go_fields.bpf.h"

#define H2_AGAIN_NS 20000000 /* so long no other table of the same, as user space has to answer */
#define H2_SIZE_MAX (64 * 1024)

/* nghttp2_hd_context, with which deflater and inflater begin */
struct ngh_context {
	__u64 ring; /* nghttp2_hd_entry ** */
	__u64 mask, first, len;
	__u64 mem;
	__u64 size, size_max;
	__u32 next_seq;
	__u32 bad;
};

/*
 * In a session the deflater lies before the inflater: a context, a hash table of 128 pointers, two
 * sizes, a flag.
 */
#define NGH_DEFLATER_SIZE (sizeof(struct ngh_context) + 128 * 8 + 24)

/* nghttp2_hd_entry: two counted strings, token and flags; the same as nghttp2_nv; ... */
struct ngh_entry {
	__u64 counted[2];
	__u64 token;
	__u64 name, value;
	__u64 name_len, value_len;
	__u64 flags;
	__u64 next;
	__u32 seq, hash;
};

/* nghttp2_nv */
struct ngh_field {
	__u64 name, value;
	__u64 name_len, value_len;
	__u64 flags;
};

/* hpack.Encoder { dynTab { table { ents, evictCount, two maps }, size, maxSize, ... }, ..., w } */
struct go_encoder {
	__u64 ents, n, room;
	__u64 evicted;
	__u64 by_name, by_name_value;
	__u32 size, size_max;
	__u32 size_allowed, pad;
	__u32 min_size, max_size_limit;
	__u64 update;
	__u64 writer_type, writer;
};

/* words of a ClientConn that are looked at for its encoder; there are about 60 */
#define GO_CONN_WORDS 128

/* A table, and where its entries are. */
struct h2_table {
	__u64 conn;
	__u32 pid, tid;
	__u32 stream, len;
	__u32 size;
	__u32 n;
	__u64 at;          /* nghttp2: the ring; Go: the array, the oldest first */
	__u64 first, mask; /* nghttp2 */
	__u64 block;
	__u64 fields; /* nghttp2_nv of the block; 0: none */
	__u32 all;
	__u32 next_seq;
	__u8 dir;
	__u8 go;
	__u8 pad[6];
};

/* What a probe has seen. */
struct h2_hit {
	__u64 object;
	__u64 at, len; /* of the block or its fields */
	__u64 sock;    /* Go: key of the connection, 0 none; */
	struct who w;
	__u32 what;
	__u32 stream; /* ... and the block's stream */
};

/* Entry i, the newest is 0. Returns -1 if it is none. */
__global int h2__entry(struct weft_field *to, struct h2_table *t, __u32 i)
{
	struct ngh_entry e;
	__u64 at;

	if (!to || !t)
		return -1;
	if (t->go)
		return go__field(to, t->at + (__u64)(t->n - 1 - i) * sizeof(struct go_field));
	if (bpf_probe_read_user(&at, sizeof(at),
				(void *)(t->at + ((t->first + i) & t->mask) * 8)) ||
	    bpf_probe_read_user(&e, sizeof(e), (void *)at) || e.seq != t->next_seq - 1 - i)
		return -1;
	to->name_len = e.name_len;
	to->value_len = e.value_len;
	return go__string(to->name, WEFT_FIELD_NAME, e.name, e.name_len) ||
			       go__string(to->value, WEFT_FIELD_VALUE, e.value, e.value_len)
		       ? -1
		       : 0;
}

__global int h2__field(struct weft_field *to, __u64 from)
{
	struct ngh_field f;

	if (!to || bpf_probe_read_user(&f, sizeof(f), (void *)from))
		return -1;
	to->name_len = f.name_len;
	to->value_len = f.value_len;
	return go__string(to->name, WEFT_FIELD_NAME, f.name, f.name_len) ||
			       go__string(to->value, WEFT_FIELD_VALUE, f.value, f.value_len)
		       ? -1
		       : 0;
}

static __always_inline int h2__fill(struct weft_table *e, struct h2_table *t)
{
	__u64 n = t->n, len = t->len;
	__u32 i;

	for (i = 0; i < WEFT_TABLE_MAX; i++)
		if (i >= t->n || h2__entry(&e->f[i], t, i))
			break;
	if (i != t->n)
		return -1;
	barrier_var(n);
	if (n > WEFT_TABLE_MAX)
		return -1;
	for (i = 0; t->fields && i < WEFT_FIELDS_MAX; i++)
		if (i >= t->all ||
		    h2__field(&e->f[n + i], t->fields + i * sizeof(struct ngh_field)))
			break;
	e->n = n;
	e->fields = i;
	e->h.size = sizeof(*e) + (n + i) * sizeof(struct weft_field);
	__builtin_memset(e->block, 0, sizeof(e->block));
	if (len > WEFT_TABLE_BLOCK)
		len = WEFT_TABLE_BLOCK;
	barrier_var(len);
	if (len > WEFT_TABLE_BLOCK)
		return -1;
	return len ? bpf_probe_read_user(e->block, len, (void *)t->block) : 0;
}

__global int h2__tell(struct h2_table *t)
{
	struct weft_table *e;

	if (!t)
		return 0;
	e = emit__reserve(sizeof(*e) +
			  (WEFT_TABLE_MAX + WEFT_FIELDS_MAX) * sizeof(struct weft_field));
	if (!e)
		return 0;
	emit__header(&e->h, WEFT_EV_TABLE, sizeof(*e), t->pid, t->tid, t->conn);
	e->stream = t->stream;
	e->len = t->len;
	e->size = t->size;
	e->dir = t->dir & 1;
	e->behind = t->go;
	e->all = t->all;
	__builtin_memset(e->pad, 0, sizeof(e->pad));
	if (h2__fill(e, t))
		emit__discard(e);
	else
		emit__submit(e, WEFT_EV_TABLE);
	return 0;
}

/* ---- nghttp2 ---- */

/* Apart from who calls it, as are some below: the stack is short. */
__global int ngh__context(struct h2_table *t, __u64 at)
{
	struct ngh_context c;

	if (!t || bpf_probe_read_user(&c, sizeof(c), (void *)at) || (c.bad & 0xff) ||
	    c.mask & (c.mask + 1) || c.len > c.mask + 1 || c.len > WEFT_TABLE_MAX ||
	    c.size > c.size_max || c.size_max > H2_SIZE_MAX)
		return -1;
	t->at = c.ring;
	t->first = c.first;
	t->mask = c.mask;
	t->n = c.len;
	t->size = c.size;
	t->next_seq = c.next_seq;
	return 0;
}

/*
 * The stream of the HEADERS frame (RFC 9113, 6.2) whose payload is this block from its first byte to
 * its last, and in the upper half the bytes of the frame that are before the block; 0: it is not.
 */
__global __u64 ngh__stream(__u64 block, __u64 len)
{
	char head[WALK_HEADER];
	__u64 more = 0;
	__u32 word;

	if (bpf_probe_read_user(head, sizeof(head), (void *)(block - sizeof(head))))
		return 0;
	word = walk__word(head);
	if (word != (len << 8 | 1) || (head[4] & 0x2c) != 4) {
		more = 5; /* its priority */
		if (bpf_probe_read_user(head, sizeof(head), (void *)(block - sizeof(head) - more)))
			return 0;
		word = walk__word(head);
		if (word != ((len + more) << 8 | 1) || (head[4] & 0x2c) != 0x24)
			return 0;
	}
	return (sizeof(head) + more) << 32 | (walk__word(head + 5) & 0x7fffffff);
}

/* Was it read last, that frame which begins at `frame` and whose block is at `block`? */
__global int h2__read_last(struct last_read *r, __u64 frame, __u64 block)
{
	__u64 bytes[LAST_READ_BYTES / 8] = {}, n;

	if (!r || !r->len)
		return 0;
	if (block - r->at < r->len)
		return 1;
	n = r->len < LAST_READ_BYTES ? r->len : LAST_READ_BYTES;
	barrier_var(n);
	if (n > LAST_READ_BYTES || bpf_probe_read_user(bytes, n, (void *)frame))
		return 0;
	for (__u32 i = 0; i < LAST_READ_BYTES / 8; i++)
		if (bytes[i] != r->bytes[i])
			return 0;
	return 1;
}

/* ---- whose it is ---- */

static __always_inline struct conn_state *h2__conn(__u64 sock, __u64 ino)
{
	struct conn_state *st = bpf_map_lookup_elem(&conns, &sock);

	return st && st->ino == ino && st->conn ? st : NULL;
}

/* The object is this connection's; not, if it is another's that is still there: returns -1. */
__global int h2__owns(struct conn_state *st, __u64 object, __u32 tgid)
{
	struct table_owner_key key = {};
	struct table_owner fresh = {}, *o;

	if (!st)
		return -1;
	key.object = object;
	key.tgid = tgid;
	o = bpf_map_lookup_elem(&table_owners, &key);
	if (o && o->sock == st->sock && o->ino == st->ino)
		return 0;
	if (o && h2__conn(o->sock, o->ino)) {
		bpf_map_delete_elem(&table_owners, &key);
		return -1;
	}
	fresh.sock = st->sock;
	fresh.ino = st->ino;
	bpf_map_update_elem(&table_owners, &key, &fresh, BPF_ANY);
	return 0;
}

/* Is its table wanted now? Then not so soon again. */
static __always_inline int h2__due(struct conn_state *st, struct table_owner_key *key, __u32 dir)
{
	struct table_owner *o = bpf_map_lookup_elem(&table_owners, key);
	__u64 now = bpf_ktime_get_boot_ns();

	if (!o || !(st->policy.fields >> (dir & 1) & 1) || now < o->next[dir & 1])
		return 0;
	o->next[dir & 1] = now + H2_AGAIN_NS;
	return 1;
}

__global int h2__nghttp2_in(struct h2_hit *b)
{
	struct table_owner_key key = {};
	struct h2_table t = {};
	struct conn_state *st;
	struct last_read *r;
	__u64 frame;

	if (!b)
		return 0;
	frame = ngh__stream(b->at, b->len);
	t.stream = frame;
	r = t.stream ? bpf_task_storage_get(&last_reads, bpf_get_current_task_btf(), 0, 0) : NULL;
	if (!r || (r->object && r->object != b->object) ||
	    !h2__read_last(r, b->at - (frame >> 32), b->at))
		return 0;
	r->object = b->object;
	st = h2__conn(r->sock, r->ino);
	if (!st)
		return 0;
	key.object = b->object;
	key.tgid = b->w.tgid;
	if (h2__owns(st, key.object, key.tgid) || !h2__due(st, &key, WEFT_IN) ||
	    ngh__context(&t, b->object))
		return 0;
	t.conn = st->conn;
	t.pid = b->w.pid;
	t.tid = b->w.tid;
	t.dir = WEFT_IN;
	t.block = b->at;
	t.len = b->len;
	return h2__tell(&t);
}

__global int h2__nghttp2_out(struct h2_hit *b)
{
	struct table_owner_key key = {};
	struct h2_table t = {};
	struct conn_state *st;
	struct table_owner *o;

	if (!b || !b->len || b->len > 4096)
		return 0;
	key.object = b->object + NGH_DEFLATER_SIZE;
	key.tgid = b->w.tgid;
	o = bpf_map_lookup_elem(&table_owners, &key);
	st = o ? h2__conn(o->sock, o->ino) : NULL;
	if (!st || !h2__due(st, &key, WEFT_OUT) || ngh__context(&t, b->object))
		return 0;
	t.conn = st->conn;
	t.pid = b->w.pid;
	t.tid = b->w.tid;
	t.dir = WEFT_OUT;
	t.fields = b->at;
	t.all = b->len;
	return h2__tell(&t);
}

/* ---- Go ---- */

/* The table of a ClientConn's encoder. Returns -1: there is none to be seen. */
__global int h2__go_table(struct h2_table *t, __u64 conn)
{
	struct go_encoder e = {};
	__u64 at;
	__u32 i;

	if (!t)
		return -1;
	for (i = 5; i < GO_CONN_WORDS; i++) {
		if (bpf_probe_read_user(&at, sizeof(at), (void *)(conn + i * 8)) || !at ||
		    bpf_probe_read_user(&e, sizeof(e), (void *)at))
			continue;
		/* it writes into the bytes.Buffer (40 bytes) before it */
		if (e.writer == conn + i * 8 - 40)
			break;
	}
	if (i == GO_CONN_WORDS || e.n > e.room || e.n > WEFT_TABLE_MAX || e.size > e.size_max ||
	    e.size_max > H2_SIZE_MAX)
		return -1;
	t->at = e.ents;
	t->n = e.n;
	t->size = e.size;
	t->go = 1;
	return 0;
}

__global int h2__go_out(struct h2_hit *b)
{
	struct table_owner_key key = {};
	struct h2_table t = {};
	struct conn_state *st;
	__u64 sock;

	if (!b || !b->sock || !go__is_stream(b->stream) || !b->len || b->len >> 24)
		return 0;
	sock = b->sock; /* 6.1's verifier wants it here */
	st = bpf_map_lookup_elem(&conns, &sock);
	if (!st || !st->conn || !(st->policy.fields >> WEFT_OUT & 1))
		return 0;
	key.object = b->object;
	key.tgid = b->w.tgid;
	if (h2__owns(st, key.object, key.tgid) || !h2__due(st, &key, WEFT_OUT) ||
	    h2__go_table(&t, b->object))
		return 0;
	t.conn = st->conn;
	t.pid = b->w.pid;
	t.tid = b->w.tid;
	t.dir = WEFT_OUT;
	t.stream = b->stream;
	t.block = b->at;
	t.len = b->len;
	return h2__tell(&t);
}

#endif /* WEFT_H2_TABLE_BPF_H */

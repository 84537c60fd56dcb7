/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The frames of HTTP/2 (RFC 9113, 4.1), followed through the calls of a connection. Many streams
 * share a call, and what matters of each is little: the header of every frame, and the payload of
 * those that are not DATA. These are copied wherever in the call they lie (WEFT_F_PARTS); a call in
 * the middle of a long payload costs a record without bytes.
 *
 * Where the next frame header lies follows from the one before it. So one is needed to begin with:
 * the first bytes of a connection, or a call that begins like a frame and is proved right by the
 * frames behind it. A call that can't be followed is copied like all others (io.bpf.h). Positions
 * in a record are true in any case; a guess that was wrong costs bytes that say nothing.
 */
#ifndef WEFT_WALK_BPF_H
#define WEFT_WALK_BPF_H

#include "call.bpf.h"

#define WALK_STEPS 2048 /* frames and segments of one call, about */
#define WALK_CHUNK 1024 /* bytes that are read at a time */
#define WALK_AHEAD 64   /* read with a frame header: mostly all that is wanted of the frame */
#define WALK_HEADER 9
#define WALK_SMALL 32 /* a payload that is no longer is copied, whatever it is */
#define WALK_FULL (WEFT_PARTS_MAX - WALK_CHUNK - 16) /* no more is copied */
#define WALK_NO_PART (~0ULL)

#define WALK_PREFACE 0x50524920 /* "PRI " */
#define WALK_PREFACE_REST 15    /* bytes behind its first nine */

#define WALK_DATA 0     /* type of a frame */
#define WALK_SETTINGS 4 /* another; its payload is a list of six bytes each */
#define WALK_PADDED 8   /* flag of DATA: the payload begins with the length of its padding */
#define WALK_TYPES 16
#define WALK_ANY 0xff

/* What frames of a type look like, what a header of this type proves, and what is wanted. */
struct walk_type {
	__u8 flags;  /* those that are defined */
	__u8 stream; /* 1: of a stream; 0: of the connection; WALK_ANY */
	__u8 len;    /* of the payload, or WALK_ANY */
	__u8 proves; /* by how much the following gets surer; 0: no such type */
	__u32 want;
};

static const struct walk_type walk_types[WALK_TYPES] = {
	/* DATA */ { 0x09, 1, WALK_ANY, 1, 0 },
	/* HEADERS */ { 0x2d, 1, WALK_ANY, 1, 4096 },
	/* PRIORITY */ { 0, 1, 5, 3, 5 },
	/* RST_STREAM */ { 0, 1, 4, 3, 4 },
	/* SETTINGS */ { 0x01, 0, WALK_ANY, 3, 1024 },
	/* PUSH_PROMISE */ { 0x0c, 1, WALK_ANY, 1, 4096 },
	/* PING */ { 0x01, 0, 8, 3, 8 },
	/* GOAWAY */ { 0, 0, WALK_ANY, 3, 64 },
	/* WINDOW_UPDATE */ { 0, WALK_ANY, 4, 3, 4 },
	/* CONTINUATION */ { 0x04, 1, WALK_ANY, 1, 4096 },
};

struct walking {
	struct call *c;
	struct parts *p;
};

static __always_inline char *parts__bytes(struct parts *p)
{
	return p->record + sizeof(struct weft_data);
}

static __always_inline __u32 walk__word(const char *p)
{
	const __u8 *b = (const __u8 *)p;

	return (__u32)b[0] << 24 | (__u32)b[1] << 16 | (__u32)b[2] << 8 | b[3];
}

/*
 * How much does this frame header prove? 0: it is none. `word`: length and type; `flags` and
 * `stream` (with the reserved bit) as they stand.
 */
static __always_inline __u32 walk__proves(__u32 word, __u8 flags, __u32 stream, __u8 sure)
{
	const struct walk_type *t;
	__u32 len = word >> 8, type = word & 0xff;

	/* What is not known has to be passed over (RFC 9113, 5.5), but proves nothing. */
	if (type >= WALK_TYPES || !walk_types[type & (WALK_TYPES - 1)].proves)
		return sure == FOLLOW_SURE;
	t = &walk_types[type & (WALK_TYPES - 1)];
	if ((flags & ~t->flags) || stream >> 31 || (t->len != WALK_ANY && t->len != len) ||
	    (t->stream != WALK_ANY && t->stream != !!stream))
		return 0;
	if (type == WALK_SETTINGS && len % 6)
		return 0;
	return sure == FOLLOW_SURE || len < 1 << 20 ? t->proves : 0;
}

/* A frame header was read: what is wanted of the payload? False: it is no frame header. */
static __always_inline int walk__frame(struct walk *w, __u32 word, __u8 flags, __u32 proves)
{
	__u32 len = word >> 8, type = word & 0xff, want = 0;

	if (word == WALK_PREFACE && w->at.sure == FOLLOW_GUESS) {
		len = want = WALK_PREFACE_REST;
		proves = FOLLOW_SURE;
	} else if (len <= WALK_SMALL) {
		want = len;
	} else if (type < WALK_TYPES) {
		want = walk_types[type & (WALK_TYPES - 1)].want;
		if (want > len)
			want = len;
		if (type == WALK_DATA && (flags & WALK_PADDED))
			want = 1;
	}
	if (!proves)
		return 0;
	w->at.sure = proves + w->at.sure > FOLLOW_SURE ? FOLLOW_SURE : proves + w->at.sure;
	w->at.want = want;
	w->at.skip = len - want;
	w->at.have = 0;
	return 1;
}

static __always_inline int walk__next_segment(struct walk *w, struct call *c)
{
	struct iovec *v = (struct iovec *)w->iov;
	__u32 i = w->segment;
	__u64 skip = i ? 0 : c->skip;

	if (i >= c->n_iov || io__segment(c, i, v) || v->iov_len < skip)
		return -1;
	w->segment++;
	w->base = (__u64)v->iov_base + skip;
	w->left = v->iov_len - skip;
	if (w->left > w->len - w->done)
		w->left = w->len - w->done;
	return 0;
}

static __always_inline void walk__pass(struct walk *w, __u64 n)
{
	w->base += n;
	w->left -= n;
	w->done += n;
}

/* The n bytes at bytes[at...], which come next in the call, belong to the record. */
static __always_inline void walk__keep(struct parts *p, __u64 at, __u64 n)
{
	struct walk *w = &p->walk;
	char *bytes = parts__bytes(p);
	__u64 part = w->part;

	if (w->end != w->done) {
		if (part == WALK_NO_PART)
			w->head = w->to;
		w->part = part = w->to;
		barrier_var(part);
		if (part <= WEFT_PARTS_MAX)
			*(struct weft_part *)(bytes + part) = (struct weft_part){ .off = w->done,
										  .len = n };
	} else {
		barrier_var(part);
		if (part <= WEFT_PARTS_MAX)
			((struct weft_part *)(bytes + part))->len += n;
	}
	w->to = at + n;
	w->end = w->done + n;
	w->copied += n;
}

/*
 * Read what is wanted next: a piece of a payload, a frame header with some of what is behind it, or
 * one byte of a header that is cut. Returns the number of bytes taken, 0: these are no frames.
 */
static __always_inline __u64 walk__take(struct parts *parts, __u64 at)
{
	struct walk *w = &parts->walk;
	__u64 want = w->at.want, n = 1, behind;
	char *p = parts__bytes(parts) + at;
	__u32 word;
	__u8 flags = 0;

	if (want)
		n = want;
	else if (!w->at.have && w->left >= WALK_HEADER)
		n = WALK_AHEAD;
	if (n > w->left)
		n = w->left;
	barrier_var(n);
	if (n > WALK_CHUNK)
		n = WALK_CHUNK;
	if (bpf_probe_read_user(p, n, (void *)w->base))
		return 0;
	if (want) {
		w->at.want = want - n;
		return n;
	}
	if (n >= WALK_HEADER) {
		word = walk__word(p);
		flags = p[4];
		if (!walk__frame(w, word, flags,
				 walk__proves(word, flags, walk__word(p + 5), w->at.sure)))
			return 0;
		behind = n - WALK_HEADER;
		if (behind > w->at.want)
			behind = w->at.want;
		w->at.want -= behind;
		return WALK_HEADER + behind;
	}
	if (w->at.have < 4)
		w->at.word = w->at.word << 8 | (__u8)p[0];
	if (++w->at.have < WALK_HEADER)
		return 1;
	/* Its flags are gone: as if DATA were padded. */
	return walk__frame(w, w->at.word, WALK_PADDED, 1) ? 1 : 0;
}

/* For bpf_loop(). */
static long walk__step(__u32 i, struct walking *ctx)
{
	struct walk *w = &ctx->p->walk;
	__u64 n, at;

	if (w->done >= w->len || (!w->left && walk__next_segment(w, ctx->c)))
		return 1;
	if (!w->at.want && w->at.skip) {
		n = w->at.skip < w->left ? w->at.skip : w->left;
		w->at.skip -= n;
		walk__pass(w, n);
	}
	if (!w->left)
		return 0;
	at = w->to + (w->end != w->done ? sizeof(struct weft_part) : 0);
	barrier_var(at);
	if (at > WALK_FULL)
		at = WALK_FULL;
	n = walk__take(ctx->p, at);
	if (!n) {
		w->at.sure = FOLLOW_LOST;
		return 1;
	}
	if (at < WALK_FULL)
		walk__keep(ctx->p, at, n);
	walk__pass(w, n);
	return 0;
}

__subprog struct parts *walk__room(void)
{
	for (__u32 i = 0; i < PARTS_MAX; i++) {
		__u32 key = i;
		struct parts *p = bpf_map_lookup_elem(&parts, &key);

		if (p && !__sync_val_compare_and_swap(&p->busy, 0, 1))
			return p;
	}
	return NULL;
}

/* Does a connection begin with this call? */
static __always_inline int walk__begins(struct parts *p, struct call *c, __u32 len)
{
	struct iovec *v = (struct iovec *)p->walk.iov;
	char *b = parts__bytes(p);
	__u64 base = c->base, left = len;

	if (c->n_iov) {
		if (io__segment(c, 0, v))
			return 0;
		base = (__u64)v->iov_base;
		left = v->iov_len - c->skip;
	}
	if (len < WALK_HEADER || left < WALK_HEADER ||
	    bpf_probe_read_user(b, WALK_HEADER, (void *)base + c->skip))
		return 0;
	return walk__word(b) == WALK_PREFACE ||
	       (b[3] == WALK_SETTINGS &&
		walk__proves(walk__word(b), b[4], walk__word(b + 5), FOLLOW_GUESS));
}

/* A call that begins behind what was walked through: is it followed? */
static __always_inline int walk__resume(struct parts *p, struct call *c, struct conn_state *st,
					__u32 off, __u32 len)
{
	struct follow *at = &p->walk.at;
	__u8 was = at->sure;

	if (was >= FOLLOW_GUESS && at->pos == off)
		return 1;
	*at = (struct follow){ .sure = FOLLOW_LOST };
	if (c->flags & WEFT_F_UNREADABLE ||
	    (st->policy.frames != WEFT_FRAMES && (was != FOLLOW_NEW || !walk__begins(p, c, len))))
		return 0;
	at->sure = FOLLOW_GUESS;
	return 1;
}

/* A call in the middle of a payload of which nothing is wanted. */
static __always_inline void walk__bare(struct call *c, struct conn_state *st, __u32 off, __u32 len)
{
	struct weft_data *d = emit__reserve(sizeof(*d));

	if (!d)
		return;
	io__fill(d, c, st, off, len);
	d->h.flags = WEFT_F_POLICY;
	d->head = d->tail = 0;
	emit__submit(d, WEFT_EV_DATA);
}

static __always_inline void walk__emit(struct parts *p, struct call *c, struct conn_state *st,
				       __u32 off)
{
	struct weft_data *d = (struct weft_data *)p->record;
	struct walk *w = &p->walk;
	__u64 n = w->to, size;

	barrier_var(n);
	if (n > WEFT_PARTS_MAX)
		return;
	*(__u64 *)(parts__bytes(p) + n) = 0; /* padding */
	io__fill(d, c, st, off, w->len);
	if (w->part == WALK_NO_PART)
		w->head = n;
	if (w->part != WALK_NO_PART || n > WEFT_HEAD_MAX)
		d->h.flags |= WEFT_F_PARTS;
	if (w->copied < w->len)
		d->h.flags |= WEFT_F_POLICY;
	d->head = w->head;
	d->tail = 0;
	size = sizeof(*d) + ((n + 7) & ~7ULL);
	d->h.size = size;
	barrier_var(size);
	if (size <= sizeof(*d) + WEFT_PARTS_MAX)
		emit__output(d, size, WEFT_EV_DATA);
}

/*
 * What is to be done with this call? Returns 2: walk through it, all is set up; 1: it was told of; 0:
 * it can't be followed.
 */
__global int walk__prepare(struct parts *p, struct call *c, struct conn_state *st, __u32 off,
			   __u32 len)
{
	struct follow *f;
	struct walk *w;

	if (!p || !c || !st)
		return 0;
	f = &st->follow[c->dir & 1];
	w = &p->walk;
	__builtin_memset(w, 0, sizeof(*w));
	w->at = *f;
	/* Until this call is done, nobody else knows where the frames are. */
	f->sure = FOLLOW_LOST;
	if (!walk__resume(p, c, st, off, len))
		return 0;
	w->at.pos = off + len;
	if (w->at.want || w->at.skip < len) {
		w->part = WALK_NO_PART;
		w->len = len;
		if (!c->n_iov) {
			w->base = c->base + c->skip;
			w->left = len;
		}
		return c->flags & WEFT_F_UNREADABLE ? 0 : 2;
	}
	w->at.skip -= len;
	*f = w->at;
	if (f->sure != FOLLOW_SURE || c->flags & WEFT_F_UNREADABLE)
		return 0;
	conn__turn(st, c->dir & 1);
	walk__bare(c, st, off, len);
	return 1;
}

/* The call was walked through. Returns 1: it was told of. */
__global int walk__finish(struct parts *p, struct call *c, struct conn_state *st)
{
	struct walk *w;

	if (!p || !c || !st)
		return 0;
	w = &p->walk;
	if (w->done < w->len)
		w->at.sure = FOLLOW_LOST;
	st->follow[c->dir & 1] = w->at;
	if (w->at.sure != FOLLOW_SURE)
		return 0;
	conn__turn(st, c->dir & 1);
	walk__emit(p, c, st, w->at.pos - w->len);
	return 1;
}

/*
 * Follow the frames through a call of which `len` bytes were moved. Returns 1 if the call was told
 * of; 0: it can't be followed.
 */
__global int walk__call(struct call *c, struct conn_state *st, __u32 off, __u32 len)
{
	struct walking ctx = { .c = c };
	int told;

	if (!c || !st)
		return 0;
	ctx.p = walk__room();
	if (!ctx.p) {
		st->follow[c->dir & 1].sure = FOLLOW_LOST;
		return 0;
	}
	told = walk__prepare(ctx.p, c, st, off, len);
	if (told > 1) {
		bpf_loop(WALK_STEPS, walk__step, &ctx, 0);
		told = walk__finish(ctx.p, c, st);
	}
	ctx.p->busy = 0;
	return told;
}

#endif /* WEFT_WALK_BPF_H */

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls of client libraries. All is told when the function returns, the text too: a caller keeps
 * what it passed until then, and two kilobytes a call under way would be dear.
 *
 * Some functions are called once a row (sqlite3_step). While they say that there is more, only a
 * count is kept, by object; the call that ends it tells of all.
 */
#ifndef WEFT_LIBCALL_BPF_H
#define WEFT_LIBCALL_BPF_H

#include "tls.bpf.h"

/* What a record can hold of each text: most are short. */
#define LIBCALL_SHORT 254
#define LIBCALL_ROOM(max) (2 * ((max) + 2) + 8)

struct libcall_short {
	char bytes[LIBCALL_ROOM(LIBCALL_SHORT)];
};

struct libcall_long {
	char bytes[LIBCALL_ROOM(WEFT_CALL_TEXT_MAX)];
};

/* What is said of a call beside its frame. */
struct libcall {
	struct who w;
	struct probe_desc d;
	__u64 begin;
	__u64 count;
	__u64 made;
	__s64 ret;
	__s64 value;
};

/* One text on its way into a record. */
struct libcall_text {
	__u64 from;
	__u64 want; /* how long it is at most; ~0: up to its NUL */
	__u32 got;
	__u32 true_len;
};

struct libcall_texts {
	struct libcall_text t[2];
};

/* Where a text is and how long: what the arguments said at the entry. */
static __always_inline void libcall__where(struct libcall_text *t, struct libcall *c, __u64 from,
					   __u64 len, __u8 counted)
{
	int behind = c->d.flags & PROBE_TEXT_BEHIND;

	t->from = from;
	t->want = ~0ULL;
	if (behind && from && bpf_probe_read_user(&t->from, sizeof(t->from), (void *)from))
		t->from = 0;
	if (!counted)
		return;
	if (behind) {
		if (!len || bpf_probe_read_user(&len, sizeof(len), (void *)len))
			return;
	}
	/* an int in some libraries, where less than 0 means up to the NUL */
	if ((__s32)len >= 0)
		t->want = (__u32)len;
}

/*
 * Copy it to `to`, where there is room for max + 2. Returns 1 if it is longer than `max`. A text
 * that is counted may end with a NUL before that, or have none; then what is behind it may not be
 * readable.
 */
static __always_inline int libcall__text(struct libcall_text *t, char *to, const __u64 max)
{
	__u64 size = t->want < max + 1 ? t->want : max + 1;
	long n;

	t->got = t->true_len = 0;
	if (!t->from || !size)
		return 0;
	barrier_var(size);
	if (size > max + 1)
		return 0;
	n = bpf_probe_read_user_str(to, size + 1, (void *)t->from) - 1;
	if (n < 0) {
		if (t->want != size || bpf_probe_read_user(to, size, (void *)t->from))
			return 0;
		n = size;
	}
	t->got = n < max ? n : max;
	t->true_len = n == size && t->want != ~0ULL ? t->want : n;
	return n > max;
}

/*
 * Both texts behind each other, into bytes of LIBCALL_ROOM(max). Returns 1 if one did not fit. What
 * is behind them is made zero up to where the record may end.
 */
static __always_inline int libcall__texts(struct libcall_text *t, char *bytes, const __u64 max)
{
	int more = libcall__text(&t[0], bytes, max);
	__u64 at = t[0].got;

	barrier_var(at);
	if (at > max)
		return 0;
	more |= libcall__text(&t[1], bytes + at, max);
	at = t[0].got + t[1].got;
	barrier_var(at);
	if (at <= 2 * max)
		*(__u64 *)(bytes + at) = 0;
	return more;
}

/* Verified once each, not once a way that leads to them. */
__global int libcall__copy_short(struct libcall_texts *t, struct libcall_short *to)
{
	return t && to ? libcall__texts(t->t, to->bytes, LIBCALL_SHORT) : 0;
}

__global int libcall__copy_long(struct libcall_texts *t, struct libcall_long *to)
{
	return t && to ? libcall__texts(t->t, to->bytes, WEFT_CALL_TEXT_MAX) : 0;
}

static __always_inline struct weft_call *libcall__record(struct libcall_texts *t)
{
	struct weft_call *e;

	if (!t->t[0].from && !t->t[1].from)
		return emit__reserve(sizeof(*e));
	e = emit__reserve(sizeof(*e) + sizeof(struct libcall_short));
	if (!e || !libcall__copy_short(t, (void *)e->bytes))
		return e;
	emit__discard(e);
	e = emit__reserve(sizeof(*e) + sizeof(struct libcall_long));
	if (e)
		libcall__copy_long(t, (void *)e->bytes);
	return e;
}

static __always_inline __u64 libcall__made(struct libcall *c, __u64 out)
{
	__u64 made = 0;

	if (c->d.flags & PROBE_MADE_RET)
		return c->ret;
	if (c->d.made && out)
		bpf_probe_read_user(&made, sizeof(made), (void *)out);
	return made;
}

static __always_inline __s64 libcall__value(struct libcall *c)
{
	__s32 value;

	if (c->d.peek < 0 || !c->ret ||
	    bpf_probe_read_user(&value, sizeof(value), (void *)(c->ret + c->d.peek)))
		return -1;
	return value;
}

/* What has to be read: where the texts are, what it made, what lies behind what it returned. */
__global int libcall__read(struct frame *f, struct libcall *c, struct libcall_texts *t)
{
	if (!f || !c || !t)
		return 0;
	if (c->d.text)
		libcall__where(&t->t[0], c, f->buf, f->len, c->d.text_len);
	if (c->d.text2)
		libcall__where(&t->t[1], c, f->text2, f->text2_len, c->d.text2_len);
	c->made = libcall__made(c, f->out);
	c->value = libcall__value(c);
	return 0;
}

__global int libcall__emit(struct frame *f, struct libcall *c)
{
	struct libcall_texts t = {};
	struct weft_call *e;

	if (!f || !c)
		return 0;
	libcall__read(f, c, &t);
	e = libcall__record(&t);
	if (!e)
		return 0;
	emit__header(&e->h, WEFT_EV_CALL, sizeof(*e), c->w.pid, c->w.tid, 0);
	e->h.size = sizeof(*e) + ((t.t[0].got + t.t[1].got + 7) & ~7U);
	e->begin = c->begin;
	e->object = f->object;
	e->made = c->made;
	e->ret = c->ret;
	e->count = c->count;
	e->value = c->value;
	e->fn = c->d.fn;
	e->text_len = t.t[0].true_len;
	e->text = t.t[0].got;
	e->text2 = t.t[1].got;
	e->text2_len = t.t[1].true_len;
	emit__submit(e, WEFT_EV_CALL);
	return 0;
}

/* One more of the calls that are counted. */
static __always_inline void libcall__count(struct count_key *key, __u64 begin)
{
	struct count first = { .begin = begin, .n = 1 }, *n = bpf_map_lookup_elem(&counts, key);

	if (n)
		__sync_fetch_and_add(&n->n, 1);
	else if (bpf_map_update_elem(&counts, key, &first, BPF_NOEXIST))
		emit__drop(WEFT_DROP_NO_STATE);
}

/* A watched function has returned. */
__global int libcall__done(struct frame *f, struct libcall *c)
{
	struct count_key key = {};
	struct count *n = NULL;

	if (!f || !c || f->nested)
		return 0;
	key.object = f->object;
	key.tgid = c->w.tgid;
	c->begin = f->begin;
	c->count = 0;
	if (c->d.more && (__s32)c->ret == c->d.more) {
		libcall__count(&key, f->begin);
		return 0;
	}
	if (c->d.more || c->d.ends)
		n = bpf_map_lookup_elem(&counts, &key);
	if (n) {
		c->begin = n->begin;
		c->count = n->n;
		bpf_map_delete_elem(&counts, &key);
	} else if (c->d.ends == PROBE_ENDS_ONLY) {
		return 0;
	}
	return libcall__emit(f, c);
}

/* The same, put together here: the stack of who calls this is short. */
__global int libcall__returned(struct frame *f, struct who *w, struct probe_desc *d, __s64 ret)
{
	struct libcall c = { .ret = ret };

	if (!f || !w || !d)
		return 0;
	c.w = *w;
	c.d = *d;
	return libcall__done(f, &c);
}

#endif /* WEFT_LIBCALL_BPF_H */

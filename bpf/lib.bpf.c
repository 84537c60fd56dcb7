// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Uprobes: one program for where functions of libraries begin and one for where they end. What a
 * function is, and where its arguments are, is data (struct probe_desc), found by the attach
 * cookie: another library needs no program of its own.
 *
 * The programs run for every process that maps the file, so the filter comes first.
 */
#include "h2_table.bpf.h"
#include "libcall.bpf.h"

/* One hit of a probe. */
struct hit {
	struct pt_regs *regs;
	struct task_struct *task;
	struct probe_desc *d;
	struct filter *f;
	__u64 cookie;
	__u64 depth;
	struct who w;
};

#define LIB_ARGS 9

/* The registers that arguments come in, by number of the argument; [0] is for those there are not. */
struct lib_args {
	__u64 of[LIB_ARGS + 1];
};

static __always_inline void lib__args(struct lib_args *a, struct pt_regs *regs, __u8 abi)
{
	if (abi == PROBE_ABI_GO)
		*a = (struct lib_args){ { 0, regs->ax, regs->bx, regs->cx, regs->di, regs->si,
					  regs->r8, regs->r9, regs->r10, regs->r11 } };
	else
		*a = (struct lib_args){ { 0, regs->di, regs->si, regs->dx, regs->cx, regs->r8,
					  regs->r9 } };
}

static __always_inline __u64 lib__arg(const struct lib_args *a, __u8 n)
{
	return n <= LIB_ARGS ? a->of[n] : 0;
}

/* Is the process selected, and what is the function? */
static __always_inline int lib__hit(struct hit *h, struct pt_regs *regs)
{
	struct filter *f;
	__u32 i;

	h->regs = regs;
	h->task = bpf_get_current_task_btf();
	f = filter__current(h->task);
	if (!f)
		return -1;
	h->cookie = bpf_get_attach_cookie(regs);
	i = h->cookie & 0xffff;
	h->d = bpf_map_lookup_elem(&probe_descs, &i);
	if (!h->d || !h->d->what)
		return -1;
	h->depth = frame__depth(regs, h->d->abi);
	if (!h->depth)
		return -1;
	h->w.pid = f->pid;
	h->w.tid = filter__tid(h->task, f->pid);
	h->w.tgid = h->task->tgid;
	h->w.flags = h->d->flags;
	if (f->bits & FILTER_RUNTIME)
		h->w.flags |= WHO_RUNTIME;
	h->f = f;
	return 0;
}

/* A length is an int where the function returns one; then its register's upper half is anything. */
static __always_inline __u64 lib__len(const struct probe_desc *d, __u64 len)
{
	return d->flags & PROBE_INT && d->what != PROBE_CALL ? (__u64)(__s32)len : len;
}

/* The arguments, for the exit. */
__global int lib__fill(struct frame *f, struct probe_desc *d, struct lib_args *a)
{
	if (!f || !d || !a)
		return 0;
	f->object = lib__arg(a, d->object);
	f->buf = lib__arg(a, d->buf ? d->buf : d->text);
	f->len = lib__len(d, lib__arg(a, d->len ? d->len : d->text_len));
	f->out = lib__arg(a, d->out ? d->out : d->made);
	f->text2 = lib__arg(a, d->text2);
	f->text2_len = lib__arg(a, d->text2_len);
	f->what = d->what;
	f->shows = d->what == PROBE_CALL && d->flags & PROBE_SHOWS;
	return 0;
}

/* Returns -1 where the arguments say that this is not what the function is watched for. */
static __always_inline int lib__frame(struct hit *h, struct frame *f)
{
	struct lib_args a;

	lib__args(&a, h->regs, h->d->abi);
	if (h->d->only && (__u8)lib__arg(&a, h->d->only) != h->d->only_is)
		return -1;
	lib__fill(f, h->d, &a);
	f->begin = bpf_ktime_get_boot_ns();
	f->depth = h->depth;
	f->desc = h->cookie & 0xffff;
	return 0;
}

/*
 * Go: a caller's buffer may lie on the goroutine's stack (that of tls.Conn.Read does not escape),
 * and the stack may move while the function waits: it grows, or the collector makes it smaller.
 */
static __always_inline void lib__anchor(struct hit *h, struct frame *f)
{
	__u64 down = h->depth + PT_REGS_SP(h->regs) - f->buf;

	/* right behind the stack is not in it */
	if (h->d->abi == PROBE_ABI_GO && down && down <= h->depth) {
		f->buf = down;
		f->on_stack = 1;
	}
}

static __always_inline void lib__find_again(struct hit *h, struct frame *f)
{
	if (f->on_stack)
		f->buf = h->depth + PT_REGS_SP(h->regs) - f->buf;
}

/* Ciphertext belongs to the session that is being worked on; outside of that, to nobody. */
static __always_inline int lib__of_session(struct hit *h, struct frames *fr, struct frame *f)
{
	int i = frame__innermost(fr, h->depth, FRAME_OF_TLS, 0, 0);

	if (i < 0 || i >= FRAMES_MAX)
		return -1;
	f->object = fr->f[i].object;
	return 0;
}

/* Functions that are dealt with when they begin, without a frame. */
static __always_inline int lib__at_once(struct hit *h, struct frame *f)
{
	switch (h->d->what) {
	case PROBE_TLS_END: return tls__end(f->object, &h->w);
	case PROBE_TLS_SHUTDOWN: return tls__shutdown(f->object, &h->w);
	case PROBE_CIPHER_OUT: return tls__cipher(f, &h->w, f->len, WEFT_SESSION_OUT);
	}
	tls__begin(f->object, &h->w, f->what);
	return tls__done(f, &h->w, f->len);
}

/* Returns -1 where the call can't be told of, as nobody would know for whom it was made. */
static __always_inline int lib__for_whom(struct hit *h)
{
	struct unit u;

	unit__current(h->f, &u);
	return unit__tell(&u, NULL, h->w.pid, h->w.tid);
}

/* The first five arguments, without a table of all: the stack is short. */
static __always_inline __u64 lib__go_arg(struct pt_regs *regs, __u8 n)
{
	__u64 first = regs->ax, second = regs->bx, third = regs->cx, fourth = regs->di,
	      fifth = regs->si;

	/* or clang takes one of the registers by a computed offset, which the verifier refuses */
	barrier_var(first);
	barrier_var(second);
	barrier_var(third);
	barrier_var(fourth);
	barrier_var(fifth);
	if (n <= 2)
		return n == 1 ? first : n == 2 ? second : 0;
	return n == 3 ? third : n == 4 ? fourth : n == 5 ? fifth : 0;
}

/* A header block of HTTP/2, if anybody wants to know. */
static __always_inline int lib__go_fields(struct hit *h)
{
	__u32 zero = 0, *wanted = bpf_map_lookup_elem(&fields_wanted, &zero);
	struct go_block b = {};
	__u64 object;

	if (!wanted || !*wanted)
		return 0;
	b.w = h->w;
	b.what = h->d->what;
	if (b.what == PROBE_GO_STREAM_NEXT) {
		object = lib__go_arg(h->regs, h->d->text2);
		b.buf = lib__go_arg(h->regs, h->d->object);
		b.text = lib__go_arg(h->regs, h->d->buf);
		b.what = PROBE_GO_FIELDS_IN;
	} else {
		object = lib__go_arg(h->regs, h->d->object);
		b.buf = lib__go_arg(h->regs, h->d->buf);
		b.text = lib__go_arg(h->regs, h->d->text2);
		b.text_len = lib__go_arg(h->regs, h->d->text2_len);
	}
	if (h->d->out && bpf_probe_read_user(&object, sizeof(object), (void *)object))
		return 0;
	/* here, not further down: the stack is short */
	b.key = h->d->peek >= 0 ? go__conn_key(object + h->d->peek, h->w.tgid)
				: go__scan(object, h->w.tgid);
	if (!b.key)
		return 0;
	return go__block(&b);
}

/* What tells of goroutines: arguments at once, no frame. */
static __always_inline int lib__go(struct hit *h)
{
	__u64 g = FRAME_G(h->regs), object, more;

	if (h->d->what >= PROBE_GO_STREAM_NEXT)
		lib__go_fields(h);
	if (h->d->what >= PROBE_GO_FIELDS_IN)
		return 0;
	if (!(h->w.flags & WHO_RUNTIME))
		return 0;
	object = lib__go_arg(h->regs, h->d->object);
	more = lib__go_arg(h->regs, h->d->buf);
	switch (h->d->what) {
	case PROBE_GO_SPAWN:
		return go__spawned(h->f, object, g, h->cookie >> 32, PT_REGS_IP(h->regs));
	case PROBE_GO_STREAM:
		return go__serves_stream(h->f, &h->w, g, more, object + (__s64)h->d->peek);
	case PROBE_GO_STREAM_NEXT: return go__next_stream(h->f, g, object, more);
	}
	return go__hands_on(h->f, &h->w, g, object + (__s64)h->d->peek);
}

/* A header table of HTTP/2, if anybody wants to know. */
static __always_inline int lib__table(struct hit *h)
{
	__u32 zero = 0, *wanted = bpf_map_lookup_elem(&fields_wanted, &zero);
	__u64 ax = h->regs->ax, bx = h->regs->bx, cx = h->regs->cx, dx = h->regs->dx,
	      di = h->regs->di, si = h->regs->si, r8 = h->regs->r8;
	struct h2_hit b = {};

	if (!wanted || !*wanted)
		return 0;
	/* or clang takes one of the registers by a computed offset, which the verifier refuses */
	barrier_var(ax);
	barrier_var(cx);
	barrier_var(dx);
	barrier_var(di);
	barrier_var(si);
	barrier_var(r8);
	b.w = h->w;
	b.what = h->d->what;
	b.stream = bx;
	if (b.what == PROBE_GO_TABLE_OUT) {
		/* { t *Transport; tconn net.Conn; ... }; here, not further down: the stack is short */
		b.sock = go__conn_key(ax + 8, h->w.tgid);
		b.object = ax;
		b.at = si;
		b.len = r8;
	} else {
		b.object = di;
		b.at = b.what == PROBE_NGHTTP2_OUT ? dx : cx;
		b.len = b.what == PROBE_NGHTTP2_OUT ? cx : r8;
	}
	switch (b.what) {
	case PROBE_NGHTTP2_IN: return h2__nghttp2_in(&b);
	case PROBE_NGHTTP2_OUT: return h2__nghttp2_out(&b);
	}
	return h2__go_out(&b);
}

SEC("uprobe")
int lib_enter(struct pt_regs *ctx)
{
	struct frame f = {};
	struct hit h = {};
	struct frames *fr;

	if (lib__hit(&h, ctx))
		return 0;
	if (h.d->what == PROBE_LOOP_SERVED)
		return turn__served(h.task);
	if (h.d->what >= PROBE_NGHTTP2_IN)
		return lib__table(&h);
	if (h.d->what >= PROBE_GO_SPAWN)
		return lib__go(&h);
	/* for whom, before it begins */
	if (h.d->what == PROBE_CALL && h.w.flags & WHO_RUNTIME && lib__for_whom(&h))
		return 0;
	if (lib__frame(&h, &f))
		return 0;
	if (f.what == PROBE_TLS_END || f.what == PROBE_TLS_SHUTDOWN ||
	    h.d->result == PROBE_RESULT_ENTRY)
		return lib__at_once(&h, &f);
	fr = frame__stack(ctx, h.task, h.d->abi,
			  f.what != PROBE_CIPHER_IN && f.what != PROBE_CIPHER_OUT);
	if (!fr)
		return 0;
	frame__prune(fr, h.depth);
	if (f.what == PROBE_CIPHER_IN || f.what == PROBE_CIPHER_OUT) {
		if (lib__of_session(&h, fr, &f))
			return 0;
		if (f.what == PROBE_CIPHER_OUT)
			return tls__cipher(&f, &h.w, f.len, WEFT_SESSION_OUT);
	} else if (f.what == PROBE_CALL) {
		f.nested = h.w.flags & PROBE_NOT_NESTED &&
			   frame__innermost(fr, h.depth, FRAME_OF_CALL, 0, 0) >= 0;
	} else {
		f.nested = frame__innermost(fr, h.depth, FRAME_OF_SESSION, f.what, f.object) >= 0;
		if (!f.nested)
			tls__begin(f.object, &h.w, f.what);
	}
	lib__anchor(&h, &f);
	frame__push(fr, &f);
	return 0;
}

/* What the function returned. */
static __always_inline __s64 lib__returned(struct hit *h)
{
	__s64 ret = h->regs->ax, len;

	if (h->d->flags & PROBE_INT)
		ret = (__s32)ret;
	if ((__u8)(h->cookie >> 16) != PROBE_AT_EXIT_MEM || ret <= 0)
		return ret;
	if (bpf_probe_read_user(&len, sizeof(len),
				(void *)(h->regs->sp + (__s64)(__s32)(h->cookie >> 32))))
		return 0;
	return len;
}

/* How many bytes it moved; more than it was asked for can't be: then none. */
static __always_inline __s64 lib__moved(struct hit *h, struct frame *f, __s64 ret)
{
	__s64 n = ret;

	if (ret <= 0)
		return 0;
	if ((__u8)(h->cookie >> 16) != PROBE_AT_EXIT_MEM) {
		if (h->d->result == PROBE_RESULT_OK)
			n = f->len;
		else if (h->d->result == PROBE_RESULT_OUT &&
			 bpf_probe_read_user(&n, sizeof(n), (void *)f->out))
			n = 0;
	}
	if (h->d->len && (__u64)n > f->len) {
		emit__drop(WEFT_DROP_NO_STATE);
		return 0;
	}
	return n;
}

/*
 * A Go function that began before it was watched: reads wait for long. Its arguments are still to
 * be had, because Go gives each register argument a place in the caller's frame, in their order,
 * and a function that calls others stores it there. That these are what they should be is seen by
 * following the session to its socket; a buffer on the stack may be elsewhere by now.
 */
static __always_inline int lib__late(struct hit *h, struct frame *f)
{
	__u64 sp = PT_REGS_SP(h->regs), a[4], top = h->depth + sp;
	__u64 buf = h->d->buf, len = h->d->len;

	if (h->d->abi != PROBE_ABI_GO || h->d->what != PROBE_TLS_READ ||
	    !(h->d->flags & PROBE_GO_CONN) || h->d->object != 1 || buf > 3 || len > 3 ||
	    (__s64)h->regs->ax <= 0 || bpf_probe_read_user(a, sizeof(a), (void *)sp) ||
	    !tls__go_sock(a[1]))
		return -1;
	f->begin = bpf_ktime_get_boot_ns();
	f->object = a[1];
	/* 6.1's verifier forgets what was known of a number that it had to put aside */
	barrier_var(buf);
	barrier_var(len);
	buf &= 3;
	len &= 3;
	f->buf = a[buf];
	f->len = a[len];
	f->what = h->d->what;
	if (f->buf >= sp && f->buf < top)
		f->buf = 0;
	return tls__begin(f->object, &h->w, f->what);
}

SEC("uprobe")
int lib_exit(struct pt_regs *ctx)
{
	struct frame f = {};
	struct hit h = {};
	struct frames *fr;
	__s64 ret;

	if (lib__hit(&h, ctx))
		return 0;
	fr = frame__stack(ctx, h.task, h.d->abi, 0);
	if (!fr || frame__pop(fr, h.depth, h.cookie & 0xffff, &f)) {
		if (lib__late(&h, &f))
			return 0;
	} else if (h.d->abi == PROBE_ABI_GO) {
		frame__tidy(fr, ctx, h.task);
	}
	if (f.nested)
		return 0;
	lib__find_again(&h, &f);
	ret = lib__returned(&h);
	if (f.what == PROBE_CALL)
		return libcall__returned(&f, &h.w, h.d, ret);
	ret = lib__moved(&h, &f, ret);
	if (f.what == PROBE_CIPHER_IN)
		return tls__cipher(&f, &h.w, ret, WEFT_SESSION_IN);
	return tls__done(&f, &h.w, ret);
}

/* A register by its number in the instruction set, of those that PROBE_AT_EXIT_REGS can mean. */
static __always_inline __u64 lib__reg(struct pt_regs *regs, __u8 n)
{
	__u64 ax = regs->ax, bx = regs->bx, bp = regs->bp, r12 = regs->r12, r13 = regs->r13,
	      r14 = regs->r14, r15 = regs->r15;

	/* or clang takes one of them by a computed offset, which the verifier refuses */
	barrier_var(ax);
	barrier_var(bx);
	barrier_var(bp);
	barrier_var(r12);
	barrier_var(r13);
	barrier_var(r14);
	barrier_var(r15);
	if (n < 12)
		return n == 0 ? ax : n == 3 ? bx : n == 5 ? bp : 0;
	return n == 12 ? r12 : n == 13 ? r13 : n == 14 ? r14 : n == 15 ? r15 : 0;
}

/*
 * A unit of work was made. Python makes some for every request, so this is no more than it has to
 * be: neither who the thread is, nor a description is needed.
 */
SEC("uprobe")
int lib_spawn(struct pt_regs *ctx)
{
	struct filter *f = filter__current(bpf_get_current_task_btf());
	__u64 cookie, child = ctx->ax, vars = 0;

	if (!f || !(f->bits & FILTER_RUNTIME))
		return 0;
	cookie = bpf_get_attach_cookie(ctx);
	if ((__u8)(cookie >> 16) == PROBE_AT_EXIT_REGS) {
		child = lib__reg(ctx, cookie >> 32);
		vars = lib__reg(ctx, cookie >> 40);
	}
	if (cookie >> 32 & PROBE_MORE_FRESH)
		vars = UNIT_ANY_VARS;
	return unit__spawned(f, child, vars);
}

/* What tells of uvloop: some ten times for every request, so it is short, too. */
SEC("uprobe")
int lib_uv(struct pt_regs *ctx)
{
	struct filter *f = filter__current(bpf_get_current_task_btf());
	struct probe_desc *d;
	struct uv_saved saved;
	__u32 i;

	if (!f || !(f->bits & FILTER_RUNTIME) || !f->runtime.uvloop)
		return 0;
	i = bpf_get_attach_cookie(ctx) & 0xffff;
	d = bpf_map_lookup_elem(&probe_descs, &i);
	if (!d)
		return 0;
	if (d->what == PROBE_UV_QUEUES)
		return uv__queued(f, ctx->si);
	uv__saved(&saved, ctx);
	return uv__entered(f, &saved);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * uvloop, under which units of work (unit.bpf.h) do not read and write themselves: its loop does,
 * outside of all contexts.
 *
 *   - It reads, and calls the connection's protocol back in the transport's context at once. All
 *     connections of a server share one, so this context has no label: what is begotten in it
 *     works for the connection for which the loop has called back. What else runs in it is a
 *     callback that waited its turn (a Handle), which goes into it by PyContext_Enter(), and ends
 *     this.
 *   - What is written is put aside, and written when the loop has nothing else to do, in contexts
 *     of its own (LABEL_LOOP). For whom is known when the stream is put into the set of those that
 *     are to be written (PySet_Add): what the loop writes there next is for that one. Where there
 *     is much to write, and with newer ones (0.23) always, it is written at once.
 *   - An accepted connection is announced to its protocol by a callback that has the transport as
 *     its only argument.
 *
 * uvloop names few of its functions, so all this is found by what must be there in any case: libuv
 * keeps the stream in one of the registers that callees save, uvloop its Handle, and a stream of libuv's, the
 * transport that owns it, its descriptor and the socket lead to each other. What does not bear that
 * out is passed over, and what was written or begotten there is nobody's.
 */
#ifndef WEFT_UVLOOP_BPF_H
#define WEFT_UVLOOP_BPF_H

#include "unit.bpf.h"

/* The beginning of uvloop's UVHandle, 0.15 to 0.23; a Python object. */
struct uv_transport {
	__u64 refs, type, vtab;
	__u64 stream;
	__u64 loop, traceback;
	__s32 closed, inited;
	__u64 context;
};

/* Of its Handle: a callback that waits its turn. */
struct uv_handle {
	__u64 refs, type, vtab;
	__u64 loop, context;
	__s32 cancelled, pad;
	__u64 name;
	__s32 kind, pad2;
	__u64 callback;
	__u64 arg; /* the first */
};

#define UV_KIND_METHOD 2 /* a method of uvloop's own, with one argument */
#define UV_KIND_MAX 8

/* The beginning of libuv's uv_stream_t, 1.x, and where its descriptor is. */
struct uv_stream {
	__u64 data, loop;
	__u32 type, pad;
};

#define UV_STREAM_FD 184 /* io_watcher.fd */
#define UV_NAMED_PIPE 7
#define UV_TCP 12

/* Registers that a function gives back as it found them. */
#define UV_SAVED 6

struct uv_saved {
	__u64 of[UV_SAVED];
};

static __always_inline void uv__saved(struct uv_saved *s, struct pt_regs *regs)
{
	*s = (struct uv_saved){ { regs->bx, regs->bp, regs->r12, regs->r13, regs->r14,
				  regs->r15 } };
}

static __always_inline int uv__is_pointer(__u64 at)
{
	return at >= 4096 && !(at >> 47) && !(at & 7);
}

/* The socket of a transport, 0 if it is not one; and its context. */
__global __u64 uv__socket(__u64 at, __u64 *context)
{
	struct uv_transport t;
	struct uv_stream s;
	__s32 fd;

	if (!context || !uv__is_pointer(at) || bpf_probe_read_user(&t, sizeof(t), (void *)at) ||
	    !uv__is_pointer(t.stream) || bpf_probe_read_user(&s, sizeof(s), (void *)t.stream) ||
	    s.data != at || (s.type != UV_TCP && s.type != UV_NAMED_PIPE) ||
	    bpf_probe_read_user(&fd, sizeof(fd), (void *)(t.stream + UV_STREAM_FD)) || fd < 0)
		return 0;
	*context = t.context;
	return sock__of_fd(fd);
}

static __always_inline int uv__is_context(struct filter *f, __u64 at)
{
	__u64 type;

	return !bpf_probe_read_user(&type, sizeof(type), (void *)(at + 8)) &&
	       type == f->runtime.type;
}

/* Whoever reads or writes has this stream in hand: the context of its transport, 0: it has not. */
__global __u64 uv__context(struct filter *f, __u64 stream, __u64 sock)
{
	__u64 at, back, context = 0;

	if (!f || !uv__is_pointer(stream) || bpf_probe_read_user(&at, sizeof(at), (void *)stream) ||
	    !uv__is_pointer(at) ||
	    bpf_probe_read_user(&back, sizeof(back),
				(void *)(at + offsetof(struct uv_transport, stream))) ||
	    back != stream || uv__socket(at, &context) != sock || !uv__is_context(f, context))
		return 0;
	return context;
}

static __always_inline struct filter *uv__filter(struct task_struct *task)
{
	struct filter *f = filter__current(task);

	return f && f->runtime.uvloop && unit__known(f, task) ? f : NULL;
}

/* `len` bytes were received, 0 at the end of them: by the loop? Then it calls back next. */
__global int uv__received(struct conn_state *st, __u32 len)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct filter *f = uv__filter(task);
	struct unit_thread *t;
	struct uv_saved saved;
	__u64 context = 0;

	if (!f || !st)
		return 0;
	t = unit__thread();
	/* what can't be seen to end is not begun */
	if (!t || !(t->uv_bits & UV_HANDLES))
		return 0;
	uv__saved(&saved, (struct pt_regs *)bpf_task_pt_regs(task));
	for (int i = 0; i < UV_SAVED && len && !context; i++)
		context = uv__context(f, saved.of[i], st->sock);
	t->uv = !context                 ? CALLBACK_NONE
		: st->bits & CONN_SERVER ? CALLBACK_SERVED
					 : CALLBACK_CALLED;
	t->uv_bits = UV_HANDLES | (context ? UV_READ : 0);
	t->uv_context = context;
	t->uv_sock = st->sock;
	t->uv_ino = st->ino;
	return 0;
}

/* Is it the process's own end of a connection that it serves? `st` NULL: no byte was seen. */
static __always_inline int uv__is_server(__u64 sock, struct conn_state *st)
{
	if (st && st->bits & (CONN_SERVER | CONN_CLIENT))
		return !!(st->bits & CONN_SERVER);
	return sock__family((void *)sock) != AF_UNIX && sock__was_accepted((void *)sock);
}

/* The context of the loop's own work. */
__global int uv__loop(__u64 context)
{
	struct label own = { .how = LABEL_LOOP };
	struct label_key k;
	struct label *l;

	unit__key(&k, context);
	l = bpf_map_lookup_elem(&labels, &k);
	if (!l || l->how != LABEL_LOOP)
		unit__put(&k, &own);
	return 0;
}

#define UV_OTHER_HANDLE 1

/*
 * Is this a callback that waited its turn? 0: it isn't; the socket of the transport that is told
 * that it is connected, or of something like that; or UV_OTHER_HANDLE.
 */
__global __u64 uv__waited(struct filter *f, __u64 at, __u64 *context)
{
	struct uv_handle h;
	__u64 sock;

	if (!f || !context || !uv__is_pointer(at) ||
	    bpf_probe_read_user(&h, sizeof(h), (void *)at) || !uv__is_pointer(h.loop) ||
	    h.cancelled || h.kind < 1 || h.kind > UV_KIND_MAX || !uv__is_pointer(h.context) ||
	    !uv__is_context(f, h.context))
		return 0;
	if (h.kind != UV_KIND_METHOD)
		return UV_OTHER_HANDLE;
	if (h.arg == h.loop) {
		uv__loop(h.context);
		return UV_OTHER_HANDLE;
	}
	sock = uv__socket(h.arg, context);
	return sock && *context == h.context ? sock : UV_OTHER_HANDLE;
}

static __always_inline struct unit_thread *uv__thread(void)
{
	return bpf_task_storage_get(&unit_threads, bpf_get_current_task_btf(), 0,
				    BPF_LOCAL_STORAGE_GET_F_CREATE);
}

/*
 * The thread goes into a context to call something back. From 0.23 on that may also be what
 * receives the bytes that were read last.
 */
__global int uv__entered(struct filter *f, struct uv_saved *saved)
{
	struct unit_thread *t = uv__thread();
	struct conn_state *st;
	__u64 sock = 0, context = 0;

	if (!f || !saved || !t || !f->runtime.uvloop)
		return 0;
	/* the compiler that made uvloop has chosen one of them for good */
	for (int i = 0; i < UV_SAVED; i++)
		if (i == t->uv_saved)
			sock = uv__waited(f, saved->of[i], &context);
	for (int i = 0; i < UV_SAVED && !sock; i++) {
		if (i == t->uv_saved)
			continue;
		sock = uv__waited(f, saved->of[i], &context);
		if (sock)
			t->uv_saved = i;
	}
	if (sock || !(t->uv_bits & UV_READ))
		t->uv = CALLBACK_NONE;
	t->uv_bits &= ~UV_READ;
	if (!sock)
		return 0;
	t->uv_bits |= UV_HANDLES;
	if (sock == UV_OTHER_HANDLE)
		return 0;
	st = unit__conn(sock, sock__inode((void *)sock));
	/* once bytes have passed, it is the other end of its life */
	if (!uv__is_server(sock, st) || (st && st->conn))
		return 0;
	t->uv = CALLBACK_MADE;
	t->uv_context = context;
	t->uv_sock = sock;
	t->uv_ino = sock__inode((void *)sock);
	return 0;
}

/* For whom is written next: two that have queued there are nobody. */
static __always_inline void uv__own(__u64 sock, struct label *l)
{
	struct owner o = {
		.ino = sock__inode((void *)sock), .conn = l->conn, .pos = l->pos, .ahead = l->ahead
	};
	struct owner *was = bpf_map_lookup_elem(&owners, &sock);

	if (was && was->ino == o.ino && (was->conn != o.conn || was->pos != o.pos)) {
		o.conn = 0;
		o.pos = 0;
		o.ahead = 0;
	}
	if (bpf_map_update_elem(&owners, &sock, &o, BPF_ANY)) {
		bpf_map_delete_elem(&owners, &sock);
		emit__drop(WEFT_DROP_NO_STATE);
	}
}

/* An object was put into a set: a stream that is to be written, if it is one. */
__global int uv__queued(struct filter *f, __u64 object)
{
	struct label now = {};
	struct conn_state *st;
	__u64 sock, context = 0;
	struct unit u;

	if (!f || !f->runtime.uvloop)
		return 0;
	sock = uv__socket(object, &context);
	if (!sock)
		return 0;
	unit__current(f, &u);
	st = unit__conn(sock, sock__inode((void *)sock));
	if (uv__is_server(sock, st)) {
		if (st && u.id && st->turn_dir == WEFT_IN)
			unit__answers(&u, st);
		return 0;
	}
	if (!u.id || unit__works_for(u.id, &now))
		now = (struct label){};
	uv__own(sock, &now);
	return 0;
}

#endif /* WEFT_UVLOOP_BPF_H */

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the exit of a probed function needs to know of its entry. Functions call each other
 * (SSL_read_ex inside SSL_read, SSL_write inside PQexec), so there is a small stack of them a
 * thread, or a goroutine.
 *
 * An exit may never be seen: longjmp(), a C++ exception or a Go panic leave the function by another
 * way, and so does a path through it that passes none of the chosen places. What is left behind is
 * told by the stack's depth: a function that runs now is deeper than all that are still under way.
 * A tail call (mysql_query ends by jumping to mysql_real_query) has its caller's depth, and then
 * stands for it. Depths are compared within one stack only: a thread may have several (coroutines),
 * and what runs on another one is none of our business.
 */
#ifndef WEFT_FRAME_BPF_H
#define WEFT_FRAME_BPF_H

#include "emit.bpf.h"
#include "filter.bpf.h"

/* Places on a stack further apart than this are taken for two stacks. */
#define FRAME_STACK (128ULL << 10)

/* Go: the goroutine that runs. Its first words are the stack's bounds, in every version. */
#define FRAME_G(ctx) ((ctx)->r14)

static __always_inline __u64 frame__depth(struct pt_regs *ctx, __u8 abi)
{
	__u64 top = 0;

	if (abi == PROBE_ABI_GO &&
	    bpf_probe_read_user(&top, sizeof(top), (void *)(FRAME_G(ctx) + 8)))
		return 0;
	return top - PT_REGS_SP(ctx);
}

static __always_inline void frame__key(struct goroutine_key *key, struct pt_regs *ctx,
				       struct task_struct *task)
{
	key->group = CAST_POINTER(task, signal);
	key->g = FRAME_G(ctx);
}

/* The stack of the goroutine that runs, `create`d if it has none. */
static __always_inline struct frames *frame__goroutine(struct pt_regs *ctx,
						       struct task_struct *task, int create)
{
	static const struct frames none;
	struct goroutine_key key;
	__u32 zero = 0, *any;
	struct frames *fr;

	frame__key(&key, ctx, task);
	fr = bpf_map_lookup_elem(&goroutines, &key);
	if (!create || (fr && fr->tgid == task->tgid))
		return fr && fr->tgid == task->tgid ? fr : NULL;
	if (bpf_map_update_elem(&goroutines, &key, &none, BPF_ANY))
		return NULL;
	fr = bpf_map_lookup_elem(&goroutines, &key);
	if (fr)
		fr->tgid = task->tgid;
	any = bpf_map_lookup_elem(&any_goroutine, &zero);
	if (any)
		*any = 1;
	return fr;
}

/* Goroutines are many and most of them wait: only what is in use is kept. */
static __always_inline void frame__tidy(struct frames *fr, struct pt_regs *ctx,
					struct task_struct *task)
{
	struct goroutine_key key;

	if (fr->used)
		return;
	frame__key(&key, ctx, task);
	bpf_map_delete_elem(&goroutines, &key);
}

static __always_inline struct frames *frame__stack(struct pt_regs *ctx, struct task_struct *task,
						   __u8 abi, int create)
{
	if (abi == PROBE_ABI_GO)
		return frame__goroutine(ctx, task, create);
	return bpf_task_storage_get(&frames, task, 0, create ? BPF_LOCAL_STORAGE_GET_F_CREATE : 0);
}

static __always_inline int frame__same_stack(const struct frame *f, __u64 depth)
{
	return f->depth - depth + FRAME_STACK < 2 * FRAME_STACK;
}

/*
 * The loops over a stack call functions that the verifier checks once, for any slot: six rounds
 * with all their ways through would cost more than all the rest.
 */
__global int frame__prune_one(struct frames *fr, __u32 i, __u64 depth)
{
	struct frame *f;

	if (!fr || i >= FRAMES_MAX)
		return 0;
	f = &fr->f[i];
	if (!f->begin || !frame__same_stack(f, depth) || (__s64)(f->depth - depth) < 0)
		return 0;
	f->begin = 0;
	fr->used--;
	return 0;
}

/* Whatever is as deep as the function that begins (or has ended) at `depth`, or deeper, is over. */
static __always_inline void frame__prune(struct frames *fr, __u64 depth)
{
	__u32 i;

	if (!fr->used)
		return;
	for (i = 0; i < FRAMES_MAX; i++)
		frame__prune_one(fr, i, depth);
}

/* What the innermost of some kind is looked for by, and which it is so far. */
enum frame_kind { FRAME_OF_DESC, FRAME_OF_TLS, FRAME_OF_SESSION, FRAME_OF_CALL };

struct frame_search {
	__u64 depth;
	__u64 deepest;
	__u64 object;
	__u32 kind;  /* enum frame_kind */
	__u32 what;  /* the description, or enum probe_what */
	__s32 found; /* slot, or -1 */
	__u32 pad;
};

static __always_inline int frame__is(const struct frame *f, const struct frame_search *s)
{
	switch (s->kind) {
	case FRAME_OF_DESC: return f->desc == s->what;
	case FRAME_OF_TLS: return f->what <= PROBE_TLS_OTHER;
	case FRAME_OF_SESSION: return f->what == s->what && f->object == s->object;
	case FRAME_OF_CALL: return f->what == PROBE_CALL && !f->shows;
	}
	return 0;
}

__global int frame__search_one(struct frames *fr, __u32 i, struct frame_search *s)
{
	struct frame *f;

	if (!fr || !s || i >= FRAMES_MAX)
		return 0;
	f = &fr->f[i];
	if (!f->begin || !frame__same_stack(f, s->depth) || !frame__is(f, s))
		return 0;
	if (s->found >= 0 && (__s64)(f->depth - s->deepest) < 0)
		return 0;
	s->deepest = f->depth;
	s->found = i;
	return 0;
}

/* The innermost one that is under way on the stack of `depth`; its slot, or -1. */
static __always_inline int frame__innermost(struct frames *fr, __u64 depth, enum frame_kind kind,
					    __u32 what, __u64 object)
{
	struct frame_search s = {
		.depth = depth, .kind = kind, .what = what, .object = object, .found = -1
	};
	__u32 i;

	if (!fr->used)
		return -1;
	for (i = 0; i < FRAMES_MAX; i++)
		frame__search_one(fr, i, &s);
	return s.found;
}

struct frame_slot {
	__u64 oldest;
	__u32 i;
	__u32 pad;
};

__global int frame__slot_one(struct frames *fr, __u32 i, struct frame_slot *s)
{
	if (!fr || !s || i >= FRAMES_MAX || fr->f[i].begin >= s->oldest)
		return 0;
	s->oldest = fr->f[i].begin;
	s->i = i;
	return 0;
}

/* Into a free slot, or that of the oldest. */
static __always_inline void frame__push(struct frames *fr, const struct frame *new)
{
	struct frame_slot s = {};
	__u32 i;

	if (fr->used) {
		s.oldest = ~0ULL;
		for (i = 0; i < FRAMES_MAX; i++)
			frame__slot_one(fr, i, &s);
	}
	if (s.oldest)
		emit__drop(WEFT_DROP_NO_STATE);
	else
		fr->used++;
	if (s.i < FRAMES_MAX)
		fr->f[s.i] = *new;
}

/*
 * Take the innermost frame of a function that has ended: 0, or -1 if it was not seen to begin.
 * What it called is over as well.
 */
static __always_inline int frame__pop(struct frames *fr, __u64 depth, __u16 desc, struct frame *out)
{
	int slot = frame__innermost(fr, depth, FRAME_OF_DESC, desc, 0);

	if (slot < 0 || slot >= FRAMES_MAX)
		return -1;
	*out = fr->f[slot];
	frame__prune(fr, out->depth);
	return 0;
}

#endif /* WEFT_FRAME_BPF_H */

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory for what is made and freed with every span. Blocks that are given back are kept by size
 * and handed out again, which costs a tenth of malloc(3) where thousands live at a time. What was
 * not needed for a while goes back to malloc (blocks__trim()).
 *
 * One thread gets blocks, the first that asks; any thread may put them (exporters free spans). Under
 * a sanitizer every block is malloc's, so that it sees each use after its end.
 */
#ifndef WEFT_BLOCK_H
#define WEFT_BLOCK_H

#include <stdatomic.h>
#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BLOCK_PLAIN_MALLOC 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define BLOCK_PLAIN_MALLOC 1
#endif

#define BLOCK_STEP 64 /* sizes are rounded up to a multiple of this */
#define BLOCK_CLASSES 40

struct block {
	struct block *next;
};

/* Private to what is below, and to block.c: blocks of one size. */
struct block_class {
	struct block *free;
	size_t n, least; /* in `free`: now, and the fewest since it was trimmed */
	/* What other threads gave back: they push one, the owner takes all. */
	_Atomic(struct block *) returned;
};

extern struct block_class block_classes[BLOCK_CLASSES];
/* A variable of the thread that gets blocks stands for it. */
extern _Atomic(const void *) block_owner;
extern _Thread_local char block_self;

void *block__get_slowly(size_t size);
void block__put_slowly(void *p, size_t size);

/* The class of blocks of this size, if it is the thread's that gets blocks; else NULL. */
static inline struct block_class *block__own_class(size_t size)
{
#ifdef BLOCK_PLAIN_MALLOC
	(void)size;
	return NULL;
#else
	size_t i = (size + BLOCK_STEP - 1) / BLOCK_STEP;

	if (i >= BLOCK_CLASSES ||
	    atomic_load_explicit(&block_owner, memory_order_relaxed) != &block_self)
		return NULL;
	return &block_classes[i];
#endif
}

/* Not cleared, aligned for anything; NULL: memory is out. */
static inline void *block__get(size_t size)
{
	struct block_class *c = block__own_class(size);
	struct block *b = c ? c->free : NULL;

	if (!b || atomic_load_explicit(&c->returned, memory_order_relaxed))
		return block__get_slowly(size);
	c->free = b->next;
	if (--c->n < c->least)
		c->least = c->n;
	return b;
}

/* `size` as it was asked for. NULL is let pass. */
static inline void block__put(void *p, size_t size)
{
	struct block_class *c = block__own_class(size);
	struct block *b = p;

	if (!c || !b) {
		block__put_slowly(p, size);
		return;
	}
	b->next = c->free;
	c->free = b;
	c->n++;
}

/* Frees what was not needed since the call before. On the thread that gets blocks. */
void blocks__trim(void);

#endif /* WEFT_BLOCK_H */

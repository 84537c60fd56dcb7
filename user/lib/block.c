// SPDX-License-Identifier: GPL-2.0-or-later
#include "block.h"

#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>

#define TRIM_BYTES (256u << 10)

struct block_class block_classes[BLOCK_CLASSES];
_Atomic(const void *) block_owner;
_Thread_local char block_self;

static bool is_owner(bool claim)
{
	const void *is = atomic_load_explicit(&block_owner, memory_order_relaxed);

	if (!is && claim && atomic_compare_exchange_strong(&block_owner, &is, &block_self))
		return true;
	return is == &block_self;
}

static struct block_class *class_of(size_t size)
{
#ifdef BLOCK_PLAIN_MALLOC
	return NULL;
#endif
	size_t i = (size + BLOCK_STEP - 1) / BLOCK_STEP;

	return i < BLOCK_CLASSES ? &block_classes[i] : NULL;
}

static void collect(struct block_class *c)
{
	struct block *b = atomic_exchange_explicit(&c->returned, NULL, memory_order_acquire);

	while (b) {
		struct block *next = b->next;

		b->next = c->free;
		c->free = b;
		c->n++;
		b = next;
	}
}

void *block__get_slowly(size_t size)
{
	struct block_class *c = class_of(size);

	if (!c)
		return malloc(size);
	size = (size + BLOCK_STEP - 1) / BLOCK_STEP * BLOCK_STEP;
	if (!is_owner(true))
		return malloc(size);
	/* At once: what waits here is not needed either, and trimming has to know of it. */
	if (atomic_load_explicit(&c->returned, memory_order_relaxed))
		collect(c);
	struct block *b = c->free;

	if (!b)
		return malloc(size);
	c->free = b->next;
	if (--c->n < c->least)
		c->least = c->n;
	return b;
}

void block__put_slowly(void *p, size_t size)
{
	struct block_class *c = class_of(size);
	struct block *b = p;

	if (!p)
		return;
	if (!c) {
		free(p);
		return;
	}
	if (is_owner(false)) {
		b->next = c->free;
		c->free = b;
		c->n++;
		return;
	}
	b->next = atomic_load_explicit(&c->returned, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&c->returned, &b->next, b,
						      memory_order_release, memory_order_relaxed))
		;
}

void blocks__trim(void)
{
	static size_t freed; /* since malloc was asked to give back, too */

	if (!is_owner(false))
		return;
	for (size_t i = 0; i < BLOCK_CLASSES; i++) {
		struct block_class *c = &block_classes[i];

		collect(c);
		for (; c->least; c->least--, c->n--) {
			struct block *b = c->free;

			c->free = b->next;
			free(b);
			freed += i * BLOCK_STEP;
		}
		c->least = c->n;
	}
	/* A peak is over: its pages, with whatever lies between the blocks, are the system's. */
	if (freed < TRIM_BYTES)
		return;
	freed = 0;
	malloc_trim(0);
}

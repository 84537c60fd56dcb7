// SPDX-License-Identifier: GPL-2.0-or-later
#include "block.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PLAIN_MALLOC 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define PLAIN_MALLOC 1
#endif

#define STEP 64 /* sizes are rounded up to a multiple of this */
#define CLASSES 40
#define TRIM_BYTES (256u << 10)

struct block {
	struct block *next;
};

/* Blocks of one size. */
struct class
{
	struct block *free;
	size_t n, least; /* in `free`: now, and the fewest since it was trimmed */
	/* What other threads gave back: they push one, the owner takes all. */
	_Atomic(struct block *) returned;
};

static struct class classes[CLASSES];
/* A variable of the thread that gets blocks stands for it. */
static _Atomic(const void *) owner;
static _Thread_local char self;

static bool is_owner(bool claim)
{
	const void *is = atomic_load_explicit(&owner, memory_order_relaxed);

	if (!is && claim && atomic_compare_exchange_strong(&owner, &is, &self))
		return true;
	return is == &self;
}

static struct class *class_of(size_t size)
{
#ifdef PLAIN_MALLOC
	return NULL;
#endif
	size_t i = (size + STEP - 1) / STEP;

	return i < CLASSES ? &classes[i] : NULL;
}

static void collect(struct class *c)
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

void *block__get(size_t size)
{
	struct class *c = class_of(size);

	if (!c)
		return malloc(size);
	size = (size + STEP - 1) / STEP * STEP;
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

void block__put(void *p, size_t size)
{
	struct class *c = class_of(size);
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
	for (size_t i = 0; i < CLASSES; i++) {
		struct class *c = &classes[i];

		collect(c);
		for (; c->least; c->least--, c->n--) {
			struct block *b = c->free;

			c->free = b->next;
			free(b);
			freed += i * STEP;
		}
		c->least = c->n;
	}
	/* A peak is over: its pages, with whatever lies between the blocks, are the system's. */
	if (freed < TRIM_BYTES)
		return;
	freed = 0;
	malloc_trim(0);
}

// SPDX-License-Identifier: GPL-2.0-or-later
#include "arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "copy.h"

#define CHUNK_MIN 1024

struct arena_chunk {
	struct arena_chunk *next;
	size_t size, used;
	_Alignas(8) char mem[];
};

void arena__init(struct arena *a, size_t limit)
{
	*a = (struct arena){ .limit = limit };
}

void arena__init_in(struct arena *a, size_t limit, void *mem, size_t size)
{
	struct arena_chunk *c = mem;

	*c = (struct arena_chunk){ .size = size - sizeof(*c) };
	*a = (struct arena){ .chunks = c, .limit = limit, .first = c };
}

/* A chunk with room for n bytes, the newest from now on; NULL: memory is out. */
static struct arena_chunk *add_chunk(struct arena *a, size_t n)
{
	size_t size = n > CHUNK_MIN ? n : CHUNK_MIN;
	struct arena_chunk *c = malloc(sizeof(*c) + size);

	if (!c)
		return NULL;
	*c = (struct arena_chunk){ .next = a->chunks, .size = size };
	a->chunks = c;
	return c;
}

static inline void *take(struct arena *a, size_t n)
{
	struct arena_chunk *c = a->chunks;

	if (n > a->limit || a->used > a->limit - n)
		return NULL;
	if (!c || c->size - c->used < n)
		c = add_chunk(a, n);
	if (!c)
		return NULL;
	void *p = c->mem + c->used;

	c->used += n;
	a->used += n;
	return p;
}

void *arena__alloc(struct arena *a, size_t n)
{
	if (n > a->limit)
		return NULL;
	n = (n + 7) & ~(size_t)7;
	void *p = take(a, n);

	return p ? memset(p, 0, n) : NULL;
}

struct slice arena__copy(struct arena *a, struct slice s)
{
	size_t room = a->limit - a->used;
	size_t n = s.n;

	/* One byte for the NUL, up to seven for keeping the next allocation aligned. */
	if (room < 16 || n == 0)
		return (struct slice){ "", 0 };
	if (n > room - 8)
		n = room - 8;
	char *p = take(a, (n + 8) & ~(size_t)7);

	if (!p)
		return (struct slice){ "", 0 };
	copy__short(p, s.p, n);
	p[n] = '\0';
	return (struct slice){ p, n };
}

struct slice arena__printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return (struct slice){ "", 0 };
	char *p = take(a, ((size_t)n + 8) & ~(size_t)7);

	if (!p)
		return (struct slice){ "", 0 };
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return (struct slice){ p, (size_t)n };
}

void arena__reset(struct arena *a)
{
	while (a->chunks != a->first) {
		struct arena_chunk *next = a->chunks->next;

		free(a->chunks);
		a->chunks = next;
	}
	if (a->first)
		a->first->used = 0;
	a->used = 0;
}

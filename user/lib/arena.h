/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bounded bump allocation: everything in an arena dies with it. An arena has a limit that cannot be
 * left out; at the limit allocation fails (NULL, or a cut slice), it never grows past it.
 */
#ifndef WEFT_ARENA_H
#define WEFT_ARENA_H

#include <stddef.h>

#include "slice.h"

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks; /* newest first */
	size_t used;                /* bytes handed out */
	size_t limit;
	struct arena_chunk *first; /* the owner's memory; NULL: none was given */
};

/* `limit`: bytes that may be handed out in all. Allocates nothing yet. */
void arena__init(struct arena *a, size_t limit);
/*
 * The same, and `size` bytes at `mem` are used up before any are allocated. They stay the caller's,
 * and must not move. 8-byte aligned.
 */
void arena__init_in(struct arena *a, size_t limit, void *mem, size_t size);
/* Zeroed, 8-byte aligned; NULL at the limit or when memory is out. */
void *arena__alloc(struct arena *a, size_t n);
/* A copy of s, cut to what still fits; an empty slice when nothing fits. A NUL follows the copy. */
struct slice arena__copy(struct arena *a, struct slice s);
/* printf into the arena; an empty slice when it does not fit. A NUL follows. */
struct slice arena__printf(struct arena *a, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Free all; the arena can be used again. */
void arena__reset(struct arena *a);

#endif

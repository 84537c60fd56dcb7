/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where lines end, for texts with many short lines: sixteen bytes are looked at at once, and what
 * was found in them is handed out one by one. Never reads behind the text.
 */
#ifndef WEFT_NEWLINES_H
#define WEFT_NEWLINES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define NEWLINES_BLOCK 16

struct newlines {
	const uint8_t *p, *end; /* what has not been looked at */
	const uint8_t *block;   /* what was last: bit i of `found` is block[i] */
	uint32_t found;
};

static inline struct newlines newlines__in(const uint8_t *p, size_t n)
{
	return (struct newlines){ .p = p, .end = p + n };
}

/* A bit for each of the sixteen bytes: is it a line end? */
static inline uint32_t newlines__look(const uint8_t *p)
{
#ifdef __SSE2__
	__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);

	return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('\n')));
#else
	uint32_t found = 0;

	for (int i = 0; i < NEWLINES_BLOCK; i++)
		found |= (uint32_t)(p[i] == '\n') << i;
	return found;
#endif
}

/* The last bytes, which are less than a block. */
static inline uint32_t newlines__look_end(const uint8_t *p, size_t n)
{
	uint8_t block[NEWLINES_BLOCK] = { 0 };

	memcpy(block, p, n);
	return newlines__look(block);
}

/* The next one; NULL: there is none any more. */
static inline const uint8_t *newlines__next(struct newlines *l)
{
	while (!l->found) {
		size_t left = (size_t)(l->end - l->p);

		if (!left)
			return NULL;
		l->block = l->p;
		l->found = left < NEWLINES_BLOCK ? newlines__look_end(l->p, left)
						 : newlines__look(l->p);
		l->p += left < NEWLINES_BLOCK ? left : NEWLINES_BLOCK;
	}
	const uint8_t *at = l->block + __builtin_ctz(l->found);

	l->found &= l->found - 1;
	return at;
}

#endif /* WEFT_NEWLINES_H */

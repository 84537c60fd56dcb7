/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A run of bytes that somebody else owns. Never NUL-terminated by promise. */
#ifndef WEFT_SLICE_H
#define WEFT_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

struct slice {
	const char *p;
	size_t n;
};

#define SLICE(lit) ((struct slice){ (lit), sizeof(lit) - 1 })
#define SLICE_FMT "%.*s"
#define SLICE_ARG(s) (int)(s).n, (s).p

static inline struct slice slice__from(const void *p, size_t n)
{
	return (struct slice){ p, n };
}

static inline struct slice slice__cstr(const char *s)
{
	return (struct slice){ s, s ? strlen(s) : 0 };
}

static inline bool slice__eq(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII case ignored. */
static inline bool slice__ieq(struct slice a, struct slice b)
{
	/* The first byte, but for its case, tells most of them apart. */
	return a.n == b.n &&
	       (a.n == 0 || (!((a.p[0] ^ b.p[0]) & 0xdf) && strncasecmp(a.p, b.p, a.n) == 0));
}

static inline bool slice__starts(struct slice s, struct slice prefix)
{
	return s.n >= prefix.n && memcmp(s.p, prefix.p, prefix.n) == 0;
}

/* Up to the first c, or all of it. */
static inline struct slice slice__upto(struct slice s, char c)
{
	const char *p = s.n ? (const char *)memchr(s.p, c, s.n) : NULL;

	return slice__from(s.p, p ? (size_t)(p - s.p) : s.n);
}

/* Without the spaces and tabs around it. */
static inline struct slice slice__trim(struct slice s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = slice__from(s.p + 1, s.n - 1);
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

static inline bool slice__has(struct slice s, char c)
{
	return s.n && memchr(s.p, c, s.n) != NULL;
}

#endif

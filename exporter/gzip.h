/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A body in gzip's form (RFC 1952), by ISA-L, which is loaded when it is first needed. On the
 * bodies that weft sends it takes less than half the time of the other libraries' fastest levels.
 */
#ifndef WEFT_GZIP_H
#define WEFT_GZIP_H

#include <stddef.h>
#include <stdint.h>

struct gzip; /* what it works in, some 230 KB: used again for each body */

/* NULL: it can't be done, and `why` says why. One thread at a time. */
struct gzip *gzip__new(char *why, size_t why_len);
void gzip__free(struct gzip *g);

/* The most bytes that `n` bytes become. */
size_t gzip__bound(size_t n);
/* 0 and *packed_n of at most `room` bytes at `packed`, or -EMSGSIZE, or -EIO. */
int gzip__pack(struct gzip *g, const uint8_t *p, size_t n, uint8_t *packed, size_t room,
	       size_t *packed_n);

#endif /* WEFT_GZIP_H */

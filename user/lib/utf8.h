/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Is it UTF-8? Receivers of OTLP refuse a whole request for one text that is not. */
#ifndef WEFT_UTF8_H
#define WEFT_UTF8_H

#include "slice.h"

/* Length of the well-formed sequence at p (RFC 3629), 1 to 4; 0 if there is none. n >= 1. */
size_t utf8__len(const uint8_t *p, size_t n);
bool utf8__valid(struct slice s);
bool utf8__ascii(const char *p, size_t n);
/*
 * s with each byte that belongs to no sequence as U+FFFD, as far as it fits into `cap` bytes, which
 * 3 * s.n always are enough for. Returns those used.
 */
size_t utf8__repair(struct slice s, char *out, size_t cap);

#endif /* WEFT_UTF8_H */

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Is it UTF-8? Receivers of OTLP refuse a whole request for one text that is not. */
#ifndef WEFT_UTF8_H
#define WEFT_UTF8_H

#include "slice.h"

/* Length of the well-formed sequence at p (RFC 3629), 1 to 4; 0 if there is none. n >= 1. */
size_t utf8__len(const uint8_t *p, size_t n);
bool utf8__valid(struct slice s);

/* All of it below 0x80. */
static inline bool utf8__ascii(const char *p, size_t n)
{
	const uint64_t high = 0x8080808080808080ull;
	uint64_t bits = 0, word;

	/* The last eight bytes may be looked at twice. */
	for (size_t i = 0; i + 8 <= n; i += 8) {
		memcpy(&word, p + i, 8);
		bits |= word;
	}
	if (n >= 8) {
		memcpy(&word, p + n - 8, 8);
		return !((bits | word) & high);
	}
	while (n--)
		bits |= (unsigned char)*p++;
	return !(bits & high);
}

/*
 * s with each byte that belongs to no sequence as U+FFFD, as far as it fits into `cap` bytes, which
 * 3 * s.n always are enough for. Returns those used.
 */
size_t utf8__repair(struct slice s, char *out, size_t cap);

#endif /* WEFT_UTF8_H */

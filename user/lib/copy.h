/* SPDX-License-Identifier: GPL-2.0-or-later */
/* memcpy(3) for what is mostly short, where the call costs more than the copy. */
#ifndef WEFT_COPY_H
#define WEFT_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Each half is read before either is written, and they overlap where n is less than two of them. */
static inline void copy__halves(void *to, const void *from, size_t n, size_t half)
{
	uint8_t a[16], b[16];

	memcpy(a, from, half);
	memcpy(b, (const uint8_t *)from + n - half, half);
	memcpy(to, a, half);
	memcpy((uint8_t *)to + n - half, b, half);
}

/* n bytes, no more, neither read nor written. */
static inline void copy__short(void *to, const void *from, size_t n)
{
	const uint8_t *f = from;
	uint8_t *t = to;

	if (n > 32)
		memcpy(to, from, n);
	else if (n >= 16)
		copy__halves(to, from, n, 16);
	else if (n >= 8)
		copy__halves(to, from, n, 8);
	else if (n >= 4)
		copy__halves(to, from, n, 4);
	else
		while (n--)
			*t++ = *f++;
}

/* Are n bytes the same? */
static inline bool copy__same(const void *a, const void *b, size_t n)
{
	const uint8_t *p = a, *q = b;
	uint64_t x[2], y[2];

	if (n > 16)
		return memcmp(a, b, n) == 0;
	if (n < 8) {
		while (n && p[n - 1] == q[n - 1])
			n--;
		return !n;
	}
	memcpy(&x[0], a, 8);
	memcpy(&y[0], b, 8);
	memcpy(&x[1], (const uint8_t *)a + n - 8, 8);
	memcpy(&y[1], (const uint8_t *)b + n - 8, 8);
	return !((x[0] ^ y[0]) | (x[1] ^ y[1]));
}

#endif /* WEFT_COPY_H */

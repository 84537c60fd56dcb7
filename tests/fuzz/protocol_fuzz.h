/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzzing a parser through the tests' small engine. Input: a byte of options (bit 0: joined in
 * the middle), then pieces: a byte (bit 0: responder; bit 1: begins a call; bits 2-3: 0,1 bytes,
 * 2 gap, 3 end of the direction; bits 4-7: which of the units below the length counts), a byte of
 * length, and for bytes the bytes themselves.
 *
 * Besides not crashing and not reading beyond the bytes: the exchanges are the same when every
 * piece comes byte by byte.
 *
 * A fuzz target includes this header once; it brings the engine's code along, since targets link
 * the library alone.
 */
#ifndef WEFT_PROTOCOL_FUZZ_H
#define WEFT_PROTOCOL_FUZZ_H

#include <stdlib.h>

#include "../lib/mini_engine.c"
#include "../lib/mini_place.c"
#include "../lib/render.c"

struct fuzz_input {
	const uint8_t *p;
	size_t n;
};

static void fuzz_bytes(struct mini *e, enum proto_dir dir, const uint8_t *p, size_t n,
		       unsigned flags, bool bytewise)
{
	if (!bytewise) {
		mini__bytes(e, dir, p, n, flags);
		return;
	}
	for (size_t i = 0; i < n; i++)
		mini__bytes(e, dir, p + i, 1,
			    (i ? 0 : flags & MINI_CALL_START) |
				    (i + 1 < n ? 0 : flags & (MINI_CALL_END | MINI_GAP_FOLLOWS)));
}

/* One piece; false at the end of the input. */
static bool fuzz_piece(struct mini *e, struct fuzz_input *in, bool bytewise)
{
	static const unsigned unit[16] = { 1, 1,  1,  1,   1,    1,    1,     1,
					   4, 16, 64, 256, 1024, 4096, 65536, 1 << 24 };

	if (in->n < 2)
		return false;
	uint8_t op = in->p[0];
	enum proto_dir dir = op & 1 ? PROTO_RESP : PROTO_REQ;
	size_t n = (size_t)in->p[1] * unit[op >> 4];
	unsigned flags = op & 2 ? MINI_CALL_START : 0;

	in->p += 2;
	in->n -= 2;
	if ((op >> 2 & 3) == 3) {
		mini__eof(e, dir);
	} else if ((op >> 2 & 3) == 2) {
		if (n)
			mini__gap(e, dir, n, flags);
	} else {
		n = n < in->n ? n : in->n;
		/* A gap behind in the same call is announced, as the engine does. */
		bool gap = in->n - n >= 2 && (in->p[n] & 0x0f) == (8 | dir) && in->p[n + 1];
		bool end = in->n - n < 2 || (in->p[n] & 2);

		flags |= gap ? MINI_GAP_FOLLOWS : end ? MINI_CALL_END : 0;
		if (n)
			fuzz_bytes(e, dir, in->p, n, flags, bytewise);
		in->p += n;
		in->n -= n;
	}
	return true;
}

static struct mini *fuzz_run(const struct protocol *p, const uint8_t *data, size_t n,
			     enum mini_place place, bool bytewise)
{
	struct mini *e = mini__new(p, data[0] & 1, place);
	struct fuzz_input in = { data + 1, n - 1 };

	while (fuzz_piece(e, &in, bytewise))
		;
	mini__finish(e);
	return e;
}

static int fuzz_protocol(const struct protocol *p, const uint8_t *data, size_t n)
{
	if (!n)
		return 0;
	for (size_t i = 1; i <= n && i <= 64; i++) {
		uint8_t *copy = malloc(i);

		memcpy(copy, data + n - i, i);
		p->detect(copy, i);
		free(copy);
	}
	struct mini *whole = fuzz_run(p, data, n, MINI_HEAP, false),
		    *bytewise = fuzz_run(p, data, n, MINI_HEAP, true);

	if (mini__breach(whole) || mini__breach(bytewise))
		abort();
	for (size_t i = 0; i < mini__count(whole) || i < mini__count(bytewise); i++) {
		const char *a = mini__line(whole, i), *b = mini__line(bytewise, i);

		if (a && b && !strcmp(a, b))
			continue;
		fprintf(stderr, "exchange %zu\nwhole    %s\nbytewise %s\n", i + 1, a ? a : "none",
			b ? b : "none");
		abort();
	}
	mini__free(whole);
	mini__free(bytewise);
	return 0;
}

#endif

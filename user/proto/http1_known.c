// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * HTTP/1: header blocks that were read before.
 *
 * A client sends the same header lines with every request but for the request line, and many a
 * server the same header block for a second, until its Date changes. What was said by the last few
 * blocks is kept beside their bytes, shared by all connections. Each connection remembers which one
 * it saw last; if the same bytes come again, to the last one, what they say is copied instead of
 * read. Blocks with trace context are not kept: each has another.
 */
#include <stddef.h>
#include <string.h>

#include "context.h"
#include "http1.h"

#define KNOWN 32      /* blocks kept of each direction; fits a byte */
#define TEXT_MAX 448  /* bytes of a block that is kept */
#define VALUE_MAX 224 /* bytes of what it says */
/* A connection whose blocks all differ looks for its own among the kept only now and then. */
#define MISSES_MAX 8
#define MISSES_STEP 16

static const size_t values[] = {
	offsetof(struct http1_message, host),
	offsetof(struct http1_message, user_agent),
	offsetof(struct http1_message, x_forwarded_for),
	offsetof(struct http1_message, x_forwarded_proto),
	offsetof(struct http1_message, x_forwarded_host),
	offsetof(struct http1_message, forwarded),
};

#define VALUES (sizeof(values) / sizeof(*values))

struct block {
	uint16_t n, value_n; /* n 0: none */
	struct http1_framing framing;
	int status;           /* of a response, whose block begins with the status line */
	struct slice version; /* the same; static */
	struct {
		bool there;
		uint16_t at, n; /* in `value` */
	} values[VALUES];
	uint8_t text[TEXT_MAX];
	char value[VALUE_MAX];
};

/* Bytes are parsed on one thread. */
static struct {
	struct block blocks[KNOWN];
	unsigned next; /* which makes room */
} known[2];            /* by enum proto_dir */

static struct slice *value_of(struct http1_message *h, size_t i)
{
	return (struct slice *)((char *)h + values[i]);
}

static bool is_block(const struct block *b, const uint8_t *p, size_t len)
{
	return b->n && b->n <= len && memcmp(b->text, p, b->n) == 0;
}

static void give_values(const struct block *b, struct message *m)
{
	struct slice text = message__keep(m, slice__from(b->value, b->value_n));

	for (size_t i = 0; i < VALUES && text.n == b->value_n; i++)
		if (b->values[i].there)
			*value_of(m->data, i) = slice__from(text.p + b->values[i].at,
							    b->values[i].n);
}

static size_t request_again(const struct block *b, struct message *m, const uint8_t *p, size_t len)
{
	struct http1_line line;
	size_t lines = http1__request_line(p, len, &line);

	/* A target of any length might leave no room for what the block says. */
	if (!lines || lines > MESSAGE_KEEP_MAX / 2 || !is_block(b, p + lines, len - lines))
		return 0;
	http1__keep_line(m, p, &line);
	give_values(b, m);
	return lines + b->n;
}

static size_t response_again(const struct block *b, struct message *m, const uint8_t *p, size_t len)
{
	struct http1_message *h = m->data;

	if (!is_block(b, p, len))
		return 0;
	h->status = b->status;
	h->version = b->version;
	return b->n;
}

size_t http1__again(struct http1_last *last, enum proto_dir dir, struct message *m,
		    const uint8_t *p, size_t len, struct http1_framing *f)
{
	const struct block *b = &known[dir].blocks[last->block];
	struct http1_message *h = m->data;

	/* What a message has already been told stays. */
	if (!b->n || h->version.p || h->method.p)
		return 0;
	size_t n = dir == PROTO_REQ ? request_again(b, m, p, len) : response_again(b, m, p, len);

	if (!n)
		return 0;
	h->body = -1;
	*f = b->framing;
	last->misses = 0;
	return n;
}

/* False: it says more than is kept. */
static bool take_values(struct block *b, struct http1_message *h)
{
	for (size_t i = 0; i < VALUES; i++) {
		struct slice v = *value_of(h, i);

		b->values[i].there = v.p;
		b->values[i].at = b->value_n;
		b->values[i].n = (uint16_t)v.n;
		if (v.n > (size_t)(VALUE_MAX - b->value_n))
			return false;
		if (v.n)
			memcpy(b->value + b->value_n, v.p, v.n);
		b->value_n = (uint16_t)(b->value_n + v.n);
	}
	return true;
}

static bool is_static(struct slice version)
{
	return slice__eq(version, SLICE("1.1")) || slice__eq(version, SLICE("1.0"));
}

void http1__remember(struct http1_last *last, enum proto_dir dir, struct message *m,
		     const uint8_t *p, size_t size, const struct http1_framing *f)
{
	struct http1_message *h = m->data;
	struct http1_line line;
	size_t lines = dir == PROTO_REQ ? http1__request_line(p, size, &line) : 0;

	last->misses += last->misses < UINT8_MAX;
	if (last->misses == UINT8_MAX)
		last->misses -= MISSES_STEP;
	if (last->misses > MISSES_MAX && last->misses % MISSES_STEP)
		return;
	if ((dir == PROTO_REQ && !lines) || size - lines > TEXT_MAX || m->truncated ||
	    !is_static(h->version) || !context__none(&h->context))
		return;
	for (unsigned i = 0; i < KNOWN; i++) {
		const struct block *b = &known[dir].blocks[i];

		if (b->n == size - lines && is_block(b, p + lines, size - lines)) {
			last->block = (uint8_t)i;
			return;
		}
	}
	unsigned i = known[dir].next++ % KNOWN;
	struct block *b = &known[dir].blocks[i];

	b->n = b->value_n = 0;
	if (!take_values(b, h))
		return;
	b->framing = *f;
	b->status = h->status;
	b->version = dir == PROTO_RESP && h->version.p[2] == '1' ? SLICE("1.1") : SLICE("1.0");
	memcpy(b->text, p + lines, size - lines);
	/* From now on it counts. */
	b->n = (uint16_t)(size - lines);
	last->block = (uint8_t)i;
}

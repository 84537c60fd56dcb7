/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Private to http2_learn.c and http2_table.c: what is known of a blind header table. */
#ifndef WEFT_HTTP2_LEARN_H
#define WEFT_HTTP2_LEARN_H

#include "http2.h"

#define BLOCK_FIELDS 64
#define BLOCK_BYTES (16 * 1024)

#define PLACE_NONE INT64_MIN

/* An entry that nghttp2 has only a placeholder of. */
struct learnt {
	struct list link;
	int64_t place;
	struct slice name, value; /* value.p NULL: not known */
	char bytes[];
};

/* A field of a block that was read. */
struct read_field {
	struct slice name, value; /* name.n 0, value.p NULL: not known */
	int64_t place;            /* of the entry that it refers to */
	int64_t added;            /* of the entry that it makes */
};

/* A block with something unknown in it. */
struct hpack_block {
	struct list link;
	uint32_t stream;
	int trailing; /* it is trailers; -1 not known */
	bool full;    /* not all of it was kept */
	size_t n;
	struct read_field f[BLOCK_FIELDS];
	struct arena keep;
};

/* Its lists, before the first use. */
void hpack__begin(struct hpack *h);
/* A program has said something. */
void hpack__told(struct hpack *h);
/* NULL: nothing is known of it. */
const struct learnt *learnt__get(const struct hpack *h, int64_t place);
/* value.p NULL: not known. What is known stays. */
void learnt__put(struct hpack *h, int64_t place, struct slice name, struct slice value);
/*
 * All blocks that wait for words, and b (NULL: none), are told of with what is known now, and are
 * gone.
 */
void learnt__release(struct hpack *h, struct hpack_block *b, hpack_words_fn fn, void *ctx);

static inline bool told__name_whole(const struct told_field *f)
{
	return f->name.n && f->name.n == f->name_len;
}

static inline bool told__value_whole(const struct told_field *f)
{
	return f->value.n == f->value_len;
}

/* Can what the program says be what the wire says, as far as that is known? */
bool told__agrees(const struct told_field *told, const struct read_field *f);

/*
 * A block has been read: does a table that waits tell of it? Then what that says is known. `b`: the
 * block, if something in it is unknown, else NULL.
 */
bool tables__block(struct hpack *h, const struct hpack_block *b);
void tables__drop(struct hpack *h);

#endif /* WEFT_HTTP2_LEARN_H */

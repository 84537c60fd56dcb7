// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a header table holds whose beginning was not seen, learnt from programs that say in words
 * what a block says (struct told_fields).
 *
 * An entry's place is how many were added before it since weft came; those from before have places
 * below 0. On the wire a reference names its entry by how many were added after it, so its place is
 * known at once, and what it says when the program tells of the block: the fields of both stand in
 * the same order. They are laid side by side only if there are as many, and if all that the wire
 * says itself is the same; so the words of another block teach nothing. From then on the entry is
 * read off the wire.
 *
 * Which of the two comes first depends on who tells (a decoder behind the bytes, an encoder before
 * them), and a little of either waits for the other.
 */
#include <stdlib.h>

#include "http2.h"

#define BLOCK_FIELDS 64
#define BLOCK_BYTES (16 * 1024)
#define WAITING_MAX 32    /* blocks of a table, and lists, that wait for each other */
#define LEARNT_MAX 2048   /* no table that is followed has more entries */
#define LEARNT_BYTES 4096 /* of one entry */
/*
 * So many blocks in a row by whose words nothing was learnt: no more is asked for, as what is still
 * unknown is nothing that anybody has words for (net/http tells of its statuses alone), until after
 * so many more.
 */
#define QUIET_MAX 256
#define QUIET_LONG 8192

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

/* A program's words for a block that was not read yet. */
struct words {
	struct list link;
	struct told_fields told;
	struct arena keep;
};

static uint64_t key_of(int64_t place)
{
	return (uint64_t)place + (1ull << 62);
}

static struct learnt *get(const struct hpack *h, int64_t place)
{
	return place == PLACE_NONE ? NULL : table__get(&h->learnt, key_of(place));
}

static void drop_learnt(struct hpack *h, struct learnt *l)
{
	table__take(&h->learnt, key_of(l->place));
	list__remove(&l->link);
	free(l);
}

static void put(struct hpack *h, int64_t place, struct slice name, struct slice value)
{
	struct learnt *l = get(h, place);

	if (l && (l->value.p || !value.p))
		return;
	if (name.n + value.n > LEARNT_BYTES)
		return;
	if (l)
		drop_learnt(h, l);
	if (h->learnt.used >= LEARNT_MAX)
		drop_learnt(h, LIST_OF(h->in_order.next, struct learnt, link));
	l = calloc(1, sizeof(*l) + name.n + value.n + 1);
	if (!l || !table__put(&h->learnt, key_of(place), l)) {
		free(l);
		return;
	}
	l->place = place;
	memcpy(l->bytes, name.p, name.n);
	l->name = slice__from(l->bytes, name.n);
	if (value.p) {
		memcpy(l->bytes + name.n, value.p, value.n);
		l->value = slice__from(l->bytes + name.n, value.n);
	}
	list__append(&h->in_order, &l->link);
	h->learnt_now = true;
}

/* ---- reading a block ---- */

static void free_block(struct hpack_block *b)
{
	arena__reset(&b->keep);
	free(b);
}

static void free_words(struct words *w)
{
	arena__reset(&w->keep);
	free(w);
}

static void begin(struct hpack *h)
{
	if (h->in_order.next)
		return;
	list__init(&h->in_order);
	list__init(&h->blocks);
	list__init(&h->words);
}

void hpack__learn_begin(struct hpack *h)
{
	begin(h);
	if (h->last)
		free_block(h->last);
	h->last = hpack__wants_words(h) ? calloc(1, sizeof(*h->last)) : NULL;
	if (h->last)
		arena__init(&h->last->keep, BLOCK_BYTES);
	h->unknown = false;
}

static void note(struct hpack_block *b, const struct read_field *f)
{
	if (b->n == BLOCK_FIELDS) {
		b->full = true;
		return;
	}
	struct read_field *to = &b->f[b->n++];

	*to = *f;
	if (f->name.n)
		to->name = arena__copy(&b->keep, f->name);
	if (f->value.n)
		to->value = arena__copy(&b->keep, f->value);
	b->full |= to->name.n != f->name.n || (f->value.p && to->value.n != f->value.n);
}

void hpack__learn_field(struct hpack *h, const struct hpack_ref *ref, struct slice *name,
			struct slice *value)
{
	struct read_field f = { *name, *value, PLACE_NONE, PLACE_NONE };
	bool hidden = !name->n && ref->index >= HPACK_DYNAMIC;

	if (!f.value.p)
		f.value = SLICE("");
	if (hidden)
		f.place = h->added - 1 - (int64_t)(ref->index - HPACK_DYNAMIC);
	if (hidden) {
		const struct learnt *l = get(h, f.place);

		if (ref->alone)
			f.value = l ? l->value : (struct slice){ 0 };
		if (l)
			f.name = l->name;
	}
	if (ref->adds) {
		f.added = h->added++;
		if (hidden && f.name.n)
			put(h, f.added, f.name, f.value);
	}
	h->unknown |= !f.name.n || !f.value.p;
	if (h->last)
		note(h->last, &f);
	*name = f.value.p ? f.name : (struct slice){ "", 0 };
	*value = f.value.p ? f.value : (struct slice){ "", 0 };
}

void hpack__learn_end(struct hpack *h)
{
	h->quiet = h->unknown && h->quiet >= QUIET_LONG ? 0 : h->quiet + 1;
	if (h->last && (!h->unknown || h->last->full)) {
		free_block(h->last);
		h->last = NULL;
	}
}

bool hpack__wants_words(const struct hpack *h)
{
	return h->blind && h->quiet < QUIET_MAX;
}

void hpack__unlearn(struct hpack *h)
{
	if (h->last)
		free_block(h->last);
	h->last = NULL;
	if (h->in_order.next) {
		LIST_EACH (it, tmp, &h->in_order)
			free(LIST_OF(it, struct learnt, link));
		LIST_EACH (it, tmp, &h->blocks)
			free_block(LIST_OF(it, struct hpack_block, link));
		LIST_EACH (it, tmp, &h->words)
			free_words(LIST_OF(it, struct words, link));
	}
	table__free(&h->learnt);
	h->in_order.next = NULL;
	h->added = 0;
	h->n_blocks = h->n_words = h->quiet = 0;
}

/* ---- words for it ---- */

/* Can what the program says be what the wire says? */
static bool agrees(const struct told_field *told, const struct read_field *f)
{
	if (f->name.n &&
	    (told->name_len != f->name.n || memcmp(told->name.p, f->name.p, told->name.n) != 0))
		return false;
	return !f->value.p || (told->value_len == f->value.n &&
			       memcmp(told->value.p, f->value.p, told->value.n) == 0);
}

static bool of_block(const struct hpack_block *b, const struct told_fields *t)
{
	bool pseudo = t->n && t->f[0].name.n && t->f[0].name.p[0] == ':';

	if (b->stream != t->stream || !t->n || t->n > b->n || (t->all && t->all != b->n) ||
	    (b->trailing >= 0 && b->trailing == pseudo))
		return false;
	for (size_t i = 0; i < t->n; i++)
		if (!agrees(&t->f[i], &b->f[i]))
			return false;
	return true;
}

static bool name_whole(const struct told_field *f)
{
	return f->name.n && f->name.n == f->name_len;
}

static bool value_whole(const struct told_field *f)
{
	return f->value.n == f->value_len;
}

static void teach(struct hpack *h, const struct hpack_block *b, const struct told_fields *t)
{
	h->learnt_now = false;
	for (size_t i = 0; i < t->n; i++) {
		const struct told_field *told = &t->f[i];
		const struct read_field *f = &b->f[i];
		struct slice unknown = { 0 };

		if (!name_whole(told) || (f->name.n && f->value.p))
			continue;
		if (f->place != PLACE_NONE)
			put(h, f->place, told->name,
			    f->value.p || !value_whole(told) ? unknown
			    : told->value.n                  ? told->value
							     : SLICE(""));
		if (f->added != PLACE_NONE)
			put(h, f->added, told->name, f->value);
	}
	if (h->learnt_now)
		h->quiet = 0;
}

bool hpack__words(struct hpack *h, const struct told_fields *t)
{
	if (!h->blind)
		return false;
	begin(h);
	LIST_EACH (it, tmp, &h->blocks) {
		struct hpack_block *b = LIST_OF(it, struct hpack_block, link);

		if (!of_block(b, t))
			continue;
		teach(h, b, t);
		list__remove(&b->link);
		h->n_blocks--;
		free_block(b);
		return true;
	}
	struct words *w = calloc(1, sizeof(*w));

	if (!w)
		return false;
	arena__init(&w->keep, BLOCK_BYTES);
	w->told = *t;
	for (size_t i = 0; i < t->n; i++) {
		w->told.f[i].name = arena__copy(&w->keep, t->f[i].name);
		w->told.f[i].value = arena__copy(&w->keep, t->f[i].value);
	}
	list__append(&h->words, &w->link);
	if (++h->n_words <= WAITING_MAX)
		return false;
	w = LIST_OF(h->words.next, struct words, link);
	list__remove(&w->link);
	free_words(w);
	h->n_words--;
	return false;
}

bool hpack__block_is(struct hpack *h, uint32_t stream, int trailing,
		     void (*fn)(void *ctx, const struct told_fields *t), void *ctx)
{
	struct hpack_block *b = h->last;

	if (!b)
		return false;
	h->last = NULL;
	b->stream = stream;
	b->trailing = trailing;
	LIST_EACH (it, tmp, &h->words) {
		struct words *w = LIST_OF(it, struct words, link);

		if (!of_block(b, &w->told))
			continue;
		teach(h, b, &w->told);
		fn(ctx, &w->told);
		list__remove(&w->link);
		h->n_words--;
		free_words(w);
		free_block(b);
		return true;
	}
	list__append(&h->blocks, &b->link);
	if (++h->n_blocks <= WAITING_MAX)
		return false;
	b = LIST_OF(h->blocks.next, struct hpack_block, link);
	list__remove(&b->link);
	free_block(b);
	h->n_blocks--;
	return false;
}

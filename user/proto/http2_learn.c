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

#include "http2_learn.h"

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
/* The same where nothing was told at all yet: what tells of it may have to be attached first. */
#define UNTOLD_MAX 4096
#define UNTOLD_LONG 32768

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

const struct learnt *learnt__get(const struct hpack *h, int64_t place)
{
	return get(h, place);
}

static void drop_learnt(struct hpack *h, struct learnt *l)
{
	table__take(&h->learnt, key_of(l->place));
	list__remove(&l->link);
	free(l);
}

void learnt__put(struct hpack *h, int64_t place, struct slice name, struct slice value)
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

void hpack__begin(struct hpack *h)
{
	if (h->in_order.next)
		return;
	list__init(&h->in_order);
	list__init(&h->blocks);
	list__init(&h->words);
	list__init(&h->tables);
}

void hpack__told(struct hpack *h)
{
	hpack__begin(h);
	if (!h->told)
		h->quiet = 0;
	h->told = true;
}

void hpack__learn_begin(struct hpack *h, const uint8_t *p, size_t n)
{
	hpack__begin(h);
	h->now = (struct hpack_seen){ .len = (uint32_t)n, .before = h->added, .oldest = INT64_MAX };
	memcpy(h->now.bytes, p, n < TOLD_BLOCK ? n : TOLD_BLOCK);
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
	if (hidden && f.place < h->now.oldest)
		h->now.oldest = f.place;
	if (ref->adds) {
		f.added = h->added++;
		if (hidden && f.name.n)
			learnt__put(h, f.added, f.name, f.value);
	}
	h->unknown |= !f.name.n || !f.value.p;
	if (h->last)
		note(h->last, &f);
	*name = f.value.p ? f.name : (struct slice){ "", 0 };
	*value = f.value.p ? f.value : (struct slice){ "", 0 };
}

void hpack__learn_end(struct hpack *h)
{
	h->now.behind = h->added;
	h->quiet = h->unknown && h->quiet >= (h->told ? QUIET_LONG : UNTOLD_LONG) ? 0
										  : h->quiet + 1;
	if (h->last && (!h->unknown || h->last->full)) {
		free_block(h->last);
		h->last = NULL;
	}
}

bool hpack__wants_words(const struct hpack *h)
{
	return h->blind && !h->whole && h->quiet < (h->told ? QUIET_MAX : UNTOLD_MAX);
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
	tables__drop(h);
	table__free(&h->learnt);
	h->in_order.next = NULL;
	h->added = 0;
	h->told = false;
	h->n_blocks = h->n_words = h->quiet = 0;
}

/* ---- words for it ---- */

bool told__agrees(const struct told_field *told, const struct read_field *f)
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
		if (!told__agrees(&t->f[i], &b->f[i]))
			return false;
	return true;
}

static void teach(struct hpack *h, const struct hpack_block *b, const struct told_fields *t)
{
	h->learnt_now = false;
	for (size_t i = 0; i < t->n; i++) {
		const struct told_field *told = &t->f[i];
		const struct read_field *f = &b->f[i];
		struct slice unknown = { 0 };

		if (!told__name_whole(told) || (f->name.n && f->value.p))
			continue;
		if (f->place != PLACE_NONE)
			learnt__put(h, f->place, told->name,
				    f->value.p || !told__value_whole(told) ? unknown
				    : told->value.n                        ? told->value
									   : SLICE(""));
		if (f->added != PLACE_NONE)
			learnt__put(h, f->added, told->name, f->value);
	}
	if (h->learnt_now)
		h->quiet = 0;
}

bool hpack__words(struct hpack *h, const struct told_fields *t)
{
	if (!h->blind)
		return false;
	hpack__told(h);
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

/* ---- what was read before it was known ---- */

static struct told_field known_of(const struct hpack *h, const struct read_field *f)
{
	const struct learnt *l = get(h, f->place);
	/* longer than what is there of them: not known */
	struct told_field t = {
		.name = SLICE(""), .value = SLICE(""), .name_len = 1, .value_len = 1
	};

	if (f->name.n || l) {
		t.name = f->name.n ? f->name : l->name;
		t.name_len = (uint32_t)t.name.n;
	}
	if (f->value.p || (l && l->value.p)) {
		t.value = f->value.p ? f->value : l->value;
		t.value_len = (uint32_t)t.value.n;
	}
	return t;
}

static void tell(const struct hpack *h, struct hpack_block *b, hpack_words_fn fn, void *ctx)
{
	struct told_fields t = { .stream = b->stream, .all = b->full ? 0 : b->n };

	for (; t.n < b->n && t.n < TOLD_FIELDS_MAX; t.n++)
		t.f[t.n] = known_of(h, &b->f[t.n]);
	fn(ctx, &t);
	free_block(b);
}

void learnt__release(struct hpack *h, struct hpack_block *b, hpack_words_fn fn, void *ctx)
{
	LIST_EACH (it, tmp, &h->blocks) {
		struct hpack_block *waits = LIST_OF(it, struct hpack_block, link);

		list__remove(&waits->link);
		tell(h, waits, fn, ctx);
	}
	h->n_blocks = 0;
	if (b)
		tell(h, b, fn, ctx);
}

/* A program has told of the block before. */
static bool was_told(struct hpack *h, struct hpack_block *b, hpack_words_fn fn, void *ctx)
{
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
	return false;
}

void hpack__block_is(struct hpack *h, uint32_t stream, int trailing, hpack_words_fn fn, void *ctx)
{
	struct hpack_block *b = h->last;

	h->last = NULL;
	if (!h->in_order.next)
		return;
	h->now.stream = stream;
	if (b) {
		b->stream = stream;
		b->trailing = trailing;
	}
	if (tables__block(h, b)) {
		learnt__release(h, b, fn, ctx);
		return;
	}
	if (!b || was_told(h, b, fn, ctx))
		return;
	list__append(&h->blocks, &b->link);
	if (++h->n_blocks <= WAITING_MAX)
		return;
	b = LIST_OF(h->blocks.next, struct hpack_block, link);
	list__remove(&b->link);
	free_block(b);
	h->n_blocks--;
}

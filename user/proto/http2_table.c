// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A header table in the words of the program that has it. Laid at the right place of the wire it
 * teaches at once all that was added before weft came.
 *
 * The place is that of a header block, before or behind which the table was looked at. A block that
 * has been sent is known by its stream and its bytes. One that is about to be sent is known by its
 * fields, and has to be what the bytes on the wire come to with this very table; a block that
 * refers to nothing in it would prove nothing.
 *
 * A table is taken as a whole or not at all: its entries have to make up its size, and whatever was
 * seen to be added on the wire has to stand in it, at its place. That place would be another if any
 * block between had been missed.
 */
#include <stdlib.h>

#include "http2_learn.h"

#define SEEN_MAX 16  /* blocks that are found again */
#define TABLES_MAX 4 /* that wait for their block */
#define ENTRY_COST 32

struct waiting_table {
	struct list link;
	struct told_table told;
	struct arena keep;
};

static void free_table(struct waiting_table *w)
{
	arena__reset(&w->keep);
	free(w);
}

void tables__drop(struct hpack *h)
{
	if (h->in_order.next)
		LIST_EACH (it, tmp, &h->tables)
			free_table(LIST_OF(it, struct waiting_table, link));
	h->n_tables = h->n_seen = 0;
	free(h->seen);
	h->seen = NULL;
	h->whole = false;
}

/* ---- is it one? ---- */

/* Letters of a field's name (RFC 9113, 8.2.1): none below or at the blank, none in upper case. */
static bool name_valid(struct slice name)
{
	for (size_t i = 0; i < name.n; i++) {
		unsigned char c = (unsigned char)name.p[i];

		if (c <= ' ' || c >= 0x7f || (c >= 'A' && c <= 'Z') || (c == ':' && i))
			return false;
	}
	return name.n;
}

static bool plausible(const struct told_table *t)
{
	uint64_t size = 0;

	for (size_t i = 0; i < t->n; i++) {
		size += ENTRY_COST + (uint64_t)t->entries[i].name_len + t->entries[i].value_len;
		if (!name_valid(t->entries[i].name))
			return false;
	}
	return size == t->size;
}

static bool same(struct slice a, size_t a_len, const void *b, size_t b_len)
{
	return a_len == b_len && (!a.n || memcmp(a.p, b, a.n) == 0);
}

/* Is this entry what is known of the one at its place? */
static bool fits_entry(const struct hpack *h, const struct told_field *e, int64_t place)
{
	const struct learnt *l = learnt__get(h, place);
	const nghttp2_nv *nv = NULL;

	if (l && (!same(e->name, e->name_len, l->name.p, l->name.n) ||
		  (l->value.p && !same(e->value, e->value_len, l->value.p, l->value.n))))
		return false;
	if (place >= 0 && h->inflater)
		nv = nghttp2_hd_inflate_get_table_entry(h->inflater,
							HPACK_DYNAMIC +
								(size_t)(h->added - 1 - place));
	return !nv || (same(e->value, e->value_len, nv->value, nv->valuelen) &&
		       (!nv->namelen || same(e->name, e->name_len, nv->name, nv->namelen)));
}

static bool fits(const struct hpack *h, const struct told_table *t, int64_t added)
{
	for (size_t i = 0; i < t->n; i++)
		if (!fits_entry(h, &t->entries[i], added - 1 - (int64_t)i))
			return false;
	return true;
}

/* The table, where so many entries had been added since weft came. */
static bool take(struct hpack *h, const struct told_table *t, int64_t added)
{
	struct slice unknown = { 0 };

	if (!fits(h, t, added))
		return false;
	for (size_t i = t->n; i-- > 0;) {
		const struct told_field *e = &t->entries[i];

		if (told__name_whole(e))
			learnt__put(h, added - 1 - (int64_t)i, e->name,
				    !told__value_whole(e) ? unknown
				    : e->value.n          ? e->value
							  : SLICE(""));
	}
	h->whole = true;
	return true;
}

/* ---- of which block? ---- */

/* What the block refers to has to be there, if the table is as the block found it. */
static bool is_block(const struct told_table *t, const struct hpack_seen *b)
{
	if (!t->behind && b->oldest < b->before && b->before - 1 - b->oldest >= (int64_t)t->n)
		return false;
	return t->stream == b->stream && t->len == b->len && t->block.n <= TOLD_BLOCK &&
	       t->block.n == (b->len < TOLD_BLOCK ? b->len : TOLD_BLOCK) &&
	       memcmp(t->block.p, b->bytes, t->block.n) == 0;
}

/* The field on the wire refers to an entry of the table: 1 it is that, -1 another, 0 it does not. */
static int refers(const struct told_table *t, const struct told_field *f,
		  const struct read_field *r, int64_t before)
{
	int64_t i = r->place == PLACE_NONE ? -1 : before - 1 - r->place;

	if (i < 0)
		return 0;
	if (i >= (int64_t)t->n)
		return -1;
	const struct told_field *e = &t->entries[i];

	if (f->name.n != e->name.n || !same(f->name, f->name_len, e->name.p, e->name_len))
		return -1;
	/* not known on the wire, so it is the entry's */
	return r->value.p || (f->value.n == e->value.n &&
			      same(f->value, f->value_len, e->value.p, e->value_len))
		       ? 1
		       : -1;
}

/* Do the block's bytes and this table come to what the program says? */
static bool comes_to(const struct told_table *t, const struct hpack_block *b, int64_t before)
{
	const struct told_fields *w = &t->fields;
	bool some = false;

	if (!b || b->full || !w->n || w->all != b->n || w->n > b->n)
		return false;
	for (size_t i = 0; i < w->n; i++) {
		int r = told__agrees(&w->f[i], &b->f[i]) ? refers(t, &w->f[i], &b->f[i], before)
							 : -1;

		if (r < 0)
			return false;
		some |= r;
	}
	return some;
}

static void remember(struct hpack *h)
{
	if (!h->seen)
		h->seen = calloc(SEEN_MAX, sizeof(*h->seen));
	if (h->seen)
		h->seen[h->n_seen++ % SEEN_MAX] = h->now;
}

bool tables__block(struct hpack *h, const struct hpack_block *b)
{
	bool taken = false;

	if (!hpack__wants_words(h))
		return false;
	remember(h);
	LIST_EACH (it, tmp, &h->tables) {
		struct waiting_table *w = LIST_OF(it, struct waiting_table, link);
		const struct told_table *t = &w->told;
		bool of = t->stream ? is_block(t, &h->now) : comes_to(t, b, h->now.before);

		if (!of || taken)
			continue;
		taken = take(h, t, t->behind ? h->now.behind : h->now.before);
		list__remove(&w->link);
		h->n_tables--;
		free_table(w);
	}
	return taken;
}

static void keep_fields(struct arena *keep, struct told_field *f, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		f[i].name = arena__copy(keep, f[i].name);
		f[i].value = arena__copy(keep, f[i].value);
	}
}

static void wait_for_block(struct hpack *h, const struct told_table *t)
{
	struct waiting_table *w = calloc(1, sizeof(*w));

	if (!w)
		return;
	arena__init(&w->keep, 2 * BLOCK_BYTES);
	w->told = *t;
	w->told.block = arena__copy(&w->keep, t->block);
	keep_fields(&w->keep, w->told.entries, t->n);
	keep_fields(&w->keep, w->told.fields.f, t->fields.n);
	list__append(&h->tables, &w->link);
	if (++h->n_tables <= TABLES_MAX)
		return;
	w = LIST_OF(h->tables.next, struct waiting_table, link);
	list__remove(&w->link);
	free_table(w);
	h->n_tables--;
}

void hpack__table(struct hpack *h, const struct told_table *t, hpack_words_fn fn, void *ctx)
{
	if (!h->blind || h->whole || !plausible(t))
		return;
	hpack__told(h);
	for (unsigned i = 0; t->stream && h->seen && i < h->n_seen && i < SEEN_MAX; i++) {
		const struct hpack_seen *b = &h->seen[(h->n_seen - 1 - i) % SEEN_MAX];

		if (!is_block(t, b))
			continue;
		if (take(h, t, t->behind ? b->behind : b->before))
			learnt__release(h, NULL, fn, ctx);
		return;
	}
	wait_for_block(h, t);
}

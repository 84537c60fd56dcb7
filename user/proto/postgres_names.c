// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>

#include "postgres.h"

#define NAMES_MAX 256
#define BYTES_MAX (256 * 1024)

struct pg_name {
	struct pg_text *text;
	uint32_t hash;
	unsigned used; /* tick of the last use */
	uint8_t n;
	char name[PG_NAME_MAX];
};

struct pg_text *pg_text__new(struct slice text, bool cut)
{
	size_t n = text.n < PG_TEXT_MAX ? text.n : PG_TEXT_MAX;
	struct pg_text *t = malloc(sizeof(*t) + n);

	if (!t)
		return NULL;
	*t = (struct pg_text){ .refs = 1, .cut = cut || n < text.n, .n = n };
	if (n)
		memcpy(t->p, text.p, n);
	return t;
}

struct pg_text *pg_text__ref(struct pg_text *t)
{
	if (t)
		t->refs++;
	return t;
}

void pg_text__unref(struct pg_text *t)
{
	if (t && --t->refs == 0)
		free(t);
}

static struct slice clip(struct slice name)
{
	return slice__from(name.p, name.n < PG_NAME_MAX ? name.n : PG_NAME_MAX);
}

static uint32_t hash_of(struct slice s)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < s.n; i++)
		h = (h ^ (uint8_t)s.p[i]) * 16777619u;
	return h;
}

static struct pg_name *find(struct pg_names *t, struct slice name)
{
	uint32_t hash = hash_of(name);

	for (unsigned i = 0; i < t->n; i++) {
		struct pg_name *e = &t->names[i];

		if (e->hash == hash && slice__eq(slice__from(e->name, e->n), name))
			return e;
	}
	return NULL;
}

static void drop(struct pg_names *t, struct pg_name *e)
{
	if (e->text)
		t->bytes -= e->text->n;
	pg_text__unref(e->text);
	*e = t->names[--t->n];
}

static void drop_oldest(struct pg_names *t)
{
	struct pg_name *oldest = t->names;

	for (unsigned i = 1; i < t->n; i++) {
		/* Difference of ticks: right across a wrap. */
		if (t->tick - t->names[i].used > t->tick - oldest->used)
			oldest = &t->names[i];
	}
	drop(t, oldest);
}

static bool grow(struct pg_names *t)
{
	unsigned cap = t->cap ? t->cap * 2 : 4;
	struct pg_name *names = realloc(t->names, cap * sizeof(*names));

	if (!names)
		return false;
	t->names = names;
	t->cap = cap;
	return true;
}

void pg_names__put(struct pg_names *t, struct slice name, struct pg_text *text)
{
	name = clip(name);
	struct pg_name *e = find(t, name);
	size_t bytes = text ? text->n : 0;

	if (e)
		drop(t, e);
	while (t->n && (t->n >= NAMES_MAX || t->bytes + bytes > BYTES_MAX))
		drop_oldest(t);
	if (t->n == t->cap && !grow(t))
		return;
	e = &t->names[t->n++];
	*e = (struct pg_name){
		.text = pg_text__ref(text),
		.hash = hash_of(name),
		.used = ++t->tick,
		.n = (uint8_t)name.n,
	};
	if (name.n)
		memcpy(e->name, name.p, name.n);
	t->bytes += bytes;
}

struct pg_text *pg_names__get(struct pg_names *t, struct slice name)
{
	struct pg_name *e = find(t, clip(name));

	if (!e)
		return NULL;
	e->used = ++t->tick;
	return e->text;
}

void pg_names__remove(struct pg_names *t, struct slice name)
{
	struct pg_name *e = find(t, clip(name));

	if (e)
		drop(t, e);
}

void pg_names__clear(struct pg_names *t)
{
	while (t->n)
		drop(t, &t->names[t->n - 1]);
	free(t->names);
	*t = (struct pg_names){ 0 };
}

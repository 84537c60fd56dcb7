// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Spans, resources and traces as data: made, filled, counted, freed. On the path of every span:
 * nothing here is searched twice.
 */
#include "span.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/block.h"
#include "../lib/utf8.h"

/* All strings of one span. */
#define SPAN_ARENA_MAX (64 * 1024)

struct span *span__new(void)
{
	struct span *s = block__get(sizeof(*s));

	if (!s)
		return NULL;
	/* Attributes count as far as n_attrs says: no need to clear them. */
	memset(s, 0, offsetof(struct span, first_attrs));
	s->attrs = s->first_attrs;
	s->cap_attrs = sizeof(s->first_attrs) / sizeof(*s->first_attrs);
	arena__init_in(&s->arena, SPAN_ARENA_MAX, s->first_text, sizeof(s->first_text));
	return s;
}

void span__free(struct span *s)
{
	if (!s)
		return;
	resource__unref(s->resource);
	arena__reset(&s->arena);
	block__put(s, sizeof(*s));
}

/* ---- UTF-8 ---- */

struct slice span__own(struct span *s, struct slice v)
{
	const struct slice none = { NULL, 0 };
	size_t n = v.n < SPAN_VALUE_MAX ? v.n : SPAN_VALUE_MAX;

	if (utf8__ascii(v.p, n)) {
		struct slice copy = arena__copy(&s->arena, slice__from(v.p, n));

		return copy.n == n ? copy : none;
	}
	size_t cap = v.n > SPAN_VALUE_MAX / 3 ? SPAN_VALUE_MAX : v.n * 3;
	char *out = arena__alloc(&s->arena, cap);

	return out ? slice__from(out, utf8__repair(v, out, cap)) : none;
}

/* ---- attributes ---- */

static struct attr *find(const struct span *s, struct span_key key)
{
	for (unsigned i = 0; i < s->n_attrs; i++)
		if (s->attrs[i].key_hash == key.hash && s->attrs[i].key_len == key.len &&
		    !memcmp(s->attrs[i].key, key.text, key.len))
			return (struct attr *)&s->attrs[i];
	return NULL;
}

static bool more_attrs(struct span *s)
{
	struct attr *attrs = s->cap_attrs < SPAN_ATTRS_MAX
				     ? arena__alloc(&s->arena, SPAN_ATTRS_MAX * sizeof(*attrs))
				     : NULL;

	if (!attrs)
		return false;
	s->attrs = memcpy(attrs, s->attrs, s->n_attrs * sizeof(*attrs));
	s->cap_attrs = SPAN_ATTRS_MAX;
	return true;
}

struct attr *span__find_place(struct span *s, struct span_key key)
{
	struct attr *a = find(s, key);

	if (a)
		return a;
	if (s->n_attrs == s->cap_attrs && !more_attrs(s)) {
		s->dropped_attrs++;
		return NULL;
	}
	return &s->attrs[s->n_attrs++];
}

void span__put_str(struct span *s, struct span_key key, struct slice value)
{
	if (!value.n)
		return;
	struct slice copy = span__own(s, value);

	if (!copy.p) {
		s->dropped_attrs++;
		return;
	}
	struct attr *a = span__place(s, key, ATTR_STR);

	if (a)
		attr__set_text(a, copy);
}

void span__put_bool(struct span *s, struct span_key key, bool value)
{
	struct attr *a = span__place(s, key, ATTR_BOOL);

	if (a)
		a->b = value;
}

void span__put_double(struct span *s, struct span_key key, double value)
{
	struct attr *a = span__place(s, key, ATTR_DOUBLE);

	if (a)
		a->d = value;
}

struct span_link *span__add_link(struct span *s)
{
	if (!s->links)
		s->links = arena__alloc(&s->arena, SPAN_LINKS_MAX * sizeof(*s->links));
	return s->links && s->n_links < SPAN_LINKS_MAX ? &s->links[s->n_links++] : NULL;
}

const struct attr *span__attr(const struct span *s, const char *key)
{
	return find(s, span__key(key));
}

/* ---- resources ---- */

static void resource__free(struct resource *r)
{
	for (unsigned i = 0; i < r->n; i++) {
		free(r->attrs[i].key);
		free(r->attrs[i].s);
	}
	free(r->attrs);
	free(r);
}

/* The place for this key, without a string; NULL: out of memory. */
static struct resource_attr *resource__place(struct resource *r, const char *key)
{
	for (unsigned i = 0; i < r->n; i++) {
		if (!strcmp(r->attrs[i].key, key)) {
			free(r->attrs[i].s);
			r->attrs[i].s = NULL;
			return &r->attrs[i];
		}
	}
	struct resource_attr *attrs = realloc(r->attrs, (r->n + 1) * sizeof(*attrs));

	if (!attrs)
		return NULL;
	r->attrs = attrs;
	attrs[r->n] = (struct resource_attr){ .key = strdup(key) };
	return attrs[r->n].key ? &attrs[r->n++] : NULL;
}

/* A copy of a C string as valid UTF-8; NULL: out of memory. */
static char *clean_string(const char *value)
{
	size_t n = strlen(value);
	char *out = malloc(n * 3 + 1);

	if (out)
		out[utf8__repair(slice__from(value, n), out, n * 3)] = '\0';
	return out;
}

struct resource *resource__new(uint32_t pid, const char *service_name)
{
	struct resource *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->refs = 1;
	r->pid = pid;
	resource__add_str(r, "service.name", service_name);
	if (!r->n) {
		resource__free(r);
		return NULL;
	}
	return r;
}

void resource__add_str(struct resource *r, const char *key, const char *value)
{
	char *copy = clean_string(value ? value : "");
	struct resource_attr *a = copy ? resource__place(r, key) : NULL;

	if (!a) {
		free(copy);
		return;
	}
	a->type = ATTR_STR;
	a->s = copy;
}

void resource__add_int(struct resource *r, const char *key, int64_t value)
{
	struct resource_attr *a = resource__place(r, key);

	if (a) {
		a->type = ATTR_INT;
		a->i = value;
	}
}

const char *resource__service(const struct resource *r)
{
	return r && r->n && r->attrs[0].s ? r->attrs[0].s : "";
}

struct resource *resource__ref(const struct resource *r)
{
	struct resource *own_ref = (struct resource *)
		r; /* the count is not part of what is const */

	if (own_ref)
		__atomic_fetch_add(&own_ref->refs, 1, __ATOMIC_RELAXED);
	return own_ref;
}

void resource__unref(const struct resource *r)
{
	struct resource *own_ref = (struct resource *)r;

	if (own_ref && __atomic_sub_fetch(&own_ref->refs, 1, __ATOMIC_ACQ_REL) == 0)
		resource__free(own_ref);
}

/* ---- traces ---- */

static size_t trace_size(unsigned room)
{
	return sizeof(struct trace) + room * sizeof(struct span *);
}

struct trace *trace__for(unsigned room)
{
	struct trace *t = block__get(trace_size(room));

	if (!t)
		return NULL;
	t->refs = 1;
	t->n = 0;
	t->room = room;
	return t;
}

struct trace *trace__new(struct span **spans, unsigned n)
{
	struct trace *t = trace__for(n);

	if (!t)
		return NULL;
	memcpy(t->spans, spans, n * sizeof(*spans));
	t->n = n;
	free(spans);
	return t;
}

struct trace *trace__ref(struct trace *t)
{
	__atomic_fetch_add(&t->refs, 1, __ATOMIC_RELAXED);
	return t;
}

void trace__unref(struct trace *t)
{
	if (!t || __atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	for (unsigned i = 0; i < t->n; i++)
		span__free(t->spans[i]);
	block__put(t, trace_size(t->room));
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A program's own words for header blocks and header tables (FIELDS, TABLE) on their way to the
 * protocol. What comes before that is known is kept for a while.
 */
#include <stdlib.h>

#include "flow.h"

#define EARLY_MAX 32

_Static_assert(TOLD_FIELDS_MAX >= WEFT_FIELDS_MAX && TOLD_TABLE_MAX >= WEFT_TABLE_MAX &&
		       TOLD_BLOCK == WEFT_TABLE_BLOCK,
	       "what an event holds is passed on whole");

static struct message *request_of(void *ctx, uint32_t stream)
{
	struct exchange *x = exchange__by_key(ctx, stream);

	return x ? x->reqs[0] : NULL;
}

static struct slice part(const char *p, uint32_t len, uint32_t room)
{
	return slice__from(p, len < room ? len : room);
}

static void read_fields(struct told_field *to, const struct weft_field *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (struct told_field){
			.name = part(from[i].name, from[i].name_len, WEFT_FIELD_NAME),
			.value = part(from[i].value, from[i].value_len, WEFT_FIELD_VALUE),
			.name_len = from[i].name_len,
			.value_len = from[i].value_len,
		};
}

static void tell_fields(struct flow *f, const struct weft_fields *ev)
{
	struct told_fields t = { .stream = ev->stream, .n = ev->n, .all = ev->all };

	read_fields(t.f, ev->f, ev->n);
	f->proto->told_fields(f->state, flow__role(f, ev->dir), &t, request_of, f);
}

static void tell_table(struct flow *f, const struct weft_table *ev)
{
	struct told_table *t = calloc(1, sizeof(*t));

	if (!t)
		return;
	t->stream = ev->stream;
	t->len = ev->len;
	t->block = part((const char *)ev->block, ev->len, WEFT_TABLE_BLOCK);
	t->behind = ev->behind;
	t->size = ev->size;
	t->n = ev->n;
	read_fields(t->entries, ev->f, ev->n);
	t->fields.n = ev->fields;
	t->fields.all = ev->all;
	read_fields(t->fields.f, ev->f + ev->n, ev->fields);
	f->proto->told_table(f->state, flow__role(f, ev->dir), t, request_of, f);
	free(t);
}

static void tell(struct flow *f, const struct weft_event *ev)
{
	if (ev->kind == WEFT_EV_FIELDS && f->proto->told_fields)
		tell_fields(f, (const struct weft_fields *)ev);
	else if (ev->kind == WEFT_EV_TABLE && f->proto->told_table)
		tell_table(f, (const struct weft_table *)ev);
}

static void keep_early(struct flow *f, const struct weft_event *ev)
{
	struct weft_event *copy;

	if (!f->early)
		f->early = calloc(EARLY_MAX, sizeof(struct weft_event *));
	copy = f->early ? malloc(ev->size) : NULL;
	if (!copy)
		return;
	memcpy(copy, ev, ev->size);
	if (f->n_early == EARLY_MAX) {
		free(f->early[0]);
		memmove(f->early, f->early + 1, --f->n_early * sizeof(struct weft_event *));
	}
	f->early[f->n_early++] = copy;
}

void flow__early_fields(struct flow *f)
{
	for (size_t i = 0; i < f->n_early; i++) {
		if (f->phase == FLOW_ON)
			tell(f, f->early[i]);
		free(f->early[i]);
	}
	free(f->early);
	f->early = NULL;
	f->n_early = 0;
}

void flow__told(struct flow *f, const struct weft_event *ev)
{
	if (f->phase == FLOW_DETECT)
		keep_early(f, ev);
	else if (f->phase == FLOW_ON)
		tell(f, ev);
}

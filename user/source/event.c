// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Is a record what its kind says? Records come from our own kernel side, but also from files that
 * anybody may have written, and everything behind this check trusts what it let pass.
 */
#include <string.h>

#include "record.h"
#include "source.h"

static bool event__open_valid(const struct weft_open *o)
{
	return o->h.size == sizeof(*o) && o->path_len <= WEFT_PATH_LEN &&
	       o->role <= WEFT_ROLE_SERVER;
}

/* Parts ascend, lie behind the head and inside the call; nothing but padding is behind them. */
static bool event__parts_valid(const struct weft_data *d)
{
	uint32_t bytes = d->h.size - (uint32_t)sizeof(*d), at = d->head, behind = at;
	struct weft_part part;

	if (d->h.kind != WEFT_EV_DATA || d->dir > WEFT_IN || d->tail || bytes > WEFT_PARTS_MAX ||
	    d->head > bytes || d->head > d->len)
		return false;
	while (bytes - at >= sizeof(part)) {
		memcpy(&part, d->bytes + at, sizeof(part));
		at += sizeof(part);
		if (!part.len || part.len > bytes - at || part.off < behind || part.off > d->len ||
		    part.len > d->len - part.off)
			return false;
		at += part.len;
		behind = part.off + part.len;
	}
	return true;
}

static bool event__data_valid(const struct weft_data *d)
{
	uint32_t bytes = (uint32_t)d->head + d->tail;

	if (d->h.flags & WEFT_F_PARTS)
		return event__parts_valid(d);
	if (d->head > WEFT_HEAD_MAX || d->tail > WEFT_TAIL_MAX)
		return false;
	if (d->dir > WEFT_IN || bytes > d->len || d->h.size != sizeof(*d) + ((bytes + 7) & ~7U))
		return false;
	if (d->h.kind == WEFT_EV_WRITTEN && d->dir != WEFT_OUT)
		return false;
	return d->h.kind == WEFT_EV_DATA || !d->len;
}

static bool event__session_valid(const struct weft_session *s)
{
	return s->h.size == sizeof(*s) && s->n <= WEFT_SESSION_BYTES &&
	       s->what >= WEFT_SESSION_OP && s->what <= WEFT_SESSION_IN;
}

static bool event__fields_valid(const struct weft_fields *f)
{
	return f->dir <= WEFT_IN && f->n && f->n <= WEFT_FIELDS_MAX &&
	       (!f->all || f->n <= f->all) && f->h.size == sizeof(*f) + f->n * sizeof(f->f[0]);
}

static bool event__table_valid(const struct weft_table *t)
{
	size_t n = (size_t)t->n + t->fields;

	return t->dir <= WEFT_IN && t->behind <= 1 && t->n <= WEFT_TABLE_MAX &&
	       t->fields <= WEFT_FIELDS_MAX && t->fields <= t->all &&
	       t->h.size == sizeof(*t) + n * sizeof(t->f[0]);
}

static bool event__call_valid(const struct weft_call *c)
{
	uint32_t bytes = (uint32_t)c->text + c->text2;

	return c->text <= WEFT_CALL_TEXT_MAX && c->text2 <= WEFT_CALL_TEXT_MAX &&
	       c->text <= c->text_len && c->text2 <= c->text2_len &&
	       c->h.size == sizeof(*c) + ((bytes + 7) & ~7U);
}

/* Readers print the name as a string. */
static bool event__proc_valid(const struct weft_proc *p)
{
	return p->h.size == sizeof(*p) && memchr(p->comm, '\0', sizeof(p->comm));
}

/* n times "key\0value\0" in exactly len bytes. */
static bool event__process_valid(const struct record_process *p)
{
	uint64_t strings = 0, want = 2 * (uint64_t)p->n;

	if (p->h.size < sizeof(*p) || p->len > p->h.size - sizeof(*p))
		return false;
	for (uint32_t i = 0; i < p->len; i++)
		strings += p->text[i] == '\0';
	return strings == want && (!p->len || p->text[p->len - 1] == '\0');
}

bool event__valid(const struct weft_event *ev, size_t avail)
{
	if (avail < sizeof(*ev) || ev->size < sizeof(*ev) || ev->size > avail || ev->size % 8)
		return false;
	switch (ev->kind) {
	case WEFT_EV_OPEN:
		return ev->size >= sizeof(struct weft_open) && event__open_valid((const void *)ev);
	case WEFT_EV_CONNECT: return ev->size == sizeof(struct weft_connect);
	case WEFT_EV_DATA:
	case WEFT_EV_EOF:
	case WEFT_EV_SHUT:
	case WEFT_EV_CLOSE:
	case WEFT_EV_WRITTEN:
		return ev->size >= sizeof(struct weft_data) && event__data_valid((const void *)ev);
	case WEFT_EV_FORK:
	case WEFT_EV_EXEC:
	case WEFT_EV_EXIT:
	case WEFT_EV_SELECT:
	case WEFT_EV_IOURING:
	case WEFT_EV_STRANGER:
	case WEFT_EV_MAP:
		return ev->size >= sizeof(struct weft_proc) && event__proc_valid((const void *)ev);
	case WEFT_EV_SESSION:
		return ev->size >= sizeof(struct weft_session) &&
		       event__session_valid((const void *)ev);
	case WEFT_EV_CALL:
		return ev->size >= sizeof(struct weft_call) && event__call_valid((const void *)ev);
	case WEFT_EV_FIELDS:
		return ev->size >= sizeof(struct weft_fields) &&
		       event__fields_valid((const void *)ev);
	case WEFT_EV_TABLE:
		return ev->size >= sizeof(struct weft_table) &&
		       event__table_valid((const void *)ev);
	case WEFT_EV_CONTEXT:
		return ev->size == sizeof(struct weft_context) &&
		       ((const struct weft_context *)ev)->dir <= WEFT_IN;
	case WEFT_EV_UNIT: return ev->size == sizeof(struct weft_unit);
	case WEFT_EV_THREAD: return ev->size == sizeof(struct weft_thread);
	case RECORD_CLOCK: return ev->size == sizeof(struct record_clock);
	case RECORD_PROCESS:
		return ev->size >= sizeof(struct record_process) &&
		       event__process_valid((const void *)ev);
	case RECORD_STATS: return ev->size == sizeof(struct record_stats);
	default: return false;
	}
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libpq. PQexec and its like ask and wait: the wire's exchange lies within the call. PQsendQuery
 * and its like ask, and PQgetResult gives one result after the other until it gives none: from the
 * one to the last result of the query is what the caller waited. In a pipeline several are asked
 * before the first result is fetched, in the order of asking, and what is sent may leave the
 * process later, with others: which exchange on the wire is which query is not certain then, and
 * the wire tells alone.
 */
#include <stdlib.h>

#include "parts.h"

#define ASKED_MAX 1024 /* of one connection */
/* https://www.postgresql.org/docs/current/libpq-exec.html: ExecStatusType, in libpq-fe.h's order */
#define PGRES_BAD_RESPONSE 5
#define PGRES_FATAL_ERROR 7
#define PGRES_SINGLE_TUPLE 9
#define PGRES_PIPELINE_SYNC 10
#define PGRES_PIPELINE_ABORTED 11

TOLD_DESCRIBE("postgresql", 5432)

extern const struct protocol protocol_libpq;

/* The name is the wire's. */
const struct protocol protocol_libpq = {
	.name = "postgres",
	.title = "PostgreSQL (by libpq)",
	.message_size = TOLD_MESSAGE_SIZE,
	.describe = describe,
};

static struct object *connection(struct calls *c, const struct weft_call *ev)
{
	struct object *o = object__get(c, ev->h.pid, OBJECT_PQ_CONN, ev->object);

	return o || !ev->object
		       ? o
		       : object__put(c, ev->h.pid, OBJECT_PQ_CONN, ev->object, SLICE(""), ev->h.ts);
}

/* ---- prepared statements: by connection and name ---- */

static uint64_t name_address(uint64_t conn, struct slice name)
{
	uint64_t h = table__mix(conn, name.n);

	for (size_t i = 0; i < name.n; i++)
		h = table__mix(h, (unsigned char)name.p[i]);
	return h;
}

static void name__put(struct calls *c, const struct weft_call *ev)
{
	struct slice name = call__text(ev), sql = call__text2(ev);
	char text[2 * WEFT_CALL_TEXT_MAX + 1];
	struct object *o;

	if (ev->text < ev->text_len)
		return;
	memcpy(text, name.p, name.n);
	text[name.n] = '\0';
	memcpy(text + name.n + 1, sql.p, sql.n);
	o = object__put(c, ev->h.pid, OBJECT_PQ_NAME, name_address(ev->object, name),
			slice__from(text, name.n + 1 + sql.n), ev->h.ts);
	if (o) {
		o->owner = ev->object;
		o->cut = ev->text2 < ev->text2_len;
	}
}

/* The query behind a name. */
static struct slice name__get(struct calls *c, const struct weft_call *ev, bool *cut)
{
	struct slice name = call__text(ev), text;
	struct object *o = object__get(c, ev->h.pid, OBJECT_PQ_NAME,
				       name_address(ev->object, name));

	text = object__text(o);
	if (!o || o->owner != ev->object || text.n <= name.n || text.p[name.n] ||
	    !slice__starts(text, name))
		return (struct slice){ "", 0 };
	*cut = o->cut;
	return slice__from(text.p + name.n + 1, text.n - name.n - 1);
}

/* ---- asking and waiting ---- */

static bool failed(const struct weft_call *ev)
{
	return !ev->ret || ev->value == PGRES_FATAL_ERROR || ev->value == PGRES_BAD_RESPONSE;
}

static struct told what(struct calls *c, const struct weft_call *ev)
{
	struct told t = { .rows = -1 };

	switch (ev->fn) {
	case WEFT_FN_PQ_EXEC_PREPARED:
	case WEFT_FN_PQ_SEND_PREPARED: t.query = name__get(c, ev, &t.cut); break;
	case WEFT_FN_PQ_PREPARE:
	case WEFT_FN_PQ_SEND_PREPARE:
		t.query = call__text2(ev);
		t.cut = ev->text2 < ev->text2_len;
		t.silent = t.own_text = true;
		break;
	default:
		t.query = call__text(ev);
		t.cut = ev->text < ev->text_len;
		t.own_text = true;
		break;
	}
	return t;
}

static void waited(struct calls *c, const struct library *lib, const struct weft_call *ev)
{
	struct told t = what(c, ev);

	t.error = failed(ev);
	if (t.silent && !t.error) {
		name__put(c, ev);
		calls__lifecycle(c);
		return;
	}
	calls__one(c, lib, ev, connection(c, ev), &t, true);
}

/* ---- asking, and fetching later ---- */

void asked__drop(struct calls *c, struct object *o, struct asked *a, uint64_t ts, unsigned flags)
{
	list__remove(&a->link);
	o->n_asked--;
	if (a->x && a->x->resp_start)
		flags = 0;
	if (a->x)
		calls__end(c, a->x, a->x->resp_end ? a->x->resp_end : ts, flags);
	free(a);
}

/* The library's own account of a query that is not read off the wire. */
static void ask(struct calls *c, const struct library *lib, const struct weft_call *ev,
		struct object *o, struct asked *a)
{
	struct told t = what(c, ev);

	a->x = calls__tell(c, lib, ev, o, EXCHANGE_IN_CALLS, &t, &a->conn);
	struct caller *w = caller__of(c, ev->h.pid, ev->h.tid);

	if (a->x && w)
		w->waiting = o->key;
}

static void sent(struct calls *c, const struct library *lib, const struct weft_call *ev)
{
	struct object *o = connection(c, ev);

	if (!ev->ret || !o) {
		struct told t = what(c, ev);

		t.error = !ev->ret;
		calls__one(c, lib, ev, o, &t, true);
		return;
	}
	if (ev->fn == WEFT_FN_PQ_SEND_PREPARE)
		name__put(c, ev);
	if (c->source == CALL_WIRE) {
		calls__drop(c, DROP_FILTERED);
		return;
	}
	if (o->n_asked >= ASKED_MAX)
		asked__drop(c, o, LIST_OF(o->asked.next, struct asked, link), ev->h.ts,
			    EXCHANGE_NO_RESPONSE);
	struct asked *a = calloc(1, sizeof(*a));

	if (!a) {
		calls__drop(c, DROP_NO_MEMORY);
		return;
	}
	a->begin = ev->begin;
	list__append(&o->asked, &a->link);
	o->n_asked++;
	if (c->source == CALL_BOTH)
		a->number = calls__take_wire(c, lib, ev, o);
	if (c->source == CALL_LIBRARY || (!a->number && !o->carrier))
		ask(c, lib, ev, o, a);
	else if (!a->number || !c->sink.stretch(c->sink.ctx, a->number, a->begin, 0, 1))
		calls__drop(c, DROP_TOLD_TWICE);
}

static void result(struct calls *c, const struct weft_call *ev, struct asked *a)
{
	if (!a->x) {
		if (!a->number || !c->sink.stretch(c->sink.ctx, a->number, a->begin, ev->h.ts, 1))
			calls__drop(c, DROP_TOLD_TWICE);
		return;
	}
	a->x->events++;
	a->x->resp_start = a->x->resp_start ? a->x->resp_start : ev->h.ts;
	a->x->resp_end = ev->h.ts;
	a->x->resp_tid = ev->h.tid;
	if (failed(ev))
		told__failed(a->x, SLICE(""));
	else if (ev->value == PGRES_PIPELINE_ABORTED)
		told__not_run(a->x);
	else if (ev->value == PGRES_SINGLE_TUPLE)
		told__rows(a->x, 1);
	c->sink.moved(c->sink.ctx, a->x, PROTO_RESP, ev->h.tid, ev->h.ts);
}

static void fetched(struct calls *c, const struct weft_call *ev)
{
	struct object *o = object__get(c, ev->h.pid, OBJECT_PQ_CONN, ev->object);

	if (!o || list__empty(&o->asked) || (ev->ret && ev->value == PGRES_PIPELINE_SYNC)) {
		calls__lifecycle(c);
		return;
	}
	struct asked *a = LIST_OF(o->asked.next, struct asked, link);

	if (ev->ret) {
		result(c, ev, a);
		return;
	}
	calls__lifecycle(c);
	asked__drop(c, o, a, ev->h.ts, 0);
}

/*
 * The wire has something that this thread wrote, outside of the calls that sent: what it asked for
 * on one connection, flushed later, can be read there after all.
 */
void libpq__on_wire(struct calls *c, struct object *o, uint64_t heir)
{
	LIST_EACH (it, tmp, &o->asked) {
		struct asked *a = LIST_OF(it, struct asked, link);

		if (!a->x)
			continue;
		(void)c->sink.withdraw(c->sink.ctx, c->sink.number(c->sink.ctx, a->x), heir);
		calls__end(c, a->x, a->x->resp_end ? a->x->resp_end : c->now, 0);
		a->x = NULL;
	}
}

void libpq__event(struct calls *c, const struct library *lib, const struct weft_call *ev)
{
	switch (ev->fn) {
	case WEFT_FN_PQ_EXEC:
	case WEFT_FN_PQ_EXEC_PREPARED:
	case WEFT_FN_PQ_PREPARE: waited(c, lib, ev); break;
	case WEFT_FN_PQ_SEND:
	case WEFT_FN_PQ_SEND_PREPARED:
	case WEFT_FN_PQ_SEND_PREPARE: sent(c, lib, ev); break;
	case WEFT_FN_PQ_GET_RESULT: fetched(c, ev); break;
	default:
		calls__lifecycle(c);
		object__forget(c, object__get(c, ev->h.pid, OBJECT_PQ_CONN, ev->object), ev->h.ts);
		object__forget_owned(c, ev->h.pid, OBJECT_PQ_NAME, ev->object, ev->h.ts);
		break;
	}
}

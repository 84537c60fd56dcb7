// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One call, told of twice.
 *
 * The bytes that a library writes and reads are seen while its function runs; the function is heard
 * of when it returns. So an exchange read off the wire comes first, on its way to trace/, and is
 * passed on at once: what it says of threads and their order is evidence for parents, and must not
 * wait. Its number stays with the thread that asked (struct sighting). When a library's function
 * returns, the exchange that its thread asked for within the function's time is the same call: it
 * is stretched to the function's times, and that is all. Trace/ keeps spans for a grace longer than
 * any function takes from its last read to its return.
 *
 * If there is none, the library's call becomes an exchange of its own. Should the wire's turn up
 * later (bytes that waited for others), one of the two is taken back: the library's, or, if that
 * one has left already, the wire's.
 *
 * Books: a CALL event is in the span that its exchange becomes, or joins the one on the wire, or is
 * lifecycle if it only tells what an object is.
 */
#include <stdlib.h>

#include "parts.h"

/*
 * --db-source library: an exchange of a connection that a library uses is taken back if no call of
 * the library did so before; this long after its end, and before trace/ may release it.
 */
#define TAKE_BACK_NS (100ull * 1000 * 1000)
#define OVER_MAX 4096

struct over {
	struct list link;
	uint64_t number, ts;
};

struct calls *calls__new(enum call_source source, uint64_t wanted, const struct exchange_sink *sink,
			 struct balance *books)
{
	struct calls *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->source = source;
	c->wanted = libraries__wanted(wanted);
	c->sink = *sink;
	c->books = books;
	list__init(&c->objects_by_use);
	list__init(&c->callers_by_use);
	list__init(&c->carriers_by_use);
	list__init(&c->over);
	return c;
}

/* ---- the wire's exchanges pass ---- */

/* What a library may have asked for: NULL, it can't be. */
static const struct library *library_behind(const struct exchange *x)
{
	if (x->server || !x->pid || conn__third_party(x->conn))
		return NULL;
	return library__of_wire(x->proto);
}

/* A call of the library that had this in it, and found nothing on the wire. */
static struct sighting *told_before(struct caller *w, const struct library *lib,
				    const struct exchange *x)
{
	for (size_t i = 0; w && i < SIGHTINGS; i++) {
		struct sighting *s = &w->seen[i];

		if (s->number && !s->wire && s->lib == lib && s->begin <= x->req_start &&
		    x->req_start <= s->end)
			return s;
	}
	return NULL;
}

static void pass_begin(struct calls *c, const struct library *lib, struct exchange *x, uint32_t pos)
{
	struct caller *w = caller__of(c, x->pid, x->req_tid);
	struct sighting *before = told_before(w, lib, x);

	if (before && c->source == CALL_LIBRARY) {
		x->told = true;
		return;
	}
	c->sink.begin(c->sink.ctx, x, pos);
	uint64_t number = c->sink.number(c->sink.ctx, x);

	if (before && !c->sink.withdraw(c->sink.ctx, before->number, number)) {
		/* What was told has left; nobody hears of this one. */
		x->told = c->sink.withdraw(c->sink.ctx, number, 0);
	}
	if (before) {
		(void)c->sink.stretch(c->sink.ctx, number, before->begin, before->end, 0);
		before->number = 0;
	}
	struct carrier *k = carrier__put(c, x->conn);
	struct object *o = w && k && !k->user && w->waiting && c->source == CALL_BOTH
				   ? table__get(&c->objects, w->waiting)
				   : NULL;

	if (o && o->kind == OBJECT_PQ_CONN && !o->carrier && lib->first == WEFT_FN_PQ_EXEC) {
		carrier__use(c, k->id, o);
		libpq__on_wire(c, o, number);
	}
	caller__saw(w, &(struct sighting){ .number = number,
					   .lib = lib,
					   .wire = true,
					   .taken = before,
					   .begin = x->req_start,
					   .end = x->req_start,
					   .carrier = x->conn->id });
}

static void on_begin(void *ctx, struct exchange *x, uint32_t req_pos)
{
	struct calls *c = ctx;
	const struct library *lib = x->node || x->told ? NULL : library_behind(x);

	if (lib)
		pass_begin(c, lib, x, req_pos);
	else if (!x->told)
		c->sink.begin(c->sink.ctx, x, req_pos);
}

static void on_moved(void *ctx, struct exchange *x, enum proto_dir dir, uint32_t tid, uint64_t ts)
{
	struct calls *c = ctx;

	if (!x->told)
		c->sink.moved(c->sink.ctx, x, dir, tid, ts);
}

static void take_back(struct calls *c, struct over *o)
{
	(void)c->sink.withdraw(c->sink.ctx, o->number, 0);
	list__remove(&o->link);
	c->n_over--;
	free(o);
}

/* --db-source library: shall be taken back, unless a call of the library does it sooner. */
static void is_over(struct calls *c, uint64_t number, uint64_t ts)
{
	struct over *o = malloc(sizeof(*o));

	if (!o) {
		(void)c->sink.withdraw(c->sink.ctx, number, 0);
		return;
	}
	*o = (struct over){ .number = number, .ts = ts };
	list__append(&c->over, &o->link);
	if (++c->n_over > OVER_MAX)
		take_back(c, LIST_OF(c->over.next, struct over, link));
}

static void on_end(void *ctx, struct exchange *x)
{
	struct calls *c = ctx;
	const struct carrier *k = NULL;

	if (x->told && !x->node) {
		balance__drop(c->books, DROP_TOLD_TWICE, x->events);
		exchange__free(x);
		return;
	}
	if (c->source == CALL_LIBRARY && library_behind(x))
		k = carrier__get(c, x->conn->id);
	uint64_t number = k && k->user ? c->sink.number(c->sink.ctx, x) : 0;
	uint64_t ts = x->resp_end > x->req_end ? x->resp_end : x->req_end;

	c->sink.end(c->sink.ctx, x);
	if (number)
		is_over(c, number, ts > c->now ? ts : c->now);
}

static void on_strange_answer(void *ctx, uint32_t pid, uint32_t tid)
{
	struct calls *c = ctx;

	if (c->sink.strange_answer)
		c->sink.strange_answer(c->sink.ctx, pid, tid);
}

struct exchange_sink calls__sink(struct calls *c)
{
	return (struct exchange_sink){
		.ctx = c,
		.begin = on_begin,
		.moved = on_moved,
		.strange_answer = on_strange_answer,
		.end = on_end,
	};
}

/* ---- calls ---- */

static bool within(const struct sighting *s, const struct weft_call *ev)
{
	return s->begin >= ev->begin && s->end <= ev->h.ts;
}

bool calls__told_inside(struct calls *c, const struct library *lib, const struct weft_call *ev)
{
	const struct caller *w = caller__of(c, ev->h.pid, ev->h.tid);

	for (size_t i = 0; w && i < SIGHTINGS; i++)
		if (w->seen[i].number && !w->seen[i].wire && w->seen[i].lib == lib &&
		    within(&w->seen[i], ev))
			return true;
	return false;
}

uint64_t calls__take_wire(struct calls *c, const struct library *lib, const struct weft_call *ev,
			  struct object *o)
{
	struct caller *w = caller__of(c, ev->h.pid, ev->h.tid);
	struct sighting *first = NULL;

	for (size_t i = 0; w && i < SIGHTINGS; i++) {
		struct sighting *s = &w->seen[i];

		if (s->number && s->wire && !s->taken && s->lib == lib && within(s, ev) &&
		    (!first || s->begin < first->begin))
			first = s;
	}
	if (!first)
		return 0;
	first->taken = true;
	carrier__use(c, first->carrier, o);
	return first->number;
}

struct exchange *calls__tell(struct calls *c, const struct library *lib, const struct weft_call *ev,
			     struct object *o, enum exchange_seen seen, const struct told *t,
			     struct conn *conn)
{
	uint64_t wire[SIGHTINGS], number;
	size_t n = 0;

	while (lib->wire && n < SIGHTINGS && (number = calls__take_wire(c, lib, ev, o)))
		wire[n++] = number;
	struct exchange *x = told__new(lib, ev, seen, t, o ? carrier__get(c, o->carrier) : NULL,
				       conn);

	if (!x) {
		calls__drop(c, DROP_NO_MEMORY);
		return NULL;
	}
	x->begun = true;
	c->sink.begin(c->sink.ctx, x, x->req_pos);
	number = c->sink.number(c->sink.ctx, x);
	while (n)
		(void)c->sink.withdraw(c->sink.ctx, wire[--n], number);
	return x;
}

void calls__displace_inner(struct calls *c, const struct library *lib, const struct weft_call *ev,
			   uint64_t heir)
{
	struct caller *w = caller__of(c, ev->h.pid, ev->h.tid);

	for (size_t i = 0; w && i < SIGHTINGS; i++) {
		struct sighting *s = &w->seen[i];

		if (!s->number || s->wire || s->lib != lib || !within(s, ev))
			continue;
		(void)c->sink.withdraw(c->sink.ctx, s->number, heir);
		s->number = 0;
	}
}

void calls__end(struct calls *c, struct exchange *x, uint64_t ts, unsigned flags)
{
	x->flags |= flags;
	x->resp_start = x->resp_start ? x->resp_start : ts;
	x->resp_end = ts;
	c->sink.end(c->sink.ctx, x);
}

void calls__one(struct calls *c, const struct library *lib, const struct weft_call *ev,
		struct object *o, const struct told *t, bool whole)
{
	struct conn conn;
	uint64_t number = 0;

	if (lib->wire && c->source == CALL_BOTH)
		number = calls__take_wire(c, lib, ev, o);
	if (number) {
		if (!c->sink.stretch(c->sink.ctx, number, ev->begin, ev->h.ts, 1))
			calls__drop(c, DROP_TOLD_TWICE);
		return;
	}
	if (lib->wire && c->source == CALL_WIRE) {
		calls__drop(c, DROP_FILTERED);
		return;
	}
	struct exchange *x = calls__tell(c, lib, ev, o, EXCHANGE_IN_CALL, t, &conn);

	if (!x)
		return;
	number = c->sink.number(c->sink.ctx, x);
	if (whole)
		calls__displace_inner(c, lib, ev, number);
	calls__end(c, x, ev->h.ts, 0);
	caller__saw(caller__of(c, ev->h.pid, ev->h.tid),
		    &(struct sighting){
			    .number = number, .lib = lib, .begin = ev->begin, .end = ev->h.ts });
}

void calls__event(struct calls *c, const struct weft_call *ev)
{
	const struct library *lib = library__of_fn(ev->fn);

	if (ev->h.ts > c->now)
		c->now = ev->h.ts;
	if (!lib) {
		calls__drop(c, DROP_UNKNOWN_PROTOCOL);
		return;
	}
	if (!(c->wanted >> library__index(lib) & 1)) {
		calls__drop(c, DROP_FILTERED);
		return;
	}
	if (ev->begin && ev->begin <= ev->h.ts) {
		lib->event(c, lib, ev);
		return;
	}
	/* Nothing of ours: a time that can't be is not believed. */
	calls__drop(c, DROP_BROKEN);
}

void calls__process_exit(struct calls *c, uint32_t pid, uint64_t ts)
{
	process__forget(c, pid, ts);
}

void calls__tick(struct calls *c, uint64_t now)
{
	if (now > c->now)
		c->now = now;
	LIST_EACH (it, tmp, &c->over) {
		struct over *o = LIST_OF(it, struct over, link);

		if (c->now < o->ts + TAKE_BACK_NS)
			return;
		take_back(c, o);
	}
}

void calls__free(struct calls *c, uint64_t ts)
{
	if (!c)
		return;
	LIST_EACH (it, tmp, &c->over)
		take_back(c, LIST_OF(it, struct over, link));
	LIST_EACH (it, tmp, &c->objects_by_use) {
		struct object *o = LIST_OF(it, struct object, by_use);

		LIST_EACH (a, next, &o->asked)
			asked__drop(c, o, LIST_OF(a, struct asked, link), ts,
				    EXCHANGE_NO_RESPONSE | EXCHANGE_STOPPED);
	}
	while (!list__empty(&c->objects_by_use))
		object__forget(c, LIST_OF(c->objects_by_use.next, struct object, by_use), ts);
	while (!list__empty(&c->callers_by_use))
		caller__forget(c, LIST_OF(c->callers_by_use.next, struct caller, by_use));
	callers__free(c);
	table__free(&c->objects);
	table__free(&c->callers);
	table__free(&c->carriers);
	table__free(&c->processes);
	free(c);
}

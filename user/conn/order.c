// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The order of what was written and read on several CPUs.
 *
 * A thread writes, and while it is still on its way back from the kernel, where weft sees it,
 * another thread of the process reads the answer, and goes on: makes calls, answers. Whoever reads
 * says then that there are bytes that were written and not told of (WRITTEN). From there on the
 * process's events wait, all of them, until those bytes are told of; that event is put in front, as
 * of the moment of WRITTEN, and the rest follows as it came. So whatever looks at what a connection
 * or a thread did before and after sees it as it was.
 *
 * The bytes may never be told of (a ring that was full, io_uring), or much later (a call that writes
 * much): so they are waited for a bounded time and number of bytes, and then not again before the
 * connection has told of something written.
 */
#include <stdlib.h>

#include "../lib/table.h"
#include "order.h"

/* A thread is late by the time in which it was not scheduled. */
#define WAIT_NS (100ull * 1000 * 1000)
#define WAITING_BYTES_MAX (4u * 1024 * 1024) /* of a process */
#define WAITING_MAX 4096

struct waiting {
	struct list link;
	struct weft_event ev; /* with the rest of it behind it */
};

/* A process whose events wait: for what is said by the first of them. */
struct waiters {
	uint32_t pid;
	struct list link; /* in order.all */
	struct list events, passed;
	uint32_t n, bytes;
};

struct order {
	struct conns *conns;
	void (*pass)(void *ctx, const struct weft_event *ev);
	void *ctx;
	struct table by_pid;
	struct list all;
};

struct order *order__new(struct conns *conns, void (*pass)(void *ctx, const struct weft_event *ev),
			 void *ctx)
{
	struct order *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->conns = conns;
	o->pass = pass;
	o->ctx = ctx;
	list__init(&o->all);
	return o;
}

static struct waiting *first(const struct waiters *w)
{
	return LIST_OF(w->events.next, struct waiting, link);
}

static void pass(struct order *o, struct waiters *w, struct waiting *e)
{
	list__remove(&e->link);
	w->n--;
	w->bytes -= e->ev.size;
	o->pass(o->ctx, &e->ev);
	list__append(&w->passed, &e->link);
}

static void free_passed(struct waiters *w)
{
	LIST_EACH (it, tmp, &w->passed)
		free(LIST_OF(it, struct waiting, link));
	list__init(&w->passed);
}

static bool tells(const struct weft_event *ev, uint64_t conn)
{
	return ev->kind == WEFT_EV_DATA && ev->conn == conn &&
	       ((const struct weft_data *)ev)->dir == WEFT_OUT;
}

/* Pass it on as of `ts`, before what came before it. */
static void pass_as_of(struct order *o, struct waiters *w, struct waiting *e, uint64_t ts)
{
	if (e->ev.ts > ts)
		e->ev.ts = ts;
	pass(o, w, e);
}

/* The unit of work in which this was written: told of by the same thread right before; or NULL. */
static struct waiting *unit_of(const struct waiters *w, const struct waiting *written)
{
	for (struct list *it = written->link.prev; it != &w->events; it = it->prev) {
		struct waiting *e = LIST_OF(it, struct waiting, link);

		if (e->ev.tid == written->ev.tid && e->ev.kind != WEFT_EV_SESSION)
			return e->ev.kind == WEFT_EV_UNIT ? e : NULL;
	}
	return NULL;
}

/* The trace context that went beside this: told of by the same thread before; or NULL. */
static struct waiting *context_of(const struct waiters *w, const struct waiting *written)
{
	for (struct list *it = written->link.prev; it != &w->events; it = it->prev) {
		struct waiting *e = LIST_OF(it, struct waiting, link);

		if (e->ev.kind == WEFT_EV_CONTEXT && e->ev.conn == written->ev.conn &&
		    e->ev.tid == written->ev.tid)
			return e;
	}
	return NULL;
}

/* What tells of bytes that `e` (WRITTEN) says were written: put in front. False: it has not come. */
static bool pull(struct order *o, struct waiters *w, const struct waiting *e)
{
	LIST_EACH (it, tmp, &w->events) {
		struct waiting *written = LIST_OF(it, struct waiting, link), *unit, *context;

		if (!tells(&written->ev, e->ev.conn))
			continue;
		context = context_of(w, written);
		if (context)
			pass_as_of(o, w, context, e->ev.ts);
		unit = unit_of(w, written);
		if (unit)
			pass_as_of(o, w, unit, e->ev.ts);
		pass_as_of(o, w, written, e->ev.ts);
		return true;
	}
	return false;
}

static bool untold(const struct order *o, const struct weft_event *ev)
{
	const struct weft_data *d = (const struct weft_data *)ev;

	return ev->kind == WEFT_EV_WRITTEN && conns__untold(o->conns, ev->conn, d->off);
}

/* Pass on what can be; what waits since `older_than` goes on without. */
static void pass_on(struct order *o, struct waiters *w, uint64_t older_than)
{
	while (!list__empty(&w->events)) {
		struct waiting *e = first(w);

		if (untold(o, &e->ev)) {
			if (pull(o, w, e))
				continue;
			if (e->ev.ts > older_than && w->n <= WAITING_MAX &&
			    w->bytes <= WAITING_BYTES_MAX)
				return;
			conns__never_told(o->conns, e->ev.conn);
		}
		pass(o, w, e);
	}
}

static void drain(struct order *o, struct waiters *w, uint64_t older_than)
{
	pass_on(o, w, older_than);
	free_passed(w);
	if (!list__empty(&w->events))
		return;
	table__take(&o->by_pid, w->pid);
	list__remove(&w->link);
	free(w);
}

static struct waiters *waiters_of(struct order *o, uint32_t pid)
{
	struct waiters *w = calloc(1, sizeof(*w));

	if (!w || !table__put(&o->by_pid, pid, w)) {
		free(w);
		return NULL;
	}
	w->pid = pid;
	list__init(&w->events);
	list__init(&w->passed);
	list__append(&o->all, &w->link);
	return w;
}

static bool wait(struct waiters *w, const struct weft_event *ev)
{
	struct waiting *e = malloc(offsetof(struct waiting, ev) + ev->size);

	if (!e)
		return false;
	memcpy(&e->ev, ev, ev->size);
	list__append(&w->events, &e->link);
	w->n++;
	w->bytes += ev->size;
	return true;
}

void order__event(struct order *o, const struct weft_event *ev)
{
	struct waiters *w = o->by_pid.used ? table__get(&o->by_pid, ev->pid) : NULL;

	if (!w && untold(o, ev))
		w = waiters_of(o, ev->pid);
	if (!w) {
		o->pass(o->ctx, ev);
		return;
	}
	if (!wait(w, ev)) {
		/* Out of memory: what waits goes first. */
		drain(o, w, UINT64_MAX);
		o->pass(o->ctx, ev);
		return;
	}
	if (tells(ev, first(w)->ev.conn) || w->n > WAITING_MAX || w->bytes > WAITING_BYTES_MAX)
		drain(o, w, 0);
}

void order__tick(struct order *o, uint64_t now)
{
	if (now < WAIT_NS)
		return;
	LIST_EACH (it, tmp, &o->all)
		drain(o, LIST_OF(it, struct waiters, link), now - WAIT_NS);
}

void order__flush(struct order *o)
{
	LIST_EACH (it, tmp, &o->all)
		drain(o, LIST_OF(it, struct waiters, link), UINT64_MAX);
}

void order__free(struct order *o)
{
	if (o)
		order__flush(o);
	if (o)
		table__free(&o->by_pid);
	free(o);
}

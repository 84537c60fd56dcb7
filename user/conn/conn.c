// SPDX-License-Identifier: GPL-2.0-or-later
#include "conn.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "../lib/table.h"

/*
 * How long a segment that is ahead of its turn waits for those in front of it. A packet is sent
 * again after 200 ms and more (RFC 6298 with Linux' minimum); a live event is late only by the time
 * in which a thread was not scheduled.
 */
#define WAIT_LIVE_NS (100ull * 1000 * 1000)
#define WAIT_CAPTURE_NS (1500ull * 1000 * 1000)

struct conns {
	struct conn_sink sink;
	struct balance *books;
	struct table by_id;
	struct table by_pid; /* struct users: Unix sockets only */
	struct list by_use;
	struct list holding;
	size_t max;
};

/* The Unix sockets that one process used last. */
struct users {
	struct list conns;
};

struct conns *conns__new(size_t max, const struct conn_sink *sink, struct balance *books)
{
	struct conns *cs = calloc(1, sizeof(*cs));

	if (!cs)
		return NULL;
	cs->sink = *sink;
	cs->books = books;
	cs->max = max;
	list__init(&cs->by_use);
	list__init(&cs->holding);
	return cs;
}

static bool is_unix(const struct conn *c)
{
	return c->open.local.family == AF_UNIX;
}

/* Out of the list of the process that used it last. */
static void leave_user(struct conns *cs, struct conn *c)
{
	struct users *u = is_unix(c) ? table__get(&cs->by_pid, c->pid) : NULL;

	list__remove(&c->by_pid);
	if (u && list__empty(&u->conns)) {
		table__take(&cs->by_pid, c->pid);
		free(u);
	}
}

/* This process uses it now. Without memory for that, it is only closed later than it could be. */
static void set_user(struct conns *cs, struct conn *c, uint32_t pid)
{
	if (!is_unix(c) || (c->pid == pid && !list__empty(&c->by_pid))) {
		c->pid = pid;
		return;
	}
	leave_user(cs, c);
	c->pid = pid;
	struct users *u = table__get(&cs->by_pid, pid);

	if (!u) {
		u = malloc(sizeof(*u));
		if (!u)
			return;
		list__init(&u->conns);
		if (!table__put(&cs->by_pid, pid, u)) {
			free(u);
			return;
		}
	}
	list__append(&u->conns, &c->by_pid);
}

static void drop(struct conns *cs, struct conn *c, uint64_t ts)
{
	conn__flush(c, UINT64_MAX, cs->books, &cs->sink);
	list__remove(&c->holding);
	cs->sink.close(cs->sink.ctx, c, ts);
	leave_user(cs, c);
	table__take(&cs->by_id, c->id);
	list__remove(&c->by_use);
	free(c);
}

static void add(struct conns *cs, const struct weft_open *o)
{
	if (table__get(&cs->by_id, o->h.conn))
		return;
	if (cs->by_id.used >= cs->max)
		drop(cs, LIST_OF(cs->by_use.next, struct conn, by_use), o->h.ts);
	struct conn *c = calloc(1, sizeof(*c));

	if (!c)
		return;
	c->id = o->h.conn;
	c->open = *o;
	for (int dir = 0; dir < 2; dir++)
		if (o->h.flags & WEFT_F_POS)
			stream__begin(&c->streams[dir], o->pos[dir]);
	list__init(&c->held);
	list__init(&c->by_pid);
	list__init(&c->holding);
	if (!table__put(&cs->by_id, c->id, c)) {
		free(c);
		return;
	}
	list__append(&cs->by_use, &c->by_use);
	set_user(cs, c, o->h.pid);
	cs->sink.open(cs->sink.ctx, c);
}

static void push(struct conns *cs, struct conn *c, const struct weft_data *d)
{
	conn__push(c, d, cs->books, &cs->sink);
	if (c->n_held && list__empty(&c->holding))
		list__append(&cs->holding, &c->holding);
	else if (!c->n_held)
		list__remove(&c->holding);
}

void conns__event(struct conns *cs, const struct weft_event *ev)
{
	if (ev->kind == WEFT_EV_OPEN) {
		add(cs, (const struct weft_open *)ev);
		return;
	}
	if (ev->kind < WEFT_EV_DATA || ev->kind > WEFT_EV_CLOSE)
		return;
	struct conn *c = table__get(&cs->by_id, ev->conn);

	if (!c) {
		if (ev->kind == WEFT_EV_DATA)
			balance__drop(cs->books, DROP_NO_MEMORY, 1);
		return;
	}
	list__remove(&c->by_use);
	list__append(&cs->by_use, &c->by_use);
	if (ev->kind == WEFT_EV_CLOSE) {
		drop(cs, c, ev->ts);
		return;
	}
	if (ev->kind == WEFT_EV_DATA)
		set_user(cs, c, ev->pid);
	push(cs, c, (const struct weft_data *)ev);
}

void conns__tick(struct conns *cs, uint64_t now)
{
	LIST_EACH (it, tmp, &cs->holding) {
		struct conn *c = LIST_OF(it, struct conn, holding);
		uint64_t wait = conn__third_party(c) ? WAIT_CAPTURE_NS : WAIT_LIVE_NS;

		if (now < wait)
			continue;
		conn__flush(c, now - wait, cs->books, &cs->sink);
		if (!c->n_held)
			list__remove(&c->holding);
	}
}

void conns__process_exit(struct conns *cs, uint32_t pid, uint64_t ts,
			 void (*forget)(void *ctx, uint64_t sock, uint64_t conn), void *ctx)
{
	struct users *u;

	/* The last one takes the list with it. */
	while ((u = table__get(&cs->by_pid, pid))) {
		struct conn *c = LIST_OF(u->conns.next, struct conn, by_pid);

		if (forget)
			forget(ctx, c->open.sock, c->id);
		drop(cs, c, ts);
	}
}

void conns__free(struct conns *cs, uint64_t ts)
{
	if (!cs)
		return;
	while (!list__empty(&cs->by_use))
		drop(cs, LIST_OF(cs->by_use.next, struct conn, by_use), ts);
	table__free(&cs->by_id);
	table__free(&cs->by_pid);
	free(cs);
}

// SPDX-License-Identifier: GPL-2.0-or-later
#include "conn.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "../lib/table.h"

/* How long a segment that is ahead of its turn waits for those in front of it. A packet is sent again after 200 ms and more
 * (RFC 6298 with Linux' minimum); a live event is late only by the time in which a thread was not scheduled. */
#define WAIT_LIVE_NS (100ull * 1000 * 1000)
#define WAIT_CAPTURE_NS (1500ull * 1000 * 1000)

struct conns {
	struct conn_sink sink;
	struct balance *books;
	struct table by_id;
	struct list by_use;
	struct list holding;
	size_t max;
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

static void flush_all(struct conns *cs, struct conn *c)
{
	for (int dir = 0; dir < 2; dir++)
		stream__flush(&c->streams[dir], c, UINT64_MAX, cs->books, &cs->sink);
	list__remove(&c->holding);
}

static void drop(struct conns *cs, struct conn *c, uint64_t ts)
{
	flush_all(cs, c);
	cs->sink.close(cs->sink.ctx, c, ts);
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
	c->pid = o->h.pid;
	c->last_ts = o->h.ts;
	for (int dir = 0; dir < 2; dir++) {
		stream__init(&c->streams[dir]);
		if (o->h.flags & WEFT_F_POS)
			stream__begin(&c->streams[dir], o->pos[dir]);
	}
	list__init(&c->holding);
	if (!table__put(&cs->by_id, c->id, c)) {
		free(c);
		return;
	}
	list__append(&cs->by_use, &c->by_use);
	cs->sink.open(cs->sink.ctx, c);
}

static void data(struct conns *cs, struct conn *c, const struct weft_data *d)
{
	struct stream *s = &c->streams[d->dir];

	stream__push(s, c, d, cs->books, &cs->sink);
	bool holds = c->streams[0].n_held || c->streams[1].n_held;

	if (holds && list__empty(&c->holding))
		list__append(&cs->holding, &c->holding);
	else if (!holds)
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
	const struct weft_data *d = (const struct weft_data *)ev;

	c->last_ts = ev->ts;
	list__remove(&c->by_use);
	list__append(&cs->by_use, &c->by_use);
	switch (ev->kind) {
	case WEFT_EV_DATA:
		c->pid = ev->pid;
		data(cs, c, d);
		break;
	case WEFT_EV_EOF:
	case WEFT_EV_SHUT:
		stream__flush(&c->streams[d->dir], c, UINT64_MAX, cs->books, &cs->sink);
		cs->sink.eof(cs->sink.ctx, c, d->dir, ev->ts);
		break;
	case WEFT_EV_CLOSE:
		drop(cs, c, ev->ts);
		break;
	}
}

void conns__tick(struct conns *cs, uint64_t now)
{
	LIST_EACH (it, tmp, &cs->holding) {
		struct conn *c = LIST_OF(it, struct conn, holding);
		uint64_t wait = conn__third_party(c) ? WAIT_CAPTURE_NS : WAIT_LIVE_NS;

		if (now < wait)
			continue;
		for (int dir = 0; dir < 2; dir++)
			stream__flush(&c->streams[dir], c, now - wait, cs->books, &cs->sink);
		if (!c->streams[0].n_held && !c->streams[1].n_held)
			list__remove(&c->holding);
	}
}

void conns__process_exit(struct conns *cs, uint32_t pid, uint64_t ts,
			 void (*forget)(void *ctx, uint64_t sock, uint64_t conn), void *ctx)
{
	LIST_EACH (it, tmp, &cs->by_use) {
		struct conn *c = LIST_OF(it, struct conn, by_use);

		if (c->pid != pid || c->open.local.family != AF_UNIX)
			continue;
		forget(ctx, c->open.sock, c->id);
		drop(cs, c, ts);
	}
}

size_t conns__count(const struct conns *cs)
{
	return cs->by_id.used;
}

void conns__free(struct conns *cs, uint64_t ts)
{
	if (!cs)
		return;
	while (!list__empty(&cs->by_use))
		drop(cs, LIST_OF(cs->by_use.next, struct conn, by_use), ts);
	table__free(&cs->by_id);
	free(cs);
}

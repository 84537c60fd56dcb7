// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The two directions of a connection, put in order.
 *
 * Events of a live connection nearly always come in order. They come out of order when two threads
 * use one socket, and in a packet capture when packets were reordered or sent again. An event that
 * is ahead of its turn is held (bounded in number, bytes and time), and with it everything that
 * comes behind it, in both directions: whether a response was seen before or after a request is
 * what pairing rests on. When the wait is over, the bytes in front of it are declared lost and all
 * goes on behind them.
 */
#include <stdlib.h>
#include <string.h>

#include "conn.h"

#define HELD_MAX 256
#define HELD_BYTES_MAX (512 * 1024)

struct held {
	struct list link;
	struct weft_data data; /* with its bytes behind it */
};

void stream__begin(struct stream *s, uint32_t pos)
{
	s->started = true;
	s->next = (1ull << 32) | pos;
}

/* Positions are 32-bit on the wire; the nearest one to `next` is meant (RFC 9293, 3.4). */
static uint64_t position(const struct conn *c, const struct weft_data *d)
{
	const struct stream *s = &c->streams[d->dir];

	return s->next + (uint64_t)(int64_t)(int32_t)(d->off - (uint32_t)s->next);
}

static void deliver_missing(struct stream *s, struct conn *c, const struct weft_data *d,
			    uint64_t upto, const struct conn_sink *sink)
{
	while (s->next < upto) {
		uint64_t n = upto - s->next;
		struct piece p = {
			.pos = s->next,
			.len = n > UINT32_MAX ? UINT32_MAX : (uint32_t)n,
			.lost = true,
			.ts = d->h.ts,
			.pid = d->h.pid,
			.tid = d->h.tid,
		};

		s->next += p.len;
		sink->piece(sink->ctx, c, d->dir, &p);
	}
}

/* An event on its way to the sink, part by part. */
struct delivery {
	struct conn *c;
	const struct weft_data *d;
	const struct conn_sink *sink;
	uint64_t pos, end; /* of the event */
	uint64_t at;       /* what comes next */
};

/*
 * The next `len` bytes of the event, of which the first may have been delivered before. `data`
 * NULL: they are missing.
 */
static void deliver_part(struct delivery *v, const uint8_t *data, uint32_t len, bool framed)
{
	struct stream *s = &v->c->streams[v->d->dir];
	uint64_t at = v->at;

	v->at += len;
	if (s->next >= v->at)
		return;
	uint32_t skip = s->next > at ? (uint32_t)(s->next - at) : 0;
	struct piece p = {
		.pos = at + skip,
		.data = data ? data + skip : NULL,
		.len = len - skip,
		.framed = framed && !skip,
		.call_begin = at + skip == v->pos,
		.call_end = v->at == v->end,
		.event_end = v->at == v->end,
		.ts = v->d->h.ts,
		.pid = v->d->h.pid,
		.tid = v->d->h.tid,
	};

	s->next = v->at;
	v->sink->piece(v->sink->ctx, v->c, v->d->dir, &p);
}

/* An event at `pos`: head, what is missing, tail; or head, and parts with what is missing between. */
static void deliver_bytes(struct conn *c, const struct weft_data *d, uint64_t pos,
			  const struct conn_sink *sink)
{
	struct delivery v = {
		.c = c, .d = d, .sink = sink, .pos = pos, .end = pos + d->len, .at = pos
	};
	const uint8_t *p = d->bytes + d->head, *end = d->bytes + data__bytes(d);
	struct weft_part part;

	if (d->head)
		deliver_part(&v, d->bytes, d->head, false);
	while (d->h.flags & WEFT_F_PARTS && part__next(&p, end, &part)) {
		deliver_part(&v, NULL, (uint32_t)(pos + part.off - v.at), false);
		deliver_part(&v, p - part.len, part.len, true);
	}
	if (v.end - d->tail > v.at)
		deliver_part(&v, NULL, (uint32_t)(v.end - d->tail - v.at), false);
	if (d->tail)
		deliver_part(&v, p, d->tail, false);
}

/* An event whose turn it is: nothing is missing in front of it. */
static void deliver(struct conn *c, const struct weft_data *d, struct balance *books,
		    const struct conn_sink *sink)
{
	struct stream *s = &c->streams[d->dir];
	uint64_t pos;

	if (d->h.kind != WEFT_EV_DATA) {
		sink->eof(sink->ctx, c, d->dir, d->h.ts);
		return;
	}
	pos = position(c, d);
	if (pos + d->len <= s->next)
		/* An empty record only says where a stream begins (packet captures). */
		balance__drop(books, d->len ? DROP_DUPLICATE : DROP_CONTROL, 1);
	else
		deliver_bytes(c, d, pos, sink);
}

static bool ahead(const struct conn *c, const struct weft_data *d)
{
	/* the analyzer does not see that what deliver_held() frees is out of the list by then */
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
	return d->h.kind == WEFT_EV_DATA && position(c, d) > c->streams[d->dir].next;
}

static bool hold(struct conn *c, const struct weft_data *d)
{
	size_t bytes = data__bytes(d);
	struct held *h = malloc(sizeof(*h) + bytes);

	if (!h)
		return false;
	memcpy(&h->data, d, sizeof(*d) + bytes);
	list__append(&c->held, &h->link);
	c->n_held++;
	c->held_bytes += (uint32_t)bytes;
	return true;
}

static void deliver_held(struct conn *c, struct held *h, struct balance *books,
			 const struct conn_sink *sink)
{
	list__remove(&h->link);
	c->n_held--;
	c->held_bytes -= (uint32_t)data__bytes(&h->data);
	deliver(c, &h->data, books, sink);
	free(h);
}

/*
 * The held event that fills the hole in front of `first`, or with which the bytes behind the hole
 * begin.
 */
static struct held *lowest(struct conn *c, const struct weft_data *first)
{
	struct held *low = NULL;

	LIST_EACH (it, tmp, &c->held) {
		struct held *h = LIST_OF(it, struct held, link);

		if (h->data.h.kind == WEFT_EV_DATA && h->data.dir == first->dir &&
		    (!low || position(c, &h->data) < position(c, &low->data)))
			low = h;
	}
	return low;
}

/*
 * Deliver from the front, in the order in which the events came; holes that are not filled stop it,
 * or (`force`) are lost.
 */
static void drain(struct conn *c, struct balance *books, const struct conn_sink *sink,
		  bool (*force)(const struct conn *c, const struct weft_data *first, uint64_t arg),
		  uint64_t arg)
{
	while (!list__empty(&c->held)) {
		struct held *h = LIST_OF(c->held.next, struct held, link);

		if (ahead(c, &h->data)) {
			const struct weft_data *first = &h->data;

			h = lowest(c, first);
			if (ahead(c, &h->data)) {
				if (!force || !force(c, first, arg))
					return;
				deliver_missing(&c->streams[h->data.dir], c, &h->data,
						position(c, &h->data), sink);
			}
		}
		deliver_held(c, h, books, sink);
	}
}

static bool too_many(const struct conn *c, const struct weft_data *first, uint64_t arg)
{
	(void)first;
	(void)arg;
	return c->n_held > HELD_MAX || c->held_bytes > HELD_BYTES_MAX;
}

static bool too_old(const struct conn *c, const struct weft_data *first, uint64_t older_than)
{
	(void)c;
	return first->h.ts <= older_than;
}

void conn__push(struct conn *c, const struct weft_data *d, struct balance *books,
		const struct conn_sink *sink)
{
	if (d->h.kind == WEFT_EV_DATA && !c->streams[d->dir].started)
		stream__begin(&c->streams[d->dir], d->off);
	if (list__empty(&c->held) && !ahead(c, d)) {
		deliver(c, d, books, sink);
		return;
	}
	if (hold(c, d)) {
		drain(c, books, sink, too_many, 0);
		return;
	}
	/* Out of memory: what is held goes first, and what is missing is lost. */
	conn__flush(c, UINT64_MAX, books, sink);
	if (ahead(c, d))
		deliver_missing(&c->streams[d->dir], c, d, position(c, d), sink);
	deliver(c, d, books, sink);
}

void conn__flush(struct conn *c, uint64_t older_than, struct balance *books,
		 const struct conn_sink *sink)
{
	drain(c, books, sink, too_old, older_than);
}

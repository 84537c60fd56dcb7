// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One direction of a connection, put in order.
 *
 * Events of a live connection nearly always come in order. They come out of order when two threads use one socket, and in a packet
 * capture when packets were reordered or sent again. A segment that is ahead of its turn is held (bounded in number, bytes
 * and time); when the wait is over, the bytes in front of it are declared lost and the stream goes on behind them.
 */
#include <stdlib.h>
#include <string.h>

#include "conn.h"

#define HELD_MAX 128
#define HELD_BYTES_MAX (512 * 1024)

struct segment {
	struct list link;
	uint64_t pos;
	struct weft_data data; /* with its bytes behind it */
};

void stream__init(struct stream *s)
{
	*s = (struct stream){ 0 };
	list__init(&s->held);
}

void stream__begin(struct stream *s, uint32_t pos)
{
	s->started = true;
	s->next = (1ull << 32) | pos;
}

/* Positions are 32-bit on the wire; the nearest one to `next` is meant (RFC 9293, 3.4). */
static uint64_t extend(const struct stream *s, uint32_t off)
{
	return s->next + (uint64_t)(int64_t)(int32_t)(off - (uint32_t)s->next);
}

static void deliver_missing(struct stream *s, struct conn *c, const struct weft_data *d, uint64_t upto,
			    const struct conn_sink *sink)
{
	while (s->next < upto) {
		uint64_t n = upto - s->next;
		struct piece p = {
			.pos = s->next, .len = n > UINT32_MAX ? UINT32_MAX : (uint32_t)n, .lost = true,
			.ts = d->h.ts, .pid = d->h.pid, .tid = d->h.tid,
		};

		s->next += p.len;
		sink->piece(sink->ctx, c, d->dir, &p);
	}
}

/* Deliver the event at `pos`, of which the first bytes may have been delivered before: head, what is missing, tail. */
static void deliver(struct stream *s, struct conn *c, const struct weft_data *d, uint64_t pos,
		    const struct conn_sink *sink)
{
	const struct {
		const uint8_t *data;
		uint32_t len;
	} parts[3] = {
		{ d->bytes, d->head },
		{ NULL, d->len - d->head - d->tail },
		{ d->bytes + d->head, d->tail },
	};
	uint64_t end = pos + d->len;
	bool begin = s->next <= pos;

	for (int i = 0; i < 3; i++) {
		uint64_t part_end = pos + parts[i].len;

		if (s->next < part_end) {
			uint32_t skip = s->next > pos ? (uint32_t)(s->next - pos) : 0;
			struct piece p = {
				.pos = pos + skip,
				.data = parts[i].data ? parts[i].data + skip : NULL,
				.len = parts[i].len - skip,
				.call_begin = begin,
				.call_end = part_end == end,
				.event_end = part_end == end,
				.ts = d->h.ts, .pid = d->h.pid, .tid = d->h.tid,
			};

			begin = false;
			s->next = part_end;
			sink->piece(sink->ctx, c, d->dir, &p);
		}
		pos = part_end;
	}
}

static bool hold(struct stream *s, const struct weft_data *d, uint64_t pos)
{
	size_t bytes = (size_t)d->head + d->tail;
	struct segment *seg = malloc(sizeof(*seg) + bytes);

	if (!seg)
		return false;
	seg->pos = pos;
	memcpy(&seg->data, d, sizeof(*d) + bytes);
	/* Keep the list sorted; most often the new one is the last. */
	struct list *after = s->held.prev;

	while (after != &s->held && LIST_OF(after, struct segment, link)->pos > pos)
		after = after->prev;
	list__append(after->next, &seg->link);
	s->n_held++;
	s->held_bytes += bytes;
	return true;
}

static void unhold(struct stream *s, struct segment *seg)
{
	list__remove(&seg->link);
	s->n_held--;
	s->held_bytes -= seg->data.head + seg->data.tail;
}

/* Deliver held segments from the front as long as they follow, or (while `force`) jump over the hole in front of them. */
static void drain(struct stream *s, struct conn *c, struct balance *books, const struct conn_sink *sink,
		  bool (*force)(const struct stream *s, const struct segment *seg, uint64_t arg), uint64_t arg)
{
	while (!list__empty(&s->held)) {
		struct segment *seg = LIST_OF(s->held.next, struct segment, link);

		if (seg->pos > s->next) {
			if (!force || !force(s, seg, arg))
				return;
			deliver_missing(s, c, &seg->data, seg->pos, sink);
		}
		unhold(s, seg);
		if (seg->pos + seg->data.len <= s->next) {
			balance__drop(books, DROP_DUPLICATE, 1);
		} else {
			deliver(s, c, &seg->data, seg->pos, sink);
		}
		free(seg);
	}
}

static bool too_many(const struct stream *s, const struct segment *seg, uint64_t arg)
{
	(void)seg;
	(void)arg;
	return s->n_held > HELD_MAX || s->held_bytes > HELD_BYTES_MAX;
}

static bool too_old(const struct stream *s, const struct segment *seg, uint64_t older_than)
{
	(void)s;
	return seg->data.h.ts <= older_than;
}

void stream__push(struct stream *s, struct conn *c, const struct weft_data *d, struct balance *books,
		  const struct conn_sink *sink)
{
	if (!s->started)
		stream__begin(s, d->off);
	uint64_t pos = extend(s, d->off);

	if (pos > s->next) {
		if (hold(s, d, pos)) {
			drain(s, c, books, sink, too_many, 0);
			return;
		}
		deliver_missing(s, c, d, pos, sink);
	}
	if (pos + d->len <= s->next) {
		/* An empty record only says where a stream begins (packet captures). */
		balance__drop(books, d->len ? DROP_DUPLICATE : DROP_CONTROL, 1);
		return;
	}
	deliver(s, c, d, pos, sink);
	drain(s, c, books, sink, NULL, 0);
}

void stream__flush(struct stream *s, struct conn *c, uint64_t older_than, struct balance *books,
		   const struct conn_sink *sink)
{
	drain(s, c, books, sink, too_old, older_than);
}

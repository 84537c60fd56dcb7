// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The streams that are open: bounded, and no stream stays for ever because its end passed unseen.
 */
#include <stdlib.h>

#include "http2.h"

struct http2_stream *stream__get(const struct http2 *st, uint32_t id)
{
	return id ? table__get(&st->by_id, id) : NULL;
}

struct http2_stream *stream__open(struct http2 *st, uint32_t id)
{
	struct http2_stream *s = calloc(1, sizeof(*s));

	if (!s || !table__put(&st->by_id, id, s)) {
		free(s);
		return NULL;
	}
	s->id = id;
	s->status = s->grpc_status = -1;
	s->length = -1;
	list__append(&st->open, &s->link);
	st->opened++;
	return s;
}

void stream__end(struct http2 *st, uint32_t id)
{
	struct http2_stream *s = table__take(&st->by_id, id);

	if (!s)
		return;
	list__remove(&s->link);
	free(s);
}

struct http2_stream *stream__surplus(const struct http2 *st)
{
	if (!st->by_id.used)
		return NULL;
	struct http2_stream *oldest = LIST_OF(st->open.next, struct http2_stream, link);

	if (st->by_id.used >= STREAMS_MAX)
		return oldest;
	/*
	 * The oldest in doubt need not be the first, but one that goes on for so long is seldom
	 * before it.
	 */
	LIST_EACH (it, tmp, &st->open) {
		struct http2_stream *s = LIST_OF(it, struct http2_stream, link);

		if (s->doubt)
			return st->opened - s->doubt >= DOUBT_MAX ? s : NULL;
	}
	return NULL;
}

void stream__lost(struct http2 *st, enum proto_dir dir)
{
	LIST_EACH (it, tmp, &st->open) {
		struct http2_stream *s = LIST_OF(it, struct http2_stream, link);

		if (dir == PROTO_REQ) {
			s->request_body = -1;
			continue;
		}
		s->response_body = -1;
		s->lost = true;
		if (!s->doubt)
			s->doubt = st->opened;
	}
}

void stream__end_all(struct http2 *st)
{
	LIST_EACH (it, tmp, &st->open)
		free(LIST_OF(it, struct http2_stream, link));
	list__init(&st->open);
	table__free(&st->by_id);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * HTTP/2 (RFC 9113), and gRPC in it.
 *
 * Frames of many streams are mixed, so nothing but a frame is ever under way: what belongs to a
 * stream is kept with the stream, and messages come out whole. A request is one when its header
 * block has ended; the stream's number is its key. Its answer comes out when the stream ends: with
 * the last frame of the response, a RST_STREAM of either end, a GOAWAY that leaves it out. What
 * lies between is a part of its exchange (MESSAGE_PART).
 *
 * Bodies are stepped over by their length; the kernel side does the same, and shows the frames that
 * lie behind them. Where it can't follow, only the beginning of a long call is captured, and frame
 * headers in its middle may pass unseen. Then frames are looked for again (http2_frame.c), the
 * header table is unknown but for what is added from there on (http2_hpack.c), and any stream may
 * have ended unseen. One that shows no frame any more is given up later, and its exchange says so.
 *
 * Pushed responses answer no request of the client's: their header blocks are read, because they
 * change the header table, and they are no exchanges.
 */
#include <stdlib.h>

#include "http2.h"

/* of a header block with its frame headers; what is longer is cut there */
#define BLOCK_MAX (32 * 1024)
#define SETTINGS_MAX (6 * 128) /* of a SETTINGS frame; in longer ones nothing is looked for */

#define SETTING_FRAME_MAX 5 /* SETTINGS_MAX_FRAME_SIZE */
#define FRAME_MAX_USUAL 16384

/* Who asked does not want it any more (RFC 9113, 7). */
#define CODE_CANCEL 8

/* ---- streams that end ---- */

/*
 * What content-type would say, if it were known: each message of gRPC's has five bytes before it
 * (PROTOCOL-HTTP2: compressed or not, length), and its status comes in trailers.
 */
static enum http2_looks looks_of(const struct http2_stream *s, enum http2_end how)
{
	if (s->kind != KIND_UNKNOWN || s->status != 200 || how != END_STREAM)
		return LOOKS_UNKNOWN;
	if (s->other)
		return LOOKS_OTHER;
	if (s->messages && s->trailers)
		return LOOKS_GRPC;
	return s->messages || s->trailers ? LOOKS_ALIKE : LOOKS_UNKNOWN;
}

/* Make m what is known of the stream that ends. */
static void fill(struct message *m, const struct http2_stream *s, enum http2_end how, uint32_t code)
{
	struct http2_message *h = m->data;

	h->ended = true;
	h->kind = s->kind;
	h->status = s->status;
	h->grpc_status = s->grpc_status;
	h->unknown = s->unknown;
	h->request_body = s->request_body;
	h->response_body = s->response_body;
	h->whole = stream__whole(s);
	h->looks = looks_of(s, how);
	h->end = how;
	h->code = code;
	m->key = s->id;
	/* A whole response has a status. */
	m->lost = s->status < 0 && (s->lost || (how == END_STREAM && !s->unknown));
	m->end_unseen = how == END_UNSEEN;
}

/* The stream ends with the frame of `size` bytes that is here. */
static ssize_t end_with(struct http2 *st, enum proto_dir dir, const struct http2_stream *s,
			enum http2_end how, uint32_t code, size_t size, struct message *m,
			enum message_state *what)
{
	const struct http2_message *h = m->data;

	fill(m, s, how, code);
	st->grpc |= h->looks == LOOKS_GRPC || s->kind == KIND_GRPC || s->grpc_status >= 0;
	st->plain |= h->looks == LOOKS_OTHER || s->kind == KIND_HTTP;
	st->side[dir].ended = s->id;
	*what = dir == PROTO_RESP ? MESSAGE_DONE : MESSAGE_ANSWER;
	return (ssize_t)size;
}

/* The stream ends before the frame that is here is taken. */
static ssize_t end_before(struct http2 *st, enum proto_dir dir, const struct http2_stream *s,
			  enum http2_end how, struct message *m, enum message_state *what)
{
	return end_with(st, dir, s, how, 0, 0, m, what);
}

static ssize_t part_of(const struct http2_stream *s, size_t size, struct message *m,
		       enum message_state *what)
{
	m->key = s->id;
	*what = MESSAGE_PART;
	return (ssize_t)size;
}

static ssize_t pass_over(size_t size, enum message_state *what)
{
	*what = MESSAGE_IGNORE;
	return (ssize_t)size;
}

/* ---- header blocks ---- */

struct block {
	const uint8_t *p;
	size_t n;
	bool whole;
	size_t size;    /* of its frames */
	uint8_t *owned; /* p, where it had to be put together */
};

static bool block__add(struct block *b, const uint8_t *p, size_t n)
{
	uint8_t *owned = realloc(b->owned, b->n + n + 1);

	if (!owned)
		return false;
	if (!b->owned && b->n)
		memcpy(owned, b->p, b->n);
	if (n)
		memcpy(owned + b->n, p, n);
	b->p = b->owned = owned;
	b->n += n;
	return true;
}

/*
 * The part of a block that its first frame holds, without padding and what else stands there.
 * Returns 1; 0: more is needed; PARSE_BAD.
 */
static int first_part(const struct proto_in *in, const struct frame *f, struct block *b)
{
	size_t size = FRAME_HEADER + (size_t)f->len, here = in->len < size ? in->len : size;
	size_t at = FRAME_HEADER + (f->flags & FLAG_PADDED ? 1 : 0), pad = 0;

	if (f->type == FRAME_PUSH_PROMISE)
		at += 4;
	else if (f->flags & FLAG_PRIORITY)
		at += 5;
	if (here > BLOCK_MAX)
		here = BLOCK_MAX;
	if (here < size && here < BLOCK_MAX && !in->gap_follows)
		return 0;
	if (f->flags & FLAG_PADDED && here > FRAME_HEADER)
		pad = in->data[FRAME_HEADER];
	if (at + pad > size)
		return PARSE_BAD;
	b->whole = here == size;
	b->size = size;
	b->p = in->data + (at < here ? at : here);
	if (here > size - pad)
		here = size - pad;
	b->n = at < here ? here - at : 0;
	return 1;
}

/* The block that begins with frame f. As first_part(). */
static int gather(struct http2_side *side, const struct proto_in *in, const struct frame *f,
		  struct block *b)
{
	int r = first_part(in, f, b);
	bool more = !(f->flags & FLAG_END_HEADERS);

	while (r > 0 && b->whole && more) {
		size_t left = in->len > b->size ? in->len - b->size : 0;
		struct frame next = left >= FRAME_HEADER ? frame__read(in->data + b->size)
							 : (struct frame){ 0 };

		if (left >= FRAME_HEADER &&
		    (next.type != FRAME_CONTINUATION || next.stream != f->stream)) {
			r = PARSE_BAD;
		} else if (left >= FRAME_HEADER && b->size + FRAME_HEADER + next.len > BLOCK_MAX) {
			b->whole = false;
		} else if (left < FRAME_HEADER || left - FRAME_HEADER < next.len) {
			b->whole = false;
			r = in->gap_follows ? 1 : 0;
		} else if (!block__add(b, in->data + b->size + FRAME_HEADER, next.len)) {
			b->whole = false;
		} else {
			b->size += FRAME_HEADER + next.len;
			more = !(next.flags & FLAG_END_HEADERS);
		}
	}
	side->in_block = r > 0 && more;
	return r;
}

static ssize_t request_block(struct http2 *st, const struct frame *f, size_t size,
			     struct message *m, enum message_state *what)
{
	struct http2_message *h = m->data;
	struct http2_stream *s = stream__get(st, f->stream);

	if (s) /* trailers */
		return part_of(s, size, m, what);
	if (!(f->stream & 1) || f->stream <= st->last_id || !h->request)
		return pass_over(size, what);
	s = stream__open(st, f->stream);
	if (!s)
		return pass_over(size, what);
	st->last_id = f->stream;
	s->kind = h->kind;
	m->key = f->stream;
	*what = MESSAGE_DONE;
	return (ssize_t)size;
}

static ssize_t response_block(struct http2 *st, const struct frame *f, size_t size,
			      struct message *m, enum message_state *what)
{
	const struct http2_message *h = m->data;
	struct http2_stream *s = stream__get(st, f->stream);
	bool follows = s && s->answered;

	if (!s)
		return pass_over(size, what);
	s->doubt = 0;
	if (h->status < 100 || h->status >= 200) { /* else interim: the response proper follows */
		s->answered = true;
		s->lost |= m->truncated;
		s->unknown |= h->unknown;
		if (s->status < 0)
			s->status = h->status;
		if (s->length < 0)
			s->length = h->length;
		if (s->grpc_status < 0)
			s->grpc_status = h->grpc_status;
		if (h->kind != KIND_UNKNOWN && s->kind != KIND_GRPC && s->kind != KIND_GRPC_WEB)
			s->kind = h->kind;
	}
	if (f->flags & FLAG_END_STREAM) {
		s->trailers = follows;
		return end_with(st, PROTO_RESP, s, END_STREAM, 0, size, m, what);
	}
	return part_of(s, size, m, what);
}

/* Who may be told what header blocks of a direction say. */
struct listener {
	struct http2 *st;
	enum proto_dir dir;
	uint32_t stream; /* of the block that is here ... */
	struct message *m;
	told_request_fn request; /* ... and of the others, which have passed; may be NULL */
	void *ctx;
};

static void tell_passed(struct listener *l, const struct told_fields *t);

static void take_words(void *ctx, const struct told_fields *t)
{
	struct listener *l = ctx;

	if (l->m && t->stream == l->stream)
		http2__take_words(l->m, t);
	else
		tell_passed(l, t);
}

/* Is a block of this stream that comes now its trailers? -1: that is not known. */
static int is_trailing(const struct http2 *st, enum proto_dir dir, uint32_t id)
{
	const struct http2_stream *s = stream__get(st, id);

	if (dir == PROTO_REQ)
		return s ? 1 : id > st->last_id ? 0 : -1;
	return s && !s->lost ? s->answered : -1;
}

static ssize_t parse_block(struct http2 *st, enum proto_dir dir, const struct proto_in *in,
			   const struct frame *f, struct message *m, enum message_state *what)
{
	struct http2_side *side = &st->side[dir];
	struct http2_stream *surplus = dir == PROTO_REQ ? stream__surplus(st) : NULL;
	struct block b = { 0 };

	if (surplus)
		return end_before(st, dir, surplus, END_UNSEEN, m, what);
	ssize_t n = gather(side, in, f, &b);

	if (n > 0) {
		http2__read_block(&side->hpack, m, b.p, b.n, b.whole);
		if (f->type == FRAME_HEADERS)
			hpack__block_is(&side->hpack, f->stream, is_trailing(st, dir, f->stream),
					take_words,
					&(struct listener){ st, dir, f->stream, m, NULL, NULL });
		if (f->type == FRAME_PUSH_PROMISE)
			n = pass_over(b.size, what);
		else if (dir == PROTO_REQ)
			n = request_block(st, f, b.size, m, what);
		else
			n = response_block(st, f, b.size, m, what);
	}
	free(b.owned);
	return n;
}

/* A CONTINUATION frame whose beginning was cut or not seen. */
static ssize_t parse_rest(struct http2_side *side, const struct frame *f, enum message_state *what)
{
	if (!side->in_block)
		hpack__forget(&side->hpack);
	side->in_block = !(f->flags & FLAG_END_HEADERS);
	return pass_over(FRAME_HEADER + (size_t)f->len, what);
}

/* Is the frame's payload, as far as it counts, here? 1 yes; 0 wait; -1 it will not come. */
static int here(const struct proto_in *in, const struct frame *f, size_t counts)
{
	if (in->len >= FRAME_HEADER + (counts < f->len ? counts : f->len))
		return 1;
	return in->gap_follows ? -1 : 0;
}

/* ---- other frames ---- */

#define PREFIX 5 /* before a message of gRPC's: 0 or 1, then its length */

/*
 * The first DATA of a body whose kind is not known: could it be gRPC's? Returns 0 if more is needed.
 */
static int look_at_body(struct http2_stream *s, const struct proto_in *in, const struct frame *f)
{
	const uint8_t *p = in->data + FRAME_HEADER;
	int payload = here(in, f, PREFIX);

	if (payload <= 0)
		return payload;
	if (f->len < PREFIX || p[0] > 1)
		s->other = true;
	else if (frame__number(p + 1) == f->len - PREFIX)
		s->messages = true;
	return 1;
}

static ssize_t parse_data(struct http2 *st, enum proto_dir dir, const struct proto_in *in,
			  const struct frame *f, struct message *m, enum message_state *what)
{
	size_t size = FRAME_HEADER + (size_t)f->len;
	struct http2_stream *s = stream__get(st, f->stream);
	int64_t *body = s ? dir == PROTO_REQ ? &s->request_body : &s->response_body : NULL;
	bool padded = f->flags & FLAG_PADDED;

	if (!s)
		return pass_over(size, what);
	if (padded && in->len <= FRAME_HEADER && !in->gap_follows)
		return 0;
	if (st->mid && s->kind == KIND_UNKNOWN && !*body && f->len && !padded &&
	    !look_at_body(s, in, f))
		return 0;
	if (padded && in->len <= FRAME_HEADER)
		*body = -1;
	else if (padded && in->data[FRAME_HEADER] >= f->len)
		return PARSE_BAD;
	else if (*body >= 0)
		*body += f->len - (padded ? 1 + in->data[FRAME_HEADER] : 0);
	if (dir == PROTO_RESP) {
		s->answered = true;
		s->doubt = 0;
		if (f->flags & FLAG_END_STREAM)
			return end_with(st, dir, s, END_STREAM, 0, size, m, what);
	}
	return part_of(s, size, m, what);
}

static ssize_t parse_reset(struct http2 *st, enum proto_dir dir, const struct proto_in *in,
			   const struct frame *f, struct message *m, enum message_state *what)
{
	size_t size = FRAME_HEADER + (size_t)f->len;
	struct http2_stream *s = stream__get(st, f->stream);
	int payload = here(in, f, f->len);

	if (!s)
		return pass_over(size, what);
	if (!payload)
		return 0;
	/* A code that was not seen is no reason to call it a failure. */
	return end_with(st, dir, s,
			dir == PROTO_REQ ? END_RESET_BY_REQUESTER : END_RESET_BY_RESPONDER,
			payload > 0 ? frame__number(in->data + FRAME_HEADER) : CODE_CANCEL, size, m,
			what);
}

static ssize_t parse_settings(struct http2 *st, enum proto_dir dir, const struct proto_in *in,
			      const struct frame *f, enum message_state *what)
{
	int payload = f->len <= SETTINGS_MAX ? here(in, f, f->len) : -1;

	if (!payload)
		return 0;
	for (const uint8_t *p = in->data + FRAME_HEADER;
	     payload > 0 && p < in->data + FRAME_HEADER + f->len; p += 6)
		if (p[0] == 0 && p[1] == SETTING_FRAME_MAX)
			st->side[!dir].frame_max = frame__number(p + 2);
	return pass_over(FRAME_HEADER + (size_t)f->len, what);
}

/* The responder does not answer the streams above the last one that it names. */
static ssize_t parse_goaway(struct http2 *st, enum proto_dir dir, const struct proto_in *in,
			    const struct frame *f, struct message *m, enum message_state *what)
{
	int payload = dir == PROTO_RESP ? here(in, f, 4) : -1;

	if (!payload)
		return 0;
	if (payload > 0 && !list__empty(&st->open)) {
		struct http2_stream *last = LIST_OF(st->open.prev, struct http2_stream, link);

		if (last->id > (frame__number(in->data + FRAME_HEADER) & 0x7fffffff))
			return end_before(st, dir, last, END_GOAWAY, m, what);
	}
	return pass_over(FRAME_HEADER + (size_t)f->len, what);
}

static ssize_t parse_frame(struct http2 *st, enum proto_dir dir, const struct proto_in *in,
			   struct message *m, enum message_state *what)
{
	struct http2_side *side = &st->side[dir];
	struct frame f;

	if (in->len < FRAME_HEADER)
		return 0;
	f = frame__read(in->data);
	if (!frame__valid(&f) || (!st->mid && f.len > FRAME_MAX_USUAL && f.len > side->frame_max))
		return PARSE_BAD;
	switch (f.type) {
	case FRAME_DATA: return parse_data(st, dir, in, &f, m, what);
	case FRAME_PUSH_PROMISE:
	case FRAME_HEADERS: return parse_block(st, dir, in, &f, m, what);
	case FRAME_CONTINUATION: return parse_rest(side, &f, what);
	case FRAME_RST_STREAM: return parse_reset(st, dir, in, &f, m, what);
	case FRAME_SETTINGS: return parse_settings(st, dir, in, &f, what);
	case FRAME_GOAWAY: return parse_goaway(st, dir, in, &f, m, what);
	default: return pass_over(FRAME_HEADER + (size_t)f.len, what);
	}
}

/* ---- the connection ---- */

static void http2_init(void *state, bool mid)
{
	struct http2 *st = state;

	list__init(&st->open);
	st->mid = mid;
	st->side[PROTO_REQ].preface = true;
	for (int dir = 0; dir < 2; dir++)
		st->side[dir].hpack.blind = st->side[dir].unsynced = mid;
}

/*
 * With the preface a connection begins, whatever was thought of it. Returns the bytes it takes; 0:
 * wait; -1: it is none.
 */
static ssize_t parse_preface(struct http2 *st, const struct proto_in *in, enum message_state *what)
{
	size_t n = in->len < PREFACE_SIZE ? in->len : PREFACE_SIZE;

	if (memcmp(in->data, PREFACE, n) != 0)
		return -1;
	if (n < PREFACE_SIZE)
		return 0;
	for (int dir = 0; dir < 2 && st->mid; dir++) {
		hpack__fini(&st->side[dir].hpack);
		st->side[dir].hpack.blind = st->side[dir].unsynced = false;
	}
	st->mid = st->side[PROTO_REQ].preface = false;
	return pass_over(PREFACE_SIZE, what);
}

/* Joined in the middle: bytes of this direction are believed only from a chain of frames on. */
static ssize_t parse_unsynced(struct http2 *st, enum proto_dir dir, const struct proto_in *in,
			      enum message_state *what)
{
	struct proto_in part = *in;

	if (part.len > BLOCK_MAX) {
		part.len = BLOCK_MAX;
		part.call_end = part.gap_follows = false;
	}
	ssize_t at = http2__find_frames(st, dir, &part);

	if (at == 0) {
		st->side[dir].unsynced = false;
		return 0;
	}
	if (at < 0 && !part.gap_follows && part.len < BLOCK_MAX &&
	    (!part.call_end || http2__is_begun(&part)))
		return 0;
	return pass_over(at > 0 ? (size_t)at : part.len, what);
}

static void reap(struct http2 *st, enum proto_dir dir)
{
	if (st->side[dir].ended)
		stream__end(st, st->side[dir].ended);
	st->side[dir].ended = 0;
}

static ssize_t http2_parse(void *state, enum proto_dir dir, const struct proto_in *in,
			   struct message *m, enum message_state *what)
{
	struct http2 *st = state;
	struct http2_side *side = &st->side[dir];

	*what = MESSAGE_PARTIAL;
	reap(st, dir);
	if (!in->len)
		return 0;
	if (dir == PROTO_REQ && side->preface) {
		ssize_t n = parse_preface(st, in, what);

		if (n >= 0)
			return n;
		side->preface = false;
	}
	if (side->unsynced) {
		ssize_t n = parse_unsynced(st, dir, in, what);

		if (side->unsynced)
			return n;
	}
	return parse_frame(st, dir, in, m, what);
}

static ssize_t http2_resync(void *state, enum proto_dir dir, const struct proto_in *in,
			    struct message *m)
{
	struct http2 *st = state;
	struct http2_side *side = &st->side[dir];

	(void)m;
	reap(st, dir);
	hpack__forget(&side->hpack);
	stream__lost(st, dir);
	side->in_block = side->unsynced = false;
	side->preface = dir == PROTO_REQ;
	return in->len ? http2__find_frames(st, dir, in) : -1;
}

/* ---- words of the program's ---- */

static bool http2_wants_fields(const void *state, enum proto_dir dir)
{
	return hpack__wants_words(&((const struct http2 *)state)->side[dir].hpack);
}

/* The stream goes on: what its response's block said is kept with it. */
static void tell_stream(struct http2_stream *s, const struct told_fields *t)
{
	struct http2_message h = {
		.status = -1, .grpc_status = -1, .length = -1, .timeout_ns = -1
	};
	struct message m = { .data = &h };

	arena__init(&m.keep, MESSAGE_KEEP_MAX);
	http2__take_words(&m, t);
	if (h.status < 100 || h.status >= 200) {
		if (s->status < 0)
			s->status = h.status;
		if (s->length < 0)
			s->length = h.length;
		if (s->grpc_status < 0)
			s->grpc_status = h.grpc_status;
		if (h.kind != KIND_UNKNOWN && s->kind != KIND_GRPC && s->kind != KIND_GRPC_WEB)
			s->kind = h.kind;
	}
	arena__reset(&m.keep);
}

static void tell_passed(struct listener *l, const struct told_fields *t)
{
	struct http2_stream *s = stream__get(l->st, t->stream);
	struct message *req = l->request ? l->request(l->ctx, t->stream) : NULL;
	const struct http2_message *q = req ? req->data : NULL;

	if (l->dir == PROTO_RESP && s) {
		tell_stream(s, t);
	} else if (l->dir == PROTO_REQ && q && t->n && t->f[0].name.n && t->f[0].name.p[0] == ':') {
		http2__take_words(req, t);
		if (s && s->kind == KIND_UNKNOWN)
			s->kind = q->kind;
	}
}

static void http2_told_fields(void *state, enum proto_dir dir, const struct told_fields *fields,
			      told_request_fn request, void *ctx)
{
	struct http2 *st = state;
	struct listener l = { st, dir, 0, NULL, request, ctx };

	if (hpack__words(&st->side[dir].hpack, fields))
		tell_passed(&l, fields);
}

static void http2_told_table(void *state, enum proto_dir dir, const struct told_table *table,
			     told_request_fn request, void *ctx)
{
	struct http2 *st = state;
	struct listener l = { st, dir, 0, NULL, request, ctx };

	hpack__table(&st->side[dir].hpack, table, take_words, &l);
}

static void http2_fini(void *state)
{
	struct http2 *st = state;

	stream__end_all(st);
	for (int dir = 0; dir < 2; dir++)
		hpack__fini(&st->side[dir].hpack);
}

const struct protocol protocol_http2 = {
	.name = "http2",
	.aliases = "h2,grpc",
	.title = "HTTP/2 and gRPC",
	.keyed = true,
	.server_first = true,
	.state_size = sizeof(struct http2),
	.message_size = sizeof(struct http2_message),
	.buffer_cap = 64 * 1024,
	.frames = true,
	/*
	 * Where the kernel side can't follow the frames (yet). Header blocks are wanted whole, of
	 * every stream, and many streams share a call and a turn: whatever a call gives. A turn is
	 * bounded all the same, for bodies that go in one direction without an end.
	 */
	.capture = {
		[PROTO_REQ] = { .call_cap = 4096, .turn_cap = 256 * 1024, .tail = 64 },
		[PROTO_RESP] = { .call_cap = 4096, .turn_cap = 256 * 1024, .tail = 64 },
	},
	.detect = http2__detect,
	.init = http2_init,
	.parse = http2_parse,
	.resync = http2_resync,
	.describe = http2__describe,
	.wants_fields = http2_wants_fields,
	.told_fields = http2_told_fields,
	.told_table = http2_told_table,
	.fini = http2_fini,
};

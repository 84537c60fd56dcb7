// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * HTTP/1.0 and HTTP/1.1 (RFC 9112): where messages begin and end.
 *
 * What is shown here is rarely the whole stream: of a body usually nothing, of a long header block
 * only its beginning. So the parser lives on framing.
 *
 *   - A body with a length is stepped over in one go, by consuming more than was shown.
 *   - A chunked body is followed chunk by chunk while its size lines are visible. Behind a gap it
 *     goes by unseen until a call ends with the last chunk: the end of every call is captured.
 *   - A header block whose end was not captured leaves the framing unknown. A request is then known
 *     and nobody waits for its end; a response ends with what was seen of it (unless it is known to
 *     be chunked), so that its span is not held back until the connection's next use. Either way
 *     nothing is believed in that direction until a start line begins a turn.
 *
 * How long a response is depends on its request's method (HEAD, CONNECT), which the other direction
 * showed before: a queue of methods, run-length encoded, goes with the connection. Where it can't
 * be trusted (bytes were lost, the connection was joined in its middle) the response's framing
 * counts as unknown, unless every method leads to the same.
 */
#include <stdlib.h>

#include "../lib/hex.h"
#include "../lib/newlines.h"
#include "http1.h"

#define RUNS_MAX 4096           /* of the queue; what is behind them has unknown methods */
#define UNSEEN_HOLD (16 * 1024) /* bytes of one call that wait for the call's end */

enum phase {
	AT_START = 0, /* between messages, or inside a header block */
	IN_BODY,      /* the header block's last byte and `left` bytes of body come next */
	IN_EXPECT,    /* a body was announced with Expect: 100-continue: perhaps it never comes */
	IN_CHUNK,     /* a chunk's size line comes next */
	IN_TRAILER,   /* the lines behind the last chunk */
	/* somewhere in a body whose framing is lost; if it is chunked its end can be seen */
	UNSEEN,
	TO_CLOSE, /* in a response that ends with the connection */
	LOST,     /* no message is under way, and where the next one begins isn't known */
};

struct side {
	uint8_t phase;  /* enum phase */
	bool chunked;   /* IN_EXPECT, UNSEEN: the body is chunked */
	bool line_end;  /* IN_CHUNK: the line end behind the chunk before comes first */
	bool gap;       /* chunks were not seen: their sum is unknown */
	size_t scanned; /* bytes of the header block already searched for its end */
	uint64_t left;  /* length of the body; of chunks: their sum so far */
};

/* What a request's method says of its response's framing. */
enum method_class { PLAIN, HEAD, CONNECT, UNKNOWN };

/* Requests in a row whose methods are of one class. */
struct run {
	enum method_class method;
	uint32_t n;
};

struct http1 {
	struct side side[2];
	struct run *queue;   /* requests without a response so far, the oldest first */
	uint32_t runs, room; /* in use, allocated */
	bool doubt;          /* requests and responses may be out of step */
	bool final_seen;     /* a final response came after the last request's header block */
	bool leave;          /* another protocol from here on */
	bool h2c;            /* and that is HTTP/2 */
	struct http1_last last[2];
};

/* ---- the queue of methods ---- */

static enum method_class method_class(struct slice method)
{
	if (slice__eq(method, SLICE("HEAD")))
		return HEAD;
	return slice__eq(method, SLICE("CONNECT")) ? CONNECT : PLAIN;
}

static void queue__push(struct http1 *st, enum method_class method)
{
	uint32_t last = st->runs - 1; /* if there are any */

	if (st->runs && st->queue[last].method == method) {
		st->queue[last].n++;
		return;
	}
	if (st->runs == st->room) {
		uint32_t room = st->room ? st->room * 2 : 2;
		struct run *queue = room <= RUNS_MAX ? realloc(st->queue, room * sizeof(*queue))
						     : NULL;

		if (!queue) {
			st->doubt = true;
			if (st->runs) {
				st->queue[last].method = UNKNOWN;
				st->queue[last].n++;
			}
			return;
		}
		st->queue = queue;
		st->room = room;
	}
	st->queue[st->runs++] = (struct run){ method, 1 };
}

/* The oldest request's method. In doubt, only a queue without special ones tells anything. */
static enum method_class queue__front(const struct http1 *st)
{
	if (!st->runs || (st->doubt && (st->runs > 1 || st->queue[0].method != PLAIN)))
		return UNKNOWN;
	return st->queue[0].method;
}

static void queue__pop(struct http1 *st)
{
	if (!st->runs || --st->queue[0].n)
		return;
	memmove(&st->queue[0], &st->queue[1], --st->runs * sizeof(st->queue[0]));
}

/* ---- header blocks ---- */

/* Bytes of the header block with its empty line; 0 while its end is not in sight. */
static size_t head_size(struct side *s, const uint8_t *p, size_t len)
{
	struct newlines lines = newlines__in(p + s->scanned, len - s->scanned);
	const uint8_t *nl;

	while ((nl = newlines__next(&lines))) {
		size_t next = (size_t)(nl - p) + 1;

		if (next < len && p[next] == '\n')
			return next + 1;
		if (next + 1 < len && p[next] == '\r' && p[next + 1] == '\n')
			return next + 2;
		if (next == len || (next + 1 == len && p[next] == '\r')) {
			s->scanned = next - 1;
			return 0;
		}
	}
	s->scanned = len;
	return 0;
}

static bool has_head(enum proto_dir dir, const struct message *m)
{
	const struct http1_message *h = m->data;

	return dir == PROTO_REQ ? h->method.n > 0 : h->status > 0;
}

/* The header block of `size` bytes is done: how its message goes on (RFC 9112, 6.3). */
static ssize_t begin_body(struct side *s, enum proto_dir dir, const struct http1_framing *f,
			  size_t size, struct message *m, enum message_state *what)
{
	struct http1_message *h = m->data;
	bool sized = f->has_length && !f->coded;

	*s = (struct side){ .chunked = f->chunked, .left = sized ? f->length : 0 };
	h->body = f->coded ? -1 : (int64_t)s->left;
	*what = MESSAGE_HEAD;
	if (dir == PROTO_RESP && !sized && !f->chunked) {
		h->body = -1;
		s->phase = TO_CLOSE;
		return (ssize_t)size;
	}
	if (!f->chunked && !s->left) {
		*what = MESSAGE_DONE;
		return (ssize_t)size;
	}
	if (dir == PROTO_REQ && f->expect)
		s->phase = IN_EXPECT;
	else
		s->phase = f->chunked ? IN_CHUNK : IN_BODY;
	/*
	 * IN_BODY keeps one byte, so that its step is taken now and not when (if ever) bytes of the
	 * body are shown.
	 */
	return (ssize_t)(s->phase == IN_BODY ? size - 1 : size);
}

/* The response is over with its header block, or over as far as can be told. */
static ssize_t end_here(struct side *s, enum phase next, size_t size, enum message_state *what)
{
	*s = (struct side){ .phase = next };
	*what = MESSAGE_DONE;
	return (ssize_t)size;
}

/* A header block was read, of `size` bytes; 0: it was cut. */
static ssize_t request_head(struct http1 *st, const struct proto_in *in, size_t size,
			    const struct http1_framing *f, struct message *m,
			    enum message_state *what)
{
	struct http1_message *h = m->data;

	if (st->doubt && in->fresh) {
		st->runs = 0;
		st->doubt = false;
	}
	queue__push(st, method_class(h->method));
	st->final_seen = false;
	if (size)
		return begin_body(&st->side[PROTO_REQ], PROTO_REQ, f, size, m, what);
	m->truncated = true;
	st->side[PROTO_REQ] = (struct side){ .phase = UNSEEN, .chunked = f->chunked, .gap = true };
	*what = MESSAGE_HEAD;
	return (ssize_t)in->len;
}

static ssize_t response_cut(struct side *s, const struct proto_in *in,
			    const struct http1_framing *f, enum message_state *what)
{
	if (!f->chunked)
		return end_here(s, LOST, in->len, what);
	*s = (struct side){ .phase = UNSEEN, .chunked = true, .gap = true };
	*what = MESSAGE_HEAD;
	return (ssize_t)in->len;
}

static ssize_t response_head(struct http1 *st, const struct proto_in *in, size_t size,
			     const struct http1_framing *f, struct message *m,
			     enum message_state *what)
{
	struct http1_message *h = m->data;
	struct side *s = &st->side[PROTO_RESP];
	enum method_class method = queue__front(st);
	bool cut = size == 0;

	if (cut)
		size = in->len;
	if (h->status < 200 && h->status != 101) { /* interim: the response proper follows */
		s->phase = cut ? LOST : AT_START;
		*what = MESSAGE_IGNORE;
		return (ssize_t)size;
	}
	queue__pop(st);
	st->final_seen = true;
	m->truncated |= cut;
	if (h->status == 101 || (method == CONNECT && h->status < 300)) {
		st->leave = true;
		st->h2c = h->status == 101 && f->h2c;
		return end_here(s, AT_START, size, what);
	}
	bool no_body = method == HEAD || h->status == 204 || h->status == 304;

	if (no_body)
		h->body = 0;
	if (cut)
		return no_body ? end_here(s, LOST, size, what) : response_cut(s, in, f, what);
	if (no_body)
		return end_here(s, AT_START, size, what);
	if (method == UNKNOWN && (f->coded || !f->has_length || f->length))
		return end_here(s, LOST, size, what);
	return begin_body(s, PROTO_RESP, f, size, m, what);
}

static bool read_head(enum proto_dir dir, const struct proto_in *in, size_t size, struct message *m,
		      struct http1_framing *f)
{
	bool cut = size == 0;
	size_t n = cut ? in->len : size;

	return dir == PROTO_REQ ? http1__read_request(m, in->data, n, cut, f)
				: http1__read_response(m, in->data, n, cut, f);
}

static ssize_t parse_start(struct http1 *st, enum proto_dir dir, const struct proto_in *in,
			   struct message *m, enum message_state *what)
{
	struct side *s = &st->side[dir];
	size_t blank = 0;

	while (blank < in->len && (in->data[blank] == '\r' || in->data[blank] == '\n'))
		blank++;
	if (blank) { /* empty lines before a message (RFC 9112, 2.2) */
		s->scanned = 0;
		*what = MESSAGE_IGNORE;
		return (ssize_t)blank;
	}
	struct http1_framing f;
	size_t size = http1__again(&st->last[dir], dir, m, in->data, in->len, &f);

	if (size) {
		s->scanned = 0;
		return dir == PROTO_REQ ? request_head(st, in, size, &f, m, what)
					: response_head(st, in, size, &f, m, what);
	}
	size = head_size(s, in->data, in->len);
	/* Of a whole block the start line is judged when it is read. */
	enum line start = size ? LINE_YES
			       : http1__start_line(dir, in->data, in->len, in->gap_follows);

	if (start == LINE_NO)
		return PARSE_BAD;
	if (!size && !in->gap_follows)
		return 0;
	s->scanned = 0;
	/* Text has no NUL: whatever this is, it is no header block. */
	if (memchr(in->data, '\0', size ? size : in->len))
		return PARSE_BAD;
	/*
	 * Too little was seen before the gap to tell anything: that is no mistake of the sender's.
	 */
	if (!read_head(dir, in, size, m, &f))
		return !size && start == LINE_MORE ? 0 : PARSE_BAD;
	if (size)
		http1__remember(&st->last[dir], dir, m, in->data, size, &f);
	return dir == PROTO_REQ ? request_head(st, in, size, &f, m, what)
				: response_head(st, in, size, &f, m, what);
}

/* ---- bodies ---- */

/*
 * The size line of a chunk, extensions included. Returns the bytes it takes; 0: more needed;
 * PARSE_BAD.
 */
static ssize_t chunk_line(const uint8_t *p, size_t len, uint64_t *size)
{
	size_t i = 0;

	*size = 0;
	for (; i < len && hex__digit((char)p[i]) >= 0; i++) {
		if (*size >= HTTP1_LENGTH_MAX / 16)
			return PARSE_BAD;
		*size = *size * 16 + (uint64_t)hex__digit((char)p[i]);
	}
	if (i == len)
		return 0;
	if (i == 0 || !strchr("; \t\r\n", p[i]) || !p[i])
		return PARSE_BAD;
	const uint8_t *nl = memchr(p + i, '\n', len - i);

	return nl ? nl + 1 - p : 0;
}

static ssize_t parse_chunk(struct side *s, const struct proto_in *in)
{
	size_t i = 0;
	uint64_t size;

	if (s->line_end) {
		i += in->data[0] == '\r';
		if (i == in->len)
			return 0;
		if (in->data[i++] != '\n')
			return PARSE_BAD;
	}
	ssize_t line = chunk_line(in->data + i, in->len - i, &size);

	if (line <= 0)
		return line;
	if (!size) {
		s->phase = IN_TRAILER;
		return (ssize_t)i + line;
	}
	s->line_end = true;
	s->gap |= s->left > HTTP1_LENGTH_MAX;
	s->left += s->gap ? 0 : size;
	return (ssize_t)(i + (size_t)line + size);
}

static ssize_t parse_trailer(struct side *s, const struct proto_in *in, struct message *m,
			     enum message_state *what)
{
	struct http1_message *h = m->data;
	const uint8_t *nl = memchr(in->data, '\n', in->len);

	if (!nl)
		return 0;
	if (nl == in->data || (nl == in->data + 1 && in->data[0] == '\r')) {
		h->body = s->gap ? -1 : (int64_t)s->left;
		return end_here(s, AT_START, (size_t)(nl + 1 - in->data), what);
	}
	/* A header, or a folded one's next line. */
	if (!memchr(in->data, ':', (size_t)(nl - in->data)) && in->data[0] != ' ' &&
	    in->data[0] != '\t')
		return PARSE_BAD;
	return nl + 1 - in->data;
}

/* Does a turn begin here with another message? LINE_MORE: wait. */
static enum line next_message(enum proto_dir dir, const struct proto_in *in)
{
	enum line is = in->fresh ? http1__start_line(dir, in->data, in->len, in->gap_follows)
				 : LINE_NO;

	return is == LINE_MORE && in->gap_follows ? LINE_NO : is;
}

/* The body that was announced begins, or, the request having been refused, another request does. */
static ssize_t parse_expect(struct http1 *st, const struct proto_in *in, enum message_state *what)
{
	struct side *s = &st->side[PROTO_REQ];
	enum line next = st->final_seen ? next_message(PROTO_REQ, in) : LINE_NO;

	if (next == LINE_MORE)
		return 0;
	if (next == LINE_YES)
		return end_here(s, AT_START, 0, what);
	if (!s->chunked)
		return end_here(s, AT_START, s->left, what);
	s->phase = IN_CHUNK;
	return parse_chunk(s, in);
}

/*
 * Does [p, end) hold a last chunk and what belongs behind it, and nothing else? Its empty line may
 * still be to come.
 */
static bool is_last_chunk(const uint8_t *p, const uint8_t *end)
{
	uint64_t size;
	ssize_t n = chunk_line(p, (size_t)(end - p), &size);

	if (n < 3 || size || p[n - 2] != '\r')
		return false;
	for (p += n; p < end;) {
		const uint8_t *nl = memchr(p, '\n', (size_t)(end - p));

		if (!nl || nl == p || nl[-1] != '\r')
			return false;
		if (nl == p + 1)
			return nl + 1 == end;
		if (!memchr(p, ':', (size_t)(nl - p)))
			return false;
		p = nl + 1;
	}
	return true;
}

/* Where the last chunk is at the end of these bytes, which end a call; -1: nowhere. */
static ssize_t find_last_chunk(const uint8_t *data, size_t len)
{
	const uint8_t *end = data + len, *p = data;

	while (p < end && (p = memchr(p, '0', (size_t)(end - p)))) {
		size_t i = (size_t)(p - data);

		/*
		 * What begins at the first byte may begin before it; a line on its own is believed.
		 */
		if ((i == 0 || (i >= 2 && p[-1] == '\n' && p[-2] == '\r')) && is_last_chunk(p, end))
			return (ssize_t)i;
		p++;
	}
	return -1;
}

/* In a body whose framing is lost. */
static ssize_t parse_unseen(struct side *s, enum proto_dir dir, const struct proto_in *in,
			    struct message *m, enum message_state *what)
{
	enum line next = next_message(dir, in);

	if (next == LINE_MORE)
		return 0;
	if (next == LINE_YES) {
		/*
		 * So the message has ended, though nobody saw where; unless the engine gave it up
		 * long ago.
		 */
		end_here(s, AT_START, 0, what);
		if (!has_head(dir, m))
			*what = MESSAGE_IGNORE;
		return 0;
	}
	if (!s->chunked)
		return (ssize_t)in->len;
	if (!in->call_end && !in->gap_follows)
		return in->len < UNSEEN_HOLD ? 0 : (ssize_t)(in->len - UNSEEN_HOLD / 2);
	ssize_t at = in->call_end ? find_last_chunk(in->data, in->len) : -1;

	if (at < 0)
		return (ssize_t)in->len;
	s->phase = IN_CHUNK;
	s->line_end = false;
	return at ? at : parse_chunk(s, in);
}

static ssize_t parse_lost(struct http1 *st, enum proto_dir dir, const struct proto_in *in,
			  struct message *m, enum message_state *what)
{
	enum line next = next_message(dir, in);

	if (next == LINE_MORE)
		return 0;
	if (next == LINE_YES) {
		st->side[dir] = (struct side){ .phase = AT_START };
		return parse_start(st, dir, in, m, what);
	}
	*what = MESSAGE_IGNORE;
	return (ssize_t)in->len;
}

static ssize_t parse_step(struct http1 *st, enum proto_dir dir, const struct proto_in *in,
			  struct message *m, enum message_state *what)
{
	struct side *s = &st->side[dir];

	switch (s->phase) {
	case AT_START: return parse_start(st, dir, in, m, what);
	case IN_BODY: return end_here(s, AT_START, s->left + 1, what);
	case IN_EXPECT: return parse_expect(st, in, what);
	case IN_CHUNK: return parse_chunk(s, in);
	case IN_TRAILER: return parse_trailer(s, in, m, what);
	case UNSEEN: return parse_unseen(s, dir, in, m, what);
	case TO_CLOSE: return (ssize_t)in->len;
	default: return parse_lost(st, dir, in, m, what);
	}
}

static ssize_t http1_parse(void *state, enum proto_dir dir, const struct proto_in *in,
			   struct message *m, enum message_state *what)
{
	struct http1 *st = state;

	*what = MESSAGE_PARTIAL;
	if (st->leave)
		return st->h2c ? PARSE_SWITCH : PARSE_LEAVE;
	if (!in->len)
		return 0;
	ssize_t n = parse_step(st, dir, in, m, what);

	if (n < 0) {
		st->side[dir] = (struct side){ .phase = AT_START };
		st->doubt = true;
	}
	return n;
}

/*
 * A message whose body is under way goes on: parse() finds its end, or sees the next one. Else only
 * a start line at the beginning of a turn will do.
 */
static ssize_t http1_resync(void *state, enum proto_dir dir, const struct proto_in *in,
			    struct message *m)
{
	struct http1 *st = state;
	struct side *s = &st->side[dir];
	bool under_way = has_head(dir, m);

	if (st->leave)
		return 0;
	st->doubt = true;
	s->scanned = 0;
	if (s->phase != AT_START && s->phase != LOST) {
		if (under_way || dir == PROTO_REQ) {
			m->resumed = under_way;
			if (s->phase == TO_CLOSE)
				return 0;
			s->chunked |= s->phase == IN_CHUNK || s->phase == IN_TRAILER;
			s->gap = true;
			s->phase = UNSEEN;
			return 0;
		}
		/*
		 * The engine gave the response up: bytes that go on with it must not count as
		 * another's.
		 */
		*s = (struct side){ .phase = LOST };
	}
	enum line next = in->len ? next_message(dir, in) : LINE_NO;

	if (next == LINE_NO)
		return -1;
	*s = (struct side){ .phase = AT_START };
	return 0;
}

static enum message_state http1_eof(void *state, enum proto_dir dir, struct message *m)
{
	struct http1 *st = state;

	switch (st->side[dir].phase) {
	case TO_CLOSE: return MESSAGE_DONE;
	case IN_EXPECT: /* the answer came first, and the body was never sent */
		return st->final_seen ? MESSAGE_DONE : MESSAGE_PARTIAL;
	case UNSEEN: /* its end may have passed unseen: nothing says that it was cut */
		return has_head(dir, m) ? MESSAGE_DONE : MESSAGE_PARTIAL;
	default: return MESSAGE_PARTIAL;
	}
}

/* ---- the exchange ---- */

/*
 * Names for error.type (the conventions want few of them): connection_closed    the connection was
 * closed without an answer incomplete_response  the connection was closed inside the answer That
 * weft itself ended, or did not see the end, is no failure of the exchange; an answer may have
 * passed unseen.
 */
static const char *failure(const struct http1 *st, unsigned flags)
{
	enum phase phase = st->side[PROTO_RESP].phase;

	if (!(flags & EXCHANGE_RESET) || (flags & EXCHANGE_LOST_BYTES) || phase == LOST ||
	    phase == UNSEEN)
		return NULL;
	return flags & EXCHANGE_NO_RESPONSE ? "connection_closed" : "incomplete_response";
}

static bool http1_describe(const void *state, struct message *const *reqs,
			   struct message *const *resps, size_t n, unsigned flags,
			   struct arena *scratch, struct facts *out)
{
	const struct http1_message *req = n ? reqs[0]->data : NULL;
	const struct http1_message *resp = n && resps && resps[0] ? resps[0]->data : NULL;

	(void)scratch;
	if (!req || !req->method.n || (flags & EXCHANGE_NO_REQUEST))
		return false;
	if (resp && !resp->status)
		resp = NULL;
	*out = (struct facts){
		.area = FACTS_HTTP,
		.context = req->context,
		.failure = failure(state, flags),
		.http = {
			.method = req->method,
			.target = req->target,
			.host = req->host,
			.version = req->version,
			.user_agent = req->user_agent,
			.x_forwarded_for = req->x_forwarded_for,
			.x_forwarded_proto = req->x_forwarded_proto,
			.x_forwarded_host = req->x_forwarded_host,
			.forwarded = req->forwarded,
			.status = resp ? resp->status : -1,
			.request_body = req->body,
			.response_body = resp && !(flags & EXCHANGE_CUT) ? resp->body : -1,
		},
	};
	return true;
}

static void http1_fini(void *state)
{
	struct http1 *st = state;

	free(st->queue);
}

const struct protocol protocol_http1 = {
	.name = "http",
	.aliases = "http1,http/1.1",
	.title = "HTTP/1.0 and 1.1",
	.port_hint = 80,
	.state_size = sizeof(struct http1),
	.message_size = sizeof(struct http1_message),
	.buffer_cap = 32 * 1024,
	/*
	 * A request's header block, a response's beginning; the tail shows where a chunked body
	 * ends. Pipelined responses are one turn: it has room for a few dozen of them.
	 */
	.capture = {
		[PROTO_REQ] = { .call_cap = 4096, .turn_cap = 4096, .tail = 64 },
		[PROTO_RESP] = { .call_cap = 1024, .turn_cap = 4096, .tail = 64 },
	},
	.detect = http1__detect,
	.parse = http1_parse,
	.resync = http1_resync,
	.eof = http1_eof,
	.describe = http1_describe,
	.fini = http1_fini,
};

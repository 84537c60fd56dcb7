// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Replies, RESP2 and RESP3. Of a reply matters where it ends, whether it is an error, and whether
 * it is a reply at all: servers also push messages. Values are skipped; an element is a line, or
 * a length and that many bytes, or opens an aggregate.
 */
#include "redis.h"

#define LENGTH_LINE_MAX 32
#define TEXT_LINE_MAX (60 * 1024) /* "+...", "-...": any length, the server says */
#define BULK_MAX ((int64_t)1 << 40)
#define ELEMENTS_MAX 0x7fffffff
#define ERROR_KEEP 256

enum word_kind { WORD_NONE, WORD_MESSAGE, WORD_SUBSCRIBE, WORD_UNSUBSCRIBE };

struct redis_run *redis__oldest(struct redis_state *st)
{
	return st->n_runs ? &st->runs[st->first_run] : NULL;
}

void redis__answered(struct redis_state *st)
{
	if (!st->runs || !st->n_runs || --st->runs[st->first_run].n)
		return;
	st->n_runs--;
	st->first_run = st->n_runs ? st->first_run + 1 : 0;
	if (st->turn_run)
		st->turn_run--;
}

static enum word_kind word_kind(const char *word)
{
	static const struct {
		const char *word;
		enum word_kind kind;
	} words[] = {
		{ "message", WORD_MESSAGE },          { "pmessage", WORD_MESSAGE },
		{ "smessage", WORD_MESSAGE },         { "subscribe", WORD_SUBSCRIBE },
		{ "psubscribe", WORD_SUBSCRIBE },     { "ssubscribe", WORD_SUBSCRIBE },
		{ "unsubscribe", WORD_UNSUBSCRIBE },  { "punsubscribe", WORD_UNSUBSCRIBE },
		{ "sunsubscribe", WORD_UNSUBSCRIBE },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(word, words[i].word))
			return words[i].kind;
	return WORD_NONE;
}

/*
 * An aggregate that a server that speaks to subscribers may send: RESP3 says so by its type,
 * RESP2 by its shape.
 */
static bool may_be_push(const struct redis_state *st)
{
	const struct redis_reply_walk *w = &st->reply;

	return w->top == '>' || (w->top == '*' && !st->resp3 && (w->top_n == 3 || w->top_n == 4));
}

/* What a complete reply that is one changes. */
static void take_effect(struct redis_state *st, const struct redis_run *run)
{
	const struct redis_reply_walk *w = &st->reply;

	switch (run->kind) {
	case EXPECT_SELECT:
		if (w->ok)
			st->db = (int)run->arg;
		else if (w->queued)
			st->queued_db = (int)run->arg;
		break;
	case EXPECT_EXEC:
		if (w->top == '*' && w->top_n >= 0 && st->queued_db >= 0)
			st->db = st->queued_db;
		st->queued_db = -1;
		break;
	case EXPECT_DISCARD: st->queued_db = -1; break;
	case EXPECT_HELLO:
		if (w->top == '%' || w->top == '*')
			st->resp3 = w->top == '%';
		break;
	case EXPECT_RESET:
		if (w->top != '+')
			break;
		st->db = 0;
		st->queued_db = -1;
		st->resp3 = st->subscribed = false;
		break;
	case EXPECT_MONITOR: st->leaving = w->ok; break;
	default: break;
	}
}

/* A confirmation of one channel: true if it was the last that the command waits for. */
static bool confirmed(struct redis_state *st, struct redis_run *run)
{
	st->subscribed = true;
	return --run->arg <= 0;
}

/* Could this reply be the answer to that command? */
static bool fits(const struct redis_reply_walk *w, const struct redis_run *run)
{
	return !run->types || strchr(run->types, w->top) || w->top == '-' || w->top == '!' ||
	       w->queued;
}

/* The reply is complete: what is it? False: not the answer to what was asked. */
static bool finish(struct redis_state *st, struct message *m, enum message_state *what_out)
{
	struct redis_reply *r = m->data;
	struct redis_reply_walk *w = &st->reply;
	struct redis_run *run = redis__oldest(st);
	enum word_kind kind = may_be_push(st) ? word_kind(w->word) : WORD_NONE;
	enum message_state what = MESSAGE_DONE;

	w->active = false;
	m->fills_turn = false;
	if (w->top && strchr("%_,#(!=~>", w->top))
		st->resp3 = true;
	if (run && ((kind == WORD_SUBSCRIBE && run->kind == EXPECT_SUBSCRIBE) ||
		    (kind == WORD_UNSUBSCRIBE && run->kind == EXPECT_UNSUBSCRIBE)))
		what = confirmed(st, run) ? MESSAGE_DONE : MESSAGE_IGNORE;
	else if (w->top == '>' || (kind != WORD_NONE && (!run || st->subscribed)))
		what = MESSAGE_IGNORE;
	else if (run && !fits(w, run))
		return false;
	else if (run)
		take_effect(st, run);
	if (kind == WORD_UNSUBSCRIBE && w->last_number == 0)
		st->subscribed = false;
	r->db = st->db;
	if (what == MESSAGE_DONE) {
		redis__answered(st);
		/* The answer to a command whose end was never read. */
		if (!run)
			st->command.active = false;
	}
	*what_out = what;
	return true;
}

/* ---- one element ---- */

static void keep_error(struct redis_state *st, struct message *m, const uint8_t *p, size_t n)
{
	struct redis_reply *r = m->data;
	struct slice *to = st->reply.depth == 0 ? &r->text : &r->inner;

	/* Among the elements only those of a transaction are answers to commands. */
	if (st->reply.depth > 1 || to->n)
		return;
	if (st->reply.depth == 0)
		r->error = true;
	*to = message__keep(m, slice__from(p, n < ERROR_KEEP ? n : ERROR_KEEP));
}

static void keep_word(struct redis_reply_walk *w, const uint8_t *p, size_t n)
{
	if (n >= sizeof(w->word))
		return;
	memcpy(w->word, p, n);
	w->word[n] = '\0';
}

/* The first element of the reply itself, when that could be a push. */
static bool word_wanted(const struct redis_state *st)
{
	return st->reply.depth == 1 && !st->reply.word_seen && may_be_push(st);
}

/* A value is complete: it may complete what it is an element of. True: the reply is complete. */
static bool complete(struct redis_reply_walk *w)
{
	for (;;) {
		if (!w->depth)
			return true;
		struct redis_frame *f = &w->frame[w->depth - 1];

		if (w->depth == 1 && !f->attribute)
			w->word_seen = true;
		if (f->left < 0 || --f->left > 0)
			return false;
		w->depth--;
		/* An attribute says something about the value behind it and is none itself. */
		if (f->attribute)
			return false;
	}
}

static ssize_t open_aggregate(struct redis_state *st, uint8_t type, const uint8_t *text, size_t n,
			      bool *done)
{
	struct redis_reply_walk *w = &st->reply;
	int64_t count = -1;
	bool streamed = n == 1 && text[0] == '?';

	if (!streamed && (!redis__number(text, n, &count) || count < -1 || count > ELEMENTS_MAX))
		return PARSE_BAD;
	if (!w->depth && type != '|')
		w->top_n = count;
	if (!streamed && count <= 0) {
		*done = type != '|' && complete(w);
		return 0;
	}
	if (w->depth == REDIS_DEPTH_MAX)
		return PARSE_BAD;
	w->frame[w->depth++] = (struct redis_frame){
		.left = streamed                       ? -1
			: (type == '%' || type == '|') ? count * 2
						       : count,
		.attribute = type == '|',
	};
	return 0;
}

/*
 * Strings with a length. Returns the bytes of line and string, which may lie beyond `len`; 0:
 * more are needed.
 */
static ssize_t bulk(struct redis_state *st, struct message *m, const uint8_t *data, size_t len,
		    size_t line, bool *done)
{
	struct redis_reply_walk *w = &st->reply;
	const uint8_t *text = data + 1;
	size_t n = line - 3, look = 0;
	int64_t size;

	if (data[0] == '$' && n == 1 && text[0] == '?') {
		w->streaming = true;
		return (ssize_t)line;
	}
	if (!redis__number(text, n, &size) || size < -1 || size > BULK_MAX)
		return PARSE_BAD;
	if (size < 0) {
		*done = complete(w);
		return (ssize_t)line;
	}
	if (data[0] == '!' || (word_wanted(st) && (size_t)size < sizeof(w->word)))
		look = size < ERROR_KEEP ? (size_t)size : ERROR_KEEP;
	if (len - line < look)
		return 0;
	if (data[0] == '!')
		keep_error(st, m, data + line, look);
	else if (look)
		keep_word(w, data + line, look);
	*done = complete(w);
	return (ssize_t)line + size + 2;
}

static ssize_t chunk(struct redis_reply_walk *w, const uint8_t *data, size_t line, bool *done)
{
	int64_t size;

	if (!redis__number(data + 1, line - 3, &size) || size < 0 || size > BULK_MAX)
		return PARSE_BAD;
	if (size)
		return (ssize_t)line + size + 2;
	w->streaming = false;
	*done = complete(w);
	return (ssize_t)line;
}

static void simple(struct redis_state *st, struct message *m, uint8_t type, const uint8_t *text,
		   size_t n, bool *done)
{
	struct redis_reply_walk *w = &st->reply;
	int64_t v;

	if (type == '-')
		keep_error(st, m, text, n);
	else if (type == ':' && w->depth == 1 && redis__number(text, n, &v))
		w->last_number = v;
	else if (type == '+' && word_wanted(st))
		keep_word(w, text, n);
	else if (type == '+' && !w->depth) {
		w->ok = slice__eq(slice__from(text, n), SLICE("OK"));
		w->queued = slice__eq(slice__from(text, n), SLICE("QUEUED"));
	}
	*done = complete(w);
}

/* Returns the bytes of one element's own (its elements not counted); 0: more are needed. */
static ssize_t element(struct redis_state *st, struct message *m, const uint8_t *data, size_t len,
		       bool *done)
{
	struct redis_reply_walk *w = &st->reply;
	bool text = data[0] == '+' || data[0] == '-' || data[0] == '(';
	ssize_t line;

	if (!strchr("+-:$*_#,(!=%~>|;.", data[0]) || !data[0] || w->streaming != (data[0] == ';'))
		return PARSE_BAD;
	line = redis__line(data, len,
			   text             ? TEXT_LINE_MAX
			   : data[0] == ',' ? 512
					    : LENGTH_LINE_MAX);
	if (line <= 0)
		return line;
	if (!w->depth && data[0] != '|' && !w->top_seen) {
		w->top = (char)data[0];
		w->top_seen = true;
	}
	switch (data[0]) {
	case '$':
	case '!':
	case '=': return bulk(st, m, data, len, (size_t)line, done);
	case ';': return chunk(w, data, (size_t)line, done);
	case '*':
	case '~':
	case '%':
	case '>':
	case '|':
		return open_aggregate(st, data[0], data + 1, (size_t)line - 3, done) < 0 ? PARSE_BAD
											 : line;
	case '.':
		if (line != 3 || !w->depth || w->frame[w->depth - 1].left != -1)
			return PARSE_BAD;
		*done = !w->frame[--w->depth].attribute && complete(w);
		return line;
	default: simple(st, m, data[0], data + 1, (size_t)line - 3, done); return line;
	}
}

/* An error whose line goes on behind a gap: its first words are what is wanted of it. */
static void cut_error(struct redis_state *st, struct message *m, const struct proto_in *in,
		      size_t pos)
{
	if (in->gap_follows && pos < in->len && in->data[pos] == '-' && !st->reply.depth)
		keep_error(st, m, in->data + pos + 1, in->len - pos - 1);
}

static void begin(struct redis_state *st, struct redis_reply *r)
{
	if (st->reply.active) /* the one before filled its turn */
		redis__answered(st);
	st->reply = (struct redis_reply_walk){ .active = true, .last_number = -1 };
	r->begun = true;
	r->db = st->db;
}

ssize_t redis__parse_reply(struct redis_state *st, const struct proto_in *in, struct message *m,
			   enum message_state *what)
{
	struct redis_reply *r = m->data;
	struct redis_run *run = redis__oldest(st);
	size_t pos = 0;

	if (!r->begun)
		begin(st, r);
	if (!st->reply.top_seen && run && run->kind == EXPECT_SYNC && in->data[0] != '-')
		return PARSE_LEAVE;
	while (pos < in->len) {
		bool done = false;
		ssize_t n = element(st, m, in->data + pos, in->len - pos, &done);

		if (n < 0)
			return n;
		if (n == 0)
			break;
		pos += (size_t)n;
		if (done)
			return finish(st, m, what) ? (ssize_t)pos : PARSE_BAD;
	}
	cut_error(st, m, in, pos);
	/*
	 * A reply that can't be followed ends with its turn; what may be a push must be known to
	 * be none.
	 */
	m->fills_turn = (st->reply.top_seen || r->error) && st->reply.top != '>' &&
			(!may_be_push(st) ||
			 (st->reply.word_seen && word_kind(st->reply.word) == WORD_NONE));
	return (ssize_t)pos;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Commands, as a client sends them: arrays of bulk strings, or inline (a line of words, for
 * people with a terminal). Only the name and, of container commands, the subcommand are kept.
 * Arguments are counted and skipped.
 */
#include <stdlib.h>

#include "redis.h"

#define LENGTH_LINE_MAX 32     /* "*1048576\r\n", "$536870912\r\n" */
#define INLINE_MAX (60 * 1024) /* the server takes 64 KiB */
#define ARGUMENTS_MAX 0x7fffffff
#define BULK_MAX ((int64_t)1 << 40) /* the server's limit is 512 MB unless configured */

ssize_t redis__line(const uint8_t *data, size_t len, size_t max)
{
	const uint8_t *lf = memchr(data, '\n', len < max ? len : max);

	if (!lf)
		return len >= max ? -1 : 0;
	if (lf == data || lf[-1] != '\r')
		return -1;
	return lf - data + 1;
}

bool redis__number(const uint8_t *data, size_t n, int64_t *out)
{
	size_t i = n && (data[0] == '-' || data[0] == '+');
	int64_t v = 0;

	if (i == n || n - i > 18)
		return false;
	for (; i < n; i++) {
		if (data[i] < '0' || data[i] > '9')
			return false;
		v = v * 10 + (data[i] - '0');
	}
	*out = data[0] == '-' ? -v : v;
	return true;
}

struct slice redis__name(const struct redis_command *c)
{
	return slice__from(c->name, c->name_n);
}

struct slice redis__sub(const struct redis_command *c)
{
	return slice__from(c->sub, c->sub_n);
}

static bool named(const struct redis_command *c, const char *name)
{
	return slice__ieq(redis__name(c), slice__cstr(name));
}

/* Room for one more run behind the last. */
static bool reserve_run(struct redis_state *st)
{
	if (st->runs && st->first_run + st->n_runs < st->room_runs)
		return true;
	if (st->runs && st->first_run > st->room_runs / 2) {
		memmove(st->runs, st->runs + st->first_run, st->n_runs * sizeof(*st->runs));
		st->first_run = 0;
		return true;
	}
	size_t room = st->room_runs ? st->room_runs * 2 : 4;
	struct redis_run *runs = realloc(st->runs, room * sizeof(*runs));

	if (!runs)
		return false;
	st->runs = runs;
	st->room_runs = room;
	return true;
}

void redis__expect(struct redis_state *st, enum redis_expect kind, int64_t arg, const char *types)
{
	struct redis_run *last = st->n_runs ? &st->runs[st->first_run + st->n_runs - 1] : NULL;
	bool full = st->n_runs == REDIS_RUNS_MAX;

	if (last && full) {
		last->kind = kind = EXPECT_REPLY;
		last->types = types = NULL;
	}
	if (last && kind == EXPECT_REPLY && last->kind == kind && last->types == types &&
	    last->n < UINT32_MAX && (st->turn_run < st->n_runs || full)) {
		last->n++;
		return;
	}
	if (full || !reserve_run(st))
		return;
	st->runs[st->first_run + st->n_runs++] = (struct redis_run){
		.kind = kind, .n = 1, .arg = arg, .types = types
	};
}

/*
 * Words that may be shown: letters first, no blanks. Anything else in the place of a command is
 * data gone astray.
 */
static bool presentable(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t c = p[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

		if (!letter && (i == 0 || !((c >= '0' && c <= '9') || (c && strchr("._-|:", c)))))
			return false;
	}
	return n > 0;
}

/* How many leading arguments have to be read, the name counted. */
static uint32_t wanted(const struct redis_command *c, uint32_t index)
{
	if (index == 0)
		return 1;
	if (named(c, "SELECT") || (redis__is_container(redis__name(c)) && index == 1))
		return 2;
	if (named(c, "CLIENT") && slice__ieq(redis__sub(c), SLICE("REPLY")))
		return 3;
	return 1;
}

static size_t room_for(uint32_t index)
{
	static const size_t room[] = { REDIS_NAME_MAX, REDIS_SUB_MAX,
				       sizeof(((struct redis_command *)0)->arg) };

	return room[index];
}

static void keep_argument(struct redis_command *c, uint32_t index, const uint8_t *p, size_t n)
{
	if (index == 0) {
		if (n > REDIS_NAME_MAX || !presentable(p, n))
			return;
		/* An unknown word typed at a terminal may be anything, a password too. */
		if (c->is_inline && !redis__is_command(slice__from(p, n)))
			return;
		memcpy(c->name, p, n);
		c->name_n = (uint8_t)n;
	} else if (index == 1 && redis__is_container(redis__name(c))) {
		if (n > REDIS_SUB_MAX || !redis__is_subcommand(redis__name(c), slice__from(p, n)))
			return;
		memcpy(c->sub, p, n);
		c->sub_n = (uint8_t)n;
	} else if (n <= sizeof(c->arg)) {
		memcpy(c->arg, p, n);
		c->arg_n = (uint8_t)n;
	}
}

static bool arg_is(const struct redis_command *c, const char *word)
{
	return slice__ieq(slice__from(c->arg, c->arg_n), slice__cstr(word));
}

/* CLIENT REPLY ON|OFF|SKIP. Returns whether it is answered itself. */
static bool client_reply(struct redis_state *st, const struct redis_command *c)
{
	if (arg_is(c, "ON")) {
		st->silent = false;
		st->skip = 0;
		return true;
	}
	if (arg_is(c, "OFF")) {
		st->silent = true;
		return false;
	}
	if (arg_is(c, "SKIP")) {
		if (!st->silent)
			st->skip = 1;
		return false;
	}
	return !st->silent;
}

static enum redis_expect expectation(const struct redis_command *c, int64_t *arg)
{
	static const struct {
		const char *name;
		enum redis_expect kind;
	} special[] = {
		{ "SELECT", EXPECT_SELECT },
		{ "SUBSCRIBE", EXPECT_SUBSCRIBE },
		{ "PSUBSCRIBE", EXPECT_SUBSCRIBE },
		{ "SSUBSCRIBE", EXPECT_SUBSCRIBE },
		{ "UNSUBSCRIBE", EXPECT_UNSUBSCRIBE },
		{ "PUNSUBSCRIBE", EXPECT_UNSUBSCRIBE },
		{ "SUNSUBSCRIBE", EXPECT_UNSUBSCRIBE },
		{ "EXEC", EXPECT_EXEC },
		{ "DISCARD", EXPECT_DISCARD },
		{ "HELLO", EXPECT_HELLO },
		{ "RESET", EXPECT_RESET },
		{ "MONITOR", EXPECT_MONITOR },
		{ "SYNC", EXPECT_SYNC },
		{ "PSYNC", EXPECT_SYNC },
	};

	/*
	 * Without channels UNSUBSCRIBE is answered at least once; the other answers are taken for
	 * pushes.
	 */
	*arg = c->argc ? c->argc : 1;
	for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++) {
		if (!named(c, special[i].name))
			continue;
		if (special[i].kind == EXPECT_SELECT &&
		    !redis__number((const uint8_t *)c->arg, c->arg_n, arg))
			return EXPECT_REPLY;
		return special[i].kind;
	}
	return EXPECT_REPLY;
}

/* The command is complete. */
static void finish(struct redis_state *st, struct message *m, struct redis_command *c)
{
	bool answered = !st->silent && !st->skip;
	enum redis_expect kind;
	int64_t arg;

	st->command = (struct redis_command_walk){ 0 };
	m->fills_turn = false;
	if (st->skip)
		st->skip--;
	if (named(c, "CLIENT") && slice__ieq(redis__sub(c), SLICE("REPLY")))
		answered = client_reply(st, c);
	kind = expectation(c, &arg);
	c->control = kind == EXPECT_SYNC || named(c, "REPLCONF");
	if (kind == EXPECT_RESET) {
		/* RESET also ends CLIENT REPLY OFF, before it answers. */
		st->silent = false;
		st->skip = 0;
		answered = true;
	}
	m->one_way = !answered;
	if (answered)
		redis__expect(st, kind, arg, redis__reply_types(redis__name(c)));
}

/*
 * The words of an inline command as the server splits them (sdssplitargs): "..." and '...' hold
 * blanks.
 */
static void inline_words(struct redis_command *c, const uint8_t *p, size_t n)
{
	uint32_t index = 0;
	size_t i = 0;

	for (;;) {
		uint8_t quote = 0;
		size_t from;

		while (i < n && (p[i] == ' ' || p[i] == '\t'))
			i++;
		if (i == n)
			break;
		from = i;
		for (; i < n && (quote || (p[i] != ' ' && p[i] != '\t')); i++) {
			if (quote && p[i] == '\\' && quote == '"')
				i += i + 1 < n;
			else if (quote && p[i] == quote)
				quote = 0;
			else if (!quote && (p[i] == '"' || p[i] == '\''))
				quote = p[i];
		}
		if (index < wanted(c, index))
			keep_argument(c, index, p + from, i - from);
		index++;
	}
	c->argc = index ? index - 1 : 0;
	c->begun = index > 0;
}

static ssize_t inline_command(struct redis_state *st, const struct proto_in *in, struct message *m,
			      enum message_state *what)
{
	struct redis_command *c = m->data;
	const uint8_t *lf = memchr(in->data, '\n', in->len < INLINE_MAX ? in->len : INLINE_MAX);
	size_t n;

	if (in->data[0] != '\r' && in->data[0] != '\n' &&
	    (in->data[0] < 0x20 || in->data[0] > 0x7e))
		return PARSE_BAD;
	if (!lf)
		return in->len >= INLINE_MAX ? PARSE_BAD : 0;
	n = (size_t)(lf - in->data);
	c->is_inline = true;
	inline_words(c, in->data, n && lf[-1] == '\r' ? n - 1 : n);
	/* The server passes over an empty line. */
	*what = c->begun ? MESSAGE_DONE : MESSAGE_IGNORE;
	if (c->begun)
		finish(st, m, c);
	return (ssize_t)n + 1;
}

/* "*N\r\n". Returns the bytes it took, 0: more are needed. */
static ssize_t array_head(struct redis_state *st, const struct proto_in *in,
			  struct redis_command *c)
{
	ssize_t n = redis__line(in->data, in->len, LENGTH_LINE_MAX);
	int64_t count;

	if (n <= 0)
		return n;
	if (!redis__number(in->data + 1, (size_t)n - 3, &count) || count > ARGUMENTS_MAX)
		return PARSE_BAD;
	c->begun = true;
	c->argc = count > 0 ? (uint32_t)count - 1 : 0;
	st->command = (struct redis_command_walk){ .active = count > 0, .left = count };
	return n;
}

/*
 * "$N\r\n" and what it announces. Returns the bytes of both, which may lie beyond `len`; 0: more
 * are needed.
 */
static ssize_t argument(struct redis_state *st, const uint8_t *data, size_t len,
			struct redis_command *c)
{
	struct redis_command_walk *w = &st->command;
	ssize_t n;
	int64_t size;

	if (!len)
		return 0;
	n = data[0] == '$' ? redis__line(data, len, LENGTH_LINE_MAX) : PARSE_BAD;
	if (n <= 0)
		return n;
	if (!redis__number(data + 1, (size_t)n - 3, &size) || size < 0 || size > BULK_MAX)
		return PARSE_BAD;
	if (w->index < wanted(c, w->index) && (size_t)size <= room_for(w->index)) {
		if (len - (size_t)n < (size_t)size + 2)
			return 0;
		if (memcmp(data + n + size, "\r\n", 2) != 0)
			return PARSE_BAD;
		keep_argument(c, w->index, data + n, (size_t)size);
	}
	w->index++;
	w->left--;
	return (ssize_t)(n + size + 2);
}

ssize_t redis__parse_request(struct redis_state *st, const struct proto_in *in, struct message *m,
			     enum message_state *what)
{
	struct redis_command *c = m->data;
	size_t pos = 0;

	if (!c->begun && st->command.active) {
		/* The command before this one filled its turn: it was never read to its end. */
		st->command.active = false;
		redis__expect(st, EXPECT_REPLY, 0, NULL);
	}
	if (in->fresh && !c->begun)
		st->turn_run = st->n_runs;
	if (!st->command.active) {
		if (in->data[0] != '*')
			return inline_command(st, in, m, what);
		ssize_t n = array_head(st, in, c);

		if (n <= 0)
			return n;
		if (!st->command.active) {
			/* "*0" and "*-1": the server passes over them. */
			*what = MESSAGE_IGNORE;
			return n;
		}
		pos = (size_t)n;
	}
	while (pos < in->len) {
		ssize_t n = argument(st, in->data + pos, in->len - pos, c);

		if (n < 0)
			return n;
		if (n == 0)
			break;
		pos += (size_t)n;
		if (!st->command.left) {
			*what = MESSAGE_DONE;
			finish(st, m, c);
			break;
		}
		m->fills_turn = st->command.index >= wanted(c, st->command.index);
	}
	return (ssize_t)pos;
}

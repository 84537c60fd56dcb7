// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Redis: RESP2 and RESP3.
 *
 * What leaves this file of a command is its name, the subcommand of container commands, and the
 * number of arguments: `SET ? ?`, `CONFIG GET ?`, `MGET ? ? ? ? ? ? ? ? ...`. The conventions
 * would keep keys (`HMSET myhash field1 ? field2 ?`); keys are where people put session ids and
 * mail addresses, so they go too, and with them all knowledge of which argument of which command
 * is a key.
 *
 * Commands that arrive in one write are one exchange, named PIPELINE, or MULTI where they are a
 * transaction. A transaction whose commands are sent one by one is an exchange a command.
 *
 * What can't be followed: which of several outstanding replies was lost. The engine gives them
 * up; see resync().
 */
#include <stdio.h>
#include <stdlib.h>

#include "redis.h"

#define DETECT_LINE_MAX 512 /* a line of text that tells nothing more after so many bytes */
#define SHOWN_ARGUMENTS 8   /* of one command, in the query text */
#define QUERY_MAX 2048      /* bytes of a batch's text */
#define OPERATION_MAX (REDIS_NAME_MAX + 1 + REDIS_SUB_MAX)

/* ---- detection ---- */

/* An incomplete line of digits could still become a length; any other could not. */
static bool digits_so_far(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!(p[i] >= '0' && p[i] <= '9') && !(i == 0 && (p[i] == '-' || p[i] == '?')) &&
		    p[i] != '\r')
			return false;
	return n <= 20;
}

/*
 * Commands that are words one also meets as data, in lower case: the first field of a hash may be
 * called "type".
 */
static bool is_everyday_word(struct slice s)
{
	static const char
		words[] = " acl append auth client cluster command config copy debug digest dump "
			  "echo exists failover function hello info keys latency memory message "
			  "migrate module monitor move object persist ping publish rename reset "
			  "restore role save scan script select sort sync time touch type wait "
			  "watch ";
	char word[16];

	if (s.n + 3 > sizeof(word))
		return false;
	word[0] = ' ';
	memcpy(word + 1, s.p, s.n);
	memcpy(word + 1 + s.n, " ", 2);
	return !memchr(s.p, ' ', s.n) && strstr(words, word);
}

/*
 * "subscribe" begins both a request and, in RESP2, the confirmation, whose third element is a
 * number. `p`: behind the word.
 */
static enum detect_result request_or_confirmation(const uint8_t *p, size_t n)
{
	ssize_t line = n ? redis__line(p, n, 32) : 0;
	int64_t size;

	if (line == 0)
		return DETECT_MORE;
	if (line < 0 || p[0] != '$' || !redis__number(p + 1, (size_t)line - 3, &size))
		return DETECT_NO;
	size = size < 0 ? line : line + size + 2;
	if (size > 1024)
		return DETECT_MAYBE_REQ;
	if (n <= (size_t)size)
		return DETECT_MORE;
	return p[size] == ':' ? DETECT_RESP : DETECT_REQ;
}

/* What the first word of an array of strings says. */
static enum detect_result by_word(int64_t count, struct slice word, const uint8_t *behind, size_t n)
{
	static const char *const confirmations[] = {
		"subscribe",   "psubscribe",   "ssubscribe",
		"unsubscribe", "punsubscribe", "sunsubscribe"
	};

	for (size_t i = 0; i < sizeof(confirmations) / sizeof(confirmations[0]); i++)
		if (count == 3 && slice__eq(word, slice__cstr(confirmations[i])))
			return request_or_confirmation(behind, n);
	/*
	 * Unknown words may be renamed commands; that they are a list that was asked for is
	 * likelier.
	 */
	if (!redis__is_command(word))
		return DETECT_MAYBE_RESP;
	return is_everyday_word(word) ? DETECT_MAYBE_REQ : DETECT_REQ;
}

static enum detect_result detect_array(const uint8_t *p, size_t n)
{
	ssize_t line = redis__line(p, n, 32), line2;
	int64_t count, size;

	if (line == 0)
		return digits_so_far(p + 1, n - 1) ? DETECT_MORE : DETECT_NO;
	if (line < 0 || !redis__number(p + 1, (size_t)line - 3, &count) || count > 1 << 20 ||
	    count < -1)
		return DETECT_NO;
	p += line;
	n -= (size_t)line;
	if (count <= 0)
		return DETECT_MAYBE_RESP;
	if (!n)
		return DETECT_MORE;
	if (p[0] != '$')
		return p[0] && strchr("+-:*_#,(!=%~|", p[0]) ? DETECT_MAYBE_RESP : DETECT_NO;
	line2 = redis__line(p, n, 32);
	if (line2 == 0)
		return digits_so_far(p + 1, n - 1) ? DETECT_MORE : DETECT_NO;
	if (line2 < 0 || !redis__number(p + 1, (size_t)line2 - 3, &size))
		return DETECT_NO;
	p += line2;
	n -= (size_t)line2;
	if (size < 1 || size > REDIS_NAME_MAX)
		return DETECT_MAYBE_RESP;
	if (n < (size_t)size + 2)
		return DETECT_MORE;
	if (memcmp(p + size, "\r\n", 2) != 0)
		return DETECT_NO;
	return by_word(count, slice__from(p, (size_t)size), p + size + 2, n - (size_t)size - 2);
}

/*
 * A line of words whose first is a command. HTTP has a method of the same name, and says so at
 * the line's end.
 */
static enum detect_result detect_inline(const uint8_t *p, size_t n)
{
	size_t word = 0, end;

	while (word < n && p[word] > ' ')
		word++;
	if (word > REDIS_NAME_MAX)
		return DETECT_NO;
	if (word == n)
		return DETECT_MORE;
	if (!redis__is_command(slice__from(p, word)) || (word + 1 < n && p[word + 1] == '/'))
		return DETECT_NO;
	for (end = word; end < n && p[end] != '\n'; end++)
		if ((p[end] < ' ' && p[end] != '\r' && p[end] != '\t') || end >= DETECT_LINE_MAX)
			return DETECT_NO;
	if (end == n)
		return DETECT_MORE;
	return memmem(p, end, " HTTP/", 6) ? DETECT_NO : DETECT_MAYBE_REQ;
}

static enum detect_result detect_reply(const uint8_t *p, size_t n)
{
	bool text = p[0] == '+' || p[0] == '-';
	ssize_t line = redis__line(p, n, text ? DETECT_LINE_MAX : 64);
	size_t shown = line > 0 ? (size_t)line - 2 : n;
	int64_t v;

	if (line < 0)
		return DETECT_NO;
	if (text) {
		for (size_t i = 1; i < shown; i++)
			if (p[i] != '\r' && (p[i] < ' ' || p[i] > '~' || (i == 1 && p[i] < 'A')))
				return DETECT_NO;
		return !line ? DETECT_MORE : line > 3 ? DETECT_MAYBE_RESP : DETECT_NO;
	}
	if (!line)
		return strchr(",(", p[0]) || digits_so_far(p + 1, n - 1) || n < 3 ? DETECT_MORE
										  : DETECT_NO;
	switch (p[0]) {
	case '_': return line == 3 ? DETECT_MAYBE_RESP : DETECT_NO;
	case '#': return line == 4 && (p[1] == 't' || p[1] == 'f') ? DETECT_MAYBE_RESP : DETECT_NO;
	case ',':
	case '(': return line > 3 ? DETECT_MAYBE_RESP : DETECT_NO;
	default:
		return redis__number(p + 1, (size_t)line - 3, &v) || (line == 4 && p[1] == '?')
			       ? DETECT_MAYBE_RESP
			       : DETECT_NO;
	}
}

static enum detect_result redis_detect(const uint8_t *p, size_t n)
{
	if (p[0] == '*')
		return detect_array(p, n);
	if ((p[0] | 0x20) >= 'a' && (p[0] | 0x20) <= 'z')
		return detect_inline(p, n);
	return p[0] && strchr("+-:$_#,(!=%~>|", p[0]) ? detect_reply(p, n) : DETECT_NO;
}

/* ---- life ---- */

static void redis_init(void *state, bool mid)
{
	struct redis_state *st = state;

	st->db = mid ? -1 : 0;
	st->queued_db = -1;
}

static void redis_fini(void *state)
{
	struct redis_state *st = state;

	free(st->runs);
}

static ssize_t redis_parse(void *state, enum proto_dir dir, const struct proto_in *in,
			   struct message *m, enum message_state *what)
{
	struct redis_state *st = state;

	if (st->leaving)
		return PARSE_LEAVE;
	return dir == PROTO_REQ ? redis__parse_request(st, in, m, what)
				: redis__parse_reply(st, in, m, what);
}

/* A whole new message begins here for certain? */
static bool boundary(enum proto_dir dir, const struct proto_in *in)
{
	enum detect_result d = in->fresh ? redis_detect(in->data, in->len) : DETECT_NO;

	if (dir == PROTO_REQ)
		return d == DETECT_REQ || d == DETECT_MAYBE_REQ;
	return d == DETECT_RESP || d == DETECT_MAYBE_RESP ||
	       (d == DETECT_REQ && in->data[0] == '*') ||
	       (d == DETECT_MAYBE_REQ && in->data[0] == '*');
}

/*
 * A value may hold anything, complete replies too. So only the beginning of a turn is trusted,
 * and what was outstanding before it is forgotten here as the engine does.
 */
static ssize_t redis_resync(void *state, enum proto_dir dir, const struct proto_in *in,
			    struct message *m)
{
	struct redis_state *st = state;

	if (!boundary(dir, in))
		return -1;
	if (dir == PROTO_REQ) {
		st->command = (struct redis_command_walk){ 0 };
		st->first_run = st->n_runs = st->turn_run = 0;
		/* A SELECT may have been among what was lost. */
		st->db = st->queued_db = -1;
	} else {
		st->reply = (struct redis_reply_walk){ 0 };
		st->first_run += st->turn_run;
		st->n_runs -= st->turn_run;
		st->turn_run = 0;
	}
	memset(m->data, 0, sizeof(union redis_message));
	m->truncated = m->fills_turn = false;
	arena__reset(&m->keep);
	return 0;
}

/* ---- what an exchange was ---- */

static const struct redis_command *command_of(const struct message *m)
{
	return m->data;
}

/* "CONFIG GET", as it was sent. Returns its length. */
static size_t put_operation(char *out, const struct redis_command *c)
{
	memcpy(out, c->name, c->name_n);
	if (!c->sub_n)
		return c->name_n;
	out[c->name_n] = ' ';
	memcpy(out + c->name_n + 1, c->sub, c->sub_n);
	return (size_t)c->name_n + 1 + c->sub_n;
}

/*
 * The operation that all of them are, case ignored; empty if there is none. `out`: OPERATION_MAX
 * bytes.
 */
static struct slice common_operation(struct message *const *reqs, size_t n, char *out)
{
	struct slice common = { out, 0 };
	char other[OPERATION_MAX];

	if (!n)
		return common;
	common.n = put_operation(out, command_of(reqs[0]));
	for (size_t i = 1; i < n; i++)
		if (!slice__ieq(common,
				slice__from(other, put_operation(other, command_of(reqs[i])))))
			return (struct slice){ out, 0 };
	return common;
}

static bool is_named(const struct message *m, const char *name)
{
	return slice__ieq(redis__name(command_of(m)), slice__cstr(name));
}

static bool is_transaction(struct message *const *reqs, size_t n)
{
	return n >= 2 && is_named(reqs[0], "MULTI") && is_named(reqs[n - 1], "EXEC");
}

static void describe_operation(struct message *const *reqs, size_t n, struct arena *scratch,
			       struct facts_db *db)
{
	bool multi = is_transaction(reqs, n);
	size_t inner = multi ? n - 2 : n;
	char text[OPERATION_MAX];
	struct slice common = common_operation(reqs + multi, inner, text);

	if (n == 1)
		db->operation = arena__copy(scratch, common);
	else
		db->operation = arena__printf(scratch, "%s%s" SLICE_FMT,
					      multi ? "MULTI" : "PIPELINE", common.n ? " " : "",
					      SLICE_ARG(common));
	if (n > 1 && inner > 1)
		db->batch_size = inner < INT32_MAX ? (int)inner : INT32_MAX;
}

/* One command in the syntax of redis-cli. `out` has room for SHOWN_ARGUMENTS. */
static size_t put_query(char *out, const struct redis_command *c)
{
	uint32_t args = c->argc - (c->sub_n ? 1 : 0);
	size_t n = put_operation(out, c);

	if (!n)
		out[n++] = '?';
	for (uint32_t i = 0; i < args && i < SHOWN_ARGUMENTS; i++) {
		out[n++] = ' ';
		out[n++] = '?';
	}
	for (const char *dots = " ..."; args > SHOWN_ARGUMENTS && *dots; dots++)
		out[n++] = *dots;
	return n;
}

/* The common text once, or all joined by "; ". */
static void describe_query(struct message *const *reqs, size_t n, struct arena *scratch,
			   struct facts_db *db)
{
	char text[QUERY_MAX], one[OPERATION_MAX + 2 * SHOWN_ARGUMENTS + 4];
	size_t len = put_query(text, command_of(reqs[0]));
	bool same = true;

	for (size_t i = 1; i < n && same; i++)
		same = slice__eq(slice__from(one, put_query(one, command_of(reqs[i]))),
				 slice__from(text, len));
	for (size_t i = 1; i < n && !same; i++) {
		size_t k = put_query(one, command_of(reqs[i]));

		if (len + 2 + k > sizeof(text)) {
			db->query_truncated = true;
			break;
		}
		text[len++] = ';';
		text[len++] = ' ';
		memcpy(text + len, one, k);
		len += k;
	}
	db->query = arena__copy(scratch, slice__from(text, len));
	db->query_lang = FACTS_QUERY_REDACTED;
}

/* "WRONGTYPE Operation against ...": the first word, if it is written as codes are. */
static struct slice error_code(struct slice text)
{
	size_t n = 0;

	while (n < text.n && n < 32 &&
	       ((text.p[n] >= 'A' && text.p[n] <= 'Z') ||
		(n && text.p[n] >= '0' && text.p[n] <= '9') ||
		(n && (text.p[n] == '_' || text.p[n] == '-'))))
		n++;
	return n == text.n || text.p[n] == ' ' ? slice__from(text.p, n) : (struct slice){ "", 0 };
}

/* The first error among the replies; the database that all were for. */
static void describe_replies(struct message *const *reqs, struct message *const *resps, size_t n,
			     struct arena *scratch, struct facts_db *db)
{
	int ns = -2;

	for (size_t i = 0; i < n; i++) {
		const struct redis_reply *r = resps[i] ? resps[i]->data : NULL;
		struct slice text = { "", 0 };

		if (!r)
			continue;
		ns = ns == -2 || ns == r->db ? r->db : -1;
		if (r->error)
			text = r->text;
		else if (is_named(reqs[i], "EXEC"))
			text = r->inner;
		if (db->error || (!r->error && !text.n))
			continue;
		db->error = true;
		db->error_message = text;
		db->status_code = error_code(text);
	}
	if (ns >= 0)
		db->ns = arena__printf(scratch, "%d", ns);
}

static bool redis_describe(const void *state, struct message *const *reqs,
			   struct message *const *resps, size_t n, unsigned exchange_flags,
			   struct arena *scratch, struct facts *out)
{
	bool control = true;

	(void)state;
	(void)exchange_flags;
	for (size_t i = 0; i < n; i++)
		control &= command_of(reqs[i])->control;
	if (control)
		return false;
	out->area = FACTS_DB;
	out->db = (struct facts_db){ .system = "redis", .default_port = 6379, .returned_rows = -1 };
	describe_operation(reqs, n, scratch, &out->db);
	describe_query(reqs, n, scratch, &out->db);
	describe_replies(reqs, resps, n, scratch, &out->db);
	return true;
}

const struct protocol protocol_redis = {
	.name = "redis",
	.aliases = "resp",
	.title = "Redis (RESP2 and RESP3)",
	.port_hint = 6379,
	.batches = true,
	.state_size = sizeof(struct redis_state),
	.message_size = sizeof(union redis_message),
	.buffer_cap = 64 * 1024,
	/*
	 * Both directions want every call's bytes, since a value not captured is known by its
	 * length only if that was captured; but of a turn no more than pipelines of common size
	 * need, so that a value of a gigabyte stays cheap.
	 */
	.capture = {
		[PROTO_REQ] = { .call_cap = 4096, .turn_cap = 64 * 1024 },
		[PROTO_RESP] = { .call_cap = 4096, .turn_cap = 32 * 1024 },
	},
	.detect = redis_detect,
	.init = redis_init,
	.parse = redis_parse,
	.resync = redis_resync,
	.describe = redis_describe,
	.fini = redis_fini,
};

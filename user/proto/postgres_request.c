// SPDX-License-Identifier: GPL-2.0-or-later
#include "postgres.h"

#define NAMES_WANTED 1024 /* bytes of a Bind that are waited for: two names */
#define STARTUP_MAX 10000 /* the server's own limit */

static void use_text(struct message *m, const struct pg_text *t)
{
	if (!t)
		return;
	pg__of(m)->query = message__keep(m, slice__from(t->p, t->n));
	m->truncated |= t->cut;
}

static void set_text(struct pg_state *st, struct pg_text *t)
{
	pg_text__unref(st->text);
	st->text = t;
}

/* The operation is complete as a request. */
static enum message_state push(struct pg_state *st, struct message *m, enum pg_op_kind kind)
{
	struct pg_op *op = pg_ops__push(st, kind);

	if (!op) {
		/*
		 * Beyond all reason: it is not followed, and what comes back is not certain any
		 * more.
		 */
		st->suspect = true;
		return MESSAGE_IGNORE;
	}
	op->acks = st->acks;
	st->acks = 0;
	op->bound = pg__of(m)->bound;
	/*
	 * Others may have been sent before weft came and wait in front of it; simple queries are
	 * not sent like that.
	 */
	op->lost |= st->joined && (kind == PG_OP_EXECUTE || kind == PG_OP_PREPARE);
	if (st->hidden && kind == PG_OP_EXECUTE) {
		/*
		 * What it began with is the first of those that were lost; if that was not seen,
		 * nothing is certain.
		 */
		op->hidden = true;
		op->lost |= !pg__of(m)->begun;
		st->hidden = false;
	}
	m->key = op->key;
	pg__of(m)->kind = kind;
	return MESSAGE_DONE;
}

/*
 * SQL that changes which prepared statements there are. (That PREPARE makes them is of no use:
 * their text is not ours.)
 */
static void watch_statements(struct pg_state *st, struct slice sql)
{
	static const struct slice words[] = { SLICE("DEALLOCATE"), SLICE("PREPARE"),
					      SLICE("DISCARD") };
	struct slice word[3] = { { "", 0 } };
	size_t i = 0;

	if (!sql.n || !st->statements.n || !strchr("DdPp", sql.p[0]))
		return;
	for (size_t k = 0; k < 3; k++) {
		size_t from;

		while (i < sql.n && (sql.p[i] == ' ' || sql.p[i] == '\n' || sql.p[i] == '"'))
			i++;
		for (from = i; i < sql.n && !strchr(" \n;\"(", sql.p[i]) && sql.p[i];)
			i++;
		word[k] = slice__from(sql.p + from, i - from);
	}
	bool deallocate = slice__ieq(word[0], words[0]);
	struct slice name = deallocate && slice__ieq(word[1], words[1]) ? word[2] : word[1];

	if (slice__ieq(word[0], words[2]) || (deallocate && slice__ieq(name, SLICE("ALL"))))
		pg_names__clear(&st->statements);
	else if (deallocate || slice__ieq(word[0], words[1]))
		pg_names__remove(&st->statements, name);
}

static enum message_state on_query(struct pg_state *st, const struct proto_in *in, size_t total,
				   struct message *m)
{
	size_t n = in->len < total ? in->len : total, at = 5;
	struct slice text;
	bool whole = pg__string(in->data, n, &at, &text);

	if (text.n > PG_TEXT_MAX) {
		text.n = PG_TEXT_MAX;
		whole = false;
	}
	pg__of(m)->query = message__keep(m, text);
	pg__of(m)->own_text = whole;
	m->truncated |= !whole;
	watch_statements(st, text);
	return push(st, m, PG_OP_QUERY);
}

static void on_parse(struct pg_state *st, const struct proto_in *in, size_t total,
		     struct message *m)
{
	size_t n = in->len < total ? in->len : total, at = 5;
	struct slice name, text;

	if (!pg__of(m)->begun)
		set_text(st, NULL);
	pg__of(m)->begun = pg__of(m)->bound = true;
	st->acks++;
	if (!pg__string(in->data, n, &at, &name))
		return;
	bool whole = pg__string(in->data, n, &at, &text);

	set_text(st, pg_text__new(text, !whole));
	pg__of(m)->parsed = st->text;
	pg_names__put(&st->statements, name, st->text);
	watch_statements(st, text);
}

static void on_bind(struct pg_state *st, const struct proto_in *in, size_t total, struct message *m)
{
	size_t n = in->len < total ? in->len : total, at = 5;
	struct slice portal, statement;
	bool named = pg__string(in->data, n, &at, &portal);
	struct pg_text *t = NULL;

	pg__of(m)->begun = pg__of(m)->bound = true;
	st->acks++;
	if (named && pg__string(in->data, n, &at, &statement))
		t = pg_names__get(&st->statements, statement);
	set_text(st, pg_text__ref(t));
	if (named)
		pg_names__put(&st->portals, portal, t);
	else
		pg_names__clear(&st->portals);
}

/* Describe: its answer is counted. */
static void on_describe(struct pg_state *st, const struct proto_in *in, size_t total,
			struct message *m)
{
	size_t n = in->len < total ? in->len : total, at = 6;
	struct slice name;

	if (!pg__of(m)->begun) {
		bool whole = pg__string(in->data, n, &at, &name);
		struct pg_names *names = n > 5 && in->data[5] == 'S' ? &st->statements
								     : &st->portals;

		set_text(st, whole ? pg_text__ref(pg_names__get(names, name)) : NULL);
	}
	pg__of(m)->begun = true;
	st->acks++;
}

static enum message_state on_execute(struct pg_state *st, const struct proto_in *in, size_t total,
				     struct message *m)
{
	size_t n = in->len < total ? in->len : total, at = 5;
	struct slice portal;

	/*
	 * With requests lost before it, the portal may be another one; what m began with is its
	 * own.
	 */
	if (st->hidden)
		use_text(m, pg__of(m)->begun ? st->text : NULL);
	else if (pg__string(in->data, n, &at, &portal))
		use_text(m, pg_names__get(&st->portals, portal));
	pg__of(m)->own_text = pg__of(m)->parsed && pg__of(m)->parsed == st->text;
	return push(st, m, PG_OP_EXECUTE);
}

static enum message_state on_close(struct pg_state *st, const struct proto_in *in, size_t total,
				   struct message *m)
{
	size_t n = in->len < total ? in->len : total, at = 6;
	struct slice name;

	st->acks++;
	if (n > 5 && pg__string(in->data, n, &at, &name))
		pg_names__remove(in->data[5] == 'S' ? &st->statements : &st->portals, name);
	return pg__of(m)->begun ? MESSAGE_PARTIAL : MESSAGE_IGNORE;
}

/* Sync (`sync`) or Flush: what was begun without an Execute ends here. */
static enum message_state on_boundary(struct pg_state *st, struct message *m, bool sync)
{
	enum message_state what = MESSAGE_IGNORE;

	if (st->copy_in)
		return pg__of(m)->begun ? MESSAGE_PARTIAL : MESSAGE_IGNORE;
	if (pg__of(m)->begun) {
		use_text(m, st->text);
		what = push(st, m, PG_OP_PREPARE);
	}
	st->acks = 0;
	if (!sync)
		return what;
	if (st->hidden)
		pg_ops__push(st, PG_OP_LOST);
	if (!pg_ops__push(st, PG_OP_SYNC) || st->gap)
		st->suspect = true; /* Syncs may be among what was lost */
	st->hidden = st->gap = false;
	return what;
}

static enum message_state on_copy_end(struct pg_state *st)
{
	if (st->copy_in)
		st->copy_in = false;
	else if (st->n)
		pg_ops__push(st, PG_OP_COPY_END);
	return MESSAGE_IGNORE;
}

static void keep_database(struct pg_state *st, struct slice name)
{
	st->database_len = (uint8_t)(name.n < PG_NAME_MAX ? name.n : PG_NAME_MAX);
	memcpy(st->database, name.p, st->database_len);
}

static bool is_replication(struct slice value)
{
	static const struct slice no[] = { SLICE("false"), SLICE("off"), SLICE("no"), SLICE("0") };

	for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++) {
		if (slice__ieq(value, no[i]))
			return false;
	}
	return value.n;
}

/* Messages without a type byte: they come before everything else. */
static ssize_t parse_startup(struct pg_state *st, const struct proto_in *in, struct message *m,
			     enum message_state *what)
{
	struct slice key, value, user = { "", 0 };
	size_t at = 8;
	uint32_t len, code;

	if (in->len < 8)
		return 0;
	len = pg__be32(in->data);
	code = pg__be32(in->data + 4);
	if (len < 8 || len > STARTUP_MAX)
		return PARSE_BAD;
	*what = MESSAGE_IGNORE;
	if (code == 80877103 || code == 80877104) {
		st->ssl_asked++;
		return len;
	}
	if (code == 80877102)
		return len; /* CancelRequest: a connection of its own, without an answer */
	if (code >> 16 != 3)
		return PARSE_BAD;
	if (in->len < len && !in->gap_follows) {
		*what = MESSAGE_PARTIAL;
		return 0;
	}
	st->started = true;
	while (at < len && pg__string(in->data, in->len < len ? in->len : len, &at, &key) &&
	       key.n) {
		if (!pg__string(in->data, in->len < len ? in->len : len, &at, &value))
			break;
		if (slice__eq(key, SLICE("replication")) && is_replication(value))
			return PARSE_LEAVE;
		if (slice__eq(key, SLICE("user")))
			user = value;
		if (slice__eq(key, SLICE("database")))
			keep_database(st, value);
	}
	if (!st->database_len)
		keep_database(st, user);
	*what = push(st, m, PG_OP_STARTUP);
	return len;
}

void pg_request__begin_turn(struct pg_state *st)
{
	st->turn++;
	if (st->idle)
		st->joined = false;
	if (st->suspect && st->idle) {
		pg_ops__settle(st, st->turn);
		st->suspect = st->hidden = st->gap = st->failed = st->foreign = st->copy_in = false;
	}
}

static size_t request_wants(uint8_t type)
{
	switch (type) {
	case 'Q':
	case 'P': return 5 + NAMES_WANTED + PG_TEXT_MAX;
	case 'B': return 5 + NAMES_WANTED;
	case 'D':
	case 'C':
	case 'E': return SIZE_MAX;
	default: return 5;
	}
}

/* Only two names are wanted of a Bind, and they are short. */
static bool has_names(const struct proto_in *in, size_t total)
{
	size_t n = in->len < total ? in->len : total, at = 5;
	struct slice portal, statement;

	return pg__string(in->data, n, &at, &portal) && pg__string(in->data, n, &at, &statement);
}

ssize_t pg_request__parse(struct pg_state *st, const struct proto_in *in, struct message *m,
			  enum message_state *what)
{
	uint8_t type = in->data[0];
	size_t total;

	if (in->fresh)
		pg_request__begin_turn(st);
	if (type == 0)
		return st->started ? PARSE_BAD : parse_startup(st, in, m, what);
	if (pg_wire__check_header(PROTO_REQ, in->data, in->len < 5 ? in->len : 5))
		return PARSE_BAD;
	if (in->len < 5)
		return 0;
	total = (size_t)pg__be32(in->data + 1) + 1;
	if (!pg__enough(in, total, request_wants(type)) && !(type == 'B' && has_names(in, total)))
		return 0;
	st->started = true;
	switch (type) {
	case 'Q': *what = on_query(st, in, total, m); break;
	case 'P': on_parse(st, in, total, m); break;
	case 'B': on_bind(st, in, total, m); break;
	case 'D': on_describe(st, in, total, m); break;
	case 'E': *what = on_execute(st, in, total, m); break;
	case 'C': *what = on_close(st, in, total, m); break;
	case 'S': *what = on_boundary(st, m, true); break;
	case 'H': *what = on_boundary(st, m, false); break;
	case 'F': *what = push(st, m, PG_OP_FUNCTION); break;
	case 'c':
	case 'f': *what = on_copy_end(st); break;
	default: *what = MESSAGE_IGNORE; /* copied data, passwords, Terminate */
	}
	return (ssize_t)total;
}

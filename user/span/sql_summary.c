// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * db.query.summary: what a query does to what, in the order in which it says so: "INSERT
 * shipping_details SELECT orders".
 *
 * No grammar: a verb counts where a statement may begin (at the start, behind ';', behind '(', in
 * and after WITH, behind EXPLAIN and its like), a name counts where a table is expected. Names of
 * functions in FROM, of cursors, savepoints and settings are left out: they are no targets, and
 * some change with every call.
 */
#include <string.h>

#include "conventions.h"
#include "sql.h"

#define SUMMARY_MAX 255
#define DEPTH_MAX 32

enum verb {
	VERB_NONE,
	VERB_SELECT,
	VERB_WITH,
	VERB_INSERT,
	VERB_UPDATE,
	VERB_DELETE,
	VERB_MERGE,
	VERB_DDL,    /* verb, kind of object, name */
	VERB_NAMED,  /* verb, name */
	VERB_PREFIX, /* verb, then a statement */
	VERB_BARE,   /* verb alone: what follows says nothing */
	VERB_START,  /* START TRANSACTION */
};

static const struct {
	const char *word;
	enum verb verb;
} verbs[] = {
	{ "SELECT", VERB_SELECT },  { "WITH", VERB_WITH },       { "INSERT", VERB_INSERT },
	{ "REPLACE", VERB_INSERT }, { "UPDATE", VERB_UPDATE },   { "DELETE", VERB_DELETE },
	{ "MERGE", VERB_MERGE },    { "CREATE", VERB_DDL },      { "DROP", VERB_DDL },
	{ "ALTER", VERB_DDL },      { "TRUNCATE", VERB_DDL },    { "REINDEX", VERB_DDL },
	{ "REFRESH", VERB_DDL },    { "LOCK", VERB_DDL },        { "CALL", VERB_NAMED },
	{ "EXECUTE", VERB_NAMED },  { "EXEC", VERB_NAMED },      { "TABLE", VERB_NAMED },
	{ "COPY", VERB_NAMED },     { "VACUUM", VERB_NAMED },    { "ANALYZE", VERB_NAMED },
	{ "CLUSTER", VERB_NAMED },  { "DESCRIBE", VERB_NAMED },  { "EXPLAIN", VERB_PREFIX },
	{ "PREPARE", VERB_PREFIX }, { "DECLARE", VERB_PREFIX },  { "START", VERB_START },
	{ "BEGIN", VERB_BARE },     { "COMMIT", VERB_BARE },     { "ROLLBACK", VERB_BARE },
	{ "END", VERB_BARE },       { "ABORT", VERB_BARE },      { "SAVEPOINT", VERB_BARE },
	{ "RELEASE", VERB_BARE },   { "SET", VERB_BARE },        { "RESET", VERB_BARE },
	{ "SHOW", VERB_BARE },      { "USE", VERB_BARE },        { "LISTEN", VERB_BARE },
	{ "UNLISTEN", VERB_BARE },  { "NOTIFY", VERB_BARE },     { "FETCH", VERB_BARE },
	{ "MOVE", VERB_BARE },      { "CLOSE", VERB_BARE },      { "DEALLOCATE", VERB_BARE },
	{ "DISCARD", VERB_BARE },   { "GRANT", VERB_BARE },      { "REVOKE", VERB_BARE },
	{ "COMMENT", VERB_BARE },   { "CHECKPOINT", VERB_BARE }, { "DO", VERB_BARE },
	{ "VALUES", VERB_BARE },    { "PRAGMA", VERB_BARE },     { "ATTACH", VERB_BARE },
	{ "DETACH", VERB_BARE },    { "LOAD", VERB_BARE },       { "KILL", VERB_BARE },
	{ "FLUSH", VERB_BARE },     { "OPTIMIZE", VERB_BARE },   { "UNLOCK", VERB_BARE },
	{ "SECURITY", VERB_BARE },  { "IMPORT", VERB_BARE },     { "REASSIGN", VERB_BARE },
};

/* NULL-terminated word lists */
static const char *const object_kinds[] = {
	"TABLE",     "INDEX",      "VIEW",      "SEQUENCE",     "SCHEMA", "DATABASE",   "USER",
	"ROLE",      "FUNCTION",   "PROCEDURE", "TRIGGER",      "TYPE",   "EXTENSION",  "DOMAIN",
	"POLICY",    "RULE",       "AGGREGATE", "PUBLICATION",  "SERVER", "TABLESPACE", "LANGUAGE",
	"COLLATION", "STATISTICS", "EVENT",     "SUBSCRIPTION", "SYSTEM", NULL,
};
static const char *const object_modifiers[] = {
	"OR",      "REPLACE", "TEMP",       "TEMPORARY", "UNLOGGED",     "GLOBAL",
	"LOCAL",   "UNIQUE",  "CLUSTERED",  "RECURSIVE", "NONCLUSTERED", "MATERIALIZED",
	"VIRTUAL", "FOREIGN", "CONSTRAINT", "EXTERNAL",  NULL,
};
static const char *const name_modifiers[] = {
	"IF", "NOT", "EXISTS", "ONLY", "CONCURRENTLY", "VERBOSE", "FULL", "FREEZE", NULL,
};
static const char *const insert_modifiers[] = {
	"INTO",     "IGNORE", "LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED", "OR",    "REPLACE",
	"ROLLBACK", "ABORT",  "FAIL",         "OVERWRITE",     "TABLE",   "QUICK", NULL,
};
static const char *const from_modifiers[] = { "ONLY", "LATERAL", NULL };
/* Where a list of tables ends. */
static const char *const from_ends[] = {
	"WHERE",  "SET",   "GROUP",     "ORDER",     "HAVING",    "LIMIT",
	"OFFSET", "UNION", "INTERSECT", "EXCEPT",    "RETURNING", "WINDOW",
	"FETCH",  "FOR",   "VALUES",    "PROCEDURE", NULL,
};

/* What the next name would be. */
enum expect {
	EXPECT_NOTHING,
	EXPECT_STATEMENT, /* no name, a verb */
	EXPECT_NESTED,    /* behind '(': a verb, perhaps */
	EXPECT_TABLE,     /* in a list of tables: a function's name is none */
	EXPECT_INSERT,    /* behind INSERT, UPDATE, MERGE */
	EXPECT_KIND,      /* behind CREATE and its like */
	EXPECT_NAME,
	EXPECT_REST, /* nothing more until ';' */
};

/* One level of brackets. */
struct level {
	enum verb verb; /* of the statement on this level; NONE: an expression */
	bool from;      /* a comma is followed by a table */
	bool tables;    /* brackets within a list of tables: (a JOIN b) */
	bool prefix;    /* WITH, EXPLAIN: a verb is still to come on this level */
};

struct summary {
	char buf[SUMMARY_MAX];
	size_t n;
	bool full;
	enum expect expect;
	unsigned depth;
	struct level levels[DEPTH_MAX];
};

static void emit(struct summary *s, struct slice text)
{
	size_t gap = s->n ? 1 : 0;

	if (s->full || text.n + gap > sizeof(s->buf) - s->n) {
		s->full = true;
		return;
	}
	if (gap)
		s->buf[s->n++] = ' ';
	memcpy(s->buf + s->n, text.p, text.n);
	s->n += text.n;
}

static struct level *level(struct summary *s)
{
	return &s->levels[s->depth < DEPTH_MAX ? s->depth : DEPTH_MAX - 1];
}

static bool is_one_of(struct sql_token t, const char *const *words)
{
	for (; *words; words++) {
		if (sql_token__is(t, *words))
			return true;
	}
	return false;
}

static enum verb verb_of(struct sql_token t)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		if (sql_token__is(t, verbs[i].word))
			return verbs[i].verb;
	}
	return VERB_NONE;
}

static void begin_statement(struct summary *s, struct sql_token t, enum verb verb)
{
	static const enum expect then[] = {
		[VERB_NONE] = EXPECT_REST,     [VERB_SELECT] = EXPECT_NOTHING,
		[VERB_WITH] = EXPECT_NOTHING,  [VERB_INSERT] = EXPECT_INSERT,
		[VERB_UPDATE] = EXPECT_INSERT, [VERB_DELETE] = EXPECT_NOTHING,
		[VERB_MERGE] = EXPECT_INSERT,  [VERB_DDL] = EXPECT_KIND,
		[VERB_NAMED] = EXPECT_NAME,    [VERB_PREFIX] = EXPECT_NOTHING,
		[VERB_BARE] = EXPECT_REST,     [VERB_START] = EXPECT_REST,
	};
	struct level *l = level(s);

	if (verb != VERB_NONE && verb != VERB_WITH)
		emit(s, t.text);
	*l = (struct level){
		.verb = verb,
		.from = verb == VERB_UPDATE,
		.prefix = verb == VERB_WITH || verb == VERB_PREFIX,
	};
	s->expect = then[verb];
}

/* The rest of a name with dots, the lexer being behind its first part. */
static struct slice whole_name(struct sql_lexer *l, struct sql_token first)
{
	struct slice name = first.text;

	for (;;) {
		struct sql_lexer ahead = *l;
		struct sql_token dot = sql_lexer__next(&ahead), part;

		if (!sql_token__is_op(dot, '.') || dot.spaced)
			return name;
		part = sql_lexer__next(&ahead);
		while (sql_token__is_op(part, '.') && !part.spaced) /* database..table */
			part = sql_lexer__next(&ahead);
		if ((part.kind != SQL_WORD && part.kind != SQL_NAME) || part.spaced)
			return name;
		name.n = (size_t)(part.text.p + part.text.n - name.p);
		*l = ahead;
	}
}

static bool bracket_follows(const struct sql_lexer *l)
{
	struct sql_lexer ahead = *l;

	return sql_token__is_op(sql_lexer__next(&ahead), '(');
}

/* Where a name may stand: true if the token was one, or a modifier before it. */
static bool take_name(struct summary *s, struct sql_lexer *l, struct sql_token t)
{
	if (t.kind != SQL_WORD && t.kind != SQL_NAME)
		return false;
	if (s->expect == EXPECT_INSERT &&
	    (is_one_of(t, insert_modifiers) || is_one_of(t, from_modifiers)))
		return true;
	if (s->expect == EXPECT_TABLE && is_one_of(t, from_modifiers))
		return true;
	if (s->expect == EXPECT_NAME && (is_one_of(t, name_modifiers) || sql_token__is(t, "TABLE")))
		return true;
	struct slice name = whole_name(l, t);

	if (s->expect != EXPECT_TABLE || !bracket_follows(l))
		emit(s, name);
	s->expect = EXPECT_NOTHING;
	return true;
}

static bool take_kind(struct summary *s, struct sql_token t)
{
	bool kind = is_one_of(t, object_kinds);

	if (kind)
		emit(s, t.text);
	else if (t.kind == SQL_NAME || (t.kind == SQL_WORD && !is_one_of(t, object_modifiers)))
		return false; /* TRUNCATE t, LOCK t */
	s->expect = kind ? EXPECT_NAME : EXPECT_KIND;
	level(s)->from = kind;
	return true;
}

static void take_op(struct summary *s, struct sql_token t)
{
	struct level *l = level(s);

	if (sql_token__is_op(t, ';')) {
		s->depth = 0;
		s->levels[0] = (struct level){ 0 };
		s->expect = EXPECT_STATEMENT;
	} else if (s->expect == EXPECT_REST) {
		return;
	} else if (sql_token__is_op(t, '(')) {
		bool tables = s->expect == EXPECT_TABLE;

		s->depth++;
		*level(s) = (struct level){ .tables = tables, .from = tables };
		s->expect = tables ? EXPECT_TABLE : EXPECT_NESTED;
	} else if (sql_token__is_op(t, ')')) {
		s->depth -= s->depth > 0;
		s->expect = EXPECT_NOTHING;
	} else {
		s->expect = sql_token__is_op(t, ',') && l->from ? EXPECT_TABLE : EXPECT_NOTHING;
	}
}

/* Keywords within a statement that is under way. */
static void take_keyword(struct summary *s, struct sql_token t, struct sql_token prev,
			 struct sql_token prev2)
{
	struct level *l = level(s);
	bool query = l->verb >= VERB_SELECT && l->verb <= VERB_MERGE;

	if (sql_token__is(t, "FROM")) {
		/* IS DISTINCT FROM compares. */
		bool compares = sql_token__is(prev, "DISTINCT") &&
				(sql_token__is(prev2, "IS") || sql_token__is(prev2, "NOT"));

		if (query && !compares) {
			l->from = true;
			s->expect = EXPECT_TABLE;
		}
	} else if (sql_token__is(t, "JOIN")) {
		if (query || l->tables)
			s->expect = EXPECT_TABLE;
	} else if (sql_token__is(t, "INTO")) {
		if (query)
			s->expect = EXPECT_INSERT;
	} else if (sql_token__is(t, "USING")) {
		if (l->verb == VERB_DELETE || l->verb == VERB_MERGE)
			s->expect = EXPECT_TABLE;
	} else if (is_one_of(t, from_ends)) {
		l->from = false;
	}
}

static void take_word(struct summary *s, struct sql_lexer *lex, struct sql_token t,
		      struct sql_token prev, struct sql_token prev2)
{
	enum verb verb = t.kind == SQL_WORD && !sql_token__is_op(prev, '.') ? verb_of(t)
									    : VERB_NONE;
	bool is_query = verb >= VERB_SELECT && verb <= VERB_MERGE;

	if (s->expect == EXPECT_REST)
		return;
	/* SELECT is reserved in every dialect; REPLACE() and the like are functions as well. */
	if (s->expect == EXPECT_STATEMENT || verb == VERB_SELECT ||
	    (is_query && (s->expect == EXPECT_NESTED || level(s)->prefix) &&
	     !bracket_follows(lex))) {
		begin_statement(s, t, verb);
		if (verb == VERB_START) {
			struct sql_lexer ahead = *lex;
			struct sql_token next = sql_lexer__next(&ahead);

			if (sql_token__is(next, "TRANSACTION"))
				emit(s, next.text);
		}
		return;
	}
	if (s->expect == EXPECT_KIND && take_kind(s, t))
		return;
	if (s->expect == EXPECT_KIND)
		s->expect = verb_of(t) == VERB_NONE ? EXPECT_NAME : EXPECT_NOTHING;
	if (s->expect >= EXPECT_TABLE && s->expect <= EXPECT_NAME && take_name(s, lex, t))
		return;
	s->expect = EXPECT_NOTHING;
	take_keyword(s, t, prev, prev2);
}

struct slice sql__summary(struct slice sql, struct arena *a)
{
	struct summary s = { .expect = EXPECT_STATEMENT };
	struct sql_token prev2 = { .kind = SQL_END }, prev = prev2;
	struct sql_lexer l;

	if (!sql.n)
		return (struct slice){ "", 0 };
	sql_lexer__init(&l, sql);
	while (!s.full) {
		struct sql_token t = sql_lexer__next(&l);

		if (t.kind == SQL_END)
			break;
		if (t.kind == SQL_OP)
			take_op(&s, t);
		else if (t.kind == SQL_WORD || t.kind == SQL_NAME)
			take_word(&s, &l, t, prev, prev2);
		else if (s.expect != EXPECT_REST && s.expect != EXPECT_STATEMENT)
			s.expect = EXPECT_NOTHING;
		prev2 = prev;
		prev = t;
	}
	return s.n ? arena__copy(a, slice__from(s.buf, s.n)) : (struct slice){ "", 0 };
}

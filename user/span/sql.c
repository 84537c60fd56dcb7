// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * SQL without its secrets.
 *
 * One lexer reads what PostgreSQL, MySQL/MariaDB, SQLite and SQL Server write, without being told
 * which it is. Where the dialects contradict each other it takes the reading that shows less:
 *
 *  - '...\'...: a backslash before a quote ends the string (standard) or does not (MySQL, E'').
 *    Where the two readings end in different places, all that follows is one literal. ESCAPE '\' is
 *    the one exception: no dialect reads it otherwise.
 *  - # begins a comment, except before > or - with an operand behind (PostgreSQL's #> #>> #-) and
 *    as the first character of a name where a table is expected (SQL Server's #temporary tables).
 *  - block comments nest; one that does not end hides the rest.
 *  - "..." is an identifier, as in the standard, except for who says otherwise (sql_quotes.c). What
 *    follows IDENTIFIED BY or PASSWORD is hidden all the same.
 *  - [...] is an identifier only if it looks like a name and does not stand behind an operand (a
 *    PostgreSQL subscript).
 *
 * Both readers below walk the tokens once: time is linear in the text, and what is written is
 * bounded.
 */
#include <stdbool.h>
#include <string.h>

#include "conventions.h"
#include "sql.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_word_start(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	       (unsigned char)c >= 0x80;
}

static bool is_word(char c)
{
	return is_word_start(c) || is_digit(c) || c == '$';
}

static bool is_space(char c)
{
	return (unsigned char)c <= ' ' || c == 0x7f;
}

void sql_lexer__init(struct sql_lexer *l, struct slice sql)
{
	*l = (struct sql_lexer){ .p = sql.p, .end = sql.p + sql.n };
}

bool sql_token__is(struct sql_token t, const char *word)
{
	return t.kind == SQL_WORD && slice__ieq(t.text, slice__cstr(word));
}

bool sql_token__is_op(struct sql_token t, char op)
{
	return t.kind == SQL_OP && t.text.n && t.text.p[0] == op;
}

/* The byte `i` behind the cursor; NUL past the end. */
static char at(const struct sql_lexer *l, size_t i)
{
	return i < (size_t)(l->end - l->p) ? l->p[i] : '\0';
}

/* What came before makes the next token an operand: nothing, an opening bracket, an operator. */
static bool operand_next(const struct sql_lexer *l)
{
	return l->prev.kind == SQL_END ||
	       (l->prev.kind == SQL_OP && l->prev.text.p[0] != ')' && l->prev.text.p[0] != ']');
}

static bool name_expected(const struct sql_lexer *l)
{
	static const char *const before[] = { "FROM", "INTO", "JOIN", "TABLE", "UPDATE", "EXISTS" };

	for (size_t i = 0; i < sizeof(before) / sizeof(*before); i++) {
		if (sql_token__is(l->prev, before[i]))
			return true;
	}
	return false;
}

/* PostgreSQL's #> #>> #- with an operand that is text or a parameter. */
static bool is_path_operator(const struct sql_lexer *l)
{
	size_t i = 1;

	if (at(l, 1) != '>' && at(l, 1) != '-')
		return false;
	i += at(l, 2) == '>' ? 2 : 1;
	while (at(l, i) == ' ')
		i++;
	return at(l, i) != '\0' && strchr("'$?:(", at(l, i)) && l->prev.kind != SQL_END;
}

static const char *line_end(const char *p, const char *end)
{
	const char *nl = memchr(p, '\n', (size_t)(end - p));

	return nl ? nl + 1 : end;
}

static const char *block_comment_end(const char *p, const char *end)
{
	unsigned depth = 0;

	while (end - p >= 2) {
		if (p[0] == '/' && p[1] == '*') {
			depth++;
			p += 2;
		} else if (p[0] == '*' && p[1] == '/') {
			p += 2;
			if (--depth == 0)
				return p;
		} else {
			p++;
		}
	}
	return end;
}

/* White space and comments; true if there were any. */
static bool skip_blank(struct sql_lexer *l)
{
	const char *from = l->p;

	while (l->p < l->end) {
		char c = *l->p, next = at(l, 1);

		if (is_space(c))
			l->p++;
		else if (c == '-' && next == '-')
			l->p = line_end(l->p, l->end);
		else if (c == '/' && next == '*')
			l->p = block_comment_end(l->p, l->end);
		else if (c == '#' && !is_path_operator(l) &&
			 !(is_word_start(next) && name_expected(l)))
			l->p = line_end(l->p, l->end);
		else
			break;
	}
	return l->p > from;
}

/*
 * Past the closing quote, which is not doubled; NULL if there is none. `escapes`: a backslash hides
 * the next byte.
 */
static const char *quote_end(const char *p, const char *end, char quote, bool escapes)
{
	for (; p < end; p++) {
		if (*p == '\\' && escapes) {
			p++;
		} else if (*p == quote) {
			if (p + 1 < end && p[1] == quote)
				p++;
			else
				return p + 1;
		}
	}
	return NULL;
}

/* `p` is behind the opening quote. */
static const char *string_end(const struct sql_lexer *l, const char *p, bool escapes)
{
	const char *standard = quote_end(p, l->end, '\'', false), *escaped;

	if (!standard && !escapes)
		return l->end;
	if (standard && !memchr(p, '\\', (size_t)(standard - p)))
		return standard;
	escaped = quote_end(p, l->end, '\'', true);
	if (escapes)
		return escaped ? escaped : l->end;
	if (escaped == standard)
		return standard;
	if (standard - p == 2 && sql_token__is(l->prev, "ESCAPE"))
		return standard;
	return l->end;
}

/* 12  1.5  .5  1e-9  0xff  1_000; letters glued to it belong to it. */
static const char *number_end(const char *p, const char *end)
{
	bool hex = end - p > 1 && p[0] == '0' && (p[1] == 'x' || p[1] == 'X');

	for (; p < end; p++) {
		if (is_word(*p) || *p == '.') {
			bool exponent = !hex && (*p == 'e' || *p == 'E');

			if (exponent && end - p > 2 && (p[1] == '+' || p[1] == '-') &&
			    is_digit(p[2]))
				p++;
		} else {
			break;
		}
	}
	return p;
}

/* $1, $name, or $tag$ ... $tag$ */
static enum sql_kind lex_dollar(struct sql_lexer *l)
{
	const char *p = l->p + 1;

	if (p < l->end && is_digit(*p)) {
		while (p < l->end && is_digit(*p))
			p++;
		l->p = p;
		return SQL_PARAM;
	}
	while (p < l->end && is_word(*p) && *p != '$')
		p++;
	if (p == l->end || *p != '$') {
		bool lone = p == l->p + 1;

		l->p = p;
		return lone ? SQL_OP : SQL_PARAM;
	}
	size_t tag = (size_t)(p + 1 - l->p);
	const char *close = memmem(p + 1, (size_t)(l->end - p - 1), l->p, tag);

	l->p = close ? close + tag : l->end;
	return SQL_LITERAL;
}

/* A word that is glued to a string and belongs to it: X'..' B'..' N'..' E'..' _utf8'..' */
static bool is_string_prefix(const char *p, size_t n)
{
	return (n == 1 && strchr("xXbBnNeE", p[0])) || (n > 1 && p[0] == '_');
}

static bool is_boolean(const struct sql_lexer *l, struct slice word)
{
	if (!slice__ieq(word, SLICE("TRUE")) && !slice__ieq(word, SLICE("FALSE")))
		return false;
	/* `x IS [NOT] TRUE` is a test, `t.true` a name. */
	return !sql_token__is(l->prev, "IS") && !sql_token__is_op(l->prev, '.') &&
	       !(sql_token__is(l->prev, "NOT") && l->prev_is);
}

static enum sql_kind lex_word(struct sql_lexer *l)
{
	const char *from = l->p, *p = from;

	while (p < l->end && is_word(*p))
		p++;
	size_t n = (size_t)(p - from);

	l->p = p;
	if (p < l->end && *p == '\'' && is_string_prefix(from, n)) {
		l->p = string_end(l, p + 1, n == 1 && (*from == 'e' || *from == 'E'));
		return SQL_LITERAL;
	}
	if (n == 1 && (*from == 'u' || *from == 'U') && l->end - p >= 2 && p[0] == '&' &&
	    p[1] == '\'') {
		l->p = string_end(l, p + 2, false);
		return SQL_LITERAL;
	}
	return is_boolean(l, slice__from(from, n)) ? SQL_LITERAL : SQL_WORD;
}

static bool secret_next(const struct sql_lexer *l)
{
	return l->secret || sql_token__is(l->prev, "PASSWORD") ||
	       (l->identified && (sql_token__is(l->prev, "BY") || sql_token__is(l->prev, "AS")));
}

static enum sql_kind lex_quoted(struct sql_lexer *l, char quote)
{
	const char *close = quote_end(l->p + 1, l->end, quote, false);

	l->p = close ? close : l->end;
	return quote == '"' && secret_next(l) ? SQL_LITERAL : SQL_NAME;
}

/* [name]: SQL Server; everything else in brackets is a subscript or an array. */
static enum sql_kind lex_bracket(struct sql_lexer *l, bool spaced)
{
	const char *p = l->p + 1;
	bool behind_operand = !spaced && !operand_next(l);

	if (!behind_operand && !sql_token__is(l->prev, "ARRAY") && p < l->end &&
	    is_word_start(*p)) {
		while (p < l->end && (is_word(*p) || *p == ' ' || *p == '-' || *p == '.'))
			p++;
		if (p < l->end && *p == ']') {
			l->p = p + 1;
			return SQL_NAME;
		}
	}
	l->p++;
	return SQL_OP;
}

static size_t run(const struct sql_lexer *l, size_t i, bool (*in)(char))
{
	while (in(at(l, i)))
		i++;
	return i;
}

/* ?  ?1  :name  :1  @name  @@name  %s  %(name)s; else one byte of an operator. */
static enum sql_kind lex_mark(struct sql_lexer *l)
{
	char c = *l->p, next = at(l, 1);
	size_t n = 0;

	if (c == '?' && next != '|' && next != '&')
		n = run(l, 1, is_digit);
	else if (c == ':' && is_word_start(next))
		n = run(l, 1, is_word);
	else if (c == ':' && is_digit(next) && operand_next(l) && !sql_token__is_op(l->prev, '['))
		n = run(l, 1, is_digit);
	else if (c == '@' && is_word_start(next == '@' ? at(l, 2) : next))
		n = run(l, next == '@' ? 2 : 1, is_word);
	else if (c == '%' && next == 's' && !is_word(at(l, 2)))
		n = 2;
	else if (c == '%' && next == '(' && is_word_start(at(l, 2)))
		n = run(l, 2, is_word);
	if (n && c == '%' && next == '(')
		n = at(l, n) == ')' && at(l, n + 1) == 's' ? n + 2 : 0;
	if (c == ':' && next == ':')
		n = 2;
	l->p += n ? n : 1;
	return n && !(c == ':' && next == ':') ? SQL_PARAM : SQL_OP;
}

static bool number_at(const struct sql_lexer *l, size_t i)
{
	return is_digit(at(l, i)) || (at(l, i) == '.' && is_digit(at(l, i + 1)));
}

static enum sql_kind lex(struct sql_lexer *l, bool spaced)
{
	char c = *l->p;

	if (c == '\'') {
		l->p = string_end(l, l->p + 1, false);
		return SQL_LITERAL;
	}
	if (number_at(l, 0) || ((c == '-' || c == '+') && number_at(l, 1) && operand_next(l))) {
		l->p = number_end(l->p + (is_digit(c) ? 0 : 1), l->end);
		return SQL_LITERAL;
	}
	if (is_word_start(c))
		return lex_word(l);
	if (c == '#' && is_word_start(at(l, 1))) {
		l->p += run(l, 1, is_word);
		return SQL_WORD;
	}
	if (c == '"' || c == '`')
		return lex_quoted(l, c);
	if (c == '$')
		return lex_dollar(l);
	if (c == '[')
		return lex_bracket(l, spaced);
	return lex_mark(l);
}

struct sql_token sql_lexer__next(struct sql_lexer *l)
{
	struct sql_token t = { .kind = SQL_END, .spaced = skip_blank(l) };
	const char *from = l->p;

	if (l->p < l->end)
		t.kind = lex(l, t.spaced);
	t.text = slice__from(from, (size_t)(l->p - from));
	/* PASSWORD = "x" and PASSWORD("x") */
	l->secret = secret_next(l) && (sql_token__is_op(t, '=') || sql_token__is_op(t, '('));
	l->identified = (l->identified || sql_token__is(t, "IDENTIFIED")) &&
			!sql_token__is_op(t, ';');
	l->prev_is = sql_token__is(l->prev, "IS");
	l->prev = t;
	return t;
}

/* What is written: bounded, cut between tokens. */
struct out {
	char *p;
	size_t n, cap;
	bool full;
};

static void put(struct out *o, struct slice s, bool space)
{
	space = space && o->n;
	if (o->full || s.n + space > o->cap - o->n) {
		o->full = true;
		return;
	}
	if (space)
		o->p[o->n++] = ' ';
	memcpy(o->p + o->n, s.p, s.n);
	o->n += s.n;
}

/*
 * Lists whose length says nothing: IN (?, ?, ?) becomes IN (?), and of VALUES (?, ?), (?, ?) the
 * first row stays. Both are done while they are written, so that a list of a hundred thousand
 * values needs no room.
 */
struct redactor {
	struct out out;
	bool after_in; /* the last token was IN */
	bool in_list;  /* inside IN ( with nothing but values so far */
	unsigned in_values;
	size_t in_start; /* where its first value was written */
	bool comma;      /* a comma is held back */
	enum { VALUES_NO, VALUES_WORD, VALUES_ROW, VALUES_BETWEEN, VALUES_SKIP } values;
	unsigned depth; /* of brackets within the row */
};

static bool is_value(struct sql_token t)
{
	return t.kind == SQL_LITERAL || t.kind == SQL_PARAM;
}

/* True if `t` was dealt with. */
static bool redact_in_list(struct redactor *r, struct sql_token t)
{
	if (r->after_in && sql_token__is_op(t, '(')) {
		put(&r->out, SLICE("("), t.spaced);
		r->in_list = true;
		r->in_values = 0;
		r->in_start = r->out.n;
		return true;
	}
	if (!r->in_list)
		return false;
	if (sql_token__is_op(t, ',') && r->in_values) {
		r->comma = true;
		return true;
	}
	if (is_value(t) && (r->comma || !r->in_values)) {
		r->comma = false;
		if (++r->in_values == 1)
			return false;
		r->out.n = r->in_start;
		put(&r->out, SLICE("?"), false);
		return true;
	}
	r->in_list = false;
	return false;
}

static bool redact_values(struct redactor *r, struct sql_token t)
{
	bool open = sql_token__is_op(t, '('), close = sql_token__is_op(t, ')');

	switch (r->values) {
	case VALUES_NO: break;
	case VALUES_WORD:
		r->depth = 1;
		r->values = open ? VALUES_ROW : VALUES_NO;
		break;
	case VALUES_ROW:
	case VALUES_SKIP:
		r->depth += open;
		r->depth -= close;
		bool skip = r->values == VALUES_SKIP;

		if (r->depth == 0)
			r->values = VALUES_BETWEEN;
		return skip;
	case VALUES_BETWEEN:
		if (sql_token__is_op(t, ',') && !r->comma) {
			r->comma = true;
			return true;
		}
		if (open && r->comma) {
			r->comma = false;
			r->depth = 1;
			r->values = VALUES_SKIP;
			return true;
		}
		r->values = VALUES_NO;
		break;
	}
	if (sql_token__is(t, "VALUES"))
		r->values = VALUES_WORD;
	return false;
}

static void redact_token(struct redactor *r, struct sql_token t, struct sql_token prev)
{
	bool done = redact_values(r, t) || redact_in_list(r, t);

	r->after_in = sql_token__is(t, "IN");
	if (done)
		return;
	if (r->comma)
		put(&r->out, SLICE(","), false);
	r->comma = false;
	if (t.kind != SQL_LITERAL)
		put(&r->out, t.text, t.spaced);
	else if (prev.kind != SQL_LITERAL) /* 'a' 'b' is one string */
		put(&r->out, SLICE("?"), t.spaced || prev.kind == SQL_WORD);
}

struct slice sql__redact(struct slice sql, struct arena *a, size_t max)
{
	return sql__redact_quotes(sql, FACTS_QUOTES_NAME, a, max);
}

struct slice sql__redact_quotes(struct slice sql, enum facts_quotes quotes, struct arena *a,
				size_t max)
{
	/*
	 * A space may be put between a word and a literal: it takes the place of a quote or a
	 * digit, so little is enough.
	 */
	size_t cap = sql.n + sql.n / 2 + 8;
	struct redactor r = { .out.cap = cap < max ? cap : max };
	struct sql_token prev = { .kind = SQL_END };
	struct sql_quotes q = { .mode = quotes };
	struct sql_lexer l;

	if (!sql.n || !max)
		return (struct slice){ "", 0 };
	r.out.p = arena__alloc(a, r.out.cap);
	if (!r.out.p)
		return (struct slice){ "", 0 };
	sql_lexer__init(&l, sql);
	while (!r.out.full) {
		struct sql_token t = sql_lexer__next(&l);

		if (t.kind == SQL_END)
			break;
		if (sql_quotes__is_string(&q, t, &l, prev)) {
			/* A backslash may or may not hide a quote: what follows is not shown. */
			if (quotes == FACTS_QUOTES_VALUE && memchr(t.text.p, '\\', t.text.n))
				l.p = l.end;
			t.kind = SQL_LITERAL;
		}
		redact_token(&r, t, prev);
		prev = t;
	}
	return (struct slice){ r.out.p, r.out.n };
}

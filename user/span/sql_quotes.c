// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * "..." where it may be a string. MySQL takes it for one. SQLite takes it for a name if there is one
 * of that name, and else for a string (https://www.sqlite.org/quirks.html#dblquote); only it knows
 * which. So where a value is likely it is hidden, and shown where names stand: beside a dot, to the
 * left of a comparison, in lists of columns and tables, in definitions.
 */
#include "conventions.h"
#include "sql.h"

/* NULL-terminated word lists */
static const char *const value_before[] = {
	"LIKE", "GLOB",  "MATCH",  "REGEXP",  "IS",     "BETWEEN", "THEN",   "ELSE",
	"WHEN", "LIMIT", "OFFSET", "DEFAULT", "ESCAPE", "VALUES",  "RETURN", NULL,
};
/* A value, or what is compared with one. */
static const char *const operand_before[] = {
	"WHERE", "HAVING", "ON", "AND", "OR", "NOT", "CASE", "SET", NULL,
};
static const char *const compares[] = {
	"IS",      "IN",  "LIKE",   "GLOB",    "MATCH",   "REGEXP",
	"BETWEEN", "NOT", "ISNULL", "NOTNULL", "COLLATE", NULL,
};
static const char *const values_follow[] = { "WHERE", "HAVING", "ON", "SET", "VALUES", NULL };
static const char *const names_follow[] = {
	"SELECT", "FROM", "JOIN", "GROUP", "ORDER", "INTO", "UPDATE", "TABLE", "USING", NULL,
};

static bool is_one_of(struct sql_token t, const char *const *words)
{
	for (; *words; words++)
		if (sql_token__is(t, *words))
			return true;
	return false;
}

static bool is_op_of(struct sql_token t, const char *ops)
{
	return t.kind == SQL_OP && t.text.n && strchr(ops, t.text.p[0]);
}

/* What kind of statement, and which part of it. */
static void follow(struct sql_quotes *q, struct sql_token t)
{
	if (sql_token__is_op(t, ';')) {
		q->begun = q->defines = q->values = false;
		return;
	}
	if (!q->begun)
		q->defines = sql_token__is(t, "CREATE") || sql_token__is(t, "ALTER") ||
			     sql_token__is(t, "DROP");
	q->begun = true;
	if (sql_token__is(t, "TRIGGER") || sql_token__is(t, "VIEW"))
		q->defines = false; /* statements follow */
	if (is_one_of(t, values_follow))
		q->values = true;
	else if (is_one_of(t, names_follow))
		q->values = false;
}

static bool is_value(const struct sql_quotes *q, struct sql_token prev, struct sql_token next)
{
	bool compared = is_op_of(next, "=<>!") || is_one_of(next, compares);

	if (sql_token__is_op(prev, '.') || sql_token__is_op(next, '.'))
		return false;
	if (is_op_of(prev, "=<>!|+-*/%~&") || is_one_of(prev, value_before))
		return true;
	if (q->defines || compared)
		return false;
	return is_one_of(prev, operand_before) || (q->values && is_op_of(prev, "(,"));
}

bool sql_quotes__is_string(struct sql_quotes *q, struct sql_token t, const struct sql_lexer *l,
			   struct sql_token prev)
{
	if (q->mode == FACTS_QUOTES_NAME)
		return false;
	follow(q, t);
	if (t.kind != SQL_NAME || t.text.p[0] != '"')
		return false;
	if (q->mode == FACTS_QUOTES_VALUE)
		return true;
	struct sql_lexer ahead = *l;

	return is_value(q, prev, sql_lexer__next(&ahead));
}

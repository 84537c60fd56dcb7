// SPDX-License-Identifier: GPL-2.0-or-later
/* Where one statement ends and the next begins. */
#include "sql.h"

/* CREATE [TEMP | TEMPORARY] TRIGGER, perhaps behind EXPLAIN [QUERY PLAN] */
static bool leads_to_trigger(struct sql_token t)
{
	static const char *const words[] = { "CREATE",  "TEMP",  "TEMPORARY",
					     "EXPLAIN", "QUERY", "PLAN" };

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (sql_token__is(t, words[i]))
			return true;
	return false;
}

/* As sqlite3_complete() does: a trigger ends with "; END ;". */
struct slice sql__first(struct slice sql)
{
	struct sql_lexer l;
	struct sql_token t, prev = { .kind = SQL_END }, prev2 = prev;
	bool leading = true, trigger = false;

	if (!sql.n)
		return sql;
	sql_lexer__init(&l, sql);
	while ((t = sql_lexer__next(&l)).kind != SQL_END) {
		bool ended = !trigger ||
			     (sql_token__is(prev, "END") && sql_token__is_op(prev2, ';'));

		if (sql_token__is_op(t, ';') && ended)
			return slice__from(sql.p, (size_t)(t.text.p + t.text.n - sql.p));
		trigger |= leading && sql_token__is(t, "TRIGGER") && prev.kind != SQL_END;
		leading &= leads_to_trigger(t);
		prev2 = prev;
		prev = t;
	}
	return sql;
}

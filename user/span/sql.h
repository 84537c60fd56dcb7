/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tokens of SQL, for redaction (sql.c) and summaries (sql_summary.c). Pure over the text;
 * nothing is allocated.
 */
#ifndef WEFT_SQL_H
#define WEFT_SQL_H

#include <stdbool.h>

#include "../lib/slice.h"

enum sql_kind {
	SQL_END,
	SQL_WORD,    /* keyword or plain identifier */
	SQL_NAME,    /* quoted identifier, quotes included */
	SQL_LITERAL, /* never to be shown */
	SQL_PARAM,   /* placeholder: ? $1 :name @name %s */
	SQL_OP,      /* anything else, a character each; :: is one */
};

struct sql_token {
	enum sql_kind kind;
	bool spaced;       /* white space or a comment stood before it */
	struct slice text; /* in the source; with SQL_END empty */
};

/* A copy of a lexer is a position to come back to. */
struct sql_lexer {
	const char *p, *end;
	struct sql_token prev;
	bool prev_is;    /* the token before prev was IS */
	bool identified; /* IDENTIFIED stands in this statement */
	bool secret;     /* a password may follow */
};

void sql_lexer__init(struct sql_lexer *l, struct slice sql);
struct sql_token sql_lexer__next(struct sql_lexer *l);
/*
 * sql_quotes.c: is this "..." a string? To be asked of every token in turn; `l` stands behind it.
 */
struct sql_quotes {
	int mode;     /* enum facts_quotes */
	bool begun;   /* a statement is under way ... */
	bool defines; /* ... that makes tables and their like */
	bool values;  /* expressions are to be expected, not lists of names */
};

bool sql_quotes__is_string(struct sql_quotes *q, struct sql_token t, const struct sql_lexer *l,
			   struct sql_token prev);
/*
 * sql_split.c: the first statement of a text, up to and with the semicolon that ends it, as SQLite
 * takes it; a trigger's body is part of it.
 */
struct slice sql__first(struct slice sql);
/* A plain word, ASCII case ignored. */
bool sql_token__is(struct sql_token t, const char *word);
bool sql_token__is_op(struct sql_token t, char op);

#endif /* WEFT_SQL_H */

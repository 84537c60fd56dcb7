// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * SQLite: a database inside the process. A statement is prepared from its text, stepped through,
 * and reset or finalized; one run of it, from its first step to the step that returned something
 * else than a row, is one span. If the caller stops before that, sqlite3_reset or sqlite3_finalize
 * ends it. What can't be prepared (no such table) is run as far as it ever will be: a span as well.
 *
 * sqlite3_exec prepares and steps one statement after the other. Where these are seen inside it,
 * they are the spans; else it is one itself.
 *
 * SQLite runs statements of its own inside these functions: prepare reads the schema, step looks
 * into a full-text index, VACUUM copies tables. They are no statements of the program's. (The
 * kernel side keeps quiet about what is called within prepare and step; what it tells nevertheless
 * is taken back here.)
 *
 * A statement that was prepared before weft came has no known text.
 */
#include <stdio.h>

#include "../span/sql.h"
#include "parts.h"

#define SQLITE_OK 0
#define SQLITE_ROW 100
#define SQLITE_DONE 101

TOLD_DESCRIBE("sqlite", 0)

extern const struct protocol protocol_sqlite;

const struct protocol protocol_sqlite = {
	.name = "sqlite",
	.aliases = "sqlite3",
	.title = "SQLite (in the process)",
	.message_size = TOLD_MESSAGE_SIZE,
	.describe = describe,
};

/*
 * The database is its file. A URI's parameters are left out: extensions take keys there.
 * https://www.sqlite.org/uri.html
 */
static struct slice file_of(struct slice name)
{
	if (!slice__starts(name, SLICE("file:")))
		return name;
	name = slice__from(name.p + 5, name.n - 5);
	name = slice__upto(slice__upto(name, '?'), '#');
	if (slice__starts(name, SLICE("//"))) { /* an authority: none, or localhost */
		const char *path = memchr(name.p + 2, '/', name.n - 2);

		name = path ? slice__from(path, name.n - (size_t)(path - name.p))
			    : (struct slice){ "", 0 };
	}
	return name;
}

static struct slice database(struct calls *c, uint32_t pid, uint64_t db)
{
	return file_of(object__text(object__get(c, pid, OBJECT_SQLITE_DB, db)));
}

/* How many rows came is said of what returns rows: for anything else 0 means nothing. */
static int64_t rows_of(struct slice sql, uint64_t count)
{
	struct sql_lexer l;

	if (count)
		return count < INT64_MAX ? (int64_t)count : -1;
	sql_lexer__init(&l, sql);
	struct sql_token first = sql_lexer__next(&l);

	return sql_token__is(first, "SELECT") || sql_token__is(first, "VALUES") ? 0 : -1;
}

static void set_status(struct told *t, int64_t ret, char *buf, size_t len)
{
	t->error = ret != SQLITE_OK && ret != SQLITE_ROW && ret != SQLITE_DONE;
	if (t->error)
		t->status = slice__from(buf, (size_t)snprintf(buf, len, "%lld", (long long)ret));
}

static void opened(struct calls *c, const struct weft_call *ev)
{
	if (ev->made)
		(void)object__put(c, ev->h.pid, OBJECT_SQLITE_DB, ev->made,
				  ev->text == ev->text_len ? call__text(ev) : SLICE(""), ev->h.ts);
	calls__lifecycle(c);
}

static void prepared(struct calls *c, const struct library *lib, const struct weft_call *ev)
{
	struct slice text = call__text(ev), sql = sql__first(text);
	bool cut = sql.n == text.n && ev->text < ev->text_len;
	char code[24];

	if (ev->ret != SQLITE_OK) {
		struct told t = { .query = sql,
				  .cut = cut,
				  .own_text = true,
				  .quotes = FACTS_QUOTES_EITHER,
				  .ns = database(c, ev->h.pid, ev->object),
				  .rows = -1 };

		set_status(&t, ev->ret, code, sizeof(code));
		calls__one(c, lib, ev, NULL, &t, true);
		return;
	}
	calls__displace_inner(c, lib, ev, 0);
	struct object *s = ev->made ? object__put(c, ev->h.pid, OBJECT_SQLITE_STMT, ev->made, sql,
						  ev->h.ts)
				    : NULL;

	if (s) {
		s->owner = ev->object;
		s->cut = cut;
		s->maker = ev->h.tid;
	}
	calls__lifecycle(c);
}

/* A run of a statement is over. */
static void ran(struct calls *c, const struct library *lib, const struct weft_call *ev)
{
	struct object *s = object__get(c, ev->h.pid, OBJECT_SQLITE_STMT, ev->object);
	struct slice sql = object__text(s);
	char code[24];
	struct told t = { .query = sql,
			  .cut = s && s->cut,
			  .own_text = s && !s->used,
			  .quotes = FACTS_QUOTES_EITHER,
			  .ns = s ? database(c, ev->h.pid, s->owner) : SLICE(""),
			  .rows = rows_of(sql, ev->count) };

	set_status(&t, ev->ret, code, sizeof(code));
	if (s && ev->begin < s->since) {
		/* Its rows are those of one that had this address before, and was never ended. */
		struct weft_call mended = *ev;

		mended.begin = s->since < ev->h.ts ? s->since : ev->h.ts;
		t.rows = -1;
		calls__one(c, lib, &mended, NULL, &t, false);
		return;
	}
	if (s)
		s->used = true;
	calls__one(c, lib, ev, NULL, &t, !ev->count);
}

static void executed(struct calls *c, const struct library *lib, const struct weft_call *ev)
{
	char code[24];
	struct told t = { .query = call__text(ev),
			  .cut = ev->text < ev->text_len,
			  .own_text = true,
			  .quotes = FACTS_QUOTES_EITHER,
			  .ns = database(c, ev->h.pid, ev->object),
			  .rows = -1 };

	object__forget_made(c, ev->h.pid, OBJECT_SQLITE_STMT, ev->h.tid, ev->begin, ev->h.ts);
	set_status(&t, ev->ret, code, sizeof(code));
	if (calls__told_inside(c, lib, ev))
		calls__lifecycle(c);
	else
		calls__one(c, lib, ev, NULL, &t, true);
}

void sqlite__event(struct calls *c, const struct library *lib, const struct weft_call *ev)
{
	struct object *o = NULL;

	switch (ev->fn) {
	case WEFT_FN_SQLITE_OPEN: opened(c, ev); return;
	case WEFT_FN_SQLITE_PREPARE: prepared(c, lib, ev); return;
	case WEFT_FN_SQLITE_STEP: ran(c, lib, ev); return;
	case WEFT_FN_SQLITE_EXEC: executed(c, lib, ev); return;
	case WEFT_FN_SQLITE_RESET:
	case WEFT_FN_SQLITE_FINALIZE:
		if (ev->count)
			ran(c, lib, ev);
		else
			calls__lifecycle(c);
		if (ev->fn == WEFT_FN_SQLITE_FINALIZE)
			o = object__get(c, ev->h.pid, OBJECT_SQLITE_STMT, ev->object);
		break;
	case WEFT_FN_SQLITE_CLOSE:
		o = object__get(c, ev->h.pid, OBJECT_SQLITE_DB, ev->object);
		calls__lifecycle(c);
		break;
	default: calls__lifecycle(c); break;
	}
	object__forget(c, o, ev->h.ts);
}

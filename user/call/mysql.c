// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libmysqlclient and libmariadb. What a server answered stands in structs of the library whose
 * layout changes with its version: of a failure it is known only that it was one.
 */
#include "parts.h"

TOLD_DESCRIBE("mysql", 3306)

extern const struct protocol protocol_mysql;

const struct protocol protocol_mysql = {
	.name = "mysql",
	.aliases = "mariadb",
	.title = "MySQL, MariaDB (by their client libraries)",
	.message_size = TOLD_MESSAGE_SIZE,
	.describe = describe,
};

static void asked(struct calls *c, const struct library *lib, const struct weft_call *ev)
{
	struct told t = { .query = call__text(ev),
			  .cut = ev->text < ev->text_len,
			  .own_text = true,
			  .quotes = FACTS_QUOTES_VALUE,
			  .error = ev->ret != 0,
			  .rows = -1 };

	calls__one(c, lib, ev, NULL, &t, true);
}

static void prepared(struct calls *c, const struct library *lib, const struct weft_call *ev)
{
	struct object *s;

	if (ev->ret) {
		asked(c, lib, ev);
		return;
	}
	s = object__put(c, ev->h.pid, OBJECT_MYSQL_STMT, ev->object, call__text(ev), ev->h.ts);
	if (s)
		s->cut = ev->text < ev->text_len;
	calls__lifecycle(c);
}

static void executed(struct calls *c, const struct library *lib, const struct weft_call *ev)
{
	struct object *s = object__get(c, ev->h.pid, OBJECT_MYSQL_STMT, ev->object);
	struct told t = { .query = object__text(s),
			  .cut = s && s->cut,
			  .own_text = s && !s->used,
			  .quotes = FACTS_QUOTES_VALUE,
			  .error = ev->ret != 0,
			  .rows = -1 };

	if (s)
		s->used = true;
	calls__one(c, lib, ev, NULL, &t, true);
}

void mysql__event(struct calls *c, const struct library *lib, const struct weft_call *ev)
{
	switch (ev->fn) {
	case WEFT_FN_MYSQL_QUERY: asked(c, lib, ev); break;
	case WEFT_FN_MYSQL_STMT_PREPARE: prepared(c, lib, ev); break;
	case WEFT_FN_MYSQL_STMT_EXECUTE: executed(c, lib, ev); break;
	default:
		object__forget(c, object__get(c, ev->h.pid, OBJECT_MYSQL_STMT, ev->object),
			       ev->h.ts);
		calls__lifecycle(c);
		break;
	}
}

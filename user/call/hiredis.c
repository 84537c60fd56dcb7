// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * hiredis: redisCommand and its like. Of the text, which is a format with values in it or beside
 * it, the command alone is told.
 */
#include <ctype.h>

#include "parts.h"

#define COMMAND_MAX 32
#define REPLY_ERROR 6 /* hiredis's REDIS_REPLY_ERROR */

TOLD_DESCRIBE("redis", 6379)

extern const struct protocol protocol_hiredis;

/* The name is the wire's. */
const struct protocol protocol_hiredis = {
	.name = "redis",
	.title = "Redis (by hiredis)",
	.message_size = TOLD_MESSAGE_SIZE,
	.describe = describe,
};

static struct slice command_of(struct slice format)
{
	size_t n = 0;

	format = slice__trim(format);
	while (n < format.n && n <= COMMAND_MAX &&
	       (isalnum((unsigned char)format.p[n]) || format.p[n] == '.' || format.p[n] == '_' ||
		format.p[n] == '-'))
		n++;
	if (n > COMMAND_MAX || (n < format.n && format.p[n] != ' '))
		n = 0; /* put together from parts */
	return slice__from(format.p, n);
}

void hiredis__event(struct calls *c, const struct library *lib, const struct weft_call *ev)
{
	struct object *o = object__get(c, ev->h.pid, OBJECT_REDIS_CONTEXT, ev->object);
	/* No reply: the connection failed. What an error reply says is not looked at. */
	struct told t = { .operation = command_of(call__text(ev)),
			  .error = ev->ret == 0 || ev->value == REPLY_ERROR,
			  .rows = -1 };

	if (!o && ev->object)
		o = object__put(c, ev->h.pid, OBJECT_REDIS_CONTEXT, ev->object, SLICE(""),
				ev->h.ts);
	calls__one(c, lib, ev, o, &t, true);
}

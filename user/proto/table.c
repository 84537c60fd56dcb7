// SPDX-License-Identifier: GPL-2.0-or-later
#include "proto.h"

extern const struct protocol protocol_http1, protocol_http2, protocol_postgres, protocol_redis;

/* Protocols that are certain after few bytes come first; detection asks them all. */
const struct protocol *const protocol_table[] = {
	&protocol_http1, &protocol_http2, &protocol_postgres, &protocol_redis, NULL,
};

static bool in_list(struct slice name, const char *list)
{
	while (list && *list) {
		size_t n = strcspn(list, ",");

		if (slice__ieq(name, slice__from(list, n)))
			return true;
		list += n + (list[n] == ',');
	}
	return false;
}

const struct protocol *protocol__find(struct slice name)
{
	for (size_t i = 0; protocol_table[i]; i++) {
		const struct protocol *p = protocol_table[i];

		if (slice__ieq(name, slice__cstr(p->name)) || in_list(name, p->aliases))
			return p;
	}
	return NULL;
}

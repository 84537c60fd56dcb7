// SPDX-License-Identifier: GPL-2.0-or-later
#include "proto.h"

extern const struct protocol protocol_http1, protocol_http2, protocol_postgres, protocol_redis;

/* Protocols that are certain after few bytes come first; detection asks them all. */
const struct protocol *const protocol_table[] = {
	&protocol_http1, &protocol_http2, &protocol_postgres, &protocol_redis, NULL,
};

/* user/call/ */
extern const struct protocol protocol_sqlite, protocol_mysql;

const struct protocol *const protocol_library_table[] = { &protocol_sqlite, &protocol_mysql, NULL };

const struct protocol *protocol__at(size_t place)
{
	size_t read = 0;

	while (read < place && protocol_table[read])
		read++;
	if (protocol_table[read])
		return protocol_table[read];
	for (size_t i = 0; protocol_library_table[i]; i++)
		if (read + i == place)
			return protocol_library_table[i];
	return NULL;
}

int protocol__place(const struct protocol *p)
{
	int place = 0;

	for (const struct protocol *at; (at = protocol__at((size_t)place)); place++)
		if (at == p)
			return place;
	return -1;
}

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
	const struct protocol *p;

	for (size_t i = 0; (p = protocol__at(i)); i++)
		if (slice__ieq(name, slice__cstr(p->name)) || in_list(name, p->aliases))
			return p;
	return NULL;
}

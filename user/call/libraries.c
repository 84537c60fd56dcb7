// SPDX-License-Identifier: GPL-2.0-or-later
#include "parts.h"

extern const struct protocol protocol_sqlite, protocol_mysql, protocol_libpq, protocol_hiredis;

static const struct library libraries[] = {
	{
		.first = WEFT_FN_SQLITE_OPEN,
		.last = WEFT_FN_SQLITE_EXEC,
		.proto = &protocol_sqlite,
		.event = sqlite__event,
	},
	{
		.first = WEFT_FN_PQ_EXEC,
		.last = WEFT_FN_PQ_FINISH,
		.proto = &protocol_libpq,
		.event = libpq__event,
		.wire = true,
	},
	{
		.first = WEFT_FN_MYSQL_QUERY,
		.last = WEFT_FN_MYSQL_STMT_CLOSE,
		.proto = &protocol_mysql,
		.event = mysql__event,
		.wire = true,
	},
	{
		.first = WEFT_FN_HIREDIS_COMMAND,
		.last = WEFT_FN_HIREDIS_COMMAND,
		.proto = &protocol_hiredis,
		.event = hiredis__event,
		.wire = true,
	},
};

#define LIBRARIES (sizeof(libraries) / sizeof(libraries[0]))

const struct library *library__of_fn(uint32_t fn)
{
	for (size_t i = 0; i < LIBRARIES; i++)
		if (fn >= (uint32_t)libraries[i].first && fn <= (uint32_t)libraries[i].last)
			return &libraries[i];
	return NULL;
}

uint64_t libraries__wanted(uint64_t protocols)
{
	uint64_t wanted = 0;

	for (size_t i = 0; i < LIBRARIES; i++) {
		const struct protocol *p = protocol__find(slice__cstr(libraries[i].proto->name));
		int place = p ? protocol__place(p) : -1;

		if (place >= 0 && place < 64 && (protocols >> place & 1))
			wanted |= 1ull << i;
	}
	return wanted;
}

unsigned library__index(const struct library *lib)
{
	return (unsigned)(lib - libraries);
}

const struct library *library__of_wire(const struct protocol *proto)
{
	for (size_t i = 0; i < LIBRARIES; i++)
		if (libraries[i].wire && strcmp(libraries[i].proto->name, proto->name) == 0)
			return &libraries[i];
	return NULL;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libpq, PostgreSQL's client library. PQexec and its like call PQsendQuery and PQgetResult inside,
 * which then say nothing of their own.
 */
#include "table.h"

/*
 * struct pg_result, unchanged since PostgreSQL 8.2: two ints, two pointers, two ints, a pointer,
 * then resultStatus (what PQresultStatus returns).
 */
#define RESULT_STATUS 40

#define RUNS(function, number)                                                                     \
	.symbol = (function), .desc = {                                                            \
		.what = PROBE_CALL,                                                                \
		.fn = (number),                                                                    \
		.flags = PROBE_NOT_NESTED,                                                         \
		.object = 1,                                                                       \
		.text = 2,                                                                         \
		.peek = RESULT_STATUS,                                                             \
	}
#define RUNS_NAMED(function, number)                                                               \
	.symbol = (function), .desc = {                                                            \
		.what = PROBE_CALL,                                                                \
		.fn = (number),                                                                    \
		.flags = PROBE_NOT_NESTED,                                                         \
		.object = 1,                                                                       \
		.text = 2,                                                                         \
		.text2 = 3,                                                                        \
		.peek = RESULT_STATUS,                                                             \
	}
#define SENDS(function, number, second)                                                            \
	.symbol = (function), .desc = {                                                            \
		.what = PROBE_CALL,                                                                \
		.fn = (number),                                                                    \
		.flags = PROBE_NOT_NESTED | PROBE_INT,                                             \
		.object = 1,                                                                       \
		.text = 2,                                                                         \
		.text2 = (second),                                                                 \
		.peek = -1,                                                                        \
	}

static const struct probe_func funcs[] = {
	{ RUNS("PQexec", WEFT_FN_PQ_EXEC) },
	{ RUNS("PQexecParams", WEFT_FN_PQ_EXEC) },
	{ RUNS("PQexecPrepared", WEFT_FN_PQ_EXEC_PREPARED) },
	{ RUNS_NAMED("PQprepare", WEFT_FN_PQ_PREPARE) },
	{ SENDS("PQsendQuery", WEFT_FN_PQ_SEND, 0) },
	{ SENDS("PQsendQueryParams", WEFT_FN_PQ_SEND, 0) },
	{ SENDS("PQsendQueryPrepared", WEFT_FN_PQ_SEND_PREPARED, 0) },
	{ SENDS("PQsendPrepare", WEFT_FN_PQ_SEND_PREPARE, 3) },
	{ .symbol = "PQgetResult",
	  .desc = { .what = PROBE_CALL,
		    .fn = WEFT_FN_PQ_GET_RESULT,
		    .flags = PROBE_NOT_NESTED,
		    .object = 1,
		    .peek = RESULT_STATUS } },
	{ .symbol = "PQfinish",
	  .desc = { .what = PROBE_CALL, .fn = WEFT_FN_PQ_FINISH, .object = 1, .peek = -1 } },
	{ 0 },
};

static const char *const names[] = { "libpq", NULL };
static const char *const inside[] = { "psycopg", "libpq", NULL };

const struct probe_library probe_libpq = {
	.name = "libpq",
	.title = "libpq",
	.area = PROBE_AREA_DB,
	.sonames = names,
	.marker = "PQsendQuery",
	.inside = inside,
	.funcs = funcs,
};

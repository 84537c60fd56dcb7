// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libmysqlclient and libmariadb. mysql_query is a call of mysql_real_query in both. MariaDB's
 * non-blocking functions (mysql_real_query_start ...) run mysql_real_query on a stack of its own,
 * which they leave whenever it would wait.
 */
#include "table.h"

#define RUNS(function, number, query)                                                              \
	.symbol = (function), .desc = {                                                            \
		.what = PROBE_CALL,                                                                \
		.fn = (number),                                                                    \
		.flags = PROBE_NOT_NESTED | PROBE_INT,                                             \
		.object = 1,                                                                       \
		.text = (query),                                                                   \
		.text_len = (query) ? 3 : 0,                                                       \
		.peek = -1,                                                                        \
	}

static const struct probe_func funcs[] = {
	{ RUNS("mysql_real_query", WEFT_FN_MYSQL_QUERY, 2) },
	{ RUNS("mysql_stmt_prepare", WEFT_FN_MYSQL_STMT_PREPARE, 2) },
	{ RUNS("mysql_stmt_execute", WEFT_FN_MYSQL_STMT_EXECUTE, 0) },
	{ RUNS("mysql_stmt_close", WEFT_FN_MYSQL_STMT_CLOSE, 0) },
	/* MariaDB's: prepares and executes at once */
	{ RUNS("mariadb_stmt_execute_direct", WEFT_FN_MYSQL_QUERY, 2), .optional = true },
	{ 0 },
};

static const char *const names[] = { "libmysqlclient", "libmysqlclient_r", "libmariadb",
				     "libmariadbclient", NULL };
static const char *const inside[] = { "mysql", "mariadb", NULL };

const struct probe_library probe_mysql = {
	.name = "mysql",
	.title = "MySQL client",
	.area = PROBE_AREA_DB,
	.sonames = names,
	.marker = "mysql_real_query",
	.inside = inside,
	.funcs = funcs,
};

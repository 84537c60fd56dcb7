/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Uses SQLite in every way that its interface has, and prints each statement that SQLite says it ran,
 * a line each, as it stands in the program (sqlite_calls FILE; begins when a line came on stdin).
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static sqlite3 *db;

static int ran(unsigned what, void *ctx, void *stmt, void *text)
{
	(void)what, (void)ctx, (void)text;
	if (strncmp(text, "--", 2)) /* what a trigger does is no statement of ours */
		printf("%s\n", sqlite3_sql(stmt));
	return 0;
}

static void require(int right, const char *what)
{
	if (right)
		return;
	fprintf(stderr, "sqlite_calls: %s: %s\n", what, sqlite3_errmsg(db));
	exit(1);
}

static sqlite3_stmt *prepared(const char *sql)
{
	sqlite3_stmt *s = NULL;

	require(sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK, sql);
	return s;
}

/* Steps to the end; how many rows. */
static int rows(sqlite3_stmt *s)
{
	int n = 0, rc;

	while ((rc = sqlite3_step(s)) == SQLITE_ROW)
		n++;
	require(rc == SQLITE_DONE, sqlite3_sql(s));
	return n;
}

static void at_once(void)
{
	char **table;
	int n_rows, n_columns;

	require(!sqlite3_exec(db,
			      "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);"
			      "INSERT INTO t VALUES (1, 'secret 4242');"
			      "INSERT INTO t VALUES (2, 'secret 4242')",
			      NULL, NULL, NULL),
		"exec");
	require(!sqlite3_get_table(db, "SELECT v AS id_1_0 FROM t WHERE id < 4141", &table, &n_rows,
				   &n_columns, NULL),
		"get_table");
	require(n_rows == 2, "rows of get_table");
	sqlite3_free_table(table);
}

static void step_by_step(void)
{
	sqlite3_stmt *s = prepared("SELECT v AS id_2_0 FROM t WHERE id = ? OR v = 'secret 4242'");
	sqlite3_stmt *other = NULL;

	/* used three times: run to the end, given up after a row, finalized in the middle */
	sqlite3_bind_int(s, 1, 4141);
	require(rows(s) == 2, "rows");
	sqlite3_reset(s);
	require(sqlite3_step(s) == SQLITE_ROW, "row");
	sqlite3_reset(s);
	require(sqlite3_step(s) == SQLITE_ROW, "row");
	/* in the middle of it, another one */
	require(!sqlite3_prepare_v3(db, "SELECT count(*) AS id_2_1 FROM t", -1,
				    SQLITE_PREPARE_PERSISTENT, &other, NULL),
		"prepare_v3");
	require(rows(other) == 1, "rows of the other");
	sqlite3_finalize(other);
	sqlite3_finalize(s);
	/* the oldest way to prepare */
	require(!sqlite3_prepare(db, "SELECT 4141 AS id_2_2", -1, &s, NULL), "prepare");
	require(rows(s) == 1, "rows");
	sqlite3_finalize(s);
	/* prepared and never run */
	sqlite3_finalize(prepared("SELECT 4141 AS id_2_3"));
	/* a text that goes on behind the statement, and one that has no end */
	{
		static const char two[] = "SELECT 1 AS id_2_4; SELECT 2 AS id_2_5";
		const char *rest;

		require(!sqlite3_prepare_v2(db, two, -1, &s, &rest), "first");
		require(rows(s) == 1, "first");
		sqlite3_finalize(s);
		require(!sqlite3_prepare_v2(db, rest, 19, &s, NULL), "second");
		require(rows(s) == 1, "second");
		sqlite3_finalize(s);
	}
}

static void wrong(void)
{
	sqlite3_stmt *s = NULL;

	require(sqlite3_prepare_v2(db, "SELECT id_3_0 FROM nowhere WHERE v = 'secret 4242'", -1, &s,
				   NULL) == SQLITE_ERROR,
		"no such table");
	printf("SELECT id_3_0 FROM nowhere WHERE v = 'secret 4242'\n");
	s = prepared("INSERT INTO t VALUES (1, 'secret 4242') RETURNING id AS id_3_1");
	require(sqlite3_step(s) == SQLITE_CONSTRAINT, "constraint");
	sqlite3_finalize(s);
}

int main(int argc, char **argv)
{
	char line[16];

	if (argc != 2 || !fgets(line, sizeof(line), stdin))
		return 2;
	require(!sqlite3_open(argv[1], &db), "open");
	sqlite3_trace_v2(db, SQLITE_TRACE_STMT, ran, NULL);
	at_once();
	step_by_step();
	wrong();
	sqlite3_close(db);
	return 0;
}

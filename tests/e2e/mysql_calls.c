/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Uses MySQL's client library in every way that waits for the answer; each statement names its
 * column id_N. mysql_calls SOCKET: connects, says "ready", begins when a line came on stdin.
 */
#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static MYSQL *db;

static void require(int right, const char *what)
{
	if (right)
		return;
	fprintf(stderr, "mysql_calls: %s: %s\n", what, mysql_error(db));
	exit(1);
}

static void rows(my_ulonglong wanted)
{
	MYSQL_RES *r = mysql_store_result(db);

	require(r && mysql_num_rows(r) == wanted, "rows");
	mysql_free_result(r);
}

int main(int argc, char **argv)
{
	static const char prepared[] = "SELECT 4141 AS id_4, ?, 'secret 4242'";
	int value = 4242;
	MYSQL_BIND bind = { .buffer_type = MYSQL_TYPE_LONG, .buffer = &value };
	MYSQL_STMT *s;
	char line[16];

	if (argc != 2)
		return 2;
	db = mysql_init(NULL);
	require(!!mysql_real_connect(db, NULL, "root", NULL, NULL, 0, argv[1], 0), "connect");
	printf("ready\n");
	fflush(stdout);
	require(!!fgets(line, sizeof(line), stdin), "stdin");
	require(!mysql_query(db, "SELECT 4141 AS id_1, 'secret 4242'"), "mysql_query");
	rows(1);
	require(!mysql_real_query(db, "SELECT 4141 AS id_2 UNION SELECT 4242 and no more", 37),
		"mysql_real_query");
	rows(2);
	require(mysql_query(db, "SELECT id_3 FROM nowhere.t WHERE v = 'secret 4242'"), "an error");
	s = mysql_stmt_init(db);
	require(!mysql_stmt_prepare(s, prepared, strlen(prepared)), "mysql_stmt_prepare");
	require(!mysql_stmt_bind_param(s, &bind), "mysql_stmt_bind_param");
	for (int i = 0; i < 2; i++) {
		require(!mysql_stmt_execute(s) && !mysql_stmt_store_result(s), "execute");
		mysql_stmt_free_result(s);
	}
	mysql_stmt_close(s);
	printf("done\n");
	mysql_close(db);
	return 0;
}

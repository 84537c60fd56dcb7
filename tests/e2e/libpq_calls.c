/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Uses libpq in every way that its interface has; each statement names its column id_N. Begins when
 * a line came on stdin: libpq_calls CONNINFO FIRST.
 */
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

static PGconn *conn;
static int next;

static void require(int right, const char *what)
{
	if (right)
		return;
	fprintf(stderr, "libpq_calls: %s: %s\n", what, PQerrorMessage(conn));
	exit(1);
}

static const char *query(const char *more)
{
	static char text[128];

	snprintf(text, sizeof(text), "SELECT 41 AS id_%d, %s", next++, more);
	return text;
}

static void took(PGresult *result, ExecStatusType status, const char *what)
{
	require(PQresultStatus(result) == status, what);
	PQclear(result);
}

static void waiting(void)
{
	const char *values[] = { "42" };

	took(PQexec(conn, query("'secret 42'")), PGRES_TUPLES_OK, "PQexec");
	took(PQexec(conn, query("42 / 0")), PGRES_FATAL_ERROR, "PQexec, an error");
	took(PQexecParams(conn, query("$1::int"), 1, NULL, values, NULL, NULL, 0), PGRES_TUPLES_OK,
	     "PQexecParams");
	took(PQprepare(conn, "mine", query("$1::int"), 1, NULL), PGRES_COMMAND_OK, "PQprepare");
	for (int i = 0; i < 2; i++)
		took(PQexecPrepared(conn, "mine", 1, values, NULL, NULL, 0), PGRES_TUPLES_OK,
		     "PQexecPrepared");
}

/* Not waiting in the library: in poll(), as event loops do. */
static PGresult *arrived(void)
{
	while (PQisBusy(conn)) {
		struct pollfd p = { .fd = PQsocket(conn), .events = POLLIN };

		poll(&p, 1, -1);
		require(PQconsumeInput(conn), "PQconsumeInput");
	}
	return PQgetResult(conn);
}

static void sending(void)
{
	const char *values[] = { "42" };

	require(PQsendQuery(conn, query("'secret 42'")), "PQsendQuery");
	took(arrived(), PGRES_TUPLES_OK, "PQsendQuery");
	require(!arrived(), "more results");
	require(PQsendQueryParams(conn, query("$1::int"), 1, NULL, values, NULL, NULL, 0),
		"PQsendQueryParams");
	took(PQgetResult(conn), PGRES_TUPLES_OK, "PQsendQueryParams");
	require(!PQgetResult(conn), "more results");
	require(PQsendQueryPrepared(conn, "mine", 1, values, NULL, NULL, 0), "PQsendQueryPrepared");
	took(PQgetResult(conn), PGRES_TUPLES_OK, "PQsendQueryPrepared");
	require(!PQgetResult(conn), "more results");
}

static void pipelined(void)
{
	const char *values[] = { "42" };

	require(PQenterPipelineMode(conn), "PQenterPipelineMode");
	for (int i = 0; i < 3; i++)
		require(PQsendQueryParams(conn, query("$1::int"), 1, NULL, values, NULL, NULL, 0),
			"PQsendQueryParams in a pipeline");
	require(PQpipelineSync(conn), "PQpipelineSync");
	for (int i = 0; i < 3; i++) {
		took(PQgetResult(conn), PGRES_TUPLES_OK, "a pipeline's result");
		require(!PQgetResult(conn), "more results");
	}
	took(PQgetResult(conn), PGRES_PIPELINE_SYNC, "a pipeline's end");
	require(PQexitPipelineMode(conn), "PQexitPipelineMode");
}

int main(int argc, char **argv)
{
	char line[16];

	if (argc != 3 || !fgets(line, sizeof(line), stdin))
		return 2;
	next = atoi(argv[2]);
	conn = PQconnectdb(argv[1]);
	require(PQstatus(conn) == CONNECTION_OK, "PQconnectdb");
	waiting();
	sending();
	pipelined();
	PQfinish(conn);
	return 0;
}

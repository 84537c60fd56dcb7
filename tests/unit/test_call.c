// SPDX-License-Identifier: GPL-2.0-or-later
/* Calls of client libraries: what becomes of them, alone and beside what the wire says. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../user/span/conventions.h"
#include "../../user/span/sql.h"
#include "../lib/feed.h"

#define APP 10u
#define GET "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

#define CALL(f, tid, ...) feed__call((f), APP, (tid), (struct feed_call){ __VA_ARGS__ })
#define DB 0xd0
#define STMT 0x57

static const char *str(const struct span *s, const char *key)
{
	static char buf[4][512];
	static unsigned at;
	const struct attr *a = s ? span__attr(s, key) : NULL;
	char *out = buf[at++ % 4];

	snprintf(out, sizeof(buf[0]), "%.*s", a && a->type == ATTR_STR ? (int)a->text_n : 0,
		 a && a->type == ATTR_STR ? a->text : "");
	return out;
}

static int64_t number(const struct span *s, const char *key)
{
	const struct attr *a = span__attr(s, key);

	return a && a->type == ATTR_INT ? a->i : -1;
}

/* The only span there is. */
static struct span *only(struct feed *f)
{
	feed__finish(f);
	cr_assert_eq(f->n_spans, 1, "%u spans", f->n_spans);
	return f->spans[0];
}

static struct span *query(struct feed *f, const char *text)
{
	return feed__span(f, SPAN_CLIENT, "db.query.text", text);
}

static struct feed *begin(void)
{
	struct feed *f = feed__new();

	feed__process(f, APP, "app");
	return f;
}

static void open_db(struct feed *f, const char *file)
{
	CALL(f, 11, .fn = WEFT_FN_SQLITE_OPEN, .made = DB, .text = file);
}

static void prepare(struct feed *f, uint32_t tid, uint64_t stmt, const char *sql)
{
	CALL(f, tid, .fn = WEFT_FN_SQLITE_PREPARE, .object = DB, .made = stmt, .text = sql);
}

static void step(struct feed *f, uint32_t tid, uint64_t stmt, uint64_t rows, int64_t ret)
{
	CALL(f, tid, .fn = WEFT_FN_SQLITE_STEP, .object = stmt, .count = rows, .ret = ret);
}

static void finalize(struct feed *f, uint32_t tid, uint64_t stmt, uint64_t rows)
{
	CALL(f, tid, .fn = WEFT_FN_SQLITE_FINALIZE, .object = stmt, .count = rows);
}

/* ---- SQLite ---- */

Test(sqlite, a_statement_under_its_request)
{
	struct feed *f = begin();

	open_db(f, "/var/lib/shop.db");
	feed__accept(f, 1, APP, 11, 40000, 80);
	feed__read(f, 1, APP, 11, GET);
	prepare(f, 11, STMT, "SELECT a FROM t WHERE b = 'secret' AND c = ?1");
	step(f, 11, STMT, 3, 101);
	finalize(f, 11, STMT, 0);
	feed__write(f, 1, APP, 11, OK);
	feed__finish(f);
	cr_assert_eq(f->n_spans, 2);
	struct span *q = query(f, "SELECT a FROM t WHERE b = ? AND c = ?1");
	struct span *r = feed__span(f, SPAN_SERVER, "url.path", "/a");

	cr_assert(feed__is_child(q, r, "backward") || feed__is_child(q, r, "thread"));
	cr_assert(q->start_ns >= r->start_ns && q->end_ns <= r->end_ns);
	cr_assert_str_eq(str(q, "db.system.name"), "sqlite");
	cr_assert_str_eq(str(q, "db.namespace"), "/var/lib/shop.db");
	cr_assert_eq(number(q, "db.response.returned_rows"), 3);
	cr_assert_eq(q->status, SPAN_UNSET);
	cr_assert_null(span__attr(q, "server.address"));
	cr_assert_null(span__attr(q, "network.peer.port"));
	cr_assert(slice__eq(q->name, SLICE("SELECT t")));
	feed__free(f);
}

Test(sqlite, every_run_is_a_span)
{
	struct feed *f = begin();

	prepare(f, 11, STMT, "INSERT INTO t VALUES (?)");
	for (int i = 0; i < 3; i++) {
		step(f, 11, STMT, 0, 101);
		CALL(f, 11, .fn = WEFT_FN_SQLITE_RESET, .object = STMT);
	}
	finalize(f, 11, STMT, 0);
	feed__finish(f);
	cr_assert_eq(f->n_spans, 3);
	for (unsigned i = 0; i < 3; i++) {
		cr_assert_str_eq(str(f->spans[i], "db.query.text"), "INSERT INTO t VALUES (?)");
		cr_assert_eq(number(f->spans[i], "db.response.returned_rows"), -1,
			     "no rows are expected of an INSERT");
	}
	feed__free(f);
}

Test(sqlite, an_empty_result_is_said)
{
	struct feed *f = begin();

	prepare(f, 11, STMT, "-- which\nselect 1 WHERE 0");
	step(f, 11, STMT, 0, 101);
	cr_assert_eq(number(only(f), "db.response.returned_rows"), 0);
	feed__free(f);
}

Test(sqlite, errors)
{
	struct feed *f = begin();

	open_db(f, "x.db");
	prepare(f, 11, STMT, "INSERT INTO t VALUES (1)");
	step(f, 11, STMT, 0, 2067); /* SQLITE_CONSTRAINT_UNIQUE */
	CALL(f, 11, .fn = WEFT_FN_SQLITE_RESET, .object = STMT, .ret = 2067);
	CALL(f, 11, .fn = WEFT_FN_SQLITE_PREPARE, .object = DB, .ret = 1,
	     .text = "SELECT 1 FROM nowhere; SELECT 2");
	feed__finish(f);
	cr_assert_eq(f->n_spans, 2);
	struct span *s = query(f, "INSERT INTO t VALUES (?)");

	cr_assert_eq(s->status, SPAN_ERROR);
	cr_assert_str_eq(str(s, "db.response.status_code"), "2067");
	cr_assert_str_eq(str(s, "error.type"), "2067");
	s = query(f, "SELECT ? FROM nowhere;");
	cr_assert_eq(s->status, SPAN_ERROR);
	cr_assert_str_eq(str(s, "db.response.status_code"), "1");
	cr_assert_str_eq(str(s, "db.namespace"), "x.db");
	feed__free(f);
}

Test(sqlite, rows_that_nobody_fetched)
{
	struct feed *f = begin();
	uint64_t first;

	prepare(f, 11, STMT, "SELECT a FROM t");
	first = f->now;
	feed__wait(f, 5);
	CALL(f, 11, .fn = WEFT_FN_SQLITE_RESET, .object = STMT, .count = 2, .begin = first);
	first = f->now;
	finalize(f, 11, STMT, 7);
	feed__finish(f);
	cr_assert_eq(f->n_spans, 2);
	cr_assert_eq(number(f->spans[0], "db.response.returned_rows"), 2);
	cr_assert_eq(f->spans[0]->end_ns - f->spans[0]->start_ns, 5000000);
	cr_assert_eq(number(f->spans[1], "db.response.returned_rows"), 7);
	cr_assert_str_eq(str(f->spans[1], "db.query.text"), "SELECT a FROM t");
	feed__free(f);
}

Test(sqlite, an_address_is_used_again)
{
	struct feed *f = begin();

	prepare(f, 11, STMT, "SELECT a FROM t");
	finalize(f, 11, STMT, 0);
	step(f, 11, STMT, 1, 101); /* made by something unseen */
	prepare(f, 11, STMT, "SELECT b FROM t");
	prepare(f, 11, STMT, "SELECT c FROM t"); /* its end was unseen */
	step(f, 11, STMT, 1, 101);
	/* The same address in another process is something else. */
	feed__call(f, APP + 1, 99,
		   (struct feed_call){
			   .fn = WEFT_FN_SQLITE_STEP, .object = STMT, .ret = 101, .count = 1 });
	feed__finish(f);
	cr_assert_eq(f->n_spans, 3);
	cr_assert_str_eq(str(f->spans[0], "db.query.text"), "");
	cr_assert(slice__eq(f->spans[0]->name, SLICE("sqlite")));
	cr_assert_str_eq(str(f->spans[1], "db.query.text"), "SELECT c FROM t");
	cr_assert_str_eq(str(f->spans[2], "db.query.text"), "");
	feed__free(f);
}

Test(sqlite, rows_of_another_at_the_same_address)
{
	struct feed *f = begin();
	uint64_t long_ago = f->now - 500;

	prepare(f, 11, STMT, "SELECT a FROM t");
	CALL(f, 11, .fn = WEFT_FN_SQLITE_STEP, .object = STMT, .count = 70, .ret = 101,
	     .begin = long_ago);
	struct span *s = only(f);

	cr_assert_eq(number(s, "db.response.returned_rows"), -1);
	cr_assert_leq(s->end_ns - s->start_ns, 1000000);
	feed__free(f);
}

Test(sqlite, exec_is_one_span)
{
	struct feed *f = begin();

	open_db(f, ":memory:");
	CALL(f, 11, .fn = WEFT_FN_SQLITE_EXEC, .object = DB,
	     .text = "BEGIN; DELETE FROM t WHERE a=5");
	struct span *s = only(f);

	cr_assert_str_eq(str(s, "db.query.text"), "BEGIN; DELETE FROM t WHERE a=?");
	cr_assert_str_eq(str(s, "db.namespace"), ":memory:");
	cr_assert(slice__eq(s->name, SLICE("BEGIN DELETE t")));
	feed__free(f);
}

Test(sqlite, exec_whose_statements_were_seen_is_none)
{
	struct feed *f = begin();
	uint64_t began = f->now;

	f->now += 1000000;
	prepare(f, 11, STMT, "BEGIN; DELETE FROM t");
	step(f, 11, STMT, 0, 101);
	prepare(f, 11, STMT, "DELETE FROM t");
	step(f, 11, STMT, 0, 101);
	CALL(f, 11, .fn = WEFT_FN_SQLITE_EXEC, .object = DB, .begin = began,
	     .text = "BEGIN; DELETE FROM t");
	/* What it had prepared is gone. */
	step(f, 11, STMT, 1, 101);
	feed__finish(f);
	cr_assert_eq(f->n_spans, 3);
	query(f, "BEGIN;");
	query(f, "DELETE FROM t");
	cr_assert_str_eq(str(f->spans[2], "db.query.text"), "");
	feed__free(f);
}

Test(sqlite, exec_on_another_thread_is_another)
{
	struct feed *f = begin();
	uint64_t began = f->now;

	prepare(f, 12, STMT, "DELETE FROM t");
	step(f, 12, STMT, 0, 101);
	CALL(f, 11, .fn = WEFT_FN_SQLITE_EXEC, .object = DB, .begin = began, .text = "BEGIN");
	feed__finish(f);
	cr_assert_eq(f->n_spans, 2);
	feed__free(f);
}

Test(sqlite, its_own_statements_are_none)
{
	struct feed *f = begin();
	uint64_t began = f->now;

	f->now += 1000000;
	CALL(f, 11, .fn = WEFT_FN_SQLITE_EXEC, .object = DB, .text = "SELECT*FROM sqlite_master");
	CALL(f, 11, .fn = WEFT_FN_SQLITE_PREPARE, .object = DB, .made = STMT, .begin = began,
	     .text = "VACUUM");
	began = f->now;
	f->now += 1000000;
	prepare(f, 11, STMT + 1, "INSERT INTO vacuum_db.t SELECT * FROM t");
	step(f, 11, STMT + 1, 0, 101);
	CALL(f, 11, .fn = WEFT_FN_SQLITE_STEP, .object = STMT, .ret = 101, .begin = began);
	cr_assert_str_eq(str(only(f), "db.query.text"), "VACUUM");
	cr_assert_gt(f->books.dropped[DROP_TOLD_TWICE], 0);
	feed__free(f);
}

/* Between the rows of one, the program runs others: these are its own. */
Test(sqlite, statements_between_rows)
{
	struct feed *f = begin();
	uint64_t began = f->now;

	prepare(f, 11, STMT, "SELECT a FROM t");
	began = f->now;
	f->now += 1000000;
	prepare(f, 11, STMT + 1, "UPDATE t SET a = 1");
	step(f, 11, STMT + 1, 0, 101);
	CALL(f, 11, .fn = WEFT_FN_SQLITE_STEP, .object = STMT, .ret = 101, .begin = began,
	     .count = 2);
	feed__finish(f);
	cr_assert_eq(f->n_spans, 2);
	feed__free(f);
}

Test(sqlite, files)
{
	static const struct {
		const char *name, *ns;
	} cases[] = {
		{ "/a/b.db", "/a/b.db" },
		{ "file:b.db?mode=ro&key=secret", "b.db" },
		{ "file:/a/b.db#x", "/a/b.db" },
		{ "file:///a/b.db", "/a/b.db" },
		{ "file://localhost/a/b.db", "/a/b.db" },
		{ "file://localhost", "" },
		{ "file:?x", "" },
		{ "", "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct feed *f = begin();

		open_db(f, cases[i].name);
		prepare(f, 11, STMT, "SELECT 1");
		step(f, 11, STMT, 1, 101);
		cr_assert_str_eq(str(only(f), "db.namespace"), cases[i].ns, "%s", cases[i].name);
		feed__free(f);
	}
}

Test(sqlite, a_name_that_is_cut_is_unknown)
{
	struct feed *f = begin();

	CALL(f, 11, .fn = WEFT_FN_SQLITE_OPEN, .made = DB, .text = "/a/b", .more = 9);
	prepare(f, 11, STMT, "SELECT 1");
	step(f, 11, STMT, 1, 101);
	cr_assert_str_eq(str(only(f), "db.namespace"), "");
	feed__free(f);
}

Test(sqlite, a_closed_database_is_forgotten)
{
	struct feed *f = begin();

	open_db(f, "old.db");
	CALL(f, 11, .fn = WEFT_FN_SQLITE_CLOSE, .object = DB);
	CALL(f, 11, .fn = WEFT_FN_SQLITE_EXEC, .object = DB, .text = "BEGIN");
	cr_assert_str_eq(str(only(f), "db.namespace"), "");
	feed__free(f);
}

Test(sqlite, an_ended_process_is_forgotten)
{
	struct feed *f = begin();

	open_db(f, "old.db");
	prepare(f, 11, STMT, "SELECT 1");
	feed__exit(f, APP);
	step(f, 11, STMT, 1, 101);
	cr_assert_str_eq(str(only(f), "db.query.text"), "");
	feed__free(f);
}

Test(sqlite, more_statements_than_are_kept)
{
	struct feed *f = begin();

	prepare(f, 11, 1, "SELECT 'first'");
	for (uint64_t i = 2; i < 6000; i++)
		prepare(f, 11, i, "SELECT 1, 2");
	/* Another process's are not pushed out by these. */
	step(f, 11, 1, 1, 101);
	step(f, 11, 5999, 1, 101);
	feed__finish(f);
	cr_assert_eq(f->n_spans, 2);
	cr_assert_str_eq(str(f->spans[0], "db.query.text"), "");
	cr_assert_str_eq(str(f->spans[1], "db.query.text"), "SELECT ?, ?");
	feed__free(f);
}

Test(sqlite, left_out)
{
	uint64_t all = (1ull << (unsigned)protocol__place(protocol__find(SLICE("sqlite")))) - 1;
	struct feed *f = feed__new_calls(CALL_BOTH, all);

	CALL(f, 11, .fn = WEFT_FN_SQLITE_EXEC, .object = DB, .text = "BEGIN");
	feed__finish(f);
	cr_assert_eq(f->n_spans, 0);
	cr_assert_eq(f->books.dropped[DROP_FILTERED], 1);
	feed__free(f);
}

/* An event loop that serves two at once: who is read last, works; and answers before it reads again. */
Test(sqlite, on_an_event_loop)
{
	struct feed *f = begin();

	for (unsigned i = 1; i <= 3; i++)
		feed__accept(f, i, APP, 11, (uint16_t)(40000 + i), 80);
	feed__read(f, 1, APP, 11, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
	feed__read(f, 2, APP, 11, "GET /quick HTTP/1.1\r\nHost: x\r\n\r\n");
	prepare(f, 11, STMT, "SELECT 1 FROM mine");
	step(f, 11, STMT, 1, 101);
	step(f, 11, STMT, 1, 101);
	feed__write(f, 2, APP, 11, OK);
	/* read one, answered the other: whose it was is not known */
	feed__read(f, 3, APP, 11, "GET /other HTTP/1.1\r\nHost: x\r\n\r\n");
	prepare(f, 11, STMT, "SELECT 1 FROM unclear");
	step(f, 11, STMT, 1, 101);
	feed__write(f, 1, APP, 11, OK);
	feed__write(f, 3, APP, 11, OK);
	feed__finish(f);
	cr_assert_eq(f->n_spans, 6);
	struct span *quick = feed__span(f, SPAN_SERVER, "url.path", "/quick");
	unsigned mine = 0;

	for (unsigned i = 0; i < f->n_spans; i++) {
		struct span *s = f->spans[i];

		if (!strcmp(str(s, "db.query.text"), "SELECT ? FROM mine")) {
			cr_assert(feed__is_child(s, quick, "backward"));
			mine++;
		} else if (!strcmp(str(s, "db.query.text"), "SELECT ? FROM unclear")) {
			cr_assert(feed__is_root(s));
		}
	}
	cr_assert_eq(mine, 2);
	feed__free(f);
}

/* Requests one after the other on one thread, and statements of each; none of one is another's. */
Test(sqlite, one_request_after_the_other)
{
	struct feed *f = begin();

	feed__accept(f, 1, APP, 11, 40000, 80);
	for (int i = 0; i < 20; i++) {
		char path[64], sql[64];

		snprintf(path, sizeof(path), "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i);
		snprintf(sql, sizeof(sql), "SELECT a FROM t_%d", i);
		feed__read(f, 1, APP, 11, path);
		for (int k = 0; k < 100; k++) {
			prepare(f, 11, STMT, sql);
			step(f, 11, STMT, 1, 101);
			finalize(f, 11, STMT, 0);
		}
		feed__write(f, 1, APP, 11, OK);
	}
	feed__finish(f);
	cr_assert_eq(f->n_spans, 20 * 101);
	for (unsigned i = 0; i < f->n_spans; i++) {
		const char *text = str(f->spans[i], "db.query.text");
		char path[32];

		if (!*text)
			continue;
		snprintf(path, sizeof(path), "/%s", strchr(text, '_') + 1);
		cr_assert(!memcmp(f->spans[i]->parent_id,
				  feed__span(f, SPAN_SERVER, "url.path", path)->span_id, 8));
	}
	feed__free(f);
}

/* ---- libpq and the wire ---- */

#define CONN 0xc0
#define Q(text) "Q\0\0\0" text "\0"
static const char ask[] = "Q\0\0\0\x17SELECT 1 FROM item";
static const char answer[] = "T\0\0\0\6\0\0D\0\0\0\x0b\0\1\0\0\0\1"
			     "1C\0\0\0\x0dSELECT 1\0Z\0\0\0\5I";
static const char fault[] = "E\0\0\0\x17SERROR\0C42P01\0Mno\0\0Z\0\0\0\5I";

static struct feed *with_wire(enum call_source source)
{
	struct feed *f = feed__new_calls(source, UINT64_MAX);

	feed__process(f, APP, "app");
	feed__connect(f, 1, APP, 11, 40000, 5432);
	feed__wait(f, 2000); /* what is asked now is no part of connecting */
	return f;
}

static void wire_ask(struct feed *f, unsigned id, uint32_t tid)
{
	feed__bytes(f, id, APP, tid, WEFT_OUT, ask, sizeof(ask), sizeof(ask));
}

static void wire_answer(struct feed *f, unsigned id, uint32_t tid)
{
	feed__bytes(f, id, APP, tid, WEFT_IN, answer, sizeof(answer) - 1, sizeof(answer) - 1);
}

/* PQexec with what it does on the wire; returns when it began. */
static uint64_t pq_exec(struct feed *f, unsigned id, uint64_t conn)
{
	uint64_t began = f->now;

	f->now += 1000000;
	wire_ask(f, id, 11);
	wire_answer(f, id, 11);
	CALL(f, 11, .fn = WEFT_FN_PQ_EXEC, .object = conn, .ret = 1, .value = 2, .begin = began,
	     .text = "SELECT 1 FROM item");
	return began;
}

Test(libpq, merged)
{
	struct feed *f = with_wire(CALL_BOTH);
	uint64_t began = pq_exec(f, 1, CONN), ended = f->now - 1000000;
	struct span *s = only(f);

	cr_assert_eq(s->start_ns, began);
	cr_assert_eq(s->end_ns, ended);
	cr_assert_eq(number(s, "network.peer.port"), 5432);
	cr_assert_eq(number(s, "db.response.returned_rows"), 1);
	cr_assert_eq(f->books.in_spans, 3, "the call is in the span");
	feed__free(f);
}

/* A connection's first call, seen on the wire alone, begins with connect(); the caller of PQexec did
 * not wait for that. */
Test(libpq, connecting_is_no_part_of_the_call)
{
	struct feed *f = begin();

	feed__connect(f, 1, APP, 11, 40000, 5432);
	feed__wait(f, 3);
	uint64_t began = pq_exec(f, 1, CONN);

	cr_assert_eq(only(f)->start_ns, began);
	feed__free(f);
}

Test(libpq, the_wire_alone)
{
	struct feed *f = with_wire(CALL_WIRE);
	uint64_t began = pq_exec(f, 1, CONN);
	struct span *s = only(f);

	cr_assert_eq(s->start_ns, began + 1000000);
	cr_assert_eq(number(s, "network.peer.port"), 5432);
	cr_assert_eq(f->books.in_spans, 2);
	feed__free(f);
}

Test(libpq, the_library_alone)
{
	struct feed *f = with_wire(CALL_LIBRARY);
	uint64_t began = pq_exec(f, 1, CONN);

	pq_exec(f, 1, CONN);
	feed__wait(f, 300);
	feed__finish(f);
	cr_assert_eq(f->n_spans, 2);
	cr_assert_eq(f->spans[0]->start_ns, began);
	cr_assert_eq(number(f->spans[0], "db.response.returned_rows"), -1,
		     "the library's calls do not tell rows");
	cr_assert_eq(number(f->spans[0], "network.peer.port"), 5432);
	cr_assert_eq(f->books.in_spans, 2);
	feed__free(f);
}

/* Over something unread: TLS of unknown make, io_uring. */
Test(libpq, nothing_on_the_wire)
{
	struct feed *f = begin();

	feed__accept(f, 2, APP, 11, 40001, 80);
	feed__read(f, 2, APP, 11, GET);
	CALL(f, 11, .fn = WEFT_FN_PQ_EXEC, .object = CONN, .ret = 1, .value = 7,
	     .text = "SELECT 'secret' FROM item");
	feed__write(f, 2, APP, 11, OK);
	feed__finish(f);
	cr_assert_eq(f->n_spans, 2);
	struct span *s = query(f, "SELECT ? FROM item");

	cr_assert_eq(s->status, SPAN_ERROR);
	cr_assert_str_eq(str(s, "error.type"), "_OTHER");
	cr_assert_str_eq(str(s, "db.system.name"), "postgresql");
	cr_assert(feed__is_child(s, feed__span(f, SPAN_SERVER, "url.path", "/a"), "backward"));
	feed__free(f);
}

Test(libpq, another_thread_s_wire_is_not_its)
{
	struct feed *f = with_wire(CALL_BOTH);
	uint64_t began = f->now;

	f->now += 1000000;
	wire_ask(f, 1, 12);
	wire_answer(f, 1, 12);
	CALL(f, 11, .fn = WEFT_FN_PQ_EXEC, .object = CONN, .ret = 1, .value = 2, .begin = began,
	     .text = "SELECT 2 FROM other");
	feed__finish(f);
	cr_assert_eq(f->n_spans, 2);
	feed__free(f);
}

Test(libpq, a_server_s_wire_is_not_its)
{
	struct feed *f = begin();
	uint64_t began = f->now;

	f->now += 1000000;
	feed__accept(f, 1, APP, 11, 40000, 5432);
	feed__bytes(f, 1, APP, 11, WEFT_IN, ask, sizeof(ask), sizeof(ask));
	feed__bytes(f, 1, APP, 11, WEFT_OUT, answer, sizeof(answer) - 1, sizeof(answer) - 1);
	CALL(f, 11, .fn = WEFT_FN_PQ_EXEC, .object = CONN, .ret = 1, .value = 2, .begin = began,
	     .text = "SELECT 2 FROM other");
	feed__finish(f);
	cr_assert_eq(f->n_spans, 2);
	feed__free(f);
}

static void get_result(struct feed *f, uint64_t conn, int64_t ret, int64_t value)
{
	CALL(f, 11, .fn = WEFT_FN_PQ_GET_RESULT, .object = conn, .ret = ret, .value = value);
}

Test(libpq, sent_and_fetched)
{
	struct feed *f = with_wire(CALL_BOTH);
	uint64_t began = f->now, fetched;

	f->now += 1000000;
	wire_ask(f, 1, 11);
	CALL(f, 11, .fn = WEFT_FN_PQ_SEND, .object = CONN, .ret = 1, .begin = began,
	     .text = "SELECT 1 FROM item");
	wire_answer(f, 1, 11);
	feed__wait(f, 20);
	fetched = f->now;
	get_result(f, CONN, 1, 2);
	get_result(f, CONN, 0, -1);
	struct span *s = only(f);

	cr_assert_eq(s->start_ns, began);
	cr_assert_eq(s->end_ns, fetched);
	cr_assert_eq(number(s, "db.response.returned_rows"), 1);
	feed__free(f);
}

Test(libpq, sent_and_fetched_with_nothing_on_the_wire)
{
	struct feed *f = begin();
	uint64_t began = f->now, fetched;

	CALL(f, 11, .fn = WEFT_FN_PQ_SEND, .object = CONN, .ret = 1, .begin = began,
	     .text = "SELECT 1 FROM item");
	get_result(f, CONN, 1, 9);
	get_result(f, CONN, 1, 9);
	fetched = f->now;
	get_result(f, CONN, 1, 2);
	feed__wait(f, 20);
	get_result(f, CONN, 0, -1);
	get_result(f, CONN, 0, -1);
	struct span *s = only(f);

	cr_assert_eq(s->start_ns, began);
	cr_assert_eq(s->end_ns, fetched);
	cr_assert_eq(number(s, "db.response.returned_rows"), 2);
	cr_assert_eq(f->books.in_spans, 4);
	feed__free(f);
}

/* In a pipeline: the second was never run, since the first failed. */
Test(libpq, a_pipeline_with_nothing_on_the_wire)
{
	struct feed *f = begin();

	CALL(f, 11, .fn = WEFT_FN_PQ_SEND, .object = CONN, .ret = 1, .text = "SELECT 1 FROM a");
	CALL(f, 11, .fn = WEFT_FN_PQ_SEND, .object = CONN, .ret = 1, .text = "SELECT 1 FROM b");
	CALL(f, 11, .fn = WEFT_FN_PQ_SEND, .object = CONN, .ret = 1, .text = "SELECT 1 FROM c");
	get_result(f, CONN, 1, 7);
	get_result(f, CONN, 0, -1);
	get_result(f, CONN, 1, 11);
	get_result(f, CONN, 0, -1);
	get_result(f, CONN, 1, 10);
	get_result(f, CONN, 1, 2);
	get_result(f, CONN, 0, -1);
	feed__finish(f);
	cr_assert_eq(f->n_spans, 2);
	cr_assert_eq(query(f, "SELECT ? FROM a")->status, SPAN_ERROR);
	cr_assert_eq(query(f, "SELECT ? FROM c")->status, SPAN_UNSET);
	feed__free(f);
}

/* Sent later, together, on a connection that was not known yet. */
Test(libpq, a_pipeline_is_the_wire_s)
{
	static const char two[] =
		"P\0\0\0\x15\0SELECT 1 AS a\0\0\0B\0\0\0\x0c\0\0\0\0\0\0\0\0E\0\0\0\x09\0\0\0\0\0"
		"P\0\0\0\x15\0SELECT 2 AS b\0\0\0B\0\0\0\x0c\0\0\0\0\0\0\0\0E\0\0\0\x09\0\0\0\0\0"
		"S\0\0\0\4";
	static const char both[] = "1\0\0\0\4"
				   "2\0\0\0\4"
				   "C\0\0\0\x0dSELECT 1\0"
				   "1\0\0\0\4"
				   "2\0\0\0\4"
				   "C\0\0\0\x0dSELECT 1\0"
				   "Z\0\0\0\5I";
	struct feed *f = with_wire(CALL_BOTH);

	CALL(f, 11, .fn = WEFT_FN_PQ_SEND, .object = CONN, .ret = 1, .text = "SELECT 1 AS a");
	CALL(f, 11, .fn = WEFT_FN_PQ_SEND, .object = CONN, .ret = 1, .text = "SELECT 2 AS b");
	feed__bytes(f, 1, APP, 11, WEFT_OUT, two, sizeof(two) - 1, sizeof(two) - 1);
	feed__bytes(f, 1, APP, 11, WEFT_IN, both, sizeof(both) - 1, sizeof(both) - 1);
	for (int i = 0; i < 2; i++) {
		get_result(f, CONN, 1, 2);
		get_result(f, CONN, 0, -1);
	}
	get_result(f, CONN, 1, 10);
	feed__finish(f);
	cr_assert_eq(f->n_spans, 2, "%u", f->n_spans);
	cr_assert_eq(number(query(f, "SELECT ? AS a"), "network.peer.port"), 5432);
	cr_assert_eq(number(query(f, "SELECT ? AS b"), "network.peer.port"), 5432);
	feed__free(f);
}

Test(libpq, prepared)
{
	struct feed *f = begin();

	CALL(f, 11, .fn = WEFT_FN_PQ_PREPARE, .object = CONN, .ret = 1, .value = 1, .text = "s",
	     .text2 = "SELECT a FROM item WHERE b = $1");
	CALL(f, 11, .fn = WEFT_FN_PQ_EXEC_PREPARED, .object = CONN, .ret = 1, .value = 2,
	     .text = "s");
	CALL(f, 11, .fn = WEFT_FN_PQ_EXEC_PREPARED, .object = CONN + 1, .ret = 1, .value = 2,
	     .text = "s");
	CALL(f, 11, .fn = WEFT_FN_PQ_FINISH, .object = CONN);
	CALL(f, 11, .fn = WEFT_FN_PQ_EXEC_PREPARED, .object = CONN, .ret = 1, .value = 2,
	     .text = "s");
	CALL(f, 11, .fn = WEFT_FN_PQ_PREPARE, .object = CONN, .ret = 1, .value = 7, .text = "t",
	     .text2 = "SELECT wrong");
	feed__finish(f);
	cr_assert_eq(f->n_spans, 4);
	query(f, "SELECT a FROM item WHERE b = $1");
	cr_assert_eq(query(f, "SELECT wrong")->status, SPAN_ERROR);
	cr_assert_str_eq(str(f->spans[1], "db.query.text"), "");
	cr_assert_str_eq(str(f->spans[2], "db.query.text"), "");
	feed__free(f);
}

Test(libpq, what_is_never_fetched_ends)
{
	struct feed *f = begin();

	CALL(f, 11, .fn = WEFT_FN_PQ_SEND, .object = CONN, .ret = 1, .text = "SELECT 1 FROM a");
	CALL(f, 11, .fn = WEFT_FN_PQ_FINISH, .object = CONN);
	CALL(f, 11, .fn = WEFT_FN_PQ_SEND, .object = CONN, .ret = 1, .text = "SELECT 1 FROM b");
	feed__exit(f, APP);
	feed__call(f, APP + 1, 1,
		   (struct feed_call){ .fn = WEFT_FN_PQ_SEND,
				       .object = CONN,
				       .ret = 1,
				       .text = "SELECT 1 FROM c" });
	CALL(f, 11, .fn = WEFT_FN_PQ_SEND, .object = CONN, .ret = 0, .text = "SELECT 1 FROM d");
	feed__finish(f);
	cr_assert_eq(f->n_spans, 4);
	cr_assert_str_eq(str(query(f, "SELECT ? FROM c"), "weft.incomplete"), "weft ended first");
	cr_assert_str_eq(str(query(f, "SELECT ? FROM a"), "weft.incomplete"), "");
	cr_assert_eq(query(f, "SELECT ? FROM d")->status, SPAN_ERROR);
	feed__free(f);
}

/* Both ends of the connection traced: the server's span is below the call, whoever tells of it. */
Test(libpq, the_server_is_below)
{
	for (int source = CALL_BOTH; source <= CALL_LIBRARY; source++) {
		struct feed *f = with_wire((enum call_source)source);
		uint64_t began = f->now;

		feed__process(f, 20, "postgres");
		feed__accept(f, 2, 20, 21, 40000, 5432);
		wire_ask(f, 1, 11);
		feed__bytes(f, 2, 20, 21, WEFT_IN, ask, sizeof(ask), sizeof(ask));
		feed__bytes(f, 2, 20, 21, WEFT_OUT, answer, sizeof(answer) - 1, sizeof(answer) - 1);
		wire_answer(f, 1, 11);
		CALL(f, 11, .fn = WEFT_FN_PQ_EXEC, .object = CONN, .ret = 1, .value = 2,
		     .begin = began, .text = "SELECT 1 FROM item");
		feed__wait(f, 300);
		feed__finish(f);
		cr_assert_eq(f->n_spans, 2, "source %d: %u spans", source, f->n_spans);
		cr_assert(feed__is_child(feed__span(f, SPAN_SERVER, "db.system.name", "postgresql"),
					 feed__span(f, SPAN_CLIENT, "db.system.name", "postgresql"),
					 "socket"),
			  "source %d", source);
		feed__free(f);
	}
}

/* The wire's bytes waited for others, and come after the call. */
Test(libpq, a_late_wire)
{
	struct feed *f = with_wire(CALL_BOTH);
	uint64_t now, began = f->now;

	f->now += 1000000;
	now = f->now;
	f->now += 1000000;
	CALL(f, 11, .fn = WEFT_FN_PQ_EXEC, .object = CONN, .ret = 1, .value = 2, .begin = began,
	     .text = "SELECT 1 FROM item");
	f->now = now;
	wire_ask(f, 1, 11);
	wire_answer(f, 1, 11);
	struct span *s = only(f);

	cr_assert_eq(number(s, "network.peer.port"), 5432);
	cr_assert_eq(s->start_ns, began);
	feed__free(f);
}

Test(libpq, a_wire_that_is_too_late)
{
	struct feed *f = with_wire(CALL_BOTH);
	uint64_t now, began = f->now;

	f->now += 1000000;
	now = f->now;
	f->now += 1000000;
	CALL(f, 11, .fn = WEFT_FN_PQ_EXEC, .object = CONN, .ret = 1, .value = 2, .begin = began,
	     .text = "SELECT 1 FROM item");
	feed__wait(f, 1000);
	cr_assert_eq(f->n_spans, 1);
	f->now = now;
	wire_ask(f, 1, 11);
	wire_answer(f, 1, 11);
	feed__finish(f);
	cr_assert_eq(f->n_spans, 1);
	cr_assert_eq(f->books.dropped[DROP_TOLD_TWICE], 2);
	feed__free(f);
}

/* The merged call in a request, on a thread that serves one after the other. */
Test(libpq, merged_calls_have_their_request)
{
	struct feed *f = with_wire(CALL_BOTH);

	feed__accept(f, 2, APP, 11, 40001, 80);
	for (int i = 0; i < 3; i++) {
		feed__read(f, 2, APP, 11, GET);
		pq_exec(f, 1, CONN);
		pq_exec(f, 1, CONN);
		feed__write(f, 2, APP, 11, OK);
	}
	feed__finish(f);
	cr_assert_eq(f->n_spans, 9);
	for (unsigned i = 0; i < f->n_spans; i++)
		cr_assert(f->spans[i]->kind == SPAN_SERVER || !feed__is_root(f->spans[i]));
	feed__free(f);
}

Test(libpq, an_error_on_the_wire_stays)
{
	struct feed *f = with_wire(CALL_BOTH);
	uint64_t began = f->now;

	wire_ask(f, 1, 11);
	feed__bytes(f, 1, APP, 11, WEFT_IN, fault, sizeof(fault) - 1, sizeof(fault) - 1);
	CALL(f, 11, .fn = WEFT_FN_PQ_EXEC, .object = CONN, .ret = 1, .value = 7, .begin = began,
	     .text = "SELECT 1 FROM item");
	cr_assert_str_eq(str(only(f), "db.response.status_code"), "42P01");
	feed__free(f);
}

/* ---- hiredis, MySQL ---- */

Test(hiredis, merged_and_alone)
{
	struct feed *f = begin();
	uint64_t began = f->now;

	feed__connect(f, 1, APP, 11, 40000, 6379);
	feed__write(f, 1, APP, 11, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nvalue\r\n");
	feed__read(f, 1, APP, 11, "+OK\r\n");
	CALL(f, 11, .fn = WEFT_FN_HIREDIS_COMMAND, .object = CONN, .ret = 1, .begin = began,
	     .text = "SET k value");
	CALL(f, 11, .fn = WEFT_FN_HIREDIS_COMMAND, .object = CONN, .ret = 1, .text = "GET secret");
	CALL(f, 11, .fn = WEFT_FN_HIREDIS_COMMAND, .object = CONN, .ret = 0, .text = "%s secret");
	/* an error reply */
	CALL(f, 11, .fn = WEFT_FN_HIREDIS_COMMAND, .object = CONN, .ret = 1, .value = 6,
	     .text = "INCRBY k 5");
	feed__finish(f);
	cr_assert_eq(f->n_spans, 4);
	cr_assert_eq(f->spans[0]->start_ns, began);
	cr_assert_eq(number(f->spans[0], "network.peer.port"), 6379);
	cr_assert_str_eq(str(f->spans[1], "db.operation.name"), "GET");
	cr_assert(!memmem(f->spans[1]->name.p, f->spans[1]->name.n, "secret", 6));
	cr_assert_str_eq(str(f->spans[2], "db.operation.name"), "");
	cr_assert_eq(f->spans[2]->status, SPAN_ERROR);
	cr_assert_eq(f->spans[1]->status, SPAN_UNSET);
	cr_assert_eq(f->spans[3]->status, SPAN_ERROR);
	feed__free(f);
}

Test(mysql, calls)
{
	struct feed *f = begin();

	CALL(f, 11, .fn = WEFT_FN_MYSQL_QUERY, .object = CONN,
	     .text = "SELECT a FROM item WHERE b = \"secret\"");
	CALL(f, 11, .fn = WEFT_FN_MYSQL_QUERY, .object = CONN, .ret = 1,
	     .text = "SELECT \"a\\\"secret\" FROM item");
	CALL(f, 11, .fn = WEFT_FN_MYSQL_STMT_PREPARE, .object = STMT,
	     .text = "DELETE FROM item WHERE a=?");
	CALL(f, 11, .fn = WEFT_FN_MYSQL_STMT_EXECUTE, .object = STMT);
	CALL(f, 11, .fn = WEFT_FN_MYSQL_STMT_CLOSE, .object = STMT);
	CALL(f, 11, .fn = WEFT_FN_MYSQL_STMT_EXECUTE, .object = STMT, .ret = 1);
	feed__finish(f);
	cr_assert_eq(f->n_spans, 4);
	query(f, "SELECT a FROM item WHERE b = ?");
	cr_assert_eq(query(f, "SELECT ?")->status, SPAN_ERROR);
	query(f, "DELETE FROM item WHERE a=?");
	cr_assert_str_eq(str(f->spans[3], "error.type"), "_OTHER");
	feed__free(f);
}

Test(mysql, the_outer_call_tells)
{
	struct feed *f = begin();
	uint64_t began = f->now;

	f->now += 1000000;
	CALL(f, 11, .fn = WEFT_FN_MYSQL_QUERY, .object = CONN, .text = "BEGIN");
	CALL(f, 11, .fn = WEFT_FN_MYSQL_QUERY, .object = CONN, .text = "BEGIN", .begin = began);
	cr_assert_eq(only(f)->start_ns, began);
	feed__free(f);
}

/* ---- what is not believed ---- */

Test(call, nonsense_is_counted)
{
	struct feed *f = begin();

	CALL(f, 11, .fn = (enum weft_fn)12345, .text = "x");
	CALL(f, 11, .fn = WEFT_FN_SQLITE_EXEC, .begin = f->now + 5);
	CALL(f, 11, .fn = WEFT_FN_NONE);
	feed__finish(f);
	cr_assert_eq(f->n_spans, 0);
	cr_assert_eq(f->books.dropped[DROP_UNKNOWN_PROTOCOL], 2);
	cr_assert_eq(f->books.dropped[DROP_BROKEN], 1);
	feed__free(f);
}

/* ---- SQL ---- */

Test(sql, the_first_statement)
{
	static const struct {
		const char *text, *first;
	} cases[] = {
		{ "SELECT 1; SELECT 2", "SELECT 1;" },
		{ "SELECT 1", "SELECT 1" },
		{ "SELECT ';' ; x", "SELECT ';' ;" },
		{ "-- a;b\nSELECT 1;x", "-- a;b\nSELECT 1;" },
		{ ";SELECT 1", ";" },
		{ "", "" },
		{ "CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM b; SELECT 1; END; SELECT 2",
		  "CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM b; SELECT 1; END;" },
		{ "EXPLAIN create temp trigger t BEGIN SELECT CASE a WHEN 1 THEN 2 END; END ; x",
		  "EXPLAIN create temp trigger t BEGIN SELECT CASE a WHEN 1 THEN 2 END; END ;" },
		{ "CREATE TABLE trigger_log (a); x", "CREATE TABLE trigger_log (a);" },
		{ "CREATE TRIGGER t BEGIN SELECT 1; SELECT 2",
		  "CREATE TRIGGER t BEGIN SELECT 1; SELECT 2" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct slice s = sql__first(slice__cstr(cases[i].text));

		cr_assert(slice__eq(s, slice__cstr(cases[i].first)), "%s: " SLICE_FMT,
			  cases[i].text, SLICE_ARG(s));
	}
}

Test(sql, double_quotes_that_may_be_strings)
{
	static const struct {
		const char *text, *shown;
	} cases[] = {
		{ "SELECT \"id\", \"a\".\"b\" FROM \"t\" WHERE \"t\".\"id\" = \"x\"",
		  "SELECT \"id\", \"a\".\"b\" FROM \"t\" WHERE \"t\".\"id\" = ?" },
		{ "INSERT INTO \"t\" (\"a\", \"b\") VALUES (\"x\", \"y\")",
		  "INSERT INTO \"t\" (\"a\", \"b\") VALUES (?, ?)" },
		{ "UPDATE \"t\" SET \"a\" = \"x\", \"b\" = ? WHERE \"c\" IS NOT NULL",
		  "UPDATE \"t\" SET \"a\" = ?, \"b\" = ? WHERE \"c\" IS NOT NULL" },
		{ "SELECT a FROM t WHERE b IN (\"x\", \"y\") ORDER BY \"a\" LIMIT ?",
		  "SELECT a FROM t WHERE b IN (?) ORDER BY \"a\" LIMIT ?" },
		{ "SELECT a FROM t WHERE b LIKE \"x%\" AND c = lower(\"y\") OR d BETWEEN \"u\" AND \"v\"",
		  "SELECT a FROM t WHERE b LIKE ? AND c = lower(?) OR d BETWEEN ? AND ?" },
		{ "SELECT a FROM t GROUP BY \"a\" HAVING \"b\" > \"x\"",
		  "SELECT a FROM t GROUP BY \"a\" HAVING \"b\" > ?" },
		{ "CREATE TABLE \"t\" (\"a\" TEXT DEFAULT \"x\", \"b\" INT); CREATE INDEX \"i\" ON \"t\" (\"a\")",
		  "CREATE TABLE \"t\" (\"a\" TEXT DEFAULT ?, \"b\" INT); CREATE INDEX \"i\" ON \"t\" (\"a\")" },
		{ "SELECT 1 FROM [a b] JOIN `c d` ON [a b].x = @v AND y = $w AND z = ?3 AND q = :name AND r = X'00ff'",
		  "SELECT ? FROM [a b] JOIN `c d` ON [a b].x = @v AND y = $w AND z = ?3 AND q = :name AND r = ?" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct arena a;

		arena__init(&a, 4096);
		struct slice s = sql__redact_quotes(slice__cstr(cases[i].text), FACTS_QUOTES_EITHER,
						    &a, 1024);

		cr_assert(slice__eq(s, slice__cstr(cases[i].shown)), "%s:\n" SLICE_FMT,
			  cases[i].text, SLICE_ARG(s));
		arena__reset(&a);
	}
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From the facts of a database exchange to its span (semantic conventions 1.44, database client
 * spans).
 */
#include <criterion/criterion.h>

#include <stdio.h>

#include "../../user/span/conventions.h"

static struct span *made;

static void drop(void)
{
	span__free(made);
	made = NULL;
}

TestSuite(db_span, .fini = drop);

static const struct span_ends tcp_ends = {
	.server_addr = "10.0.0.2",
	.server_port = 5432,
	.client_addr = "10.0.0.1",
	.client_port = 40000,
};
static const struct span_ends unix_ends = { .server_addr = "/run/postgresql/.s.PGSQL.5432",
					    .is_unix = true };

static struct facts postgres(const char *query)
{
	return (struct facts){
		.area = FACTS_DB,
		.db = {
			.system = "postgresql",
			.default_port = 5432,
			.query = slice__cstr(query),
			.ns = SLICE("shop"),
			.query_lang = query ? FACTS_QUERY_SQL : FACTS_QUERY_NONE,
			.returned_rows = -1,
		},
	};
}

static struct facts redis(const char *op, const char *query)
{
	return (struct facts){
		.area = FACTS_DB,
		.db = {
			.system = "redis",
			.default_port = 6379,
			.operation = slice__cstr(op),
			.query = slice__cstr(query),
			.query_lang = FACTS_QUERY_REDACTED,
			.ns = SLICE("3"),
			.returned_rows = -1,
		},
	};
}

static void make_with(enum span_kind kind, struct facts f, const struct span_ends *ends,
		      struct span_options o)
{
	drop();
	made = span__new();
	made->kind = kind;
	span__from_db(made, &f, ends, &o);
}

static void make(enum span_kind kind, struct facts f, const struct span_ends *ends)
{
	make_with(kind, f, ends, (struct span_options){ 0 });
}

static void expect_name(const char *want)
{
	cr_expect(slice__eq(made->name, slice__cstr(want)), "wanted name %s, got " SLICE_FMT, want,
		  SLICE_ARG(made->name));
}

/* `want` NULL: the attribute is not there. */
static void expect_text(const char *key, const char *want)
{
	const struct attr *a = span__attr(made, key);

	if (!want || !a) {
		cr_expect(!want == !a, "%s is %s", key, a ? "there" : "not there");
		return;
	}
	cr_expect_eq(a->type, ATTR_STR, "%s is no text", key);
	cr_expect(slice__eq(attr__text(a), slice__cstr(want)), "%s: wanted %s, got " SLICE_FMT, key,
		  want, SLICE_ARG(attr__text(a)));
}

static void expect_int(const char *key, int64_t want)
{
	const struct attr *a = span__attr(made, key);

	cr_assert_not_null(a, "%s is not there", key);
	cr_expect_eq(a->type, ATTR_INT, "%s is no number", key);
	cr_expect_eq(a->i, want, "%s: wanted %ld, got %ld", key, (long)want, (long)a->i);
}

Test(db_span, query)
{
	struct facts f = postgres("SELECT name FROM items WHERE id = 7 AND name = 'bob'");

	f.db.returned_rows = 3;
	make(SPAN_CLIENT, f, &tcp_ends);
	expect_name("SELECT items");
	cr_expect_eq(made->status, SPAN_UNSET);
	expect_text("db.system.name", "postgresql");
	expect_text("db.namespace", "shop");
	expect_text("db.query.summary", "SELECT items");
	expect_text("db.query.text", "SELECT name FROM items WHERE id = ? AND name = ?");
	expect_int("db.response.returned_rows", 3);
	expect_text("db.operation.name", NULL);
	expect_text("db.collection.name", NULL);
	expect_text("db.response.status_code", NULL);
	expect_text("error.type", NULL);
}

Test(db_span, client_ends)
{
	struct span_ends other = tcp_ends;

	make(SPAN_CLIENT, postgres("SELECT 1"), &tcp_ends);
	expect_text("server.address", "10.0.0.2");
	expect_text("server.port", NULL); /* the default one */
	expect_text("network.peer.address", "10.0.0.2");
	expect_int("network.peer.port", 5432);
	expect_text("network.local.address", "10.0.0.1");
	expect_int("network.local.port", 40000);
	expect_text("client.address", NULL);

	other.server_port = 6432;
	make(SPAN_CLIENT, postgres("SELECT 1"), &other);
	expect_int("server.port", 6432);
}

Test(db_span, server_ends)
{
	make(SPAN_SERVER, postgres("SELECT 1"), &tcp_ends);
	expect_text("server.address", "10.0.0.2");
	expect_int("server.port", 5432);
	expect_text("client.address", "10.0.0.1");
	expect_int("client.port", 40000);
	expect_text("network.peer.address", NULL);
}

Test(db_span, unix_ends)
{
	make(SPAN_CLIENT, postgres("SELECT 1"), &unix_ends);
	expect_text("server.address", unix_ends.server_addr);
	expect_text("server.port", NULL);
	expect_text("network.peer.address", NULL);
	expect_text("network.local.port", NULL);
}

Test(db_span, raw_queries_when_asked_for)
{
	make_with(SPAN_CLIENT, postgres("SELECT 'bob'  FROM t"), &tcp_ends,
		  (struct span_options){ .raw_queries = true });
	expect_text("db.query.text", "SELECT 'bob'  FROM t");
	expect_text("db.query.summary", "SELECT t");
}

Test(db_span, errors)
{
	struct facts f = postgres("SELECT 1/0");

	f.db.error = true;
	f.db.status_code = SLICE("22012");
	f.db.error_message = SLICE("a secret value");
	make(SPAN_CLIENT, f, &tcp_ends);
	cr_expect_eq(made->status, SPAN_ERROR);
	cr_expect_eq(made->status_message.n, 0);
	expect_text("error.type", "22012");
	expect_text("db.response.status_code", "22012");

	f.db.status_code = (struct slice){ "", 0 };
	make(SPAN_CLIENT, f, &tcp_ends);
	expect_text("error.type", "_OTHER");

	f = postgres("SELECT 1");
	f.failure = "connection_reset";
	make(SPAN_CLIENT, f, &tcp_ends);
	cr_expect_eq(made->status, SPAN_ERROR);
	expect_text("error.type", "connection_reset");
	expect_text("db.response.status_code", NULL);

	/* A status code alone is no error. */
	f = postgres("SELECT 1");
	f.db.status_code = SLICE("01000");
	make(SPAN_CLIENT, f, &tcp_ends);
	cr_expect_eq(made->status, SPAN_UNSET);
	expect_text("error.type", NULL);
	for (unsigned i = 0; i < made->n_attrs; i++)
		cr_expect(made->attrs[i].type != ATTR_STR ||
			  !memmem(made->attrs[i].text, made->attrs[i].text_n, "secret", 6));
}

/* {summary}; {operation} {target}; {target}; {system} */
Test(db_span, names)
{
	struct facts f = postgres(NULL);
	struct span_ends nobody = { .server_addr = "" }, v6 = tcp_ends;

	make(SPAN_CLIENT, f, &tcp_ends);
	expect_name("shop");
	expect_text("db.query.text", NULL);
	f.db.ns = (struct slice){ "", 0 };
	make(SPAN_CLIENT, f, &tcp_ends);
	expect_name("10.0.0.2:5432");
	strcpy(v6.server_addr, "2001:db8::1");
	make(SPAN_CLIENT, f, &v6);
	expect_name("[2001:db8::1]:5432");
	make(SPAN_CLIENT, f, &unix_ends);
	expect_name(unix_ends.server_addr);
	make(SPAN_CLIENT, f, &nobody);
	expect_name("postgresql");
	f.db.operation = SLICE("findAndModify");
	make(SPAN_CLIENT, f, &nobody);
	expect_name("findAndModify");
	f.db.collection = SLICE("items");
	make(SPAN_CLIENT, f, &tcp_ends);
	expect_name("findAndModify items");
	f.db.summary = SLICE("better");
	make(SPAN_CLIENT, f, &tcp_ends);
	expect_name("better");
}

Test(db_span, redis_command)
{
	struct span_ends ends = tcp_ends;

	ends.server_port = 6379;
	make(SPAN_CLIENT, redis("HMSET", "HMSET myhash f ? g ?"), &ends);
	expect_name("HMSET 10.0.0.2:6379"); /* never the namespace */
	expect_text("db.operation.name", "HMSET");
	expect_text("db.query.text", "HMSET myhash f ? g ?"); /* as it is: no SQL */
	expect_text("db.query.summary", NULL);
	expect_text("db.namespace", "3");
	expect_text("server.port", NULL);
}

Test(db_span, batches)
{
	struct facts f = redis("SET", "SET a ?; SET b ?");

	f.db.batch_size = 2;
	make(SPAN_CLIENT, f, &unix_ends);
	expect_text("db.operation.name", "PIPELINE SET");
	expect_int("db.operation.batch.size", 2);
	f.db.operation = SLICE("PIPELINE SET"); /* said already */
	make(SPAN_CLIENT, f, &unix_ends);
	expect_text("db.operation.name", "PIPELINE SET");
	f.db.operation = SLICE("MULTI");
	make(SPAN_CLIENT, f, &unix_ends);
	expect_text("db.operation.name", "MULTI");
	f.db.operation = (struct slice){ "", 0 };
	make(SPAN_CLIENT, f, &unix_ends);
	expect_text("db.operation.name", "PIPELINE");

	f = postgres("INSERT INTO t VALUES (1)");
	f.db.batch_size = 3;
	make(SPAN_CLIENT, f, &tcp_ends);
	expect_name("BATCH INSERT t");
	expect_text("db.query.summary", "BATCH INSERT t");
	expect_text("db.operation.name", NULL);

	/* One operation is no batch. */
	f.db.batch_size = 1;
	make(SPAN_CLIENT, f, &tcp_ends);
	expect_name("INSERT t");
	cr_expect_null(span__attr(made, "db.operation.batch.size"));
}

Test(db_span, bad_utf8_reaches_neither_name_nor_text)
{
	make(SPAN_CLIENT, postgres("SELECT a FROM t\xff"), &tcp_ends);
	cr_expect_null(memchr(made->name.p, 0xff, made->name.n));
	const struct attr *text = span__attr(made, "db.query.text");

	cr_assert_not_null(text);
	cr_expect_null(memchr(text->text, 0xff, text->text_n));
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* SQL: what of it may be shown, and what it is called in short. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>

#include "../../user/span/conventions.h"

static struct arena arena;

static void begin(void)
{
	arena__init(&arena, 64 << 20);
}

static void end(void)
{
	arena__reset(&arena);
}

TestSuite(sql, .init = begin, .fini = end);

struct example {
	const char *sql, *want;
};

static void check(const struct example *e, size_t n, struct slice (*fn)(struct slice))
{
	for (size_t i = 0; i < n; i++) {
		struct slice got = fn(slice__cstr(e[i].sql));

		cr_expect(slice__eq(got, slice__cstr(e[i].want)),
			  "%s\n\twanted %s\n\tgot    " SLICE_FMT, e[i].sql, e[i].want,
			  SLICE_ARG(got));
	}
}

#define CHECK(examples, fn) check(examples, sizeof(examples) / sizeof(*(examples)), fn)

static struct slice redact(struct slice sql)
{
	return sql__redact(sql, &arena, 4096);
}

static struct slice summary(struct slice sql)
{
	return sql__summary(sql, &arena);
}

Test(sql, literals_become_question_marks)
{
	static const struct example examples[] = {
		{ "SELECT * FROM t WHERE a = 42 AND b = 'bob'",
		  "SELECT * FROM t WHERE a = ? AND b = ?" },
		{ "SELECT 1.5, .5, 1e-9, 0xFF, 1_000, 7::int8", "SELECT ?, ?, ?, ?, ?, ?::int8" },
		{ "SELECT a-5, (-5), a = -5, a - 5", "SELECT a-?, (?), a = ?, a - ?" },
		{ "SELECT 'it''s', E'it\\'s', N'n', X'ff', B'01', U&'\\0041', _utf8'x'",
		  "SELECT ?, ?, ?, ?, ?, ?, ?" },
		{ "SELECT $$it's$$, $t$a$$b$t$ FROM t", "SELECT ?, ? FROM t" },
		{ "SELECT true, FALSE, null, a IS TRUE, a IS NOT FALSE, t.true",
		  "SELECT ?, ?, null, a IS TRUE, a IS NOT FALSE, t.true" },
		{ "SELECT DATE'2020-01-01', INTERVAL '1 day', TIMESTAMP '2020-01-01 00:00'",
		  "SELECT DATE ?, INTERVAL ?, TIMESTAMP ?" },
		{ "SELECT 'a'\n 'b'", "SELECT ?" },
		{ "SELECT ARRAY[1,'x'], a[1], a[1:2]", "SELECT ARRAY[?,?], a[?], a[?:?]" },
		{ "", "" },
	};

	CHECK(examples, redact);
}

Test(sql, names_placeholders_and_operators_stay)
{
	static const struct example examples[] = {
		{ "SELECT t1.col2, \"Na''me 1\", `x 1`, [order 1] FROM t1",
		  "SELECT t1.col2, \"Na''me 1\", `x 1`, [order 1] FROM t1" },
		{ "SELECT $1, ?, :name, @p, @@v, %s, %(nm)s, ?2 WHERE a = :1",
		  "SELECT $1, ?, :name, @p, @@v, %s, %(nm)s, ?2 WHERE a = :1" },
		{ "SELECT j->'a'->>'b', j #>> '{a,b}', j ?| array['a'], j ? 'k', j @> '{}'",
		  "SELECT j->?->>?, j #>> ?, j ?| array[?], j ? ?, j @> ?" },
		{ "SELECT a$b$c, a%5, a::text", "SELECT a$b$c, a%?, a::text" },
		{ "SELECT  1\n\t FROM   t ;", "SELECT ? FROM t ;" },
		{ "SELECT \xc3\xa9t\xc3\xa9 FROM t", "SELECT \xc3\xa9t\xc3\xa9 FROM t" },
	};

	CHECK(examples, redact);
}

Test(sql, comments_go)
{
	static const struct example examples[] = {
		{ "SELECT 1 -- it's a secret\nFROM t", "SELECT ? FROM t" },
		{ "SELECT a/* it's /* nested */ secret */FROM t", "SELECT a FROM t" },
		{ "SELECT a FROM t # a MySQL secret\nWHERE b = 1", "SELECT a FROM t WHERE b = ?" },
		{ "SELECT a FROM #temp", "SELECT a FROM #temp" },
		{ "SELECT a /* cut", "SELECT a" },
	};

	CHECK(examples, redact);
}

Test(sql, lists_collapse)
{
	static const struct example examples[] = {
		{ "SELECT a IN (1, 2, 3) AND b IN ($1,$2) AND c IN ($1)",
		  "SELECT a IN (?) AND b IN (?) AND c IN ($1)" },
		{ "SELECT a IN (SELECT b FROM t WHERE c IN ('x', 'y'))",
		  "SELECT a IN (SELECT b FROM t WHERE c IN (?))" },
		{ "SELECT a IN (now(), 2, 3), (1, 2)", "SELECT a IN (now(), ?, ?), (?, ?)" },
		{ "INSERT INTO t VALUES (1, 'x'), (2, f('y')), (3, (4)) RETURNING id",
		  "INSERT INTO t VALUES (?, ?) RETURNING id" },
		{ "INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE a=VALUES(a), b=VALUES(b)",
		  "INSERT INTO t VALUES (?) ON DUPLICATE KEY UPDATE a=VALUES(a), b=VALUES(b)" },
		{ "SELECT a IN (1, 2, 'cut", "SELECT a IN (?" },
		{ "INSERT INTO t VALUES (1), (2), ('cut", "INSERT INTO t VALUES (?)" },
	};

	CHECK(examples, redact);
}

Test(sql, passwords_are_literals)
{
	static const struct example examples[] = {
		{ "ALTER ROLE bob WITH PASSWORD 'x' VALID UNTIL '2030-01-01'",
		  "ALTER ROLE bob WITH PASSWORD ? VALID UNTIL ?" },
		{ "CREATE USER a IDENTIFIED BY \"dq\"", "CREATE USER a IDENTIFIED BY ?" },
		{ "CREATE USER a IDENTIFIED WITH p BY \"dq\"",
		  "CREATE USER a IDENTIFIED WITH p BY ?" },
		{ "SET PASSWORD = \"dq\"", "SET PASSWORD = ?" },
		{ "SET PASSWORD FOR 'a'@'b' = PASSWORD(\"dq\")",
		  "SET PASSWORD FOR ?@? = PASSWORD(?)" },
		{ "SELECT a FROM t ORDER BY \"Name\"", "SELECT a FROM t ORDER BY \"Name\"" },
	};

	CHECK(examples, redact);
}

/* Where dialects disagree on the end of a string, nothing behind it is shown. */
Test(sql, ambiguous_strings_hide_the_rest)
{
	static const struct example examples[] = {
		{ "SELECT 'c:\\' , 'secret', 'x'", "SELECT ?" },
		{ "SELECT 'it\\'s secret' FROM t", "SELECT ?" },
		{ "SELECT 'a\\\\' FROM t", "SELECT ? FROM t" },
		{ "SELECT a LIKE 'x\\%' ESCAPE '\\' FROM t WHERE b = 'y'",
		  "SELECT a LIKE ? ESCAPE ? FROM t WHERE b = ?" },
		{ "SELECT 'unfinished FROM t", "SELECT ?" },
		{ "SELECT $a$ unfinished $b$", "SELECT ?" },
	};

	CHECK(examples, redact);
}

Test(sql, output_is_bounded_and_cut_between_tokens)
{
	static const char sql[] = "SELECT alpha, 'secret', beta FROM gamma";
	struct slice whole = redact(SLICE(sql));

	for (size_t max = 0; max <= sizeof(sql); max++) {
		struct slice got = sql__redact(SLICE(sql), &arena, max);

		cr_assert_leq(got.n, max);
		cr_assert(slice__starts(whole, got));
		cr_assert(got.n == whole.n || !got.n || strchr(" ,", whole.p[got.n]) ||
				  got.p[got.n - 1] == ' ',
			  "cut in a token");
	}
}

Test(sql, summaries)
{
	static const struct example examples[] = {
		{ "SELECT * FROM wuser_table WHERE a = 'FROM x'", "SELECT wuser_table" },
		{ "INSERT INTO shipping_details(a) SELECT a FROM orders",
		  "INSERT shipping_details SELECT orders" },
		{ "SELECT * FROM songs, artists WHERE a = b", "SELECT songs artists" },
		{ "SELECT o.a FROM (SELECT * FROM orders) o JOIN customers c ON o.id = c.id",
		  "SELECT SELECT orders customers" },
		{ "SELECT a FROM \"song list\", public.\"T\", `x`.`y`, db..t, [a b]",
		  "SELECT \"song list\" public.\"T\" `x`.`y` db..t [a b]" },
		{ "select count(*) from t where a in (select b from u)", "select t select u" },
		{ "WITH x AS (SELECT a FROM b), y AS (DELETE FROM z RETURNING *) UPDATE foo SET a = 1 FROM bar",
		  "SELECT b DELETE z UPDATE foo bar" },
		{ "SELECT EXTRACT(year FROM ts), TRIM(both FROM x) FROM t WHERE a IS DISTINCT FROM b",
		  "SELECT t" },
		{ "SELECT a FROM generate_series(1, 2) g, t", "SELECT t" },
		{ "SELECT a FROM (b JOIN c ON x = y) LEFT JOIN ONLY d USING (id)", "SELECT b c d" },
		{ "SELECT a FROM t FOR UPDATE OF t", "SELECT t" },
		{ "SELECT a FROM t UNION SELECT b FROM u", "SELECT t SELECT u" },
		{ "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2", "INSERT t" },
		{ "REPLACE INTO t VALUES (1)", "REPLACE t" },
		{ "UPDATE ONLY t SET a = replace(b, 'x', 'y')", "UPDATE t" },
		{ "DELETE FROM a USING b WHERE a.x = b.x", "DELETE a b" },
		{ "MERGE INTO a USING b ON x = y WHEN MATCHED THEN DELETE", "MERGE a b" },
		{ "CREATE TABLE IF NOT EXISTS s.t (a int)", "CREATE TABLE s.t" },
		{ "CREATE TEMP TABLE t AS SELECT * FROM u", "CREATE TABLE t SELECT u" },
		{ "CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)", "CREATE INDEX i" },
		{ "DROP TABLE IF EXISTS a, b.c CASCADE", "DROP TABLE a b.c" },
		{ "TRUNCATE t", "TRUNCATE t" },
		{ "CALL some_stored_procedure('x')", "CALL some_stored_procedure" },
		{ "EXECUTE some_stored_procedure", "EXECUTE some_stored_procedure" },
		{ "BEGIN; UPDATE a SET b = 1; COMMIT", "BEGIN UPDATE a COMMIT" },
		{ "START TRANSACTION READ ONLY", "START TRANSACTION" },
		{ "SAVEPOINT s1234", "SAVEPOINT" },
		{ "COPY t (a, b) FROM STDIN", "COPY t" },
		{ "COPY (SELECT a FROM t) TO STDOUT", "COPY SELECT t" },
		{ "EXPLAIN (ANALYZE) DELETE FROM t", "EXPLAIN DELETE t" },
		{ "DECLARE c123 CURSOR FOR SELECT a FROM t", "DECLARE SELECT t" },
		{ "-- SELECT x\n/* FROM y */ SELECT a FROM t", "SELECT t" },
		{ "SELECT 1", "SELECT" },
		{ "SELECT a FROM 'cut", "SELECT" },
		{ "mumble FROM t", "" },
		{ "", "" },
	};

	CHECK(examples, summary);
}

Test(sql, summaries_end_between_tokens)
{
	char sql[8192] = "SELECT a FROM t0";

	for (int i = 1; i < 500; i++)
		sprintf(sql + strlen(sql), ", table_%d", i);
	struct slice s = summary(slice__cstr(sql));

	cr_assert_leq(s.n, 255);
	cr_assert_geq(s.n, 240);
	cr_assert(slice__starts(s, SLICE("SELECT t0 table_1 table_2 ")));
	/* The last word is a whole one. */
	const char *last = (const char *)memrchr(s.p, ' ', s.n) + 1;
	char word[300];

	snprintf(word, sizeof(word), "%.*s,", (int)(s.p + s.n - last), last);
	cr_assert_not_null(strstr(sql, word), "'%s' is no table", word);
}

/* ---- no byte of a literal comes out, whatever it is made of ---- */

#define MARK "zQ7"

static unsigned seed = 12345;

static unsigned rnd(unsigned n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % n;
}

/* Nasty text with the mark in it many times. */
static void nasty(char *to, size_t parts)
{
	static const char *const bits[] = { "'",  "\"",      "\\",     "$",        "$$", "--", "/*",
					    "*/", "#",       "\n",     " ",        ",",  ")",  "(",
					    ";",  "SELECT ", " FROM ", "`",        "[",  "]",  "%s",
					    "?",  ":",       "E'",     "\xc3\xa9", "$t$" };

	*to = '\0';
	for (size_t i = 0; i < parts; i++) {
		strcat(to, bits[rnd(sizeof(bits) / sizeof(*bits))]);
		strcat(to, MARK);
	}
}

static void put_quoted(char *to, const char *text, const char *prefix, bool backslashes)
{
	to += sprintf(to, "%s'", prefix);
	for (; *text; text++) {
		if (backslashes && (*text == '\'' || *text == '\\'))
			*to++ = '\\';
		else if (*text == '\'')
			*to++ = '\'';
		*to++ = *text;
	}
	strcpy(to, "'");
}

/* One literal or comment of some dialect; `sep` must follow. */
static void put_literal(char *to, unsigned how)
{
	char text[512];

	nasty(text, 1 + rnd(6));
	switch (how) {
	case 0: put_quoted(to, text, "", false); break; /* standard */
	case 1: put_quoted(to, text, "", true); break;  /* MySQL */
	case 2: put_quoted(to, text, "E", true); break;
	case 3: put_quoted(to, text, "N", false); break;
	case 4: put_quoted(to, text, "U&", false); break;
	case 5:
		for (char *p; (p = strchr(text, '$'));)
			*p = '\'';
		sprintf(to, "$x$%s$x$", text);
		break;
	case 6: sprintf(to, "0x7" MARK "7"); break;
	case 7: sprintf(to, "7" MARK); break;
	case 8:
		for (char *p; (p = strchr(text, '\n'));)
			*p = '-';
		sprintf(to, "-- %s\n", text);
		break;
	case 9:
		for (char *p; (p = strchr(text, '\n'));)
			*p = '-';
		sprintf(to, "# %s\n", text);
		break;
	default:
		for (char *p; (p = strpbrk(text, "*/"));)
			*p = '+';
		sprintf(to, "/* %s */", text);
	}
}

static void fill(char *to, const char *form, bool mysql)
{
	for (; *form; form++) {
		if (*form != '^') {
			*to++ = *form;
			continue;
		}
		/* One text is of one dialect: a standard string and a MySQL string do not meet. */
		unsigned how = rnd(11);

		if (how < 2)
			how = mysql;
		if (mysql && (how == 3 || how == 4 || how == 5))
			how = 1;
		if (!mysql && how == 9)
			how = 8;
		put_literal(to, how);
		to += strlen(to);
	}
	*to = '\0';
}

Test(sql, no_literal_leaks)
{
	static const char *const forms[] = {
		"SELECT a FROM t WHERE b = ^ AND c = ^ OR d = ^",
		"INSERT INTO t (a, b) VALUES ( ^ , ^ ), ( ^ , ^ ) RETURNING a",
		"SELECT a IN ( ^ , ^ , ^ ) FROM t , u WHERE f( ^ ) LIKE ^ ESCAPE '!'",
		"ALTER USER x PASSWORD ^ ; UPDATE t SET a = ^ WHERE b = ^",
		"WITH a AS (SELECT ^ ) MERGE INTO t USING a ON x = ^ WHEN MATCHED THEN DELETE",
		"SELECT j -> ^ #>> '{}' , ARRAY[ ^ , ^ ] FROM t ORDER BY ^",
	};
	char sql[16384];

	for (int round = 0; round < 4000; round++) {
		fill(sql, forms[rnd(sizeof(forms) / sizeof(*forms))], rnd(2));
		size_t n = strlen(sql);

		/* Whole, and cut somewhere. */
		for (int cut = 0; cut < 4; cut++) {
			struct slice in = slice__from(sql, cut ? rnd((unsigned)n) : n),
				     out = redact(in), sum = summary(in);

			cr_assert(!out.n || !memmem(out.p, out.n, MARK, 3),
				  "%.*s\n\tgave " SLICE_FMT, (int)in.n, sql, SLICE_ARG(out));
			cr_assert(!sum.n || !memmem(sum.p, sum.n, MARK, 3),
				  "%.*s\n\tgave " SLICE_FMT, (int)in.n, sql, SLICE_ARG(sum));
		}
		end();
		begin();
	}
}

/* Time must grow with the text, not with its square. */
Test(sql, time_is_linear, .timeout = 60)
{
	static const char *const patterns[] = {
		"(",     "'", "''", "\\'", "/*", "$a",      "$a$",   "a.", "IN(1,", "#>",
		"FROM ", "[", "\"", "%(",  "-",  "VALUES(", "'\\'x", ":1", "E'",
	};
	/* Work that grows with the square would not be done before the test's time is up. */
	size_t size = 256 << 10;
	char *sql = malloc(size);

	for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns); i++) {
		size_t n = strlen(patterns[i]);

		for (size_t k = 0; k < size; k++)
			sql[k] = patterns[i][k % n];
		redact(slice__from(sql, size));
		summary(slice__from(sql, size));
	}
	free(sql);
}

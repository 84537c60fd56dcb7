// SPDX-License-Identifier: GPL-2.0-or-later
#include "context.h"

#include <stddef.h>

#include "../lib/percent.h"

/* Several headers of one name. */
enum again {
	AGAIN_FIRST, /* the first counts */
	AGAIN_JOIN,  /* they are one list */
	AGAIN_FAULT, /* none counts */
};

static const struct carrier {
	struct slice name;
	size_t at; /* in struct facts_context */
	enum again again;
} carriers[] = {
	{ SLICE("traceparent"), offsetof(struct facts_context, traceparent), AGAIN_FAULT },
	{ SLICE("tracestate"), offsetof(struct facts_context, tracestate), AGAIN_JOIN },
	{ SLICE("baggage"), offsetof(struct facts_context, baggage), AGAIN_JOIN },
	{ SLICE("b3"), offsetof(struct facts_context, b3), AGAIN_FIRST },
	{ SLICE("x-b3-traceid"), offsetof(struct facts_context, b3_trace), AGAIN_FIRST },
	{ SLICE("x-b3-spanid"), offsetof(struct facts_context, b3_span), AGAIN_FIRST },
	{ SLICE("x-b3-sampled"), offsetof(struct facts_context, b3_sampled), AGAIN_FIRST },
	{ SLICE("x-b3-flags"), offsetof(struct facts_context, b3_flags), AGAIN_FIRST },
	{ SLICE("uber-trace-id"), offsetof(struct facts_context, uber), AGAIN_FIRST },
	{ SLICE("x-amzn-trace-id"), offsetof(struct facts_context, amzn), AGAIN_FIRST },
	{ SLICE("x-request-id"), offsetof(struct facts_context, request_id), AGAIN_FIRST },
	{ SLICE("sw8"), offsetof(struct facts_context, sw8), AGAIN_FIRST },
};

/* A bit for the length of each name above: most headers have another. */
#define LENGTHS (1 << 2 | 1 << 3 | 1 << 7 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 15)

static void join(struct slice *have, struct message *m, struct slice value)
{
	if (!value.n)
		return;
	*have = arena__printf(&m->keep, SLICE_FMT "," SLICE_FMT, SLICE_ARG(*have),
			      SLICE_ARG(value));
	if (!have->n)
		m->truncated = true;
}

bool context__take(struct facts_context *c, struct message *m, struct slice name,
		   struct slice value)
{
	if (name.n > 15 || !(LENGTHS >> name.n & 1))
		return false;
	for (size_t i = 0; i < sizeof(carriers) / sizeof(carriers[0]); i++) {
		const struct carrier *k = &carriers[i];
		struct slice *have = (struct slice *)((char *)c + k->at);

		if (!slice__ieq(name, k->name))
			continue;
		if (!have->p || (k->again == AGAIN_JOIN && !have->n))
			*have = message__keep(m, value);
		else if (k->again == AGAIN_JOIN)
			join(have, m, value);
		else if (k->again == AGAIN_FAULT)
			c->duplicate = true;
		return true;
	}
	return false;
}

bool context__none(const struct facts_context *c)
{
	for (size_t i = 0; i < sizeof(carriers) / sizeof(carriers[0]); i++)
		if (((const struct slice *)((const char *)c + carriers[i].at))->p)
			return false;
	return true;
}

/* sqlcommenter encodes with percent signs, then quotes with backslashes; empty: there is no room. */
static struct slice decode(struct slice s, struct arena *keep)
{
	char *out = arena__alloc(keep, s.n + 1);
	size_t n = 0;

	for (size_t i = 0; out && i < s.n; i++)
		if (s.p[i] != '\\' || i + 1 == s.n)
			out[n++] = s.p[i];
	return percent__decode(slice__from(out ? out : "", n), keep);
}

/* The inside of the comment with which the statement ends; empty if it ends otherwise. */
static struct slice last_comment(struct slice sql)
{
	while (sql.n && strchr("; \t\r\n", sql.p[sql.n - 1]) && sql.p[sql.n - 1])
		sql.n--;
	if (sql.n < 4 || memcmp(sql.p + sql.n - 2, "*/", 2) != 0)
		return slice__from(sql.p, 0);
	for (size_t i = sql.n - 3; i > 0; i--)
		if (sql.p[i - 1] == '/' && sql.p[i] == '*')
			return slice__from(sql.p + i + 1, sql.n - i - 3);
	return slice__from(sql.p, 0);
}

void context__from_sql(struct facts_context *c, struct slice sql, struct arena *keep)
{
	struct slice s = last_comment(sql);

	while (s.n) {
		struct slice key = slice__upto(s, '=');
		size_t end = key.n + 2;

		if (s.n < end || s.p[key.n + 1] != '\'')
			return;
		while (end < s.n && s.p[end] != '\'')
			end += s.p[end] == '\\' ? 2 : 1;
		if (end >= s.n)
			return;
		struct slice value = slice__from(s.p + key.n + 2, end - key.n - 2);

		key = slice__trim(key);
		if (slice__eq(key, SLICE("traceparent")))
			c->traceparent = decode(value, keep);
		else if (slice__eq(key, SLICE("tracestate")))
			c->tracestate = decode(value, keep);
		end++;
		s = slice__trim(slice__from(s.p + end, s.n - end));
		if (s.n && s.p[0] != ',')
			return;
		s = slice__from(s.p + (s.n > 0), s.n - (s.n > 0));
	}
}

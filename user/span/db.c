// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Database spans by the semantic conventions 1.44 ("Database client spans", stable core). The same
 * attributes stand on the SERVER span of a database that is itself traced; the conventions have no
 * page for that.
 *
 * Literals: a query in SQL is redacted here unless the user asked for raw queries by name. The
 * server's error text is never exported, because it quotes values ("Key (email)=(...) already
 * exists").
 */
#include <stdio.h>
#include <string.h>

#include "conventions.h"

#define REDIS "redis"

static struct slice first_of(struct slice a, struct slice b)
{
	return a.n ? a : b;
}

static bool is_redis(const struct facts_db *db)
{
	return strcmp(db->system, REDIS) == 0;
}

/* "BATCH <what>"; Redis calls its batches PIPELINE or MULTI, and may have said so already. */
static struct slice batch_name(const struct facts_db *db, struct slice what, struct arena *a)
{
	const char *prefix = is_redis(db) ? "PIPELINE" : "BATCH";

	if (db->batch_size < 2)
		return what;
	if (slice__starts(what, SLICE("PIPELINE")) || slice__starts(what, SLICE("MULTI")) ||
	    slice__starts(what, SLICE("BATCH")))
		return what;
	if (!what.n)
		return slice__cstr(prefix);
	return arena__printf(a, "%s " SLICE_FMT, prefix, SLICE_ARG(what));
}

/*
 * {target} of the span name: collection, else namespace (not for Redis: an index says nothing),
 * else the server.
 */
static struct slice target(const struct facts_db *db, struct slice collection, struct slice ns,
			   const struct span_ends *ends, struct arena *a)
{
	if (collection.n)
		return collection;
	if (ns.n && !is_redis(db))
		return ns;
	if (!ends->server_addr[0])
		return (struct slice){ "", 0 };
	if (ends->is_unix || !ends->server_port)
		return arena__printf(a, "%s", ends->server_addr);
	return arena__printf(a, strchr(ends->server_addr, ':') ? "[%s]:%d" : "%s:%d",
			     ends->server_addr, ends->server_port);
}

static struct slice span_name(const struct facts_db *db, struct slice summary,
			      struct slice operation, struct slice to, struct arena *a)
{
	if (summary.n)
		return summary;
	if (operation.n && to.n)
		return arena__printf(a, SLICE_FMT " " SLICE_FMT, SLICE_ARG(operation),
				     SLICE_ARG(to));
	return first_of(first_of(operation, to), slice__cstr(db->system));
}

static void set_query(struct span *s, const struct facts_db *db, const struct span_options *o)
{
	struct slice text = db->query;

	if (!text.n || db->query_lang == FACTS_QUERY_NONE)
		return;
	if (db->query_lang == FACTS_QUERY_SQL && !o->raw_queries)
		text = sql__redact_quotes(text, db->quotes, &s->arena, SPAN_VALUE_MAX);
	span__set_str(s, "db.query.text", text);
}

static void set_outcome(struct span *s, const struct facts *f)
{
	const struct facts_db *db = &f->db;

	span__set_str(s, "db.response.status_code", db->status_code);
	if (db->error || f->failure) {
		s->status = SPAN_ERROR;
		span__set_str(s, "error.type",
			      db->error && db->status_code.n ? db->status_code
			      : f->failure                   ? slice__cstr(f->failure)
							     : SLICE("_OTHER"));
	}
	if (db->batch_size >= 2)
		span__set_int(s, "db.operation.batch.size", db->batch_size);
	if (db->returned_rows >= 0)
		span__set_int(s, "db.response.returned_rows", db->returned_rows);
}

static void set_port(struct span *s, const char *key, int port)
{
	if (port > 0)
		span__set_int(s, key, port);
}

static void set_client_ends(struct span *s, int default_port, const struct span_ends *ends)
{
	span__set_str(s, "server.address", span_ends__server(ends));
	if (ends->is_unix)
		return; /* a path is all there is */
	if (ends->server_addr[0] && ends->server_port != default_port)
		set_port(s, "server.port", ends->server_port);
	span__set_str(s, "network.peer.address", slice__cstr(ends->server_addr));
	set_port(s, "network.peer.port", ends->server_port);
	span__set_str(s, "network.local.address", slice__cstr(ends->client_addr));
	set_port(s, "network.local.port", ends->client_port);
}

/* Both ends with their ports: a server span is told from another by them. */
static void set_server_ends(struct span *s, const struct span_ends *ends)
{
	span__set_str(s, "server.address", slice__cstr(ends->server_addr));
	if (ends->is_unix)
		return;
	set_port(s, "server.port", ends->server_port);
	span__set_str(s, "client.address", slice__cstr(ends->client_addr));
	set_port(s, "client.port", ends->client_port);
}

/* As an attribute it is valid UTF-8 and bounded; the name is made of what is returned. */
static struct slice set_text(struct span *s, const char *key, struct slice text)
{
	span__set_str(s, key, text);

	const struct attr *a = text.n ? span__attr(s, key) : NULL;

	return a ? attr__text(a) : (struct slice){ "", 0 };
}

void span__from_db(struct span *s, const struct facts *f, const struct span_ends *ends,
		   const struct span_options *o)
{
	const struct facts_db *db = &f->db;
	struct slice summary = db->summary, operation = db->operation, collection, ns;

	if (!summary.n && db->query_lang == FACTS_QUERY_SQL)
		summary = sql__summary(db->query, &s->arena);
	if (summary.n)
		summary = batch_name(db, summary, &s->arena);
	if (operation.n || !summary.n)
		operation = batch_name(db, operation, &s->arena);

	span__set_str(s, "db.system.name", slice__cstr(db->system));
	ns = set_text(s, "db.namespace", db->ns);
	operation = set_text(s, "db.operation.name", operation);
	collection = set_text(s, "db.collection.name", db->collection);
	summary = set_text(s, "db.query.summary", summary);
	s->name = span_name(db, summary, operation, target(db, collection, ns, ends, &s->arena),
			    &s->arena);
	set_query(s, db, o);
	set_outcome(s, f);
	if (s->kind == SPAN_SERVER)
		set_server_ends(s, ends);
	else
		set_client_ends(s, db->default_port, ends);
}

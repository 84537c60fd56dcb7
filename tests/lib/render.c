// SPDX-License-Identifier: GPL-2.0-or-later
#include "render.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void put_escaped(FILE *o, struct slice s, bool quoted)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '\r')
			fputs("\\r", o);
		else if (c == '\n')
			fputs("\\n", o);
		else if (c == '\\' || (quoted && c == '"'))
			fprintf(o, "\\%c", c);
		else if (c < 0x20 || c > 0x7e)
			fprintf(o, "\\x%02x", c);
		else
			putc(c, o);
	}
}

/*
 * ` key=value`, quoted where the value has a space, a quote or is no plain word; nothing for an
 * empty slice.
 */
static void put(FILE *o, const char *key, struct slice s)
{
	bool quoted = !strcmp(key, "query") || memchr(s.p ? s.p : "", ' ', s.n) ||
		      memchr(s.p ? s.p : "", '"', s.n);

	if (!s.n)
		return;
	fprintf(o, " %s=%s", key, quoted ? "\"" : "");
	put_escaped(o, s, quoted);
	if (quoted)
		putc('"', o);
}

static void put_number(FILE *o, const char *key, int64_t n)
{
	if (n >= 0)
		fprintf(o, " %s=%" PRId64, key, n);
}

static void put_http(FILE *o, const struct facts_http *h)
{
	fputs("http ", o);
	put_escaped(o, h->method, false);
	putc(' ', o);
	put_escaped(o, h->target, false);
	put(o, "host", h->host);
	put(o, "version", h->version);
	put(o, "ua", h->user_agent);
	put(o, "xff", h->x_forwarded_for);
	put(o, "xfproto", h->x_forwarded_proto);
	put(o, "xfhost", h->x_forwarded_host);
	put(o, "forwarded", h->forwarded);
	put_number(o, "status", h->status);
	put_number(o, "req_body", h->request_body);
	put_number(o, "resp_body", h->response_body);
}

static void put_db(FILE *o, const struct facts_db *d)
{
	static const char *const lang[] = { "none", "sql", "redacted" };

	fprintf(o, "db %s", d->system ? d->system : "?");
	put(o, "op", d->operation);
	put(o, "query", d->query);
	if (d->query.n && d->query_lang != FACTS_QUERY_REDACTED)
		fprintf(o, " lang=%s", lang[d->query_lang]);
	if (d->query_truncated)
		fputs(" query-truncated", o);
	put(o, "summary", d->summary);
	put(o, "coll", d->collection);
	put(o, "ns", d->ns);
	if (d->batch_size >= 2)
		fprintf(o, " batch=%d", d->batch_size);
	put_number(o, "rows", d->returned_rows);
	put(o, "status", d->status_code);
	if (d->error)
		fputs(" error", o);
	put(o, "message", d->error_message);
}

static void put_rpc(FILE *o, const struct facts_rpc *r)
{
	fprintf(o, "rpc %s", r->system ? r->system : "?");
	put(o, "method", r->method);
	put(o, "host", r->host);
	put_number(o, "status", r->status);
	put(o, "message", r->message);
	put_number(o, "timeout", r->timeout_ns);
	if (r->cancelled)
		fputs(" cancelled", o);
}

static void put_flags(FILE *o, unsigned flags)
{
	static const char *const names[] = { "no-request", "no-response", "cut",
					     "lost",       "reset",       "stopped" };
	const char *sep = " [";

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!(flags & (1U << i)))
			continue;
		fprintf(o, "%s%s", sep, names[i]);
		sep = " ";
	}
	if (flags)
		putc(']', o);
}

char *render__exchange(bool span, const struct facts *f, unsigned exchange_flags)
{
	char *text = NULL;
	size_t n;
	FILE *o = open_memstream(&text, &n);

	if (!o)
		abort();
	if (!span)
		fputs("control", o);
	else if (f->area == FACTS_HTTP)
		put_http(o, &f->http);
	else if (f->area == FACTS_DB)
		put_db(o, &f->db);
	else if (f->area == FACTS_RPC)
		put_rpc(o, &f->rpc);
	else
		fputs("nothing", o);
	put(o, "traceparent", f->context.traceparent);
	put(o, "tracestate", f->context.tracestate);
	if (f->context.duplicate)
		fputs(" traceparent-duplicate", o);
	if (f->failure)
		fprintf(o, " failure=%s", f->failure);
	put_flags(o, exchange_flags);
	fclose(o);
	return text;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * --output json: one flat object a span a line, for jq and grep.
 *
 *   {"trace_id":"..","span_id":"..","parent_id":null,"service":"shop","pid":1234,"name":"GET",
 *    "kind":"SERVER","start":"2026-01-02T03:04:05.000000006Z","start_ns":1767323045000000006,
 *    "duration_ms":1.234567,"status":"UNSET","protocol":"http",
 *    "attributes":{"http.request.method":"GET", ...}}
 *
 * and, where a span has links, "links":[{"trace_id":"..","span_id":".."}] behind them.
 *
 * Numbers are JSON numbers. Readers that keep numbers as doubles lose the end of start_ns: `start`
 * has every digit.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "../lib/json_out.h"
#include "view_ops.h"

struct json_view {
	struct view base;
	FILE *out;
	struct json_out j;
	int err; /* the first failure to write; nothing is written after it */
};

static void put_time(struct json_out *j, uint64_t ns)
{
	time_t seconds = (time_t)(ns / 1000000000u);
	struct tm tm;
	char text[32];

	if (!gmtime_r(&seconds, &tm) || !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm))
		json_out__null(j);
	else
		json_out__printf(j, "\"%s.%09uZ\"", text, (unsigned)(ns % 1000000000u));
}

static void put_parent(struct json_out *j, const uint8_t id[8])
{
	static const uint8_t none[8];

	if (memcmp(id, none, 8) == 0)
		json_out__null(j);
	else
		json_out__hex(j, id, 8);
}

static void put_origin(struct json_out *j, const struct resource *r)
{
	json_out__lit(j, "service");
	if (r)
		json_out__str(j, slice__cstr(resource__service(r)));
	else
		json_out__null(j);
	json_out__lit(j, "pid");
	if (r && r->pid)
		json_out__uint(j, r->pid);
	else
		json_out__null(j);
}

static void put_attr(struct json_out *j, const struct attr *a)
{
	json_out__key(j, slice__cstr(a->key));
	switch (a->type) {
	case ATTR_STR: json_out__str(j, attr__text(a)); break;
	case ATTR_INT: json_out__int(j, a->i); break;
	case ATTR_BOOL: json_out__bool(j, a->b); break;
	case ATTR_DOUBLE: json_out__double(j, a->d); break;
	}
}

static void put_what(struct json_out *j, const struct span *s)
{
	static const char *const kinds[] = {
		[SPAN_INTERNAL] = "INTERNAL", [SPAN_SERVER] = "SERVER",
		[SPAN_CLIENT] = "CLIENT",     [SPAN_PRODUCER] = "PRODUCER",
		[SPAN_CONSUMER] = "CONSUMER",
	};
	static const char *const statuses[] = {
		[SPAN_UNSET] = "UNSET", [SPAN_OK] = "OK", [SPAN_ERROR] = "ERROR"
	};
	uint64_t duration = s->end_ns - s->start_ns;

	json_out__lit(j, "name");
	json_out__str(j, s->name);
	json_out__lit(j, "kind");
	json_out__str(j, slice__cstr(kinds[s->kind]));
	json_out__lit(j, "start");
	put_time(j, s->start_ns);
	json_out__lit(j, "start_ns");
	json_out__uint(j, s->start_ns);
	json_out__lit(j, "duration_ms");
	json_out__printf(j, "%llu.%06u", (unsigned long long)(duration / 1000000),
			 (unsigned)(duration % 1000000));
	json_out__lit(j, "status");
	json_out__str(j, slice__cstr(statuses[s->status]));
	json_out__lit(j, "protocol");
	if (s->protocol)
		json_out__str(j, slice__cstr(s->protocol));
	else
		json_out__null(j);
}

static void put_links(struct json_out *j, const struct span *s)
{
	if (!s->n_links)
		return;
	json_out__lit(j, "links");
	json_out__array(j);
	for (unsigned i = 0; i < s->n_links; i++) {
		json_out__object(j);
		json_out__lit(j, "trace_id");
		json_out__hex(j, s->links[i].trace_id, 16);
		json_out__lit(j, "span_id");
		json_out__hex(j, s->links[i].span_id, 8);
		json_out__end_object(j);
	}
	json_out__end_array(j);
}

static void put_span(struct json_out *j, const struct span *s)
{
	json_out__object(j);
	json_out__lit(j, "trace_id");
	json_out__hex(j, s->trace_id, 16);
	json_out__lit(j, "span_id");
	json_out__hex(j, s->span_id, 8);
	json_out__lit(j, "parent_id");
	put_parent(j, s->parent_id);
	put_origin(j, s->resource);
	put_what(j, s);
	json_out__lit(j, "attributes");
	json_out__object(j);
	for (unsigned i = 0; i < s->n_attrs; i++)
		put_attr(j, &s->attrs[i]);
	json_out__end_object(j);
	put_links(j, s);
	json_out__end_object(j);
	json_out__newline(j);
}

static void json_view__trace(struct view *view, struct trace *t)
{
	struct json_view *v = (struct json_view *)view;

	if (v->err)
		return;
	json_out__reset(&v->j);
	for (unsigned i = 0; i < t->n; i++)
		put_span(&v->j, t->spans[i]);
	errno = 0;
	if (v->j.failed)
		v->err = -ENOMEM;
	else if (fwrite(v->j.p, 1, v->j.n, v->out) != v->j.n)
		v->err = errno ? -errno : -EIO;
}

static int json_view__tick(struct view *view, uint64_t now_ns)
{
	struct json_view *v = (struct json_view *)view;

	(void)now_ns;
	errno = 0;
	if (!v->err && fflush(v->out) != 0)
		v->err = errno ? -errno : -EIO;
	return v->err;
}

static int json_view__close(struct view *view)
{
	struct json_view *v = (struct json_view *)view;
	int err = json_view__tick(view, 0);

	json_out__free(&v->j);
	free(v);
	return err;
}

static const struct view_ops json_ops = {
	.trace = json_view__trace,
	.tick = json_view__tick,
	.close = json_view__close,
};

struct view *view__json(const struct view_config *cfg)
{
	struct json_view *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->base.ops = &json_ops;
	v->out = cfg->out;
	json_out__init(&v->j);
	return &v->base;
}

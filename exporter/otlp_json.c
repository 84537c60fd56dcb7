// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Spans as OTLP/JSON: lowerCamelCase keys, hex ids, enums as integers, 64-bit integers as decimal
 * strings, fields that have their default value left out.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "../user/lib/json_out.h"
#include "../user/lib/version.h"
#include "exporter.h"
#include "otlp.h"

static void begin_attr(struct json_out *j, const char *key)
{
	json_out__object(j);
	json_out__lit(j, "key");
	json_out__str(j, slice__cstr(key));
	json_out__lit(j, "value");
	json_out__object(j);
}

static void end_attr(struct json_out *j)
{
	json_out__end_object(j);
	json_out__end_object(j);
}

static void put_str_value(struct json_out *j, struct slice s)
{
	json_out__lit(j, "stringValue");
	json_out__str(j, s);
}

static void put_int_value(struct json_out *j, int64_t i)
{
	json_out__lit(j, "intValue");
	json_out__int_str(j, i);
}

static void put_attr(struct json_out *j, const struct attr *a)
{
	begin_attr(j, a->key);
	switch (a->type) {
	case ATTR_STR: put_str_value(j, attr__text(a)); break;
	case ATTR_INT: put_int_value(j, a->i); break;
	case ATTR_BOOL:
		json_out__lit(j, "boolValue");
		json_out__bool(j, a->b);
		break;
	case ATTR_DOUBLE:
		json_out__lit(j, "doubleValue");
		json_out__double(j, a->d);
		break;
	}
	end_attr(j);
}

static void put_links(struct json_out *j, const struct span *s)
{
	json_out__lit(j, "links");
	json_out__array(j);
	for (unsigned i = 0; i < s->n_links; i++) {
		json_out__object(j);
		json_out__lit(j, "traceId");
		json_out__hex(j, s->links[i].trace_id, 16);
		json_out__lit(j, "spanId");
		json_out__hex(j, s->links[i].span_id, 8);
		if (s->links[i].trace_state.n) {
			json_out__lit(j, "traceState");
			json_out__str(j, s->links[i].trace_state);
		}
		json_out__end_object(j);
	}
	json_out__end_array(j);
}

static void put_status(struct json_out *j, const struct span *s)
{
	json_out__lit(j, "status");
	json_out__object(j);
	if (s->status == SPAN_ERROR && s->status_message.n) {
		json_out__lit(j, "message");
		json_out__str(j, s->status_message);
	}
	json_out__lit(j, "code");
	json_out__int(j, s->status);
	json_out__end_object(j);
}

static void put_identity(struct json_out *j, const struct span *s)
{
	static const uint8_t none[8];

	json_out__lit(j, "traceId");
	json_out__hex(j, s->trace_id, 16);
	json_out__lit(j, "spanId");
	json_out__hex(j, s->span_id, 8);
	if (s->trace_state.n) {
		json_out__lit(j, "traceState");
		json_out__str(j, s->trace_state);
	}
	if (memcmp(s->parent_id, none, 8) != 0) {
		json_out__lit(j, "parentSpanId");
		json_out__hex(j, s->parent_id, 8);
	}
	if (s->flags) {
		json_out__lit(j, "flags");
		json_out__uint(j, s->flags);
	}
}

static void put_span(struct json_out *j, const struct span *s)
{
	json_out__object(j);
	put_identity(j, s);
	json_out__lit(j, "name");
	json_out__str(j, s->name);
	json_out__lit(j, "kind");
	json_out__int(j, s->kind);
	json_out__lit(j, "startTimeUnixNano");
	json_out__uint_str(j, s->start_ns);
	json_out__lit(j, "endTimeUnixNano");
	json_out__uint_str(j, s->end_ns);
	if (s->n_attrs) {
		json_out__lit(j, "attributes");
		json_out__array(j);
		for (unsigned i = 0; i < s->n_attrs; i++)
			put_attr(j, &s->attrs[i]);
		json_out__end_array(j);
	}
	if (s->dropped_attrs) {
		json_out__lit(j, "droppedAttributesCount");
		json_out__uint(j, s->dropped_attrs);
	}
	if (s->n_links)
		put_links(j, s);
	if (s->status != SPAN_UNSET)
		put_status(j, s);
	json_out__end_object(j);
}

static void put_resource(struct json_out *j, const struct resource *r)
{
	json_out__lit(j, "resource");
	json_out__object(j);
	json_out__lit(j, "attributes");
	json_out__array(j);
	for (unsigned i = 0; i < r->n; i++) {
		begin_attr(j, r->attrs[i].key);
		if (r->attrs[i].type == ATTR_INT)
			put_int_value(j, r->attrs[i].i);
		else
			put_str_value(j, slice__cstr(r->attrs[i].s));
		end_attr(j);
	}
	json_out__end_array(j);
	json_out__end_object(j);
}

static void put_schema_url(struct json_out *j)
{
	json_out__lit(j, "schemaUrl");
	json_out__str(j, SLICE(OTLP_SCHEMA_URL));
}

static void put_group(struct json_out *j, const struct otlp_group *g, struct span *const *spans)
{
	json_out__object(j);
	if (g->resource)
		put_resource(j, g->resource);
	json_out__lit(j, "scopeSpans");
	json_out__array(j);
	json_out__object(j);
	json_out__lit(j, "scope");
	json_out__object(j);
	json_out__lit(j, "name");
	json_out__str(j, SLICE(OTLP_SCOPE_NAME));
	json_out__lit(j, "version");
	json_out__str(j, SLICE(WEFT_VERSION));
	json_out__end_object(j);
	json_out__lit(j, "spans");
	json_out__array(j);
	for (size_t i = 0; i < g->n; i++)
		put_span(j, spans[g->first + i]);
	json_out__end_array(j);
	put_schema_url(j);
	json_out__end_object(j);
	json_out__end_array(j);
	put_schema_url(j);
	json_out__end_object(j);
}

int otlp__encode_json(struct span *const *spans, size_t n, struct bytes *out)
{
	struct json_out j;
	struct otlp_groups g;

	*out = (struct bytes){ 0 };
	if (otlp_groups__make(spans, n, &g) < 0) {
		otlp_groups__free(&g);
		return -ENOMEM;
	}
	json_out__init(&j);
	json_out__object(&j);
	json_out__lit(&j, "resourceSpans");
	json_out__array(&j);
	for (size_t i = 0; i < g.n; i++)
		put_group(&j, &g.v[i], g.spans);
	json_out__end_array(&j);
	json_out__end_object(&j);
	otlp_groups__free(&g);
	if (j.failed) {
		json_out__free(&j);
		return -ENOMEM;
	}
	*out = (struct bytes){ .p = (uint8_t *)j.p, .n = j.n };
	return 0;
}

static void take_message(struct otlp_answer *out, const json_t *text)
{
	if (json_is_string(text))
		otlp_answer__set_message(out, json_string_value(text), json_string_length(text));
}

/* 64-bit integers may come as a string or a number. */
static int64_t int64_value(const json_t *v)
{
	if (json_is_string(v))
		return strtoll(json_string_value(v), NULL, 10);
	return json_is_integer(v) ? json_integer_value(v) : 0;
}

int otlp__decode_answer_json(const uint8_t *p, size_t n, struct otlp_answer *out)
{
	json_t *answer = json_loadb((const char *)p, n, 0, NULL);

	*out = (struct otlp_answer){ 0 };
	if (!json_is_object(answer)) {
		json_decref(answer);
		return -EBADMSG;
	}
	const json_t *partial = json_object_get(answer, "partialSuccess");

	out->rejected = int64_value(json_object_get(partial, "rejectedSpans"));
	take_message(out, json_object_get(partial, "errorMessage"));
	json_decref(answer);
	return 0;
}

int otlp__decode_status_json(const uint8_t *p, size_t n, struct otlp_answer *out)
{
	json_t *status = json_loadb((const char *)p, n, 0, NULL);

	*out = (struct otlp_answer){ 0 };
	if (!json_is_object(status)) {
		json_decref(status);
		return -EBADMSG;
	}
	take_message(out, json_object_get(status, "message"));
	json_decref(status);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Spans as protobuf, through protobuf-c: a tree of its message structs is built beside the spans,
 * pointing into them, and packed. The structs of a whole batch come out of one allocation, whose
 * size is counted first: nothing is allocated for a span or an attribute. Texts are not copied,
 * unless one is not UTF-8.
 */
#include <errno.h>
#include <stdlib.h>

#include "../user/lib/utf8.h"
#include "../user/lib/version.h"
#include "exporter.h"
#include "google/rpc/status.pb-c.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb-c.h"
#include "otlp.h"

typedef Opentelemetry__Proto__Common__V1__AnyValue pb_value;
typedef Opentelemetry__Proto__Common__V1__KeyValue pb_attr;
typedef Opentelemetry__Proto__Common__V1__InstrumentationScope pb_scope;
typedef Opentelemetry__Proto__Resource__V1__Resource pb_resource;
typedef Opentelemetry__Proto__Trace__V1__ResourceSpans pb_resource_spans;
typedef Opentelemetry__Proto__Trace__V1__ScopeSpans pb_scope_spans;
typedef Opentelemetry__Proto__Trace__V1__Span pb_span;
typedef Opentelemetry__Proto__Trace__V1__Span__Link pb_link;
typedef Opentelemetry__Proto__Trace__V1__Status pb_status;
typedef Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceRequest pb_request;

/* Everything that belongs to one resource, and to one span, but for attributes and links. */
struct group_node {
	pb_resource_spans resource_spans;
	pb_resource resource;
	pb_scope_spans scope_spans;
	pb_scope_spans *scope_spans_list[1];
	pb_scope scope;
};

struct span_node {
	pb_span span;
	pb_status status;
};

struct attr_node {
	pb_attr attr;
	pb_value value;
};

/* Cursors into the one allocation. */
struct tree {
	struct arena arena;  /* owns it */
	struct arena repair; /* texts that had to be made UTF-8 */
	struct group_node *groups;
	struct span_node *spans;
	struct attr_node *attrs;
	pb_link *links;
	pb_resource_spans **group_list;
	pb_span **span_list;
	pb_attr **attr_list;
	pb_link **link_list;
};

#define REPAIR_MAX (1 << 20)

static ProtobufCBinaryData bytes_of(const void *p, size_t n)
{
	return (ProtobufCBinaryData){ .len = n, .data = (uint8_t *)p };
}

static ProtobufCBinaryData text_of(struct tree *t, struct slice s)
{
	if (utf8__valid(s))
		return bytes_of(s.p, s.n);
	char *fixed = s.n <= REPAIR_MAX / 3 ? arena__alloc(&t->repair, 3 * s.n) : NULL;

	if (!fixed)
		return bytes_of("", 0);
	return bytes_of(fixed, utf8__repair(s, fixed, 3 * s.n));
}

static ProtobufCBinaryData cstr_of(struct tree *t, const char *s)
{
	return text_of(t, slice__cstr(s));
}

static int tree__init(struct tree *t, const struct otlp_groups *g, size_t n)
{
	size_t attrs = 0, links = 0;

	for (size_t i = 0; i < g->n; i++)
		attrs += g->v[i].resource ? g->v[i].resource->n : 0;
	for (size_t i = 0; i < n; i++) {
		attrs += g->spans[i]->n_attrs;
		links += g->spans[i]->n_links;
	}
	size_t groups_size = g->n * (sizeof(*t->groups) + sizeof(*t->group_list));
	size_t spans_size = n * (sizeof(*t->spans) + sizeof(*t->span_list));
	size_t attrs_size = attrs * (sizeof(*t->attrs) + sizeof(*t->attr_list));
	size_t size = groups_size + spans_size + attrs_size +
		      links * (sizeof(*t->links) + sizeof(*t->link_list));

	*t = (struct tree){ 0 };
	arena__init(&t->arena, size + 64);
	arena__init(&t->repair, REPAIR_MAX);
	char *p = arena__alloc(&t->arena, size + 8);

	if (!p)
		return -ENOMEM;
	t->groups = (void *)p;
	t->spans = (void *)(t->groups + g->n);
	t->attrs = (void *)(t->spans + n);
	t->links = (void *)(t->attrs + attrs);
	t->group_list = (void *)(t->links + links);
	t->span_list = (void *)(t->group_list + g->n);
	t->attr_list = (void *)(t->span_list + n);
	t->link_list = (void *)(t->attr_list + attrs);
	return 0;
}

static void tree__fini(struct tree *t)
{
	arena__reset(&t->arena);
	arena__reset(&t->repair);
}

/* The next attribute; its value is empty. */
static pb_value *add_attr(struct tree *t, const char *key)
{
	struct attr_node *node = t->attrs++;

	opentelemetry__proto__common__v1__key_value__init(&node->attr);
	opentelemetry__proto__common__v1__any_value__init(&node->value);
	node->attr.key = cstr_of(t, key);
	node->attr.value = &node->value;
	*t->attr_list++ = &node->attr;
	return &node->value;
}

static void set_str(pb_value *v, ProtobufCBinaryData s)
{
	v->value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_STRING_VALUE;
	v->string_value = s;
}

static void set_int(pb_value *v, int64_t i)
{
	v->value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_INT_VALUE;
	v->int_value = i;
}

static void build_attr(struct tree *t, const struct attr *a)
{
	pb_value *v = add_attr(t, a->key);

	switch (a->type) {
	case ATTR_STR: set_str(v, text_of(t, a->s)); break;
	case ATTR_INT: set_int(v, a->i); break;
	case ATTR_BOOL:
		v->value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_BOOL_VALUE;
		v->bool_value = a->b;
		break;
	case ATTR_DOUBLE:
		v->value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_DOUBLE_VALUE;
		v->double_value = a->d;
		break;
	}
}

static void build_links(struct tree *t, const struct span *s, pb_span *out)
{
	out->n_links = s->n_links;
	out->links = t->link_list;
	for (unsigned i = 0; i < s->n_links; i++) {
		pb_link *link = t->links++;

		*link = (pb_link)OPENTELEMETRY__PROTO__TRACE__V1__SPAN__LINK__INIT;
		link->trace_id = bytes_of(s->links[i].trace_id, 16);
		link->span_id = bytes_of(s->links[i].span_id, 8);
		link->trace_state = text_of(t, s->links[i].trace_state);
		*t->link_list++ = link;
	}
}

static void build_span(struct tree *t, const struct span *s)
{
	static const uint8_t none[8];
	struct span_node *node = t->spans++;
	pb_span *out = &node->span;

	*out = (pb_span)OPENTELEMETRY__PROTO__TRACE__V1__SPAN__INIT;
	out->trace_id = bytes_of(s->trace_id, 16);
	out->span_id = bytes_of(s->span_id, 8);
	if (memcmp(s->parent_id, none, 8) != 0)
		out->parent_span_id = bytes_of(s->parent_id, 8);
	out->trace_state = text_of(t, s->trace_state);
	out->flags = s->flags;
	out->name = text_of(t, s->name);
	out->kind = (Opentelemetry__Proto__Trace__V1__Span__SpanKind)s->kind;
	out->start_time_unix_nano = s->start_ns;
	out->end_time_unix_nano = s->end_ns;
	out->n_attributes = s->n_attrs;
	out->attributes = t->attr_list;
	for (unsigned i = 0; i < s->n_attrs; i++)
		build_attr(t, &s->attrs[i]);
	out->dropped_attributes_count = s->dropped_attrs;
	if (s->n_links)
		build_links(t, s, out);
	if (s->status != SPAN_UNSET) {
		node->status = (pb_status)OPENTELEMETRY__PROTO__TRACE__V1__STATUS__INIT;
		node->status.code = (Opentelemetry__Proto__Trace__V1__Status__StatusCode)s->status;
		if (s->status == SPAN_ERROR)
			node->status.message = text_of(t, s->status_message);
		out->status = &node->status;
	}
	*t->span_list++ = out;
}

static void build_resource(struct tree *t, const struct resource *r, pb_resource *out)
{
	*out = (pb_resource)OPENTELEMETRY__PROTO__RESOURCE__V1__RESOURCE__INIT;
	out->n_attributes = r->n;
	out->attributes = t->attr_list;
	for (unsigned i = 0; i < r->n; i++) {
		pb_value *v = add_attr(t, r->attrs[i].key);

		if (r->attrs[i].type == ATTR_INT)
			set_int(v, r->attrs[i].i);
		else
			set_str(v, cstr_of(t, r->attrs[i].s));
	}
}

static void build_group(struct tree *t, const struct otlp_group *g, struct span *const *spans)
{
	struct group_node *node = t->groups++;

	node->resource_spans = (pb_resource_spans)
		OPENTELEMETRY__PROTO__TRACE__V1__RESOURCE_SPANS__INIT;
	node->scope_spans = (pb_scope_spans)OPENTELEMETRY__PROTO__TRACE__V1__SCOPE_SPANS__INIT;
	node->scope_spans_list[0] = &node->scope_spans;
	if (g->resource) {
		build_resource(t, g->resource, &node->resource);
		node->resource_spans.resource = &node->resource;
	}
	node->resource_spans.n_scope_spans = 1;
	node->resource_spans.scope_spans = node->scope_spans_list;
	node->resource_spans.schema_url = bytes_of(OTLP_SCHEMA_URL, sizeof(OTLP_SCHEMA_URL) - 1);
	node->scope = (pb_scope)OPENTELEMETRY__PROTO__COMMON__V1__INSTRUMENTATION_SCOPE__INIT;
	node->scope.name = bytes_of(OTLP_SCOPE_NAME, sizeof(OTLP_SCOPE_NAME) - 1);
	node->scope.version = bytes_of(WEFT_VERSION, sizeof(WEFT_VERSION) - 1);
	node->scope_spans.scope = &node->scope;
	node->scope_spans.schema_url = node->resource_spans.schema_url;
	node->scope_spans.n_spans = g->n;
	node->scope_spans.spans = t->span_list;
	for (size_t i = 0; i < g->n; i++)
		build_span(t, spans[g->first + i]);
	*t->group_list++ = &node->resource_spans;
}

static int pack(const pb_request *request, struct bytes *out)
{
	size_t n = protobuf_c_message_get_packed_size(&request->base);

	out->p = malloc(n ? n : 1);
	if (!out->p)
		return -ENOMEM;
	out->n = protobuf_c_message_pack(&request->base, out->p);
	return 0;
}

int otlp__encode_protobuf(struct span *const *spans, size_t n, struct bytes *out)
{
	pb_request request =
		OPENTELEMETRY__PROTO__COLLECTOR__TRACE__V1__EXPORT_TRACE_SERVICE_REQUEST__INIT;
	struct otlp_groups g;
	struct tree t = { 0 };
	int err = otlp_groups__make(spans, n, &g);

	*out = (struct bytes){ 0 };
	if (!err)
		err = tree__init(&t, &g, n);
	if (!err) {
		request.n_resource_spans = g.n;
		request.resource_spans = t.group_list;
		for (size_t i = 0; i < g.n; i++)
			build_group(&t, &g.v[i], g.spans);
		err = pack(&request, out);
	}
	tree__fini(&t);
	otlp_groups__free(&g);
	return err;
}

int otlp__decode_answer_protobuf(const uint8_t *p, size_t n, struct otlp_answer *out)
{
	Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceResponse *r =
		opentelemetry__proto__collector__trace__v1__export_trace_service_response__unpack(
			NULL, n, p);

	*out = (struct otlp_answer){ 0 };
	if (!r)
		return -EBADMSG;
	if (r->partial_success) {
		out->rejected = r->partial_success->rejected_spans;
		otlp_answer__set_message(out, r->partial_success->error_message.data,
					 r->partial_success->error_message.len);
	}
	opentelemetry__proto__collector__trace__v1__export_trace_service_response__free_unpacked(
		r, NULL);
	return 0;
}

int otlp__decode_status_protobuf(const uint8_t *p, size_t n, struct otlp_answer *out)
{
	Google__Rpc__Status *s = google__rpc__status__unpack(NULL, n, p);

	*out = (struct otlp_answer){ 0 };
	if (!s)
		return -EBADMSG;
	otlp_answer__set_message(out, s->message.data, s->message.len);
	google__rpc__status__free_unpacked(s, NULL);
	return 0;
}

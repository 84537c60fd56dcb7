// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Spans as protobuf, written straight into the buffer that is sent. It is filled from its end to its
 * beginning: a message's length stands before it and is known when the message is written, so
 * nothing is measured beforehand and no tree of messages is built. What is written last stands first:
 * fields, and elements of lists, are written in descending order.
 *
 * What comes out is canonical: fields in order, defaults left out, lengths as short as they can be.
 * (tests/unit/test_otlp.c has protobuf-c decode it and write it again: the same bytes.)
 *
 * Answers of receivers are read by protobuf-c, which is made for bytes that nobody vouches for.
 */
#include <errno.h>
#include <stdlib.h>

#include "../user/lib/copy.h"
#include "../user/lib/utf8.h"
#include "../user/lib/version.h"
#include "exporter.h"
#include "google/rpc/status.pb-c.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb-c.h"
#include "otlp.h"

/*
 * An attribute as it was written last in its place: most are the same in the next span. It ends with
 * the end of `bytes`, and its value, if that is a text, too.
 */
struct written {
	const char *key; /* NULL: none that fits */
	uint8_t type, n;
	size_t value_n;
	int64_t i;
	uint8_t bytes[64];
};

/* Bytes [at, cap) are written. `p` NULL: memory ran out; then nothing more is written. */
struct wire {
	uint8_t *p;
	size_t at, cap;
	struct written last[SPAN_ATTRS_MAX];
};

/* What a span without long texts takes; the buffer begins with so much for each, and doubles. */
#define SPAN_GUESS 640
#define VARINT_MAX 10

enum wire_type { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

#define TAG(field, type) ((uint32_t)(field) << 3 | (type))

static void grow(struct wire *w, size_t n)
{
	size_t used = w->cap - w->at, cap = 2 * w->cap + n;
	uint8_t *p = w->p ? malloc(cap) : NULL;

	if (p)
		memcpy(p + cap - used, w->p + w->at, used);
	free(w->p);
	w->p = p;
	w->at = p ? cap - used : 0;
	w->cap = p ? cap : 0;
}

/* Room for n bytes before what is written. False: there is none. */
static inline bool room(struct wire *w, size_t n)
{
	if (w->at < n)
		grow(w, n);
	return w->p;
}

static inline size_t varint_size(uint64_t v)
{
	return (64 - (size_t)__builtin_clzll(v | 1) + 6) / 7;
}

static inline void fill_varint(uint8_t *p, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*p++ = (uint8_t)(v | 0x80);
	*p = (uint8_t)v;
}

static inline void put_varint(struct wire *w, uint64_t v)
{
	if (!room(w, VARINT_MAX))
		return;
	if (v < 0x80)
		w->p[--w->at] = (uint8_t)v;
	else
		fill_varint(w->p + (w->at -= varint_size(v)), v);
}

static inline void put_raw(struct wire *w, const void *p, size_t n)
{
	if (!n || !room(w, n))
		return;
	w->at -= n;
	copy__short(w->p + w->at, p, n);
}

static inline void put_bytes(struct wire *w, int field, const void *p, size_t n)
{
	put_raw(w, p, n);
	put_varint(w, n);
	put_varint(w, TAG(field, BYTES));
}

/* A text that is not UTF-8: repaired where it is to stand. */
static void put_repaired(struct wire *w, struct slice s)
{
	size_t most = 3 * s.n; /* U+FFFD for every byte */

	if (!room(w, most))
		return;
	char *p = (char *)w->p + w->at - most;
	size_t n = utf8__repair(s, p, most);

	memmove(p + most - n, p, n);
	w->at -= n;
}

static void put_text(struct wire *w, int field, struct slice s)
{
	size_t end = w->cap - w->at;

	if (utf8__valid(s))
		put_raw(w, s.p, s.n);
	else
		put_repaired(w, s);
	put_varint(w, w->cap - w->at - end);
	put_varint(w, TAG(field, BYTES));
}

/* A field that is left out where it has its default. */
static void put_text_if(struct wire *w, int field, struct slice s)
{
	if (s.n)
		put_text(w, field, s);
}

static void put_uint_if(struct wire *w, int field, uint64_t v)
{
	if (!v)
		return;
	put_varint(w, v);
	put_varint(w, TAG(field, VARINT));
}

/* Values are little-endian on the wire, as on every machine that weft runs on. */
static void put_fixed64(struct wire *w, int field, const void *value)
{
	put_raw(w, value, 8);
	put_varint(w, TAG(field, FIXED64));
}

static void put_fixed64_if(struct wire *w, int field, uint64_t v)
{
	if (v)
		put_fixed64(w, field, &v);
}

/* The end of a message whose fields come now; and its beginning, when they are written. */
static inline size_t message__end(const struct wire *w)
{
	return w->cap - w->at;
}

static inline void message__begin(struct wire *w, int field, size_t end)
{
	put_varint(w, w->cap - w->at - end);
	put_varint(w, TAG(field, BYTES));
}

/* ---- numbers of fields, by message ---- */

enum { ANY_STRING = 1, ANY_BOOL = 2, ANY_INT = 3, ANY_DOUBLE = 4 };
enum { ATTR_KEY = 1, ATTR_VALUE = 2 };
enum { RESOURCE_ATTRS = 1 };
enum { SCOPE_NAME = 1, SCOPE_VERSION = 2 };
enum { LINK_TRACE_ID = 1, LINK_SPAN_ID = 2, LINK_TRACE_STATE = 3 };
enum { STATUS_MESSAGE = 2, STATUS_CODE = 3 };
enum {
	SPAN_TRACE_ID = 1,
	SPAN_SPAN_ID = 2,
	SPAN_TRACE_STATE = 3,
	SPAN_PARENT_ID = 4,
	SPAN_NAME = 5,
	SPAN_KIND = 6,
	SPAN_START = 7,
	SPAN_END = 8,
	SPAN_ATTRS = 9,
	SPAN_DROPPED_ATTRS = 10,
	SPAN_LINKS = 13,
	SPAN_STATUS = 15,
	SPAN_FLAGS = 16,
};
enum { SCOPE_SPANS_SCOPE = 1, SCOPE_SPANS_SPANS = 2, SCOPE_SPANS_SCHEMA = 3 };
enum { RESOURCE_SPANS_RESOURCE = 1, RESOURCE_SPANS_SCOPE_SPANS = 2, RESOURCE_SPANS_SCHEMA = 3 };
enum { REQUEST_RESOURCE_SPANS = 1 };

/* ---- messages ---- */

/* A value says which kind it is, so its default is written too. */
static void put_int_value(struct wire *w, int64_t i)
{
	put_varint(w, (uint64_t)i);
	put_varint(w, TAG(ANY_INT, VARINT));
}

/* The writers below are for where room() has been asked before; they return the new beginning. */
static inline uint8_t *back_varint(uint8_t *p, uint64_t v)
{
	if (v < 0x80) {
		*--p = (uint8_t)v;
		return p;
	}
	size_t n = varint_size(v);

	fill_varint(p -= n, v);
	return p;
}

static inline uint8_t *back_raw(uint8_t *p, const void *from, size_t n)
{
	copy__short(p - n, from, n);
	return p - n;
}

static inline uint8_t *back_value(uint8_t *p, const struct attr *a)
{
	switch ((enum attr_type)a->type) {
	case ATTR_STR:
		p = back_raw(p, a->text, a->text_n);
		p = back_varint(p, a->text_n);
		*--p = TAG(ANY_STRING, BYTES);
		break;
	case ATTR_INT:
		p = back_varint(p, (uint64_t)a->i);
		*--p = TAG(ANY_INT, VARINT);
		break;
	case ATTR_BOOL:
		*--p = a->b;
		*--p = TAG(ANY_BOOL, VARINT);
		break;
	case ATTR_DOUBLE:
		p = back_raw(p, &a->d, 8);
		*--p = TAG(ANY_DOUBLE, FIXED64);
		break;
	}
	return p;
}

/* Is this the attribute that was written last in its place? Keys are literals. */
static inline bool is_same(const struct written *l, const struct attr *a)
{
	if (l->key != a->key || l->type != a->type)
		return false;
	if (a->type == ATTR_STR)
		return l->value_n == a->text_n &&
		       copy__same(l->bytes + sizeof(l->bytes) - l->value_n, a->text, l->value_n);
	return a->type == ATTR_INT && l->i == a->i;
}

static void remember(struct written *l, const struct attr *a, const uint8_t *p, size_t n)
{
	l->key = n <= sizeof(l->bytes) ? a->key : NULL;
	if (!l->key)
		return;
	l->type = a->type;
	l->n = (uint8_t)n;
	l->value_n = a->type == ATTR_STR ? a->text_n : 0;
	l->i = a->type == ATTR_INT ? a->i : 0;
	copy__short(l->bytes + sizeof(l->bytes) - n, p, n);
}

/*
 * Most of a span is attributes. Keys are ours and values are UTF-8 already (user/span/span.h).
 * `l`: what was in this place.
 */
static void put_attr(struct wire *w, struct written *l, const struct attr *a)
{
	if (!room(w, (a->type == ATTR_STR ? a->text_n : 8) + a->key_len + 6 * VARINT_MAX))
		return;
	if (w->at >= sizeof(l->bytes) && is_same(l, a)) {
		/* What is copied too much lies where nothing is written yet. */
		memcpy(w->p + w->at - sizeof(l->bytes), l->bytes, sizeof(l->bytes));
		w->at -= l->n;
		return;
	}
	uint8_t *end = w->p + w->at, *p = back_value(end, a);

	p = back_varint(p, (size_t)(end - p));
	*--p = TAG(ATTR_VALUE, BYTES);
	if (a->key_len) {
		p = back_raw(p, a->key, a->key_len);
		p = back_varint(p, a->key_len);
		*--p = TAG(ATTR_KEY, BYTES);
	}
	p = back_varint(p, (size_t)(end - p));
	*--p = TAG(SPAN_ATTRS, BYTES);
	w->at -= (size_t)(end - p);
	remember(l, a, p, (size_t)(end - p));
}

static void put_resource_attr(struct wire *w, const struct resource_attr *a)
{
	size_t end = message__end(w);

	if (a->type == ATTR_INT)
		put_int_value(w, a->i);
	else
		put_text(w, ANY_STRING, slice__cstr(a->s));
	message__begin(w, ATTR_VALUE, end);
	put_text_if(w, ATTR_KEY, slice__cstr(a->key));
	message__begin(w, RESOURCE_ATTRS, end);
}

static void put_link(struct wire *w, const struct span_link *l)
{
	size_t end = message__end(w);

	put_text_if(w, LINK_TRACE_STATE, l->trace_state);
	put_bytes(w, LINK_SPAN_ID, l->span_id, 8);
	put_bytes(w, LINK_TRACE_ID, l->trace_id, 16);
	message__begin(w, SPAN_LINKS, end);
}

static void put_status(struct wire *w, const struct span *s)
{
	size_t end = message__end(w);

	if (s->status == SPAN_UNSET)
		return;
	put_uint_if(w, STATUS_CODE, s->status);
	if (s->status == SPAN_ERROR)
		put_text_if(w, STATUS_MESSAGE, s->status_message);
	message__begin(w, SPAN_STATUS, end);
}

static void put_span(struct wire *w, const struct span *s)
{
	static const uint8_t none[8];
	size_t end = message__end(w);

	if (s->flags) {
		put_raw(w, &s->flags, 4);
		put_varint(w, TAG(SPAN_FLAGS, FIXED32));
	}
	put_status(w, s);
	for (unsigned i = s->n_links; i-- > 0;)
		put_link(w, &s->links[i]);
	put_uint_if(w, SPAN_DROPPED_ATTRS, s->dropped_attrs);
	for (unsigned i = s->n_attrs; i-- > 0;)
		put_attr(w, &w->last[i], &s->attrs[i]);
	put_fixed64_if(w, SPAN_END, s->end_ns);
	put_fixed64_if(w, SPAN_START, s->start_ns);
	put_uint_if(w, SPAN_KIND, s->kind);
	put_text_if(w, SPAN_NAME, s->name);
	if (memcmp(s->parent_id, none, 8) != 0)
		put_bytes(w, SPAN_PARENT_ID, s->parent_id, 8);
	put_text_if(w, SPAN_TRACE_STATE, s->trace_state);
	put_bytes(w, SPAN_SPAN_ID, s->span_id, 8);
	put_bytes(w, SPAN_TRACE_ID, s->trace_id, 16);
	message__begin(w, SCOPE_SPANS_SPANS, end);
}

static void put_scope(struct wire *w)
{
	size_t end = message__end(w);

	put_text(w, SCOPE_VERSION, SLICE(WEFT_VERSION));
	put_text(w, SCOPE_NAME, SLICE(OTLP_SCOPE_NAME));
	message__begin(w, SCOPE_SPANS_SCOPE, end);
}

static void put_group(struct wire *w, const struct otlp_group *g, struct span *const *spans)
{
	size_t end = message__end(w);

	put_text(w, RESOURCE_SPANS_SCHEMA, SLICE(OTLP_SCHEMA_URL));
	size_t scope_end = message__end(w);

	put_text(w, SCOPE_SPANS_SCHEMA, SLICE(OTLP_SCHEMA_URL));
	for (size_t i = g->n; i-- > 0;)
		put_span(w, spans[g->first + i]);
	put_scope(w);
	message__begin(w, RESOURCE_SPANS_SCOPE_SPANS, scope_end);
	if (g->resource) {
		size_t resource_end = message__end(w);

		for (unsigned i = g->resource->n; i-- > 0;)
			put_resource_attr(w, &g->resource->attrs[i]);
		message__begin(w, RESOURCE_SPANS_RESOURCE, resource_end);
	}
	message__begin(w, REQUEST_RESOURCE_SPANS, end);
}

int otlp__encode_protobuf_at(struct span *const *spans, size_t n, struct bytes *out, size_t *at)
{
	struct wire w = { .cap = (n + 1) * SPAN_GUESS };
	struct otlp_groups g;
	int err = otlp_groups__make(spans, n, &g);

	*out = (struct bytes){ 0 };
	if (!err) {
		w.p = malloc(w.cap);
		w.at = w.p ? w.cap : 0;
		w.cap = w.at;
		for (size_t i = g.n; i-- > 0;)
			put_group(&w, &g.v[i], g.spans);
		err = w.p ? 0 : -ENOMEM;
	}
	otlp_groups__free(&g);
	if (err)
		return err;
	*out = (struct bytes){ .p = w.p, .n = w.cap - w.at };
	*at = w.at;
	return 0;
}

int otlp__encode_protobuf(struct span *const *spans, size_t n, struct bytes *out)
{
	size_t at = 0;
	int err = otlp__encode_protobuf_at(spans, n, out, &at);

	if (!err)
		memmove(out->p, out->p + at, out->n);
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

// SPDX-License-Identifier: GPL-2.0-or-later
/* What the fields of a header block say (RFC 9113, 8.3; gRPC's PROTOCOL-HTTP2). */
#include <stdlib.h>

#include "context.h"
#include "http2.h"

struct reader {
	struct message *m;
	struct http2_message *h;
};

static void keep_first(struct reader *r, struct slice *to, struct slice value)
{
	if (!to->p)
		*to = message__keep(r->m, value);
}

/* A number of at most `digits` digits, and nothing else; -1: it is none. */
static int64_t number(struct slice s, size_t digits)
{
	int64_t n = 0;

	if (!s.n || s.n > digits)
		return -1;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return -1;
		n = n * 10 + (s.p[i] - '0');
	}
	return n;
}

static int64_t timeout(struct slice s)
{
	static const struct {
		char unit;
		int64_t ns;
	} units[] = {
		{ 'H', 3600000000000 }, { 'M', 60000000000 }, { 'S', 1000000000 },
		{ 'm', 1000000 },       { 'u', 1000 },        { 'n', 1 },
	};
	int64_t n = s.n ? number(slice__from(s.p, s.n - 1), 8) : -1;

	for (size_t i = 0; n >= 0 && i < sizeof(units) / sizeof(units[0]); i++)
		if (s.p[s.n - 1] == units[i].unit && n <= INT64_MAX / units[i].ns)
			return n * units[i].ns;
	return -1;
}

/* application/grpc, application/grpc+proto, application/grpc-web-text; ... */
static enum http2_kind kind_of(struct slice type)
{
	static const struct slice grpc = { "application/grpc", 16 }, web = { "-web", 4 };

	if (type.n < grpc.n || strncasecmp(type.p, grpc.p, grpc.n) != 0)
		return KIND_HTTP;
	struct slice rest = slice__from(type.p + grpc.n, type.n - grpc.n);

	if (!rest.n || rest.p[0] == '+' || rest.p[0] == ';')
		return KIND_GRPC;
	return rest.n >= web.n && !strncasecmp(rest.p, web.p, web.n) ? KIND_GRPC_WEB : KIND_HTTP;
}

static void take_text(struct reader *r, struct slice name, struct slice value)
{
	const struct {
		struct slice name;
		struct slice *to;
	} texts[] = {
		{ SLICE("host"), &r->h->host },
		{ SLICE("user-agent"), &r->h->user_agent },
		{ SLICE("forwarded"), &r->h->forwarded },
		{ SLICE("x-forwarded-for"), &r->h->x_forwarded_for },
		{ SLICE("x-forwarded-proto"), &r->h->x_forwarded_proto },
		{ SLICE("x-forwarded-host"), &r->h->x_forwarded_host },
		{ SLICE("grpc-message"), &r->h->grpc_message },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (slice__eq(name, texts[i].name))
			keep_first(r, texts[i].to, value);
}

static void take_pseudo(struct reader *r, struct slice name, struct slice value)
{
	const struct {
		struct slice name;
		struct slice *to;
	} pseudo[] = {
		{ SLICE(":method"), &r->h->method },
		{ SLICE(":path"), &r->h->target },
		{ SLICE(":authority"), &r->h->authority },
		{ SLICE(":scheme"), &r->h->scheme },
	};

	if (slice__eq(name, SLICE(":status"))) {
		if (r->h->status < 0 && value.n == 3)
			r->h->status = (int)number(value, 3);
		return;
	}
	for (size_t i = 0; i < sizeof(pseudo) / sizeof(pseudo[0]); i++) {
		if (!slice__eq(name, pseudo[i].name))
			continue;
		keep_first(r, pseudo[i].to, value);
		r->h->request = true;
	}
}

static void take_field(void *ctx, struct slice name, struct slice value)
{
	struct reader *r = ctx;
	struct http2_message *h = r->h;

	if (!name.n) {
		h->unknown = true;
	} else if (name.p[0] == ':') {
		take_pseudo(r, name, value);
	} else if (slice__eq(name, SLICE("content-type"))) {
		if (h->kind == KIND_UNKNOWN)
			h->kind = kind_of(value);
	} else if (slice__eq(name, SLICE("grpc-status"))) {
		if (h->grpc_status < 0)
			h->grpc_status = (int)number(value, 4);
	} else if (slice__eq(name, SLICE("content-length"))) {
		if (h->length < 0)
			h->length = number(value, 18);
	} else if (slice__eq(name, SLICE("grpc-timeout"))) {
		if (h->timeout_ns < 0)
			h->timeout_ns = timeout(value);
	} else if (!context__take(&h->context, r->m, name, value)) {
		take_text(r, name, value);
	}
}

void http2__take_words(struct message *m, const struct told_fields *t)
{
	struct http2_message *h = m->data;
	struct reader r = { m, h };
	bool whole = t->all == t->n;

	for (size_t i = 0; i < t->n; i++) {
		const struct told_field *f = &t->f[i];

		if (f->name.n == f->name_len && f->value.n == f->value_len)
			take_field(&r, f->name, f->value);
		else
			whole = false;
	}
	if (whole)
		h->unknown = false;
}

static void clear(struct message *m)
{
	struct http2_message *h = m->data;

	arena__reset(&m->keep);
	m->truncated = false;
	*h = (struct http2_message){
		.timeout_ns = -1,
		.status = -1,
		.grpc_status = -1,
		.length = -1,
		.request_body = -1,
		.response_body = -1,
	};
}

bool http2__read_block(struct hpack *hpack, struct message *m, const uint8_t *p, size_t n,
		       bool whole)
{
	struct http2_message *h = m->data;
	struct reader r = { m, h };
	enum hpack_result result;

	do {
		clear(m);
		result = hpack__read(hpack, p, n, whole, take_field, &r);
	} while (result == HPACK_AGAIN);
	if (result == HPACK_BAD)
		clear(m);
	if (result == HPACK_BAD || !whole)
		h->unknown = m->truncated = true;
	return result == HPACK_OK;
}

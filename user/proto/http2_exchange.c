// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What an exchange on a stream was: plain HTTP, or a gRPC call (PROTOCOL-HTTP2 and
 * http-grpc-status-mapping of gRPC's doc/).
 */
#include "../lib/percent.h"
#include "http2.h"

/* Error codes (RFC 9113, 7); what is not among them counts as INTERNAL_ERROR. */
enum {
	CODE_NO_ERROR = 0,
	CODE_INTERNAL_ERROR = 2,
	CODE_REFUSED_STREAM = 7,
	CODE_CANCEL = 8,
	CODE_ENHANCE_YOUR_CALM = 11,
	CODE_INADEQUATE_SECURITY = 12,
};

static const char *const code_names[] = {
	"NO_ERROR",
	"PROTOCOL_ERROR",
	"INTERNAL_ERROR",
	"FLOW_CONTROL_ERROR",
	"SETTINGS_TIMEOUT",
	"STREAM_CLOSED",
	"FRAME_SIZE_ERROR",
	"REFUSED_STREAM",
	"CANCEL",
	"COMPRESSION_ERROR",
	"CONNECT_ERROR",
	"ENHANCE_YOUR_CALM",
	"INADEQUATE_SECURITY",
	"HTTP_1_1_REQUIRED",
};

#define CODES (sizeof(code_names) / sizeof(code_names[0]))

/* gRPC's status codes that the wire can lead to without naming them. */
enum {
	GRPC_CANCELLED = 1,
	GRPC_UNKNOWN = 2,
	GRPC_PERMISSION_DENIED = 7,
	GRPC_RESOURCE_EXHAUSTED = 8,
	GRPC_UNIMPLEMENTED = 12,
	GRPC_INTERNAL = 13,
	GRPC_UNAVAILABLE = 14,
	GRPC_UNAUTHENTICATED = 16,
};

static int grpc_of_http(int status)
{
	switch (status) {
	case 400:
	case 431: return GRPC_INTERNAL;
	case 401: return GRPC_UNAUTHENTICATED;
	case 403: return GRPC_PERMISSION_DENIED;
	case 404: return GRPC_UNIMPLEMENTED;
	case 429:
	case 502:
	case 503:
	case 504: return GRPC_UNAVAILABLE;
	default: return GRPC_UNKNOWN;
	}
}

static int grpc_of_reset(uint32_t code)
{
	switch (code) {
	case CODE_REFUSED_STREAM: return GRPC_UNAVAILABLE;
	case CODE_CANCEL: return GRPC_CANCELLED;
	case CODE_ENHANCE_YOUR_CALM: return GRPC_RESOURCE_EXHAUSTED;
	case CODE_INADEQUATE_SECURITY: return GRPC_PERMISSION_DENIED;
	default: return GRPC_INTERNAL;
	}
}

/* The call's status; -1 where what was seen does not settle it. */
static int grpc_status(const struct http2_message *r)
{
	if (r->grpc_status >= 0)
		return r->grpc_status <= GRPC_UNAUTHENTICATED ? r->grpc_status : GRPC_UNKNOWN;
	switch (r->end) {
	case END_RESET_BY_REQUESTER:
	case END_RESET_BY_RESPONDER: return grpc_of_reset(r->code);
	case END_GOAWAY: return GRPC_UNAVAILABLE;
	case END_UNSEEN: return -1;
	case END_STREAM: break;
	}
	/* gRPC-Web sends its status as the end of the body. */
	if (r->unknown || r->status < 0 || (r->kind == KIND_GRPC_WEB && r->status == 200))
		return -1;
	return grpc_of_http(r->status);
}

/* ---- what failed below HTTP ---- */

static const char *failure_of_reset(uint32_t code)
{
	return code_names[code < CODES ? code : CODE_INTERNAL_ERROR];
}

static const char *failure(const struct http2_message *r, const struct http2_stream *s,
			   unsigned flags)
{
	if (!r) {
		if (!(flags & EXCHANGE_RESET) || (flags & EXCHANGE_LOST_BYTES) || !s || s->lost ||
		    stream__whole(s))
			return NULL;
		return s->answered ? "incomplete_response" : "connection_closed";
	}
	if (r->whole)
		return NULL;
	switch (r->end) {
	case END_RESET_BY_REQUESTER: /* who asked may change its mind */
		return r->code == CODE_CANCEL || r->code == CODE_NO_ERROR
			       ? NULL
			       : failure_of_reset(r->code);
	case END_RESET_BY_RESPONDER:
		return r->code == CODE_NO_ERROR ? "incomplete_response" : failure_of_reset(r->code);
	case END_GOAWAY: return "GOAWAY";
	default: return NULL;
	}
}

/* ---- facts ---- */

static struct facts_http http_facts(const struct http2_message *q, const struct http2_message *r,
				    unsigned flags)
{
	bool connect = slice__eq(q->method, SLICE("CONNECT")) && !q->target.n;

	return (struct facts_http){
		.method = q->method,
		.target = connect ? q->authority : q->target,
		.host = q->authority.n ? q->authority : q->host,
		.version = SLICE("2"),
		.user_agent = q->user_agent,
		.x_forwarded_for = q->x_forwarded_for,
		.x_forwarded_proto = q->x_forwarded_proto,
		.x_forwarded_host = q->x_forwarded_host,
		.forwarded = q->forwarded,
		.tls = slice__eq(q->scheme, SLICE("https")),
		.status = r ? r->status : -1,
		.request_body = r ? r->request_body : -1,
		.response_body = r && (r->whole ||
				       (r->end == END_STREAM && !(flags & EXCHANGE_CUT)))
					 ? r->response_body
					 : -1,
	};
}

static struct facts_rpc rpc_facts(const struct http2_message *q, const struct http2_message *r,
				  struct arena *scratch)
{
	struct slice path = q->target;
	bool slash = path.n && path.p[0] == '/';

	return (struct facts_rpc){
		.system = "grpc",
		.method = slash ? slice__from(path.p + 1, path.n - 1) : path,
		.host = q->authority.n ? q->authority : q->host,
		.status = r ? grpc_status(r) : -1,
		.message = r ? percent__decode(r->grpc_message, scratch) : SLICE(""),
		.timeout_ns = q->timeout_ns,
		/* either side: newer grpc-go servers reset the stream when the client's time is up */
		.cancelled = r && r->code == CODE_CANCEL && r->grpc_status < 0 &&
			     (r->end == END_RESET_BY_REQUESTER || r->end == END_RESET_BY_RESPONDER),
	};
}

/*
 * A gRPC call whose content-type and path are numbers that nobody knows: certain by itself, or on a
 * connection on which nothing else is sent.
 */
static bool is_call(const struct http2 *st, const struct http2_message *q,
		    const struct http2_message *r)
{
	return q->unknown && slice__eq(q->method, SLICE("POST")) && st->grpc && !st->plain && r &&
	       (r->looks == LOOKS_GRPC || r->looks == LOOKS_ALIKE);
}

bool http2__describe(const void *state, struct message *const *reqs, struct message *const *resps,
		     size_t n, unsigned flags, struct arena *scratch, struct facts *out)
{
	const struct http2 *st = state;
	const struct http2_message *q = n ? reqs[0]->data : NULL;
	const struct http2_message *r = n && resps && resps[0] ? resps[0]->data : NULL;

	if (!q || !q->request || (flags & EXCHANGE_NO_REQUEST))
		return false;
	if (r && !r->ended) /* a frame that was under way when the exchange was given up */
		r = NULL;
	const struct http2_stream *s = r ? NULL : stream__get(st, (uint32_t)reqs[0]->key);
	struct http2_message so_far = { .end = END_UNSEEN,
					.request_body = -1,
					.response_body = -1 };
	const char *failed = failure(r, s, flags);

	if (s) { /* it goes on, or was cut off: what is known of it so far */
		so_far.kind = s->kind;
		so_far.status = s->status;
		so_far.grpc_status = s->grpc_status;
		so_far.unknown = s->unknown;
		so_far.response_body = s->response_body;
		so_far.whole = stream__whole(s);
		r = &so_far;
	}
	*out = (struct facts){
		.context = q->context,
		.failure = failed,
	};
	enum http2_kind kind = q->kind == KIND_UNKNOWN || q->kind == KIND_HTTP
				       ? (r ? r->kind : q->kind)
				       : q->kind;

	if (kind == KIND_GRPC || kind == KIND_GRPC_WEB || (r && r->grpc_status >= 0) ||
	    (kind == KIND_UNKNOWN && is_call(st, q, r))) {
		out->area = FACTS_RPC;
		out->rpc = rpc_facts(q, r, scratch);
	} else {
		out->area = FACTS_HTTP;
		out->http = http_facts(q, r, flags);
	}
	return true;
}

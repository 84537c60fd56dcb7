// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * RPC spans (semantic conventions 1.44, "RPC spans" and "gRPC", release candidate). Beyond them:
 * what makes a span checkable against the other end's log, network.local.* on client spans and
 * client.* on server spans.
 *
 * The status text of a failed call is its span's description; it is the server's own words to its
 * client.
 */
#include "conventions.h"

static const char *const names[] = {
	"OK",
	"CANCELLED",
	"UNKNOWN",
	"INVALID_ARGUMENT",
	"DEADLINE_EXCEEDED",
	"NOT_FOUND",
	"ALREADY_EXISTS",
	"PERMISSION_DENIED",
	"RESOURCE_EXHAUSTED",
	"FAILED_PRECONDITION",
	"ABORTED",
	"OUT_OF_RANGE",
	"UNIMPLEMENTED",
	"INTERNAL",
	"UNAVAILABLE",
	"DATA_LOSS",
	"UNAUTHENTICATED",
};

#define CODES (int)(sizeof(names) / sizeof(names[0]))

enum {
	CODE_OK = 0,
	CODE_CANCELLED = 1,
	CODE_UNKNOWN = 2,
	CODE_DEADLINE_EXCEEDED = 4,
	CODE_UNIMPLEMENTED = 12,
	CODE_INTERNAL = 13,
	CODE_UNAVAILABLE = 14,
	CODE_DATA_LOSS = 15,
};

/* A server does right to refuse what it should not do; these are failures of its own. */
static bool servers_fault(int code)
{
	switch (code) {
	case CODE_UNKNOWN:
	case CODE_DEADLINE_EXCEEDED:
	case CODE_UNIMPLEMENTED:
	case CODE_INTERNAL:
	case CODE_UNAVAILABLE:
	case CODE_DATA_LOSS: return true;
	default: return false;
	}
}

/*
 * A client whose time is up resets the stream as it does when it is cancelled; both ends then call
 * it DEADLINE_EXCEEDED. Clients round the timeout that they send up to two or three digits, and
 * count from a little before they send; the responder's clock starts when the request has come.
 */
static bool out_of_time(const struct facts_rpc *r)
{
	uint64_t limit = r->timeout_ns > 0 ? (uint64_t)r->timeout_ns : 0;

	return r->cancelled && limit && r->elapsed_ns && r->elapsed_ns >= limit - limit / 16;
}

static void set_end(struct span *s, const char *address_key, const char *port_key,
		    struct slice host, int port)
{
	span__set_str(s, address_key, host);
	if (host.n && port > 0)
		span__set_int(s, port_key, port);
}

/* The server that the client means; else, for a client, where it connected to. */
static void set_server(struct span *s, const struct facts_rpc *r, const struct span_ends *ends)
{
	struct slice host;
	int port;

	span__read_host(r->host, &host, &port);
	if (s->kind == SPAN_CLIENT && (ends->is_unix || !host.n)) {
		host = span_ends__server(ends);
		port = ends->server_port;
	}
	set_end(s, "server.address", "server.port", host, port);
}

static void set_network(struct span *s, const struct span_ends *ends)
{
	struct slice server = slice__cstr(ends->server_addr),
		     client = slice__cstr(ends->client_addr);

	if (s->kind == SPAN_CLIENT) {
		set_end(s, "network.peer.address", "network.peer.port", server, ends->server_port);
		set_end(s, "network.local.address", "network.local.port", client,
			ends->client_port);
	} else {
		set_end(s, "client.address", "client.port", client, ends->client_port);
		set_end(s, "network.peer.address", "network.peer.port", client, ends->client_port);
	}
}

static void set_outcome(struct span *s, const struct facts *f)
{
	int code = out_of_time(&f->rpc) ? CODE_DEADLINE_EXCEEDED : f->rpc.status;

	if (code >= 0 && code < CODES) {
		struct slice name = slice__cstr(names[code]);

		span__set_str(s, "rpc.response.status_code", name);
		if (code == CODE_OK || (s->kind == SPAN_SERVER && !servers_fault(code)))
			return;
		span__set_str(s, "error.type", name);
	} else if (f->failure) {
		span__set_str(s, "error.type", slice__cstr(f->failure));
	} else {
		return;
	}
	s->status = SPAN_ERROR;
	s->status_message = arena__copy(&s->arena, f->rpc.message);
}

void span__from_rpc(struct span *s, const struct facts *f, const struct span_ends *ends,
		    const struct span_options *o)
{
	const struct facts_rpc *r = &f->rpc;

	(void)o;
	span__set_str(s, "rpc.system.name", slice__cstr(r->system));
	span__set_str(s, "rpc.method", r->method);
	const struct attr *method = span__attr(s, "rpc.method");

	s->name = method ? attr__text(method) : slice__cstr(r->system);
	set_server(s, r, ends);
	set_network(s, ends);
	set_outcome(s, f);
}

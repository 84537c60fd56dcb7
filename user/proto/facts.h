/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a protocol says of one exchange, in neutral words. proto/ fills it, span/ turns it into a
 * span by the semantic conventions of its area: names, attribute keys, error rules and redaction
 * are written once there, not in every protocol.
 *
 * Slices point into the exchange's messages and are valid as long as the exchange is. An empty
 * slice means "not known". Numbers use -1 for "not known" where 0 is a value.
 */
#ifndef WEFT_FACTS_H
#define WEFT_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "../lib/slice.h"

enum facts_area { FACTS_NONE = 0, FACTS_HTTP, FACTS_DB, FACTS_RPC };

/* Trace context found in the request, as it stood there: span/context.h says what it means. */
struct facts_context {
	struct slice traceparent; /* W3C header value; several headers: `duplicate` */
	struct slice tracestate;  /* several headers joined with ',' in order */
	bool duplicate;           /* more than one traceparent: invalid by W3C */
	struct slice baggage;     /* W3C; joined likewise */
	struct slice b3;          /* single header */
	struct slice b3_trace, b3_span, b3_sampled, b3_flags; /* x-b3-* */
	struct slice uber;                                    /* uber-trace-id */
	struct slice amzn;                                    /* x-amzn-trace-id */
	struct slice sw8;
	struct slice request_id; /* x-request-id: no context, but what proxies pass on */
};

struct facts_http {
	struct slice method; /* as sent */
	/* request target as sent: origin, absolute, authority or asterisk form */
	struct slice target;
	struct slice host;    /* Host header */
	struct slice version; /* "1.0", "1.1", "2" */
	struct slice user_agent;
	struct slice x_forwarded_for, x_forwarded_proto, x_forwarded_host, forwarded;
	bool tls;             /* the bytes came from under TLS */
	int status;           /* -1: no response seen */
	int64_t request_body; /* bytes on the wire without framing, -1 unknown */
	int64_t response_body;
};

/* What "..." is in a query. */
enum facts_quotes {
	FACTS_QUOTES_NAME = 0, /* a name, as in the standard */
	FACTS_QUOTES_VALUE,    /* a string (MySQL) */
	/* a name, if there is one of that name, else a string (SQLite) */
	FACTS_QUOTES_EITHER,
};

struct facts_db {
	const char *system; /* db.system.name, static: "postgresql", "redis" */
	int default_port;   /* of the system; server.port is left out when it is this one */
	struct slice query; /* text as sent; span/ redacts it when `query_lang` asks */
	/* REDACTED: literals are gone already */
	enum { FACTS_QUERY_NONE, FACTS_QUERY_SQL, FACTS_QUERY_REDACTED } query_lang;
	enum facts_quotes quotes;
	bool query_truncated; /* the text's end was not captured */
	/* db.operation.name, for systems whose protocol names it (Redis), as sent */
	struct slice operation;
	struct slice collection;
	struct slice ns; /* db.namespace */
	/* db.query.summary where the protocol knows better than the SQL lexer; else empty */
	struct slice summary;
	struct slice status_code; /* db.response.status_code: SQLSTATE, error prefix */
	/* for -v only: it may hold literals, so it never becomes an attribute by default */
	struct slice error_message;
	bool error;            /* the response is an error by the system's own rule */
	int batch_size;        /* >= 2: db.operation.batch.size */
	int64_t returned_rows; /* -1 unknown */
};

struct facts_rpc {
	const char *system;   /* rpc.system.name, static: "grpc" */
	struct slice method;  /* package.Service/Method */
	struct slice host;    /* :authority: host or host:port, as the client sent it */
	int status;           /* gRPC's code, 0 to 16; -1 unknown */
	struct slice message; /* the status's text, as people read it */
	bool cancelled;       /* given up, for whatever reason: the stream was reset with CANCEL */
	int64_t timeout_ns;   /* what the client allowed; -1: no limit */
	/* set by trace/: from the request's first byte to the end; 0 unknown */
	uint64_t elapsed_ns;
};

struct facts {
	enum facts_area area;
	struct facts_context context;
	/*
	 * Something that failed below the protocol: "timeout", "connection_reset",
	 * "incomplete_response"; NULL if nothing.
	 */
	const char *failure;
	union {
		struct facts_http http;
		struct facts_db db;
		struct facts_rpc rpc;
	};
};

#endif /* WEFT_FACTS_H */

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The semantic conventions, one file an area: from facts and a connection to a span's name, kind,
 * status and attributes. Version 1.44.0; the comments name the section where a rule is not obvious.
 */
#ifndef WEFT_CONVENTIONS_H
#define WEFT_CONVENTIONS_H

#include "../proto/facts.h"
#include "span.h"

/*
 * The two ends as text, ready to be attributes. `server` is the responder's end, `client` the
 * requester's.
 */
struct span_ends {
	/* IP text (RFC 5952) or Unix socket path; "" unknown */
	char server_addr[108], client_addr[108];
	int server_port, client_port; /* 0: none (Unix socket) or unknown */
	bool is_unix;
	/* The bytes came from under TLS; what its hellos said in clear, NULL: not seen. */
	bool tls;
	const char *tls_server_name; /* SNI: what the client takes the server for */
	const char *tls_version, *tls_next_protocol;
};

/* The server as its client names it, where the protocol itself doesn't: SNI, else its address. */
static inline struct slice span_ends__server(const struct span_ends *e)
{
	return slice__cstr(e->tls_server_name && !e->is_unix ? e->tls_server_name : e->server_addr);
}

/* http_common.c: what HTTP spans have in common, kept from one to the next. */
struct http_common;

struct http_common *http_common__new(void); /* NULL: memory is out */
void http_common__free(struct http_common *c);

/* Privacy and detail, set from the command line (cli/opts.h). */
struct span_options {
	bool raw_queries; /* leave literals in query texts: the user asked for it by name */
	/* keys of baggage that become attributes, ended by NULL; they outlive all spans. NULL: none */
	const char *const *baggage;
	struct http_common *common; /* of all spans made with these options; NULL: none is kept */
};

/* http.c */
void span__from_http(struct span *s, const struct facts *f, const struct span_ends *ends,
		     const struct span_options *o);
/* tls.c: what is said of the TLS below a span, beside the attributes of its area. */
void span__set_tls(struct span *s, const struct span_ends *ends);
/* baggage.c: of the request's baggage header, what was asked for; after all other attributes. */
void span__set_baggage(struct span *s, struct slice baggage, const struct span_options *o,
		       struct arena *scratch);
/* rpc.c */
void span__from_rpc(struct span *s, const struct facts *f, const struct span_ends *ends,
		    const struct span_options *o);
/* db.c */
void span__from_db(struct span *s, const struct facts *f, const struct span_ends *ends,
		   const struct span_options *o);

/*
 * http.c: "host", "host:port", "[address]:port" as clients write the server they mean. `host`
 * without brackets; empty: it is none of these. `port` 0: none.
 */
void span__read_host(struct slice text, struct slice *host, int *port);

/* sql.c: the lexer. */

/*
 * `sql` with every literal replaced by '?', comments removed, white space folded to one space; IN
 * lists of placeholders collapse to IN (?). Text that already is parameterised ($1, ?, :name, %s)
 * stays. Copy is in `a`, at most `max` bytes. Works on cut text too: a literal that does not end is
 * replaced to the end.
 */
struct slice sql__redact(struct slice sql, struct arena *a, size_t max);
/*
 * The same where "..." may be a string. EITHER: where a value is expected it is taken for one, except
 * beside a dot and to the left of a comparison.
 */
struct slice sql__redact_quotes(struct slice sql, enum facts_quotes quotes, struct arena *a,
				size_t max);

/*
 * db.query.summary: operations and targets in order, at most 255 characters, no literals. Empty if
 * nothing was understood.
 */
struct slice sql__summary(struct slice sql, struct arena *a);

/*
 * url.c: redaction of URLs: user info and the values of secret query keys (fact: semantic
 * conventions 1.44, HTTP).
 */
struct slice url__redact_query(struct slice query, struct arena *a);
/* An absolute or relative URL whose user info and secret query values are replaced. */
struct slice url__redact(struct slice url, struct arena *a);

#endif /* WEFT_CONVENTIONS_H */

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * HTTP spans (semantic conventions 1.44, "HTTP spans", stable). Nothing that is opt-in there is
 * set, but for what makes a span checkable against the other end's log: network.local.* on client
 * spans, client.port on server spans.
 *
 * error.type is the status code as text where the status is the error; else what failed below HTTP,
 * in protocols' words (facts.failure): connection_closed, incomplete_response.
 */
#include <stdio.h>

#include "../lib/copy.h"
#include "http_common.h"

/* http.request.method: all others are _OTHER. */
static const struct slice known_methods[] = {
	{ "GET", 3 },   { "POST", 4 },    { "PUT", 3 },     { "DELETE", 6 }, { "HEAD", 4 },
	{ "PATCH", 5 }, { "OPTIONS", 7 }, { "CONNECT", 7 }, { "TRACE", 5 },  { "QUERY", 5 },
};

/* A request target, taken apart (RFC 9112, 3.2). */
struct target {
	enum { ORIGIN, ABSOLUTE, AUTHORITY, ASTERISK } form;
	/* ABSOLUTE: all of it, user info included; empty if its host can't be told */
	struct slice url;
	/* ABSOLUTE; AUTHORITY has only the latter. Authority is without user info */
	struct slice scheme, authority;
	struct slice path, query; /* query: behind '?', without a fragment */
};

/*
 * What doesn't fit into an attribute need not be looked at. One more character, so that it is cut
 * between characters.
 */
#define PART_MAX (SPAN_VALUE_MAX + 4)
#define AUTHORITY_MAX 1024

/* An end of a connection as somebody wrote it. */
struct end {
	struct slice host; /* without the brackets of an IPv6 address; empty: not usable */
	int port;          /* 0: none */
};

static struct slice from(struct slice s, size_t i)
{
	return i < s.n ? slice__from(s.p + i, s.n - i) : SLICE("");
}

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* ---- targets and hosts ---- */

static const uint8_t host_char[256] = {
	['0' ... '9'] = 1, ['a' ... 'z'] = 1, ['A' ... 'Z'] = 1, ['-'] = 1, ['.'] = 1,
	['_'] = 1,         ['~'] = 1,         ['%'] = 1,         [':'] = 1,
};

static struct slice without_user(struct slice authority)
{
	for (size_t i = authority.n; i > 0; i--)
		if (authority.p[i - 1] == '@')
			return from(authority, i);
	return authority;
}

static bool is_scheme(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_alnum(s.p[i]) && s.p[i] != '+' && s.p[i] != '-' && s.p[i] != '.')
			return false;
	return s.n > 0 && s.n <= 32;
}

static struct target target__parse(const struct facts_http *h)
{
	struct slice rest = slice__upto(h->target,
					'#'); /* a fragment is not sent; who does has no say */
	struct target t = { .form = ORIGIN };

	if (slice__eq(h->method, SLICE("CONNECT"))) {
		t.form = AUTHORITY;
		t.authority = without_user(rest);
		return t;
	}
	if (slice__eq(rest, SLICE("*"))) {
		t.form = ASTERISK;
		t.path = rest;
		return t;
	}
	bool is_path = rest.n && rest.p[0] == '/';
	struct slice scheme = is_path ? SLICE("") : slice__upto(rest, ':');

	if (is_scheme(scheme) && slice__starts(from(rest, scheme.n), SLICE("://"))) {
		t.form = ABSOLUTE;
		t.scheme = scheme;
		rest = from(rest, scheme.n + 3);
		struct slice authority = slice__upto(slice__upto(rest, '/'), '?');

		/* One that is longer than any host might be cut off inside its user info. */
		if (authority.n <= AUTHORITY_MAX) {
			t.authority = without_user(authority);
			t.url = slice__upto(h->target, '#');
		}
		rest = from(rest, authority.n);
	}
	t.path = slice__upto(rest, '?');
	t.query = from(rest, t.path.n + 1);
	if (t.form == ABSOLUTE && !t.path.n)
		t.path = SLICE("/");
	t.url.n = t.url.n < PART_MAX ? t.url.n : PART_MAX;
	t.path.n = t.path.n < PART_MAX ? t.path.n : PART_MAX;
	t.query.n = t.query.n < PART_MAX ? t.query.n : PART_MAX;
	return t;
}

/* Digits of a port, 1 to 65535; 0: it is none. */
static int port_number(struct slice s)
{
	int port = 0;

	if (s.n > 5)
		return 0;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return 0;
		port = port * 10 + (s.p[i] - '0');
	}
	return port <= 65535 ? port : 0;
}

/*
 * host, host:port, [address], [address]:port. What holds other characters than a host's is no host:
 * these are anybody's words.
 */
static struct end end__parse(struct slice s)
{
	const struct end none = { { "", 0 }, 0 };
	struct end e = none;
	struct slice rest;

	s = slice__trim(s);
	if (s.n && s.p[0] == '[') {
		e.host = slice__upto(from(s, 1), ']');
		if (e.host.n + 2 > s.n)
			return none;
		rest = from(s, e.host.n + 2);
	} else {
		e.host = slice__upto(s, ':');
		rest = from(s, e.host.n);
	}
	for (size_t i = 0; i < e.host.n; i++)
		if (!host_char[(uint8_t)e.host.p[i]])
			return none;
	e.port = port_number(from(rest, 1));
	if (rest.n && (rest.p[0] != ':' ||
		       (rest.n > 1 && !e.port))) /* "host:" has no port (RFC 3986, 3.2.3) */
		return none;
	return e;
}

void span__read_host(struct slice text, struct slice *host, int *port)
{
	struct end e = end__parse(text);

	*host = e.host;
	*port = e.port;
}

/*
 * A forwarded address: as above, or an IPv6 address without brackets. "unknown" and made-up names
 * in place of one are none.
 */
static struct end hop__parse(struct slice s)
{
	s = slice__trim(s);
	struct slice first = slice__upto(s, ':');

	if (slice__ieq(s, SLICE("unknown")) || (s.n && s.p[0] == '_'))
		return (struct end){ { "", 0 }, 0 };
	if (s.n && s.p[0] != '[' && first.n < s.n &&
	    slice__upto(from(s, first.n + 1), ':').n < s.n - first.n - 1) {
		for (size_t i = 0; i < s.n; i++)
			if (!is_alnum(s.p[i]) && s.p[i] != ':' && s.p[i] != '.' && s.p[i] != '%')
				return (struct end){ { "", 0 }, 0 };
		return (struct end){ s, 0 };
	}
	return end__parse(s);
}

/*
 * Bytes of the Forwarded header's next token or quoted string, up to one of = ; , that is not
 * quoted.
 */
static size_t forwarded_item(struct slice s)
{
	bool quoted = false;
	size_t i = 0;

	for (; i < s.n; i++) {
		if (s.p[i] == '"')
			quoted = !quoted;
		else if (quoted && s.p[i] == '\\')
			i += i + 1 < s.n;
		else if (!quoted && slice__has(SLICE("=;,"), s.p[i]))
			break;
	}
	return i;
}

/*
 * Parameter `name` of the first element of a Forwarded header (RFC 7239): that of the proxy nearest
 * to the client.
 */
static struct slice forwarded_param(struct slice rest, struct slice name)
{
	while (rest.n) {
		struct slice key = slice__from(rest.p, forwarded_item(rest)), value = SLICE("");

		rest = from(rest, key.n);
		if (rest.n && rest.p[0] == '=') {
			rest = from(rest, 1);
			value = slice__from(rest.p, forwarded_item(rest));
			rest = from(rest, value.n);
		}
		if (slice__ieq(slice__trim(key), name)) {
			value = slice__trim(value);
			if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"')
				value = slice__from(value.p + 1, value.n - 2);
			return value;
		}
		if (!rest.n || rest.p[0] != ';')
			break;
		rest = from(rest, 1);
	}
	return SLICE("");
}

/* ---- who and where ---- */

static int default_port(struct slice scheme)
{
	if (slice__ieq(scheme, SLICE("https")))
		return 443;
	return slice__ieq(scheme, SLICE("http")) ? 80 : 0;
}

static struct slice own_scheme(const struct facts_http *h)
{
	return h->tls ? SLICE("https") : SLICE("http");
}

/* The scheme that the client used, as far as proxies tell. */
static struct slice client_scheme(const struct facts_http *h, const struct target *t)
{
	const struct slice said[] = {
		forwarded_param(h->forwarded, SLICE("proto")),
		slice__trim(slice__upto(h->x_forwarded_proto, ',')),
		t->scheme,
	};

	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++)
		if (is_scheme(said[i]))
			return said[i];
	return own_scheme(h);
}

/* The first usable of these, with the scheme's port if it has none; else the socket's end. */
static struct end server_end(const struct slice *said, size_t n, struct slice scheme,
			     const struct span_ends *ends)
{
	for (size_t i = 0; i < n; i++) {
		struct end e = end__parse(said[i]);

		if (!e.host.n)
			continue;
		if (!e.port && !ends->is_unix)
			e.port = default_port(scheme);
		return e;
	}
	return (struct end){ span_ends__server(ends), ends->server_port };
}

/* Inlined, so that keys are hashed by the compiler. */
static __attribute__((always_inline)) inline void set_end(struct span *s, const char *address_key,
							  const char *port_key, struct end e)
{
	span__set_str(s, address_key, e.host);
	if (e.host.n && e.port > 0)
		span__set_int(s, port_key, e.port);
}

/* The same with an address that is the span's own already. */
static __attribute__((always_inline)) inline void
set_own_end(struct span *s, const char *address_key, const char *port_key, struct end e)
{
	span__set_text(s, address_key, e.host);
	if (e.host.n && e.port > 0)
		span__set_int(s, port_key, e.port);
}

/* `peer`: the client's end of the socket. */
static void set_client(struct span *s, const struct facts_http *h, struct end peer)
{
	struct end e = hop__parse(forwarded_param(h->forwarded, SLICE("for")));

	if (!e.host.n)
		e = hop__parse(slice__upto(h->x_forwarded_for, ','));
	if (e.host.n)
		set_end(s, "client.address", "client.port", e);
	else
		set_own_end(s, "client.address", "client.port", peer);
}

/* Schemes are compared in small letters (RFC 3986, 3.1). */
static void set_scheme(struct span *s, struct slice scheme)
{
	char small[32];

	if (slice__eq(scheme, SLICE("http"))) {
		span__set_text(s, "url.scheme", SLICE("http"));
		return;
	}
	for (size_t i = 0; i < scheme.n; i++)
		small[i] = (char)(scheme.p[i] >= 'A' && scheme.p[i] <= 'Z' ? scheme.p[i] | 0x20
									   : scheme.p[i]);
	span__set_str(s, "url.scheme", slice__from(small, scheme.n));
}

/* A URL under construction; what is too long is cut. */
struct url_text {
	char text[PART_MAX];
	size_t n;
};

static void add(struct url_text *u, struct slice s)
{
	size_t room = sizeof(u->text) - u->n, n = s.n < room ? s.n : room;

	copy__short(u->text + u->n, s.p, n);
	u->n += n;
}

static void add_port(struct url_text *u, int port)
{
	char digits[12];
	size_t at = sizeof(digits);

	for (; port && at > 1; port /= 10)
		digits[--at] = (char)('0' + port % 10);
	digits[--at] = ':';
	add(u, slice__from(digits + at, sizeof(digits) - at));
}

static void add_host(struct url_text *u, struct slice host)
{
	bool brackets = slice__has(host, ':');

	add(u, brackets ? SLICE("[") : SLICE(""));
	add(u, host);
	add(u, brackets ? SLICE("]") : SLICE(""));
}

/* The URL that was asked for (RFC 9112, 3.3), credentials redacted. */
static void set_full_url(struct span *s, const struct facts_http *h, const struct target *t,
			 const struct end *server)
{
	struct slice scheme = t->form == ABSOLUTE ? t->scheme : own_scheme(h);
	struct slice path = t->form == ORIGIN || t->form == ABSOLUTE ? t->path : SLICE("");
	struct slice query = url__redact_query(t->query, &s->arena);
	/* A Unix socket: there is no such authority. */
	bool no_host = server->host.n && server->host.p[0] == '/';
	struct url_text url;

	if (!h->target.n)
		return; /* it was not seen: the server alone would be another URL */
	if (t->url.n) {
		span__set_str(s, "url.full", url__redact(t->url, &s->arena));
		return;
	}
	url.n = 0;
	add(&url, scheme);
	add(&url, SLICE("://"));
	add_host(&url, no_host ? SLICE("") : server->host);
	if (server->port && (server->port != default_port(scheme) || t->form == AUTHORITY))
		add_port(&url, server->port);
	/* No request target at all, but a server may take it as one. */
	if (path.n && path.p[0] != '/')
		add(&url, SLICE("/"));
	add(&url, path);
	add(&url, query.n ? SLICE("?") : SLICE(""));
	add(&url, query);
	span__set_str(s, "url.full", slice__from(url.text, url.n));
}

/* ---- the span ---- */

static void set_method(struct span *s, const struct facts_http *h)
{
	if (!h->method.n) { /* HTTP/2, joined in the middle: there is one, but it was not seen */
		s->name = SLICE("HTTP");
		return;
	}
	for (size_t i = 0; i < sizeof(known_methods) / sizeof(known_methods[0]); i++) {
		if (slice__eq(h->method, known_methods[i])) {
			s->name = known_methods[i];
			span__set_text(s, "http.request.method", known_methods[i]);
			return;
		}
	}
	s->name = SLICE("HTTP");
	span__set_str(s, "http.request.method", SLICE("_OTHER"));
	span__set_str(s, "http.request.method_original", h->method);
}

static void set_version(struct span *s, const struct facts_http *h)
{
	if (slice__eq(h->version, SLICE("1.1")))
		span__set_text(s, "network.protocol.version", SLICE("1.1"));
	else
		span__set_str(s, "network.protocol.version", h->version);
}

/*
 * Which status codes are errors depends on whose span it is: a server does right to refuse what it
 * should not do.
 */
static void set_outcome(struct span *s, const struct facts *f)
{
	int status = f->http.status;
	int least_error = s->kind == SPAN_SERVER ? 500 : 400;
	char code[12];

	if (status >= 0)
		span__set_int(s, "http.response.status_code", status);
	if (status >= least_error) {
		s->status = SPAN_ERROR;
		snprintf(code, sizeof(code), "%d", status);
		span__set_str(s, "error.type", slice__cstr(code));
	} else if (f->failure) {
		s->status = SPAN_ERROR;
		span__set_str(s, "error.type", slice__cstr(f->failure));
	}
}

static void set_client_span(struct span *s, const struct facts_http *h, const struct target *t,
			    const struct span_ends *ends)
{
	const struct slice said[] = { t->authority, h->host };
	struct slice scheme = t->form == ABSOLUTE ? t->scheme : own_scheme(h);
	struct end server = server_end(said, 2, scheme, ends);

	set_method(s, h);
	set_end(s, "server.address", "server.port", server);
	set_full_url(s, h, t, &server);
	set_end(s, "network.peer.address", "network.peer.port",
		(struct end){ slice__cstr(ends->server_addr), ends->server_port });
	set_end(s, "network.local.address", "network.local.port",
		(struct end){ slice__cstr(ends->client_addr), ends->client_port });
	set_version(s, h);
}

/* All that http_common.c may know from another span. */
static void set_server_common(struct span *s, const struct facts_http *h, const struct target *t,
			      const struct span_ends *ends)
{
	const struct slice said[] = {
		forwarded_param(h->forwarded, SLICE("host")),
		slice__upto(h->x_forwarded_host, ','),
		t->authority,
		h->host,
	};
	struct slice scheme = client_scheme(h, t);
	struct end peer = { span__own(s, slice__cstr(ends->client_addr)), ends->client_port };

	set_method(s, h);
	set_scheme(s, scheme);
	set_end(s, "server.address", "server.port", server_end(said, 4, scheme, ends));
	set_client(s, h, peer);
	set_own_end(s, "network.peer.address", "network.peer.port", peer);
	span__set_str(s, "user_agent.original", h->user_agent);
	set_version(s, h);
}

static void set_server_span(struct span *s, const struct facts_http *h, const struct target *t,
			    const struct span_ends *ends, struct http_common *common)
{
	if (!http_common__give(common, s, h, ends)) {
		set_server_common(s, h, t, ends);
		http_common__take(common, s, h, ends);
	}
	span__set_str(s, "url.path", t->path);
	span__set_str(s, "url.query", url__redact_query(t->query, &s->arena));
}

void span__from_http(struct span *s, const struct facts *f, const struct span_ends *ends,
		     const struct span_options *o)
{
	const struct facts_http *h = &f->http;
	struct target t = target__parse(h);

	if (s->kind == SPAN_SERVER)
		set_server_span(s, h, &t, ends, o->common);
	else
		set_client_span(s, h, &t, ends);
	set_outcome(s, f);
}

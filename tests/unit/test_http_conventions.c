// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From the facts of an HTTP exchange to its span (semantic conventions 1.44, HTTP), and the
 * redaction of URLs.
 */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>

#include "../../user/span/conventions.h"

static struct span *made;

static void drop(void)
{
	span__free(made);
	made = NULL;
}

TestSuite(http_span, .fini = drop);
TestSuite(url);

static const struct span_ends tcp_ends = {
	.server_addr = "10.0.0.2",
	.server_port = 8080,
	.client_addr = "10.0.0.1",
	.client_port = 40000,
};

static struct facts get(const char *target, const char *host)
{
	return (struct facts){
		.area = FACTS_HTTP,
		.http = {
			.method = SLICE("GET"),
			.target = slice__cstr(target),
			.host = slice__cstr(host),
			.version = SLICE("1.1"),
			.status = 200,
			.request_body = 0,
			.response_body = 2,
		},
	};
}

static struct span *make(enum span_kind kind, const struct facts *f, const struct span_ends *ends)
{
	drop();
	made = span__new();
	made->kind = kind;
	span__from_http(made, f, ends, &(struct span_options){ 0 });
	return made;
}

/* The attribute as text, "" if it isn't there. */
static const char *text(const char *key)
{
	static char out[8][512];
	static unsigned turn;
	const struct attr *a = span__attr(made, key);
	char *to = out[turn++ % 8];

	if (!a)
		return "";
	if (a->type == ATTR_INT)
		snprintf(to, sizeof(out[0]), "%lld", (long long)a->i);
	else
		snprintf(to, sizeof(out[0]), "%.*s", (int)a->text_n, a->text);
	return to;
}

#define EXPECT(key, want)                                                                          \
	cr_expect_str_eq(text(key), want, "%s: \"%s\", not \"%s\"", key, text(key), want)

static void expect_name(const char *want)
{
	cr_expect(slice__eq(made->name, slice__cstr(want)), "name %.*s, not %s", (int)made->name.n,
		  made->name.p, want);
}

Test(http_span, client)
{
	struct facts f = get("/a/b?q=1", "shop.example:8080");

	f.http.user_agent = SLICE("curl");
	make(SPAN_CLIENT, &f, &tcp_ends);
	expect_name("GET");
	EXPECT("http.request.method", "GET");
	EXPECT("http.request.method_original", "");
	EXPECT("server.address", "shop.example");
	EXPECT("server.port", "8080");
	EXPECT("url.full", "http://shop.example:8080/a/b?q=1");
	EXPECT("http.response.status_code", "200");
	EXPECT("network.protocol.version", "1.1");
	EXPECT("network.peer.address", "10.0.0.2");
	EXPECT("network.peer.port", "8080");
	EXPECT("network.local.address", "10.0.0.1");
	EXPECT("network.local.port", "40000");
	EXPECT("error.type", "");
	cr_expect_eq(made->status, SPAN_UNSET);
	/* Opt-in, or of the other kind. */
	const char *const absent[] = { "url.scheme",
				       "url.path",
				       "url.query",
				       "user_agent.original",
				       "client.address",
				       "http.request.body.size",
				       "http.response.body.size",
				       "network.transport",
				       "network.protocol.name" };

	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
		EXPECT(absent[i], "");
}

Test(http_span, server)
{
	struct facts f = get("/a/b?q=1&sig=secret", "shop.example:8080");

	f.http.user_agent = SLICE("curl");
	make(SPAN_SERVER, &f, &tcp_ends);
	expect_name("GET");
	EXPECT("http.request.method", "GET");
	EXPECT("url.path", "/a/b");
	EXPECT("url.query", "q=1&sig=REDACTED");
	EXPECT("url.scheme", "http");
	EXPECT("server.address", "shop.example");
	EXPECT("server.port", "8080");
	EXPECT("client.address", "10.0.0.1");
	EXPECT("client.port", "40000");
	EXPECT("network.peer.address", "10.0.0.1");
	EXPECT("network.peer.port", "40000");
	EXPECT("user_agent.original", "curl");
	EXPECT("http.response.status_code", "200");
	const char *const absent[] = { "url.full", "network.local.address", "network.local.port",
				       "http.request.body.size", "http.route" };

	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
		EXPECT(absent[i], "");
}

static void expect_outcome(enum span_kind kind, int status, const char *failure,
			   enum span_status want, const char *type)
{
	struct facts f = get("/", "h");

	f.http.status = status;
	f.failure = failure;
	make(kind, &f, &tcp_ends);
	cr_expect_eq(made->status, want, "kind %d status %d %s", kind, status,
		     failure ? failure : "");
	EXPECT("error.type", type);
	cr_expect_eq(made->status_message.n, 0);
}

Test(http_span, status_rule_by_kind)
{
	const int fine[] = { 101, 200, 204, 301, 304, 399 };

	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
		expect_outcome(SPAN_CLIENT, fine[i], NULL, SPAN_UNSET, "");
		expect_outcome(SPAN_SERVER, fine[i], NULL, SPAN_UNSET, "");
	}
	expect_outcome(SPAN_CLIENT, 400, NULL, SPAN_ERROR, "400");
	expect_outcome(SPAN_SERVER, 400, NULL, SPAN_UNSET, "");
	expect_outcome(SPAN_CLIENT, 499, NULL, SPAN_ERROR, "499");
	expect_outcome(SPAN_SERVER, 499, NULL, SPAN_UNSET, "");
	expect_outcome(SPAN_CLIENT, 500, NULL, SPAN_ERROR, "500");
	expect_outcome(SPAN_SERVER, 503, NULL, SPAN_ERROR, "503");
	expect_outcome(SPAN_CLIENT, 999, NULL, SPAN_ERROR, "999");
	expect_outcome(SPAN_SERVER, 999, NULL, SPAN_ERROR, "999");
}

Test(http_span, failures_below_http)
{
	expect_outcome(SPAN_CLIENT, -1, "connection_closed", SPAN_ERROR, "connection_closed");
	EXPECT("http.response.status_code", "");
	expect_outcome(SPAN_SERVER, -1, "connection_closed", SPAN_ERROR, "connection_closed");
	expect_outcome(SPAN_CLIENT, 200, "incomplete_response", SPAN_ERROR, "incomplete_response");
	EXPECT("http.response.status_code", "200");
	expect_outcome(SPAN_SERVER, 404, "incomplete_response", SPAN_ERROR, "incomplete_response");
	expect_outcome(SPAN_CLIENT, 502, "incomplete_response", SPAN_ERROR, "502");
	expect_outcome(SPAN_CLIENT, -1, NULL, SPAN_UNSET, "");
	EXPECT("http.response.status_code", "");
}

Test(http_span, other_methods)
{
	struct facts f = get("/", "h");

	f.http.method = SLICE("PURGE");
	make(SPAN_SERVER, &f, &tcp_ends);
	expect_name("HTTP");
	EXPECT("http.request.method", "_OTHER");
	EXPECT("http.request.method_original", "PURGE");
	f.http.method = SLICE("get"); /* methods are case-sensitive */
	make(SPAN_CLIENT, &f, &tcp_ends);
	expect_name("HTTP");
	EXPECT("http.request.method", "_OTHER");
	EXPECT("http.request.method_original", "get");
	f.http.method = SLICE("QUERY");
	make(SPAN_CLIENT, &f, &tcp_ends);
	expect_name("QUERY");
	EXPECT("http.request.method_original", "");
}

Test(http_span, default_ports)
{
	struct facts f = get("/", "shop.example");

	make(SPAN_CLIENT, &f, &tcp_ends);
	EXPECT("server.port", "80");
	EXPECT("url.full", "http://shop.example/");
	f.http.tls = true;
	make(SPAN_CLIENT, &f, &tcp_ends);
	EXPECT("server.port", "443");
	EXPECT("url.full", "https://shop.example/");
	make(SPAN_SERVER, &f, &tcp_ends);
	EXPECT("server.port", "443");
	EXPECT("url.scheme", "https");
	f.http.host = SLICE("shop.example:80");
	make(SPAN_CLIENT, &f, &tcp_ends);
	EXPECT("url.full", "https://shop.example:80/");
}

Test(http_span, no_usable_host)
{
	const char *const hosts[] = { "",        "a b",      "user:pw@h", "h:0",
				      "h:65536", "h:12x",    "[::1",      "[::1]x",
				      "a/b",     "<script>", "a,b",       "h\xc3\xa9" };

	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		struct facts f = get("/x", hosts[i]);

		make(SPAN_CLIENT, &f, &tcp_ends);
		EXPECT("server.address", "10.0.0.2");
		EXPECT("server.port", "8080");
		EXPECT("url.full", "http://10.0.0.2:8080/x");
		make(SPAN_SERVER, &f, &tcp_ends);
		EXPECT("server.address", "10.0.0.2");
		EXPECT("server.port", "8080");
	}
}

Test(http_span, ipv6)
{
	struct facts f = get("/x", "[2001:db8::1]:8443");
	struct span_ends ends = {
		.server_addr = "::1", .server_port = 9000, .client_addr = "::1", .client_port = 1
	};

	make(SPAN_CLIENT, &f, &ends);
	EXPECT("server.address", "2001:db8::1");
	EXPECT("server.port", "8443");
	EXPECT("url.full", "http://[2001:db8::1]:8443/x");
	f.http.host = SLICE("[::1]");
	make(SPAN_CLIENT, &f, &ends);
	EXPECT("server.address", "::1");
	EXPECT("server.port", "80");
	EXPECT("url.full", "http://[::1]/x");
	f.http.host = SLICE("");
	make(SPAN_CLIENT, &f, &ends);
	EXPECT("url.full", "http://[::1]:9000/x");
	EXPECT("network.peer.address", "::1");
}

Test(http_span, unix_socket)
{
	struct facts f = get("/info", "");
	struct span_ends ends = { .server_addr = "/run/docker.sock", .is_unix = true };

	make(SPAN_CLIENT, &f, &ends);
	EXPECT("server.address", "/run/docker.sock");
	EXPECT("server.port", "");
	EXPECT("url.full", "http:///info");
	EXPECT("network.peer.address", "/run/docker.sock");
	EXPECT("network.peer.port", "");
	EXPECT("network.local.address", "");
	f.http.host = SLICE("localhost");
	make(SPAN_CLIENT, &f, &ends);
	EXPECT("server.address", "localhost");
	EXPECT("server.port", "");
	EXPECT("url.full", "http://localhost/info");
	make(SPAN_SERVER, &f, &ends);
	EXPECT("server.address", "localhost");
	EXPECT("client.address", "");
	EXPECT("client.port", "");
}

Test(http_span, target_forms)
{
	struct facts f = get("http://joe:pw@far.example:81/p?sig=x&a=b#frag", "near.example");

	make(SPAN_CLIENT, &f, &tcp_ends);
	EXPECT("url.full", "http://REDACTED:REDACTED@far.example:81/p?sig=REDACTED&a=b");
	EXPECT("server.address", "far.example");
	EXPECT("server.port", "81");
	make(SPAN_SERVER, &f, &tcp_ends);
	EXPECT("url.path", "/p");
	EXPECT("url.query", "sig=REDACTED&a=b");
	EXPECT("server.address", "far.example");
	f = get("HTTPS://far.example", "near.example");
	make(SPAN_SERVER, &f, &tcp_ends);
	EXPECT("url.scheme", "https");
	EXPECT("url.path", "/");
	EXPECT("server.port", "443");
	f = get("*", "near.example");
	f.http.method = SLICE("OPTIONS");
	make(SPAN_CLIENT, &f, &tcp_ends);
	EXPECT("url.full", "http://near.example");
	make(SPAN_SERVER, &f, &tcp_ends);
	EXPECT("url.path", "*");
	f = get("db.example:5432", "other");
	f.http.method = SLICE("CONNECT");
	make(SPAN_CLIENT, &f, &tcp_ends);
	expect_name("CONNECT");
	EXPECT("server.address", "db.example");
	EXPECT("server.port", "5432");
	EXPECT("url.full", "http://db.example:5432");
	make(SPAN_SERVER, &f, &tcp_ends);
	EXPECT("url.path", "");
	EXPECT("server.address", "db.example");
	/* A path that looks like a URL is a path. */
	f = get("/go?to=http://user:pw@x/", "h");
	make(SPAN_SERVER, &f, &tcp_ends);
	EXPECT("url.path", "/go");
	EXPECT("url.query", "to=http://user:pw@x/");
}

static void expect_client(const char *x_forwarded_for, const char *forwarded, const char *address,
			  const char *port)
{
	struct facts f = get("/", "h");

	f.http.x_forwarded_for = slice__cstr(x_forwarded_for);
	f.http.forwarded = slice__cstr(forwarded);
	make(SPAN_SERVER, &f, &tcp_ends);
	cr_expect_str_eq(text("client.address"), address, "X-Forwarded-For: %s, Forwarded: %s: %s",
			 x_forwarded_for, forwarded, text("client.address"));
	cr_expect_str_eq(text("client.port"), port, "X-Forwarded-For: %s, Forwarded: %s: %s",
			 x_forwarded_for, forwarded, text("client.port"));
	EXPECT("network.peer.address", "10.0.0.1");
}

Test(http_span, forwarded_client)
{
	expect_client("", "", "10.0.0.1", "40000");
	expect_client("203.0.113.7", "", "203.0.113.7", "");
	expect_client(" 203.0.113.7 , 10.1.1.1", "", "203.0.113.7", "");
	expect_client("203.0.113.7:4711, 10.1.1.1", "", "203.0.113.7", "4711");
	expect_client("2001:db8::7", "", "2001:db8::7", "");
	expect_client("[2001:db8::7]:80", "", "2001:db8::7", "80");
	expect_client("unknown, 1.2.3.4", "", "10.0.0.1", "40000");
	expect_client("<b>", "", "10.0.0.1", "40000");
	expect_client("203.0.113.7", "for=198.51.100.1", "198.51.100.1", "");
	expect_client("", "proto=https ; For=\"[2001:db8::9]:4711\";by=x, for=1.2.3.4",
		      "2001:db8::9", "4711");
	expect_client("", "for=unknown, for=1.2.3.4", "10.0.0.1", "40000");
	expect_client("", "for=_hidden", "10.0.0.1", "40000");
	expect_client("", "by=\"a;for=6.6.6.6\";for=1.2.3.4", "1.2.3.4", "");
	expect_client("", "by=x, for=1.2.3.4", "10.0.0.1", "40000");
	expect_client("", "for=\"1.2.3.4", "10.0.0.1", "40000");
	expect_client("", "for", "10.0.0.1", "40000");
}

Test(http_span, forwarded_server)
{
	struct facts f = get("/", "backend:8080");

	f.http.x_forwarded_host = SLICE("shop.example, inner");
	f.http.x_forwarded_proto = SLICE("https,http");
	make(SPAN_SERVER, &f, &tcp_ends);
	EXPECT("server.address", "shop.example");
	EXPECT("server.port", "443");
	EXPECT("url.scheme", "https");
	f.http.forwarded = SLICE("host=\"first.example:444\";proto=HTTP");
	make(SPAN_SERVER, &f, &tcp_ends);
	EXPECT("server.address", "first.example");
	EXPECT("server.port", "444");
	EXPECT("url.scheme", "http");
	f.http.forwarded = SLICE("proto=\"java script\"");
	f.http.x_forwarded_proto = SLICE("");
	f.http.x_forwarded_host = SLICE("a b");
	make(SPAN_SERVER, &f, &tcp_ends);
	EXPECT("server.address", "backend");
	EXPECT("url.scheme", "http");
	/* A client's own connection is what it is, whatever it says of others. */
	f.http.x_forwarded_host = SLICE("shop.example");
	make(SPAN_CLIENT, &f, &tcp_ends);
	EXPECT("server.address", "backend");
}

Test(http_span, bytes_that_are_no_utf8)
{
	struct facts f = get("/caf\xe9?a=\xff", "h");

	make(SPAN_SERVER, &f, &tcp_ends);
	EXPECT("url.path", "/caf\xef\xbf\xbd");
	EXPECT("url.query", "a=\xef\xbf\xbd");
	make(SPAN_CLIENT, &f, &tcp_ends);
	EXPECT("url.full", "http://h/caf\xef\xbf\xbd?a=\xef\xbf\xbd");
}

Test(http_span, long_targets)
{
	size_t n = 30000;
	char *target = malloc(n + 1);

	memset(target, 'a', n);
	memcpy(target, "/a?sig=secretsecret&", 20);
	target[n] = '\0';
	struct facts f = get(target, "h");

	make(SPAN_CLIENT, &f, &tcp_ends);
	const struct attr *a = span__attr(made, "url.full");

	cr_expect_eq(a->text_n, SPAN_VALUE_MAX);
	cr_expect(slice__starts(attr__text(a), SLICE("http://h/a?sig=REDACTED&aaa")));
	/* A secret at the limit, and one beyond it, are no exception. */
	memset(target, 'b', n);
	target[0] = '/';
	memcpy(target + SPAN_VALUE_MAX - 40, "?x=y&sig=", 9);
	make(SPAN_CLIENT, &f, &tcp_ends);
	a = span__attr(made, "url.full");
	cr_expect_null(memmem(a->text, a->text_n, "sig=b", 5));
	cr_expect_not_null(memmem(a->text, a->text_n, "sig=REDACTED", 12));
	/* User info without an end in sight: nothing of it is shown. */
	memset(target, 'c', n);
	memcpy(target, "http://me:pw", 12);
	make(SPAN_CLIENT, &f, &tcp_ends);
	cr_expect_null(memmem(span__attr(made, "url.full")->text,
			      span__attr(made, "url.full")->text_n, "pw", 2));
	EXPECT("server.address", "h");
	free(target);
}

Test(http_span, nothing_known_of_the_target)
{
	struct facts f = get("", "");

	f.http.version = (struct slice){ NULL, 0 };
	f.http.status = -1;
	make(SPAN_SERVER, &f, &(struct span_ends){ 0 });
	expect_name("GET");
	EXPECT("url.path", "");
	EXPECT("server.address", "");
	EXPECT("server.port", "");
	EXPECT("network.protocol.version", "");
	make(SPAN_CLIENT, &f, &(struct span_ends){ 0 });
	EXPECT("server.address", "");
}

/* ---- redaction ---- */

static void expect_redacted(struct slice (*redact)(struct slice, struct arena *), const char *in,
			    const char *want)
{
	struct arena a;
	char *exact = malloc(strlen(in) +
			     !*in); /* no byte behind it that could be read unnoticed */

	memcpy(exact, in, strlen(in));
	arena__init(&a, 4096);
	struct slice out = redact(slice__from(exact, strlen(in)), &a);

	cr_expect(slice__eq(out, slice__cstr(want)), "%s: %.*s, not %s", in, (int)out.n, out.p,
		  want);
	arena__reset(&a);
	free(exact);
}

Test(url, query)
{
	const char *const keys[] = { "X-Amz-Signature",
				     "X-Amz-Credential",
				     "X-Amz-Security-Token",
				     "sig",
				     "X-Goog-Signature",
				     "AWSAccessKeyId",
				     "Signature",
				     "access_token",
				     "client_secret",
				     "password" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		char in[128], want[128];

		snprintf(in, sizeof(in), "a=1&%s=secret/%%20&b", keys[i]);
		snprintf(want, sizeof(want), "a=1&%s=REDACTED&b", keys[i]);
		expect_redacted(url__redact_query, in, want);
	}
	expect_redacted(url__redact_query, "", "");
	expect_redacted(url__redact_query, "a=b", "a=b");
	expect_redacted(url__redact_query, "sig", "sig");
	expect_redacted(url__redact_query, "sig=", "sig=REDACTED");
	expect_redacted(url__redact_query, "sig=a=b&sig=c", "sig=REDACTED&sig=REDACTED");
	expect_redacted(url__redact_query, "SIG=a&signature=b&xsig=c", "SIG=a&signature=b&xsig=c");
	expect_redacted(url__redact_query, "&&sig=x&&", "&&sig=REDACTED&&");
	expect_redacted(url__redact_query, "=x&sig=x", "=x&sig=REDACTED");
}

Test(url, whole)
{
	expect_redacted(url__redact, "", "");
	expect_redacted(url__redact, "https://h/p?a=b#f", "https://h/p?a=b#f");
	expect_redacted(url__redact, "https://u:p@h/p", "https://REDACTED:REDACTED@h/p");
	expect_redacted(url__redact, "https://u@h", "https://REDACTED@h");
	expect_redacted(url__redact, "https://u:p@w@h:1/p@q?sig=1&a=@#f",
			"https://REDACTED:REDACTED@h:1/p@q?sig=REDACTED&a=@#f");
	expect_redacted(url__redact, "//u:p@h/p", "//REDACTED:REDACTED@h/p");
	expect_redacted(url__redact, "/p/u:p@h?sig=1", "/p/u:p@h?sig=REDACTED");
	expect_redacted(url__redact, "/p?sig=1#sig=2", "/p?sig=REDACTED#sig=2");
	expect_redacted(url__redact, "/p#?sig=1", "/p#?sig=1");
	expect_redacted(url__redact, "https://u:p@h?", "https://REDACTED:REDACTED@h?");
	expect_redacted(url__redact, "https://h?u:p@x", "https://h?u:p@x");
	expect_redacted(url__redact, "a:b", "a:b");
	expect_redacted(url__redact, "https://u:p@", "https://REDACTED:REDACTED@");
}

Test(url, without_room_nothing_is_shown)
{
	struct arena a;

	arena__init(&a, 8);
	cr_expect_eq(url__redact_query(SLICE("sig=0123456789"), &a).n, 0);
	cr_expect_eq(url__redact(SLICE("http://u:p@h/0123456789"), &a).n, 0);
	arena__reset(&a);
}

/* ---- what spans have in common ---- */

static const char *const agents[] = { "", "curl/8.0",
				      "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0" };
static const char *const hosts[] = { "", "a", "shop.example:8080", "[2001:db8::1]:81",
				     "not a host" };
static const char *const methods[] = { "GET", "POST", "BREW", "CONNECT" };
static const char *const targets[] = { "/", "/cart?id=1&sig=x", "http://b/c?d", "*", "" };
static const char *const clients[] = { "10.0.0.1", "10.0.0.2", "2001:db8::7" };

/* One of very many requests, each of which comes again sooner or later. */
static struct span *common_span(unsigned dice, struct http_common *common)
{
	struct facts f = { .area = FACTS_HTTP };
	struct span_ends e = { .server_addr = "10.0.0.9",
			       .server_port = dice & 1 << 14 ? 80 : 8080,
			       .client_port = (int)(1024 + dice % 50000) };
	struct span *s = span__new();

	cr_assert(s);
	f.http.method = slice__cstr(methods[dice % 4]);
	f.http.host = slice__cstr(hosts[dice / 4 % 5]);
	f.http.version = dice & 1 << 15 ? SLICE("1.1") : SLICE("1.0");
	f.http.user_agent = slice__cstr(agents[dice / 20 % 3]);
	f.http.target = slice__cstr(targets[dice / 60 % 5]);
	f.http.status = 200 + (int)(dice % 400);
	if ((dice >> 16 & 7) == 1)
		f.http.x_forwarded_for = SLICE("192.0.2.1");
	if ((dice >> 16 & 7) == 2)
		f.http.forwarded = SLICE("host=front.example;proto=https");
	f.http.tls = (dice >> 16 & 7) == 3;
	strcpy(e.client_addr, clients[dice / 300 % 3]);
	s->kind = dice >> 20 & 3 ? SPAN_SERVER : SPAN_CLIENT;
	span__from_http(s, &f, &e, &(struct span_options){ .common = common });
	return s;
}

static void expect_same(const struct span *a, const struct span *b)
{
	cr_assert_eq(a->n_attrs, b->n_attrs);
	cr_assert(slice__eq(a->name, b->name));
	cr_assert_eq(a->status, b->status);
	for (unsigned i = 0; i < a->n_attrs; i++) {
		const struct attr *x = &a->attrs[i], *y = &b->attrs[i];

		cr_assert_str_eq(x->key, y->key);
		cr_assert_eq(x->type, y->type);
		cr_assert_eq(span__attr(b, x->key), y);
		if (x->type == ATTR_STR)
			cr_assert(slice__eq(attr__text(x), attr__text(y)), "%s", x->key);
		else
			cr_assert_eq(x->i, y->i, "%s", x->key);
	}
}

Test(http, what_is_kept_of_one_span_changes_no_other)
{
	struct http_common *common = http_common__new();
	struct span *before = NULL, *copy = NULL;
	unsigned dice = 1;

	cr_assert(common);
	for (unsigned i = 0; i < 20000; i++) {
		dice = dice * 1664525 + 1013904223;
		/* Most are like the one before, as on one connection. */
		unsigned seed = i % 4 ? dice >> 8 & 0x701fff : dice >> 8;
		struct span *plain = common_span(seed, NULL), *kept = common_span(seed, common);

		expect_same(plain, kept);
		/* Nor does a later one change what an earlier one says. */
		if (before)
			expect_same(before, copy);
		span__free(before);
		span__free(copy);
		before = plain;
		copy = kept;
	}
	span__free(before);
	span__free(copy);
	http_common__free(common);
}

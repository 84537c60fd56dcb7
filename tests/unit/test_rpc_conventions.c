// SPDX-License-Identifier: GPL-2.0-or-later
/* From the facts of an RPC to its span (semantic conventions 1.44, RPC and gRPC). */
#include <criterion/criterion.h>

#include <stdio.h>

#include "../../user/span/conventions.h"

static struct span *made;

static void drop(void)
{
	span__free(made);
	made = NULL;
}

TestSuite(rpc_span, .fini = drop);

static const struct span_ends tcp_ends = {
	.server_addr = "10.0.0.2",
	.server_port = 50051,
	.client_addr = "10.0.0.1",
	.client_port = 40000,
};

static struct facts call(int status)
{
	return (struct facts){
		.area = FACTS_RPC,
		.rpc = {
			.system = "grpc",
			.method = SLICE("pkg.Service/Method"),
			.host = SLICE("shop.example:8443"),
			.status = status,
			.timeout_ns = -1,
		},
	};
}

static struct span *make(enum span_kind kind, const struct facts *f, const struct span_ends *ends)
{
	drop();
	made = span__new();
	made->kind = kind;
	span__from_rpc(made, f, ends, &(struct span_options){ 0 });
	return made;
}

/* The attribute as text, "" if it isn't there. */
static const char *text(const char *key)
{
	static char out[8][256];
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

Test(rpc_span, client)
{
	struct facts f = call(0);

	make(SPAN_CLIENT, &f, &tcp_ends);
	expect_name("pkg.Service/Method");
	EXPECT("rpc.system.name", "grpc");
	EXPECT("rpc.method", "pkg.Service/Method");
	EXPECT("rpc.response.status_code", "OK");
	EXPECT("server.address", "shop.example");
	EXPECT("server.port", "8443");
	EXPECT("network.peer.address", "10.0.0.2");
	EXPECT("network.peer.port", "50051");
	EXPECT("network.local.address", "10.0.0.1");
	EXPECT("network.local.port", "40000");
	EXPECT("client.address", "");
	EXPECT("error.type", "");
	EXPECT("rpc.service", "");
	EXPECT("http.request.method", "");
	EXPECT("network.transport", "");
	cr_expect_eq(made->status, SPAN_UNSET);
}

Test(rpc_span, server)
{
	struct facts f = call(0);

	make(SPAN_SERVER, &f, &tcp_ends);
	expect_name("pkg.Service/Method");
	EXPECT("server.address", "shop.example");
	EXPECT("server.port", "8443");
	EXPECT("client.address", "10.0.0.1");
	EXPECT("client.port", "40000");
	EXPECT("network.peer.address", "10.0.0.1");
	EXPECT("network.peer.port", "40000");
	EXPECT("network.local.address", "");
	cr_expect_eq(made->status, SPAN_UNSET);
}

Test(rpc_span, who_is_meant)
{
	struct facts f = call(0);
	struct span_ends path = { .server_addr = "/run/x.sock", .is_unix = true };

	f.rpc.host = SLICE("[::1]:7");
	make(SPAN_CLIENT, &f, &tcp_ends);
	EXPECT("server.address", "::1");
	EXPECT("server.port", "7");
	f.rpc.host = SLICE("no host/at all");
	make(SPAN_CLIENT, &f, &tcp_ends);
	EXPECT("server.address", "10.0.0.2");
	EXPECT("server.port", "50051");
	/* What the client did not say is not made up for the server. */
	make(SPAN_SERVER, &f, &tcp_ends);
	EXPECT("server.address", "");
	EXPECT("server.port", "");
	f.rpc.host = SLICE("localhost");
	make(SPAN_CLIENT, &f, &path);
	EXPECT("server.address", "/run/x.sock");
	EXPECT("server.port", "");
	make(SPAN_SERVER, &f, &path);
	EXPECT("server.address", "localhost");
}

Test(rpc_span, codes)
{
	static const struct {
		const char *name;
		bool server_error;
	} codes[] = {
		{ "OK", false },
		{ "CANCELLED", false },
		{ "UNKNOWN", true },
		{ "INVALID_ARGUMENT", false },
		{ "DEADLINE_EXCEEDED", true },
		{ "NOT_FOUND", false },
		{ "ALREADY_EXISTS", false },
		{ "PERMISSION_DENIED", false },
		{ "RESOURCE_EXHAUSTED", false },
		{ "FAILED_PRECONDITION", false },
		{ "ABORTED", false },
		{ "OUT_OF_RANGE", false },
		{ "UNIMPLEMENTED", true },
		{ "INTERNAL", true },
		{ "UNAVAILABLE", true },
		{ "DATA_LOSS", true },
		{ "UNAUTHENTICATED", false },
	};

	for (int code = 0; code < 17; code++) {
		struct facts f = call(code);

		f.rpc.message = SLICE("in words");
		make(SPAN_CLIENT, &f, &tcp_ends);
		EXPECT("rpc.response.status_code", codes[code].name);
		EXPECT("error.type", code ? codes[code].name : "");
		cr_expect_eq(made->status, code ? SPAN_ERROR : SPAN_UNSET);
		cr_expect(slice__eq(made->status_message, code ? SLICE("in words") : SLICE("")));
		make(SPAN_SERVER, &f, &tcp_ends);
		EXPECT("rpc.response.status_code", codes[code].name);
		EXPECT("error.type", codes[code].server_error ? codes[code].name : "");
		cr_expect_eq(made->status, codes[code].server_error ? SPAN_ERROR : SPAN_UNSET);
		cr_expect_eq(made->status_message.n > 0, codes[code].server_error);
	}
}

Test(rpc_span, nothing_known)
{
	struct facts f = call(-1);

	f.rpc.method = SLICE("");
	make(SPAN_SERVER, &f, &tcp_ends);
	expect_name("grpc");
	EXPECT("rpc.method", "");
	EXPECT("rpc.response.status_code", "");
	EXPECT("error.type", "");
	cr_expect_eq(made->status, SPAN_UNSET);
	f.failure = "connection_closed";
	make(SPAN_CLIENT, &f, &tcp_ends);
	EXPECT("error.type", "connection_closed");
	EXPECT("rpc.response.status_code", "");
	cr_expect_eq(made->status, SPAN_ERROR);
}

/* A status that was said goes before what happened to the stream. */
Test(rpc_span, status_before_failure)
{
	struct facts f = call(14);

	f.failure = "REFUSED_STREAM";
	make(SPAN_CLIENT, &f, &tcp_ends);
	EXPECT("error.type", "UNAVAILABLE");
	f = call(1);
	f.failure = "CANCEL";
	make(SPAN_SERVER, &f, &tcp_ends);
	EXPECT("error.type", "");
	cr_expect_eq(made->status, SPAN_UNSET);
}

Test(rpc_span, out_of_time)
{
	static const struct {
		int64_t limit, elapsed;
		bool cancelled;
		const char *want;
	} cases[] = {
		{ 1000, 1001, true, "DEADLINE_EXCEEDED" },
		/* clients round up, and begin to count earlier */
		{ 1000, 990, true, "DEADLINE_EXCEEDED" },
		{ 1000, 900, true, "CANCELLED" },
		{ -1, 900, true, "CANCELLED" },
		{ 1000, 0, true, "CANCELLED" }, /* not known how long it took */
		{ 1000, 2000, false, "CANCELLED" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct facts f = call(1);

		f.rpc.cancelled = cases[i].cancelled;
		f.rpc.timeout_ns = cases[i].limit;
		f.rpc.elapsed_ns = (uint64_t)cases[i].elapsed;
		make(SPAN_CLIENT, &f, &tcp_ends);
		EXPECT("rpc.response.status_code", cases[i].want);
	}
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Trace context in all its formats: what is taken, what is refused; where it is found (headers, SQL
 * comments); and processes that export spans of their own.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../user/proto/context.h"
#include "../../user/span/context.h"
#include "../lib/feed.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"
#define UUID_B64 "NGJmOTJmMzUtNzdiMy00ZGE2LWEzY2UtOTI5ZDBlMGU0NzM2"
#define HEX_B64 "NGJmOTJmMzU3N2IzNGRhNmEzY2U5MjlkMGUwZTQ3MzY="

/* "format trace span flags", or "none". */
static const char *read(const struct facts_context *c)
{
	static char text[128];
	struct remote_context r;
	size_t n;

	if (!context__read(c, &r))
		return "none";
	n = (size_t)snprintf(text, sizeof(text), "%s ", r.format);
	for (int i = 0; i < 16; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%02x", r.trace_id[i]);
	n += (size_t)snprintf(text + n, sizeof(text) - n, " ");
	for (int i = 0; i < 8; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%02x", r.span_id[i]);
	snprintf(text + n, sizeof(text) - n, " %d", r.flags);
	return text;
}

#define SHORT_TRACE "0000000000000000a3ce929d0e0e4736"

Test(context, formats)
{
	const struct {
		struct facts_context c;
		const char *want;
	} cases[] = {
		{ { .traceparent = SLICE("00-" TRACE "-" SPAN "-01") },
		  "tracecontext " TRACE " " SPAN " 1" },
		{ { .b3 = SLICE(TRACE "-" SPAN "-1-05e3ac9a4f6e3b90") },
		  "b3 " TRACE " " SPAN " 1" },
		{ { .b3 = SLICE(TRACE "-" SPAN "-0") }, "b3 " TRACE " " SPAN " 0" },
		{ { .b3 = SLICE(TRACE "-" SPAN "-d") }, "b3 " TRACE " " SPAN " 1" },
		{ { .b3 = SLICE(" " TRACE "-" SPAN) }, "b3 " TRACE " " SPAN " 1" },
		{ { .b3 = SLICE("a3ce929d0e0e4736-" SPAN) }, "b3 " SHORT_TRACE " " SPAN " 1" },
		{ { .b3 = SLICE("0") }, "none" },
		{ { .b3 = SLICE(TRACE) }, "none" },
		{ { .b3 = SLICE(TRACE "-0000000000000000-1") }, "none" },
		{ { .b3 = SLICE("xbf92f3577b34da6a3ce929d0e0e4736-" SPAN) }, "none" },
		{ { .b3_trace = SLICE(TRACE), .b3_span = SLICE(SPAN), .b3_sampled = SLICE("0") },
		  "b3multi " TRACE " " SPAN " 0" },
		{ { .b3_trace = SLICE(TRACE),
		    .b3_span = SLICE(SPAN),
		    .b3_sampled = SLICE("0"),
		    .b3_flags = SLICE("1") },
		  "b3multi " TRACE " " SPAN " 1" },
		{ { .b3_trace = SLICE(TRACE) }, "none" },
		{ { .uber = SLICE(TRACE ":" SPAN ":0:1") }, "jaeger " TRACE " " SPAN " 1" },
		{ { .uber = SLICE(TRACE "%3A" SPAN "%3a0%3A0") }, "jaeger " TRACE " " SPAN " 0" },
		{ { .uber = SLICE("a3ce929d0e0e4736:f067aa0ba902b7:0:3") },
		  "jaeger " SHORT_TRACE " " SPAN " 1" },
		{ { .uber = SLICE(TRACE ":0:0:1") }, "none" },
		{ { .uber = SLICE(TRACE ":" SPAN) }, "none" },
		{ { .uber = SLICE(TRACE ":" SPAN ":0:x") }, "none" },
		{ { .amzn = SLICE("Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=" SPAN
				  ";Sampled=1") },
		  "xray " TRACE " " SPAN " 1" },
		{ { .amzn = SLICE("Self=1-1-2; Sampled=0; parent=" SPAN
				  "; root=1-4bf92f35-77b34da6a3ce929d0e0e4736") },
		  "xray " TRACE " " SPAN " 0" },
		{ { .amzn = SLICE("Root=1-4bf92f35-77b34da6a3ce929d0e0e4736") },
		  "xray " TRACE " 0000000000000000 1" },
		{ { .amzn = SLICE("Root=2-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=" SPAN) },
		  "none" },
		{ { .amzn = SLICE("Parent=" SPAN) }, "none" },
		{ { .sw8 = SLICE("1-" UUID_B64 "-c2Vn-3-c3Zj-aW4=-ZXA=-YWRkcg==") },
		  "sw8 " TRACE " 0000000000000000 1" },
		{ { .sw8 = SLICE("0-" HEX_B64 "-c2Vn-3-c3Zj-aW4=-ZXA=-YWRkcg==") },
		  "sw8 " TRACE " 0000000000000000 0" },
		{ { .sw8 = SLICE("1-c29tZXRoaW5nIGVsc2U=-c2Vn-3-c3Zj-aW4=-ZXA=-YWRkcg==") },
		  "none" },
		{ { .sw8 = SLICE("1-!!!!-c2Vn") }, "none" },
		/* What is broken is as if it were not there; W3C comes first. */
		{ { .traceparent = SLICE("00-nonsense"), .b3 = SLICE(TRACE "-" SPAN) },
		  "b3 " TRACE " " SPAN " 1" },
		{ { .traceparent = SLICE("00-" TRACE "-" SPAN "-00"), .b3 = SLICE("1-2-1") },
		  "tracecontext " TRACE " " SPAN " 0" },
		{ { .traceparent = SLICE("00-" TRACE "-" SPAN "-01"), .duplicate = true }, "none" },
		{ { .tracestate = SLICE("a=1") }, "none" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_str_eq(read(&cases[i].c), cases[i].want, "case %zu", i);
}

/* Cut at every length, in memory that ends there: never read past, never a crash. */
Test(context, cut_anywhere)
{
	static const char *const texts[] = {
		"00-" TRACE "-" SPAN "-01",
		TRACE "-" SPAN "-1-" SPAN,
		TRACE "%3A" SPAN "%3A0%3A1",
		"Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=" SPAN ";Sampled=1",
		"1-" UUID_B64 "-c2Vn-3",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		for (size_t n = 0; n <= strlen(texts[i]); n++) {
			char *p = malloc(n ? n : 1);
			struct slice s = slice__from(memcpy(p, texts[i], n), n);
			struct facts_context c = {
				.traceparent = s, .b3 = s, .uber = s, .amzn = s, .sw8 = s
			};

			read(&c);
			free(p);
		}
}

static struct facts_context from_sql(const char *text)
{
	static struct arena a;
	struct facts_context c = { 0 };
	char *p = malloc(strlen(text) + 1);

	arena__reset(&a);
	arena__init(&a, 4096);
	memcpy(p, text, strlen(text));
	context__from_sql(&c, slice__from(p, strlen(text)), &a);
	free(p);
	return c;
}

Test(context, sql_comment)
{
	const char *const none[] = {
		"SELECT 1",
		"/*traceparent='00-x'*/ SELECT 1",
		"SELECT 1 /*traceparent=00*/",
		"SELECT 1 /*traceparent='00*/",
		"SELECT 1 /* a comment */",
		"*/",
		"/*/",
		"",
		"SELECT 1 /*traceparent='\\*/",
	};
	struct facts_context c = from_sql("SELECT 1 /*action='%2Fa',framework='x\\'y',"
					  "traceparent='00-" TRACE "-" SPAN "-01',tracestate="
					  "'a%3D1%2Cb%3D2'*/;\n");

	cr_expect_str_eq(read(&c), "tracecontext " TRACE " " SPAN " 1");
	cr_expect(slice__eq(c.tracestate, SLICE("a=1,b=2")));
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		c = from_sql(none[i]);
		cr_expect(!c.traceparent.n, "%s", none[i]);
	}
}

/* ---- in the pipeline ---- */

#define OK200 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define SHOP 100
#define BACK 300

static bool has_parent(const struct span *s)
{
	static const uint8_t span[8] = { 0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7 };

	return s && !memcmp(s->parent_id, span, 8);
}

Test(context, header_of_an_older_tracer)
{
	struct feed *f = feed__new();

	feed__accept(f, 1, SHOP, 11, 40001, 80);
	feed__read(f, 1, SHOP, 11,
		   "GET /b3 HTTP/1.1\r\nHost: shop\r\nX-B3-TraceId: " TRACE "\r\nX-B3-SpanId: " SPAN
		   "\r\nX-B3-Sampled: 1\r\n\r\n");
	feed__write(f, 1, SHOP, 11, OK200);
	feed__read(f, 1, SHOP, 11,
		   "GET /xray HTTP/1.1\r\nHost: shop\r\nx-amzn-trace-id: "
		   "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736\r\n\r\n");
	feed__write(f, 1, SHOP, 11, OK200);
	feed__finish(f);
	const struct span *b3 = feed__span(f, SPAN_SERVER, "url.path", "/b3"),
			  *xray = feed__span(f, SPAN_SERVER, "url.path", "/xray");

	cr_expect(has_parent(b3));
	/* The trace alone is known. */
	cr_expect(feed__is_root(xray));
	cr_expect_arr_eq(b3->trace_id, xray->trace_id, 16);
	feed__free(f);
}

/* SHOP exports its own spans; BACK does not, and was given SHOP's context. */
static void instrumented_shop(struct feed *f, bool collector)
{
	if (collector) {
		feed__accept(f, 9, SHOP, 12, 40009, 4318);
		feed__read(f, 9, SHOP, 12, "POST /v1/traces HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
		feed__write(f, 9, SHOP, 12, OK200);
	}
	feed__connect(f, 4, SHOP, 12, 50009, 4318);
	feed__write(f, 4, SHOP, 12, "POST /v1/traces HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
	feed__read(f, 4, SHOP, 12, OK200);
	feed__accept(f, 1, SHOP, 11, 40001, 80);
	feed__connect(f, 2, SHOP, 11, 50001, 8080);
	feed__accept(f, 3, BACK, 31, 50001, 8080);
	feed__read(f, 1, SHOP, 11, "GET /in HTTP/1.1\r\nHost: shop\r\n\r\n");
	const char *call = "GET /back HTTP/1.1\r\nHost: back\r\ntraceparent: 00-" TRACE "-" SPAN
			   "-01\r\n\r\n";

	feed__write(f, 2, SHOP, 11, call);
	feed__read(f, 3, BACK, 31, call);
	feed__write(f, 3, BACK, 31, OK200);
	feed__read(f, 2, SHOP, 11, OK200);
	feed__write(f, 1, SHOP, 11, OK200);
	feed__finish(f);
}

Test(context, instrumented_process_is_left_to_its_sdk)
{
	struct feed *f = feed__new();

	instrumented_shop(f, false);
	cr_expect_eq(f->n_spans, 1);
	cr_expect(has_parent(feed__span(f, SPAN_SERVER, "url.path", "/back")));
	cr_expect_gt(f->books.dropped[DROP_INSTRUMENTED], 0);
	feed__free(f);
}

Test(context, a_collector_is_no_instrumented_process)
{
	struct feed *f = feed__new();

	instrumented_shop(f, true);
	cr_expect_eq(f->n_spans, 5);
	cr_expect_eq(f->books.dropped[DROP_INSTRUMENTED], 0);
	feed__free(f);
}

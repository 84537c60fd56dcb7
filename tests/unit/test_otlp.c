// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The two encodings of OTLP and the two JSON views. The bytes wanted are written here by hand from
 * the field tables; bigger messages are judged by tests/otlp_validate.py, which shares nothing with
 * the encoder, and that the judge is awake is tested too.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../exporter/exporter.h"
#include "../../exporter/otlp.h"
#include "../../user/lib/version.h"
#include "../../user/span/ids.h"
#include "../../user/view/view.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb-c.h"

#define T0 1700000000000000000u

static struct span *make_span(uint8_t id, const char *name)
{
	struct span *s = span__new();

	cr_assert_not_null(s);
	memset(s->trace_id, 0x11, sizeof(s->trace_id));
	memset(s->span_id, id, sizeof(s->span_id));
	s->name = slice__cstr(name);
	s->kind = SPAN_CLIENT;
	s->start_ns = T0;
	s->end_ns = T0 + 1;
	return s;
}

static struct resource *make_resource(uint32_t pid, const char *name)
{
	struct resource *r = resource__new(pid, name);

	if (pid)
		resource__add_int(r, "process.pid", pid);
	return r;
}

static bool contains(struct bytes b, const void *p, size_t n)
{
	return memmem(b.p, b.n, p, n) != NULL;
}

/* ---- protobuf ---- */

Test(otlp, a_span_byte_for_byte)
{
	/* clang-format off */
	static const uint8_t want[] = {
		0x12, 106,                                            /* ScopeSpans.spans */
		0x0a, 16, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11,
		0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11,       /* trace_id */
		0x12, 8, 2, 2, 2, 2, 2, 2, 2, 2,                      /* span_id */
		0x1a, 3, 'a', '=', '1',                               /* trace_state */
		0x22, 8, 9, 9, 9, 9, 9, 9, 9, 9,                      /* parent_span_id */
		0x2a, 3, 'G', 'E', 'T',                               /* name */
		0x30, 3,                                              /* kind CLIENT */
		0x39, 0x00, 0x00, 0x2a, 0x36, 0xfe, 0x9c, 0x97, 0x17, /* start */
		0x41, 0x01, 0x00, 0x2a, 0x36, 0xfe, 0x9c, 0x97, 0x17, /* end */
		0x4a, 8, 0x0a, 1, 'n', 0x12, 3, 0x18, 0xac, 0x02,     /* attribute n = 300 */
		0x4a, 9, 0x0a, 1, 's', 0x12, 4, 0x0a, 2, 'v', 'w',    /* attribute s = "vw" */
		0x50, 5,                                              /* dropped_attributes_count */
		0x7a, 7, 0x12, 3, 'b', 'a', 'd', 0x18, 2,             /* status: message, ERROR */
		0x85, 0x01, 0x01, 0x03, 0x00, 0x00,                   /* flags: sampled, remote */
	};
	/* clang-format on */
	struct span *s = make_span(2, "GET");
	struct bytes b;

	memset(s->parent_id, 9, 8);
	s->trace_state = SLICE("a=1");
	s->flags = 0x301;
	s->status = SPAN_ERROR;
	s->status_message = SLICE("bad");
	s->dropped_attrs = 5;
	span__set_int(s, "n", 300);
	span__set_str(s, "s", SLICE("vw"));
	cr_assert_eq(sizeof(want), 2 + 106);
	cr_assert_eq(otlp__encode_protobuf(&s, 1, &b), 0);
	cr_assert(contains(b, want, sizeof(want)));
	cr_assert(contains(b, "\x0a\x04weft\x12\x05" WEFT_VERSION, 8 + strlen(WEFT_VERSION)),
		  "scope");
	free(b.p);
	span__free(s);
}

Test(otlp, a_root_without_extras_writes_no_default)
{
	/* clang-format off */
	static const uint8_t want[] = {
		0x12, 18 + 10 + 3 + 2 + 9 + 9,
		0x0a, 16, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11,
		0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11,
		0x12, 8, 2, 2, 2, 2, 2, 2, 2, 2,
		0x2a, 1, 'x',
		0x30, 3,
		0x39, 0x00, 0x00, 0x2a, 0x36, 0xfe, 0x9c, 0x97, 0x17,
		0x41, 0x01, 0x00, 0x2a, 0x36, 0xfe, 0x9c, 0x97, 0x17,
	};
	/* clang-format on */
	struct span *s = make_span(2, "x");
	struct bytes b;

	s->status_message = SLICE("only with ERROR");
	cr_assert_eq(otlp__encode_protobuf(&s, 1, &b), 0);
	cr_assert(contains(b, want, sizeof(want)));
	free(b.p);
	span__free(s);
}

Test(otlp, nothing_is_an_empty_message)
{
	struct bytes b;

	cr_assert_eq(otlp__encode_protobuf(NULL, 0, &b), 0);
	cr_assert_eq(b.n, 0);
	free(b.p);
	cr_assert_eq(otlp__encode_json(NULL, 0, &b), 0);
	cr_assert_eq(b.n, strlen("{\"resourceSpans\":[]}"));
	free(b.p);
}

Test(otlp, texts_keep_their_nul_and_bad_utf8_is_repaired)
{
	struct span *s = make_span(2, "x");
	struct bytes b;

	span__set_str(s, "nul", SLICE("a\0b"));
	s->name = slice__from("caf\xe9 \xed\xa0\x80", 8);
	cr_assert_eq(otlp__encode_protobuf(&s, 1, &b), 0);
	cr_assert(contains(b,
			   "\x12\x05\x0a\x03"
			   "a\0b",
			   7));
	cr_assert(contains(b,
			   "\x2a\x10"
			   "caf\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd",
			   18));
	free(b.p);
	cr_assert_eq(otlp__encode_json(&s, 1, &b), 0);
	cr_assert(contains(b, "\"a\\u0000b\"", 10));
	cr_assert(contains(b, "\"caf\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"", 18));
	free(b.p);
	span__free(s);
}

Test(otlp, spans_are_grouped_by_resource_in_order_of_appearance)
{
	enum { N = 3000, RESOURCES = 700 };
	static struct resource *r[RESOURCES];
	static struct span *spans[N];
	struct otlp_groups g;
	size_t seen = 0;

	for (int i = 0; i < RESOURCES; i++)
		r[i] = make_resource((uint32_t)i + 1, "x");
	for (int i = 0; i < N; i++) {
		spans[i] = make_span(1, "x");
		spans[i]->resource = resource__ref(r[i * 7 % RESOURCES]);
		spans[i]->start_ns = (uint64_t)i;
	}
	cr_assert_eq(otlp_groups__make(spans, N, &g), 0);
	cr_assert_eq(g.n, RESOURCES / 7);
	for (size_t i = 0; i < g.n; i++) {
		cr_assert_eq(g.v[i].first, seen);
		cr_assert_eq(g.v[i].resource, spans[i]->resource, "order of first appearance");
		for (size_t k = 0; k < g.v[i].n; k++, seen++) {
			cr_assert_eq(g.spans[seen]->resource, g.v[i].resource);
			cr_assert(k == 0 || g.spans[seen - 1]->start_ns < g.spans[seen]->start_ns);
		}
	}
	cr_assert_eq(seen, N);
	otlp_groups__free(&g);
	for (int i = 0; i < N; i++)
		span__free(spans[i]);
	for (int i = 0; i < RESOURCES; i++)
		resource__unref(r[i]);
}

/* ---- JSON ---- */

Test(otlp, a_json_line_word_for_word)
{
	static const char want[] =
		"{\"resourceSpans\":[{\"resource\":{\"attributes\":["
		"{\"key\":\"service.name\",\"value\":{\"stringValue\":\"shop\"}},"
		"{\"key\":\"process.pid\",\"value\":{\"intValue\":\"42\"}}]},"
		"\"scopeSpans\":[{\"scope\":{\"name\":\"weft\",\"version\":\"" WEFT_VERSION
		"\"},\"spans\":[{"
		"\"traceId\":\"11111111111111111111111111111111\","
		"\"spanId\":\"0202020202020202\",\"traceState\":\"a=1\","
		"\"parentSpanId\":\"0909090909090909\",\"flags\":769,\"name\":\"GET\",\"kind\":3,"
		"\"startTimeUnixNano\":\"1700000000000000000\","
		"\"endTimeUnixNano\":\"1700000000000000001\",\"attributes\":["
		"{\"key\":\"i\",\"value\":{\"intValue\":\"-9223372036854775808\"}},"
		"{\"key\":\"b\",\"value\":{\"boolValue\":true}},"
		"{\"key\":\"d\",\"value\":{\"doubleValue\":0.1}},"
		"{\"key\":\"s\","
		"\"value\":{\"stringValue\":\"\\\"\\\\\\n\\u001b\\u007f\xc3\xa9\"}}],"
		"\"droppedAttributesCount\":5,"
		"\"links\":[{\"traceId\":\"22222222222222222222222222222222\","
		"\"spanId\":\"0303030303030303\"}],"
		"\"status\":{\"message\":\"bad\",\"code\":2}}],"
		"\"schemaUrl\":\"https://opentelemetry.io/schemas/1.44.0\"}],"
		"\"schemaUrl\":\"https://opentelemetry.io/schemas/1.44.0\"}]}";
	struct span *s = make_span(2, "GET");
	struct bytes b;

	s->resource = make_resource(42, "shop");
	memset(s->parent_id, 9, 8);
	s->trace_state = SLICE("a=1");
	s->flags = 0x301;
	s->status = SPAN_ERROR;
	s->status_message = SLICE("bad");
	span__set_int(s, "i", INT64_MIN);
	span__set_bool(s, "b", true);
	span__set_double(s, "d", 0.1);
	span__set_str(s, "s", SLICE("\"\\\n\x1b\x7f\xc3\xa9"));
	s->dropped_attrs = 5;
	span__add_link(s);
	memset(s->links[0].trace_id, 0x22, 16);
	memset(s->links[0].span_id, 3, 8);
	cr_assert_eq(otlp__encode_json(&s, 1, &b), 0);
	cr_assert_eq(b.n, sizeof(want) - 1, "%.*s", (int)b.n, b.p);
	cr_assert_arr_eq(b.p, want, b.n, "%.*s", (int)b.n, b.p);
	free(b.p);
	span__free(s);
}

/* ---- answers ---- */

Test(answer, protobuf)
{
	struct otlp_answer a;

	cr_assert_eq(otlp__decode_answer_protobuf(NULL, 0, &a), 0);
	cr_assert_eq(a.rejected, 0);
	cr_assert_eq(otlp__decode_answer_protobuf(
			     (const uint8_t *)"\x0a\x08\x08\x05\x12\x04no\x1b!", 10, &a),
		     0);
	cr_assert_eq(a.rejected, 5);
	cr_assert_str_eq(a.message, "no !", "nothing that a terminal obeys");
	cr_assert_eq(otlp__decode_answer_protobuf((const uint8_t *)"\xff\xff\xff", 3, &a),
		     -EBADMSG);
	cr_assert_eq(otlp__decode_status_protobuf((const uint8_t *)"\x08\x03\x12\x02hm", 6, &a), 0);
	cr_assert_str_eq(a.message, "hm");
}

Test(answer, json)
{
	static const char full
		[] = "{\"partialSuccess\":{\"rejectedSpans\":\"7\",\"errorMessage\":\"too old\"}}";
	static const char odd[] = "{\"partialSuccess\":[1],\"x\":{}}";
	struct otlp_answer a;

	cr_assert_eq(otlp__decode_answer_json((const uint8_t *)full, strlen(full), &a), 0);
	cr_assert_eq(a.rejected, 7);
	cr_assert_str_eq(a.message, "too old");
	cr_assert_eq(otlp__decode_answer_json((const uint8_t *)"{}", 2, &a), 0);
	cr_assert_eq(a.rejected, 0);
	cr_assert_eq(otlp__decode_answer_json((const uint8_t *)odd, strlen(odd), &a), 0);
	cr_assert_eq(a.rejected, 0);
	cr_assert_eq(otlp__decode_answer_json((const uint8_t *)"<html>", 6, &a), -EBADMSG);
	cr_assert_eq(otlp__decode_status_json((const uint8_t *)"{\"message\":\"hm\"}", 16, &a), 0);
	cr_assert_str_eq(a.message, "hm");
}

/* ---- judged by the validator ---- */

#define PER_TRACE 5

/* A tree of spans with everything that a span can hold, different each time. */
static struct trace *make_trace(struct resource *const *resources, unsigned n_resources)
{
	struct span **spans = calloc(PER_TRACE, sizeof(*spans));

	for (unsigned i = 0; i < PER_TRACE; i++) {
		struct span *s = spans[i] = make_span(1, i ? "SELECT orders" : "GET /cart/{id}");

		memcpy(s->trace_id, spans[0]->trace_id, 16);
		if (i == 0)
			ids__trace(s->trace_id);
		else
			memcpy(s->parent_id, spans[ids__random() % i]->span_id, 8);
		ids__span(s->span_id);
		s->kind = (enum span_kind)(1 + ids__random() % 5);
		s->start_ns += ids__random() % 1000000000;
		s->end_ns = s->start_ns + ids__random() % 1000000000;
		s->flags = i ? 0x103 : 0x003;
		s->status = ids__random() % 2 ? SPAN_ERROR : SPAN_UNSET;
		s->resource = resource__ref(resources[ids__random() % n_resources]);
		s->trace_state = SLICE("weft=1,b@c= x");
		span__set_int(s, "int", (int64_t)ids__random());
		span__set_bool(s, "false", false);
		span__set_double(s, "double", 1e300);
		span__set_str(s, "text", SLICE("\xf0\x9f\xa7\xb5 \"quoted\"\t\\ \x01"));
		span__add_link(s)->trace_state = SLICE("l=1");
		ids__trace(s->links[0].trace_id);
		ids__span(s->links[0].span_id);
	}
	spans[0]->flags = 0x301; /* a remote parent */
	ids__span(spans[0]->parent_id);
	return trace__new(spans, PER_TRACE);
}

static struct trace *make_big_trace(unsigned traces)
{
	struct resource *resources[3] = { make_resource(1, "shop"), make_resource(2, "front"),
					  make_resource(3, "caf\xe9") };
	struct span **all = calloc(traces * PER_TRACE, sizeof(*all));

	for (unsigned i = 0; i < traces; i++) {
		struct trace *t = make_trace(resources, 3);

		memcpy(all + i * PER_TRACE, t->spans, PER_TRACE * sizeof(*all));
		t->n = 0; /* the spans have moved */
		trace__unref(t);
	}
	for (int i = 0; i < 3; i++)
		resource__unref(resources[i]);
	return trace__new(all, traces * PER_TRACE);
}

static const char this_file[] = __FILE__; /* the Python programs are found beside its folder */

/* Exit status of the validator for these bytes. */
static int judge(const char *form, const void *p, size_t n)
{
	char path[] = "/tmp/weft-test-otlp-XXXXXX", command[700];
	int fd = mkstemp(path);

	cr_assert(fd >= 0 && write(fd, p, n) == (ssize_t)n);
	close(fd);
	snprintf(command, sizeof(command), "python3 %.*s/../otlp_validate.py %s %s >/dev/null 2>&1",
		 (int)(strrchr(this_file, '/') - this_file), this_file, form, path);
	int status = system(command);

	unlink(path);
	cr_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

Test(otlp, validator_finds_nothing_in_protobuf)
{
	struct trace *t = make_big_trace(400);
	struct bytes b;

	cr_assert_eq(otlp__encode_protobuf(t->spans, t->n, &b), 0);
	cr_assert_eq(judge("--protobuf", b.p, b.n), 0);
	b.p[b.n - 1] ^= 0xff; /* last byte of the last schema URL */
	cr_assert_eq(judge("--protobuf", b.p, b.n), 1);
	b.p[b.n - 1] ^= 0xff;
	cr_assert_eq(judge("--protobuf", b.p, b.n - 1), 1);
	free(b.p);
	trace__unref(t);
}

/*
 * protobuf-c's word on the same bytes: it reads every span out of them, and writes what it read as
 * the very same bytes.
 */
static void judge_by_protobuf_c(struct bytes b, size_t spans)
{
	Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceRequest *r =
		opentelemetry__proto__collector__trace__v1__export_trace_service_request__unpack(
			NULL, b.n, b.p);
	size_t found = 0;

	cr_assert_not_null(r);
	for (size_t i = 0; i < r->n_resource_spans; i++)
		for (size_t k = 0; k < r->resource_spans[i]->n_scope_spans; k++)
			found += r->resource_spans[i]->scope_spans[k]->n_spans;
	cr_assert_eq(found, spans);
	cr_assert_eq(protobuf_c_message_get_packed_size(&r->base), b.n);
	uint8_t *again = malloc(b.n + 1);

	cr_assert_eq(protobuf_c_message_pack(&r->base, again), b.n);
	cr_assert_arr_eq(again, b.p, b.n);
	free(again);
	opentelemetry__proto__collector__trace__v1__export_trace_service_request__free_unpacked(
		r, NULL);
}

Test(otlp, protobuf_c_writes_the_same)
{
	struct trace *t = make_big_trace(400);
	struct bytes b;

	cr_assert_eq(otlp__encode_protobuf(t->spans, t->n, &b), 0);
	judge_by_protobuf_c(b, t->n);
	free(b.p);
	trace__unref(t);
}

/* Lengths on both sides of where one more byte is needed for them, and of where the buffer grows. */
Test(otlp, protobuf_c_writes_the_same_at_every_length)
{
	static char text[40000];
	static const int64_t numbers[] = { 0, 1, 127, 128, 16383, 16384, -1, INT64_MAX, INT64_MIN };
	static const size_t lengths[] = {
		1, 7, 8, 9, 100, 126, 127, 128, 16000, 16383, 16384, 40000
	};
	struct bytes b;

	for (int bad = 0; bad < 2; bad++) {
		memset(text, 'x', sizeof(text));
		for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
			struct span *s = make_span(2, "x");

			s->name = slice__from(text, lengths[i]);
			s->trace_state = s->name;
			if (bad)
				text[lengths[i] - 1] = '\xff';
			for (size_t k = 0; k < sizeof(numbers) / sizeof(*numbers); k++) {
				static const char *const keys[] = { "a", "b", "c", "d", "e",
								    "f", "g", "h", "i" };

				span__set_int(s, keys[k], numbers[k]);
			}
			span__set_double(s, "zero", 0.0);
			span__set_bool(s, "false", false);
			cr_assert_eq(otlp__encode_protobuf(&s, 1, &b), 0);
			judge_by_protobuf_c(b, 1);
			cr_assert_eq(contains(b, "\xef\xbf\xbd", 3), bad);
			free(b.p);
			span__free(s);
		}
	}
}

Test(otlp, validator_finds_nothing_in_json)
{
	struct trace *t = make_big_trace(400);
	struct bytes b;

	cr_assert_eq(otlp__encode_json(t->spans, t->n, &b), 0);
	cr_assert_eq(judge("--jsonl", b.p, b.n), 0);
	*(char *)memmem(b.p, b.n, "\"kind\"", 6) = 'K';
	cr_assert_eq(judge("--jsonl", b.p, b.n), 1);
	free(b.p);
	trace__unref(t);
}

/* What a wrong span would look like: the validator must see each of them, in both forms. */
static void break_span(struct span *s, int how)
{
	switch (how) {
	case 0: s->end_ns = s->start_ns - 1; break;
	case 1: memset(s->trace_id, 0, 16); break;
	case 2: memset(s->span_id, 0, 8); break;
	case 3: s->kind = (enum span_kind)6; break;
	case 4: s->kind = (enum span_kind)0; break;
	case 5: s->status = (enum span_status)3; break;
	case 6: s->flags = 0x003; break; /* its parent is not here, and not remote */
	case 7:
		s->attrs[1].key = s->attrs[0].key;
		s->attrs[1].key_len = s->attrs[0].key_len;
		break;
	case 8: s->name = SLICE(""); break;
	case 9: s->trace_state = SLICE("A=1"); break;
	case 10: s->flags |= 0x400; break;
	case 11: s->start_ns = 0; break;
	case 12: memcpy(s->span_id, s->parent_id, 8); break;
	case 13:
		resource__unref(s->resource);
		s->resource = make_resource(0, "no pid");
		break;
	case 14:
		resource__unref(s->resource);
		s->resource = NULL;
		break;
	case 15: memset(s->links[0].span_id, 0, 8); break;
	case 16:
		s->attrs[0].key = "";
		s->attrs[0].key_len = 0;
		break;
	}
}

Test(otlp, validator_sees_what_is_wrong, .timeout = 240)
{
	for (int how = 0; how <= 17; how++) {
		struct trace *t = make_big_trace(1);
		struct bytes b;

		break_span(t->spans[0], how);
		cr_assert_eq(otlp__encode_protobuf(t->spans, t->n, &b), 0);
		cr_assert_eq(judge("--protobuf", b.p, b.n), how < 17, "case %d as protobuf", how);
		free(b.p);
		cr_assert_eq(otlp__encode_json(t->spans, t->n, &b), 0);
		cr_assert_eq(judge("--jsonl", b.p, b.n), how < 17, "case %d as JSON", how);
		free(b.p);
		trace__unref(t);
	}
}

/* ---- views ---- */

struct capture {
	char *text;
	size_t n;
	FILE *f;
};

static struct view_config capture__open(struct capture *c)
{
	c->f = open_memstream(&c->text, &c->n);
	return (struct view_config){ .out = c->f, .columns = 80 };
}

static void capture__close(struct capture *c)
{
	fclose(c->f);
	free(c->text);
}

Test(view, json_is_flat_and_one_span_a_line)
{
	static const char want[] =
		"{\"trace_id\":\"11111111111111111111111111111111\","
		"\"span_id\":\"0202020202020202\",\"parent_id\":null,"
		"\"service\":\"shop\",\"pid\":42,\"name\":\"GET\",\"kind\":\"SERVER\","
		"\"start\":\"2023-11-14T22:13:20.000000007Z\",\"start_ns\":1700000000000000007,"
		"\"duration_ms\":12.000345,"
		"\"status\":\"ERROR\",\"protocol\":\"http\","
		"\"attributes\":{\"http.response.status_code\":500,\"ok\":false}}\n"
		"{\"trace_id\":\"11111111111111111111111111111111\","
		"\"span_id\":\"0303030303030303\","
		"\"parent_id\":\"0202020202020202\",\"service\":null,\"pid\":null,"
		"\"name\":\"x\",\"kind\":\"CLIENT\","
		"\"start\":\"2023-11-14T22:13:20.000000000Z\",\"start_ns\":1700000000000000000,"
		"\"duration_ms\":0.000001,"
		"\"status\":\"UNSET\",\"protocol\":null,\"attributes\":{}}\n";
	struct span **spans = calloc(2, sizeof(*spans));
	struct capture c;
	struct view_config cfg = capture__open(&c);
	struct view *v = view__json(&cfg);

	spans[0] = make_span(2, "GET");
	spans[0]->kind = SPAN_SERVER;
	spans[0]->status = SPAN_ERROR;
	spans[0]->start_ns += 7;
	spans[0]->end_ns = spans[0]->start_ns + 12000345;
	spans[0]->protocol = "http";
	spans[0]->resource = make_resource(42, "shop");
	span__set_int(spans[0], "http.response.status_code", 500);
	span__set_bool(spans[0], "ok", false);
	spans[1] = make_span(3, "x");
	memset(spans[1]->parent_id, 2, 8);
	struct trace *t = trace__new(spans, 2);

	view__trace(v, t);
	trace__unref(t);
	cr_assert_eq(view__tick(v, 0), 0);
	cr_assert_str_eq(c.text, want);
	cr_assert_eq(view__close(v), 0);
	cr_assert_str_eq(c.text, want);
	capture__close(&c);
}

static unsigned lines_of(const char *text)
{
	unsigned n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

/* Spans in a text of lines, each of which must be JSON by itself. */
static unsigned spans_in(char *text)
{
	unsigned n = 0;

	for (char *save, *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		json_t *request = json_loads(line, JSON_REJECT_DUPLICATES, NULL), *rs, *ss;
		size_t i, k;

		cr_assert_not_null(request);
		json_array_foreach(json_object_get(request, "resourceSpans"), i, rs)
			json_array_foreach(json_object_get(rs, "scopeSpans"), k, ss)
				n += (unsigned)json_array_size(json_object_get(ss, "spans"));
		json_decref(request);
	}
	return n;
}

Test(view, otlp_json_writes_at_the_tick_and_when_much_waits)
{
	struct resource *r = make_resource(1, "shop");
	struct capture c;
	struct view_config cfg = capture__open(&c);
	struct view *v = view__otlp_json(&cfg);

	cr_assert_eq(view__tick(v, 0), 0);
	cr_assert_eq(c.n, 0, "nothing to say, nothing said");
	for (int i = 0; i < 300; i++) {
		struct trace *t = make_trace(&r, 1);

		view__trace(v, t);
		trace__unref(t);
	}
	fflush(c.f);
	cr_assert_eq(lines_of(c.text), 2, "1500 spans, two times 515 of them in lines");
	cr_assert_eq(view__tick(v, 1), 0);
	cr_assert_eq(lines_of(c.text), 3);
	cr_assert_eq(judge("--jsonl", c.text, c.n), 0);
	struct trace *t = make_trace(&r, 1);

	view__trace(v, t);
	trace__unref(t);
	cr_assert_eq(view__close(v), 0);
	cr_assert_eq(lines_of(c.text), 4);
	cr_assert_eq(spans_in(c.text), 301 * PER_TRACE);
	capture__close(&c);
	resource__unref(r);
}

Test(view, a_stdout_that_is_full_is_told)
{
	struct view *(*const make[])(const struct view_config *) = { view__json, view__otlp_json };
	struct resource *r = make_resource(1, "shop");

	for (int i = 0; i < 2; i++) {
		FILE *full = fopen("/dev/full", "w");
		struct view *v = make[i](&(struct view_config){ .out = full, .columns = 80 });
		struct trace *t = make_trace(&r, 1);

		view__trace(v, t);
		cr_assert_eq(view__tick(v, 0), -ENOSPC);
		view__trace(v, t);
		trace__unref(t);
		cr_assert_eq(view__close(v), -ENOSPC, "and stays told");
		fclose(full);
	}
	resource__unref(r);
}

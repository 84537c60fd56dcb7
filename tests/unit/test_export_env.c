// SPDX-License-Identifier: GPL-2.0-or-later
/* What the OTEL_* variables mean to the exporter. */
#include <errno.h>

#include "../../exporter/env.h"
#include "../../user/lib/log.h"
#include "export_fixture.h"

/*
 * Settings of these variables: name, value, ..., NULL. `settings` is overwritten by the next call.
 */
static struct otlp_settings settings;
static char why[300];

static int read_settings(const char *endpoint, ...)
{
	struct exporter_config cfg = { .endpoint = endpoint, .env = test_env, .version = "9" };
	va_list ap;

	va_start(ap, endpoint);
	set_vars(ap);
	va_end(ap);
	otlp_settings__free(&settings);
	why[0] = '\0';
	log__set_level(LOG_ERROR);
	return otlp_settings__read(&cfg, &settings, why, sizeof(why));
}

#define BASE "OTEL_EXPORTER_OTLP_ENDPOINT"
#define TRACES "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"

Test(settings, endpoint)
{
	static const struct {
		const char *name, *value, *url;
	} cases[] = {
		{ BASE, "http://c:4318", "http://c:4318/v1/traces" },
		{ BASE, "http://c:4318/", "http://c:4318/v1/traces" },
		{ BASE, "http://c:4318/my/", "http://c:4318/my/v1/traces" },
		{ BASE, "https://c/my", "https://c/my/v1/traces" },
		{ BASE, "HTTP://c/?key=1#f", "http://c/v1/traces?key=1" },
		{ BASE, "http://[::1]:4318", "http://[::1]:4318/v1/traces" },
		{ TRACES, "http://c:4318", "http://c:4318/" },
		{ TRACES, "http://c:4318/v1/traces", "http://c:4318/v1/traces" },
		{ TRACES, "http://c:4318/x/", "http://c:4318/x/" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_assert_eq(read_settings(NULL, cases[i].name, cases[i].value, NULL), 1, "%s: %s",
			     cases[i].value, why);
		cr_assert_str_eq(settings.url, cases[i].url);
	}
	cr_assert_eq(read_settings("http://flag:1", BASE, "http://env:1", TRACES, "http://env:2",
				   NULL),
		     1);
	cr_assert_str_eq(settings.url, "http://flag:1/v1/traces");
	cr_assert_eq(read_settings(NULL, BASE, "http://env:1", TRACES, "http://env:2/t", NULL), 1);
	cr_assert_str_eq(settings.url, "http://env:2/t");
	cr_assert_eq(read_settings(NULL, BASE, "http://u:secret@c:1/p?token=t", NULL), 1);
	cr_assert_str_eq(settings.shown_url, "http://c:1/p/v1/traces", "no secrets in messages");
}

Test(settings, wrong_endpoints_are_errors)
{
	static const char *const bad[] = { "localhost:4318", "ftp://c",  "http://", "//c",
					   "http://c:99999", "grpc://c", "/v1" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_assert_eq(read_settings(bad[i], NULL), -EINVAL, "%s", bad[i]);
		cr_assert(strstr(why, "--otlp"), "%s", why);
		cr_assert_eq(read_settings(NULL, BASE, bad[i], NULL), -EINVAL, "%s", bad[i]);
		cr_assert(strstr(why, BASE), "%s", why);
	}
}

Test(settings, on_and_off)
{
	cr_assert_eq(read_settings(NULL, NULL), 0,
		     "weft is no SDK: it exports when it is asked to");
	cr_assert_eq(read_settings(NULL, BASE, "", NULL), 0, "empty is unset");
	cr_assert_eq(read_settings(NULL, BASE, "http://c", "OTEL_SDK_DISABLED", "TRUE", NULL), 0);
	cr_assert_eq(read_settings(NULL, BASE, "http://c", "OTEL_SDK_DISABLED", "1", NULL), 1,
		     "only true is true");
	cr_assert_eq(read_settings(NULL, BASE, "http://c", "OTEL_TRACES_EXPORTER", "none", NULL),
		     0);
	cr_assert_eq(read_settings(NULL, BASE, "http://c", "OTEL_TRACES_EXPORTER", "console, OTLP",
				   NULL),
		     1);
	cr_assert_eq(read_settings(NULL, BASE, "http://c", "OTEL_TRACES_EXPORTER", "weird", NULL),
		     1);
	cr_assert_eq(read_settings("http://c", "OTEL_SDK_DISABLED", "true", "OTEL_TRACES_EXPORTER",
				   "none", NULL),
		     1, "the command line wins");
}

Test(settings, protocol_compression_timeout)
{
#define P "OTEL_EXPORTER_OTLP_PROTOCOL"
	cr_assert_eq(read_settings("http://c", NULL), 1);
	cr_assert_eq(settings.encoding, OTLP_PROTOBUF);
	cr_assert(settings.gzip);
	cr_assert_eq(settings.timeout_ms, 10000);
	static const char *const here[] = { "http://localhost:4318", "http://127.0.0.1",
					    "https://[::1]:4318/x" };

	for (size_t i = 0; i < sizeof(here) / sizeof(*here); i++) {
		cr_assert_eq(read_settings(here[i], NULL), 1);
		cr_assert_not(settings.gzip, "%s: no byte leaves the machine", here[i]);
		cr_assert_eq(read_settings(here[i], "OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", NULL),
			     1);
		cr_assert(settings.gzip, "the user's word counts");
	}
	cr_assert_eq(read_settings("http://localhost.example", NULL), 1);
	cr_assert(settings.gzip);
	cr_assert_eq(read_settings("http://c", P, "http/JSON", "OTEL_EXPORTER_OTLP_COMPRESSION",
				   "none", "OTEL_EXPORTER_OTLP_TIMEOUT", "0", NULL),
		     1);
	cr_assert_eq(settings.encoding, OTLP_JSON);
	cr_assert_not(settings.gzip);
	cr_assert_eq(settings.timeout_ms, INT64_MAX, "0 is no limit");
	cr_assert_eq(read_settings("http://c", P, "grpc", NULL), -EINVAL);
	cr_assert(strstr(why, "http/protobuf"), "%s", why);
	cr_assert_eq(read_settings("http://c", P, "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
				   "http/protobuf", NULL),
		     1);
	cr_assert_eq(read_settings("http://c", P, "smoke signals", "OTEL_EXPORTER_OTLP_COMPRESSION",
				   "brotli", "OTEL_EXPORTER_OTLP_TIMEOUT", "-5", NULL),
		     1, "unknown values are ignored");
	cr_assert_eq(settings.encoding, OTLP_PROTOBUF);
	cr_assert(settings.gzip);
	cr_assert_eq(settings.timeout_ms, 10000);
	cr_assert_eq(read_settings("http://c", "OTEL_EXPORTER_OTLP_TIMEOUT", "7",
				   "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "9", NULL),
		     1);
	cr_assert_eq(settings.timeout_ms, 9);
}

Test(settings, headers)
{
#define H "OTEL_EXPORTER_OTLP_HEADERS"
	cr_assert_eq(read_settings("http://c", H, "a=1, X-Key = b%20c%3D%2c , ,e=,f=x=y", NULL), 1);
	cr_assert_eq(settings.n_headers, 4);
	cr_assert_str_eq(settings.headers[0], "a: 1");
	cr_assert_str_eq(settings.headers[1], "X-Key: b c=,");
	cr_assert_str_eq(settings.headers[2], "e;");
	cr_assert_str_eq(settings.headers[3], "f: x=y");
	cr_assert_eq(
		read_settings("http://c", H,
			      "a=%0d%0aHost: evil,b=%,c=%4,d=%zz,no,=x,b d=1,Content-Type=x,ok=1",
			      NULL),
		1);
	cr_assert_eq(settings.n_headers, 1, "neither injected lines nor broken escapes");
	cr_assert_str_eq(settings.headers[0], "ok: 1");
	cr_assert_eq(read_settings("http://c", H, "a=1", "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "b=2",
				   NULL),
		     1);
	cr_assert_eq(settings.n_headers, 1);
	cr_assert_str_eq(settings.headers[0], "b: 2");
}

Test(settings, files_must_be_readable)
{
	cr_assert_eq(read_settings("http://c", "OTEL_EXPORTER_OTLP_CERTIFICATE",
				   "/nonexistent/ca.pem", NULL),
		     -ENOENT);
	cr_assert(strstr(why, "OTEL_EXPORTER_OTLP_CERTIFICATE") &&
			  strstr(why, "/nonexistent/ca.pem"),
		  "%s", why);
	cr_assert_eq(read_settings("http://c", "OTEL_EXPORTER_OTLP_CERTIFICATE", "/dev/null", NULL),
		     1);
	cr_assert_str_eq(settings.ca_file, "/dev/null");
}

static struct queue_limits read_limits(const char *queue, const char *batch)
{
	struct exporter_config cfg = { .env = test_env };
	struct queue_limits l;

	memset(test_vars, 0, sizeof(test_vars));
	test_vars[0][0] = "OTEL_BSP_MAX_QUEUE_SIZE";
	test_vars[0][1] = queue;
	test_vars[1][0] = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE";
	test_vars[1][1] = batch;
	log__set_level(LOG_ERROR);
	queue_limits__read(&cfg, &l);
	return l;
}

Test(settings, queue_limits)
{
	cr_assert_eq(read_limits(NULL, NULL).max_spans, 65536);
	cr_assert_eq(read_limits(NULL, NULL).batch_spans, 512);
	cr_assert_eq(read_limits(NULL, NULL).delay_ms, 1000);
	cr_assert_eq(read_limits("100", NULL).batch_spans, 100,
		     "a batch is never larger than the queue");
	cr_assert_eq(read_limits("100", "7").batch_spans, 7);
	cr_assert_eq(read_limits("0", "many").max_spans, 65536, "not positive: ignored");
	cr_assert_eq(read_limits("0", "many").batch_spans, 512);
}

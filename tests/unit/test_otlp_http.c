// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * OTLP over HTTP, against tests/otlp_collector.py: what is repeated and what is not, what is
 * counted as what, and that no receiver can make weft hang or take more memory than it should.
 */
#include <jansson.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../user/lib/log.h"
#include "export_fixture.h"

static const char this_file[] = __FILE__; /* the Python programs are found beside its folder */
static char why[300];

struct collector {
	FILE *out;
	int in, port;
	pid_t pid;
};

static const char *collector_out = "/dev/null"; /* where it writes its requests */

static struct collector collector__start(const char *script)
{
	struct collector c;
	int in[2], out[2];
	static char path[600];

	snprintf(path, sizeof(path), "%.*s/../otlp_collector.py",
		 (int)(strrchr(this_file, '/') - this_file), this_file);
	cr_assert(pipe(in) == 0 && pipe(out) == 0);
	c.pid = fork();
	if (c.pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		for (int fd = 3; fd < 64; fd++)
			close(fd);
		execvp("python3", (char *[]){ "python3", "-B", path, "--script", (char *)script,
					      "--out", (char *)collector_out, NULL });
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	c.in = in[1]; /* closed: the collector ends */
	c.out = fdopen(out[0], "r");
	cr_assert_eq(fscanf(c.out, "listening %d", &c.port), 1);
	return c;
}

static void collector__stop(struct collector *c)
{
	close(c->in);
	fclose(c->out);
	waitpid(c->pid, NULL, 0);
}

/* A number from the collector's summary. */
static json_int_t collector__count(const struct collector *c, const char *what)
{
	char command[120], text[20000];

	snprintf(command, sizeof(command), "curl -s --noproxy '*' http://127.0.0.1:%d/summary",
		 c->port);
	FILE *p = popen(command, "r");
	size_t n = fread(text, 1, sizeof(text), p);

	pclose(p);
	json_t *summary = json_loadb(text, n, 0, NULL),
	       *problems = json_object_get(summary, "problems");

	cr_assert_not_null(summary);
	cr_assert_eq(json_array_size(problems), 0, "%s",
		     json_string_value(json_array_get(problems, 0)));
	json_int_t value = json_integer_value(json_object_get(summary, what));

	json_decref(summary);
	return value;
}

/*
 * A queue to that collector, in small batches and without long waits; further variables: name,
 * value, ..., NULL.
 */
static struct export_queue *queue_to(const struct collector *c, const struct queue_limits *l, ...)
{
	static char url[64];
	struct exporter_config cfg = { .env = test_env, .endpoint = url, .version = "9" };
	va_list ap;
	void *state;

	va_start(ap, l);
	set_vars(ap);
	va_end(ap);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d", c->port);
	log__set_level(LOG_ERROR);
	setenv("no_proxy", "*", 1);
	cr_assert_eq(exporter_table[0]->open(&cfg, &state, why, sizeof(why)), 1, "%s", why);
	return export_queue__new(exporter_table[0], state, l);
}

/* 40 spans in batches of ten to a collector with this script. */
static struct export_stats send_forty(const char *script, struct collector *c, const char *name,
				      const char *value)
{
	struct export_stats s;

	*c = collector__start(script);
	struct export_queue *q = queue_to(c, &patient, name, value, NULL);

	put(q, 40);
	export_queue__finish(q, 10000, &s);
	expect_balance(&s);
	cr_assert_eq(s.accepted, 40);
	return s;
}

Test(http, all_is_well, .timeout = 60)
{
	static const char *const variants[][2] = {
		{ NULL, NULL },
		{ "OTEL_EXPORTER_OTLP_COMPRESSION", "gzip" },
		{ "OTEL_EXPORTER_OTLP_PROTOCOL", "http/json" },
	};

	for (int i = 0; i < 3; i++) {
		struct collector c;
		struct export_stats s = send_forty("ok*inf", &c, variants[i][0], variants[i][1]);

		cr_assert_eq(s.exported, 40, "%s", s.last_error);
		cr_assert_eq(collector__count(&c, "accepted_spans"), 40);
		cr_assert_eq(collector__count(&c, "requests"), 4);
		cr_assert_leq(collector__count(&c, "connections"), 1 + 4,
			      "one for the spans, one a summary");
		collector__stop(&c);
	}
}

Test(http, what_may_be_retried_is, .timeout = 60)
{
	struct collector c;
	struct export_stats s = send_forty("503*2,429,502,504,reset,close,503=1,503=date:1", &c,
					   NULL, NULL);

	cr_assert_eq(s.exported, 40, "%s", s.last_error);
	cr_assert_geq(s.retries, 8, "the transport may repeat a request by itself after a reset");
	cr_assert_eq(collector__count(&c, "accepted_spans"), 40);
	collector__stop(&c);
}

Test(http, retry_after_is_kept, .timeout = 60)
{
	struct collector c;
	int64_t start = now_ms();
	struct export_stats s;

	c = collector__start("503=2");
	struct export_queue *q = queue_to(&c, &patient, NULL);

	put(q, 10); /* a full batch: goes at once */
	do
		export_queue__stats(q, &s);
	while (s.exported < 10);
	cr_assert_geq(now_ms() - start, 1999);
	export_queue__finish(q, 1000, &s);
	cr_assert_eq(s.retries, 1);
	collector__stop(&c);
}

Test(http, what_may_not_be_retried_is_not, .timeout = 60)
{
	static const char *const steps[] = { "400*inf", "413*inf", "401*inf",    "404*inf",
					     "500*inf", "301*inf", "nothttp*inf" };

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct collector c;
		struct export_stats s = send_forty(steps[i], &c, NULL, NULL);

		cr_assert_eq(s.dropped_refused, 40, "%s", steps[i]);
		cr_assert_eq(s.retries, 0);
		cr_assert(s.last_error[0]);
		cr_assert_eq(collector__count(&c, "requests"), 4, "%s", steps[i]);
		collector__stop(&c);
	}
}

Test(http, partial_success, .timeout = 60)
{
	static const char *const protocols[] = { "http/protobuf", "http/json" };

	for (int i = 0; i < 2; i++) {
		struct collector c;
		struct export_stats s = send_forty(
			"partial=3:too old,warn=careful,garbage,partial=99", &c,
			"OTEL_EXPORTER_OTLP_PROTOCOL", protocols[i]);

		cr_assert_eq(s.dropped_refused, 3 + 10);
		cr_assert_eq(s.exported, 27);
		cr_assert_eq(s.retries, 0);
		collector__stop(&c);
	}
}

Test(http, a_huge_answer_is_not_read_to_its_end, .timeout = 60)
{
	struct collector c;
	struct export_stats s = send_forty("huge=100000000,huge=4194304", &c, NULL, NULL);

	cr_assert_eq(s.dropped_refused, 10, "%s", s.last_error);
	cr_assert_eq(s.exported, 30);
	collector__stop(&c);
}

Test(http, a_request_has_its_time, .timeout = 60)
{
	struct collector c;
	struct export_stats s = send_forty("hang,slow=30", &c, "OTEL_EXPORTER_OTLP_TIMEOUT", "500");

	cr_assert_eq(s.exported, 40, "%s", s.last_error);
	cr_assert_geq(s.retries, 2);
	collector__stop(&c);
}

Test(http, the_end_is_in_time_though_the_collector_hangs, .timeout = 60)
{
	struct collector c = collector__start("hang*inf");
	struct export_queue *q = queue_to(&c, &patient, NULL);
	struct export_stats s;

	put(q, 30);
	while (collector__count(&c, "requests") == 0)
		;
	int64_t start = now_ms();

	export_queue__finish(q, 150, &s);
	int64_t took = now_ms() - start;

	cr_assert(took >= 149 && took < 1000, "%ld ms", (long)took);
	cr_assert_eq(s.dropped_timeout, 30);
	expect_balance(&s);
	collector__stop(&c);
}

Test(http, nobody_is_there, .timeout = 60)
{
	struct collector c = { .port = 1 };
	struct export_queue *q = queue_to(&c, &patient, NULL);
	struct export_stats s;

	put(q, 30);
	export_queue__finish(q, 200, &s);
	cr_assert_eq(s.dropped_timeout, 30);
	cr_assert(strstr(s.last_error, "127.0.0.1:1"), "%s", s.last_error);
	expect_balance(&s);
}

/* The first request that a collector got, sent with this variable set. */
static json_t *first_request(const char *name, const char *value)
{
	char path[] = "/tmp/weft-test-export-XXXXXX";
	int fd = mkstemp(path);
	struct collector c;

	cr_assert(fd >= 0);
	collector_out = path;
	struct export_stats s = send_forty("ok", &c, name, value);

	collector_out = "/dev/null";
	cr_assert_eq(s.exported, 40);
	collector__stop(&c);
	FILE *f = fdopen(fd, "r");
	json_t *request = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL);

	cr_assert_not_null(request);
	fclose(f);
	unlink(path);
	return request;
}

Test(http, compressed_on_demand, .timeout = 60)
{
	json_t *request = first_request("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip");
	json_t *headers = json_object_get(request, "headers");

	cr_assert_str_eq(json_string_value(json_object_get(headers, "Content-Encoding")), "gzip");
	json_decref(request);
}

Test(http, headers_and_agent, .timeout = 60)
{
	json_t *request = first_request("OTEL_EXPORTER_OTLP_HEADERS", "X-Key=a%20b,e="),
	       *headers = json_object_get(request, "headers");

	cr_assert_str_eq(json_string_value(json_object_get(request, "path")), "/v1/traces");
	cr_assert_str_eq(json_string_value(json_object_get(headers, "User-Agent")),
			 "weft/9 OTel-OTLP-Exporter-C/9");
	cr_assert_str_eq(json_string_value(json_object_get(headers, "Content-Type")),
			 "application/x-protobuf");
	cr_assert_null(json_object_get(headers, "Content-Encoding"), "it stays on this machine");
	cr_assert_str_eq(json_string_value(json_object_get(headers, "X-Key")), "a b");
	cr_assert_str_eq(json_string_value(json_object_get(headers, "e")), "");
	cr_assert_null(json_object_get(headers, "Expect"));
	json_decref(request);
}

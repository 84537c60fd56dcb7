// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The queue between tracer and exporter: every span in exactly one counter, whatever the receiver
 * does, and an end in bounded time. First with an exporter made for the test, then over HTTP with
 * tests/otlp_collector.py; and what the OTEL_* variables mean.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../exporter/env.h"
#include "../../exporter/exporter.h"
#include "../../exporter/queue.h"
#include "../../user/lib/log.h"
#include "../../user/span/ids.h"

static const char this_file[] = __FILE__; /* the Python programs are found beside its folder */

static struct trace *make_trace(unsigned n)
{
	struct span **spans = calloc(n, sizeof(*spans));
	struct resource *r = resource__new(1, "shop");

	resource__add_int(r, "process.pid", 1);
	for (unsigned i = 0; i < n; i++) {
		spans[i] = span__new();
		ids__trace(spans[i]->trace_id);
		ids__span(spans[i]->span_id);
		spans[i]->name = SLICE("GET");
		spans[i]->kind = SPAN_SERVER;
		spans[i]->start_ns = 1700000000000000000u;
		spans[i]->end_ns = spans[i]->start_ns + 1;
		spans[i]->resource = resource__ref(r);
	}
	resource__unref(r);
	return trace__new(spans, n);
}

static void put(struct export_queue *q, unsigned n)
{
	struct trace *t = make_trace(n);

	export_queue__put(q, t);
	trace__unref(t);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void expect_balance(const struct export_stats *s)
{
	cr_assert_eq(s->accepted,
		     s->exported + s->dropped_full + s->dropped_refused + s->dropped_timeout,
		     "%lu != %lu + %lu + %lu + %lu", s->accepted, s->exported, s->dropped_full,
		     s->dropped_refused, s->dropped_timeout);
}

/* ---- an exporter made for the test ---- */

/*
 * Answers from a script, one a send; then EXPORT_OK. While `held`, send() waits, until release() or
 * the deadline that hurry() sets: so a test knows what is in flight.
 */
struct fake {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	const struct export_answer *script;
	unsigned n_script, sends;
	size_t sizes[64];  /* spans of each send */
	int64_t at_ms[64]; /* when */
	bool held, inside, closed;
	int64_t deadline_ns;
	size_t split_above; /* answers SPLIT to more spans than that; 0 never */
};

static void fake__wait(struct fake *f)
{
	while (f->held) {
		struct timespec ts = { .tv_sec = f->deadline_ns / 1000000000,
				       .tv_nsec = f->deadline_ns % 1000000000 };

		if (f->deadline_ns == INT64_MAX)
			pthread_cond_wait(&f->changed, &f->lock);
		else if (pthread_cond_timedwait(&f->changed, &f->lock, &ts) != 0)
			return;
	}
}

static void fake__send(void *state, struct span *const *spans, size_t n, int64_t timeout_ms,
		       struct export_answer *a)
{
	struct fake *f = state;

	(void)timeout_ms;
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < n; i++)
		cr_assert_eq(spans[i]->kind, SPAN_SERVER); /* they are alive */
	f->sizes[f->sends % 64] = n;
	f->at_ms[f->sends % 64] = now_ms();
	*a = f->sends < f->n_script ? f->script[f->sends]
				    : (struct export_answer){ .retry_after_ms = -1 };
	if (f->split_above && n > f->split_above)
		a->result = EXPORT_SPLIT;
	f->sends++;
	f->inside = true;
	pthread_cond_broadcast(&f->changed);
	fake__wait(f);
	if (f->held)
		*a = (struct export_answer){ .result = EXPORT_RETRY,
					     .retry_after_ms = -1,
					     .why = "no answer" };
	f->inside = false;
	pthread_mutex_unlock(&f->lock);
}

static void fake__hurry(void *state, int64_t deadline_ns)
{
	struct fake *f = state;

	pthread_mutex_lock(&f->lock);
	f->deadline_ns = deadline_ns;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

static void fake__close(void *state)
{
	((struct fake *)state)->closed = true;
}

static const struct exporter fake_exporter = {
	.name = "fake", .send = fake__send, .hurry = fake__hurry, .close = fake__close
};

static void fake__init(struct fake *f)
{
	pthread_condattr_t attr;

	*f = (struct fake){ .deadline_ns = INT64_MAX };
	pthread_mutex_init(&f->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&f->changed, &attr);
	log__set_level(LOG_ERROR);
}

static void fake__release(struct fake *f)
{
	pthread_mutex_lock(&f->lock);
	f->held = false;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

/* Until a send is under way and held. */
static void fake__await_send(struct fake *f)
{
	pthread_mutex_lock(&f->lock);
	while (!f->inside)
		pthread_cond_wait(&f->changed, &f->lock);
	pthread_mutex_unlock(&f->lock);
}

static void fake__await_sends(struct fake *f, unsigned n)
{
	pthread_mutex_lock(&f->lock);
	while (f->sends < n)
		pthread_cond_wait(&f->changed, &f->lock);
	pthread_mutex_unlock(&f->lock);
}

/* A delay that no test waits for: batches go when they are full, or at the end. */
static const struct queue_limits patient = {
	.max_spans = 1000,
	.batch_spans = 10,
	.delay_ms = 3600000,
	.give_up_ms = 3600000,
	.backoff_ms = 2,
	.backoff_max_ms = 8,
	.retry_after_max_ms = 3600000,
};

Test(queue, full_batches_go_at_once_and_the_rest_at_the_end, .timeout = 20)
{
	struct fake f;
	struct export_stats s;

	fake__init(&f);
	struct export_queue *q = export_queue__new(&fake_exporter, &f, &patient);

	put(q, 4);
	put(q, 4);
	put(q, 4); /* 12: a batch of 10, 2 stay */
	fake__await_sends(&f, 1);
	put(q, 23);
	fake__await_sends(&f, 3);
	export_queue__finish(q, 5000, &s);
	cr_assert_eq(f.sends, 4);
	cr_assert_eq(f.sizes[0], 10);
	cr_assert_eq(f.sizes[1], 10);
	cr_assert_eq(f.sizes[2], 10);
	cr_assert_eq(f.sizes[3], 5);
	cr_assert_eq(s.accepted, 35);
	cr_assert_eq(s.exported, 35);
	cr_assert(f.closed);
	expect_balance(&s);
}

Test(queue, a_lone_span_goes_when_its_delay_has_passed, .timeout = 20)
{
	struct queue_limits l = patient;
	struct fake f;
	struct export_stats s;
	int64_t start = now_ms();

	l.delay_ms = 50;
	fake__init(&f);
	struct export_queue *q = export_queue__new(&fake_exporter, &f, &l);

	put(q, 1);
	fake__await_sends(&f, 1);
	cr_assert_geq(f.at_ms[0] - start, 49);
	export_queue__finish(q, 5000, &s);
	cr_assert_eq(s.exported, 1);
}

Test(queue, what_does_not_fit_is_dropped_by_whole_traces_and_counted, .timeout = 20)
{
	struct queue_limits l = patient;
	struct fake f;
	struct export_stats s;

	l.max_spans = 20;
	fake__init(&f);
	f.held = true;
	struct export_queue *q = export_queue__new(&fake_exporter, &f, &l);

	put(q, 10);
	fake__await_send(&f); /* these 10 are under way, the queue is empty */
	put(q, 15);
	put(q, 6); /* does not fit */
	put(q, 5); /* does */
	put(q, 1); /* not any more */
	export_queue__stats(q, &s);
	cr_assert_eq(s.accepted, 37);
	cr_assert_eq(s.dropped_full, 7);
	fake__release(&f);
	export_queue__finish(q, 5000, &s);
	cr_assert_eq(s.exported, 30);
	expect_balance(&s);
}

Test(queue, a_trace_larger_than_the_queue_keeps_its_first_spans, .timeout = 20)
{
	struct queue_limits l = patient;
	struct fake f;
	struct export_stats s;

	l.max_spans = 20;
	fake__init(&f);
	struct export_queue *q = export_queue__new(&fake_exporter, &f, &l);

	put(q, 50);
	export_queue__finish(q, 5000, &s);
	cr_assert_eq(s.exported, 20);
	cr_assert_eq(s.dropped_full, 30);
	expect_balance(&s);
}

Test(queue, retries_until_it_is_taken, .timeout = 20)
{
	static const struct export_answer script[] = {
		{ .result = EXPORT_RETRY, .retry_after_ms = -1, .why = "not now" },
		{ .result = EXPORT_RETRY, .retry_after_ms = 30, .why = "in 30 ms" },
		{ .result = EXPORT_RETRY, .retry_after_ms = -1, .why = "not now" },
	};
	struct fake f;
	struct export_stats s;

	fake__init(&f);
	f.script = script;
	f.n_script = 3;
	struct export_queue *q = export_queue__new(&fake_exporter, &f, &patient);

	put(q, 10);
	fake__await_sends(&f, 4);
	export_queue__finish(q, 5000, &s);
	cr_assert_eq(s.exported, 10);
	cr_assert_eq(s.retries, 3);
	cr_assert_geq(f.at_ms[2] - f.at_ms[1], 29, "what the receiver asked for is kept");
	cr_assert_str_eq(s.last_error, "not now");
	expect_balance(&s);
}

Test(queue, refusals_and_partial_successes_are_counted_and_not_repeated, .timeout = 20)
{
	static const struct export_answer script[] = {
		{ .result = EXPORT_REFUSED, .retry_after_ms = -1, .why = "bad" },
		{ .result = EXPORT_OK, .retry_after_ms = -1, .rejected = 3, .why = "3 too old" },
		{ .result = EXPORT_OK,
		  .retry_after_ms = -1,
		  .rejected = 1000,
		  .why = "a receiver that can't count" },
	};
	struct fake f;
	struct export_stats s;

	fake__init(&f);
	f.script = script;
	f.n_script = 3;
	struct export_queue *q = export_queue__new(&fake_exporter, &f, &patient);

	put(q, 40);
	export_queue__finish(q, 5000, &s);
	cr_assert_eq(f.sends, 4);
	cr_assert_eq(s.retries, 0);
	cr_assert_eq(s.dropped_refused, 10 + 3 + 10);
	cr_assert_eq(s.exported, 7 + 10);
	expect_balance(&s);
}

Test(queue, gives_up_after_its_time, .timeout = 20)
{
	static struct export_answer script[10000];
	struct queue_limits l = patient;
	struct fake f;
	struct export_stats s;

	for (int i = 0; i < 10000; i++)
		script[i] = (struct export_answer){ .result = EXPORT_RETRY,
						    .retry_after_ms = -1,
						    .why = "no" };
	l.give_up_ms = 300;
	l.delay_ms = 0;
	fake__init(&f);
	f.script = script;
	f.n_script = 10000;
	struct export_queue *q = export_queue__new(&fake_exporter, &f, &l);

	put(q, 10);
	do
		export_queue__stats(q, &s);
	while (s.dropped_timeout < 10);
	cr_assert_geq(s.retries, 1);
	export_queue__finish(q, 5000, &s);
	cr_assert_eq(s.dropped_timeout, 10);
	expect_balance(&s);
}

Test(queue, too_large_a_request_is_halved, .timeout = 20)
{
	struct fake f;
	struct export_stats s;

	fake__init(&f);
	f.split_above = 3;
	struct export_queue *q = export_queue__new(&fake_exporter, &f, &patient);

	put(q, 10);
	export_queue__finish(q, 5000, &s);
	cr_assert_eq(s.exported, 10);
	cr_assert_eq(s.retries, 0);
	expect_balance(&s);
}

Test(queue, the_end_is_in_time_though_a_send_hangs, .timeout = 20)
{
	struct fake f;
	struct export_stats s;

	fake__init(&f);
	f.held = true;
	struct export_queue *q = export_queue__new(&fake_exporter, &f, &patient);

	put(q, 25);
	fake__await_send(&f);
	int64_t start = now_ms();

	export_queue__finish(q, 100, &s);
	int64_t took = now_ms() - start;

	cr_assert(took >= 99 && took < 1000, "%ld ms", (long)took);
	cr_assert_eq(s.dropped_timeout, 25);
	cr_assert_eq(f.sends, 1);
	expect_balance(&s);
}

Test(queue, the_end_cuts_a_wait_and_tries_once_more, .timeout = 20)
{
	static const struct export_answer script[] = {
		{ .result = EXPORT_RETRY,
		  .retry_after_ms = 3000000,
		  .why = "come back in an hour" },
	};
	struct fake f;
	struct export_stats s;

	fake__init(&f);
	f.script = script;
	f.n_script = 1;
	struct export_queue *q = export_queue__new(&fake_exporter, &f, &patient);

	put(q, 10);
	fake__await_sends(&f, 1);
	int64_t start = now_ms();

	export_queue__finish(q, 5000, &s);
	cr_assert_lt(now_ms() - start, 3000);
	expect_balance(&s);
	/*
	 * Whether the thread had begun its rest by then is a race; nothing may be unaccounted for
	 * in either case.
	 */
	cr_assert_eq(s.exported + s.dropped_timeout, 10);
}

static void *putter(void *q)
{
	for (int i = 0; i < 2000; i++)
		put(q, 1 + (unsigned)i % 7);
	return NULL;
}

Test(queue, many_at_once, .timeout = 60)
{
	struct queue_limits l = patient;
	struct fake f;
	struct export_stats s;
	pthread_t threads[4];

	l.delay_ms = 0;
	fake__init(&f);
	struct export_queue *q = export_queue__new(&fake_exporter, &f, &l);

	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, putter, q);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	export_queue__finish(q, 30000, &s);
	cr_assert_eq(s.accepted, 4 * (2000 / 7 * 28 + 15));
	cr_assert_eq(s.dropped_timeout, 0);
	expect_balance(&s);
}

/* ---- what the variables mean ---- */

static const char *vars[32][2];

static const char *test_env(const char *name)
{
	for (int i = 0; i < 32 && vars[i][0]; i++)
		if (strcmp(vars[i][0], name) == 0)
			return vars[i][1];
	return NULL;
}

/*
 * Settings of these variables: name, value, ..., NULL. `settings` is overwritten by the next call.
 */
static struct otlp_settings settings;
static char why[300];

static int read_settings(const char *endpoint, ...)
{
	struct exporter_config cfg = { .endpoint = endpoint, .env = test_env, .version = "9" };
	va_list ap;
	int n = 0;

	memset(vars, 0, sizeof(vars));
	va_start(ap, endpoint);
	for (const char *name; (name = va_arg(ap, const char *)); n++) {
		vars[n][0] = name;
		vars[n][1] = va_arg(ap, const char *);
	}
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

	memset(vars, 0, sizeof(vars));
	vars[0][0] = "OTEL_BSP_MAX_QUEUE_SIZE";
	vars[0][1] = queue;
	vars[1][0] = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE";
	vars[1][1] = batch;
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

/* ---- over HTTP ---- */

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
		execlp("python3", "python3", "-B", path, "--script", script, "--out", collector_out,
		       (char *)NULL);
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
	int n = 0;

	memset(vars, 0, sizeof(vars));
	va_start(ap, l);
	for (const char *name; (name = va_arg(ap, const char *)); n++) {
		vars[n][0] = name;
		vars[n][1] = va_arg(ap, const char *);
	}
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
		{ "OTEL_EXPORTER_OTLP_COMPRESSION", "none" },
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

Test(http, headers_and_agent, .timeout = 60)
{
	char path[] = "/tmp/weft-test-export-XXXXXX";
	int fd = mkstemp(path);
	struct collector c;

	cr_assert(fd >= 0);
	collector_out = path;
	struct export_stats s = send_forty("ok", &c, "OTEL_EXPORTER_OTLP_HEADERS",
					   "X-Key=a%20b,e=");

	cr_assert_eq(s.exported, 40);
	collector__stop(&c);
	FILE *f = fdopen(fd, "r");
	json_t *request = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL),
	       *headers = json_object_get(request, "headers");

	cr_assert_str_eq(json_string_value(json_object_get(request, "path")), "/v1/traces");
	cr_assert_str_eq(json_string_value(json_object_get(headers, "User-Agent")),
			 "weft/9 OTel-OTLP-Exporter-C/9");
	cr_assert_str_eq(json_string_value(json_object_get(headers, "Content-Type")),
			 "application/x-protobuf");
	cr_assert_str_eq(json_string_value(json_object_get(headers, "Content-Encoding")), "gzip");
	cr_assert_str_eq(json_string_value(json_object_get(headers, "X-Key")), "a b");
	cr_assert_str_eq(json_string_value(json_object_get(headers, "e")), "");
	cr_assert_null(json_object_get(headers, "Expect"));
	json_decref(request);
	fclose(f);
	unlink(path);
}

// SPDX-License-Identifier: GPL-2.0-or-later
#include "pipeline.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "../call/call.h"
#include "../conn/order.h"
#include "../lib/block.h"
#include "../lib/log.h"
#include "../proto/engine.h"
#include "../span/processes.h"
#include "../trace/trace.h"
#include "../view/view.h"

#define FLUSH_MS 5000 /* for the exporter, at the end */
#define TREE_LINES_PER_SECOND 60
#define TRIM_NS (2000ull * 1000 * 1000)

struct pipeline {
	const struct options *o;
	struct pipeline_hooks hooks;
	struct balance books;
	struct processes *processes;
	struct tracer *tracer;
	struct calls *calls;
	struct engine *engine;
	struct conns *conns;
	struct order *order;
	struct view *view;
	struct export_queue *exporter;
	uint64_t now;           /* the latest event or tick */
	uint64_t trimmed;       /* when memory was last given back */
	uint64_t traces, spans; /* given to the sinks */
	int view_error;
	uint64_t drops[WEFT_DROP_MAX]; /* told by a recorded file */
	uint64_t recursion_misses;
};

static void to_sinks(void *ctx, struct trace *t)
{
	struct pipeline *p = ctx;

	p->traces++;
	p->spans += t->n;
	if (p->hooks.trace)
		p->hooks.trace(p->hooks.ctx, t);
	if (p->view)
		view__trace(p->view, t);
	if (p->exporter)
		export_queue__put(p->exporter, t);
}

static struct view *make_view(const struct options *o)
{
	struct view_config cfg = {
		.out = stdout,
		.color = o->color,
		.columns = o->columns,
		.live = o->command == CMD_TRACE,
		.max_lines_per_second = o->command == CMD_TRACE ? TREE_LINES_PER_SECOND : 0,
	};

	switch (o->output) {
	case OUTPUT_TREE: return view__tree(&cfg);
	case OUTPUT_JSON: return view__json(&cfg);
	case OUTPUT_OTLP_JSON: return view__otlp_json(&cfg);
	case OUTPUT_NONE: break;
	}
	return NULL;
}

static const char *environment(const char *name)
{
	return getenv(name);
}

static int start_exporter(struct pipeline *p, char *why, size_t why_len)
{
	struct exporter_config cfg = { .endpoint = p->o->otlp_endpoint,
				       .env = environment,
				       .version = WEFT_VERSION };

	return export_queue__start(&cfg, &p->exporter, why, why_len);
}

static void on_policy(void *ctx, struct conn *c, const struct weft_policy *policy)
{
	conns__policy(((struct pipeline *)ctx)->conns, c, policy);
}

static void on_tls(void *ctx, struct conn *c)
{
	conns__carries_tls(((struct pipeline *)ctx)->conns, c);
}

static void process_gone(struct pipeline *p, const struct weft_event *ev)
{
	conns__process_exit(p->conns, ev->pid, ev->ts);
	calls__process_exit(p->calls, ev->pid, ev->ts);
	tracer__process_exit(p->tracer, ev->pid);
	processes__exit(p->processes, ev->pid, ev->ts);
}

/* An event whose turn it is. */
static void take(void *pipeline, const struct weft_event *ev)
{
	struct pipeline *p = pipeline;

	balance__receive(&p->books, ev->kind != WEFT_EV_DATA && ev->kind != WEFT_EV_CALL);
	if (ev->kind == WEFT_EV_DATA)
		tracer__awake(p->tracer, (const struct weft_data *)ev);
	switch (ev->kind) {
	case WEFT_EV_OPEN:
	case WEFT_EV_DATA:
	case WEFT_EV_EOF:
	case WEFT_EV_SHUT:
	case WEFT_EV_CLOSE:
	case WEFT_EV_FIELDS:
	case WEFT_EV_TABLE:
	case WEFT_EV_SESSION: conns__event(p->conns, ev); return;
	case WEFT_EV_CONNECT: tracer__connect(p->tracer, (const struct weft_connect *)ev); return;
	case WEFT_EV_CONTEXT: tracer__context(p->tracer, (const struct weft_context *)ev); return;
	case WEFT_EV_UNIT: tracer__unit(p->tracer, (const struct weft_unit *)ev); return;
	case WEFT_EV_THREAD: tracer__thread(p->tracer, (const struct weft_thread *)ev); return;
	case WEFT_EV_CALL: calls__event(p->calls, (const struct weft_call *)ev); return;
	case WEFT_EV_EXEC:
		calls__process_exit(p->calls, ev->pid, ev->ts);
		conns__process_exec(p->conns, ev->pid, ev->ts);
		return;
	case WEFT_EV_EXIT: process_gone(p, ev); return;
	}
}

static bool make_conns(struct pipeline *p)
{
	struct conns_hooks hooks = { .ctx = p->hooks.ctx,
				     .policy = p->hooks.policy,
				     .forget = p->hooks.forget,
				     .want_cipher = p->hooks.want_cipher,
				     .want_fields = p->hooks.want_fields };
	struct conn_sink cs = engine__conn_sink(p->engine);

	p->conns = conns__new(p->o->max_conns, &cs, &p->books);
	if (!p->conns)
		return false;
	conns__set_hooks(p->conns, &hooks);
	p->order = order__new(p->conns, take, p);
	return p->order;
}

static bool wire(struct pipeline *p)
{
	struct tracer_config tc = {
		.span = { .raw_queries = p->o->raw_queries, .baggage = p->o->baggage.keys },
		.books = &p->books,
		.trace_instrumented = p->o->trace_instrumented,
		.sinks = { { to_sinks, p } },
	};
	struct policy_sink policy = { p, on_policy, on_tls };

	p->processes = tc.processes = processes__new();
	if (!p->processes)
		return false;
	p->tracer = tracer__new(&tc);
	if (!p->tracer)
		return false;
	struct exchange_sink spans = tracer__exchange_sink(p->tracer);

	p->calls = calls__new(p->o->db_source, p->o->protocols, &spans, &p->books);
	if (!p->calls)
		return false;
	struct exchange_sink exchanges = calls__sink(p->calls);

	p->engine = engine__new(p->o->protocols, &exchanges, &policy, &p->books);
	return p->engine && make_conns(p);
}

static void release(struct pipeline *p)
{
	order__free(p->order);
	conns__free(p->conns, p->now);
	calls__free(p->calls, p->now);
	engine__free(p->engine);
	tracer__free(p->tracer);
	processes__free(p->processes);
	free(p);
}

struct pipeline *pipeline__new(const struct options *o, const struct pipeline_hooks *hooks,
			       int *status, char *why, size_t why_len)
{
	struct pipeline *p = calloc(1, sizeof(*p));

	*status = EXIT_IMPOSSIBLE;
	snprintf(why, why_len, "out of memory");
	if (!p)
		return NULL;
	p->o = o;
	if (hooks)
		p->hooks = *hooks;
	if (!wire(p)) {
		release(p);
		return NULL;
	}
	int err = start_exporter(p, why, why_len);

	if (err < 0) {
		*status = err == -ELIBACC ? EXIT_IMPOSSIBLE : EXIT_USAGE;
		release(p);
		return NULL;
	}
	p->view = make_view(o);
	return p;
}

static void stats(struct pipeline *p, const struct record_stats *s)
{
	memcpy(p->drops, s->drops, sizeof(p->drops));
	p->recursion_misses = s->recursion_misses;
}

void pipeline__event(void *pipeline, const struct weft_event *ev)
{
	struct pipeline *p = pipeline;

	switch ((int)ev->kind) {
	case RECORD_CLOCK:
		tracer__set_clock(p->tracer,
				  ((const struct record_clock *)ev)->realtime_minus_boottime);
		return;
	case RECORD_PROCESS:
		processes__described(p->processes, (const struct record_process *)ev);
		return;
	case RECORD_STATS: stats(p, (const struct record_stats *)ev); return;
	}
	if (ev->ts > p->now)
		p->now = ev->ts;
	order__event(p->order, ev);
}

void pipeline__after_end(struct pipeline *p)
{
	balance__receive(&p->books, false);
	balance__drop(&p->books, DROP_AFTER_END, 1);
}

bool pipeline__tick(struct pipeline *p, uint64_t now)
{
	if (now > p->now)
		p->now = now;
	order__tick(p->order, p->now);
	conns__tick(p->conns, p->now);
	calls__tick(p->calls, p->now);
	tracer__tick(p->tracer, p->now);
	processes__tick(p->processes, p->now);
	if (p->now >= p->trimmed + TRIM_NS) {
		p->trimmed = p->now;
		blocks__trim();
	}
	if (p->view && !p->view_error)
		p->view_error = view__tick(p->view, p->now);
	return !p->view_error && (!p->o->max_spans || p->spans < p->o->max_spans);
}

void pipeline__finish(struct pipeline *p, struct outcome *out)
{
	*out = (struct outcome){ .exporting = p->exporter,
				 .recursion_misses = p->recursion_misses };
	order__flush(p->order);
	engine__stop(p->engine);
	conns__free(p->conns, p->now);
	p->conns = NULL;
	calls__free(p->calls, p->now);
	p->calls = NULL;
	tracer__flush(p->tracer);
	if (p->view) {
		int err = view__close(p->view);

		p->view_error = p->view_error ? p->view_error : err;
	}
	if (p->exporter)
		export_queue__finish(p->exporter, FLUSH_MS, &out->exported);
	out->books = p->books;
	out->traces = p->traces;
	out->view_error = p->view_error;
	memcpy(out->kernel_drops, p->drops, sizeof(p->drops));
	release(p);
}

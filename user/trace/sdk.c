// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Processes that carry an OpenTelemetry SDK and export spans of their own: the same requests and
 * calls twice would be worse than once, so theirs are left to them. Seen by what the SDK sends: an
 * OTLP trace export. Who also receives such exports passes other programs' spans on (a Collector, a
 * proxy) and is no such process.
 */
#include <stdlib.h>

#include "../lib/log.h"
#include "layers.h"

#define SDKS_MAX 4096

struct sdk {
	bool exports, receives;
};

static bool ends_with(struct slice s, struct slice end)
{
	return s.n >= end.n && !memcmp(s.p + s.n - end.n, end.p, end.n);
}

/* OTLP/HTTP's default path, OTLP/gRPC's method. */
static bool is_export(const struct facts *f)
{
	switch (f->area) {
	case FACTS_HTTP:
		return slice__eq(f->http.method, SLICE("POST")) &&
		       ends_with(slice__upto(f->http.target, '?'), SLICE("/v1/traces"));
	case FACTS_RPC:
		return slice__eq(f->rpc.method, SLICE("opentelemetry.proto.collector.trace.v1."
						      "TraceService/Export"));
	default: return false;
	}
}

static struct sdk *sdk_of(struct tracer *t, uint32_t pid)
{
	struct sdk *s = table__get(&t->sdks, pid);

	if (s || t->sdks.used >= SDKS_MAX)
		return s;
	s = calloc(1, sizeof(*s));
	if (s && !table__put(&t->sdks, pid, s)) {
		free(s);
		s = NULL;
	}
	return s;
}

static void ended(struct tracer *t, struct node *n, const struct facts *f)
{
	struct sdk *s = f && !n->third_party && is_export(f) ? sdk_of(t, n->pid) : NULL;

	if (!s)
		return;
	if (!n->server && !s->exports && !s->receives && !t->cfg.trace_instrumented)
		log_info("pid %u exports spans of its own (OpenTelemetry): its spans are left to "
			 "it; --trace-instrumented changes that",
			 n->pid);
	if (n->server)
		s->receives = true;
	else
		s->exports = true;
}

bool sdk__has_its_own(const struct tracer *t, const struct node *n)
{
	const struct sdk *s = n->third_party || t->cfg.trace_instrumented
				      ? NULL
				      : table__get(&t->sdks, n->pid);

	return s && s->exports && !s->receives;
}

static void process_exit(struct tracer *t, uint32_t pid)
{
	free(table__take(&t->sdks, pid));
}

static void free_one(void *ctx, uint64_t key, void *value)
{
	(void)ctx;
	(void)key;
	free(value);
}

static void free_all(struct tracer *t)
{
	table__each(&t->sdks, free_one, NULL);
	table__free(&t->sdks);
}

const struct layer layer_sdk = {
	.name = "sdk", .ended = ended, .process_exit = process_exit, .free = free_all
};

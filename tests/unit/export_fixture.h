/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of the exporter share: traces to export, patience, and an environment of their
 * own.
 */
#ifndef WEFT_EXPORT_FIXTURE_H
#define WEFT_EXPORT_FIXTURE_H

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../exporter/exporter.h"
#include "../../exporter/queue.h"
#include "../../user/span/ids.h"

static inline struct trace *make_trace(unsigned n)
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

static inline void put(struct export_queue *q, unsigned n)
{
	struct trace *t = make_trace(n);

	export_queue__put(q, t);
	trace__unref(t);
}

static inline int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static inline void expect_balance(const struct export_stats *s)
{
	cr_assert_eq(s->accepted,
		     s->exported + s->dropped_full + s->dropped_refused + s->dropped_timeout,
		     "%lu != %lu + %lu + %lu + %lu", s->accepted, s->exported, s->dropped_full,
		     s->dropped_refused, s->dropped_timeout);
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

static const char *test_vars[32][2];

static inline const char *test_env(const char *name)
{
	for (int i = 0; i < 32 && test_vars[i][0]; i++)
		if (strcmp(test_vars[i][0], name) == 0)
			return test_vars[i][1];
	return NULL;
}

/* The environment becomes these variables: name, value, ..., NULL. */
static inline void set_vars(va_list ap)
{
	int n = 0;

	memset(test_vars, 0, sizeof(test_vars));
	for (const char *name; (name = va_arg(ap, const char *)); n++) {
		test_vars[n][0] = name;
		test_vars[n][1] = va_arg(ap, const char *);
	}
}

#endif /* WEFT_EXPORT_FIXTURE_H */

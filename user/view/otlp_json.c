// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * --output otlp-json: one ExportTraceServiceRequest a line. Traces that complete between two ticks
 * share a line, so a resource is written once for many spans; a line holds about BATCH spans, so
 * that readers need not hold more. A trace never spans two lines.
 *
 * The encoder is the exporter's: the one place where a view looks forward in the path. It is pure.
 */
#include <errno.h>
#include <stdlib.h>

#include "../../exporter/exporter.h"
#include "view_ops.h"

#define BATCH 512

struct otlp_view {
	struct view base;
	FILE *out;
	struct trace *traces[BATCH]; /* waiting; references held */
	unsigned n_traces;
	size_t n_spans; /* in them */
	int err;        /* the first failure; nothing is written after it */
};

static int write_line(FILE *out, struct span *const *spans, size_t n)
{
	struct bytes line;
	int err = otlp__encode_json(spans, n, &line);

	if (err < 0)
		return err;
	errno = 0;
	if (fwrite(line.p, 1, line.n, out) != line.n || putc('\n', out) == EOF)
		err = errno ? -errno : -EIO;
	free(line.p);
	return err;
}

/* What waits becomes a line. */
static void write_waiting(struct otlp_view *v)
{
	if (v->n_spans && !v->err) {
		struct span **spans = malloc(v->n_spans * sizeof(*spans));
		size_t n = 0;

		for (unsigned i = 0; spans && i < v->n_traces; i++) {
			memcpy(spans + n, v->traces[i]->spans, v->traces[i]->n * sizeof(*spans));
			n += v->traces[i]->n;
		}
		v->err = spans ? write_line(v->out, spans, n) : -ENOMEM;
		free(spans);
	}
	for (unsigned i = 0; i < v->n_traces; i++)
		trace__unref(v->traces[i]);
	v->n_traces = 0;
	v->n_spans = 0;
}

static void otlp_view__trace(struct view *view, struct trace *t)
{
	struct otlp_view *v = (struct otlp_view *)view;

	if (t->n == 0 || v->err)
		return;
	v->traces[v->n_traces++] = trace__ref(t);
	v->n_spans += t->n;
	if (v->n_spans >= BATCH)
		write_waiting(v);
}

static int otlp_view__tick(struct view *view, uint64_t now_ns)
{
	struct otlp_view *v = (struct otlp_view *)view;

	(void)now_ns;
	write_waiting(v);
	errno = 0;
	if (!v->err && fflush(v->out) != 0)
		v->err = errno ? -errno : -EIO;
	return v->err;
}

static int otlp_view__close(struct view *view)
{
	int err = otlp_view__tick(view, 0);

	free(view);
	return err;
}

static const struct view_ops otlp_ops = {
	.trace = otlp_view__trace,
	.tick = otlp_view__tick,
	.close = otlp_view__close,
};

struct view *view__otlp_json(const struct view_config *cfg)
{
	struct otlp_view *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->base.ops = &otlp_ops;
	v->out = cfg->out;
	return &v->base;
}

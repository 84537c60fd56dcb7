/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view/: finished traces on stdout: the live tree, or one JSON span a line, or OTLP/JSON lines; and
 * the summary.
 *
 * In:  struct trace, on the main thread (struct trace_sink).
 * Out: text on stdout (data), the balance on stderr (words for people).
 */
#ifndef WEFT_VIEW_H
#define WEFT_VIEW_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "../span/span.h"

struct view;

struct view_config {
	FILE *out;
	bool color;
	int columns; /* >= 40 */
	/* out is a terminal, or a pipe read live: under load show the slowest and failed first */
	bool live;
	/* budget of the tree under load; 0: no limit (replay, files) */
	unsigned max_lines_per_second;
};

/* The tree: one block a trace. */
struct view *view__tree(const struct view_config *cfg);
/* One JSON object a span a line: flat, for jq. */
struct view *view__json(const struct view_config *cfg);
/* One OTLP/JSON ExportTraceServiceRequest a line. */
struct view *view__otlp_json(const struct view_config *cfg);

/* A trace_sink function. */
void view__trace(void *view, struct trace *t);
/*
 * Called about every 100 ms, and whenever the reader was idle: writes what waited, flushes. Returns
 * 0, or -EPIPE / another negative errno when stdout can't be written any more. `now_ns`: any
 * monotonic clock.
 */
int view__tick(struct view *v, uint64_t now_ns);
/* Write what is left; returns as view__tick. Frees v. */
int view__close(struct view *v);

#endif /* WEFT_VIEW_H */

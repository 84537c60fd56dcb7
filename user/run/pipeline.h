/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From events to sinks: conn, proto, span, trace, view and exporters, wired. The same for live and
 * replay.
 */
#ifndef WEFT_PIPELINE_H
#define WEFT_PIPELINE_H

#include "../../exporter/exporter.h"
#include "../cli/opts.h"
#include "../conn/conn.h"
#include "../lib/balance.h"
#include "../source/record.h"

/* What only a live run can do, and one that looks on; all members may be NULL. */
struct pipeline_hooks {
	void *ctx;
	void (*policy)(void *ctx, const struct conn *c, const struct weft_policy *policy);
	void (*forget)(void *ctx, uint64_t sock, uint64_t conn);
	void (*trace)(void *ctx, struct trace *t); /* every trace that goes to the sinks */
	/* as in struct conns_hooks */
	void (*want_cipher)(void *ctx, uint32_t pid, bool want);
	void (*want_fields)(void *ctx, uint32_t pid, bool want);
};

struct pipeline;

/* NULL with one line in `why`; *status is then the exit status. */
struct pipeline *pipeline__new(const struct options *o, const struct pipeline_hooks *hooks,
			       int *status, char *why, size_t why_len);
/* A source_handler. */
void pipeline__event(void *pipeline, const struct weft_event *ev);
/* One that came too late to count: it is in the books, and that is all. */
void pipeline__after_end(struct pipeline *p);
/*
 * `now`: CLOCK_BOOTTIME ns, or the time of the file. False: the run shall end (enough spans, or
 * stdout is gone).
 */
bool pipeline__tick(struct pipeline *p, uint64_t now);

/* How a run went, for the summary and the exit status. */
struct outcome {
	struct balance books;
	uint64_t traces;
	bool exporting;
	struct export_stats exported;
	int view_error; /* 0, or negative errno of stdout */
	uint64_t kernel_drops[WEFT_DROP_MAX];
	uint64_t recursion_misses;
	uint64_t not_read; /* made by the kernel, not received; 0 after a drain */
};

/*
 * Everything ends: open spans are finished, held traces released, exporters flushed for a bounded
 * time. Frees p.
 */
void pipeline__finish(struct pipeline *p, struct outcome *out);

/* summary.c: the balance on stderr; returns the exit status it means. */
int summary__print(const struct outcome *out);

#endif /* WEFT_PIPELINE_H */

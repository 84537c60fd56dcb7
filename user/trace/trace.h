/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trace/: from exchanges to spans to traces: who is whose parent.
 *
 * In:  exchanges as they begin, move and end (struct exchange_sink), connections as they are made,
 *      time.
 * Out: finished traces (struct trace_sink).
 * Owner: the tracer owns every span until its trace is released to the sinks.
 *
 * A span is held until its parent is certain: until a request's own end has shown whether a guessed
 * child really lay inside it, and for a short grace in which evidence from another process may
 * arrive. An orphan rather than a wrong parent.
 */
#ifndef WEFT_TRACE_H
#define WEFT_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "../lib/balance.h"
#include "../proto/engine.h"
#include "../span/conventions.h"
#include "../span/processes.h"
#include "../span/span.h"

struct tracer_config {
	struct span_options span;
	struct processes *processes; /* whose resources the spans carry */
	struct balance *books;
	/* make spans also of processes that export their own */
	bool trace_instrumented;
	struct trace_sink sinks[4]; /* unused ones have fn NULL */
};

struct tracer;

struct tracer *tracer__new(const struct tracer_config *cfg);
/* What the engine calls. */
struct exchange_sink tracer__exchange_sink(struct tracer *t);
/* What to add to a CLOCK_BOOTTIME time to get Unix time, ns. */
void tracer__set_clock(struct tracer *t, int64_t realtime_minus_boottime);
/*
 * A process began to connect a socket: the connection's first call belongs to what the thread is
 * doing now.
 */
void tracer__connect(struct tracer *t, const struct weft_connect *c);
/* A thread moved bytes. Called before the engine gets the event. */
void tracer__awake(struct tracer *t, const struct weft_data *d);
/* What a thread's runtime says of it, told before the event that it is about. */
void tracer__unit(struct tracer *t, const struct weft_unit *u);
/* A thread began another one, or ended. */
void tracer__thread(struct tracer *t, const struct weft_thread *e);
/* Trace context that travelled beside a request's bytes, told before them. */
void tracer__context(struct tracer *t, const struct weft_context *c);
/* A process ended: nothing of its threads is remembered. */
void tracer__process_exit(struct tracer *t, uint32_t pid);
/* Release what is settled. `now`: CLOCK_BOOTTIME ns, or the file's time. */
void tracer__tick(struct tracer *t, uint64_t now);
/* Release everything, settled or not. All exchanges must have ended. */
void tracer__flush(struct tracer *t);
void tracer__free(struct tracer *t);

#endif /* WEFT_TRACE_H */

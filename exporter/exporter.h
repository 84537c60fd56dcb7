/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * exporter/: finished traces out of the program. One file an exporter, one row in table.c.
 *
 * In:  struct trace (user/span/span.h), reference counted.
 * Out: bytes on a wire or a file.
 * Owner: the queue (queue.c) holds a reference to every trace it accepted until it was exported or
 *        dropped. Exporters that do I/O run on the queue's thread; encoding (otlp_*.c) does no I/O.
 */
#ifndef WEFT_EXPORTER_H
#define WEFT_EXPORTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "../user/span/span.h"

/* ---- encoding: pure ---- */

struct bytes { /* malloc'ed; freed by the caller with free(p) */
	uint8_t *p;
	size_t n;
};

/*
 * One ExportTraceServiceRequest of these spans (grouped into one ResourceSpans per resource), as
 * protobuf. 0 or -ENOMEM.
 */
int otlp__encode_protobuf(struct span *const *spans, size_t n, struct bytes *out);
/* The same, left where it was written: out->n bytes from *at on in out->p. */
int otlp__encode_protobuf_at(struct span *const *spans, size_t n, struct bytes *out, size_t *at);
/* The same as one line of OTLP/JSON without the newline. */
int otlp__encode_json(struct span *const *spans, size_t n, struct bytes *out);

/* ---- exporting ---- */

enum export_result {
	EXPORT_OK = 0,
	EXPORT_RETRY,   /* not now: may succeed later (see retry_after_ms) */
	EXPORT_REFUSED, /* never: drop and count */
	/* too many spans for one request: send them in two halves (never said of a single span) */
	EXPORT_SPLIT,
};

struct export_answer {
	enum export_result result;
	int64_t retry_after_ms; /* with RETRY: what the receiver asked for, -1 nothing */
	uint64_t rejected;      /* spans that a partial success refused */
	char why[200];          /* one line for people, empty if all went well */
};

struct exporter_config {
	const char *endpoint;                 /* --otlp URL, or NULL: from the environment */
	const char *(*env)(const char *name); /* getenv, or a test's own */
	const char *version;                  /* for the User-Agent */
};

struct exporter {
	const char *name; /* "otlp-http" */
	/*
	 * Is it asked for by this configuration? Fills in defaults. 1 yes, 0 no, negative errno +
	 * why: wrong configuration.
	 */
	int (*open)(const struct exporter_config *cfg, void **state, char *why, size_t why_len);
	/* Send one batch; may block at most `timeout_ms`. Never retries by itself. */
	void (*send)(void *state, struct span *const *spans, size_t n, int64_t timeout_ms,
		     struct export_answer *a);
	/*
	 * From any thread: a send() under way, and all to come, end by this time (CLOCK_MONOTONIC
	 * ns). May be NULL.
	 */
	void (*hurry)(void *state, int64_t deadline_ns);
	void (*close)(void *state);
};

extern const struct exporter *const exporter_table[]; /* ends with NULL */

/* ---- the queue between tracer and exporter: bounded, batched, on a thread of its own ---- */

struct export_stats {
	uint64_t accepted;     /* spans given to the queue */
	uint64_t exported;     /* spans acknowledged by the receiver */
	uint64_t dropped_full; /* spans that did not fit into the queue */
	/* spans that the receiver refused for good, or rejected in a partial success */
	uint64_t dropped_refused;
	uint64_t dropped_timeout; /* spans given up after the last retry, or at the end of weft */
	uint64_t retries;         /* sends that were repeated */
	char last_error[200];
};

struct export_queue;

/*
 * Limits from OTEL_BSP_* in cfg->env. Negative errno and a line in why on error; 0 and *out NULL if
 * no exporter is asked for.
 */
int export_queue__start(const struct exporter_config *cfg, struct export_queue **out, char *why,
			size_t why_len);
/* A trace_sink function: takes references, never blocks. */
void export_queue__put(void *queue, struct trace *t);
/*
 * Send what is left, for at most `timeout_ms`; then end the thread and free. *stats gets the final
 * figures.
 */
void export_queue__finish(struct export_queue *q, int64_t timeout_ms, struct export_stats *stats);
void export_queue__stats(struct export_queue *q, struct export_stats *stats);

#endif /* WEFT_EXPORTER_H */

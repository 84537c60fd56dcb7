/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whose child a request is, by what it carries, in whichever format: W3C Trace Context, B3 (single
 * and multi), Jaeger's uber-trace-id, X-Amzn-Trace-Id, SkyWalking's sw8. Pure.
 */
#ifndef WEFT_CONTEXT_H
#define WEFT_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "../proto/facts.h"

struct remote_context {
	const char *format; /* "tracecontext", "b3", "b3multi", "jaeger", "xray", "sw8": static */
	uint8_t trace_id[16];
	uint8_t span_id[8]; /* all zero: the trace alone is known */
	uint8_t flags;      /* as of traceparent */
};

/*
 * Takes the first of these formats that is there and valid; what is not valid is as if it were not
 * there. A decision about sampling that was left open counts as yes. False: a new trace begins.
 */
bool context__read(const struct facts_context *c, struct remote_context *out);

#endif /* WEFT_CONTEXT_H */

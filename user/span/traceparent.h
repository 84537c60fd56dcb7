/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * W3C Trace Context (Level 2): the two request headers that say whose child a request is. Pure.
 *
 * More than one traceparent header is invalid, and without a valid traceparent the tracestate must
 * not be used: that is the caller's to see. Several tracestate headers are one, joined in order
 * with commas.
 */
#ifndef WEFT_TRACEPARENT_H
#define WEFT_TRACEPARENT_H

#include <stdbool.h>
#include <stdint.h>

#include "../lib/arena.h"
#include "../lib/slice.h"

#define TRACE_FLAG_SAMPLED 0x01
#define TRACE_FLAG_RANDOM 0x02

/*
 * A traceparent value; spaces and tabs around it are allowed. True if it is valid: then the ids and
 * the known flags (the two above) are set. False: nothing is set, and a new trace begins.
 */
bool traceparent__parse(struct slice value, uint8_t trace_id[16], uint8_t span_id[8],
			uint8_t *flags);

/* At least one member, at most 32, each well-formed, no key twice. */
bool tracestate__valid(struct slice value);
/*
 * The same list without white space around members, without empty members, and with only the first
 * (newest) of members that have the same key. Empty if the list is not valid otherwise, has no
 * member, or does not fit into the arena.
 */
struct slice tracestate__normalise(struct slice value, struct arena *a);

#endif /* WEFT_TRACEPARENT_H */

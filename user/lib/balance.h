/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The books: every event that was received is in exactly one account, at every moment.
 *
 *   received = lifecycle + in_spans + pending + sum(dropped)
 *
 * A data event is `pending` from the moment it is received until the exchange that it belongs to
 * became a span (in_spans) or it is clear that it never will (dropped, by reason).
 */
#ifndef WEFT_BALANCE_H
#define WEFT_BALANCE_H

#include <stdbool.h>
#include <stdint.h>

enum drop_reason {
	DROP_UNKNOWN_PROTOCOL, /* the connection's bytes are no protocol that weft knows */
	DROP_FILTERED,         /* what --protocol or --db-source leaves out */
	/* joined in the middle: belongs to a message whose beginning was not seen */
	DROP_MID_STREAM,
	/* protocol housekeeping that is no exchange: greetings, notices, pushes, cancel requests */
	DROP_CONTROL,
	DROP_BROKEN, /* bytes that their protocol does not allow */
	/* its exchange could not be put together because other events were lost */
	DROP_LOST_BYTES,
	/* bytes that were seen before: sent again, or those of a TLS session on a kTLS socket */
	DROP_DUPLICATE,
	DROP_TLS, /* ciphertext: what it says comes from the TLS library, or not at all */
	/* a call that wire and library both told of: one of them is enough */
	DROP_TOLD_TWICE,
	DROP_INSTRUMENTED, /* its process exports spans of its own (OpenTelemetry) */
	DROP_AFTER_END,    /* weft was told to end before, and is taking its probes away */
	DROP_NO_MEMORY,    /* a limit of weft's own: connections, exchanges, buffers */
	DROP_REASONS,
};

struct balance {
	uint64_t received;  /* records from the source, without the user-space kinds */
	uint64_t lifecycle; /* open, close, end of stream, processes */
	uint64_t in_spans;  /* data events whose exchange is a span */
	uint64_t pending;
	uint64_t dropped[DROP_REASONS];
	uint64_t spans; /* spans made */
};

const char *balance__reason(enum drop_reason why);

static inline void balance__receive(struct balance *b, bool lifecycle)
{
	b->received++;
	if (lifecycle)
		b->lifecycle++;
	else
		b->pending++;
}

static inline void balance__drop(struct balance *b, enum drop_reason why, uint64_t events)
{
	b->pending -= events;
	b->dropped[why] += events;
}

static inline void balance__span(struct balance *b, uint64_t events)
{
	b->pending -= events;
	b->in_spans += events;
	b->spans++;
}

/* A pending event turns out to be lifecycle. */
static inline void balance__lifecycle(struct balance *b)
{
	b->pending--;
	b->lifecycle++;
}

/* Pending events that belong to a span that was made before. */
static inline void balance__join(struct balance *b, uint64_t events)
{
	b->pending -= events;
	b->in_spans += events;
}

/* A span that was made is not wanted after all. */
static inline void balance__unspan(struct balance *b, enum drop_reason why, uint64_t events)
{
	b->in_spans -= events;
	b->dropped[why] += events;
	b->spans--;
}

/* Does the sum hold? */
bool balance__exact(const struct balance *b);

#endif

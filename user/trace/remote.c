// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Trace context in the request itself, in any of the formats of span/context.h. It is read when the exchange ends, in
 * time for release.c, which uses it so: a root with a context continues that trace; a call whose
 * context is not the one its own request came with was given it by somebody inside the process (an
 * SDK), who is its parent.
 */
#include "../span/context.h"
#include "../span/traceparent.h"
#include "layers.h"

void remote__take(struct node *n, const struct facts_context *c)
{
	struct remote_context r;

	n->remote = context__read(c, &r);
	if (!n->remote)
		return;
	memcpy(n->remote_trace, r.trace_id, 16);
	memcpy(n->remote_span, r.span_id, 8);
	n->remote_flags = r.flags;
	/* Only W3C's own context has a state. */
	if (c->tracestate.n && slice__eq(slice__cstr(r.format), SLICE("tracecontext")))
		n->remote_state = tracestate__normalise(c->tracestate, &n->arena);
}

static void ended(struct tracer *t, struct node *n, const struct facts *f)
{
	(void)t;
	if (f && !n->remote)
		remote__take(n, &f->context);
}

const struct layer layer_remote = { .name = "remote", .ended = ended };

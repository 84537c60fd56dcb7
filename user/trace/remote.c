// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Trace context in the request itself (W3C Trace Context). It is read when the exchange ends, in
 * time for release.c, which uses it so: a root with a context continues that trace; a call whose
 * context is not the one its own request came with was given it by somebody inside the process (an
 * SDK), who is its parent.
 */
#include "../span/traceparent.h"
#include "layers.h"

void remote__take(struct node *n, const struct facts_context *c)
{
	if (!c->traceparent.n || c->duplicate)
		return;
	n->remote = traceparent__parse(c->traceparent, n->remote_trace, n->remote_span,
				       &n->remote_flags);
	if (n->remote && c->tracestate.n)
		n->remote_state = tracestate__normalise(c->tracestate, &n->arena);
}

static void ended(struct tracer *t, struct node *n, const struct facts *f)
{
	(void)t;
	if (f && !n->remote)
		remote__take(n, &f->context);
}

const struct layer layer_remote = { .name = "remote", .ended = ended };

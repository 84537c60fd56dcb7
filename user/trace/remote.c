// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Trace context in the request itself, in any of the formats of span/context.h. It is read when the exchange ends, in
 * time for release.c, which uses it so: a root with a context continues that trace; a call whose
 * context is not the one its own request came with was given it by somebody inside the process (an
 * SDK), who is its parent.
 *
 * And trace context beside the request (struct weft_context), which weft itself sends where the user
 * asked for it. Its ids were made when the request was written, before anybody knew its parent: the
 * span takes its id from it, and the trace that of its calls, if it has no other. A call that turns
 * out to belong to another trace has a link to what was sent, so that the other end can be found.
 */
#include <stdlib.h>

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

#define BESIDE_MAX 16384 /* that wait for their request */

struct beside {
	struct list by_age;
	uint64_t place;
	struct weft_context c;
};

static uint64_t place_of(uint64_t conn, uint32_t pos, bool received)
{
	return table__mix(table__mix(conn, pos), received);
}

static void forget(struct tracer *t, struct beside *b)
{
	if (table__get(&t->beside.by_place, b->place) == b)
		table__take(&t->beside.by_place, b->place);
	list__remove(&b->by_age);
	free(b);
}

static void context(struct tracer *t, const struct weft_context *c)
{
	struct beside *b = malloc(sizeof(*b)), *old;

	if (!b)
		return;
	b->place = place_of(c->h.conn, c->pos, c->dir == WEFT_IN);
	b->c = *c;
	list__init(&b->by_age);
	old = table__get(&t->beside.by_place, b->place);
	if (old)
		forget(t, old);
	if (t->beside.by_place.used >= BESIDE_MAX)
		forget(t, LIST_OF(t->beside.by_age.next, struct beside, by_age));
	if (!table__put(&t->beside.by_place, b->place, b)) {
		free(b);
		return;
	}
	list__append(&t->beside.by_age, &b->by_age);
}

static void begin(struct tracer *t, struct node *n, struct exchange *x, uint32_t req_pos)
{
	struct beside *b;

	if (n->third_party || x->seen != EXCHANGE_ON_WIRE || req_pos != x->req_pos)
		return;
	n->on_conn = x->conn->id;
	n->on_pos = req_pos;
	b = table__get(&t->beside.by_place, place_of(n->on_conn, req_pos, n->server));
	if (!b || b->c.h.conn != n->on_conn || b->c.pos != req_pos)
		return;
	n->beside = true;
	memcpy(n->beside_trace, b->c.trace_id, 16);
	memcpy(n->beside_span, b->c.span_id, 8);
	n->beside_cause = b->c.cause;
	n->beside_cause_pos = b->c.cause_pos;
	forget(t, b);
}

void remote__take_beside(struct node *n)
{
	if (n->remote || !n->server || !n->beside)
		return;
	n->remote = true;
	memcpy(n->remote_trace, n->beside_trace, 16);
	memcpy(n->remote_span, n->beside_span, 8);
	n->remote_flags = TRACE_FLAG_SAMPLED;
}

static bool is_http(const struct node *n)
{
	const char *protocol = n->span ? n->span->protocol : n->x ? n->x->proto->name : "";

	return strncmp(protocol, "http", 4) == 0 || strcmp(protocol, "grpc") == 0;
}

/* Was the call sent with a trace id that can be the root's? */
static bool sent_for(const struct node *root, const struct node *call)
{
	if (call->server || !call->beside)
		return false;
	if (call == root || !call->beside_cause)
		return true;
	return root->server && call->beside_cause == root->on_conn &&
	       call->beside_cause_pos == root->on_pos;
}

/* A database reads no trace context, so the others come first. */
static const uint8_t *find_sent(const struct node *root, struct node *n, bool http)
{
	if (sent_for(root, n) && (!http || is_http(n)))
		return n->beside_trace;
	LIST_EACH (it, tmp, &n->children) {
		const uint8_t *id = find_sent(root, LIST_OF(it, struct node, sibling), http);

		if (id)
			return id;
	}
	return NULL;
}

const uint8_t *remote__sent_trace(struct node *root)
{
	const uint8_t *id = find_sent(root, root, true);

	return id ? id : find_sent(root, root, false);
}

static void free_all(struct tracer *t)
{
	LIST_EACH (it, tmp, &t->beside.by_age)
		forget(t, LIST_OF(it, struct beside, by_age));
	table__free(&t->beside.by_place);
}

const struct layer layer_remote = {
	.name = "remote", .context = context, .begin = begin, .ended = ended, .free = free_all
};

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is settled leaves. A tree is settled when all of its spans have ended, the guesses in it
 * were judged, and a grace has passed in which late evidence could still have come. Then ids are
 * given, times made consistent, and it goes to the sinks.
 */
#include <stdlib.h>

#include "../span/ids.h"
#include "../span/traceparent.h"
#include "node.h"

#define GRACE_NS (150ull * 1000 * 1000)
/*
 * A span waits no longer than this for its root; then it leaves with the ids that it will have had.
 */
#define HOLD_NS (30ull * 1000 * 1000 * 1000)
/* How long an event loop's call waits for its request to show itself. */
#define CLAIM_NS (10ull * 1000 * 1000 * 1000)
#define HELD_MAX 30000
/* How long a request that is over waits for what it left behind, so that they leave together. */
#define AFTER_HOLD_NS (2ull * 1000 * 1000 * 1000)
/* Of one that never ends, an open stream: more calls than that begin traces of their own. */
#define BELOW_MAX 5000

#define OTLP_FLAG_KNOWN 0x100 /* it is known whether the parent is remote */
#define OTLP_FLAG_REMOTE 0x200

/*
 * Was the call's trace context put there by the process itself, rather than passed on from its
 * request?
 */
static bool own_context(const struct node *call)
{
	const struct node *request = call->parent;

	return call->remote &&
	       !(request->remote && memcmp(call->remote_trace, request->remote_trace, 16) == 0 &&
		 memcmp(call->remote_span, request->remote_span, 8) == 0);
}

/* Both have ended: does the evidence hold? */
static void judge(struct tracer *t, struct node *n)
{
	bool outside = n->start < n->parent->start || n->end > n->parent->end;

	n->judged = true;
	/* What a request left behind, to be done after its answer, is still its own. */
	outside &= n->evidence != EVIDENCE_RUNTIME;
	if (n->apart || !thread__holds(t, n, outside) || !callback__holds(t, n) ||
	    !handover__holds(n) || outside || own_context(n)) {
		node__orphan(n);
		/* An event loop's may still show whose it is. */
		n->judged = !n->loop;
	}
}

static bool waits_for_judgement(const struct node *n)
{
	return n->parent && !n->server && !n->judged;
}

static bool grace_is_over(const struct tracer *t, const struct node *n)
{
	return n->ended && t->now >= n->end + GRACE_NS;
}

/* Made by what its request left behind, for which that has waited enough. */
static bool comes_after(const struct tracer *t, const struct node *n)
{
	const struct node *p = n->parent;

	return n->evidence == EVIDENCE_RUNTIME && p->ended && n->start > p->end &&
	       t->now >= p->end + AFTER_HOLD_NS;
}

static bool settled(const struct tracer *t, const struct node *n)
{
	if (!grace_is_over(t, n) || waits_for_judgement(n))
		return false;
	for (const struct list *it = n->children.next; it != &n->children; it = it->next) {
		const struct node *child = LIST_OF(it, struct node, sibling);

		if (!settled(t, child) && !comes_after(t, child))
			return false;
	}
	return true;
}

/* Some formats name the trace alone. */
static bool has_span(const uint8_t span_id[8])
{
	static const uint8_t none[8];

	return memcmp(span_id, none, sizeof(none)) != 0;
}

static void pin_root(struct node *n)
{
	node__read_context(n);
	remote__take_beside(n);
	if (!n->remote && n->left && !n->apart) {
		memcpy(n->trace_id, n->left_trace, 16);
		memcpy(n->parent_span, n->left_span, 8);
		n->source = evidence__name(EVIDENCE_RUNTIME);
		n->confidence = evidence__confidence(EVIDENCE_RUNTIME);
		n->flags = n->left_flags | OTLP_FLAG_KNOWN;
		return;
	}
	if (!n->remote) {
		const uint8_t *sent = remote__sent_trace(n);

		ids__trace(n->trace_id);
		if (sent)
			memcpy(n->trace_id, sent, 16);
		n->flags = TRACE_FLAG_SAMPLED | IDS_FLAG_RANDOM | OTLP_FLAG_KNOWN;
		return;
	}
	memcpy(n->trace_id, n->remote_trace, 16);
	n->flags = n->remote_flags | OTLP_FLAG_KNOWN;
	if (has_span(n->remote_span)) {
		memcpy(n->parent_span, n->remote_span, 8);
		n->source = "remote";
		n->confidence = 1.0;
		n->flags |= OTLP_FLAG_REMOTE;
	}
	n->trace_state = n->remote_state;
}

/* There is enough below p: it begins a trace of its own, with a link. */
static void set_apart(struct node *n, const struct node *p)
{
	n->apart = n->left = true;
	memcpy(n->left_trace, p->trace_id, 16);
	memcpy(n->left_span, p->span_id, 8);
	node__orphan(n);
	pin_root(n);
}

/* Give n its ids, and what is above it first. It may stand apart then, a root. */
static void pin(struct node *n)
{
	struct node *p = n->parent;

	if (n->pinned)
		return;
	n->pinned = true;
	ids__span(n->span_id);
	if (n->beside && !n->server)
		memcpy(n->span_id, n->beside_span, 8);
	if (!p) {
		pin_root(n);
		return;
	}
	pin(p);
	if (!n->server && ++p->below > BELOW_MAX) {
		set_apart(n, p);
		return;
	}
	memcpy(n->trace_id, p->trace_id, 16);
	memcpy(n->parent_span, p->span_id, 8);
	n->source = evidence__name(n->evidence);
	n->confidence = evidence__confidence(n->evidence);
	n->flags = (p->flags & 0xff) | OTLP_FLAG_KNOWN | (p->pid != n->pid ? OTLP_FLAG_REMOTE : 0);
	n->trace_state = arena__copy(&n->arena, p->trace_state);
}

/*
 * A server can read bytes before the call that wrote them returned, and its own write can return
 * after the client has read: the child of a socket pair is fitted into its parent, whose true times
 * those are.
 */
static void fit(struct node *n)
{
	struct node *p = n->parent;

	if (!p || n->evidence != EVIDENCE_SOCKET || !p->ended || !n->ended)
		return;
	if (p->start > n->start)
		p->start = n->start;
	if (n->end > p->end)
		n->end = p->end > n->start ? p->end : n->start;
}

static void fit_tree(struct node *n)
{
	LIST_EACH (it, tmp, &n->children)
		fit_tree(LIST_OF(it, struct node, sibling));
	fit(n);
}

static void add_link(struct span *s, const uint8_t trace_id[16], const uint8_t span_id[8])
{
	struct span_link *link = span__add_link(s);

	if (!link)
		return;
	memcpy(link->trace_id, trace_id, 16);
	memcpy(link->span_id, span_id, 8);
}

/*
 * To the request that left it behind; and, where the other end was told another trace id, to what
 * was sent.
 */
static void add_links(struct span *s, const struct node *n)
{
	if (n->apart && n->left)
		add_link(s, n->left_trace, n->left_span);
	if (!n->server && n->beside && memcmp(n->beside_trace, n->trace_id, 16) != 0)
		add_link(s, n->beside_trace, n->beside_span);
}

static struct span *finish(const struct tracer *t, struct node *n)
{
	struct span *s = n->span;

	n->span = NULL;
	memcpy(s->trace_id, n->trace_id, 16);
	memcpy(s->span_id, n->span_id, 8);
	memcpy(s->parent_id, n->parent_span, 8);
	s->flags = n->flags;
	s->trace_state = arena__copy(&s->arena, n->trace_state);
	add_links(s, n);
	if (n->source) {
		span__set_str(s, "weft.parent.source", slice__cstr(n->source));
		span__set_double(s, "weft.parent.confidence", n->confidence);
	}
	s->start_ns = n->start + (uint64_t)t->clock;
	s->end_ns = (n->end > n->start ? n->end : n->start) + (uint64_t)t->clock;
	return s;
}

static unsigned count(const struct node *n)
{
	unsigned c = 1;

	for (const struct list *it = n->children.next; it != &n->children; it = it->next)
		c += count(LIST_OF(it, struct node, sibling));
	return c;
}

/*
 * Spans of n and below, parents first. What has not ended, or is not settled yet, keeps its ids,
 * and leaves by itself; so does what stands apart.
 */
static void collect(struct tracer *t, struct node *n, struct trace *into)
{
	bool below = n->parent;

	pin(n);
	if (below && n->parent && comes_after(t, n) && !settled(t, n))
		node__orphan(n);
	if (!n->ended || (below && !n->parent)) {
		node__orphan(n);
		return;
	}
	into->spans[into->n++] = finish(t, n);
	LIST_EACH (it, tmp, &n->children)
		collect(t, LIST_OF(it, struct node, sibling), into);
	node__free(t, n);
}

/*
 * Spans of processes that export their own go no further. What is below them in other processes
 * goes on from the context that it was sent.
 */
static void leave_out(struct tracer *t, struct node *n)
{
	LIST_EACH (it, tmp, &n->children)
		leave_out(t, LIST_OF(it, struct node, sibling));
	if (!n->ended || n->pinned || !sdk__has_its_own(t, n))
		return;
	balance__unspan(t->cfg.books, DROP_INSTRUMENTED, n->events);
	node__free(t, n);
}

/* Send n, which has ended, and what ended below it to the sinks. */
static void emit(struct tracer *t, struct node *n)
{
	uint64_t id = n->id;

	leave_out(t, n);
	if (!node__by_id(t, id))
		return;
	runtime__waits(t, n);
	struct trace *trace = trace__for(count(n));

	if (!trace)
		return;
	fit_tree(n);
	collect(t, n, trace);
	for (size_t i = 0; trace->n && i < sizeof(t->cfg.sinks) / sizeof(*t->cfg.sinks); i++)
		if (t->cfg.sinks[i].fn)
			t->cfg.sinks[i].fn(t->cfg.sinks[i].ctx, trace);
	trace__unref(trace);
}

/*
 * Whether anything can become of it now. Nearly all of what is held is in its grace, and need not be
 * looked at any further.
 */
static bool may_leave(const struct tracer *t, const struct node *n)
{
	return t->n_loop_calls || t->n_nodes > HELD_MAX || n->apart || grace_is_over(t, n);
}

/*
 * In the grace there is still something to learn about the threads. Into `due`, unless that is NULL,
 * come those that may leave, oldest first; returned is how many.
 */
static size_t judge_all(struct tracer *t, bool at_once, struct node **due)
{
	size_t n_due = 0;

	LIST_EACH (it, tmp, &t->nodes) {
		struct node *n = LIST_OF(it, struct node, all);

		if (waits_for_judgement(n) && n->ended && n->parent->ended &&
		    (at_once || (grace_is_over(t, n->parent) && !handover__waits(t, n))))
			judge(t, n);
		if (due && may_leave(t, n))
			due[n_due++] = n;
	}
	return n_due;
}

/*
 * Processes that serve a request which is older than where a walk through all nodes, from the
 * oldest on, has got to.
 */
struct serving {
	struct table pids;
};

/* An event loop's call whose request may still show itself, up to the end of the oldest of them. */
static bool may_be_claimed(const struct tracer *t, struct serving *s, const struct node *n)
{
	if (!t->n_loop_calls)
		return false;
	if (n->server && !grace_is_over(t, n))
		table__put(&s->pids, n->pid, s);
	return n->loop && !n->parent && t->now < n->end + CLAIM_NS && table__get(&s->pids, n->pid);
}

/*
 * Whose turn it is to leave: the root of a settled tree; or what has waited too long (or when too
 * much is held) below a span that has not ended, with the ids of the trace that it will have been
 * part of.
 */
static bool leaves(struct tracer *t, struct serving *s, struct node *n)
{
	bool waits = may_be_claimed(t, s, n);

	if (!n->ended)
		return false;
	if (n->parent && n->parent->ended)
		return false;
	if (t->n_nodes > HELD_MAX || t->now >= n->end + HOLD_NS)
		return true;
	return !n->parent && !waits && !runtime__waits(t, n) && settled(t, n);
}

void release__settled(struct tracer *t)
{
	struct node **due = malloc((t->n_nodes + 1) * sizeof(*due));

	if (!due)
		return;
	/*
	 * Emitting frees nodes anywhere in the list, so those that leave are noted first, by
	 * number: one may be below another that leaves before it.
	 */
	size_t n_due = judge_all(t, false, due), n_ids = 0;
	uint64_t *ids = calloc(n_due + 1, sizeof(*ids));
	struct serving serving = { 0 };

	for (size_t i = 0; ids && i < n_due; i++)
		if (leaves(t, &serving, due[i]))
			ids[n_ids++] = due[i]->id;
	free(due);
	table__free(&serving.pids);
	for (size_t i = 0; i < n_ids; i++) {
		struct node *n = node__by_id(t, ids[i]);

		if (n)
			emit(t, n);
	}
	free(ids);
}

void release__all(struct tracer *t)
{
	judge_all(t, true, NULL);
	while (!list__empty(&t->nodes)) {
		struct node *n = node__root(LIST_OF(t->nodes.next, struct node, all));

		/* an exchange that nobody ended: a mistake of ours, and no reason to hang */
		if (!n->ended)
			node__free(t, n);
		else
			emit(t, n);
	}
}

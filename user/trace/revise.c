// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is learnt of an exchange after it was handed over. A call of a client library is told of
 * twice: by the bytes on the wire, and a moment later by the function that returns. Nodes wait for
 * their release anyhow, so the second teller mends what the first one said.
 */
#include "node.h"

uint64_t revise__number(void *ctx, const struct exchange *x)
{
	const struct node *n = x->node;

	(void)ctx;
	return n ? n->id : 0;
}

bool revise__stretch(void *ctx, uint64_t number, uint64_t start, uint64_t end, uint64_t events)
{
	struct tracer *t = ctx;
	struct node *n = node__by_id(t, number);

	if (!n || n->withdrawn)
		return false;
	if (start)
		n->start = start;
	if (end > n->end_least)
		n->end_least = end;
	if (!n->ended) {
		n->x->events += events;
		return true;
	}
	if (n->end < n->end_least)
		n->end = n->end_least;
	n->events += events;
	balance__join(t->cfg.books, events);
	return true;
}

/* The evidence was for the call, whoever tells of it. */
static void inherit(struct node *n, struct node *heir)
{
	LIST_EACH (it, tmp, &n->children) {
		struct node *child = LIST_OF(it, struct node, sibling);
		enum evidence why = child->evidence;

		node__orphan(child);
		if (heir)
			(void)node__propose(child, heir, why);
	}
	if (heir && n->parent)
		(void)node__propose(heir, n->parent, n->evidence);
}

bool revise__withdraw(void *ctx, uint64_t number, uint64_t heir)
{
	struct tracer *t = ctx;
	struct node *n = node__by_id(t, number);

	/* What is pinned is named as parent in what has left. */
	if (!n || n->pinned)
		return false;
	if (n->withdrawn)
		return true;
	n->withdrawn = true;
	inherit(n, node__by_id(t, heir));
	if (!n->ended)
		return true;
	balance__unspan(t->cfg.books, DROP_TOLD_TWICE, n->events);
	node__free(t, n);
	return true;
}

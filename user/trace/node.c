// SPDX-License-Identifier: GPL-2.0-or-later
#include "node.h"

#include "../lib/block.h"

#include <stdlib.h>

#define NODE_ARENA_MAX 2048 /* tracestate */
#define DEPTH_MAX 128       /* of a tree; deeper links are not made */

static const struct {
	const char *name;
	double confidence;
} evidences[EVIDENCE_MAX] = {
	[EVIDENCE_NONE] = { "", 0 },
	[EVIDENCE_LAST_READ] = { "last-read", 0.9 },
	[EVIDENCE_HANDOVER] = { "hand-over", 0.95 },
	[EVIDENCE_THREAD] = { "thread", 0.98 },
	[EVIDENCE_BACKWARD] = { "backward", 0.98 },
	[EVIDENCE_CALLBACK] = { "callback", 0.98 },
	[EVIDENCE_CONTENT] = { "content", 0.95 },
	[EVIDENCE_RUNTIME] = { "runtime", 0.99 },
	[EVIDENCE_SOCKET] = { "socket", 1.0 },
};

const char *evidence__name(enum evidence why)
{
	return evidences[why].name;
}

double evidence__confidence(enum evidence why)
{
	return evidences[why].confidence;
}

struct node *node__new(struct tracer *t, struct exchange *x)
{
	struct node *n = block__get(sizeof(*n));

	if (!n)
		return NULL;
	memset(n, 0, sizeof(*n));
	n->id = ++t->last_id;
	n->server = x->server;
	n->third_party = conn__third_party(x->conn);
	n->pid = x->pid;
	n->tid = x->req_tid;
	n->start = x->req_start;
	n->inside = x->seen == EXCHANGE_IN_CALL;
	list__init(&n->children);
	list__init(&n->sibling);
	list__init(&n->chain);
	arena__init(&n->arena, NODE_ARENA_MAX);
	if (!table__put(&t->by_id, n->id, n)) {
		block__put(n, sizeof(*n));
		return NULL;
	}
	list__append(&t->nodes, &n->all);
	t->n_nodes++;
	return n;
}

void node__orphan(struct node *child)
{
	list__remove(&child->sibling);
	child->parent = NULL;
	child->evidence = EVIDENCE_NONE;
}

void node__free(struct tracer *t, struct node *n)
{
	for (size_t i = 0; t->with.released[i]; i++)
		t->with.released[i]->released(t, n);
	LIST_EACH (it, tmp, &n->children)
		node__orphan(LIST_OF(it, struct node, sibling));
	list__remove(&n->sibling);
	list__remove(&n->chain);
	list__remove(&n->all);
	table__take(&t->by_id, n->id);
	t->n_nodes--;
	t->n_loop_calls -= n->loop != 0;
	span__free(n->span);
	if (n->keys != &n->first_key)
		free(n->keys);
	arena__reset(&n->arena);
	block__put(n, sizeof(*n));
}

struct node *node__by_id(const struct tracer *t, uint64_t id)
{
	return id ? table__get(&t->by_id, id) : NULL;
}

struct node *node__root(struct node *n)
{
	while (n->parent)
		n = n->parent;
	return n;
}

bool node__propose(struct node *child, struct node *parent, enum evidence why)
{
	unsigned depth = 0;

	if (!child || !parent || child->pinned || child->judged || why <= child->evidence)
		return false;
	for (const struct node *n = parent; n; n = n->parent)
		if (n == child || ++depth > DEPTH_MAX)
			return false;
	list__remove(&child->sibling);
	child->parent = parent;
	child->evidence = why;
	list__append(&parent->children, &child->sibling);
	return true;
}

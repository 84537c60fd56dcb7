// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Proxies pass requests on: the call has the method, target and headers of the request that it is
 * made for. Where nothing else tells (a proxy that reads many requests before it works for any),
 * that does: a call belongs to the open request with the same traceparent and x-request-id, if these
 * were passed on too (proxies also add them, or replace them), or to the only open request like it.
 *
 * A service that is no proxy may call for a path like its own by chance. So this counts only in a
 * process nearly all of whose calls, made while it served something, were like a request that was
 * open. And where two open requests are alike, neither is taken.
 */
#include <stdlib.h>

#include "layers.h"

#define ALIKE_MAX 32 /* open requests that are alike, in one process */
#define PROXIES_MAX 4096
#define CALLS_MIN 5
/* then halve: what is called at first is for requests that were read before weft came */
#define CALLS_MAX 40
#define LIKE_PERCENT 80

/* A process that calls by HTTP. */
struct proxy {
	unsigned calls, like;
	unsigned open; /* requests that it serves, as far as they were looked at */
};

/* Open requests of a process that are alike. */
struct alike {
	struct {
		uint64_t node, ids;
	} requests[ALIKE_MAX];
	unsigned n;
	bool more; /* than fit */
};

static uint64_t mix_text(uint64_t h, struct slice s)
{
	h = table__mix(h, s.n);
	for (size_t i = 0; i < s.n; i += 8) {
		uint64_t word = 0;

		memcpy(&word, s.p + i, s.n - i < 8 ? s.n - i : 8);
		h = table__mix(h, word);
	}
	return h;
}

/*
 * What a proxy leaves as it is; 0: nothing to go by. *ids: what tells requests apart that are alike;
 * 0: nothing.
 */
static uint64_t likeness(struct node *n, uint64_t *ids)
{
	struct facts f = { 0 };
	struct arena scratch;
	uint64_t h = 0;

	*ids = 0;
	arena__init(&scratch, NODE_SCRATCH_MAX);
	if (node__describe(n, &scratch, &f) && f.area == FACTS_HTTP && f.http.target.n) {
		h = mix_text(table__mix(3, n->pid), f.http.method);
		h = mix_text(h, f.http.target);
		h = mix_text(h, f.http.user_agent) | 1;
		if (f.context.traceparent.n || f.context.request_id.n)
			*ids = mix_text(mix_text(4, f.context.traceparent), f.context.request_id) |
			       1;
	}
	arena__reset(&scratch);
	return h;
}

static struct proxy *proxy_of(struct tracer *t, uint32_t pid, bool make)
{
	struct proxy *p = table__get(&t->proxies, pid);

	if (p || !make || t->proxies.used >= PROXIES_MAX)
		return p;
	p = calloc(1, sizeof(*p));
	if (p && !table__put(&t->proxies, pid, p)) {
		free(p);
		p = NULL;
	}
	return p;
}

static void request_read(struct tracer *t, struct node *n)
{
	struct proxy *p = proxy_of(t, n->pid, false);
	struct alike *a;
	uint64_t ids;

	n->likeness = p ? likeness(n, &ids) : 0;
	if (!n->likeness)
		return;
	a = table__get(&t->alike, n->likeness);
	if (!a) {
		a = calloc(1, sizeof(*a));
		if (!a || !table__put(&t->alike, n->likeness, a)) {
			free(a);
			n->likeness = 0;
			return;
		}
	}
	p->open++;
	a->more |= a->n == ALIKE_MAX;
	if (a->more)
		return;
	a->requests[a->n].node = n->id;
	a->requests[a->n++].ids = ids;
}

/* A request is over, or forgotten. */
static void request_over(struct tracer *t, struct node *n)
{
	struct alike *a = n->likeness ? table__get(&t->alike, n->likeness) : NULL;
	struct proxy *p = n->likeness ? proxy_of(t, n->pid, false) : NULL;

	if (p && p->open)
		p->open--;
	for (unsigned i = 0; a && i < a->n; i++)
		if (a->requests[i].node == n->id)
			a->requests[i] = a->requests[--a->n];
	if (a && !a->n)
		free(table__take(&t->alike, n->likeness));
	n->likeness = 0;
}

/* The only open request with these ids. */
static struct node *same_ids(struct tracer *t, const struct alike *a, uint64_t ids)
{
	uint64_t found = 0;

	for (unsigned i = 0; ids && a && !a->more && i < a->n; i++) {
		if (a->requests[i].ids != ids)
			continue;
		if (found)
			return NULL;
		found = a->requests[i].node;
	}
	return node__by_id(t, found);
}

/* The only open request like this call that has no call yet. */
static struct node *only_one(struct tracer *t, const struct alike *a)
{
	struct node *found = NULL;

	for (unsigned i = 0; a && !a->more && i < a->n; i++) {
		struct node *n = node__by_id(t, a->requests[i].node);
		const struct node *call = n ? node__by_id(t, n->passed_on) : NULL;

		/* It waits for the answer to its own. */
		if (!n || (call && !call->ended))
			continue;
		if (found)
			return NULL;
		found = n;
	}
	return found;
}

static bool is_proxy(const struct proxy *p)
{
	return p && p->calls >= CALLS_MIN && p->like * 100 >= p->calls * LIKE_PERCENT;
}

static void call_written(struct tracer *t, struct node *n)
{
	struct proxy *p = proxy_of(t, n->pid, true);
	uint64_t ids = 0, like = p ? likeness(n, &ids) : 0;
	const struct alike *a = like ? table__get(&t->alike, like) : NULL;
	struct node *request = same_ids(t, a, ids);

	if (!request)
		request = only_one(t, a);
	if (!like || !p->open)
		return;
	p->calls++;
	p->like += a != NULL;
	if (p->calls > CALLS_MAX) {
		p->calls /= 2;
		p->like /= 2;
	}
	if (!request || request->start > n->start)
		return;
	request->passed_on = n->id;
	n->passed_on = request->id;
	if (is_proxy(p))
		node__propose(n, request, EVIDENCE_CONTENT);
}

/* By now it may be clear that this is a proxy. */
static void call_ended(struct tracer *t, struct node *n)
{
	struct node *request = node__by_id(t, n->passed_on);

	if (request && n->evidence < EVIDENCE_CONTENT && is_proxy(proxy_of(t, n->pid, false)))
		node__propose(n, request, EVIDENCE_CONTENT);
}

static void begin(struct tracer *t, struct node *n, struct exchange *x, uint32_t req_pos)
{
	if (n->third_party || req_pos != x->req_pos)
		return;
	if (n->server)
		request_read(t, n);
	else
		call_written(t, n);
}

static void ended(struct tracer *t, struct node *n, const struct facts *f)
{
	(void)f;
	if (n->server)
		request_over(t, n);
	else
		call_ended(t, n);
}

static void process_exit(struct tracer *t, uint32_t pid)
{
	free(table__take(&t->proxies, pid));
}

static void free_one(void *ctx, uint64_t key, void *value)
{
	(void)ctx;
	(void)key;
	free(value);
}

static void free_all(struct tracer *t)
{
	table__each(&t->alike, free_one, NULL);
	table__free(&t->alike);
	table__each(&t->proxies, free_one, NULL);
	table__free(&t->proxies);
}

const struct layer layer_content = {
	.name = "content",
	.begin = begin,
	.ended = ended,
	.released = request_over,
	.process_exit = process_exit,
	.free = free_all,
};

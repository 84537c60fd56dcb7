// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Threads, with the last exchanges that they asked for, and the connections over which libraries
 * go. What a thread wrote to a connection while it was in a library's function, the library did.
 */
#include <stdlib.h>

#include "parts.h"

#define CALLERS_MAX 16384
#define CARRIERS_MAX 16384

struct caller *caller__of(struct calls *c, uint32_t pid, uint32_t tid)
{
	uint64_t key = (uint64_t)pid << 32 | tid;
	struct caller *w = table__get(&c->callers, key);

	if (w) {
		list__remove(&w->by_use);
		list__append(&c->callers_by_use, &w->by_use);
		return w;
	}
	if (c->callers.used >= CALLERS_MAX)
		caller__forget(c, LIST_OF(c->callers_by_use.next, struct caller, by_use));
	w = calloc(1, sizeof(*w));
	struct process *p = w ? process__of(c, pid) : NULL;

	if (!p || !table__put(&c->callers, key, w)) {
		free(w);
		process__tidy(c, pid);
		return NULL;
	}
	w->key = key;
	w->pid = pid;
	list__append(&c->callers_by_use, &w->by_use);
	list__append(&p->callers, &w->by_process);
	return w;
}

void caller__saw(struct caller *w, const struct sighting *s)
{
	if (!w)
		return;
	w->seen[w->next] = *s;
	w->next = (w->next + 1) % SIGHTINGS;
}

void caller__forget(struct calls *c, struct caller *w)
{
	uint32_t pid = w->pid;

	table__take(&c->callers, w->key);
	list__remove(&w->by_use);
	list__remove(&w->by_process);
	free(w);
	process__tidy(c, pid);
}

struct carrier *carrier__get(struct calls *c, uint64_t id)
{
	return id ? table__get(&c->carriers, id) : NULL;
}

static void forget_carrier(struct calls *c, struct carrier *k)
{
	table__take(&c->carriers, k->id);
	list__remove(&k->by_use);
	free(k);
}

struct carrier *carrier__put(struct calls *c, const struct conn *conn)
{
	struct carrier *k = carrier__get(c, conn->id);

	if (!k) {
		if (c->carriers.used >= CARRIERS_MAX)
			forget_carrier(c, LIST_OF(c->carriers_by_use.next, struct carrier, by_use));
		k = calloc(1, sizeof(*k));
		if (!k || !conn->id || !table__put(&c->carriers, conn->id, k)) {
			free(k);
			return NULL;
		}
		k->id = conn->id;
		list__init(&k->by_use);
	}
	/* Those of a TLS session may be found out later. */
	if (!k->open.remote.family)
		k->open = conn->open;
	list__remove(&k->by_use);
	list__append(&c->carriers_by_use, &k->by_use);
	return k;
}

void carrier__use(struct calls *c, uint64_t id, struct object *o)
{
	struct carrier *k = carrier__get(c, id);

	if (!k || !o)
		return;
	k->user = o->key;
	o->carrier = id;
}

void callers__free(struct calls *c)
{
	while (!list__empty(&c->carriers_by_use))
		forget_carrier(c, LIST_OF(c->carriers_by_use.next, struct carrier, by_use));
}

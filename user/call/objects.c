// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What libraries made. Addresses are used again when an object is gone: one that is made anew
 * replaces what was known of its address. All is bounded, in the whole and for each process, and
 * what was not used for longest makes room: it is then unknown, never wrong.
 */
#include <stdlib.h>

#include "parts.h"

#define OBJECTS_MAX 16384
#define OBJECTS_MAX_EACH 4096 /* of one process */

static uint64_t key_of(uint32_t pid, enum object_kind kind, uint64_t address)
{
	return table__mix(table__mix(pid, kind), address);
}

struct process *process__of(struct calls *c, uint32_t pid)
{
	struct process *p = table__get(&c->processes, pid);

	if (p)
		return p;
	p = calloc(1, sizeof(*p));
	if (!p || !table__put(&c->processes, pid, p)) {
		free(p);
		return NULL;
	}
	p->pid = pid;
	list__init(&p->objects);
	list__init(&p->callers);
	return p;
}

void process__tidy(struct calls *c, uint32_t pid)
{
	struct process *p = table__get(&c->processes, pid);

	if (p && list__empty(&p->objects) && list__empty(&p->callers))
		free(table__take(&c->processes, pid));
}

void object__forget(struct calls *c, struct object *o, uint64_t ts)
{
	if (!o)
		return;
	uint32_t pid = o->pid;
	struct process *p = table__get(&c->processes, pid);
	struct carrier *over = carrier__get(c, o->carrier);

	LIST_EACH (it, tmp, &o->asked)
		asked__drop(c, o, LIST_OF(it, struct asked, link), ts, EXCHANGE_NO_RESPONSE);
	if (over && over->user == o->key)
		over->user = 0;
	table__take(&c->objects, o->key);
	list__remove(&o->by_use);
	list__remove(&o->by_process);
	if (p)
		p->n_objects--;
	free(o->text);
	free(o);
	process__tidy(c, pid);
}

struct object *object__get(struct calls *c, uint32_t pid, enum object_kind kind, uint64_t address)
{
	struct object *o = table__get(&c->objects, key_of(pid, kind, address));
	struct process *p = o ? table__get(&c->processes, pid) : NULL;

	if (!p || o->pid != pid || o->kind != kind || o->address != address)
		return NULL;
	list__remove(&o->by_use);
	list__append(&c->objects_by_use, &o->by_use);
	list__remove(&o->by_process);
	list__append(&p->objects, &o->by_process);
	return o;
}

static void make_room(struct calls *c, uint32_t pid, uint64_t ts)
{
	struct process *p = table__get(&c->processes, pid);

	if (p && p->n_objects >= OBJECTS_MAX_EACH)
		object__forget(c, LIST_OF(p->objects.next, struct object, by_process), ts);
	if (c->objects.used >= OBJECTS_MAX)
		object__forget(c, LIST_OF(c->objects_by_use.next, struct object, by_use), ts);
}

struct object *object__put(struct calls *c, uint32_t pid, enum object_kind kind, uint64_t address,
			   struct slice text, uint64_t ts)
{
	uint64_t key = key_of(pid, kind, address);

	object__forget(c, table__get(&c->objects, key), ts);
	make_room(c, pid, ts);
	struct object *o = calloc(1, sizeof(*o));
	struct process *p = process__of(c, pid);

	if (o && text.n) {
		o->text = malloc(text.n);
		if (o->text)
			memcpy(o->text, text.p, text.n);
		o->n = o->text ? text.n : 0;
	}
	if (!o || !p || !table__put(&c->objects, key, o)) {
		if (o)
			free(o->text);
		free(o);
		process__tidy(c, pid);
		return NULL;
	}
	o->key = key;
	o->pid = pid;
	o->kind = kind;
	o->address = address;
	o->since = ts;
	list__init(&o->asked);
	list__append(&c->objects_by_use, &o->by_use);
	list__append(&p->objects, &o->by_process);
	p->n_objects++;
	return o;
}

void object__forget_owned(struct calls *c, uint32_t pid, enum object_kind kind, uint64_t owner,
			  uint64_t ts)
{
	struct process *p = table__get(&c->processes, pid);
	size_t left = p ? p->n_objects : 0;

	for (struct list *it = p ? p->objects.next : NULL; left; left--) {
		struct object *o = LIST_OF(it, struct object, by_process);

		it = it->next;
		if (o->kind == kind && o->owner == owner)
			object__forget(c, o, ts);
	}
}

#define LOOKED_AT 64

void object__forget_made(struct calls *c, uint32_t pid, enum object_kind kind, uint32_t maker,
			 uint64_t from, uint64_t to)
{
	struct process *p = table__get(&c->processes, pid);
	size_t left = p ? p->n_objects : 0;

	left = left < LOOKED_AT ? left : LOOKED_AT;
	for (struct list *it = p ? p->objects.prev : NULL; left; left--) {
		struct object *o = LIST_OF(it, struct object, by_process);

		it = it->prev;
		if (o->kind == kind && o->maker == maker && o->since >= from && o->since <= to)
			object__forget(c, o, to);
	}
}

void process__forget(struct calls *c, uint32_t pid, uint64_t ts)
{
	struct process *p;

	/* The last one takes the list with it. */
	while ((p = table__get(&c->processes, pid))) {
		if (!list__empty(&p->objects))
			object__forget(c, LIST_OF(p->objects.next, struct object, by_process), ts);
		else if (!list__empty(&p->callers))
			caller__forget(c, LIST_OF(p->callers.next, struct caller, by_process));
		else
			free(table__take(&c->processes, pid));
	}
}

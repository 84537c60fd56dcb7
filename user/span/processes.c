// SPDX-License-Identifier: GPL-2.0-or-later
#include "processes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/table.h"

#define ADDRESSES_MAX 65536 /* servers in one packet capture that get a resource of their own */

#define FORGET_NS (10ull * 1000 * 1000 * 1000)

/* A process that ended. */
struct grave {
	uint32_t pid;
	uint64_t ts;
	/* a reference, to compare: the PID may have been used again, the address can't be */
	const struct resource *resource;
};

struct processes {
	struct table by_pid;  /* struct resource */
	struct grave *graves; /* in order of time */
	size_t n_graves, cap_graves;
	struct table by_address; /* struct resource, by hash of the name */
};

struct processes *processes__new(void)
{
	return calloc(1, sizeof(struct processes));
}

static void unref(void *ctx, uint64_t key, void *value)
{
	(void)ctx;
	(void)key;
	resource__unref(value);
}

void processes__free(struct processes *p)
{
	if (!p)
		return;
	table__each(&p->by_pid, unref, NULL);
	table__each(&p->by_address, unref, NULL);
	table__free(&p->by_pid);
	table__free(&p->by_address);
	for (size_t i = 0; i < p->n_graves; i++)
		resource__unref(p->graves[i].resource);
	free(p->graves);
	free(p);
}

static void put(struct table *t, uint64_t key, struct resource *r)
{
	struct resource *old = table__get(t, key);

	if (table__put(t, key, r))
		resource__unref(old);
	else
		resource__unref(r);
}

/* Attributes that are numbers in the semantic conventions; the record carries them as text. */
static bool is_int(const char *key)
{
	return !strcmp(key, "process.pid") || !strcmp(key, "process.parent_pid") ||
	       !strcmp(key, "process.vpid");
}

void processes__described(struct processes *p, const struct record_process *rec)
{
	const char *at = rec->text, *end = rec->text + rec->len;
	struct resource *r = NULL;

	for (uint32_t i = 0; i < rec->n && at < end; i++) {
		const char *key = at, *value = key + strnlen(key, (size_t)(end - key)) + 1;

		if (value >= end)
			break;
		at = value + strnlen(value, (size_t)(end - value)) + 1;
		if (at > end)
			break;
		if (!r)
			r = resource__new(rec->h.pid,
					  strcmp(key, "service.name") ? "unknown_service" : value);
		if (!r)
			return;
		if (is_int(key))
			resource__add_int(r, key, strtoll(value, NULL, 10));
		else
			resource__add_str(r, key, value);
	}
	if (r)
		put(&p->by_pid, rec->h.pid, r);
}

void processes__exit(struct processes *p, uint32_t pid, uint64_t ts)
{
	struct resource *r = table__get(&p->by_pid, pid);

	if (!r)
		return;
	if (p->n_graves == p->cap_graves) {
		size_t cap = p->cap_graves ? p->cap_graves * 2 : 16;
		struct grave *graves = realloc(p->graves, cap * sizeof(*graves));

		if (!graves)
			return;
		p->graves = graves;
		p->cap_graves = cap;
	}
	p->graves[p->n_graves++] = (struct grave){ pid, ts, resource__ref(r) };
}

void processes__tick(struct processes *p, uint64_t now)
{
	size_t gone = 0;

	for (; gone < p->n_graves && p->graves[gone].ts + FORGET_NS < now; gone++) {
		const struct grave *g = &p->graves[gone];

		if (table__get(&p->by_pid, g->pid) == g->resource)
			resource__unref(table__take(&p->by_pid, g->pid));
		resource__unref(g->resource);
	}
	if (!gone)
		return;
	p->n_graves -= gone;
	memmove(p->graves, p->graves + gone, p->n_graves * sizeof(*p->graves));
}

struct resource *processes__get(struct processes *p, uint32_t pid)
{
	struct resource *r = table__get(&p->by_pid, pid);

	if (r)
		return resource__ref(r);
	r = resource__new(pid, "unknown_service");
	if (r) {
		resource__add_int(r, "process.pid", pid);
		resource__add_str(r, "telemetry.sdk.name", "weft");
	}
	return r;
}

const char *processes__language(const struct processes *p, uint32_t pid)
{
	const struct resource *r = table__get(&p->by_pid, pid);

	for (unsigned i = 0; r && i < r->n; i++)
		if (strcmp(r->attrs[i].key, "telemetry.sdk.language") == 0)
			return r->attrs[i].s;
	return NULL;
}

struct resource *processes__by_address(struct processes *p, const char *addr, int port)
{
	char name[160];
	uint64_t key = 0;

	snprintf(name, sizeof(name), strchr(addr, ':') ? "[%s]:%d" : "%s:%d", addr, port);
	for (const char *c = name; *c; c++)
		key = table__mix(key, (uint8_t)*c);
	struct resource *r = table__get(&p->by_address, key);

	if (r && !strcmp(resource__service(r), name))
		return resource__ref(r);
	bool keep = !r && p->by_address.used < ADDRESSES_MAX;

	r = resource__new(0, name);
	if (r)
		resource__add_str(r, "telemetry.sdk.name", "weft");
	if (r && keep)
		put(&p->by_address, key, resource__ref(r));
	return r;
}

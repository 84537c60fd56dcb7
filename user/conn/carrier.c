// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Connections that carry TLS, and what of them is captured.
 *
 * Their ciphertext says nothing but whose session it is. So while one has no session, and a
 * session of its process may be looking for it, a little of each call is shown; once it has one,
 * nothing. Where no session looks for a while (the library is not probed), nothing either, until
 * one does.
 */
#include <stdlib.h>

#include "internal.h"

#define SHOWN_BYTES 64
#define SHOWN_CALLS 256
#define QUIET_NS (10000ull * 1000 * 1000)

static const struct weft_policy shown = {
	.call_cap = { SHOWN_BYTES, SHOWN_BYTES },
	.turn_cap = { UINT32_MAX, UINT32_MAX },
};

static const struct weft_policy hidden = { .off = 1 };

struct tls_process *tls_process__get(struct sessions *ss, uint32_t pid)
{
	struct tls_process *p = table__get(&ss->processes, pid);

	if (p)
		return p;
	p = calloc(1, sizeof(*p));
	if (!p || !table__put(&ss->processes, pid, p)) {
		free(p);
		return NULL;
	}
	p->pid = pid;
	list__init(&p->looking);
	list__init(&p->carriers);
	list__init(&p->wanting);
	return p;
}

void tls_process__put(struct sessions *ss, struct tls_process *p)
{
	if (!list__empty(&p->looking) || !list__empty(&p->carriers) || !list__empty(&p->wanting))
		return;
	free(table__take(&ss->processes, p->pid));
}

void tls_process__looks(struct conns *cs, struct tls_process *p, uint64_t ts)
{
	if (ts > p->looked)
		p->looked = ts;
	if (p->all_shown)
		return;
	p->all_shown = true;
	LIST_EACH (it, tmp, &p->carriers) {
		struct conn_tls *t = LIST_OF(it, struct conn_tls, free);

		if (t->shown)
			continue;
		t->shown = true;
		t->calls = 0;
		t->since = ts;
		conns__send_policy(cs, t->conn);
	}
}

void tls_process__wants_cipher(struct conns *cs, struct tls_process *p)
{
	if (!list__empty(&p->wanting))
		return;
	list__append(&cs->tls.wanting, &p->wanting);
	if (cs->hooks.want_cipher)
		cs->hooks.want_cipher(cs->hooks.ctx, p->pid, true);
}

void carriers__tick(struct conns *cs, uint64_t now)
{
	LIST_EACH (it, tmp, &cs->tls.wanting) {
		struct tls_process *p = LIST_OF(it, struct tls_process, wanting);

		if (!list__empty(&p->looking) || now < p->looked + QUIET_NS)
			continue;
		list__remove(&p->wanting);
		if (cs->hooks.want_cipher)
			cs->hooks.want_cipher(cs->hooks.ctx, p->pid, false);
		tls_process__put(&cs->tls, p);
	}
}

struct weft_policy carrier__policy(const struct conn *c)
{
	return c->rides || !c->tls->shown ? hidden : shown;
}

/* It has no session, and the process that uses it now is this one. */
static void join(struct conns *cs, struct conn *c, uint64_t ts)
{
	struct conn_tls *t = c->tls;
	struct tls_process *p = tls_process__get(&cs->tls, c->pid);

	t->pid = c->pid;
	t->shown = true;
	t->calls = 0;
	t->since = ts;
	if (p)
		list__append(&p->carriers, &t->free);
}

static void leave(struct conns *cs, struct conn *c)
{
	struct tls_process *p = table__get(&cs->tls.processes, c->tls->pid);

	if (list__empty(&c->tls->free))
		return;
	list__remove(&c->tls->free);
	if (p)
		tls_process__put(&cs->tls, p);
}

static bool make(struct conn *c)
{
	if (c->tls)
		return true;
	c->tls = calloc(1, sizeof(*c->tls));
	if (!c->tls)
		return false;
	c->tls->conn = c;
	list__init(&c->tls->free);
	return true;
}

void conns__carries_tls(struct conns *cs, struct conn *c)
{
	if (!c->tls && make(c) && !c->rides && !conn__third_party(c))
		join(cs, c, c->open.h.ts);
}

void carrier__taken(struct conns *cs, struct conn *c)
{
	bool known = c->tls;

	if (!make(c))
		return;
	leave(cs, c);
	/* By the call alone: proto/ did not see it, and will not now. */
	if (!known)
		c->tls->settled = true;
	if (c->rides)
		conns__send_policy(cs, c);
}

void carrier__left(struct conns *cs, struct conn *c)
{
	if (!c->tls || c->rides)
		return;
	join(cs, c, c->open.h.ts);
	if (c->tls->settled)
		conns__send_policy(cs, c);
}

void carrier__saw(struct conns *cs, struct conn *c, const struct weft_data *d)
{
	struct conn_tls *t = c->tls;
	struct tls_process *p;

	if (t->pid != c->pid) {
		leave(cs, c);
		join(cs, c, d->h.ts);
	}
	p = table__get(&cs->tls.processes, t->pid);
	cipher__on_socket(cs, c, d);
	if (c->rides || !t->settled || !t->shown)
		return;
	if (!t->calls++)
		t->since = d->h.ts;
	if (t->calls < SHOWN_CALLS && d->h.ts < t->since + QUIET_NS)
		return;
	t->calls = 0;
	if (p && (!list__empty(&p->looking) || (p->looked && d->h.ts < p->looked + QUIET_NS)))
		return;
	t->shown = false;
	if (p)
		p->all_shown = false;
	conns__send_policy(cs, c);
}

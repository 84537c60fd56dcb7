// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which socket calls were made inside a call of the TLS library.
 *
 * A thread does one thing at a time: a socket call that returned between the beginning and the end
 * of an SSL_read() on the same thread was made by it. Its event comes before that of the library's
 * call, so the last few of each thread are kept. It counts if it moved TLS records, which sets
 * aside what a callback does meanwhile, on a connection that no other session has.
 *
 * If it moved the plaintext itself, the kernel encrypts (kTLS), and the wire is all there is to
 * be read.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define THREADS_MAX 16384
#define RECENT 16
#define SAMPLE_MIN 8 /* shorter ones are equal by chance */

struct recent {
	uint64_t conn;
	uint64_t first, last; /* when calls returned that followed each other */
	bool tls;
	struct sample said; /* plaintext alone */
};

struct tls_thread {
	uint64_t key;
	struct list by_use;
	unsigned n; /* how many there were; the newest is recent[(n - 1) % RECENT] */
	struct recent recent[RECENT];
};

static void forget(struct sessions *ss, struct tls_thread *t)
{
	table__take(&ss->threads, t->key);
	list__remove(&t->by_use);
	free(t);
}

static uint64_t key_of(uint32_t pid, uint32_t tid)
{
	return (uint64_t)pid << 32 | tid;
}

static struct tls_thread *thread_of(struct sessions *ss, uint64_t key)
{
	struct tls_thread *t = table__get(&ss->threads, key);

	if (!t) {
		if (ss->threads.used >= THREADS_MAX)
			forget(ss, LIST_OF(ss->threads_by_use.next, struct tls_thread, by_use));
		t = calloc(1, sizeof(*t));
		if (!t || !table__put(&ss->threads, key, t)) {
			free(t);
			return NULL;
		}
		t->key = key;
		list__init(&t->by_use);
	}
	list__remove(&t->by_use);
	list__append(&ss->threads_by_use, &t->by_use);
	return t;
}

static struct sample sample(const struct weft_data *d)
{
	struct sample s = { .len = d->len, .dir = d->dir };

	s.n = (uint8_t)(d->head < SAMPLE_BYTES ? d->head : SAMPLE_BYTES);
	memcpy(s.bytes, d->bytes, s.n);
	return s;
}

void nesting__saw(struct conns *cs, struct conn *c, const struct weft_data *d, bool tls)
{
	struct tls_thread *t = thread_of(&cs->tls, key_of(d->h.pid, d->h.tid));
	struct recent *r;

	if (!t)
		return;
	r = t->n ? &t->recent[(t->n - 1) % RECENT] : NULL;
	if (r && tls && r->tls && r->conn == c->id && d->h.ts >= r->last) {
		r->last = d->h.ts;
		return;
	}
	r = &t->recent[t->n++ % RECENT];
	*r = (struct recent){ .conn = c->id, .first = d->h.ts, .last = d->h.ts, .tls = tls };
	if (!tls)
		r->said = sample(d);
}

static bool inside(const struct recent *r, const struct session *s)
{
	return (r->last >= s->begin && r->last <= s->ts) ||
	       (r->first >= s->begin && r->first <= s->ts);
}

/* What was found inside one op. */
struct nested {
	bool any;           /* a socket was used */
	bool unclear;       /* there was more than is remembered, or several fit */
	bool own;           /* the carrier that is known */
	bool taken;         /* a connection that has another session */
	struct conn *found; /* could be the carrier */
};

static void look_at(struct conns *cs, const struct session *s, const struct recent *r,
		    struct nested *n)
{
	struct conn *c = table__get(&cs->by_id, r->conn);

	n->any = true;
	if (!r->tls || c == s->conn)
		return;
	if (!c) {
		/* Closed meanwhile, by another thread: it may have been the one. */
		n->unclear = true;
	} else if (c == s->conn->carrier) {
		n->own = true;
	} else if (c->rides) {
		n->taken = true;
	} else {
		n->unclear |= n->found && n->found != c;
		n->found = c;
	}
}

void nesting__op(struct conns *cs, struct session *s)
{
	struct tls_thread *t = table__get(&cs->tls.threads, key_of(s->conn->open.h.pid, s->tid));
	struct session_counts *counts = &cs->tls.counts;
	struct nested n = { 0 };
	unsigned known = !t ? 0 : t->n < RECENT ? t->n : RECENT, in = 0;

	for (unsigned i = 0; i < known; i++) {
		if (!inside(&t->recent[i], s))
			continue;
		in++;
		look_at(cs, s, &t->recent[i], &n);
	}
	n.unclear |= in == RECENT;
	s->op_dry = !n.any;
	if (!session__looks(s)) {
		counts->contradicted += n.found && !n.own && s->conn->carrier;
		return;
	}
	counts->contradicted += n.taken && !n.found;
	if (n.found && !n.unclear && session__may_ride(s, n.found))
		session__link(cs, s, n.found, &counts->by_nesting);
}

bool nesting__in_clear(const struct conns *cs, const struct session *s, const struct weft_data *d)
{
	struct tls_thread *t = table__get(&cs->tls.threads, key_of(s->conn->open.h.pid, s->tid));
	struct sample said = sample(d);
	unsigned known = !t ? 0 : t->n < RECENT ? t->n : RECENT;

	if (!s->begin || d->h.tid != s->tid || said.n < SAMPLE_MIN)
		return false;
	for (unsigned i = 0; i < known; i++) {
		const struct recent *r = &t->recent[i];

		if (!r->tls && inside(r, s) && r->said.dir == said.dir && r->said.n == said.n &&
		    (said.n == SAMPLE_BYTES || r->said.len == said.len) &&
		    !memcmp(r->said.bytes, said.bytes, said.n))
			return true;
	}
	return false;
}

void nesting__free(struct sessions *ss)
{
	while (!list__empty(&ss->threads_by_use))
		forget(ss, LIST_OF(ss->threads_by_use.next, struct tls_thread, by_use));
	table__free(&ss->threads);
}

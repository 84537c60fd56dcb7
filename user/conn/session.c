// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * TLS sessions: over which socket's connection each of them goes.
 *
 * A session's plaintext comes from probes in the TLS library, which know nothing of sockets. Its
 * carrier is found out by one of three kinds of evidence, each of which is proof:
 *
 * nesting   A socket call was made inside a call of the library, on the same thread, and moved TLS
 *           records (nesting.c).
 * socket    The library's own struct names the socket (Go).
 * cipher    The ciphertext that the session handed out, or was given, is what a socket of the
 *           process wrote or read: 20 bytes that are random by nature (cipher.c). For libraries
 *           that work in memory, and programs that do the reading and writing themselves.
 *
 * Where two carriers fit, none is taken: the next call may tell. Until the carrier is known the
 * session's events are held, for a bounded time; then they go on without addresses. A session
 * whose carrier is known gets its addresses, and ends with it.
 */
#include <stdlib.h>
#include <string.h>

#include "../lib/log.h"
#include "internal.h"

#define HOLD_NS (2000ull * 1000 * 1000)
#define HOLD_BYTES_MAX (64 * 1024)            /* of one session */
#define HOLD_ALL_BYTES_MAX (32 * 1024 * 1024) /* of all */
/* So much in vain: its carrier will not be found. */
#define GIVE_UP_OPS 256
#define GIVE_UP_NS (10000ull * 1000 * 1000)
/* Signs of a session in memory that are enough; more where its beginning was not seen. */
#define DRY_MIN 2
#define DRY_MIN_PREOPEN 4

struct held_event {
	struct list link;
	uint64_t events;       /* tls_process.events when it came */
	struct weft_data data; /* with its bytes behind it */
};

static struct tls_process *process_of(struct conns *cs, const struct session *s)
{
	return table__get(&cs->tls.processes, s->conn->open.h.pid);
}

bool session__new(struct conns *cs, struct conn *c)
{
	struct session *s = calloc(1, sizeof(*s));
	struct tls_process *p = s ? tls_process__get(&cs->tls, c->open.h.pid) : NULL;

	if (!p) {
		free(s);
		return false;
	}
	s->conn = c;
	s->waiting = true;
	list__init(&s->holding);
	list__init(&s->held);
	list__append(&p->looking, &s->looking);
	c->session = s;
	cs->tls.counts.seen++;
	tls_process__looks(cs, p, c->open.h.ts);
	return true;
}

/* ---- held events ---- */

/* What comes from now on is passed on; what is held goes first. */
static void release(struct conns *cs, struct session *s)
{
	struct tls_process *p = process_of(cs, s);
	uint64_t events = p ? p->events : 0;

	s->waiting = false;
	list__remove(&s->holding);
	LIST_EACH (it, tmp, &s->held) {
		struct held_event *h = LIST_OF(it, struct held_event, link);

		list__remove(&h->link);
		s->conn->late = h->events != events;
		conns__push(cs, s->conn, &h->data);
		free(h);
		/* What was pushed may have ended the search, and with it the process. */
		p = process_of(cs, s);
		if (p)
			p->events++;
	}
	s->conn->late = false;
	cs->tls.held_bytes -= s->held_bytes;
	s->held_bytes = 0;
}

/* False: not held, for want of memory. */
static bool hold(struct conns *cs, struct session *s, const struct weft_data *d)
{
	struct sessions *ss = &cs->tls;
	struct tls_process *p = process_of(cs, s);
	size_t size = sizeof(struct held_event) + data__bytes(d);
	struct held_event *h = malloc(size);

	if (!h)
		return false;
	memcpy(&h->data, d, sizeof(*d) + data__bytes(d));
	h->events = p ? p->events : 0;
	if (list__empty(&s->held)) {
		s->since = d->h.ts;
		list__append(&ss->holding, &s->holding);
	}
	list__append(&s->held, &h->link);
	s->held_bytes += size;
	ss->held_bytes += size;
	if (s->held_bytes > HOLD_BYTES_MAX)
		release(cs, s);
	while (ss->held_bytes > HOLD_ALL_BYTES_MAX && !list__empty(&ss->holding))
		release(cs, LIST_OF(ss->holding.next, struct session, holding));
	return true;
}

/* What it held will be seen on the socket, or was. */
static void discard(struct conns *cs, struct session *s)
{
	LIST_EACH (it, tmp, &s->held) {
		struct held_event *h = LIST_OF(it, struct held_event, link);

		list__remove(&h->link);
		if (h->data.h.kind == WEFT_EV_DATA)
			balance__drop(cs->books, DROP_DUPLICATE, 1);
		free(h);
	}
	release(cs, s);
}

/* It moved bytes, or looked at nothing, without a socket: a sign that it works in memory. */
static void dry(struct conns *cs, struct session *s)
{
	unsigned enough = conn__preopen(s->conn) ? DRY_MIN_PREOPEN : DRY_MIN;
	struct tls_process *p = process_of(cs, s);

	if (s->op_dry && ++s->dry >= enough && session__looks(s) && p)
		tls_process__wants_cipher(cs, p);
}

bool session__take(struct conns *cs, struct conn *c, const struct weft_data *d)
{
	struct session *s = c->session;
	bool data = d->h.kind == WEFT_EV_DATA;

	if (data && session__looks(s)) {
		dry(cs, s);
		if (nesting__in_clear(cs, s, d))
			session__in_clear(cs, s, d->h.ts);
	}
	if (s->clear) {
		if (data)
			balance__drop(cs->books, DROP_DUPLICATE, 1);
		return true;
	}
	if (!s->waiting)
		return false;
	if (hold(cs, s, d))
		return true;
	release(cs, s);
	return false;
}

/* ---- links ---- */

bool session__may_ride(const struct session *s, const struct conn *carrier)
{
	const struct conn *c = s->conn;

	if (carrier == c || c->carrier || carrier->rides || conn__third_party(carrier) ||
	    carrier->pid != c->open.h.pid)
		return false;
	/* TLS in TLS, and no deeper. */
	if (carrier->session)
		return !c->rides && !(carrier->carrier && carrier->carrier->session);
	return true;
}

static void adopt(struct conn *c)
{
	const struct weft_open *from = &c->carrier->open;
	struct weft_open *to = &c->open;

	to->local = from->local;
	to->remote = from->remote;
	to->netns = from->netns;
	to->path_len = from->path_len;
	memcpy(to->path, from->path, sizeof(to->path));
	if (!to->start_ts)
		to->start_ts = from->start_ts;
	if (to->role == WEFT_ROLE_UNKNOWN)
		to->role = from->role;
	if (c->rides)
		adopt(c->rides);
}

void session__stop_looking(struct conns *cs, struct session *s, uint64_t ts)
{
	struct tls_process *p = process_of(cs, s);

	if (!session__looks(s))
		return;
	list__remove(&s->looking);
	if (!p)
		return;
	if (ts > p->looked)
		p->looked = ts;
	tls_process__put(&cs->tls, p);
}

void session__link(struct conns *cs, struct session *s, struct conn *carrier, uint64_t *count)
{
	struct conn *c = s->conn;

	++*count;
	c->carrier = carrier;
	carrier->rides = c;
	adopt(c);
	carrier__taken(cs, carrier);
	release(cs, s);
	session__stop_looking(cs, s, s->ts);
	conns__send_policy(cs, c);
}

void session__in_clear(struct conns *cs, struct session *s, uint64_t ts)
{
	cs->tls.counts.clear++;
	s->clear = true;
	discard(cs, s);
	session__stop_looking(cs, s, ts);
	s->conn->policy.off = 1;
	conns__send_policy(cs, s->conn);
}

/* ---- events ---- */

static void by_socket(struct conns *cs, struct session *s, uint64_t sock)
{
	struct session_counts *n = &cs->tls.counts;
	struct conn *carrier = table__get(&cs->by_sock, sock);

	if (!carrier || !carrier->tls || carrier == s->conn->carrier)
		return;
	if (session__looks(s) && session__may_ride(s, carrier))
		session__link(cs, s, carrier, &n->by_socket);
	else if (carrier->pid == s->conn->open.h.pid)
		n->contradicted++;
}

static void give_up(struct conns *cs, struct session *s, uint64_t ts)
{
	if (s->ops < GIVE_UP_OPS || ts < s->looked + GIVE_UP_NS)
		return;
	cs->tls.counts.unknown++;
	log_debug("process %u: which connection a TLS session goes over can't be told; its spans "
		  "have no addresses",
		  s->conn->open.h.pid);
	release(cs, s);
	session__stop_looking(cs, s, ts);
	conns__send_policy(cs, s->conn);
}

static void on_op(struct conns *cs, struct session *s, const struct weft_session *ev)
{
	bool nests = !ev->sock && ev->begin && ev->begin <= ev->h.ts;
	struct tls_process *p = process_of(cs, s);

	if (!s->ops++)
		s->looked = ev->h.ts;
	s->begin = nests ? ev->begin : 0;
	s->ts = ev->h.ts;
	s->tid = ev->h.tid;
	s->op_dry = false;
	if (ev->sock)
		by_socket(cs, s, ev->sock);
	else if (nests)
		nesting__op(cs, s);
	if (!session__looks(s))
		return;
	if (p)
		tls_process__looks(cs, p, ev->h.ts);
	dry(cs, s);
	give_up(cs, s, ev->h.ts);
}

void session__event(struct conns *cs, struct conn *c, const struct weft_session *ev)
{
	struct session *s = c->session;

	if (!s || s->clear || ev->h.pid != c->open.h.pid)
		return;
	if (ev->what == WEFT_SESSION_OP)
		on_op(cs, s, ev);
	else if (session__looks(s))
		cipher__in_session(cs, s, ev);
}

/* ---- the end ---- */

/*
 * That the peer ended in an orderly way is not seen: a library that met a broken stream is closed
 * just so. Taken as orderly, since a message that says its length shows whether it is whole.
 */
void session__ended(struct conns *cs, struct conn *c, uint64_t ts)
{
	struct conn *ends[] = { c->rides, c };

	for (int i = 0; i < 2; i++) {
		struct weft_data d = { .h = { .kind = WEFT_EV_EOF, .ts = ts }, .dir = WEFT_IN };

		if (!ends[i] || !ends[i]->session)
			continue;
		release(cs, ends[i]->session);
		conns__push(cs, ends[i], &d);
	}
}

void session__closing(struct conns *cs, struct conn *c, uint64_t ts)
{
	struct conn *rider = c->rides;

	if (rider) {
		c->rides = NULL;
		if (cs->hooks.forget)
			cs->hooks.forget(cs->hooks.ctx, rider->open.sock, rider->id);
		conns__drop(cs, rider, ts);
	}
	if (c->session) {
		release(cs, c->session);
		session__stop_looking(cs, c->session, ts);
	}
	if (c->carrier && c->carrier->rides == c) {
		c->carrier->rides = NULL;
		carrier__left(cs, c->carrier);
	}
	if (c->tls)
		carrier__taken(cs, c);
}

void sessions__tick(struct conns *cs, uint64_t now)
{
	struct sessions *ss = &cs->tls;

	while (!list__empty(&ss->holding)) {
		struct session *s = LIST_OF(ss->holding.next, struct session, holding);

		if (now < s->since + HOLD_NS)
			break;
		release(cs, s);
	}
	carriers__tick(cs, now);
}

void sessions__saw(struct conns *cs, struct conn *c, const struct weft_data *d)
{
	struct sessions *ss = &cs->tls;
	struct tls_process *p = ss->processes.used ? table__get(&ss->processes, d->h.pid) : NULL;
	bool tls = c->tls || tls_record__begins(d->bytes, d->head);

	if (conn__third_party(c))
		return;
	if (p && !tls)
		p->events++;
	if (tls || (p && !list__empty(&p->looking)))
		nesting__saw(cs, c, d, tls);
	if (c->tls && !c->rides)
		carrier__saw(cs, c, d);
}

static void free_process(void *ctx, uint64_t key, void *value)
{
	(void)ctx;
	(void)key;
	free(value);
}

void sessions__free(struct sessions *ss)
{
	nesting__free(ss);
	cipher__free(ss);
	table__each(&ss->processes, free_process, NULL);
	table__free(&ss->processes);
}

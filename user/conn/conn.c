// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <sys/socket.h>

#include "../lib/log.h"
#include "internal.h"

/*
 * How long a segment that is ahead of its turn waits for those in front of it. A packet is sent
 * again after 200 ms and more (RFC 6298 with Linux' minimum); a live event is late only by the time
 * in which a thread was not scheduled.
 */
#define WAIT_LIVE_NS (100ull * 1000 * 1000)
#define WAIT_CAPTURE_NS (1500ull * 1000 * 1000)

const struct weft_policy conns__initial_policy = {
	.call_cap = { 4096, 4096 },
	.turn_cap = { 32768, 32768 },
	.tail = { WEFT_TAIL_MAX, WEFT_TAIL_MAX },
	.frames = WEFT_FRAMES_IF_BEGUN,
	.fields = 1 << WEFT_OUT | 1 << WEFT_IN, /* of those that were open before */
};

/* The Unix sockets that one process used last, and its TLS sessions. */
struct users {
	struct list conns;
};

struct conns *conns__new(size_t max, const struct conn_sink *sink, struct balance *books)
{
	struct conns *cs = calloc(1, sizeof(*cs));

	if (!cs)
		return NULL;
	cs->sink = *sink;
	cs->books = books;
	cs->max = max;
	list__init(&cs->by_use);
	list__init(&cs->holding);
	list__init(&cs->tls.threads_by_use);
	list__init(&cs->tls.prints_by_age);
	list__init(&cs->tls.holding);
	list__init(&cs->tls.wanting);
	return cs;
}

void conns__set_hooks(struct conns *cs, const struct conns_hooks *hooks)
{
	cs->hooks = *hooks;
}

const struct session_counts *conns__session_counts(const struct conns *cs)
{
	return &cs->tls.counts;
}

/* Must it be closed when its process ends? */
static bool ends_with_process(const struct conn *c)
{
	return c->session || c->open.local.family == AF_UNIX;
}

/* Out of the list of the process that used it last. */
static void leave_user(struct conns *cs, struct conn *c)
{
	struct users *u;

	if (list__empty(&c->by_pid))
		return;
	list__remove(&c->by_pid);
	u = table__get(&cs->by_pid, c->pid);
	if (u && list__empty(&u->conns)) {
		table__take(&cs->by_pid, c->pid);
		free(u);
	}
}

/* This process uses it now. Without memory for that, it is only closed later than it could be. */
static void set_user(struct conns *cs, struct conn *c, uint32_t pid)
{
	if (!ends_with_process(c) || (c->pid == pid && !list__empty(&c->by_pid))) {
		c->pid = pid;
		return;
	}
	leave_user(cs, c);
	c->pid = pid;
	struct users *u = table__get(&cs->by_pid, pid);

	if (!u) {
		u = malloc(sizeof(*u));
		if (!u)
			return;
		list__init(&u->conns);
		if (!table__put(&cs->by_pid, pid, u)) {
			free(u);
			return;
		}
	}
	list__append(&u->conns, &c->by_pid);
}

/* proto/ wants a program's words for header fields of it, or not any more. */
static void want_fields(struct conns *cs, struct conn *c, bool want)
{
	if (want != c->wants_fields && cs->hooks.want_fields)
		cs->hooks.want_fields(cs->hooks.ctx, c->open.h.pid, want);
	c->wants_fields = want;
}

void conns__drop(struct conns *cs, struct conn *c, uint64_t ts)
{
	session__closing(cs, c, ts);
	conn__flush(c, UINT64_MAX, cs->books, &cs->sink);
	list__remove(&c->holding);
	cs->sink.close(cs->sink.ctx, c, ts);
	want_fields(cs, c, false);
	/* Its last bytes may have been the first to show that it carries TLS. */
	if (c->tls)
		carrier__taken(cs, c);
	leave_user(cs, c);
	table__take(&cs->by_id, c->id);
	if (table__get(&cs->by_sock, c->open.sock) == c)
		table__take(&cs->by_sock, c->open.sock);
	list__remove(&c->by_use);
	free(c->session);
	free(c->tls);
	free(c->ends_text);
	free(c);
}

/* Of what was written, all up to here was told of. */
static void told(struct conn *c, uint32_t upto)
{
	c->told = upto;
	c->tells = true;
	c->never_told = false;
}

static void add(struct conns *cs, const struct weft_open *o)
{
	if (table__get(&cs->by_id, o->h.conn))
		return;
	if (cs->by_id.used >= cs->max)
		conns__drop(cs, LIST_OF(cs->by_use.next, struct conn, by_use), o->h.ts);
	struct conn *c = calloc(1, sizeof(*c));

	if (!c)
		return;
	c->id = o->h.conn;
	c->open = *o;
	c->policy = conns__initial_policy;
	if (!conn__preopen(c))
		c->policy.fields = 0;
	for (int dir = 0; dir < 2; dir++)
		if (o->h.flags & WEFT_F_POS)
			stream__begin(&c->streams[dir], o->pos[dir]);
	if (o->h.flags & WEFT_F_POS)
		told(c, o->pos[WEFT_OUT]);
	list__init(&c->held);
	list__init(&c->by_pid);
	list__init(&c->holding);
	if ((o->h.flags & WEFT_F_TLS) && !session__new(cs, c)) {
		free(c);
		return;
	}
	if (!table__put(&cs->by_id, c->id, c)) {
		session__closing(cs, c, o->h.ts);
		free(c->session);
		free(c);
		return;
	}
	if (!c->session)
		(void)table__put(&cs->by_sock, o->sock, c);
	list__append(&cs->by_use, &c->by_use);
	set_user(cs, c, o->h.pid);
	cs->sink.open(cs->sink.ctx, c);
}

void conns__push(struct conns *cs, struct conn *c, const struct weft_data *d)
{
	conn__push(c, d, cs->books, &cs->sink);
	if (c->n_held && list__empty(&c->holding))
		list__append(&cs->holding, &c->holding);
	else if (!c->n_held)
		list__remove(&c->holding);
}

/* The carrier of a session is used whenever the session is, though it shows no events. */
static void used(struct conns *cs, struct conn *c)
{
	for (; c; c = c->carrier) {
		list__remove(&c->by_use);
		list__append(&cs->by_use, &c->by_use);
	}
}

bool conns__untold(const struct conns *cs, uint64_t conn, uint32_t off)
{
	const struct conn *c = table__get(&cs->by_id, conn);

	return c && c->tells && !c->never_told && (int32_t)(off - c->told) > 0;
}

void conns__never_told(struct conns *cs, uint64_t conn)
{
	struct conn *c = table__get(&cs->by_id, conn);

	if (c)
		c->never_told = true;
}

static void on_data(struct conns *cs, struct conn *c, const struct weft_data *d)
{
	if (d->h.kind == WEFT_EV_DATA)
		set_user(cs, c, d->h.pid);
	if (d->h.kind == WEFT_EV_DATA && d->dir == WEFT_OUT)
		told(c, d->off + d->len);
	if (c->session && session__take(cs, c, d))
		return;
	conns__push(cs, c, d);
	if (d->h.kind == WEFT_EV_DATA)
		sessions__saw(cs, c, d);
}

static void closed(struct conns *cs, uint64_t id)
{
	cs->closed[cs->n_closed++ % CLOSED_KEPT] = id;
}

/*
 * One goroutine may be about to write what another closes: the DATA is made after the CLOSE. Else
 * the connection was never added, or dropped, for want of room.
 */
static enum drop_reason why_unknown(const struct conns *cs, uint64_t id)
{
	for (size_t i = 0; i < CLOSED_KEPT; i++)
		if (cs->closed[i] == id)
			return DROP_MID_STREAM;
	return DROP_NO_MEMORY;
}

void conns__event(struct conns *cs, const struct weft_event *ev)
{
	if (ev->kind == WEFT_EV_OPEN) {
		add(cs, (const struct weft_open *)ev);
		return;
	}
	if (ev->kind != WEFT_EV_SESSION && ev->kind != WEFT_EV_FIELDS &&
	    ev->kind != WEFT_EV_TABLE && (ev->kind < WEFT_EV_DATA || ev->kind > WEFT_EV_CLOSE))
		return;
	struct conn *c = table__get(&cs->by_id, ev->conn);

	if (!c) {
		if (ev->kind == WEFT_EV_DATA)
			balance__drop(cs->books, why_unknown(cs, ev->conn), 1);
		return;
	}
	used(cs, c);
	if (ev->kind == WEFT_EV_CLOSE) {
		session__ended(cs, c, ev->ts);
		closed(cs, c->id);
		if (c->rides)
			closed(cs, c->rides->id);
		conns__drop(cs, c, ev->ts);
	} else if (ev->kind == WEFT_EV_FIELDS || ev->kind == WEFT_EV_TABLE) {
		if (cs->sink.fields)
			cs->sink.fields(cs->sink.ctx, c, ev);
	} else if (ev->kind == WEFT_EV_SESSION) {
		session__event(cs, c, (const struct weft_session *)ev);
	} else {
		on_data(cs, c, (const struct weft_data *)ev);
	}
}

void conns__tick(struct conns *cs, uint64_t now)
{
	sessions__tick(cs, now);
	LIST_EACH (it, tmp, &cs->holding) {
		struct conn *c = LIST_OF(it, struct conn, holding);
		uint64_t wait = conn__third_party(c) ? WAIT_CAPTURE_NS : WAIT_LIVE_NS;

		if (now < wait)
			continue;
		conn__flush(c, now - wait, cs->books, &cs->sink);
		if (!c->n_held)
			list__remove(&c->holding);
	}
}

static void forget(struct conns *cs, const struct conn *c)
{
	if (cs->hooks.forget)
		cs->hooks.forget(cs->hooks.ctx, c->open.sock, c->id);
}

void conns__process_exit(struct conns *cs, uint32_t pid, uint64_t ts)
{
	struct users *u;

	/* The last one takes the list with it. */
	while ((u = table__get(&cs->by_pid, pid))) {
		struct conn *c = LIST_OF(u->conns.next, struct conn, by_pid);

		forget(cs, c);
		conns__drop(cs, c, ts);
	}
}

static struct conn *first_session(const struct conns *cs, uint32_t pid)
{
	struct users *u = table__get(&cs->by_pid, pid);

	if (!u)
		return NULL;
	LIST_EACH (it, tmp, &u->conns) {
		struct conn *c = LIST_OF(it, struct conn, by_pid);

		if (c->session)
			return c;
	}
	return NULL;
}

void conns__process_exec(struct conns *cs, uint32_t pid, uint64_t ts)
{
	struct conn *c;

	/* One may take another with it. */
	while ((c = first_session(cs, pid))) {
		forget(cs, c);
		conns__drop(cs, c, ts);
	}
}

void conns__send_policy(struct conns *cs, const struct conn *c)
{
	struct weft_policy p = c->policy;

	if (c->tls && c->tls->settled)
		p = carrier__policy(c);
	if (c->session) {
		p.linked = p.off || !session__looks(c->session);
		p.role = c->open.role;
		p.other = c->carrier ? c->carrier->open.sock : 0;
	} else if (c->rides) {
		p.other = c->rides->open.sock;
	}
	if (cs->hooks.policy)
		cs->hooks.policy(cs->hooks.ctx, c, &p);
}

void conns__policy(struct conns *cs, struct conn *c, const struct weft_policy *policy)
{
	c->policy = *policy;
	want_fields(cs, c, policy->fields && !policy->off);
	/* Of bytes that nobody reads it need not be known where they go. */
	if (policy->off && c->session && !c->tls)
		session__stop_looking(cs, c->session, c->open.h.ts);
	if (policy->off && c->tls)
		c->tls->settled = true;
	conns__send_policy(cs, c);
}

static void print_counts(const struct session_counts *n)
{
	if (n->seen)
		log_debug("TLS sessions: %llu seen; carrier known by a nested call %llu, by the "
			  "library's socket %llu, by ciphertext %llu; given up %llu, in clear "
			  "%llu; contradictions %llu",
			  (unsigned long long)n->seen, (unsigned long long)n->by_nesting,
			  (unsigned long long)n->by_socket, (unsigned long long)n->by_bytes,
			  (unsigned long long)n->unknown, (unsigned long long)n->clear,
			  (unsigned long long)n->contradicted);
}

void conns__free(struct conns *cs, uint64_t ts)
{
	if (!cs)
		return;
	while (!list__empty(&cs->by_use))
		conns__drop(cs, LIST_OF(cs->by_use.next, struct conn, by_use), ts);
	print_counts(&cs->tls.counts);
	sessions__free(&cs->tls);
	table__free(&cs->by_id);
	table__free(&cs->by_sock);
	table__free(&cs->by_pid);
	free(cs);
}

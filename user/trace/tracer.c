// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "../proto/tls.h"
#include "node.h"

struct tracer *tracer__new(const struct tracer_config *cfg)
{
	struct tracer *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->cfg = *cfg;
	layers__sort(&t->with);
	t->cfg.span.common = http_common__new();
	list__init(&t->nodes);
	list__init(&t->threads_by_use);
	list__init(&t->pools_by_use);
	list__init(&t->owners_by_use);
	list__init(&t->loops_by_use);
	list__init(&t->begotten_by_use);
	list__init(&t->starts_by_age);
	list__init(&t->units.threads_by_use);
	list__init(&t->units.conns_by_use);
	list__init(&t->beside.by_age);
	return t;
}

void tracer__set_clock(struct tracer *t, int64_t realtime_minus_boottime)
{
	t->clock = realtime_minus_boottime;
}

/* inet_ntop(3) does it by printf(3), which costs more than reading the whole request. */
static void ipv4_text(const uint8_t ip[4], char *out)
{
	for (int i = 0; i < 4; i++) {
		if (ip[i] >= 100)
			*out++ = (char)('0' + ip[i] / 100);
		if (ip[i] >= 10)
			*out++ = (char)('0' + ip[i] / 10 % 10);
		*out++ = (char)('0' + ip[i] % 10);
		*out++ = i < 3 ? '.' : '\0';
	}
}

static void end_text(const struct weft_open *o, const struct weft_addr *a, char *addr, size_t len,
		     int *port)
{
	*port = 0;
	addr[0] = '\0';
	if (a->family == AF_UNIX) {
		/*
		 * An abstract name begins with NUL and is written with '@', as ss(8) and systemd
		 * do.
		 */
		snprintf(addr, len, "%s%.*s", o->path_len && !o->path[0] ? "@" : "",
			 o->path_len && !o->path[0] ? o->path_len - 1 : o->path_len,
			 o->path + (o->path_len && !o->path[0]));
	} else if (a->family == AF_INET && len >= INET_ADDRSTRLEN) {
		ipv4_text(a->ip, addr);
		*port = a->port;
	} else if (inet_ntop(a->family, a->ip, addr, (socklen_t)len)) {
		*port = a->port;
	}
}

static void tls_of(const struct exchange *x, struct span_ends *e)
{
	const struct conn_tls *tls = conn__session_tls(x->conn);

	e->tls = x->conn->session;
	if (!tls)
		return;
	/* A client's word, which a server does not repeat as its own name. */
	if (!x->server && tls->server_name[0])
		e->tls_server_name = tls->server_name;
	e->tls_version = tls__version_name(tls->version);
	if (tls->next_protocol[0])
		e->tls_next_protocol = tls->next_protocol;
}

static void make_ends(const struct exchange *x, struct span_ends *e)
{
	const struct weft_open *o = &x->conn->open;
	const struct weft_addr *client = x->local_asks ? &o->local : &o->remote;
	const struct weft_addr *server = x->local_asks ? &o->remote : &o->local;

	*e = (struct span_ends){ .is_unix = o->local.family == AF_UNIX };
	end_text(o, server, e->server_addr, sizeof(e->server_addr), &e->server_port);
	if (!e->is_unix)
		end_text(o, client, e->client_addr, sizeof(e->client_addr), &e->client_port);
	tls_of(x, e);
}

/* The ends of a socket, which stay what they are: made for its second exchange, and kept. */
struct kept_ends {
	bool local_asks;
	struct span_ends e;
};

/* `own`: for those that are not kept. */
static const struct span_ends *ends_of(const struct exchange *x, struct span_ends *own)
{
	struct conn *c = x->conn;
	struct kept_ends *kept = c->ends_text;
	bool keep = x->seen == EXCHANGE_ON_WIRE && !c->session && !x->first;

	if (keep && kept && kept->local_asks == x->local_asks)
		return &kept->e;
	make_ends(x, own);
	if (keep && !kept)
		c->ends_text = kept = malloc(sizeof(*kept));
	if (keep && kept)
		*kept = (struct kept_ends){ x->local_asks, *own };
	return own;
}

static bool build(struct tracer *t, struct span *s, const struct exchange *x, struct facts *f,
		  struct arena *scratch)
{
	if (!x->proto->describe(x->state, x->reqs, x->resps, x->n, x->flags, scratch, f))
		return false;
	if (x->flags & EXCHANGE_STOPPED)
		f->failure = NULL;

	struct span_ends own;
	const struct span_ends *ends = ends_of(x, &own);

	s->kind = x->server ? SPAN_SERVER : SPAN_CLIENT;
	s->protocol = x->proto->name;
	switch (f->area) {
	case FACTS_HTTP:
		f->http.tls |= ends->tls;
		span__from_http(s, f, ends, &t->cfg.span);
		break;
	case FACTS_DB: span__from_db(s, f, ends, &t->cfg.span); break;
	case FACTS_RPC:
		f->rpc.elapsed_ns = x->resp_end > x->req_start ? x->resp_end - x->req_start : 0;
		span__from_rpc(s, f, ends, &t->cfg.span);
		break;
	case FACTS_NONE: return false;
	}
	span__set_tls(s, ends);
	span__set_baggage(s, f->context.baggage, &t->cfg.span, scratch);
	if (x->flags & EXCHANGE_STOPPED)
		span__set_str(s, "weft.incomplete", SLICE("weft ended first"));
	else if (x->flags & EXCHANGE_LOST_BYTES)
		span__set_str(s, "weft.incomplete", SLICE("bytes were lost"));
	s->resource = conn__third_party(x->conn)
			      ? processes__by_address(t->cfg.processes, ends->server_addr,
						      ends->server_port)
			      : processes__get(t->cfg.processes, x->pid);
	return true;
}

#define CONNECT_MAX_NS 1000000000ull

void node__start_with_connect(struct node *n, const struct exchange *x)
{
	uint64_t connect = x->conn->open.start_ts;

	/* Made before the request was there: not for it. */
	if (n->parent && connect < n->parent->start)
		return;
	if (!x->server && x->local_asks && x->first && connect && connect <= n->start &&
	    n->start - connect < CONNECT_MAX_NS)
		n->start = connect;
}

bool node__describe(const struct node *n, struct arena *scratch, struct facts *f)
{
	const struct exchange *x = n->x;

	return x && x->proto->describe(x->state, x->reqs, x->resps, x->n,
				       x->flags | EXCHANGE_NO_RESPONSE, scratch, f);
}

/* The request's context, for a node whose exchange is still under way. */
void node__read_context(struct node *n)
{
	if (n->remote || !n->x)
		return;
	struct facts f = { 0 };
	struct arena scratch;

	arena__init(&scratch, NODE_SCRATCH_MAX);
	if (node__describe(n, &scratch, &f))
		remote__take(n, &f.context);
	arena__reset(&scratch);
}

void tracer__connect(struct tracer *t, const struct weft_connect *c)
{
	for (size_t i = 0; layer_table[i]; i++)
		if (layer_table[i]->connecting)
			layer_table[i]->connecting(t, c);
}

static void on_begin(void *ctx, struct exchange *x, uint32_t req_pos)
{
	struct tracer *t = ctx;

	if (!x->node) {
		struct node *n = node__new(t, x);

		x->node = n;
		if (n)
			n->x = x;
		if (n && n->third_party)
			node__start_with_connect(n, x);
	}
	for (size_t i = 0; x->node && t->with.begin[i]; i++)
		t->with.begin[i]->begin(t, x->node, x, req_pos);
}

static void on_moved(void *ctx, struct exchange *x, enum proto_dir dir, uint32_t tid, uint64_t ts)
{
	struct tracer *t = ctx;

	for (size_t i = 0; x->node && t->with.moved[i]; i++)
		t->with.moved[i]->moved(t, x->node, dir, tid, ts);
}

static void on_strange_answer(void *ctx, uint32_t pid, uint32_t tid)
{
	for (size_t i = 0; layer_table[i]; i++)
		if (layer_table[i]->strange_answer)
			layer_table[i]->strange_answer(ctx, pid, tid);
}

static void on_end(void *ctx, struct exchange *x)
{
	struct tracer *t = ctx;
	struct node *n = x->node;
	struct facts f = { 0 };
	struct arena scratch;
	struct span *s = n ? span__new() : NULL;

	arena__init(&scratch, NODE_SCRATCH_MAX);
	bool made = s && !n->withdrawn && build(t, s, x, &f, &scratch);

	if (n) {
		n->end = x->resp_end > x->req_end ? x->resp_end : x->req_end;
		if (n->end < n->end_least)
			n->end = n->end_least;
		if (n->end < n->start)
			n->end = n->start;
		n->ended = true;
		n->x = NULL;
		for (size_t i = 0; t->with.ended[i]; i++)
			t->with.ended[i]->ended(t, n, made ? &f : NULL);
	}
	if (made) {
		n->span = s;
		n->events = x->events;
		balance__span(t->cfg.books, x->events);
	} else {
		balance__drop(t->cfg.books,
			      n && n->withdrawn ? DROP_TOLD_TWICE
			      : n && s          ? DROP_CONTROL
						: DROP_NO_MEMORY,
			      x->events);
		span__free(s);
		if (n)
			node__free(t, n);
	}
	arena__reset(&scratch);
	exchange__free(x);
}

struct exchange_sink tracer__exchange_sink(struct tracer *t)
{
	return (struct exchange_sink){
		.ctx = t,
		.begin = on_begin,
		.moved = on_moved,
		.strange_answer = on_strange_answer,
		.end = on_end,
		.number = revise__number,
		.stretch = revise__stretch,
		.withdraw = revise__withdraw,
	};
}

void tracer__awake(struct tracer *t, const struct weft_data *d)
{
	for (size_t i = 0; t->with.awake[i]; i++)
		t->with.awake[i]->awake(t, d);
}

void tracer__unit(struct tracer *t, const struct weft_unit *u)
{
	for (size_t i = 0; layer_table[i]; i++)
		if (layer_table[i]->unit)
			layer_table[i]->unit(t, u);
}

void tracer__thread(struct tracer *t, const struct weft_thread *e)
{
	for (size_t i = 0; layer_table[i]; i++)
		if (layer_table[i]->thread)
			layer_table[i]->thread(t, e);
}

void tracer__context(struct tracer *t, const struct weft_context *c)
{
	for (size_t i = 0; layer_table[i]; i++)
		if (layer_table[i]->context)
			layer_table[i]->context(t, c);
}

void tracer__process_exit(struct tracer *t, uint32_t pid)
{
	for (size_t i = 0; layer_table[i]; i++)
		if (layer_table[i]->process_exit)
			layer_table[i]->process_exit(t, pid);
}

void tracer__tick(struct tracer *t, uint64_t now)
{
	if (now > t->now)
		t->now = now;
	release__settled(t);
}

void tracer__flush(struct tracer *t)
{
	release__all(t);
}

void tracer__free(struct tracer *t)
{
	if (!t)
		return;
	LIST_EACH (it, tmp, &t->nodes)
		node__free(t, LIST_OF(it, struct node, all));
	for (size_t i = 0; layer_table[i]; i++)
		if (layer_table[i]->free)
			layer_table[i]->free(t);
	table__free(&t->by_id);
	http_common__free(t->cfg.span.common);
	free(t);
}

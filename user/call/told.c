// SPDX-License-Identifier: GPL-2.0-or-later
/* Exchanges made of calls: for trace/ they are as those of the engine. */
#include <stdlib.h>

#include "../proto/context.h"
#include "parts.h"

bool told__describe(struct message *const *reqs, struct arena *scratch, const char *system,
		    int default_port, struct facts *out)
{
	const struct told_message *m = reqs[0]->data;

	if (m->silent && !m->db.error)
		return false;
	out->area = FACTS_DB;
	out->db = m->db;
	out->db.system = system;
	out->db.default_port = default_port;
	if (m->own_text && !m->db.query_truncated)
		context__from_sql(&out->context, m->db.query, scratch);
	return true;
}

static void fill(struct message *m, const struct told *t)
{
	struct told_message *d = m->data;

	d->own_text = t->own_text;
	d->silent = t->silent;
	d->db = (struct facts_db){
		.query = message__keep(m, t->query),
		.query_lang = t->query.n ? FACTS_QUERY_SQL : FACTS_QUERY_NONE,
		.query_truncated = t->cut || m->truncated,
		.quotes = t->quotes,
		.operation = message__keep(m, t->operation),
		.ns = message__keep(m, t->ns),
		.status_code = message__keep(m, t->status),
		.error = t->error,
		.returned_rows = t->rows,
	};
}

struct exchange *told__new(const struct library *lib, const struct weft_call *ev,
			   enum exchange_seen seen, const struct told *t,
			   const struct carrier *over, struct conn *conn)
{
	struct exchange *x = exchange__new();

	if (!x)
		return NULL;
	x->proto = lib->proto;
	struct message *m = message__new(lib->proto);

	if (!m) {
		exchange__free(x);
		return NULL;
	}
	x->reqs[0] = m;
	x->n = 1;
	fill(m, t);
	*conn = (struct conn){ 0 };
	if (over)
		conn->open = over->open;
	else /* no address, but what tells one object from another in what is learnt of calls */
		memcpy(conn->open.remote.ip, &ev->object, sizeof(ev->object));
	conn->pid = ev->h.pid;
	conn->called = true; /* who connected it is no evidence for this call */
	x->conn = conn;
	x->seen = seen;
	x->local_asks = true;
	x->pid = ev->h.pid;
	x->req_tid = x->resp_tid = ev->h.tid;
	x->req_start = x->req_end = ev->begin;
	x->events = 1;
	return x;
}

void told__failed(struct exchange *x, struct slice status)
{
	struct told_message *d = x->reqs[0]->data;

	d->db.error = true;
	if (status.n)
		d->db.status_code = message__keep(x->reqs[0], status);
}

void told__not_run(struct exchange *x)
{
	struct told_message *d = x->reqs[0]->data;

	d->silent = true;
}

void told__rows(struct exchange *x, int64_t more)
{
	struct told_message *d = x->reqs[0]->data;

	d->db.returned_rows = (d->db.returned_rows < 0 ? 0 : d->db.returned_rows) + more;
}

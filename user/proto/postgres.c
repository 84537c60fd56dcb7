// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * PostgreSQL, frontend/backend protocol 3 (3.0 and 3.2).
 *
 * The server works through what it is sent in order, so what is outstanding is a queue of
 * operations: each simple query, each Execute, each function call is one, and so is what only
 * counts if it fails (a connection's start, a Parse or Bind without an Execute). Between them stand
 * the Syncs, each of which is answered by one ReadyForQuery. An operation is an exchange; it has a
 * number, request and response carry it as their key, and so a response can never be taken for
 * another's.
 *
 *  - A simple query ends with ReadyForQuery, however many statements it held.
 *  - An Execute ends with CommandComplete, EmptyQueryResponse, PortalSuspended or ErrorResponse.
 *    Where its Sync was already sent and nothing else stands before that, it ends with
 *    ReadyForQuery: an error at the commit (a deferred constraint) comes after CommandComplete and
 *    belongs to it.
 *  - After an error the server skips everything up to the Sync. What was skipped was never
 *    executed: no span.
 *  - Parse, Bind or Describe without Execute is an exchange that becomes a span only if it fails.
 *
 * Lost bytes. Of long messages only the head is captured; their lengths are known, so nothing is
 * lost by that. Where a header falls into a gap, the end of a call is looked at: the last messages
 * before a turn of the other side. What cannot be told for certain after that is completed as it
 * comes, without a status ("unknown"); order is certain again when the requester begins a turn
 * after ReadyForQuery with nothing else to wait for.
 *
 * Passwords ('p' messages), parameters of Bind and rows are never kept.
 */
#include <stdlib.h>

#include "context.h"
#include "postgres.h"

#define BUFFER_CAP (64 * 1024)
#define OPS_MAX 4096 /* outstanding operations and Syncs */

struct pg_op *pg_ops__at(struct pg_state *st, unsigned i)
{
	return i < st->n ? &st->ops[(st->first + i) & (st->cap - 1)] : NULL;
}

struct pg_op *pg_ops__push(struct pg_state *st, enum pg_op_kind kind)
{
	if (st->n == OPS_MAX)
		return NULL;
	if (st->n == st->cap) {
		unsigned cap = st->cap ? st->cap * 2 : 8;
		struct pg_op *ops = malloc(cap * sizeof(*ops));

		if (!ops)
			return NULL;
		for (unsigned i = 0; i < st->n; i++)
			ops[i] = *pg_ops__at(st, i);
		free(st->ops);
		st->ops = ops;
		st->cap = cap;
		st->first = 0;
	}
	st->n++;
	struct pg_op *op = pg_ops__at(st, st->n - 1);

	*op = (struct pg_op){
		.key = ++st->next_key, .kind = (uint8_t)kind, .turn = st->turn, .lost = st->suspect
	};
	return op;
}

void pg_ops__pop(struct pg_state *st)
{
	st->first = (st->first + 1) & (st->cap - 1);
	st->n--;
}

void pg_ops__remove(struct pg_state *st, unsigned i)
{
	for (; i + 1 < st->n; i++)
		*pg_ops__at(st, i) = *pg_ops__at(st, i + 1);
	st->n--;
}

bool pg_op__is_exchange(const struct pg_op *op)
{
	return op && op->kind >= PG_OP_STARTUP && op->kind <= PG_OP_PREPARE;
}

/* ReadyForQuery answers it. */
static bool is_answered_by_ready(const struct pg_op *op)
{
	return op->kind == PG_OP_STARTUP || op->kind == PG_OP_QUERY || op->kind == PG_OP_FUNCTION ||
	       op->kind == PG_OP_SYNC;
}

unsigned pg_ops__groups(struct pg_state *st)
{
	unsigned n = 0;

	for (unsigned i = 0; i < st->n; i++)
		n += is_answered_by_ready(pg_ops__at(st, i));
	return n;
}

bool pg_ops__is(struct pg_state *st, unsigned i, enum pg_op_kind kind)
{
	const struct pg_op *op = pg_ops__at(st, i);

	return op && op->kind == kind;
}

void pg_ops__settle(struct pg_state *st, uint32_t before_turn)
{
	for (unsigned i = 0; i < st->n; i++) {
		struct pg_op *op = pg_ops__at(st, i);

		if (op->turn < before_turn && op->fate == PG_FATE_OPEN)
			op->fate = PG_FATE_UNKNOWN;
	}
}

bool pg__string(const uint8_t *p, size_t n, size_t *at, struct slice *s)
{
	const uint8_t *nul = *at < n ? memchr(p + *at, 0, n - *at) : NULL;
	size_t end = nul ? (size_t)(nul - p) : n;

	*s = slice__from((const char *)p + *at, *at < end ? end - *at : 0);
	*at = nul ? end + 1 : end;
	return nul;
}

static ssize_t postgres__parse(void *state, enum proto_dir dir, const struct proto_in *in,
			       struct message *m, enum message_state *what)
{
	*what = MESSAGE_PARTIAL;
	if (((struct pg_state *)state)->encrypts)
		return PARSE_LEAVE;
	return dir == PROTO_REQ ? pg_request__parse(state, in, m, what)
				: pg_response__parse(state, in, m, what);
}

/* ---- lost bytes ---- */

/* A whole header at a turn's beginning. */
static bool begins_message(enum proto_dir dir, const struct proto_in *in)
{
	return in->fresh && in->len >= 5 && pg_wire__check_header(dir, in->data, 5) == 0;
}

static ssize_t resync_request(struct pg_state *st, const struct proto_in *in, struct message *m)
{
	ssize_t at;

	if (in->fresh) {
		if (!begins_message(PROTO_REQ, in))
			return -1;
		st->started = st->suspect = true;
		pg_request__begin_turn(st);
		return 0;
	}
	at = in->call_end ? pg_wire__find_end(PROTO_REQ, in->data, in->len) : -1;
	if (at < 0)
		return -1;
	st->started = true;
	if (in->data[at] == 'Q') {
		st->suspect = true;
	} else {
		st->hidden = st->gap = true;
		m->resumed = pg__of(m)->begun;
	}
	return at;
}

/* Completions in a run of whole messages; whether an error is among them. */
static unsigned count_completions(const uint8_t *p, size_t n, bool *error)
{
	unsigned k = 0;

	*error = false;
	while (n >= 5) {
		size_t total = (size_t)pg__be32(p + 1) + 1;

		k += p[0] == 'C' || p[0] == 'I' || p[0] == 's';
		*error |= p[0] == 'E';
		p += total;
		n -= total;
	}
	return k;
}

static void lose_all(struct pg_state *st)
{
	for (unsigned i = 0; i < st->n; i++)
		pg_ops__at(st, i)->lost = pg_ops__at(st, i)->cut = true;
	st->suspect = true;
}

/* The call ends with these messages: what answers what, if only one group is outstanding. */
static void align(struct pg_state *st, const uint8_t *p, size_t n)
{
	unsigned executes = 0, k;
	bool error;

	if (pg_ops__groups(st) > 1) {
		lose_all(st);
		return;
	}
	k = count_completions(p, n, &error);
	for (unsigned i = 0; i < st->n; i++) {
		executes += pg_ops__is(st, i, PG_OP_EXECUTE);
		pg_ops__at(st, i)->cut = true;
	}
	if (error && executes > 1) {
		for (unsigned i = 0; i < st->n; i++)
			pg_ops__at(st, i)->lost = true;
		return;
	}
	/* The last completions are those of the last operations. */
	for (unsigned i = 0; i < st->n && executes > (k ? k : 1); i++) {
		if (pg_ops__is(st, i, PG_OP_EXECUTE)) {
			pg_ops__at(st, i)->fate = PG_FATE_UNKNOWN;
			executes--;
		}
	}
}

/* Go on with the first operation that is open, as if its answer's beginning had been seen. */
static void resume(struct pg_state *st, struct message *m)
{
	struct pg_op *op = pg_ops__at(st, 0);

	if (!pg_op__is_exchange(op))
		return;
	op->cut = true;
	m->resumed = true;
	m->key = op->key;
	pg__of(m)->begun = true;
}

static ssize_t resync_response(struct pg_state *st, const struct proto_in *in, struct message *m)
{
	const struct pg_op *op;
	ssize_t at;

	if (in->fresh) {
		if (!begins_message(PROTO_RESP, in))
			return -1;
		if (pg_ops__groups(st) > 1 && st->pipelined)
			lose_all(st);
		else if (pg_ops__groups(st) > 1)
			pg_ops__settle(st, pg_ops__at(st, st->n - 1)->turn);
		op = pg_ops__at(st, 0);
		/* The same answer goes on: the server had asked for data in between. */
		if (op && !op->fate && pg__of(m)->begun && m->key == op->key)
			resume(st, m);
		return 0;
	}
	at = in->call_end ? pg_wire__find_end(PROTO_RESP, in->data, in->len) : -1;
	if (at < 0)
		return -1;
	align(st, in->data + at, in->len - (size_t)at);
	resume(st, m);
	return at;
}

static ssize_t postgres__resync(void *state, enum proto_dir dir, const struct proto_in *in,
				struct message *m)
{
	return dir == PROTO_REQ ? resync_request(state, in, m) : resync_response(state, in, m);
}

/* ---- what it was ---- */

static void describe_answer(const struct pg_message *r, struct facts_db *db)
{
	if (!r || r->unknown)
		return;
	if (!r->error) {
		db->returned_rows = r->rows_known ? r->rows : -1;
		return;
	}
	db->status_code = r->has_code ? slice__from(r->code, sizeof(r->code)) : db->status_code;
	db->error_message = r->error_message;
	/* Class 00 is success, 01 a warning: an ErrorResponse has neither, but a proxy's might. */
	db->error = !r->has_code || r->code[0] != '0' || r->code[1] > '1';
}

static bool postgres__describe(const void *state, struct message *const *reqs,
			       struct message *const *resps, size_t n, unsigned flags,
			       struct arena *scratch, struct facts *out)
{
	const struct pg_state *st = state;
	const struct pg_message *q = reqs[0]->data, *r = resps[0] ? resps[0]->data : NULL;
	bool error = r && r->error && !r->unknown;

	(void)n;
	if ((flags & EXCHANGE_NO_REQUEST) || (r && r->skipped))
		return false;
	if (q->kind == PG_OP_NONE ||
	    ((q->kind == PG_OP_STARTUP || q->kind == PG_OP_PREPARE) && !error))
		return false;
	*out = (struct facts){
		.area = FACTS_DB,
		.failure = flags & EXCHANGE_RESET ? "connection_reset" : NULL,
		.db = {
			.system = "postgresql",
			.default_port = 5432,
			.query = q->query,
			.query_lang = q->query.n ? FACTS_QUERY_SQL : FACTS_QUERY_NONE,
			.query_truncated = reqs[0]->truncated,
			.ns = arena__copy(scratch, slice__from(st->database, st->database_len)),
			.returned_rows = -1,
		},
	};
	if (q->own_text && !reqs[0]->truncated)
		context__from_sql(&out->context, q->query, scratch);
	describe_answer(r, &out->db);
	return true;
}

static void postgres__fini(void *state)
{
	struct pg_state *st = state;

	free(st->ops);
	pg_text__unref(st->text);
	pg_names__clear(&st->statements);
	pg_names__clear(&st->portals);
}

static void postgres__init(void *state, bool mid)
{
	struct pg_state *st = state;

	st->started = st->joined = mid;
}

const struct protocol protocol_postgres = {
	.name = "postgres",
	.aliases = "postgresql,pg",
	.title = "PostgreSQL",
	.port_hint = 5432,
	.keyed = true,
	.counted = true,
	.state_size = sizeof(struct pg_state),
	.message_size = sizeof(struct pg_message),
	.buffer_cap = BUFFER_CAP,
	.capture = {
		/*
		 * A query's text, and room for a pipeline of short ones; a long call's end is its
		 * Execute and Sync.
		 */
		[PROTO_REQ] = { .call_cap = 4096, .turn_cap = 16384, .tail = 64 },
		/*
		 * Errors and short answers whole; of a long answer the end: CommandComplete,
		 * ReadyForQuery.
		 */
		[PROTO_RESP] = { .call_cap = 2048, .turn_cap = 4096, .tail = 64 },
	},
	.detect = pg_wire__detect,
	.init = postgres__init,
	.parse = postgres__parse,
	.resync = postgres__resync,
	.describe = postgres__describe,
	.fini = postgres__fini,
};

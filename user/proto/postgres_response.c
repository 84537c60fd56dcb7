// SPDX-License-Identifier: GPL-2.0-or-later
#include "postgres.h"

#define FIELDS_WANTED 4096 /* bytes of an ErrorResponse that are waited for */
#define ERROR_MESSAGE_MAX 512

/* The first operation is over, with what m says of it. */
static void finish(struct pg_state *st, struct message *m, enum message_state *what)
{
	const struct pg_op *op = pg_ops__at(st, 0);

	m->key = op->key;
	pg__of(m)->unknown |= op->lost || op->fate == PG_FATE_UNKNOWN;
	pg__of(m)->skipped |= op->fate == PG_FATE_SKIPPED;
	*what = MESSAGE_DONE;
	pg_ops__pop(st);
}

/*
 * ErrorResponse: a letter and a string each, the last one empty. True if the connection ends with
 * it.
 */
static bool keep_error(struct message *m, const uint8_t *p, size_t n)
{
	struct pg_message *r = pg__of(m);
	bool fatal = false;
	size_t at = 5;

	r->error = true;
	while (at < n && p[at]) {
		uint8_t field = p[at++];
		struct slice s;
		bool whole = pg__string(p, n, &at, &s);

		if (field == 'C' && s.n == sizeof(r->code) && whole) {
			memcpy(r->code, s.p, s.n);
			r->has_code = true;
		} else if (field == 'M') {
			s.n = s.n < ERROR_MESSAGE_MAX ? s.n : ERROR_MESSAGE_MAX;
			r->error_message = message__keep(m, s);
		} else if (field == 'V' || field == 'S') {
			fatal |= slice__eq(s, SLICE("FATAL")) || slice__eq(s, SLICE("PANIC"));
		}
	}
	return fatal;
}

/* "SELECT 5": rows that were sent. CREATE TABLE AS says so too, and sends none. */
static void keep_tag(struct pg_message *r, const uint8_t *p, size_t n)
{
	static const struct slice select = SLICE("SELECT ");
	struct slice tag = slice__from((const char *)p + 5, n > 5 ? n - 5 : 0);
	int64_t rows = 0;
	bool seen = r->rows_seen || r->rows_lost;

	r->completions++;
	r->rows_seen = 0;
	if (!slice__starts(tag, select))
		return;
	for (size_t i = select.n;
	     i < tag.n && tag.p[i] >= '0' && tag.p[i] <= '9' && rows < INT64_MAX / 20; i++)
		rows = rows * 10 + (tag.p[i] - '0');
	if (rows && !seen)
		return;
	r->rows_known = true;
	r->rows += rows;
}

/* PortalSuspended gives no number. */
static void keep_suspended(struct pg_message *r)
{
	r->completions++;
	r->rows_known = !r->rows_lost;
	r->rows += r->rows_seen;
	r->rows_seen = 0;
}

static ssize_t on_ready(struct pg_state *st, size_t total, struct message *m,
			enum message_state *what)
{
	const struct pg_op *op;

	*what = MESSAGE_IGNORE;
	st->copy_in = false;
	while (pg_ops__is(st, 0, PG_OP_LOST) || pg_ops__is(st, 0, PG_OP_COPY_END))
		pg_ops__pop(st);
	op = pg_ops__at(st, 0);
	if (!op || !pg_ops__groups(st)) {
		st->failed = st->foreign = false;
		return (ssize_t)total; /* answers something that was not seen */
	}
	if (op->kind == PG_OP_EXECUTE || op->kind == PG_OP_PREPARE) {
		if (!pg_ops__is(st, 1, PG_OP_SYNC)) {
			pg_ops__at(st, 0)->fate = st->failed ? PG_FATE_SKIPPED : PG_FATE_UNKNOWN;
			finish(st, m, what);
			return 0;
		}
		if (st->failed)
			pg__of(m)->skipped = true;
		else if (op->kind == PG_OP_EXECUTE && !pg__of(m)->completions && !pg__of(m)->error)
			pg__of(m)->unknown = true;
		finish(st, m, what);
		pg_ops__pop(st);
	} else if (op->kind == PG_OP_SYNC) {
		pg_ops__pop(st);
	} else {
		finish(st, m, what);
	}
	st->failed = st->foreign = false;
	st->pipelined |= st->n && !st->suspect;
	return (ssize_t)total;
}

static enum message_state on_error(struct pg_state *st, const uint8_t *p, size_t n,
				   struct message *m)
{
	const struct pg_op *op = pg_ops__at(st, 0);
	enum message_state what = MESSAGE_PARTIAL;

	st->copy_in = false;
	bool fatal = keep_error(m, p, n);

	if (op->kind == PG_OP_EXECUTE || op->kind == PG_OP_PREPARE)
		st->failed = true;
	else if (op->kind != PG_OP_STARTUP && !fatal)
		return what; /* ReadyForQuery follows */
	finish(st, m, &what);
	return what;
}

/* CommandComplete, EmptyQueryResponse, PortalSuspended */
static enum message_state on_completion(struct pg_state *st, const uint8_t *p, size_t n,
					struct message *m)
{
	const struct pg_op *op = pg_ops__at(st, 0);
	enum message_state what = MESSAGE_PARTIAL;

	if (op->hidden && pg__of(m)->completions)
		return what; /* of one that was not seen */
	if (p[0] == 'C')
		keep_tag(pg__of(m), p, n);
	else if (p[0] == 's')
		keep_suspended(pg__of(m));
	else
		pg__of(m)->completions++;
	if (op->kind == PG_OP_EXECUTE && !op->hidden && !pg_ops__is(st, 1, PG_OP_SYNC))
		finish(st, m, &what);
	return what;
}

/* The server takes data. In the extended protocol it reads past Syncs until the data's end. */
static void on_copy_in(struct pg_state *st)
{
	unsigned i = 1;

	while (i < st->n && pg_ops__at(st, i)->kind == PG_OP_SYNC)
		pg_ops__remove(st, i);
	if (pg_ops__is(st, i, PG_OP_COPY_END))
		pg_ops__remove(st, i);
	else
		st->copy_in = true;
}

/* One answer to Parse, Bind, Close or Describe; ends what was flushed without an Execute. */
static enum message_state on_ack(struct pg_state *st, struct message *m)
{
	const struct pg_op *op = pg_ops__at(st, 0);
	enum message_state what = MESSAGE_PARTIAL;

	pg__of(m)->acked = true;
	pg__of(m)->acks++;
	if (op->kind == PG_OP_PREPARE && pg__of(m)->acks >= op->acks &&
	    !pg_ops__is(st, 1, PG_OP_SYNC))
		finish(st, m, &what);
	return what;
}

/* An answer that the first operation can't have: it belongs to something sent before weft came. */
static bool is_foreign(const struct pg_op *op, uint8_t type, const struct pg_message *r)
{
	switch (op->kind) {
	case PG_OP_QUERY:
	case PG_OP_FUNCTION: return strchr("123ts", type);
	case PG_OP_EXECUTE:
	case PG_OP_PREPARE:
		return op->bound && !op->hidden && !op->cut && !r->acked &&
		       strchr("TDCnIsGHV", type);
	case PG_OP_STARTUP: return strchr("123tsTDCnIGHV", type);
	default: return false;
	}
}

static ssize_t dispatch_response(struct pg_state *st, const struct proto_in *in, size_t total,
				 struct message *m, enum message_state *what)
{
	size_t n = in->len < total ? in->len : total;
	uint8_t type = in->data[0];

	switch (type) {
	case 'C':
	case 'I':
	case 's': *what = on_completion(st, in->data, n, m); break;
	case 'E': *what = on_error(st, in->data, n, m); break;
	case '1':
	case '2':
	case '3':
	case 'n': *what = on_ack(st, m); break;
	case 'T':
		/* After Describe; in a simple query it announces rows. */
		*what = pg_ops__at(st, 0)->kind == PG_OP_QUERY ? MESSAGE_PARTIAL : on_ack(st, m);
		break;
	case 'D': pg__of(m)->rows_seen++; break;
	case 'G': on_copy_in(st); break;
	default: break;
	}
	return (ssize_t)total;
}

/* The one byte that answers SSLRequest or GSSENCRequest. */
static ssize_t answer_ssl(struct pg_state *st, uint8_t byte, enum message_state *what)
{
	st->ssl_asked--;
	*what = MESSAGE_IGNORE;
	st->encrypts = byte != 'N'; /* S, G */
	return 1;
}

static size_t response_wants(uint8_t type)
{
	return type == 'E' ? FIELDS_WANTED : type == 'C' || type == 'Z' ? SIZE_MAX : 5;
}

ssize_t pg_response__parse(struct pg_state *st, const struct proto_in *in, struct message *m,
			   enum message_state *what)
{
	uint8_t type = in->data[0];
	size_t total;

	while (pg_ops__is(st, 0, PG_OP_COPY_END) || (pg_ops__at(st, 0) && pg_ops__at(st, 0)->fate &&
						     !pg_op__is_exchange(pg_ops__at(st, 0))))
		pg_ops__pop(st);
	if (pg_ops__at(st, 0) && pg_ops__at(st, 0)->fate) {
		finish(st, m, what);
		return 0;
	}
	if (st->ssl_asked && type != 'E')
		return answer_ssl(st, type, what);
	st->ssl_asked = 0;
	if (pg_wire__check_header(PROTO_RESP, in->data, in->len < 5 ? in->len : 5))
		return PARSE_BAD;
	if (in->len < 5)
		return 0;
	total = (size_t)pg__be32(in->data + 1) + 1;
	if (!pg__enough(in, total, response_wants(type)))
		return 0;
	if (type == 'W')
		return PARSE_LEAVE; /* CopyBoth: replication */
	if (type == 'A' || type == 'S' || type == 'N') {
		*what = pg__of(m)->begun ? MESSAGE_PARTIAL : MESSAGE_IGNORE;
		return (ssize_t)total;
	}
	st->idle = type == 'Z';
	struct pg_op *op = pg_ops__at(st, 0);

	if (op && !pg__of(m)->begun && !st->foreign)
		st->foreign = is_foreign(op, type, pg__of(m));
	if (!op || st->foreign) {
		st->foreign &= type != 'Z';
		*what = MESSAGE_IGNORE;
		return (ssize_t)total;
	}
	if (type == 'Z')
		return on_ready(st, total, m, what);
	if (!pg_op__is_exchange(op)) {
		st->failed |= type == 'E'; /* of requests that were lost */
		*what = MESSAGE_IGNORE;
		return (ssize_t)total;
	}
	pg__of(m)->begun = true;
	pg__of(m)->rows_lost |= op->cut;
	m->key = op->key;
	return dispatch_response(st, in, total, m, what);
}

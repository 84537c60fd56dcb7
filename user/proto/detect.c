// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which protocol a connection speaks, and which end asks. Decided by bytes at the beginning of a
 * turn; a port only breaks ties.
 */
#include <stdlib.h>

#include "flow.h"
#include "tls.h"

/* turns that are nothing we know, until a connection seen from its start is let go */
#define MISSES_NEW 6
#define MISSES_PREOPEN 24 /* and one that was joined in the middle of something */

static bool reqs(enum detect_result r)
{
	return r == DETECT_REQ || r == DETECT_MAYBE_REQ;
}

static enum weft_dir requester(enum detect_result r, enum weft_dir dir)
{
	return reqs(r) ? dir : !dir;
}

/* The port that the responder would have if this answer is right. */
static uint16_t server_port(const struct flow *f, enum weft_dir req_dir)
{
	return req_dir == WEFT_OUT ? f->conn->open.remote.port : f->conn->open.local.port;
}

/*
 * What the responder said before the first request that we hold answers one that was not seen: it
 * must not answer ours. (A greeting answers nothing, and is the parser's to judge.)
 */
static void drop_stale_answers(struct flow *f)
{
	const struct half *req = &f->half[f->req_dir];
	struct half *resp = &f->half[!f->req_dir];

	if (f->proto->server_first || !req->n_marks)
		return;
	while (resp->n_marks && resp->marks[0].call < req->marks[0].call) {
		f->whole = false;
		balance__drop(f->engine->books, DROP_MID_STREAM,
			      half__consume(resp, (size_t)(resp->marks[0].end - resp->pos)));
	}
}

/*
 * What is held is read in the order in which it was said: how large the requester's frames may be
 * stands in the responder's greeting.
 */
static enum weft_dir spoke_first(const struct flow *f)
{
	const struct half *req = &f->half[f->req_dir];
	const struct half *resp = &f->half[!f->req_dir];
	bool greeted = f->proto->server_first && req->n_marks && resp->n_marks &&
		       resp->marks[0].call < req->marks[0].call;

	return greeted ? !f->req_dir : f->req_dir;
}

static void decide(struct flow *f, const struct protocol *proto, enum weft_dir req_dir, size_t row)
{
	struct engine *e = f->engine;

	if (!(e->wanted >> row & 1)) {
		flow__off(f, DROP_FILTERED);
		return;
	}
	if (proto->state_size) {
		f->state = calloc(1, proto->state_size);
		if (!f->state) {
			flow__off(f, DROP_NO_MEMORY);
			return;
		}
	}
	f->proto = proto;
	f->req_dir = req_dir;
	f->phase = FLOW_ON;
	if (proto->init)
		proto->init(f->state, conn__preopen(f->conn) || f->misses);

	struct weft_policy policy = { .frames = proto->frames ? WEFT_FRAMES : WEFT_FRAMES_NOT };

	for (int dir = 0; dir < 2; dir++) {
		enum proto_dir role = flow__role(f, dir);

		policy.call_cap[dir] = proto->capture[role].call_cap;
		policy.turn_cap[dir] = proto->capture[role].turn_cap;
		policy.tail[dir] = proto->capture[role].tail;
		if (proto->wants_fields && proto->wants_fields(f->state, role))
			policy.fields |= (uint8_t)(1u << dir);
	}
	flow__set_policy(f, &policy);
	flow__early_fields(f);
	drop_stale_answers(f);
	enum weft_dir first = spoke_first(f);

	half__run(f, first, false);
	if (f->phase == FLOW_ON)
		half__run(f, !first, false);
}

/* A weak answer counts when the port agrees, or when both directions gave the same one. */
static bool second_opinion(struct flow *f, const struct protocol *proto, enum weft_dir dir,
			   enum detect_result r)
{
	enum weft_dir req_dir = requester(r, dir);

	if (proto->port_hint && server_port(f, req_dir) == proto->port_hint)
		return true;
	if (f->maybe != proto || f->maybe_req_dir != req_dir) {
		f->maybe = proto;
		f->maybe_req_dir = req_dir;
		f->maybe_dirs = 0;
	}
	f->maybe_dirs |= 1u << dir;
	return f->maybe_dirs == 3;
}

static void miss(struct flow *f, struct half *h)
{
	h->wait_fresh = true;
	f->whole = false;
	balance__drop(f->engine->books, f->seen_request ? DROP_BROKEN : DROP_UNKNOWN_PROTOCOL,
		      half__consume(h, h->len));
	if (++f->misses >= (conn__preopen(f->conn) ? MISSES_PREOPEN : MISSES_NEW))
		flow__off(f, DROP_UNKNOWN_PROTOCOL);
}

/* Before all others are asked: ciphertext may look like anything. True: no other need be. */
static bool detect_tls(struct flow *f, struct half *h)
{
	switch (tls__detect(h->buf + h->off, h->len)) {
	case DETECT_NO:
		if (f->left)
			flow__off(f, DROP_CONTROL);
		return f->left;
	case DETECT_MORE: return true;
	default: flow__tls(f); return true;
	}
}

void flow__detect(struct flow *f, enum weft_dir dir)
{
	struct half *h = &f->half[dir];
	const uint8_t *data = h->buf + h->off;
	bool more = false;
	const struct protocol *weak = NULL;
	enum detect_result weak_r = DETECT_NO;
	size_t weak_row = 0;

	if (detect_tls(f, h))
		return;
	for (size_t i = 0; protocol_table[i]; i++) {
		enum detect_result r = protocol_table[i]->detect(data, h->len);

		if (r == DETECT_REQ || r == DETECT_RESP) {
			decide(f, protocol_table[i], requester(r, dir), i);
			return;
		}
		if (r == DETECT_MORE)
			more = true;
		if ((r == DETECT_MAYBE_REQ || r == DETECT_MAYBE_RESP) && !weak) {
			weak = protocol_table[i];
			weak_r = r;
			weak_row = i;
		}
	}
	if (weak && second_opinion(f, weak, dir, weak_r))
		decide(f, weak, requester(weak_r, dir), weak_row);
	else if (!weak && !more)
		miss(f, h);
}

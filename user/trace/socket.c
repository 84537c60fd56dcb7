// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Both ends of a connection traced: the call that wrote the bytes is the parent of the request that
 * read them.
 *
 * The two ends are two sockets with the same pair of addresses, and a byte has the same position at
 * both: for TCP its sequence number. So a request's key is (client address, server address,
 * position of its first byte), equal at both ends and at no other place; it holds with keep-alive,
 * pipelining and connections that were open before. Either end may be seen first: the writer's
 * system call can return after the reader's.
 *
 * A TLS session has its carrier's addresses and positions of its own, which count the plaintext.
 * The two ends count alike if both were seen from their beginning.
 *
 * Where addresses are translated on the way (NAT: containers, services), the two ends have different
 * ones. But the bytes keep their positions, and both directions begin at a random one: two sockets
 * whose client writes where the server reads, and the other way round, at the same 64 bits, are the
 * ends of one connection. That is looked at when a connection is first used; of one that was open
 * before weft came, at its first few requests, when the answers before have been read.
 */
#include <stdlib.h>
#include <sys/socket.h>

#include "layers.h"

static uint64_t mix_addr(uint64_t h, const struct weft_addr *a)
{
	uint64_t lo, hi;

	memcpy(&lo, a->ip, 8);
	memcpy(&hi, a->ip + 8, 8);
	if (a->family == AF_INET) {
		lo &= 0xffffffff;
		hi = 0;
	}
	h = table__mix(h, (uint64_t)a->family << 32 | a->port);
	return table__mix(table__mix(h, lo), hi);
}

/* Loopback addresses mean something else in every network namespace. */
static bool loopback(const struct weft_addr *a)
{
	static const uint8_t one[16] = { [15] = 1 };

	return a->family == AF_INET ? a->ip[0] == 127 : memcmp(a->ip, one, 16) == 0;
}

#define STARTS_MAX 16384
#define START_NS (60ull * 1000 * 1000 * 1000) /* so long is the other end waited for */
#define TRIES_MAX 8

/* Where one end of a connection was in both directions; the other end may come. */
struct start {
	struct list by_age;
	uint64_t key;
	uint32_t asked, answered; /* positions in what the client and the server write */
	bool server;
	uint64_t ends; /* as struct conn's */
	uint64_t since;
};

static void forget(struct tracer *t, struct start *s)
{
	table__take(&t->starts, s->key);
	list__remove(&s->by_age);
	free(s);
}

static void remember_start(struct tracer *t, const struct start *what)
{
	struct start *s = malloc(sizeof(*s));

	if (t->starts.used >= STARTS_MAX)
		forget(t, LIST_OF(t->starts_by_age.next, struct start, by_age));
	if (!s || !table__put(&t->starts, what->key, s)) {
		free(s);
		return;
	}
	*s = *what;
	list__init(&s->by_age);
	list__append(&t->starts_by_age, &s->by_age);
}

/* The other end has been there: `wire` is called as that is. */
static bool meet(struct tracer *t, struct conn *wire, uint32_t asked, uint32_t answered,
		 bool server)
{
	struct start *s, own = { .key = table__mix(table__mix(7, asked), answered),
				 .asked = asked,
				 .answered = answered,
				 .server = server,
				 .ends = wire->ends,
				 .since = t->now };

	/* positions that are no sequence numbers begin at 0 */
	if (!asked || !answered)
		return false;
	s = table__get(&t->starts, own.key);
	bool met = s && s->server != server && s->asked == asked && s->answered == answered;

	if (met)
		wire->ends = s->ends;
	if (s)
		forget(t, s);
	if (!met)
		remember_start(t, &own);
	return met;
}

/* `c`'s request begins at req_pos. Is the other end known by other addresses? */
static void find_other_end(struct tracer *t, struct conn *c, struct conn *wire, uint32_t req_pos,
			   bool server)
{
	enum weft_dir in = server ? WEFT_IN : WEFT_OUT, out = server ? WEFT_OUT : WEFT_IN;
	const uint32_t *first = wire->open.pos;
	bool met;

	if (!wire->ends_tries)
		met = meet(t, wire, first[in], first[out], server);
	else
		met = c == wire && meet(t, wire, req_pos, (uint32_t)c->streams[out].next, server);
	wire->ends_tries = met || !conn__preopen(wire) ? TRIES_MAX : wire->ends_tries + 1;
}

/* The two ends by their addresses; 0: not known. */
static uint64_t ends_of(struct tracer *t, struct conn *c, uint32_t req_pos, bool server)
{
	struct conn *wire = c->carrier ? c->carrier : c;
	const struct weft_open *o = &wire->open;
	const struct weft_addr *client = server ? &o->remote : &o->local;
	const struct weft_addr *responder = server ? &o->local : &o->remote;

	if (!client->family || !responder->family)
		return 0;
	if (!wire->ends) {
		wire->ends = mix_addr(mix_addr(2, client), responder);
		if (loopback(client))
			wire->ends = table__mix(wire->ends, o->netns);
		wire->ends |= 1;
	}
	if (wire->ends_tries < TRIES_MAX)
		find_other_end(t, c, wire, req_pos, server);
	return wire->ends;
}

static uint64_t pair_of(struct tracer *t, struct conn *c, uint32_t req_pos, bool server)
{
	const struct weft_open *o = &c->open;

	if (conn__third_party(c) || (c->session && conn__preopen(c)))
		return 0;
	if (o->local.family == AF_UNIX) {
		if (!o->peer_sock || o->unaligned)
			return 0;
		uint64_t client = server ? o->peer_sock : o->sock;

		return table__mix(table__mix(1, client), server ? o->sock : o->peer_sock) | 1;
	}
	uint64_t ends = ends_of(t, c, req_pos, server);

	return ends && c->session ? table__mix(3, ends) | 1 : ends;
}

/*
 * What is in the table must be taken out again when the node goes: no room for the key, no entry.
 */
static bool remember(struct node *n, uint64_t key)
{
	if (!n->n_keys) {
		n->keys = &n->first_key;
	} else if (!(n->n_keys & (n->n_keys - 1))) { /* the array's size is the next power of two */
		bool first = n->keys == &n->first_key;
		uint64_t *keys = realloc(first ? NULL : n->keys, n->n_keys * 2 * sizeof(*keys));

		if (!keys)
			return false;
		if (first)
			*keys = n->first_key;
		n->keys = keys;
	}
	n->keys[n->n_keys++] = key;
	return true;
}

/*
 * A Unix socket is known by its address in the kernel, which the next one gets that is made, and
 * its bytes are counted from 0: what had ended before this connection was seen was on another one.
 * Those of a TLS session as well, and an address may be used again.
 */
static bool other_connection(const struct node *other, const struct conn *c)
{
	return (c->open.local.family == AF_UNIX || c->session) && other->ended &&
	       other->end < c->open.h.ts;
}

static void begin(struct tracer *t, struct node *n, struct exchange *x, uint32_t req_pos)
{
	if (!n->pair && x->seen == EXCHANGE_ON_WIRE)
		n->pair = pair_of(t, x->conn, req_pos, n->server);
	if (!n->pair)
		return;
	uint64_t key = table__mix(n->pair, req_pos);
	struct node *other = table__get(&t->pairs[!n->server], key);

	if (remember(n, key))
		(void)table__put(&t->pairs[n->server], key, n);
	if (other && other->pair == n->pair && !other_connection(other, x->conn)) {
		if (n->server)
			node__propose(n, other, EVIDENCE_SOCKET);
		else
			node__propose(other, n, EVIDENCE_SOCKET);
	}
}

/* Most have no other end here, or it is known by its addresses. */
static void forget_old_starts(struct tracer *t)
{
	while (!list__empty(&t->starts_by_age)) {
		struct start *s = LIST_OF(t->starts_by_age.next, struct start, by_age);

		if (!s->since) /* before time was first told */
			s->since = t->now;
		if (t->now < s->since + START_NS)
			return;
		forget(t, s);
	}
}

static void released(struct tracer *t, struct node *n)
{
	forget_old_starts(t);
	for (size_t i = 0; i < n->n_keys; i++)
		if (table__get(&t->pairs[n->server], n->keys[i]) == n)
			table__take(&t->pairs[n->server], n->keys[i]);
}

static void free_all(struct tracer *t)
{
	table__free(&t->pairs[0]);
	table__free(&t->pairs[1]);
	LIST_EACH (it, tmp, &t->starts_by_age)
		forget(t, LIST_OF(it, struct start, by_age));
	table__free(&t->starts);
}

const struct layer layer_socket = {
	.name = "socket", .begin = begin, .released = released, .free = free_all
};

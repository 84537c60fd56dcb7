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

static uint64_t pair_of(const struct conn *c, bool server)
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
	const struct weft_addr *client = server ? &o->remote : &o->local;
	const struct weft_addr *responder = server ? &o->local : &o->remote;

	if (!client->family || !responder->family)
		return 0;
	uint64_t h = mix_addr(mix_addr(c->session ? 3 : 2, client), responder);

	return (loopback(client) ? table__mix(h, o->netns) : h) | 1;
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
		n->pair = pair_of(x->conn, n->server);
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

static void released(struct tracer *t, struct node *n)
{
	for (size_t i = 0; i < n->n_keys; i++)
		if (table__get(&t->pairs[n->server], n->keys[i]) == n)
			table__take(&t->pairs[n->server], n->keys[i]);
}

static void free_all(struct tracer *t)
{
	table__free(&t->pairs[0]);
	table__free(&t->pairs[1]);
}

const struct layer layer_socket = {
	.name = "socket", .begin = begin, .released = released, .free = free_all
};

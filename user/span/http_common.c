// SPDX-License-Identifier: GPL-2.0-or-later
#include "http_common.h"

#include <stdlib.h>

#include "../lib/copy.h"
#include "../lib/table.h"

#define KNOWN 32      /* a power of two */
#define WORDS_MAX 256 /* of what the request says; others are not kept */
#define TEXT_MAX 256  /* of what the attributes say, as one text */
#define ATTRS_MAX 12
#define OWN_MAX 6      /* attributes whose texts are the span's own */
#define ADDRESS_MAX 48 /* of an IP address as text, with what follows it */

/* Texts that make up less than that are in the span itself, behind what the arena keeps there. */
_Static_assert(TEXT_MAX <= sizeof(((struct span *)NULL)->first_text) - 32, "a span has less room");

/* A span, and what it was made of. */
struct known {
	uint16_t method, host, version, user_agent; /* lengths */
	uint16_t server_port;
	uint8_t n_attrs, n_own, port, peer_port; /* the last two: places of the client's port */
	uint16_t text_n;
	char words[WORDS_MAX]; /* method, host, version, user agent */
	char client[ADDRESS_MAX], server[ADDRESS_MAX];
	uint64_t key_bits;
	struct slice name; /* static */
	struct attr attrs[ATTRS_MAX];
	struct {
		uint8_t attr;
		uint16_t at; /* in `text` */
	} own[OWN_MAX];
	char text[TEXT_MAX];
};

struct http_common {
	struct known known[KNOWN];
};

struct http_common *http_common__new(void)
{
	return calloc(1, sizeof(struct http_common));
}

void http_common__free(struct http_common *c)
{
	free(c);
}

/*
 * Does nothing else matter than what struct known has? No proxy speaks for the client, the target is
 * a path, both ends have addresses.
 */
static bool is_plain(const struct span *s, const struct facts_http *h, const struct span_ends *ends)
{
	return s->kind == SPAN_SERVER && !h->tls && !ends->is_unix && ends->client_port > 0 &&
	       !h->forwarded.n && !h->x_forwarded_for.n && !h->x_forwarded_proto.n &&
	       !h->x_forwarded_host.n && h->target.n && h->target.p[0] == '/' &&
	       !slice__eq(h->method, SLICE("CONNECT")) &&
	       h->method.n + h->host.n + h->version.n + h->user_agent.n <= WORDS_MAX;
}

static size_t place_of(const struct facts_http *h, const struct span_ends *ends)
{
	uint64_t client[2], host = 0;

	memcpy(client, ends->client_addr, 16);
	copy__short(&host, h->host.p, h->host.n < 8 ? h->host.n : 8);
	return table__mix(table__mix(client[0] ^ host, client[1]),
			  h->method.n << 32 ^ h->host.n << 16 ^ h->user_agent.n) &
	       (KNOWN - 1);
}

static const char *compare(const char *words, struct slice s)
{
	return copy__same(words, s.p, s.n) ? words + s.n : NULL;
}

static bool is_of(const struct known *k, const struct facts_http *h, const struct span_ends *ends)
{
	const char *words = k->words;

	if (!k->n_attrs || k->method != h->method.n || k->host != h->host.n ||
	    k->version != h->version.n || k->user_agent != h->user_agent.n ||
	    k->server_port != ends->server_port)
		return false;
	words = compare(words, h->method);
	words = words ? compare(words, h->host) : NULL;
	words = words ? compare(words, h->version) : NULL;
	return words && compare(words, h->user_agent) &&
	       !memcmp(k->client, ends->client_addr, ADDRESS_MAX) &&
	       !memcmp(k->server, ends->server_addr, ADDRESS_MAX);
}

bool http_common__give(const struct http_common *c, struct span *s, const struct facts_http *h,
		       const struct span_ends *ends)
{
	if (!c || s->n_attrs || !is_plain(s, h, ends))
		return false;
	const struct known *k = &c->known[place_of(h, ends)];

	if (!is_of(k, h, ends))
		return false;
	struct slice text = arena__copy(&s->arena, slice__from(k->text, k->text_n));

	if (text.n != k->text_n)
		return false;
	memcpy(s->attrs, k->attrs, k->n_attrs * sizeof(*k->attrs));
	for (unsigned i = 0; i < k->n_own; i++)
		s->attrs[k->own[i].attr].text = text.p + k->own[i].at;
	s->attrs[k->port].i = s->attrs[k->peer_port].i = ends->client_port;
	s->n_attrs = k->n_attrs;
	s->key_bits = k->key_bits;
	s->name = k->name;
	return true;
}

/* The texts that are the span's own, moved to k->text. False: there is no room. */
static bool take_texts(struct known *k, const struct span *s)
{
	const char *begin = s->first_text, *end = begin + sizeof(s->first_text);

	for (unsigned i = 0; i < s->n_attrs; i++) {
		const struct attr *a = &s->attrs[i];

		if (a->type != ATTR_STR || a->text < begin || a->text >= end)
			continue;
		if (k->n_own == OWN_MAX || k->text_n + a->text_n > TEXT_MAX)
			return false;
		memcpy(k->text + k->text_n, a->text, a->text_n);
		k->own[k->n_own].attr = (uint8_t)i;
		k->own[k->n_own++].at = k->text_n;
		k->text_n = (uint16_t)(k->text_n + a->text_n);
	}
	return true;
}

static bool find(const struct span *s, const char *key, uint8_t *place)
{
	const struct attr *a = span__attr(s, key);

	if (!a || a->type != ATTR_INT)
		return false;
	*place = (uint8_t)(a - s->attrs);
	return true;
}

static char *keep(char *words, struct slice s)
{
	copy__short(words, s.p, s.n);
	return words + s.n;
}

void http_common__take(struct http_common *c, const struct span *s, const struct facts_http *h,
		       const struct span_ends *ends)
{
	/* As long as all texts are in the span itself, those that are elsewhere are static. */
	if (!c || !is_plain(s, h, ends) || s->n_attrs > ATTRS_MAX || s->arena.used > TEXT_MAX)
		return;
	struct known *k = &c->known[place_of(h, ends)];

	*k = (struct known){ .method = (uint16_t)h->method.n,
			     .host = (uint16_t)h->host.n,
			     .version = (uint16_t)h->version.n,
			     .user_agent = (uint16_t)h->user_agent.n,
			     .server_port = (uint16_t)ends->server_port,
			     .key_bits = s->key_bits,
			     .name = s->name };
	keep(keep(keep(keep(k->words, h->method), h->host), h->version), h->user_agent);
	memcpy(k->client, ends->client_addr, ADDRESS_MAX);
	memcpy(k->server, ends->server_addr, ADDRESS_MAX);
	if (!find(s, "client.port", &k->port) || !find(s, "network.peer.port", &k->peer_port) ||
	    !take_texts(k, s))
		return;
	memcpy(k->attrs, s->attrs, s->n_attrs * sizeof(*s->attrs));
	/* From now on it counts. */
	k->n_attrs = (uint8_t)s->n_attrs;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ClientHello and ServerHello (RFC 8446, 4.1; the same shape since TLS 1.0), as far as they were
 * captured: all lengths in them are somebody else's words.
 */
#include "tls.h"

#include <string.h>

#include "../conn/tls_record.h"

#define HELLO_MAX 16384 /* of one handshake message; larger ones are read as far as that */

enum extension {
	EXT_SERVER_NAME = 0,
	EXT_ALPN = 16,
	EXT_SUPPORTED_VERSIONS = 43,
};

struct bytes {
	const uint8_t *p;
	size_t n;
	bool bad; /* something was asked for that is not there */
};

enum detect_result tls__detect(const uint8_t *data, size_t len)
{
	if (!tls_record__may_begin(data, len))
		return DETECT_NO;
	if (len < TLS_HEADER)
		return DETECT_MORE;
	return tls_record__begins(data, len) ? DETECT_REQ : DETECT_NO;
}

/* ---- reading ---- */

/* The next n bytes; empty and bad: there are less. */
static struct bytes take(struct bytes *b, size_t n)
{
	struct bytes part = { b->p, n, false };

	if (b->bad || n > b->n) {
		b->bad = true;
		return (struct bytes){ b->p, 0, true };
	}
	b->p += n;
	b->n -= n;
	return part;
}

static uint32_t number(struct bytes *b, size_t n)
{
	struct bytes part = take(b, n);
	uint32_t v = 0;

	for (size_t i = 0; i < part.n; i++)
		v = v << 8 | part.p[i];
	return v;
}

/* What is here of a part that begins with its length in n bytes. */
static struct bytes part(struct bytes *b, size_t n)
{
	size_t len = number(b, n);

	if (!b->bad && len > b->n) { /* cut: the rest was not captured */
		struct bytes rest = { b->p, b->n, false };

		b->n = 0;
		b->bad = true;
		return rest;
	}
	return take(b, len);
}

/* ---- extensions ---- */

/* Names of hosts and protocols: visible ASCII without spaces. */
static void keep_name(char *to, size_t room, struct bytes name)
{
	if (name.bad || !name.n || name.n >= room)
		return;
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] > '~')
			return;
	memcpy(to, name.p, name.n);
	to[name.n] = '\0';
}

static void server_name(struct bytes body, struct conn_tls *out)
{
	struct bytes list = part(&body, 2);

	while (list.n && !list.bad) {
		uint32_t type = number(&list, 1);
		size_t len = number(&list, 2);
		struct bytes name = take(&list, len);

		if (type == 0) {
			keep_name(out->server_name, sizeof(out->server_name), name);
			return;
		}
	}
}

/* A server says one, which it chose. */
static void next_protocol(struct bytes body, struct conn_tls *out)
{
	struct bytes list = part(&body, 2);
	size_t len = number(&list, 1);
	struct bytes name = take(&list, len);

	if (!list.n)
		keep_name(out->next_protocol, sizeof(out->next_protocol), name);
}

static void extensions(struct bytes all, bool client, struct conn_tls *out)
{
	while (all.n && !all.bad) {
		uint32_t type = number(&all, 2);
		size_t len = number(&all, 2);
		struct bytes body = take(&all, len);

		if (body.bad)
			return;
		if (client && type == EXT_SERVER_NAME)
			server_name(body, out);
		else if (!client && type == EXT_ALPN)
			next_protocol(body, out);
		else if (!client && type == EXT_SUPPORTED_VERSIONS && body.n == 2)
			out->version = (uint16_t)number(&body, 2);
	}
}

static void hello(struct bytes msg, struct conn_tls *out)
{
	uint32_t type = number(&msg, 1);
	struct bytes body = part(&msg, 3);
	bool client = type == TLS_CLIENT_HELLO;

	if (type != TLS_CLIENT_HELLO && type != TLS_SERVER_HELLO)
		return;
	uint16_t version = (uint16_t)number(&body, 2);

	(void)take(&body, 32);
	(void)part(&body, 1); /* session id */
	if (client) {
		(void)part(&body, 2); /* cipher suites */
		(void)part(&body, 1); /* compression methods */
	} else {
		(void)take(&body, 3);
	}
	/* A ServerHello that is here up to its extensions; they may name a newer version. */
	if (!client && !body.bad)
		out->version = version;
	extensions(part(&body, 2), client, out);
}

/*
 * The first handshake message, put together from its records. Returns its bytes that are here;
 * *complete: it is whole, or what comes belongs to no handshake.
 */
static size_t gather(const uint8_t *data, size_t len, uint8_t *out, bool *complete)
{
	struct tls_record r;
	size_t n = 0, want = 4;

	*complete = true;
	while (tls_record__read(data, len, &r) && r.type == TLS_HANDSHAKE) {
		size_t here = len - TLS_HEADER < r.len ? len - TLS_HEADER : r.len;

		if (here > HELLO_MAX - n)
			here = HELLO_MAX - n;
		memcpy(out + n, data + TLS_HEADER, here);
		n += here;
		if (n >= 4)
			want = 4 + ((size_t)out[1] << 16 | (size_t)out[2] << 8 | out[3]);
		if (n >= want || n == HELLO_MAX)
			return n < want ? n : want;
		if (len - TLS_HEADER < r.len) {
			*complete = false;
			return n;
		}
		data += TLS_HEADER + r.len;
		len -= TLS_HEADER + r.len;
	}
	if (len < TLS_HEADER && tls_record__may_begin(data, len))
		*complete = false;
	return n;
}

bool tls__hello(const uint8_t *data, size_t len, bool whole, struct conn_tls *out)
{
	uint8_t msg[HELLO_MAX];
	bool complete;
	size_t n = gather(data, len, msg, &complete);

	if (!complete && !whole)
		return false;
	if (n)
		hello((struct bytes){ msg, n, false }, out);
	return true;
}

const char *tls__version_name(uint16_t version)
{
	switch (version) {
	case 0x0300: return "3.0";
	case 0x0301: return "1.0";
	case 0x0302: return "1.1";
	case 0x0303: return "1.2";
	case 0x0304: return "1.3";
	default: return NULL;
	}
}
